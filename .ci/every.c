/* Every text of up to N bytes of an alphabet that has each character that JSON or UTF-8 treats in
   its own way, behind each of some beginnings, through the JSON decoders: the text ends where the
   memory ends, and so do the bytes that a decoder may write. N is the first argument. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#define OCM_IMPLEMENTATION
#include "../ocm.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char alphabet[] = "{}[]:,\"\\ \n\t\001utn0189-+.edDbcC\xC3\xA9\xE2\x82\xED\xA0\xF0\x90\xF4\xFF";
static const char *const beginnings[] = {
    "", "{", "[", "{\"id\":", "{\"message\":\"", "{\"message\":\"\\", "{\"message\":\"\\u",
    "{\"message\":\"\\uD8", "{\"message\":\"\\uD800\\u", "{\"a\":", "{\"a\":[[", "{\"more\":",
    "{\"\\u006", "{\"id\":900719925474099", "\"\\"};

/* `len` bytes before a page that nobody may touch. */
static uint8_t *guarded(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *p = (uint8_t *)mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + page, page, PROT_NONE) != 0) exit(2);
    return p + page - len;
}

static int decode(const uint8_t *p, size_t len, uint8_t *scratch)
{
    ocm_view v, text;
    ocm_message m;
    ocm_listed l;
    ocmi_out o = ocmi_out_open(scratch, len);
    int good;
    v.ptr = p;
    v.len = len;
    good = ocm_message_decode(v, scratch, &m) > 0;
    if (good && m.sender.len + m.username.len + m.reason.len + m.text.len > len) abort();
    if (ocm_listed_decode(v, scratch, &l) > 0 && l.room.len > len) abort();
    if (ocmi_json_string(v, 0, &o, &text) && (o.full || text.len > len)) abort();
    return good;
}

/* Views that follow one another, from p + head up to end. */
static void in_order(const uint8_t *p, size_t head, size_t len, const ocm_view *v, int count)
{
    size_t at = head;
    for (; count--; v++) {
        if (v->ptr != p + at || v->len > len - at) abort();
        at += v->len;
    }
    if (at != len) abort();
}

static unsigned long datagrams(void)
{
    unsigned long good = 0;
    size_t len;
    for (len = 0; len < 600; len++) {
        uint8_t *p = guarded(len);
        unsigned head;
        for (head = 0; head < (len < 2 ? 1 : 65536); head++) {
            ocm_datagram d;
            int n;
            if (len >= 2) p[0] = (uint8_t)head, p[1] = (uint8_t)(head >> 8);
            n = ocm_datagram_decode(p, len, &d);
            if ((n > 0) != (len >= 2 && len >= (size_t)2 + p[0] + p[1])) abort();
            if (n <= 0) continue;
            in_order(p, 2, len, &d.room, 3);
            good++;
        }
    }
    return good;
}

static unsigned long frames(void)
{
    unsigned long good = 0;
    size_t len, room, i;
    for (len = 0; len < 330; len++) {
        uint8_t *p = guarded(len);
        for (room = 0; room < (len < OCM_HEADER_LEN ? 1 : 256); room++)
            for (i = 0; i < 600; i++) { /* payloads of 0 to 330 bytes, then a bit of each byte */
                uint64_t payload = i < 330 ? i : 0;
                size_t bit = i < 330 ? 0 : i - 329;
                ocm_frame f;
                int n;
                memset(p, 0, len < OCM_HEADER_LEN ? len : OCM_HEADER_LEN);
                if (len >= OCM_HEADER_LEN) {
                    p[0] = (uint8_t)room;
                    p[30] = (uint8_t)(payload >> 8);
                    p[31] = (uint8_t)payload;
                    if (bit > 12 && bit <= 29 * 8) p[31 - bit / 8] |= (uint8_t)(1u << bit % 8);
                }
                n = ocm_frame_decode(p, len, OCM_PAYLOAD_MAX, &f);
                if (len >= OCM_HEADER_LEN && bit > 12 && bit < 29 * 8 && n != OCM_E_LARGE) abort();
                if (len >= OCM_HEADER_LEN && bit == 0 &&
                    (n > 0) != (OCM_HEADER_LEN + room + payload <= len)) abort();
                if (n <= 0) continue;
                in_order(p, OCM_HEADER_LEN, (size_t)n, &f.room, 2);
                good++;
            }
    }
    return good;
}

int main(int argc, char **argv)
{
    size_t most = argc > 1 ? strtoul(argv[1], NULL, 10) : 4, i, len, k;
    unsigned long texts = 0, good = 0;
    for (i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        for (len = 0; len <= most; len++) {
            size_t begin = strlen(beginnings[i]), digit[16] = {0};
            uint8_t *p = guarded(begin + len), *scratch = guarded(begin + len);
            memcpy(p, beginnings[i], begin);
            memset(p + begin, alphabet[0], len);
            for (;;) {
                texts++;
                good += (unsigned long)decode(p, begin + len, scratch);
                for (k = 0; k < len; k++) { /* the next one, as an odometer counts */
                    if (++digit[k] == sizeof alphabet - 1) digit[k] = 0;
                    p[begin + k] = (uint8_t)alphabet[digit[k]];
                    if (digit[k]) break;
                }
                if (k == len) break;
            }
        }
    printf("%lu datagrams and %lu frames that are whole\n", datagrams(), frames());
    printf("%lu texts, %lu of them messages\n", texts, good);
    return good == 0;
}

/* test.c - every test of OCM. Build and run: cc -o test test.c && ./test
   ./test NAME [SEED] runs the tests whose name contains NAME, those with dice with other dice.
   ./test demo shows a conversation; ./test table measures what "Nothing lost" in README.md tells;
   ./test soak lets a simulated network run for 1000 hours; ./test bench compares the server's speed
   with a bare loop's.
   What is expected here comes from the protocol, not from what ocm.h happens to do. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* the benchmark pins its processes */
#endif
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE
#endif
#define OCM_IMPLEMENTATION
#include "ocm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Checking ---- */

static int broken;             /* CHECKs that failed in the test that runs */
static const char *row = "";   /* the case at hand, where a test goes through a table */
static unsigned long seed = 1; /* of the tests with dice */

static int check(int ok, int line, const char *what)
{
    if (!ok && ++broken <= 10)
        printf("%s:%d: %s%s%s\n", __FILE__, line, what, *row ? "   case: " : "", row);
    return ok;
}

#define CHECK(x) check((x) ? 1 : 0, __LINE__, #x)

/* ---- Bytes ---- */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void *allocate(size_t len)
{
    void *p = calloc(1, len ? len : 1);
    if (p) return p;
    printf("no memory\n");
    exit(2);
}

/* Of exactly the size: a sanitizer then sees one byte read too many. */
static uint8_t *copy(const void *p, size_t len)
{
    uint8_t *c = (uint8_t *)allocate(len);
    if (len) memcpy(c, p, len);
    return c;
}

static ocm_view view(const void *p, size_t len)
{
    ocm_view v;
    v.ptr = (const uint8_t *)p;
    v.len = len;
    return v;
}

static int is(ocm_view v, const char *s)
{
    return ocm_view_equal(v, ocm_text(s));
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Bytes from hexadecimal digits. */
static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (; *hex; hex += 2) out[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
    return n;
}

/* Writes a text out: x{300} is 300 times x, (ab){3} three times ab; each character of `from` is the
   one of `to` at its place and, if a number is given, # is that. How many bytes it has. */
static size_t write_out(char *out, const char *text, const char *from, const char *to, int number)
{
    char *const begin = out, *unit;
    for (; *text; text++) {
        const char *at = strchr(from, *text);
        int count = 0, len = 0;
        size_t size = 1;
        if (*text == '{') sscanf(text, "{%d}%n", &count, &len);
        if (*text == '#' && number) {
            out += sprintf(out, "%d", number);
        } else if (len == 0) {
            *out++ = at ? to[at - from] : *text;
        } else {
            text += len - 1;
            unit = out - 1;
            if (*unit == ')') {
                while (*--unit != '(') {}
                size = (size_t)(out - unit) - 2;
                memmove(unit, unit + 1, size);
            }
            for (out = unit; count > 0; count--, out += size) memmove(out, unit, size);
        }
    }
    *out = 0;
    return (size_t)(out - begin);
}

static const char *repeat(char *out, char c, size_t n)
{
    memset(out, c, n);
    out[n] = 0;
    return out;
}

/* Copies the next part of a text, up to a separator or its end; 0 if there is none. */
static int next_part(const char **text, const char *separator, char *out)
{
    const char *end = strstr(*text, separator);
    size_t len = end ? (size_t)(end - *text) : strlen(*text);
    if (**text == 0) return 0;
    memcpy(out, *text, len);
    out[len] = 0;
    *text += len + (end ? strlen(separator) : 0);
    return 1;
}

/* A script that has [a|b] is played once with a and once with b; several such lists go together,
   a shorter one again from its beginning. Copies it with the k-th of each; how many the longest
   has. */
static int choose(const char *script, int k, char *out)
{
    int most = 1, count, i;
    for (; *script; script++) {
        const char *end = strchr(script, ']'), *at;
        for (at = script, count = 1; end && at < end; at++) count += *at == '|';
        if (*script != '[' || count < 2) {
            *out++ = *script;
            continue;
        }
        for (at = script + 1, i = k % count; i > 0; i--) at = strchr(at, '|') + 1;
        out += sprintf(out, "%.*s", (int)strcspn(at, "|]"), at);
        if (count > most) most = count;
        script = end;
    }
    *out = 0;
    return most;
}

/* Plays a script: steps with a separator between them. Several between " & " may be repeated, "9
   times"; in the steps of a line that says so, # counts from 1000. */
static void play(const char *script, const char *separator, const char *from, const char *to,
                 void (*step)(char *step))
{
    static char steps[65536], one[65536], written[65536];
    const char *outer = row, *next;
    char shown[200];
    while (broken < 10 && next_part(&script, separator, steps)) {
        int times = 1, skip = 0, i;
        sscanf(steps, "%d times %n", &times, &skip);
        if (skip == 0) times = 1;
        sprintf(shown, "%.90s: %.90s", outer, steps);
        row = shown;
        for (i = 0; i < times && broken < 10; i++)
            for (next = steps + skip; next_part(&next, " & ", one);) {
                write_out(written, one, from, to, skip ? 1000 + i : 0);
                step(written);
            }
        row = outer;
    }
}

/* A random number: the same ones for the same seed. */
static uint32_t dice(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* What the conversations below put into a registry or a session is kept as a script: see fuzz(). */
static uint8_t fuzz_script[65536];
static size_t fuzz_len;

static void fuzz_add(int what, int who, const void *bytes, size_t len)
{
    uint8_t *at = fuzz_script + fuzz_len;
    if (len > 65535 || fuzz_len + 3 + len > sizeof fuzz_script) return;
    at[0] = (uint8_t)(who << 4 | what);
    at[1] = (uint8_t)(len >> 8);
    at[2] = (uint8_t)len;
    if (bytes) memcpy(at + 3, bytes, len);
    else memset(at + 3, 0, len);
    fuzz_len += 3 + len;
}

/* ---- Text, JSON, wire: functions without state ---- */

/* Every pair of first bytes, by the grammar of RFC 3629, 4, and behind it good and bad bytes; whole
   and cut off. */
static void test_utf8(void)
{
    static const struct { int from, to, second_from, second_to, len; } rules[] = {
        {0x00, 0x7F, 0x00, 0xFF, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
    static const uint8_t behind[] = {0x80, 0xBF, 0x7F, 0xC0}; /* good, good, bad, bad */
    static const uint32_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    int pair, k;
    size_t i, n;
    for (pair = 0; pair < 65536; pair++) {
        int first = pair >> 8, second = pair & 0xFF, len = 0;
        for (i = 0; i < COUNT(rules); i++)
            if (first >= rules[i].from && first <= rules[i].to &&
                second >= rules[i].second_from && second <= rules[i].second_to)
                len = rules[i].len;
        for (k = 0; k < (first < 0xE0 ? 1 : 16); k++) {
            int good = len < 3 || (k / 4 < 2 && (len < 4 || k % 4 < 2));
            uint8_t bytes[4] = {(uint8_t)first, (uint8_t)second, behind[k / 4], behind[k % 4]}, *p;
            uint32_t c = 0, expected = (uint32_t)first - lead[len];
            for (i = 1; (int)i < len; i++) expected = (expected << 6) + bytes[i] - 0x80;
            for (n = 0; n <= 4; n++) {
                p = copy(bytes, n);
                CHECK(ocm_utf8_decode(p, n, &c) == (good && (int)n >= len ? len : 0));
                free(p);
            }
            CHECK(!good || !len || c == expected);
        }
    }
}

static void test_names_and_messages(void)
{
    static int (*const rules[])(ocm_view) = {ocm_room_valid, ocm_name_valid, ocm_message_valid};
    static const struct { int valid[3]; const char *texts[24]; } cases[] = {
        {{1, 1, 1},
         {"a", " ", "a b", "~", "{", "\"\\", "System", "systems", "syste", "a:b", "a:", "a :b",
          "\xC3\xA9", "\xC2\xA0", "\xE2\x80\xA7", "\xE2\x80\xAF", "\xE2\x81\xA5", "\xE2\x81\xAA",
          "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF"}},
        {{1, 0, 1}, {"system", "a: b", ": ", "a:b: c"}},
        {{0, 0, 1}, /* U+2028 to U+202E, U+2066 to U+2069 */
         {"", "a\tb", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAA", "\xE2\x80\xAE",
          "\xE2\x81\xA6", "\xE2\x81\xA9"}},
        {{0, 0, 0},
         {"a\nb", "\r", "\x01", "\x08", "\x1B[2J", "\x1F", "\x7F", "\xC2\x80", "\xC2\x9F", "\xFF",
          "\xC0\xAF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "a\xC3", "a\xE2\x82"}}};
    char longest[300];
    size_t i, k, len;
    uint8_t *p;
    repeat(longest, 'a', 256);
    for (k = 0; k < 3; k++) {
        for (i = 0; i < COUNT(cases); i++) {
            const char *const *text;
            for (text = cases[i].texts; *text; text++) {
                p = copy(row = *text, len = strlen(*text));
                CHECK(rules[k](view(p, len)) == cases[i].valid[k]);
                free(p);
            }
        }
        CHECK(rules[k](view(longest, 255)));
        CHECK(rules[k](view(longest, 256)) == (k == 2));
        CHECK(!rules[k](view("a\0b", 3)));
    }
}

#define MAPPED "00000000000000000000ffff"

static void test_same_host(void)
{
    static const struct { int host; const char *start, *end; uint32_t scope; } cases[] = {
        {1, MAPPED, "0a000001", 0}, {2, MAPPED, "0a000002", 0}, {3, MAPPED, "7f000001", 0},
        {3, MAPPED, "7fffffff", 0}, {3, "", "01", 0}, {4, "", "02", 0}, {5, MAPPED, "7e000001", 0},
        {6, MAPPED, "80000001", 0}, {7, "", "7f000001", 0}, {8, "", "00", 0}, {9, "2001", "01", 1},
        {9, "2001", "01", 2}, {10, "fe80", "01", 1}, {11, "fe80", "01", 2}, {12, "fe80", "02", 1},
        {13, "febf", "01", 1}, {14, "febf", "01", 2}, {15, "fec0", "01", 1}, {15, "fec0", "01", 2},
        {16, "ff80", "01", 1}, {16, "ff80", "01", 2}};
    ocm_addr a[COUNT(cases)];
    size_t i, k;
    for (i = 0; i < COUNT(cases); i++) {
        memset(&a[i], (int)i, sizeof a[i]); /* ports, sockets and local addresses do not matter */
        memset(a[i].ip, 0, 16);
        unhex(cases[i].start, a[i].ip);
        unhex(cases[i].end, a[i].ip + 16 - strlen(cases[i].end) / 2);
        a[i].scope = cases[i].scope;
        for (k = 0; k <= i; k++) {
            CHECK(ocm_same_host(&a[i], &a[k]) == (cases[i].host == cases[k].host));
            CHECK(ocm_same_host(&a[k], &a[i]) == (cases[i].host == cases[k].host));
        }
    }
}

/* Published with the algorithm: key 00 01 .. 0f, input 00 01 02 .. of each length. */
static void test_siphash(void)
{
    static const struct { size_t len; uint64_t hash; } cases[] = {
        {0, 0x726fdb47dd0e0e31u}, {1, 0x74f839c593dc67fdu}, {7, 0xab0200f58b01d137u},
        {8, 0x93f5f5799a932462u}, {9, 0x9e0082df0ba9e4b0u}, {15, 0xa129ca6149be45e5u},
        {16, 0x3f2acc7f57c29bdbu}, {63, 0x958a324ceb064572u}};
    uint8_t input[64], *p;
    size_t i;
    for (i = 0; i < 64; i++) input[i] = (uint8_t)i;
    for (i = 0; i < COUNT(cases); i++) {
        p = copy(input, cases[i].len);
        CHECK(ocmi_hash(input, view(p, cases[i].len)) == cases[i].hash);
        free(p);
    }
    CHECK(ocmi_hash(input, view(NULL, 0)) == cases[0].hash);
}

/* ---- Every decoder and encoder behind one face ---- */

enum { FRAME, DATAGRAM, MESSAGE, REQUEST, OUTCOME, LISTED, VALUE = 8, BOTH_WAYS = 16 };

static struct everything {
    ocm_frame frame;
    ocm_datagram datagram;
    ocm_message message;
    ocm_request request;
    ocm_outcome outcome;
    ocm_listed listed;
} found;

/* What is told of each, in this order, if it is not zero or empty: i an int, n a number, t a text.
   Of a message all that it has is told: bit i of `has` stands for field i. */
#define FIELD(kind, type, key, member) {kind, type, key, offsetof(struct everything, member)}
static const struct { int kind, type; const char *key; size_t at; } told_fields[] = {
    FIELD(MESSAGE, 't', "sender", message.sender), FIELD(MESSAGE, 'n', "op", message.operation),
    FIELD(MESSAGE, 't', "name", message.username), FIELD(MESSAGE, 't', "reason", message.reason),
    FIELD(MESSAGE, 't', "text", message.text), FIELD(MESSAGE, 'n', "seq", message.seq),
    FIELD(MESSAGE, 'n', "first", message.first), FIELD(MESSAGE, 'n', "id", message.id),
    FIELD(FRAME, 'i', "op", frame.op), FIELD(FRAME, 'i', "state", frame.state),
    FIELD(FRAME, 't', "room", frame.room), FIELD(FRAME, 't', "payload", frame.payload),
    FIELD(DATAGRAM, 't', "room", datagram.room), FIELD(DATAGRAM, 't', "token", datagram.token),
    FIELD(DATAGRAM, 't', "payload", datagram.payload), FIELD(REQUEST, 't', "room", request.room),
    FIELD(REQUEST, 't', "name", request.name), FIELD(REQUEST, 't', "password", request.password),
    FIELD(REQUEST, 't', "ip", request.ip), FIELD(REQUEST, 'n', "port", request.port),
    FIELD(REQUEST, 'n', "level", request.level), FIELD(REQUEST, 't', "token", request.token),
    FIELD(OUTCOME, 'n', "status", outcome.status), FIELD(OUTCOME, 't', "why", outcome.why),
    FIELD(OUTCOME, 't', "token", outcome.token), FIELD(OUTCOME, 'n', "level", outcome.level),
    FIELD(OUTCOME, 'n', "idle", outcome.idle), FIELD(OUTCOME, 'n', "seq", outcome.seq),
    FIELD(OUTCOME, 'n', "log", outcome.log), FIELD(LISTED, 't', "room", listed.room),
    FIELD(LISTED, 't', "name", listed.username), FIELD(LISTED, 'n', "size", listed.size),
    FIELD(LISTED, 'i', "password", listed.password), FIELD(LISTED, 'i', "host", listed.host),
    FIELD(LISTED, 'i', "more", listed.more)};

static ocm_view lent, lent_scratch; /* input and scratch memory, of exactly the size */
static int verdict;        /* what the decoder returned */
static char decoded[8192]; /* what was found, as text: "seq=17 id=1", "bad" or "more" */

static int inside(ocm_view v, ocm_view of)
{
    return v.len <= of.len && v.ptr >= of.ptr && v.ptr + v.len <= of.ptr + of.len;
}

/* A text must lie in the input or in the scratch memory. */
static void tell(size_t field)
{
    const uint8_t *value = (const uint8_t *)&found + told_fields[field].at;
    int type = told_fields[field].type;
    char *to = decoded + strlen(decoded);
    ocm_view v = {NULL, 0};
    uint64_t n = 0;
    size_t i;
    if (type == 't') memcpy(&v, value, sizeof v);
    if (type == 'n') memcpy(&n, value, sizeof n);
    if (type == 'i') n = (uint64_t)*(const int *)(const void *)value;
    CHECK(v.len == 0 || inside(v, lent) || inside(v, lent_scratch));
    if (told_fields[field].kind == MESSAGE ? !(found.message.has >> field & 1) : !v.len && !n)
        return;
    to += sprintf(to, type == 't' ? "%s=" : "%s=%.0f", told_fields[field].key, (double)n);
    for (i = 0; i < v.len; i++) *to++ = v.ptr[i] ? (char)v.ptr[i] : '^';
    strcpy(to, " ");
}

static int framed(int kind)
{
    return kind == FRAME || kind == REQUEST || kind == OUTCOME;
}

/* Into `found` and `decoded`; what `found` points to stays valid until the next call. */
static void decode(int kind, const void *p, size_t len)
{
    static const char *const dialects[] = {"json ", "text ", "team A "};
    static uint8_t *input, *scratch;
    const ocm_frame *f = &found.frame;
    size_t i, whole = len;
    free(input);
    free(scratch);
    lent = lent_scratch = view(input = copy(p, len), len);
    memset(&found, 0xA5, sizeof found); /* so that nothing is right by chance */
    *decoded = 0;
    verdict = (int)len;
    if (kind == DATAGRAM) verdict = ocm_datagram_decode(input, len, &found.datagram);
    if (framed(kind)) {
        verdict = ocm_frame_decode(input, len, OCM_PAYLOAD_MAX, &found.frame);
        lent_scratch.len = verdict > 0 ? f->payload.len : 0;
        if (verdict > 0) whole = OCM_HEADER_LEN + f->room.len + f->payload.len;
    }
    CHECK(verdict <= 0 || (size_t)verdict == whole);
    lent_scratch.ptr = scratch = (uint8_t *)allocate(lent_scratch.len);
    if (kind == MESSAGE) verdict = ocm_message_decode(lent, scratch, &found.message);
    if (kind == LISTED) verdict = ocm_listed_decode(lent, scratch, &found.listed);
    if (kind == OUTCOME && verdict > 0) verdict = ocm_outcome_decode(f, scratch, &found.outcome);
    if (kind == REQUEST && verdict > 0) {
        verdict = ocm_request_decode(f, scratch, &found.request);
        CHECK(found.request.op == f->op);
        strcpy(decoded, dialects[found.request.dialect]);
    }
    CHECK(kind != MESSAGE || found.message.has < 256);
    for (i = 0; i < COUNT(told_fields); i++)
        if (verdict > 0 && told_fields[i].kind == kind) tell(i);
    if (verdict <= 0) strcat(decoded, verdict == 0 ? "more " : "bad ");
    if (*decoded) decoded[strlen(decoded) - 1] = 0;
}

/* What was found; 0 where no such function is public. */
static int encode(int kind, uint8_t *out, size_t cap)
{
    const ocm_frame *f = &found.frame;
    const ocm_datagram *d = &found.datagram;
    if (kind == FRAME) return ocm_frame_encode(out, cap, f->op, f->state, f->room, f->payload);
    if (kind == DATAGRAM) return ocm_datagram_encode(out, cap, d->room, d->token, d->payload);
    if (kind == MESSAGE) return ocm_message_encode(out, cap, &found.message);
    return kind == REQUEST ? ocm_request_encode(out, cap, &found.request) : 0;
}

/* The bytes of a vector. A frame begins with the length of its room, op and state in hex, a
   datagram with its two lengths. An outcome is the payload only, a VALUE that of an unknown key.
   To keep JSON legible, ' stands for ", | for ', and ^ for a zero byte. */
static size_t bytes_of(int kind, const char *text, uint8_t *out)
{
    char head[7] = "000202";
    size_t n = kind == FRAME || kind == REQUEST ? 6 : kind == DATAGRAM ? 4 : 0, len;
    memcpy(head, text, n);
    unhex(head, out);
    text += n;
    n = kind == DATAGRAM ? 2 : framed(kind) ? OCM_HEADER_LEN : 0;
    if (kind == VALUE) n = (size_t)sprintf((char *)out, "{\"a\":");
    len = write_out((char *)out + n, text, "'|^", "\"'", 0);
    if (framed(kind)) {
        memset(out + 3, 0, 27);
        out[30] = (uint8_t)((len - out[0]) >> 8);
        out[31] = (uint8_t)(len - out[0]);
    }
    if (kind == VALUE) out[n + len++] = '}';
    return n + len;
}

/* 1 if the vector means that. */
static int means(int kind, const char *text, const char *meaning)
{
    static uint8_t bytes[OCM_FRAME_MAX + 300];
    static char expected[sizeof decoded];
    row = text;
    decode(kind == VALUE ? MESSAGE : kind, bytes, bytes_of(kind, text, bytes));
    write_out(expected, meaning, "", "", 0);
    return strcmp(decoded, expected) == 0;
}

/* What each of these means; those for BOTH_WAYS are also what the encoder makes of it. */
static const struct { int kind; const char *means, *texts[48]; } vectors[] = {
    {BOTH_WAYS | FRAME, "op=1 room=lobby payload=alice", {"050100lobbyalice"}},
    {BOTH_WAYS | FRAME, "op=3 payload={}", {"000300{}"}},
    {BOTH_WAYS | FRAME, "op=2 state=1 payload=\xC8", {"000201\xC8"}},
    {BOTH_WAYS | FRAME, "op=2 state=2 room=a", {"010202a"}},
    {BOTH_WAYS | FRAME, "op=255 state=255", {"00ffff"}},
    {BOTH_WAYS | DATAGRAM, "room=lobby token=0123 payload=hi", {"0504lobby0123hi"}},
    {BOTH_WAYS | DATAGRAM, "", {"0000"}},
    {BOTH_WAYS | DATAGRAM, "payload={\"id\":1}", {"0000{'id':1}"}},
    {BOTH_WAYS | MESSAGE, "text=hi !~ id=1", {"{'message':'hi !~','id':1}"}},
    {BOTH_WAYS | MESSAGE, "sender=bob text=hi seq=17",
     {"{'sender':'bob','message':'hi','seq':17}"}},
    {BOTH_WAYS | MESSAGE, "sender=system op=6 seq=0 first=1 id=0",
     {"{'sender':'system','operation':6,'seq':0,'first':1,'id':0}"}},
    {BOTH_WAYS | MESSAGE, "sender=system op=3 name=al reason=host text=",
     {"{'sender':'system','operation':3,'username':'al','reason':'host','message':''}"}},
    {BOTH_WAYS | MESSAGE, "text=\"\\\t/\xC3\xA9\x7F seq=9007199254740991",
     {"{'message':'\\'\\\\\\t/\xC3\xA9\x7F','seq':9007199254740991}"}},
    {BOTH_WAYS | MESSAGE, "text=x^\x01\n\x1F\"",
     {"{'message':'x\\u0000\\u0001\\u000a\\u001f\\''}"}},
    {BOTH_WAYS | MESSAGE, "", {"{}"}},
    {BOTH_WAYS | REQUEST, "text room=lobby name=alice", {"050200lobbyalice"}},
    {BOTH_WAYS | REQUEST, "team A room=lobby name=al\"{e", {"050101lobbyal'{e"}},
    {BOTH_WAYS | REQUEST, "json room=lobby name=al\"i password=p\\\x01\x1F ip=10.0.0.1 port=4000 "
     "level=1 token=0123456789abcdef012345678",
     {"050200lobby{'username':'al\\'i','password':'p\\\\\\u0001\\u001f','ip':'10.0.0.1',"
      "'port':4000,'ocm':1,'token':'0123456789abcdef012345678'}"}},
    {BOTH_WAYS | REQUEST, "json", {"000300{}"}},
    {BOTH_WAYS | REQUEST, "json room=r name=n", {"010300r{'username':'n'}"}},
    {BOTH_WAYS | REQUEST, "json room=r password=p", {"010300r{'password':'p'}"}},
    {BOTH_WAYS | REQUEST, "json port=4000", {"000300{'port':4000}"}},
    {BOTH_WAYS | REQUEST, "json level=1", {"000300{'ocm':1}"}},
    {MESSAGE, "sender=al\xC3\xAF" "ce text=\xF0\x9F\x98\x80\n id=10",
     {"{'sender':'al\\u00efce','message':'\\ud83d\\ude00\\n','id':10}"}},
    {MESSAGE, "text=b", {"{'message':'a','message':'b'}", "{'message':'\\u0061a','message':'b'}"}},
    {MESSAGE, "text=\"\\/\b\f\n\r\t", {"{'message':'\\'\\\\\\/\\b\\f\\n\\r\\t'}"}},
    {MESSAGE, "text=\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF",
     {"{'message':'\\u00e9\\u20AC\\uD83D\\uDE00\\uDBFF\\uDFFF'}"}},
    {MESSAGE, "text=\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80",
     {"{'message':'\\u007F\\u0080\\u07FF\\u0800\\uFFFF\\uD800\\uDC00'}"}},
    {MESSAGE, "text=\xE1\x88\xB4\xEA\xAF\x8D\xEA\xAF\x8D\xE9\xBC\x8F",
     {"{'message':'\\u1234\\uabcd\\uABCD\\u9F0f'}"}},
    {MESSAGE, "name=y text=x", {"{'\\u006dessage':'x','us\\u0065rname':'y'}"}},
    {MESSAGE, "seq=7", {"{'seq': 7 }", "{'seq':5,'seq':7}"}},
    {MESSAGE, "seq=9007199254740991", {"{'seq':9007199254740991}"}},
    {MESSAGE, "bad",
     {"{'seq':9007199254740992}", "{'seq':10000000000000000}", "{'seq':18446744073709551617}",
      "{'seq':99999999999999999999999}", "{'seq':36893488147419103233}", "{'seq':1.0}",
      "{'seq':1e3}", "{'seq':1E3}", "{'seq':-0}", "{'seq':01}", "{'seq':}",
      "{'seq':1,'seq':'x'}", "{'seq':'x','seq':1}", "{'message':1,'message':'a'}",
      "{'message':null}", "{'message':true}", "{'id':[1]}"}},

    /* JSON in which there is nothing to be told */
    {MESSAGE, "",
     {" { } ", "\t\r\n{\t\r\n}\t\r\n", "{ 'a' : 'hi' , 'b' : 1 }", "{'a':null,'b':true,'c':false}",
      "{'':1}", "{'a':1,'a':'x'}", "{'a':1,'b':{'c':2,'d':3},'e':[4,5]}",
      "{'\xC3\xA9':'\xF0\x9F\x98\x80'}", "{'\\u0061':['\\ud83d\\ude00']}",
      "{'\\u0073\\u0065\\u0071\\u0071':5,'\\u0073\\u0065':6,'\\u0000seq':7}",
      "{'Message':'x','messages':'x','messag':'x','':'x','count':3,'text':0}"}},
    {VALUE, "",
     {"[]", "{}", "[ ]", "{ }", "[ 1 , [ ] , { 'b' : 2 } ] ", "{'b':[{'c':'d'},[[]]]}",
      "[0,-0,1,-1,9,1.0,0.5,1e3,1E3,1e+3,1e-3,-0.0e1,1.5E+10]", "123456789012345678901234567890",
      "1e999", "1.09e19", "'\\'\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u00E9\\u0000'", "'\\uD83D\\uDE00'",
      "'\\uD800\\uDC00\\uDBFF\\uDFFF\\ud7ff\\ue000'", "'\\u09af\\uAFaf'", "'\x7F|'"}},
    {MESSAGE, "bad", /* the object */
     {"[]", "'x'", "null", "1", "}", "{}}", "{}x", "{}{}", "{},", "{,}", "{'a'}", "{'a':}",
      "{'a':1,}", "{,'a':1}", "{'a':1 'b':2}", "{'a' 1}", "{a:1}", "{1:1}", "['a':1]", "{'a',1}",
      "{'a':1:'b':2}", "{'a':1]", "\xEF\xBB\xBF{}", "{/**/}", "{}//", "{\f}", "{\v}", "{\xC2\xA0}",
      "{}^", "^{}", "{|a|:1}", "{'a\nb':1}", "{'\xFF':1}", "{'\\uD800':1}"}},
    {VALUE, "bad", /* arrays and objects in it */
     {"[1", "[", "[1,]", "[,1]", "[1 2]", "{]", "{'b'}", "{b:1}", "{'b':1,}", "{'b' 1}", "{'b':}",
      "{'b':1]", "[1:2]", "{'b':1 'c':2}", "{'b'", "{'b':1", "{", "[1,"}},
    {VALUE, "bad", /* numbers and words */
     {"01", "-", "-01", "00", "+1", ".5", "1.", "1.e3", "1e", "1e+", "0x1", "--1", "1.2.3", "1/",
      "1:", "-:", "-/", "1e+-1", "1e1.5", "NaN", "Infinity", "-Infinity", "tru", "True", "nul",
      "truex", "nullnull", "fals", "falsee", "x", "^"}},
    {VALUE, "bad", /* strings, surrogates without the other half */
     {"'\\x'", "'\\u12'", "'\\u12G4'", "'\\u123g'", "'\\u/000'", "'\\u:000'", "'\\u@000'",
      "'\\u`000'", "'\\u^000'", "'\\U0041'", "'\\'", "'b", "'\n'", "'\t'", "'\x1F'", "'\xFF'",
      "'\xC0\x80'", "'\xED\xA0\x80'", "'\xF4\x90\x80\x80'", "'\xC3'", "'^'", "'\\^'", "'\\|'",
      "'\\uD800'", "'\\uDC00'", "'\\uDFFF'", "'\\uDBFF'", "'\\uDC00\\uDC00'", "'\\uD800xuDC00'",
      "'\\uD800\\nDC00'", "'\\uD800abDC00'", "'\\uD800\\uD800'", "'\\uD800x'", "'\\uD800\\n'",
      "'\\uD800\\u0041'", "'\\uDE00\\uD83D'", "'\\uD800\\uDBFF'", "'\\uD800\\uE000'",
      "'\\uD800\\uDC0'", "'\\uD800\\uDC0g'"}},

    /* an unknown key of any length, and its value of 32 levels */
    {VALUE, "", {"[{32}]{32}", "({'b':){31}[]}{31}", "([1,){31}[]]{31}"}},
    {VALUE, "bad", {"[{33}]{33}", "({'b':){32}[]}{32}", "([1,){32}[]]{32}", "[{99}]{99}"}},
    {MESSAGE, "", {"{'k{300}\\n':'k{300}'}"}},

    /* requests: where one is refused, the dialect of the refusal is known */
    {REQUEST, "json room=r name=a",
     {"010100r{'username':'a'}", "010202r{'username':'a'}",
      "010200r{'username':'','username':'a','ocm':0,'token':''}"}},
    {REQUEST, "json room=r name=a port=1024", {"010200r{'username':'a','port':1024}"}},
    {REQUEST, "json room=r name=a port=65535",
     {"010200r{'username':'a','port':65535}", "010200r{'username':'a','port':1,'port':65535}"}},
    {REQUEST, "json room=r name=a ip=anything level=3",
     {"010200r{'username':'a','ocm':3,'x':[[{}]],'ip':'anything'}"}},
    {REQUEST, "json room=r name=a password=k{255}",
     {"010200r{'username':'a','password':'k{255}'}"}},
    {REQUEST, "json", {"000302{}", "000302{'a':[{'b':-1.5e3},null]}"}},
    {REQUEST, "json room=r", {"010300r{'x':[1]}"}},
    {REQUEST, "text room=r name=a", {"010100ra"}},
    {REQUEST, "text room=r name= {", {"010200r {"}},
    {REQUEST, "team A room=r name=a", {"010101ra", "010202ra"}},
    {REQUEST, "team A room=r name={}", {"010101r{}"}},
    {REQUEST, "text bad",
     {"010100r", "000100a", "020100a\na", "010100ra: b", "000300a", "010000ra", "010400ra"}},
    {REQUEST, "team A bad",
     {"010101r", "010102r", "010101rsystem", "000301{}", "010103ra", "0101ffra"}},
    {REQUEST, "json bad",
     {"000100{'username':'a'}", "020300a\n{}", "000300{", "01ff00r{'username':'a'}",
      "010000r{'username':'a'}", "010103r{'username':'a'}", "010200r{}", "010200r{'username':''}",
      "010200r{'username':'a','username':''}", "010200r{'username':'a','port':1023}",
      "010200r{'username':'a','port':65536}", "010200r{'username':'a','port':0}",
      "010200r{'username':'a'}x", "010200r{'username':'a", "010200r{'username':'\\u0000'}",
      "010200r{'username':'system'}", "010200r{'username':'a: b'}",
      "010200r{'username':'a','password':'k{256}'}"}},

    /* outcomes */
    {OUTCOME, "status=200 why=ok token=abc level=1 idle=300 seq=17 log=4711",
     {"{'status':200,'message':'ok','token':'abc','ocm':1,'idle':300,'seq':17,'log':4711}"}},
    {OUTCOME, "status=201 why=o\xF0\x9F\x98\x80 token=ab seq=1700",
     {"{'status':201,'message':'\\u006f\\ud83d\\ude00','token':'\\u0061b','seq':1700}   "}},
    {OUTCOME, "status=200 token=x",
     {"x", "{'status':200,'token':'x'}", "{'status_code':200,'user_token':'x'}"}},
    {OUTCOME, "status=404 why=no", {"{'status':404,'message':'no','token':null}"}},
    {OUTCOME, "status=404", {"{'status':404}", "{'status_code':404,'user_token':null}"}},
    {OUTCOME, "status=599", {"{'status':599}"}},
    {OUTCOME, "status=300", {"{'status':300,'token':null}"}},
    {OUTCOME, "status=299 token=t", {"{'status':299,'token':'t'}"}},
    {OUTCOME, "status=200 token=error:", {"error:"}},
    {OUTCOME, "status=200 token=k{255}", {"k{255}", "{'status':200,'token':'k{255}'}"}},
    {OUTCOME, "status=400", {"error: "}},
    {OUTCOME, "status=400 why=no such room", {"error: no such room"}},
    {OUTCOME, "bad",
     {"", "{}", "{'status':200", "{'status':404", "{'status':200,'message':'ok'}",
      "{'status':200,'token':''}", "{'status':'200','token':'a'}", "{'status':404.0}",
      "{'status_code':null}", "{'status':199,'token':'a'}", "{'status':600}", "{'status':299}",
      "{'status':4294967696}", "{'status':200,'token':null}", "{'token':'a'}",
      "k{256}", "{'status':200,'token':'k{256}'}"}},

    /* lines of a list */
    {LISTED, "room=lobby size=2", {"{'room':'lobby','size':2,'password_required':false}"}},
    {LISTED, "room=l\xC3\xB6 size=12 password=1",
     {"{'room':'l\\u00f6','size':12,'password_required':true}"}},
    {LISTED, "name=b more=1", {"{'username':'b','host':false,'more':true}"}},
    {LISTED, "name=alice host=1", {"{'username':'alice','host':true,'x':null}"}},
    {LISTED, "", {"{'more':true,'more':false}"}},
    {LISTED, "password=1",
     {"{'\\u0070\\u0061\\u0073\\u0073\\u0077\\u006f\\u0072\\u0064\\u005f\\u0072\\u0065\\u0071"
      "\\u0075\\u0069\\u0072\\u0065\\u0064':true}"}},
    {LISTED, "bad", {"{'more':truex}", "{'more':true}\n{}", ""}}};

/* What was found makes the same bytes again where there is space for them, and no others. */
static void encode_again(int kind, const uint8_t *bytes, size_t len)
{
    size_t cap, k, touched;
    for (cap = 0; cap <= len; cap++) {
        uint8_t *p = (uint8_t *)allocate(cap + 16);
        memset(p, '\n', cap + 16); /* what was there before does not matter */
        CHECK(encode(kind, p, cap) == (cap == len ? (int)len : OCM_E_SPACE));
        for (k = touched = 0; k < 16; k++) touched += p[cap + k] != '\n';
        CHECK(touched == 0);
        CHECK(cap < len || memcmp(p, bytes, len) == 0);
        free(p);
    }
}

/* No strict prefix of something valid is valid. What is still valid with one bit flipped means the
   same when it is encoded and decoded again. Each of the 29 bytes of a length counts. */
static void cut_and_flip(int kind, uint8_t *bytes, size_t len)
{
    static char before[sizeof decoded];
    uint8_t out[4096];
    size_t n, bit, whole = kind == DATAGRAM ? 2u + bytes[0] + bytes[1] : len;
    while (kind >= MESSAGE && strchr(" \t\r\n", bytes[whole - 1])) whole--;
    for (n = 0; n < len + (framed(kind) ? 1 : 0); n++) { /* what follows a frame is left */
        decode(kind, bytes, n);
        CHECK(framed(kind) ? (verdict == 0) == (n < len) : (verdict == OCM_E_BAD) == (n < whole));
    }
    for (bit = 0; bit < 8 * len; bit++) {
        int result;
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        decode(kind, bytes, len);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (framed(kind) && bit / 8 > 2 && bit / 8 < 30) {
            CHECK(verdict == OCM_E_LARGE);
            CHECK(found.frame.op == bytes[1]);
            CHECK(found.frame.state == bytes[2]);
        }
        if (verdict <= 0 || kind >= OUTCOME) continue; /* refused, or there is no encoder */
        strcpy(before, decoded);
        result = encode(kind, out, sizeof out);
        if (!CHECK(result > 0)) continue;
        decode(kind, out, (size_t)result);
        CHECK(strcmp(decoded, before) == 0);
    }
}

static void test_cases(void)
{
    static uint8_t bytes[1024];
    size_t i, k, len;
    for (i = 0; i < COUNT(vectors); i++)
        for (k = 0; vectors[i].texts[k]; k++) {
            int kind = vectors[i].kind & ~BOTH_WAYS;
            if (!CHECK(means(kind, vectors[i].texts[k], vectors[i].means))) continue;
            len = bytes_of(kind, row, bytes);
            if (kind != vectors[i].kind) encode_again(kind, bytes, len);
            if (verdict > 0) cut_and_flip(kind == VALUE ? MESSAGE : kind, bytes, len);
        }
    row = "the largest number of all";
    found.message.has = OCM_HAS_SEQ;
    found.message.seq = UINT64_MAX;
    CHECK(encode(MESSAGE, bytes, sizeof bytes) == 28);
    CHECK(memcmp(bytes, "{\"seq\":18446744073709551615}", 28) == 0);
    row = "no bytes, and no pointer to them";
    CHECK(ocm_message_decode(view(NULL, 0), NULL, &found.message) == OCM_E_BAD);
    CHECK(ocm_view_equal(view(NULL, 0), ocm_text("")));
    CHECK(sprintf((char *)bytes, "%.*s", OCM_S(view(NULL, 0))) == 0);
}

/* What is as large as it may be, on the wire and in a struct. */
static void test_largest(void)
{
    static uint8_t out[OCM_ANSWER_MAX], json[OCM_DATAGRAM_MAX];
    static char name[OCM_NAME_MAX + 1], text[OCM_LIST_MAX + 1], token[OCM_TOKEN_MAX + 1];
    ocm_view list = ocm_text(repeat(text, 'x', OCM_LIST_MAX));
    ocm_message *m = &found.message;
    ocm_request *q = &found.request;
    int len;
    CHECK(ocm_frame_encode(out, sizeof out, 3, 2, view(NULL, 0), list) == OCM_ANSWER_MAX);
    CHECK(memcmp(out + 28, "\0\1\0\0x", 5) == 0);
    CHECK(ocm_frame_decode(out, sizeof out, OCM_LIST_MAX, &found.frame) == OCM_ANSWER_MAX);
    CHECK(ocm_view_equal(found.frame.payload, list));
    out[31]++;
    CHECK(ocm_frame_decode(out, OCM_HEADER_LEN, OCM_LIST_MAX, &found.frame) == OCM_E_LARGE);
    CHECK(means(FRAME, "000100p{4097}", "bad"));
    CHECK(means(FRAME, "ff0100n{255}p{4096}", "op=1 room=n{255} payload=p{4096}"));
    CHECK(encode(FRAME, out, sizeof out) == OCM_FRAME_MAX);
    CHECK(means(DATAGRAM, "ffffn{255}t{255}p{3584}", "room=n{255} token=t{255} payload=p{3584}"));
    CHECK(encode(DATAGRAM, out, sizeof out) == OCM_DATAGRAM_MAX);
    found.datagram.payload.len++;
    CHECK(encode(DATAGRAM, out, sizeof out) == OCM_E_SPACE);

    memset(&found, 0, sizeof found); /* OCM_TEXT_MAX bytes fit even with the largest numbers */
    m->has = OCM_HAS_SENDER | OCM_HAS_TEXT | OCM_HAS_SEQ | OCM_HAS_ID;
    m->sender = ocm_text("\"");
    m->text = ocm_text(repeat(text, '\\', (OCM_TEXT_MAX - 4) / 2));
    m->seq = m->id = OCM_INTEGER_MAX;
    len = encode(MESSAGE, json, sizeof json - 1);
    if (!CHECK(len > OCM_TEXT_MAX - 2)) return;
    CHECK(ocm_datagram_encode(out, sizeof out, ocm_text("ro"), view(text, OCM_TOKEN_LEN),
                              view(json, (size_t)len + 1)) > len);

    q->op = OCM_JOIN; /* the longest request of a session fits; a longer one is not made */
    q->room = q->name = ocm_text(repeat(name, 'n', OCM_NAME_MAX));
    q->password = ocm_text(repeat(text, '\x1F', OCM_NAME_MAX));
    q->token = ocm_text(repeat(token, '"', OCM_TOKEN_MAX));
    q->ip = ocm_text("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255");
    q->port = 65535;
    q->level = 1;
    len = encode(REQUEST, out, sizeof out);
    decode(REQUEST, out, len > 0 ? (size_t)len : 0);
    CHECK(verdict == 1);
    CHECK(is(q->token, token));
    q->ip = ocm_text(repeat(text, '0', OCM_PAYLOAD_MAX));
    CHECK(encode(REQUEST, out, sizeof out) == OCM_E_SPACE);
}

/* ---- Which server has the room ---- */

static void test_pick(void)
{
    static const char *const names[] = {
        "127.0.0.1/8000:9000", "127.0.0.1/8001:9001", "chat.example/8000:9000", "::1/8000:9000",
        "a.example/8000:9000", "b.example/8000:9000", "127.0.0.1/8002:9002", "c.example/8000:9000",
        "2001:db8::1/8000:9000", "d/1:2"};
    /* Of the first, of the first two ..., calculated by another program from the declaration.
       It must never change: a new client and an old one would look for a room on different servers.
       That a server more moves no other room follows from the best score. */
    static const struct { const char *room; size_t pick[COUNT(names)]; } rooms[] = {
        {"lobby", {0, 1, 1, 1, 1, 1, 6, 6, 6, 6}},
        {"garden", {0, 1, 1, 3, 3, 3, 3, 3, 3, 9}},
        {"b", {0, 0, 0, 3, 4, 4, 4, 4, 4, 4}},
        {"広場", {0, 1, 2, 2, 2, 2, 2, 7, 7, 7}},
        {"😀", {0, 1, 2, 2, 2, 2, 2, 2, 2, 2}},
        {"two words", {0, 1, 1, 3, 3, 5, 5, 5, 5, 5}},
        {"library of a very long name, longer than one block", {0, 0, 2, 3, 3, 3, 3, 3, 8, 8}}};
    ocm_view servers[COUNT(names)], turned[COUNT(names)];
    size_t i, k, n;
    for (k = 0; k < COUNT(names); k++) servers[k] = ocm_text(names[k]);
    for (i = 0; i < COUNT(rooms); i++) {
        const ocm_view room = ocm_text(rooms[i].room);
        const size_t *pick = rooms[i].pick;
        for (n = 0; n < COUNT(names); n++) CHECK(ocm_pick(servers, n + 1, room) == pick[n]);
        for (k = 0; k < n; k++) turned[k] = servers[(k * 3 + i) % n]; /* 3 does not divide n */
        CHECK(ocm_view_equal(turned[ocm_pick(turned, n, room)], servers[pick[n - 1]]));
    }
}

#define UNIT_TESTS \
    {"utf8", test_utf8}, {"names_and_messages", test_names_and_messages}, \
    {"same_host", test_same_host}, {"siphash", test_siphash}, {"cases", test_cases}, \
    {"largest", test_largest}, {"pick", test_pick},

#include <stdarg.h>

/* ---- Registry and connections: conversations as text ---- */

/* A test is mostly a conversation, one line a step:

       alice create lobby json              a request on a connection of its own; the answer is
       tom join lobby text = 404            checked byte by byte; its status, if it is a refusal;
       bob join lobby json1 `port`:7        more JSON may follow the dialect (or team_a)
       lena returns lobby same              joins again with its token, and has the same one (or
                                            "new") afterwards; more JSON may follow, too
       tom: hi, lena 3: hi                  a message, in its dialect; one with an id
       lena at 17, lena ping, lena leaves   a position, a keep-alive, leaving
       lena raw {`message`:`a`}             any payload; $1b is a byte, $t the person's token
       tom datagram $05$20lobby$thi         any datagram
       lena host 7, lena tcp 7, lena ip HEX from now on all it does, or only its connections, come
                                            from 10.0.0.7, or from that address
       lena port 7, lena socket 2           likewise; the port is that of its datagrams
       lena entered 5                       the seq in its last answer
       bob opens, bob hangs, bob ends       a connection; it breaks; bob sends nothing more on it
       bob asks join lobby json = 404       a request on the connection that there is; JSON in
                                            braces, and any text below JSON, is its whole payload
       bob bytes $05$02                     any bytes on it; <26> is 26 zeros
       bob takes 10                         as many bytes of answers as its socket takes from now on
       bob takes all                        what was offered, and nothing more goes on
       bob sees 404 open                    an answer has come by now, with that status (0: none);
                                            the connection is open, shut (for sending) or closed
       bob due 1000                         the connection is to be looked at in 1000 ms
       eve asks list - json {} = PATTERN    what a list request is answered; "-": no room's name
       fail tom, fail nobody, again 0       whatever is sent to tom fails; the first of it once more
       crowd 20 lobby 7 = 200               20 members join from 10.0.0.7 (0: loopback; in room
                                            "-" each creates one); nobody looks what they get
       count members 4, count packets 1     ocm_counts, or the datagrams since the last "->"; count
                                            full 1: those of 1200 bytes
       until 1000, until never              when the registry wants to be called
       wait 1000, stop, drain, pull 3       time passes; the server stops; nothing; 3 datagrams
       9 times n# create # json & n#: hi    as it says; # counts from 1000

   Anywhere: ` is ", ^ a newline, x{300} is 300 times x. A "!" before a datagram says that the
   registry has to drop it. After " ->", the registry is drained, and what everybody gets is listed,
   in each one's order, and nothing else may come:

       -> alice 5, lena 5/3, tom            what was just said: seq, and the id where there is one
       -> lena 'tom: old' 4, tom +bob       what somebody said; a notice that bob joined; -bob: left
       -> lena 'tom: old' 4..9              the same six times
       -> tom out host, tom refused 3       operation 3 with its reason; 4, with the id at level 1
       -> lena status 17 1 3                seq, first, id; may come before or after entries
       -> tom *, mal **, *                  any line to tom; any lines to mal; whatever else

   Persons are made when they are first named: the first at 10.0.0.1, port 4001, and so on. */

enum { REG_PEOPLE = 28, REG_LINES = 8192, REG_SCRIPT = 32768 };

typedef struct reg_person {
    char name[OCM_NAME_MAX + 1], room[OCM_NAME_MAX + 1], token[OCM_TOKEN_LEN + 1];
    char dialect;     /* J JSON, L JSON at level 1, T text, A team A */
    ocm_addr at, tcp; /* where its datagrams and its connection come from */
    ocm_conn *conn;
    ocm_io io;        /* what ocm_conn_next said last */
    int open, ended;  /* there is a connection; it sends nothing more on it */
    uint8_t *answer;  /* the bytes that came by TCP and that no test looked at */
    size_t len, bite; /* how many; how many more its socket takes */
    int op, status;
    char asked[OCM_NAME_MAX + 1];      /* the room of its last request */
    char logged[2 * OCM_NAME_MAX + 2]; /* room and name of the last answer, as for a log */
    uint64_t seq, log;
} reg_person;

typedef struct reg_line { /* a datagram, or a line of one to a member of level 1 */
    const reg_person *to;
    char *text;
    int read, reason;
} reg_line;

static ocm_registry *reg_g;
static const ocm_counts *reg_counts;
static void *reg_memory;
static uint8_t reg_fill = 0xA5; /* what all memory holds before it is used */
static uint64_t reg_now, reg_start = 5000, reg_until;
static uint32_t reg_idle;       /* of the limits */
static reg_person reg_people[REG_PEOPLE];
static reg_line reg_lines[REG_LINES];
static size_t reg_known, reg_line_count, reg_packets, reg_full, reg_repeats;
static const reg_person *reg_failing; /* whatever is sent to it fails */
static ocm_event reg_failed[8];       /* what failed since that was said */
static size_t reg_failures;
static char reg_said[REG_SCRIPT];     /* of the step at hand: what was said, and by whom */
static const reg_person *reg_speaker;
static unsigned reg_crowd;            /* members without a person so far */
static int reg_lenient;               /* it does not matter which datagrams count */

static void reg_begin(const ocm_limits *limits)
{
    static const uint8_t key[32] = {7, 1, 2};
    size_t size = ocm_registry_size(limits);
    reg_memory = allocate(size);
    memset(reg_memory, reg_fill, size);
    reg_g = ocm_registry_init(reg_memory, limits, key);
    reg_counts = ocm_registry_counts(reg_g);
    reg_idle = limits && limits->idle ? limits->idle : 300;
    reg_now = reg_start;
    reg_crowd = 0;
    reg_repeats = 0;
    reg_failing = NULL;
}

#define REG(...) reg_begin(&(ocm_limits){__VA_ARGS__})

static void reg_forget(void)
{
    while (reg_line_count > 0) free(reg_lines[--reg_line_count].text);
    reg_packets = reg_full = 0;
}

static void reg_end(void)
{
    for (; reg_known > 0; reg_known--) {
        free(reg_people[reg_known - 1].conn);
        free(reg_people[reg_known - 1].answer);
    }
    reg_forget();
    free(reg_memory);
}

/* ::ffff:10.0.x.x; host 0 is loopback, of which there may be as many as one likes. */
static ocm_addr reg_host(int host, int port)
{
    ocm_addr a;
    memset(&a, 0, sizeof a);
    a.ip[10] = a.ip[11] = 0xFF;
    a.ip[12] = host ? 10 : 127;
    a.ip[14] = (uint8_t)(host >> 8);
    a.ip[15] = (uint8_t)host;
    a.port = (uint16_t)port;
    return a;
}

static reg_person *reg_who(const char *name)
{
    reg_person *p;
    size_t i;
    for (i = 0; i < reg_known; i++)
        if (strcmp(reg_people[i].name, name) == 0) return &reg_people[i];
    if (!CHECK(reg_known < REG_PEOPLE && strlen(name) < sizeof p->name)) exit(2);
    p = &reg_people[reg_known++];
    memset(p, 0, sizeof *p);
    strcpy(p->name, name);
    p->dialect = 'J';
    p->at = p->tcp = reg_host((int)reg_known, 4000 + (int)reg_known);
    p->answer = (uint8_t *)allocate(2 * OCM_ANSWER_MAX);
    p->conn = (ocm_conn *)allocate(sizeof *p->conn);
    memset((void *)p->conn, reg_fill, sizeof *p->conn);
    return p;
}

static int reg_json(const reg_person *p)
{
    return p->dialect == 'J' || p->dialect == 'L';
}

/* In a pattern * stands for any bytes, or none. */
static int reg_like(const char *p, size_t len, const char *pattern)
{
    for (; *pattern && *pattern != '*'; pattern++, p++, len--)
        if (len == 0 || *p != *pattern) return 0;
    if (*pattern == 0) return len == 0;
    for (;; p++, len--) {
        if (reg_like(p, len, pattern + 1)) return 1;
        if (len == 0) return 0;
    }
}

/* As JSON writes it. */
static char *reg_escape(char *out, const char *text)
{
    char *at = out;
    for (; *text; text++) {
        if (*text == '"' || *text == '\\' || *text == '\t') *at++ = '\\';
        *at++ = *text == '\t' ? 't' : *text;
    }
    *at = 0;
    return out;
}

/* See fuzz_client(). */
static void reg_fuzz(const reg_person *p, int what, const void *bytes, size_t len)
{
    fuzz_add(what, (int)((p - reg_people) % 7), bytes, len);
}

/* ---- Connections ---- */

static void reg_hang_up(reg_person *p)
{
    if (p->open) ocm_conn_close(p->conn, reg_g, reg_now);
    p->open = 0;
}

static void reg_connect(reg_person *p)
{
    reg_hang_up(p);
    reg_fuzz(p, 2, NULL, 0);
    ocm_conn_open(p->conn, &p->tcp, reg_now);
    p->open = 1;
    p->len = 0;
    p->ended = p->status = 0;
    p->bite = SIZE_MAX;
}

/* What a program does with a connection until nothing more goes on. */
static void reg_pump(reg_person *p)
{
    size_t n = 1;
    while (p->open && n > 0) {
        uint64_t before = reg_counts->requests;
        ocm_conn_next(p->conn, reg_g, reg_now, &p->io);
        CHECK(p->io.until >= reg_now);
        CHECK(reg_counts->requests == before + (p->io.status != 0)); /* one a call */
        CHECK(!p->ended || p->io.read == 0);
        if (p->io.status) {
            p->op = p->io.op;
            p->status = p->io.status;
            sprintf(p->logged, "%.*s/%.*s", OCM_S(p->io.room), OCM_S(p->io.name));
        }
        n = p->io.send.len < p->bite ? p->io.send.len : p->bite;
        if (!CHECK(p->len + n <= 2 * OCM_ANSWER_MAX)) return;
        if (n) memcpy(p->answer + p->len, p->io.send.ptr, n);
        if (n) ocm_conn_sent(p->conn, n);
        p->len += n;
        p->bite -= n;
        if (p->io.close) reg_hang_up(p);
        n += p->io.status != 0;
    }
}

/* Offers bytes to the connection, a new one if there is none, as fast as it takes them, and in
   pieces of all lengths. How many it took. */
static size_t reg_receive(reg_person *p, const uint8_t *bytes, size_t len)
{
    static size_t pieces;
    size_t done = 0;
    if (!p->open) reg_connect(p);
    reg_pump(p);
    reg_fuzz(p, 5, bytes, len);
    while (p->open && done < len && p->io.read > 0) {
        size_t n = len - done, most = 1 + pieces++ % 71;
        uint8_t *c;
        if (n > p->io.read) n = p->io.read;
        if (n > most) n = most;
        c = copy(bytes + done, n);
        ocm_conn_received(p->conn, c, n, reg_now);
        free(c);
        done += n;
        reg_pump(p);
    }
    return done;
}

/* Asks on the connection that is there, or else on a new one, in that person's dialect. More: JSON
   members, or the whole payload instead. */
static void reg_ask(reg_person *p, int op, const char *room, const char *user, const char *more)
{
    char payload[OCM_PAYLOAD_MAX + 1], name[2 * OCM_NAME_MAX];
    uint8_t bytes[OCM_FRAME_MAX];
    int n;
    if (!reg_json(p)) strcpy(payload, *more ? more : user);
    else if (*more == '{') strcpy(payload, more);
    else sprintf(payload, "{\"username\":\"%s\"%s%s%s}", reg_escape(name, user),
                 p->dialect == 'L' ? ",\"ocm\":1" : "", *more ? "," : "", more);
    n = ocm_frame_encode(bytes, sizeof bytes, op, p->dialect == 'A', ocm_text(room),
                         ocm_text(payload));
    strcpy(p->asked, room);
    CHECK(n > 0 && reg_receive(p, bytes, (size_t)n) == (size_t)n);
}

/* Reads one frame of the answer, into `found`, too. Its payload, which the next call overwrites;
   NULL if it is not there, or of another kind. */
static const char *reg_read_frame(reg_person *p, int op, int state, const char *room,
                                  const char *pattern)
{
    static char payload[OCM_LIST_MAX + 1];
    ocm_frame f;
    int n = ocm_frame_decode(p->answer, p->len, OCM_LIST_MAX, &f);
    if (n <= 0 || f.op != op || f.state != state || !is(f.room, room)) return NULL;
    decode(OUTCOME, p->answer, (size_t)n);
    memcpy(payload, f.payload.ptr, f.payload.len);
    payload[f.payload.len] = 0;
    p->len -= (size_t)n;
    memmove(p->answer, p->answer + n, p->len);
    return reg_like(payload, f.payload.len, pattern) ? payload : NULL;
}

/* Reads an answer, which has that status, and is right to the byte; of a success it takes the token
   and what level 1 adds. In the dialects without JSON 100 ms have to lie between the two frames. */
static int reg_answered(reg_person *p, int status)
{
    int op = p->op, good = status < 300, json = reg_json(p);
    const struct { char dialect; const char *ack, *good, *bad; } *f, forms[] = {
        {'J', "{\"status\":202,\"message\":\"*\"}",
         "{\"status\":%d,\"message\":\"*\",\"token\":\"*\"}", "{\"status\":%d,\"message\":\"*\"}"},
        {'L', "{\"status\":202,\"message\":\"*\"}",
         "{\"status\":%d,\"message\":\"*\",\"token\":\"*\",\"ocm\":1,\"idle\":%u,"
         "\"seq\":*,\"log\":*}",
         "{\"status\":%d,\"message\":\"*\"}"},
        {'T', "*", "*", "error: *"},
        {'A', "*", "{\"status_code\":200,\"user_token\":\"*\"}",
         "{\"status_code\":%d,\"user_token\":null}"}};
    int ack = p->dialect == 'A' ? 200 : good ? 0 : status == 401 ? 3 : status == 404 ? 2
            : status == 409 ? (op == OCM_CREATE ? 1 : 6) : status == 503 ? 5 : 4;
    char done[256];
    const char *payload;
    const ocm_outcome *o = &found.outcome;
    if (op == OCM_LIST && good)
        return p->status == 200 && reg_read_frame(p, op, OCM_STATE_COMPLETE, "", "*") != NULL;
    if (!json) {
        CHECK(p->io.until == reg_now + 100);
        reg_now += 99;
        reg_pump(p);
        CHECK(p->len == OCM_HEADER_LEN + 1);
        reg_now += 1;
        reg_pump(p);
    }
    for (f = forms; f->dialect != p->dialect; f++) {}
    payload = reg_read_frame(p, op, OCM_STATE_ACK, "", f->ack);
    if (!payload || (!json && (uint8_t)*payload != ack)) return 0;
    if (p->dialect == 'A' && status != 404) status = 400;
    sprintf(done, good ? f->good : f->bad, status, (unsigned)reg_idle);
    payload = reg_read_frame(p, op, OCM_STATE_COMPLETE, good && !json ? p->asked : "", done);
    if (!payload || strstr(payload, "\"message\":\"\"")) return 0; /* it always says something */
    if (!good) return 1;
    if (o->token.len != OCM_TOKEN_LEN) return 0;
    sprintf(p->token, "%.*s", OCM_S(o->token));
    strcpy(p->room, p->asked);
    p->seq = o->seq;
    p->log = o->log;
    return strspn(p->token, "0123456789abcdef") == OCM_TOKEN_LEN &&
           (p->dialect != 'L' || (p->log > 0 && p->log <= OCM_INTEGER_MAX));
}

/* STATUS [open|shut|closed]: what has come by now, and how the connection is. Or what a list is
   like. */
static void reg_sees(reg_person *p, const char *s)
{
    int status = atoi(s);
    reg_pump(p);
    if (status) CHECK(reg_answered(p, status));
    else if (*s != '0') CHECK(reg_read_frame(p, OCM_LIST, OCM_STATE_COMPLETE, "", s) != NULL);
    CHECK(status || p->len == 0);
    if (strstr(s, "open")) CHECK(p->open && !p->io.shut);
    if (strstr(s, "shut")) CHECK(p->open && p->io.shut);
    if (strstr(s, "closed")) CHECK(!p->open);
}

/* ---- Datagrams ---- */

static int reg_send_bytes(const uint8_t *bytes, size_t len, const ocm_addr *from)
{
    uint8_t *p = copy(bytes, len);
    int result = ocm_registry_datagram(reg_g, p, len, from, reg_now);
    free(p);
    return result;
}

static size_t reg_header(const char *room, const char *token, uint8_t *out)
{
    int n = ocm_datagram_encode(out, OCM_DATAGRAM_MAX, ocm_text(room), ocm_text(token),
                                view(NULL, 0));
    return CHECK(n > 0) ? (size_t)n : 0;
}

static int reg_send(const reg_person *p, const char *payload)
{
    uint8_t bytes[2 * OCM_DATAGRAM_MAX];
    size_t len = reg_header(p->room, p->token, bytes);
    memcpy(bytes + len, payload, strlen(payload));
    reg_fuzz(p, 14, payload, strlen(payload));
    return reg_send_bytes(bytes, len + strlen(payload), &p->at);
}

/* A message in its dialect; id 0: none. */
static int reg_say(const reg_person *p, const char *text, uint64_t id)
{
    static char payload[16384 + 64], json[16384];
    if (!reg_json(p)) return reg_send(p, text);
    sprintf(payload, id ? "{\"message\":\"%s\",\"id\":%llu}" : "{\"message\":\"%s\"}",
            reg_escape(json, text), (unsigned long long)id);
    return reg_send(p, payload);
}

#define POSITION "{\"sender\":\"system\",\"operation\":6,\"seq\":"

static int reg_position(const reg_person *p, unsigned long long seq)
{
    char json[128];
    sprintf(json, POSITION "%llu}", seq);
    return reg_send(p, json);
}

static int reg_leave(const reg_person *p)
{
    return reg_send(p, reg_json(p) ? "{\"sender\":\"system\",\"operation\":2}"
                                   : "[remove_chatroom]");
}

static int reg_same(const ocm_addr *a, const ocm_addr *b)
{
    return memcmp(a->ip, b->ip, 16) == 0 && memcmp(a->local, b->local, 16) == 0 &&
           a->scope == b->scope && a->port == b->port && a->socket == b->socket;
}

/* Keeps a datagram: from its header on, one to a member of level 1 line by line. */
static void reg_keep(const ocm_event *ev)
{
    const reg_person *p = NULL;
    const uint8_t *bytes = ev->datagram.ptr;
    uint8_t head[2 + OCM_NAME_MAX + OCM_TOKEN_LEN];
    size_t i, at = 0, end, len = ev->datagram.len;
    for (i = 0; i < reg_known; i++)
        if (reg_same(&reg_people[i].at, &ev->to)) p = &reg_people[i];
    if (!p && reg_crowd) return;
    if (!CHECK(p != NULL && len > 0 && len <= OCM_DATAGRAM_MAX)) return;
    if (p->dialect != 'T') at = reg_header(p->room, p->token, head);
    if (!CHECK(at < len && memcmp(bytes, head, at) == 0)) return;
    if (ev->reason) CHECK(is(ev->room, p->room) && is(ev->name, p->name));
    reg_packets++;
    reg_full += len == OCM_BATCH_MAX;
    for (; at < len; at = end + 1) {
        reg_line *l = &reg_lines[reg_line_count];
        for (end = at; end < len; end++)
            if (p->dialect == 'L' && bytes[end] == '\n') break;
        CHECK(p->dialect != 'L' || end < len);
        if (end == at) continue;
        if (ev->reason && end + 1 < len) { /* beside the reason, the last of the log again */
            reg_repeats++;
            continue;
        }
        if (!CHECK(reg_line_count < REG_LINES)) return;
        reg_line_count++;
        memset(l, 0, sizeof *l);
        l->to = p;
        l->reason = ev->reason;
        l->text = (char *)allocate(end - at + 1);
        memcpy(l->text, bytes + at, end - at);
    }
}

/* Pulls one datagram. */
static int reg_pull(void)
{
    ocm_event ev;
    if (!ocm_registry_next(reg_g, reg_now, &ev)) {
        reg_until = ev.until;
        CHECK(reg_until > reg_now);
        return 0;
    }
    if (reg_failing && reg_same(&ev.to, &reg_failing->at) && !ev.reason) {
        ocm_registry_failed(reg_g, &ev, reg_now);
        reg_failed[reg_failures++ % COUNT(reg_failed)] = ev;
    } else {
        reg_keep(&ev);
    }
    return 1;
}

static void reg_drain(void)
{
    while (reg_pull()) {}
}

/* Drains without a look at anything. */
static void reg_drain_unseen(void)
{
    ocm_event ev;
    while (ocm_registry_next(reg_g, reg_now, &ev)) {}
    reg_until = ev.until;
}

static int reg_is_status(const char *line)
{
    return strncmp(line, "{\"sender\":\"system\",\"operation\":6", 32) == 0;
}

/* The next line that this person did not read yet: a status, or else one that is none. */
static reg_line *reg_next_line(const reg_person *p, int status)
{
    size_t i;
    for (i = 0; i < reg_line_count; i++)
        if (reg_lines[i].to == p && !reg_lines[i].read &&
            reg_is_status(reg_lines[i].text) == status) {
            reg_lines[i].read = 1;
            return &reg_lines[i];
        }
    return NULL;
}

static const char *const reg_reasons[][2] = {
    {"", ""}, {"left", "you left"}, {"host", "the host left"}, {"timeout", "timed out"},
    {"unreachable", "you could not be reached"}, {"stopping", "the server is stopping"}};

static int reg_reason(const char *key)
{
    int reason = 0;
    while (strcmp(reg_reasons[reason][0], key) != 0) reason++;
    return reason;
}

/* A message as that person gets it: of `who`, or with an operation about it, from the system (then
   text is a reason, and the words are the server's own). seq 0: any, or none. */
static void reg_entry(const reg_person *p, int operation, const char *who, const char *text,
                      uint64_t seq, uint64_t id, char *out)
{
    static const char *const words[] = {"", " joined", " left*", "You have been disconnected: ",
                                        "*"};
    static char json[16384], name[1024];
    const char *about = operation == OCM_OP_JOINED || operation == OCM_OP_LEFT ? who : "";
    const char *why = operation == OCM_OP_REMOVED ? reg_reasons[reg_reason(text)][1] : "";
    if (!reg_json(p)) {
        if (operation) sprintf(out, "system: %s%s%s", about, words[operation], why);
        else sprintf(out, "%s: %s", who, text);
        return;
    }
    reg_escape(json, operation ? about : text);
    reg_escape(name, who);
    out += sprintf(out, "{\"sender\":\"%s\"", operation ? "system" : name);
    if (operation) out += sprintf(out, ",\"operation\":%d,\"username\":\"%s\"", operation, name);
    if (operation == OCM_OP_REMOVED) out += sprintf(out, ",\"reason\":\"%s\"", text);
    out += sprintf(out, ",\"message\":\"%s%s%s\"", json, words[operation], why);
    if (seq) out += sprintf(out, ",\"seq\":%llu", (unsigned long long)seq);
    else if (operation <= OCM_OP_LEFT) out += sprintf(out, ",\"seq\":*");
    if (id && p->dialect == 'L') out += sprintf(out, ",\"id\":%llu", (unsigned long long)id);
    strcpy(out, "}");
}

/* ---- The language ---- */

static char *reg_word(char **s)
{
    char *word;
    while (**s == ' ') ++*s;
    for (word = *s; **s && **s != ' '; ++*s) {}
    if (**s) *(*s)++ = 0;
    return word;
}

/* One thing that somebody is to get, as listed after the arrow. */
static void reg_expect(char *item)
{
    static char pattern[REG_SCRIPT];
    const reg_person *p = reg_who(reg_word(&item));
    const char *who = p->name, *text = item + 4;
    unsigned long long seq = 0, last = 0, id = 0, first = 0;
    int operation = 0, reason = 0, status = 0;
    reg_line *l;
    if (strcmp(item, "**") == 0) {
        while (reg_next_line(p, 0) || reg_next_line(p, 1)) {}
        return;
    }
    if (strncmp(item, "out ", 4) == 0) {
        operation = OCM_OP_REMOVED;
        reason = reg_reason(text);
    } else if (strncmp(item, "refused", 7) == 0) {
        operation = OCM_OP_NOTICE;
        sscanf(item, "refused %llu", &id);
    } else if (*item == '+' || *item == '-') {
        operation = *item == '+' ? OCM_OP_JOINED : OCM_OP_LEFT;
        who = reg_word(&item) + 1;
    } else if (*item == '\'') {
        who = item + 1;
        item = strrchr(item, '\'');
        *item++ = 0;
        text = strstr(who, ": ") + 2;
        *strstr(who, ": ") = 0;
    } else {
        who = reg_speaker ? reg_speaker->name : "";
        text = reg_said;
    }
    status = sscanf(item, "status %llu %llu %llu", &seq, &first, &id) == 3;
    if (!status) sscanf(item, "%llu/%llu", &seq, &id);
    if (!status) sscanf(item, "%llu..%llu", &seq, &last);
    do {
        if (status) sprintf(pattern, POSITION "%llu,\"first\":%llu,\"id\":%llu}", seq, first, id);
        else if (*item == '*') strcpy(pattern, "*");
        else reg_entry(p, operation, who, text, seq, id, pattern);
        l = reg_next_line(p, status);
        if (!CHECK(l && reg_like(l->text, strlen(l->text), pattern) && l->reason == reason))
            printf("   %s should get %.200s\n   and got %.200s\n", p->name, pattern,
                   l ? l->text : "nothing");
    } while (seq++ < last && l);
}

static void reg_expect_all(const char *items)
{
    char item[REG_SCRIPT];
    size_t i;
    int all = 1;
    while (next_part(&items, ", ", item)) {
        if (*item == '*') all = 0;
        else reg_expect(item);
    }
    for (i = 0; all && i < reg_line_count; i++)
        if (!CHECK(reg_lines[i].read))
            printf("   unread: %s %.120s\n", reg_lines[i].to->name, reg_lines[i].text);
    reg_forget();
}

/* $41 is a byte, $t that person's token, <26> is 26 zeros. */
static size_t reg_unescape(const reg_person *p, const char *s, uint8_t *out)
{
    size_t len = 0;
    while (*s) {
        if (*s == '$' && s[1] == 't') {
            memcpy(out + len, p->token, OCM_TOKEN_LEN);
            len += OCM_TOKEN_LEN;
            s += 2;
        } else if (*s == '$') {
            out[len++] = (uint8_t)(digit(s[1]) << 4 | digit(s[2]));
            s += 3;
        } else if (*s == '<') {
            size_t zeros = (size_t)atoi(s + 1);
            memset(out + len, 0, zeros);
            len += zeros;
            s = strchr(s, '>') + 1;
        } else {
            out[len++] = (uint8_t)*s++;
        }
    }
    return len;
}

/* [asks] VERB ROOM DIALECT|same|new [MORE] [= STATUS]; for a list there may be a pattern instead of
   STATUS. */
static void reg_enter(reg_person *p, const char *verb, char *s)
{
    static const char *const dialects[] = {"json", "json1", "text", "team_a"};
    static char more[REG_SCRIPT];
    int asks = strcmp(verb, "asks") == 0, back, op, status;
    const char *room, *word;
    char *equals = strstr(s, "= "), old[OCM_TOKEN_LEN + 1], logged[2 * OCM_NAME_MAX + 2];
    uint64_t log = p->log;
    size_t i;
    if (asks) verb = reg_word(&s);
    back = *verb == 'r';
    op = *verb == 'c' ? OCM_CREATE : *verb == 'l' ? OCM_LIST : *verb < 'a' ? atoi(verb) : OCM_JOIN;
    status = equals ? atoi(equals + 2) : op == OCM_CREATE ? 201 : 200;
    room = reg_word(&s);
    if (strcmp(room, "-") == 0) room = "";
    word = reg_word(&s);
    if (equals) *equals = 0;
    for (i = 0; i < COUNT(dialects); i++)
        if (strcmp(word, dialects[i]) == 0) p->dialect = "JLTA"[i];
    strcpy(old, p->token);
    memset(more, 0, sizeof more);
    if (back) sprintf(more, "\"token\":\"%s\"%s", p->token, *s ? "," : "");
    reg_unescape(p, s, (uint8_t *)more + strlen(more));
    if (*more && more[strlen(more) - 1] == ' ') more[strlen(more) - 1] = 0;
    if (!asks) reg_connect(p);
    reg_ask(p, op, room, p->name, more);
    if (asks && equals) reg_sees(p, equals + 2);
    if (asks) return;
    CHECK(p->status == status && reg_answered(p, status));
    CHECK(p->len == 0);
    sprintf(logged, "%s/%s", status == 400 ? "" : room, status == 400 ? "" : p->name);
    if (!strstr(more, "username")) CHECK(strcmp(p->logged, logged) == 0);
    if (!back || status != 200) return;
    CHECK((strcmp(old, p->token) == 0) == (strcmp(word, "same") == 0));
    CHECK(p->log == log);
}

/* Anything else that a person does: 1 for a datagram that counts, 0 for one that is dropped. */
static int reg_act(reg_person *p, char *line)
{
    static uint8_t bytes[REG_SCRIPT];
    const char *verb = reg_word(&line);
    size_t len = 0, more;
    if (strcmp(verb, "leaves") == 0) return reg_leave(p);
    if (strcmp(verb, "at") == 0) return reg_position(p, strtoull(line, NULL, 10));
    if (strcmp(verb, "ping") == 0 || strcmp(verb, "raw") == 0)
        len = reg_header(p->room, p->token, bytes);
    if (len > 0 || strcmp(verb, "datagram") == 0) {
        more = reg_unescape(p, line, bytes + len);
        reg_fuzz(p, len > 0 ? 14 : 10, bytes + len, more);
        return reg_send_bytes(bytes, len + more, &p->at);
    }
    if (strstr("hangs opens host ip", verb)) reg_hang_up(p);
    if (strcmp(verb, "ip") == 0) unhex(line, p->at.ip);
    if (strcmp(verb, "ends") == 0) p->ended = 1;

    if (strcmp(verb, "hangs") == 0) return -1;
    if (strcmp(verb, "opens") == 0) reg_receive(p, bytes, 0);
    else if (strcmp(verb, "ends") == 0) ocm_conn_received(p->conn, NULL, 0, reg_now);
    else if (strcmp(verb, "bytes") == 0) reg_receive(p, bytes, reg_unescape(p, line, bytes));
    else if (strcmp(verb, "takes") == 0 && *line == 'a') ocm_conn_sent(p->conn, p->io.send.len);
    else if (strcmp(verb, "takes") == 0) p->bite = (size_t)atoi(line);
    else if (strcmp(verb, "due") == 0) CHECK(p->io.until == reg_now + strtoull(line, NULL, 10));
    else if (strcmp(verb, "sees") == 0) reg_sees(p, line);
    else if (strcmp(verb, "socket") == 0) p->at.socket = p->at.local[3] = (uint8_t)atoi(line);
    else if (strcmp(verb, "port") == 0) p->at.port = (uint16_t)atoi(line);
    else if (strcmp(verb, "ip") == 0) memcpy(p->tcp.ip, p->at.ip, 16);
    else if (strcmp(verb, "tcp") == 0) p->tcp = reg_host(atoi(line), p->tcp.port);
    else if (strcmp(verb, "host") == 0) p->at = p->tcp = reg_host(atoi(line), p->tcp.port);
    else if (strcmp(verb, "entered") == 0) CHECK(p->seq == strtoull(line, NULL, 10));
    else reg_enter(p, verb, line);
    return -1;
}

static uint64_t reg_count(const char *what)
{
    const ocm_counts *c = reg_counts;
    if (strcmp(what, "repeats") == 0) return reg_repeats;
    if (strcmp(what, "packets") == 0) return reg_packets;
    if (strcmp(what, "full") == 0) return reg_full;
    return strcmp(what, "rooms") == 0 ? c->rooms : strcmp(what, "members") == 0 ? c->members
         : strcmp(what, "messages") == 0 ? c->messages : strcmp(what, "rejected") == 0 ? c->rejected
         : strcmp(what, "dropped") == 0 ? c->dropped : strcmp(what, "refused") == 0 ? c->refused
         : strcmp(what, "requests") == 0 ? c->requests : c->datagrams;
}

/* COUNT ROOM HOST = STATUS */
static void reg_join_crowd(char *s)
{
    reg_person *p = reg_who("somebody");
    int count = atoi(reg_word(&s));
    const char *room = reg_word(&s);
    int alone = strcmp(room, "-") == 0, status;
    p->tcp = reg_host(atoi(reg_word(&s)), 4000);
    status = *s ? atoi(s + 2) : 0;
    for (; count > 0; count--) {
        char name[32];
        sprintf(name, "crowd%u", ++reg_crowd);
        p->tcp.local[0] = (uint8_t)count; /* each at another of the server's addresses */
        reg_connect(p);
        reg_ask(p, alone ? OCM_CREATE : OCM_JOIN, alone ? name : room, name, "");
        reg_hang_up(p);
        CHECK(p->status == status || reg_lenient);
        reg_drain_unseen();
    }
}

static void reg_step(char *line)
{
    char *arrow = strstr(line, " ->"), *digits;
    char *word;
    int counts = *line != '!', got = -1, n;
    if (arrow) *arrow = 0;
    line += !counts;
    word = reg_word(&line);
    n = atoi(line);
    if (strcmp(word, "wait") == 0) {
        reg_now += strtoull(line, NULL, 10);
        fuzz_add(0, 0, NULL, (size_t)n / 50);
    }
    else if (strcmp(word, "stop") == 0) ocm_registry_stop(reg_g);
    else if (strcmp(word, "crowd") == 0) reg_join_crowd(line);
    else if (strcmp(word, "fail") == 0) {
        reg_failing = reg_who(line);
        reg_failures = 0;
    }
    else if (strcmp(word, "again") == 0) ocm_registry_failed(reg_g, &reg_failed[n], reg_now);
    else if (strcmp(word, "until") == 0)
        CHECK(reg_until == (*line == 'n' ? UINT64_MAX : reg_now + strtoull(line, NULL, 10)));
    else if (strcmp(word, "pull") == 0)
        while (n-- > 0) reg_pull();
    else if (strcmp(word, "count") == 0) {
        word = reg_word(&line);
        CHECK(reg_count(word) == strtoull(line, NULL, 10));
    } else if (strcmp(word, "drain") != 0) {
        int colon = word[strlen(word) - 1] == ':';
        word[strlen(word) - (size_t)colon] = 0;
        reg_speaker = reg_who(word);
        digits = line + strspn(line, "0123456789");
        if (colon || (digits > line && *digits == ':')) {
            strcpy(reg_said, colon ? line : digits + 2);
            got = reg_say(reg_speaker, reg_said, colon ? 0 : strtoull(line, NULL, 10));
        } else {
            got = reg_act(reg_who(word), line);
        }
    }
    CHECK(got < 0 || got == counts || reg_lenient);
    if (!arrow) return;
    reg_drain();
    reg_expect_all(arrow + 3 + (arrow[3] == ' '));
}

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static void reg_run(const char *format, ...)
{
    static char script[REG_SCRIPT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(script, sizeof script, format, arguments);
    va_end(arguments);
    play(script, "\n", "`^", "\"\n", reg_step);
}

/* alice is the host, in JSON; lena is of level 1, tom speaks text, sam the dialect of team A. */
#define FOUR "alice create lobby json\nlena join lobby json1\ntom join lobby text\n" \
             "sam join lobby team_a\nlena at 4 -> *\n"
#define ANY "[json|json1|text|team_a]"
#define KEY " `password`:`key`\n"
#define GUESS "`password`:`x`"
#define SAMPLE_ROUND "a create one text\nb create two json\nc create three text = 503\n" \
    "c join one text\nd join two json = 503\nd join nowhere json1 = 404\nb leaves -> *\n" \
    "d join two team_a = 404\nd join one team_a\ne create two json = 503\nd leaves -> *\n" \
    "d join one json -> *\na leaves -> *\ncount rooms 0\ncount members 0\n"

#define LOBBY "{`room`:`lobby`,`size`:2,`password_required`:false}^"
#define LOCKED "{`room`:`locked`,`size`:1,`password_required`:true}^"
#define LISTED_AS "`,`size`:1,`password_required`:false}^"
#define BAD(ms) "wait " #ms "\nfail tom\nalice: x -> *\n"
#define GOOD(ms) "wait " #ms "\nfail nobody\nalice: x -> *\n"

/* A limit of zero is small, or the default. */
static const struct { const char *name; ocm_limits limits; const char *script; } scripts[] = {
    /* ---- Requests ---- */
    {"outcomes", {.rooms = 3},
     "alice create lobby json\neve create locked json `password`:`k`\n"
     "bob join locked " ANY " = 401\nbob join new " ANY " = 404\n"
     "bob create lobby " ANY " = 409\nbob create locked " ANY " = 409\n"
     "alice join lobby " ANY " = 409\neve join locked " ANY " = 401\n"
     "system join lobby " ANY " = 400\nbob join new\x7F " ANY " = 400\nbob create - " ANY " = 400\n"
     "bob asks [9|0|4|255] lobby " ANY " = 400\n"
     "count refused 10\nbob join lobby " ANY "\ncount requests 13\ncount members 3\n"
     "dave create new " ANY "\nbob create more " ANY " = 503\ncount members 4"},
    /* A membership whose answer did not leave as a whole is undone, wherever it broke off; a kept
       place moves when the answer has been sent, and not before. */
    {"undo", {0},
     FOUR "bob opens\nbob takes [0|1|32|33|50|83|84|110|116|117|130|150|170|180|185]\n"
     "bob asks join lobby json\ncount members 5\nbob hangs\ncount members 4\n"
     "drain -> alice +bob 5, alice -bob 6, lena +bob 5, lena -bob 6, tom +bob, tom -bob, "
     "sam +bob, sam -bob\nbob opens\nbob asks join lobby text\nbob hangs\ncount members 4\n"
     "drain -> *\nbob asks create new text\ncount rooms 2\nbob hangs\ndrain -> *\n"
     "count rooms 1"},
    {"undo of a return", {0},
     FOUR "lena tcp 30\nlena opens\nlena takes [0|29|100|230]\nlena asks returns lobby same\n"
     "alice: hi -> lena, tom, sam\nlena ping -> *\nlena hangs\nalice: hi -> lena, tom, sam\n"
     "lena: hi -> alice, lena, tom, sam\ncount members 4\nlena returns lobby same\n"
     "!lena ping ->\nlena host 30\nalice: hi -> lena, tom, sam\ncount members 4"},
    {"an answer that is out counts, although the connection ends at once", {0},
     "alice create lobby json\nlena join lobby json1 -> *\nlena host 9\nlena opens\nlena takes 0\n"
     "lena asks returns lobby same\nlena takes all\nlena hangs\nlena ping"},
    /* A place that was kept, or made, is gone before its answer is out: its 10 s are over. Somebody
       else may be in it. With a crowd it does not matter what is sent to addresses of no person. */
    {"an answer too late", {.rooms = 1, .members = 4, .origin_joins = OCM_UNLIMITED},
     "alice create lobby json\ncrowd 1 lobby 0 = 200\n[|lena join lobby json1\nwait 5000\n]"
     "lena tcp 77\nlena opens\nlena takes 20\nlena asks [join lobby json1|returns lobby same]\n"
     "wait [9999|4999]\nalice ping -> *\ncount members 3\nwait 1\n"
     "[pull 1|pull 1|drain -> *\ntom join lobby json|drain -> *\ntom join lobby json]\n"
     "lena takes 9999\nlena [hangs|hangs|hangs|hangs|bytes|bytes|bytes|bytes]\n"
     "count members [2|2|3|3]\ndrain -> *\n"
     "[||alice: hi -> tom\ntom: ho -> alice|alice: hi -> tom\ntom: ho -> alice]\n"
     "lena join lobby json1\ncount members [3|3|4|4]"},
    /* 5 minutes before and between requests, 10 s from the first byte of one */
    {"silence", {0},
     "bob opens\nbob due 300000\nwait 299999\nbob sees 0 open\nbob asks join lobby json = 404\n"
     "bob due 300000\nwait 299999\nbob sees 0 open\nwait 1\nbob sees 0 closed\n"
     "bob opens\nwait 5000\nbob bytes $05\nbob due 10000\nwait 9000\nbob bytes $02\nbob due 1000\n"
     "wait 999\nbob sees 0 open\nwait 1\nbob sees 0 closed\n"
     "bob bytes $05$09$00<28>$02lobby{}$05\nbob sees 400\nbob due 10000"}, /* the next has begun */
    /* Refused from the header alone, in the dialect that the first payload byte decides; then the
       server shuts its side, discards what still comes, and closes after a second. */
    {"too large", {0},
     "bob asks join lobby [json|text|team_a|team_a] = 404\n"
     "bob bytes $05$02$0[0|0|1|1]<26>$00$10$01lobb\nbob bytes y\nbob sees 0 open\n"
     "bob bytes [{|a|a|{]\nbob sees 413 shut\nbob bytes x{5000}\nbob bytes x{5000}\nwait 999\n"
     "bob sees 0 shut\nwait 1\nbob sees 0 closed\n"},
    {"too large, and no byte of payload", {0},
     "bob opens\nbob bytes $05$02$00[$01<28>|<25>$20<3>|<25>$ff$ff$ff$ff|<27>$10$01]lobby\n"
     "wait 9999\nbob sees 0 open\nwait 1\nbob sees 0 closed"},
    /* The client still gets its answers; but after a success none is answered. */
    {"half close", {0},
     "tom asks join lobby json = 404\ntom ends\ntom sees 0 closed\ntom asks join lobby text\n"
     "tom asks create lobby text\ntom asks join lobby text\n[tom ends\n|]tom sees 404\n"
     "tom sees 201 [closed|open]\ncount requests 3\ncount members 1\n"
     "bob bytes $05\nbob ends\nbob sees 0 closed"},
    {"an answer that nobody takes", {0},
     FOUR "bob opens\nwait 10000\nbob takes 0\nbob bytes $05\nwait 5000\n"
     "bob bytes $02$00<28>$12lobby{`username`:`bob`}\ncount members 5\nbob due 10000\n"
     "wait 9999\nbob due 1\nwait 1\nbob sees 0 closed\ncount members 4"},
    {"lists", {0},
     "eve asks list - json {} = \nalice create lobby json\nbob join lobby text\n"
     "alicia create locked json" KEY
     "eve asks list - json {`any`:[1,{}]} = *" LOBBY "*\neve asks list - json {} = *" LOCKED "*\n"
     "eve asks list lobby json {} = *{`username`:`alice`,`host`:true}^*\n"
     "eve asks list lobby json {} = *{`username`:`bob`,`host`:false}^*\n"
     "eve asks list locked json {} = \n"
     "eve asks list locked json {`password`:`key`} = {`username`:`alicia`,`host`:true}^\n"
     "eve asks list nowhere json {} = {`status`:404,*}\n"
     "eve asks list - json { = {`status`:400,*}\neve asks list lob^ json {} = {`status`:400,*}\n"
     "eve sees 0 open\nbob leaves\n" /* at once */
     "eve asks list lobby json {} = {`username`:`alice`,`host`:true}^\n"
     "eve asks list - text all = 400"},
    /* A list of 64 KiB, and more: it is cut at a line's end, where there still is space for the
       mark. Here are 65232 bytes, and for each of three more rooms 47 and its name. */
    {"a list that is cut", {.rooms = 400, .members = 400, .log = 1 << 20, .origin_size = 400,
                            .origin_joins = OCM_UNLIMITED},
     "216 times ann create #r{251} json\nann create x{[50|50|98|98|98]} json\n"
     "ann create y{[50|50|98|99|112]} json\nann create z{[63|64|1|1|1]} json\n"
     "eve asks list - json {} = *[z{63}|y{50}|y{98}|x{98}|x{98}]" LISTED_AS
     "[|{`more`:true}^|{`more`:true}^|{`more`:true}^|{`more`:true}^]"},
    /* For a minute after a wrong password, one request for that room from that origin is examined
       each second, in the order in which they came; nothing is answered before. */
    {"guessing", {0},
     "alice create locked json" KEY "carol create open json\neve host 9\neva host 9\nbob host 9\n"
     "eve asks join locked json " GUESS " = 401\nwait 10\n"
     "bob asks join locked json `password`:`key` = 0\n"
     "eva asks join locked json " GUESS " = 0\neve asks list locked json " GUESS " = 0\n"
     "bob due 990\nwait 989\nbob sees 0\nwait 1\neve sees 0\neva sees 0\nbob sees 200\n"
     "wait 999\neva sees 0\nwait 1\neve sees 0\neva sees 401\nwait 999\neve sees 0\nwait 1\n"
     "eve sees 200\n" /* an empty list, and a guess like another */
     "eve asks create locked json " GUESS " = 409\neve asks list locked json {} = 200\n"
     "eve asks join open json = 200\n" /* another room */
     "dave join locked json" KEY                          /* another origin */
     "eva asks join locked json " GUESS " = 0\neva due 1000\nwait 1000\neva sees 401\n"
     "wait 60000\neva asks join locked json " GUESS " = 401"},
    {"a list is a guess, too", {0},
     "alice create locked json" KEY "eve ip 00000000000000000000ffff7f000005\n"
     "eve asks list locked json " GUESS " = 200\neve ip 00000000000000000000000000000001\n"
     "eve asks join locked json " GUESS " = 0\neve due 1000"},
    {"guesses of a minute ago", {0},
     "alice create locked json" KEY "eve host 9\nbob host 9\n"
     "eve asks join locked json " GUESS " = 401\nwait 59500\nbob join locked json" KEY
     "eve asks join locked json " GUESS " = 0\neve due 500\nwait 499\neve sees 0\nwait 1\n"
     "eve sees 401\neve asks join locked json " GUESS " = 0\n"
     "eve ends\neve sees 0 closed"}, /* or else it would join when its client has gone */
    {"guesses everywhere", {.rooms = 30}, /* an origin that guesses in many rooms waits in all */
     "20 times m# create m# json `password`:`key`\n"
     "17 times eve asks join m# json " GUESS " = 401\neve asks join m1018 json " GUESS " = 0\n"
     "wait 1000\neve sees 401\nwait 61000\neve asks join m1019 json " GUESS " = 401"},
    {"a member does not guess", {0}, /* and waits for no turn, unless it comes from elsewhere */
     "alice create locked json" KEY "lena host 9\nlena join locked json1" KEY "eve host 9\n"
     "eve asks join locked json " GUESS " = 401\nlena returns locked same\neve host 8\n"
     "eve asks join locked json " GUESS " = 401\nlena host 8\n"
     "lena asks join locked json1 `token`:`$t` = 0"},
    {"many guess", {0}, /* a fixed table; the entry goes whose minute ends first */
     "alice create locked json" KEY "257 times crowd 1 locked # = 401 & wait 1\n"
     "eve host 1255\neve asks join locked json " GUESS " = 0\n"
     "eve host 1128\neve asks join locked json " GUESS " = 0\n"
     "eve host 1002\neve asks join locked json " GUESS " = 0\n"
     "eve host 1000\neve asks join locked json " GUESS " = 401\n"
     "eve ip 20010db8000000010000000000000001\neve asks join locked json " GUESS " = 401\n"
     "eve ip 20010db8000000020000000000000001\neve asks join locked json " GUESS " = 401\n"
     "eve ip 20010db8000000010000000000000002\neve asks join locked json " GUESS " = 0\n"},

    /* ---- The chat ---- */
    {"relay", {0},
     "alice create lobby json ->\nlena join lobby json1 -> alice +lena 2\n"
     "tom join lobby text -> alice +tom 3, lena +tom 3\n"
     "sam join lobby team_a -> alice +sam 4, lena +sam 4, tom +sam\n"
     "alice: hi \xE2\x82\xAC -> lena 5, tom, sam\n"
     "lena: a \"b\" \\ \t! -> alice 6, lena 6, tom, sam\n"
     "tom: c \"d\" \\ \t! -> alice 7, lena 7, sam\nsam: hi there -> alice 8, lena 8, tom\n"
     "alice raw {`message`:`x`,`message`:`\\u0022`} -> "
     "lena 'alice: `' 9, tom 'alice: `', sam 'alice: `'\n"
     "o\"k join lobby text -> alice +o\"k 10, lena +o\"k 10, tom +o\"k, sam +o\"k\n"
     "o\"k: hi -> alice 11, lena 11, tom, sam\n"
     "alice ping ->\ntom ping ->\nsam ping ->\nalice raw {} ->\n"
     "lena ping -> lena status 11 1 0\nlena raw {} -> lena status 11 1 0\n"
     "count messages 6\ncount rejected 0\nn{255} join lobby json1\n"
     "n{255} ping -> n{255} status 12 1 0, alice +n{255} 12, lena +n{255} 12, tom +n{255}, "
     "sam +n{255}, o\"k +n{255}\n"
     "alice raw {`message`:`hi`} {4041} -> lena 'alice: hi' 13, tom 'alice: hi', "
     "sam 'alice: hi', o\"k 'alice: hi', n{255} 'alice: hi' 13\n"
     "alice raw {`message`:`hi`} {4042} -> alice refused"},
    /* Below level 1, leaving is the only operation that a member may send as the system; and a
       message with a seq is one that a server sent. */
    {"operations", {0},
     FOUR "alice raw {`sender`:`system`,`operation`:[1|3|4|5|7],`message`:`x`} ->\nalice at 1 ->\n"
     "alice raw {`message`:`x`,`seq`:4} ->\nlena raw {`message`:`x`,`seq`:4,`id`:1} ->\n"
     "alice raw {`sender`:`system`,`message`:`x`} -> "
     "lena 'alice: x' 5, tom 'alice: x', sam 'alice: x'\n"
     "alice raw {`sender`:`eve`,`operation`:2,`message`:`y`,`id`:9} -> "
     "lena 'alice: y' 6, tom 'alice: y', sam 'alice: y'\n"
     "lena 1: z -> lena 7/1, alice 7, tom, sam"},
    {"leaving", {0},
     FOUR "sam leaves -> sam out left, alice -sam 5, lena -sam 5, tom -sam\n!sam: x ->\n"
     "!sam leaves ->\ntom leaves -> tom out left, alice -tom 6, lena -tom 6\n"
     "lena ping\nlena leaves -> lena out left, alice -lena 7\nalice leaves -> alice out left\n"
     "count rooms 0\ncount members 0\nuntil never"},
    /* The name is free at once; the room hears first of the end, then of the join. */
    {"the same name", {0},
     FOUR "sam leaves\neve join lobby json `username`:`sam`\n"
     "drain -> sam out left, alice -sam 5, alice +sam 6, lena -sam 5, lena +sam 6, tom -sam, "
     "tom +sam"},
    /* Everyone is told after what was accepted before, wherever the delivery stood; a new room of
       that name is there at once, and empty. */
    {"the host leaves", {0},
     FOUR "tom: last words\npull [0|1|2|3]\nalice leaves\n!tom: x\n!lena ping\n"
     "anna create lobby json1\nanna entered 1\nanna at 0\ndrain -> alice 'tom: last words' 5, "
     "lena 'tom: last words' 5, sam 'tom: last words', alice out left, lena out host, "
     "tom out host, sam out host, anna +anna 1, anna status 1 1 0\ncount rooms 1\ncount members 1\n"
     "count repeats 1"},
    /* Nobody can ask for the log of a closed room: what its members have not confirmed comes once
       more, as much of its end as fits. */
    {"the last of a closed room", {0},
     FOUR "[tom: one|tom: x{300}|tom: x{500}|2 times tom: x{200}]\ntom: [two|two|two|x{200}]\n"
     "lena at [5|5|5|4] -> *\nalice leaves -> *\ncount repeats 1"},
    {"stop", {0},
     FOUR "olaf create other text\ntom: last words\nstop\n!tom: x\n"
     "drain -> alice 'tom: last words' 5, lena 'tom: last words' 5, sam 'tom: last words', "
     "alice out stopping, lena out stopping, tom out stopping, sam out stopping, "
     "olaf out stopping\ncount rooms 0\ncount members 0\ncount repeats 1"},
    {"idle", {.idle = 20},
     "tom create lobby text\nlena join lobby json1\nsam join lobby team_a\nbob join lobby text\n"
     "lena at 4 -> *\nwait 1000\ntom ping\nsam ping ->\nwait 8000\nlena ping -> *\nuntil 11000\n"
     "wait 10999 ->\nuntil 1\nwait 1 -> bob out timeout, tom -bob, lena -bob 5, sam -bob\n"
     "lena ping\nwait 999 -> *\nuntil 1\nsam ping\n"
     "wait 1 -> tom out timeout, lena out host, sam out host\n"
     "count members 0\nuntil never"},
    {"a return is a sign of life", {.idle = 20},
     "alice create lobby json\nlena join lobby json1\nlena at 2 -> *\nwait 15000\nalice ping\n"
     "lena returns lobby same\nwait 15000\nalice ping -> *\nwait 4999\ndrain -> *\n"
     "lena ping -> lena status 2 1 0"},
    /* A member of level 1 that sends nothing within 10 s is out: its answer may have got lost. */
    {"level 1 speaks", {0},
     "tom create lobby text\nlena join lobby json1\nanna join lobby json1 -> *\n"
     "wait 9999 -> *\nanna ping -> *\nuntil 1\nwait 1 -> lena out timeout, tom -lena, "
     "anna -lena 4\n!lena ping\nwait 20000 -> *\ncount members 2"},
    /* Three failed sends in a row, over at least 10 s, end a membership; one that goes well starts
       this over. "!": it has ended. */
    {"failed sends in a row", {0},
     FOUR "[" BAD(1) BAD(1) BAD(9998) "|" BAD(1) BAD(1) BAD(9999) "!|" BAD(1) BAD(4999) BAD(5001)
     "!|" BAD(1) BAD(1) BAD(1) BAD(9997) BAD(1) "!|" BAD(1) BAD(10000) GOOD(1) "|"
     BAD(1) BAD(1) GOOD(1) BAD(9998) BAD(1) "|" GOOD(1) GOOD(1) BAD(1) BAD(1) BAD(9998) "|"
     GOOD(1) GOOD(1) BAD(1) BAD(1) BAD(9999) "!|" BAD(1) BAD(20000) "|"
     BAD(1) BAD(1) GOOD(9999) BAD(1) BAD(1) BAD(9998) "|"
     BAD(1) BAD(1) GOOD(1) BAD(1) BAD(10000) "|"
     BAD(1) BAD(1) GOOD(9999) BAD(1) BAD(1) BAD(9999) "!]tom: x"},
    {"failed sends", {0},
     FOUR "fail sam\nalice: x\nalice: y -> lena 'alice: x' 5, tom 'alice: x', lena 6, tom\n"
     "wait 10000\nlena at 6 -> *\nalice: x -> lena 7, tom, alice -sam 8, lena -sam 8, "
     "tom -sam, sam out unreachable\n" /* what failed before it came back, does not count */
     "fail lena\nalice: x\nalice: y -> *\nlena returns lobby same\nlena ping -> *\nwait 10000\n"
     "alice: x -> *\nlena ping\ncount members 3"},
    /* A failure may be told later, with a copy of the event; told twice it counts once, and of a
       membership that has ended not at all. */
    {"failures told again", {0},
     FOUR "fail tom\nalice: x\nalice: y\nalice: z -> *\nwait 10000\nagain 2\nagain 2\n"
     "count members 4\ntom leaves\nagain 2\ndrain -> *\neve join lobby text -> *\nagain 0\n"
     "wait 5000\nagain 1\nwait 5000\nagain 2\ncount members 4"},
    {"no text", {0},
     FOUR "tom: [a^b|\x1B[2J|\xFF|\xC0\x80|\x7F|\xC2\x85|\xED\xA0\x80]\n"
     "alice raw [{`message`:`a\x7F`}|{`message`:`\\u0085`}|{`message`:`\\n`}|{`message`:|hi|"
     "{`message`:7}|{`message`:`\\uD800`}] -> tom refused, alice refused\n"
     "wait 999\ntom: \x01\nalice: \x01 ->\nwait 1\ntom: \x01 -> tom refused\n" /* one a second */
     "count messages 0\ncount rejected 5\nwait 1000\nalice: hi\n" /* a notice waits for an entry */
     "tom: \x01 -> lena 'alice: hi' 5, tom 'alice: hi', sam 'alice: hi', tom refused"},
    /* Room name, user name and text count together, the latter two as JSON writes them. What has
       3990 bytes reaches everyone, whatever the dialect. */
    {"too long", {0},
     "na\\\"e create lobby " ANY "\nlena join lobby json1\ntom join lobby text\n"
     "sam join lobby team_a\nalice join lobby json\nlena at 5 -> *\n"
     "na\\\"e: w{3978} -> lena 6, tom, sam, alice 6[|, na\\`e 6||]\n"
     "na\\\"e: w{3969}\tw\t{2}ww -> lena 7, tom, sam, alice 7[|, na\\`e 7||]\nwait 1000\n"
     "na\\\"e: w{3979} -> na\\\"e refused[|, na\\`e status 7 1 0||]\nwait 1000\n"
     "na\\\"e[| 1||]: w{3970}\tw\t{2}ww -> na\\\"e refused[| 1, na\\`e status 7 1 1||]"},
    {"refused, and the next one is not", {0},
     FOUR "lena raw {`message`:`\\u0001`,`id`:1}^{`message`:`x`,`id`:2} -> lena 'lena: x' 5/2, "
     "lena refused 1, lena status 5 1 2, alice **, tom **, sam **"},
    {"rate", {.rate = 10}, /* bursts of twice the rate; told once a second; a ping costs as much */
     FOUR "wait 5000\n50 times tom: x\ncount messages 20\n5 times tom: x\nsam: x\n"
     "count messages 21\nwait 99 -> *\ntom: x\ncount messages 21\nwait 1\n5 times tom: x\n"
     "count messages 22\nwait 1000 -> *\n50 times tom: x\ncount messages 32 -> *\ntom: x ->\n"
     "wait 1000\n10 times tom: x\ncount messages 42 -> *\ntom: x -> tom refused\nwait 10000\n"
     "20 times tom ping\n5 times tom: x\ncount messages 42 -> *\n"
     "tom leaves -> tom out left, alice *, lena *, sam *"},
    /* At level 1 a datagram may hold several messages; what is over the rate is not taken, costs
       nothing and is not spoken of. */
    {"rate of batches", {.rate = 2},
     FOUR "wait 2000\nlena raw {`message`:`1`,`id`:1}^{`message`:`2`,`id`:2}^{`message`:`3`,`id`:3}"
     "^{`message`:`4`,`id`:4}^{`message`:`5`,`id`:5}^{`message`:`6`,`id`:6}\ncount messages 4\n"
     "lena raw {`message`:`1`,`id`:1}^{`message`:`5`,`id`:5} -> alice **, tom **, sam **, "
     "lena 'lena: 1' 5/1, lena 'lena: 2' 6/2, lena 'lena: 3' 7/3, lena 'lena: 4' 8/4\n"
     "wait 499\nlena ping ->\nwait 1\nlena ping -> lena status 8 1 4\nwait 1000\n"
     "lena raw {`message`:`1`,`id`:1}^{`message`:`5`,`id`:5}^{`message`:`9`,`id`:9}^"
     "{`message`:`6`,`id`:6}^{`message`:`7`,`id`:7}\ncount messages 6\ndrain -> *\n"
     "lena leaves -> lena out left, alice *, tom *, sam *"},
    {"long and fast", {.rate = 1}, /* dropped before anyone looks how long it is */
     "alice create lobby json1\nalice at 1 -> *\nalice raw x{4058} -> alice refused\n"
     "5 times alice raw x{4058}\nwait 999 ->"},
    /* The members of an origin have eight times a member's rate; what is beyond costs nothing. */
    {"rate of an origin", {.rate = 1},
     "alice create lobby json\n10 times m# host 9 & m# join lobby json -> *\nwait 5000\n"
     "10 times m#: x -> *\n10 times m#: y -> *\ncount messages 16\n3 times alice: z -> *\n"
     "count messages 18\nm1009: z\nwait 125\nm1009: z -> *\ncount messages 19\nm1008: z\nm1009: z\n"
     "count messages 19"},
    {"strangers", {0},
     FOUR "olaf create other text\ntom datagram $05$20lobby$thi\ntom port 5555\n"
     "tom datagram $05$20lobby$thi\ndrain -> alice 'tom: hi' 5, alice 'tom: hi' 6, "
     "lena 'tom: hi' 5, lena 'tom: hi' 6, sam 'tom: hi', sam 'tom: hi'\n"
     "tom host 4\n!tom: hi\ntom host 3\n!tom datagram $05$20lobbyf{32}hi\n"
     "!tom datagram [$04$20lobb$t|$05$20other$t|$00$20$t|$06$20lobby2$t|$05$1flobbyf{31}|"
     "$05$00lobby|$05$20lobby|$05$20||$05]\n!alice datagram $05$1flobby0{31}\n"
     "!alice datagram [$05|$05$20other$t]\n"
     "!sam datagram $05$1flobby$t\nsam host 3\n!sam: hi ->\ncount datagrams 10\ncount dropped 7"},
    /* The port of the request, else of its connection; then wherever it was heard last. */
    {"addresses", {0},
     "alice create lobby json\nbob join lobby json `ip`:`10.9.9.9`,`port`:7000\nbob port 7000\n"
     "drain -> alice +bob 2\nalice: one -> bob 3\nbob port 7777\nbob ping\nalice: two -> bob 4\n"
     "bob socket 5\nbob ping\nalice: three -> bob 5\nbob host 9\n!bob ping\nbob host 2\n"
     "bob port 7777\nbob socket 5\nalice: four -> bob 6"},

    /* ---- Limits ---- */
    {"slots", {.rooms = 2, .members = 3, .origin_size = 3},
     SAMPLE_ROUND SAMPLE_ROUND SAMPLE_ROUND SAMPLE_ROUND SAMPLE_ROUND},
    {"sizes", {.members = 20, .room_size = 3, .origin_size = 2, .origin_joins = OCM_UNLIMITED},
     "a create lobby json\nb join lobby json\nc join lobby json\nd join lobby json = 503\n"
     "c leaves -> *\nd join lobby json\nd leaves -> *\n"
     "e create one json\nf host 5\nf join one json\ng host 5\ng join one json = 503\n"
     "f leaves -> *\ng join one json\ng leaves -> *\n"
     "h ip 20010db8000000010000000000000001\nh join one json\n"
     "i ip 20010db8000000010000000000000002\ni join one json\ni leaves -> *\n"
     "i join one json\nj ip 20010db800000001ff00000000000002\nj join lobby json = 503\n"
     "j ip 20010db8000000020000000000000002\nj join lobby json\n"
     "k ip 0000000000000000000000000000000f\nk create two json\n"
     "l ip 00000000000000000000000000000001\nl join two json\n"
     "m ip 00000000000000000000ffff7f000002\nm join two json\nm leaves\ne leaves -> *\n"
     "m join lobby json = 503"},
    {"rate of joins", {.members = 100, .origin_joins = 2}, /* leaving gives none back */
     "alice create lobby json\ncrowd 4 lobby 9 = 200\ncrowd 1 lobby 9 = 503\nwait 499\n"
     "crowd 1 lobby 9 = 503\nwait 1\na host 9\na join lobby json\ncrowd 1 lobby 9 = 503\n"
     "g join lobby json\na leaves -> *\ncrowd 1 lobby 9 = 503\nwait 10000\ncrowd 4 lobby 9 = 200\n"
     "crowd 1 lobby 9 = 503"},
    /* One origin may hold a quarter of all memberships; loopback may hold all of them. */
    {"shares", {.origin_joins = OCM_UNLIMITED},
     "crowd 1 - 9 = 201\ncrowd 9 crowd1 9 = 200\ncrowd 2 crowd1 9 = 503\ncrowd 30 crowd1 0 = 200\n"
     "crowd 1 crowd1 0 = 503"},
    /* And a quarter of the rooms. */
    {"shares of rooms", {.rooms = 8, .members = 40, .origin_joins = OCM_UNLIMITED},
     "a host 9\na create one json\ncrowd 1 - 9 = 201\ncrowd 1 - 9 = 503\na leaves -> *\n"
     "crowd 1 - 9 = 201\ncrowd 1 - 9 = 503\nb host 8\nb create two json\ncrowd 5 - 0 = 201\n"
     "crowd 1 - 0 = 503"},
    /* A member counts where it came back, and no longer where it joined. */
    {"another origin", {.origin_size = 1, .rooms = 20000},
     "a host 9\na create lobby json1\na at 1 -> *\nb host 9\nb create other json = 503\n"
     "a host 8\na returns lobby same\nc host 8\nc create other json = 503\n"
     "b create other json1\nb at 1 -> *\nb host 8\nb returns other same\n" /* 8 has no place */
     "b host 9\nd host 9\nd create third json = 503\na leaves -> *\nc create lobby json"},
    {"many origins", {.members = 4, .room_size = 1, .origin_size = 1},
     "alice create lobby json\n600 times crowd 1 lobby # = 503"},
    /* More origins than can be remembered: those that have members are not forgotten. */
    {"forgotten origins", {.members = 23, .origin_size = 2, .origin_joins = 1},
     "alice create lobby json\n300 times tom host # & tom join lobby json -> * & tom leaves -> *\n"
     "carol host 1000\ncarol join lobby text -> *\n15 times crowd 1 lobby # = 200\n"
     "carol leaves -> *\nwait 10000\n"
     "300 times tom host # & tom join lobby json -> * & tom leaves -> *\n"
     "crowd 1 lobby 1000 = 200\ncrowd 1 lobby 1000 = 503"},
    {"a room of the size by default", {.members = 1001, .origin_joins = OCM_UNLIMITED},
     "alice create lobby json\ncrowd 999 lobby 0 = 200\ncrowd 1 lobby 0 = 503"},
    /* A room of which 64 entries wait takes no more until it has caught up, and loses nothing. */
    {"a full room", {.rate = OCM_UNLIMITED},
     FOUR "olaf create other json\nola join other json -> *\n70 times tom: word\n"
     "count messages 64\ncount rejected 6\n"
     "lena raw {`message`:`x`,`id`:1}^{`message`:`y`}\nbob join lobby json = 503\nola: hi\n"
     "sam leaves\nalice: x\ncount messages 65\ncount members 5\ncount rejected 8\n"
     "drain -> alice 'tom: word' 5..68, lena 'tom: word' 5..68, *\n"
     "lena 1: x -> alice 70, lena 70/1, tom\nbob join lobby json"},
    /* Somebody's end waits for a place in a log: until then that name is not free, and nobody else
       notices. */
    {"a name is taken again before its end was told", {0}, /* and its end is announced once */
     "alice create lobby json1\nbob join lobby text -> *\nalice 1: x\nalice 2: y\nalice 3: z\n"
     "bob leaves\npull [0|1|2|3|4]\neve join lobby json `username`:`bob`\ndrain -> *\n"
     "alice ping -> alice status 7 1 3"},
    {"an end that waits", {.rate = 1000},
     "alice create lobby json\nbob join lobby json\nlena join lobby json1\nlena at 3 -> *\n"
     "64 times alice: hi\nlena ping\nlena leaves\neve create other json\n"
     "carol join other text\ncarol leaves\ncarol join other text\n"
     "bob join lobby json = 409\nlena join lobby json1 = 503\ncount members 4\n"
     "drain -> alice -lena 68, bob **, lena 'alice: hi' 4..67, lena out left, eve +carol 2, "
     "eve -carol 3, eve +carol 4, carol out left\n"
     "lena join lobby json1 -> *"},
    {"an end behind one that waits", {.members = 5, .rate = 1000},
     "alice create lobby json\nbob join lobby json\nlena join lobby json\neve create other json\n"
     "ola join other json -> *\n64 times alice: hi\nlena leaves\nola leaves\npull 40\n"
     "ona join other json -> *"},

    /* ---- Level 1 ---- */
    {"positions", {0},
     "tom create lobby text\nlena join lobby json1 -> tom +lena\n"
     "tom: a -> lena 3\ntom: b -> lena 4\n"
     "lena at 2 -> lena 'tom: a' 3, lena 'tom: b' 4, lena status 4 1 0\n" /* back */
     "lena at 1 -> lena status 4 1 0\n"                                   /* stale */
     "lena at 2 -> lena 'tom: a' 3, lena 'tom: b' 4, lena status 4 1 0\n" /* not stale */
     "lena at 4 -> lena status 4 1 0\nlena at 3 -> lena status 4 1 0\n"
     "lena at 99 -> lena status 4 1 0\ntom: c -> lena 5\n"
     "anna join lobby json1 -> tom +anna, lena +anna 6\n"
     "anna at 0 -> anna status 6 1 0, anna +tom 1, anna +lena 2, anna 'tom: a' 3, "
     "anna 'tom: b' 4, anna 'tom: c' 5, anna +anna 6\n"
     "eve join lobby json1 -> *\n" /* of two positions the last counts, one status comes */
     "eve raw " POSITION "6}^^" POSITION "5}^^ -> eve +anna 6, eve +eve 7, eve status 7 1 0\n"
     "eve raw " POSITION "3,`first`:1} ->\n" /* that is a server's status */
     "eve raw {`message`:`x`,`id`:1}^{`message`:`y`,`id`:2}^" POSITION "7} -> "
     "eve 'eve: x' 8/1, eve 'eve: y' 9/2, eve status 9 1 2, tom 'eve: x', tom 'eve: y', "
     "lena 'eve: x' 8/1, lena 'eve: y' 9/2, anna 'eve: x' 8/1, anna 'eve: y' 9/2"},
    {"what is asked for costs", {.rate = 10}, /* here each entry needs a batch of its own */
     FOUR "20 times tom: w{1000} -> *\n"
     "lena at 4 -> lena 'tom: w{1000}' 5..24, lena status 24 1 0\n"
     "lena at 4 -> lena 'tom: w{1000}' 5..7, lena status 24 1 0\nwait 100\n"
     "lena at 4 -> lena 'tom: w{1000}' 5..6, lena status 24 1 0\nlena at 4 ->\nwait 100\n"
     "lena at 6 -> lena 'tom: w{1000}' 7..8, lena status 24 1 0\nwait 100\n" /* risen or not */
     "lena at 10 -> lena 'tom: w{1000}' 11..12, lena status 24 1 0"},
    {"no position", {0},
     "alice create lobby json\nlena join lobby json1 -> *\n"
     "lena raw [{`sender`:`system`,`operation`:6}|{`sender`:`system`,`operation`:5,`seq`:0}|"
     POSITION "0,`first`:1}|" POSITION "0,`first`:0}|{`message`:`hi`,`seq`:0}] ->\n"
     "lena at 0 -> lena +alice 1, lena +lena 2, lena status 2 1 0"},
    /* If more than 64 entries or 64 KiB follow a position, the server waits for the next one. */
    {"pause", {.rate = OCM_UNLIMITED, .log = 1 << 20},
     "tom create lobby text\nlena join lobby json1\nlena at 2 -> *\n64 times tom: w -> *\n"
     "lena at 2 -> lena 'tom: w' 3..66, lena status 66 1 0\ntom: w -> lena 67\n"
     "lena at 2 -> lena 'tom: w' 3..66, lena status 67 1 0\ntom: w ->\nwait 2999 ->\n"
     "lena at 66 -> lena 'tom: w' 67..68, lena status 68 1 0\ntom: w -> lena 69\n"
     "60 times tom: w{3900} -> *\nlena at 69 -> lena 'tom: w{3900}' 70..85, lena status 129 1 0\n"
     "tom: w ->\nlena at 129 -> lena 'tom: w' 130, lena status 130 1 0"},
    {"ids", {0},
     FOUR "lena 1: one -> lena 5/1, alice 5, tom, sam\n"
     "lena 3: three ->\n" /* 2 has to come first; a refused one is taken, too */
     "lena 1: one -> lena status 5 1 1\nlena: bare -> lena 6, alice 6, tom, sam\n"
     "lena raw {`message`:`\\u0001`,`id`:2} -> lena refused 2, lena status 6 1 2\n"
     "wait 1000\nlena raw {`message`:``,`id`:3} -> lena refused 3, lena status 6 1 3\n"
     "lena raw {`message`:`\\n`,`id`:4} -> lena status 6 1 4\n" /* too soon to say */
     "lena raw {`message`:`p`}^{`message`:`q`} -> lena 'lena: p' 7, lena 'lena: q' 8, alice **, "
     "tom **, sam **\n"
     "alice raw {`message`:`mine`,`id`:1} -> lena 'alice: mine' 9, tom 'alice: mine', "
     "sam 'alice: mine'\n"
     "lena raw {`message`:`a`,`id`:4}^{`message`:`b`,`id`:5}^{`message`:`d`,`id`:7} -> "
     "lena 'lena: b' 10/5, lena status 10 1 5, alice 'lena: b' 10, tom 'lena: b', sam 'lena: b'\n"
     "lena raw {`message`:`x`,`id`:0} -> *\n"
     "lena raw {`sender`:`system`,`operation`:2} -> lena out left, alice *, tom *, sam *"},
    /* When nothing was added for 3 s, members that did not say that they have the newest entry get
       a status, ten times at most. */
    {"probe", {0},
     "tom create lobby text\nlena join lobby json1\nanna join lobby json1\nanna ping\n"
     "lena ping -> *\ntom: a -> lena 4, anna 4\nwait 1000\nanna at 4 -> anna status 4 1 0\n"
     "until 2000\nwait 1999 ->\nwait 1 -> lena status 4 1 0\n"
     "9 times until 3000 & wait 2999 -> & wait 1 -> lena status 4 1 0\n"
     "lena ping\nanna ping -> *\nwait 60000 ->\n"
     "tom: b -> lena 5, anna 5\nanna at 5 -> anna status 5 1 0\n"
     "10 times until 3000 & wait 2999 -> & wait 1 -> lena status 5 1 0\n"
     "lena ping\nanna ping -> *\nwait 60000 ->\n"
     "tom: c -> lena 6, anna 6\nanna at 6 -> anna status 6 1 0\n"
     "wait 3000 -> lena status 6 1 0\nlena at 5 -> lena 'tom: c' 6, lena status 6 1 0\n"
     "wait 3000 -> lena status 6 1 0\nlena at 6 -> lena status 6 1 0\nwait 60000 ->"},
    /* Entries that have piled up share datagrams of at most 1200 bytes; full ones are equally long,
       so that a system may send several in one call. A longer entry goes alone. Of the 127, alice
       and sam get 60 each. */
    {"batches", {0},
     FOUR "30 times tom: w{50}\ntom: l{2000}\n29 times tom: w{50}\npull 999\ncount packets 127\n"
     "count full 5\ndrain -> lena 'tom: w{50}' 5..34, lena 'tom: l{2000}' 35, "
     "lena 'tom: w{50}' 36..64, *"},
    /* An entry more, or a status, just fits in the 1200 bytes of a datagram, or just does not. */
    {"a batch", {0},
     "alice create lobby json\nlena join lobby json1 -> *\nalice: x{[1080|1081|892|893]}\n"
     "[alice: y|alice: y|drain -> *\nlena at 0|drain -> *\nlena at 0]\npull 9\n"
     "count packets [1|2]\ndrain -> *"},
    /* A cursor that went back, and whose entries are overwritten before they are sent again. */
    {"overwritten ahead", {.rate = 1000},
     "alice create lobby json\nlena join lobby json1 -> *\n"
     "lena at 0 -> lena +alice 1, lena +lena 2, lena status 2 1 0\n"
     "eve create other json\nalice: 3 -> lena 3\nalice: 4 -> lena 4\nlena at 0\n"
     "10 times eve: x{3000}\nalice: 5\nalice: 6\n30 times eve: x{3000}\n"
     "drain -> lena 'alice: 5' 5, lena 'alice: 6' 6, lena status 6 5 0, eve *\nalice: 7 -> lena 7"},
    /* The log of 64 KiB holds 45 entries of this size: the oldest go. */
    {"overwritten", {.rate = OCM_UNLIMITED},
     FOUR "200 times tom: w{1000} -> *\nlena at 204 -> *\nanna join lobby json1 -> *\n"
     "anna at 0 -> anna status 205 160 0, anna 'tom: w{1000}' 160..204, anna +anna 205\n"
     "anna at 158 -> anna status 205 160 0, anna 'tom: w{1000}' 160..204, anna +anna 205"},
    /* An entry that a member who keeps up was not sent yet is never overwritten; new messages are
       refused. Anyone who pauses holds nothing back, and is told what is gone. */
    {"nothing is overwritten", {.rate = OCM_UNLIMITED},
     FOUR "60 times tom: w{2000}\ncount messages 28\nlena 1: x\nbob create other json = 503\n"
     "sam leaves\ncount messages 28\ncount members 3\n"
     "drain -> lena 'tom: w{2000}' 5..32, alice 'tom: w{2000}' 5..32, *\n"
     "lena 1: x -> lena 34/1, alice 34, tom\n70 times tom: short -> *\nlena at 4 -> *\n"
     "count members 3\n100 times tom: w{2000} -> *\ncount messages 199\n"
     "lena ping -> lena status 204 180 1"},
    /* A quiet room of two does not wait for a busy one, nor does somebody who waits for a status:
       they take turns, of 32 datagrams each. */
    {"fairness", {.rate = OCM_UNLIMITED},
     "alice create big json\nbob create small json\nlena join small json1\ncrowd 20 big 0 = 200\n"
     "lena at 2 -> *\n50 times alice: hi\npull [0|0|1|1|31|31|32|32|33|33|100|100|700|700]\n"
     "[bob: hi|lena ping]\npull 65\n[bob: hi|lena ping]\npull 65\nfail lena\n"
     "drain -> [lena 'bob: hi' 3..4|lena status 2 1 0, lena status 2 1 0], *"},
    {"turns", {0}, /* 32, 32, and the next */
     "alice create big json\nbob join big json\ncarl create small json\ndora join small json -> *\n"
     "40 times alice: x\n40 times carl: y\npull 64\nfail bob\npull 1\nfail nobody\n"
     "drain -> bob 'alice: x' 3..34, bob 'alice: x' 36..42, dora **"},
    {"a turn of 32, and nothing else is to be sent", {0},
     "alice create lobby json\ncrowd 31 lobby 0 = 200\nalice leaves -> alice out left\n"
     "count members 0"},
    {"by default", {0},
     FOUR "150 times tom: x -> *\ncount messages 100"},
    {"coming back", {0},
     FOUR "lena 1: one -> lena 5/1, alice 5, tom, sam\nlena host 9\n!lena ping\n"
     "lena returns lobby same ->\nlena entered 5\ncount members 4\n"
     "alice: two -> lena 6, tom, sam\nlena 1: one -> lena status 6 1 1\n"
     "lena 2: three -> lena 7/2, alice 7, tom, sam\nalice: four\n"
     "lena returns lobby same -> lena 'alice: four' 8, tom 'alice: four', sam 'alice: four'\n"
     "lena returns lobby same `port`:7000\nlena port 7000\nlena entered 8\n"
     "alice: five -> lena 9, tom, sam\n"
     "lena join lobby json1 = 409\ntom join lobby text = 409\n"
     "lena join lobby json `token`:`$t` = 409\nlena join lobby json1 `token`:`$t0` = 409\n"
     "lena join lobby json1 `token`:`00000000000000000000000000000000` = 409\n"
     "lena ping -> lena status 9 1 2\nlena leaves -> *\nlena returns lobby new -> *\n"
     "lena entered 11\nlena returns lobby new `username`:`eve`\ncount members 5"},
    {"coming back, locked", {0},
     "alice create locked json1" KEY "bob join locked json1" KEY "bob returns locked same\n"
     "bob host 9\nbob returns locked same = 401\nbob host 10\n"
     "bob returns locked same `password`:`kez` = 401\nbob host 11\n"
     "bob returns locked same `password`:`key` -> *\nbob ping -> *\n"
     "alice join locked json `password`:`key` = 409\ncarl join locked json1 `token`:`abc` = 401\n"
     "bob join locked json1 `token`:`00000000000000000000000000000000` = 401\ncount members 2"},
    /* The log keeps the entries of rooms apart. */
    {"entries apart", {.rooms = 30},
     "22 times m# create m# json1\n22 times m# at 0 -> m# +m# 1, m# status 1 1 0"},
};

/* Script i with the k-th of each list; how many the longest of these has. */
static int reg_script(size_t i, int k)
{
    static char chosen[REG_SCRIPT];
    ocm_limits limits = scripts[i].limits;
    int count = choose(scripts[i].script, k, chosen);
    if (!limits.rooms) limits.rooms = 4;
    if (!limits.members) limits.members = 40;
    if (!limits.log) limits.log = 65536;
    reg_begin(&limits);
    row = scripts[i].name;
    reg_run("%s", chosen);
    reg_end();
    row = "";
    return count;
}

/* The clock may begin anywhere, and the memory may hold anything. */
static void test_scripts(void)
{
    static const uint64_t starts[] = {0, 1, 0x7FFFFFFF - 12000, 0xFFFFFFFF - 12000,
                                      0x7FFFFFFFFFFFFFFF - 12000, 5000};
    size_t i, start;
    int k, count;
    for (start = 0; start < COUNT(starts); start++) {
        reg_start = starts[start];
        reg_fill = (uint8_t)(85 * start);
        for (i = 0; i < COUNT(scripts); i++)
            for (k = 0, count = 1; k < count; k++) count = reg_script(i, k);
    }
    reg_fill = 0xA5;
}

/* ---- Tokens and numbers ---- */

/* No two logs have the same number; a digit of a token tells nothing about any other one. */
static void test_numbers(void)
{
    enum { TOKENS = 256 };
    static reg_person made[TOKENS];
    int i, k, a, b;
    REG(.rooms = 2, .origin_joins = OCM_UNLIMITED);
    for (i = 0; i < TOKENS; i++) {
        reg_run("alice create lobby json1 -> *");
        made[i] = *reg_who("alice");
        for (k = 0; k < i; k++) CHECK(made[k].log != made[i].log);
        reg_run("alice leaves -> *");
    }
    for (a = 0; a < OCM_TOKEN_LEN; a++)
        for (b = 0; b < a; b++) {
            uint8_t seen[256] = {0};
            int different = 0;
            for (i = 0; i < TOKENS; i++)
                different += !seen[digit(made[i].token[a]) << 4 | digit(made[i].token[b])]++;
            CHECK(different > 125); /* 162 are to be expected; half of that if they share a bit */
        }
    reg_end();
}

/* Each byte of the seed, and nothing else, matters to both halves of a token, and to the number of
   a log. */
static void test_seed(void)
{
    const ocm_limits limits = {.rooms = 1, .members = 1, .log = 65536};
    reg_person first, p;
    int i;
    for (i = -3; i < 32; i++) {
        uint8_t key[32] = {0};
        reg_fill = (uint8_t)i;
        reg_begin(&limits);
        if (i >= 0) key[i] = 1;
        reg_g = ocm_registry_init(reg_memory, &limits, key);
        reg_run("alice create lobby json1");
        p = *reg_who("alice");
        if (i == -3) first = p;
        CHECK((memcmp(first.token, p.token, 16) == 0) == (i < 0));
        CHECK((memcmp(first.token + 16, p.token + 16, 16) == 0) == (i < 0));
        CHECK((first.log == p.log) == (i < 0));
        reg_end();
    }
    reg_fill = 0xA5;
}

/* A hundred thousand members in ten thousand rooms; and, by default, a thousand rooms, of which one
   host has as many as its joins come fast. */
static void test_many(void)
{
    const ocm_limits million = {.rooms = 100000, .members = 1000000, .log = 65536};
    const ocm_limits usual = {.rooms = 1000, .members = 10000, .log = 4u << 20};
    CHECK(ocm_registry_size(&million) <= (size_t)560 * 1000000);
    CHECK(ocm_registry_size(NULL) == ocm_registry_size(&usual));
    REG(.rooms = 11000, .members = 101002, .log = 65536);
    reg_run("crowd 11000 - 0 = 201\n10000 times crowd 9 crowd# 0 = 200\n"
            "alice join crowd5000 json -> *\nbob join crowd5000 text -> *\ncount members 101002\n"
            "alice: hi -> bob\nbob: hi -> alice\neve join crowd5000 json = 503\n"
            "wait 300000 -> *\ncount members 0\ncount rooms 0\nuntil never");
    reg_end();
    reg_begin(NULL);
    reg_run("crowd 20 - 9 = 201\ncrowd 5 - 9 = 503\ncrowd 980 - 0 = 201\ncrowd 10 - 0 = 503");
    reg_end();
}

/* ---- The storm ---- */

/* Random inputs, against a model that knows only what was asked and said. The host of each room is
   of level 1 and asks for the log from its first entry on: so what it hears is the log, without a
   hole, and has to hold whatever was accepted, in that order: names and texts are numbered. What
   everybody else gets is compared with that log whenever all is delivered. */

enum { STORM_ROOMS = 4, STORM_MEMBERS = 14, STORM_LIVES = 16, STORM_LOG = 1024 };

typedef struct storm_life { /* a room, until its last member is told of its end */
    int used, open, name;
    unsigned said, left;        /* what was accepted; who left */
    unsigned seq, read, newest; /* entries in the log; those accepted; the last of these */
    char entry[STORM_LOG][256]; /* more than the log of the registry holds */
} storm_life;

typedef struct storm_member {
    reg_person *p;
    int used, in, reason, host, moved;
    storm_life *life;
    unsigned next, pause; /* entry to hear next; where its last position lets it pause, or 0 */
    uint64_t taken;
} storm_member;

static storm_life storm_lives[STORM_LIVES];
static storm_member storm_crowd[STORM_MEMBERS + 1];
static uint32_t storm_dice;
static unsigned storm_number;
static int storm_settled; /* nothing is left to be delivered */

static unsigned storm_chance(unsigned below)
{
    return dice(&storm_dice) % below;
}

/* That membership has ended; a host's takes all others of its room with it. */
static void storm_out(storm_member *m)
{
    size_t i;
    m->in = 0;
    m->life->left += !m->host;
    m->life->open &= !m->host;
    for (i = 0; i < COUNT(storm_crowd); i++)
        if (storm_crowd[i].life == m->life) storm_crowd[i].in &= m->life->open;
}

/* A datagram from a member counts. */
static void storm_sends(int result)
{
    storm_settled = 0;
    CHECK(result == 1);
}

/* Pulls a datagram. If it is the last one of a membership, there was a reason. */
static int storm_pull(void)
{
    size_t first = reg_line_count;
    storm_member *m;
    if (!reg_pull()) return 0;
    m = &storm_crowd[reg_lines[first].to - reg_people];
    CHECK(m->used && !m->reason);
    m->reason = reg_lines[first].reason;
    if (!m->in || !m->reason) return 1;
    if (m->reason == OCM_REASON_HOST) return 1; /* the host's own end may come after it */
    CHECK(m->reason == OCM_REASON_TIMEOUT);
    storm_out(m);
    return 1;
}

/* An entry as the dialects without JSON have it: "n12: x13 by n12 00", "system: n12 joined". Its
   seq, 0 if it tells none. */
static unsigned storm_words(const reg_person *p, const char *line, char *out)
{
    uint8_t buffer[OCM_DATAGRAM_MAX];
    ocm_message n;
    if (!reg_json(p)) snprintf(out, 256, "%s", line);
    if (!reg_json(p) || !CHECK(ocm_message_decode(ocm_text(line), buffer, &n) == 1)) return 0;
    snprintf(out, 256, "%.*s: %.*s", OCM_S(n.sender), OCM_S(n.text));
    return n.has & OCM_HAS_SEQ ? (unsigned)n.seq : 0;
}

/* The host's next line is the log's next entry; what was accepted is in it, in that order, and who
   left is told there. A member hears what comes after its own notice. */
static void storm_read_log(storm_member *host, const char *line)
{
    storm_life *l = host->life;
    char *e = l->entry[++l->seq % STORM_LOG], joined[64];
    unsigned long number;
    storm_member *m;
    CHECK(storm_words(host->p, line, e) == l->seq);
    if (strstr(e, " left")) return;
    number = strtoul(strstr(e, ": ") + 3, NULL, 10);
    CHECK(number > l->newest);
    l->newest = (unsigned)number;
    l->read++;
    if (strstr(e, "by ")) CHECK(strncmp(strstr(e, "by ") + 3, e, strcspn(e, ":")) == 0);
    for (m = storm_crowd; m < storm_crowd + COUNT(storm_crowd); m++) {
        sprintf(joined, "system: %.20s joined", m->used ? m->p->name : "");
        if (strcmp(e, joined) != 0) continue;
        CHECK(!m->next || m->next == l->seq + 1);
        m->next = l->seq + 1;
    }
}

/* What it has to hear next: below level 1 nobody hears its own words. */
static const char *storm_next(storm_member *m)
{
    for (; m->next <= m->life->seq; m->next++) {
        const char *e = m->life->entry[m->next % STORM_LOG], *name = m->p->name;
        if (m->p->dialect == 'L' || strncmp(e, name, strlen(name)) != 0 || e[strlen(name)] != ':')
            return e;
    }
    return "";
}

/* One line to a member that is not a host: the next of the log, or something for it alone. */
static void storm_check_line(storm_member *m, const char *line)
{
    char words[256], notice[512];
    const unsigned at = storm_words(m->p, line, words);
    if (at > m->next && (m->moved || m->reason)) m->next = at; /* the log lost some */
    if (at) m->moved = 0;
    reg_entry(m->p, OCM_OP_NOTICE, m->p->name, "", 0, 0, notice);
    if (strcmp(storm_next(m), words) == 0) CHECK(m->next++ == at || !reg_json(m->p));
    else CHECK(m->p->dialect != 'L' && reg_like(line, strlen(line), notice));
}

/* Delivers everything, and then all must be as the model has it. */
static void storm_settle(void)
{
    uint32_t rooms = 0, members = 0;
    size_t i, hosts;
    storm_life *l;
    storm_member *m;
    while (storm_pull()) {}
    storm_settled = 1;
    for (hosts = 2; hosts-- > 0;)
        for (i = 0; i < reg_line_count; i++) {
            m = &storm_crowd[reg_lines[i].to - reg_people];
            row = reg_lines[i].text;
            if (m->host != (int)hosts || reg_lines[i].reason || reg_is_status(row)) continue;
            if (m->host) storm_read_log(m, row);
            else storm_check_line(m, row);
        }
    row = "";
    reg_forget();
    for (l = storm_lives; l < storm_lives + STORM_LIVES; l++) {
        CHECK(!l->used || l->read == l->said);
        CHECK(!l->open || l->seq == l->said + l->left);
        rooms += (uint32_t)l->open;
        l->used = l->open;
    }
    for (m = storm_crowd; m < storm_crowd + COUNT(storm_crowd); m++) {
        if (!m->used) continue;
        if (!m->host && !m->moved && (m->in || m->reason == OCM_REASON_HOST))
            CHECK(!*storm_next(m) || (m->pause && m->next >= m->pause));
        CHECK(m->in == !m->reason);
        m->used = m->in;
        members += (uint32_t)m->in;
    }
    CHECK(reg_counts->rooms == rooms);
    CHECK(reg_counts->members == members);
}

/* Asks, and reads so many bytes of the answer: if that is not all, the client closes. */
static void storm_ask(reg_person *p, int op, const char *room, const char *more, size_t bite)
{
    p->tcp = reg_host(1 + (int)storm_chance(3), 1024 + (int)(++storm_number % 60000));
    reg_connect(p);
    p->bite = bite;
    reg_ask(p, op, room, p->name, more);
    if (bite < SIZE_MAX) reg_hang_up(p);
    else CHECK(reg_answered(p, p->status));
}

static void storm_request(void)
{
    int op = storm_chance(4) ? OCM_JOIN : OCM_CREATE, room = (int)storm_chance(STORM_ROOMS + 1);
    int undone = op == OCM_JOIN && storm_chance(6) == 0, expected;
    storm_life *l = storm_lives;
    storm_member *m = storm_crowd;
    reg_person *p;
    char text[8];
    while (l < storm_lives + STORM_LIVES && (!l->open || l->name != room)) l++;
    expected = l < storm_lives + STORM_LIVES ? 200 : 404;
    if (op == OCM_CREATE) expected = expected == 200 ? 409 : 201;
    while (m < storm_crowd + STORM_MEMBERS && m->used) m++;
    if (m->used) return;
    memset(m, 0, sizeof *m);
    p = m->p = &reg_people[m - storm_crowd];
    sprintf(p->name, "n%u", storm_number + 1);
    sprintf(text, "r%d", room);
    p->dialect = op == OCM_CREATE ? 'L' : "JLTA"[storm_chance(4)];
    storm_ask(p, op, text, "", undone ? storm_chance(33) : SIZE_MAX);
    p->at = p->tcp;
    if (p->status == 503 && expected < 300)
        CHECK(!storm_settled || reg_counts->members == STORM_MEMBERS ||
              (op == OCM_CREATE && reg_counts->rooms == STORM_ROOMS));
    else
        CHECK(p->status == expected);
    if (p->status >= 300) return;
    storm_settled = 0;
    if (p->status == 201) {
        for (l = storm_lives; l->used; l++) {}
        memset(l, 0, offsetof(storm_life, entry));
        l->used = l->open = m->host = 1;
        l->name = room;
    }
    l->said++;
    l->left += (unsigned)undone;
    m->life = l;
    m->used = m->in = !undone;
    if (p->dialect == 'L') m->next = (unsigned)p->seq + 1; /* its answer says so */
    if (m->host) storm_sends(reg_position(p, 0));
    else if (m->in && p->dialect == 'L' && storm_chance(4)) storm_sends(reg_send(p, ""));
}

static void storm_speak(storm_member *m)
{
    const reg_person *p = m->p;
    uint64_t before = reg_counts->messages, id = 0;
    char text[200];
    int settled = storm_settled;
    if (p->dialect == 'L' && storm_chance(4)) id = m->taken + storm_chance(3);
    sprintf(text, "x%u by %.20s %0*d", ++storm_number, p->name, (int)storm_chance(150) + 1, 0);
    storm_sends(reg_say(p, text, id));
    if (reg_counts->messages > before) {
        CHECK(reg_counts->messages == before + 1 && (!id || id == m->taken + 1));
        m->life->said++;
        if (id) m->taken = id;
    } else if (!id || id == m->taken + 1) {
        CHECK(!settled);
    }
}

static void storm_position(storm_member *m)
{
    unsigned at, last;
    if (m->p->dialect != 'L' || m->host) return;
    storm_settle();
    if (!m->in) return;
    last = m->life->seq;
    at = last - storm_chance(last < 400 ? last + 1 : 400); /* about what the log holds */
    storm_sends(reg_position(m->p, at));
    if (at + 65 < m->pause) return;
    m->pause = at + 65;
    m->next = at + 1;
    m->moved = 1;
    if (m->life->seq >= m->pause) storm_settle(); /* so the log still holds all up to the pause */
}

/* A member of level 1 comes back with its token, or is cut off while it does. */
static void storm_return(storm_member *m)
{
    reg_person *p = m->p;
    char more[96], old[OCM_TOKEN_LEN + 1];
    int cut = storm_chance(3) == 0;
    if (p->dialect != 'L') return;
    strcpy(old, p->token);
    sprintf(more, "\"token\":\"%s\"", p->token);
    storm_ask(p, OCM_JOIN, p->room, more, cut ? storm_chance(100) : SIZE_MAX);
    CHECK(p->status == 200 && strcmp(p->token, old) == 0);
    if (!cut) p->at = p->tcp;
    storm_sends(reg_send(p, ""));
}

static void storm_step(int stuck)
{
    storm_member *m = &storm_crowd[storm_chance(COUNT(storm_crowd))];
    unsigned what = storm_chance(48);
    if (what < 6) {
        storm_request();
    } else if (what == 6) {
        storm_settle();
        reg_now += storm_chance(40) ? storm_chance(3000) : storm_chance(200000);
        storm_settle();
    } else if (what == 7) {
        if (!stuck || storm_chance(8) == 0) storm_settle();
    } else if (what < 12) {
        for (what = stuck ? 0 : storm_chance(12); what-- > 0;) storm_pull();
    } else if (!m->in) {
        return;
    } else if (what == 12) {
        if (storm_chance(m->host ? 24 : 3) > 0) return;
        storm_sends(reg_leave(m->p));
        storm_out(m);
    } else if (what < 15) {
        storm_position(m);
    } else if (what == 15) {
        storm_return(m);
    } else if (what < 18) {
        storm_sends(reg_send(m->p, ""));
    } else {
        storm_speak(m);
    }
}

/* After a storm all places are free, and can be filled again. */
static void test_storm(void)
{
    unsigned storm, step;
    size_t i;
    for (storm = 0; storm < 20 && broken == 0; storm++) {
        memset(storm_lives, 0, sizeof storm_lives);
        memset(storm_crowd, 0, sizeof storm_crowd);
        storm_dice = (uint32_t)(seed + storm) * 2654435761u + 1;
        storm_number = 0;
        REG(.rooms = STORM_ROOMS, .members = STORM_MEMBERS, .rate = OCM_UNLIMITED, .log = 65536,
            .origin_size = OCM_UNLIMITED, .origin_joins = OCM_UNLIMITED);
        for (i = 0; i < COUNT(storm_crowd); i++) sprintf(reg_who("new")->name, "s%u", (unsigned)i);
        storm_settled = 1;
        for (step = 0; step < 30000 && broken == 0; step++) storm_step(step / 300 % 4 == 3);
        if (broken) printf("   storm %u, step %u\n", (unsigned)seed + storm, step);
        else storm_settle();
        reg_now += 300000;
        reg_drain_unseen();
        CHECK(reg_until == UINT64_MAX);
        reg_run("count rooms 0\ncount members 0\ncrowd %d - 0 = 201\ncrowd 1 - 0 = 503\n"
                "crowd %d crowd1 0 = 200\ncrowd 1 crowd1 0 = 503", STORM_ROOMS,
                STORM_MEMBERS - STORM_ROOMS);
        reg_end();
    }
}

/* ---- Hostile inputs ---- */

/* What mal sends by UDP, and eve, from the same host, by TCP; and whether alice and bea hear of it:
   while mal is no member, is one of level 1, one in JSON, one in a dialect without JSON (there any
   text is a message). */
static const struct { const char *heard, *scripts[64]; } hostile[] = {
    {"----", /* another token, room, host; too long, no text; half a request, none, refused */
     {"mal datagram", "mal datagram $00", "mal datagram $ff$ff", "mal datagram $05$20lob",
      "mal datagram $05$20lobbyf{32}hi", "mal datagram $05$00lobbyhi",
      "mal datagram $05$1flobby0{31}hi", "mal datagram $05$21lobby$t0hi",
      "mal datagram $06$20locked$thi", "mal datagram $00$20$thi", "mal datagram $ff$ff<4000>",
      "99 times mal datagram x{1400}", "mal host 99\nmal: x\nmal leaves\nmal host 4",
      "mal raw x{4057}", "mal raw x{4058}", "mal raw x{3983}", "mal raw $1b[2J", "mal raw a$00b",
      "mal raw $ff$fe", "mal raw $c0$80", "mal raw $ed$a0$80", "mal raw $f4$90$80$80",
      "mal raw $c2$9b31m", "mal raw " POSITION "4}^" POSITION "0}^" POSITION "99}",
      "mal raw ^{3000}", "200 times mal ping", "99 times mal raw x{3983}",
      "eve bytes $05\nwait 9000\neve bytes $02\nwait 999\neve sees 0 open",
      "eve bytes $05$02$00<27>$10$00lobby{`user\nwait 9999\neve sees 0 open",
      "eve bytes $05$02\neve ends\neve sees 0 closed", "eve bytes <3000>", "eve bytes $ff{4000}",
      "eve bytes GET / HTTP/1.1$0d$0aHost: localhost$0d$0a$0d$0a",
      "eve bytes $05$ff$00<26>$00$00$02lobby{}", "eve bytes $05$02$07<26>$00$00$03lobbybob",
      "eve bytes $05$02$00<25>$ff$ff$ff$fflobby{x{9000}\neve sees 413 shut",
      "eve bytes $05$02$00$80<28>lobbyx\neve takes 0\neve bytes x{9000}",
      "eve asks join lobby json { = 400", "eve asks join lobby json {`x`:[{2000} = 400",
      "eve asks join lobby json {`username`:``} = 400",
      "eve asks join lobby json {`username`:7} = 400",
      "eve asks join lobby json {`username`:`system`} = 400",
      "eve asks join lobby json {`username`:`alice:\\u0020x`} = 400",
      "eve asks join lobby json {`username`:`\\u202ebob`} = 400",
      "eve asks join lobby json {`username`:`\\u009bm`} = 400",
      "eve asks join lobby text \x1B[2J = 400", "eve asks join lobby text n{256} = 400",
      "eve asks create \xE2\x80\xAEx text eve = 400",
      "eve asks join lobby json {`username`:`eve`,`port`:53} = 400",
      "eve asks join lobby json {`username`:`alice`,`x`:`y{4060}`} = 409",
      "eve asks join lobby json1 {`username`:`alice`,`ocm`:1,`token`:`0{32}`} = 409",
      "eve asks create lobby text eve = 409",
      "eve asks join locked json " GUESS " = 401\n30 times eve asks join locked json " GUESS,
      "99 times eve opens & eve asks list locked json " GUESS, "crowd 99 lobby 4", "crowd 99 - 4",
      "99 times eve asks list - json {}"}},
    {"-+++", /* another port, in another's name */
     {"mal port 53\nmal: x", "mal raw {`message`:`\\u202egnp.exe`}",
      "mal raw {`sender`:`alice`,`message`:`x`}", "mal raw {`sender`:`system`,`message`:`x`}",
      "mal leaves\nmal leaves\nmal: x"}},
    {"---+", /* text only in a dialect without JSON; an echo loop; far ahead */
     {"mal raw x{3982}", "mal raw {`message`:`\\u001b]0;x\\u0007`}",
      "mal raw {`message`:`\\u0000`}", "mal raw {`message`:`\\ud800`}", "mal raw {`message`:",
      "mal raw {`a`:[{40}", "mal raw {`message`:{`a`:1}}", "mal raw {`message`:1e999}",
      "mal raw {`message`:`x`,`id`:9{20}}",
      "mal raw {`sender`:`system`,`operation`:1,`username`:`bob`,`message`:`x`}",
      "mal raw {`sender`:`system`,`operation`:3,`reason`:`host`,`message`:`x`}",
      "mal raw {`sender`:`alice`,`message`:`x`,`seq`:4}", "mal raw " POSITION "4,`first`:1,`id`:0}",
      "mal at 9007199254740991", "mal at 9007199254740992", "mal raw " POSITION "-1}"}},
    {"--++", {"mal raw {`message`:`x`,`id`:9007199254740991}"}},
    {"-+++", {"mal 1: x\nmal 1: x\nmal 3: x"}},
    {"---+", {"99 times mal at 0 & pull 99"}},
    {"-+--",
     {"mal raw {`message`:`x`}^{`message`:`y`}^{`message`:",
      "mal raw {`message`:`x`}^{`sender`:`system`,`operation`:2}^{`message`:`y`}"}},
    {"-+++", {"200 times mal: x", "20 times mal: x{3900} & pull 99"}},
    {"++++",
     {"fail mal\nalice: a\npull 9\nwait 5000\nalice: b\npull 9\nwait 6000\nalice: c\npull 9"}},
    {"-+--", {"wait 11000"}},
    {"++++",
     {"eve asks join lobby json {`username`:`eve`,`ip`:`10.0.0.1`,`port`:4001} = 200\n"
      "eve port 4001"}},
    {"++++", {"eve opens\neve takes 5\neve asks join lobby text eve\neve hangs"}}};

/* Whatever it was, afterwards the room goes on. */
static void test_hostile(void)
{
    static const char *const dialects[] = {"json1", "json", "text", "team_a"};
    const char *const *script;
    size_t i, k, cases = 0;
    for (i = 0; i < COUNT(hostile); i++)
        for (script = hostile[i].scripts; *script; script++)
            for (k = 0; k < 8; k++, cases++) {
                const size_t d = k / 2, member = k % 2;
                const char heard = hostile[i].heard[!member ? 0 : d < 2 ? d + 1 : 3];
                REG(.rooms = 4, .members = 40, .rate = 10, .log = 65536);
                row = *script;
                reg_run("alice create lobby json\nbea join lobby text\n"
                        "carol create locked json `password`:`key`\n"
                        "mal join %s %s = %d\neve host 4 -> *", member ? "lobby" : "nowhere",
                        dialects[d], member ? 200 : 404);
                strcpy(reg_who("mal")->room, "lobby");
                if (!member) memset(reg_who("mal")->token, '0', OCM_TOKEN_LEN);
                reg_lenient = 1;
                reg_run("%s", row);
                reg_lenient = 0;
                reg_run("drain -> mal **, eve **%s\nfail nobody\n"
                        "zoe join lobby %s -> alice +zoe, bea +zoe, mal **, eve **\n"
                        "zoe: hi -> alice, bea, mal **, eve **%s\n"
                        "alice: ho -> bea, zoe, mal **, eve **\n"
                        "zoe leaves -> zoe out left, alice -zoe, bea -zoe, mal **, eve **",
                        heard == '+' ? ", bea *, bea **, alice **" : "", dialects[d],
                        d ? "" : ", zoe");
                reg_end();
            }
    row = "";
    CHECK(cases == 712); /* README.md says so */
}

#define REGISTRY_TESTS \
    {"scripts", test_scripts}, \
    {"numbers", test_numbers}, {"seed", test_seed}, {"many", test_many}, \
    {"hostile", test_hostile}, {"storm", test_storm}

/* ---- A session alone ---- */

/* A conversation of bob's session in the lobby, as text. Its steps stand between " | ":
       [+MS] [INPUT] [-> OUTPUT; OUTPUT ...]
   The session is called after the input, and whenever it has asked for it before; the outputs are
   all that it does in that step, in order: "@300 connect" 300 ms after the step began, what has no
   @ at its end. Inputs are:
     open join|create|any       the session begins; others than these: open join/lobby/bob/pw
     up, down                   the connection is there; there is none, or it ended
     answer 200 t1 5 17 [300]   the outcome: status, token, log, seq, idle; without the numbers, of
                                a server that is not of level 1; JSON; or "!", of state 3
     say hi, leave              the user's; what cannot be said brings "bad", "large" and how
                                long it may be, or "full" and how many messages wait
     8 ann: hi / 9 left ann     a datagram with the token of the last answer; "@t2 ..." with
                                another, "@0 ..." after two zero bytes, "@- ..." with no header
                                (^ is a zero byte there)
   "~" before an input: the session is not called after it. Objects are JSON, or short forms. */

#define SES_SYSTEM "{\"sender\":\"system\",\"operation\":"

static const struct { const char *form; int fields; const char *json; } ses_forms[] = {
    {"at %255s", 1, SES_SYSTEM "6,\"seq\":%s}"},
    {"status %255s %255s %255s", 3, SES_SYSTEM "6,\"seq\":%s,\"first\":%s,\"id\":%s}"},
    {"out %255s", 1, SES_SYSTEM "3,\"reason\":\"%s\",\"message\":\"bye\"}"},
    {"notice %255s", 1, SES_SYSTEM "4,\"message\":\"%s\"}"},
    {"refused %255s %255[^\n]", 2, SES_SYSTEM "4,\"id\":%s,\"message\":\"%s\"}"},
    {"leave %255s", 1, SES_SYSTEM "2,\"username\":\"%s\",\"message\":\"bob left\"}"},
    {"%255[0-9] joined %255s", 2, "{\"seq\":%s,\"username\":\"%s\",\"message\":\"joined\","
                                  "\"sender\":\"system\",\"operation\":1}"},
    {"%255[0-9] left %255s", 2, "{\"seq\":%s,\"username\":\"%s\",\"message\":\"left\","
                                "\"sender\":\"system\",\"operation\":2}"},
    {"%255[0-9] %255[^: ]: %255s #%255s", 4,
     "{\"seq\":%s,\"sender\":\"%s\",\"message\":\"%s\",\"id\":%s}"},
    {"%255[0-9] %255[^: ]: %255s", 3, "{\"seq\":%s,\"sender\":\"%s\",\"message\":\"%s\"}"},
    {"%255[^: ]: %255s", 2, "{\"sender\":\"%s\",\"message\":\"%s\"}"},
    {"%255s #%255s", 2, "{\"message\":\"%s\",\"id\":%s}"},
    {"%255[0-9] %255s %255s %255s %255s", 5, "{\"status\":%s,\"token\":\"%s\",\"ocm\":1,\"log\":%s,"
                                             "\"seq\":%s,\"idle\":%s}"},
    {"%255[0-9] %255s %255s %255s", 4, "{\"status\":%s,\"token\":\"%s\",\"ocm\":1,\"log\":%s,"
                                       "\"seq\":%s}"},
    {"%255[0-9] %255s", 2, "{\"status\":%s,\"token\":\"%s\"}"},
    {"%255[0-9]", 1, "{\"status\":%s,\"message\":\"words\"}"},
};

/* The actions, and what else is counted over a network: datagrams, messages of the past and all,
   reasons of a refusal, entries that were lost, and how it ended. */
static const char *const ses_kinds[] = {
    "connect", "", "disconnect", "send", "entered", "", "joined", "left", "notice", "refused",
    "unknown", "missed", "outage", "no-udp", "back", "end", "got", "past", "heard", "why", "lost",
    "over"};

static struct {
    ocm_session *s;
    uint64_t now, began, until, next; /* began, next: of this step, and of the one after it */
    int ended;
    char token[256], done[2 * OCM_FRAME_MAX]; /* done: the outputs of this step */
} ses;

/* One object, or several with " / " between them, as lines of JSON. */
static void ses_json(char *out, const char *text)
{
    char line[OCM_DATAGRAM_MAX], f[5][256];
    size_t i;
    for (*out = 0; next_part(&text, " / ", line); strcat(out, *text ? "\n" : "")) {
        char *at = strcpy(out + strlen(out), line);
        for (i = 0; i < COUNT(ses_forms) && !strchr("{[\"", *line); i++) {
            if (sscanf(line, ses_forms[i].form, f[0], f[1], f[2], f[3], f[4]) !=
                ses_forms[i].fields)
                continue;
            sprintf(at, ses_forms[i].json, f[0], f[1], f[2], f[3], f[4]);
            break;
        }
    }
}

/* Both frames of an answer, in pieces that do not end where they end. */
static void ses_answer(const char *text)
{
    uint8_t out[2 * OCM_PAYLOAD_MAX];
    char payload[OCM_PAYLOAD_MAX];
    int i, n = ocm_frame_encode(out, sizeof out, OCM_JOIN, OCM_STATE_ACK, view(NULL, 0),
                                ocm_text("{\"status\":202}"));
    sscanf(text, "20%*d %255s", ses.token);
    ses_json(payload, text);
    n += ocm_frame_encode(out + n, sizeof out - (size_t)n, OCM_JOIN,
                          *text == '!' ? 3 : OCM_STATE_COMPLETE, view(NULL, 0), ocm_text(payload));
    fuzz_add(4, 7, out, (size_t)n);
    for (i = 0; i < n; i += 7) {
        size_t len = n - i < 7 ? (size_t)(n - i) : 7;
        uint8_t *piece = copy(out + i, len);
        ocm_session_received(ses.s, piece, len, ses.now);
        free(piece);
    }
}

static void ses_hear(const char *text)
{
    uint8_t out[2 * OCM_DATAGRAM_MAX], *bytes;
    char payload[OCM_DATAGRAM_MAX], token[256];
    int bare;
    size_t cut, len, i;
    strcpy(token, ses.token);
    if (*text == '@') {
        sscanf(text, "@%255s", token);
        text += 2 + strlen(token);
    }
    bare = strchr("0-", *token) != NULL;
    cut = *token == '-' ? 2 : 0;
    ses_json(payload, text);
    len = reg_header(bare ? "" : "lobby", bare ? token + 1 : token, out);
    memcpy(out + len, payload, strlen(payload));
    len += strlen(payload) - cut;
    for (i = cut; bare && i < len + cut; i++)
        if (out[i] == '^') out[i] = 0;
    fuzz_add(8, 7, out + cut, len);
    bytes = copy(out + cut, len);
    if (!ocm_session_datagram(ses.s, bytes, len, ses.now)) strcpy(ses.done, "ignored");
    free(bytes);
}

static void ses_request(ocm_view text, char *out)
{
    uint8_t scratch[OCM_PAYLOAD_MAX];
    char all[1600];
    ocm_frame f;
    ocm_request q;
    if (!CHECK(ocm_frame_decode(text.ptr, text.len, OCM_PAYLOAD_MAX, &f) > 0)) return;
    if (!CHECK(ocm_request_decode(&f, scratch, &q) == 1)) return;
    sprintf(all, "%.*s %.*s %.*s %.*s %d %d", OCM_S(q.room), OCM_S(q.name), OCM_S(q.password),
            OCM_S(q.ip), (int)q.port, (int)q.level);
    CHECK(strcmp(all, "lobby bob pw 10.0.0.1 4000 1") == 0);
    sprintf(out, "%s%s%.*s", q.op == OCM_CREATE ? "create" : "join", q.token.len ? " " : "",
            OCM_S(q.token));
}

/* Adds what the session does to the outputs of this step. */
static void ses_note(const ocm_action *a)
{
    static const char *const ends[] = {"", "left", "unconfirmed", "host", "removed", "no server",
                                       "no answer", "no room", "exists", "taken", "password",
                                       "full", "refused"};
    char *out = ses.done + strlen(ses.done);
    ocm_datagram d;
    if (!CHECK(a->kind >= 0 && a->kind <= OCM_END && a->end >= 0 && a->end < (int)COUNT(ends)))
        return;
    if (*ses.done) out += sprintf(out, "; ");
    if (ses.now < ses.next) out += sprintf(out, "@%lu ", (unsigned long)(ses.now - ses.began));
    out += sprintf(out, "%s%s%s", a->past ? "past " : "", a->own ? "own " : "", ses_kinds[a->kind]);
    if (a->kind == OCM_DO_REQUEST) {
        ses_request(a->text, out);
    } else if (a->kind == OCM_DO_SEND && ocm_datagram_decode(a->text.ptr, a->text.len, &d) > 0) {
        CHECK(is(d.room, "lobby"));
        CHECK(is(d.token, ses.token));
        d.payload.len -= d.payload.ptr[d.payload.len - 1] == '\n';
        sprintf(out, " %.*s", OCM_S(d.payload));
    } else if (a->kind == OCM_SHOW_MESSAGE) {
        sprintf(out, "%.*s: %.*s", OCM_S(a->name), OCM_S(a->text));
    } else if (a->kind == OCM_SHOW_JOINED || a->kind == OCM_SHOW_LEFT) {
        sprintf(out, " %.*s", OCM_S(a->name));
    } else {
        int status = a->kind == OCM_END || a->kind == OCM_SHOW_ENTERED ? a->status : 0;
        if (a->kind == OCM_END) out += sprintf(out, " %s", ends[a->end]);
        if (a->kind == OCM_END || a->count) out += sprintf(out, " %lu", (unsigned long)a->count);
        if (status) out += sprintf(out, " %d", status);
        if (a->text.len) out += sprintf(out, " %.*s", OCM_S(a->text));
        if (a->why.len) sprintf(out, " (%.*s)", OCM_S(a->why));
    }
    if (a->kind == OCM_END) CHECK(!ses.ended++);
}

static void ses_pull(void)
{
    int turns = 0;
    ocm_action a;
    while (ocm_session_next(ses.s, ses.now, &a) && CHECK(++turns < 1000)) ses_note(&a);
    ses.until = CHECK(a.until > ses.now) ? a.until : ses.now + 1;
}

static int ses_open(const char *text)
{
    static const char *const wants[] = {"any", "create", "join"};
    char part[4][300] = {"", "lobby", "bob", "pw"};
    int i, want = 0;
    for (i = 0; i < 4 && next_part(&text, "/", part[i]); i++) {}
    while (strcmp(wants[want], part[0]) != 0) want++;
    return ocm_session_open(ses.s, want, ocm_text(part[1]), ocm_text(part[2]), ocm_text(part[3]));
}

static void ses_input(const char *input)
{
    int pull = *input != '~', result = 1;
    input += !pull;
    if (strcmp(input, "up") == 0) {
        fuzz_add(3, 7, NULL, 0);
        ocm_session_connected(ses.s, ocm_text("10.0.0.1"), 4000, ses.now);
    } else if (strcmp(input, "leave") == 0) {
        fuzz_add(1, 7, NULL, 0);
        ocm_session_leave(ses.s);
    } else if (strncmp(input, "say ", 4) == 0) {
        fuzz_add(2, 7, input + 4, strlen(input + 4));
        result = ocm_session_say(ses.s, ocm_text(input + 4));
    }
    else if (strncmp(input, "open ", 5) == 0) result = ses_open(input + 5);
    else if (strcmp(input, "down") == 0) ocm_session_received(ses.s, NULL, 0, ses.now);
    else if (strncmp(input, "answer ", 7) == 0) ses_answer(input + 7);
    else if (*input) ses_hear(input);
    if (result == OCM_E_BAD) strcpy(ses.done, "bad");
    if (result == OCM_E_LARGE) sprintf(ses.done, "large %d", (int)ocm_session_text_max(ses.s));
    if (result == OCM_E_FULL) sprintf(ses.done, "full %d", (int)ocm_session_pending(ses.s));
    if (pull && (*input || ses.until <= ses.now)) ses_pull();
}

/* The objects that a session should send stand in the script in their short forms. */
static void ses_expected(char *out, const char *text)
{
    char part[8192];
    for (*out = 0; next_part(&text, "; ", part); strcat(out, *text ? "; " : "")) {
        const char *send = strstr(part, "send ");
        strcat(out, part);
        if (send) ses_json(out + strlen(out) - strlen(send + 5), send + 5);
    }
}

static void ses_step(char *step)
{
    static char expected[65536];
    char *input = step, *outputs = strstr(step, "-> ");
    if (outputs) outputs[outputs > step ? -1 : 0] = 0;
    ses.began = ses.next = ses.now;
    if (*input == '+') ses.next += strtoul(input + 1, &input, 10);
    fuzz_add(0, 0, NULL, (size_t)(ses.next - ses.now) / 50);
    input += *input == ' ';
    *ses.done = 0;
    for (; ses.until < ses.next; ses_pull()) ses.now = ses.until;
    ses.now = ses.next;
    ses_input(input);
    ses_expected(expected, outputs ? outputs + 3 : "");
    if (!CHECK(strcmp(ses.done, expected) == 0))
        printf("   \"%s\" should bring: %s\n   and brings: %s\n", step, expected, ses.done);
}

static void ses_begin(const char *script)
{
    memset(&ses, 0, sizeof ses);
    ses.s = (ocm_session *)allocate(sizeof *ses.s);
    memset((void *)ses.s, 0xA5, sizeof *ses.s);
    ses.now = 1000;
    ses.until = UINT64_MAX;
    strcpy(ses.token, "t1");
    play(script, " | ", "", "", ses_step);
}

/* -- its conversations -- */

#define SES_ASK "open join -> connect | up -> join | "
#define SES_NEW SES_ASK "answer 200 t1 5 3 -> disconnect; entered 200; send at 0 | "
#define SES_IN \
    SES_NEW "status 3 1 0 / 1 joined ann / 2 ann: hello / 3 joined bob" \
            " -> past joined ann; past ann: hello | +2000 -> send at 3 | status 3 1 0 | "
#define SES_HOST "open create -> connect | up -> create | answer 201 t1 5 1 -> disconnect;" \
    " entered 201; send at 0 | status 1 1 0 / 1 joined bob | "
#define SES_SAID SES_IN "say a -> send a #1 | "
#define SES_OUT(reason) "out " reason " -> outage bye; connect | up -> join t1 | "
#define SES_REPEATS(what) "+10000 -> @300 send " what "; @900 send " what "; @2100 send " what \
    "; @4500 send " what "; @6900 send " what "; @9300 send " what "; "
#define SES_SILENT SES_IN "+25000 -> send at 3 | " SES_REPEATS("at 3") "outage; connect | "
#define SES_LEVEL_0 SES_ASK "answer 200 t1 -> disconnect; entered 200 | "
#define SES_TRY(ms) "+" ms " -> connect | up -> join t1 | answer [404|409|503] -> disconnect"

static const struct { const char *name, *script; } ses_scripts[] = {
    /* what a user may ask for, and say; before it entered, any token may come */
    {"no room, name, password", "open join/[/bob/pw|lobby//pw|lobby/system/pw|lobby/a: b/pw|"
     "lobby/bob/\xff|lobby/bob/p{256}] -> bad | up | say a -> full 0 | +60000"},
    {"a long password", "open join/lobby/bob/p{255} -> connect"},
    {"what may be said", "open join -> connect | say  -> bad | say a\nb -> bad | say \xff -> bad |"
     " say \"{1880} -> large 3759 | say \"{1879} | say x{3760} -> large 3759 |"
     " 63 times say x{3759} | say x -> full 64 | ~open join | ~say x |"
     " ~leave | ~say x -> full 1"},
    {"a short token leaves more space", SES_IN "say x{3983} -> large 3982"},
    {"level 1 repeats what is not ASCII as it is", SES_IN "~say (\xe3\x81\x82){664}"},
    {"another server may send \\uXXXX for it", SES_LEVEL_0
     "~say (\xe3\x81\x82){664} -> large 3982 | ~say (\xe3\x81\x82){663} |"
     " ~say (\xe3\x81\x82){662}\xf0\x9f\x99\x82 -> large 3982 |"
     " ~say (\xe3\x81\x82){661}\xf0\x9f\x99\x82"},
    {"out, and said", SES_IN "~out host | ~say x -> full 0"},
    /* entering */
    {"of the past nothing is missed", SES_ASK "answer 200 t1 5 57 -> disconnect; entered 200;"
     " send at 37 | status 57 56 0 / 56 ann: old / 57 joined bob / 58 ann: new -> past ann: old;"
     " ann: new"},
    {"join or create", "open any -> connect | up -> join | answer 404 -> disconnect; connect |"
     " up -> create | answer 409 -> disconnect; connect | up -> join |"
     " answer 200 t1 5 2 -> disconnect; entered 200; send at 0"},
    {"said before it entered", "open join -> connect | say a | say b | up -> join |"
     " answer 200 t1 5 1 -> disconnect; entered 200; send at 0 / a #1 / b #2"},
    {"refused", SES_ASK "answer [404|409|401|503|400] -> disconnect;"
     " end [no room|taken|password|full|refused] 0 [404|409|401|503|400] words"},
    {"300", SES_ASK "answer 300 t1 -> disconnect; end refused 0 300"},
    {"it does not make a room that it joined", "open any -> connect | up -> join |"
     " answer 200 t1 5 1 -> disconnect; entered 200; send at 0 | status 1 1 0 / 1 joined bob | "
     SES_OUT("stopping") "answer 404 -> disconnect | +1000 -> connect | up -> join t1"},
    {"the room exists", "open create -> connect | up -> create | answer 409 -> disconnect;"
     " end exists 0 409 words"},
    {"words with a bell", SES_ASK
     "answer {\"status\":400,\"message\":\"n\\u0007o\"} -> disconnect; end refused 0 400"},
    {"no answer", SES_ASK "[answer {}|answer !|down|+5000] -> disconnect; end no answer 0"},
    {"no server", "open join -> connect | [down|+5000] -> disconnect; end no server 0"},
    /* speaking: one datagram of messages under way, and one timer */
    {"what is said meanwhile waits", SES_SAID "say b | say c | 4 bob: a #1 -> own bob: a;"
     " send b #2 / c #3 | 6 bob: c #3 | say d -> send d #4 | 5 bob: b #2 -> own bob: b;"
     " own bob: c"},
    {"timer", SES_SAID "+300 -> send at 3 / a #1 | say b | +600 -> send at 3 / a #1 / b #2 |"
     " +1200 -> send at 3 / a #1 / b #2 | +2400 -> send at 3 / a #1 / b #2 |"
     " +2400 -> send at 3 / a #1 / b #2 | +2400 -> send at 3 / a #1 / b #2 | +700 -> outage;"
     " connect | up -> join t1 | answer 200 t1 5 3 -> disconnect; send at 3 / a #1 / b #2 |"
     " +300 -> send at 3 / a #1 / b #2"},
    {"a status is a receipt, and what was taken is not repeated", SES_SAID "say b |"
     " status 4 1 1 -> send b #2 | +50 -> send at 3 / b #2 | 4 bob: a #1 -> own bob: a |"
     " +300 -> send at 4 / b #2"},
    {"a repeat holds less: what follows need not wait", SES_SAID "5 times say x{213} |"
     " 4 bob: a #1 -> own bob: a; send x{213} #2 / x{213} #3 / x{213} #4 / x{213} #5 / x{213} #6 |"
     " +300 -> send at 4 / x{213} #2 / x{213} #3 / x{213} #4 / x{213} #5 | status 8 1 5 ->"
     " send x{213} #6"},
    {"round trip, of what was sent once", SES_SAID "+250 4 bob: a #1 -> own bob: a |"
     " say b -> send b #2 | +500 -> send at 4 / b #2 | +400 5 bob: b #2 -> own bob: b |"
     " say c -> send c #3 | +500 -> send at 5 / c #3"},
    {"round trip, long", SES_SAID "+290 4 bob: a #1 -> own bob: a | say b -> send b #2 |"
     " +550 5 bob: b #2 -> own bob: b | say c -> send c #3 | +1100 -> send at 5 / c #3 |"
     " +2200 -> send at 5 / c #3 | +3000 -> send at 5 / c #3"},
    {"round trip, not over an outage", SES_IN "+25000 -> send at 3 | " SES_OUT("stopping")
     "+3000 ~answer 200 t1 5 3 | status 3 1 0 -> disconnect; back; send at 3 | say a -> send a #1 |"
     " +300 -> send at 3 / a #1"},
    {"the timer starts over with an id", SES_SAID "say b | +900 -> @300 send at 3 / a #1 / b #2;"
     " send at 3 / a #1 / b #2 | status 3 1 1 -> refused a | +300 -> send at 3 / b #2"},
    /* hearing */
    {"gap", SES_IN "5 ann: b | +20 6 ann: c | +30 -> send at 3 | 5 ann: b | 4 ann: a -> ann: a;"
     " ann: b; ann: c | 4 ann: a"},
    {"a gap is asked for again when the answer is late", SES_SAID "+120 4 bob: a #1 -> own bob: a |"
     " 6 ann: c | +500 -> @50 send at 4; @170 send at 4; @470 send at 4"},
    {"what follows opens no gap, a status does", SES_IN "5 ann: b | +50 -> send at 3 |"
     " +10 6 ann: c | +40 | +100 status 6 1 0 | +50 -> send at 3 |"
     " +10 status 7 1 0 | +100 -> @50 send at 3; send at 3"},
    {"a status says what the server waits for, but not while later ones are here", SES_IN
     "4 ann: a -> ann: a | 64 ann: c | +10 status 65 1 0 | +40 -> send at 4"},
    {"the newest is asked for again when the answer is late", SES_SAID "+120 4 bob: a #1 ->"
     " own bob: a | status 5 1 1 -> send at 4 | +130 -> @120 send at 4"},
    {"a status says what the server waits for", SES_IN "4 ann: a -> ann: a |"
     " status 6 1 0 -> send at 4 | 5 ann: b -> ann: b | 6 ann: c -> ann: c | status 5 1 0 |"
     " +2000 -> send at 6"},
    {"tail", SES_IN "4 ann: a -> ann: a | +2000 -> send at 4 | +300 -> send at 4 |"
     " +600 -> send at 4 | +1300 status 4 1 0 -> @1200 send at 4 | +24900 -> send at 4 |"
     " +300 -> send at 4"},
    {"an entry is malformed", SES_IN "{\"sender\":\"al\",\"message\":\"hi\",\"seq\":4,} |"
     " 4 ann: ho -> ann: ho"},
    {"lost", SES_SAID "status 40 38 1 -> missed 34; send at 37 |"
     " 38 ann: x / 39 ann: y / 40 left ann -> ann: x; ann: y; left ann | leave -> send leave bob |"
     " out left -> end left 0 bye"},
    {"lost at the end", SES_SAID "status 40 38 1 -> missed 34; send at 37 | out host -> missed 3;"
     " end host 0 bye"},
    {"lost before what is here", SES_IN "6 ann: c | out host -> missed 2; ann: c; end host 0 bye"},
    {"lost: one's own notices are not counted", SES_NEW
     "1 joined ann / 2 ann: x -> past joined ann; past ann: x | out timeout -> no-udp; connect |"
     " up -> join t1 | answer 200 t2 5 [7|4] -> disconnect; send at 2 |"
     " status 12 10 0 -> missed 5; send at 9"},
    {"an own notice of before is not past", SES_NEW "2 ann: x | out timeout -> no-udp; connect |"
     " up -> join t1 | answer 200 t2 5 7 -> disconnect; send at 0 | 1 joined ann / 3 joined bob ->"
     " past joined ann; past ann: x; joined bob"},
    {"lost up to one's own notice", SES_NEW
     "1 joined ann / 2 ann: x -> past joined ann; past ann: x | out timeout -> no-udp; connect |"
     " up -> join t1 | answer 200 t2 5 7 -> disconnect; send at 2 |"
     " status 12 7 0 -> missed 3; send at 6"},
    {"lost after it was asked for", SES_IN "status 40 1 0 | +1000 -> @50 send at 3; @350 send at 3;"
     " @950 send at 3 | status 40 38 0 -> missed 34; send at 37 |"
     " +300 -> send at 37"},
    {"lost before the first place of the buffer", SES_IN "64 ann: x | status 65 64 0 -> missed 60;"
     " ann: x; send at 64"},
    {"all is lost", SES_IN "status 5 6 0 -> missed 2; send at 5"},
    {"no message, a notice of an odd form", SES_IN "down | notice slow -> notice slow |"
     " {\"sender\":\"ann\",\"message\":\"\",\"seq\":4} | " SES_SYSTEM
     "1,\"message\":\"odd\",\"seq\":5} -> notice odd | " SES_SYSTEM
     "2,\"message\":\"even\",\"seq\":6} -> notice even"},
    {"as long as a datagram may be", SES_IN
     "{\"seq\":4,\"sender\":\"ann\",\"message\":\"hi\"} {[4048|4049]} -> [ann: hi|ignored]"},
    {"strangers", SES_IN "@t2 4 ann: a -> ignored | @0 4 ann: a -> ignored |"
     " @- 4 ann: a -> ignored | @t1x out host -> ignored | " SES_SYSTEM
     "9,\"message\":\"x\"} / [] / x | 4 ann: b -> ann: b"},
    {"only the system removes", SES_IN "{\"sender\":\"ann\",\"operation\":3,\"reason\":\"host\","
     "\"message\":\"x\",\"seq\":4} -> ann: x"},
    /* what became of a message */
    {"refused, as it was taken and all is read", SES_SAID "status 4 1 1 | +50 -> send at 3 |"
     " 4 ann: x -> ann: x; refused a"},
    {"refused, and why", SES_SAID "refused 1 too long / refused 1 too long |"
     " status 3 1 1 -> refused a (too long) | refused 1 too long"},
    {"words of another thing are no reason", SES_SAID "~status 3 1 1 | [out host|out stopping] ->"
     " [refused a; end host 0 bye|outage bye; refused a; connect]"},
    {"taken and lost is delivered, the rest is not known", SES_SAID "100 bob: a #1 |"
     " say b -> send b #2 | out host -> missed 97; unknown b; end host 1 bye"},
    {"not known", SES_SAID "[~|leave] | out host -> unknown a; end host 1 bye"},
    {"out, and what comes late", SES_IN "~out host | 4 ann: a -> ignored; end host 0 bye"},
    /* keeping alive: every third of idle, 25 s at most, or if it is absurd */
    {"idle", SES_ASK "answer 200 t1 5 1 [3|74|76|0|9007199254740991] -> disconnect; entered 200;"
     " send at 0 | 1 joined bob / status 1 1 0 | +[1000|2000|2000|2000|2000] -> send at 1 |"
     " status 1 1 0 | +[1000|24666|25000|25000|25000] -> send at 1 | status 1 1 0 |"
     " +[1000|24666|25000|25000|25000] -> send at 1"},
    /* coming back */
    {"silence: a datagram ends the attempt", SES_SILENT "~up |"
     " status 3 1 0 -> disconnect; back | up | answer 404 | +24300 -> send at 3"},
    {"it is back, and gone, before either was told", SES_SILENT
     "~status 3 1 0 | out stopping -> disconnect; outage bye; connect"},
    {"a removal is no sign of life", SES_SILENT "out stopping -> disconnect | +1000 -> connect"},
    {"the minute of refusals starts over", SES_SILENT "up -> join t1 | answer 503 -> disconnect |"
     " status 3 1 0 -> back | +24300 -> send at 3 | status 3 1 0 | +25000 -> send at 3 |"
     " status 3 1 0 | +25000 -> send at 3 | " SES_REPEATS("at 3") "outage; connect |"
     " up -> join t1 | +4000 answer 503 -> disconnect | +1000 -> connect"},
    {"nothing is heard for 10 s", SES_NEW "+10000 -> @300 send at 0; @900 send at 0;"
     " @2100 send at 0; @4500 send at 0; @6900 send at 0; @9300 send at 0; no-udp; connect"},
    {"timeout", SES_IN "+10001 " SES_OUT("timeout") "answer 200 t1 5 3 -> disconnect; send at 3"},
    {"new token, same log", SES_SAID "say b | " SES_OUT("unreachable")
     "answer 200 t2 5 6 -> disconnect; send at 3 | say c | @t1 4 ann: wrong -> ignored |"
     " 4 bob: a #1 / 5 left bob -> back; own bob: a; left bob | 6 joined bob -> send b #1 / c #2 |"
     " 7 bob: b #1 / 8 bob: c #2 -> own bob: b; own bob: c"},
    {"new token, same log, another text", SES_SAID SES_OUT("unreachable")
     "answer 200 t2 5 6 -> disconnect; send at 3 | 4 bob: z #1 / 5 left bob / 6 joined bob -> back;"
     " bob: z; left bob; send a #1"},
    {"what the answer tells of, and is not sent", SES_IN SES_OUT("unreachable")
     "answer 200 t2 5 9 -> disconnect; send at 3 | out host -> missed 5; end host 0 bye"},
    {"another log", SES_SAID "4 ann: old -> ann: old | 6 ann: old | " SES_OUT("stopping")
     "answer 200 t2 6 3 -> disconnect; missed 1; ann: old; send at 0 / a #1 |"
     " 1 joined ann / 2 ann: new / 3 joined bob / 4 bob: a #1 -> back; joined ann; ann: new;"
     " own bob: a | +2000 -> send at 4 | 5 ann: b / 6 ann: c -> ann: b; ann: c"},
    {"another log, and its beginning is lost", SES_IN SES_OUT("stopping")
     "answer 200 t2 6 9 -> disconnect; send at 0 | status 9 5 0 -> back; missed 4; send at 4"},
    {"taken, and not read in the old log", SES_SAID "status 9 3 1 | " SES_OUT("stopping")
     "answer 200 t2 6 3 -> disconnect; missed 6; send at 0 / a #1"},
    {"another log waits until the old one is read out", SES_IN SES_OUT("stopping")
     "~answer 200 t2 6 3 | 1 ann: x -> ignored; disconnect; send at 0"},
    {"a longer token than messages were measured for", SES_IN SES_OUT("stopping")
     "answer 200 0123456789abcdef0123456789abcdef0 5 3 -> disconnect | " SES_TRY("1000")},
    {"a token as long", SES_IN SES_OUT("stopping")
     "answer 200 0123456789abcdef0123456789abcdef 5 3 -> disconnect; send at 3"},
    {"a long token as long", SES_ASK "answer 200 f123456789abcdef0123456789abcdef0 5 0 ->"
     " disconnect; entered 200; send at 0 | out stopping -> outage bye; connect |"
     " up -> join f123456789abcdef0123456789abcdef0 |"
     " answer 200 f123456789abcdef0123456789abcdef1 5 0 -> disconnect; send at 0"},
    {"a server that has forgotten level 1", SES_IN SES_OUT("stopping")
     "answer 200 t1 -> disconnect | ann: hi -> back; ann: hi |"
     " +60000 say a -> send bob: a; own bob: a"},
    {"a refusal for a minute", SES_IN SES_OUT("stopping") "answer [404|409|503] -> disconnect | "
     SES_TRY("1000") " | " SES_TRY("2000") " | " SES_TRY("4000") " | " SES_TRY("8000") " | "
     SES_TRY("16000") " | " SES_TRY("30000") "; end [no room|taken|full] 0 [404|409|503] words"},
    {"no server for long is no refusal", SES_IN SES_OUT("stopping") "down -> disconnect |"
     " +1000 -> connect | down -> disconnect | +2000 -> connect | down -> disconnect |"
     " +4000 -> connect | down -> disconnect | +8000 -> connect | down -> disconnect |"
     " +16000 -> connect | down -> disconnect | +30000 -> connect | down -> disconnect | "
     SES_TRY("30000") " | " SES_TRY("30000") " | " SES_TRY("30000") ";"
     " end [no room|taken|full] 0 [404|409|503] words"},
    {"no answer when it comes back", SES_IN SES_OUT("stopping") "+5000 -> disconnect |"
     " +1000 -> connect | +5000 -> disconnect | +2000 -> connect"},
    {"a refusal that ends it", SES_SAID SES_OUT("stopping") "answer [400|401] -> disconnect;"
     " unknown a; end [refused|password] 1 [400|401] words"},
    {"the host makes its room again", SES_HOST SES_OUT("stopping")
     "answer 404 -> disconnect; connect | up -> create | answer 503 -> disconnect |"
     " +1000 -> connect | up -> join t1 | answer 404 -> disconnect; connect | up -> create |"
     " answer 201 t2 6 1 -> disconnect; send at 0 | status 1 1 0 / 1 joined bob -> back"},
    /* leaving */
    {"timed out on the way", SES_IN "leave -> send leave bob | out timeout -> end left 0 bye"},
    {"not confirmed", SES_IN "leave -> send leave bob | leave | +700 -> @300 send leave bob;"
     " @600 send leave bob | out left -> end left 0 bye"},
    {"with a fate", SES_SAID "leave | +200 4 bob: a #1 -> own bob: a; send leave bob |"
     " out left -> end left 0 bye"},
    {"without a fate", SES_SAID "leave | " SES_REPEATS("at 3 / a #1") "send leave bob |"
     " out left -> unknown a; end left 1 bye"},
    {"ten seconds after the last fate", SES_SAID "say b | leave | +6000 4 bob: a #1 ->"
     " @300 send at 3 / a #1 / b #2; @900 send at 3 / a #1 / b #2; @2100 send at 3 / a #1 / b #2;"
     " @4500 send at 3 / a #1 / b #2; own bob: a; send at 4 / b #2 |"
     " +6000 -> @600 send at 4 / b #2; @1800 send at 4 / b #2; @4200 send at 4 / b #2 |"
     " 5 bob: b #2 -> own bob: b; send leave bob"},
    {"during an outage", SES_SILENT "leave -> send leave bob | +900 -> @300 send leave bob;"
     " @600 send leave bob; disconnect; end unconfirmed 0"},
    {"during an outage, and heard", SES_SILENT "down -> disconnect | leave -> send leave bob |"
     " out left -> end left 0 bye"},
    {"without a server", SES_IN SES_OUT("stopping") "leave -> disconnect; end unconfirmed 0"},
    {"for an unknown reason", SES_IN "out whim -> end removed 0 bye"},
    /* a server that knows nothing of level 1 */
    {"level 0", SES_LEVEL_0 "+600000 | b: hi -> b: hi | @0 b: hi -> b: hi | @- b: hi -> b: hi |"
     " bob: hi -> own bob: hi | @- \"bye\" -> notice bye | @0 \"bye\" -> notice bye |"
     " @t2 b: hi -> ignored | @0x b: hi -> ignored | 17 b: hi -> b: hi |"
     " @- {\"sender\":\"b\",\"message\":\"\"} | @- { |"
     " @- -> ignored | @- ^ -> ignored | @- \1^x{} -> ignored | @0  | @- \"\" -> notice |"
     " @- \"a\\u0007\" | @- \"\\ | @- \"\\u12 |"
     " @- \"\\u12G4 | @- \"\\x\" |"
     " @- {\"sender\":\"a\\u0007\",\"message\":\"x\"} |"
     " @- {\"sender\":\"b\",\"username\":\"\\u009b\",\"message\":\"x\"} |"
     " @- {\"sender\":\"b\",\"message\":\"\\u001b\"} | @- \1rx -> ignored |"
     " @- \5\2othert2{} -> ignored | say a -> send bob: a; own bob: a |"
     " say b -> send bob: b; own bob: b | leave -> send leave bob; end left 0"},
    {"level 0, out", SES_LEVEL_0 "out host -> end host 0 bye"},
    {"level 0, out by team D's server", SES_LEVEL_0 "@0 \"You have been disconnected\""
     " -> end removed 0"},
    /* many */
    {"more words than there is a place for are none", SES_ASK "answer {\"status\":401,\"message\":"
     "\"w{[255|257]}\"} -> disconnect; end password 0 401[ w{255}|]"},
    {"a room that comes and goes", "open any -> connect | up -> join | answer 404 -> disconnect;"
     " connect | up -> create | answer 409 -> disconnect; connect | up -> join |"
     " answer 404 -> disconnect; connect | up -> create | answer 409 -> disconnect |"
     " +1000 -> connect | up -> join | answer 503 -> disconnect; end full 0 503 words"},
    {"it comes and goes, and comes back", SES_HOST SES_OUT("stopping") "answer 404 -> disconnect;"
     " connect | up -> create | answer 409 -> disconnect | +1000 -> connect | up -> join t1 |"
     " answer 200 t1 5 1 -> disconnect; send at 1 | status 1 1 0 -> back | " SES_OUT("stopping")
     "answer 404 -> disconnect; connect | up -> create"},
    {"entries that come early, and one that is too early", SES_ASK
     "answer 200 t1 5 998 -> disconnect; entered 200; send at 978 |"
     " status 998 999 0 -> send at 998 |"
     " 64 times ~# ann: a | 999 ann: a -> ann: a(; ann: a){63} | 1063 ann: b -> ann: b"},
    {"nobody looks at what comes", SES_LEVEL_0 "64 times ~@- \"n\" | ~@- \"m\" |"
     " @- \"x\" -> notice n(; notice n){63} | @- \"x\" -> notice x"},
};

static int ses_script(size_t i, int k)
{
    static char chosen[8192];
    int count = choose(ses_scripts[i].script, k, chosen);
    row = ses_scripts[i].name;
    ses_begin(chosen);
    free(ses.s);
    row = "";
    return count;
}

static void test_ses_scripts(void)
{
    size_t i;
    int k, count;
    for (i = 0; i < COUNT(ses_scripts); i++)
        for (k = 0, count = 1; k < count; k++) count = ses_script(i, k);
}

/* An answer as long as it may be, and a byte longer. */
static void test_ses_answers(void)
{
    uint8_t bytes[OCM_FRAME_MAX + 1];
    char json[OCM_PAYLOAD_MAX + 1], step[80];
    const size_t first = OCM_FRAME_MAX - 256;
    size_t more;
    for (more = 0; more < 2; more++) {
        ses_begin(SES_ASK);
        sprintf(json, "{\"status\":404%*s}", OCM_PAYLOAD_MAX - 14, "");
        CHECK(ocm_frame_encode(bytes, OCM_FRAME_MAX, OCM_JOIN, OCM_STATE_COMPLETE,
                               view(json + 20, OCM_NAME_MAX), view(json, OCM_PAYLOAD_MAX)) ==
              OCM_FRAME_MAX);
        ocm_session_received(ses.s, bytes, first, ses.now);
        ocm_session_received(ses.s, bytes + first, 256 + more, ses.now);
        ses_step(strcpy(step, more ? "down -> disconnect; end no answer 0"
                                      : "down -> disconnect; end no room 0 404"));
        free(ses.s);
    }
}

/* ---- A simulated network ---- */

/* A registry at one end, sessions at the other, and between them a network that loses, repeats,
   delays and breaks. The clock jumps from one event to the next, so an hour of chat takes a moment,
   and a seed repeats it to the bit. */

enum { NET_MEMBERS = 20, NET_MESSAGES = 1600, NET_THINGS = 8192, NET_LOG = 4096,
       NET_DELAYS = 20000 };
enum { NET_UP = 1, NET_DOWN = 2, NET_REQUEST = 4, NET_ANSWER = 8 }; /* what may be under way */
enum { /* see ses_kinds */
    NET_GOT = OCM_END + 1, NET_PAST, NET_HEARD, NET_WHY, NET_LOST, NET_OVER, NET_TOLD
};

typedef struct net_thing { /* something under way */
    uint64_t at;
    int kind, member;
    unsigned call;      /* which connection of that member */
    ocm_addr addr;      /* the member's, when it was sent */
    uint8_t *bytes;
    size_t len;
    int room, admitted; /* of an answer: the room, 0: refused; whether it made a new member */
} net_thing;

typedef struct net_member {
    ocm_session *s;
    ocm_addr addr;
    char name[16];
    int cut, plain;       /* what does not pass; it does not ask for level 1 */
    unsigned call;
    uint64_t ahead, wake; /* ahead: its clock */
    int fresh;            /* no datagram of it came since the server made it a member */
    uint64_t alive;       /* when the server has to give it up; 0: it is no member */
    /* what follows is of the session that is there now, see net_join */
    int room, left;          /* whose log it reads; its user has left */
    uint64_t entered, seq;   /* its first notice; the last entry that it was shown */
    uint64_t known, notices; /* entries before that, shown, and lost; own ones, not shown */
    uint64_t said, settled;  /* its messages; those of which it was told what became */
    size_t next, last;       /* the messages that it may say next, and was shown last of its own */
    int told[NET_TOLD];
    uint8_t shown[NET_MESSAGES];
} net_member;

typedef struct net_world { /* reg_g is NULL when the server is down */
    ocm_limits limits;
    uint64_t now, wake, paused; /* until then the server is paused */
    uint64_t typed; /* when the last message is */
    uint32_t lot, delay_min, delay_max;
    int loss, twice, members, rooms, restarted; /* percent; rooms: made by now */
    size_t messages, things;
    struct { int sender, refusable; uint64_t typed; size_t len; } message[NET_MESSAGES];
    struct { int room; uint64_t seq, sum; } entry[NET_LOG]; /* what the first one was shown */
    net_member member[NET_MEMBERS];
    net_thing thing[NET_THINGS];
    uint32_t delays[NET_DELAYS]; /* how many messages were shown to others after so many ms */
} net_world;

static void net_put(net_world *w, int kind, int member, ocm_view bytes)
{
    const net_member *m = &w->member[member];
    net_thing t = {0, kind, member, m->call, m->addr, NULL, bytes.len, 0, 0};
    if (!CHECK(w->things < NET_THINGS)) return;
    t.at = w->now + w->delay_min + dice(&w->lot) % (w->delay_max - w->delay_min + 1);
    t.bytes = copy(bytes.ptr, bytes.len);
    w->thing[w->things++] = t;
}

/* A datagram, which the network may lose, repeat and delay. The registry refuses a text with a
   control character, and a session lets nobody say one: the network makes one of six tildes. */
static void net_send(net_world *w, int kind, int member, ocm_view bytes)
{
    int copies = dice(&w->lot) % 100 < (uint32_t)w->twice ? 2 : 1;
    if (w->member[member].cut & kind) return;
    while (copies--) {
        size_t i;
        if (dice(&w->lot) % 100 < (uint32_t)w->loss) continue;
        net_put(w, kind, member, bytes);
        for (i = 0; i + 6 <= bytes.len; i++) {
            uint8_t *p = w->thing[w->things - 1].bytes + i;
            if (kind == NET_UP && memcmp(p, "~~~~~~", 6) == 0) memcpy(p, "\\u0007", 6);
        }
    }
}

/* -- the server's side -- */

/* All that the server has to send, and when it wants to be called again. Whoever kept alive is a
   member afterwards; whoever did not is none, and was told so. */
static void net_drain(net_world *w)
{
    ocm_event ev;
    int i, turns = 0;
    reg_now = w->now;
    while (ocm_registry_next(reg_g, reg_now, &ev) && CHECK(++turns < 100000)) {
        int to = -1;
        for (i = w->members - 1; i >= 0; i--) {
            net_member *m = &w->member[i];
            if (memcmp(m->addr.ip, ev.to.ip, 16) == 0 && m->addr.port == ev.to.port) to = i;
            if (!ev.reason || !is(ev.name, m->name)) continue;
            CHECK(ev.reason != OCM_REASON_TIMEOUT || reg_now >= m->alive);
            m->alive = 0;
        }
        if (to >= 0) net_send(w, NET_DOWN, to, ev.datagram);
    }
    for (i = 0; i < w->members; i++) CHECK(!w->member[i].alive || reg_now < w->member[i].alive);
    CHECK(ev.until > reg_now);
    w->wake = ev.until;
}

/* The process is gone, with all that it knew. */
static void net_kill(net_world *w)
{
    int i;
    w->restarted = 1;
    for (i = 0; i < w->members; i++) w->member[i].alive = 0;
    if (reg_g) reg_end();
    reg_g = NULL;
    w->wake = UINT64_MAX;
}

static void net_start(net_world *w)
{
    uint8_t random[32];
    int i;
    for (i = 0; i < 32; i++) random[i] = (uint8_t)dice(&w->lot);
    reg_begin(&w->limits);
    ocm_registry_init(reg_memory, &w->limits, random);
    net_drain(w);
}

static void net_request(net_world *w, const net_thing *t)
{
    const ocm_counts before = *reg_counts;
    net_member *m = &w->member[t->member];
    reg_person *p = reg_who(m->name);
    size_t i;
    for (i = 0; m->plain && i + 7 <= t->len; i++)
        if (memcmp(t->bytes + i, "\"ocm\":1", 7) == 0) t->bytes[i + 6] = '0';
    reg_now = w->now;
    p->tcp = t->addr;
    reg_connect(p);
    reg_receive(p, t->bytes, t->len);
    reg_hang_up(p);
    net_put(w, NET_ANSWER, t->member, view(p->answer, p->len));
    w->wake = w->now;
    if (p->status >= 300) return;
    w->rooms += reg_counts->rooms > before.rooms;
    w->thing[w->things - 1].room = w->rooms;
    w->thing[w->things - 1].admitted = reg_counts->members > before.members;
    if (reg_counts->members > before.members) m->fresh = !m->plain;
    m->alive = reg_now + (m->fresh ? 10000 : 300000);
}

/* -- a member's side -- */

/* Which of the last messages it is, 0 for none: "#17 ....." is number 17. */
static size_t net_number(const net_world *w, ocm_view text)
{
    size_t i, n = 0;
    for (i = 1; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        n = n * 10 + (size_t)(text.ptr[i] - '0');
    return n <= w->messages && n + NET_MESSAGES > w->messages ? n : 0;
}

static ocm_view net_words(const net_world *w, size_t k)
{
    static char text[OCM_TEXT_MAX];
    size_t at = k % NET_MESSAGES, n;
    n = (size_t)sprintf(text, "#%lu %s", (unsigned long)k,
                        w->message[at].refusable ? "~~~~~~" : "");
    while (n < w->message[at].len) text[n++] = '.';
    return view(text, n);
}

/* When the member's user typed what it is to say next. */
static uint64_t net_typed(const net_world *w, net_member *m)
{
    for (; m->next <= w->messages; m->next++)
        if (w->message[m->next % NET_MESSAGES].sender == (int)(m - w->member))
            return w->message[m->next % NET_MESSAGES].typed;
    return UINT64_MAX;
}

/* An entry is shown. They come in the order of seq, the same to everyone. What was there before it
   entered is not missed, and another log is read from its beginning. */
static void net_entry(net_world *w, net_member *m, const ocm_action *a)
{
    uint64_t sum = 0, at = a->seq % NET_LOG;
    size_t i;
    for (i = 0; i < a->text.len; i++) sum = sum * 31 + a->text.ptr[i];
    CHECK(a->seq > m->seq);
    m->known += a->seq > m->entered;
    m->seq = a->seq;
    if (w->entry[at].room == m->room && w->entry[at].seq == a->seq) CHECK(w->entry[at].sum == sum);
    w->entry[at].room = m->room;
    w->entry[at].seq = a->seq;
    w->entry[at].sum = sum;
}

static void net_message(net_world *w, net_member *m, const ocm_action *a)
{
    size_t k = net_number(w, a->text), at = k % NET_MESSAGES;
    int own = !a->past && w->message[at].sender == (int)(m - w->member);
    m->told[NET_PAST] += a->past;
    m->told[NET_HEARD] += a->kind == OCM_SHOW_MESSAGE;
    if (k == 0) return;
    CHECK(a->own == own && ocm_view_equal(a->text, net_words(w, k)));
    if (own) {
        CHECK(k > m->last && !w->message[at].refusable);
        m->last = k;
        m->settled++;
    } else if (m->shown[at]++ == 0) {
        uint64_t ms = w->now - w->message[at].typed;
        w->delays[ms < NET_DELAYS ? ms : NET_DELAYS - 1]++;
    }
}

static void net_act(net_world *w, net_member *m, const ocm_action *a)
{
    uint64_t clock = w->now + m->ahead;
    int member = (int)(m - w->member);
    if (!CHECK(a->kind >= 0 && a->kind <= OCM_END)) return;
    m->told[a->kind]++;
    if (a->kind == OCM_DO_CONNECT || a->kind == OCM_DO_DISCONNECT) m->call++;
    if (a->kind == OCM_DO_CONNECT && !(m->cut & NET_REQUEST)) {
        if (reg_g) ocm_session_connected(m->s, ocm_text("10.0.0.1"), m->addr.port, clock);
        else ocm_session_received(m->s, NULL, 0, clock);
    }
    if (a->kind == OCM_DO_REQUEST) net_put(w, NET_REQUEST, member, a->text);
    if (a->kind == OCM_DO_SEND) net_send(w, NET_UP, member, a->text);
    if (a->kind == OCM_SHOW_ENTERED) m->entered = m->known = a->seq;
    if (a->kind >= OCM_SHOW_MESSAGE && a->kind <= OCM_SHOW_LEFT && !m->plain) net_entry(w, m, a);
    if (a->kind == OCM_SHOW_MESSAGE) net_message(w, m, a);
    if (a->kind == OCM_SHOW_REFUSED) {
        CHECK(w->message[net_number(w, a->text) % NET_MESSAGES].refusable);
        m->told[NET_WHY] += a->why.len > 0;
        m->settled++;
    }
    if (a->kind == OCM_SHOW_MISSED) {
        m->known += a->count;
        m->told[NET_LOST] += (int)a->count;
    }
    if (a->kind == OCM_END) {
        m->told[NET_OVER] = a->end;
        CHECK(a->end < OCM_END_PASSWORD && (a->end != OCM_END_REMOVED || m->left));
    }
}

/* Says what was typed, as far as it finds room in the outbox, and does what the session wants,
   until it wants nothing. */
static void net_pull(net_world *w, net_member *m)
{
    uint64_t clock = w->now + m->ahead;
    int turns = 0;
    ocm_action a;
    do {
        for (; net_typed(w, m) <= w->now; m->next++) {
            int n = ocm_session_say(m->s, net_words(w, m->next));
            CHECK(n > 0 || n == OCM_E_FULL);
            if (n < 0) break;
            m->said++;
        }
        if (!ocm_session_next(m->s, clock, &a)) break;
        net_act(w, m, &a);
    } while (CHECK(++turns < 1000));
    CHECK(a.until > clock);
    m->wake = a.until == UINT64_MAX ? UINT64_MAX : a.until - m->ahead;
    if (net_typed(w, m) > w->now && net_typed(w, m) < m->wake) m->wake = net_typed(w, m);
}

/* On a connection something has come. A member that is back in another room is shown what is here
   of the old log, and then reads the new one. */
static void net_tcp(net_world *w, const net_thing *t)
{
    net_member *m = &w->member[t->member];
    if (m->cut & t->kind || t->call != m->call) return; /* the session gives up, or has hung up */
    if (t->kind == NET_REQUEST && reg_g) {
        net_request(w, t);
        return;
    }
    ocm_session_received(m->s, t->bytes, reg_g ? t->len : 0, w->now + m->ahead);
    net_pull(w, m);
    if (!t->room || !reg_g) return;
    if (m->room && m->room != t->room) m->notices = m->entered = m->seq = m->known = 0;
    if (m->room) m->notices += (uint64_t)t->admitted;
    m->room = t->room;
}

/* -- the world -- */

/* A datagram reaches whoever is at its address now; several sessions may share one. */
static void net_happen(net_world *w, size_t i)
{
    net_thing t = w->thing[i];
    net_member *m = &w->member[t.member];
    int k, taken = 0;
    memmove(w->thing + i, w->thing + i + 1, (--w->things - i) * sizeof t);
    if (t.kind == NET_REQUEST || t.kind == NET_ANSWER) net_tcp(w, &t);
    if (t.kind == NET_UP && reg_g) {
        reg_now = w->now;
        w->wake = w->now;
        if (reg_send_bytes(t.bytes, t.len, &t.addr)) {
            m->fresh = 0;
            m->alive = reg_now + 300000;
        }
    }
    for (k = 0; k < w->members && t.kind == NET_DOWN; k++) {
        m = &w->member[k];
        if (m->cut & NET_DOWN || memcmp(&m->addr, &t.addr, sizeof t.addr) != 0) continue;
        if (!ocm_session_datagram(m->s, t.bytes, t.len, w->now + m->ahead)) continue;
        m->told[NET_GOT]++;
        taken++;
        net_pull(w, m);
    }
    CHECK(taken <= 1);
    free(t.bytes);
    net_pull(w, &w->member[t.member]);
}

/* A server that is paused finds all that has come meanwhile, before it lets time pass. */
static void net_run_until(net_world *w, uint64_t until)
{
    for (;;) {
        uint64_t at = w->wake > w->paused ? w->wake : w->paused;
        size_t i, thing = w->things;
        int k, member = -1;
        for (k = 0; k < w->members; k++) {
            if (w->member[k].wake >= at) continue;
            at = w->member[k].wake;
            member = k;
        }
        for (i = 0; i < w->things; i++) {
            const net_thing *t = &w->thing[i];
            int waits = t->kind & (NET_UP | NET_REQUEST) && t->at < w->paused;
            uint64_t due = waits ? w->paused : t->at;
            if (due > at || (due == at && thing < w->things)) continue;
            at = due;
            thing = i;
        }
        if (at > until) break;
        if (at > w->now) w->now = at;
        if (thing < w->things) net_happen(w, thing);
        else if (member >= 0) net_pull(w, &w->member[member]);
        else net_drain(w);
    }
    w->now = until;
}

static net_world *net_open(uint32_t log)
{
    net_world *w = (net_world *)allocate(sizeof *w);
    int i;
    w->limits.members = 100;
    w->limits.rooms = 10;
    w->limits.origin_size = w->limits.origin_joins = OCM_UNLIMITED;
    w->limits.log = log;
    w->now = 1000;
    w->lot = (uint32_t)seed * 2654435761u | 1;
    for (i = 0; i < 20; i++) dice(&w->lot);
    net_start(w);
    return w;
}

static void net_close(net_world *w)
{
    while (w->things) free(w->thing[--w->things].bytes);
    while (w->members) free(w->member[--w->members].s);
    net_kill(w);
    free(w);
}

/* A session at that place, after the one that was there. */
static void net_join(net_world *w, int member, int want)
{
    net_member *m = &w->member[member];
    memset(&m->room, 0, sizeof *m - offsetof(net_member, room));
    if (!m->s) m->s = (ocm_session *)allocate(sizeof *m->s);
    m->call++;
    m->next = w->messages + 1;
    sprintf(m->name, "m%d", member);
    CHECK(ocm_session_open(m->s, want, ocm_text("lobby"), ocm_text(m->name), view(NULL, 0)) == 1);
    net_pull(w, m);
}

/* So many join, `pause` ms after each other; without a pause they also share an address. The first
   of all creates the room. */
static void net_crowd(net_world *w, int count, uint64_t pause, int plain)
{
    for (; count--; net_run_until(w, w->now + pause)) {
        int i = w->members++;
        ocm_addr *a = &w->member[i].addr;
        unhex("00000000000000000000ffff0a000001", a->ip);
        a->ip[15] = (uint8_t)(pause ? i + 1 : 1);
        a->port = (uint16_t)(pause ? 4000 + i : 4000);
        w->member[i].plain = plain;
        net_join(w, i, !pause ? OCM_JOIN_OR_CREATE : i ? OCM_JOIN : OCM_CREATE);
    }
    net_run_until(w, w->now + 10000);
}

/* So many messages, of one member or by lot (-1), one in `every` ms from now on. len 1: one in ten
   is to be refused; the others are as long as they may be: no position finds room beside one. */
static void net_type(net_world *w, int sender, unsigned long count, uint32_t every, size_t len)
{
    uint64_t at = w->now;
    int i;
    while (count--) {
        size_t k = ++w->messages % NET_MESSAGES;
        at += every / 2 + dice(&w->lot) % (every + 1);
        w->message[k].sender = sender >= 0 ? sender : (int)(dice(&w->lot) % (uint32_t)w->members);
        w->message[k].refusable = len == 1 && k % 10 == 0;
        w->message[k].len = len == 1 && k % 10 ? ocm_session_text_max(w->member[0].s) : len;
        w->message[k].typed = at;
        for (i = 0; i < w->members; i++) w->member[i].shown[k] = 0;
    }
    if (w->typed < at) w->typed = at;
}

/* What holds in a room where all has healed: everyone was shown the same entries to the same last
   one, and knows of each of its messages what became of it, except of those that are lost. */
static void net_check(net_world *w)
{
    uint64_t newest = 0;
    int i;
    for (i = 0; i < w->members; i++)
        if (w->member[i].room == w->rooms && w->member[i].known > newest)
            newest = w->member[i].known;
    for (i = 0; i < w->members; i++) {
        net_member *m = &w->member[i];
        CHECK(!m->told[OCM_END] == !m->left);
        if (m->left || m->plain) continue;
        CHECK(m->room == w->rooms);
        CHECK(m->known + m->notices >= newest);
        CHECK(m->told[OCM_SHOW_MISSED] == 0 || w->restarted || w->limits.log);
        CHECK(m->settled <= m->said);
        CHECK(m->said - m->settled <= (uint64_t)m->told[NET_LOST]);
        CHECK(net_typed(w, m) == UINT64_MAX);
        CHECK(ocm_session_pending(m->s) == 0);
        if (m->told[OCM_SHOW_NO_UDP]) continue;
        CHECK(m->told[OCM_SHOW_OUTAGE] >= m->told[OCM_SHOW_BACK]);
        CHECK(m->told[OCM_SHOW_OUTAGE] - m->told[OCM_SHOW_BACK] <= (w->loss > 0));
    }
}

/* So many percent of all delays are at most so many ms; *count: how many there are. */
static unsigned long net_percentile(const net_world *w, uint64_t percent, uint64_t *count)
{
    uint64_t below = 0, ms;
    for (ms = *count = 0; ms < NET_DELAYS; ms++) *count += w->delays[ms];
    for (ms = 0; ms < NET_DELAYS && below * 100 <= *count * percent; ms++) below += w->delays[ms];
    return (unsigned long)ms - 1;
}

/* -- scripts of trouble -- */

/* A script is steps: a word, for a step of one member its number (or * for all), and numbers.
       net 30 10 0 500        loses 30 %, doubles 10 %, delays by 0 to 500 ms
       crowd 5 2000 [1]       5 who join, 2000 ms after each other [and do not ask for level 1]
       wait 500               lets 500 ms pass
       done 500               all is well so many ms after the last message is typed
       stop, kill, start      the server
       pause 500              the server does nothing for so long
       talk 1 9 200 10        member 1 types 9 messages of 10 bytes, one in 200 ms; ?: by lot
       cut 1 up|down|udp|all  what does not pass any more; heal 1: all passes
       move 1 [1]             to another port [of the next host]
       clock 1 500            its clock jumps
       leave 1, join 1        as its user wishes
       told 1 outage 2 [3]    it was told so twice [at least, and at most three times] since count 1
   median 500, rooms 1 and members 5 must hold. */

static int net_is(const char *what, const char *word)
{
    return strcmp(what, word) == 0;
}

static void net_member_step(net_world *w, int i, const char *what, const unsigned long *n,
                            const char *word)
{
    net_member *m = &w->member[i];
    int kind = 0;
    if (net_is(what, "talk")) net_type(w, i, n[1], (uint32_t)n[2], n[3]);
    else if (net_is(what, "join") && m->told[OCM_END]) net_join(w, i, OCM_JOIN_OR_CREATE);
    else if (net_is(what, "clock")) m->ahead += n[1];
    else if (net_is(what, "count")) memset(m->told, 0, sizeof m->told);
    else if (net_is(what, "heal")) m->cut = 0;
    else if (net_is(what, "cut"))
        m->cut = net_is(word, "up") ? NET_UP : net_is(word, "down") ? NET_DOWN
               : net_is(word, "udp") ? NET_UP | NET_DOWN : ~0;
    if (net_is(what, "leave")) {
        ocm_session_leave(m->s);
        m->left = 1;
    }
    if (net_is(what, "move")) {
        m->addr.port = (uint16_t)(1100 + 100 * dice(&w->lot) % 600 + (uint32_t)i);
        m->addr.ip[14] = (uint8_t)(m->addr.ip[14] + n[1]);
    }
    if (net_is(what, "told")) {
        while (!net_is(word, ses_kinds[kind])) kind++;
        CHECK(m->told[kind] >= (int)n[1]);
        CHECK(m->told[kind] <= (int)n[2]);
    }
    CHECK(strstr("talk join clock count cut leave heal move told", what));
}

static void net_step(net_world *w, const char *step)
{
    char what[16] = "", who[16] = "", word[16] = "";
    unsigned long n[4] = {0, 0, 0, 0};
    uint64_t count;
    int i;
    if (sscanf(step, "%15s %15s %lu %lu %lu", what, who, &n[1], &n[2], &n[3]) == 2 &&
        sscanf(step, "%*s %*s %15s %lu %lu", word, &n[1], &n[2]) == 2)
        n[2] = n[1];
    n[0] = strtoul(who, NULL, 10);
    if (net_is(what, "crowd")) net_crowd(w, (int)n[0], n[1], n[2] > 0);
    else if (net_is(what, "wait")) net_run_until(w, w->now + n[0]);
    else if (net_is(what, "stop")) ocm_registry_stop(reg_g);
    else if (net_is(what, "kill")) net_kill(w);
    else if (net_is(what, "start")) net_start(w);
    else if (net_is(what, "pause")) w->paused = w->now + n[0];
    else if (net_is(what, "done")) {
        net_run_until(w, (w->typed > w->now ? w->typed : w->now) + n[0]);
        net_check(w);
    }
    else if (net_is(what, "median")) CHECK(net_percentile(w, 50, &count) <= n[0]);
    else if (net_is(what, "rooms")) CHECK(reg_counts->rooms == n[0]);
    else if (net_is(what, "members")) CHECK(reg_counts->members == n[0]);
    else if (*who == '?') net_type(w, -1, n[1], (uint32_t)n[2], n[3]);
    else if (net_is(what, "net")) {
        w->loss = (int)n[0];
        w->twice = (int)n[1];
        w->delay_min = (uint32_t)n[2];
        w->delay_max = (uint32_t)n[3];
    } else {
        for (i = 0; i < w->members; i++)
            if (*who == '*' || i == (int)n[0]) net_member_step(w, i, what, n, word);
    }
    for (i = 0; i < w->members; i++) net_pull(w, &w->member[i]);
    if (reg_g && w->paused <= w->now) net_drain(w);
}

static void net_script(net_world *w, const char *script)
{
    char step[600];
    while (next_part(&script, "; ", step)) net_step(w, step);
}

#define NET_FIVE(lost, messages) \
    "net " lost " 1 100; crowd 5 2000; talk ? " messages " 200 10; wait 5000; "
#define NET_ALL "; told * entered 1; rooms 1; members 5"

/* Bytes of the log, with how many seeds (the tests take a tenth of them), and what happens. */
static const struct { uint32_t log; unsigned long seeds; const char *script; } net_scripts[] = {
    /* everyone is shown every message, in time. Where somebody was out, 30 s more may pass until it
       asks again, and twice that where the host has to make the room first */
    {0, 60, "net 30 10 1 250; crowd 20 2000; talk ? 1000 50 10; done 15000; median 500"},
    {0, 30, "net 30 10 1 250; crowd 5 2000; talk ? 200 200 1; done 25000"},
    {0, 10, "net 0 0 20 20; crowd 2 2000; talk 1 20 2000 1; done 1000; told 1 refused 2;"
     " told 1 why 2; told 1 notice 0"},
    {0, 30, "net 0 0 20 120; crowd 2 2000; talk * 100 0 40; done 2000; median 2000"},
    /* a quiet room, and the datagram lost that carries a message up, or down */
    {0, 30, "net 0 0 20 120; crowd 3 2000; wait 60000; cut [1 up|2 down]; talk 1 1 10 10; wait 250;"
     " heal [1|2]; done 3700"},
    /* outages */
    {0, 30, NET_FIVE("0 0", "[65|340]") "cut * all; wait [5000|60000]; heal *; done [5000|35000];"
     " told * outage [0|1]" NET_ALL},
    /* another port; another address */
    {0, 30, NET_FIVE("0 0", "140") "move 3[| 1]; done 5000; told 0 outage 0; told 3 outage [0|1]"
     NET_ALL},
    /* the server is killed, or stops, and is started again */
    {0, 30, NET_FIVE("0 0", "[115|540|50]") "[||stop; ]kill; wait [15000|100000|2000]; start;"
     " done 65000; told * outage 1" NET_ALL},
    {0, 30, NET_FIVE("10 3", "[1540|190]") "[|stop; ]kill; wait [300000|30000]; start; done 95000"
     NET_ALL},
    /* away longer than the log lasts: what is lost is told once; one's own message that the server
       took counts as delivered, though one never read it */
    {65536, 30, "net 0 0 1 50; crowd 3 2000; talk 0 10 100 500; wait 5000; cut 1 down;"
     " talk 1 3 10 20; wait 500; cut 1 all; talk 0 300 100 500; wait 60000; heal 1; done 35000;"
     " talk * 20 100 500; done 5000; told 1 missed 1; told 1 lost 151 302; told 1 outage 1"},
    /* away until the server has given its place up: a new token, and the same log, in which may
       stand what it had said */
    {0, 50, "net 0 0 1 100; crowd 3 2000; talk ? 30 100 10; wait 6000; cut 1 down; talk 1 8 300 10;"
     " wait 1000; cut 1 all; talk 0 100 300 10; wait 400000; rooms 1; members 2; heal 1;"
     " done 35000; told 1 outage 1; told 1 entered 1; told 0 left 1"},
    /* TCP works and UDP does not: later on, from the start, or only up */
    {0, 10, "net 0 0 1 100; crowd 2 2000; [|leave 1; wait 2000; |leave 1; wait 2000; ]"
     "[cut 1 udp|cut 1 udp; join 1|cut 1 up; join 1]; wait 500; talk 1 3 100 10; wait 60000;"
     " told 1 no-udp 1; told 1 back 0; heal 1; wait 60000; told 1 back 1; done 0"},
    /* ten who join or create at once, and share one socket */
    {0, 100, "net 0 0 1 250; crowd 10; told * entered 1; rooms 1; members 10; net 10 10 1 250;"
     " talk ? 50 100 10; done 20000"},
    /* the end of the past is shown as past; who comes again takes nothing of it for its own. Of
       twenty entries two are the notices of its leaving and coming */
    {0, 10, "net 0 0 20 120; crowd 2 2000; talk 0 20 100 10; wait 5000; talk 1 15 100 10;"
     " wait 5000; leave 1; wait 2000; told 1 over 1; told 0 left 1; join 1; talk 1 3 10 10;"
     " done 5000; told 1 past 18; told 1 left 1; told 1 joined 0"},
    /* leaving waits for what was said; when the host leaves, all are out */
    {0, 50, "net 30 10 1 250; crowd 3 2000; talk 2 30 0 10; leave 2; wait 30000; told 2 over 1 2;"
     " told 2 unknown 0; done 0; net 0 0 1 250; leave 0; wait 5000; told 0 over 1; told 1 over 3;"
     " rooms 0; members 0"},
    /* what the host says last is heard, although its leaving may overtake it */
    {0, 100, "net 0 0 5 200; crowd 5 2000; talk 0 3 0 20; leave 0; wait 5000; told * over 1 3;"
     " told * heard 3"},
    /* where nothing is lost: a position each 25 s and a status for each, in a quiet room and where
       others talk */
    {0, 10, "net 0 0 20 20; crowd 4 2000; count *; wait 3600000; told * send 138 144;"
     " told * got 138 144; count *; talk 0 1200 1000 10; done 2500; told 1 send 46 51;"
     " told 1 got 1246 1251; rooms 1; members 4"},
    /* a message in a quiet room: its datagram, its entry for each, and 2 s later a position of each
       with its status; the probe after 3 s finds nobody. Other programs get only the message */
    {0, 10, "net 0 0 20 20; crowd 2 2000; crowd 1 1 1; count *; talk 0 10 10000 10; done 40;"
     " wait 4460; told 0 send 20; told 1 send 10; told 0 got 20; told 1 got 20; told 2 got 10"},
};

static unsigned long net_percent = 10; /* of the seeds */
static uint64_t net_hours = 20;        /* of the soak */

static void test_net_scripts(void)
{
    const unsigned long was = seed;
    char chosen[600], shown[600];
    size_t i;
    int k, count;
    for (i = 0; i < COUNT(net_scripts); i++)
        for (k = 0, count = 1; k < count; k++, seed = was)
            for (; seed < was + net_scripts[i].seeds * net_percent / 100; seed++) {
                net_world *w = net_open(net_scripts[i].log);
                count = choose(net_scripts[i].script, k, chosen);
                sprintf(shown, "seed %lu: %.500s", seed, chosen);
                row = shown;
                net_script(w, chosen);
                net_close(w);
            }
    row = "";
}

/* Six come and go, talk, move, and are cut off, for many simulated hours, while datagrams are lost,
   doubled and delayed, clocks jump and the server pauses. Once an hour there is peace, and then all
   must be well. */
static void test_net_soak(void)
{
    static const char *const steps[] = {
        "talk %u 3 2000 20", "talk %u 3 2000 20", "talk %u 9 100 200", "talk %u 1 1 1000",
        "cut %u all", "cut %u up", "cut %u down", "heal %u", "heal %u", "heal %u", "heal %u",
        "heal %u", "heal *", "move %u", "move %u 1", "clock %u 40000", "clock %u 3600000",
        "leave %u", "join %u", "join %u", "join *", "pause 3000", "pause 90000",
        "net 30 10 0 500", "net 5 10 0 500", "net 5 10 0 500"};
    net_world *w = net_open(65536);
    char step[40];
    uint64_t hour;
    net_script(w, "crowd 6 2000");
    for (hour = 0; hour < net_hours && !broken; hour++) {
        net_step(w, "net 5 10 0 500");
        while (w->now < hour * 3600000 + 3000000) {
            sprintf(step, steps[dice(&w->lot) % COUNT(steps)], dice(&w->lot) % 6);
            net_step(w, step);
            net_run_until(w, w->now + dice(&w->lot) % 20000);
        }
        net_script(w, "heal *; net 0 0 0 500; wait 420000; join *; wait 30000;"
                      " talk * 1 1000 20; wait 60000");
        net_check(w);
    }
    CHECK(w->messages >= 100 * hour);
    net_script(w, "leave *; wait 400000; rooms 0; members 0");
    net_close(w);
}

/* `./test soak`: the scripts with all their seeds, and then 1000 hours. */
static int soak(void)
{
    net_percent = 100;
    net_hours = 1000;
    test_net_scripts();
    test_net_soak();
    printf("%d hours, %d checks failed\n", (int)net_hours, broken);
    return broken > 0;
}

/* -- the table of README.md -- */

/* Ten members, 1000 messages, ten a second; 20 to 120 ms each way, and one datagram in ten comes
   twice where any is lost. Each is shown once: see net_check. */
static void net_table(void)
{
    int loss, plain;
    printf("| lost each way | | median delay | 99 of 100 within | delivered |\n");
    printf("|---|---|---|---|---|\n");
    for (loss = 0; loss < 40; loss += 10)
        for (plain = 0; plain < 2; plain++) {
            net_world *w = net_open(0);
            char script[200];
            uint64_t count;
            sprintf(script, "net 0 0 1 1; crowd 10 2000 %d; net %d %d 20 120; talk ? 1000 100 20;"
                    " done 30000", plain, loss, loss ? 10 : 0);
            net_script(w, script);
            printf("| %d %% | %s | ", loss, plain ? "plain UDP" : "level 1");
            printf("%lu ms | ", net_percentile(w, 50, &count));
            printf("%lu ms | %.2f %% |\n", net_percentile(w, 99, &count), (double)count / 90.0);
            net_close(w);
        }
}

#define SESSION_TESTS \
    {"ses_scripts", test_ses_scripts}, {"ses_answers", test_ses_answers}, \
    {"net_scripts", test_net_scripts}, {"net_soak", test_net_soak}

/* ---- Fuzzing: a byte string is a script of inputs. Built with -DOCM_FUZZ it is libFuzzer's; the
   tests run changed conversations, and `./test corpus DIR` writes the conversations. ---- */

static ocm_session fuzz_s;

/* A client does something to the registry. The steps from 13 on are payloads, which go with its
   token. */
static void fuzz_client(int what, reg_person *p, const uint8_t *bytes, size_t len)
{
    uint8_t d[OCM_DATAGRAM_MAX + 65536];
    size_t i, head = what < 13 ? 0 : reg_header("lobby", p->token, d);
    if (what == 1) ocm_registry_stop(reg_g);
    if (what == 2) reg_connect(p);
    if (what >= 3 && what < 9) {
        const ocm_view *answer = &p->io.send;
        ocm_conn_next(p->conn, reg_g, reg_now, &p->io);
        if (p->io.read)
            ocm_conn_received(p->conn, bytes, len < p->io.read ? len : p->io.read, reg_now);
        ocm_conn_next(p->conn, reg_g, reg_now, &p->io);
        for (i = 0; i + 9 + OCM_TOKEN_LEN <= answer->len; i++)
            if (memcmp(answer->ptr + i, "\"token\":\"", 9) == 0)
                memcpy(p->token, answer->ptr + i + 9, OCM_TOKEN_LEN);
        if (what > 4) ocm_conn_sent(p->conn, answer->len);
    }
    if (what < 9) return;
    memcpy(d + head, bytes, len);
    reg_send_bytes(d, head + len, &p->at);
}

static void fuzz_server(int what, const uint8_t *bytes, size_t len)
{
    if (what == 1) ocm_session_leave(&fuzz_s);
    if (what == 2) ocm_session_say(&fuzz_s, view(bytes, len));
    if (what == 3) ocm_session_connected(&fuzz_s, ocm_text("127.0.0.1"), 4000, reg_now);
    if (what >= 4 && what < 8) ocm_session_received(&fuzz_s, bytes, len, reg_now);
    if (what >= 8) ocm_session_datagram(&fuzz_s, bytes, len, reg_now);
}

/* Whatever its clients do to a registry and its server to a session (who = 7), they come to rest
   and wait for the future, and the session ends once. Every decoder gets the bytes, too. */
static void fuzz(const uint8_t *p, size_t len)
{
    const ocm_limits limits = {3, 8, 5, 4, 3, 65536, 20, 5};
    ocm_event ev;
    ocm_action a;
    int i, ends = 0;
    reg_begin(&limits);
    for (i = 0; i < 7; i++) {
        char name[2] = {(char)('a' + i), 0};
        reg_person *who = reg_who(name);
        who->at = who->tcp = reg_host(i & 6, 4000 + i);
        reg_connect(who);
    }
    ocm_session_open(&fuzz_s, OCM_JOIN_OR_CREATE, ocm_text("lobby"), ocm_text("bob"), ocm_text(""));
    a.until = UINT64_MAX;
    while (len >= 3) {
        int what = p[0] & 15, who = p[0] >> 4 & 7, pulls = what & 1 ? 3 : 100000, turns = 1000;
        size_t n = (size_t)p[1] << 8 | p[2];
        uint8_t *bytes;
        if (n > len - 3) n = len - 3;
        bytes = copy(p + 3, n);
        p += 3 + n;
        len -= 3 + n;
        for (i = FRAME; i <= LISTED; i++) decode(i, bytes, n < OCM_FRAME_MAX ? n : OCM_FRAME_MAX);
        if (what == 0 && who == 7 && a.until != UINT64_MAX) reg_now = a.until;
        else if (what == 0) reg_now += n * 50;
        else if (who == 7) fuzz_server(what, bytes, n);
        else fuzz_client(what, &reg_people[who], bytes, n);
        for (; pulls && ocm_registry_next(reg_g, reg_now, &ev); pulls--)
            if (who == 6) ocm_registry_failed(reg_g, &ev, reg_now);
        CHECK(pulls > 0 || what & 1);
        CHECK(reg_counts->members <= limits.members);
        for (; turns && ocm_session_next(&fuzz_s, reg_now, &a); turns--) {
            ends += a.kind == OCM_END;
            CHECK(a.kind >= OCM_DO_CONNECT && a.kind <= OCM_END);
            CHECK(a.kind != OCM_DO_SEND || a.text.len <= OCM_DATAGRAM_MAX);
            CHECK(a.count <= OCM_INTEGER_MAX);
        }
        CHECK(turns > 0);
        CHECK(a.until > reg_now);
        free(bytes);
    }
    CHECK(ends <= 1);
    reg_end();
}

/* One of the conversations above as a script, with the k-th of each of its lists. */
enum { FUZZ_SCRIPTS = COUNT(scripts) + COUNT(ses_scripts) };

static void fuzz_keep(size_t i, int k)
{
    fuzz_len = 0;
    if (i < COUNT(scripts)) reg_script(i, k);
    else ses_script(i - COUNT(scripts), k);
}

/* Thousands of random changes, half of them of a digit: what libFuzzer does for hours elsewhere. */
static void test_fuzz(void)
{
    uint32_t state = (uint32_t)seed * 2654435761u + 1;
    size_t round, at;
    for (round = 0; round < 3000 && !broken; round++) {
        uint32_t changes = dice(&state) % 4;
        fuzz_keep(round % FUZZ_SCRIPTS, (int)(dice(&state) % 100));
        while (changes--) {
            int digits = dice(&state) % 2 > 0;
            at = dice(&state) % fuzz_len;
            while (digits && at + 1 < fuzz_len && (fuzz_script[at] < '0' || fuzz_script[at] > '9'))
                at++;
            fuzz_script[at] = (uint8_t)(digits ? '0' + dice(&state) % 10 : dice(&state));
        }
        fuzz(fuzz_script, fuzz_len);
    }
}

/* `./test corpus DIR`. */
static int fuzz_corpus(const char *dir)
{
    size_t i;
    for (i = 0; i < FUZZ_SCRIPTS; i++) {
        char path[1024];
        FILE *f;
        fuzz_keep(i, 0);
        snprintf(path, sizeof path, "%s/%u", dir, (unsigned)i);
        f = fopen(path, "wb");
        if (!f || fwrite(fuzz_script, 1, fuzz_len, f) != fuzz_len || fclose(f) != 0) return 1;
    }
    return 0;
}

#define FUZZ_TESTS {"fuzz", test_fuzz}

/* ---- The programs: starting them, and waiting for what they say ---- */

#ifndef _WIN32
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN_PATIENCE 30000 /* ms until a test gives up waiting: a busy machine is no failure */
#define RUN_PROGRAMS 64
#define RUN_TEXT 131072 /* bytes that a program may say */

enum { RUN_OUT, RUN_ERR, RUN_SCREEN };

typedef struct run_program {
    pid_t pid;         /* and of its group; 0: it has ended, with status */
    int status;        /* 1000 + the signal if one killed it */
    int in, fd[2];     /* our ends of its stdin, stdout and stderr; -1: closed */
    int columns;       /* of the terminal that is all its files; 0: it is on pipes */
    size_t heard;      /* bytes of stdout that a conversation has looked at, */
    size_t drawn;      /* and that are on the screen; */
    size_t at, saved;  /* where in its text the cursor is */
    size_t len[3];     /* of what came on stdout and stderr, and of what the screen shows */
    char text[3][RUN_TEXT];
} run_program;

/* Those of the test that runs: run_clean() ends them, whatever was checked. */
static run_program run_programs[RUN_PROGRAMS];
static size_t run_count;

static uint64_t run_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* To the program and those that it has started; to itself while it has no group yet. */
static void run_signal(const run_program *p, int sig)
{
    if (p->pid > 0 && kill(-p->pid, sig) != 0) kill(p->pid, sig);
}

/* An interrupted test leaves no servers behind. */
static void run_interrupted(int sig)
{
    size_t i;
    for (i = 0; i < run_count; i++) run_signal(&run_programs[i], SIGKILL);
    _exit(128 + sig);
}

/* The tests cannot go on. */
static void run_give_up(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    fflush(stdout);
    run_interrupted(0);
}

static int run_role(char *words);

/* In the child: becomes the program, with these files. */
static void run_become(char *command, const int *fd)
{
    static const int usual[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
    int k;
    setsid();
    for (k = 0; k < 3; k++) dup2(fd[k], k);
    ioctl(0, TIOCSCTTY, 0); /* if it is a terminal, it is the program's now */
    for (k = 0; k < (int)COUNT(usual); k++) signal(usual[k], SIG_DFL);
    for (k = 3; k < 1000; k++) close(k);
    if (!run_role(command)) execlp("sh", "sh", "-c", command, (char *)NULL);
    _exit(0);
}

/* The window has so many columns, from now on. */
static void run_resize(run_program *p, int columns)
{
    struct winsize size = {24, (unsigned short)columns, 0, 0};
    p->columns = columns;
    CHECK(ioctl(p->in, TIOCSWINSZ, &size) == 0);
}

/* Starts a shell's command, or a role that this program plays. columns: of its terminal, or 0. */
static run_program *run_launch(char *command, int columns)
{
    run_program *p = &run_programs[run_count++];
    int theirs[3] = {-1, -1, -1}, ours[3] = {-1, -1, -1}, pipes[2], k;
    if (run_count == RUN_PROGRAMS) run_give_up("RUN_PROGRAMS is too small");
    memset(p, 0, sizeof *p);
    for (k = 0; k < 3 && !columns; k++) {
        if (pipe(pipes)) run_give_up("no pipes for a program");
        ours[k] = pipes[k == 0];
        theirs[k] = pipes[k != 0];
    }
    if (columns) {
        ours[0] = posix_openpt(O_RDWR | O_NOCTTY);
        if (ours[0] < 0 || grantpt(ours[0]) || unlockpt(ours[0])) run_give_up("no terminal");
        ours[1] = dup(ours[0]);
        for (k = 0; k < 3; k++) theirs[k] = open(ptsname(ours[0]), O_RDWR | O_NOCTTY);
    }
    p->in = ours[0];
    if (columns) run_resize(p, columns);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, run_interrupted);
    signal(SIGTERM, run_interrupted);
    fflush(stdout);
    p->pid = fork();
    if (p->pid < 0) run_give_up("no process for a program");
    if (p->pid == 0) run_become(command, theirs);
    p->status = -1;
    for (k = 0; k < 2; k++) p->fd[k] = ours[1 + k];
    for (k = 0; k < 3; k++) close(theirs[k]);
    return p;
}

static void run_read(run_program *p, int which)
{
    size_t len = p->len[which];
    ssize_t n = read(p->fd[which], p->text[which] + len, RUN_TEXT - 1 - len);
    if (n > 0) {
        p->len[which] += (size_t)n;
    } else {
        close(p->fd[which]);
        p->fd[which] = -1;
    }
}

/* Reads what programs say, for at most ms, and notes which of them have ended. */
static void run_turn(int ms)
{
    struct pollfd p[2 * RUN_PROGRAMS];
    size_t i;
    int status;
    memset(p, 0, sizeof p);
    for (i = 0; i < 2 * run_count; i++) {
        p[i].fd = run_programs[i / 2].fd[i % 2];
        p[i].events = POLLIN;
    }
    if (poll(p, (nfds_t)(2 * run_count), ms) < 0) return;
    for (i = 0; i < 2 * run_count; i++)
        if (p[i].revents) run_read(&run_programs[i / 2], (int)(i % 2));
    for (i = 0; i < run_count; i++) {
        run_program *of = &run_programs[i];
        if (of->pid <= 0 || of->fd[0] >= 0 || of->fd[1] >= 0) continue; /* it is not silent yet */
        if (waitpid(of->pid, &status, WNOHANG) != of->pid) continue;
        of->pid = 0;
        of->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }
}

/* 1, after a while, if there may be more to come from the program in time. */
static int run_more(const run_program *p, uint64_t began)
{
    if (run_now() - began > RUN_PATIENCE) return 0;
    if (p->pid <= 0) return 0;
    run_turn(5);
    return 1;
}

/* ---- The programs: what a terminal shows ---- */

/* The screen is one text, and a place in it, as if the window had all the rows that this takes. A
   line that is wider than the window goes on in the next row, so a narrower window breaks it anew.
   Where the row begins in which a place is: */
static size_t term_row(const run_program *p, size_t place)
{
    const char *text = p->text[RUN_SCREEN];
    size_t begin = place, at;
    uint32_t c = 0, before = 0;
    int x = 0, width, size;
    while (begin > 0 && text[begin - 1] != '\n') begin--;
    for (at = begin; at < place; at += (size_t)size, x += width, before = c) {
        size = ocm_utf8_decode((const uint8_t *)text + at, p->len[RUN_SCREEN] - at, &c);
        width = c >= 0x2E80 ? 2 : 1; /* as far as these tests need it */
        if ((c >= 0x300 && c <= 0x36F) || c == 0x200D || c == 0x3099 || before == 0x200D) width = 0;
        if (x + width > p->columns) {
            begin = at;
            x = 0;
        }
    }
    return begin;
}

/* An escape sequence: its bytes, or 0 if it is not whole yet. Anything that this screen does not
   know is a failure. */
static size_t term_escape(run_program *p, const char *bytes, size_t len)
{
    int final = len > 1 ? bytes[1] : 0, plain = final != '[' && final != ']', up;
    size_t n = 2;
    while (!plain && n < len && (final == ']' ? bytes[n] != '\a' : bytes[n] < '@')) n++;
    if (n > len || (!plain && n == len)) return 0;
    if (!plain) final = bytes[n++];
    if (final == '7') p->saved = p->at;
    else if (final == '8') p->at = p->saved;
    else if (final == 'H' && n == 3) p->at = 0;
    else if (final == 'J') p->text[RUN_SCREEN][p->len[RUN_SCREEN] = p->at] = 0;
    else if (final == 'A')
        for (up = atoi(bytes + 2); up > 0 && term_row(p, p->at) > 0; up--)
            p->at = term_row(p, p->at) - 1;
    else if (!CHECK(strchr("mthl\a", final)))
        printf("the screen does not know ESC %.*s\n", (int)n - 1, bytes + 1);
    return n;
}

/* The first thing in what the program wrote: its bytes, or 0 if it is not whole yet. Nothing is
   written over what is there: that has to be erased first. */
static size_t term_take(run_program *p, const char *bytes, size_t len)
{
    uint32_t c = 0;
    int size = ocm_utf8_decode((const uint8_t *)bytes, len, &c);
    size_t *end = &p->len[RUN_SCREEN];
    if (*bytes == '\033') return term_escape(p, bytes, len);
    if (size == 0 && len < 4) return 0;
    if (!CHECK(size > 0)) return 1;
    if (c == '\n') p->at = *end;
    if (c == '\r') p->at = term_row(p, p->at);
    else if (c != '\a' && CHECK(p->at == *end && *end + 4 < RUN_TEXT)) {
        memcpy(p->text[RUN_SCREEN] + *end, bytes, (size_t)size);
        p->text[RUN_SCREEN][p->at = *end += (size_t)size] = 0;
    }
    return (size_t)size;
}

/* The screen, with a newline before it. With '|', a | stands where the cursor is. */
static const char *term_text(run_program *p, int sign)
{
    static char out[RUN_TEXT + 4];
    const char *text = p->text[RUN_SCREEN];
    size_t n;
    while (p->drawn < p->len[RUN_OUT] &&
           (n = term_take(p, p->text[RUN_OUT] + p->drawn, p->len[RUN_OUT] - p->drawn)) > 0)
        p->drawn += n;
    sprintf(out, "\n%.*s%s%s\n", (int)p->at, text, sign == '|' ? "|" : "", text + p->at);
    return out;
}

/* ---- The programs: waiting for what they say ---- */

/* What can be seen of it: the screen of its terminal, stderr, or what it has said since. */
static const char *run_seen(run_program *p, int sign)
{
    if (p->columns && sign != '^') return term_text(p, sign);
    return sign == '!' ? p->text[RUN_ERR] : p->text[RUN_OUT] + p->heard;
}

/* Where the text is to be seen now, or NULL; with '|', a row of the screen that is like it. */
static const char *run_find(run_program *p, int sign, const char *text)
{
    static char line[RUN_TEXT];
    const char *seen = run_seen(p, sign);
    if (sign != '|') return strstr(seen, text);
    while (next_part(&seen, "\n", line))
        if (fnmatch(text, line, 0) == 0) return line;
    return NULL;
}

/* 1 when the text is to be seen, now or in time; what the program says after it is then still to be
   heard. */
static int run_sees(run_program *p, int sign, const char *text)
{
    uint64_t began = run_now();
    const char *at;
    while ((at = run_find(p, sign, text)) == NULL) {
        if (run_more(p, began)) continue;
        printf("expected: %.400s\nbut it is: %.2000s\n", text, run_seen(p, sign));
        if (!p->columns) printf("and on stderr: %.400s\n", p->text[RUN_ERR]);
        return 0;
    }
    if (sign == '^' || (!p->columns && sign != '!'))
        p->heard = (size_t)(at - p->text[RUN_OUT]) + strlen(text);
    return 1;
}

/* The exit status; -1 if it does not end in time, 1000 + the signal if it was killed. */
static int run_ended(const run_program *p)
{
    uint64_t began = run_now();
    while (p->pid > 0 && run_more(p, began)) {}
    return p->status;
}

static void run_end_input(run_program *p)
{
    if (p->in >= 0) close(p->in);
    p->in = -1;
    if (p->columns && p->fd[RUN_OUT] >= 0) { /* the window is closed */
        close(p->fd[RUN_OUT]);
        p->fd[RUN_OUT] = -1;
    }
}

/* The end of every test. */
static void run_clean(void)
{
    size_t i;
    int k;
    for (i = 0; i < run_count; i++) {
        run_program *p = &run_programs[i];
        if (!CHECK(p->status != 1000 + SIGSEGV && p->status != 1000 + SIGABRT))
            printf("%s", p->text[RUN_ERR]);
        run_signal(p, SIGKILL);
        if (p->pid > 0) waitpid(p->pid, NULL, 0);
        run_end_input(p);
        for (k = 0; k < 2; k++)
            if (p->fd[k] >= 0) close(p->fd[k]);
    }
    run_count = 0;
    unsetenv("OCM_PASSWORD");
    row = "";
}

/* ---- The programs: sockets of this machine ---- */

static struct sockaddr_in run_address(unsigned port)
{
    struct sockaddr_in a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons((uint16_t)port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static unsigned run_port_of(int fd)
{
    struct sockaddr_in a = run_address(0);
    socklen_t len = sizeof a;
    getsockname(fd, (struct sockaddr *)&a, &len);
    return ntohs(a.sin_port);
}

static int run_connect(unsigned port)
{
    struct sockaddr_in a = run_address(port);
    struct timeval patience = {RUN_PATIENCE / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        return fd;
    }
    close(fd);
    return -1;
}

/* A socket on a port that was free. */
static int run_bind(int type)
{
    struct sockaddr_in a = run_address(0);
    int fd = socket(AF_INET, type, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0) run_give_up("no socket");
    return fd;
}

static void run_send_udp(int fd, unsigned port, const void *p, size_t len)
{
    struct sockaddr_in to = run_address(port);
    (void)!sendto(fd, p, len, 0, (struct sockaddr *)&to, sizeof to);
}

/* The bytes of a datagram, and the port that it came from. */
static size_t run_receive_udp(int fd, uint8_t *p, size_t cap, unsigned *port)
{
    struct sockaddr_in from = run_address(0);
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(fd, p, cap, 0, (struct sockaddr *)&from, &len);
    *port = ntohs(from.sin_port);
    return n > 0 ? (size_t)n : 0;
}

/* ---- The programs: conversations as text ---- */

/* A step is "wait MS", "set NAME VALUE" for the environment, or the letter of a program, a sign,
   and words between single blanks:
   =  starts it: s to w are servers with these options, others clients that are to be let in
   -  starts a client that need not be       $  starts a shell's command, or a role
   @  as $, on a terminal of so many columns       /  makes that as wide
   >  types a line; on a terminal, keys
   &  types so many lines at once: word 1, word 2 ...
   <  hears a line, after the last one heard; on a terminal, it is on the screen
   :  hears this line as the next one; without words: nothing more
   %  has heard so many lines typed by &, each once and in order     #  this so many times
   !  says this on stderr      ~  has not said this, or it is not on the screen
   |  has such a row on its screen: | is the cursor, *, ? and [] are as in the names of files
   ^  has written this to its terminal, after the last such thing, escape sequences and all
   .  its input ends, and it ends with that status     ?  it ends with that status, or with any
   *  it gets that signal
   In words, {s} stands for TCP:UDP of server s, {S} for its UDP port alone, x{9} for nine x, ` for
   " after > and :, and * after : for anything. A server that listens on several pairs of ports is
   s, t, u. */
static struct { run_program *p; char ports[16]; } run_cast[128]; /* ports: TCP:UDP */
static int run_home; /* the server to which clients go: the last that was started */

static const char *run_expand(const char *from, const char *quote)
{
    static char out[20000], words[20000];
    size_t n = 0;
    for (; *from; from++) {
        int who = *from == '{' && from[1] && from[2] == '}' ? from[1] | 32 : 0;
        if (who >= 's' && who <= 'w') {
            const char *ports = run_cast[who].ports;
            n += (size_t)sprintf(words + n, "%s", who == from[1] ? ports : strchr(ports, ':') + 1);
            from += 2;
        } else words[n++] = *from;
    }
    words[n] = 0;
    write_out(out, words, quote, "\"", 0);
    return out;
}

/* A server says where it listens, a line for each -l. */
static void run_listens(int who, run_program *p, const char *command)
{
    const char *option = strstr(command, " -l "), *at = p->text[RUN_OUT];
    run_home = who;
    do {
        if (!CHECK(run_sees(p, '<', "listening on ") && run_sees(p, '<', "\n"))) return;
        at = strchr(strstr(at, "listening on "), '/') + 1;
        sprintf(run_cast[who].ports, "%.*s", (int)strspn(at, "0123456789:"), at);
        run_cast[who++].p = p;
    } while (option && (option = strstr(option + 1, " -l ")) != NULL);
}

static run_program *run_begin(int who, int sign, const char *words)
{
    int server = who >= 's' && who <= 'w';
    static char command[4000];
    run_program *p;
    if (sign == '=' && server) sprintf(command, "exec ./server -l 127.0.0.1/0:0 %s", words);
    else if (sign == '=' || sign == '-')
        sprintf(command, "exec ./client -s 127.0.0.1/%s %s", run_cast[run_home].ports, words);
    else sprintf(command, "%s", words + (sign == '@' ? strspn(words, "0123456789 ") : 0));
    p = run_cast[who].p = run_launch(command, sign == '@' ? atoi(words) : 0);
    if (server && sign != '-') run_listens(who, p, command);
    else if (sign == '=') CHECK(run_sees(p, '!', " as \""));
    return p;
}

static int run_counts(run_program *p, int count, const char *text)
{
    uint64_t began = run_now();
    const char *at;
    int n;
    do for (at = p->text[RUN_OUT], n = 0; (at = strstr(at, text)) != NULL; at++) n++;
    while (n < count && run_more(p, began));
    return n == count;
}

/* "wait MS" and "set NAME VALUE" concern no program; set without a value removes the name. */
static int run_without_program(const char *step, const char *words, const char *rest)
{
    char name[100];
    if (strncmp(step, "wait ", 5) == 0) {
        uint64_t until = run_now() + strtoull(words, NULL, 10);
        while (run_now() < until) run_turn(5);
        return 1;
    }
    if (strncmp(step, "set ", 4) != 0) return 0;
    sprintf(name, "%.*s", (int)strcspn(words, " "), words);
    if (strchr(words, ' ')) setenv(name, rest, 1);
    else unsetenv(name);
    return 1;
}

static void run_step(const char *step)
{
    static char line[20100];
    int who = step[0], sign = step[2], count, i, good = 1;
    const char *words = run_expand(step + 4, strchr(":>", sign) ? "`" : "");
    const char *rest = words + strcspn(words, " ");
    run_program *p = run_cast[who].p;
    size_t n = 0;
    row = step;
    count = atoi(words);
    rest += *rest != 0;
    if (run_without_program(step, words, rest)) return;
    if (strchr("=-$@", sign)) {
        run_begin(who, sign, words);
        return;
    }
    sprintf(line, !p->columns && strchr("<:>", sign) ? "%s\n" : "%s", words);
    for (i = 1; sign == '&' && i <= count; i++)
        n += (size_t)sprintf(line + n, "%s %d\n", rest, i);
    if (sign == '>' || sign == '&') {
        n = strlen(line);
        CHECK(write(p->in, line, n) == (ssize_t)n);
    } else if (strchr("<!|^", sign)) {
        CHECK(run_sees(p, sign, line));
    } else if (sign == ':' && *words) {
        n = p->heard;
        good = run_sees(p, '<', "\n") && reg_like(p->text[RUN_OUT] + n, p->heard - n, line);
        if (!CHECK(good)) printf("but it is: %s\n", p->text[RUN_OUT] + n);
    } else if (sign == ':') {
        CHECK(p->heard == p->len[RUN_OUT]);
    } else if (sign == '%') {
        for (i = 1, p->heard = 0; i <= count && good; i++) {
            sprintf(line, "%s %d\n", rest, i);
            good = CHECK(run_sees(p, '<', line));
        }
        CHECK(run_counts(p, count, rest));
    } else if (sign == '#') {
        CHECK(run_counts(p, count, rest));
    } else if (sign == '~') {
        CHECK(!strstr(p->columns ? run_seen(p, '<') : p->text[RUN_OUT], words));
        CHECK(!strstr(p->text[RUN_ERR], words));
    } else if (sign == '/') {
        run_resize(p, count);
    } else if (sign == '.' || sign == '?') {
        if (sign == '.') run_end_input(p);
        if (*words) CHECK(run_ended(p) == count);
        else if (sign == '?') CHECK(run_ended(p) >= 0);
    } else if (sign == '*') {
        sprintf(line, "kill -s %s -- -%d", words, (int)p->pid);
        CHECK(p->pid > 0 && system(line) == 0);
    } else run_give_up(step);
}

/* After a step that fails the others would only wait in vain. */
static void run_play(const char *const *steps)
{
    int before = broken;
    while (*steps && broken == before) run_step(*steps++);
    row = "";
}

/* A test that is a conversation and nothing else. */
#define SCENARIO(name, ...) \
    static void test_##name(void) \
    { \
        static const char *const steps[] = {__VA_ARGS__, NULL}; \
        run_play(steps); \
        run_clean(); \
    }

/* ---- The programs: roles, which this program plays as a process of its own ---- */

static int run_ready(int fd)
{
    struct pollfd p = {0, POLLIN, 0};
    p.fd = fd;
    return poll(&p, 1, 0) > 0;
}

/* "peer" is a server of other people, "peer TCP:UDP" the connection of a client of theirs. It knows
   no dialect: the script has each of its words, and is told what comes, a line each:
       2 0 lobby|alice        a frame: op, state, room, payload
       @lobby t0|hi           a datagram: room, token, payload; of two zero bytes: "@ |hi"
       hi                     a datagram that is none of these
       end, reset             of the connection
   and what it is to send is written in the same way. "end" shuts its side of the connection,
   "reset" will break it when the next frame comes. */
static struct {
    int tcp, listener, in, out, breaks; /* in, out: datagrams come there, and leave from there */
    unsigned port;                      /* to which they go */
} peer = {-1, -1, -1, -1, 0, 0};

static void run_peer_hear(void)
{
    static uint8_t in[65536];
    unsigned port;
    size_t len = run_receive_udp(peer.in, in, sizeof in, &port);
    ocm_datagram d;
    if (port != peer.port) printf("from elsewhere: ");
    if (ocm_datagram_decode(in, len, &d) < 0) printf("%.*s\n", (int)len, (char *)in);
    else printf("@%.*s %.*s|%.*s\n", OCM_S(d.room), OCM_S(d.token), OCM_S(d.payload));
}

static void run_peer_close(void)
{
    close(peer.tcp);
    peer.tcp = -1;
}

/* Other people's servers read once, and so this does: the request has to come in one piece. What
   was said before an answer is told before it. */
static void run_peer_receive(void)
{
    static uint8_t in[65536];
    struct sockaddr_in from = run_address(0);
    socklen_t size = sizeof from;
    ssize_t n = recv(peer.tcp, in, sizeof in - 1, 0), used = 0;
    int len;
    ocm_frame f;
    while (run_ready(peer.in)) run_peer_hear();
    if (n <= 0) {
        printf(n ? "reset\n" : "end\n");
        run_peer_close();
    }
    if (n >= 0) in[n] = 0;
    for (; used < n; used += len) {
        const char *port;
        memset(&f, 0, sizeof f);
        len = ocm_frame_decode(in + used, (size_t)(n - used), OCM_PAYLOAD_MAX, &f);
        if (len <= 0) len = printf("not in one piece: ");
        printf("%d %d %.*s|%.*s\n", f.op, f.state, OCM_S(f.room), OCM_S(f.payload));
        if (peer.listener < 0) continue;
        getpeername(peer.tcp, (struct sockaddr *)&from, &size);
        port = strstr((char *)in + OCM_HEADER_LEN, "\"port\":");
        peer.port = port ? (unsigned)atoi(port + 7) : ntohs(from.sin_port);
    }
    if (peer.breaks) run_peer_close();
}

static void run_peer_line(char *line)
{
    static uint8_t out[65536];
    const struct linger hard = {1, 0};
    char *payload = strchr(line, '|'), *token = strchr(line, ' ');
    int len = 0, sent, n;
    if (strcmp(line, "end") == 0) {
        shutdown(peer.tcp, SHUT_WR);
    } else if (strcmp(line, "reset") == 0) {
        setsockopt(peer.tcp, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        peer.breaks = 1;
    } else if (!payload) {
        run_send_udp(peer.out, peer.port, line, strlen(line));
    } else if (*line == '@') {
        *payload++ = *token++ = 0;
        len = ocm_datagram_encode(out, sizeof out, ocm_text(line + 1), ocm_text(token),
                                  ocm_text(payload));
        run_send_udp(peer.out, peer.port, out, (size_t)len);
    } else {
        *payload++ = 0;
        len = ocm_frame_encode(out, sizeof out, *line - '0', line[2] - '0', ocm_text(line + 4),
                               ocm_text(payload));
        for (sent = 0; sent < len; sent += n) {
            n = peer.listener < 0 && sent < 100 ? 1 : len - sent;
            if (send(peer.tcp, out + sent, (size_t)n, 0) < 0) printf("reset\n");
            if (n == 1) poll(NULL, 0, 1); /* each is to be a segment of its own */
        }
    }
}

/* A server sends datagrams from a port at which it takes none, as team D's does. */
static void run_peer(char **words)
{
    char line[20000];
    setvbuf(stdin, NULL, _IONBF, 0);
    if (words[1]) {
        peer.tcp = run_connect((unsigned)atoi(words[1]));
    } else {
        peer.listener = run_bind(SOCK_STREAM);
        peer.in = run_bind(SOCK_DGRAM);
        peer.out = run_bind(SOCK_DGRAM);
        listen(peer.listener, 8);
        printf("listening on 127.0.0.1/%u:%u\n", run_port_of(peer.listener), run_port_of(peer.in));
    }
    for (;; fflush(stdout), poll(NULL, 0, 1)) {
        while (run_ready(peer.in)) run_peer_hear();
        if (peer.listener < 0 && run_ready(peer.tcp)) run_peer_receive();
        if (run_ready(peer.listener)) {
            run_peer_close();
            peer.tcp = accept(peer.listener, NULL, NULL);
            run_peer_receive();
        }
        if (!run_ready(0)) continue;
        if (!fgets(line, sizeof line, stdin)) return;
        line[strcspn(line, "\n")] = 0;
        run_peer_line(line);
    }
}

/* ---- The programs: a network that loses ---- */

/* "relay TCP:UDP PERCENT" stands before the UDP port of a server, with a socket to it for each
   client, like a translator, and loses so many datagrams. */
static void run_relay(char **words)
{
    static uint8_t bytes[65536];
    unsigned tcp, udp, port, client[9];
    int up[9], count = 1, i, k;
    uint32_t lot = 2463534242u + (uint32_t)seed;
    sscanf(words[1], "%u:%u", &tcp, &udp);
    up[0] = run_bind(SOCK_DGRAM);
    printf("listening on 127.0.0.1/%u:%u\n", tcp, run_port_of(up[0]));
    for (fflush(stdout); !run_ready(0); poll(NULL, 0, 1))
        for (i = 0; i < count; i++)
            while (run_ready(up[i])) {
                size_t len = run_receive_udp(up[i], bytes, sizeof bytes, &port);
                for (k = 1; i == 0 && k < count && client[k] != port;) k++;
                if (i == 0 && k == count) {
                    up[count] = run_bind(SOCK_DGRAM);
                    client[count++] = port;
                }
                if ((int)(dice(&lot) % 100) < atoi(words[2])) continue;
                run_send_udp(i ? up[0] : up[k], i ? client[i] : udp, bytes, len);
            }
}

/* ---- The programs: strangers ---- */

/* "crowd TCP:UDP N" makes so many connections and tells how many there are: more than a server has
   places. Half of them begin a request. */
static void run_crowd(char **words)
{
    struct rlimit r = {1700, 1700};
    int fd = 0, n;
    setrlimit(RLIMIT_NOFILE, &r);
    for (n = 0; n < atoi(words[2]) && fd >= 0; n += fd >= 0) {
        fd = run_connect((unsigned)atoi(words[1]));
        if (n % 2) (void)!send(fd, "\5\2\0", 3, 0);
    }
    printf("%d\n", n);
    fflush(stdout);
    while (getchar() != EOF) {}
}

/* ---- The programs: all roles ---- */

/* 1 if the command was a role, and has been played: until its input ends. */
static int run_role(char *command)
{
    static const struct { const char *name; void (*play)(char **words); } roles[] = {
        {"peer", run_peer}, {"relay", run_relay}, {"crowd", run_crowd}};
    char *words[8] = {NULL}, *word;
    size_t n = 0, i = 0;
    while (i < COUNT(roles) && strncmp(command, roles[i].name, strlen(roles[i].name)) != 0) i++;
    if (i == COUNT(roles)) return 0;
    for (word = strtok(command, " "); word && n < 7; word = strtok(NULL, " ")) words[n++] = word;
    signal(SIGPIPE, SIG_IGN);
    roles[i].play(words);
    return fflush(stdout) == 0;
}

/* ---- The programs: the demonstration ---- */

/* What `make demo` runs. alice and bob speak JSON, hanako plain text. 0 when all went well. */
static int demo(void)
{
    static const char *const steps[] = {
        "s = -q", "a = -n alice -c 茶室", "b = -n bob -j 茶室", "h = -t -n hanako -j 茶室",
        "a < * bob joined", "a < * hanako joined", "a > Hello, 花子! Hello, bob!",
        "b < alice: Hello, 花子! Hello, bob!", "h < alice: Hello, 花子! Hello, bob!",
        "h > こんにちは、みなさん 🍣", "a < hanako: こんにちは、みなさん 🍣",
        "b < hanako: こんにちは、みなさん 🍣", "b > Nothing gets lost here 😀",
        "a < bob: Nothing gets lost here 😀", "h < bob: Nothing gets lost here 😀",
        "a > さようなら 👋", "b < alice: さようなら 👋", "h < alice: さようなら 👋", "a . 0",
        "b < * You have been disconnected: the host left", "b ? 0",
        "h < * You have been disconnected: the host left", "h ? 0", "s * TERM", "s ? 0", NULL};
    size_t i;
    run_play(steps);
    printf("Three clients talked in one room; this is what each of them saw of the others.\n");
    for (i = 1; i < run_count; i++)
        printf("\n---\n%s%s", run_programs[i].text[RUN_ERR], run_programs[i].text[RUN_OUT]);
    printf("\n%s\n", broken ? "THE DEMONSTRATION FAILED: not everyone saw what was said."
                            : "The host left, the room was closed, everyone was told, and every "
                              "program has ended.");
    run_clean();
    return broken != 0;
}

/* ---- The programs: options ---- */

/* A sentence on stderr that names what is wrong, and status 2; or what was asked for on stdout. */
#define RUN_BAD(program, arguments, said) \
    "x $ ./" program " " arguments " 3>&1 >&2 2>&3", "x . 2", "x : " program ": *" said "*", "x : "
#define RUN_SAYS(program, arguments, said) \
    "x $ ./" program " " arguments " 2>&1", "x . 0", "x : " said "*"

SCENARIO(program_usage, "set OCM_PASSWORD",
    RUN_BAD("server", "-x", "-x"), RUN_BAD("server", "extra", "extra"),
    RUN_BAD("server", "-l", "-l"), RUN_BAD("server", "-l 8000", "8000"),
    RUN_BAD("server", "-l 127.0.0.1/70000:0", "70000"),
    RUN_BAD("server", "-l 127.0.0.1/0:x", "0:x"), RUN_BAD("server", "-l /0:0", "/0:0"),
    RUN_BAD("server", "-l 127.0.0.1/0:", "0:"), RUN_BAD("server", "-l 127.0.0.1/0:0 -R 0", "-R"),
    RUN_BAD("server", "-l 127.0.0.1/0:0 -M x", "-M"),
    RUN_BAD("server", "-l 127.0.0.1/0:0 -i 0", "-i"),
    RUN_BAD("server", "-l 127.0.0.1/0:0 -r -1", "-r"),
    RUN_BAD("server", "-l 127.0.0.1/0:0 -G 1", "-G"), RUN_BAD("server", "-qv", "-qv"),
    RUN_BAD("client", "-x", "-x"), RUN_BAD("client", "-n", "-n"),
    RUN_BAD("client", "-n a -s 127.0.0.1/8000 r", "127.0.0.1"),
    RUN_BAD("client", "-n a -s 127.0.0.1/0:1 r", "port"),
    RUN_BAD("client", "-n a -s 127.0.0.1:1 r", "write HOST"),
    RUN_BAD("client", "-n a -s [::1]:1 r", "write HOST"),
    RUN_BAD("client", "-n a -s 127.0.0.1/1:65536 r", "65536"),
    RUN_BAD("client", "-n a one two", "two"), RUN_BAD("client", "-n a my room", "quot"),
    RUN_BAD("client", "-n a -c one -j two", "two"), RUN_BAD("client", "lobby", "name"),
    RUN_BAD("client", "-n a", "room"), RUN_BAD("client", "-n system lobby", "system"),
    RUN_BAD("client", "-n a -p lobby", "OCM_PASSWORD"), RUN_BAD("client", "-n a\x02 lobby", "name"),
    RUN_BAD("client", "-n a b\x7F", "room"), RUN_BAD("client", "-n ' a' lobby", "name"),
    RUN_BAD("client", "-n 'a ' lobby", "name"), RUN_BAD("client", "-n '* a' lobby", "name"),
    RUN_BAD("client", "-n 'a: b' lobby", "name"), RUN_BAD("client", "-n '' lobby", "name"),
    RUN_BAD("client", "-n n{256} lobby", "name"), RUN_BAD("client", "-n a r{256}", "room"),
    RUN_BAD("client", "-l r{256}", "room"), "set OCM_PASSWORD p{256}",
    RUN_BAD("client", "-n a -p lobby", "password"), RUN_SAYS("server", "-h", "usage: server"),
    RUN_SAYS("client", "-h", "usage: client"), RUN_SAYS("client", "--help", "usage: client"),
    RUN_SAYS("client", "--version", "client " OCM_VERSION),
    RUN_SAYS("server", "-V", "server " OCM_VERSION),
    RUN_SAYS("client", "-V", "client " OCM_VERSION))

SCENARIO(program_port_in_use,
    "s = -q", "x $ exec ./server -l 127.0.0.1/{s}", "x ? 1", "x ! server: cannot", "x ! TCP port ",
    "x ~ listening", "x $ exec ./server -l 127.0.0.1/0:{S}", "x ? 1", "x ! UDP port {S}: ")

/* What both programs need of the platform is one text, in both. */
SCENARIO(program_same_stretch,
    "x $ f() { sed -n '/the same text in server.c and client.c/,/end of the same text/p' $1.c; };"
    " [ $(f server | wc -l) -gt 20 ] && [ \"$(f server)\" = \"$(f client)\" ]", "x ? 0")

/* Members on different listeners are in one room; each is answered from where it is heard, or a
   client would not hear it. u and v listen on all addresses. The log tells what happens, but not
   all of a flood. */
#define RUN_IPV6 "h=127.0.0.1; grep -qs '^0*1 ' /proc/net/if_inet6 && h=[::1]; "
SCENARIO(program_listeners,
    "s $ " RUN_IPV6 "exec ./server -v -l 127.0.0.1/0:0 -l $h/0:0 -l 0:0 -l 0.0.0.0/0:0",
    "a $ exec ./client -s 127.0.0.1/{s} -n alice -c lobby",
    "a ! created \"lobby\" as \"alice\"", "b $ " RUN_IPV6 "exec ./client -s $h/{t} -n bob -j lobby",
    "b ! joined \"lobby\" as \"bob\"", "a < * bob joined",
    "c $ exec ./client -s 127.0.0.1/{u} -n carol lobby", "b < * carol joined",
    "d $ exec ./client -s 127.0.0.1/{v} -n dora lobby", "c < * dora joined",
    "e $ " RUN_IPV6 "exec ./client -s $h/{u} -n eve lobby", "d < * eve joined",
    "e > one", "a < eve: one", "b < eve: one", "c < eve: one", "d < eve: one", "a > two",
    "b < alice: two", "e < alice: two",
    "f $ exec ./client -s 127.0.0.1/{s} -n 'f\"g' lobby </dev/null",
    "s ! join\tlobby\tf\"g\t200", "f ? 0", "a . 0", "b ? 0", "c ? 0", "d ? 0", "e ? 0",
    "s ! connection closed", "x $ crowd {s} 1500", "x # 1 \n", "s ! log lines were ",
    "s * INT", "s ? 0", "s ! 6 requests", "s ! 2 messages")

/* A log that nobody reads stops neither talk nor SIGTERM, and what it lost is told once it is read
   again; a client whose output nobody reads ends when it is told to. Descriptor 3 is a pipe that
   takes nothing more; a line that is typed lets it flow. */
#define RUN_FULL \
    "f=$(mktemp -u); mkfifo $f; exec 3<>$f 4<&0; rm $f; yes >&3 & sleep 0.2; kill $!;" \
    " (read x <&4; exec cat <&3 >&2) & exec "
SCENARIO(program_unread,
    "t $ " RUN_FULL "./server -l 127.0.0.1/0:0 2>&3", "a = -n alice -c lobby", "b = -n bob lobby",
    "a > hi", "b < alice: hi", "t * TERM", "t ? 0",
    "s $ " RUN_FULL "./server -l 127.0.0.1/0:0 2>&3", "a = -n alice -c lobby", "b = -n bob lobby",
    "a > hi", "b < alice: hi", "c $ " RUN_FULL "./client -s 127.0.0.1/{s} -n stuck -j lobby >&3",
    "b < * stuck joined", "a > said to someone who cannot show it",
    "b < alice: said to someone who cannot show it", "wait 300", /* it waits in write() */
    "c * TERM", "c * TERM", "c ? ", "s > flow", "s ! log lines were dropped", "b . 0",
    "s ! out\tlobby\tbob\tleft", "s * TERM", "s ? 0")

/* ---- The programs: the client on a pipe ---- */

SCENARIO(client_pipe,
    "s = -q", "a = -n alice -c lobby", "a ! created \"lobby\" as \"alice\"", "b = -n bob lobby",
    "b ! joined \"lobby\" as \"bob\"", "a < * bob joined", "a > hi", "b < alice: hi",
    "b > tab\there: \"quoted\" \\ やあ\r\n/who\n\n last", "b . 0",
    "a < bob: tab\there: \"quoted\" \\ やあ\nbob: /who\nbob:  last\n* bob left",
    "b ~ bob: ", "b ~ \033", "b = -n bob lobby",
    "a > x\xE2\x80\xAEy", "b < alice: x\\u202ey", "b ~ hi", /* the past is for no bot */
    "c = -t -n carol lobby", "a . 0", "b < * You have been disconnected: the host left",
    "b ? 0", "c < * You have been disconnected: the host left", "c ? 0",
    "a = -n alice lobby", "a ! created \"lobby\" as \"alice\"", "a * TERM", "a ? 0",
    "c = -n carol -c lobby", /* the one before has left: the room was free */
    "b $ printf 'without newline' | ./client -s 127.0.0.1/{s} -n bob lobby", "b ? 0",
    "c < * bob joined\nbob: without newline\n* bob left")

/* Refusals are one sentence on stderr, and status 1. */
SCENARIO(client_refusals,
    "s = -q -R 3 -M 4", "a = -n alice -c lobby", "r - -n bob -j nowhere", "r ! nowhere",
    "r ? 1", "r - -n alice -j lobby", "r ! taken (-n", "r ? 1", "r - -n bob -c lobby", "r ! lobby",
    "r ? 1",
    "set OCM_PASSWORD secret", "y = -n vera -p -c vault", "z = -n wilma -c safe",
    "c = -n carol -j vault", "c . 0", "y < * carol joined\n* carol left",
    "r - -t -n carol -j vault", "r ! has a password", "r ? 1", /* that form has no passwords */
    "set OCM_PASSWORD", "r - -n carol -j vault", "r ! client: room \"vault\" has a password",
    "r ? 1",
    "r - -n carol -c fourth", "r ! full", "r ? 1", "d = -t -n dora -j lobby", "d . 0",
    "r - -n eve -j lobby", "r ! full", "r ? 1", /* dora's dialect cannot say that it left */
    "set OCM_PASSWORD Secret", "r - -n carol -p -j safe", "r ! client: wrong password", "r ? 1",
    "r - -t -n bob -j nowhere", "r ! nowhere", "r ? 1",
    "r - -t -n alice -j lobby", "r ! is taken", "r ? 1", "r - -t -n bob -c lobby",
    "r ! exists already", "r ? 1", "a . 0", "y . 0")

/* What -l prints on a pipe: columns between tabs; no room: a sentence on stderr. */
SCENARIO(client_list,
    "s = -q", "l - -l", "l ? 0", "l : ", "l ! no rooms", "a = -n alice -c lobby",
    "b = -n bob lobby",
    "set OCM_PASSWORD x", "y = -n vera -c vault", "l - -l", "l ? 0", "m - -l", "m ? 0",
    "l < lobby\t2\topen", "m < vault\t1\tpassword", "l - -l lobby", "l ? 0",
    "l < alice\thost", "l < bob\tmember", "l - -l nowhere", "l ? 1", "l ! nowhere",
    "l - -l vault", "l < vera\thost", "set OCM_PASSWORD", "l - -l vault", "l ? 0", "l ~ vera",
    "set OCM_PASSWORD y", "l - -p -l vault", "l ! wrong password", "l ? 1",
    "set OCM_PASSWORD x{300}", "l - -p -l vault", "l ! at most 255 bytes", "l ? 2",
    "k - -t -p -n kim vault", "k ! no passwords", "k ? 2")

/* What cannot be said is told, and the exit status says so: a script would not notice otherwise.
   3980 are 3990 without "alice" and "lobby"; a quote counts twice. */
SCENARIO(client_too_long,
    "s = -q", "a = -n alice -c lobby", "b = -n bob lobby", "a > x{3981}", "a ! 3981", "a ! 3980",
    "a > x{3980}", "b : alice: x{3980}", "a > \"{1991}", "a > \"{1990}", "b : alice: \"{1990}",
    "a > z{9000}\nbell\a\n\xFF\nend", "b : alice: end", "a ! 9000",
    /* a line beyond all measure takes no other one with it */
    "c $ (yes | head -c 600000 | tr -d '\\n'; echo; seq 1 20) | ./client -s 127.0.0.1/{s} -n"
    " carol lobby", "c ? 1", "b < carol: 1\ncarol: 2", "b < carol: 20", "a . 1", "b ? 0")

/* More than a session keeps at once, and more than the server's rate; the input ends long before
   all is said. */
SCENARIO(client_many_lines,
    "s = -q -r 0", "b = -n bob -c lobby", "a = -n alice lobby", "t = -q", "c = -n carol -c lobby",
    "d = -n dora lobby", "a & 800 line", "c & 120 line", "a . ", "b % 800 alice: line",
    "d % 120 carol: line", "a ? 0", "a ~ alice: ", "b < * alice left")

/* The room is closed while much is still to be said: a client that lost some ends with 1. The host
   leaves first: its datagrams stand before bob's. */
SCENARIO(client_lost_lines,
    "s = -q", "a = -n alice -c lobby", "b = -n bob -j lobby", "a < * bob joined", "s * STOP",
    "a . 0", "b & 20 line", "wait 100", "s * CONT", "b ? 1",
    "b < * You have been disconnected: the host left",
    "b ! of your messages, 20 may not have arrived")

/* Without a stdin at all the client is as at its end, and no socket becomes its stdin; nor does one
   become the server's stderr. A file that takes nothing is told of. */
SCENARIO(program_closed_files,
    "x $ d=$(mktemp); ulimit -f 0; ./client -h >$d; s=$?; rm $d; exit $s",
    "x ! cannot be written: File too large", "x ? 1",
    "s $ exec ./server -l 127.0.0.1/0:0 <&- 2>&-",
    "c $ exec ./client -s 127.0.0.1/{s} -n alice lobby <&-", "c ? 0",
    "c ! created \"lobby\" as \"alice\"")

/* Those who name the same servers, in whatever order, meet on one of them; one that is down takes
   its own rooms with it and no others. */
SCENARIO(client_servers,
    "s = -q", "t = -q", "a $ exec 3<&0; for i in 1 2 3 4 5 6 7; do ./client -s localhost/{s}"
    " -s LOCALHOST/{t} -n alice room$i <&3 2>&1 & done; wait", "a # 7 created \"room",
    "b $ exec 3<&0; for i in 1 2 3 4 5 6 7; do ./client -s localhost/{t}"
    " -s LOCALHOST/{s} -n bob room$i <&3 2>&1 & done; wait", "b # 7 joined \"room",
    "l $ exec ./client -s localhost/{s} -s localhost/{t} -s Localhost/{s} -l", "l ? 0",
    "l # 7 \t2\topen\n",
    "t * KILL", "t ? 1009", "l $ exec ./client -s localhost/{s} -s localhost/{t} -l", "l ? 1",
    "l ! no chat server",
    "m $ [ \"$(./client -s localhost/{s} -s localhost/{t} -l)\" ="
    " \"$(./client -s localhost/{s} -l)\" ]", "m ? 0")

/* ---- The programs: connections that are slow, or break ---- */

/* A connection that waits from the start, a request in segments of a byte, one whose sender shuts
   its side, and a connection that breaks before the success is written: that was no joining. */
SCENARIO(requests_slow,
    "s = -q", "m $ peer {s}", "a = -n alice -c lobby", "p $ peer {s}",
    "p > 2 0 lobby|slow", "p > end", "p : 2 1 |", "p : 2 2 lobby|*", "m > 2 0 lobby|waiting",
    "m : 2 1 |", "m : 2 2 lobby|*", "a < * slow joined\n* waiting joined",
    "q $ peer {s}", "q > reset", "q > 2 0 lobby|gone", "q : 2 1 |", "a < * gone joined",
    "a # 1 * gone left", "q $ peer {s}", "q > 2 0 lobby|gone", "q : 2 1 |", "q : 2 2 lobby|*",
    "r $ peer {s}", "r > 2 0 lobby|{x{15000}", "r : 2 1 |{`status`:202,*",
    "r : 2 2 |{`status`:413,*", "r : end")

/* ---- The programs: our client and other people's servers ---- */

#define RUN_ASKED(op) "s : " op " 0 lobby|{`username`:`alice`,*`ip`:`127.0.0.1`,`port`:*"
#define RUN_TEAM_A(op, outcome) "s > " op " 1 |\xC8", "s > " op " 2 " outcome
#define RUN_TEAM_D(op, outcome) \
    "s > " op " 1 |{`status`: 202, `message`: `accepted`}", "s > " op " 2 |" outcome

SCENARIO(client_team_a,
    "s $ peer", "a - -t -n alice lobby", "s : 2 0 lobby|alice",
    RUN_TEAM_A("2", "|{`status_code`: 404, `user_token`: null}"), "s : 1 0 lobby|alice",
    RUN_TEAM_A("1", "lobby|{`status_code`: 200, `user_token`: `t0`}"), "a ! created \"lobby\"",
    "a > やあ", "s : @lobby t0|やあ", "a > two", "s : @lobby t0|two", "a > three",
    "s : @lobby t0|three", "s > @lobby t0|two", /* the first was lost */
    "s > @lobby t0|two", "a : * two", /* somebody else */
    "s > @lobby t0|three", "s > @lobby t0|やあ", "a : * やあ",
    "s > @lobby t0|system: You have been disconnected: the host left",
    "a : * You have been disconnected: the host left", "s > ho", "a : * ho", "a . 0",
    "c - -t -n bob -c lobby", "s : 1 0 lobby|bob",
    RUN_TEAM_A("1", "|{`status_code`: 400, `user_token`: null}"), "c ? 1", "s . 0", "s : ")

/* Its datagrams have a header of two zero bytes, or none, and its notices are bare strings. */
SCENARIO(client_team_d,
    "s $ peer", "a - -n alice lobby", RUN_ASKED("2"),
    RUN_TEAM_D("2", "{`status`: 404, `message`: `no such room`}"), RUN_ASKED("1"),
    RUN_TEAM_D("1", "{`status`: 201, `message`: `welcome`, `token`: `t0`}"),
    "a ! created \"lobby\"", "s > @ |{`sender`:`b`,`message`:`hi`}", "a < b: hi",
    "s > @ |`bob has come \\u263a`", "a < * bob has come ☺",
    "s > @ |{`sender`:`b`,`message`:`\\u001b[2J`}", "a > hi",
    "s : @lobby t0|{`sender`:`alice`,`message`:`hi`}", "s > @ |{`sender`:`alice`,`message`:`hi`}",
    "s > {`sender`:`b`,`message`:`ho`}", "a < b: ho",
    "s > {`sender`:`* bob left`,`message`:`x`}", "a < \\* bob left: x", /* or it had left */
    "a ~ alice: ", "a ~ \033", "a . 0",
    "s : @lobby t0|{`sender`:`system`,`operation`:2,`username`:`alice`,`message`:`alice left`}",
    "s . 0", "s : ")

/* One answers with state 3, one closes, one is not there, one is mute; ^C ends the wait at once. */
SCENARIO(client_bad_server,
    "s $ peer", "a - -n alice -c lobby", RUN_ASKED("1"), "s > 1 3 |",
    "a ! gave no answer", "a ? 1", "l - -l lobby", "s : 3 0 lobby|*", "s > 3 1 |{`status`:404}",
    "l ! gives no list", "l ? 1",
    "a - -n alice -c lobby", RUN_ASKED("1"), "s > end", "a ! client: ", "a ? 1",
    "s . 0", "a - -n alice -c lobby", "a ! is ./server running there?", "a ? 1", "l - -l", "l ? 1",
    "s $ peer", "a - -n alice -c lobby", RUN_ASKED("1"), "a * INT", "a ? 130")

/* ---- The programs: strangers ---- */

#define RUN_TALK \
    "c = -n carol -j lobby", "b : * carol joined", "a > hi", "b : alice: hi", "c < alice: hi", \
    "c . 0", "b : * carol left"

/* While more connect than there are places, and when they have left, anyone who asks gets in, and
   all hear each other. */
SCENARIO(program_strangers,
    "s = -q", "a = -n alice -c lobby", "b = -n bob lobby", "x $ crowd {s} 1500", "x # 1 \n",
    RUN_TALK, "x . 0", RUN_TALK, "a . 0", "b ? 0", "s * TERM", "s ? 0", "s ~ -") /* no log line */

/* No descriptor is left for a connection: the server says so now and then, not all the time, does
   not spin (a second of CPU would end it), and serves again as soon as there is one. */
SCENARIO(program_descriptors,
    "s $ trap : TERM; f=$(mktemp); ulimit -n 12; ulimit -t 1; ./server -l 127.0.0.1/0:0 2>$f"
    " && [ $(grep -c . $f) -lt 20 ]; s=$?; cat $f >&2; rm $f; exit $s",
    "a = -n alice -c lobby", "b = -n bob lobby", "x $ crowd {s} 24", "x : 24", "a > none left",
    "b < alice: none left", "wait 2000", "x . 0", "c = -n carol -j lobby", "c . 0",
    "a > some again", "b < alice: some again", "s * TERM", "s ? 0", "s ! cannot take a connection")

/* ---- The programs: talk on a network that loses ---- */

/* Of ten datagrams three are lost. Nobody is told of an outage, or of anything that is missed. */
SCENARIO(lossy_network,
    "s = -q", "t $ relay {s} 30", "a = -n a lobby", "b = -n b lobby", "c = -n c lobby",
    "a & 40 line", "b & 30 line", "c & 20 line", "wait 500", "b & 10 more", "c > last",
    "a % 30 b: line", "a % 20 c: line", "b % 40 a: line", "b % 20 c: line", "c % 40 a: line",
    "c % 30 b: line", "a % 10 b: more", "c % 10 b: more", "a # 1 c: last", "b # 1 c: last",
    "a ~ server", "b ~ server", "c ~ server", "a ~ missed", "b ~ missed", "c ~ missed",
    "c . 0", "b . 0", "a . 0")

/* ---- The programs: what takes its time, at once ---- */

/* At u, a server that stands still for longer than `idle`, but not for the 10 s after which clients
   ask by TCP: anyone who kept alive meanwhile is a member still. x asks one server by TCP and talks
   to the UDP port of another one (told after 10 s). w: one that never answers (5 s). t: one that is
   stopped, and started again on its ports; s: one that is killed (noticed after 10 s), likewise:
   what was typed meanwhile is there, once, and nothing is missed. v: one that stands still for as
   long; its room is still there. */
SCENARIO(program_waiting,
    "v = -q", "g = -n alice -c lobby", "h = -n bob lobby", "g < * bob joined", "v * STOP",
    "g > typed meanwhile",
    "u = -q -i 2", "e = -n alice -c lobby", "f = -n bob -j lobby", "e < * bob joined",
    "s = -q", "a = -n alice -c lobby", "b = -n bob -j lobby", "a < * bob joined",
    "w = -q", "x $ w={w}; exec ./client -s 127.0.0.1/${w%:*}:{U} -n dora other", "x ! dora",
    "t = -q", "c = -n alice -c lobby", "d = -n bob -j lobby", "c < * bob joined",
    "w $ peer", "m - -n alice lobby", "u * STOP", "wait 3000", "u * CONT",
    "e > after a pause", "f < alice: after a pause", "f > here, too",
    "e < bob: here, too", "e ~ bob left", "f ~ disconnected", "e . 0", "f ? 0", "m ~ client",
    "x ~ UDP", "s * KILL", "t * TERM", "s ? 1009", "t ? 0", "a > typed meanwhile",
    "b > so was this", "c > typed meanwhile", "c ! the server is stopping",
    "t $ exec ./server -q -l 127.0.0.1/{t}",
    "c ! the server is back; the room had closed, and you have opened it again",
    "d ! the server is back", "d ~ had closed", "d < alice: typed meanwhile", "d > good",
    "c < bob: good", "c ~ missed", "d ~ missed", "d # 1 alice: typed meanwhile", "d . 0",
    "c < * bob left", "c . 0", "m ! gave no answer", "m ? 1", "w : 2 0 lobby|*", "w . 0", "w : ",
    "x ! UDP port {U}", "x ~ is back",
    "a ! does not answer", "s $ exec ./server -q -l 127.0.0.1/{s}", "a ! the server is back",
    "b ! the server is back", "b < alice: typed meanwhile", "a < bob: so was this",
    "a ~ missed", "b ~ missed", "b # 1 alice: typed meanwhile", "b . 0", "a < * bob left", "a . 0",
    "g ! does not answer", "v * CONT", "g ! the server is back", "g ~ had closed", "g . 0")

/* ---- The programs: the examples in the manuals ---- */

/* A shell's commands: an example in C as $d/e.c of a directory of its own is compiled and run. */
#define RUN_EXAMPLE(script, run) \
    "trap : TERM; d=$(mktemp -d); sed -n " script " >$d/e.c; ${CC:-cc} -I. -o $d/e $d/e.c && " run \
    "; s=$?; rm -r $d; exit $s"

SCENARIO(example_quick,
    "x $ " RUN_EXAMPLE("'/^QUICK EXAMPLE/,/^TWO RULES/s/^    //p' ocm.h",
                       "$d/e >$d/out && [ $(wc -l <$d/out) -ge 3 ]"),
    "x ? 0")

/* The server of README.md: our clients chat on it. */
SCENARIO(example_server,
    "s $ " RUN_EXAMPLE("'/^```c$/,/^```$/{//!p;}' README.md", "$d/e 0 0"),
    "a = -n alice -c lobby", "b = -t -n bob lobby", "a > hi", "b < alice: hi", "a . 0", "b ? 0",
    "s * TERM", "s ? 143")

/* The client of README.md; where there is no python3, ours plays its part. */
SCENARIO(example_python,
    "s = -q", "a = -n alice -c 部屋",
    "p $ python3 -V || exec ./client -s 127.0.0.1/{s} -n carol 部屋; exec python3 -c"
    " \"$(sed -n '/^```python$/,/^```$/{//!p;}' README.md)\" 127.0.0.1 $(echo {s} | tr : ' ')"
    " carol 部屋",
    "a < * carol joined", "a > hello 😀 \"carol\"", "p < alice: hello 😀 \"carol\"",
    "p > hi from python", "a < carol: hi from python", "p . 0", "a < * carol left")

/* The bot of README.md in shell, run beside our programs and sent to our server: it answers what is
   asked, but nothing of the room's past. */
SCENARIO(example_bot,
    "s = -q", "a = -n alice -c lobby", "a > !time",
    "x $ e=$(sed -n '/^mkfifo/,/rm in$/p' README.md | sed"
    " \"s|[.]/client|$PWD/client -s 127.0.0.1/{s}|\"); d=$(mktemp -d); cd $d; eval \"$e\"; cd /;"
    " rmdir $d", "a < * bot joined", "a > !time", "a # 1 bot: ", "a > !bye", "a < * bot left",
    "x ? 0", "a # 1 bot: ")

#define TEST(name) {#name, test_##name},
#define RUN_TESTS \
    TEST(program_usage) TEST(program_port_in_use) TEST(program_listeners) \
    TEST(program_same_stretch) TEST(program_unread) TEST(client_pipe) TEST(client_refusals) \
    TEST(client_list) TEST(client_too_long) TEST(client_many_lines) TEST(client_lost_lines) \
    TEST(program_closed_files) TEST(client_servers) TEST(requests_slow) \
    TEST(client_team_a) TEST(client_team_d) \
    TEST(client_bad_server) TEST(program_strangers) TEST(program_descriptors) \
    TEST(lossy_network) TEST(program_waiting) TEST(example_quick) \
    TEST(example_server) TEST(example_python) TEST(example_bot)

/* ---- The client on a terminal: entering, reading, writing ---- */

/* alice's client, and bob, the host of her room, who is on a pipe. */
#define TERM_CLIENT " TERM=xterm NO_COLOR= exec ./client -s 127.0.0.1/{s} "
#define TERM_ALICE TERM_CLIENT "-n alice lobby"
#define TERM_BOTH "s = -q -r 0", "b = -n bob lobby", "a @ 80" TERM_ALICE, "a | lobby> |"

/* In a window of 200 columns, of 20, of 60. Of a line longer than the window, prompt and all, what
   is around the cursor is shown. */
SCENARIO(terminal_widths,
    "s = -q", "a @ 200" TERM_ALICE,
    "a < * created \"lobby\" as \"alice\"\n* the room closes when you leave\n", "a | lobby> |",
    "b = -n bob lobby", "a < * bob joined\n", "a > hello wrld\033[D\033[D\033[D",
    "a | lobby> hello w|rld", "a > o\r", "b < alice: hello world", "a < : hello world\n",
    "a | lobby> |", "a ^ \033[?2004h", "a ^ \033]2;lobby\a",
    "a > a longer line than the narrow window, too",
    "a | lobby> a longer line than the narrow window, too|",
    "a > \001\033[F\033[H", "a | lobby> |a longer line than the narrow window, too",
    "a > \033[F", "a | lobby> a longer line than the narrow window, too|",
    "a / 20", "a | lobby>  window, too|", "a > \001\033[F\033[H", "a | lobby> |a longer lin",
    "b > a line that is longer than one row of a narrow window",
    "a < bob: a line that is longer than one row of a narrow window\n", "a | lobby> |a longer lin",
    "a / 60", "a | lobby> |a longer line than the narrow window, too", "a > \025\013\004",
    "a ? 0", "b ? 0", "a ^ \033[?2004l",
    "a @ 20" TERM_CLIENT "-n alice a-room-with-a-name-of-two-rows", "a > hi",
    "a | *-of-two-rows> hi|", "a > and 日本語 and more", "a | and 日本語 and more|", "a / 5", "a > \f!",
    "a | *!|")

/* Where the past ends; who says what, and when; who is meant; nothing that a stranger wrote is
   executed. */
SCENARIO(terminal_reading,
    "s = -q", "b = -n bob lobby", "c = -n carol lobby", "b > before", "c < bob: before",
    "a @ 200" TERM_ALICE, "a < * joined \"lobby\" as \"alice\"\n",
    "a < * earlier in this room:\n", "a < \nbob: before\n* from now on:\n",
    "a < * 3 members are here\n", "b > now", "a | [0-2][0-9]:[0-5][0-9] bob: now",
    "a ^ \033[32mbob\033[0m: before", "a ^ \033[32mbob\033[0m: now", "a # 1 \a",
    "c > alice, are you there?",
    "a ^ \033[32mcarol\033[0m: \033[1malice\033[0m, are you there?\a", "a > yes\r",
    "b < alice: yes", "a ^ \033[2malice\033[0m: yes", "b > \xE2\x80\xAEgnp.exe",
    "a < \\u202egnp.exe\n")

#define SAYS(keys, said) "a > " keys, "b : alice: " said

/* Keys, and what is said then; or what stands in the line. */
SCENARIO(terminal_keys,
    TERM_BOTH, "b > hi", "a < bob: hi\n", "b < * alice joined",
    SAYS("wrld\033[D\033[D\033[Do\r", "world"), SAYS("ac\033OD\002b\006\033OC!\r", "bac!"),
    SAYS("bc\033[Ha\033[Fd\r", "abcd"),
    SAYS("c\033OHb\033[1~a\033[7~_\033OFd\033[4~e\033[8~f\r", "_abcdef"),
    SAYS("ello\001h\005!\r", "hello!"), SAYS("axbc\033[D\033[D\033[D\033[3~\004B\r", "aBc"),
    SAYS("日本語\033[D\177\b二\r", "二語"), SAYS("a\xCC\x81" "b\033[D\177\r", "b"),
    SAYS("one two\002\002\002\013\r", "one "), SAYS("one two\002\025\r", "o"),
    SAYS("one two  three\002\027\027T\r", "one Te"),
    SAYS("one two\033b\033bx\033f!\r", "xone! two"),
    SAYS("one two\001\033d\r", " two"), SAYS("one two\033[1;5D\033[1;5Dx\033[1;5C!\r", "xone! two"),
    SAYS("one two\001\013\031!\r", "one two!"),
    SAYS("日本\xE3\x80\x80語\027x\r", "日本\xE3\x80\x80x"),
    SAYS("漢字ひらがな\027カ\r", "漢字カ"), SAYS("か\xE3\x82\x99z\177\177ok\r", "ok"),
    SAYS("x👨\xE2\x80\x8D👩\xE2\x80\x8D👧\177y\r", "xy"),
    SAYS("👨\xE2\x80\x8D👩\xE2\x80\x8D👧\033[Da\r", "a👨\xE2\x80\x8D👩\xE2\x80\x8D👧"),
    SAYS("a\tb\r", "ab"), /* no invisible tab */
    SAYS("1\033[5~\033[1;5Q\033[[A\033OP\033x\033[?1;2c\033[<0;1;1M\0142\r", "12"),
    SAYS("\033[D\033[C\177\013\027\025\033[3~.\r", "."),
    SAYS("<>\002\033[200~a\001\025\033[D\004b\rc\033[201~\177d\r", "<ab"), SAYS("", "d>"),
    SAYS("one\r", "one"), SAYS("two\r", "two"), SAYS("two\r", "two"),
    SAYS("draft\033[A\033[A!\r", "one!"),
    SAYS("under\020\020\033[B\016 way\r", "under way"),
    "a < alice: under way\n", "a > lost", "a | lobby> lost|", "a > \003", "a | lobby> |",
    "a > lost", "a | lobby> lost|", "a > \003kept\r", "a < alice: kept\n", "a | lobby> |",
    "a > か\xE3\x82\x99", "a | lobby> か\xE3\x82\x99|", "a > \0251👨\xE2\x80\x8D👩\033[D",
    "a | lobby> 1|👨\xE2\x80\x8D👩", "a > \025\013one\ftwo", "a | lobby> onetwo|",
    "a ~ under way", /* ^L has cleared */
    "a > \025bo\t", "a | lobby> bob: |", "a > ask bo\t", "a | lobby> bob: ask bob|",
    "c = -n bonnie lobby", "c > hey", "a < bonnie: hey\n", "a > \025bo\t",
    "a | lobby> bonnie: |", "b > ho", "a < bob: ho\n", "a > bo\t", "a | lobby> bonnie: bob|",
    "a > \025bon\t", "a | lobby> bonnie: |",
    "a > \025zz\t\t", "a | lobby> zz|", "a > \025", /* bob has been heard, so he is completed */
    "a & 103 line", "a > \020{120}!\r", "b < alice: line 4!") /* the hundredth newest */

/* ---- The client on a terminal: pasting, leaving, being left ---- */

/* Of what is pasted every line is text; and nothing of it is said before Enter. */
SCENARIO(terminal_paste,
    TERM_BOTH, "a > \033[200~/leave\r//two\r/who\rla/st\033[201~!",
    "a | lobby (4 lines)> //leave|///two|//who|la/st!|", "a > \r",
    "b < alice: /leave\nalice: //two\nalice: /who\nalice: la/st!", "a | lobby> |",
    "a > \033[200~", "a & 12 many", "a > \033[201~", "a < lobby (12 lines)> ",
    "a > \003", "a | lobby> |", "a > \033[200~one\r\rtwo\033[201~",
    "a | lobby (3 lines)> one||two|", "a > \003", "a | lobby> |",
    "a > \033[200~", "a & 300 many", "a > \033[201~\r",
    "b % 300 alice: many",
    /* one that is refused is to be mended */
    "a > \033[200~one\rx{3981}\rthree\033[201~\r", "b < alice: one", "a < too long: 3981",
    "b : alice: three", "a > \177\r", "b : alice: x{3980}", "a | lobby> |")

#define TERM_SHELL \
    "a @ 80 trap : INT; TERM=xterm ./client -s 127.0.0.1/{s} -n alice lobby; echo END; cat", \
    "a | lobby> |"
/* The shell has read nothing but what was typed to it. */
#define TERM_CLEAN "a < END\n", "a > alive\r", "a < END\nalive\nalive\n"

/* The session ends by another's doing: why is told, the draft stays to be read, and what is typed
   or pasted goes nowhere until Enter. */
SCENARIO(terminal_ended,
    "s = -q", "b = -n bob lobby", TERM_SHELL,
    "a > half a thou", "a | lobby> half a thou|", "b . 0",
    "a < * You have been disconnected: the host left\n", "a < Enter", "a < half a thou",
    "a > ght, rm -rf\033[200~ping\rls\r\033[201~", "a ~ END\n", "a > \r",
    "a < * not sent: half a thought, rm -rfpingls\nEND\n", TERM_CLEAN,
    "b = -n bob lobby", TERM_SHELL, "a > \033[200~one\rtwo\rthr", "b . 0", "a < disconnected: ",
    "a > ee\rfour\rfive\033[201~", "a < Enter", "a > \r",
    "a < * not sent: one\n* not sent: two\n* not sent: threefourfive\nEND\n", TERM_CLEAN)

#define TERM_LEAVE(keys) TERM_SHELL, "a > " keys, TERM_CLEAN, "b < * alice left", "a . "

/* What was typed after a command or a key that ends the client is not the shell's. */
SCENARIO(terminal_leaving,
    "s = -q", "b = -n bob lobby", TERM_LEAVE("/leave\rping\rls\r"), TERM_LEAVE("/leave now\rls\r"),
    TERM_LEAVE("/quit\rls\r"), TERM_LEAVE("\003ls\r"), TERM_LEAVE("\004ls\r"),
    TERM_LEAVE("x\003\003ls\r"), TERM_SHELL, "s * STOP", "a > /leave\rone\r",
    "wait 100", /* it has read that, and no more */
    "a > two\r", TERM_CLEAN)

/* A window that is closed leaves no ghost in the room, nor does a signal; ^Z gives the terminal
   back to the shell as it was, and the line comes back. */
SCENARIO(terminal_signals,
    TERM_BOTH, "a . ", "b < * alice left", "c @ 80" TERM_CLIENT "-n carol lobby", "c | lobby> |",
    "c * HUP", "b < * carol left",
    "a @ 80 set -m; TERM=xterm ./client -s 127.0.0.1/{s} -n alice lobby; echo STOPPED;"
    " stty -a | tr ' ' '\\n' | grep -cx -e icanon -e echo; read word; fg; echo END",
    "a | lobby> |", "a > half", "a | lobby> half|", "a > \032", "a < \nSTOPPED\n2\n",
    "a ^ \033[?2004l", "a ^ STOPPED",
    "b > meanwhile", "a > go\r", "a < bob: meanwhile\n", "a | lobby> half|", "a ^ \033[?2004h",
    "a > \033[200~/leave\r\033[201~\r", "b < alice: half/leave")

/* ---- The client on a terminal: asking, commands, troubles ---- */

/* What is asked for, what is asked for again, and what is kept meanwhile. */
SCENARIO(terminal_questions,
    "s = -q", "o = -n olga open", "set OCM_PASSWORD secret", "y = -n vera -p -c vault",
    "set OCM_PASSWORD", "set USER usual", "a @ 80" TERM_CLIENT,
    "a < vault (members: 1, password)\n", "a < name [usual]: ", "a > system\r",
    "a < cannot be a name", "a > \025\r", "a < room to join or create: ", "a > vault\r",
    "a < room \"vault\" has a password\n", "a < password: ", "a > secret\r",
    "a < * joined \"vault\" as \"usual\"", "a ~ secret", "y < * usual joined",
    "a < * 2 members are here\n", "a > /who\r", "a < vera (host)\n", "a < usual (member)\n",
    /* a name that is taken, a room that is not there, one that is */
    "b @ 80" TERM_CLIENT "-n olga open", "b < taken\n", "b > \025bob\r",
    "b < * joined \"open\" as \"bob\"", "b . ",
    "c @ 80" TERM_CLIENT "-n carol -j lobby", "c < \"lobby\" does not exist\n",
    "c > \025open\r", "c < * joined \"open\" as \"carol\"", "c . ",
    "d @ 80" TERM_CLIENT "-n dora -c open", "d < exists already\n", "d > \025cellar\r",
    "d < * created \"cellar\" as \"dora\"", "d . ",
    /* a new password: twice the same one, or none */
    "e @ 80" TERM_CLIENT "-n eve -p -c safe", "e < password: ", "e > one\r",
    "e < once more: ", "e > two\r", "e < not the same", "e > two\025one\r", "e > one\r",
    "e < * created \"safe\" as \"eve\"", "e > \031.", "e | safe> .|", /* ^Y gives no password */
    "l - -l", "l < safe\t1\tpassword", "e . ",
    "f @ 80" TERM_CLIENT "-n fay -p -c free", "f < password: ", "f > \r",
    "f < open to everybody", "f < * created \"free\" as \"fay\"")

#define TERM_COMMAND(keys, shown) "a > \f", "a | lobby> |", "a > " keys "\r", "a < " shown

SCENARIO(terminal_commands,
    TERM_BOTH, TERM_COMMAND("/help", "/who"), TERM_COMMAND("/HELP", "/leave"),
    TERM_COMMAND("/who ", "bob (host)\nalice (member)\n"),
    TERM_COMMAND("/rooms", "lobby (members: 2, open)\n"),
    TERM_COMMAND("/nick carol", "-n"), TERM_COMMAND("/whi", "mean /who"),
    TERM_COMMAND("/lesve", "mean /leave"), "a > /me waves\r//slash\r",
    "b < * alice joined\nalice: *waves*\nalice: /slash",
    "m $ exec 3<&0; for i in 1 2 3 4 5 6 7 8 9; do"
    " ./client -s 127.0.0.1/{s} -n m room$i <&3 2>&1 & done; wait", "m # 9 created",
    TERM_COMMAND("/rooms", "* 10 rooms are here\n"))

/* A server that keeps silent: what was said shows as not confirmed, and nothing blocks. */
SCENARIO(terminal_silence,
    TERM_BOTH, "s * STOP", "a > are you there?\r", "a | lobby (1 waiting)> |",
    "a > /who\r/rooms\r", "a > typing goes on", "a | lobby (1 waiting)> typing goes on|",
    "s * CONT", "b < alice: are you there?", "a | lobby> typing goes on|", "s * STOP",
    "a > \003", "a | lobby> |", "a > \033[200~", "a & 99 more", "a > last\033[201~\r",
    "a | lobby (100 waiting)> |", "a > \003", "wait 300", "a > \003", "a ? 130")

#define TERM_PLAIN(set, escapes, shown) \
    "s = -q", "b = -n bob lobby", "a @ 80 export TERM=xterm; unset NO_COLOR; " set \
    "; exec ./client -s 127.0.0.1/{s} -n alice lobby", "b < * alice joined", "b > hi", \
    "a < bob: hi\n", "a > hello\r", "b < alice: hello", escapes, "a ^ " shown

/* No escape for a terminal that knows none, no colour for anyone whom that disturbs; an empty
   NO_COLOR disturbs nobody. */
SCENARIO(terminal_plain,
    TERM_PLAIN("TERM=dumb", "a # 0 \033", "\nbob: hi"),
    TERM_PLAIN("unset TERM", "a # 0 \033", "\nbob: hi"),
    TERM_PLAIN("export NO_COLOR=1", "a # 0 \033[3", "\033[J"),
    TERM_PLAIN("export NO_COLOR=", "a ^ \033[J", "\033[32mbob\033[0m: hi"))

/* A terminal on stdin whose output goes elsewhere still has its commands; and without a server
   nothing is asked for. What is typed during -l is not for the client. */
SCENARIO(terminal_others,
    "s = -q", "b = -n bob lobby",
    "a @ 80 ./client -s 127.0.0.1/{s} -n alice lobby | cat; echo END",
    "a < joined \"lobby\" as \"alice\"", "a > hi\r/who\r", "b < alice: hi", "a < bob (host)",
    "a > /leave\r", "a < END\n", "b < * alice left", "b ~ /", "s * KILL", "s ? 1009",
    "a @ 80" TERM_CLIENT, "a < is ./server running there?", "a ~ name", "a ? 1",
    "t = -q", "t * STOP", "a @ 80 TERM=xterm ./client -s 127.0.0.1/{t} -l; exec cat", "wait 300",
    "a > for the shell\r", "a < gives no list\nfor the shell\n")

#define TERMINAL_TESTS \
    TEST(terminal_widths) TEST(terminal_reading) TEST(terminal_keys) TEST(terminal_paste) \
    TEST(terminal_ended) TEST(terminal_leaving) TEST(terminal_signals) \
    TEST(terminal_questions) TEST(terminal_commands) TEST(terminal_silence) TEST(terminal_plain) \
    TEST(terminal_others)
#else /* the programs are tested where there are fork() and posix_openpt() */
#define RUN_TESTS
#define TERMINAL_TESTS
static int demo(void) { return printf("the demonstration needs POSIX: fork() and pipes\n") < 0; }
#endif

/* ---- Benchmark ---- */

/* ./test bench prints one table; each row is a ratio to a yardstick. Times are those of the CPU
   clocks of the server and of a bare loop, measured in turns: such ratios repeat where absolute
   times do not. The members of all rooms share a few sockets of this process, which runs on the
   same CPU: so nobody waits for another CPU to wake up, and neither changes the other's clock. */

#ifdef __linux__
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#define BENCH_SOCKETS 16
#define BENCH_MEMBERS 5000 /* of all rooms of a row */
#define BENCH_TURN 4000    /* messages, at most */
#define BENCH_TURNS 11     /* of which the median is told */
#define BENCH_AT_ONCE 32   /* members that join at the same time */
#define BENCH_STEPS 10     /* members of a registry that join, that speak, that expire */
#define BENCH_HEAD "\010\040r%07d%s" /* of a datagram: a room name of 8 bytes, a token of 32 */

enum { JSON, LEVEL_1, TEAM_A, ALL };

/* How member %d joins, and what it says. A # begins each text and stands nowhere else: so messages
   can be counted in every dialect. */
static const struct { const char *name, *join, *message; } bench_dialects[] = {
    {"JSON", "{\"username\":\"m%07d\",\"port\":%u}",
     "{\"sender\":\"m0000000\",\"message\":\"#%0*d\"}"},
    {"level 1", "{\"username\":\"m%07d\",\"port\":%u,\"ocm\":1}",
     "{\"message\":\"#%0*d\",\"id\":%d}"},
    {"team A", "m%07d", "#%0*d"}};

typedef struct bench_row {
    const char *what;
    int dialect;           /* ALL: a row for each */
    int rooms, size, text; /* rooms speak in turn; member i is in room i % rooms; bytes it says */
    int in_flight, turn;   /* messages said before they are awaited; messages of a turn */
    int silent;            /* connections on which nothing is ever said */
    double limit, slowest; /* of the ratios of CPU times, and of delays (0: not told) */
} bench_row;

static const bench_row bench_rows[] = {
    {"us per delivery, room of 100", ALL, 1, 100, 64, 1, 60, 0, 1.05, 0},
    {"us per delivery, room of 1000", ALL, 1, 1000, 64, 1, 10, 0, 1.05, 0},
    {"us per delivery, room of 100, 1 KiB of text", ALL, 1, 100, 1024, 1, 60, 0, 1.06, 0},
    {"us per message, room of two", ALL, 1, 2, 64, 1, BENCH_TURN, 0, 1.20, 3},
    {"us per message, 2000 rooms of two in turn", ALL, 2000, 2, 64, 1, BENCH_TURN, 0, 1.25, 0},
    {"us per delivery, room of 100, 64 in flight", LEVEL_1, 1, 100, 64, 64, 512, 0, 0.06, 0},
    {"us per message, 900 silent connections", LEVEL_1, 1, 2, 64, 1, BENCH_TURN, 900, 1.5, 0}};

static const bench_row bench_load = {"", JSON, 500, 10, 64, 1, 10000, 0, 0, 0};

typedef struct bench_side { /* the rooms of a row on a server, or its yardstick */
    bench_row row;
    pid_t pid;
    unsigned udp;
    int next;             /* the room, or the member, to speak next */
    int said[BENCH_MEMBERS];
    char token[BENCH_MEMBERS][OCM_TOKEN_LEN + 1];
    int delays;
    double delay[BENCH_TURNS * BENCH_TURN]; /* us from saying something to the last that hears it */
} bench_side;

static bench_side bench_sides[2], *const bench_ours = bench_sides;
static int bench_socket[BENCH_SOCKETS];
static struct sockaddr_in bench_at[BENCH_SOCKETS];
static double bench_heard;            /* messages, in all */
static size_t bench_got;              /* bytes of the last datagram */
static int bench_lost, bench_missed;  /* deliveries that did not come; rows */

/* us: CPU that a process has used or, of process 0, the time. */
static double bench_us(pid_t process)
{
    clockid_t clock = CLOCK_MONOTONIC;
    struct timespec t = {0, 0};
    if (process && clock_getcpuclockid(process, &clock)) run_give_up("the server has ended");
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* This process and those that it starts from now on; 0 if there is no such CPU. As batch processes
   none of them interrupts another by waking up: else the order of the deliveries would decide how
   often the CPU changes hands. */
static int bench_pin(size_t cpu)
{
    struct sched_param plain = {0};
    cpu_set_t set;
    sched_setscheduler(0, SCHED_BATCH, &plain);
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static int bench_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which that share of all values lies. It sorts them. */
static double bench_quantile(double *values, int n, double share)
{
    qsort(values, (size_t)n, sizeof *values, bench_ascending);
    return values[(int)(n * share)];
}

/* The ratio is to be at most the limit or, if that is negative, at least its opposite. */
static void bench_tell(const char *what, const char *of, double ours, double yardstick,
                       double ratio, double limit)
{
    int good = bench_lost == 0 && (limit < 0 ? ratio >= -limit : ratio <= limit);
    printf("%s, %-*s %13.3f %13.3f %7.3f  %s %.2f  %s\n", what, 62 - (int)strlen(what), of, ours,
           yardstick, ratio, limit < 0 ? ">=" : "<=", limit < 0 ? -limit : limit,
           good ? "ok" : bench_lost ? "MISSED: not all came" : "MISSED");
    fflush(stdout);
    bench_lost = 0;
    bench_missed += !good;
}

/* Both sides in turns. */
static void bench_compare(const char *what, const char *of, double (*measure)(bench_side *),
                          double limit)
{
    double value[2][BENCH_TURNS], ratio[BENCH_TURNS];
    int i;
    for (i = 0; i < BENCH_TURNS; i++) {
        value[0][i] = measure(&bench_sides[0]);
        value[1][i] = measure(&bench_sides[1]);
        ratio[i] = value[0][i] / value[1][i];
    }
    bench_tell(what, of, bench_quantile(value[0], BENCH_TURNS, 0.5),
               bench_quantile(value[1], BENCH_TURNS, 0.5), bench_quantile(ratio, BENCH_TURNS, 0.5),
               limit);
}

/* ---- Benchmark: members ---- */

/* 1 if there was a datagram. */
static int bench_read(int s, int flags)
{
    static char bytes[65536];
    ssize_t i, n = recv(bench_socket[s], bytes, sizeof bytes, flags);
    for (i = 0; i < n; i++) bench_heard += bytes[i] == '#';
    if (n >= 0) bench_got = (size_t)n;
    return n >= 0;
}

/* Reads all that waits on the sockets; 1 if anything did. */
static int bench_drain(void)
{
    int s, any = 0;
    for (s = 0; s < BENCH_SOCKETS; s++)
        while (bench_read(s, MSG_DONTWAIT)) any = 1;
    return any;
}

/* Member i asks to join its room. */
static size_t bench_request(uint8_t *out, const bench_row *of, int i)
{
    char room[16], payload[64];
    sprintf(room, "r%07d", i % of->rooms);
    sprintf(payload, bench_dialects[of->dialect].join, i,
            ntohs(bench_at[i % BENCH_SOCKETS].sin_port));
    return (size_t)ocm_frame_encode(out, 256, i < of->rooms ? OCM_CREATE : OCM_JOIN,
                                    of->dialect == TEAM_A, ocm_text(room), ocm_text(payload));
}

/* Member i says something; at first nothing, and the server knows that it is there. */
static void bench_say(bench_side *l, int i)
{
    char bytes[OCM_DATAGRAM_MAX];
    int len = sprintf(bytes, BENCH_HEAD, i % l->row.rooms, l->token[i]), id = l->said[i]++;
    if (id > 0)
        len += sprintf(bytes + len, bench_dialects[l->row.dialect].message, l->row.text - 1, 0, id);
    run_send_udp(bench_socket[i % BENCH_SOCKETS], l->udp, bytes, (size_t)len);
}

/* A server, and the row's rooms on it. A receive buffer of ours holds a fan-out to a whole room:
   what is lost there is not the server's loss. */
static void bench_open(const bench_row *of, int dialect)
{
    const run_program *server = run_begin('s', '=', "-q -r 0 -R 2000");
    unsigned tcp = 0;
    struct timeval patience = {0, 300000};
    int who[BENCH_AT_ONCE], fd[BENCH_AT_ONCE], members = of->rooms * of->size, n, i;
    int large = 4 << 20, tries = 0;
    char answer[1024], *token;
    for (i = 0; i < BENCH_SOCKETS; i++) {
        int s = bench_socket[i] = run_bind(SOCK_DGRAM);
        bench_at[i] = run_address(run_port_of(s));
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(s, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
        setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large); /* where we may */
    }
    memset(bench_ours, 0, sizeof *bench_ours);
    bench_ours->row = *of;
    bench_ours->row.dialect = dialect;
    bench_ours->pid = server->pid;
    sscanf(run_cast['s'].ports, "%u:%u", &tcp, &bench_ours->udp);
    for (n = 1; n > 0 && tries < 5000; tries++) {
        do usleep(5000); while (bench_drain());
        for (n = i = 0; i < members && n < BENCH_AT_ONCE && (n == 0 || i != of->rooms); i++) {
            size_t len = bench_request((uint8_t *)answer, &bench_ours->row, i);
            if (*bench_ours->token[i]) continue;
            fd[n] = run_connect(tcp);
            (void)!send(fd[n], answer, len, 0);
            shutdown(fd[n], SHUT_WR);
            who[n++] = i;
        }
        for (i = 0; i < n; i++) {
            ssize_t len = recv(fd[i], answer, sizeof answer, MSG_WAITALL);
            token = len > 0 ? (char *)memmem(answer, (size_t)len, "token\":\"", 8) : NULL;
            close(fd[i]);
            if (!token) continue; /* its room has too much to send, and it asks again */
            memcpy(bench_ours->token[who[i]], token + 8, OCM_TOKEN_LEN);
            bench_say(bench_ours, who[i]);
        }
    }
    for (i = 0; i < of->silent; i++) run_connect(tcp); /* open until this process ends */
    do usleep(100000); while (bench_drain());
}

/* Some messages are said in the next room, and heard there by all who are to. */
static void bench_round(bench_side *l)
{
    double ahead[BENCH_SOCKETS] = {0}; /* messages that came for later members of the socket */
    int room = l->next++ % l->row.rooms, i;
    for (i = 0; i < l->row.in_flight; i++) bench_say(l, room);
    for (i = l->row.dialect != LEVEL_1; i < l->row.size; i++) { /* at level 1 all hear it */
        int s = (room + i * l->row.rooms) % BENCH_SOCKETS;
        for (ahead[s] -= l->row.in_flight; ahead[s] < 0;) {
            double before = bench_heard;
            if (!bench_read(s, 0)) break;
            ahead[s] += bench_heard - before;
        }
        if (ahead[s] < 0) bench_lost -= (int)ahead[s];
    }
}

/* us of CPU for a message, or in larger rooms for a delivery. */
static double bench_talk(bench_side *l)
{
    int i, deliveries = l->row.size > 2 ? l->row.size - (l->row.dialect != LEVEL_1) : 1;
    double cpu;
    bench_drain();
    cpu = bench_us(l->pid);
    for (i = 0; i < l->row.turn; i += l->row.in_flight) {
        double start = bench_us(0);
        bench_round(l);
        l->delay[l->delays++] = bench_us(0) - start;
    }
    return (bench_us(l->pid) - cpu) / i / deliveries;
}

/* The yardstick is what any server must do: read a datagram, send as many bytes as a delivery has
   to as many sockets. It ends with its parent. */
static void bench_run(const bench_row *of, int dialect)
{
    static uint8_t bytes[65536];
    bench_side *yardstick = &bench_sides[1];
    const char *name = bench_dialects[dialect].name;
    int fd, i;
    bench_open(of, dialect);
    bench_ours->row.in_flight = 1;
    bench_round(bench_ours); /* sets bench_got */
    bench_ours->row.in_flight = of->in_flight;
    fd = run_bind(SOCK_DGRAM);
    *yardstick = *bench_ours;
    yardstick->row.rooms = 1;
    yardstick->udp = run_port_of(fd);
    if ((yardstick->pid = fork()) < 0) run_give_up("no process for the yardstick");
    if (yardstick->pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (yardstick->pid == 0 && recv(fd, bytes, sizeof bytes, 0) >= 0)
        for (i = dialect != LEVEL_1; i < of->size; i++)
            sendto(fd, bytes, bench_got, 0, (struct sockaddr *)&bench_at[i % BENCH_SOCKETS],
                   sizeof bench_at[0]);
    bench_compare(of->what, name, bench_talk, of->limit);
    if (of->slowest > 0) {
        double ours = bench_quantile(bench_ours->delay, bench_ours->delays, 0.999);
        double yard = bench_quantile(yardstick->delay, yardstick->delays, 0.999);
        bench_tell("us until heard, room of two, 99.9th percentile", name, ours, yard, ours / yard,
                   of->slowest);
    }
    kill(yardstick->pid, SIGKILL);
    waitpid(yardstick->pid, NULL, 0);
    run_clean();
}

/* All members speak in turn for a second, which is a turn here; returns the deliveries. */
static double bench_pour(bench_side *l)
{
    double heard = bench_heard, start = bench_us(0), at = 0;
    int burst, first = l->next;
    while (at < 1e6) {
        at = bench_us(0) - start;
        for (burst = 0; burst < 64 && l->next - first < at * l->row.turn / 1e6; burst++)
            bench_say(l, l->next++ % BENCH_MEMBERS);
        bench_drain();
        if (burst < 64) usleep(500);
    }
    do usleep(100000); while (bench_drain());
    return (bench_heard - heard) / at * 1e6;
}

/* Each member with two messages a second; then as many as the server can carry, and four times
   that, from another CPU if there is one. */
static void bench_loads(void)
{
    double heard, due, cpu;
    int i;
    bench_open(&bench_load, JSON);
    cpu = bench_us(bench_ours->pid);
    heard = bench_heard;
    for (i = 0; i < 10; i++) bench_pour(bench_ours);
    due = 9.0 * bench_ours->next;
    heard = bench_heard - heard;
    cpu = bench_us(bench_ours->pid) - cpu;
    bench_tell("deliveries", "500 rooms of 10, 10000 messages/s", heard, due, heard / due, -1);
    bench_sides[1] = bench_sides[0];
    bench_sides[1].row.turn = (int)(bench_ours->next / cpu * 1e6);
    bench_ours->row.turn = 4 * bench_sides[1].row.turn;
    if (bench_pin(1))
        bench_compare("deliveries/s, rooms of 10", "at four times what the server carries",
                      bench_pour, -0.8);
    bench_pin(0);
    run_clean();
}

/* ---- Benchmark: a registry of a million members ---- */

/* Member i asks, is answered, and hangs up. */
static void bench_enter(int i)
{
    static ocm_conn conn;
    const ocm_addr from = reg_host(0, 1);
    uint8_t bytes[256];
    ocm_io io;
    ocm_conn_open(&conn, &from, reg_now);
    ocm_conn_received(&conn, bytes, bench_request(bytes, &bench_ours->row, i), reg_now);
    ocm_conn_next(&conn, reg_g, reg_now, &io);
    if (i < BENCH_STEPS && io.status == 201) /* it ends with TOKEN"} */
        memcpy(bench_ours->token[i], io.send.ptr + io.send.len - OCM_TOKEN_LEN - 2, OCM_TOKEN_LEN);
    ocm_conn_sent(&conn, io.send.len);
    ocm_conn_close(&conn, reg_g, reg_now);
    reg_drain_unseen();
}

static char bench_hi[BENCH_STEPS][128];

/* In some rooms a member joins, the host speaks, a member expires. */
static void bench_step(int step, int members)
{
    const ocm_addr from = reg_host(0, 1);
    int i;
    if (step == 2) reg_now = 310000;
    for (i = 0; i < BENCH_STEPS && step < 2; i++) {
        uint8_t *hi = (uint8_t *)bench_hi[i];
        if (step == 0) bench_enter(members + i);
        else ocm_registry_datagram(reg_g, hi, strlen(bench_hi[i]), &from, reg_now);
    }
    reg_drain_unseen();
}

/* The instructions of each step for one member: a child takes the step, one instruction at a time,
   and then this process takes it. Members are in rooms of ten, and few of them fill the log, too;
   the one that expires and the host are there before all others. */
static void bench_count(int members, double count[3])
{
    int rooms = members / 10, step, status, i;
    REG(.rooms = (uint32_t)rooms, .members = (uint32_t)members + BENCH_STEPS, .log = 65536);
    bench_ours->row.rooms = rooms;
    for (i = 0; i < 2 * BENCH_STEPS; i++) bench_enter(i / 2 + i % 2 * rooms);
    reg_now = 20000;
    for (i = BENCH_STEPS; i < members; i++)
        if (i < rooms || i >= rooms + BENCH_STEPS) bench_enter(i);
    reg_now = 25000;
    reg_drain_unseen(); /* no room is to be probed any more */
    for (i = 0; i < BENCH_STEPS; i++)
        sprintf(bench_hi[i], BENCH_HEAD "{\"message\":\"hi\"}", i, bench_ours->token[i]);
    for (step = 0; step < 3; step++) {
        pid_t pid = fork();
        if (pid < 0) run_give_up("no process for a registry");
        if (pid == 0 && (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP))) _exit(1);
        if (pid == 0) bench_step(step, members);
        if (pid == 0) _exit(0);
        count[step] = 0;
        while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
            ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
            count[step] += 1.0 / BENCH_STEPS;
        }
        CHECK(status == 0);
        bench_step(step, members);
    }
    CHECK(reg_counts->members == (uint32_t)members);
    CHECK(reg_counts->messages == BENCH_STEPS);
    reg_end();
}

static int bench(void)
{
    static const char *const steps[] = {"join", "message to ten", "expiry"};
    struct rlimit files = {4096, 4096};
    ocm_limits many = {100000, 1000000, 0, 0, 0, 0, 0, 0}, one = {1, 1, 0, 0, 0, 0, 0, 0};
    double bytes, million[3], thousand[3];
    size_t i;
    int dialect;
    setrlimit(RLIMIT_NOFILE, &files);
    bench_pin(0);
    printf("%78s %13s %7s  %s\n", "ours", "yardstick", "ratio", "limit");
    for (i = 0; i < COUNT(bench_rows); i++)
        for (dialect = 0; dialect < 3; dialect++)
            if (bench_rows[i].dialect == ALL || bench_rows[i].dialect == dialect)
                bench_run(&bench_rows[i], dialect);
    bench_loads();
    bytes = (double)(ocm_registry_size(&many) - ocm_registry_size(&one)) / 1e6;
    bench_tell("bytes of memory per member", "1e6 in 1e5 rooms, log apart", bytes, 560, bytes / 560,
               1);
    bench_count(1000000, million);
    bench_count(1000, thousand);
    for (i = 0; i < COUNT(steps); i++)
        bench_tell("instructions, 1e6 members against 1e3", steps[i], million[i], thousand[i],
                   million[i] / thousand[i], 1.15);
    printf("%d rows missed their limits\n", bench_missed);
    return broken > 0 || bench_missed > 0;
}

#else
static int bench(void) { return puts("The benchmark needs Linux.") < 0; }
#endif

/* ---- Running ---- */

#ifdef OCM_FUZZ /* clang -fsanitize=fuzzer,address,undefined -DOCM_FUZZ test.c */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz(data, len);
    if (broken) abort();
    return 0;
}

#else

static const struct { const char *name; void (*run)(void); } tests[] = {
    UNIT_TESTS REGISTRY_TESTS, SESSION_TESTS, FUZZ_TESTS, RUN_TESTS TERMINAL_TESTS
};

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    size_t i;
    if (argc > 2) seed = strtoul(argv[2], NULL, 10);
    if (argc > 1 && strcmp(argv[1], "demo") == 0) return demo();
    if (argc > 1 && strcmp(argv[1], "table") == 0) return net_table(), 0;
    if (argc > 1 && strcmp(argv[1], "soak") == 0) return soak();
    if (argc > 1 && strcmp(argv[1], "bench") == 0) return bench();
    if (argc > 2 && strcmp(argv[1], "corpus") == 0) return fuzz_corpus(argv[2]);
    for (i = 0; i < COUNT(tests); i++) {
        if (argc > 1 && !strstr(tests[i].name, argv[1])) continue;
        broken = 0;
        row = "";
        tests[i].run();
        if (broken) printf("FAILED %s: %d checks\n", tests[i].name, broken);
        if (broken) failed++;
        else passed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

#endif

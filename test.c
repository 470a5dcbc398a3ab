/* test.c - every test of OCM. Build and run: cc -o test test.c && ./test
   ./test NAME [SEED] runs the tests whose name contains NAME, those with dice with other dice.
   ./test demo shows a conversation; ./test table measures what "Nothing lost" in README.md tells;
   ./test bench compares the server's speed with a bare loop's.
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

/* A random number: the same ones for the same seed. */
static uint32_t dice(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* ==== Text, JSON, wire: functions without state ============================================= */

static const char *repeat(char *out, char c, size_t n)
{
    memset(out, c, n);
    out[n] = 0;
    return out;
}

/* ---- Text ---- */

static void test_views(void)
{
    static const struct { const char *a, *b; int equal; } cases[] = {
        {"", "", 1}, {"a", "a", 1}, {"ab", "ac", 0}, {"ab", "bb", 0}, {"a", "ab", 0}, {"", "a", 0}};
    char out[8];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].b;
        CHECK(ocm_view_equal(ocm_text(cases[i].a), ocm_text(cases[i].b)) == cases[i].equal);
        CHECK(ocm_view_equal(ocm_text(cases[i].b), ocm_text(cases[i].a)) == cases[i].equal);
    }
    CHECK(ocm_view_equal(view(NULL, 0), ocm_text("")));
    CHECK(ocm_view_equal(view("abc", 2), view("abd", 2)));
    CHECK(sprintf(out, "%.*s%.*s", OCM_S(view("abc", 2)), OCM_S(view(NULL, 0))) == 2);
    CHECK(strcmp(out, "ab") == 0);
}

static void test_utf8(void)
{
    static const struct { const char *hex; int len; uint32_t c; } cases[] = {
        {"00", 1, 0}, {"7f", 1, 0x7F}, {"c280", 2, 0x80}, {"dfbf", 2, 0x7FF}, {"e0a080", 3, 0x800},
        {"ed9fbf", 3, 0xD7FF}, {"ee8080", 3, 0xE000}, {"efbfbf", 3, 0xFFFF}, {"4180", 1, 'A'},
        {"f0908080", 4, 0x10000}, {"f48fbfbf", 4, 0x10FFFF}, {"c2a980", 2, 0xA9}, {"", 0, 0},
        {"c2", 0, 0}, {"e2", 0, 0}, {"e0a0", 0, 0}, {"f0", 0, 0}, {"f090", 0, 0}, {"f09080", 0, 0},
        {"e28228", 0, 0}, {"e282c0", 0, 0}, {"f0902880", 0, 0}, {"f090c080", 0, 0},
        {"f0908028", 0, 0}, {"f09080c0", 0, 0}};
    uint8_t bytes[8], *p;
    size_t i, len;
    for (i = 0; i < COUNT(cases); i++) {
        uint32_t c = 0;
        row = cases[i].hex;
        len = unhex(row, bytes);
        p = copy(bytes, len);
        CHECK(ocm_utf8_decode(p, len, &c) == cases[i].len);
        CHECK(c == cases[i].c || cases[i].len == 0);
        free(p);
    }
}

/* Every pair of first bytes, by the grammar of RFC 3629, 4, before the lowest and the highest
   continuation bytes. */
static void test_utf8_grammar(void)
{
    static const struct { int from, to, second_from, second_to, len; } rules[] = {
        {0x00, 0x7F, 0x00, 0xFF, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
    int pair;
    size_t i;
    for (pair = 0; pair < 65536; pair++) {
        int first = pair >> 8, second = pair & 0xFF, len = 0;
        uint8_t low[4] = {0, 0, 0x80, 0x80}, high[4] = {0, 0, 0xBF, 0xBF};
        uint32_t c;
        low[0] = high[0] = (uint8_t)first;
        low[1] = high[1] = (uint8_t)second;
        for (i = 0; i < COUNT(rules); i++)
            if (first >= rules[i].from && first <= rules[i].to &&
                second >= rules[i].second_from && second <= rules[i].second_to)
                len = rules[i].len;
        CHECK(ocm_utf8_decode(low, sizeof low, &c) == len);
        CHECK(ocm_utf8_decode(high, sizeof high, &c) == len);
    }
}

static int valid(int (*rule)(ocm_view), const char *s, size_t len)
{
    uint8_t *p = copy(s, len);
    int result = rule(view(p, len));
    free(p);
    return result;
}

static void test_names(void)
{
    static const struct { const char *text; int room, name; } cases[] = {
        {"", 0, 0}, {"a", 1, 1}, {" ", 1, 1}, {"a b", 1, 1}, {"~", 1, 1}, {"{", 1, 1},
        {"\"\\", 1, 1}, {"\xC3\xA9", 1, 1}, {"\xF0\x9F\x98\x80", 1, 1}, {"system", 1, 0},
        {"System", 1, 1}, {"systems", 1, 1}, {"syste", 1, 1}, {"a: b", 1, 0}, {": ", 1, 0},
        {"a:b: c", 1, 0}, {"a:b", 1, 1}, {"a:", 1, 1}, {"a :b", 1, 1}, {"a\tb", 0, 0},
        {"a\nb", 0, 0}, {"\x01", 0, 0}, {"\x1F", 0, 0}, {"\x7F", 0, 0}, {"\xC2\x80", 0, 0},
        {"\xC2\x9F", 0, 0}, {"\xC2\xA0", 1, 1},
        /* U+2027 to U+202F */
        {"\xE2\x80\xA7", 1, 1}, {"\xE2\x80\xA8", 0, 0}, {"\xE2\x80\xA9", 0, 0},
        {"\xE2\x80\xAA", 0, 0}, {"\xE2\x80\xAE", 0, 0}, {"\xE2\x80\xAF", 1, 1},
        /* U+2065 to U+206A */
        {"\xE2\x81\xA5", 1, 1}, {"\xE2\x81\xA6", 0, 0}, {"\xE2\x81\xA9", 0, 0},
        {"\xE2\x81\xAA", 1, 1}, {"\xC0\xAF", 0, 0}, {"\xED\xA0\x80", 0, 0},
        {"\xF4\x90\x80\x80", 0, 0}, {"a\xC3", 0, 0}, {"\xFF", 0, 0}};
    char longest[300];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].text;
        CHECK(valid(ocm_room_valid, row, strlen(row)) == cases[i].room);
        CHECK(valid(ocm_name_valid, row, strlen(row)) == cases[i].name);
    }
    repeat(longest, 'a', 256);
    row = "length";
    CHECK(valid(ocm_room_valid, longest, 255));
    CHECK(valid(ocm_name_valid, longest, 255));
    CHECK(!valid(ocm_room_valid, longest, 256));
    CHECK(!valid(ocm_name_valid, longest, 256));
    CHECK(!valid(ocm_room_valid, "a\0b", 3));
}

static void test_message_text(void)
{
    static const struct { const char *text; int good; } cases[] = {
        {"", 1}, {"hi", 1}, {"a\tb", 1}, {"a: b", 1}, {"\"\\~", 1}, {"\xC2\xA0", 1},
        {"\xE2\x80\xA8", 1}, {"\xE2\x80\xAE", 1}, {"\xF4\x8F\xBF\xBF", 1}, {"a\nb", 0}, {"\r", 0},
        {"\x08", 0}, {"\x1B[2J", 0}, {"\x1F", 0}, {"\x7F", 0}, {"\xC2\x80", 0}, {"\xC2\x9F", 0},
        {"\xFF", 0}, {"\xC0\x80", 0}, {"\xED\xA0\x80", 0}, {"\xF4\x90\x80\x80", 0},
        {"a\xE2\x82", 0}};
    char longest[300];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].text;
        CHECK(valid(ocm_message_valid, row, strlen(row)) == cases[i].good);
    }
    CHECK(!valid(ocm_message_valid, "a\0b", 3));
    CHECK(valid(ocm_message_valid, repeat(longest, 'a', 299), 299));
}

static ocm_addr host(const char *hex, uint32_t scope, uint16_t port)
{
    ocm_addr a;
    memset(&a, 0, sizeof a);
    unhex(hex, a.ip);
    a.local[0] = (uint8_t)port;
    a.scope = scope;
    a.port = port;
    a.socket = port;
    return a;
}

#define MAPPED "00000000000000000000ffff"
#define ZERO15 "000000000000000000000000000000"
#define ZERO13 "00000000000000000000000000"

static void test_same_host(void)
{
    static const struct { const char *a, *b; uint32_t scope_a, scope_b; int same; } cases[] = {
        {MAPPED "0a000001", MAPPED "0a000001", 0, 0, 1},
        {MAPPED "0a000001", MAPPED "0a000002", 0, 0, 0},
        {MAPPED "7f000001", MAPPED "7f000001", 0, 0, 1},
        {MAPPED "7f000001", MAPPED "7fffffff", 0, 0, 1}, {MAPPED "7f000001", ZERO15 "01", 0, 0, 1},
        {MAPPED "7f000001", ZERO15 "02", 0, 0, 0}, {MAPPED "7f000001", MAPPED "7e000001", 0, 0, 0},
        {MAPPED "80000001", ZERO15 "01", 0, 0, 0},
        {"000000000000000000000000" "7f000001", MAPPED "7f000001", 0, 0, 0}, /* not mapped */
        {ZERO15 "00", ZERO15 "01", 0, 0, 0},
        /* only link-local addresses have a scope */
        {"2001" ZERO13 "01", "2001" ZERO13 "01", 1, 2, 1},
        {"fe80" ZERO13 "01", "fe80" ZERO13 "01", 1, 1, 1},
        {"fe80" ZERO13 "01", "fe80" ZERO13 "01", 1, 2, 0},
        {"febf" ZERO13 "01", "febf" ZERO13 "01", 1, 2, 0},
        {"fec0" ZERO13 "01", "fec0" ZERO13 "01", 1, 2, 1},
        {"ff80" ZERO13 "01", "ff80" ZERO13 "01", 1, 2, 1},
        {"fe80" ZERO13 "01", "fe80" ZERO13 "02", 1, 1, 0}};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        ocm_addr a = host(cases[i].a, cases[i].scope_a, 1);
        ocm_addr b = host(cases[i].b, cases[i].scope_b, 2);
        row = cases[i].b;
        CHECK(ocm_same_host(&a, &b) == cases[i].same);
        CHECK(ocm_same_host(&b, &a) == cases[i].same);
    }
}

/* Published with the algorithm: key 00 01 .. 0f, input 00 01 02 .. of each length. */
static void test_siphash(void)
{
    static const struct { size_t len; uint64_t hash; } cases[] = {
        {0, 0x726fdb47dd0e0e31u}, {1, 0x74f839c593dc67fdu}, {7, 0xab0200f58b01d137u},
        {8, 0x93f5f5799a932462u}, {9, 0x9e0082df0ba9e4b0u}, {15, 0xa129ca6149be45e5u},
        {16, 0x3f2acc7f57c29bdbu}, {63, 0x958a324ceb064572u}};
    uint8_t key[16], input[64], *p;
    size_t i;
    for (i = 0; i < 16; i++) key[i] = (uint8_t)i;
    for (i = 0; i < 64; i++) input[i] = (uint8_t)i;
    for (i = 0; i < COUNT(cases); i++) {
        p = copy(input, cases[i].len);
        CHECK(ocmi_hash(key, view(p, cases[i].len)) == cases[i].hash);
        free(p);
    }
    CHECK(ocmi_hash(key, view(NULL, 0)) == cases[0].hash);
}

/* ---- Every decoder and encoder behind one face ---- */

enum { FRAME, DATAGRAM, MESSAGE, REQUEST, OUTCOME, LISTED };

static uint8_t *lent_input, *lent_scratch; /* both of exactly the size */
static size_t lent_input_len, lent_len;
static char decoded[8192]; /* what was decoded, as text: "seq=17 id=1", "bad", "more" or "large" */
static struct {
    ocm_frame frame;
    ocm_datagram datagram;
    ocm_message message;
    ocm_request request;
    ocm_outcome outcome;
    ocm_listed listed;
} found;

static void lend_scratch(size_t len)
{
    free(lent_scratch);
    lent_scratch = (uint8_t *)allocate(len);
    lent_len = len;
}

static int inside(ocm_view v, const uint8_t *p, size_t len)
{
    return v.len <= len && v.ptr >= p && v.ptr + v.len <= p + len;
}

/* A text must lie in the input or, if there are escapes, in the scratch memory. */
static void tell_text(const char *key, ocm_view v, int even_empty)
{
    char *to = decoded + strlen(decoded);
    size_t i;
    if (v.len == 0 && !even_empty) return;
    to += sprintf(to, "%s%s=", *decoded ? " " : "", key);
    if (!CHECK(v.len == 0 || inside(v, lent_input, lent_input_len) ||
               (inside(v, lent_scratch, lent_len) && memchr(lent_input, '\\', lent_input_len))))
        return;
    for (i = 0; i < v.len; i++) *to++ = v.ptr[i] ? (char)v.ptr[i] : '@';
    *to = 0;
}

static void tell_number(const char *key, uint64_t n, int even_zero)
{
    if (n || even_zero)
        sprintf(decoded + strlen(decoded), "%s%s=%.0f", *decoded ? " " : "", key, (double)n);
}

/* 1 if there is more to tell. */
static int tell_result(int result, size_t success)
{
    CHECK(result <= 0 || (size_t)result == success);
    if (result == 0) strcpy(decoded, "more");
    else if (result < 0)
        strcpy(decoded, result == OCM_E_BAD     ? "bad"
                        : result == OCM_E_LARGE ? "large" : "unheard-of");
    return result > 0;
}

/* A frame, or a request or an outcome in one. */
static void decode_framed(int kind)
{
    const ocm_frame *f = &found.frame;
    const ocm_request *q = &found.request;
    const ocm_outcome *o = &found.outcome;
    int result = ocm_frame_decode(lent_input, lent_input_len, OCM_PAYLOAD_MAX, &found.frame);
    if (!tell_result(result, OCM_HEADER_LEN + f->room.len + f->payload.len)) return;
    lend_scratch(f->payload.len);
    if (kind == FRAME) {
        tell_number("op", (uint64_t)f->op, 1);
        tell_number("state", (uint64_t)f->state, 1);
        tell_text("room", f->room, 1);
        tell_text("payload", f->payload, 1);
    } else if (kind == REQUEST) {
        result = tell_result(ocm_request_decode(f, lent_scratch, &found.request), 1);
        CHECK(q->op == f->op);
        strcat(decoded, *decoded ? " " : "");
        strcat(decoded, q->dialect == OCM_DIALECT_JSON ? "json" :
                     q->dialect == OCM_DIALECT_TEXT ? "text" : "team A");
        if (!result) return;
        tell_text("room", q->room, 0);
        tell_text("name", q->name, 0);
        tell_text("password", q->password, 0);
        tell_text("ip", q->ip, 0);
        tell_number("port", q->port, 0);
        tell_number("level", q->level, 0);
        tell_text("token", q->token, 0);
    } else if (tell_result(ocm_outcome_decode(f, lent_scratch, &found.outcome), 1)) {
        tell_number("status", (uint64_t)o->status, 1);
        tell_text("why", o->why, 0);
        tell_text("token", o->token, 0);
        tell_number("level", o->level, 0);
        tell_number("idle", o->idle, 0);
        tell_number("seq", o->seq, 0);
        tell_number("log", o->log, 0);
    }
}

/* Into `found` and `told`; what `found` points to stays valid until the next call. */
static void decode(int kind, const void *p, size_t len)
{
    const ocm_datagram *d = &found.datagram;
    const ocm_message *m = &found.message;
    const ocm_listed *l = &found.listed;
    free(lent_input);
    lent_input = copy(p, len);
    lent_input_len = len;
    lend_scratch(len);
    memset(&found, 0xA5, sizeof found); /* so that nothing is right by chance */
    *decoded = 0;
    if (kind == DATAGRAM) {
        if (!tell_result(ocm_datagram_decode(lent_input, len, &found.datagram), len)) return;
        tell_text("room", d->room, 1);
        tell_text("token", d->token, 1);
        tell_text("payload", d->payload, 1);
    } else if (kind == MESSAGE) {
        int good = ocm_message_decode(view(lent_input, len), lent_scratch, &found.message);
        if (!tell_result(good, 1)) return;
        CHECK(m->has < 256);
        tell_text("sender", m->sender, m->has & OCM_HAS_SENDER);
        tell_number("operation", m->operation, m->has & OCM_HAS_OPERATION);
        tell_text("username", m->username, m->has & OCM_HAS_USERNAME);
        tell_text("reason", m->reason, m->has & OCM_HAS_REASON);
        tell_text("message", m->text, m->has & OCM_HAS_TEXT);
        tell_number("seq", m->seq, m->has & OCM_HAS_SEQ);
        tell_number("first", m->first, m->has & OCM_HAS_FIRST);
        tell_number("id", m->id, m->has & OCM_HAS_ID);
    } else if (kind == LISTED) {
        if (!tell_result(ocm_listed_decode(view(lent_input, len), lent_scratch, &found.listed), 1))
            return;
        tell_text("room", l->room, 0);
        tell_text("username", l->username, 0);
        tell_number("size", l->size, 0);
        tell_number("password", (uint64_t)l->password, 0);
        tell_number("host", (uint64_t)l->host, 0);
        tell_number("more", (uint64_t)l->more, 0);
    } else {
        decode_framed(kind);
    }
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

/* The bytes of a text; ' stands for ", to keep JSON legible here. */
static size_t text_bytes(uint8_t *out, const char *text)
{
    size_t n;
    for (n = 0; text[n]; n++) out[n] = (uint8_t)(text[n] == '\'' ? '"' : text[n]);
    return n;
}

static size_t frame_bytes(uint8_t *out, int op, int state, const char *room, const char *payload)
{
    size_t room_len = text_bytes(out + OCM_HEADER_LEN, room);
    size_t len = text_bytes(out + OCM_HEADER_LEN + room_len, payload);
    memset(out, 0, OCM_HEADER_LEN);
    out[0] = (uint8_t)room_len;
    out[1] = (uint8_t)op;
    out[2] = (uint8_t)state;
    out[30] = (uint8_t)(len >> 8);
    out[31] = (uint8_t)len;
    return OCM_HEADER_LEN + room_len + len;
}

/* 1 if the text, or the frame of which it is the payload, means that. */
static int means(int kind, const char *text, const char *meaning)
{
    static uint8_t bytes[OCM_FRAME_MAX];
    int framed = kind == REQUEST || kind == OUTCOME;
    row = text;
    decode(kind, bytes, framed ? frame_bytes(bytes, 2, 0, "r", text) : text_bytes(bytes, text));
    return strcmp(decoded, meaning) == 0;
}

/* ---- Vectors: input, what it means, and the same bytes again ---- */

#define ZERO25 "00000000000000000000000000000000000000000000000000"

typedef struct vector {
    int kind;
    const char *hex, *text, *means; /* the input: bytes in hex, followed by text */
    int exact;                      /* 1: encoding it again makes the same bytes */
} vector;

static const vector vectors[] = {
    {FRAME, "050100" ZERO25 "00000005" "6c6f626279" "616c696365", "",
     "op=1 state=0 room=lobby payload=alice", 1},
    {FRAME, "000300" ZERO25 "00000002", "{}", "op=3 state=0 room= payload={}", 1},
    {FRAME, "000201" ZERO25 "00000001" "c8", "", "op=2 state=1 room= payload=\xC8", 1},
    {FRAME, "010202" ZERO25 "00000000" "61", "", "op=2 state=2 room=a payload=", 1},
    {FRAME, "00ffff" ZERO25 "00000000", "", "op=255 state=255 room= payload=", 1},
    {DATAGRAM, "0504" "6c6f626279" "30313233" "6869", "", "room=lobby token=0123 payload=hi", 1},
    {DATAGRAM, "0000", "", "room= token= payload=", 1},
    {DATAGRAM, "0000", "{'id':1}", "room= token= payload={\"id\":1}", 1},
    {DATAGRAM, "0100", "a", "room=a token= payload=", 1},
    {DATAGRAM, "0001", "a", "room= token=a payload=", 1},
    {MESSAGE, "", "{'message':'hi !~','id':1}", "message=hi !~ id=1", 1},
    {MESSAGE, "", "{'sender':'bob','message':'hi','seq':17}", "sender=bob message=hi seq=17", 1},
    {MESSAGE, "", "{'sender':'system','operation':6,'seq':0,'first':1,'id':0}",
     "sender=system operation=6 seq=0 first=1 id=0", 1},
    {MESSAGE, "", "{'sender':'system','operation':3,'username':'al','reason':'host','message':''}",
     "sender=system operation=3 username=al reason=host message=", 1},
    {MESSAGE, "", "{'message':'\\'\\\\\\t/\xC3\xA9\x7F','seq':9007199254740991}",
     "message=\"\\\t/\xC3\xA9\x7F seq=9007199254740991", 1},
    {MESSAGE, "", "{'message':'x\\u0000\\u0001\\u000a\\u001f\\''}", "message=x@\x01\n\x1F\"", 1},
    {MESSAGE, "", "{}", "", 1},
    {MESSAGE, "", "{'sender':'al\\u00efce','message':'\\ud83d\\ude00\\n','id':10}",
     "sender=al\xC3\xAF" "ce message=\xF0\x9F\x98\x80\n id=10", 0},
    {MESSAGE, "", "{'a':[true,{'b':[0.5e-3,'\\\\']}],'operation':6}", "operation=6", 0},
    {REQUEST, "050200" ZERO25 "00000005", "lobbyalice", "text room=lobby name=alice", 1},
    {REQUEST, "050101" ZERO25 "00000005", "lobbyal'{e", "team A room=lobby name=al\"{e", 1},
    {REQUEST, "050200" ZERO25 "00000079",
     "lobby{'username':'al\\'i','password':'p\\\\\\u0001\\u001f','ip':'10.0.0.1',"
     "'port':4000,'ocm':1,'token':'0123456789abcdef012345678'}",
     "json room=lobby name=al\"i password=p\\\x01\x1F ip=10.0.0.1 port=4000 level=1 "
     "token=0123456789abcdef012345678", 1},
    {REQUEST, "000300" ZERO25 "00000002", "{}", "json", 1},
    {REQUEST, "000302" ZERO25 "00000019", "{'a':[{'b':-1.5e3},null]}", "json", 0},
    {OUTCOME, "000202" ZERO25 "0000004d",
     "{'status':201,'message':'\\u006f\\ud83d\\ude00','token':'\\u0061b','seq':1700}   ",
     "status=201 why=o\xF0\x9F\x98\x80 token=ab seq=1700", 0},
    {OUTCOME, "050102" ZERO25 "00000009", "lobbyerror: no", "status=400 why=no", 0},
    {LISTED, "", "{'room':'l\\u00f6','size':12,'password_required':true}",
     "room=l\xC3\xB6 size=12 password=1", 0},
    {LISTED, "", "{'username':'b','host':false,'more':true}", "username=b more=1", 0}};

static size_t vector_bytes(const vector *v, uint8_t *out)
{
    size_t n = unhex(v->hex, out);
    row = *v->text ? v->text : v->hex;
    return n + text_bytes(out + n, v->text);
}

static void test_vectors(void)
{
    uint8_t bytes[512], out[512];
    size_t i, len;
    for (i = 0; i < COUNT(vectors); i++) {
        len = vector_bytes(&vectors[i], bytes);
        decode(vectors[i].kind, bytes, len);
        CHECK(strcmp(decoded, vectors[i].means) == 0);
        if (!vectors[i].exact) continue;
        memset(out, '\n', sizeof out); /* what was there before does not matter */
        CHECK(encode(vectors[i].kind, out, sizeof out) == (int)len);
        CHECK(memcmp(out, bytes, len) == 0);
    }
    row = "the largest number of all";
    found.message.has = OCM_HAS_SEQ;
    found.message.seq = UINT64_MAX;
    CHECK(encode(MESSAGE, out, sizeof out) == 28);
    CHECK(memcmp(out, "{\"seq\":18446744073709551615}", 28) == 0);
}

static void test_every_prefix(void)
{
    uint8_t bytes[512];
    size_t i, n;
    for (i = 0; i < COUNT(vectors); i++) {
        int kind = vectors[i].kind;
        size_t len = vector_bytes(&vectors[i], bytes);
        size_t whole = kind == DATAGRAM ? 2u + bytes[0] + bytes[1] : len;
        int framed = kind == FRAME || kind == REQUEST || kind == OUTCOME;
        for (n = 0; n < len; n++) {
            decode(kind, bytes, n);
            CHECK((strcmp(decoded, framed ? "more" : "bad") == 0) == (n < whole));
        }
    }
}

/* What is still accepted then means the same when it is encoded and decoded once more. */
static void test_every_bit_flip(void)
{
    static char before[sizeof decoded];
    uint8_t bytes[512], out[4096];
    size_t i, len, bit;
    int n;
    for (i = 0; i < COUNT(vectors); i++) {
        int kind = vectors[i].kind;
        len = vector_bytes(&vectors[i], bytes);
        for (bit = 0; bit < 8 * len; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            decode(kind, bytes, len);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (kind >= OUTCOME || !strchr(decoded, '=')) continue; /* no encoder, or refused */
            strcpy(before, decoded);
            n = encode(kind, out, sizeof out);
            if (!CHECK(n > 0)) continue;
            decode(kind, out, (size_t)n);
            CHECK(strcmp(decoded, before) == 0);
        }
    }
}

static void test_encoders_need_space(void)
{
    uint8_t bytes[512], whole[512], *p;
    size_t i, cap, k, len, touched;
    for (i = 0; i < COUNT(vectors); i++) {
        int kind = vectors[i].kind;
        if (kind >= OUTCOME) continue;
        decode(kind, bytes, vector_bytes(&vectors[i], bytes));
        len = (size_t)encode(kind, whole, sizeof whole);
        for (cap = 0; cap <= len; cap++) {
            p = (uint8_t *)allocate(cap + 16);
            memset(p, 0xA5, cap + 16);
            CHECK(encode(kind, p, cap) == (cap == len ? (int)len : OCM_E_SPACE));
            for (k = touched = 0; k < 16; k++) touched += p[cap + k] != 0xA5;
            CHECK(touched == 0);
            CHECK(cap < len || memcmp(p, whole, len) == 0);
            free(p);
        }
    }
}

/* ---- JSON ---- */

static void test_json_accepts(void)
{
    static const char *const cases[] = {
        "{}", " { } ", "\t\r\n{\t\r\n}\t\r\n", "{'message':'hi'}",
        "{ 'message' : 'hi' , 'seq' : 1 }", "{'a':null,'b':true,'c':false}", "{'a':[]}", "{'a':{}}",
        "{'a':[ ]}", "{'a':{ }}", "{'':1}", "{'a':[ 1 , [ ] , { 'b' : 2 } ] }",
        "{'a':[0,-0,1,-1,9,1.0,0.5,1e3,1E3,1e+3,1e-3,-0.0e1,1.5E+10]}",
        "{'a':123456789012345678901234567890}", "{'a':1e999}", "{'a':1.09e19}",
        "{'a':{'b':[{'c':'d'},[[]]]}}", "{'a':1,'a':'x'}",
        "{'a':'\\'\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u00E9\\u0000'}", "{'a':'\\uD83D\\uDE00'}",
        "{'a':'\\uD800\\uDC00\\uDBFF\\uDFFF\\ud7ff\\ue000'}", "{'a':'\x7F'}",
        "{'\xC3\xA9':'\xF0\x9F\x98\x80'}", "{'\\u0061':['\\ud83d\\ude00']}",
        "{'a':'\\u09af\\uAFaf'}", "{'a':1,'b':{'c':2,'d':3},'e':[4,5]}"};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) CHECK(!means(MESSAGE, cases[i], "bad"));
}

static void test_json_refuses(void)
{
    static const char *const cases[] = {
        /* the object */
        "", " ", "[]", "'x'", "null", "1", "{", "}", "{}}", "{}x", "{}{}", "{},", "{,}", "{'a'}",
        "{'a':}", "{'a':1,}", "{,'a':1}", "{'a':1 'b':2}", "{'a' 1}", "{a:1}", "{1:1}", "{null:1}",
        "{'a':1", "['a':1]", "{'a',1}", "{'a':1:'b':2}", "{'a':1]", "\xEF\xBB\xBF{}", "{/**/}",
        "{}//", "{\f}", "{\v}", "{\xC2\xA0}",
        /* arrays and objects in it */
        "{'a':[1}", "{'a':[}", "{'a':[1,]}", "{'a':[,1]}", "{'a':[1 2]}", "{'a':{]}", "{'a':{'b'}}",
        "{'a':{b:1}}", "{'a':{'b':1,}}", "{'a':{'b' 1}}", "{'a':{'b':}}", "{'a':{'b':1]}",
        "{'a':[1:2]}", "{'a':{'b':1 'c':2}}", "{'a':{'b'}", "{'a':{'b':1}", "{'a':{}", "{'a':[1,}",
        /* numbers and words */
        "{'a':01}", "{'a':-}", "{'a':-01}", "{'a':00}", "{'a':+1}", "{'a':.5}", "{'a':1.}",
        "{'a':1.e3}", "{'a':1e}", "{'a':1e+}", "{'a':0x1}", "{'a':--1}", "{'a':1.2.3}", "{'a':1/}",
        "{'a':1:}", "{'a':-:}", "{'a':-/}", "{'a':1e+-1}", "{'a':1e1.5}", "{'a':NaN}",
        "{'a':Infinity}", "{'a':-Infinity}", "{'a':tru}", "{'a':True}", "{'a':nul}", "{'a':truex}",
        "{'a':nullnull}", "{'a':fals}", "{'a':falsee}", "{'a':x}",
        /* strings */
        "{'a':'\\x'}", "{'a':'\\u12'}", "{'a':'\\u12G4'}", "{'a':'\\u123g'}", "{'a':'\\u/000'}",
        "{'a':'\\u:000'}", "{'a':'\\u@000'}", "{'a':'\\u`000'}", "{'a':'\\U0041'}", "{'a':'\\",
        "{'a':'\\u", "{'a':'\\u0041", "{'a':'\\'}", "{'a':'", "{'a", "{'a':'b}", "{'a':'\n'}",
        "{'a':'\t'}", "{'a':'\x1F'}", "{'a\nb':1}", "{'a':'\xFF'}", "{'\xFF':1}",
        "{'a':'\xC0\x80'}", "{'a':'\xED\xA0\x80'}", "{'a':'\xF4\x90\x80\x80'}", "{'a':'\xC3'}",
        /* surrogates without the other half */
        "{'a':'\\uD800'}", "{'a':'\\uDC00'}", "{'a':'\\uDFFF'}", "{'a':'\\uDBFF'}",
        "{'a':'\\uDC00\\uDC00'}", "{'a':'\\uD800xuDC00'}", "{'a':'\\uD800\\nDC00'}",
        "{'a':'\\uD800abDC00'}", "{'a':'\\uD800\\uD800'}", "{'a':'\\uD800x'}", "{'a':'\\uD800\\n'}",
        "{'a':'\\uD800\\u0041'}", "{'a':'\\uDE00\\uD83D'}", "{'a':'\\uD800\\uDBFF'}",
        "{'a':'\\uD800\\uE000'}", "{'a':'\\uD800\\uDC0'}", "{'a':'\\uD800\\uDC0g'}",
        "{'\\uD800':1}", "{'a':'\\uD800\\", "{'a':'\\uD800\\u"};
    static const struct { const char *json; size_t len; } raw[] = {
        {"{}\0", 3}, {"\0{}", 3}, {"{\"a\":\"\0\"}", 9}, {"{\"a\":\"\\\0\"}", 10},
        {"{\"a\":\0}", 7}, {"{\"a\":\"\\u\0" "000\"}", 14}, {"{'a':1}", 7},
        {"{\"a\":\"\\'\"}", 10}};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) CHECK(means(MESSAGE, cases[i], "bad"));
    for (i = 0; i < COUNT(raw); i++) {
        row = raw[i].json;
        decode(MESSAGE, raw[i].json, raw[i].len);
        CHECK(strcmp(decoded, "bad") == 0);
    }
    CHECK(ocm_message_decode(view(NULL, 0), NULL, &found.message) == OCM_E_BAD);
}

/* The value of an unknown key may have 32 levels, and no more. */
static void test_json_depth(void)
{
    static const char *const open[] = {"[", "{'b':", "[1,"}, *const close[] = {"]", "}", "]"};
    char json[1024];
    int depth, i;
    size_t k;
    for (k = 0; k < COUNT(open); k++)
        for (depth = 30; depth <= 100; depth++) {
            strcpy(json, "{'a':");
            for (i = 1; i < depth; i++) strcat(json, open[k]);
            strcat(json, "[]");
            for (i = 1; i < depth; i++) strcat(json, close[k]);
            strcat(json, "}");
            CHECK(means(MESSAGE, json, depth <= 32 ? "" : "bad"));
        }
    row = "";
}

static void test_json_values(void)
{
    static const struct { const char *json, *means; } cases[] = {
        {"{'message':'a','message':'b'}", "message=b"},
        {"{'message':'\\u0061','sender':'\\u0062','message':'\\u0063'}", "sender=b message=c"},
        {"{'message':'\\u0061aaaaaaaa','message':'b'}", "message=b"},
        {"{'message':'\\'\\\\\\/\\b\\f\\n\\r\\t'}", "message=\"\\/\b\f\n\r\t"},
        {"{'message':'\\u00e9\\u20AC\\uD83D\\uDE00\\uDBFF\\uDFFF'}",
         "message=\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF"},
        {"{'message':'\\u007F\\u0080\\u07FF\\u0800\\uFFFF\\uD800\\uDC00'}",
         "message=\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80"},
        {"{'message':'\\u1234\\uabcd\\uABCD\\u9F0f'}",
         "message=\xE1\x88\xB4\xEA\xAF\x8D\xEA\xAF\x8D\xE9\xBC\x8F"},
        {"{'\\u006dessage':'x','us\\u0065rname':'y'}", "username=y message=x"},
        {"{'\\u006d\\u0065\\u0073\\u0073\\u0061\\u0067\\u0065':'x'}", "message=x"},
        {"{'\\u006f\\u0070\\u0065\\u0072\\u0061\\u0074\\u0069\\u006f\\u006e':5}", "operation=5"},
        {"{'\\u0073\\u0065\\u0071\\u0071':5,'\\u0073\\u0065':6,'\\u0000seq':7}", ""},
        {"{'Message':'x','messages':'x','messag':'x','':'x','count':3,'text':0}", ""},
        {"{'message':''}", "message="}, {"{'seq':0}", "seq=0"}, {"{'seq':10}", "seq=10"},
        {"{'seq': 7 }", "seq=7"}, {"{'seq':18,'seq':20}", "seq=20"},
        {"{'seq':9007199254740991}", "seq=9007199254740991"},
        {"{'seq':1234567890123456}", "seq=1234567890123456"}, {"{'seq':9007199254740992}", "bad"},
        {"{'seq':10000000000000000}", "bad"}, {"{'seq':18446744073709551617}", "bad"},
        {"{'seq':99999999999999999999999}", "bad"}, {"{'seq':36893488147419103233}", "bad"},
        {"{'seq':1.0}", "bad"}, {"{'seq':1e3}", "bad"}, {"{'seq':1E3}", "bad"},
        {"{'seq':-0}", "bad"}, {"{'seq':01}", "bad"}, {"{'seq':}", "bad"}, {"{'seq':", "bad"},
        {"{'seq':1,'seq':'x'}", "bad"}, {"{'seq':'x','seq':1}", "bad"},
        {"{'message':1,'message':'a'}", "bad"}};
    char json[1024], key[400];
    size_t i, len;
    for (i = 0; i < COUNT(cases); i++) CHECK(means(MESSAGE, cases[i].json, cases[i].means));
    for (len = 1; len < sizeof key; len++) { /* an unknown key of any length, with an escape */
        sprintf(json, "{'%s\\n':'%s'}", repeat(key, 'k', len), key);
        CHECK(means(MESSAGE, json, ""));
    }
    row = "";
}

/* A known key takes a value of its own type and of no other. */
static void test_known_keys(void)
{
    static const char *const values[] = {
        "'x'", "2000", "true", "null", "[]", "{}", "['x']", "1.5", "-1", "nul", "tru", "fals", ""};
    static const struct { int kind; const char *before, *keys[3]; } cases[] = {
        {MESSAGE, "", {"sender username reason message", "operation seq first id", ""}},
        {REQUEST, "'username':'a',", {"username password token ip", "port ocm", ""}},
        {OUTCOME, "'status':200,'token':'t',",
         {"message token user_token", "ocm idle seq log", ""}},
        {OUTCOME, "'status':404,", {"message", "", ""}},
        {LISTED, "", {"room username", "size", "password_required host more"}}};
    char json[256], keys[64], *key;
    size_t i, k, type;
    for (i = 0; i < COUNT(cases); i++)
        for (type = 0; type < 3; type++) {
            strcpy(keys, cases[i].keys[type]);
            for (key = strtok(keys, " "); key; key = strtok(NULL, " "))
                for (k = 0; k < COUNT(values); k++) {
                    sprintf(json, "{%s'%s':%s}", cases[i].before, key, values[k]);
                    means(cases[i].kind, json, "");
                    CHECK((strncmp(decoded, "bad", 3) == 0) == (k != type));
                }
        }
    row = "";
}

/* ---- Wire ---- */

static void test_frame_lengths(void)
{
    static const struct { const char *length; int request, list; } cases[] = { /* 29 bytes */
        {ZERO25 "00001000", 0, 0}, {ZERO25 "00001001", OCM_E_LARGE, 0},
        {ZERO25 "00010000", OCM_E_LARGE, 0}, {ZERO25 "00010001", OCM_E_LARGE, OCM_E_LARGE},
        {ZERO25 "20000000", OCM_E_LARGE, OCM_E_LARGE},
        {ZERO25 "ffffffff", OCM_E_LARGE, OCM_E_LARGE},
        {"0000000000000000000000000000000000000000" "010000000000000001", OCM_E_LARGE, OCM_E_LARGE},
        {"01000000000000000000000000000000000000000000000000" "00000001", OCM_E_LARGE, OCM_E_LARGE},
        {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", OCM_E_LARGE, OCM_E_LARGE}};
    uint8_t header[OCM_HEADER_LEN] = {9, 2, 1}, *p;
    ocm_frame f;
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].length;
        unhex(row, header + 3);
        p = copy(header, sizeof header);
        memset(&f, 0, sizeof f);
        CHECK(ocm_frame_decode(p, sizeof header, OCM_PAYLOAD_MAX, &f) == cases[i].request);
        CHECK(cases[i].request == 0 || f.op == 2);
        CHECK(cases[i].request == 0 || f.state == 1);
        CHECK(ocm_frame_decode(p, sizeof header, OCM_LIST_MAX, &f) == cases[i].list);
        free(p);
        p = copy(header, sizeof header - 1);
        CHECK(ocm_frame_decode(p, sizeof header - 1, OCM_PAYLOAD_MAX, &f) == 0);
        free(p);
    }
    memset(header, 0, sizeof header);
    CHECK(ocm_frame_decode(header, sizeof header, 0, &f) == OCM_HEADER_LEN);
}

/* A whole frame is taken, the largest one, too, and what follows it is left. The length of the
   largest list takes three bytes. */
static void test_frame_sizes(void)
{
    static uint8_t bytes[2 * OCM_FRAME_MAX], list[OCM_ANSWER_MAX];
    static char payload[OCM_LIST_MAX + 1], room[OCM_NAME_MAX + 1];
    ocm_frame f;
    size_t len;
    uint8_t *p;
    memset(&f, 0, sizeof f);
    repeat(payload, 'p', OCM_PAYLOAD_MAX);
    repeat(room, 'r', OCM_NAME_MAX);
    len = frame_bytes(bytes, 1, 0, room, payload);
    CHECK(len == OCM_FRAME_MAX);
    len += frame_bytes(bytes + len, 2, 1, "b", "x");
    p = copy(bytes, len);
    CHECK(ocm_frame_decode(p, len, OCM_PAYLOAD_MAX, &f) == OCM_FRAME_MAX);
    CHECK(is(f.room, room));
    CHECK(is(f.payload, payload));
    CHECK(ocm_frame_encode(bytes, OCM_FRAME_MAX, 1, 0, f.room, f.payload) == OCM_FRAME_MAX);
    CHECK(memcmp(bytes, p, OCM_FRAME_MAX) == 0);
    CHECK(ocm_frame_decode(p + OCM_FRAME_MAX, len - OCM_FRAME_MAX, OCM_PAYLOAD_MAX, &f) == 34);
    CHECK(f.op == 2);
    CHECK(is(f.room, "b"));
    CHECK(is(f.payload, "x"));
    free(p);
    f.payload = ocm_text(repeat(payload, 'l', OCM_LIST_MAX));
    CHECK(ocm_frame_encode(list, sizeof list, 3, 2, view(NULL, 0), f.payload) == OCM_ANSWER_MAX);
    CHECK(memcmp(list + 28, "\0\1\0\0l", 5) == 0);
    CHECK(ocm_frame_decode(list, sizeof list, OCM_LIST_MAX, &f) == OCM_ANSWER_MAX);
    CHECK(is(f.payload, payload));
}

/* No datagram of more than 4096 bytes is ever made, whatever memory there is. */
static void test_datagram_limit(void)
{
    static uint8_t out[2 * OCM_DATAGRAM_MAX];
    static char name[OCM_NAME_MAX + 1], text[OCM_DATAGRAM_MAX + 1];
    ocm_view room = ocm_text(repeat(name, 'n', OCM_NAME_MAX));
    ocm_datagram d;
    repeat(text, 'x', OCM_DATAGRAM_MAX - 2 - 255 - 255);
    CHECK(ocm_datagram_encode(out, sizeof out, room, room, ocm_text(text)) == OCM_DATAGRAM_MAX);
    CHECK(ocm_datagram_decode(out, OCM_DATAGRAM_MAX, &d) == OCM_DATAGRAM_MAX);
    CHECK(is(d.token, name));
    CHECK(is(d.payload, text));
    strcat(text, "x");
    CHECK(ocm_datagram_encode(out, sizeof out, room, room, ocm_text(text)) == OCM_E_SPACE);
}

/* OCM_TEXT_MAX bytes fit the largest datagram even with the largest numbers and a newline. */
static void test_longest_entry_fits(void)
{
    static uint8_t json[OCM_DATAGRAM_MAX], out[OCM_DATAGRAM_MAX];
    static char text[OCM_TEXT_MAX + 1];
    ocm_message m;
    int len;
    memset(&m, 0, sizeof m);
    m.has = OCM_HAS_SENDER | OCM_HAS_TEXT | OCM_HAS_SEQ | OCM_HAS_ID;
    m.sender = ocm_text("\"");
    m.text = ocm_text(repeat(text, '\\', (OCM_TEXT_MAX - 4) / 2));
    m.seq = m.id = OCM_INTEGER_MAX;
    len = ocm_message_encode(json, sizeof json - 1, &m);
    if (!CHECK(len > OCM_TEXT_MAX - 2)) return;
    json[len++] = '\n';
    CHECK(ocm_datagram_encode(out, sizeof out, ocm_text("ro"),
                              ocm_text("0123456789abcdef0123456789abcdef"),
                              view(json, (size_t)len)) > len);
}

static void test_requests(void)
{
    static const struct { int op, state; const char *room, *payload, *means; } cases[] = {
        {1, 0, "r", "{'username':'a'}", "json room=r name=a"},
        {2, 2, "r", "{'username':'a'}", "json room=r name=a"},
        {2, 0, "r", "{'username':'\\u00e9','password':''}", "json room=r name=\xC3\xA9"},
        {2, 0, "r", "{'username':'a','port':1024}", "json room=r name=a port=1024"},
        {2, 0, "r", "{'username':'a','port':65535}", "json room=r name=a port=65535"},
        {2, 0, "r", "{'username':'a','port':1,'port':2000}", "json room=r name=a port=2000"},
        {2, 0, "r", "{'username':'','username':'a','ocm':0,'token':''}", "json room=r name=a"},
        {2, 0, "r", "{'username':'a','ocm':3,'x':[[{}]],'ip':'anything'}",
         "json room=r name=a ip=anything level=3"},
        {3, 0, "", "{}", "json"}, {3, 2, "", "{}", "json"}, {3, 0, "r", "{'x':[1]}", "json room=r"},
        {3, 0, "r", "{'password':'p'}", "json room=r password=p"},
        {1, 0, "r", "a", "text room=r name=a"}, {2, 0, "r", " {", "text room=r name= {"},
        {2, 0, "r", "[]", "text room=r name=[]"}, {1, 1, "r", "a", "team A room=r name=a"},
        {2, 2, "r", "a", "team A room=r name=a"}, {1, 1, "r", "{}", "team A room=r name={}"},
        /* the dialect is known even so: the refusal must be in it */
        {1, 0, "r", "", "bad text"}, {1, 1, "r", "", "bad team A"}, {1, 2, "r", "", "bad team A"},
        {1, 0, "", "a", "bad text"}, {1, 0, "a\n", "a", "bad text"},
        {1, 0, "r", "a: b", "bad text"}, {1, 0, "", "{'username':'a'}", "bad json"},
        {1, 1, "r", "system", "bad team A"}, {3, 0, "", "a", "bad text"},
        {3, 1, "", "{}", "bad team A"}, {3, 0, "a\n", "{}", "bad json"},
        {3, 0, "", "{", "bad json"}, {0, 0, "r", "a", "bad text"}, {4, 0, "r", "a", "bad text"},
        {255, 0, "r", "{'username':'a'}", "bad json"}, {0, 0, "r", "{'username':'a'}", "bad json"},
        {1, 3, "r", "{'username':'a'}", "bad json"}, {1, 3, "r", "a", "bad team A"},
        {1, 255, "r", "a", "bad team A"}, {2, 0, "r", "{}", "bad json"},
        {2, 0, "r", "{'username':''}", "bad json"},
        {2, 0, "r", "{'username':'a','username':''}", "bad json"},
        {2, 0, "r", "{'username':'a','port':1023}", "bad json"},
        {2, 0, "r", "{'username':'a','port':65536}", "bad json"},
        {2, 0, "r", "{'username':'a','port':0}", "bad json"},
        {2, 0, "r", "{'username':'a'}x", "bad json"}, {2, 0, "r", "{'username':'a", "bad json"},
        {2, 0, "r", "{'username':'\\u0000'}", "bad json"},
        {2, 0, "r", "{'username':'system'}", "bad json"},
        {2, 0, "r", "{'username':'a: b'}", "bad json"}};
    uint8_t bytes[256];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].payload;
        decode(REQUEST, bytes,
               frame_bytes(bytes, cases[i].op, cases[i].state, cases[i].room, row));
        CHECK(strcmp(decoded, cases[i].means) == 0);
    }
}

/* The longest request that a session makes fits, escapes and all; a longer one than any server
   takes is not made. A password is taken up to the same length. */
static void test_request_limits(void)
{
    static uint8_t out[2 * OCM_FRAME_MAX];
    static char name[OCM_NAME_MAX + 1], password[OCM_NAME_MAX + 2], text[OCM_PAYLOAD_MAX + 1];
    ocm_request q;
    int len;
    memset(&q, 0, sizeof q);
    q.op = OCM_JOIN;
    q.room = q.name = ocm_text(repeat(name, '!', OCM_NAME_MAX));
    q.password = ocm_text(repeat(password, '\x1F', OCM_NAME_MAX));
    q.token = ocm_text(repeat(text, '"', OCM_TOKEN_MAX));
    q.ip = ocm_text("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255");
    q.port = 65535;
    q.level = 1;
    len = ocm_request_encode(out, sizeof out, &q);
    if (!CHECK(len > 0)) return;
    decode(REQUEST, out, (size_t)len);
    CHECK(strncmp(decoded, "json ", 5) == 0);
    CHECK(is(found.request.name, name));
    CHECK(is(found.request.password, password));
    CHECK(is(found.request.token, text));
    q.password = ocm_text(repeat(password, 'p', OCM_NAME_MAX + 1));
    decode(REQUEST, out, (size_t)ocm_request_encode(out, sizeof out, &q));
    CHECK(strcmp(decoded, "bad json") == 0);
    q.ip = ocm_text(repeat(text, '0', OCM_PAYLOAD_MAX));
    CHECK(ocm_request_encode(out, sizeof out, &q) == OCM_E_SPACE);
}

static void test_outcome_payloads(void)
{
    static const struct { const char *json, *means; } cases[] = {
        {"{'status':201,'message':'ok','token':'abc'}", "status=201 why=ok token=abc"},
        {"{'status':200,'message':'ok','token':'abc','ocm':1,'idle':300,'seq':17,'log':4711}",
         "status=200 why=ok token=abc level=1 idle=300 seq=17 log=4711"},
        {"{'status':200,'message':'\\u0061aaaaaaaaa','message':'\\u0062b',"
         "'token':'\\u0063ccccccccccccccc'}", "status=200 why=bb token=cccccccccccccccc"},
        {"{'status':200,'token':'x'}", "status=200 token=x"},
        {"{'status':404,'message':'no such room'}", "status=404 why=no such room"},
        {"{'status':401,'message':'no','token':null}", "status=401 why=no"},
        {"{'status':503}", "status=503"}, {"{'status':599}", "status=599"},
        {"{'status':300,'token':null}", "status=300"},
        {"{'status':299,'token':'t'}", "status=299 token=t"},
        {"{'status_code':200,'user_token':'abc'}", "status=200 token=abc"},
        {"{'status_code':404,'user_token':null}", "status=404"},
        {"{'\\u0073\\u0074\\u0061\\u0074\\u0075\\u0073\\u005f\\u0063\\u006f\\u0064\\u0065':404}",
         "status=404"},
        {"0123456789abcdef0123456789abcdef", "status=200 token=0123456789abcdef0123456789abcdef"},
        {"x", "status=200 token=x"}, {"error:", "status=200 token=error:"},
        {"error: ", "status=400"}, {"error: no such room", "status=400 why=no such room"},
        {"", "bad"}, {"{}", "bad"}, {"{'status':200", "bad"}, {"{'status':404", "bad"},
        {"{'status':200,'message':'ok'}", "bad"}, {"{'status':200,'token':''}", "bad"},
        {"{'status':'200','token':'a'}", "bad"}, {"{'status':404.0}", "bad"},
        {"{'status_code':null}", "bad"}, {"{'status':199,'token':'a'}", "bad"},
        {"{'status':600}", "bad"}, {"{'status':299}", "bad"}, {"{'status':4294967696}", "bad"},
        {"{'status':200,'token':null}", "bad"}, {"{'token':'a'}", "bad"}};
    char token[300], json[400];
    size_t i, len;
    for (i = 0; i < COUNT(cases); i++) CHECK(means(OUTCOME, cases[i].json, cases[i].means));
    for (len = 254; len <= 256; len++) { /* the format allows a token of 255 bytes */
        repeat(token, 't', len);
        CHECK(means(OUTCOME, token, "bad") == (len > 255));
        sprintf(json, "{'status':200,'token':'%s'}", token);
        CHECK(means(OUTCOME, json, "bad") == (len > 255));
    }
    row = "";
}

static void test_list_lines(void)
{
    static const struct { const char *json, *means; } cases[] = {
        {"{'room':'lobby','size':2,'password_required':false}", "room=lobby size=2"},
        {"{'room':'l\\u00f6','size':1,'password_required':true}",
         "room=l\xC3\xB6 size=1 password=1"},
        {"{'username':'alice','host':true}", "username=alice host=1"},
        {"{'username':'bob','host':false,'x':null}", "username=bob"}, {"{'more':true}", "more=1"},
        {"{'more':true,'more':false}", ""},
        {"{'\\u0070\\u0061\\u0073\\u0073\\u0077\\u006f\\u0072\\u0064\\u005f\\u0072\\u0065\\u0071"
         "\\u0075\\u0069\\u0072\\u0065\\u0064':true}", "password=1"},
        {"{'more':truex}", "bad"}, {"{'more':true}\n{}", "bad"}, {"", "bad"}};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) CHECK(means(LISTED, cases[i].json, cases[i].means));
}

/* ---- Which server has the room ---- */

#define PICK_ROOMS 10000

static const char *const pick_names[] = {
    "127.0.0.1/8000:9000", "127.0.0.1/8001:9001", "127.0.0.1/8002:9002", "127.0.0.1/8003:9003",
    "a.example/8000:9000", "b.example/8000:9000", "c.example/8000:9000", "::1/8000:9000",
    "2001:db8::1/8000:9000", "d/1:2"};

/* The picked one of the first count names, for room number i. */
static size_t pick_of(const char *const *names, size_t count, unsigned i)
{
    ocm_view servers[COUNT(pick_names)];
    char room[32];
    size_t k;
    for (k = 0; k < count; k++) servers[k] = ocm_text(names[k]);
    sprintf(room, "room %u", i);
    return ocm_pick(servers, count, ocm_text(room));
}

/* Calculated by another program from the declaration. They must never change: a new client and an
   old one would look for the same room on different servers. */
static void test_pick_vectors(void)
{
    static const char *const names[] = {"127.0.0.1/8000:9000", "127.0.0.1/8001:9001",
                                        "chat.example/8000:9000", "::1/8000:9000"};
    static const struct { const char *room; size_t pick[4]; } cases[] = {
        {"lobby", {0, 1, 1, 1}}, {"kitchen", {0, 1, 1, 1}}, {"garden", {0, 1, 1, 3}},
        {"attic", {0, 1, 1, 1}}, {"cellar", {0, 1, 1, 3}}, {"a", {0, 1, 1, 1}}, {"b", {0, 0, 0, 3}},
        {"広場", {0, 1, 2, 2}}, {"😀", {0, 1, 2, 2}}, {"two words", {0, 1, 1, 3}},
        {"library of a very long name, longer than one block", {0, 0, 2, 3}}};
    ocm_view servers[4];
    size_t i, n;
    for (i = 0; i < 4; i++) servers[i] = ocm_text(names[i]);
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].room;
        for (n = 1; n <= 4; n++) CHECK(ocm_pick(servers, n, ocm_text(row)) == cases[i].pick[n - 1]);
    }
}

/* One server more takes its share, and no other room moves. */
static void test_pick_moves(void)
{
    size_t n;
    unsigned i;
    for (n = 1; n < COUNT(pick_names); n++) {
        double moved = 0, share = PICK_ROOMS / (double)(n + 1);
        for (i = 0; i < PICK_ROOMS; i++) {
            size_t before = pick_of(pick_names, n, i), after = pick_of(pick_names, n + 1, i);
            CHECK(after == before || after == n);
            if (after != before) moved++;
        }
        CHECK((moved - share) * (moved - share) < 25 * share); /* five standard deviations */
    }
}

static void test_pick_order(void)
{
    const char *turned[COUNT(pick_names)];
    size_t n = COUNT(pick_names), by, k;
    unsigned i;
    for (by = 1; by < n; by++) {
        for (k = 0; k < n; k++) turned[k] = pick_names[(k * 3 + by) % n]; /* 3 does not divide n */
        for (i = 0; i < 1000; i++)
            CHECK(turned[pick_of(turned, n, i)] == pick_names[pick_of(pick_names, n, i)]);
    }
}

static void test_pick_spread(void)
{
    unsigned has[8] = {0}, i, share = PICK_ROOMS / 8;
    for (i = 0; i < PICK_ROOMS; i++) has[pick_of(pick_names, 8, i)]++;
    for (i = 0; i < 8; i++) {
        CHECK(has[i] > share - share / 10);
        CHECK(has[i] < share + share / 10);
    }
}

#define UNIT_TESTS \
    {"views", test_views}, {"utf8", test_utf8}, {"utf8_grammar", test_utf8_grammar}, \
    {"names", test_names}, {"message_text", test_message_text}, {"same_host", test_same_host}, \
    {"siphash", test_siphash}, {"vectors", test_vectors}, {"every_prefix", test_every_prefix}, \
    {"every_bit_flip", test_every_bit_flip}, {"encoders_need_space", test_encoders_need_space}, \
    {"json_accepts", test_json_accepts}, {"json_refuses", test_json_refuses}, \
    {"json_depth", test_json_depth}, {"json_values", test_json_values}, \
    {"known_keys", test_known_keys}, {"frame_lengths", test_frame_lengths}, \
    {"frame_sizes", test_frame_sizes}, {"datagram_limit", test_datagram_limit}, \
    {"longest_entry_fits", test_longest_entry_fits}, {"requests", test_requests}, \
    {"request_limits", test_request_limits}, \
    {"outcome_payloads", test_outcome_payloads}, {"list_lines", test_list_lines}, \
    {"pick_vectors", test_pick_vectors}, {"pick_moves", test_pick_moves}, \
    {"pick_order", test_pick_order}, {"pick_spread", test_pick_spread},

#include <stdarg.h>

/* ---- Registry and connections: conversations as text ---- */

/* A test is mostly a conversation, one line a step:

       alice create lobby json              a request on a connection of its own; the answer is
       tom join lobby text = 404            checked byte by byte; its status, if it is a refusal
       tom: hi                              a message, in the dialect in which tom joined
       lena 3: hi                           likewise, with an id
       lena at 17, lena ping, lena leaves   a position, a keep-alive, leaving
       lena raw {"message":"a"}^{}          any payload; ^ stands for a newline
       lena returns lobby same              joins again with its token, and has the same one (or
                                            "new") afterwards; after it, as after join: more JSON
       lena host 7, lena port 7             from now on it is at 10.0.0.7; sends from UDP port 7
       wait 1000, stop, drain               time passes; the server stops; nothing

   A "!" before a datagram says that the registry has to drop it. After " ->", the registry is
   drained, and what everybody gets is listed, in each one's order, and nothing else may come:

       -> alice 5, lena 5/3, tom            what was just said: seq, and the id where there is one
       -> lena 'tom: old' 4, tom +bob       what somebody said; a notice that bob joined; -bob: left
       -> tom out host, tom refused 3       operation 3 with its reason; 4, with the id at level 1
       -> lena status 17 1 3                seq, first, id; may come before or after entries
       -> *                                 anything; "tom *": one line to tom, whatever it says

   Persons are made when they are first named: the first at 10.0.0.1, port 4001, and so on. */

enum { REG_PEOPLE = 24, REG_LINES = 8192 };

typedef struct reg_person {
    char name[32], room[OCM_NAME_MAX + 1], token[OCM_TOKEN_LEN + 1];
    char dialect;      /* J JSON, L JSON at level 1, T text, A team A */
    ocm_addr at, tcp;  /* where its datagrams and its connection come from */
    ocm_conn *conn;    /* NULL: it has none */
    ocm_io io;         /* what ocm_conn_next said last */
    uint8_t *answer;   /* all bytes that came by TCP */
    size_t len, bite;  /* how many; how many more its socket takes */
    int op, status, answers, shut;
    char logged[600];  /* room and name of the last answer, as a program would log them */
    uint64_t seq, log, idle;
} reg_person;

typedef struct reg_line { /* a datagram, or a line of one to a member of level 1 */
    const reg_person *to;
    char *text;
    int read, reason;
} reg_line;

static ocm_registry *reg_g;
static void *reg_memory;
static uint8_t reg_fill = 0xA5; /* what the memory of a registry holds before it is made */
static uint64_t reg_now, reg_start = 5000, reg_until;
static reg_person reg_people[REG_PEOPLE];
static size_t reg_known, reg_line_count, reg_packet_count;
static reg_line reg_lines[REG_LINES];
static struct { const reg_person *to; size_t len; } reg_packets[REG_LINES];
static const reg_person *reg_failing; /* whatever is sent to it fails */
static char reg_said[16384];          /* of the step at hand: what was said, and by whom */
static const reg_person *reg_speaker;

static void reg_begin(const ocm_limits *limits)
{
    static const uint8_t key[32] = {7, 1, 2};
    size_t size = ocm_registry_size(limits);
    reg_memory = allocate(size);
    memset(reg_memory, reg_fill, size);
    reg_g = ocm_registry_init(reg_memory, limits, key);
    reg_now = reg_start;
    reg_known = 0;
    reg_failing = NULL;
}

static void reg_forget(void)
{
    size_t i;
    for (i = 0; i < reg_line_count; i++) free(reg_lines[i].text);
    reg_line_count = reg_packet_count = 0;
}

static void reg_hang_up(reg_person *p)
{
    if (p->conn) ocm_conn_close(p->conn, reg_g, reg_now);
    free(p->conn);
    p->conn = NULL;
}

static void reg_end(void)
{
    size_t i;
    for (i = 0; i < reg_known; i++) {
        reg_hang_up(&reg_people[i]);
        free(reg_people[i].answer);
    }
    reg_forget();
    free(reg_memory);
    row = "";
}

/* ::ffff:10.0.0.host */
static ocm_addr reg_host(int host, int port)
{
    ocm_addr a;
    memset(&a, 0, sizeof a);
    a.ip[10] = a.ip[11] = 0xFF;
    a.ip[12] = 10;
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
    p->at = p->tcp = reg_host((int)reg_known, 4000 + (int)reg_known);
    p->answer = (uint8_t *)allocate(2 * OCM_ANSWER_MAX);
    p->bite = SIZE_MAX;
    return p;
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
static char *reg_json(char *out, const char *text)
{
    char *at = out;
    for (; *text; text++) {
        if (*text == '"' || *text == '\\' || *text == '\t') *at++ = '\\';
        *at++ = *text == '\t' ? 't' : *text;
    }
    *at = 0;
    return out;
}

/* ---- Connections ---- */

static void reg_connect(reg_person *p)
{
    reg_hang_up(p);
    p->conn = (ocm_conn *)allocate(sizeof *p->conn);
    memset((void *)p->conn, reg_fill, sizeof *p->conn);
    ocm_conn_open(p->conn, &p->tcp, reg_now);
    p->len = 0;
    p->status = p->answers = p->shut = 0;
    p->bite = SIZE_MAX;
}

static reg_person *reg_client(const char *name, char dialect)
{
    reg_person *p = reg_who(name);
    p->dialect = dialect;
    reg_connect(p);
    return p;
}

/* What a program does with a connection until nothing more goes on. */
static void reg_pump(reg_person *p)
{
    size_t n = 1;
    while (p->conn && n > 0) {
        ocm_conn_next(p->conn, reg_g, reg_now, &p->io);
        CHECK(p->io.until >= reg_now);
        if (p->io.status) {
            p->op = p->io.op;
            p->status = p->io.status;
            p->answers++;
            CHECK(p->io.room.len <= OCM_NAME_MAX && p->io.name.len <= OCM_NAME_MAX);
            sprintf(p->logged, "%.*s/%.*s", OCM_S(p->io.room), OCM_S(p->io.name));
        }
        n = p->io.send.len < p->bite ? p->io.send.len : p->bite;
        if (!CHECK(p->len + n <= 2 * OCM_ANSWER_MAX)) break;
        if (n) memcpy(p->answer + p->len, p->io.send.ptr, n);
        p->len += n;
        if (n) ocm_conn_sent(p->conn, n);
        p->bite -= n;
        if (p->io.shut) p->shut = 1;
        if (p->io.close) reg_hang_up(p);
        n += p->io.status != 0;
    }
}

static void reg_later(reg_person *p, uint64_t ms)
{
    reg_now += ms;
    reg_pump(p);
}

/* Offers bytes to the connection as fast as it takes them. How many it took. */
static size_t reg_receive(reg_person *p, const uint8_t *bytes, size_t len)
{
    size_t done = 0;
    reg_pump(p);
    while (p->conn && done < len && p->io.read > 0) {
        size_t n = len - done < p->io.read ? len - done : p->io.read;
        uint8_t *c = copy(bytes + done, n);
        ocm_conn_received(p->conn, c, n, reg_now);
        free(c);
        done += n;
        reg_pump(p);
    }
    return done;
}

static size_t reg_frame(uint8_t *out, int op, int state, const char *room, const char *payload)
{
    size_t room_len = strlen(room), len = strlen(payload);
    memset(out, 0, OCM_HEADER_LEN);
    out[0] = (uint8_t)room_len;
    out[1] = (uint8_t)op;
    out[2] = (uint8_t)state;
    out[30] = (uint8_t)(len >> 8);
    out[31] = (uint8_t)len;
    memcpy(out + OCM_HEADER_LEN, room, room_len);
    memcpy(out + OCM_HEADER_LEN + room_len, payload, len);
    return OCM_HEADER_LEN + room_len + len;
}

/* Asks on the connection that is there, or else on a new one. */
static void reg_ask(reg_person *p, int op, int state, const char *room, const char *payload)
{
    uint8_t bytes[OCM_FRAME_MAX];
    size_t len = reg_frame(bytes, op, state, room, payload);
    if (!p->conn) reg_connect(p);
    p->len = 0;
    CHECK(reg_receive(p, bytes, len) == len);
}

/* One frame at the beginning of what is left of the answer; its length, 0 if it is another one. */
static size_t reg_frame_is(const uint8_t *p, size_t len, int op, int state, const char *room,
                           const char *pattern)
{
    uint8_t head[OCM_HEADER_LEN + OCM_NAME_MAX] = {0};
    size_t head_len = OCM_HEADER_LEN + strlen(room), payload;
    if (len < head_len) return 0;
    head[0] = (uint8_t)strlen(room);
    head[1] = (uint8_t)op;
    head[2] = (uint8_t)state;
    memcpy(head + OCM_HEADER_LEN, room, strlen(room));
    memcpy(head + 29, p + 29, 3);
    payload = (size_t)p[29] << 16 | (size_t)p[30] << 8 | p[31];
    if (memcmp(p, head, head_len) != 0 || payload > len - head_len) return 0;
    return reg_like((const char *)p + head_len, payload, pattern) ? head_len + payload : 0;
}

static int reg_text_byte(int op, int status)
{
    switch (status) {
    case 200: case 201: return 0;
    case 401: return 3;
    case 404: return 2;
    case 409: return op == OCM_CREATE ? 1 : 6;
    case 503: return 5;
    default: return 4;
    }
}

/* What the second frame of an answer holds in that dialect; of a success, its token is p->token. */
static void reg_outcome(const reg_person *p, int status, char *out)
{
    int good = status < 300;
    if (p->dialect == 'T') {
        strcpy(out, good ? p->token : "error: *");
    } else if (p->dialect == 'A' && good) {
        sprintf(out, "{\"status_code\":200,\"user_token\":\"%s\"}", p->token);
    } else if (p->dialect == 'A') {
        sprintf(out, "{\"status_code\":%d,\"user_token\":null}", status == 404 ? 404 : 400);
    } else {
        out += sprintf(out, "{\"status\":%d,\"message\":\"*\"", status);
        if (good) out += sprintf(out, ",\"token\":\"%s\"", p->token);
        if (good && p->dialect == 'L')
            out += sprintf(out, ",\"ocm\":1,\"idle\":%llu,\"seq\":%llu,\"log\":%llu",
                           (unsigned long long)p->idle, (unsigned long long)p->seq,
                           (unsigned long long)p->log);
        strcpy(out, "}");
    }
}

/* Takes the token, and what level 1 adds, from the payload of a success. */
static int reg_take_token(reg_person *p, const char *payload)
{
    const char *at = p->dialect == 'A' ? strstr(payload, "user_token\":\"") : payload;
    unsigned long long idle = 0, seq = 0, log = 0;
    if (p->dialect == 'A' && at) at += 13;
    if (p->dialect == 'J' || p->dialect == 'L') at = strstr(payload, "\"token\":\"");
    if (at != payload && at && p->dialect != 'A') at += 9;
    if (!at || strspn(at, "0123456789abcdef") != OCM_TOKEN_LEN) return 0;
    memcpy(p->token, at, OCM_TOKEN_LEN);
    p->token[OCM_TOKEN_LEN] = 0;
    if (p->dialect != 'L') return 1;
    at = strstr(payload, "\"idle\":");
    if (!at || sscanf(at, "\"idle\":%llu,\"seq\":%llu,\"log\":%llu", &idle, &seq, &log) != 3)
        return 0;
    p->idle = idle;
    p->seq = seq;
    p->log = log;
    return log > 0 && log <= OCM_INTEGER_MAX;
}

/* The answer is, byte by byte, the two frames of that outcome, and nothing else. */
static int reg_answered(reg_person *p, int op, const char *room, int status)
{
    char done[512], ack[2] = {0, 0};
    int json = p->dialect == 'J' || p->dialect == 'L';
    size_t first, rest;
    const char *in_done = status < 300 && !json ? room : "";
    ack[0] = (char)(p->dialect == 'A' ? 200 : reg_text_byte(op, status));
    first = reg_frame_is(p->answer, p->len, op, OCM_STATE_ACK, "",
                         json ? "{\"status\":202,\"message\":\"*\"}" : "*");
    if (!first) return 0;
    if (!json && (first != OCM_HEADER_LEN + 1 || p->answer[OCM_HEADER_LEN] != (uint8_t)ack[0]))
        return 0;
    p->answer[p->len] = 0;
    if (p->len < first + OCM_HEADER_LEN + strlen(in_done)) return 0;
    if (status < 300 && !reg_take_token(p, (char *)p->answer + first + OCM_HEADER_LEN +
                                               strlen(in_done)))
        return 0;
    reg_outcome(p, status, done);
    rest = reg_frame_is(p->answer + first, p->len - first, op, OCM_STATE_COMPLETE, in_done, done);
    return rest > 0 && first + rest == p->len;
}

/* Lets the 100 ms pass that lie between the frames for text and team A. */
static void reg_hear_out(reg_person *p)
{
    size_t first = p->len;
    if (p->dialect == 'J' || p->dialect == 'L' || !p->conn) return;
    CHECK(first == OCM_HEADER_LEN + 1 && p->io.until == reg_now + 100);
    reg_later(p, 99);
    CHECK(p->len == first);
    reg_later(p, 1);
}

/* The payload of a request in that person's dialect; more: JSON members. */
static const char *reg_payload(const reg_person *p, const char *user, const char *more)
{
    static char payload[OCM_PAYLOAD_MAX + 1];
    char name[2 * OCM_NAME_MAX];
    if (p->dialect == 'T' || p->dialect == 'A') return strcpy(payload, user);
    sprintf(payload, "{\"username\":\"%s\"%s%s%s}", reg_json(name, user),
            p->dialect == 'L' ? ",\"ocm\":1" : "", *more ? "," : "", more);
    return payload;
}

/* A request on a new connection, of which the answer has that status and is right to the byte. */
static void reg_request(reg_person *p, int op, const char *room, const char *more, int status)
{
    reg_connect(p);
    reg_ask(p, op, p->dialect == 'A', room, reg_payload(p, p->name, more));
    reg_hear_out(p);
    CHECK(p->op == op && p->status == status && p->answers == 1);
    CHECK(reg_answered(p, op, room, status));
    if (status < 300) strcpy(p->room, room);
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
    out[0] = (uint8_t)strlen(room);
    out[1] = (uint8_t)strlen(token);
    memcpy(out + 2, room, out[0]);
    memcpy(out + 2 + out[0], token, out[1]);
    return (size_t)2 + out[0] + out[1];
}

static int reg_send(const reg_person *p, const char *payload)
{
    uint8_t bytes[2 * OCM_DATAGRAM_MAX];
    size_t len = reg_header(p->room, p->token, bytes);
    memcpy(bytes + len, payload, strlen(payload));
    return reg_send_bytes(bytes, len + strlen(payload), &p->at);
}

/* A message in its dialect; id 0: none. */
static int reg_say(const reg_person *p, const char *text, uint64_t id)
{
    static char payload[16384 + 64], json[16384];
    if (p->dialect == 'T' || p->dialect == 'A') return reg_send(p, text);
    sprintf(payload, id ? "{\"message\":\"%s\",\"id\":%llu}" : "{\"message\":\"%s\"}",
            reg_json(json, text), (unsigned long long)id);
    return reg_send(p, payload);
}

static int reg_leave(const reg_person *p)
{
    if (p->dialect == 'T' || p->dialect == 'A') return reg_send(p, "[remove_chatroom]");
    return reg_send(p, "{\"sender\":\"system\",\"operation\":2}");
}

static int reg_same(const ocm_addr *a, const ocm_addr *b)
{
    return memcmp(a->ip, b->ip, 16) == 0 && memcmp(a->local, b->local, 16) == 0 &&
           a->scope == b->scope && a->port == b->port && a->socket == b->socket;
}

static void reg_keep_line(const reg_person *p, const uint8_t *text, size_t len, int reason)
{
    reg_line *l = &reg_lines[reg_line_count];
    if (!CHECK(reg_line_count < REG_LINES)) return;
    reg_line_count++;
    l->to = p;
    l->read = 0;
    l->reason = reason;
    l->text = (char *)allocate(len + 1);
    memcpy(l->text, text, len);
}

/* Keeps a datagram: from its header on, one to a member of level 1 line by line. */
static void reg_keep(const ocm_event *ev)
{
    const reg_person *p = NULL;
    uint8_t head[2 + OCM_NAME_MAX + OCM_TOKEN_LEN];
    size_t i, at = 0, end;
    for (i = 0; i < reg_known; i++)
        if (reg_same(&reg_people[i].at, &ev->to)) p = &reg_people[i];
    if (!CHECK(p != NULL && ev->datagram.len > 0 && ev->datagram.len <= OCM_DATAGRAM_MAX)) return;
    reg_packets[reg_packet_count % REG_LINES].to = p;
    reg_packets[reg_packet_count++ % REG_LINES].len = ev->datagram.len;
    if (p->dialect != 'T') at = reg_header(p->room, p->token, head);
    if (!CHECK(at < ev->datagram.len && memcmp(ev->datagram.ptr, head, at) == 0)) return;
    for (; at < ev->datagram.len; at = end + 1) {
        for (end = at; end < ev->datagram.len; end++)
            if (p->dialect == 'L' && ev->datagram.ptr[end] == '\n') break;
        CHECK(p->dialect != 'L' || end < ev->datagram.len);
        if (end > at) reg_keep_line(p, ev->datagram.ptr + at, end - at, ev->reason);
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
    if (reg_failing && reg_same(&ev.to, &reg_failing->at) && !ev.reason)
        ocm_registry_failed(reg_g, &ev, reg_now);
    else
        reg_keep(&ev);
    return 1;
}

static void reg_drain(void)
{
    while (reg_pull()) {}
}

/* Drains without a look at anything. */
static uint64_t reg_drain_unseen(void)
{
    ocm_event ev;
    uint64_t count = 0;
    while (ocm_registry_next(reg_g, reg_now, &ev)) count++;
    reg_until = ev.until;
    return count;
}

/* Nothing is left that no test looked at. Forgets everything. */
static int reg_quiet(void)
{
    size_t i;
    int all = 1;
    for (i = 0; i < reg_line_count; i++) {
        if (reg_lines[i].read) continue;
        if (all) printf("   unread: %s %.120s\n", reg_lines[i].to->name, reg_lines[i].text);
        all = 0;
    }
    reg_forget();
    return all;
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

/* An entry as that person gets it. operation 0: a message of `who`, else a notice about it. */
static void reg_entry(const reg_person *p, int operation, const char *who, const char *text,
                      uint64_t seq, uint64_t id, char *out)
{
    static char json[16384], name[1024];
    const char *verb = operation == OCM_OP_JOINED ? " joined" : " left*";
    if (p->dialect == 'T' || p->dialect == 'A') {
        if (operation) sprintf(out, "system: %s%s", who, verb);
        else sprintf(out, "%s: %s", who, text);
        return;
    }
    reg_json(json, text);
    reg_json(name, who);
    if (operation)
        out += sprintf(out, "{\"sender\":\"system\",\"operation\":%d,\"username\":\"%s\","
                       "\"message\":\"%s%s\"", operation, name, name, verb);
    else
        out += sprintf(out, "{\"sender\":\"%s\",\"message\":\"%s\"", name, json);
    if (seq) out += sprintf(out, ",\"seq\":%llu", (unsigned long long)seq);
    else out += sprintf(out, ",\"seq\":*");
    if (id) out += sprintf(out, ",\"id\":%llu", (unsigned long long)id);
    strcpy(out, "}");
}

static const char *const reg_reasons[] = {"none", "left", "host", "timeout", "unreachable",
                                          "stopping", "broken"};

/* Operation 3 with that reason, and as the last datagram of a membership. */
static int reg_reads_out(const reg_person *p, const char *reason)
{
    reg_line *l = reg_next_line(p, 0);
    char pattern[256];
    if (!l || l->reason <= 0 || strcmp(reg_reasons[l->reason], reason) != 0) return 0;
    if (p->dialect == 'T' || p->dialect == 'A')
        return reg_like(l->text, strlen(l->text), "system: You have been disconnected: *");
    sprintf(pattern, "{\"sender\":\"system\",\"operation\":3,\"username\":\"%s\",*\"message\":"
            "\"You have been disconnected: *", p->name);
    if (!reg_like(l->text, strlen(l->text), pattern)) return 0;
    sprintf(pattern, "{*,\"reason\":\"%s\"*}", reason);
    return reg_like(l->text, strlen(l->text), pattern);
}

/* Operation 4, for which the server has its own words. */
static void reg_refusal(const reg_person *p, uint64_t id, char *out)
{
    char name[1024];
    if (p->dialect == 'T' || p->dialect == 'A') {
        strcpy(out, "system: *");
        return;
    }
    out += sprintf(out, "{\"sender\":\"system\",\"operation\":4,\"username\":\"%s\","
                   "\"message\":\"*\"", reg_json(name, p->name));
    if (id) out += sprintf(out, ",\"id\":%llu", (unsigned long long)id);
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
    static char pattern[32768], text[16384];
    const reg_person *p = reg_who(reg_word(&item));
    const char *who = reg_speaker ? reg_speaker->name : "";
    unsigned long long seq = 0, id = 0, first = 0;
    int operation = 0;
    reg_line *l;
    if (strncmp(item, "out ", 4) == 0) {
        CHECK(reg_reads_out(p, item + 4));
        return;
    }
    strcpy(text, reg_said);
    if (*item == '\'') {
        char *end = strrchr(item, '\'');
        *end = 0;
        if (item[1] == '{') {
            strcpy(pattern, item + 1);
        } else {
            strcpy(text, strstr(item, ": ") + 2);
            who = item + 1;
            *strstr(item, ": ") = 0;
        }
        operation = item[1] == '{' ? -1 : 0;
        sscanf(end + 1, " %llu/%llu", &seq, &id);
    } else if (*item == '+' || *item == '-') {
        operation = *item == '+' ? OCM_OP_JOINED : OCM_OP_LEFT;
        who = reg_word(&item) + 1;
        sscanf(item, "%llu", &seq);
    } else if (sscanf(item, "status %llu %llu %llu", &seq, &first, &id) == 3) {
        operation = OCM_OP_LOG;
        sprintf(pattern, "{\"sender\":\"system\",\"operation\":6,\"seq\":%llu,\"first\":%llu,"
                "\"id\":%llu}", seq, first, id);
    } else if (strncmp(item, "refused", 7) == 0) {
        operation = OCM_OP_NOTICE;
        sscanf(item, "refused %llu", &id);
        reg_refusal(p, id, pattern);
    } else if (*item == '*') {
        operation = -1;
        strcpy(pattern, "*");
    } else {
        sscanf(item, "%llu/%llu", &seq, &id);
    }
    if (operation >= 0 && operation <= OCM_OP_LEFT)
        reg_entry(p, operation, who, text, seq, p->dialect == 'L' ? id : 0, pattern);
    l = reg_next_line(p, operation == OCM_OP_LOG);
    if (!CHECK(l && reg_like(l->text, strlen(l->text), pattern)))
        printf("   %s should get %.200s\n   and got %.200s\n", p->name, pattern,
               l ? l->text : "nothing");
}

static void reg_expect_all(char *items)
{
    char *end;
    int quoted;
    for (; *items; items = end) {
        while (*items == ' ') items++;
        for (end = items, quoted = 0; *end && (quoted || *end != ','); end++)
            quoted ^= *end == '\'';
        if (*end) *end++ = 0;
        if (*items) reg_expect(items);
    }
    CHECK(reg_quiet());
}

/* ROOM DIALECT [MORE] [= STATUS], or for one that returns ROOM same|new [MORE] [= STATUS]. */
static void reg_enter(reg_person *p, const char *verb, char *s)
{
    static const char *const words[] = {"json", "json1", "text", "team_a"};
    int op = strcmp(verb, "create") == 0 ? OCM_CREATE : OCM_JOIN, back = *verb == 'r';
    char *equals = strstr(s, "= "), more[1024] = "", old[OCM_TOKEN_LEN + 1], *room, *word;
    int status = equals ? atoi(equals + 2) : op == OCM_CREATE ? 201 : 200;
    size_t i;
    if (equals) *equals = 0;
    room = reg_word(&s);
    word = reg_word(&s);
    for (i = 0; i < COUNT(words); i++)
        if (strcmp(word, words[i]) == 0) p->dialect = "JLTA"[i];
    strcpy(old, p->token);
    if (back) sprintf(more, "\"token\":\"%s\"%s", p->token, *s ? "," : "");
    strcat(more, s);
    while (*more && more[strlen(more) - 1] == ' ') more[strlen(more) - 1] = 0;
    reg_request(p, op, room, more, status);
    if (back && status == 200) CHECK((strcmp(old, p->token) == 0) == (strcmp(word, "same") == 0));
}

static void reg_act(reg_person *p, const char *verb, char *s, int result)
{
    char json[128], *at;
    int got = result;
    if (strcmp(verb, "ping") == 0) {
        got = reg_send(p, "");
    } else if (strcmp(verb, "leaves") == 0) {
        got = reg_leave(p);
    } else if (strcmp(verb, "at") == 0) {
        sprintf(json, "{\"sender\":\"system\",\"operation\":6,\"seq\":%.40s}", s);
        got = reg_send(p, json);
    } else if (strcmp(verb, "raw") == 0) {
        for (at = s; *at; at++)
            if (*at == '^') *at = '\n';
        got = reg_send(p, s);
    } else if (strcmp(verb, "port") == 0) {
        p->at.port = (uint16_t)atoi(s);
    } else if (strcmp(verb, "host") == 0) {
        p->at = p->tcp = reg_host(atoi(s), p->tcp.port);
    } else if (strcmp(verb, "ip") == 0) {
        unhex(s, p->at.ip);
        memcpy(p->tcp.ip, p->at.ip, 16);
    } else {
        reg_enter(p, verb, s);
    }
    CHECK(got == result);
}

static void reg_step(char *line)
{
    char *arrow = strstr(line, " ->"), *word;
    int result = 1;
    char *end;
    if (arrow) *arrow = 0;
    if (*line == '!') result = 0, line++;
    word = reg_word(&line);
    end = word + strlen(word) - 1;
    if (strcmp(word, "wait") == 0) {
        reg_now += strtoull(line, NULL, 10);
    } else if (strcmp(word, "stop") == 0) {
        ocm_registry_stop(reg_g);
    } else if (strcmp(word, "drain") != 0) {
        reg_person *p = reg_who(strtok(word, ":"));
        char *colon = strchr(line, ':');
        uint64_t id = 0;
        reg_speaker = p;
        if (*end == 0) { /* it ended with a colon */
            strcpy(reg_said, line);
        } else if (colon && strspn(line, "0123456789") == (size_t)(colon - line)) {
            id = strtoull(line, NULL, 10);
            strcpy(reg_said, colon + 2);
        } else {
            word = reg_word(&line);
            reg_act(p, word, line, result);
            p = NULL;
        }
        if (p) CHECK(reg_say(p, reg_said, id) == result);
    }
    if (!arrow) return;
    reg_drain();
    if (strcmp(arrow + 3, " *") == 0) reg_forget();
    else reg_expect_all(arrow + 3);
}

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static void reg_run(const char *format, ...)
{
    static char script[32768], line[16384];
    const char *outer = row;
    char *at = script, *end;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(script, sizeof script, format, arguments);
    va_end(arguments);
    for (; *at; at = end) {
        char shown[200];
        end = at + strcspn(at, "\n");
        sprintf(line, "%.*s", (int)(end - at), at);
        sprintf(shown, "%.199s", line);
        row = shown;
        reg_step(line);
        if (*end) end++;
        row = outer;
    }
}

#define REG(...) reg_begin(&(ocm_limits){__VA_ARGS__})

/* alice is the host, in JSON; lena is of level 1, tom speaks text, sam the dialect of team A. */
static void reg_four(uint32_t rate)
{
    REG(.rooms = 4, .members = 8, .rate = rate, .log = 65536, .origin_joins = OCM_UNLIMITED);
    reg_run("alice create lobby json\nlena join lobby json1\ntom join lobby text\n"
            "sam join lobby team_a\nlena at 4 -> *");
}

static const ocm_counts *reg_counts(void)
{
    return ocm_registry_counts(reg_g);
}

/* ---- Requests ---- */

static void test_outcomes(void)
{
    static const struct { int op; const char *room, *user; int status; } cases[] = {
        {1, "new", "bob", 201},        {2, "lobby", "bob", 200},     {1, "new", "a: b", 400},
        {1, "new", "system", 400},     {1, "", "bob", 400},          {2, "new\x7F", "bob", 400},
        {1, "new", "", 400},           {9, "lobby", "bob", 400},     {0, "lobby", "bob", 400},
        {2, "locked", "bob", 401},     {2, "new", "bob", 404},       {1, "lobby", "bob", 409},
        {2, "lobby", "alice", 409},    {1, "locked", "bob", 409},    {2, "locked", "eve", 401},
        {1, "new", "bob", 503}};
    char logged[64], name[64];
    size_t i, k;
    for (i = 0; i < COUNT(cases); i++)
        for (k = 0; k < 4; k++) {
            reg_person *p;
            sprintf(name, "%d %s %s as %c", cases[i].op, cases[i].room, cases[i].user, "JLTA"[k]);
            REG(.rooms = cases[i].status == 503 ? 2 : 3, .members = 4);
            reg_run("alice create lobby json\neve create locked json \"password\":\"key\"");
            row = name;
            p = reg_who("bob");
            p->dialect = "JLTA"[k];
            reg_ask(p, cases[i].op, p->dialect == 'A', cases[i].room,
                    reg_payload(p, cases[i].user, ""));
            reg_hear_out(p);
            CHECK(reg_answered(p, cases[i].op, cases[i].room, cases[i].status));
            CHECK(p->op == cases[i].op && p->status == cases[i].status && p->answers == 1);
            sprintf(logged, "%s/%s", cases[i].status == 400 ? "" : cases[i].room,
                    cases[i].status == 400 ? "" : cases[i].user);
            CHECK(strcmp(p->logged, logged) == 0);
            CHECK(reg_counts()->requests == 3);
            CHECK(reg_counts()->refused == (cases[i].status >= 300));
            CHECK(reg_counts()->members == (cases[i].status < 300 ? 3u : 2u));
            reg_end();
        }
}

/* Requests may come in any pieces, several together, and are answered one after the other; after
   a success, none is. */
static void test_requests_in_pieces(void)
{
    uint8_t bytes[512];
    size_t end[3], i, piece;
    REG(.rooms = 3, .origin_joins = OCM_UNLIMITED);
    end[0] = reg_frame(bytes, 9, 0, "lobby", "{}");
    end[1] = end[0] + reg_frame(bytes + end[0], 1, 0, "lobby", "{\"username\":\"bob\"}");
    end[2] = end[1] + reg_frame(bytes + end[1], 1, 0, "other", "{\"username\":\"bob\"}");
    for (piece = 1; piece <= end[2]; piece++) {
        reg_person *p = reg_client("bob", 'J');
        for (i = 0; i < end[2]; i += piece) {
            size_t done = i + piece < end[2] ? i + piece : end[2];
            reg_receive(p, bytes + i, done - i);
            CHECK(p->answers == (done >= end[0]) + (done >= end[1]));
        }
        CHECK(p->answers == 2 && p->status == 201 && reg_counts()->rooms == 1);
        memcpy(p->token, p->answer + p->len - OCM_TOKEN_LEN - 2, OCM_TOKEN_LEN);
        strcpy(p->room, "lobby");
        CHECK(reg_leave(p) == 1);
        reg_drain();
        CHECK(reg_counts()->rooms == 0);
        reg_forget();
    }
    reg_end();
}

/* One call answers at most one request. */
static void test_one_answer_a_call(void)
{
    uint8_t bytes[512];
    size_t len = 0;
    int i;
    reg_person *p;
    REG(.rooms = 1);
    for (i = 0; i < 5; i++) len += reg_frame(bytes + len, OCM_LIST, 0, "", "{}");
    p = reg_client("bob", 'J');
    ocm_conn_next(p->conn, reg_g, reg_now, &p->io);
    CHECK(p->io.read >= len);
    ocm_conn_received(p->conn, bytes, len, reg_now);
    for (i = 0; i < 5; i++) {
        ocm_conn_next(p->conn, reg_g, reg_now, &p->io);
        CHECK(p->io.status == 200);
        CHECK(p->io.send.len == OCM_HEADER_LEN);
        CHECK(reg_counts()->requests == (uint64_t)i + 1);
        ocm_conn_sent(p->conn, p->io.send.len);
    }
    reg_end();
}

/* Refused from the header alone, in the dialect that the first payload byte decides; then the
   server shuts its side, discards what still comes, and closes after a second. */
static void test_request_too_large(void)
{
    static const char *const lengths[] = {
        "0000000000000000000000000000000000000000000000000000001001",
        "0000000000000000000000000000000000000000000000000020000000",
        "00000000000000000000000000000000000000000000000000ffffffff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0100000000000000000000000000000000000000000000000000000001"};
    static const struct { char dialect; uint8_t state, byte; } forms[] = {
        {'J', 0, '{'}, {'T', 0, 'a'}, {'A', 1, 'a'}, {'A', 1, '{'}};
    static uint8_t junk[100000];
    uint8_t bytes[OCM_HEADER_LEN + 6] = {5, 2, 0};
    size_t i, k, count = 0;
    REG(.rooms = 1);
    memcpy(bytes + OCM_HEADER_LEN, "lobby", 5);
    for (i = 0; i < COUNT(lengths); i++)
        for (k = 0; k <= COUNT(forms); k++) {
            reg_person *p = reg_client("bob", 'J');
            row = lengths[i];
            unhex(row, bytes + 3);
            if (k == COUNT(forms)) { /* no byte of payload comes */
                reg_receive(p, bytes, sizeof bytes - 1);
                reg_later(p, 10000);
                CHECK(!p->conn && p->len == 0);
                continue;
            }
            p->dialect = forms[k].dialect;
            bytes[2] = forms[k].state;
            bytes[OCM_HEADER_LEN + 5] = forms[k].byte;
            CHECK(reg_receive(p, bytes, sizeof bytes - 1) == sizeof bytes - 1 && p->len == 0);
            reg_receive(p, bytes + sizeof bytes - 1, 1);
            reg_hear_out(p);
            CHECK(reg_answered(p, OCM_JOIN, "lobby", 413));
            CHECK(p->shut && p->conn);
            CHECK(reg_counts()->requests == ++count && reg_counts()->refused == count);
            CHECK(reg_receive(p, junk, sizeof junk) == sizeof junk);
            reg_later(p, 999);
            CHECK(p->conn && p->answers == 1);
            reg_later(p, 1);
            CHECK(!p->conn);
        }
    reg_end();
}

/* 5 minutes before and between requests, 10 s from the first byte of one. */
static void test_silence(void)
{
    reg_person *p;
    int i;
    REG(.rooms = 1);
    p = reg_client("bob", 'J');
    for (i = 0; i < 2; i++) {
        reg_pump(p);
        CHECK(p->io.until == reg_now + 300000);
        reg_later(p, 299999);
        CHECK(p->conn != NULL);
        if (i == 0) reg_ask(p, OCM_JOIN, 0, "lobby", "{\"username\":\"bob\"}");
    }
    reg_later(p, 1);
    CHECK(!p->conn && p->status == 404);
    reg_connect(p);
    for (i = 0; i < 10; i++) {
        reg_receive(p, (const uint8_t *)"\5\2\0\0\0\0\0\0\0\0" + i, 1);
        CHECK(p->io.until == reg_now + 10000 - 999 * (unsigned)i);
        reg_now += 999;
    }
    reg_later(p, 9);
    CHECK(p->conn != NULL);
    reg_later(p, 1);
    CHECK(!p->conn && p->answers == 0);
    reg_end();
}

/* A client that does not read its answer is not kept for ever, nor is its membership. */
static void test_unread_answer(void)
{
    static uint8_t junk[OCM_ANSWER_MAX];
    reg_person *p;
    uint64_t asked;
    reg_four(0);
    p = reg_client("bob", 'J');
    p->bite = 10;
    reg_ask(p, OCM_JOIN, 0, "lobby", "{\"username\":\"bob\"}");
    CHECK(reg_counts()->members == 5);
    asked = reg_now;
    CHECK(reg_receive(p, junk, sizeof junk) <= OCM_FRAME_MAX); /* nor is what comes meanwhile */
    while (p->conn && CHECK(p->io.until <= asked + 300000)) reg_later(p, p->io.until - reg_now);
    CHECK(reg_counts()->members == 4 && p->len == 10);
    reg_end();
}

/* A client that sends no more still gets its answers. */
static void test_half_close(void)
{
    uint8_t bytes[512];
    size_t len;
    reg_person *p;
    REG(.rooms = 1);
    p = reg_who("tom");
    p->dialect = 'T';
    reg_ask(p, OCM_JOIN, 0, "lobby", "tom");
    ocm_conn_received(p->conn, NULL, 0, reg_now);
    reg_pump(p);
    reg_hear_out(p);
    CHECK(reg_answered(p, OCM_JOIN, "lobby", 404) && !p->conn);
    len = reg_frame(bytes, OCM_JOIN, 0, "lobby", "{\"username\":\"tom\"}");
    len += reg_frame(bytes + len, OCM_CREATE, 0, "lobby", "{\"username\":\"tom\"}");
    reg_connect(p);
    ocm_conn_next(p->conn, reg_g, reg_now, &p->io);
    ocm_conn_received(p->conn, bytes, len, reg_now);
    ocm_conn_received(p->conn, NULL, 0, reg_now);
    reg_pump(p);
    CHECK(p->answers == 2 && p->status == 201 && reg_counts()->members == 1 && !p->conn);
    reg_connect(p);
    reg_receive(p, bytes, 20);
    ocm_conn_received(p->conn, NULL, 0, reg_now);
    reg_pump(p);
    CHECK(!p->conn && p->answers == 0);
    reg_end();
}

/* A membership whose answer did not leave as a whole is undone, wherever it broke off. */
static void test_undo(void)
{
    size_t whole, sent, seq;
    reg_person *p;
    reg_four(0);
    p = reg_who("bob");
    p->dialect = 'J';
    reg_request(p, OCM_JOIN, "lobby", "", 200);
    whole = p->len;
    reg_hang_up(p);
    reg_run("bob leaves -> *");
    for (seq = 7, sent = 0; sent < whole; sent += 9, seq += 2) {
        reg_connect(p);
        p->bite = sent;
        reg_ask(p, OCM_JOIN, 0, "lobby", reg_payload(p, "bob", ""));
        CHECK(p->len == sent && p->status == 200);
        reg_hang_up(p);
        CHECK(reg_counts()->members == 4);
        reg_run("drain -> alice +bob %u, alice -bob %u, lena +bob %u, lena -bob %u, tom +bob, "
                "tom -bob, sam +bob, sam -bob", (unsigned)seq, (unsigned)seq + 1, (unsigned)seq,
                (unsigned)seq + 1);
    }
    p->dialect = 'T';
    reg_connect(p);
    reg_ask(p, OCM_JOIN, 0, "lobby", "bob");
    reg_hang_up(p); /* between the two frames */
    CHECK(reg_counts()->members == 4);
    reg_run("drain -> *");
    reg_ask(p, OCM_CREATE, 0, "new", "bob");
    CHECK(reg_counts()->members == 5 && reg_counts()->rooms == 2);
    reg_hang_up(p);
    reg_drain();
    CHECK(reg_counts()->rooms == 1 && reg_counts()->members == 4);
    reg_end();
}

/* A kept place moves when the answer has been sent, and not before. */
static void test_undo_of_a_return(void)
{
    char more[128];
    size_t whole, sent;
    reg_person *lena;
    reg_four(0);
    lena = reg_who("lena");
    sprintf(more, "\"token\":\"%s\"", lena->token);
    lena->tcp = reg_host(30, 5000);
    for (sent = 0, whole = 30; sent < whole; sent += 29) {
        reg_connect(lena);
        lena->bite = sent;
        reg_ask(lena, OCM_JOIN, 0, "lobby", reg_payload(lena, "lena", more));
        CHECK(lena->status == 200);
        whole = lena->len + lena->io.send.len;
        reg_run("alice: hi -> lena, tom, sam\nlena ping -> *");
        reg_hang_up(lena);
        reg_run("alice: hi -> lena, tom, sam\nlena: hi -> alice, lena, tom, sam");
        CHECK(reg_counts()->members == 4);
    }
    reg_request(lena, OCM_JOIN, "lobby", more, 200);
    reg_run("!lena ping ->");
    lena->at = lena->tcp;
    reg_run("alice: hi -> lena, tom, sam");
    CHECK(reg_counts()->members == 4);
    reg_end();
}

/* The payload of the answer to a list request: one frame of state 2, no room name. */
static const char *reg_list(reg_person *p, const char *room, const char *payload)
{
    reg_ask(p, OCM_LIST, 0, room, payload);
    p->answer[p->len] = 0;
    CHECK(p->len && reg_frame_is(p->answer, p->len, OCM_LIST, 2, "", "*") == p->len);
    return (const char *)p->answer + OCM_HEADER_LEN;
}

#define LOBBY "{\"room\":\"lobby\",\"size\":2,\"password_required\":false}\n"
#define LOCKED "{\"room\":\"locked\",\"size\":1,\"password_required\":true}\n"
#define ALICE "{\"username\":\"alice\",\"host\":true}\n"
#define BOB "{\"username\":\"bob\",\"host\":false}\n"

static void test_lists(void)
{
    reg_person *p;
    const char *list;
    REG(.rooms = 3);
    p = reg_who("eve");
    CHECK(*reg_list(p, "", "{}") == 0 && p->status == 200 && p->op == OCM_LIST);
    reg_run("alice create lobby json\nbob join lobby text\n"
            "alicia create locked json \"password\":\"key\"");
    list = reg_list(p, "", "{\"any\":[1,{}]}");
    CHECK(strcmp(list, LOBBY LOCKED) == 0 || strcmp(list, LOCKED LOBBY) == 0);
    list = reg_list(p, "lobby", "{}");
    CHECK(strcmp(list, ALICE BOB) == 0 || strcmp(list, BOB ALICE) == 0);
    CHECK(*reg_list(p, "locked", "{}") == 0);
    CHECK(strstr(reg_list(p, "locked", "{\"password\":\"key\"}"), "alicia") != NULL);
    CHECK(strncmp(reg_list(p, "nowhere", "{}"), "{\"status\":404,", 14) == 0 && p->status == 404);
    CHECK(strncmp(reg_list(p, "", "{"), "{\"status\":400,", 14) == 0 && p->status == 400);
    CHECK(strncmp(reg_list(p, "lob\n", "{}"), "{\"status\":400,", 14) == 0);
    CHECK(p->answers == 8 && p->conn);
    CHECK(reg_leave(reg_who("bob")) == 1);
    CHECK(strcmp(reg_list(p, "lobby", "{}"), ALICE) == 0); /* at once */
    p->dialect = 'T';
    reg_ask(p, OCM_LIST, 0, "", "all");
    reg_hear_out(p);
    CHECK(reg_answered(p, OCM_LIST, "", 400));
    reg_end();
}

/* A request on a connection of its own, for tests with many members; its status. */
static int reg_quick(int op, const char *room, const char *name, const ocm_addr *from, char *token)
{
    static ocm_conn *conn;
    uint8_t bytes[1024];
    char payload[300];
    ocm_io io;
    const char *at;
    int status = 0, i;
    if (!conn) conn = (ocm_conn *)allocate(sizeof *conn);
    ocm_conn_open(conn, from, reg_now);
    sprintf(payload, "{\"username\":\"%s\"}", name);
    ocm_conn_received(conn, bytes, reg_frame(bytes, op, 0, room, payload), reg_now);
    for (i = 0; i < 3; i++) {
        ocm_conn_next(conn, reg_g, reg_now, &io);
        if (io.status) status = io.status;
        at = io.send.len > OCM_TOKEN_LEN + 2 ? (const char *)io.send.ptr + io.send.len : NULL;
        if (token && at && status < 300) memcpy(token, at - OCM_TOKEN_LEN - 2, OCM_TOKEN_LEN);
        ocm_conn_sent(conn, io.send.len);
    }
    ocm_conn_close(conn, reg_g, reg_now);
    return status;
}

/* Any of 127/8: of loopback there may be as many as one likes. */
static ocm_addr reg_loopback(uint32_t n)
{
    ocm_addr a = reg_host(0, 1024 + (int)(n % 60000));
    a.ip[12] = 127;
    a.ip[13] = (uint8_t)(n / 60000);
    a.ip[15] = 1;
    return a;
}

/* Rooms whose lines come to some bytes above or below 64 KiB: cut at a line's end, with a mark. */
static void test_list_cut(void)
{
    const size_t around = strlen("{\"room\":\"\",\"size\":1,\"password_required\":false}\n");
    char name[OCM_NAME_MAX + 1];
    ocm_addr from = reg_loopback(1);
    int over;
    for (over = -1; over <= 260; over += over < 60 ? 1 : 40) {
        size_t left = (size_t)(OCM_LIST_MAX + over), line;
        const char *list;
        reg_person *p;
        unsigned i;
        REG(.log = 1 << 20);
        for (i = 0; left > 0; i++, left -= line) {
            line = left > around + 255 ? left / 2 : left;
            if (left >= 2 * (around + 200)) line = around + 200;
            memset(name, 'r', sizeof name);
            name[sprintf(name, "%05u", i)] = 'r';
            name[line - around] = 0;
            CHECK(reg_quick(OCM_CREATE, name, "a", &from, NULL) == 201);
            reg_drain_unseen();
        }
        p = reg_who("eve");
        list = reg_list(p, "", "{}");
        CHECK((over > 0) == reg_like(list, strlen(list), "*}\n{\"more\":true}\n"));
        CHECK(over > 0 ? strlen(list) <= OCM_LIST_MAX && strlen(list) > OCM_LIST_MAX - 600
                       : strlen(list) == (size_t)(OCM_LIST_MAX + over));
        reg_end();
    }
}

/* For a minute after a wrong password, one request for that room from that origin is examined each
   second, in the order in which they came; nothing is answered before. */
static void test_guessing(void)
{
    static const char wrong[] = "{\"username\":\"eve\",\"password\":\"x\"}";
    static const char right[] = "{\"username\":\"bob\",\"password\":\"key\"}";
    reg_person *eve, *eva, *bob;
    uint64_t first;
    REG(.rooms = 3);
    reg_run("alice create locked json \"password\":\"key\"\ncarol create open json");
    eve = reg_who("eve");
    eva = reg_who("eva");
    bob = reg_who("bob");
    eve->dialect = eva->dialect = bob->dialect = 'J';
    eva->tcp.ip[15] = bob->tcp.ip[15] = eve->tcp.ip[15];
    reg_ask(eve, OCM_JOIN, 0, "locked", wrong);
    CHECK(eve->status == 401); /* the first at once */
    first = reg_now;
    reg_now += 10;
    reg_ask(bob, OCM_JOIN, 0, "locked", right);
    reg_ask(eva, OCM_JOIN, 0, "locked", wrong);
    reg_ask(eve, OCM_JOIN, 0, "locked", wrong);
    CHECK(bob->len == 0 && bob->io.until == first + 1000);
    reg_later(bob, first + 999 - reg_now);
    CHECK(bob->len == 0);
    reg_later(eve, first + 1000 - reg_now);
    reg_pump(eva);
    reg_pump(bob);
    CHECK(bob->status == 200 && eva->len == 0 && eve->len == 0);
    reg_later(eve, first + 2000 - reg_now);
    reg_pump(eva);
    CHECK(eva->status == 401 && eve->len == 0);
    reg_later(eve, first + 3000 - reg_now);
    CHECK(eve->len > 0 && eve->status == 401 && eve->answers == 2);
    reg_ask(eve, OCM_JOIN, 0, "open", "{\"username\":\"eve\"}"); /* another room */
    CHECK(eve->len > 0 && eve->status == 200);
    reg_run("dave join locked json \"password\":\"key\""); /* another origin */
    reg_now = first + 63000; /* a minute after the last wrong one */
    reg_hang_up(eva);
    reg_ask(eva, OCM_JOIN, 0, "locked", wrong);
    CHECK(eva->status == 401);
    CHECK(*reg_list(reg_who("mallory"), "locked", "{\"password\":\"x\"}") == 0);
    reg_ask(reg_who("mallory"), OCM_JOIN, 0, "locked", right); /* the list was a guess, too */
    CHECK(reg_who("mallory")->len == 0);
    reg_end();
}

/* However many origins guess: the memory for them is a fixed table, whose oldest entry goes. */
static void test_many_guess(void)
{
    ocm_addr from;
    reg_person *p;
    int i;
    REG(.rooms = 1);
    reg_run("alice create locked json \"password\":\"key\"");
    for (i = 1000; i < 11000; i++) {
        from = reg_host(i, 4000);
        CHECK(reg_quick(OCM_JOIN, "locked", "eve", &from, NULL) == 401);
    }
    p = reg_who("eve");
    p->tcp = from;
    reg_ask(p, OCM_JOIN, 0, "locked", "{\"username\":\"eve\"}");
    CHECK(p->len == 0); /* the newest waits */
    memset(&p->tcp.ip, 0x20, 16);
    reg_connect(p);
    reg_ask(p, OCM_JOIN, 0, "locked", "{\"username\":\"eve\"}");
    CHECK(p->status == 401);
    memset(p->tcp.ip + 8, 0x21, 8); /* an IPv6 /64 is one origin */
    reg_connect(p);
    reg_ask(p, OCM_JOIN, 0, "locked", "{\"username\":\"eve\"}");
    CHECK(p->len == 0);
    reg_end();
}

/* ---- The chat ---- */

static void test_relay(void)
{
    char longest[OCM_NAME_MAX + 1] = "";
    ocm_addr from = reg_host(9, 4009);
    REG(.rooms = 1);
    reg_run("alice create lobby json ->\n"
            "lena join lobby json1 -> alice +lena 2\n"
            "tom join lobby text -> alice +tom 3, lena +tom 3\n"
            "sam join lobby team_a -> alice +sam 4, lena +sam 4, tom +sam\n"
            "alice: hi \xE2\x82\xAC -> lena 5, tom, sam\n"
            "lena: a \"b\" \\ \t! -> alice 6, lena 6, tom, sam\n"
            "tom: c \"d\" \\ \t! -> alice 7, lena 7, sam\n"
            "sam: hi there -> alice 8, lena 8, tom\n"
            "alice raw {\"message\":\"x\",\"message\":\"\\u0022\"} -> "
            "lena 'alice: \"' 9, tom 'alice: \"', sam 'alice: \"'\n"
            "o\"k join lobby text -> alice +o\"k 10, lena +o\"k 10, tom +o\"k, sam +o\"k\n"
            "o\"k: hi -> alice 11, lena 11, tom, sam\n"
            "alice ping ->\ntom ping ->\nsam ping ->\nalice raw {} ->\n"
            "lena ping -> lena status 11 1 0\nlena raw {} -> lena status 11 1 0");
    CHECK(reg_counts()->messages == 6 && reg_counts()->rejected == 0);
    memset(longest, 'n', OCM_NAME_MAX);
    CHECK(reg_quick(OCM_JOIN, "lobby", longest, &from, NULL) == 200);
    reg_run("drain -> tom 'system: %s joined', alice *, lena *, sam *, o\"k *", longest);
    reg_end();
}

/* Below level 1, leaving is the only operation that a member may send as the system; and a message
   with a seq is one that a server sent. */
static void test_operations(void)
{
    reg_four(0);
    reg_run("alice raw {\"sender\":\"system\",\"operation\":1,\"message\":\"x\"} ->\n"
            "alice raw {\"sender\":\"system\",\"operation\":3,\"message\":\"x\"} ->\n"
            "alice at 1 ->\n"
            "alice raw {\"sender\":\"system\",\"message\":\"x\"} -> "
            "lena 'alice: x' 5, tom 'alice: x', sam 'alice: x'\n"
            "alice raw {\"sender\":\"eve\",\"operation\":2,\"message\":\"y\",\"id\":9} -> "
            "lena 'alice: y' 6, tom 'alice: y', sam 'alice: y'\n"
            "lena at 6 -> *");
    reg_send(reg_who("alice"), "{\"message\":\"x\",\"seq\":4}");
    reg_send(reg_who("lena"), "{\"message\":\"x\",\"seq\":4,\"id\":1}");
    reg_run("drain ->\nlena 1: z -> lena 7/1, alice 7, tom, sam");
    reg_end();
}

static void test_leaving(void)
{
    ocm_addr from = reg_host(9, 4009);
    reg_four(0);
    reg_run("sam leaves -> sam out left, alice -sam 5, lena -sam 5, tom -sam\n"
            "!sam: x ->\n!sam leaves ->\n"
            "tom leaves -> tom out left, alice -tom 6, lena -tom 6\n"
            "lena leaves -> lena out left, alice -lena 7\n"
            "alice leaves -> alice out left");
    CHECK(reg_counts()->rooms == 0 && reg_counts()->members == 0);
    CHECK(reg_until == UINT64_MAX);
    reg_end();
    reg_four(0); /* the name is free at once; the room hears first of the end, then of the join */
    reg_run("sam leaves");
    CHECK(reg_quick(OCM_JOIN, "lobby", "sam", &from, NULL) == 200);
    reg_run("drain -> sam out left, alice -sam 5, alice +sam 6, lena -sam 5, lena +sam 6,"
            "tom -sam, tom +sam");
    reg_end();
}

/* Everyone is told after what was accepted before, wherever the delivery stood; a new room of that
   name is there at once, and empty. */
static void test_host_leaves(void)
{
    uint64_t log;
    int heard;
    for (heard = 0; heard < 4; heard++) {
        int i;
        reg_four(0);
        log = reg_who("lena")->log;
        reg_run("tom: last words");
        for (i = 0; i < heard; i++) reg_pull();
        reg_run("alice leaves\n!tom: x\n!lena ping\nanna create lobby json1\nanna at 0\n"
                "drain -> alice 'tom: last words' 5, lena 'tom: last words' 5,"
                "sam 'tom: last words', alice out left, lena out host, tom out host, sam out host,"
                "anna +anna 1, anna status 1 1 0");
        CHECK(reg_who("anna")->log != log && reg_who("anna")->seq == 1);
        CHECK(reg_counts()->rooms == 1 && reg_counts()->members == 1);
        reg_end();
    }
}

static void test_stop(void)
{
    reg_four(0);
    reg_run("olaf create other text\ntom: last words\nstop\n!tom: x\n"
            "drain -> alice 'tom: last words' 5, lena 'tom: last words' 5, sam 'tom: last words',"
            "alice out stopping, lena out stopping, tom out stopping, sam out stopping,"
            "olaf out stopping");
    CHECK(reg_counts()->rooms == 0 && reg_counts()->members == 0);
    reg_end();
}

static void test_idle(void)
{
    REG(.rooms = 1, .idle = 20);
    reg_run("tom create lobby text\nlena join lobby json1\nsam join lobby team_a\n"
            "lena at 3 -> *\nwait 1000\ntom ping\nsam ping ->\nwait 8000\nlena ping -> *");
    CHECK(reg_who("lena")->idle == 20 && reg_until == reg_now + 12000);
    reg_run("wait 11999 ->");
    CHECK(reg_until == reg_now + 1);
    reg_run("sam ping\nwait 1 -> tom out timeout, lena out host, sam out host");
    CHECK(reg_counts()->members == 0 && reg_until == UINT64_MAX);
    reg_end();
    REG(.rooms = 1, .idle = 20);
    reg_run("tom create lobby text\nsam join lobby team_a\nwait 15000\ntom ping -> *\n"
            "wait 5000 -> sam out timeout, tom -sam\nwait 15000 -> tom out timeout");
    reg_end();
}

/* A member of level 1 that sends nothing within 10 s is out: its answer may have got lost. */
static void test_level_1_speaks(void)
{
    REG(.rooms = 1);
    reg_run("tom create lobby text\nlena join lobby json1\nanna join lobby json1 -> *");
    CHECK(reg_until <= reg_now + 10000);
    reg_run("wait 9999 -> *\nanna ping -> *\n"
            "wait 1 -> lena out timeout, tom -lena, anna -lena 4\n!lena ping\nwait 20000 -> *");
    CHECK(reg_counts()->members == 2);
    reg_end();
}

/* Three failed sends in a row, over at least 10 s, end a membership; one that goes well starts
   this over. */
static void test_failed_sends(void)
{
    static const struct { int at[6], out; } cases[] = { /* ms; negative: it goes well then */
        {{1, 2, 10001}, 1},       {{1, 2, 10000}, 0},          {{1, 5000, 10001}, 1},
        {{1, 2, 3, 10000, 10001}, 1}, {{1, 10001, -10002}, 0}, {{1, 2, -3, 10001, 10002}, 0},
        {{-1, -2, 3, 4, 10002}, 0},   {{-1, -2, 3, 4, 10003}, 1}, {{1, 20000}, 0},
        {{1, 2, -10001, 10002, 10003, 20001}, 0}, {{1, 2, -10001, 10002, 10003, 20002}, 1}};
    char name[32];
    uint64_t start;
    size_t i, k;
    for (i = 0; i < COUNT(cases); i++) {
        reg_four(0);
        start = reg_now;
        for (k = 0; k < 6 && cases[i].at[k]; k++) {
            reg_now = start + (uint64_t)abs(cases[i].at[k]);
            reg_failing = cases[i].at[k] > 0 ? reg_who("tom") : NULL;
            reg_run("alice: x -> *");
        }
        sprintf(name, "%d", (int)i);
        row = name;
        CHECK(reg_counts()->members == (cases[i].out ? 3u : 4u));
        CHECK(reg_say(reg_who("tom"), "x", 0) == !cases[i].out);
        reg_end();
    }
    reg_four(0);
    reg_failing = reg_who("sam");
    reg_run("alice: x\nalice: y -> lena 'alice: x' 5, tom 'alice: x', lena 6, tom\n"
            "wait 10000\nlena at 6 -> *\nalice: x -> lena 7, tom, alice -sam 8, lena -sam 8,"
            "tom -sam, sam out unreachable");
    reg_failing = reg_who("lena"); /* what failed before it came back, does not count afterwards */
    reg_run("alice: x\nalice: y -> *\nlena returns lobby same\nlena ping -> *\nwait 10000\n"
            "alice: x -> *\nlena ping");
    CHECK(reg_counts()->members == 3);
    reg_end();
}

/* A failure may be told later, with a copy of the event; told twice it counts once, and of a
   membership that has ended not at all. */
static void test_failed_later(void)
{
    ocm_event kept[4], ev;
    size_t i, n = 0;
    reg_four(0);
    for (i = 0; i < 4; i++, reg_now += 4000) {
        CHECK(reg_say(reg_who("alice"), "x", 0) == 1);
        while (ocm_registry_next(reg_g, reg_now, &ev))
            if (reg_same(&ev.to, &reg_who("tom")->at) && n < 4) kept[n++] = ev;
    }
    CHECK(n == 4);
    ocm_registry_failed(reg_g, &kept[1], reg_now);
    reg_now += 10000;
    ocm_registry_failed(reg_g, &kept[2], reg_now);
    ocm_registry_failed(reg_g, &kept[2], reg_now);
    CHECK(reg_counts()->members == 4);
    reg_run("tom leaves -> *\neve join lobby text -> *");
    for (i = 1; i < 4; i++) ocm_registry_failed(reg_g, &kept[i], reg_now + 20000);
    CHECK(reg_counts()->members == 4);
    reg_end();
}

static void test_rejected(void)
{
    static const char *const text[] = {"a\nb", "\x1B[2J", "\xFF", "\xC0\x80", "\x7F", "\xC2\x85"};
    static const char *const json[] = {
        "{\"message\":\"a\x7F\"}", "{\"message\":\"\\u0085\"}", "{\"message\":\"\\n\"}",
        "{\"message\":", "hi", "{\"message\":7}"};
    static char longest[OCM_DATAGRAM_MAX + 2];
    size_t i;
    reg_four(0);
    for (i = 0; i < COUNT(text); i++) {
        reg_now += 1000;
        row = text[i];
        CHECK(reg_say(reg_who("tom"), text[i], 0) == 1 && reg_send(reg_who("alice"), json[i]) == 1);
        reg_run("drain -> tom refused, alice refused");
    }
    reg_run("wait 999\ntom: \x01\nalice: \x01 ->\nwait 1\ntom: \x01 -> tom refused");
    CHECK(reg_counts()->messages == 0 && reg_counts()->rejected == 15);
    reg_now += 1000; /* spaces may follow, but no datagram is longer than 4096 bytes */
    memset(longest, ' ', sizeof longest - 1);
    memcpy(longest, "{\"message\":\"hi\"}", 16);
    longest[OCM_DATAGRAM_MAX - 39] = 0;
    CHECK(reg_send(reg_who("alice"), longest) == 1);
    reg_run("drain -> lena 'alice: hi' 5, tom 'alice: hi', sam 'alice: hi'");
    longest[OCM_DATAGRAM_MAX - 39] = ' ';
    longest[OCM_DATAGRAM_MAX - 38] = 0;
    CHECK(reg_send(reg_who("alice"), longest) == 1);
    reg_run("drain -> alice refused");
    reg_end();
}

/* Room name, user name and text count together, the latter two as JSON writes them. What has 3990
   bytes reaches everyone, whatever the dialect. */
static void test_too_long(void)
{
    static const char *const kinds[] = {"json", "json1", "text", "team_a"};
    static char text[OCM_TEXT_MAX + 2];
    size_t most = OCM_TEXT_MAX - 5 - 7, k, quote;
    for (k = 0; k < 4; k++)
        for (quote = 0; quote < 2; quote++) {
            REG(.rooms = 1);
            reg_run("na\\\"e create lobby %s\nlena join lobby json1\ntom join lobby text\n"
                    "sam join lobby team_a\nalice join lobby json\nlena at 5 -> *", kinds[k]);
            memset(text, 'w', sizeof text - 1);
            if (quote) text[7] = text[9] = text[most / 2] = '\t';
            text[most - 3 * quote] = 0;
            reg_run("na\\\"e: %s -> lena 6, tom, sam, alice 6%s", text,
                    k == 1 ? ", na\\\"e 6" : "");
            text[most - 3 * quote] = 'w';
            text[most - 3 * quote + 1] = 0;
            reg_run(k == 1 ? "na\\\"e 1: %s -> na\\\"e refused 1, na\\\"e status 6 1 1"
                           : "na\\\"e: %s -> na\\\"e refused", text);
            reg_end();
        }
}

static unsigned reg_accepted(const char *name, unsigned times)
{
    uint64_t before = reg_counts()->messages;
    while (times--) CHECK(reg_say(reg_who(name), "x", 0) == 1);
    reg_drain();
    reg_forget();
    return (unsigned)(reg_counts()->messages - before);
}

static void test_rate(void)
{
    int i;
    reg_four(10);
    reg_run("wait 5000");
    CHECK(reg_accepted("tom", 50) == 20); /* a burst of twice the rate */
    CHECK(reg_accepted("tom", 5) == 0 && reg_accepted("sam", 1) == 1);
    reg_now += 99;
    CHECK(reg_accepted("tom", 5) == 0);
    reg_now += 1;
    CHECK(reg_accepted("tom", 5) == 1);
    reg_now += 1000;
    CHECK(reg_accepted("tom", 50) == 10);
    reg_run("tom: x ->\nwait 1000"); /* told a moment ago, so not again */
    CHECK(reg_accepted("tom", 10) == 10);
    reg_run("tom: x -> tom refused\nwait 10000");
    for (i = 0; i < 20; i++) CHECK(reg_send(reg_who("tom"), "") == 1); /* costs as much */
    CHECK(reg_accepted("tom", 5) == 0);
    reg_run("tom leaves -> tom out left, alice *, lena *, sam *");
    reg_end();
}

/* At level 1 a datagram may hold several messages; what is over the rate is not taken, costs
   nothing and is not spoken of. */
static void test_rate_of_batches(void)
{
    char batch[4096], *at = batch;
    int i;
    for (i = 1; i <= 30; i++) at += sprintf(at, "{\"message\":\"x\"}\n");
    reg_four(10);
    reg_run("wait 5000\nlena at 4 -> *\nwait 2000");
    CHECK(reg_send(reg_who("lena"), batch) == 1);
    CHECK(reg_counts()->messages == 20);
    reg_end();
    for (at = batch, i = 1; i <= 30; i++) at += sprintf(at, "{\"message\":\"x\",\"id\":%d}\n", i);
    reg_four(10);
    reg_run("lena at 4 -> *\nwait 5000\nsam ping\nlena at 4 -> *\nwait 2000");
    CHECK(reg_send(reg_who("lena"), batch) == 1);
    CHECK(reg_counts()->messages == 20);
    CHECK(reg_send(reg_who("lena"), batch) == 1);
    reg_drain();
    CHECK(reg_next_line(reg_who("lena"), 1) == NULL);
    reg_run("drain -> *\nwait 99\nlena ping ->\nwait 1\nlena ping -> lena status 24 1 20");
    reg_now += 300; /* three; repeated messages cost nothing, nor do those that are not taken */
    CHECK(reg_send(reg_who("lena"), strstr(batch, "{\"message\":\"x\",\"id\":21")) == 1);
    CHECK(reg_counts()->messages == 23);
    reg_run("drain -> *\nlena leaves -> lena out left, alice *, tom *, sam *");
    reg_end();
}

static void test_strangers(void)
{
    static const struct { const char *room; int token, host, port, result; } cases[] = {
        /* token: of which person; -1 nobody's, -2 cut, -3 none */
        {"lobby", 2, 3, 4003, 1},  {"lobby", 2, 3, 5555, 1},  {"lobby", 2, 4, 4003, 0},
        {"lobby", 3, 3, 4003, 0},  {"lobb", 2, 3, 4003, 0},   {"other", 2, 3, 4003, 0},
        {"", 2, 3, 4003, 0},       {"lobby2", 2, 3, 4003, 0}, {"lobby", -1, 3, 4003, 0},
        {"lobby", -2, 3, 4003, 0}, {"lobby", -3, 3, 4003, 0}};
    uint8_t bytes[256];
    size_t i, len;
    reg_four(0);
    reg_run("olaf create other text");
    for (i = 0; i < COUNT(cases); i++) {
        char token[OCM_TOKEN_LEN + 1] = "ffffffffffffffffffffffffffffffff";
        ocm_addr from = reg_host(cases[i].host, cases[i].port);
        row = cases[i].room;
        if (cases[i].token >= 0) strcpy(token, reg_people[cases[i].token].token);
        if (cases[i].token == -2) memcpy(token, reg_people[2].token, OCM_TOKEN_LEN - 1),
                                  token[OCM_TOKEN_LEN - 1] = 0;
        if (cases[i].token == -3) token[0] = 0;
        len = reg_header(row, token, bytes);
        memcpy(bytes + len, "hi", 2);
        CHECK(reg_send_bytes(bytes, len + 2, &from) == cases[i].result);
        CHECK(reg_drain_unseen() == (cases[i].result ? 3 : 0));
    }
    for (i = 0; i < len + 2; i++) CHECK(reg_send_bytes(bytes, i, &reg_people[2].at) == 0);
    CHECK(reg_counts()->datagrams == 1 + COUNT(cases) + len + 2);
    CHECK(reg_counts()->dropped == COUNT(cases) - 2 + len + 2);
    reg_end();
}

/* The port of the request, else of its connection; then wherever it was heard last. */
static void test_addresses(void)
{
    reg_person *bob;
    REG(.rooms = 2, .members = 4);
    reg_run("alice create lobby json\nbob join lobby json \"ip\":\"10.9.9.9\",\"port\":7000\n"
            "bob port 7000\ndrain -> alice +bob 2\nalice: one -> bob 3\nbob port 7777\nbob ping\n"
            "alice: two -> bob 4");
    bob = reg_who("bob");
    bob->at.socket = 5;
    bob->at.local[3] = 9;
    reg_run("bob ping\nalice: three -> bob 5\nbob host 9\n!bob ping\nbob host 2\nbob port 7777");
    bob->at.socket = 5;
    bob->at.local[3] = 9;
    reg_run("alice: four -> bob 6\n"
            "carl create other text\n" /* loopback is one host; a mapped address is the IPv4 one */
            "carl leaves -> carl out left\n"
            "carl ip 00000000000000000000ffff7f000001\ncarl create other text\n"
            "carl ip 00000000000000000000000000000001\ncarl ping ->\n"
            "carl ip 00000000000000000000ffff7f050607\ncarl ping ->\n"
            "carl ip 0000000000000000000000007f000001\n!carl ping ->\n"
            "carl ip fe800000000000000000000000000001\n!carl ping ->\n"
            "carl create third text = 503");
    reg_end();
    REG(.rooms = 1);
    reg_run("dora ip fe800000000000000000000000000001");
    bob = reg_who("dora");
    bob->at.scope = bob->tcp.scope = 2;
    reg_run("dora create lobby text\ndora ping ->");
    bob->at.scope = 3;
    reg_run("!dora ping ->");
    reg_end();
}

static void test_slots(void)
{
    char first[OCM_TOKEN_LEN + 1] = "";
    int round;
    REG(.rooms = 2, .members = 3, .origin_size = 3);
    for (round = 0; round < 5; round++) {
        reg_run("a create one text\nb create two json\nc create three text = 503\n"
                "c join one text\nd join two json = 503\nd join nowhere json1 = 404\n"
                "b leaves -> *\nd join two team_a = 404\nd join one team_a\n"
                "e create two json = 503\n"
                "d leaves -> *\nd join one json -> *");
        CHECK(strcmp(first, reg_who("a")->token) != 0);
        strcpy(first, reg_who("a")->token);
        reg_run("a leaves -> *");
        CHECK(reg_counts()->rooms == 0 && reg_counts()->members == 0);
    }
    reg_end();
}

static void test_limits(void)
{
    REG(.rooms = 3, .members = 20, .room_size = 3, .origin_size = 2, .origin_joins = OCM_UNLIMITED);
    reg_run("a create lobby json\nb join lobby json\nc join lobby json\nd join lobby json = 503\n"
            "c leaves -> *\nd join lobby json\nd leaves -> *\n"
            "e create one json\nf host 5\nf join one json = 200\ng host 5\ng join one json = 503\n"
            "f leaves -> *\ng join one json\ng leaves -> *\n"
            "h ip 20010db8000000010000000000000001\nh join one json\n"
            "i ip 20010db8000000010000000000000002\ni join one json\ni leaves -> *\n"
            "i join one json\nj ip 20010db80000000100ff000000000002\nj join lobby json = 503\n"
            "j ip 20010db8000000020000000000000002\nj join lobby json\n"
            "k ip 0000000000000000000000000000000f\nk create two json");
    reg_run("l ip 00000000000000000000000000000001\nl join two json\n"
            "m ip 00000000000000000000ffff7f000002\nm join two json\nm leaves\ne leaves -> *\n"
            "m join lobby json = 503");
    reg_end();
    REG(.rooms = 2, .members = 100, .origin_joins = 2);
    reg_run("alice create lobby json\na host 9\na join lobby json\nb host 9\nb join lobby json\n"
            "c host 9\nc join lobby json\nd host 9\nd join lobby json\n"
            "e host 9\ne join lobby json = 503\nwait 499\ne join lobby json = 503\n"
            "wait 1\ne join lobby json\nf host 9\nf join lobby json = 503\ng join lobby json\n"
            "a leaves -> *\na join lobby json = 503\nwait 10000\n" /* leaving gives none back */
            "a join lobby json\nf join lobby json\n");
    reg_end();
}

/* By default one origin may hold a quarter of all memberships; loopback may hold all of them. */
static void test_default_limits(void)
{
    ocm_addr from = reg_host(9, 4000);
    char name[16];
    uint32_t i;
    REG(.rooms = 1, .members = 40, .origin_joins = OCM_UNLIMITED);
    for (i = 0; i < 12; i++) {
        sprintf(name, "n%u", (unsigned)i);
        CHECK(reg_quick(i ? OCM_JOIN : OCM_CREATE, "lobby", name, &from, NULL) ==
              (i == 0 ? 201 : i < 10 ? 200 : 503));
    }
    for (i = 0; i < 31; i++) {
        sprintf(name, "m%u", (unsigned)i);
        from = reg_loopback(i);
        CHECK(reg_quick(OCM_JOIN, "lobby", name, &from, NULL) == (i < 30 ? 200 : 503));
        reg_drain_unseen();
    }
    reg_end();
    reg_begin(NULL);
    from = reg_host(9, 4000);
    for (i = 0; i < 25; i++) {
        sprintf(name, "n%u", (unsigned)i);
        CHECK(reg_quick(OCM_CREATE, name, "a", &from, NULL) == (i < 20 ? 201 : 503));
    }
    for (i = 0; i < 990; i++) {
        from = reg_loopback(i);
        sprintf(name, "m%u", (unsigned)i);
        CHECK(reg_quick(OCM_CREATE, name, "a", &from, NULL) == (i < 980 ? 201 : 503));
        reg_drain_unseen();
    }
    reg_end();
}

/* A room of which 64 entries wait takes no more until it has caught up, and loses nothing. */
static void test_full_room(void)
{
    int i;
    REG(.rooms = 4, .members = 40, .rate = OCM_UNLIMITED);
    reg_run("alice create lobby json\nlena join lobby json1\ntom join lobby text\n"
            "sam join lobby team_a\nolaf create other json\nola join other json\nlena at 4 -> *");
    for (i = 0; i < 70; i++) CHECK(reg_say(reg_who("tom"), "word", 0) == 1);
    CHECK(reg_counts()->messages == 64);
    CHECK(reg_counts()->rejected == 6);
    reg_run("lena 1: x\nbob join lobby json = 503\nola: hi\nsam leaves\nalice: x");
    CHECK(reg_counts()->messages == 65 && reg_counts()->members == 5);
    CHECK(reg_counts()->rejected == 8);
    reg_drain();
    for (i = 5; i < 69; i++) {
        char line[64];
        sprintf(line, "alice 'tom: word' %d", i);
        reg_expect(line);
        sprintf(line, "lena 'tom: word' %d", i);
        reg_expect(line);
    }
    reg_run("drain -> *\nlena 1: x -> alice 70, lena 70/1, tom\nbob join lobby json");
    reg_end();
}

/* Rooms are served in turn: a quiet room of two does not wait for a busy one of 200. */
static void test_fairness(void)
{
    ocm_addr from;
    ocm_event ev;
    char name[16];
    uint32_t i, pulls, round;
    REG(.rooms = 2, .rate = OCM_UNLIMITED);
    reg_run("alice create big json\nbob create small json\ncarl join small json -> *");
    for (i = 0; i < 200; i++) {
        from = reg_loopback(i);
        sprintf(name, "n%u", (unsigned)i);
        CHECK(reg_quick(OCM_JOIN, "big", name, &from, NULL) == 200);
        reg_drain_unseen();
    }
    for (round = 0; round < 5; round++) {
        for (i = 0; i < 50; i++) CHECK(reg_say(reg_who("alice"), "word", 0) == 1);
        for (i = 0; i < 1000 * round; i++) CHECK(ocm_registry_next(reg_g, reg_now, &ev));
        CHECK(reg_say(reg_who("bob"), "hi", 0) == 1);
        for (pulls = 0; pulls < 5000; pulls++)
            if (ocm_registry_next(reg_g, reg_now, &ev) && reg_same(&ev.to, &reg_who("carl")->at))
                break;
        CHECK(pulls <= 64);
        CHECK(reg_drain_unseen() > 5000 - 1000);
    }
    reg_end();
}

/* ---- Level 1 ---- */

#define POSITION "{\"sender\":\"system\",\"operation\":6,\"seq\":"

static void test_positions(void)
{
    REG(.rooms = 1);
    reg_run("tom create lobby text\nlena join lobby json1 -> tom +lena\n"
            "tom: a -> lena 3\ntom: b -> lena 4\n"
            "lena at 2 -> lena 'tom: a' 3, lena 'tom: b' 4, lena status 4 1 0\n" /* back */
            "lena at 1 -> lena status 4 1 0\n"                                   /* stale */
            "lena at 2 -> lena 'tom: a' 3, lena 'tom: b' 4, lena status 4 1 0\n" /* not stale */
            "lena at 4 -> lena status 4 1 0\nlena at 3 -> lena status 4 1 0\n"
            "lena at 99 -> lena status 4 1 0\ntom: c -> lena 5\n"
            "anna join lobby json1 -> tom +anna, lena +anna 6\n"
            "anna at 0 -> anna status 6 1 0, anna +tom 1, anna +lena 2, anna 'tom: a' 3,"
            "anna 'tom: b' 4, anna 'tom: c' 5, anna +anna 6\n"
            "eve join lobby json1 -> *\n" /* of two positions the last counts, one status comes */
            "eve raw " POSITION "6}^^" POSITION "5}^^ -> "
            "eve +anna 6, eve +eve 7, eve status 7 1 0\n"
            "eve raw " POSITION "3,\"first\":1} ->\n" /* that is a server's status */
            "eve raw {\"message\":\"x\",\"id\":1}^{\"message\":\"y\",\"id\":2}^" POSITION "7} -> "
            "eve 'eve: x' 8/1, eve 'eve: y' 9/2, eve status 9 1 2, tom 'eve: x', tom 'eve: y',"
            "lena 'eve: x' 8/1, lena 'eve: y' 9/2, anna 'eve: x' 8/1, anna 'eve: y' 9/2");
    reg_end();
    REG(.rooms = 1); /* forward, over what was not sent yet */
    reg_run("tom create lobby text\nlena join lobby json1\ntom: a\ntom: b\ntom: c\n"
            "lena at 4 -> tom +lena, lena 'tom: c' 5, lena status 5 1 0");
    reg_end();
}

/* `count` words of tom's in the room, all delivered; each as long as `text`. */
static void reg_past(int count, const char *text)
{
    while (count-- > 0) reg_run("tom: %s -> *", text);
}

static void reg_expect_words(const char *name, unsigned from, unsigned to, const char *text)
{
    char line[8192];
    for (; from <= to; from++) {
        sprintf(line, "%s 'tom: %s' %u", name, text, from);
        reg_expect(line);
    }
}

/* If more than 64 entries or 64 KiB follow a position, the server waits for the next one then. */
static void test_pause(void)
{
    static char text[3901];
    size_t sent;
    REG(.rooms = 1, .rate = OCM_UNLIMITED);
    reg_run("tom create lobby text\nlena join lobby json1\nlena at 2 -> *");
    reg_past(64, "w");
    reg_run("lena at 2\ndrain");
    reg_drain();
    reg_expect_words("lena", 3, 66, "w");
    reg_run("drain -> lena status 66 1 0\ntom: w -> lena 67\nlena at 2");
    reg_drain();
    reg_expect_words("lena", 3, 66, "w");
    reg_run("drain -> lena status 67 1 0\ntom: w ->\nwait 2999 ->\n"
            "lena at 66 -> lena 'tom: w' 67, lena 'tom: w' 68, lena status 68 1 0\n"
            "tom: w -> lena 69");
    memset(text, 'w', sizeof text - 1);
    reg_past(60, text);
    reg_run("lena at 69");
    reg_drain();
    sent = reg_line_count - 1;
    CHECK(sent >= 15 && sent <= 17);
    reg_expect_words("lena", 70, (unsigned)(69 + sent), text);
    reg_run("drain -> lena status 129 1 0\ntom: w ->\nlena at 129 -> lena 'tom: w' 130,"
            "lena status 130 1 0");
    reg_end();
}

static void test_ids(void)
{
    reg_four(0);
    reg_run("lena 1: one -> lena 5/1, alice 5, tom, sam\n"
            "lena 3: three ->\n" /* 2 has to come first; a refused one is taken, too */
            "lena 1: one -> lena status 5 1 1\nlena: bare -> lena 6, alice 6, tom, sam\n"
            "lena raw {\"message\":\"\\u0001\",\"id\":2} -> lena refused 2, lena status 6 1 2\n"
            "wait 1000\nlena raw {\"message\":\"\",\"id\":3} -> lena refused 3, lena status 6 1 3\n"
            "lena raw {\"message\":\"\\n\",\"id\":4} -> lena status 6 1 4\n" /* too soon to say */
            "lena raw {\"message\":\"p\"}^{\"message\":\"q\"} -> lena 'lena: p' 7,"
            "lena 'lena: q' 8, alice *, alice *, tom *, tom *, sam *, sam *\n"
            "alice raw {\"message\":\"mine\",\"id\":1} -> lena 'alice: mine' 9, tom 'alice: mine',"
            "sam 'alice: mine'\n"
            "lena raw {\"message\":\"a\",\"id\":4}^{\"message\":\"b\",\"id\":5}^{\"message\":\"d\","
            "\"id\":7} -> lena 'lena: b' 10/5, alice 'lena: b' 10, tom 'lena: b',"
            "sam 'lena: b', lena status 10 1 5\n"
            "lena raw {\"message\":\"x\",\"id\":0} -> *\nlena raw {\"sender\":\"system\","
            "\"operation\":2} -> lena out left, alice *, tom *, sam *");
    reg_end();
}

static int reg_packets_to(const reg_person *p, size_t *longest)
{
    size_t i;
    int count = 0;
    *longest = 0;
    for (i = 0; i < reg_packet_count; i++) {
        if (reg_packets[i].to != p) continue;
        count++;
        if (reg_packets[i].len > *longest) *longest = reg_packets[i].len;
    }
    return count;
}

/* Entries that have piled up share datagrams of at most 1200 bytes; full ones are equally long, so
   that a system may send several in one call. A longer entry goes alone. */
static void test_batches(void)
{
    static char words[51], longer[2001], half[601];
    const reg_person *lena;
    size_t longest, len[64], n = 0, i;
    size_t spare = OCM_BATCH_MAX - (2 + 5 + OCM_TOKEN_LEN) - 2 * strlen(
                   "{\"sender\":\"tom\",\"message\":\"\",\"seq\":5}\n");
    memset(words, 'w', 50);
    memset(longer, 'l', 2000);
    reg_four(0);
    lena = reg_who("lena");
    for (i = 0; i < 60; i++) CHECK(reg_say(reg_who("tom"), i == 30 ? longer : words, 0) == 1);
    reg_drain();
    for (i = 0; i < reg_packet_count; i++)
        if (reg_packets[i].to == lena && CHECK(n < COUNT(len))) len[n++] = reg_packets[i].len;
    CHECK(n >= 6 && n <= 8);
    for (i = 0; i < n; i++) CHECK(len[i] == OCM_BATCH_MAX || len[i] > 2000 || i == n - 1 ||
                                  len[i + 1] > 2000);
    reg_expect_words("lena", 5, 34, words);
    reg_expect_words("lena", 35, 35, longer);
    reg_expect_words("lena", 36, 64, words);
    reg_end();
    for (i = 0; i < 2; i++) { /* two that just fit, and two that just do not */
        reg_four(0);
        memset(half, 'h', sizeof half - 1);
        half[spare / 2] = 0;
        reg_run("tom: %s", half);
        memset(half, 'h', sizeof half - 1);
        half[spare - spare / 2 + i] = 0;
        reg_run("tom: %s", half);
        reg_drain();
        CHECK(reg_packets_to(reg_who("lena"), &longest) == 1 + (int)i);
        CHECK(i == 1 || longest == OCM_BATCH_MAX);
        reg_end();
    }
}

/* When nothing was added for 3 s, members that did not say that they have the newest entry get a
   status, ten times at most. */
static void test_probe(void)
{
    int i, round;
    REG(.rooms = 1);
    reg_run("tom create lobby text\nlena join lobby json1\nanna join lobby json1\nanna ping\n"
            "lena ping -> *\ntom: a -> lena 4, anna 4\nwait 1000\nanna at 4 -> anna status 4 1 0");
    for (round = 0; round < 2; round++) {
        CHECK(reg_until == reg_now + (round ? 3000 : 2000));
        reg_run(round ? "wait 2999 ->" : "wait 1999 ->");
        reg_run("wait 1 -> lena status %d 1 0", 4 + round);
        for (i = 1; i < 10; i++) {
            CHECK(reg_until == reg_now + 3000);
            reg_run("wait 2999 ->\nwait 1 -> lena status %d 1 0", 4 + round);
        }
        reg_run("lena ping\nanna ping -> *\nwait 60000 ->\n");
        if (round == 0) reg_run("tom: b -> lena 5, anna 5\nanna at 5 -> anna status 5 1 0");
    }
    reg_run("tom: c -> lena 6, anna 6\nanna at 6 -> anna status 6 1 0\n"
            "wait 3000 -> lena status 6 1 0\nlena at 5 -> lena 'tom: c' 6, lena status 6 1 0\n"
            "wait 3000 -> lena status 6 1 0\nlena at 6 -> lena status 6 1 0\nwait 60000 ->");
    reg_end();
}

/* The log of 64 KiB: the oldest entries go, and a status says where it begins. */
static void test_overwritten(void)
{
    static char text[1001];
    unsigned newest = 0, first = 0, i;
    const reg_line *l;
    memset(text, 'w', 1000);
    reg_four(OCM_UNLIMITED);
    reg_past(200, text);
    reg_run("lena at 204 -> *\nanna join lobby json1 -> *\nanna at 0");
    reg_drain();
    l = reg_next_line(reg_who("anna"), 1);
    if (!CHECK(l != NULL)) return;
    sscanf(strstr(l->text, "\"seq\""), "\"seq\":%u,\"first\":%u,\"id\":0}", &newest, &first);
    CHECK(newest == 205 && first > 140 && first < 190);
    reg_expect_words("anna", first, first + 3, text);
    for (i = 0; i < reg_line_count; i++) reg_lines[i].read = 1;
    reg_run("anna at %u", first - 2);
    reg_drain();
    reg_run("anna ping -> *");
    reg_end();
}

/* An entry that a member who keeps up was not sent yet is never overwritten; new messages are
   refused. Anyone who pauses holds nothing back. */
static void test_nothing_is_overwritten(void)
{
    static char text[2001];
    unsigned took, i;
    memset(text, 'w', 2000);
    reg_four(OCM_UNLIMITED);
    for (i = 0; i < 60; i++) CHECK(reg_say(reg_who("tom"), text, 0) == 1);
    took = (unsigned)reg_counts()->messages;
    CHECK(took > 20 && took < 33);
    reg_run("lena 1: x\nbob create other json = 503\nsam leaves");
    CHECK(reg_counts()->messages == took && reg_counts()->members == 3);
    reg_drain();
    reg_expect_words("lena", 5, 4 + took, text);
    reg_expect_words("alice", 5, 4 + took, text);
    reg_run("drain -> *\nlena 1: x -> lena %u/1, alice %u, tom", took + 6, took + 6);
    reg_past(70, "short");
    reg_run("lena at 4 -> *"); /* paused now */
    CHECK(reg_counts()->members == 3);
    reg_past(100, text);
    CHECK(reg_counts()->messages == took + 1 + 70 + 100);
    reg_end();
}

static void test_coming_back(void)
{
    reg_person *lena;
    uint64_t log;
    char mine[OCM_TOKEN_LEN + 1];
    reg_four(0);
    lena = reg_who("lena");
    log = lena->log;
    reg_run("lena 1: one -> lena 5/1, alice 5, tom, sam\nlena host 9\n!lena ping\n"
            "lena returns lobby same ->");
    CHECK(lena->seq == 5 && lena->log == log && reg_counts()->members == 4);
    reg_run("alice: two -> lena 6, tom, sam\nlena 1: one -> lena status 6 1 1\n"
            "lena 2: three -> lena 7/2, alice 7, tom, sam\n"
            "alice: four\nlena returns lobby same -> lena 'alice: four' 8, tom 'alice: four',"
            "sam 'alice: four'\n"
            "lena returns lobby same \"port\":7000\nlena port 7000\n"
            "alice: five -> lena 9, tom, sam");
    CHECK(lena->seq == 8);
    strcpy(mine, lena->token);
    reg_run("lena join lobby json \"token\":\"%s\" = 409\n" /* not of level 1 */
            "lena join lobby json1 = 409\nlena join lobby json1 \"token\":\"%.31s\" = 409\n"
            "lena join lobby json1 \"token\":\"%s\" = 409\ntom join lobby text = 409", mine, mine,
            reg_who("alice")->token);
    reg_run("eve join lobby json1 \"token\":\"%s\" -> *", mine); /* not her name: somebody new */
    CHECK(strcmp(reg_who("eve")->token, mine) != 0 && reg_counts()->members == 5);
    reg_run("lena ping -> lena status 10 1 2\nlena leaves -> *\nlena returns lobby new -> *");
    CHECK(lena->seq == 12);
    reg_end();
}

static void test_coming_back_locked(void)
{
    REG(.rooms = 2);
    reg_run("alice create lobby json1 \"password\":\"key\"\n"
            "bob join lobby json1 \"password\":\"key\"\nbob returns lobby same\nbob host 9\n"
            "bob returns lobby same = 401\nbob host 10\n"
            "bob returns lobby same \"password\":\"kez\" = 401\nbob host 11\n"
            "bob returns lobby same \"password\":\"key\" -> *\nbob ping -> *\n"
            "carl join lobby json1 \"token\":\"abc\" = 401\n"
            "bob join lobby json1 \"token\":\"00000000000000000000000000000000\" = 401");
    CHECK(reg_counts()->members == 2);
    reg_end();
}

/* No two logs have the same number, and no two members the same token. */
static void test_numbers(void)
{
    static char token[200][OCM_TOKEN_LEN + 1];
    uint64_t log[200];
    int i, k;
    REG(.rooms = 2, .origin_joins = OCM_UNLIMITED);
    for (i = 0; i < 200; i++) {
        reg_person *p = reg_who("alice");
        reg_run("alice create lobby json1 -> *");
        strcpy(token[i], p->token);
        log[i] = p->log;
        for (k = 0; k < i; k++) CHECK(log[k] != log[i]);
        for (k = 0; k < i; k++) CHECK(memcmp(token[k], token[i], 16) != 0);
        for (k = 0; k < i; k++) CHECK(memcmp(token[k] + 16, token[i] + 16, 16) != 0);
        reg_run("alice leaves -> *");
    }
    reg_end();
}

/* ---- Time ---- */

/* What `until` says is right: nothing happens before, and then something does. */
static void test_until(void)
{
    int steps;
    REG(.rooms = 2, .idle = 60);
    reg_run("tom create lobby text\nlena join lobby json1\nanna join lobby json1\n"
            "sam create other team_a\nanna ping -> *");
    for (steps = 0; reg_until != UINT64_MAX && steps < 100; steps++) {
        uint64_t until = reg_until, events = reg_counts()->events;
        reg_now = until - 1;
        CHECK(reg_drain_unseen() == 0 && reg_until == until);
        reg_now = until;
        reg_drain_unseen();
        CHECK(reg_counts()->events > events);
    }
    CHECK(steps >= 13 && steps < 30); /* lena's 10 s, ten probes of anna, three times idle */
    CHECK(reg_counts()->members == 0);
    reg_end();
}

/* The clock may begin anywhere. */
static void test_clock(void)
{
    static const uint64_t starts[] = {0, 0x7FFFFFFF - 12000, 0xFFFFFFFF - 12000,
                                      0x7FFFFFFFFFFFFFFF - 12000, 1};
    char name[32];
    size_t i;
    for (i = 0; i < COUNT(starts); i++) {
        sprintf(name, "%llx", (unsigned long long)starts[i]);
        row = name;
        reg_start = starts[i];
        test_silence();
        test_request_too_large();
        test_guessing();
        test_idle();
        test_level_1_speaks();
        test_failed_sends();
        test_rejected();
        test_rate();
        test_rate_of_batches();
        test_limits();
        test_probe();
        test_until();
    }
    reg_start = 5000;
}

/* ---- The storm ---- */

/* Random inputs, against a model that knows only what was asked and said. The host of each
   room is of level 1 and asks for the log from its first entry on: so what it hears is the log,
   without a hole, and has to hold whatever the model knows to be accepted, in that order. The
   datagrams to everybody else are compared with that log whenever all is delivered. */

enum { STORM_ROOMS = 4, STORM_MEMBERS = 14, STORM_LIVES = 9, STORM_LOG = 500, STORM_LINES = 2000 };

typedef struct storm_entry {
    int operation;
    uint64_t id;
    char who[32], text[200];
} storm_entry;

typedef struct storm_life { /* a room, until its last member is told of its end */
    int used, open, name;
    unsigned seq, said, checked, left, left_told; /* entries in the log; accepted; compared */
    storm_entry entry[STORM_LOG + 1], expected[STORM_LOG];
} storm_life;

typedef struct storm_member { /* reg_people[i] is who it is */
    int used, in, reason, host, bad, failed, spoke, moved, refused, lines;
    storm_life *life;
    unsigned next, stop, highest; /* entry to hear next; the last before a pause; last position */
    unsigned newest;              /* when it gave that position */
    uint64_t heard, taken, since, entered; /* since: its first failed send; entered: a seq */
    char *line[STORM_LINES];
} storm_member;

static storm_life storm_lives[STORM_LIVES];
static storm_member storm_crowd[STORM_MEMBERS + 2];
static uint32_t storm_dice;
static uint64_t storm_hash; /* of all outputs */
static unsigned storm_names;
static int storm_settled; /* nothing is left to be delivered */

static unsigned storm_chance(unsigned below)
{
    return dice(&storm_dice) % below;
}

static void storm_digest(const void *p, size_t len)
{
    const uint8_t *b = (const uint8_t *)p;
    while (len-- > 0) storm_hash = (storm_hash ^ *b++) * 0x100000001B3u;
}

static reg_person *storm_person(const storm_member *m)
{
    return &reg_people[m - storm_crowd];
}

static storm_life *storm_open(int name)
{
    size_t i;
    for (i = 0; i < STORM_LIVES; i++)
        if (storm_lives[i].open && storm_lives[i].name == name) return &storm_lives[i];
    return NULL;
}

static void storm_expect(storm_life *l, int operation, const char *who, const char *text,
                         uint64_t id)
{
    storm_entry *e = &l->expected[l->said];
    if (!CHECK(l->said + 1 < STORM_LOG)) return;
    l->said++;
    e->operation = operation;
    e->id = id;
    strcpy(e->who, who);
    strcpy(e->text, text);
}

/* That membership has ended; a host's takes all others of its room with it. */
static void storm_out(storm_member *m)
{
    size_t i;
    m->in = 0;
    if (m->host) m->life->open = 0;
    else m->life->left++;
    for (i = 0; m->host && i < COUNT(storm_crowd); i++)
        if (storm_crowd[i].used && storm_crowd[i].life == m->life) storm_crowd[i].in = 0;
}

/* When that member has been silent for too long. */
static uint64_t storm_deadline(const storm_member *m)
{
    return m->heard + (m->spoke || storm_person(m)->dialect != 'L' ? 300000 : 10000);
}

/* A datagram from a member: it counts, unless the member could not be reached for long. */
static int storm_sends(storm_member *m, int result)
{
    storm_settled = 0;
    if (result == 0 && CHECK(m->failed && reg_now >= m->since + 10000)) {
        storm_out(m);
        return 0;
    }
    m->heard = reg_now;
    m->spoke = 1;
    return 1;
}

static int storm_pull(void)
{
    int any;
    size_t i;
    reg_failing = NULL;
    for (i = 0; i < COUNT(storm_crowd); i++)
        if (storm_crowd[i].used && storm_crowd[i].bad && storm_chance(3))
            reg_failing = &reg_people[i];
    any = reg_pull();
    storm_digest(&reg_until, sizeof reg_until);
    if (any && reg_line_count == 0) {
        storm_member *m = &storm_crowd[reg_failing - reg_people];
        if (!m->failed) m->since = reg_now;
        m->failed = 1;
    }
    for (i = 0; i < reg_line_count; i++) {
        const reg_line *l = &reg_lines[i];
        storm_member *m = &storm_crowd[l->to - reg_people];
        storm_digest(l->text, strlen(l->text));
        if (!CHECK(m->used && m->lines < STORM_LINES && !m->reason)) continue;
        m->line[m->lines++] = l->text;
        m->reason = l->reason;
        if (!m->in || !m->reason) continue;
        row = l->text;
        CHECK(m->reason == OCM_REASON_TIMEOUT ? storm_deadline(m) <= reg_now
              : m->reason == OCM_REASON_HOST ? 1 /* the host's own end may come after it */
              : m->reason == OCM_REASON_UNREACHABLE && m->failed && reg_now >= m->since + 10000);
        if (m->reason != OCM_REASON_HOST) storm_out(m);
    }
    row = "";
    reg_line_count = reg_packet_count = 0;
    return any;
}

/* The host's lines are the log; what the model knows to be accepted is in it, in that order. */
static void storm_read_log(const storm_member *host)
{
    uint8_t buffer[OCM_DATAGRAM_MAX];
    storm_life *l = host->life;
    int i;
    for (i = 0; i < host->lines; i++) {
        const storm_entry *x = &l->expected[l->checked];
        storm_entry *e = &l->entry[l->seq + 1];
        ocm_message n;
        row = host->line[i];
        if (!CHECK(ocm_message_decode(ocm_text(row), buffer, &n) == 1)) continue;
        if ((n.has & OCM_HAS_OPERATION ? n.operation : 0) > OCM_OP_LEFT) continue;
        if (!CHECK(l->seq + 1 < STORM_LOG && n.seq == ++l->seq)) continue;
        e->operation = n.has & OCM_HAS_OPERATION ? (int)n.operation : 0;
        e->id = n.has & OCM_HAS_ID ? n.id : 0;
        sprintf(e->who, "%.*s", OCM_S(e->operation ? n.username : n.sender));
        sprintf(e->text, "%.*s", OCM_S(e->operation ? ocm_text("") : n.text));
        if (e->operation == OCM_OP_LEFT) {
            l->left_told++;
            continue;
        }
        CHECK(l->checked < l->said && x->operation == e->operation && x->id == e->id);
        CHECK(strcmp(x->who, e->who) == 0 && strcmp(x->text, e->text) == 0);
        l->checked++;
    }
    row = "";
    CHECK(l->checked == l->said);
    CHECK(!l->open || l->left_told == l->left);
}

/* Below level 1 nobody hears its own words. */
static void storm_pass_own(storm_member *m)
{
    const reg_person *p = storm_person(m);
    const storm_life *l = m->life;
    while (p->dialect != 'L' && m->next <= l->seq && !l->entry[m->next].operation &&
           strcmp(l->entry[m->next].who, p->name) == 0)
        m->next++;
}

/* One line to a member that is not a host: the next of the log, or something for it alone. */
static void storm_check_line(storm_member *m, const char *line)
{
    static char expected[2048];
    const reg_person *p = storm_person(m);
    const storm_life *l = m->life;
    const char *seq = strstr(line, ",\"seq\":");
    unsigned at = seq ? (unsigned)strtoul(seq + 7, NULL, 10) : 0;
    storm_pass_own(m);
    if (p->dialect == 'T' || p->dialect == 'A') at = m->next;
    if (reg_is_status(line)) {
        CHECK(p->dialect == 'L' && at <= l->seq);
        return;
    }
    if (at > m->next && (m->moved || m->stop < UINT32_MAX)) m->next = at; /* the log lost some */
    if (m->moved && at > 0 && m->newest > m->next + 63) m->stop = m->next + 63;
    if (at) m->moved = 0;
    if (at == m->next && at <= l->seq && (at <= m->stop || m->reason)) {
        const storm_entry *e = &l->entry[at];
        reg_entry(p, e->operation, e->who, e->text, at, p->dialect == 'L' ? e->id : 0, expected);
        if (reg_like(line, strlen(line), expected)) {
            m->next++;
            return;
        }
    }
    reg_refusal(p, 0, expected);
    CHECK(m->refused-- > 0 && reg_like(line, strlen(line), expected));
}

static void storm_check_member(storm_member *m)
{
    const storm_life *l = m->life;
    int i;
    if (m->next == 0) { /* it hears what comes after its own notice */
        for (m->next = 1; m->next <= l->seq; m->next++)
            if (l->entry[m->next].operation == OCM_OP_JOINED &&
                strcmp(l->entry[m->next].who, storm_person(m)->name) == 0)
                break;
        CHECK(storm_person(m)->dialect != 'L' || m->entered == m->next);
        m->next++;
    }
    for (i = 0; i < m->lines - (m->reason != 0); i++) {
        row = m->line[i];
        storm_check_line(m, row);
    }
    row = "";
    storm_pass_own(m);
    if (m->in) /* a pause ends with the membership: it hears all that was accepted before */
        CHECK(m->moved || m->next == (m->stop < l->seq ? m->stop : l->seq) + 1);
    else
        CHECK(m->moved || m->reason != OCM_REASON_HOST || m->next == l->seq + 1);
}

/* Delivers everything, and then all must be as the model has it. */
static void storm_settle(void)
{
    uint32_t rooms = 0, members = 0;
    size_t i, k;
    while (storm_pull()) {}
    storm_settled = 1;
    for (k = 0; k < 2; k++) /* the hosts first */
        for (i = 0; i < COUNT(storm_crowd); i++) {
            storm_member *m = &storm_crowd[i];
            if (!m->used || m->host == (int)k) continue;
            if (m->host) storm_read_log(m);
            else if (!m->failed) storm_check_member(m);
        }
    for (i = 0; i < STORM_LIVES; i++) {
        rooms += (uint32_t)storm_lives[i].open;
        storm_lives[i].used = 0;
    }
    for (i = 0; i < COUNT(storm_crowd); i++) {
        storm_member *m = &storm_crowd[i];
        CHECK(!m->used || m->in == !m->reason);
        CHECK(!m->used || !m->in || storm_deadline(m) > reg_now);
        while (m->lines > 0) free(m->line[--m->lines]);
        if (!m->in) m->used = 0;
        if (m->used) m->life->used = 1;
        members += m->used != 0;
    }
    CHECK(reg_counts()->rooms == rooms);
    CHECK(reg_counts()->members == members);
}

static void storm_host(storm_member *m, int room)
{
    storm_life *l = storm_lives;
    while (l->used || l->open) l++;
    memset(l, 0, sizeof *l);
    l->used = l->open = 1;
    l->name = room;
    m->host = 1;
    m->life = l;
}

/* A request; its client may read only a part of the answer and close. */
static void storm_request(void)
{
    int op = storm_chance(4) ? OCM_JOIN : OCM_CREATE, room = (int)storm_chance(STORM_ROOMS + 1);
    int undone = op == OCM_JOIN && storm_chance(6) == 0, expected, status;
    storm_life *l = storm_open(room);
    storm_member *m = storm_crowd;
    reg_person *p;
    char text[8];
    while (m->used) m++;
    if (m == storm_crowd + COUNT(storm_crowd) - 1) return;
    memset(m, 0, sizeof *m);
    p = storm_person(m);
    reg_hang_up(p);
    sprintf(p->name, "n%u", ++storm_names);
    sprintf(text, "r%d", room);
    expected = op == OCM_CREATE ? (l ? 409 : 201) : l ? 200 : 404;
    if (expected == 200 && storm_chance(8) == 0) {
        strcpy(p->name, l->expected[0].who); /* the host's */
        expected = 409;
    }
    p->dialect = op == OCM_CREATE ? 'L' : "JLTA"[storm_chance(4)];
    p->at = p->tcp = reg_host(1 + (int)storm_chance(3), 1024 + (int)(storm_names % 60000));
    reg_connect(p);
    if (undone) p->bite = storm_chance(33);
    reg_ask(p, op, p->dialect == 'A', text, reg_payload(p, p->name, ""));
    status = p->status;
    storm_digest(p->answer, p->len);
    if (status == 503 && expected < 300)
        CHECK(!storm_settled || reg_counts()->members == STORM_MEMBERS ||
              (op == OCM_CREATE && reg_counts()->rooms == STORM_ROOMS));
    else
        CHECK(status == expected);
    if (status < 300) storm_settled = 0;
    if (status == 200) storm_expect(l, OCM_OP_JOINED, p->name, "", 0);
    if (undone) {
        reg_hang_up(p);
        if (status == 200) l->left++;
        return;
    }
    reg_hear_out(p);
    CHECK(reg_answered(p, op, text, status));
    if (status >= 300) return;
    strcpy(p->room, text);
    m->used = m->in = 1;
    m->stop = UINT32_MAX;
    m->heard = reg_now;
    m->entered = p->seq;
    m->life = l;
    m->bad = op == OCM_JOIN && storm_chance(8) == 0 && !(p->at.ip[15] & 1);
    if (op == OCM_CREATE) {
        storm_host(m, room);
        storm_expect(m->life, OCM_OP_JOINED, p->name, "", 0);
        storm_sends(m, reg_send(p, POSITION "0}"));
    } else if (p->dialect == 'L' && storm_chance(4)) {
        storm_sends(m, reg_send(p, ""));
    }
}

static void storm_speak(storm_member *m)
{
    const reg_person *p = storm_person(m);
    uint64_t before = reg_counts()->messages, id = 0;
    char text[200];
    int settled = storm_settled;
    if (p->dialect == 'L' && storm_chance(4)) id = m->taken + storm_chance(3);
    sprintf(text, "word %u %0*d", ++storm_names, (int)storm_chance(150) + 1, 0);
    if (!storm_sends(m, reg_say(p, text, id))) return;
    if (reg_counts()->messages > before) {
        CHECK(reg_counts()->messages == before + 1 && (!id || id == m->taken + 1));
        storm_expect(m->life, 0, p->name, text, id);
        if (id) m->taken = id;
    } else if (!id || id == m->taken + 1) {
        CHECK(!settled);
        m->refused += p->dialect != 'L';
    }
}

static void storm_position(storm_member *m)
{
    char json[128];
    unsigned at;
    if (storm_person(m)->dialect != 'L' || m->host || m->failed) return;
    storm_settle();
    if (!m->in) return;
    at = storm_chance(m->life->seq + 1);
    sprintf(json, POSITION "%u}", at);
    if (!storm_sends(m, reg_send(storm_person(m), json)) || at < m->highest) return;
    m->highest = at;
    m->newest = m->life->seq;
    m->next = at + 1;
    m->stop = UINT32_MAX;
    m->moved = 1;
    if (m->life->seq > at + 64) storm_settle(); /* so the log still holds all up to the pause */
}

/* A member of level 1 comes back with its token, or is cut off while it does. */
static void storm_return(storm_member *m)
{
    reg_person *p = storm_person(m);
    char more[96], old[OCM_TOKEN_LEN + 1];
    int cut = storm_chance(3) == 0;
    if (p->dialect != 'L' || m->bad) return;
    strcpy(old, p->token);
    sprintf(more, "\"token\":\"%s\"", p->token);
    p->tcp = reg_host(1 + (int)storm_chance(3), 1024 + (int)(++storm_names % 60000));
    reg_connect(p);
    if (cut) p->bite = storm_chance(100);
    reg_ask(p, OCM_JOIN, 0, p->room, reg_payload(p, p->name, more));
    CHECK(p->status == 200);
    if (cut) {
        reg_hang_up(p);
    } else {
        CHECK(reg_answered(p, OCM_JOIN, p->room, 200) && strcmp(p->token, old) == 0);
        p->at = p->tcp;
    }
    storm_sends(m, reg_send(p, ""));
}

/* Input that must be dropped: another host, another room, a token that is nobody's, any bytes. */
static void storm_forge(const storm_member *m)
{
    reg_person p = *storm_person(m);
    uint8_t bytes[200];
    size_t i, len = storm_chance(sizeof bytes);
    switch (storm_chance(4)) {
    case 0: p.at.ip[15] = (uint8_t)(p.at.ip[15] + 10); break;
    case 1: strcpy(p.room, "elsewhere"); break;
    case 2: p.token[storm_chance(OCM_TOKEN_LEN)] ^= 'a' ^ 'x'; break;
    default:
        for (i = 0; i < len; i++) bytes[i] = (uint8_t)storm_chance(256);
        CHECK(reg_send_bytes(bytes, len, &p.at) == 0);
        return;
    }
    CHECK(reg_say(&p, "forged", 0) == 0 && reg_leave(&p) == 0);
}

static void storm_leave(storm_member *m)
{
    if (m->host && m->life->said < STORM_LOG / 2 && storm_chance(8)) return;
    if (storm_sends(m, reg_leave(storm_person(m)))) storm_out(m);
}

static void storm_step(int stuck)
{
    storm_member *m = &storm_crowd[storm_chance(COUNT(storm_crowd))];
    unsigned what = storm_chance(48);
    if (m->used && m->in && m->life->said + m->life->left > STORM_LOG - 100) {
        storm_settle();
        for (m = storm_crowd; m->life == NULL || !m->host || m->life->said < STORM_LOG / 2; m++)
            if (m == storm_crowd + COUNT(storm_crowd) - 1) return;
        if (m->in) storm_leave(m);
    } else if (what < 6) {
        storm_request();
    } else if (what == 6) {
        storm_settle();
        reg_now += storm_chance(40) ? storm_chance(3000) : storm_chance(200000);
        storm_settle();
    } else if (what == 7) {
        if (!stuck || storm_chance(8) == 0) storm_settle();
    } else if (what < 12) {
        for (what = stuck ? 0 : storm_chance(12); what-- > 0;) storm_pull();
    } else if (!m->used || !m->in) {
        return;
    } else if (what == 12) {
        if (storm_chance(3) == 0) storm_leave(m);
    } else if (what < 15) {
        storm_position(m);
    } else if (what < 17) {
        storm_forge(m);
    } else if (what == 17) {
        storm_return(m);
    } else if (what < 20) {
        storm_sends(m, reg_send(storm_person(m), ""));
    } else {
        storm_speak(m);
    }
}

/* After a storm all places are free, and can be filled again. */
static uint64_t storm_of(uint32_t from, int steps)
{
    char name[16];
    uint32_t i;
    memset(storm_lives, 0, sizeof storm_lives);
    memset(storm_crowd, 0, sizeof storm_crowd);
    storm_dice = from * 2654435761u + 1;
    storm_hash = 0xCBF29CE484222325u;
    storm_names = 0;
    REG(.rooms = STORM_ROOMS, .members = STORM_MEMBERS, .rate = OCM_UNLIMITED, .log = 65536,
        .origin_size = OCM_UNLIMITED, .origin_joins = OCM_UNLIMITED);
    for (i = 0; i < COUNT(storm_crowd); i++) {
        sprintf(name, "s%u", (unsigned)i);
        reg_who(name);
    }
    storm_settled = 1;
    for (i = 0; i < (uint32_t)steps && broken == 0; i++) storm_step(i / 300 % 4 == 3);
    if (broken) printf("   storm %u, step %u\n", (unsigned)from, (unsigned)i);
    else storm_settle();
    for (i = 0; i < COUNT(storm_crowd); i++) storm_crowd[i].in = storm_crowd[i].used = 0;
    reg_now += 300000;
    reg_drain_unseen();
    CHECK(reg_counts()->rooms == 0 && reg_counts()->members == 0 && reg_until == UINT64_MAX);
    for (i = 0; i <= STORM_MEMBERS; i++) {
        ocm_addr at = reg_loopback(i);
        int status = i == STORM_MEMBERS ? 503 : i < STORM_ROOMS ? 201 : 200;
        char room[16];
        sprintf(room, "r%u", (unsigned)(i % STORM_ROOMS));
        sprintf(name, "n%u", (unsigned)i);
        CHECK(reg_quick(i < STORM_ROOMS ? OCM_CREATE : OCM_JOIN, room, name, &at, NULL) == status);
    }
    reg_end();
    return storm_hash;
}

static void test_storm(void)
{
    uint32_t i;
    for (i = 0; i < 20 && broken == 0; i++) storm_of((uint32_t)seed + i, 30000);
}

/* The same inputs have the same outputs, whatever was in the memory before. */
static void test_repeats(void)
{
    uint64_t first = storm_of((uint32_t)seed, 3000);
    reg_fill = 0;
    CHECK(storm_of((uint32_t)seed, 3000) == first);
    reg_fill = 0xA5;
    CHECK(storm_of((uint32_t)seed + 1, 3000) != first);
}

static void test_many(void)
{
    const uint32_t rooms = 10000, members = 100000;
    const ocm_limits limits = {.rooms = rooms, .members = members, .log = 65536};
    const ocm_limits million = {.rooms = 100000, .members = 1000000, .log = 65536};
    static char tokens[1000][OCM_TOKEN_LEN + 1];
    uint32_t i, entered = 0;
    uint8_t bytes[128];
    char room[16], name[16];
    CHECK(ocm_registry_size(&million) <= (size_t)560 * 1000000);
    reg_begin(&limits);
    for (i = 0; i < members; i++) {
        ocm_addr at = reg_loopback(i);
        sprintf(room, "r%u", (unsigned)(i % rooms));
        sprintf(name, "n%u", (unsigned)i);
        entered += reg_quick(i < rooms ? OCM_CREATE : OCM_JOIN, room, name, &at,
                             i % 100 ? NULL : tokens[i / 100]) < 300;
        reg_drain_unseen();
    }
    CHECK(entered == members && reg_counts()->members == members && reg_counts()->rooms == rooms);
    for (i = 0; i < 1000; i++) { /* a thousand of them speak, each to the nine others of its room */
        ocm_addr at = reg_loopback(i * 100);
        size_t len;
        sprintf(room, "r%u", (unsigned)(i * 100 % rooms));
        len = reg_header(room, tokens[i], bytes);
        memcpy(bytes + len, "{\"message\":\"hi\"}", 16);
        CHECK(reg_send_bytes(bytes, len + 16, &at) == 1);
        CHECK(reg_drain_unseen() == 9);
    }
    reg_now += 300000;
    reg_drain_unseen();
    CHECK(reg_counts()->members == 0 && reg_counts()->rooms == 0 && reg_until == UINT64_MAX);
    reg_end();
}

/* A cursor that went back, and whose entries are overwritten before they are sent again. */
static void more_overwritten_ahead(void)
{
    char text[3001] = "";
    int i;
    REG(.rooms = 2, .log = 65536, .rate = 1000, .origin_joins = OCM_UNLIMITED);
    reg_run("alice create lobby json\nlena join lobby json1 -> *\n"
            "lena at 0 -> lena +alice 1, lena +lena 2, lena status 2 1 0\n"
            "eve create other json\nalice: 3 -> lena 3\nalice: 4 -> lena 4\nlena at 0");
    memset(text, 'x', sizeof text - 1);
    for (i = 0; i < 10; i++) reg_say(reg_who("eve"), text, 0);
    reg_run("alice: 5\nalice: 6");
    for (i = 0; i < 30; i++) reg_say(reg_who("eve"), text, 0);
    CHECK(reg_counts()->rejected > 0);
    reg_run("drain -> lena 'alice: 5' 5, lena 'alice: 6' 6, lena status 6 5 0, eve *\n"
            "alice: 7 -> lena 7");
    reg_end();
}

/* The log keeps the entries of rooms apart, of many at once, and of many after one another. */
static void more_entries_apart(void)
{
    char name[16];
    int i;
    REG(.rooms = 300, .log = 65536);
    for (i = 0; i < 22; i++) { /* as many as the language has persons for */
        sprintf(name, "m%d", i);
        reg_run("%s create %s json1", name, name);
    }
    for (i = 0; i < 22; i++) {
        sprintf(name, "m%d", i);
        reg_run("%s at 0 -> %s +%s 1, %s status 1 1 0", name, name, name, name);
    }
    reg_end();
    REG(.rooms = 1, .log = 65536, .origin_joins = OCM_UNLIMITED);
    for (i = 0; i < 600; i++) {
        ocm_addr from = reg_host(1 + i % 2, 4001 + i % 2);
        reg_person *p = reg_client(i % 2 ? "bob" : "alice", 'L');
        p->tcp = p->at = from;
        reg_run("%s create %d json1\n%s at 0 -> %s +%s 1, %s status 1 1 0\n%s leaves -> *", p->name,
                i, p->name, p->name, p->name, p->name, p->name);
        if (broken) break;
    }
    reg_end();
}

/* The words of an entry are kept for the next text member; the memory of the entry is used again,
   by one of the same room, or of another. */
static void more_words_kept(void)
{
    char text[3001];
    int i, k, round, other;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (other = 0; other < 2; other++)
        for (k = 14; k < 22; k++) {
            REG(.rooms = 3, .log = 65536, .rate = 1000, .origin_joins = OCM_UNLIMITED);
            reg_run("alice create lobby json\ntom join lobby text -> *\nelise create other json\n"
                    "danny create third json\nted join third text -> *");
            for (round = 0; round < 6; round++) {
                text[0] = (char)('0' + round);
                if (other && round % 2) reg_run("danny: %s -> ted", text);
                else reg_run("alice: %s -> tom", text);
                for (i = 0; i < k; i++) {
                    reg_say(reg_who("elise"), text, 0);
                    reg_drain();
                }
            }
            reg_end();
        }
}

/* More origins ask than can be remembered: those that have members are not forgotten. */
static void more_origins(void)
{
    char name[16];
    int i;
    REG(.rooms = 1, .members = 4, .room_size = 1, .origin_size = 1);
    reg_run("alice create lobby json");
    for (i = 0; i < 600; i++) {
        ocm_addr from = reg_host(100 + i, 4000);
        sprintf(name, "m%d", i);
        CHECK(reg_quick(OCM_JOIN, "lobby", name, &from, NULL) == 503);
    }
    reg_end();
    REG(.rooms = 1, .members = 300, .origin_size = 2, .origin_joins = 1);
    reg_run("alice create lobby json");
    for (i = 0; i < 700; i++) { /* who has left may be forgotten */
        reg_person *p = reg_who("tom");
        p->at = p->tcp = reg_host(3000 + i, 4000);
        reg_run("tom join lobby text -> *\ntom leaves -> *");
    }
    reg_who("carol")->at = reg_who("carol")->tcp = reg_host(1000, 4001);
    reg_run("carol join lobby text -> *");
    for (i = 0; i < 290; i++) {
        ocm_addr from = reg_host(1000 + i, 4000);
        sprintf(name, "m%d", i);
        CHECK(reg_quick(OCM_JOIN, "lobby", name, &from, NULL) == 200);
        reg_drain_unseen();
    }
    CHECK(reg_leave(reg_who("carol")) == 1);
    reg_now += 10000;
    reg_drain_unseen();
    reg_forget();
    for (i = 0; i < 600; i++) {
        ocm_addr from = reg_host(2000 + i, 4000);
        CHECK(reg_quick(OCM_JOIN, "lobby", "alice", &from, NULL) == 409);
    }
    for (i = 0; i < 3; i++) {
        ocm_addr from = reg_host(1000, 4000);
        sprintf(name, "n%d", i);
        CHECK(reg_quick(OCM_JOIN, "lobby", name, &from, NULL) == (i < 1 ? 200 : 503));
        reg_drain_unseen();
    }
    reg_end();
}

/* Over the rate a datagram is dropped before anyone looks how long it is. */
static void more_long_and_fast(void)
{
    static uint8_t bytes[OCM_DATAGRAM_MAX + 1];
    reg_person *alice;
    size_t head;
    int i;
    REG(.rooms = 1, .rate = 1);
    reg_run("alice create lobby json1\nalice at 1 -> *");
    alice = reg_who("alice");
    head = reg_header(alice->room, alice->token, bytes);
    memset(bytes + head, ' ', sizeof bytes - head);
    CHECK(reg_send_bytes(bytes, sizeof bytes, &alice->at) == 1);
    reg_run("drain -> alice refused 0");
    for (i = 0; i < 5; i++) CHECK(reg_send_bytes(bytes, sizeof bytes, &alice->at) == 1);
    reg_now += 999;
    reg_run("drain ->");
    reg_end();
    REG(.rooms = 1, .rate = 1);
    reg_run("alice create lobby json\nbob join lobby json -> *\nbob: 1 -> alice 3\n"
            "bob: 2 -> alice 4\nbob: 3 -> bob refused\nbob ping ->");
    CHECK(reg_counts()->rejected == 1);
    reg_end();
}

/* Rooms whose lines leave few bytes, or none, for the mark that the list was cut. */
static void more_list_without_mark(void)
{
    const size_t around = strlen("{\"room\":\"\",\"size\":1,\"password_required\":false}\n");
    const size_t mark = strlen("{\"more\":true}\n");
    char name[OCM_NAME_MAX + 1];
    ocm_addr from = reg_loopback(1);
    size_t left;
    for (left = 0; left < 20; left++) {
        size_t total = 0, line, fits = 0, want = OCM_LIST_MAX - left;
        const char *list;
        unsigned i;
        REG(.log = 1 << 20);
        for (i = 0; i < 2 || line != around + 20; i++) { /* the last one is too many */
            line = total == want ? around + 20 : want - total;
            if (line > around + 255 && total < want) line = want - total < 700 ? 300 : 250 + around;
            memset(name, 'r', sizeof name);
            name[sprintf(name, "%05u", i)] = 'r';
            name[line - around] = 0;
            CHECK(reg_quick(OCM_CREATE, name, "a", &from, NULL) == 201);
            reg_drain_unseen();
            total += line;
            if (total + mark <= OCM_LIST_MAX) fits = total;
        }
        list = reg_list(reg_who("eve"), "", "{}");
        CHECK(reg_like(list, strlen(list), "*}\n{\"more\":true}\n"));
        CHECK(strlen(list) == fits + mark);
        reg_end();
    }
}

/* An origin that guesses in many rooms waits in all of them, and for a minute. */
static void more_guesses_everywhere(void)
{
    static const char wrong[] = "{\"username\":\"eve\",\"password\":\"x\"}";
    reg_person *eve;
    char name[16];
    int i;
    REG(.rooms = 30);
    for (i = 0; i < 20; i++) {
        sprintf(name, "m%d", i);
        reg_run("%s create %s json \"password\":\"key\"", name, name);
    }
    eve = reg_who("eve");
    eve->dialect = 'J';
    for (i = 0; i < 17; i++) {
        sprintf(name, "m%d", i);
        reg_connect(eve);
        reg_ask(eve, OCM_JOIN, 0, name, wrong);
        CHECK(eve->status == 401);
    }
    reg_connect(eve);
    reg_ask(eve, OCM_JOIN, 0, "m18", wrong);
    CHECK(eve->len == 0);
    reg_later(eve, 1000);
    CHECK(eve->status == 401);
    reg_now += 61000;
    reg_connect(eve);
    reg_ask(eve, OCM_JOIN, 0, "m19", wrong);
    CHECK(eve->status == 401);
    reg_end();
}

/* The table of guessers is full: the entry goes whose minute ends first. */
static void more_oldest_guess(void)
{
    static const int waits[] = {255, 128, 2, 0};
    reg_person *p;
    size_t k;
    int i;
    REG(.rooms = 1);
    reg_run("alice create locked json \"password\":\"key\"");
    for (i = 0; i <= 256; i++) {
        ocm_addr from = reg_host(1000 + i, 4000);
        CHECK(reg_quick(OCM_JOIN, "locked", "eve", &from, NULL) == 401);
        reg_now++;
    }
    p = reg_who("eve");
    for (k = 0; k < COUNT(waits); k++) {
        p->tcp = reg_host(1000 + waits[k], 4000);
        reg_connect(p);
        reg_ask(p, OCM_JOIN, 0, "locked", "{\"username\":\"eve\"}");
        CHECK((p->len == 0) == (waits[k] > 0));
    }
    reg_end();
}

/* Whatever tries a password waits, as often as it is tried on the same connection; and nothing
   else does. */
static void more_guesses_again(void)
{
    static const char guess[] = "{\"username\":\"eve\",\"password\":\"x\"}";
    reg_person *eve, *eva;
    int i;
    REG(.rooms = 2);
    reg_run("alice create locked json \"password\":\"key\"");
    eve = reg_who("eve");
    eva = reg_who("eva");
    eve->dialect = eva->dialect = 'J';
    eva->tcp = eve->tcp;
    reg_ask(eve, OCM_JOIN, 0, "locked", guess);
    CHECK(eve->answers == 1);
    for (i = 2; i < 5; i++) {
        reg_ask(eve, i % 2 ? OCM_JOIN : OCM_LIST, 0, "locked", guess);
        CHECK(eve->len == 0 && eve->io.until == reg_now + 1000);
        reg_later(eve, 999);
        CHECK(eve->answers == i - 1);
        reg_later(eve, 1);
        CHECK(eve->answers == i);
    }
    reg_ask(eva, OCM_CREATE, 0, "locked", guess);
    CHECK(eva->status == 409);
    reg_ask(eva, OCM_LIST, 0, "locked", "{}");
    CHECK(eva->status == 200);
    reg_end();
}

/* An answer that nobody takes closes the connection after 10 s. */
static void more_answer_not_taken(void)
{
    reg_person *bob;
    REG(.rooms = 1);
    bob = reg_client("bob", 'J');
    reg_now += 100000;
    bob->bite = 0;
    reg_ask(bob, OCM_JOIN, 0, "lobby", "{\"username\":\"bob\"}");
    CHECK(bob->io.until == reg_now + 10000);
    reg_later(bob, 9999);
    CHECK(bob->conn != NULL);
    reg_later(bob, 1);
    CHECK(bob->conn == NULL);
    reg_end();
}

/* What is no position moves no cursor. */
static void more_no_position(void)
{
    static const char *const payloads[] = {
        "{\"sender\":\"system\",\"operation\":6}",
        "{\"sender\":\"system\",\"operation\":5,\"seq\":0}",
        "{\"sender\":\"system\",\"operation\":6,\"seq\":0,\"first\":1}",
        "{\"sender\":\"system\",\"operation\":6,\"seq\":0,\"first\":0}",
        "{\"message\":\"hi\",\"seq\":0}", "{\"message\":\"hi\",\"seq\":1,\"id\":1}"};
    size_t i;
    REG(.rooms = 1);
    reg_run("alice create lobby json\nlena join lobby json1 -> *");
    for (i = 0; i < COUNT(payloads); i++) reg_run("lena raw %s ->", payloads[i]);
    reg_run("lena at 0 -> lena +alice 1, lena +lena 2, lena status 2 1 0");
    reg_end();
}

/* Entries and a status share a datagram up to 1200 bytes, and not one more. */
static void more_batch_limit(void)
{
    char text[1200];
    size_t len, ones = 0, twos = 0;
    for (len = 800; len < 1100; len++) {
        size_t whole = 0, i;
        REG(.rooms = 1);
        reg_run("alice create lobby json\nlena join lobby json1 -> *");
        memset(text, 'x', len);
        text[len] = 0;
        reg_run("alice: %s -> lena 3\nlena at 0", text);
        reg_drain();
        CHECK(reg_line_count == 4);
        for (i = 0; i < reg_line_count; i++) whole += strlen(reg_lines[i].text) + 1;
        whole += (size_t)2 + strlen("lobby") + OCM_TOKEN_LEN;
        if (whole <= OCM_BATCH_MAX + 1)
            CHECK(reg_packet_count == (whole <= OCM_BATCH_MAX ? 1u : 2u));
        ones += whole == OCM_BATCH_MAX;
        twos += whole == OCM_BATCH_MAX + 1;
        reg_end();
    }
    CHECK(ones == 1 && twos == 1);
}

/* Whatever a room has to tell, somebody who waits for a status in another one has a turn. */
static void more_due_among_pending(void)
{
    char name[16];
    ocm_event ev;
    int i, pulls = 0, statuses = 0;
    REG(.rooms = 2, .rate = 1000, .members = 400);
    reg_run("alice create lobby json");
    for (i = 0; i < 100; i++) {
        ocm_addr from = reg_loopback((uint32_t)i);
        sprintf(name, "m%d", i);
        CHECK(reg_quick(OCM_JOIN, "lobby", name, &from, NULL) == 200);
        reg_drain_unseen();
    }
    reg_run("lena create other json1\nlena at 1 -> *");
    for (i = 0; i < 60; i++) reg_run("alice: hi");
    for (i = 0; i < 60; i++) reg_run("lena ping");
    while (pulls < 200 && ocm_registry_next(reg_g, reg_now, &ev)) {
        pulls++;
        statuses += reg_same(&ev.to, &reg_who("lena")->at);
        if (pulls == 100) CHECK(statuses > 0);
        if (statuses && pulls % 10 == 0) reg_run("lena ping");
    }
    CHECK(pulls == 200 && statuses >= 2);
    reg_drain_unseen();
    reg_end();
}

/* The list of a room's members is cut, too. */
static void more_list_of_members(void)
{
    char name[OCM_NAME_MAX + 1];
    reg_person *p;
    const char *list;
    int i;
    REG(.rooms = 1, .log = 1 << 20);
    reg_run("alice create lobby json");
    memset(name, 'n', sizeof name);
    name[OCM_NAME_MAX] = 0;
    for (i = 0; i < 300; i++) {
        ocm_addr from = reg_loopback(1);
        name[sprintf(name, "%04d", i)] = 'n';
        CHECK(reg_quick(OCM_JOIN, "lobby", name, &from, NULL) == 200);
        reg_drain_unseen();
    }
    p = reg_who("eve");
    list = reg_list(p, "lobby", "{}");
    CHECK(reg_like(list, strlen(list), ALICE "*}\n{\"more\":true}\n"));
    CHECK(strlen(list) <= OCM_LIST_MAX && strlen(list) > OCM_LIST_MAX - 600);
    reg_end();
}

/* Somebody's end waits for a place in a log: until then nobody is admitted. */
static void more_end_waits(void)
{
    int i;
    REG(.rooms = 2, .rate = 1000, .origin_joins = OCM_UNLIMITED);
    reg_run("alice create lobby json\nbob join lobby json\nlena join lobby json1\nlena at 3 -> *");
    for (i = 0; i < 64; i++) reg_run("alice: hi");
    reg_run("bob leaves\neve create other json = 503\nbob join lobby json = 503");
    CHECK(reg_counts()->members == 2);
    reg_run("drain -> *\neve create other json\nbob join lobby json -> *");
    reg_end();
}

/* A place that was kept, or made, is gone before its answer is out; somebody else may be in it. */
static void more_answer_late(int returns, int reused, int hangs_up)
{
    char more[128] = "";
    reg_person *lena;
    ocm_event ev;
    REG(.rooms = 1, .members = 3, .origin_joins = OCM_UNLIMITED);
    reg_run("alice create lobby json -> *");
    lena = reg_client("lena", 'L');
    if (returns) {
        reg_run("lena join lobby json1 -> *\nlena host 77\nwait 5000");
        sprintf(more, "\"token\":\"%s\"", lena->token);
    }
    reg_connect(lena);
    lena->bite = 20;
    reg_ask(lena, OCM_JOIN, 0, "lobby", reg_payload(lena, "lena", more));
    CHECK(lena->status == 200 && lena->len == 20);
    reg_now += returns ? 4999 : 9999;
    reg_run("alice ping");
    reg_drain_unseen();
    reg_now += 1; /* a member of level 1 that has not spoken is out */
    if (reused) {
        reg_drain_unseen();
        reg_run("tom join lobby json");
    } else {
        ocm_registry_next(reg_g, reg_now, &ev);
    }
    CHECK(reg_counts()->members == (reused ? 2u : 1u));
    lena->bite = SIZE_MAX;
    if (hangs_up) reg_hang_up(lena);
    else reg_pump(lena);
    CHECK(reg_counts()->members == (reused ? 2u : 1u));
    reg_drain_unseen();
    if (reused) reg_run("alice: hi -> tom\ntom: ho -> alice");
    reg_run("lena join lobby json1");
    CHECK(reg_counts()->members == (reused ? 3u : 2u));
    reg_end();
}

static void more_answer_too_late(void)
{
    char title[64];
    int i;
    for (i = 0; i < 8; i++) {
        sprintf(title, "returns %d, reused %d, hangs up %d", i & 1, i >> 1 & 1, i >> 2);
        row = title;
        more_answer_late(i & 1, i >> 1 & 1, i >> 2);
    }
}

/* The last datagram of a membership says why, and the event tells whose it was. */
static void more_removed(void)
{
    static const struct { const char *script, *why; int reason; } cases[] = {
        {"tom leaves", "you left", OCM_REASON_LEFT},
        {"alice leaves", "the host left", OCM_REASON_HOST},
        {"wait 100000\nalice ping\nwait 200000", "timed out", OCM_REASON_TIMEOUT},
        {"stop", "the server is stopping", OCM_REASON_STOPPING}};
    char words[128];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        ocm_event ev;
        int told = 0;
        REG(.rooms = 1);
        reg_run("alice create lobby json\ntom join lobby text -> *\n%s", cases[i].script);
        row = cases[i].script;
        sprintf(words, "system: You have been disconnected: %s", cases[i].why);
        while (ocm_registry_next(reg_g, reg_now, &ev)) {
            if (!reg_same(&ev.to, &reg_who("tom")->at)) continue;
            told++;
            CHECK(ev.reason == cases[i].reason && is(ev.datagram, words));
            CHECK(is(ev.room, "lobby") && is(ev.name, "tom"));
        }
        CHECK(told == 1);
        reg_end();
    }
}

/* Coming back is a sign of life. */
static void more_return_is_life(void)
{
    REG(.rooms = 1, .idle = 20);
    reg_run("alice create lobby json\nlena join lobby json1\nlena at 2 -> *\nwait 15000\n"
            "alice ping\nlena returns lobby same\nwait 15000\nalice ping -> *\nwait 4999\n"
            "drain -> *\nlena ping -> lena status 2 1 0");
    reg_end();
}

/* A request too large, after one that was answered on the same connection and was longer. */
static void more_too_large_second(void)
{
    uint8_t bytes[128] = {0, 1, 0};
    reg_person *p;
    REG(.rooms = 1);
    p = reg_client("bob", 'J');
    reg_ask(p, OCM_JOIN, 0, "lobby", "{\"username\":\"bob\"}");
    CHECK(p->status == 404);
    bytes[28] = 1;
    bytes[32] = '{';
    p->len = 0;
    CHECK(reg_receive(p, bytes, 33) == 33);
    CHECK(p->op == OCM_CREATE && p->status == 413 && p->shut && p->conn);
    CHECK(reg_answered(p, OCM_CREATE, "", 413));
    reg_end();
}
/* What a list request does not have is not written. */
static void more_list_requests(void)
{
    static const struct { const char *name, *password, *json; uint64_t level, port; } cases[] = {
        {"", "", "{}", 0, 0}, {"", "", "{\"ocm\":1}", 1, 0}, {"", "", "{\"port\":4000}", 0, 4000},
        {"", "p", "{\"password\":\"p\"}", 0, 0}, {"n", "", "{\"username\":\"n\"}", 0, 0}};
    uint8_t out[200];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        ocm_request q;
        int n;
        row = cases[i].json;
        memset(&q, 0, sizeof q);
        q.op = OCM_LIST;
        q.name = ocm_text(cases[i].name);
        q.password = ocm_text(cases[i].password);
        q.level = cases[i].level;
        q.port = cases[i].port;
        n = ocm_request_encode(out, sizeof out, &q);
        if (CHECK(n >= OCM_HEADER_LEN))
            CHECK(is(view(out + OCM_HEADER_LEN, (size_t)n - OCM_HEADER_LEN), row));
    }
    row = "";
}

/* Each byte of the seed matters to both halves of a token, and to the number of a log. */
static void more_seed(void)
{
    uint8_t key[32] = {0}, first[64], bytes[1024], *memory;
    const ocm_limits limits = {.rooms = 1, .members = 1, .log = 65536};
    ocm_addr from = reg_loopback(1);
    ocm_conn *conn = (ocm_conn *)allocate(sizeof *conn);
    int i;
    memory = (uint8_t *)allocate(ocm_registry_size(&limits));
    for (i = -1; i < 32; i++) {
        const char *token, *log;
        ocm_registry *g;
        ocm_io io;
        if (i >= 0) key[i] = 1;
        g = ocm_registry_init(memory, &limits, key);
        if (i >= 0) key[i] = 0;
        ocm_conn_open(conn, &from, 1000);
        ocm_conn_received(conn, bytes, reg_frame(bytes, OCM_CREATE, 0, "lobby",
                                                 "{\"username\":\"a\",\"ocm\":1}"), 1000);
        ocm_conn_next(conn, g, 1000, &io);
        if (!CHECK(io.status == 201 && io.send.len < sizeof bytes)) break;
        memcpy(bytes, io.send.ptr, io.send.len);
        bytes[io.send.len] = 0;
        token = strstr((char *)bytes + io.send.len - 120, "\"token\":\"");
        log = strstr((char *)bytes + io.send.len - 60, "\"log\":");
        if (!CHECK(token && log)) break;
        if (i < 0) {
            memcpy(first, token + 9, 32);
            memcpy(first + 32, log + 6, 12);
        }
        CHECK((memcmp(first, token + 9, 16) == 0) == (i < 0));
        CHECK((memcmp(first + 16, token + 25, 16) == 0) == (i < 0));
        CHECK((memcmp(first + 32, log + 6, 12) == 0) == (i < 0));
    }
    free(memory);
    free(conn);
}

/* A digit of a token tells nothing about any other one. */
static void more_tokens(void)
{
    enum { TOKENS = 256 };
    static char token[TOKENS][OCM_TOKEN_LEN];
    static uint8_t seen[256];
    ocm_addr from = reg_loopback(1);
    char name[16];
    int i, a, b;
    REG(.rooms = TOKENS);
    for (i = 0; i < TOKENS; i++) {
        sprintf(name, "m%d", i);
        CHECK(reg_quick(OCM_CREATE, name, "a", &from, token[i]) == 201);
    }
    for (a = 0; a < OCM_TOKEN_LEN; a++)
        for (b = 0; b < a; b++) {
            int different = 0;
            memset(seen, 0, sizeof seen);
            for (i = 0; i < TOKENS; i++) {
                int pair = digit(token[i][a]) << 4 | digit(token[i][b]);
                different += !seen[pair];
                seen[pair] = 1;
            }
            CHECK(different > 125); /* 162 are to be expected; half of that if they share a bit */
        }
    reg_end();
}

#define REGISTRY_TESTS \
    {"outcomes", test_outcomes}, \
    {"requests_in_pieces", test_requests_in_pieces}, \
    {"one_answer_a_call", test_one_answer_a_call}, {"request_too_large", test_request_too_large}, \
    {"silence", test_silence}, {"unread_answer", test_unread_answer}, \
    {"half_close", test_half_close}, {"undo", test_undo}, \
    {"undo_of_a_return", test_undo_of_a_return}, {"lists", test_lists}, \
    {"list_cut", test_list_cut}, {"guessing", test_guessing}, {"many_guess", test_many_guess}, \
    {"relay", test_relay}, {"operations", test_operations}, {"leaving", test_leaving}, \
    {"host_leaves", test_host_leaves}, {"stop", test_stop}, {"idle", test_idle}, \
    {"level_1_speaks", test_level_1_speaks}, {"failed_sends", test_failed_sends}, \
    {"failed_later", test_failed_later}, {"rejected", test_rejected}, \
    {"too_long", test_too_long}, {"rate", test_rate}, {"rate_of_batches", test_rate_of_batches}, \
    {"strangers", test_strangers}, {"addresses", test_addresses}, {"slots", test_slots}, \
    {"limits", test_limits}, {"default_limits", test_default_limits}, \
    {"full_room", test_full_room}, {"fairness", test_fairness}, {"positions", test_positions}, \
    {"pause", test_pause}, {"ids", test_ids}, {"batches", test_batches}, {"probe", test_probe}, \
    {"overwritten", test_overwritten}, {"nothing_is_overwritten", test_nothing_is_overwritten}, \
    {"coming_back", test_coming_back}, {"coming_back_locked", test_coming_back_locked}, \
    {"numbers", test_numbers}, {"until", test_until}, {"clock", test_clock}, \
    {"storm", test_storm}, {"repeats", test_repeats}, {"many", test_many}, \
    {"more_overwritten_ahead", more_overwritten_ahead}, \
    {"more_entries_apart", more_entries_apart}, \
    {"more_words_kept", more_words_kept}, \
    {"more_origins", more_origins}, \
    {"more_long_and_fast", more_long_and_fast}, \
    {"more_list_of_members", more_list_of_members}, \
    {"more_end_waits", more_end_waits}, \
    {"more_list_without_mark", more_list_without_mark}, \
    {"more_guesses_everywhere", more_guesses_everywhere}, \
    {"more_oldest_guess", more_oldest_guess}, \
    {"more_guesses_again", more_guesses_again}, \
    {"more_answer_not_taken", more_answer_not_taken}, \
    {"more_no_position", more_no_position}, \
    {"more_batch_limit", more_batch_limit}, \
    {"more_due_among_pending", more_due_among_pending}, \
    {"more_answer_too_late", more_answer_too_late}, \
    {"more_removed", more_removed}, \
    {"more_return_is_life", more_return_is_life}, \
    {"more_too_large_second", more_too_large_second}, \
    {"more_list_requests", more_list_requests}, \
    {"more_tokens", more_tokens}, \
    {"more_seed", more_seed}

/* ---- A simulated network ---- */

/* A registry at one end, sessions at the other, and between them a network that loses, repeats,
   delays and breaks. The clock jumps from one event to the next, so an hour of chat takes a moment,
   and a seed repeats it to the bit. */

enum { NET_MEMBERS = 20, NET_MESSAGES = 1600, NET_THINGS = 8192, NET_ASKED = 64, NET_STARTS = 3 };
enum { NET_UP, NET_DOWN, NET_CONNECT, NET_REQUEST, NET_ANSWER };

typedef struct net_thing { /* something under way */
    uint64_t at;
    int kind, member;
    unsigned call; /* which connection of that member */
    ocm_addr addr; /* the member's, when it was sent */
    uint8_t *bytes;
    size_t len;
} net_thing;

typedef struct net_message { /* typed by a user: "#17 ....." is number 17 */
    int sender, refusable;
    int refused, words, unknown; /* how often its sender was told so; words: and why */
    uint64_t typed, last;        /* last: when the last member was shown it */
    uint64_t seq[NET_STARTS];
    size_t len;
} net_message;

typedef struct net_member {
    ocm_session *s;      /* NULL: a program without a session, see net_join_raw */
    ocm_addr addr;
    int cut, deaf, mute; /* nothing passes; no datagram down; none up */
    unsigned call;
    uint64_t wake, seq, asked[NET_ASKED], back_at; /* asked: when it connected */
    size_t next;                                   /* the next of the messages that it may say */
    int shown[NET_MESSAGES], told[OCM_END + 1];    /* told: how many actions of each kind */
    size_t last_of[NET_MEMBERS];
    int start, ended, disorder, foreign, past, got, misses; /* got: datagrams */
    uint64_t missed, unconfirmed;
    uint8_t token[OCM_TOKEN_LEN];
} net_member;

typedef struct net_world {
    ocm_registry *reg; /* NULL: the server is down */
    ocm_limits limits;
    uint64_t now, wake;
    uint32_t lot;
    int loss, twice; /* percent */
    uint32_t delay_min, delay_max;
    int cut, members, starts; /* cut: nothing passes; starts: of the server */
    uint64_t doubt_from, doubt_to; /* what was typed then may have died with the server */
    size_t first, messages, things, delay_count; /* first: of the messages that count */
    net_message message[NET_MESSAGES];
    net_member member[NET_MEMBERS];
    net_thing thing[NET_THINGS];
    uint32_t delays[NET_MEMBERS * NET_MESSAGES]; /* of each message shown to others */
} net_world;

static uint32_t net_random(net_world *w, uint32_t below)
{
    return dice(&w->lot) % below;
}

static uint64_t net_delay(net_world *w)
{
    return w->delay_min + net_random(w, w->delay_max - w->delay_min + 1);
}

static void net_put(net_world *w, int kind, int member, ocm_view bytes)
{
    net_thing *t = &w->thing[w->things++];
    if (w->things == NET_THINGS) {
        printf("the simulated network is full\n");
        exit(2);
    }
    t->at = w->now + net_delay(w);
    t->kind = kind;
    t->member = member;
    t->call = w->member[member].call;
    t->addr = w->member[member].addr;
    t->bytes = copy(bytes.ptr, bytes.len);
    t->len = bytes.len;
}

/* A datagram, which the network may lose, repeat and delay. The registry refuses a text with a
   control character, and a session lets nobody say one: the network makes one of six tildes. */
static void net_send(net_world *w, int kind, int member, ocm_view bytes)
{
    const net_member *m = &w->member[member];
    int copies = net_random(w, 100) < (uint32_t)w->twice ? 2 : 1;
    if (w->cut || m->cut || (kind == NET_UP ? m->mute : m->deaf)) return;
    while (copies--) {
        size_t i;
        if (net_random(w, 100) < (uint32_t)w->loss) continue;
        net_put(w, kind, member, bytes);
        for (i = 0; i + 6 <= bytes.len; i++) {
            uint8_t *p = w->thing[w->things - 1].bytes + i;
            if (kind == NET_UP && memcmp(p, "~~~~~~", 6) == 0) memcpy(p, "\\u0007", 6);
        }
    }
}

/* -- the server's side -- */

static void net_drain(net_world *w)
{
    ocm_event ev;
    int i, turns = 0;
    while (ocm_registry_next(w->reg, w->now, &ev) && CHECK(++turns < 100000)) {
        for (i = 0; i < w->members; i++) {
            const ocm_addr *a = &w->member[i].addr;
            if (memcmp(a->ip, ev.to.ip, 16) == 0 && a->port == ev.to.port) break;
        }
        if (i < w->members) net_send(w, NET_DOWN, i, ev.datagram);
    }
    w->wake = CHECK(ev.until > w->now) ? ev.until : w->now + 1;
}

static void net_start(net_world *w)
{
    uint8_t random[32];
    int i;
    for (i = 0; i < 32; i++) random[i] = (uint8_t)net_random(w, 256);
    w->reg = ocm_registry_init(allocate(ocm_registry_size(&w->limits)), &w->limits, random);
    w->starts++;
    net_drain(w);
}

/* The process is gone, with all that it knew. */
static void net_kill(net_world *w)
{
    free(w->reg);
    w->reg = NULL;
    w->wake = UINT64_MAX;
}

/* What the server answers on a connection, up to a pause. */
static size_t net_answer(net_world *w, ocm_conn *c, uint8_t *out)
{
    size_t len = 0;
    ocm_io io;
    for (ocm_conn_next(c, w->reg, w->now, &io); io.send.len;
         ocm_conn_next(c, w->reg, w->now, &io)) {
        memcpy(out + len, io.send.ptr, io.send.len);
        len += io.send.len;
        ocm_conn_sent(c, io.send.len);
    }
    net_drain(w);
    return len;
}

/* Of a connection something has come. While the network is cut it waits: TCP repeats it. */
static void net_tcp(net_world *w, net_thing *t)
{
    static uint8_t out[OCM_ANSWER_MAX];
    static ocm_conn c;
    net_member *m = &w->member[t->member];
    char ip[32];
    if (w->cut || m->cut) {
        t->at = w->now + 20;
        w->thing[w->things++] = *t;
        t->bytes = NULL;
    } else if (t->kind == NET_REQUEST && w->reg) {
        ocm_conn_open(&c, &t->addr, w->now);
        ocm_conn_received(&c, t->bytes, t->len, w->now);
        net_put(w, NET_ANSWER, t->member, view(out, net_answer(w, &c, out)));
        w->thing[w->things - 1].call = t->call;
        ocm_conn_close(&c, w->reg, w->now);
    } else if (t->call != m->call) {
        return; /* the session has hung up */
    } else if (t->kind == NET_CONNECT && w->reg) {
        sprintf(ip, "%d.%d.%d.%d", m->addr.ip[12], m->addr.ip[13], m->addr.ip[14], m->addr.ip[15]);
        ocm_session_connected(m->s, ocm_text(ip), m->addr.port, w->now);
    } else {
        ocm_session_received(m->s, t->bytes, t->kind == NET_ANSWER ? t->len : 0, w->now);
    }
}

/* -- a member's side -- */

/* Which message it is, 0 for none. */
static size_t net_number(const net_world *w, ocm_view text)
{
    size_t i = 0, n = 0;
    while (i < text.len && text.ptr[i] != '#') i++;
    for (i++; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        n = n * 10 + (size_t)(text.ptr[i] - '0');
    return n <= w->messages ? n : 0;
}

static ocm_view net_words(const net_world *w, size_t k)
{
    static char text[OCM_TEXT_MAX];
    size_t n = (size_t)sprintf(text, "#%lu %s", (unsigned long)k,
                               w->message[k].refusable ? "~~~~~~" : "");
    while (n < w->message[k].len) text[n++] = '.';
    return view(text, n);
}

/* When the member's user typed what it is to say next. */
static uint64_t net_typed(const net_world *w, net_member *m)
{
    while (m->next <= w->messages && w->message[m->next].sender != (int)(m - w->member)) m->next++;
    return m->next <= w->messages ? w->message[m->next].typed : UINT64_MAX;
}

/* Says what was typed, as far as it finds room in the outbox. */
static void net_say(net_world *w, net_member *m)
{
    uint8_t out[OCM_DATAGRAM_MAX];
    for (; net_typed(w, m) <= w->now; m->next++) {
        ocm_view text = net_words(w, m->next);
        int n = m->s ? ocm_session_say(m->s, text)
                     : ocm_datagram_encode(out, sizeof out, ocm_text("lobby"),
                                           view(m->token, OCM_TOKEN_LEN), text);
        CHECK(n > 0 || n == OCM_E_FULL);
        if (n < 0) return;
        if (!m->s) net_send(w, NET_UP, (int)(m - w->member), view(out, (size_t)n));
    }
}

/* Entries come in the order of seq, in each log of this room anew. */
static void net_place(const net_world *w, net_member *m, uint64_t seq)
{
    if (seq <= m->seq && m->start < w->starts) {
        m->start = w->starts;
        m->seq = 0;
        memset(m->last_of, 0, sizeof m->last_of);
    }
    if (seq <= m->seq) m->disorder++;
    m->seq = seq;
}

static void net_heard(net_world *w, net_member *m, size_t k)
{
    net_message *said = &w->message[k];
    if (k == 0) return;
    said->last = w->now;
    if (m->shown[k]++ == 0 && said->sender != (int)(m - w->member))
        w->delays[w->delay_count++] = (uint32_t)(w->now - said->typed);
}

static void net_show_message(net_world *w, net_member *m, const ocm_action *a)
{
    size_t k = net_number(w, a->text);
    net_message *said = &w->message[k];
    int own = said->sender == (int)(m - w->member) && !a->past;
    if (!k || a->own != own || !ocm_view_equal(a->text, net_words(w, k))) m->foreign++;
    net_place(w, m, a->seq);
    if (k <= m->last_of[said->sender]) m->disorder++;
    if (said->seq[m->start - 1] && said->seq[m->start - 1] != a->seq) m->disorder++;
    said->seq[m->start - 1] = a->seq;
    m->last_of[said->sender] = k;
    m->past += a->past;
    net_heard(w, m, k);
}

static void net_act(net_world *w, net_member *m, const ocm_action *a)
{
    net_message *said = &w->message[net_number(w, a->text)];
    int member = (int)(m - w->member);
    if (!CHECK(a->kind >= 0 && a->kind <= OCM_END)) return;
    if (a->kind == OCM_DO_CONNECT) {
        m->asked[m->told[a->kind] % NET_ASKED] = w->now;
        m->call++;
        net_put(w, NET_CONNECT, member, view(NULL, 0));
    }
    if (a->kind == OCM_DO_REQUEST) net_put(w, NET_REQUEST, member, a->text);
    if (a->kind == OCM_DO_DISCONNECT) m->call++;
    if (a->kind == OCM_DO_SEND) net_send(w, NET_UP, member, a->text);
    if (a->kind == OCM_SHOW_MESSAGE) net_show_message(w, m, a);
    if (a->kind == OCM_SHOW_JOINED || a->kind == OCM_SHOW_LEFT) net_place(w, m, a->seq);
    if (a->kind == OCM_SHOW_REFUSED) {
        said->refused++;
        said->words += a->why.len > 0;
    }
    if (a->kind == OCM_SHOW_UNKNOWN) said->unknown++;
    if (a->kind == OCM_SHOW_BACK) m->back_at = w->now;
    if (a->kind == OCM_SHOW_MISSED) m->missed += a->count;
    if (a->kind == OCM_END) {
        m->ended = a->end;
        m->unconfirmed = a->count;
    }
    m->told[a->kind]++;
}

/* Does what the session wants, until it wants nothing. */
static void net_pull(net_world *w, net_member *m)
{
    int turns = 0;
    ocm_action a;
    a.until = UINT64_MAX;
    net_say(w, m);
    while (m->s && ocm_session_next(m->s, w->now, &a) && CHECK(++turns < 1000)) {
        net_act(w, m, &a);
        net_say(w, m);
    }
    m->wake = CHECK(a.until > w->now) ? a.until : w->now + 1;
    if (net_typed(w, m) > w->now && net_typed(w, m) < m->wake) m->wake = net_typed(w, m);
}

/* A datagram reaches whoever is at its address now; several sessions may share one. */
static void net_arrive(net_world *w, const net_thing *t)
{
    ocm_view bytes = view(t->bytes, t->len);
    int i, taken = 0;
    for (i = 0; i < w->members; i++) {
        net_member *m = &w->member[i];
        if (m->cut || w->cut || memcmp(&m->addr, &t->addr, sizeof t->addr) != 0) continue;
        if (m->s && !ocm_session_datagram(m->s, t->bytes, t->len, w->now)) continue;
        if (!m->s) net_heard(w, m, net_number(w, bytes));
        m->got++;
        taken++;
        net_pull(w, m);
    }
    CHECK(taken <= 1);
}

/* -- the world -- */

static void net_happen(net_world *w, size_t i)
{
    net_thing t = w->thing[i];
    memmove(w->thing + i, w->thing + i + 1, (--w->things - i) * sizeof t);
    if (t.kind == NET_DOWN) {
        net_arrive(w, &t);
    } else if (t.kind != NET_UP) {
        net_tcp(w, &t);
    } else if (w->reg) {
        ocm_registry_datagram(w->reg, t.bytes, t.len, &t.addr, w->now);
        net_drain(w);
    }
    free(t.bytes);
    net_pull(w, &w->member[t.member]);
}

static void net_run_until(net_world *w, uint64_t until)
{
    for (;;) {
        uint64_t at = w->wake;
        size_t i, thing = w->things;
        int m, member = -1;
        for (m = 0; m < w->members; m++) {
            if (w->member[m].wake >= at) continue;
            at = w->member[m].wake;
            member = m;
        }
        for (i = 0; i < w->things; i++) {
            if (w->thing[i].at > at || (w->thing[i].at == at && thing < w->things)) continue;
            at = w->thing[i].at;
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

static void net_run(net_world *w, uint64_t ms)
{
    net_run_until(w, w->now + ms);
}

/* A network that loses and repeats so many percent, and delays by so many ms. */
static net_world *net_open(int loss, int twice, uint32_t delay_min, uint32_t delay_max)
{
    net_world *w = (net_world *)allocate(sizeof *w);
    int i;
    w->limits.members = 100;
    w->limits.rooms = 10;
    w->limits.origin_size = w->limits.origin_joins = OCM_UNLIMITED;
    w->now = 1000;
    w->first = 1;
    w->lot = (uint32_t)seed * 2654435761u | 1;
    for (i = 0; i < 20; i++) dice(&w->lot);
    w->loss = loss;
    w->twice = twice;
    w->delay_min = delay_min;
    w->delay_max = delay_max;
    net_start(w);
    return w;
}

static void net_close(net_world *w)
{
    int i;
    while (w->things) free(w->thing[--w->things].bytes);
    for (i = 0; i < w->members; i++) free(w->member[i].s);
    free(w->reg);
    free(w);
}

static net_member *net_new(net_world *w, char *name)
{
    net_member *m = &w->member[w->members];
    sprintf(name, "m%d", w->members);
    unhex("00000000000000000000ffff0a000001", m->addr.ip);
    m->addr.ip[15] = (uint8_t)(1 + w->members);
    m->addr.port = (uint16_t)(4000 + w->members++);
    m->next = w->messages + 1;
    m->start = w->starts;
    return m;
}

static net_member *net_join(net_world *w, int want)
{
    char name[32];
    net_member *m = net_new(w, name);
    m->s = (ocm_session *)allocate(sizeof *m->s);
    CHECK(ocm_session_open(m->s, want, ocm_text("lobby"), ocm_text(name), view(NULL, 0)) == 1);
    net_pull(w, m);
    return m;
}

/* A member without a session, over a connection without a network. It can speak only in the text
   dialect, in which the answer ends with the bare token. */
static net_member *net_join_raw(net_world *w, int op, int dialect)
{
    static uint8_t out[OCM_ANSWER_MAX];
    static ocm_conn c;
    char name[32];
    net_member *m = net_new(w, name);
    ocm_request q;
    size_t len;
    int n;
    memset(&q, 0, sizeof q);
    q.op = op;
    q.dialect = dialect;
    q.room = ocm_text("lobby");
    q.name = ocm_text(name);
    n = ocm_request_encode(out, sizeof out, &q);
    ocm_conn_open(&c, &m->addr, w->now);
    if (CHECK(n > 0)) ocm_conn_received(&c, out, (size_t)n, w->now);
    len = net_answer(w, &c, out);
    net_run(w, 100);
    len += net_answer(w, &c, out + len);
    if (CHECK(len > OCM_TOKEN_LEN)) memcpy(m->token, out + len - OCM_TOKEN_LEN, OCM_TOKEN_LEN);
    ocm_conn_close(&c, w->reg, w->now);
    return m;
}

/* A room in which so many sessions are; the first has created it. */
static net_world *net_crowd(net_world *w, int members)
{
    int i;
    for (i = 0; i < members; i++) {
        net_join(w, i ? OCM_JOIN : OCM_CREATE);
        net_run(w, 2000);
        CHECK(w->member[i].told[OCM_SHOW_ENTERED] == 1);
    }
    net_run(w, 10000);
    return w;
}

/* So many messages of one member, or of all by lot (sender < 0), one in `every` ms from now on.
   Returns when the last of all is typed. */
static uint64_t net_type(net_world *w, int sender, size_t count, uint32_t every, size_t len)
{
    uint64_t at = w->now;
    size_t k;
    int i;
    while (count--) {
        net_message *m = &w->message[++w->messages];
        m->sender = sender >= 0 ? sender : (int)net_random(w, (uint32_t)w->members);
        at += every / 2 + net_random(w, every + 1);
        m->len = len;
        m->typed = at;
    }
    for (i = 0; i < w->members; i++) net_pull(w, &w->member[i]);
    for (k = 1; k <= w->messages; k++)
        if (w->message[k].typed > at) at = w->message[k].typed;
    return at;
}

/* What holds in a room where everything heals: each message was shown exactly once to everyone
   (if it must be refused, to nobody), in order, by the time `until`. Of what is in doubt others may
   have heard nothing, or may have heard it before its speaker repeated it. */
static void net_check(net_world *w, uint64_t until)
{
    size_t k, wrong = 0, late = 0, misjudged = 0;
    int i;
    for (k = w->first; k <= w->messages; k++) {
        const net_message *said = &w->message[k];
        int doubt = said->typed >= w->doubt_from && said->typed < w->doubt_to;
        late += said->last > until;
        misjudged += said->refused != said->refusable || said->unknown;
        for (i = 0; i < w->members; i++) {
            int n = w->member[i].shown[k];
            if (doubt && i != said->sender) wrong += n > 2;
            else if (w->member[i].s) wrong += n != !said->refusable;
        }
    }
    CHECK(wrong == 0);
    CHECK(late == 0);
    CHECK(misjudged == 0);
    for (i = 0; i < w->members; i++) {
        net_member *m = &w->member[i];
        CHECK(m->disorder == 0);
        CHECK(m->foreign == 0);
        CHECK(m->ended == 0);
        CHECK(net_typed(w, m) == UINT64_MAX);
        CHECK(w->doubt_to ? m->told[OCM_SHOW_MISSED] >= m->misses /* what ended with the old log */
                          : m->told[OCM_SHOW_MISSED] == m->misses);
        CHECK(!m->s || ocm_session_pending(m->s) == 0);
        if (m->told[OCM_SHOW_NO_UDP]) continue;
        CHECK(m->told[OCM_SHOW_OUTAGE] >= m->told[OCM_SHOW_BACK]);
        CHECK(m->told[OCM_SHOW_OUTAGE] - m->told[OCM_SHOW_BACK] <= (w->loss > 0));
    }
}

static int net_by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* So many percent of all delays are at most this. */
static uint32_t net_percentile(net_world *w, size_t percent)
{
    if (!CHECK(w->delay_count)) return UINT32_MAX;
    qsort(w->delays, w->delay_count, sizeof *w->delays, net_by_size);
    return w->delays[w->delay_count * percent / 100];
}

/* A test for so many seeds. */
#define NET_DICE(name, count, test) \
    static void name(void) \
    { \
        unsigned long was = seed; \
        char text[32]; \
        for (; seed < was + (count); seed++) { \
            sprintf(text, "seed %lu", seed); \
            row = text; \
            test(); \
        } \
        row = ""; \
        seed = was; \
    }

/* -- nothing is lost -- */

static void net_loss(void)
{
    net_world *w = net_crowd(net_open(30, 10, 1, 250), 20);
    uint64_t last = net_type(w, -1, 1000, 50, 10);
    net_run_until(w, last + 20000);
    net_check(w, last + 15000);
    CHECK(net_percentile(w, 50) <= 500);
    net_close(w);
}

NET_DICE(test_net_loss, 6, net_loss)

/* One message in ten must be refused; the others are as long as they may be, and no position finds
   room beside one. */
static void net_refused(void)
{
    net_world *w = net_crowd(net_open(30, 10, 1, 250), 5);
    uint64_t last = net_type(w, -1, 200, 200, 0);
    size_t k;
    for (k = 1; k <= w->messages; k++) {
        w->message[k].refusable = net_random(w, 10) == 0;
        if (!w->message[k].refusable) w->message[k].len = ocm_session_text_max(w->member[0].s);
    }
    net_run_until(w, last + 30000);
    net_check(w, last + 25000);
    for (k = 1; k <= w->messages; k++) CHECK(w->message[k].words <= w->message[k].refusable);
    net_close(w);
}

NET_DICE(test_net_refused, 3, net_refused)

/* Where nothing is lost its sender learns why, also of the last one. */
static void test_net_refused_words(void)
{
    net_world *w = net_crowd(net_open(0, 0, 20, 20), 2);
    uint64_t last = net_type(w, 1, 6, 2000, 0);
    size_t k;
    for (k = 2; k <= 6; k += 2) w->message[k].refusable = 1;
    net_run_until(w, last + 1000);
    for (k = 2; k <= 6; k += 2) CHECK(w->message[k].words == 1);
    CHECK(w->member[1].told[OCM_SHOW_NOTICE] == 0);
    net_check(w, w->now);
    net_close(w);
}

/* Lines from pipes: each of `members` gets `lines` of them, one in `every` ms. */
static void net_pipe(int members, uint32_t every, uint64_t patience, uint32_t median)
{
    net_world *w = every ? net_open(30, 0, 0, 250) : net_open(0, 0, 20, 120);
    uint64_t last = 0;
    int i;
    net_crowd(w, members);
    for (i = 0; i < members; i++) last = net_type(w, i, 100, every, 40);
    net_run_until(w, last + 20000);
    net_check(w, last + patience);
    CHECK(net_percentile(w, 50) <= median);
    net_close(w);
}

static void net_pipes(void)
{
    net_pipe(6, 200, 10000, 1000);
    net_pipe(2, 0, 2000, 2000);
}

NET_DICE(test_net_pipes, 3, net_pipes)

/* One message in a quiet room, the datagram lost that carries it up (or down). */
static void test_net_quiet_loss(void)
{
    int up;
    for (up = 0; up < 2; up++) {
        net_world *w = net_crowd(net_open(0, 0, 20, 120), 3);
        uint64_t last;
        net_run(w, 60000);
        w->member[1].mute = up;
        w->member[2].deaf = !up;
        last = net_type(w, 1, 1, 10, 10);
        net_run(w, 250);
        w->member[1].mute = w->member[2].deaf = 0;
        net_run(w, 10000);
        net_check(w, last + 4000);
        net_close(w);
    }
}

/* -- trouble -- */

enum { NET_CUT, NET_PORT, NET_HOST, NET_KILL, NET_STOP };

/* By when all that waited must have arrived: 5 s after the network is back and everyone has asked
   once more; until the host has made its room again the others ask in vain. */
static uint64_t net_settled(const net_world *w, uint64_t since, int restarted)
{
    uint64_t last;
    int i, k;
    if (restarted) since = w->member[0].back_at;
    last = since;
    for (i = 0; i < w->members; i++) {
        const uint64_t *asked = w->member[i].asked;
        for (k = 0; k < NET_ASKED && asked[k] < since; k++) {}
        if (k < NET_ASKED && asked[k] > last) last = asked[k];
    }
    return last + 5000;
}

/* Trouble for so long, in the middle of the talk of five; `who` is the one who moves. */
static void net_trouble(int trouble, int who, uint64_t ms, int loss)
{
    net_world *w = net_crowd(net_open(loss, loss / 3, 1, 100), 5);
    net_member *m = &w->member[who];
    int i, server = trouble == NET_KILL || trouble == NET_STOP;
    uint64_t back, done, last = net_type(w, -1, 40 + (size_t)ms / 200, 200, 10);
    char text[100];
    sprintf(text, "seed %lu, trouble %d for %lu ms, %d %% lost", seed, trouble, (unsigned long)ms,
            loss);
    row = text;
    net_run(w, 5000);
    back = w->now;
    if (server) {
        w->doubt_from = w->now - 5000;
        w->doubt_to = w->now;
    }
    w->cut = trouble == NET_CUT;
    if (trouble == NET_PORT || trouble == NET_HOST) m->addr.port += 100;
    if (trouble == NET_HOST) m->addr.ip[14]++;
    if (trouble == NET_STOP) {
        ocm_registry_stop(w->reg);
        net_drain(w);
    }
    if (server) net_kill(w);
    net_run(w, ms);
    if (server || w->cut) back = w->now;
    w->cut = 0;
    if (server) net_start(w);
    net_run(w, 100000);
    done = net_settled(w, back, server);
    net_check(w, (last + 5000 > done ? last + 5000 : done) + (loss ? 30000 : 0));
    for (i = 0; i < w->members; i++) {
        int out = server || (trouble == NET_CUT && ms > 20000) || (trouble == NET_HOST && i == who);
        CHECK(w->member[i].told[OCM_SHOW_OUTAGE] == out || loss);
        CHECK(w->member[i].told[OCM_SHOW_ENTERED] == 1);
    }
    CHECK(ocm_registry_counts(w->reg)->rooms == 1);
    CHECK(ocm_registry_counts(w->reg)->members == 5);
    row = "";
    net_close(w);
}

static void net_troubles(void)
{
    net_trouble(NET_CUT, 0, 5000, 0);
    net_trouble(NET_CUT, 0, 60000, 0);
    net_trouble(NET_CUT, 0, 5000, 30);
    net_trouble(NET_CUT, 0, 60000, 30);
    net_trouble(NET_PORT, 0, 20000, 5);
    net_trouble(NET_PORT, 3, 20000, 0);
    net_trouble(NET_HOST, 0, 20000, 5);
    net_trouble(NET_HOST, 3, 20000, 0);
    net_trouble(NET_KILL, 0, 15000, 0);
    net_trouble(NET_KILL, 0, 100000, 0);
    net_trouble(NET_KILL, 0, 300000, 10);
    net_trouble(NET_STOP, 0, 2000, 0);
    net_trouble(NET_STOP, 0, 30000, 10);
}

NET_DICE(test_net_trouble, 3, net_troubles)

/* Longer away than the log lasts: what is lost is told once. Of its own messages those that the
   server took count as delivered, though it never read them. */
static void net_overrun(void)
{
    net_world *w = net_open(0, 0, 1, 50);
    net_member *away = &w->member[1];
    size_t k, unseen = 0;
    int i;
    net_kill(w);
    w->limits.log = 65536;
    net_start(w);
    net_crowd(w, 3);
    net_type(w, 0, 10, 100, 500);
    net_run(w, 5000);
    away->deaf = 1;
    net_type(w, 1, 3, 10, 20);
    net_run(w, 500);
    away->cut = 1;
    net_type(w, 0, 300, 100, 500);
    net_run(w, 60000);
    away->cut = away->deaf = 0;
    net_run(w, 35000);
    for (k = 1; k <= w->messages; k++) unseen += !away->shown[k];
    CHECK(unseen > 150);
    CHECK(unseen < 303);
    CHECK(away->missed == unseen);
    CHECK(away->shown[w->messages] == 1);
    for (k = 11; k <= 13; k++) CHECK(w->member[0].shown[k] == 1);
    w->first = w->messages + 1;
    away->misses = 1;
    for (i = 0; i < w->members; i++) net_type(w, i, 20, 100, 500);
    net_run(w, 20000);
    CHECK(away->told[OCM_SHOW_OUTAGE] == 1);
    net_check(w, w->now);
    net_close(w);
}

NET_DICE(test_net_overrun, 3, net_overrun)

/* Away until the server gave its place up: a new token, the same log. What it had said before and
   stands there is not said again. */
static void net_timeout(void)
{
    net_world *w = net_crowd(net_open(0, 0, 1, 100), 3);
    net_member *away = &w->member[1];
    net_type(w, -1, 30, 100, 10);
    net_run(w, 6000);
    away->deaf = 1;
    net_type(w, 1, 8, 300, 10);
    net_run(w, net_random(w, 2000));
    away->cut = 1;
    net_type(w, 0, 100, 300, 10);
    net_run(w, 400000);
    CHECK(ocm_registry_counts(w->reg)->members == 2);
    away->cut = away->deaf = 0;
    net_run(w, 60000);
    net_check(w, w->now);
    CHECK(away->told[OCM_SHOW_OUTAGE] == 1);
    CHECK(away->told[OCM_SHOW_ENTERED] == 1);
    CHECK(w->member[0].told[OCM_SHOW_LEFT] == 1);
    net_close(w);
}

NET_DICE(test_net_timeout, 5, net_timeout)

/* TCP works and UDP does not, for a minute: later on, from the start, or only up. */
static void test_net_no_udp(void)
{
    int way;
    for (way = 0; way < 3; way++) {
        net_world *w = net_crowd(net_open(0, 0, 1, 100), way == 0 ? 2 : 1);
        net_member *m = way == 0 ? &w->member[1] : net_join(w, OCM_JOIN_OR_CREATE);
        m->mute = 1;
        m->deaf = way != 2;
        net_run(w, 500);
        net_type(w, 1, 3, 100, 10);
        net_run(w, 60000);
        CHECK(m->told[OCM_SHOW_NO_UDP] == 1);
        CHECK(m->told[OCM_SHOW_BACK] == 0);
        m->mute = m->deaf = 0;
        net_run(w, 60000);
        CHECK(m->told[OCM_SHOW_BACK] == 1);
        net_check(w, w->now);
        net_close(w);
    }
}

/* -- coming and going -- */

/* Many who join or create at once, and share one socket: one room, and all are in it. */
static void net_race(void)
{
    net_world *w = net_open(0, 0, 1, 250);
    int i;
    for (i = 0; i < 10; i++) net_join(w, OCM_JOIN_OR_CREATE)->addr = w->member[0].addr;
    net_run(w, 10000);
    for (i = 0; i < 10; i++) CHECK(w->member[i].told[OCM_SHOW_ENTERED] == 1);
    CHECK(ocm_registry_counts(w->reg)->rooms == 1);
    w->loss = w->twice = 10;
    net_type(w, -1, 50, 100, 10);
    net_run(w, 20000);
    net_check(w, w->now);
    net_close(w);
}

NET_DICE(test_net_race, 10, net_race)

/* The end of a room's past is shown to a newcomer, as past. One who comes again under its old name
   finds there what it said then, with the same ids, and takes nothing of that for its own. */
static void test_net_past(void)
{
    net_world *w = net_crowd(net_open(0, 0, 20, 120), 2);
    net_member *m = &w->member[1];
    net_type(w, 0, 20, 100, 10);
    net_run(w, 5000);
    net_type(w, 1, 15, 100, 10);
    net_run(w, 5000);
    ocm_session_leave(m->s);
    net_pull(w, m);
    net_run(w, 2000);
    CHECK(m->ended == OCM_END_LEFT);
    CHECK(w->member[0].told[OCM_SHOW_LEFT] == 1);
    free(m->s);
    memset(m, 0, sizeof *m);
    w->members = 1;
    net_join(w, OCM_JOIN);
    w->first = w->messages + 1;
    net_type(w, 1, 3, 10, 10);
    net_run(w, 5000);
    CHECK(m->past == 18); /* of twenty entries two are the notices of its leaving and coming */
    CHECK(m->told[OCM_SHOW_LEFT] == 1);
    CHECK(m->told[OCM_SHOW_JOINED] == 0);
    net_check(w, w->now);
    net_close(w);
}

/* Leaving waits for what was said; at 30 % loss, too. Then the host leaves, and all are out. */
static void net_leave(void)
{
    net_world *w = net_crowd(net_open(30, 10, 1, 250), 3);
    net_member *host = &w->member[0], *m = &w->member[2];
    size_t k;
    net_type(w, 2, 30, 0, 10);
    ocm_session_leave(m->s);
    net_pull(w, m);
    net_run(w, 30000);
    CHECK(m->ended == OCM_END_LEFT || m->ended == OCM_END_UNCONFIRMED);
    CHECK(m->unconfirmed == 0);
    for (k = 1; k <= 30; k++) CHECK(host->shown[k] == 1);
    CHECK(host->told[OCM_SHOW_LEFT] == 1 || m->ended == OCM_END_UNCONFIRMED);
    w->loss = 0;
    ocm_session_leave(host->s);
    net_pull(w, host);
    net_run(w, 5000);
    CHECK(host->ended == OCM_END_LEFT);
    CHECK(w->member[1].ended == OCM_END_HOST);
    CHECK(ocm_registry_counts(w->reg)->rooms == 0);
    net_close(w);
}

NET_DICE(test_net_leave, 5, net_leave)

/* -- what it costs where nothing is lost -- */

static void net_count(net_world *w)
{
    int i;
    for (i = 0; i < w->members; i++) w->member[i].told[OCM_DO_SEND] = w->member[i].got = 0;
}

/* A position each 25 s, and a status for each: in a quiet room, and where others talk. */
static void test_net_quiet(void)
{
    net_world *w = net_crowd(net_open(0, 0, 20, 20), 4);
    int i, *sent;
    net_count(w);
    net_run(w, 3600000);
    for (i = 0; i < 4; i++) {
        sent = &w->member[i].told[OCM_DO_SEND];
        CHECK(*sent <= 3600 / 25);
        CHECK(*sent >= 3600 / 26);
        CHECK(w->member[i].got == *sent);
    }
    net_count(w);
    net_run_until(w, net_type(w, 0, 1200, 1000, 10) + 2500);
    for (i = 1; i < 4; i++) {
        sent = &w->member[i].told[OCM_DO_SEND];
        CHECK(*sent <= 1200 / 25 + 3);
        CHECK(*sent >= 1200 / 26);
        CHECK(w->member[i].got == 1200 + *sent);
    }
    CHECK(ocm_registry_counts(w->reg)->members == 4);
    net_check(w, w->now);
    net_close(w);
}

/* A message in a quiet room costs its datagram, its entry for each, and 2 s later a position of
   each with its status; the probe after 3 s finds nobody. Other programs get only the message. */
static void test_net_cost(void)
{
    net_world *w = net_crowd(net_open(0, 0, 20, 20), 2);
    uint64_t last;
    int i;
    net_join_raw(w, OCM_JOIN, OCM_DIALECT_TEXT);
    net_join_raw(w, OCM_JOIN, OCM_DIALECT_JSON);
    net_run(w, 30000);
    net_count(w);
    last = net_type(w, 0, 10, 10000, 10);
    net_run_until(w, last + 4500);
    CHECK(w->member[0].told[OCM_DO_SEND] == 20);
    CHECK(w->member[1].told[OCM_DO_SEND] == 10);
    for (i = 0; i < 4; i++) CHECK(w->member[i].got == (i < 2 ? 20 : 10));
    net_check(w, last + 40);
    net_close(w);
}

/* -- the table of README.md -- */

static void net_table_row(int loss, int session)
{
    enum { MEMBERS = 10, SAID = 1000 };
    net_world *w = net_open(0, 0, 1, 1);
    unsigned long twice = 0;
    size_t k;
    int i;
    for (i = 0; i < MEMBERS; i++) {
        if (session) net_join(w, i ? OCM_JOIN : OCM_CREATE);
        else net_join_raw(w, i ? OCM_JOIN : OCM_CREATE, OCM_DIALECT_TEXT);
        net_run(w, 2000);
    }
    w->loss = loss;
    w->twice = loss ? 10 : 0;
    w->delay_min = 20;
    w->delay_max = 120;
    net_run_until(w, net_type(w, -1, SAID, 100, 20) + 30000);
    for (i = 0; i < MEMBERS; i++)
        for (k = 1; k <= w->messages; k++) twice += w->member[i].shown[k] > 1;
    printf("| %d %% | %s | %.2f %% | %lu | %lu ms | %lu ms |\n", loss,
           session ? "level 1" : "plain UDP",
           100.0 * (double)w->delay_count / ((MEMBERS - 1) * SAID), twice,
           (unsigned long)net_percentile(w, 50), (unsigned long)net_percentile(w, 99));
    net_close(w);
}

/* Ten members, 1000 messages, ten a second; 20 to 120 ms each way, and one datagram in ten comes
   twice where any is lost. */
static void net_table(void)
{
    int loss;
    printf("| lost each way | | delivered | shown twice | median delay | 99 of 100 within |\n");
    printf("|---|---|---|---|---|---|\n");
    for (loss = 0; loss <= 30; loss += 10) {
        net_table_row(loss, 1);
        net_table_row(loss, 0);
    }
}

/* ---- A session alone ---- */

/* A conversation as text, a line for each input, and after it, each after "= ", what the session
   does because of it, in this order:
     open join|create|any    the session begins
     up, down                the connection is there; there is none, or it ended
     answer 200 t1 5 17      the outcome: status, token, log, seq; without log and seq of level 0;
                             or JSON; or "!", a frame of state 3
     hear t1 A / B           a datagram with that token; "-": with a header of two zeros; "--": none
     say hi, leave           the user's
     +250                    so many ms pass
   A in a datagram is a short form of ses_object, or JSON. */

typedef struct ses_play {
    ocm_session *s;
    uint64_t now, until;
    const char *at; /* in the script */
    int ended;
} ses_play;

#define SES_SYSTEM "{\"sender\":\"system\",\"operation\":"

/* {"sender":"ann","message":"hi","seq":7,"id":2} is "7 ann: hi #2". */
static void ses_object(char *out, const char *p)
{
    unsigned long seq, first, id;
    char name[64], text[256];
    int n;
    if (sscanf(p, "status %lu %lu %lu", &seq, &first, &id) == 3) {
        sprintf(out, SES_SYSTEM "6,\"seq\":%lu,\"first\":%lu,\"id\":%lu}", seq, first, id);
    } else if (sscanf(p, "out %63s", name) == 1) {
        sprintf(out, SES_SYSTEM "3,\"reason\":\"%s\",\"message\":\"out: %s\"}", name, name);
    } else if (sscanf(p, "refused %lu %255[^\n]", &id, text) == 2) {
        sprintf(out, SES_SYSTEM "4,\"username\":\"bob\",\"message\":\"%s\",\"id\":%lu}", text, id);
    } else if (sscanf(p, "%lu joined %63s", &seq, name) == 2) {
        sprintf(out, SES_SYSTEM "1,\"username\":\"%s\",\"message\":\"%s joined\",\"seq\":%lu}",
                name, name, seq);
    } else if (sscanf(p, "%lu left %63s", &seq, name) == 2) {
        sprintf(out, SES_SYSTEM "2,\"username\":\"%s\",\"message\":\"%s left\",\"seq\":%lu}",
                name, name, seq);
    } else if ((n = sscanf(p, "%lu %63[^:{]: %255[^#] #%lu", &seq, name, text, &id)) >= 3) {
        size_t len = strlen(text);
        if (n == 4) text[len - 1] = 0;
        sprintf(out, "{\"sender\":\"%s\",\"message\":\"%s\",\"seq\":%lu", name, text, seq);
        sprintf(out + strlen(out), n == 4 ? ",\"id\":%lu}" : "}", id);
    } else {
        strcpy(out, p);
    }
}

static void ses_hear(ses_play *p, char *line)
{
    static uint8_t out[OCM_DATAGRAM_MAX];
    char payload[4000] = "", *token = strtok(line, " "), *rest = strtok(NULL, ""), *slash;
    int n, cut = strcmp(token, "--") == 0 ? 2 : 0;
    uint8_t *bytes;
    while (rest) {
        slash = strstr(rest, " / ");
        if (slash) *slash = 0;
        ses_object(payload + strlen(payload), rest);
        rest = slash ? slash + 3 : NULL;
        if (rest) strcat(payload, "\n");
    }
    n = ocm_datagram_encode(out, sizeof out, ocm_text(*token == '-' ? "" : "lobby"),
                            ocm_text(*token == '-' ? "" : token), ocm_text(payload));
    if (!CHECK(n >= 2)) return;
    bytes = copy(out + cut, (size_t)(n - cut));
    ocm_session_datagram(p->s, bytes, (size_t)(n - cut), p->now);
    free(bytes);
}

/* Both frames of an answer, and every byte alone. */
static void ses_answer(ses_play *p, const char *line)
{
    static uint8_t out[1024];
    char payload[256], token[64] = "";
    unsigned long log, seq;
    int status = 0, given = sscanf(line, "%d %63s %lu %lu", &status, token, &log, &seq), n, i;
    n = ocm_frame_encode(out, sizeof out, OCM_JOIN, OCM_STATE_ACK, ocm_text(""),
                         ocm_text("{\"status\":202,\"message\":\"accepted\"}"));
    sprintf(payload, "{\"status\":%d,\"message\":\"words\"", status);
    if (given >= 2) sprintf(payload + strlen(payload), ",\"token\":\"%s\"", token);
    if (given == 4)
        sprintf(payload + strlen(payload), ",\"ocm\":1,\"idle\":300,\"log\":%lu,\"seq\":%lu", log,
                seq);
    strcat(payload, "}");
    if (*line == '{') strcpy(payload, line);
    n += ocm_frame_encode(out + n, sizeof out - (size_t)n, OCM_JOIN,
                          *line == '!' ? 3 : OCM_STATE_COMPLETE, ocm_text(""), ocm_text(payload));
    for (i = 0; i < n; i++) {
        uint8_t *byte = copy(out + i, 1);
        ocm_session_received(p->s, byte, 1, p->now);
        free(byte);
    }
}

static void ses_render_request(ocm_view text, char *out)
{
    static uint8_t scratch[OCM_PAYLOAD_MAX];
    ocm_frame f;
    ocm_request q;
    strcpy(out, "nonsense");
    if (!CHECK(ocm_frame_decode(text.ptr, text.len, OCM_PAYLOAD_MAX, &f) == (int)text.len)) return;
    if (!CHECK(ocm_request_decode(&f, scratch, &q) == 1)) return;
    out += sprintf(out, "ask %s", q.op == OCM_CREATE ? "create" : "join");
    if (q.token.len) sprintf(out, " %.*s", OCM_S(q.token));
    CHECK(is(q.room, "lobby") && is(q.name, "bob") && is(q.password, "pw") && is(q.ip, "10.0.0.1"));
    CHECK(q.port == 4000);
    CHECK(q.level == 1);
}

static void ses_render_datagram(ocm_view text, char *out)
{
    static uint8_t scratch[OCM_DATAGRAM_MAX];
    ocm_datagram d;
    ocm_message m;
    size_t i, start = 0;
    strcpy(out, "nonsense");
    if (!CHECK(ocm_datagram_decode(text.ptr, text.len, &d) > 0)) return;
    CHECK(is(d.room, "lobby"));
    out += sprintf(out, "send %.*s", OCM_S(d.token));
    for (i = 0; i <= d.payload.len; i++) {
        ocm_view line = view(d.payload.ptr + start, i - start);
        if (i < d.payload.len && d.payload.ptr[i] != '\n') continue;
        start = i + 1;
        if (!line.len) continue;
        if (line.ptr != d.payload.ptr) out += sprintf(out, " /");
        if (!CHECK(ocm_message_decode(line, scratch, &m) == 1)) continue;
        if (m.operation == OCM_OP_LOG) out += sprintf(out, " at %lu", (unsigned long)m.seq);
        else if (m.operation == OCM_OP_LEFT) out += sprintf(out, " leave");
        else if (m.id) out += sprintf(out, " %.*s #%lu", OCM_S(m.text), (unsigned long)m.id);
        else out += sprintf(out, " %.*s: %.*s", OCM_S(m.sender), OCM_S(m.text));
    }
}

static void ses_render(const ocm_action *a, char *out)
{
    static const char *const kinds[] = {"connect", "", "disconnect", "", "entered", "", "joined",
                                        "left", "notice", "refused", "unknown", "missed",
                                        "outage", "no udp", "back", "end"};
    static const char *const ends[] = {"", "left", "unconfirmed", "host", "removed", "no server",
                                       "no answer", "no room", "exists", "taken", "password",
                                       "full", "refused"};
    int notice = a->kind == OCM_SHOW_JOINED || a->kind == OCM_SHOW_LEFT;
    strcpy(out, "an action that is not declared");
    if (!CHECK(a->kind >= 0 && a->kind <= OCM_END && a->end >= 0 && a->end < (int)COUNT(ends)))
        return;
    out += sprintf(out, "%s%s%s", a->past ? "past " : "", a->own ? "own " : "", kinds[a->kind]);
    if (a->kind == OCM_DO_REQUEST) {
        ses_render_request(a->text, out);
    } else if (a->kind == OCM_DO_SEND) {
        ses_render_datagram(a->text, out);
    } else if (a->kind == OCM_SHOW_MESSAGE) {
        sprintf(out, "%.*s: %.*s", OCM_S(a->name), OCM_S(a->text));
    } else {
        if (a->kind == OCM_END) out += sprintf(out, " %s %d", ends[a->end], (int)a->count);
        if (a->kind == OCM_SHOW_MISSED) out += sprintf(out, " %lu", (unsigned long)a->count);
        if (a->status && (a->kind == OCM_END || a->kind == OCM_SHOW_ENTERED))
            out += sprintf(out, " %d", a->status);
        if (a->text.len) out += sprintf(out, " %.*s", OCM_S(notice ? a->name : a->text));
        if (a->why.len) sprintf(out, " (%.*s)", OCM_S(a->why));
    }
}

/* The next line of the script, without its end; 0 if there is none, or it is of another sort. */
static int ses_line(ses_play *p, char *line, int expected)
{
    size_t n = strcspn(p->at, "\n");
    if (!*p->at || (strncmp(p->at, "= ", 2) == 0) != expected) return 0;
    memcpy(line, p->at, n);
    line[n] = 0;
    p->at += n + (p->at[n] == '\n');
    return 1;
}

static void ses_pull(ses_play *p)
{
    static char done[OCM_DATAGRAM_MAX * 2], line[4000];
    ocm_action a;
    int turns = 0, as_scripted;
    while (ocm_session_next(p->s, p->now, &a) && CHECK(++turns < 1000)) {
        ses_render(&a, done);
        if (a.kind == OCM_END) CHECK(!p->ended++);
        strcpy(line, "= nothing");
        as_scripted = ses_line(p, line, 1) && strcmp(line + 2, done) == 0;
        if (CHECK(as_scripted)) continue;
        printf("at %lu ms: \"%s\", got \"%s\", before \"%.40s\"\n", (unsigned long)p->now, line + 2,
               done, p->at);
    }
    CHECK(a.until > p->now);
    p->until = a.until > p->now ? a.until : p->now + 1;
}

static void ses_input(ses_play *p, char *line)
{
    static const char *const wants[] = {"open any", "open create", "open join"};
    const ocm_view lobby = ocm_text("lobby"), bob = ocm_text("bob"), pw = ocm_text("pw");
    uint64_t end = p->now;
    int i;
    for (i = 0; i < 3; i++)
        if (strcmp(line, wants[i]) == 0) CHECK(ocm_session_open(p->s, i, lobby, bob, pw) == 1);
    if (strcmp(line, "up") == 0) ocm_session_connected(p->s, ocm_text("10.0.0.1"), 4000, p->now);
    if (strcmp(line, "down") == 0) ocm_session_received(p->s, NULL, 0, p->now);
    if (strcmp(line, "leave") == 0) ocm_session_leave(p->s);
    if (strncmp(line, "answer ", 7) == 0) ses_answer(p, line + 7);
    if (strncmp(line, "hear ", 5) == 0) ses_hear(p, line + 5);
    if (strncmp(line, "say ", 4) == 0) CHECK(ocm_session_say(p->s, ocm_text(line + 4)) == 1);
    if (*line == '+') end += (uint64_t)atol(line + 1);
    for (; p->until < end; ses_pull(p)) p->now = p->until;
    p->now = end;
    if (strncmp(line, "say ", 4) || strncmp(p->at, "say ", 4)) ses_pull(p);
}

/* Plays the script, parts of which may be elsewhere. */
static void ses_script(const char *before, const char *script)
{
    char line[4000];
    const char *parts[2];
    ses_play p;
    int i;
    memset(&p, 0, sizeof p);
    p.s = (ocm_session *)allocate(sizeof *p.s);
    p.now = 1000;
    p.until = UINT64_MAX;
    parts[0] = before;
    parts[1] = script;
    for (i = 0; i < 2; i++) {
        for (p.at = parts[i]; *p.at;) {
            if (ses_line(&p, line, 0)) {
                ses_input(&p, line);
                continue;
            }
            printf("nothing happened, but expected was %.60s\n", p.at);
            CHECK(ses_line(&p, line, 0));
            break;
        }
    }
    free(p.s);
}

#define SES_ASK "open join\n= connect\nup\n= ask join\n"
#define SES_JOIN SES_ASK "answer 200 t1 5 3\n= disconnect\n= entered 200\n= send t1 at 0\n"
#define SES_IN \
    SES_JOIN "hear t1 status 3 1 0 / 1 joined ann / 2 ann: hello / 3 joined bob\n" \
             "= past joined ann\n= past ann: hello\n" \
             "+2000\n= send t1 at 3\nhear t1 status 3 1 0\n"
#define SES_OUT(reason) \
    "hear t1 out " reason "\n= outage out: " reason "\n= connect\nup\n" \
    "= ask join t1\n"

static void test_ses_enter(void)
{
    ses_script(SES_IN, "");
    row = "of the past is missed nothing";
    ses_script(SES_ASK "answer 200 t1 5 57\n= disconnect\n= entered 200\n= send t1 at 37\n",
               "hear t1 status 57 56 0 / 56 ann: old / 57 joined bob / 58 ann: new\n"
               "= past ann: old\n= ann: new\n");
    row = "create";
    ses_script("open create\n= connect\nup\n= ask create\n", "answer 201 t1 5 1\n= disconnect\n"
               "= entered 201\n= send t1 at 0\n");
    row = "any";
    ses_script("open any\n= connect\nup\n= ask join\nanswer 404\n= disconnect\n= connect\nup\n"
               "= ask create\nanswer 409\n= disconnect\n= connect\nup\n= ask join\n",
               "answer 200 t1 5 2\n= disconnect\n= entered 200\n= send t1 at 0\n");
    row = "";
}

/* How a session ends that was never in. */
static void test_ses_refused(void)
{
    static const char *const cases[][2] = {
        {"answer 404", "no room 0 404 words"}, {"answer 409", "taken 0 409 words"},
        {"answer 401", "password 0 401 words"}, {"answer 503", "full 0 503 words"},
        {"answer 400", "refused 0 400 words"}, {"answer 413", "refused 0 413 words"},
        {"answer {}", "no answer 0"}, {"answer {\"status\":200}", "no answer 0"},
        {"answer !", "no answer 0"}, {"down", "no answer 0"}};
    char script[200];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i][0];
        sprintf(script, "%s\n= disconnect\n= end %s\n", row, cases[i][1]);
        ses_script(SES_ASK, script);
    }
    row = "";
    ses_script("open join\n= connect\n+3000\nup\n= ask join\n", "+4999\n+1\n= disconnect\n"
               "= end no answer 0\n");
    ses_script(SES_ASK, "say a\nsay b\nanswer 404\n= disconnect\n= unknown a\n= unknown b\n"
               "= end no room 2 404 words\n");
    ses_script("open join\n= connect\n", "down\n= disconnect\n= end no server 0\n");
    ses_script("open join\n= connect\n", "+4999\n+1\n= disconnect\n= end no server 0\n");
    ses_script("open create\n= connect\nup\n= ask create\n", "answer 409\n= disconnect\n"
               "= end exists 0 409 words\n");
}

static void test_ses_arguments(void)
{
    ocm_session *s = (ocm_session *)allocate(sizeof *s);
    static char long_text[OCM_TEXT_MAX];
    const ocm_view lobby = ocm_text("lobby"), bob = ocm_text("bob"), none = view(NULL, 0);
    size_t i, max = OCM_TEXT_MAX - 8 - (OCM_TOKEN_MAX - OCM_TOKEN_LEN); /* any token may come */
    memset(long_text, '"', sizeof long_text);
    CHECK(ocm_session_open(s, OCM_JOIN, none, bob, none) == OCM_E_BAD);
    CHECK(ocm_session_open(s, OCM_JOIN, lobby, none, none) == OCM_E_BAD);
    CHECK(ocm_session_open(s, OCM_JOIN, lobby, ocm_text("system"), none) == OCM_E_BAD);
    CHECK(ocm_session_open(s, OCM_JOIN, lobby, ocm_text("a: b"), none) == OCM_E_BAD);
    CHECK(ocm_session_open(s, OCM_JOIN, lobby, bob, ocm_text("\xff")) == OCM_E_BAD);
    CHECK(ocm_session_open(s, OCM_JOIN, lobby, bob, view(long_text, 256)) == OCM_E_BAD);
    CHECK(ocm_session_open(s, OCM_JOIN, lobby, bob, view(long_text, 255)) == 1);
    CHECK(ocm_session_text_max(s) == max);
    CHECK(ocm_session_say(s, none) == OCM_E_BAD);
    CHECK(ocm_session_say(s, ocm_text("a\nb")) == OCM_E_BAD);
    CHECK(ocm_session_say(s, ocm_text("\xff")) == OCM_E_BAD);
    CHECK(ocm_session_say(s, view(long_text, max / 2 + 1)) == OCM_E_LARGE);
    CHECK(ocm_session_say(s, view(long_text, max / 2)) == 1);
    memset(long_text, 'x', sizeof long_text);
    CHECK(ocm_session_say(s, view(long_text, max + 1)) == OCM_E_LARGE);
    for (i = 1; i < OCM_OUTBOX; i++) CHECK(ocm_session_say(s, view(long_text, max)) == 1);
    CHECK(ocm_session_pending(s) == OCM_OUTBOX);
    CHECK(ocm_session_say(s, ocm_text("x")) == OCM_E_FULL);
    free(s);
}

/* One datagram of messages under way; and the one timer. */
static void test_ses_speaking(void)
{
    ses_script("open join\n= connect\nsay a\nsay b\nup\n= ask join\nanswer 200 t1 5 1\n"
               "= disconnect\n= entered 200\n= send t1 at 0 / a #1 / b #2\n", "");
    ses_script(SES_IN, "say a\n= send t1 a #1\nsay b\nsay c\n"
                       "hear t1 4 bob: a #1\n= own bob: a\n= send t1 b #2 / c #3\n"
                       "hear t1 6 bob: c #3\nsay d\n= send t1 d #4\n" /* taken, if not yet read */
                       "hear t1 5 bob: b #2\n= own bob: b\n= own bob: c\n");
    ses_script(SES_IN, "say a\n= send t1 a #1\nsay b\nhear t1 status 4 1 1\n= send t1 b #2\n"
               "hear t1 4 bob: a #1\n= own bob: a\n");
    row = "timer";
    ses_script(SES_IN, "say a\n= send t1 a #1\n+299\n+1\n= send t1 at 3 / a #1\nsay b\n+599\n+1\n"
               "= send t1 at 3 / a #1 / b #2\n+1199\n+1\n= send t1 at 3 / a #1 / b #2\n+2399\n+1\n"
               "= send t1 at 3 / a #1 / b #2\n+2399\n+1\n= send t1 at 3 / a #1 / b #2\n+2399\n+1\n"
               "= send t1 at 3 / a #1 / b #2\n+699\n+1\n= outage\n= connect\n");
    row = "round trip of a position";
    ses_script(SES_IN, "hear t1 4 ann: x\n= ann: x\n+2000\n= send t1 at 4\n+250\n"
               "hear t1 status 4 1 0\n+4000\nsay a\n= send t1 a #1\n+499\n+1\n"
               "= send t1 at 4 / a #1\n");
    row = "round trip";
    ses_script(SES_IN, "say a\n= send t1 a #1\n+250\nhear t1 4 bob: a #1\n= own bob: a\n"
                       "say b\n= send t1 b #2\n+499\n+1\n= send t1 at 4 / b #2\n+999\n"
                       "hear t1 5 bob: b #2\n= own bob: b\n" /* this measures nothing */
                       "say c\n= send t1 c #3\n+499\n+1\n= send t1 at 5 / c #3\n");
    row = "";
}

static void test_ses_hearing(void)
{
    row = "gap";
    ses_script(SES_IN, "hear t1 5 ann: b\n+49\nhear t1 6 ann: c\n+1\n= send t1 at 3\n+49\n+1\n"
               "= send t1 at 3\n+299\n+1\n= send t1 at 3\nhear t1 5 ann: b\nhear t1 4 ann: a\n"
               "= ann: a\n= ann: b\n= ann: c\nhear t1 4 ann: a\n");
    row = "status";
    ses_script(SES_IN, "hear t1 4 ann: a\n= ann: a\nhear t1 status 6 1 0\n= send t1 at 4\n"
               "hear t1 5 ann: b\n= ann: b\nhear t1 6 ann: c\n= ann: c\nhear t1 status 5 1 0\n"
               "+1999\n+1\n= send t1 at 6\n");
    row = "tail";
    ses_script(SES_IN, "hear t1 4 ann: a\n= ann: a\n+1999\n+1\n= send t1 at 4\n+299\n+1\n"
               "= send t1 at 4\nhear t1 status 4 1 0\n+24999\n+1\n= send t1 at 4\n");
    row = "lost";
    ses_script(SES_IN, "say a\n= send t1 a #1\nhear t1 status 40 38 1\n= missed 34\n"
               "= send t1 at 37\nhear t1 38 ann: x / 39 ann: y / 40 left ann\n= ann: x\n= ann: y\n"
               "= left ann\nleave\n= send t1 leave\nhear t1 out left\n= end left 0 out: left\n");
    row = "lost at the end";
    ses_script(SES_IN, "say a\n= send t1 a #1\nhear t1 status 40 38 1\n= missed 34\n"
               "= send t1 at 37\nhear t1 out host\n= missed 3\n= end host 0 out: host\n");
    ses_script(SES_IN, "hear t1 6 ann: c\nhear t1 out host\n= missed 2\n= ann: c\n"
               "= end host 0 out: host\n");
    row = "other objects";
    ses_script(SES_IN, "down\nhear t1 " SES_SYSTEM "4,\"message\":\"slow\"}\n= notice slow\n"
               "hear t1 {\"sender\":\"ann\",\"message\":\"\",\"seq\":4}\nhear t1 " SES_SYSTEM
               "1,\"message\":\"odd\",\"seq\":5}\n= notice odd\n");
    row = "strangers";
    ses_script(SES_IN, "hear t2 4 ann: a\nhear - 4 ann: a\nhear -- 4 ann: a\nhear t1x out host\n"
               "hear t1 " SES_SYSTEM "9,\"message\":\"x\"} / [] / x\nhear t1 4 ann: b\n= ann: b\n");
    row = "";
}

static void test_ses_fate(void)
{
    ses_script(SES_IN, "say a\n= send t1 a #1\nsay b\nsay c\nhear t1 4 bob: a #1\n= own bob: a\n"
               "= send t1 b #2 / c #3\nhear t1 5 bob: c #3\n= own bob: c\n= refused b\n");
    ses_script(SES_IN, "say a\n= send t1 a #1\nhear t1 status 4 1 1\n+50\n= send t1 at 3\n"
               "hear t1 4 ann: x\n= ann: x\n= refused a\n");
    ses_script(SES_IN, "say a\n= send t1 a #1\nhear t1 refused 1 too long / refused 1 too long\n"
               "hear t1 status 3 1 1\n= refused a (too long)\nhear t1 refused 1 too long\n");
}

/* Out, and in again. */
static void test_ses_back(void)
{
    static const char *const reasons[] = {"timeout", "unreachable", "stopping"};
    char script[512];
    size_t i;
    for (i = 0; i < COUNT(reasons); i++) {
        row = reasons[i];
        sprintf(script, "+20000\nhear t1 out %s\n= outage out: %s\n= connect\ndown\n= disconnect\n"
                        "+1000\n= connect\nup\n= ask join t1\n"
                        "answer 200 t2 5 3\n= disconnect\n= send t2 at 3\n"
                        "hear t2 status 3 1 0\n= back\n"
                        "hear t2 out stopping\n= outage out: stopping\n= connect\ndown\n"
                        "= disconnect\n+1000\n= connect\n", row, row);
        ses_script(SES_IN, script);
    }
    row = "a datagram ends the attempt";
    ses_script(SES_IN, "+25000\n= send t1 at 3\n+10000\n= send t1 at 3\n= send t1 at 3\n"
               "= send t1 at 3\n= send t1 at 3\n= send t1 at 3\n= send t1 at 3\n= outage\n"
               "= connect\nup\n= ask join t1\nhear t1 status 3 1 0\n= disconnect\n= back\nup\n"
               "answer 404\n");
    row = "new token, same log";
    ses_script(SES_IN, "say a\n= send t1 a #1\nsay b\n" SES_OUT("unreachable") "answer 200 t2 5 6\n"
               "= disconnect\n= send t2 at 3\nsay c\nhear t1 4 ann: wrong\n"
               "hear t2 4 bob: a #1 / 5 left bob\n= back\n= own bob: a\n= left bob\n"
               "hear t2 6 joined bob\n= send t2 b #1 / c #2\nhear t2 7 bob: b #1 / 8 bob: c #2\n"
               "= own bob: b\n= own bob: c\n");
    row = "new token, same log, another text";
    ses_script(SES_IN, "say a\n= send t1 a #1\n" SES_OUT("unreachable") "answer 200 t2 5 6\n"
               "= disconnect\n= send t2 at 3\nhear t2 4 bob: z #1 / 5 left bob / 6 joined bob\n"
               "= back\n= bob: z\n= left bob\n= send t2 a #1\n");
    row = "another log";
    ses_script(SES_IN, "say a\n= send t1 a #1\nhear t1 4 ann: old\n= ann: old\nhear t1 6 ann: old\n"
               SES_OUT("stopping") "answer 200 t2 6 3\n= disconnect\n= missed 1\n= ann: old\n"
               "= send t2 at 0 / a #1\n"
               "hear t2 1 joined ann / 2 ann: new / 3 joined bob / 4 bob: a #1\n= back\n"
               "= joined ann\n= ann: new\n= own bob: a\n+1999\n+1\n= send t2 at 4\n"
               "hear t2 5 ann: b / 6 ann: c\n= ann: b\n= ann: c\n");
    row = "";
}

/* Refusals when it comes back. */
static void test_ses_retry(void)
{
    static const char *const statuses[] = {"404", "409", "503"};
    static const char *const ends[] = {"no room", "taken", "full"};
    char script[2048];
    int i, k;
    for (i = 0; i < 3; i++) {
        row = statuses[i];
        sprintf(script, SES_OUT("stopping") "answer %s\n= disconnect\n", row);
        for (k = 1; k < 32; k *= 2)
            sprintf(script + strlen(script), "+%d999\n+1\n= connect\nup\n"
                    "= ask join t1\nanswer %s\n= disconnect\n", k - 1, row);
        sprintf(script + strlen(script), "+30000\n= connect\nup\n"
                "= ask join t1\nanswer %s\n= disconnect\n"
                "= end %s 0 %s words\n", row, ends[i], row);
        ses_script(SES_IN, script);
    }
    row = "a minute of refusals, each time";
    ses_script(SES_IN, SES_OUT("stopping") "answer 404\n= disconnect\n+1000\n= connect\nup\n"
               "= ask join t1\nanswer 200 t2 5 3\n= disconnect\n= send t2 at 3\n"
               "hear t2 status 3 1 0\n"
               "= back\n+25000\n= send t2 at 3\nhear t2 status 3 1 0\n+25000\n= send t2 at 3\n"
               "hear t2 status 3 1 0\n+25000\n= send t2 at 3\nhear t2 status 3 1 0\n"
               "hear t2 out stopping\n= outage out: stopping\n= connect\nup\n= ask join t2\n"
               "answer 404\n= disconnect\n+1000\n= connect\n");
    row = "not retried";
    ses_script(SES_IN, SES_OUT("stopping") "answer 401\n= disconnect\n"
               "= end password 0 401 words\n");
    ses_script(SES_IN, "say a\n= send t1 a #1\n" SES_OUT("stopping") "answer 400\n= disconnect\n"
               "= unknown a\n= end refused 1 400 words\n");
    row = "the host makes its room again";
    ses_script("open create\n= connect\nup\n= ask create\nanswer 201 t1 5 1\n= disconnect\n"
               "= entered 201\n= send t1 at 0\nhear t1 status 1 1 0 / 1 joined bob\n",
               SES_OUT("stopping") "answer 404\n= disconnect\n= connect\nup\n= ask create\n"
               "answer 201 t2 6 1\n= disconnect\n= send t2 at 0\n"
               "hear t2 status 1 1 0 / 1 joined bob\n= back\n");
    row = "no server for long";
    strcpy(script, "hear t1 out stopping\n= outage out: stopping\n= connect\ndown\n= disconnect\n");
    for (k = 1; k < 200; k *= 2)
        sprintf(script + strlen(script), "+%d\n= connect\ndown\n= disconnect\n",
                k < 30 ? k * 1000 : 30000);
    strcat(script, "+30000\n= connect\nup\n= ask join t1\n"
                   "answer 404\n= disconnect\n");
    ses_script(SES_IN, script);
    row = "";
}

static void test_ses_leaving(void)
{
    row = "confirmed";
    ses_script(SES_IN, "leave\n= send t1 leave\nhear t1 out left\n= end left 0 out: left\n");
    row = "not confirmed";
    ses_script(SES_IN, "leave\n= send t1 leave\n+1000\n= send t1 leave\n= send t1 leave\n"
               "= end unconfirmed 0\n");
    row = "with a fate";
    ses_script(SES_IN, "say a\n= send t1 a #1\nleave\n+200\nhear t1 4 bob: a #1\n= own bob: a\n"
               "= send t1 leave\nhear t1 out left\n= end left 0 out: left\n");
    row = "without a fate";
    ses_script(SES_IN, "say a\n= send t1 a #1\nleave\n+9999\n= send t1 at 3 / a #1\n"
               "= send t1 at 3 / a #1\n= send t1 at 3 / a #1\n= send t1 at 3 / a #1\n"
               "= send t1 at 3 / a #1\n= send t1 at 3 / a #1\n+1\n= send t1 leave\n+1000\n"
               "= send t1 leave\n= send t1 leave\n= unknown a\n= end unconfirmed 1\n");
    row = "host";
    ses_script(SES_IN, "say a\n= send t1 a #1\nhear t1 out host\n= unknown a\n"
               "= end host 1 out: host\n");
    row = "unknown reason";
    ses_script(SES_IN, "hear t1 out whim\n= end removed 0 out: whim\n");
    row = "timed out while leaving";
    ses_script(SES_IN, "leave\n= send t1 leave\nhear t1 out timeout\n= end left 0 out: timeout\n");
    row = "";
}

/* A server that knows nothing of level 1. */
static void test_ses_level_0(void)
{
    static const char in[] = SES_ASK "answer 200 t1\n= disconnect\n= entered 200\n";
    ses_script(in, "+600000\nhear t1 {\"sender\":\"b\",\"message\":\"hi\"}\n= b: hi\n"
               "hear - {\"sender\":\"b\",\"message\":\"hi\"}\n= b: hi\n"
               "hear -- {\"sender\":\"b\",\"message\":\"hi\"}\n= b: hi\nhear -- \"bye\"\n"
               "= notice bye\nhear - \"bye\"\n= notice bye\n"
               "hear t2 {\"sender\":\"b\",\"message\":\"hi\"}\n"
               "hear t1 {\"sender\":\"b\",\"message\":\"hi\",\"seq\":17}\n= b: hi\n");
    ses_script(in, "say a\nsay b\n= send t1 bob: a\n= send t1 bob: b\nleave\n= send t1 leave\n"
               "= end left 0\n");
}

/* -- a server that lies -- */

static uint64_t ses_lie(net_world *w)
{
    static const uint64_t numbers[] = {0, 1, 2, 3, 4, 5, 17, 63, 64, 65, 66, 67, 68, 128, 1000,
                                       OCM_INTEGER_MAX - 1, OCM_INTEGER_MAX, OCM_INTEGER_MAX + 1,
                                       UINT64_MAX};
    return net_random(w, 3) ? 3 + net_random(w, 80) : numbers[net_random(w, COUNT(numbers))];
}

/* An object that a server may send, with numbers that it should not. */
static void ses_rubbish(net_world *w, char *out)
{
    static const char *const forms[] = {
        "{\"sender\":\"ann\",\"message\":\"a\",\"seq\":%llu}",
        "{\"sender\":\"bob\",\"message\":\"a\",\"seq\":%llu,\"id\":%llu}",
        "{\"sender\":\"bob\",\"message\":\"b\",\"seq\":%llu,\"id\":%llu,\"first\":%llu}",
        SES_SYSTEM "6,\"seq\":%llu,\"first\":%llu,\"id\":%llu}",
        SES_SYSTEM "6,\"seq\":%llu,\"id\":%llu}", SES_SYSTEM "4,\"message\":\"no\",\"id\":%llu}",
        SES_SYSTEM "1,\"username\":\"bob\",\"message\":\"a\",\"seq\":%llu}",
        SES_SYSTEM "2,\"username\":\"ann\",\"message\":\"a\",\"seq\":%llu,\"id\":%llu}",
        SES_SYSTEM "%llu,\"seq\":%llu}", "{\"seq\":%llu}", "", "{", "{}", "[]", "\"a\"", "null",
        "\xff\xfe", SES_SYSTEM "3,\"reason\":\"stopping\"}", SES_SYSTEM "3,\"reason\":\"timeout\"}",
        SES_SYSTEM "3}"};
    const uint32_t common = COUNT(forms) - 3; /* the others end or interrupt it */
    uint32_t form = net_random(w, 50) ? net_random(w, common) : common + net_random(w, 3);
    sprintf(out, forms[form], (unsigned long long)ses_lie(w), (unsigned long long)ses_lie(w),
            (unsigned long long)ses_lie(w));
}

/* What the session wants at one moment has an end; its connections lead to that server. */
static void ses_exhaust(ses_play *p, int *call)
{
    ocm_action a;
    int turns = 0;
    while (ocm_session_next(p->s, p->now, &a) && CHECK(++turns < 1000)) {
        if (a.kind == OCM_DO_CONNECT) *call = 1;
        if (a.kind == OCM_DO_DISCONNECT) *call = 0;
        if (a.kind == OCM_DO_SEND) CHECK(a.text.len <= OCM_DATAGRAM_MAX);
        if (a.kind == OCM_SHOW_MISSED) CHECK(a.count <= OCM_INTEGER_MAX);
        if (a.kind == OCM_END) CHECK(!p->ended++);
        CHECK(a.kind >= OCM_DO_CONNECT && a.kind <= OCM_END);
    }
    CHECK(a.until > p->now);
    p->until = a.until;
}

static void ses_lie_by_tcp(ses_play *p, net_world *w)
{
    static const char *const bodies[] = {
        "200 t1 5 3", "200 t1 5 60", "200 t1 6 3", "200 t2 5 9", "200 t1 5 0", "404", "409", "503",
        "401", "200 t1", "{}", "[]", "{\"status\":200,\"token\":\"\"}", "{\"status\":-1}",
        "{\"status\":200,\"token\":\"t1\",\"ocm\":1,\"idle\":0,\"seq\":9007199254740991,\"log\":5}",
        "{\"status\":200,\"token\":\"t1\",\"ocm\":1,\"idle\":9007199254740991,\"seq\":4,\"log\":0}",
        "{\"status\":200,\"token\":\"t1\",\"ocm\":1}"};
    static const uint8_t junk[64] = {5, OCM_JOIN, OCM_STATE_COMPLETE};
    if (net_random(w, 8) == 0) ocm_session_received(p->s, NULL, 0, p->now);
    else if (net_random(w, 8) == 0) ocm_session_received(p->s, junk, sizeof junk, p->now);
    else ses_answer(p, bodies[net_random(w, net_random(w, 5) ? 4 : COUNT(bodies))]);
}

static void ses_lie_by_udp(ses_play *p, net_world *w)
{
    char payload[3000] = "";
    uint8_t out[OCM_DATAGRAM_MAX], *bytes;
    const char *token = net_random(w, 20) ? "t1" : "t2";
    uint32_t lines = net_random(w, 4) ? 1 : 1 + net_random(w, 12);
    int n, len;
    while (lines--) {
        ses_rubbish(w, payload + strlen(payload));
        if (lines) strcat(payload, "\n");
    }
    len = (int)strlen(payload);
    if (len && net_random(w, 10) == 0)
        payload[net_random(w, (uint32_t)len)] ^= (char)(1 << net_random(w, 7));
    if (len && net_random(w, 10) == 0) len = (int)net_random(w, (uint32_t)len);
    n = ocm_datagram_encode(out, sizeof out, ocm_text("lobby"), ocm_text(token),
                            view(payload, (size_t)len));
    if (net_random(w, 20) == 0) n = (int)net_random(w, (uint32_t)n + 1);
    bytes = copy(out, (size_t)n);
    ocm_session_datagram(p->s, bytes, (size_t)n, p->now);
    free(bytes);
}

static void ses_torment(net_world *w, int rounds)
{
    ses_play p;
    int call = 0;
    memset(&p, 0, sizeof p);
    p.s = (ocm_session *)allocate(sizeof *p.s);
    p.now = 1000;
    CHECK(ocm_session_open(p.s, (int)net_random(w, 3), ocm_text("lobby"), ocm_text("bob"),
                           view(NULL, 0)) == 1);
    for (ses_exhaust(&p, &call); rounds--; ses_exhaust(&p, &call)) {
        if (call && net_random(w, 3) == 0) {
            if (call == 1) ocm_session_connected(p.s, ocm_text("::1"), 4000, p.now);
            else ses_lie_by_tcp(&p, w);
            call++;
        } else if (net_random(w, 5)) {
            ses_lie_by_udp(&p, w);
        }
        if (net_random(w, 5) == 0) ocm_session_say(p.s, ocm_text("a"));
        if (net_random(w, 500) == 0) ocm_session_leave(p.s);
        if (net_random(w, 3) == 0) p.now += net_random(w, net_random(w, 5) ? 100 : 5000);
        if (net_random(w, 100) == 0 && p.until < UINT64_MAX && p.until > p.now) p.now = p.until;
    }
    free(p.s);
}

static void test_ses_hostile(void)
{
    net_world *w = net_open(0, 0, 1, 1);
    int i;
    for (i = 0; i < 300; i++) ses_torment(w, 300);
    net_close(w);
}

/* -- Session -- */

/* A session of bob's in the lobby, step by step. what: c connected, a an answer with that payload,
   x the connection ends, d a datagram with our header, b bare bytes, s say, l leave, - nothing.
   What the session then does is compared with a pattern. */
typedef struct more_step {
    uint64_t wait;
    char what;
    const char *input, *expect;
} more_step;

static ocm_session *more_s;
static uint64_t more_now, more_until;
static char more_token[64];

static void more_put(char *out, const char *format, ocm_view v)
{
    sprintf(out + strlen(out), format, (int)v.len, v.len ? (const char *)v.ptr : "");
}

/* All that the session does now, as text. */
static void more_pull(char *out)
{
    static const char *const words[] = {
        "connect", "request", "disconnect", "", "entered", "", "", "", "notice %.*s",
        "refused %.*s", "unknown %.*s", "", "outage %.*s", "no udp", "back", "end"};
    ocm_action a;
    ocm_datagram d;
    char *at;
    *out = 0;
    while (ocm_session_next(more_s, more_now, &a)) {
        if (*out) strcat(out, "; ");
        at = out + strlen(out);
        if (a.kind == OCM_DO_SEND) {
            if (CHECK(ocm_datagram_decode(a.text.ptr, a.text.len, &d) > 0)) {
                CHECK(is(d.room, "lobby") && is(d.token, more_token));
                more_put(out, "send %.*s", d.payload);
            }
        } else if (a.kind == OCM_SHOW_MESSAGE) {
            more_put(out, a.own ? "(own) %.*s: " : "%.*s: ", a.name);
            more_put(out, "%.*s", a.text);
        } else if (a.kind == OCM_SHOW_JOINED || a.kind == OCM_SHOW_LEFT) {
            more_put(out, a.kind == OCM_SHOW_JOINED ? "+%.*s" : "-%.*s", a.name);
        } else if (a.kind == OCM_SHOW_MISSED) {
            sprintf(at, "missed %lu", (unsigned long)a.count);
        } else if (a.kind == OCM_END) {
            sprintf(at, "end %d %d", a.end, a.status);
            if (a.text.len) more_put(out, " %.*s", a.text);
        } else {
            more_put(out, words[a.kind], a.text);
        }
        for (; *at; at++)
            if (*at == '\n') *at = '^';
    }
    more_until = a.until;
    CHECK(more_until > more_now);
}

static void more_do(const more_step *step)
{
    uint8_t bytes[OCM_FRAME_MAX], *c;
    ocm_view input = ocm_text(step->input);
    int n = 0;
    more_now += step->wait;
    if (step->what == 'c') ocm_session_connected(more_s, ocm_text("10.0.0.1"), 4000, more_now);
    if (step->what == 'x') ocm_session_received(more_s, NULL, 0, more_now);
    if (step->what == 's') CHECK(ocm_session_say(more_s, input) == 1);
    if (step->what == 'l') ocm_session_leave(more_s);
    if (step->what == 'a')
        n = ocm_frame_encode(bytes, sizeof bytes, OCM_JOIN, 2, view(NULL, 0), input);
    if (step->what == 'd')
        n = ocm_datagram_encode(bytes, sizeof bytes, ocm_text("lobby"), ocm_text(more_token),
                                input);
    if (step->what == 'b') memcpy(bytes, input.ptr, (size_t)(n = (int)input.len));
    CHECK(n >= 0);
    c = copy(bytes, (size_t)n);
    if (step->what == 'a') ocm_session_received(more_s, c, (size_t)n, more_now);
    if (step->what == 'd' || step->what == 'b')
        CHECK(ocm_session_datagram(more_s, c, (size_t)n, more_now) == 1);
    free(c);
}

static void more_begin(int want)
{
    more_s = (ocm_session *)allocate(sizeof *more_s);
    memset((void *)more_s, 0xA5, sizeof *more_s);
    more_now = 1000;
    strcpy(more_token, "t");
    CHECK(ocm_session_open(more_s, want, ocm_text("lobby"), ocm_text("bob"), ocm_text("")) == 1);
}

static void more_end(void)
{
    free(more_s);
    row = "";
}

static void more_play(int want, const more_step *step, size_t count)
{
    static char got[65536];
    more_begin(want);
    for (; count--; step++) {
        row = step->input;
        more_do(step);
        more_pull(got);
        if (!CHECK(reg_like(got, strlen(got), step->expect)))
            printf("   should: %s\n   does:   %s\n", step->expect, got);
    }
    more_end();
}

#define MORE_PLAY(want, steps) more_play(want, steps, COUNT(steps))
#define MORE_LEVEL_0 "{\"status\":200,\"token\":\"t\"}"
#define MORE_LEVEL_1(rest) "{\"status\":200,\"token\":\"t\",\"ocm\":1,\"log\":9," rest "}"

static void more_refusals(void)
{
    static const more_step full[] = {
        {0, '-', "", "connect"}, {0, 'c', "", "request"},
        {0, 'a', "{\"status\":503,\"message\":\"no\"}", "disconnect; end 11 503 no"}};
    static const more_step bell[] = {
        {0, '-', "", "connect"}, {0, 'c', "", "request"},
        {0, 'a', "{\"status\":400,\"message\":\"n\\u0007o\"}", "disconnect; end 12 400"}};
    static const more_step other[] = {
        {0, '-', "", "connect"}, {0, 'c', "", "request"},
        {0, 'a', "{\"status\":300,\"token\":\"t\"}", "disconnect; end 12 300"}};
    static more_step race[64];
    size_t i, n = 0;
    MORE_PLAY(OCM_JOIN_OR_CREATE, full);
    MORE_PLAY(OCM_JOIN, bell);
    MORE_PLAY(OCM_JOIN, other);
    for (n = 255; n < 258; n++) { /* more words than there is a place for are none */
        static const more_step asks[] = {{0, '-', "", "connect"}, {0, 'c', "", "request"}};
        more_step steps[3];
        char words[258] = "", answer[400], end[400];
        memset(words, 'w', n);
        words[n] = 0;
        sprintf(answer, "{\"status\":401,\"message\":\"%s\"}", words);
        sprintf(end, "disconnect; end 10 401%s%s", n > 256 ? "" : " ", n > 256 ? "" : words);
        memcpy(steps, asks, sizeof asks);
        steps[2] = (more_step){0, 'a', answer, end};
        MORE_PLAY(OCM_JOIN, steps);
    }
    n = 0;
    race[n++] = full[0];
    for (i = 0; i < 9; i++) {
        static const more_step connected = {0, 'c', "", "request"};
        static const char *const answers[] = {"{\"status\":404}", "{\"status\":409}"};
        more_step refused = {0, 'a', "", "disconnect; connect"};
        refused.input = answers[i % 2];
        if (i == 8) refused.expect = "disconnect; end 7 404";
        race[n++] = connected;
        race[n++] = refused;
    }
    more_play(OCM_JOIN_OR_CREATE, race, n);
}

/* A frame as long as one may be, and a byte more than that. */
static void more_flood_of_an_answer(void)
{
    static const uint8_t part[OCM_HEADER_LEN + OCM_PAYLOAD_MAX] = {255, 1, 1, [30] = 16};
    static char got[65536];
    size_t first;
    for (first = 0; first < 3; first++) {
        more_begin(OCM_JOIN);
        more_pull(got);
        ocm_session_connected(more_s, ocm_text("10.0.0.1"), 4000, more_now);
        more_pull(got);
        ocm_session_received(more_s, part, OCM_FRAME_MAX - 256, more_now);
        more_pull(got);
        CHECK(!*got);
        ocm_session_received(more_s, part, 255 + first, more_now);
        more_pull(got);
        CHECK(strcmp(got, first < 2 ? "" : "disconnect; end 6 0") == 0);
        more_end();
    }
}

/* Answers to a session that comes back: a longer token than the one for which its messages were
   measured is none; a server may have forgotten level 1; what is read of another log waits until
   the old one is read out. */
static void more_coming_back(void)
{
    static const more_step steps[] = {
        {0, '-', "", "connect"}, {0, 'c', "", "request"},
        {0, 'a', MORE_LEVEL_1("\"seq\":1"), "disconnect; entered; send *"},
        {10000, '-', "", "send *"}};
    static const struct { const char *token, *rest, *expect; int taken; } back[] = {
        {"0123456789abcdef0123456789abcdef", "\"ocm\":1,\"log\":9", "disconnect; send *", 1},
        {"0123456789abcdef0123456789abcdef0", "\"ocm\":1,\"log\":9", "disconnect", 0},
        {"t", "\"ocm\":1,\"log\":9", "disconnect; send *", 1},
        {"t", "\"log\":9", "disconnect", 0},
        {"u", "\"ocm\":1,\"log\":10", "disconnect; send *", 0}};
    static char got[65536];
    uint8_t d[100];
    char answer[200];
    size_t i, k;
    for (i = 0; i < COUNT(back); i++) {
        more_begin(OCM_JOIN);
        for (k = 0; k < COUNT(steps); k++) {
            more_do(&steps[k]);
            more_pull(got);
        }
        for (k = 0; k < 40 && strstr(got, "connect") == NULL; k++) {
            more_now += 1000;
            more_pull(got);
        }
        more_do(&(more_step){0, 'c', "", ""});
        more_pull(got);
        CHECK(strcmp(got, "request") == 0);
        sprintf(answer, "{\"status\":200,\"token\":\"%s\",%s,\"seq\":2}", back[i].token,
                back[i].rest);
        strcpy(more_token, back[i].token);
        more_do(&(more_step){0, 'a', answer, ""});
        k = (size_t)ocm_datagram_encode(d, sizeof d, ocm_text("lobby"), ocm_text(more_token),
                                        ocm_text("{}"));
        CHECK(ocm_session_datagram(more_s, d, k, more_now) == back[i].taken);
        more_pull(got);
        if (!CHECK(reg_like(got, strlen(got), back[i].expect)))
            printf("   %s: does: %s\n", back[i].rest, got);
        more_end();
    }
}

static void more_level_0(void)
{
    static const more_step steps[] = {
        {0, '-', "", "connect"}, {0, 'c', "", "request"},
        {0, 'a', MORE_LEVEL_0, "disconnect; entered"},
        {0, 'b', "{", ""}, {0, 'b', "", ""}, {0, 'b', "\"\"", "notice "},
        {0, 'b', "\"hi\"", "notice hi"},
        {0, 'b', "{\"sender\":\"al\",\"message\":\"hi\"}", "al: hi"},
        {0, 'b', "{\"sender\":\"bob\",\"message\":\"hi\"}", "(own) bob: hi"},
        {0, 'b', "{\"sender\":\"al\",\"message\":\"\"}", ""},
        {0, 'd', "{\"sender\":\"al\",\"message\":\"ho\"}", "al: ho"},
        {0, 'b', "\"a\\u0007\"", ""}, {0, 'b', "{\"sender\":\"a\\u0007\",\"message\":\"x\"}", ""},
        {0, 'b', "{\"sender\":\"al\",\"username\":\"\\u009b\",\"message\":\"x\"}", ""},
        {0, 'b', "{\"sender\":\"al\",\"message\":\"\\u001b\"}", ""},
        {0, 's', "yo", "send {\"sender\":\"bob\",\"message\":\"yo\"}"},
        {3600000, '-', "", ""},
        {0, 'l', "", "send {\"sender\":\"system\",\"operation\":2,\"username\":\"bob\","
                     "\"message\":\"bob left\"}; end 1 0"}};
    static char got[65536];
    char message[64];
    int i;
    MORE_PLAY(OCM_JOIN, steps);
    more_begin(OCM_JOIN);
    for (i = 0; i < 3; i++) {
        more_do(&steps[i]);
        more_pull(got);
    }
    for (i = 0; i < 70; i++) { /* nobody pulls: as many wait as there are places */
        sprintf(message, "\"%d\"", i);
        more_do(&(more_step){0, 'b', message, ""});
    }
    more_pull(got);
    CHECK(strncmp(got, "notice 0; notice 1; ", 20) == 0);
    CHECK(strstr(got, "notice 63") && !strstr(got, "notice 64"));
    CHECK(ocm_session_datagram(more_s, (const uint8_t *)"\0\0\"x\"", 5, more_now) == 1);
    more_pull(got);
    CHECK(strcmp(got, "notice x") == 0);
    CHECK(ocm_session_datagram(more_s, (const uint8_t *)"\0\1r\"x\"", 6, more_now) == 1);
    CHECK(ocm_session_datagram(more_s, (const uint8_t *)"\1\0r\"x\"", 6, more_now) == 1);
    more_pull(got);
    CHECK(!*got);
    more_do(&(more_step){0, 'b', "{\"sender\":\"system\",\"operation\":3,\"reason\":\"host\","
                                 "\"message\":\"bye\"}", ""});
    CHECK(ocm_session_say(more_s, ocm_text("too late")) == OCM_E_FULL);
    more_pull(got);
    CHECK(strcmp(got, "end 3 0 bye") == 0);
    more_end();
}

/* A status that claims more than was sent stops nothing; leaving is said thrice in a second. */
static void more_leaving(void)
{
    static const char leave[] = "send {\"sender\":\"system\",\"operation\":2,\"username\":\"bob\","
                                "\"message\":\"bob left\"}";
    static const more_step begin[] = {
        {0, '-', "", "connect"}, {0, 'c', "", "request"},
        {0, 'a', MORE_LEVEL_1("\"seq\":1"), "disconnect; entered; send *"},
        {0, 'd', "{\"sender\":\"system\",\"operation\":1,\"username\":\"bob\",\"message\":\"x\","
                 "\"seq\":1}", ""},
        {0, 'd', "{\"sender\":\"system\",\"operation\":6,\"seq\":1,\"first\":1,\"id\":100}", ""},
        {0, 's', "hi", "send {\"message\":\"hi\",\"id\":1}^"},
        {0, 'd', "{\"sender\":\"bob\",\"message\":\"hi\",\"seq\":2,\"id\":1}", "(own) bob: hi"}};
    more_step steps[16];
    size_t n = COUNT(begin);
    memcpy(steps, begin, sizeof begin);
    steps[n++] = (more_step){0, 'l', "", leave};
    steps[n++] = (more_step){299, '-', "", ""};
    steps[n++] = (more_step){1, '-', "", leave};
    steps[n++] = (more_step){299, '-', "", ""};
    steps[n++] = (more_step){1, '-', "", leave};
    steps[n++] = (more_step){399, '-', "", ""};
    steps[n++] = (more_step){1, '-', "", "end 2 0"};
    more_play(OCM_JOIN, steps, n);
}

/* What is malformed takes nobody's place. */
static void more_malformed_entry(void)
{
    static const more_step steps[] = {
        {0, '-', "", "connect"}, {0, 'c', "", "request"},
        {0, 'a', MORE_LEVEL_1("\"seq\":1"), "disconnect; entered; send *"},
        {0, 'd', "{\"sender\":\"system\",\"operation\":1,\"username\":\"bob\",\"message\":\"x\","
                 "\"seq\":1}", ""},
        {0, 'd', "{\"sender\":\"al\",\"message\":\"hi\",\"seq\":2,}", ""},
        {0, 'd', "{\"sender\":\"al\",\"message\":\"ho\",\"seq\":2}", "al: ho"}};
    MORE_PLAY(OCM_JOIN, steps);
}

/* Entries that are lost are counted; the own notice, which nobody is shown, is not. */
static void more_missed(void)
{
    static const more_step steps[] = {
        {0, '-', "", "connect"}, {0, 'c', "", "request"},
        {0, 'a', MORE_LEVEL_1("\"seq\":1"), "disconnect; entered; send *"},
        {10000, '-', "", "no udp; connect"}, {0, 'c', "", "request"},
        {0, 'a', "{\"status\":200,\"token\":\"t2\",\"ocm\":1,\"log\":9,\"seq\":5}",
         "disconnect; send *"},
        {0, 'd', "{\"sender\":\"system\",\"operation\":6,\"seq\":10,\"first\":8,\"id\":0}",
         "missed 5*"}};
    static char got[65536];
    size_t i;
    more_begin(OCM_JOIN);
    for (i = 0; i < COUNT(steps); i++) {
        row = steps[i].input;
        if (i + 2 == COUNT(steps)) strcpy(more_token, "t2");
        more_do(&steps[i]);
        more_pull(got);
        if (!CHECK(reg_like(got, strlen(got), steps[i].expect))) printf("   does: %s\n", got);
    }
    more_end();
}

/* A position every third of a short `idle`, every 25 s of a long one, and of one that is absurd. */
static void more_keep_alive(void)
{
    static const struct { const char *idle; uint64_t every; } cases[] = {
        {"3", 1000}, {"30", 10000}, {"74", 24666}, {"75", 25000}, {"76", 25000}, {"0", 25000},
        {"86399", 25000}, {"9007199254740991", 25000}};
    static char got[65536];
    char answer[200];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        uint64_t sent, k;
        row = cases[i].idle;
        more_begin(OCM_JOIN);
        more_pull(got);
        more_do(&(more_step){0, 'c', "", ""});
        more_pull(got);
        sprintf(answer, MORE_LEVEL_1("\"seq\":1,\"idle\":%s"), row);
        more_do(&(more_step){0, 'a', answer, ""});
        more_pull(got);
        more_do(&(more_step){0, 'd', "{\"sender\":\"system\",\"operation\":1,\"username\":\"bob\","
                                     "\"message\":\"bob joined\",\"seq\":1}", ""});
        more_do(&(more_step){0, 'd', "{\"sender\":\"system\",\"operation\":6,\"seq\":1,\"first\":1,"
                                     "\"id\":0}", ""});
        more_pull(got);
        for (k = 0; k < 4; k++) { /* each is answered by a status; the first may be the tail's */
            sent = more_now;
            more_now = more_until;
            more_pull(got);
            CHECK(strncmp(got, "send ", 5) == 0);
            if (k > 0) CHECK(more_now - sent == cases[i].every);
            more_do(&(more_step){0, 'd', "{\"sender\":\"system\",\"operation\":6,\"seq\":1,"
                                         "\"first\":1,\"id\":0}", ""});
            more_pull(got);
        }
        more_end();
    }
}

/* A datagram longer than any server may send, full of escapes: what is under way stays whole. */
static void more_large_datagram(void)
{
    static const more_step steps[] = {
        {0, '-', "", ""}, {0, 'c', "", ""}, {0, 's', "hello", ""},
        {0, 'a', MORE_LEVEL_1("\"seq\":1"), ""}};
    static const char begin[] = "{\"sender\":\"al\",\"seq\":2,\"message\":\"";
    static char got[65536];
    size_t len = 60000, head, i;
    uint8_t *p = (uint8_t *)allocate(len);
    more_begin(OCM_JOIN);
    for (i = 0; i < COUNT(steps); i++) {
        more_do(&steps[i]);
        more_pull(got);
    }
    CHECK(reg_like(got, strlen(got), "disconnect; entered; send *hello*"));
    head = reg_header("lobby", "t", p);
    memcpy(p + head, begin, sizeof begin - 1);
    for (i = head + sizeof begin - 1; i + 4 < len; i += 2) memcpy(p + i, "\\\\", 2);
    memcpy(p + i, "\"}", 2);
    ocm_session_datagram(more_s, p, i + 2, more_now);
    more_now += 1000;
    more_pull(got);
    CHECK(reg_like(got, strlen(got), "send *{\"message\":\"hello\",\"id\":1}^*"));
    free(p);
    more_end();
}

#define SESSION_TESTS \
    {"ses_enter", test_ses_enter}, {"ses_refused", test_ses_refused}, \
    {"ses_arguments", test_ses_arguments}, {"ses_speaking", test_ses_speaking}, \
    {"ses_hearing", test_ses_hearing}, {"ses_fate", test_ses_fate}, {"ses_back", test_ses_back}, \
    {"ses_retry", test_ses_retry}, {"ses_leaving", test_ses_leaving}, \
    {"ses_level_0", test_ses_level_0}, {"ses_hostile", test_ses_hostile}, \
    {"net_loss", test_net_loss}, {"net_refused", test_net_refused}, \
    {"net_refused_words", test_net_refused_words}, {"net_pipes", test_net_pipes}, \
    {"net_quiet_loss", test_net_quiet_loss}, {"net_trouble", test_net_trouble}, \
    {"net_overrun", test_net_overrun}, {"net_timeout", test_net_timeout}, \
    {"net_no_udp", test_net_no_udp}, {"net_race", test_net_race}, {"net_past", test_net_past}, \
    {"net_leave", test_net_leave}, {"net_quiet", test_net_quiet}, {"net_cost", test_net_cost}, \
    {"more_refusals", more_refusals}, \
    {"more_flood_of_an_answer", more_flood_of_an_answer}, \
    {"more_coming_back", more_coming_back}, \
    {"more_level_0", more_level_0}, \
    {"more_leaving", more_leaving}, \
    {"more_malformed_entry", more_malformed_entry}, \
    {"more_missed", more_missed}, \
    {"more_keep_alive", more_keep_alive}, \
    {"more_large_datagram", more_large_datagram}

/* ---- Fuzzing: a byte string is a script of inputs. Built with -DOCM_FUZZ it is libFuzzer's; the
   tests run the scripts of a small corpus, and `./test corpus DIR` writes it. ---- */

/* Every decoder, on bytes of exactly that size. */
static void fuzz_decoders(const uint8_t *p, size_t len)
{
    uint8_t *scratch = (uint8_t *)allocate(len);
    ocm_frame f;
    ocm_datagram d;
    ocm_message m;
    ocm_request q;
    ocm_outcome o;
    ocm_listed l;
    int n = ocm_frame_decode(p, len, OCM_PAYLOAD_MAX, &f);
    CHECK(n <= (int)len);
    if (n > 0 && ocm_request_decode(&f, scratch, &q) > 0) CHECK(q.name.len <= len);
    if (n > 0 && ocm_outcome_decode(&f, scratch, &o) > 0) CHECK(o.token.len <= OCM_TOKEN_MAX);
    if (ocm_datagram_decode(p, len, &d) > 0) CHECK(d.payload.len <= len);
    if (ocm_message_decode(view(p, len), scratch, &m) > 0) CHECK(m.text.len <= len);
    if (ocm_listed_decode(view(p, len), scratch, &l) > 0) CHECK(l.room.len <= len);
    CHECK(ocm_message_valid(view(p, len)) >= ocm_name_valid(view(p, len)));
    free(scratch);
}

/* One step of a script: what, to whom, and the bytes with it. */
typedef struct fuzz_step {
    int what, who;
    uint8_t *bytes; /* of exactly that size */
    size_t len;
} fuzz_step;

static int fuzz_next(const uint8_t **p, size_t *len, fuzz_step *s)
{
    if (*len < 3) return 0;
    s->what = (*p)[0] & 15;
    s->who = (*p)[0] >> 4 & 7;
    s->len = (size_t)(*p)[1] << 8 | (*p)[2];
    if (s->len > *len - 3) s->len = *len - 3;
    s->bytes = copy(*p + 3, s->len);
    *p += 3 + s->len;
    *len -= 3 + s->len;
    return 1;
}

static ocm_addr fuzz_addr(int who)
{
    ocm_addr a;
    memset(&a, 0, sizeof a);
    a.ip[10] = a.ip[11] = 0xFF;
    a.ip[12] = who & 1 ? 127 : 10;
    a.ip[15] = (uint8_t)(who & 6);
    a.port = (uint16_t)(4000 + who);
    return a;
}

/* Whatever is done to a registry, it hands out what is due and comes to rest. */
static void fuzz_registry(const uint8_t *p, size_t len)
{
    static ocm_conn conn[8];
    const uint8_t seed_bytes[32] = {1};
    ocm_limits limits = {3, 8, 5, 4, 3, 65536, 20, 5};
    ocm_registry *g = ocm_registry_init(allocate(ocm_registry_size(&limits)), &limits, seed_bytes);
    uint64_t now = 0;
    ocm_event ev;
    ocm_io io;
    fuzz_step s;
    int i, pulls;
    for (i = 0; i < 8; i++) {
        ocm_addr from = fuzz_addr(i);
        ocm_conn_open(&conn[i], &from, now);
    }
    while (fuzz_next(&p, &len, &s)) {
        ocm_addr from = fuzz_addr(s.who);
        ocm_conn *c = &conn[s.who];
        if (s.what == 0) now += s.len * 50;
        if (s.what == 1) ocm_registry_stop(g);
        if (s.what == 2) ocm_conn_close(c, g, now), ocm_conn_open(c, &from, now);
        if (s.what >= 3 && s.what < 9) {
            ocm_conn_next(c, g, now, &io);
            if (s.len > io.read) s.len = io.read;
            if (io.read) ocm_conn_received(c, s.bytes, s.len, now);
            ocm_conn_next(c, g, now, &io);
            if (s.what > 4) ocm_conn_sent(c, io.send.len);
        }
        if (s.what >= 9) ocm_registry_datagram(g, s.bytes, s.len, &from, now);
        for (pulls = s.what & 1 ? 3 : 100000; pulls && ocm_registry_next(g, now, &ev); pulls--)
            if (s.who == 7) ocm_registry_failed(g, &ev, now);
        CHECK(pulls > 0 || s.what & 1);
        CHECK(ocm_registry_counts(g)->members <= limits.members);
        free(s.bytes);
    }
    free(g);
}

/* Whatever a server does to a session, it comes to rest and waits for the future. */
static void fuzz_session(const uint8_t *p, size_t len)
{
    static ocm_session s;
    uint64_t now = 0;
    ocm_action a;
    fuzz_step step;
    ocm_session_open(&s, OCM_JOIN_OR_CREATE, ocm_text("r"), ocm_text("n"), ocm_text(""));
    while (fuzz_next(&p, &len, &step)) {
        int pulls = 100000;
        if (step.what == 0) now += step.len * 20;
        if (step.what == 1) ocm_session_leave(&s);
        if (step.what == 2) ocm_session_say(&s, view(step.bytes, step.len));
        if (step.what == 3) ocm_session_connected(&s, ocm_text("127.0.0.1"), 4000, now);
        if (step.what >= 4 && step.what < 8)
            ocm_session_received(&s, step.bytes, step.len, now);
        if (step.what >= 8) ocm_session_datagram(&s, step.bytes, step.len, now);
        while (pulls && ocm_session_next(&s, now, &a)) pulls--;
        CHECK(pulls > 0 && a.until > now);
        free(step.bytes);
    }
}

static void fuzz(const uint8_t *p, size_t len)
{
    if (len == 0) return;
    if (p[0] % 3 == 0) fuzz_decoders(p + 1, len - 1);
    else if (p[0] % 3 == 1) fuzz_registry(p + 1, len - 1);
    else fuzz_session(p + 1, len - 1);
}

/* The corpus: scripts that lead into every part. */
typedef struct fuzz_script {
    uint8_t bytes[4096];
    size_t len;
} fuzz_script;

static void fuzz_add(fuzz_script *s, int what, int who, const void *p, size_t len)
{
    s->bytes[s->len++] = (uint8_t)(who << 4 | what);
    s->bytes[s->len++] = (uint8_t)(len >> 8);
    s->bytes[s->len++] = (uint8_t)len;
    memcpy(s->bytes + s->len, p, len);
    s->len += len;
}

static void fuzz_add_frame(fuzz_script *s, int what, int who, int op, int state, const char *json)
{
    uint8_t frame[512];
    int n = ocm_frame_encode(frame, sizeof frame, op, state, ocm_text("r"), ocm_text(json));
    fuzz_add(s, what, who, frame, (size_t)n);
}

static void fuzz_add_datagram(fuzz_script *s, int what, int who, const char *token,
                              const char *payload)
{
    uint8_t d[1024];
    int n = ocm_datagram_encode(d, sizeof d, ocm_text("r"), ocm_text(token), ocm_text(payload));
    fuzz_add(s, what, who, d, (size_t)n);
}

/* The tokens of a registry with the seed above are always the same: those of its first members. */
static void fuzz_tokens(char token[2][OCM_TOKEN_LEN + 1])
{
    const uint8_t seed_bytes[32] = {1};
    ocm_registry *g = ocm_registry_init(allocate(ocm_registry_size(NULL)), NULL, seed_bytes);
    int i;
    memset(token, 0, 2 * (OCM_TOKEN_LEN + 1));
    for (i = 0; i < 2; i++) ocmi_token_make(g, (uint8_t *)token[i], (uint64_t)i + 1);
    free(g);
}

static void fuzz_script_registry(fuzz_script *s)
{
    static const char say[] = "{\"sender\":\"system\",\"operation\":6,\"seq\":0}\n"
                              "{\"message\":\"hi\",\"id\":1}\n{\"message\":\"ho\",\"id\":2}\n";
    char token[2][OCM_TOKEN_LEN + 1];
    fuzz_tokens(token);
    s->bytes[s->len++] = 1;
    fuzz_add_frame(s, 5, 1, OCM_CREATE, 0,
                   "{\"username\":\"a\",\"password\":\"p\",\"port\":4001,\"ocm\":1}");
    fuzz_add_frame(s, 5, 3, OCM_JOIN, 0, "{\"username\":\"b\",\"password\":\"p\",\"ocm\":1}");
    fuzz_add_frame(s, 5, 0, OCM_JOIN, 0, "{\"username\":\"c\",\"password\":\"x\"}");
    fuzz_add_frame(s, 5, 2, OCM_LIST, 0, "{\"password\":\"p\"}");
    fuzz_add_datagram(s, 10, 1, token[0], say);
    fuzz_add_datagram(s, 10, 3, token[1], "{\"message\":\"yo\",\"id\":1}");
    fuzz_add(s, 0, 0, say, 80);
    fuzz_add_datagram(s, 10, 1, token[0], "{\"sender\":\"system\",\"operation\":2}");
}

static void fuzz_script_session(fuzz_script *s)
{
    s->bytes[s->len++] = 2;
    fuzz_add(s, 2, 0, "hello", 5);
    fuzz_add(s, 3, 0, "", 0);
    fuzz_add_frame(s, 4, 0, OCM_JOIN, 2,
                   "{\"status\":200,\"token\":\"t\",\"ocm\":1,\"idle\":300,\"seq\":2,\"log\":7}");
    fuzz_add_datagram(s, 8, 0, "t",
                      "{\"sender\":\"x\",\"message\":\"hi\",\"seq\":1,\"id\":1}\n"
                      "{\"sender\":\"n\",\"message\":\"hello\",\"seq\":3,\"id\":1}\n"
                      "{\"sender\":\"system\",\"operation\":6,\"seq\":9,\"first\":4,\"id\":1}");
    fuzz_add_datagram(s, 8, 0, "t",
                      "{\"sender\":\"system\",\"operation\":3,\"reason\":\"timeout\"}");
    fuzz_add(s, 3, 0, "", 0);
    fuzz_add_frame(s, 4, 0, OCM_JOIN, 2, "{\"status\":404,\"message\":\"no such room\"}");
    fuzz_add(s, 1, 0, "", 0);
}

/* A few thousand random changes of the corpus: what libFuzzer does for hours elsewhere. */
static void test_fuzz(void)
{
    uint32_t state = (uint32_t)seed * 2654435761u + 1;
    int round;
    for (round = 0; round < 6000; round++) {
        fuzz_script s;
        uint32_t changes = dice(&state) % 4;
        s.len = 0;
        if (round % 2) fuzz_script_registry(&s);
        else fuzz_script_session(&s);
        while (changes--) s.bytes[dice(&state) % s.len] = (uint8_t)dice(&state);
        fuzz(s.bytes, s.len);
        s.bytes[0] = 0;
        fuzz(s.bytes + (dice(&state) % s.len), 1);
        fuzz_decoders(s.bytes + 4, s.len - 4);
    }
}

static int fuzz_write(const char *dir, const char *name, const fuzz_script *s)
{
    char path[1024];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "wb");
    if (!f || fwrite(s->bytes, 1, s->len, f) != s->len || fclose(f) != 0) return 0;
    return 1;
}

/* `./test corpus DIR`. */
static int fuzz_corpus(const char *dir)
{
    fuzz_script s;
    s.len = 0;
    fuzz_script_registry(&s);
    if (!fuzz_write(dir, "registry", &s)) return 1;
    s.bytes[0] = 0;
    if (!fuzz_write(dir, "frame", &s)) return 1;
    s.len = 0;
    fuzz_script_session(&s);
    return !fuzz_write(dir, "session", &s);
}

#define FUZZ_TESTS {"fuzz", test_fuzz}

/* ---- The programs: starting them, and waiting for what they say ---- */

#ifndef _WIN32
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define RUN_PATIENCE 10000 /* ms until a test gives up waiting: a busy machine is no failure */
#define RUN_PROGRAMS 24
#define RUN_WATCHES 48
#define RUN_SOCKETS 96

enum { RUN_OUT, RUN_ERR }; /* of what a program says */

typedef struct run_program {
    pid_t pid;         /* 0: it has ended, with status */
    int status;        /* 1000 + the signal if one killed it */
    int in, fd[2];     /* our ends of its stdin, stdout and stderr; -1: closed */
    int deaf;          /* nobody reads what it says, at present */
    char *text[2];     /* all that came on stdout and stderr */
    size_t len[2];
    unsigned tcp, udp; /* ports of a server */
} run_program;

/* Those of the test that runs: run_clean() ends them, whatever was checked. */
static run_program run_programs[RUN_PROGRAMS];
static size_t run_count;
static struct { int fd; void (*act)(void *, int); void *about; } run_watches[RUN_WATCHES];
static size_t run_watch_count;
static int run_sockets[RUN_SOCKETS];
static size_t run_socket_count;
static int run_patience = RUN_PATIENCE;
static int run_full[2]; /* the stdout, stderr of the programs started now can take nothing */

static uint64_t run_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* kill() takes 0 and -1 for whole groups of processes: a signal goes to one program or to none. */
static void run_signal(const run_program *p, int sig)
{
    if (p->pid > 0) kill(p->pid, sig);
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
    size_t i;
    printf("%s: %s\n", what, strerror(errno));
    for (i = 0; i < run_count; i++) run_signal(&run_programs[i], SIGKILL);
    exit(2);
}

/* A descriptor that run_clean() closes, and that no program started later inherits. */
static int run_keep(int fd)
{
    if (fd < 0) return fd;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (run_socket_count == RUN_SOCKETS) run_give_up("RUN_SOCKETS is too small");
    run_sockets[run_socket_count++] = fd;
    return fd;
}

/* act(about, fd) is called whenever fd can be read, whatever else the test waits for. */
static void run_watch(int fd, void (*act)(void *, int), void *about)
{
    if (fd < 0) return;
    if (run_watch_count == RUN_WATCHES) run_give_up("RUN_WATCHES is too small");
    run_watches[run_watch_count].fd = fd;
    run_watches[run_watch_count].act = act;
    run_watches[run_watch_count++].about = about;
}

static void run_unwatch(int fd)
{
    size_t i, n = 0;
    for (i = 0; i < run_watch_count; i++)
        if (run_watches[i].fd != fd) run_watches[n++] = run_watches[i];
    run_watch_count = n;
}

static int run_duplicate(int fd)
{
    int other = dup(fd);
    fcntl(other, F_SETFD, FD_CLOEXEC);
    return other;
}

static void run_close(int fd)
{
    size_t i;
    for (i = 0; i < run_socket_count; i++)
        if (run_sockets[i] == fd) run_sockets[i--] = run_sockets[--run_socket_count];
    run_unwatch(fd);
    close(fd);
}

/* In the child: becomes the program. A terminal, if given, is its session's and all its files. */
static void run_become(char **argv, const int *fd, const char *terminal)
{
    static const int usual[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
    int k, at = -1;
    if (terminal) {
        setsid();
        at = open(terminal, O_RDWR);
#ifdef TIOCSCTTY
        ioctl(at, TIOCSCTTY, 0);
#endif
    }
    for (k = 0; k < 3; k++) dup2(terminal ? at : fd[k], k);
    for (k = 0; k < (int)COUNT(usual); k++) signal(usual[k], SIG_DFL);
    execvp(argv[0], argv);
    printf("cannot run %s: %s\n", argv[0], strerror(errno));
    fflush(stdout);
    _exit(127);
}

/* Starts the program: fd are its ends of its files, ours the other ends. */
static run_program *run_launch(char *words, const int *fd, const int *ours, const char *terminal)
{
    run_program *p = &run_programs[run_count];
    char *argv[64], *word, *c;
    int n = 0, k;
    for (word = strtok(words, " "); word && n < 63; word = strtok(NULL, " ")) {
        for (c = argv[n++] = word; *c; c++)
            if (*c == '~') *c = ' ';
        if (strcmp(word, "''") == 0) *word = 0;
    }
    argv[n] = NULL;
    if (run_count == RUN_PROGRAMS) run_give_up("RUN_PROGRAMS is too small");
    memset(p, 0, sizeof *p);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, run_interrupted);
    signal(SIGTERM, run_interrupted);
    fflush(stdout);
    p->pid = fork();
    if (p->pid < 0) run_give_up("no process for a program");
    if (p->pid == 0) run_become(argv, fd, terminal);
    run_count++;
    p->status = -1;
    p->in = ours[0];
    for (k = 0; k < 2; k++) {
        p->fd[k] = ours[1 + k];
        p->text[k] = (char *)allocate(1);
    }
    return p;
}

/* Starts a program on pipes. The words of its command line stand between single spaces; a ~ is a
   space within a word, the word '' an empty one. */
static run_program *run_start(const char *format, ...)
{
    static char line[8192];
    int in[2], out[2], err[2], theirs[3], ours[3], k;
    va_list args;
    run_program *p;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (pipe(in) || pipe(out) || pipe(err)) run_give_up("no pipes for a program");
    theirs[0] = in[0];
    theirs[1] = out[1];
    theirs[2] = err[1];
    ours[0] = in[1];
    ours[1] = out[0];
    ours[2] = err[0];
    for (k = 0; k < 3; k++) fcntl(ours[k], F_SETFD, FD_CLOEXEC);
    for (k = 0; k < 2; k++) {
        int flags = fcntl(theirs[1 + k], F_GETFL);
        if (!run_full[k]) continue;
        fcntl(theirs[1 + k], F_SETFL, flags | O_NONBLOCK);
        while (write(theirs[1 + k], "#", 1) == 1) {
        }
        fcntl(theirs[1 + k], F_SETFL, flags);
    }
    p = run_launch(line, theirs, ours, NULL);
    p->deaf = run_full[0] || run_full[1];
    for (k = 0; k < 3; k++) close(theirs[k]);
    return p;
}

static void run_read_program(run_program *p, int which)
{
    char buf[4096];
    ssize_t n = read(p->fd[which], buf, sizeof buf);
    if (n <= 0) {
        close(p->fd[which]);
        p->fd[which] = -1;
        return;
    }
    p->text[which] = (char *)realloc(p->text[which], p->len[which] + (size_t)n + 1);
    if (!p->text[which]) run_give_up("no memory");
    memcpy(p->text[which] + p->len[which], buf, (size_t)n);
    p->len[which] += (size_t)n;
    p->text[which][p->len[which]] = 0;
}

/* Notes which programs have ended and said their last. 1 if one is about to. */
static int run_reap(void)
{
    int dying = 0, status;
    size_t i;
    for (i = 0; i < run_count; i++) {
        run_program *p = &run_programs[i];
        if (p->pid <= 0 || (!p->deaf && (p->fd[0] >= 0 || p->fd[1] >= 0))) continue;
        if (waitpid(p->pid, &status, WNOHANG) == p->pid) {
            p->pid = 0;
            p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        } else {
            dying = 1;
        }
    }
    return dying;
}

/* Everything goes on for at most ms: what programs say is read, what is watched acts. 1 when fd can
   be read. */
static int run_turn(int fd, int ms)
{
    struct pollfd p[1 + 2 * RUN_PROGRAMS + RUN_WATCHES];
    size_t i, k, programs = run_count, watches = run_watch_count;
    nfds_t n = 0;
    memset(p, 0, sizeof p);
    p[n++].fd = fd;
    for (i = 0; i < 2 * programs; i++)
        p[n++].fd = run_programs[i / 2].deaf ? -1 : run_programs[i / 2].fd[i % 2];
    for (i = 0; i < watches; i++) p[n++].fd = run_watches[i].fd;
    for (i = 0; i < n; i++) p[i].events = POLLIN;
    if (poll(p, n, run_reap() && ms > 2 ? 2 : ms) < 0) return 0;
    for (i = 0; i < 2 * programs; i++)
        if (p[1 + i].revents) run_read_program(&run_programs[i / 2], (int)(i % 2));
    for (i = 0; i < watches; i++) {
        if (!p[1 + 2 * programs + i].revents) continue;
        for (k = 0; k < run_watch_count; k++) /* the one before may have ended this watch */
            if (run_watches[k].fd == p[1 + 2 * programs + i].fd) break;
        if (k < run_watch_count) run_watches[k].act(run_watches[k].about, run_watches[k].fd);
    }
    run_reap();
    return p[0].revents != 0;
}

/* 1 when fd can be read in time. */
static int run_readable(int fd, int ms)
{
    uint64_t until = run_now() + (uint64_t)ms;
    do {
        if (fd >= 0 && run_turn(fd, 20)) return 1;
    } while (fd >= 0 && run_now() < until);
    return 0;
}

/* For what can only be awaited: that time passes, or that nothing happens. */
static void run_for(int ms)
{
    uint64_t until = run_now() + (uint64_t)ms;
    while (run_now() < until) run_turn(-1, 5);
}

static const char *run_tail(const char *text)
{
    size_t len = strlen(text);
    return len > 400 ? text + len - 400 : text;
}

/* 1 when the program has said text, now or in time, after the first `from` bytes. */
static int run_says(const run_program *p, int which, size_t from, const char *text)
{
    uint64_t until = run_now() + (uint64_t)run_patience;
    while (p->len[which] < from || !strstr(p->text[which] + from, text)) {
        if ((p->pid > 0 || p->fd[which] >= 0) && run_now() < until) {
            run_turn(-1, 20);
            continue;
        }
        printf("expected: %s\nbut std%s ends with:\n%s\n", text, which == RUN_OUT ? "out" : "err",
               run_tail(p->text[which]));
        return 0;
    }
    return 1;
}

static int run_hears(const run_program *p, const char *text)
{
    return run_says(p, RUN_OUT, 0, text);
}

static int run_tells(const run_program *p, const char *text)
{
    return run_says(p, RUN_ERR, 0, text);
}

/* 1 when that is all it has said on stdout, until now. */
static int run_heard_all(const run_program *p, const char *text)
{
    if (strcmp(p->text[RUN_OUT], text) == 0) return 1;
    printf("expected all of: %s\nbut stdout ends with:\n%s\n", text, run_tail(p->text[RUN_OUT]));
    return 0;
}

/* The exit status; -1 if it does not end in time, 1000 + the signal if it was killed. */
static int run_ended(const run_program *p)
{
    uint64_t until = run_now() + (uint64_t)run_patience;
    while (p->pid > 0 && run_now() < until) run_turn(-1, 20);
    return p->status;
}

static void run_type(const run_program *p, const char *text)
{
    size_t len = strlen(text);
    CHECK(write(p->in, text, len) == (ssize_t)len);
}

static void run_end_input(run_program *p)
{
    if (p->in >= 0) close(p->in);
    p->in = -1;
}

/* End of input: the exit status. */
static int run_leaves(run_program *p)
{
    run_end_input(p);
    return run_ended(p);
}

/* The end of every test. */
static void run_clean(void)
{
    size_t i;
    int k;
    for (i = 0; i < run_count; i++) {
        run_program *p = &run_programs[i];
        if (p->status == 1000 + SIGSEGV || p->status == 1000 + SIGABRT) {
            printf("a program crashed: %s%s\n", run_tail(p->text[RUN_ERR]), p->text[RUN_OUT]);
            CHECK(0);
        }
        run_signal(p, SIGKILL);
        if (p->pid > 0) waitpid(p->pid, NULL, 0);
        run_end_input(p);
        for (k = 0; k < 2; k++) {
            if (p->fd[k] >= 0) close(p->fd[k]);
            free(p->text[k]);
        }
    }
    for (i = 0; i < run_socket_count; i++) close(run_sockets[i]);
    run_count = run_socket_count = run_watch_count = 0;
    run_patience = RUN_PATIENCE;
    unsetenv("OCM_PASSWORD");
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    row = "";
}

/* A server on free ports of this machine. */
static run_program *run_server(const char *options)
{
    run_program *s = run_start("./server -l 127.0.0.1/0:0 %s", options);
    CHECK(run_hears(s, "\n"));
    CHECK(sscanf(s->text[RUN_OUT], "listening on 127.0.0.1/%u:%u", &s->tcp, &s->udp) == 2);
    return s;
}

static run_program *run_client_at(unsigned tcp, unsigned udp, const char *options)
{
    return run_start("./client -s 127.0.0.1/%u:%u %s", tcp, udp, options);
}

/* A client that is to be let in. */
static run_program *run_client(const run_program *server, const char *options)
{
    run_program *c = run_client_at(server->tcp, server->udp, options);
    CHECK(run_tells(c, " as \""));
    return c;
}

static size_t run_lines(const char *text)
{
    size_t n = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++) n++;
    return n;
}

static const char *run_repeat(char *out, char c, size_t n)
{
    memset(out, c, n);
    out[n] = 0;
    return out;
}

/* `count` lines "word 1" ... at once. */
static void run_type_many(const run_program *p, const char *word, int count)
{
    static char text[65536];
    size_t n = 0;
    int i;
    for (i = 1; i <= count; i++) n += (size_t)sprintf(text + n, "%s %d\n", word, i);
    run_type(p, text);
}

/* 1 when "name: word 1" to count stand in the program's output once each and in order. */
static int run_in_order(const run_program *p, const char *name, const char *word, int count)
{
    char begin[64];
    const char *at = p->text[RUN_OUT], *end;
    int next = 1;
    sprintf(begin, "%s: %s ", name, word);
    for (; (end = strchr(at, '\n')) != NULL; at = end + 1)
        if (strncmp(at, begin, strlen(begin)) == 0 && atoi(at + strlen(begin)) != next++) return 0;
    return next == count + 1;
}

/* ---- The programs: conversations as text ---- */

/* A step is the letter of a program, a sign, and words between single blanks:
   =  starts it: s, t, u a server with these options; others a client that is to be let in
   -  starts a client             $  starts a command, in which ADDR stands for the server's address
   @  starts a command on a terminal of so many columns
   >  types a line; on a terminal, keys          <  hears a line; on a terminal, it is on the screen
   !  says this on stderr         ~  has not said this, or it is not on the screen
   |  edits this line on its screen, in which a | stands for the cursor
   .  its input ends, and it ends with that status           ?  it ends with that status
   *  it gets that signal
   A step that begins with "set" changes the environment. */
static struct { run_program *p; size_t heard; } run_cast[128];
static unsigned run_tcp, run_udp; /* where clients go */

static int term_step(int who, int sign, const char *words);

static void run_listens(int who, run_program *s)
{
    run_cast[who].p = s;
    CHECK(run_hears(s, "\n"));
    CHECK(sscanf(s->text[RUN_OUT], "listening on 127.0.0.1/%u:%u", &s->tcp, &s->udp) == 2);
    run_tcp = s->tcp;
    run_udp = s->udp;
}

/* Words in which ADDR is replaced. */
static const char *run_with_address(const char *words)
{
    static char line[1000];
    const char *at = strstr(words, "ADDR");
    int before = at ? (int)(at - words) : (int)strlen(words);
    sprintf(line, "%.*s", before, words);
    if (at) sprintf(line + before, "127.0.0.1/%u:%u%s", run_tcp, run_udp, at + 4);
    return line;
}

static void run_set(const char *words)
{
    char name[32];
    int len = 0;
    sscanf(words, "%31s %n", name, &len);
    if (words[len]) setenv(name, words + len, 1);
    else unsetenv(name);
}

static int run_signal_of(const char *name)
{
    static const struct { const char *name; int sig; } known[] = {
        {"STOP", SIGSTOP}, {"CONT", SIGCONT}, {"TERM", SIGTERM}, {"INT", SIGINT}, {"HUP", SIGHUP}};
    size_t i;
    for (i = 0; i < COUNT(known); i++)
        if (strcmp(name, known[i].name) == 0) return known[i].sig;
    return SIGKILL;
}

static void run_step(const char *step)
{
    int who = step[0], sign = step[2], server = who >= 's' && who <= 'u';
    const char *words = step + 4, *at;
    run_program *p = run_cast[who].p;
    row = step;
    if (strncmp(step, "set ", 4) == 0) {
        run_set(words);
    } else if (strchr("=-$", sign)) {
        run_cast[who].heard = 0;
        if (server && sign == '=') p = run_start("./server -l 127.0.0.1/0:0 %s", words);
        else if (sign == '$') p = run_start("%s", run_with_address(words));
        else p = run_start("./client -s 127.0.0.1/%u:%u %s", run_tcp, run_udp, words);
        run_cast[who].p = p;
        if (server) run_listens(who, p);
        else if (sign == '=') CHECK(run_tells(p, " as \""));
    } else if (term_step(who, sign, words)) {
    } else if (sign == '>') {
        run_type(p, words);
        run_type(p, "\n");
    } else if (sign == '<') {
        char line[5000];
        sprintf(line, "%s\n", words);
        if (!CHECK(run_says(p, RUN_OUT, run_cast[who].heard, line))) return;
        at = strstr(p->text[RUN_OUT] + run_cast[who].heard, line);
        run_cast[who].heard = (size_t)(at - p->text[RUN_OUT]) + strlen(line);
    } else if (sign == '!') {
        CHECK(run_tells(p, words));
    } else if (sign == '~') {
        CHECK(!strstr(p->text[RUN_OUT], words) && !strstr(p->text[RUN_ERR], words));
    } else if (sign == '.' || sign == '?') {
        if (sign == '.') run_end_input(p);
        CHECK(run_ended(p) == atoi(words));
    } else if (CHECK(sign == '*')) {
        run_signal(p, run_signal_of(words));
    }
}

static void run_play(const char *const *steps)
{
    for (; *steps; steps++) run_step(*steps);
    row = "";
}

/* A test that is a conversation and nothing else. */
static void run_test(const char *const *steps)
{
    run_play(steps);
    run_clean();
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
    static const char *const names[] = {"alice, who created the room", "bob",
                                        "hanako, in the plain text dialect"};
    int i;
    run_play(steps);
    printf("Three clients talked in one room; this is what each of them saw of the others.\n");
    for (i = 0; i < 3; i++) {
        const run_program *p = run_cast[(int)"abh"[i]].p;
        printf("\n--- %s ---\n%s%s", names[i], p->text[RUN_ERR], p->text[RUN_OUT]);
    }
    printf("\n%s\n", broken ? "THE DEMONSTRATION FAILED: not everyone saw what was said."
                            : "The host left, the room was closed, everyone was told, and every "
                              "program has ended.");
    run_clean();
    return broken != 0;
}

/* ---- The programs: options ---- */

/* Status 2 and one line on stderr that names what is wrong. */
static void run_usage(const char *command, const char *words)
{
    run_program *p = run_start("%s", command);
    const char *name = strstr(command, "./server") ? "server: " : "client: ";
    size_t len;
    row = command;
    run_end_input(p);
    CHECK(run_ended(p) == 2 && run_heard_all(p, ""));
    len = p->len[RUN_ERR];
    CHECK(strncmp(p->text[RUN_ERR], name, 8) == 0 && strstr(p->text[RUN_ERR], words) != NULL);
    CHECK(len > 20 && strchr(p->text[RUN_ERR], '\n') == p->text[RUN_ERR] + len - 1);
    if (broken) printf("%s", p->text[RUN_ERR]);
    run_clean();
}

static void test_program_usage(void)
{
    static const char *const cases[][2] = {
        {"./server -x", "-x"}, {"./server extra", "extra"}, {"./server -l", "-l"},
        {"./server -l 8000", "8000"}, {"./server -l 127.0.0.1/70000:0", "70000"},
        {"./server -l 127.0.0.1/0:x", "0:x"}, {"./server -l /0:0", "/0:0"},
        {"./server -l 127.0.0.1/0:", "0:"}, {"./server -l 127.0.0.1/0:0 -R 0", "-R"},
        {"./server -l 127.0.0.1/0:0 -M x", "-M"}, {"./server -l 127.0.0.1/0:0 -i 0", "-i"},
        {"./server -l 127.0.0.1/0:0 -r -1", "-r"}, {"./server -l 127.0.0.1/0:0 -G 1", "-G"},
        {"./server -qv", "-qv"}, {"./client -x", "-x"}, {"./client -n", "-n"},
        {"./client -n a -s 127.0.0.1/8000 r", "127.0.0.1"},
        {"./client -n a -s 127.0.0.1/0:1 r", "port"},
        {"./client -n a -s 127.0.0.1/1:65536 r", "65536"}, {"./client -n a one two", "two"},
        {"./client -n a my room", "quot"}, {"./client -n a -c one -j two", "two"},
        {"./client lobby", "name"}, {"./client -n a", "room"},
        {"./client -n system lobby", "system"}, {"./client -n a -p lobby", "OCM_PASSWORD"},
        {"./client -n a\x02 lobby", "name"}, {"./client -n a b\x7F", "room"},
        {"./client -n ~a lobby", "name"}, {"./client -n a~ lobby", "name"},
        {"./client -n *~a lobby", "name"}, {"./client -n a:~b lobby", "name"},
        {"./client -n '' lobby", "name"}};
    char longest[300], command[600];
    size_t i;
    unsetenv("OCM_PASSWORD");
    for (i = 0; i < COUNT(cases); i++) run_usage(cases[i][0], cases[i][1]);
    sprintf(command, "./client -n %s lobby", run_repeat(longest, 'n', 256));
    run_usage(command, "name");
    sprintf(command, "./client -n a %s", run_repeat(longest, 'r', 256));
    run_usage(command, "room");
    sprintf(command, "./client -l %s", run_repeat(longest, 'r', 256));
    run_usage(command, "room");
    setenv("OCM_PASSWORD", run_repeat(longest, 'p', 256), 1);
    run_usage("./client -n a -p lobby", "password");
}

static void test_program_help(void)
{
    static const char *const cases[][2] = {
        {"./server -h", "usage: server"}, {"./client -h", "usage: client"},
        {"./client --help", "usage: client"}, {"./client --version", "client " OCM_VERSION "\n"},
        {"./server -V", "server " OCM_VERSION "\n"}, {"./client -V", "client " OCM_VERSION "\n"}};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        run_program *p = run_start("%s", cases[i][0]);
        row = cases[i][0];
        CHECK(run_ended(p) == 0);
        CHECK(strncmp(p->text[RUN_OUT], cases[i][1], strlen(cases[i][1])) == 0);
        CHECK(p->len[RUN_ERR] == 0);
        run_clean();
    }
}

static void test_program_port_in_use(void)
{
    run_program *s = run_server("-q"), *p;
    char number[16];
    int udp;
    for (udp = 0; udp < 2; udp++) {
        p = run_start("./server -l 127.0.0.1/%u:%u", udp ? 0 : s->tcp, udp ? s->udp : 0);
        sprintf(number, "%u", udp ? s->udp : s->tcp);
        CHECK(run_ended(p) == 1 && run_heard_all(p, ""));
        CHECK(run_tells(p, number) && strncmp(p->text[RUN_ERR], "server: ", 8) == 0);
    }
    run_clean();
}

static int run_has_ipv6(void)
{
    struct sockaddr_in6 a;
    int s = socket(AF_INET6, SOCK_STREAM, 0), good;
    memset(&a, 0, sizeof a);
    a.sin6_family = AF_INET6;
    a.sin6_addr = in6addr_loopback;
    good = s >= 0 && bind(s, (struct sockaddr *)&a, sizeof a) == 0;
    if (s >= 0) close(s);
    return good;
}

/* Members on different listeners are in one room; each is answered from where it is heard, or a
   client would not hear it. */
static void test_program_listeners(void)
{
    int six = run_has_ipv6(), got;
    run_program *s, *c[3];
    unsigned t[3] = {0, 0, 0}, u[3] = {0, 0, 0};
    s = run_start("./server -l 127.0.0.1/0:0 -l 127.0.0.1/0:0%s", six ? " -l ::1/0:0" : "");
    if (!six) printf("no IPv6 on this machine: ::1 is skipped\n");
    while (run_lines(s->text[RUN_OUT]) < (six ? 3 : 2) && s->fd[RUN_OUT] >= 0) run_turn(-1, 20);
    got = sscanf(s->text[RUN_OUT], "listening on 127.0.0.1/%u:%u listening on 127.0.0.1/%u:%u "
                 "listening on ::1/%u:%u", &t[0], &u[0], &t[1], &u[1], &t[2], &u[2]);
    CHECK(got == 2 * (2 + six));
    CHECK(t[0] != t[1] && u[0] != u[1]);
    c[0] = run_client_at(t[0], u[0], "-n alice -c lobby");
    CHECK(run_tells(c[0], "created \"lobby\" as \"alice\""));
    c[1] = run_client_at(t[1], u[1], "-n bob -j lobby");
    CHECK(run_tells(c[1], "joined \"lobby\" as \"bob\"") && run_hears(c[0], "* bob joined\n"));
    c[2] = six ? run_start("./client -s [::1]/%u:%u -n carol lobby", t[2], u[2])
               : run_client_at(t[0], u[0], "-n carol lobby");
    CHECK(run_tells(c[2], "joined \"lobby\" as \"carol\"") && run_hears(c[1], "* carol joined\n"));
    run_type(c[2], "one\n");
    CHECK(run_hears(c[0], "carol: one\n") && run_hears(c[1], "carol: one\n"));
    run_type(c[0], "two\n");
    CHECK(run_hears(c[1], "alice: two\n") && run_hears(c[2], "alice: two\n"));
    CHECK(run_leaves(c[0]) == 0 && run_ended(c[1]) == 0 && run_ended(c[2]) == 0);
    run_signal(s, SIGINT);
    CHECK(run_ended(s) == 0);
    CHECK(run_tells(s, "3 requests") && run_tells(s, "2 messages"));
    run_clean();
}

static char *run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = (char *)allocate(1 << 20);
    if (f) text[fread(text, 1, (1 << 20) - 1, f)] = 0;
    if (f) fclose(f);
    return text;
}

/* What both programs need of the platform is one text, in both. */
static void test_program_same_stretch(void)
{
    char *file[2], *from[2], *to[2] = {NULL, NULL};
    int i;
    for (i = 0; i < 2; i++) {
        file[i] = run_file(i ? "client.c" : "server.c");
        from[i] = strstr(file[i], "/* ---- Sockets: the same text in server.c and client.c ----");
        if (from[i]) to[i] = strstr(from[i], "/* ---- end of the same text ----");
    }
    if (CHECK(to[0] && to[1] && to[0] - from[0] > 400 && to[0] - from[0] == to[1] - from[1]))
        CHECK(memcmp(from[0], from[1], (size_t)(to[0] - from[0])) == 0);
    free(file[0]);
    free(file[1]);
}

/* A log that nobody reads stops neither talk nor SIGTERM, and what it lost is told once it is read
   again; a client whose output nobody reads ends when it is told to. */
static void test_program_unread(void)
{
    static const char *const talk[] = {
        "a = -n alice -c lobby", "b = -n bob -j lobby", "a > hi", "b < alice: hi", NULL};
    static const char *const stuck[] = {
        "b < * stuck joined", "a > said to someone who cannot show it",
        "b < alice: said to someone who cannot show it", "c * TERM", "c * TERM", NULL};
    static const char *const told[] = {"s ! log lines were dropped", "b . 0", "s ! \"bob\" is out",
                                       NULL};
    int again;
    for (again = 0; again < 2; again++) {
        run_program *s, *c;
        run_full[RUN_ERR] = 1;
        s = run_start("./server -l 127.0.0.1/0:0");
        run_full[RUN_ERR] = 0;
        while (s->len[RUN_OUT] == 0 && s->fd[RUN_OUT] >= 0)
            if (run_readable(s->fd[RUN_OUT], RUN_PATIENCE)) run_read_program(s, RUN_OUT);
        run_listens('s', s);
        run_play(talk);
        if (again) {
            run_full[RUN_OUT] = 1;
            c = run_client_at(run_tcp, run_udp, "-n stuck -j lobby");
            run_full[RUN_OUT] = 0;
            run_cast['c'].p = c;
            run_play(stuck);
            CHECK(run_ended(c) != -1);
            s->deaf = 0;
            run_play(told);
        }
        run_signal(s, SIGTERM);
        CHECK(run_ended(s) == 0);
        run_clean();
    }
}

/* ---- The programs: the client on a pipe ---- */

static void test_client_pipe(void)
{
    static const char *const steps[] = {
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
        "b $ sh -c printf~'without~newline'|./client~-s~ADDR~-n~bob~lobby", "b ? 0",
        "c < * bob joined\nbob: without newline\n* bob left", NULL};
    run_test(steps);
}

/* Refusals are one sentence on stderr, and status 1. */
static void test_client_refusals(void)
{
    static const char *const steps[] = {
        "s = -q -R 3 -M 4", "a = -n alice -c lobby", "r - -n bob -j nowhere", "r ! nowhere",
        "r ? 1", "r - -n alice -j lobby", "r ! alice", "r ? 1", "r - -n bob -c lobby", "r ! lobby",
        "r ? 1",
        "set OCM_PASSWORD secret", "v = -n vera -p -c vault", "w = -n wilma -p -c safe",
        "c = -n carol -p -j vault", "c . 0", "v < * carol joined\n* carol left",
        "r - -n carol -j vault", "r ! client: room \"vault\" has a password", "r ? 1",
        "r - -n carol -c fourth", "r ! full", "r ? 1", "d = -t -n dora -j lobby", "d . 0",
        "r - -n eve -j lobby", "r ! full", "r ? 1", /* dora's dialect cannot say that it left */
        "set OCM_PASSWORD Secret", "r - -n carol -p -j safe", "r ! client: wrong password", "r ? 1",
        "r - -t -n bob -j nowhere", "r ! nowhere", "r ? 1", "a . 0", "v . 0", NULL};
    run_test(steps);
}

/* What -l prints on a pipe: columns between tabs; no room: a sentence on stderr. */
static void test_client_list(void)
{
    static const char *const steps[] = {
        "s = -q", "l - -l", "l ? 0", "l ~ o", "a = -n alice -c lobby", "b = -n bob lobby",
        "set OCM_PASSWORD x", "v = -n vera -p -c vault", "l - -l", "l ? 0", "m - -l", "m ? 0",
        "l < lobby\t2\topen", "m < vault\t1\tpassword", "l - -l lobby", "l ? 0",
        "l < alice\thost", "l < bob\tmember", "l - -l nowhere", "l ? 1", "l ! nowhere",
        "l - -p -l vault", "l < vera\thost", "l - -l vault", "l ? 0", "l ~ vera", NULL};
    run_test(steps);
}

/* What cannot be said is told, and the exit status says so: a script would not notice otherwise. */
static void test_client_too_long(void)
{
    run_program *s = run_server("-q"), *a = run_client(s, "-n alice -c lobby"), *b;
    static char longest[9100], quotes[3990];
    const char *begin;
    b = run_client(s, "-n bob lobby");
    run_repeat(longest, 'x', 3980); /* 3990 without "alice" and "lobby" */
    run_repeat(quotes, '"', 1990);
    run_type(a, longest);
    run_type(a, "y\n");
    CHECK(run_tells(a, "3981") && run_tells(a, "3980"));
    run_type(a, longest);
    run_type(a, "\n");
    CHECK(run_hears(b, "x\n"));
    run_type(a, quotes);
    run_type(a, "\"\n");
    run_type(a, quotes);
    run_type(a, "\n");
    CHECK(run_hears(b, "\"\n") && !strstr(b->text[0], "y\n"));
    run_repeat(longest, 'z', 9000);
    run_type(a, longest);
    run_type(a, "\nbell\a\n\xFF\nend\n");
    CHECK(run_hears(b, "alice: end\n") && run_tells(a, "9000"));
    CHECK(!strstr(b->text[0], "z") && !strstr(b->text[0], "bell") && !strchr(b->text[0], '\xFF'));
    begin = strchr(b->text[0], 'x');
    CHECK(begin && strlen(begin) == 3981 + 7 + 1991 + 11);
    CHECK(run_leaves(a) == 1);
    CHECK(run_leaves(b) == 0);
    run_clean();
}

/* More than a session keeps at once, and more than the server's rate; the input ends long before
   all is said. */
static void test_client_many_lines(void)
{
    run_program *s = run_server("-q -r 0"), *limited = run_server("-q");
    run_program *b = run_client(s, "-n bob -c lobby"), *a = run_client(s, "-n alice lobby");
    run_program *c = run_client(limited, "-n carol -c lobby"), *d;
    d = run_client(limited, "-n dora lobby");
    run_type_many(a, "line", 800);
    run_type_many(c, "line", 120);
    run_end_input(a);
    CHECK(run_hears(b, "alice: line 800\n") && run_in_order(b, "alice", "line", 800));
    CHECK(run_hears(d, "carol: line 120\n") && run_in_order(d, "carol", "line", 120));
    CHECK(run_ended(a) == 0 && !strstr(a->text[0], "alice: ") && run_hears(b, "* alice left\n"));
    run_clean();
}

/* The room is closed while much is still to be said: a client that lost some ends with 1. */
static void test_client_lost_lines(void)
{
    run_program *s = run_server("-q"), *a = run_client(s, "-n alice -c lobby"), *b;
    b = run_client(s, "-n bob -j lobby");
    CHECK(run_hears(a, "* bob joined\n"));
    run_signal(s, SIGSTOP);
    run_end_input(a); /* the host leaves first, */
    run_for(100);     /* its datagrams stand before bob's */
    run_type_many(b, "line", 20);
    run_for(100);
    run_signal(s, SIGCONT);
    CHECK(run_ended(a) == 0);
    CHECK(run_ended(b) == 1 && run_hears(b, "You have been disconnected: ") && run_tells(b, "20"));
    run_clean();
}

/* Without a stdin at all the client is as at its end, and no socket becomes its stdin; nor does one
   become the server's stderr. */
static void test_program_closed_files(void)
{
    static const char *const steps[] = {
        "s $ sh -c exec~./server~-l~127.0.0.1/0:0~<&-~2>&-",
        "c $ sh -c exec~./client~-s~ADDR~-n~alice~lobby~<&-", "c ? 0",
        "c ! created \"lobby\" as \"alice\"", NULL};
    run_test(steps);
}

/* Those who name the same servers, in whatever order, meet on one of them; one that is down takes
   its own rooms with it and no others. */
static void test_client_servers(void)
{
    run_program *s[2], *c;
    int i, there;
    s[0] = run_server("-q");
    s[1] = run_server("-q");
    for (i = 0; i < 14; i++) {
        const run_program *x = s[i % 2], *y = s[1 - i % 2];
        c = run_start("./client -s localhost/%u:%u -s LOCALHOST/%u:%u -n n%d room%d", x->tcp,
                      x->udp, y->tcp, y->udp, i, i / 2);
        CHECK(run_tells(c, i % 2 ? "joined \"room" : "created \"room"));
    }
    c = run_client_at(s[1]->tcp, s[1]->udp, "-l");
    CHECK(run_ended(c) == 0);
    there = (int)run_lines(c->text[RUN_OUT]);
    for (i = 0; i < 2; i++) {
        c = run_start("./client -s localhost/%u:%u -s localhost/%u:%u -l", s[0]->tcp, s[0]->udp,
                      s[1]->tcp, s[1]->udp);
        CHECK(run_ended(c) == i && run_lines(c->text[RUN_ERR]) == (size_t)i);
        CHECK((int)run_lines(c->text[RUN_OUT]) == (i ? 7 - there : 7));
        run_signal(s[1], SIGKILL);
        CHECK(run_ended(s[1]) == 1000 + SIGKILL);
    }
    run_clean();
}

/* ---- The programs: members made by hand, as other people's clients are ---- */

typedef struct run_member {
    int tcp, udp, dialect;
    unsigned port; /* of udp */
    const char *room, *name;
    char token[OCM_TOKEN_MAX + 1];
} run_member;

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
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        return fd;
    }
    if (fd >= 0) close(fd);
    return -1;
}

/* A socket of this machine on port, 0 = any; -1 when it is taken. */
static int run_bind(int type, unsigned port)
{
    struct sockaddr_in a = run_address(port);
    int fd = socket(AF_INET, type, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0) return run_keep(fd);
    if (fd >= 0) close(fd);
    return -1;
}

static void run_send_udp(int fd, unsigned port, const void *p, size_t len)
{
    struct sockaddr_in to = run_address(port);
    (void)!sendto(fd, p, len, 0, (struct sockaddr *)&to, sizeof to);
}

/* A frame, by hand: 32 bytes of header, of them 29 of length. */
static size_t run_make_frame(uint8_t *out, int op, int state, const char *room, const void *payload,
                             size_t len)
{
    size_t room_len = strlen(room);
    memset(out, 0, 32);
    out[0] = (uint8_t)room_len;
    out[1] = (uint8_t)op;
    out[2] = (uint8_t)state;
    out[30] = (uint8_t)(len >> 8);
    out[31] = (uint8_t)len;
    memcpy(out + 32, room, room_len);
    memcpy(out + 32 + room_len, payload, len);
    return 32 + room_len + len;
}

static void run_send_frame(int fd, int op, int state, const char *room, const char *payload)
{
    uint8_t out[5000];
    size_t len = run_make_frame(out, op, state, room, payload, strlen(payload));
    CHECK(send(fd, out, len, 0) == (ssize_t)len);
}

/* Sockets as the dialect has them: team A's client and the text client take UDP at the port of the
   TCP connection. */
static run_member run_member_at(const run_program *s, int dialect, const char *room,
                                const char *name)
{
    run_member m;
    int tries;
    memset(&m, 0, sizeof m);
    m.dialect = dialect;
    m.room = room;
    m.name = name;
    for (tries = 0, m.udp = -1; m.udp < 0 && tries < 20; tries++) {
        m.tcp = run_keep(run_connect(s->tcp));
        m.udp = run_bind(SOCK_DGRAM, dialect == OCM_DIALECT_JSON ? 0 : run_port_of(m.tcp));
    }
    CHECK(m.tcp >= 0 && m.udp >= 0);
    m.port = run_port_of(m.udp);
    return m;
}

/* The next answer's payload, read as those clients do: in the text dialects with one recv(), in
   JSON a header and then the payload, with no room between them. */
static const char *run_answer(const run_member *m, int op, int state, const char *room)
{
    static char f[5000];
    uint8_t expected[5000];
    int json = m->dialect == OCM_DIALECT_JSON;
    ssize_t n = recv(m->tcp, f, json ? 32 : sizeof f - 1, json ? MSG_WAITALL : 0);
    size_t len = n < 32 ? 0 : (size_t)(uint8_t)f[30] << 8 | (uint8_t)f[31];
    if (json && len < sizeof f - 32) n += recv(m->tcp, f + 32, len, MSG_WAITALL);
    f[n > 0 ? n : 0] = 0;
    n -= (ssize_t)run_make_frame(expected, op, state, room, f + 32 + strlen(room), len);
    return CHECK(n == 0 && memcmp(f, expected, 32 + strlen(room) + len) == 0)
               ? f + 32 + strlen(room) : "";
}

/* JSON: both answers; the status of the second. */
static int run_outcome_json(run_member *m, int op)
{
    const char *got, *token, *status;
    got = run_answer(m, op, 1, "");
    CHECK(strncmp(got, "{\"status\":202,\"message\":\"", 25) == 0);
    got = run_answer(m, op, 2, "");
    status = strstr(got, "\"status\":");
    token = strstr(got, "\"token\":\"");
    if (token) sprintf(m->token, "%.32s", token + 9);
    CHECK(strstr(got, "\"message\":\"") && got[strlen(got) - 1] == '}');
    return status ? atoi(status + 9) : -1;
}

/* The others, byte by byte: the text dialect's byte, or team A's status_code. */
static int run_outcome_text(run_member *m, int op, int good)
{
    uint64_t asked = run_now();
    const char *got = run_answer(m, op, 1, "");
    char expected[200];
    int ack = (uint8_t)got[0], code = 0;
    CHECK(strlen(got) == (size_t)(ack != 0));
    got = run_answer(m, op, 2, good ? m->room : "");
    CHECK(run_now() - asked >= 99); /* 100 ms after the first answer, both clocks rounded down */
    if (m->dialect == OCM_DIALECT_TEXT) {
        if (good) CHECK(strlen(got) == 32 && strspn(got, "0123456789abcdef") == 32);
        else CHECK(strncmp(got, "error: ", 7) == 0 && strlen(got) > 10);
        sprintf(m->token, "%.32s", got);
        return ack;
    }
    CHECK(ack == 200);
    CHECK(sscanf(got, "{\"status_code\":%d,\"user_token\":\"%32[0-9a-f]\"", &code, m->token) >= 1);
    if (good) sprintf(expected, "{\"status_code\":200,\"user_token\":\"%.32s\"}", m->token);
    else sprintf(expected, "{\"status_code\":%d,\"user_token\":null}", code);
    CHECK(strcmp(got, expected) == 0);
    return code;
}

/* 1 if it is answered with that status. */
static int run_ask(run_member *m, int op, int status)
{
    int json = m->dialect == OCM_DIALECT_JSON, good = status == 0 || status / 100 == 2;
    char payload[600];
    sprintf(payload, json ? "{\"username\": \"%s\", \"ip\": \"127.0.0.1\", \"port\": %u}" : "%s",
            m->name, m->port);
    run_send_frame(m->tcp, op, m->dialect == OCM_DIALECT_TEAM_A, m->room, payload);
    return (json ? run_outcome_json(m, op) : run_outcome_text(m, op, good)) == status;
}

static size_t run_header(char *out, const char *room, const char *token)
{
    return (size_t)sprintf(out, "%c%c%s%s", (int)strlen(room), (int)strlen(token), room, token);
}

static void run_say(const run_member *m, const run_program *s, const char *message)
{
    char out[5000];
    size_t len = run_header(out, m->room, m->token);
    strcpy(out + len, message);
    run_send_udp(m->udp, s->udp, out, len + strlen(message));
}

/* The next datagram is this, with the member's own header in the dialects that have one. Team D's
   client ends at what is not one object with sender and message. */
static int run_next_is(const run_member *m, const char *sender, const char *message,
                       unsigned operation)
{
    char head[600], expected[5000];
    static char in[70000];
    ssize_t n = run_readable(m->udp, RUN_PATIENCE) ? recv(m->udp, in, sizeof in - 1, 0) : 0;
    size_t len = m->dialect == OCM_DIALECT_TEXT ? 0 : run_header(head, m->room, m->token);
    const char *got = in + len;
    uint8_t escaped[5000];
    ocm_message j;
    int good = n >= (ssize_t)len && memcmp(in, head, len) == 0;
    in[n > 0 ? n : 0] = 0;
    sprintf(expected, "%s: %s", sender, message);
    if (m->dialect != OCM_DIALECT_JSON) good = good && strcmp(got, expected) == 0;
    else good = good && ocm_message_decode(ocm_text(got), escaped, &j) == 1 && !strchr(got, '\n') &&
                is(j.sender, sender) && is(j.text, message) && j.operation == operation;
    if (!good) printf("expected of \"%s\": %s\nbut %s heard: %s\n", sender, message, m->name, got);
    return good;
}

/* Nothing more has come. The server sends in the order of its events, so after the answer to a
   later request all that it had to say has been said. */
static void run_silent(const run_program *s, const run_member *m)
{
    run_member other = run_member_at(s, OCM_DIALECT_JSON, "nowhere", "nobody");
    CHECK(run_ask(&other, OCM_JOIN, 404));
    CHECK(!run_readable(m->udp, 0));
}

static void run_mixed_room(const run_program *s, run_program *const *c, run_member *m)
{
    static const char *const said[] = {"やあ", "plain", "{\\\"deep\\\"} 😀"};
    static const char *const shown[] = {"やあ", "plain", "{\"deep\"} 😀"};
    char json[300], line[300];
    int i, k;
    for (i = 0; i < 3; i++) {
        sprintf(json, "{\"sender\": \"somebody else\", \"message\": \"%s\"}", said[i]);
        row = m[i].name;
        run_say(&m[i], s, m[i].dialect == OCM_DIALECT_JSON ? json : shown[i]);
        for (k = 0; k < 3; k++)
            if (k != i) CHECK(run_next_is(&m[k], m[i].name, shown[i], 0));
        sprintf(line, "%s: %s\n", m[i].name, shown[i]);
        CHECK(run_hears(c[0], line) && run_hears(c[1], line));
    }
    row = "";
    run_type(c[0], "from \"alice\"\n");
    for (k = 0; k < 3; k++) CHECK(run_next_is(&m[k], "alice", "from \"alice\"", 0)); /* no echo */
    CHECK(run_hears(c[1], "alice: from \"alice\"\n"));
}

static void test_program_dialects(void)
{
    static const char *const out = "You have been disconnected: you left";
    static const char *const closed = "You have been disconnected: the host left";
    run_program *s = run_server("-q"), *c[2];
    run_member m[3];
    int k;
    c[0] = run_client(s, "-n alice -c 部屋");
    m[0] = run_member_at(s, OCM_DIALECT_TEAM_A, "部屋", "anna");
    m[1] = run_member_at(s, OCM_DIALECT_TEXT, "部屋", "tom");
    m[2] = run_member_at(s, OCM_DIALECT_JSON, "部屋", "bert");
    CHECK(run_ask(&m[0], OCM_CREATE, 400) && run_ask(&m[0], OCM_JOIN, 200));
    CHECK(run_ask(&m[1], OCM_CREATE, 1) && run_ask(&m[1], OCM_JOIN, 0));
    CHECK(run_next_is(&m[0], "system", "tom joined", OCM_OP_JOINED));
    CHECK(run_ask(&m[2], OCM_CREATE, 409) && run_ask(&m[2], OCM_JOIN, 200));
    c[1] = run_client(s, "-n bob -j 部屋");
    for (k = 0; k < 2; k++) CHECK(run_next_is(&m[k], "system", "bert joined", OCM_OP_JOINED));
    for (k = 0; k < 3; k++) CHECK(run_next_is(&m[k], "system", "bob joined", OCM_OP_JOINED));
    CHECK(run_hears(c[0], "* bob joined\n"));
    run_mixed_room(s, c, m);
    run_say(&m[0], s, "[remove_chatroom]");
    CHECK(run_next_is(&m[0], "system", out, OCM_OP_REMOVED));
    CHECK(run_next_is(&m[1], "system", "anna left", OCM_OP_LEFT));
    CHECK(run_next_is(&m[2], "system", "anna left", OCM_OP_LEFT));
    run_say(&m[0], s, "I am gone");
    run_say(&m[2], s, "{\"sender\":\"system\",\"operation\":2,\"username\":\"alice\",\"message\":"
                      "\"alice left\"}");
    CHECK(run_next_is(&m[2], "system", out, OCM_OP_REMOVED));
    CHECK(run_next_is(&m[1], "system", "bert left", OCM_OP_LEFT));
    CHECK(run_hears(c[1], "* bert left\n") && !strstr(c[1]->text[0], "gone"));
    CHECK(run_leaves(c[0]) == 0 && run_ended(c[1]) == 0);
    CHECK(run_next_is(&m[1], "system", closed, OCM_OP_REMOVED));
    for (k = 0; k < 3; k++) run_silent(s, &m[k]);
    run_clean();
}

/* A connection that waits from the start, and a request in segments of a byte whose sender has shut
   its side. */
static void test_requests_pieces(void)
{
    run_program *s = run_server("-q"), *alice;
    run_member waiting = run_member_at(s, OCM_DIALECT_JSON, "lobby", "waiting"), m;
    uint8_t out[400];
    size_t i, len = run_make_frame(out, OCM_JOIN, 0, "lobby", "{\"username\":\"slow\"}", 19);
    alice = run_client(s, "-n alice -c lobby");
    m = run_member_at(s, OCM_DIALECT_JSON, "lobby", "slow");
    for (i = 0; i < len; i++) {
        CHECK(send(m.tcp, out + i, 1, 0) == 1);
        run_turn(-1, 1); /* each is to be a segment of its own */
    }
    shutdown(m.tcp, SHUT_WR);
    CHECK(run_outcome_json(&m, OCM_JOIN) == 200);
    CHECK(run_ask(&waiting, OCM_JOIN, 200));
    CHECK(run_hears(alice, "* slow joined\n* waiting joined\n"));
    run_clean();
}

/* A connection that breaks before the success is written: it was no joining. */
static void test_request_broken(void)
{
    run_program *s = run_server("-q"), *alice = run_client(s, "-n alice -c lobby");
    run_member gone = run_member_at(s, OCM_DIALECT_TEXT, "lobby", "gone");
    struct linger reset = {1, 0};
    run_send_frame(gone.tcp, OCM_JOIN, 0, "lobby", "gone");
    run_answer(&gone, OCM_JOIN, 1, ""); /* 100 ms to go */
    setsockopt(gone.tcp, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    run_close(gone.tcp);
    CHECK(run_hears(alice, "* gone joined\n* gone left"));
    gone = run_member_at(s, OCM_DIALECT_TEXT, "lobby", "gone");
    CHECK(run_ask(&gone, OCM_JOIN, 0)); /* the name is free */
    run_clean();
}

/* ---- The programs: our client and other people's servers ---- */

enum { RUN_TEAM_A, RUN_TEAM_D, RUN_STATE_3, RUN_CLOSES, RUN_MUTE };

typedef struct run_fake { /* a server that the test plays, while it waits for something else */
    int kind;
    int bare;                 /* it relays without headers */
    int listener, udp, other; /* other: team D's answers come from there */
    int requests, open, members, messages, leaves, empties;
    unsigned port[4];
    char token[4][32];
} run_fake;

static void run_fake_enter(run_fake *f, unsigned port)
{
    f->open = 1;
    f->port[f->members] = port;
    sprintf(f->token[f->members], "token-of-%d", f->members);
    if (f->members < 3) f->members++;
}

/* Team A answers in its own dialect whatever was asked, and sends to the port of the TCP
   connection. Team D speaks JSON only; ip and port are believed, and must be exact. */
static void run_fake_answer(run_fake *f, int fd, int op, const char *payload)
{
    const char *ack = "{\"status\": 202, \"message\": \"accepted\"}";
    const char *port = strstr(payload, "\"ip\":\"127.0.0.1\",\"port\":");
    struct sockaddr_in peer = run_address(0);
    socklen_t len = sizeof peer;
    char json[200];
    int d = f->kind == RUN_TEAM_D, create = op == OCM_CREATE;
    int good = create ? d || !f->open : f->open;
    getpeername(fd, (struct sockaddr *)&peer, &len);
    if (d) CHECK(port != NULL);
    run_send_frame(fd, op, 1, "", d ? ack : "\xC8");
    if (good) run_fake_enter(f, d && port ? (unsigned)atoi(port + 24) : ntohs(peer.sin_port));
    if (d && good) sprintf(json, "{\"status\": %d, \"message\": \"welcome\", \"token\": \"%s\"}",
                           create ? 201 : 200, f->token[f->members - 1]);
    else if (d) strcpy(json, "{\"status\": 404, \"message\": \"no such room\"}");
    else if (good) sprintf(json, "{\"status_code\": 200, \"user_token\": \"%s\"}",
                           f->token[f->members - 1]);
    else sprintf(json, "{\"status_code\": %d, \"user_token\": null}", create ? 400 : 404);
    run_send_frame(fd, op, 2, good && !d ? "lobby" : "", json);
}

/* The two servers read once: the request must have come in one piece. A connection that closes
   without one is none. */
static void run_fake_request(void *about, int fd)
{
    run_fake *f = (run_fake *)about;
    uint8_t q[4097];
    ssize_t n = recv(fd, q, 4096, 0);
    run_unwatch(fd);
    if (n <= 0) return;
    q[n] = 0;
    f->requests++;
    if (f->kind == RUN_MUTE) return;
    if (!CHECK(n > 37 && (size_t)n == 32u + q[0] + (size_t)q[30] * 256 + q[31])) return;
    CHECK(q[2] == 0 && memcmp(q + 32, "lobby", 5) == 0);
    if (f->kind == RUN_STATE_3) run_send_frame(fd, q[1], 3, "", "");
    else if (f->kind == RUN_CLOSES) shutdown(fd, SHUT_RDWR);
    else run_fake_answer(f, fd, q[1], (const char *)q + 37);
}

static void run_fake_accept(void *about, int listener)
{
    run_watch(run_keep(accept(listener, NULL, NULL)), run_fake_request, about);
}

/* Team D's server puts two zero bytes before each message, and answers from another port. */
static void run_fake_to(const run_fake *f, int i, const char *message)
{
    char out[5000];
    size_t len = run_header(out, "lobby", f->token[i]);
    if (f->kind == RUN_TEAM_D) out[0] = out[1] = 0;
    if (f->kind == RUN_TEAM_D) len = 2;
    if (f->bare) len = 0;
    strcpy(out + len, message);
    run_send_udp(f->kind == RUN_TEAM_D ? f->other : f->udp, f->port[i], out, len + strlen(message));
}

/* Both servers relay the bytes they get, to everyone. */
static void run_fake_relay(void *about, int fd)
{
    run_fake *f = (run_fake *)about;
    struct sockaddr_in from = run_address(0);
    socklen_t len = sizeof from;
    char in[5000], *message;
    ssize_t n = recvfrom(fd, in, sizeof in - 1, 0, (struct sockaddr *)&from, &len);
    int i, k;
    if (!CHECK(n >= 7 && in[0] == 5 && n >= 7 + in[1])) return;
    in[n] = 0;
    message = in + 7 + in[1];
    for (i = 0; i < f->members && strncmp(f->token[i], in + 7, (size_t)in[1]) != 0;) i++;
    if (!CHECK(i < f->members)) return;
    CHECK(ntohs(from.sin_port) == f->port[i]);
    if (!*message) f->empties++;
    else if (strstr(message, "\"operation\":2")) f->leaves++;
    else f->messages++;
    for (k = 0; k < f->members; k++) run_fake_to(f, k, message);
}

/* Clients that are started then go there. */
static void run_fake_open(run_fake *f, int kind)
{
    memset(f, 0, sizeof *f);
    f->kind = kind;
    f->listener = run_bind(SOCK_STREAM, 0);
    f->udp = run_bind(SOCK_DGRAM, 0);
    f->other = run_bind(SOCK_DGRAM, 0);
    CHECK(f->listener >= 0 && f->udp >= 0 && f->other >= 0 && listen(f->listener, 8) == 0);
    run_tcp = run_port_of(f->listener);
    run_udp = run_port_of(f->udp);
    run_watch(f->listener, run_fake_accept, f);
    run_watch(f->udp, run_fake_relay, f);
}

static void test_client_team_a_text(void)
{
    static const char *const whole[] = {
        "a = -t -n alice lobby", "a ! created \"lobby\"", "b = -t -n bob -j lobby",
        "b ! joined \"lobby\"", "a > やあ", "b < やあ", NULL};
    static const char *const bare[] = {
        "b > two", "a < two", "c - -t -n bob -c lobby", "c ? 1", "a . 0", "b . 0", NULL};
    run_fake f;
    run_fake_open(&f, RUN_TEAM_A);
    run_play(whole);
    f.bare = 1;
    run_play(bare);
    run_turn(-1, 0);
    CHECK(f.messages == 2 && f.leaves == 0 && f.empties == 0 && f.requests == 4);
    run_clean();
}

static void test_client_team_a_json(void)
{
    static const char *const enter[] = {
        "a = -n alice lobby", "b = -n bob lobby", "a > hi", "b < alice: hi", NULL};
    static const char *const leave[] = {
        "b > \"ho\"", "a < bob: \"ho\"", "a ~ alice: ", "a ~ forged", "a . 0", "b . 0", NULL};
    run_fake f;
    run_fake_open(&f, RUN_TEAM_A);
    run_play(enter);
    sprintf(f.token[0], "wrong");
    run_fake_to(&f, 0, "{\"sender\":\"eve\",\"message\":\"forged\"}");
    sprintf(f.token[0], "token-of-0");
    run_play(leave);
    run_turn(-1, 0);
    CHECK(f.messages == 2 && f.leaves == 2 && f.empties == 0);
    run_clean();
}

static void test_client_team_d(void)
{
    static const char *const enter[] = {"a = -n alice lobby", "b = -n bob -j lobby", NULL};
    static const char *const talk[] = {
        "a < b: hi", "a < * bob has come ☺", "a > hi", "b < alice: hi", NULL};
    static const char *const leave[] = {
        "b > ho", "a < bob: ho", "a ~ alice: ", "a ~ \033", "b . 0", "a . 0", NULL};
    run_fake f;
    run_fake_open(&f, RUN_TEAM_D);
    run_play(enter);
    run_fake_to(&f, 0, "{\"sender\":\"b\",\"message\":\"hi\"}");
    run_fake_to(&f, 0, "\"bob has come \\u263a\""); /* its notices are bare strings */
    run_fake_to(&f, 0, "{\"sender\":\"b\",\"message\":\"\\u001b[2J\"}");
    run_play(talk);
    run_for(2300); /* a position, if there were one, comes two seconds after the last entry */
    f.bare = 1;
    run_play(leave);
    run_turn(-1, 0);
    CHECK(f.messages == 2 && f.leaves == 2 && f.empties == 0);
    run_clean();
}

static void test_client_bad_server(void)
{
    static const char *const asks[] = {"a - -n alice -c lobby", "a ! client: ", "a ? 1", NULL};
    static const char *const gone[] = {
        "a - -n alice -c lobby", "a ! is ./server running there?", "a ? 1", "l - -l", "l ? 1",
        NULL};
    static const char *const waits[] = {"a - -n alice -c lobby", NULL};
    static const char *const stops[] = {"a * INT", "a ? 130", NULL}; /* at once */
    run_fake f;
    int kind;
    for (kind = RUN_STATE_3; kind <= RUN_CLOSES; kind++) {
        run_fake_open(&f, kind);
        run_play(asks);
        CHECK(run_lines(run_cast['a'].p->text[RUN_ERR]) == 1);
        run_close(f.listener);
        run_play(gone);
        run_clean();
    }
    run_fake_open(&f, RUN_MUTE);
    run_play(waits);
    while (f.requests == 0 && run_cast['a'].p->pid > 0) run_turn(-1, 20);
    run_play(stops);
    run_clean();
}

/* ---- The programs: what a stranger sends ---- */

/* After each attack: they still hear each other. */
static void run_still_chats(const run_program *a, const run_program *b, const char *what)
{
    char line[200];
    row = what;
    sprintf(line, "after %s\n", what);
    run_type(a, line);
    sprintf(line, "alice: after %s\n", what);
    CHECK(run_hears(b, line));
}

static void run_rubbish_frames(const run_program *s)
{
    uint32_t lot = (uint32_t)seed;
    uint8_t frame[3000];
    int i, k;
    for (i = 0; i < 60; i++) {
        int fd = run_connect(s->tcp);
        size_t len = dice(&lot) % sizeof frame;
        for (k = 0; k < 3000; k++) frame[k] = (uint8_t)dice(&lot);
        if (i % 3 == 0) memset(frame + 3, 0, 27); /* a length that can be */
        if (i % 3 == 1) memset(frame + 2, 0, 30);
        if (i % 3 == 1) frame[1] = OCM_JOIN;
        (void)!send(fd, frame, len, 0);
        if (i % 2) run_readable(fd, 5);
        close(fd);
    }
}

/* A refusal from the header alone: it can be read to its end, though bytes of the payload still
   come. */
static void run_too_large(const run_program *s, int exponent, int json)
{
    static uint8_t out[60000];
    uint8_t *length = out + 3;
    char in[1000];
    size_t got = 0;
    ssize_t n = 0;
    int fd = run_keep(run_connect(s->tcp));
    run_make_frame(out, OCM_JOIN, 0, "lobby", "", 0);
    if (exponent == 29) length[25] = 0x20; /* 2^29 */
    else memset(length, 0xFF, 29);         /* 2^232 - 1 */
    memset(out + 37, json ? '{' : 'x', sizeof out - 37);
    (void)!send(fd, out, sizeof out, 0);
    while (run_readable(fd, RUN_PATIENCE)) {
        n = recv(fd, in + got, sizeof in - 1 - got, 0);
        if (n <= 0) break;
        got += (size_t)n;
        (void)!send(fd, out + 37, 1000, 0);
    }
    in[got] = 0;
    CHECK(n == 0); /* closed, not reset */
    if (!json) CHECK(got > 72 && in[31] == 1 && in[32] == 4 && in[35] == 2);
    if (!json) CHECK(strncmp(in + 65, "error: ", 7) == 0);
    if (json) CHECK(got > 77 && in[2] == 1 && in[32 + in[31] + 2] == 2);
    if (json) CHECK(strstr(in + 64 + in[31], "{\"status\":413") == in + 64 + in[31]);
}

static void run_strange_datagrams(const run_program *s)
{
    static const size_t lengths[] = {0, 1, 2, 33, 4096, 4097, 65507};
    static uint8_t out[65507];
    uint32_t lot = (uint32_t)seed + 1;
    run_member m = {-1, -1, 0, 0, "", "stranger", ""};
    int k;
    size_t i;
    m.udp = run_bind(SOCK_DGRAM, 0);
    for (k = 0; k < 3; k++) {
        for (i = 0; i < sizeof out; i++) out[i] = k ? (uint8_t)dice(&lot) : 0;
        if (k == 2) memcpy(out, "\5\40lobby", 7);
        for (i = 0; i < COUNT(lengths); i++) run_send_udp(m.udp, s->udp, out, lengths[i]);
    }
    run_silent(s, &m); /* nothing is sent to anyone who has not proved that he is a member */
}

/* How many connections a process may have, at most `wanted`. */
static int run_descriptors(int wanted)
{
    struct rlimit r;
    rlim_t need = (rlim_t)wanted + 200;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return 100;
    if (r.rlim_cur < need) {
        r.rlim_cur = r.rlim_max < need ? r.rlim_max : need;
        setrlimit(RLIMIT_NOFILE, &r);
        getrlimit(RLIMIT_NOFILE, &r);
    }
    return r.rlim_cur >= need ? wanted : (int)r.rlim_cur - 150;
}

/* More connections than the server has places for, half of them with half a request. */
static void run_crowd(const run_program *s, run_program *a, run_program *b)
{
    static int fd[1500];
    int n = run_descriptors(1500), i;
    if (n < 1500) printf("only %d connections at once: the system gives no more descriptors\n", n);
    for (i = 0; i < n; i++) {
        fd[i] = run_connect(s->tcp);
        if (i % 2 && fd[i] >= 0) (void)!send(fd[i], "\5\2\0", 3, 0);
    }
    run_still_chats(a, b, "a crowd came");
    CHECK(run_leaves(run_client(s, "-n carol -j lobby")) == 0); /* anyone who asks gets in */
    while (i > 0) close(fd[--i]);
    run_still_chats(a, b, "the crowd left");
}

static void test_program_strangers(void)
{
    run_program *s = run_server("-q"), *a = run_client(s, "-n alice -c lobby"), *b;
    run_member deep = run_member_at(s, OCM_DIALECT_JSON, "other", "mallory");
    char request[300] = "{\"username\":\"d\",\"x\":";
    int i;
    b = run_client(s, "-n bob lobby");
    run_rubbish_frames(s);
    run_still_chats(a, b, "rubbish frames");
    for (i = 0; i < 4; i++) run_too_large(s, i < 2 ? 29 : 232, i % 2);
    run_still_chats(a, b, "lengths");
    run_strange_datagrams(s);
    run_still_chats(a, b, "strange datagrams");
    for (i = 0; i < 60; i++) strcat(request, "[");
    run_send_frame(deep.tcp, OCM_JOIN, 0, "lobby", request);
    CHECK(run_outcome_json(&deep, OCM_JOIN) == 400);
    run_crowd(s, a, b);
    CHECK(run_leaves(a) == 0 && run_ended(b) == 0);
    run_signal(s, SIGTERM);
    CHECK(run_ended(s) == 0 && s->len[RUN_ERR] == 0);
    run_clean();
}

static double run_cpu_of_ended(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* No descriptor is left for a connection: the server says so now and then, does not spin, and
   serves again as soon as there is one. */
static void test_program_descriptors(void)
{
    static const char *const enter[] = {"s $ sh -c ulimit~-n~12;exec~./server~-l~127.0.0.1/0:0",
                                        "a = -n alice -c lobby", "b = -n bob lobby", NULL};
    static const char *const full[] = {"a > none left", "b < alice: none left", NULL};
    static const char *const again[] = {"c = -n carol -j lobby", "c . 0", "a > some again",
                                        "b < alice: some again", "s * TERM", "s ? 0", NULL};
    double before = run_cpu_of_ended();
    int fd[24], i;
    run_play(enter);
    for (i = 0; i < 24; i++) fd[i] = run_connect(run_tcp);
    run_play(full);
    run_for(1500);
    for (i = 0; i < 24; i++) close(fd[i]);
    run_play(again);
    CHECK(run_cpu_of_ended() - before < 0.5);
    CHECK(run_lines(run_cast['s'].p->text[RUN_ERR]) < 20);
    run_clean();
}

/* ---- The programs: on a network that loses and delays ---- */

#define RUN_HELD 4096

typedef struct run_relay { /* with a socket to the server for each client, like a translator */
    int front, count, loss, delay[2]; /* loss: percent, each way; delay: ms, from and to */
    unsigned server;
    struct { int up; struct sockaddr_in client; } way[8];
    struct { uint64_t due; int way, down; size_t len; char bytes[1300]; } held[RUN_HELD];
    size_t held_count;
    uint32_t dice;
    int lost, passed;
} run_relay;

static void run_relay_take(run_relay *r, int way, int down, const char *p, ssize_t len)
{
    int gone = (int)(dice(&r->dice) % 100) < r->loss;
    uint32_t span = (uint32_t)(r->delay[1] - r->delay[0] + 1), ms = dice(&r->dice) % span;
    if (len < 0 || (size_t)len > sizeof r->held[0].bytes || r->held_count == RUN_HELD) return;
    if (gone) r->lost++;
    if (gone) return;
    r->passed++;
    r->held[r->held_count].due = run_now() + ms + (uint64_t)r->delay[0];
    r->held[r->held_count].way = way;
    r->held[r->held_count].down = down;
    r->held[r->held_count].len = (size_t)len;
    memcpy(r->held[r->held_count++].bytes, p, (size_t)len);
}

/* Sends what is due. */
static void run_relay_pass(run_relay *r)
{
    uint64_t now = run_now();
    size_t i = 0;
    while (i < r->held_count) {
        const struct sockaddr_in *client = &r->way[r->held[i].way].client;
        if (r->held[i].due > now) {
            i++;
            continue;
        }
        if (r->held[i].down) run_send_udp(r->front, ntohs(client->sin_port), r->held[i].bytes,
                                          r->held[i].len);
        else run_send_udp(r->way[r->held[i].way].up, r->server, r->held[i].bytes, r->held[i].len);
        r->held[i] = r->held[--r->held_count];
    }
}

static void run_relay_down(void *about, int fd)
{
    run_relay *r = (run_relay *)about;
    char in[5000];
    ssize_t n = recv(fd, in, sizeof in, 0);
    int i;
    for (i = 0; i < r->count; i++)
        if (r->way[i].up == fd) run_relay_take(r, i, 1, in, n);
}

static void run_relay_up(void *about, int fd)
{
    run_relay *r = (run_relay *)about;
    struct sockaddr_in from = run_address(0);
    socklen_t len = sizeof from;
    char in[5000];
    ssize_t n = recvfrom(fd, in, sizeof in, 0, (struct sockaddr *)&from, &len);
    int i;
    for (i = 0; i < r->count && r->way[i].client.sin_port != from.sin_port;) i++;
    if (i == 8 || n < 0) return;
    if (i == r->count) {
        r->way[i].client = from;
        r->way[i].up = run_bind(SOCK_DGRAM, 0);
        run_watch(r->way[i].up, run_relay_down, r);
        r->count++;
    }
    run_relay_take(r, i, 0, in, n);
}

typedef struct run_talk { /* a conversation over a relay, timed */
    int clients, lines, every;         /* lines of each client, one every so many ms */
    int loss, from, to;                /* of the relay */
    int done, median;                  /* ms, at most: after the last line, of all delays */
    run_program *c[8];
    size_t at[8];                      /* how far its output has been looked at */
    int next[8][8];                    /* [reader][speaker]: the line that is to come next */
    uint64_t said[8][128];
    int delays[8 * 8 * 128];
    size_t heard;
    run_relay relay;
} run_talk;

/* Looks at the lines "cK: no N" that have come; each has to be the next one of its speaker. */
static void run_talk_listen(run_talk *t)
{
    int i, speaker, n;
    for (i = 0; i < t->clients; i++) {
        const char *text = t->c[i]->text[RUN_OUT], *end;
        for (; (end = strchr(text + t->at[i], '\n')) != NULL; t->at[i] = (size_t)(end + 1 - text)) {
            if (sscanf(text + t->at[i], "c%d: no %d\n", &speaker, &n) != 2) continue;
            if (!CHECK(speaker >= 0 && speaker < t->clients && n == t->next[i][speaker])) continue;
            t->next[i][speaker]++;
            t->delays[t->heard++] = (int)(run_now() - t->said[speaker][n]);
        }
    }
}

static int run_by_size(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void run_talk_over(run_talk *t)
{
    char options[64], line[64];
    run_program *s = run_server("-q");
    size_t all = (size_t)(t->clients * (t->clients - 1) * t->lines);
    uint64_t began, last, now;
    int i, said = 0;
    t->relay.front = run_bind(SOCK_DGRAM, 0);
    t->relay.server = s->udp;
    t->relay.dice = 2463534242u + (uint32_t)seed;
    run_watch(t->relay.front, run_relay_up, &t->relay);
    for (i = 0; i < t->clients; i++) {
        sprintf(options, "-n c%d lobby", i);
        t->c[i] = run_client_at(s->tcp, run_port_of(t->relay.front), options);
        CHECK(run_tells(t->c[i], " as \""));
    }
    t->relay.loss = t->loss;
    t->relay.delay[0] = t->from;
    t->relay.delay[1] = t->to;
    for (began = last = now = run_now(); t->heard < all; now = run_now()) {
        if (said < t->lines && now - began >= (uint64_t)(said * t->every)) {
            sprintf(line, "no %d\n", said);
            for (i = 0; i < t->clients; i++) {
                t->said[i][said] = now;
                run_type(t->c[i], line);
            }
            last = now;
            said++;
            continue;
        }
        if (now - last > 40000) break;
        run_turn(-1, 1);
        run_relay_pass(&t->relay);
        run_talk_listen(t);
    }
    qsort(t->delays, t->heard, sizeof *t->delays, run_by_size);
    if (!CHECK(t->heard == all)) printf("%d of %d lines\n", (int)t->heard, (int)all);
    if (!CHECK((int)(now - last) <= t->done)) printf("done after %d ms\n", (int)(now - last));
    if (t->heard && !CHECK(t->delays[t->heard / 2] <= t->median))
        printf("median delay %d ms\n", t->delays[t->heard / 2]);
    CHECK(t->relay.lost * 100 >= (t->loss - 10) * (t->relay.lost + t->relay.passed));
    for (i = 0; i < t->clients; i++) CHECK(run_lines(t->c[i]->text[RUN_ERR]) == 1);
    run_clean();
}

static void run_talk_of(int clients, int lines, int every, int loss, int from, int to, int done,
                        int median)
{
    run_talk *t = (run_talk *)allocate(sizeof *t);
    t->clients = clients;
    t->lines = lines;
    t->every = every;
    t->loss = loss;
    t->from = from;
    t->to = to;
    t->done = done;
    t->median = median;
    run_talk_over(t);
    free(t);
}

/* Six clients, five lines a second each, over a link that loses three datagrams of ten. On a quiet
   machine all is there 10 s after the last line, and the median delay is below 1 s. */
static void test_lossy_network(void)
{
    run_talk_of(6, 15, 200, 30, 0, 250, 30000, 3000);
}

/* Two clients that pipe 100 lines at once over a network that only delays and reorders: 1 s on a
   quiet machine. */
static void test_piped_at_once(void)
{
    run_talk_of(2, 100, 0, 0, 20, 120, 10000, 10000);
}

/* ---- The programs: what takes its time, at once ---- */

/* Started again on its ports: what was typed meanwhile is there, once, and nothing is missed. */
static void run_again(const char *const *steps, int server, int reader)
{
    const char *first;
    run_tcp = run_cast[server].p->tcp;
    run_udp = run_cast[server].p->udp;
    run_play(steps);
    first = strstr(run_cast[reader].p->text[RUN_OUT], "alice: typed meanwhile\n");
    CHECK(first && !strstr(first + 1, "alice: typed meanwhile\n"));
}

/* A server that never answers (5 s), one that is killed (noticed after 10 s), one that is stopped,
   one whose UDP port nobody reads (10 s), and one that stands still longer than `idle`: anyone who
   kept alive meanwhile is a member still. */
static void test_program_waiting(void)
{
    static const char *const enter[] = {
        "u = -q -i 2", "e = -n alice -c lobby", "f = -n bob -j lobby", "e < * bob joined",
        "s = -q", "a = -n alice -c lobby", "b = -n bob -j lobby", "a < * bob joined",
        "t = -q", "c = -n alice -c lobby", "d = -n bob -j lobby", "c < * bob joined", NULL};
    static const char *const down[] = {
        "m - -n alice lobby", "s * KILL", "t * TERM", "s ? 1009", "t ? 0", "a > typed meanwhile",
        "c > typed meanwhile", "c ! the server is stopping", NULL};
    static const char *const stopped[] = {
        "t $ ./server -q -l ADDR", "c ! the server is back", "d ! the server is back",
        "d < alice: typed meanwhile", "d > good", "c < bob: good", "c ~ missed", "d ~ missed",
        "d . 0", "c < * bob left", "c . 0", "m ! client: no answer", "m ? 1", NULL};
    static const char *const paused[] = {
        "u * CONT", "e > after a pause", "f < alice: after a pause", "f > here, too",
        "e < bob: here, too", "e ~ bob left", "f ~ disconnected", "e . 0", "f ? 0", NULL};
    static const char *const killed[] = {
        "a ! does not answer", "s $ ./server -q -l ADDR", "a ! the server is back",
        "b ! the server is back", "b < alice: typed meanwhile", "b > good", "a < bob: good",
        "a ~ missed", "b ~ missed", "b . 0", "a < * bob left", "a . 0", NULL};
    run_program *deaf, *s = run_server("-q");
    uint64_t began = run_now();
    char port[64];
    run_fake mute;
    run_patience = 45000;
    run_play(enter);
    run_fake_open(&mute, RUN_MUTE);
    run_unwatch(mute.udp);
    sprintf(port, "UDP port %u", run_udp);
    deaf = run_client_at(s->tcp, run_udp, "-n dora other");
    CHECK(run_tells(deaf, " as \""));
    run_step("u * STOP");
    run_for(3000); /* longer than -i 2, shorter than the 10 s after which clients ask by TCP */
    run_play(paused);
    run_play(down);
    run_again(stopped, 't', 'd');
    CHECK(run_now() - began >= 4900 && mute.requests == 1);
    CHECK(run_tells(deaf, port) && !strstr(deaf->text[RUN_ERR], "is back"));
    CHECK(run_now() - began >= 9900);
    run_again(killed, 's', 'b');
    run_clean();
}

/* ---- The programs: the examples in the manuals ---- */

/* Writes the first fenced block of README.md of that language that has the word in it. */
static int run_readme(const char *language, const char *word, FILE *out)
{
    char *text = run_file("README.md"), begin[32], *at = text, *end = text;
    int good = 0;
    sprintf(begin, "\n```%s\n", language);
    while (!good && end && (at = strstr(end, begin)) != NULL) {
        at += strlen(begin);
        end = strstr(at, "\n```");
        if (end) *end = 0;
        good = end && strstr(at, word);
        if (end) *end = '\n';
    }
    if (good) fprintf(out, "%.*s\n", (int)(end - at), at);
    free(text);
    return good;
}

/* Likewise the quick example of ocm.h: from its heading to the next line that is not indented. */
static int run_quick_example(FILE *out)
{
    char *text = run_file("ocm.h"), *at = strstr(text, "QUICK EXAMPLE"), *next = at;
    int lines = 0;
    while (next && (next = strchr(next, '\n')) != NULL && (next[1] == ' ' || next[1] == '\n')) {
        at = ++next;
        lines += fprintf(out, "%.*s\n", (int)strcspn(at, "\n"), at) > 1;
    }
    free(text);
    return lines > 20;
}

static char run_dir[32]; /* of the example of the test that runs */

/* An example in a directory of its own, as example.c, .python or .sh, and compiled if it is in C. 1
   if it can be run. */
static int run_example(const char *language, const char *word)
{
    char path[100];
    FILE *f;
    int good;
    strcpy(run_dir, "/tmp/ocm-test-XXXXXX");
    if (!CHECK(mkdtemp(run_dir) != NULL)) return 0;
    sprintf(path, "%s/example.%s", run_dir, language);
    f = fopen(path, "wb");
    if (!CHECK(f != NULL)) return 0;
    good = word ? run_readme(language, word, f) : run_quick_example(f);
    fclose(f);
    if (!CHECK(good)) return 0;
    if (strcmp(language, "c") != 0) return 1;
    return CHECK(run_ended(run_start("%s -I. -o %s/example %s", getenv("CC") ? getenv("CC") : "cc",
                                     run_dir, path)) == 0);
}

static void run_example_end(void)
{
    run_clean();
    CHECK(run_ended(run_start("rm -rf %s", run_dir)) == 0);
    run_clean();
}

static void test_example_quick(void)
{
    if (run_example("c", NULL)) {
        run_program *p = run_start("%s/example", run_dir);
        CHECK(run_ended(p) == 0 && run_lines(p->text[RUN_OUT]) >= 3 && p->len[RUN_ERR] == 0);
    }
    run_example_end();
}

/* The server of README.md: our clients chat on it. */
static void test_example_server(void)
{
    static const char *const steps[] = {
        "a = -n alice -c lobby", "b = -t -n bob lobby", "a > hi", "b < alice: hi", "a . 0", "b ? 0",
        NULL};
    int tcp, udp, fd = -1, tries;
    if (run_example("c", "int main")) {
        for (tries = 0; fd < 0 && tries < 3; tries++) { /* others may take the ports first */
            run_program *p;
            tcp = run_bind(SOCK_STREAM, 0);
            udp = run_bind(SOCK_DGRAM, 0);
            run_tcp = run_port_of(tcp);
            run_udp = run_port_of(udp);
            run_close(tcp);
            run_close(udp);
            p = run_start("%s/example %u %u", run_dir, run_tcp, run_udp);
            for (; p->pid > 0 && fd < 0; fd = run_connect(run_tcp)) run_turn(-1, 10);
        }
        close(fd);
        run_play(steps);
    }
    run_example_end();
}

static void test_example_python(void)
{
    static const char *const steps[] = {
        "a < * carol joined", "a > hello 😀 \"carol\"", "p < alice: hello 😀 \"carol\"",
        "p > hi from python", "a < carol: hi from python", "p . 0", "a < * carol left", NULL};
    if (run_ended(run_start("python3 -V")) != 0) {
        printf("no python3: the Python client of README.md is skipped\n");
        run_clean();
        return;
    }
    run_step("s = -q");
    run_step("a = -n alice -c 部屋");
    if (run_example("python", "import")) {
        run_cast['p'].p = run_start("python3 %s/example.python 127.0.0.1 %u %u carol 部屋",
                                    run_dir, run_tcp, run_udp);
        run_play(steps);
    }
    run_example_end();
}

/* The bot of README.md in shell, run beside our programs and sent to our server: it answers what is
   asked, but nothing of the room's past. */
static void test_example_bot(void)
{
    static const char *const steps[] = {"s = -q", "a = -n alice -c lobby", "a > !time", NULL};
    char here[500], *said;
    const run_program *a, *bot;
    run_play(steps);
    a = run_cast['a'].p;
    if (run_example("sh", "!time") && CHECK(getcwd(here, sizeof here) != NULL)) {
        bot = run_start("sh -c cd~%s~&&~sed~'s|[.]/client|%s/client~-s~127.0.0.1/%u:%u|'~"
                        "example.sh~|~sh", run_dir, here, run_tcp, run_udp);
        CHECK(run_hears(a, " joined\n"));
        run_step("a > !time");
        CHECK(run_hears(a, ": "));
        said = strstr(a->text[RUN_OUT], ": ");
        CHECK(said && strstr(a->text[RUN_OUT], " joined\n") < said);
        run_step("a . 0");
        CHECK(run_ended(bot) == 0);
    }
    run_example_end();
}

#define RUN_TESTS \
    {"program_usage", test_program_usage}, {"program_help", test_program_help}, \
    {"program_port_in_use", test_program_port_in_use}, \
    {"program_listeners", test_program_listeners}, \
    {"program_same_stretch", test_program_same_stretch}, \
    {"program_unread", test_program_unread}, {"client_pipe", test_client_pipe}, \
    {"client_refusals", test_client_refusals}, {"client_list", test_client_list}, \
    {"client_too_long", test_client_too_long}, {"client_many_lines", test_client_many_lines}, \
    {"client_lost_lines", test_client_lost_lines}, \
    {"program_closed_files", test_program_closed_files}, \
    {"client_servers", test_client_servers}, {"program_dialects", test_program_dialects}, \
    {"requests_pieces", test_requests_pieces}, {"request_broken", test_request_broken}, \
    {"client_team_a_text", test_client_team_a_text}, \
    {"client_team_a_json", test_client_team_a_json}, {"client_team_d", test_client_team_d}, \
    {"client_bad_server", test_client_bad_server}, \
    {"program_strangers", test_program_strangers}, \
    {"program_descriptors", test_program_descriptors}, {"lossy_network", test_lossy_network}, \
    {"piped_at_once", test_piped_at_once}, {"program_waiting", test_program_waiting}, \
    {"example_quick", test_example_quick}, {"example_server", test_example_server}, \
    {"example_python", test_example_python}, {"example_bot", test_example_bot},
#else
#define RUN_TESTS /* the programs are tested where there are fork() and poll() */
static int demo(void) { return printf("the demonstration needs POSIX: fork() and pipes\n") < 0; }
#endif

/* ---- The client on a terminal: a screen of rows and columns ---- */

#ifndef _WIN32

#define TERM_ROWS 60
#define TERM_COLUMNS 220

enum { TERM_BOLD = 1, TERM_DIM = 2, TERM_HALF = 4 };

typedef struct term_cell {
    char text[40]; /* a character and the combining ones after it; "": nothing was written here */
    int attributes; /* HALF: the right half of the wide character before it */
    int colour; /* 0: the terminal's own */
} term_cell;

/* What a person sees: kept from what the client writes, as a terminal keeps it. */
typedef struct term_screen {
    run_program *p;
    int rows, columns, y, x, saved_y, saved_x, attributes, colour;
    int full;    /* the last column was written: the next character begins a row */
    int marks;   /* pasted text comes between marks */
    int bells, escapes;
    char title[64];
    size_t at;   /* how much of the program's output has been looked at */
    term_cell cell[TERM_ROWS][TERM_COLUMNS];
    int wrapped[TERM_ROWS]; /* the row goes on in the next one */
} term_screen;

static term_screen term_screens[8]; /* of the test that runs */
static size_t term_count;
static term_screen *term_of[128]; /* by the letters of a conversation */

static int term_width(uint32_t c)
{
    if ((c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || c == 0x3099 || c == 0x309A ||
        (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0x1F3FB && c <= 0x1F3FF))
        return 0;
    return (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) ||
           (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0xFF00 && c <= 0xFF60) || (c >= 0x1F300 && c <= 0x1FAFF) ? 2 : 1;
}

static void term_erase(term_screen *t, int y, int from, int to)
{
    if (to > from) memset(&t->cell[y][from], 0, (size_t)(to - from) * sizeof t->cell[y][from]);
    if (to == t->columns) t->wrapped[y] = 0;
}

static void term_line_feed(term_screen *t)
{
    if (t->y + 1 < t->rows) {
        t->y++;
        return;
    }
    memmove(t->cell[0], t->cell[1], (size_t)(t->rows - 1) * sizeof t->cell[0]);
    memmove(t->wrapped, t->wrapped + 1, (size_t)(t->rows - 1) * sizeof t->wrapped[0]);
    term_erase(t, t->rows - 1, 0, TERM_COLUMNS);
    t->wrapped[t->rows - 1] = 0;
}

static void term_put(term_screen *t, const char *p, size_t len, uint32_t c)
{
    int width = term_width(c), x = t->full ? t->x : t->x - 1;
    term_cell *cell;
    if (x > 0 && t->cell[t->y][x].attributes & TERM_HALF) x--;
    cell = &t->cell[t->y][x > 0 ? x : 0];
    /* A joiner joins what comes after it, too. */
    if (width && x >= 0 && strlen(cell->text) > 3 &&
        strcmp(cell->text + strlen(cell->text) - 3, "\xE2\x80\x8D") == 0)
        width = 0;
    if (width == 0) {
        if (x >= 0 && strlen(cell->text) + len < sizeof cell->text) strncat(cell->text, p, len);
        return;
    }
    if (t->full || t->x + width > t->columns) {
        t->wrapped[t->y] = 1;
        t->x = 0;
        term_line_feed(t);
    }
    term_erase(t, t->y, t->x, t->x + width);
    memcpy(t->cell[t->y][t->x].text, p, len);
    t->cell[t->y][t->x].attributes = t->attributes;
    t->cell[t->y][t->x].colour = t->colour;
    if (width == 2) t->cell[t->y][t->x + 1].attributes = TERM_HALF;
    t->full = t->x + width == t->columns;
    t->x = t->full ? t->columns - 1 : t->x + width;
}

static void term_look(term_screen *t, const int *n, int count)
{
    int i;
    for (i = 0; i < count; i++) {
        if (n[i] == 0) t->attributes = 0;
        if (n[i] == 0 || n[i] == 39) t->colour = 0;
        if (n[i] == 1) t->attributes |= TERM_BOLD;
        if (n[i] == 2) t->attributes |= TERM_DIM;
        if (n[i] == 22) t->attributes = 0;
        if ((n[i] >= 30 && n[i] < 38) || (n[i] >= 90 && n[i] < 98)) t->colour = n[i];
    }
}

/* ESC [ numbers final. Anything that this screen does not know is a failure. */
static void term_control(term_screen *t, const char *numbers, char final)
{
    int n[8] = {0}, count = 0, first, y, down, private_mode = *numbers == '?';
    const char *s;
    for (s = numbers + private_mode; count < 8; s++) {
        n[count++] = atoi(s);
        s += strspn(s, "0123456789");
        if (*s != ';') break;
    }
    first = n[0] ? n[0] : 1;
    t->full = 0;
    down = t->rows - 1 - t->y;
    if (final == 'm') term_look(t, n, count);
    else if (final == 'A') t->y -= first < t->y ? first : t->y;
    else if (final == 'B') t->y += first < down ? first : down;
    else if (final == 'C') t->x = t->x + first < t->columns ? t->x + first : t->columns - 1;
    else if (final == 'D') t->x -= first < t->x ? first : t->x;
    else if (final == 'G') t->x = first <= t->columns ? first - 1 : t->columns - 1;
    else if (final == 'K') term_erase(t, t->y, n[0] == 2 ? 0 : t->x, t->columns);
    else if (final == 'H') {
        t->y = first - 1;
        t->x = n[1] ? n[1] - 1 : 0;
    } else if (final == 'J') {
        term_erase(t, t->y, n[0] ? 0 : t->x, t->columns);
        for (y = n[0] ? 0 : t->y + 1; y < t->rows; y++) term_erase(t, y, 0, t->columns);
    } else if (private_mode && n[0] == 2004) t->marks = final == 'h';
    else if (final != 't' && (!private_mode || (final != 'h' && final != 'l'))) {
        printf("the screen does not know this sequence: ESC [ %s%c\n", numbers, final);
        CHECK(0);
    }
}

/* An escape sequence at p: its bytes, or 0 if it is not whole yet. */
static size_t term_escape(term_screen *t, const char *p, size_t len)
{
    char numbers[64];
    size_t n = 2;
    t->escapes++;
    if (len < 2) return 0;
    if (p[1] == '7') {
        t->saved_y = t->y;
        t->saved_x = t->x;
    } else if (p[1] == '8') {
        t->y = t->saved_y;
        t->x = t->saved_x;
        t->full = 0;
    }
    if (p[1] != '[' && p[1] != ']') return 2;
    while (n < len && (p[1] == ']' ? p[n] != '\a' : p[n] < '@')) n++;
    if (n == len) return 0;
    sprintf(numbers, "%.*s", (int)(n - 2 < 60 ? n - 2 : 60), p + 2);
    if (p[1] == ']') strcpy(t->title, numbers);
    else term_control(t, numbers, p[n]);
    return n + 1;
}

/* The first thing in what the client wrote: its bytes, or 0 if it is not whole yet. */
static size_t term_take(term_screen *t, const char *p, size_t len)
{
    uint32_t c = 0;
    int size = ocm_utf8_decode((const uint8_t *)p, len, &c), stop = t->x / 8 * 8 + 8;
    if (*p == '\033') return term_escape(t, p, len);
    if (size == 0 && len < 4) return 0;
    if (!CHECK(size > 0)) return 1;
    if (c >= ' ') term_put(t, p, (size_t)size, c);
    else if (c == '\a') t->bells++;
    else t->full = 0;
    if (c == '\n') term_line_feed(t);
    else if (c == '\r') t->x = 0;
    else if (c == '\b') t->x -= t->x > 0;
    else if (c == '\t') t->x = stop < t->columns ? stop : t->columns - 1;
    return (size_t)size;
}

static void term_follow(term_screen *t)
{
    size_t n = 1;
    while (t->at < t->p->len[RUN_OUT] && n > 0) {
        n = term_take(t, t->p->text[RUN_OUT] + t->at, t->p->len[RUN_OUT] - t->at);
        t->at += n;
    }
}

/* The screen as lines, with a newline before each. One that took several rows is one; the mark, if
   there is one, stands where the cursor is. */
static const char *term_text(term_screen *t, const char *mark)
{
    static char out[TERM_ROWS * TERM_COLUMNS * 8];
    size_t n = 1, end;
    int y, x;
    term_follow(t);
    out[0] = '\n';
    for (y = 0; y < t->rows; y++) {
        for (x = 0, end = n; x < t->columns; x++) {
            const term_cell *cell = &t->cell[y][x];
            if (mark && y == t->y && x == t->x) end = n += (size_t)sprintf(out + n, "%s", mark);
            if (cell->attributes & TERM_HALF) continue;
            n += (size_t)sprintf(out + n, "%s", *cell->text ? cell->text : " ");
            if (*cell->text) end = n;
        }
        if (t->wrapped[y]) continue;
        n = end;
        out[n++] = '\n';
    }
    while (n > 1 && out[n - 2] == '\n' && out[n - 1] == '\n') n--;
    out[n] = 0;
    return out;
}

/* 1 when the text is on the screen, now or in time; with a mark the cursor is looked for, too. */
static int term_shows(term_screen *t, const char *mark, const char *text)
{
    uint64_t until = run_now() + (uint64_t)run_patience;
    while (!strstr(term_text(t, mark), text)) {
        if (run_now() < until && t->p->fd[RUN_OUT] >= 0) {
            run_turn(-1, 20);
            continue;
        }
        printf("expected on the screen: %s\nbut it is:\n%s\n", text, term_text(t, mark));
        return 0;
    }
    return 1;
}

static int term_sees(term_screen *t, const char *text) { return term_shows(t, NULL, text); }

/* The line being edited is exactly this, with | where the cursor is. */
static int term_edits(term_screen *t, const char *text)
{
    char all[600];
    sprintf(all, "\n%s\n", text);
    return term_shows(t, "|", all);
}

/* The first cell of text on the screen, which has to be in one row. */
static const term_cell *term_find(term_screen *t, const char *text)
{
    static const term_cell none;
    int y, x, k;
    term_follow(t);
    for (y = 0; y < t->rows; y++) {
        for (x = 0; x < t->columns; x++) {
            size_t n = 0;
            for (k = x; k < t->columns && n < strlen(text); k++) {
                const char *c = t->cell[y][k].text;
                if (t->cell[y][k].attributes & TERM_HALF) continue;
                if (strncmp(text + n, *c ? c : " ", strlen(*c ? c : " ")) != 0) break;
                n += strlen(*c ? c : " ");
            }
            if (n == strlen(text)) return &t->cell[y][x];
        }
    }
    return &none;
}

static void term_resize(term_screen *t, int rows, int columns)
{
    struct winsize w;
    memset(&w, 0, sizeof w);
    w.ws_row = (unsigned short)(t->rows = rows);
    w.ws_col = (unsigned short)(t->columns = columns);
    if (t->x >= columns) t->x = columns - 1;
    CHECK(ioctl(t->p ? t->p->in : -1, TIOCSWINSZ, &w) == 0);
}

/* Starts a program on a terminal of its own. */
static term_screen *term_start(int rows, int columns, const char *format, ...)
{
    static char line[2000];
    term_screen *t = &term_screens[term_count++ % COUNT(term_screens)];
    int master = posix_openpt(O_RDWR | O_NOCTTY), ours[3];
    struct winsize w;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (master < 0 || grantpt(master) || unlockpt(master)) run_give_up("no terminal");
    fcntl(master, F_SETFD, FD_CLOEXEC);
    memset(&w, 0, sizeof w);
    memset(t, 0, sizeof *t);
    w.ws_row = (unsigned short)(t->rows = rows);
    w.ws_col = (unsigned short)(t->columns = columns);
    CHECK(ioctl(master, TIOCSWINSZ, &w) == 0);
    ours[0] = master;
    ours[1] = run_duplicate(master);
    ours[2] = -1;
    t->p = run_launch(line, ours, ours, ptsname(master));
    return t;
}

/* The window is closed. */
static void term_close(term_screen *t)
{
    run_end_input(t->p);
    close(t->p->fd[RUN_OUT]);
    t->p->fd[RUN_OUT] = -1;
}

/* Steps of a conversation that are about a terminal: 1 if this one was. */
static int term_step(int who, int sign, const char *words)
{
    term_screen *t = term_of[who];
    if (sign == '@') {
        t = term_start(24, atoi(words), "%s", run_with_address(strchr(words, ' ') + 1));
        term_of[who] = t;
        run_cast[who].p = t->p;
        return 1;
    }
    if (!t || t->p != run_cast[who].p) return 0;
    if (sign == '>') run_type(t->p, words);
    else if (sign == '<') CHECK(term_sees(t, words));
    else if (sign == '|') CHECK(term_edits(t, words));
    else if (sign == '~') CHECK(!strstr(term_text(t, NULL), words));
    else if (sign == '.') term_close(t);
    else return 0;
    return 1;
}

/* bob, the host, on a pipe, and alice at a terminal of so many columns. */
static term_screen *term_enter(int columns)
{
    static const char *const bob[] = {"s = -q -r 0", "b = -n bob lobby", NULL};
    static const char *const alice[] = {"a < * joined \"lobby\" as \"alice\"", NULL};
    char step[100];
    run_play(bob);
    sprintf(step, "a @ %d ./client -s ADDR -n alice lobby", columns);
    run_step(step);
    run_play(alice);
    return term_of['a'];
}

/* ---- The client on a terminal: entering, reading, writing ---- */

/* What stands there at first, at a narrow and at a wide window. */
static void test_terminal_enter(void)
{
    static const char *const starts[] = {"a @ 20 ./client -s ADDR -n alice lobby",
                                         "a @ 200 ./client -s ADDR -n alice lobby"};
    static const char *const steps[] = {
        "a < * created \"lobby\" as \"alice\"\n* the room closes when you leave\n", "a | lobby> |",
        "b = -n bob lobby", "a < * bob joined\n", "a > hello wrld\033[D\033[D\033[D",
        "a | lobby> hello w|rld", "b > a line that is longer than one row of a narrow window",
        "a < bob: a line that is longer than one row of a narrow window\n",
        "a | lobby> hello w|rld", "a > o\r", "b < alice: hello world", "a < : hello world\n",
        "a | lobby> |", "a > a longer line than the narrow window, too", NULL};
    static const char *const end[] = {"a > \025\013\004", "a ? 0", "b ? 0", NULL};
    int wide;
    for (wide = 0; wide < 2; wide++) {
        term_screen *t;
        run_step("s = -q");
        run_step(starts[wide]);
        run_play(steps);
        t = term_of['a'];
        CHECK(strstr(t->title, "lobby") != NULL && t->marks == 1);
        if (wide) CHECK(term_edits(t, "lobby> a longer line than the narrow window, too|"));
        else CHECK(term_shows(t, "|", "window, too|\n") && term_sees(t, "\nlobby> "));
        run_type(t->p, "\001\033[F\033[H");
        CHECK(term_shows(t, "|", "\nlobby> |a longer "));
        term_resize(t, 24, 60);
        CHECK(term_edits(t, "lobby> |a longer line than the narrow window, too"));
        run_play(end);
        term_follow(t);
        CHECK(t->marks == 0);
        run_clean();
    }
}

/* A prompt longer than the window leaves room for what is typed. */
static void test_terminal_narrow(void)
{
    term_screen *t;
    run_step("s = -q");
    run_step("a @ 20 ./client -s ADDR -n alice a-room-with-a-name-of-two-rows");
    t = term_of['a'];
    CHECK(term_sees(t, "> "));
    run_type(t->p, "hi");
    CHECK(term_shows(t, "|", "hi|\n"));
    run_type(t->p, " and 日本語 and more");
    CHECK(term_shows(t, "|", "and more|\n"));
    term_resize(t, 24, 5);
    run_type(t->p, "!");
    CHECK(term_shows(t, "|", "!|"));
    run_clean();
}

/* Where the past ends; who says what; who is meant; nothing that a stranger wrote is executed. */
static void test_terminal_reading(void)
{
    static const char *const past[] = {
        "s = -q", "b = -n bob lobby", "c = -n carol lobby", "b > before", "c < bob: before",
        "set NO_COLOR", "a @ 200 ./client -s ADDR -n alice lobby",
        "a < * joined \"lobby\" as \"alice\"\n* earlier in this room:\n",
        "a < \nbob: before\n* since you are here:\n", "a < * 3 members are here\n",
        "b > now", "a < bob: now\n", NULL};
    static const char *const live[] = {
        "c > alice, are you there?", "a < \ncarol: alice, are you there?\n", "a > yes\r",
        "b < alice: yes", "a < alice: yes\n", "b > \xE2\x80\xAEgnp.exe", "a < \\u202egnp.exe\n",
        NULL};
    const term_cell *bob, *carol, *own;
    const char *at;
    term_screen *t;
    run_play(past);
    t = term_of['a'];
    at = strstr(term_text(t, NULL), " bob: now\n"); /* behind the time of day */
    CHECK(at && at[-3] == ':' && at[-6] == '\n' && strspn(at - 5, "0123456789") == 2);
    CHECK(t->bells == 0);
    run_play(live);
    CHECK(t->bells == 1);
    CHECK(term_find(t, "alice, are")->attributes & TERM_BOLD);
    CHECK(!(term_find(t, "are you")->attributes & TERM_BOLD));
    CHECK(term_find(t, "now")->colour == 0);
    bob = term_find(t, "bob: now");
    carol = term_find(t, "carol: alice");
    own = term_find(t, "alice: yes");
    CHECK(bob->colour && carol->colour && bob->colour == term_find(t, "bob: before")->colour);
    CHECK(own->colour != bob->colour || own->attributes != bob->attributes);
    run_clean();
}

/* Keys, and what is said then: a line, or none if what stands in it is expected instead. */
static void test_terminal_keys(void)
{
    static const char *const cases[][2] = {
        {"wrld\033[D\033[D\033[Do\r", "world"}, {"ac\033OD\002b\006\033OC!\r", "bac!"},
        {"bc\033[Ha\033[Fd\r", "abcd"},
        {"c\033OHb\033[1~a\033[7~_\033OFd\033[4~e\033[8~f\r", "_abcdef"},
        {"ello\001h\005!\r", "hello!"}, {"axbc\033[D\033[D\033[D\033[3~\004B\r", "aBc"},
        {"日本語\033[D\177\b二\r", "二語"}, {"a\xCC\x81" "b\033[D\177\r", "b"},
        {"one two\002\002\002\013\r", "one "}, {"one two\002\025\r", "o"},
        {"one two  three\002\027\027T\r", "one Te"},
        {"one two\033b\033bx\033f!\r", "xone! two"},
        {"one two\001\033d\r", " two"}, {"one two\033[1;5D\033[1;5Dx\033[1;5C!\r", "xone! two"},
        {"one two\001\013\031!\r", "one two!"},
        {"日本\xE3\x80\x80語\027x\r", "日本\xE3\x80\x80x"},
        {"漢字ひらがな\027カ\r", "漢字カ"}, {"か\xE3\x82\x99z\177\177ok\r", "ok"},
        {"x👨\xE2\x80\x8D👩\xE2\x80\x8D👧\177y\r", "xy"},
        {"👨\xE2\x80\x8D👩\xE2\x80\x8D👧\033[Da\r", "a👨\xE2\x80\x8D👩\xE2\x80\x8D👧"},
        {"a\tb\r", "ab"}, /* no invisible tab */
        {"1\033[5~\033[1;5Q\033[[A\033OP\033x\033[?1;2c\033[<0;1;1M\0142\r", "12"},
        {"\033[D\033[C\177\013\027\025\033[3~.\r", "."},
        {"<>\002\033[200~a\001\025\033[D\004b\rc\033[201~\177d\r", "<ab>"}, {"", "d"},
        {"one\r", "one"}, {"two\r", "two"}, {"two\r", "two"}, {"draft\033[A\033[A!\r", "one!"},
        {"under\020\020\033[B\016 way\r", "under way"}};
    static const char *const steps[] = {
        "a > lost", "a | lobby> lost|", "a > \003", "a | lobby> |", "a > か\xE3\x82\x99",
        "a | lobby> か\xE3\x82\x99|", "a > \0251👨\xE2\x80\x8D👩\033[D",
        "a | lobby> 1|👨\xE2\x80\x8D👩", "a > \025\013one\ftwo", "a | lobby> onetwo|",
        "a ~ under way", /* ^L has cleared */
        "a > \025bo\t", "a | lobby> bob: |", "a > ask bo\t", "a | lobby> bob: ask bob|",
        "a > \025zz\t\t", "a | lobby> zz|", "a > \025", NULL};
    char step[100];
    int i;
    term_enter(80);
    run_step("b > hi"); /* whoever is heard can be completed */
    run_step("a < bob: hi\n");
    for (i = 0; i < (int)COUNT(cases); i++) {
        run_type(term_of['a']->p, cases[i][0]);
        sprintf(step, "b < alice: %s", cases[i][1]);
        run_step(step);
    }
    run_play(steps);
    for (i = 0; i < 103; i++) {
        sprintf(step, "a > line %d\r", i);
        run_step(step);
    }
    for (i = 0; i < 120; i++) run_step("a > \033[A");
    run_step("a > !\r");
    run_step("b < alice: line 3!"); /* the hundredth, counted from the newest */
    run_clean();
}

/* ---- The client on a terminal: pasting, leaving, being left ---- */

/* Of what is pasted every line is text; more than ten lines are asked about. */
static void test_terminal_paste(void)
{
    static const char *const few[] = {
        "a > \033[200~/leave\r//two\r/who\rlast\033[201~", "b < alice: /leave", "b < alice: //two",
        "b < alice: /who", "a | lobby> last|", "a > \025", NULL};
    static const char *const no[] = {
        "a < 12 lines", "a > n\r", "a > after\r", "b < alice: after", "b ~ many", NULL};
    static const char *const yes[] = {
        "a < 12 lines", "a > y\r", "b < alice: many\nalice: many\nalice: many\nalice: many", NULL};
    int i, k;
    term_enter(80);
    run_play(few);
    for (k = 0; k < 2; k++) {
        run_step("a > \033[200~");
        for (i = 0; i < 12; i++) run_step("a > many\n");
        run_step("a > \033[201~");
        run_play(k ? yes : no);
        run_step("a > \f");
    }
    run_clean();
}

#define TERM_SHELL "a @ 80 sh -c trap~:~INT;./client~-s~ADDR~-n~alice~lobby;echo~END;cat"

/* The shell has read nothing but what was typed to it. */
static void term_shell_clean(void)
{
    const char *end;
    run_step("a < END\n");
    run_step("a > alive\r");
    run_step("a < alive\nalive\n");
    end = strstr(term_text(term_of['a'], NULL), "END\n");
    if (end && !CHECK(strcmp(end, "END\nalive\nalive\n") == 0)) printf("%s", end);
}

/* The session ends by another's doing: why is told, the draft stays to be read, and what is typed
   or pasted goes nowhere until Enter. */
static void test_terminal_ended(void)
{
    static const char *const enter[] = {"s = -q", "b = -n bob lobby", TERM_SHELL, "a < lobby> ",
                                        NULL};
    static const char *const typing[] = {
        "a > half a thou", "a | lobby> half a thou|", "b . 0",
        "a < * You have been disconnected: the host left\n", "a < Enter", "a < half a thou",
        "a > ght, rm -rf\033[200~ping\rls\r\033[201~", "a ~ END\n", "a > \r", NULL};
    static const char *const pasting[] = {
        "a > \033[200~one\rtwo\rthr", "b . 0", "a < disconnected: ",
        "a > ee\rfour\rfive\033[201~", "a < Enter", "a > \r", NULL};
    int i;
    for (i = 0; i < 2; i++) {
        run_play(enter);
        run_play(i ? pasting : typing);
        term_shell_clean();
        run_clean();
    }
}

/* What was typed after a command or a key that ends the client is not the shell's. */
static void test_terminal_leaving(void)
{
    static const char *const keys[] = {"/leave\rping\rls\r", "/leave now\rls\r", "/quit\rls\r",
                                       "\003ls\r", "\004ls\r", "x\003\003ls\r"};
    size_t i;
    run_step("s = -q");
    run_step("b = -n bob lobby");
    for (i = 0; i < COUNT(keys); i++) {
        run_step(TERM_SHELL);
        run_step("a < lobby> ");
        run_type(term_of['a']->p, keys[i]);
        term_shell_clean();
        run_step("b < * alice left");
        run_step("a . ");
    }
    run_step(TERM_SHELL);
    run_step("a < lobby> ");
    run_step("s * STOP");
    run_step("a > /leave\rone\r");
    run_for(100); /* it has read that, and reads no more */
    run_step("a > two\r");
    term_shell_clean();
    run_clean();
}

/* A window that is closed leaves no ghost in the room, nor does a signal; ^Z gives the terminal
   back to the shell as it was, and the line comes back. */
static void test_terminal_signals(void)
{
    static const char *const steps[] = {
        "a . ", "b < * alice left", "c @ 80 ./client -s ADDR -n carol lobby", "c < lobby> ",
        "c * HUP", "b < * carol left",
        "a @ 80 sh -c set~-m;./client~-s~ADDR~-n~alice~lobby;echo~STOPPED;read~word;fg;echo~END",
        "a < lobby> ", "a > half", "a | lobby> half|", "a > \032", "a < \nSTOPPED\n", NULL};
    static const char *const back[] = {
        "b > meanwhile", "a > go\r", "a < bob: meanwhile\n", "a | lobby> half|",
        "a > \033[200~/leave\r\033[201~", "b < alice: half/leave", NULL};
    struct termios mode;
    term_screen *t;
    term_enter(80);
    run_play(steps);
    t = term_of['a'];
    CHECK(t->marks == 0);
    CHECK(tcgetattr(t->p->in, &mode) == 0 && (mode.c_lflag & ICANON) && (mode.c_lflag & ECHO));
    run_play(back);
    CHECK(t->marks == 1);
    run_clean();
}

/* ---- The client on a terminal: asking, commands, troubles ---- */

/* What is asked for, what is asked for again, and what is kept meanwhile. */
static void test_terminal_questions(void)
{
    static const char *const steps[] = {
        "s = -q", "o = -n olga open", "set OCM_PASSWORD secret", "v = -n vera -p -c vault",
        "set OCM_PASSWORD", "set USER usual", "a @ 80 ./client -s ADDR",
        "a < vault (1 member, password)\n", "a < name [usual]: ", "a > system\r",
        "a < cannot be a name", "a > \025\r", "a < room to join or create: ", "a > vault\r",
        "a < room \"vault\" has a password", "a < password: ", "a > secret\r",
        "a < * joined \"vault\" as \"usual\"", "a ~ secret", "v < * usual joined",
        "a < * 2 members are here\n", "a > /who\r", "a < vera (host)\n", "a < usual\n",
        /* a name that is taken, a room that is not there, one that is */
        "b @ 80 ./client -s ADDR -n olga open", "b < taken", "b > \025bob\r",
        "b < * joined \"open\" as \"bob\"", "b . ",
        "c @ 80 ./client -s ADDR -n carol -j lobby", "c < \"lobby\" does not exist",
        "c > \025open\r", "c < * joined \"open\" as \"carol\"", "c . ",
        "d @ 80 ./client -s ADDR -n dora -c open", "d < exists already", "d > \025cellar\r",
        "d < * created \"cellar\" as \"dora\"", "d . ",
        /* a new password: twice the same one, or none */
        "e @ 80 ./client -s ADDR -n eve -p -c safe", "e < password: ", "e > one\r",
        "e < once more: ", "e > two\r", "e < not the same", "e > one\r", "e > one\r",
        "e < * created \"safe\" as \"eve\"", "l - -l", "l < safe\t1\tpassword", "e . ",
        "f @ 80 ./client -s ADDR -n fay -p -c free", "f < password: ", "f > \r",
        "f < open to everybody", "f < * created \"free\" as \"fay\"", NULL};
    run_test(steps);
}

static void test_terminal_commands(void)
{
    static const char *const cases[][2] = {
        {"/help\r", "/who"}, {"/HELP\r", "/leave"}, {"/who \r", "bob (host)\nalice\n"},
        {"/rooms\r", "lobby (2 members)\n"}, {"/nick carol\r", "-n"}, {"/whi\r", "mean /who"},
        {"/lesve\r", "mean /leave"}};
    static const char *const steps[] = {
        "a > /me waves\r//slash\r", "b < * alice joined\nalice: *waves*\nalice: /slash", NULL};
    term_screen *t = term_enter(80);
    char options[40];
    int i;
    for (i = 0; i < (int)COUNT(cases); i++) {
        row = cases[i][0];
        run_type(t->p, "\f"); /* what stood there is gone */
        CHECK(term_edits(t, "lobby> |"));
        run_type(t->p, cases[i][0]);
        CHECK(term_sees(t, cases[i][1]));
    }
    run_play(steps);
    for (i = 0; i < 12; i++) { /* a list longer than the window */
        sprintf(options, "m = -n m room%d", i);
        run_step(options);
    }
    term_resize(t, 8, 80);
    run_step("a > \f/rooms\r");
    run_step("a < more");
    run_clean();
}

/* A server that keeps silent: what was said shows as not confirmed, and nothing blocks. */
static void test_terminal_silence(void)
{
    static const char *const steps[] = {
        "s * STOP", "a > are you there?\r", "a | lobby (1 waiting)> |", "a > /who\r/rooms\r",
        "a > typing goes on", "a | lobby (1 waiting)> typing goes on|", "s * CONT",
        "b < alice: are you there?", "a | lobby> typing goes on|", "s * STOP", "a > \003",
        "a | lobby> |", NULL};
    int i;
    term_enter(80);
    run_play(steps);
    for (i = 0; i < 10 && run_cast['a'].p->pid > 0; i++) {
        run_step("a > \003"); /* leaves, then ends at once */
        run_for(50);          /* two at once may be one */
    }
    run_step("a ? 130");
    run_clean();
}

/* No escape for a terminal that knows none, no colour for anyone whom that disturbs. */
static void test_terminal_plain(void)
{
    static const struct { const char *set; int escapes, coloured; } cases[] = {
        {"set TERM dumb", 0, 0}, {"set TERM", 0, 0}, {"set NO_COLOR 1", 1, 0},
        {"set TERM xterm", 1, 1}};
    static const char *const steps[] = {
        "b > hi", "a < bob: hi\n", "a > hello\r", "b < alice: hello", NULL};
    char term[64];
    size_t i;
    sprintf(term, "%.60s", getenv("TERM") ? getenv("TERM") : "xterm");
    for (i = 0; i < COUNT(cases); i++) {
        term_screen *t;
        setenv("TERM", "xterm", 1);
        setenv("NO_COLOR", "", 1); /* empty is as if it were not set */
        run_step(cases[i].set);
        t = term_enter(80);
        run_play(steps);
        CHECK((t->escapes > 0) == cases[i].escapes);
        CHECK((term_find(t, "bob: hi")->colour != 0) == cases[i].coloured);
        run_clean();
    }
    setenv("TERM", term, 1);
    unsetenv("NO_COLOR");
}

/* A terminal on stdin whose output goes elsewhere still has its commands; and without a server
   nothing is asked for. */
static void test_terminal_others(void)
{
    static const char *const steps[] = {
        "s = -q", "b = -n bob lobby",
        "a @ 80 sh -c ./client~-s~ADDR~-n~alice~lobby~|~cat;echo~END",
        "a < joined \"lobby\" as \"alice\"", "a > hi\r/who\r", "b < alice: hi", "a < bob (host)",
        "a > /leave\r", "a < END\n", "b < * alice left", "b ~ /", NULL};
    static const char *const nobody[] = {
        "a @ 80 ./client -s ADDR", "a < is ./server running there?", "a ~ name", "a ? 1", NULL};
    run_test(steps);
    run_tcp = run_port_of(run_bind(SOCK_STREAM, 0)); /* bound, and nobody listens */
    run_test(nobody);
}

#define TERMINAL_TESTS \
    {"terminal_enter", test_terminal_enter}, {"terminal_narrow", test_terminal_narrow}, \
    {"terminal_reading", test_terminal_reading}, {"terminal_keys", test_terminal_keys}, \
    {"terminal_paste", test_terminal_paste}, {"terminal_ended", test_terminal_ended}, \
    {"terminal_leaving", test_terminal_leaving}, {"terminal_signals", test_terminal_signals}, \
    {"terminal_questions", test_terminal_questions}, \
    {"terminal_commands", test_terminal_commands}, {"terminal_silence", test_terminal_silence}, \
    {"terminal_plain", test_terminal_plain}, {"terminal_others", test_terminal_others},
#else
#define TERMINAL_TESTS /* terminals are tested where there is posix_openpt() */
#endif

/* ---- Benchmark ---- */

/* ./test bench prints one table. Times are those of CPU clocks, and each is told as a ratio to a
   yardstick that was measured in turns with it: such ratios repeat where absolute times do not. The
   members of all rooms share a few sockets of this process, which runs on the same CPU as the
   server: so nobody waits for another CPU to wake up, and neither changes the other's clock. */

#ifdef __linux__
#include <sched.h>

#define BENCH_SOCKETS 16
#define BENCH_MEMBERS 5000 /* of all rooms of a row */
#define BENCH_TURNS 11     /* of which the median is told */
#define BENCH_AT_ONCE 32   /* joins under way */
#define BENCH_SILENT 900   /* connections on which nothing is said */
#define BENCH_DELAYS 20000
#define BENCH_STEPS 90     /* members that join, that speak, that expire */
#define BENCH_ROOM 10      /* members of a room in a registry of a million */
#define BENCH_NO_LIMIT (-1.0)

typedef struct bench_load { /* rooms, and what is said in them */
    char dialect;           /* J JSON, l JSON at level 1, t team A */
    int deaf;               /* 1: a member does not hear itself; at level 1 it does */
    int rooms, size;
    int text;               /* bytes of a message */
    int in_flight;          /* messages said before they are awaited */
    int turn;               /* messages of a turn */
    int per;                /* deliveries of a message, where a delivery is what is told */
    int first;              /* number of the first member; a room's members follow each other */
    int next;               /* the room to speak next, or the member */
    double rate, seconds;   /* messages a second, and for how long, where time is given */
    double share;           /* of a CPU that the server needed then */
    double lost;            /* deliveries that it did not make */
    size_t bytes;           /* of a delivery */
    const run_program *server; /* or the yardstick */
} bench_load;

typedef struct bench_pair { double ours, yard, ratio; } bench_pair; /* yard 0: there is none */

static int bench_socket[BENCH_SOCKETS];
static struct sockaddr_in bench_at[BENCH_SOCKETS];
static char bench_token[BENCH_MEMBERS][OCM_TOKEN_LEN + 1];
static int bench_said[BENCH_MEMBERS]; /* ids of level 1 */
static int bench_members;
static long bench_lost;  /* deliveries that did not come */
static size_t bench_got; /* bytes of the last delivery */
static int bench_missed; /* rows */

/* ---- Benchmark: clocks, CPUs, the table ---- */

/* Leaves no servers behind. */
static void bench_die(const char *why)
{
    printf("%s\n", why);
    run_clean();
    exit(2);
}

static double bench_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* CPU that a process has used, in us. */
static double bench_cpu(pid_t pid)
{
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) != 0) bench_die("the server has ended");
    return bench_us(clock);
}

/* This process and those that it starts from now on; -1: any CPU. 0 when there is no such CPU. As
   batch processes none of them interrupts another by waking up: else the order of the deliveries
   would decide how often the CPU changes hands. */
static int bench_pin(int cpu)
{
    struct sched_param plain = {0};
    cpu_set_t set;
    int i;
    sched_setscheduler(0, SCHED_BATCH, &plain);
    CPU_ZERO(&set);
    for (i = 0; i < 64; i++)
        if (cpu < 0 || i == cpu) CPU_SET((size_t)i, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static int bench_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which that share of all values lies. It sorts them. */
static double bench_quantile(double *values, size_t n, double share)
{
    qsort(values, n, sizeof *values, bench_ascending);
    return values[(size_t)((double)n * share)];
}

/* The ratio is to be at most, or with least at least, the limit. */
static void bench_row(const char *what, bench_pair p, double limit, int least)
{
    char yard[32] = "-", ratio[32] = "-", bound[32] = "-";
    int good = limit < 0 || (least ? p.ratio >= limit : p.ratio <= limit);
    if (p.yard > 0) snprintf(yard, sizeof yard, "%.3f", p.yard);
    if (p.yard > 0) snprintf(ratio, sizeof ratio, "%.3f", p.ratio);
    if (limit >= 0) snprintf(bound, sizeof bound, "%s%.2f", least ? ">=" : "<=", limit);
    good = good && !bench_lost;
    printf("%-62s %10.3f %10s %8s %8s  %s\n", what, p.ours, yard, ratio, bound,
           good ? "ok" : "MISSED");
    if (bench_lost) printf("    %ld deliveries of that row did not come\n", bench_lost);
    fflush(stdout);
    bench_lost = 0;
    bench_missed += !good;
}

/* Two things in turns, of which the second is the yardstick; the first turn of each warms up. */
static bench_pair bench_compare(double (*measure)(bench_load *), bench_load l[2])
{
    double ours[BENCH_TURNS], yard[BENCH_TURNS], ratio[BENCH_TURNS];
    bench_pair p;
    size_t i;
    measure(&l[0]);
    measure(&l[1]);
    for (i = 0; i < BENCH_TURNS; i++) {
        ours[i] = measure(&l[0]);
        yard[i] = measure(&l[1]);
        ratio[i] = ours[i] / yard[i];
    }
    p.ours = bench_quantile(ours, BENCH_TURNS, 0.5);
    p.yard = bench_quantile(yard, BENCH_TURNS, 0.5);
    p.ratio = bench_quantile(ratio, BENCH_TURNS, 0.5);
    return p;
}

/* ---- Benchmark: members ---- */

/* A server for new rooms, and the sockets of the members. A receive buffer holds a fan-out to all
   members of a room: what is lost there is not the server's loss. */
static run_program *bench_open(const char *options)
{
    struct timeval patience = {0, 300000};
    int i, large = 4 << 20;
    for (i = 0; i < BENCH_SOCKETS; i++) {
        int s = bench_socket[i] = run_bind(SOCK_DGRAM, 0);
        bench_at[i] = run_address(run_port_of(s));
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large) != 0)
            setsockopt(s, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
    }
    bench_members = 0;
    memset(bench_said, 0, sizeof bench_said);
    return run_server(options);
}

/* The socket of a member. */
static int bench_of(const bench_load *l, int i)
{
    return (l->first + i) % BENCH_SOCKETS;
}

static const char *bench_room(const bench_load *l, int i)
{
    static char name[32];
    sprintf(name, "b%07d", l->first + i / l->size);
    return name;
}

/* Sends the request of member i. */
static int bench_ask(const bench_load *l, int i)
{
    char payload[128];
    int fd = run_connect(l->server->tcp), op = i % l->size ? OCM_JOIN : OCM_CREATE;
    if (l->dialect == 't') sprintf(payload, "m%07d", l->first + i);
    else sprintf(payload, "{\"username\":\"m%07d\",\"port\":%u%s}", l->first + i,
                 ntohs(bench_at[bench_of(l, i)].sin_port), l->dialect == 'l' ? ",\"ocm\":1" : "");
    run_send_frame(fd, op, l->dialect == 't', bench_room(l, i), payload);
    return fd;
}

/* Reads the answers of member i up to its token, and closes. 0: it is refused, since the room has
   too much to send, and may ask again. */
static int bench_take(const bench_load *l, int fd, int i)
{
    static int refused;
    char answer[1024];
    const char *token = NULL;
    size_t len = 0;
    ssize_t n;
    while (!token && (n = recv(fd, answer + len, sizeof answer - len, 0)) > 0) {
        len += (size_t)n;
        token = (const char *)memmem(answer, len, "token\":\"", 8);
        if (memmem(answer, len, ":503", 4) || memmem(answer, len, ":400", 4)) break;
    }
    close(fd);
    if (token) memcpy(bench_token[l->first + i], token + 8, OCM_TOKEN_LEN);
    if (!token && ++refused == 1000) bench_die("the server takes no more members");
    return token != NULL;
}

/* Member i sends a payload. */
static void bench_send(const bench_load *l, int i, const char *payload)
{
    uint8_t bytes[OCM_DATAGRAM_MAX];
    ocm_view token = view(bench_token[l->first + i], OCM_TOKEN_LEN);
    int len = ocm_datagram_encode(bytes, sizeof bytes, ocm_text(bench_room(l, i)), token,
                                  ocm_text(payload));
    run_send_udp(bench_socket[bench_of(l, i)], l->server->udp, bytes, (size_t)len);
}

static void bench_say(const bench_load *l, int i)
{
    char text[2048], payload[sizeof text + 128];
    int number = l->first + i;
    run_repeat(text, 'x', (size_t)l->text);
    if (l->dialect == 't') strcpy(payload, text);
    if (l->dialect == 'l')
        sprintf(payload, "{\"message\":\"%s\",\"id\":%d}", text, bench_said[number]);
    if (l->dialect == 'J')
        sprintf(payload, "{\"sender\":\"m%07d\",\"message\":\"%s\"}", number, text);
    bench_send(l, i, payload);
}

/* Reads what waits on the sockets; returns the datagrams. In *messages it counts those said in
   JSON: in their texts only x stands, so each { begins an object, and notices are from system. */
static long bench_receive(long *messages)
{
    static const char begin[] = "{\"sender\":\"m";
    static uint8_t bytes[65536];
    long count = 0;
    ssize_t n;
    int i;
    for (i = 0; i < BENCH_SOCKETS; i++)
        while ((n = recv(bench_socket[i], bytes, sizeof bytes, MSG_DONTWAIT)) >= 0) {
            const uint8_t *p = bytes, *end = bytes + n;
            count++;
            while (messages && (p = (const uint8_t *)memchr(p, '{', (size_t)(end - p))) != NULL)
                *messages += memcmp(p++, begin, sizeof begin - 1) == 0;
        }
    return count;
}

/* Some members join at once. Each then sends something: team A's, so that the server knows its
   port, and those of level 1, so that it knows that they are there. */
static void bench_join(const bench_load *l, const int *who, int n)
{
    static const char position[] = "{\"sender\":\"system\",\"operation\":6,\"seq\":1000000}";
    int fd[BENCH_AT_ONCE], i;
    for (i = 0; i < n; i++) fd[i] = bench_ask(l, who[i]);
    for (i = 0; i < n; i++) {
        for (; !bench_take(l, fd[i], who[i]); fd[i] = bench_ask(l, who[i])) usleep(20000);
        if (l->dialect != 'J') bench_send(l, who[i], l->dialect == 't' ? "" : position);
    }
    do usleep(5000); while (bench_receive(NULL) > 0);
}

/* Rooms whose members have all joined: those who create them first. */
static bench_load bench_rooms(const char *dialect, int rooms, int size,
                              const run_program *server)
{
    int who[BENCH_AT_ONCE], pass, i, n = 0;
    bench_load l;
    memset(&l, 0, sizeof l);
    l.dialect = *dialect;
    l.deaf = l.dialect != 'l';
    l.rooms = rooms;
    l.size = size;
    l.text = 64;
    l.in_flight = l.per = 1;
    l.server = server;
    l.first = bench_members;
    bench_members += rooms * size;
    if (bench_members > BENCH_MEMBERS) bench_die("BENCH_MEMBERS is too small");
    for (pass = 0; pass < 2; pass++)
        for (i = 0; i < rooms * size; i++) {
            if ((i % size > 0) == pass) who[n++] = i;
            if (n < BENCH_AT_ONCE && i + 1 < rooms * size) continue;
            bench_join(&l, who, n);
            n = 0;
        }
    do usleep(100000); while (bench_receive(NULL) > 0); /* the notices of the joins */
    return l;
}

/* ---- Benchmark: talk ---- */

/* One datagram for each hearer of the room. */
static void bench_await(const bench_load *l, int room)
{
    static uint8_t bytes[65536];
    int i;
    for (i = room * l->size + l->deaf; i < (room + 1) * l->size; i++) {
        ssize_t n = recv(bench_socket[bench_of(l, i)], bytes, sizeof bytes, 0);
        if (n < 0) bench_lost++;
        else bench_got = (size_t)n;
    }
}

/* So many datagrams, or at level 1 so many messages in them. */
static void bench_gather(const bench_load *l, long expected)
{
    long messages = 0, datagrams = 0, heard = 0;
    int tries;
    for (tries = 0; heard < expected && tries < 5000; tries++) {
        datagrams += bench_receive(&messages);
        heard = l->dialect == 'l' ? messages : datagrams;
        if (heard < expected) usleep(200);
    }
    bench_lost += expected - heard;
}

/* Some messages are said in the next room, and heard there. */
static void bench_round(bench_load *l)
{
    int room = l->next++ % l->rooms, i;
    for (i = 0; i < l->in_flight; i++) {
        bench_said[l->first + room * l->size] += l->dialect == 'l';
        bench_say(l, room * l->size);
    }
    if (l->in_flight == 1) bench_await(l, room);
    else bench_gather(l, (long)l->in_flight * (l->size - l->deaf));
}

/* us of CPU for a delivery, or for a message. */
static double bench_talk(bench_load *l)
{
    double before;
    int i;
    bench_receive(NULL);
    before = bench_cpu(l->server->pid);
    for (i = 0; i < l->turn; i += l->in_flight) bench_round(l);
    return (bench_cpu(l->server->pid) - before) / i / l->per;
}

/* What any server must do: read a datagram, send as many bytes to as many sockets. */
static void bench_relay(int fd, const bench_load *l)
{
    static uint8_t bytes[65536];
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        int i;
        if (recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len) < 0) continue;
        for (i = 1; i < l->size; i++)
            sendto(fd, bytes, l->bytes, 0, (struct sockaddr *)&bench_at[bench_of(l, i)],
                   sizeof from);
    }
}

/* Starts the yardstick for l[0], which becomes l[1]: one room with as many hearers, and deliveries
   as long as those of the server, of which one is heard before. It ends with the programs. */
static void bench_yardstick(bench_load l[2])
{
    run_program *p = &run_programs[run_count++];
    int fd = run_bind(SOCK_DGRAM, 0), in_flight = l->in_flight;
    l->in_flight = 1;
    bench_round(l);
    l->in_flight = in_flight;
    l[1] = l[0];
    l[1].dialect = 'J';
    l[1].rooms = 1;
    l[1].size += !l->deaf;
    l[1].deaf = 1;
    l[1].bytes = bench_got;
    l[1].server = p;
    memset(p, 0, sizeof *p);
    p->in = p->fd[0] = p->fd[1] = -1;
    p->udp = run_port_of(fd);
    fflush(stdout);
    p->pid = fork();
    if (p->pid < 0) bench_die("no process for the yardstick");
    if (p->pid == 0) bench_relay(fd, &l[1]);
    run_close(fd);
}

static void bench_relays(void)
{
    static const struct {
        const char *what;
        int rooms, size, text, in_flight, turn;
        double limit;
    } rows[] = {
        {"us per delivery, room of 100", 1, 100, 64, 1, 60, 1.05},
        {"us per delivery, room of 1000", 1, 1000, 64, 1, 10, 1.05},
        {"us per delivery, room of 100, 1 KiB of text", 1, 100, 1024, 1, 60, 1.06},
        {"us per message, room of two", 1, 2, 64, 1, 4000, 1.20},
        {"us per message, 2000 rooms of two in turn", 2000, 2, 64, 1, 4000, 1.25},
        {"us per delivery, room of 100, 64 in flight", 1, 100, 64, 64, 512, 0.06}};
    static const char *const dialects[] = {"JSON", "level 1", "team A"};
    char what[100];
    size_t i, k;
    for (i = 0; i < COUNT(rows); i++)
        for (k = 0; k < COUNT(dialects); k++) {
            bench_load l[2];
            if (rows[i].in_flight > 1 && k != 1) continue; /* only level 1 puts them together */
            l[0] = bench_rooms(dialects[k], rows[i].rooms, rows[i].size,
                               bench_open("-q -r 0 -R 2000"));
            l[0].text = rows[i].text;
            l[0].in_flight = rows[i].in_flight;
            l[0].turn = rows[i].turn;
            if (l[0].size > 2) l[0].per = l[0].size - l[0].deaf;
            bench_yardstick(l);
            snprintf(what, sizeof what, "%s, %s", rows[i].what, dialects[k]);
            bench_row(what, bench_compare(bench_talk, l), rows[i].limit, 0);
            run_clean();
        }
}

/* us from saying something to the last member that hears it. */
static void bench_latency(const char *dialect)
{
    static double delay[2][BENCH_DELAYS];
    bench_load l[2];
    bench_pair p;
    char what[100];
    size_t i;
    l[0] = bench_rooms(dialect, 1, 2, bench_open("-q -r 0"));
    bench_yardstick(l);
    for (i = 0; i < 2 * BENCH_DELAYS; i++) {
        double before = bench_us(CLOCK_MONOTONIC);
        bench_round(&l[i % 2]);
        delay[i % 2][i / 2] = bench_us(CLOCK_MONOTONIC) - before;
    }
    for (i = 0; i < 2; i++) {
        p.ours = bench_quantile(delay[0], BENCH_DELAYS, i ? 0.999 : 0.5);
        p.yard = bench_quantile(delay[1], BENCH_DELAYS, i ? 0.999 : 0.5);
        p.ratio = p.ours / p.yard;
        snprintf(what, sizeof what, "us until heard, room of two, %s, %s", dialect,
                 i ? "99.9th percentile" : "median");
        bench_row(what, p, i ? 3 : BENCH_NO_LIMIT, 0);
    }
    run_clean();
}

/* Two servers; one of them holds connections on which nothing is ever said. */
static void bench_silent(void)
{
    static int fd[BENCH_SILENT];
    bench_load l[2];
    int i;
    l[0] = bench_rooms("level 1", 1, 2, bench_open("-q -r 0"));
    l[1] = bench_rooms("level 1", 1, 2, run_server("-q -r 0"));
    l[0].turn = l[1].turn = 4000;
    for (i = 0; i < BENCH_SILENT; i++) fd[i] = run_connect(l[0].server->tcp);
    usleep(100000);
    bench_row("us per message, room of two, level 1, 900 silent connections",
              bench_compare(bench_talk, l), 1.5, 0);
    for (i = 0; i < BENCH_SILENT; i++) close(fd[i]);
    run_clean();
}

/* ---- Benchmark: load ---- */

/* Datagrams that the system threw away at our sockets because a buffer was full. */
static double bench_dropped(void)
{
    uint32_t about[9] = {0}; /* the last: SK_MEMINFO_DROPS */
    double drops = 0;
    int i;
    for (i = 0; i < BENCH_SOCKETS; i++) {
        socklen_t len = sizeof about;
        getsockopt(bench_socket[i], SOL_SOCKET, SO_MEMINFO, about, &len);
        drops += about[8];
    }
    return drops;
}

/* All members speak in turn; returns deliveries a second. What found our buffers full was delivered
   all the same. */
static double bench_pour(bench_load *l)
{
    double cpu = bench_cpu(l->server->pid), here = bench_dropped(), at = 0;
    double start = bench_us(CLOCK_MONOTONIC);
    long said = 0, heard = 0, burst;
    while (at < l->seconds * 1e6) {
        at = bench_us(CLOCK_MONOTONIC) - start;
        for (burst = 0; burst < 64 && (double)said < at * l->rate / 1e6; burst++, said++) {
            bench_say(l, l->next);
            l->next = (l->next + 1) % (l->rooms * l->size);
        }
        bench_receive(&heard);
        if (burst < 64 || l->rate < 1e5) usleep(500);
    }
    l->share = (bench_cpu(l->server->pid) - cpu) / at;
    do usleep(100000); while (bench_receive(&heard) > 0);
    here = (double)heard + bench_dropped() - here;
    l->lost = (double)said * (l->size - l->deaf) - here;
    return here / at * 1e6;
}

/* 500 rooms of 10, each member with two messages a second; then as many as the server can carry,
   and four times that. */
static void bench_loads(void)
{
    bench_load l[2];
    bench_pair lost = {0, 0, 0};
    l[0] = bench_rooms("JSON", 500, 10, bench_open("-q -r 0"));
    l[0].rate = 10000;
    l[0].seconds = 10;
    bench_pour(l);
    lost.ours = lost.ratio = l[0].lost;
    bench_row("deliveries lost, 500 rooms of 10, 10000 messages/s", lost, 0, 0);
    if (bench_pin(1)) {
        l[0].seconds = 0.5;
        l[1] = l[0];
        l[1].rate /= l[0].share;
        l[0].rate = 4 * l[1].rate;
        bench_row("deliveries/s, rooms of 10, at four times what the server carries",
                  bench_compare(bench_pour, l), 0.8, 1);
    } else printf("four times what the server carries: skipped, this takes two CPUs\n");
    bench_pin(0);
    run_clean();
}

/* ---- Benchmark: a registry of a million members ---- */

/* A registry with so many members in rooms of ten. Then 90 members join, 90 speak, 90 expire, each
   in another room. */
static struct {
    ocm_registry *registry;
    ocm_conn *conn;
    ocm_addr from; /* all members have one address, of loopback: so they have no limits */
    uint64_t now;
    char token[BENCH_STEPS][OCM_TOKEN_LEN]; /* of the hosts that speak */
} bench_crowd;

static void bench_crowd_drain(void)
{
    ocm_event ev;
    while (ocm_registry_next(bench_crowd.registry, bench_crowd.now, &ev)) {}
}

/* Member i of a room asks, is answered, and hangs up. Member 0 creates the room. */
static void bench_crowd_enter(uint32_t room, uint32_t i)
{
    uint8_t bytes[256];
    char payload[64], name[16];
    ocm_io io;
    sprintf(payload, "{\"username\":\"m%02u\"}", (unsigned)i);
    sprintf(name, "r%06u", (unsigned)room);
    ocm_conn_open(bench_crowd.conn, &bench_crowd.from, bench_crowd.now);
    ocm_conn_received(bench_crowd.conn, bytes,
                      run_make_frame(bytes, i ? OCM_JOIN : OCM_CREATE, 0, name, payload,
                                     strlen(payload)), bench_crowd.now);
    ocm_conn_next(bench_crowd.conn, bench_crowd.registry, bench_crowd.now, &io);
    CHECK(io.status == (i ? 200 : 201) && io.send.len > OCM_TOKEN_LEN + 2);
    if (i == 0 && room < BENCH_STEPS) /* it ends with TOKEN"} */
        memcpy(bench_crowd.token[room], io.send.ptr + io.send.len - OCM_TOKEN_LEN - 2,
               OCM_TOKEN_LEN);
    ocm_conn_sent(bench_crowd.conn, io.send.len);
    ocm_conn_close(bench_crowd.conn, bench_crowd.registry, bench_crowd.now);
    bench_crowd_drain();
}

/* The hosts of the first rooms say something. */
static void bench_crowd_say(const char *payload)
{
    uint8_t bytes[256];
    char name[16];
    uint32_t room;
    for (room = 0; room < BENCH_STEPS; room++) {
        int len;
        sprintf(name, "r%06u", (unsigned)room);
        len = ocm_datagram_encode(bytes, sizeof bytes, ocm_text(name),
                                  view(bench_crowd.token[room], OCM_TOKEN_LEN),
                                  ocm_text(payload));
        CHECK(ocm_registry_datagram(bench_crowd.registry, bytes, (size_t)len,
                                    &bench_crowd.from, bench_crowd.now) == 1);
        bench_crowd_drain();
    }
}

/* Hosts and those that are to expire enter at 5 s, all others at 20 s, when the hosts speak. */
static void bench_crowd_open(uint32_t members)
{
    const uint8_t zeros[32] = {0};
    uint32_t room, i;
    ocm_limits limits;
    memset(&limits, 0, sizeof limits);
    limits.members = members + BENCH_STEPS;
    limits.rooms = members / BENCH_ROOM;
    limits.log = 65536; /* full with few members, too */
    bench_crowd.registry = ocm_registry_init(allocate(ocm_registry_size(&limits)), &limits, zeros);
    bench_crowd.conn = (ocm_conn *)allocate(sizeof *bench_crowd.conn);
    bench_crowd.from.ip[15] = 1;
    bench_crowd.from.port = 4000;
    bench_crowd.now = 5000;
    for (room = 0; room < BENCH_STEPS; room++)
        for (i = 0; i < 2; i++) bench_crowd_enter(room, i);
    bench_crowd.now = 20000;
    bench_crowd_say("");
    for (room = 0; room < limits.rooms; room++)
        for (i = room < BENCH_STEPS ? 2 : 0; i < BENCH_ROOM; i++) bench_crowd_enter(room, i);
    bench_crowd.now = 25000; /* no room is to be probed any more */
    bench_crowd_drain();
}

/* The same work, whatever the number of rooms. */
static void bench_step(int step)
{
    uint32_t room;
    if (step == 0)
        for (room = 0; room < BENCH_STEPS; room++) bench_crowd_enter(room, BENCH_ROOM);
    if (step == 1) bench_crowd_say("{\"sender\":\"m\",\"message\":\"hi\"}");
    if (step == 2) bench_crowd.now = 310000;
    bench_crowd_drain();
}

/* What callgrind runs. */
static int bench_registry_alone(const char *members)
{
    static void (*const volatile step)(int) = bench_step; /* so that it keeps its name */
    const ocm_counts *counts;
    uint32_t count = (uint32_t)strtoul(members, NULL, 10);
    int i;
    bench_crowd_open(count);
    counts = ocm_registry_counts(bench_crowd.registry);
    for (i = 0; i < 3; i++) step(i);
    CHECK(counts->members == count);
    CHECK(counts->messages == BENCH_STEPS);
    return broken > 0;
}

/* Instructions for one member in callgrind's dump of that number; the last dump has none. */
static double bench_dump(const char *dir, const char *members, int number)
{
    char name[100], line[256];
    double total = 0;
    FILE *f;
    snprintf(name, sizeof name, number < 4 ? "%s/%s.%d" : "%s/%s", dir, members, number);
    f = fopen(name, "r");
    while (f && fgets(line, sizeof line, f)) sscanf(line, "totals: %lf", &total);
    if (f) fclose(f);
    CHECK(total > 0);
    return total / BENCH_STEPS;
}

/* It dumps before each step: the number of a dump tells what was done before it. The million takes
   a few minutes. */
static void bench_instructions(void)
{
    static const char *const names[] = {"join", "message to ten", "expiry"};
    static const char *const members[] = {"1000000", "1000"};
    char dir[] = "/tmp/ocm-bench-XXXXXX", what[100];
    run_program *p[2];
    bench_pair pair;
    int i, k;
    if (run_ended(run_start("valgrind --version")) != 0 || !mkdtemp(dir)) {
        printf("instructions: skipped, valgrind is not installed or /tmp is not writable\n");
        return;
    }
    bench_pin(-1);
    for (i = 0; i < 2; i++)
        p[i] = run_start("valgrind --tool=callgrind --callgrind-out-file=%s/%s "
                         "--dump-before=bench_step ./test bench-registry %s", dir, members[i],
                         members[i]);
    while (p[0]->pid || p[1]->pid) run_turn(-1, 100);
    CHECK(p[0]->status == 0 && p[1]->status == 0);
    for (k = 0; k < 3; k++) {
        pair.ours = bench_dump(dir, members[0], k + 2);
        pair.yard = bench_dump(dir, members[1], k + 2);
        pair.ratio = pair.ours / pair.yard;
        snprintf(what, sizeof what, "instructions per %s, 1e6 members against 1e3", names[k]);
        bench_row(what, pair, 1.15, 0);
    }
    run_ended(run_start("rm -r %s", dir));
}

static int bench(void)
{
    struct rlimit files = {4096, 4096};
    ocm_limits many = {100000, 1000000, 0, 0, 0, 0, 0, 0}, one = {1, 1, 0, 0, 0, 0, 0, 0};
    bench_pair size = {0, 0, 0};
    setrlimit(RLIMIT_NOFILE, &files);
    bench_pin(0);
    printf("%-62s %10s %10s %8s %8s\n", "", "ours", "yardstick", "ratio", "limit");
    bench_relays();
    bench_latency("JSON");
    bench_latency("level 1");
    bench_silent();
    bench_loads();
    size.ours = size.ratio = (double)(ocm_registry_size(&many) - ocm_registry_size(&one)) / 1e6;
    bench_row("bytes of memory per member, 1e6 in 1e5 rooms, log apart", size, 560, 0);
    bench_instructions();
    run_clean();
    printf("%d rows missed their limits\n", bench_missed);
    return broken > 0 || bench_missed > 0;
}

#else
static int bench_registry_alone(const char *members) { return *members != 0; }
static int bench(void)
{
    printf("the benchmark needs Linux: its CPU clocks, and CPUs to be chosen\n");
    return 0;
}
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
    if (argc > 1 && strcmp(argv[1], "bench") == 0) return bench();
    if (argc > 2 && strcmp(argv[1], "bench-registry") == 0) return bench_registry_alone(argv[2]);
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

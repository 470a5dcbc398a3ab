/* test.c - every test of OCM. Build and run: cc -o test test.c && ./test
   ./test NAME [SEED] runs the tests whose name contains NAME, those with dice with other dice.
   ./test demo shows a conversation; ./test table measures what "Nothing lost" in README.md tells;
   ./test bench compares the server's speed with a bare loop's.
   What is expected here comes from the protocol, not from what ocm.h happens to do. */

#define _GNU_SOURCE /* the benchmark pins its processes */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#define OCM_IMPLEMENTATION
#include "ocm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Checking ---- */

static int broken;            /* CHECKs that failed in the test that runs */
static const char *row = "";  /* the case at hand, where a test goes through a table */
static unsigned long seed = 1; /* of the storm */

static int check(int ok, int line, const char *what)
{
    if (!ok && ++broken <= 10) printf("%s:%d: %s%s%s\n", __FILE__, line, what, *row ? "   case: " : "", row);
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

static const char *repeat(char *out, char c, size_t n)
{
    memset(out, c, n);
    out[n] = 0;
    return out;
}

/* ---- 1. Text ---- */

static void test_utf8(void)
{
    static const struct { const char *hex; int len; uint32_t c; } cases[] = {
        {"00", 1, 0}, {"7f", 1, 0x7F}, {"c280", 2, 0x80}, {"dfbf", 2, 0x7FF}, {"e0a080", 3, 0x800},
        {"ed9fbf", 3, 0xD7FF}, {"ee8080", 3, 0xE000}, {"efbfbf", 3, 0xFFFF}, {"f0908080", 4, 0x10000},
        {"f48fbfbf", 4, 0x10FFFF}, {"4180", 1, 'A'},
        {"", 0, 0}, {"80", 0, 0}, {"bf", 0, 0}, {"fe", 0, 0}, {"ff", 0, 0},            /* no first byte */
        {"c0af", 0, 0}, {"c1bf", 0, 0}, {"e08080", 0, 0}, {"e09fbf", 0, 0},            /* overlong */
        {"f0808080", 0, 0}, {"f08fbfbf", 0, 0}, {"f888808080", 0, 0},
        {"eda080", 0, 0}, {"edbfbf", 0, 0},                                            /* surrogates */
        {"f4908080", 0, 0}, {"f5808080", 0, 0},                                        /* above U+10FFFF */
        {"c2", 0, 0}, {"e0a0", 0, 0}, {"e2", 0, 0}, {"f09080", 0, 0}, {"f090", 0, 0},  /* cut off */
        {"c27f", 0, 0}, {"c2c0", 0, 0}, {"e28228", 0, 0}, {"f0908028", 0, 0}, {"f0289080", 0, 0}};
    uint8_t bytes[8], *p;
    size_t i, len;
    for (i = 0; i < COUNT(cases); i++) {
        uint32_t c = 0;
        row = cases[i].hex;
        len = unhex(row, bytes);
        p = copy(bytes, len);
        CHECK(ocm_utf8_decode(p, len, &c) == cases[i].len);
        CHECK(cases[i].len == 0 || c == cases[i].c);
        free(p);
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
        {"", 0, 0}, {"a", 1, 1}, {" ", 1, 1}, {"a b", 1, 1}, {"\xC3\xA9", 1, 1}, {"\xF0\x9F\x98\x80", 1, 1},
        {"{", 1, 1}, {"\"\\", 1, 1}, {"system", 1, 0}, {"System", 1, 1}, {"systems", 1, 1}, {"syste", 1, 1},
        {"a: b", 1, 0}, {": ", 1, 0}, {"a:b", 1, 1}, {"a:", 1, 1}, {"a :b", 1, 1},
        {"a\tb", 0, 0}, {"a\nb", 0, 0}, {"\x01", 0, 0}, {"\x1F", 0, 0}, {"\x7F", 0, 0},
        {"\xC2\x80", 0, 0}, {"\xC2\x9F", 0, 0}, {"\xC2\xA0", 1, 1},
        {"\xE2\x80\xA7", 1, 1}, {"\xE2\x80\xA8", 0, 0}, {"\xE2\x80\xA9", 0, 0},        /* U+2027 to U+202F */
        {"\xE2\x80\xAA", 0, 0}, {"\xE2\x80\xAE", 0, 0}, {"\xE2\x80\xAF", 1, 1},
        {"\xE2\x81\xA5", 1, 1}, {"\xE2\x81\xA6", 0, 0}, {"\xE2\x81\xA9", 0, 0}, {"\xE2\x81\xAA", 1, 1}, /* U+2065 to U+206A */
        {"\xC0\xAF", 0, 0}, {"\xED\xA0\x80", 0, 0}, {"\xF4\x90\x80\x80", 0, 0}, {"a\xC3", 0, 0}, {"\xFF", 0, 0}};
    char longest[300];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].text;
        CHECK(valid(ocm_room_valid, row, strlen(row)) == cases[i].room);
        CHECK(valid(ocm_name_valid, row, strlen(row)) == cases[i].name);
    }
    row = "";
    repeat(longest, 'a', 256);
    CHECK(valid(ocm_room_valid, longest, 255) && valid(ocm_name_valid, longest, 255));
    CHECK(!valid(ocm_room_valid, longest, 256) && !valid(ocm_name_valid, longest, 256));
    CHECK(!valid(ocm_room_valid, "a\0b", 3) && !valid(ocm_name_valid, "a\0b", 3));
}

static void test_message_text(void)
{
    static const struct { const char *text; int good; } cases[] = {
        {"", 1}, {"hi", 1}, {"a\tb", 1}, {"a: b", 1}, {"\xC2\xA0", 1}, {"\xE2\x80\xA8", 1}, {"\xE2\x80\xAE", 1},
        {"\xF4\x8F\xBF\xBF", 1}, {"a\nb", 0}, {"\r", 0}, {"\x1B[2J", 0}, {"\x1F", 0}, {"\x7F", 0}, {"\xC2\x80", 0},
        {"\xC2\x9F", 0}, {"\xFF", 0}, {"\xC0\x80", 0}, {"\xED\xA0\x80", 0}, {"\xF4\x90\x80\x80", 0}, {"a\xE2\x82", 0}};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].text;
        CHECK(valid(ocm_message_valid, row, strlen(row)) == cases[i].good);
    }
    row = "";
    CHECK(!valid(ocm_message_valid, "a\0b", 3));
}

static void test_speech_len(void)
{
    static const struct { const char *room, *name, *text; size_t len; } cases[] = {
        {"r", "n", "t", 3}, {"room", "name", "", 8}, {"\"\\", "n", "t", 4}, {"r", "\"", "t", 4}, {"r", "\\", "t", 4},
        {"r", "n", "\"\\\t", 8}, {"r", "n", "/", 3}, {"r", "\xC3\xA9", "\xE2\x82\xAC", 6}};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].text;
        CHECK(ocm_speech_len(ocm_text(cases[i].room), ocm_text(cases[i].name), ocm_text(cases[i].text)) == cases[i].len);
    }
}

static ocm_addr address(const char *hex, uint32_t scope, uint16_t port)
{
    ocm_addr a;
    memset(&a, 0, sizeof a);
    unhex(hex, a.ip);
    a.scope = scope;
    a.port = port;
    return a;
}

static void test_same_host(void)
{
    static const struct { const char *a, *b; uint32_t scope_a, scope_b; int same; } cases[] = {
        {"00000000000000000000ffff0a000001", "00000000000000000000ffff0a000001", 0, 0, 1},
        {"00000000000000000000ffff0a000001", "00000000000000000000ffff0a000002", 0, 0, 0},
        {"00000000000000000000ffff7f000001", "00000000000000000000ffff7f000001", 0, 0, 1},
        {"00000000000000000000ffff7f000001", "00000000000000000000ffff7fffffff", 0, 0, 1},
        {"00000000000000000000ffff7f000001", "00000000000000000000000000000001", 0, 0, 1},
        {"00000000000000000000000000000001", "00000000000000000000ffff7f010203", 0, 0, 1},
        {"00000000000000000000ffff7e000001", "00000000000000000000ffff7f000001", 0, 0, 0},
        {"00000000000000000000ffff80000001", "00000000000000000000000000000001", 0, 0, 0},
        {"0000000000000000000000007f000001", "00000000000000000000ffff7f000001", 0, 0, 0}, /* not mapped */
        {"00000000000000000000000000000000", "00000000000000000000000000000001", 0, 0, 0},
        {"20010db8000000000000000000000001", "20010db8000000000000000000000001", 1, 2, 1}, /* no scope to mind */
        {"fe800000000000000000000000000001", "fe800000000000000000000000000001", 1, 1, 1},
        {"fe800000000000000000000000000001", "fe800000000000000000000000000001", 1, 2, 0},
        {"febf0000000000000000000000000001", "febf0000000000000000000000000001", 1, 2, 0},
        {"fec00000000000000000000000000001", "fec00000000000000000000000000001", 1, 2, 1},
        {"fe800000000000000000000000000001", "fe800000000000000000000000000002", 1, 1, 0}};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        ocm_addr a = address(cases[i].a, cases[i].scope_a, 1), b = address(cases[i].b, cases[i].scope_b, 2);
        row = cases[i].b;
        CHECK(ocm_same_host(&a, &b) == cases[i].same);
        CHECK(ocm_same_host(&b, &a) == cases[i].same);
    }
}

/* ---- 2. JSON ---- */

static int inside(ocm_view v, const uint8_t *p, size_t len)
{
    return v.len <= len && v.ptr >= p && v.ptr + v.len <= p + len;
}

/* One text of a decoded thing lies in what was decoded or in the scratch memory. */
static int borrowed(ocm_view v, const uint8_t *p, const uint8_t *scratch, size_t len)
{
    return v.len == 0 || inside(v, p, len) || inside(v, scratch, len);
}

/* 1 or OCM_E_BAD; the texts are copied to out, so that it may look at them afterwards. */
static int read_message(const uint8_t *json, size_t len, ocm_message *m, char *out)
{
    uint8_t *p = copy(json, len), *scratch = (uint8_t *)allocate(len);
    int result = ocm_message_decode(view(p, len), scratch, m);
    if (result == 1) {
        CHECK(borrowed(m->sender, p, scratch, len) && borrowed(m->username, p, scratch, len));
        CHECK(borrowed(m->text, p, scratch, len));
        sprintf(out, "%.*s|%.*s|%.*s", (int)m->sender.len, m->sender.len ? (const char *)m->sender.ptr : "",
                (int)m->username.len, m->username.len ? (const char *)m->username.ptr : "", (int)m->text.len,
                m->text.len ? (const char *)m->text.ptr : "");
    }
    free(p);
    free(scratch);
    return result;
}

static int json_good(const char *json, size_t len)
{
    char out[8192];
    ocm_message m;
    int result = read_message((const uint8_t *)json, len, &m, out);
    return result == 1 ? 1 : result == OCM_E_BAD ? 0 : -1;
}

static void test_json_accepts(void)
{
    static const char *const cases[] = {
        "{}", " { } ", "\t\r\n{\t\r\n}\t\r\n", "{\"message\":\"hi\"}", "{ \"message\" : \"hi\" , \"seq\" : 1 }",
        "{\"a\":null,\"b\":true,\"c\":false}", "{\"a\":[]}", "{\"a\":{}}", "{\"a\":[ ]}", "{\"a\":{ }}", "{\"\":1}",
        "{\"a\":[0,-0,1,-1,1.0,0.5,1e3,1E3,1e+3,1e-3,-0.0e1,1.5E+10]}", "{\"a\":123456789012345678901234567890}",
        "{\"a\":1e999}", "{\"a\":{\"b\":[{\"c\":\"d\"},[[]]]}}", "{\"a\":1,\"a\":\"x\"}",
        "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u00E9\\u0000\"}", "{\"a\":\"\\uD83D\\uDE00\"}", "{\"a\":\"\\uDBFF\\uDFFF\"}",
        "{\"a\":\"\x7F\"}", "{\"\xC3\xA9\":\"\xF0\x9F\x98\x80\"}", "{\"seq\":9007199254740991}", "{\"seq\":1}",
        "{\"\\u0061\":[\"\\ud83d\\ude00\"]}"};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i];
        CHECK(json_good(row, strlen(row)) == 1);
    }
}

static void test_json_refuses(void)
{
    static const char *const cases[] = {
        "", " ", "[]", "\"x\"", "null", "1", "{", "}", "{}}", "{}x", "{}{}", "{},", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
        "{,\"a\":1}", "{\"a\":1 \"b\":2}", "{\"a\" 1}", "{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{\"a\":1", "{\"a\":[1}",
        "{\"a\":[}", "{\"a\":[1,]}", "{\"a\":[,1]}", "{\"a\":[1 2]}", "{\"a\":{]}", "{\"a\":{\"b\"}}", "{\"a\":{b:1}}",
        "{\"a\":{\"b\":1,}}", "{\"a\":1]", "{\"a\":01}", "{\"a\":-}", "{\"a\":-01}", "{\"a\":00}", "{\"a\":+1}", "{\"a\":.5}",
        "{\"a\":1.}", "{\"a\":1.e3}", "{\"a\":1e}", "{\"a\":1e+}", "{\"a\":0x1}", "{\"a\":NaN}", "{\"a\":Infinity}",
        "{\"a\":-Infinity}", "{\"a\":tru}", "{\"a\":True}", "{\"a\":nul}", "{\"a\":truex}", "{\"a\":nullnull}", "{\"a\":x}",
        "{\"a\":\"\\x\"}", "{\"a\":\"\\'\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12G4\"}", "{\"a\":\"\\U0041\"}", "{\"a\":\"\\",
        "{\"a\":\"\\u", "{\"a\":\"\\u0041", "{\"a\":\"\\\"}", "{\"a\":\"", "{\"a", "{\"a\":\"b}",
        "{\"a\":\"\\uD800\"}", "{\"a\":\"\\uDC00\"}", "{\"a\":\"\\uDFFF\"}", "{\"a\":\"\\uDC00\\uDC00\"}",
        "{\"a\":\"\\uD800xuDC00\"}", "{\"a\":\"\\uD800\\nDC00\"}", "{\"a\":\"\\uD800abDC00\"}", "{\"a\":\"\\uD800\\uD800\"}", "{\"a\":\"\\uD800x\"}",
        "{\"a\":\"\\uD800\\n\"}", "{\"a\":\"\\uD800\\u0041\"}", "{\"a\":\"\\uDE00\\uD83D\"}", "{\"\\uD800\":1}", "{\"a\":\"\\uD800\\",
        "{\"a\":\"\n\"}", "{\"a\":\"\t\"}", "{\"a\":\"\x1F\"}", "{\"a\nb\":1}", "{\"a\":\"\xFF\"}", "{\"\xFF\":1}",
        "{\"a\":\"\xC0\x80\"}", "{\"a\":\"\xED\xA0\x80\"}", "{\"a\":\"\xF4\x90\x80\x80\"}", "{\"a\":\"\xC3\"}", "\xEF\xBB\xBF{}",
        "{/**/}", "{}//", "{\f}", "{\v}", "{\xC2\xA0}",
        "{\"message\":1}", "{\"message\":null}", "{\"message\":[\"a\"]}", "{\"sender\":true}", "{\"username\":{}}",
        "{\"message\":1,\"message\":\"a\"}", "{\"message\":\"a\",\"message\":1}", "{\"seq\":\"1\"}", "{\"seq\":null}", "{\"id\":true}",
        "{\"seq\":1.0}", "{\"seq\":1e3}", "{\"seq\":-1}", "{\"seq\":01}", "{\"seq\":9007199254740992}",
        "{\"operation\":18446744073709551617}", "{\"first\":99999999999999999999999}", "{\"count\":[]}", "{\"seq\":}", "{\"seq\":"};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i];
        CHECK(json_good(row, strlen(row)) == 0);
    }
    row = "";
    CHECK(json_good("{}\0", 3) == 0);
    CHECK(json_good("{\"a\":\"\0\"}", 9) == 0);
    CHECK(json_good("{\"a\":\"\\\0\"}", 10) == 0);
    CHECK(json_good("{\"a\":\0}", 7) == 0);
}

/* An unknown key whose value is `depth` levels deep. */
static int json_depth(int depth, const char *open, const char *close)
{
    char json[1024] = "{\"a\":";
    int i;
    for (i = 0; i < depth - 1; i++) strcat(json, open);
    strcat(json, "[]");
    for (i = 0; i < depth - 1; i++) strcat(json, close);
    strcat(json, "}");
    return json_good(json, strlen(json));
}

static void test_json_depth(void)
{
    CHECK(json_depth(32, "[", "]") == 1);
    CHECK(json_depth(33, "[", "]") == 0);
    CHECK(json_depth(32, "{\"b\":", "}") == 1);
    CHECK(json_depth(33, "{\"b\":", "}") == 0);
    CHECK(json_depth(100, "[", "]") == 0);
}

static void test_json_values(void)
{
    static const struct { const char *json, *texts; } cases[] = {
        {"{\"sender\":\"alice\",\"message\":\"hi\"}", "alice||hi"},
        {"{\"message\":\"a\",\"message\":\"b\"}", "||b"},
        {"{\"message\":\"\\u0061\",\"sender\":\"\\u0062\",\"message\":\"\\u0063\"}", "b||c"},
        {"{\"message\":\"\\\"\\\\\\/\\t\"}", "||\"\\/\t"},
        {"{\"message\":\"\\b\\f\\n\\r\"}", "||\b\f\n\r"},
        {"{\"message\":\"\\u00e9\\u20AC\\uD83D\\uDE00\\uDBFF\\uDFFF\"}", "||\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF"},
        {"{\"message\":\"\\u007F\\u0080\\u07FF\\u0800\\uFFFF\\uD800\\uDC00\"}",
         "||\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80"},
        {"{\"\\u006dessage\":\"x\",\"us\\u0065rname\":\"y\"}", "|y|x"},
        {"{\"message\":\"\",\"Message\":\"x\",\"messages\":\"x\"}", "||"}};
    char out[256];
    ocm_message m;
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].json;
        CHECK(read_message((const uint8_t *)row, strlen(row), &m, out) == 1);
        CHECK(strcmp(out, cases[i].texts) == 0);
    }
    row = "{\"operation\":6,\"seq\":18,\"first\":4,\"id\":9007199254740991,\"count\":3,\"seq\":20}";
    CHECK(read_message((const uint8_t *)row, strlen(row), &m, out) == 1);
    CHECK(m.operation == 6 && m.seq == 20 && m.first == 4 && m.id == OCM_INTEGER_MAX && m.count == 3);
    CHECK(m.has == (OCM_HAS_OPERATION | OCM_HAS_SEQ | OCM_HAS_FIRST | OCM_HAS_ID | OCM_HAS_COUNT));
}

/* Published with the algorithm: key 00 01 .. 0f, input 00 01 02 .. of each length. */
static void test_siphash(void)
{
    static const struct { size_t len; uint64_t hash; } cases[] = {
        {0, 0x726fdb47dd0e0e31u}, {1, 0x74f839c593dc67fdu}, {7, 0xab0200f58b01d137u}, {8, 0x93f5f5799a932462u},
        {9, 0x9e0082df0ba9e4b0u}, {15, 0xa129ca6149be45e5u}, {16, 0x3f2acc7f57c29bdbu}, {63, 0x958a324ceb064572u}};
    uint8_t key[16], input[64], *p;
    size_t i;
    for (i = 0; i < 16; i++) key[i] = (uint8_t)i;
    for (i = 0; i < 64; i++) input[i] = (uint8_t)i;
    for (i = 0; i < COUNT(cases); i++) {
        p = copy(input, cases[i].len);
        CHECK(ocmi_hash(key, view(p, cases[i].len)) == cases[i].hash);
        free(p);
    }
}

/* ---- 3. Wire ---- */

#define ZERO25 "00000000000000000000000000000000000000000000000000"

static void test_frame_vectors(void)
{
    static const struct { const char *hex; int op, state; const char *room, *payload; } cases[] = {
        {"050100" ZERO25 "00000005" "6c6f626279" "616c696365", 1, 0, "lobby", "alice"},
        {"000300" ZERO25 "00000002" "7b7d", 3, 0, "", "{}"},
        {"000201" ZERO25 "00000001" "c8", 2, 1, "", "\xC8"},
        {"010202" ZERO25 "00000000" "61", 2, 2, "a", ""},
        {"00ffff" ZERO25 "00000000", 255, 255, "", ""}};
    uint8_t bytes[128], out[128], *p;
    ocm_frame f;
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        int len = (int)unhex(row = cases[i].hex, bytes);
        p = copy(bytes, (size_t)len);
        CHECK(ocm_frame_decode(p, (size_t)len, OCM_PAYLOAD_MAX, &f) == len);
        CHECK(f.op == cases[i].op && f.state == cases[i].state);
        CHECK(is(f.room, cases[i].room) && is(f.payload, cases[i].payload));
        CHECK(ocm_frame_encode(out, sizeof out, cases[i].op, cases[i].state, ocm_text(cases[i].room),
                               ocm_text(cases[i].payload)) == len);
        CHECK(memcmp(out, bytes, (size_t)len) == 0);
        free(p);
    }
}

static void test_frame_lengths(void)
{
    static const struct { const char *length; int small, list; } cases[] = { /* 29 bytes; the result at each limit */
        {ZERO25 "00001000", 0, 0}, {ZERO25 "00001001", OCM_E_LARGE, 0}, {ZERO25 "00010000", OCM_E_LARGE, 0},
        {ZERO25 "00010001", OCM_E_LARGE, OCM_E_LARGE}, {ZERO25 "20000000", OCM_E_LARGE, OCM_E_LARGE},
        {ZERO25 "ffffffff", OCM_E_LARGE, OCM_E_LARGE},
        {"0000000000000000000000000000000000000000" "010000000000000001", OCM_E_LARGE, OCM_E_LARGE},
        {"01000000000000000000000000000000000000000000000000" "00000001", OCM_E_LARGE, OCM_E_LARGE},
        {"ffffffffffffffffffffffffffffffffffffffffffffffffff" "ffffffff", OCM_E_LARGE, OCM_E_LARGE}};
    uint8_t header[OCM_HEADER_LEN] = {0, 2, 0}, *p;
    ocm_frame f;
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        unhex(row = cases[i].length, header + 3);
        p = copy(header, sizeof header);
        CHECK(ocm_frame_decode(p, sizeof header, OCM_PAYLOAD_MAX, &f) == cases[i].small);
        CHECK(ocm_frame_decode(p, sizeof header, OCM_LIST_MAX, &f) == cases[i].list);
        CHECK(ocm_frame_decode(p, sizeof header - 1, OCM_PAYLOAD_MAX, &f) == 0);
        CHECK(f.op == 2 && f.state == 0);
        free(p);
    }
}

/* A whole frame is taken and what follows it is left. */
static void test_frame_pipelined(void)
{
    uint8_t bytes[2 * OCM_FRAME_MAX], *p;
    static char payload[OCM_PAYLOAD_MAX + 1], room[OCM_NAME_MAX + 1];
    ocm_frame f;
    int first, second;
    repeat(payload, 'p', OCM_PAYLOAD_MAX);
    repeat(room, 'r', OCM_NAME_MAX);
    first = ocm_frame_encode(bytes, sizeof bytes, 1, 0, ocm_text(room), ocm_text(payload));
    second = ocm_frame_encode(bytes + first, sizeof bytes - (size_t)first, 2, 1, ocm_text("b"), ocm_text("x"));
    CHECK(first == OCM_FRAME_MAX && second == OCM_HEADER_LEN + 2);
    p = copy(bytes, (size_t)(first + second));
    CHECK(ocm_frame_decode(p, (size_t)(first + second), OCM_PAYLOAD_MAX, &f) == first);
    CHECK(is(f.room, room) && is(f.payload, payload));
    CHECK(ocm_frame_decode(p + first, (size_t)second, OCM_PAYLOAD_MAX, &f) == second);
    CHECK(is(f.room, "b") && is(f.payload, "x"));
    free(p);
}

static void test_datagram_vectors(void)
{
    static const struct { const char *hex, *room, *token, *payload; } cases[] = {
        {"0504" "6c6f626279" "30313233" "6869", "lobby", "0123", "hi"}, {"0000", "", "", ""}, {"000078", "", "", "x"},
        {"010061", "a", "", ""}, {"000161", "", "a", ""}};
    static const char *const bad[] = {"", "00", "0001", "0100", "010161", "ff00", "00ff61", "ffff6162"};
    uint8_t bytes[64], out[64], *p;
    ocm_datagram d;
    size_t i, n;
    for (i = 0; i < COUNT(cases); i++) {
        int len = (int)unhex(row = cases[i].hex, bytes);
        p = copy(bytes, (size_t)len);
        memset(&d, 0, sizeof d);
        CHECK(ocm_datagram_decode(p, (size_t)len, &d) == len);
        CHECK(is(d.room, cases[i].room) && is(d.token, cases[i].token) && is(d.payload, cases[i].payload));
        CHECK(ocm_datagram_encode(out, sizeof out, ocm_text(cases[i].room), ocm_text(cases[i].token),
                                  ocm_text(cases[i].payload)) == len);
        CHECK(memcmp(out, bytes, (size_t)len) == 0);
        free(p);
    }
    for (i = 0; i < COUNT(bad); i++) {
        n = unhex(row = bad[i], bytes);
        p = copy(bytes, n);
        CHECK(ocm_datagram_decode(p, n, &d) == OCM_E_BAD);
        free(p);
    }
}

/* No datagram of more than 4096 bytes is ever made, whatever memory there is. */
static void test_datagram_limit(void)
{
    static uint8_t out[2 * OCM_DATAGRAM_MAX];
    static char text[OCM_DATAGRAM_MAX + 1];
    ocm_view token = ocm_text("0123456789abcdef0123456789abcdef");
    repeat(text, 'x', OCM_DATAGRAM_MAX - 2 - 5 - 32);
    CHECK(ocm_datagram_encode(out, sizeof out, ocm_text("lobby"), token, ocm_text(text)) == OCM_DATAGRAM_MAX);
    repeat(text, 'x', OCM_DATAGRAM_MAX - 2 - 5 - 31);
    CHECK(ocm_datagram_encode(out, sizeof out, ocm_text("lobby"), token, ocm_text(text)) == OCM_E_SPACE);
}

/* 3990 bytes of room name, user name and text fit the largest datagram even with the largest numbers. */
static void test_speech_fits(void)
{
    static uint8_t json[OCM_DATAGRAM_MAX], out[OCM_DATAGRAM_MAX];
    static char text[OCM_SPEECH_MAX + 1];
    ocm_message m;
    int len;
    memset(&m, 0, sizeof m);
    m.has = OCM_HAS_SENDER | OCM_HAS_TEXT | OCM_HAS_SEQ | OCM_HAS_ID;
    m.sender = ocm_text("\"");
    m.text = ocm_text(repeat(text, '\\', (OCM_SPEECH_MAX - 4) / 2));
    m.seq = m.id = OCM_INTEGER_MAX;
    CHECK(ocm_speech_len(ocm_text("ro"), m.sender, m.text) == OCM_SPEECH_MAX);
    len = ocm_message_encode(json, sizeof json, &m);
    CHECK(len > 0);
    json[len++] = '\n'; /* a level-1 member's object ends with a newline */
    CHECK(ocm_datagram_encode(out, sizeof out, ocm_text("ro"), ocm_text("0123456789abcdef0123456789abcdef"),
                              view(json, (size_t)len)) > 0);
}

static ocm_message message(const char *sender, const char *text, unsigned more)
{
    ocm_message m;
    memset(&m, 0, sizeof m);
    m.has = more;
    if (sender) m.has |= OCM_HAS_SENDER, m.sender = ocm_text(sender);
    if (text) m.has |= OCM_HAS_TEXT, m.text = ocm_text(text);
    return m;
}

static void encodes(ocm_message m, const char *json)
{
    uint8_t out[512];
    char texts[512], expected[512];
    ocm_message back;
    row = json;
    CHECK(is(view(out, (size_t)ocm_message_encode(out, sizeof out, &m)), json));
    CHECK(read_message((const uint8_t *)json, strlen(json), &back, texts) == 1);
    sprintf(expected, "%.*s|%.*s|%.*s", (int)m.sender.len, (const char *)m.sender.ptr, (int)m.username.len,
            (const char *)m.username.ptr, (int)m.text.len, (const char *)m.text.ptr);
    CHECK(strcmp(texts, expected) == 0);
    CHECK(back.has == m.has && back.seq == m.seq && back.id == m.id);
    CHECK(back.operation == m.operation && back.first == m.first && back.count == m.count);
}

static void test_message_vectors(void)
{
    ocm_message m = message("alice", "hi", OCM_HAS_SEQ);
    m.seq = 17;
    encodes(m, "{\"sender\":\"alice\",\"message\":\"hi\",\"seq\":17}");
    m = message(NULL, "hi", OCM_HAS_ID);
    m.id = 1;
    encodes(m, "{\"message\":\"hi\",\"id\":1}");
    m = message("system", NULL, OCM_HAS_OPERATION | OCM_HAS_SEQ | OCM_HAS_COUNT);
    m.operation = 6, m.seq = 18, m.count = 3;
    encodes(m, "{\"sender\":\"system\",\"operation\":6,\"seq\":18,\"count\":3}");
    m = message("system", NULL, OCM_HAS_OPERATION | OCM_HAS_SEQ | OCM_HAS_FIRST | OCM_HAS_ID);
    m.operation = 6, m.seq = OCM_INTEGER_MAX, m.first = 4, m.id = 1;
    encodes(m, "{\"sender\":\"system\",\"operation\":6,\"seq\":9007199254740991,\"first\":4,\"id\":1}");
    m = message("system", "alice left", OCM_HAS_OPERATION | OCM_HAS_USERNAME);
    m.operation = 2, m.username = ocm_text("alice");
    encodes(m, "{\"sender\":\"system\",\"operation\":2,\"username\":\"alice\",\"message\":\"alice left\"}");
    encodes(message(NULL, "\"\\\t/\xC3\xA9\x7F", 0), "{\"message\":\"\\\"\\\\\\t/\xC3\xA9\x7F\"}");
    encodes(message(NULL, NULL, 0), "{}");
}

static ocm_frame frame(int op, int state, const char *room, const char *payload)
{
    ocm_frame f;
    f.op = op;
    f.state = state;
    f.room = ocm_text(room);
    f.payload = ocm_text(payload);
    return f;
}

static void test_request_forms(void)
{
    static const struct { int op, state; const char *room, *payload; int result, form; } cases[] = {
        {1, 0, "r", "{\"username\":\"a\"}", 1, OCM_FORM_JSON}, {2, 2, "r", "{\"username\":\"a\"}", 1, OCM_FORM_JSON},
        {3, 0, "", "{}", 1, OCM_FORM_JSON}, {3, 0, "r", "{\"x\":[1]}", 1, OCM_FORM_JSON}, {3, 2, "", "{}", 1, OCM_FORM_JSON},
        {1, 0, "r", "a", 1, OCM_FORM_TEXT}, {2, 0, "r", " {", 1, OCM_FORM_TEXT}, {2, 0, "r", "[]", 1, OCM_FORM_TEXT},
        {1, 1, "r", "a", 1, OCM_FORM_SEED_A}, {2, 2, "r", "a", 1, OCM_FORM_SEED_A}, {1, 1, "r", "{}", 1, OCM_FORM_SEED_A},
        {1, 0, "r", "", OCM_E_BAD, OCM_FORM_TEXT}, {1, 1, "r", "", OCM_E_BAD, OCM_FORM_SEED_A},
        {1, 0, "", "a", OCM_E_BAD, OCM_FORM_TEXT}, {1, 0, "a\n", "a", OCM_E_BAD, OCM_FORM_TEXT},
        {1, 0, "r", "a: b", OCM_E_BAD, OCM_FORM_TEXT}, {1, 1, "r", "system", OCM_E_BAD, OCM_FORM_SEED_A},
        {3, 0, "", "a", OCM_E_BAD, OCM_FORM_TEXT}, {3, 1, "", "{}", OCM_E_BAD, OCM_FORM_SEED_A},
        {3, 0, "a\n", "{}", OCM_E_BAD, OCM_FORM_JSON}, {3, 0, "", "{", OCM_E_BAD, OCM_FORM_JSON},
        {0, 0, "r", "a", OCM_E_BAD, OCM_FORM_TEXT}, {4, 0, "r", "a", OCM_E_BAD, OCM_FORM_TEXT},
        {255, 0, "r", "{\"username\":\"a\"}", OCM_E_BAD, OCM_FORM_JSON}, {1, 3, "r", "{\"username\":\"a\"}", OCM_E_BAD, OCM_FORM_JSON},
        {1, 3, "r", "a", OCM_E_BAD, OCM_FORM_SEED_A}, {1, 255, "r", "a", OCM_E_BAD, OCM_FORM_SEED_A}};
    uint8_t scratch[64];
    ocm_request q;
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        ocm_frame f = frame(cases[i].op, cases[i].state, cases[i].room, row = cases[i].payload);
        CHECK(ocm_request_decode(&f, scratch, &q) == cases[i].result);
        CHECK(q.op == cases[i].op && q.form == cases[i].form);
        CHECK(cases[i].result < 0 || q.form == OCM_FORM_JSON || is(q.name, row));
    }
}

static int request_good(const char *json)
{
    ocm_frame f = frame(OCM_JOIN, 0, "r", json);
    uint8_t scratch[OCM_PAYLOAD_MAX];
    ocm_request q;
    row = json;
    return ocm_request_decode(&f, scratch, &q) == 1;
}

static void test_request_json(void)
{
    static const char *const good[] = {
        "{\"username\":\"a\"}", "{\"username\":\"a\",\"port\":1024}", "{\"username\":\"a\",\"port\":65535}",
        "{\"username\":\"a\",\"password\":\"\"}", "{\"username\":\"a\",\"x\":[[{}]],\"ip\":\"anything\"}",
        "{\"username\":\"\",\"username\":\"a\"}", "{\"username\":\"a\",\"ocm\":1,\"token\":\"\"}",
        "{\"username\":\"a\",\"port\":1,\"port\":2000}", "{\"username\":\"\\u00e9\"}"};
    static const char *const bad[] = {
        "{}", "{\"username\":\"\"}", "{\"username\":1}", "{\"username\":null}", "{\"username\":\"a\",\"port\":1023}",
        "{\"username\":\"a\",\"port\":65536}", "{\"username\":\"a\",\"port\":0}", "{\"username\":\"a\",\"port\":\"2000\"}",
        "{\"username\":\"a\",\"port\":2000.0}", "{\"username\":\"a\",\"port\":-2000}", "{\"username\":\"a\",\"password\":1}",
        "{\"username\":\"a\",\"password\":null}", "{\"username\":\"a\",\"ip\":1}", "{\"username\":\"a\",\"token\":1}",
        "{\"username\":\"a\",\"ocm\":\"1\"}", "{\"username\":\"a\",\"ocm\":1.5}", "{\"username\":\"a\",\"username\":\"\"}",
        "{\"username\":\"a\"}x", "{\"username\":\"a", "{\"username\":\"\\u0000\"}", "{\"username\":\"a\\n\"}",
        "{\"username\":\"\\uD800\"}", "{\"username\":\"system\"}", "{\"username\":\"a: b\"}", "{username:\"a\"}"};
    char json[512], word[300];
    size_t i;
    for (i = 0; i < COUNT(good); i++) CHECK(request_good(good[i]));
    for (i = 0; i < COUNT(bad); i++) CHECK(!request_good(bad[i]));
    sprintf(json, "{\"username\":\"a\",\"password\":\"%s\"}", repeat(word, 'p', 255));
    CHECK(request_good(json));
    sprintf(json, "{\"username\":\"a\",\"password\":\"%s\"}", repeat(word, 'p', 256));
    CHECK(!request_good(json));
}

static ocm_request request_of(int form)
{
    ocm_request q;
    memset(&q, 0, sizeof q);
    q.op = OCM_JOIN;
    q.form = form;
    q.room = ocm_text("lobby");
    q.name = ocm_text("al\"ice");
    if (form != OCM_FORM_JSON) return q;
    q.password = ocm_text("pass\\word\x01\x1F"); /* any string */
    q.token = ocm_text("0123");
    q.ip = ocm_text("10.0.0.1");
    q.port = 4000;
    q.level = 1;
    return q;
}

/* What our client asks, our server reads back. */
static void test_request_round_trip(void)
{
    static const int state[] = {0, 0, 1}; /* by form */
    uint8_t out[512], scratch[512];
    ocm_request q, back;
    ocm_frame f;
    int form, len;
    for (form = OCM_FORM_JSON; form <= OCM_FORM_SEED_A; form++) {
        q = request_of(form);
        len = ocm_request_encode(out, sizeof out, &q);
        CHECK(ocm_frame_decode(out, (size_t)len, OCM_PAYLOAD_MAX, &f) == len);
        CHECK(f.state == state[form] && f.op == OCM_JOIN && is(f.room, "lobby"));
        CHECK(form == OCM_FORM_JSON || is(f.payload, "al\"ice"));
        CHECK(ocm_request_decode(&f, scratch, &back) == 1);
        CHECK(back.form == form && ocm_view_equal(back.name, q.name) && ocm_view_equal(back.password, q.password));
        CHECK(ocm_view_equal(back.token, q.token) && back.port == q.port && back.level == q.level);
        CHECK(ocm_view_equal(back.ip, q.ip));
    }
    q = request_of(OCM_FORM_JSON);
    q.op = OCM_LIST;
    q.name.len = q.password.len = q.token.len = q.ip.len = q.room.len = 0;
    q.port = q.level = 0;
    len = ocm_request_encode(out, sizeof out, &q);
    CHECK(len == OCM_HEADER_LEN + 2 && memcmp(out + OCM_HEADER_LEN, "{}", 2) == 0);
}

static void test_outcomes_read(void)
{
    static const struct { const char *payload; int result, status; const char *token, *why; uint64_t level, idle, seq; } cases[] = {
        {"{\"status\":201,\"message\":\"ok\",\"token\":\"abc\"}", 1, 201, "abc", "ok", 0, 0, 0},
        {"{\"status\":200,\"message\":\"\\u006fk\",\"token\":\"\\u0061bc\",\"ocm\":1,\"idle\":300,\"seq\":17}", 1, 200, "abc", "ok", 1, 300, 17},
        {"{\"status\":200,\"message\":\"\\u0061aaaaaaaaa\",\"message\":\"\\u0062b\",\"token\":\"\\u0063ccccccccccccccc\"}", 1, 200,
         "cccccccccccccccc", "bb", 0, 0, 0},
        {"{\"status\":404,\"message\":\"no such room\"}", 1, 404, "", "no such room", 0, 0, 0},
        {"{\"status\":401,\"message\":\"no\",\"token\":null}", 1, 401, "", "no", 0, 0, 0},
        {"{\"status_code\":200,\"user_token\":\"abc\"}", 1, 200, "abc", "", 0, 0, 0},
        {"{\"status_code\":404,\"user_token\":null}", 1, 404, "", "", 0, 0, 0},
        {"{\"\\u0073\\u0074\\u0061\\u0074\\u0075\\u0073\\u005f\\u0063\\u006f\\u0064\\u0065\":404}", 1, 404, "", "", 0, 0, 0},
        {"0123456789abcdef0123456789abcdef", 1, 200, "0123456789abcdef0123456789abcdef", "", 0, 0, 0},
        {"x", 1, 200, "x", "", 0, 0, 0}, {"{\"status\":200,\"token\":\"x\"}", 1, 200, "x", "", 0, 0, 0}, {"error: ", 1, 400, "", "", 0, 0, 0},
        {"error: no such room", 1, 400, "", "no such room", 0, 0, 0},
        {"", OCM_E_BAD, 0, "", "", 0, 0, 0}, {"{}", OCM_E_BAD, 0, "", "", 0, 0, 0}, {"{\"status\":200", OCM_E_BAD, 0, "", "", 0, 0, 0},
        {"{\"status\":200,\"message\":\"ok\"}", OCM_E_BAD, 0, "", "", 0, 0, 0},
        {"{\"status\":\"200\",\"token\":\"a\"}", OCM_E_BAD, 0, "", "", 0, 0, 0},
        {"{\"status\":200,\"token\":null}", OCM_E_BAD, 0, "", "", 0, 0, 0}};
    uint8_t scratch[256];
    ocm_outcome o;
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        ocm_frame f = frame(OCM_JOIN, OCM_STATE_DONE, "", row = cases[i].payload);
        CHECK(ocm_outcome_decode(&f, scratch, &o) == cases[i].result);
        if (cases[i].result < 0) continue;
        CHECK(o.status == cases[i].status && is(o.token, cases[i].token) && is(o.why, cases[i].why));
        CHECK(o.level == cases[i].level && o.idle == cases[i].idle && o.seq == cases[i].seq);
    }
}

/* The format allows a token of 255 bytes. */
static void test_outcome_token_len(void)
{
    char token[300], json[400];
    uint8_t scratch[400];
    size_t len;
    for (len = 254; len <= 256; len++) {
        ocm_outcome o;
        ocm_frame f = frame(OCM_JOIN, OCM_STATE_DONE, "", repeat(token, 't', len));
        CHECK(ocm_outcome_decode(&f, scratch, &o) == (len <= 255 ? 1 : OCM_E_BAD));
        sprintf(json, "{\"status\":200,\"token\":\"%s\"}", token);
        f = frame(OCM_JOIN, OCM_STATE_DONE, "", json);
        CHECK(ocm_outcome_decode(&f, scratch, &o) == (len <= 255 ? 1 : OCM_E_BAD));
    }
}

static void test_list_lines_read(void)
{
    static const struct { const char *json; int result; const char *room, *username; uint64_t size; int password, host, more; } cases[] = {
        {"{\"room\":\"lobby\",\"size\":2,\"password_required\":false}", 1, "lobby", "", 2, 0, 0, 0},
        {"{\"room\":\"l\\u00f6\",\"size\":1,\"password_required\":true}", 1, "l\xC3\xB6", "", 1, 1, 0, 0},
        {"{\"username\":\"alice\",\"host\":true}", 1, "", "alice", 0, 0, 1, 0},
        {"{\"username\":\"bob\",\"host\":false,\"x\":null}", 1, "", "bob", 0, 0, 0, 0}, {"{\"more\":true}", 1, "", "", 0, 0, 0, 1},
        {"{\"\\u0070\\u0061\\u0073\\u0073\\u0077\\u006f\\u0072\\u0064\\u005f\\u0072\\u0065\\u0071\\u0075\\u0069\\u0072\\u0065\\u0064\":true}",
         1, "", "", 0, 1, 0, 0},
        {"{\"host\":1}", OCM_E_BAD, "", "", 0, 0, 0, 0}, {"{\"host\":null}", OCM_E_BAD, "", "", 0, 0, 0, 0},
        {"{\"more\":tru}", OCM_E_BAD, "", "", 0, 0, 0, 0}, {"", OCM_E_BAD, "", "", 0, 0, 0, 0}};
    uint8_t scratch[256];
    ocm_listed l;
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        CHECK(ocm_listed_decode(ocm_text(row = cases[i].json), scratch, &l) == cases[i].result);
        if (cases[i].result < 0) continue;
        CHECK(is(l.room, cases[i].room) && is(l.username, cases[i].username) && l.size == cases[i].size);
        CHECK(l.password == cases[i].password && l.host == cases[i].host && l.more == cases[i].more);
    }
}

/* Every decoder behind one face: bytes of exactly their size in, > 0, 0 or an error out. */
static int take_frame(const uint8_t *p, size_t len)
{
    ocm_frame f;
    int n = ocm_frame_decode(p, len, OCM_PAYLOAD_MAX, &f);
    if (n > 0) CHECK(inside(f.room, p, len) && inside(f.payload, p, len));
    return n;
}

static int take_datagram(const uint8_t *p, size_t len)
{
    ocm_datagram d;
    int n = ocm_datagram_decode(p, len, &d);
    if (n > 0) CHECK(inside(d.room, p, len) && inside(d.token, p, len) && inside(d.payload, p, len));
    return n;
}

static int take_message(const uint8_t *p, size_t len)
{
    char out[1024];
    ocm_message m;
    return read_message(p, len, &m, out);
}

static int take_listed(const uint8_t *p, size_t len)
{
    uint8_t *scratch = (uint8_t *)allocate(len);
    ocm_listed l;
    int n = ocm_listed_decode(view(p, len), scratch, &l);
    if (n > 0) CHECK(borrowed(l.room, p, scratch, len) && borrowed(l.username, p, scratch, len));
    free(scratch);
    return n;
}

static int take_request(const uint8_t *p, size_t len)
{
    uint8_t *scratch;
    ocm_request q;
    ocm_frame f;
    int n = ocm_frame_decode(p, len, OCM_PAYLOAD_MAX, &f);
    if (n <= 0) return n;
    scratch = (uint8_t *)allocate(f.payload.len);
    if (ocm_request_decode(&f, scratch, &q) > 0) {
        CHECK(borrowed(q.name, f.payload.ptr, scratch, f.payload.len));
        CHECK(borrowed(q.password, f.payload.ptr, scratch, f.payload.len));
        CHECK(borrowed(q.token, f.payload.ptr, scratch, f.payload.len));
    }
    free(scratch);
    return n;
}

static int take_outcome(const uint8_t *p, size_t len)
{
    uint8_t *scratch;
    ocm_outcome o;
    ocm_frame f;
    int n = ocm_frame_decode(p, len, OCM_PAYLOAD_MAX, &f);
    if (n <= 0) return n;
    scratch = (uint8_t *)allocate(f.payload.len);
    if (ocm_outcome_decode(&f, scratch, &o) > 0) {
        CHECK(borrowed(o.why, f.payload.ptr, scratch, f.payload.len));
        CHECK(borrowed(o.token, f.payload.ptr, scratch, f.payload.len));
    }
    free(scratch);
    return n;
}

typedef int (*taker)(const uint8_t *p, size_t len);

typedef struct sample {
    taker take;
    const char *room, *rest; /* room NULL: rest is all of it; else a frame, or a datagram with this room */
    int prefix;              /* result of every strict prefix */
} sample;

static const sample samples[] = {
    {take_frame, "lobby", "alice", 0},
    {take_request, "lobby", "{\"username\":\"al\\u00efce\",\"password\":\"\\\"\",\"port\":4000,\"ocm\":1,\"token\":\"\\u0031\"}", 0},
    {take_request, "", "{\"a\":[{\"b\":-1.5e3},null]}", 0},
    {take_outcome, "", "{\"status\":201,\"message\":\"\\u006f\\ud83d\\ude00\",\"token\":\"\\u0061b\",\"seq\":17}", 0},
    {take_outcome, "lobby", "error: no", 0},
    {take_message, NULL, "{\"sender\":\"al\\u00efce\",\"message\":\"\\ud83d\\ude00\xC3\xA9\\n\",\"seq\":17,\"id\":12}", OCM_E_BAD},
    {take_message, NULL, "{\"a\":[true,{\"b\":[0.5e-3,\"\\\\\"]}],\"operation\":6}", OCM_E_BAD},
    {take_listed, NULL, "{\"room\":\"l\\u00f6\",\"size\":2,\"password_required\":true}", OCM_E_BAD},
    {take_listed, NULL, "{\"username\":\"b\",\"host\":false,\"more\":true}", OCM_E_BAD},
    {take_datagram, "lobby", "{\"message\":\"hi\"}", OCM_E_BAD}};

static size_t sample_bytes(const sample *s, uint8_t *out)
{
    if (s->room == NULL) {
        memcpy(out, s->rest, strlen(s->rest));
        return strlen(s->rest);
    }
    if (s->take == take_datagram)
        return (size_t)ocm_datagram_encode(out, 512, ocm_text(s->room), ocm_text("0123"), ocm_text(s->rest));
    return (size_t)ocm_frame_encode(out, 512, OCM_JOIN, 0, ocm_text(s->room), ocm_text(s->rest));
}

static void test_every_prefix(void)
{
    uint8_t bytes[512], *p;
    size_t i, len, n;
    for (i = 0; i < COUNT(samples); i++) {
        const sample *s = &samples[i];
        size_t head = s->take == take_datagram ? 2 + strlen(s->room) + 4 : 0;
        len = sample_bytes(s, bytes);
        row = s->rest;
        for (n = 0; n <= len; n++) {
            int expected = n == len ? (s->room ? (int)len : 1) : head && n >= head ? (int)n : s->prefix;
            p = copy(bytes, n);
            CHECK(s->take(p, n) == expected);
            free(p);
        }
    }
}

static void test_every_bit_flip(void)
{
    uint8_t bytes[512], *p;
    size_t i, len, bit;
    for (i = 0; i < COUNT(samples); i++) {
        len = sample_bytes(&samples[i], bytes);
        row = samples[i].rest;
        for (bit = 0; bit < 8 * len; bit++) {
            p = copy(bytes, len);
            p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CHECK(samples[i].take(p, len) <= (int)len);
            free(p);
        }
    }
}

static int make_frame(uint8_t *out, size_t cap)
{
    return ocm_frame_encode(out, cap, OCM_JOIN, 0, ocm_text("lobby"), ocm_text("alice"));
}

static int make_datagram(uint8_t *out, size_t cap)
{
    return ocm_datagram_encode(out, cap, ocm_text("lobby"), ocm_text("0123"), ocm_text("hi"));
}

static int make_message(uint8_t *out, size_t cap)
{
    ocm_message m = message("al\"ice", "a\tb", OCM_HAS_SEQ | OCM_HAS_ID);
    m.seq = OCM_INTEGER_MAX;
    return ocm_message_encode(out, cap, &m);
}

static int make_request(uint8_t *out, size_t cap)
{
    ocm_request q = request_of(OCM_FORM_JSON);
    return ocm_request_encode(out, cap, &q);
}

static int make_text_request(uint8_t *out, size_t cap)
{
    ocm_request q = request_of(OCM_FORM_TEXT);
    return ocm_request_encode(out, cap, &q);
}

static void test_encoders_need_space(void)
{
    static int (*const makers[])(uint8_t *, size_t) = {make_frame, make_datagram, make_message, make_request, make_text_request};
    uint8_t whole[512], *p;
    size_t i, cap, k;
    for (i = 0; i < COUNT(makers); i++) {
        size_t len = (size_t)makers[i](whole, sizeof whole);
        CHECK(len > 0 && len < sizeof whole);
        for (cap = 0; cap <= len; cap++) {
            p = (uint8_t *)allocate(cap + 16);
            memset(p, 0xA5, cap + 16);
            CHECK(makers[i](p, cap) == (cap == len ? (int)len : OCM_E_SPACE));
            for (k = 0; k < 16; k++) CHECK(p[cap + k] == 0xA5);
            CHECK(cap < len || memcmp(p, whole, len) == 0);
            free(p);
        }
    }
}

/* ---- 4. Registry ---- */

/* A member as it sees itself. kind: J JSON, L JSON at level 1, T text, S seed A. */
typedef struct person {
    const char *room, *name;
    char kind;
    ocm_addr at;
    char token[OCM_TOKEN_LEN + 1];
} person;

/* A datagram that the registry wanted sent; `read` bytes of it were looked at. */
typedef struct letter {
    ocm_addr to;
    size_t len, read;
    int out;
    uint8_t bytes[OCM_DATAGRAM_MAX];
} letter;

static ocm_registry *reg;
static uint64_t now;
static ocm_answer answer;
static letter letters[300];
static size_t letter_count;
static uint32_t dice; /* the random bytes of a request: unlike all before */
static uint32_t train = 4; /* datagrams in an event of the next registry */

static void registry_open(uint32_t rooms, uint32_t members, uint32_t rate)
{
    static const uint8_t key[16] = {7};
    ocm_limits l = ocm_limits_default();
    l.rooms = rooms;
    l.members = members;
    l.rate = rate;
    l.log = 65536;
    l.train = train;
    reg = ocm_registry_init(allocate(ocm_registry_size(&l)), &l, key);
    now = 5000;
    letter_count = 0;
}

static void registry_close(void)
{
    free(reg);
    reg = NULL;
}

/* 10.0.0.host */
static ocm_addr host_at(int host, int port)
{
    ocm_addr a = address("00000000000000000000ffff0a000000", 0, (uint16_t)port);
    a.ip[15] = (uint8_t)host;
    return a;
}

/* The token that the last request gets if it makes a member: its random bytes in hexadecimal. */
static const char *last_token(void)
{
    static char token[64];
    sprintf(token, "%08x%024d", (unsigned)dice, 0);
    return token;
}

static int ask_bytes(const uint8_t *bytes, size_t len, const ocm_addr *from)
{
    static uint8_t out[OCM_ANSWER_MAX];
    uint8_t random[16] = {0}, *p = copy(bytes, len);
    int used, i;
    dice++;
    for (i = 0; i < 4; i++) random[i] = (uint8_t)(dice >> (24 - 8 * i));
    answer.out = out;
    used = ocm_registry_request(reg, p, len, from, now, random, &answer);
    free(p);
    return used;
}

static int ask(int op, int state, const char *room, const char *payload, const ocm_addr *from)
{
    uint8_t bytes[OCM_FRAME_MAX];
    int len = ocm_frame_encode(bytes, sizeof bytes, op, state, ocm_text(room), ocm_text(payload));
    return ask_bytes(bytes, (size_t)len, from);
}

/* Asks in the form of that kind; more: further JSON members. */
static int ask_as(char kind, int op, const char *room, const char *name, const char *more, const ocm_addr *from)
{
    char payload[OCM_PAYLOAD_MAX + 1];
    if (kind == 'T' || kind == 'S') return ask(op, kind == 'S', room, name, from);
    sprintf(payload, "{\"username\":\"%s\"%s%s}", name, kind == 'L' ? ",\"ocm\":1" : "", more);
    return ask(op, 0, room, payload, from);
}

static person enter(int op, const char *room, const char *name, char kind, int host)
{
    person p;
    memset(&p, 0, sizeof p);
    p.room = room;
    p.name = name;
    p.kind = kind;
    p.at = host_at(host, 4000 + host);
    CHECK(ask_as(kind, op, room, name, "", &p.at) > 0 && answer.success && answer.in);
    memcpy(p.token, answer.token, OCM_TOKEN_LEN);
    return p;
}

static int send_bytes(const uint8_t *bytes, size_t len, const ocm_addr *from)
{
    uint8_t *p = copy(bytes, len);
    int result = ocm_registry_datagram(reg, p, len, from, now);
    free(p);
    return result;
}

static int send_as(const char *room, const char *token, const char *payload, const ocm_addr *from)
{
    uint8_t bytes[OCM_DATAGRAM_MAX];
    int len = ocm_datagram_encode(bytes, sizeof bytes, ocm_text(room), ocm_text(token), ocm_text(payload));
    return send_bytes(bytes, (size_t)len, from);
}

static int sends(const person *p, const char *payload)
{
    return send_as(p->room, p->token, payload, &p->at);
}

/* A message in the sender's form. id 0: none. The text must need no escapes. */
static int says(const person *p, const char *words, unsigned id)
{
    char json[OCM_DATAGRAM_MAX], number[32] = "";
    if (p->kind == 'T' || p->kind == 'S') return sends(p, words);
    if (id) sprintf(number, ",\"id\":%u", id);
    sprintf(json, "{\"message\":\"%s\"%s}", words, number);
    return sends(p, json);
}

static int leaves(const person *p)
{
    if (p->kind == 'T' || p->kind == 'S') return sends(p, "[remove_chatroom]");
    return sends(p, "{\"sender\":\"system\",\"operation\":2}");
}

static int wants(const person *p, unsigned seq, unsigned count)
{
    char json[128];
    sprintf(json, "{\"sender\":\"system\",\"operation\":6,\"seq\":%u,\"count\":%u}", seq, count);
    return sends(p, json);
}

static int same_address(const ocm_addr *a, const ocm_addr *b)
{
    return memcmp(a->ip, b->ip, 16) == 0 && a->scope == b->scope && a->port == b->port && a->socket == b->socket;
}

/* The datagram of an event that begins at `at`. */
static void letter_of(letter *l, const ocm_event *ev, size_t at)
{
    l->to = ev->to;
    l->out = ev->out != NULL;
    l->read = 0;
    l->len = ev->len - at < ev->each ? ev->len - at : ev->each;
    CHECK(l->len <= sizeof l->bytes && (ev->len <= ev->each || ev->each <= OCM_BATCH_MAX));
    memcpy(l->bytes, ev->ptr + at, l->len);
    CHECK(!ev->out || (*ev->out && ocm_room_valid(ev->room) && ocm_name_valid(ev->name)));
}

/* Pulls an event and adds its datagrams to the letters. */
static int pull(ocm_event *ev)
{
    size_t at;
    if (!ocm_registry_next(reg, ev)) return 0;
    CHECK(ev->len > 0);
    for (at = 0; at < ev->len && CHECK(letter_count < COUNT(letters)); at += ev->each) letter_of(&letters[letter_count++], ev, at);
    return 1;
}

static void drain(void)
{
    ocm_event ev;
    while (pull(&ev)) {}
}

/* Nothing is left that nobody looked at. Forgets all letters. */
static int quiet(void)
{
    size_t i;
    int all = 1;
    for (i = 0; i < letter_count; i++) {
        if (letters[i].read == letters[i].len && letters[i].len) continue;
        all = 0;
        printf("   unread, to port %d: %.*s\n", letters[i].to.port, (int)letters[i].len, (char *)letters[i].bytes);
    }
    letter_count = 0;
    return all;
}

/* In a pattern * stands for any words, but not for none. */
static int like(const uint8_t *p, size_t len, const char *pattern)
{
    for (; *pattern && *pattern != '*'; pattern++, p++, len--)
        if (len == 0 || *p != (uint8_t)*pattern) return 0;
    if (*pattern == 0) return len == 0;
    if (len == 0) return 0;
    for (p++, len--; !like(p, len, pattern + 1);) {
        if (len == 0) return 0;
        p++, len--;
    }
    return 1;
}

/* Length of the header that a datagram to that member has; OCM_DATAGRAM_MAX + 1 when this one has another. */
static size_t header_of(const person *p, const letter *l)
{
    uint8_t head[512];
    int len = ocm_datagram_encode(head, sizeof head, ocm_text(p->room), ocm_text(p->token), ocm_text(""));
    if (p->kind == 'T') return 0;
    return l->len >= (size_t)len && memcmp(l->bytes, head, (size_t)len) == 0 ? (size_t)len : OCM_DATAGRAM_MAX + 1;
}

static letter *letter_to(const person *p)
{
    size_t i;
    for (i = 0; i < letter_count; i++)
        if (same_address(&letters[i].to, &p->at) && letters[i].read < letters[i].len) return &letters[i];
    return NULL;
}

/* The next that this member was sent is that: a datagram, of a level-1 member one of its lines. */
static int reads(const person *p, const char *pattern)
{
    letter *l = letter_to(p);
    size_t from, end;
    if (!l) return 0;
    if (l->read == 0) l->read = header_of(p, l);
    if (l->read > l->len) return 0;
    from = l->read;
    for (end = from; end < l->len && (p->kind != 'L' || l->bytes[end] != '\n'); end++) {}
    l->read = p->kind == 'L' ? end + 1 : end;
    while (p->kind == 'L' && l->read < l->len && l->bytes[l->read] == '\n') l->read++; /* what fills up a datagram of a train */
    return l->read <= l->len && like(l->bytes + from, end - from, pattern);
}

static char *put_number(char *out, const char *key, unsigned n)
{
    return n ? out + sprintf(out, ",\"%s\":%u", key, n) : out;
}

/* A message, in the form of who gets it. */
static int hears(const person *p, const char *who, const char *words, unsigned seq, unsigned id)
{
    char pattern[OCM_DATAGRAM_MAX + 64];
    if (p->kind == 'T' || p->kind == 'S') {
        sprintf(pattern, "%s: %s", who, words);
    } else {
        char *end = pattern + sprintf(pattern, "{\"sender\":\"%s\",\"message\":\"%s\"", who, words);
        end = put_number(put_number(end, "seq", seq), "id", id);
        strcpy(end, "}");
    }
    return reads(p, pattern);
}

/* A notice of the server, likewise. */
static int told(const person *p, int operation, const char *who, const char *words, unsigned seq, unsigned id)
{
    char pattern[1024];
    if (p->kind == 'T' || p->kind == 'S') {
        sprintf(pattern, "system: %s", words);
    } else {
        char *end = pattern + sprintf(pattern, "{\"sender\":\"system\",\"operation\":%d,\"username\":\"%s\",\"message\":\"%s\"",
                                      operation, who, words);
        end = put_number(put_number(end, "seq", seq), "id", id);
        strcpy(end, "}");
    }
    return reads(p, pattern);
}

static int told_out(const person *p)
{
    return told(p, OCM_OUT, p->name, "You have been disconnected: *", 0, 0);
}

static int told_status(const person *p, unsigned seq, unsigned first, unsigned id)
{
    char json[128];
    sprintf(json, "{\"sender\":\"system\",\"operation\":6,\"seq\":%u,\"first\":%u,\"id\":%u}", seq, first, id);
    return reads(p, json);
}

/* Drains and forgets. */
static void skip(void)
{
    drain();
    letter_count = 0;
}

/* A frame, byte by byte; in the payload * stands for any words. Its length, 0 when it is another one. */
static size_t frame_is(const uint8_t *p, size_t len, int op, int state, const char *room, const char *pattern)
{
    uint8_t head[OCM_HEADER_LEN + OCM_NAME_MAX] = {0};
    size_t head_len = OCM_HEADER_LEN + strlen(room), payload, i;
    if (len < head_len) return 0;
    head[0] = (uint8_t)strlen(room);
    head[1] = (uint8_t)op;
    head[2] = (uint8_t)state;
    memcpy(head + OCM_HEADER_LEN, room, strlen(room));
    payload = (size_t)p[29] << 16 | (size_t)p[30] << 8 | p[31];
    for (i = 29; i < 32; i++) head[i] = p[i];
    if (memcmp(p, head, head_len) != 0 || payload > len - head_len) return 0;
    return like(p + head_len, payload, pattern) ? head_len + payload : 0;
}

/* The answer is the frame of state 1 (unless ack is NULL), then that of state 2, and nothing more. */
static int answered(int op, const char *ack, const char *room, const char *done, uint32_t delay)
{
    size_t first = ack ? frame_is(answer.out, answer.len, op, OCM_STATE_ACK, "", ack) : 0, rest;
    if (ack && first == 0) return 0;
    rest = frame_is(answer.out + first, answer.len - first, op, OCM_STATE_DONE, room, done);
    return rest > 0 && first + rest == answer.len && answer.delay == delay && answer.first == (delay ? first : answer.len);
}

#define ACK_JSON "{\"status\":202,\"message\":\"*\"}"

typedef struct outcome {
    int op;
    const char *room, *user;
    int status, text, seed_a;
} outcome;

static int answered_as(char kind, const outcome *o)
{
    char ack[2] = {0, 0}, done[256], member[128] = "";
    int success = o->status < 300;
    if (kind == 'J') {
        if (success) sprintf(member, ",\"token\":\"%.64s\"", last_token());
        sprintf(done, "{\"status\":%d,\"message\":\"*\"%s}", o->status, member);
        return answered(o->op, ACK_JSON, "", done, o->status == 401 ? 1000 : 0);
    }
    ack[0] = (char)o->text;
    if (kind == 'S') {
        sprintf(member, success ? "\"%.64s\"" : "null", last_token());
        sprintf(done, "{\"status_code\":%d,\"user_token\":%s}", o->seed_a, member);
        return answered(o->op, "\xC8", success ? o->room : "", done, 100);
    }
    strcpy(done, success ? last_token() : "error: *");
    if (!success) return answered(o->op, ack, "", done, 100);
    return answer.out[OCM_HEADER_LEN] == 0 && answered(o->op, "*", o->room, done, 100);
}

/* Rooms lobby and locked, with alice as their host. */
static void registry_two_rooms(uint32_t rooms)
{
    ocm_addr at = host_at(1, 4001);
    registry_open(rooms, 3, 0);
    ask_as('J', OCM_CREATE, "lobby", "alice", "", &at);
    ask_as('J', OCM_CREATE, "locked", "alice", ",\"password\":\"key\"", &at);
}

static void test_outcomes(void)
{
    static const outcome cases[] = {
        {1, "new", "bob", 201, 0, 200},     {2, "lobby", "bob", 200, 0, 200},   {1, "new", "a: b", 400, 4, 400},
        {1, "", "bob", 400, 4, 400},        {2, "new\x7F", "bob", 400, 4, 400}, {9, "lobby", "bob", 400, 4, 400},
        {0, "lobby", "bob", 400, 4, 400},   {2, "locked", "bob", 401, 3, 400},  {2, "new", "bob", 404, 2, 404},
        {1, "lobby", "bob", 409, 1, 400},   {2, "lobby", "alice", 409, 6, 400}, {1, "locked", "bob", 409, 1, 400},
        {2, "locked", "alice", 401, 3, 400}};
    static const outcome full = {1, "new", "bob", 503, 5, 400};
    static const char kinds[] = "JTS";
    ocm_addr at = host_at(2, 4002);
    size_t i, k;
    for (i = 0; i <= COUNT(cases); i++) {
        for (k = 0; k < 3; k++) {
            const outcome *o = i < COUNT(cases) ? &cases[i] : &full;
            registry_two_rooms(i < COUNT(cases) ? 3 : 2);
            row = o->room;
            CHECK(ask_as(kinds[k], o->op, o->room, o->user, "", &at) > 0);
            CHECK(answered_as(kinds[k], o));
            CHECK(answer.status == o->status && answer.op == o->op && !answer.close);
            CHECK(answer.success == (o->status < 300) && answer.in == (o->status < 300));
            CHECK(ocm_registry_counts(reg)->requests == 3 && ocm_registry_counts(reg)->refused == (o->status >= 300));
            registry_close();
        }
    }
}

static void test_outcomes_more(void)
{
    static const outcome bad = {2, "lobby", "", 400, 4, 400};
    char done[256];
    ocm_addr at = host_at(2, 4002);
    registry_two_rooms(3);
    CHECK(ask(2, 3, "lobby", "{\"username\":\"bob\"}", &at) > 0 && answered_as('J', &bad));
    CHECK(ask(2, 3, "lobby", "bob", &at) > 0 && answered_as('S', &bad));
    CHECK(ask(2, 0, "lobby", "", &at) > 0 && answered_as('T', &bad));
    CHECK(ask(2, 1, "lobby", "", &at) > 0 && answered_as('S', &bad));
    CHECK(ask(2, 0, "lobby", "{}", &at) > 0 && answered_as('J', &bad));
    CHECK(ask_as('J', 2, "locked", "bob", ",\"password\":\"keys\"", &at) > 0 && answer.status == 401);
    CHECK(ask_as('L', 2, "locked", "bob", ",\"password\":\"key\"", &at) > 0);
    sprintf(done, "{\"status\":200,\"message\":\"*\",\"token\":\"%s\",\"ocm\":1,\"idle\":300,\"seq\":2,\"log\":*}", last_token());
    CHECK(answered(2, ACK_JSON, "", done, 0) && memcmp(answer.token, last_token(), OCM_TOKEN_LEN) == 0);
    CHECK(ask_as('J', 2, "lobby", "carol", ",\"password\":\"any\"", &at) > 0 && answer.status == 503);
    registry_close();
}

/* Room and name of a request lie in its bytes, for a log line; of a malformed one neither is given. */
static void test_answer_names(void)
{
    static const struct { const char *payload, *room, *name; } cases[] = {
        {"bob", "lobby", "bob"}, {"{\"username\":\"carol\"}", "lobby", "carol"}, {"", "", ""}, {"{\"username\":1}", "", ""},
        {"{\"username\":\"\\u0064an\"}", "lobby", ""}}; /* its name stands nowhere as it is */
    static uint8_t out[OCM_ANSWER_MAX], random[16];
    uint8_t bytes[128];
    ocm_addr at = host_at(1, 4001);
    size_t i;
    registry_two_rooms(3);
    for (i = 0; i < COUNT(cases); i++) {
        int len = ocm_frame_encode(bytes, sizeof bytes, OCM_JOIN, 0, ocm_text("lobby"), ocm_text(row = cases[i].payload));
        answer.out = out;
        CHECK(ocm_registry_request(reg, bytes, (size_t)len, &at, now, random, &answer) == len);
        CHECK(is(answer.room, cases[i].room) && is(answer.name, cases[i].name));
        CHECK(answer.name.len == 0 || inside(answer.name, bytes, (size_t)len));
    }
    registry_close();
}

/* A request is whole or it is nothing; what follows it is left. */
static void test_request_pieces(void)
{
    static uint8_t bytes[4 * OCM_FRAME_MAX];
    static const char *const payload[] = {"{\"username\":\"alice\"}", "alice", "{\"username\":\"bob\"}"};
    static const int op[] = {9, 1, 2}, status[] = {400, 201, 200};
    ocm_addr at = host_at(1, 4001);
    size_t len = 0, first, n;
    int i, used;
    registry_open(2, 2, 0);
    for (i = 0; i < 3; i++)
        len += (size_t)ocm_frame_encode(bytes + len, sizeof bytes - len, op[i], 0, ocm_text("lobby"), ocm_text(payload[i]));
    for (i = 0, used = 0; i < 3; i++, used += (int)first) {
        first = OCM_HEADER_LEN + 5 + strlen(payload[i]);
        for (n = 0; n < first; n++) CHECK(ask_bytes(bytes + used, n, &at) == 0);
        CHECK(ask_bytes(bytes + used, len - (size_t)used, &at) == (int)first);
        CHECK(answer.status == status[i] && answer.op == op[i]);
    }
    CHECK((size_t)used == len && ocm_registry_counts(reg)->requests == 3);
    registry_close();
}

/* Refused from the header, in the form that the first payload byte decides. */
static void test_request_too_large(void)
{
    static const char *const lengths[] = {
        ZERO25 "00001001", ZERO25 "20000000", "00000000000000000000000000000000000000000000000000" "ffffffff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffff" "ffffffff", "01000000000000000000000000000000000000000000000000" "00000001"};
    static const struct { char kind; uint8_t state, byte; } forms[] = {{'J', 0, '{'}, {'T', 0, 'a'}, {'S', 1, 'a'}, {'S', 1, '{'}};
    static const outcome large = {2, "lobby", "", 413, 4, 400};
    uint8_t bytes[OCM_HEADER_LEN + 6] = {5, 2, 0};
    ocm_addr at = host_at(1, 4001);
    size_t i, k, n;
    registry_open(1, 1, 0);
    memcpy(bytes + OCM_HEADER_LEN, "lobby", 5);
    for (i = 0; i < COUNT(lengths); i++) {
        for (k = 0; k < COUNT(forms); k++) {
            unhex(row = lengths[i], bytes + 3);
            bytes[2] = forms[k].state;
            bytes[OCM_HEADER_LEN + 5] = forms[k].byte;
            for (n = 0; n < sizeof bytes; n++) CHECK(ask_bytes(bytes, n, &at) == 0);
            CHECK(ask_bytes(bytes, sizeof bytes, &at) > 0);
            CHECK(answered_as(forms[k].kind, &large) && answer.close && answer.status == 413 && !answer.success);
            CHECK(answer.op == OCM_JOIN);
        }
    }
    registry_close();
}

/* One line of the list that was answered. */
static int listed(const char *line)
{
    static char text[OCM_ANSWER_MAX + 1];
    memcpy(text, answer.out + OCM_HEADER_LEN, answer.len - OCM_HEADER_LEN);
    text[answer.len - OCM_HEADER_LEN] = 0;
    return strstr(text, line) != NULL;
}

static void test_lists(void)
{
    static const outcome bad = {3, "", "", 400, 4, 400};
    static const char lobby[] = "{\"room\":\"lobby\",\"size\":2,\"password_required\":false}\n";
    static const char locked[] = "{\"room\":\"locked\",\"size\":1,\"password_required\":true}\n";
    static const char alice[] = "{\"username\":\"alice\",\"host\":true}\n", bob[] = "{\"username\":\"bob\",\"host\":false}\n";
    char bob_token[64];
    ocm_addr at = host_at(2, 4002);
    registry_open(1, 1, 0);
    CHECK(ask(3, 0, "", "{}", &at) > 0 && answered(3, NULL, "", "", 0) && answer.status == 200 && !answer.success);
    registry_close();
    registry_two_rooms(2);
    ask_as('T', 2, "lobby", "bob", "", &at);
    strcpy(bob_token, last_token());
    CHECK(ask(3, 0, "", "{\"any\":[1,{}]}", &at) > 0 && answered(3, NULL, "", "*", 0));
    CHECK(listed(lobby) && listed(locked) && answer.len == OCM_HEADER_LEN + strlen(lobby) + strlen(locked));
    CHECK(ask(3, 2, "lobby", "{}", &at) > 0 && answered(3, NULL, "", "*", 0));
    CHECK(listed(alice) && listed(bob) && answer.len == OCM_HEADER_LEN + strlen(alice) + strlen(bob));
    CHECK(send_as("lobby", bob_token, "[remove_chatroom]", &at) == 1); /* he is gone before anyone is told */
    CHECK(ask(3, 0, "lobby", "{}", &at) > 0 && answered(3, NULL, "", alice, 0));
    CHECK(ask(3, 0, "locked", "{}", &at) > 0 && answered(3, NULL, "", "", 0));
    CHECK(ask(3, 0, "nowhere", "{}", &at) > 0 && answered(3, NULL, "", "{\"status\":404,\"message\":\"*\"}", 0));
    CHECK(ask(3, 0, "", "{", &at) > 0 && answered(3, NULL, "", "{\"status\":400,\"message\":\"*\"}", 0));
    CHECK(ask(3, 0, "", "all", &at) > 0 && answered_as('T', &bad));
    CHECK(ask(3, 0, "", "", &at) > 0 && answered_as('T', &bad));
    CHECK(ask(3, 1, "", "{}", &at) > 0 && answered_as('S', &bad));
    registry_close();
}

/* Rooms whose lines come to `bytes` bytes of list. */
static void registry_list_of(size_t bytes)
{
    static const size_t around = sizeof "{\"room\":\"\",\"size\":1,\"password_required\":false}\n" - 1;
    char name[OCM_NAME_MAX + 1];
    ocm_addr at = host_at(1, 4001);
    int i;
    registry_open(1000, 1000, 0);
    for (i = 0; bytes > 0; i++) {
        size_t line = bytes >= 2 * (around + 200) ? around + 200 : bytes > around + 255 ? bytes / 2 : bytes;
        repeat(name, 'r', line - around);
        sprintf(name, "%05d", i);
        name[5] = 'r';
        ask_as('T', OCM_CREATE, name, "a", "", &at);
        CHECK(answer.success);
        bytes -= line;
        skip();
    }
    ask(OCM_LIST, 0, "", "{}", &at);
}

static void test_list_limit(void)
{
    size_t over;
    registry_list_of(OCM_LIST_MAX);
    CHECK(answered(OCM_LIST, NULL, "", "*", 0));
    CHECK(answer.len == OCM_HEADER_LEN + OCM_LIST_MAX && !listed("more"));
    registry_close();
    for (over = 1; over <= 300; over++) { /* wherever the last line that fits may end */
        registry_list_of(OCM_LIST_MAX + over);
        CHECK(answered(OCM_LIST, NULL, "", "*}\n{\"more\":true}\n", 0));
        CHECK(answer.len <= OCM_HEADER_LEN + OCM_LIST_MAX && answer.len > OCM_HEADER_LEN + OCM_LIST_MAX - 600);
        registry_close();
    }
}

/* alice (JSON) is the host, lena (level 1), tom (text) and sam (seed A) are with her. */
static person four[4];

static void registry_four(uint32_t rate)
{
    registry_open(4, 8, rate);
    four[0] = enter(OCM_CREATE, "lobby", "alice", 'J', 1);
    four[1] = enter(OCM_JOIN, "lobby", "lena", 'L', 2);
    four[2] = enter(OCM_JOIN, "lobby", "tom", 'T', 3);
    four[3] = enter(OCM_JOIN, "lobby", "sam", 'S', 4);
}

static void test_joins_are_told(void)
{
    registry_four(0);
    drain();
    CHECK(told(&four[0], OCM_JOINED, "lena", "lena joined", 2, 0) && told(&four[0], OCM_JOINED, "tom", "tom joined", 3, 0));
    CHECK(told(&four[0], OCM_JOINED, "sam", "sam joined", 4, 0) && told(&four[1], OCM_JOINED, "tom", "tom joined", 3, 0));
    CHECK(told(&four[1], OCM_JOINED, "sam", "sam joined", 4, 0) && told(&four[2], OCM_JOINED, "sam", "sam joined", 4, 0));
    CHECK(quiet());
    registry_close();
}

static void test_relay(void)
{
    unsigned i, k;
    registry_four(0);
    skip();
    for (i = 0; i < 4; i++) {
        row = four[i].name;
        CHECK(says(&four[i], "hi \xE2\x82\xAC", 0) == 1);
        drain();
        for (k = 0; k < 4; k++)
            if (k != i || k == 1) CHECK(hears(&four[k], row, "hi \xE2\x82\xAC", 5 + i, 0));
        CHECK(quiet());
    }
    registry_close();
}

/* The same two, byte by byte in hexadecimal: a header for JSON and seed A, none for text. */
static void test_relay_vectors(void)
{
    static const char *const rest[] = {"{\"sender\":\"tom\",\"message\":\"a\\\"b\",\"seq\":5}", "{\"sender\":\"tom\",\"message\":\"a\\\"b\",\"seq\":5}\n",
                                       "", "tom: a\"b"};
    uint8_t bytes[256];
    size_t i, k;
    registry_four(0);
    skip();
    sends(&four[2], "a\"b");
    drain();
    CHECK(letter_count == 3);
    for (i = 0; i < letter_count; i++) {
        k = (size_t)(letters[i].to.port - 4001);
        memcpy(bytes, "\5\40lobby", 7);
        memcpy(bytes + 7, four[k].token, OCM_TOKEN_LEN);
        memcpy(bytes + 7 + OCM_TOKEN_LEN, rest[k], strlen(rest[k]));
        CHECK(letters[i].len == 7 + OCM_TOKEN_LEN + strlen(rest[k]) &&
              memcmp(letters[i].bytes, bytes, letters[i].len) == 0);
    }
    registry_close();
}

static void test_keep_alive(void)
{
    registry_four(0);
    skip();
    CHECK(sends(&four[0], "") == 1 && sends(&four[0], "{}") == 1 && sends(&four[2], "") == 1 && sends(&four[3], "") == 1);
    drain();
    CHECK(quiet());
    CHECK(sends(&four[1], "{}") == 1);
    drain();
    CHECK(told_status(&four[1], 4, 1, 0) && quiet());
    CHECK(sends(&four[1], "") == 1);
    drain();
    CHECK(told_status(&four[1], 4, 1, 0) && quiet());
    registry_close();
}

/* Of what calls itself from the system, only leaving and asking mean something. */
static void test_operations(void)
{
    registry_four(0);
    skip();
    CHECK(sends(&four[0], "{\"sender\":\"system\",\"operation\":1,\"message\":\"x\"}") == 1);
    CHECK(sends(&four[0], "{\"sender\":\"system\",\"operation\":3,\"message\":\"x\"}") == 1);
    CHECK(wants(&four[0], 1, 3) == 1); /* not of level 1 */
    drain();
    CHECK(quiet());
    CHECK(sends(&four[0], "{\"sender\":\"system\",\"message\":\"x\"}") == 1);
    CHECK(sends(&four[0], "{\"sender\":\"mallory\",\"operation\":2,\"message\":\"y\",\"id\":9}") == 1);
    drain();
    CHECK(hears(&four[2], "alice", "x", 5, 0) && hears(&four[2], "alice", "y", 6, 0));
    CHECK(hears(&four[1], "alice", "x", 5, 0) && hears(&four[1], "alice", "y", 6, 0));
    CHECK(hears(&four[3], "alice", "x", 5, 0) && hears(&four[3], "alice", "y", 6, 0) && quiet());
    registry_close();
}

static void test_leaving(void)
{
    unsigned i, k;
    registry_four(0);
    skip();
    for (i = 3; i > 0; i--) {
        char words[32];
        sprintf(words, "%s left", row = four[i].name);
        CHECK(leaves(&four[i]) == 1 && says(&four[i], "x", 0) == 0);
        drain();
        CHECK(told_out(&four[i]));
        for (k = 0; k < i; k++) CHECK(told(&four[k], OCM_LEFT, row, words, 8 - i, 0));
        CHECK(quiet() && ocm_registry_counts(reg)->members == i);
        CHECK(says(&four[i], "x", 0) == 0 && leaves(&four[i]) == 0);
    }
    CHECK(leaves(&four[0]) == 1);
    drain();
    CHECK(told_out(&four[0]) && quiet());
    CHECK(ocm_registry_counts(reg)->rooms == 0 && ocm_registry_counts(reg)->members == 0);
    registry_close();
}

static void test_host_leaves(void)
{
    person again;
    int i;
    registry_four(0);
    skip();
    CHECK(says(&four[2], "last words", 0) == 1 && leaves(&four[0]) == 1);
    for (i = 0; i < 4; i++) CHECK(says(&four[i], "x", 0) == 0);
    again = enter(OCM_CREATE, "lobby", "alice", 'L', 9); /* before the old room is told */
    drain();
    for (i = 0; i < 4; i++) {
        if (i != 2) CHECK(hears(&four[i], "tom", "last words", 5, 0));
        CHECK(told_out(&four[i]));
        CHECK(says(&four[i], "x", 0) == 0);
    }
    CHECK(quiet());
    CHECK(sends(&again, "") == 1 && wants(&again, 1, 64) == 1);
    drain();
    CHECK(told(&again, OCM_JOINED, "alice", "alice joined", 1, 0) && told_status(&again, 1, 1, 0) && quiet());
    registry_close();
}

/* The host leaves when some have heard the last message and others not yet: everyone is told all the same. */
static void test_host_leaves_half_way(void)
{
    ocm_event ev;
    size_t heard_by;
    int i;
    for (heard_by = 0; heard_by < 4; heard_by++) {
        registry_four(0);
        skip();
        says(&four[2], "last words", 0);
        while (letter_count < heard_by && pull(&ev)) {}
        CHECK(leaves(&four[0]) == 1);
        drain();
        for (i = 0; i < 4; i++) {
            row = four[i].name;
            if (i != 2) CHECK(hears(&four[i], "tom", "last words", 5, 0));
            CHECK(told_out(&four[i]));
        }
        CHECK(quiet() && ocm_registry_counts(reg)->members == 0);
        registry_close();
    }
}

static void test_idle(void)
{
    registry_four(0);
    skip();
    CHECK(ocm_registry_deadline(reg) == 305000);
    now += 1000;
    says(&four[0], "x", 0), sends(&four[1], "{}"), sends(&four[3], "");
    skip();
    now = 304999;
    CHECK(ocm_registry_time(reg, now) == 1);
    drain();
    CHECK(quiet() && ocm_registry_counts(reg)->members == 4);
    now = 305000;
    CHECK(ocm_registry_time(reg, now) == 1 && ocm_registry_deadline(reg) == 306000);
    drain();
    CHECK(told_out(&four[2]) && told(&four[0], OCM_LEFT, "tom", "tom left: *", 6, 0));
    CHECK(told(&four[1], OCM_LEFT, "tom", "tom left: *", 6, 0) &&
          told(&four[3], OCM_LEFT, "tom", "tom left: *", 6, 0) && quiet());
    CHECK(ocm_registry_time(reg, 306000) == 1);
    drain();
    CHECK(told_out(&four[0]) && told_out(&four[1]) && told_out(&four[3]));
    CHECK(ocm_registry_counts(reg)->members == 0 && ocm_registry_counts(reg)->rooms == 0);
    CHECK(ocm_registry_deadline(reg) == UINT64_MAX);
    registry_close();
}

/* alice says a word, and what goes to that member fails or comes through. */
static void word_to(const person *p, int fails)
{
    ocm_event ev;
    letter_count = 0;
    CHECK(says(&four[0], "x", 0) == 1);
    while (pull(&ev))
        if (!ev.out && fails && same_address(&ev.to, &p->at)) {
            ocm_registry_failed(reg, &ev, now);
            letter_count--;
        }
}

static void test_failed_sends(void)
{
    static const struct { int at[6]; uint32_t left; } cases[] = { /* ms of each send; < 0: it comes through then */
        {{1, 2, 10001}, 3},      {{1, 2, 10000}, 4},           {{1, 5000, 10001}, 3},   {{1, 2, 3, 10000, 10001}, 3},
        {{1, 10001, -10002}, 4}, {{1, 2, -3, 10001, 10002}, 4}, {{-1, -2, 3, 4, 10002}, 4}, {{-1, -2, 3, 4, 10003}, 3},
        {{1, 20000}, 4},         {{1, 2, -10001, 10002, 10003, 20001}, 4}, {{1, 2, -10001, 10002, 10003, 20002}, 3}};
    size_t i, k;
    char name[16];
    for (i = 0; i < COUNT(cases); i++) {
        sprintf(name, "%u", (unsigned)i);
        row = name;
        registry_four(0);
        skip();
        for (k = 0; k < 6 && cases[i].at[k]; k++) {
            now = 5000 + (uint64_t)abs(cases[i].at[k]);
            word_to(&four[2], cases[i].at[k] > 0);
        }
        CHECK(ocm_registry_counts(reg)->members == cases[i].left);
        CHECK(says(&four[2], "x", 0) == (cases[i].left == 4));
        registry_close();
    }
}

/* Who cannot be reached is told, in case it hears after all, and the others are told of it. */
static void test_failed_is_told(void)
{
    int i;
    registry_four(0);
    skip();
    word_to(&four[3], 1), word_to(&four[3], 1);
    now += 10000;
    word_to(&four[3], 1);
    for (i = 0; i < 3; i++) {
        if (i > 0) CHECK(hears(&four[i], "alice", "x", 7, 0));
        CHECK(told(&four[i], OCM_LEFT, "sam", "sam left: *", 8, 0));
    }
    CHECK(told_out(&four[3]) && quiet());
    registry_close();
}

/* Sends to tom fail while the log is full of what is still to be sent. Then he goes with the next that fails. */
static void test_failed_while_full(void)
{
    static char words[2001];
    ocm_event ev;
    int i;
    repeat(words, 'w', 2000);
    registry_open(1, 2, 0);
    four[0] = enter(OCM_CREATE, "lobby", "alice", 'J', 1);
    four[1] = enter(OCM_JOIN, "lobby", "tom", 'T', 2);
    skip();
    for (i = 0; i < 3; i++, now += 5000) {
        while (says(&four[0], words, 0) == 1) {}
        while (ocm_registry_next(reg, &ev))
            if (same_address(&ev.to, &four[1].at)) ocm_registry_failed(reg, &ev, now);
    }
    CHECK(says(&four[0], "x", 0) == 1 && ocm_registry_next(reg, &ev));
    if (ocm_registry_counts(reg)->members == 2) ocm_registry_failed(reg, &ev, now);
    CHECK(ocm_registry_counts(reg)->members == 1);
    registry_close();
}

static void test_refused_words(void)
{
    static const char *const bad[] = {"a\nb", "\x1B[2J", "\xFF", "\xC0\x80"};
    static const char *const worse[] = {"{\"message\":\"a\x7F\"}", "{\"message\":\"a\xC2\x85\"}", "{\"message\":\"a\\u0085\"}"};
    size_t i;
    registry_four(0);
    skip();
    for (i = 0; i < COUNT(worse); i++) {
        now += 1000;
        CHECK(sends(&four[0], row = worse[i]) == 1);
        drain();
        CHECK(told(&four[0], OCM_NOTICE, "alice", "*", 0, 0) && quiet());
    }
    for (i = 0; i < COUNT(bad); i++) {
        now += 1000;
        CHECK(sends(&four[2], row = bad[i]) == 1);
        drain();
        CHECK(told(&four[2], OCM_NOTICE, "tom", "*", 0, 0) && quiet());
    }
    now += 999;
    CHECK(sends(&four[2], "a\nb") == 1 && sends(&four[0], "{\"message\":\"a\\nb\"}") == 1 &&
          sends(&four[1], "{\"message\":") == 1);
    drain();
    CHECK(told(&four[0], OCM_NOTICE, "alice", "*", 0, 0) && told(&four[1], OCM_NOTICE, "lena", "*", 0, 0) && quiet());
    now += 1;
    CHECK(sends(&four[2], "a\nb") == 1);
    drain();
    CHECK(told(&four[2], OCM_NOTICE, "tom", "*", 0, 0) && quiet());
    CHECK(ocm_registry_counts(reg)->messages == 0 && ocm_registry_counts(reg)->unaccepted == 11);
    registry_close();
}

/* A text is shown as JSON writes it or as it is, whoever said it in whatever form. */
static void test_escapes(void)
{
    person odd;
    registry_four(0);
    skip();
    CHECK(sends(&four[3], "a\tb \"c\" \\ ü") == 1); /* of seed A: alice and lena read JSON, tom text */
    drain();
    CHECK(hears(&four[0], "sam", "a\\tb \\\"c\\\" \\\\ ü", 5, 0) && hears(&four[1], "sam", "a\\tb \\\"c\\\" \\\\ ü", 5, 0));
    CHECK(hears(&four[2], "sam", "a\tb \"c\" \\ ü", 0, 0) && quiet());
    CHECK(sends(&four[0], "{\"message\":\"plain\",\"message\":\"\\u0022\\t\"}") == 1); /* the last one wins */
    drain();
    CHECK(hears(&four[1], "alice", "\\\"\\t", 6, 0) && hears(&four[2], "alice", "\"\t", 0, 0) && hears(&four[3], "alice", "\"\t", 0, 0) && quiet());
    odd = enter(OCM_JOIN, "lobby", "o\"k", 'S', 5);
    skip();
    CHECK(sends(&odd, "hi") == 1);
    drain();
    CHECK(hears(&four[0], "o\\\"k", "hi", 8, 0) && hears(&four[2], "o\"k", "hi", 0, 0));
    registry_close();
}

/* A TAB counts as two bytes, as JSON writes it. */
static void test_tabs(void)
{
    static char tabs[1993], escaped[3985];
    size_t i;
    registry_four(0);
    skip();
    repeat(tabs, '\t', (OCM_SPEECH_MAX - strlen("lobby") - strlen("sam")) / 2);
    for (i = 0; tabs[i]; i++) memcpy(escaped + 2 * i, "\\t", 3);
    CHECK(sends(&four[3], tabs) == 1);
    drain();
    CHECK(hears(&four[0], "sam", escaped, 5, 0) && hears(&four[2], "sam", tabs, 0, 0));
    skip();
    repeat(tabs, '\t', strlen(tabs) + 1);
    CHECK(sends(&four[3], tabs) == 1);
    drain();
    CHECK(told(&four[3], OCM_NOTICE, "sam", "*", 0, 0) && quiet());
    registry_close();
}

/* At most one notice a second, also when the clock begins with 0. */
static void test_refused_at_zero(void)
{
    person tom;
    registry_open(1, 1, 0);
    now = 0;
    tom = enter(OCM_CREATE, "lobby", "tom", 'T', 1);
    CHECK(sends(&tom, "\n") == 1);
    drain();
    CHECK(told(&tom, OCM_NOTICE, "tom", "*", 0, 0) && quiet());
    CHECK(sends(&tom, "\n") == 1);
    drain();
    CHECK(quiet());
    registry_close();
}

static unsigned spoken(const person *p, unsigned times)
{
    uint64_t before = ocm_registry_counts(reg)->messages;
    while (times--) CHECK(says(p, "x", 0) == 1);
    skip();
    return (unsigned)(ocm_registry_counts(reg)->messages - before);
}

static void test_rate(void)
{
    int i;
    registry_four(10);
    now += 100000;
    CHECK(spoken(&four[2], 50) == 20); /* a burst of twice the rate */
    CHECK(spoken(&four[2], 5) == 0 && spoken(&four[3], 1) == 1);
    now += 99;
    CHECK(spoken(&four[2], 5) == 0);
    now += 1;
    CHECK(spoken(&four[2], 5) == 1);
    now += 1000;
    CHECK(spoken(&four[2], 50) == 10);
    now += 1000;
    CHECK(spoken(&four[2], 5) == 5);
    now += 60000;
    for (i = 0; i < 20; i++) CHECK(sends(&four[2], "") == 1); /* keep-alives cost, too */
    CHECK(spoken(&four[2], 5) == 0);
    CHECK(leaves(&four[2]) == 1); /* one may always go */
    drain();
    CHECK(told_out(&four[2]));
    registry_close();
}

static void test_too_fast_is_told(void)
{
    registry_four(1);
    skip();
    CHECK(spoken(&four[2], 2) == 2 && spoken(&four[1], 2) == 2);
    CHECK(says(&four[2], "x", 0) == 1 && says(&four[2], "x", 0) == 1 && says(&four[1], "x", 1) == 1);
    drain();
    CHECK(told(&four[2], OCM_NOTICE, "tom", "*", 0, 0) && quiet());
    now += 1000;
    CHECK(says(&four[1], "x", 1) == 1); /* it was not taken */
    drain();
    CHECK(hears(&four[1], "lena", "x", 9, 1));
    registry_close();
}

/* room name, user name and text count together; quotes as two. 3990 bytes reach everyone, whatever the form. */
static void test_length_rule(void)
{
    static const char room[] = "a \"room\" name", name[] = "na\\\\me"; /* in JSON; it counts 6 */
    static char words[OCM_SPEECH_MAX + 1], text[4000];
    size_t most = OCM_SPEECH_MAX - strlen(room) - 6;
    person tom, lena, last;
    registry_open(2, 8, 0);
    four[0] = enter(OCM_CREATE, room, "sa", 'S', 1);
    tom = enter(OCM_JOIN, room, "na\\me", 'T', 2);
    lena = enter(OCM_JOIN, room, "lena", 'L', 3);
    last = enter(OCM_JOIN, room, "jo", 'J', 4);
    skip();
    repeat(words, 'w', most + 1);
    CHECK(says(&tom, words, 0) == 1);
    drain();
    CHECK(told(&tom, OCM_NOTICE, "", "*", 0, 0) && quiet());
    CHECK(says(&tom, words + 1, 0) == 1);
    drain();
    CHECK(hears(&last, name, words + 1, 5, 0) && hears(&lena, name, words + 1, 5, 0));
    sprintf(text, "na\\me: %s", words + 1);
    CHECK(reads(&four[0], text) && quiet());
    words[most] = '"'; /* two bytes in JSON: one too many */
    now += 1000;
    CHECK(says(&tom, words + 1, 0) == 1);
    drain();
    CHECK(told(&tom, OCM_NOTICE, "", "*", 0, 0) && quiet());
    CHECK(says(&tom, words + 2, 0) == 1);
    drain();
    CHECK(letter_count == 3 && ocm_registry_counts(reg)->messages == 2);
    registry_close();
}

static void test_datagram_size(void)
{
    static uint8_t bytes[OCM_DATAGRAM_MAX + 1];
    const char *const head = "{\"message\":\"hi\"";
    size_t at = 2 + 5 + OCM_TOKEN_LEN;
    registry_four(0);
    skip();
    memset(bytes, ' ', sizeof bytes);
    ocm_datagram_encode(bytes, sizeof bytes, ocm_text("lobby"), ocm_text(four[0].token), ocm_text(head));
    bytes[at + strlen(head)] = '}'; /* spaces may follow */
    CHECK(send_bytes(bytes, OCM_DATAGRAM_MAX, &four[0].at) == 1);
    drain();
    CHECK(hears(&four[1], "alice", "hi", 5, 0) && hears(&four[2], "alice", "hi", 5, 0) &&
          hears(&four[3], "alice", "hi", 5, 0) && quiet());
    CHECK(send_bytes(bytes, OCM_DATAGRAM_MAX + 1, &four[0].at) == 1);
    drain();
    CHECK(told(&four[0], OCM_NOTICE, "alice", "*", 0, 0) && quiet());
    registry_close();
}

static void test_strangers(void)
{
    static const struct { const char *room; int token, host, port, result; } cases[] = { /* token: whose; -1 nobody's, -2 cut, -3 none */
        {"lobby", 2, 3, 4003, 1}, {"lobby", 2, 3, 5555, 1}, {"lobby", 2, 4, 4003, 0}, {"lobby", 3, 3, 4003, 0}, {"lobb", 2, 3, 4003, 0},
        {"other", 2, 3, 4003, 0}, {"", 2, 3, 4003, 0}, {"lobby2", 2, 3, 4003, 0}, {"lobby", -1, 3, 4003, 0}, {"lobby", -2, 3, 4003, 0},
        {"lobby", -3, 3, 4003, 0}};
    size_t i;
    registry_four(0);
    enter(OCM_CREATE, "other", "olaf", 'T', 3);
    skip();
    for (i = 0; i < COUNT(cases); i++) {
        char token[OCM_TOKEN_LEN + 1] = "ffffffffffffffffffffffffffffffff";
        ocm_addr from = host_at(cases[i].host, cases[i].port);
        row = cases[i].room;
        if (cases[i].token >= 0) strcpy(token, four[cases[i].token].token);
        if (cases[i].token == -2) memcpy(token, four[2].token, OCM_TOKEN_LEN), token[OCM_TOKEN_LEN - 1] = 0;
        if (cases[i].token == -3) token[0] = 0;
        CHECK(send_as(row, token, "hi", &from) == cases[i].result);
        drain();
        CHECK(letter_count == (cases[i].result ? 3u : 0u));
        letter_count = 0;
    }
    CHECK(ocm_registry_counts(reg)->datagrams == COUNT(cases) && ocm_registry_counts(reg)->dropped == COUNT(cases) - 2);
    registry_close();
}

static void test_loopback_is_one_host(void)
{
    ocm_addr four_to_six = address("00000000000000000000000000000001", 0, 6000), other = address("00000000000000000000ffff7f050607", 0, 6001);
    person p;
    registry_open(1, 1, 0);
    memset(&p, 0, sizeof p);
    p.at = address("00000000000000000000ffff7f000001", 0, 4000);
    CHECK(ask_as('L', OCM_CREATE, "lobby", "alice", "", &p.at) > 0 && answer.success);
    CHECK(send_as("lobby", last_token(), "", &four_to_six) == 1 && send_as("lobby", last_token(), "", &other) == 1);
    drain();
    CHECK(letter_count > 0 && same_address(&letters[letter_count - 1].to, &other));
    other = host_at(1, 6001);
    CHECK(send_as("lobby", last_token(), "", &other) == 0);
    registry_close();
}

/* The port of the request, else of its connection, until it is heard from another; the socket with it. */
static void test_address_follows(void)
{
    ocm_addr tcp = host_at(2, 4002);
    person bob;
    registry_open(1, 2, 0);
    four[0] = enter(OCM_CREATE, "lobby", "alice", 'J', 1);
    bob = enter(OCM_JOIN, "lobby", "temp", 'J', 7);
    CHECK(ocm_registry_undo(reg, (const uint8_t *)bob.token) == 1);
    skip();
    tcp.socket = 3;
    ask_as('J', OCM_JOIN, "lobby", "bob", ",\"ip\":\"10.9.9.9\",\"port\":7000", &tcp);
    memcpy(bob.token, answer.token, OCM_TOKEN_LEN);
    bob.name = "bob";
    bob.at = tcp;
    bob.at.port = 7000;
    CHECK(says(&four[0], "one", 0) == 1);
    drain();
    CHECK(hears(&bob, "alice", "one", 5, 0));
    letter_count = 0;
    bob.at.port = 7777;
    bob.at.socket = 5;
    CHECK(sends(&bob, "") == 1 && says(&four[0], "two", 0) == 1);
    drain();
    CHECK(hears(&bob, "alice", "two", 6, 0) && quiet());
    tcp.port = 7000;
    tcp.ip[15] = 9;
    CHECK(send_as("lobby", bob.token, "{}", &tcp) == 0 && says(&four[0], "three", 0) == 1); /* from elsewhere: nothing moves */
    drain();
    CHECK(hears(&bob, "alice", "three", 7, 0) && quiet());
    registry_close();
}

static void test_undo(void)
{
    person bob;
    registry_four(0);
    bob = enter(OCM_JOIN, "lobby", "bob", 'J', 5);
    skip();
    CHECK(ocm_registry_undo(reg, (const uint8_t *)bob.token) == 1 && ocm_registry_counts(reg)->members == 4);
    CHECK(sends(&bob, "") == 0);
    drain();
    CHECK(told(&four[0], OCM_LEFT, "bob", "bob left: *", 6, 0) && told(&four[1], OCM_LEFT, "bob", "bob left: *", 6, 0));
    CHECK(told(&four[2], OCM_LEFT, "bob", "bob left: *", 6, 0) &&
          told(&four[3], OCM_LEFT, "bob", "bob left: *", 6, 0) && quiet());
    CHECK(ocm_registry_undo(reg, (const uint8_t *)bob.token) == 1); /* it is gone: nothing happens */
    bob = enter(OCM_JOIN, "lobby", "bob", 'T', 5);
    skip();
    CHECK(ocm_registry_undo(reg, (const uint8_t *)four[0].token) == 1); /* the host, and with it the room */
    drain();
    CHECK(told_out(&four[1]) && told_out(&four[2]) && told_out(&four[3]) && told_out(&bob) && quiet());
    CHECK(ocm_registry_counts(reg)->members == 0 && ocm_registry_counts(reg)->rooms == 0);
    registry_close();
}

static void test_stop(void)
{
    person olaf;
    int i;
    registry_four(0);
    olaf = enter(OCM_CREATE, "other", "olaf", 'T', 5);
    skip();
    says(&four[2], "last words", 0);
    ocm_registry_stop(reg);
    CHECK(says(&four[2], "x", 0) == 0);
    drain();
    for (i = 0; i < 4; i++) {
        if (i != 2) CHECK(hears(&four[i], "tom", "last words", 5, 0));
        CHECK(told_out(&four[i]));
    }
    CHECK(told_out(&olaf) && quiet());
    CHECK(ocm_registry_counts(reg)->members == 0 && ocm_registry_counts(reg)->rooms == 0);
    registry_close();
}

static int status_of(char kind, int op, const char *room, const char *name)
{
    ocm_addr at = host_at(9, 4009);
    CHECK(ask_as(kind, op, room, name, "", &at) > 0);
    return answer.status;
}

static void test_slots(void)
{
    person a, b;
    int round;
    registry_open(2, 3, 0);
    for (round = 0; round < 5; round++) {
        a = enter(OCM_CREATE, "one", "a", 'T', 1);
        b = enter(OCM_CREATE, "two", "b", 'J', 2);
        CHECK(status_of('T', OCM_CREATE, "three", "c") == 503 && status_of('J', OCM_JOIN, "one", "c") == 200);
        CHECK(status_of('J', OCM_JOIN, "two", "d") == 503 && status_of('L', OCM_JOIN, "nowhere", "d") == 404);
        CHECK(leaves(&b) == 1);
        skip();
        CHECK(status_of('S', OCM_JOIN, "two", "d") == 404 && status_of('S', OCM_JOIN, "one", "d") == 200);
        CHECK(status_of('J', OCM_CREATE, "two", "e") == 503); /* a room is free, a member not */
        CHECK(leaves(&a) == 1);
        skip();
        CHECK(ocm_registry_counts(reg)->rooms == 0 && ocm_registry_counts(reg)->members == 0);
    }
    registry_close();
}

/* What has piled up shares datagrams of at most 1200 bytes; one that is longer goes alone. */
static void test_batches(void)
{
    static char words[64], longer[2001];
    unsigned i, many = 0;
    registry_four(0);
    skip();
    repeat(longer, 'l', 2000);
    repeat(words, 'w', 50);
    for (i = 0; i < 60; i++) CHECK(says(&four[0], i == 30 ? longer : words, 0) == 1);
    drain();
    for (i = 0; i < letter_count; i++) {
        if (!same_address(&letters[i].to, &four[1].at)) continue;
        CHECK(letters[i].len <= OCM_BATCH_MAX || letters[i].len > 2000);
        many++;
    }
    CHECK(many > 4 && many < 12);
    for (i = 0; i < 60; i++) CHECK(hears(&four[1], "alice", i == 30 ? longer : words, 5 + i, 0));
    for (i = 0; i < 60; i++) CHECK(hears(&four[2], "alice", i == 30 ? longer : words, 5 + i, 0));
    registry_close();
}

/* Events for one member: how many, and whether each is a train as it should be. All but the last datagram are equally long; each has its
   own header, and ends with a line. */
static unsigned trains_to(const person *p)
{
    unsigned count = 0;
    uint64_t before = ocm_registry_counts(reg)->events, datagrams = 0;
    ocm_event ev;
    while (pull(&ev)) {
        size_t many = (ev.len + ev.each - 1) / ev.each, i;
        datagrams += many;
        if (!same_address(&ev.to, &p->at)) continue;
        count++;
        CHECK(many >= 1 && many <= train);
        for (i = 1; many > 1 && i <= many; i++) {
            const letter *l = &letters[letter_count - i];
            CHECK(i == 1 ? l->len <= ev.each : l->len == ev.each);
            CHECK(header_of(p, l) < l->len && l->bytes[l->len - 1] == '\n' && l->bytes[header_of(p, l)] == '{');
        }
    }
    CHECK(ocm_registry_counts(reg)->events - before == datagrams);
    return count;
}

/* 60 messages of 89 bytes and more: 12 share a datagram. One that is longer than a datagram of several goes alone. */
static void test_trains(void)
{
    static const struct { uint32_t train; unsigned events, with_longer; } cases[] = {{1, 5, 7}, {2, 3, 5}, {3, 2, 3}, {6, 1, 3}, {32, 1, 3}};
    char words[51], longer[2001];
    size_t i, k;
    unsigned n;
    repeat(words, 'w', 50);
    repeat(longer, 'l', 2000);
    for (i = 0; i < COUNT(cases); i++) {
        train = cases[i].train;
        for (k = 0; k < 2; k++) {
            registry_four(0);
            skip();
            for (n = 0; n < 60; n++) CHECK(says(&four[0], k && n == 30 ? longer : words, 0) == 1);
            CHECK(trains_to(&four[1]) == (k ? cases[i].with_longer : cases[i].events));
            for (n = 0; n < 60; n++) CHECK(hears(&four[1], "alice", k && n == 30 ? longer : words, 5 + n, 0));
            registry_close();
        }
    }
    train = 4;
}

static void test_batch_limit(void)
{
    static const char line[] = "{\"sender\":\"alice\",\"message\":\"\",\"seq\":5}\n";
    char first[601], second[601];
    size_t spare = OCM_BATCH_MAX - (2 + 5 + OCM_TOKEN_LEN) - 2 * (sizeof line - 1), extra, i, count;
    for (extra = 0; extra < 2; extra++) {
        registry_four(0);
        skip();
        says(&four[0], repeat(first, 'w', spare / 2), 0);
        says(&four[0], repeat(second, 'w', spare - spare / 2 + extra), 0);
        drain();
        for (count = 0, i = 0; i < letter_count; i++) count += (size_t)same_address(&letters[i].to, &four[1].at);
        CHECK(count == 1 + extra);
        registry_close();
    }
}

static void test_ids(void)
{
    const person *lena = &four[1];
    registry_four(0);
    skip();
    CHECK(says(lena, "one", 1) == 1 && says(lena, "three", 3) == 1 && says(lena, "plain", 0) == 1);
    drain();
    CHECK(hears(lena, "lena", "one", 5, 1) && hears(lena, "lena", "plain", 6, 0)); /* 3 waits for 2 */
    CHECK(hears(&four[0], "lena", "one", 5, 1) && hears(&four[0], "lena", "plain", 6, 0));
    CHECK(hears(&four[2], "lena", "one", 0, 0) && hears(&four[2], "lena", "plain", 0, 0));
    CHECK(hears(&four[3], "lena", "one", 0, 0) && hears(&four[3], "lena", "plain", 0, 0) && quiet());
    CHECK(says(lena, "one", 1) == 1);
    drain();
    CHECK(told_status(lena, 6, 1, 1) && quiet());
    CHECK(says(lena, "\\n", 2) == 1); /* refused, and taken */
    drain();
    CHECK(told(lena, OCM_NOTICE, "lena", "*", 0, 2) && quiet());
    CHECK(sends(lena, "{}") == 1);
    drain();
    CHECK(told_status(lena, 6, 1, 2) && quiet());
    CHECK(says(lena, "three", 3) == 1 && says(&four[0], "mine", 1) == 1); /* alice has no ids */
    drain();
    CHECK(hears(lena, "lena", "three", 7, 3) && hears(lena, "alice", "mine", 8, 0));
    CHECK(hears(&four[0], "lena", "three", 7, 3) && hears(&four[2], "lena", "three", 0, 0) &&
          hears(&four[2], "alice", "mine", 0, 0));
    registry_close();
}

static void test_asking_again(void)
{
    const person *lena = &four[1];
    char words[16];
    unsigned i;
    registry_four(0);
    skip();
    CHECK(wants(lena, 1, 3) == 1); /* what was before its join, and its own notice */
    drain();
    CHECK(told(lena, OCM_JOINED, "alice", "alice joined", 1, 0) && told(lena, OCM_JOINED, "lena", "lena joined", 2, 0));
    CHECK(told(lena, OCM_JOINED, "tom", "tom joined", 3, 0) && quiet());
    for (i = 5; i < 105; i++) {
        sprintf(words, "word %u", i);
        CHECK(says(&four[2], words, 0) == 1);
        skip();
    }
    CHECK(wants(lena, 10, 80) == 1); /* counts as 64 */
    drain();
    for (i = 10; i < 74; i++) {
        sprintf(words, "word %u", i);
        CHECK(hears(lena, "tom", words, i, 0));
    }
    CHECK(quiet());
    CHECK(wants(lena, 103, 9) == 1 && wants(lena, 20, 0) == 1);
    drain();
    CHECK(hears(lena, "tom", "word 103", 103, 0) && hears(lena, "tom", "word 104", 104, 0));
    letter_count = 0;
    CHECK(wants(&four[0], 10, 3) == 1 && wants(&four[2], 10, 3) == 1);
    registry_close();
}

/* The log is 64 KiB: what it had to give up is gone, and a status says where it begins. */
static void test_overwritten(void)
{
    static char words[1001];
    const person *lena = &four[1];
    unsigned i, newest, first;
    registry_four(0);
    skip();
    repeat(words, 'w', 1000);
    for (i = 0; i < 200; i++) {
        CHECK(says(&four[0], words, 0) == 1);
        skip();
    }
    CHECK(wants(lena, 1, 5) == 1);
    drain();
    CHECK(letter_count == 1);
    letters[0].bytes[letters[0].len - 1] = 0;
    CHECK(sscanf(strstr((char *)letters[0].bytes + 7 + OCM_TOKEN_LEN, "\"seq\""), "\"seq\":%u,\"first\":%u,\"id\":0}", &newest, &first) == 2);
    CHECK(newest == 204 && first > 150 && first < 190);
    letter_count = 0;
    CHECK(wants(lena, first - 1, 3) == 1); /* of three one is gone */
    drain();
    CHECK(hears(lena, "alice", words, first, 0) && hears(lena, "alice", words, first + 1, 0));
    CHECK(told_status(lena, newest, first, 0) && quiet());
    registry_close();
}

/* lena asks to join again from another host, with that name and token. */
static person comes_back(const char *name, const char *token, int host)
{
    char more[128];
    person p = four[1];
    p.name = name;
    p.at = host_at(host, 4000 + host);
    sprintf(more, ",\"token\":\"%s\"", token);
    CHECK(ask_as('L', OCM_JOIN, "lobby", name, more, &p.at) > 0);
    memcpy(p.token, answer.token, OCM_TOKEN_LEN);
    return p;
}

static void test_coming_back(void)
{
    char done[256];
    person lena, other;
    registry_four(0);
    skip();
    CHECK(says(&four[1], "one", 1) == 1);
    skip();
    CHECK(says(&four[0], "meanwhile", 0) == 1);
    lena = comes_back("lena", four[1].token, 7);
    sprintf(done, "{\"status\":200,\"message\":\"*\",\"token\":\"%s\",\"ocm\":1,\"idle\":300,\"seq\":6,\"log\":*}", four[1].token);
    CHECK(answered(OCM_JOIN, ACK_JSON, "", done, 0) && answer.success && !answer.in);
    CHECK(ocm_registry_counts(reg)->members == 4 && says(&four[1], "x", 0) == 0); /* the old host is a stranger */
    drain();
    CHECK(hears(&lena, "alice", "meanwhile", 6, 0) && hears(&four[2], "alice", "meanwhile", 6, 0) &&
          hears(&four[3], "alice", "meanwhile", 6, 0) && quiet());
    CHECK(sends(&lena, "") == 1 && says(&lena, "again", 1) == 1);
    drain();
    CHECK(hears(&lena, "lena", "again", 7, 1) && told_status(&lena, 7, 1, 1));
    letter_count = 0;
    comes_back("lena", "00000000000000000000000000000000", 8);
    CHECK(answer.status == 409);
    comes_back("lena", "", 8);
    CHECK(answer.status == 409);
    other = comes_back("eve", four[1].token, 8); /* not her name: somebody new */
    CHECK(answer.success && answer.in && strcmp(other.token, four[1].token) != 0 && ocm_registry_counts(reg)->members == 5);
    CHECK(sends(&lena, "") == 1 && sends(&other, "") == 1);
    registry_close();
}

/* A locked room lets its member back without its password, and nobody else. */
static void test_coming_back_locked(void)
{
    char more[128];
    ocm_addr at = host_at(1, 4001), moved = host_at(2, 4002);
    registry_open(1, 4, 0);
    ask_as('L', OCM_CREATE, "lobby", "alice", ",\"password\":\"key\"", &at);
    sprintf(more, ",\"password\":\"key\",\"token\":\"%s\"", last_token());
    CHECK(ask_as('L', OCM_JOIN, "lobby", "alice", more, &moved) > 0 && answer.success && !answer.in);
    ask_as('L', OCM_JOIN, "lobby", "bob", ",\"token\":\"abc\"", &at);
    CHECK(answer.status == 401);
    CHECK(leaves(&four[0]) == 0 && ocm_registry_counts(reg)->members == 1);
    registry_close();
}

static unsigned again_to(const person *p, unsigned count)
{
    unsigned lines = 0;
    size_t i, k;
    CHECK(wants(p, 1, count) == 1);
    drain();
    for (i = 0; i < letter_count; i++)
        for (k = 0; k < letters[i].len; k++) lines += letters[i].bytes[k] == '\n';
    letter_count = 0;
    return lines;
}

static void test_asking_has_its_rate(void)
{
    unsigned i;
    registry_four(10);
    skip();
    for (i = 0; i < 40; i++) {
        now += 1000;
        CHECK(says(&four[2], "x", 0) == 1);
        skip();
    }
    CHECK(again_to(&four[1], 64) == 19); /* a burst of 20, the ask itself counted */
    for (i = 0; i < 100; i++) CHECK(again_to(&four[1], 64) == 0);
    now += 1000;
    CHECK(again_to(&four[1], 64) == 9);
    now += 1000;
    CHECK(again_to(&four[1], 3) == 3 && again_to(&four[1], 64) == 5);
    registry_close();
}

/* An ask costs one and each entry that is there another, not what it names beyond. */
static void test_asking_beyond(void)
{
    int i;
    registry_four(10);
    skip();
    for (i = 0; i < 4; i++) CHECK(again_to(&four[1], 64) == 4);
    CHECK(again_to(&four[1], 64) == 0);
    registry_close();
}

/* A log full of what is still to be sent takes nothing, and after a drain it takes the same. */
static void test_full_log(void)
{
    static char words[2001];
    uint64_t accepted = 0, datagrams, i;
    ocm_addr at = host_at(9, 4009);
    ocm_registry *g;
    registry_four(0);
    g = reg;
    skip();
    repeat(words, 'w', 2000);
    while (says(&four[2], words, 0) == 1 && accepted < 1000) accepted++;
    CHECK(accepted > 5 && accepted < 33 && ocm_registry_counts(g)->messages == accepted);
    datagrams = ocm_registry_counts(g)->datagrams;
    CHECK(says(&four[2], words, 0) == OCM_E_AGAIN && leaves(&four[0]) == OCM_E_AGAIN &&
          says(&four[3], "x", 0) == OCM_E_AGAIN);
    CHECK(ask_as('J', OCM_JOIN, "lobby", "bob", "", &at) == OCM_E_AGAIN);
    CHECK(ocm_registry_undo(g, (const uint8_t *)four[3].token) == OCM_E_AGAIN &&
          ocm_registry_time(g, 305000) == OCM_E_AGAIN);
    CHECK(ocm_registry_counts(g)->datagrams == datagrams && ocm_registry_counts(g)->members == 4);
    drain();
    for (i = 0; i < accepted; i++) {
        CHECK(hears(&four[0], "tom", words, 5 + (unsigned)i, 0) && hears(&four[1], "tom", words, 5 + (unsigned)i, 0));
        CHECK(hears(&four[3], "tom", words, 5 + (unsigned)i, 0));
    }
    CHECK(quiet());
    CHECK(says(&four[2], "x", 0) == 1 && ask_as('J', OCM_JOIN, "lobby", "bob", "", &at) > 0 && answer.success);
    CHECK(ocm_registry_undo(g, answer.token) == 1);
    skip();
    CHECK(ocm_registry_time(g, 305000) == 1);
    skip();
    CHECK(ocm_registry_counts(g)->members == 0);
    registry_close();
}

/* ---- 4. Registry: a million ---- */

static uint64_t drained(void)
{
    ocm_event ev;
    uint64_t count = 0;
    while (ocm_registry_next(reg, &ev)) count++;
    return count;
}

/* Member i of room i % rooms, in the text form. */
static int enter_numbered(uint32_t i, uint32_t rooms)
{
    static uint8_t out[OCM_ANSWER_MAX];
    uint8_t bytes[128], random[16] = {0};
    char room[16], name[16];
    ocm_addr at = host_at(1, 4000);
    int k, len;
    for (k = 0; k < 4; k++) random[k] = (uint8_t)(i >> (24 - 8 * k));
    sprintf(room, "r%u", (unsigned)(i % rooms));
    sprintf(name, "n%u", (unsigned)i);
    len = ocm_frame_encode(bytes, sizeof bytes, i < rooms ? OCM_CREATE : OCM_JOIN, 0, ocm_text(room), ocm_text(name));
    answer.out = out;
    return ocm_registry_request(reg, bytes, (size_t)len, &at, now, random, &answer) > 0 && answer.success;
}

static void test_a_million(void)
{
    const uint32_t rooms = 100000, members = 1000000;
    uint32_t i, found = 0;
    char token[64], room[16];
    ocm_addr at = host_at(1, 4000);
    ocm_limits l = ocm_limits_default();
    l.rooms = rooms;
    l.members = members;
    l.log = 65536;
    CHECK(ocm_registry_size(&l) - 65536 <= (size_t)512 * members);
    registry_open(rooms, members, 0);
    for (i = 0; i < members; i++) {
        found += (uint32_t)enter_numbered(i, rooms);
        drained();
    }
    CHECK(found == members && !enter_numbered(members, rooms) && answer.status == 503);
    CHECK(ocm_registry_counts(reg)->members == members && ocm_registry_counts(reg)->rooms == rooms);
    for (i = 0; i < 1000; i++) { /* a thousand of them speak, each to the nine others of its room */
        sprintf(token, "%08x%024d", (unsigned)(i * 1000), 0);
        sprintf(room, "r%u", (unsigned)(i * 1000 % rooms));
        CHECK(send_as(room, token, "hi", &at) == 1 && drained() == 9);
    }
    now += 300000;
    while (ocm_registry_time(reg, now) == OCM_E_AGAIN) drained();
    drained();
    CHECK(ocm_registry_counts(reg)->members == 0 && ocm_registry_counts(reg)->rooms == 0);
    registry_close();
}

/* ---- 4. Registry: the storm ---- */

/* Random inputs against a model that knows only what was said, by whom, and who was there: each member carries the number
   of the entry that it must be sent next. */

enum { STORM_ROOMS = 5, STORM_MEMBERS = 20, STORM_LIVES = 8, STORM_ENTRIES = 600, STORM_PAD = 1200, STORM_LINE = 2048 };

typedef struct storm_entry {
    char who[8], words[32];
    int operation, sender, pad; /* sender: place in crowd, -1 the server; pad: how many w follow the words */
    unsigned id;
} storm_entry;

typedef struct storm_life { /* one room from its creation until all its members are told of its end */
    int open, name, host, known; /* known: members that are in, or not yet told that they are not */
    unsigned seq;
    storm_entry entry[STORM_ENTRIES + 1];
} storm_life;

typedef struct storm_member {
    person p;
    int used, in, undone, life, fails;
    unsigned next, until, taken, again;
    uint64_t heard, order, failed;
    char room[8], name[8];
} storm_member;

static storm_life lives[STORM_LIVES];
static storm_member crowd[2 * STORM_MEMBERS];
static uint64_t storm_state, storm_order;
static int storm_drained; /* nothing waits to be pulled */
static unsigned storm_words;

/* splitmix64 */
static unsigned chance(unsigned below)
{
    uint64_t z = storm_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ z >> 31) % below);
}

static storm_member *anyone(void)
{
    storm_member *m = &crowd[chance(COUNT(crowd))];
    return m->used && m->in ? m : NULL;
}

static storm_life *life_of(int name)
{
    int i;
    for (i = 0; i < STORM_LIVES; i++)
        if (lives[i].open && lives[i].name == name) return &lives[i];
    return NULL;
}

/* No two ports are alike: an address is a membership. */
static ocm_addr storm_address(int host)
{
    static int port = 1024;
    port = port == 65535 ? 1024 : port + 1;
    return host_at(host, port);
}

static storm_entry *storm_say(int life, int sender, int operation, const char *who, const char *words)
{
    storm_life *l = &lives[life];
    storm_entry *e = &l->entry[++l->seq];
    strcpy(e->who, who);
    strcpy(e->words, words);
    e->sender = sender;
    e->operation = operation;
    e->pad = 0;
    e->id = 0;
    return e;
}

static void storm_end(storm_member *m, const char *why, int undone)
{
    storm_life *l = &lives[m->life];
    char words[64];
    size_t i;
    m->in = 0;
    m->undone = undone;
    m->until = l->seq;
    if (l->host == (int)(m - crowd)) {
        l->open = 0;
        for (i = 0; i < COUNT(crowd); i++)
            if (crowd[i].in && crowd[i].life == m->life) crowd[i].in = 0, crowd[i].until = l->seq;
    } else {
        sprintf(words, "%s left%s", m->name, why);
        storm_say(m->life, -1, OCM_LEFT, m->name, words);
    }
}

static void storm_forget(storm_member *m)
{
    m->used = 0;
    lives[m->life].known--;
}

static const char *storm_text(const char *words, int pad)
{
    static char text[STORM_PAD + 64];
    strcpy(text, words);
    repeat(text + strlen(text), 'w', (size_t)pad);
    return text;
}

/* A member's line of the log, in its form, where * are words that are the server's own. */
static void storm_line(const storm_member *m, const storm_entry *e, unsigned seq, char *out)
{
    const char *sender = e->operation ? "system" : e->who, *text = storm_text(e->words, e->pad);
    if (m->p.kind == 'T' || m->p.kind == 'S') {
        sprintf(out, "%s: %s", sender, text);
        return;
    }
    out += sprintf(out, "{\"sender\":\"%s\"", sender);
    if (e->operation) out += sprintf(out, ",\"operation\":%d,\"username\":\"%s\"", e->operation, e->who);
    out += sprintf(out, ",\"message\":\"%s\",\"seq\":%u", text, seq);
    strcpy(put_number(out, "id", e->id), "}");
}

/* Its own words do not come back to a member below level 1. */
static void storm_pass_own(storm_member *m)
{
    const storm_life *l = &lives[m->life];
    unsigned last = m->in ? l->seq : m->until;
    while (m->p.kind != 'L' && m->next <= last && l->entry[m->next].sender == (int)(m - crowd)) m->next++;
}

static int storm_again(storm_member *m, const char *line)
{
    const char *at = strstr(line, "\"seq\":");
    unsigned seq = at ? (unsigned)strtoul(at + 6, NULL, 10) : 0;
    char expected[STORM_LINE];
    if (seq == 0 || seq >= m->next || m->again == 0) return 0;
    m->again--;
    storm_line(m, &lives[m->life].entry[seq], seq, expected);
    return like((const uint8_t *)line, strlen(line), expected);
}

/* One line to a member: the next of the log, one that it asked for, a status, or its end. */
static void storm_hear(storm_member *m, const char *line, int out)
{
    const storm_life *l = &lives[m->life];
    char expected[STORM_LINE];
    storm_pass_own(m);
    row = line;
    if (out) {
        CHECK(!m->in && !m->undone && m->next == m->until + 1 && strstr(line, "You have been disconnected: "));
        storm_forget(m);
    } else if (strstr(line, "\"operation\":6")) {
        sprintf(expected, "{\"sender\":\"system\",\"operation\":6,\"seq\":%u,\"first\":*,\"id\":%u}", l->seq, m->taken);
        CHECK(m->in && m->p.kind == 'L' && like((const uint8_t *)line, strlen(line), expected));
    } else {
        storm_line(m, &l->entry[m->next], m->next, expected);
        if (m->next <= (m->in ? l->seq : m->until) && like((const uint8_t *)line, strlen(line), expected)) m->next++;
        else CHECK(storm_again(m, line));
    }
    row = "";
}

static void storm_event(letter *l, storm_member **to)
{
    static char line[OCM_DATAGRAM_MAX + 1];
    storm_member *m = NULL;
    size_t i, from, end;
    for (i = 0; i < COUNT(crowd); i++)
        if (crowd[i].used && same_address(&crowd[i].p.at, &l->to)) m = &crowd[i];
    *to = m;
    if (!CHECK(m != NULL)) return; /* to a stranger */
    from = header_of(&m->p, l);
    CHECK(from < l->len);
    for (; from < l->len; from = end + 1) {
        for (end = from; end < l->len && (m->p.kind != 'L' || l->bytes[end] != '\n'); end++) {}
        if (end == from) continue; /* an empty line fills up a datagram */
        memcpy(line, l->bytes + from, end - from);
        line[end - from] = 0;
        storm_hear(m, line, l->out);
    }
}

/* Of a member that is said to be failing, every send fails. */
static void storm_fail(storm_member *m, const ocm_event *ev)
{
    uint32_t before = ocm_registry_counts(reg)->members;
    int may_end;
    if (m->fails++ == 0) m->failed = now;
    may_end = m->in && m->fails >= 3 && now - m->failed >= 10000;
    ocm_registry_failed(reg, ev, now);
    if (ocm_registry_counts(reg)->members == before) { /* not yet, or the log is full and it goes with the next failure */
        CHECK(!may_end || !ocmi_log_reserve(reg));
        return;
    }
    CHECK(may_end);
    storm_end(m, ": *", 0);
}

static void storm_pull(unsigned most)
{
    static letter l;
    storm_member *m = NULL;
    ocm_event ev;
    size_t i;
    while (most-- > 0) {
        if (!ocm_registry_next(reg, &ev)) {
            storm_drained = 1;
            break;
        }
        for (i = 0; i < ev.len; i += ev.each) {
            letter_of(&l, &ev, i);
            storm_event(&l, &m);
        }
        if (!m || !m->used || ev.out) continue;
        if (m->p.name[1] == '0' && chance(3)) storm_fail(m, &ev); /* who is called n0 has a bad line */
        else m->fails = 0;
    }
    for (i = 0; storm_drained && i < COUNT(crowd); i++) {
        if (!crowd[i].used) continue;
        storm_pass_own(&crowd[i]);
        CHECK(crowd[i].next == (crowd[i].in ? lives[crowd[i].life].seq : crowd[i].until) + 1);
        CHECK(crowd[i].in || crowd[i].undone);
        if (!crowd[i].in) storm_forget(&crowd[i]);
    }
}

/* The registry has what the model has. Those of a closed room count until they are told. */
static void storm_count(void)
{
    uint32_t rooms = 0, members = 0, i;
    for (i = 0; i < STORM_LIVES; i++) rooms += (uint32_t)lives[i].open;
    for (i = 0; i < COUNT(crowd); i++) members += (uint32_t)crowd[i].in;
    CHECK(ocm_registry_counts(reg)->rooms == rooms);
    CHECK(storm_drained ? ocm_registry_counts(reg)->members == members : ocm_registry_counts(reg)->members >= members);
}

static void storm_drain(void)
{
    storm_drained = 0;
    storm_pull(1000000);
    storm_count();
}

static int storm_name_taken(int life, const char *name)
{
    size_t i;
    for (i = 0; i < COUNT(crowd); i++)
        if (crowd[i].in && crowd[i].life == life && strcmp(crowd[i].name, name) == 0) return 1;
    return 0;
}

static int storm_open(int name, int host)
{
    int i;
    for (i = 0; lives[i].open || lives[i].known; i++) {}
    lives[i].open = 1;
    lives[i].name = name;
    lives[i].host = host;
    lives[i].seq = 0;
    return i;
}

static void storm_entered(int op, int room_name, const char *name, char kind, const ocm_addr *at)
{
    storm_member *m = crowd;
    char words[32];
    while (m->used) m++;
    memset(m, 0, sizeof *m);
    sprintf(m->room, "r%d", room_name);
    strcpy(m->name, name);
    m->p.room = m->room;
    m->p.name = m->name;
    m->p.kind = kind;
    m->p.at = *at;
    memcpy(m->p.token, answer.token, OCM_TOKEN_LEN);
    m->used = m->in = 1;
    m->heard = now;
    m->order = ++storm_order;
    m->life = op == OCM_CREATE ? storm_open(room_name, (int)(m - crowd)) : (int)(life_of(room_name) - lives);
    lives[m->life].known++;
    sprintf(words, "%s joined", name);
    storm_say(m->life, -1, OCM_JOINED, name, words);
    m->next = lives[m->life].seq + 1;
}

static void storm_request(void)
{
    int op = chance(3) ? OCM_JOIN : OCM_CREATE, room_name = (int)chance(STORM_ROOMS + 1), expected;
    const storm_life *l = life_of(room_name);
    ocm_addr at = storm_address(1 + (int)chance(3));
    char kind = "JLTS"[chance(4)], room[8], name[8];
    sprintf(room, "r%d", room_name);
    sprintf(name, "n%u", chance(8));
    if (l && l->seq > STORM_ENTRIES - 100) return;
    expected = op == OCM_CREATE ? (l ? 409 : 201) : !l ? 404 : storm_name_taken((int)(l - lives), name) ? 409 : 200;
    if (ask_as(kind, op, room, name, "", &at) == OCM_E_AGAIN) {
        storm_drain();
        storm_request();
        return;
    }
    if (answer.status == 503 && expected < 300) {
        uint32_t rooms = ocm_registry_counts(reg)->rooms, members = ocm_registry_counts(reg)->members;
        CHECK(!storm_drained || members == STORM_MEMBERS || (op == OCM_CREATE && rooms == STORM_ROOMS));
        return;
    }
    CHECK(answer.status == expected);
    if (answer.success) storm_entered(op, room_name, name, kind, &at);
    storm_drained = storm_drained && !answer.success;
}

/* A JSON member comes back with its token, from another place. */
static void storm_come_back(storm_member *m)
{
    ocm_addr at = storm_address(1 + (int)chance(3));
    char more[96];
    sprintf(more, ",\"token\":\"%s\"", m->p.token);
    if (m->p.kind != 'L' || ask_as('L', OCM_JOIN, m->room, m->name, more, &at) == OCM_E_AGAIN) return;
    CHECK(answer.success && !answer.in && memcmp(answer.token, m->p.token, OCM_TOKEN_LEN) == 0);
    m->p.at = at;
    m->taken = 0;
    m->fails = 0; /* they were of the address before */
    m->heard = now;
    m->order = ++storm_order;
}

static void storm_heard(storm_member *m)
{
    m->heard = now;
    m->order = ++storm_order;
    storm_drained = 0;
}

/* The host goes before its room has more entries than the model can hold. */
static int storm_is_long(const storm_member *m)
{
    storm_member *host = &crowd[lives[m->life].host];
    if (lives[m->life].seq < STORM_ENTRIES - 50) return 0;
    if (leaves(&host->p) == 1) storm_end(host, "", 0);
    storm_drained = 0;
    return 1;
}

static void storm_speak(storm_member *m)
{
    char words[32];
    int pad = chance(3) ? 0 : (int)chance(STORM_PAD);
    unsigned id = m->p.kind == 'L' && chance(4) ? m->taken + chance(3) : 0;
    storm_entry *e;
    person from;
    if (storm_is_long(m)) return;
    sprintf(words, "word %u ", ++storm_words);
    from = m->p;
    if (!chance(4)) from.at.port = storm_address(1).port;
    if (says(&from, storm_text(words, pad), id) == OCM_E_AGAIN) {
        storm_drain();
        if (!m->in) return;
        CHECK(says(&from, storm_text(words, pad), id) == 1);
    }
    m->p.at = from.at;
    storm_heard(m);
    if (id && id != m->taken + 1) return;
    if (id) m->taken = id;
    e = storm_say(m->life, (int)(m - crowd), 0, m->name, words);
    e->id = id;
    e->pad = pad;
}

static void storm_ask(storm_member *m)
{
    unsigned count = chance(100);
    if (m->p.kind == 'T' || m->p.kind == 'S') return; /* it would be a message */
    if (wants(&m->p, 1 + chance(lives[m->life].seq), count) != 1) return;
    storm_heard(m);
    m->again += count;
}

/* What must be dropped: another host, another room, a token that is nobody's, any bytes. */
static void storm_forge(storm_member *m)
{
    uint8_t bytes[200];
    char token[OCM_TOKEN_LEN + 1];
    ocm_addr at = m->p.at;
    size_t i, len = chance(sizeof bytes);
    unsigned how = chance(4);
    strcpy(token, m->p.token);
    token[chance(OCM_TOKEN_LEN)] ^= 'a' ^ 'x';
    at.ip[15] = (uint8_t)(at.ip[15] + 10);
    for (i = 0; i < len; i++) bytes[i] = (uint8_t)chance(256);
    if (how == 0) CHECK(send_as(m->room, m->p.token, "forged", &at) == 0);
    if (how == 1) CHECK(send_as("elsewhere", m->p.token, "forged", &m->p.at) == 0);
    if (how == 2) CHECK(send_as(m->room, token, "forged", &m->p.at) == 0);
    if (how == 3) CHECK(send_bytes(bytes, len, &m->p.at) == 0);
}

static void storm_clock(void)
{
    storm_member *first;
    size_t i;
    now += chance(50) ? chance(2000) : chance(200000);
    for (;;) {
        for (first = NULL, i = 0; i < COUNT(crowd); i++)
            if (crowd[i].in && (!first || crowd[i].order < first->order)) first = &crowd[i];
        if (!first || first->heard + 300000 > now) break;
        storm_end(first, ": *", 0);
    }
    while (ocm_registry_time(reg, now) == OCM_E_AGAIN) storm_pull(1000000);
    storm_drained = 0;
}

static void storm_leave(storm_member *m)
{
    unsigned undo = chance(2);
    int result = undo ? ocm_registry_undo(reg, (const uint8_t *)m->p.token) : leaves(&m->p);
    if (result == OCM_E_AGAIN) return;
    CHECK(result == 1);
    storm_end(m, undo ? ": *" : "", (int)undo);
    storm_drained = 0;
}

static void storm_step(long step)
{
    int stuck = step / 300 % 4 == 3; /* the program's socket takes nothing, and the log fills up */
    unsigned what = chance(40);
    storm_member *m = anyone();
    if (what < 6) storm_request();
    else if (what == 6) storm_clock();
    else if (what == 7 && chance(10) == 0) storm_drain();
    else if (what < 12) storm_pull(stuck ? 0 : chance(what == 8 ? 200 : 8));
    else if (!m) return;
    else if (what == 12 && chance(2) == 0) storm_leave(m);
    else if (what < 15) storm_ask(m);
    else if (what < 17) storm_forge(m);
    else if (what == 17) storm_come_back(m);
    else if (what == 18 && sends(&m->p, "") == 1) storm_heard(m);
    else if (what > 18) storm_speak(m);
    storm_count();
}

/* After the storm all places are free, and can be filled again. */
static void storm_is_over(void)
{
    uint32_t i;
    ocm_addr at = host_at(1, 4001);
    now += 300000;
    for (i = 0; i < COUNT(crowd); i++) crowd[i].in = 0;
    while (ocm_registry_time(reg, now) == OCM_E_AGAIN) drained();
    drained();
    CHECK(ocm_registry_counts(reg)->rooms == 0 && ocm_registry_counts(reg)->members == 0);
    CHECK(ocm_registry_deadline(reg) == UINT64_MAX);
    for (i = 0; i < STORM_MEMBERS; i++) {
        CHECK(enter_numbered(i, STORM_ROOMS));
        drained();
    }
    CHECK(ask_as('J', OCM_JOIN, "r0", "one more", "", &at) > 0 && answer.status == 503);
}

static void storm_of(unsigned long dice_seed)
{
    long i;
    memset(lives, 0, sizeof lives);
    memset(crowd, 0, sizeof crowd);
    storm_state = dice_seed;
    storm_drained = 1;
    train = 1u << dice_seed % 6;
    registry_open(STORM_ROOMS, STORM_MEMBERS, 0);
    for (i = 0; i < 100000 && broken == 0; i++) storm_step(i);
    if (broken) printf("   storm of seed %lu, step %ld\n", dice_seed, i);
    storm_drain();
    storm_is_over();
    registry_close();
    train = 4;
}

static void test_storm(void)
{
    unsigned long i;
    for (i = 0; i < 20 && broken == 0; i++) storm_of(seed + i);
}

/* However often a room is made and left again, the entries of all its lives are found at once. */
static void test_chains(void)
{
    uint32_t i, slot, longest = 0, length;
    registry_open(1, 1, 0);
    for (i = 0; i < 5000; i++) {
        person host = enter(OCM_CREATE, "lobby", "host", 'T', 1);
        CHECK(leaves(&host) == 1);
        skip();
    }
    for (i = 0; i <= reg->entries.mask; i++) {
        for (length = 0, slot = reg->entries.head[i]; slot; slot = reg->entries.next[slot]) length++;
        if (length > longest) longest = length;
    }
    CHECK(longest > 0 && longest < 20);
    registry_close();
}

/* Rooms come and go in any order, members too: the lists say each time who is there, and in the end all are told. */
static void lists_are(unsigned rooms, const unsigned *size, person (*people)[3])
{
    ocm_addr at = host_at(9, 4009);
    char line[128];
    size_t room, i, bytes = 0;
    ask(OCM_LIST, 0, "", "{}", &at);
    for (room = 0; room < rooms; room++) {
        sprintf(line, "{\"room\":\"r%u\",\"size\":%u,\"password_required\":false}\n", (unsigned)room, size[room]);
        CHECK(listed(line) == (size[room] > 0));
        bytes += size[room] ? strlen(line) : 0;
    }
    CHECK(answer.len == OCM_HEADER_LEN + bytes);
    for (room = 0; room < rooms; room++) {
        if (size[room] == 0) continue;
        ask(OCM_LIST, 0, people[room][0].room, "{}", &at);
        for (bytes = 0, i = 0; i < size[room]; i++) {
            sprintf(line, "{\"username\":\"%s\",\"host\":%s}\n", people[room][i].name, i ? "false" : "true");
            CHECK(listed(line));
            bytes += strlen(line);
        }
        CHECK(answer.len == OCM_HEADER_LEN + bytes);
    }
}

static void test_lists_follow(void)
{
    static const char *const rooms[] = {"r0", "r1", "r2", "r3"}, *const names[] = {"a", "b", "c"};
    person people[COUNT(rooms)][3];
    unsigned size[COUNT(rooms)] = {0}, step, room;
    storm_state = seed;
    registry_open(COUNT(rooms), 3 * COUNT(rooms), 0);
    for (step = 0; step < 500 && !broken; step++) {
        unsigned n = size[room = chance(COUNT(rooms))];
        if (n < 3 && chance(2)) {
            people[room][n] = enter(n ? OCM_JOIN : OCM_CREATE, rooms[room], names[n], "JLTS"[chance(4)], (int)(1 + 3 * room + n));
            size[room]++;
        } else if (n > 0) {
            size[room] = chance(2) ? 0 : n - 1; /* the host goes, or who came last */
            CHECK(leaves(&people[room][size[room]]) == 1);
        }
        skip();
        lists_are(COUNT(rooms), size, people);
    }
    ocm_registry_stop(reg);
    skip();
    CHECK(ocm_registry_counts(reg)->rooms == 0 && ocm_registry_counts(reg)->members == 0);
    registry_close();
}

/* ---- 5. Session, over a network that loses ---- */

/* A registry and sessions, with a network between them that is nothing but a heap of packets and the times at which they arrive.
   The clock jumps from one event to the next, so an hour of chat takes a moment, and a seed repeats it to the bit. */

enum { NET_MEMBERS = 21, NET_MESSAGES = 4000, NET_THINGS = 1 << 17 };
enum { NET_UP, NET_DOWN, NET_CONNECTED, NET_REQUEST, NET_ANSWER, NET_REFUSED, NET_TYPE };

typedef struct net_thing { /* something that is to happen */
    uint64_t at, order; /* order: of two at the same time the older first */
    int kind, member;
    unsigned call;      /* the connection, or the number of the message to type */
    ocm_addr addr;      /* where a datagram comes from, or goes to */
    uint8_t *bytes;
    size_t len;
} net_thing;

typedef struct net_message {
    int sender, refusable;
    int refused, unsure;  /* how often its sender was told so */
    uint64_t typed, last; /* last: when the last member has shown it */
    uint64_t seq;
    size_t len;
} net_message;

typedef struct net_member {
    ocm_session *s; /* NULL: a member that only counts what it gets */
    int form;
    ocm_addr addr;
    int cut, deaf;  /* nothing passes; nothing comes down to it */
    int lose_answer;
    unsigned call;  /* its newest connection: what comes on an older one is for nobody */
    uint64_t wake;
    size_t waiting[NET_MESSAGES], first_waiting, end_waiting; /* typed, but more are under way than a session takes */
    uint8_t shown[NET_MESSAGES];
    size_t last_of[NET_MEMBERS];
    uint64_t seq, back_at;
    int in, silent, back, ended, end_kind, misses, left, disorder, foreign;
    uint64_t missed;
    unsigned long sent, got;
    uint8_t token[OCM_TOKEN_LEN]; /* as the server gave it: what a thief may have learnt */
} net_member;

typedef struct net_world {
    ocm_registry *reg; /* NULL: the server is down */
    ocm_limits limits;
    uint64_t now, order, random;
    int loss, twice; /* percent */
    uint32_t delay_min, delay_max;
    int cut;         /* nothing passes at all */
    int members;
    size_t messages, things;
    unsigned long astray, served; /* datagrams to nobody's address; datagrams that the server sent */
    net_message message[NET_MESSAGES];
    net_member member[NET_MEMBERS];
    uint32_t *delays; /* of each show, if wanted */
    size_t delay_count;
    net_thing thing[NET_THINGS];
} net_world;

static uint32_t net_random(net_world *w, uint32_t below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->random >> 33) % below;
}

static int net_earlier(const net_thing *a, const net_thing *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static net_thing *net_put(net_world *w, uint64_t at, int kind, int member)
{
    size_t i = w->things++;
    net_thing t;
    if (w->things > NET_THINGS) printf("the simulated network is full\n"), exit(2);
    memset(&t, 0, sizeof t);
    t.at = at, t.order = ++w->order, t.kind = kind, t.member = member;
    for (; i && net_earlier(&t, &w->thing[(i - 1) / 2]); i = (i - 1) / 2) w->thing[i] = w->thing[(i - 1) / 2];
    w->thing[i] = t;
    return &w->thing[i];
}

static net_thing net_take(net_world *w)
{
    net_thing top = w->thing[0], last = w->thing[--w->things];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < w->things) {
        if (child + 1 < w->things && net_earlier(&w->thing[child + 1], &w->thing[child])) child++;
        if (!net_earlier(&w->thing[child], &last)) break;
        w->thing[i] = w->thing[child];
        i = child;
    }
    w->thing[i] = last;
    return top;
}

static uint64_t net_delay(net_world *w)
{
    return w->delay_min + net_random(w, w->delay_max - w->delay_min + 1);
}

/* A datagram, which the network may lose, double and delay. */
static void net_send(net_world *w, int kind, int member, const ocm_addr *addr, ocm_view bytes)
{
    const net_member *m = &w->member[member];
    int copies = net_random(w, 100) < (uint32_t)w->twice ? 2 : 1;
    if (w->cut || m->cut || (kind == NET_DOWN && m->deaf)) return;
    while (copies--) {
        net_thing *t;
        if (net_random(w, 100) < (uint32_t)w->loss) continue;
        t = net_put(w, w->now + net_delay(w), kind, member);
        t->addr = *addr;
        t->bytes = copy(bytes.ptr, bytes.len);
        t->len = bytes.len;
    }
}

/* -- the server's side -- */

static void net_start(net_world *w)
{
    uint8_t key[16];
    int i;
    for (i = 0; i < 16; i++) key[i] = (uint8_t)net_random(w, 256);
    w->reg = ocm_registry_init(allocate(ocm_registry_size(&w->limits)), &w->limits, key);
}

static void net_kill(net_world *w)
{
    free(w->reg);
    w->reg = NULL;
}

static int net_member_at(const net_world *w, const ocm_addr *a)
{
    int i;
    for (i = 0; i < w->members; i++)
        if (memcmp(w->member[i].addr.ip, a->ip, 16) == 0 && w->member[i].addr.port == a->port) return i;
    return -1;
}

/* All that the server has to send. */
static void net_drain(net_world *w)
{
    static ocm_event ev;
    while (ocm_registry_next(w->reg, &ev)) {
        int member = net_member_at(w, &ev.to);
        size_t at;
        for (at = 0; at < ev.len; at += ev.each) {
            w->served++;
            if (member < 0) w->astray++;
            else net_send(w, NET_DOWN, member, &ev.to, view(ev.ptr + at, ev.len - at < ev.each ? ev.len - at : ev.each));
        }
    }
}

static int net_serve(net_world *w, const net_thing *t)
{
    int result;
    if (!w->reg) return 0;
    while ((result = ocm_registry_datagram(w->reg, t->bytes, t->len, &t->addr, w->now)) == OCM_E_AGAIN) net_drain(w);
    net_drain(w);
    return result;
}

/* A request has arrived: its answer goes back. */
static void net_serve_request(net_world *w, const net_thing *t)
{
    static uint8_t out[OCM_ANSWER_MAX];
    uint8_t random[16];
    net_thing *back;
    ocm_answer a;
    int i;
    if (!w->reg) return;
    for (i = 0; i < 16; i++) random[i] = (uint8_t)net_random(w, 256);
    a.out = out;
    while (ocm_registry_request(w->reg, t->bytes, t->len, &t->addr, w->now, random, &a) == OCM_E_AGAIN) net_drain(w);
    net_drain(w);
    if (a.success) memcpy(w->member[t->member].token, a.token, OCM_TOKEN_LEN);
    if (w->member[t->member].lose_answer) return; /* the connection dies with the answer in the server's socket */
    back = net_put(w, w->now + a.delay + net_delay(w), NET_ANSWER, t->member);
    back->call = t->call;
    back->bytes = copy(out, a.len);
    back->len = a.len;
}

/* -- a member's side -- */

/* A session says a text that its own check would have refused: what a client does that has no such check. */
static void net_say_too_long(ocm_session *s)
{
    ocmi_said *m = ocmi_said_at(s, s->said_count - 1);
    memset(m->text + m->len, 'x', OCM_SPEECH_MAX - m->len);
    m->len = OCM_SPEECH_MAX;
}

static void net_say(net_world *w, net_member *m)
{
    static char text[OCM_SPEECH_MAX + 1];
    while (m->first_waiting < m->end_waiting && ocm_session_ready(m->s)) {
        size_t k = m->waiting[m->first_waiting], n;
        n = (size_t)sprintf(text, "#%lu ", (unsigned long)k);
        while (n < w->message[k].len) text[n++] = '.';
        if (!CHECK(ocm_session_say(m->s, view(text, n)) == 1)) return;
        if (w->message[k].refusable) net_say_too_long(m->s);
        m->first_waiting++;
    }
}

/* Which message it is: #17 is the 17th. */
static size_t net_number(ocm_view text)
{
    size_t i = 0, n = 0;
    while (i < text.len && text.ptr[i] != '#') i++;
    for (i++; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) n = n * 10 + (size_t)(text.ptr[i] - '0');
    return n < NET_MESSAGES ? n : 0;
}

static void net_show_message(net_world *w, net_member *m, const ocm_action *a)
{
    size_t k = net_number(a->text);
    net_message *said = &w->message[k];
    int own = said->sender == (int)(m - w->member);
    if (k == 0 || k > w->messages || (m->form == OCM_FORM_JSON && a->own != own)) {
        m->foreign++;
        return;
    }
    if (m->shown[k] < 255) m->shown[k]++;
    if (m->form == OCM_FORM_JSON && (a->seq <= m->seq || (said->seq && said->seq != a->seq) || k <= m->last_of[said->sender])) m->disorder++;
    m->seq = said->seq = a->seq;
    m->last_of[said->sender] = k;
    said->last = w->now;
    if (w->delays && m->shown[k] == 1 && !own) w->delays[w->delay_count++] = (uint32_t)(w->now - said->typed);
}

static int net_ends_with(ocm_view text, const char *end)
{
    size_t n = strlen(end);
    return text.len >= n && memcmp(text.ptr + text.len - n, end, n) == 0;
}

static void net_show(net_world *w, net_member *m, const ocm_action *a)
{
    if (a->kind == OCM_SHOW_IN) m->in++;
    if (a->kind == OCM_SHOW_MESSAGE) net_show_message(w, m, a);
    if (a->kind == OCM_SHOW_NOTICE && !net_ends_with(a->text, " joined")) m->left++;
    if (a->kind == OCM_SHOW_REFUSED) w->message[net_number(a->text)].refused++;
    if (a->kind == OCM_SHOW_UNSURE) w->message[net_number(a->text)].unsure++;
    if (a->kind == OCM_SHOW_MISSED) m->misses++, m->missed += a->count;
    if (a->kind == OCM_SHOW_SILENT) m->silent++;
    if (a->kind == OCM_SHOW_BACK) m->back++, m->back_at = w->now;
}

/* Through a network that is down no connection comes about: the session's own patience ends it. */
static void net_connect(net_world *w, net_member *m)
{
    net_thing *t;
    m->call++;
    if (w->cut || m->cut) return;
    t = net_put(w, w->now + 2 * net_delay(w), w->reg ? NET_CONNECTED : NET_REFUSED, (int)(m - w->member));
    t->call = m->call;
}

/* Does what the session wants, until it wants nothing. */
static void net_pull(net_world *w, net_member *m)
{
    int turns = 0;
    ocm_action a;
    if (!m->s) return;
    net_say(w, m);
    while (ocm_session_next(m->s, w->now, &a) && CHECK(++turns < 1000)) {
        if (a.what == OCM_DO_CONNECT) net_connect(w, m);
        if (a.what == OCM_DO_SEND) m->sent++, net_send(w, NET_UP, (int)(m - w->member), &m->addr, a.text);
        if (a.what == OCM_DO_SHOW) net_show(w, m, &a);
        if (a.what == OCM_DO_END) m->ended++, m->end_kind = a.kind;
        net_say(w, m);
    }
    m->wake = ocm_session_deadline(m->s);
    if (!CHECK(m->wake > w->now)) m->wake = w->now + 1;
}

/* What comes on a connection. While the network is down it waits: TCP repeats it. */
static void net_call(net_world *w, net_member *m, net_thing *t)
{
    char ip[32];
    ocm_view request;
    net_thing *next;
    if (t->call != m->call) return;
    if (w->cut || m->cut) {
        next = net_put(w, w->now + 500, t->kind, t->member);
        next->call = t->call, next->addr = t->addr, next->len = t->len, next->bytes = t->bytes;
        t->bytes = NULL;
    } else if (t->kind == NET_REQUEST) {
        net_serve_request(w, t);
    } else if (t->kind == NET_REFUSED) {
        ocm_session_broken(m->s, w->now);
    } else if (t->kind == NET_ANSWER && m->s) {
        size_t at = 0;
        int n;
        while (at < t->len && (n = ocm_session_answer(m->s, t->bytes + at, t->len - at, w->now)) > 0) at += (size_t)n;
    } else if (t->kind == NET_CONNECTED) {
        sprintf(ip, "%d.%d.%d.%d", m->addr.ip[12], m->addr.ip[13], m->addr.ip[14], m->addr.ip[15]);
        request = ocm_session_request(m->s, ocm_text(ip), m->addr.port, w->now);
        next = net_put(w, w->now + net_delay(w), NET_REQUEST, t->member);
        next->call = t->call, next->addr = m->addr, next->bytes = copy(request.ptr, request.len), next->len = request.len;
    }
}

/* Only what is sent to where a member is now reaches it. */
static void net_arrive(net_world *w, net_member *m, const net_thing *t)
{
    if (m->cut || w->cut || memcmp(&t->addr, &m->addr, sizeof t->addr) != 0) return;
    m->got++;
    if (m->s) ocm_session_datagram(m->s, t->bytes, t->len, w->now);
}

static void net_happen(net_world *w, net_thing *t)
{
    net_member *m = &w->member[t->member];
    if (t->kind == NET_UP) net_serve(w, t);
    else if (t->kind == NET_DOWN) net_arrive(w, m, t);
    else if (t->kind == NET_TYPE) m->waiting[m->end_waiting++] = t->call, w->message[t->call].typed = w->now;
    else net_call(w, m, t);
    free(t->bytes);
    net_pull(w, m);
}

/* -- the world -- */

/* Whose time comes first: -1 = the next thing's, -2 = the server's, else that member's. */
static uint64_t net_next(const net_world *w, int *who)
{
    uint64_t at = w->things ? w->thing[0].at : UINT64_MAX;
    int i;
    *who = -1;
    if (w->reg && ocm_registry_deadline(w->reg) < at) at = ocm_registry_deadline(w->reg), *who = -2;
    for (i = 0; i < w->members; i++)
        if (w->member[i].s && w->member[i].wake < at) at = w->member[i].wake, *who = i;
    return at;
}

static void net_run_until(net_world *w, uint64_t until)
{
    net_thing t;
    uint64_t at;
    int who;
    while ((at = net_next(w, &who)) <= until) {
        if (at > w->now) w->now = at;
        if (who >= 0) {
            net_pull(w, &w->member[who]);
        } else if (who == -1) {
            t = net_take(w);
            net_happen(w, &t);
        } else {
            while (ocm_registry_time(w->reg, w->now) == OCM_E_AGAIN) net_drain(w);
            net_drain(w);
        }
    }
    w->now = until;
}

static void net_run(net_world *w, uint64_t ms)
{
    net_run_until(w, w->now + ms);
}

/* A network that loses and doubles so many percent, and delays by so many ms. */
static net_world *net_open(int loss, int twice, uint32_t delay_min, uint32_t delay_max)
{
    net_world *w = (net_world *)allocate(sizeof *w);
    w->limits = ocm_limits_default();
    w->limits.members = 100;
    w->limits.rooms = 10;
    w->limits.train = 4;
    w->now = 1000;
    w->random = seed * 2654435761u + 12345;
    w->loss = loss, w->twice = twice;
    w->delay_min = delay_min, w->delay_max = delay_max;
    return w;
}

static void net_close(net_world *w)
{
    int i;
    while (w->things) free(w->thing[--w->things].bytes);
    for (i = 0; i < w->members; i++) free(w->member[i].s);
    free(w->reg);
    free(w->delays);
    free(w);
}

static net_member *net_place(net_world *w)
{
    net_member *m = &w->member[w->members];
    unhex("00000000000000000000ffff0a000001", m->addr.ip);
    m->addr.ip[15] = (uint8_t)(1 + w->members);
    m->addr.port = (uint16_t)(4000 + w->members++);
    m->wake = UINT64_MAX;
    return m;
}

static net_member *net_join(net_world *w, int want, int form)
{
    net_member *m = net_place(w);
    char name[32];
    const ocm_view none = {NULL, 0};
    sprintf(name, "member%d", w->members - 1);
    m->form = form;
    m->s = (ocm_session *)allocate(sizeof *m->s);
    CHECK(ocm_session_open(m->s, want, form, ocm_text("lobby"), ocm_text(name), none) == 1);
    net_pull(w, m);
    return m;
}

/* A member without a session: what it sends is written by the test. */
static net_member *net_join_raw(net_world *w, uint64_t level)
{
    net_member *m = net_place(w);
    uint8_t out[512];
    ocm_request q = request_of(OCM_FORM_JSON);
    net_thing t;
    q.name = ocm_text("raw");
    q.password.len = q.token.len = 0;
    q.port = m->addr.port;
    q.level = level;
    memset(&t, 0, sizeof t);
    t.member = w->members - 1;
    t.addr = m->addr;
    t.bytes = out;
    t.len = (size_t)ocm_request_encode(out, sizeof out, &q);
    net_serve_request(w, &t);
    return m;
}

/* A server and a room in which so many sessions are. The first has created it. */
static net_world *net_crowd(net_world *w, int members)
{
    int i;
    net_start(w);
    for (i = 0; i < members; i++) {
        net_join(w, i ? OCM_JOIN : OCM_CREATE, OCM_FORM_JSON);
        net_run(w, 2000);
        CHECK(w->member[i].in == 1);
    }
    net_run(w, 10000);
    return w;
}

/* So many messages of one member, or of all in turn by lot (sender < 0), every few ms from now on. */
static void net_type(net_world *w, int sender, size_t count, uint32_t every, size_t len)
{
    uint64_t at = w->now;
    while (count--) {
        int member = sender >= 0 ? sender : (int)net_random(w, (uint32_t)w->members);
        net_message *m = &w->message[++w->messages];
        at += every / 2 + net_random(w, every + 1);
        m->sender = member;
        m->len = len;
        m->typed = at;
        net_put(w, at, NET_TYPE, member)->call = (unsigned)w->messages;
    }
}

static uint64_t net_last_typed(const net_world *w)
{
    uint64_t last = 0;
    size_t k;
    for (k = 1; k <= w->messages; k++)
        if (w->message[k].typed > last) last = w->message[k].typed;
    return last;
}

/* How many pairs of member and message are not as they should be: shown exactly once, or, if refusable, never. */
static size_t net_wrong(const net_world *w, size_t from)
{
    size_t k, wrong = 0;
    int i;
    for (k = from; k <= w->messages; k++)
        for (i = 0; i < w->members; i++)
            if (w->member[i].s && w->member[i].shown[k] != !w->message[k].refusable) wrong++;
    return wrong;
}

/* Nobody believes a message refused that was not, or lost that arrived. */
static size_t net_misjudged(const net_world *w)
{
    size_t k, wrong = 0;
    for (k = 1; k <= w->messages; k++)
        if (w->message[k].refused != w->message[k].refusable || w->message[k].unsure) wrong++;
    return wrong;
}

static size_t net_late(const net_world *w, uint64_t until)
{
    size_t k, late = 0;
    for (k = 1; k <= w->messages; k++) late += w->message[k].last > until;
    return late;
}

/* What holds in a room where nothing may be lost, by the time `until`. */
static void net_check(const net_world *w, uint64_t until)
{
    int i;
    CHECK(net_wrong(w, 1) == 0);
    CHECK(net_misjudged(w) == 0);
    CHECK(net_late(w, until) == 0);
    for (i = 0; i < w->members; i++) {
        const net_member *m = &w->member[i];
        CHECK(m->disorder == 0 && m->foreign == 0);
        CHECK(!m->ended && m->misses == 0 && m->left == 0 && m->first_waiting == m->end_waiting);
        CHECK(!m->s || m->s->said_count == 0);
    }
}

/* -- 1 to 3: nothing lost -- */

static void test_net_loss(void)
{
    net_world *w = net_crowd(net_open(30, 10, 1, 250), 20);
    net_type(w, -1, 1000, 50, 10);
    net_run_until(w, net_last_typed(w) + 20000);
    CHECK(w->messages == 1000);
    net_check(w, net_last_typed(w) + 10000);
    net_close(w);
}

/* One message in ten is one that the server refuses. */
static void test_net_refused(void)
{
    net_world *w = net_crowd(net_open(30, 10, 1, 250), 20);
    size_t k, refusable = 0;
    net_type(w, -1, 1000, 50, 10);
    for (k = 1; k <= w->messages; k++) refusable += (size_t)(w->message[k].refusable = net_random(w, 10) == 0);
    net_run_until(w, net_last_typed(w) + 20000);
    CHECK(refusable > 50 && refusable < 200);
    net_check(w, net_last_typed(w) + 10000);
    net_close(w);
}

/* Nothing passes for so long, in the middle of the talk. */
static void net_outage(uint64_t ms, uint32_t every)
{
    net_world *w = net_crowd(net_open(30, 10, 1, 250), 20);
    uint64_t end;
    net_type(w, -1, 1000, every, 10);
    net_run(w, 10000);
    w->cut = 1;
    net_run(w, ms);
    w->cut = 0;
    end = net_last_typed(w) > w->now ? net_last_typed(w) : w->now;
    net_run_until(w, end + 20000);
    net_check(w, end + 10000);
    net_close(w);
}

static void test_net_outage_5_s(void)
{
    net_outage(5000, 100);
}

static void test_net_outage_60_s(void)
{
    net_outage(60000, 200); /* the rate of 50 a second bounds how much can be caught up in 10 s */
}

/* -- 4: longer away than the log lasts -- */

static void test_net_missed(void)
{
    net_world *w = net_open(0, 0, 1, 50);
    net_member *away = &w->member[1];
    size_t k, unseen = 0, last;
    int i;
    w->limits.log = 0; /* the least there is: 64 KiB */
    net_crowd(w, 3);
    net_type(w, 0, 10, 100, 500);
    net_run(w, 5000);
    away->cut = 1;
    net_type(w, 0, 300, 100, 500);
    net_run(w, 60000);
    away->cut = 0;
    net_run(w, 15000);
    for (last = w->messages, k = 1; k <= last; k++) unseen += !away->shown[k];
    CHECK(unseen > 200 && unseen < 300);
    CHECK(away->misses == 1 && away->missed == unseen);
    CHECK(away->shown[last] == 1 && away->disorder == 0);
    for (i = 0; i < w->members; i++) net_type(w, i, 20, 100, 500);
    net_run(w, 20000);
    CHECK(net_wrong(w, last + 1) == 0 && net_misjudged(w) == 0 && away->misses == 1 && away->disorder == 0);
    net_close(w);
}

/* What it said last has arrived, but the log no longer tells it so: it says that it does not know, and does not say it twice. */
static void test_net_unsure(void)
{
    net_world *w = net_open(0, 0, 1, 50);
    net_member *away = &w->member[1];
    size_t k;
    w->limits.log = 0;
    net_crowd(w, 3);
    away->deaf = 1;
    net_type(w, 1, 3, 100, 500);
    net_run(w, 1000);
    away->cut = 1;
    net_type(w, 0, 300, 100, 500);
    net_run(w, 60000);
    away->cut = away->deaf = 0;
    net_run(w, 20000);
    for (k = 1; k <= 3; k++) {
        CHECK(w->member[0].shown[k] == 1 && w->member[2].shown[k] == 1);
        CHECK(w->message[k].refused == 0 && w->message[k].unsure == 1);
    }
    CHECK(away->s->said_count == 0);
    net_close(w);
}

/* -- 5: another address -- */

static void net_move(net_world *w, int who, int host)
{
    net_member *m = &w->member[who];
    if (host) m->addr.ip[14]++;
    m->addr.port = (uint16_t)(m->addr.port + 100);
}

/* The member who (0: the room's host) is suddenly elsewhere, while everyone talks. */
static void net_roam(int who, int host)
{
    net_world *w = net_crowd(net_open(5, 0, 1, 100), 5);
    uint64_t moved, last;
    size_t typed;
    net_type(w, -1, 100, 100, 10);
    net_run(w, 5000);
    net_move(w, who, host);
    moved = w->now;
    typed = w->messages;
    net_run(w, 15000);
    net_type(w, who, 5, 400, 10); /* several: that a single one was lost is noticed only by the next keep-alive */
    last = net_last_typed(w);
    net_run(w, 15000);
    CHECK(w->message[typed + 1].last < last + 3000); /* it was in again by then */
    CHECK(w->member[who].silent == host && w->member[who].back == host);
    CHECK(!host || w->member[who].back_at <= moved + 15000);
    net_check(w, last + 10000);
    net_close(w);
}

static void test_net_other_port(void)
{
    net_roam(0, 0);
    net_roam(3, 0);
}

static void test_net_other_host(void)
{
    net_roam(0, 1);
    net_roam(3, 1);
}

/* The way up is open and the way down is not: what was repeated until the session came back is on its way when its ids
   would start again, and must not count for new. */
static void test_net_deaf(void)
{
    unsigned long was = seed;
    int round;
    for (round = 0; round < 20; round++, seed++) {
        net_world *w = net_crowd(net_open(0, 0, 1, 250), 3);
        net_type(w, 0, 10, 100, 10);
        net_run(w, 3000);
        w->member[1].deaf = 1;
        net_type(w, 1, 5, 100, 10);
        while (w->member[1].silent == 0 && w->now < 100000) net_run(w, 1);
        w->member[1].deaf = 0;
        net_type(w, 1, 5, 100, 10);
        net_run(w, 20000);
        CHECK(w->member[1].back == 1);
        net_check(w, w->now);
        net_close(w);
    }
    seed = was;
}

/* The answer to who comes back is lost, and then the datagrams pass again. */
static void test_net_answer_lost(void)
{
    net_world *w = net_crowd(net_open(0, 0, 1, 50), 3);
    net_type(w, -1, 30, 100, 10);
    net_run(w, 5000);
    w->member[1].deaf = w->member[1].lose_answer = 1;
    net_type(w, 1, 5, 100, 10);
    net_run(w, 15000);
    CHECK(w->member[1].silent == 1);
    w->member[1].deaf = w->member[1].lose_answer = 0;
    net_run(w, 20000);
    net_type(w, 1, 5, 100, 10);
    net_run(w, 10000);
    net_check(w, w->now);
    net_close(w);
}

/* -- 6: another server -- */

/* The server is gone for so long; before, so many messages were said. All say something meanwhile. */
static void net_restart(uint64_t ms, size_t before)
{
    net_world *w = net_crowd(net_open(0, 0, 1, 100), 4);
    int i;
    net_type(w, 0, before, 100, 10);
    net_run(w, 10000);
    net_kill(w);
    for (i = 0; i < w->members; i++) net_type(w, i, 2, 200, 10), w->member[i].seq = 0;
    net_run(w, ms);
    for (i = 0; i < w->members; i++) CHECK(w->member[i].silent == 1 && w->member[i].back == 0);
    for (i = 0; i < w->members; i++) w->member[i].seq = 0;
    net_start(w);
    net_run(w, 70000);
    for (i = 0; i < w->members; i++) CHECK(w->member[i].back == 1 && w->member[i].in == 1);
    CHECK(ocm_registry_counts(w->reg)->rooms == 1 && ocm_registry_counts(w->reg)->members == (uint32_t)w->members);
    net_check(w, w->now);
    net_close(w);
}

static void test_net_restart(void)
{
    net_restart(20000, 60);
}

/* Longer than the session's longest wait: each finds the server again before the host has made the room. */
static void test_net_restart_late(void)
{
    net_restart(100000, 60);
    net_restart(200000, 60);
    net_restart(300000, 60);
}

/* The new room has soon more entries than the old one had. */
static void test_net_restart_young(void)
{
    net_restart(20000, 1);
}

/* -- 7: no storm -- */

static void net_raw(net_world *w, net_member *m, const ocm_addr *from, const char *payload)
{
    uint8_t out[OCM_DATAGRAM_MAX];
    net_thing t;
    memset(&t, 0, sizeof t);
    t.addr = *from;
    t.bytes = out;
    t.len = (size_t)ocm_datagram_encode(out, sizeof out, ocm_text("lobby"), view(m->token, OCM_TOKEN_LEN), ocm_text(payload));
    net_serve(w, &t);
}

static void test_net_storm(void)
{
    static const char *const asks[] = {"{\"sender\":\"system\",\"operation\":6,\"seq\":1,\"count\":64}", "",
                                       "{\"sender\":\"system\",\"operation\":6,\"seq\":1,\"count\":9007199254740991}",
                                       "{\"sender\":\"system\",\"operation\":6,\"seq\":9007199254740991,\"count\":1}"};
    net_world *w = net_crowd(net_open(0, 0, 1, 1), 3);
    net_member *thirsty = net_join_raw(w, 1);
    unsigned long before;
    int i, ms;
    net_type(w, 0, 200, 30, 400);
    net_run(w, 20000);
    for (i = 0; i < (int)COUNT(asks); i++) {
        before = thirsty->got;
        for (ms = 0; ms < 5000; ms++, net_run(w, 1)) net_raw(w, thirsty, &thirsty->addr, row = asks[i]);
        CHECK(thirsty->got - before > 1);
        CHECK(thirsty->got - before <= 2 * 50 + 5 * 50); /* its burst, and its rate */
        net_run(w, 3000);
    }
    net_close(w);
}

/* Counted in entries: several share a datagram. */
static void test_net_storm_entries(void)
{
    net_world *w = net_crowd(net_open(0, 0, 1, 1), 1);
    net_member *thirsty = net_join_raw(w, 1);
    static ocm_event ev;
    uint8_t out[256];
    int ms;
    size_t entries = 0, len, i;
    net_type(w, 0, 100, 30, 10);
    net_run(w, 20000);
    len = (size_t)ocm_datagram_encode(out, sizeof out, ocm_text("lobby"), view(thirsty->token, OCM_TOKEN_LEN),
                                      ocm_text("{\"sender\":\"system\",\"operation\":6,\"seq\":1,\"count\":64}"));
    for (ms = 0; ms < 10000; ms++) {
        CHECK(ocm_registry_datagram(w->reg, out, len, &thirsty->addr, w->now + (uint64_t)ms) == 1);
        while (ocm_registry_next(w->reg, &ev))
            for (i = 1; i < ev.len; i++) entries += ev.ptr[i] == '\n' && ev.ptr[i - 1] == '}';
    }
    CHECK(entries > 50 && entries <= 2 * 50 + 10 * 50);
    net_close(w);
}

static void test_net_thief(void)
{
    static const char *const words[] = {"{\"message\":\"hi\",\"id\":1}", "{\"message\":\"hi\"}", "", "rubbish",
                                        "{\"sender\":\"system\",\"operation\":6,\"seq\":1,\"count\":64}",
                                        "{\"sender\":\"system\",\"operation\":2}"};
    net_world *w = net_crowd(net_open(0, 0, 1, 1), 3);
    ocm_addr thief = w->member[1].addr;
    unsigned long before;
    size_t i;
    net_type(w, 0, 10, 30, 400);
    net_run(w, 5000);
    thief.ip[15] ^= 0x40;
    before = w->served;
    for (i = 0; i < COUNT(words); i++) net_raw(w, &w->member[1], &thief, row = words[i]);
    CHECK(w->served == before && w->astray == 0);
    row = "";
    net_raw(w, &w->member[1], &w->member[1].addr, ""); /* the same from its own host is answered */
    CHECK(w->served == before + 1);
    net_run(w, 2000);
    net_check(w, w->now);
    net_close(w);
}

/* -- 8: what it costs where nothing is lost -- */

static void net_count(net_world *w)
{
    int i;
    for (i = 0; i < w->members; i++) w->member[i].sent = w->member[i].got = 0;
}

static void test_net_cost(void)
{
    net_world *w = net_open(0, 0, 20, 20);
    size_t k, said[3] = {0, 0, 0};
    int i;
    net_crowd(w, 2);
    net_join(w, OCM_JOIN, OCM_FORM_TEXT);
    net_join_raw(w, 0);
    net_run(w, 10000);
    net_count(w);
    w->members = 3; /* the raw one says nothing */
    net_type(w, -1, 60, 500, 10);
    w->members = 4;
    net_run_until(w, net_last_typed(w) + 10000);
    for (k = 1; k <= w->messages; k++) said[w->message[k].sender]++, CHECK(w->message[k].last == w->message[k].typed + 40);
    for (i = 0; i < 2; i++) {
        CHECK(w->member[i].sent <= said[i] + 1); /* and one keep-alive, now that it is quiet */
        CHECK(w->member[i].got <= w->messages + 1);
    }
    CHECK(w->member[2].sent == said[2] && w->member[2].got == w->messages - said[2]);
    CHECK(w->member[3].got == w->messages);
    net_close(w);
}

static void test_net_listener(void)
{
    net_world *w = net_crowd(net_open(0, 0, 20, 20), 2);
    net_count(w);
    net_type(w, 0, 1200, 1000, 10);
    net_run_until(w, net_last_typed(w) + 3000);
    CHECK(w->member[1].sent <= 1200 / 25 + 3 && w->member[1].got <= 1200 + 1200 / 25 + 3);
    CHECK(w->member[1].silent == 0 && ocm_registry_counts(w->reg)->members == 2);
    net_check(w, w->now);
    net_close(w);
}

static void test_net_quiet(void)
{
    net_world *w = net_crowd(net_open(0, 0, 20, 20), 4);
    int i;
    net_count(w);
    net_run(w, 3600000);
    for (i = 0; i < w->members; i++) {
        CHECK(w->member[i].sent <= 3600 / 25 && w->member[i].sent >= 3600 / 26);
        CHECK(w->member[i].got == w->member[i].sent && w->member[i].silent == 0);
    }
    CHECK(ocm_registry_counts(w->reg)->members == 4);
    net_check(w, w->now);
    net_close(w);
}

/* -- 9: hostile servers -- */

static const ocm_view net_token = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32};

/* Everything a session may want at one moment; more would be an endless loop. Leads its connections to nowhere. */
static int net_exhaust(ocm_session *s, uint64_t at_ms, int *over)
{
    ocm_action a;
    int turns = 0;
    while (ocm_session_next(s, at_ms, &a) && CHECK(++turns < 2 * OCM_WINDOW + 1000)) {
        if (a.what == OCM_DO_CONNECT) ocm_session_request(s, ocm_text("10.0.0.1"), 4000, at_ms);
        if (a.what == OCM_DO_SEND) CHECK(a.text.len <= OCM_DATAGRAM_MAX);
        if (a.what == OCM_DO_END) *over = a.kind + 1;
    }
    return turns;
}

static ocm_session *net_victim(int form)
{
    ocm_session *s = (ocm_session *)allocate(sizeof *s); /* of exactly the size: all the memory it has */
    const ocm_view none = {NULL, 0};
    int over = 0;
    CHECK(ocm_session_open(s, OCM_JOIN, form, ocm_text("lobby"), ocm_text("alice"), none) == 1);
    net_exhaust(s, 1000, &over);
    return s;
}

static int net_answered(ocm_session *s, int op, int state, const char *payload, size_t len, uint64_t at_ms)
{
    static uint8_t out[OCM_FRAME_MAX];
    int n = ocm_frame_encode(out, sizeof out, op, state, ocm_text(""), view(payload, len)), result;
    uint8_t *p;
    if (!CHECK(n > 0)) return OCM_E_BAD;
    p = copy(out, (size_t)n);
    result = ocm_session_answer(s, p, (size_t)n, at_ms);
    free(p);
    return result;
}

static void net_told(ocm_session *s, ocm_view token, const void *payload, size_t len, uint64_t at_ms)
{
    static uint8_t out[OCM_DATAGRAM_MAX];
    int n = ocm_datagram_encode(out, sizeof out, ocm_text("lobby"), token, view(payload, len));
    uint8_t *p;
    if (n < 0) return;
    p = copy(out, (size_t)n);
    ocm_session_datagram(s, p, (size_t)n, at_ms);
    free(p);
}

#define NET_IN "{\"status\":200,\"message\":\"joined\",\"token\":\"0123456789abcdef0123456789abcdef\",\"ocm\":1,\"idle\":300,\"seq\":"

static ocm_session *net_inside(const char *seq)
{
    ocm_session *s = net_victim(OCM_FORM_JSON);
    char reply[256];
    int over = 0;
    sprintf(reply, NET_IN "%s}", seq);
    CHECK(net_answered(s, OCM_JOIN, OCM_STATE_DONE, reply, strlen(reply), 1001) > 0);
    net_exhaust(s, 1001, &over);
    CHECK(!over);
    return s;
}

/* Each answer leaves the session either in its room or at its end, at the latest when its patience ends. */
static void test_net_hostile_answers(void)
{
    static const struct { int state; const char *payload; int in; } cases[] = {
        {2, NET_IN "1}", 1}, {2, NET_IN "9007199254740991}", 1}, {2, NET_IN "0}", 1}, {2, NET_IN "9007199254740992}", 0},
        {2, "{\"status\":200,\"token\":\"a\"}", 1}, {2, "{\"status\":200,\"token\":\"\"}", 0}, {2, "{\"status\":200}", 0},
        {2, "", 0}, {2, "{", 0}, {2, "{}", 0}, {2, "[]", 1}, {2, "error: no", 0}, {2, "error: ", 0},
        {2, "{\"status\":404,\"message\":\"no\"}", 0}, {2, "{\"status\":401}", 0}, {2, "{\"status\":409}", 0},
        {2, "{\"status\":503}", 0}, {2, "{\"status\":9007199254740991}", 0}, {2, "{\"status\":-1}", 0},
        {2, "{\"status_code\":404,\"user_token\":null}", 0}, {2, "{\"status_code\":200,\"user_token\":null}", 0},
        {3, NET_IN "1}", 0}, {255, NET_IN "1}", 0}, {0, NET_IN "1}", 0}, {1, "{\"status\":202}", 0}, {1, "\6", 0}};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        ocm_session *s = net_victim(OCM_FORM_JSON);
        int over = 0;
        row = cases[i].payload;
        net_answered(s, OCM_JOIN, cases[i].state, row, strlen(row), 1001);
        net_exhaust(s, 1001, &over);
        net_exhaust(s, 7000, &over);
        CHECK((over == 0) == cases[i].in);
        CHECK(over || ocm_session_ready(s));
        free(s);
    }
}

/* A whole answer byte by byte: nothing happens before the last one. */
static void test_net_answer_bytes(void)
{
    static const char payload[] = NET_IN "17}";
    uint8_t out[512];
    ocm_session *s = net_victim(OCM_FORM_JSON);
    int i, n = ocm_frame_encode(out, sizeof out, OCM_JOIN, OCM_STATE_DONE, ocm_text(""), ocm_text(payload)), over = 0;
    for (i = 0; i <= n; i++) {
        uint8_t *p = copy(out, (size_t)i);
        CHECK(ocm_session_answer(s, p, (size_t)i, 1002) == (i < n ? 0 : n));
        net_exhaust(s, 1002, &over);
        CHECK(ocm_session_ready(s) == (i == n) && !over);
        free(p);
    }
    memset(out, 0xFF, OCM_HEADER_LEN);
    CHECK(ocm_session_answer(s, out, OCM_HEADER_LEN, 1003) < 0 && ocm_session_ready(s)); /* too large, but it is in already */
    free(s);
}

static const char *const net_rubbish[] = {
    "", "\n", "\n\n\n", "{", "{}", "{}\n{}\n", "[]", "\"a\"", "null", "\xFF\xFE", "{\"seq\":18}", "{\"seq\":19,\"message\":\"x\"}",
    "{\"sender\":\"alice\",\"message\":\"hi\",\"seq\":20,\"id\":1}\n", "{\"sender\":\"bob\",\"message\":\"hi\",\"seq\":21",
    "{\"sender\":\"bob\",\"message\":\"\",\"seq\":18}", "{\"sender\":\"alice\",\"message\":\"x\",\"seq\":18,\"id\":9007199254740991}",
    "{\"sender\":\"system\",\"operation\":6,\"seq\":20,\"first\":4,\"id\":1}\n", "{\"sender\":\"system\",\"operation\":6,\"seq\":3,\"first\":1,\"id\":0}",
    "{\"sender\":\"system\",\"operation\":6}", "{\"sender\":\"system\",\"operation\":6,\"seq\":5,\"first\":50,\"id\":7}",
    "{\"sender\":\"system\",\"operation\":6,\"seq\":40,\"first\":41,\"id\":64}",
    "{\"sender\":\"system\",\"operation\":4,\"username\":\"alice\",\"message\":\"no\",\"id\":1}",
    "{\"sender\":\"system\",\"operation\":4}", "{\"sender\":\"system\",\"operation\":4,\"message\":\"no\",\"id\":9007199254740991}",
    "{\"sender\":\"system\",\"operation\":1,\"seq\":22,\"message\":\"bob joined\"}", "{\"sender\":\"system\",\"operation\":99,\"message\":\"x\"}",
    "{\"sender\":\"bob\",\"message\":\"hi\",\"seq\":9007199254740991}",
    "{\"sender\":\"system\",\"operation\":6,\"seq\":9007199254740991,\"first\":9007199254740991,\"id\":9007199254740991}",
    "{\"sender\":\"system\",\"operation\":6,\"seq\":9007199254740991,\"first\":1,\"id\":9007199254740991}"};

/* Rubbish whole, cut and bent, while the user talks and the clock runs. */
static void net_torment(ocm_session *s, net_world *lot, int rounds)
{
    uint64_t at_ms = 2000;
    int over = 0;
    while (rounds-- && !over) {
        const char *word = net_rubbish[net_random(lot, (uint32_t)COUNT(net_rubbish))];
        size_t len = strlen(word);
        uint8_t *p = copy(word, len);
        if (len && net_random(lot, 4) == 0) len = net_random(lot, (uint32_t)len);
        if (len && net_random(lot, 4) == 0) p[net_random(lot, (uint32_t)len)] ^= (uint8_t)(1 << net_random(lot, 8));
        if (net_random(lot, 20) == 0) ocm_session_datagram(s, p, len, at_ms);
        else net_told(s, net_token, p, len, at_ms);
        if (net_random(lot, 5) == 0) ocm_session_say(s, ocm_text("said"));
        if (net_random(lot, 50) == 0) net_answered(s, OCM_JOIN, 2, NET_IN "20}", strlen(NET_IN "20}"), at_ms);
        at_ms += net_random(lot, 400);
        net_exhaust(s, at_ms, &over);
        free(p);
    }
}

static void test_net_hostile_datagrams(void)
{
    static const char *const starts[] = {"17", "1", "9007199254740991", "9007199254740990"};
    net_world *lot = net_open(0, 0, 1, 1);
    int i;
    for (i = 0; i < 400; i++) {
        ocm_session *s = net_inside(row = starts[i % 4]);
        net_torment(s, lot, 200);
        free(s);
    }
    net_close(lot);
}

/* A token that is not its own, or another room, and nothing happens, not even that the server counts as heard. */
static void test_net_hostile_token(void)
{
    static const char out[] = "{\"sender\":\"system\",\"operation\":3,\"message\":\"out\"}";
    ocm_session *s = net_inside("17");
    int over = 0;
    net_told(s, ocm_text("1123456789abcdef0123456789abcdef"), out, sizeof out - 1, 1002);
    net_told(s, ocm_text("0123456789abcdef"), out, sizeof out - 1, 1002);
    net_told(s, ocm_text(""), out, sizeof out - 1, 1002);
    ocm_session_datagram(s, (const uint8_t *)out, sizeof out - 1, 1002);
    CHECK(net_exhaust(s, 1002, &over) == 0 && !over);
    net_told(s, net_token, out, sizeof out - 1, 1003);
    net_exhaust(s, 1003, &over);
    CHECK(over == OCM_END_OUT + 1);
    free(s);
}

/* What lies below `first` is told once, however large, and a status that goes back changes nothing. */
static void test_net_hostile_first(void)
{
    static const char far[] = "{\"sender\":\"system\",\"operation\":6,\"seq\":9007199254740991,\"first\":9007199254740991,\"id\":0}";
    static const char back[] = "{\"sender\":\"system\",\"operation\":6,\"seq\":17,\"first\":1,\"id\":0}";
    ocm_session *s = net_inside("17");
    ocm_action a;
    int misses = 0, i;
    uint64_t count = 0;
    for (i = 0; i < 6; i++) {
        net_told(s, net_token, i % 2 ? back : far, strlen(i % 2 ? back : far), 1002);
        while (ocm_session_next(s, 1002 + (uint64_t)i, &a))
            if (a.what == OCM_DO_SHOW && a.kind == OCM_SHOW_MISSED && CHECK(++misses < 100)) count = a.count;
            else if (misses >= 100) break;
    }
    CHECK(misses == 1 && count == OCM_INTEGER_MAX - 18);
    free(s);
}

/* -- 10: the table of README.md -- */

static int net_by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void net_table_row(int loss, int form)
{
    enum { MEMBERS = 10, SAID = 1000 };
    net_world *w = net_open(0, 0, 1, 1);
    unsigned long shown = 0, twice = 0;
    size_t k, n;
    int i;
    net_start(w);
    for (i = 0; i < MEMBERS; i++) net_join(w, i ? OCM_JOIN : OCM_CREATE, form), net_run(w, 2000);
    w->loss = loss, w->twice = loss ? 10 : 0;
    w->delay_min = 20, w->delay_max = 120;
    w->delays = (uint32_t *)allocate(sizeof *w->delays * MEMBERS * SAID);
    net_type(w, -1, SAID, 100, 20);
    net_run_until(w, net_last_typed(w) + 30000);
    for (i = 0; i < MEMBERS; i++)
        for (k = 1; k <= w->messages; k++) {
            if (w->message[k].sender == i) continue;
            shown += w->member[i].shown[k] > 0;
            twice += w->member[i].shown[k] > 1;
        }
    n = w->delay_count;
    qsort(w->delays, n, sizeof *w->delays, net_by_size);
    printf("%4d %%   %-9s %8.2f %%   %10lu   %6lu ms   %6lu ms\n", loss, form == OCM_FORM_JSON ? "level 1" : "plain UDP",
           100.0 * (double)shown / ((MEMBERS - 1) * SAID), twice, (unsigned long)w->delays[n / 2], (unsigned long)w->delays[n * 99 / 100]);
    net_close(w);
}

/* Ten members, 1000 messages, ten a second; each way 20 to 120 ms, and one datagram in ten twice where any is lost. */
static void net_table(void)
{
    static const int losses[] = {0, 10, 20, 30};
    size_t i;
    printf("  loss             delivered   duplicates      median   99 of 100\n");
    for (i = 0; i < COUNT(losses); i++) {
        net_table_row(losses[i], OCM_FORM_JSON);
        net_table_row(losses[i], OCM_FORM_TEXT);
    }
}

/* ---- 6. The programs ---- */

#ifndef _WIN32
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN_PATIENCE 10000 /* ms until a test gives up waiting: a busy machine is no failure */
#define RUN_PROGRAMS 24
#define RUN_WATCHES 24
#define RUN_SOCKETS 64

enum { RUN_OUT, RUN_ERR }; /* of what a program says */

typedef struct run_program {
    pid_t pid;         /* 0: it has ended, with status */
    int status, in, fd[2];
    char *text[2];     /* all that came on stdout and stderr */
    size_t len[2];
    unsigned tcp, udp; /* ports of a server */
} run_program;

static int run_patience = RUN_PATIENCE; /* the lossy network needs more */
static run_program run_programs[RUN_PROGRAMS]; /* those of the test that runs: run_clean() ends them, whatever was checked */
static size_t run_count;
static struct { int fd; void (*act)(void *, int); void *about; } run_watches[RUN_WATCHES];
static size_t run_watch_count;
static int run_sockets[RUN_SOCKETS];
static size_t run_socket_count;

static int run_at_terminal; /* the programs started now have a terminal in place of stdin and stdout */

static uint64_t run_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* An interrupted test leaves no servers behind. */
static void run_interrupted(int sig)
{
    size_t i;
    for (i = 0; i < run_count; i++)
        if (run_programs[i].pid) kill(run_programs[i].pid, SIGKILL);
    _exit(128 + sig);
}

/* A descriptor that run_clean() closes, and that no program started later inherits. */
static int run_keep(int fd)
{
    if (fd < 0) return fd;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (run_socket_count < RUN_SOCKETS) run_sockets[run_socket_count++] = fd;
    return fd;
}

static void run_watch(int fd, void (*act)(void *, int), void *about)
{
    if (fd < 0 || run_watch_count == RUN_WATCHES) return;
    run_watches[run_watch_count].fd = fd;
    run_watches[run_watch_count].act = act;
    run_watches[run_watch_count++].about = about;
}

/* In the child: becomes the program. */
static void run_become(char **argv, int in, int out, int err)
{
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    printf("cannot run %s: %s\n", argv[0], strerror(errno));
    fflush(stdout);
    _exit(127);
}

/* A program's stdin and stdout; [0] is to be read, [1] to be written. 0 when they are there. */
static int run_pipes(int *in, int *out)
{
    if (!run_at_terminal) return pipe(in) || pipe(out);
    in[1] = posix_openpt(O_RDWR | O_NOCTTY);
    if (in[1] < 0 || grantpt(in[1]) || unlockpt(in[1])) return 1;
    in[0] = open(ptsname(in[1]), O_RDWR | O_NOCTTY);
    out[0] = dup(in[1]);
    out[1] = dup(in[0]);
    return in[0] < 0 || out[0] < 0 || out[1] < 0;
}

/* Starts a program; the words of its command line stand between single spaces. */
static run_program *run_start(const char *format, ...)
{
    static char line[8192];
    char *argv[64], *word;
    run_program *p = &run_programs[run_count];
    int in[2], out[2], err[2], n = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (word = strtok(line, " "); word && n < 63; word = strtok(NULL, " ")) argv[n++] = word;
    argv[n] = NULL;
    if (run_count == RUN_PROGRAMS || run_pipes(in, out) || pipe(err)) {
        printf("no place, or no pipes, for %s\n", argv[0]);
        exit(2);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, run_interrupted);
    signal(SIGTERM, run_interrupted);
    fcntl(in[1], F_SETFD, FD_CLOEXEC);
    fcntl(out[0], F_SETFD, FD_CLOEXEC);
    fcntl(err[0], F_SETFD, FD_CLOEXEC);
    fflush(stdout);
    memset(p, 0, sizeof *p);
    run_count++;
    p->pid = fork();
    if (p->pid == 0) run_become(argv, in[0], out[1], err[1]);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    p->in = in[1];
    p->fd[RUN_OUT] = out[0];
    p->fd[RUN_ERR] = err[0];
    p->text[0] = (char *)allocate(1);
    p->text[1] = (char *)allocate(1);
    p->status = -1;
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
    if (!p->text[which]) exit(2);
    memcpy(p->text[which] + p->len[which], buf, (size_t)n);
    p->len[which] += (size_t)n;
    p->text[which][p->len[which]] = 0;
}

/* Notes who has ended. 1 when somebody is about to. */
static int run_reap(void)
{
    int dying = 0, status;
    size_t i;
    for (i = 0; i < run_count; i++) {
        run_program *p = &run_programs[i];
        if (!p->pid || p->fd[0] >= 0 || p->fd[1] >= 0) continue;
        if (waitpid(p->pid, &status, WNOHANG) == p->pid) {
            p->pid = 0;
            p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        } else {
            dying = 1;
        }
    }
    return dying;
}

/* Everything goes on for at most ms: what programs say is read, what is watched acts. 1 when fd can be read. */
static int run_turn(int fd, int ms)
{
    struct pollfd p[1 + 2 * RUN_PROGRAMS + RUN_WATCHES];
    size_t i, programs = run_count, watches = run_watch_count;
    nfds_t n = 0;
    memset(p, 0, sizeof p);
    p[n++].fd = fd;
    for (i = 0; i < 2 * programs; i++) p[n++].fd = run_programs[i / 2].fd[i % 2];
    for (i = 0; i < watches; i++) p[n++].fd = run_watches[i].fd;
    for (i = 0; i < n; i++) p[i].events = POLLIN;
    if (poll(p, n, run_reap() && ms > 2 ? 2 : ms) < 0) return 0;
    for (i = 0; i < 2 * programs; i++)
        if (p[1 + i].revents) run_read_program(&run_programs[i / 2], (int)(i % 2));
    for (i = 0; i < watches; i++)
        if (p[1 + 2 * programs + i].revents) run_watches[i].act(run_watches[i].about, run_watches[i].fd);
    run_reap();
    return p[0].revents != 0;
}

/* 1 when fd can be read in time. */
static int run_readable(int fd, int ms)
{
    uint64_t until = run_now() + (uint64_t)ms;
    while (fd >= 0 && run_now() <= until)
        if (run_turn(fd, 20)) return 1;
    return 0;
}

static const char *run_tail(const char *text)
{
    size_t len = strlen(text);
    return len > 400 ? text + len - 400 : text;
}

static void run_for(int ms)
{
    uint64_t until = run_now() + (uint64_t)ms;
    while (run_now() < until) run_turn(-1, 5);
}

/* 1 when the program has said text, now or in time. */
static int run_says(const run_program *p, int which, const char *text)
{
    uint64_t until = run_now() + (uint64_t)run_patience;
    while (!strstr(p->text[which], text) && (p->pid || p->fd[which] >= 0) && run_now() < until) run_turn(-1, 20);
    if (strstr(p->text[which], text)) return 1;
    printf("expected: %s\nbut std%s ends with:\n%s\n", text, which == RUN_OUT ? "out" : "err", run_tail(p->text[which]));
    return 0;
}

static int run_hears(const run_program *p, const char *text) { return run_says(p, RUN_OUT, text); }
static int run_tells(const run_program *p, const char *text) { return run_says(p, RUN_ERR, text); }

/* 1 when that is all it has said on stdout, until now. */
static int run_heard_all(const run_program *p, const char *text)
{
    if (strcmp(p->text[RUN_OUT], text) == 0) return 1;
    printf("expected all of: %s\nbut stdout ends with:\n%s\n", text, run_tail(p->text[RUN_OUT]));
    return 0;
}

/* The exit status; -1 when it does not end in time, 1000 + the signal when it was killed. */
static int run_ended(const run_program *p)
{
    uint64_t until = run_now() + RUN_PATIENCE;
    while (p->pid && run_now() < until) run_turn(-1, 20);
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
        if (p->pid) kill(p->pid, SIGKILL), waitpid(p->pid, NULL, 0);
        run_end_input(p);
        for (k = 0; k < 2; k++) {
            if (p->fd[k] >= 0) close(p->fd[k]);
            free(p->text[k]);
        }
    }
    for (i = 0; i < run_socket_count; i++) close(run_sockets[i]);
    run_count = run_socket_count = run_watch_count = 0;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
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
    CHECK(run_tells(c, "\"\n"));
    return c;
}

/* A client that is to be refused: its one sentence is on stderr. */
static void run_refused(const run_program *server, const char *options, const char *sentence)
{
    run_program *c = run_client_at(server->tcp, server->udp, options);
    CHECK(run_ended(c) == 1);
    CHECK(run_tells(c, sentence));
    CHECK(strncmp(c->text[RUN_ERR], "client: ", 8) == 0 && run_heard_all(c, ""));
}

/* ---- 6. The programs: the demonstration ---- */

static int run_all_hear(run_program *const *who, int from, int to, const char *text)
{
    int i, good = 1;
    for (i = from; i < to; i++) good &= run_hears(who[i], text);
    return good;
}

/* alice and bob speak JSON, hanako the text form; alice is the host. */
static int demo_talk(run_program *const *c)
{
    int good;
    run_type(c[0], "Hello, 花子! Hello, bob!\n");
    good = run_all_hear(c, 1, 3, "alice: Hello, 花子! Hello, bob!\n");
    run_type(c[2], "こんにちは、みなさん 🍣\n");
    good &= run_all_hear(c, 0, 2, "hanako: こんにちは、みなさん 🍣\n");
    run_type(c[1], "Nothing gets lost here 😀\n");
    good &= run_hears(c[0], "bob: Nothing gets lost here 😀\n") && run_hears(c[2], "bob: Nothing gets lost here 😀\n");
    run_type(c[0], "さようなら 👋\n");
    good &= run_all_hear(c, 1, 3, "alice: さようなら 👋\n");
    good &= run_leaves(c[0]) == 0; /* the host */
    good &= run_all_hear(c, 1, 3, "You have been disconnected: ");
    return good && run_ended(c[1]) == 0 && run_ended(c[2]) == 0;
}

/* What `make demo` runs. 0 when all went well. */
static int demo(void)
{
    static const char *const names[] = {"alice, who created the room", "bob", "hanako, in the plain text form"};
    run_program *server = run_server("-q"), *c[3];
    int i, good;
    c[0] = run_client(server, "-n alice -c 茶室");
    c[1] = run_client(server, "-n bob -j 茶室");
    c[2] = run_client(server, "-t -n hanako -j 茶室");
    good = run_hears(c[0], "* bob joined\n") && run_hears(c[0], "* hanako joined\n") && demo_talk(c);
    kill(server->pid, SIGTERM);
    good &= run_ended(server) == 0;
    printf("Three clients talked in one room; this is what each of them saw of the others.\n");
    for (i = 0; i < 3; i++) printf("\n--- %s ---\n%s%s", names[i], c[i]->text[RUN_ERR], c[i]->text[RUN_OUT]);
    good &= broken == 0;
    printf("\n%s\n", good ? "The host left, the room was closed, everyone was told, and every program has ended."
                          : "THE DEMONSTRATION FAILED: not everyone saw what was said.");
    run_clean();
    return !good;
}

/* ---- 6. The programs: options ---- */

static void run_usage(const char *command, const char *words)
{
    run_program *p = run_start("%s", command);
    const char *name = strstr(command, "./server") ? "server: " : "client: ";
    size_t len;
    row = command;
    run_end_input(p);
    while (p->pid && run_turn(-1, 20) == 0 && p->len[0] == 0) {
    }
    if (p->pid) kill(p->pid, SIGKILL); /* it listens, so it took what is wrong */
    run_for(p->pid ? 50 : 0);
    len = p->len[RUN_ERR];
    CHECK(p->status == 2 && run_heard_all(p, ""));
    CHECK(strncmp(p->text[RUN_ERR], name, 8) == 0 && strstr(p->text[RUN_ERR], words) != NULL);
    CHECK(len > 20 && strchr(p->text[RUN_ERR], '\n') == p->text[RUN_ERR] + len - 1); /* one line */
    run_clean();
}

static void test_program_wrong_usage(void)
{
    static const char *const cases[][2] = {
        {"./server -x", "-x"}, {"./server extra", "extra"}, {"./server -l", "-l"}, {"./server -l 8000", "8000"},
        {"./server -l 127.0.0.1/70000:0", "70000"}, {"./server -l 127.0.0.1/0:x", "0:x"}, {"./server -l /0:0", "/0:0"},
        {"./server -l 127.0.0.1/0:", "0:"}, {"./server -l 127.0.0.1/0:0 -R 0", "-R"}, {"./server -l 127.0.0.1/0:0 -M x", "-M"},
        {"./server -l 127.0.0.1/0:0 -i 0", "-i"}, {"./server -l 127.0.0.1/0:0 -r -1", "-r"}, {"./server -qv", "-qv"},
        {"./client -x", "-x"}, {"./client -n", "-n"}, {"./client -n a -s 127.0.0.1/8000 r", "127.0.0.1"},
        {"./client -n a -s 127.0.0.1/0:1 r", "port"}, {"./client -n a -s 127.0.0.1/1:65536 r", "65536"},
        {"./client -n a one two", "two"}, {"./client -n a -c one -j two", "two"}, {"./client lobby", "name"},
        {"./client -n a", "room"}, {"./client -n system lobby", "system"},
        {"./client -n a -p lobby", "OCM_PASSWORD"}, {"./client -n a\x01 lobby", "name"}, {"./client -n a b\x7F", "room"}};
    char longest[300], command[600];
    size_t i;
    unsetenv("OCM_PASSWORD");
    for (i = 0; i < COUNT(cases); i++) run_usage(cases[i][0], cases[i][1]);
    sprintf(command, "./client -n %s lobby", repeat(longest, 'n', 256));
    run_usage(command, "name");
    sprintf(command, "./client -n a %s", repeat(longest, 'r', 256));
    run_usage(command, "room");
    setenv("OCM_PASSWORD", repeat(longest, 'p', 256), 1);
    run_usage("./client -n a -p lobby", "password");
    unsetenv("OCM_PASSWORD");
}

static void test_program_help(void)
{
    static const char *const cases[][2] = {
        {"./server -h", "usage: server"}, {"./client -h", "usage: client"}, {"./server -V", "server " OCM_VERSION "\n"},
        {"./client -V", "client " OCM_VERSION "\n"}};
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        run_program *p = run_start("%s", cases[i][0]);
        row = cases[i][0];
        CHECK(run_ended(p) == 0 && strncmp(p->text[RUN_OUT], cases[i][1], strlen(cases[i][1])) == 0 && p->len[RUN_ERR] == 0);
        run_clean();
    }
}

/* The port number is a word of the sentence. */
static void run_in_use(unsigned tcp, unsigned udp)
{
    run_program *p = run_start("./server -l 127.0.0.1/%u:%u", tcp, udp);
    char number[16];
    sprintf(number, "%u", tcp + udp);
    CHECK(run_ended(p) == 1);
    CHECK(run_tells(p, number) && strncmp(p->text[RUN_ERR], "server: ", 8) == 0 && run_heard_all(p, ""));
}

static void test_program_port_in_use(void)
{
    run_program *s = run_server("-q");
    run_in_use(s->tcp, 0);
    run_in_use(0, s->udp);
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

/* Members on different listeners are in one room; each is answered from where it is heard, or a client would not hear it. */
static void test_program_listeners(void)
{
    int six = run_has_ipv6();
    run_program *s = run_start("./server -l 127.0.0.1/0:0 -l 127.0.0.1/0:0%s", six ? " -l ::1/0:0" : ""), *a, *b, *c;
    unsigned t[3] = {0, 0, 0}, u[3] = {0, 0, 0};
    if (!six) printf("no IPv6 on this machine: ::1 is skipped\n");
    CHECK(run_hears(s, six ? "::1/" : "127.0.0.1"));
    while (run_turn(-1, 100) == 0 && s->len[0] && s->text[0][s->len[0] - 1] != '\n') {
    }
    CHECK(sscanf(s->text[0], "listening on 127.0.0.1/%u:%u listening on 127.0.0.1/%u:%u listening on ::1/%u:%u", &t[0], &u[0], &t[1],
                 &u[1], &t[2], &u[2]) == (six ? 6 : 4));
    CHECK(t[0] != t[1] && u[0] != u[1]);
    a = run_client_at(t[0], u[0], "-n alice -c lobby");
    CHECK(run_tells(a, "created \"lobby\" as \"alice\"\n"));
    b = run_client_at(t[1], u[1], "-n bob -j lobby");
    CHECK(run_tells(b, "joined \"lobby\" as \"bob\"\n") && run_hears(a, "* bob joined\n"));
    c = six ? run_start("./client -s ::1/%u:%u -n carol lobby", t[2], u[2]) : run_client_at(t[0], u[0], "-n carol lobby");
    CHECK(run_tells(c, "joined \"lobby\" as \"carol\"\n") && run_hears(b, "* carol joined\n"));
    run_type(c, "one\n");
    CHECK(run_hears(a, "carol: one\n") && run_hears(b, "carol: one\n"));
    run_type(a, "two\n");
    CHECK(run_hears(b, "alice: two\n") && run_hears(c, "alice: two\n"));
    kill(s->pid, SIGTERM);
    CHECK(run_ended(a) == 0 && run_ended(b) == 0 && run_ended(c) == 0);
    CHECK(run_hears(a, "You have been disconnected: ") && run_hears(b, "You have been disconnected: ") &&
          run_hears(c, "You have been disconnected: "));
    CHECK(run_ended(s) == 0);
    CHECK(run_tells(s, "stopped: 3 requests (0 refused)") && run_tells(s, "2 messages (0 refused)"));
    run_clean();
}

/* ---- 6. The programs: the client on a pipe ---- */

static void test_client_pipe(void)
{
    run_program *s = run_server("-q"), *a = run_client(s, "-n alice -c lobby"), *b;
    CHECK(strcmp(a->text[RUN_ERR], "created \"lobby\" as \"alice\"\n") == 0);
    b = run_client(s, "-n bob lobby");
    CHECK(strcmp(b->text[RUN_ERR], "joined \"lobby\" as \"bob\"\n") == 0);
    CHECK(run_hears(a, "* bob joined\n"));
    run_type(a, "hi\n");
    CHECK(run_hears(b, "alice: hi\n"));
    run_type(b, "tab\there: \"quoted\" \\ やあ\r\n\nand no newline");
    CHECK(run_leaves(b) == 0 && run_hears(a, "* bob left\n"));
    CHECK(run_heard_all(a, "* bob joined\nbob: tab\there: \"quoted\" \\ やあ\nbob: and no newline\n* bob left\n"));
    CHECK(run_heard_all(b, "* alice joined\nalice: hi\n")); /* the room's past, and what was said then */
    b = run_client(s, "-n bob lobby");
    CHECK(run_leaves(a) == 0 && run_ended(b) == 0); /* the host */
    CHECK(run_hears(b, "* You have been disconnected: ") && run_hears(b, "host"));
    a = run_client(s, "-n alice lobby"); /* no such room any more */
    CHECK(strcmp(a->text[RUN_ERR], "created \"lobby\" as \"alice\"\n") == 0);
    kill(s->pid, SIGINT);
    CHECK(run_ended(a) == 0 && run_hears(a, "* You have been disconnected: ") && run_ended(s) == 0);
    run_clean();
}

static void test_client_refusals(void)
{
    run_program *s = run_server("-q -R 2 -M 3"), *a = run_client(s, "-n alice -c lobby"), *b;
    run_refused(s, "-n bob -j nowhere", "nowhere");
    run_refused(s, "-n alice -j lobby", "alice");
    run_refused(s, "-n bob -c lobby", "lobby");
    setenv("OCM_PASSWORD", "secret", 1);
    b = run_client(s, "-n bob -p -c vault");
    run_refused(s, "-n carol -j vault", "wrong password"); /* none given: the variable alone does not count */
    run_refused(s, "-n carol -c third", "full");           /* rooms */
    setenv("OCM_PASSWORD", "Secret", 1);
    run_refused(s, "-n carol -p -j vault", "wrong password");
    setenv("OCM_PASSWORD", "secret", 1);
    CHECK(run_leaves(run_client(s, "-n carol -p -j vault")) == 0 && run_hears(b, "* carol joined\n"));
    CHECK(run_leaves(run_client(s, "-t -n dora -j lobby")) == 0);
    run_refused(s, "-n eve -j lobby", "full"); /* members: dora has not said that she left */
    unsetenv("OCM_PASSWORD");
    CHECK(run_leaves(a) == 0 && run_leaves(b) == 0);
    run_refused(s, "-t -n bob -j nowhere", "nowhere");
    run_clean();
}

/* What -l prints, ended with status. */
static void run_list(const run_program *s, const char *what, int status, const char *text)
{
    run_program *l = run_client_at(s->tcp, s->udp, what);
    CHECK(run_ended(l) == status);
    CHECK(text ? strstr(l->text[RUN_OUT], text) != NULL : l->len[RUN_OUT] == 0 && l->len[RUN_ERR] > 0);
}

static void test_client_list(void)
{
    run_program *s = run_server("-q"), *a, *v;
    run_list(s, "-l", 0, "no rooms\n");
    a = run_client(s, "-n alice -c lobby");
    setenv("OCM_PASSWORD", "x", 1);
    v = run_client(s, "-n vera -p -c vault");
    unsetenv("OCM_PASSWORD");
    CHECK(v->pid != 0);
    CHECK(run_client(s, "-n bob lobby")->pid && run_hears(a, "* bob joined\n"));
    run_list(s, "-l", 0, "lobby (2 members)\n");
    run_list(s, "-l", 0, "vault (1 member, password)\n");
    run_list(s, "-l lobby", 0, "alice (host)\n");
    run_list(s, "-l lobby", 0, "bob\n");
    run_list(s, "-l vault", 0, "password");
    run_list(s, "-l nowhere", 1, NULL);
    run_clean();
}

static void test_client_too_long(void)
{
    run_program *s = run_server("-q"), *a = run_client(s, "-n alice -c lobby"), *b = run_client(s, "-n bob lobby");
    static char longest[9100], quotes[3990];
    repeat(longest, 'x', 3980); /* 3990 without "alice" and "lobby" */
    repeat(quotes, '"', 1990);
    run_type(a, longest), run_type(a, "y\n");
    CHECK(run_tells(a, "3981 bytes") && run_tells(a, "3980"));
    run_type(a, longest), run_type(a, "\n");
    CHECK(run_hears(b, "x\n"));
    run_type(a, quotes), run_type(a, "\"\n"), run_type(a, quotes), run_type(a, "\n");
    CHECK(run_hears(b, "\"\n") && !strstr(b->text[0], "y\n"));
    repeat(longest, 'z', 9000);
    run_type(a, longest), run_type(a, "\nbell\a\n\xFF\nend\n");
    CHECK(run_hears(b, "alice: end\n") && run_tells(a, "9000 bytes") && run_tells(a, "not text"));
    CHECK(!strstr(b->text[0], "z") && !strstr(b->text[0], "bell") && !strchr(b->text[0], '\xFF'));
    CHECK(strlen(strchr(b->text[0], 'x')) == 3981 + 7 + 1991 + 11);
    CHECK(run_leaves(a) == 0);
    run_clean();
}

/* `count` lines "p 1" ... at once. */
static void run_type_many(const run_program *p, const char *word, int count)
{
    static char text[65536];
    size_t n = 0;
    int i;
    for (i = 1; i <= count; i++) n += (size_t)sprintf(text + n, "%s %d\n", word, i);
    run_type(p, text);
}

/* 1 when name's lines "name: word 1" to count stand in the program's output once each and in order. */
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

static void test_client_many_lines(void)
{
    run_program *s = run_server("-q -r 0"), *limited = run_server("-q");
    run_program *b = run_client(s, "-n bob -c lobby"), *a = run_client(s, "-n alice lobby"); /* the room outlives who speaks */
    run_program *c = run_client(limited, "-n carol -c lobby"), *d = run_client(limited, "-n dora lobby");
    run_type_many(a, "line", 800);
    run_type_many(c, "line", 150); /* more than a burst: what is over the rate is repeated */
    run_end_input(a);              /* the input has ended long before all is said */
    CHECK(run_hears(b, "alice: line 800\n") && run_in_order(b, "alice", "line", 800));
    CHECK(run_hears(d, "carol: line 150\n") && run_in_order(d, "carol", "line", 150));
    CHECK(run_ended(a) == 0 && !strstr(a->text[0], "alice: ") && run_hears(b, "* alice left\n"));
    run_clean();
}

/* ---- 6. The programs: members made by hand, as other people's clients are ---- */

typedef struct run_member {
    int tcp, udp, form;
    unsigned port; /* of udp */
    const char *room, *name;
    char token[OCM_TOKEN_MAX + 1];
    int level; /* 1: it asks for level 1 */
} run_member;

typedef struct run_answer { /* one frame */
    int op, state;
    char room[256], payload[4200];
    size_t len;
} run_answer;

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
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
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
static size_t run_make_frame(uint8_t *out, int op, int state, const char *room, const void *payload, size_t len)
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

static int run_read(int fd, void *p, size_t len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = run_readable(fd, RUN_PATIENCE) ? recv(fd, (char *)p + got, len - got, 0) : -1;
        if (n <= 0) return 0;
        got += (size_t)n;
    }
    return 1;
}

/* One frame. In the text forms what the first recv() finds must hold all of it: those clients call it once. */
static int run_read_frame(int fd, int form, run_answer *a)
{
    uint8_t head[32], whole[4096];
    size_t i, room_len;
    ssize_t n = run_readable(fd, RUN_PATIENCE) ? recv(fd, whole, sizeof whole, MSG_PEEK) : 0;
    memset(a, 0, sizeof *a);
    if (!CHECK(run_read(fd, head, 32))) return 0;
    for (i = 3; i < 30; i++) CHECK(head[i] == 0);
    room_len = head[0];
    a->op = head[1];
    a->state = head[2];
    a->len = (size_t)head[30] << 8 | head[31];
    if (form == OCM_FORM_JSON) room_len = 0; /* seed B's client reads the payload at once */
    else CHECK((size_t)n >= 32 + room_len + a->len);
    return CHECK(a->len < sizeof a->payload && run_read(fd, a->room, room_len) && run_read(fd, a->payload, a->len));
}

/* Sockets as the form has them: seed A's and the text client take UDP at the port of the TCP connection. */
static run_member run_sockets_for(const run_program *s, int form, const char *room, const char *name)
{
    run_member m;
    int tries;
    memset(&m, 0, sizeof m);
    m.form = form;
    m.room = room;
    m.name = name;
    for (tries = 0, m.udp = -1; m.udp < 0 && tries < 50; tries++) {
        m.tcp = run_keep(run_connect(s->tcp));
        m.udp = run_bind(SOCK_DGRAM, form == OCM_FORM_JSON ? 0 : run_port_of(m.tcp));
    }
    CHECK(m.tcp >= 0 && m.udp >= 0);
    m.port = run_port_of(m.udp);
    return m;
}

/* The two answers of the JSON form: the status of the second. */
static int run_answered_json(run_member *m, int op)
{
    run_answer a;
    const char *status, *token;
    if (!run_read_frame(m->tcp, m->form, &a)) return -1;
    CHECK(a.op == op && a.state == 1 && strncmp(a.payload, "{\"status\":202,\"message\":\"", 25) == 0);
    if (!run_read_frame(m->tcp, m->form, &a)) return -1;
    CHECK(a.op == op && a.state == 2 && json_good(a.payload, a.len) == 1);
    status = strstr(a.payload, "\"status\":");
    token = strstr(a.payload, "\"token\":\"");
    if (token) sprintf(m->token, "%.32s", token + 9);
    CHECK(strstr(a.payload, "\"message\":\"") != NULL);
    return status ? atoi(status + 9) : -1;
}

/* Those of the others, byte by byte: text byte or status_code. asked: when the request went out. */
static int run_answered_text(run_member *m, int op, uint64_t asked)
{
    char expected[200];
    run_answer a;
    int ack, code = 0;
    if (!run_read_frame(m->tcp, m->form, &a)) return -1;
    ack = (uint8_t)a.payload[0];
    CHECK(a.op == op && a.state == 1 && a.len == 1 && a.room[0] == 0);
    if (!run_read_frame(m->tcp, m->form, &a)) return -1;
    CHECK(run_now() - asked >= 99); /* at least 100 ms after the first answer, both clocks rounded down */
    CHECK(a.op == op && a.state == 2);
    if (m->form == OCM_FORM_TEXT && ack != 0) {
        CHECK(strncmp(a.payload, "error: ", 7) == 0 && a.len > 10 && a.room[0] == 0);
        return ack;
    }
    if (m->form == OCM_FORM_TEXT) {
        CHECK(a.len == 32 && strspn(a.payload, "0123456789abcdef") == 32 && strcmp(a.room, m->room) == 0);
        strcpy(m->token, a.len == 32 ? a.payload : "");
        return 0;
    }
    CHECK(ack == 200);
    CHECK(sscanf(a.payload, "{\"status_code\":%d,\"user_token\":\"%32[0-9a-f]\"", &code, m->token) >= 1);
    if (code == 200) sprintf(expected, "{\"status_code\":200,\"user_token\":\"%.32s\"}", m->token);
    else sprintf(expected, "{\"status_code\":%d,\"user_token\":null}", code);
    CHECK(strcmp(a.payload, expected) == 0 && strcmp(a.room, code == 200 ? m->room : "") == 0);
    return code;
}

static int run_ask(run_member *m, int op)
{
    uint64_t asked = run_now();
    char json[600];
    sprintf(json, "{\"username\": \"%s\", \"ip\": \"127.0.0.1\", \"port\": %u%s}", m->name, m->port, m->level ? ",\"ocm\":1" : "");
    run_send_frame(m->tcp, op, m->form == OCM_FORM_SEED_A, m->room, m->form == OCM_FORM_JSON ? json : m->name);
    return m->form == OCM_FORM_JSON ? run_answered_json(m, op) : run_answered_text(m, op, asked);
}

static void run_say(const run_member *m, const run_program *s, const char *message)
{
    uint8_t out[5000];
    size_t room = strlen(m->room), token = strlen(m->token), len = strlen(message);
    out[0] = (uint8_t)room;
    out[1] = (uint8_t)token;
    memcpy(out + 2, m->room, room);
    memcpy(out + 2 + room, m->token, token);
    memcpy(out + 2 + room + token, message, len);
    run_send_udp(m->udp, s->udp, out, 2 + room + token + len);
}

/* The message part of the next datagram; its header must be the member's, in the form that has one. */
static const char *run_next(const run_member *m)
{
    static char in[70000];
    char head[600];
    ssize_t n = run_readable(m->udp, RUN_PATIENCE) ? recv(m->udp, in, sizeof in - 1, 0) : 0;
    size_t len;
    in[n > 0 ? n : 0] = 0;
    if (m->form == OCM_FORM_TEXT) return in;
    len = (size_t)sprintf(head, "%c%c%s%s", (int)strlen(m->room), (int)strlen(m->token), m->room, m->token);
    return CHECK(n >= (ssize_t)len && memcmp(in, head, len) == 0) ? in + len : "";
}

/* The next datagram is this, and nothing else. seed B's client ends at what is not one object with sender and message. */
static int run_next_is(const run_member *m, const char *sender, const char *message, unsigned operation)
{
    const char *got = run_next(m);
    char expected[5000];
    uint8_t scratch[5000];
    ocm_message j;
    int good;
    sprintf(expected, "%s: %s", sender, message);
    if (m->form != OCM_FORM_JSON) {
        good = strncmp(got, expected, strlen(expected)) == 0 && (operation == OCM_OUT || strlen(got) == strlen(expected));
    } else {
        good = ocm_message_decode(ocm_text(got), scratch, &j) == 1 && is(j.sender, sender) && j.operation == operation &&
               j.text.len >= strlen(message) && memcmp(j.text.ptr, message, strlen(message)) == 0 && !strchr(got, '\n') &&
               (operation == OCM_OUT || j.text.len == strlen(message));
    }
    if (!good) printf("expected of \"%s\": %s\nbut %s heard: %s\n", sender, message, m->name, got);
    return good;
}

/* Nothing more has come: whatever the server had to say before the answer to this was said before. */
static void run_silent(const run_member *m)
{
    CHECK(!run_readable(m->udp, 50));
}

static void run_mixed_room(const run_program *s, run_program *alice, run_program *bob, run_member *m)
{
    static const char *const said[] = {"やあ", "plain", "{\\\"deep\\\"} 😀"};
    static const char *const shown[] = {"やあ", "plain", "{\"deep\"} 😀"};
    char json[300], line[300];
    int i, k;
    for (i = 0; i < 3; i++) {
        sprintf(json, "{\"sender\": \"somebody else\", \"message\": \"%s\"}", said[i]);
        row = m[i].name;
        run_say(&m[i], s, m[i].form == OCM_FORM_JSON ? json : shown[i]);
        for (k = 0; k < 3; k++)
            if (k != i) CHECK(run_next_is(&m[k], m[i].name, shown[i], 0));
        sprintf(line, "%s: %s\n", m[i].name, shown[i]);
        CHECK(run_hears(alice, line) && run_hears(bob, line));
    }
    row = "";
    run_type(alice, "from \"alice\"\n");
    for (k = 0; k < 3; k++) CHECK(run_next_is(&m[k], "alice", "from \"alice\"", 0)); /* nobody had an echo before it */
    CHECK(run_hears(bob, "alice: from \"alice\"\n"));
}

static void test_dialects(void)
{
    run_program *s = run_server("-q"), *alice = run_client(s, "-n alice -c 部屋"), *bob;
    run_member m[3];
    int k;
    m[0] = run_sockets_for(s, OCM_FORM_SEED_A, "部屋", "anna");
    m[1] = run_sockets_for(s, OCM_FORM_TEXT, "部屋", "tom");
    m[2] = run_sockets_for(s, OCM_FORM_JSON, "部屋", "bert");
    CHECK(run_ask(&m[0], OCM_JOIN) == 200);
    CHECK(run_ask(&m[1], OCM_JOIN) == 0);
    CHECK(run_next_is(&m[0], "system", "tom joined", OCM_JOINED));
    CHECK(run_ask(&m[2], OCM_JOIN) == 200);
    bob = run_client(s, "-n bob -j 部屋");
    CHECK(run_next_is(&m[0], "system", "bert joined", OCM_JOINED) && run_next_is(&m[1], "system", "bert joined", OCM_JOINED));
    for (k = 0; k < 3; k++) CHECK(run_next_is(&m[k], "system", "bob joined", OCM_JOINED));
    CHECK(run_hears(alice, "* bob joined\n"));
    run_mixed_room(s, alice, bob, m);
    run_say(&m[0], s, "[remove_chatroom]");
    CHECK(run_next_is(&m[0], "system", "You have been disconnected: ", OCM_OUT));
    CHECK(run_next_is(&m[1], "system", "anna left", OCM_LEFT) && run_next_is(&m[2], "system", "anna left", OCM_LEFT));
    run_say(&m[0], s, "I am gone");
    run_say(&m[2], s, "{\"sender\":\"system\",\"operation\":2,\"username\":\"alice\",\"message\":\"alice left\"}");
    CHECK(run_next_is(&m[2], "system", "You have been disconnected: ", OCM_OUT));
    CHECK(run_next_is(&m[1], "system", "bert left", OCM_LEFT));
    CHECK(run_hears(bob, "* bert left\n") && !strstr(bob->text[0], "gone"));
    CHECK(run_leaves(alice) == 0 && run_ended(bob) == 0);
    CHECK(run_next_is(&m[1], "system", "You have been disconnected: ", OCM_OUT));
    run_silent(&m[0]), run_silent(&m[1]), run_silent(&m[2]);
    run_clean();
}

/* A parent process may have blocked the signal by which the server, while datagrams come, remembers TCP. */
static void test_alarm_blocked(void)
{
    run_program *s, *a, *b;
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm, NULL);
    s = run_server("-q");
    sigprocmask(SIG_UNBLOCK, &alarm, NULL);
    a = run_client(s, "-n alice lobby");
    run_type(a, "anyone?\n");
    b = run_client(s, "-n bob lobby");
    CHECK(run_hears(a, "* bob joined\n"));
    run_type(b, "I am\n");
    CHECK(run_hears(a, "bob: I am\n"));
    kill(s->pid, SIGALRM); /* whoever sends it */
    CHECK(run_leaves(b) == 0 && run_leaves(a) == 0);
    run_clean();
}

/* What has piled up while the server stood still leaves in few datagrams, complete and in order. */
static void test_piled_up(void)
{
    enum { SAID = 200 };
    run_program *s = run_server("-q -r 0");
    run_member tom = run_sockets_for(s, OCM_FORM_TEXT, "lobby", "tom"), lena = run_sockets_for(s, OCM_FORM_JSON, "lobby", "lena");
    int i, next = 0, datagrams = 0;
    char said[40];
    lena.level = 1;
    CHECK(run_ask(&tom, OCM_CREATE) == 0 && run_ask(&lena, OCM_JOIN) == 200);
    kill(s->pid, SIGSTOP);
    for (i = 0; i < SAID; i++) sprintf(said, "word %d", i), run_say(&tom, s, said);
    kill(s->pid, SIGCONT);
    while (next < SAID) {
        char *line = strtok((char *)(uintptr_t)run_next(&lena), "\n");
        if (!CHECK(line != NULL)) break;
        datagrams++;
        for (; line; line = strtok(NULL, "\n")) {
            sprintf(said, "\"message\":\"word %d\"", next++);
            CHECK(strstr(line, said) != NULL);
        }
    }
    CHECK(datagrams < SAID / 2);
    run_clean();
}

/* Several requests on one connection, each of a form: those refused, then one that is not. */
static void run_ask_again(const run_program *s, int form, const int *status)
{
    run_member m = run_sockets_for(s, form, "nowhere", "nobody");
    CHECK(run_ask(&m, OCM_JOIN) == status[0]);
    m.room = "lobby";
    CHECK(run_ask(&m, OCM_CREATE) == status[1]);
    m.name = "alice";
    CHECK(run_ask(&m, OCM_JOIN) == status[2]);
    m.name = "system";
    CHECK(run_ask(&m, OCM_JOIN) == status[3]);
    m.name = form == OCM_FORM_JSON ? "b" : form == OCM_FORM_TEXT ? "t" : "a";
    CHECK(run_ask(&m, 7) == status[3]); /* there is no such op */
    CHECK(run_ask(&m, OCM_JOIN) == status[4]);
    run_send_frame(m.tcp, OCM_JOIN, 0, "lobby", "more");
    CHECK(!run_readable(m.tcp, 30)); /* after a success nothing more is answered */
}

static void test_requests_again(void)
{
    static const int status[3][5] = {{404, 409, 409, 400, 200}, {2, 1, 6, 4, 0}, {404, 400, 400, 400, 200}};
    run_program *s = run_server("-q"), *alice = run_client(s, "-n alice -c lobby");
    run_ask_again(s, OCM_FORM_JSON, status[0]);
    run_ask_again(s, OCM_FORM_TEXT, status[1]);
    run_ask_again(s, OCM_FORM_SEED_A, status[2]);
    CHECK(run_hears(alice, "* b joined\n* t joined\n* a joined\n"));
    run_clean();
}

/* Two connections at once: one that has been there from the start, one whose request comes in 1-byte segments. */
static void test_requests_slow(void)
{
    run_program *s = run_server("-q"), *alice;
    run_member waiting = run_sockets_for(s, OCM_FORM_JSON, "lobby", "waiting"), slow;
    uint8_t frame[200];
    size_t i, len = run_make_frame(frame, OCM_JOIN, 0, "lobby", "{\"username\":\"slow\"}", 19);
    alice = run_client(s, "-n alice -c lobby");
    slow = run_sockets_for(s, OCM_FORM_JSON, "lobby", "slow");
    for (i = 0; i < len; i++) {
        CHECK(send(slow.tcp, frame + i, 1, 0) == 1);
        run_for(1); /* each is to be a segment of its own */
    }
    CHECK(run_answered_json(&slow, OCM_JOIN) == 200);
    CHECK(run_ask(&waiting, OCM_JOIN) == 200);
    CHECK(run_hears(alice, "* slow joined\n* waiting joined\n"));
    run_clean();
}

/* Two requests in one segment are answered in order; a connection that breaks before the success is written was no joining. */
static void test_requests_broken(void)
{
    run_program *s = run_server("-q"), *alice = run_client(s, "-n alice -c lobby");
    run_member m = run_sockets_for(s, OCM_FORM_JSON, "lobby", "bob"), gone = run_sockets_for(s, OCM_FORM_TEXT, "lobby", "gone");
    uint8_t frames[400];
    run_answer a;
    struct linger at_ms = {1, 0};
    size_t len = run_make_frame(frames, OCM_JOIN, 0, "nowhere", "{\"username\":\"bob\"}", 18);
    len += run_make_frame(frames + len, OCM_JOIN, 0, "lobby", "{\"username\":\"bob\"}", 18);
    CHECK(send(m.tcp, frames, len, 0) == (ssize_t)len);
    CHECK(run_answered_json(&m, OCM_JOIN) == 404 && run_answered_json(&m, OCM_JOIN) == 200);
    run_send_frame(gone.tcp, OCM_JOIN, 0, "lobby", "gone");
    CHECK(run_read_frame(gone.tcp, gone.form, &a) && a.payload[0] == 0); /* the token comes 100 ms later */
    setsockopt(gone.tcp, SOL_SOCKET, SO_LINGER, &at_ms, sizeof at_ms);
    shutdown(gone.tcp, SHUT_RDWR);
    CHECK(run_hears(alice, "* bob joined\n* gone joined\n* gone left"));
    gone = run_sockets_for(s, OCM_FORM_TEXT, "lobby", "gone");
    CHECK(run_ask(&gone, OCM_JOIN) == 0); /* the name is free */
    run_clean();
}

/* ---- 6. The programs: our client and other people's servers ---- */

enum { RUN_SEED_A, RUN_SEED_B, RUN_MUTE, RUN_STATE_3, RUN_CLOSES };

typedef struct run_fake { /* a server that the test plays, while it waits for something else */
    int kind, text_form;
    int listener, udp, other; /* other: seed B's answers come from there */
    unsigned tcp_port, udp_port;
    int requests, open, members, messages, leaves, empties;
    unsigned port[4];
    char token[4][32];
} run_fake;

static void run_fake_send(int fd, int op, int state, const char *room, const void *payload, size_t len)
{
    uint8_t out[600];
    size_t n = run_make_frame(out, op, state, room, payload, len);
    CHECK(send(fd, out, n, 0) == (ssize_t)n);
}

/* Seed A's answers: of its own form, to whatever request. It sends to the port of the TCP connection. */
static void run_fake_answer_a(run_fake *f, int fd, const uint8_t *q, const char *payload)
{
    struct sockaddr_in peer = run_address(0);
    socklen_t len = sizeof peer;
    char json[200];
    int code = q[1] == OCM_CREATE ? (f->open ? 400 : 200) : f->open ? 200 : 404;
    CHECK(q[2] == 0);
    CHECK(f->text_form ? strcmp(payload, "alice") == 0 || strcmp(payload, "bob") == 0 : payload[0] == '{');
    getpeername(fd, (struct sockaddr *)&peer, &len);
    run_fake_send(fd, q[1], 1, "", "\xC8", 1);
    if (code == 200) {
        f->open = 1;
        f->port[f->members] = ntohs(peer.sin_port);
        sprintf(f->token[f->members], "token-of-%d", f->members);
        sprintf(json, "{\"status_code\": 200, \"user_token\": \"%s\"}", f->token[f->members++]);
    } else {
        sprintf(json, "{\"status_code\": %d, \"user_token\": null}", code);
    }
    run_fake_send(fd, q[1], 2, code == 200 ? "lobby" : "", json, strlen(json));
}

/* Seed B's: JSON only; ip and port are believed, and must be exact. */
static void run_fake_answer_b(run_fake *f, int fd, const uint8_t *q, const char *payload)
{
    const char *ack = "{\"status\": 202, \"message\": \"accepted\"}", *port = strstr(payload, "\"port\":");
    char json[200];
    int status = q[1] == OCM_CREATE ? 201 : f->open ? 200 : 404;
    CHECK(q[2] == 0 && json_good(payload, strlen(payload)) == 1 && strstr(payload, "\"ip\":\"127.0.0.1\"") && port);
    run_fake_send(fd, q[1], 1, "", ack, strlen(ack));
    if (status < 300 && port) {
        f->open = 1;
        f->port[f->members] = (unsigned)atoi(port + 7);
        sprintf(f->token[f->members], "%d-b", f->members);
        sprintf(json, "{\"status\": %d, \"message\": \"welcome\", \"token\": \"%s\"}", status, f->token[f->members++]);
    } else {
        sprintf(json, "{\"status\": %d, \"message\": \"no such room\"}", status);
    }
    run_fake_send(fd, q[1], 2, "", json, strlen(json));
}

/* A connection. The seeds read once: the request must have come in one piece. */
static void run_fake_accept(void *about, int listener)
{
    run_fake *f = (run_fake *)about;
    struct timeval t = {5, 0};
    uint8_t q[4097];
    int fd = run_keep(accept(listener, NULL, NULL));
    ssize_t n;
    f->requests++;
    if (f->kind == RUN_MUTE) return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    n = recv(fd, q, 4096, 0);
    if (!CHECK(n > 37 && (size_t)n == 32u + q[0] + (size_t)q[30] * 256 + q[31] && memcmp(q + 32, "lobby", 5) == 0)) return;
    q[n] = 0;
    if (f->kind == RUN_SEED_A) run_fake_answer_a(f, fd, q, (const char *)q + 37);
    else if (f->kind == RUN_SEED_B) run_fake_answer_b(f, fd, q, (const char *)q + 37);
    else if (f->kind == RUN_STATE_3) run_fake_send(fd, q[1], 3, "", "", 0);
    else shutdown(fd, SHUT_RDWR);
}

static void run_fake_to(const run_fake *f, int i, const char *message)
{
    uint8_t out[5000];
    size_t token = strlen(f->token[i]);
    out[0] = 5;
    out[1] = (uint8_t)token;
    memcpy(out + 2, "lobby", 5);
    memcpy(out + 7, f->token[i], token);
    memcpy(out + 7 + token, message, strlen(message));
    run_send_udp(f->kind == RUN_SEED_B ? f->other : f->udp, f->port[i], out, 7 + token + strlen(message));
}

/* Both seeds relay the bytes they get, to everyone, with the receiver's token before them. */
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
    else if (strstr(message, "\"operation\":2") || strstr(message, "[remove_chatroom]")) f->leaves++;
    else f->messages++;
    for (k = 0; k < f->members; k++) run_fake_to(f, k, message);
}

static run_fake run_fake_server(int kind)
{
    run_fake f;
    memset(&f, 0, sizeof f);
    f.kind = kind;
    f.listener = run_bind(SOCK_STREAM, 0);
    f.udp = run_bind(SOCK_DGRAM, 0);
    f.other = run_bind(SOCK_DGRAM, 0);
    CHECK(f.listener >= 0 && f.udp >= 0 && f.other >= 0 && listen(f.listener, 8) == 0);
    f.tcp_port = run_port_of(f.listener);
    f.udp_port = run_port_of(f.udp);
    return f;
}

static run_program *run_fake_client(run_fake *f, const char *options)
{
    run_program *c = run_client_at(f->tcp_port, f->udp_port, options);
    CHECK(run_tells(c, "\"\n"));
    return c;
}

static void test_client_seed_a_text(void)
{
    run_fake f = run_fake_server(RUN_SEED_A);
    run_program *a, *b;
    f.text_form = 1;
    run_watch(f.listener, run_fake_accept, &f);
    run_watch(f.udp, run_fake_relay, &f);
    a = run_fake_client(&f, "-t -n alice lobby"); /* not there: created */
    b = run_fake_client(&f, "-t -n bob -j lobby");
    CHECK(strstr(a->text[RUN_ERR], "created \"lobby\"") && strstr(b->text[RUN_ERR], "joined \"lobby\""));
    run_type(a, "やあ\n");
    CHECK(run_hears(b, "やあ\n"));
    run_type(b, "two\n");
    CHECK(run_hears(a, "two\n"));
    CHECK(run_ended(run_client_at(f.tcp_port, f.udp_port, "-t -n bob -c lobby")) == 1);
    CHECK(run_leaves(a) == 0 && run_leaves(b) == 0);
    run_for(50);
    CHECK(f.messages == 2 && f.leaves == 0 && f.empties == 0 && f.requests == 4);
    run_clean();
}

static void test_client_seed_a_json(void)
{
    run_fake f = run_fake_server(RUN_SEED_A);
    run_program *a, *b;
    run_watch(f.listener, run_fake_accept, &f);
    run_watch(f.udp, run_fake_relay, &f);
    a = run_fake_client(&f, "-n alice lobby");
    b = run_fake_client(&f, "-n bob lobby");
    run_type(a, "hi\n");
    CHECK(run_hears(b, "alice: hi\n"));
    run_type(b, "\"ho\"\n");
    CHECK(run_hears(a, "bob: \"ho\"\n") && run_heard_all(a, "bob: \"ho\"\n")); /* its own is not shown to it */
    CHECK(run_leaves(a) == 0 && run_leaves(b) == 0);
    CHECK(f.messages == 2 && f.leaves == 2 && f.empties == 0);
    run_clean();
}

static void test_client_seed_b(void)
{
    run_fake f = run_fake_server(RUN_SEED_B);
    run_program *a, *b;
    run_watch(f.listener, run_fake_accept, &f);
    run_watch(f.udp, run_fake_relay, &f);
    a = run_fake_client(&f, "-n alice lobby");
    b = run_fake_client(&f, "-n bob -j lobby");
    run_fake_to(&f, 0, "\"bob has come \\u263a\""); /* its notices are bare strings */
    CHECK(run_hears(a, "* bob has come ☺\n"));
    run_type(a, "hi\n");
    CHECK(run_hears(b, "alice: hi\n"));
    sprintf(f.token[0], "wrong");
    run_fake_to(&f, 0, "{\"sender\":\"eve\",\"message\":\"forged\"}");
    sprintf(f.token[0], "0-b");
    run_for(2300); /* a keep-alive, if there were one, comes two seconds after the last entry */
    run_type(b, "ho\n");
    CHECK(run_hears(a, "bob: ho\n") && run_heard_all(a, "* bob has come ☺\nbob: ho\n"));
    CHECK(run_leaves(b) == 0);
    CHECK(f.messages == 2 && f.leaves == 1 && f.empties == 0);
    CHECK(run_leaves(a) == 0 && f.leaves == 2 && f.empties == 0);
    run_clean();
}

static void test_client_bad_server(void)
{
    static const int kinds[] = {RUN_STATE_3, RUN_CLOSES};
    size_t i;
    for (i = 0; i < COUNT(kinds); i++) {
        run_fake f = run_fake_server(kinds[i]);
        run_program *c;
        run_watch(f.listener, run_fake_accept, &f);
        c = run_client_at(f.tcp_port, f.udp_port, "-n alice -c lobby");
        CHECK(run_ended(c) == 1 && run_tells(c, "client: no answer") && run_heard_all(c, ""));
        close(f.listener);
        run_watch_count = 0;
        c = run_client_at(f.tcp_port, f.udp_port, "-n alice -c lobby"); /* nobody listens any more */
        CHECK(run_ended(c) == 1 && run_tells(c, "client: no answer"));
        CHECK(run_ended(run_client_at(f.tcp_port, f.udp_port, "-l")) == 1);
        run_socket_count = 0;
        close(f.udp), close(f.other);
        run_clean();
    }
}

/* ---- 6. The programs: what a stranger sends ---- */

static uint32_t run_dice(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

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
        size_t len = run_dice(&lot) % sizeof frame;
        for (k = 0; k < 3000; k++) frame[k] = (uint8_t)run_dice(&lot);
        if (i % 3 == 0) memset(frame + 3, 0, 27); /* a length that can be */
        if (i % 3 == 1) memset(frame + 3, 0, 29), frame[1] = 2, frame[2] = 0;
        (void)!send(fd, frame, len, 0);
        if (i % 2) run_readable(fd, 5);
        close(fd);
    }
}

/* A refusal from the header alone: it can be read to its end, though bytes of the payload still come. */
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
    while (run_readable(fd, RUN_PATIENCE) && (n = recv(fd, in + got, sizeof in - 1 - got, 0)) > 0) {
        got += (size_t)n;
        (void)!send(fd, out + 37, 1000, 0);
    }
    in[got] = 0;
    CHECK(n == 0); /* closed, not reset */
    if (json) CHECK(got > 77 && in[2] == 1 && in[32 + in[31] + 2] == 2 && strstr(in + 64 + in[31], "{\"status\":413") == in + 64 + in[31]);
    else CHECK(got > 72 && in[31] == 1 && in[32] == 4 && in[33 + 2] == 2 && strncmp(in + 65, "error: ", 7) == 0);
}

static int run_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return 100;
    if (r.rlim_cur < 2200) {
        r.rlim_cur = r.rlim_max < 2200 ? r.rlim_max : 2200;
        setrlimit(RLIMIT_NOFILE, &r);
        getrlimit(RLIMIT_NOFILE, &r);
    }
    return r.rlim_cur > 2200 ? 2000 : (int)r.rlim_cur - 150;
}

/* 2000 connections, half of them with half a request; at once, if the system lets one process have as many. */
static void run_crowd(const run_program *s, run_program *a, run_program *b)
{
    static int fd[2000];
    int at_once = run_descriptors(), made = 0, i;
    if (at_once < 2000) printf("only %d connections at once: the system gives no more descriptors\n", at_once);
    while (at_once > 0 && made < 2000) {
        for (i = 0; i < at_once && made < 2000; i++, made++) {
            fd[i] = run_connect(s->tcp);
            if (made % 2 && fd[i] >= 0) (void)!send(fd[i], "\5\2\0", 3, 0);
        }
        run_still_chats(a, b, "a crowd came");
        CHECK(run_leaves(run_client(s, "-n carol -j lobby")) == 0); /* who asks gets in */
        while (i > 0) close(fd[--i]);
    }
    run_still_chats(a, b, "the crowd left");
}

static void run_strange_datagrams(const run_program *s)
{
    static const size_t lengths[] = {0, 1, 2, 33, 4096, 4097, 65507};
    static uint8_t out[65507];
    uint32_t lot = (uint32_t)seed + 1;
    int fd = run_bind(SOCK_DGRAM, 0), k;
    size_t i;
    for (k = 0; k < 3; k++) {
        for (i = 0; i < sizeof out; i++) out[i] = k ? (uint8_t)run_dice(&lot) : 0;
        if (k == 2) memcpy(out, "\5\40lobby", 7);
        for (i = 0; i < COUNT(lengths); i++) run_send_udp(fd, s->udp, out, lengths[i]);
    }
    CHECK(!run_readable(fd, 20)); /* nothing is sent to who has not proved himself */
}

/* A member that means harm: wrong tokens, another's room, what is no text, what is no JSON, too much of it. */
static void run_bad_member(const run_program *s, run_member *m)
{
    static char big[5000];
    char token[33];
    int i;
    memcpy(token, m->token, sizeof token);
    m->token[0] = m->token[0] == '0' ? '1' : '0';
    run_say(m, s, "{\"sender\":\"x\",\"message\":\"EVIL\"}");
    memcpy(m->token, token, sizeof token);
    m->room = "lobby"; /* it is not in there */
    run_say(m, s, "{\"sender\":\"x\",\"message\":\"EVIL\"}");
    run_say(m, s, "{\"sender\":\"system\",\"operation\":6,\"seq\":1,\"count\":9}");
    m->room = "other";
    CHECK(!run_readable(m->udp, 20));
    for (i = 0; i < 200; i++) strcat(big, "{\"a\":");
    run_say(m, s, big);
    memset(big, '[', 3000);
    run_say(m, s, big);
    run_say(m, s, "{\"sender\":\"x\",\"message\":\"EVIL \xFF\xC0\x80\"}");
    run_say(m, s, "{\"sender\":\"x\",\"message\":\"EVIL \\ud800\"}");
    run_say(m, s, "{\"sender\":\"x\",\"message\":\"EVIL\"");
    run_say(m, s, "{\"sender\":\"x\",\"message\":\"EVIL \x1B[2J\"}");
    repeat(big, 'E', 4096 - 2 - 5 - 32);
    run_say(m, s, big);
    repeat(big, 'E', 4096 - 2 - 5 - 31);
    run_say(m, s, big);
    CHECK(strstr(run_next(m), "\"operation\":4") != NULL); /* told once, for at most one notice a second */
    CHECK(!run_readable(m->udp, 20));
}

static void test_program_strangers(void)
{
    run_program *s = run_server("-q"), *a = run_client(s, "-n alice -c lobby"), *b = run_client(s, "-n bob lobby"), *o;
    run_member m = run_sockets_for(s, OCM_FORM_JSON, "other", "mallory"), deep = m;
    char request[300] = "{\"username\":\"d\",\"x\":";
    int i;
    run_rubbish_frames(s);
    run_still_chats(a, b, "rubbish frames");
    for (i = 0; i < 4; i++) run_too_large(s, i < 2 ? 29 : 232, i % 2);
    run_still_chats(a, b, "lengths");
    run_strange_datagrams(s);
    run_still_chats(a, b, "strange datagrams");
    for (i = 0; i < 60; i++) strcat(request, "[");
    run_send_frame(deep.tcp, OCM_JOIN, 0, "lobby", request);
    CHECK(run_answered_json(&deep, OCM_JOIN) == 400);
    o = run_client(s, "-n olga -c other");
    CHECK(run_ask(&m, OCM_JOIN) == 200);
    run_bad_member(s, &m);
    run_still_chats(a, b, "a bad member");
    run_crowd(s, a, b);
    CHECK(!strstr(a->text[0], "EVIL") && !strstr(b->text[0], "EVIL") && run_heard_all(o, "* mallory joined\n"));
    CHECK(run_leaves(a) == 0 && run_ended(b) == 0);
    kill(s->pid, SIGTERM);
    CHECK(run_ended(s) == 0 && s->len[RUN_ERR] == 0);
    run_clean();
}

/* ---- 6. The programs: on a network that loses ---- */

typedef struct run_relay { /* between clients and the server, a socket to the server for each client, as an address translator has it */
    int front, count, loss; /* loss: percent, each way */
    unsigned port, server;
    struct { int up; struct sockaddr_in client; } way[8];
    uint32_t dice;
    int lost, passed;
} run_relay;

static int run_lost(run_relay *r)
{
    int gone = (int)(run_dice(&r->dice) % 100) < r->loss;
    if (gone) r->lost++;
    else r->passed++;
    return gone;
}

static void run_relay_down(void *about, int fd)
{
    run_relay *r = (run_relay *)about;
    char in[5000];
    ssize_t n = recv(fd, in, sizeof in, 0);
    int i;
    for (i = 0; i < r->count; i++)
        if (r->way[i].up == fd && n >= 0 && !run_lost(r))
            (void)!sendto(r->front, in, (size_t)n, 0, (struct sockaddr *)&r->way[i].client, sizeof r->way[i].client);
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
    if (!run_lost(r)) run_send_udp(r->way[i].up, r->server, in, (size_t)n);
}

/* Until everyone has heard the last of all the others: a loss may delay any of them. */
static void run_lossy_end(run_program *const *c, const char *const *names)
{
    uint64_t typed = run_now();
    char last[64];
    int i, k;
    for (i = 0; i < 3; i++) {
        for (k = 0; k < 3; k++) {
            sprintf(last, "%s: no %d\n", names[k], 34 - (k > 0));
            if (i != k) CHECK(run_hears(c[i], last));
            if (i != k) CHECK(run_in_order(c[i], names[k], "no", 34 - (k > 0)));
        }
        CHECK(strcmp(strchr(c[i]->text[RUN_ERR], '\n'), "\n") == 0); /* nothing is believed to be lost */
    }
    CHECK(run_now() - typed < 60000);
}

static void test_lossy_network(void)
{
    static const char *const names[] = {"alice", "bob", "carol"};
    run_program *s = run_server("-q"), *c[3];
    run_relay r;
    char options[64];
    int i;
    memset(&r, 0, sizeof r);
    r.front = run_bind(SOCK_DGRAM, 0);
    r.port = run_port_of(r.front);
    r.server = s->udp;
    r.loss = 30;
    r.dice = 2463534242u + (uint32_t)seed;
    run_watch(r.front, run_relay_up, &r);
    for (i = 0; i < 3; i++) {
        sprintf(options, "-n %s lobby", names[i]);
        c[i] = run_client_at(s->tcp, r.port, options);
        CHECK(run_tells(c[i], "\"\n"));
    }
    for (i = 0; i < 3; i++) run_type_many(c[i], "no", 34 - (i > 0)); /* 100 in all */
    run_patience = 4 * RUN_PATIENCE; /* first whether all arrives, then whether it does in time */
    run_lossy_end(c, names);
    run_patience = RUN_PATIENCE;
    CHECK(r.lost * 100 / (r.lost + r.passed) >= 20 && r.lost > 30);
    r.loss = 0; /* leaving is confirmed, too, but not for ever repeated */
    for (i = 2; i >= 0; i--) CHECK(run_leaves(c[i]) == 0);
    CHECK(run_hears(c[0], "* bob left\n") && run_hears(c[0], "* carol left\n"));
    run_clean();
}

/* What takes its time, at once: a server that never answers (5 s), one that is killed and comes back (over 10 s). */
static void test_waiting(void)
{
    run_fake mute = run_fake_server(RUN_MUTE);
    run_program *s = run_server("-q"), *again, *a = run_client(s, "-n alice -c lobby"), *b = run_client(s, "-n bob -j lobby"), *m;
    uint64_t began = run_now();
    CHECK(run_hears(a, "* bob joined\n"));
    run_watch(mute.listener, run_fake_accept, &mute);
    m = run_client_at(mute.tcp_port, mute.udp_port, "-n alice lobby");
    kill(s->pid, SIGKILL);
    CHECK(run_ended(s) == 1000 + SIGKILL);
    run_type(a, "typed meanwhile\n");
    CHECK(run_ended(m) == 1 && run_now() - began >= 4900 && run_now() - began < 9000);
    CHECK(run_tells(m, "client: no answer") && mute.requests == 1);
    again = run_start("./server -q -l 127.0.0.1/%u:%u", s->tcp, s->udp);
    CHECK(run_hears(again, "listening"));
    CHECK(run_tells(a, "the server does not answer") && run_now() - began >= 9900);
    CHECK(run_tells(a, "the server is back\n")); /* the host creates its room anew */
    CHECK(run_tells(b, "the server is back\n") && run_hears(a, "* bob joined\n* bob joined\n"));
    CHECK(run_hears(b, "alice: typed meanwhile\n"));
    run_type(b, "good\n");
    CHECK(run_hears(a, "bob: good\n") && !strstr(a->text[RUN_ERR], "missed") && !strstr(b->text[RUN_ERR], "missed"));
    CHECK(run_leaves(b) == 0 && run_leaves(a) == 0 && run_hears(a, "* bob left\n"));
    run_clean();
}

/* ---- 6. The programs: the examples in the manuals ---- */

static char *run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = (char *)allocate(1 << 20);
    if (f) text[fread(text, 1, (1 << 20) - 1, f)] = 0;
    if (f) fclose(f);
    return text;
}

/* The quick example of ocm.h: its lines stand seven blanks further right than code. */
static int run_quick_example(FILE *out)
{
    char *text = run_file("ocm.h"), *at = strstr(text, "QUICK EXAMPLE"), *end = strstr(text, "\n   THE PROTOCOL"), *next;
    int lines = 0;
    for (at = at ? strchr(at, '\n') : NULL; at && end && at < end; at = next) {
        next = strchr(++at, '\n');
        if (next - at >= 7 && strncmp(at, "       ", 7) == 0) lines += fprintf(out, "%.*s\n", (int)(next - at - 7), at + 7) > 1;
        else fprintf(out, "\n");
    }
    free(text);
    return lines;
}

/* The first block of README.md that is marked so. */
static int run_readme(const char *mark, FILE *out)
{
    char *text = run_file("README.md"), begin[32], *at, *end;
    sprintf(begin, "\n```%s\n", mark);
    at = strstr(text, begin);
    end = at ? strstr(at + strlen(begin), "\n```") : NULL;
    if (end) fwrite(at + strlen(begin), 1, (size_t)(end + 1 - at) - strlen(begin), out);
    free(text);
    return end != NULL;
}

/* Writes an example into a directory of its own, and compiles it there if it is C. 1 when it can be run. */
static int run_example(const char *dir, const char *mark)
{
    char path[100];
    FILE *f;
    int good;
    sprintf(path, "%s/example.%s", dir, strcmp(mark, "python") == 0 ? "py" : "c");
    f = fopen(path, "wb");
    if (!CHECK(f)) return 0;
    good = *mark ? run_readme(mark, f) : CHECK(run_quick_example(f) > 30);
    fclose(f);
    if (!good) printf("README.md has no block marked ```%s: skipped\n", mark);
    if (!good || strcmp(mark, "python") == 0) return good;
    return CHECK(run_ended(run_start("%s -I. -o %s/example %s", getenv("CC") ? getenv("CC") : "cc", dir, path)) == 0);
}

static void run_remove(const char *dir)
{
    char path[100];
    sprintf(path, "%s/example.c", dir), remove(path);
    sprintf(path, "%s/example.py", dir), remove(path);
    sprintf(path, "%s/example", dir), remove(path);
    rmdir(dir);
    run_clean();
}

static void test_example_quick(void)
{
    char dir[] = "/tmp/ocm-test-XXXXXX";
    run_program *p;
    if (!CHECK(mkdtemp(dir))) return;
    if (run_example(dir, "")) {
        p = run_start("%s/example", dir);
        CHECK(run_ended(p) == 0 && run_hears(p, "to port 4000: ") && run_hears(p, "bob joined") && run_hears(p, "to port 5000: "));
        CHECK(run_hears(p, "hi, bob") && !strstr(p->text[RUN_OUT], "alice joined"));
    }
    run_remove(dir);
}

/* The server of README.md: our clients chat on it. */
static void test_example_server(void)
{
    char dir[] = "/tmp/ocm-test-XXXXXX";
    run_program s, *a, *b;
    int tcp, udp, fd = -1;
    if (!CHECK(mkdtemp(dir))) return;
    if (run_example(dir, "c")) {
        uint64_t until = run_now() + RUN_PATIENCE;
        tcp = run_bind(SOCK_STREAM, 0), udp = run_bind(SOCK_DGRAM, 0);
        s.tcp = run_port_of(tcp), s.udp = run_port_of(udp);
        close(tcp), close(udp);
        run_socket_count -= 2;
        run_start("%s/example %u %u", dir, s.tcp, s.udp);
        while (fd < 0 && run_now() < until) fd = run_connect(s.tcp), run_turn(-1, 10);
        if (fd >= 0) close(fd);
        a = run_client(&s, "-n alice -c lobby");
        b = run_client(&s, "-t -n bob lobby");
        run_type(a, "hi\n");
        CHECK(run_hears(b, "alice: hi\n") && run_leaves(a) == 0 && run_ended(b) == 0);
    }
    run_remove(dir);
}

static void test_example_python(void)
{
    char dir[] = "/tmp/ocm-test-XXXXXX";
    run_program *s, *a, *p;
    if (run_ended(run_start("python3 -V")) != 0) {
        printf("no python3: the Python client of README.md is skipped\n");
        run_clean();
        return;
    }
    if (!CHECK(mkdtemp(dir))) return;
    s = run_server("-q");
    a = run_client(s, "-n alice -c 部屋");
    if (run_example(dir, "python")) {
        p = run_start("python3 %s/example.py 127.0.0.1 %u %u carol 部屋", dir, s->tcp, s->udp);
        CHECK(run_hears(a, "* carol joined\n"));
        run_type(a, "hello 😀 \"carol\"\n");
        CHECK(run_hears(p, "alice: hello 😀 \"carol\"\n"));
        run_type(p, "hi from python\n");
        CHECK(run_hears(a, "carol: hi from python\n"));
        CHECK(run_leaves(p) == 0 && run_hears(a, "* carol left\n"));
    }
    run_remove(dir);
}

#define RUN_TESTS \
    {"program_wrong_usage", test_program_wrong_usage}, \
    {"program_help", test_program_help}, \
    {"program_port_in_use", test_program_port_in_use}, \
    {"program_listeners", test_program_listeners}, \
    {"client_pipe", test_client_pipe}, \
    {"client_refusals", test_client_refusals}, \
    {"client_list", test_client_list}, \
    {"client_too_long", test_client_too_long}, \
    {"client_many_lines", test_client_many_lines}, \
    {"pick_meeting", test_pick_meeting}, \
    {"pick_one_down", test_pick_one_down}, \
    {"pick_writing", test_pick_writing}, \
    {"pick_usage", test_pick_usage}, \
    {"client_list_silent", test_client_list_silent}, \
    {"terminal_keys", test_terminal_keys}, \
    {"terminal_history", test_terminal_history}, \
    {"client_no_stdin", test_client_no_stdin}, \
    {"dialects", test_dialects}, \
    {"piled_up", test_piled_up}, \
    {"alarm_blocked", test_alarm_blocked}, \
    {"requests_again", test_requests_again}, \
    {"requests_slow", test_requests_slow}, \
    {"requests_broken", test_requests_broken}, \
    {"client_seed_a_text", test_client_seed_a_text}, \
    {"client_seed_a_json", test_client_seed_a_json}, \
    {"client_seed_b", test_client_seed_b}, \
    {"client_bad_server", test_client_bad_server}, \
    {"program_strangers", test_program_strangers}, \
    {"lossy_network", test_lossy_network}, \
    {"waiting", test_waiting}, \
    {"example_quick", test_example_quick}, \
    {"example_server", test_example_server}, \
    {"example_python", test_example_python},
#else
#define RUN_TESTS /* the programs are tested where there are fork() and poll() */
static int demo(void) { return printf("the demonstration needs fork()\n") < 0; }
#endif

/* ---- 7. Which server has the room ---- */

#define PICK_ROOMS 10000

/* The picked one of the first count names, for room number i. */
static size_t pick_of(const char *const *names, size_t count, unsigned i)
{
    ocm_view servers[16];
    char room[32];
    size_t k;
    for (k = 0; k < count; k++) servers[k] = ocm_text(names[k]);
    sprintf(room, "room %u", i);
    return ocm_pick(servers, count, ocm_text(room));
}

static const char *const pick_names[] = {
    "127.0.0.1/8000:9000", "127.0.0.1/8001:9001", "127.0.0.1/8002:9002", "127.0.0.1/8003:9003", "a.example/8000:9000",
    "b.example/8000:9000", "c.example/8000:9000", "::1/8000:9000", "2001:db8::1/8000:9000", "d/1:2"};

/* Calculated by another program from the declaration: they never change, or half the world is in the other room of that name. */
static void test_pick_vectors(void)
{
    static const char *const names[] = {"127.0.0.1/8000:9000", "127.0.0.1/8001:9001", "chat.example/8000:9000", "::1/8000:9000"};
    static const struct { const char *room; size_t pick[4]; } cases[] = {
        {"lobby", {0, 1, 1, 1}},
        {"kitchen", {0, 1, 1, 1}},
        {"garden", {0, 1, 1, 3}},
        {"attic", {0, 1, 1, 1}},
        {"cellar", {0, 1, 1, 3}},
        {"a", {0, 1, 1, 1}},
        {"b", {0, 0, 0, 3}},
        {"広場", {0, 1, 2, 2}},
        {"😀", {0, 1, 2, 2}},
        {"two words", {0, 1, 1, 3}},
        {"library of a very long name, longer than one block", {0, 0, 2, 3}}};
    ocm_view servers[4];
    size_t i, n;
    for (i = 0; i < 4; i++) servers[i] = ocm_text(names[i]);
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i].room;
        for (n = 1; n <= 4; n++) CHECK(ocm_pick(servers, n, ocm_text(row)) == cases[i].pick[n - 1]);
    }
}

/* One more server takes its share, and nothing else moves. */
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
        for (k = 0; k < n; k++) turned[k] = pick_names[(k * 3 + by) % n]; /* 3 and n have no divisor in common */
        for (i = 0; i < 1000; i++) CHECK(turned[pick_of(turned, n, i)] == pick_names[pick_of(pick_names, n, i)]);
    }
}

static void test_pick_spread(void)
{
    unsigned has[8] = {0}, i, share = PICK_ROOMS / 8;
    for (i = 0; i < PICK_ROOMS; i++) has[pick_of(pick_names, 8, i)]++;
    for (i = 0; i < 8; i++) CHECK(has[i] > share - share / 10 && has[i] < share + share / 10);
}

#ifndef _WIN32

/* A room that the program is to look for on this one of the two servers. */
static const char *pick_room(const run_program *s, const run_program *t, int on_t, const char *word, char *room)
{
    char names[2][64];
    ocm_view servers[2];
    int i = 0;
    sprintf(names[0], "127.0.0.1/%u:%u", s->tcp, s->udp);
    sprintf(names[1], "127.0.0.1/%u:%u", t->tcp, t->udp);
    servers[0] = ocm_text(names[0]);
    servers[1] = ocm_text(names[1]);
    do sprintf(room, "%s%d", word, i++);
    while (ocm_pick(servers, 2, ocm_text(room)) != (size_t)on_t);
    return room;
}

static run_program *pick_client(const run_program *s, const run_program *t, const char *options)
{
    return run_start("./client -s 127.0.0.1/%u:%u -s 127.0.0.1/%u:%u %s", s->tcp, s->udp, t->tcp, t->udp, options);
}

static run_program *pick_enters(const run_program *s, const run_program *t, const char *name, const char *room)
{
    char options[100];
    sprintf(options, "-n %s %s", name, room);
    return pick_client(s, t, options);
}

static size_t pick_lines(const char *text)
{
    size_t n = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++) n++;
    return n;
}

static void pick_lists(const run_program *l, int status, const char *first, const char *second, size_t lines)
{
    CHECK(run_ended(l) == status);
    CHECK(run_hears(l, first) && run_hears(l, second) && pick_lines(l->text[RUN_OUT]) == lines);
    CHECK(status ? strncmp(l->text[RUN_ERR], "client: ", 8) == 0 && pick_lines(l->text[RUN_ERR]) == 1 : l->len[RUN_ERR] == 0);
}

static void test_pick_meeting(void)
{
    run_program *s = run_server("-q"), *t = run_server("-q"), *a, *b, *c, *d;
    char left[32], right[32], line[100];
    pick_lists(pick_client(s, t, "-l"), 0, "no rooms\n", "", 1);
    pick_room(s, t, 0, "left", left);
    pick_room(s, t, 1, "right", right);
    a = pick_enters(s, t, "alice", left);
    CHECK(run_tells(a, "created \"left"));
    b = pick_enters(t, s, "bob", left);
    CHECK(run_tells(b, "joined \"left"));
    c = pick_enters(t, s, "carol", right);
    CHECK(run_tells(c, "created \"right"));
    d = pick_enters(s, t, "dora", right);
    CHECK(run_tells(d, "joined \"right"));
    run_type(a, "here\n"), run_type(d, "there\n");
    CHECK(run_hears(b, "alice: here\n") && run_hears(c, "dora: there\n"));
    pick_lists(pick_client(s, t, "-l"), 0, left, right, 2);
    pick_lists(pick_client(t, s, "-l"), 0, left, right, 2);
    sprintf(line, "%s (2 members)\n", left); /* each on its own server, and there alone */
    pick_lists(run_client_at(s->tcp, s->udp, "-l"), 0, line, "", 1);
    sprintf(line, "%s (2 members)\n", right);
    pick_lists(run_client_at(t->tcp, t->udp, "-l"), 0, line, "", 1);
    sprintf(line, "-l %s", right);
    pick_lists(pick_client(s, t, line), 0, "carol (host)\n", "dora\n", 2);
    CHECK(run_leaves(a) == 0 && run_ended(b) == 0 && run_leaves(d) == 0 && run_leaves(c) == 0);
    run_clean();
}

/* What lives on the other goes on. */
static void test_pick_one_down(void)
{
    run_program *s = run_server("-q"), *t = run_server("-q"), *a, *b;
    char left[32], right[32], line[100];
    pick_room(s, t, 0, "left", left);
    pick_room(s, t, 1, "right", right);
    a = pick_enters(s, t, "alice", left);
    CHECK(run_tells(a, "created \"left"));
    kill(t->pid, SIGKILL);
    CHECK(run_ended(t) == 1000 + SIGKILL);
    sprintf(line, "TCP port %u;", t->tcp);
    b = pick_client(s, t, "-l");
    pick_lists(b, 1, left, "(1 member)\n", 1);
    CHECK(run_tells(b, line));
    b = pick_client(t, s, "-l");
    pick_lists(b, 1, left, "(1 member)\n", 1);
    b = pick_enters(t, s, "bob", left);
    CHECK(run_tells(b, "joined \"left") && run_leaves(b) == 0);
    b = pick_enters(t, s, "bob", right);
    CHECK(run_ended(b) == 1 && run_tells(b, "no answer") && run_tells(b, line));
    sprintf(line, "-l %s", left);
    pick_lists(pick_client(t, s, line), 0, "alice (host)\n", "", 1);
    sprintf(line, "-l %s", right);
    CHECK(run_ended(pick_client(t, s, line)) == 1);
    CHECK(run_leaves(a) == 0);
    run_clean();
}

/* The same servers, written otherwise and one of them twice. */
static void test_pick_writing(void)
{
    run_program *s = run_server("-q"), *t = run_server("-q"), *a, *b;
    int i;
    for (i = 0; i < 6; i++) {
        a = run_start("./client -s localhost/%u:%u -s localhost/%u:%u -n alice room%d", s->tcp, s->udp, t->tcp, t->udp, i);
        CHECK(run_tells(a, "created \"room"));
        b = run_start("./client -s LOCALHOST/%u:%u -s LocalHost/%u:%u -s localhost/%u:%u -n bob room%d", t->tcp, t->udp, s->tcp, s->udp,
                      t->tcp, t->udp, i);
        CHECK(run_tells(b, "joined \"room") && run_leaves(b) == 0 && run_leaves(a) == 0);
    }
    a = pick_enters(s, t, "alice", "room");
    CHECK(run_tells(a, "created \"room"));
    b = run_start("./client -s 127.0.0.1/%u:%u -s 127.0.0.1/%u:%u -s 127.0.0.1/%u:%u -l", t->tcp, t->udp, s->tcp, s->udp, t->tcp, t->udp);
    pick_lists(b, 0, "room (1 member)\n", "", 1);
    CHECK(run_leaves(a) == 0);
    run_clean();
}

/* Names as long as they may be and longer, one server too many. */
static void test_pick_usage(void)
{
    char command[600] = "./client -n a", longest[300], server[32];
    int i;
    for (i = 1; i <= 17; i++) sprintf(server, " -s h/%d:9000", i), strcat(command, server);
    strcat(command, " r");
    run_usage(command, "h/17:9000");
    sprintf(command, "./client -l %s", repeat(longest, 'r', 256));
    run_usage(command, "room");
    sprintf(command, "./client -s %s -l", repeat(longest, 'h', 256));
    run_usage(command, "host");
}

/* Servers that keep silent are waited for at the same time. */
static void test_client_list_silent(void)
{
    int mute[3], i;
    run_program *s = run_server("-q"), *l;
    uint64_t began = run_now();
    for (i = 0; i < 3; i++) CHECK((mute[i] = run_bind(SOCK_STREAM, 0)) >= 0 && listen(mute[i], 8) == 0);
    l = run_start("./client -l -s 127.0.0.1/%u:9000 -s 127.0.0.1/%u:9000 -s 127.0.0.1/%u:%u -s 127.0.0.1/%u:9000", run_port_of(mute[0]),
                  run_port_of(mute[1]), s->tcp, s->udp, run_port_of(mute[2]));
    CHECK(run_ended(l) == 1 && run_now() - began < 3900);
    CHECK(run_heard_all(l, "no rooms\n") && pick_lines(l->text[RUN_ERR]) == 3);
    run_clean();
}

static run_program *run_terminal(const run_program *server, const char *options)
{
    run_program *c;
    run_at_terminal = 1;
    c = run_client_at(server->tcp, server->udp, options);
    run_at_terminal = 0;
    CHECK(run_hears(c, "> "));
    return c;
}

static void test_terminal_keys(void)
{
    static const char *const cases[][2] = {
        {"wrld\033[D\033[D\033[Do\r", "world"}, {"ac\033OD\002b\006\033OC!\r", "bac!"}, {"bc\033[Ha\033[Fd\r", "abcd"},
        {"c\033OHb\033[1~a\033[7~_\033OFd\033[4~e\033[8~f\r", "_abcdef"}, {"ello\001h\005!\r", "hello!"},
        {"axbc\033[D\033[D\033[D\033[3~\004B\r", "aBc"}, {"日本語\033[D\177\b二\r", "二語"}, {"a\xCC\x81" "b\033[D\177\r", "b"},
        {"one two\002\002\002\013\r", "one "}, {"one two\002\025\r", "o"}, {"one two  three\002\027\027T\r", "one Te"},
        {"1\033[5~\033[1;5C\033[[A\033OP\033x\033[?1;2c\033[<0;1;1M\0142\r", "12"}, {"\033[D\033[C\177\013\027\025\033[3~.\r", "."},
        {"<>\002\033[200~a\001\025\033[D\004b\rc\033[201~\177d\r", "<ab>"}, {"", "d"}};
    run_program *s = run_server("-q"), *a = run_terminal(s, "-n alice lobby"), *b = run_client(s, "-n bob lobby");
    char said[64];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i][1];
        run_type(a, cases[i][0]);
        sprintf(said, "alice: %s\n", row);
        CHECK(run_hears(b, said));
    }
    row = "";
    run_type(a, "13\033"), run_for(30), run_type(a, "["), run_for(30), run_type(a, "D2\r");
    CHECK(run_hears(b, "alice: 123\n"));
    run_type(a, "hello wrld\033[D\033[D\033[D");
    CHECK(run_hears(a, "> hello w\0337rld\0338"));
    run_type(b, "hi\n"); /* what arrives stands above, and the cursor where it was */
    CHECK(run_hears(a, ": hi\r\n\r\033[J> hello w\0337rld\0338"));
    run_type(a, "o\r");
    CHECK(run_hears(b, "alice: hello world\n"));
    run_type(a, "\004");
    CHECK(run_ended(a) == 0 && run_ended(b) == 0);
    run_clean();
}

static void test_terminal_history(void)
{
    static const char *const cases[][2] = {
        {"one\r", "one"}, {"two\r", "two"}, {"two\r", "two"}, {"draft\033[A\033[A!\r", "one!"}, {"under\020\020\033[B\016 way\r", "under way"},
        {"x\033[B\033[A\033[A\033[A\033[A\033[A\033[A\033[A\0331\r", "one"}};
    run_program *s = run_server("-q"), *a = run_terminal(s, "-n alice lobby"), *b = run_client(s, "-n bob lobby");
    char said[64];
    size_t i;
    for (i = 0; i < COUNT(cases); i++) {
        row = cases[i][1];
        run_type(a, cases[i][0]);
        sprintf(said, "alice: %s\n", row);
        CHECK(run_hears(b, said));
    }
    row = "";
    for (i = 0; i < 103; i++) sprintf(said, "line %d\r", (int)i), run_type(a, said);
    CHECK(run_hears(b, "alice: line 102\n"));
    for (i = 0; i < 120; i++) run_type(a, "\033[A");
    run_type(a, "!\r");
    CHECK(run_hears(b, "alice: line 3!\n")); /* the hundredth, counted from the newest */
    run_clean();
}

/* Without a stdin at all the client is as at its end, and no socket becomes its stdin. */
static void test_client_no_stdin(void)
{
    run_program *s = run_server("-q"), *c;
    char script[200];
    FILE *f = fopen("ocm-no-stdin.sh", "w");
    if (!CHECK(f != NULL)) return;
    sprintf(script, "exec ./client -s 127.0.0.1/%u:%u -n alice lobby <&-\n", s->tcp, s->udp);
    CHECK(fputs(script, f) >= 0 && fclose(f) == 0);
    c = run_start("sh ocm-no-stdin.sh");
    CHECK(run_ended(c) == 0 && run_tells(c, "created \"lobby\" as \"alice\"\n"));
    remove("ocm-no-stdin.sh");
    run_clean();
}

#endif

/* ---- 8. Benchmark ---- */

/* ./test bench prints one table. Times are those of CPU clocks, and each is told as a ratio to a yardstick that was measured in turns
   with it: such ratios repeat where absolute times do not. The members of all rooms share a few sockets of this process, which stands
   on the same CPU as the server: so nobody waits for another CPU to wake up, and the one clock is not disturbed by the other. */

#ifdef __linux__
#include <sched.h>

#define BENCH_SOCKETS 16
#define BENCH_MEMBERS 40000 /* of all rooms of a server */
#define BENCH_TURNS 11      /* of which the median is told */
#define BENCH_AT_ONCE 100   /* joins under way */

typedef struct bench_load { /* rooms, and what is said in them */
    char kind;              /* J JSON, L JSON at level 1, S seed A */
    int rooms, size;
    int text;               /* bytes of a message; 0: 10 to 200 at random */
    int way;                /* messages under way */
    int turn;               /* messages of a turn */
    int first;              /* number of the first member; the members of a room follow each other */
    int next;               /* the room to speak next, or the member to join next */
    const run_program *server;
    unsigned bare;          /* port of the yardstick */
    pid_t bare_pid;
    size_t bytes;           /* of a delivery */
} bench_load;

typedef double (*bench_measure)(bench_load *l);
typedef struct bench_pair { double ours, yard, ratio; } bench_pair;

static int bench_socket[BENCH_SOCKETS];
static struct sockaddr_in bench_at[BENCH_SOCKETS];
static char bench_token[BENCH_MEMBERS][OCM_TOKEN_LEN + 1];
static uint64_t bench_said[BENCH_MEMBERS]; /* ids of level 1 */
static int bench_members;
static long bench_lost;       /* deliveries that did not come */
static size_t bench_got;      /* bytes of the last delivery */
static uint8_t bench_answer[4096]; /* to the last join */
static size_t bench_answer_len;

/* ---- 7. Benchmark: clocks, CPUs, the table ---- */

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
    if (clock_getcpuclockid(pid, &clock) == 0) return bench_us(clock);
    printf("process %ld has no CPU clock\n", (long)pid);
    exit(2);
}

/* This process and those that it starts from now on; -1: any CPU. 0 when there is no such CPU. As batch processes none of them
   interrupts another by waking up: else it would be the order of the deliveries that decides how often the CPU changes hands. */
static int bench_pin(int cpu)
{
    struct sched_param plain;
    cpu_set_t set;
    int i;
    memset(&plain, 0, sizeof plain);
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

/* The value below which that share of all values lies. They are sorted. */
static double bench_quantile(double *values, size_t n, double share)
{
    qsort(values, n, sizeof *values, bench_ascending);
    return values[(size_t)((double)n * share)];
}

static void bench_title(void)
{
    printf("%-70s %10s %10s %8s %8s\n", "", "ours", "yardstick", "ratio", "limit");
}

static void bench_verdict(const char *what, const char *values, double value, const char *bound, double limit, int good)
{
    printf("%-70s %s %8.3f %s%6g  %s", what, values, value, bound, limit, good && !bench_lost ? "ok" : "MISSED");
    if (bench_lost) printf(" (%ld deliveries did not come)", bench_lost);
    printf("\n");
    fflush(stdout);
    bench_lost = 0;
}

/* A row with a yardstick: the ratio is to be at most, or with least at least, the limit. */
static void bench_row(const char *what, bench_pair p, double limit, int least)
{
    char values[64];
    snprintf(values, sizeof values, "%10.3f %10.3f", p.ours, p.yard);
    bench_verdict(what, values, p.ratio, least ? ">=" : "<=", limit, least ? p.ratio >= limit : p.ratio <= limit);
}

/* A row without one: the value itself is to be at most the limit. */
static void bench_row_alone(const char *what, double value, double limit)
{
    char values[64];
    snprintf(values, sizeof values, "%10.3f %10s", value, "-");
    bench_verdict(what, values, limit > 0 ? value / limit : value, "<=", limit, value <= limit);
}

static void bench_skip(const char *what, const char *why)
{
    printf("%-70s skipped: %s\n", what, why);
}

static bench_pair bench_medians(double *ours, double *yard, size_t n)
{
    double ratio[BENCH_TURNS];
    bench_pair p;
    size_t i;
    for (i = 0; i < n; i++) ratio[i] = ours[i] / yard[i];
    p.ours = bench_quantile(ours, n, 0.5);
    p.yard = bench_quantile(yard, n, 0.5);
    p.ratio = bench_quantile(ratio, n, 0.5);
    return p;
}

/* Two things in turns; the first turn of each warms up. */
static bench_pair bench_compare(bench_measure ours, bench_load *l, bench_measure yard, bench_load *m)
{
    double a[BENCH_TURNS], b[BENCH_TURNS];
    size_t i;
    ours(l);
    yard(m);
    for (i = 0; i < BENCH_TURNS; i++) {
        a[i] = ours(l);
        b[i] = yard(m);
    }
    return bench_medians(a, b, BENCH_TURNS);
}

/* ---- 7. Benchmark: members ---- */

/* The sockets of the members. A receive buffer holds a fan-out to all members of a room: what is lost there is not the server's loss. */
static void bench_sockets(void)
{
    struct timeval patience;
    int i, large = 4 << 20;
    patience.tv_sec = 0;
    patience.tv_usec = 300000;
    for (i = 0; i < BENCH_SOCKETS; i++) {
        bench_socket[i] = run_bind(SOCK_DGRAM, 0);
        bench_at[i] = run_address(run_port_of(bench_socket[i]));
        setsockopt(bench_socket[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (setsockopt(bench_socket[i], SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large) != 0)
            setsockopt(bench_socket[i], SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
    }
    bench_members = 0;
    memset(bench_said, 0, sizeof bench_said);
}

static run_program *bench_open(const char *options)
{
    bench_sockets();
    return run_server(options);
}

/* Which socket a member uses. */
static int bench_of(const bench_load *l, int i) { return (l->first + i) % BENCH_SOCKETS; }

static const char *bench_room(const bench_load *l, int i)
{
    static char name[32];
    sprintf(name, "b%07d", l->first + i / l->size);
    return name;
}

/* Sends the request of member i. All have the same length, and so have the answers. */
static int bench_ask(const bench_load *l, unsigned port, int i)
{
    struct timeval patience;
    char payload[128];
    int fd = run_connect(port);
    patience.tv_sec = 20;
    patience.tv_usec = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (l->kind == 'S') sprintf(payload, "m%07d", l->first + i);
    else sprintf(payload, "{\"username\":\"m%07d\",\"port\":%05u%s}", l->first + i, (unsigned)ntohs(bench_at[bench_of(l, i)].sin_port),
                 l->kind == 'L' ? ",\"ocm\":1" : "");
    run_send_frame(fd, i % l->size ? OCM_JOIN : OCM_CREATE, l->kind == 'S', bench_room(l, i), payload);
    return fd;
}

/* Reads the answers of member i up to its token, and closes. */
static void bench_take(const bench_load *l, int fd, int i)
{
    uint8_t scratch[sizeof bench_answer];
    size_t len = 0, at = 0;
    ocm_outcome o;
    ocm_frame f;
    int used;
    memset(&o, 0, sizeof o);
    for (;;) {
        ssize_t n = recv(fd, (char *)bench_answer + len, sizeof bench_answer - len, 0);
        if (n <= 0) break;
        len += (size_t)n;
        while ((used = ocm_frame_decode(bench_answer + at, len - at, OCM_PAYLOAD_MAX, &f)) > 0 && f.state != OCM_STATE_DONE) at += (size_t)used;
        if (used > 0 && ocm_outcome_decode(&f, scratch, &o)) break;
    }
    close(fd);
    bench_answer_len = len;
    if (!CHECK(o.token.len == OCM_TOKEN_LEN)) exit(2);
    memcpy(bench_token[l->first + i], o.token.ptr, OCM_TOKEN_LEN);
}

/* Some members join at once, at most BENCH_AT_ONCE of them. */
static void bench_join(const bench_load *l, unsigned port, const int *who, int n)
{
    int fd[BENCH_AT_ONCE], i;
    for (i = 0; i < n; i++) fd[i] = bench_ask(l, port, who[i]);
    for (i = 0; i < n; i++) bench_take(l, fd[i], who[i]);
}

/* Member i says text; NULL: a keep-alive. */
static void bench_say(const bench_load *l, unsigned port, int i, const char *text)
{
    uint8_t bytes[OCM_DATAGRAM_MAX];
    char payload[OCM_DATAGRAM_MAX] = "";
    ocm_view token = view(bench_token[l->first + i], OCM_TOKEN_LEN);
    struct sockaddr_in to = run_address(port);
    int len;
    if (text && l->kind == 'S') sprintf(payload, "%s", text);
    else if (text && l->kind == 'J') sprintf(payload, "{\"sender\":\"m%07d\",\"message\":\"%s\"}", l->first + i, text);
    else if (text) sprintf(payload, "{\"message\":\"%s\",\"id\":%lu}", text, (unsigned long)bench_said[l->first + i]);
    len = ocm_datagram_encode(bytes, sizeof bytes, ocm_text(bench_room(l, i)), token, ocm_text(payload));
    (void)!sendto(bench_socket[bench_of(l, i)], bytes, (size_t)len, 0, (struct sockaddr *)&to, sizeof to);
}

/* Messages in a datagram: at level 1 each ends with a newline, which may stand there alone to fill up. */
static long bench_count(const uint8_t *p, size_t len)
{
    long count = 0;
    size_t i;
    for (i = 1; i < len; i++) count += p[i] == '\n' && p[i - 1] == '}';
    return count;
}

/* What waits on the sockets: datagrams, or with merged the messages in them. */
static long bench_receive(int merged)
{
    static uint8_t bytes[65536];
    long count = 0;
    ssize_t n;
    int i;
    for (i = 0; i < BENCH_SOCKETS; i++)
        while ((n = recv(bench_socket[i], bytes, sizeof bytes, MSG_DONTWAIT)) >= 0) count += merged ? bench_count(bytes, (size_t)n) : 1;
    return count;
}

/* All members join: those who create the rooms first. Seed A's members have the port of their TCP connection until they send from another. */
static void bench_enter(bench_load *l, const run_program *server)
{
    int who[BENCH_AT_ONCE], pass, i, n = 0, all = l->rooms * l->size;
    l->server = server;
    l->first = bench_members;
    bench_members += all;
    if (!CHECK(bench_members <= BENCH_MEMBERS)) exit(2);
    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < all; i++) {
            if ((i % l->size > 0) == pass) who[n++] = i;
            if (n < BENCH_AT_ONCE && i + 1 < all) continue;
            bench_join(l, server->tcp, who, n);
            bench_receive(0);
            n = 0;
        }
    }
    usleep(100000);
    for (i = 0; i < all && l->kind == 'S'; i++) {
        bench_say(l, server->udp, i, NULL);
        if (i % 64 == 0) usleep(1000);
    }
    while (bench_receive(0) > 0) usleep(100000); /* until all the notices of the joins have come */
}

/* ---- 7. Benchmark: talk ---- */

static const char *bench_text(const bench_load *l)
{
    static char text[OCM_DATAGRAM_MAX];
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return repeat(text, 'x', l->text ? (size_t)l->text : 10 + (state >> 16) % 191);
}

/* At level 1 a message comes back to whoever said it, too. */
static int bench_deaf(const bench_load *l) { return l->kind != 'L'; }
static int bench_hearers(const bench_load *l) { return l->size - bench_deaf(l); }

/* One datagram for each hearer of the room. */
static void bench_await(const bench_load *l, int room)
{
    static uint8_t bytes[65536];
    int i;
    for (i = room * l->size + bench_deaf(l); i < (room + 1) * l->size; i++) {
        ssize_t n = recv(bench_socket[bench_of(l, i)], bytes, sizeof bytes, 0);
        if (n < 0) bench_lost++;
        else bench_got = (size_t)n;
    }
}

static void bench_gather(long expected, int merged)
{
    double until = bench_us(CLOCK_MONOTONIC) + 1e6;
    while (expected > 0 && bench_us(CLOCK_MONOTONIC) < until) {
        long n = bench_receive(merged);
        expected -= n;
        if (n == 0) usleep(200);
    }
    bench_lost += expected;
}

/* What is under way at a time: said in the next room, and heard there; or said to the yardstick, which knows one room. */
static void bench_round(bench_load *l, int bare)
{
    int room = bare ? 0 : l->next++ % l->rooms, i, speaker = room * l->size;
    for (i = 0; i < l->way; i++) {
        bench_said[l->first + speaker] += !bare;
        bench_say(l, bare ? l->bare : l->server->udp, speaker, bench_text(l));
    }
    if (l->way == 1) bench_await(l, room);
    else bench_gather((long)l->way * bench_hearers(l), l->kind == 'L' && !bare);
}

/* us of CPU per delivery, in rooms of two per message. */
static double bench_talk(bench_load *l, int bare)
{
    double before;
    int i;
    bench_receive(0);
    before = bench_cpu(bare ? l->bare_pid : l->server->pid);
    for (i = 0; i < l->turn; i += l->way) bench_round(l, bare);
    return (bench_cpu(bare ? l->bare_pid : l->server->pid) - before) / (double)i / (l->size > 2 ? bench_hearers(l) : 1);
}

static double bench_talk_server(bench_load *l) { return bench_talk(l, 0); }
static double bench_talk_bare(bench_load *l) { return bench_talk(l, 1); }

/* ---- 7. Benchmark: yardsticks ---- */

/* What any server must do: read a datagram, send as many bytes to as many sockets. */
static void bench_relay(int fd, const bench_load *l)
{
    static uint8_t bytes[65536];
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        int i;
        if (recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len) < 0) continue;
        for (i = bench_deaf(l); i < l->size; i++) sendto(fd, bytes, l->bytes, 0, (struct sockaddr *)&bench_at[bench_of(l, i)], sizeof from);
    }
}

/* What any server must do for a join: the bytes written are those of the last answer that this process has read. */
static int bench_answer_one(int fd)
{
    uint8_t bytes[4096];
    int s;
    while ((s = accept(fd, NULL, NULL)) < 0) {}
    if (read(s, bytes, sizeof bytes) > 0) (void)!write(s, bench_answer, bench_answer_len);
    return s;
}

static void bench_accept(int fd, const bench_load *l)
{
    (void)l;
    for (;;) close(bench_answer_one(fd));
}

/* The same, but the client closes first, as the protocol wants: what the system then has to do costs the server more. */
static void bench_accept_patiently(int fd, const bench_load *l)
{
    int open[BENCH_AT_ONCE], i;
    uint8_t byte;
    for (i = 0; i < l->way; i++) open[i] = bench_answer_one(fd);
    for (i = 0;; i = (i + 1) % l->way) {
        (void)!read(open[i], &byte, 1);
        close(open[i]);
        open[i] = bench_answer_one(fd);
    }
}

/* Starts a yardstick, in the place of a program so that it ends with the others. */
static run_program *bench_yardstick(bench_load *l, int type, void (*act)(int, const bench_load *))
{
    run_program *p = &run_programs[run_count++];
    int fd = run_bind(type, 0);
    l->bare = run_port_of(fd);
    if (type == SOCK_STREAM) listen(fd, SOMAXCONN);
    memset(p, 0, sizeof *p);
    p->in = p->fd[0] = p->fd[1] = -1;
    fflush(stdout);
    p->pid = fork();
    if (p->pid == 0) act(fd, l);
    close(fd);
    run_socket_count--;
    l->bare_pid = p->pid;
    return p;
}

/* It was the last that was started. */
static void bench_dismiss(run_program *p)
{
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    run_count--;
}

/* How long a delivery is, on the average. */
static void bench_learn(bench_load *l)
{
    int i, way = l->way;
    size_t sum = 0;
    l->way = 1;
    for (i = 0; i < 64; i++) {
        bench_round(l, 0);
        sum += bench_got;
    }
    l->way = way;
    l->bytes = sum / 64;
}

static bench_pair bench_against_relay(bench_load *l)
{
    bench_pair p;
    run_program *bare;
    bench_learn(l);
    bare = bench_yardstick(l, SOCK_DGRAM, bench_relay);
    p = bench_compare(bench_talk_server, l, bench_talk_bare, l);
    bench_dismiss(bare);
    return p;
}

/* ---- 7. Benchmark: rows of talk ---- */

static const char *bench_kind(char kind) { return kind == 'J' ? "JSON" : kind == 'L' ? "level 1" : "seed A"; }

static void bench_relays(void)
{
    static const struct { const char *what, *kinds; int rooms, size, text, way, turn; double limit; } rows[] = {
        {"us per delivery, room of 100", "JLS", 1, 100, 64, 1, 60, 1.05},
        {"us per delivery, room of 1000", "JLS", 1, 1000, 64, 1, 6, 1.05},
        {"us per delivery, room of 100, 1 KiB of text", "JLS", 1, 100, 1024, 1, 60, 1.06},
        {"us per message, 2000 rooms of two in turn", "JLS", 2000, 2, 64, 1, 4000, 1.15},
        {"us per message, room of two", "JLS", 1, 2, 64, 1, 4000, 1.08},
        {"us per delivery, room of 100, 64 under way, 64 bytes of text", "L", 1, 100, 64, 64, 256, 0.12},
        {"us per delivery, room of 100, 64 under way, 10 to 200 bytes", "L", 1, 100, 0, 64, 256, 0.12}};
    const run_program *server = bench_open("-q -r 0 -M 40000 -R 10000");
    size_t i;
    const char *kind;
    char what[100];
    for (i = 0; i < COUNT(rows); i++) {
        for (kind = rows[i].kinds; *kind; kind++) {
            bench_load l;
            memset(&l, 0, sizeof l);
            l.kind = *kind;
            l.rooms = rows[i].rooms;
            l.size = rows[i].size;
            l.text = rows[i].text;
            l.way = rows[i].way;
            l.turn = rows[i].turn;
            bench_enter(&l, server);
            snprintf(what, sizeof what, "%s, %s", rows[i].what, bench_kind(*kind));
            bench_row(what, bench_against_relay(&l), rows[i].limit, 0);
        }
    }
    run_clean();
}

/* us from saying something to the last who hears it. */
static double bench_delay(bench_load *l, int bare)
{
    double before = bench_us(CLOCK_MONOTONIC);
    bench_round(l, bare);
    return bench_us(CLOCK_MONOTONIC) - before;
}

/* The median and the 99th percentile of each turn. */
static void bench_latency(char kind)
{
    static double delay[2][1000];
    double median[2][BENCH_TURNS], late[2][BENCH_TURNS];
    bench_load l;
    char what[100];
    int i, k, bare;
    memset(&l, 0, sizeof l);
    l.kind = kind;
    l.rooms = l.way = 1;
    l.size = 2;
    l.text = 64;
    bench_enter(&l, bench_open("-q -r 0"));
    bench_learn(&l);
    bench_yardstick(&l, SOCK_DGRAM, bench_relay);
    for (i = 0; i < BENCH_TURNS; i++) {
        for (bare = 0; bare < 2; bare++) {
            for (k = 0; k < 1000; k++) delay[bare][k] = bench_delay(&l, bare);
            median[bare][i] = bench_quantile(delay[bare], 1000, 0.5);
            late[bare][i] = bench_quantile(delay[bare], 1000, 0.99);
        }
    }
    snprintf(what, sizeof what, "us until heard, room of two, %s, median", bench_kind(kind));
    bench_row(what, bench_medians(median[0], median[1], BENCH_TURNS), 1.10, 0);
    snprintf(what, sizeof what, "us until heard, room of two, %s, 99th percentile", bench_kind(kind));
    bench_row(what, bench_medians(late[0], late[1], BENCH_TURNS), 1.30, 0);
    run_clean();
}

/* ---- 7. Benchmark: TCP ---- */

#define BENCH_SILENT 900

/* Two servers; one of them holds connections on which nothing is ever said. */
static void bench_silent(void)
{
    static const struct { const char *what; int way, turn; double limit; } rows[] = {
        {"us per message, room of two, level 1, with 900 silent TCP connections", 1, 2560, 1.5}, {"the same, 64 under way", 64, 25600, 1.1}};
    static int fd[BENCH_SILENT];
    bench_load l[2];
    int i;
    memset(l, 0, sizeof l);
    for (i = 0; i < 2; i++) {
        l[i].kind = 'L';
        l[i].rooms = 1;
        l[i].size = 2;
        l[i].text = 64;
        bench_enter(&l[i], i ? run_server("-q -r 0") : bench_open("-q -r 0"));
    }
    for (i = 0; i < BENCH_SILENT; i++) fd[i] = run_connect(l[0].server->tcp);
    usleep(100000);
    for (i = 0; i < 2; i++) {
        l[0].way = l[1].way = rows[i].way;
        l[0].turn = l[1].turn = rows[i].turn;
        bench_row(rows[i].what, bench_compare(bench_talk_server, &l[0], bench_talk_server, &l[1]), rows[i].limit, 0);
    }
    for (i = 0; i < BENCH_SILENT; i++) close(fd[i]);
    run_clean();
}

/* us of CPU per join, of one who creates a room: so nobody is to be told. way: joins under way. The end of the connections
   reaches the server a little later. */
static double bench_joins(bench_load *l, int bare)
{
    double before = bench_cpu(bare ? l->bare_pid : l->server->pid);
    int who[BENCH_AT_ONCE], i, k;
    for (i = 0; i < l->turn; i += l->way) {
        for (k = 0; k < l->way; k++) who[k] = l->next++ % (l->rooms * l->size);
        bench_join(l, bare ? l->bare : l->server->tcp, who, l->way);
    }
    usleep(10000);
    return (bench_cpu(bare ? l->bare_pid : l->server->pid) - before) / (double)i;
}

static double bench_joins_server(bench_load *l) { return bench_joins(l, 0); }
static double bench_joins_bare(bench_load *l) { return bench_joins(l, 1); }

static void bench_tcp(void)
{
    static const struct { const char *what; int way; double limit; void (*bare)(int, const bench_load *); } rows[] = {
        {"us per join, JSON, one after another", 1, 1.15, bench_accept},
        {"the same, against a loop that lets the client close first", 1, 1.15, bench_accept_patiently},
        {"us per join, JSON, 100 at once", BENCH_AT_ONCE, 1.25, bench_accept},
        {"the same, against a loop that lets the client close first", BENCH_AT_ONCE, 1.25, bench_accept_patiently}};
    const run_program *server = bench_open("-q -r 0 -M 40000 -R 40000");
    bench_load l;
    size_t i;
    memset(&l, 0, sizeof l);
    l.kind = 'J';
    l.size = 1;
    l.rooms = 1;
    bench_enter(&l, server); /* for the answer that the yardstick repeats */
    l.first = bench_members;
    l.rooms = 20000;
    l.turn = 200;
    for (i = 0; i < COUNT(rows); i++) {
        run_program *bare;
        l.way = rows[i].way;
        bare = bench_yardstick(&l, SOCK_STREAM, rows[i].bare);
        bench_row(rows[i].what, bench_compare(bench_joins_server, &l, bench_joins_bare, &l), rows[i].limit, 0);
        bench_dismiss(bare);
    }
    run_clean();
}

/* ---- 7. Benchmark: the registry alone ---- */

#define BENCH_STEPS 90 /* of each kind in a turn */
#define BENCH_AGES 10  /* turns */

/* A registry of so many members in rooms of ten, of the text form. Each turn 90 join, 90 speak and 90 expire, in 90 rooms: so it is
   the same work whatever the number of rooms. Time stands at 5000 ms when the first join that are to expire, a second later the next. */
typedef struct bench_crowd {
    ocm_registry *registry;
    uint32_t members, rooms, turn;
    double us[3][BENCH_AGES];
} bench_crowd;

static bench_crowd *bench_crowd_now;

static void bench_say_numbered(uint32_t i, const char *text)
{
    char token[64], name[16];
    ocm_addr at = host_at(1, 4000);
    sprintf(token, "%08x%024d", (unsigned)i, 0);
    sprintf(name, "r%u", (unsigned)(i % bench_crowd_now->rooms));
    CHECK(send_as(name, token, text, &at) == 1);
    drained();
}

static void bench_step_join(void)
{
    const bench_crowd *c = bench_crowd_now;
    uint32_t i;
    for (i = 0; i < BENCH_STEPS; i++) {
        CHECK(enter_numbered(c->members + c->turn * BENCH_STEPS + i, c->rooms));
        drained();
    }
}

static void bench_step_relay(void)
{
    const bench_crowd *c = bench_crowd_now;
    uint32_t i;
    for (i = 0; i < BENCH_STEPS; i++) bench_say_numbered((c->turn * BENCH_STEPS + i) * 7919 % c->rooms, "hi");
}

static void bench_step_expire(void)
{
    while (ocm_registry_time(reg, now) == OCM_E_AGAIN) drained();
    drained();
}

static void bench_step_none(void) {}

static void (*const bench_steps[])(void) = {bench_step_join, bench_step_relay, bench_step_expire, bench_step_none};

/* Those who created a room speak after those who are to expire have joined: their rooms stay. */
static void bench_crowd_open(bench_crowd *c, uint32_t members)
{
    uint32_t i;
    memset(c, 0, sizeof *c);
    bench_crowd_now = c;
    c->members = members;
    c->rooms = members / 10;
    registry_open(c->rooms, members + BENCH_STEPS, 0);
    c->registry = reg;
    for (i = 0; i < members; i++) {
        if (i >= c->rooms) now = 5000 + (uint64_t)(i - c->rooms) / BENCH_STEPS * 1000;
        if (now > 20000) now = 20000;
        CHECK(enter_numbered(i, c->rooms));
        drained();
    }
    now = 20000;
    for (i = 0; i < c->rooms; i++) bench_say_numbered(i, "");
}

static void bench_crowd_turn(bench_crowd *c)
{
    size_t k;
    bench_crowd_now = c;
    reg = c->registry;
    now = 305000 + (uint64_t)c->turn * 1000;
    for (k = 0; k < COUNT(bench_steps); k++) {
        double before = bench_us(CLOCK_PROCESS_CPUTIME_ID);
        bench_steps[k]();
        if (k < 3) c->us[k][c->turn] = (bench_us(CLOCK_PROCESS_CPUTIME_ID) - before) / BENCH_STEPS;
    }
    c->turn++;
    CHECK(ocm_registry_counts(reg)->members == c->members);
}

/* What callgrind runs. */
static int bench_registry_alone(const char *members)
{
    static bench_crowd c;
    bench_crowd_open(&c, (uint32_t)strtoul(members, NULL, 10));
    bench_crowd_turn(&c);
    registry_close();
    return broken > 0;
}

static const char *const bench_step_names[] = {"per join, 1e6 members against 1e3, registry alone", "per message to nine, likewise", "per expiry, likewise"};

static void bench_registry_times(void)
{
    static bench_crowd few, many;
    char what[100];
    int i;
    bench_crowd_open(&few, 1000);
    bench_crowd_open(&many, 1000000);
    for (i = 0; i < BENCH_AGES; i++) {
        bench_crowd_turn(&many);
        bench_crowd_turn(&few);
    }
    for (i = 0; i < 3; i++) {
        snprintf(what, sizeof what, "us %s", bench_step_names[i]);
        bench_row(what, bench_medians(many.us[i], few.us[i], BENCH_AGES), 4, 0);
    }
    free(many.registry);
    free(few.registry);
    reg = NULL;
}

/* Bytes of memory that this process really has. */
static double bench_resident(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*s %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void bench_memory(void)
{
    const uint32_t rooms = 100000, members = 1000000;
    ocm_limits l = ocm_limits_default(), none;
    double before, size;
    uint32_t i;
    l.rooms = rooms;
    l.members = members;
    none = l;
    none.rooms = none.members = 1;
    size = (double)(ocm_registry_size(&l) - ocm_registry_size(&none));
    bench_row_alone("bytes per member, 1e6 members in 1e5 rooms, log apart", size / members, 400);
    before = bench_resident();
    registry_open(rooms, members, 0);
    bench_row_alone("KiB resident with 1e6 slots and nobody there", (bench_resident() - before) / 1024, 64);
    for (i = 0; i < members / 10; i++) {
        enter_numbered(i, rooms / 10);
        drained();
    }
    bench_row_alone("bytes resident per member, 1e5 of 1e6 slots taken, log included", (bench_resident() - before) / (members / 10), 600);
    registry_close();
}

/* ---- 7. Benchmark: instructions ---- */

static char bench_dir[] = "/tmp/ocm-bench-XXXXXX";

/* Instructions in callgrind's dump of that number, which is then removed. */
static double bench_dump(const char *of, int number)
{
    char name[100], line[256];
    double total = 0;
    FILE *f;
    snprintf(name, sizeof name, number ? "%s/%s.%d" : "%s/%s", bench_dir, of, number);
    f = fopen(name, "r");
    while (f && fgets(line, sizeof line, f)) sscanf(line, "totals: %lf", &total);
    if (f) fclose(f);
    CHECK(number == 0 || total > 0);
    remove(name);
    return total;
}

/* Dumps what was counted since the last dump. */
static double bench_instructions(const run_program *p, int number)
{
    CHECK(run_ended(run_start("callgrind_control -d %ld", (long)p->pid)) == 0);
    return bench_dump("server", number);
}

/* Dumps before each step: the number of a dump tells what was done before it. */
static run_program *bench_registry_counted(const char *name, unsigned members)
{
    return run_start("valgrind --tool=callgrind --callgrind-out-file=%s/%s --dump-before=bench_step_* ./test bench-registry %u", bench_dir, name, members);
}

static void bench_registry_instructions(const run_program *many, const run_program *few)
{
    char what[100];
    bench_pair p;
    int k;
    while (many->pid || few->pid) run_turn(-1, 100);
    CHECK(many->status == 0 && few->status == 0);
    for (k = 0; k < 3; k++) {
        p.ours = bench_dump("many", k + 2) / BENCH_STEPS;
        p.yard = bench_dump("few", k + 2) / BENCH_STEPS;
        p.ratio = p.ours / p.yard;
        snprintf(what, sizeof what, "instructions %s", bench_step_names[k]);
        bench_row(what, p, 1.15, 0);
    }
    bench_dump("many", 1);
    bench_dump("few", 1);
    bench_dump("many", 0);
    bench_dump("few", 0);
}

static void bench_server_instructions(void)
{
    static const struct { const char *what; int size, turn; double limit; } rows[] = {
        {"instructions of user space per delivery, room of 1000, JSON", 1000, 50, 80},
        {"instructions of user space per message, room of two, JSON", 2, 2000, 2500}};
    run_program *p;
    bench_load l;
    size_t i;
    bench_sockets();
    p = run_start("valgrind --tool=callgrind --callgrind-out-file=%s/server ./server -l 127.0.0.1/0:0 -q -r 0", bench_dir);
    CHECK(run_hears(p, "\n") && sscanf(p->text[RUN_OUT], "listening on 127.0.0.1/%u:%u", &p->tcp, &p->udp) == 2);
    for (i = 0; i < COUNT(rows); i++) {
        int k;
        memset(&l, 0, sizeof l);
        l.kind = 'J';
        l.rooms = l.way = 1;
        l.size = rows[i].size;
        l.text = 64;
        bench_enter(&l, p);
        bench_instructions(p, (int)i * 2 + 1);
        bench_receive(0);
        for (k = 0; k < rows[i].turn; k++) bench_round(&l, 0);
        bench_row_alone(rows[i].what, bench_instructions(p, (int)i * 2 + 2) / rows[i].turn / (l.size > 2 ? l.size - 1 : 1), rows[i].limit);
    }
    kill(p->pid, SIGTERM);
    run_ended(p);
    bench_dump("server", 0);
}

/* The million takes its time, on another CPU if there is one. */
static void bench_counted(void)
{
    run_program *many, *few, *p = run_start("valgrind --version");
    int there = run_ended(p) == 0;
    run_clean();
    if (!there || !mkdtemp(bench_dir)) {
        bench_skip("instructions", there ? "no directory for callgrind" : "valgrind is not installed");
        return;
    }
    bench_pin(-1);
    many = bench_registry_counted("many", 1000000);
    few = bench_registry_counted("few", 1000);
    bench_server_instructions();
    bench_registry_instructions(many, few);
    bench_pin(0);
    run_clean();
    remove(bench_dir);
}

/* ---- 7. Benchmark: load ---- */

/* Datagrams that the kernel threw away at our port because the buffer was full. */
static long bench_dropped(unsigned port)
{
    char line[256], *last;
    unsigned at;
    long drops = 0;
    FILE *f = fopen("/proc/net/udp", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, " %*d: %*x:%x", &at) != 1 || at != port) continue;
        line[strcspn(line, "\n")] = 0;
        for (last = line + strlen(line); last > line && last[-1] == ' ';) *--last = 0;
        if ((last = strrchr(line, ' ')) != NULL) drops += strtol(last, NULL, 10);
    }
    if (f) fclose(f);
    return drops;
}

static long bench_dropped_here(void)
{
    long drops = 0;
    int i;
    for (i = 0; i < BENCH_SOCKETS; i++) drops += bench_dropped(ntohs(bench_at[i].sin_port));
    return drops;
}

typedef struct bench_flow { double said, heard, seconds, share; } bench_flow; /* heard: what the server delivered; share: of a CPU */

/* All members speak in turn, `rate` messages a second in all. What the receivers' buffers could not hold was delivered all the same. */
static bench_flow bench_pour(bench_load *l, double rate, double seconds)
{
    double start = bench_us(CLOCK_MONOTONIC), cpu = bench_cpu(l->server->pid), at = 0;
    long here = bench_dropped_here(), said = 0, heard = 0, burst;
    bench_flow f;
    while (at < seconds * 1e6) {
        at = bench_us(CLOCK_MONOTONIC) - start;
        for (burst = 0; burst < 64 && (double)said < at * rate / 1e6; burst++, said++) {
            bench_say(l, l->server->udp, l->next, bench_text(l));
            l->next = (l->next + 1) % (l->rooms * l->size);
        }
        heard += bench_receive(0);
        if (burst < 16) usleep(500);
    }
    f.seconds = at / 1e6;
    f.share = (bench_cpu(l->server->pid) - cpu) / at;
    usleep(100000);
    f.said = (double)said;
    f.heard = (double)(heard + bench_receive(0) + bench_dropped_here() - here);
    return f;
}

static double bench_carries(bench_load *l)
{
    bench_flow f = bench_pour(l, (double)l->turn, 0.5);
    return f.heard / f.seconds;
}

/* 500 rooms of 10, in each 20 messages a second; then as many as the server can carry, and four times that. */
static void bench_loads(void)
{
    bench_load l, more;
    bench_flow f;
    bench_pair p;
    memset(&l, 0, sizeof l);
    l.kind = 'J';
    l.rooms = 500;
    l.size = 10;
    l.text = 64;
    bench_enter(&l, bench_open("-q -r 0"));
    f = bench_pour(&l, 10000, 10);
    bench_row_alone("per cent of a core, 500 rooms of 10, 10000 messages/s", f.share * 100, 100);
    bench_row_alone("deliveries lost by the server of those", f.said * 9 - f.heard, 0);
    if (!bench_pin(1)) {
        bench_skip("deliveries/s under four times the load", "this takes two CPUs");
    } else {
        l.turn = (int)(10000 / f.share);
        more = l;
        more.turn = 4 * l.turn;
        p = bench_compare(bench_carries, &more, bench_carries, &l);
        bench_row("deliveries/s, room of 10, at four times what the server carries", p, 0.8, 1);
    }
    bench_pin(0);
    run_clean();
}

static int bench(void)
{
    struct rlimit files = {4096, 4096};
    setrlimit(RLIMIT_NOFILE, &files);
    bench_pin(0);
    bench_title();
    bench_relays();
    bench_latency('J');
    bench_latency('L');
    bench_silent();
    bench_tcp();
    bench_registry_times();
    bench_memory();
    bench_loads();
    bench_counted();
    return broken > 0;
}

#else
static int bench_registry_alone(const char *members) { return *members != 0; }
static int bench(void) { return printf("the benchmark needs Linux: its CPU clocks, and CPUs to be chosen\n") < 0; }
#endif

/* ---- Running ---- */

static const struct { const char *name; void (*run)(void); } tests[] = {
    {"utf8", test_utf8}, {"names", test_names}, {"message_text", test_message_text},
    {"speech_len", test_speech_len}, {"same_host", test_same_host}, {"json_accepts", test_json_accepts},
    {"json_refuses", test_json_refuses}, {"json_depth", test_json_depth}, {"json_values", test_json_values},
    {"siphash", test_siphash}, {"pick_vectors", test_pick_vectors}, {"pick_moves", test_pick_moves},
    {"pick_order", test_pick_order}, {"pick_spread", test_pick_spread}, {"frame_vectors", test_frame_vectors}, {"frame_lengths", test_frame_lengths},
    {"frame_pipelined", test_frame_pipelined}, {"datagram_vectors", test_datagram_vectors},
    {"datagram_limit", test_datagram_limit}, {"speech_fits", test_speech_fits},
    {"message_vectors", test_message_vectors}, {"request_forms", test_request_forms},
    {"request_json", test_request_json}, {"request_round_trip", test_request_round_trip},
    {"outcomes_read", test_outcomes_read}, {"outcome_token_len", test_outcome_token_len}, {"list_lines_read", test_list_lines_read},
    {"every_prefix", test_every_prefix}, {"every_bit_flip", test_every_bit_flip},
    {"encoders_need_space", test_encoders_need_space}, {"outcomes", test_outcomes},
    {"outcomes_more", test_outcomes_more}, {"answer_names", test_answer_names}, {"request_pieces", test_request_pieces},
    {"request_too_large", test_request_too_large}, {"lists", test_lists}, {"list_limit", test_list_limit},
    {"joins_are_told", test_joins_are_told}, {"relay", test_relay}, {"relay_vectors", test_relay_vectors},
    {"keep_alive", test_keep_alive}, {"operations", test_operations}, {"leaving", test_leaving},
    {"host_leaves", test_host_leaves}, {"host_leaves_half_way", test_host_leaves_half_way}, {"idle", test_idle},
    {"failed_sends", test_failed_sends}, {"failed_is_told", test_failed_is_told},
    {"failed_while_full", test_failed_while_full}, {"refused_words", test_refused_words},
    {"refused_at_zero", test_refused_at_zero}, {"rate", test_rate}, {"too_fast_is_told", test_too_fast_is_told},
    {"length_rule", test_length_rule}, {"datagram_size", test_datagram_size}, {"strangers", test_strangers},
    {"loopback_is_one_host", test_loopback_is_one_host}, {"address_follows", test_address_follows},
    {"undo", test_undo}, {"stop", test_stop}, {"slots", test_slots}, {"batches", test_batches}, {"trains", test_trains}, {"chains", test_chains}, {"escapes", test_escapes}, {"tabs", test_tabs},
    {"batch_limit", test_batch_limit}, {"ids", test_ids}, {"asking_again", test_asking_again},
    {"overwritten", test_overwritten}, {"coming_back", test_coming_back},
    {"coming_back_locked", test_coming_back_locked}, {"asking_has_its_rate", test_asking_has_its_rate},
    {"asking_beyond", test_asking_beyond}, {"full_log", test_full_log}, {"a_million", test_a_million}, {"storm", test_storm}, {"lists_follow", test_lists_follow},
    {"net_loss", test_net_loss}, {"net_refused", test_net_refused}, {"net_outage_5_s", test_net_outage_5_s},
    {"net_outage_60_s", test_net_outage_60_s}, {"net_missed", test_net_missed}, {"net_unsure", test_net_unsure},
    {"net_other_port", test_net_other_port}, {"net_other_host", test_net_other_host}, {"net_deaf", test_net_deaf},
    {"net_answer_lost", test_net_answer_lost}, {"net_restart", test_net_restart},
    {"net_restart_late", test_net_restart_late}, {"net_restart_young", test_net_restart_young},
    {"net_storm", test_net_storm}, {"net_storm_entries", test_net_storm_entries}, {"net_thief", test_net_thief},
    {"net_cost", test_net_cost}, {"net_listener", test_net_listener}, {"net_quiet", test_net_quiet},
    {"net_hostile_answers", test_net_hostile_answers}, {"net_answer_bytes", test_net_answer_bytes},
    {"net_hostile_datagrams", test_net_hostile_datagrams}, {"net_hostile_token", test_net_hostile_token},
    {"net_hostile_first", test_net_hostile_first},
    RUN_TESTS};

static int run(size_t i)
{
    broken = 0;
    row = "";
    tests[i].run();
    if (broken) printf("FAILED %s: %d checks\n", tests[i].name, broken);
    return broken == 0;
}

#ifdef OCM_FUZZ /* clang -fsanitize=fuzzer,address,undefined -DOCM_FUZZ test.c */

/* The input is a list of inputs to a registry, each behind three bytes: kind and who, and how long it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t out[OCM_ANSWER_MAX];
    ocm_limits limits = {3, 8, 0, 300, 50, 4};
    uint8_t key[16] = {0}, dice[16] = {0};
    ocm_registry *g = ocm_registry_init(allocate(ocm_registry_size(&limits)), &limits, key);
    uint64_t time = 0;
    ocm_event ev;
    ocm_answer a;
    while (len >= 3) {
        size_t n = (size_t)data[1] << 8 | data[2];
        uint8_t *bytes = copy(data + 3, n = n < len - 3 ? n : len - 3);
        ocm_addr from = address("00000000000000000000ffff7f000001", 0, (uint16_t)(4000 + (data[0] >> 5)));
        a.out = out;
        dice[0]++;
        if ((data[0] & 7) == 0) time += (uint64_t)n * 100, ocm_registry_time(g, time);
        else if ((data[0] & 7) < 4) ocm_registry_request(g, bytes, n, &from, time, dice, &a);
        else ocm_registry_datagram(g, bytes, n, &from, time);
        while ((data[0] & 8) && ocm_registry_next(g, &ev)) {
            if (data[0] & 16) ocm_registry_failed(g, &ev, time);
        }
        free(bytes);
        data += 3 + n, len -= 3 + n;
    }
    free(g);
    return 0;
}

#else

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    size_t i;
    if (argc > 2) seed = strtoul(argv[2], NULL, 10);
    if (argc > 1 && strcmp(argv[1], "demo") == 0) return demo();
    if (argc > 1 && strcmp(argv[1], "table") == 0) return net_table(), 0;
    if (argc > 1 && strcmp(argv[1], "bench") == 0) return bench();
    if (argc > 2 && strcmp(argv[1], "bench-registry") == 0) return bench_registry_alone(argv[2]);
    for (i = 0; i < COUNT(tests); i++) {
        if (argc > 1 && !strstr(tests[i].name, argv[1])) continue;
        if (run(i)) passed++;
        else failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

#endif

/* test.c - every test of OCM. Build and run: cc -o test test.c && ./test
   ./test NAME runs the tests whose name contains NAME; ./test storm SEED repeats one storm.
   What is expected here comes from the protocol, not from what ocm.h happens to do. */

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
        "{\"a\":\"\\uD800\"}", "{\"a\":\"\\uDC00\"}", "{\"a\":\"\\uD800\\uD800\"}", "{\"a\":\"\\uD800x\"}",
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
    q.password = ocm_text("pass\\word");
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

/* ---- Running ---- */

static const struct { const char *name; void (*run)(void); } tests[] = {
    {"utf8", test_utf8}, {"names", test_names}, {"message_text", test_message_text}, {"speech_len", test_speech_len},
    {"same_host", test_same_host}, {"json_accepts", test_json_accepts}, {"json_refuses", test_json_refuses},
    {"json_depth", test_json_depth}, {"json_values", test_json_values}, {"siphash", test_siphash},
    {"frame_vectors", test_frame_vectors}, {"frame_lengths", test_frame_lengths},
    {"frame_pipelined", test_frame_pipelined}, {"datagram_vectors", test_datagram_vectors},
    {"datagram_limit", test_datagram_limit}, {"speech_fits", test_speech_fits},
    {"message_vectors", test_message_vectors}, {"request_forms", test_request_forms},
    {"request_json", test_request_json}, {"request_round_trip", test_request_round_trip},
    {"outcomes_read", test_outcomes_read}, {"list_lines_read", test_list_lines_read},
    {"every_prefix", test_every_prefix}, {"every_bit_flip", test_every_bit_flip},
    {"encoders_need_space", test_encoders_need_space}};

static int run(size_t i)
{
    broken = 0;
    row = "";
    tests[i].run();
    if (broken) printf("FAILED %s: %d checks\n", tests[i].name, broken);
    return broken == 0;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    size_t i;
    if (argc > 2) seed = strtoul(argv[2], NULL, 10);
    for (i = 0; i < COUNT(tests); i++) {
        if (argc > 1 && !strstr(tests[i].name, argv[1])) continue;
        if (run(i)) passed++;
        else failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

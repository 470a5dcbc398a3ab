/* What .ci/check-proof gives to Frama-C's Eva: the decoders, on any bytes of any length up to SIZE,
   that end where memory ends. Eva follows all executions at once, and warns of whatever it cannot
   rule out: a read or write outside, an overflow, a value that was never set. */
#define OCM_ASSERT(x) ((void)0)
#define OCM_IMPLEMENTATION
#include "ocm.h"
#include "__fc_builtin.h"

static uint8_t input[SIZE];

/* v as a key, then v as the value of each key that there is. */
static void set(const ocmi_field *f, size_t count, void *into, ocm_view v)
{
    ocmi_wanted w = {f, count, into, 0};
    size_t i;
    ocmi_wanted_set(&w, v, ocm_text("t"), ocmi_none());
    /*@ loop unroll 9; */
    for (i = 0; v.len && i < count; i++)
        ocmi_wanted_set(&w, f[i].key, v, ocmi_none());
}

static void one(size_t n)
{
    const uint8_t *p = input + SIZE - n;
    Frama_C_make_unknown((char *)input, SIZE);
#if defined(CHARACTER)
    uint32_t c;
    int r = ocm_utf8_decode(p, n, &c);
    /*@ assert 0 <= r <= 4 && r <= n; */
    ocmi_json_hex4(ocmi_view(p, n), 0, &c);
    ocmi_json_escape(ocmi_view(p, n), 0, &c);
#elif defined(MEMBERS)
    ocm_message m;
    ocm_request q;
    ocm_outcome o;
    ocm_listed l;
    /*@ assert sizeof(ocm_message) <= 16 * sizeof(ocm_view); */
    /*@ assert sizeof(ocm_request) <= 16 * sizeof(ocm_view); */
    /*@ assert sizeof(ocm_outcome) <= 16 * sizeof(ocm_view); */
    /*@ assert sizeof(ocm_listed) <= 16 * sizeof(ocm_view); */
    set(ocmi_message_fields, 8, &m, ocmi_view(p, n));
    set(ocmi_request_fields, 6, &q, ocmi_view(p, n));
    set(ocmi_outcome_fields, 9, &o, ocmi_view(p, n));
    set(ocmi_listed_fields, 6, &l, ocmi_view(p, n));
#elif defined(TEXTS)
    ocmi_text_scan(ocmi_view(p, n));
#elif defined(FRAMES)
    ocm_frame f;
    ocm_datagram d;
    int r = ocm_frame_decode(p, n, OCM_PAYLOAD_MAX, &f);
    r = ocm_datagram_decode(p, n, &d);
    /*@ assert r < 0 || r == n; */
#endif
}

int main(void)
{
    size_t n;
    /*@ loop unroll SIZE + 1; */
    for (n = 0; n <= SIZE; n++) one(n);
    return 0;
}

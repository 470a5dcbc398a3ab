/* What .ci/check-proof gives to Frama-C: the decoders, on any bytes of any length up to SIZE, that
   end where memory ends. Eva follows all executions at once, and warns of whatever it cannot rule
   out: a read or write outside, an overflow, a value that was never set. */
#define OCM_ASSERT(x) ((void)0)
#define OCM_IMPLEMENTATION
#include "ocm.h"
#include "__fc_builtin.h"

static uint8_t input[SIZE];

static void one(size_t n)
{
    const uint8_t *p = input + SIZE - n;
    Frama_C_make_unknown((char *)input, SIZE);
#if defined(CHARACTER)
    uint32_t c;
    int r = ocm_utf8_decode(p, n, &c);
    /*@ assert 0 <= r <= 4 && r <= n; */
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

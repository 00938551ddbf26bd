/*
 * Vectors that the kernels below are written in. A vector has SIMD_LANES lanes of four bytes; a lane belongs to one output
 * (a "column" of the result), and its bytes are four neighbouring indices of the sum.
 *
 * Exactly one of SIMD_AVX512, SIMD_AVX2, SIMD_NEON and SIMD_PLAIN is defined. SIMD_VNNI says that AVX2 has `vpdpbusd`,
 * SIMD_DOTPROD that NEON has `sdot`. With SIMD_PLAIN, which the command line may define, there are no vectors.
 */
#if defined(SIMD_PLAIN)
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__)
#define SIMD_AVX512
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define SIMD_AVX2
#if defined(__AVXVNNI__)
#define SIMD_VNNI
#endif
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define SIMD_NEON
#if defined(__ARM_FEATURE_DOTPROD)
#define SIMD_DOTPROD
#endif
#else
#define SIMD_PLAIN
#endif

#if !defined(SIMD_PLAIN)
#if defined(SIMD_NEON)
#include <arm_neon.h>
#else
#include <immintrin.h>
#endif

/*
 * Arrays of accumulators must become registers: every loop over them is unrolled, and every function inlined. A build under a
 * sanitizer may define both otherwise, or it takes minutes.
 */
#if !defined(SIMD_INLINE)
#define SIMD_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define SIMD_UNROLL _Pragma("unroll")
#elif defined(__OPTIMIZE__)
#define SIMD_UNROLL _Pragma("GCC unroll 32")
#else
#define SIMD_UNROLL
#endif
#endif

/* Weights lie in strips of up to this many vectors of columns, which share what is read of the activations. */
#define SIMD_STRIP 4
/* Far enough ahead for memory: at 40 GB/s, 8 KB are the latency of two accesses. */
#define SIMD_AHEAD 8192

SIMD_INLINE int32_t simd_four_bytes(const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return four;
}

/* Asks for the line that is read in a while. The address may lie behind the array, so it is no pointer sum. */
SIMD_INLINE void simd_prefetch(const uint8_t *p) { __builtin_prefetch((const void *)((uintptr_t)p + SIMD_AHEAD)); }
#endif

#if defined(SIMD_AVX512)
#define SIMD_LANES 16
#define SIMD_ROWS 8        /* rows of a block of a product with many rows */
#define SIMD_INT8_BIAS 128 /* what `simd_dot_int8` takes weights of eight bits to be too large by */
#define SIMD_STEPS ((int64_t)1 << 30)
typedef __m512i simd_bytes;
typedef __m512i simd_int;
typedef __m512i simd_narrow; /* sums of few products; here as wide as any */
typedef __m512i simd_four;   /* four bytes of activations in each lane */
typedef __m512i simd_pairs;  /* the same, for weights of eight bits */
typedef __m512 simd_float;

#define simd_shift(w, count) _mm512_srli_epi32(w, count) /* crosses bytes: a mask follows */
#define simd_shift_signed(a, count) _mm512_srai_epi32(a, count)

SIMD_INLINE simd_bytes simd_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
SIMD_INLINE simd_bytes simd_mask(simd_bytes w, int byte) { return _mm512_and_si512(w, _mm512_set1_epi8((char)byte)); }
SIMD_INLINE simd_four simd_spread(const int8_t *x) { return _mm512_set1_epi32(simd_four_bytes(x)); }
SIMD_INLINE simd_pairs simd_spread_pairs(const int8_t *x) { return simd_spread(x); }
SIMD_INLINE simd_int simd_set(int32_t a) { return _mm512_set1_epi32(a); }
SIMD_INLINE simd_int simd_add(simd_int a, simd_int b) { return _mm512_add_epi32(a, b); }
SIMD_INLINE simd_int simd_sub(simd_int a, simd_int b) { return _mm512_sub_epi32(a, b); }
SIMD_INLINE void simd_store(int32_t *p, simd_int a) { _mm512_storeu_si512(p, a); }
SIMD_INLINE simd_narrow simd_narrow_zero(void) { return _mm512_setzero_si512(); }
/* `vpdpbusd`: bytes of w are 0 to 255, those of x -128 to 127; four products are at most 130560 and cannot saturate. */
SIMD_INLINE simd_narrow simd_dot(simd_narrow a, simd_bytes w, simd_four x) { return _mm512_dpbusd_epi32(a, w, x); }
SIMD_INLINE simd_int simd_widen(simd_int a, simd_narrow b) { return _mm512_add_epi32(a, b); }
SIMD_INLINE simd_int simd_dot_int8(simd_int a, simd_bytes w, simd_pairs x) { return _mm512_dpbusd_epi32(a, w, x); }

SIMD_INLINE simd_float simd_float_zero(void) { return _mm512_setzero_ps(); }
SIMD_INLINE simd_float simd_float_set(float a) { return _mm512_set1_ps(a); }
SIMD_INLINE simd_float simd_float_load(const uint8_t *p) { return _mm512_loadu_ps(p); }
SIMD_INLINE simd_float simd_half_load(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
SIMD_INLINE simd_float simd_byte_load(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
SIMD_INLINE void simd_float_store(float *p, simd_float a) { _mm512_storeu_ps(p, a); }
SIMD_INLINE simd_float simd_float_add(simd_float a, simd_float b) { return _mm512_add_ps(a, b); }
SIMD_INLINE simd_float simd_float_sub(simd_float a, simd_float b) { return _mm512_sub_ps(a, b); }
SIMD_INLINE simd_float simd_fma(simd_float a, simd_float b, simd_float c) { return _mm512_fmadd_ps(a, b, c); }
SIMD_INLINE simd_float simd_fnma(simd_float a, simd_float b, simd_float c) { return _mm512_fnmadd_ps(a, b, c); }
SIMD_INLINE simd_float simd_to_float(simd_int a) { return _mm512_cvtepi32_ps(a); }
/* The lowest two bits of each lane, less 1: a table, of whose index only four bits count. */
SIMD_INLINE simd_float simd_trit_float(simd_bytes w)
{
    return _mm512_permutexvar_ps(w, _mm512_setr_ps(-1, 0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2));
}
#define SIMD_TRIT_SUMS
/* What two trits in four bits, the first in the low ones, make of a and b: the 16 sums. */
SIMD_INLINE simd_float simd_trit_sums(float a, float b)
{
    const simd_float first = _mm512_setr_ps(-1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0);
    const simd_float second = _mm512_setr_ps(-1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_fmadd_ps(first, _mm512_set1_ps(a), _mm512_mul_ps(second, _mm512_set1_ps(b)));
}
/* The one of them that the lowest four bits of each lane say. */
SIMD_INLINE simd_float simd_trit_sum(simd_bytes w, simd_float sums) { return _mm512_permutexvar_ps(w, sums); }
/* The lowest four bits of each lane, less 8. */
SIMD_INLINE simd_float simd_nibble_float(simd_bytes w)
{
    return _mm512_permutexvar_ps(w, _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7));
}
/* The lowest byte of each lane, less 128. */
SIMD_INLINE simd_float simd_byte_float(simd_bytes w)
{
    const __m512i flipped = _mm512_slli_epi32(_mm512_xor_si512(w, _mm512_set1_epi32(0x80)), 24);
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(flipped, 24));
}
#endif

#if defined(SIMD_AVX2)
#define SIMD_LANES 8
#define SIMD_ROWS 4
#define SIMD_INT8_BIAS 128
typedef __m256i simd_bytes;
typedef __m256i simd_int;
typedef __m256i simd_narrow;
typedef __m256i simd_four;
typedef __m256 simd_float;

#define simd_shift(w, count) _mm256_srli_epi32(w, count)
#define simd_shift_signed(a, count) _mm256_srai_epi32(a, count)

SIMD_INLINE simd_bytes simd_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
SIMD_INLINE simd_bytes simd_mask(simd_bytes w, int byte) { return _mm256_and_si256(w, _mm256_set1_epi8((char)byte)); }
SIMD_INLINE simd_four simd_spread(const int8_t *x) { return _mm256_set1_epi32(simd_four_bytes(x)); }
SIMD_INLINE simd_int simd_set(int32_t a) { return _mm256_set1_epi32(a); }
SIMD_INLINE simd_int simd_add(simd_int a, simd_int b) { return _mm256_add_epi32(a, b); }
SIMD_INLINE simd_int simd_sub(simd_int a, simd_int b) { return _mm256_sub_epi32(a, b); }
SIMD_INLINE void simd_store(int32_t *p, simd_int a) { _mm256_storeu_si256((__m256i *)p, a); }
SIMD_INLINE simd_narrow simd_narrow_zero(void) { return _mm256_setzero_si256(); }

#if defined(SIMD_VNNI)
#define SIMD_STEPS ((int64_t)1 << 30)
typedef __m256i simd_pairs;
SIMD_INLINE simd_pairs simd_spread_pairs(const int8_t *x) { return simd_spread(x); }
SIMD_INLINE simd_narrow simd_dot(simd_narrow a, simd_bytes w, simd_four x) { return _mm256_dpbusd_avx_epi32(a, w, x); }
SIMD_INLINE simd_int simd_widen(simd_int a, simd_narrow b) { return _mm256_add_epi32(a, b); }
SIMD_INLINE simd_int simd_dot_int8(simd_int a, simd_bytes w, simd_pairs x) { return _mm256_dpbusd_avx_epi32(a, w, x); }
#else
/*
 * Narrow sums have 16 bits, two to a lane, and are widened after SIMD_STEPS vectors of weights. A kernel states what its
 * sums can reach by then.
 */
#define SIMD_STEPS ((int64_t)8)
typedef struct {
    __m256i even, odd;
} simd_pairs;
SIMD_INLINE simd_pairs simd_spread_pairs(const int8_t *x)
{
    const __m256i four = simd_spread(x);
    const simd_pairs pairs = {_mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8), _mm256_srai_epi16(four, 8)};
    return pairs;
}
SIMD_INLINE simd_narrow simd_dot(simd_narrow a, simd_bytes w, simd_four x)
{
    return _mm256_add_epi16(a, _mm256_maddubs_epi16(w, x));
}
SIMD_INLINE simd_int simd_widen(simd_int a, simd_narrow b)
{
    return _mm256_add_epi32(a, _mm256_madd_epi16(b, _mm256_set1_epi16(1)));
}
/* `vpmaddubsw` would saturate with bytes beyond 128, so products of 16-bit numbers: 2 * 255 * 128 each. */
SIMD_INLINE simd_int simd_dot_int8(simd_int a, simd_bytes w, simd_pairs x)
{
    const __m256i even = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(0xFF)), x.even);
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), x.odd);
    return _mm256_add_epi32(a, _mm256_add_epi32(even, odd));
}
#endif

SIMD_INLINE simd_float simd_float_zero(void) { return _mm256_setzero_ps(); }
SIMD_INLINE simd_float simd_float_set(float a) { return _mm256_set1_ps(a); }
SIMD_INLINE simd_float simd_float_load(const uint8_t *p) { return _mm256_loadu_ps((const float *)(const void *)p); }
SIMD_INLINE simd_float simd_half_load(const uint8_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
SIMD_INLINE simd_float simd_byte_load(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
SIMD_INLINE void simd_float_store(float *p, simd_float a) { _mm256_storeu_ps(p, a); }
SIMD_INLINE simd_float simd_float_add(simd_float a, simd_float b) { return _mm256_add_ps(a, b); }
SIMD_INLINE simd_float simd_float_sub(simd_float a, simd_float b) { return _mm256_sub_ps(a, b); }
SIMD_INLINE simd_float simd_fma(simd_float a, simd_float b, simd_float c) { return _mm256_fmadd_ps(a, b, c); }
SIMD_INLINE simd_float simd_fnma(simd_float a, simd_float b, simd_float c) { return _mm256_fnmadd_ps(a, b, c); }
SIMD_INLINE simd_float simd_to_float(simd_int a) { return _mm256_cvtepi32_ps(a); }
SIMD_INLINE simd_float simd_trit_float(simd_bytes w)
{
    return _mm256_permutevar8x32_ps(_mm256_setr_ps(-1, 0, 1, 2, -1, 0, 1, 2), w);
}
SIMD_INLINE simd_float simd_nibble_float(simd_bytes w)
{
    const __m256i code = _mm256_and_si256(w, _mm256_set1_epi32(15));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(code, _mm256_set1_epi32(8)));
}
SIMD_INLINE simd_float simd_byte_float(simd_bytes w)
{
    const __m256i flipped = _mm256_slli_epi32(_mm256_xor_si256(w, _mm256_set1_epi32(0x80)), 24);
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(flipped, 24));
}
#endif

#if defined(SIMD_NEON)
#define SIMD_LANES 4
#define SIMD_ROWS 4
#define SIMD_INT8_BIAS 0
#define SIMD_STEPS ((int64_t)8)
typedef uint8x16_t simd_bytes;
typedef int32x4_t simd_int;
typedef int8x16_t simd_four;
typedef int8x16_t simd_pairs;
typedef float32x4_t simd_float;

#define simd_shift(w, count) vreinterpretq_u8_u32(vshrq_n_u32(vreinterpretq_u32_u8(w), count))
#define simd_shift_signed(a, count) vshrq_n_s32(a, count)

SIMD_INLINE simd_bytes simd_load(const uint8_t *p) { return vld1q_u8(p); }
SIMD_INLINE simd_bytes simd_mask(simd_bytes w, int byte) { return vandq_u8(w, vdupq_n_u8((uint8_t)byte)); }
SIMD_INLINE simd_four simd_spread(const int8_t *x) { return vreinterpretq_s8_s32(vdupq_n_s32(simd_four_bytes(x))); }
SIMD_INLINE simd_pairs simd_spread_pairs(const int8_t *x) { return simd_spread(x); }
SIMD_INLINE simd_int simd_set(int32_t a) { return vdupq_n_s32(a); }
SIMD_INLINE simd_int simd_add(simd_int a, simd_int b) { return vaddq_s32(a, b); }
SIMD_INLINE simd_int simd_sub(simd_int a, simd_int b) { return vsubq_s32(a, b); }
SIMD_INLINE void simd_store(int32_t *p, simd_int a) { vst1q_s32(p, a); }

#if defined(SIMD_DOTPROD)
typedef int32x4_t simd_narrow;
SIMD_INLINE simd_narrow simd_narrow_zero(void) { return vdupq_n_s32(0); }
/* Bytes of w are at most 127 here: `sdot` reads them as signed. */
SIMD_INLINE simd_narrow simd_dot(simd_narrow a, simd_bytes w, simd_four x) { return vdotq_s32(a, vreinterpretq_s8_u8(w), x); }
SIMD_INLINE simd_int simd_widen(simd_int a, simd_narrow b) { return vaddq_s32(a, b); }
SIMD_INLINE simd_int simd_dot_signed(simd_int a, int8x16_t w, simd_four x) { return vdotq_s32(a, w, x); }
#else
/* One product to each of 16 lanes of 16 bits, widened after SIMD_STEPS vectors of weights. */
typedef struct {
    int16x8_t low, high;
} simd_narrow;
SIMD_INLINE simd_narrow simd_narrow_zero(void)
{
    const simd_narrow zero = {vdupq_n_s16(0), vdupq_n_s16(0)};
    return zero;
}
SIMD_INLINE simd_narrow simd_dot(simd_narrow a, simd_bytes w, simd_four x)
{
    const int8x16_t codes = vreinterpretq_s8_u8(w);
    const simd_narrow sum = {vmlal_s8(a.low, vget_low_s8(codes), vget_low_s8(x)), vmlal_high_s8(a.high, codes, x)};
    return sum;
}
SIMD_INLINE simd_int simd_widen(simd_int a, simd_narrow b)
{
    return vaddq_s32(a, vpaddq_s32(vpaddlq_s16(b.low), vpaddlq_s16(b.high)));
}
/* Two products of -128 by -128 need 17 bits: each is widened at once. */
SIMD_INLINE simd_int simd_dot_signed(simd_int a, int8x16_t w, simd_four x)
{
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
    const int32x4_t high = vpaddlq_s16(vmull_high_s8(w, x));
    return vaddq_s32(a, vpaddq_s32(low, high));
}
#endif
/* The bytes are codes plus 128. */
SIMD_INLINE simd_int simd_dot_int8(simd_int a, simd_bytes w, simd_pairs x)
{
    return simd_dot_signed(a, vreinterpretq_s8_u8(veorq_u8(w, vdupq_n_u8(0x80))), x);
}

SIMD_INLINE simd_float simd_float_zero(void) { return vdupq_n_f32(0); }
SIMD_INLINE simd_float simd_float_set(float a) { return vdupq_n_f32(a); }
SIMD_INLINE simd_float simd_float_load(const uint8_t *p) { return vreinterpretq_f32_u8(vld1q_u8(p)); }
SIMD_INLINE simd_float simd_half_load(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
SIMD_INLINE simd_float simd_byte_load(const uint8_t *p)
{
    const float four[4] = {p[0], p[1], p[2], p[3]};
    return vld1q_f32(four);
}
SIMD_INLINE void simd_float_store(float *p, simd_float a) { vst1q_f32(p, a); }
SIMD_INLINE simd_float simd_float_add(simd_float a, simd_float b) { return vaddq_f32(a, b); }
SIMD_INLINE simd_float simd_float_sub(simd_float a, simd_float b) { return vsubq_f32(a, b); }
SIMD_INLINE simd_float simd_fma(simd_float a, simd_float b, simd_float c) { return vfmaq_f32(c, a, b); }
SIMD_INLINE simd_float simd_fnma(simd_float a, simd_float b, simd_float c) { return vfmsq_f32(c, a, b); }
SIMD_INLINE simd_float simd_to_float(simd_int a) { return vcvtq_f32_s32(a); }
SIMD_INLINE simd_float simd_low_bits_float(simd_bytes w, int mask, int offset)
{
    const int32x4_t code = vandq_s32(vreinterpretq_s32_u8(w), vdupq_n_s32(mask));
    return vcvtq_f32_s32(vsubq_s32(code, vdupq_n_s32(offset)));
}
SIMD_INLINE simd_float simd_trit_float(simd_bytes w) { return simd_low_bits_float(w, 3, 1); }
SIMD_INLINE simd_float simd_nibble_float(simd_bytes w) { return simd_low_bits_float(w, 15, 8); }
SIMD_INLINE simd_float simd_byte_float(simd_bytes w) { return simd_low_bits_float(w, 255, 128); }
#endif

#if !defined(SIMD_PLAIN)
#define SIMD_BYTES (4 * SIMD_LANES)
#endif

/*
 * Vectors of F32_LANES float32 numbers, which f32_simd.h and depthwise_simd.h are written in.
 *
 * Exactly one of F32_AVX512, F32_AVX2, F32_NEON and F32_PLAIN is defined; with SIMD_PLAIN, which the command line may
 * define, it is F32_PLAIN, and there are no vectors.
 */
#if defined(SIMD_PLAIN)
#define F32_PLAIN
#elif defined(__AVX512F__)
#define F32_AVX512
#elif defined(__AVX2__) && defined(__FMA__)
#define F32_AVX2
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define F32_NEON
#else
#define F32_PLAIN
#endif

#if defined(F32_NEON)
#include <arm_neon.h>
#elif !defined(F32_PLAIN)
#include <immintrin.h>
#endif

#if !defined(F32_PLAIN)
/* Sums of a tile must become registers: every loop over them is unrolled, and every function inlined. */
#if !defined(F32_INLINE)
#define F32_INLINE static inline __attribute__((always_inline))
#endif
#if defined(F32_UNROLL)
#elif defined(__clang__)
#define F32_UNROLL _Pragma("unroll")
#else
#define F32_UNROLL _Pragma("GCC unroll 16")
#endif
/* Asks for the line that is read in a while. The address may lie behind the array, so it is no pointer sum. */
#define F32_PREFETCH(p) __builtin_prefetch((const void *)((uintptr_t)(p) + 8192))
#endif

#if defined(F32_AVX512)
#define F32_LANES 16
#define F32_WIDTH 4 /* vectors of a strip: 6 rows of 4 sums, and 4 weights, are 28 of 32 registers */
typedef __m512 f32_vector;
F32_INLINE f32_vector f32_load(const float *p) { return _mm512_loadu_ps(p); }
F32_INLINE void f32_store(float *p, f32_vector a) { _mm512_storeu_ps(p, a); }
F32_INLINE f32_vector f32_set(float a) { return _mm512_set1_ps(a); }
F32_INLINE f32_vector f32_add(f32_vector a, f32_vector b) { return _mm512_add_ps(a, b); }
F32_INLINE f32_vector f32_fma(f32_vector a, f32_vector b, f32_vector c) { return _mm512_fmadd_ps(a, b, c); }
F32_INLINE float f32_across(f32_vector a) { return _mm512_reduce_add_ps(a); }
/* The lanes that `lanes` names, moved together. */
#define F32_COMPRESS
F32_INLINE f32_vector f32_compress(f32_vector a, uint64_t lanes) { return _mm512_maskz_compress_ps((__mmask16)lanes, a); }
/* Parts of vectors, and the even and odd elements of two. */
#define F32_PARTIAL
typedef __mmask16 f32_mask;
/* Lanes l with 0 <= first + l < width. */
F32_INLINE f32_mask f32_lanes(int64_t first, int64_t width)
{
    const int64_t low = first < 0 ? -first : 0, high = width - first;
    const uint32_t above = low > 15 ? 0 : 0xFFFFu << low, below = high > 15 ? 0xFFFFu : high < 1 ? 0 : 0xFFFFu >> (16 - high);
    return (f32_mask)(above & below);
}
/* `from` may lie outside the image: lanes that the mask leaves out are zero and not read. */
F32_INLINE f32_vector f32_load_part(uintptr_t from, f32_mask mask)
{
    return _mm512_maskz_loadu_ps(mask, (const void *)from);
}
F32_INLINE f32_vector f32_even(f32_vector a, f32_vector b)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps(a, even, b);
}
F32_INLINE f32_vector f32_odd(f32_vector a, f32_vector b)
{
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return _mm512_permutex2var_ps(a, odd, b);
}
#endif

#if defined(F32_AVX2)
#define F32_LANES 8
#define F32_WIDTH 2 /* 6 rows of 2 sums, and 2 weights, are 14 of 16 registers */
typedef __m256 f32_vector;
F32_INLINE f32_vector f32_load(const float *p) { return _mm256_loadu_ps(p); }
F32_INLINE void f32_store(float *p, f32_vector a) { _mm256_storeu_ps(p, a); }
F32_INLINE f32_vector f32_set(float a) { return _mm256_set1_ps(a); }
F32_INLINE f32_vector f32_add(f32_vector a, f32_vector b) { return _mm256_add_ps(a, b); }
F32_INLINE f32_vector f32_fma(f32_vector a, f32_vector b, f32_vector c) { return _mm256_fmadd_ps(a, b, c); }
F32_INLINE float f32_across(f32_vector a)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
#define F32_PARTIAL
typedef __m256i f32_mask;
F32_INLINE f32_mask f32_lanes(int64_t first, int64_t width)
{
    const int64_t high = width - first;
    const int low = first < -8 ? 8 : (int)-first, end = high > 8 ? 8 : high < 0 ? 0 : (int)high;
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(low < 0 ? 0 : low), lane), below);
}
F32_INLINE f32_vector f32_load_part(uintptr_t from, f32_mask mask)
{
    return _mm256_maskload_ps((const float *)from, mask);
}
F32_INLINE f32_vector f32_even(f32_vector a, f32_vector b)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88)), 0xD8));
}
F32_INLINE f32_vector f32_odd(f32_vector a, f32_vector b)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xDD)), 0xD8));
}
#endif

#if defined(F32_NEON)
#define F32_LANES 4
#define F32_WIDTH 4
typedef float32x4_t f32_vector;
F32_INLINE f32_vector f32_load(const float *p) { return vld1q_f32(p); }
F32_INLINE void f32_store(float *p, f32_vector a) { vst1q_f32(p, a); }
F32_INLINE f32_vector f32_set(float a) { return vdupq_n_f32(a); }
F32_INLINE f32_vector f32_add(f32_vector a, f32_vector b) { return vaddq_f32(a, b); }
F32_INLINE f32_vector f32_fma(f32_vector a, f32_vector b, f32_vector c) { return vfmaq_f32(c, a, b); }
F32_INLINE float f32_across(f32_vector a) { return vaddvq_f32(a); }
#endif

#if !defined(F32_PLAIN)
#define F32_STRIP (F32_LANES * F32_WIDTH)
#endif

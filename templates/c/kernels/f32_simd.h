/*
 * Vectors of F32_LANES float32 numbers, which f32.h and conv.h are written in.
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
#define F32_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define F32_UNROLL _Pragma("unroll")
#else
#define F32_UNROLL _Pragma("GCC unroll 8")
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

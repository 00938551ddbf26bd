/*
 * Weights of eight bits, a scale (and zero point) for each row of them: those are the caller's business.
 *
 *     acc[i][j] = sum over t of x[i * stride + t] * code[column + j][t]        0 <= i < rows, column + j < n
 *
 * The rest is as in ternary2.h. Sums wrap, so that the result is right wherever the sum itself has 32 bits, which is so for k
 * at most INT8_MAX_K. With a zero point z[j], subtract z[j] * sums[i].
 */
#define INT8_COLUMNS 64
#define INT8_ROWS 8
#define INT8_MAX_K 131071
#define INT8_PACKED_BYTES(n, k) (((n) + 15) / 16 * (((k) + 3) / 4) * 64)

#if defined(SIMD_PLAIN)
static inline void int8_pack(const int8_t *portable, int64_t n, int64_t k, uint8_t *packed)
{
    memcpy(packed, portable, (size_t)(n * k));
}

static inline void int8_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const int8_t *x, int64_t stride,
                             const int32_t *sums, int64_t rows, int32_t acc[][INT8_COLUMNS])
{
    (void)sums;
    for (int64_t j = 0; j < INT8_COLUMNS && column + j < n; j++) {
        const int8_t *weights = (const int8_t *)packed + (column + j) * k;
        for (int64_t i = 0; i < rows; i++) {
            uint32_t sum = 0;
            for (int64_t t = 0; t < k; t++) {
                sum += (uint32_t)(x[i * stride + t] * weights[t]);
            }
            acc[i][j] = (int32_t)sum;
        }
    }
}

static inline void int8_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const float *x, int64_t stride,
                                 int64_t rows, float acc[][INT8_COLUMNS])
{
    for (int64_t j = 0; j < INT8_COLUMNS && column + j < n; j++) {
        const int8_t *weights = (const int8_t *)packed + (column + j) * k;
        for (int64_t i = 0; i < rows; i++) {
            double sum = 0;
            for (int64_t t = 0; t < k; t++) {
                sum += (double)x[i * stride + t] * weights[t];
            }
            acc[i][j] = (float)sum;
        }
    }
}
#endif

/*
 * Ternary weights in two bits.
 *
 * `ternary2_pack` brings portable codes (four in a byte, code + 1, each row on a byte of its own) into the layout of this
 * build's vectors. `ternary2_tile` multiplies rows of 8-bit activations with TERNARY2_COLUMNS rows of weights:
 *
 *     acc[i][j] = sum over t of x[i * stride + t] * code[column + j][t]        0 <= i < rows, column + j < n
 *
 * Elements of acc beyond n columns may hold anything. `sums[i]` is the sum of row i of x. `ternary2_tile_f32` does the same for
 * float activations, without sums.
 *
 * column is a multiple of TERNARY2_COLUMNS, rows at most TERNARY2_ROWS, k at most TERNARY2_MAX_K: sums reach 512 * k on their
 * way, in 32 bits. x need not be aligned, and nothing behind its k elements is read.
 */
#define TERNARY2_COLUMNS 64
#define TERNARY2_ROWS 8
#define TERNARY2_MAX_K 4194303
/* Of packed weights, in every build. */
#define TERNARY2_PACKED_BYTES(n, k) (((n) + 15) / 16 * (((k) + 15) / 16) * 64)

#if defined(SIMD_PLAIN)
/* The layout is the portable one. Returns false where a code is invalid. */
static inline bool ternary2_pack(const uint8_t *portable, int64_t n, int64_t k, uint8_t *packed)
{
    const int64_t row_bytes = (k + 3) / 4;
    memcpy(packed, portable, (size_t)(n * row_bytes));
    for (int64_t j = 0; j < n; j++) {
        for (int64_t t = 0; t < k; t++) {
            if ((portable[j * row_bytes + t / 4] >> (t % 4 * 2) & 3) == 3) {
                return false;
            }
        }
    }
    return true;
}

static inline void ternary2_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const int8_t *x, int64_t stride,
                                 const int32_t *sums, int64_t rows, int32_t acc[][TERNARY2_COLUMNS])
{
    const int64_t row_bytes = (k + 3) / 4;
    for (int64_t j = 0; j < TERNARY2_COLUMNS && column + j < n; j++) {
        const uint8_t *weights = packed + (column + j) * row_bytes;
        for (int64_t i = 0; i < rows; i++) {
            int32_t sum = -sums[i];
            for (int64_t t = 0; t < k; t++) {
                sum += x[i * stride + t] * (weights[t / 4] >> (t % 4 * 2) & 3);
            }
            acc[i][j] = sum;
        }
    }
}

static inline void ternary2_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const float *x,
                                     int64_t stride, int64_t rows, float acc[][TERNARY2_COLUMNS])
{
    const int64_t row_bytes = (k + 3) / 4;
    for (int64_t j = 0; j < TERNARY2_COLUMNS && column + j < n; j++) {
        const uint8_t *weights = packed + (column + j) * row_bytes;
        for (int64_t i = 0; i < rows; i++) {
            double sum = 0;
            for (int64_t t = 0; t < k; t++) {
                sum += (double)x[i * stride + t] * ((weights[t / 4] >> (t % 4 * 2) & 3) - 1);
            }
            acc[i][j] = (float)sum;
        }
    }
}
#endif

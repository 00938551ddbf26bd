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
/*
 * Bytes are the portable ones, but those of up to TERNARY2_COLUMNS columns lie beside each other: loops over columns become
 * vectors. Columns are rounded up to 16. Returns false where a code is invalid.
 */
static inline bool ternary2_pack(const uint8_t *portable, int64_t n, int64_t k, uint8_t *packed)
{
    const int64_t row_bytes = (k + 3) / 4, padded = (n + 15) / 16 * 16;
    bool valid = true;
    for (int64_t begin = 0; begin < padded; begin += TERNARY2_COLUMNS) {
        const int64_t width = padded - begin < TERNARY2_COLUMNS ? padded - begin : TERNARY2_COLUMNS;
        for (int64_t step = 0; step < row_bytes; step++) {
            for (int64_t column = begin; column < begin + width; column++) {
                const uint8_t codes = column < n ? portable[column * row_bytes + step] : 0x55;
                for (int64_t t = step * 4; t < step * 4 + 4 && t < k; t++) {
                    valid = valid && (codes >> (t % 4 * 2) & 3) != 3;
                }
                *packed++ = codes;
            }
        }
    }
    return valid;
}

static inline void ternary2_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const int8_t *x, int64_t stride,
                                 const int32_t *sums, int64_t rows, int32_t acc[][TERNARY2_COLUMNS])
{
    const int64_t rest = (n + 15) / 16 * 16 - column, width = rest < TERNARY2_COLUMNS ? rest : TERNARY2_COLUMNS;
    const uint8_t *strip = packed + column * ((k + 3) / 4);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < width; j++) {
            acc[i][j] = -sums[i];
        }
    }
    for (int64_t t = 0; t < k; t++) {
        int32_t codes[TERNARY2_COLUMNS];
        for (int64_t j = 0; j < width; j++) {
            codes[j] = strip[t / 4 * width + j] >> (t % 4 * 2) & 3;
        }
        for (int64_t i = 0; i < rows; i++) {
            const int32_t factor = x[i * stride + t];
            for (int64_t j = 0; j < width; j++) {
                acc[i][j] += factor * codes[j];
            }
        }
    }
}

static inline void ternary2_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const float *x,
                                     int64_t stride, int64_t rows, float acc[][TERNARY2_COLUMNS])
{
    const int64_t rest = (n + 15) / 16 * 16 - column, width = rest < TERNARY2_COLUMNS ? rest : TERNARY2_COLUMNS;
    const uint8_t *strip = packed + column * ((k + 3) / 4);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < width; j++) {
            acc[i][j] = 0;
        }
    }
    for (int64_t t = 0; t < k; t++) {
        float codes[TERNARY2_COLUMNS];
        for (int64_t j = 0; j < width; j++) {
            codes[j] = (float)((strip[t / 4 * width + j] >> (t % 4 * 2) & 3) - 1);
        }
        for (int64_t i = 0; i < rows; i++) {
            const float factor = x[i * stride + t];
            for (int64_t j = 0; j < width; j++) {
                acc[i][j] += factor * codes[j];
            }
        }
    }
}
#endif

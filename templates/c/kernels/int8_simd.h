#if !defined(SIMD_PLAIN)
/*
 * Columns are rounded up to 16 and k to 4. Strips are as in ternary2_simd.h; a step is 4 indices, one to each byte of a lane:
 * the code + 128, so that a byte is unsigned. Padding is the code 0.
 */
static inline void int8_pack(const int8_t *portable, int64_t n, int64_t k, uint8_t *packed)
{
    const int64_t steps = (k + 3) / 4, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
    for (int64_t vector = 0; vector < vectors; vector += SIMD_STRIP) {
        const int64_t width = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        for (int64_t step = 0; step < steps; step++) {
            for (int64_t lane = 0; lane < width * SIMD_LANES; lane++) {
                const int64_t column = vector * SIMD_LANES + lane;
                for (int64_t byte = 0; byte < 4; byte++) {
                    const int64_t t = step * 4 + byte;
                    *packed++ = (uint8_t)(column < n && t < k ? portable[column * k + t] + 128 : 128);
                }
            }
        }
    }
}

SIMD_INLINE void int8_step(const uint8_t *w, const int8_t *x, int64_t stride, simd_int (*sum)[SIMD_STRIP], const int rows,
                           const int width)
{
    simd_bytes codes[SIMD_STRIP];
    SIMD_UNROLL
    for (int v = 0; v < width; v++) {
        if (rows == 1 && v * SIMD_BYTES % 64 == 0) {
            simd_prefetch(w + v * SIMD_BYTES);
        }
        codes[v] = simd_load(w + v * SIMD_BYTES);
    }
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        const simd_pairs four = simd_spread_pairs(x + i * stride);
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            sum[i][v] = simd_dot_int8(sum[i][v], codes[v], four);
        }
    }
}

/*
 * Sums wrap: those of products of 0..255 by -128..127 may leave 32 bits where the result, after the correction, does not.
 * Four steps at once: a compiler may move all sums about at the end of a turn.
 */
SIMD_INLINE void int8_add(const uint8_t *w, int64_t pitch, int64_t steps, const int8_t *x, int64_t stride,
                          simd_int (*sum)[SIMD_STRIP], const int rows, const int width)
{
    int64_t step = 0;
    for (; steps - step >= 4; step += 4) {
        SIMD_UNROLL
        for (int next = 0; next < 4; next++) {
            int8_step(w + (step + next) * pitch, x + (step + next) * 4, stride, sum, rows, width);
        }
    }
    for (; step < steps; step++) {
        int8_step(w + step * pitch, x + step * 4, stride, sum, rows, width);
    }
}

SIMD_INLINE void int8_rows(const uint8_t *w, int64_t pitch, int64_t k, const int8_t *x, int64_t stride, const int32_t *sums,
                           int32_t *acc, const int rows, const int width)
{
    simd_int sum[SIMD_ROWS][SIMD_STRIP];
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            sum[i][v] = simd_set((int32_t)(0 - (uint32_t)SIMD_INT8_BIAS * (uint32_t)sums[i]));
        }
    }
    int8_add(w, pitch, k / 4, x, stride, sum, rows, width);
    if (k % 4 != 0) {
        int8_t rest[SIMD_ROWS][4] = {{0}};
        for (int i = 0; i < rows; i++) {
            memcpy(rest[i], x + i * stride + k / 4 * 4, (size_t)(k % 4));
        }
        int8_add(w + k / 4 * pitch, pitch, 1, rest[0], 4, sum, rows, width);
    }
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            simd_store(acc + i * INT8_COLUMNS + v * SIMD_LANES, sum[i][v]);
        }
    }
}

/* A number of rows that is known, of the columns of one strip. */
SIMD_INLINE void int8_block(const uint8_t *w, int64_t width, int64_t k, const int8_t *x, int64_t stride, const int32_t *sums,
                            int32_t *acc, const int rows)
{
    int64_t v = 0;
    for (; v + 2 <= width; v += 2) {
        int8_rows(w + v * SIMD_BYTES, width * SIMD_BYTES, k, x, stride, sums, acc + v * SIMD_LANES, rows, 2);
    }
    if (v < width) {
        int8_rows(w + v * SIMD_BYTES, width * SIMD_BYTES, k, x, stride, sums, acc + v * SIMD_LANES, rows, 1);
    }
}

static inline void int8_strip(const uint8_t *w, int64_t width, int64_t k, const int8_t *x, int64_t stride, const int32_t *sums,
                              int64_t rows, int32_t *acc)
{
    int64_t i = 0;
    for (; rows - i >= SIMD_ROWS; i += SIMD_ROWS) {
        int8_block(w, width, k, x + i * stride, stride, sums + i, acc + i * INT8_COLUMNS, SIMD_ROWS);
    }
    if (SIMD_ROWS > 4 && rows - i >= 4) {
        int8_block(w, width, k, x + i * stride, stride, sums + i, acc + i * INT8_COLUMNS, 4);
        i += 4;
    }
    if (rows - i >= 2) {
        int8_block(w, width, k, x + i * stride, stride, sums + i, acc + i * INT8_COLUMNS, 2);
        i += 2;
    }
    if (i < rows && width == SIMD_STRIP) {
        int8_rows(w, width * SIMD_BYTES, k, x + i * stride, stride, sums + i, acc + i * INT8_COLUMNS, 1, SIMD_STRIP);
    } else if (i < rows) {
        int8_block(w, width, k, x + i * stride, stride, sums + i, acc + i * INT8_COLUMNS, 1);
    }
}

static inline void int8_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const int8_t *x, int64_t stride,
                             const int32_t *sums, int64_t rows, int32_t acc[][INT8_COLUMNS])
{
    const int64_t steps = (k + 3) / 4, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
    const int64_t begin = column / SIMD_LANES;
    for (int64_t vector = begin; vector < begin + INT8_COLUMNS / SIMD_LANES && vector < vectors; vector += SIMD_STRIP) {
        const int64_t width = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        int8_strip(packed + vector * steps * SIMD_BYTES, width, k, x, stride, sums, rows,
                   &acc[0][(vector - begin) * SIMD_LANES]);
    }
}

/* Steps of rows of float activations; what 64 steps add is summed first, which rounds less than one long sum. */
SIMD_INLINE void int8_add_f32(const uint8_t *w, int64_t pitch, int64_t steps, const float *x, int64_t stride,
                              simd_float (*sum)[SIMD_STRIP], const int rows, const int width)
{
    const int chains = rows == 1 ? 2 : 1;
    for (int64_t begin = 0; begin < steps; begin += 64) {
        simd_float part[4][SIMD_STRIP][2];
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                part[i][v][0] = part[i][v][1] = simd_float_zero();
            }
        }
        const int64_t end = steps - begin < 64 ? steps : begin + 64;
        for (int64_t step = begin; step < end; step++, w += pitch, x += 4) {
            simd_bytes bits[SIMD_STRIP];
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                if (rows == 1 && v * SIMD_BYTES % 64 == 0) {
                    simd_prefetch(w + v * SIMD_BYTES);
                }
                bits[v] = simd_load(w + v * SIMD_BYTES);
            }
            SIMD_UNROLL
            for (int place = 0; place < 4; place++) {
                simd_float codes[SIMD_STRIP];
                SIMD_UNROLL
                for (int v = 0; v < width; v++) {
                    codes[v] = simd_byte_float(bits[v]);
                    bits[v] = simd_shift(bits[v], 8);
                }
                SIMD_UNROLL
                for (int i = 0; i < rows; i++) {
                    const simd_float spread = simd_float_set(x[i * stride + place]);
                    SIMD_UNROLL
                    for (int v = 0; v < width; v++) {
                        part[i][v][place % chains] = simd_fma(codes[v], spread, part[i][v][place % chains]);
                    }
                }
            }
        }
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                sum[i][v] = simd_float_add(sum[i][v], simd_float_add(part[i][v][0], part[i][v][1]));
            }
        }
    }
}

SIMD_INLINE void int8_rows_f32(const uint8_t *w, int64_t pitch, int64_t k, const float *x, int64_t stride, float *acc,
                               const int rows, const int width)
{
    simd_float sum[4][SIMD_STRIP];
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            sum[i][v] = simd_float_zero();
        }
    }
    int8_add_f32(w, pitch, k / 4, x, stride, sum, rows, width);
    if (k % 4 != 0) {
        float rest[4][4] = {{0}};
        for (int i = 0; i < rows; i++) {
            memcpy(rest[i], x + i * stride + k / 4 * 4, (size_t)(k % 4) * sizeof(float));
        }
        int8_add_f32(w + k / 4 * pitch, pitch, 1, rest[0], 4, sum, rows, width);
    }
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            simd_float_store(acc + i * INT8_COLUMNS + v * SIMD_LANES, sum[i][v]);
        }
    }
}

static inline void int8_strip_f32(const uint8_t *w, int64_t width, int64_t k, const float *x, int64_t stride, int64_t rows,
                                  float *acc)
{
    const int64_t pitch = width * SIMD_BYTES;
    int64_t i = 0;
    for (; rows - i >= 4; i += 4) {
        int64_t v = 0;
        for (; v + 2 <= width; v += 2) {
            int8_rows_f32(w + v * SIMD_BYTES, pitch, k, x + i * stride, stride, acc + i * INT8_COLUMNS + v * SIMD_LANES, 4, 2);
        }
        if (v < width) {
            int8_rows_f32(w + v * SIMD_BYTES, pitch, k, x + i * stride, stride, acc + i * INT8_COLUMNS + v * SIMD_LANES, 4, 1);
        }
    }
    for (; i < rows; i++) {
        if (width == SIMD_STRIP) {
            int8_rows_f32(w, pitch, k, x + i * stride, stride, acc + i * INT8_COLUMNS, 1, SIMD_STRIP);
        } else {
            for (int64_t v = 0; v < width; v++) {
                int8_rows_f32(w + v * SIMD_BYTES, pitch, k, x + i * stride, stride, acc + i * INT8_COLUMNS + v * SIMD_LANES, 1,
                              1);
            }
        }
    }
}

static inline void int8_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const float *x, int64_t stride,
                                 int64_t rows, float acc[][INT8_COLUMNS])
{
    const int64_t steps = (k + 3) / 4, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
    const int64_t begin = column / SIMD_LANES;
    for (int64_t vector = begin; vector < begin + INT8_COLUMNS / SIMD_LANES && vector < vectors; vector += SIMD_STRIP) {
        const int64_t width = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        int8_strip_f32(packed + vector * steps * SIMD_BYTES, width, k, x, stride, rows, &acc[0][(vector - begin) * SIMD_LANES]);
    }
}
#endif

#if !defined(SIMD_PLAIN)
/*
 * Columns are rounded up to 16 and k to 8. Strips are as in ternary2_simd.h. A group of a strip is: for each step of 8 indices
 * a vector for each of `width` vectors of columns (byte b of a lane has index b in its low half and 4 + b in the high one);
 * then the scales of all columns, then their zero points.
 */
static inline void int4_pack(const uint8_t *portable, const void *scale, const int8_t *zero, int64_t n, int64_t k,
                             int64_t group, int64_t scale_bytes, uint8_t *packed)
{
    const int64_t row_bytes = (k + 1) / 2, groups = k / group, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
    for (int64_t vector = 0; vector < vectors; vector += SIMD_STRIP) {
        const int64_t begin = vector * SIMD_LANES;
        const int64_t end = begin + (vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP) * SIMD_LANES;
        for (int64_t g = 0; g < groups; g++) {
            for (int64_t step = 0; step < (group + 7) / 8; step++) {
                for (int64_t column = begin; column < end; column++) {
                    for (int64_t byte = 0; byte < 4; byte++) {
                        uint8_t codes = 0;
                        for (int64_t half = 0; half < 2; half++) {
                            const int64_t t = g * group + step * 8 + half * 4 + byte;
                            const bool real = column < n && t < k;
                            const int code = real ? portable[column * row_bytes + t / 2] >> (t % 2 * 4) & 15 : 8;
                            codes = (uint8_t)(codes | code << (4 * half));
                        }
                        *packed++ = codes;
                    }
                }
            }
            for (int64_t column = begin; column < end; column++, packed += scale_bytes) {
                if (column < n) {
                    memcpy(packed, (const uint8_t *)scale + (column * groups + g) * scale_bytes, (size_t)scale_bytes);
                } else {
                    memset(packed, 0, (size_t)scale_bytes);
                }
            }
            for (int64_t column = begin; zero != NULL && column < end; column++) {
                *packed++ = column < n ? (uint8_t)zero[column * groups + g] : 8;
            }
        }
    }
}

/*
 * Steps of one group. Narrow sums: two dots a step, each of two products of at most 15 * 127 or 15 * -128: -30720 to 30480 in 4
 * steps.
 */
SIMD_INLINE void int4_add(const uint8_t *w, int64_t pitch, int64_t steps, const int8_t *x, int64_t stride,
                          simd_int (*sum)[SIMD_STRIP], const int rows, const int width)
{
    for (int64_t begin = 0; begin < steps; begin += SIMD_STEPS / 2) {
        simd_narrow part[4][SIMD_STRIP];
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                part[i][v] = simd_narrow_zero();
            }
        }
        const int64_t end = steps - begin < SIMD_STEPS / 2 ? steps : begin + SIMD_STEPS / 2;
        for (int64_t step = begin; step < end; step++, w += pitch, x += 8) {
            simd_bytes low[SIMD_STRIP], high[SIMD_STRIP];
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                if (rows == 1 && v * SIMD_BYTES % 64 == 0) {
                    simd_prefetch(w + v * SIMD_BYTES);
                }
                const simd_bytes both = simd_load(w + v * SIMD_BYTES);
                low[v] = simd_mask(both, 15);
                high[v] = simd_mask(simd_shift(both, 4), 15);
            }
            SIMD_UNROLL
            for (int i = 0; i < rows; i++) {
                const simd_four x0 = simd_spread(x + i * stride);
                SIMD_UNROLL
                for (int v = 0; v < width; v++) {
                    part[i][v] = simd_dot(part[i][v], low[v], x0);
                }
            }
            SIMD_UNROLL
            for (int i = 0; i < rows; i++) {
                const simd_four x1 = simd_spread(x + i * stride + 4);
                SIMD_UNROLL
                for (int v = 0; v < width; v++) {
                    part[i][v] = simd_dot(part[i][v], high[v], x1);
                }
            }
        }
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                sum[i][v] = simd_widen(sum[i][v], part[i][v]);
            }
        }
    }
}

/* w: vector `first` of a strip of `strip` vectors; `width` of them are computed. */
SIMD_INLINE void int4_rows(const uint8_t *w, int64_t strip, int64_t first, int64_t k, int64_t group, int64_t scale_bytes,
                           int64_t zero_bytes, const int8_t *x, int64_t stride, const int32_t *sums, float *acc, const int rows,
                           const int width)
{
    const int64_t groups = k / group, pitch = strip * SIMD_BYTES, steps = group / 8, code_bytes = (group + 7) / 8 * pitch;
    const int64_t columns = strip * SIMD_LANES;
    simd_float total[4][SIMD_STRIP];
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            total[i][v] = simd_float_zero();
        }
    }
    for (int64_t g = 0; g < groups; g++, w += code_bytes + columns * (scale_bytes + zero_bytes)) {
        const uint8_t *codes = w + first * SIMD_BYTES;
        simd_int sum[4][SIMD_STRIP];
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                sum[i][v] = simd_set(zero_bytes == 0 ? -8 * sums[i * groups + g] : 0);
            }
        }
        int4_add(codes, pitch, steps, x + g * group, stride, sum, rows, width);
        if (group % 8 != 0) {
            int8_t rest[4][8] = {{0}};
            for (int i = 0; i < rows; i++) {
                memcpy(rest[i], x + i * stride + steps * 8, (size_t)(group % 8));
            }
            int4_add(codes + steps * pitch, pitch, 1, rest[0], 8, sum, rows, width);
        }
        const uint8_t *scales = w + code_bytes + first * SIMD_LANES * scale_bytes;
        const uint8_t *zeros = w + code_bytes + columns * scale_bytes + first * SIMD_LANES;
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            const simd_float scale =
                scale_bytes == 4 ? simd_float_load(scales + v * SIMD_LANES * 4) : simd_half_load(scales + v * SIMD_LANES * 2);
            const simd_float zero = zero_bytes == 0 ? simd_float_zero() : simd_byte_load(zeros + v * SIMD_LANES);
            SIMD_UNROLL
            for (int i = 0; i < rows; i++) {
                simd_float value = simd_to_float(sum[i][v]);
                if (zero_bytes != 0) {
                    value = simd_fnma(zero, simd_float_set((float)sums[i * groups + g]), value);
                }
                total[i][v] = simd_fma(value, scale, total[i][v]);
            }
        }
    }
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            simd_float_store(acc + i * INT4_COLUMNS + v * SIMD_LANES, total[i][v]);
        }
    }
}

SIMD_INLINE void int4_block(const uint8_t *w, int64_t strip, int64_t k, int64_t group, int64_t scale_bytes, int64_t zero_bytes,
                            const int8_t *x, int64_t stride, const int32_t *sums, float *acc, const int rows)
{
    int64_t v = 0;
    for (; v + 2 <= strip; v += 2) {
        int4_rows(w, strip, v, k, group, scale_bytes, zero_bytes, x, stride, sums, acc + v * SIMD_LANES, rows, 2);
    }
    if (v < strip) {
        int4_rows(w, strip, v, k, group, scale_bytes, zero_bytes, x, stride, sums, acc + v * SIMD_LANES, rows, 1);
    }
}

SIMD_INLINE void int4_strip(const uint8_t *w, int64_t strip, int64_t k, int64_t group, int64_t scale_bytes, int64_t zero_bytes,
                            const int8_t *x, int64_t stride, const int32_t *sums, int64_t rows, float *acc)
{
    const int64_t groups = k / group;
    int64_t i = 0;
    for (; rows - i >= 4; i += 4) {
        int4_block(w, strip, k, group, scale_bytes, zero_bytes, x + i * stride, stride, sums + i * groups,
                   acc + i * INT4_COLUMNS, 4);
    }
    if (rows - i >= 2) {
        int4_block(w, strip, k, group, scale_bytes, zero_bytes, x + i * stride, stride, sums + i * groups,
                   acc + i * INT4_COLUMNS, 2);
        i += 2;
    }
    if (i < rows && strip == SIMD_STRIP) {
        int4_rows(w, SIMD_STRIP, 0, k, group, scale_bytes, zero_bytes, x + i * stride, stride, sums + i * groups,
                  acc + i * INT4_COLUMNS, 1, SIMD_STRIP);
    } else if (i < rows) {
        int4_block(w, strip, k, group, scale_bytes, zero_bytes, x + i * stride, stride, sums + i * groups,
                   acc + i * INT4_COLUMNS, 1);
    }
}

/* The usual sizes are literals to the compiler, even where the caller's are not. */
static inline void int4_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t group, int64_t scale_bytes,
                             int64_t zero_bytes, int64_t column, const int8_t *x, int64_t stride, const int32_t *sums,
                             int64_t rows, float acc[][INT4_COLUMNS])
{
    const int64_t vectors = (n + 15) / 16 * 16 / SIMD_LANES, begin = column / SIMD_LANES;
    const int64_t vector_bytes = (k + 7) / 8 * SIMD_BYTES + k / group * SIMD_LANES * (scale_bytes + zero_bytes);
    for (int64_t vector = begin; vector < begin + INT4_COLUMNS / SIMD_LANES && vector < vectors; vector += SIMD_STRIP) {
        const int64_t strip = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        const uint8_t *w = packed + vector * vector_bytes;
        float *out = &acc[0][(vector - begin) * SIMD_LANES];
        if (group == 32 && scale_bytes == 2 && zero_bytes == 0) {
            int4_strip(w, strip, k, 32, 2, 0, x, stride, sums, rows, out);
        } else {
            int4_strip(w, strip, k, group, scale_bytes, zero_bytes, x, stride, sums, rows, out);
        }
    }
}

/*
 * Steps of one group of rows of float activations: 32 steps at a time, which rounds less. zero is null or of `width` vectors.
 * It is subtracted from each code, not from sums: an infinite activation then gives what it should.
 */
SIMD_INLINE void int4_add_f32(const uint8_t *w, int64_t pitch, int64_t steps, const float *x, int64_t stride,
                              const simd_float *zero, simd_float (*sum)[SIMD_STRIP], const int rows, const int width)
{
    const int chains = rows == 1 ? 2 : 1;
    for (int64_t begin = 0; begin < steps; begin += 32) {
        simd_float part[4][SIMD_STRIP][2];
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                part[i][v][0] = part[i][v][1] = simd_float_zero();
            }
        }
        const int64_t end = steps - begin < 32 ? steps : begin + 32;
        for (int64_t step = begin; step < end; step++, w += pitch, x += 8) {
            simd_bytes bits[SIMD_STRIP];
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                if (rows == 1 && v * SIMD_BYTES % 64 == 0) {
                    simd_prefetch(w + v * SIMD_BYTES);
                }
                bits[v] = simd_load(w + v * SIMD_BYTES);
            }
            SIMD_UNROLL
            for (int place = 0; place < 8; place++) {
                simd_float codes[SIMD_STRIP];
                SIMD_UNROLL
                for (int v = 0; v < width; v++) {
                    codes[v] = simd_nibble_float(bits[v]);
                    if (zero != NULL) {
                        codes[v] = simd_float_sub(codes[v], zero[v]);
                    }
                    bits[v] = simd_shift(bits[v], 4);
                }
                SIMD_UNROLL
                for (int i = 0; i < rows; i++) {
                    const simd_float spread = simd_float_set(x[i * stride + place % 2 * 4 + place / 2]);
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

SIMD_INLINE void int4_rows_f32(const uint8_t *w, int64_t strip, int64_t first, int64_t k, int64_t group, int64_t scale_bytes,
                               int64_t zero_bytes, const float *x, int64_t stride, float *acc, const int rows, const int width)
{
    const int64_t groups = k / group, pitch = strip * SIMD_BYTES, steps = group / 8, code_bytes = (group + 7) / 8 * pitch;
    const int64_t columns = strip * SIMD_LANES;
    simd_float total[4][SIMD_STRIP];
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            total[i][v] = simd_float_zero();
        }
    }
    for (int64_t g = 0; g < groups; g++, w += code_bytes + columns * (scale_bytes + zero_bytes)) {
        const uint8_t *codes = w + first * SIMD_BYTES;
        simd_float sum[4][SIMD_STRIP];
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                sum[i][v] = simd_float_zero();
            }
        }
        const uint8_t *zeros = w + code_bytes + columns * scale_bytes + first * SIMD_LANES;
        simd_float zero[SIMD_STRIP];
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            zero[v] = zero_bytes == 0 ? simd_float_zero()
                                      : simd_float_sub(simd_byte_load(zeros + v * SIMD_LANES), simd_float_set(8));
        }
        int4_add_f32(codes, pitch, steps, x + g * group, stride, zero_bytes == 0 ? NULL : zero, sum, rows, width);
        if (group % 8 != 0) {
            float rest[4][8] = {{0}};
            for (int i = 0; i < rows; i++) {
                memcpy(rest[i], x + i * stride + steps * 8, (size_t)(group % 8) * sizeof(float));
            }
            int4_add_f32(codes + steps * pitch, pitch, 1, rest[0], 8, zero_bytes == 0 ? NULL : zero, sum, rows, width);
        }
        const uint8_t *scales = w + code_bytes + first * SIMD_LANES * scale_bytes;
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            const simd_float scale =
                scale_bytes == 4 ? simd_float_load(scales + v * SIMD_LANES * 4) : simd_half_load(scales + v * SIMD_LANES * 2);
            SIMD_UNROLL
            for (int i = 0; i < rows; i++) {
                total[i][v] = simd_fma(sum[i][v], scale, total[i][v]);
            }
        }
    }
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            simd_float_store(acc + i * INT4_COLUMNS + v * SIMD_LANES, total[i][v]);
        }
    }
}

static inline void int4_strip_f32(const uint8_t *w, int64_t strip, int64_t k, int64_t group, int64_t scale_bytes,
                                  int64_t zero_bytes, const float *x, int64_t stride, int64_t rows, float *acc)
{
    int64_t i = 0;
    for (; rows - i >= 4; i += 4) {
        int64_t v = 0;
        for (; v + 2 <= strip; v += 2) {
            int4_rows_f32(w, strip, v, k, group, scale_bytes, zero_bytes, x + i * stride, stride,
                          acc + i * INT4_COLUMNS + v * SIMD_LANES, 4, 2);
        }
        if (v < strip) {
            int4_rows_f32(w, strip, v, k, group, scale_bytes, zero_bytes, x + i * stride, stride,
                          acc + i * INT4_COLUMNS + v * SIMD_LANES, 4, 1);
        }
    }
    for (; i < rows; i++) {
        if (strip == SIMD_STRIP) {
            int4_rows_f32(w, SIMD_STRIP, 0, k, group, scale_bytes, zero_bytes, x + i * stride, stride, acc + i * INT4_COLUMNS,
                          1, SIMD_STRIP);
        } else {
            for (int64_t v = 0; v < strip; v++) {
                int4_rows_f32(w, strip, v, k, group, scale_bytes, zero_bytes, x + i * stride, stride,
                              acc + i * INT4_COLUMNS + v * SIMD_LANES, 1, 1);
            }
        }
    }
}

static inline void int4_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t group, int64_t scale_bytes,
                                 int64_t zero_bytes, int64_t column, const float *x, int64_t stride, int64_t rows,
                                 float acc[][INT4_COLUMNS])
{
    const int64_t vectors = (n + 15) / 16 * 16 / SIMD_LANES, begin = column / SIMD_LANES;
    const int64_t vector_bytes = (k + 7) / 8 * SIMD_BYTES + k / group * SIMD_LANES * (scale_bytes + zero_bytes);
    for (int64_t vector = begin; vector < begin + INT4_COLUMNS / SIMD_LANES && vector < vectors; vector += SIMD_STRIP) {
        const int64_t strip = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        int4_strip_f32(packed + vector * vector_bytes, strip, k, group, scale_bytes, zero_bytes, x, stride, rows,
                       &acc[0][(vector - begin) * SIMD_LANES]);
    }
}
#endif

/*
 * Products of float32 matrices, a tile at a time:
 *
 *     acc[i][j] = sum over t < k of x[i * row + t * step] * w(t, column + j)        0 <= i < rows, column + j < n
 *
 * `f32_tile` takes weights that `f32_pack` or `f32_pack_columns` has packed; `f32_tile_direct` takes a matrix
 * w[t * pitch + j] as it lies; `f32_tile_offsets` one whose rows t begin at w + offsets[t].
 *
 * rows is at most F32_ROWS, column a multiple of F32_COLUMNS. Elements of acc beyond n columns may hold anything. Nothing
 * beyond the operands is read, and nothing need be aligned. Sums are taken in float32, in an order that depends on the
 * sizes only.
 */
#define F32_COLUMNS 64
#define F32_ROWS 48
/* Of packed weights, in floats, in every build: columns are rounded up. */
#define F32_PACKED_FLOATS(n, k) (((n) + 15) / 16 * 16 * (k))

/* Any tile, without vectors. `offsets` may be null: then row t of w begins at t * pitch. */
static inline void f32_tile_plain(const float *w, int64_t pitch, const int32_t *offsets, int64_t n, int64_t k, const float *x,
                                  int64_t row, int64_t step, int64_t rows, float acc[][F32_COLUMNS])
{
    for (int64_t i = 0; i < rows; i++) {
        float sum[F32_COLUMNS] = {0};
        for (int64_t t = 0; t < k; t++) {
            const float *from = w + (offsets ? offsets[t] : t * pitch);
            const float factor = x[i * row + t * step];
            for (int64_t j = 0; j < n; j++) {
                sum[j] += factor * from[j];
            }
        }
        memcpy(acc[i], sum, (size_t)n * sizeof *sum);
    }
}

#if defined(F32_PLAIN)
/* Packed weights are blocks of F32_COLUMNS columns; block after block, and in a block row after row. */
#define F32_STRIP F32_COLUMNS
#else
/*
 * Adds k steps to `rows` rows and `width` vectors of sums, which stay in registers. `last` is where the last vector begins:
 * it may overlap the one before. `more` says that acc has sums already.
 */
F32_INLINE void f32_block(const float *w, int64_t pitch, const int32_t *offsets, int64_t last, int64_t k, const float *x,
                          int64_t row, int64_t step, float *acc, bool more, const int rows, const int width)
{
    f32_vector sum[6][F32_WIDTH];
    F32_UNROLL
    for (int i = 0; i < rows; i++) {
        F32_UNROLL
        for (int v = 0; v < width; v++) {
            sum[i][v] = more ? f32_load(acc + i * F32_COLUMNS + (v == width - 1 ? last : v * F32_LANES)) : f32_set(0);
        }
    }
    const float *lower = rows > 3 ? x + 3 * row : x;
    for (int64_t t = 0; t < k; t++) {
        const float *from = w + (offsets ? offsets[t] : t * pitch);
        f32_vector weights[F32_WIDTH];
        F32_UNROLL
        for (int v = 0; v < width; v++) {
            weights[v] = f32_load(from + (v == width - 1 ? last : v * F32_LANES));
        }
        F32_UNROLL
        for (int i = 0; i < rows; i++) {
            const f32_vector factor = f32_set(i < 3 ? x[i * row + t * step] : lower[(i - 3) * row + t * step]);
            F32_UNROLL
            for (int v = 0; v < width; v++) {
                sum[i][v] = f32_fma(factor, weights[v], sum[i][v]);
            }
        }
    }
    F32_UNROLL
    for (int i = 0; i < rows; i++) {
        F32_UNROLL
        for (int v = 0; v < width; v++) {
            f32_store(acc + i * F32_COLUMNS + (v == width - 1 ? last : v * F32_LANES), sum[i][v]);
        }
    }
}

/* One row: several sums for each vector, so that additions need not wait for each other. */
F32_INLINE void f32_one(const float *w, int64_t pitch, const int32_t *offsets, int64_t last, int64_t k, const float *x,
                        int64_t step, float *acc, bool more, const int width)
{
    const int chains = width > 2 ? 2 : 4;
    f32_vector sum[4][F32_WIDTH];
    F32_UNROLL
    for (int v = 0; v < width; v++) {
        sum[0][v] = more ? f32_load(acc + (v == width - 1 ? last : v * F32_LANES)) : f32_set(0);
        sum[1][v] = sum[2][v] = sum[3][v] = f32_set(0);
    }
    int64_t t = 0;
    for (; t + chains <= k; t += chains) {
        F32_UNROLL
        for (int chain = 0; chain < chains; chain++) {
            const float *from = w + (offsets ? offsets[t + chain] : (t + chain) * pitch);
            const f32_vector factor = f32_set(x[(t + chain) * step]);
            F32_UNROLL
            for (int v = 0; v < width; v++) {
                if (!offsets && v * F32_LANES % 16 == 0) {
                    F32_PREFETCH(from + v * F32_LANES);
                }
                sum[chain][v] = f32_fma(factor, f32_load(from + (v == width - 1 ? last : v * F32_LANES)), sum[chain][v]);
            }
        }
    }
    for (; t < k; t++) {
        const float *from = w + (offsets ? offsets[t] : t * pitch);
        const f32_vector factor = f32_set(x[t * step]);
        F32_UNROLL
        for (int v = 0; v < width; v++) {
            sum[0][v] = f32_fma(factor, f32_load(from + (v == width - 1 ? last : v * F32_LANES)), sum[0][v]);
        }
    }
    F32_UNROLL
    for (int v = 0; v < width; v++) {
        const f32_vector low = f32_add(sum[0][v], sum[1][v]), high = f32_add(sum[2][v], sum[3][v]);
        f32_store(acc + (v == width - 1 ? last : v * F32_LANES), f32_add(low, high));
    }
}

/* All rows of one strip: six at a time; what remains in equal parts. */
F32_INLINE void f32_strip(const float *w, int64_t pitch, const int32_t *offsets, int64_t last, int64_t k, const float *x,
                          int64_t row, int64_t step, int64_t rows, float *acc, bool more, const int width)
{
    while (rows > 0) {
        const int64_t count = rows > 12 || rows == 6 ? 6 : rows > 6 ? (rows + 1) / 2 : rows;
        switch (count) {
        case 6: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 6, width); break;
        case 5: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 5, width); break;
        case 4: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 4, width); break;
        case 3: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 3, width); break;
        case 2: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 2, width); break;
        default: f32_one(w, pitch, offsets, last, k, x, step, acc, more, width); break;
        }
        rows -= count;
        x += count * row;
        acc += count * F32_COLUMNS;
    }
}

/*
 * All strips of a tile of n <= F32_COLUMNS columns. Where a step leads from strip to strip, w is packed and its last vector full;
 * else the last vector begins where it must to end with column n. The sum is cut so that F32_DEPTH steps of a strip and of
 * six rows stay in the caches.
 */
#define F32_DEPTH 1024
F32_INLINE void f32_tile_any(const float *w, int64_t strip_pitch, int64_t pitch, const int32_t *offsets, int64_t n, int64_t k,
                             const float *x, int64_t row, int64_t step, int64_t rows, float acc[][F32_COLUMNS], const bool packed)
{
    if (k <= 0) {
        memset(acc, 0, (size_t)rows * sizeof *acc);
        return;
    }
    for (int64_t begin = 0; begin < k; begin += F32_DEPTH) {
        const int64_t depth = k - begin < F32_DEPTH ? k - begin : F32_DEPTH;
        for (int64_t strip = 0; strip * F32_STRIP < n; strip++) {
            const int64_t rest = n - strip * F32_STRIP < F32_STRIP ? n - strip * F32_STRIP : F32_STRIP;
            const int64_t width = (rest + F32_LANES - 1) / F32_LANES;
            const int64_t last = packed ? (width - 1) * F32_LANES : rest - F32_LANES;
            const int64_t line = packed ? width * F32_LANES : pitch;
            const float *from = w + strip * strip_pitch + (offsets ? 0 : begin * line);
            const int32_t *places = offsets ? offsets + begin : offsets;
            const float *factors = x + begin * step;
            float *sums = &acc[0][0] + strip * F32_STRIP;
            const bool more = begin > 0;
            switch (width) {
#if F32_WIDTH == 4
            case 4: f32_strip(from, line, places, last, depth, factors, row, step, rows, sums, more, 4); break;
            case 3: f32_strip(from, line, places, last, depth, factors, row, step, rows, sums, more, 3); break;
#endif
            case 2: f32_strip(from, line, places, last, depth, factors, row, step, rows, sums, more, 2); break;
            default: f32_strip(from, line, places, last, depth, factors, row, step, rows, sums, more, 1); break;
            }
        }
    }
}
#endif

/* Packs columns of w, where column j of row t is weight[j * column + t * line]. */
static inline void f32_pack_strided(const float *weight, int64_t column, int64_t line, int64_t n, int64_t k, float *packed)
{
    const int64_t padded = (n + 15) / 16 * 16;
    for (int64_t begin = 0; begin < padded; begin += F32_STRIP) {
        const int64_t width = padded - begin < F32_STRIP ? padded - begin : F32_STRIP;
        for (int64_t t = 0; t < k; t++) {
            for (int64_t j = begin; j < begin + width; j++) {
                *packed++ = j < n ? weight[j * column + t * line] : 0;
            }
        }
    }
}

/* Packs weight[n, k], whose rows lie `stride` apart: the right operand of x @ weight.T. */
static inline void f32_pack(const float *weight, int64_t stride, int64_t n, int64_t k, float *packed)
{
    f32_pack_strided(weight, stride, 1, n, k, packed);
}

/* Packs weight[k, n], whose rows lie `stride` apart: the right operand of x @ weight. */
static inline void f32_pack_columns(const float *weight, int64_t stride, int64_t n, int64_t k, float *packed)
{
    f32_pack_strided(weight, 1, stride, n, k, packed);
}

static inline void f32_tile(const float *packed, int64_t n, int64_t k, int64_t column, const float *x, int64_t row, int64_t step,
                            int64_t rows, float acc[][F32_COLUMNS])
{
    const int64_t columns = n - column < F32_COLUMNS ? n - column : F32_COLUMNS;
#if defined(F32_PLAIN)
    const int64_t pitch = (columns + 15) / 16 * 16;
    f32_tile_plain(packed + column * k, pitch, NULL, columns, k, x, row, step, rows, acc);
#else
    const int64_t padded = (columns + 15) / 16 * 16;
    f32_tile_any(packed + column * k, F32_STRIP * k, 0, NULL, padded, k, x, row, step, rows, acc, true);
#endif
}

/* w is the first of n <= F32_COLUMNS columns of a matrix whose rows lie `pitch` apart. */
static inline void f32_tile_direct(const float *w, int64_t pitch, int64_t n, int64_t k, const float *x, int64_t row, int64_t step,
                                   int64_t rows, float acc[][F32_COLUMNS])
{
#if !defined(F32_PLAIN)
    if (n >= F32_LANES) {
        f32_tile_any(w, F32_STRIP, pitch, NULL, n, k, x, row, step, rows, acc, false);
        return;
    }
#endif
    f32_tile_plain(w, pitch, NULL, n, k, x, row, step, rows, acc);
}

/* As `f32_tile_direct`, where row t of w begins at w + offsets[t]. */
static inline void f32_tile_offsets(const float *w, const int32_t *offsets, int64_t n, int64_t k, const float *x, int64_t row,
                                    int64_t rows, float acc[][F32_COLUMNS])
{
#if !defined(F32_PLAIN)
    if (n >= F32_LANES) {
        f32_tile_any(w, F32_STRIP, 0, offsets, n, k, x, row, 1, rows, acc, false);
        return;
    }
#endif
    f32_tile_plain(w, 0, offsets, n, k, x, row, 1, rows, acc);
}

/* y[j] = sum over t < k of x[t] * weight[j * stride + t] for j < n: one row by a matrix [n, k] that is not packed. */
static inline void f32_dots(const float *weight, int64_t stride, int64_t n, int64_t k, const float *x, float *y)
{
    for (int64_t j = 0; j < n; j++) {
        const float *w = weight + j * stride;
        float sum = 0;
        int64_t t = 0;
#if !defined(F32_PLAIN)
        f32_vector part[4] = {f32_set(0), f32_set(0), f32_set(0), f32_set(0)};
        for (; t + 4 * F32_LANES <= k; t += 4 * F32_LANES) {
            F32_UNROLL
            for (int v = 0; v < 4; v++) {
                part[v] = f32_fma(f32_load(x + t + v * F32_LANES), f32_load(w + t + v * F32_LANES), part[v]);
            }
        }
        for (; t + F32_LANES <= k; t += F32_LANES) {
            part[0] = f32_fma(f32_load(x + t), f32_load(w + t), part[0]);
        }
        sum = f32_across(f32_add(f32_add(part[0], part[1]), f32_add(part[2], part[3])));
#endif
        for (; t < k; t++) {
            sum += x[t] * w[t];
        }
        y[j] = sum;
    }
}

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

#if defined(F32_PLAIN)
/* Packed weights are strips of as many columns; strip after strip, and in a strip row after row. */
#define F32_STRIP F32_COLUMNS
#endif

/* Any tile, without vectors; four rows share what is read of w. `offsets` may be null: then row t of w begins at t * pitch. */
static inline void f32_tile_plain(const float *w, int64_t pitch, const int32_t *offsets, int64_t n, int64_t k, const float *x,
                                  int64_t row, int64_t step, int64_t rows, float acc[][F32_COLUMNS])
{
    for (int64_t first = 0; first < rows; first += 4) {
        const int64_t count = rows - first < 4 ? rows - first : 4;
        float sum[4][F32_COLUMNS] = {{0}};
        for (int64_t t = 0; t < k; t++) {
            const float *from = w + (offsets ? offsets[t] : t * pitch);
            for (int64_t i = 0; i < count; i++) {
                const float factor = x[(first + i) * row + t * step];
                for (int64_t j = 0; j < n; j++) {
                    sum[i][j] += factor * from[j];
                }
            }
        }
        for (int64_t i = 0; i < count; i++) {
            memcpy(acc[first + i], sum[i], (size_t)n * sizeof **sum);
        }
    }
}

/*
 * Packs columns of w, where column j of row t is weight[j * column + t * line]. Sixteen rows at a time: of each column as many
 * elements, that may be one cache line.
 */
static inline void f32_pack_strided(const float *weight, int64_t column, int64_t line, int64_t n, int64_t k, float *packed)
{
    const int64_t padded = (n + 15) / 16 * 16;
    for (int64_t begin = 0; begin < padded; begin += F32_STRIP) {
        const int64_t width = padded - begin < F32_STRIP ? padded - begin : F32_STRIP;
        for (int64_t top = 0; top < k; top += 16) {
            const int64_t bottom = k - top < 16 ? k : top + 16;
            for (int64_t j = 0; j < width; j++) {
                for (int64_t t = top; t < bottom; t++) {
                    packed[t * width + j] = begin + j < n ? weight[(begin + j) * column + t * line] : 0;
                }
            }
        }
        packed += k * width;
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

#if defined(F32_PLAIN)
static inline void f32_tile(const float *packed, int64_t n, int64_t k, int64_t column, const float *x, int64_t row, int64_t step,
                            int64_t rows, float acc[][F32_COLUMNS])
{
    const int64_t columns = n - column < F32_COLUMNS ? n - column : F32_COLUMNS, pitch = (columns + 15) / 16 * 16;
    f32_tile_plain(packed + column * k, pitch, NULL, columns, k, x, row, step, rows, acc);
}

/* w is the first of n <= F32_COLUMNS columns of a matrix whose rows lie `pitch` apart. */
static inline void f32_tile_direct(const float *w, int64_t pitch, int64_t n, int64_t k, const float *x, int64_t row, int64_t step,
                                   int64_t rows, float acc[][F32_COLUMNS])
{
    f32_tile_plain(w, pitch, NULL, n, k, x, row, step, rows, acc);
}

/* As `f32_tile_direct`, where row t of w begins at w + offsets[t]. */
static inline void f32_tile_offsets(const float *w, const int32_t *offsets, int64_t n, int64_t k, const float *x, int64_t row,
                                    int64_t rows, float acc[][F32_COLUMNS])
{
    f32_tile_plain(w, 0, offsets, n, k, x, row, 1, rows, acc);
}

/* y[j] = sum over t < k of x[t] * weight[j * stride + t] for j < n: one row by a matrix [n, k] that is not packed. */
static inline void f32_dots(const float *weight, int64_t stride, int64_t n, int64_t k, const float *x, float *y)
{
    for (int64_t j = 0; j < n; j++) {
        float sum = 0;
        for (int64_t t = 0; t < k; t++) {
            sum += x[t] * weight[j * stride + t];
        }
        y[j] = sum;
    }
}
#endif

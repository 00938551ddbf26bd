/*
 * What float.py measures: products and convolutions in float32, called as model code calls them. Each function runs its work
 * `repeats` times and returns the shortest time in seconds.
 */
#define _POSIX_C_SOURCE 199309L
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "f32_vectors.h"
#include "f32.h"
#include "f32_simd.h"
#include "conv.h"
#include "depthwise.h"
#include "depthwise_simd.h"

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#define SHORTEST(repeats, work)                                   \
    double shortest = 1e9;                                        \
    for (int64_t repeat = 0; repeat < (repeats); repeat++) {      \
        const double start = seconds();                           \
        work;                                                     \
        const double time = seconds() - start;                    \
        shortest = time < shortest ? time : shortest;             \
    }                                                             \
    return shortest

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

void pack(const float *weight, int64_t n, int64_t k, float *packed) { f32_pack(weight, k, n, k, packed); }

/* y[m, n] = x[m, k] @ weight.T + bias */
static void linear(const float *x, const float *packed, const float *bias, float *y, int64_t m, int64_t n, int64_t k)
{
    for (int64_t column = 0; column < n; column += F32_COLUMNS) {
        for (int64_t first = 0; first < m; first += F32_ROWS) {
            float acc[F32_ROWS][F32_COLUMNS];
            const int64_t rows = least(m - first, F32_ROWS), columns = least(n - column, F32_COLUMNS);
            f32_tile(packed, n, k, column, x + first * k, k, 1, rows, acc);
            for (int64_t i = 0; i < rows; i++) {
                for (int64_t j = 0; j < columns; j++) {
                    y[(first + i) * n + column + j] = acc[i][j] + bias[column + j];
                }
            }
        }
    }
}

/* `copies` copies of the weights in turn, so that they come from memory. */
double time_linear(const float *x, const float *packed, const float *bias, float *y, int64_t m, int64_t n, int64_t k,
                   int64_t copies, int64_t repeats)
{
    SHORTEST(repeats, linear(x, packed + repeat % copies * F32_PACKED_FLOATS(n, k), bias, y, m, n, k));
}

/* scores[t, s] = q[t, d] @ key[s, d].T: of few rows each is a dot product, for many a block of keys is packed. */
static void score(const float *q, const float *key, float *scores, float *scratch, int64_t t, int64_t s, int64_t d)
{
    for (int64_t i = 0; t < 4 && i < t; i++) {
        f32_dots(key, d, s, d, q + i * d, scores + i * s);
    }
    for (int64_t column = 0; t >= 4 && column < s; column += F32_COLUMNS) {
        const int64_t columns = least(s - column, F32_COLUMNS);
        f32_pack(key + column * d, d, columns, d, scratch);
        for (int64_t first = 0; first < t; first += F32_ROWS) {
            float acc[F32_ROWS][F32_COLUMNS];
            const int64_t rows = least(t - first, F32_ROWS);
            f32_tile(scratch, columns, d, 0, q + first * d, d, 1, rows, acc);
            for (int64_t i = 0; i < rows; i++) {
                for (int64_t j = 0; j < columns; j++) {
                    scores[(first + i) * s + column + j] = acc[i][j];
                }
            }
        }
    }
}

/* result[t, d] = scores[t, s] @ value[s, d] */
static void weigh(const float *scores, const float *value, float *result, int64_t t, int64_t s, int64_t d)
{
    for (int64_t column = 0; column < d; column += F32_COLUMNS) {
        const int64_t columns = least(d - column, F32_COLUMNS);
        for (int64_t first = 0; first < t; first += F32_ROWS) {
            float acc[F32_ROWS][F32_COLUMNS];
            const int64_t rows = least(t - first, F32_ROWS);
            f32_tile_direct(value + column, d, columns, s, scores + first * s, s, 1, rows, acc);
            for (int64_t i = 0; i < rows; i++) {
                for (int64_t j = 0; j < columns; j++) {
                    result[(first + i) * d + column + j] = acc[i][j];
                }
            }
        }
    }
}

double time_attention(const float *q, const float *key, const float *value, float *scores, float *result, float *scratch,
                      int64_t heads, int64_t t, int64_t s, int64_t d, int64_t repeats)
{
    SHORTEST(repeats, for (int64_t head = 0; head < heads; head++) {
        score(q + head * t * d, key + head * s * d, scores, scratch, t, s, d);
        weigh(scores, value + head * s * d, result + head * t * d, t, s, d);
    });
}

static void convolve(conv2d shape, int64_t groups, int64_t outputs, const float *x, const float *weight, const float *bias,
                     float *y, int32_t *offsets, float *scratch)
{
    const conv2d plan = conv2d_plan(shape);
    const int64_t area = plan.out_height * plan.out_width;
    conv2d_offsets(&plan, offsets);
    for (int64_t group = 0; group < groups; group++) {
        const float *image = x + group * shape.channels * shape.height * shape.width;
        for (int64_t band = 0; band < plan.out_height; band += plan.band_rows) {
            const float *from = conv2d_band(&plan, image, band, scratch);
            for (int64_t block = 0; block < conv2d_blocks(&plan, band); block++) {
                const conv2d_block at = conv2d_block_at(&plan, band, block);
                for (int64_t o = group * outputs; o < (group + 1) * outputs; o += F32_ROWS) {
                    float acc[F32_ROWS][F32_COLUMNS];
                    const int64_t rows = least((group + 1) * outputs - o, F32_ROWS);
                    conv2d_tile(&plan, offsets, from, at, weight + o * plan.depth, rows, acc);
                    for (int64_t i = 0; i < rows; i++) {
                        for (int64_t j = 0; j < at.count; j++) {
                            y[(o + i) * area + at.position + j] = acc[i][j] + bias[o + i];
                        }
                    }
                }
            }
        }
    }
}

static void convolve_each(const depthwise *shape, int64_t channels, const float *x, const float *weight, const float *bias,
                          float *y)
{
    const int64_t reach_y = (shape->kernel_height - 1) * shape->dilation_y, reach_x = (shape->kernel_width - 1) * shape->dilation_x;
    const int64_t height = (shape->height + 2 * shape->padding_y - reach_y - 1) / shape->stride_y + 1;
    const int64_t width = (shape->width + 2 * shape->padding_x - reach_x - 1) / shape->stride_x + 1;
    for (int64_t c = 0; c < channels; c++) {
        const float *image = x + c * shape->height * shape->width;
        const float *taps = weight + c * shape->kernel_height * shape->kernel_width;
        for (int64_t row = 0; row < height; row += F32_ROWS) {
            for (int64_t column = 0; column < width; column += F32_COLUMNS) {
                float acc[F32_ROWS][F32_COLUMNS];
                const int64_t rows = least(height - row, F32_ROWS), columns = least(width - column, F32_COLUMNS);
                depthwise_tile(shape, image, taps, row, rows, column, columns, acc);
                for (int64_t i = 0; i < rows; i++) {
                    for (int64_t j = 0; j < columns; j++) {
                        y[(c * height + row + i) * width + column + j] = acc[i][j] + bias[c];
                    }
                }
            }
        }
    }
}

int64_t conv_scratch(const int64_t *size)
{
    const conv2d plan = conv2d_plan((conv2d){size[0], size[1], size[2], size[3], size[4], size[5], size[6], size[7], size[8],
                                             size[9], size[10], 0, 0, 0, false, 0, 0, 0, 0, 0, 0});
    return conv2d_scratch_floats(&plan);
}

/* size: the first eleven members of conv2d; outputs of a group. */
double time_conv(const int64_t *size, int64_t groups, int64_t outputs, const float *x, const float *weight, const float *bias,
                 float *y, int32_t *offsets, float *scratch, int64_t repeats)
{
    const conv2d shape = {size[0], size[1], size[2], size[3], size[4], size[5], size[6], size[7], size[8],
                          size[9], size[10], 0, 0, 0, false, 0, 0, 0, 0, 0, 0};
    SHORTEST(repeats, convolve(shape, groups, outputs, x, weight, bias, y, offsets, scratch));
}

/* size: the members of depthwise. */
double time_depthwise(const int64_t *size, int64_t channels, const float *x, const float *weight, const float *bias, float *y,
                      int64_t repeats)
{
    const depthwise shape = {size[0], size[1], size[2], size[3], size[4], size[5], size[6], size[7], size[8], size[9]};
    SHORTEST(repeats, convolve_each(&shape, channels, x, weight, bias, y));
}

/* y[n, places] = weight[n, k] @ x[k, places], for few places: rows are places, so that vectors are full of outputs. */
static void pointwise(const float *x, const float *packed, const float *bias, float *y, int64_t places, int64_t n, int64_t k)
{
    for (int64_t column = 0; column < n; column += F32_COLUMNS) {
        for (int64_t first = 0; first < places; first += F32_ROWS) {
            float acc[F32_ROWS][F32_COLUMNS];
            const int64_t rows = least(places - first, F32_ROWS), columns = least(n - column, F32_COLUMNS);
            f32_tile(packed, n, k, column, x + first, 1, places, rows, acc);
            for (int64_t j = 0; j < columns; j++) {
                for (int64_t i = 0; i < rows; i++) {
                    y[(column + j) * places + first + i] = acc[i][j] + bias[column + j];
                }
            }
        }
    }
}

double time_pointwise(const float *x, const float *packed, const float *bias, float *y, int64_t places, int64_t n, int64_t k,
                      int64_t repeats)
{
    SHORTEST(repeats, pointwise(x, packed, bias, y, places, n, k));
}

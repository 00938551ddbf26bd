/*
 * Every float32 kernel against loops in double: random shapes with tails, infinities, NaN and subnormals, memory without a byte
 * to spare; and every function of f32_math.h over all magnitudes. Built once for each instruction set. Arguments: the number
 * of random shapes for each kernel, and the step through the bits of floats.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "f32_vectors.h"

#include "f32.h"
#include "f32_simd.h"
#include "conv.h"
#include "depthwise.h"
#include "depthwise_simd.h"
#include "f32_math.h"
#include "f32_rows.h"

static uint64_t state = 88172645463325252u;

/* From low to high, both included. */
static int64_t between(int64_t low, int64_t high)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return low + (int64_t)(state >> 11) % (high - low + 1);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static float uniform(void) { return (float)between(-1000000, 1000000) * 1e-6f; }

static int64_t checked;

/* The exact sum, and the sum of magnitudes that its error is measured by. */
typedef struct {
    double sum, magnitude;
} Exact;

static void add(Exact *exact, float a, float b)
{
    exact->sum += (double)a * (double)b;
    exact->magnitude += fabs((double)a * (double)b);
}

static void expect(const char *what, int64_t i, int64_t j, float found, Exact exact, int64_t terms)
{
    checked++;
    const double allowed = exact.magnitude * 6e-8 * (double)(terms + 2) + 1.5e-45 * (double)terms;
    const bool same = isnan(exact.sum) ? isnan(found) != 0
                      : isinf(exact.sum) ? (double)found == exact.sum
                                         : fabs((double)found - exact.sum) <= allowed;
    if (!same) {
        printf("%s: [%lld][%lld] is %.9g instead of %.9g\n", what, (long long)i, (long long)j, (double)found, exact.sum);
        exit(1);
    }
}

static void require(bool holds, const char *what)
{
    checked++;
    if (!holds) {
        printf("%s\n", what);
        exit(1);
    }
}

/* Memory for exactly `count` elements, so that a sanitizer sees what is read beside it, 4 bytes from a multiple of 64. */
typedef struct {
    char *memory;
    float *start;
} Buffer;

static Buffer buffer(int64_t count)
{
    const size_t bytes = (size_t)count * sizeof(float);
    Buffer made;
    made.memory = malloc(bytes + 132);
    if (!made.memory) {
        exit(2);
    }
    free(made.memory);
    /* Glibc gives multiples of 16: 4 bytes further is as unaligned as floats can be. */
    made.memory = malloc(bytes + 4);
    if (!made.memory) {
        exit(2);
    }
    made.start = (float *)(void *)(made.memory + 4);
    return made;
}

static Buffer numbers(int64_t count)
{
    const Buffer made = buffer(count);
    for (int64_t i = 0; i < count; i++) {
        made.start[i] = uniform();
    }
    return made;
}

/* Now and then an element that is no ordinary number. */
static void spoil(float *x, int64_t count)
{
    static const float odd[] = {INFINITY, -INFINITY, NAN, 0.0f, -0.0f, 1e-40f, -3e-45f};
    for (int64_t i = between(1, 3); count > 0 && i > 0; i--) {
        x[between(0, count - 1)] = odd[between(0, 6)];
    }
}

#define GUARD 12345.0f

static void check_products(int64_t turn)
{
    const int64_t m = between(0, F32_ROWS), n = between(1, 200), k = turn % 10 == 9 ? between(1020, 2060) : between(0, 70);
    const int64_t x_stride = k + between(0, 3), w_stride = k + between(0, 3), t_stride = n + between(0, 3);
    const Buffer x = numbers(m * x_stride), w = numbers(n * w_stride), flipped = numbers(k * t_stride), turned = numbers(k * (m + 1));
    if (turn % 3 == 0) {
        spoil(x.start, m * x_stride);
        spoil(w.start, n * w_stride);
    }
    for (int64_t t = 0; t < k; t++) {
        for (int64_t j = 0; j < n; j++) {
            flipped.start[t * t_stride + j] = w.start[j * w_stride + t];
        }
        for (int64_t i = 0; i < m; i++) {
            turned.start[t * (m + 1) + i] = x.start[i * x_stride + t];
        }
    }
    /* The last row of a matrix ends with its last element, not with its stride. */
    const int64_t flipped_count = k > 0 ? (k - 1) * t_stride + n : 0;
    const Buffer tight = buffer(flipped_count), packed = buffer(F32_PACKED_FLOATS(n, k)), also = buffer(F32_PACKED_FLOATS(n, k));
    memcpy(tight.start, flipped.start, (size_t)flipped_count * sizeof(float));
    f32_pack(w.start, w_stride, n, k, packed.start);
    f32_pack_columns(flipped.start, t_stride, n, k, also.start);
    require(memcmp(packed.start, also.start, (size_t)F32_PACKED_FLOATS(n, k) * sizeof(float)) == 0, "f32_pack_columns");
    int32_t *offsets = malloc(((size_t)k + 1) * sizeof *offsets);
    if (!offsets) {
        exit(2);
    }
    for (int64_t t = 0; t < k; t++) {
        offsets[t] = (int32_t)(t * t_stride);
    }
    for (int64_t column = 0; column < n; column += F32_COLUMNS) {
        static float acc[5][F32_ROWS + 1][F32_COLUMNS];
        for (int64_t kind = 0; kind < 5; kind++) {
            for (int64_t j = 0; j < F32_COLUMNS; j++) {
                acc[kind][m][j] = GUARD;
            }
        }
        const int64_t columns = least(n - column, F32_COLUMNS);
        f32_tile(packed.start, n, k, column, x.start, x_stride, 1, m, acc[0]);
        f32_tile(also.start, n, k, column, turned.start, 1, m + 1, m, acc[1]);
        f32_tile_direct(tight.start + column, t_stride, columns, k, x.start, x_stride, 1, m, acc[2]);
        f32_tile_direct(tight.start + column, t_stride, columns, k, turned.start, 1, m + 1, m, acc[3]);
        f32_tile_offsets(tight.start + column, offsets, columns, k, x.start, x_stride, m, acc[4]);
        for (int64_t i = 0; i < m; i++) {
            for (int64_t j = 0; j < columns; j++) {
                Exact exact = {0, 0};
                for (int64_t t = 0; t < k; t++) {
                    add(&exact, x.start[i * x_stride + t], w.start[(column + j) * w_stride + t]);
                }
                for (int64_t kind = 0; kind < 5; kind++) {
                    static const char *const names[] = {"f32_tile", "f32_tile, x turned", "f32_tile_direct",
                                                        "f32_tile_direct, x turned", "f32_tile_offsets"};
                    expect(names[kind], i, column + j, acc[kind][i][j], exact, k);
                }
            }
            require(memcmp(acc[0][i], acc[1][i], (size_t)columns * sizeof(float)) == 0 || turn % 3 == 0, "f32_tile: other bits");
        }
        for (int64_t kind = 0; kind < 5; kind++) {
            for (int64_t j = 0; j < F32_COLUMNS; j++) {
                require(acc[kind][m][j] == GUARD, "a tile writes behind its rows");
            }
        }
    }
    const Buffer y = buffer(n);
    if (m > 0) {
        f32_dots(w.start, w_stride, n, k, x.start, y.start);
        for (int64_t j = 0; j < n; j++) {
            Exact exact = {0, 0};
            for (int64_t t = 0; t < k; t++) {
                add(&exact, x.start[t], w.start[j * w_stride + t]);
            }
            expect("f32_dots", 0, j, y.start[j], exact, k);
        }
    }
    free(offsets);
    free(x.memory), free(w.memory), free(flipped.memory), free(turned.memory), free(tight.memory), free(packed.memory);
    free(also.memory), free(y.memory);
}

/* A random window: what conv2d and depthwise have in common. */
static conv2d window(int64_t channels)
{
    conv2d shape;
    memset(&shape, 0, sizeof shape);
    const bool is_wide = between(0, 3) == 0, is_flat = between(0, 4) == 0;
    shape.channels = channels;
    shape.height = is_flat ? 1 : between(1, 30);
    shape.width = is_wide ? between(60, 150) : between(1, 30);
    const int64_t most = between(0, 2) == 0 ? 1 : 5;
    shape.kernel_height = is_flat ? 1 : between(1, most);
    shape.kernel_width = between(0, 1) == 0 && !is_flat ? shape.kernel_height : between(1, most);
    shape.stride_y = between(1, 3);
    shape.stride_x = between(0, 3) == 0 ? between(1, 3) : shape.stride_y;
    const bool is_dilated = between(0, 3) == 0;
    shape.dilation_y = is_dilated ? between(1, 3) : 1;
    shape.dilation_x = is_dilated ? between(1, 3) : 1;
    shape.padding_y = is_flat ? 0 : between(0, 3);
    shape.padding_x = between(0, 3);
    while ((shape.kernel_height - 1) * shape.dilation_y >= shape.height + 2 * shape.padding_y) {
        shape.kernel_height--;
    }
    while ((shape.kernel_width - 1) * shape.dilation_x >= shape.width + 2 * shape.padding_x) {
        shape.kernel_width--;
    }
    return shape;
}

/* Output (y, x) of a channel's part of a window. */
static void add_window(Exact *exact, const conv2d *shape, const float *image, const float *weight, int64_t y, int64_t x)
{
    for (int64_t tap_y = 0; tap_y < shape->kernel_height; tap_y++) {
        for (int64_t tap_x = 0; tap_x < shape->kernel_width; tap_x++) {
            const int64_t at_y = y * shape->stride_y + tap_y * shape->dilation_y - shape->padding_y;
            const int64_t at_x = x * shape->stride_x + tap_x * shape->dilation_x - shape->padding_x;
            if (at_y >= 0 && at_y < shape->height && at_x >= 0 && at_x < shape->width) {
                add(exact, image[at_y * shape->width + at_x], weight[tap_y * shape->kernel_width + tap_x]);
            }
        }
    }
}

static void check_conv(void)
{
    const int64_t outputs = between(1, 60);
    const conv2d shape = window(between(1, 20)), plan = conv2d_plan(shape);
    const int64_t area = shape.height * shape.width, taps = shape.kernel_height * shape.kernel_width;
    const int64_t height = (shape.height + 2 * shape.padding_y - (shape.kernel_height - 1) * shape.dilation_y - 1) / shape.stride_y + 1;
    const int64_t width = (shape.width + 2 * shape.padding_x - (shape.kernel_width - 1) * shape.dilation_x - 1) / shape.stride_x + 1;
    require(plan.out_height * plan.out_width == height * width, "conv2d_plan: size of the result");
    const Buffer x = numbers(shape.channels * area), weight = numbers(outputs * plan.depth);
    const Buffer scratch = buffer(conv2d_scratch_floats(&plan)), y = buffer(outputs * height * width);
    if (between(0, 2) == 0) {
        spoil(x.start, shape.channels * area);
    }
    int32_t *offsets = malloc((size_t)CONV2D_OFFSETS(shape.channels, shape.kernel_height, shape.kernel_width) * sizeof *offsets);
    bool *written = calloc((size_t)(outputs * height * width), sizeof *written);
    if (!offsets || !written) {
        exit(2);
    }
    conv2d_offsets(&plan, offsets);
    for (int64_t band = 0; band < plan.out_height; band += plan.band_rows) {
        const float *from = conv2d_band(&plan, x.start, band, scratch.start);
        for (int64_t block = 0; block < conv2d_blocks(&plan, band); block++) {
            const conv2d_block at = conv2d_block_at(&plan, band, block);
            for (int64_t o = 0; o < outputs; o += F32_ROWS) {
                float acc[F32_ROWS][F32_COLUMNS];
                const int64_t rows = least(outputs - o, F32_ROWS);
                conv2d_tile(&plan, offsets, from, at, weight.start + o * plan.depth, rows, acc);
                for (int64_t i = 0; i < rows; i++) {
                    for (int64_t j = 0; j < at.count; j++) {
                        const int64_t place = (o + i) * height * width + at.position + j;
                        require(!written[place], "conv2d: an output is computed twice");
                        written[place] = true;
                        y.start[place] = acc[i][j];
                    }
                }
            }
        }
    }
    for (int64_t place = 0; place < outputs * height * width; place++) {
        const int64_t o = place / (height * width), at = place % (height * width);
        require(written[place], "conv2d: an output is left out");
        Exact exact = {0, 0};
        for (int64_t channel = 0; channel < shape.channels; channel++) {
            add_window(&exact, &shape, x.start + channel * area, weight.start + o * plan.depth + channel * taps, at / width, at % width);
        }
        /* Zeros of the padding times a weight are zeros, but the weights here are finite. */
        expect("conv2d", o, at, y.start[place], exact, plan.depth);
    }
    free(offsets), free(written), free(x.memory), free(weight.memory), free(scratch.memory), free(y.memory);
}

static void check_depthwise(void)
{
    const conv2d shape = window(1), plan = conv2d_plan(shape);
    const bool is_row = shape.height * shape.width == plan.width && plan.height == 1;
    const int64_t width = is_row ? shape.width : plan.out_width, height = is_row ? shape.height : plan.out_height;
    const depthwise at = {shape.height,   shape.width,     shape.kernel_height, shape.kernel_width, shape.stride_y,
                          shape.stride_x, shape.padding_y, shape.padding_x,     shape.dilation_y,   shape.dilation_x};
    const Buffer x = numbers(shape.height * shape.width), weight = numbers(shape.kernel_height * shape.kernel_width);
    if (between(0, 2) == 0) {
        spoil(x.start, shape.height * shape.width);
    }
    for (int64_t row = 0; row < height; row += F32_ROWS) {
        for (int64_t column = 0; column < width; column += F32_COLUMNS) {
            float acc[F32_ROWS][F32_COLUMNS];
            const int64_t rows = least(height - row, F32_ROWS), columns = least(width - column, F32_COLUMNS);
            depthwise_tile(&at, x.start, weight.start, row, rows, column, columns, acc);
            for (int64_t i = 0; i < rows; i++) {
                for (int64_t j = 0; j < columns; j++) {
                    Exact exact = {0, 0};
                    add_window(&exact, &shape, x.start, weight.start, row + i, column + j);
                    expect("depthwise", row + i, column + j, acc[i][j], exact, shape.kernel_height * shape.kernel_width);
                }
            }
        }
    }
    free(x.memory), free(weight.memory);
}

typedef struct {
    const char *name;
    float (*found)(float);
    double (*exact)(double);
} Function;

static double exact_sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

static void check_value(const Function *function, float x)
{
    const float found = function->found(x);
    const double exact = function->exact((double)x);
    const float rounded = (float)exact;
    checked++;
    int exponent;
    (void)frexp(exact, &exponent);
    const double unit = ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
    const bool same = isnan(rounded) ? isnan(found) != 0
                      : isinf(rounded) || rounded == 0 || isinf(found)
                          ? found == rounded && signbit(found) == signbit(rounded)
                          : fabs((double)found - exact) <= 2 * unit;
    /* Where the exact value is less than half of the smallest float, that float or zero is as near as can be asked for. */
    if (!same && !(fabs(exact) < 1.5e-45 && fabsf(found) < 3e-45f && rounded == 0 && signbit(found) == signbit(rounded))) {
        printf("%s(%.9g) is %.9g instead of %.12g\n", function->name, (double)x, (double)found, exact);
        exit(1);
    }
}

static void check_functions(uint64_t step)
{
    static const Function functions[] = {{"exp", f32_exp, exp},    {"log", f32_log, log}, {"sigmoid", f32_sigmoid, exact_sigmoid},
                                         {"tanh", f32_tanh, tanh}, {"erf", f32_erf, erf}, {"sin", f32_sin, sin},
                                         {"cos", f32_cos, cos}};
    static const float odd[] = {0.0f,       -0.0f,       INFINITY, -INFINITY, NAN,     1e-45f,   -1e-45f,   1.17549435e-38f,
                                88.7228394f, 88.72284f,   -103.97f, -104.1f,   -87.33f, 3.4e38f, -3.4e38f, 1.0f};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        for (size_t j = 0; j < sizeof odd / sizeof *odd; j++) {
            check_value(&functions[i], odd[j]);
        }
        for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += step) {
            check_value(&functions[i], f32_of_bits((uint32_t)bits));
        }
    }
}

static void check_rows(void)
{
    const int64_t n = between(0, 300);
    const Buffer x = numbers(n), y = buffer(n);
    double sum = 0, squares = 0, total = 0;
    float most = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        x.start[i] *= 30;
        sum += (double)x.start[i];
        squares += ((double)x.start[i] - 0.5) * ((double)x.start[i] - 0.5);
        most = x.start[i] > most ? x.start[i] : most;
    }
    require(fabs(f32_sum(x.start, n) - sum) <= 1e-10, "f32_sum");
    require(fabs(f32_sum_squares(x.start, n, 0.5) - squares) <= 1e-8, "f32_sum_squares");
    require(f32_max(x.start, n) == most, "f32_max");
    f32_softmax(x.start, y.start, n);
    for (int64_t i = 0; i < n; i++) {
        total += exp((double)x.start[i] - (double)most);
    }
    for (int64_t i = 0; i < n; i++) {
        const double exact = exp((double)x.start[i] - (double)most) / total;
        /* The difference is rounded before exp sees it. */
        require(fabs((double)y.start[i] - exact) <= 5e-6 * exact + 1e-45, "f32_softmax");
    }
    f32_softmax(x.start, x.start, n);
    require(memcmp(x.start, y.start, (size_t)n * sizeof(float)) == 0, "f32_softmax in place");
    if (n > 0) {
        x.start[between(0, n - 1)] = -INFINITY;
        require(f32_max(x.start, n) <= 1, "f32_max of an infinity");
        x.start[between(0, n - 1)] = NAN;
        require(isnan(f32_max(x.start, n)) != 0, "f32_max of a NaN");
        require(isnan(f32_sum(x.start, n)) != 0, "f32_sum of a NaN");
        for (int64_t i = 0; i < n; i++) {
            x.start[i] = -INFINITY;
        }
        require(f32_max(x.start, n) == -INFINITY, "f32_max of infinities");
    }
    free(x.memory), free(y.memory);
}

int main(int count, char **arguments)
{
    const long turns = count > 1 ? atol(arguments[1]) : 100;
    const unsigned long step = count > 2 ? (unsigned long)atol(arguments[2]) : 9973;
    for (long turn = 0; turn < turns; turn++) {
        check_products(turn);
        check_conv();
        check_depthwise();
        check_rows();
    }
    check_functions(step);
    printf("%lld results checked\n", (long long)checked);
    return 0;
}

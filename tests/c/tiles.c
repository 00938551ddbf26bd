/*
 * Every tile kernel against scalar loops over codes: random shapes with tails, extremes, and the bounds of sums. Built
 * once for each instruction set; with an argument, the number of random shapes for each kernel.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd.h"

#include "activations.h"
#include "ternary2.h"
#include "ternary2_simd.h"
#include "ternary5.h"
#include "ternary5_simd.h"
#include "int4.h"
#include "int4_simd.h"
#include "int8.h"
#include "int8_simd.h"

#define COLUMNS 64
#define MOST_ROWS 8

static uint64_t state = 88172645463325252u;

static int64_t below(int64_t bound)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int64_t)(state >> 11) % bound;
}

static float normal(void)
{
    float sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += (float)below(1 << 24) / (float)(1 << 24);
    }
    return sum;
}

static int64_t checked;

static void fail(const char *what, int64_t n, int64_t k, int64_t i, int64_t j, double found, double expected)
{
    printf("%s: n=%lld k=%lld row %lld column %lld: %.9g instead of %.9g\n", what, (long long)n, (long long)k, (long long)i,
           (long long)j, found, expected);
    exit(1);
}

/* Memory without a byte to spare, so that a sanitizer sees what is read behind it; `odd` bytes from alignment. */
typedef struct {
    char *memory;
    void *start;
} Buffer;

static Buffer buffer(int64_t bytes, int64_t odd)
{
    Buffer made;
    made.memory = malloc((size_t)(bytes + odd + (bytes + odd == 0)));
    if (made.memory == NULL) {
        puts("no memory");
        exit(1);
    }
    made.start = made.memory + odd;
    return made;
}

static uint8_t *packed_memory(int64_t bytes)
{
    uint8_t *memory = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
    if (memory == NULL) {
        puts("no memory");
        exit(1);
    }
    memset(memory, 0xA5, (size_t)bytes);
    return memory;
}

/* How codes and activations are drawn. */
typedef enum { RANDOM, ALL_LOWEST, ALL_HIGHEST, FILLS } Fill;

static int fill_code(Fill fill, int low, int high)
{
    return fill == ALL_LOWEST ? low : fill == ALL_HIGHEST ? high : low + (int)below(high - low + 1);
}

typedef struct {
    int64_t n, k, rows, stride;
    int8_t *codes; /* [n][k] */
    Buffer x8_memory, x32_memory;
    int8_t *x8; /* rows, `stride` apart; the last ends with its k elements */
    float *x32;
} Problem;

static Problem problem(int64_t n, int64_t k, int64_t rows, int low, int high, Fill weights, Fill activations)
{
    Problem p = {.n = n, .k = k, .rows = rows, .stride = k + below(4)};
    const int64_t elements = rows == 0 ? 0 : (rows - 1) * p.stride + k;
    p.codes = buffer(n * k, 0).start;
    for (int64_t e = 0; e < n * k; e++) {
        p.codes[e] = (int8_t)fill_code(weights, low, high);
    }
    p.x8_memory = buffer(elements, below(3));
    p.x8 = p.x8_memory.start;
    p.x32_memory = buffer(elements * 4, below(2) * 4);
    p.x32 = p.x32_memory.start;
    for (int64_t e = 0; e < elements; e++) {
        p.x8[e] = (int8_t)fill_code(activations, below(8) == 0 ? -128 : -127, 127);
        p.x32[e] = normal();
    }
    return p;
}

static void free_problem(Problem *p)
{
    free(p->codes);
    free(p->x8_memory.memory);
    free(p->x32_memory.memory);
}

static void sum_rows(const Problem *p, int64_t group, int32_t *sums)
{
    for (int64_t i = 0; i < p->rows; i++) {
        sum_groups_int8(p->x8 + i * p->stride, p->k, group, sums + i * (p->k / group));
    }
}

static void check_int(const char *what, const Problem *p, int64_t column, int32_t acc[][COLUMNS])
{
    for (int64_t i = 0; i < p->rows; i++) {
        for (int64_t j = column; j < p->n && j < column + COLUMNS; j++, checked++) {
            int64_t sum = 0;
            for (int64_t t = 0; t < p->k; t++) {
                sum += p->x8[i * p->stride + t] * p->codes[j * p->k + t];
            }
            if (acc[i][j - column] != sum) {
                fail(what, p->n, p->k, i, j, acc[i][j - column], (double)sum);
            }
        }
    }
}

static bool near(float found, double expected, double sizes)
{
    if (isnan(expected) || isinf(expected)) {
        return isnan(expected) ? isnan(found) : found == (float)expected;
    }
    return fabs(found - expected) <= 3e-6 * sizes + 1e-37;
}

/* scale and zero: [n][k / group], or null for 1 and 0. */
static void check_float(const char *what, const Problem *p, int64_t column, bool floats, const float *scale, const int8_t *zero,
                        int64_t group, float acc[][COLUMNS])
{
    const int64_t groups = p->k / group;
    for (int64_t i = 0; i < p->rows; i++) {
        for (int64_t j = column; j < p->n && j < column + COLUMNS; j++, checked++) {
            double sum = 0, sizes = 0;
            for (int64_t t = 0; t < p->k; t++) {
                const int64_t slice = j * groups + t / group;
                const double weight = (p->codes[j * p->k + t] - (zero == NULL ? 0 : zero[slice])) *
                                      (double)(scale == NULL ? 1 : scale[slice]);
                const double x = floats ? (double)p->x32[i * p->stride + t] : p->x8[i * p->stride + t];
                sum += x * weight;
                sizes += fabs(x * weight);
            }
            /* Integers are exact until they are scaled; zero points are subtracted from sums of codes, which are larger. */
            if (!near(acc[i][j - column], sum, floats ? sizes : 16 * sizes)) {
                fail(what, p->n, p->k, i, j, (double)acc[i][j - column], sum);
            }
        }
    }
}

static uint8_t *ternary2_portable(const Problem *p)
{
    const int64_t row = (p->k + 3) / 4;
    uint8_t *portable = buffer(p->n * row, 0).start;
    memset(portable, 0xFF, (size_t)(p->n * row)); /* padding is invalid */
    for (int64_t j = 0; j < p->n; j++) {
        for (int64_t t = 0; t < p->k; t++) {
            uint8_t *byte = &portable[j * row + t / 4];
            const int shift = (int)(t % 4 * 2);
            *byte = (uint8_t)((*byte & ~(3 << shift)) | (p->codes[j * p->k + t] + 1) << shift);
        }
    }
    return portable;
}

static uint8_t *ternary5_portable(const Problem *p)
{
    static const int power[5] = {1, 3, 9, 27, 81};
    const int64_t row = (p->k + 4) / 5;
    uint8_t *portable = buffer(p->n * row, 0).start;
    for (int64_t j = 0; j < p->n; j++) {
        for (int64_t b = 0; b < row; b++) {
            int byte = 0;
            for (int64_t t = b * 5; t < b * 5 + 5; t++) {
                byte += (t < p->k ? p->codes[j * p->k + t] + 1 : (int)below(3)) * power[t % 5];
            }
            portable[j * row + b] = (uint8_t)byte;
        }
    }
    return portable;
}

static void ternary(int64_t n, int64_t k, int64_t rows, Fill weights, Fill activations, bool five, bool floats)
{
    Problem p = problem(n, k, rows, -1, 1, weights, activations);
    uint8_t *portable = five ? ternary5_portable(&p) : ternary2_portable(&p);
    uint8_t *packed = packed_memory(five ? TERNARY5_PACKED_BYTES(n, k) : TERNARY2_PACKED_BYTES(n, k));
    if (!(five ? ternary5_pack(portable, n, k, packed) : ternary2_pack(portable, n, k, packed))) {
        fail("a valid code is called invalid", n, k, 0, 0, 0, 1);
    }
    int32_t sums[MOST_ROWS];
    sum_rows(&p, k, sums);
    for (int64_t column = 0; column < n; column += COLUMNS) {
        int32_t acc[MOST_ROWS][COLUMNS];
        float acc32[MOST_ROWS][COLUMNS];
        if (five) {
            ternary5_tile(packed, n, k, column, p.x8, p.stride, sums, rows, acc);
        } else {
            ternary2_tile(packed, n, k, column, p.x8, p.stride, sums, rows, acc);
        }
        check_int(five ? "ternary5" : "ternary2", &p, column, acc);
        if (floats) {
            if (five) {
                ternary5_tile_f32(packed, n, k, column, p.x32, p.stride, rows, acc32);
            } else {
                ternary2_tile_f32(packed, n, k, column, p.x32, p.stride, rows, acc32);
            }
            check_float(five ? "ternary5 f32" : "ternary2 f32", &p, column, true, NULL, NULL, k, acc32);
        }
    }
    free(packed);
    free(portable);
    free_problem(&p);
}

static void int8(int64_t n, int64_t k, int64_t rows, Fill weights, Fill activations, bool floats)
{
    Problem p = problem(n, k, rows, -128, 127, weights, activations);
    uint8_t *packed = packed_memory(INT8_PACKED_BYTES(n, k));
    int8_pack(p.codes, n, k, packed);
    int32_t sums[MOST_ROWS];
    sum_rows(&p, k, sums);
    for (int64_t column = 0; column < n; column += COLUMNS) {
        int32_t acc[MOST_ROWS][COLUMNS];
        float acc32[MOST_ROWS][COLUMNS];
        int8_tile(packed, n, k, column, p.x8, p.stride, sums, rows, acc);
        check_int("int8", &p, column, acc);
        if (floats) {
            int8_tile_f32(packed, n, k, column, p.x32, p.stride, rows, acc32);
            check_float("int8 f32", &p, column, true, NULL, NULL, k, acc32);
        }
    }
    free(packed);
    free_problem(&p);
}

/* Some half floats and what they are, a subnormal one among them. */
static const uint16_t halves[6] = {0x3C00, 0x3555, 0x0400, 0x0003, 0x7BFF, 0x2E66};

static double half_value(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    return exponent == 0 ? ldexp(fraction, -24) : ldexp(fraction + 1024, exponent - 25);
}

static void int4(int64_t n, int64_t k, int64_t group, int64_t rows, bool half, bool asymmetric, Fill weights, Fill activations)
{
    Problem p = problem(n, k, rows, asymmetric ? 0 : -8, asymmetric ? 15 : 7, weights, activations);
    const int64_t groups = k / group, row = (k + 1) / 2, scale_bytes = half ? 2 : 4, zero_bytes = asymmetric;
    uint8_t *portable = buffer(n * row, 0).start;
    memset(portable, 0xFF, (size_t)(n * row));
    for (int64_t j = 0; j < n; j++) {
        for (int64_t t = 0; t < k; t++) {
            uint8_t *byte = &portable[j * row + t / 2];
            const int shift = (int)(t % 2 * 4), code = p.codes[j * k + t] + (asymmetric ? 0 : 8);
            *byte = (uint8_t)((*byte & ~(15 << shift)) | code << shift);
        }
    }
    float *scale = buffer(n * groups * 4, 0).start;
    uint16_t *half_scale = buffer(n * groups * 2, 0).start;
    int8_t *zero = buffer(n * groups, 0).start;
    for (int64_t s = 0; s < n * groups; s++) {
        half_scale[s] = halves[below(6)];
        scale[s] = half ? (float)half_value(half_scale[s]) : fabsf(normal()) + 0.01f;
        zero[s] = (int8_t)below(16);
    }
    uint8_t *packed = packed_memory(INT4_PACKED_BYTES(n, k, group, scale_bytes, zero_bytes));
    int4_pack(portable, half ? (const void *)half_scale : scale, asymmetric ? zero : NULL, n, k, group, scale_bytes, packed);
    int32_t *sums = buffer(rows * groups * 4, 0).start;
    sum_rows(&p, group, sums);
    for (int64_t column = 0; column < n; column += COLUMNS) {
        float acc[MOST_ROWS][COLUMNS];
        int4_tile(packed, n, k, group, scale_bytes, zero_bytes, column, p.x8, p.stride, sums, rows, acc);
        check_float("int4", &p, column, false, scale, asymmetric ? zero : NULL, group, acc);
        int4_tile_f32(packed, n, k, group, scale_bytes, zero_bytes, column, p.x32, p.stride, rows, acc);
        check_float("int4 f32", &p, column, true, scale, asymmetric ? zero : NULL, group, acc);
    }
    free(packed);
    free(sums);
    free(zero);
    free(half_scale);
    free(scale);
    free(portable);
    free_problem(&p);
}

static void invalid_codes(void)
{
    uint8_t packed[TERNARY2_PACKED_BYTES(3, 9)];
    uint8_t two[9] = {0}, five[6] = {0};
    two[5] = 3 << 2; /* row 1, index 9: padding */
    five[3] = 242;
    if (!ternary2_pack(two, 3, 9, packed) || !ternary5_pack(five, 3, 9, packed)) {
        fail("padding is read", 3, 9, 0, 0, 0, 1);
    }
    two[4] = 3 << 6;
    five[5] = 243;
    if (ternary2_pack(two, 3, 9, packed) || ternary5_pack(five, 3, 9, packed)) {
        fail("an invalid code is not found", 3, 9, 0, 0, 1, 0);
    }
}

/* Infinities and NaN among float activations come out as the scalar loop has them. */
static void not_finite(void)
{
    static const float special[5] = {INFINITY, -INFINITY, NAN, 3.4e38f, 1e-42f};
    for (int which = 0; which < 5; which++) {
        Problem p = problem(20, 37, 5, -1, 1, ALL_HIGHEST, RANDOM);
        p.x32[2 * p.stride + below(37)] = special[which];
        uint8_t *two = ternary2_portable(&p), *five = ternary5_portable(&p);
        uint8_t *packed = packed_memory(TERNARY2_PACKED_BYTES(20, 37));
        float acc[MOST_ROWS][COLUMNS];
        ternary2_pack(two, 20, 37, packed);
        ternary2_tile_f32(packed, 20, 37, 0, p.x32, p.stride, 5, acc);
        check_float("ternary2 f32, special", &p, 0, true, NULL, NULL, 37, acc);
        ternary5_pack(five, 20, 37, packed);
        ternary5_tile_f32(packed, 20, 37, 0, p.x32, p.stride, 5, acc);
        check_float("ternary5 f32, special", &p, 0, true, NULL, NULL, 37, acc);
        free(packed);
        packed = packed_memory(INT8_PACKED_BYTES(20, 37));
        int8_pack(p.codes, 20, 37, packed);
        int8_tile_f32(packed, 20, 37, 0, p.x32, p.stride, 5, acc);
        check_float("int8 f32, special", &p, 0, true, NULL, NULL, 37, acc);
        free(packed);
        free(two);
        free(five);
        free_problem(&p);
    }
}

static void quantize_row(const float *x, int64_t k)
{
    float largest = 0, scale = -1;
    bool finite = true;
    for (int64_t t = 0; t < k; t++) {
        finite = finite && isfinite(x[t]);
        largest = fmaxf(largest, fabsf(x[t]));
    }
    int8_t *codes = buffer(k, 0).start;
    if (quantize_row_int8(x, k, codes, &scale) != finite) {
        fail("quantize_row_int8: finite", 1, k, 0, 0, !finite, finite);
    }
    if (finite) {
        const float expected = largest / 127 == 0 ? 1 : largest / 127;
        if (scale != expected) {
            fail("quantize_row_int8: scale", 1, k, 0, 0, (double)scale, (double)expected);
        }
        for (int64_t t = 0; t < k; t++, checked++) {
            const float code = nearbyintf(fminf(fmaxf(x[t] / expected, -127), 127));
            if (codes[t] != code) {
                fail("quantize_row_int8", 1, k, 0, t, codes[t], (double)code);
            }
        }
    }
    free(codes);
}

static void quantize_rows(int64_t rounds)
{
    static const float special[] = {INFINITY, -INFINITY, NAN, 1e-45f, -3.4e38f, 0};
    for (int64_t round = 0; round < rounds; round++) {
        const int64_t k = 1 + below(150);
        float *x = buffer(k * 4, 0).start;
        const float size = ldexpf(1, (int)below(250) - 140);
        for (int64_t t = 0; t < k; t++) {
            /* Half of the rows have ties. */
            x[t] = (round % 2 == 0 ? normal() : (float)(below(255) - 127) + 0.5f * (float)below(2)) * size;
        }
        if (round % 2 == 1) {
            x[below(k)] = 127 * size;
        }
        if (round % 8 == 0) {
            x[below(k)] = special[below(6)];
        }
        if (round % 16 == 7) {
            memset(x, 0, (size_t)k * 4);
        }
        quantize_row(x, k);
        free(x);
    }
}

/* Sums at their bounds: one column, and rows that are one row. */
static void bounds(void)
{
    static const int64_t widths[3] = {65536, 131071, TERNARY2_MAX_K};
    for (int which = 0; which < 3; which++) {
        const int64_t k = widths[which];
        int8_t *x = buffer(k, 0).start, *codes = buffer(k, 0).start;
        uint8_t *packed = packed_memory(INT8_PACKED_BYTES(1, k)), *portable = buffer((k + 1) / 2, 0).start;
        for (int sign = 0; sign < 4; sign++) {
            const int activation = sign < 2 ? -128 : 127, code = sign % 2 == 0 ? -1 : 1;
            int32_t acc[MOST_ROWS][COLUMNS], sums[MOST_ROWS];
            float acc32[MOST_ROWS][COLUMNS];
            memset(x, activation, (size_t)k);
            for (int64_t i = 0; i < MOST_ROWS; i++) {
                sums[i] = (int32_t)(activation * k);
            }
            for (int64_t rows = 1; rows <= MOST_ROWS; rows += MOST_ROWS - 1) {
                memset(portable, code == 1 ? 0xAA : 0, (size_t)(k + 3) / 4);
                ternary2_pack(portable, 1, k, packed);
                ternary2_tile(packed, 1, k, 0, x, 0, sums, rows, acc);
                if (acc[rows - 1][0] != activation * k * code) {
                    fail("ternary2 at its bound", 1, k, rows - 1, 0, acc[rows - 1][0], (double)(activation * k * code));
                }
                memset(portable, code == 1 ? 242 : 0, (size_t)(k + 4) / 5);
                ternary5_pack(portable, 1, k, packed);
                ternary5_tile(packed, 1, k, 0, x, 0, sums, rows, acc);
                if (acc[rows - 1][0] != activation * k * code) {
                    fail("ternary5 at its bound", 1, k, rows - 1, 0, acc[rows - 1][0], (double)(activation * k * code));
                }
                if (k > 0 && k <= INT8_MAX_K) {
                    const int weight = code == 1 ? 127 : -128;
                    memset(codes, weight, (size_t)k);
                    int8_pack(codes, 1, k, packed);
                    int8_tile(packed, 1, k, 0, x, 0, sums, rows, acc);
                    if (acc[rows - 1][0] != activation * k * weight) {
                        fail("int8 at its bound", 1, k, rows - 1, 0, acc[rows - 1][0], (double)(activation * k * weight));
                    }
                }
                if (k <= INT4_MAX_GROUP) {
                    const float scale = 0.5f;
                    const double expected = 0.5 * (code == 1 ? 7 : -8) * activation * (double)k;
                    memset(portable, code == 1 ? 0xFF : 0, (size_t)(k + 1) / 2);
                    int4_pack(portable, &scale, NULL, 1, k, k, 4, packed);
                    int4_tile(packed, 1, k, k, 4, 0, 0, x, 0, sums, rows, acc32);
                    if (fabs(acc32[rows - 1][0] - expected) > fabs(expected) * 1e-6) {
                        fail("int4 at its bound", 1, k, rows - 1, 0, (double)acc32[rows - 1][0], expected);
                    }
                }
            }
        }
        free(portable);
        free(packed);
        free(codes);
        free(x);
    }
}

int main(int count, char **arguments)
{
    const int64_t rounds = count > 1 ? atoi(arguments[1]) : 100;
    for (int64_t round = 0; round < rounds; round++) {
        const int64_t n = 1 + below(round % 4 == 0 ? 8 : 150), rows = below(MOST_ROWS + 1);
        const int64_t k = round % 8 == 0 ? 1 : 1 + below(round % 8 == 1 ? 20 : 330);
        const Fill weights = (Fill)below(FILLS), activations = (Fill)below(FILLS);
        ternary(n, k, rows, weights, activations, false, true);
        ternary(n, k, rows, weights, activations, true, true);
        int8(n, k, rows, weights, activations, true);
        const int64_t group = 32 * (1 + below(4));
        const bool half = below(2) == 0, asymmetric = below(2) == 0;
        int4(n, k, k, rows, half, asymmetric, weights, activations);
        int4(n, group * (1 + below(5)), group, rows, half, asymmetric, weights, activations);
    }
    invalid_codes();
    not_finite();
    quantize_rows(rounds * 10);
    bounds();
    printf("%lld numbers\n", (long long)checked);
    return 0;
}

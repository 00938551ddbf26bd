/*
 * Our tile kernels as a library for benches/c/bench.py: a layer with weights of one format is quantising of the activations, tiles,
 * and the scales, as the target `c` writes it. Compiled once for each instruction set.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

typedef enum { TERNARY2, TERNARY5, INT4, INT8, TERNARY2_F32, INT4_F32, INT8_F32 } Kind;

int64_t ours_bytes(int kind, int64_t n, int64_t k)
{
    switch (kind) {
    case TERNARY2:
    case TERNARY2_F32:
        return TERNARY2_PACKED_BYTES(n, k);
    case TERNARY5:
        return TERNARY5_PACKED_BYTES(n, k);
    case INT4:
    case INT4_F32:
        return INT4_PACKED_BYTES(n, k, 32, 2, 0);
    default:
        return INT8_PACKED_BYTES(n, k);
    }
}

bool ours_pack(int kind, const uint8_t *portable, const uint16_t *half_scale, int64_t n, int64_t k, uint8_t *packed)
{
    switch (kind) {
    case TERNARY2:
    case TERNARY2_F32:
        return ternary2_pack(portable, n, k, packed);
    case TERNARY5:
        return ternary5_pack(portable, n, k, packed);
    case INT4:
    case INT4_F32:
        int4_pack(portable, half_scale, NULL, n, k, 32, 2, packed);
        return true;
    default:
        int8_pack((const int8_t *)portable, n, k, packed);
        return true;
    }
}

typedef struct {
    int64_t kind, n, k, m, copies, copy_bytes;
    const uint8_t *packed;
    const float *scale; /* of each row of weights; int4 has its own inside */
    const float *x;
    float *y;
    int8_t *codes;
    int32_t *sums;
    float *scales;
} Layer;

/* y = x . weights, with the scale of each row of weights and of each token. */
#define SCALED(columns)                                                                                                        \
    for (int64_t r = 0; r < rows; r++) {                                                                                       \
        float *out = layer->y + (i + r) * n + column;                                                                          \
        for (int64_t j = 0; j < (columns); j++) {                                                                              \
            out[j] = layer->scales[i + r] * layer->scale[column + j] * (float)acc[r][j];                                       \
        }                                                                                                                      \
    }

#define WHOLE_OR_PART                                                                                                          \
    if (n - column >= 64) {                                                                                                    \
        SCALED(64)                                                                                                             \
    } else {                                                                                                                   \
        SCALED(n - column)                                                                                                     \
    }

static void integer_layer(const Layer *layer, const uint8_t *packed, int kind, int64_t m)
{
    const int64_t n = layer->n, k = layer->k, group = kind == INT4 ? 32 : k;
    for (int64_t i = 0; i < m; i++) {
        if (!quantize_row_int8(layer->x + i * k, k, layer->codes + i * k, &layer->scales[i])) {
            return;
        }
        sum_groups_int8(layer->codes + i * k, k, group, layer->sums + i * (k / group));
    }
    for (int64_t column = 0; column < n; column += 64) {
        for (int64_t i = 0; i < m; i += 8) {
            const int64_t rows = m - i < 8 ? m - i : 8;
            const int8_t *x = layer->codes + i * k;
            const int32_t *sums = layer->sums + i * (k / group);
            if (kind == INT4) {
                float acc[8][64];
                int4_tile(packed, n, k, 32, 2, 0, column, x, k, sums, rows, acc);
                WHOLE_OR_PART
            } else {
                int32_t acc[8][64];
                if (kind == TERNARY2) {
                    ternary2_tile(packed, n, k, column, x, k, sums, rows, acc);
                } else if (kind == TERNARY5) {
                    ternary5_tile(packed, n, k, column, x, k, sums, rows, acc);
                } else {
                    int8_tile(packed, n, k, column, x, k, sums, rows, acc);
                }
                WHOLE_OR_PART
            }
        }
    }
}

static void float_layer(const Layer *layer, const uint8_t *packed, int kind, int64_t m)
{
    const int64_t n = layer->n, k = layer->k;
    for (int64_t i = 0; i < m; i++) {
        layer->scales[i] = 1;
    }
    for (int64_t column = 0; column < n; column += 64) {
        for (int64_t i = 0; i < m; i += 8) {
            const int64_t rows = m - i < 8 ? m - i : 8;
            const float *x = layer->x + i * k;
            float acc[8][64];
            if (kind == TERNARY2_F32) {
                ternary2_tile_f32(packed, n, k, column, x, k, rows, acc);
            } else if (kind == INT4_F32) {
                int4_tile_f32(packed, n, k, 32, 2, 0, column, x, k, rows, acc);
            } else {
                int8_tile_f32(packed, n, k, column, x, k, rows, acc);
            }
            WHOLE_OR_PART
        }
    }
}

static double microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

/* Microseconds for a call, the mean of this many, each on the next copy of the weights. */
double ours_time(const Layer *layer, int64_t calls)
{
    const double begin = microseconds();
    for (int64_t call = 0; call < calls; call++) {
        const uint8_t *packed = layer->packed + call % layer->copies * layer->copy_bytes;
        const int64_t m = layer->m;
        switch ((Kind)layer->kind) { /* each with literals, as generated code has */
        case TERNARY2:
            m == 1 ? integer_layer(layer, packed, TERNARY2, 1) : integer_layer(layer, packed, TERNARY2, m);
            break;
        case TERNARY5:
            m == 1 ? integer_layer(layer, packed, TERNARY5, 1) : integer_layer(layer, packed, TERNARY5, m);
            break;
        case INT4:
            m == 1 ? integer_layer(layer, packed, INT4, 1) : integer_layer(layer, packed, INT4, m);
            break;
        case INT8:
            m == 1 ? integer_layer(layer, packed, INT8, 1) : integer_layer(layer, packed, INT8, m);
            break;
        case TERNARY2_F32:
        case INT4_F32:
        case INT8_F32:
            float_layer(layer, packed, (int)layer->kind, m);
            break;
        }
    }
    return (microseconds() - begin) / (double)calls;
}

/* GB/s of reading this memory, in one pass. */
double ours_read_bandwidth(const uint8_t *memory, int64_t bytes, int64_t passes)
{
    const double begin = microseconds();
    uint64_t sum[32] = {0};
    for (int64_t pass = 0; pass < passes; pass++) {
        for (int64_t at = 0; at + 256 <= bytes; at += 256) {
            uint64_t words[32];
            memcpy(words, memory + at, sizeof words);
            for (int word = 0; word < 32; word++) {
                sum[word] += words[word];
            }
        }
    }
    const double time = microseconds() - begin;
    uint64_t all = 0;
    for (int word = 0; word < 32; word++) {
        all += sum[word];
    }
    volatile uint64_t kept = all;
    (void)kept;
    return (double)bytes * (double)passes / time * 1e-3;
}

/* Billions of operations (two for a multiplication with its addition) of 8-bit integers in registers. */
double ours_peak(int64_t rounds)
{
#if defined(SIMD_PLAIN)
    (void)rounds;
    return 0;
#else
    const int8_t four[4] = {1, 2, 3, 4};
    simd_narrow sum[12];
    for (int s = 0; s < 12; s++) {
        sum[s] = simd_narrow_zero();
    }
    const simd_four x = simd_spread(four);
    static const uint8_t ones[64] = {1, 1, 1, 1};
    const simd_bytes w = simd_load(ones);
    const double begin = microseconds();
    for (int64_t round = 0; round < rounds; round++) {
        SIMD_UNROLL
        for (int s = 0; s < 12; s++) {
            sum[s] = simd_dot(sum[s], w, x);
        }
    }
    const double time = microseconds() - begin;
    simd_int all = simd_set(0);
    for (int s = 0; s < 12; s++) {
        all = simd_widen(all, sum[s]);
    }
    int32_t lanes[SIMD_LANES];
    simd_store(lanes, all);
    volatile int32_t kept = lanes[0];
    (void)kept;
    return 2.0 * 4 * SIMD_LANES * 12 * (double)rounds / time * 1e-3;
#endif
}

/*
 * A model for benches/c/models.py, as a shared library with its weights and memory in it. Compiled with
 *   -DHEADER='"lenet.h"' -DNAME=lenet -DCONSTANT=LENET [-DBATCH=16] [-DSTATE]   a model of the target `c`
 *   -DNAME=lenet -DEMX                                                          one of emx-onnx-cgen
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#ifdef EMX
bool JOIN(NAME, _load)(const char *path);
void NAME(const float *x, float *y);

bool bench_load(const char *path) { return JOIN(NAME, _load)(path); }

bool bench_run(const float *x, float *y)
{
    NAME(x, y);
    return true;
}
#else
#include HEADER

static JOIN(NAME, _weights) weights;
static void *arena;

static void *aligned(size_t bytes) { return aligned_alloc(64, (bytes + 127) / 64 * 64); }

bool bench_load(const char *path)
{
    const size_t count = JOIN(CONSTANT, _WEIGHTS_BYTES);
    void *const bytes = aligned(count), *const pack = aligned(JOIN(CONSTANT, _PACK_BYTES));
    arena = aligned(JOIN(CONSTANT, _ARENA_BYTES));
    FILE *const file = fopen(path, "rb");
    if (file == NULL || bytes == NULL || pack == NULL || arena == NULL || fread(bytes, 1, count, file) != count) {
        return false;
    }
    fclose(file);
    if (JOIN(NAME, _weights_init)(&weights, bytes, count, pack) != 0) {
        return false;
    }
#ifdef STATE
    return JOIN(NAME, _reset)(&weights, arena) == 0;
#else
    return true;
#endif
}

bool bench_run(const float *x, float *y)
{
#ifdef BATCH
    const JOIN(NAME, _inputs) inputs = {.x = x, .B = BATCH};
#else
    const JOIN(NAME, _inputs) inputs = {.x = x};
#endif
    JOIN(NAME, _outputs) outputs = {.output = y};
    return JOIN(NAME, _forward)(&weights, &inputs, &outputs, arena) == 0;
}
#endif

/* Microseconds of a call. */
double bench_time(const float *x, float *y, int64_t calls)
{
    const double begin = seconds();
    for (int64_t call = 0; call < calls; call++) {
        if (!bench_run(x, y)) {
            return -1;
        }
    }
    return (seconds() - begin) / (double)calls * 1e6;
}

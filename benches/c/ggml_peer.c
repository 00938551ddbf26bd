/* ggml's matrix products for benches/c/bench.py: a graph for each copy of the weights, computed by one thread. */
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    struct ggml_context *weights, *work;
    ggml_backend_buffer_t buffer;
    struct ggml_tensor *x, **y;
    struct ggml_cgraph **graphs;
    struct ggml_cplan *plans;
    int64_t copies;
} Peer;

/* The buffer type for which weights are repacked, or null. */
static ggml_backend_buffer_type_t repacking(void)
{
    ggml_backend_reg_t reg = ggml_backend_cpu_reg();
    ggml_backend_dev_get_extra_bufts_t extra =
        (ggml_backend_dev_get_extra_bufts_t)ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts");
    ggml_backend_buffer_type_t *types = extra == NULL ? NULL : extra(ggml_backend_reg_dev_get(reg, 0));
    for (; types != NULL && *types != NULL; types++) {
        if (strstr(ggml_backend_buft_name(*types), "REPACK") != NULL) {
            return *types;
        }
    }
    return NULL;
}

/* w: n rows of k floats, quantised here; x: m rows of k. Null where this cannot be. */
Peer *peer_new(int type, bool repack, int64_t n, int64_t k, int64_t m, int64_t copies, const float *w, const float *x)
{
    Peer *peer = calloc(1, sizeof *peer);
    struct ggml_init_params params = {.mem_size = ggml_tensor_overhead() * (size_t)(copies + 1), .no_alloc = true};
    peer->weights = ggml_init(params);
    struct ggml_tensor **tensors = calloc((size_t)copies, sizeof *tensors);
    for (int64_t c = 0; c < copies; c++) {
        tensors[c] = ggml_new_tensor_2d(peer->weights, (enum ggml_type)type, k, n);
    }
    ggml_backend_buffer_type_t buffer_type = repack ? repacking() : ggml_backend_cpu_buffer_type();
    if (buffer_type == NULL) {
        return NULL;
    }
    peer->buffer = ggml_backend_alloc_ctx_tensors_from_buft(peer->weights, buffer_type);
    void *quantised = malloc(ggml_row_size((enum ggml_type)type, k) * (size_t)n);
    if (type == GGML_TYPE_F32) {
        memcpy(quantised, w, (size_t)(n * k) * 4);
    } else {
        ggml_quantize_chunk((enum ggml_type)type, w, quantised, 0, n, k, NULL);
    }
    for (int64_t c = 0; c < copies; c++) {
        ggml_backend_tensor_set(tensors[c], quantised, 0, ggml_nbytes(tensors[c]));
    }
    free(quantised);
    const size_t each = ggml_graph_overhead_custom(4, false) + ggml_tensor_overhead() + (size_t)(n * m) * 4 + 256;
    params.mem_size = each * (size_t)copies + ggml_tensor_overhead() + (size_t)(m * k) * 4 + 4096;
    params.no_alloc = false;
    peer->work = ggml_init(params);
    peer->x = ggml_new_tensor_2d(peer->work, GGML_TYPE_F32, k, m);
    memcpy(peer->x->data, x, (size_t)(m * k) * 4);
    peer->copies = copies;
    peer->y = calloc((size_t)copies, sizeof *peer->y);
    peer->graphs = calloc((size_t)copies, sizeof *peer->graphs);
    peer->plans = calloc((size_t)copies, sizeof *peer->plans);
    for (int64_t c = 0; c < copies; c++) {
        peer->y[c] = ggml_mul_mat(peer->work, tensors[c], peer->x);
        peer->graphs[c] = ggml_new_graph_custom(peer->work, 4, false);
        ggml_build_forward_expand(peer->graphs[c], peer->y[c]);
        peer->plans[c] = ggml_graph_plan(peer->graphs[c], 1, NULL);
        peer->plans[c].work_data = malloc(peer->plans[c].work_size + 64);
    }
    free(tensors);
    return peer;
}

static double microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

/* Microseconds for a call, the mean of this many, each on the next of these copies. */
double peer_time(Peer *peer, int64_t first, int64_t copies, int64_t calls)
{
    const double begin = microseconds();
    for (int64_t call = 0; call < calls; call++) {
        const int64_t copy = first + call % copies;
        ggml_graph_compute(peer->graphs[copy], &peer->plans[copy]);
    }
    return (microseconds() - begin) / (double)calls;
}

const float *peer_result(const Peer *peer)
{
    return peer->y[0]->data;
}

void peer_free(Peer *peer)
{
    for (int64_t c = 0; c < peer->copies; c++) {
        free(peer->plans[c].work_data);
    }
    free(peer->plans);
    free(peer->graphs);
    free(peer->y);
    ggml_free(peer->work);
    ggml_backend_buffer_free(peer->buffer);
    ggml_free(peer->weights);
    free(peer);
}

/* Gives the model in net.h everything that it must refuse. */

#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong;

static void expect(const char *what, int found, int wanted)
{
    if (found != wanted) {
        printf("%s: %d (%s), not %d\n", what, found, net_strerror(found), wanted);
        wrong = 1;
    }
}

int main(int count, char **texts)
{
    static _Alignas(64) unsigned char arena[NET_ARENA_BYTES + 64];
    static _Alignas(64) unsigned char pack[NET_PACK_BYTES + 64];
    static _Alignas(64) unsigned char bytes[NET_WEIGHTS_BYTES + 64];
    net_weights weights;
    memcpy(bytes, net_default_weights, NET_WEIGHTS_BYTES);

    expect("no weights", net_weights_init(NULL, bytes, NET_WEIGHTS_BYTES, pack), NET_ERROR_NULL);
    expect("no bytes", net_weights_init(&weights, NULL, NET_WEIGHTS_BYTES, pack), NET_ERROR_NULL);
    expect("bytes at an odd place", net_weights_init(&weights, bytes + 1, NET_WEIGHTS_BYTES, pack), NET_ERROR_ALIGNMENT);
    expect("nothing", net_weights_init(&weights, bytes, 0, pack), NET_ERROR_NO_WEIGHTS);
    expect("a part", net_weights_init(&weights, bytes, NET_WEIGHTS_BYTES - 64, pack), NET_ERROR_TRUNCATED);
    expect("too much", net_weights_init(&weights, bytes, NET_WEIGHTS_BYTES + 64, pack), NET_ERROR_TRUNCATED);
    const struct {
        int at;
        int code;
    } changed[] = {
        {0, NET_ERROR_NO_WEIGHTS}, {4, NET_ERROR_VERSION},   {8, NET_ERROR_MODEL},
        {16, NET_ERROR_TRUNCATED}, {24, NET_ERROR_CHECKSUM}, {NET_WEIGHTS_BYTES - 64, NET_ERROR_CHECKSUM},
    };
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        bytes[changed[i].at] ^= 1;
        expect("a changed byte", net_weights_init(&weights, bytes, NET_WEIGHTS_BYTES, pack), changed[i].code);
        bytes[changed[i].at] ^= 1;
    }
    FILE *file = count > 1 ? fopen(texts[1], "rb") : NULL;
    unsigned char *other = (unsigned char *)aligned_alloc(64, 1 << 16);
    if (file == NULL || other == NULL) {
        printf("the weights of another model are missing\n");
        return 1;
    }
    const size_t size = fread(other, 1, 1 << 16, file);
    fclose(file);
    expect("another model", net_weights_init(&weights, other, size, pack), NET_ERROR_MODEL);
    free(other);
    expect("weights", net_weights_init(&weights, bytes, NET_WEIGHTS_BYTES, pack), NET_OK);

    float x[4 * 5] = {1.0f, -2.0f, 3.0f};
    float y[4 * 3] = {0.0f};
    net_inputs inputs = {0};
    net_outputs outputs = {0};
    inputs.x = x;
    inputs.B = 4;
    outputs.output = y;
    memset(arena, 0, sizeof arena);
    expect("before reset", net_forward(&weights, &inputs, &outputs, arena), NET_ERROR_RESET);
    expect("reset without arena", net_reset(&weights, NULL), NET_ERROR_NULL);
    expect("reset at an odd place", net_reset(&weights, arena + 8), NET_ERROR_ALIGNMENT);
    expect("reset", net_reset(&weights, arena), NET_OK);
    expect("no arena", net_forward(&weights, &inputs, &outputs, NULL), NET_ERROR_NULL);
    expect("an arena at an odd place", net_forward(&weights, &inputs, &outputs, arena + 8), NET_ERROR_ALIGNMENT);
    expect("no weights", net_forward(NULL, &inputs, &outputs, arena), NET_ERROR_NULL);
    inputs.B = 5;
    expect("too large", net_forward(&weights, &inputs, &outputs, arena), NET_ERROR_SIZE);
    inputs.B = 0;
    expect("no rows", net_forward(&weights, &inputs, &outputs, arena), NET_ERROR_SIZE);
    inputs.B = SIZE_MAX;
    expect("too large by far", net_forward(&weights, &inputs, &outputs, arena), NET_ERROR_SIZE);
    inputs.B = 3;
    inputs.x = NULL;
    expect("no input", net_forward(&weights, &inputs, &outputs, arena), NET_ERROR_NULL);
    inputs.x = x;
    outputs.output = NULL;
    expect("no output", net_forward(&weights, &inputs, &outputs, arena), NET_ERROR_NULL);
    outputs.output = y;
    expect("forward", net_forward(&weights, &inputs, &outputs, arena), NET_OK);
    const float first = y[0];
    const float two = 2.0f;
    inputs.scale = &two;
    expect("with what may be left out", net_forward(&weights, &inputs, &outputs, arena), NET_OK);
    expect("twice as much", y[0] == 2.0f * first, 1);

    int64_t at = 2;
    float picked = 0.0f;
    net_pick_inputs which = {0};
    net_pick_outputs result = {0};
    which.x = x;
    which.at = &at;
    which.N = 8;
    result.output = &picked;
    expect("pick", net_pick(&weights, &which, &result, arena), NET_OK);
    expect("the third", picked == 3.0f, 1);
    at = 8;
    expect("an index out of range", net_pick(&weights, &which, &result, arena), NET_ERROR_INDEX);
    at = INT64_MIN;
    expect("an index far out of range", net_pick(&weights, &which, &result, arena), NET_ERROR_INDEX);
    at = 7;
    const int code = net_pick(&weights, &which, &result, arena);
    expect("an assertion", code, NET_ERROR_CHECK_1);
    expect("its message", strcmp(net_strerror(code), "seven is no position"), 0);
    expect("an unknown code", strcmp(net_strerror(-9999), "unknown error"), 0);
    if (wrong == 0) {
        printf("done\n");
    }
    return wrong;
}

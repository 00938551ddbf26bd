/* The functions of a build that does nothing but say its name. */
#define STUB(isa)                                                                                                       \
    int model_weights_init_isa_##isa(model_weights *weights, const void *bytes, size_t count, void *pack);              \
    int model_forward_isa_##isa(const model_weights *weights, const model_inputs *inputs, model_outputs *outputs,       \
                                void *arena);                                                                           \
    const char *model_strerror_isa_##isa(int code);                                                                     \
    int model_weights_init_isa_##isa(model_weights *weights, const void *bytes, size_t count, void *pack)               \
    {                                                                                                                   \
        return weights == bytes && pack == bytes ? (int)count : 0;                                                      \
    }                                                                                                                   \
    int model_forward_isa_##isa(const model_weights *weights, const model_inputs *inputs, model_outputs *outputs,       \
                                void *arena)                                                                            \
    {                                                                                                                   \
        return (const void *)weights == arena && (const void *)inputs == (const void *)outputs;                         \
    }                                                                                                                   \
    const char *model_strerror_isa_##isa(int code)                                                                      \
    {                                                                                                                   \
        return code == 0 ? #isa : "";                                                                                   \
    }

/* Exchanges the contents of two pieces of memory. */
static inline void exchange(void *a, void *b, size_t count)
{
    uint8_t *first = (uint8_t *)a;
    uint8_t *second = (uint8_t *)b;
    for (size_t i = 0; i < count; i++) {
        const uint8_t kept = first[i];
        first[i] = second[i];
        second[i] = kept;
    }
}

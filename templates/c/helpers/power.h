/* Powers of integers, which wrap. */
static inline uint64_t power_uint64(uint64_t base, uint64_t exponent)
{
    uint64_t power = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1) {
            power *= base;
        }
        base *= base;
    }
    return power;
}

static inline int64_t power_int64(int64_t base, int64_t exponent)
{
    return (int64_t)power_uint64((uint64_t)base, (uint64_t)exponent);
}

/* Philox4x32-10: any word of a seed's stream without those before it. */
static inline void random_block(int64_t seed, uint64_t index, uint32_t words[4])
{
    uint32_t key[2] = {(uint32_t)(uint64_t)seed, (uint32_t)((uint64_t)seed >> 32)};
    uint32_t a = (uint32_t)index, b = (uint32_t)(index >> 32), c = 0, d = 0;
    for (int round = 0; round < 10; round++) {
        const uint64_t left = (uint64_t)a * 0xd2511f53u;
        const uint64_t right = (uint64_t)c * 0xcd9e8d57u;
        a = (uint32_t)(right >> 32) ^ b ^ key[0];
        b = (uint32_t)right;
        c = (uint32_t)(left >> 32) ^ d ^ key[1];
        d = (uint32_t)left;
        key[0] += 0x9e3779b9u;
        key[1] += 0xbb67ae85u;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

static inline uint32_t random_word(int64_t seed, int64_t index)
{
    uint32_t words[4];
    random_block(seed, (uint64_t)index / 4, words);
    return words[index % 4];
}

static inline double unit_interval(uint32_t word)
{
    return (double)(word >> 8) * 0x1p-24;
}

/* From 0 up to 1. */
static inline double uniform_number(int64_t seed, int64_t index)
{
    return unit_interval(random_word(seed, index));
}

/* Standard normal, by the Box-Muller method. */
static inline double normal_number(int64_t seed, int64_t index)
{
    uint32_t words[4];
    random_block(seed, (uint64_t)index / 4, words);
    const int64_t pair = index % 4 / 2 * 2;
    const double radius = sqrt(-2.0 * log(unit_interval(words[pair]) + 0x1p-24));
    const double angle = 2.0 * 3.14159265358979323846 * unit_interval(words[pair + 1]);
    return radius * (index % 2 == 0 ? cos(angle) : sin(angle));
}

static inline double gumbel_number(int64_t seed, int64_t index)
{
    return -log(-log(uniform_number(seed, index) + 0x1p-25));
}

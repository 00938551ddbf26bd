/* Seeds: a function of the caller's seed, the place in the program, the part of the model, and how often it drew there. */
typedef struct {
    uint64_t key;
    uint64_t turns;
} draw_count;

typedef struct {
    uint64_t seed;
    draw_count *counts;
    int64_t capacity;
} draw_counts;

/* The place of the model itself: the hash of no text. */
#define DRAW_ENTRY UINT64_C(0xcbf29ce484222325)

static inline void draw_begin(draw_counts *draws)
{
    memset(draws->counts, 0, (size_t)draws->capacity * sizeof(draw_count));
}

static inline uint64_t draw_hash(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* The place of a part: a dot stands between two names. */
static inline uint64_t draw_place(uint64_t place, const char *part)
{
    return draw_hash(place == DRAW_ENTRY ? place : draw_hash(place, "."), part);
}

static inline uint64_t draw_position(uint64_t place, int64_t index)
{
    char text[24];
    int at = (int)sizeof text - 1;
    text[at] = '\0';
    do {
        text[--at] = (char)('0' + index % 10);
        index /= 10;
    } while (index > 0);
    return draw_place(place, text + at);
}

static inline uint64_t draw_mix(uint64_t state, uint64_t value)
{
    uint64_t z = (state ^ value) + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The next seed of a site; each of its places is counted on its own. */
static inline int64_t draw_seed(draw_counts *draws, uint32_t site, uint64_t place)
{
    const uint64_t key = draw_mix(site, place) | 1;
    int64_t at = (int64_t)(key % (uint64_t)draws->capacity);
    while (draws->counts[at].key != 0 && draws->counts[at].key != key) {
        at = at + 1 < draws->capacity ? at + 1 : 0;
    }
    draws->counts[at].key = key;
    const uint64_t turn = draws->counts[at].turns++;
    return (int64_t)draw_mix(draw_mix(draw_mix(draw_mix(draws->seed, 2), site), place), turn);
}

/* Codes in packed bytes, the first of a byte in its lowest digit. */
static inline int ternary2_digit(uint8_t byte, int64_t place)
{
    return byte >> (2 * place) & 3;
}

static inline int ternary5_digit(uint8_t byte, int64_t place)
{
    static const uint8_t powers[5] = {1, 3, 9, 27, 81};
    return byte / powers[place] % 3;
}

static inline int int4_digit(uint8_t byte, int64_t place)
{
    return byte >> (4 * place) & 15;
}

static inline bool is_ternary2(uint8_t byte)
{
    return (byte & byte >> 1 & 0x55) == 0;
}

static inline int8_t ternary2_code(const uint8_t *row, int64_t index)
{
    return (int8_t)(ternary2_digit(row[index / 4], index % 4) - 1);
}

static inline int8_t ternary5_code(const uint8_t *row, int64_t index)
{
    return (int8_t)(ternary5_digit(row[index / 5], index % 5) - 1);
}

static inline int8_t int4_code(const uint8_t *row, int64_t index)
{
    return (int8_t)(int4_digit(row[index / 2], index % 2) - 8);
}

static inline uint8_t uint4_code(const uint8_t *row, int64_t index)
{
    return (uint8_t)int4_digit(row[index / 2], index % 2);
}

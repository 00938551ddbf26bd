/* Compilers warn where complements of small unsigned numbers are compared, whatever they are cast to. */
static inline uint8_t complement_uint8(uint8_t x)
{
    return (uint8_t)~x;
}

static inline uint16_t complement_uint16(uint16_t x)
{
    return (uint16_t)~x;
}

/*
 * Functions of float32 numbers without branches, tables or calls, so that compilers turn loops over them into vectors. At most
 * 2 units in the last place from the exact value, with the results of <math.h> at NaN, infinities, zeros and subnormals.
 * `sin` and `cos` need a fused multiply-add; without one they are those of <math.h>. Needs <math.h>, <stdbool.h>, <stdint.h>, <string.h>.
 *
 * The polynomials are least-squares fits whose largest error was levelled, relative to the function's value.
 */
#if defined(__FMA__) || (defined(__aarch64__) && defined(__ARM_NEON))
#define F32_MATH_FMA
#endif

static inline float f32_multiply_add(float a, float b, float c)
{
#if defined(F32_MATH_FMA)
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

static inline uint32_t f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float f32_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/*
 * a where the condition holds, else b. Written with bits: where `?:` chooses between results of arithmetic, gcc moves that behind a
 * branch, and the loop is none of vectors any more.
 */
static inline float f32_select(bool condition, float a, float b)
{
    const uint32_t mask = 0 - (uint32_t)condition;
    return f32_of_bits((f32_bits(a) & mask) | (f32_bits(b) & ~mask));
}

/* The nearest integer is in the low bits of x + F32_TO_INTEGER, for abs x < 2^22. */
#define F32_TO_INTEGER 12582912.0f

/* exp(x), for x that is NaN or from -104 to 89. */
static inline float f32_exp_bounded(float x)
{
    const float shifted = f32_multiply_add(x, 1.44269504f, F32_TO_INTEGER);
    const float n = shifted - F32_TO_INTEGER;
    /* log 2 in two parts; the first has so few bits that n times it is exact. */
    const float r = f32_multiply_add(n, -1.42860677e-6f, f32_multiply_add(n, -0.693145752f, x));
    float p = 0.001394624768f;
    p = f32_multiply_add(p, r, 0.008368922552f);
    p = f32_multiply_add(p, r, 0.04166620573f);
    p = f32_multiply_add(p, r, 0.1666651855f);
    p = f32_multiply_add(p, r, 0.5f);
    p = f32_multiply_add(p, r * r, r) + 1.0f;
    /* 2^n in two factors, as it may be too large or too small for one. */
    const uint32_t exponent = f32_bits(shifted) - f32_bits(F32_TO_INTEGER) + 512;
    const uint32_t half = exponent / 2;
    return p * f32_of_bits((half - 256 + 127) << 23) * f32_of_bits((exponent - half - 256 + 127) << 23);
}

static inline float f32_exp(float x)
{
    x = f32_select(x < -104.0f, -104.0f, x);
    return f32_exp_bounded(f32_select(x > 89.0f, 89.0f, x));
}

static inline float f32_log(float x)
{
    const float raised = x * 8388608.0f;
    const bool is_small = x < 1.17549435e-38f;
    const float normal = f32_select(is_small, raised, x);
    /* normal = m * 2^n with m from sqrt(1/2) to sqrt(2): the bits of sqrt(1/2) are taken off and put back. */
    const uint32_t shifted = f32_bits(normal) - 0x3F3504F3;
    const uint32_t whole = (shifted + 0x40000000) >> 23; /* n + 128 */
    const float m = f32_of_bits(f32_bits(normal) - ((whole - 128) << 23));
    const float n = (float)(int32_t)whole - f32_select(is_small, 151.0f, 128.0f);
    const float f = m - 1.0f;
    float p = -0.07632750616f;
    p = f32_multiply_add(p, f, 0.1276476356f);
    p = f32_multiply_add(p, f, -0.1316231258f);
    p = f32_multiply_add(p, f, 0.1420148001f);
    p = f32_multiply_add(p, f, -0.166231236f);
    p = f32_multiply_add(p, f, 0.2000123065f);
    p = f32_multiply_add(p, f, -0.2500082729f);
    p = f32_multiply_add(p, f, 0.3333333173f);
    const float square = f * f;
    float y = f32_multiply_add(p, f * square, n * 1.42860677e-6f);
    y = f32_multiply_add(square, -0.5f, y) + f;
    y = f32_multiply_add(n, 0.693145752f, y);
    y = f32_select(x == INFINITY, x, y);
    y = f32_select(x == 0.0f, -INFINITY, y);
    return f32_select(x >= 0.0f, y, NAN);
}

static inline float f32_sigmoid(float x)
{
    const float e = f32_exp(-fabsf(x));
    const float upper = 1.0f / (1.0f + e);
    /* e / (1 + e) = e - e * e / (1 + e), where the error of 1 + e does not count. */
    return f32_select(x < 0.0f, f32_multiply_add(-e, e * upper, e), upper);
}

static inline float f32_tanh(float x)
{
    const float a = fabsf(x), bounded = f32_select(a > 10.0f, 10.0f, a);
    const float large = 1.0f - 2.0f / (f32_exp_bounded(2.0f * bounded) + 1.0f);
    const float square = a * a;
    float p = 0.002230996203f;
    p = f32_multiply_add(p, square, -0.008267016955f);
    p = f32_multiply_add(p, square, 0.02173440955f);
    p = f32_multiply_add(p, square, -0.05395246991f);
    p = f32_multiply_add(p, square, 0.1333324774f);
    p = f32_multiply_add(p, square, -0.3333333178f);
    const float small = f32_multiply_add(p * square, a, a);
    return copysignf(f32_select(a < 0.6f, small, large), x);
}

static inline float f32_erf(float x)
{
    const float a = fabsf(x), bounded = f32_select(a > 3.95f, 3.95f, a);
    /* 1 - exp(q), where q is the logarithm of 1 - erf. */
    float q = -2.116396064e-5f;
    q = f32_multiply_add(q, bounded, 0.0004352414117f);
    q = f32_multiply_add(q, bounded, -0.004174746469f);
    q = f32_multiply_add(q, bounded, 0.02512888268f);
    q = f32_multiply_add(q, bounded, -0.1082943247f);
    q = f32_multiply_add(q, bounded, -0.6333343275f);
    q = f32_multiply_add(q, bounded, -1.129520976f);
    q = f32_multiply_add(q, bounded, 0.0001759046654f);
    const float large = 1.0f - f32_exp_bounded(q);
    const float square = a * a;
    float p = 8.215354602e-5f;
    p = f32_multiply_add(p, square, -0.0008105946447f);
    p = f32_multiply_add(p, square, 0.005197795276f);
    p = f32_multiply_add(p, square, -0.02685810341f);
    p = f32_multiply_add(p, square, 0.1128367253f);
    p = f32_multiply_add(p, square, -0.3761263228f);
    p = f32_multiply_add(p, square, 0.1283791667f);
    const float small = f32_multiply_add(p, a, a);
    return copysignf(f32_select(a < 0.95f, small, large), x);
}

#if defined(F32_MATH_FMA)
static inline double f32_select_double(bool condition, double a, double b)
{
    const uint64_t mask = 0 - (uint64_t)condition;
    uint64_t bits, other;
    memcpy(&bits, &a, sizeof bits);
    memcpy(&other, &b, sizeof other);
    bits = (bits & mask) | (other & ~mask);
    memcpy(&a, &bits, sizeof a);
    return a;
}

/*
 * sin(x + quarter * pi / 2). x is an integer z times 2^b, with b = 5, 29, ... chosen by its size (b = 0 where it is small), and z * 2^b
 * is z * (2^b mod 2 pi) but for whole turns: that product has its fraction in doubles, however large x is.
 */
static inline float f32_turned_sin(float x, uint64_t quarter)
{
    const double y = (double)x, a = fabs(y);
    double z = y, whole = 1.0, part = 0.0;
    z = f32_select_double(a >= 0x1p28, y * 0x1p-5, z);
    whole = f32_select_double(a >= 0x1p28, 0.5840734641020676, whole);
    part = f32_select_double(a >= 0x1p28, -3.4014720596809827e-18, part);
    z = f32_select_double(a >= 0x1p52, y * 0x1p-29, z);
    whole = f32_select_double(a >= 0x1p52, 2.8089228021316304, whole);
    part = f32_select_double(a >= 0x1p52, 2.0885206388321233e-16, part);
    z = f32_select_double(a >= 0x1p76, y * 0x1p-53, z);
    whole = f32_select_double(a >= 0x1p76, 4.15554243060254, whole);
    part = f32_select_double(a >= 0x1p76, 1.1077925300979151e-16, part);
    z = f32_select_double(a >= 0x1p100, y * 0x1p-77, z);
    whole = f32_select_double(a >= 0x1p100, 1.4418039957061426, whole);
    part = f32_select_double(a >= 0x1p100, -7.351110135455308e-17, part);
    z = f32_select_double(a >= 0x1p124, y * 0x1p-101, z);
    whole = f32_select_double(a >= 0x1p124, 4.1638882438192715, whole);
    part = f32_select_double(a >= 0x1p124, 2.1941253857133145e-16, part);

    const double to_integer = 0x1.8p52;
    const double product = z * whole;
    const double rest = fma(z, part, fma(z, whole, -product));
    const double shifted = fma(product, 0.6366197723675814, to_integer);
    const double n = shifted - to_integer;
    const double near = fma(n, -1.5707963267948966, product) + fma(n, -6.123233995736766e-17, rest);
    const double again = fma(near, 0.6366197723675814, to_integer);
    const double r = fma(again - to_integer, -1.5707963267948966, near);

    uint64_t first, second;
    memcpy(&first, &shifted, sizeof first);
    memcpy(&second, &again, sizeof second);
    const uint64_t turn = first + second + quarter;
    const double square = r * r;
    double s = 2.718235164622403632e-6;
    s = fma(s, square, -0.0001983932686943044896);
    s = fma(s, square, 0.00833332936123094658);
    s = fma(s, square, -0.1666666664141412845);
    s = fma(s * square, r, r);
    double c = -2.717933922747386982e-7;
    c = fma(c, square, 0.00002479903069246889995);
    c = fma(c, square, -0.001388888103078631876);
    c = fma(c, square, 0.04166666656121356904);
    c = fma(c, square, -0.4999999999954031937);
    c = fma(c, square, 1.0);
    const double value = f32_select_double((turn & 1) != 0, c, s);
    return (float)f32_select_double((turn & 2) != 0, -value, value);
}

static inline float f32_sin(float x)
{
    const float y = f32_turned_sin(x, 0);
    return f32_select(x == 0.0f, x, y); /* keeps the sign of zero */
}

static inline float f32_cos(float x) { return f32_turned_sin(x, 1); }
#else
static inline float f32_sin(float x) { return sinf(x); }
static inline float f32_cos(float x) { return cosf(x); }
#endif

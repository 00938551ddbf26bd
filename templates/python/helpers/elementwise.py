def exp(x):
    return mapped(math.exp, x)


def log(x):
    return mapped(lambda number: math.log(number) if number else -math.inf, x)


def sqrt(x):
    return mapped(math.sqrt, x)


def rsqrt(x):
    return mapped(lambda number: quotient(1.0, math.sqrt(number)), x)


def sinh(x):
    return mapped(math.sinh, x)


def cosh(x):
    return mapped(math.cosh, mapped(abs, x))


def atanh(x):
    return mapped(lambda v: v * math.inf if abs(v) == 1 else math.atanh(v), x)


def whole(function, x):
    """`math.floor` or its like of each element; keeps infinities and signs of zeros."""
    numbers = [math.copysign(function(v), v) if abs(v) < 2**52 else v for v in x.data]
    return Array(x.shape, x.dtype, numbers)


def sign(x):
    """-1, 0 or 1; 0 for NaN."""
    kind = float if "float" in x.dtype else int
    return Array(x.shape, x.dtype, [kind((v > 0) - (v < 0)) for v in x.data])


def isnan(x):
    return Array(x.shape, "bool", list(map(math.isnan, x.data)))


def isinf(x):
    return Array(x.shape, "bool", list(map(math.isinf, x.data)))


def where(condition, a, b):
    """Elements of `a` where the condition holds, else of `b`; one may be a number."""
    own = a.dtype if isinstance(a, Array) else b.dtype
    a, b = array(a, own), array(b, own)
    shape = common_shape(condition.shape, a.shape, b.shape)
    rows = zip(spread(condition, shape), spread(a, shape), spread(b, shape))
    return Array(shape, own, [v if chosen else w for chosen, v, w in rows])


def clamp(x, least=None, most=None):
    """Elements limited below and above; NaN stays."""
    if least is not None:
        x = combined(larger, x, clamp_bound(least, x.dtype))
    if most is not None:
        x = combined(smaller, x, clamp_bound(most, x.dtype))
    return x


def clamp_bound(bound, dtype):
    """A bound as a number of the type; one that integers cannot reach is their end."""
    return cast(Array((), "float64", [float(bound)]), dtype)


def larger(a, b):
    return a if a > b or a != a else b


def smaller(a, b):
    return a if a < b or a != a else b


def floor_divide(a, b):
    """The quotient rounded down; floats by zero are infinite or NaN."""

    def divide(v, w):
        return v // w if w or isinstance(w, int) else quotient(v, w)

    return combined(divide, a, b)


def remainder(a, b):
    """What floor division leaves; it has the sign of `b`."""

    def rest(v, w):
        return v % w if w or isinstance(w, int) else math.nan

    return combined(rest, a, b)


def power(a, b):
    own = a.dtype if isinstance(a, Array) else b.dtype
    return combined(float_power if "float" in own else integer_power, a, b)


def float_power(a, b):
    try:
        return math.pow(a, b)
    except (OverflowError, ValueError):
        if a < 0 and b % 1:
            return math.nan
        return math.copysign(math.inf, a) if b % 2 == 1 else math.inf


def integer_power(a, b):
    if b < 0:
        raise ValueError("negative integer exponent; convert to a float first")
    return pow(a, b, 2**64)


def shift_left(a, b):
    """Shifts by more than the width of the type leave nothing."""
    return combined(lambda v, w: v << w if 0 <= w < 64 else 0, a, b)


def shift_right(a, b):
    """Shifts by more than the width of the type leave the sign."""
    return combined(lambda v, w: v >> (w if 0 <= w < 64 else 64), a, b)


def inverse_erf(y):
    """The inverse of `math.erf`: a first guess, and steps of Halley's method."""
    size = abs(y)
    rest = 1.0 - size
    if not rest > 0.0:
        return math.copysign(math.inf, y) if rest == 0.0 else math.nan
    log = math.log(rest * (1.0 + size))
    half = 2.0 / (math.pi * 0.147) + log / 2.0
    x = math.sqrt(max(math.sqrt(half * half - log / 0.147) - half, 0.0))
    for _ in range(3):
        # Differences of numbers near 1 have no digits left, those to 1 have.
        beyond = math.erf(x) - size if size < 0.5 else rest - math.erfc(x)
        step = beyond * math.sqrt(math.pi) / 2.0 * math.exp(x * x)
        x -= step / (1.0 + x * step)
    return math.copysign(x, y)

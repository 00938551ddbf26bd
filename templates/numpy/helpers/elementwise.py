def saturating_cast(x, dtype):
    """Floats as integers: toward zero, to the nearest end beyond the range, NaN as 0."""
    info = np.iinfo(dtype)
    x = x.astype(np.float64)
    below, above = x <= info.min, x >= info.max
    # The greatest int64 is no double: what reaches it is put in place.
    cast = np.where(below | above | np.isnan(x), 0.0, x).astype(dtype)
    least, greatest = (np.array(end, dtype) for end in (info.min, info.max))
    return np.where(below, least, np.where(above, greatest, cast))


def sign(x):
    """-1, 0 or 1; 0 also for NaN."""
    return np.nan_to_num(np.sign(x))


def erf(x):
    """The error function, to double precision: two series of Chebyshev polynomials."""
    size = np.minimum(np.abs(x.astype(np.float64)), 6.0)
    inner = size * np.polynomial.chebyshev.chebval(2.0 * size * size - 1.0, ERF_INNER)
    outer = 1.0 - erf_rest(size)
    return np.copysign(np.where(size < 1.0, inner, outer), x).astype(x.dtype)


def erf_rest(size):
    """What the error function of a number from 1 to 6 lacks to 1."""
    # `exp(x**2) * (1 - erf(x))`, in what brings 1 to 6 to -1 to 1.
    place = 2.4 * (size - 3.0) / (size + 3.0) + 0.2
    return np.exp(-size * size) * np.polynomial.chebyshev.chebval(place, ERF_OUTER)


def erfinv(y):
    """The inverse of `erf`: a first guess, and steps of Halley's method."""
    size = np.abs(y.astype(np.float64))
    rest = 1.0 - size
    # The bounds are put in place.
    log = np.log(np.where(rest == 0.0, 1.0, rest) * (1.0 + size))
    half = 2.0 / (np.pi * 0.147) + log / 2.0
    x = np.sqrt(np.maximum(np.sqrt(half * half - log / 0.147) - half, 0.0))
    for _ in range(3):
        # Differences of numbers near 1 have no digits left, those to 1 have.
        beyond = np.where(x < 1.0, erf(x) - size, rest - erf_rest(x))
        step = beyond * np.sqrt(np.pi) / 2.0 * np.exp(x * x)
        x = x - step / (1.0 + x * step)
    return np.copysign(np.where(rest == 0.0, np.inf, x), y).astype(y.dtype)


ERF_INNER = [
    0.9754769393826541,
    -0.14226120510371365,
    0.010035582187599796,
    -0.0005768764699767485,
    2.741993125219606e-05,
    -1.1043175507344507e-06,
    3.8488755420345036e-08,
    -1.1808582533875466e-09,
    3.2334215826050907e-11,
    -7.991015947004549e-13,
    1.7990725113961456e-14,
    -3.718635487818693e-16,
]


ERF_OUTER = [
    0.23376822188092547,
    -0.16410196278423408,
    0.026097812602892758,
    -0.003281118531499783,
    0.0003134638906524851,
    -2.046056770846006e-05,
    5.776987700182602e-07,
    3.7726446174366106e-08,
    -4.115662017323819e-09,
    -2.040121545843181e-11,
    2.0708393696186037e-11,
    -2.3843849434040655e-13,
    -1.1516152507336692e-13,
    1.4762836958503498e-15,
    7.378013084044974e-16,
]

class Scheme:
    """A way to write numbers as small integer codes and a scale.

    One scale serves the whole array, one index of `axis`, `group` neighbours in the
    last axis, or (`dynamic`) one row of the last axis.
    """

    has_zero_point = False

    def __init__(
        self, axis=None, group=None, dynamic=False, clipped=False, scale_dtype="float32"
    ):
        self.axis = axis
        self.group = group
        self.dynamic = dynamic
        self.clipped = clipped
        self.scale_dtype = scale_dtype

    def run(self, shape):
        """How many neighbours share a scale, and the shape of the scales."""
        if self.axis is not None:
            axis = range(len(shape))[self.axis]
            return math.prod(shape[axis + 1 :]), shape[axis : axis + 1]
        if self.group is not None:
            return self.group, (*shape[:-1], shape[-1] // self.group)
        if self.dynamic:
            return shape[-1], shape[:-1]
        return math.prod(shape), ()

    def runs(self, numbers, shape):
        """Neighbours that share a scale, each list with the position of that scale."""
        size, scales = self.run(shape)
        count = math.prod(scales)
        starts = range(0, len(numbers), max(size, 1))
        return [(i % count, numbers[j : j + size]) for i, j in enumerate(starts)]

    def stored_scale(self, scale):
        """A scale in its type; that of nothing but zeros is 1."""
        (scale,) = stored([single(scale)], self.scale_dtype)
        if math.isinf(scale):
            raise ValueError(f"a scale is too large for {self.scale_dtype}")
        return scale or 1.0

    def quantize(self, x):
        """Codes, scale and, where there is one, zero point."""
        x = array(x, "float32")
        runs = self.runs(stored(x.data, "float32"), x.shape)
        scales = self.run(x.shape)[1]
        slices = [[] for _ in range(math.prod(scales))]
        for i, numbers in runs:
            if not all(map(math.isfinite, numbers)):
                raise ValueError("only finite numbers can be quantised")
            slices[i] += numbers
        parts = [self.measure(numbers) for numbers in slices]
        codes = [
            code for i, numbers in runs for code in self.encode(numbers, *parts[i])
        ]
        results = [Array(x.shape, self.code_dtype, codes)]
        results.append(Array(scales, self.scale_dtype, [part[0] for part in parts]))
        if self.has_zero_point:
            results.append(Array(scales, self.code_dtype, [part[1] for part in parts]))
        return tuple(results)

    def quantize_with(self, x, *parts):
        """Codes under a scale that is given."""
        parts = list(zip(*(part.data for part in parts)))
        runs = self.runs(stored(x.data, "float32"), x.shape)
        codes = [
            code for i, numbers in runs for code in self.encode(numbers, *parts[i])
        ]
        return Array(x.shape, self.code_dtype, codes)

    def dequantize(self, codes, scale, zero_point=None, dtype="float32"):
        """The numbers that the codes stand for."""
        zero_points = (
            zero_point.data if zero_point is not None else [0] * len(scale.data)
        )
        numbers = []
        for i, run in self.runs(codes.data, codes.shape):
            factor, zero = scale.data[i], zero_points[i]
            numbers += [(code - zero) * factor for code in run]
        return Array(codes.shape, dtype, stored(stored(numbers, "float32"), dtype))

    def pack(self, x):
        """A weight as it is stored: packed codes, their scale and zero point."""
        codes, *parts = self.quantize(x)
        rows = pack_codes(codes, self.bits, self.offset)
        return dict(zip(("codes", "scale", "zero_point"), (rows, *parts)))

    def unpack(self, weight, size):
        """The codes of a stored weight; `size` is that of its last axis."""
        codes = unpack_codes(weight["codes"], size, self.bits, self.offset)
        return cast(codes, self.code_dtype)

    def restore(self, weight, size):
        """A stored weight as floats."""
        codes = self.unpack(weight, size)
        return self.dequantize(codes, weight["scale"], weight.get("zero_point"))


def single(number):
    """A number rounded to `float32`."""
    return stored([number], "float32")[0]


class Ternary(Scheme):
    """Codes -1, 0 and 1: weights over their mean absolute value, rounded."""

    bits, offset, code_dtype = 2, 1, "int8"

    def measure(self, numbers):
        total = sum(map(abs, numbers))
        least = single(1e-5)
        scale = max(single(total / len(numbers)), least) if total else 0.0
        return (self.stored_scale(scale),)

    def encode(self, numbers, scale):
        ratios = stored([number / scale for number in numbers], "float32")
        return [round(min(max(ratio, -1.0), 1.0)) for ratio in ratios]


class StochasticTernary(Ternary):
    """The same, rounded up or down at random, for training."""

    def __init__(self, seed, **options):
        super().__init__(**options)
        self.seed = seed

    def quantize(self, x):
        self.words = iter(philox(self.seed, len(x.data)))
        return super().quantize(x)

    def encode(self, numbers, scale):
        ratios = stored([number / scale for number in numbers], "float32")
        ratios = [min(max(ratio, -1.0), 1.0) for ratio in ratios]
        sums = [
            ratio + (word >> 8) * 2.0**-24 for ratio, word in zip(ratios, self.words)
        ]
        return [min(math.floor(number), 1) for number in stored(sums, "float32")]


class TernaryThreshold(Scheme):
    """Codes -1, 0 and 1: the sign where the absolute value is over a threshold."""

    bits, offset, code_dtype = 2, 1, "int8"

    def __init__(self, ratio=None, threshold=None, kept_scale=False, **options):
        super().__init__(**options)
        self.ratio = ratio
        self.threshold = threshold
        self.kept_scale = kept_scale

    def measure(self, numbers):
        sizes = list(map(abs, numbers))
        if self.ratio is None:
            limit = single(self.threshold)
        else:
            limit = single(single(self.ratio) * max(sizes, default=0.0))
        scale = 1.0
        if self.kept_scale:
            kept = [size for size in sizes if size > limit]
            scale = sum(kept) / max(len(kept), 1)
        return self.stored_scale(scale), limit

    def encode(self, numbers, scale, limit):
        return [(number > limit) - (number < -limit) for number in numbers]


class Int(Scheme):
    """Signed codes of 4 or 8 bits, symmetric about 0."""

    code_dtype = "int8"

    def __init__(self, bits, **options):
        super().__init__(**options)
        self.bits = bits
        self.offset = 8 if bits == 4 else 0
        self.limit = 7 if bits == 4 else 127

    def measure(self, numbers):
        greatest = max(map(abs, numbers), default=0.0)
        return (self.stored_scale(greatest / self.limit),)

    def encode(self, numbers, scale):
        limit = self.limit
        ratios = stored([number / scale for number in numbers], "float32")
        return [round(min(max(ratio, -limit), limit)) for ratio in ratios]


class AffineInt(Scheme):
    """Codes of 4 or 8 bits that span the range from the least to the greatest value."""

    has_zero_point = True

    def __init__(self, bits, **options):
        super().__init__(**options)
        self.bits = bits
        self.offset = 0
        self.least = 0 if bits == 4 else -128
        self.greatest = self.least + 2**bits - 1
        self.code_dtype = "uint8" if bits == 4 else "int8"

    def measure(self, numbers):
        low, high = min(numbers, default=0.0), max(numbers, default=0.0)
        low, high = min(low, 0.0), max(high, 0.0)
        step = single(single(high - low) / (2**self.bits - 1))
        scale = self.stored_scale(step)
        if not stored([step], self.scale_dtype)[0]:
            return scale, 0
        zero_point = round(single(self.least - single(low / scale)))
        return scale, min(max(zero_point, self.least), self.greatest)

    def encode(self, numbers, scale, zero_point):
        least, greatest = self.least, self.greatest
        # Beyond this a code is one of the ends.
        bound = 2.0**22
        ratios = stored([number / scale for number in numbers], "float32")
        codes = [round(min(max(ratio, -bound), bound)) + zero_point for ratio in ratios]
        return [min(max(code, least), greatest) for code in codes]


def fake_quantize(x, scheme, *parts):
    """`x` as its codes give it; with a scale that is given, if there is one."""
    if parts:
        return scheme.dequantize(scheme.quantize_with(x, *parts), *parts, dtype=x.dtype)
    return scheme.dequantize(*scheme.quantize(x), dtype=x.dtype)

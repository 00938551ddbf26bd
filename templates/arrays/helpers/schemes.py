{% set divide = "np.divide" if np == "np" else "divide" %}
{% set constant = "x" if np == "np" else "lax.stop_gradient(x)" %}
class Scheme:
    """A way to write numbers as small integer codes and a scale.

    One scale serves the whole tensor, or one index of `axis`, or `group` neighbours in
    the last axis, or one row of the last axis (`dynamic`).
    """

    def __init__(
        self,
        axis=None,
        group=None,
        dynamic=False,
        clipped=False,
        scale_dtype=np.float32,
    ):
        self.axis = axis
        self.group = group
        self.dynamic = dynamic
        self.clipped = clipped
        self.scale_dtype = scale_dtype

    def slices(self, x):
        """`x` so that whole axes share a scale, and those axes."""
        axes = tuple(range(x.ndim))
        if self.group is not None:
            return x.reshape(*x.shape[:-1], -1, self.group), (x.ndim,)
        if self.axis is not None:
            return x, tuple(axis for axis in axes if axis != self.axis % x.ndim)
        return x, axes[-1:] if self.dynamic else axes

    def stored(self, scale):
        """Scales in their type; that of nothing but zeros is 1."""
        scale = scale.astype(self.scale_dtype)
        return np.where(scale == 0, 1.0, scale)

    def quantize(self, x):
        """Codes, scale and, where there is one, zero point."""
        slices, shared = self.slices({{ constant }}.astype(np.float32))
        codes, *parts = self.encode(slices, shared)
        codes = codes.astype(self.code_dtype).reshape(x.shape)
        return codes, *(part.squeeze(shared) for part in parts)

    def quantize_with(self, x, *parts):
        """Codes under a scale that is given."""
        slices, shared = self.slices({{ constant }}.astype(np.float32))
        codes = self.codes(slices, *self.spread(parts, slices, shared))
        return codes.astype(self.code_dtype).reshape(x.shape)

    def dequantize(self, codes, *parts, dtype=np.float32):
        """The numbers that codes, scale and zero point stand for."""
        slices, shared = self.slices(codes.astype(np.float32))
        scale, *zero_point = self.spread(parts, slices, shared)
        if zero_point:
            slices = slices - zero_point[0]
        return (slices * scale).reshape(codes.shape).astype(dtype)

    def spread(self, parts, slices, shared):
        """Scales and zero points as floats that broadcast to the slices."""
        sizes = [1 if axis in shared else n for axis, n in enumerate(slices.shape)]
        return [part.astype(np.float32).reshape(sizes) for part in parts]

    def pack(self, weight):
        """A weight as it is stored: packed codes, scale and, where there is one, zero point."""
        codes, *parts = self.quantize(weight)
        codes = pack_codes(codes, self.bits, self.offset)
        return dict(zip(("codes", "scale", "zero_point"), (codes, *parts)))

    def unpack(self, stored, size):
        """The codes of a stored weight whose last axis has that size."""
        codes = unpack_codes(stored["codes"], size, self.bits, self.offset)
        return codes.astype(self.code_dtype)

    def restore(self, stored, size):
        """A stored weight as floats."""
        parts = [stored[name] for name in ("scale", "zero_point") if name in stored]
        return self.dequantize(self.unpack(stored, size), *parts)


class Ternary(Scheme):
    """Codes -1, 0 and 1: weights over their mean absolute value, rounded."""

    bits, offset, code_dtype = 2, 1, np.int8

    def encode(self, slices, shared):
        mean = np.abs(slices).mean(axis=shared, keepdims=True, dtype=np.float64)
        least = mean.astype(np.float32).clip(min=1e-5)
        scale = self.stored(np.where(mean > 0, least, 0.0))
        return np.rint({{ divide }}(slices, scale)).clip(-1, 1), scale


class StochasticTernary(Ternary):
    """The same, rounded up or down at random, for training."""

    def __init__(self, seed, **options):
        super().__init__(**options)
        self.seed = seed

    def encode(self, slices, shared):
        _, scale = super().encode(slices, shared)
        draws = uniform(self.seed, slices.size).astype(np.float32)
        codes = {{ divide }}(slices, scale).clip(-1, 1)
        codes = np.floor(codes + draws.reshape(slices.shape))
        return codes.clip(-1, 1), scale


class TernaryThreshold(Scheme):
    """Codes -1, 0 and 1: the sign where the absolute value is over a threshold."""

    bits, offset, code_dtype = 2, 1, np.int8

    def __init__(self, ratio=None, threshold=None, kept_scale=False, **options):
        super().__init__(**options)
        self.ratio = ratio
        self.threshold = threshold
        self.kept_scale = kept_scale

    def encode(self, slices, shared):
        size = np.abs(slices)
        greatest = size.max(axis=shared, keepdims=True)
        threshold = self.threshold if self.ratio is None else self.ratio * greatest
        kept = size > threshold
        scale = np.ones_like(greatest)
        if self.kept_scale:
            count = kept.sum(axis=shared, keepdims=True)
            sums = np.where(kept, size, 0.0).sum(shared, np.float64, keepdims=True)
            scale = (sums / count.clip(min=1)).astype(np.float32)
        return np.where(kept, np.sign(slices), 0.0), self.stored(scale)


class Int(Scheme):
    """Signed codes of 4 or 8 bits, symmetric about 0."""

    code_dtype = np.int8

    def __init__(self, bits, **options):
        super().__init__(**options)
        self.bits = bits
        self.offset = 8 if bits == 4 else 0
        self.limit = 7 if bits == 4 else 127

    def encode(self, slices, shared):
        greatest = np.abs(slices).max(axis=shared, keepdims=True)
        scale = self.stored({{ divide }}(greatest, self.limit))
        return self.codes(slices, scale.astype(np.float32)), scale

    def codes(self, slices, scale):
        return np.rint({{ divide }}(slices, scale)).clip(-self.limit, self.limit)


class AffineInt(Scheme):
    """Codes of 4 or 8 bits that span the range from the least to the greatest value."""

    offset = 0

    def __init__(self, bits, **options):
        super().__init__(**options)
        self.bits = bits
        self.least = 0 if bits == 4 else -128
        self.greatest = self.least + 2**bits - 1
        self.code_dtype = np.uint8 if bits == 4 else np.int8

    def encode(self, slices, shared):
        low = slices.min(axis=shared, keepdims=True).clip(max=0.0)
        high = slices.max(axis=shared, keepdims=True).clip(min=0.0)
        step = {{ divide }}(high - low, 2**self.bits - 1)
        scale = self.stored(step)
        single = scale.astype(np.float32)
        zero_point = np.rint(self.least - {{ divide }}(low, single))
        zero_point = zero_point.clip(self.least, self.greatest)
        # A slice of zeros has codes of 0.
        empty = step.astype(self.scale_dtype) == 0
        zero_point = np.where(empty, 0.0, zero_point)
        codes = self.codes(slices, single, zero_point)
        return codes, scale, zero_point.astype(self.code_dtype)

    def codes(self, slices, scale, zero_point):
        codes = np.rint({{ divide }}(slices, scale)) + zero_point
        return codes.clip(self.least, self.greatest)

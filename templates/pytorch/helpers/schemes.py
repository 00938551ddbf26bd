class Scheme:
    """A way to write numbers as small integer codes and a scale.

    One scale serves the whole tensor{{ ", or" if uses.axis or uses.group or uses.dynamic else "." }}
{% if uses.axis %}
    one index of `axis`{{ ", or" if uses.group or uses.dynamic else "." }}
{% endif %}
{% if uses.group %}
    `group` neighbours in the last axis{{ ", or" if uses.dynamic else "." }}
{% endif %}
{% if uses.dynamic %}
    one row of the last axis (`dynamic`).
{% endif %}
    """
{% if uses.axis or uses.group or uses.dynamic or uses.clipped or uses.scale_dtype %}

{% if uses.scale_dtype %}
    def __init__(
        self,
{% if uses.axis %}
        axis=None,
{% endif %}
{% if uses.group %}
        group=None,
{% endif %}
{% if uses.dynamic %}
        dynamic=False,
{% endif %}
{% if uses.clipped %}
        clipped=False,
{% endif %}
        scale_dtype=torch.float32,
    ):
{% else %}
    def __init__(self
        {%- if uses.axis %}, axis=None{% endif %}
        {%- if uses.group %}, group=None{% endif %}
        {%- if uses.dynamic %}, dynamic=False{% endif %}
        {%- if uses.clipped %}, clipped=False{% endif -%}
        ):
{% endif %}
{% if uses.axis %}
        self.axis = axis
{% endif %}
{% if uses.group %}
        self.group = group
{% endif %}
{% if uses.dynamic %}
        self.dynamic = dynamic
{% endif %}
{% if uses.clipped %}
        self.clipped = clipped
{% endif %}
{% if uses.scale_dtype %}
        self.scale_dtype = scale_dtype
{% endif %}
{% endif %}

    def slices(self, x):
        """`x` so that whole axes share a scale, and those axes."""
{% if uses.group %}
        if self.group is not None:
            return x.reshape(*x.shape[:-1], -1, self.group), (x.dim(),)
{% endif %}
{% if uses.dynamic %}
        if self.dynamic:
            return x, (x.dim() - 1,)
{% endif %}
{% if uses.axis %}
        if self.axis is not None:
            own = self.axis % x.dim()
            # One more axis, since no axes at all would mean all of them.
            x = x.unsqueeze(-1)
            return x, tuple(axis for axis in range(x.dim()) if axis != own)
{% endif %}
        return x, tuple(range(x.dim()))

    def stored(self, scale):
        """Scales in their type; that of nothing but zeros is 1."""
{% if uses.scale_dtype %}
        scale = scale.to(self.scale_dtype)
{% endif %}
        return torch.where(scale == 0, 1.0, scale)

    def quantize(self, x):
        """Codes{{ ", scale and, where there is one, zero point" if uses.zero_point else " and scale" }}."""
        # No gradient passes the scale.
        slices, shared = self.slices(x.detach().float())
        codes, *parts = self.encode(slices, shared)
        codes = codes.to(self.code_dtype).reshape(x.shape)
        return codes, *(part.squeeze(shared) for part in parts)

{% if uses.given %}
    def quantize_with(self, x, *parts):
        """Codes under a scale that is given."""
        slices, shared = self.slices(x.float())
        sizes = [1 if axis in shared else n for axis, n in enumerate(slices.shape)]
        codes = self.codes(slices, *(part.float().reshape(sizes) for part in parts))
        return codes.to(self.code_dtype).reshape(x.shape)

{% endif %}
    def dequantize(self, codes, scale,{{ " zero_point=None," if uses.zero_point else "" }} dtype=torch.float32):
        """The numbers that the codes stand for."""
        slices, shared = self.slices(codes.float())
        sizes = [1 if axis in shared else n for axis, n in enumerate(slices.shape)]
{% if uses.zero_point %}
        if zero_point is not None:
            slices = slices - zero_point.float().reshape(sizes)
{% endif %}
        return (slices * scale.float().reshape(sizes)).reshape(codes.shape).to(dtype)


class Ternary(Scheme):
    """Codes -1, 0 and 1: weights over their mean absolute value, rounded."""

    bits, offset, code_dtype = 2, 1, torch.int8

    def encode(self, slices, shared):
        mean = slices.abs().double().mean(shared, keepdim=True)
        scale = torch.where(mean > 0, mean.float().clamp(min=1e-5), 0.0)
        scale = self.stored(scale)
        return (slices / scale.float()).round().clamp(-1, 1), scale


class StochasticTernary(Ternary):
    """The same, rounded up or down at random, for training."""

    def __init__(self, seed, **options):
        super().__init__(**options)
        self.seed = seed

    def encode(self, slices, shared):
        _, scale = super().encode(slices, shared)
        words = philox(self.seed, slices.numel(), slices.device) >> 8
        draws = (words.double() * 2.0**-24).float().reshape(slices.shape)
        codes = ((slices / scale.float()).clamp(-1, 1) + draws).floor()
        return codes.clamp(-1, 1), scale


class TernaryThreshold(Scheme):
    """Codes -1, 0 and 1: the sign where the absolute value is over a threshold."""

    bits, offset, code_dtype = 2, 1, torch.int8

    def __init__(self, ratio=None, threshold=None, kept_scale=False, **options):
        super().__init__(**options)
        self.ratio = ratio
        self.threshold = threshold
        self.kept_scale = kept_scale

    def encode(self, slices, shared):
        size = slices.abs()
        threshold = self.threshold
        if self.ratio is not None:
            threshold = self.ratio * size.amax(shared, keepdim=True)
        kept = size > threshold
        scale = torch.ones_like(size.amax(shared, keepdim=True))
        if self.kept_scale:
            count = kept.sum(shared, keepdim=True)
            total = torch.where(kept, size, 0.0).double().sum(shared, keepdim=True)
            scale = (total / count.clamp(min=1)).float()
        return torch.where(kept, slices.sign(), 0.0), self.stored(scale)


class Int(Scheme):
    """Signed codes of 4 or 8 bits, symmetric about 0."""

    def __init__(self, bits, **options):
        super().__init__(**options)
        self.bits = bits
        self.offset = 8 if bits == 4 else 0
        self.limit = 7 if bits == 4 else 127
        self.code_dtype = torch.int8

    def encode(self, slices, shared):
        scale = self.stored(slices.abs().amax(shared, keepdim=True) / self.limit)
{% if uses.given %}
        return self.codes(slices, scale.float()), scale

    def codes(self, slices, scale):
        return (slices / scale).round().clamp(-self.limit, self.limit)
{% else %}
        codes = (slices / scale.float()).round()
        return codes.clamp(-self.limit, self.limit), scale
{% endif %}


class AffineInt(Scheme):
    """Codes of 4 or 8 bits that span the range from the least to the greatest value."""

    def __init__(self, bits, **options):
        super().__init__(**options)
        self.bits = bits
        self.offset = 0
        self.least = 0 if bits == 4 else -128
        self.code_dtype = torch.uint8 if bits == 4 else torch.int8

    def encode(self, slices, shared):
        low = slices.amin(shared, keepdim=True).clamp(max=0.0)
        high = slices.amax(shared, keepdim=True).clamp(min=0.0)
        greatest = self.least + 2**self.bits - 1
        step = (high - low) / (2**self.bits - 1)
        scale = self.stored(step)
        zero_point = (self.least - low / scale.float()).round()
        zero_point = zero_point.clamp(self.least, greatest)
        # A slice of zeros has codes of 0.
        zero_point = torch.where(step{{ ".to(self.scale_dtype)" if uses.scale_dtype else "" }} == 0, 0.0, zero_point)
{% if uses.given %}
        codes = self.codes(slices, scale.float(), zero_point)
        return codes, scale, zero_point.to(self.code_dtype)

    def codes(self, slices, scale, zero_point):
        greatest = self.least + 2**self.bits - 1
        codes = (slices / scale).round() + zero_point
        return codes.clamp(self.least, greatest)
{% else %}
        codes = (slices / scale.float()).round() + zero_point
        zero_point = zero_point.to(self.code_dtype)
        return codes.clamp(self.least, greatest), scale, zero_point
{% endif %}


class FakeQuantize(torch.autograd.Function):
{% if uses.clipped %}
    """Quantises and dequantises; the gradient passes straight through.

    With `clipped` it stops where a value was clamped.
    """
{% else %}
    """Quantises and dequantises; the gradient passes straight through."""
{% endif %}

    @staticmethod
{% if uses.given %}
    def forward(ctx, x, scheme, *parts):
        ctx.given = len(parts)
        if parts:
            codes = scheme.quantize_with(x, *parts)
        else:
            codes, *parts = scheme.quantize(x)
{% else %}
    def forward(ctx, x, scheme):
        codes, *parts = scheme.quantize(x)
{% endif %}
{% if uses.clipped %}
        ctx.clipped = scheme.clipped
        if scheme.clipped:
            # A rounded value is at most half a step away; a clamped one is further.
            step = scheme.dequantize(torch.ones_like(codes), parts[0])
            distance = (x - scheme.dequantize(codes, *parts)).abs()
            ctx.save_for_backward(distance <= 0.5 * step)
{% endif %}
        return scheme.dequantize(codes, *parts, dtype=x.dtype)

    @staticmethod
    def backward(ctx, gradient):
{% if uses.clipped %}
        if ctx.clipped:
            gradient = gradient * ctx.saved_tensors[0]
{% endif %}
{% if uses.given %}
        return gradient, None, *[None] * ctx.given
{% else %}
        return gradient, None
{% endif %}


{% if uses.given %}
def fake_quantize(x, scheme, *parts):
    """`x` as its codes give it, with a straight-through gradient."""
    return FakeQuantize.apply(x, scheme, *parts)
{% else %}
def fake_quantize(x, scheme):
    """`x` as its codes give it, with a straight-through gradient."""
    return FakeQuantize.apply(x, scheme)
{% endif %}

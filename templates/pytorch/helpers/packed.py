class PackedWeight(nn.Module):
    """A quantised weight: packed codes{{ ", their scale and zero point" if uses.zero_point else " and their scale" }}."""

    def __init__(self, weight, scheme):
        super().__init__()
        self.shape = weight.shape
        self.dtype = weight.dtype
        self.scheme = scheme
{% if uses.zero_point %}
        codes, *parts = scheme.quantize(weight)
        self.register_buffer("codes", pack_codes(codes, scheme.bits, scheme.offset))
        for name, part in zip(("scale", "zero_point"), parts):
            self.register_buffer(name, part.contiguous())
{% else %}
        codes, scale = scheme.quantize(weight)
        self.register_buffer("codes", pack_codes(codes, scheme.bits, scheme.offset))
        self.register_buffer("scale", scale.contiguous())
{% endif %}
{% if not training %}

    def store(self, weight):
        """Quantises a float weight into this one."""
        other = PackedWeight(weight.to(self.dtype), self.scheme)
        for own, part in zip(self.buffers(), other.buffers()):
            own.copy_(part)
{% endif %}

    def unpack(self):
        """The codes, one to an element."""
        scheme = self.scheme
        codes = unpack_codes(self.codes, self.shape[-1], scheme.bits, scheme.offset)
        return codes.to(scheme.code_dtype)

    def parts(self):
{% if uses.zero_point %}
        """The scale and, where there is one, the zero point."""
        return [part for name, part in self.named_buffers() if name != "codes"]
{% else %}
        """What the codes are multiplied by."""
        return [self.scale]
{% endif %}

    def dequantize(self):
        """The weight as floats."""
        return self.scheme.dequantize(self.unpack(), *self.parts(), dtype=self.dtype)


def pack_weight(module, name):
    """Puts packed codes in the place of a module's float weight."""
    weight = getattr(module, name).detach()
    delattr(module, name)
    setattr(module, name, PackedWeight(weight, module.schemes[name]))


def pack_weights(module):
    """Packs the quantised weights of a module and of all its parts."""
    for part in module.modules():
        for name in getattr(part, "schemes", {}):
            if not isinstance(getattr(part, name), PackedWeight):
                pack_weight(part, name)


def quantized(weight, scheme):
    """The value of a quantised weight, be it a float master or packed."""
    if isinstance(weight, PackedWeight):
        return weight.dequantize()
    return fake_quantize(weight, scheme)


def quantized_codes(weight, scheme):
    """Codes and scale of a quantised weight, be it a float master or packed."""
    if isinstance(weight, PackedWeight):
        return weight.unpack(), *weight.parts()
    return scheme.quantize(weight)

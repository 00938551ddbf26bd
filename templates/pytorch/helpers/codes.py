def pack_codes(codes, bits, offset):
    """Codes in as few bytes as they need, along the last axis, the first in the low bits."""
{% if uses.bytes %}
    if bits == 8:
        return codes.view(torch.uint8)
{% endif %}
    digits = F.pad(
        codes.int() + offset, (0, -codes.shape[-1] % (8 // bits)), value=offset
    )
    shifts = torch.arange(0, 8, bits, device=codes.device)
    digits = digits.unflatten(-1, (-1, 8 // bits)) << shifts
    return digits.sum(-1).to(torch.uint8)


def unpack_codes(packed, size, bits, offset):
    """The `size` codes that each row of packed bytes holds."""
{% if uses.bytes %}
    if bits == 8:
        return packed.view(torch.int8)
{% endif %}
    shifts = torch.arange(0, 8, bits, device=packed.device)
    digits = packed.unsqueeze(-1).int() >> shifts & 2**bits - 1
    return digits.flatten(-2)[..., :size] - offset


FORMATS = {"ternary2": (2, 1), "int4": (4, 8), "uint4": (4, 0), "int8": (8, 0)}


def pack_as(codes, form):
    """Codes in the packed form of that name."""
    if form != "ternary5":
        return pack_codes(codes, *FORMATS[form])
    digits = F.pad(codes.int() + 1, (0, -codes.shape[-1] % 5), value=1)
    powers = 3 ** torch.arange(5, device=codes.device)
    return (digits.unflatten(-1, (-1, 5)) * powers).sum(-1).to(torch.uint8)


def unpack_as(packed, form, size, dtype):
    """The codes of the packed form of that name."""
    if form != "ternary5":
        return unpack_codes(packed, size, *FORMATS[form]).to(dtype)
    powers = 3 ** torch.arange(5, device=packed.device)
    digits = packed.unsqueeze(-1).int() // powers % 3
    return (digits.flatten(-2)[..., :size] - 1).to(dtype)

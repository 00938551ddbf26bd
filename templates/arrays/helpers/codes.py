def pack_codes(codes, bits, offset):
    """Codes in as few bytes as they need, along the last axis, the first in the low bits."""
    if bits == 8:
        return codes.copy().view(np.uint8)
    return pack_digits(codes.astype(np.int16) + offset, 8 // bits, 2**bits, offset)


def unpack_codes(packed, size, bits, offset):
    """The `size` codes that each row of packed bytes holds."""
    if bits == 8:
        return packed.view(np.int8)
    return unpack_digits(packed, size, 8 // bits, 2**bits) - offset


def pack_digits(digits, many, base, filling):
    """So many digits to a byte, the first the lowest; the last byte of a row is filled up."""
    pads = [(0, 0)] * (digits.ndim - 1) + [(0, -digits.shape[-1] % many)]
    digits = np.pad(digits, pads, constant_values=filling)
    digits = digits.reshape(*digits.shape[:-1], -1, many)
    return (digits * base ** np.arange(many)).sum(-1).astype(np.uint8)


def unpack_digits(packed, size, many, base):
    """The first `size` digits of each row."""
    digits = packed[..., None].astype(np.int16) // base ** np.arange(many) % base
    return digits.reshape(*packed.shape[:-1], packed.shape[-1] * many)[..., :size]


FORMATS = {"ternary2": (2, 1), "int4": (4, 8), "uint4": (4, 0), "int8": (8, 0)}


def pack_as(codes, form):
    """Codes in the packed form of that name."""
    if form == "ternary5":
        return pack_digits(codes.astype(np.int16) + 1, 5, 3, 1)
    return pack_codes(codes, *FORMATS[form])


def unpack_as(packed, form, size, dtype):
    """The codes of the packed form of that name."""
    if form == "ternary5":
        codes = unpack_digits(packed, size, 5, 3) - 1
    else:
        codes = unpack_codes(packed, size, *FORMATS[form])
    return codes.astype(dtype)

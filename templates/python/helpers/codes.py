def pack_codes(codes, bits, offset):
    """Codes in as few bytes as they need, the first in the low bits."""
    return digits_packed(codes, 2**bits, 8 // bits, 0 if bits == 8 else offset)


def unpack_codes(packed, size, bits, offset):
    """The `size` codes that each row of packed bytes holds."""
    return digits_unpacked(packed, size, 2**bits, 8 // bits, offset)


def digits_packed(codes, base, each, offset):
    """Codes as digits of bytes, so many in each, the first the lowest."""
    size = codes.shape[-1]
    width = -(-size // each)
    data = []
    for first in range(0, len(codes.data), max(size, 1)):
        row = [(code + offset) % base for code in codes.data[first : first + size]]
        row += [offset] * (width * each - size)
        parts = [row[i::each] for i in range(each)]
        data += [
            sum(d * base**i for i, d in enumerate(digits)) for digits in zip(*parts)
        ]
    return Array((*codes.shape[:-1], width), "uint8", data)


def digits_unpacked(packed, size, base, each, offset):
    """The digits of bytes, less the offset."""
    width = packed.shape[-1]
    units = [base**i for i in range(each)]
    data = []
    for first in range(0, len(packed.data), max(width, 1)):
        row = packed.data[first : first + width]
        data += [byte // unit % base - offset for byte in row for unit in units][:size]
    return Array((*packed.shape[:-1], size), "int8", stored(data, "int8"))


def pack_as(codes, form):
    """Codes in the packed form of that name."""
    if form == "ternary5":
        return digits_packed(codes, 3, 5, 1)
    return pack_codes(codes, *FORMATS[form])


def unpack_as(packed, form, size, dtype):
    """The codes of the packed form of that name."""
    if form == "ternary5":
        return cast(digits_unpacked(packed, size, 3, 5, 1), dtype)
    return cast(unpack_codes(packed, size, *FORMATS[form]), dtype)


FORMATS = {"ternary2": (2, 1), "int4": (4, 8), "uint4": (4, 0), "int8": (8, 0)}

def read_safetensors(path):
    """The tensors of a safetensors file, by name."""
    with open(path, "rb") as file:
        content = file.read()
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in SAFETENSORS:
            raise ValueError(f"{name}: element type {entry['dtype']} is not supported")
        dtype, letter = SAFETENSORS[entry["dtype"]]
        first, last = (start + offset for offset in entry["data_offsets"])
        raw = content[first:last]
        if dtype == "bfloat16":
            # The upper half of a float32.
            pairs = zip(raw[::2], raw[1::2])
            raw = b"".join(bytes((0, 0, low, high)) for low, high in pairs)
        count = math.prod(entry["shape"])
        data = list(struct.unpack(f"<{count}{letter}", raw))
        tensors[name] = Array(entry["shape"], dtype, data)
    return tensors


SAFETENSORS = {
    "BOOL": ("bool", "?"),
    "U8": ("uint8", "B"),
    "I8": ("int8", "b"),
    "U16": ("uint16", "H"),
    "I16": ("int16", "h"),
    "U32": ("uint32", "I"),
    "I32": ("int32", "i"),
    "U64": ("uint64", "Q"),
    "I64": ("int64", "q"),
    "F16": ("float16", "e"),
    "BF16": ("bfloat16", "f"),
    "F32": ("float32", "f"),
    "F64": ("float64", "d"),
}

"""Executes what the target without dependencies writes: its own `Array`, in the standard library's terms."""

import functional
import protocol
import struct

CODES = {
    "bool": "?",
    "uint8": "B",
    "int8": "b",
    "uint16": "H",
    "int16": "h",
    "uint32": "I",
    "int32": "i",
    "uint64": "Q",
    "int64": "q",
    "float16": "e",
    "float32": "f",
    "float64": "d",
}


class Python(functional.Adapter):
    def native(self, module, tensor):
        dtype, shape, data = tensor
        if dtype == "bfloat16":
            # The upper half of a float32.
            halves = zip(data[::2], data[1::2])
            data = b"".join(bytes((0, 0, *half)) for half in halves)
        code = CODES["float32" if dtype == "bfloat16" else dtype]
        numbers = [number for (number,) in struct.iter_unpack(f"<{code}", data)]
        return module.Array(shape, dtype, numbers)

    def portable(self, value):
        code = CODES["float32" if value.dtype == "bfloat16" else value.dtype]
        data = struct.pack(f"<{len(value.data)}{code}", *value.data)
        if value.dtype == "bfloat16":
            data = b"".join(data[i + 2 : i + 4] for i in range(0, len(data), 4))
        return protocol.Tensor(value.dtype, list(value.shape), data)


if __name__ == "__main__":
    functional.serve(Python())

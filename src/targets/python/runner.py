"""Executes what the target without dependencies writes: its own `Array`, in the standard library's terms."""

import array
import struct

import functional
import protocol

CODES = {
    "bool": "B",
    "uint8": "B",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "float32": "f",
    "float64": "d",
}


class Python(functional.Adapter):
    def native(self, module, tensor):
        dtype, shape, data = tensor
        if dtype == "float16":
            values = [value for (value,) in struct.iter_unpack("<e", data)]
        elif dtype == "bfloat16":
            # The upper half of a float32.
            halves = b"".join(
                b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2)
            )
            values = array.array("f", halves).tolist()
        else:
            values = array.array(CODES[dtype], data).tolist()
        if dtype == "bool":
            values = [value != 0 for value in values]
        return module.Array(values, tuple(shape), dtype)

    def portable(self, value):
        return protocol.Tensor(
            value.dtype, list(value.shape), encoded(value.dtype, value.values)
        )


def encoded(dtype, values):
    if dtype == "float16":
        return struct.pack(f"<{len(values)}e", *values)
    if dtype == "bfloat16":
        data = array.array("f", values).tobytes()
        return b"".join(data[at + 2 : at + 4] for at in range(0, len(data), 4))
    return array.array(CODES[dtype], values).tobytes()


if __name__ == "__main__":
    functional.serve(Python())

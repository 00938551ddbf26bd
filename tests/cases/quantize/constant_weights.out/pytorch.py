# Net() of tests/cases/quantize/constant_weights.tri, compiled by tritonc 0.1.0

import json

import torch
from torch import nn


class Scheme:
    """A way to write numbers as small integer codes and a scale.

    One scale serves the whole tensor, or
    one index of `axis`.
    """

    def __init__(self, axis=None):
        self.axis = axis

    def slices(self, x):
        """`x` so that whole axes share a scale, and those axes."""
        if self.axis is not None:
            own = self.axis % x.dim()
            # One more axis, since no axes at all would mean all of them.
            x = x.unsqueeze(-1)
            return x, tuple(axis for axis in range(x.dim()) if axis != own)
        return x, tuple(range(x.dim()))

    def stored(self, scale):
        """Scales in their type; that of nothing but zeros is 1."""
        return torch.where(scale == 0, 1.0, scale)

    def quantize(self, x):
        """Codes and scale."""
        # No gradient passes the scale.
        slices, shared = self.slices(x.detach().float())
        codes, *parts = self.encode(slices, shared)
        codes = codes.to(self.code_dtype).reshape(x.shape)
        return codes, *(part.squeeze(shared) for part in parts)

    def dequantize(self, codes, scale, dtype=torch.float32):
        """The numbers that the codes stand for."""
        slices, shared = self.slices(codes.float())
        sizes = [1 if axis in shared else n for axis, n in enumerate(slices.shape)]
        return (slices * scale.float().reshape(sizes)).reshape(codes.shape).to(dtype)


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
        codes = (slices / scale.float()).round()
        return codes.clamp(-self.limit, self.limit), scale


def read_safetensors(path):
    """The tensors of a safetensors file, by name."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{name}: element type {entry['dtype']} is not supported")
        dtype = DTYPES[entry["dtype"]]
        first, last = (start + offset for offset in entry["data_offsets"])
        raw = torch.frombuffer(bytearray(data[first:last] or b"\0"), dtype=torch.uint8)
        tensors[name] = raw[: last - first].view(dtype).reshape(entry["shape"])
    return tensors


DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


def load_weights(model, tensors):
    """Puts tensors in place by name; every misfit is listed in one error."""
    wanted = model.state_dict()
    problems = [f"missing: {name}" for name in wanted if name not in tensors]
    problems += [f"unexpected: {name}" for name in tensors if name not in wanted]
    for name in wanted.keys() & tensors.keys():
        have, want = tensors[name], wanted[name]
        if have.shape != want.shape or have.dtype != want.dtype:
            have, want = (f"{t.dtype} {list(t.shape)}" for t in (have, want))
            problems.append(f"{name} is {have}, not {want}")
    if problems:
        raise ValueError(
            "weights do not fit the model:\n  " + "\n  ".join(sorted(problems))
        )
    model.load_state_dict(tensors)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", self.make_table(), persistent=False)

    def make_table(self):
        # tests/cases/quantize/constant_weights.tri:9
        return torch.tensor([[1.0, -2.0, 0.5], [0.25, 0.0, -1.0]])

    def forward(self, x):
        # tests/cases/quantize/constant_weights.tri:12
        q = torch.tensor(
            [[64, -127, 32], [32, 0, -127]], dtype=torch.int8, device=x.device
        )
        s = torch.tensor([0.015748031, 0.007874016], device=x.device)
        # tests/cases/quantize/constant_weights.tri:13
        return x @ Int(8, axis=0).dequantize(q, s).T


class Model(Net):
    """`Net()`, as it was compiled."""


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

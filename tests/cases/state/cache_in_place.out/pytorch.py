# Cache(dim=4, max_seq=8) of tests/cases/state/cache_in_place.tri, compiled by tritonc 0.1.0

import json
import math

import torch
import torch.nn.functional as F
from torch import nn


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


class Linear(nn.Module):
    """Affine map of the last axis: `x @ weight.T`, and a learnt offset if `bias` is set.

    in_features: Size of the last axis of the input.
    out_features: Size of the last axis of the output.

    Compiled for F = float32, bias = true.
    """

    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[..., in_features]` gives `[..., out_features]`."""
        # <std>/nn.tri:22
        y = x @ self.weight.T
        # <std>/nn.tri:23
        return y + self.bias


class Cache(nn.Module):
    def __init__(self, dim=4, max_seq=8):
        super().__init__()
        self.dim = dim
        self.max_seq = max_seq
        self.key = Linear(dim, dim)
        self.register_buffer("cache", torch.zeros(1, max_seq, dim), persistent=False)
        self.register_buffer(
            "count", torch.full((), 0, dtype=torch.int64), persistent=False
        )

    def forward(self, x, pos):
        T = x.shape[1]
        if self.max_seq < T + pos:
            raise ValueError("T + pos <= max_seq must hold")
        if pos < 0:
            raise ValueError("slice pos:T + pos begins before the axis")
        # tests/cases/state/cache_in_place.tri:19
        self.cache[:, pos : T + pos] = self.key(x).detach()
        # tests/cases/state/cache_in_place.tri:20
        keys = self.cache[:, : T + pos]
        # tests/cases/state/cache_in_place.tri:21
        self.count.copy_(self.count + T)
        # tests/cases/state/cache_in_place.tri:22
        return F.softmax(x @ keys.mT, dim=-1) @ keys

    def put(self, at, row):
        """Puts one row in a place that the data names, and clears a column."""
        if self.dim - 1 < 0:
            raise ValueError("slice dim - 1:dim begins before the axis")
        if self.max_seq < 1:
            raise ValueError("slice 0:1 ends after the axis of size max_seq")
        if self.dim < 2:
            raise ValueError("slice 0:2 ends after the axis of size dim")
        # tests/cases/state/cache_in_place.tri:28
        cache = self.cache.clone()
        before = cache[:, :]
        # tests/cases/state/cache_in_place.tri:29
        self.cache[0, at] = row.detach()
        # tests/cases/state/cache_in_place.tri:30
        self.cache[:, :, self.dim - 1] = 0.0
        # tests/cases/state/cache_in_place.tri:31
        self.cache[:, :1, :2] = (self.cache[:, :1][..., :2] + 1.0).detach()
        # tests/cases/state/cache_in_place.tri:32
        return self.cache - before

    def first(self, n):
        if self.max_seq < n:
            raise ValueError("n <= max_seq must hold")
        if n < 0:
            raise ValueError("slice 0:n ends before it begins")
        # tests/cases/state/cache_in_place.tri:36
        return self.cache[:, :n].clone()

    def clear(self, x):
        # tests/cases/state/cache_in_place.tri:40
        self.cache.fill_(0.0)
        return x


class Model(Cache):
    """`Cache(dim=4, max_seq=8)`, as it was compiled."""

    def __init__(self, dim=4, max_seq=8):
        super().__init__(dim, max_seq)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

# Net(dim=6) of tests/cases/passes/hoist.tri, compiled by tritonc 0.1.0

import json
import math

import torch
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


class Normed(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.direction = nn.Parameter(torch.empty(dim, dim))
        self.size = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.normal_(self.direction, mean=0.0, std=1.0)
        nn.init.uniform_(self.size, 0.5, 2.0)

    def forward(self, x):
        # tests/cases/passes/hoist.tri:13
        y = self.size / (self.direction**2.0).sum(1).sqrt()
        weight = self.direction * y.unsqueeze(1)
        # tests/cases/passes/hoist.tri:14
        return x @ weight.T


class Net(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.normed = Normed(dim)
        self.table = nn.Parameter(torch.empty(dim, 2 * dim))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.table, a=math.sqrt(5))

    def forward(self, x):
        # tests/cases/passes/hoist.tri:23
        y = torch.linspace(0.0, 1.0, self.dim, dtype=torch.float32, device=x.device)
        angles = y.cos()
        # tests/cases/passes/hoist.tri:24
        return self.normed(x * angles) @ self.table


class Model(Net):
    """`Net(dim=6)`, as it was compiled."""

    def __init__(self, dim=6):
        super().__init__(dim)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

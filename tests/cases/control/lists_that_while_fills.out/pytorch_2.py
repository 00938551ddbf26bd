# Greedy(dim=4, limit=0) of tests/cases/control/lists_that_while_fills.tri, compiled by tritonc 0.1.0

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


class Greedy(nn.Module):
    def __init__(self, dim, limit):
        super().__init__()
        self.dim = dim
        self.limit = limit
        self.cell = Linear(dim, dim)
        self.gate = Linear(dim, 1)

    def decode(self, x):
        B = x.shape[0]
        # tests/cases/control/lists_that_while_fills.tri:21
        going = torch.tensor(True, device=x.device)
        gates = []
        outs = []
        # tests/cases/control/lists_that_while_fills.tri:21
        while going & (len(gates) < self.limit):
            # tests/cases/control/lists_that_while_fills.tri:22
            x = self.cell(x).tanh()
            # tests/cases/control/lists_that_while_fills.tri:23
            open_ = self.gate(x)[:, 0]
            # tests/cases/control/lists_that_while_fills.tri:26
            going = open_.amin() < -0.04
            gates.append(open_)
            outs.append(x)
        # tests/cases/control/lists_that_while_fills.tri:21
        gates = torch.stack(gates) if gates else torch.zeros((0, B), device=x.device)
        outs = (
            torch.stack(outs)
            if outs
            else torch.zeros((0, B, self.dim), device=x.device)
        )
        # tests/cases/control/lists_that_while_fills.tri:28
        return outs.transpose(0, 1), gates

    def forward(self, x):
        """Both sizes of one call are the same, which nothing has to check."""
        # tests/cases/control/lists_that_while_fills.tri:33
        y, gates = self.decode(x)
        # tests/cases/control/lists_that_while_fills.tri:34
        gated = y.transpose(0, 1) * gates.unsqueeze(-1)
        # tests/cases/control/lists_that_while_fills.tri:35
        return (
            gated,
            gated.sum((1, 2)),
            torch.tensor(y.shape[1], dtype=torch.int64, device=x.device),
        )


class Model(Greedy):
    """`Greedy(dim=4, limit=0)`, as it was compiled."""

    def __init__(self, dim=4, limit=0):
        super().__init__(dim, limit)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

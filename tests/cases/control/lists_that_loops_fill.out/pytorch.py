# Recurrent(dim=3, hidden=4) of tests/cases/control/lists_that_loops_fill.tri, compiled by tritonc 0.1.0

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


class Recurrent(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.hidden = hidden
        self.cell = Linear(dim + hidden, hidden)

    def step(self, x, h):
        # tests/cases/control/lists_that_loops_fill.tri:12
        return self.cell(torch.cat([x, h], dim=-1)).tanh()

    def forward(self, x, n):
        B, T = x.shape[:2]
        if n < 0:
            raise ValueError("the loop would have n turns")
        # tests/cases/control/lists_that_loops_fill.tri:15
        h = torch.zeros((B, self.hidden), dtype=torch.float32, device=x.device)
        # tests/cases/control/lists_that_loops_fill.tri:17
        outs = []
        # tests/cases/control/lists_that_loops_fill.tri:17
        for t in range(T):
            # tests/cases/control/lists_that_loops_fill.tri:18
            h = self.step(x[:, t], h)
            outs.append(h)
        # tests/cases/control/lists_that_loops_fill.tri:22
        parts = []
        # tests/cases/control/lists_that_loops_fill.tri:22
        for k in range(n):
            parts.append(h * k)
        # tests/cases/control/lists_that_loops_fill.tri:22
        parts = (
            torch.stack(parts)
            if parts
            else torch.zeros((n, B, self.hidden), device=x.device)
        )
        # tests/cases/control/lists_that_loops_fill.tri:24
        outputs = []
        # tests/cases/control/lists_that_loops_fill.tri:24
        for i in range(T):
            outputs.append(self.step(x[:, i], h).sum(1))
        # tests/cases/control/lists_that_loops_fill.tri:24
        outputs = torch.stack(outputs)
        # tests/cases/control/lists_that_loops_fill.tri:25
        return (
            torch.stack(outs, dim=1),
            parts.transpose(0, 1).reshape(B, self.hidden * n),
            outputs,
        )

    def with_start(self, x):
        """What came before the loop stays in front."""
        T = x.shape[1]
        # tests/cases/control/lists_that_loops_fill.tri:31
        y = x[:, 0]
        # tests/cases/control/lists_that_loops_fill.tri:32
        all_ = []
        # tests/cases/control/lists_that_loops_fill.tri:32
        for t in range(T):
            all_.append(x[:, t])
        # tests/cases/control/lists_that_loops_fill.tri:32
        all_ = torch.stack(all_)
        return torch.cat([torch.stack([y, y * 2.0]), all_])


class Model(Recurrent):
    """`Recurrent(dim=3, hidden=4)`, as it was compiled."""

    def __init__(self, dim=3, hidden=4):
        super().__init__(dim, hidden)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

# Pairs() of tests/cases/control/lists_that_while_fills.tri, compiled by tritonc 0.1.0

import json

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


def halves(x):
    """Halves until little is left; the number of turns is the size of the first axis."""
    N = x.shape[0]
    # tests/cases/control/lists_that_while_fills.tri:42
    all_ = []
    # tests/cases/control/lists_that_while_fills.tri:42
    while x.abs().sum() > 0.5:
        # tests/cases/control/lists_that_while_fills.tri:43
        x = x * 0.5
        all_.append(x)
    # tests/cases/control/lists_that_while_fills.tri:42
    all_ = torch.stack(all_) if all_ else torch.zeros((0, N), device=x.device)
    return all_


class Pairs(nn.Module):
    """A `let` names such a size, or claims what it is."""

    def forward(self, x, y):
        N = x.shape[0]
        M = y.shape[0]
        # tests/cases/control/lists_that_while_fills.tri:52
        a = halves(x)
        # tests/cases/control/lists_that_while_fills.tri:53
        b = halves(y)
        # tests/cases/control/lists_that_while_fills.tri:54
        y = torch.zeros((a.shape[0], N), dtype=torch.float32, device=x.device)
        sums = y + a * 2.0
        # tests/cases/control/lists_that_while_fills.tri:56
        rows = []
        # tests/cases/control/lists_that_while_fills.tri:56
        for i in range(b.shape[0]):
            rows.append(b[i] * i)
        # tests/cases/control/lists_that_while_fills.tri:56
        rows = (
            torch.stack(rows) if rows else torch.zeros((b.shape[0], M), device=x.device)
        )
        if a.shape[0] == b.shape[0]:
            # tests/cases/control/lists_that_while_fills.tri:58
            both = torch.tensor(1, dtype=torch.int64, device=x.device)
        else:
            # tests/cases/control/lists_that_while_fills.tri:58
            both = torch.tensor(0, dtype=torch.int64, device=x.device)
        # tests/cases/control/lists_that_while_fills.tri:59
        if a.shape[0] < 1:
            raise ValueError("slice 0:1 ends after the axis of size ?")
        if b.shape[0] < 1:
            raise ValueError("slice 0:1 ends after the axis of size ?")
        wide = torch.cat([a[:1], b[:1]], dim=1)
        # tests/cases/control/lists_that_while_fills.tri:60
        y = torch.zeros((b.shape[0], M + N), dtype=torch.float32, device=x.device)
        long = torch.cat([wide, sums.sum() + y])
        # tests/cases/control/lists_that_while_fills.tri:61
        return rows, long, a.shape[0] + 10 * b.shape[0] + 100 * both


class Model(Pairs):
    """`Pairs()`, as it was compiled."""


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

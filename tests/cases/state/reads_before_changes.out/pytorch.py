# Memory(n=3) of tests/cases/state/reads_before_changes.tri, compiled by tritonc 0.1.0

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


class Memory(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.register_buffer("h", torch.zeros(n))
        self.register_buffer("c", torch.zeros(2, n))

    def row(self):
        # tests/cases/state/reads_before_changes.tri:12
        return self.c[1].clone()

    def forward(self, x):
        T = x.shape[0]
        # tests/cases/state/reads_before_changes.tri:17
        first = self.h.clone()
        # tests/cases/state/reads_before_changes.tri:18
        c = self.c.clone()
        old = c[0]
        # tests/cases/state/reads_before_changes.tri:19
        last = self.row()
        # tests/cases/state/reads_before_changes.tri:20
        after = []
        before = []
        # tests/cases/state/reads_before_changes.tri:20
        for t in range(T):
            # tests/cases/state/reads_before_changes.tri:22
            last_2 = self.h.clone()
            # tests/cases/state/reads_before_changes.tri:24
            self.h.copy_((last_2 + x[t] + last).detach())
            # tests/cases/state/reads_before_changes.tri:25
            self.c[1] = self.h.detach()
            after.append(self.c[1] + old)
            before.append(last_2)
            last = last_2
        # tests/cases/state/reads_before_changes.tri:20
        after = torch.stack(after)
        before = torch.stack(before)
        # tests/cases/state/reads_before_changes.tri:28
        return before, after, first + self.h, self.row() - last


class Model(Memory):
    """`Memory(n=3)`, as it was compiled."""

    def __init__(self, n=3):
        super().__init__(n)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

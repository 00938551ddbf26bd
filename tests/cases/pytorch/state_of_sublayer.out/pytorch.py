# Net(n=3) of tests/cases/pytorch/state_of_sublayer.tri, compiled by tritonc 0.1.0

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


class Counter(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))

    def forward(self, x):
        # tests/cases/pytorch/state_of_sublayer.tri:9
        old = self.mean.clone()
        # tests/cases/pytorch/state_of_sublayer.tri:10
        self.mean.copy_((old + x.sum(0)).detach())
        # tests/cases/pytorch/state_of_sublayer.tri:11
        return x * 2.0 + old


class Net(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.ms = nn.ModuleList([Counter(n), Counter(n)])

    def forward(self, x):
        # tests/cases/pytorch/state_of_sublayer.tri:17
        before = self.ms[0].mean.clone()
        # tests/cases/pytorch/state_of_sublayer.tri:18
        y = self.ms[0](x)
        # tests/cases/pytorch/state_of_sublayer.tri:19
        return y, before + self.ms[0].mean


class Model(Net):
    """`Net(n=3)`, as it was compiled."""

    def __init__(self, n=3):
        super().__init__(n)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

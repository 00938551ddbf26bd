# Net(dim=4) of tests/cases/precision/state_and_loops.tri, compiled by tritonc 0.1.0

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


class Net(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.weight = nn.Parameter(torch.empty(dim, dim))
        self.register_buffer("total", torch.zeros(dim))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.xavier_uniform_(self.weight, gain=1.0)

    def forward(self, x):
        B, T = x.shape[:2]
        # tests/cases/precision/state_and_loops.tri:13
        h = torch.zeros((B, self.dim), dtype=torch.float32, device=x.device)
        # tests/cases/precision/state_and_loops.tri:14
        h_2 = h.to(torch.float16)
        for t in range(T):
            # tests/cases/precision/state_and_loops.tri:14
            y = h_2 @ self.weight.to(torch.float16)
            h_2 = (x[:, t].to(torch.float16) + y).tanh()
        # tests/cases/precision/state_and_loops.tri:15
        y = h_2.to(torch.float32)
        self.total.copy_((self.total + y.mean(0).detach()).detach())
        # tests/cases/precision/state_and_loops.tri:16
        if y.mean() > 0.0:
            # tests/cases/precision/state_and_loops.tri:16
            h = h_2 * 2.0
        else:
            h = h_2
        # tests/cases/precision/state_and_loops.tri:17
        y = h.abs().to(torch.float32)
        y_2 = torch.maximum(
            y, torch.tensor(1e-12, dtype=torch.float32, device=x.device)
        )
        return (h * y_2.log().to(torch.float16)).to(torch.float32) + self.total


class Model(Net):
    """`Net(dim=4)`, as it was compiled."""

    def __init__(self, dim=4):
        super().__init__(dim)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

# Net(dim=4) of tests/cases/pytorch/optional_inputs.tri, compiled by tritonc 0.1.0

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


class Pool(nn.Module):
    def forward(self, x, mask):
        """The mean of the rows that `mask` allows."""
        # tests/cases/pytorch/optional_inputs.tri:17
        weights = mask.to(torch.float32)
        # tests/cases/pytorch/optional_inputs.tri:18
        y = weights.sum(1, keepdim=True)
        y_2 = torch.maximum(y, torch.tensor(1.0, dtype=torch.float32, device=x.device))
        return (x * weights.unsqueeze(-1)).sum(1) / y_2

    def forward_without_mask(self, x):
        """The mean of the rows that `mask` allows."""
        # tests/cases/pytorch/optional_inputs.tri:16
        return x.mean(1)


class Net(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.dim = dim
        self.up = Linear(dim, 3)
        self.pool = Pool()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, mask=None, shift=None):
        """A vector for each text. `mask` is true where there is a word, `shift` moves every vector."""
        if mask is None:
            # tests/cases/pytorch/optional_inputs.tri:29
            y = self.pool.forward_without_mask(x)
        else:
            # tests/cases/pytorch/optional_inputs.tri:29
            y = self.pool(x, mask)
        if shift is not None:
            # tests/cases/pytorch/optional_inputs.tri:31
            self.calls.copy_((self.calls + 1.0).detach())
            # tests/cases/pytorch/optional_inputs.tri:32
            y = y + shift * self.calls
        # tests/cases/pytorch/optional_inputs.tri:34
        return self.up(y)

    def plain(self, x):
        # tests/cases/pytorch/optional_inputs.tri:37
        return self(x).sum()

    def forward_with_shift(self, x, shift):
        """A vector for each text. `mask` is true where there is a word, `shift` moves every vector."""
        # tests/cases/pytorch/optional_inputs.tri:29
        y = self.pool.forward_without_mask(x)
        # tests/cases/pytorch/optional_inputs.tri:31
        self.calls.copy_((self.calls + 1.0).detach())
        # tests/cases/pytorch/optional_inputs.tri:32
        y = y + shift * self.calls
        # tests/cases/pytorch/optional_inputs.tri:34
        return self.up(y)

    def moved(self, x):
        # tests/cases/pytorch/optional_inputs.tri:39
        shift = torch.ones((self.dim,), dtype=torch.float32, device=x.device)
        return self.forward_with_shift(x, shift).sum()


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

# Net() of tests/cases/pytorch/losses.tri, compiled by tritonc 0.1.0

import json

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


def nll_loss(log_probs, target):
    """Negative log likelihood of the target classes, the mean over targets that are not `ignore_index`.
    `log_probs: [..., C]`, `target: int64[...]` with values 0 to C - 1.
    """
    # <std>/losses.tri:38
    counted = target != -100
    # <std>/losses.tri:39
    index = torch.where(counted, target, 0)
    # <std>/losses.tri:40
    picked = log_probs.gather(-1, index.unsqueeze(-1))
    # <std>/losses.tri:41
    losses = torch.where(counted, -picked.squeeze(-1), 0.0)
    # <std>/losses.tri:42
    return losses.sum() / counted.to(torch.float32).sum()


def cross_entropy(logits, target):
    """Cross entropy of unnormalised scores with target classes, the mean over targets that are not `ignore_index`.
    `logits: [..., C]`, `target: int64[...]` with values 0 to C - 1.
    """
    # <std>/losses.tri:48
    return nll_loss(F.log_softmax(logits, dim=-1), target)


def mse_loss(prediction, target):
    """Mean squared error: the mean of `(prediction - target) ** 2`."""
    # <std>/losses.tri:6
    difference = prediction - target
    # <std>/losses.tri:7
    return (difference * difference).mean()


def l1_loss(prediction, target):
    """Mean absolute error: the mean of `abs(prediction - target)`."""
    # <std>/losses.tri:11
    return (prediction - target).abs().mean()


def huber_loss(prediction, target):
    """Squared within `delta` of the target, linear beyond (Huber, 1964)."""
    # <std>/losses.tri:15
    distance = (prediction - target).abs()
    # <std>/losses.tri:16
    square = distance * distance * 0.5
    # <std>/losses.tri:17
    return torch.where(distance <= 1.0, square, distance - 0.5).mean()


def kl_div(log_probs, target):
    """Kullback-Leibler divergence: the mean over elements of `target * (log(target) - log_probs)`, which is 0
    where `target` is 0.
    """
    # <std>/losses.tri:66
    positive = target > 0.0
    # <std>/losses.tri:67
    logarithm = torch.where(positive, target, 1.0).log()
    # <std>/losses.tri:68
    y = target * (logarithm - log_probs)
    return torch.where(positive, y, 0.0).mean()


def binary_cross_entropy_with_logits(logits, target):
    """Cross entropy of `sigmoid(logits)` with targets from 0 to 1, without overflow."""
    # <std>/losses.tri:60
    return (F.softplus(logits, beta=1.0) - logits * target).mean()


class Net(nn.Module):
    def forward(self, x, y):
        # tests/cases/pytorch/losses.tri:8
        classes = y.argmax(-1)
        # tests/cases/pytorch/losses.tri:9
        y_2 = cross_entropy(x, classes) + mse_loss(x, y)
        y_3 = kl_div(F.log_softmax(x, dim=-1), F.softmax(y, dim=-1))
        y_4 = binary_cross_entropy_with_logits(x, y.sigmoid())
        return y_2 + l1_loss(x, y) + huber_loss(x, y) + y_3 + y_4


class Model(Net):
    """`Net()`, as it was compiled."""


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

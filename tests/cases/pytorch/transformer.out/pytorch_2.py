# TransformerBlock(dim=8, heads=4, hidden=12, p=0.0) of tests/cases/pytorch/transformer.tri, compiled by tritonc 0.1.0

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


def layer_norm(x, weight, bias, eps):
    """Layer normalisation over the last axis (https://arxiv.org/abs/1607.06450).
    `x: [..., D]`; `weight` and `bias: [D]` may be left out. The shape stays.
    """
    # <std>/prelude.tri:79
    centred = x - x.mean(-1, keepdim=True)
    # <std>/prelude.tri:80
    variance = (centred * centred).mean(-1, keepdim=True)
    # <std>/prelude.tri:81
    y = centred * (variance + eps).rsqrt()
    # <std>/prelude.tri:82
    y = y * weight
    # <std>/prelude.tri:83
    return y + bias


def split_heads(x, heads):
    """Splits the features of each position into heads: `[..., N, D]` gives `[..., heads, N, D // heads]`."""
    d0, N, D = x.shape
    if D % heads != 0:
        raise ValueError("D % heads == 0 must hold")
    # <std>/attention.tri:53
    return x.reshape(d0, N, heads, D // heads).transpose(-3, -2)


def weighted(weights, v):
    """The sum of the values `[..., HK, N, E]` by weights `[..., HQ, M, N]`: `[..., HQ, M, E]`; heads as in `attention`."""
    d0, HQ, M, N = weights.shape
    HK, E = v.shape[1], v.shape[3]
    if HQ % HK != 0:
        raise ValueError("HQ % HK == 0 must hold")
    # <std>/attention.tri:47
    rows = weights.reshape(d0, HK, M * (HQ // HK), N)
    # <std>/attention.tri:48
    return (rows @ v).reshape(d0, HQ, M, E)


def attention(q, k, v, scale):
    """Scaled dot-product attention (https://arxiv.org/abs/1706.03762).

    `q: [..., HQ, M, D]`, `k: [..., HK, N, D]`, `v: [..., HK, N, E]` give `[..., HQ, M, E]`. With fewer key
    heads than query heads, each key head serves `HQ // HK` of them in a row (https://arxiv.org/abs/2305.13245).
    `mask` broadcasts to `[..., HQ, M, N]`: a bool one is true where a key may be seen, a float one is added
    to the scores. With `causal`, the last query sees every key, the one before it all but the last, and so on.
    A query that may see nothing gets zeros. `scale` is `1 / sqrt(D)` unless given.
    """
    d0, HQ, M, D = q.shape
    HK, N = k.shape[1], k.shape[2]
    if HQ % HK != 0:
        raise ValueError("HQ % HK == 0 must hold")
    # <std>/attention.tri:27
    rows = q.reshape(d0, HK, M * (HQ // HK), D)
    # <std>/attention.tri:28
    scores = (rows @ k.mT * scale).reshape(d0, HQ, M, N)
    # <std>/attention.tri:29
    return weighted(F.softmax(scores, dim=-1), v)


def join_heads(x):
    """Undoes `split_heads`: `[..., H, N, D]` gives `[..., N, H * D]`."""
    d0, H, N, D = x.shape
    # <std>/attention.tri:57
    return x.transpose(-3, -2).reshape(d0, N, D * H)


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis (https://arxiv.org/abs/1607.06450).

    eps: Added to the variance.

    Compiled for F = float32, affine = true.
    """

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(dim))
        self.bias = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[..., dim]` gives the same shape."""
        # <std>/nn.tri:256
        return layer_norm(x, self.weight, self.bias, self.eps)


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


class MultiHeadAttention(nn.Module):
    """Self-attention with several heads (https://arxiv.org/abs/1706.03762), batch first.

    heads: Divides `dim`.

    Compiled for F = float32, causal = false, bias = true.
    """

    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("`MultiHeadAttention` needs dim % heads == 0")
        self.dim = dim
        self.heads = heads
        self.q_proj = Linear(dim, dim)
        self.k_proj = Linear(dim, dim)
        self.v_proj = Linear(dim, dim)
        self.out_proj = Linear(dim, dim)

    def forward(self, x):
        """`[B, T, dim]` gives the same shape. `mask` broadcasts to `[B, heads, T, T]` and is true where a key
        may be seen.
        """
        # <std>/nn.tri:425
        q = split_heads(self.q_proj(x), self.heads)
        # <std>/nn.tri:426
        k = split_heads(self.k_proj(x), self.heads)
        # <std>/nn.tri:427
        v = split_heads(self.v_proj(x), self.heads)
        # <std>/nn.tri:428
        y = attention(q, k, v, 1.0 / math.sqrt(self.dim // self.heads))
        return self.out_proj(join_heads(y))


class MLP(nn.Module):
    """Two linear layers with an activation between them.

    Compiled for F = float32, act = relu, bias = true.
    """

    def __init__(self, in_features, hidden_features=None, out_features=None):
        super().__init__()
        if hidden_features is None:
            hidden_features = 4 * in_features
        if out_features is None:
            out_features = in_features
        self.fc1 = Linear(in_features, hidden_features)
        self.fc2 = Linear(hidden_features, out_features)

    def forward(self, x):
        """`[..., in_features]` gives `[..., out_features]`."""
        # <std>/nn.tri:389
        return self.fc2(F.relu(self.fc1(x)))


class TransformerBlock(nn.Module):
    """A transformer block that normalises before attention and before the MLP (https://arxiv.org/abs/2002.04745).

    p: Probability of dropping an element of what either branch adds.

    Compiled for F = float32, causal = false, act = relu.
    """

    def __init__(self, dim, heads, hidden=None, p=0.0):
        super().__init__()
        if hidden is None:
            hidden = 4 * dim
        if dim % heads != 0:
            raise ValueError("`TransformerBlock` needs dim % heads == 0")
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.mlp = MLP(dim, hidden_features=hidden)

    def forward(self, x):
        """`[B, T, dim]` gives the same shape; `mask` as in `MultiHeadAttention`."""
        # <std>/nn.tri:495
        x = x + self.attn(self.norm1(x))
        # <std>/nn.tri:496
        return x + self.mlp(self.norm2(x))


class Model(TransformerBlock):
    """`TransformerBlock(dim=8, heads=4, hidden=12, p=0.0)`, as it was compiled."""

    def __init__(self, dim=8, heads=4, hidden=12, p=0.0):
        super().__init__(dim=dim, heads=heads, hidden=hidden, p=p)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

# GPT2(vocab=11, max_positions=8, dim=12, heads=3, depth=2) of tests/cases/models/gpt2.tri, compiled by tritonc 0.1.0

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


def masked_softmax(scores):
    """Softmax along the last axis in which a row of nothing but `-inf` gives zeros. The shape stays."""
    # <std>/attention.tri:5
    top = scores.amax(-1, keepdim=True).detach()
    # <std>/attention.tri:6
    e = (scores - torch.where(top == -math.inf, 0.0, top)).exp()
    # <std>/attention.tri:7
    total = e.sum(-1, keepdim=True)
    # <std>/attention.tri:8
    return e / torch.where(total == 0.0, 1.0, total)


def attention(q, k, v, scale):
    """Scaled dot-product attention (https://arxiv.org/abs/1706.03762).

    `q: [..., HQ, M, D]`, `k: [..., HK, N, D]`, `v: [..., HK, N, E]` give `[..., HQ, M, E]`. With fewer key
    heads than query heads, each key head serves `HQ // HK` of them in a row (https://arxiv.org/abs/2305.13245).
    `mask` broadcasts to `[..., HQ, M, N]`: a bool one is true where a key may be seen, a float one is added
    to the scores. With `causal`, the last query sees every key, the one before it all but the last, and so on.
    A query that may see nothing gets zeros. `scale` is `1 / sqrt(D)` unless given.
    """
    HQ, M = q.shape[1], q.shape[2]
    HK, N = k.shape[1], k.shape[2]
    if HQ % HK != 0:
        raise ValueError("HQ % HK == 0 must hold")
    # <std>/attention.tri:26
    keys = k.repeat_interleave(HQ // HK, dim=-3)
    # <std>/attention.tri:27
    values = v.repeat_interleave(HQ // HK, dim=-3)
    # <std>/attention.tri:28
    scores = q @ keys.transpose(-2, -1) * scale
    # <std>/attention.tri:31
    y = torch.arange(0, N, dtype=torch.int64, device=q.device)
    y_2 = torch.arange(0, M, dtype=torch.int64, device=q.device)
    seen = y.unsqueeze(0) <= y_2.unsqueeze(1) + (N - M)
    # <std>/attention.tri:32
    scores = torch.where(seen, scores, -math.inf)
    # <std>/attention.tri:42
    return masked_softmax(scores) @ values


class Embedding(nn.Module):
    """A table of vectors, looked up by index.

    Compiled for F = float32.
    """

    def __init__(self, num_embeddings, embedding_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_embeddings, embedding_dim))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.normal_(self.weight, mean=0.0, std=1.0)

    def forward(self, index):
        """`[...]` of indices gives `[..., embedding_dim]`."""
        # <std>/nn.tri:231
        return self.weight[index]


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
        # <std>/nn.tri:247
        return layer_norm(x, self.weight, self.bias, self.eps)


class Conv1D(nn.Module):
    """`x @ weight + bias`, with the weight the other way round than in `Linear`."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.normal_(self.weight, mean=0.0, std=0.02)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[..., in_features]` gives `[..., out_features]`."""
        # <std>/models/gpt2.tri:15
        return x @ self.weight + self.bias


class Attention(nn.Module):
    """Self-attention in which a position sees itself and earlier ones; queries, keys and values come from one product."""

    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("`Attention` needs dim % heads == 0")
        self.dim = dim
        self.heads = heads
        self.c_attn = Conv1D(dim, 3 * dim)
        self.c_proj = Conv1D(dim, dim)

    def split_heads(self, x):
        """`[B, T, dim]` gives `[B, heads, T, dim // heads]`."""
        B, T = x.shape[:2]
        # <std>/models/gpt2.tri:32
        return x.reshape(B, T, self.heads, self.dim // self.heads).transpose(1, 2)

    def forward(self, x):
        """`[B, T, dim]` gives the same shape."""
        B, T = x.shape[:2]
        # <std>/models/gpt2.tri:25
        q, k, v = self.c_attn(x).chunk(3, dim=-1)
        # <std>/models/gpt2.tri:26
        q_2 = self.split_heads(q)
        k_2 = self.split_heads(k)
        v_2 = self.split_heads(v)
        y = attention(q_2, k_2, v_2, 1.0 / math.sqrt(self.dim // self.heads))
        # <std>/models/gpt2.tri:27
        return self.c_proj(y.transpose(1, 2).reshape(B, T, self.dim))


class MLP(nn.Module):
    """The feed-forward half of a block."""

    def __init__(self, dim, hidden=None):
        super().__init__()
        if hidden is None:
            hidden = 4 * dim
        self.c_fc = Conv1D(dim, hidden)
        self.c_proj = Conv1D(hidden, dim)

    def forward(self, x):
        """`[B, T, dim]` gives the same shape."""
        # <std>/models/gpt2.tri:42
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    """Attention and MLP, each added to what it read."""

    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("`Block` needs dim % heads == 0")
        self.ln_1 = LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.ln_2 = LayerNorm(dim)
        self.mlp = MLP(dim)

    def forward(self, x):
        """`[B, T, dim]` gives the same shape."""
        # <std>/models/gpt2.tri:54
        x = x + self.attn(self.ln_1(x))
        # <std>/models/gpt2.tri:55
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """The whole model; the defaults are those of the smallest published one (124 million parameters).

    max_positions: The longest text, in tokens.
    """

    def __init__(self, vocab=50257, max_positions=1024, dim=768, heads=12, depth=12):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("`GPT2` needs dim % heads == 0")
        self.max_positions = max_positions
        self.depth = depth
        self.wte = Embedding(vocab, dim)
        self.wpe = Embedding(max_positions, dim)
        self.h = nn.ModuleList([Block(dim, heads) for _ in range(depth)])
        self.ln_f = LayerNorm(dim)

    def forward(self, tokens):
        """Tokens `[B, T]` give a row of scores over the vocabulary for what follows each: `[B, T, vocab]`."""
        T = tokens.shape[1]
        if self.max_positions < T:
            raise ValueError("T <= max_positions must hold")
        # <std>/models/gpt2.tri:75
        index = torch.arange(0, T, dtype=torch.int64, device=tokens.device)
        x = self.wte(tokens) + self.wpe(index)
        for h_item in self.h:
            # <std>/models/gpt2.tri:76
            x = h_item(x)
        # <std>/models/gpt2.tri:77
        return self.ln_f(x) @ self.wte.weight.T


class Model(GPT2):
    """`GPT2(vocab=11, max_positions=8, dim=12, heads=3, depth=2)`, as it was compiled."""

    def __init__(self, vocab=11, max_positions=8, dim=12, heads=3, depth=2):
        super().__init__(
            vocab=vocab, max_positions=max_positions, dim=dim, heads=heads, depth=depth
        )


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

"""Transformers and recommenders of the standard library against independent PyTorch code:
python references_attention.py TRITONC [CASE...]

As references.py, whose harness this is. Attention is PyTorch's own, rotary positions are complex numbers, experts
are called token by token. Models with a cache must also go on token by token as the reference does at once.
"""

import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import references
import torch
from references import imported, normal, prepared, same, saved, tritonc
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


def tokens(limit, *shape):
    return torch.from_numpy(np.random.default_rng(sum(shape)).integers(0, limit, shape))


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def attend(q, k, v, heads, **options):
    split = (heads_of(x, heads) for x in (q, k, v))
    return F.scaled_dot_product_attention(*split, **options).transpose(-3, -2).flatten(-2)


class BertEmbeddings(nn.Module):
    def __init__(self, vocab, positions, dim):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab, dim)
        self.position_embeddings = nn.Embedding(positions, dim)
        self.token_type_embeddings = nn.Embedding(2, dim)
        self.LayerNorm = nn.LayerNorm(dim, eps=1e-12)

    def forward(self, ids, types):
        x = self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]]
        return self.LayerNorm(x + self.token_type_embeddings(types))


class BertBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(dim, dim) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(dim, dim), "LayerNorm": nn.LayerNorm(dim, eps=1e-12)}),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(dim, 4 * dim)})
        self.output = nn.ModuleDict({"dense": nn.Linear(4 * dim, dim), "LayerNorm": nn.LayerNorm(dim, eps=1e-12)})

    def forward(self, x, mask):
        maps, out = self.attention["self"], self.attention["output"]
        y = attend(maps["query"](x), maps["key"](x), maps["value"](x), self.heads, attn_mask=mask[:, None, None])
        x = out["LayerNorm"](out["dense"](y) + x)
        y = self.output["dense"](F.gelu(self.intermediate["dense"](x)))
        return self.output["LayerNorm"](y + x)


class Bert(nn.Module):
    def __init__(self, vocab, positions, dim, heads, depth):
        super().__init__()
        self.embeddings = BertEmbeddings(vocab, positions, dim)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(BertBlock(dim, heads) for _ in range(depth))})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(dim, dim)})

    def forward(self, ids, mask, types):
        x = self.embeddings(ids, types)
        for block in self.encoder["layer"]:
            x = block(x, mask)
        return x, torch.tanh(self.pooler["dense"](x[:, 0]))


class Conv1D(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * 0.3)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return F.linear(x, self.weight.T, self.bias)


class GPT2Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = nn.ModuleDict({"c_attn": Conv1D(dim, 3 * dim), "c_proj": Conv1D(dim, dim)})
        self.mlp = nn.ModuleDict({"c_fc": Conv1D(dim, 4 * dim), "c_proj": Conv1D(4 * dim, dim)})

    def forward(self, x):
        q, k, v = self.attn["c_attn"](self.ln_1(x)).chunk(3, -1)
        x = x + self.attn["c_proj"](attend(q, k, v, self.heads, is_causal=True))
        y = F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh")
        return x + self.mlp["c_proj"](y)


class GPT2(nn.Module):
    def __init__(self, vocab, positions, dim, heads, depth):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, dim), nn.Embedding(positions, dim)
        self.h = nn.ModuleList(GPT2Block(dim, heads) for _ in range(depth))
        self.ln_f = nn.LayerNorm(dim)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight)


class LlamaAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads, theta):
        super().__init__()
        width = dim // heads
        self.heads, self.kv_heads, self.theta = heads, kv_heads, theta
        self.q_proj = nn.Linear(dim, heads * width, bias=False)
        self.k_proj = nn.Linear(dim, kv_heads * width, bias=False)
        self.v_proj = nn.Linear(dim, kv_heads * width, bias=False)
        self.o_proj = nn.Linear(heads * width, dim, bias=False)

    def turned(self, x):
        """Each feature of the first half is the real part of a number, that of the second half the imaginary one."""
        length, width = x.shape[-2:]
        rates = self.theta ** (-torch.arange(0, width, 2).double() / width)
        angles = torch.outer(torch.arange(length).double(), rates)
        turned = torch.complex(*x.double().chunk(2, -1)) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([turned.real, turned.imag], -1).float()

    def forward(self, x):
        q, k = self.turned(heads_of(self.q_proj(x), self.heads)), self.turned(heads_of(self.k_proj(x), self.kv_heads))
        v = heads_of(self.v_proj(x), self.kv_heads)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Gated(nn.Module):
    def __init__(self, dim, hidden, names):
        super().__init__()
        self.names = names
        for name, (inputs, outputs) in zip(names, ((dim, hidden), (dim, hidden), (hidden, dim))):
            setattr(self, name, nn.Linear(inputs, outputs, bias=False))

    def forward(self, x):
        gate, up, down = (getattr(self, name) for name in self.names)
        return down(F.silu(gate(x)) * up(x))


class LlamaBlock(nn.Module):
    def __init__(self, dim, heads, kv_heads, theta, second, layer):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(dim, eps=1e-5)
        self.self_attn = LlamaAttention(dim, heads, kv_heads, theta)
        self.post_attention_layernorm = nn.RMSNorm(dim, eps=1e-5)
        self.second = second
        setattr(self, second, layer)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + getattr(self, self.second)(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, vocab, dim, heads, kv_heads, depth, theta, second, layer):
        super().__init__()
        blocks = [LlamaBlock(dim, heads, kv_heads, theta, second, layer()) for _ in range(depth)]
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(vocab, dim)
        self.model.layers = nn.Sequential(*blocks)
        self.model.norm = nn.RMSNorm(dim, eps=1e-5)
        self.lm_head = nn.Linear(dim, vocab, bias=False)

    def forward(self, ids):
        return self.lm_head(self.model.norm(self.model.layers(self.model.embed_tokens(ids))))


class Mixture(nn.Module):
    def __init__(self, dim, hidden, experts, chosen):
        super().__init__()
        self.chosen = chosen
        self.gate = nn.Linear(dim, experts, bias=False)
        self.experts = nn.ModuleList(Gated(dim, hidden, ("w1", "w3", "w2")) for _ in range(experts))

    def one(self, token):
        """As the paper has it: the softmax over the best ratings, all others being minus infinity."""
        ratings = self.gate(token)
        worst = ratings.sort(descending=True).values[self.chosen - 1]
        weights = torch.softmax(ratings.masked_fill(ratings < worst, -math.inf), -1)
        return sum(w * expert(token) for w, expert in zip(weights, self.experts) if w > 0)

    def forward(self, x):
        return torch.stack([self.one(token) for token in x.flatten(0, 1)]).reshape(x.shape)


class ViTBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(self, x):
        x = x + self.attn["proj"](attend(*self.attn["qkv"](self.norm1(x)).chunk(3, -1), self.heads))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class ViT(nn.Module):
    def __init__(self, image, patch, classes, dim, heads, depth):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch, patch)})
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + (image // patch) ** 2, dim))
        self.blocks = nn.Sequential(*(ViTBlock(dim, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class SAMAttention(nn.Module):
    def __init__(self, dim, heads, size):
        super().__init__()
        self.heads, self.size = heads, size
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.randn(2 * size - 1, dim // heads))
        self.rel_pos_w = nn.Parameter(torch.randn(2 * size - 1, dim // heads))

    def forward(self, x):
        """One window, place by place: the bias of two places depends on how far apart they are each way."""
        size, heads = self.size, self.heads
        q, k, v = (heads_of(part.flatten(1, 2), heads) for part in self.qkv(x).chunk(3, -1))
        bias = torch.zeros(len(x), heads, size**2, size**2)
        for i in range(size**2):
            for j in range(size**2):
                down, right = i // size - j // size, i % size - j % size
                row = self.rel_pos_h[down + size - 1] + self.rel_pos_w[right + size - 1]
                bias[:, :, i, j] = q[:, :, i] @ row
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(y.transpose(1, 2).flatten(2)).reshape(x.shape)


class SAMBlock(nn.Module):
    def __init__(self, dim, heads, size, window):
        super().__init__()
        self.window = window
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = SAMAttention(dim, heads, window or size)
        self.mlp = nn.ModuleDict({"lin1": nn.Linear(dim, 4 * dim), "lin2": nn.Linear(4 * dim, dim)})

    def attended(self, x):
        if not self.window:
            return self.attn(x)
        window, (height, width) = self.window, x.shape[1:3]
        wide = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
        rows = []
        for strip in wide.split(window, 1):
            rows.append(torch.cat([self.attn(part) for part in strip.split(window, 2)], 2))
        return torch.cat(rows, 1)[:, :height, :width]

    def forward(self, x):
        x = x + self.attended(self.norm1(x))
        return x + self.mlp["lin2"](F.gelu(self.mlp["lin1"](self.norm2(x))))


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class SAM(nn.Module):
    def __init__(self, size, patch, dim, heads, windows, outputs):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch, patch)})
        self.pos_embed = nn.Parameter(torch.randn(1, size, size, dim))
        self.blocks = nn.Sequential(*(SAMBlock(dim, heads, size, window) for window in windows))
        self.neck = nn.Sequential(
            *(nn.Conv2d(dim, outputs, 1, bias=False), LayerNorm2d(outputs, eps=1e-6)),
            *(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), LayerNorm2d(outputs, eps=1e-6)),
        )

    def forward(self, x):
        x = self.patch_embed["proj"](x).movedim(1, -1) + self.pos_embed
        return self.neck(self.blocks(x).movedim(-1, 1))


class DLRM(nn.Module):
    def __init__(self, tables, bottom, top):
        super().__init__()
        maps = lambda widths: nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        pairs = (len(tables) + 1) * len(tables) // 2
        self.bot_l = nn.ModuleDict({"layers": maps(bottom)})
        self.emb_l = nn.ModuleList(nn.Embedding(size, bottom[-1]) for size in tables)
        self.top_l = nn.ModuleDict({"layers": maps([bottom[-1] + pairs, *top])})
        self.last = nn.Linear(top[-1], 1)

    def forward(self, numbers, index):
        for layer in self.bot_l["layers"]:
            numbers = F.relu(layer(numbers))
        vectors = [numbers] + [table(index[:, i]) for i, table in enumerate(self.emb_l)]
        products = [(a * b).sum(-1, keepdim=True) for i, a in enumerate(vectors) for b in vectors[:i]]
        x = torch.cat([numbers, *products], 1)
        for layer in self.top_l["layers"]:
            x = F.relu(layer(x))
        return torch.sigmoid(self.last(x))[:, 0]


class T5Block(nn.Module):
    def __init__(self, dim, heads, width, hidden):
        super().__init__()
        self.heads = heads
        linear = lambda inputs, outputs: nn.Linear(inputs, outputs, bias=False)
        attention = {name: linear(dim, heads * width) for name in "qkv"} | {"o": linear(heads * width, dim)}
        dense = {"wi": linear(dim, hidden), "wo": linear(hidden, dim)}
        norms = [{"layer_norm": nn.RMSNorm(dim, eps=1e-6)} for _ in range(2)]
        first = nn.ModuleDict({"SelfAttention": nn.ModuleDict(attention)} | norms[0])
        self.layer = nn.ModuleList([first, nn.ModuleDict({"DenseReluDense": nn.ModuleDict(dense)} | norms[1])])

    def forward(self, x, bias):
        maps, y = self.layer[0]["SelfAttention"], self.layer[0]["layer_norm"](x)
        x = x + maps["o"](attend(maps["q"](y), maps["k"](y), maps["v"](y), self.heads, attn_mask=bias, scale=1.0))
        maps, y = self.layer[1]["DenseReluDense"], self.layer[1]["layer_norm"](x)
        return x + maps["wo"](F.relu(maps["wi"](y)))


class T5(nn.Module):
    def __init__(self, vocab, dim, heads, width, hidden, depth, buckets, farthest):
        super().__init__()
        self.buckets, self.farthest = buckets, farthest
        self.shared = nn.Embedding(vocab, dim)
        self.encoder = nn.Module()
        self.encoder.relative_attention_bias = nn.Embedding(buckets, heads)
        self.encoder.block = nn.ModuleList(T5Block(dim, heads, width, hidden) for _ in range(depth))
        self.encoder.final_layer_norm = nn.RMSNorm(dim, eps=1e-6)

    def bucket(self, distance):
        half, away = self.buckets // 2, abs(distance)
        near = half // 2
        if away >= near:
            share = math.log(away / near) / math.log(self.farthest / near)
            away = min(near + int(share * (half - near) + 1e-6), half - 1)
        return away + (half if distance > 0 else 0)

    def forward(self, ids):
        length = ids.shape[1]
        places = torch.tensor([[self.bucket(key - query) for key in range(length)] for query in range(length)])
        bias = self.encoder.relative_attention_bias(places).permute(2, 0, 1)
        x = self.shared(ids)
        for block in self.encoder.block:
            x = block(x, bias)
        return self.encoder.final_layer_norm(x)


def stacked_experts(state):
    """As `references.saved`, but the weights of experts lie in one tensor."""
    tensors = {}
    for name, tensor in saved(state).items():
        if ".experts." in name:
            before, after = name.split(".experts.")
            expert, kind, _ = after.split(".")
            tensors.setdefault(f"{before}.experts.{kind}", {})[int(expert)] = tensor
            continue
        tensors[name] = tensor
    stacked = {name: torch.stack([t[i] for i in range(len(t))]) for name, t in tensors.items() if isinstance(t, dict)}
    return tensors | stacked


def with_cache(folder, module, entry, reference, inputs):
    """Prefill and decode of the emitted module go on as the reference does at once."""
    source = folder / "cached.tri"
    source.write_text(f"use {module}.{{{entry.split('(')[0]}}}\nlet entry = {entry}\n")
    model = prepared(reference).eval()
    weights = folder / "cached.safetensors"
    save_file(stacked_experts(model.state_dict()), weights)
    tritonc("build", source, "--target", "pytorch", "-o", folder / "cached")
    (file,) = (folder / "cached").glob("*.py")
    emitted = imported(file).load(weights).eval()
    (ids,) = inputs.values()
    with torch.no_grad():
        want = model(ids)
        same([emitted.prefill(ids[:, :3])], [want[:, 2]], "prefill")
        for position in range(3, ids.shape[1]):
            same([emitted.decode(ids[:, position], position)], [want[:, position]], f"decode at {position}")


references.saved = stacked_experts
BERT = ("Bert(11, max_positions=8, dim=12, heads=3, depth=2)", lambda: Bert(11, 8, 12, 3, 2))
GPT = ("GPT2(11, max_positions=8, dim=12, heads=3, depth=2)", lambda: GPT2(11, 8, 12, 3, 2))
LLAMA = "vocab=13, dim=16, heads=4, kv_heads=2, hidden=24, depth=2, theta=100.0, batch=2, max_positions=8"
MIXTRAL = LLAMA.replace("hidden=24", "hidden=12, expert_count=5, chosen=2")
VIT = "VisionTransformer(image_size=12, patch_size=4, classes=5, dim=8, heads=2, depth=2)"
SAM_SMALL = "ImageEncoder(image_size=20, patch_size=4, dim=8, heads=2, depth=3, out_channels=6, window=3)"
T5_SMALL = "T5Encoder(11, dim=10, heads=3, head_dim=4, hidden=14, depth=2, buckets=12, max_distance=9)"
IDS = {"tokens": tokens(11, 2, 7)}
CACHED = {
    "llama": (
        "models.llama",
        f"Llama({LLAMA})",
        lambda: Llama(13, 16, 4, 2, 2, 100.0, "mlp", lambda: Gated(16, 24, ("gate_proj", "up_proj", "down_proj"))),
        IDS,
    ),
    "mixtral": (
        "models.mixtral",
        f"Mixtral({MIXTRAL})",
        lambda: Llama(13, 16, 4, 2, 2, 100.0, "block_sparse_moe", lambda: Mixture(16, 12, 5, 2)),
        IDS,
    ),
}
references.CASES = {
    "bert": (
        "models.bert",
        *BERT,
        IDS | {"mask": torch.arange(7) < torch.tensor([[7], [4]]), "texts": tokens(2, 2, 7)},
    ),
    "gpt2": ("models.gpt2", *GPT, IDS),
    **CACHED,
    "vit": ("models.vit", VIT, lambda: ViT(12, 4, 5, 8, 2, 2), {"x": normal(2, 3, 12, 12)}),
    "sam": ("models.sam", SAM_SMALL, lambda: SAM(5, 4, 8, 2, [3, 3, 0], 6), {"x": normal(2, 3, 20, 20)}),
    "dlrm": (
        "models.dlrm",
        "DLRM(tables=[5, 7, 6], bottom=[4, 8, 3], top=[9, 4])",
        lambda: DLRM([5, 7, 6], [4, 8, 3], [9, 4]),
        {"numbers": normal(3, 4), "index": tokens(5, 3, 3)},
    ),
    "t5": ("models.t5", T5_SMALL, lambda: T5(11, 10, 3, 4, 14, 2, 12, 9), {"tokens": tokens(11, 2, 14)}),
}


def main():
    for name in set(CACHED) & set(sys.argv[2:] or CACHED):
        with tempfile.TemporaryDirectory() as scratch:
            with_cache(Path(scratch), *CACHED[name])
    references.main()


if __name__ == "__main__":
    main()

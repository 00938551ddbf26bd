# Decoder(mels=4, memory_dim=6, prenet_dim=5, rnn_dim=8, attention_dim=4, filters=3, kernel_size=5, dropout=0.1, prenet_dropout=0.0) of tests/cases/models/tacotron2.tri, compiled by tritonc 0.1.0

import json
import math

import torch
import torch.nn.functional as F
from torch import nn


def new_seed():
    """A seed from PyTorch's own generator, so that `torch.manual_seed` rules all."""
    return torch.randint(2**63 - 1, ())


def philox(seed, count, device=None):
    """`count` random 32-bit words of Philox4x32-10, as int64."""
    low = 0xFFFFFFFF
    seed = int(seed)
    block = torch.arange((count + 3) // 4, device=device)
    a, b, c, d = block & low, block >> 32, block * 0, block * 0
    key, other_key = seed & low, seed >> 32 & low
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, c = (right >> 32 & low) ^ b ^ key, (left >> 32 & low) ^ d ^ other_key
        b, d = right & low, left & low
        key = key + 0x9E3779B9 & low
        other_key = other_key + 0xBB67AE85 & low
    return torch.stack([a, b, c, d], dim=-1).flatten()[:count]


def random_uniform(seed, shape, low, high, dtype, device=None):
    """Numbers from `low` to below `high`."""
    words = philox(seed, math.prod(shape), device) >> 8
    values = low + (high - low) * (words.double() * 2.0**-24)
    return values.to(dtype).reshape(shape)


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


def keep_names(module, names):
    """Saves and loads members by these names, where attributes have others."""

    def rename(state, prefix, names):
        own = [key for key in state if key.startswith(prefix)]
        path = {key: prefix + renamed(key[len(prefix) :], names) for key in own}
        state.update({path[key]: state.pop(key) for key in own})

    def after_saving(module, state, prefix, metadata):
        rename(state, prefix, names)

    def before_loading(module, state, prefix, *others):
        rename(state, prefix, {saved: own for own, saved in names.items()})

    module.saved_names = names
    module.register_state_dict_post_hook(after_saving)
    module.register_load_state_dict_pre_hook(before_loading)


def renamed(path, names):
    """A path whose beginning stands among the names, by its other name."""
    for old, new in names.items():
        if path == old or path.startswith(f"{old}."):
            return new + path[len(old) :]
    return path


def thinned(x, p):
    """Zeroes elements with probability `p` and scales the others, in training and outside it. The shape stays."""
    d0, d1, d2 = x.shape
    # <std>/models/tacotron2.tri:80
    seed = new_seed()
    keep = random_uniform(seed, (d0, d1, d2), 0, 1, torch.float32, device=x.device) >= p
    # <std>/models/tacotron2.tri:81
    return torch.where(keep, x / (1.0 - p), 0.0)


def linear(x, weight, bias):
    """Affine map of the last axis: `x @ weight.T + bias`, as `torch.nn.functional.linear`.
    `x: [..., K]`, `weight: [N, K]`, `bias: [N]` or left out; gives `[..., N]`.
    """
    # <std>/prelude.tri:6
    y = x @ weight.T
    # <std>/prelude.tri:7
    return y + bias


def lstm_step(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """One step of a long short-term memory (https://doi.org/10.1162/neco.1997.9.8.1735).
    `x: [B, I]`, the last output `h: [B, N]` and the cell `c: [B, N]` give the next output and cell. The rows of
    the weights: input gate, forget gate, new values, output gate.
    """
    # <std>/recurrent.tri:49
    gates = linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)
    # <std>/recurrent.tri:50
    take, keep, new, give = gates.chunk(4, dim=-1)
    # <std>/recurrent.tri:51
    cell = keep.sigmoid() * c + take.sigmoid() * new.tanh()
    # <std>/recurrent.tri:52
    return give.sigmoid() * cell.tanh(), cell


class Linear(nn.Module):
    """Affine map of the last axis: `x @ weight.T`, and a learnt offset if `bias` is set.

    in_features: Size of the last axis of the input.
    out_features: Size of the last axis of the output.

    Compiled for F = float32, bias = false.
    """

    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x):
        """`[..., in_features]` gives `[..., out_features]`."""
        # <std>/nn.tri:22
        return x @ self.weight.T


class Prenet(nn.Module):
    """Two layers that lose part of what they see, even outside training, so that the decoder cannot lean on the last
    frame.
    """

    def __init__(self, in_features, dim, dropout):
        super().__init__()
        self.dropout = dropout
        keep_names(self, {f"layers.{i}": f"layers.{i}.linear_layer" for i in range(2)})
        self.layers = nn.ModuleList([Linear(in_features, dim), Linear(dim, dim)])

    def forward(self, x):
        """`[..., in_features]` gives `[..., dim]`."""
        # <std>/models/tacotron2.tri:73
        y = thinned(F.relu(self.layers[0](x)), self.dropout)
        # <std>/models/tacotron2.tri:74
        return thinned(F.relu(self.layers[1](y)), self.dropout)


class LSTMCell(nn.Module):
    """`lstm_step` as a layer.

    Compiled for F = float32, bias = true.
    """

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.uniform_(
            self.weight_ih,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.weight_hh,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.bias_ih,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.bias_hh,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )

    def forward(self, x, h, c):
        """`x: [B, input_size]`, the last output `h` and the cell `c`, both `[B, hidden_size]`, give the next two."""
        # <std>/recurrent.tri:155
        y, y_2 = lstm_step(
            x, h, c, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        )
        return y, y_2


class Conv1d(nn.Module):
    """Convolution of sequences.

    padding: Zeros added at both ends.
    dilation: Distance between the elements that a kernel reads.
    groups: Channels are convolved in so many groups of their own.

    Compiled for F = float32, bias = false.
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
    ):
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError("`Conv1d` needs in_channels % groups == 0")
        if out_channels % groups != 0:
            raise ValueError("`Conv1d` needs out_channels % groups == 0")
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self.weight = nn.Parameter(
            torch.empty(out_channels, in_channels // groups, kernel_size)
        )
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x):
        """`[B, in_channels, L]` gives
        `[B, out_channels, (L + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1]`.
        """
        # <std>/nn.tri:124
        return F.conv1d(
            x,
            self.weight,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class LocationAttention(nn.Module):
    """Attention by content and by location: where it was at the last step, and at all steps together."""

    def __init__(self, query_dim, memory_dim, dim, filters, kernel_size):
        super().__init__()
        if kernel_size % 2 != 1:
            raise ValueError("`LocationAttention` needs kernel_size % 2 == 1")
        names = {
            "query_layer": "query_layer.linear_layer",
            "memory_layer": "memory_layer.linear_layer",
            "v": "v.linear_layer",
            "location_conv": "location_layer.location_conv.conv",
            "location_dense": "location_layer.location_dense.linear_layer",
        }
        keep_names(self, names)
        self.query_layer = Linear(query_dim, dim)
        self.memory_layer = Linear(memory_dim, dim)
        self.v = Linear(dim, 1)
        self.location_conv = Conv1d(2, filters, kernel_size, padding=kernel_size // 2)
        self.location_dense = Linear(filters, dim)

    def forward(self, query, keys, memory, seen, last, total):
        """`query: [B, query_dim]`, `keys: [B, T, dim]` (the memory through `memory_layer`), `memory: [B, T, memory_dim]`,
        `seen: [B, T]` (false where there is no text), the last weights and their sum over all steps, both `[B, T]`,
        give what was found, `[B, memory_dim]`, and the weights, `[B, T]`.
        """
        # <std>/models/tacotron2.tri:58
        y = self.location_conv(torch.stack([last, total], dim=1)).mT
        location = self.location_dense(y)
        # <std>/models/tacotron2.tri:59
        y = self.query_layer(query).unsqueeze(1) + location + keys
        energies = self.v(y.tanh())[..., 0]
        # <std>/models/tacotron2.tri:60
        weights = F.softmax(torch.where(seen, energies, -math.inf), dim=-1)
        # <std>/models/tacotron2.tri:61
        return (weights.unsqueeze(1) @ memory)[:, 0], weights


class Linear_2(nn.Module):
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


class Decoder(nn.Module):
    """Makes one frame after the other."""

    def __init__(
        self,
        mels,
        memory_dim,
        prenet_dim,
        rnn_dim,
        attention_dim,
        filters,
        kernel_size,
        dropout,
        prenet_dropout,
    ):
        super().__init__()
        if kernel_size % 2 != 1:
            raise ValueError("`Decoder` needs kernel_size % 2 == 1")
        self.memory_dim = memory_dim
        self.rnn_dim = rnn_dim
        names = {
            "linear_projection": "linear_projection.linear_layer",
            "gate_layer": "gate_layer.linear_layer",
        }
        keep_names(self, names)
        self.prenet = Prenet(mels, prenet_dim, prenet_dropout)
        self.attention_rnn = LSTMCell(memory_dim + prenet_dim, rnn_dim)
        self.attention_layer = LocationAttention(
            rnn_dim, memory_dim, attention_dim, filters, kernel_size
        )
        self.decoder_rnn = LSTMCell(memory_dim + rnn_dim, rnn_dim)
        self.linear_projection = Linear_2(memory_dim + rnn_dim, mels)
        self.gate_layer = Linear_2(memory_dim + rnn_dim, 1)

    def start(self, memory):
        """The state before the first step."""
        B, T = memory.shape[:2]
        # <std>/models/tacotron2.tri:179
        h = torch.zeros((B, self.rnn_dim), dtype=torch.float32, device=memory.device)
        # <std>/models/tacotron2.tri:180
        w = torch.zeros((B, T), dtype=torch.float32, device=memory.device)
        # <std>/models/tacotron2.tri:181
        return (
            h,
            h,
            h,
            h,
            w,
            w,
            torch.zeros(
                (B, self.memory_dim), dtype=torch.float32, device=memory.device
            ),
        )

    def step(
        self,
        x,
        keys,
        memory,
        seen,
        state,
        state_2,
        state_3,
        state_4,
        state_5,
        state_6,
        state_7,
    ):
        """One step: from the last frame after the prenet to the next frame."""
        # <std>/models/tacotron2.tri:193
        y = torch.cat([x, state_7], dim=-1)
        h1, c1 = self.attention_rnn(y, state, state_2)
        # <std>/models/tacotron2.tri:194
        # <std>/models/tacotron2.tri:195
        context, weights = self.attention_layer(
            h1, keys, memory, seen, state_5, state_6
        )
        # <std>/models/tacotron2.tri:196
        y = torch.cat([h1, context], dim=-1)
        h2, c2 = self.decoder_rnn(y, state_3, state_4)
        # <std>/models/tacotron2.tri:197
        # <std>/models/tacotron2.tri:198
        y = torch.cat([h2, context], dim=-1)
        # <std>/models/tacotron2.tri:200
        return (
            self.linear_projection(y),
            self.gate_layer(y)[:, 0],
            h1,
            c1,
            h2,
            c2,
            weights,
            state_6 + weights,
            context,
        )

    def forward(self, frames, memory, seen):
        """The frames before each, `[B, S, mels]`, the memory `[B, T, memory_dim]` and `seen: [B, T]` give the frames
        `[B, S, mels]`, the scores of the sound's ending there, `[B, S]`, and the weights of the attention, `[B, S, T]`.
        """
        S = frames.shape[1]
        # <std>/models/tacotron2.tri:119
        inputs = self.prenet(frames)
        # <std>/models/tacotron2.tri:120
        keys = self.attention_layer.memory_layer(memory)
        # <std>/models/tacotron2.tri:121
        y, y_2, y_3, y_4, y_5, y_6, y_7 = self.start(memory)
        # <std>/models/tacotron2.tri:123
        alignments = []
        gates = []
        outputs = []
        # <std>/models/tacotron2.tri:123
        for s in range(S):
            # <std>/models/tacotron2.tri:124
            y_8 = inputs[:, s]
            frame, gate, y, y_2, y_3, y_4, y_5, y_6, y_7 = self.step(
                y_8, keys, memory, seen, y, y_2, y_3, y_4, y_5, y_6, y_7
            )
            alignments.append(y_5)
            gates.append(gate)
            outputs.append(frame)
        # <std>/models/tacotron2.tri:130
        return (
            torch.stack(outputs, dim=1),
            torch.stack(gates, dim=1),
            torch.stack(alignments, dim=1),
        )


class Model(Decoder):
    """`Decoder(mels=4, memory_dim=6, prenet_dim=5, rnn_dim=8, attention_dim=4, filters=3, kernel_size=5, dropout=0.1, prenet_dropout=0.0)`, as it was compiled."""

    def __init__(
        self,
        mels=4,
        memory_dim=6,
        prenet_dim=5,
        rnn_dim=8,
        attention_dim=4,
        filters=3,
        kernel_size=5,
        dropout=0.1,
        prenet_dropout=0.0,
    ):
        super().__init__(
            mels=mels,
            memory_dim=memory_dim,
            prenet_dim=prenet_dim,
            rnn_dim=rnn_dim,
            attention_dim=attention_dim,
            filters=filters,
            kernel_size=kernel_size,
            dropout=dropout,
            prenet_dropout=prenet_dropout,
        )


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

# LSTM(input_size=3, hidden_size=4) of tests/cases/stdlib/recurrent_layers.tri, compiled by tritonc 0.1.0

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


def lstm_sequence(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """`lstm_step` for each position of a sequence.
    `x: [B, T, I]` and the first output and cell, both `[B, N]`, give the outputs `[B, T, N]` and
    the last output and cell.
    """
    T = x.shape[1]
    # <std>/recurrent.tri:104
    outputs = []
    # <std>/recurrent.tri:104
    for t in range(T):
        # <std>/recurrent.tri:105
        y = x[:, t]
        h, c = lstm_step(y, h, c, weight_ih, weight_hh, bias_ih, bias_hh)
        outputs.append(h)
    # <std>/recurrent.tri:108
    return torch.stack(outputs, dim=1), h, c


class LSTM(nn.Module):
    """Long short-term memory over sequences (https://doi.org/10.1162/neco.1997.9.8.1735).

    Compiled for F = float32, bias = true, bidirectional = true.
    """

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size))
        self.weight_ih_l0_reverse = nn.Parameter(
            torch.empty(4 * hidden_size, input_size)
        )
        self.weight_hh_l0_reverse = nn.Parameter(
            torch.empty(4 * hidden_size, hidden_size)
        )
        self.bias_ih_l0_reverse = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh_l0_reverse = nn.Parameter(torch.empty(4 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.uniform_(
            self.weight_ih_l0,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.weight_hh_l0,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.bias_ih_l0,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.bias_hh_l0,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.weight_ih_l0_reverse,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.weight_hh_l0_reverse,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.bias_ih_l0_reverse,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )
        nn.init.uniform_(
            self.bias_hh_l0_reverse,
            -(1.0 / math.sqrt(self.hidden_size)),
            1.0 / math.sqrt(self.hidden_size),
        )

    def forward(self, x, h0=None, c0=None):
        """`x: [B, T, input_size]` gives the outputs `[B, T, directions * hidden_size]`, and the last outputs and cells
        of each direction, both `[directions, B, hidden_size]`. The first ones are zeros unless given.
        """
        B = x.shape[0]
        if c0 is None:
            if h0 is None:
                # <std>/recurrent.tri:284
                h0 = torch.zeros(
                    (2, B, self.hidden_size), dtype=torch.float32, device=x.device
                )
                # <std>/recurrent.tri:287
                y = h0[0]
                y, h, c = lstm_sequence(
                    x,
                    y,
                    y,
                    self.weight_ih_l0,
                    self.weight_hh_l0,
                    self.bias_ih_l0,
                    self.bias_hh_l0,
                )
                # <std>/recurrent.tri:292
                back = x.flip(1)
                # <std>/recurrent.tri:296
                y_2 = h0[1]
                # <std>/recurrent.tri:294
                z, g, d = lstm_sequence(
                    back,
                    y_2,
                    y_2,
                    self.weight_ih_l0_reverse,
                    self.weight_hh_l0_reverse,
                    self.bias_ih_l0_reverse,
                    self.bias_hh_l0_reverse,
                )
            else:
                # <std>/recurrent.tri:285
                c0 = torch.zeros(
                    (2, B, self.hidden_size), dtype=torch.float32, device=x.device
                )
                # <std>/recurrent.tri:287
                h = h0[0]
                c = c0[0]
                y, h, c = lstm_sequence(
                    x,
                    h,
                    c,
                    self.weight_ih_l0,
                    self.weight_hh_l0,
                    self.bias_ih_l0,
                    self.bias_hh_l0,
                )
                # <std>/recurrent.tri:292
                back = x.flip(1)
                # <std>/recurrent.tri:294
                h_2 = h0[1]
                c_2 = c0[1]
                z, g, d = lstm_sequence(
                    back,
                    h_2,
                    c_2,
                    self.weight_ih_l0_reverse,
                    self.weight_hh_l0_reverse,
                    self.bias_ih_l0_reverse,
                    self.bias_hh_l0_reverse,
                )
        else:
            if h0 is None:
                # <std>/recurrent.tri:284
                h0 = torch.zeros(
                    (2, B, self.hidden_size), dtype=torch.float32, device=x.device
                )
            # <std>/recurrent.tri:287
            h = h0[0]
            c = c0[0]
            y, h, c = lstm_sequence(
                x,
                h,
                c,
                self.weight_ih_l0,
                self.weight_hh_l0,
                self.bias_ih_l0,
                self.bias_hh_l0,
            )
            # <std>/recurrent.tri:292
            back = x.flip(1)
            # <std>/recurrent.tri:294
            h_2 = h0[1]
            c_2 = c0[1]
            z, g, d = lstm_sequence(
                back,
                h_2,
                c_2,
                self.weight_ih_l0_reverse,
                self.weight_hh_l0_reverse,
                self.bias_ih_l0_reverse,
                self.bias_hh_l0_reverse,
            )
        # <std>/recurrent.tri:306
        return (
            torch.cat([y, z.flip(1)], dim=-1),
            torch.stack([h, g]),
            torch.stack([c, d]),
        )


class Model(LSTM):
    """`LSTM(input_size=3, hidden_size=4)`, as it was compiled."""

    def __init__(self, input_size=3, hidden_size=4):
        super().__init__(input_size, hidden_size)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model

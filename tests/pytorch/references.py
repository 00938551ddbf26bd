"""Models of the standard library against independent PyTorch code: python references.py TRITONC [CASE...]

Each reference is written as its paper's authors or torchvision name and compute it. Its weights are given to the
model under the same names, and `tritonc run` and the emitted module must both compute what the reference does,
in training and in inference. Prints each failure, and exits with 1 if there were any.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

TRITONC = Path(sys.argv[1]).resolve()


def normal(*shape):
    return torch.from_numpy(np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32))


def indices(limit, *shape):
    return torch.from_numpy(np.random.default_rng(sum(shape)).integers(0, limit, shape))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample(inputs, channels, stride)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * 4)
        self.downsample = downsample(inputs, channels * 4, stride)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


def downsample(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    def __init__(self, block, depths, classes, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for number, depth in enumerate(depths):
            blocks = []
            for position in range(depth):
                stride = 2 if number > 0 and position == 0 else 1
                blocks.append(block(inputs, width * 2**number, stride))
                inputs = width * 2**number * block.expansion
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth, bottleneck):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, bottleneck * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck * growth)
        self.conv2 = nn.Conv2d(bottleneck * growth, growth, 3, padding=1, bias=False)

    def forward(self, features):
        x = torch.cat(features, 1)
        return self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


class DenseBlock(nn.ModuleDict):
    def __init__(self, depth, inputs, growth, bottleneck):
        super().__init__()
        for i in range(depth):
            self[f"denselayer{i + 1}"] = DenseLayer(inputs + i * growth, growth, bottleneck)

    def forward(self, x):
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet(nn.Module):
    def __init__(self, growth, depths, width, bottleneck, classes):
        super().__init__()
        self.features = nn.Sequential()
        self.features.conv0 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.features.norm0 = nn.BatchNorm2d(width)
        self.features.relu0 = nn.ReLU()
        self.features.pool0 = nn.MaxPool2d(3, 2, 1)
        channels = width
        for i, depth in enumerate(depths):
            self.features.add_module(f"denseblock{i + 1}", DenseBlock(depth, channels, growth, bottleneck))
            channels += depth * growth
            if i + 1 < len(depths):
                transition = nn.Sequential()
                transition.norm = nn.BatchNorm2d(channels)
                transition.relu = nn.ReLU()
                transition.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
                transition.pool = nn.AvgPool2d(2, 2)
                self.features.add_module(f"transition{i + 1}", transition)
                channels //= 2
        self.features.norm5 = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.relu(self.features(x))
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def conv_norm_relu(inputs, outputs, kernel=3, stride=1, groups=1):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expand):
        super().__init__()
        hidden = inputs * expand
        self.shortcut = stride == 1 and inputs == outputs
        layers = [conv_norm_relu(inputs, hidden, 1)] if expand != 1 else []
        layers += [conv_norm_relu(hidden, hidden, 3, stride, hidden)]
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    SETTINGS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

    def __init__(self, classes):
        super().__init__()
        features, inputs = [conv_norm_relu(3, 32, stride=2)], 32
        for expand, channels, repeats, stride in self.SETTINGS:
            for i in range(repeats):
                features.append(InvertedResidual(inputs, channels, stride if i == 0 else 1, expand))
                inputs = channels
        features.append(conv_norm_relu(320, 1280, 1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(1280, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class Fire(nn.Module):
    def __init__(self, inputs, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool, Fire(64, 16, 64), Fire(128, 16, 64), pool),
            *(Fire(128, 32, 128), Fire(256, 32, 128), pool),
            *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Conv2d(512, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x):
        return torch.flatten(self.classifier(self.features(x)), 1)


class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.double_conv = nn.Sequential(
            *(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
            *(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, stride=2)
        self.conv = DoubleConv(inputs, outputs)

    def forward(self, x, skip):
        return self.conv(torch.cat([skip, self.up(x)], 1))


class UNet(nn.Module):
    def __init__(self, channels, classes, width):
        super().__init__()
        self.inc = DoubleConv(channels, width)
        for i in range(4):
            setattr(self, f"down{i + 1}", Down(width * 2**i, width * 2 ** (i + 1)))
            setattr(self, f"up{i + 1}", Up(width * 2 ** (4 - i), width * 2 ** (3 - i)))
        self.outc = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        x = self.up1(self.down4(x4), x4)
        return self.outc(self.up4(self.up3(self.up2(x, x3), x2), x1))


class Generator(nn.Module):
    def __init__(self, nz, ngf, nc):
        super().__init__()
        layers, inputs = [], nz
        for i, outputs in enumerate((ngf * 8, ngf * 4, ngf * 2, ngf)):
            stride, padding = (1, 0) if i == 0 else (2, 1)
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, x):
        return self.main(x)


class Discriminator(nn.Module):
    def __init__(self, ndf, nc):
        super().__init__()
        layers, inputs = [nn.Conv2d(nc, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)], ndf
        for outputs in (ndf * 2, ndf * 4, ndf * 8):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
            inputs = outputs
        self.main = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 4, 1, 0, bias=False), nn.Sigmoid())

    def forward(self, x):
        return self.main(x).reshape(-1)


class ResBlock(nn.Module):
    def __init__(self, dims):
        super().__init__()
        self.conv1 = nn.Conv1d(dims, dims, 1, bias=False)
        self.conv2 = nn.Conv1d(dims, dims, 1, bias=False)
        self.batch_norm1 = nn.BatchNorm1d(dims)
        self.batch_norm2 = nn.BatchNorm1d(dims)

    def forward(self, x):
        return x + self.batch_norm2(self.conv2(F.relu(self.batch_norm1(self.conv1(x)))))


class MelResNet(nn.Module):
    def __init__(self, blocks, inputs, dims, outputs, pad):
        super().__init__()
        self.conv_in = nn.Conv1d(inputs, dims, pad * 2 + 1, bias=False)
        self.batch_norm = nn.BatchNorm1d(dims)
        self.layers = nn.ModuleList([ResBlock(dims) for _ in range(blocks)])
        self.conv_out = nn.Conv1d(dims, outputs, 1)

    def forward(self, x):
        x = F.relu(self.batch_norm(self.conv_in(x)))
        for layer in self.layers:
            x = layer(x)
        return self.conv_out(x)


class UpsampleNetwork(nn.Module):
    def __init__(self, feats, scales, dims, blocks, outputs, pad):
        super().__init__()
        self.scales, self.hop = scales, int(np.prod(scales))
        self.indent = pad * self.hop
        self.resnet = MelResNet(blocks, feats, dims, outputs, pad)
        self.up_layers = nn.ModuleList([nn.Conv2d(1, 1, (1, s * 2 + 1), padding=(0, s), bias=False) for s in scales])

    def forward(self, mels):
        aux = self.resnet(mels).repeat_interleave(self.hop, 2)
        fine = mels.unsqueeze(1)
        for scale, layer in zip(self.scales, self.up_layers):
            fine = layer(fine.repeat_interleave(scale, 3))
        fine = fine.squeeze(1)[:, :, self.indent : -self.indent]
        return fine.transpose(1, 2), aux.transpose(1, 2)


class WaveRNN(nn.Module):
    def __init__(self, rnn, fc, bits, pad, scales, feats, dims, outputs, blocks):
        super().__init__()
        self.rnn_dims, self.aux_dims = rnn, outputs // 4
        self.upsample = UpsampleNetwork(feats, scales, dims, blocks, outputs, pad)
        self.I = nn.Linear(feats + self.aux_dims + 1, rnn)
        self.rnn1 = nn.GRU(rnn, rnn, batch_first=True)
        self.rnn2 = nn.GRU(rnn + self.aux_dims, rnn, batch_first=True)
        self.fc1 = nn.Linear(rnn + self.aux_dims, fc)
        self.fc2 = nn.Linear(fc + self.aux_dims, fc)
        self.fc3 = nn.Linear(fc, 2**bits)

    def forward(self, x, mels):
        mels, aux = self.upsample(mels)
        a1, a2, a3, a4 = aux.split(self.aux_dims, 2)
        x = self.I(torch.cat([x.unsqueeze(-1), mels, a1], 2))
        x = x + self.rnn1(x)[0]
        x = x + self.rnn2(torch.cat([x, a2], 2))[0]
        x = F.relu(self.fc1(torch.cat([x, a3], 2)))
        x = F.relu(self.fc2(torch.cat([x, a4], 2)))
        return self.fc3(x)


class ConvNorm(nn.Module):
    def __init__(self, inputs, outputs, kernel, bias=True):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x):
        return self.conv(x)


class LinearNorm(nn.Module):
    def __init__(self, inputs, outputs, bias=True):
        super().__init__()
        self.linear_layer = nn.Linear(inputs, outputs, bias=bias)

    def forward(self, x):
        return self.linear_layer(x)


def normed_convolutions(widths, kernel):
    pairs = zip(widths, widths[1:])
    return nn.ModuleList([nn.Sequential(ConvNorm(a, b, kernel), nn.BatchNorm1d(b)) for a, b in pairs])


class TacotronEncoder(nn.Module):
    def __init__(self, dim, depth, kernel):
        super().__init__()
        self.convolutions = normed_convolutions([dim] * (depth + 1), kernel)
        self.lstm = nn.LSTM(dim, dim // 2, 1, batch_first=True, bidirectional=True)

    def forward(self, x):
        for conv in self.convolutions:
            x = F.relu(conv(x))
        return self.lstm(x.transpose(1, 2))[0]


class LocationLayer(nn.Module):
    def __init__(self, filters, kernel, dim):
        super().__init__()
        self.location_conv = ConvNorm(2, filters, kernel, bias=False)
        self.location_dense = LinearNorm(filters, dim, bias=False)

    def forward(self, x):
        return self.location_dense(self.location_conv(x).transpose(1, 2))


class TacotronAttention(nn.Module):
    def __init__(self, rnn, memory, dim, filters, kernel):
        super().__init__()
        self.query_layer = LinearNorm(rnn, dim, bias=False)
        self.memory_layer = LinearNorm(memory, dim, bias=False)
        self.v = LinearNorm(dim, 1, bias=False)
        self.location_layer = LocationLayer(filters, kernel, dim)

    def forward(self, hidden, memory, processed, weights, mask):
        query = self.query_layer(hidden.unsqueeze(1))
        energies = self.v(torch.tanh(query + self.location_layer(weights) + processed)).squeeze(-1)
        weights = F.softmax(energies.masked_fill(mask, -float("inf")), dim=1)
        return torch.bmm(weights.unsqueeze(1), memory).squeeze(1), weights


class Prenet(nn.Module):
    def __init__(self, inputs, dim):
        super().__init__()
        self.layers = nn.ModuleList([LinearNorm(inputs, dim, bias=False), LinearNorm(dim, dim, bias=False)])

    def forward(self, x):
        for linear in self.layers:
            x = F.relu(linear(x))
        return x


class TacotronDecoder(nn.Module):
    def __init__(self, mels, memory, prenet, rnn, dim, filters, kernel):
        super().__init__()
        self.rnn_dim = rnn
        self.prenet = Prenet(mels, prenet)
        self.attention_rnn = nn.LSTMCell(prenet + memory, rnn)
        self.attention_layer = TacotronAttention(rnn, memory, dim, filters, kernel)
        self.decoder_rnn = nn.LSTMCell(rnn + memory, rnn)
        self.linear_projection = LinearNorm(rnn + memory, mels)
        self.gate_layer = LinearNorm(rnn + memory, 1)

    def forward(self, memory, target, mask, count):
        """Frames from those of `target`, or where that is `None`, from its own."""
        B, T, E = memory.shape
        attention = decoder = (torch.zeros(B, self.rnn_dim), torch.zeros(B, self.rnn_dim))
        weights, total, context = torch.zeros(B, T), torch.zeros(B, T), torch.zeros(B, E)
        processed = self.attention_layer.memory_layer(memory)
        frame = torch.zeros(B, self.linear_projection.linear_layer.out_features)
        frames, gates, alignments = [], [], []
        for step in range(count):
            attention = self.attention_rnn(torch.cat((self.prenet(frame), context), -1), attention)
            both = torch.cat((weights.unsqueeze(1), total.unsqueeze(1)), dim=1)
            context, weights = self.attention_layer(attention[0], memory, processed, both, mask)
            total = total + weights
            decoder = self.decoder_rnn(torch.cat((attention[0], context), -1), decoder)
            seen = torch.cat((decoder[0], context), dim=1)
            frames.append(self.linear_projection(seen))
            gates.append(self.gate_layer(seen).squeeze(1))
            alignments.append(weights)
            frame = frames[-1] if target is None else target[:, :, step]
        return torch.stack(frames, 2), torch.stack(gates, 1), torch.stack(alignments, 1)


class Postnet(nn.Module):
    def __init__(self, mels, dim, depth, kernel):
        super().__init__()
        self.convolutions = normed_convolutions([mels] + [dim] * (depth - 1) + [mels], kernel)

    def forward(self, x):
        for conv in self.convolutions[:-1]:
            x = torch.tanh(conv(x))
        return self.convolutions[-1](x)


class Tacotron2(nn.Module):
    def __init__(self, symbols, mels, dim, depth, prenet, rnn, attention, filters, location, post, post_depth, kernel):
        super().__init__()
        self.embedding = nn.Embedding(symbols, dim)
        self.encoder = TacotronEncoder(dim, depth, kernel)
        self.decoder = TacotronDecoder(mels, dim, prenet, rnn, attention, filters, location)
        self.postnet = Postnet(mels, post, post_depth, kernel)

    def read(self, text, lengths):
        memory = self.encoder(self.embedding(text).transpose(1, 2))
        return memory, ~(torch.arange(text.shape[1]) < lengths.unsqueeze(1))

    def forward(self, text, lengths, target):
        memory, mask = self.read(text, lengths)
        frames, gates, alignments = self.decoder(memory, target, mask, target.shape[2])
        return frames, frames + self.postnet(frames), gates, alignments


class Spoken(nn.Module):
    """Tacotron 2 without frames to begin with."""

    def __init__(self, model, count):
        super().__init__()
        self.model, self.count = model, count

    def forward(self, text, lengths):
        memory, mask = self.model.read(text, lengths)
        frames, gates, alignments = self.model.decoder(memory, None, mask, self.count)
        return frames + self.model.postnet(frames), gates, alignments


class SpokenToEnd(nn.Module):
    """Tacotron 2 up to the frame with which the last sample ends. What follows it changes nothing before it."""

    def __init__(self, model, limit, threshold):
        super().__init__()
        self.model, self.limit, self.threshold = model, limit, threshold

    def forward(self, text, lengths):
        memory, mask = self.model.read(text, lengths)
        frames, gates, alignments = self.model.decoder(memory, None, mask, self.limit)
        going = (torch.sigmoid(gates) > self.threshold).cumsum(1).eq(0).any(0).sum()
        count = min(int(going) + 1, self.limit)
        frames = frames[:, :, :count]
        return frames + self.model.postnet(frames), gates[:, :count], alignments[:, :count]


class Inner(nn.Module):
    """A recurrent layer inside another, with each of its states as an input."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, *states):
        return self.layer(x, states if len(states) > 1 else states[0])


TACOTRON_SIZES = [7, 4, 6, 2, 5, 8, 4, 3, 5, 6, 3, 3]
TACOTRON = ", ".join(map(str, TACOTRON_SIZES))
# Name: the module; the entry, or the members of a layer that uses it; the reference and its inputs.
CASES = {
    "resnet basic": (
        "models.resnet",
        "ResNet([2, 1, 2, 1], bottleneck=false, num_classes=5, width=4)",
        lambda: ResNet(BasicBlock, [2, 1, 2, 1], 5, 4),
        {"x": normal(2, 3, 37, 70)},
    ),
    "resnet bottleneck": (
        "models.resnet",
        "ResNet([1, 2, 1, 2], bottleneck=true, num_classes=5, width=3)",
        lambda: ResNet(Bottleneck, [1, 2, 1, 2], 5, 3),
        {"x": normal(2, 3, 64, 33)},
    ),
    "densenet": (
        "models.densenet",
        "DenseNet(growth=3, depths=[2, 3, 1, 2], width=6, bottleneck=2, num_classes=5)",
        lambda: DenseNet(3, [2, 3, 1, 2], 6, 2, 5),
        {"x": normal(2, 3, 64, 75)},
    ),
    "mobilenet": ("models.mobilenet", "MobileNetV2(5, dropout=0.0)", lambda: MobileNetV2(5), {"x": normal(2, 3, 33, 40)}),
    "squeezenet": ("models.squeezenet", "SqueezeNet(5, dropout=0.0)", lambda: SqueezeNet(5), {"x": normal(1, 3, 38, 53)}),
    "unet": ("models.unet", "UNet(3, 2, width=2)", lambda: UNet(3, 2, 2), {"x": normal(2, 3, 32, 48)}),
    "LSTM": ("recurrent", "LSTM(3, 4)", lambda: nn.LSTM(3, 4, batch_first=True), {"x": normal(2, 5, 3)}),
    "LSTM without bias": (
        "recurrent",
        "LSTM(3, 4, bias=false, bidirectional=true)",
        lambda: nn.LSTM(3, 4, batch_first=True, bias=False, bidirectional=True),
        {"x": normal(2, 5, 3)},
    ),
    "LSTM from a state": (
        "recurrent",
        """
        let layer = LSTM(3, 4, bidirectional=true)
        fn forward(x: float32[B, T, 3], h0: float32[2, B, 4], c0: float32[2, B, 4]) = layer(x, h0, c0)
        """,
        lambda: Inner(nn.LSTM(3, 4, batch_first=True, bidirectional=True)),
        {"x": normal(2, 5, 3), "h0": normal(2, 2, 4), "c0": normal(2, 2, 4)},
    ),
    "GRU": ("recurrent", "GRU(3, 4)", lambda: nn.GRU(3, 4, batch_first=True), {"x": normal(2, 6, 3)}),
    "GRU from a state": (
        "recurrent",
        """
        let layer = GRU(3, 4, bidirectional=true)
        fn forward(x: float32[B, T, 3], h0: float32[2, B, 4]) = layer(x, h0)
        """,
        lambda: Inner(nn.GRU(3, 4, batch_first=True, bidirectional=True)),
        {"x": normal(2, 5, 3), "h0": normal(2, 2, 4)},
    ),
    "RNN": ("recurrent", "RNN(3, 4)", lambda: nn.RNN(3, 4, batch_first=True), {"x": normal(1, 7, 3)}),
    "RNN both ways": (
        "recurrent",
        "RNN(3, 4, bias=false, bidirectional=true)",
        lambda: nn.RNN(3, 4, batch_first=True, bias=False, bidirectional=True),
        {"x": normal(2, 5, 3)},
    ),
    "LSTMCell": (
        "recurrent",
        """
        let layer = LSTMCell(3, 4)
        fn forward(x: float32[B, 3], h: float32[B, 4], c: float32[B, 4]) = layer(x, h, c)
        """,
        lambda: Inner(nn.LSTMCell(3, 4)),
        {"x": normal(2, 3), "h": normal(2, 4), "c": normal(2, 4) * 2},
    ),
    "GRUCell": ("recurrent", "GRUCell(3, 4)", lambda: nn.GRUCell(3, 4), {"x": normal(2, 3), "h": normal(2, 4)}),
    "RNNCell": (
        "recurrent",
        "RNNCell(3, 4, bias=false)",
        lambda: nn.RNNCell(3, 4, bias=False),
        {"x": normal(2, 3), "h": normal(2, 4)},
    ),
    "wavernn": (
        "models.wavernn",
        "WaveRNN(6, 7, 3, 1, [2, 3, 2], 5, 4, 8, 2)",
        lambda: WaveRNN(6, 7, 3, 1, [2, 3, 2], 5, 4, 8, 2),
        {"x": normal(2, 36), "mels": normal(2, 5, 5)},
    ),
    "tacotron2": (
        "models.tacotron2",
        f"Tacotron2({TACOTRON}, dropout=0.0, rnn_dropout=0.0, prenet_dropout=0.0)",
        lambda: Tacotron2(*TACOTRON_SIZES),
        {"text": indices(7, 2, 6), "lengths": torch.tensor([6, 4]), "target": normal(2, 4, 9)},
    ),
    "tacotron2 speaks": (
        "models.tacotron2",
        f"""
        let model = Tacotron2({TACOTRON}, dropout=0.0, rnn_dropout=0.0, prenet_dropout=0.0)
        fn forward(text: int64[B, T], lengths: int64[B]) = model.speak(text, lengths, 5)
        """,
        lambda: Spoken(Tacotron2(*TACOTRON_SIZES), 5),
        {"text": indices(7, 2, 6), "lengths": torch.tensor([3, 6])},
    ),
    "tacotron2 to the end": (
        "models.tacotron2",
        f"""
        let model = Tacotron2({TACOTRON}, dropout=0.0, rnn_dropout=0.0, prenet_dropout=0.0)
        fn forward(text: int64[B, T], lengths: int64[B]) = model.speak_to_end(text, lengths, 6, 0.6)
        """,
        lambda: SpokenToEnd(Tacotron2(*TACOTRON_SIZES), 6, 0.6),
        {"text": indices(7, 2, 6), "lengths": torch.tensor([3, 6])},
    ),
    "dcgan generator": (
        "models.dcgan",
        "Generator(7, width=3, channels=2)",
        lambda: Generator(7, 3, 2),
        {"z": normal(2, 7, 1, 1)},
    ),
    "dcgan discriminator": (
        "models.dcgan",
        "Discriminator(width=3, channels=2)",
        lambda: Discriminator(3, 2),
        {"x": normal(2, 2, 64, 64)},
    ),
}


def tritonc(*arguments):
    run = subprocess.run([TRITONC, *map(str, arguments)], check=False, capture_output=True, text=True)
    if run.returncode:
        raise AssertionError(f"tritonc {' '.join(map(str, arguments))}\n{run.stderr}")


def imported(path):
    spec = importlib.util.spec_from_file_location("emitted", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flat(results):
    if isinstance(results, (tuple, list)):
        return [tensor for result in results for tensor in flat(result)]
    return [results]


def same(have, want, who):
    assert len(have) == len(want), f"{who}: {len(have)} results, not {len(want)}"
    for index, (a, b) in enumerate(zip(have, want)):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=lambda text: f"{who}, result {index}: {text}")


def prepared(reference):
    """Values that tell one parameter from another, and statistics that are not those of a new layer."""
    torch.manual_seed(1)
    model = reference()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.dtype.is_floating_point and tensor.ndim < 2:
                tensor.copy_(torch.randn_like(tensor) * 0.1 + (0.9 if name.endswith("weight") else 0.0))
    return model


def saved(state):
    """What a file holds of a reference: all but the counters of batches, which no layer here needs."""
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    return {name: tensor.contiguous().clone() for name, tensor in kept.items()}


def check(folder, module, entry, reference, inputs):
    source = folder / "entry.tri"
    name = re.search(r"[A-Z]\w*", entry)[0]
    program = f"layer Entry {{{entry}}}\n" if "fn forward" in entry else f"let entry = {entry}\n"
    source.write_text(f"use {module}.{{{name}}}\n{program}")
    model = prepared(reference)
    weights = folder / "reference.safetensors"
    save_file(saved(model.state_dict()), weights)
    given = []
    for name, value in inputs.items():
        np.save(folder / f"{name}.npy", value.numpy())
        given += ["--input", f"{name}={folder / name}.npy"]
    for mode in ("infer", "train"):
        with torch.no_grad():
            want = flat(model.train(mode == "train")(*inputs.values()))
        results = folder / f"{mode}.npz"
        tritonc("run", source, *given, "--mode", mode, "--weights", weights, "-o", results)
        have = np.load(results)
        same([torch.from_numpy(have[name]) for name in have.files], want, f"interpreter, {mode}")
        tritonc("build", source, "--mode", mode, "--target", "pytorch", "-o", folder / mode)
        (file,) = (folder / mode).glob("*.py")
        emitted = imported(file).load(weights)
        with torch.no_grad():
            same(flat(emitted.train(mode == "train")(*inputs.values())), want, f"emitted module, {mode}")


def main():
    chosen = sys.argv[2:] or list(CASES)
    failures = 0
    torch.set_num_threads(2)
    for case in chosen:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                check(Path(scratch), *CASES[case])
            except Exception as error:  # noqa: BLE001 (every case is to be tried)
                failures += 1
                where = "" if isinstance(error, AssertionError) else traceback.format_exc(limit=-3)
                print(f"FAILED {case}\n{where or error}\n")
    print(f"{len(chosen)} cases, {failures} failures")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()

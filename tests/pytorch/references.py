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


# Name: the module, the entry, the reference and its inputs.
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


def named(state):
    """The tensors under the names of Tri: the offset of a product is not called `bias`."""
    tensors = {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        layer = name.removesuffix(".bias")
        if layer != name and state[f"{layer}.weight"].ndim > 1:
            name = f"{layer}.offset"
        name = re.sub(r"denselayer(\d+)", lambda found: f"layers.{int(found[1]) - 1}", name)
        tensors[name] = tensor.contiguous().clone()
    return tensors


def check(folder, module, entry, reference, inputs):
    source = folder / "entry.tri"
    source.write_text(f"use {module}.{{{entry.split('(')[0]}}}\nlet entry = {entry}\n")
    model = prepared(reference)
    weights = folder / "reference.safetensors"
    save_file(named(model.state_dict()), weights)
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

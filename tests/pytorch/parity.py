"""Emitted modules against the interpreter: python parity.py TRITONC EXAMPLES [CASE...]

Each case is built for training and for inference, gets random weights from `tritonc run --save-weights`, and
must give what `tritonc run` gives. Prints each failure, and exits with 1 if there were any.
"""

import ast
import importlib.util
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import torch

TRITONC, EXAMPLES = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
RUFF = Path(sys.executable).with_name("ruff")
SEED = 3
ALLOWED_IMPORTS = {"copy", "json", "math", "torch", "torch.nn.functional"}


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def indices(limit, *shape):
    return np.random.default_rng(sum(shape)).integers(0, limit, shape)


def booleans(*shape):
    return np.random.default_rng(sum(shape)).random(shape) < 0.7


EXTREMES = np.array(
    [0.0, -0.0, 1e-8, -1e-3, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.0, 25.0, -25.0, 88.0, -104.0, 1e4, -1e4]
    + [3e38, -3e38, 1e-40, np.inf, -np.inf, np.nan, 7.0],
    dtype=np.float32,
)
OWN_LAYERS = """
## Attention that sees what a mask allows; the last row sees nothing.
layer Masked {
    let attn = MultiHeadAttention(6, 2)
    fn forward(x: float32[B, T, 6], mask: bool[T, T]) -> float32[B, T, 6] {
        mask[-1] = zeros([T], dtype=bool)
        return attn(x, mask)
    }
}

## Names that Python and PyTorch have taken.
layer Named(type: int) {
    param def: float32[type, 5] = normal(0.0, 1.0)
    param train: float32[type] = normal(0.0, 1.0)
    state eval: float32[type] = ones()
    let forward_2 = Linear(type, 4)
    let children = Linear(4, 2)
    fn forward(lambda: float32[B, 5]) -> float32[B, 2] {
        let yield = lambda @ def.T + train * eval
        return children(forward_2(yield))
    }
}

## Every kind of scheme.
layer Quantised {
    @quantize(int4(group=4))
    param a: float32[5, 8] = normal(0.0, 1.0)
    @quantize(int4(symmetric=false, group=2))
    param b: float32[5, 8] = normal(1.0, 1.0)
    @quantize(int8(symmetric=false, axis=0))
    param c: float32[5, 8] = normal(-1.0, 1.0)
    @quantize(ternary(rule="max", ratio=0.3, scale="kept", axis=1))
    param d: float32[5, 8] = normal(0.0, 1.0)
    @quantize(ternary(rule="fixed", threshold=0.4))
    param e: float32[5, 8] = normal(0.0, 1.0)
    @quantize(int8(axis=-1, scale_dtype=float16))
    param f: float32[5, 8] = zeros()
    @quantize(ternary(ste="clipped"))
    param g: float32[5, 7] = normal(0.0, 1.0)
    fn forward(x: float32[B, 8]) -> float32[B, 7] {
        let y = fake_quantize(x, int8(dynamic=true, symmetric=false))
        return (y @ a.T + y @ b.T + y @ c.T + y @ d.T + y @ e.T + y @ f.T) @ g
    }
}

@map(pytorch="torch.addcmul({y}, {x}, {x}, value={factor})")
fn square_add(x: float32[B, N], y: float32[B, N], factor: float = 1.0) -> float32[B, N] = y + x * x * factor

layer Mapped {
    param weight: float32[4] = normal(0.0, 1.0)
    fn forward(x: float32[B, 4]) -> float32[B, 4] = square_add(x * weight, square_add(x, x), 0.5)
}

## Every function with a native form.
layer Composites(alpha: float = 1.0) {
    fn forward(x: float32[B, N]) -> float32[26, B, N] where N % 2 == 0 {
        return stack([
            relu(x), relu6(x), leaky_relu(x, 0.01 * alpha), gelu(x), gelu(x, approximate="tanh"), sigmoid(x),
            logsigmoid(x), silu(x), softplus(x, alpha), elu(x, alpha), selu(x), celu(x, alpha), mish(x),
            hardsigmoid(x), hardswish(x), hardtanh(x, -alpha, alpha), softsign(x), tanhshrink(x),
            hardshrink(x, 0.5 * alpha), softshrink(x, 0.5 * alpha), softmax(x), softmax(x, axis=0),
            log_softmax(x), softmin(x, axis=0), concat([glu(x), glu(x)], axis=-1), dropout(x, 0.0),
        ])
    }
}
"""
COMPOSITES = [
    "relu",
    "relu6",
    "leaky_relu",
    "gelu",
    "gelu_tanh",
    "sigmoid",
    "logsigmoid",
    "silu",
    "softplus",
    "elu",
    "selu",
    "celu",
    "mish",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "softsign",
    "tanhshrink",
    "hardshrink",
    "softshrink",
    "softmax",
    "softmax_0",
    "log_softmax",
    "softmin_0",
    "glu",
    "dropout",
]

# Name: the layer or example, its entry and its inputs.
LAYERS = {
    "Linear(7, 5)": {"x": normal(3, 7)},
    "Linear(7, 5, bias=false)": {"x": normal(2, 3, 7)},
    "TernaryLinear(9, 5)": {"x": normal(3, 9)},
    "TernaryLinear(1, 3, bias=false)": {"x": normal(1)},
    "BitLinear(13, 5)": {"x": normal(2, 3, 13)},
    "BitLinear(13, 5, bias=true, norm=false)": {"x": normal(4, 13)},
    "Int8Linear(7, 5)": {"x": normal(3, 7)},
    "Int4Linear(64, 5)": {"x": normal(3, 64)},
    "Int4Linear(32, 3, bias=false)": {"x": normal(2, 2, 32)},
    "Conv1d(3, 5, 3, stride=2, padding=1)": {"x": normal(2, 3, 11)},
    "Conv2d(3, 5, 3)": {"x": normal(2, 3, 9, 7)},
    "Conv2d(4, 6, 3, stride=2, padding=1, groups=2)": {"x": normal(1, 4, 9, 7)},
    "Conv2d(3, 2, 3, dilation=2, bias=false)": {"x": normal(2, 3, 8, 9)},
    "Conv3d(2, 3, 2, padding=1)": {"x": normal(1, 2, 4, 3, 5)},
    "ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2)": {"x": normal(2, 4, 5, 3)},
    "TernaryConv2d(3, 5, 3, padding=1)": {"x": normal(2, 3, 7, 5)},
    "TernaryConv2d(4, 4, 3, stride=2, groups=4, bias=false)": {"x": normal(2, 4, 7, 5)},
    "Embedding(11, 3)": {"index": indices(11, 2, 5)},
    "LayerNorm(7)": {"x": normal(3, 7)},
    "LayerNorm(7, affine=false)": {"x": normal(2, 3, 7)},
    "RMSNorm(7)": {"x": normal(3, 7)},
    "RMSNorm(7, affine=false)": {"x": normal(7)},
    "BatchNorm(5)": {"x": normal(3, 5, 7)},
    "BatchNorm(5, affine=false)": {"x": normal(4, 5)},
    "GroupNorm(3, 6)": {"x": normal(2, 6, 5, 3)},
    "GroupNorm(1, 5, affine=false)": {"x": normal(2, 5)},
    "Dropout(0.0)": {"x": normal(3, 5)},
    "MaxPool2d(2)": {"x": normal(2, 3, 7, 5)},
    "MaxPool2d(3, stride=2, padding=1, ceil_mode=true)": {"x": normal(2, 3, 8, 6)},
    "AvgPool2d(2)": {"x": normal(2, 3, 7, 5)},
    "AvgPool2d(3, stride=2, padding=1, count_include_pad=false)": {"x": normal(2, 3, 8, 6)},
    "MLP(5)": {"x": normal(3, 5)},
    "MLP(5, 7, 3, act=silu)": {"x": normal(2, 3, 5)},
    "SwiGLU(6, 11)": {"x": normal(2, 3, 6)},
    "MultiHeadAttention(6, 3)": {"x": normal(2, 5, 6)},
    "MultiHeadAttention(6, 2, causal=true, bias=false)": {"x": normal(2, 5, 6)},
    "Masked()": {"x": normal(2, 5, 6), "mask": booleans(5, 5)},
    "TransformerBlock(6, 3)": {"x": normal(2, 5, 6)},
    "TransformerBlock(6, 2, hidden=7, causal=true, act=relu)": {"x": normal(1, 4, 6)},
    "Named(3)": {"lambda": normal(2, 5)},
    "Quantised()": {"x": normal(3, 8)},
    "Mapped()": {"x": normal(3, 4)},
    "Composites()": {"x": np.stack([EXTREMES, EXTREMES[::-1]])},
    "Composites(2.0)": {"x": normal(4, 6) * 3},
}
# Their entries are compiled for the rank of the input.
ANY_RANK = [text for text in LAYERS if "Norm(" in text]
MODELS = {
    "classic_functional.tri": {"x": normal(3, 128)},
    "classic_linear.tri": {"x": normal(3, 784)},
    "digits.tri": {"x": np.abs(normal(5, 64)) * 8},
    "lenet.tri": {"x": normal(3, 1, 28, 28)},
    "mnist_mlp.tri": {"x": normal(3, 784)},
    "transformer_block.tri": {"x": normal(2, 5, 64)},
}


def tritonc(*arguments):
    run = subprocess.run([TRITONC, *map(str, arguments)], check=False, capture_output=True, text=True)
    if run.returncode:
        raise AssertionError(f"tritonc {' '.join(map(str, arguments))}\n{run.stderr}")


def imported(path):
    """The emitted file as a module, once its imports are found to be as promised."""
    code = path.read_text()
    for node in ast.walk(ast.parse(code)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert set(names) <= ALLOWED_IMPORTS, f"imports {names}"
    spec = importlib.util.spec_from_file_location("emitted", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def same_tensors(have, want):
    have, want = dict(have), dict(want)
    assert have.keys() == want.keys(), f"{sorted(have)} is not {sorted(want)}"
    for name, tensor in want.items():
        assert have[name].dtype == tensor.dtype, f"{name}: {have[name].dtype}, not {tensor.dtype}"
        assert torch.equal(have[name], tensor), f"{name}: {have[name]} is not {tensor}"


def composites_close(have, want):
    problems = []
    for name, a, b in zip(COMPOSITES, have, want):
        try:
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)
        except AssertionError:
            differs = ~torch.isclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)
            # PyTorch's own forms of these overflow on the way, near the end of the range.
            if name in ("gelu", "hardswish") and (b[differs] > 1e38).all():
                continue
            problems.append(f"{name}: {a[differs]} is not {b[differs]} at {differs.nonzero().tolist()[:6]}")
    assert not problems, "\n".join(problems)


def clipped_gradient(module):
    """Nothing flows back where a value was clamped."""
    weight = torch.tensor([[0.5, -3.0, 0.1, 0.4]], requires_grad=True)
    module.fake_quantize(weight, module.Ternary(clipped=True)).sum().backward()
    assert weight.grad.tolist() == [[1.0, 0.0, 1.0, 1.0]], weight.grad


def check(folder, source, entry, inputs):
    common = [source, *(["--entry", entry] if entry else [])]
    for name, value in inputs.items():
        common += ["--shape", f"{name}={','.join(map(str, value.shape))}"] if entry in ANY_RANK else []
    tensors = [torch.from_numpy(value) for value in inputs.values()]
    given = []
    for name, value in inputs.items():
        np.save(folder / f"{name}.npy", value)
        given += ["--input", f"{name}={folder / name}.npy"]
    masters = folder / "masters.safetensors"
    modules, wanted, files = {}, {}, {}
    for mode in ("train", "infer"):
        results = folder / f"{mode}.npz"
        weights = ["--save-weights", masters] if mode == "train" else ["--weights", masters]
        tritonc("run", *common, *given, "--mode", mode, "--seed", SEED, *weights, "-o", results)
        wanted[mode] = torch.from_numpy(np.load(results)["output"])
        out = folder / mode
        tritonc("build", *common, "--mode", mode, "--target", "pytorch", "--weights", masters, "-o", out)
        (files[mode],) = out.glob("*.py")
        modules[mode] = imported(files[mode])
    packed = next((folder / "infer").glob("*.safetensors"))
    train, infer = modules["train"].load(masters), modules["infer"].load(packed)

    def close(module, mode):
        have = module(*tensors)
        assert have.dtype == wanted[mode].dtype and have.shape == wanted[mode].shape
        if have.shape[0] == len(COMPOSITES):
            return composites_close(have, wanted[mode])
        torch.testing.assert_close(have, wanted[mode], rtol=1e-4, atol=1e-5)

    close(infer, "infer")
    quantised = train.pack()
    close(quantised, "infer")
    close(train.eval(), "infer")
    close(modules["infer"].load(masters), "infer")
    close(modules["train"].load(packed).eval(), "infer")
    close(train.train(), "train")
    if entry == "Quantised()":
        clipped_gradient(modules["train"])
    stored = modules["infer"].read_safetensors(packed)
    same_tensors(infer.state_dict(), stored)
    same_tensors(quantised.state_dict(), stored)
    same_tensors(modules["infer"].load(masters).state_dict(), stored)
    return files.values()


def main():
    cases = {text: (None, text, inputs) for text, inputs in LAYERS.items()}
    cases |= {name: (EXAMPLES / name, None, inputs) for name, inputs in MODELS.items()}
    chosen = sys.argv[3:] or list(cases)
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        layers = Path(scratch) / "layers.tri"
        names = sorted({text.split("(")[0] for text in LAYERS if f"layer {text.split('(')[0]}" not in OWN_LAYERS})
        layers.write_text(f"use nn.{{{', '.join(names)}}}\n{OWN_LAYERS}")
        for number, case in enumerate(chosen):
            source, entry, inputs = cases[case]
            folder = Path(scratch) / f"case{number}"
            folder.mkdir()
            try:
                check(folder, source or layers, entry, inputs)
            except Exception as error:  # noqa: BLE001 (every case is to be tried)
                failures += 1
                where = "" if isinstance(error, AssertionError) else traceback.format_exc(limit=-3)
                print(f"FAILED {case}\n{where or error}\n")
        files = sorted(str(path) for path in Path(scratch).glob("*/*/*.py"))
        if RUFF.is_file():
            for arguments in (["check", "-q"], ["format", "--diff", "-q"]):
                run = subprocess.run([RUFF, *arguments, "--isolated", *files], check=False, capture_output=True, text=True)
                if run.returncode:
                    failures += 1
                    print(run.stdout, run.stderr)
        else:
            print(f"skipped the format: no ruff beside {sys.executable}")
    print(f"{len(chosen)} cases, {failures} failures")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()

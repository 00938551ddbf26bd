"""Times the float32 kernels of generated C beside torch and ONNX Runtime: one thread, one process, checked results.

Needs torch, onnx and onnxruntime. Run it pinned to a core: `taskset -c 1 python benches/c/float.py [gemm|gemv|attention|conv]`.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parents[1] / "templates" / "c" / "kernels"
# Below as many places, a pointwise convolution is a product with packed weights.
FEW_PLACES = 64
# Bytes of weights that are gone through for a cold measurement.
COLD = 256 << 20


def build(flags):
    """The kernels as a shared library, compiled as a user's Makefile would."""
    folder = tempfile.mkdtemp()
    library = Path(folder) / "float.so"
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-std=c11", "-O3", *flags, "-shared", "-fPIC", f"-I{KERNELS}", str(HERE / "float.c")]
    subprocess.run([*command, "-o", str(library), "-lm"], check=True)
    loaded = ctypes.CDLL(str(library))
    for name in ("time_linear", "time_attention", "time_conv", "time_depthwise", "time_pointwise"):
        getattr(loaded, name).restype = ctypes.c_double
    loaded.conv_scratch.restype = ctypes.c_int64
    return loaded


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def size(value):
    return ctypes.c_int64(value)


def aligned(count, dtype=np.float32):
    """An array that begins at a cache line."""
    raw = np.zeros(count * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * np.dtype(dtype).itemsize].view(dtype)


def shortest(work, repeats):
    best = float("inf")
    for repeat in range(repeats):
        start = time.perf_counter()
        work(repeat)
        best = min(best, time.perf_counter() - start)
    return best


def session(nodes, x, result, constants):
    """A session of ONNX Runtime with one thread. `constants` are initialisers by name."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "graph",
        [info(name, TensorProto.FLOAT, shape) for name, shape in x.items()],
        [info("result", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def report(name, operations, ours, torch_time, ort_time, error):
    best = min(torch_time, ort_time)
    print(
        f"{name:34} ours {ours * 1e6:9.1f} us {operations / ours * 1e-9:6.1f} GFLOPS   torch {torch_time * 1e6:9.1f}"
        f"   ort {ort_time * 1e6:9.1f}   {best / ours:5.2f}x the best   error {error:.1e}",
        flush=True,
    )


def relative(found, wanted):
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def linear(library, m, n, k, cold=False):
    x, weight, bias = (np.random.randn(*shape).astype(np.float32) for shape in ((m, k), (n, k), (n,)))
    copies = max(1, COLD // weight.nbytes) if cold else 1
    packed_size = (n + 15) // 16 * 16 * k
    packed, y = aligned(packed_size * copies), aligned(m * n)
    for copy in range(copies):
        library.pack(pointer(weight), size(n), size(k), pointer(packed[copy * packed_size :]))
    repeats = max(12, min(2000, int(4e9 / (m * n * k + 1e5))))
    ours = library.time_linear(
        pointer(x), pointer(packed), pointer(bias), pointer(y), *map(size, (m, n, k, copies, repeats))
    )
    del packed
    torch_x = torch.from_numpy(x)
    torch_weights = [torch.from_numpy(weight.copy()) for _ in range(copies)]
    torch_bias = torch.from_numpy(bias)
    with torch.inference_mode():
        wanted = torch.nn.functional.linear(torch_x.double(), torch_weights[0].double(), torch_bias.double()).numpy()
        work = lambda turn: torch.nn.functional.linear(torch_x, torch_weights[turn % copies], torch_bias)
        torch_time = shortest(work, repeats)
    del torch_weights
    node = helper.make_node("Gemm", ["x", "w", "b"], ["result"])
    # Equal weights would be shared, so each copy differs a little.
    sessions = [
        session([node], {"x": [m, k]}, [m, n], {"w": weight.T + np.float32(copy), "b": bias}) for copy in range(copies)
    ]
    ort_time = shortest(lambda turn: sessions[turn % copies].run(None, {"x": x}), repeats)
    name = f"linear {m} x {n} x {k}" + (" cold" if cold else "")
    report(name, 2 * m * n * k, ours, torch_time, ort_time, relative(y.reshape(m, n), wanted))


def attention(library, heads, t, s, d):
    """Both products, without the softmax between them."""
    q, key, value = (np.random.randn(heads, length, d).astype(np.float32) for length in (t, s, s))
    scores, result, scratch = aligned(t * s), aligned(heads * t * d), aligned(64 * d)
    repeats = max(5, min(2000, int(2e9 / (heads * t * s * d * 2 + 1e5))))
    arrays = map(pointer, (q, key, value, scores, result, scratch))
    ours = library.time_attention(*arrays, *map(size, (heads, t, s, d, repeats)))
    tensors = [torch.from_numpy(array) for array in (q, key, value)]
    with torch.inference_mode():
        work = lambda q, key, value: (q @ key.transpose(-1, -2)) @ value
        wanted = work(*(tensor.double() for tensor in tensors)).numpy()
        torch_time = shortest(lambda _: work(*tensors), repeats)
    nodes = [
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"]),
        helper.make_node("MatMul", ["scores", "v"], ["result"]),
    ]
    runner = session(nodes, {"q": [heads, t, d], "k": [heads, s, d], "v": [heads, s, d]}, [heads, t, d], {})
    ort_time = shortest(lambda _: runner.run(None, {"q": q, "k": key, "v": value}), repeats)
    error = relative(result.reshape(heads, t, d), wanted)
    report(f"products {heads} x ({t} x {s} x {d})", 4 * heads * t * s * d, ours, torch_time, ort_time, error)


def conv(library, name, channels, outputs, height, width, kernel, stride, padding, groups=1):
    inner, outer = channels // groups, outputs // groups
    kernel_height, kernel_width = kernel
    x = np.random.randn(1, channels, height, width).astype(np.float32)
    weight = np.random.randn(outputs, inner, *kernel).astype(np.float32)
    bias = np.random.randn(outputs).astype(np.float32)
    padding_y = padding if kernel_height > 1 else 0
    sizes = [inner, height, width, kernel_height, kernel_width, stride, stride, padding_y, padding, 1, 1]
    sizes = np.array(sizes, np.int64)
    tensors = [torch.from_numpy(array) for array in (x, weight, bias)]
    settings = {"stride": stride, "padding": (padding_y, padding), "groups": groups}
    work = lambda x, weight, bias: torch.nn.functional.conv2d(x, weight, bias, **settings)
    with torch.inference_mode():
        wanted = work(*(tensor.double() for tensor in tensors)).numpy()
        operations = 2 * wanted.size * inner * kernel_height * kernel_width
        repeats = max(5, min(2000, int(2e9 / (operations + 1e6))))
        torch_time = shortest(lambda _: work(*tensors), repeats)
    y = aligned(wanted.size)
    if inner == outer == 1:
        arrays = map(pointer, (x, weight, bias, y))
        ours = library.time_depthwise(pointer(sizes[1:].copy()), size(channels), *arrays, size(repeats))
    elif kernel == (1, 1) and stride == groups == 1 and height * width < FEW_PLACES:
        packed = aligned((outputs + 15) // 16 * 16 * channels)
        library.pack(pointer(weight), size(outputs), size(channels), pointer(packed))
        arrays = map(pointer, (x, packed, bias, y))
        ours = library.time_pointwise(*arrays, *map(size, (height * width, outputs, channels, repeats)))
    else:
        offsets = aligned(inner * kernel_height * kernel_width, np.int32)
        scratch = aligned(library.conv_scratch(pointer(sizes)))
        arrays = map(pointer, (x, weight, bias, y, offsets, scratch))
        ours = library.time_conv(pointer(sizes), size(groups), size(outer), *arrays, size(repeats))
    pads = [padding_y, padding, padding_y, padding]
    node = helper.make_node("Conv", ["x", "w", "b"], ["result"], strides=[stride] * 2, pads=pads, group=groups)
    runner = session([node], {"x": list(x.shape)}, list(wanted.shape), {"w": weight, "b": bias})
    ort_time = shortest(lambda _: runner.run(None, {"x": x}), repeats)
    report(name, operations, ours, torch_time, ort_time, relative(y.reshape(wanted.shape), wanted))


# Name, channels, outputs, height, width, kernel, stride, padding, groups.
CONVOLUTIONS = [
    ("LeNet 1>6 5x5 28", 1, 6, 28, 28, (5, 5), 1, 2, 1),
    ("LeNet 6>16 5x5 14", 6, 16, 14, 14, (5, 5), 1, 0, 1),
    ("ResNet 3>64 7x7 s2 224", 3, 64, 224, 224, (7, 7), 2, 3, 1),
    ("ResNet 64>64 3x3 56", 64, 64, 56, 56, (3, 3), 1, 1, 1),
    ("ResNet 64>128 3x3 s2 56", 64, 128, 56, 56, (3, 3), 2, 1, 1),
    ("ResNet 64>128 1x1 s2 56", 64, 128, 56, 56, (1, 1), 2, 0, 1),
    ("ResNet 128>128 3x3 28", 128, 128, 28, 28, (3, 3), 1, 1, 1),
    ("ResNet 256>256 3x3 14", 256, 256, 14, 14, (3, 3), 1, 1, 1),
    ("ResNet 512>512 3x3 7", 512, 512, 7, 7, (3, 3), 1, 1, 1),
    ("MobileNet 3>32 3x3 s2 224", 3, 32, 224, 224, (3, 3), 2, 1, 1),
    ("MobileNet 16>96 1x1 112", 16, 96, 112, 112, (1, 1), 1, 0, 1),
    ("MobileNet 96>24 1x1 56", 96, 24, 56, 56, (1, 1), 1, 0, 1),
    ("MobileNet 192>64 1x1 14", 192, 64, 14, 14, (1, 1), 1, 0, 1),
    ("MobileNet 96>576 1x1 14", 96, 576, 14, 14, (1, 1), 1, 0, 1),
    ("MobileNet 960>320 1x1 7", 960, 320, 7, 7, (1, 1), 1, 0, 1),
    ("MobileNet 320>1280 1x1 7", 320, 1280, 7, 7, (1, 1), 1, 0, 1),
    ("depthwise 32 3x3 112", 32, 32, 112, 112, (3, 3), 1, 1, 32),
    ("depthwise 96 3x3 s2 112", 96, 96, 112, 112, (3, 3), 2, 1, 96),
    ("depthwise 144 3x3 56", 144, 144, 56, 56, (3, 3), 1, 1, 144),
    ("depthwise 192 3x3 28", 192, 192, 28, 28, (3, 3), 1, 1, 192),
    ("depthwise 384 3x3 14", 384, 384, 14, 14, (3, 3), 1, 1, 384),
    ("depthwise 960 3x3 7", 960, 960, 7, 7, (3, 3), 1, 1, 960),
    ("depthwise 240 5x5 28", 240, 240, 28, 28, (5, 5), 1, 2, 240),
    ("depthwise 144 5x5 s2 56", 144, 144, 56, 56, (5, 5), 2, 2, 144),
    ("conv1d 80>512 k3 1500", 80, 512, 1, 1500, (1, 3), 1, 1, 1),
    ("depthwise conv1d 512 k7 1000", 512, 512, 1, 1000, (1, 7), 1, 3, 512),
]


def main():
    np.random.seed(1)
    torch.set_num_threads(1)
    wanted = sys.argv[1:] or ["gemm", "gemv", "attention", "conv"]
    library = build(os.environ.get("CFLAGS", "-march=native").split())
    if "gemm" in wanted:
        for m, n, k in [(512, 4096, 4096), (512, 512, 512), (256, 256, 256), (128, 128, 128), (16, 4096, 4096)]:
            linear(library, m, n, k)
        linear(library, 64, 10, 84)
    if "gemv" in wanted:
        for n in (64, 128, 512, 1024, 4096):
            linear(library, 1, n, n)
        linear(library, 1, 10, 128)
        linear(library, 4, 1024, 1024)
        linear(library, 1, 4096, 4096, cold=True)
    if "attention" in wanted:
        for sizes in [(12, 128, 128, 64), (8, 512, 512, 64), (32, 1, 512, 128), (4, 197, 197, 64)]:
            attention(library, *sizes)
    if "conv" in wanted:
        for case in CONVOLUTIONS:
            conv(library, *case)


if __name__ == "__main__":
    main()

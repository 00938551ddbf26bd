"""Times whole models of the target `c` and their peers in one process, on one core, and checks what each computes.

Each network is written for PyTorch by `tritonc` as well; what that module is given as weights, and what it computes in double
precision, is the reference. ONNX Runtime and emx-onnx-cgen get the network that `torch.onnx.export` makes of it. C is compiled
with CFLAGS, ours and the peer's alike. Each round visits every implementation once, with real-time priority where the system
allows that; reported are the least and the median of all measurements.
"""

import argparse
import contextlib
import ctypes
import dataclasses
import importlib.util
import io
import json
import logging
import os
import pathlib
import struct
import subprocess
import sys
import threading
import time

import numpy as np

from bench import machine, timed, undisturbed

CFLAGS = ["-O3", "-march=native"]
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Microseconds that one measurement takes at least, as far as calls can be repeated.
LEAST = 5000


@dataclasses.dataclass
class Network:
    """A network: its source, and how its C is called."""

    title: str
    name: str
    source: str
    shape: tuple
    outputs: tuple
    # The same network with quantised weights, which ours computes with; the peers get what they stand for.
    quantised: str = ""
    # Whether the size of a batch is a parameter.
    batched: bool = True

    @property
    def input_type(self):
        return "x=" + ",".join(map(str, self.shape))


MLP = dict(source="benches/c/models/mlp_float.tri", quantised="examples/mnist_mlp.tri")
NETWORKS = [
    Network("MNIST MLP, ternary, 1 image", "mnist_mlp", shape=(1, 784), outputs=(1, 10), **MLP),
    Network("MNIST MLP, ternary, 16 images", "mnist_mlp", shape=(16, 784), outputs=(16, 10), **MLP),
    Network("LeNet, 1 image", "lenet", "examples/lenet.tri", (1, 1, 28, 28), (1, 10)),
    Network("MobileNetV2, 1 image", "mobilenet", "benches/c/models/mobilenet.tri", (1, 3, 224, 224), (1, 1000), batched=False),
    Network("Llama block, 64 tokens", "llama_block", "benches/c/models/llama.tri", (1, 64, 512), (1, 64, 512), batched=False),
]


def run(*command, **options):
    """The output of a command that must not fail."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def write_safetensors(path, tensors):
    header, data = {}, io.BytesIO()
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor.numpy(), np.float32)
        begin = data.tell()
        data.write(array.tobytes())
        header[name] = dict(dtype="F32", shape=list(array.shape), data_offsets=[begin, data.tell()])
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(head)) + head + data.getvalue())


def module_of(folder, name):
    path = next(pathlib.Path(folder).glob("*.py"))
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_weights(model):
    """Numbers like those of trained networks: products keep the size of what they are given, variances are positive."""
    import torch

    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        last = name.rsplit(".", 1)[-1]
        if tensor.dim() > 1:
            spread = 1.4 / np.sqrt(tensor[0].numel())
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * spread)
        elif last == "running_var" or last in ("weight", "scale"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + 0.75)
        else:
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)


def lines_of(*paths):
    return sum(len(pathlib.Path(path).read_text(encoding="utf-8").splitlines()) for path in paths)


class Prepared:
    """A network with weights, an input and what comes out."""

    def __init__(self, network, tritonc, folder):
        import torch

        self.network, self.tritonc, self.folder = network, tritonc, folder
        folder.mkdir(parents=True, exist_ok=True)
        run(tritonc, "build", ROOT / network.source, "--target", "pytorch", "-o", folder / "pytorch")
        self.model = module_of(folder / "pytorch", network.name).Model().eval()
        with torch.no_grad():
            random_weights(self.model)
        self.weights = folder / "weights.safetensors"
        write_safetensors(self.weights, self.model.state_dict())
        if network.quantised:
            self.quantise()
        random = np.random.default_rng(2)
        self.x = random.standard_normal(network.shape, dtype=np.float32)
        if network.name == "mnist_mlp":
            self.x = np.abs(self.x) % 1
        with torch.inference_mode():
            self.wanted = self.model.double()(torch.from_numpy(self.x).double()).numpy()
            self.model.float()

    def quantise(self):
        """Gives the float network the weights that quantised ones stand for."""
        import torch

        source, packed = ROOT / self.network.quantised, self.folder / "packed.safetensors"
        run(self.tritonc, "quantize", self.weights, "--model", source, "-o", packed)
        run(self.tritonc, "build", source, "--target", "pytorch", "-o", self.folder / "quantised")
        model = module_of(self.folder / "quantised", f"{self.network.name}_quantised").load(packed)
        with torch.no_grad():
            for name, part in self.model.named_children():
                part.weight.copy_(getattr(model, name).weight.dequantize())
        write_safetensors(self.weights, self.model.state_dict())
        self.packed = packed

    def export(self):
        """The network for ONNX."""
        import torch

        path = self.folder / "model.onnx"
        names = dict(input_names=["x"], output_names=["y"])
        # It warns of operations of other packages that there are no exporters for.
        logging.disable(logging.WARNING)
        with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
            x = torch.from_numpy(self.x)
            torch.onnx.export(self.model, (x,), str(path), dynamo=True, external_data=False, verbose=False, **names)
        return path

    def error(self, found):
        difference = np.asarray(found, np.float64).reshape(self.wanted.shape) - self.wanted
        return float(np.sqrt((difference**2).mean() / (self.wanted**2).mean()))


class Library:
    """C that was compiled with benches/c/model.c."""

    def __init__(self, prepared, name, sources, flags, weights, lines):
        self.name, self.lines = name, lines
        network = prepared.network
        path = prepared.folder / f"{''.join(c if c.isalnum() else '_' for c in name)}.so"
        compiler = os.environ.get("CC", "cc")
        begin = time.perf_counter()
        run(compiler, "-std=gnu11", *CFLAGS, "-shared", "-fPIC", "-o", path, HERE / "model.c", *sources, *flags, "-lm")
        self.compiling = time.perf_counter() - begin
        self.library = ctypes.CDLL(str(path))
        pointer = ctypes.c_void_p
        self.library.bench_load.restype = self.library.bench_run.restype = ctypes.c_bool
        self.library.bench_load.argtypes = [ctypes.c_char_p]
        self.library.bench_run.argtypes = [pointer, pointer]
        self.library.bench_time.restype = ctypes.c_double
        self.library.bench_time.argtypes = [pointer, pointer, ctypes.c_int64]
        if not self.library.bench_load(str(weights).encode()):
            sys.exit(f"{name}: the weights do not load")
        self.x = np.ascontiguousarray(prepared.x)
        self.y = np.zeros(network.outputs, np.float32)
        self.places = [array.ctypes.data_as(pointer) for array in (self.x, self.y)]

    def result(self):
        if not self.library.bench_run(*self.places):
            sys.exit(f"{self.name}: the call fails")
        return self.y.copy()

    def time(self, calls):
        return self.library.bench_time(*self.places, calls)


def ours(prepared, is_quantised):
    network = prepared.network
    source = network.quantised if is_quantised else network.source
    weights = prepared.packed if is_quantised else prepared.weights
    out = prepared.folder / ("c_quantised" if is_quantised else "c")
    run(
        *(prepared.tritonc, "build", ROOT / source, "--target", "c", "--shape", network.input_type, "-o", out),
        *("--weights", weights, "--weights-form", "file"),
    )
    (header,) = [path for path in out.glob("*.h") if not path.stem.endswith("_kernels")]
    name = header.stem
    text = header.read_text(encoding="utf-8")
    function = text.split("_weights_init(")[0].rsplit(" ", 1)[-1]
    flags = [f"-I{out}", f'-DHEADER="{header.name}"', f"-DNAME={function}", f"-DCONSTANT={function.upper()}"]
    if network.batched:
        flags.append(f"-DBATCH={network.shape[0]}")
    if "_reset(" in text:
        flags.append("-DSTATE")
    kind = "ternary" if is_quantised else "float32"
    lines = lines_of(header, out / f"{name}.c")
    return Library(prepared, f"ours, {kind}", [out / f"{name}.c"], flags, out / f"{name}.weights", lines)


def emx(prepared, onnx):
    """The C of emx-onnx-cgen, with its memory on the stack: faster than the `malloc` that it would call else."""
    out = prepared.folder / "emx"
    out.mkdir(exist_ok=True)
    path = out / "emx_model.c"
    options = ["--emit-data-file", "--large-temp-threshold", "0"]
    run(sys.executable, "-m", "emx_onnx_cgen", "compile", onnx, path, "--model-name", "emx_model", *options)
    data = out / "emx_model_data.c"
    weights = out / "emx_model.bin"
    sources = [path] + ([data] if data.exists() else [])
    return Library(prepared, "emx-onnx-cgen", sources, ["-DNAME=emx_model", "-DEMX"], weights, lines_of(path))


class Onnx:
    name, lines = "ONNX Runtime", None

    def __init__(self, prepared, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(prepared.x))
        space = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(prepared.network.outputs, np.float32))
        self.binding.bind_ortvalue_output("y", space)

    def result(self):
        self.session.run_with_iobinding(self.binding)
        return self.binding.get_outputs()[0].numpy()

    def time(self, calls):
        return timed(lambda: self.session.run_with_iobinding(self.binding), calls)


class Torch:
    lines = None

    def __init__(self, prepared, compiled):
        import torch

        torch.set_num_threads(1)
        self.torch, self.name = torch, "torch, compiled" if compiled else "torch, eager"
        self.call = torch.compile(prepared.model) if compiled else prepared.model
        self.x = torch.from_numpy(prepared.x)

    def result(self):
        with self.torch.inference_mode():
            return self.call(self.x).numpy()

    def time(self, calls):
        with self.torch.inference_mode():
            return timed(lambda: self.call(self.x), calls)


def nothing():
    """Microseconds of calling ONNX Runtime for a graph that computes nothing: what Python and the session take."""
    import onnxruntime
    from onnx import TensorProto, helper

    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "none", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for bind, name in ((binding.bind_ortvalue_input, "x"), (binding.bind_ortvalue_output, "y")):
        bind(name, onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32)))
    with undisturbed():
        return min(timed(lambda: session.run_with_iobinding(binding), 200) for _ in range(20))


def implementations(prepared, with_compiled):
    if prepared.network.quantised:
        yield ours(prepared, True)
    yield ours(prepared, False)
    onnx = prepared.export()
    yield Onnx(prepared, onnx)
    yield emx(prepared, onnx)
    yield Torch(prepared, False)
    if with_compiled:
        yield Torch(prepared, True)


def measure(network, tritonc, out, rounds, with_compiled):
    prepared = Prepared(network, tritonc, out / f"{network.name}_{network.shape[0]}")
    everything, rows = list(implementations(prepared, with_compiled)), {}
    for implementation in everything:
        error = prepared.error(implementation.result())
        if not error < 1e-4:
            sys.exit(f"{network.title}, {implementation.name}: the error is {error}")
        compiling = getattr(implementation, "compiling", None)
        row = dict(network=network.title, name=implementation.name, error=error, lines=implementation.lines, times=[])
        rows[implementation.name] = dict(row, compiling=compiling)
    for _ in range(rounds):
        for implementation in everything:
            first = min(implementation.time(1) for _ in range(2))
            calls = int(min(1000, max(1, LEAST / first)))
            for _ in range(3):
                with undisturbed():
                    rows[implementation.name]["times"].append(implementation.time(calls))
    for row in rows.values():
        times = sorted(row.pop("times"))
        row.update(least=times[0], median=times[len(times) // 2], measurements=len(times))
        print(
            f"{network.title:32} {row['name']:18} least {row['least']:10.2f} us  median {row['median']:10.2f} us"
            f"  error {row['error']:.0e}  lines {row['lines'] or '-'}",
            flush=True,
        )
    return list(rows.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tritonc", required=True)
    parser.add_argument("--only", action="append", default=[], help="networks whose titles contain this")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compiled", action="store_true", help="torch.compile as well: some minutes more")
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    wanted = [n for n in NETWORKS if not arguments.only or any(part in n.title for part in arguments.only)]
    versions = {name: importlib.import_module(name).__version__ for name in ("onnxruntime", "torch")}
    versions["emx-onnx-cgen"] = importlib.import_module("importlib.metadata").version("emx-onnx-cgen")
    compiler = run(os.environ.get("CC", "cc"), "--version").splitlines()[0]
    report = dict(machine=machine(), compiler=compiler, flags=" ".join(CFLAGS), versions=versions, nothing=nothing(), rows=[])
    for network in wanted:
        report["rows"] += measure(network, arguments.tritonc, arguments.folder, arguments.rounds, arguments.compiled)
        report["load"] = os.getloadavg()
        arguments.out.write_text(json.dumps(report, indent=1))


def with_large_stack(function):
    """What emx-onnx-cgen writes has its memory on the stack, and a thread can have a large one."""
    done = []

    def catch():
        try:
            done.append(function())
        except SystemExit as exit:
            print(exit, file=sys.stderr)

    threading.stack_size(1 << 30)
    thread = threading.Thread(target=catch)
    thread.start()
    thread.join()
    sys.exit(0 if done else 1)


if __name__ == "__main__":
    with_large_stack(main)

"""Times our tile kernels and their peers in one process, on one core, and checks what each computes.

All formats are given weights that they hold exactly, so that the reference of a result is one product in double precision, and
the error that is printed comes from quantised activations. Times are minima over rounds; each round visits every
implementation once. Hot: the same weights again and again. Cold: over 256 MB of copies in turn, in PARTS of a pass, and
the median of these: a single part may meet what the cache has kept. What is timed runs with real-time priority for some
milliseconds, where the system allows that, so that other processes do not come between.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import platform
import sys
import time

import numpy as np

FOOTPRINT = 257 << 20
BIG = [(4096, 4096), (4096, 11008), (11008, 4096), (2560, 6912)]
SMALL = [(64, 64), (128, 128), (256, 256), (512, 512)]
BATCHES = [1, 16, 512]
PARTS = 8


def copies_of(size):
    """How many copies of so many bytes a cold pass visits. Small weights have none: they are not what memory delays."""
    if size < 1 << 18:
        return 1
    return -(-max(2, -(-FOOTPRINT // int(size))) // PARTS) * PARTS


@contextlib.contextmanager
def undisturbed():
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class Weights:
    """Codes and scales of each format for n rows of k weights."""

    def __init__(self, n, k):
        random = np.random.default_rng(n * 65536 + k)
        self.n, self.k = n, k
        # A factor for each row that half floats hold.
        self.factor = (1 + random.integers(0, 4, n) / 4).astype(np.float32)
        self.ternary = random.integers(-1, 2, (n, k), dtype=np.int8)
        self.ternary[:, ::64] = 1
        # Blocks of 32 whose largest code makes ggml find the same scale again.
        self.int4 = random.integers(-7, 8, (n, k), dtype=np.int8)
        self.int4[:, ::32] = -8
        self.int4_factor = (1 + random.integers(0, 4, (n, k // 32)) / 4).astype(np.float32) / 64
        self.int8 = random.integers(-126, 127, (n, k), dtype=np.int8)
        self.int8[:, ::32] = 127

    def floats(self, form):
        if form == "ternary":
            return self.ternary * np.float32(1 / 32)
        if form == "int4":
            return self.int4 * np.repeat(self.int4_factor, 32, axis=1)
        return self.int8 * (self.factor / 128)[:, None]

    def row_scale(self, form):
        return np.full(self.n, 1 / 32, np.float32) if form == "ternary" else self.factor / 128


def packed_bits(codes, bits):
    """Unsigned codes along the last axis, the first in the low bits of a byte."""
    per_byte = 8 // bits
    codes = codes.reshape(*codes.shape[:-1], -1, per_byte).astype(np.uint8)
    return np.bitwise_or.reduce(codes << (np.arange(per_byte, dtype=np.uint8) * bits), axis=-1).astype(np.uint8)


class Layer(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("kind", "n", "k", "m", "copies", "copy_bytes")] + [
        (name, ctypes.c_void_p) for name in ("packed", "scale", "x", "y", "codes", "sums", "scales")
    ]


def address(array):
    return array.ctypes.data_as(ctypes.c_void_p)


class Ours:
    KINDS = ["ternary2", "ternary5", "int4", "int8", "ternary2 x float", "int4 x float", "int8 x float"]
    peer = False

    def __init__(self, library, isa, kind, weights):
        self.library, self.kind = library, self.KINDS.index(kind)
        self.form = {"t": "ternary", "i": kind[:4]}[kind[0]]
        self.name = f"ours, {kind}, {isa}"
        self.n, self.k = weights.n, weights.k
        n, k = self.n, self.k
        self.bytes = library.ours_bytes(self.kind, n, k)
        half = weights.int4_factor.astype(np.float16)
        if self.form == "ternary" and "5" in kind:
            padded = np.zeros((n, -(-k // 5) * 5), np.int16)
            padded[:, :k] = weights.ternary + 1
            portable = (padded.reshape(n, -1, 5) * [1, 3, 9, 27, 81]).sum(axis=-1).astype(np.uint8)
        elif self.form == "ternary":
            portable = packed_bits(weights.ternary + 1, 2)
        elif self.form == "int4":
            portable = packed_bits(weights.int4 + 8, 4)
        else:
            portable = weights.int8
        self.scale = np.ones(n, np.float32) if self.form == "int4" else weights.row_scale(self.form)
        self.copies = copies_of(self.bytes)
        stride = -(-self.bytes // 64) * 64
        memory = np.zeros(stride * self.copies + 64, np.uint8)
        begin = -memory.ctypes.data % 64
        self.packed = memory[begin : begin + stride * self.copies].reshape(self.copies, stride)
        portable = np.ascontiguousarray(portable)
        if not library.ours_pack(self.kind, address(portable), address(half), n, k, address(self.packed)):
            sys.exit(f"{self.name}: codes are invalid")
        self.packed[1:] = self.packed[0]
        self.bits = self.bytes * 8 / (n * k)
        if kind.startswith("ternary5") and "avx512" in isa:
            self.bits = -(-n // 16) * -(-k // 20) * 64 * 8 / (n * k)

    def layer(self, x, first, copies):
        m = len(x)
        self.x = np.ascontiguousarray(x)
        self.y = np.zeros((m, self.n), np.float32)
        self.codes = np.zeros((m, self.k), np.int8)
        self.sums = np.zeros((m, self.k // 32 + 1), np.int32)
        self.scales = np.zeros(m, np.float32)
        buffers = [address(array) for array in (self.packed[first:], self.scale, self.x, self.y, self.codes, self.sums, self.scales)]
        return Layer(self.kind, self.n, self.k, m, copies, self.packed.shape[1], *buffers)

    def hot(self, x, calls):
        return self.library.ours_time(ctypes.byref(self.layer(x, 0, 1)), calls)

    def cold(self, x, part):
        each = self.copies // PARTS
        return self.library.ours_time(ctypes.byref(self.layer(x, part * each, each)), each)

    def result(self, x):
        self.hot(x, 1)
        return self.y

    def close(self):
        pass


class Ggml:
    TYPES = {"F32": 0, "Q4_0": 2, "Q8_0": 8, "TQ1_0": 34, "TQ2_0": 35}
    peer = True

    def __init__(self, library, type_name, repack, form, weights):
        self.library, self.type, self.repack, self.form = library, self.TYPES[type_name], repack, form
        self.name = f"ggml {type_name}" + (" repacked" if repack else "")
        self.weights = np.ascontiguousarray(weights.floats(form), np.float32)
        self.n, self.k = weights.n, weights.k
        self.bits = {"F32": 32, "Q4_0": 4.5, "Q8_0": 8.5, "TQ1_0": 1.6875, "TQ2_0": 2.0625}[type_name]
        self.bytes = int(self.n * self.k * self.bits / 8)
        self.copies = copies_of(self.bytes)
        self.peers = {}

    def instance(self, x, cold):
        key = (len(x), cold)
        if key not in self.peers:
            x = np.ascontiguousarray(x)
            copies = self.copies if cold else 1
            peer = self.library.peer_new(
                self.type, self.repack, self.n, self.k, len(x), copies, address(self.weights), address(x)
            )
            if not peer:
                sys.exit(f"{self.name}: ggml has no such weights")
            self.peers[key] = (peer, copies)
        return self.peers[key]

    def hot(self, x, calls):
        peer, _ = self.instance(x, False)
        return self.library.peer_time(peer, 0, 1, calls)

    def cold(self, x, part):
        peer, copies = self.instance(x, True)
        return self.library.peer_time(peer, part * copies // PARTS, copies // PARTS, copies // PARTS)

    def result(self, x):
        self.hot(x, 1)
        peer, _ = self.instance(x, False)
        values = ctypes.cast(self.library.peer_result(peer), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(values, (len(x), self.n)).copy()

    def close(self):
        for peer, _ in self.peers.values():
            self.library.peer_free(peer)
        self.peers = {}


class Onnx:
    """A graph of one product, or, cold, of as many as there are copies, with weights that all differ."""

    peer = True

    def __init__(self, kind, form, weights):
        import onnxruntime

        self.runtime, self.kind, self.form, self.weights = onnxruntime, kind, form, weights
        self.n, self.k = weights.n, weights.k
        self.bits = {"2-bit": 2.25, "4-bit": 5, "int8": 8, "float": 32}[kind]
        names = {"2-bit": "MatMulNBits 2-bit g128", "4-bit": "MatMulNBits 4-bit g32", "int8": "DynamicQuantizeMatMul"}
        self.name = "ONNX Runtime " + names.get(kind, "MatMul float")
        self.bytes = int(self.n * self.k * self.bits / 8)
        self.copies = copies_of(self.bytes)
        self.sessions = {}
        self.bindings = {}
        self.nothing = None

    def initializers(self, copy):
        from onnx import numpy_helper

        n, k, weights = self.n, self.k, self.weights

        def tensor(name, array):
            return numpy_helper.from_array(np.ascontiguousarray(array), f"{name}{copy}")

        if self.kind in ("2-bit", "4-bit"):
            bits, block = (2, 128) if self.kind == "2-bit" else (4, 32)
            codes = weights.ternary + 2 if bits == 2 else weights.int4 + 8
            if copy:
                codes = np.roll(codes, copy, axis=0)
            blocks = -(-k // block)
            padded = np.full((n, blocks * block), 1 << (bits - 1), np.uint8)
            padded[:, :k] = codes
            scales = np.full((n, blocks), 1 / 32, np.float32) if bits == 2 else weights.int4_factor
            return [tensor("w", packed_bits(padded.reshape(n, blocks, block), bits)), tensor("s", scales.reshape(-1))]
        if self.kind == "int8":
            codes = np.roll(weights.int8, copy, axis=0) if copy else weights.int8
            return [tensor("w", codes.T), tensor("s", weights.row_scale("int8"))]
        floats = weights.floats(self.form)
        return [tensor("w", np.roll(floats, copy, axis=0).T)]

    def node(self, copy):
        from onnx import helper

        inputs, outputs = ["x", f"w{copy}"] + ([] if self.kind == "float" else [f"s{copy}"]), [f"y{copy}"]
        if self.kind in ("2-bit", "4-bit"):
            bits, block = (2, 128) if self.kind == "2-bit" else (4, 32)
            attributes = dict(K=self.k, N=self.n, bits=bits, block_size=block, accuracy_level=4)
            return helper.make_node("MatMulNBits", inputs, outputs, domain="com.microsoft", **attributes)
        if self.kind == "int8":
            return helper.make_node("DynamicQuantizeMatMul", inputs, outputs, domain="com.microsoft")
        return helper.make_node("MatMul", inputs, outputs)

    def session(self, nodes, initializers, outputs):
        from onnx import TensorProto, helper

        types = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["m", self.n]) for name in outputs]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", self.k])
        graph = helper.make_graph(nodes, "bench", [x], types, initializers)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return self.runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def bound(self, x, part):
        """The session for a part of the copies, or, without one, of one copy, with its inputs and outputs."""
        key = (len(x), part)
        if key not in self.bindings:
            if part not in self.sessions:
                each = self.copies // PARTS
                copies = [0] if part is None else range(part * each, (part + 1) * each)
                tensors = [tensor for copy in copies for tensor in self.initializers(copy)]
                nodes = [self.node(copy) for copy in copies]
                self.sessions[part] = self.session(nodes, tensors, [f"y{copy}" for copy in copies])
            session = self.sessions[part]
            binding = session.io_binding()
            self.bindings[key] = (session, binding)
            value = self.runtime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x))
            binding.bind_ortvalue_input("x", value)
            for output in session.get_outputs():
                space = self.runtime.OrtValue.ortvalue_from_numpy(np.zeros((len(x), self.n), np.float32))
                binding.bind_ortvalue_output(output.name, space)
        return self.bindings[key]

    def overhead(self):
        """Microseconds of a run that computes nothing: a graph that is called from Python pays it, a model once."""
        if self.nothing is None:
            from onnx import TensorProto, helper

            info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
            graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "none", info[:1], info[1:])
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
            options = self.runtime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = self.runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            binding = session.io_binding()
            for bind, name in ((binding.bind_ortvalue_input, "x"), (binding.bind_ortvalue_output, "y")):
                bind(name, self.runtime.OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32)))
            self.nothing = min(timed(lambda: session.run_with_iobinding(binding), 200) for _ in range(20))
        return self.nothing

    def hot(self, x, calls):
        session, binding = self.bound(x, None)
        return timed(lambda: session.run_with_iobinding(binding), calls) - self.overhead()

    def cold(self, x, part):
        session, binding = self.bound(x, part)
        return (timed(lambda: session.run_with_iobinding(binding), 1) - self.overhead()) / (self.copies // PARTS)

    def result(self, x):
        session, binding = self.bound(x, None)
        session.run_with_iobinding(binding)
        return binding.get_outputs()[0].numpy()

    def close(self):
        self.sessions, self.bindings = {}, {}


class Torch:
    peer = True

    def __init__(self, form, weights):
        import torch

        torch.set_num_threads(1)
        self.torch, self.form = torch, form
        self.name = "torch quantized.linear_dynamic" if form == "int8" else "torch linear float"
        self.n, self.k = weights.n, weights.k
        self.bits = 8 if form == "int8" else 32
        self.copies = copies_of(self.n * self.k * self.bits // 8)
        floats = torch.from_numpy(np.ascontiguousarray(weights.floats("int8"), np.float32))
        if form == "int8":
            scales = torch.from_numpy(weights.row_scale("int8").astype(np.float64))
            zeros = torch.zeros(self.n, dtype=torch.int64)
            self.packed = []
            for copy in range(self.copies):
                rolled = torch.roll(floats, copy, 0) if copy else floats
                rolled_scales = torch.roll(scales, copy, 0) if copy else scales
                codes = torch.quantize_per_channel(rolled, rolled_scales, zeros, 0, torch.qint8)
                self.packed.append(torch.ops.quantized.linear_prepack(codes, None))
            self.call = torch.ops.quantized.linear_dynamic
        else:
            self.packed = [floats + 0 for _ in range(self.copies)]
            self.call = torch.nn.functional.linear

    def run(self, x, packed, calls):
        x = self.torch.from_numpy(np.ascontiguousarray(x))
        with self.torch.inference_mode():
            begin = time.perf_counter()
            for call in range(calls):
                self.call(x, packed[call % len(packed)])
            return (time.perf_counter() - begin) / calls * 1e6

    def hot(self, x, calls):
        return self.run(x, self.packed[:1], calls)

    def cold(self, x, part):
        each = self.copies // PARTS
        return self.run(x, self.packed[part * each : (part + 1) * each], each)

    def result(self, x):
        return self.call(self.torch.from_numpy(np.ascontiguousarray(x)), self.packed[0]).numpy()

    def close(self):
        self.packed = []


def timed(call, calls):
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begin) / calls * 1e6


def implementations(n, k, libraries, peer, only):
    weights = Weights(n, k)
    made = []
    for isa, library in libraries.items():
        kinds = Ours.KINDS if isa == "avx512" else Ours.KINDS[:4]
        made += [lambda isa=isa, library=library, kind=kind: Ours(library, isa, kind, weights) for kind in kinds]
    types = [("Q4_0", True, "int4"), ("Q8_0", False, "int8"), ("F32", False, "int8")]
    if k % 256 == 0:
        types = [("TQ2_0", False, "ternary"), ("TQ1_0", False, "ternary")] + types
    made += [lambda arguments=arguments: Ggml(peer, *arguments, weights) for arguments in types]
    kinds = [("2-bit", "ternary"), ("4-bit", "int4"), ("int8", "int8"), ("float", "int8")]
    made += [lambda arguments=arguments: Onnx(*arguments, weights) for arguments in kinds]
    made += [lambda form=form: Torch(form, weights) for form in ("int8", "float")]
    for make in made:
        implementation = make()
        implementation.weights_used = weights
        if not only or any(part in implementation.name for part in only):
            yield implementation
        else:
            implementation.close()


def measure_shape(n, k, batches, rounds, libraries, peer, only):
    random = np.random.default_rng(1)
    inputs = {m: random.standard_normal((m, k), dtype=np.float32) for m in batches}
    rows = []
    everything = list(implementations(n, k, libraries, peer, only))
    references = {}
    for implementation in everything:
        # torch and ONNX Runtime hold floats of the int8 weights.
        form = "int8" if implementation.form == "float" else implementation.form
        for m, x in inputs.items():
            head = x[:16]
            if (form, m) not in references:
                floats = implementation.weights_used.floats(form).astype(np.float64)
                references[form, m] = head.astype(np.float64) @ floats.T
            wanted = references[form, m]
            found = implementation.result(x)[:16]
            error = float(np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean()))
            if not error < 0.02:
                sys.exit(f"{implementation.name}, {n}x{k}, {m} rows: the error is {error}")
            rows.append(dict(name=implementation.name, form=form, n=n, k=k, m=m, bits=implementation.bits, error=error))
    for turn in range(rounds):
        for implementation in everything:
            for m, x in inputs.items():
                row = next(row for row in rows if row["name"] == implementation.name and row["m"] == m)
                with undisturbed():
                    first = implementation.hot(x, 1)
                    calls = int(min(200, max(1, 1000 / first)))
                    row["hot"] = min(row.get("hot", 1e9), *(implementation.hot(x, calls) for _ in range(3)))
                if m == 1 and implementation.copies > 1:
                    parts = []
                    for part in range(PARTS):
                        implementation.cold(x, part) if turn == 0 else None
                        with undisturbed():
                            parts.append(implementation.cold(x, part))
                    row["cold"] = min(row.get("cold", 1e9), sorted(parts)[PARTS // 2])
    for implementation in everything:
        implementation.close()
    for row in rows:
        row["gops"] = 2e-3 * row["m"] * n * k / row["hot"]
        cold = f"{row['cold']:9.1f}" if "cold" in row else " " * 9
        print(
            f"{n:6}x{k:<6} m={row['m']:<4} {row['name']:36} {row['bits']:5.2f} bits  hot {row['hot']:10.1f} us  cold {cold} us"
            f"  {row['gops']:7.1f} GOPS  error {row['error']:.1e}",
            flush=True,
        )
    return rows


def load_ours(paths):
    libraries = {}
    for item in paths:
        isa, path = item.split("=", 1)
        library = ctypes.CDLL(path)
        library.ours_bytes.restype = ctypes.c_int64
        library.ours_bytes.argtypes = [ctypes.c_int] + [ctypes.c_int64] * 2
        library.ours_pack.restype = ctypes.c_bool
        pointer = ctypes.c_void_p
        library.ours_pack.argtypes = [ctypes.c_int, pointer, pointer, ctypes.c_int64, ctypes.c_int64, pointer]
        library.ours_time.restype = ctypes.c_double
        library.ours_time.argtypes = [ctypes.c_void_p, ctypes.c_int64]
        library.ours_read_bandwidth.restype = ctypes.c_double
        library.ours_read_bandwidth.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        library.ours_peak.restype = ctypes.c_double
        library.ours_peak.argtypes = [ctypes.c_int64]
        libraries[isa] = library
    return libraries


def load_ggml(path):
    library = ctypes.CDLL(path)
    library.peer_new.restype = library.peer_result.restype = ctypes.c_void_p
    library.peer_new.argtypes = [ctypes.c_int, ctypes.c_bool] + [ctypes.c_int64] * 4 + [ctypes.c_void_p] * 2
    library.peer_time.restype = ctypes.c_double
    library.peer_time.argtypes = [ctypes.c_void_p] + [ctypes.c_int64] * 3
    library.peer_result.argtypes = library.peer_free.argtypes = [ctypes.c_void_p]
    return library


def limits(library):
    """What memory and the multipliers give at most: the roofline."""
    memory = np.ones(FOOTPRINT, np.uint8)
    with undisturbed():
        hot = max(library.ours_read_bandwidth(address(memory), 4 << 20, 3) for _ in range(100))
        cold = max(library.ours_read_bandwidth(address(memory), len(memory), 1) for _ in range(7))
        return dict(l3=hot, dram=cold, peak=max(library.ours_peak(100_000) for _ in range(50)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", action="append", required=True, help="ISA=library")
    parser.add_argument("--ggml", required=True, help="library around ggml")
    parser.add_argument("--shapes", default="all", help="all, big, small, or NxK,...")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", action="append", default=[], help="implementations whose names contain this")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    named = {"all": BIG + SMALL, "big": BIG, "small": SMALL}
    shapes = named.get(arguments.shapes) or [tuple(map(int, shape.split("x"))) for shape in arguments.shapes.split(",")]
    libraries, peer = load_ours(arguments.ours), load_ggml(arguments.ggml)
    batches = [int(batch) for batch in arguments.batches.split(",")]
    report = dict(machine=machine(), limits=limits(libraries["avx512"]), rows=[])
    print(f"limits: {report['limits']}", flush=True)
    for n, k in shapes:
        report["rows"] += measure_shape(n, k, batches, arguments.rounds, libraries, peer, arguments.only)
        report["load"] = os.getloadavg()
        pathlib.Path(arguments.out).write_text(json.dumps(report, indent=1))


def machine():
    model = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor()
    )
    family = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("cpu family")), "")
    return f"{model}, family {family}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()

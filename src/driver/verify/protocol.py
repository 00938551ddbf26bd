"""What the runners of all targets in Python share: one request a line on standard input, one answer a line on standard
output. A runner is a script that hands a function for the request "run" to `serve`, once it has imported what it needs.

Requests and answers are JSON; tensors travel in safetensors files.

    {"do": "run", "module": "net.py", "weights": "net.safetensors" or null, "train": false, "method": "forward",
     "given": "given.safetensors", "inputs": [["x", "input.0"], ["mask", null]], "numbers": {"pos": 2}, "seeds": [],
     "output_gradients": null or ["gradient.0", null], "state": ["count"], "trace": false,
     "results": "results.safetensors"}
    {"ok": true, "outputs": 1, "input_gradients": [true, false], "calls": [...], "events": [...],
     "own_random": false, "seconds": 0.1}
    {"do": "compile", "module": "net.py"}
    {"ok": true}
    {"ok": false, "error": "..."}

The results are `output.0` and so on, `state NAME`, and with "output_gradients" `gradient NAME` of parameters and
`input_gradient.0` and so on of inputs. "own_random" says that other random numbers were drawn than those of "seeds".

With "trace", "calls" has the calls of sublayers in the order in which they begin, and "events" has their positions,
n where one begins and -n - 1 where it ends; `call.0.input.0` and `call.0.output.0` are their tensors. A runner that
cannot watch calls leaves both lists empty.

Only the standard library is needed.
"""

import importlib.util
import json
import sys
import traceback
from typing import NamedTuple

DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}
NAMES = {name: key for key, name in DTYPES.items()}


class Tensor(NamedTuple):
    """Elements as bytes, little-endian and in the order of rows."""

    dtype: str
    shape: list
    data: bytes


def read_tensors(path):
    """The tensors of a safetensors file, by name."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, last = (start + offset for offset in entry["data_offsets"])
            dtype = DTYPES[entry["dtype"]]
            tensors[name] = Tensor(dtype, entry["shape"], data[first:last])
    return tensors


def write_tensors(path, tensors):
    header, offset = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        end = offset + len(data)
        header[name] = {
            "dtype": NAMES[dtype],
            "shape": list(shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(tensor.data for tensor in tensors.values())


def load_module(path):
    """Executes an emitted file as a module of its own."""
    name = "emitted"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    # Classes look their module up by name while it is still being executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


class Seeds:
    """The seeds that the interpreter drew, given to a module as long as there are any."""

    def __init__(self, seeds):
        self.seeds, self.drawn = seeds, 0

    def draw(self):
        return self.at(self.drawn)

    def at(self, position):
        self.drawn = max(self.drawn, position + 1)
        return self.seeds[position] if position < len(self.seeds) else 0

    def differ(self):
        # Native forms such as `F.dropout` draw their own, and leave some of these.
        return self.drawn != len(self.seeds)


def compile_only(path):
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec", dont_inherit=True)
    return {}


def told(error, module):
    """The error and where in the emitted module it was raised; elsewhere, its whole story."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == module
    ]
    last = "".join(traceback.format_exception_only(error))
    if not frames or isinstance(error, SyntaxError):
        return "".join(traceback.format_exception(error))
    lines = [
        f"  line {frame.lineno}, in {frame.name}: {frame.line}\n" for frame in frames
    ]
    return f"the emitted module raised, called from the first of these lines:\n{''.join(lines)}{last}"


def answer(line, run):
    request = {}
    try:
        request = json.loads(line)
        compiles = request["do"] == "compile"
        return {
            "ok": True,
            **(compile_only(request["module"]) if compiles else run(request)),
        }
    except Exception as error:
        return {"ok": False, "error": told(error, request.get("module"))}


def serve(run):
    """Answers requests until there are no more. `run` takes one and gives the answer, without "ok"."""
    # What a module prints must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ok": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line, run)), file=answers, flush=True)

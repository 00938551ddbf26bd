"""Executes emitted PyTorch modules: one request a line on standard input, one answer a line on standard output.

Requests and answers are JSON; tensors travel in safetensors files.

    {"do": "run", "module": "net.py", "weights": "net.safetensors" or null, "train": false, "method": "forward",
     "given": "given.safetensors", "inputs": ["input.0", null], "numbers": {"pos": 2}, "seeds": [],
     "output_gradients": null or ["gradient.0", null], "state": ["count"], "trace": false,
     "results": "results.safetensors"}
    {"ok": true, "outputs": 1, "input_gradients": [true, false], "calls": [...], "events": [...],
     "own_random": false, "seconds": 0.1}
    {"do": "compile", "module": "net.py"}
    {"ok": true}
    {"ok": false, "error": "..."}

With "trace", "calls" has the calls of submodules in the order in which they begin, and "events" has their positions,
n where one begins and -n - 1 where it ends.
"""

import ctypes
import importlib.util
import inspect
import json
import sys
import time
import traceback

import torch

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
NAMES = {f"torch.{name}": key for key, name in DTYPES.items()}


def read_tensors(path):
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        dtype = getattr(torch, DTYPES[entry["dtype"]])
        first, last = (start + offset for offset in entry["data_offsets"])
        raw = torch.frombuffer(bytearray(data[first:last] or b"\0"), dtype=torch.uint8)
        tensors[name] = raw[: last - first].view(dtype).reshape(entry["shape"])
    return tensors


def write_tensors(path, tensors):
    header, parts, offset = {}, [], 0
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": NAMES[str(tensor.dtype)],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        parts.append(ctypes.string_at(tensor.data_ptr(), size) if size else b"")
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(parts)


def load_module(path, number):
    name = f"emitted_{number}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    # Classes look their module up by name while it is still being executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


def flat(results):
    if isinstance(results, (tuple, list)):
        return [tensor for result in results for tensor in flat(result)]
    return [results]


class Seeds:
    """Gives a module the seeds that the interpreter drew, as long as there are any."""

    def __init__(self, module, seeds):
        self.seeds, self.more = seeds, False
        module.new_seed = self.draw

    def draw(self):
        self.more |= not self.seeds
        return torch.tensor(self.seeds.pop(0) if self.seeds else 0)

    def differ(self):
        # Native forms such as `F.dropout` draw their own, and leave some of these.
        return self.more or bool(self.seeds)


class Trace:
    """What each submodule was given, and what it gave back."""

    def __init__(self, model):
        self.calls, self.events, self.open, self.tensors = [], [], [], {}
        for path, part in model.named_modules():
            if path:
                part.register_forward_pre_hook(self.enter(path), with_kwargs=True)
                part.register_forward_hook(self.leave)

    def keep(self, kind, values):
        call = self.open[-1]
        # A module may go on to change them in place.
        tensors = [v.detach().clone() for v in flat(values) if isinstance(v, torch.Tensor)]
        for index, tensor in enumerate(tensors):
            self.tensors[f"call.{call}.{kind}.{index}"] = tensor
        self.calls[call][f"{kind}s"] = len(tensors)

    def enter(self, path):
        def hook(part, args, kwargs):
            self.open.append(len(self.calls))
            self.events.append(len(self.calls))
            self.calls.append({"path": path, "inputs": 0, "outputs": 0})
            self.keep("input", [args, list(kwargs.values())])

        return hook

    def leave(self, part, args, results):
        self.keep("output", results)
        self.events.append(-self.open.pop() - 1)


def run(request, number):
    torch.manual_seed(0)
    module = load_module(request["module"], number)
    weights = request["weights"]
    model = module.load(weights) if weights else module.Model()
    model.train(request["train"])
    given = read_tensors(request["given"])
    inputs = [name and given[name] for name in request["inputs"]]
    with_gradients = request["output_gradients"] is not None
    for tensor in inputs:
        if with_gradients and tensor is not None and tensor.is_floating_point():
            tensor.requires_grad_()
    seeds = Seeds(module, request["seeds"])
    trace = Trace(model) if request["trace"] else None
    method = request["method"]
    # Hooks are for calls of the module itself.
    call = model if method == "forward" else getattr(model, method)
    # Numbers have the names of the source; for tensors, those of Python may be others.
    numbers = request["numbers"]
    names = inspect.signature(model.forward if method == "forward" else call).parameters
    arguments = dict(zip((name for name in names if name not in numbers), inputs)) | numbers
    with torch.set_grad_enabled(with_gradients):
        start = time.perf_counter()
        results = flat(call(**arguments))
        if with_gradients:
            backward(results, [name and given[name] for name in request["output_gradients"]])
        seconds = time.perf_counter() - start
    saved = {**dict(model.named_buffers()), **model.state_dict(keep_vars=True)}
    # Not `named_parameters`: in the state dict names are those of weights files.
    parameters = {name: t for name, t in saved.items() if isinstance(t, torch.nn.Parameter)}
    tensors = {f"output.{index}": tensor for index, tensor in enumerate(results)}
    # Names of weights files have no space, so that these are told apart.
    tensors |= {f"state {name}": saved[name] for name in request["state"] if name in saved}
    has_gradient = [
        with_gradients and tensor is not None and tensor.requires_grad for tensor in inputs
    ]
    if with_gradients:
        for name, tensor in parameters.items():
            if tensor.requires_grad:
                tensors[f"gradient {name}"] = gradient(tensor)
        for index, has in enumerate(has_gradient):
            if has:
                tensors[f"input_gradient.{index}"] = gradient(inputs[index])
    if trace:
        tensors |= trace.tensors
    write_tensors(request["results"], tensors)
    return {
        "ok": True,
        "outputs": len(results),
        "input_gradients": has_gradient,
        "calls": trace.calls if trace else [],
        "events": trace.events if trace else [],
        "own_random": seeds.differ(),
        "seconds": seconds,
    }


def backward(results, gradients):
    pairs = [
        (result, given)
        for result, given in zip(results, gradients, strict=True)
        if given is not None and result.requires_grad
    ]
    if pairs:
        torch.autograd.backward(*map(list, zip(*pairs)))


def gradient(tensor):
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def compile_only(request):
    path = request["module"]
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec", dont_inherit=True)
    return {"ok": True}


def told(error, module):
    """The error and where in the emitted module it was raised; elsewhere, its whole story."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == module]
    last = "".join(traceback.format_exception_only(error))
    if not frames or isinstance(error, SyntaxError):
        return "".join(traceback.format_exception(error))
    lines = [f"  line {frame.lineno}, in {frame.name}: {frame.line}\n" for frame in frames]
    return f"the emitted module raised, called from the first of these lines:\n{''.join(lines)}{last}"


def answer(line, number):
    request = {}
    try:
        request = json.loads(line)
        return compile_only(request) if request["do"] == "compile" else run(request, number)
    except Exception as error:
        return {"ok": False, "error": told(error, request.get("module"))}


def main():
    torch.set_num_threads(1)
    # What a module prints must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ok": True}), file=answers, flush=True)
    for number, line in enumerate(sys.stdin):
        print(json.dumps(answer(line, number)), file=answers, flush=True)


if __name__ == "__main__":
    main()

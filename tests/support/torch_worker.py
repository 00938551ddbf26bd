"""Executes emitted PyTorch modules: one request a line on standard input, one answer a line on standard output.

One process serves a whole test run, because importing torch takes seconds. Requests and answers are JSON:

    {"do": "run", "module": "net.py", "weights": "net.safetensors" or null, "train": false,
     "inputs": [{"path": "x.npy", "dtype": "float32"}, null], "numbers": {"pos": 2}, "outputs": "folder"}
    {"ok": true, "outputs": [{"path": "folder/0.npy", "dtype": "float32"}]}
    {"do": "gradients", ... the same as for "run", and "output_grads": [{"path": ..., "dtype": ...} or null]}
    {"ok": true, "gradients": {"weight": {"path": ..., "dtype": ...}}, "input_gradients": [... or null]}
    {"do": "compile", "module": "net.py"}
    {"ok": true}
    {"ok": false, "error": "..."}

NumPy has no bfloat16, so such tensors travel as float32.
"""

import importlib.util
import json
import os
import sys
import traceback

import numpy
import torch


def read_tensor(entry):
    array = numpy.load(entry["path"], allow_pickle=False)
    tensor = torch.from_numpy(numpy.ascontiguousarray(array).reshape(array.shape))
    return tensor.to(getattr(torch, entry["dtype"]))


def write_tensor(tensor, path):
    dtype = str(tensor.dtype).removeprefix("torch.")
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    numpy.save(path, tensor.numpy(), allow_pickle=False)
    return {"path": path, "dtype": dtype}


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


def run(request, number):
    torch.manual_seed(0)
    module = load_module(request["module"], number)
    weights = request["weights"]
    model = module.load(weights) if weights else module.Model()
    model.train(request["train"])
    with torch.no_grad():
        inputs = (entry and read_tensor(entry) for entry in request["inputs"])
        results = flat(model(*inputs, **request["numbers"]))
    folder = request["outputs"]
    return {
        "ok": True,
        "outputs": [
            write_tensor(tensor, os.path.join(folder, f"{index}.npy"))
            for index, tensor in enumerate(results)
        ],
    }


def gradients(request, number):
    torch.manual_seed(0)
    module = load_module(request["module"], number)
    model = module.load(request["weights"])
    model.train(request["train"])
    inputs = [entry and read_tensor(entry) for entry in request["inputs"]]
    for tensor in filter(lambda tensor: tensor is not None, inputs):
        tensor.requires_grad_(tensor.is_floating_point())
    results = flat(model(*inputs, **request["numbers"]))
    pairs = [
        (result, read_tensor(entry))
        for result, entry in zip(results, request["output_grads"], strict=True)
        if entry and result.requires_grad
    ]
    if pairs:
        torch.autograd.backward(*map(list, zip(*pairs)))
    folder = request["outputs"]

    def write(name, tensor):
        if tensor is None or not tensor.requires_grad:
            return None
        gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        return write_tensor(gradient, os.path.join(folder, f"{name}.grad.npy"))

    # Not `named_parameters`: in the state dict names are those of weights files.
    saved = model.state_dict(keep_vars=True).items()
    parameters = {name: tensor for name, tensor in saved if isinstance(tensor, torch.nn.Parameter)}
    return {
        "ok": True,
        "gradients": {name: write(name, tensor) for name, tensor in parameters.items()},
        "input_gradients": [write(f"input_{index}", tensor) for index, tensor in enumerate(inputs)],
    }


def compile_only(request):
    path = request["module"]
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec", dont_inherit=True)
    return {"ok": True}


def answer(line, number):
    try:
        request = json.loads(line)
        if request["do"] == "compile":
            return compile_only(request)
        return gradients(request, number) if request["do"] == "gradients" else run(request, number)
    except Exception:
        return {"ok": False, "error": traceback.format_exc()}


def main():
    torch.set_num_threads(1)
    # What a module prints must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    versions = {"python": sys.version.split()[0], "torch": torch.__version__}
    print(json.dumps({"ok": True, "versions": versions}), file=answers, flush=True)
    for number, line in enumerate(sys.stdin):
        print(json.dumps(answer(line, number)), file=answers, flush=True)


if __name__ == "__main__":
    main()

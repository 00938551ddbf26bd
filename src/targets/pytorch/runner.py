"""Executes what the PyTorch target writes, as `protocol` says: the class `Model` of a module, on torch's tensors."""

import ctypes
import inspect
import time

import protocol
import torch


def read_tensors(path):
    return {
        name: native(*tensor) for name, tensor in protocol.read_tensors(path).items()
    }


def native(dtype, shape, data):
    raw = torch.frombuffer(bytearray(data or b"\0"), dtype=torch.uint8)
    return raw[: len(data)].view(getattr(torch, dtype)).reshape(shape)


def portable(tensor):
    tensor = tensor.detach().cpu().contiguous()
    size = tensor.numel() * tensor.element_size()
    data = ctypes.string_at(tensor.data_ptr(), size) if size else b""
    return protocol.Tensor(
        str(tensor.dtype).removeprefix("torch."), list(tensor.shape), data
    )


def flat(results):
    if isinstance(results, (tuple, list)):
        return [tensor for result in results for tensor in flat(result)]
    return [results]


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
        tensors = [
            v.detach().clone() for v in flat(values) if isinstance(v, torch.Tensor)
        ]
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


def run(request):
    torch.manual_seed(0)
    module = protocol.load_module(request["module"])
    weights = request["weights"]
    model = module.load(weights) if weights else module.Model()
    model.train(request["train"])
    given = read_tensors(request["given"])
    inputs = [key and given[key] for _, key in request["inputs"]]
    with_gradients = request["output_gradients"] is not None
    for tensor in inputs:
        if with_gradients and tensor is not None and tensor.is_floating_point():
            tensor.requires_grad_()
    seeds = protocol.Seeds(request["seeds"])
    module.new_seed = lambda: torch.tensor(seeds.draw())
    trace = Trace(model) if request["trace"] else None
    method = request["method"]
    # Hooks are for calls of the module itself.
    call = model if method == "forward" else getattr(model, method)
    # Numbers have the names of the source; for tensors, those of Python may be others.
    numbers = request["numbers"]
    names = inspect.signature(model.forward if method == "forward" else call).parameters
    arguments = (
        dict(zip((name for name in names if name not in numbers), inputs)) | numbers
    )
    with torch.set_grad_enabled(with_gradients):
        start = time.perf_counter()
        results = flat(call(**arguments))
        if with_gradients:
            backward(
                results, [name and given[name] for name in request["output_gradients"]]
            )
        seconds = time.perf_counter() - start
    saved = {**dict(model.named_buffers()), **model.state_dict(keep_vars=True)}
    # Not `named_parameters`: in the state dict names are those of weights files.
    parameters = {
        name: t for name, t in saved.items() if isinstance(t, torch.nn.Parameter)
    }
    tensors = {f"output.{index}": tensor for index, tensor in enumerate(results)}
    # Names of weights files have no space, so that these are told apart.
    tensors |= {
        f"state {name}": saved[name] for name in request["state"] if name in saved
    }
    has_gradient = [
        with_gradients and tensor is not None and tensor.requires_grad
        for tensor in inputs
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
    protocol.write_tensors(
        request["results"], {name: portable(tensor) for name, tensor in tensors.items()}
    )
    return {
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


if __name__ == "__main__":
    torch.set_num_threads(1)
    protocol.serve(run)

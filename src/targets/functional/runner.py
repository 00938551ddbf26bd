"""What the runners of functional targets share: they execute modules whose functions take and give dictionaries.
A target's runner derives from `Adapter`, which says what tensors are to its modules, and has it served.

A module has `forward(inputs, params)`, a function for each exported method that is called the same way, with `--grad`
`forward_backward(inputs, params, output_grads)` and, where the library has gradients of its own, the same for other
methods, and, where weights are quantised and packed, `pack(params)`. The parts of a tuple among the inputs are `NAME.0`,
`NAME.1`. Where random numbers are drawn, `new_seed(rng)` gives their seeds.
"""

import time

import protocol


class Adapter:
    """What one target's values are."""

    def native(self, module, tensor):
        """A `protocol.Tensor` as the module takes it."""
        raise NotImplementedError

    def portable(self, value):
        """What the module gave, as a `protocol.Tensor`."""
        raise NotImplementedError

    def new_seed(self, rng, seeds):
        """The next of the seeds, for a call's generator."""
        return seeds.draw()

    def call(self, module, name, inputs, *arguments):
        """Calls a function of the module. Among the inputs are numbers, too."""
        return getattr(module, name)(inputs, *arguments)

    def wait(self, values):
        """Returns once the values are computed."""

    def run(self, request):
        module = protocol.load_module(request["module"])
        seeds = protocol.Seeds(request["seeds"])
        module.new_seed = lambda rng: self.new_seed(rng, seeds)
        given = self.read(module, request["given"])
        params = self.read(module, request["weights"]) if request["weights"] else {}
        if not request["train"] and hasattr(module, "pack"):
            params = self.call(module, "pack", params)
        inputs = {name: given[key] for name, key in request["inputs"] if key}
        inputs |= request["numbers"]
        method, gradients = request["method"], request["output_gradients"]
        start = time.perf_counter()
        if gradients is None:
            results, found = self.call(module, method, inputs, params), {}
        else:
            names = output_names(len(gradients))
            output_grads = {
                name: given[key] for name, key in zip(names, gradients) if key
            }
            backward = f"{method}_backward"
            results, found = self.call(module, backward, inputs, params, output_grads)
        self.wait([results, found])
        seconds = time.perf_counter() - start
        # What a method never assigns, it need not give back.
        state = {name: params[name] for name in request["state"] if name in params}
        state |= results.get("state", {})
        outputs = [
            results[name] for name in output_names(len(results.keys() - {"state"}))
        ]
        tensors = {f"output.{index}": value for index, value in enumerate(outputs)}
        # Names of weights files have no space, so that these are told apart.
        tensors |= {
            f"state {name}": state[name] for name in request["state"] if name in state
        }
        tensors |= {f"gradient {name}": value for name, value in found.items()}
        tensors = {name: self.portable(value) for name, value in tensors.items()}
        protocol.write_tensors(request["results"], tensors)
        return {
            "outputs": len(outputs),
            "input_gradients": [],
            "calls": [],
            "events": [],
            "own_random": seeds.differ(),
            "seconds": seconds,
        }

    def read(self, module, path):
        tensors = protocol.read_tensors(path)
        return {name: self.native(module, tensor) for name, tensor in tensors.items()}


def output_names(count):
    return ["output"] if count == 1 else [f"output.{index}" for index in range(count)]


def serve(adapter):
    protocol.serve(adapter.run)

"""Executes what the JAX target writes, under `jax.jit`."""

import functional
import jax
import jax.numpy as jnp
import numpy as np
import protocol
import re

# Each value is rounded to its own type, also between two operations that are fused.
EXACT = {"xla_allow_excess_precision": False}


class Jax(functional.Adapter):
    def run(self, request):
        # What an earlier module asked for is not for this one.
        jax.config.update("jax_enable_x64", False)
        return super().run(request)

    def native(self, module, tensor):
        dtype, shape, data = tensor
        return np.frombuffer(data, jnp.dtype(dtype)).reshape(shape)

    def portable(self, value):
        array = np.asarray(value)
        return protocol.Tensor(str(array.dtype), list(array.shape), array.tobytes())

    def new_seed(self, rng, seeds):
        # Branches are traced both, so that the order of tracing says nothing.
        position = rng["count"]
        rng["count"] += 1
        try:
            return seeds.at(int(position))
        except jax.errors.ConcretizationTypeError:
            seeds.drawn = len(seeds.seeds)
            return jnp.asarray(seeds.seeds)[position]

    def call(self, module, name, inputs, *arguments):
        function = getattr(module, name)
        arrays = {
            name: value
            for name, value in inputs.items()
            if isinstance(value, np.ndarray)
        }
        # Numbers are part of the program.
        numbers = {name: inputs[name] for name in inputs.keys() - arrays.keys()}
        traced = jax.jit(
            lambda arrays, *others: function(arrays | numbers, *others),
            compiler_options=EXACT,
        )
        try:
            return traced(arrays, *arguments)
        except (jax.errors.ConcretizationTypeError, ValueError):
            # A traced loop has no gradient, and what it collects has no size.
            with open(module.__file__, encoding="utf-8") as file:
                loops = re.search(r"^ +while ", file.read(), re.MULTILINE)
            if not loops:
                raise
            return function(inputs, *arguments)

    def wait(self, values):
        jax.block_until_ready(values)


if __name__ == "__main__":
    # Only the processor has the same sums everywhere.
    jax.config.update("jax_platforms", "cpu")
    functional.serve(Jax())

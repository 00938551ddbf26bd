"""Executes what the JAX target writes; gradients are those of `jax.vjp`."""

import functional
import jax
import jax.numpy as jnp
import numpy as np
import protocol


class Jax(functional.Adapter):
    def run(self, request):
        # What an earlier module asked for is not for this one.
        jax.config.update("jax_enable_x64", False)
        return super().run(request)

    def native(self, module, tensor):
        dtype, shape, data = tensor
        return jnp.asarray(np.frombuffer(data, jnp.dtype(dtype)).reshape(shape))

    def portable(self, value):
        array = np.asarray(value)
        return protocol.Tensor(str(array.dtype), list(array.shape), array.tobytes())

    def wait(self, values):
        jax.block_until_ready(values)

    def differentiate(self, module, method, inputs, params, output_grads, names):
        own = {name: params[name] for name in names if name in params}
        # An input has its own name, but for one that a parameter has taken.
        given = {name: name.removeprefix("input.") for name in names if name not in own}

        def outputs(own, given):
            changed = {**inputs, **given}
            results = getattr(module, method)(changed, {**params, **own})
            floats = {
                name: value
                for name, value in results.items()
                if name != "state" and jnp.issubdtype(value.dtype, jnp.floating)
            }
            return floats, results

        floats = {name: inputs[name] for name in given.values()}
        found, backward, results = jax.vjp(outputs, own, floats, has_aux=True)
        ones = {name: jnp.ones_like(value) for name, value in found.items()}
        of_own, of_given = backward({**ones, **output_grads})
        return results, {
            **of_own,
            **{name: of_given[key] for name, key in given.items()},
        }


if __name__ == "__main__":
    # Only the processor has the same sums everywhere.
    jax.config.update("jax_platforms", "cpu")
    functional.serve(Jax())

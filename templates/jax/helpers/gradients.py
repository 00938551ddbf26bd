def differentiated(method, arguments, output_grads, floats, weights):
    """What a method gives, and a dict of gradients: of the inputs and parameters with
    these types. It has ``input.NAME`` where a parameter has the name of an input."""
    inputs, params, *seed = arguments

    def outputs(given, held):
        results = method({**inputs, **given}, {**params, **held}, *seed)
        found = {
            name: value
            for name, value in results.items()
            if name != "state" and jnp.issubdtype(value.dtype, jnp.floating)
        }
        return found, results

    given, held = typed(inputs, floats), typed(params, weights)
    found, backward, results = jax.vjp(outputs, given, held, has_aux=True)
    cotangents = {
        name: received(name, output_grads[name], value.dtype)
        for name, value in found.items()
    }
    of_given, grads = backward(cotangents)
    for name, gradient in of_given.items():
        grads[f"input.{name}" if name in grads else name] = gradient
    return results, grads


def typed(values, types):
    """Of the values those that have one of these types, as arrays."""
    return {
        name: received(name, values[name], dtype)
        for name, dtype in types.items()
        if name in values
    }

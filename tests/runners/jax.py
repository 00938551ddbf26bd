import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)


def new_seed(rng):
    raise AssertionError("seeds come from outside")


def forward(inputs, params, seed=0):
    rng = {"seed": seed, "count": 0}
    print("noise")
    x = inputs["x"]
    if x.shape[0] == 1:
        raise ValueError("too small")
    y = x * params["w"] * inputs["times"] + new_seed(rng)
    return {
        "output.0": y.astype(jnp.float16),
        "output.1": x > 0,
        "state": {"count": params["count"] + jnp.int64(1)},
    }


def forward_backward(inputs, params, output_grads, seed=0):
    def output(x, w):
        results = forward({**inputs, "x": x}, {**params, "w": w}, seed)
        return results["output.0"], results

    _, backward, results = jax.vjp(output, inputs["x"], params["w"], has_aux=True)
    of_x, of_w = backward(output_grads["output.0"])
    return results, {"x": of_x, "w": of_w}


def keep(inputs, params):
    return {"output": inputs["pair.0"] + inputs["pair.1"]}


def pack(params):
    return {**params, "w": params["w"] * jnp.float32(2)}

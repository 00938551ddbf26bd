import numpy as np


def new_seed(rng):
    raise AssertionError("seeds come from outside")


def forward(inputs, params, seed=0):
    rng = {"seed": seed}
    print("noise")
    x = inputs["x"]
    if x.shape[0] == 1:
        raise ValueError("too small")
    y = x * params["w"] * inputs["times"] + new_seed(rng)
    return {
        "output.0": y.astype(np.float16),
        "output.1": x > 0,
        "state": {"count": params["count"] + np.int64(1)},
    }


def forward_backward(inputs, params, output_grads, seed=0):
    grad = output_grads["output.0"].astype(np.float32) * inputs["times"]
    grads = {"x": grad * params["w"], "w": grad * inputs["x"]}
    return forward(inputs, params, seed), grads


def keep(inputs, params):
    return {"output": inputs["pair.0"] + inputs["pair.1"]}


def pack(params):
    return {**params, "w": params["w"] * np.float32(2)}

class Array:
    def __init__(self, shape, dtype, data):
        self.shape, self.dtype, self.data = shape, dtype, data

    def map(self, change, dtype=None):
        data = [change(index, value) for index, value in enumerate(self.data)]
        return Array(self.shape, dtype or self.dtype, data)


def new_seed(rng):
    raise AssertionError("seeds come from outside")


def forward(inputs, params, seed=0):
    rng = {"seed": seed}
    print("noise")
    x, w, times = inputs["x"], params["w"], inputs["times"]
    if x.shape[0] == 1:
        raise ValueError("too small")
    drawn = new_seed(rng)
    return {
        "output.0": x.map(lambda i, v: v * w.data[i] * times + drawn, "float16"),
        "output.1": x.map(lambda i, v: v > 0, "bool"),
        "state": {"count": params["count"].map(lambda i, v: v + 1)},
    }


def forward_backward(inputs, params, output_grads, seed=0):
    grad = output_grads["output.0"].map(lambda i, v: v * inputs["times"], "float32")
    grads = {
        "x": grad.map(lambda i, v: v * params["w"].data[i]),
        "w": grad.map(lambda i, v: v * inputs["x"].data[i]),
    }
    return forward(inputs, params, seed), grads


def keep(inputs, params):
    first, second = inputs["pair.0"], inputs["pair.1"]
    return {"output": first.map(lambda i, v: v + second.data[i])}


def pack(params):
    return {**params, "w": params["w"].map(lambda i, v: v * 2)}

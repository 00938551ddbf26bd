# Net() of tests/cases/state/a_list_whose_layers_are_not_looked_at.tri, compiled by tritonc 0.1.0

import numpy as np


def received(name, value, dtype):
    """An input or parameter as an array of its type."""
    array = np.asarray(value)
    if array.dtype != dtype:
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise TypeError(f"{name} is {array.dtype}, not {np.dtype(dtype)}")
        array = array.astype(dtype)
    return array


def counted_forward(x):
    # tests/cases/state/a_list_whose_layers_are_not_looked_at.tri:13
    return x * 2.0


def net_forward(x):
    # tests/cases/state/a_list_whose_layers_are_not_looked_at.tri:21
    for i in range(3):
        # tests/cases/state/a_list_whose_layers_are_not_looked_at.tri:22
        x = counted_forward(x)
    return x


def forward(inputs, params):
    """inputs:
        x: float32[2]
    outputs:
        output: float32[2]
    """
    x = received("x", inputs["x"], np.float32)
    output = net_forward(x)
    return {"output": output}


# What the model holds: element type and sizes of each tensor, by its name in files.
PARAMETERS = {
    "parts.0.count": (np.float32, ()),
    "parts.1.count": (np.float32, ()),
    "parts.2.count": (np.float32, ()),
}


def initial_state():
    """State as it is before the first call, by name."""
    return {
        "parts.0.count": np.zeros((), dtype=np.float32),
        "parts.1.count": np.zeros((), dtype=np.float32),
        "parts.2.count": np.zeros((), dtype=np.float32),
    }

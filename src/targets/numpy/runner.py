"""Executes what the NumPy target writes."""

import functional
import numpy as np
import protocol


class NumPy(functional.Adapter):
    def native(self, module, tensor):
        dtype, shape, data = tensor
        # A copy, since what lies over bytes cannot be changed in place.
        return np.frombuffer(data, dtype).reshape(shape).copy()

    def portable(self, value):
        array = np.asarray(value)
        return protocol.Tensor(str(array.dtype), list(array.shape), array.tobytes())


if __name__ == "__main__":
    functional.serve(NumPy())

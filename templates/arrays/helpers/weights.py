def received(name, value, dtype):
    """An input or parameter as an array of its type."""
    array = np.asarray(value)
    if array.dtype != dtype:
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise TypeError(f"{name} is {array.dtype}, not {np.dtype(dtype)}")
        array = array.astype(dtype)
    return array

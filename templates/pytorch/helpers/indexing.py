def pad_from(x, pads, mode):
    """Pads the last axes with values of `x` itself: "reflect", "edge" or "wrap"."""
    for axis, (low, high) in enumerate(pads, x.dim() - len(pads)):
        n = x.shape[axis]
        index = torch.arange(-low, n + high, device=x.device)
        if mode == "edge":
            index = index.clamp(0, n - 1)
        elif mode == "wrap":
            index = index % n
        else:
            period = max(2 * n - 2, 1)
            index = index % period
            index = torch.minimum(index, period - index)
        x = x.index_select(axis, index)
    return x


def top_k(x, k, axis, largest=True):
    """The `k` greatest (or least) values and their positions, lower positions first."""
    values, positions = torch.sort(x, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, k), positions.narrow(axis, 0, k)


def update_slice(x, updates, start, axis):
    """A copy of `x` with `updates` from position `start` of an axis on."""
    places = start + torch.arange(updates.shape[axis], device=x.device)
    return x.index_copy(axis, places, updates)

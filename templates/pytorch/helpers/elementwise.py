def saturating_cast(x, dtype):
    """Floats as integers: toward zero, to the nearest end beyond the range, NaN as 0."""
    info = torch.iinfo(dtype)
    low, high = float(info.min), float(info.max)
    x = x.nan_to_num(nan=0.0, posinf=high, neginf=low).double()
    cast = x.clamp(low, high).to(dtype)
    # The greatest int64 is no double: the clamped value would wrap.
    return torch.where(x >= high, info.max, cast)

def new_seed():
    """A seed from PyTorch's own generator, so that `torch.manual_seed` rules all."""
    return torch.randint(2**63 - 1, ())


def philox(seed, count, device=None):
    """`count` random 32-bit words of Philox4x32-10, as int64."""
    low = 0xFFFFFFFF
    seed = int(seed)
    block = torch.arange((count + 3) // 4, device=device)
    a, b, c, d = block & low, block >> 32, block * 0, block * 0
    key, other_key = seed & low, seed >> 32 & low
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, c = (right >> 32 & low) ^ b ^ key, (left >> 32 & low) ^ d ^ other_key
        b, d = right & low, left & low
        key = key + 0x9E3779B9 & low
        other_key = other_key + 0xBB67AE85 & low
    return torch.stack([a, b, c, d], dim=-1).flatten()[:count]


def random_uniform(seed, shape, low, high, dtype, device=None):
    """Numbers from `low` to below `high`."""
    words = philox(seed, math.prod(shape), device) >> 8
    values = low + (high - low) * (words.double() * 2.0**-24)
    return values.to(dtype).reshape(shape)


def random_normal(seed, shape, mean, std, dtype, device=None):
    """Normal numbers, by Box and Muller's method on pairs of words."""
    count = math.prod(shape)
    words = philox(seed, count + count % 2, device) >> 8
    first, second = words.double().unflatten(0, (-1, 2)).unbind(-1)
    radius = (-2.0 * ((first + 1.0) * 2.0**-24).log()).sqrt()
    angle = 2.0 * math.pi * second * 2.0**-24
    values = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
    values = values.flatten()[:count] * std + mean
    return values.to(dtype).reshape(shape)


def random_int(seed, shape, low, high, dtype, device=None):
    """Integers from `low` to below `high`."""
    words = philox(seed, math.prod(shape), device)
    return (low + (words * (high - low) >> 32)).to(dtype).reshape(shape)


def categorical(logits, seed):
    """A position of the last axis for each row, with probability softmax(logits)."""
    words = philox(seed, logits.numel(), logits.device) >> 8
    draws = (words.double() + 0.5) * 2.0**-24
    scores = logits.double() - (-draws.log()).log().reshape(logits.shape)
    return scores.argmax(-1)

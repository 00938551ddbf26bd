def new_seed(rng):
    """The next seed of a call's generator: from the next block of its own seed."""
    rng["count"] += 1
    high, low, *_ = philox(rng["seed"], np.asarray(rng["count"]))
    return (high << np.uint64(31) ^ low).astype(np.int64)


def philox(seed, blocks):
    """Four random 32-bit words for each block of Philox4x32-10, as uint64."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    seed, blocks = np.asarray(seed).astype(np.uint64), blocks.astype(np.uint64)
    a, b, c, d = blocks & low, blocks >> half, blocks * 0, blocks * 0
    key, other_key = seed & low, seed >> half
    for _ in range(10):
        left, right = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, c = right >> half ^ b ^ key, left >> half ^ d ^ other_key
        b, d = right & low, left & low
        key = key + np.uint64(0x9E3779B9) & low
        other_key = other_key + np.uint64(0xBB67AE85) & low
    return np.stack([a, b, c, d], axis=-1)


def random_words(seed, count):
    """The first `count` words of a seed's stream."""
    return philox(seed, np.arange((count + 3) // 4)).ravel()[:count]


def uniform(seed, count):
    """`count` doubles from 0 to below 1, of 24 random bits each."""
    return (random_words(seed, count) >> np.uint64(8)) * 2.0**-24


def random_uniform(seed, shape, low, high, dtype):
    """Numbers from `low` to below `high`."""
    values = low + (high - low) * uniform(seed, math.prod(shape))
    return values.astype(dtype).reshape(shape)


def random_normal(seed, shape, mean, std, dtype):
    """Normal numbers, by Box and Muller's method on pairs of words."""
    count = math.prod(shape)
    first, second = uniform(seed, count + count % 2).reshape(-1, 2).T
    radius = np.sqrt(-2.0 * np.log(first + 2.0**-24))
    angle = 2.0 * math.pi * second
    values = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return (values.ravel()[:count] * std + mean).astype(dtype).reshape(shape)


def random_int(seed, shape, low, high, dtype):
    """Integers from `low` to below `high`."""
    words = random_words(seed, math.prod(shape)).astype(np.int64)
    return (low + (words * (high - low) >> 32)).astype(dtype).reshape(shape)


def categorical(logits, seed):
    """A position of the last axis for each row, with probability softmax(logits)."""
    draws = uniform(seed, logits.size) + 2.0**-25
    scores = logits.astype(np.float64) - np.log(-np.log(draws)).reshape(logits.shape)
    return scores.argmax(-1)

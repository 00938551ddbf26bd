def new_seed(rng):
    """The next seed of a call."""
    rng["count"] += 1
    high, low = philox(rng["seed"], 2 * rng["count"])[-2:]
    return array((high << 31) + (low >> 1), "int64")


def philox(seed, count):
    """`count` random 32-bit words of Philox4x32-10."""
    low = 0xFFFFFFFF
    seed = int(seed)
    keys = []
    for i in range(10):
        keys.append((seed + i * 0x9E3779B9 & low, (seed >> 32) + i * 0xBB67AE85 & low))
    words = []
    for block in range((count + 3) // 4):
        a, b, c, d = block & low, block >> 32, 0, 0
        for key, other_key in keys:
            left, right = a * 0xD2511F53, c * 0xCD9E8D57
            a, b = (right >> 32) ^ b ^ key, right & low
            c, d = (left >> 32) ^ d ^ other_key, left & low
        words += (a, b, c, d)
    return words[:count]


def random_uniform(seed, shape, low, high, dtype):
    """Numbers from `low` to below `high`."""
    words = philox(seed, math.prod(shape))
    numbers = [low + (high - low) * ((word >> 8) * 2.0**-24) for word in words]
    return Array(shape, dtype, stored(numbers, dtype))


def random_normal(seed, shape, mean, std, dtype):
    """Normal numbers, by Box and Muller's method on pairs of words."""
    count = math.prod(shape)
    words = [word >> 8 for word in philox(seed, count + count % 2)]
    numbers = []
    for first, second in zip(words[::2], words[1::2]):
        radius = math.sqrt(-2.0 * math.log((first + 1.0) * 2.0**-24))
        angle = 2.0 * math.pi * second * 2.0**-24
        numbers += (radius * math.cos(angle), radius * math.sin(angle))
    numbers = [mean + std * number for number in numbers]
    return Array(shape, dtype, stored(numbers[:count], dtype))


def random_int(seed, shape, low, high, dtype):
    """Integers from `low` to below `high`."""
    words = philox(seed, math.prod(shape))
    numbers = [low + (word * (high - low) >> 32) for word in words]
    return Array(shape, dtype, stored(numbers, dtype))


def categorical(logits, seed):
    """A position of the last axis for each row, with probability softmax(logits)."""
    draws = [((word >> 8) + 0.5) * 2.0**-24 for word in philox(seed, len(logits.data))]
    scores = [
        logit - math.log(-math.log(draw)) for logit, draw in zip(logits.data, draws)
    ]
    return argmax(Array(logits.shape, "float64", scores), -1)

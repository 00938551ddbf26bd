def is_known(value):
    """Whether a condition or number has a value, and is not one that is being traced."""
    try:
        int(value)
    except jax.errors.ConcretizationTypeError:
        return False
    return True


def choose(condition, then, otherwise, *held):
    """What one of two functions gives. They may change the dicts that are held."""
    if is_known(condition):
        return then(*held) if condition else otherwise(*held)
    branches = [
        lambda held, part=part: (part(*held), held) for part in (then, otherwise)
    ]
    results, changed = lax.cond(condition, *branches, held)
    update(held, changed)
    return results


def while_loop(condition, turn, carried, *held):
    """What is carried on while a condition holds. A loop whose conditions have values is
    Python's own, and has a gradient."""
    while is_known(holds := condition(*carried, *held)):
        if not holds:
            return carried
        carried = turn(*carried, *held)

    def turned(state):
        carried, held = state
        return turn(*carried, *held), held

    state = jax.tree.map(jnp.asarray, (carried, held))
    carried, changed = lax.while_loop(lambda s: condition(*s[0], *s[1]), turned, state)
    update(held, changed)
    return carried


def for_loop(start, stop, turn, carried, *held):
    """What is carried on over numbers. If these have values, the loop is Python's own."""
    if is_known(start) and is_known(stop):
        for number in range(int(start), int(stop)):
            carried = turn(number, *carried, *held)
        return carried

    def turned(number, state):
        carried, held = state
        return turn(number, *carried, *held), held

    state = jax.tree.map(jnp.asarray, (carried, held))
    carried, changed = lax.fori_loop(start, stop, turned, state)
    update(held, changed)
    return carried


def update(held, changed):
    """Brings dicts that stay the same ones up to date."""
    for own, new in zip(held, changed):
        own.update(new)


def check(condition, message):
    """Fails unless a condition holds; one that is being traced is not known."""
    if is_known(condition) and not condition:
        raise RuntimeError(message)

def nest(params, wanted, empty_lists=()):
    """What a model holds, by part: nested dicts, and lists where parts are numbered.

    Every misfit is listed in one error.
    """
    problems = [f"missing: {name}" for name in wanted if name not in params]
    problems += [f"unexpected: {name}" for name in params if name not in wanted]
    root = {}
    for name in wanted.keys() & params.keys():
        dtype, shape, *path = wanted[name]
        value = received(name, params[name], dtype)
        if tuple(value.shape) != shape:
            problems.append(f"{name} is {list(value.shape)}, not {list(shape)}")
        hang(root, (path or [name])[0], value)
    for path in empty_lists:
        hang(root, path, [])
    if problems:
        raise ValueError(
            "parameters do not fit the model:\n  " + "\n  ".join(sorted(problems))
        )
    return numbered(root)


def hang(root, path, value):
    """Puts a value into a tree of dicts."""
    *parts, last = path.split(".")
    for part in parts:
        root = root.setdefault(part, {})
    root[last] = value


def numbered(node):
    """The same tree, with a list for each dict whose keys are positions."""
    if not isinstance(node, dict):
        return node
    node = {name: numbered(part) for name, part in node.items()}
    if not node or not all(name.isdecimal() for name in node):
        return node
    return [node.get(str(position), {}) for position in range(max(map(int, node)) + 1)]


def state_of(p, wanted, names):
    """The state of a model, by its names in files."""
    state = {}
    for name in names:
        _, _, *path = wanted[name]
        node = p
        for part in (path or [name])[0].split("."):
            node = node[int(part) if isinstance(node, list) else part]
        state[name] = node
    return state


def packed(params, schemes):
    """Parameters with the weights that have a scheme as codes, scale and zero point."""
    packed = {name: value for name, value in params.items() if name not in schemes}
    for name in schemes.keys() & params.keys():
        parts = schemes[name].pack(params[name])
        packed |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
    return packed

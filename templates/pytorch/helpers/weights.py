def read_safetensors(path):
    """The tensors of a safetensors file, by name."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{name}: element type {entry['dtype']} is not supported")
        dtype = DTYPES[entry["dtype"]]
        first, last = (start + offset for offset in entry["data_offsets"])
        raw = torch.frombuffer(bytearray(data[first:last] or b"\0"), dtype=torch.uint8)
        tensors[name] = raw[: last - first].view(dtype).reshape(entry["shape"])
    return tensors


DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


def load_weights(model, tensors):
    """Puts tensors in place by name; every misfit is listed in one error."""
    wanted = model.state_dict()
    problems = [f"missing: {name}" for name in wanted if name not in tensors]
    problems += [f"unexpected: {name}" for name in tensors if name not in wanted]
    for name in wanted.keys() & tensors.keys():
        have, want = tensors[name], wanted[name]
        if have.shape != want.shape or have.dtype != want.dtype:
            have, want = (f"{t.dtype} {list(t.shape)}" for t in (have, want))
            problems.append(f"{name} is {have}, not {want}")
    if problems:
        raise ValueError(
            "weights do not fit the model:\n  " + "\n  ".join(sorted(problems))
        )
    model.load_state_dict(tensors)


def adopt_packed(model, tensors):
    """Brings each quantised weight of the model and the file to one form."""
    for prefix, part in list(model.named_modules()):
        for name, scheme in getattr(part, "schemes", {}).items():
{% if uses.names %}
            path = saved_path(model, f"{prefix}.{name}" if prefix else name)
{% else %}
            path = f"{prefix}.{name}" if prefix else name
{% endif %}
            packed = isinstance(getattr(part, name), PackedWeight)
            codes = tensors.get(f"{path}.codes")
            if codes is not None:
                if scheme.bits == 2 and (codes & codes >> 1 & 0x55).any():
                    raise ValueError(f"{path}.codes holds an invalid ternary code")
                if not packed:
                    pack_weight(part, name)
            elif path in tensors and packed:
                weight = PackedWeight(tensors.pop(path), scheme)
                tensors |= {f"{path}.{key}": t for key, t in weight.named_buffers()}


def keep_names(module, names):
    """Saves and loads members by these names, where attributes have others."""

    def rename(state, prefix, names):
        own = [key for key in state if key.startswith(prefix)]
        path = {key: prefix + renamed(key[len(prefix) :], names) for key in own}
        state.update({path[key]: state.pop(key) for key in own})

    def after_saving(module, state, prefix, metadata):
        rename(state, prefix, names)

    def before_loading(module, state, prefix, *others):
        rename(state, prefix, {saved: own for own, saved in names.items()})

    module.saved_names = names
    module.register_state_dict_post_hook(after_saving)
    module.register_load_state_dict_pre_hook(before_loading)


def renamed(path, names):
    """A path whose beginning stands among the names, by its other name."""
    for old, new in names.items():
        if path == old or path.startswith(f"{old}."):
            return new + path[len(old) :]
    return path


def saved_path(module, path):
    """The name under which a weights file has what is at a path of attributes."""
    parts = path.split(".")
    modules = [module]
    for part in parts[:-1]:
        modules.append(getattr(modules[-1], part))
    for depth in reversed(range(len(parts))):
        names = getattr(modules[depth], "saved_names", {})
        parts[depth:] = [renamed(".".join(parts[depth:]), names)]
    return parts[0]

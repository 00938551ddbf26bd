"""Shows that an edit is a real shape bug, by running the edited PyTorch program.

Reads JSON from standard input: for each family its clean source, its probes and its edited sources. A bug is real if a
probe, or `smoke()`, raises an error about shapes or gives a result of another shape than the clean program does.
Writes, for each family, one text for each edited source: what was shown, or null if nothing was.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

import torch

# What PyTorch raises about shapes. A mistake in the edit itself, such as a misspelt name, is none of these.
SHAPE_ERRORS = (RuntimeError, IndexError, ValueError)


def shapes(value):
    """The shapes in a result: of one tensor, or of a tuple of them."""
    if isinstance(value, torch.Tensor):
        return [list(value.shape)]
    return [shape for part in value for shape in shapes(part)]


def results(source, probes):
    """For each probe, and `smoke()` last, the shapes or the error."""
    torch.manual_seed(0)
    names = {"__name__": "family"}
    exec(compile(source, "family.py", "exec"), names)  # noqa: S102
    found = []
    for probe in [*probes, "smoke()"]:
        try:
            found.append(shapes(eval(probe, names)))
        except SHAPE_ERRORS as error:
            found.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    return found


def difference(clean, edited, probes):
    """The first thing that an edited program does otherwise."""
    for probe, expected, found in zip([*probes, "smoke()"], clean, edited, strict=True):
        if isinstance(found, str):
            return f"{probe} raises {found}"
        if found != expected:
            return f"{probe} gives {found}, not {expected}"
    return None


def prove(family):
    clean = results(family["source"], family["probes"])
    broken = [result for result in clean if isinstance(result, str)]
    if broken:
        raise SystemExit(f"the clean program fails: {broken[0]}")
    return [difference(clean, results(edited, family["probes"]), family["probes"]) for edited in family["edited"]]


if __name__ == "__main__":
    work = json.load(sys.stdin)
    json.dump({name: prove(family) for name, family in work.items()}, sys.stdout)

"""Injects the same shape bugs into the Tri and the PyTorch form of ten models and counts who reports them where.

    python benches/shapes/run.py --tritonc target/release/tritonc          # prints the tables
    python benches/shapes/run.py --tritonc target/release/tritonc --write  # and puts them into docs/shapes.md

The Python that runs it should have what `requirements.txt` names. Without pyrefly its columns stay empty, without
PyTorch the bugs are not proved; both are said.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import places

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "docs" / "shapes.md"
FAMILIES = ["mlp", "cnn", "resnet", "unet", "bert", "gpt", "llama", "vit", "moe", "gru"]


class Family:
    """One model in both forms, with its bugs already applied."""

    def __init__(self, name):
        folder = HERE / "families"
        table = tomllib.loads((folder / f"{name}.toml").read_text())
        self.name = name
        self.probes = table["probes"]
        self.tri = (folder / f"{name}.tri").read_text()
        self.torch = (folder / f"{name}.py").read_text()
        self.kinds = [bug["kind"] for bug in table["bug"]]
        self.edited_tri = [places.apply(self.tri, bug["tri"]) for bug in table["bug"]]
        self.edited_torch = [places.apply(self.torch, bug["torch"]) for bug in table["bug"]]


def reports_tritonc(tritonc, path):
    """Lines of the errors that tritonc reports in a file."""
    done = subprocess.run(
        [tritonc, "check", "--error-format", "json", path], check=False, capture_output=True, text=True
    )
    lines = []
    for text in (done.stdout + done.stderr).splitlines():
        diagnostic = json.loads(text) if text.startswith("{") else {}
        if diagnostic.get("severity") == "error":
            first = next(label for label in diagnostic["labels"] if label["primary"])
            lines.append(first["line"] if Path(diagnostic["file"]).name == Path(path).name else 0)
    if done.returncode not in (0, 1) or (done.returncode == 1) != bool(lines):
        raise SystemExit(f"tritonc ended with {done.returncode}: {done.stderr}")
    return lines


def pyrefly_command(paths):
    program = shutil.which("pyrefly", path=str(Path(sys.executable).parent)) or shutil.which("pyrefly")
    options = ["--python-interpreter-path", sys.executable, "--output-format", "json"]
    return [program, "check", *options, *map(str, paths)]


def reports_pyrefly(paths):
    """For each path the lines of the errors that pyrefly reports; one process for all of them."""
    done = subprocess.run(pyrefly_command(paths), check=False, capture_output=True, text=True)
    lines = {Path(path).name: [] for path in paths}
    for error in json.loads(done.stdout)["errors"]:
        if error["severity"] == "error":
            lines[Path(error["path"]).name].append(error["line"])
    return [lines[Path(path).name] for path in paths]


def verdicts(edited, reports, ranges):
    """For each bug "place", "elsewhere" or "missed"."""
    found = []
    for (source, line), lines in zip(edited, reports, strict=True):
        first, last = places.place(ranges(source), line)
        hit = any(first <= report <= last for report in lines)
        found.append("place" if hit else "elsewhere" if lines else "missed")
    return found


def write_all(folder, sources, name):
    paths = []
    for number, source in enumerate(sources):
        paths.append(Path(folder) / name.format(number))
        paths[-1].write_text(source)
    return paths


def check_family(family, tritonc, with_pyrefly):
    """The verdicts on the bugs, and the reports on the clean forms."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyrefly.toml").write_text("")
        sources = [family.tri, *(source for source, _ in family.edited_tri)]
        reports = [reports_tritonc(tritonc, str(path)) for path in write_all(folder, sources, "bug_{:02}.tri")]
        result["tri"] = verdicts(family.edited_tri, reports[1:], places.ranges_tri)
        result["tri clean"] = len(reports[0])
        if with_pyrefly:
            sources = [family.torch, *(source for source, _ in family.edited_torch)]
            reports = reports_pyrefly(write_all(folder, sources, "bug_{:02}.py"))
            result["torch"] = verdicts(family.edited_torch, reports[1:], places.ranges_torch)
            result["torch clean"] = len(reports[0])
    return result


def prove(families):
    """What shows that each bug is real; fails if nothing does."""
    work = {
        family.name: {
            "source": family.torch,
            "probes": family.probes,
            "edited": [source for source, _ in family.edited_torch],
        }
        for family in families
    }
    done = subprocess.run(
        [sys.executable, HERE / "proof.py"], input=json.dumps(work), check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"the proof failed: {done.stderr[-2000:]}")
    proofs = json.loads(done.stdout)
    for family in families:
        for number, proof in enumerate(proofs[family.name]):
            if proof is None:
                raise SystemExit(f"bug {number} of {family.name} ({family.kinds[number]}) changes no shape")
    return proofs


def milliseconds(command, runs, files):
    """Median times of a process for each of its files, after one run that fills the cache: passed, and of processors."""
    passed, busy = [], []
    for _ in range(runs + 1):
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        passed.append(1000 * (time.perf_counter() - start) / files)
        busy.append(1000 * (usage.ru_utime + usage.ru_stime) / files)
        process.returncode = 0
    return statistics.median(passed[1:]), statistics.median(busy[1:])


def times(family, tritonc, runs, with_pyrefly):
    """Milliseconds for a file: in a process of its own, with one bug; and in one process for all of the family."""
    forms = {"tri": (family.tri, family.edited_tri, lambda paths: [tritonc, "check", *map(str, paths)])}
    if with_pyrefly:
        forms["py"] = (family.torch, family.edited_torch, pyrefly_command)
    result = {}
    for form, (clean, edited, command) in forms.items():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "pyrefly.toml").write_text("")
            paths = write_all(folder, [clean, *(source for source, _ in edited)], f"bug_{{:02}}.{form}")
            result[form] = milliseconds(command([paths[1]]), runs, 1)
            result[f"{form} together"] = milliseconds(command(paths), runs, len(paths))
    return result


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def row_of(name, tri, torch):
    """A row: bugs, then for each checker those caught at all and those caught at the place."""
    row = [name, len(tri), sum(v != "missed" for v in tri), tri.count("place")]
    return [*row, *([sum(v != "missed" for v in torch), torch.count("place")] if torch else ["", ""])]


def tables(families, results, timings):
    heads = ["", "bugs", "tritonc", "at the place", "pyrefly", "at the place"]
    all_tri = [v for f in families for v in results[f.name]["tri"]]
    all_torch = [v for f in families for v in results[f.name].get("torch", [])]
    by_family = [row_of(f.name, results[f.name]["tri"], results[f.name].get("torch")) for f in families]
    by_kind = []
    kinds = [kind for f in families for kind in f.kinds]
    for kind in sorted(set(kinds)):
        chosen = [n for n, k in enumerate(kinds) if k == kind]
        torch = [all_torch[n] for n in chosen] if all_torch else None
        by_kind.append(row_of(kind, [all_tri[n] for n in chosen], torch))
    total = row_of("all", all_tri, all_torch)
    return {
        "family": table(["family", *heads[1:]], [*by_family, total]),
        "kind": table(["kind", *heads[1:]], [*by_kind, total]),
        "forms": form_table(families, results),
        "time": time_table(families, timings),
    }


def form_table(families, results):
    rows = []
    for f in families:
        tri, torch = places.count_tri(f.tri), places.count_torch(f.torch)
        alarms = [results[f.name]["tri clean"], results[f.name].get("torch clean", "")]
        ratios = [f"{tri[0] / tri[1]:.1f}", f"{torch[0] / torch[1]:.1f}"]
        rows.append([f.name, *alarms, f.torch.count("# type: ignore"), tri[1], torch[1], *ratios])
    heads = ["family", "alarms, Tri", "alarms, PyTorch", "ignored", "lines, Tri", "lines, PyTorch"]
    return table([*heads, "tokens a line, Tri", "tokens a line, PyTorch"], rows)


def time_table(families, timings):
    def cell(times):
        return " / ".join(f"{t:.0f}" if t >= 100 else f"{t:.1f}" for t in times)

    columns = ["tri", "py", "tri together", "py together"]
    rows = [[f.name, *(cell(timings[f.name].get(column, [])) for column in columns)] for f in families]
    heads = ["family", "tritonc, alone", "pyrefly, alone", "tritonc, together", "pyrefly, together"]
    return table(heads, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tritonc", default="target/release/tritonc", help="the compiler to measure")
    parser.add_argument("--runs", type=int, default=5, help="processes timed for each program")
    parser.add_argument("--families", default=",".join(FAMILIES), help="some of them, with commas between")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/shapes.md")
    parser.add_argument("--verbose", action="store_true", help="name each bug that is missed or reported elsewhere")
    options = parser.parse_args()
    families = [Family(name) for name in options.families.split(",")]
    tritonc = os.path.abspath(options.tritonc)
    with_pyrefly = find_spec("pyrefly") is not None and find_spec("shape_extensions") is not None
    if not with_pyrefly:
        print("pyrefly or its stubs are not installed: its part does not run (see benches/shapes/requirements.txt)")
    if options.write and not (with_pyrefly and len(families) == len(FAMILIES)):
        raise SystemExit("--write needs pyrefly and all families, for the tables are written whole")
    proofs = None
    if find_spec("torch") and find_spec("shape_extensions"):
        proofs = prove(families)
        raised = sum(" raises " in proof for found in proofs.values() for proof in found)
        print(f"proved by execution: {raised} bugs raise an error, {20 * len(families) - raised} give another shape")
    else:
        print("PyTorch or shape_extensions is not installed: the bugs are not proved")
    results = {family.name: check_family(family, tritonc, with_pyrefly) for family in families}
    timings = {family.name: times(family, tritonc, options.runs, with_pyrefly) for family in families}
    if options.verbose:
        for family in families:
            for number, kind in enumerate(family.kinds):
                found = {
                    who: results[family.name][who][number] for who in ("tri", "torch") if who in results[family.name]
                }
                if set(found.values()) != {"place"}:
                    print(f"{family.name} {number} {kind}: {found}", proofs[family.name][number] if proofs else "")
    written = tables(families, results, timings)
    for name, text in written.items():
        print(f"\nby {name}\n{text}")
    if with_pyrefly:
        print("\n" + ", ".join(f"{p} {metadata.version(p)}" for p in ("pyrefly", "pyrefly-torch-stubs", "torch")))
    if options.write:
        document = DOCUMENT.read_text()
        for name, text in written.items():
            marks = rf"(<!-- {name}: written by run.py -->\n).*?(<!-- end -->)"
            document = re.sub(marks, lambda m, text=text: m[1] + text + "\n" + m[2], document, flags=re.DOTALL)
        DOCUMENT.write_text(document)


if __name__ == "__main__":
    main()

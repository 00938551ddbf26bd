"""Writes docs/performance_c_models.md and its picture from what models.py has measured."""

import json
import sys

from report import COLOURS, number, table

COLOURS = COLOURS | {"emx-onnx-cgen": "#7d3c98"}
# What is asked for: networks whose titles begin so, the peer, how many times faster ours is.
GOALS = [(name, peer, goal) for name in ("MNIST MLP, ternary, 1 ", "LeNet") for peer, goal in (("ONNX Runtime", 2), ("emx-onnx-cgen", 5))]


def by_network(rows):
    networks = {}
    for row in rows:
        networks.setdefault(row["network"], []).append(row)
    return networks


def best(rows):
    return min((row for row in rows if row["name"].startswith("ours")), key=lambda row: row["least"])


def goals(networks):
    lines = []
    for title, rows in networks.items():
        for name, peer, goal in GOALS:
            other = next((row for row in rows if row["name"] == peer), None)
            if not title.startswith(name) or other is None:
                continue
            own = best(rows)
            ratio = other["least"] / own["least"]
            lines.append([title, peer, f"{goal}", f"{ratio:.2f}" if ratio >= goal else f"**{ratio:.2f}**"])
            if other["lines"]:
                shown = f"{own['lines']}" if own["lines"] <= other["lines"] else f"**{own['lines']}**"
                lines.append([title, f"{peer}, lines to read", f"at most {other['lines']}", shown])
    return table(["network", "peer", "goal", "ours"], lines)


def times(networks):
    lines = []
    for title, rows in networks.items():
        own = best(rows)["least"]
        for row in rows:
            ratio = "" if row["name"].startswith("ours") else f"{row['least'] / own:.2f}"
            shown = [number(row["least"]), number(row["median"]), ratio, f"{row['error']:.0e}", str(row["lines"] or "-")]
            lines.append([title, row["name"], *shown])
            title = ""
    return table(["network", "implementation", "least, us", "median, us", "times ours", "error", "lines of C"], lines)


def picture(networks):
    """Bars: the time of each implementation over that of our fastest."""
    width, left, row_height, scale = 860, 250, 17, 5.0
    parts, y = [], 10
    reach = width - left - 70
    for title, rows in networks.items():
        y += 22
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{title}</text>')
        own = best(rows)["least"]
        for row in rows:
            y += row_height
            ratio = row["least"] / own
            colour = next(colour for maker, colour in COLOURS.items() if row["name"].startswith(maker))
            length = max(1, min(ratio / scale, 1) * reach)
            name = f"{ratio:.2f}x, {number(row['least'])} us"
            parts.append(f'<text x="{left - 8}" y="{y}" text-anchor="end">{row["name"]}</text>')
            parts.append(f'<rect x="{left}" y="{y - 11}" width="{length:.0f}" height="13" fill="{colour}"/>')
            inside = ratio > 0.8 * scale
            place = f'x="{left + 6}" fill="white"' if inside else f'x="{left + length + 6:.0f}"'
            parts.append(f'<text {place} y="{y}">{name}</text>')
    y += 26
    parts.append(f'<text x="10" y="{y}">time of one call, relative to our fastest; bars end at {scale:.0f}x</text>')
    height = y + 14
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="white"/>', *parts, "</svg>", ""])


def main():
    source, page, image = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        report = json.load(file)
    networks, versions = by_network(report["rows"]), report["versions"]
    count = min(row["measurements"] for row in report["rows"])
    text = f"""# How fast whole models of the target `c` are

`benches/c/run models` wrote this page: what `tritonc build --target c` writes and its peers in one process, on one thread of a core
({report["machine"]}). Load of the machine while it ran: {report["load"][0]:.1f}; ratios are of the least of {count} measurements or more, in
rounds that visit each implementation once.

All compute the same network with the same random weights. Those of the MLP are ternary, and ours computes with their
codes of two bits (*ternary*) or, as all peers do, with the floats that they stand for (*float32*). Each result is compared with the
module that `--target pytorch` writes, in double precision: *error* is the root mean square of the difference over that of the result.
ONNX Runtime {versions["onnxruntime"]} and emx-onnx-cgen {versions["emx-onnx-cgen"]} get what torch {versions["torch"].split("+")[0]} exports of that module.
The C of emx-onnx-cgen keeps its memory on the stack (`--large-temp-threshold 0`), which is faster than its default. Both sorts of C
are compiled by {report["compiler"]} with `{report["flags"]}`. ONNX Runtime and torch are called from Python; a graph of one `Identity` takes
ONNX Runtime {report["nothing"]:.1f} us, which its times include. Sizes are constants for all. *Lines of C* are those of NAME.c and NAME.h, or of
the peer's file without its weights.

## The goals

How many times faster ours is. Bold: missed.

{goals(networks)}

![times relative to ours](performance_c_models.svg)

## Times

{times(networks)}
"""
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)
    with open(image, "w", encoding="utf-8") as file:
        file.write(picture(networks))


if __name__ == "__main__":
    main()

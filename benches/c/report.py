"""Writes docs/performance_c.md and its picture from what bench.py has measured."""

import json
import math
import sys

# What is compared: batch, which time, ours, the peer, the ratio that is asked for, on which shapes.
GOALS = [
    ("ternary GEMV, hot", 1, "hot", "ours, ternary2, avx512", ["ggml TQ2_0"], 4),
    ("ternary GEMV, cold", 1, "cold", "ours, ternary*, avx512", ["ggml TQ2_0"], 2),
    ("ternary GEMV, hot", 1, "hot", "ours, ternary2, avx512", ["ONNX Runtime MatMulNBits 2-bit g128"], 2),
    ("ternary GEMV, cold", 1, "cold", "ours, ternary*, avx512", ["ONNX Runtime MatMulNBits 2-bit g128"], 1.5),
    ("ternary GEMV, AVX2 only, hot", 1, "hot", "ours, ternary2, avx2", ["ggml TQ2_0"], 1.7),
    ("ternary GEMM, 512 rows", 512, "hot", "ours, ternary2, avx512", ["ggml TQ2_0"], 6),
    ("ternary GEMM, 512 rows", 512, "hot", "ours, ternary2, avx512", ["ONNX Runtime MatMulNBits 2-bit g128"], 2),
    ("int4 g32 GEMV, hot", 1, "hot", "ours, int4, avx512", ["ggml Q4_0 repacked"], 3),
    ("int4 g32 GEMV, cold", 1, "cold", "ours, int4, avx512", ["ggml Q4_0 repacked"], 1.3),
    ("int4 g32 GEMV, hot", 1, "hot", "ours, int4, avx512", ["ONNX Runtime MatMulNBits 4-bit g32"], 1.5),
    ("int4 g32 GEMV, cold", 1, "cold", "ours, int4, avx512", ["ONNX Runtime MatMulNBits 4-bit g32"], 1.3),
    ("int8 GEMV, hot", 1, "hot", "ours, int8, avx512", ["ONNX Runtime DynamicQuantizeMatMul", "torch quantized.linear_dynamic"], 1),
    ("int8 GEMV, cold", 1, "cold", "ours, int8, avx512", ["ONNX Runtime DynamicQuantizeMatMul", "torch quantized.linear_dynamic"], 1),
    ("int8 GEMM, 512 rows", 512, "hot", "ours, int8, avx512", ["ONNX Runtime DynamicQuantizeMatMul", "torch quantized.linear_dynamic"], 1),
]
COLOURS = {"ours": "#c0392b", "ggml": "#2471a3", "ONNX Runtime": "#1e8449", "torch": "#b9770e"}


def fastest(rows, shape, batch, which, names):
    """The fastest of these, `*` for 2 or 5."""
    names = [name.replace("*", form) for name in names for form in ("25" if "*" in name else "2")]
    found = [row for row in rows if (row["n"], row["k"]) == shape and row["m"] == batch and row["name"] in names and which in row]
    return min(found, key=lambda row: row[which], default=None)


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def table(head, lines):
    return "\n".join(["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *lines]])


def goals(rows, shapes):
    lines = []
    for what, batch, which, ours, peers, goal in GOALS:
        cells = []
        for shape in shapes:
            own, other = fastest(rows, shape, batch, which, [ours]), fastest(rows, shape, batch, which, peers)
            if own is None or other is None:
                cells.append("-")
                continue
            ratio = other[which] / own[which]
            cells.append(f"{ratio:.2f}" if ratio >= goal else f"**{ratio:.2f}**")
        lines.append([what, " or ".join(peers), f"{goal}"] + cells)
    return table(["case", "peer", "goal"] + [f"{n}x{k}" for n, k in shapes], lines)


def times(rows, shape, batches):
    names = list(dict.fromkeys(row["name"] for row in rows if (row["n"], row["k"]) == shape))
    lines = []
    for name in names:
        own = {row["m"]: row for row in rows if (row["n"], row["k"]) == shape and row["name"] == name}
        first = next(iter(own.values()))
        cells = [name, f"{first['bits']:.2f}", f"{max(row['error'] for row in own.values()):.0e}"]
        for batch in batches:
            row = own.get(batch)
            if batch == 1:
                cold = number(row["cold"]) if row and "cold" in row else "-"
                cells.append(f"{number(row['hot'])} / {cold}" if row else "-")
            else:
                cells.append(f"{number(row['hot'])} ({row['gops']:.0f})" if row else "-")
        lines.append(cells)
    heads = ["1 row, hot / cold" if batch == 1 else f"{batch} rows (GOPS)" for batch in batches]
    return table(["implementation", "bits", "error"] + heads, lines)


def roofline(report, shape):
    """GOPS over operations for each byte of weights, both in powers of ten."""
    width, height, left, bottom = 860, 480, 70, 50
    limits, rows = report["limits"], [row for row in report["rows"] if (row["n"], row["k"]) == shape]
    low, high, floor, ceiling = 0, 4.2, 1, 3.3

    def place(intensity, gops):
        across = left + (math.log10(intensity) - low) / (high - low) * (width - left - 20)
        up = height - bottom - (math.log10(gops) - floor) / (ceiling - floor) * (height - bottom - 20)
        return across, up

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for decade in range(low, int(high) + 1):
        x, y = place(10**decade, 10**floor)
        parts.append(f'<line x1="{x:.0f}" y1="20" x2="{x:.0f}" y2="{y:.0f}" stroke="#eee"/>')
        parts.append(f'<text x="{x:.0f}" y="{y + 18:.0f}" text-anchor="middle">{10**decade}</text>')
    for value in (10, 30, 100, 300, 1000):
        x, y = place(1, value)
        parts.append(f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{width - 20}" y2="{y:.0f}" stroke="#eee"/>')
        parts.append(f'<text x="{x - 8:.0f}" y="{y + 4:.0f}" text-anchor="end">{value}</text>')
    for name, bandwidth, dash in (("L3", limits["l3"], ""), ("DRAM", limits["dram"], ' stroke-dasharray="6 4"')):
        begin = max(1, 10**floor / bandwidth)
        (x1, y1), (x2, y2) = place(begin, begin * bandwidth), place(limits["peak"] / bandwidth, limits["peak"])
        x3, _ = place(10**high, limits["peak"])
        parts.append(f'<polyline points="{x1:.0f},{y1:.0f} {x2:.0f},{y2:.0f} {x3:.0f},{y2:.0f}" fill="none" stroke="#555"{dash}/>')
        x, y = place(1.15 * begin, 1.15 * begin * bandwidth)
        parts.append(f'<text x="{x:.0f}" y="{y - 8:.0f}" text-anchor="end" fill="#555"></text>')
        parts.append(f'<text x="{x + 4:.0f}" y="{y + 14:.0f}" fill="#555">{name} {bandwidth:.0f} GB/s</text>')
    x, y = place(10**high, limits["peak"])
    parts.append(f'<text x="{x:.0f}" y="{y - 6:.0f}" text-anchor="end" fill="#555">vpdpbusd {limits["peak"]:.0f} GOPS</text>')
    for row in rows:
        intensity = 16 * row["m"] / row["bits"]
        maker = next(maker for maker in COLOURS if row["name"].startswith(maker))
        for which in ("hot", "cold"):
            if which in row:
                gops = 2e-3 * row["m"] * row["n"] * row["k"] / row[which]
                x, y = place(intensity, max(10**floor, gops))
                fill = COLOURS[maker] if which == "hot" else "white"
                title = f"{row['name']}, {row['m']} rows, {which}: {gops:.0f} GOPS"
                parts.append(
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{COLOURS[maker]}"><title>{title}</title></circle>'
                )
    for index, (maker, colour) in enumerate(COLOURS.items()):
        y = 36 + 18 * index
        parts.append(f'<circle cx="{left + 16}" cy="{y}" r="4" fill="{colour}"/><text x="{left + 26}" y="{y + 4}">{maker}</text>')
    parts.append(f'<text x="{left + 16}" y="{36 + 18 * len(COLOURS)}">filled: hot, open: cold</text>')
    parts.append(f'<text x="{width / 2:.0f}" y="{height - 8}" text-anchor="middle">operations for each byte of weights</text>')
    parts.append(f'<text x="16" y="{height / 2:.0f}" transform="rotate(-90 16 {height / 2:.0f})" text-anchor="middle">GOPS</text>')
    return "\n".join(parts + ["</svg>", ""])


def main():
    source, page, picture = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        report = json.load(file)
    rows, limits = report["rows"], report["limits"]
    shapes = list(dict.fromkeys((row["n"], row["k"]) for row in rows))
    big, small = [s for s in shapes if s[0] >= 2048], [s for s in shapes if s[0] < 2048]
    batches = sorted({row["m"] for row in rows})
    text = f"""# How fast the kernels of the target `c` are

`benches/c/run` wrote this page: our kernels and their peers in one process, on one thread of a core ({report["machine"]}).
Load of the machine while it ran: {report["load"][0]:.1f}; times are minima over repeats, and ratios say more than they do. In that run
memory gave {limits["l3"]:.0f} GB/s from the L3 cache and {limits["dram"]:.0f} GB/s from DRAM to plain loads, and `vpdpbusd` at most
{limits["peak"]:.0f} GOPS (a multiplication with its addition is two operations).

Shapes are outputs x inputs. Microseconds include quantising of the activations. *Hot*: the same weights again; *cold*: over
256 MB of copies in turn, the median of eight parts of a pass. ONNX Runtime is called from Python, and what a graph of one
`Identity` takes is subtracted. Every result is compared with a product in double precision: *error* is the root mean square of the
difference over that of the result, with weights that every format holds exactly. ggml is that of `ggml-python` 0.0.45.

## The goals

How many times faster ours is. Bold: below the goal. Where two peers are named, the faster counts; cold ternary is the faster of our two
formats.

{goals(rows, big)}

![roofline of {big[0][0]}x{big[0][1]}](performance_c.svg)

## Times

"""
    for shape in big + small:
        text += f"### {shape[0]}x{shape[1]}\n\n{times(rows, shape, batches)}\n\n"
    if small:
        text += f"## Small layers against the goals\n\n{goals(rows, small)}\n\n"
    with open(page, "w", encoding="utf-8") as file:
        file.write(text.rstrip() + "\n")
    with open(picture, "w", encoding="utf-8") as file:
        file.write(roofline(report, big[0]))


if __name__ == "__main__":
    main()

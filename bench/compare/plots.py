"""Results as one picture: bars of every case's ratio, and a roofline of Headlane's passes."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

import figures
import peers
import report

matplotlib.use("Agg")

INK, PAPER, GRID = "#1d2733", "#ffffff", "#dfe4ea"
COLOURS = dict(zip(peers.ENGINES, ("#0f6fde", "#e4572e", "#f29e4c", "#c9a227", "#6a994e",
                                   "#8e6bbf", "#3aa6a6", "#98a1ab")))


def draw(everything, path):
    """A column of bars for each group, and the roofline where passes were measured."""
    groups = {}
    for result in everything["results"]:
        groups.setdefault(result["group"], []).append(result)
    passes = everything["machine"].get("cases", [])
    panels = len(groups) + bool(passes)
    columns = min(2, panels)
    lines = -(-panels // columns)
    height = 2.6 + 0.32 * max(len(results) for results in groups.values())  # inches
    figure, axes = plt.subplots(lines, columns, figsize=(7.2 * columns, height * lines),
                                squeeze=False, facecolor=PAPER)
    axes = list(axes.flat)
    for (group, results), axis in zip(groups.items(), axes):
        draw_bars(axis, group, results)
    if passes:
        draw_roofline(axes[len(groups)], everything)
    for axis in axes[panels:]:
        axis.set_visible(False)
    seen = [name for name in peers.ENGINES
            if any("median" in result["engines"].get(name, {}) for result in everything["results"])]
    figure.legend([plt.Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in seen], seen,
                  loc="upper center", ncols=min(4, len(seen)), frameon=False, fontsize=9)
    known = everything["machine"]
    figure.text(0.5, 0.005, f"{known['cpu']}, {everything['threads']} threads, "
                f"{report.precision_of(everything)}"
                f"{', capped to ' + everything['isa'] if everything['isa'] else ''}, "
                f"{everything['date']}; lines: least and most of {everything['rounds']} rounds",
                ha="center", fontsize=8, color=INK)
    figure.tight_layout(rect=(0, 0.015, 1, 0.97 if lines > 2 else 0.93))
    figure.savefig(path, dpi=110, facecolor=PAPER)


def speeds(result):
    """{engine: (speed relative to the best peer, least, most)}: what is better is longer."""
    best = result["best_peer"]
    if best is None:
        return {}
    base = result["engines"][best]["median"]
    relative = (lambda x: x / base) if result["more_is_better"] else (lambda x: base / x)
    return {name: (relative(row["median"]),
                   *sorted((relative(row["least"]), relative(row["most"]))))
            for name, row in result["engines"].items() if "median" in row}


def draw_bars(axis, group, results):
    names = [name for name in peers.ENGINES
             if any("median" in result["engines"].get(name, {}) for result in results)]
    height = 0.8 / max(1, len(names))
    for line, result in enumerate(results):
        for name, (value, least, most) in speeds(result).items():
            y = line - 0.4 + (names.index(name) + 0.5) * height
            axis.barh(y, value, height, color=COLOURS[name])
            axis.plot([least, most], [y, y], color=INK, linewidth=0.8)
            if name in figures.OWN:
                axis.text(max(value, most), y, f" {value:.2f}x", va="center", fontsize=7, color=INK)
    axis.axvline(1, color=INK, linewidth=0.8)
    axis.set_yticks(range(len(results)), [result["case"] for result in results], fontsize=8)
    axis.invert_yaxis()
    axis.set_title(group, fontsize=11, loc="left", color=INK)
    what = "memory, best peer / own" if results[0]["unit"] == "MB" else "speed, best peer = 1"
    axis.set_xlabel(what, fontsize=8)
    tidy(axis)


def pass_bytes(one, tokens):
    """Activations that a pass reads and writes, and its weights once for each block of rows."""
    blocks = max(1, tokens / one["block_rows"]) if one["block_rows"] else 0
    return blocks * one["weight_bytes"] + one["activation_bytes"]


def draw_roofline(axis, everything):
    """Each pass as a point: its work for a byte that it moves, and the speed it has; the area is
    its share of the run."""
    known, threads = everything["machine"], everything["threads"]
    limits = {name: value * threads / 1e9 for name, value in known["limits"].items()
              if name != "products"}
    # Where products have no instruction of their own, they are of floats.
    products = figures.product_limit(known["limits"], everything.get("precision", "f32"))
    limits["flops"] = threads * (products or known["limits"]["flops"]) / 1e9
    x = np.logspace(-0.5, 3, 200)
    for level, style in (("L2", ":"), ("L3", "--"), ("memory", "-.")):
        axis.plot(x, np.minimum(x * limits["read_" + level.lower()], limits["flops"]), style,
                  color=INK, linewidth=1, label=f"bytes from {level}")
    for case, colour in zip(known["cases"], COLOURS.values()):
        whole = sum(one["seconds"] for one in case["passes"])
        points = [(one["flops"] / pass_bytes(one, case["tokens"]),
                   one["flops"] / one["seconds"] / 1e9, 8 + 300 * one["seconds"] / whole)
                  for one in case["passes"] if one["flops"]]
        xs, ys, areas = zip(*points)
        axis.scatter(xs, ys, s=areas, color=colour, alpha=0.7, label=case["case"], zorder=3)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_ylim(bottom=limits["flops"] / 30)
    axis.set_xlabel("operations for a byte of weights and activations", fontsize=8)
    axis.set_ylabel("GFLOP/s", fontsize=8)
    axis.set_title("roofline: each pass of the model", fontsize=11, loc="left", color=INK)
    for handle in axis.legend(fontsize=7, frameon=False).legend_handles[3:]:
        handle.set_sizes([20])
    tidy(axis)


def tidy(axis):
    axis.grid(color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8, colors=INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)

"""Results as text: each case while it is measured, and the table at the end."""

import sys

import figures

HEADLINES = ("median", "least", "most")


def number(x):
    return f"{x:.3g}" if x < 100 else f"{x:.0f}"


def ratio(spread):
    return f"{spread['median']:.2f} ({spread['least']:.2f} to {spread['most']:.2f})"


def print_case(result):
    print(f"\n{result['group']}: {result['case']}, {result['unit']}")
    print(f"  {'':22}{'median':>9}{'least':>9}{'most':>9}{'of limit':>10}{'peak MB':>9}"
          f"{'off by':>10}   Headlane is better by")
    for name, row in result["engines"].items():
        if "missing" in row:
            continue
        cells = "".join(f"{number(row[key]):>9}" for key in HEADLINES)
        share = f"{100 * row['of_limit']:.0f} %" if "of_limit" in row else ""
        peak = f"{row['peak_mb']:.0f}" if "peak_mb" in row else ""
        off_by = f"{row['off_by']:.1e}" if "off_by" in row else ""
        better = ratio(row["headlane_is"]) if "headlane_is" in row else ""
        name += " (uncapped)" * row.get("uncapped", False)
        print(f"  {name:22}{cells}{share:>10}{peak:>9}{off_by:>10}   {better}")
    for reason, names in missing(result).items():
        print(f"  missing: {', '.join(names)}: {reason}")
    sys.stdout.flush()


def missing(result):
    """{reason: engines}"""
    by_reason = {}
    for name, row in result["engines"].items():
        if "missing" in row:
            by_reason.setdefault(row["missing"], []).append(name)
    return by_reason


def merge(several):
    """Results of several runs on one machine as one; its limits are those of the first."""
    merged = dict(several[0])
    merged["results"] = [result for one in several for result in one["results"]]
    merged["engines"] = {name: about for one in several for name, about in one["engines"].items()}
    return merged


def rows(everything):
    """Of the table: case, Headlane, share of the limit, best peer, its figure, ratio, off by."""
    for result in everything["results"]:
        own, best = result["engines"].get(figures.OWN, {}), result["best_peer"]
        if "median" not in own:
            yield result, None
            continue
        yield result, {
            "headlane": number(own["median"]),
            "of limit": f"{100 * own['of_limit']:.0f} %" if "of_limit" in own else "",
            "best peer": f"{number(result['engines'][best]['median'])} {best}" if best else "none",
            "ratio": ratio(own["ratio_to_best_peer"]) if best else "",
            "off by": f"{own['off_by']:.1e}" if "off_by" in own else ""}


HEAD = ["case", "unit", "Headlane", "of limit", "best peer", "Headlane is better by", "off by"]


def lines(everything):
    """Of the table, as cells."""
    for result, row in rows(everything):
        cells = list(row.values()) if row else ["missing", "", "", "", ""]
        yield [f"{result['group']}: {result['case']}", result["unit"], *cells]


def table(everything):
    cells = [HEAD, *lines(everything)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in cells]
    settings = [f"  {name}: {engine['settings']}"
                for name, engine in everything["engines"].items()]
    return "\n".join(["", describe(everything), *settings, "", *text])


def markdown(everything):
    cells = [HEAD, ["---"] * len(HEAD), *lines(everything)]
    return "\n".join([describe(everything), "", *(f"| {' | '.join(line)} |" for line in cells)])


BEGIN, END = "<!-- made by tools/bench -->", "<!-- end of what tools/bench made -->"


def update(path, text):
    """Puts the text between two lines of a file."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def describe(everything):
    """Machine, limits and versions, in a sentence or two."""
    known = everything["machine"]
    limits, threads = known["limits"], everything["threads"]
    programs = {f"{name} {version}" for engine in everything["engines"].values()
                for name, version in engine["versions"].items()}
    capped = f" capped to {everything['isa']}" if everything["isa"] else ""
    return (f"{known['cpu']}{capped}, {threads} threads; of a core {limits['flops'] / 1e9:.0f} "
            f"GFLOP/s in multiply-adds, {limits['read_l2'] / 1e9:.0f} GB/s from L2, "
            f"{limits['read_l3'] / 1e9:.0f} from L3, {limits['read_memory'] / 1e9:.0f} from "
            f"memory, all at work; {everything['rounds']} rounds; {', '.join(sorted(programs))}; "
            f"{everything['date']}.")

"""Results as text: each case while it is measured, and the table at the end."""

import sys

import figures

HEADLINES = ("median", "least", "most")
VECTOR_HEAD, VECTOR_WIDTHS = ("1 - cos", "at most", "nearest"), (10, 10, 9)  # of texts' vectors


class ResultsError(ValueError):
    """Results that are no one table."""


def number(x):
    return f"{x:.3g}" if x < 100 else f"{x:.0f}"


def ratio(spread):
    return f"{spread['median']:.2f} ({spread['least']:.2f} to {spread['most']:.2f})"


def print_case(result):
    print(f"\n{result['group']}: {result['case']}, {result['unit']}")
    of_texts = any("cosine_off_by" in row for row in result["engines"].values())
    vectors = "".join(f"{cell:>{width}}" for cell, width in
                      zip(VECTOR_HEAD if of_texts else (), VECTOR_WIDTHS))
    print(f"  {'':22}{'median':>9}{'least':>9}{'most':>9}{'of limit':>10}{'peak MB':>9}"
          f"{'off by':>15}{vectors}   Headlane is better by")
    for name, row in result["engines"].items():
        if "missing" in row:
            continue
        cells = "".join(f"{number(row[key]):>9}" for key in HEADLINES)
        share = f"{100 * row['of_limit']:.0f} %" if "of_limit" in row else ""
        peak = f"{row['peak_mb']:.0f}" if "peak_mb" in row else ""
        vectors = "".join(f"{cell:>{width}}" for cell, width in
                          zip(vector_cells(row) if of_texts else (), VECTOR_WIDTHS))
        better = ratio(row["headlane_is"]) if "headlane_is" in row else ""
        name += " (uncapped)" * row.get("uncapped", False)
        print(f"  {name:22}{cells}{share:>10}{peak:>9}{accuracy(row):>15}{vectors}   {better}")
    if "bound" in result:
        print(describe_bound(result["bound"]))
    for reason, names in missing(result).items():
        print(f"  missing: {', '.join(names)}: {reason}")
    sys.stdout.flush()


def accuracy(row):
    """What an output is off by; of tokens the share of equal ones."""
    if "tokens_equal" in row:
        return f"{100 * row['tokens_equal']:.1f} % equal"
    return f"{row['off_by']:.1e}" if "off_by" in row else ""


def describe_bound(bound):
    """In what a call cannot be faster."""
    text = f"  at the limit: {number(1e3 * bound['seconds'])} ms"
    if "step_by" in bound:
        text += (f"; a step reads {number(bound['step_bytes'] / 1e6)} MB of weights from "
                 f"{bound['step_from'].replace('l', 'L')} and is bound by its {bound['step_by']}")
    return text


def vector_cells(row):
    """1 - cosine, mean and most, and the share of nearest neighbours kept."""
    off_by = row.get("cosine_off_by")
    if off_by is None:
        return ["", "", ""]
    kept = f"{100 * row['nearest_kept']:.1f} %" if "nearest_kept" in row else ""
    return [f"{off_by['mean']:.1e}", f"{off_by['most']:.1e}", kept]


def vector_accuracy(row):
    """The same as one cell."""
    mean, most, kept = vector_cells(row)
    return f"{mean} (at most {most}), {kept or 'none'}" if mean else ""


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
    if len({precision_of(one) for one in several}) > 1:
        raise ResultsError("the results are of several precisions, which are no one table")
    merged["results"] = [result for one in several for result in one["results"]]
    merged["engines"] = {name: about for one in several for name, about in one["engines"].items()}
    return merged


def rows(everything):
    """Of the table: Headlane, share of the limit, best peer and its figure, ratio, accuracy."""
    for result in everything["results"]:
        own = result["engines"].get(figures.own_of(result["engines"]), {})
        best = result["best_peer"]
        if "median" not in own:
            yield result, None
            continue
        yield result, {
            "headlane": number(own["median"]),
            "of limit": f"{100 * own['of_limit']:.0f} %" if "of_limit" in own else "",
            "best peer": f"{number(result['engines'][best]['median'])} {best}" if best else "none",
            "ratio": ratio(own["ratio_to_best_peer"]) if best else "",
            "off by": accuracy(own),
            "own vectors": vector_accuracy(own),
            "peer's vectors": vector_accuracy(result["engines"][best]) if best else ""}


HEAD = ["case", "unit", "Headlane", "of limit", "best peer", "Headlane is better by", "off by",
        "Headlane's 1 - cosine, nearest kept", "best peer's"]
N_OF_VECTORS = 2  # columns at the end, which are left out where no case is of texts


def lines(everything):
    """Of the table, as cells, the head first."""
    found = [HEAD]
    for result, row in rows(everything):
        cells = list(row.values()) if row else ["missing", *[""] * (len(HEAD) - 3)]
        found.append([f"{result['group']}: {result['case']}", result["unit"], *cells])
    if not any(any(line[-N_OF_VECTORS:]) for line in found[1:]):
        found = [line[:-N_OF_VECTORS] for line in found]
    return found


def table(everything):
    cells = lines(everything)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in cells]
    settings = [f"  {name}: {engine['settings']}"
                for name, engine in everything["engines"].items()]
    return "\n".join(["", describe(everything), *settings, "", *text])


def each_engine(everything):
    """A row for each engine and a column for each case, as cells, the head first; in brackets how
    many times better Headlane is. Of groups that say themselves which engines they compare."""
    results = everything["results"]
    found = [["", *(f"{result['case']}, {result['unit']}" for result in results), "settings"]]
    for name, about in everything["engines"].items():
        cells = []
        for result in results:
            row = result["engines"].get(name, {})
            times = f" ({row['headlane_is']['median']:.2f})" if "headlane_is" in row else ""
            cells.append(number(row["median"]) + times if "median" in row else "none")
        found.append([name, *cells, about["settings"]])
    return found


def markdown(everything):
    own = figures.own_of(everything["engines"])
    head, *rest = lines(everything) if own == figures.OWN[0] else each_engine(everything)
    cells = [head, ["---"] * len(head), *rest]
    return "\n".join([describe(everything), "", *(f"| {' | '.join(line)} |" for line in cells)])


def beside_machines(machines):
    """What several machines say of the same cases, of one precision, side by side. machines:
    {name: everything}. A case that a machine did not measure has "none" there."""
    if len({precision_of(one) for one in machines.values()}) > 1:
        raise ResultsError("the results are of several precisions, which are no one table")
    head, found = ["case", "unit"], {}
    for i, (name, one) in enumerate(machines.items()):
        head += [f"{name}, {one['machine']['isa']}", "of limit", "better than the best peer by"]
        for result, row in rows(one):
            line = found.setdefault(f"{result['group']}: {result['case']}",
                                    [result["unit"], *["none"] * (3 * len(machines))])
            if row:
                peer = f" {result['best_peer']}" * bool(row["ratio"])
                line[1 + 3 * i:4 + 3 * i] = [row["headlane"], row["of limit"], row["ratio"] + peer]
    cells = [head, ["---"] * len(head), *([case, *line] for case, line in found.items())]
    about = [f"{name}: {describe(one)}" for name, one in machines.items()]
    return "\n".join(["\n\n".join(about), "", *(f"| {' | '.join(line)} |" for line in cells)])


BEGIN, END = "<!-- made by tools/bench -->", "<!-- end of what tools/bench made -->"


def precision_of(everything):
    return everything.get("precision", "f32")  # which results of before there were others are of


def begin_mark(precision, of_machines=False):
    options = " --machines" * of_machines
    if precision != "f32":
        options += f" --precision {precision}"
    return BEGIN.replace(" -->", f"{options} -->")


def update(path, text, precision="f32", of_machines=False):
    """Puts the text between two lines of a file, which each precision has its own of, and each
    precision of several machines."""
    mark = begin_mark(precision, of_machines)
    before, begin, rest = path.read_text(encoding="utf-8").partition(mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no lines {mark} and {END}")
    path.write_text(f"{before}{mark}\n{text}\n{END}{after}", encoding="utf-8")


def describe_products(everything):
    """The limit that shares are of, where it is not that of the multiply-adds."""
    limits, precision = everything["machine"]["limits"], precision_of(everything)
    if precision == "f32":
        return ""
    limit = figures.product_limit(limits, precision)
    if limit is None:
        return f", no instruction for {precision} products"
    best = next(product for product in limits["products"] if product["ops"] == limit)
    return f", {limit / 1e9:.0f} GOP/s in {precision} products by {best['instruction']}"


def describe(everything):
    """Machine, limits and versions, in a sentence or two."""
    known = everything["machine"]
    limits, threads = known["limits"], everything["threads"]
    programs = {f"{name} {version}" for engine in everything["engines"].values()
                for name, version in engine["versions"].items()}
    capped = f" capped to {everything['isa']}" if everything["isa"] else ""
    precision = precision_of(everything)
    at = f" at {precision}" if precision != "f32" else ""
    return (f"{known['cpu']}{capped}, {threads} threads{at}; of a core "
            f"{limits['flops'] / 1e9:.0f} GFLOP/s in multiply-adds{describe_products(everything)}, "
            f"{limits['read_l2'] / 1e9:.0f} GB/s from L2, {limits['read_l3'] / 1e9:.0f} from L3, "
            f"{limits['read_memory'] / 1e9:.0f} from memory, all at work; "
            f"{everything['rounds']} rounds; {', '.join(sorted(programs))}; {everything['date']}.")

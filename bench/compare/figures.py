"""Statistics over turns: every engine has one figure a round, and rounds are compared pairwise."""

import pathlib
import statistics

OWN = ("headlane", "headlane-python")  # of which a run has one


def own_of(names):
    """Which of a run's engines is Headlane's own."""
    return next((name for name in OWN if name in names), OWN[0])


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def ratios(ours, theirs, more_is_better):
    """How many times better ours are, round by round."""
    pairs = zip(ours, theirs, strict=True)
    return [a / b if more_is_better else b / a for a, b in pairs]


def accuracies(folder, reference, of_texts=False, of_tokens=False):
    """{engine: what folder/ENGINE.npy is off the reference's by}; empty without the reference. An
    output of another shape is infinitely far. of_texts: an output is a vector each text, which are
    compared as vectors, too. of_tokens: it is ids, which are equal or not."""
    import numpy as np
    arrays = {path.stem: np.load(path) for path in pathlib.Path(folder).glob("*.npy")}
    right = arrays.get(reference)
    if right is None:
        return {}
    found = {}
    for name, array in arrays.items():
        same = array.shape == right.shape
        if of_tokens:
            found[name] = {"tokens_equal": float((array == right).mean()) if same else 0.0}
            continue
        found[name] = {"off_by": float(np.abs(array - right).max()) if same else float("inf")}
        if same and of_texts:
            found[name] |= vector_accuracy(array, right)
    return found


NEAR = 1e-6  # cosines that differ by less are a draw, such as of texts that occur twice


def vector_accuracy(vectors, right):
    """1 - cosine of each vector and the right one; the share of vectors whose nearest neighbour
    among the others is a nearest one among the right ones, too."""
    import numpy as np

    def directions(rows):
        rows = rows.astype(np.float64)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
    vectors, right = directions(vectors), directions(right)
    # Half the squared distance of unit vectors, which rounding does not bring below zero.
    turned = ((vectors - right) ** 2).sum(axis=1) / 2
    found = {"cosine_off_by": {"mean": float(turned.mean()), "most": float(turned.max())}}
    if len(right) > 1:
        mine, cosines = vectors @ vectors.T, right @ right.T
        for matrix in (mine, cosines):
            np.fill_diagonal(matrix, -np.inf)
        of_chosen = cosines[np.arange(len(right)), mine.argmax(axis=1)]
        found["nearest_kept"] = float((of_chosen >= cosines.max(axis=1) - NEAR).mean())
    return found


def product_limit(limits, precision):
    """Of the machine's limits that of products of a precision, operations a second of a core; None
    where it has no instruction for them."""
    if precision == "f32":
        return limits["flops"]
    return max((product["ops"] for product in limits["products"]
                if product["precision"] == precision), default=None)


def best_peer(values, more_is_better, uncapped=()):
    """The peer with the best median of {engine: figures}; None without peers."""
    peers = {name: statistics.median(v) for name, v in values.items()
             if v and name not in (*OWN, *uncapped)}
    if not peers:
        return None
    return (max if more_is_better else min)(peers, key=peers.get)


def summarise(case, values, failures, extras, limit_flops=None, work=None, uncapped=(),
              bound=None):
    """The result of a case, as the JSON has it.

    values: {engine: a figure a round}, failures: {engine: why there is none}, extras: {engine: what
    else is known of it}; an engine is in one of the first two. work: flops of a run, or of a
    sentence; limit_flops: those of the machine in a second. uncapped: engines that use instructions
    which the others may not; they are shown, but are no best peer. bound: what translation.least
    tells, whose seconds are the limit then.
    """
    least = bound["seconds"] if bound else work / limit_flops if work and limit_flops else None
    best = best_peer(values, case.more_is_better, uncapped)
    engines, mine = {}, own_of(values)
    for name, figures in sorted(values.items(), key=lambda item: item[0] != mine):
        row = {**spread(figures), "rounds": figures, **extras.get(name, {})}
        if mine in values and name != mine:
            row["headlane_is"] = spread(ratios(values[mine], figures, case.more_is_better))
        if least and case.unit != "MB":
            rate = row["median"] if case.more_is_better else 1e3 / row["median"]
            row["of_limit"] = least * rate
        if name in uncapped:
            row["uncapped"] = True
        engines[name] = row
    engines |= {name: {"missing": reason} for name, reason in failures.items()}
    own = engines.get(mine, {})
    if best and "median" in own:
        own["ratio_to_best_peer"] = engines[best]["headlane_is"]
    return {"group": case.group, "case": case.name, "unit": case.unit,
            "more_is_better": case.more_is_better, "best_peer": best, "flops": work,
            **({"bound": bound} if bound else {}), "engines": engines}

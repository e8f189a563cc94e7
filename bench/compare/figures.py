"""Statistics over turns: every engine has one figure a round, and rounds are compared pairwise."""

import pathlib
import statistics

OWN = "headlane"


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def ratios(ours, theirs, more_is_better):
    """How many times better ours are, round by round."""
    pairs = zip(ours, theirs, strict=True)
    return [a / b if more_is_better else b / a for a, b in pairs]


def distances(folder, reference):
    """{engine: the largest difference of folder/ENGINE.npy from the reference's}; empty without
    the reference. An output of another shape is infinitely far."""
    import numpy as np
    arrays = {path.stem: np.load(path) for path in pathlib.Path(folder).glob("*.npy")}
    right = arrays.get(reference)
    if right is None:
        return {}
    return {name: float(np.abs(array - right).max()) if array.shape == right.shape else float("inf")
            for name, array in arrays.items()}


def best_peer(values, more_is_better, uncapped=()):
    """The peer with the best median of {engine: figures}; None without peers."""
    peers = {name: statistics.median(v) for name, v in values.items()
             if v and name != OWN and name not in uncapped}
    if not peers:
        return None
    return (max if more_is_better else min)(peers, key=peers.get)


def summarise(case, values, failures, extras, limit_flops=None, work=None, uncapped=()):
    """The result of a case, as the JSON has it.

    values: {engine: a figure a round}, failures: {engine: why there is none}, extras: {engine: what
    else is known of it}; an engine is in one of the first two. work: flops of a run, or of a
    sentence; limit_flops: those of the machine in a second. uncapped: engines that use instructions
    which the others may not; they are shown, but are no best peer.
    """
    best = best_peer(values, case.more_is_better, uncapped)
    engines = {}
    for name, figures in sorted(values.items(), key=lambda item: item[0] != OWN):
        row = {**spread(figures), "rounds": figures, **extras.get(name, {})}
        if OWN in values and name != OWN:
            row["headlane_is"] = spread(ratios(values[OWN], figures, case.more_is_better))
        if work and limit_flops and case.unit != "MB":
            rate = row["median"] if case.more_is_better else 1e3 / row["median"]
            row["of_limit"] = work * rate / limit_flops
        if name in uncapped:
            row["uncapped"] = True
        engines[name] = row
    engines |= {name: {"missing": reason} for name, reason in failures.items()}
    own = engines.get(OWN, {})
    if best and "median" in own:
        own["ratio_to_best_peer"] = engines[best]["headlane_is"]
    return {"group": case.group, "case": case.name, "unit": case.unit,
            "more_is_better": case.more_is_better, "best_peer": best, "flops": work,
            "engines": engines}

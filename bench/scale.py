#!/usr/bin/env python3
"""How long a corpus takes on 1 to 1,000 nodes: a model on paper, beside a simulation of stragglers and failures.

    bench/scale.py                           prints the table
    bench/scale.py --update docs/scale.md    writes it between the page's marks
    bench/scale.py --check docs/scale.md     fails if the page has another

Nodes pull inputs from one queue, as Ray and Spark have it. A node that fails loses what it has of the output that it
writes, comes back later, and the input goes on from there, since outputs that are there are not made again.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path

MARKS = "<!-- made by bench/scale.py -->", "<!-- end of what bench/scale.py made -->"


@dataclass(frozen=True)
class Plan:
    """A corpus, the nodes and what they share. Times are in seconds, sizes in bytes."""

    nodes: int
    rows_per_input: int
    texts: float = 1e9
    cores: int = 8
    # README's row "minilm: corpus sentences", 663 a second on two cores in f32; docs/precision.md has 2.6 times as
    # many in int8.
    rate_of_core: float = 663 / 2
    rows_per_output: int = 65536
    bytes_of_row: float = 1536 + 150  # a vector of 384 float32 is written, a text is read
    storage: float = 2e9  # a second, of all nodes together
    model: float = 90e6
    network: float = 1.25e9  # a second, of whoever gives the model to all: 10 Gbit
    startup: float = 30  # of a node's workers
    slow_share: float = 0.02  # of nodes that have half the speed
    jitter: float = 0.05  # the spread of nodes' speeds, and of inputs' lengths
    failures_per_hour: float = 0.05  # of a node
    restart: float = 120  # until a node that failed is there again

    @property
    def rate(self) -> float:
        """Rows a second of a node: what it computes, or its share of the storage."""
        return min(self.rate_of_core * self.cores, self.storage / self.bytes_of_row / self.nodes)

    @property
    def inputs(self) -> int:
        return math.ceil(self.texts / self.rows_per_input)

    @property
    def begin(self) -> float:
        """Until nodes work: the model goes to all of them from one place."""
        return self.startup + self.nodes * self.model / self.network

    @property
    def n_slow(self) -> int:
        return round(self.slow_share * self.nodes)


def on_paper(plan: Plan) -> float:
    """Seconds. Nodes are busy until the queue is empty; then each has, on average, half an input before it, and the
    run ends with the slowest of them."""
    speeds = plan.nodes - plan.n_slow / 2
    lost = plan.failures_per_hour / 3600 * (plan.restart + plan.rows_per_output / plan.rate / 2)
    one_input = plan.rows_per_input / plan.rate
    inputs = max(plan.inputs - plan.nodes / 2, 0)
    empty = inputs * one_input / speeds * (1 + lost)
    slowest, n = (2 * one_input, plan.n_slow) if plan.n_slow else (one_input, plan.nodes)
    return plan.begin + empty + slowest * n / (n + 1)


def simulated(plan: Plan, seed: int) -> float:
    """Seconds of one run."""
    dice = random.Random(seed)
    slow = set(dice.sample(range(plan.nodes), plan.n_slow))
    rates = [plan.rate * (0.5 if i in slow else 1) * math.exp(dice.gauss(0, plan.jitter)) for i in range(plan.nodes)]
    free = [(plan.begin, i) for i in range(plan.nodes)]
    heapq.heapify(free)
    fails = [plan.begin + _until_failure(plan, dice) for _ in range(plan.nodes)]
    left = [plan.rows_per_input * math.exp(dice.gauss(0, plan.jitter)) for _ in range(plan.inputs)]
    end = 0.0
    while left:
        now, node = heapq.heappop(free)
        rows = left.pop()
        done = now + rows / rates[node]
        if done <= fails[node]:
            end = max(end, done)
        else:
            # Outputs that were whole are kept; the rest goes to the node that is free next.
            outputs = int(max(fails[node] - now, 0) * rates[node]) // plan.rows_per_output
            left.append(rows - outputs * plan.rows_per_output)
            done = max(fails[node], now) + plan.restart
            fails[node] = done + _until_failure(plan, dice)
        heapq.heappush(free, (done, node))
    return end


def _until_failure(plan: Plan, dice: random.Random) -> float:
    return dice.expovariate(plan.failures_per_hour / 3600)


def bound(plan: Plan) -> str:
    """What takes most of the time beyond the perfect one."""
    perfect = plan.texts / (plan.rate_of_core * plan.cores * plan.nodes)
    waits = {
        "storage": plan.texts / (plan.rate * plan.nodes) - perfect,
        "model fetch": plan.begin - plan.startup,
        "start-up": plan.startup,
        "stragglers": 2 * plan.rows_per_input / plan.rate if plan.n_slow else plan.rows_per_input / plan.rate,
    }
    name = max(waits, key=lambda key: waits[key])
    return name if waits[name] > 0.05 * perfect else "compute"


def table(runs: int) -> str:
    lines = [
        "| nodes of 8 cores | rows of an input | perfect | on paper | simulated | of perfect | core hours | bound by |",
        "|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    base = [Plan(nodes, rows) for rows in (65536, 1048576) for nodes in (1, 10, 100, 1000)]
    better = replace(Plan(1000, 65536), storage=20e9, network=1e12)
    fast = [better, replace(Plan(100, 65536), rate_of_core=2.6 * Plan.rate_of_core)]
    names = ["", "", "", "", "", "", "", "", ", storage of 20 GB/s, model on each node", ", int8"]
    for plan, name in zip([*base, *fast], names, strict=True):
        perfect = plan.texts / (plan.rate_of_core * plan.cores * plan.nodes)
        found = sum(simulated(plan, seed) for seed in range(runs)) / runs
        lines.append(
            f"| {plan.nodes:,}{name} | {plan.rows_per_input:,} | {_shown(perfect)} | {_shown(on_paper(plan))} | "
            f"{_shown(found)} | {perfect / found:.0%} | {found * plan.nodes * plan.cores / 3600:,.0f} | {bound(plan)} |"
        )
    return "\n".join(lines)


def _shown(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--update", type=Path, metavar="PAGE")
    parser.add_argument("--check", type=Path, metavar="PAGE")
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    made = table(given.runs)
    page = given.update or given.check
    if page is None:
        print(made)
        return 0
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    new = f"{before}{MARKS[0]}\n{made}\n{MARKS[1]}{after}"
    if given.update:
        page.write_text(new, encoding="utf-8")
    elif new != text:
        print(f"{page} has another table than bench/scale.py makes; --update writes it", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

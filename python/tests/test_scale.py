"""The model on paper of docs/scale.md, beside its simulation (bench/scale.py)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from conftest import ROOT

SCRIPT = ROOT / "bench" / "scale.py"


def test_the_page_has_what_the_script_makes() -> None:
    subprocess.run([sys.executable, SCRIPT, "--check", ROOT / "docs" / "scale.md"], check=True)


@pytest.mark.parametrize("nodes", [1, 10, 100, 1000])
@pytest.mark.parametrize("failures", [0.05, 2.0])
def test_paper_and_simulation_agree(nodes: int, failures: float) -> None:
    """Also where each node fails twice an hour. The speed of one node spreads by 5 %, the mean of five by 2.2 %; a
    tenth is four of these."""
    spec = importlib.util.spec_from_file_location("scale", SCRIPT)
    assert spec is not None and spec.loader is not None
    scale = sys.modules["scale"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scale)
    plan = scale.Plan(nodes, 65536, failures_per_hour=failures)
    found = sum(scale.simulated(plan, seed) for seed in range(5)) / 5
    assert abs(scale.on_paper(plan) / found - 1) < 0.1

"""What the tests share: the installed package, and models of the repository that need no network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import headlane

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["HEADLANE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("OMP_NUM_THREADS", None)


@pytest.fixture(scope="session")
def bert() -> Path:
    """A tiny BERT of random weights, as a folder of Hugging Face's."""
    return ROOT / "tests" / "golden" / "bert" / "head_dim_17_max_normalize"


@pytest.fixture(scope="session")
def embedder(bert: Path) -> headlane.Embedder:
    return headlane.Embedder(bert)


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    return (ROOT / "tests" / "golden" / "corpus" / "sentences.txt").read_text(encoding="utf-8").splitlines()

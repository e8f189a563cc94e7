"""What vectors depend on, and the folder that keeps vectors of one such key alone."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from headlane._columns import VectorColumns
from headlane._files import digest_of_file
from headlane._library import version
from headlane.files._outputs import write_once

# Readers of datasets (pyarrow, Spark, DuckDB) pass over what begins with an underscore.
OWN = "_headlane"


def facts_of(vectors: VectorColumns, **more: Any) -> dict[str, Any]:
    """All that the bytes of an output depend on, except its input."""
    model = vectors.model
    return {
        "version": version(),
        "model": _digest(model.path, *_state(model.path)),
        "precision": model.precision,
        "isa": model.info()["isa"],
        "prompt": vectors.prompt,
        "max_seq_length": model.max_seq_length,
        "dim": vectors.dim,
        "normalize_embeddings": vectors.normalize,
        "dtype": vectors.dtype,
        "into": vectors.into,
        **more,
    }


def _state(path: Path) -> tuple[int, int]:
    of_file = path.stat()
    return of_file.st_size, of_file.st_mtime_ns


@lru_cache(maxsize=8)
def _digest(path: Path, n_bytes: int, mtime_ns: int) -> str:
    """Of a file in a state: a worker of a cluster asks for each input."""
    return digest_of_file(path)


def key_of(facts: dict[str, Any], *more: object) -> str:
    text = json.dumps([facts, *more], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def claim_folder(out: Path, facts: dict[str, Any]) -> None:
    """Makes the folder, for vectors of these facts. A ValueError if it is there for others, since vectors of two
    models in one folder are not comparable, and readers would take both."""
    own = out / OWN
    (own / "done").mkdir(parents=True, exist_ok=True)
    path = own / "key.json"
    write_once(path, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(there, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise ValueError(f"{path} does not say what the vectors of {out} are: {error}") from None
    differ = [name for name in sorted({*facts, *there}) if facts.get(name) != there.get(name)]
    if differ:
        shown = ", ".join(f"{name} {there.get(name)!r} there and {facts.get(name)!r} here" for name in differ)
        raise ValueError(f"{out} has vectors of another kind ({shown}); take another folder, or the same options")

"""What vectors depend on, and the folder that keeps vectors of one such key alone."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from headlane._columns import VectorColumns
from headlane._library import version

# Readers of datasets (pyarrow, Spark, DuckDB) pass over what begins with an underscore.
OWN = "_headlane"


def facts_of(vectors: VectorColumns, **more: Any) -> dict[str, Any]:
    """All that the bytes of an output depend on, except its input."""
    model = vectors.model
    return {
        "version": version(),
        "model": digest_of_file(model.path),
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


def digest_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:32]


def key_of(facts: dict[str, Any], *more: object) -> str:
    text = json.dumps([facts, *more], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def write_whole(path: Path, data: bytes, new: bool = False) -> None:
    """Writes a small file, whole or not at all. new: unless it is there already."""
    aside = path.with_name(f"{path.name}.{os.uname().nodename}.{os.getpid()}")
    with open(aside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        if new:
            os.link(aside, path)
        else:
            os.replace(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink(missing_ok=True)


def claim_folder(out: Path, facts: dict[str, Any]) -> None:
    """Makes the folder, for vectors of these facts. A ValueError if it is there for others, since vectors of two
    models in one folder are not comparable, and readers would take both."""
    own = out / OWN
    (own / "done").mkdir(parents=True, exist_ok=True)
    path = own / "key.json"
    write_whole(path, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode(), new=True)
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

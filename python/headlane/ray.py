"""Datasets of Ray Data through a model, on actors that hold it:

    import headlane.ray
    vectors = headlane.ray.embed(ray.data.read_parquet("in/"), "text", model="all-MiniLM-L6-v2", num_cpus=4)

The package is installed on each node (pip install 'headlane[ray]').
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import numpy as np
import ray
import ray.data

from headlane import files
from headlane._columns import DType
from headlane._columns import Task as Role
from headlane._shipped import Named
from headlane._tasks import Kind, Task, task_of
from headlane.files._inputs import Patterns, find
from headlane.files._spread import Spread, joined, spread

__all__ = ["embed", "embed_files", "map"]


def embed(
    dataset: Any,
    text: str,
    *,
    model: str | os.PathLike[str],
    into: str = "vector",
    dtype: DType = "float32",
    prompt: str | None = None,
    prompt_name: str | None = None,
    task: Role | None = None,
    normalize_embeddings: bool = False,
    num_cpus: int = 1,
    concurrency: Any = None,
    batch_size: int = 1024,
    **options: Any,
) -> Any:
    """The dataset with a column of vectors of the column text; a null stays null. A vector has the bits of
    Embedder.encode, whatever blocks Ray makes.

    model: what Embedder takes: a name, or a path of the driver's machine, which goes to each node once. options:
        those of Embedder. into, dtype: as headlane.files.embed has them.
    num_cpus: what an actor asks for, and how many threads it uses. concurrency: how many actors there are, or the
        least and the most; None: as Ray chooses. batch_size: rows of a call, which the engine cuts by tokens itself.
    """
    return map(
        dataset,
        "embed",
        text,
        model=model,
        into=into,
        call={
            "dtype": dtype,
            "prompt": prompt,
            "prompt_name": prompt_name,
            "task": task,
            "normalize_embeddings": normalize_embeddings,
        },
        num_cpus=num_cpus,
        concurrency=concurrency,
        batch_size=batch_size,
        **options,
    )


def map(
    dataset: Any,
    kind: Kind,
    text: str,
    *,
    model: str | os.PathLike[str],
    query: str | None = None,
    into: str | None = None,
    call: dict[str, Any] | None = None,
    num_cpus: int = 1,
    concurrency: Any = None,
    batch_size: int = 1024,
    **options: Any,
) -> Any:
    """The dataset with what a model makes of the column text: "rank": the column score, of pairs with the column
    query, by CrossEncoder; "classify": label and label_score, by Classifier; "translate": translation, by
    Translator; "embed": vector. A row with a null gets one.

    into: another name for the column. call: options of predict, classify or translate. The others are embed's."""
    told = task_of(kind, text, model=model, query=query, into=into, call=call, options=options)
    schema = dataset.schema(fetch_if_missing=False)  # else something of the dataset would run here
    if schema is not None:
        told.check(list(schema.names))
    n_threads = _cpus(num_cpus)
    return dataset.map_batches(
        _Worker,
        fn_constructor_kwargs={"told": told, "n_threads": n_threads, "reference": _shipped(told.model)},
        batch_format="pyarrow",
        zero_copy_batch=True,
        batch_size=batch_size,
        num_cpus=n_threads,
        compute=_actors(concurrency),
    )


def embed_files(
    inputs: Patterns,
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str],
    num_cpus: int = 1,
    concurrency: Any = None,
    **options: Any,
) -> files.Summary:
    """headlane.files.embed with an input at a time on each actor, for inputs and a folder that all nodes see. A
    worker, a node or the driver may be killed: what is started again goes on, to the same bytes.

    options: those of headlane.files.embed, except on_progress, since Ray shows progress by itself."""
    began = time.monotonic()
    found = find(inputs, out)
    if not found:
        return files.embed([], out, model=model, **options)
    told, n_threads = spread(model, out, options), _cpus(num_cpus)
    rows = [{"path": os.path.abspath(one.path), "name": one.name} for one in found]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _FileWorker,
        fn_constructor_kwargs={"told": told, "n_threads": n_threads, "reference": _shipped(told.model)},
        num_cpus=n_threads,
        compute=_actors(concurrency),
    )
    made = [json.loads(row["summary"]) for row in dataset.take_all()]
    return joined(made, time.monotonic() - began)


class _Worker:
    """An actor of map."""

    def __init__(self, told: Task, n_threads: int, reference: Any) -> None:
        self._add = told.opened(n_threads, lambda: ray.get(reference))

    def __call__(self, table: Any) -> Any:
        return self._add(table)


class _FileWorker:
    """An actor of embed_files."""

    def __init__(self, told: Spread, n_threads: int, reference: Any) -> None:
        self._embed = told.opened(n_threads, lambda: ray.get(reference))

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        return {"summary": json.dumps(self._embed(row["path"], row["name"]))}


def _cpus(num_cpus: Any) -> int:
    if isinstance(num_cpus, bool) or not isinstance(num_cpus, int) or num_cpus < 1:
        raise ValueError(f"num_cpus is {num_cpus!r}, and must be a positive integer: an actor uses so many threads")
    return num_cpus


def _actors(concurrency: Any) -> Any:
    """How many actors: a number, the least and the most, or None."""
    if concurrency is None:
        return ray.data.ActorPoolStrategy()
    if isinstance(concurrency, int):
        return ray.data.ActorPoolStrategy(size=concurrency)
    least, most = concurrency
    return ray.data.ActorPoolStrategy(min_size=least, max_size=most)


def _shipped(model: Named) -> Any:
    """The file in Ray's store, which gives it to each node once; None: there is no file of the driver's."""
    return None if model.path is None else ray.put(np.fromfile(model.path, np.uint8))

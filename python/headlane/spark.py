"""Data frames of Spark through a model:

    import headlane.spark
    vectors = headlane.spark.embed(df, "text", model="all-MiniLM-L6-v2")
    spark.udf.register("embed", headlane.spark.udf(spark, model="all-MiniLM-L6-v2"))   # for SQL

The package is installed on each node (pip install 'headlane[spark]'). A task uses as many threads as spark.task.cpus
says; a Python worker opens the model once, and Spark uses it again for the next tasks.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import SparkFiles, TaskContext
from pyspark.sql import types
from pyspark.sql.functions import arrow_udf

from headlane import files
from headlane._columns import DType
from headlane._columns import Task as Role
from headlane._shipped import Named
from headlane._tasks import Kind, Task, task_of
from headlane.files._inputs import Patterns, find
from headlane.files._spread import Spread, joined, spread

__all__ = ["embed", "embed_files", "map", "udf"]


def embed(
    df: Any,
    text: str,
    *,
    model: str | os.PathLike[str],
    into: str = "vector",
    dtype: DType = "float32",
    prompt: str | None = None,
    prompt_name: str | None = None,
    task: Role | None = None,
    normalize_embeddings: bool = False,
    **options: Any,
) -> Any:
    """The data frame with a column of vectors of the column text; a null stays null. A vector has the bits of
    Embedder.encode, whatever the partitions are.

    model: what Embedder takes: a name, or a path of the driver's machine, which goes to each node once. options:
        those of Embedder. into, dtype: as headlane.files.embed has them; Spark has no float16.
    """
    call = {
        "dtype": dtype,
        "prompt": prompt,
        "prompt_name": prompt_name,
        "task": task,
        "normalize_embeddings": normalize_embeddings,
    }
    return map(df, "embed", text, model=model, into=into, call=call, **options)


def map(
    df: Any,
    kind: Kind,
    text: str,
    *,
    model: str | os.PathLike[str],
    query: str | None = None,
    into: str | None = None,
    call: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """The data frame with what a model makes of the column text, as headlane.ray.map has it: "rank" with the column
    query, "classify", "translate", "embed"."""
    told = _task(kind, text, model=model, query=query, into=into, call=call, options=options)
    told.check(df.columns)
    _ship(df.sparkSession, told.model)
    fields = [types.StructField(name, of) for name, of in zip(told.names, _types(told), strict=True)]

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        add = _opened(told)
        for batch in batches:
            yield from add(pa.Table.from_batches([batch])).to_batches()

    return df.mapInArrow(run, types.StructType([*df.schema.fields, *fields]))


def udf(
    spark: Any,
    *,
    model: str | os.PathLike[str],
    dtype: DType = "float32",
    prompt: str | None = None,
    prompt_name: str | None = None,
    task: Role | None = None,
    normalize_embeddings: bool = False,
    **options: Any,
) -> Any:
    """A function of a column of texts, for spark.udf.register and for expressions: the vectors, as embed has them."""
    if dtype == "int8":
        raise ValueError("a function gives one column, and vectors of int8 have a scale in another; embed has both")
    call = {
        "dtype": dtype,
        "prompt": prompt,
        "prompt_name": prompt_name,
        "task": task,
        "normalize_embeddings": normalize_embeddings,
    }
    told = _task("embed", "text", model=model, query=None, into="vector", call=call, options=options)
    _ship(spark, told.model)

    def vectors(columns: Iterator[pa.Array]) -> Iterator[pa.Array]:
        add = _opened(told)
        for texts in columns:
            yield add(pa.table({"text": texts})).column("vector").combine_chunks()

    return arrow_udf(vectors, _types(told)[0])


def embed_files(
    spark: Any, inputs: Patterns, out: str | os.PathLike[str], *, model: str | os.PathLike[str], **options: Any
) -> files.Summary:
    """headlane.files.embed with an input a task, for inputs and a folder that all nodes see. A worker, an executor or
    the driver may be killed: what is started again goes on, to the same bytes.

    options: those of headlane.files.embed, except on_progress, since Spark shows progress by itself."""
    began = time.monotonic()
    found = find(inputs, out)
    if not found:
        return files.embed([], out, model=model, **options)
    told = spread(model, out, options)
    _ship(spark, told.model)
    rows = [(os.path.abspath(one.path), one.name) for one in found]

    def run(part: Iterator[tuple[str, str]]) -> Iterator[str]:
        embed_one = _opened(told)
        for path, name in part:
            yield json.dumps(embed_one(path, name))

    made = spark.sparkContext.parallelize(rows, len(rows)).mapPartitions(run).collect()
    return joined([json.loads(row) for row in made], time.monotonic() - began)


def _task(kind: Kind, text: str, *, call: dict[str, Any] | None, **options: Any) -> Task:
    if kind != "embed":
        return task_of(kind, text, call=call, **options)
    if (call or {}).get("dtype") == "float16":
        raise ValueError("dtype is 'float16', which Spark has not; files.embed writes it")
    return task_of(kind, text, call={**(call or {}), "sized": False}, **options)


def _types(told: Task) -> list[Any]:
    """Of the columns that are added, as Spark has them."""
    if told.kind == "embed":
        dtype = told.call.get("dtype", "float32")
        if dtype == "binary":
            return [types.BinaryType()]
        number = types.ByteType() if dtype == "int8" else types.FloatType()
        return [types.ArrayType(number, False), *([types.FloatType()] if dtype == "int8" else [])]
    of_kind = {"rank": [types.FloatType()], "classify": [types.StringType(), types.FloatType()]}
    return of_kind.get(told.kind, [types.StringType()])


def _ship(spark: Any, model: Named) -> None:
    """Gives a file of the driver's to Spark, which fetches it where a task asks for it."""
    if model.path is None:
        return
    if not hasattr(spark, "sparkContext"):
        raise ValueError("Spark Connect sends no files here; name a model of the hub, or use a session of a driver")
    spark.sparkContext.addFile(model.path)


_last: tuple[Any, int, Any] | None = None  # what this Python worker opened, which the next task mostly wants again


def _opened(told: Task | Spread) -> Any:
    global _last
    context = TaskContext.get()
    n_threads = context.cpus() if context is not None else 1
    if _last is None or _last[:2] != (told, n_threads):
        path = told.model.path
        fetch = lambda: Path(SparkFiles.get(os.path.basename(path or ""))).read_bytes()
        _last = told, n_threads, told.opened(n_threads, fetch)
    return _last[2]

"""A corpus of files to files of vectors, which may be killed at any point and started again:

    import headlane.files
    summary = headlane.files.embed("in/*.parquet", "out/", id="id", text="text", model="all-MiniLM-L6-v2")

It takes pyarrow (pip install 'headlane[files]'). `headlane embed-files` is the same for the shell.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from headlane._columns import DType, Task, VectorColumns
from headlane.embedder import Embedder
from headlane.files._inputs import Patterns, find
from headlane.files._key import claim_folder, facts_of
from headlane.files._run import Job, Run
from headlane.files._summary import FileSummary, Progress, Summary

__all__ = ["FileSummary", "Progress", "Summary", "embed"]


def embed(
    inputs: Patterns,
    out: str | os.PathLike[str],
    *,
    id: str,
    text: str,
    model: str | os.PathLike[str] | Embedder,
    into: str = "vector",
    dtype: DType = "float32",
    format: Literal["parquet", "arrow"] = "parquet",
    prompt: str | None = None,
    prompt_name: str | None = None,
    task: Task | None = None,
    normalize_embeddings: bool = False,
    rows_per_file: int = 65536,
    replace_changed: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Summary:
    """Embeds the column `text` of each input, and writes files of two columns, `id` and `into`, to the folder out.

    inputs: paths, patterns such as "in/**/*.parquet", or folders. By their names they are Parquet (.parquet, .pq),
        Arrow IPC (.arrow, .arrows, .ipc, .feather), JSON lines (.jsonl, .ndjson, .json) or CSV (.csv, .tsv); those of
        lines may be compressed (.gz, .bz2, .zst, .lz4).
    id: the column of ids, which are integers, strings or bytes, no null, and none twice in an input.
    model: what Embedder takes, with options of Embedder; or an Embedder, without.
    dtype: "float32", "float16", "int8" (with a column into_scale) or "binary"; docs/scale.md says what these are.
    rows_per_file: an output has so many rows of one input, its last one fewer.
    replace_changed: outputs of an input whose size or time has changed are removed; otherwise that input fails.

    Outputs are called INPUT.NUMBER.KEY.parquet, where the key tells the model, its precision, the options, the
    version, the instruction set and the state of the input. One that is there is not made again. It is written aside
    and renamed, so that it is whole or not there. Several processes, also of several machines, may share a folder:
    each output is made by one of them. An input that cannot be embedded fails with a sentence in the summary, and the
    others go on. What concerns all inputs is raised.
    """
    if format not in ("parquet", "arrow"):
        raise ValueError(f"format is {format!r}, and must be 'parquet' or 'arrow'")
    if isinstance(rows_per_file, bool) or not isinstance(rows_per_file, int) or rows_per_file < 1:
        raise ValueError(f"rows_per_file is {rows_per_file!r}, and must be a positive integer")
    if isinstance(model, Embedder) and options:
        raise TypeError(f"the model is an Embedder already, so {sorted(options)} come too late")
    found = find(inputs, out)
    embedder = model if isinstance(model, Embedder) else Embedder(model, **options)
    vectors = VectorColumns(
        embedder,
        into=into,
        dtype=dtype,
        prompt=prompt,
        prompt_name=prompt_name,
        task=task,
        normalize_embeddings=normalize_embeddings,
    )
    if len({id, text, *vectors.names}) < 2 + len(vectors.names):
        raise ValueError(f"id, text and into must name different columns, and are {id!r}, {text!r} and {into!r}")
    facts = facts_of(vectors, id=id, text=text, format=format, rows_per_file=rows_per_file)
    job = Job(Path(out), vectors, id, text, format, rows_per_file, facts, replace_changed)
    claim_folder(job.out, facts)
    return Run(job, found, on_progress).all()

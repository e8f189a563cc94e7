"""Inputs: which files there are, and their rows from any place on."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import pyarrow as pa
import pyarrow.compute as pc

from headlane.files._readers import Reader, reader_of, suffix_of


@dataclass(frozen=True)
class Input:
    """A file that was named or found. name: below the folder that was searched, which outputs are named by."""

    path: Path
    name: str

    def state(self) -> tuple[int, int]:
        """Its size and time, which tell whether it has changed."""
        of_file = self.path.stat()
        return of_file.st_size, of_file.st_mtime_ns


Patterns = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]", Input]]]


def find(patterns: Patterns, out: str | os.PathLike[str]) -> list[Input]:
    """The inputs of some patterns, by name. Of a folder all files of known kinds, except hidden ones and those that
    begin with an underscore. A file that is named is an input even if it is not there, which its turn will tell.
    A ValueError if one is in the folder of outputs, since outputs would be the next run's inputs."""
    given = [patterns] if isinstance(patterns, (str, os.PathLike)) else list(patterns)
    found: dict[str, Input] = {}
    for pattern in given:
        for one in [pattern] if isinstance(pattern, Input) else _of_pattern(os.fspath(pattern)):
            other = found.setdefault(one.name, one)
            if other.path.absolute() != one.path.absolute():
                raise ValueError(
                    f"{other.path} and {one.path} would have outputs of the same names; give a pattern that has both "
                    "below one folder, such as FOLDER/**/*.parquet"
                )
    folder = Path(os.path.realpath(out))
    for one in found.values():
        if folder in Path(os.path.realpath(one.path)).parents:
            raise ValueError(f"{one.path} is an input in the folder of outputs, {folder}; take another folder for these")
    return [found[name] for name in sorted(found)]


def _of_pattern(pattern: str) -> list[Input]:
    if "://" in pattern:
        raise ValueError(f"{pattern} is a URI; files are read from folders of this machine, mounted ones too")
    if os.path.isdir(pattern):
        inputs = list(_of_folder(pattern))
    elif glob.has_magic(pattern):
        parts = pattern.split(os.sep)
        root = os.sep.join(parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
        root = root or (os.sep if pattern.startswith(os.sep) else ".")
        inputs = [_input("", root, path) for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path)]
    else:
        return [Input(Path(pattern), os.path.basename(pattern))]
    if not inputs:
        raise FileNotFoundError(f"no input fits {pattern}")
    return inputs


def _of_folder(root: str) -> Iterator[Input]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        for name in names:
            if not name.startswith((".", "_")) and suffix_of(name) is not None:
                yield _input(folder, root, name)


def _input(folder: str, root: str, name: str) -> Input:
    path = os.path.join(folder, name)
    return Input(Path(path), os.path.relpath(path, root))


class Rows:
    """The rows of an input as tables, from any row on. Going on where the last table ended costs nothing."""

    def __init__(self, reader: Reader, name: str) -> None:
        self._reader, self._name = reader, name
        self._at = 0
        self._batches: Iterator[Any] = iter(())
        self._rest: Any = None  # of the batch that was begun
        self._open = False

    def table(self, first: int, n: int) -> Any:
        """Rows first to first + n, in chunks; the texts are known to be UTF-8."""
        start = self._reader.start_of(first)
        if not self._open or first < self._at or start > self._at:
            self._batches, self._rest, self._at, self._open = self._reader.batches(start), None, start, True
        taken = []
        while n > 0:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            if batch is None:
                raise ValueError(f"{self._name} has fewer rows than it had before: it is being changed")
            self._rest = None
            skipped = min(max(first - self._at, 0), len(batch))
            used = min(n, len(batch) - skipped)
            if used:
                batch.validate(full=True)
                taken.append(batch.slice(skipped, used))
            if skipped + used < len(batch):
                self._rest = batch.slice(skipped + used)
            self._at += skipped + used
            first += used
            n -= used
        return pa.Table.from_batches(taken)


def check_ids(chunks: Iterable[Any], name: str, column: str) -> int:
    """How many rows an input has. A ValueError if an id is null, is there twice, or is no id."""
    kept = []
    n_rows = 0
    for chunk in chunks:
        if chunk.null_count:
            at = n_rows + int(pc.index(chunk.is_null(), True).as_py())
            raise ValueError(f"{name}: row {at} has no id in the column {column!r}")
        kept.append(chunk)
        n_rows += len(chunk)
    if not kept:
        return 0
    counts = pc.value_counts(pa.chunked_array(kept))
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise ValueError(
            f"{name}: {len(repeated)} ids of the column {column!r} are there more than once, such as "
            f"{repeated[0]['values'].as_py()!r}"
        )
    return n_rows


def is_id(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def open_rows(path: Path, name: str, id: str, text: str) -> tuple[Reader, int]:
    """An input whose columns have been checked, and how many rows it has."""
    reader = reader_of(path, name, id, text)
    n_rows = check_ids(reader.ids(), name, id)
    if not is_id(reader.id_type):
        shown = reader.id_type
        raise TypeError(f"{name}: ids are integers, strings or bytes, and the column {id!r} is of type {shown}")
    return reader, n_rows

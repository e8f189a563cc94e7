"""A run over all inputs: what is missing is made, and an input that cannot be embedded does not stop the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from headlane._columns import VectorColumns
from headlane._library import Error
from headlane.files._inputs import Input, Rows, open_rows
from headlane.files._key import OWN, key_of
from headlane.files._outputs import Writer, claimed, write_once
from headlane.files._summary import FileSummary, Progress, Summary

# Rows that are embedded together, a row group of an output: what bounds memory, and how often progress is told.
STEP = 4096
# What is wrong with one input. Anything else is a mistake of this package, and ends the run.
OF_INPUT = (OSError, ValueError, TypeError, Error, pa.ArrowException)


@dataclass(frozen=True)
class Job:
    """What is to be made of each input."""

    out: Path
    vectors: VectorColumns
    id: str
    text: str
    format: str
    rows_per_file: int
    facts: dict[str, Any]
    replace_changed: bool


class Outputs:
    """The outputs of one input in one state."""

    def __init__(self, job: Job, source: Input) -> None:
        self._job, self._source, self._name = job, source, source.name
        self._state = source.state()
        self._key = key_of(job.facts, source.name, *self._state)
        self._folder = (job.out / source.name).parent

    def target(self, number: int) -> Path:
        return self._folder / self._file(f"{number:06d}")

    def aside(self, number: int) -> Path:
        return self._own / f"{self._file(f'{number:06d}')}.aside"

    def _file(self, number: str) -> str:
        return f"{Path(self._name).name}.{number}.{self._key}.{self._job.format}"

    @property
    def _own(self) -> Path:
        return (self._job.out / OWN / self._name).parent

    @property
    def _done(self) -> Path:
        return self._job.out / OWN / "done" / f"{self._key}.json"

    def check_source(self) -> None:
        if self._source.state() != self._state:
            raise ValueError(f"{self._name} was changed while it was read")

    def begin(self) -> None:
        """Makes the folders, and looks for outputs of an earlier state of the input."""
        for folder in (self._folder, self._own):
            folder.mkdir(parents=True, exist_ok=True)
        head, tail = f"{Path(self._name).name}.", f".{self._job.format}"
        for path in sorted(self._folder.iterdir()):
            middle = path.name[len(head) : -len(tail)].split(".")
            ours = path.name.startswith(head) and path.name.endswith(tail) and len(middle) == 2
            if not ours or not middle[0].isdigit() or len(middle[1]) != len(self._key) or middle[1] == self._key:
                continue
            if not self._job.replace_changed:
                raise ValueError(
                    f"{self._name} is not what it was when {path.name} was made; replace_changed (--replace-changed) "
                    "removes what was made of it before"
                )
            path.unlink(missing_ok=True)

    def rows_done(self) -> int | None:
        """How many rows the input has, if all of its outputs were made before and are there."""
        try:
            rows = json.loads(self._done.read_text(encoding="utf-8"))["rows"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        n = self.count(rows)
        return rows if all(self.target(i).exists() for i in range(n)) else None

    def end(self, n_rows: int) -> None:
        write_once(self._done, json.dumps({"rows": n_rows}).encode())

    def count(self, n_rows: int) -> int:
        """How many outputs so many rows take; an input without rows has one, which says so."""
        return max(-(-n_rows // self._job.rows_per_file), 1)


class Run:
    def __init__(self, job: Job, inputs: Sequence[Input], on_progress: Callable[[Progress], None] | None) -> None:
        self._job, self._inputs, self._on_progress = job, inputs, on_progress
        self._summary = Summary(job.facts)
        self._clock = Clock([_size(source) for source in inputs])

    def all(self) -> Summary:
        later: list[Callable[[], None]] = []
        for i, source in enumerate(self._inputs):
            self._guarded(i, source, later)
        # What other processes had begun: it is there when they end, or is made here if they died.
        for wait in later:
            wait()
        self._summary.seconds = self._clock.seconds()
        return self._summary

    def _guarded(self, i: int, source: Input, later: list[Callable[[], None]]) -> None:
        one = FileSummary(source.name)
        self._summary.files.append(one)
        turn = Turn(self._job, source, one, lambda rows: self._tell(i, rows, one.rows))

        def take(wait: bool) -> None:
            try:
                ended = turn.take(wait)
            except OF_INPUT as error:
                text = str(error)
                one.error = text if source.name in text else f"{source.name}: {text}"
                ended = True
            if ended:
                self._clock.end(i)
                self._tell(i, 0, one.rows)
            else:
                later.append(lambda: take(True))

        take(False)

    def _tell(self, i: int, n_rows: int, of_rows: int) -> None:
        self._clock.embedded(i, n_rows, of_rows)
        if self._on_progress is not None:
            self._on_progress(self._clock.progress())


class Turn:
    """One input: takes what nobody has taken, and, waiting, what is still missing then."""

    def __init__(self, job: Job, source: Input, one: FileSummary, told: Callable[[int], None]) -> None:
        self._job, self._source, self._one, self._told = job, source, one, told

    def take(self, wait: bool) -> bool:
        """Whether all outputs are there now."""
        outputs = Outputs(self._job, self._source)
        outputs.begin()
        one = self._one
        n_rows = outputs.rows_done()
        missing: list[int] = []
        if n_rows is None:
            reader, n_rows = open_rows(self._source.path, self._source.name, self._job.id, self._job.text)
            one.rows, rows = n_rows, Rows(reader, self._source.name)
            kind = reader.id_type
            missing = [i for i in range(outputs.count(n_rows)) if not self._make(outputs, rows, kind, i, wait)]
        one.rows, n_outputs = n_rows, outputs.count(n_rows)
        one.outputs = n_outputs - len(missing)
        if not missing:
            outputs.end(n_rows)
        return not missing

    def _make(self, outputs: Outputs, rows: Rows, id_type: Any, number: int, wait: bool) -> bool:
        """Whether an output is there now."""
        first = number * self._job.rows_per_file
        last = min(first + self._job.rows_per_file, self._one.rows)
        target = outputs.target(number)
        with claimed(target, outputs.aside(number), wait) as file:
            if file is None:
                return target.exists()
            schema = self._schema(id_type, {"input": self._source.name, "first_row": first, "rows": last - first})
            with Writer(file, schema, self._job.format, self._job.id) as writer:
                for start in range(first, last, STEP):
                    self._write(writer, schema, rows.table(start, min(STEP, last - start)))
            outputs.check_source()
        return True

    def _write(self, writer: Writer, schema: Any, table: Any) -> None:
        texts = table.column(1)
        # One chunk, whatever batches it was read in: the bytes of a file must not tell.
        ids = pa.concat_arrays(table.column(0).chunks)
        columns = self._job.vectors.of(texts)
        writer.write(pa.Table.from_arrays([ids, *columns], schema=schema))
        self._one.embedded += len(table)
        self._one.nulls += texts.null_count
        self._told(len(table))

    def _schema(self, id_type: Any, place: dict[str, Any]) -> Any:
        vectors = self._job.vectors
        fields = [pa.field(name, kind) for name, kind in zip(vectors.names, vectors.types, strict=True)]
        metadata = {"headlane": json.dumps({**self._job.facts, **place}, sort_keys=True)}
        return pa.schema([pa.field(self._job.id, id_type), *fields], metadata)


class Clock:
    """How fast rows come, and how long the rest takes, by the bytes of the inputs."""

    def __init__(self, sizes: list[int]) -> None:
        self._sizes = sizes
        self._left = [float(size) for size in sizes]
        self._worked = 0.0  # bytes whose rows this run embedded
        self._n_rows = self._n_ended = 0
        self._began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def embedded(self, i: int, n_rows: int, of_rows: int) -> None:
        share = self._sizes[i] * n_rows / of_rows if of_rows else 0.0
        self._n_rows += n_rows
        self._worked += share
        self._left[i] = max(self._left[i] - share, 0.0)

    def end(self, i: int) -> None:
        self._n_ended += 1
        self._left[i] = 0.0

    def progress(self) -> Progress:
        seconds = self.seconds()
        left = seconds * sum(self._left) / self._worked if self._worked else None
        rate = self._n_rows / seconds if seconds else 0.0
        return Progress(len(self._sizes), self._n_ended, self._n_rows, rate, left)


def _size(source: Input) -> int:
    try:
        return source.state()[0]
    except OSError:
        return 0

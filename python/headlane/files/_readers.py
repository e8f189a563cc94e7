"""One reader for each kind of file. All give batches of two columns, the ids and the texts."""

from __future__ import annotations

import bisect
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from headlane._checked import utf8
from headlane._columns import is_text

_BATCH_ROWS = 4096
# A row of a CSV file must fit into a block.
_CSV_BLOCK = 8 << 20
# "" and "a ""b"" c": what hardly anything but a writer of CSV makes.
_QUOTED = r'(?s)^"(?:(?:[^"]|"")*""(?:[^"]|"")*)?"$'
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")


class Reader(Protocol):
    id_type: Any  # of the ids that batches have; once ids() has been read

    def ids(self) -> Iterator[Any]:
        """The column of ids, chunk by chunk. To be called first, and read to its end."""
        ...

    def start_of(self, row: int) -> int:
        """The last row, not after this one, that reading can begin at."""
        ...

    def batches(self, start: int) -> Iterator[Any]:
        """Batches from such a row on."""
        ...


class ParquetReader:
    def __init__(self, path: Path, name: str, id: str, text: str) -> None:
        self._file = pq.ParquetFile(path, pre_buffer=False)
        self._columns = [id, text]
        self.id_type = _check_columns(self._file.schema_arrow, name, id, text)
        metadata = self._file.metadata
        self._starts = [0]
        for i in range(metadata.num_row_groups):
            self._starts.append(self._starts[-1] + metadata.row_group(i).num_rows)

    def ids(self) -> Iterator[Any]:
        for batch in self._read(0, self._columns[:1]):
            yield _unfolded(batch.column(0))

    def start_of(self, row: int) -> int:
        return self._starts[max(bisect.bisect_right(self._starts, row) - 1, 0)]

    def batches(self, start: int) -> Iterator[Any]:
        for batch in self._read(start, self._columns):
            yield _two(batch, self._columns)

    def _read(self, start: int, columns: list[str]) -> Iterator[Any]:
        groups = range(bisect.bisect_left(self._starts, start), len(self._starts) - 1)
        yield from self._file.iter_batches(
            batch_size=_BATCH_ROWS, row_groups=list(groups), columns=columns, use_threads=False
        )


class ArrowReader:
    """Arrow's IPC format, a file or a stream."""

    def __init__(self, path: Path, name: str, id: str, text: str) -> None:
        self._path, self._columns = path, [id, text]
        with pa.OSFile(str(path)) as file:
            self._is_file = file.read(6) == b"ARROW1"
        with self._open([]) as opened:
            schema = opened.schema
        self.id_type = _check_columns(schema, name, id, text)
        self._places = [schema.get_field_index(column) for column in self._columns]
        self._starts: list[int] = []

    def _open(self, places: list[int]) -> Any:
        options = pa.ipc.IpcReadOptions(included_fields=places, use_threads=False)
        file = pa.OSFile(str(self._path))
        return (pa.ipc.open_file if self._is_file else pa.ipc.open_stream)(file, options=options)

    def ids(self) -> Iterator[Any]:
        self._starts = [0]
        for batch in self._read(0, self._places[:1]):
            batch.validate(full=True)
            self._starts.append(self._starts[-1] + len(batch))
            yield _unfolded(batch.column(0))

    def start_of(self, row: int) -> int:
        return self._starts[max(bisect.bisect_right(self._starts, row) - 1, 0)] if self._is_file else 0

    def batches(self, start: int) -> Iterator[Any]:
        for batch in self._read(bisect.bisect_left(self._starts, start), self._places):
            batch.validate(full=True)
            yield _two(batch, self._columns)

    def _read(self, first: int, places: list[int]) -> Iterator[Any]:
        with self._open(places) as opened:
            if self._is_file:
                for i in range(first, opened.num_record_batches):
                    yield opened.get_batch(i)
            else:
                yield from opened


class CsvReader:
    """Values as they are written, since CSV has no types. Of two separators with nothing between, that is a null; ""
    is an empty text. In .tsv a quote is a character as any other: texts that begin with one would take lines with them
    up to the next one."""

    def __init__(self, path: Path, name: str, id: str, text: str) -> None:
        self._path, self._name, self._columns = path, name, [id, text]
        self._quotes = suffix_of(path.name) != ".tsv"
        with self._open([]) as opened:
            _check_columns(opened.schema, name, id, text, typed=False)
        self.id_type = pa.string()

    def _open(self, columns: list[str]) -> Any:
        return pyarrow.csv.open_csv(
            pa.input_stream(str(self._path)),
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter="," if self._quotes else "\t",
                quote_char='"' if self._quotes else False,
                newlines_in_values=self._quotes,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={column: pa.string() for column in columns},
                include_columns=columns,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def ids(self) -> Iterator[Any]:
        with self._open(self._columns[:1]) as opened:
            for batch in opened:
                yield self._checked(batch.column(0))

    def start_of(self, row: int) -> int:
        return 0

    def batches(self, start: int) -> Iterator[Any]:
        with self._open(self._columns) as opened:
            for batch in opened:
                two = _two(batch, self._columns)
                self._checked(two.column(1))
                yield two

    def _checked(self, values: Any) -> Any:
        """What a writer of CSV quoted would be read with its quotes in .tsv, without a word."""
        if not self._quotes:
            quoted = values.filter(pc.match_substring_regex(values, _QUOTED))
            if len(quoted):
                raise ValueError(
                    f"{self._name}: the value {quoted[0].as_py()!r:.60} is quoted as in CSV, and in .tsv a quote is a "
                    "character as any other; write the file as .csv, .jsonl or .parquet"
                )
        return values


class JsonLinesReader:
    """An object a line; a line without the field of the text has a null there. Ids are all integers, or all strings."""

    def __init__(self, path: Path, name: str, id: str, text: str) -> None:
        self._path, self._name, self._columns = path, name, [id, text]
        self.id_type: Any = None  # as the first row has it
        self._has_text = False

    def ids(self) -> Iterator[Any]:
        n_rows = 0
        for batch in self.batches(0):
            n_rows += len(batch)
            yield batch.column(0)
        if n_rows == 0:
            self.id_type = pa.string()
        elif not self._has_text:
            raise ValueError(f"{self._name}: no line has the field {self._columns[1]!r}")

    def start_of(self, row: int) -> int:
        return 0

    def batches(self, start: int) -> Iterator[Any]:
        rows: list[tuple[Any, Any]] = []
        with pa.input_stream(str(self._path)) as file:
            for number, line in enumerate(io.BufferedReader(file), 1):
                if line.isspace():
                    continue
                rows.append(self._row(f"{self._name}: line {number}", line))
                if len(rows) == _BATCH_ROWS:
                    yield self._batch(rows)
                    rows = []
        if rows:
            yield self._batch(rows)

    def _batch(self, rows: list[tuple[Any, Any]]) -> Any:
        ids, texts = zip(*rows, strict=True)
        # Lines may be long, and 4096 of them more than 32-bit offsets reach.
        columns = [pa.array(ids, self.id_type), pa.array(texts, pa.large_string())]
        return pa.RecordBatch.from_arrays(columns, self._columns)

    def _row(self, place: str, line: bytes) -> tuple[Any, Any]:
        id, text = self._columns
        try:
            row = json.loads(line.decode("utf-8-sig" if place.endswith(" 1") else "utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{place} is not JSON in UTF-8: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"{place} is no JSON object")
        self._has_text = self._has_text or text in row
        found = row.get(id), row.get(text)
        self._check_id(place, found[0])
        if found[1] is not None and not isinstance(found[1], str):
            raise TypeError(f"{place} has {found[1]!r:.40} as {text!r}, which is no text")
        if b"\\u" in line:  # what a line escapes may be half of a surrogate pair
            for value in found:
                if isinstance(value, str):
                    utf8(place, value)
        return found

    def _check_id(self, place: str, value: Any) -> None:
        if value is None:
            raise ValueError(f"{place} has no id in the field {self._columns[0]!r}")
        number = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        if not number and not isinstance(value, str):
            raise TypeError(f"{place} has the id {value!r:.40}, which is no string, and no integer of 64 bits")
        kind = pa.int64() if number else pa.string()
        if self.id_type is None:
            self.id_type = kind
        if kind != self.id_type:
            raise TypeError(f"{place} has the id {value!r:.40}, where the first line's is of type {self.id_type}")


_READERS: dict[str, Any] = {
    ".parquet": ParquetReader,
    ".pq": ParquetReader,
    ".arrow": ArrowReader,
    ".arrows": ArrowReader,
    ".ipc": ArrowReader,
    ".feather": ArrowReader,
    ".jsonl": JsonLinesReader,
    ".ndjson": JsonLinesReader,
    ".json": JsonLinesReader,
    ".csv": CsvReader,
    ".tsv": CsvReader,
}
_LINES = (JsonLinesReader, CsvReader)


def suffix_of(name: str) -> str | None:
    """The suffix of a name that tells the kind of its file, before that of a compression; None of other names."""
    path = Path(name)
    compressed = path.suffix in _COMPRESSED
    suffix = Path(path.stem).suffix if compressed else path.suffix
    known = suffix in _READERS and not (compressed and _READERS[suffix] not in _LINES)
    return suffix if known else None


def reader_of(path: Path, name: str, id: str, text: str) -> Reader:
    suffix = suffix_of(path.name)
    if suffix is None:
        raise ValueError(
            f"{name} is none of the files that are read: {', '.join(_READERS)}; those of lines also with "
            f"{', '.join(_COMPRESSED)}"
        )
    reader: Reader = _READERS[suffix](path, name, id, text)
    return reader


def _check_columns(schema: Any, name: str, id: str, text: str, typed: bool = True) -> Any:
    """The type of the ids that batches have."""
    for column in (id, text):
        n = schema.names.count(column)
        if n == 0:
            shown = ", ".join(map(repr, schema.names[:20]))
            raise ValueError(f"{name} has no column {column!r}; its columns are {shown}")
        if n > 1:
            raise ValueError(f"{name} has {n} columns called {column!r}")
    kind = schema.field(text).type
    if typed and not is_text(kind):
        raise TypeError(f"{name}: texts are strings, and the column {text!r} is of type {kind}")
    return _unfolded(pa.array([], schema.field(id).type)).type


def _unfolded(ids: Any) -> Any:
    """Ids of a dictionary, or of views, as plain ones, so that all outputs of an input have the same type."""
    kind = ids.type
    if pa.types.is_dictionary(kind):
        return _unfolded(ids.dictionary.take(ids.indices))
    if pa.types.is_string_view(kind):
        return ids.cast(pa.large_string())
    return ids.cast(pa.large_binary()) if pa.types.is_binary_view(kind) else ids


def _two(batch: Any, columns: list[str]) -> Any:
    """The two columns in the order that everything else presumes."""
    id, text = (batch.column(batch.schema.get_field_index(column)) for column in columns)
    return pa.RecordBatch.from_arrays([_unfolded(id), text], columns)

"""Columns of texts to columns of vectors, as Arrow has them: what files, Ray, Spark and others share."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headlane.embedder import Embedder

DType = Literal["float32", "float16", "int8", "binary"]
Task = Literal["query", "document"]
DTYPES = ("float32", "float16", "int8", "binary")


class VectorColumns:
    """What becomes of a column of texts. A vector's bits depend on its text alone, never on what is beside it.

    into: the name of the column of vectors. dtype: what their numbers are, computed in float32:
        "float32", "float16"; "int8": vector = into_scale * bytes, where a column of that name has the scale of each,
        so that its largest number is 127 or -127; "binary": the signs, eight in a byte, as "ubinary" of encode.
    prompt, prompt_name, task: what is put before each text; task: as encode_query or encode_document has it.
    sized: lists of a fixed size, and bytes of one; else what engines without these take."""

    def __init__(
        self,
        model: Embedder,
        *,
        into: str = "vector",
        dtype: DType = "float32",
        prompt: str | None = None,
        prompt_name: str | None = None,
        task: Task | None = None,
        normalize_embeddings: bool = False,
        sized: bool = True,
    ) -> None:
        check_dtype(dtype)
        self.model, self.into, self.dtype = model, into, dtype
        self.prompt = model._prompt(prompt, prompt_name or (_prompt_of(model, task) if prompt is None else None))
        self.normalize, self.sized = normalize_embeddings, sized
        self.dim = model.get_embedding_dimension()

    @property
    def names(self) -> list[str]:
        """Of the columns that of() gives."""
        return names_of(self.into, self.dtype)

    @property
    def types(self) -> list[Any]:
        """Of these columns, as Arrow has them."""
        if self.dtype == "binary":
            return [pa.binary(-(-self.dim // 8) if self.sized else -1)]
        number = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8()}[self.dtype]
        vector = pa.list_(number, self.dim) if self.sized else pa.list_(number)
        return [vector, pa.float32()] if self.dtype == "int8" else [vector]

    def of(self, texts: Any) -> list[Any]:
        """The columns of an array of texts, or a chunked array, each as one array; a null stays null."""
        column = as_texts(texts)
        n_nulls = column.null_count
        rows = np.zeros((len(column), self.dim), np.float32)
        valid = slice(None) if n_nulls == 0 else np.flatnonzero(column.is_valid().to_numpy())
        if n_nulls < len(column):
            rows[valid] = self.model.encode(
                column.drop_null(),
                prompt=self.prompt,
                normalize_embeddings=self.normalize,
                show_progress_bar=False,
            )
        nulls = None if n_nulls == 0 else pa.array(column.is_null().to_numpy())
        return self._columns(rows, nulls)

    def _columns(self, rows: NDArray[np.float32], nulls: Any) -> list[Any]:
        if self.dtype == "binary":
            return [self._bytes(np.packbits(rows > 0, axis=1), nulls)]
        if self.dtype == "int8":
            scales = np.abs(rows).max(axis=1, initial=0) / np.float32(127)
            steps = np.rint(rows / np.where(scales == 0, np.float32(1), scales)[:, None])
            mask = None if nulls is None else nulls.to_numpy(zero_copy_only=False)
            return [self._lists(np.clip(steps, -127, 127).astype(np.int8), nulls), pa.array(scales, mask=mask)]
        if self.dtype == "float16":
            with np.errstate(over="ignore"):
                halves = rows.astype(np.float16)
            if np.isinf(halves).any() and not np.isinf(rows).any():
                raise ValueError("a vector has a number beyond 65504, which float16 has not; take float32")
            return [self._lists(halves, nulls)]
        return [self._lists(rows, nulls)]

    def _lists(self, rows: NDArray[Any], nulls: Any) -> Any:
        values = pa.array(rows.reshape(-1))
        if self.sized:
            return pa.FixedSizeListArray.from_arrays(values, self.dim, mask=nulls)
        if rows.size >= 2**31:
            raise ValueError(f"{len(rows)} vectors of {self.dim} numbers are more than a list's 32-bit offsets reach")
        offsets = pa.array(np.arange(0, rows.size + 1, self.dim, dtype=np.int32))
        return pa.ListArray.from_arrays(offsets, values, mask=nulls)

    def _bytes(self, rows: NDArray[np.uint8], nulls: Any) -> Any:
        width = rows.shape[1]
        validity = None if nulls is None else pc.invert(nulls).buffers()[1]
        data = pa.py_buffer(rows)
        if self.sized:
            return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), [validity, data])
        offsets = pa.py_buffer(np.arange(0, rows.size + 1, width, dtype=np.int32))
        return pa.Array.from_buffers(pa.binary(), len(rows), [validity, offsets, data])


def check_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}, and must be one of {DTYPES}")


def names_of(into: str, dtype: str) -> list[str]:
    return [into, f"{into}_scale"] if dtype == "int8" else [into]


def _prompt_of(model: Embedder, task: Task | None) -> str | None:
    if task is None:
        return None
    if task == "query":
        return "query"
    if task == "document":
        return model._document_prompt()
    raise ValueError(f"task is {task!r}, and must be None, 'query' or 'document'")


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is one of texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def as_texts(texts: Any) -> Any:
    """An array of texts as a chunked array of string or large_string. What is one already stays where it lies."""
    column = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts])
    kind = column.type
    if not is_text(kind):
        raise TypeError(f"texts are strings, and this column is of type {kind}")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column
    # Texts that are unfolded may be more than 32-bit offsets reach.
    if pa.types.is_dictionary(kind) and not pa.types.is_null(kind.value_type):
        chunks = [chunk.dictionary.cast(pa.large_string()).take(chunk.indices) for chunk in column.chunks]
        return pa.chunked_array(chunks, pa.large_string())
    return column.cast(pa.large_string())

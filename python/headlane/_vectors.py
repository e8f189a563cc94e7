"""What is done with vectors after the model: shorter ones, bytes and bits, similarities. All on numpy."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")

Floats = NDArray[np.float32]


def normalized(vectors: Floats) -> Floats:
    """Each row with length 1; a row of zeros stays one."""
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors, dtype=np.float32))
    shorter: Floats = vectors / np.maximum(lengths, np.float32(1e-12))[..., None]
    return shorter


def quantized(vectors: Floats, precision: str) -> NDArray[Any]:
    """[n, dim] floats as bytes (each column's range in 255 steps) or as bits (the signs, eight in a byte)."""
    if precision in ("binary", "ubinary"):
        bits = np.packbits(vectors > 0, axis=-1)
        return bits if precision == "ubinary" else (bits ^ 0x80).view(np.int8)
    n = len(vectors)
    if n == 1:
        raise ValueError(
            f"precision {precision!r} takes each column's range from the vectors of the call, and there is only one "
            "vector; encode more texts together, or as float32"
        )
    if n < 100:
        logging.getLogger("headlane").warning(
            "the ranges of precision %r come from %d vectors only; 100 or more make them stable", precision, n
        )
    low, high = vectors.min(axis=0), vectors.max(axis=0)
    steps = (high - low) / 255
    steps = np.where(steps == 0, np.float32(1), steps)
    levels = np.clip(np.floor((vectors - low) / steps), 0, 255)
    made: NDArray[Any] = levels.astype(np.uint8) if precision == "uint8" else (levels - 128).astype(np.int8)
    return made


def checked_dim(dim: int | None) -> int | None:
    """truncate_dim, if it is one."""
    if dim is not None and (isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1):
        raise ValueError(f"truncate_dim must be a positive integer or None, and is {dim!r}")
    return None if dim is None else int(dim)


def finished(rows: Floats, shorter: int | None, normalize: bool, precision: str) -> NDArray[Any]:
    """Whole vectors of the model as encode's options want them."""
    vectors = rows if shorter is None else rows[:, :shorter]
    if normalize:
        vectors = normalized(vectors)
    if precision != "float32":
        return quantized(vectors, precision)
    return np.ascontiguousarray(vectors)


def _rows(name: str, vectors: ArrayLike) -> Floats:
    rows = np.asarray(vectors)
    if rows.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be numbers, and has dtype {rows.dtype}")
    rows = rows.astype(np.float32, copy=False)
    if rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2:
        raise ValueError(f"{name} must be [n, dim] or [dim], and has shape {rows.shape}")
    return rows


def _two(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    a, b = _rows("embeddings1", first), _rows("embeddings2", second)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"embeddings1 has vectors of {a.shape[1]} numbers, embeddings2 of {b.shape[1]}")
    return a, b


def similarity(kind: str, first: ArrayLike, second: ArrayLike) -> Floats:
    """[n1, n2]: of each of the first to each of the second. Distances are negative, so that larger is more alike."""
    a, b = _two(first, second)
    if kind == "cosine":
        a, b = normalized(a), normalized(b)
    if kind in ("cosine", "dot"):
        products: Floats = a @ b.T
        return products
    result = np.empty((len(a), len(b)), np.float32)
    for i, row in enumerate(a):  # a row at a time: all differences at once would be n1 * n2 * dim numbers
        result[i] = _distances(kind, row[None], b)
    return result


def similarity_pairwise(kind: str, first: ArrayLike, second: ArrayLike) -> Floats:
    """[n]: of each of the first to the second at the same place."""
    a, b = _two(first, second)
    if len(a) != len(b):
        raise ValueError(f"embeddings1 has {len(a)} vectors, embeddings2 {len(b)}")
    if kind == "cosine":
        a, b = normalized(a), normalized(b)
    if kind in ("cosine", "dot"):
        sums: Floats = np.einsum("ij,ij->i", a, b)
        return sums
    return _distances(kind, a, b)


def _distances(kind: str, a: Floats, b: Floats) -> Floats:
    difference = a - b
    if kind == "manhattan":
        far: Floats = -np.abs(difference).sum(axis=-1)
        return far
    straight: Floats = -np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return straight

"""Where results are written, and what they are returned as."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def as_rows(out: object, n_texts: int, single: bool) -> NDArray[Any]:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array of numpy, and is {type(out).__name__}")
    rows = out[None] if single and out.ndim == 1 else out
    if rows.ndim != 2 or len(rows) != n_texts:
        raise ValueError(f"out must be [{n_texts}, dim], and has shape {out.shape}")
    if not rows.flags.writeable:
        raise ValueError("out may not be written")
    return rows


def checked(rows: NDArray[Any], dim: int) -> Floats:
    if rows.dtype != np.float32 or not rows.dtype.isnative:
        raise ValueError(f"out must be float32, and is {rows.dtype}")
    if rows.shape[1] != dim:
        raise ValueError(f"out must have {dim} columns, and has {rows.shape[1]}")
    far_enough = len(rows) < 2 or (rows.strides[0] >= 4 * dim and rows.strides[0] % 4 == 0)
    if (dim > 1 and rows.strides[1] != 4) or not far_enough or not rows.flags.aligned:
        raise ValueError("the numbers of a row of out must lie one behind the other, and each row after the one before")
    return rows


def write(rows: NDArray[Any], made: NDArray[Any]) -> None:
    if rows.shape != made.shape or rows.dtype != made.dtype:
        raise ValueError(f"out must be {list(made.shape)} of {made.dtype}, and is {list(rows.shape)} of {rows.dtype}")
    rows[...] = made


def converted(vectors: NDArray[Any], to_numpy: bool, to_tensor: bool, single: bool) -> Any:
    made: Any = vectors
    if to_tensor:
        try:
            torch = importlib.import_module("torch")
        except ImportError as error:
            raise ImportError("convert_to_tensor needs torch; without it encode returns arrays of numpy") from error
        made = torch.from_numpy(vectors)
    elif not to_numpy:
        made = list(vectors)
    return made[0] if single else made

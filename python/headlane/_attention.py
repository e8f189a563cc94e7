"""Attention for models of your own, on arrays of numpy and whatever has DLPack (torch, jax, ...)."""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import byref, c_void_p
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headlane import _abi
from headlane._library import Handle, check, lib
from headlane._model import threads_asked_for

Floats = NDArray[np.float32]


def as_array(name: str, given: Any) -> NDArray[Any]:
    """The array of what was given, in its own memory where that is the CPU's."""
    if isinstance(given, np.ndarray):
        return given
    if hasattr(given, "__dlpack__"):
        if getattr(given, "requires_grad", False):
            given = given.detach()
        return np.from_dlpack(given)
    if isinstance(given, (list, tuple)):
        return np.asarray(given)
    raise TypeError(f"{name} must be an array of numpy or of DLPack, and is {type(given).__name__}")


def floats_of(name: str, given: Any, n_dims: tuple[int, ...]) -> Floats:
    array = as_array(name, given)
    if array.dtype != np.float32 or not array.dtype.isnative:
        raise TypeError(f"{name} must be float32, and is {array.dtype}")
    if array.ndim not in n_dims:
        raise ValueError(f"{name} has {array.ndim} dimensions, and must have {' or '.join(map(str, n_dims))}")
    steps = [stride % 4 or stride < 0 for stride, n in zip(array.strides, array.shape, strict=True) if n > 1]
    if any(steps) or (array.shape[-1] > 1 and array.strides[-1] != 4) or not array.flags.aligned:
        return np.ascontiguousarray(array)
    return array


def _lengths(name: str, given: Any, n_seqs: int, most: int) -> NDArray[np.int64] | None:
    if given is None:
        return None
    array = as_array(name, given)
    if array.shape != (n_seqs,) or array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be {n_seqs} integers, one for each sequence")
    if n_seqs and (array.min() < 0 or array.max() > most):
        raise ValueError(f"{name} must be 0 to {most}")
    return np.ascontiguousarray(array, np.int64)


class Handles:
    """Handles of one kind that nobody uses, by what they were made with; the least recently used ones end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._idle: list[tuple[Any, Handle]] = []
        self._pid = os.getpid()

    def take(self, key: Any) -> Handle | None:
        with self._lock:
            if self._pid != os.getpid():  # a child's own: its parent's have no threads here
                for _, handle in self._idle:
                    handle.address = 0
                self._idle, self._pid = [], os.getpid()
            for i, (made_with, handle) in enumerate(self._idle):
                if made_with == key:
                    del self._idle[i]
                    return handle
        return None

    def give(self, key: Any, handle: Handle) -> None:
        with self._lock:
            self._idle.append((key, handle))
            if len(self._idle) > self._most:
                del self._idle[0]


_attentions = Handles(16)

_CAUSAL = {
    False: _abi.HEADLANE_CAUSAL_NONE,
    True: _abi.HEADLANE_CAUSAL_UPPER_LEFT,
    "upper_left": _abi.HEADLANE_CAUSAL_UPPER_LEFT,
    "lower_right": _abi.HEADLANE_CAUSAL_LOWER_RIGHT,
}


class _Scores:
    """A mask or a bias, broadcast over sequences, heads and queries by strides of 0."""

    def __init__(self, given: Any, shape: tuple[int, int, int, int]) -> None:
        self.mask: NDArray[np.uint8] | None = None
        self.bias: Floats | None = None
        self.strides: tuple[int, ...] = (0, 0, 0)
        if given is None:
            return
        array = as_array("attn_mask", given)
        if array.dtype == np.bool_:
            kept: NDArray[Any] = array.view(np.uint8)
        elif array.dtype == np.float32:
            kept = array
        else:
            raise TypeError(f"attn_mask must be bool (True: may be seen) or float32 (added), and is {array.dtype}")
        if kept.ndim > 4 or kept.ndim == 0:
            raise ValueError(f"attn_mask has {kept.ndim} dimensions, and must have 1 to 4")
        if kept.shape[-1] not in (1, shape[3]):
            raise ValueError(f"attn_mask has shape {array.shape}, which does not broadcast to {shape}")
        if kept.shape[-1] != shape[3] or (kept.shape[-1] > 1 and kept.strides[-1] != kept.itemsize):
            kept = np.ascontiguousarray(np.broadcast_to(kept, (*kept.shape[:-1], shape[3])))
        if any(stride < 0 or stride % kept.itemsize for stride in kept.strides):
            kept = np.ascontiguousarray(kept)
        try:
            wide = np.broadcast_to(kept, shape)
        except ValueError:
            raise ValueError(f"attn_mask has shape {array.shape}, which does not broadcast to {shape}") from None
        self.strides = tuple(stride // kept.itemsize for stride in wide.strides[:3])
        if array.dtype == np.bool_:
            self.mask = wide
        else:
            self.bias = wide

    def set(self, batch: Any) -> None:
        for name, array in (("mask", self.mask), ("bias", self.bias)):
            if array is not None:
                setattr(batch, name, array.__array_interface__["data"][0])
                for field, stride in zip(("seq", "head", "query"), self.strides, strict=True):
                    setattr(batch, f"{name}_{field}_stride", stride)


def address_of_array(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def steps_of(array: NDArray[Any]) -> tuple[int, ...]:
    """Strides in elements; of a dimension of one row, 0 as well as anything."""
    return tuple(stride // array.itemsize for stride in array.strides)


def attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    is_causal: bool | Literal["upper_left", "lower_right"] = False,
    scale: float | None = None,
    *,
    q_lengths: Any = None,
    kv_lengths: Any = None,
    window: tuple[int | None, int | None] = (None, None),
    softcap: float = 0.0,
    alibi_slopes: Any = None,
    sinks: Any = None,
    need_weights: bool = False,
    out: Floats | None = None,
    n_threads: int | None = None,
    isa: str | None = None,
) -> Any:
    """softmax(query key^T scale + mask) value, as torch's scaled_dot_product_attention, in float32.

    query [seqs, heads, q_len, head_dim], key [seqs, kv_heads, kv_len, head_dim] and value [seqs, kv_heads, kv_len,
    v_dim], or all of them without the first dimension; kv_heads may be a divisor of heads. Their memory is read where
    it lies, whatever the strides, if the numbers of a row lie one behind the other.

    attn_mask: bool (True: may be seen) or float32 (added), broadcast to [seqs, heads, q_len, kv_len].
    is_causal: True is "upper_left", query i sees keys 0 to i; "lower_right": the last query sees all keys.
    q_lengths, kv_lengths: [seqs], how many rows are real; others are not read, and rows of the result become 0.
    window: how many keys before and after its own position a query sees; None: all.
    alibi_slopes, sinks: [heads]. softcap: scores become softcap * tanh(score / softcap).
    need_weights: (result, weights [seqs, heads, q_len, kv_len]) is returned.
    out: where to write, like the result, [seqs, heads, q_len, v_dim].
    A query that sees no key gets zeros."""
    q, k, v = (floats_of(name, x, (3, 4)) for name, x in (("query", query), ("key", key), ("value", value)))
    single = q.ndim == 3
    if k.ndim != q.ndim or v.ndim != q.ndim:
        raise ValueError("query, key and value must have as many dimensions")
    if single:
        q, k, v = q[None], k[None], v[None]
    n_seqs, n_heads, q_len, head_dim = q.shape
    n_kv_heads, kv_len, v_dim = k.shape[1], k.shape[2], v.shape[3]
    if k.shape != (n_seqs, n_kv_heads, kv_len, head_dim) or v.shape[:3] != k.shape[:3]:
        raise ValueError(f"query, key and value have shapes {q.shape}, {k.shape} and {v.shape}, which do not fit")
    if is_causal not in _CAUSAL:
        raise ValueError(f"is_causal is {is_causal!r}, and must be a bool, 'upper_left' or 'lower_right'")
    if scale is not None and not scale > 0:
        raise ValueError(f"scale is {scale}, and must be more than 0")
    shape = (n_seqs, n_heads, q_len, v_dim)
    if out is None:
        result = np.empty((n_seqs, q_len, n_heads, v_dim), np.float32).transpose(0, 2, 1, 3)
    else:
        result = _check_result(out[None] if single else out, shape)
    scores = _Scores(attn_mask, (n_seqs, n_heads, q_len, kv_len))
    per_head = {name: _per_head(name, x, n_heads) for name, x in (("alibi_slopes", alibi_slopes), ("sinks", sinks))}
    lengths = _lengths("q_lengths", q_lengths, n_seqs, q_len), _lengths("kv_lengths", kv_lengths, n_seqs, kv_len)
    weights = np.zeros((n_seqs, n_heads, q_len, kv_len), np.float32) if need_weights else None

    options = _abi.headlane_attention_options()
    options.n_heads, options.n_kv_heads, options.head_dim, options.v_dim = n_heads, n_kv_heads, head_dim, v_dim
    options.scale, options.softcap, options.causal = scale or 0.0, softcap, _CAUSAL[is_causal]
    options.window_left, options.window_right = (_window(keys) for keys in window)
    options.n_threads = threads_asked_for(n_threads)
    for name, array in per_head.items():
        setattr(options, name, address_of_array(array) if array is not None else None)
    isa_text = ctypes.create_string_buffer(isa.encode()) if isa is not None else None
    options.isa = ctypes.addressof(isa_text) if isa_text is not None else None
    made_with = (
        tuple(getattr(options, name) for name in ("n_heads", "n_kv_heads", "head_dim", "v_dim", "scale", "softcap")),
        (options.causal, options.window_left, options.window_right, options.n_threads, isa),
        tuple(None if array is None else array.tobytes() for array in per_head.values()),
    )
    batch = _abi.headlane_attention_batch()
    batch.n_seqs, batch.q_len, batch.kv_len = n_seqs, q_len, kv_len
    for name, array in (("q", q), ("k", k), ("v", v), ("o", result)):
        heads = getattr(batch, name)
        heads.data = address_of_array(array)
        heads.seq_stride, heads.head_stride, heads.token_stride, _ = steps_of(array)
    if lengths[0] is not None:
        batch.q_lengths = address_of_array(lengths[0])
    if lengths[1] is not None:
        batch.kv_lengths = address_of_array(lengths[1])
    scores.set(batch)
    maps = _abi.headlane_attention_maps()
    if weights is not None:
        maps.data = address_of_array(weights)
        maps.seq_stride, maps.head_stride, maps.query_stride, _ = steps_of(weights)
        batch.maps = ctypes.addressof(maps)

    handle = _attentions.take(made_with)
    if handle is None:
        made = c_void_p()
        check(lib.headlane_attention_create(byref(options), byref(made)))
        handle = Handle(made.value or 0, lib.headlane_attention_destroy)
    if n_seqs and q_len:
        check(lib.headlane_attention_run(handle.address, byref(batch)))
    _attentions.give(made_with, handle)
    answer: Any = out if out is not None else (result[0] if single else result)
    if weights is None:
        return answer
    return answer, weights[0] if single else weights


def _window(keys: int | None) -> int:
    """As the library has it: 0 is all, -1 is none."""
    if keys is None:
        return 0
    if isinstance(keys, bool) or not isinstance(keys, (int, np.integer)) or keys < 0:
        raise ValueError(f"window is {keys!r} keys, and must be 0 or more, or None")
    return int(keys) or -1


def _per_head(name: str, given: Any, n_heads: int) -> Floats | None:
    if given is None:
        return None
    array = np.ascontiguousarray(as_array(name, given), np.float32)
    if array.shape != (n_heads,):
        raise ValueError(f"{name} must be [{n_heads}], one number for each head, and has shape {array.shape}")
    return array


def _check_result(out: object, shape: tuple[int, ...]) -> Floats:
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or out.shape != shape:
        raise ValueError(f"out must be float32 of shape {shape}")
    if not out.flags.writeable or not out.flags.aligned or (out.shape[-1] > 1 and out.strides[-1] != 4):
        raise ValueError("out must be writeable, and the numbers of a row must lie one behind the other")
    return out

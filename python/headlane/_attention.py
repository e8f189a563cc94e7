"""Attention and a layer of it, for models of your own, on arrays of numpy and whatever has DLPack (torch, jax, ...)."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping
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


def _floats(name: str, given: Any, n_dims: tuple[int, ...]) -> Floats:
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


class _Handles:
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


_attentions = _Handles(16)

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


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _steps(array: NDArray[Any]) -> tuple[int, ...]:
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
    q, k, v = (_floats(name, x, (3, 4)) for name, x in (("query", query), ("key", key), ("value", value)))
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
        setattr(options, name, _address(array) if array is not None else None)
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
        heads.data = _address(array)
        heads.seq_stride, heads.head_stride, heads.token_stride, _ = _steps(array)
    if lengths[0] is not None:
        batch.q_lengths = _address(lengths[0])
    if lengths[1] is not None:
        batch.kv_lengths = _address(lengths[1])
    scores.set(batch)
    maps = _abi.headlane_attention_maps()
    if weights is not None:
        maps.data = _address(weights)
        maps.seq_stride, maps.head_stride, maps.query_stride, _ = _steps(weights)
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


class MultiheadAttention:
    """torch's nn.MultiheadAttention from its weights, for inference: softmax(scores) with projections before and
    after. Arrays are [seqs, len, embed_dim] if batch_first, else [len, seqs, embed_dim]; or [len, embed_dim].

    state: the module's state_dict(), or arrays by the same names: in_proj_weight (or q_proj_weight, k_proj_weight and
    v_proj_weight), in_proj_bias, out_proj.weight, out_proj.bias. Weights are copied."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        state: Mapping[str, Any],
        *,
        batch_first: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        precision: Literal["f32", "bf16", "int8", "auto"] | None = None,
        n_threads: int | None = None,
    ) -> None:
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"embed_dim is {embed_dim}, and must be a multiple of num_heads, which is {num_heads}")
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        left = dict(state)

        def weight(name: str, shape: tuple[int, ...]) -> Floats | None:
            if name not in left:
                return None
            array = np.ascontiguousarray(as_array(name, left.pop(name)), np.float32)
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, and must have {shape}")
            return array

        e = embed_dim
        packed = weight("in_proj_weight", (3 * e, e)) if (self.kdim, self.vdim) == (e, e) else None
        single = [
            weight(f"{name}_proj_weight", (e, columns)) for name, columns in zip("qkv", (e, kdim or e, vdim or e), strict=True)
        ]
        in_bias, out_bias = weight("in_proj_bias", (3 * e,)), weight("out_proj.bias", (e,))
        out_weight = weight("out_proj.weight", (e, e))
        parts = [packed[i * e : (i + 1) * e] for i in range(3)] if packed is not None else single
        if out_weight is None or any(part is None for part in parts):
            raise ValueError("state must have in_proj_weight (or q_, k_ and v_proj_weight) and out_proj.weight")
        if left:
            raise ValueError(f"state has {sorted(left)}, which a MultiheadAttention here has not got")

        of_attention = _abi.headlane_attention_options()
        of_attention.n_heads, of_attention.head_dim = num_heads, e // num_heads
        options = _abi.headlane_layer_options()
        options.d_model, options.kdim, options.vdim = e, self.kdim, self.vdim
        options.attention = ctypes.addressof(of_attention)
        for i, (name, part) in enumerate(zip("qkv", parts, strict=True)):
            linear = getattr(options, name)
            linear.weight = _address(part) if part is not None else None
            if in_bias is not None:
                linear.bias = _address(in_bias[i * e :])
        options.out.weight = _address(out_weight)
        if out_bias is not None:
            options.out.bias = _address(out_bias)
        of_model = _abi.headlane_model_options()
        name_of_precision = ctypes.create_string_buffer((precision or "f32").encode())
        of_model.precision = ctypes.addressof(name_of_precision)
        self._n_threads = of_model.n_threads = threads_asked_for(n_threads)
        made = c_void_p()
        check(lib.headlane_model_create_layer(byref(options), byref(of_model), byref(made)))
        self._model = Handle(made.value or 0, lib.headlane_model_destroy)
        self._sessions = _Handles(8)

    @classmethod
    def from_torch(cls, module: Any, **options: Any) -> MultiheadAttention:
        """Of a torch.nn.MultiheadAttention; what it has and this class has not is refused."""
        if module.bias_k is not None or module.bias_v is not None or module.add_zero_attn:
            raise ValueError("add_bias_kv and add_zero_attn are not supported; headlane.convert takes add_zero_attn")
        return cls(
            module.embed_dim,
            module.num_heads,
            module.state_dict(),
            batch_first=module.batch_first,
            kdim=module.kdim,
            vdim=module.vdim,
            **options,
        )

    def __call__(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Floats, Floats | None]:
        """(result, weights or None), as the module's forward. Masks are torch's: True hides, floats are added.
        is_causal: query i sees keys 0 to i, without attn_mask too (torch takes it for a hint about attn_mask)."""
        x, k, v = (self._rows(name, given) for name, given in (("query", query), ("key", key), ("value", value)))
        unbatched = as_array("query", query).ndim == 2
        n_seqs, q_len, _ = x.shape
        kv_len = k.shape[1]
        if k.shape != (n_seqs, kv_len, self.kdim) or v.shape != (n_seqs, kv_len, self.vdim):
            raise ValueError(f"query, key and value have shapes {x.shape}, {k.shape} and {v.shape}, which do not fit")
        bias = self._bias(n_seqs, q_len, kv_len, key_padding_mask, attn_mask, is_causal)
        result = np.zeros((n_seqs, q_len, self.embed_dim), np.float32)
        weights = np.zeros((n_seqs, self.num_heads, q_len, kv_len), np.float32) if need_weights else None

        batch = _abi.headlane_forward_batch()
        batch.n_seqs, batch.q_len, batch.kv_len = n_seqs, q_len, kv_len
        for name, array in (("x", x), ("key", k), ("value", v), ("out", result)):
            rows = getattr(batch, name)
            rows.data = _address(array)
            rows.seq_stride, rows.token_stride = array.shape[1] * array.shape[2], array.shape[2]
        if bias is not None:
            batch.bias = _address(bias)
            batch.bias_seq_stride, batch.bias_head_stride, batch.bias_query_stride, _ = _steps(bias)
        maps = _abi.headlane_attention_maps()
        if weights is not None:
            maps.data = _address(weights)
            maps.seq_stride, maps.head_stride, maps.query_stride, _ = _steps(weights)
            batch.maps = ctypes.addressof(maps)
        if n_seqs and q_len:
            self._run(batch, n_seqs, q_len, kv_len)
        if weights is not None and average_attn_weights:
            weights = weights.mean(axis=1)
        if unbatched:
            return result[0], None if weights is None else weights[0]
        return result if self.batch_first else result.transpose(1, 0, 2), weights

    def _run(self, batch: Any, n_seqs: int, q_len: int, kv_len: int) -> None:
        sizes = tuple(1 << (n - 1).bit_length() for n in (n_seqs, max(q_len, 1), max(kv_len, 1)))
        session = self._sessions.take(sizes)
        if session is None:
            options = _abi.headlane_session_options()
            options.max_seqs, options.max_len = sizes[0], max(sizes[1:])
            options.max_tokens, options.max_kv_tokens = sizes[0] * sizes[1], sizes[0] * sizes[2]
            options.max_tokens = max(options.max_tokens, options.max_len)
            options.max_kv_tokens = max(options.max_kv_tokens, options.max_len)
            options.cross_attention = 1
            options.n_threads = self._n_threads
            made = c_void_p()
            check(lib.headlane_session_create(self._model.address, byref(options), byref(made)))
            session = Handle(made.value or 0, lib.headlane_session_destroy, keep=self._model)
        check(lib.headlane_session_forward(session.address, byref(batch)))
        self._sessions.give(sizes, session)

    def _rows(self, name: str, given: Any) -> Floats:
        array = _floats(name, given, (2, 3))
        if array.ndim == 2:
            array = array[None]
        elif not self.batch_first:
            array = array.transpose(1, 0, 2)
        return np.ascontiguousarray(array)

    def _bias(
        self, n_seqs: int, q_len: int, kv_len: int, padding: Any, mask: Any, is_causal: bool
    ) -> Floats | None:
        """What is added to the scores, [seqs or 1, heads or 1, queries, keys], broadcast by strides of 0."""
        total: NDArray[Any] | None = None
        if mask is not None:
            array = as_array("attn_mask", mask)
            if array.shape == (n_seqs * self.num_heads, q_len, kv_len):
                array = array.reshape(n_seqs, self.num_heads, q_len, kv_len)
            elif array.shape != (q_len, kv_len):
                raise ValueError(f"attn_mask has shape {array.shape}, and must be [q_len, kv_len] or [seqs * heads, q_len, kv_len]")
            total = _added("attn_mask", array)
        if is_causal:
            hidden = np.arange(kv_len)[None] > np.arange(q_len)[:, None]
            total = _sum(total, np.where(hidden, np.float32(-np.inf), np.float32(0)))
        if padding is not None:
            array = as_array("key_padding_mask", padding)
            array = array[None] if array.ndim == 1 else array
            if array.shape != (n_seqs, kv_len):
                raise ValueError(f"key_padding_mask has shape {array.shape}, and must be [seqs, kv_len]")
            total = _sum(total, _added("key_padding_mask", array)[:, None, None, :])
        if total is None:
            return None
        shape = (n_seqs, self.num_heads, q_len, kv_len)
        wide: Floats = np.broadcast_to(np.ascontiguousarray(total, np.float32), shape)
        return wide if wide.strides[3] == 4 or kv_len == 1 else np.ascontiguousarray(wide)


def _sum(first: NDArray[Any] | None, second: NDArray[Any]) -> NDArray[Any]:
    made: NDArray[Any] = second if first is None else first + second
    return made


def _added(name: str, array: NDArray[Any]) -> Floats:
    floats: Floats
    if array.dtype == np.bool_:
        floats = np.where(array, np.float32(-np.inf), np.float32(0))
        return floats
    if array.dtype != np.float32:
        raise TypeError(f"{name} must be bool (True hides) or float32 (added), and is {array.dtype}")
    floats = array
    return floats

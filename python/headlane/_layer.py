"""torch's nn.MultiheadAttention, from its weights."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import byref, c_void_p
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headlane import _abi
from headlane._attention import Floats, Handles, address_of_array, as_array, floats_of, steps_of
from headlane._library import Handle, check, lib
from headlane._model import threads_asked_for


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
            linear.weight = address_of_array(part) if part is not None else None
            if in_bias is not None:
                linear.bias = address_of_array(in_bias[i * e :])
        options.out.weight = address_of_array(out_weight)
        if out_bias is not None:
            options.out.bias = address_of_array(out_bias)
        of_model = _abi.headlane_model_options()
        name_of_precision = ctypes.create_string_buffer((precision or "f32").encode())
        of_model.precision = ctypes.addressof(name_of_precision)
        self._n_threads = of_model.n_threads = threads_asked_for(n_threads)
        made = c_void_p()
        check(lib.headlane_model_create_layer(byref(options), byref(of_model), byref(made)))
        self._model = Handle(made.value or 0, lib.headlane_model_destroy)
        self._sessions = Handles(8)

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
            rows.data = address_of_array(array)
            rows.seq_stride, rows.token_stride = array.shape[1] * array.shape[2], array.shape[2]
        if bias is not None:
            batch.bias = address_of_array(bias)
            batch.bias_seq_stride, batch.bias_head_stride, batch.bias_query_stride, _ = steps_of(bias)
        maps = _abi.headlane_attention_maps()
        if weights is not None:
            maps.data = address_of_array(weights)
            maps.seq_stride, maps.head_stride, maps.query_stride, _ = steps_of(weights)
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
        array = floats_of(name, given, (2, 3))
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

"""Single sequences of token ids through an encoder: hidden states, attention maps."""

from __future__ import annotations

from ctypes import byref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headlane import _abi
from headlane._base import Encoding, struct_address
from headlane._library import check, lib
from headlane._sessions import Lease

Floats = NDArray[np.float32]


def hidden_states(model: Encoding, ids: list[NDArray[np.int32]]) -> list[Floats]:
    """The last hidden state of each sequence, [tokens, d_model]."""
    results = [np.empty((len(row), int(model._model.facts.d_model)), np.float32) for row in ids]

    def call(lease: Lease, _: object) -> None:
        for row, result in zip(ids, results, strict=True):
            _encode(lease, row, result, None)

    model._call(call)
    return results


def attention_maps(model: Encoding, ids: NDArray[np.int32], layers: slice | int, heads: slice | int) -> Floats:
    """How much each token of a sequence attends to each: [layers, heads, tokens, tokens]."""
    facts = model._model.facts
    first_layer, n_layers = _range("layers", layers, int(facts.n_layers))
    first_head, n_heads = _range("heads", heads, int(facts.n_heads))
    n = len(ids)
    weights = np.zeros((n_layers, n_heads, n, n), np.float32)
    maps = _abi.headlane_attention_maps()
    maps.data = weights.ctypes.data
    maps.layer_stride, maps.head_stride, maps.query_stride = n_heads * n * n, n * n, n
    maps.first_layer, maps.n_layers, maps.first_head, maps.n_heads = first_layer, n_layers, first_head, n_heads
    model._call(lambda lease, _: _encode(lease, ids, None, maps))
    return weights


def _range(name: str, chosen: slice | int, n: int) -> tuple[int, int]:
    """The first of what was chosen of n, and how many there are."""
    if isinstance(chosen, slice):
        first, last, step = chosen.indices(n)
        if step == 1 and first < last:
            return first, last - first
    elif isinstance(chosen, int) and not isinstance(chosen, bool) and -n <= chosen < n:
        return chosen % n, 1
    raise ValueError(f"{name} is {chosen!r}, and must name some of {n}")


def _encode(lease: Lease, ids: NDArray[np.int32], hidden: Floats | None, maps: Any) -> None:
    offsets = np.array([0, len(ids)], np.int64)
    batch = _abi.headlane_batch()
    batch.n_seqs = 1
    batch.offsets = offsets.ctypes.data
    batch.ids = ids.ctypes.data
    outputs = _abi.headlane_outputs()
    outputs.hidden = None if hidden is None else hidden.ctypes.data
    outputs.attention = None if maps is None else struct_address(maps)
    check(lib.headlane_session_encode(lease.address, byref(batch), byref(outputs)))

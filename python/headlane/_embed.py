"""Texts to rows of vectors, in one call of the library for each part."""

from __future__ import annotations

from ctypes import byref, c_void_p, cast
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headlane import _abi
from headlane._base import Encoding, struct_address
from headlane._cancel import Cancel
from headlane._checked import natural
from headlane._library import check, lib
from headlane._model import address_of
from headlane._progress import Bar
from headlane._sessions import Lease
from headlane._texts import Texts

# A call of fewer bytes of text takes some tens of milliseconds, and Ctrl-C may wait for it: it is called where it
# stands. Handing a call to another thread and back takes some 50 microseconds, which a few sentences would feel.
SHORT_BYTES = 2048


def embed(
    model: Encoding,
    parts: list[Texts],
    rows: NDArray[np.float32],
    prompt: bytes | None,
    max_len: int,
    bar: bool,
    cancel: Cancel | None,
) -> None:
    """Writes whole vectors, one a row, whose rows may lie apart."""
    tokenize = _abi.headlane_tokenize_options()
    tokenize.max_len = natural("max_seq_length", max_len)
    tokenize.prompt = address_of(prompt)
    options = _abi.headlane_embed_options()
    options.tokenize = struct_address(tokenize)
    options.truncate_dim = rows.shape[1]

    def call(lease: Lease, shown: Bar) -> None:
        done = 0
        for part in parts:
            callback = shown.callback(done)
            options.on_progress = cast(callback, c_void_p).value if callback else None
            first = rows.ctypes.data + done * rows.strides[0]
            stride = max(rows.strides[0] // 4, rows.shape[1])  # of one row it is anything
            check(_of_part(lease, part, options, first, stride))
            done += part.n_texts

    if sum(part.n_bytes for part in parts) >= SHORT_BYTES or bar or cancel is not None:
        model._call(call, cancel, len(rows) if bar else None)
        return
    lease = model._sessions.borrow()
    try:
        call(lease, Bar(None))
    finally:
        lease.give()


def _of_part(lease: Lease, part: Texts, options: Any, first: int, stride: int) -> int:
    status: int = lib.headlane_session_embed(lease.address, byref(part.struct), byref(options), first, stride)
    return status

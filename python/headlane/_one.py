"""One short text through a session, by the shortest way."""

from __future__ import annotations

import ctypes
import functools
import importlib
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int64, c_void_p, cast
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headlane import _abi
from headlane._checked import natural
from headlane._library import check, lib
from headlane._model import encoded

Floats = NDArray[np.float32]
Rows = list[tuple[Floats, int]]

_MAX_CHARACTERS = 512  # as one_text.c has them
_N_ROWS = 16  # that are made at a time


class OneText(Protocol):
    """What calls of one text take, made once for a session. A model leaves nothing of Python in the caches of the CPU,
    and whatever a call touches comes from memory then: this is why so little is done for each text."""

    def embed(self, text: Any, prompt: str, max_len: int) -> Floats | None:
        """The vector of a text behind a prompt, cut to max_len tokens. None: it is no text, or a long one, or somebody
        uses the session."""


class Options:
    """headlane_embed_options of whole vectors."""

    def __init__(self, columns: int) -> None:
        self._options, self._tokenize = _abi.headlane_embed_options(), _abi.headlane_tokenize_options()
        self._options.tokenize = ctypes.addressof(self._tokenize)
        self._options.truncate_dim = columns
        self.address = ctypes.addressof(self._options)
        # The pointer to the prompt, as what takes bytes and keeps them.
        self._prompt = c_char_p.from_buffer(self._tokenize, _abi.headlane_tokenize_options.prompt.offset)

    def set(self, prompt: str, max_len: int) -> None:
        self._prompt.value = encoded("prompt", prompt)
        self._tokenize.max_len = natural("max_seq_length", max_len)


class ByCtypes:
    """OneText where that of C (one_text.c) cannot be loaded. idle: a list, which has the session while nobody uses it.
    set: writes a prompt and a length into the options. more: rows and their addresses."""

    def __init__(
        self,
        embed: int,
        session: int,
        options: int,
        columns: int,
        idle: list[Any],
        set: Callable[[str, int], None],
        more: Callable[[], Rows],
        check: Callable[[int], None],
    ) -> None:
        # Without types of parameters there is nothing to be converted: the arguments are what C takes.
        self._embed = ctypes.CFUNCTYPE(ctypes.c_int)(embed)
        self._texts, self._offsets = _abi.headlane_texts(), (c_int64 * 2)()
        self._texts.n_texts, self._texts.offsets_64 = 1, ctypes.addressof(self._offsets)
        self._data = c_char_p.from_buffer(self._texts, _abi.headlane_texts.data.offset)
        self._arguments = c_void_p(session), byref(self._texts), c_void_p(options), c_int64(columns)
        self._idle, self._set, self._more, self._check = idle, set, more, check
        self._options: tuple[str, int] | None = None
        self._rows: Rows = []

    def embed(self, text: Any, prompt: str, max_len: int) -> Floats | None:
        if not isinstance(text, str) or len(text) > _MAX_CHARACTERS:
            return None
        try:
            session = self._idle.pop()
        except IndexError:
            return None
        try:
            return self._embed_text(text, (prompt, max_len))
        finally:
            self._idle.append(session)

    def _embed_text(self, text: str, options: tuple[str, int]) -> Floats:
        """With the session, which is nobody else's now."""
        if options != self._options:
            self._set(*options)
            self._options = options
        data = text.encode()
        self._data.value = data
        self._texts.data_bytes = self._offsets[1] = len(data)
        if not self._rows:
            self._rows = self._more()
        vector, address = self._rows.pop()
        session, texts, options_struct, stride = self._arguments
        if status := self._embed(session, texts, options_struct, c_void_p(address), stride):
            self._check(status)
        return vector


try:
    Kind: Any = importlib.import_module("headlane._one_text").OneText
except ImportError:
    Kind = ByCtypes


def _more_rows(columns: int) -> Rows:
    """An array of numpy tells its address by a way that takes as long as the rest of a call."""
    rows = [np.empty(columns, np.float32) for _ in range(_N_ROWS)]
    return [(row, row.ctypes.data) for row in rows]


def of_session(address: int, columns: int, idle: list[Any]) -> OneText:
    """idle: has the session while nobody uses it, and no other one."""
    options = Options(columns)
    function = cast(lib.headlane_session_embed, c_void_p).value
    more = functools.partial(_more_rows, columns)
    made: OneText = Kind(function, address, options.address, columns, idle, options.set, more, check)
    return made


class _NoSession:
    def embed(self, text: Any, prompt: str, max_len: int) -> None:
        return None


no_session: OneText = _NoSession()

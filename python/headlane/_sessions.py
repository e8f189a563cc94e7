"""The sessions of a model, which calls borrow."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from ctypes import byref, c_char_p, c_int64, c_void_p

import numpy as np
from numpy.typing import NDArray

from headlane import _abi
from headlane._library import Handle, check, lib
from headlane._model import Model, encoded, threads_asked_for


# Bytes of text that a session has a place for: what encode gives to embed_one, with its longest characters.
_TEXT_BYTES = 2048
_ROWS = 16  # that are made at a time


class Session(Handle):
    """A session, and the structs of a call of one text, which are made once. A model leaves nothing of Python in the
    caches of the CPU, and whatever a call touches comes from memory then: this is why embed_one does so little. It
    writes two numbers and a text, and takes a row that was made before."""

    def __init__(self, address: int, pool: Sessions, wide: bool) -> None:
        super().__init__(address, lib.headlane_session_destroy, keep=pool.model)
        self.wide = wide
        self._pool = weakref.ref(pool)
        texts, options = _abi.headlane_texts(), _abi.headlane_embed_options()
        tokenize = _abi.headlane_tokenize_options()
        self._text = ctypes.create_string_buffer(_TEXT_BYTES)
        self._offsets = (c_int64 * 2)()
        texts.n_texts, texts.data, texts.data_bytes = 1, ctypes.addressof(self._text), _TEXT_BYTES
        texts.offsets_64 = ctypes.addressof(self._offsets)
        options.tokenize = ctypes.addressof(tokenize)
        self._columns = int(pool.model.facts.d_vector)
        options.truncate_dim = self._columns  # whole vectors
        self._tokenize = tokenize
        # The pointer to the prompt, as what takes bytes and keeps them.
        self._prompt_data = c_char_p.from_buffer(tokenize, _abi.headlane_tokenize_options.prompt.offset)
        self._prompt, self._max_len = "", 0
        self._rows: list[tuple[NDArray[np.float32], c_void_p]] = []
        # Without types of parameters there is nothing to be converted: the arguments are what C takes.
        self._call = lib["headlane_session_embed"]
        self._arguments = c_void_p(address), byref(texts), byref(options), c_int64(self._columns)

    def embed_one(self, text: bytes, prompt: str, max_len: int) -> NDArray[np.float32]:
        """text: at most 2048 bytes."""
        if prompt != self._prompt or max_len != self._max_len:
            self._prompt_data.value = encoded("prompt", prompt)
            self._tokenize.max_len = max_len
            self._prompt, self._max_len = prompt, max_len
        self._text.value = text
        self._offsets[1] = len(text)
        vector, row = (self._rows or self._more_rows()).pop()
        session, texts, options, stride = self._arguments
        if status := self._call(session, texts, options, row, stride):
            check(status)
        return vector

    def _more_rows(self) -> list[tuple[NDArray[np.float32], c_void_p]]:
        """An array of numpy tells its address by a way that takes as long as the rest of a call."""
        for _ in range(_ROWS):
            vector = np.empty(self._columns, np.float32)
            self._rows.append((vector, c_void_p(vector.ctypes.data)))
        return self._rows

    def __del__(self) -> None:
        """Of one that is not in its pool, since Ctrl-C came between the pool and the call."""
        pool = self._pool()
        if self.address and pool is not None:
            pool.lost(self.wide)
        super().__del__()


class Lease:
    """A session that one call uses. It goes back however the call ends, also if Ctrl-C keeps give() from being
    called."""

    __slots__ = ("_pool", "session")

    def __init__(self, pool: Sessions, session: Session) -> None:
        self.session = session
        self._pool: Sessions | None = pool

    def give(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.take_back(self.session)

    def __del__(self) -> None:
        self.give()

    @property
    def address(self) -> int:
        return self.session.address

    def cancel(self) -> None:
        lib.headlane_session_set_cancelled(self.session.address, 1)

    def uncancel(self) -> None:
        lib.headlane_session_set_cancelled(self.session.address, 0)


_pools: weakref.WeakSet[Sessions] = weakref.WeakSet()


class Sessions:
    """The sessions of a model, which calls borrow. A call that is alone gets the one session that has all threads. If
    more calls come meanwhile, each gets a session of one thread, so that the threads of the machine are enough; once
    there are as many of these as the wide session has threads, calls wait. Results have the same bits in each."""

    def __init__(self, model: Model, *, max_tokens: int, n_threads: int | None) -> None:
        self.model = model
        self._max_tokens = max_tokens
        self._n_threads = threads_asked_for(n_threads)
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        # Sessions that nobody uses. Taking from a list and adding to it need no lock.
        self._wide: list[Session] = []
        self._narrow: list[Session] = []
        self._n_wide = self._n_narrow = 0  # that there are, or are being made
        self._most_narrow = 1  # known once the wide session is there
        self._n_waiting = 0
        self._closed = False
        self._reopen_first = False

    def borrow(self) -> Lease:
        """A session; a ValueError if the model has been closed."""
        return Lease(self, self.take())

    def take(self) -> Session:
        """A session, which take_back() must get."""
        try:
            return self._wide.pop()
        except IndexError:
            return self._take_another()

    def _take_another(self) -> Session:
        with self._changed:
            self._n_waiting += 1  # before the lists are looked at: who gives back looks at it afterwards
            try:
                while True:
                    if self._closed:
                        raise ValueError("the model has been closed")
                    if self._reopen_first:
                        self.model.reopen()
                        self._reopen_first = False
                    for idle in (self._wide, self._narrow):
                        if idle:
                            return idle.pop()
                    if self._n_wide == 0:
                        self._n_wide, wide = 1, True
                        break
                    if self._n_narrow < self._most_narrow:
                        self._n_narrow, wide = self._n_narrow + 1, False
                        break
                    self._changed.wait()
            finally:
                self._n_waiting -= 1
        try:
            return self._create(wide)
        except BaseException:
            self.lost(wide)
            raise

    def lost(self, wide: bool) -> None:
        """There is one session less."""
        with self._changed:
            self._n_wide, self._n_narrow = self._n_wide - wide, self._n_narrow - (not wide)
            self._changed.notify()

    def take_back(self, session: Session) -> None:
        (self._wide if session.wide else self._narrow).append(session)
        if self._n_waiting or self._closed:
            with self._changed:
                if self._closed:
                    self._free()
                self._changed.notify()

    def _create(self, wide: bool) -> Session:
        options = _abi.headlane_session_options()
        options.max_tokens = self._max_tokens
        options.n_threads = self._n_threads if wide else 1
        out = c_void_p()
        check(lib.headlane_session_create(self.model.handle.address, byref(options), byref(out)))
        session = Session(out.value or 0, self, wide)
        if wide:
            facts = _abi.headlane_pass_facts()
            check(lib.headlane_session_get_pass(session.address, 0, byref(facts)))
            self._most_narrow = int(facts.n_threads)
        return session

    def close(self) -> None:
        """Ends the sessions and the model: now, or when the calls that run have ended."""
        with self._changed:
            self._closed = True
            self._free()
            self._changed.notify_all()

    def _free(self) -> None:
        while self._wide:
            self._wide.pop().close()
            self._n_wide -= 1
        while self._narrow:
            self._narrow.pop().close()
            self._n_narrow -= 1
        if self._n_wide == 0 and self._n_narrow == 0:
            self.model.close()

    def after_fork(self) -> None:
        """In a child: the parent's threads are not here, and a call of theirs will never end here."""
        idle = self._wide + self._narrow
        closed, in_a_call = self._closed, len(idle) < self._n_wide + self._n_narrow
        for session in idle:
            session.address = 0  # its block goes with the process; ending it would wait for threads
        self._reset()
        self._closed = closed
        self._reopen_first = in_a_call and not closed


def _after_fork() -> None:
    for pool in list(_pools):
        pool.after_fork()


os.register_at_fork(after_in_child=_after_fork)

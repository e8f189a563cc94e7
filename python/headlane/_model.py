"""An open model, and the sessions that calls on it borrow."""

from __future__ import annotations

import ctypes
import json
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_char_p, c_int64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headlane import _abi
from headlane._library import Handle, check, interruptible, lib, log_address


def threads_asked_for(n_threads: int | None) -> int:
    """How many threads the caller wants: what it names, else OMP_NUM_THREADS, which schedulers of clusters set, else
    0, which is one for each CPU that the process may run on."""
    if n_threads is None:
        first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        return min(int(first), 1024) if first.isascii() and first.isdigit() else 0
    if isinstance(n_threads, bool) or not isinstance(n_threads, int):
        raise TypeError(f"n_threads must be an int or None, and is {type(n_threads).__name__}")
    if not 0 <= n_threads <= 1024:
        raise ValueError(f"n_threads is {n_threads}, and must be 1 to 1024, or 0 for one for each CPU")
    return n_threads


def encoded(name: str, value: str | None) -> bytes | None:
    """A text for a parameter that ends at its first zero byte."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, and is {type(value).__name__}")
    if "\0" in value:
        raise ValueError(f"{name} must not have a zero character")
    return value.encode()


def address_of(text: bytes | None) -> int | None:
    """Where a text lies, for a field of a struct; the caller keeps the text."""
    return None if text is None else ctypes.cast(c_char_p(text), c_void_p).value


def text_at(address: int | None) -> str:
    return "" if not address else ctypes.string_at(address).decode("utf-8", "replace")


class Model:
    """A .headlane file that is open. Any number of threads may use it at once."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        precision: str | None = None,
        isa: str | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self._options = (precision, isa, threads_asked_for(n_threads))
        self._unlock()
        self._closed = False
        self._open()
        _models.add(self)

    def _unlock(self) -> None:
        self._lock = threading.Lock()
        self._n_holding = 0  # calls that use the handle itself, outside of sessions

    @contextmanager
    def hold(self) -> Iterator[int]:
        """The model's address, which is good inside of this; a ValueError if the model has been closed."""
        with self._lock:
            if self._closed:
                raise ValueError("the model has been closed")
            self._n_holding += 1
        try:
            yield self.handle.address
        finally:
            with self._lock:
                self._n_holding -= 1
                if self._closed and self._n_holding == 0:
                    self.handle.close()

    def close(self) -> None:
        """Frees the model: now, or when nobody holds it."""
        with self._lock:
            self._closed = True
            if self._n_holding == 0:
                self.handle.close()

    def _open(self) -> None:
        precision, isa, n_threads = self._options
        texts = encoded("precision", precision), encoded("isa", isa)
        options = _abi.headlane_model_options()
        options.precision, options.isa = address_of(texts[0]), address_of(texts[1])
        options.n_threads = n_threads
        options.log = log_address
        out = c_void_p()
        path = os.fsencode(self.path)
        interruptible(lambda: check(lib.headlane_model_open(path, byref(options), byref(out))))
        del texts
        self.handle = Handle(out.value or 0, lib.headlane_model_destroy)
        self.facts = _abi.headlane_model_facts()
        check(lib.headlane_model_get_facts(self.handle.address, byref(self.facts)))
        self.precision = text_at(self.facts.precision)  # which lies in the model

    def reopen(self) -> None:
        """For a forked child whose parent was inside a call then: neither that call's locks nor its rows can be
        trusted. The old handle is left alone."""
        self.handle.address = 0
        self._open()

    def prompts(self) -> tuple[dict[str, str], str | None]:
        """The model's prompts by name, and the name of the default one."""
        found: dict[str, str] = {}
        default: str | None = None
        with self.hold() as address:
            for i in range(self.facts.n_prompts):
                prompt = _abi.headlane_prompt_facts()
                check(lib.headlane_model_get_prompt(address, i, byref(prompt)))
                name = text_at(prompt.name)
                found[name] = text_at(prompt.text)
                if prompt.is_default:
                    default = name
        return found, default

    def info(self) -> dict[str, Any]:
        """Everything that the library says of the model: what `headlane info --json` shows."""
        n_bytes = c_int64()
        with self.hold() as address:
            check(lib.headlane_model_get_json(address, None, 0, byref(n_bytes)))
            capacity = n_bytes.value + 4096
            text = ctypes.create_string_buffer(capacity)
            check(lib.headlane_model_get_json(address, text, capacity, byref(n_bytes)))
        made: dict[str, Any] = json.loads(text.raw[: n_bytes.value])
        return made


class Session(Handle):
    """A session, and the structs of a call of one text, which are made once: a sentence takes some hundred
    microseconds, and making them would take a tenth of that."""

    def __init__(self, address: int, model: Model, wide: bool) -> None:
        super().__init__(address, lib.headlane_session_destroy, keep=model)
        self.wide = wide
        self.texts = _abi.headlane_texts()
        self.offsets = (c_int64 * 2)()
        self.texts.n_texts = 1
        self.texts.offsets_64 = ctypes.addressof(self.offsets)
        self.tokenize = _abi.headlane_tokenize_options()
        self.options = _abi.headlane_embed_options()
        self.options.tokenize = ctypes.addressof(self.tokenize)
        self.options.truncate_dim = int(model.facts.d_vector)  # whole vectors
        # The pointers to texts, as what takes bytes and keeps them.
        self._data = c_char_p.from_buffer(self.texts, _abi.headlane_texts.data.offset)
        self._prompt = c_char_p.from_buffer(self.tokenize, _abi.headlane_tokenize_options.prompt.offset)
        self._calls = byref(self.texts), byref(self.options)

    def embed_one(self, text: bytes, prompt: bytes | None, max_len: int, vector: NDArray[np.float32]) -> None:
        self._data.value = text
        self._prompt.value = prompt
        self.tokenize.max_len = max_len
        self.texts.data_bytes = self.offsets[1] = len(text)
        address = vector.__array_interface__["data"][0]  # array.ctypes takes some microseconds
        status = lib.headlane_session_embed(self.address, *self._calls, address, len(vector))
        self._data.value = None
        if status:
            check(status)


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


_models: weakref.WeakSet[Model] = weakref.WeakSet()
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
        try:
            return Lease(self, self._wide.pop())
        except IndexError:
            return self._borrow_another()

    def _borrow_another(self) -> Lease:
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
                            return Lease(self, idle.pop())
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
            return Lease(self, self._create(wide))
        except BaseException:
            with self._changed:
                self._n_wide, self._n_narrow = self._n_wide - wide, self._n_narrow - (not wide)
                self._changed.notify()
            raise

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
        session = Session(out.value or 0, self.model, wide)
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
    for model in list(_models):
        model._unlock()
    for pool in list(_pools):
        pool.after_fork()


os.register_at_fork(after_in_child=_after_fork)

"""The generators of a model, which calls borrow, and what ends a call on one."""

from __future__ import annotations

import os
import threading
from ctypes import byref, c_void_p
from typing import Any

from headlane import _abi
from headlane._library import Handle, check, lib
from headlane._model import Model, threads_asked_for

Sizes = tuple[int, ...]


class Running:
    """The generator that a call is inside of, for Ctrl-C, which comes on another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generator: Handle | None = None
        self.cancelled = False

    def enter(self, generator: Handle) -> None:
        with self._lock:
            self._generator = generator
            self._tell()

    def leave(self) -> bool:
        """Whether the generator was not cancelled, and may be used again."""
        with self._lock:
            self._generator = None
            return not self.cancelled

    def cancel(self) -> None:
        with self._lock:
            self.cancelled = True
            self._tell()

    def _tell(self) -> None:
        if self.cancelled and self._generator is not None:
            lib.headlane_generator_set_cancelled(self._generator.address, 1)


class Generators:
    """Idle generators by their sizes, which are rounded up, so that most calls find one that is there. Who borrows one
    holds the model meanwhile."""

    def __init__(self, model: Model, n_threads: int | None) -> None:
        self._model = model
        self._n_threads = threads_asked_for(n_threads)
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._idle: dict[Sizes, list[Handle]] = {}
        self._closed = False

    def borrow(self, n_sources: int, n_tokens: int, search: Any) -> tuple[Sizes, Handle]:
        """A generator that is large enough for some sources, and its sizes."""
        beams = 1 if search.sample else search.n_beams or self._model.facts.n_beams
        sizes = (
            _rounded_up(n_sources),
            _rounded_up(n_tokens),
            max(beams, search.n_best if search.sample else 1),
            search.max_new_tokens,
        )
        with self._lock:
            if self._pid != os.getpid():  # a child's own: its parent's have no threads here
                self._idle, self._pid = {}, os.getpid()
            if self._closed:
                raise ValueError("the model has been closed")
            idle = self._idle.get(sizes)
            if idle:
                return sizes, idle.pop()
        return sizes, self._create(sizes)

    def _create(self, sizes: Sizes) -> Handle:
        options = _abi.headlane_generator_options()
        options.max_sources, options.max_source_tokens, options.max_beams, options.max_new_tokens = sizes
        options.max_source_len = min(int(self._model.facts.max_positions), sizes[1])
        options.all_logits = 1
        options.n_threads = self._n_threads
        out = c_void_p()
        check(lib.headlane_generator_create(self._model.handle.address, byref(options), byref(out)))
        return Handle(out.value or 0, lib.headlane_generator_destroy, keep=self._model)

    def give_back(self, sizes: Sizes | None, generator: Handle) -> None:
        """sizes: None of a generator that is not to be used again. Generators hold keys and values of all their
        targets, so only those of the sizes used last are kept."""
        with self._lock:
            if self._closed or sizes is None:
                generator.close()
                return
            if sizes not in self._idle:
                self._idle = {sizes: []}
            self._idle[sizes].append(generator)

    def close(self) -> None:
        """Ends the generators and the model: now, or when the calls that run have ended, which hold it."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
            for generators in idle.values():
                for generator in generators:
                    generator.close()
        self._model.close()


def _rounded_up(number: int) -> int:
    return 1 << (number - 1).bit_length()

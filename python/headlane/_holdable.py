"""Handles that any number of threads use at once, and one of them may close."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headlane._library import Handle


class Holdable:
    """A handle, which lives as long as somebody holds it. refusal: the sentence that refuses a closed one."""

    handle: Handle

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal
        self._closed = False
        self._unlock()

    def _unlock(self) -> None:
        """Also for a forked child, where the parent's other threads are not."""
        self._lock = threading.Lock()
        self._n_holding = 0

    def _renew(self) -> None:
        """Called under the lock, before somebody holds it."""

    @contextmanager
    def hold(self) -> Iterator[int]:
        """The handle's address, which is good inside of this; a ValueError if it has been closed."""
        lock = self._lock
        with lock:
            if self._closed:
                raise ValueError(self._refusal)
            self._renew()
            self._n_holding += 1
        try:
            yield self.handle.address
        finally:
            if lock is self._lock:  # in a forked child the count has begun anew
                with lock:
                    self._n_holding -= 1
                    if self._closed and self._n_holding == 0:
                        self.handle.close()

    def close(self) -> None:
        """Frees it: now, or when nobody holds it."""
        with self._lock:
            self._closed = True
            if self._n_holding == 0:
                self.handle.close()

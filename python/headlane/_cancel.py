"""Ending a call from another thread, or with the task of asyncio that waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Cancellable(Protocol):
    """What a call is inside of."""

    def cancel(self) -> None: ...

    def uncancel(self) -> None: ...


class Cancel:
    """Ends the calls that it is given to, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: Cancellable | None = None
        self._cancelled = False

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._inside is not None:
                self._inside.cancel()

    def _enter(self, inside: Cancellable) -> None:
        with self._lock:
            self._inside = inside
            if self._cancelled:
                inside.cancel()

    def _leave(self, inside: Cancellable) -> None:
        with self._lock:
            self._inside = None
            if self._cancelled:
                inside.uncancel()


async def in_thread(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    cancel = options.setdefault("cancel", Cancel())
    try:
        return await asyncio.to_thread(call, *args, **options)
    except asyncio.CancelledError:
        cancel.cancel()
        raise

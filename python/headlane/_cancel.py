"""Ending a call from another thread, or with the task of asyncio that waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from headlane._sessions import Lease


class Cancel:
    """Ends the calls that it is given to, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._cancelled = False

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._lease is not None:
                self._lease.cancel()

    def _enter(self, lease: Lease) -> None:
        with self._lock:
            self._lease = lease
            if self._cancelled:
                lease.cancel()

    def _leave(self, lease: Lease) -> None:
        with self._lock:
            self._lease = None
            if self._cancelled:
                lease.uncancel()


async def in_thread(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    cancel = options.setdefault("cancel", Cancel())
    try:
        return await asyncio.to_thread(call, *args, **options)
    except asyncio.CancelledError:
        cancel.cancel()
        raise

"""The library beside this file, and its statuses as exceptions."""

from __future__ import annotations

import _thread
import atexit
import ctypes
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from headlane import _abi

Result = TypeVar("Result")

logger = logging.getLogger("headlane")


class Error(Exception):
    """What the engine refused, in its own sentence. Each status has a class of its own below, which is also one of
    Python's, so that a program may catch either."""

    status = "error"


class InvalidArgument(Error, ValueError):
    """An argument of the call is wrong."""

    status = "invalid argument"


class FileUnreadable(Error, OSError):
    """The operating system refused a file."""

    status = "io"


class BadFile(Error, ValueError):
    """The contents of a file are wrong, or of a kind that is not supported."""

    status = "bad file"


class Unsupported(Error, ValueError):
    """The call is right, and this model or machine cannot do it."""

    status = "unsupported"


class OutOfMemory(Error, MemoryError):
    """The system has no more memory, or no more threads."""

    status = "out of memory"


class TooLarge(Error, ValueError):
    """There is more than the session was made for."""

    status = "too large"


class InternalError(Error, RuntimeError):
    """A mistake in Headlane."""

    status = "internal"


class Cancelled(Error):
    """Somebody cancelled the call."""

    status = "cancelled"


_KINDS: dict[int, type[Error]] = {
    _abi.HEADLANE_INVALID_ARGUMENT: InvalidArgument,
    _abi.HEADLANE_IO: FileUnreadable,
    _abi.HEADLANE_BAD_FILE: BadFile,
    _abi.HEADLANE_UNSUPPORTED: Unsupported,
    _abi.HEADLANE_OUT_OF_MEMORY: OutOfMemory,
    _abi.HEADLANE_TOO_LARGE: TooLarge,
    _abi.HEADLANE_INTERNAL: InternalError,
    _abi.HEADLANE_CANCELLED: Cancelled,
}


def _load() -> Any:
    folder = Path(__file__).resolve().parent / "lib"
    found = sorted(folder.glob("libheadlane.so.*"))
    if not found:
        raise ImportError(
            f"{folder} has no libheadlane.so: this is the source of the package headlane, which must be built before "
            "it is imported (pip install ./python, or tools/wheel)"
        )
    library = ctypes.CDLL(os.fspath(found[0]))
    for name, (result, parameters) in _abi.FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = parameters
    return library


lib: Any = _load()


def check(status: int) -> None:
    """Raises what a call returned, unless it worked. To be called by the thread that called."""
    if status != _abi.HEADLANE_OK:
        raise error_of(status, lib.headlane_error().decode("utf-8", "replace"))


def error_of(status: int, sentence: str) -> Error:
    return _KINDS.get(status, Error)(sentence)


def version() -> str:
    """The version of the library."""
    text: bytes = lib.headlane_version()
    return text.decode()


def _log(_user: int | None, level: int, message: bytes) -> None:
    number = logging.WARNING if level == _abi.HEADLANE_LOG_WARNING else logging.INFO
    logger.log(number, "%s", message.decode("utf-8", "replace"))


_log_callback = _abi.headlane_log(_log)
# The address that structs take. The callback above lives as long as the module.
log_address: int = ctypes.cast(_log_callback, ctypes.c_void_p).value or 0


class Handle:
    """One handle of the C API, which is destroyed with this object, once."""

    def __init__(self, address: int, destroy: Callable[[int], None], keep: object = None) -> None:
        self.address = address
        self._destroy = destroy
        self._keep = keep  # what must live as long: a session's model

    def close(self) -> None:
        address, self.address = self.address, 0
        if address:
            self._destroy(address)
        self._keep = None

    def __del__(self) -> None:
        # When the interpreter ends, a daemon thread may still be inside a call: the system frees everything then.
        if getattr(self, "address", 0) and not _ending:
            self.close()


_ending = False


def _end() -> None:
    global _ending
    _ending = True


atexit.register(_end)


def interruptible(call: Callable[[], Result], cancel: Callable[[], None] | None = None) -> Result:
    """Calls, so that Ctrl-C ends it. Python runs handlers of signals on its main thread, between two of its own
    instructions, and never while that thread is inside the library. So the call runs on another thread, and the main
    thread waits where a signal wakes it; then cancel() makes the call end, and what the handler raised goes on."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    results: list[Result] = []
    errors: list[BaseException] = []
    begun = threading.Lock()  # taken by the first of the two that needs to know
    ended: list[bool] = []  # a signal may come when this thread has just got the lock that says so
    done = threading.Lock()
    done.acquire()

    def work() -> None:
        if not begun.acquire(False):
            return
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            ended.append(True)
            done.release()

    try:
        _thread.start_new_thread(work, ())
        done.acquire()
    except BaseException:
        if not begun.acquire(False):
            if cancel is not None:
                cancel()
            if not ended:
                _wait(done)
        raise
    if errors:
        raise errors[0]
    return results[0]


class Lock(Protocol):
    def acquire(self) -> bool: ...


def _wait(done: Lock) -> None:
    """Waits in spite of more signals: the library must have left the caller's arrays before they may go."""
    while True:
        try:
            done.acquire()
            return
        except BaseException:
            continue

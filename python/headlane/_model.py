"""An open model."""

from __future__ import annotations

import ctypes
import json
import os
import weakref
from ctypes import byref, c_char_p, c_int64, c_void_p
from typing import Any

from headlane import _abi
from headlane._checked import utf8
from headlane._holdable import Holdable
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
    text = utf8(name, value)
    if b"\0" in text:
        raise ValueError(f"{name} must not have a zero character")
    return text


def address_of(text: bytes | None) -> int | None:
    """Where a text lies, for a field of a struct; the caller keeps the text."""
    return None if text is None else ctypes.cast(c_char_p(text), c_void_p).value


def text_at(address: int | None) -> str:
    return "" if not address else ctypes.string_at(address).decode("utf-8", "replace")


class Model(Holdable):
    """A .headlane file that is open. Any number of threads may use it at once."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        precision: str | None = None,
        isa: str | None = None,
        n_threads: int | None = None,
        map: bool = False,
        verify: bool = False,
    ) -> None:
        self.path = os.fspath(path)
        self.cache: bytes | None = None  # in what keys and values are kept; None: as the library has it
        self.draft: Model | None = None  # who guesses tokens of sequences
        self._options = (precision, isa, threads_asked_for(n_threads), map, verify)
        self._in_doubt = False
        super().__init__("the model has been closed")
        self._open()
        _models.add(self)

    def _open(self) -> None:
        precision, isa, n_threads, of_map, verify = self._options
        texts = encoded("precision", precision), encoded("isa", isa)
        options = _abi.headlane_model_options()
        options.precision, options.isa = address_of(texts[0]), address_of(texts[1])
        options.n_threads = n_threads
        options.map, options.verify = int(of_map), int(verify)
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
        self._in_doubt = False
        self.handle.address = 0
        self._open()

    def _renew(self) -> None:
        if self._in_doubt:
            self.reopen()

    def after_fork(self) -> None:
        self._in_doubt = self._in_doubt or self._n_holding > 0
        self._unlock()

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


_models: weakref.WeakSet[Model] = weakref.WeakSet()


def _after_fork() -> None:
    for model in list(_models):
        model.after_fork()


os.register_at_fork(after_in_child=_after_fork)

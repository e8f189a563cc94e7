"""What the classes of models share: how one is opened, what it says of itself, and how calls borrow its sessions."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from ctypes import byref, c_void_p, cast
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, TypeVar

from headlane import _files
from headlane._cancel import Cancel
from headlane._checked import natural
from headlane._library import Unsupported, interruptible, logger
from headlane._model import Model
from headlane._progress import Bar
from headlane._sessions import Lease, Sessions
from headlane.tokenizer import Tokenizer

Precision = Literal["f32", "bf16", "int8", "int8g", "int6", "int5", "int4", "auto"]
Self = TypeVar("Self", bound="OpenModel")

# As the command has: some MB of working memory for a model of MiniLM's size.
MAX_TOKENS = 2048


def struct_address(struct: Any) -> int:
    """Where a struct lies, for a field of another; the caller keeps it."""
    return cast(byref(struct), c_void_p).value or 0


def check_device(device: object) -> None:
    """There is one device, which may be named."""
    if device is not None and str(device) not in ("cpu", "cpu:0"):
        raise ValueError(f"device is {device!r}; Headlane runs on the CPU: leave device out, or say 'cpu'")


def shows_progress(asked: bool | None) -> bool:
    """Whether a call shows a bar: as asked, or as the logger says."""
    return logger.getEffectiveLevel() in (logging.INFO, logging.DEBUG) if asked is None else asked


class OpenModel:
    """An open model. model_name_or_path: a .headlane or GGUF file, a folder of Hugging Face's, or the name of a
    repository of its hub; all but .headlane files are converted once, into cache_folder."""

    _kind: ClassVar[str]  # as the sentence says it that refuses another one
    _namespace: ClassVar[str] = ""  # of the hub, for names without one
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls: type[Self], *args: Any, **options: Any) -> Self:
        made = super().__new__(cls)
        made._arguments = args, options
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled it is what it was opened by, and what was set since: whoever loads it opens the model again."""
        changed = {name: value for name, value in self.__dict__.items() if not name.startswith("_")}
        return _opened, (type(self), *self._arguments), changed

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        *,
        device: object = None,
        cache_folder: str | os.PathLike[str] | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        precision: Precision | None = None,
        pooling: str | None = None,
        n_threads: int | None = None,
        isa: str | None = None,
        map: bool = False,
        verify: bool = False,
    ) -> None:
        check_device(device)
        path, _ = _files.find(
            model_name_or_path,
            cache=cache_folder,
            precision=precision,
            pooling=pooling,
            revision=revision,
            local_files_only=local_files_only,
            token=token,
            namespace=self._namespace,
        )
        self._model = Model(path, precision=precision, isa=isa, n_threads=n_threads, map=map, verify=verify)
        if not self._fits(self._model.facts):
            raise Unsupported(f"{path} is not {self._kind}; headlane info shows what it is")

    @staticmethod
    def _fits(facts: Any) -> bool:
        """Whether a model is of the kind of the class."""
        raise NotImplementedError

    @property
    def device(self) -> str:
        """Where it runs: always "cpu"."""
        return "cpu"

    @property
    def path(self) -> Path:
        """The .headlane file that is open."""
        return Path(self._model.path)

    @property
    def precision(self) -> str:
        """What products are computed in: "f32", "bf16", "int8", "int8g", "int6", "int5" or "int4"."""
        return self._model.precision

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return Tokenizer._of(self._model)

    def to(self: Self, device: object) -> Self:
        """The model itself: there is one device."""
        check_device(device)
        return self

    def eval(self: Self) -> Self:
        """The model itself, which is never trained."""
        return self

    def info(self) -> dict[str, Any]:
        """Everything that the library says of the model, as `headlane info --json` does."""
        return self._model.info()

    def __repr__(self) -> str:
        return f"headlane.{type(self).__name__}({self._model.path!r}, precision={self.precision!r})"

    def close(self) -> None:
        """Frees the model: now, or when the calls that run have ended. It is freed without this too, once nobody
        has the object any more."""
        raise NotImplementedError

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _opened(kind: type[OpenModel], args: tuple[Any, ...], options: dict[str, Any]) -> OpenModel:
    return kind(*args, **options)


class Encoding(OpenModel):
    """A model whose calls borrow sessions, of max_tokens tokens at a time."""

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        *,
        max_tokens: int = MAX_TOKENS,
        n_threads: int | None = None,
        **options: Any,
    ) -> None:
        natural("max_tokens", max_tokens, 1)
        super().__init__(model_name_or_path, n_threads=n_threads, **options)
        self._sessions = Sessions(self._model, max_tokens=max_tokens, n_threads=n_threads)

    def close(self) -> None:
        self._sessions.close()

    def _call(
        self, call: Callable[[Lease, Bar], None], cancel: Cancel | None = None, n_shown: int | None = None
    ) -> None:
        """On a session that is borrowed, so that Ctrl-C and cancel end it, with a bar of n_shown texts if not None."""
        ends = cancel or Cancel()

        def work() -> None:
            lease = self._sessions.borrow()
            try:
                ends._enter(lease)
                with Bar(n_shown) as shown:
                    call(lease, shown)
            finally:
                ends._leave(lease)
                lease.give()

        interruptible(work, ends.cancel)

"""A model that a driver names, on the machines of its workers: a file goes there once a machine, under a lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headlane import _files


@dataclass(frozen=True)
class Named:
    """A model as workers take it. path: the .headlane file on the driver's machine; None: name is to be looked for
    by each machine itself, as one of the hub is."""

    name: str
    path: str | None = None
    n_bytes: int = 0
    mtime_ns: int = 0
    digest: str = ""

    def here(self, fetch: Callable[[], Any]) -> str:
        """What to open on this machine. A file of the driver's is used where it lies if it is there in the same state
        (the same machine, or a folder that all have); else fetch() gives its bytes, once a machine."""
        if self.path is None:
            return self.name
        try:
            there = os.stat(self.path)
            if (there.st_size, there.st_mtime_ns) == (self.n_bytes, self.mtime_ns):
                return self.path
        except OSError:
            pass
        target = _files.cache_folder(None) / f"{Path(self.path).stem}-{self.digest}.headlane"
        if not target.exists():
            with _files.locked(target.with_suffix(".lock")):
                if not target.exists():
                    self._write(target, fetch())
        return os.fspath(target)

    def _write(self, target: Path, data: Any) -> None:
        aside = target.with_suffix(f".{os.getpid()}")
        try:
            aside.write_bytes(data)
            if _files.digest_of_file(aside) != self.digest:
                raise ValueError(f"{self.path} was changed on the driver's machine after it was named")
            os.replace(aside, target)
        finally:
            aside.unlink(missing_ok=True)


def named(model: str | os.PathLike[str], options: dict[str, Any], namespace: str) -> Named:
    """Of what the driver's caller named. Folders and GGUF files are converted here, once. options: of the model; those
    that only the conversion takes are taken out if that is done."""
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"workers open the model themselves, so it is a name or a path, and not {type(model).__name__}")
    if not os.path.exists(model):
        name = os.fspath(model)
        if name.startswith((".", "/", "~")) or name.endswith((".headlane", ".gguf")):
            raise FileNotFoundError(f"there is no model at {name}: neither a .headlane or GGUF file nor a folder")
        return Named(name)
    cache, pooling = options.pop("cache_folder", None), options.pop("pooling", None)
    path, _ = _files.find(
        model, cache=cache, precision=options.get("precision"), pooling=pooling, namespace=namespace
    )
    state = path.stat()
    return Named(os.fspath(model), str(path.absolute()), state.st_size, state.st_mtime_ns, _files.digest_of_file(path))

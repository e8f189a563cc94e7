"""From what the caller names (a file, a folder, a repository of the Hugging Face hub) to a .headlane file."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import byref, c_char_p
from pathlib import Path
from typing import Any

from headlane import _abi, _gguf
from headlane._library import check, interruptible, lib, log_address, version
from headlane._model import address_of, encoded

# A conversion reads these files of a folder; nothing else is fetched from a hub, and nothing else makes a conversion stale.
PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.spm"]
FILE_PRECISIONS = ("f32", "bf16", "int8", "int8g", "int6", "int5", "int4")


def cache_folder(named: str | os.PathLike[str] | None) -> Path:
    """Where converted files are kept, which is made if it is not there."""
    if named is not None:
        folder = Path(named)
    elif os.environ.get("HEADLANE_CACHE"):
        folder = Path(os.environ["HEADLANE_CACHE"])
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headlane"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time is in here for a path; the lock goes with the process."""
    with open(path, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    precision: str | None = None,
    pooling: str | None = None,
) -> None:
    """Writes one .headlane file from a folder of Hugging Face's or of a PyTorch module, whole or not at all.

    precision: what weights are stored in: "f32", "bf16", "int8", "int8g", "int6", "int5", "int4". None: f32, and
        what a GGUF file or a quantised folder has in 4 to 8 bits in as many.
    pooling: "mean", "cls", "max", "none"; None: as the folder says.
    """
    texts = encoded("precision", precision), encoded("pooling", pooling)
    options = _abi.headlane_convert_options()
    options.precision, options.pooling = address_of(texts[0]), address_of(texts[1])
    options.log = log_address
    paths = os.fsencode(source), os.fsencode(target)
    interruptible(lambda: check(lib.headlane_convert(paths[0], paths[1], byref(options))))
    del texts


def pack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    isas: Sequence[str] = (),
    precision: str | None = None,
) -> None:
    """Writes a .headlane file anew, whole or not at all, with its weights packed as this machine reads them: it opens
    faster then, and processes that open it with map=True share it. The target may be the source.

    isas: the instruction sets to pack for; none: the fastest that this machine has.
    precision: what products are computed in; None: what the file stores.
    """
    if isinstance(isas, str):
        raise TypeError("isas is a list of names")
    names = [encoded("isas", name) for name in isas]
    array = (c_char_p * len(names))(*names)
    text = encoded("precision", precision)
    options = _abi.headlane_pack_options()
    options.isas, options.n_isas = ctypes.addressof(array) if names else None, len(names)
    options.precision = address_of(text)
    options.log = log_address
    paths = os.fsencode(source), os.fsencode(target)
    interruptible(lambda: check(lib.headlane_pack(paths[0], paths[1], byref(options))))
    del text, array


def convert_once(
    target: Path, source: Callable[[], str], precision: str | None, pooling: str | None, stale: str | None = None
) -> Path:
    """The converted file, which is made if it is not there yet: by one process, while others wait. source() names the
    folder, and is not called if the file is there. stale: a pattern of files that the new one replaces."""
    if target.exists():
        return target
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            convert(source(), target, precision=precision, pooling=pooling)
            for old in target.parent.glob(stale) if stale else ():
                if old != target:
                    old.unlink(missing_ok=True)
    return target


def of_folder(
    folder: Path, cache: str | os.PathLike[str] | None, precision: str | None, pooling: str | None
) -> Path:
    """The converted file of a folder, named by the folder, and by the sizes and times of what it holds."""
    folder = folder.resolve()
    read = {path for pattern in PATTERNS for depth in ("", "*/") for path in folder.glob(depth + pattern)}
    return _of_source(folder, sorted(read), cache, precision, pooling)


def of_gguf(path: Path, cache: str | os.PathLike[str] | None, precision: str | None, pooling: str | None) -> Path:
    """The converted file of a GGUF file, or of several that are one model, the first of which is named."""
    path = Path(os.path.abspath(path))  # the hub's are links to files without names, beside which no other part lies
    parts = re.fullmatch(r"(.*-)\d{5}(-of-\d{5}\.gguf)", path.name)
    read = sorted(path.parent.glob(f"{_escaped(parts[1])}?????{_escaped(parts[2])}")) if parts else [path]
    return _of_source(path, read, cache, precision, pooling)


def _of_source(
    source: Path, read: list[Path], cache: str | os.PathLike[str] | None, precision: str | None, pooling: str | None
) -> Path:
    """read: the files that a conversion of the source reads."""
    state = [version(), precision, pooling]
    for path in read:
        of_file = path.stat()
        name = os.path.relpath(path, source)
        state.append(f"{name} {of_file.st_size} {of_file.st_mtime_ns} {of_file.st_ino}")
    stem = f"{source.name}@{_digest(str(source))}-{precision or 'f32'}{'-' + pooling if pooling else ''}"
    target = cache_folder(cache) / f"{stem}-{_digest(json.dumps(state))}.headlane"
    return convert_once(target, lambda: os.fspath(source), precision, pooling, stale=f"{_escaped(stem)}-*.headlane")


def _only_gguf(folder: Path) -> Path | None:
    """The GGUF model of a folder without a model of Hugging Face's."""
    if (folder / "config.json").exists() and any(folder.glob("*.safetensors")):
        return None
    files = _gguf.chosen([path.name for path in folder.glob("*")], "", os.fspath(folder))
    return folder / files[0] if files else None


def is_gguf(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"GGUF"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def digest_of_file(path: Path) -> str:
    """A hash of all that is in a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:32]


def _escaped(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def find(
    model: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    precision: str | None = None,
    pooling: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    token: bool | str | None = None,
    namespace: str = "sentence-transformers",
) -> tuple[Path, dict[str, Any]]:
    """The .headlane file of a model, and what the folder's config_sentence_transformers.json says ({} of a file).
    namespace: of the hub, for a name without one; "": such names are whole."""
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"a model is named by a str or a path, and this is {type(model).__name__}")
    if not os.fspath(model):
        raise ValueError("the name of the model is empty")
    path = Path(model)
    stored = precision if precision in FILE_PRECISIONS else None
    if path.is_dir():
        if file := _only_gguf(path):
            return of_gguf(file, cache, stored, pooling), {}
        return of_folder(path, cache, stored, pooling), _settings(path)
    if path.is_file() and is_gguf(path):
        return of_gguf(path, cache, stored, pooling), {}
    if path.exists() or (path.suffix in (".headlane", ".gguf") and ":" not in path.name):
        if pooling is not None:
            raise ValueError(f"{path} is a file, whose pooling is in it; pooling is for folders and repositories")
        return path, {}
    name = os.fspath(model)
    if not isinstance(name, str) or name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"there is no model at {name}: neither a .headlane or GGUF file nor a folder")
    from headlane import hub

    return hub.find(
        name if "/" in name or not namespace else f"{namespace}/{name}",
        cache=cache,
        precision=stored,
        pooling=pooling,
        revision=revision,
        local_files_only=local_files_only,
        token=token,
    )


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "config_sentence_transformers.json"
    if not path.exists():
        return {}
    settings = json.loads(path.read_text(encoding="utf-8"))
    return settings if isinstance(settings, dict) else {}

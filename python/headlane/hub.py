"""Models of the Hugging Face hub: fetched by huggingface_hub, converted once."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

from headlane import _files, _gguf
from headlane._library import version

# What of a repository is never read, though its name is like that of a file which is.
_OTHERS = ["onnx/*", "openvino/*", "original/*", "consolidated*.safetensors"]


class _Repository:
    """A repository, and its snapshots on this machine."""

    def __init__(self, name: str, revision: str | None, local_files_only: bool, token: bool | str | None) -> None:
        try:
            self._hub: Any = importlib.import_module("huggingface_hub")
            offline = importlib.import_module("huggingface_hub.constants").HF_HUB_OFFLINE
            self._not_found: Any = importlib.import_module("huggingface_hub.errors").LocalEntryNotFoundError
        except ImportError as error:
            raise ImportError(
                f"there is neither a file nor a folder {name}, and to fetch it from the Hugging Face hub the package "
                "huggingface_hub is needed: pip install 'headlane[hub]'"
            ) from error
        self.name, self._revision, self._token = name, revision, token
        # Why the network may not be asked; "": it may.
        self._forbidden = ""
        if local_files_only or offline:
            self._forbidden = "local_files_only" if local_files_only else "HF_HUB_OFFLINE"

    def _fetch(self, patterns: list[str], local: bool) -> Path:
        return Path(
            self._hub.snapshot_download(
                self.name,
                revision=self._revision,
                allow_patterns=patterns,
                ignore_patterns=_OTHERS,
                local_files_only=local,
                token=self._token,
            )
        )

    def on_this_machine(self, wanted: str) -> Path | None:
        """What a conversion reads, if all of it is there."""
        try:
            snapshot = self._fetch([], local=True)
        except self._not_found:
            if self._forbidden:
                raise FileNotFoundError(
                    f"{self.name} is not on this machine, and the network may not be asked ({self._forbidden})"
                ) from None
            return None
        found = self._source(snapshot, wanted)
        if found is None and self._forbidden:
            raise FileNotFoundError(
                f"{self.name} is on this machine in part only, and the network may not be asked ({self._forbidden})"
            )
        return found

    def fetched(self, wanted: str) -> Path:
        """What a conversion reads, from the network: JSON and safetensors, or else one GGUF model."""
        if not wanted:
            patterns = [pattern for p in _files.PATTERNS for pattern in (p, f"*/{p}")]
            snapshot = self._fetch(patterns, local=False)
            if _is_whole(snapshot):
                return snapshot
        names = self._hub.list_repo_files(self.name, revision=self._revision, token=self._token)
        files = _gguf.chosen(names, wanted, self.name)
        if not files:
            what = f'"{wanted}"' if wanted else "config.json with weights in *.safetensors"
            there = ", ".join(_gguf.models(names)) or "none"
            raise FileNotFoundError(f"{self.name} has neither {what} nor one GGUF model; its GGUF models: {there}")
        return self._fetch(files, local=False) / files[0]

    def _source(self, snapshot: Path, wanted: str) -> Path | None:
        if not wanted and _is_whole(snapshot):
            return snapshot
        names = [os.fspath(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()]
        files = _gguf.chosen(names, wanted, f"what is here of {self.name}")
        return snapshot / files[0] if files else None


def _is_whole(folder: Path) -> bool:
    return (folder / "config.json").exists() and any(folder.glob("*.safetensors"))


def find(
    repository: str,
    *,
    cache: str | os.PathLike[str] | None = None,
    precision: str | None = None,
    pooling: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    token: bool | str | None = None,
) -> tuple[Path, dict[str, Any]]:
    """The .headlane file of a repository, named by its commit, precision and the version that converted it, and what
    its config_sentence_transformers.json says. repository: its name, and behind a colon the GGUF model of it that is
    meant. If the commit's snapshot is there already, nothing is asked of the network: no newer commit is looked for,
    unless revision names one that is not there."""
    name, _, wanted = repository.partition(":")
    asked = _Repository(name, revision, local_files_only, token)
    source = asked.on_this_machine(wanted) or asked.fetched(wanted)
    folder = source if source.is_dir() else source.parent
    commit = folder.name if source.is_dir() else _commit_of(source)
    parts = [f"{_plain(name)}@{commit}"]
    if source is not folder:
        parts.append(_plain(source.stem))
    parts += [precision or "f32", *([pooling] if pooling else []), version()]
    target = _files.cache_folder(cache) / f"{'-'.join(parts)}.headlane"
    return _files.convert_once(target, lambda: os.fspath(source), precision, pooling), _files._settings(folder)


def _commit_of(file: Path) -> str:
    """Of a file of a snapshot, which may lie in a folder of it."""
    return next(path.name for path in file.parents if path.parent.name == "snapshots")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "--", name)

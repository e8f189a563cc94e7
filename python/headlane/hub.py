"""Models of the Hugging Face hub: fetched by huggingface_hub, converted once."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

from headlane import _files
from headlane._library import version


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
    its config_sentence_transformers.json says. If the commit's snapshot is there already, nothing is asked of the
    network: no newer commit is looked for, unless revision names one that is not there."""
    try:
        huggingface_hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError(
            f"there is neither a file nor a folder {repository}, and to fetch it from the Hugging Face hub the package "
            "huggingface_hub is needed: pip install 'headlane[hub]'"
        ) from error

    def fetch(local: bool) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                repository,
                revision=revision,
                allow_patterns=[pattern for p in _files.PATTERNS for pattern in (p, f"*/{p}")],
                ignore_patterns=["onnx/*", "openvino/*", "original/*", "consolidated*.safetensors"],
                local_files_only=local,
                token=token,
            )
        )

    def complete(folder: Path) -> bool:
        return (folder / "config.json").exists() and any(folder.glob("*.safetensors"))

    snapshot: Path | None = None
    try:
        snapshot = fetch(local=True)
    except huggingface_hub.errors.LocalEntryNotFoundError:
        if local_files_only or huggingface_hub.constants.HF_HUB_OFFLINE:
            raise FileNotFoundError(
                f"{repository} is not on this machine, and the network may not be asked "
                f"({'local_files_only' if local_files_only else 'HF_HUB_OFFLINE'})"
            ) from None
    if snapshot is None or not complete(snapshot):
        if local_files_only or huggingface_hub.constants.HF_HUB_OFFLINE:
            raise FileNotFoundError(f"{repository} is on this machine in part only, and the network may not be asked")
        snapshot = fetch(local=False)
    if not complete(snapshot):
        raise FileNotFoundError(
            f"{repository} has no config.json with weights in *.safetensors beside it; of a repository of GGUF files, "
            "fetch one (hf download), and name that file"
        )

    commit = snapshot.name
    stem = re.sub(r"[^A-Za-z0-9._-]", "--", repository)
    of_pooling = f"-{pooling}" if pooling else ""
    target = _files.cache_folder(cache) / f"{stem}@{commit}-{precision or 'f32'}{of_pooling}-{version()}.headlane"
    folder = snapshot
    return _files.convert_once(target, lambda: os.fspath(folder), precision, pooling), _files._settings(folder)

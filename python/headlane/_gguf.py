"""Which of some GGUF files is meant: a repository or a folder often has one model in many quantizations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


def models(names: Iterable[str]) -> dict[str, list[str]]:
    """The files of each model, which is one file or several parts, all of which are there. Files of an encoder of
    pictures (mmproj) are not models by themselves."""
    found: dict[str, list[str]] = {}
    n_parts: dict[str, int] = {}
    for name in sorted(names):
        if not name.lower().endswith(".gguf") or Path(name).name.lower().startswith("mmproj"):
            continue
        part = _PART.search(name)
        model = name[: part.start()] + ".gguf" if part else name
        found.setdefault(model, []).append(name)
        n_parts[model] = int(part[2]) if part else 1
    return {model: files for model, files in found.items() if len(files) == n_parts[model]}


def chosen(names: Iterable[str], wanted: str, where: str) -> list[str]:
    """The files of the one model that fits: whose name is wanted, or has it as a part of its own (Q4_K_M); [] if none
    fits. where: what a sentence calls the place, which says there are several."""
    all_of_them = models(names)
    if wanted in all_of_them:
        return all_of_them[wanted]
    part = re.compile(rf"(?<![A-Za-z0-9]){re.escape(wanted)}(?![A-Za-z0-9_])", re.IGNORECASE)
    fitting = [model for model in all_of_them if not wanted or part.search(model)]
    if len(fitting) > 1:
        raise ValueError(f"{where} has {len(fitting)} GGUF models: {', '.join(fitting)}; name one of them")
    return all_of_them[fitting[0]] if fitting else []

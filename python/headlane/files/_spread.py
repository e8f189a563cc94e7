"""files.embed with an input at a time on workers that another engine runs."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headlane import files
from headlane._shipped import Named, named
from headlane.embedder import Embedder
from headlane.files._inputs import Input
from headlane.files._summary import FileSummary, Summary


@dataclass(frozen=True)
class Spread:
    """What a driver tells its workers. options: of files.embed; of_model: of Embedder."""

    model: Named
    out: str
    options: dict[str, Any]
    of_model: dict[str, Any]

    def opened(self, n_threads: int, fetch: Callable[[], Any]) -> Callable[[str, str], dict[str, Any]]:
        """What embeds an input of a path and a name, on a worker that has so many CPUs."""
        model = Embedder(self.model.here(fetch), n_threads=n_threads, **self.of_model)

        def embed(path: str, name: str) -> dict[str, Any]:
            summary = files.embed([Input(Path(path), name)], self.out, model=model, **self.options)
            return {"key": summary.key, **asdict(summary.files[0])}

        return embed


def spread(model: str | os.PathLike[str], out: str | os.PathLike[str], options: dict[str, Any]) -> Spread:
    own = inspect.signature(files.embed).parameters
    for name in ("n_threads", "on_progress"):
        if name in options:
            raise TypeError(f"there is no {name} here: a worker uses as many threads as it has CPUs, and is not watched")
    of_embed = {name: value for name, value in options.items() if name in own}
    of_model = {name: value for name, value in options.items() if name not in own}
    return Spread(named(model, of_model, Embedder._namespace), os.path.abspath(out), of_embed, of_model)


def joined(rows: Iterable[dict[str, Any]], seconds: float) -> Summary:
    """The summary of what the workers gave."""
    there = sorted(rows, key=lambda row: str(row["input"]))
    summary = Summary(there[0]["key"], seconds=seconds)
    summary.files = [FileSummary(**{name: row[name] for name in row if name != "key"}) for row in there]
    return summary

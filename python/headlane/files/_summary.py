"""What a run tells: while it runs, and at its end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    n_files: int
    n_files_done: int  # those that failed too
    n_rows: int  # that this run embedded
    rows_per_second: float
    seconds_left: float | None  # None: nothing is known yet

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", {duration(self.seconds_left)} left"
        return (
            f"{self.n_files_done}/{self.n_files} files, {self.n_rows} rows, {self.rows_per_second:.1f} rows/s{left}"
        )


@dataclass
class FileSummary:
    """What became of one input. rows: that it has; of one that failed, 0 if that is not known."""

    input: str
    rows: int = 0
    outputs: int = 0  # that it has now
    embedded: int = 0  # rows that this run embedded
    nulls: int = 0  # of these
    error: str | None = None


@dataclass
class Summary:
    """What a run did. ok: whether no input failed."""

    key: dict[str, Any]  # all that the vectors depend on, except the inputs
    files: list[FileSummary] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> list[FileSummary]:
        return [one for one in self.files if one.error is not None]

    def as_dict(self) -> dict[str, Any]:
        embedded = sum(one.embedded for one in self.files)
        return {
            "ok": self.ok,
            "files": len(self.files),
            "failed": len(self.failed),
            "rows": sum(one.rows for one in self.files),
            "embedded": embedded,
            "nulls": sum(one.nulls for one in self.files),
            "outputs": sum(one.outputs for one in self.files),
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(embedded / self.seconds, 1) if self.seconds else 0.0,
            "key": self.key,
            "inputs": [asdict(one) for one in self.files],
        }

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=False)


def duration(seconds: float) -> str:
    """In two units, as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

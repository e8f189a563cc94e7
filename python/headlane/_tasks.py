"""Tables to tables with a column more, by one model: what Ray, Spark and others do to a part of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from headlane._base import OpenModel
from headlane._columns import VectorColumns, as_texts, check_dtype, names_of
from headlane._shipped import Named, named
from headlane.classifier import Classifier, CrossEncoder
from headlane.embedder import Embedder
from headlane.translator import Translator

Kind = Literal["embed", "rank", "classify", "translate"]
_MODELS: dict[str, type[OpenModel]] = {
    "embed": Embedder,
    "rank": CrossEncoder,
    "classify": Classifier,
    "translate": Translator,
}
_INTO = {"embed": "vector", "rank": "score", "classify": "label", "translate": "translation"}


@dataclass(frozen=True)
class Task:
    """What a driver tells its workers: plain values, which any of them pickles.

    text: the column of texts. query: the column of queries, of "rank". into: the new column.
    options: of the model. call: of each call of it; of "embed" those of VectorColumns."""

    kind: Kind
    text: str
    into: str
    model: Named
    query: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> list[str]:
        """The columns that are read."""
        return [self.text] if self.query is None else [self.query, self.text]

    @property
    def names(self) -> list[str]:
        """The columns that are added."""
        if self.kind == "embed":
            return names_of(self.into, self.call.get("dtype", "float32"))
        return [self.into, f"{self.into}_score"] if self.kind == "classify" else [self.into]

    def check(self, columns: list[str]) -> None:
        """Of a dataset's columns, before anything runs."""
        for name in self.inputs:
            if name not in columns:
                raise ValueError(f"there is no column {name!r}; the columns are {', '.join(map(repr, columns))}")
        for name in self.names:
            if name in columns:
                raise ValueError(f"there is a column {name!r} already; into names another one")

    def opened(self, n_threads: int, fetch: Callable[[], Any]) -> Callable[[Any], Any]:
        """What adds the columns to a table, on a worker that has so many CPUs."""
        kind = _MODELS[self.kind]
        model: Any = kind(self.model.here(fetch), n_threads=n_threads, **self.options)
        columns = _COLUMNS[self.kind](self, model)

        def add(table: Any) -> Any:
            self.check(table.column_names)
            for name, column in zip(self.names, columns(*(table.column(name) for name in self.inputs)), strict=True):
                table = table.append_column(name, column)
            return table

        return add


def task_of(
    kind: Kind,
    text: str,
    *,
    model: Any,
    into: str | None = None,
    query: str | None = None,
    call: dict[str, Any] | None = None,
    options: dict[str, Any],
) -> Task:
    if kind not in _MODELS:
        raise ValueError(f"the task is {kind!r}, and must be one of {list(_MODELS)}")
    if (query is None) == (kind == "rank"):
        raise ValueError("query names the column of queries, which rank takes, and no other task")
    if "n_threads" in options:
        raise TypeError("a worker uses as many threads as it has CPUs, so there is no n_threads here")
    check_dtype((call or {}).get("dtype", "float32"))
    left = dict(options)
    return Task(kind, text, into or _INTO[kind], named(model, left, _MODELS[kind]._namespace), query, left, call or {})


def _embed(task: Task, model: Embedder) -> Callable[..., list[Any]]:
    return VectorColumns(model, into=task.into, **task.call).of


def _rank(task: Task, model: CrossEncoder) -> Callable[..., list[Any]]:
    def score(queries: Any, texts: Any) -> list[Any]:
        pairs = list(zip(as_texts(queries).to_pylist(), as_texts(texts).to_pylist(), strict=True))
        whole = [pair for pair in pairs if None not in pair]
        scores = iter(model.predict(whole, show_progress_bar=False, **task.call).tolist() if whole else [])
        return [pa.array([None if None in pair else next(scores) for pair in pairs], pa.float32())]

    return score


def _classify(task: Task, model: Classifier) -> Callable[..., list[Any]]:
    def classify(texts: Any) -> list[Any]:
        strings = as_texts(texts).to_pylist()
        whole = [text for text in strings if text is not None]
        found = iter(model.classify(whole, show_progress_bar=False, **task.call) if whole else [])
        best = [None if text is None else next(found)[0] for text in strings]
        return [
            pa.array([row and row["label"] for row in best], pa.string()),
            pa.array([row and row["score"] for row in best], pa.float32()),
        ]

    return classify


def _translate(task: Task, model: Translator) -> Callable[..., list[Any]]:
    def translate(texts: Any) -> list[Any]:
        strings = as_texts(texts).to_pylist()
        whole = [text for text in strings if text is not None]
        found = iter(model.translate(whole, **task.call) if whole else [])
        return [pa.array([None if text is None else next(found) for text in strings], pa.string())]

    return translate


_COLUMNS: dict[str, Callable[[Task, Any], Callable[..., list[Any]]]] = {
    "embed": _embed,
    "rank": _rank,
    "classify": _classify,
    "translate": _translate,
}

"""Embedders for Haystack's pipelines:

    from headlane.haystack import HeadlaneDocumentEmbedder, HeadlaneTextEmbedder
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from headlane.embedder import Embedder


class _Component:
    """A model that is opened at the first run, or by warm_up. options are Embedder's, as a pipeline can save them."""

    def __init__(self, model: str, options: dict[str, Any] | None = None) -> None:
        self.model = model
        self.options = dict(options or {})
        self._embedder: Embedder | None = None

    def warm_up(self) -> None:
        self._opened()

    def _opened(self) -> Embedder:
        if self._embedder is None:
            self._embedder = Embedder(self.model, **self.options)
        return self._embedder


@component
class HeadlaneTextEmbedder(_Component):
    """The vector of a query, by encode_query."""

    def to_dict(self) -> dict[str, Any]:
        saved: dict[str, Any] = default_to_dict(self, model=self.model, options=self.options)
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HeadlaneTextEmbedder:
        made: HeadlaneTextEmbedder = default_from_dict(cls, data)
        return made

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        if not isinstance(text, str):
            raise TypeError(
                f"HeadlaneTextEmbedder takes a str, and got {type(text).__name__}; "
                "for documents there is HeadlaneDocumentEmbedder"
            )
        return {"embedding": self._opened().encode_query(text).tolist()}


@component
class HeadlaneDocumentEmbedder(_Component):
    """Documents with their vectors, by encode_document. meta_fields: what of a document's meta is put before its
    content, with separator between."""

    def __init__(
        self,
        model: str,
        options: dict[str, Any] | None = None,
        meta_fields: list[str] | None = None,
        separator: str = "\n",
    ) -> None:
        _Component.__init__(self, model, options)  # component makes another class of this one, which super() is not of
        self.meta_fields = list(meta_fields or [])
        self.separator = separator

    def to_dict(self) -> dict[str, Any]:
        saved: dict[str, Any] = default_to_dict(
            self, model=self.model, options=self.options, meta_fields=self.meta_fields, separator=self.separator
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HeadlaneDocumentEmbedder:
        made: HeadlaneDocumentEmbedder = default_from_dict(cls, data)
        return made

    def _text(self, document: Any) -> str:
        meta = [str(document.meta[name]) for name in self.meta_fields if document.meta.get(name) is not None]
        return self.separator.join([*meta, document.content or ""])

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        if not isinstance(documents, list) or any(not isinstance(document, Document) for document in documents):
            raise TypeError("HeadlaneDocumentEmbedder takes a list of documents; for a str there is HeadlaneTextEmbedder")
        if not documents:
            return {"documents": []}
        vectors = self._opened().encode_document([self._text(document) for document in documents]).tolist()
        return {
            "documents": [
                replace(document, embedding=vector) for document, vector in zip(documents, vectors, strict=True)
            ]
        }

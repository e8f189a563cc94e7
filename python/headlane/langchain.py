"""Embeddings and a reranker for LangChain:

    from headlane.langchain import HeadlaneEmbeddings, HeadlaneReranker
    embeddings = HeadlaneEmbeddings("all-MiniLM-L6-v2")
    reranker = HeadlaneReranker(model="cross-encoder/ms-marco-MiniLM-L6-v2", top_n=3)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from pydantic import Field, PrivateAttr

from headlane.classifier import CrossEncoder
from headlane.embedder import Embedder


class HeadlaneEmbeddings(Embeddings):
    """Documents by encode_document, queries by encode_query.

    model: what Embedder takes, or an Embedder; options: Embedder's. encode_options: of each encode."""

    def __init__(
        self, model: str | os.PathLike[str] | Embedder, *, encode_options: dict[str, Any] | None = None, **options: Any
    ) -> None:
        if isinstance(model, Embedder) and options:
            raise TypeError(f"the model is an Embedder already, so {sorted(options)} come too late")
        self.embedder = model if isinstance(model, Embedder) else Embedder(model, **options)
        self.encode_options = dict(encode_options or {})

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embedder.encode_document(texts, **self.encode_options).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.embedder.encode_query(text, **self.encode_options).tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = (await self.embedder.aencode_document(texts, **self.encode_options)).tolist()
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        vector: list[float] = (await self.embedder.aencode_query(text, **self.encode_options)).tolist()
        return vector


class HeadlaneReranker(BaseDocumentCompressor):
    """The top_n documents that fit a query best, best first, each with its score as metadata "relevance_score".

    model: a cross-encoder, as CrossEncoder takes it; options: CrossEncoder's."""

    model: str
    top_n: int | None = 3
    options: dict[str, Any] = Field(default_factory=dict)
    _encoder: CrossEncoder = PrivateAttr()

    def model_post_init(self, _: Any) -> None:
        self._encoder = CrossEncoder(self.model, **self.options)

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> Sequence[Document]:
        ranked = self._encoder.rank(query, [document.page_content for document in documents], self.top_n)
        return [_scored(documents[row["corpus_id"]], row["score"]) for row in ranked]

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        ranked = await self._encoder.arank(query, [document.page_content for document in documents], self.top_n)
        return [_scored(documents[row["corpus_id"]], row["score"]) for row in ranked]


def _scored(document: Document, score: Any) -> Document:
    return Document(
        id=document.id,
        page_content=document.page_content,
        metadata={**document.metadata, "relevance_score": float(score)},
    )

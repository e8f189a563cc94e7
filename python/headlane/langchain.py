"""Embeddings for LangChain:

    from headlane.langchain import HeadlaneEmbeddings
    embeddings = HeadlaneEmbeddings("all-MiniLM-L6-v2")
"""

from __future__ import annotations

import os
from typing import Any

from langchain_core.embeddings import Embeddings

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

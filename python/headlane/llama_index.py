"""An embedding model for LlamaIndex:

    from headlane.llama_index import HeadlaneEmbedding
    Settings.embed_model = HeadlaneEmbedding("all-MiniLM-L6-v2")
"""

from __future__ import annotations

import os
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from headlane.embedder import Embedder


class HeadlaneEmbedding(BaseEmbedding):
    """Texts by encode_document, queries by encode_query. model_name: what Embedder takes; options: Embedder's."""

    _embedder: Embedder = PrivateAttr()

    def __init__(
        self,
        model_name: str | os.PathLike[str],
        *,
        embed_batch_size: int = 1024,
        callback_manager: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            model_name=os.fspath(model_name), embed_batch_size=embed_batch_size, callback_manager=callback_manager
        )
        self._embedder = Embedder(model_name, **options)

    @classmethod
    def class_name(cls) -> str:
        return "HeadlaneEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._embedder.encode_query(query).tolist()
        return vector

    async def _aget_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = (await self._embedder.aencode_query(query)).tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        vector: list[float] = self._embedder.encode_document(text).tolist()
        return vector

    async def _aget_text_embedding(self, text: str) -> list[float]:
        vector: list[float] = (await self._embedder.aencode_document(text)).tolist()
        return vector

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.encode_document(texts).tolist()
        return vectors

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = (await self._embedder.aencode_document(texts)).tolist()
        return vectors

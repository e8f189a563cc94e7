"""An embedding function for Chroma:

    from headlane.chroma import HeadlaneEmbeddingFunction
    client.create_collection("texts", embedding_function=HeadlaneEmbeddingFunction("all-MiniLM-L6-v2"))
"""

from __future__ import annotations

from typing import Any

from chromadb.api.types import Documents, EmbeddingFunction, Embeddings
from chromadb.utils.embedding_functions import register_embedding_function

from headlane.embedder import Embedder


@register_embedding_function
class HeadlaneEmbeddingFunction(EmbeddingFunction[Documents]):
    """Documents by encode_document, queries by encode_query. model: what Embedder takes; options: Embedder's, which
    Chroma saves with the collection, so they must be numbers and texts."""

    def __init__(self, model: str, **options: Any) -> None:
        self._model = model
        self._options = options
        self._embedder = Embedder(model, **options)

    def __call__(self, input: Documents) -> Embeddings:
        return list(self._embedder.encode_document(list(input)))

    def embed_query(self, input: Documents) -> Embeddings:
        return list(self._embedder.encode_query(list(input)))

    @staticmethod
    def name() -> str:
        return "headlane"

    def default_space(self) -> Any:
        return "cosine"

    def supported_spaces(self) -> Any:
        return ["cosine", "l2", "ip"]

    def get_config(self) -> dict[str, Any]:
        return {"model": self._model, "options": self._options}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> HeadlaneEmbeddingFunction:
        return HeadlaneEmbeddingFunction(config["model"], **config.get("options", {}))

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        if old_config.get("model") != new_config.get("model"):
            raise ValueError("the model of a collection cannot be changed: its vectors are of the old one")

"""A module for the real SentenceTransformer, which all frameworks know:

    from sentence_transformers import SentenceTransformer
    from headlane.st import Encoder
    model = SentenceTransformer(modules=[Encoder("all-MiniLM-L6-v2")])
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from sentence_transformers.base.modules import InputModule

from headlane.embedder import Embedder


class Encoder(InputModule):
    """Tokenizer, encoder, pooling and what comes after it, in one module. The options are Embedder's. A model that was
    saved holds the .headlane file; SentenceTransformer loads it with trust_remote_code=True, since the module is not
    its own. It has no weights of torch's, so it is not trained."""

    config_file_name = "headlane_config.json"
    _file = "model.headlane"

    def __init__(self, model_name_or_path: str | os.PathLike[str], **options: Any) -> None:
        super().__init__()
        self._options = options
        self._embedder = Embedder(model_name_or_path, **options)

    @property
    def tokenizer(self) -> Any:
        return self._embedder.tokenizer

    @property
    def max_seq_length(self) -> int:
        return self._embedder.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self._embedder.max_seq_length = value

    def get_embedding_dimension(self) -> int:
        return self._embedder.get_embedding_dimension()

    def preprocess(self, inputs: Any, prompt: str | None = None, **_: Any) -> dict[str, Any]:
        return {"texts": list(inputs), "prompt": prompt or ""}

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        vectors = self._embedder.encode(features["texts"], prompt=features["prompt"], show_progress_bar=False)
        features["sentence_embedding"] = torch.from_numpy(vectors)
        return features

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        shutil.copyfile(self._embedder.path, Path(output_path) / self._file)
        self.save_config(output_path)

    def get_config_dict(self) -> dict[str, Any]:
        kept = ("precision", "n_threads", "isa", "max_tokens")
        return {name: value for name, value in self._options.items() if name in kept}

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **options: Any) -> Encoder:
        found = {name: options[name] for name in ("token", "cache_folder", "revision", "local_files_only") if name in options}
        path = cls.load_file_path(model_name_or_path, filename=cls._file, subfolder=subfolder, **found)
        if path is None:
            raise FileNotFoundError(f"{model_name_or_path} has no {cls._file}")
        return cls(path, **cls.load_config(model_name_or_path, subfolder=subfolder, **found))

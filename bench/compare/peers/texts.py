"""Texts to vectors by engines that take padded batches: tokenize, sort by length, pad each batch
to its longest, pool. The same for all of them; Hugging Face's tokenizers in Rust, numpy for the
rest. And pairs of texts to scores, likewise."""

import json
import pathlib
import time

import numpy as np

from peers.batches import Tuned

BATCH_SIZES = (16, 32, 64)
RANK_BATCH_SIZES = (8, 32)
POOLINGS = ("mean", "cls", "max")


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


PADS_BEFORE_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet")


def max_length(folder):
    """In RoBERTa's line, positions begin behind the pad's id."""
    config = read_json(folder / "config.json")
    asked = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    unused = config["pad_token_id"] + 1 if config["model_type"] in PADS_BEFORE_POSITIONS else 0
    return min(filter(None, (asked, config["max_position_embeddings"] - unused)))


def load_tokenizer(folder):
    from tokenizers import Tokenizer
    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    else:
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length(folder))
    return tokenizer


def load_pooling(folder):
    """How hidden states become a vector, and whether it gets length 1."""
    modules = read_json(folder / "modules.json") or []
    config = read_json(folder / "1_Pooling/config.json")
    names = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token",
             "max": "pooling_mode_max_tokens"}
    chosen = [name for name in POOLINGS
              if config.get(names[name]) or config.get("pooling_mode") == name]
    normalize = any(module["type"].endswith("Normalize") for module in modules)
    return chosen[0] if chosen else "mean", normalize


def pool(hidden, mask, how):
    """hidden [batch, seq, d_model], mask [batch, seq]."""
    if how == "cls":
        return hidden[:, 0].copy()
    if how == "max":
        return np.where(mask[..., None] > 0, hidden, -np.inf).max(axis=1)
    weights = (mask / mask.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.matmul(weights[:, None], hidden)[:, 0]


class PaddedEmbedder(Tuned):
    BATCH_SIZES = BATCH_SIZES

    def __init__(self, peer):
        folder = pathlib.Path(peer.setup.folder)
        self.peer = peer
        self.tokenizer = load_tokenizer(folder)
        self.pooling, self.normalize = load_pooling(folder)
        self.batch_size = BATCH_SIZES[0]

    def lengths(self, texts):
        return [len(encoding.ids) for encoding in self.tokenizer.encode_batch(texts)]

    def embed(self, texts):
        """[texts, d_model]"""
        encodings = self.tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: -len(encodings[i].ids))
        vectors = None
        for first in range(0, len(order), self.batch_size):
            batch = order[first:first + self.batch_size]
            longest = len(encodings[batch[0]].ids)
            ids = np.zeros((len(batch), longest), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(batch):
                n = len(encodings[i].ids)
                ids[row, :n] = encodings[i].ids
                mask[row, :n] = 1
            pooled = pool(self.peer.forward(ids, mask), mask, self.pooling)
            if vectors is None:
                vectors = np.empty((len(texts), pooled.shape[1]), dtype=np.float32)
            vectors[batch] = pooled
        if self.normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors


class Head:
    """RoBERTa's, on the first token's row."""

    def __init__(self, folder):
        from safetensors import safe_open
        with safe_open(str(folder / "model.safetensors"), "np") as file:
            self.dense, self.out = (
                [file.get_tensor(f"classifier.{name}.{part}") for part in ("weight", "bias")]
                for name in ("dense", "out_proj"))

    def logits(self, hidden):
        """hidden [batch, seq, d_model]"""
        row = np.tanh(hidden[:, 0] @ self.dense[0].T + self.dense[1])
        return row @ self.out[0].T + self.out[1]


def fastest_ranking(documents, scores):
    """The batch size of which scores(documents, size) takes least."""
    seconds = {}
    for size in RANK_BATCH_SIZES:
        scores(documents[:size], size)
        start = time.perf_counter()
        scores(documents, size)
        seconds[size] = time.perf_counter() - start
    return min(seconds, key=seconds.get)


class PaddedRanker:
    """The sigmoid of a classifier's one label."""

    def __init__(self, peer):
        self.peer, self.tokenizer = peer, load_tokenizer(pathlib.Path(peer.setup.folder))

    def scores(self, query, documents, size):
        encodings = self.tokenizer.encode_batch([(query, document) for document in documents])
        order = sorted(range(len(encodings)), key=lambda i: -len(encodings[i].ids))
        scores = np.empty(len(encodings), dtype=np.float32)
        for first in range(0, len(order), size):
            batch = order[first:first + size]
            longest = len(encodings[batch[0]].ids)
            ids = np.ones((len(batch), longest), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(batch):
                n = len(encodings[i].ids)
                ids[row, :n] = encodings[i].ids
                mask[row, :n] = 1
            scores[batch] = 1 / (1 + np.exp(-self.peer.logits(ids, mask)[:, 0]))
        return scores

    def call(self, query, documents):
        """With the batch size that is fastest."""
        def scores(some, size):
            return self.scores(query, some, size)
        best = self.peer.notes["batch_size"] = fastest_ranking(documents, scores)
        return lambda: scores(documents, best)

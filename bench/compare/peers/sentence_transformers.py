"""sentence-transformers on PyTorch: what most Python programs call. It sorts by length itself."""

import numpy as np

from peers import NotOffered, Peer
from peers.batches import Tuned
from peers.texts import BATCH_SIZES, fastest_ranking
from peers.torch_eager import at_precision


class Embedder(Tuned):
    BATCH_SIZES = BATCH_SIZES

    def __init__(self, peer):
        self.peer, self.model, self.batch_size = peer, peer.model, BATCH_SIZES[0]

    def lengths(self, texts):
        ids = self.model.tokenizer(texts, truncation=True, max_length=self.model.max_seq_length)
        return [len(row) for row in ids["input_ids"]]

    def embed(self, texts):
        return self.model.encode(texts, batch_size=self.batch_size, show_progress_bar=False)


class SentenceTransformers(Peer):
    def settings(self):
        int8 = " by quantize_dynamic of Linear" * (self.precision == "int8")
        return f"SentenceTransformer.encode, {self.precision}{int8}"

    def load(self):
        import torch
        torch.set_num_threads(self.setup.threads)
        from sentence_transformers import SentenceTransformer
        model = SentenceTransformer(self.setup.folder, device="cpu").float()
        self.model = at_precision(model, self.precision)

    def rerank(self, query, documents):
        """A CrossEncoder in place of what load() has opened."""
        from sentence_transformers import CrossEncoder
        self.model = None
        model = at_precision(CrossEncoder(self.setup.folder, device="cpu"), self.precision)

        def scores(some, size):
            pairs = [(query, document) for document in some]
            found = model.predict(pairs, batch_size=size, show_progress_bar=False)
            return np.asarray(found, np.float32)
        best = self.notes["batch_size"] = fastest_ranking(documents, scores)
        return lambda: scores(documents, best)

    def embedder(self):
        return Embedder(self)


class WithBackend(SentenceTransformers):
    """Another runtime beneath, on a model that is exported before."""

    backend = ""  # as SentenceTransformer names it
    cold_start = False

    def settings(self):
        return f"SentenceTransformer(backend=\"{self.backend}\").encode, f32"

    def check_precision(self):
        if self.precision != "f32":
            raise NotOffered("is compared in f32 alone")

    def opened(self, folder):
        import torch
        torch.set_num_threads(self.setup.threads)
        from sentence_transformers import SentenceTransformer
        return SentenceTransformer(folder, device="cpu", backend=self.backend)

    def export(self):
        self.opened(self.setup.folder).save_pretrained(str(self.setup.export("model")))

    def load(self):
        self.model = self.opened(str(self.setup.export("model")))


PEER = SentenceTransformers

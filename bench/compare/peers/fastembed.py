"""fastembed, on the ONNX model that is made of the same folder (peers/onnxruntime), registered as a
model of its own. It takes no folder of Hugging Face's by itself."""

import pathlib
import shutil
import sys

from peers import NotOffered, Peer
from peers.batches import Tuned

BATCH_SIZES = (16, 32, 64, 256)
NAME = "bench/minilm"


def library():
    """The package fastembed, whose name this file has too."""
    here = str(pathlib.Path(__file__).parent)
    sys.path[:] = [path for path in sys.path if path != here]
    import fastembed
    return fastembed


class Embedder(Tuned):
    BATCH_SIZES = BATCH_SIZES

    def __init__(self, peer):
        self.peer, self.model, self.batch_size = peer, peer.model, BATCH_SIZES[1]

    def lengths(self, texts):
        tokenizer = self.model.model.tokenizer
        return [sum(row.attention_mask) for row in tokenizer.encode_batch(texts)]

    def embed(self, texts):
        """Sorted by length, which fastembed does not, since its batches are padded."""
        import numpy as np
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        rows = list(self.model.embed([texts[i] for i in order], batch_size=self.batch_size))
        vectors = np.empty((len(texts), len(rows[0])), np.float32)
        vectors[order] = rows
        return vectors


class Fastembed(Peer):
    cold_start = False

    def settings(self):
        return "TextEmbedding.embed, f32, sorted by length"

    def check_precision(self):
        if self.precision != "f32":
            raise NotOffered("is compared in f32 alone")

    def export(self):
        from peers.onnxruntime import export_onnx
        folder = pathlib.Path(self.setup.exports)
        for path in pathlib.Path(self.setup.folder).glob("*.*"):
            if path.suffix in (".json", ".txt"):
                shutil.copy(path, folder)
        export_onnx(self.setup.folder, folder / "model.onnx")

    def load(self):
        library()
        from fastembed import TextEmbedding
        from fastembed.common.model_description import ModelSource, PoolingType
        from peers.texts import load_pooling, max_length
        folder = pathlib.Path(self.setup.folder)
        pooling, normalize = load_pooling(folder)
        if pooling not in ("mean", "cls"):
            raise NotOffered(f"has no {pooling} pooling")
        TextEmbedding.add_custom_model(
            model=NAME, pooling=PoolingType[pooling.upper()], normalization=normalize,
            sources=ModelSource(hf=NAME), dim=self.config()["hidden_size"], model_file="model.onnx")
        self.model = TextEmbedding(NAME, threads=self.setup.threads,
                                   specific_model_path=self.setup.exports)
        self.model.model.tokenizer.enable_truncation(max_length(folder))

    def embedder(self):
        return Embedder(self)


PEER = Fastembed

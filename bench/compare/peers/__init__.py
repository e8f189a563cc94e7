"""The engines that tools/bench compares, a file each, behind the interface Peer.

A file here is imported only in that engine's own process, and imports the engine inside methods, so
that what is missing is an answer and not a crash.
"""

import dataclasses
import importlib
import json
import pathlib
import sys

ENGINES = {  # name: Python distributions whose versions are reported
    "headlane": (),
    "torch-eager": ("torch", "transformers"),
    "torch-compile": ("torch", "transformers"),
    "sentence-transformers": ("sentence-transformers", "torch"),
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
    "ctranslate2": ("ctranslate2",),
    "llama-cpp": ("llama-cpp-python",),
    "headlane-python": ("headlane",),
    "sentence-transformers-onnx": ("sentence-transformers", "optimum-onnx", "onnxruntime"),
    "sentence-transformers-openvino": ("sentence-transformers", "optimum-intel", "openvino"),
    "fastembed": ("fastembed", "onnxruntime"),
}
# A group of cases must name these; they do not run otherwise.
OF_GROUPS = ("headlane-python", "sentence-transformers-onnx", "sentence-transformers-openvino",
             "fastembed")
STANDARD = tuple(name for name in ENGINES if name not in OF_GROUPS)
REFERENCE = "torch-eager"  # from whose outputs in float32 the distances are
PRECISIONS = ("f32", "bf16", "int8")


class NotOffered(Exception):
    """The engine does not do this kind of case, or it would say nothing of it; says why."""


@dataclasses.dataclass
class Setup:
    threads: int
    isa: str  # "" or the cap
    folder: str  # the Hugging Face model, or a GGUF file; "" for cases without one
    exports: str  # where files made from it for this engine are
    build: str  # Headlane's folder
    precision: str = "f32"

    def export(self, name):
        return pathlib.Path(self.exports) / name


def is_classifier(config):
    """Whether a model's config.json says that it has a head that classifies sequences."""
    return any(name.endswith("ForSequenceClassification")
               for name in config.get("architectures") or [])


def padded(sources, pad):
    """ids, mask [batch, longest], int64"""
    import numpy as np
    ids = np.full((len(sources), max(map(len, sources))), pad, dtype=np.int64)
    for row, source in zip(ids, sources):
        row[:len(source)] = source
    lengths = np.array([len(source) for source in sources])
    return ids, (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)


class Peer:
    """One engine in one process. A call takes nothing, runs once, and returns a numpy array, or
    what as_floats() makes one of: attention is from the engine's own rows to its own rows."""

    cold_start = True  # whether cold-start and memory make sense
    decodes = False  # whether it loads GGUF files of language models
    translates = False  # whether it loads models with an encoder and a decoder
    lacks = {}  # {precision: why the engine does not have it}

    def __init__(self, setup):
        self.setup = setup
        self.precision = setup.precision
        self.head = None
        self.notes = {}  # what was chosen for a case, for the report

    def check_precision(self):
        if self.precision in self.lacks:
            raise NotOffered(self.lacks[self.precision])

    def check_model(self):
        if self.is_gguf():
            if not self.decodes:
                raise NotOffered("is not compared on GGUF files")
        elif self.setup.folder and self.is_encoder_decoder() and not self.translates:
            raise NotOffered("is compared on models of an encoder alone")

    def settings(self):
        """What makes it fast, in a line."""
        raise NotImplementedError

    def config(self):
        text = (pathlib.Path(self.setup.folder) / "config.json").read_text(encoding="utf-8")
        return json.loads(text)

    def is_gguf(self):
        return self.setup.folder.endswith(".gguf")

    def is_encoder_decoder(self):
        return bool(self.config().get("is_encoder_decoder"))

    def is_classifier(self):
        return is_classifier(self.config())

    def export(self):
        """Makes the files that load() wants; in a process of its own, before."""

    def load(self):
        """The model of setup.folder."""

    def fixed(self, ids):
        """ids [batch, seq], int64, without padding: a call for hidden states [batch, seq,
        d_model]."""
        raise NotOffered("takes texts alone")

    def forward(self, ids, mask):
        """Hidden states of any shape of ids and mask [batch, seq], int64."""
        raise NotImplementedError

    def logits(self, ids, mask):
        """A classifier's numbers before any sigmoid, [batch, labels], of any shape of ids and mask.
        Here its head is NumPy's: some engines return hidden states alone."""
        from peers.texts import Head
        self.head = self.head or Head(pathlib.Path(self.setup.folder))
        return self.head.logits(self.forward(ids, mask))

    def generate(self, sources, beams):
        """sources: ids [n] each, int32. A call for the best answers, [batch, N_STEPS]."""
        raise NotOffered("runs the encoder alone")

    def encode_sources(self, sources):
        """A call for hidden states, padded ones, [batch, longest, d_model], or [tokens,
        d_model]."""
        ids, mask = padded(sources, self.config()["pad_token_id"])
        return lambda: self.forward(ids, mask)

    def decode(self, prompts):
        """ids [n] each, int32, whose keys and values are computed now. A call for the N_NEW likeliest
        tokens that come after each, [sequences, N_NEW], int32."""
        raise NotOffered("runs no GGUF files")

    def prompt(self, ids):
        """A call for the token that comes after ids [n], int32, which share nothing with the call
        before: [1, 1]."""
        raise NotOffered("runs no GGUF files")

    def shared(self, ids, n_shared):
        """The same where the first n_shared of them are in the cache before."""
        raise NotImplementedError

    def first_token(self, ids):
        """The same, of a model that is opened in the call and ends with it."""
        raise NotImplementedError

    def embedder(self):
        """Turns texts into vectors."""
        from peers.texts import PaddedEmbedder
        return PaddedEmbedder(self)

    def rerank(self, query, documents):
        """A call for the score of each document, of a classifier of one label."""
        from peers.texts import PaddedRanker
        return PaddedRanker(self).call(query, documents)

    def embed_command(self, kind, source):
        """A process that prints vectors. kind: "--text" or "--file"."""
        worker = pathlib.Path(__file__).resolve().parent.parent / "worker.py"
        return [sys.executable, str(worker), type(self).engine,
                json.dumps(dataclasses.asdict(self.setup)), "--embed", kind, source]

    def layer(self, case, tensors, x):
        """encoder-layer and mha: tensors by PyTorch's names, x [batch, seq, d_model]."""
        raise NotOffered("runs whole models alone")

    def attention(self, q, k, v, causal):
        """[batch, heads, seq, head_dim] each. They are brought into the precision before a call."""
        raise NotOffered("runs whole models alone")

    def as_floats(self, result):
        """What a call returned, as a numpy array of float32. It is not timed."""
        return result

    def gemm(self, weight, bias, x):
        """x [rows, d_in] times weight [d_out, d_in], plus bias."""
        raise NotOffered("runs whole models alone")


def make(engine, setup):
    module = importlib.import_module("peers." + engine.replace("-", "_"))
    module.PEER.engine = engine
    peer = module.PEER(setup)
    peer.check_precision()
    peer.check_model()
    return peer

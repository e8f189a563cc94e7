"""Headlane, through its C API; its own tokenizer, ragged batches sorted by length."""

import ctypes
import json
import pathlib
import struct
import subprocess
import tempfile

import numpy as np

import headlane_library as hl
from decoding import N_NEW
from peers import NotOffered, Peer
from peers.headlane_sequences import Sequences
from peers.headlane_translation import Translation

BATCH_TOKENS = 2048


def pointer(array):
    return array.ctypes.data


def offsets_of(lengths):
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def to_bf16(array):
    """The upper halves of floats, to the nearest, ties to even, as uint16."""
    bits = array.view(np.uint32)
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors):
    header, end = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape,
                        "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.tobytes())


class Headlane(Peer):
    decodes = translates = True

    def __init__(self, setup):
        super().__init__(setup)
        self.build = pathlib.Path(setup.build)
        self.library = hl.Library(self.build / "lib/libheadlane.so")
        self.isa = ctypes.c_char_p(setup.isa.encode() or None)  # options point to it
        # The files are made of float32: as it is in the file is f32.
        self.model_precision = None if self.precision == "f32" else self.precision.encode()

    def settings(self):
        if self.is_gguf():
            return ("weights in the file's types, packed by headlane pack, tokens by "
                    "headlane_sequences_step; first-token maps the file")
        return f"{self.precision}, ragged, sorted by length, {BATCH_TOKENS} tokens a batch"

    def path(self):
        return self.setup.export("model.headlane")

    def export(self):
        self.convert(self.setup.folder, self.path())
        if self.is_gguf():  # language models are large, and opened as a user of them would
            subprocess.run([self.build / "bin/headlane", "pack", self.path(), "-o", self.path()],
                           check=True, stderr=subprocess.DEVNULL)

    def convert(self, folder, path):
        subprocess.run([self.build / "bin/headlane", "convert", folder, "-o", path], check=True,
                       stdout=subprocess.DEVNULL)

    def open(self, path, **more):
        options = hl.make(hl.ModelOptions, isa=self.isa, precision=self.model_precision, **more)
        return self.library.handle("model_open", str(path).encode(), ctypes.byref(options))

    def session(self, model, max_tokens):
        options = hl.make(hl.SessionOptions, max_tokens=max_tokens, n_threads=self.setup.threads)
        return self.library.handle("session_create", model, ctypes.byref(options))

    def load(self):
        self.model = self.open(self.path())
        self.facts = hl.make(hl.ModelFacts)
        self.library.model_get_facts(self.model, ctypes.byref(self.facts))

    def encode(self, session, ids, offsets, **outputs):
        batch = hl.make(hl.Batch, n_seqs=len(offsets) - 1, offsets=pointer(offsets),
                        ids=pointer(ids))
        outputs = {name: pointer(array) for name, array in outputs.items()}
        self.library.session_encode(session, ctypes.byref(batch),
                            ctypes.byref(hl.make(hl.Outputs, **outputs)))

    def fixed(self, ids):
        n_seqs, seq = ids.shape
        session = self.session(self.model, ids.size)
        ids, offsets = ids.astype(np.int32), offsets_of([seq] * n_seqs)
        hidden = np.empty((n_seqs, seq, self.facts.d_model), dtype=np.float32)

        def call():
            self.encode(session, ids, offsets, hidden=hidden)
            return hidden
        return call

    def translation(self, sources, beams=1):
        return Translation(self.library, self.model, sources, beams, self.setup.threads)

    def generate(self, sources, beams):
        return self.translation(sources, beams).generate

    def encode_sources(self, sources):
        translation = self.translation(sources)
        hidden = np.empty((len(translation.ids), self.facts.d_model), dtype=np.float32)
        return lambda: translation.encode(hidden)

    def decode(self, prompts):
        return Sequences(self, prompts, N_NEW).decode

    def prompt(self, ids):
        return Sequences(self, [ids], 1).prompt

    def shared(self, ids, n_shared):
        sequences = Sequences(self, [ids, ids], 1)
        sequences.keep(ids[:n_shared])
        return sequences.prompt

    def first_token(self, ids):
        def call():
            model = self.open(self.path(), map=1)
            found = Sequences(self, [ids], 1, model).prompt()  # the sequences end here
            self.library.library.headlane_model_destroy(model)
            return found
        return call

    def rerank(self, query, documents):
        session = self.session(self.model, max(BATCH_TOKENS, self.facts.max_seq_len))
        query, rows = query.encode(), [document.encode() for document in documents]
        data, offsets = b"".join(rows), offsets_of([len(row) for row in rows])
        texts = hl.make(hl.Texts, n_texts=len(rows), data=ctypes.cast(data, ctypes.c_void_p),
                        data_bytes=len(data), offsets_64=pointer(offsets))
        scores = np.empty(len(rows), dtype=np.float32)

        def call(arrays=(data, offsets)):  # which the texts point to
            self.library.session_rank(session, query, ctypes.c_size_t(len(query)),
                                      ctypes.byref(texts), None, ctypes.c_void_p(pointer(scores)),
                                      None, ctypes.c_int64(0))
            return scores
        return call

    def embedder(self):
        return Embedder(self)

    def embed_command(self, kind, source):
        source = ["-i", source] if kind == "--file" else [source]
        isa = ["--isa", self.setup.isa] if self.setup.isa else []
        precision = ["--precision", self.precision] if self.precision != "f32" else []
        return [str(self.build / "bin/headlane"), "embed", "-m", str(self.path()), "--threads",
                str(self.setup.threads), *isa, *precision, *source]

    def layer(self, case, tensors, x):
        size = case.sizes
        if case.kind == "mha":
            config = {"embed_dim": size["d_model"], "num_heads": size["n_heads"]}
        else:
            config = {"d_model": size["d_model"], "nhead": size["n_heads"],
                      "dim_feedforward": size["d_ff"]}
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "config.json").write_text(json.dumps(config | {"batch_first": True}))
            write_safetensors(folder / "model.safetensors", tensors)
            self.convert(folder, folder / "layer.headlane")
            model = self.open(folder / "layer.headlane")
        session = self.session(model, size["batch"] * size["seq"])
        out = np.empty_like(x)
        batch = hl.make(hl.ForwardBatch, n_seqs=size["batch"], q_len=size["seq"],
                        x=hl.Rows(pointer(x), 0, 0), out=hl.Rows(pointer(out), 0, 0))

        def call(arrays=(x, out)):  # which the batch points to
            self.library.session_forward(session, ctypes.byref(batch))
            return arrays[-1]
        return call

    def attention(self, q, k, v, causal):
        """At bf16 on arrays of it, which PyTorch has too, and which are made before."""
        n_seqs, n_heads, seq, head_dim = q.shape
        bf16 = self.precision == "bf16"
        options = hl.make(hl.AttentionOptions, n_heads=n_heads, head_dim=head_dim,
                          causal=int(causal), n_threads=self.setup.threads,
                          isa=ctypes.cast(self.isa, ctypes.c_void_p).value,
                          precision=b"bf16" if bf16 else b"f32")
        try:
            attention = self.library.handle("attention_create", ctypes.byref(options))
        except RuntimeError as error:
            raise NotOffered(str(error)) from None
        arrays = [q, k, v, np.empty_like(q)]
        if bf16:
            arrays = list(map(to_bf16, arrays))
        rows = {name: hl.Heads(None if bf16 else pointer(array), n_heads * seq * head_dim, head_dim,
                               seq * head_dim) for name, array in zip("qkvo", arrays)}
        if bf16:
            rows |= {f"{name}_bf16": pointer(array) for name, array in zip("qkvo", arrays)}
        batch = hl.make(hl.AttentionBatch, n_seqs=n_seqs, q_len=seq, kv_len=seq, **rows)

        def call():
            self.library.attention_run(attention, ctypes.byref(batch))
            return arrays[-1]
        return call

    def as_floats(self, result):
        if result.dtype != np.uint16:
            return result
        return (result.astype(np.uint32) << 16).view(np.float32)

    def gemm(self, weight, bias, x):
        library = ctypes.CDLL(str(self.build / "lib/libheadlane_bench.so"))
        library.headlane_bench_linear.restype = ctypes.c_void_p
        n64, p = ctypes.c_int64, ctypes.c_void_p
        (rows, d_in), d_out = x.shape, len(bias)
        layer = library.headlane_bench_linear(n64(rows), n64(d_in), n64(d_out), p(pointer(weight)),
                                              p(pointer(bias)), self.setup.isa.encode(),
                                              self.precision.encode(), self.setup.threads)
        if not layer:
            raise NotOffered(f"no product in {self.precision} could be made")
        y = np.empty((rows, d_out), dtype=np.float32)

        def call():
            library.headlane_bench_run_linear(p(layer), p(pointer(x)), p(pointer(y)))
            return y
        return call


class Embedder:
    """Texts to vectors as a C program would: tokenize, sort, run in ragged batches."""

    def __init__(self, peer):
        self.peer, self.max_len = peer, peer.facts.max_seq_len
        self.session = peer.session(peer.model, max(BATCH_TOKENS, self.max_len))
        self.ids = np.empty(self.max_len, dtype=np.int32)

    def tune(self, texts):
        """Nothing to choose."""

    def lengths(self, texts):
        return [len(self.tokenize(text)) for text in texts]

    def tokenize(self, text):
        text, n_ids = text.encode(), ctypes.c_int64()
        self.peer.library.model_tokenize(self.peer.model, text, ctypes.c_size_t(len(text)), None,
                                         ctypes.c_void_p(pointer(self.ids)),
                                         ctypes.c_int64(self.max_len), ctypes.byref(n_ids))
        return self.ids[:n_ids.value].copy()

    def batches(self, lengths, order):
        """Of at most BATCH_TOKENS."""
        batch, n_tokens = [], 0
        for i in order:
            if n_tokens + lengths[i] > BATCH_TOKENS and batch:
                yield batch
                batch, n_tokens = [], 0
            batch.append(i)
            n_tokens += lengths[i]
        if batch:
            yield batch

    def embed(self, texts):
        """[texts, d_model]"""
        ids = [self.tokenize(text) for text in texts]
        lengths = [len(row) for row in ids]
        vectors = np.empty((len(texts), self.peer.facts.d_model), dtype=np.float32)
        for batch in self.batches(lengths, sorted(range(len(texts)), key=lambda i: -lengths[i])):
            vectors[batch] = self.pooled(np.concatenate([ids[i] for i in batch]),
                                         offsets_of([lengths[i] for i in batch]))
        return vectors

    def pooled(self, ids, offsets):
        """The model's own pooling; where it has none the mean, as the other engines take then."""
        n_seqs, width = len(offsets) - 1, self.peer.facts.d_model
        if self.peer.facts.pooling != b"none":
            vectors = np.empty((n_seqs, width), dtype=np.float32)
            self.peer.encode(self.session, ids, offsets, pooled=vectors)
            return vectors
        hidden = np.empty((len(ids), width), dtype=np.float32)
        self.peer.encode(self.session, ids, offsets, hidden=hidden)
        return np.add.reduceat(hidden, offsets[:-1]) / np.diff(offsets)[:, None].astype(np.float32)


PEER = Headlane

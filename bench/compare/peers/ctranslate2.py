"""CTranslate2: its own format, made by its converter; the library for products that is faster."""

import json
import os
import subprocess
import sys

import numpy as np

from peers import NotOffered, Peer
from translation import N_STEPS

# Left to itself it takes oneDNN on any CPU but Intel's.
VARIANTS = ({"CT2_USE_MKL": "0"}, {"CT2_USE_MKL": "1"})
TYPES = {"f32": "float32", "bf16": "bfloat16", "int8": "int8"}  # as it names them
TRIAL = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy, peers
from peers.ctranslate2 import PEER
peer = PEER(peers.Setup(int(sys.argv[2]), "", sys.argv[5], sys.argv[3], "", sys.argv[4]))
peer.load()
if peer.is_encoder_decoder():
    call = peer.generate([numpy.full(30, 2, dtype=numpy.int32)] * 4, 1)
else:
    call = peer.fixed(numpy.full((8, 128), 1, dtype=numpy.int64))
call()
seconds = []
for i in range(5):
    start = time.perf_counter()
    call()
    seconds.append(time.perf_counter() - start)
print(min(seconds))
"""


class CTranslate2(Peer):
    translates = True

    def settings(self):
        variant = json.loads(self.setup.export("variant.json").read_text(encoding="utf-8"))
        chosen = " ".join(f"{name}={value}" for name, value in variant.items())
        return f"{TYPES[self.precision]}, inter_threads 1, {chosen} (the faster of both)"

    def export(self):
        import ctranslate2
        if TYPES[self.precision] not in ctranslate2.get_supported_compute_types("cpu"):
            raise NotOffered(f"has no {TYPES[self.precision]} on this machine's CPU")
        for converter, path in self.files():
            try:
                converter(self.setup.folder).convert(
                    path, quantization=TYPES[self.precision], force=True)
            except FileNotFoundError:  # no tokenizer: the converter wants a vocabulary
                raise NotOffered("its converter asks for a tokenizer") from None
            except ValueError as error:
                if "No conversion is registered" not in str(error):
                    raise
                raise NotOffered("has no converter for this family of models") from None
        seconds = [self.try_variant(variant) for variant in VARIANTS]
        best = VARIANTS[seconds.index(min(seconds))]
        self.setup.export("variant.json").write_text(json.dumps(best), encoding="utf-8")

    def files(self):
        """Converters, and where what they make is to be."""
        from peers import ctranslate2_files
        if self.is_encoder_decoder():
            return ((ctranslate2_files.OfIds, self.path("translator")),
                    (ctranslate2_files.EncoderOfIds, self.path("model")))
        return (ctranslate2_files.TransformersConverter, self.path("model")),

    def path(self, name):
        return str(self.setup.export(name))

    def try_variant(self, variant):
        self.setup.export("variant.json").write_text(json.dumps(variant), encoding="utf-8")
        bench = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        run = subprocess.run([sys.executable, "-c", TRIAL, bench, str(self.setup.threads),
                              self.setup.exports, self.precision, self.setup.folder],
                             check=True, stdout=subprocess.PIPE)
        return float(run.stdout.split()[-1])

    def load(self):
        os.environ.update(json.loads(self.setup.export("variant.json").read_text()))
        import ctranslate2
        self.view = ctranslate2.StorageView
        self.encoder = self.translator = None
        if not self.is_encoder_decoder():
            self.encoder = self.open(ctranslate2.Encoder, "model")

    def open(self, kind, name):
        return kind(self.path(name), device="cpu", compute_type=TYPES[self.precision],
                    inter_threads=1, intra_threads=self.setup.threads)

    def fixed(self, ids):
        mask = ids * 0 + 1
        return lambda: self.forward(ids, mask)

    def forward(self, ids, mask):
        ids = self.view.from_array(ids.astype(np.int32))
        lengths = self.view.from_array(mask.sum(axis=1).astype(np.int32))
        return np.asarray(self.encoder.forward_batch(ids, lengths).last_hidden_state)

    def encode_sources(self, sources):
        import ctranslate2
        self.translator = None
        self.encoder = self.encoder or self.open(ctranslate2.Encoder, "model")
        return super().encode_sources(sources)

    def generate(self, sources, beams):
        """Words are ids in decimal: see ctranslate2_files. 0 sources a batch: all at once."""
        import ctranslate2
        self.encoder = None  # one model in memory, as in other engines
        self.translator = self.translator or self.open(ctranslate2.Translator, "translator")
        words = [list(map(str, source)) for source in sources]

        def call():
            answers = self.translator.translate_batch(
                words, beam_size=beams, min_decoding_length=N_STEPS, max_decoding_length=N_STEPS,
                max_batch_size=0)
            return np.array([answer.hypotheses[0] for answer in answers], dtype=np.int32)
        return call


PEER = CTranslate2

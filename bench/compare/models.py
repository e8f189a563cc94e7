"""The models that cases name, and the files that engines make of them, under build/bench."""

import hashlib
import importlib.metadata
import json
import pathlib
import subprocess
import sys

import cases
import decoding
import peers
import translation
from turns import WORKER, WorkerError

RANDOM_BERT = """
import string, sys, torch, transformers
n_layers, d_model, n_heads, d_ff = map(int, sys.argv[2:])
torch.manual_seed(1)
config = transformers.BertConfig(
    hidden_size=d_model, num_hidden_layers=n_layers, num_attention_heads=n_heads,
    intermediate_size=d_ff, position_embedding_type="absolute")  # which some converters ask for
transformers.BertModel(config, add_pooling_layer=False).save_pretrained(sys.argv[1])
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase]
words += [f"word{i}" for i in range(config.vocab_size - len(words))]
with open(sys.argv[1] + "/vocab.txt", "w") as vocabulary:
    vocabulary.write("\\n".join(words) + "\\n")
transformers.BertTokenizerFast(sys.argv[1] + "/vocab.txt").save_pretrained(sys.argv[1])
"""
# Its vocabulary is that of the BERT folder `sys.argv[6]`, as MPNet's own, so that texts have as many
# tokens as they have with MPNet's.
RANDOM_MPNET = """
import sys, torch, transformers
n_layers, d_model, n_heads, d_ff = map(int, sys.argv[2:6])
torch.manual_seed(1)
with open(sys.argv[6] + "/vocab.txt", encoding="utf-8") as vocabulary:
    words = ["<s>", "<pad>", "</s>", "<unk>", *vocabulary.read().split("\\n")[:-1], "<mask>"]
config = transformers.MPNetConfig(
    vocab_size=len(words), hidden_size=d_model, num_hidden_layers=n_layers,
    num_attention_heads=n_heads, intermediate_size=d_ff, max_position_embeddings=514,
    layer_norm_eps=1e-5)
transformers.MPNetModel(config, add_pooling_layer=False).save_pretrained(sys.argv[1])
tokenizer = transformers.MPNetTokenizer(
    vocab={word: i for i, word in enumerate(words)}, model_max_length=512)
tokenizer.save_pretrained(sys.argv[1])
"""
# Each word of its texts is a token. Where its vocabulary is as large as XLM-R's, that is two thirds of
# the file's 1.1 GB.
RANDOM_RERANKER = """
import sys, torch, transformers
n_layers, d_model, n_heads, d_ff, vocab_size = map(int, sys.argv[2:])
torch.manual_seed(1)
pieces = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
pieces += [(f"\u2581word{i}", -10.0) for i in range(vocab_size - 1 - len(pieces))]
config = transformers.XLMRobertaConfig(
    vocab_size=vocab_size, hidden_size=d_model, num_hidden_layers=n_layers,
    num_attention_heads=n_heads, intermediate_size=d_ff, max_position_embeddings=514,
    type_vocab_size=1, layer_norm_eps=1e-5, num_labels=1,
    position_embedding_type="absolute")  # which some converters ask for
transformers.XLMRobertaForSequenceClassification(config).save_pretrained(sys.argv[1])
transformers.XLMRobertaTokenizer(vocab=pieces, model_max_length=512).save_pretrained(sys.argv[1])
"""
# An answer of random weights would be one word again and again if the words that come out were the
# words that went in; so they have weights of their own. The last word is padding and what answers
# begin with, and never in them, as in Marian's own models.
RANDOM_MARIAN = """
import sys, torch, transformers
n_layers, d_model, n_heads, d_ff, vocab_size = map(int, sys.argv[2:])
torch.manual_seed(1)
pad = vocab_size - 1
config = transformers.MarianConfig(
    vocab_size=vocab_size, d_model=d_model, encoder_layers=n_layers, decoder_layers=n_layers,
    encoder_attention_heads=n_heads, decoder_attention_heads=n_heads, encoder_ffn_dim=d_ff,
    decoder_ffn_dim=d_ff, activation_function="relu", scale_embedding=True,
    tie_word_embeddings=False, max_position_embeddings=512, bos_token_id=0, eos_token_id=0,
    forced_eos_token_id=None, pad_token_id=pad, decoder_start_token_id=pad)
model = transformers.MarianMTModel(config)
model.generation_config.bad_words_ids = [[pad]]
model.save_pretrained(sys.argv[1])
"""
# A GGUF file without a tokenizer, of weights that products leave as large as they were. llama.cpp makes
# the types other than bf16.
RANDOM_LLAMA = """
import ctypes, os, sys, gguf, numpy
path, kind = sys.argv[1], sys.argv[8]
n_layers, d_model, n_heads, n_kv_heads, d_ff, vocab_size = map(int, sys.argv[2:8])
head_dim, bf16 = d_model // n_heads, gguf.GGMLQuantizationType.BF16
random = numpy.random.default_rng(1)
first = path + ".bf16" if kind != "bf16" else path + ".part"
writer = gguf.GGUFWriter(first, "llama", use_temp_file=True)
writer.add_context_length(8192)
writer.add_embedding_length(d_model)
writer.add_block_count(n_layers)
writer.add_feed_forward_length(d_ff)
writer.add_head_count(n_heads)
writer.add_head_count_kv(n_kv_heads)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_rope_dimension_count(head_dim)
writer.add_vocab_size(vocab_size)
writer.add_tokenizer_model("no_vocab")
def add(name, *shape):
    weights = random.standard_normal(shape, dtype=numpy.float32) / shape[1] ** 0.5
    writer.add_tensor(name, gguf.quants.quantize(weights, bf16), raw_dtype=bf16)
def add_norm(name):
    writer.add_tensor(name, numpy.ones(d_model, dtype=numpy.float32))
add("token_embd.weight", vocab_size, d_model)
for i in range(n_layers):
    add_norm(f"blk.{i}.attn_norm.weight")
    add_norm(f"blk.{i}.ffn_norm.weight")
    add(f"blk.{i}.attn_q.weight", n_heads * head_dim, d_model)
    add(f"blk.{i}.attn_k.weight", n_kv_heads * head_dim, d_model)
    add(f"blk.{i}.attn_v.weight", n_kv_heads * head_dim, d_model)
    add(f"blk.{i}.attn_output.weight", d_model, n_heads * head_dim)
    add(f"blk.{i}.ffn_gate.weight", d_ff, d_model)
    add(f"blk.{i}.ffn_up.weight", d_ff, d_model)
    add(f"blk.{i}.ffn_down.weight", d_model, d_ff)
add_norm("output_norm.weight")
add("output.weight", vocab_size, d_model)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
if kind == "bf16":
    os.rename(first, path)
    sys.exit()
import llama_cpp
options = llama_cpp.llama_model_quantize_default_params()
options.ftype = getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + kind.upper())
log = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(log, ctypes.c_void_p())
part = path + ".part"
if llama_cpp.llama_model_quantize(first.encode(), part.encode(), ctypes.byref(options)) != 0:
    sys.exit("llama.cpp could not make the type " + kind)
os.remove(first)
os.rename(part, path)
"""
MAKERS = {"random-bert": RANDOM_BERT, "random-mpnet": RANDOM_MPNET,
          "random-reranker": RANDOM_RERANKER, "random-marian": RANDOM_MARIAN,
          "random-llama": RANDOM_LLAMA}


class ModelError(RuntimeError):
    """A model that cannot be had; says why."""


class Store:
    def __init__(self, build, threads):
        self.root, self.threads = pathlib.Path(build) / "bench", threads

    def folder(self, model):
        """The Hugging Face folder of a model as cases name it."""
        words = model.split()
        if words[0] in cases.FETCHED:
            return self.told([str(cases.ROOT / "tools/fetch-model"), words[0]])
        if words[0] not in MAKERS:
            return model
        folder = self.root / "models" / "-".join(words)
        if words[0] == "random-llama":
            return self.made_file(folder.with_suffix(".gguf"), words)
        if not (folder / "config.json").is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            needs = [self.folder("minilm")] if words[0] == "random-mpnet" else []
            self.told([sys.executable, "-c", MAKERS[words[0]], str(folder), *words[1:], *needs])
        return str(folder)

    def made_file(self, path, words):
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.told([sys.executable, "-c", MAKERS[words[0]], str(path), *words[1:]])
        return str(path)

    @staticmethod
    def told(command):
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if run.returncode != 0:
            raise ModelError(run.stderr.strip().split("\n")[-1])
        return run.stdout.strip()

    def config(self, model):
        path = pathlib.Path(self.folder(model))
        if path.is_file():
            return decoding.facts(str(path))
        path = path / "config.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def check(self, case, precision):
        """A case that the model is not of, or weights that would become others in the precision."""
        decodes = pathlib.Path(self.folder(case.model)).is_file()
        if decodes != (case.kind in decoding.KINDS):
            what = "is a GGUF file" if decodes else "is no GGUF file"
            raise ModelError(f"{case.group}: {case.name}: the model {what}")
        if self.config(case.model).get("products") == "bf16" and precision != "bf16":
            raise ModelError(f"{case.group}: {case.name}: the model's weights are in bf16; give "
                             "--precision bf16")
        translates = bool(self.config(case.model).get("is_encoder_decoder"))
        if translates != (case.kind in translation.KINDS):
            what = "a decoder" if translates else "no decoder"
            raise ModelError(f"{case.group}: {case.name}: the model has {what}")

    def exports(self, engine, model, precision="f32"):
        name = model.replace(" ", "-")
        if "/" in name:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            name = f"{pathlib.Path(name).name}-{digest}"
        own = engine if precision == "f32" else f"{engine}-{precision}"
        folder = self.root / "exports" / (name or "none") / own
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def export(self, engine, setup, environment):
        """Has the engine make its files, unless those of the same model, version and settings are
        there."""
        stamp = pathlib.Path(setup["exports"]) / "stamp.json"
        mine = self.stamp(engine, setup)
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == mine:
            return
        run = subprocess.run([sys.executable, str(WORKER), engine, json.dumps(setup), "--export"],
                             env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, errors="replace")
        if run.returncode != 0:
            raise WorkerError(run.stdout.strip().split("\n")[-1][:200])
        stamp.write_text(mine, encoding="utf-8")

    @staticmethod
    def stamp(engine, setup):
        root = pathlib.Path(setup["folder"])
        files = [path for path in [root, *sorted(root.rglob("*"))] if path.is_file()]
        if engine == "headlane":  # whose converter changes
            files.append(pathlib.Path(setup["build"]) / "bin/headlane")
            files.append(pathlib.Path(setup["build"]) / "lib/libheadlane.so")
        versions = {name: importlib.metadata.version(name) for name in peers.ENGINES[engine]}
        return json.dumps({"versions": versions, "threads": setup["threads"], "isa": setup["isa"],
                           "precision": setup["precision"],
                           "files": [[str(path), path.stat().st_size, path.stat().st_mtime]
                                     for path in files]})

    def headlane_file(self, model, environment):
        """Where the model's .headlane is, made now if it was not there."""
        setup = {"threads": self.threads, "isa": "", "folder": self.folder(model),
                 "exports": self.exports("headlane", model), "build": str(self.root.parent),
                 "precision": "f32"}
        try:
            self.export("headlane", setup, environment)
        except WorkerError as error:
            raise ModelError(f"{model}: {error}") from None
        return pathlib.Path(setup["exports"]) / "model.headlane"

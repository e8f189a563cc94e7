"""Writes small GGUF files by llama.cpp's own converter, and one with every type of tensor.

    python make.py LLAMA_CPP [--out DIR] [NAME ...]

LLAMA_CPP is a checkout of llama.cpp, or vendor/llama.cpp of llama-cpp-python's source package.

    NAME.gguf          ../language_models/NAME in f32: what `headlane convert` makes of it must be
                       what it makes of that folder. Only those called NAME_texts have a tokenizer
    bert.gguf          ../bert/head_dim_16_mean_normalize likewise, with its tokenizer
    xlm_roberta.gguf   ../encoders/xlm_roberta_texts likewise
    experts.gguf       a Mixtral of one layer in Q8_0
    pieces.gguf        a Llama of one layer with ../tokenizer_classes/llama/tokenizer.model
    types.gguf         a tensor of each type, random blocks of it
    types.safetensors  the same tensors as the package gguf widens them to f32
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import numpy as np

# By the name that llama.cpp would give to the way in which it splits texts, which it tells by the
# ids of a large vocabulary.
TEXTS = {"qwen2_texts": "qwen2", "bert": "bert-bge", "xlm_roberta": "default"}
# Folders that are not in ../language_models.
FOLDERS = {"bert": "bert/head_dim_16_mean_normalize",
           "xlm_roberta": "encoders/xlm_roberta_texts"}
MODELS = ["llama_2", "llama_linear", "llama_yarn", "mistral_no_window", "qwen2", "qwen3",
          "gemma", "gemma2", "smollm3", "olmo2", "phi3", "phi3_longrope", "glm", "glm4", "gpt2", "falcon",
          "falcon_new", "falcon_one_norm", "bloom", "baichuan_7b", "mixtral", "qwen2_moe", "qwen3_moe_all",
          "olmoe_all", "glm4_moe", "glm4_moe_all", "gpt_oss", "gpt_oss_mxfp4"]
# The converter wants some fields by names that transformers 5 does not write. Of Falcon it has no place
# for biases or a width of the feed-forward, so falcon_new.gguf is without the first, and zeros fill the
# second.
FIELDS = {"glm": {"seq_length": 640}, "gpt2": {"n_ctx": 640}, "falcon": {"num_kv_heads": 1},
          "falcon_new": {"bias": False}}
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K",
         "IQ4_NL", "IQ4_XS", "MXFP4"]
ROWS, COLUMNS = 3, 512
# Where the halves are that scale a block, from its first byte on.
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2],
          "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}


def convert(llama_cpp, name, folder, out, file_type="ALL_F32"):
    sys.path.insert(0, str(llama_cpp))
    import conversion
    import gguf
    model_class = conversion.get_model_class(conversion.get_model_architecture(
        conversion.ModelBase.load_hparams(folder, False), conversion.ModelType.TEXT))

    class Model(model_class):
        model_arch = model_class.model_arch

        def set_vocab(self):
            if name == "pieces" or name in TEXTS:
                super().set_vocab()
            else:
                self._set_vocab_none()

        def get_vocab_base_pre(self, tokenizer):
            return TEXTS[name]

        # The converter of GLM-4 takes heads for a share of the model's width.
        def set_gguf_parameters(self):
            super().set_gguf_parameters()
            if name == "glm":
                size = self.hparams["head_dim"]
                self.gguf_writer.add_key_length(size)
                self.gguf_writer.add_value_length(size)
                self.gguf_writer.add_rope_dimension_count(size // 2)

        # The converter of Baichuan calls itself without end for all tensors except this. GLM-4 as it
        # was published has Q, K and V in one tensor.
        def modify_tensors(self, data, tensor, layer):
            if name == "glm" and "self_attn." in tensor and "o_proj" not in tensor:
                part, kind = tensor.split(".")[-2:]
                parts = self.__dict__.setdefault("parts", {})
                parts[layer, kind, part] = data
                own = [parts.get((layer, kind, f"{which}_proj")) for which in "qkv"]
                return [] if any(one is None for one in own) else [
                    (f"blk.{layer}.attn_qkv.{kind}", torch.cat(own))]
            if name == "baichuan_7b" and "W_pack" not in tensor:
                return [(self.map_tensor_name(tensor), data)]
            return super().modify_tensors(data, tensor, layer)

    import torch
    import transformers
    if name not in FOLDERS:  # whose tokenizers have no file that the class below reads
        transformers.AutoTokenizer = transformers.PreTrainedTokenizerFast  # which adds no token
    with torch.inference_mode():
        Model(folder, gguf.LlamaFileType[file_type], out).write()


def convert_folder(llama_cpp, name, source, out):
    import safetensors.torch
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary, "model")
        shutil.copytree(source, folder)
        config = json.loads((folder / "config.json").read_text()) | FIELDS.get(name, {})
        (folder / "config.json").write_text(json.dumps(config))
        if name == "falcon_new":
            file = folder / "model.safetensors"
            tensors = safetensors.torch.load_file(file)
            for key, value in tensors.items():
                width = 4 * config["hidden_size"]
                if "h_to_4h" in key:
                    tensors[key] = value.new_zeros(width, value.shape[-1])
                elif "4h_to_h" in key:
                    tensors[key] = value.new_zeros(value.shape[0], width)
            safetensors.torch.save_file({key: value for key, value in tensors.items()
                                         if not key.endswith(".bias") or "ln_" in key}, file)
        convert(llama_cpp, name, folder, out)


def write_pieces(llama_cpp, here, out):
    import sentencepiece
    import transformers
    file = here.parent / "tokenizer_classes" / "llama" / "tokenizer.model"
    vocab_size = sentencepiece.SentencePieceProcessor(model_file=str(file)).vocab_size()
    config = transformers.LlamaConfig(vocab_size=vocab_size, hidden_size=8, intermediate_size=8,
                                      num_hidden_layers=1, num_attention_heads=2,
                                      max_position_embeddings=2048)
    with tempfile.TemporaryDirectory() as folder:
        transformers.set_seed(20)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
        shutil.copy(file, folder)
        settings = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": False}
        (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(settings))
        convert(llama_cpp, "pieces", pathlib.Path(folder), out)


def write_experts(llama_cpp, out):
    import transformers
    config = transformers.MixtralConfig(vocab_size=8, hidden_size=32, intermediate_size=32,
                                        num_hidden_layers=1, num_attention_heads=2,
                                        num_key_value_heads=1, num_local_experts=3,
                                        max_position_embeddings=64)
    with tempfile.TemporaryDirectory() as folder:
        transformers.set_seed(21)
        transformers.MixtralForCausalLM(config).save_pretrained(folder)
        convert(llama_cpp, "experts", pathlib.Path(folder), out, "MOSTLY_Q8_0")


def random_blocks(kind, gguf, random):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    n = ROWS * COLUMNS // block
    if kind.name in ("F32", "F16", "BF16"):
        values = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
        return gguf.quants.quantize(values, kind).reshape(ROWS, -1).view(np.uint8)
    blocks = random.integers(0, 256, (n, size), dtype=np.uint8)
    for at in SCALES.get(kind.name, []):
        halves = random.normal(scale=0.01, size=n).astype(np.float16)
        blocks[:, at:at + 2] = halves.view(np.uint8).reshape(n, 2)
    if kind.name == "MXFP4":
        blocks[:, 0] = random.integers(100, 140, n)
        blocks[:3, 0] = [0, 1, 2]
    return blocks.reshape(ROWS, -1)


def write_types(out):
    import gguf
    import safetensors.numpy
    random = np.random.default_rng(20)
    writer = gguf.GGUFWriter(out / "types.gguf", "llama")
    widened = {}
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        blocks = random_blocks(kind, gguf, random)
        writer.add_tensor(name, blocks, raw_shape=blocks.shape, raw_dtype=kind)
        widened[name] = gguf.quants.dequantize(blocks, kind).astype(np.float32).reshape(ROWS, COLUMNS)
        assert np.isfinite(widened[name]).all(), name
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    safetensors.numpy.save_file(widened, out / "types.safetensors")


def main():
    here = pathlib.Path(__file__).parent
    parser = argparse.ArgumentParser()
    parser.add_argument("llama_cpp", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=here)
    parser.add_argument("names", nargs="*", default=[*MODELS, *TEXTS, "experts", "pieces", "types"])
    args = parser.parse_args()
    sys.path.insert(0, str(args.llama_cpp / "gguf-py"))
    for name in args.names:
        if name == "types":
            write_types(args.out)
        elif name == "experts":
            write_experts(args.llama_cpp, args.out / "experts.gguf")
        elif name == "pieces":
            write_pieces(args.llama_cpp, here, args.out / "pieces.gguf")
        else:
            source = here.parent / FOLDERS.get(name, f"language_models/{name}")
            convert_folder(args.llama_cpp, name, source, args.out / f"{name}.gguf")


if __name__ == "__main__":
    main()

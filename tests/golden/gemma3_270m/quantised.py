"""Says what Gemma 3 270M loses where its weights are quantised: perplexity, and how far each next token's
distribution is from that of the weights in f32.

    python quantised.py FOLDER FILE [FILE ...]

FOLDER is what folder.py made; each FILE is what `headlane convert --precision int8g | int6 | int5 | int4`
makes of it, or a GGUF file that llama.cpp makes of the same weights. They are widened to f32, and transformers computes with them: so this
is what the weights lose, and no more. The text is the beginning of
corpus/sentences.txt, in windows of CONTEXT tokens, of which the second halves count. It is for a person
to run: it takes a minute for each file, and the real model.
"""

import argparse
import json
import math
import os
import pathlib
import struct
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import folder as of_folder
import gguf
import numpy as np
import safetensors.torch
import sentencepiece
import torch
import transformers

CONTEXT, WINDOWS = 512, 4


def halves(words):
    return words.view(np.float16).astype(np.float32)


def nibbles(data):
    return np.concatenate([data & 15, data >> 4], axis=1)


def widen(kind, data, shape):
    """Elements as docs/files.md says; groups of 32."""
    n, k = shape
    if kind == "f32":
        return data.view(np.float32).reshape(shape)
    if kind == "bf16":
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(shape)
    groups = data.reshape(n * k // 32, -1)
    scale = halves(groups[:, :2].copy())
    if kind == "s8g32":
        return (groups[:, 2:].view(np.int8) * scale).reshape(shape)
    if kind == "s6g16":
        high = [groups[:, at:at + 4] >> shift & 3 for at in (20, 24) for shift in (0, 2, 4, 6)]
        codes = nibbles(groups[:, 4:20]) | np.concatenate(high, axis=1) << 4
        scales = np.repeat(halves(groups[:, :4].copy()), 16, axis=1)
        return ((codes.astype(np.int16) - 32) * scales).reshape(shape)
    codes = nibbles(groups[:, 4:20])
    if kind == "u5g32":
        high = [groups[:, 20:] >> shift & 1 for shift in range(8)]
        codes = codes | np.concatenate(high, axis=1) << 4
    elif kind != "u4g32":
        raise ValueError(kind)
    return (codes * scale - halves(groups[:, 2:4].copy())).reshape(shape)


def of_headlane(path, config):
    """Weights of products and the table of words, by their names in a folder, and their bits."""
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<16xQ", file.read(24))[0]))
    data = np.memmap(path, np.uint8, mode="r")
    weights, n_bytes = {}, 0
    for tensor in header["tensors"]:
        name = tensor["name"]
        if len(tensor["shape"]) != 2 or not name.startswith("decoder."):
            continue
        n_bytes += tensor["bytes"]
        own = widen(tensor["dtype"], data[tensor["offset"]:tensor["offset"] + tensor["bytes"]],
                    tensor["shape"])
        if name == "decoder.embeddings.word":
            weights["model.embed_tokens.weight"] = own
            continue
        _, _, layer, part, kind, _ = name.split(".")
        at = f"model.layers.{layer}."
        heads, kv = (config.head_dim * n for n in (config.num_attention_heads, config.num_key_value_heads))
        into = {"qkv": (["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], [heads, kv, kv]),
                "out": (["self_attn.o_proj"], [config.hidden_size]),
                "up": (["mlp.gate_proj", "mlp.up_proj"], [config.intermediate_size] * 2),
                "down": (["mlp.down_proj"], [config.hidden_size])}[kind]
        for module, rows in zip(into[0], np.split(own, np.cumsum(into[1])[:-1])):
            weights[f"{at}{module}.weight"] = rows
    return weights, n_bytes


def of_gguf(path):
    reader = gguf.GGUFReader(path)
    weights = {name: own for name, own in of_folder.tensors_of(reader).items() if own.ndim == 2}
    return weights, sum(int(tensor.n_bytes) for tensor in reader.tensors if len(tensor.shape) == 2)


def windows_of(folder, begin):
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "pieces.model"))
    corpus = pathlib.Path(__file__).parent.parent / "corpus/sentences.txt"
    ids = pieces.encode(corpus.read_text()[:100000])
    return [[begin] + ids[i:i + CONTEXT - 1] for i in range(0, WINDOWS * CONTEXT, CONTEXT)]


@torch.inference_mode()
def logprobs(model, window):
    """Of the second half's tokens [n, words], and which they are."""
    last = window[CONTEXT // 2:]
    logits = model(torch.tensor([window]), logits_to_keep=len(last) + 1).logits[0, :-1]
    return logits.log_softmax(-1), torch.tensor(last)


def measure(model, windows, references):
    """Perplexity, mean KL divergence from the references, and in how many the best token is theirs."""
    losses, divergences, same = [], [], []
    for i, window in enumerate(windows):
        own, ids = logprobs(model, window)
        losses.append(-own.gather(-1, ids[:, None])[:, 0].double())
        if len(references) <= i:
            references.append(own.numpy().copy())
        reference = torch.from_numpy(references[i])
        divergences.append((reference.exp() * (reference - own)).sum(-1, dtype=torch.float64))
        same.append(reference.argmax(-1) == own.argmax(-1))
    return (math.exp(torch.cat(losses).mean()), torch.cat(divergences).mean().item(),
            torch.cat(same).double().mean().item())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    model = transformers.Gemma3ForCausalLM.from_pretrained(
        arguments.folder, dtype=torch.float32, attn_implementation="eager").eval()
    windows = windows_of(arguments.folder, model.config.bos_token_id)
    references = []
    perplexity, *_ = measure(model, windows, references)
    print(f"| f32 | 32 | {perplexity:.2f} | | |", flush=True)
    own = dict(model.named_parameters())
    for path in arguments.files:
        weights, n_bytes = (of_gguf(path) if path.suffix == ".gguf"
                            else of_headlane(path, model.config))
        for name, weight in weights.items():
            own[name].data.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        bits = 8 * n_bytes / sum(weight.size for weight in weights.values())
        perplexity, divergence, same = measure(model, windows, references)
        print(f"| {path.name} | {bits:.2f} | {perplexity:.2f} | {divergence:.4f} | {100 * same:.1f} % |",
              flush=True)


if __name__ == "__main__":
    main()

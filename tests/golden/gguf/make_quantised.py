"""Writes a small Llama as llama.cpp quantises it, in each type of weights, and the logits of it.

    python make_quantised.py [--out DIR]

It wants the packages gguf and llama-cpp-python.

    quantised/TYPE.gguf     random weights: the package gguf writes them in f16, llama.cpp's quantiser
                            makes this file of them. Rows of 256 become TYPE; those of 32, of which
                            K-quants have no blocks, what llama.cpp puts in its place
    quantised/logits.json   of each file the logits of IDS, a row each: by "float64", of the weights as
                            the package gguf widens them, and by "llama.cpp"
"""

import argparse
import ctypes
import json
import pathlib
import tempfile

import gguf
import llama_cpp
import numpy as np

# The names of the quantiser's types, and of the type that most weights then have.
TYPES = {"Q8_0": "MOSTLY_Q8_0", "Q4_0": "MOSTLY_Q4_0", "Q4_1": "MOSTLY_Q4_1", "Q5_0": "MOSTLY_Q5_0",
         "Q5_1": "MOSTLY_Q5_1", "Q4_K": "MOSTLY_Q4_K_S", "Q5_K": "MOSTLY_Q5_K_S",
         "Q6_K": "MOSTLY_Q6_K", "IQ4_NL": "MOSTLY_IQ4_NL", "IQ4_XS": "MOSTLY_IQ4_XS",
         "MXFP4": "MOSTLY_MXFP4_MOE"}
WIDTH, HEADS, KV_HEADS, HEAD_DIM, INNER, VOCAB, CONTEXT = 256, 2, 1, 16, 32, 16, 64
EPS, BASE = 1e-5, 10000.0
IDS = [1, 5, 9, 2, 13, 13, 0, 15]


def write_model(file):
    random = np.random.default_rng(31)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(BASE)
    writer.add_layer_norm_rms_eps(EPS)
    writer.add_vocab_size(VOCAB)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("none")

    def add(name, n, k):
        values = random.normal(size=(n, k)) * (2 / k) ** 0.5
        writer.add_tensor(name + ".weight", values.astype(np.float16))

    def add_norm(name):
        values = 1 + 0.1 * random.normal(size=WIDTH)
        writer.add_tensor(name + ".weight", values.astype(np.float32))

    add("token_embd", VOCAB, WIDTH)
    add_norm("blk.0.attn_norm")
    add("blk.0.attn_q", HEADS * HEAD_DIM, WIDTH)
    add("blk.0.attn_k", KV_HEADS * HEAD_DIM, WIDTH)
    add("blk.0.attn_v", KV_HEADS * HEAD_DIM, WIDTH)
    add("blk.0.attn_output", WIDTH, HEADS * HEAD_DIM)
    add_norm("blk.0.ffn_norm")
    add("blk.0.ffn_gate", INNER, WIDTH)
    add("blk.0.ffn_up", INNER, WIDTH)
    add("blk.0.ffn_down", WIDTH, INNER)
    add_norm("output_norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantise(source, target, file_type):
    params = llama_cpp.llama_model_quantize_default_params()
    params.nthread = 1
    params.ftype = gguf.LlamaFileType[file_type].value
    params.pure = True  # all tensors, also the embeddings
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params) != 0:
        raise SystemExit(f"llama.cpp does not quantise to {file_type}")


def widened(file):
    """The weights as float64, and the names of their types."""
    tensors = gguf.GGUFReader(file).tensors
    values = {}
    for tensor in tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        values[tensor.name.removesuffix(".weight")] = gguf.quants.dequantize(
            tensor.data, tensor.tensor_type).reshape(shape).astype(np.float64)
    return values, {tensor.name: tensor.tensor_type.name for tensor in tensors}


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * weight


def rotate(x):
    """Rows of heads: neighbours are pairs, as llama.cpp has them of this architecture."""
    angles = np.arange(len(x))[:, None] * BASE ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    turned = np.empty_like(x)
    turned[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    turned[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
    return turned


def logits_in_float64(w):
    n = len(IDS)
    x = w["token_embd"][IDS]
    h = norm(x, w["blk.0.attn_norm"])
    q = rotate((h @ w["blk.0.attn_q"].T).reshape(n, HEADS, HEAD_DIM))
    k = rotate((h @ w["blk.0.attn_k"].T).reshape(n, KV_HEADS, HEAD_DIM))
    v = (h @ w["blk.0.attn_v"].T).reshape(n, KV_HEADS, HEAD_DIM)
    heads = []
    for head in range(HEADS):
        scores = q[:, head] @ k[:, head * KV_HEADS // HEADS].T / HEAD_DIM ** 0.5
        scores[np.triu_indices(n, 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ v[:, head * KV_HEADS // HEADS])
    x = x + np.concatenate(heads, -1) @ w["blk.0.attn_output"].T
    h = norm(x, w["blk.0.ffn_norm"])
    gate = h @ w["blk.0.ffn_gate"].T
    x = x + gate / (1 + np.exp(-gate)) * (h @ w["blk.0.ffn_up"].T) @ w["blk.0.ffn_down"].T
    return norm(x, w["output_norm"]) @ w["token_embd"].T


def logits_of_llama_cpp(file):
    model = llama_cpp.llama_model_load_from_file(str(file).encode(),
                                                 llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_threads_batch = CONTEXT, 1, 1
    params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
    context = llama_cpp.llama_init_from_model(model, params)
    rows = []
    for token in IDS:  # a step each, after which the logits are those of the last token
        batch = llama_cpp.llama_batch_get_one((llama_cpp.llama_token * 1)(token), 1)
        if llama_cpp.llama_decode(context, batch) != 0:
            raise SystemExit(f"llama.cpp does not run {file}")
        logits = llama_cpp.llama_get_logits(context)
        rows.append(np.ctypeslib.as_array(logits, (VOCAB,)).astype(np.float64))
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return np.array(rows)


def off(rows, exact):
    """By how much of its length a row is off, at most."""
    return (np.linalg.norm(rows - exact, axis=1) / np.linalg.norm(exact, axis=1)).max()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "quantised")
    out = parser.parse_args().out
    out.mkdir(exist_ok=True)
    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    result = {"ids": IDS, "files": {}}
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "f16.gguf")
        write_model(source)
        # Its activations are rounded to f16 here, so that the two have the same model if they agree.
        assert off(logits_of_llama_cpp(source), logits_in_float64(widened(source)[0])) < 0.005
        for name, file_type in TYPES.items():
            target = out / f"{name}.gguf"
            quantise(source, target, file_type)
            weights, types = widened(target)
            exact, theirs = logits_in_float64(weights), logits_of_llama_cpp(target)
            print(f"{name}: {sorted(set(types.values()))}, {target.stat().st_size} bytes, llama.cpp is off by "
                  f"{off(theirs, exact):.4f}")
            result["files"][name] = {"float64": np.round(exact, 6).tolist(),
                                     "llama.cpp": np.round(theirs, 4).tolist()}
    (out / "logits.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

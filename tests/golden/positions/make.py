"""Writes the tables of positions that engine/spec/positions.cc is compared with, and manifest.json.

    python make.py

Rotary frequencies are those of transformers' ROPE_INIT_FUNCTIONS. These work in float32, which at
position 8191 is a wrong angle in the fourth digit; so they are run with torch.float and
torch.float32 standing for float64, and it is checked that their own float32 is as near as float32
can be. T5's buckets, Marian's sinusoids and Falcon's ALiBi are transformers' own too; ALiBi's slopes are the
recursion that Press et al. published; sinusoids are Vaswani et al.'s formula in numpy's longdouble.
Files hold float32, rounded once.
"""

import json
import math
import pathlib
import unittest.mock

import numpy as np
import torch
import transformers
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.falcon.modeling_falcon import build_alibi_tensor
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from transformers.models.t5.modeling_t5 import T5Attention

HERE = pathlib.Path(__file__).parent
POSITIONS = [0, 1, 2, 3, 17, 100, 511, 2048, 8191]
FLOAT32_BOUND = 1e-6  # of transformers' own float32 frequencies: pow, products, a ramp

# The words that fill_rotary_table is given, and those of transformers where it has others.
ROTARY = {
    "none": (dict(dims=32), {}),
    "none_base_500000": (dict(dims=64, base=500000.0), {}),
    "partial_6": (dict(dims=6), {}),
    "linear": (dict(dims=32, scaling="linear", factor=2.5), {}),
    "ntk_4": (dict(dims=32, scaling="ntk", factor=4.0), {}),
    # At a length of 3 times max_position_embeddings: factor' = 2 * 3 - (2 - 1).
    "dynamic_at_length": (
        dict(dims=48, scaling="ntk", factor=5.0),
        dict(rope_type="dynamic", factor=2.0, max_positions=2048, seq_len=6144),
    ),
    "yarn": (dict(dims=64, scaling="yarn", factor=4.0, original=2048), {}),
    "yarn_not_truncated": (
        dict(dims=64, scaling="yarn", factor=32.0, original=4096, base=150000.0, truncate=False),
        {},
    ),
    "yarn_betas_and_attention_factor": (
        dict(dims=32, scaling="yarn", factor=8.0, original=1024, beta_fast=16.0, beta_slow=2.0,
             attention_factor=1.25),
        {},
    ),
    "yarn_mscale": (
        dict(dims=64, scaling="yarn", factor=40.0, original=4096,
             attention_factor=(0.1 * 0.707 * math.log(40) + 1) / (0.1 * 1.5 * math.log(40) + 1)),
        dict(attention_factor=None, mscale=0.707, mscale_all_dim=1.5),
    ),
    # Both ends of the ramp at pair 0: the 0.001 of the published code.
    "yarn_ramp_of_nothing": (dict(dims=8, scaling="yarn", factor=4.0, original=6), {}),
    "llama3": (
        dict(dims=64, scaling="llama3", factor=8.0, original=8192, base=500000.0),
        {},
    ),
    "llama3_other_factors": (
        dict(dims=32, scaling="llama3", factor=32.0, original=1024, low_freq_factor=2.0,
             high_freq_factor=8.0),
        {},
    ),
}


def rope_config(spec, other):
    base = spec.get("base", 10000.0)
    parameters = {"rope_theta": base, "rope_type": other.get("rope_type", spec.get("scaling"))}
    names = dict(factor="factor", original="original_max_position_embeddings",
                 beta_fast="beta_fast", beta_slow="beta_slow", truncate="truncate",
                 attention_factor="attention_factor", low_freq_factor="low_freq_factor",
                 high_freq_factor="high_freq_factor", mscale="mscale",
                 mscale_all_dim="mscale_all_dim")
    for ours, theirs in names.items():
        value = other[ours] if ours in other else spec.get(ours)
        if value is not None:
            parameters[theirs] = value
    if spec.get("scaling") == "llama3":
        parameters.setdefault("low_freq_factor", 1.0)
        parameters.setdefault("high_freq_factor", 4.0)
    if parameters["rope_type"] == "ntk":
        # The static form has no function of its own: "dynamic" at a length where it is the same.
        factor = parameters["factor"]
        parameters |= dict(rope_type="dynamic", factor=1.0)
        other.update(max_positions=1000, seq_len=int(1000 * factor))
    elif parameters["rope_type"] is None:
        parameters |= dict(rope_type="linear", factor=1.0)
    return LlamaConfig(hidden_size=4 * spec["dims"], num_attention_heads=4, head_dim=spec["dims"],
                       max_position_embeddings=other.get("max_positions", 8192),
                       rope_parameters=parameters)


def rotary_frequencies(spec, other):
    """-> [dims / 2] float64, the scale of cosines and sines, relative distance of transformers' own
    float32 frequencies"""
    config = rope_config(spec, other)
    init = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]]
    single, _ = init(config, seq_len=other.get("seq_len"))
    with unittest.mock.patch.multiple(torch, float=torch.float64, float32=torch.float64):
        frequencies, scale = init(config, seq_len=other.get("seq_len"))
    assert single.dtype == torch.float32 and frequencies.dtype == torch.float64
    frequencies = frequencies.numpy()
    return frequencies, scale, np.max(np.abs(single.numpy() / frequencies - 1))


def rotary_table(spec, other):
    """-> [len(POSITIONS), dims] float64, that distance"""
    frequencies, scale, off = rotary_frequencies(spec, other)
    angles = np.array(POSITIONS, np.float64)[:, None] * frequencies
    table = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * scale
    return table, off


def alibi_slopes(n):
    """Press et al.'s recursion"""
    if math.log2(n).is_integer():
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]
    below = 2 ** math.floor(math.log2(n))
    return alibi_slopes(below) + alibi_slopes(2 * below)[0::2][: n - below]


def sinusoidal(n, d):
    position = np.arange(n, dtype=np.longdouble)[:, None]
    column = np.arange(d)
    rate = np.exp(-np.log(np.longdouble(10000)) * (column // 2 * 2) / np.longdouble(d))
    return np.where(column % 2 == 0, np.sin(position * rate), np.cos(position * rate))


def save(name, array):
    np.save(HERE / name, np.asarray(array).astype(np.float32))


def main():
    manifest = {"transformers": transformers.__version__, "torch": torch.__version__,
                "positions": POSITIONS, "rotary": {}}
    for name, (spec, other) in ROTARY.items():
        table, off = rotary_table(spec, dict(other))
        assert off < FLOAT32_BOUND, (name, off)
        save(f"rotary_{name}.npy", table)
        manifest["rotary"][name] = spec | {"transformers_float32_off_by": float(f"{off:.2g}")}

    heads = [1, 2, 3, 8, 12, 40, 71]
    save("alibi.npy", [slope for n in heads for slope in alibi_slopes(n)])
    manifest["alibi"] = heads

    positions = [*range(5), 127, 255, 256, 257, 258, 259, 511, 513, 770, 1023, 2045]
    falcon = [build_alibi_tensor(torch.ones(1, 2048, dtype=torch.long), n, torch.float32)[:, 0]
              for n in heads]
    save("key_alibi.npy", torch.cat(falcon)[:, positions].numpy())  # a row a head
    manifest["key_alibi"] = positions

    far = (511, 512, 1000, 9999)
    distances = [*range(-280, 281), *far, *(-d for d in far)]
    kinds = [(32, 128, True), (32, 128, False), (32, 256, True), (64, 512, False), (8, 20, True),
             (10, 40, True), (7, 50, False), (4, 16, True), (2, 100, False)]
    save("buckets.npy", [distances] + [  # the rest: a row a kind
        T5Attention._relative_position_bucket(torch.tensor(distances), bidirectional=bidirectional,
                                              num_buckets=n, max_distance=longest).numpy()
        for n, longest, bidirectional in kinds
    ])
    manifest["buckets"] = [dict(n_buckets=n, max_distance=m, bidirectional=b) for n, m, b in kinds]

    manifest["sinusoidal"] = [[40, 16], [40, 15], [300, 2]]
    for n, d in manifest["sinusoidal"]:
        save(f"sinusoidal_{n}x{d}.npy", sinusoidal(n, d))
        marian = MarianSinusoidalPositionalEmbedding(n, d)
        save(f"marian_{n}x{d}.npy", marian.create_weight().numpy())
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Writes small attention problems and what PyTorch says of them.

    python make.py [--out DIR]

Each case is one NAME.npy, rank 1: its tensors one after another, in the order, shapes and names
that manifest.json lists (no v: it is k). Q, K, V, O are [batch, heads, tokens, dim], bias and mask (0 or 1)
[batch, heads, q_len, kv_len] where an extent of 1 repeats. The other fields of a case are named as
in headlane.h; what is not there is off.

O is computed in float64 by scaled_dot_product_attention (sdpa) where it can express the problem,
and rounded once; the explicit formula must agree with it to 1e-12 and stands alone where sdpa
cannot. Rows of padding, and of queries that see no key, are zero. "float32_from_float64" is how far
PyTorch's own float32 is off, the worse of sdpa and the formula.
"""

import argparse
import importlib.util
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention.bias import causal_lower_right, causal_upper_left
from transformers import T5Config
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb as turn_interleaved
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb as turn_halves
from transformers.models.t5.modeling_t5 import T5Attention


def load_sibling(folder):
    path = pathlib.Path(__file__).parent.parent / folder / "make.py"
    spec = importlib.util.spec_from_file_location(f"{folder}_make", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


POSITIONS = load_sibling("positions")  # transformers' rotary frequencies, in float64


def turned(case, q, k, dtype):
    """Q and K at their positions, by transformers' own functions."""
    rotary = case["rotary"]
    dims = rotary.get("dims", case["head_dim"])
    names = {"original_max_positions": "original"}
    spec = {names.get(name, name): value for name, value in rotary.items() if name != "interleaved"}
    frequencies, scale, _ = POSITIONS.rotary_frequencies({**spec, "dims": dims}, {})
    shift = case["kv_len"] - case["q_len"] if case.get("causal") == "lower_right" else 0

    def turn(x, first):
        angles = torch.arange(first, first + x.shape[2])[:, None] * torch.from_numpy(frequencies)
        cos, sin = ((f(angles) * scale).to(dtype)[None] for f in (torch.cos, torch.sin))
        part, rest = x[..., :dims], x[..., dims:]
        if rotary.get("interleaved"):
            part = turn_interleaved(part.transpose(1, 2), sin, cos).transpose(1, 2)
        else:
            cos, sin = (torch.cat([t, t], -1) for t in (cos, sin))
            part = turn_halves(part, part, cos, sin)[0]
        return torch.cat([part, rest], -1)
    return turn(q, shift), turn(k, 0)


def relative_bias(case, tensors, dtype):
    """[1, heads, q_len, kv_len], by T5's own module."""
    relative = case["relative_bias"]
    config = T5Config(num_heads=case["n_heads"], is_decoder=not relative["bidirectional"],
                      relative_attention_num_buckets=relative["n_buckets"],
                      relative_attention_max_distance=relative["max_distance"])
    module = T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    module.relative_attention_bias.weight.data = tensors["relative_table"].to(dtype)
    with torch.no_grad():
        return module.compute_bias(case["q_len"], case["kv_len"])


def positions(case):
    """Where queries stand among the keys, and the keys, as columns and rows."""
    shift = case["kv_len"] - case["q_len"] if case.get("causal") == "lower_right" else 0
    return torch.arange(case["q_len"])[:, None] + shift, torch.arange(case["kv_len"])[None, :]


def seen(case, tensors):
    """[batch, 1 or heads, q_len, kv_len]: which keys a query sees."""
    i, j = positions(case)
    allowed = j <= i if case.get("causal") else torch.ones(case["q_len"], case["kv_len"],
                                                           dtype=torch.bool)
    allowed = allowed.repeat(case["batch"], 1, 1, 1)
    for b, n in enumerate(case.get("prefix_lengths", [])):  # opens what the causal mask hides
        allowed[b] |= j < n
    if "window_right" in case:
        allowed &= j <= i + case["window_right"]
    if "window_left" in case:
        allowed &= j >= i - case["window_left"]
    for b, n in enumerate(case.get("kv_lengths", [])):
        allowed[b] &= j >= case["kv_len"] - n if case.get("left_padded") else j < n
    return allowed & (tensors["mask"] != 0) if "mask" in tensors else allowed


def additive(case, tensors, dtype):
    """What is added to the scores: biases and ALiBi, or None."""
    if "relative_bias" in case:
        return relative_bias(case, tensors, dtype)
    if "alibi_slopes" in tensors and case.get("causal") != "upper_left":
        i, j = positions(case)
        return -tensors["alibi_slopes"].to(dtype).view(1, -1, 1, 1) * (i - j).abs()
    if "alibi_slopes" in tensors:
        # As transformers has it: it differs from -slope * distance by a number for each query,
        # which softmax takes out.
        return tensors["alibi_slopes"].to(dtype).view(1, -1, 1, 1) * torch.arange(case["kv_len"])
    return tensors["bias"].to(dtype) if "bias" in tensors else None


def by_formula(case, tensors, dtype):
    q, k, v = (tensors[name].to(dtype) for name in "qkv")
    if "rotary" in case:
        q, k = turned(case, q, k, dtype)
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    if case.get("score") == "additive":
        sums = torch.tanh(q[:, :, :, None] + k[:, :, None])
        scores = (sums * tensors["additive"].to(dtype)[None, :, None, None]).sum(-1)
    else:
        usual = 1 if case.get("score") == "dot" else 1 / math.sqrt(q.shape[3])
        scores = q @ k.transpose(2, 3) * case.get("scale", usual)
    if "softcap" in case:
        scores = case["softcap"] * torch.tanh(scores / case["softcap"])
    bias = additive(case, tensors, dtype)
    scores = (scores if bias is None else scores + bias).masked_fill(~seen(case, tensors), -math.inf)
    if "sinks" in tensors:
        sinks = tensors["sinks"].to(dtype).view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = torch.cat([scores, sinks], 3)
    return torch.softmax(scores, 3)[..., : k.shape[2]].nan_to_num(0.0) @ v


def by_sdpa(case, tensors, dtype):
    """None where scaled_dot_product_attention has no word for it."""
    if "softcap" in case or "sinks" in tensors or case.get("score") == "additive":
        return None
    plain_causal = case.get("causal") and not any(
        name in case for name in ("window_left", "window_right", "prefix_lengths", "kv_lengths"))
    given = {"bias", "mask", "alibi_slopes", "relative_table"} & tensors.keys()
    if plain_causal and not given:
        variant = causal_lower_right if case["causal"] == "lower_right" else causal_upper_left
        mask = variant(case["q_len"], case["kv_len"])
    else:
        mask, bias = seen(case, tensors), additive(case, tensors, dtype)
        if bias is not None:
            mask = bias.masked_fill(~mask, -math.inf) if not mask.all() else bias
    q, k, v = (tensors[name].to(dtype) for name in "qkv")
    if "rotary" in case:
        q, k = turned(case, q, k, dtype)
    scale = 1.0 if case.get("score") == "dot" else case.get("scale")
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale,
                                          enable_gqa=k.shape[1] != q.shape[1])


def clear_padding(case, o):
    for b, n in enumerate(case.get("q_lengths", []) if o is not None else []):
        o[b, :, : case["q_len"] - n if case.get("left_padded") else 0] = 0
        o[b, :, case["q_len"] if case.get("left_padded") else n :] = 0
    return o


def problem(why, batch, n_heads, q_len, head_dim, n_kv_heads=0, kv_len=0, v_dim=0, extra=None,
            spread=1.5, **fields):
    case = {"why": why, "batch": batch, "n_heads": n_heads, "n_kv_heads": n_kv_heads or n_heads,
            "q_len": q_len, "kv_len": kv_len or q_len, "head_dim": head_dim,
            "v_dim": v_dim or head_dim, **fields}
    return case, extra or {}, spread


# `extra` names tensors and their shapes; spread is the standard deviation of Q and K.
CASES = {
    "key_lengths": problem("right padding, as a batch of sentences has it", 3, 2, 19, 8,
                           q_lengths=[19, 7, 1], kv_lengths=[19, 7, 1]),
    "left_padding": problem("real rows last, causal, as decoders batch", 3, 2, 17, 8,
                            causal="upper_left", left_padded=1, q_lengths=[17, 9, 2],
                            kv_lengths=[17, 9, 2]),
    "causal_upper_left": problem("more keys than queries", 2, 2, 11, 8, kv_len=23,
                                 causal="upper_left"),
    "causal_upper_left_tall": problem("more queries than keys", 2, 2, 23, 8, kv_len=11,
                                      causal="upper_left"),
    "causal_lower_right": problem("new queries on a cache of keys", 2, 2, 11, 8, kv_len=23,
                                  causal="lower_right"),
    "boolean_mask": problem("any pattern, of each head its own", 2, 3, 13, 8, kv_len=17,
                            extra={"mask": (2, 3, 13, 17)}),
    "bias_over_batch": problem("one bias for all sequences, as relative positions", 3, 2, 9, 8,
                               kv_len=18, extra={"bias": (1, 2, 9, 18)}),
    "bias_over_heads": problem("one bias for all heads", 2, 3, 9, 8, kv_len=18,
                               extra={"bias": (2, 1, 9, 18)}),
    "bias_over_queries": problem("one bias for all queries", 2, 3, 9, 8, kv_len=18,
                                 extra={"bias": (2, 3, 1, 18)}),
    "grouped_query": problem("6 heads share 2 of K and V", 2, 6, 10, 8, n_kv_heads=2, kv_len=15),
    "multi_query": problem("5 heads share 1 of K and V, with a scale of its own", 2, 5, 10, 8,
                           n_kv_heads=1, kv_len=15, scale=0.5),
    "head_dim_26_v_dim_17": problem("no width a multiple of a vector", 2, 2, 10, 26, kv_len=12,
                                    v_dim=17, spread=1.0),
    "width_512": problem("V is K itself: the largest case, kept small", 4, 8, 10, 64, spread=1.0,
                         shared_kv=1),
    "width_640": problem("10 heads of 64", 1, 10, 4, 64, spread=1.0),
    "width_768": problem("12 heads of 64", 1, 12, 5, 64, spread=1.0),
    "alibi_40_heads": problem("slopes where heads are no power of two", 1, 40, 12, 3,
                              causal="upper_left", extra={"alibi_slopes": (40,)}),
    "softcap": problem("scores capped by tanh", 2, 2, 14, 8, spread=3.0, softcap=5.0),
    "softcap_50": problem("a cap far above the scores", 2, 2, 14, 8, softcap=50.0),
    "sinks": problem("a logit that takes its share", 2, 3, 12, 8, causal="upper_left",
                     extra={"sinks": (3,)}),
    "window_causal": problem("sliding window over more than a block of keys", 1, 1, 260, 4,
                             causal="upper_left", window_left=30),
    "window_symmetric": problem("keys near on both sides", 1, 2, 40, 8, window_left=5,
                                window_right=5),
    "prefix_causal": problem("a prefix that all queries see", 2, 2, 16, 8, causal="upper_left",
                             prefix_lengths=[6, 0]),
    "head_dim_1": problem("one number a head", 1, 3, 9, 1),
    "head_dim_32": problem("a usual size", 1, 2, 9, 32),
    "head_dim_80": problem("a usual size", 1, 2, 9, 80, spread=1.0),
    "head_dim_96": problem("a usual size", 1, 2, 9, 96, spread=1.0),
    "head_dim_128": problem("a usual size", 1, 1, 9, 128, spread=1.0),
    "head_dim_256": problem("the largest", 1, 1, 9, 256, spread=0.7),
    "score_dot": problem("not scaled, as T5", 2, 2, 9, 8, spread=1.0, score="dot"),
    "score_additive": problem("Bahdanau's", 2, 2, 9, 8, kv_len=14, score="additive",
                              extra={"additive": (2, 8)}),
    "score_additive_causal": problem("Bahdanau's, with a mask by position", 1, 3, 20, 5,
                                     causal="upper_left", score="additive",
                                     extra={"additive": (3, 5)}),
    "rotary_halves": problem("as Llama, Qwen", 1, 2, 20, 16, causal="upper_left", rotary={}),
    "rotary_interleaved": problem("as RoFormer, GPT-J", 1, 2, 20, 16, causal="upper_left",
                                  rotary={"interleaved": True}),
    "rotary_partial": problem("as GPT-NeoX: 6 of 10 columns", 1, 2, 12, 10,
                              rotary={"dims": 6, "base": 500.0}),
    "rotary_cache": problem("new queries on a cache of keys, grouped heads", 1, 4, 5, 8,
                            n_kv_heads=2, kv_len=19, causal="lower_right", rotary={}),
    "rotary_linear": problem("positions divided", 1, 2, 14, 16,
                             rotary={"scaling": "linear", "factor": 2.5}),
    "rotary_ntk": problem("a larger base", 1, 2, 14, 16, rotary={"scaling": "ntk", "factor": 4.0}),
    "rotary_yarn": problem("by parts, and scaled", 1, 2, 30, 16, causal="upper_left",
                           rotary={"scaling": "yarn", "factor": 4.0, "original_max_positions": 64}),
    "rotary_llama3": problem("by parts, as Llama 3.1", 1, 2, 30, 16, causal="upper_left",
                             rotary={"scaling": "llama3", "factor": 8.0,
                                     "original_max_positions": 64, "base": 500000.0}),
    "relative_encoder": problem("T5's buckets on both sides", 2, 2, 26, 8, scale=1.0, spread=0.8,
                                relative_bias={"n_buckets": 8, "max_distance": 20,
                                               "bidirectional": True},
                                extra={"relative_table": (8, 2)}),
    "relative_decoder": problem("T5's buckets behind", 1, 3, 26, 8, scale=1.0, spread=0.8,
                                causal="upper_left",
                                relative_bias={"n_buckets": 6, "max_distance": 15,
                                               "bidirectional": False},
                                extra={"relative_table": (6, 3)}),
    "alibi_symmetric_6_heads": problem("encoders: distance on both sides", 1, 6, 14, 8,
                                       extra={"alibi_slopes": (6,)}),
    "prefix_and_windows": problem("a window limits the prefix too", 2, 2, 16, 8,
                                  causal="upper_left", prefix_lengths=[9, 0], window_left=6,
                                  window_right=3),
    "prefix_and_windows_on_a_cache": problem("the same, for the last queries", 3, 1, 4, 8,
                                             kv_len=12, causal="lower_right",
                                             prefix_lengths=[9, 12, 11], window_right=2),
    "prefix_without_causal": problem("a prefix opens nothing that a window hides", 2, 1, 4, 8,
                                     kv_len=12, prefix_lengths=[9, 12], window_right=2),
}


def make(case, extra, spread, rng):
    """The case's manifest entry and its numbers."""
    def normal(*shape, scale=1.0):
        # numpy's generator, which does not change with torch's version
        return torch.from_numpy((rng.standard_normal(shape) * scale).astype(np.float32))

    batch, dims = case["batch"], (case["head_dim"], case["v_dim"])
    tensors = {"q": normal(batch, case["n_heads"], case["q_len"], dims[0], scale=spread),
               "k": normal(batch, case["n_kv_heads"], case["kv_len"], dims[0], scale=spread),
               "v": normal(batch, case["n_kv_heads"], case["kv_len"], dims[1])}
    for name, shape in extra.items():
        tensors[name] = normal(*shape)
    if case.get("shared_kv"):
        tensors["v"] = tensors["k"]
    if "mask" in tensors:
        tensors["mask"] = (tensors["mask"] > 0).float()
        tensors["mask"][..., 3] = 1  # sdpa gives NaN to a query that sees nothing
    if "alibi_slopes" in tensors:
        tensors["alibi_slopes"] = build_alibi_tensor(
            torch.ones(1, 2, dtype=torch.int64), case["n_heads"], torch.float32)[:, 0, 1].clone()

    formula, sdpa = (clear_padding(case, f(case, tensors, torch.float64))
                     for f in (by_formula, by_sdpa))
    if sdpa is not None and (formula - sdpa).abs().max() > 1e-12:
        raise SystemExit(f"{case['why']}: the formula and sdpa differ")
    o = formula if sdpa is None else sdpa
    in_float32 = [f(case, tensors, torch.float32) for f in (by_formula, by_sdpa)]
    error = max(float((clear_padding(case, x).double() - o).abs().max())
                for x in in_float32 if x is not None)
    tensors["o"] = o.float()
    if case.get("shared_kv"):
        del tensors["v"]
    entry = {**case, "by": "formula" if sdpa is None else "sdpa", "float32_from_float64": error,
             "tensors": [[name, list(x.shape)] for name, x in tensors.items()]}
    return entry, np.concatenate([x.contiguous().numpy().ravel() for x in tensors.values()])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    out = parser.parse_args().out
    torch.set_num_threads(1)  # the number of threads changes float32 sums in the last bits
    manifest = {}
    for i, (name, (case, extra, spread)) in enumerate(CASES.items()):
        manifest[name], numbers = make(case, extra, spread, np.random.default_rng(2000 + i))
        np.save(out / f"{name}.npy", numbers)
        print(f"{name:24} {numbers.nbytes:7} bytes  float32 off by "
              f"{manifest[name]['float32_from_float64']:.1e}")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}"
                       for name, entry in manifest.items())
    (out / "manifest.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()

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
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention.bias import causal_lower_right, causal_upper_left
from transformers.models.bloom.modeling_bloom import build_alibi_tensor


def positions(case):
    """Where queries stand among the keys, and the keys, as columns and rows."""
    shift = case["kv_len"] - case["q_len"] if case.get("causal") == "lower_right" else 0
    return torch.arange(case["q_len"])[:, None] + shift, torch.arange(case["kv_len"])[None, :]


def seen(case, tensors):
    """[batch, 1 or heads, q_len, kv_len]: which keys a query sees."""
    i, j = positions(case)
    allowed = torch.ones(case["q_len"], case["kv_len"], dtype=torch.bool)
    if case.get("causal"):
        allowed = j <= i
    elif "window_right" in case:
        allowed = j <= i + case["window_right"]
    allowed = allowed.repeat(case["batch"], 1, 1, 1)
    for b, n in enumerate(case.get("prefix_lengths", [])):
        allowed[b] |= j < n
    if "window_left" in case:
        allowed &= j >= i - case["window_left"]
    for b, n in enumerate(case.get("kv_lengths", [])):
        allowed[b] &= j >= case["kv_len"] - n if case.get("left_padded") else j < n
    return allowed & (tensors["mask"] != 0) if "mask" in tensors else allowed


def additive(case, tensors, dtype):
    """What is added to the scores: bias and ALiBi, or None."""
    if "alibi_slopes" in tensors:
        # As transformers has it: it differs from -slope * distance by a number for each query,
        # which softmax takes out.
        return tensors["alibi_slopes"].to(dtype).view(1, -1, 1, 1) * torch.arange(case["kv_len"])
    return tensors["bias"].to(dtype) if "bias" in tensors else None


def by_formula(case, tensors, dtype):
    q, k, v = (tensors[name].to(dtype) for name in "qkv")
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    scores = q @ k.transpose(2, 3) * case.get("scale", 1 / math.sqrt(q.shape[3]))
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
    if "softcap" in case or "sinks" in tensors:
        return None
    plain_causal = case.get("causal") and not any(
        name in case for name in ("window_left", "prefix_lengths", "kv_lengths"))
    if plain_causal and not {"bias", "mask", "alibi_slopes"} & tensors.keys():
        variant = causal_lower_right if case["causal"] == "lower_right" else causal_upper_left
        mask = variant(case["q_len"], case["kv_len"])
    else:
        mask, bias = seen(case, tensors), additive(case, tensors, dtype)
        if bias is not None:
            mask = bias.masked_fill(~mask, -math.inf) if not mask.all() else bias
    q, k, v = (tensors[name].to(dtype) for name in "qkv")
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=case.get("scale"),
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

"""Makes caches.json beside this script: python make_caches.py

What transformers 5.24.0 makes, in float64, of prompts of some of these models where keys and values
are rounded as they come into its cache: to bf16, or to int8 with a scale for each token and head.
Scales are the largest magnitude / 127, codes the nearest whole numbers to x * (127 / largest), both
of floats, ties to even. Of each prompt there are the likeliest tokens that come after it, their
log-probabilities, and `plain`, those of the same tokens without any rounding.

    float32_from_float64    how far logits are off at most, if all is computed in float32: that a
                            number is rounded to another one beside it is a part of it
    rounding                how far logits are off at most from those without any rounding

Prompts are lines of prompts.txt, whose numbers are `lines`. One is left out if the two likeliest
tokens at a place are nearer than LEAST_GAP, or if float32 takes another one.
"""

import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers

HERE = pathlib.Path(__file__).parent
# With windows and positions of two kinds; shared heads; soft caps; ALiBi; positions of a table.
MODELS = ["gemma3", "llama_3_1", "gemma2", "bloom", "gpt2", "qwen2_window"]
MAX_NEW, N_PROMPTS, N_LONG, LEAST_GAP = 12, 10, 2, 2e-2


def to_bf16(x):
    return x.float().bfloat16().to(x.dtype)


def to_int8(x):
    largest = x.float().abs().amax(-1, keepdim=True)
    inverse = torch.where(largest > 1e-36, 127 / largest, torch.zeros(()))
    codes = (x.float() * inverse).clamp(-127, 127).round()
    return codes.to(x.dtype) * (largest / 127).to(x.dtype)


FORMATS = {"bf16": to_bf16, "int8": to_int8}


class RoundingCache(transformers.DynamicCache):
    def __init__(self, round_to):
        super().__init__()
        self.round_to = round_to

    def update(self, key_states, value_states, *arguments, **options):
        return super().update(self.round_to(key_states), self.round_to(value_states), *arguments,
                              **options)


def generate(model, ids, round_to, follow=None):
    """The likeliest tokens, or those to follow, and the logits that they are chosen by."""
    cache, new, rows = RoundingCache(round_to), [], []
    tokens = list(ids)
    for place in range(MAX_NEW):
        with torch.inference_mode():
            logits = model(torch.tensor([tokens]), past_key_values=cache, use_cache=True).logits[0, -1]
        rows.append(logits.double())
        new.append(int(logits.argmax()) if follow is None else follow[place])
        tokens = new[-1:]
    return new, torch.stack(rows)


def measure(models, prompts, round_to):
    exact, single = models
    found = {"lines": [], "ids": [], "logprobs": [], "plain": [], "float32_from_float64": 0.0, "rounding": 0.0}
    chosen = [*range(len(prompts) - N_LONG, len(prompts)), *range(len(prompts) - N_LONG)]
    for line in chosen:
        if len(found["ids"]) == N_PROMPTS:
            break
        new, rows = generate(exact, prompts[line], round_to)
        best = rows.topk(2).values
        single_new, single_rows = generate(single, prompts[line], round_to)
        if (best[:, 0] - best[:, 1]).min() < LEAST_GAP or new != single_new:
            continue
        _, unrounded = generate(exact, prompts[line], lambda x: x, new)
        found["lines"].append(line)
        found["ids"].append(new)
        for name, logits in (("logprobs", rows), ("plain", unrounded)):
            logprobs = logits.log_softmax(-1)
            found[name].append([float("%.9g" % logprobs[i, id]) for i, id in enumerate(new)])
        for name, others in (("float32_from_float64", single_rows), ("rounding", unrounded)):
            found[name] = max(found[name], (others - rows).abs().max().item())
    return found


def main():
    out = {}
    for name in MODELS:
        text = (HERE / name / "prompts.txt").read_text().splitlines()
        prompts = [[int(id) for id in line.split()] for line in text]
        models = [transformers.AutoModelForCausalLM.from_pretrained(
            HERE / name, dtype=dtype, attn_implementation="eager").eval()
                  for dtype in (torch.float64, torch.float32)]
        out[name] = {format: measure(models, prompts, rounding)
                     for format, rounding in FORMATS.items()}
        for format, row in out[name].items():
            print(name, format, len(row["ids"]), row["float32_from_float64"], row["rounding"])
    (HERE / "caches.json").write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()

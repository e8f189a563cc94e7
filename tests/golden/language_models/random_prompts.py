"""Compares models with experts with transformers on many random prompts, by hand.

    python random_prompts.py HEADLANE [--prompts N] [--seed N] [NAME ...]

HEADLANE is the command; NAME a folder beside this file, or all of those whose routers choose some of
their experts. Each prompt is run by generate() in float64, alone, and all of them in one batch of
mixed lengths by `headlane generate`, in f32. Printed is, of each model:

    how many answers have the ids of generate(); of those that have others, how many are ties: two
    tokens nearer than LEAST_GAP, or two experts nearer than LEAST_CHOICE_GAP, at any step
    how far the logarithms of the chosen tokens' probabilities are off, at most, and how far those of
    transformers' own float32 are
    of how many prompts they would be off by more than that had one router, for the prompt's last token,
    taken the best expert that it has not chosen in place of the last one that it has: an answer whose
    probabilities are right had the same choices

Exit status 1: an answer differs and is no tie, or a probability is off by more than four times as much
as float32's.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from make import LEAST_CHOICE_GAP, LEAST_GAP, MAX_NEW, ChoiceGaps, chooses_experts, prompt

HERE = pathlib.Path(__file__).parent


def routers_of(model):
    return [module for module in model.modules() if type(module).__name__.endswith("Router")]


def load(folder, dtype):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", experts_implementation="eager").eval()


def has_choices(folder):
    config = json.loads((folder / "config.json").read_text())
    if not any("num_experts_per_tok" in key for key in config):
        return False
    return "chooses_experts" in chooses_experts(load(folder, torch.float32))


def answer(model, ids):
    out = model.generate(torch.tensor([ids]), max_new_tokens=MAX_NEW, do_sample=False,
                         return_dict_in_generate=True, output_logits=True)
    new = out.sequences[0, len(ids):].tolist()
    logits = torch.cat(out.logits)
    return new, logits, chosen_logprobs(logits, new)


def chosen_logprobs(logits, ids):
    return logits.double().log_softmax(-1)[torch.arange(len(ids)), torch.tensor(ids)]


def of_given(model, ids, new):
    """The same of an answer that is given."""
    with torch.inference_mode():
        logits = model(torch.tensor([ids + new]), use_cache=False).logits[0]
    return chosen_logprobs(logits[len(ids) - 1:len(ids) - 1 + len(new)], new)


def other_choice(model, ids, new, rng):
    """The same where one router has chosen another expert for the last token of the prompt."""
    router = routers_of(model)[rng.integers(len(routers_of(model)))]
    token = len(ids) - 1

    def change(module, inputs, outputs):
        logits, weights, chosen = outputs
        chosen = chosen.clone()
        left = logits[token].double().clone()
        left[chosen[token]] = -torch.inf
        chosen[token, -1] = left.argmax()
        return logits, weights, chosen
    hook = router.register_forward_hook(change)
    try:
        return of_given(model, ids, new)
    finally:
        hook.remove()


def headlane(command, folder, prompts):
    with tempfile.TemporaryDirectory() as scratch:
        model, lines = pathlib.Path(scratch, "m.headlane"), pathlib.Path(scratch, "prompts.txt")
        lines.write_text("".join(" ".join(map(str, ids)) + "\n" for ids in prompts))
        subprocess.run([command, "convert", folder, "-o", model, "--precision", "f32"], check=True,
                       capture_output=True)
        out = subprocess.run(
            [command, "generate", "-m", model, "--ids", lines, "--max-new-tokens", str(MAX_NEW),
             "--temperature", "0", "--batch", str(len(prompts)), "--json", "--logprobs", "1"],
            check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def compare(command, folder, n_prompts, seed):
    exact, single = load(folder, torch.float64), load(folder, torch.float32)
    gaps, rng = ChoiceGaps(exact), np.random.default_rng(seed)
    vocab_size = json.loads((folder / "config.json").read_text())["vocab_size"]
    prompts = [prompt(i, n_prompts, rng, vocab_size) for i in range(n_prompts)]
    said = headlane(command, folder, prompts)
    same = ties = wrong = 0
    off = off_single = 0.0
    changes = []
    for ids, row in zip(prompts, said):
        gaps.take()
        new, logits, known = answer(exact, ids)
        best = logits.topk(2).values
        is_tie = (best[:, 0] - best[:, 1]).min() < LEAST_GAP or gaps.take() < LEAST_CHOICE_GAP
        if row["ids"] != new:
            ties, wrong = ties + is_tie, wrong + (not is_tie)
            continue
        same += 1
        if is_tie:
            continue
        own = torch.tensor([one["logprob"] for one in row["logprobs"]], dtype=torch.float64)
        off = max(off, (own - known).abs().max().item())
        off_single = max(off_single, (of_given(single, ids, new) - known).abs().max().item())
        changes.append((other_choice(exact, ids, new, rng) - known).abs().max().item())
    bound = 4 * off_single
    good = wrong == 0 and off <= bound
    print(f"{folder.name}: {same} of {n_prompts} answers have the ids of generate(), {ties} others are "
          f"ties, {wrong} are not; log-probabilities are off by {off:.1e} at most, those of float32 by "
          f"{off_single:.1e}; another choice would show in {sum(c > bound for c in changes)} of "
          f"{len(changes)} (in the middle by {statistics.median(changes):.1e})"
          f"{'' if good else '  WRONG'}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("headlane")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    folders = [HERE / name for name in arguments.names] or [
        folder for folder in sorted(HERE.iterdir())
        if (folder / "config.json").exists() and has_choices(folder)]
    good = [compare(arguments.headlane, folder, arguments.prompts, arguments.seed)
            for folder in folders]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()

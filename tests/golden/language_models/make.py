"""Writes small random language models, and what transformers' generate() makes of their prompts.

    python make.py [--out DIR] [NAME ...]

Each folder is what headlane convert takes (config.json, generation_config.json, weights), and
    prompts.txt         200 or 16 prompts of token ids, one a line: most are short, some longer than
                        the window, the last ones up to MOST tokens
    greedy.txt          what was generated for each, a line, without the prompt, with the end if
                        there is one
    beam.txt            the same by beams, the best answer of each
    beam_scores.npy     [prompts]: sums of log-probabilities over length ** length_penalty
    logits.npy          [rows, vocab]: of the first N_DETAILED prompts, the logits that each id of
                        their lines of greedy.txt was chosen by
    texts.json          of models with a tokenizer, in place of all above except the manifest: texts
                        as prompts, the ids of what was generated, and the text that it adds to its
                        prompt's
    manifest.json       what is odd about the model, the arguments, and how far transformers' own
                        float32 is from the float64, at most
Everything is random: biases and norms too. Each prompt is run alone, without padding, in float64
from the weights as the files have them, and rounded once. Attention is transformers' eager form, except
where a recipe says SDPA: to Falcon's scores the eager form of transformers 5.24 adds ALiBi twice, with
the mask too, and SDPA, which transformers chooses by itself, once.

Ids can be compared one for one only where no choice is a matter of rounding. So a prompt is
replaced by another if the two best scores of one of its greedy steps are nearer than LEAST_GAP, if
float32 generates something else by beams, or if a router would have chosen other experts for one of
its tokens had numbers been off by half of LEAST_CHOICE_GAP. In less than float32 such choices do
differ, and a row with them; so narrow precisions are compared on models whose routers choose all
experts, whose manifest has no "chooses_experts".

Where rotary positions depend on the length of a sequence, Headlane takes for it the tokens that the
sequence has room for, and so does this: transformers, which asks anew at each token, is told that
length. That its own choice for such a sequence as a whole gives the same is checked.
"""

import argparse
import copy
import json
import math
import pathlib
import shutil

import baichuan
import mxfp4
import numpy as np
import torch
import transformers
from recipes import COMMON, IDS, MODELS
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

N_DETAILED, LEAST_GAP, MAX_NEW, N_BEAMS, MOST = 5, 3e-4, 12, 3, 600
LEAST_CHOICE_GAP = 2e-5  # of numbers about 1 that are computed in float32
GAIN = 1.2  # of a product: scores of attention are of the size that trained models have
MODULES = {"Baichuan": baichuan}  # where transformers has no such model
TEXTS = ["The quick brown fox", "a", "  two spaces, and a tab\t", "Ein schöner Tag, nicht wahr?",
         "日本語のテキスト", "--max-new-tokens 5", "def f(x):\n    return x", "🙂🙂", "1234567890 + 1",
         "مرحبا بالعالم"]


def class_of(recipe, ending):
    if ending == "Config":
        return getattr(MODULES.get(recipe["type"], transformers),
                       recipe.get("config_class", recipe["type"]) + ending)
    return getattr(MODULES.get(recipe["type"], transformers), recipe["type"] + ending)


def is_norm(name):
    return ("norm" in name or ".ln_" in name) and name.endswith("weight")


def fan_in(name, p):
    return 0 if ".c_" in name else p.dim() - 1  # GPT-2 stores transposes


def randomize(model):
    less_1 = type(model).__name__.startswith("Gemma")  # as their norms' weights are
    transposed = type(model).__name__.startswith("GptOss")  # the experts' matrices
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() >= 2:
                k = p.shape[1 if transposed and p.dim() == 3 else fan_in(name, p)]
                p.copy_(torch.randn_like(p) * (GAIN / k ** 0.5))
            else:
                own = 0.0 if less_1 else 1.0
                p.copy_(torch.randn_like(p) * 0.3 + (own if is_norm(name) else 0.0))
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.copy_(torch.randn_like(buffer) * 0.1)
    model.tie_weights()


def gap_at(values, k):
    """How far apart the best k values of each row and the others are, at least."""
    if k >= values.shape[-1]:
        return math.inf
    best = values.topk(k + 1).values
    return (best[..., k - 1] - best[..., k]).min().item()


def choice_gap(router, logits):
    """How near a router's choice is to another one, in what it ranks experts and groups by."""
    of_best_two = hasattr(router, "e_score_correction_bias")
    if not of_best_two and getattr(router, "topk_method", "greedy") == "greedy":
        return gap_at(logits, router.top_k)
    ranks = logits.sigmoid() + router.e_score_correction_bias if of_best_two else logits
    groups = ranks.view(len(ranks), router.num_group, -1)
    scores = groups.topk(2 if of_best_two else 1).values.sum(-1)
    chosen = scores.topk(router.topk_group).indices
    of_chosen = groups.gather(1, chosen[..., None].expand(-1, -1, groups.shape[-1]))
    return min(gap_at(scores, router.topk_group), gap_at(of_chosen.flatten(1), router.top_k))


class ChoiceGaps:
    """The least gap of all routers of a model, since the last call of take()."""

    def __init__(self, model):
        self.least = math.inf
        for module in model.modules():
            if type(module).__name__.endswith("Router"):
                module.register_forward_hook(self.look)

    def look(self, router, inputs, outputs):
        self.least = min(self.least, choice_gap(router, outputs[0]))

    def take(self):
        least, self.least = self.least, math.inf
        return least


def save(model, recipe, folder):
    if folder.exists():
        shutil.rmtree(folder)
    model.to(recipe.get("saved", torch.float32)).save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    part = config.get("text_config", config)
    for key in (["rope_parameters"] if "old" in recipe else []) + recipe.get("drop", []):
        part.pop(key, None)
    part.update(recipe.get("old", {}) | recipe.get("own", {}))
    path.write_text(json.dumps(config, indent=2) + "\n")


def prompt(i, n, rng, vocab_size):
    if i >= n - max(2, n * 3 // 100):
        length = int(rng.integers(200, MOST + 1))
    elif i >= n - n // 4:
        length = int(rng.integers(20, 70))
    else:
        length = int(rng.integers(1, 20))
    return rng.integers(3, vocab_size, length).tolist()


def generate(model, ids, n_beams):
    out = model.generate(torch.tensor([ids]), max_new_tokens=MAX_NEW, num_beams=n_beams,
                         do_sample=False, return_dict_in_generate=True, output_logits=n_beams == 1,
                         output_scores=True, length_penalty=0.8)
    new = out.sequences[0, len(ids):].tolist()
    if n_beams == 1:
        return new, torch.cat(out.logits)
    return new, out.sequences_scores[0]


def fix_room(model, room):
    """The model's rotary positions are those of sequences of that length, from the first token on."""
    rope, config = model.model.rotary_emb, model.config
    init = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]]
    frequencies, rope.attention_scaling = init(config, "cpu", seq_len=room)
    rope.register_buffer("inv_freq", frequencies, persistent=False)
    rope.rope_type = "default"


def check_room(model, ids, new, rows):
    """transformers' own choice, made for a whole sequence at once, gives the same logits, but that
    frequencies are rounded to float32 at another place."""
    model = copy.deepcopy(model)
    rope = type(model.model.rotary_emb)(model.config)
    model.model.rotary_emb = rope
    whole = (ids + new + [3] * MAX_NEW)[:len(ids) + MAX_NEW]
    with torch.inference_mode():
        logits = model(torch.tensor([whole]), use_cache=False).logits[0]
    own = logits[len(ids) - 1:len(ids) - 1 + len(new)]
    assert (own - rows).abs().max() < 1e-4, (own - rows).abs().max()


def eager(recipe):
    """Attention and experts as the model's own code has them."""
    experts = {} if recipe["type"] in MODULES else {"experts_implementation": "eager"}
    return {"attn_implementation": recipe.get("attention", "eager"), **experts}


def chooses_experts(model):
    routers = [m for m in model.modules() if type(m).__name__.endswith("Router")]
    return {"chooses_experts": True} if any(r.top_k < r.num_experts for r in routers) else {}


def run(recipe, folder, seed):
    exact = class_of(recipe, recipe.get("head", "ForCausalLM")).from_pretrained(
        folder, dtype=torch.float64, **eager(recipe)).eval()
    single = class_of(recipe, recipe.get("head", "ForCausalLM")).from_pretrained(
        folder, dtype=torch.float32, **eager(recipe)).eval()
    gaps = ChoiceGaps(exact)
    rng = np.random.default_rng(seed)
    prompts, greedy, beam, scores, logits = [], [], [], [], []
    off_logits = off_scores = 0.0
    n_prompts = recipe.get("prompts", 200)
    while len(prompts) < n_prompts:
        ids = prompt(len(prompts), n_prompts, rng, IDS["vocab_size"])
        for model in (exact, single) if recipe.get("by_room") else ():
            fix_room(model, len(ids) + MAX_NEW)
        new, rows = generate(exact, ids, 1)
        best = rows.topk(2).values
        if (best[:, 0] - best[:, 1]).min() < LEAST_GAP:
            gaps.take()
            continue
        if recipe.get("by_room"):
            check_room(exact, ids, new, rows)
        by_beams, score = generate(exact, ids, N_BEAMS)
        if gaps.take() < LEAST_CHOICE_GAP:
            continue
        single_beams, single_score = generate(single, ids, N_BEAMS)
        if by_beams != single_beams:
            continue
        single_new, single_rows = generate(single, ids, 1)
        assert single_new == new
        off_logits = max(off_logits, (single_rows - rows).abs().max().item())
        off_scores = max(off_scores, abs(single_score.item() - score.item()))
        if len(prompts) < N_DETAILED:
            logits.append(rows)
        prompts.append(ids)
        greedy.append(new)
        beam.append(by_beams)
        scores.append(score)

    def lines(name, rows):
        (folder / name).write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    lines("prompts.txt", prompts)
    lines("greedy.txt", greedy)
    lines("beam.txt", beam)
    np.save(folder / "beam_scores.npy", torch.stack(scores).to(torch.float32).numpy())
    np.save(folder / "logits.npy", torch.cat(logits).to(torch.float32).numpy())
    (folder / "manifest.json").write_text(json.dumps({
        "why": recipe["why"], "max_new_tokens": MAX_NEW, "n_beams": N_BEAMS, "length_penalty": 0.8,
        "n_detailed": N_DETAILED, **chooses_experts(exact), "transformers": transformers.__version__,
        "float32_from_float64": {"logits": off_logits, "scores": off_scores}}, indent=1) + "\n")


def run_texts(recipe, folder):
    tokenizers = pathlib.Path(__file__).parent.parent / "tokenizer_json" / recipe["tokenizer"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizers / name, folder / name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = class_of(recipe, recipe.get("head", "ForCausalLM")).from_pretrained(
        folder, dtype=torch.float64, **eager(recipe)).eval()

    def text_of(ids):
        return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    rows = []
    for text in TEXTS:
        ids = tokenizer(text).input_ids
        new, logits = generate(model, ids, 1)
        best = logits.topk(2).values
        assert (best[:, 0] - best[:, 1]).min() >= LEAST_GAP, text
        before, whole = text_of(ids), text_of(ids + new)
        assert whole.startswith(before)
        rows.append({"prompt": text, "ids": new, "text": whole[len(before):]})
    (folder / "texts.json").write_text(json.dumps(rows, indent=1) + "\n")
    (folder / "manifest.json").write_text(json.dumps({
        "why": recipe["why"], "max_new_tokens": MAX_NEW,
        "transformers": transformers.__version__}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    for seed, (name, recipe) in enumerate(MODELS.items()):
        if arguments.names and name not in arguments.names:
            continue
        torch.manual_seed(seed)
        config = class_of(recipe, "Config")(
            **IDS | ({} if "head" in recipe or "plain" in recipe else COMMON) | recipe["config"])
        model = class_of(recipe, recipe.get("head", "ForCausalLM"))(config)
        randomize(model)
        folder = arguments.out / name
        coded = mxfp4.round_experts(model) if "mxfp4" in recipe else {}
        save(model, recipe, folder)
        if "tokenizer" in recipe:
            run_texts(recipe, folder)
        else:
            run(recipe, folder, seed)
        if coded:
            mxfp4.replace_experts(folder, coded)
        print(name)


if __name__ == "__main__":
    main()

"""Writes answers.json, length_penalties.json and distributions.json: what transformers' generate()
makes of a toy decoder, for engine/generate/search.h.

    python make.py [FILE ...]

The decoder's logits are a hash of the source, the position, the last two tokens and the token in
question (see `logits`): multiples of 2^-21, the same floats in any language. So that nothing hangs
on a last bit, a case is left out if its answers change when the logits are multiplied by 1 +- 1e-5,
which is some hundred roundings; main() counts those. A source's answers are those that it gets
alone; where all sources of a case have prompts of one length it is checked that a batch of them
gets the same.
"""

import json
import logging
import pathlib
import sys
import warnings

import numpy as np
import torch
import transformers
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

HERE = pathlib.Path(__file__).parent
N_CASES = 400
N_PENALTIES = 60
N_DISTRIBUTIONS = 60
NUDGES = (1.0 - 1e-5, 1.0 + 1e-5)
# Beams begin with this score but for the first, and places of answers with it altogether. Where a
# forced first token keeps beams the same to the end, they come out as further answers or leave
# places empty. Ours gives the one answer there is.
NOTHING = -1e9
STAND_INS = -1e8
LEAST_PROBABILITY = 0.004  # of tokens that can be drawn: 5,000 draws show them all


def mix(x):
    """The finalizer of SplitMix64 (Steele et al. 2014)"""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def logits(seed, tokens, vocab_size, end_ids, end_bonus):
    """-> [vocab_size] float32 in [-4, 4), ends up to `end_bonus` more"""
    before = [0, *tokens][-2:]
    h = np.uint64(seed)
    for part in (len(tokens), *before):
        h = mix(h + np.uint64(0x9E3779B97F4A7C15) + np.uint64(part))
    h = mix(h + np.uint64(0x9E3779B97F4A7C15) + np.arange(vocab_size, dtype=np.uint64))
    x = (h >> np.uint64(40)).astype(np.float64) * 2.0**-21 - 4
    x[list(end_ids)] += end_bonus
    assert np.all(x == x.astype(np.float32))
    return x.astype(np.float32)


class ToyConfig(PretrainedConfig):
    model_type = "toy"


class Encoder(torch.nn.Module):
    main_input_name = "input_ids"

    def forward(self, input_ids=None, **_):
        return BaseModelOutput(last_hidden_state=input_ids[..., None].double())


class Toy(PreTrainedModel, GenerationMixin):
    config_class = ToyConfig
    main_input_name = "input_ids"

    def __init__(self, case, nudge=1.0):
        super().__init__(ToyConfig(is_encoder_decoder=True, vocab_size=case["vocab_size"]))
        self.encoder = Encoder()
        self.anything = torch.nn.Parameter(torch.zeros(1))  # where a model's device is looked for
        self.case, self.nudge = case, nudge

    def get_encoder(self, *_, **__):
        return self.encoder

    def prepare_inputs_for_generation(self, decoder_input_ids, encoder_outputs=None, **_):
        return dict(decoder_input_ids=decoder_input_ids, encoder_outputs=encoder_outputs)

    def forward(self, input_ids=None, decoder_input_ids=None, encoder_outputs=None, **_):
        case = self.case
        seeds = encoder_outputs.last_hidden_state[:, 0, 0].long().tolist()
        rows = [logits(seed, tokens, case["vocab_size"], case["end_ids"], case["end_bonus"])
                for seed, tokens in zip(seeds, decoder_input_ids.tolist(), strict=True)]
        x = torch.tensor(np.stack(rows)) * self.nudge
        return Seq2SeqLMOutput(logits=x[:, None, :])


def generation_config(case):
    suppressed = case["suppressed_ids"]
    # transformers has two ways to say it; the first makes an exception of ends.
    as_words = suppressed and not set(suppressed) & set(case["end_ids"])
    optional = lambda name: case[name] if case[name] >= 0 else None
    options = dict(
        num_beams=case["n_beams"], num_return_sequences=case["n_best"],
        max_new_tokens=case["max_new_tokens"], min_new_tokens=case["min_new_tokens"],
        do_sample=case["sample"], repetition_penalty=case["repetition_penalty"],
        renormalize_logits=case["renormalize"],
        decoder_start_token_id=case["start_id"], eos_token_id=case["end_ids"] or None,
        pad_token_id=0, bos_token_id=None, forced_bos_token_id=optional("forced_first_id"),
        forced_eos_token_id=optional("forced_last_id"), use_cache=False,
        bad_words_ids=[[id] for id in suppressed] if as_words else None,
        suppress_tokens=suppressed if suppressed and not as_words else None,
        return_dict_in_generate=True, output_scores=True, output_logits=True,
    )
    if case["n_beams"] > 1:
        stopping = dict(heuristic=False, first=True, never="never")[case["early_stopping"]]
        options |= dict(length_penalty=case["length_penalty"], early_stopping=stopping)
    if case["sample"]:
        options |= dict(temperature=case["temperature"], top_k=case["top_k"], top_p=case["top_p"],
                        min_p=case["min_p"])
    return GenerationConfig(**options)


def generate(case, sources, nudge=1.0):
    prompt = [[case["start_id"], *source["prefix"]] for source in sources]
    return Toy(case, nudge).generate(
        input_ids=torch.tensor([[source["seed"]] for source in sources]),
        decoder_input_ids=torch.tensor(prompt), generation_config=generation_config(case))


def greedy_score(case, output, i, tokens, n_prefix):
    """As search.h defines it: the model's own log-probabilities, nothing for forced tokens"""
    total = 0.0
    new = tokens[n_prefix:]
    for n, token in enumerate(new):
        is_first = n == 0 and n_prefix == 0 and case["forced_first_id"] >= 0
        is_last = n + 1 == case["max_new_tokens"] and case["forced_last_id"] >= 0
        if not is_first and not is_last:
            total += float(output.logits[n][i].double().log_softmax(-1)[token])
    return total / len(new) ** case["length_penalty"]


def answers(case, sources, nudge=1.0):
    """-> for each source its answers, [tokens without start and padding, score], best first"""
    output = generate(case, sources, nudge)
    n_best, n_prefix = case["n_best"], len(sources[0]["prefix"])
    result = []
    for i in range(len(sources)):
        result.append([])
        for j in range(i * n_best, (i + 1) * n_best):
            tokens = output.sequences[j].tolist()[1:]
            last = n_prefix + case["max_new_tokens"] - 1
            end = next((k for k, token in enumerate(tokens)
                        if k >= n_prefix and token in case["end_ids"]), last)
            tokens = tokens[: end + 1]
            assert len(tokens) == end + 1
            score = (float(output.sequences_scores[j]) if case["n_beams"] > 1
                     else greedy_score(case, output, j, tokens, n_prefix))
            if score > STAND_INS:
                result[-1].append([tokens, score])
            else:
                assert tokens == result[-1][0][0] or score == NOTHING
    return result


def tokens_of(all_answers):
    return [[tokens for tokens, _ in source] for source in all_answers]


def random_case(rng):
    pick = lambda *values: values[rng.integers(len(values))]
    vocab_size = int(rng.integers(7, 61))
    ids = [int(id) for id in rng.permutation(vocab_size)]
    n_ends, n_suppressed = pick(1, 1, 1, 2, 3, 0), pick(0, 0, 1, 3)
    ends, others = ids[:n_ends], ids[n_ends:]
    suppressed, others = others[:n_suppressed], others[n_suppressed:]
    if n_ends > 1 and rng.random() < 0.2:
        suppressed = suppressed + [ends[0]]
    n_beams = min(pick(1, 2, 3, 4, 5, 6), len(others))
    max_new = int(rng.integers(1, 13))
    n_sources = int(rng.integers(1, 5))
    with_prefix = rng.random() < 0.25
    prefixes = [[int(rng.integers(vocab_size)) for _ in range(rng.integers(4) * with_prefix)]
                for _ in range(n_sources)]
    case = dict(
        vocab_size=vocab_size, end_bonus=pick(0, 1, 2, 3), sample=False,
        n_beams=n_beams, n_best=1 if n_beams == 1 else int(rng.integers(1, n_beams + 1)),
        length_penalty=pick(1.0, 0.0, 0.6, 2.0, -1.0, -0.5),
        early_stopping=pick("heuristic", "first", "never"),
        repetition_penalty=pick(1.0, 1.0, 1.0, 1.3, 0.8),
        renormalize=pick(False, False, True),
        min_new_tokens=pick(0, 0, int(rng.integers(max_new + 1))), max_new_tokens=max_new,
        start_id=pick(*ids), end_ids=ends, suppressed_ids=suppressed,
        forced_first_id=pick(-1, -1, -1, others[0]),
        forced_last_id=pick(-1, -1, (ends or others)[-1], others[-1]),
        sources=[dict(seed=int(rng.integers(1 << 30)), prefix=prefix) for prefix in prefixes],
    )
    if n_beams > 1 and rng.random() < 0.4:  # nothing but when it stops
        case |= dict(n_best=n_beams, end_bonus=pick(0, 1, 2), min_new_tokens=0, max_new_tokens=12,
                     repetition_penalty=1.0, forced_first_id=-1, forced_last_id=-1)
    return case


# Two cases in three hundred tell that a negative length_penalty is not judged at full length; these
# are such.
RARE_CASES = [
    dict(vocab_size=13, end_bonus=2, n_beams=6, n_best=6, repetition_penalty=1.3, max_new_tokens=9,
         start_id=11, end_ids=[5, 1, 10], suppressed_ids=[9, 3, 11],
         sources=[dict(seed=884212315, prefix=[])]),
    dict(vocab_size=9, end_bonus=3, n_beams=3, n_best=3, repetition_penalty=1.0, max_new_tokens=12,
         start_id=6, end_ids=[2], suppressed_ids=[], sources=[dict(seed=297058299, prefix=[5, 1, 6])]),
]
for rare in RARE_CASES:
    rare |= dict(sample=False, length_penalty=-0.2, early_stopping="never", renormalize=False,
                 min_new_tokens=0, forced_first_id=-1, forced_last_id=-1)


def case_of_penalty(rng):
    """A large length_penalty, at lengths at which transformers' float32 can still tell the scores
    from each other, and from the -1e9 that its places of answers begin with."""
    length_penalty, max_new = ((5.0, 8), (20.0, 8), (40.0, 8), (-5.0, 8),
                               (-10.0, 4))[rng.integers(5)]
    while True:
        case = random_case(rng)
        if case["n_beams"] == 1:
            continue
        return case | dict(
            length_penalty=length_penalty, end_bonus=int(rng.integers(1, 4)),
            max_new_tokens=max_new, min_new_tokens=0, forced_first_id=-1, forced_last_id=-1)


def make_answers(rng, make_case, n_cases, rare_cases):
    cases, n_left_out = [], 0
    while len(cases) < n_cases:
        case = rare_cases[len(cases)] if len(cases) < len(rare_cases) else make_case(rng)
        alone = [answers(case, [source])[0] for source in case["sources"]]
        nudged = [tokens_of(answers(case, [source], nudge))[0]
                  for source in case["sources"] for nudge in NUDGES]
        if any(a != b for a, b in zip(nudged, [t for t in tokens_of(alone) for _ in NUDGES])):
            n_left_out += 1
            continue
        if not all(alone):
            continue  # transformers' empty places were better than all answers
        if len({len(source["prefix"]) for source in case["sources"]}) == 1:
            together = answers(case, case["sources"])
            assert tokens_of(together) == tokens_of(alone), case
        for source, its_answers in zip(case["sources"], alone, strict=True):
            source["answers"] = [[tokens, float(f"{score:.9g}")] for tokens, score in its_answers]
        cases.append(case)
    return cases, n_left_out


MIN_P = [0.0, 0.02, 0.3, 1.0]


def random_distribution(rng):
    pick = lambda *values: values[rng.integers(len(values))]
    case = random_case(rng)
    max_new = case["max_new_tokens"]
    return case | dict(
        n_beams=1, n_best=1, sample=True, length_penalty=1.0, max_new_tokens=1,
        min_new_tokens=int(case["min_new_tokens"] == max_new), forced_first_id=-1,
        forced_last_id=-1, temperature=pick(1.0, 0.5, 0.7, 1.5), top_k=pick(0, 1, 3, 5, 10, 100),
        top_p=pick(1.0, 0.9, 0.8, 0.5, 0.05), sources=case["sources"][:1])


def has_margin(case, output):
    """Whether no sum of probabilities is so near top_p that rounding may decide"""
    config = GenerationConfig(**generation_config(case).to_dict() | dict(top_p=1.0, min_p=0.0))
    source = case["sources"][0]
    before = Toy(case).generate(
        input_ids=torch.tensor([[source["seed"]]]), generation_config=config,
        decoder_input_ids=torch.tensor([[case["start_id"], *source["prefix"]]])).scores[0][0]
    p = before.double().softmax(-1)
    sums = p.sort(descending=True)[0].cumsum(-1)
    near_min = ((p / p.max() - case["min_p"]).abs() < 1e-5) & (p < p.max())
    near_top = case["top_p"] < 1 and bool(((sums - case["top_p"]).abs() < 1e-5).any())
    return not near_top and not (case["min_p"] > 0 and bool(near_min.any()))


def make_distributions(rng):
    cases = []
    while len(cases) < N_DISTRIBUTIONS:
        case = random_distribution(rng) | dict(min_p=MIN_P[len(cases) % len(MIN_P)])
        output = generate(case, case["sources"])
        p = output.scores[0][0].double().softmax(-1)
        kept = p.nonzero()[:, 0].tolist()
        if min(p[kept]) < LEAST_PROBABILITY or not has_margin(case, output):
            continue
        case["kept"] = [[id, float(f"{float(p[id]):.7g}")] for id in kept]
        cases.append(case)
    return cases


def save(name, cases):
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps({"transformers": transformers.__version__, "torch": torch.__version__})
    (HERE / name).write_text(head[:-1] + ',\n"cases": [\n' + lines + "\n]}\n")


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    np.seterr(over="ignore")
    torch.set_num_threads(1)
    wanted = sys.argv[1:] or ["answers.json", "length_penalties.json", "distributions.json"]
    if "answers.json" in wanted:
        cases, n_left_out = make_answers(np.random.default_rng(7), random_case, N_CASES, RARE_CASES)
        print(f"answers.json: {n_left_out} cases left out")
        save("answers.json", cases)
    if "length_penalties.json" in wanted:
        cases, n_left_out = make_answers(np.random.default_rng(13), case_of_penalty, N_PENALTIES, [])
        print(f"length_penalties.json: {n_left_out} cases left out")
        save("length_penalties.json", cases)
    if "distributions.json" in wanted:
        save("distributions.json", make_distributions(np.random.default_rng(11)))


if __name__ == "__main__":
    main()

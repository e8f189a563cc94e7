"""Writes small random encoder-decoders, and what transformers' generate() makes of their sources.

    python make.py [--out DIR] [NAME ...]

Each folder is what headlane convert takes (config.json, generation_config.json, weights), and
    sources.txt             200 sequences of source ids, one a line; the last id is an end
    hidden.npy              [rows, d_model]: the encoder's output for the first N_DETAILED sources
    logits.npy              [rows, vocab]: the decoder's, for the same sources, where it was given
                            its start and all but the last id of the source's line of greedy.txt;
                            a row for each id of that line
    SEARCH.txt              what was generated, n_best lines for each source, the best first,
                            without the decoder's start, with the end if there is one
    SEARCH_scores.npy       [200, n_best], of beam searches: sums of log-probabilities, divided by
                            length ** length_penalty
    manifest.json           the arguments of each search, what is odd about the model, and how far
                            transformers' own float32 is from the float64, at most
Everything is random: biases, norms and tables too. Each source is run alone, without padding, in
float64 from the weights as the files have them, and rounded once.

Ids can be compared one for one only where no choice is a matter of rounding. So a source is
replaced by another if, in any of its searches, two numbers that decide something are nearer than
LEAST_GAP: the two best scores of a greedy step; of a beam search's step, neighbours among the best
(ends + 1) * n_beams + 1 continuations, or among the hypotheses; or the score that running
hypotheses could reach and that of the worst finished one. LEAST_GAP is 10 times and more what
float32 changes in them, and the first N_SINGLE sources give the same ids in float32.
"""

import argparse
import json
import math
import pathlib
import shutil
import types

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.generation import LogitsProcessor, LogitsProcessorList

N_SOURCES, N_DETAILED, N_SINGLE, LEAST_GAP, MASKED = 200, 6, 50, 3e-4, -1e8
CLASSES = {"marian": ("MarianConfig", "MarianMTModel"),
           "bart": ("BartConfig", "BartForConditionalGeneration"),
           "mbart": ("MBartConfig", "MBartForConditionalGeneration"),
           "m2m_100": ("M2M100Config", "M2M100ForConditionalGeneration"),
           "t5": ("T5Config", "T5ForConditionalGeneration"),
           "mt5": ("MT5Config", "MT5ForConditionalGeneration")}


def stacks(encoder_layers, encoder_heads, encoder_ffn, decoder_layers, decoder_heads, decoder_ffn):
    return {"encoder_layers": encoder_layers, "encoder_attention_heads": encoder_heads,
            "encoder_ffn_dim": encoder_ffn, "decoder_layers": decoder_layers,
            "decoder_attention_heads": decoder_heads, "decoder_ffn_dim": decoder_ffn}


PENALTY = {"n_beams": 4, "length_penalty": 0.6, "early_stopping": True, "n_best": 1}
NEVER = {"n_beams": 3, "length_penalty": 1.7, "early_stopping": "never", "n_best": 1}

# words: the spread of the table of words; out: of what sublayers add; cross: of what attends to the
# source, besides; end: added to the bias of the end, or a factor of its row where there is no bias.
# Chosen so that outputs differ and end.
MODELS = {
    "marian_shared": dict(
        why="shared vocabulary; scaled words; a bias of logits; swish; renormalized beams",
        type="marian", config=dict(vocab_size=83, d_model=32, max_position_embeddings=48,
            activation_function="swish", scale_embedding=True, pad_token_id=82, eos_token_id=0,
            decoder_start_token_id=82, forced_eos_token_id=0, **stacks(1, 4, 40, 3, 2, 56)),
        generation=dict(bad_words_ids=[[82]], decoder_start_token_id=82, eos_token_id=0,
            forced_eos_token_id=0, max_length=16, num_beams=4, pad_token_id=82, bos_token_id=0,
            renormalize_logits=True),
        words=0.5, out=1.5, cross=1.2, end=5.0, other=PENALTY, max_new_tokens=15),
    "marian_separate": dict(
        why="two vocabularies; odd d_model; the file keeps sinusoids; two ends; five tokens are "
            "suppressed, which beams are not renormalized after",
        type="marian", config=dict(vocab_size=61, decoder_vocab_size=79, d_model=21,
            max_position_embeddings=40, activation_function="relu", scale_embedding=False,
            share_encoder_decoder_embeddings=False, pad_token_id=60, eos_token_id=0,
            decoder_start_token_id=60, **stacks(2, 3, 37, 1, 7, 43)),
        generation=dict(bad_words_ids=[[60], [11], [12], [0]], suppress_tokens=[13, 14],
            decoder_start_token_id=60, eos_token_id=[0, 7], max_new_tokens=14, num_beams=2,
            pad_token_id=60, length_penalty=0.8),
        words=0.8, out=2.0, cross=2.0, end=7.3, other=NEVER, max_new_tokens=14),
    "bart": dict(
        why="norms after words and after residuals; learned positions; the first token is forced",
        type="bart", config=dict(vocab_size=71, d_model=24, max_position_embeddings=40,
            activation_function="gelu", scale_embedding=False, pad_token_id=1, bos_token_id=0,
            eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
            **stacks(2, 3, 31, 2, 4, 29)),
        generation=dict(decoder_start_token_id=2, eos_token_id=2, pad_token_id=1, bos_token_id=0,
            forced_bos_token_id=0, forced_eos_token_id=2, early_stopping=True, num_beams=4,
            max_length=15, min_length=5),
        words=0.6, out=0.7, cross=4.0, end=4.7, other=PENALTY, max_new_tokens=13),
    "mbart": dict(
        why="pre-norm; scaled words; a head of its own; gelu_new; a target language; repetition "
            "costs",
        type="mbart", config=dict(vocab_size=67, d_model=20, max_position_embeddings=36,
            activation_function="gelu_new", scale_embedding=True, pad_token_id=1, bos_token_id=0,
            eos_token_id=2, decoder_start_token_id=2, tie_word_embeddings=False,
            **stacks(1, 2, 33, 2, 5, 47)),
        generation=dict(decoder_start_token_id=2, eos_token_id=2, pad_token_id=1, bos_token_id=0,
            forced_bos_token_id=64, num_beams=3, max_length=14, repetition_penalty=1.3),
        words=0.5, out=3.0, cross=1.5, end=6.0, other=NEVER, max_new_tokens=13),
    "m2m_100": dict(
        why="odd d_model; sinusoids of tensor2tensor from row 2; a target language; F16 weights",
        type="m2m_100", config=dict(vocab_size=89, d_model=27, max_position_embeddings=44,
            activation_function="relu", scale_embedding=True, pad_token_id=1, bos_token_id=0,
            eos_token_id=2, decoder_start_token_id=2, **stacks(2, 3, 41, 2, 9, 35)),
        generation=dict(decoder_start_token_id=2, eos_token_id=2, pad_token_id=1, bos_token_id=0,
            forced_bos_token_id=86, suppress_tokens=[1, 5], early_stopping=True, num_beams=5,
            max_length=16),
        words=0.5, out=2.0, cross=1.5, end=2.6, other=PENALTY, max_new_tokens=14,
        dtype=torch.float16),
    "t5_v1_0": dict(
        why="one table for words and head, whose input is scaled; heads not as wide as d_model; "
            "all buckets of distances are used",
        type="t5", config=dict(vocab_size=73, d_model=24, d_kv=5, num_heads=4, d_ff=38,
            num_layers=3, num_decoder_layers=2, relative_attention_num_buckets=8,
            relative_attention_max_distance=12, feed_forward_proj="relu", pad_token_id=0,
            eos_token_id=1, decoder_start_token_id=0),
        generation=dict(decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, num_beams=4,
            max_new_tokens=14, min_new_tokens=3, early_stopping=True),
        words=1.0, out=3.0, cross=2.0, end=1.7, other=PENALTY, max_new_tokens=15),
    "t5_v1_1": dict(
        why="gated gelu_new; a head of its own, whose input is not scaled; heads wider than "
            "d_model",
        type="t5", config=dict(vocab_size=80, d_model=16, d_kv=8, num_heads=3, d_ff=45,
            num_layers=2, num_decoder_layers=1, feed_forward_proj="gated-gelu", pad_token_id=0,
            eos_token_id=1, decoder_start_token_id=0, tie_word_embeddings=False),
        generation=dict(decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, max_length=18),
        words=0.6, out=1.5, cross=1.0, end=1.8, other=NEVER, max_new_tokens=16),
    "mt5": dict(
        why="gated SiLU; one table; scaled nowhere; an odd d_model; BF16 weights in shards",
        type="mt5", config=dict(vocab_size=97, d_model=19, d_kv=6, num_heads=3, d_ff=34,
            num_layers=2, num_decoder_layers=1, relative_attention_num_buckets=32,
            relative_attention_max_distance=128, feed_forward_proj="gated-silu", pad_token_id=0,
            eos_token_id=1, decoder_start_token_id=0),
        generation=dict(decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, num_beams=4,
            max_length=17, length_penalty=1.2),
        words=1.0, out=3.0, cross=2.0, end=1.7, other=PENALTY, max_new_tokens=15,
        dtype=torch.bfloat16),
}


def randomise(model, rng, words, out, cross, end, eos):
    sublayers = ("out_proj", "fc2", ".o.", ".wo.")
    for name, parameter in sorted(model.named_parameters()):
        if name.endswith("embed_positions.weight") and not parameter.requires_grad:
            continue  # Marian's sinusoids
        values = rng.standard_normal(tuple(parameter.shape))
        if "norm" in name:
            # Values have both signs: with a tied head, a word would be followed by itself otherwise.
            signs = np.sign(values)
            values *= 0.3
            if "weight" in name:
                values = signs * rng.uniform(0.6, 1.4, values.shape)
        elif name.endswith("bias"):
            values *= 0.3
        elif "relative_attention_bias" in name:
            pass
        elif parameter.dim() == 2 and any(key in name for key in ("embed", "shared", "lm_head")):
            values *= words * (2 if "positions" in name else 1)
        else:
            gain = out if any(key in name for key in sublayers) else 1.5
            if "encoder_attn" in name or "EncDecAttention" in name:
                gain *= 1 if ".k" in name else cross  # so that the source matters
            if ".q." in name:
                gain *= model.config.d_kv ** -0.5  # T5's scale is in its weights
            values *= gain / np.sqrt(parameter.shape[-1])
        parameter.data = torch.from_numpy(values).float()
    if hasattr(model, "final_logits_bias"):
        values = 0.5 * rng.standard_normal(tuple(model.final_logits_bias.shape))
        values[0, eos] += end
        model.final_logits_bias.copy_(torch.from_numpy(values))
    else:
        model.get_output_embeddings().weight.data[eos] *= end
    return model.eval()


def exact(model):
    """In float64, where the modules themselves would fall back on float32."""
    model = model.double()
    for module in model.modules():
        if hasattr(module, "variance_epsilon"):  # T5's norm
            module.forward = types.MethodType(
                lambda self, x: self.weight * (x * torch.rsqrt(
                    x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)), module)
        if module.__class__.__name__ == "M2M100SinusoidalPositionalEmbedding":
            n, d = module.weights.shape
            half = d // 2
            angles = torch.arange(n, dtype=torch.float64)[:, None] * torch.exp(
                torch.arange(half, dtype=torch.float64) * (-math.log(10000) / (half - 1)))
            table = torch.zeros(n, d, dtype=torch.float64)
            table[:, :half], table[:, half:2 * half] = angles.sin(), angles.cos()
            table[module.padding_idx] = 0
            module.weights = table
    return model


def least_gap(scores):
    scores = scores[scores > MASKED].sort(descending=True)[0]
    return math.inf if len(scores) < 2 else float((scores[:-1] - scores[1:]).min())


class Gaps(LogitsProcessor):
    """Looks at a model's searches: the least distance of two numbers that decided something."""

    def __init__(self, model):
        self.least, self.greedy = math.inf, False
        self.top_k, self.update = model._get_top_k_continuations, model._update_finished_beams
        self.stop = model._check_early_stop_heuristic
        model._get_top_k_continuations = self.see_top_k
        model._update_finished_beams = self.see_update
        model._check_early_stop_heuristic = self.see_stop

    def see(self, gap):
        self.least = min(self.least, gap)

    def __call__(self, input_ids, scores):
        if self.greedy:
            self.see(least_gap(scores[0].topk(2)[0]))
        return scores

    def see_top_k(self, **arguments):
        n = arguments["beams_to_keep"] + 1
        self.see(least_gap(arguments["accumulated_log_probs"][0].topk(n)[0]))
        return self.top_k(**arguments)

    def see_update(self, **arguments):
        result = self.update(**arguments)
        length = arguments["cur_len"] + 1 - arguments["decoder_prompt_len"]
        new = arguments["topk_log_probs"] / length ** arguments["length_penalty"]
        ends = arguments["next_token_hits_stopping_criteria"] & arguments["top_num_beam_mask"]
        merged = torch.cat((arguments["beam_scores"][0], new[0][ends[0]]))
        self.see(least_gap(merged.sort(descending=True)[0][:arguments["num_beams"] + 1]))
        return result

    def see_stop(self, **arguments):
        result = self.stop(**arguments)
        if not bool(arguments["is_sent_finished"].all()):
            return result
        never = arguments["early_stopping"] == "never" and arguments["length_penalty"] > 0
        length = arguments["max_length" if never else "cur_len"] - arguments["decoder_prompt_len"]
        best = arguments["running_beam_scores"][0, 0] / length ** arguments["length_penalty"]
        self.see(abs(float(best - arguments["beam_scores"].min())))
        return result


class Folder:
    def __init__(self, out, name):
        self.name, self.spec = name, MODELS[name]
        self.path = out / name
        self.rng = np.random.default_rng(sum(name.encode()))
        config_class, self.model_class = (getattr(transformers, key)
                                          for key in CLASSES[self.spec["type"]])
        self.config = config_class(**self.spec["config"])
        ends = self.spec["generation"]["eos_token_id"]
        self.ends = ends if isinstance(ends, list) else [ends]
        self.searches = {
            "greedy": {"n_beams": 1, "length_penalty": 1.0, "early_stopping": False, "n_best": 1},
            "beam": {"n_beams": 4, "length_penalty": 1.0, "early_stopping": False, "n_best": 4},
            "beam_other": self.spec["other"],
            "default": None}

    def write_model(self):
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        spec = self.spec
        model = self.model_class(self.config)
        randomise(model, self.rng, spec["words"], spec["out"], spec["cross"], spec["end"],
                  self.ends[0])
        model = model.to(spec.get("dtype", torch.float32))
        model.save_pretrained(self.path,
                              max_shard_size="12KB" if self.name == "mt5" else "1GB")
        if self.name == "marian_separate":  # sinusoids, as older programs kept them
            self.add_tensors({f"model.{stack}.embed_positions.weight":
                              model.model.get_submodule(stack).embed_positions.weight.detach()
                              for stack in ("encoder", "decoder")})
        if self.name == "t5_v1_1":  # transformers 5 ties a head unless a file has another one
            head = spec["words"] * self.rng.standard_normal(tuple(model.shared.weight.shape))
            head[self.ends[0]] *= spec["end"]
            self.add_tensors({"lm_head.weight": torch.from_numpy(head).float()})
        (self.path / "generation_config.json").write_text(
            json.dumps(spec["generation"], indent=2) + "\n")

    def add_tensors(self, tensors):
        path = self.path / "model.safetensors"
        save_file({**load_file(path), **tensors}, path, metadata={"format": "pt"})

    def load(self):
        return self.model_class.from_pretrained(self.path, dtype=torch.float32,
                                                attn_implementation="eager").eval()

    def source(self):
        own = self.spec["config"]
        special = {own["pad_token_id"], *self.ends}
        words = [i for i in range(own["vocab_size"]) if i not in special]
        n = int(self.rng.integers(2, 20))
        return [int(i) for i in self.rng.choice(words, n)] + [self.ends[0]]

    def generate(self, model, source, search, gaps=None):
        arguments = {"return_dict_in_generate": True, "output_scores": True}
        if search is not None:
            arguments.update(num_beams=search["n_beams"], length_penalty=search["length_penalty"],
                             early_stopping=search["early_stopping"],
                             num_return_sequences=search["n_best"],
                             max_new_tokens=self.spec["max_new_tokens"])
        n_beams = (search or {}).get("n_beams", self.spec["generation"].get("num_beams", 1))
        if gaps is not None:
            gaps.greedy = n_beams == 1
            arguments["logits_processor"] = LogitsProcessorList([gaps])
        output = model.generate(torch.tensor([source]), **arguments)
        lines = []
        for ids in output.sequences[:, 1:].tolist():
            end = next((i for i, id in enumerate(ids) if id in self.ends), len(ids) - 1)
            lines.append(ids[:end + 1])
        scores = output.sequences_scores.tolist() if n_beams > 1 else None
        return lines, scores

    @torch.no_grad()
    def run(self):
        self.write_model()
        model = exact(self.load())
        gaps = Gaps(model)
        sources, answers, n_close, least = [], [], 0, math.inf
        while len(sources) < N_SOURCES:
            source, gaps.least = self.source(), math.inf
            answer = {}
            for key, search in self.searches.items():
                answer[key] = self.generate(model, source, search, gaps)
                if gaps.least < LEAST_GAP:
                    break
            if gaps.least < LEAST_GAP:
                n_close += 1
                continue
            least = min(least, gaps.least)
            sources.append(source)
            answers.append(answer)
        self.write_ids("sources.txt", sources)
        for key in self.searches:
            self.write_ids(key + ".txt", [line for a in answers for line in a[key][0]])
            if answers[0][key][1] is not None:
                self.save(key + "_scores.npy", np.array([a[key][1] for a in answers]))
        detailed = self.detailed(model, sources, answers)
        for key, values in detailed.items():
            self.save(key + ".npy", values)
        self.write_manifest(sources, answers, detailed, n_close, least)

    def detailed(self, model, sources, answers):
        hidden, logits = [], []
        for source, answer in list(zip(sources, answers))[:N_DETAILED]:
            ids, target = torch.tensor([source]), answer["greedy"][0][0]
            start = self.spec["generation"]["decoder_start_token_id"]
            given = torch.tensor([[start] + target[:-1]])
            hidden.append(model.get_encoder()(input_ids=ids).last_hidden_state[0])
            logits.append(model(input_ids=ids, decoder_input_ids=given).logits[0])
        return {"hidden": torch.cat(hidden).numpy(), "logits": torch.cat(logits).numpy()}

    def write_manifest(self, sources, answers, detailed, n_close, least):
        single = self.load()
        error = {key: float(np.abs(values - detailed[key]).max())
                 for key, values in self.detailed(single, sources, answers).items()}
        worst = 0
        for source, answer in list(zip(sources, answers))[:N_SINGLE]:
            for key, search in self.searches.items():
                lines, scores = self.generate(single, source, search)
                assert lines == answer[key][0], (key, source)
                if scores:
                    worst = max(worst, float(np.abs(np.subtract(scores, answer[key][1])).max()))
        error["scores"] = worst
        assert max(error["logits"], worst) * 10 < LEAST_GAP, error
        lines = [a["greedy"][0][0] for a in answers]
        ended = sum(line[-1] in self.ends for line in lines)
        manifest = {
            "why": self.spec["why"], "n_detailed": N_DETAILED,
            "max_new_tokens": self.spec["max_new_tokens"],
            "searches": {key: search for key, search in self.searches.items() if search},
            "least_gap": least, "float32_from_float64": error}
        (self.path / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        size = sum(path.stat().st_size for path in self.path.iterdir())
        lengths = [len(line) for line in lines]
        print(f"{self.name:16} {size:7} bytes, {n_close} sources too close; greedy: {ended} end, "
              f"lengths {min(lengths)} to {max(lengths)}, mean {np.mean(lengths):.1f}, "
              f"{len({tuple(line) for line in lines})} different, "
              f"{np.mean([len(set(line)) / len(line) for line in lines]):.2f} of a line; "
              "beams other than greedy "
              f"{sum(a['beam'][0][0] != a['greedy'][0][0] for a in answers)}"
              f"; {error}", flush=True)

    def write_ids(self, name, lines):
        (self.path / name).write_text("".join(" ".join(map(str, line)) + "\n" for line in lines))

    def save(self, name, values):
        np.save(self.path / name, np.asarray(values).astype(np.float32))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in arguments.names or MODELS:
        Folder(arguments.out, name).run()


if __name__ == "__main__":
    main()

"""Writes small random language models that score texts and pairs of them, and what their own programs
say of them.

    python make_decoders.py [--out DIR] [NAME ...]

The files are those that make.py writes of encoders. Two kinds of models are here: a language model's
layers with a head for sequence classification, and a CrossEncoder of sentence-transformers whose score
is made of a language model's logits (LogitScore), most of them through a chat template with the roles
"query" and "document". Of these, logits.npy and pair_logits.npy are what its predict() gives without
an activation, text by text, from float64.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import tokenizers
import torch
import transformers
from make import FIRST, MAX_F32_ERROR, SECOND, logits, scores_of
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from transformers import AutoTokenizer

END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
D = 16
COMMON = {"hidden_size": D, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
          "num_key_value_heads": 2, "head_dim": 6, "max_position_embeddings": 300,
          "rms_norm_eps": 1e-5}
EXPERTS = {"num_local_experts": 5, "num_experts": 5, "num_experts_per_tok": 2,
           "moe_intermediate_size": 12, "shared_expert_intermediate_size": 10}
FLAT = """{%- for message in messages if message.role == "system" %}<|im_start|>system
{{ message.content }}<|im_end|>
{% endfor %}<|im_start|>user
{% for message in messages if message.role != "system" %}<{{ message.role }}>: {{ message.content }}
{% endfor %}<|im_end|>
{% if add_generation_prompt %}<|im_start|>assistant
{% if not enable_thinking %}<think>

</think>

{% endif %}{% endif %}"""
LISTED = """{{ bos_token }}{% for message in messages %}{{ message["role"] }}:{% for part in message["content"] %}\
{% if part.type == "text" %} {{ part.text }}{% endif %}{% endfor %};{% endfor %} is it?"""


@dataclasses.dataclass
class Golden:
    name: str
    family: str  # as its classes in transformers are called
    why: str
    labels: object = 1  # names, or their number; None: the score is made of logits
    config: dict = dataclasses.field(default_factory=dict)
    max_len: int = 300
    ends: bool = False  # the tokenizer puts END behind each text, which is also what pads
    cross_encoder: str = ""
    activation: str = ""
    prompt: str = ""
    template: str = ""
    form: str = "flat"
    no: bool = True  # the logit of "no" is taken away
    cut: str = "right"
    template_call: dict = dataclasses.field(default_factory=dict)


MODELS = [
    Golden("qwen3_reranker", "Qwen3", "logits of yes and no through a chat template, as "
           "Qwen3-Reranker's; an instruction by default; sigmoid; cut at 60", None, max_len=60,
           config={"tie_word_embeddings": True}, activation="Sigmoid", template=FLAT,
           prompt="Given a query, find what answers it",
           template_call={"add_generation_prompt": True, "enable_thinking": False}),
    Golden("llama_reranker", "Llama", "the logit of yes alone; contents as lists; cut at 40 from the "
           "left; identity; a head of its own", None, max_len=40, activation="Identity",
           template=LISTED, form="structured", no=False, cut="left"),
    Golden("gemma_reranker", "Gemma", "logits of yes and no of plain pairs; tied words", None,
           activation="Sigmoid", ends=True),
    Golden("qwen3_one_label", "Qwen3", "a label; the end behind each text is what pads, so that the "
           "row is the one before it", ends=True),
    Golden("qwen2_nli", "Qwen2", "three labels, one of them entailment; windows in the second layer",
           ["contradiction", "neutral", "entailment"],
           {"head_dim": None, "use_sliding_window": True, "sliding_window": 5,
            "max_window_layers": 1}),
    Golden("llama_regression", "Llama", "raw; biases; tokens see those after them", 1,
           {"problem_type": "regression", "attention_bias": True, "mlp_bias": True,
            "is_causal": False}),
    Golden("mistral_cross_encoder", "Mistral", "6.2, identity; windows; cut at 22", max_len=22,
           config={"sliding_window": 6}, cross_encoder="6.2", activation="Identity"),
    Golden("qwen2_messages", "Qwen2", "6.2, sigmoid; the head for classification behind a chat "
           "template; cut at 66", max_len=66, config={"head_dim": None}, cross_encoder="6.2", activation="Sigmoid",
           template=FLAT, prompt="find what answers it"),
    Golden("gemma_two_labels", "Gemma", "two labels; the class's own padding, 0", 2),
    Golden("gemma2_multi_label", "Gemma2", "soft caps and windows; three labels, sigmoid", 3,
           {"problem_type": "multi_label_classification", "sliding_window": 7,
            "query_pre_attn_scalar": 6, "attn_logit_softcapping": 3.0}),
    Golden("gemma3_text_two_labels", "Gemma3Text", "windows in the first of three layers", 2,
           {"num_hidden_layers": 3, "sliding_window": 8, "query_pre_attn_scalar": 6,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"]}),
    Golden("phi3_two_labels", "Phi3", "fused matrices", 2, {"head_dim": None, "pad_token_id": None}),
    Golden("smollm3_one_label", "SmolLM3", "a layer without positions", 1,
           {"head_dim": None, "no_rope_layers": [1, 0], "pad_token_id": 3, "bos_token_id": 3,
            "eos_token_id": 3, "use_sliding_window": False}),
    Golden("olmo2_two_labels", "Olmo2", "norms behind the parts of a layer", 2, {"head_dim": None}),
    Golden("glm_two_labels", "Glm", "half of each head turns", 2,
           {"partial_rotary_factor": 0.5, "head_dim": 8, "pad_token_id": 3}),
    Golden("glm4_one_label", "Glm4", "norms before and behind", 1,
           {"partial_rotary_factor": 0.5, "head_dim": 8, "pad_token_id": 3}),
    Golden("mixtral_one_label", "Mixtral", "experts", 1, EXPERTS),
    Golden("qwen2_moe_one_label", "Qwen2Moe", "experts, and one for all", 1,
           EXPERTS | {"head_dim": None}),
    Golden("qwen3_moe_two_labels", "Qwen3Moe", "experts", 2, EXPERTS),
]


def save_tokenizer(golden, folder):
    """Byte-level BPE with the steps of Qwen 2. Returns how many tokens it has."""
    path = pathlib.Path(__file__).parent.parent / "decoder_embedders/tokenizer.json"
    fields = json.loads(path.read_text())
    fields["post_processor"] = fields["post_processor"]["processors"][0]
    fields["model"] |= {"vocab": {}, "merges": []}
    fields["added_tokens"] = []
    trained = tokenizers.Tokenizer.from_str(json.dumps(fields))
    # In front of the bytes, so that no padding by default is a byte.
    special = [END, TURN, TURN_END, "<|unused|>"]
    trained.train_from_iterator(
        FIRST + SECOND + ["yes no yes no assistant user system query document find answers"] * 3,
        tokenizers.trainers.BpeTrainer(
            vocab_size=330, show_progress=False, special_tokens=special,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    fields = json.loads(trained.to_str())
    if golden.ends:
        text, end = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": END, "type_id": 0}}
        fields["post_processor"] = {"type": "Sequence", "processors": [
            fields["post_processor"],
            {"type": "TemplateProcessing", "single": [text, end],
             "pair": [text, end, {"Sequence": {"id": "B", "type_id": 0}}, end],
             "special_tokens": {END: {"id": END, "ids": [0], "tokens": [END]}}}]}
    (folder / "tokenizer.json").write_text(json.dumps(fields, ensure_ascii=False) + "\n")
    kind = "Qwen2Tokenizer" if golden.family in ("Qwen2", "Qwen3") else "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": kind, "eos_token": END, "pad_token": END, "bos_token": TURN,
         "model_max_length": golden.max_len, "truncation_side": golden.cut}) + "\n")
    if golden.template:
        (folder / "chat_template.jinja").write_text(golden.template)
    return len(fields["model"]["vocab"])


def random_model(golden, vocab_size):
    fields = COMMON | {"vocab_size": vocab_size, "pad_token_id": 0} | golden.config
    if golden.family == "Gemma":
        fields.pop("pad_token_id")
    if isinstance(golden.labels, list):
        fields |= {"id2label": dict(enumerate(golden.labels)),
                   "label2id": {name: i for i, name in enumerate(golden.labels)}}
    elif golden.labels is not None:
        fields["num_labels"] = golden.labels
    config = getattr(transformers, golden.family + "Config")(
        **{key: value for key, value in fields.items()
           if value is not None or key == "pad_token_id"})
    ending = "ForCausalLM" if golden.labels is None else "ForSequenceClassification"
    model = getattr(transformers, golden.family.removesuffix("Text") + ending, None)
    if golden.family == "Gemma3Text":
        model = transformers.Gemma3TextForSequenceClassification
    model = model(config)
    less_1 = golden.family.startswith("Gemma")
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() >= 2:
                p.copy_(torch.randn_like(p) * (1.2 / p.shape[-1] ** 0.5))
            else:
                p.copy_(torch.randn_like(p) * 0.3 + (1.0 if "norm" in name and not less_1 else 0.0))
    return model.to(torch.bfloat16)


def as_cross_encoder(golden, folder):
    """The folder as sentence-transformers saves it, with weights and tokenizer as they are."""
    activation = getattr(torch.nn, golden.activation)()
    modules = [Transformer(str(folder), transformer_task="sequence-classification" if golden.labels
                           else "text-generation", model_kwargs={"dtype": torch.float32},
                           processing_kwargs={"chat_template": golden.template_call}
                           if golden.template_call else None)]
    if golden.labels is None:
        ids = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(["yes", "no"])
        modules.append(LogitScore(ids[0], ids[1] if golden.no else None))
    prompts = {"prompts": {"query": golden.prompt}, "default_prompt_name": "query"}
    encoder = CrossEncoder(modules=modules, activation_fn=activation, device="cpu",
                           **(prompts if golden.prompt else {}))
    with tempfile.TemporaryDirectory() as scratch:
        encoder.save_pretrained(scratch)
        for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
            shutil.copy(pathlib.Path(scratch) / name, folder)
        for path in pathlib.Path(scratch).glob("1_*"):
            shutil.copytree(path, folder / path.name)


def cross_encoder(folder, dtype, attention):
    encoder = CrossEncoder(str(folder), device="cpu", model_kwargs={
        "dtype": torch.float32, "attn_implementation": attention})
    encoder.to(dtype)
    return encoder


def predicted(encoder, first, second):
    inputs = first if second is None else list(zip(first, second))
    rows = [encoder.predict([one] if second else one, activation_fn=torch.nn.Identity(),
                            convert_to_tensor=True) for one in inputs]
    return torch.stack(rows).double().numpy().reshape(len(inputs), -1)


def first_of(golden):
    """transformers computes nothing of a text without a token."""
    return FIRST if golden.template or golden.ends else [text or "x" for text in FIRST]


def raw_scores(golden, folder, tokenizer, dtype, attention, second):
    first = first_of(golden)
    if golden.template or golden.labels is None:
        return predicted(cross_encoder(folder, dtype, attention), first, second)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention,
        experts_implementation="eager").to(dtype).eval()
    return logits(model, tokenizer, first, second)


def scores(golden, folder, tokenizer):
    if not golden.template and golden.labels is not None:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32).eval()
        return scores_of(golden, folder, model, tokenizer, first_of(golden))
    encoder = cross_encoder(folder, torch.float32, "sdpa")
    first = first_of(golden)
    pairs = encoder.predict(list(zip(first, SECOND)), batch_size=5)
    return {"pair_scores": np.asarray(pairs, np.float64).reshape(len(first), -1).tolist(),
            "order": [row["corpus_id"] for row in encoder.rank(first[0], SECOND)]}


def make(golden, folder):
    torch.manual_seed(sum(golden.name.encode()))
    folder.mkdir(parents=True)
    vocab_size = save_tokenizer(golden, folder)
    random_model(golden, vocab_size).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if golden.labels is None or golden.cross_encoder:
        as_cross_encoder(golden, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    own, error = {}, 0.0
    for name, second in (("logits", None), ("pair_logits", SECOND)):
        own[name] = raw_scores(golden, folder, tokenizer, torch.float64, "eager", second)
        for attention in ("eager", "sdpa"):
            # Without a mask, SDPA takes tokens for causal; it knows no soft cap.
            if attention == "sdpa" and ("is_causal" in golden.config or golden.family == "Gemma2"):
                continue
            other = raw_scores(golden, folder, tokenizer, torch.float32, attention, second)
            error = max(error, np.abs(other - own[name]).max())
        np.save(folder / f"{name}.npy", own[name].astype(np.float32))
    if error > MAX_F32_ERROR:
        sys.exit(f"{golden.name}: float32 is off by {error}")
    (folder / "scores.json").write_text(json.dumps(scores(golden, folder, tokenizer)) + "\n")
    for name, lines in (("first", first_of(golden)), ("second", SECOND)):
        (folder / f"{name}.txt").write_text("".join(line + "\n" for line in lines))
    manifest = {"why": golden.why, "logits_float32_from_float64": float(error)}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{golden.name}: float32 off by {error:.1e}, logits spread by "
          f"{own['pair_logits'].std(axis=0).max():.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    for golden in MODELS:
        if options.names and golden.name not in options.names:
            continue
        shutil.rmtree(options.out / golden.name, ignore_errors=True)
        make(golden, options.out / golden.name)


if __name__ == "__main__":
    main()

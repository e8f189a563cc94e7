"""Writes small random language models that make vectors of texts, and what sentence-transformers makes
of them.

    python make.py [NAME ...]

Each folder is what sentence-transformers loads, except for tokenizer.json, which is the one of this
folder, and has
    vectors.json    the texts, their vectors, how they were asked for, and how far those that PyTorch
                    computes in float32 are from them
The vectors are computed in float64 and rounded once, each text alone and without padding, with
transformers' eager attention: its SDPA form takes tokens for causal where no mask is left to say
otherwise.
"""

import json
import pathlib
import shutil
import sys
import tempfile
import warnings

import numpy
import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

HERE = pathlib.Path(__file__).parent
D = 24
END = "<|endoftext|>"
COMMON = {"vocab_size": 1000, "hidden_size": D, "intermediate_size": 37, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 10,
          "max_position_embeddings": 300, "rms_norm_eps": 1e-5}
TEXTS = ["The quick brown fox", "a", "", "Ein schöner Tag, nicht wahr?", "日本語のテキスト",
         "the river ran on and on in the rain, and the dogs ran in the rain by the river, " * 4]
PROMPTS = {"query": "Instruct: find what answers it\nQuery:", "document": ""}
TEMPLATE = ("{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}it is: {% endif %}")
NN = torch.nn
T5 = {"vocab_size": 1000, "d_model": D, "d_kv": 7, "num_heads": 3, "d_ff": 37, "num_layers": 2,
      "relative_attention_num_buckets": 10, "relative_attention_max_distance": 50}
MODELS = {
    "qwen3_last": dict(type="Qwen3", why="the last token behind an appended end; a prompt for queries; "
        "tensors without the prefix of a language model's; in f32", saved=torch.float32, architectures=["Qwen3ForCausalLM"],
        modules=lambda: [Pooling(D, "lasttoken"), Normalize()], prompts=PROMPTS, task="query",
        config={}),
    "qwen2_window": dict(type="Qwen2", why="windows in the second layer; a weighted mean, of which 10 "
        "columns are left", truncate_dim=10,
        modules=lambda: [Pooling(D, "weightedmean")],
        config={"head_dim": None, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    "mistral_window": dict(type="Mistral", why="windows in all layers; the last token",
        modules=lambda: [Pooling(D, "lasttoken"), Normalize()], config={"sliding_window": 6}),
    "llama_both_ways": dict(type="Llama", why="tokens see those after them; the mean; biases",
        modules=lambda: [Pooling(D, "mean")],
        config={"is_causal": False, "attention_bias": True, "mlp_bias": True}),
    "gemma_messages": dict(type="Gemma", why="texts and prompts go through a chat template, which ends "
        "with the beginning of an answer; the last token", prompts=PROMPTS, task="query",
        template=TEMPLATE, config={}, modules=lambda: [Pooling(D, "lasttoken"), Normalize()]),
    "gemma3_both_ways": dict(type="Gemma3Text", why="tokens see those after them, within windows in two "
        "of three layers; dense modules", prompts=PROMPTS, task="document",
        modules=lambda: [Pooling(D, "mean"), Dense(D, 48, bias=False, activation_function=NN.Identity()),
                         Dense(48, D, bias=False, activation_function=NN.Identity()), Normalize()],
        config={"use_bidirectional_attention": True, "sliding_window": 8, "num_hidden_layers": 3,
                "query_pre_attn_scalar": 10,
                "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}),
    "t5_encoder": dict(type="T5", model="T5EncoderModel", why="the encoder of a T5 alone, as sentence-transformers saves it: a "
        "mean, a dense module, a norm", modules=lambda: [
            Pooling(D, "mean"), Dense(D, D, bias=False, activation_function=NN.Identity()), Normalize()],
        common=T5, config={}),
    "mt5_encoder": dict(type="MT5", model="MT5EncoderModel", why="the encoder of an mT5 alone, gated; prompts "
        "that are left out of the mean", prompts=PROMPTS, task="query",
        modules=lambda: [Pooling(D, "mean", include_prompt=False), Normalize()], common=T5,
        config={"feed_forward_proj": "gated-gelu", "num_layers": 3}),
}


def write_tokenizer():
    """The bytes of Qwen's tokenizers, and an end behind each text."""
    tokenizer = json.loads((HERE.parent / "tokenizer_json/qwen2/tokenizer.json").read_text())
    model, added = tokenizer["model"], tokenizer["added_tokens"][0]
    model["vocab"] = {END if id == added["id"] else text: id for text, id in model["vocab"].items()}
    ids = {END: {"id": END, "ids": [added["id"]], "tokens": [END]}}
    added["content"] = END
    text, end = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": END, "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 0}}
    tokenizer["post_processor"] = {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        {"type": "TemplateProcessing", "single": [text, end], "pair": [text, end, second, end],
         "special_tokens": ids}]}
    (HERE / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n")


def randomize(model):
    less_1 = type(model).__name__.startswith("Gemma")
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() >= 2:
                p.copy_(torch.randn_like(p) * (1.2 / p.shape[-1] ** 0.5))
            else:
                own = 1.0 if "norm" in name and not less_1 else 0.0
                p.copy_(torch.randn_like(p) * 0.3 + own)


def save(name, recipe):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(sum(name.encode()))
    family = recipe["type"]
    fields = recipe.get("common", COMMON) | recipe["config"]
    config = getattr(transformers, family + "Config")(
        **{key: value for key, value in fields.items() if value is not None})
    model = getattr(transformers, recipe.get("model", family + "Model"))(config)
    randomize(model)
    with tempfile.TemporaryDirectory() as scratch:
        model.to(recipe.get("saved", torch.bfloat16)).save_pretrained(scratch)
        with_tokenizer(scratch, "Qwen2Tokenizer" if family.startswith("Qwen") else
                       "PreTrainedTokenizerFast")
        call = {}
        if "template" in recipe:
            (pathlib.Path(scratch) / "chat_template.jinja").write_text(recipe["template"])
            call = {"processing_kwargs": {"chat_template": {"add_generation_prompt": True}}}
        whole = SentenceTransformer(modules=[Transformer(scratch, **call), *recipe["modules"]()],
                                    device="cpu")
        for module in whole:
            if isinstance(module, Dense):
                NN.init.normal_(module.linear.weight, 0, 0.2)
        whole.prompts = recipe.get("prompts", {})
        whole.save_pretrained(str(folder), create_model_card=False)
        shutil.copy(pathlib.Path(scratch) / "tokenizer_config.json", folder)
        for file in ("config.json", "model.safetensors"):
            shutil.copy(pathlib.Path(scratch) / file, folder)
    (folder / "tokenizer.json").unlink()
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    fields["architectures"] = recipe.get("architectures", fields["architectures"])
    path.write_text(json.dumps(fields, indent=1) + "\n")


def with_tokenizer(folder, kind):
    folder = pathlib.Path(folder)
    shutil.copy(HERE / "tokenizer.json", folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": kind, "eos_token": END, "pad_token": END, "model_max_length": 120}) + "\n")


def vectors(recipe, folder, dtype):
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={
        "dtype": dtype, "attn_implementation": "eager"})
    encode = {"query": model.encode_query, "document": model.encode_document}
    encode = encode.get(recipe.get("task"), model.encode)
    given = {key: recipe[key] for key in ("truncate_dim",) if key in recipe}
    return numpy.stack([encode(text, **given) for text in TEXTS])


def main():
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    write_tokenizer()
    for name, recipe in MODELS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        save(name, recipe)
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch) / "model"
            shutil.copytree(HERE / name, folder)
            shutil.copy(HERE / "tokenizer.json", folder)
            exact = vectors(recipe, folder, torch.float64)
            off = numpy.abs(vectors(recipe, folder, torch.float32) - exact).max()
        rows = [[float(f"{value:.9g}") for value in row] for row in exact]
        (HERE / name / "vectors.json").write_text(json.dumps({
            "why": recipe["why"], "sentence_transformers": sentence_transformers.__version__,
            "transformers": transformers.__version__, "task": recipe.get("task", ""),
            "truncate_dim": recipe.get("truncate_dim", 0), "off": float(f"{off:.3g}"),
            "texts": TEXTS, "vectors": rows}) + "\n")
        print(name)


if __name__ == "__main__":
    main()

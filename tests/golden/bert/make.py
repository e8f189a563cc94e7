"""Writes the small random BERTs of this folder and what transformers says of them.

    python make.py [--out DIR] [NAME ...]

Each model is a Hugging Face folder (config.json, safetensors; some with the files that
sentence-transformers adds) and
    ids.txt        sequences of token ids, one a line
    types.txt      their segment types, where the model has more than one
    hidden.npy     [n_tokens, d_model], last hidden states of all sequences end to end
    pooled.npy     [n_seqs, d_model], where the folder says how to pool
    texts.txt, text_ids.txt, text_pooled.npy   where the folder has a tokenizer: texts, their ids
                   (truncated to max_seq_len) and vectors
    attention.npy  [n_layers * n_heads * n, n], attention probabilities of the last sequence (n
                   tokens), of one model
    manifest.json  how far transformers' own float32 is from the float64, at most (eager, sdpa)
hidden.npy, pooled.npy and attention.npy are computed in float64 and rounded once, to float32: they are the truth
up to 6e-8 of a value, so a test may hold Headlane to a small multiple of what float32 costs
PyTorch.

All parameters are random, biases and LayerNorms too: as made by default they are zeros and ones,
and a bias forgotten would not show. The products' weights are large enough for attention to be far
from uniform, small enough for float32 not to be amplified beyond 2e-5.
"""

import argparse
import dataclasses
import json
import pathlib
import re
import shutil
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer

MAX_F32_ERROR = 2e-5


@dataclasses.dataclass
class Golden:
    name: str
    n_heads: int
    head_dim: int
    d_ff: int
    n_layers: int
    lengths: list  # tokens of each sequence
    why: str
    act: str = "gelu"
    eps: float = 1e-12
    vocab_size: int = 37
    n_types: int = 2
    std: float = 0.3  # of the products' weights
    dtype: torch.dtype = torch.float32
    pooling: str = ""  # cls, mean, max
    normalize: bool = False
    max_seq_len: int = 0  # not 0: the folder has a tokenizer
    folder_style: str = ""  # of the pooling: "2.0", "6.2" of sentence-transformers
    pooler: bool = False
    layout: str = "plain"  # "plain", "sharded", "masked_lm"
    n_positions: int = 0  # 0: as many as the longest sequence has
    maps: bool = False  # the last sequence's attention probabilities too


# std grows as d_model shrinks: scores are of the order of std^2 * d_model.
MODELS = [
    Golden("head_dim_1_two_layers_512", 5, 1, 7, 2, [1, 2, 255, 512],
           "one number a head; fewer than a vector of everything; most positions", act="relu",
           eps=1e-5, std=0.7),
    Golden("head_dim_3_wide_three_types", 3, 3, 1201, 1, [3, 129, 256],
           "three segment types, all in use; d_ff prime, sums longer than a cache block",
           n_types=3, vocab_size=41, std=0.7),
    Golden("head_dim_5_one_type_gelu_new", 3, 5, 61, 3, [15, 16, 17, 127, 128],
           "gelu_new; three layers; a single segment type; a pooler that is not ours",
           act="gelu_new", eps=1e-5, n_types=1, std=0.5, pooler=True),
    Golden("head_dim_6_deep_511", 2, 6, 29, 3, [511, 512],
           "the longest sequences, three layers", vocab_size=101, eps=1e-5, act="gelu_new",
           std=0.6),
    Golden("head_dim_7_odd_width", 5, 7, 53, 2, [31, 32, 33],
           "d_model 35, d_ff 53: off every tile; attention probabilities", act="relu", eps=1e-5,
           maps=True),
    Golden("head_dim_8_cls", 3, 8, 96, 2, [1, 64, 65, 129],
           "the first token as vector, not normalised", pooling="cls", folder_style="2.0", std=0.4),
    Golden("head_dim_16_mean_normalize", 3, 16, 100, 1, [1, 2, 47, 48, 49, 63],
           "mean of the tokens, length 1; tokenizer as vocab.txt", pooling="mean", normalize=True,
           folder_style="2.0", n_positions=70, vocab_size=64, max_seq_len=24),
    Golden("head_dim_17_max_normalize", 3, 17, 61, 1, [1, 15, 33, 65],
           "d_model 51; largest of the tokens, length 1; folder and tokenizer.json as "
           "sentence-transformers 6.2 writes them", pooling="max", normalize=True,
           folder_style="6.2", act="gelu_new", vocab_size=64, max_seq_len=24),
    Golden("head_dim_26_f16_weights", 12, 26, 1200, 1, [1, 17, 33],
           "12 heads of 26, as TinyBERT's; weights stored as F16", std=0.08, dtype=torch.float16),
    Golden("head_dim_32_sharded", 2, 32, 45, 1, [2, 31, 49],
           "weights in several files with an index", layout="sharded", std=0.2),
    Golden("head_dim_33_odd", 1, 33, 61, 2, [32, 63, 127],
           "one head of 33; d_model odd", act="relu", n_types=3, vocab_size=53),
    Golden("head_dim_64_masked_lm", 1, 64, 61, 1, [1, 16, 48],
           "names begin with bert.; tensors that are none of ours (cls.*, pooler, position_ids)",
           layout="masked_lm", std=0.2),
    Golden("head_dim_80_bf16_weights", 1, 80, 61, 1, [2, 17, 47],
           "weights stored as BF16; a head wider than 64", dtype=torch.bfloat16, std=0.2, eps=1e-5),
]

VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e f g h i j k l m n o p q r s t u v w x y z
##s ##ing ##ed ##er ##e ##t ##o ##n ##a ##r the cat dog sat on mat run rain in is was not fast we
they house river . , ! ? ' -""".split()

TEXTS = ["The cat sat on the mat.", "we", "", "  the   dog", "Dogs run fast!", "Is it raining?",
         "They sat in the house, not on the river.", "caf\u00e9 \u732b \u72d7",
         "The rain was fast, the river was fast, the dog was not fast, they ran on and on and on "
         "in the rain, we sat in the house.", "TESTED - tester's test"]


def randomise(model, golden, rng):
    """All parameters, by name; numpy's generator, which does not change with torch's version."""
    for name, parameter in sorted(model.named_parameters()):
        values = rng.standard_normal(tuple(parameter.shape))
        if "LayerNorm.weight" in name:
            values = rng.uniform(0.5, 1.5, tuple(parameter.shape))
            values *= rng.choice([-1, 1, 1, 1], tuple(parameter.shape))
        elif name.endswith("bias"):
            values *= 0.2
        elif "embeddings" in name:
            values *= 0.5
        else:
            values *= golden.std
        parameter.data = torch.from_numpy(values).to(golden.dtype)


def save_weights(golden, folder, rng):
    """Writes config.json and the safetensors of a random model."""
    d_model = golden.n_heads * golden.head_dim
    config = BertConfig(
        vocab_size=golden.vocab_size, hidden_size=d_model, num_hidden_layers=golden.n_layers,
        num_attention_heads=golden.n_heads, intermediate_size=golden.d_ff, hidden_act=golden.act,
        max_position_embeddings=golden.n_positions or max(golden.lengths),
        type_vocab_size=golden.n_types, layer_norm_eps=golden.eps,
        initializer_range=golden.std, architectures=["BertModel"])
    if golden.layout == "masked_lm":
        # As older files have it: every name under "bert.", the head and the pooler along, and the
        # position_ids buffer, which is of integers. transformers of today would drop the last two.
        model = BertForMaskedLM(config)
        model.bert = BertModel(config, add_pooling_layer=True)
        randomise(model, golden, rng)
        tensors = {name: value.clone() for name, value in model.state_dict().items()
                   if name != "cls.predictions.decoder.weight"}  # is the embedding, shared
        n_positions = config.max_position_embeddings
        tensors["bert.embeddings.position_ids"] = torch.arange(n_positions).unsqueeze(0)
        config.architectures = ["BertForMaskedLM"]
        config.save_pretrained(folder)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    model = BertModel(config, add_pooling_layer=golden.pooler)
    randomise(model, golden, rng)
    config.dtype = golden.dtype
    model.save_pretrained(folder, max_shard_size=40000 if golden.layout == "sharded" else "1GB")


def load_weights(folder):
    """The model as stored, in float32: read by name, not by from_pretrained, which may convert."""
    config = BertConfig.from_pretrained(folder)
    stored = {}
    for path in sorted(folder.glob("*.safetensors")):
        stored.update(load_file(path))
    others = re.compile(r"^cls\.|pooler|position_ids")
    stored = {name.removeprefix("bert."): value.float() for name, value in stored.items()
              if not others.search(name)}
    model = BertModel(config, add_pooling_layer=False).float()
    model.load_state_dict(stored, strict=True)
    model.set_attn_implementation("eager")
    return model.eval()


def save_pooling(golden, folder):
    """The files that sentence-transformers writes beside a model's own."""
    d_model = golden.n_heads * golden.head_dim
    old = golden.folder_style == "2.0"
    types = {
        "Transformer": "sentence_transformers.models" if old else
                       "sentence_transformers.base.modules.transformer",
        "Pooling": "sentence_transformers.models" if old else
                   "sentence_transformers.sentence_transformer.modules.pooling",
        "Normalize": "sentence_transformers.models" if old else
                     "sentence_transformers.base.modules.normalize",
    }
    paths = {"Transformer": "", "Pooling": "1_Pooling"}
    if golden.normalize:
        paths["Normalize"] = "2_Normalize"
    modules = [{"idx": i, "name": str(i), "path": path, "type": f"{types[kind]}.{kind}"}
               for i, (kind, path) in enumerate(paths.items())]
    if old:
        pooling = {"word_embedding_dimension": d_model,
                   "pooling_mode_cls_token": golden.pooling == "cls",
                   "pooling_mode_mean_tokens": golden.pooling == "mean",
                   "pooling_mode_max_tokens": golden.pooling == "max",
                   "pooling_mode_mean_sqrt_len_tokens": False}
        sentence = {"max_seq_length": golden.max_seq_len or max(golden.lengths),
                    "do_lower_case": False}
    else:
        # 6.2 keeps the length in tokenizer_config.json alone (model_max_length).
        pooling = {"embedding_dimension": d_model, "pooling_mode": golden.pooling,
                   "include_prompt": True}
        sentence = {"transformer_task": "feature-extraction",
                    "modality_config": {"text": {"method": "forward",
                                                 "method_output_name": "last_hidden_state"}},
                    "module_output_name": "token_embeddings"}
    for name, content in (("modules.json", modules), ("sentence_bert_config.json", sentence),
                          ("1_Pooling/config.json", pooling)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")


def save_tokenizer(golden, folder):
    """As vocab.txt (2.0) or tokenizer.json (6.2): the one or the other, so that both are read."""
    assert len(VOCABULARY) == golden.vocab_size
    old = golden.folder_style == "2.0"
    with tempfile.TemporaryDirectory() as scratch:
        vocabulary = pathlib.Path(scratch) / "vocab.txt"
        vocabulary.write_text("".join(token + "\n" for token in VOCABULARY))
        tokenizer = BertTokenizer(vocab=str(vocabulary), do_lower_case=True,
                                  model_max_length=golden.max_seq_len)
        if old:
            shutil.copyfile(vocabulary, folder / "vocab.txt")
            settings = {"do_lower_case": True, "unk_token": "[UNK]", "sep_token": "[SEP]",
                        "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
                        "tokenize_chinese_chars": True, "strip_accents": None,
                        "tokenizer_class": "BertTokenizer", "model_max_length": 512}
            (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
        else:
            tokenizer.save_pretrained(folder)
    return tokenizer(TEXTS, truncation=True, max_length=golden.max_seq_len)["input_ids"]


def pool(golden, hidden):
    """[n_tokens, d_model] -> [d_model]"""
    vector = {"cls": lambda: hidden[0], "mean": lambda: hidden.mean(axis=0),
              "max": lambda: hidden.max(axis=0)}[golden.pooling]()
    return vector / np.linalg.norm(vector) if golden.normalize else vector


def run(model, sequences, types):
    with torch.inference_mode():
        return [model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([segment]))
                .last_hidden_state[0].numpy() for ids, segment in zip(sequences, types)]


def probabilities(model, ids, types):
    """[n_layers, n_heads, n_tokens, n_tokens]"""
    with torch.inference_mode():
        result = model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]),
                       output_attentions=True)
    return torch.cat(result.attentions)


def write_lines(path, rows):
    path.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))


def make(golden, seed, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    save_weights(golden, folder, rng)
    model = load_weights(folder)

    sequences = [rng.integers(0, golden.vocab_size, n).tolist() for n in golden.lengths]
    # Segments as pairs of texts have them: a run of each type, in order.
    types = [sorted(rng.integers(0, golden.n_types, n).tolist()) for n in golden.lengths]
    write_lines(folder / "ids.txt", sequences)
    if golden.n_types > 1:
        write_lines(folder / "types.txt", types)

    # The mean over layers, heads and rows of the largest; 1 / n_tokens would be uniform.
    maps = probabilities(model, sequences[-1], types[-1])
    peak = float(maps.max(-1).values.mean())
    single = run(model, sequences, types)
    model.set_attn_implementation("sdpa")  # another order of the same sums
    single_sdpa = run(model, sequences, types)
    model.set_attn_implementation("eager")
    exact = run(model.double(), sequences, types)
    hidden = np.concatenate(exact)
    error = max(float(np.abs(np.concatenate(h) - hidden).max()) for h in (single, single_sdpa))
    if error > MAX_F32_ERROR:
        raise SystemExit(f"{golden.name}: float32 is {error:.2g} off: too ill-conditioned a model")
    np.save(folder / "hidden.npy", hidden.astype(np.float32))

    manifest = {"why": golden.why, "n_parameters": sum(p.numel() for p in model.parameters()),
                "n_seqs": len(sequences), "n_tokens": len(hidden),
                "hidden_float32_from_float64": error,
                "hidden_max_abs": float(np.abs(hidden).max()),
                "attention_mean_peak": round(peak, 4),
                "pooling": golden.pooling or "none", "normalize": golden.normalize}
    if golden.maps:
        exact_maps = probabilities(model, sequences[-1], types[-1])
        np.save(folder / "attention.npy",
                exact_maps.reshape(-1, exact_maps.shape[-1]).numpy().astype(np.float32))
        manifest["attention_float32_from_float64"] = float((maps - exact_maps).abs().max())
    if golden.pooling:
        save_pooling(golden, folder)
        pooled = np.stack([pool(golden, h) for h in exact])
        np.save(folder / "pooled.npy", pooled.astype(np.float32))
        manifest["pooled_float32_from_float64"] = max(
            float(np.abs(np.stack([pool(golden, h) for h in hidden_32]) - pooled).max())
            for hidden_32 in (single, single_sdpa))
    if golden.max_seq_len:
        text_ids = save_tokenizer(golden, folder)
        vectors = run(model, text_ids, [[0] * len(ids) for ids in text_ids])
        vectors = np.stack([pool(golden, h) for h in vectors])
        (folder / "texts.txt").write_text("".join(text + "\n" for text in TEXTS), encoding="utf-8")
        write_lines(folder / "text_ids.txt", text_ids)
        np.save(folder / "text_pooled.npy", vectors.astype(np.float32))
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{golden.name:30} {size:8} bytes  {len(hidden):5} tokens  "
          f"|h| {np.abs(hidden).max():5.2f}"
          f"  peak {peak:.3f}  float32 off by {error:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("names", nargs="*", help="models to make; all if none is named")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the number of threads changes float32 sums in the last bits
    for i, golden in enumerate(MODELS):
        if not arguments.names or golden.name in arguments.names:
            make(golden, 1000 + i, arguments.out / golden.name)


if __name__ == "__main__":
    main()

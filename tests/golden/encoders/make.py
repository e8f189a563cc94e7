"""Writes the small random encoders of this folder and what transformers says of them.

    python make.py [--out DIR] [NAME ...]

Each model is a Hugging Face folder (config.json, safetensors) and, as in ../bert,
    ids.txt        sequences of token ids, one a line
    types.txt      their segment types, where the model has more than one
    hidden.npy     [n_tokens, d_model], last hidden states of all sequences end to end
    texts.txt, text_ids.txt, text_pooled.npy   where the folder has a tokenizer: texts, their ids
                   (truncated to MAX_SEQ_LEN) and the mean of their hidden states
    manifest.json  how far transformers' own float32 is from the float64, at most
hidden.npy is computed in float64 and rounded once. transformers' float32 is measured for each
sequence alone and for all in one padded batch, with eager attention and, where there is one, sdpa. Ids of
texts are those of transformers' AutoTokenizer, and their vectors were compared with those of
sentence-transformers.

All parameters are random, biases, norms and the padding's rows too: as made by default they are
zeros and ones, and one that is forgotten or mistaken for another would not show.
"""

import argparse
import copy
import dataclasses
import json
import pathlib
import re
import shutil

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, AutoTokenizer

MAX_F32_ERROR = 2e-5
MAX_SEQ_LEN = 24


@dataclasses.dataclass
class Golden:
    name: str
    model_type: str
    config: dict  # fields of the class of its config
    lengths: list  # tokens of each sequence
    why: str
    std: float = 0.3  # of the products' weights
    dtype: torch.dtype = torch.float32
    task: str = ""  # the class of a model for a task, whose names have the family's prefix
    n_pads: int = 0  # tokens of padding inside each sequence but the first
    pad_id: int = 1
    fields: dict = dataclasses.field(default_factory=dict)  # put into config.json afterwards
    removed: tuple = ()  # fields taken out of it, so that the class's default counts
    legacy: bool = False  # norms are called gamma and beta, and there are buffers of integers
    more_layers: int = 0  # the file has so many layers more than config.json
    sharded: bool = False
    tokenizer: str = ""  # a folder of tests/golden, which is copied: texts too
    tokenizer_class: str = ""  # in place of that folder's
    computed_names: bool = False  # tensors as transformers computes with them, not as it saves them


def sizes(n_heads, head_dim, d_ff, n_layers, **more):
    """Of BERT and its descendants."""
    return {"vocab_size": 37, "hidden_size": n_heads * head_dim, "num_attention_heads": n_heads,
            "intermediate_size": d_ff, "num_hidden_layers": n_layers} | more


def distil_sizes(n_heads, head_dim, d_ff, n_layers, **more):
    return {"vocab_size": 37, "dim": n_heads * head_dim, "n_heads": n_heads, "hidden_dim": d_ff,
            "n_layers": n_layers} | more


def modern_sizes(n_heads, head_dim, d_ff, n_layers, **more):
    return sizes(n_heads, head_dim, d_ff, n_layers, pad_token_id=3, bos_token_id=1, eos_token_id=2,
                 cls_token_id=1, sep_token_id=2, **more)


# std grows as d_model shrinks: scores are of the order of std^2 * d_model.
MODELS = [
    Golden("distilbert_head_dim_7", "distilbert",
           distil_sizes(5, 7, 53, 2, max_position_embeddings=40), [1, 31, 32, 33],
           "d_model 35, d_ff 53: off every tile"),
    Golden("distilbert_masked_lm", "distilbert",
           distil_sizes(3, 5, 61, 3, activation="relu", max_position_embeddings=70),
           [2, 16, 17, 65],
           "names begin with distilbert.; the head's tensors; sizes under BERT's names, which "
           "count before DistilBERT's own",
           std=0.35, task="DistilBertForMaskedLM",
           fields={"hidden_size": 15, "num_attention_heads": 3, "num_hidden_layers": 3,
                   "dim": 64, "n_heads": 4}),
    Golden("distilbert_f16_sinusoidal", "distilbert",
           distil_sizes(2, 26, 130, 1, activation="gelu_new", sinusoidal_pos_embds=True,
                        max_position_embeddings=129), [1, 129],
           "weights stored as F16; positions that were sinusoids once are what the file has",
           std=0.2, dtype=torch.float16),
    Golden("distilbert_defaults", "distilbert",
           distil_sizes(12, 3, 41, 1, max_position_embeddings=512), [3, 47, 48],
           "config.json says neither heads, positions nor activation",
           removed=("n_heads", "max_position_embeddings", "activation")),

    Golden("roberta_head_dim_7", "roberta",
           sizes(5, 7, 53, 2, type_vocab_size=1, layer_norm_eps=1e-5,
                 max_position_embeddings=35), [1, 31, 32, 33],
           "positions from 2 on, all of them in use; padding inside texts", n_pads=3),
    Golden("roberta_masked_lm_old", "roberta",
           sizes(3, 11, 61, 2, hidden_act="gelu_fast", type_vocab_size=2, layer_norm_eps=1e-5,
                 max_position_embeddings=60), [15, 16, 17, 50],
           "names begin with roberta.; gamma and beta; buffers of integers; the head's tensors",
           task="RobertaForMaskedLM", n_pads=2, legacy=True),
    Golden("roberta_padding_5", "roberta",
           sizes(2, 13, 30, 3, hidden_act="silu", type_vocab_size=3, pad_token_id=5,
                 max_position_embeddings=71), [2, 63, 64, 65],
           "the padding is 5, and positions are counted from 6 on; three segment types; a head and "
           "layers that the config does not have", std=0.2, n_pads=4, pad_id=5, more_layers=1),
    Golden("xlm_roberta_padding_0", "xlm-roberta",
           sizes(3, 8, 45, 2, hidden_act="relu", type_vocab_size=1, pad_token_id=0,
                 max_position_embeddings=66), [1, 16, 64, 65],
           "the padding is 0, and positions are counted from 1 on", n_pads=1, pad_id=0, std=0.4),
    Golden("xlm_roberta_sharded", "xlm-roberta",
           sizes(1, 33, 61, 2, type_vocab_size=1, layer_norm_eps=1e-5,
                 max_position_embeddings=132), [1, 47, 129],
           "one head of 33; weights in several files, with the tensors of a task's head",
           task="XLMRobertaForMaskedLM", n_pads=2, sharded=True),
    Golden("xlm_roberta_defaults", "xlm-roberta",
           sizes(12, 2, 29, 1, max_position_embeddings=512), [2, 33],
           "config.json says neither heads, positions, types, padding nor activation", std=0.4,
           n_pads=2, removed=("num_attention_heads", "max_position_embeddings", "pad_token_id",
                              "type_vocab_size", "hidden_act", "layer_norm_eps")),
    Golden("camembert_head_dim_3", "camembert",
           sizes(3, 3, 101, 1, type_vocab_size=1, layer_norm_eps=1e-5,
                 max_position_embeddings=100), [3, 33, 90],
           "d_ff 101, d_model 9", std=0.7, n_pads=2),
    Golden("camembert_masked_lm_bf16", "camembert",
           sizes(2, 20, 61, 1, hidden_act="gelu_new", type_vocab_size=1, layer_norm_eps=1e-5,
                 max_position_embeddings=52), [1, 2, 49, 50],
           "weights stored as BF16, names begin with roberta.", task="CamembertForMaskedLM",
           dtype=torch.bfloat16, n_pads=1),
    Golden("camembert_deep", "camembert",
           sizes(4, 6, 31, 4, hidden_act="gelu_pytorch_tanh", type_vocab_size=2,
                 layer_norm_eps=1e-6, max_position_embeddings=41), [15, 38, 39],
           "four layers", std=0.35, n_pads=3),

    Golden("electra_narrow_tables", "electra",
           sizes(5, 7, 53, 2, embedding_size=17, max_position_embeddings=40), [1, 31, 32, 33],
           "tables of 17 columns, layers of 35"),
    Golden("electra_wide_tables", "electra",
           sizes(3, 5, 40, 3, embedding_size=49, hidden_act="relu", type_vocab_size=3,
                 max_position_embeddings=66), [2, 16, 65],
           "tables wider than the layers; three segment types; the head of the discriminator",
           std=0.4, task="ElectraForPreTraining"),
    Golden("electra_same_width", "electra",
           sizes(2, 17, 61, 1, embedding_size=34, hidden_act="gelu_new", type_vocab_size=1,
                 max_position_embeddings=50), [15, 48, 50],
           "no projection; the generator's head", task="ElectraForMaskedLM"),
    Golden("electra_defaults", "electra",
           sizes(4, 11, 33, 1, embedding_size=128, max_position_embeddings=63), [3, 63],
           "config.json says neither heads, width of the tables, types nor activation",
           std=0.2, removed=("num_attention_heads", "embedding_size", "type_vocab_size",
                             "hidden_act")),

    Golden("mpnet_all_buckets", "mpnet",
           sizes(5, 7, 53, 2, max_position_embeddings=202), [1, 9, 33, 200],
           "distances beyond the last bucket's; all positions in use", n_pads=3),
    Golden("mpnet_masked_lm", "mpnet",
           sizes(3, 11, 61, 2, hidden_act="relu", layer_norm_eps=1e-5,
                 max_position_embeddings=150), [15, 16, 17, 130],
           "names begin with mpnet.; the head's tensors", task="MPNetForMaskedLM", n_pads=2),
    Golden("mpnet_one_head", "mpnet",
           sizes(1, 26, 29, 3, hidden_act="silu", max_position_embeddings=67, pad_token_id=0),
           [2, 63, 64, 65],
           "one head of 26; the padding's row is 1, whatever the config says", n_pads=4),
    Golden("mpnet_defaults", "mpnet",
           sizes(12, 3, 40, 1, max_position_embeddings=512), [3, 47, 140],
           "config.json says neither heads, positions, buckets nor activation", n_pads=1,
           removed=("num_attention_heads", "max_position_embeddings", "hidden_act",
                    "relative_attention_num_buckets", "layer_norm_eps", "pad_token_id")),

    # A gated feed-forward multiplies two products: with a std of 0.3 it would drown the rows that
    # it is added to, and the roundings of less than f32 with them.
    Golden("eurobert_heads", "eurobert",
           sizes(6, 6, 53, 2, num_key_value_heads=2, pad_token_id=1, max_position_embeddings=40,
                 rope_parameters={"rope_type": "default", "rope_theta": 250000.0}), [1, 31, 32, 33],
           "grouped heads; rotary positions of another base", std=0.2),
    Golden("eurobert_masked_lm", "eurobert",
           sizes(3, 12, 61, 3, hidden_act="gelu", attention_bias=True, mlp_bias=True,
                 pad_token_id=1, max_position_embeddings=70), [2, 16, 17, 65],
           "biases; names begin with model.; the head's tensors; BF16", std=0.2, dtype=torch.bfloat16,
           task="EuroBertForMaskedLM"),
    Golden("eurobert_defaults", "eurobert",
           sizes(12, 4, 40, 1, max_position_embeddings=8192, pad_token_id=1), [3, 47, 140],
           "config.json says neither heads, positions, activation nor eps", std=0.15,
           removed=("num_attention_heads", "num_key_value_heads", "head_dim",
                    "max_position_embeddings", "hidden_act", "rms_norm_eps")),

    Golden("distilbert_texts", "distilbert",
           distil_sizes(2, 7, 30, 1, max_position_embeddings=40), [3],
           "from texts to vectors", tokenizer="tokenizer_classes/bert/saved_5",
           tokenizer_class="DistilBertTokenizer"),
    Golden("electra_texts", "electra",
           sizes(2, 7, 30, 1, embedding_size=11, max_position_embeddings=40), [3],
           "from texts to vectors", tokenizer="tokenizer_classes/bert/saved_4",
           tokenizer_class="ElectraTokenizer"),
    Golden("roberta_texts", "roberta",
           sizes(2, 7, 30, 1, type_vocab_size=1, max_position_embeddings=42), [3],
           "from texts to vectors, with the padding's spelling in some texts",
           tokenizer="tokenizer_classes/roberta/saved_5"),
    Golden("xlm_roberta_texts", "xlm-roberta",
           sizes(2, 7, 30, 1, type_vocab_size=1, max_position_embeddings=42), [3],
           "from texts to vectors, with the padding's spelling in some texts",
           tokenizer="tokenizer_json/xlm_roberta"),
    Golden("camembert_texts", "camembert",
           sizes(2, 7, 30, 1, type_vocab_size=1, max_position_embeddings=42), [3],
           "from texts to vectors", tokenizer="tokenizer_classes/camembert/saved_5"),
    Golden("mpnet_texts", "mpnet", sizes(2, 7, 30, 1, max_position_embeddings=42), [3],
           "from texts to vectors, with the padding's spelling in some texts",
           tokenizer="tokenizer_classes/mpnet/saved_5"),
    Golden("bert_xlm_roberta_texts", "bert",
           sizes(2, 7, 30, 1, max_position_embeddings=40), [3],
           "from texts to vectors: BERT with XLM-RoBERTa's tokenizer, as multilingual-e5-small and "
           "paraphrase-multilingual-MiniLM", tokenizer="tokenizer_json/xlm_roberta"),

    # Gated ones, likewise.
    Golden("nomic_bert_head_dim_6", "nomic_bert",
           sizes(5, 6, 53, 2, max_position_embeddings=40), [1, 31, 32, 33],
           "d_model 30, d_ff 53: off every tile", std=0.2),
    Golden("nomic_bert_masked_lm", "nomic_bert",
           sizes(3, 10, 61, 2, hidden_act="gelu", layer_norm_eps=1e-5,
                 type_vocab_size=3, max_position_embeddings=150,
                 rope_parameters={"rope_type": "default", "rope_theta": 500.0}) | {"head_dim": 12},
           [2, 16, 17, 130],
           "the names that transformers computes with, behind nomic_bert.; heads that are wider "
           "than d_model; three segment types; another base", std=0.2, task="NomicBertForMaskedLM",
           computed_names=True),
    Golden("nomic_bert_makers", "nomic_bert",
           sizes(2, 14, 30, 3, max_position_embeddings=67), [2, 63, 64, 65],
           "config.json by the makers' names", std=0.2, more_layers=1,
           fields={"n_embd": 28, "n_layer": 3, "n_head": 2, "n_inner": 30, "n_positions": 67,
                   "layer_norm_epsilon": 1e-12, "rotary_emb_base": 1000,
                   "activation_function": "swiglu", "rotary_emb_fraction": 1.0,
                   "rotary_emb_interleaved": False, "rotary_emb_scale_base": None,
                   "rotary_scaling_factor": None, "qkv_proj_bias": False, "mlp_fc1_bias": False,
                   "mlp_fc2_bias": False, "prenorm": False, "parallel_block": False,
                   "causal": False, "use_rms_norm": None, "scale_attn_weights": True,
                   "auto_map": {
                       "AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
                       "AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"}},
           removed=("hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers",
                    "max_position_embeddings", "hidden_act", "layer_norm_eps", "rope_parameters",
                    "head_dim")),
    Golden("nomic_bert_defaults", "nomic_bert", sizes(12, 4, 40, 1), [3, 47, 140],
           "config.json says neither heads, positions, types nor activation", std=0.2,
           removed=("num_attention_heads", "max_position_embeddings", "hidden_act", "layer_norm_eps",
                    "type_vocab_size", "rope_parameters", "head_dim")),

    Golden("gte_head_dim_6", "gte", sizes(5, 6, 53, 2, max_position_embeddings=40),
           [1, 31, 32, 33], "d_model 30, d_ff 53: off every tile", std=0.2),
    Golden("gte_masked_lm", "gte",
           sizes(3, 10, 61, 2, hidden_act="silu", layer_norm_eps=1e-5, type_vocab_size=0,
                 max_position_embeddings=150), [2, 16, 17, 130],
           "the names that transformers computes with, behind gte.; no table of types",
           std=0.2, task="GteForMaskedLM", computed_names=True),
    Golden("gte_makers", "gte",
           sizes(2, 14, 30, 3, type_vocab_size=2, max_position_embeddings=67,
                 rope_parameters={"rope_type": "default", "rope_theta": 20000.0}), [2, 63, 64, 65],
           "further fields of the makers, and the base of positions in an older spelling",
           std=0.2, dtype=torch.bfloat16, more_layers=1,
           fields={"rope_theta": 20000, "rope_scaling": None, "pack_qkv": True,
                   "position_embedding_type": "rope", "layer_norm_type": "layer_norm",
                   "logn_attention_scale": False, "logn_attention_clip1": False,
                   "unpad_inputs": False, "use_memory_efficient_attention": False,
                   "auto_map": {"AutoConfig": "configuration_hf_alibaba_nlp_gte.GteConfig",
                                "AutoModel": "modeling_hf_alibaba_nlp_gte.GteModel"}},
           removed=("rope_parameters",)),
    Golden("gte_defaults", "gte", sizes(12, 4, 40, 1), [3, 47, 140],
           "config.json says neither heads, positions, types nor activation", std=0.2,
           removed=("num_attention_heads", "max_position_embeddings", "hidden_act", "layer_norm_eps",
                    "type_vocab_size", "rope_parameters")),

    Golden("jina3_head_dim_6", "jina_embeddings_v3",
           sizes(5, 6, 53, 2, max_position_embeddings=40), [1, 31, 32, 33],
           "d_model 30, d_ff 53: off every tile"),
    Golden("jina3_masked_lm", "jina_embeddings_v3",
           sizes(3, 10, 61, 2, hidden_act="relu", layer_norm_eps=1e-12, type_vocab_size=2,
                 max_position_embeddings=150), [2, 16, 17, 130],
           "the names that transformers computes with, behind roberta.; two segment types",
           task="JinaEmbeddingsV3ForMaskedLM", computed_names=True),
    Golden("jina3_deep", "jina_embeddings_v3",
           sizes(2, 14, 30, 4, max_position_embeddings=67,
                 rope_parameters={"rope_type": "default", "rope_theta": 300.0}), [2, 63, 64, 65],
           "four layers, in several files", sharded=True),
    Golden("jina3_defaults", "jina_embeddings_v3", sizes(16, 2, 40, 1), [3, 47, 140],
           "config.json says neither heads, positions, types nor activation", std=0.2,
           removed=("num_attention_heads", "max_position_embeddings", "hidden_act", "layer_norm_eps",
                    "type_vocab_size", "rope_parameters")),

    Golden("nomic_bert_texts", "nomic_bert", sizes(2, 8, 30, 1, max_position_embeddings=40), [3],
           "from texts to vectors", tokenizer="tokenizer_classes/bert/saved_5"),
    Golden("gte_texts", "gte", sizes(2, 8, 30, 1, max_position_embeddings=40), [3],
           "from texts to vectors", tokenizer="tokenizer_json/xlm_roberta"),
    Golden("jina3_texts", "jina_embeddings_v3", sizes(2, 8, 30, 1, max_position_embeddings=40), [3],
           "from texts to vectors", tokenizer="tokenizer_json/xlm_roberta"),
    Golden("modernbert_windows", "modernbert",
           modern_sizes(2, 14, 37, 3, local_attention=8, max_position_embeddings=130),
           [1, 16, 33, 130],
           "windows in the second and the third layer; d_model 28, d_ff 37", std=0.2),
    Golden("modernbert_biases", "modernbert",
           modern_sizes(2, 10, 61, 3, local_attention=5, max_position_embeddings=100,
                        hidden_activation="silu", norm_bias=True, attention_bias=True, mlp_bias=True,
                        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                        rope_parameters={
                            "full_attention": {"rope_type": "linear", "factor": 2.0,
                                               "rope_theta": 5000.0},
                            "sliding_attention": {"rope_type": "default", "rope_theta": 300.0}}),
           [2, 64, 65, 99], "biases everywhere; an odd width of windows, by the names of layers; "
           "stretched positions; weights stored as BF16, names begin with model.; the head's "
           "tensors", task="ModernBertForMaskedLM", dtype=torch.bfloat16, std=0.25),
    Golden("modernbert_old", "modernbert",
           modern_sizes(4, 8, 40, 5, local_attention=12, max_position_embeddings=90, norm_eps=1e-6,
                        global_attn_every_n_layers=2, global_rope_theta=20000.0,
                        local_rope_theta=700.0),
           [7, 31, 90], "the older spelling: every second layer is global", std=0.2,
           removed=("layer_types", "rope_parameters"),
           fields={"global_attn_every_n_layers": 2, "global_rope_theta": 20000.0,
                   "local_rope_theta": 700.0, "position_embedding_type": "absolute"}),
    Golden("modernbert_defaults", "modernbert", modern_sizes(12, 2, 29, 4), [3, 140, 200],
           "config.json says neither heads, positions, windows, biases nor activation", std=0.25,
           removed=("num_attention_heads", "max_position_embeddings", "local_attention",
                    "layer_types", "rope_parameters", "hidden_activation", "norm_eps", "norm_bias",
                    "attention_bias", "mlp_bias")),
    Golden("modernbert_texts", "modernbert",
           modern_sizes(2, 8, 30, 2, local_attention=4, max_position_embeddings=42), [3],
           "from texts to vectors", tokenizer="tokenizer_classes/roberta/saved_5",
           tokenizer_class="PreTrainedTokenizerFast"),
]

# These families are saved by other names than those that transformers computes with.
RENAMED = ("nomic_bert", "gte", "jina_embeddings_v3")

TEXTS = ["The cat sat on the mat.", "we", "", "  the   dog", "Dogs run fast!", "Is it raining?",
         "They sat in the house, not on the river.", "caf\u00e9 \u732b \u72d7 \u043c\u0438\u0440",
         "The rain was fast, the river was fast, the dog was not fast, they ran on and on and on "
         "in the rain, we sat in the house.", "TESTED - tester's test", "a <pad> b<pad>c [PAD] d",
         "<s>begins</s> and <mask> [MASK]ed \U0001f600"]


def randomise(model, golden, rng):
    """All parameters, by name; numpy's generator, which does not change with torch's version."""
    for name, parameter in sorted(model.named_parameters()):
        values = rng.standard_normal(tuple(parameter.shape))
        if re.search(r"[Nn]orm\.weight", name):
            values = rng.uniform(0.5, 1.5, tuple(parameter.shape))
            values *= rng.choice([-1, 1, 1, 1], tuple(parameter.shape))
        elif name.endswith("bias"):
            values *= 0.2
        elif "relative_attention_bias" in name:
            values *= 0.8
        elif "embeddings." in name:
            values *= 0.5
        else:
            values *= golden.std
        parameter.data = torch.from_numpy(values).to(golden.dtype)


def save_tokenizer(golden, folder):
    source = pathlib.Path(__file__).parent.parent / golden.tokenizer
    for path in source.iterdir():
        if path.name != "answers.json":  # of the tokenizer's own tests
            shutil.copyfile(path, folder / path.name)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | {"model_max_length": MAX_SEQ_LEN}
    if golden.tokenizer_class:
        settings["tokenizer_class"] = golden.tokenizer_class
    path.write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n")


def save_model(golden, folder, rng):
    """Writes config.json and the safetensors of a random model."""
    fields = dict(golden.config)
    if golden.tokenizer:
        save_tokenizer(golden, folder)
        fields["vocab_size"] = len(AutoTokenizer.from_pretrained(folder)) + 3  # tables are padded
    config = CONFIG_MAPPING[golden.model_type](**fields)
    n_layers = config.num_hidden_layers
    config.num_hidden_layers += golden.more_layers
    if golden.task:
        model = getattr(transformers, golden.task)(config)
    else:
        model = AutoModel.from_config(config)  # most with a pooler
    randomise(model, golden, rng)
    config.dtype = golden.dtype
    if golden.legacy:
        tensors = {name.replace("LayerNorm.weight", "LayerNorm.gamma")
                   .replace("LayerNorm.bias", "LayerNorm.beta"): value.clone()
                   for name, value in model.state_dict().items() if "decoder" not in name}
        tensors["roberta.embeddings.position_ids"] = torch.arange(
            config.max_position_embeddings).unsqueeze(0)
        config.architectures = [golden.task]
        config.save_pretrained(folder)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    elif golden.computed_names:
        config.architectures = [golden.task]
        config.save_pretrained(folder)
        tensors = {name: value.clone() for name, value in model.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        model.save_pretrained(folder, max_shard_size=20000 if golden.sharded else "1GB")
    path = folder / "config.json"
    fields = json.loads(path.read_text()) | golden.fields
    if golden.more_layers:
        fields["num_hidden_layers"] = n_layers
    for key in golden.removed:
        del fields[key]
    path.write_text(json.dumps(fields, indent=2) + "\n")


def load_model(golden, folder):
    """The encoder as stored, in float32: read by name, not by from_pretrained, which may convert,
    except where that is what is tested."""
    if golden.model_type in RENAMED:
        # Fields by the makers' names are nothing to transformers' class.
        own = AutoConfig.from_pretrained(folder) if "n_embd" not in golden.fields else \
            CONFIG_MAPPING[golden.model_type](**golden.config)
        model, report = AutoModel.from_pretrained(folder, config=own, dtype=torch.float32,
                                                  attn_implementation="eager",
                                                  output_loading_info=True)
        missing = [name for name in report["missing_keys"] if "pooler" not in name]
        assert not missing, missing
        return model.eval()
    model = AutoModel.from_config(AutoConfig.from_pretrained(folder)).float()
    stored = {}
    for path in sorted(folder.glob("*.safetensors")):
        stored.update(load_file(path))
    own = {}
    for name, value in stored.items():
        name = name.removeprefix(model.base_model_prefix + ".")
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        own[name] = value.float()
    wanted = model.state_dict()
    # Poolers do not make hidden states, and models for a task have none.
    model.load_state_dict({name: own.get(name, value) if "pooler" in name else own[name]
                           for name, value in wanted.items()}, strict=True)
    model.set_attn_implementation("eager")
    return model.eval()


def alone(model, sequences, types):
    with torch.inference_mode():
        return np.concatenate([
            model(input_ids=torch.tensor([ids]), **({"token_type_ids": torch.tensor([segment])}
                                                    if types else {})).last_hidden_state[0].numpy()
            for ids, segment in zip(sequences, types or sequences)])


def padded(model, sequences, types, pad_id):
    """All in one batch."""
    longest = max(map(len, sequences))
    ids = torch.tensor([seq + [pad_id] * (longest - len(seq)) for seq in sequences])
    mask = torch.tensor([[1] * len(seq) + [0] * (longest - len(seq)) for seq in sequences])
    more = {"token_type_ids": torch.tensor([t + [0] * (longest - len(t)) for t in types])} \
        if types else {}
    with torch.inference_mode():
        hidden = model(input_ids=ids, attention_mask=mask, **more).last_hidden_state.numpy()
    return np.concatenate([rows[:len(seq)] for rows, seq in zip(hidden, sequences)])


def float32_results(model, sequences, types, pad_id):
    for attention in ["eager", "sdpa"]:
        if attention == "sdpa" and not model._supports_sdpa:
            continue
        model.set_attn_implementation(attention)
        yield alone(model, sequences, types)
        yield padded(model, sequences, types, pad_id)
    model.set_attn_implementation("eager")


def make_sequences(golden, model, rng):
    vocab_size = model.config.vocab_size
    others = [token for token in range(vocab_size) if token != golden.pad_id]
    sequences = [rng.choice(others if golden.n_pads else vocab_size, n).tolist()
                 for n in golden.lengths]
    if golden.n_pads:
        for sequence in sequences[1:]:
            n_pads = min(golden.n_pads, len(sequence) - 1)
            for at in rng.choice(len(sequence), n_pads, replace=False):
                sequence[at] = golden.pad_id
    n_types = getattr(model.config, "type_vocab_size", 0)
    if n_types < 2:
        return sequences, []
    # Segments as pairs of texts have them: a run of each type, in order.
    return sequences, [sorted(rng.integers(0, n_types, n).tolist()) for n in golden.lengths]


def write_lines(path, rows):
    path.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))


def mean_rows(hidden, lengths):
    return np.stack([rows.mean(axis=0) for rows in np.split(hidden, np.cumsum(lengths)[:-1])])


def save_texts(golden, model, folder, manifest):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS, truncation=True, max_length=MAX_SEQ_LEN)["input_ids"]
    lengths = list(map(len, ids))
    (folder / "texts.txt").write_text("".join(text + "\n" for text in TEXTS), encoding="utf-8")
    write_lines(folder / "text_ids.txt", ids)
    vectors = mean_rows(alone(copy.deepcopy(model).double(), ids, []), lengths)
    np.save(folder / "text_pooled.npy", vectors.astype(np.float32))
    pad_id = tokenizer.pad_token_id
    manifest["pooled_float32_from_float64"] = max(
        float(np.abs(mean_rows(rows, lengths) - vectors).max())
        for rows in float32_results(model, ids, [], pad_id))
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    if np.abs(theirs - vectors).max() > MAX_F32_ERROR:
        raise SystemExit(f"{golden.name}: sentence-transformers has other vectors")


def make(golden, seed, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    save_model(golden, folder, rng)
    model = load_model(golden, folder)
    sequences, types = make_sequences(golden, model, rng)
    write_lines(folder / "ids.txt", sequences)
    if types:
        write_lines(folder / "types.txt", types)
    hidden = alone(copy.deepcopy(model).double(), sequences, types)
    error = max(float(np.abs(result - hidden).max())
                for result in float32_results(model, sequences, types, golden.pad_id))
    if error > MAX_F32_ERROR:
        raise SystemExit(f"{golden.name}: float32 is {error:.2g} off: too ill-conditioned a model")
    np.save(folder / "hidden.npy", hidden.astype(np.float32))
    manifest = {"why": golden.why, "transformers": transformers.__version__,
                "n_seqs": len(sequences), "n_tokens": len(hidden),
                "hidden_float32_from_float64": error,
                "hidden_max_abs": float(np.abs(hidden).max())}
    if golden.tokenizer:
        save_texts(golden, model, folder, manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{golden.name:30} {size:8} bytes  {len(hidden):5} tokens  "
          f"|h| {np.abs(hidden).max():5.2f}  float32 off by {error:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("names", nargs="*", help="models to make; all if none is named")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the number of threads changes float32 sums in the last bits
    for i, golden in enumerate(MODELS):
        if not arguments.names or golden.name in arguments.names:
            make(golden, 3000 + i, arguments.out / golden.name)


if __name__ == "__main__":
    main()

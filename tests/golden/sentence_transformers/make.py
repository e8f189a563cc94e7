"""Writes vectors.json: what sentence-transformers makes of a small folder in many dresses.

    python make.py

Each case changes files of bert/head_dim_17_max_normalize (null: the file is not there; other values:
its JSON), and says which prompt is asked for. A case with a "folder" puts that folder of this one on
top: what sentence-transformers itself saved of modules with random weights, except for the
transformer. The vectors are computed in float64 and rounded once; "off" is how far those that
PyTorch computes in float32 are from them.
"""

import json
import pathlib
import shutil
import tempfile
import warnings

import numpy
import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Dropout, LayerNorm, Normalize, Pooling, Transformer

HERE = pathlib.Path(__file__).parent
MODEL = HERE.parent / "bert" / "head_dim_17_max_normalize"
TEXTS = ["The cat sat on the mat.", "", "dogs run", "The rain was fast, the river was fast, the dog "
         "was not fast, they ran on and on and on in the rain, we sat in the house."]
PREFIX = "sentence_transformers.models."
CONFIG = "config_sentence_transformers.json"
PROMPTS = {"query": "the dog: ", "passage": "we ran ", "document": "", "nothing": None}


def modules(*kinds):
    """Folders as old releases name them, some with a slash"""
    return [{"idx": i, "name": str(i), "path": path, "type": PREFIX + kind}
            for i, (kind, path) in enumerate(kinds)]


POOLED = modules(("Transformer", ""), ("Pooling", "1_Pooling"))
CASES = [
    dict(name="as it is", files={}),
    dict(name="default prompt", files={CONFIG: {"prompts": PROMPTS, "default_prompt_name": "query"}}),
    dict(name="a prompt by name", files={CONFIG: {"prompts": PROMPTS, "default_prompt_name": "query"}},
         prompt_name="passage"),
    dict(name="an empty prompt by name",
         files={CONFIG: {"prompts": PROMPTS, "default_prompt_name": "query"}}, prompt_name="document"),
    dict(name="a prompt that is null",
         files={CONFIG: {"prompts": PROMPTS, "default_prompt_name": "query"}}, prompt_name="nothing"),
    dict(name="a prompt of the user's",
         files={CONFIG: {"prompts": PROMPTS, "default_prompt_name": "query"}}, prompt="run! "),
    dict(name="no prompt at all",
         files={CONFIG: {"prompts": PROMPTS, "default_prompt_name": "query"}}, prompt=""),
    dict(name="prompts without a default", files={CONFIG: {"prompts": PROMPTS}}),
    dict(name="a default that is there without being said",
         files={CONFIG: {"prompts": {"passage": "we "}, "default_prompt_name": "document"}}),
    dict(name="a prompt that fills the window", files={
        CONFIG: {"prompts": {"long": "the cat sat on the mat, " * 6}, "default_prompt_name": "long"}}),
    dict(name="a prompt that goes on in the text",
         files={CONFIG: {"prompts": {"part": "the run"}, "default_prompt_name": "part"}}),
    dict(name="no modules.json", files={"modules.json": None}),
    dict(name="no modules.json, so no other file of sentence-transformers counts",
         files={"modules.json": None, CONFIG: {"prompts": PROMPTS, "default_prompt_name": "query"},
                "sentence_bert_config.json": {"max_seq_length": 9}}),
    dict(name="pooling without a mode", files={
        "modules.json": POOLED, "1_Pooling/config.json": {"word_embedding_dimension": 51}}),
    dict(name="pooling with no mode true", files={
        "modules.json": POOLED, "1_Pooling/config.json": {
            "word_embedding_dimension": 51, "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": False}}),
    dict(name="pooling with a list of one mode", files={
        "modules.json": POOLED,
        "1_Pooling/config.json": {"embedding_dimension": 51, "pooling_mode": ["cls"]}}),
    dict(name="old flags count for nothing beside pooling_mode", files={
        "modules.json": POOLED, "1_Pooling/config.json": {
            "embedding_dimension": 51, "pooling_mode": "mean", "pooling_mode_cls_token": True}}),
    dict(name="dropout, and folders with a slash", files={
        "modules.json": modules(("Transformer", ""), ("Pooling", "1_Pooling/"),
                                ("Dropout", "2_Dropout/"), ("Normalize", "3_Normalize")),
        "2_Dropout/config.json": {"dropout": 0.5}}),
    dict(name="sentence_roberta_config.json", files={
        "sentence_bert_config.json": None, "sentence_roberta_config.json": {"max_seq_length": 9}}),
    dict(name="an empty sentence_bert_config.json is passed over", files={
        "sentence_bert_config.json": {}, "sentence_xlnet_config.json": {"max_seq_length": 7}}),
    dict(name="the first of two settings counts", files={
        "sentence_bert_config.json": {"max_seq_length": 11},
        "sentence_distilbert_config.json": {"max_seq_length": 7}}),
    dict(name="mean, then dense with tanh", files={}, folder="dense_tanh"),
    dict(name="dense without a bias makes more columns, then normalize", files={},
         folder="dense_normalize"),
    dict(name="three dense modules in a row", files={}, folder="dense_dense"),
    dict(name="norms before, between and behind", files={}, folder="norms"),
    dict(name="layer norm", files={}, folder="layer_norm"),
    dict(name="dense that says nothing of its activation", folder="dense_tanh", files={
        "2_Dense/config.json": {"in_features": 51, "out_features": 20}}),
    dict(name="other names of PyTorch's classes", folder="dense_tanh", files={
        "2_Dense/config.json": {"in_features": 51, "out_features": 20, "bias": True,
                                "activation_function": "torch.nn.Identity", "use_residual": False}}),
    dict(name="of two modules of one name the last takes the place of the first", folder="dense_tanh",
         files={"modules.json": POOLED + [
             {"idx": 2, "name": "2", "path": "2_Dense", "type": PREFIX + "Dense"},
             {"idx": 2, "name": "2", "path": "2_Normalize", "type": PREFIX + "Normalize"}]}),
    dict(name="the sum by the root of the length", files={}, folder="pool_sqrt"),
    dict(name="weighted mean, then normalize", files={}, folder="pool_weighted"),
    dict(name="the last token", files={}, folder="pool_last"),
    dict(name="two poolings, normalized together", files={}, folder="pool_two"),
    dict(name="all poolings, then dense", files={}, folder="pool_all"),
    dict(name="several flags of old files have an order of their own", folder="pool_two", files={
        "1_Pooling/config.json": {
            "word_embedding_dimension": 51, "pooling_mode_mean_tokens": True,
            "pooling_mode_lasttoken": True, "pooling_mode_cls_token": True,
            "pooling_mode_weightedmean_tokens": False}}),
    dict(name="one mode twice", folder="pool_two", files={
        "1_Pooling/config.json": {"embedding_dimension": 51, "pooling_mode": ["max", "cls", "max"]}}),
    dict(name="a prompt that is not pooled", folder="no_prompt", files={
        CONFIG: {"prompts": PROMPTS, "default_prompt_name": "query"}}),
    dict(name="a prompt of the user's that is not pooled", folder="no_prompt", files={},
         prompt="we ran fast, "),
    dict(name="nothing to leave out", folder="no_prompt", files={
        CONFIG: {"prompts": PROMPTS, "default_prompt_name": "query"}}, prompt=""),
    dict(name="a prompt that fills the window is not pooled", folder="no_prompt", files={
        CONFIG: {"prompts": {"long": "the cat sat on the mat, " * 6}, "default_prompt_name": "long"}}),
    dict(name="a prompt that is not pooled goes on in the text", folder="no_prompt", files={
        CONFIG: {"prompts": {"part": "the run"}, "default_prompt_name": "part"}}),
    dict(name="as a query", task="query", files={
        CONFIG: {"prompts": PROMPTS, "default_prompt_name": "passage"}}),
    dict(name="as a document", task="document", files={
        CONFIG: {"prompts": {"query": "the ", "document": "we ran "}, "default_prompt_name": "query"}}),
    dict(name="as a document, whose prompt is there without being said, before that of passages",
         task="document", files={
             CONFIG: {"prompts": {"query": "the ", "passage": "we ran ", "corpus": "dogs "},
                      "default_prompt_name": "query"}}),
    dict(name="cut by the folder, after normalize", files={CONFIG: {"truncate_dim": 12}}),
    dict(name="cut by the folder and by the call", files={CONFIG: {"truncate_dim": 12}},
         truncate_dim=30),
    dict(name="cut behind its end", files={CONFIG: {"truncate_dim": 100}}, folder="dense_tanh"),
    dict(name="cut by the call, after dense", files={}, folder="dense_normalize", truncate_dim=1),
    dict(name="a similarity", files={CONFIG: {"similarity_fn_name": "dot"}}),
    dict(name="another similarity", files={CONFIG: {"similarity_fn_name": "manhattan"}}),
    dict(name="a distance", files={CONFIG: {"similarity_fn_name": "euclidean"}}),
    dict(name="a similarity that is not known", files={CONFIG: {"similarity_fn_name": "dot_score"}}),
    dict(name="no similarity", files={CONFIG: {"similarity_fn_name": None}}),
]


D = 51
NN = torch.nn


def norm(d):
    """Its weights are 1 and 0 when it is made"""
    module = LayerNorm(d)
    NN.init.normal_(module.norm.weight, 1, 0.3)
    NN.init.normal_(module.norm.bias, 0, 0.3)
    return module


# The modules behind the transformer.
FOLDERS = {
    "dense_tanh": lambda: [Pooling(D, "mean"), Dense(D, 20)],
    "dense_normalize": lambda: [Pooling(D, "cls"), Dense(D, 70, bias=False, activation_function=None),
                                Normalize()],
    "dense_dense": lambda: [Pooling(D, "max"), Dense(D, 33, activation_function=NN.GELU()),
                            Dropout(0.4), Dense(33, 16, activation_function=NN.ReLU()),
                            Dense(16, 51, bias=False, activation_function=NN.SiLU())],
    "norms": lambda: [Pooling(D, "mean"), norm(D), Dense(D, 17), Normalize(), norm(17)],
    "layer_norm": lambda: [Pooling(D, "cls"), norm(D)],
    "pool_sqrt": lambda: [Pooling(D, "mean_sqrt_len_tokens")],
    "pool_weighted": lambda: [Pooling(D, "weightedmean"), Normalize()],
    "pool_last": lambda: [Pooling(D, "lasttoken")],
    "pool_two": lambda: [Pooling(D, ("max", "mean")), Normalize()],
    "pool_all": lambda: [Pooling(D, Pooling.POOLING_MODES), Dense(6 * D, 24)],
    "no_prompt": lambda: [Pooling(D, Pooling.POOLING_MODES, include_prompt=False)],
}


def save_modules(name):
    """What sentence-transformers saves of the modules, without what the transformer has"""
    torch.manual_seed(sum(name.encode()))
    model = SentenceTransformer(modules=[Transformer(str(MODEL)), *FOLDERS[name]()], device="cpu")
    shutil.rmtree(HERE / name, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch, create_model_card=False)
        for path in sorted(pathlib.Path(scratch).rglob("*")):
            part = path.relative_to(scratch)
            if path.is_dir() or (len(part.parts) == 1 and path.name not in ("modules.json", CONFIG)):
                continue
            (HERE / name / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, HERE / name / part)


def vectors(case, folder, dtype=torch.float64):
    for name, content in case["files"].items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True) if content is None else path.write_text(json.dumps(content))
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": dtype})
    given = {key: case[key] for key in ("prompt", "prompt_name", "truncate_dim") if key in case}
    case["similarity"] = model.similarity_fn_name
    encode = {"query": model.encode_query, "document": model.encode_document}
    return encode.get(case.get("task"), model.encode)(TEXTS, **given)


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in FOLDERS:
        save_modules(name)
    for case in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch) / "model"
            shutil.copytree(MODEL, folder)
            if "folder" in case:
                shutil.copytree(HERE / case["folder"], folder, dirs_exist_ok=True)
            exact = vectors(case, folder)
            case["vectors"] = [[float(f"{value:.9g}") for value in row] for row in exact]
            if "folder" in case:
                off = numpy.abs(vectors(case, folder, torch.float32) - exact).max()
                case["off"] = float(f"{off:.3g}")
    head = {"sentence_transformers": sentence_transformers.__version__,
            "transformers": transformers.__version__, "torch": torch.__version__, "texts": TEXTS}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in CASES)
    text = json.dumps(head)[:-1] + ',\n"cases": [\n' + lines + "\n]}\n"
    (HERE / "vectors.json").write_text(text)


if __name__ == "__main__":
    main()

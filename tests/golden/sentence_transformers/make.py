"""Writes vectors.json: what sentence-transformers makes of a small folder in many dresses.

    python make.py

Each case changes files of bert/head_dim_17_max_normalize (null: the file is not there; other values:
its JSON), and says which prompt is asked for. The vectors are computed in float64 and rounded once.
"""

import json
import pathlib
import shutil
import tempfile
import warnings

import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer

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
]


def vectors(case, folder):
    for name, content in case["files"].items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.unlink() if content is None else path.write_text(json.dumps(content))
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float64})
    given = {key: case[key] for key in ("prompt", "prompt_name") if key in case}
    return model.encode(TEXTS, **given)


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for case in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch) / "model"
            shutil.copytree(MODEL, folder)
            case["vectors"] = [[float(f"{value:.9g}") for value in row]
                               for row in vectors(case, folder)]
    head = {"sentence_transformers": sentence_transformers.__version__,
            "transformers": transformers.__version__, "torch": torch.__version__, "texts": TEXTS}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in CASES)
    text = json.dumps(head)[:-1] + ',\n"cases": [\n' + lines + "\n]}\n"
    (HERE / "vectors.json").write_text(text)


if __name__ == "__main__":
    main()

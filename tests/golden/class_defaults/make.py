"""Writes defaults.json: the fields that transformers' config classes have when config.json says
nothing, of each model_type that Headlane imports.

    python make.py
"""

import json
import pathlib

import transformers
from transformers import CONFIG_MAPPING

TYPES = ["bert", "distilbert", "roberta", "xlm-roberta", "camembert", "electra", "mpnet",
         "modernbert",
         "bart", "mbart", "marian", "m2m_100", "t5", "mt5", "eurobert", "nomic_bert", "gte",
         "jina_embeddings_v3"]
LANGUAGE_MODELS = ["gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3",
                   "smollm3", "olmo2", "glm", "glm4", "falcon", "bloom", "mixtral", "qwen2_moe", "qwen3_moe",
                   "olmoe", "glm4_moe", "gpt_oss", "deepseek_v2",
                   "deepseek_v3"]


def is_shown(value):
    return isinstance(value, (bool, int, float, str)) or (isinstance(value, list) and value and
                                                          all(isinstance(entry, int) for entry in value))


def defaults_of(name):
    fields = CONFIG_MAPPING[name]().to_dict()
    if name in LANGUAGE_MODELS or fields.get("rope_parameters"):
        # Files of transformers 4 have the fields of the rotary positions beside the others.
        fields = (fields.get("rope_parameters") or {}) | fields
    if "use_sliding_window" in fields:
        # The class forgets the window where it is not used, which is what it says itself.
        fields["sliding_window"] = CONFIG_MAPPING[name](use_sliding_window=True).sliding_window
    return {key: value for key, value in sorted(fields.items())
            if is_shown(value) and key != "transformers_version"}


def main():
    defaults = {name: defaults_of(name) for name in TYPES + LANGUAGE_MODELS}
    head = {"transformers": transformers.__version__} | defaults
    path = pathlib.Path(__file__).parent / "defaults.json"
    path.write_text(json.dumps(head, indent=1) + "\n")


if __name__ == "__main__":
    main()

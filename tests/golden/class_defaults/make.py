"""Writes defaults.json: the fields that transformers' config classes have when config.json says
nothing, of each model_type that Headlane imports.

    python make.py
"""

import json
import pathlib

import transformers
from transformers import CONFIG_MAPPING

TYPES = ["bert", "distilbert", "roberta", "xlm-roberta", "camembert", "electra", "mpnet",
         "bart", "mbart", "marian", "m2m_100", "t5", "mt5"]


def main():
    defaults = {}
    for name in TYPES:
        fields = CONFIG_MAPPING[name]().to_dict()
        defaults[name] = {key: value for key, value in sorted(fields.items())
                          if isinstance(value, (bool, int, float, str)) and key != "transformers_version"}
    head = {"transformers": transformers.__version__} | defaults
    path = pathlib.Path(__file__).parent / "defaults.json"
    path.write_text(json.dumps(head, indent=1) + "\n")


if __name__ == "__main__":
    main()

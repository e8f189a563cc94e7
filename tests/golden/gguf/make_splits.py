"""Writes splits.json: for each name of "tokenizer.ggml.pre", what `tokenizers` makes of the texts of
../tokenizer_json with the pre-tokenizer that published folders of that name have in tokenizer.json.

    python make_splits.py

The model is the one of ../tokenizer_json/gpt2. The hash is that of ../tokenizer_json/make.py, of the ids
of each 20 texts.
"""

import json
import pathlib
import sys

import tokenizers

HERE = pathlib.Path(__file__).parent
FOLDER = HERE.parent / "tokenizer_json"
sys.path.insert(0, str(FOLDER))
import make  # noqa: E402
from small_tokenizers import CONTRACTIONS, O200K, SPLIT  # noqa: E402

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
WORDS, NO_WORDS = BYTES | {"use_regex": True}, BYTES | {"use_regex": False}


def split(regex):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


CL100K = split(CONTRACTIONS + SPLIT % "{1,3}")
SPLITS = {
    "gpt-2": [WORDS],
    "llama-bpe": [CL100K, NO_WORDS],
    "dbrx": [CL100K, NO_WORDS],
    "smaug-bpe": [CL100K, NO_WORDS],
    "glm4": [CL100K, NO_WORDS],
    "qwen2": [split(CONTRACTIONS + SPLIT % ""), NO_WORDS],
    "gpt-4o": [split(O200K), NO_WORDS],
    "smollm": [{"type": "Digits", "individual_digits": True}, WORDS],
    "falcon": [{"type": "Punctuation", "behavior": "Contiguous"}, WORDS,
               {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")],
    "bloom": [split(" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"), NO_WORDS],
}


def main():
    spec = json.loads((FOLDER / "gpt2" / "tokenizer.json").read_text())
    texts = make.texts()
    hashes = {}
    for name, steps in SPLITS.items():
        spec["normalizer"] = {"type": "NFC"} if name == "qwen2" else None
        spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
        spec["model"]["ignore_merges"] = name in ("llama-bpe", "glm4")
        ids = [e.ids for e in tokenizers.Tokenizer.from_str(json.dumps(spec)).encode_batch(texts)]
        hashes[name] = "".join("%08x" % make.hash_of(sum(ids[i:i + 20], []))
                               for i in range(0, len(ids), 20))
    make.write_json(HERE / "splits.json", hashes)


if __name__ == "__main__":
    main()

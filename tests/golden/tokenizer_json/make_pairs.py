"""Makes NAME/pairs.json, the golden files of pairs of texts: python make_pairs.py [NAME ...]

For each tokenizer of this folder, and in ../tokenizer/many_pairs.json for the WordPiece tokenizer of
that folder, what `tokenizers` makes of 6,000 pairs of texts, cut to many lengths by each strategy
from each side. The texts are those of make.py, and some of them forty times over; arithmetic says
which, in the test too. The file has
  hashes   of each 5 pairs: FNV-1a of the ids, then of the types, of all five; a pair that cannot be
           cut so has the one id 0xFFFFFFFF and no type
  pairs    ids and types of each 400th pair, null if it cannot be cut
"""

import json
import pathlib
import sys

from tokenizers import Tokenizer

import make

HERE = pathlib.Path(__file__).parent
N_PAIRS = 6000
STRATEGIES = ["longest_first", "only_first", "only_second"]


def texts_of_pair(i, texts):
    """Of the last 12 pairs one or both are huge; of each 50th one or both are empty."""
    first, second = texts[i * 7 % len(texts)], texts[(i * 13 + i // 11) % len(texts)]
    if i >= N_PAIRS - 12:
        first, second = first * (40 if i % 3 else 1), second * (40 if i % 2 else 1)
    if i % 50 == 0:
        first, second = first if i % 100 else "", second if i % 150 else ""
    return first, second


def cut_of_pair(i):
    """Strategy, side, tokens: none of each ninth."""
    if i % 9 == 0:
        return None
    strategy = i // 3 % 3
    return STRATEGIES[strategy], ["right", "left"][i // 2 % 2], 6 + i * i % 61 * (6 if strategy else 1)


def encode(tokenizer, i, texts):
    cut = cut_of_pair(i)
    if cut is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(cut[2], strategy=cut[0], direction=cut[1])
    try:
        made = tokenizer.encode(*texts_of_pair(i, texts))
    except Exception as error:
        assert "too short" in str(error), error
        return None
    return made.ids, made.type_ids


def write_pairs(name, tokenizer, texts):
    made = [encode(tokenizer, i, texts) for i in range(N_PAIRS)]
    if name == "xlm_roberta":  # whose class in transformers gives the model no types
        made = [m and (m[0], [0] * len(m[1])) for m in made]
    five = [[n for m in made[i:i + 5] for part in (m or ([0xFFFFFFFF], [])) for n in part]
            for i in range(0, N_PAIRS, 5)]
    file = "many_pairs.json" if name == "../tokenizer" else "pairs.json"
    make.write_json(HERE / name / file, {
        "n_pairs": N_PAIRS, "hashes": "".join("%08x" % make.hash_of(ids) for ids in five),
        "pairs": {str(i): made[i] for i in range(0, N_PAIRS - 12, 400)}})
    print(name, sum(m is None for m in made), "cannot be cut")


def main():
    names = sys.argv[1:] or list(make.TOKENIZERS) + ["../tokenizer"]
    texts = make.texts()
    for name in names:
        if name == "../tokenizer":
            from tokenizers import BertWordPieceTokenizer
            tokenizer = BertWordPieceTokenizer(str(HERE / name / "vocab.txt"))._tokenizer
        else:
            tokenizer = Tokenizer.from_file(str(HERE / name / "tokenizer.json"))
        write_pairs(name, tokenizer, texts)


if __name__ == "__main__":
    main()

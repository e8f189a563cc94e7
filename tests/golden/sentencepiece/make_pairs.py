"""Makes NAME/pairs.json, the golden files of pairs of texts: python make_pairs.py [NAME ...]

What transformers makes of 5,000 pairs of sentences for each tokenizer of this folder, cut to many
lengths by longest_first from either side. Its NLLB and T5, which are rebuilt on the `tokenizers`
library, differ from SentencePiece in some texts: these are left out. Arithmetic says which pairs
they are, in the test too. The file has
  lines    the sentences of ../corpus that take part, by their numbers
  hashes   of the ids of each 5 pairs: FNV-1a
  pairs    ids of each 500th pair
"""

import json
import pathlib
import sys

import transformers

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tokenizer_json"))
import make

CLASSES = {"marian": "MarianTokenizer", "marian_separate": "MarianTokenizer",
           "m2m100": "M2M100Tokenizer", "nllb": "NllbTokenizer", "t5": "T5Tokenizer",
           "t5_bytes": "T5Tokenizer"}
N_PAIRS = 5000


def pieces_of(name, line):
    import sentencepiece
    model = {"m": "source.spm", "t": "spiece.model"}.get(name[0], "sentencepiece.bpe.model")
    if name == "m2m100":
        model = "sentencepiece.bpe.model"
    sp = SP.setdefault(name, sentencepiece.SentencePieceProcessor(str(HERE / name / model)))
    return sp.encode(line, out_type=str)


SP = {}


def main():
    transformers.logging.set_verbosity_error()
    lines = (HERE.parent / "corpus/sentences.txt").read_text().split("\n")[:-1] + [""]
    for name in sys.argv[1:] or CLASSES:
        tokenizer = getattr(transformers, CLASSES[name]).from_pretrained(str(HERE / name))
        used = [i for i, line in enumerate(lines) if not tokenizer.is_fast or
                tokenizer.tokenize(line) == pieces_of(name, line)]
        hashes, pairs, five = "", {}, []
        for i in range(N_PAIRS):
            first, second = lines[used[i * 7 % len(used)]], lines[used[(i * 13 + i // 11) % len(used)]]
            if i % 50 == 0:
                first, second = first if i % 100 else "", second if i % 150 else ""
            tokenizer.truncation_side = ["right", "left"][i // 2 % 2]
            cut = {} if i % 9 == 0 else {"truncation": True, "max_length": 6 + i * i % 61}
            ids = tokenizer([first], [second], **cut)["input_ids"][0]
            five += ids
            if i % 500 == 0:
                pairs[str(i)] = ids
            if i % 5 == 4:
                hashes += "%08x" % make.hash_of(five)
                five = []
        make.write_json(HERE / name / "pairs.json", {"lines": used, "hashes": hashes, "pairs": pairs})
        print(name, len(used), "of", len(lines), "lines")


if __name__ == "__main__":
    main()

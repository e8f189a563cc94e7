"""Makes pairs.json, the golden file of pairs of texts: python make_pairs.py

Each case is two texts by their lines in sentences.txt (-1: the empty text), a length, and the ids
and types that BERT's tokenizer of the `tokenizers` library makes of them, truncated to that length
by "longest_first". The vocabulary is vocab.txt.
"""
import json
import pathlib
import random

import tokenizers

HERE = pathlib.Path(__file__).parent


def bert_tokenizer():
    words = (HERE / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    vocab = {word: i for i, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens(["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"])
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(
        ("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return tokenizer


def main():
    sentences = (HERE / "sentences.txt").read_text(encoding="utf-8").split("\n")[:-1]
    rng = random.Random(20261129)
    tokenizer = bert_tokenizer()
    cases = []
    pairs = [(-1, -1), (-1, 3), (3, -1), (0, 0)]
    pairs += [(rng.randrange(len(sentences)), rng.randrange(len(sentences))) for _ in range(40)]
    for first, second in pairs:
        for max_len in (3, 4, 5, 8, 13, 20, 21, 29, 512):
            tokenizer.enable_truncation(max_len, strategy="longest_first")
            text = [sentences[line] if line >= 0 else "" for line in (first, second)]
            encoding = tokenizer.encode(*text)
            cases.append({"first": first, "second": second, "max_len": max_len,
                          "ids": encoding.ids, "types": encoding.type_ids})
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "pairs.json").write_text("[\n" + lines + "\n]\n", encoding="ascii")


if __name__ == "__main__":
    main()

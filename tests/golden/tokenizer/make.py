"""Makes the golden files of the tokenizer tests: python make.py HF_DIR

HF_DIR holds the tokenizer.json and vocab.txt of an uncased BERT model. Writes beside this script:
  lines.txt       raw bytes, one text per line
  ids.txt         their ids by the `tokenizers` library, one line each
  vocab.txt       the vocabulary
  case_lines.txt  raw bytes, one text per line, for
  cases.json      other settings on a small vocabulary, with the ids of each line
sentences.txt, which is written by hand, is what most lines are made of.
"""

import json
import pathlib
import random
import shutil
import string
import sys
import unicodedata

import tokenizers

HERE = pathlib.Path(__file__).parent
SPACES = [0x09, 0x0B, 0x0C, 0x0D, 0x1C, 0x1F, 0x20, 0x85, 0xA0, 0x1680, 0x180E,
          *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF]
CONTROLS = [0x00, 0x01, 0x08, 0x0E, 0x1B, 0x7F, 0x80, 0x9F, 0xAD, 0x600, 0x61C, 0x6DD, 0x70F,
            0x200B, 0x200C, 0x200D, 0x200E, 0x202A, 0x2066, 0xFFF9, 0xFFFC, 0xFFFD, 0xFFFE,
            0xFFFF, 0xE000, 0xF8FF, 0xE0001, 0xE0041, 0xF0000, 0x10FFFD, 0x10FFFF, 0x378,
            0x2FE0, 0x1BCA0, 0x1D173]
# Where the library's Unicode tables are of other versions than ours, and what is near.
DISPUTED = [0x61D, 0x7FD, 0x890, 0x898, 0x8D4, 0x8E2, 0x9FD, 0x9FE, 0xA76, 0xAFA, 0xB55, 0xC04,
            0xC77, 0xD3B, 0xEBA, 0x166D, 0x1715, 0x1734, 0x180F, 0x1885, 0x1ABF, 0x1AC5, 0x1B7D,
            0x1DF6, 0x1DFB, 0x2E43, 0x2E5D, 0xA82C, 0xA8FF, 0x10D24, 0x10EAD, 0x10F46, 0x110CD,
            0x111C9, 0x1133B, 0x1144B, 0x1145E, 0x11660, 0x11938, 0x11943, 0x11A01, 0x11A3F,
            0x11C41, 0x11F43, 0x13430,
            0x16E97, 0x16FE2, 0x16FF0, 0x1CF00, 0x1E000, 0x1E130, 0x1E944, 0x1E95E, 0x1C89, 0xA7CB,
            0xA7CC, 0xA7D4, 0xA7DA, 0xA7DC, 0x10D50, 0x16EA0, 0x130, 0x302E, 0x1D165]
BLOCKS = [(0x80, 0x600), (0x900, 0x980), (0xE30, 0xE60), (0x1AB0, 0x1AF0), (0x1DC0, 0x1E20),
          (0x1F00, 0x20D0), (0x2100, 0x2200), (0x24A0, 0x2500), (0x2E00, 0x2E80), (0x3000, 0x3100),
          (0x3130, 0x3150), (0xA660, 0xA6A0), (0xFB00, 0xFB50), (0xFE00, 0xFF10), (0xFFE0, 0x10000),
          (0x11430, 0x11460), (0x1D160, 0x1D190), (0x1E000, 0x1E030), (0x1F100, 0x1F1A0)]
SPECIAL = ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[mask]", "[MASK", "MASK]", "##"]
BAD_BYTES = [b"\x80", b"\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xed\xb0\x80",
             b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"\xe2\x82", b"\xc3", b"\xf8\x88\x80\x80\x80",
             b"\xfe\xff", b"\xf0\x80\x80\x80"]


def random_char(rng):
    while True:
        c = rng.choice([rng.randrange(0x80), rng.randrange(0x800), rng.randrange(0x3100),
                        rng.randrange(0x10000), rng.randrange(0x20000), rng.randrange(0x110000),
                        rng.choice(DISPUTED), rng.choice(SPACES), rng.choice(CONTROLS)])
        if c != 0x0A and not 0xD800 <= c < 0xE000:
            return chr(c)


def random_piece(rng, sentences):
    kind = rng.randrange(12)
    words = rng.choice(sentences).split(" ")
    if kind < 4:
        return rng.choice(words)
    if kind == 4:
        return "".join(random_char(rng) for _ in range(rng.randrange(1, 6)))
    if kind == 5:
        return rng.choice(SPECIAL)
    if kind == 6:
        return rng.choice(words).upper()
    if kind == 7:
        return unicodedata.normalize(rng.choice(["NFC", "NFD", "NFKC", "NFKD"]), rng.choice(words))
    if kind == 8:
        return "".join(chr(rng.randrange(0x300, 0x370)) for _ in range(rng.randrange(1, 6)))
    if kind == 9:
        return "".join(rng.choice(string.punctuation) for _ in range(rng.randrange(1, 4)))
    if kind == 10:
        word = list(rng.choice(words)) or ["x"]
        word.insert(rng.randrange(len(word) + 1), random_char(rng))
        return "".join(word)
    return str(rng.randrange(10 ** rng.randrange(1, 9)))


def random_line(rng, sentences, max_pieces=9):
    joints = [" ", " ", " ", "", "  ", chr(rng.choice(SPACES))]
    out = ""
    for _ in range(rng.randrange(1, max_pieces)):
        out += random_piece(rng, sentences) + rng.choice(joints)
    return out.replace("\n", " ")


def random_bytes(rng, sentences):
    line = bytearray(random_line(rng, sentences, 5).encode())
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(line) + 1)
        edit = rng.randrange(4)
        if edit == 0:
            line[at:at] = rng.choice(BAD_BYTES)
        elif edit == 1:
            del line[at:at + 1]
        elif edit == 2:
            del line[at:]
        else:
            line[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 6)))
    return bytes(line).replace(b"\n", b" ")


def long_lines(rng, sentences):
    out = []
    for n in (99, 100, 101, 102):
        for c in ("a", "Z", "1", "\u00e9", "\u0439", "\u0e01", "\u30ab", "\U0001f600", "\uac00",
                  "\u1e9e", "e\u0301"):
            out.append(c * n)
            out.append("x " + c * n + " y" + c * (n - 1) + ".")
    text = " ".join(sentences[:16])
    out.append((text * 20)[:20000])
    out.append("ab" * 10000)
    out.append("\u4e2d\u6587\u5b57" * 2000)
    out.append(" " * 5000 + "end" + "\u3000" * 2000)
    out.append("a" + "\u0301" * 3000 + "b")
    out.append("".join(chr(rng.randrange(0x300, 0x360)) for _ in range(500)) + "z")
    out.append(("word" * 24 + "abcd\u0301 ") * 5)
    out.append("[MASK]" * 300)
    out.append("x" * 4090 + " " + "y" * 4 + "\u0301 z " * 3)
    return out


def main_lines(rng, sentences):
    lines = list(sentences)
    lines += ["", " ", "   ", "\t", "\u3000", "\u200b", "\x00", "[MASK]", " [SEP] "]
    lines += ["a%cb %c" % (c, c) for c in SPACES + CONTROLS + DISPUTED if c != 0x0A]
    for first, last in BLOCKS:
        for start in range(first, last, 16):
            lines.append(" ".join("a%cb" % c for c in range(start, min(start + 16, last))))
    lines += long_lines(rng, sentences)
    lines += [unicodedata.normalize("NFD", s) for s in sentences if not s.isascii()]
    lines += [s.upper() for s in sentences] + [s.swapcase() for s in sentences]
    lines += ["".join(s.split(" ")) for s in sentences]
    lines = [line.encode() for line in lines]
    lines += [b"a" + bad + b"b " + bad + b" " + bad + bad for bad in BAD_BYTES]
    lines += [random_line(rng, sentences).encode() for _ in range(1200)]
    lines += [random_bytes(rng, sentences) for _ in range(250)]
    return lines


def encode(tokenizer, line):
    return tokenizer.encode(line.decode("utf-8", errors="replace")).ids


SMALL_TEXT = ("abcxyzABCXYZ0189.,!-[]#\u00e9\u00c9\u00df\u0130\u0131\u0142"
              "\u03b1\u03c3\u03c2\u03a3\u0434\u0419\u0439"
              "\u0301\u0308\u0307\u05d0\u05b0\u0939\u093c\u0e19\u0e49\u4e2d\u6587"
              "\uf900\u8c48\u3042\u304c\u304b"
              "\u3099\u302e\u302f\uac00\u1100\u1161\ufffd\u00ad\u200d\u0001\u0000\u000b\ue000"
              "\u1df6\u1dfb\u1e9e\u0264\ua7cb"
              "\U0001f600\U00011938\U00011935\U00011930\U0001d165\U0001d16d")
SMALL_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unk]", "abc", "##abc", "Abc", "ABC",
               "xyz", "##xyz", "##yz", "caf\u00e9", "cafe", "##\u00e9", "\u4e2d\u6587", "##\u6587",
               "ab\u0301", "ac\u0307", "##\u0308\u0301"]


def small_vocab():
    tokens = list(SMALL_WORDS)
    for c in SMALL_TEXT:
        tokens += [c, "##" + c]
    return list(dict.fromkeys(tokens))


def added(content, **flags):
    token = {"content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
    return token | flags


def case(name, normalizer, tokens, max_len=None, post="TemplateProcessing", **model):
    vocab = {token: i for i, token in enumerate(small_vocab())}
    next_id = len(vocab)
    added_tokens = []
    for token in tokens:
        token_id = vocab.get(token["content"], next_id)
        next_id += token_id == next_id
        added_tokens.append({"id": token_id} | token)
    cls, sep = vocab["[CLS]"], vocab["[SEP]"]
    template = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                           {"Sequence": {"id": "A", "type_id": 0}},
                           {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                         {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {t: {"id": t, "ids": [vocab[t]], "tokens": [t]}
                                   for t in ("[CLS]", "[SEP]")}}
    bert = {"type": "BertProcessing", "sep": ["[SEP]", sep], "cls": ["[CLS]", cls]}
    settings = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens,
                "normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"},
                "post_processor": template if post == "TemplateProcessing" else bert,
                "decoder": None,
                "model": {"type": "WordPiece", "unk_token": "[UNK]",
                          "continuing_subword_prefix": "##",
                          "max_input_chars_per_word": 100} | model}
    return {"name": name, "max_len": max_len, "tokenizer": settings}


def bert_normalizer(clean, chinese, accents, lower):
    return {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese,
            "strip_accents": accents, "lowercase": lower}


def all_cases():
    specials = [added(token) for token in SMALL_WORDS[:5]]
    uncased = bert_normalizer(True, True, None, True)
    stripping = [added("[MASK]", lstrip=True), added("[SEP]", rstrip=True),
                 added("[CLS]", lstrip=True, rstrip=True), added("abc", single_word=True),
                 added("<x>"), added("<x>y", single_word=True, lstrip=True)]
    normalized = specials + [added("ABC xyz", normalized=True),
                             added("Caf\u00e9", normalized=True, single_word=True),
                             added("\u4e2d", normalized=True),
                             added("zz", normalized=True, rstrip=True)]
    yield case("uncased", uncased, specials)
    yield case("cased", bert_normalizer(True, True, None, False), specials, post="BertProcessing")
    yield case("cased_strip", bert_normalizer(True, True, True, False), specials)
    yield case("lower_keep", bert_normalizer(True, True, False, True), specials)
    yield case("no_chinese", bert_normalizer(True, False, None, True), specials)
    yield case("no_clean", bert_normalizer(False, True, True, True), specials)
    yield case("plain", None, [], max_input_chars_per_word=3)
    yield case("stripping", uncased, stripping)
    yield case("normalized", uncased, normalized)
    yield case("empty_prefix", uncased, specials, continuing_subword_prefix="",
               max_input_chars_per_word=5)
    for max_len in (2, 3, 4, 5, 8, 13, 64):
        yield case("max_len_%d" % max_len, uncased, specials, max_len=max_len)


def case_lines(rng, sentences):
    pieces = SMALL_WORDS + list(SMALL_TEXT) + [s for s in SMALL_TEXT if s != " "]
    pieces += ["zz", "<x>", "<x>y", "ABC xyz", "abc XYZ", "Caf\u00e9", "CAFE\u0301", "_", "\u200c",
               "\u24b6", "\t", "\u3000", "\u0085"]
    lines = ["", " ", "[MASK]", " [MASK] ", "a [MASK] b", "[SEP]  [SEP]", "abc abcabc abc.",
             "<x>y <x>yz <x>", "abc" * 33 + "a", "abc" * 34]
    lines = [line.encode() for line in lines]
    for _ in range(110):
        n_pieces = rng.randrange(2, 12)
        line = "".join(rng.choice(pieces) + rng.choice(["", "", " "]) for _ in range(n_pieces))
        lines.append(line.encode())
    lines += [random_bytes(rng, sentences[:3]) for _ in range(15)]
    return lines


def case_tokenizer(item):
    settings = json.loads(json.dumps(item["tokenizer"]))
    settings["model"]["vocab"] = {token: i for i, token in enumerate(small_vocab())}
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(settings))
    if item["max_len"] is not None:
        tokenizer.enable_truncation(item["max_len"])
    return tokenizer


def main(hf_dir):
    rng = random.Random(20240607)
    sentences = (HERE / "sentences.txt").read_text(encoding="utf-8").split("\n")[:-1]
    tokenizer = tokenizers.Tokenizer.from_file(str(hf_dir / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    shutil.copy(hf_dir / "vocab.txt", HERE / "vocab.txt")
    lines = main_lines(rng, sentences)
    (HERE / "lines.txt").write_bytes(b"".join(line + b"\n" for line in lines))
    with open(HERE / "ids.txt", "w", encoding="ascii", newline="\n") as ids:
        for line in lines:
            ids.write(" ".join(map(str, encode(tokenizer, line))) + "\n")

    lines = case_lines(rng, sentences)
    (HERE / "case_lines.txt").write_bytes(b"".join(line + b"\n" for line in lines))
    cases = []
    for item in all_cases():
        tokenizer = case_tokenizer(item)
        ids = [" ".join(map(str, encode(tokenizer, line))) for line in lines]
        cases.append(item | {"ids": ids})
    golden = {"vocab": small_vocab(), "cases": cases}
    (HERE / "cases.json").write_text(json.dumps(golden, indent=0) + "\n", encoding="ascii")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

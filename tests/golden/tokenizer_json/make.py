"""Makes the golden files of the tokenizer.json tests: python make.py [NAME ...]

A NAME is that of a tokenizer, "steps", or "steps:END" for the steps whose names end so.

Trains small tokenizers with `tokenizers` and `sentencepiece` on committed text, and writes beside
this script:
  lines.txt          hostile lines, which all tokenizers see besides those of corpus/ and tokenizer/
  NAME/tokenizer.json, NAME/tokenizer_config.json    a folder as of Hugging Face
  NAME/answers.json  ids of each 60th line, a hash of the ids of each line, and some ids decoded
  steps.json         one step after another of normalizers and pre-tokenizers, around a model whose
                     ids are the bytes of each piece; a hash of the ids of each 20 lines
The hash is FNV-1a, 32 bits, of the ids as little-endian u32.
"""

import json
import pathlib
import random
import sys

import tokenizers
from small_tokenizers import CONTRACTIONS, O200K, SPLIT, TOKENIZERS
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent
BLOCKS = [(0x20, 0x7F), (0xA0, 0x250), (0x2B0, 0x400), (0x400, 0x530), (0x590, 0x700),
          (0x900, 0x980), (0xE00, 0xE60), (0x1100, 0x1200), (0x1E00, 0x2000), (0x2000, 0x2070),
          (0x2070, 0x2200), (0x2460, 0x2500), (0x3000, 0x3100), (0x3130, 0x3400), (0x4E00, 0x4E80),
          (0xA640, 0xA6A0), (0xAC00, 0xAD00), (0xF900, 0xFB50), (0xFE00, 0x10000),
          (0x10D40, 0x10D90), (0x11380, 0x113E3), (0x1D400, 0x1D800), (0x1F1E0, 0x1F680)]
WORDS = ["don't", "I'LL", "it's", "'s", "'\u017f", "we'Ve", "a1b2", "12345678", "3.14", "\u0661\u0662\u0663\u0664",
         "\u00bd", "x\u00b2", "fi\ufb01\u0301", "e\u0301\u0323", "\u0301", "\u4f60\u597d\u4e16\u754c", "\u3053\u3093\u306b\u3061\u306f",
         "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0645\u0631\u062d\u0628\u0627", "<s>", "</s>", "<mask>",
         "[MASK]", "<unk>", "<pad>", "<|end|>", "<0x0A>", "\u2581", "\u2581a", "a\u2581", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
         "\U0001f1e9\U0001f1ea\U0001f1eb", "\ufeff", "\u200b", "\u00ad", "\x01", "\x7f", "\x85", "\u2028", "\u3000", "\u00a0",
         "http://a.b/c?d=e&f", "___", "--", "...", "!?", "\t", "\r", "\x0b", "  ", "   ", "Stra\u00dfe", "\u0130I\u0131i",
         "\u01c5", "\u1e9e", "\u212b", "\ufdfa", "\uff28\uff41", "\u2460", "\u0e01\u0e33", "\U0001d54f", "\u1c89", "\u0897", "\U00010d4a\U00010d6a"]


def hostile_lines():
    rng = random.Random(16)
    lines = ["", " ", "  ", "\t", "a", "'", "\u2581", "\u0301", "a" * 300, "ab" * 150, " " * 200, "\u4f60" * 100,
             "\u0301" * 100, "1" * 100, "!" * 100, "\r" * 50, "\U0001f600" * 50, "<s>" * 20, " a" * 100]
    while len(lines) < 400:
        lines.append(rng.choice(["", " ", "  "]) + rng.choice(["", " ", "\u2581", " "]).join(
            rng.choice(WORDS) for _ in range(rng.randrange(1, 9))) + rng.choice(["", "", " ", "  "]))
    while len(lines) < 800:
        first, last = rng.choice(BLOCKS)
        chars = [chr(rng.randrange(first, last)) if rng.random() < 0.8 else
                 rng.choice([" ", " ", "a", "1", "'", ".", "\u0301", "\r", "\t", "\u2581"])
                 for _ in range(rng.randrange(1, 40))]
        lines.append("".join(chars))
    return lines


def texts():
    """All texts: the lines of four files, then each 5 of them with newlines between them."""
    lines = []
    for name in ["corpus/sentences.txt", "corpus/written.txt", "tokenizer/lines.txt",
                 "tokenizer_json/lines.txt"]:
        raw = (GOLDEN / name).read_bytes()
        lines += [line.decode(errors="replace") for line in raw.split(b"\n")[:-1]]
    return lines + ["\n".join(lines[i:i + 5]) for i in range(0, len(lines), 5)]


def hash_of(ids):
    value = 0x811C9DC5
    for byte in b"".join(i.to_bytes(4, "little") for i in ids):
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def write_json(path, value, **options):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), **options) + "\n")


def write_tokenizer(name, tokenizer, lines):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    write_json(folder / "tokenizer.json", json.loads(tokenizer.to_str()))
    kind = "XLMRobertaTokenizer" if name == "xlm_roberta" else "PreTrainedTokenizerFast"
    more = {"add_prefix_space": True} if name == "roberta" else {}
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": kind} | more)
    ids = [tokenizer.encode(line).ids for line in lines]
    write_json(folder / "answers.json", {
        "n_lines": len(lines),
        "hashes": "".join("%08x" % hash_of(i) for i in ids),
        "ids": {str(i): ids[i] for i in range(0, len(lines), 60)},
        # The library spells an added token that is normalized as its normalizer leaves it.
        "decoded": {str(i): tokenizer.decode(ids[i]) for i in range(30, len(lines), 120)
                    if name != "word_level" or tokenizer.token_to_id("Caf\u00e9") not in ids[i]}})


# Regular expressions of models in use, and of each construct that Headlane hands to PCRE2.
REGEXES = {
    "o200k": O200K,
    "deepseek": r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
                r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "deepseek_cjk": "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    "bloom": " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+",
    "thousands": r"\d(?=(?:\d{3})+(?!\d))", "digits": r"\d{1,3}(?=(?:\d{3})*\b)",
    "words": r"\w+|[^\w\s]+", "no_words": r"\W+", "no_spaces": r"\S+", "no_digits": r"\D+",
    "in_classes": r"[^\S\r\n]+|[\w.]+", "hex": r"\h+", "no_hex": r"\H{2,}",
    "border": r"\b", "inside": r"\B", "border_of_a": r"\ba", "before": r"(?<=a)b|(?<!\s)\p{Lu}",
    "lines": r"^.|.$", "ends": r"\A.|.\z|\n\Z", "dot": r".", "dots": r".{1,9}?e|.{3}",
    "empty": r"x*", "empty_or": r"(?:a|b*)", "look": r"(?=a)|(?=\s)", "or_nothing": r"a|",
    "possessive": r"a++b?|[.,-]*+ |e?+l", "atomic": r"(?>a+|b)c?", "lazy": r"a[^b]{0,8}?b|\s{2,}?",
    "groups": r"((a|e)(b|l))+|(?:[aeiou]|[0-9]{2})+", "folded": r"(?i)the|[k-s]+x?|\x41\u0042",
    "braces": r"a{,2}b|{|}|a{|\x{1F600}|]", "scripts": r"[\p{Han}\p{Hiragana}\p{Katakana}]+|\p{Latin}+|\p{Cyrillic}",
    "more_scripts": r"\p{Greek}+|\p{Arabic}+|\p{Hangul}+|\p{Thai}|\p{Hebrew}+|\p{Devanagari}+",
    "classes": r"\p{Lt}|\p{Me}|\p{Nl}|\p{No}|\p{Sc}|\p{Sk}|\p{Pd}|[\p{Ps}\p{Pe}\p{Pi}\p{Pf}]|\p{Zs}+|\p{Cc}",
    "no_letters": r"\P{L}+|\p{^N}", "no_letter": r"[^\P{L}]+", "marks": r"\p{L}\p{M}*|\p{Mc}|\p{Sm}\p{So}",
}
REGEX = tokenizers.Regex
NORMALIZERS = {
    "nfc": normalizers.NFC(), "nfd": normalizers.NFD(), "nfkc": normalizers.NFKC(),
    "nfkd": normalizers.NFKD(), "lowercase": normalizers.Lowercase(), "nmt": normalizers.Nmt(),
    "strip_left": normalizers.Strip(left=True, right=False),
    "strip_right": normalizers.Strip(left=False, right=True),
    "strip_accents": normalizers.StripAccents(), "prepend": normalizers.Prepend("\u2581"),
    "replace": normalizers.Replace("'", "\u2019\u2019"),
    "replace_empty": normalizers.Replace(REGEX("x*"), "-"),
    "replace_words": normalizers.Replace(REGEX(r"(?<=\w)\w+"), "~"),
    "replace_spaces": normalizers.Replace(REGEX(r"\s+"), " "),
    "bert": normalizers.BertNormalizer(), "byte_level": normalizers.ByteLevel(),
    "bert_cased": normalizers.BertNormalizer(lowercase=False, handle_chinese_chars=False),
}
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
PRE_TOKENIZERS = {
    "whitespace": pre_tokenizers.Whitespace(), "whitespace_split": pre_tokenizers.WhitespaceSplit(),
    "bert": pre_tokenizers.BertPreTokenizer(), "digits": pre_tokenizers.Digits(),
    "digit": pre_tokenizers.Digits(individual_digits=True),
    "byte_level": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "byte_level_space": pre_tokenizers.ByteLevel(),
    "scripts": pre_tokenizers.UnicodeScripts(),
    "scripts_of_words": pre_tokenizers.Sequence([pre_tokenizers.UnicodeScripts(),
                                                 pre_tokenizers.Whitespace()]),
    "split_invert": pre_tokenizers.Split(REGEX(r"\s+"), "removed", invert=True),
    "words_removed": pre_tokenizers.Split(REGEX(
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"), "isolated"),
    "cl100k": pre_tokenizers.Split(REGEX(CONTRACTIONS + SPLIT % "{1,3}"), "isolated"),
    "qwen2": pre_tokenizers.Split(REGEX(CONTRACTIONS + SPLIT % ""), "isolated"),
    **{"regex_" + name: pre_tokenizers.Split(REGEX(r), "isolated") for name, r in REGEXES.items()},
    **{"empty_%s_%d" % (b, invert): pre_tokenizers.Split(REGEX(r"b*"), b, invert=bool(invert))
       for b in BEHAVIORS for invert in [0, 1]},
    **{"punctuation_" + b: pre_tokenizers.Punctuation(b) for b in BEHAVIORS},
    **{"split_" + b: pre_tokenizers.Split("a", b) for b in BEHAVIORS},
    **{"metaspace_%s_%d" % (scheme, split): pre_tokenizers.Metaspace(
        prepend_scheme=scheme, split=bool(split))
       for scheme in ["always", "first", "never"] for split in [0, 1]},
    "sequence_first": pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation(), pre_tokenizers.Metaspace(prepend_scheme="first")]),
}


def probe(normalizer, pre_tokenizer):
    """Its ids are the bytes of each piece, with those of "</w>" behind it."""
    t = Tokenizer(models.BPE({"<0x%02X>" % b: b for b in range(256)}, [], byte_fallback=True,
                             end_of_word_suffix="</w>"))
    if normalizer is not None:
        t.normalizer = normalizer
    if pre_tokenizer is not None:
        t.pre_tokenizer = pre_tokenizer
    t.add_tokens([tokenizers.AddedToken("<s>", normalized=False)])
    return t


def steps():
    cases = {"normalizer_" + k: (v, None) for k, v in NORMALIZERS.items()}
    cases |= {"pre_tokenizer_" + k: (None, v) for k, v in PRE_TOKENIZERS.items()}
    first = pre_tokenizers.Metaspace(prepend_scheme="first")
    cases |= {"first_behind_" + k: (v, first) for k, v in NORMALIZERS.items()}
    return cases


def write_steps(lines, names=()):
    """All cases, or those whose names end so, which take the places of the old ones."""
    path = HERE / "steps.json"
    cases = [c for c in json.loads(path.read_text()) if c["name"] in steps()] if names else []
    for name, (normalizer, pre_tokenizer) in steps().items():
        if names and not any(name.endswith(n) for n in names):
            continue
        cases = [c for c in cases if c["name"] != name]
        t = probe(normalizer, pre_tokenizer)
        ids = [t.encode(line).ids for line in lines]
        file = json.loads(t.to_str())
        cases.append({"name": name, "normalizer": file["normalizer"],
                      "pre_tokenizer": file["pre_tokenizer"],
                      "hashes": "".join("%08x" % hash_of(sum(ids[i:i + 20], []))
                                        for i in range(0, len(ids), 20))})
    write_json(HERE / "steps.json", cases)


def main():
    names = sys.argv[1:]
    if not names:
        (HERE / "lines.txt").write_bytes("".join(l + "\n" for l in hostile_lines()).encode())
    lines = texts()
    for name, make in TOKENIZERS.items():
        if not names or name in names:
            write_tokenizer(name, make(), lines)
    if not names or "steps" in names:
        write_steps(lines)
    ends = [n[6:] for n in names if n.startswith("steps:")]
    if ends:
        write_steps(lines, ends)


if __name__ == "__main__":
    main()

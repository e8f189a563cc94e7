"""Makes the golden files of the SentencePiece tokenizers: python make.py

Trains small models on the corpus beside this folder and some Chinese sentences, and writes them as
folders of transformers' Marian, M2M100, NLLB and T5 tokenizers, each with
  texts.json  [{"text": base64 of raw bytes, "ids": [...], "decoded": "..."}]: ids of the text, and
              the text of these ids without special tokens
  cases.json  the same under other settings: a language, a length

Oracles: MarianTokenizer and M2M100Tokenizer, which are Python around the SentencePiece library
(0.2.3). transformers 5 builds NllbTokenizer and T5Tokenizer on the `tokenizers` library from the
models, and these differ from SentencePiece, with which the models were trained, at white space and
at characters that combine; so their oracle is what transformers 4 had: special tokens cut out by
tokens' own spelling, the rest by the SentencePiece library. "same_in_fast" says whether
transformers 5 agrees.
"""

import base64
import contextlib
import json
import pathlib
import random
import re
import shutil
import tempfile
import unicodedata

import sentencepiece
from transformers import M2M100Tokenizer, MarianTokenizer, NllbTokenizer, T5Tokenizer
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

HERE = pathlib.Path(__file__).resolve().parent
CHINESE = """今天天气很好。
明天会下雨吗？
我想吃一碗牛肉面。
请问去火车站怎么走？
现在几点了？
他每天早上七点起床。
这本书多少钱？
我们下个星期去北京旅行。
她喜欢喝茶，不喜欢喝咖啡。
对不起，我听不懂。
你叫什么名字？
我的电话号码是一三八。
昨天晚上我看了一部电影。
学生们在图书馆里学习。
今天是星期天，我们去公园吧！
谢谢你的帮助。
飞机几点起飞？
请给我一杯水。
孩子们在外面玩。
春天来了，花都开了。""".splitlines()
# Characters that are replaced before anything else: full width, ligatures, white space, nothing.
RULES = "".join(
    "".join(f"{ord(c):X} " for c in left).strip() + "\t" +
    " ".join(f"{ord(c):X}" for c in right) + "\n"
    for left, right in [*((chr(0xFF01 + i), chr(0x21 + i)) for i in range(94)),
                        ("\u3000", " "), ("\xA0", " "), ("\t", " "), ("\n", " "), ("\ufb01", "fi"),
                        ("\u2460", "1"), ("e\u0301", "\xE9"), ("n\u0303", "\xF1"), ("\xAD", ""),
                        ("\u200B", ""), ("\uFDFA", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647"),
                        ("\u2026", "...")])


def corpus():
    lines = (HERE.parent / "corpus" / "sentences.txt").read_text().splitlines()
    return lines[::2]


def train(path, lines, **settings):
    # The trainer writes the paths that it was given into the model.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        pathlib.Path("rules.tsv").write_text(RULES)
        arguments = dict(
            sentence_iterator=iter(lines), model_prefix="m", num_threads=1,
            minloglevel=2, character_coverage=0.995, normalization_rule_tsv="rules.tsv",
            max_sentence_length=10000)
        arguments.update(settings)
        if arguments["normalization_rule_tsv"] is None:
            del arguments["normalization_rule_tsv"]
        sentencepiece.SentencePieceTrainer.train(**arguments)
        shutil.copy("m.model", path)


def pieces(path):
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [model.id_to_piece(i) for i in range(len(model))]


def texts(specials):
    rng = random.Random(7)
    lines = corpus()
    chosen = rng.sample(lines, 20) + CHINESE
    # Models never saw these: other halves of the corpus.
    chosen += rng.sample((HERE.parent / "corpus" / "sentences.txt").read_text().splitlines(), 20)
    odd = ["", " ", "   ", "\t", "\n", " \t\n ", "\u3000", "a", " a", "a ", "  a  b  ", "a\tb\nc",
           "\u3000今天\u3000天气", "ｆｕｌｌ　ｗｉｄｔｈ！", "ﬁne ﬁsh", "①②③", "cafe\u0301 nin\u0303o",
           "café niño", "e\u0301\u0301\u0302", "\u0301", "👍🏽 ok 👩‍👩‍👧 🇨🇳", "😀😀😀", "soft\xADhyphen",
           "zero\u200Bwidth", "\uFDFA", "wait… what", "x" * 100, "今" * 70, "ab" * 50 + " c",
           "UPPER lower MiXeD", "1234567890 3.14 1,000", "!?.,;:'\"()[]{}<>", "\u2581 \u2581a",
           "▁the", "\u00A0nbsp\u00A0", "Привет мир", "مرحبا بالعالم", "नमस्ते", "한국어 텍스트",
           "日本語のテキスト", "\x00", "a\x00b", "\x7f\x80", "<s> <unk>", "<0x41>",
           "null", "\ufeffbom", "a\u0000", "\U0010FFFF", "\u2028line\u2029par"]
    odd += [a + s + b for s in specials
            for a, b in [("", ""), ("hello ", " world"), ("hello", "world"), ("  ", "  "), (s, "")]]
    odd += [s[:-1] for s in specials] + [s.upper() for s in specials] + ["".join(specials)]
    for _ in range(30):
        words = [rng.choice(rng.choice(chosen + odd).split(" ")) for _ in range(rng.randrange(12))]
        odd.append(rng.choice([" ", "", "  "]).join(words))
    for _ in range(20):
        odd.append("".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x80, 0x800),
                                           rng.randrange(0x4E00, 0x9FFF), 0x20, 0x301,
                                           rng.randrange(0x1F300, 0x1F700)]))
                           for _ in range(rng.randrange(1, 30))))
    raw = [text.encode() for text in chosen + odd]
    raw += [b"\xff", b"a\xffb", b"\xe4\xbb", b"ok \xe4\xbb\xe5\xa4\xa9", b"\xed\xa0\x80", b"\xc0\xaf",
            b"\xf4\x90\x80\x80 x", b"\xe2\x96", b"\xe2\x82\xac\x80"]
    return list(dict.fromkeys(raw))


def write(folder, name, encode, decode, raw, fast=None):
    rows = []
    for text in raw:
        ids = encode(text.decode(errors="replace"))
        row = {"text": base64.b64encode(text).decode(), "ids": ids, "decoded": decode(ids).strip()}
        if fast is not None:
            row["same_in_fast"] = fast(text.decode(errors="replace")) == ids
        rows.append(row)
    (folder / name).write_text(
        "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")
    if fast is not None:
        print(folder.name, name, sum(row["same_in_fast"] for row in rows), "of", len(rows),
              "the same in transformers 5")
    else:
        print(folder.name, name, len(rows))


def new_folder(name):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n")


def decoder(tokenizer, **settings):
    return lambda ids: tokenizer.decode(ids, skip_special_tokens=True,
                                        clean_up_tokenization_spaces=False, **settings)


def make_marian(name, separate):
    """Chinese to English by a unigram and a BPE model, a joint vocabulary out of their order."""
    folder = new_folder(name)
    train(folder / "source.spm", CHINESE * 4 + corpus()[:100], vocab_size=400)
    train(folder / "target.spm", corpus(), vocab_size=350, model_type="bpe",
          normalization_rule_tsv=None, normalization_rule_name="identity")
    random.seed(1)
    controls = {"<s>", "</s>", "<unk>"}
    source = [p for p in pieces(folder / "source.spm") if p not in controls]
    target = [p for p in pieces(folder / "target.spm") if p not in controls]
    first = ["</s>", "<unk>"]
    if separate:
        vocab, target_vocab = first + source[:-9] + ["<pad>"], first + target + ["<pad>"]
        write_json(folder / "target_vocab.json", {p: i for i, p in enumerate(target_vocab)})
    else:
        # Without some pieces, so that these are unknown, and with a hole among the ids.
        joint = list(dict.fromkeys(source[:-9] + target))
        random.shuffle(joint)
        vocab = first + joint[:5] + [">>eng<<", ">>fra<<"] + joint[5:] + ["<pad>"]
    ids = {p: i for i, p in enumerate(vocab)}
    if not separate:
        ids["<pad>"] += 1
    write_json(folder / "vocab.json", ids)
    write_json(folder / "tokenizer_config.json", {
        "source_lang": "zh", "target_lang": "en", "model_max_length": 512,
        "separate_vocabs": separate, "tokenizer_class": "MarianTokenizer"})
    settings = {"target_vocab_file": str(folder / "target_vocab.json")} if separate else {}
    tokenizer = MarianTokenizer.from_pretrained(folder, **settings)
    decode = decoder(tokenizer, use_source_tokenizer=False)
    raw = texts(["</s>", "<pad>", "<unk>", ">>eng<<", ">>xxx<<", ">>a b<<"])
    write(folder, "texts.json", lambda text: tokenizer(text).input_ids,
          decode if not separate else lambda ids: "", raw)
    rng = random.Random(3)
    # With two vocabularies transformers leaves out what is special in the other one.
    usable = [i for i in range(len(target) + 2) if not separate or i != ids["<pad>"]]
    targets = [[rng.choice(usable) for _ in range(rng.randrange(20))] for _ in range(60)]
    write_json(folder / "targets.json", [{"ids": ids, "decoded": decode(ids)} for ids in targets])
    write(folder, "cut.json",
          lambda text: tokenizer(text, truncation=True, max_length=9).input_ids,
          lambda ids: "", raw[::5])


def make_m2m100():
    folder = new_folder("m2m100")
    path = folder / "sentencepiece.bpe.model"
    train(path, corpus() + CHINESE * 4, vocab_size=500, model_type="bpe")
    vocab = ["<s>", "<pad>", "</s>", "<unk>"] + pieces(path)[3:]
    write_json(folder / "vocab.json", {p: i for i, p in enumerate(vocab)})
    languages = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    write_json(folder / "special_tokens_map.json", {
        "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>",
        "unk_token": "<unk>", "additional_special_tokens": languages})
    write_json(folder / "tokenizer_config.json", {
        "src_lang": None, "tgt_lang": None, "model_max_length": 1024, "num_madeup_words": 8,
        "tokenizer_class": "M2M100Tokenizer"})
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(path),
                                additional_special_tokens=languages)
    assert tokenizer.convert_tokens_to_ids("__zh__") == len(vocab) + languages.index("__zh__")
    raw = texts(["</s>", "<pad>", "<unk>", "<s>", "__zh__", "__xx__"])
    write(folder, "texts.json", lambda text: tokenizer(text).input_ids, decoder(tokenizer), raw)
    tokenizer.src_lang = "zh"
    write(folder, "zh.json", lambda text: tokenizer(text).input_ids, decoder(tokenizer), raw[::5])
    write(folder, "cut.json",
          lambda text: tokenizer(text, truncation=True, max_length=9).input_ids,
          decoder(tokenizer), raw[::5])


class Slow:
    """Tokens cut out of the text, longest first, and the rest by SentencePiece."""

    def __init__(self, path, vocab, added, lstrip=()):
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.vocab, self.added, self.lstrip = vocab, added, lstrip
        self.ids = {token: i for i, token in enumerate(vocab)}
        self.split = re.compile("(" + "|".join(
            re.escape(t) for t in sorted(added, key=len, reverse=True)) + ")")

    def encode(self, text):
        parts = self.split.split(text)
        ids = []
        for i, part in enumerate(parts):
            if part in self.added:
                ids.append(self.ids[part])
                continue
            if i + 1 < len(parts) and parts[i + 1] in self.lstrip:
                part = part.rstrip()
            ids += [self.ids.get(piece, self.ids["<unk>"])
                    for piece in self.model.encode(part, out_type=str)]
        return ids

    def decode(self, ids):
        return self.model.decode_pieces([self.vocab[i] for i in ids
                                         if self.vocab[i] not in self.added])


def make_nllb():
    folder = new_folder("nllb")
    path = folder / "sentencepiece.bpe.model"
    train(path, corpus() + CHINESE * 4, vocab_size=500, model_type="bpe")
    languages = ["ace_Latn", "eng_Latn", "fra_Latn", "zho_Hans", "zho_Hant"]
    config = {"src_lang": "eng_Latn", "tgt_lang": "zho_Hans", "tokenizer_class": "NllbTokenizer",
              "legacy_behaviour": False, "model_max_length": 1024}
    fast = NllbTokenizer.from_pretrained(folder, extra_special_tokens=languages)
    vocab = ["<s>", "<pad>", "</s>", "<unk>"] + pieces(path)[3:] + languages + ["<mask>"]
    # transformers 5 takes the mask for the first id behind the pieces, where the languages were.
    file = json.loads(fast.backend_tokenizer.to_str())
    file["added_tokens"] = [token for token in file["added_tokens"] if token["id"] < 4]
    added = ["<s>", "<pad>", "</s>", "<unk>"] + languages + ["<mask>"]
    for token in languages + ["<mask>"]:
        file["added_tokens"].append({
            "id": vocab.index(token), "content": token, "single_word": False,
            "lstrip": token == "<mask>", "rstrip": False, "normalized": token == "<mask>",
            "special": True})
    file["model"]["vocab"] = {p: i for i, p in enumerate(vocab[:-6])}
    file["post_processor"] = None
    write_json(folder / "tokenizer.json", file)
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", {
        "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>",
        "pad_token": "<pad>", "unk_token": "<unk>",
        "mask_token": {"content": "<mask>", "lstrip": True, "normalized": True, "rstrip": False,
                       "single_word": False},
        "additional_special_tokens": languages})
    fast = NllbTokenizer.from_pretrained(folder)
    slow = Slow(path, vocab, added, lstrip=["<mask>"])
    assert fast.convert_tokens_to_ids(vocab) == list(range(len(vocab)))
    english, chinese, end = (vocab.index(t) for t in ["eng_Latn", "zho_Hans", "</s>"])
    raw = texts(["</s>", "<pad>", "<s>", "<mask>", "zho_Hans", "xxx_Latn"])
    write(folder, "texts.json", lambda text: [english] + slow.encode(text) + [end], slow.decode, raw,
          lambda text: fast(text).input_ids)
    fast.src_lang = "zho_Hans"
    write(folder, "zh.json", lambda text: [chinese] + slow.encode(text) + [end], slow.decode,
          raw[::5], lambda text: fast(text).input_ids)
    fast = NllbTokenizer.from_pretrained(folder, legacy_behaviour=True)
    write(folder, "legacy.json", lambda text: slow.encode(text) + [end, english], slow.decode,
          raw[::5], lambda text: fast(text).input_ids)
    write(folder, "cut.json",
          lambda text: [english] + slow.encode(text)[:7] + [end], slow.decode, raw[::5])


def make_t5(name, extra_ids, **settings):
    folder = new_folder(name)
    path = folder / "spiece.model"
    train(path, corpus() + CHINESE * 4, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **settings)
    write_json(folder / "tokenizer_config.json", {
        "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "extra_ids": extra_ids,
        "model_max_length": 512, "tokenizer_class": "T5Tokenizer"})
    sentinels = [f"<extra_id_{i}>" for i in range(extra_ids)]
    vocab = pieces(path) + sentinels[::-1]
    unigram = "model_type" not in settings  # transformers 5 has T5 for nothing else
    fast = T5Tokenizer.from_pretrained(folder) if unigram else None
    slow = Slow(path, vocab, ["<pad>", "</s>", "<unk>"] + sentinels)
    if unigram:
        assert fast.convert_tokens_to_ids("<extra_id_0>") == len(vocab) - 1
    raw = texts(["</s>", "<pad>", "<extra_id_0>", "<extra_id_1>", "<extra_id_99>"])
    write(folder, "texts.json", lambda text: slow.encode(text) + [1], slow.decode, raw,
          (lambda text: fast(text).input_ids) if unigram else None)
    write(folder, "cut.json", lambda text: slow.encode(text)[:8] + [1], slow.decode, raw[::5])


if __name__ == "__main__":
    make_marian("marian", separate=False)
    make_marian("marian_separate", separate=True)
    make_m2m100()
    make_nllb()
    make_t5("t5", 20, vocab_size=600, user_defined_symbols=["<user>", "<user_defined>"])
    # With bytes for what is unknown, and white space kept.
    make_t5("t5_bytes", 0, vocab_size=900, byte_fallback=True, model_type="bpe",
            remove_extra_whitespaces=False)

"""The thirteen small tokenizers that make.py writes, trained on committed text: TOKENIZERS has the
function that makes each. Their parts are those of models in use.
"""

import json
import pathlib
import tempfile

import sentencepiece
import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GOLDEN = pathlib.Path(__file__).parent.parent


def training_text():
    lines = (GOLDEN / "corpus/sentences.txt").read_text().split("\n")[:1200]
    return lines + (GOLDEN / "corpus/written.txt").read_text().split("\n") + \
        (GOLDEN / "tokenizer/sentences.txt").read_text().split("\n") * 3


def template(before, after, tokenizer):
    ids = [(t, tokenizer.token_to_id(t)) for t in dict.fromkeys(before + after)]
    return processors.TemplateProcessing(
        single=" ".join(before + ["$A"] + after),
        pair=" ".join(before + ["$A"] + after + after + ["$B:1"] + [a + ":1" for a in after]),
        special_tokens=ids)


def add_specials(tokenizer, *specials, mask=None):
    tokenizer.add_special_tokens([tokenizers.AddedToken(t, normalized=False) for t in specials])
    if mask:
        tokenizer.add_special_tokens([tokenizers.AddedToken(mask, lstrip=True, normalized=False)])


def charsmap_rules():
    """A part of what NFKC and SentencePiece's own rules do, which keeps the map small."""
    rules = {}
    nfkc = normalizers.NFKC()
    nmt = normalizers.Nmt()
    for first, last in [(1, 0x180), (0x300, 0x380), (0x2000, 0x2200), (0x2460, 0x2490), (0xFB00, 0xFB07),
                        (0xFF00, 0xFFE0), (0xFDFA, 0xFDFB), (0x3000, 0x3001), (0x1D400, 0x1D420)]:
        for c in range(first, last):
            made = nmt.normalize_str(nfkc.normalize_str(chr(c)))
            if made != chr(c) and chr(c) not in "\n\r":
                rules[(c,)] = made
    for base in "aeiouAEIOU":
        for mark in "\u0300\u0301\u0302\u0308":
            rules[(ord(base), ord(mark))] = nfkc.normalize_str(base + mark)
    rules[(0x0D,)] = " "
    return rules


def sentencepiece_model(model_type, size, **options):
    with tempfile.TemporaryDirectory() as folder:
        tsv = pathlib.Path(folder, "rules.tsv")
        tsv.write_text("".join(
            " ".join("%X" % c for c in key) + "\t" + " ".join("%X" % ord(c) for c in made) + "\n"
            for key, made in charsmap_rules().items()))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([t for t in training_text() if t]), model_prefix=folder + "/m",
            model_type=model_type, vocab_size=size, normalization_rule_tsv=str(tsv),
            character_coverage=0.995, num_threads=1, minloglevel=2, **options)
        return pathlib.Path(folder, "m.model").read_bytes()


def fields(message):
    """The fields of a protocol buffer, as (number, value)."""
    pos = 0
    def varint():
        nonlocal pos
        value = shift = 0
        while True:
            byte = message[pos]
            pos += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while pos < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            yield key >> 3, message[pos:pos + size]
            pos += size


def xlm_roberta():
    model = sentencepiece_model("unigram", 1000)
    charsmap = next(v for k, v in fields(next(v for k, v in fields(model) if k == 3)) if k == 2)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [(sp.id_to_piece(i), sp.get_score(i)) for i in range(3, sp.get_piece_size())]
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + pieces + [("<mask>", 0.0)]
    t = Tokenizer(models.Unigram(vocab, 3))
    t.normalizer = normalizers.Precompiled(charsmap)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                               pre_tokenizers.Metaspace()])
    t.decoder = decoders.Metaspace()
    add_specials(t, "<s>", "<pad>", "</s>", "<unk>", mask="<mask>")
    t.post_processor = template(["<s>"], ["</s>"], t)
    return t


def t5():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(),
                                         normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    byte_tokens = ["<0x%02X>" % b for b in range(256)]
    t.train_from_iterator(training_text(), trainers.UnigramTrainer(
        vocab_size=2000, special_tokens=["<pad>", "</s>", "<unk>"] + byte_tokens, unk_token="<unk>",
        show_progress=False))
    file = json.loads(t.to_str())
    file["model"]["byte_fallback"] = True
    t = Tokenizer.from_str(json.dumps(file))
    t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    t.post_processor = template([], ["</s>"], t)
    t.add_tokens([tokenizers.AddedToken("Two words", normalized=True, single_word=True)])
    return t


def byte_level_bpe(t, size=1000, specials=()):
    t.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(specials), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.decoder = decoders.ByteLevel()
    return t


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t = byte_level_bpe(t, specials=["<|end|>"])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def roberta():
    t = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="", unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t = byte_level_bpe(t, specials=["<s>", "<pad>", "</s>", "<unk>"])
    add_specials(t, mask="<mask>")
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return t


SPLIT = (r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"


ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + ENDING +
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + ENDING +
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = split_then_bytes(CONTRACTIONS + SPLIT % "{1,3}")
    t = byte_level_bpe(t, specials=["<|begin|>", "<|end|>"])
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                            template(["<|begin|>"], [], t)])
    return t


def qwen2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = split_then_bytes(CONTRACTIONS + SPLIT % "")
    return byte_level_bpe(t, specials=["<|end|>"])


def llama2():
    sp = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model(
        "bpe", 1500, byte_fallback=True, pad_id=-1))
    vocab = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    merges = sorted((vocab[a + b], (a, b)) for p in vocab for a, b in
                    ((p[:i], p[i:]) for i in range(1, len(p))) if a in vocab and b in vocab)
    t = Tokenizer(models.BPE(vocab, [pair for _, pair in merges], unk_token="<unk>", fuse_unk=True,
                             byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"),
                                         normalizers.Replace(" ", "\u2581")])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                   decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    add_specials(t, "<unk>", "<s>", "</s>")
    t.post_processor = template(["<s>"], [], t)
    return t


def suffix_bpe():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(),
                                               pre_tokenizers.Digits(individual_digits=True)])
    t.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=800, special_tokens=["<unk>"], end_of_word_suffix="</w>", limit_alphabet=120,
        show_progress=False))
    t.decoder = decoders.BPEDecoder("</w>")
    return t


def prefix_bpe():
    t = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(),
                                         normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=800, special_tokens=["<unk>"], continuing_subword_prefix="##",
        limit_alphabet=120, show_progress=False))
    t.decoder = decoders.WordPiece("##")
    t.post_processor = processors.BertProcessing(("<unk>", 0), ("<unk>", 0))
    return t


def word_level():
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.normalizer = normalizers.Sequence([normalizers.Replace("a", "b"), normalizers.BertNormalizer()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                               pre_tokenizers.Punctuation("contiguous")])
    t.train_from_iterator(training_text(), trainers.WordLevelTrainer(
        vocab_size=1500, special_tokens=["[UNK]", "[MASK]"], show_progress=False))
    t.add_tokens([tokenizers.AddedToken("Caf\u00e9", normalized=True),
                  tokenizers.AddedToken("!?", rstrip=True, single_word=True)])
    return t


def gemma():
    """Tokens with newlines, which pieces begin with."""
    file = json.loads(llama2().to_str())
    model = file["model"]
    for token in ["\n", "\n\n", "\n\n\n", "\t"]:
        model["vocab"][token] = len(model["vocab"])
    model["merges"] += [["\n", "\n"], ["\n\n", "\n"]]
    t = Tokenizer.from_str(json.dumps(file))
    t.normalizer = normalizers.Replace(" ", "\u2581")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                   decoders.Fuse()])
    return t


def word_piece():
    """WordPiece between steps that are not BERT's."""
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(),
                                               pre_tokenizers.Digits(individual_digits=True)])
    t.train_from_iterator(training_text(), trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=["[UNK]", "[CLS]", "[SEP]", "[MASK]"], limit_alphabet=150,
        show_progress=False))
    t.decoder = decoders.CTC("a", "##", True)
    t.post_processor = template(["[CLS]"], ["[SEP]"], t)
    return t


def o200k():
    """GPT-4o's words, by a regular expression that has no matcher of its own."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = split_then_bytes(O200K)
    t = byte_level_bpe(t, specials=["<|end|>"])
    return t


TOKENIZERS = {"xlm_roberta": xlm_roberta, "t5": t5, "gpt2": gpt2, "roberta": roberta,
              "llama3": llama3, "qwen2": qwen2, "llama2": llama2, "suffix_bpe": suffix_bpe,
              "prefix_bpe": prefix_bpe, "word_level": word_level, "gemma": gemma,
              "word_piece": word_piece, "o200k": o200k}

"""Makes folders.json, the golden file of the tokenizers of Hugging Face folders: the small files of
a folder, texts, and what transformers makes of the texts by AutoTokenizer:

    python make.py OLDER_PYTHON

Made with transformers 5.24.0 and sentence-transformers 6.2.0 by this Python, and transformers
4.57.6 by OLDER_PYTHON. A folder has "ids" where both agree, or where only one of them reads it at
all; else it has "differ", and Headlane must refuse it. Likewise it has "pairs" (ids, and types, zeros
where the tokenizer gives none) or "pairs_differ", where Headlane must refuse pairs. If
only the types differ it has "types_differ", where Headlane must refuse pairs for a model with types. It has
neither if one version alone reads it. "cut" and "cut_pairs" are the same, cut to 6 tokens.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers

HERE = pathlib.Path(__file__).parent
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "B", "new", "the", "cat", "[", "]",
         "ne", "##w", "mask", "caf\u00e9", "cafe", "Caf\u00e9", "\u4e2d", "\u4e2d\u6587"]
TEXTS = ["the [NEW] B a[MASK]b", "the[new]cat xcat", "[CLS] a [MASK] b", "Caf\u00e9 caf\u00e9 \u4e2d\u6587",
         "new neww ] mask", "a [mask] [MASK]"]
PAIRS = [["a b", "the new cat"], ["", "a"], ["[MASK]", ""], ["", ""]]
SPECIAL = VOCAB[:5]
NEW_ID = len(VOCAB)


def token(content, token_id=None, **flags):
    out = {} if token_id is None else {"id": token_id}
    return out | {"content": content, "single_word": False, "lstrip": False, "rstrip": False,
                  "normalized": False, "special": True} | flags


def piece(kind, name, type_id=0):
    return {kind: {"id": name, "type_id": type_id}}


def pieces(*names):
    """Of "[CLS]", "A", "B:1", ...: with types behind colons."""
    split = [(n.split(":") + ["0"])[:2] for n in names]
    return [piece("Sequence" if n in "AB" else "SpecialToken", n, int(t)) for n, t in split]


BERT_PAIR = pieces("[CLS]", "A", "[SEP]", "B:1", "[SEP]:1")


def tokenizer_json(vocab=None, added=None, **changes):
    vocab = vocab or {t: i for i, t in enumerate(VOCAB)}
    added = [token(t, vocab[t]) for t in SPECIAL] if added is None else added
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                  "strip_accents": None, "lowercase": True} | changes.pop("normalizer", {})
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
             "max_input_chars_per_word": 100, "vocab": vocab} | changes.pop("model", {})
    if model["type"] is None:
        del model["type"]
    template = {"type": "TemplateProcessing",
                "single": pieces("[CLS]", "A", "[SEP]"),
                "pair": changes.pop("pair", BERT_PAIR), "special_tokens": {t: {"id": t, "ids": [vocab[t]], "tokens": [t]}
                                               for t in ("[CLS]", "[SEP]")}}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": template, "decoder": None, "model": model} | changes


def vocab_txt(**replaced):
    return "".join(replaced.get(t, t) + "\n" for t in VOCAB)


def files_of_all():
    """Name, files: config.json aside, which all have."""
    cased = tokenizer_json(normalizer={"lowercase": False})
    holes = {t: i + (i > 10) for i, t in enumerate(VOCAB)}
    yield "vocab.txt alone", {"vocab.txt": vocab_txt()}
    yield "tokenizer.json alone", {"tokenizer.json": cased}
    yield "crlf", {"vocab.txt": vocab_txt().replace("\n", "\r\n")}
    yield "a line twice", {"vocab.txt": vocab_txt(cat="a")}
    yield "an empty line", {"vocab.txt": vocab_txt(cat="")}
    yield "a line of a space", {"vocab.txt": vocab_txt(cat="\u3000")}
    yield "byte order mark", {"vocab.txt": "\ufeff" + vocab_txt()}
    yield "space at a line's end", {"vocab.txt": vocab_txt(cat="cat ")}
    yield "return in a line", {"vocab.txt": vocab_txt(cat="cat\rdog")}
    yield "no mask", {"vocab.txt": vocab_txt(**{"[MASK]": "zz"})}
    yield "no cls", {"vocab.txt": vocab_txt(**{"[CLS]": "zz"})}
    yield "no type", {"tokenizer.json": tokenizer_json(model={"type": None})}
    yield "holes", {"tokenizer.json": tokenizer_json(vocab=holes)}
    yield "class of config.json", {"tokenizer.json": cased,
                                   "config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}}
    yield "class of both", {"tokenizer.json": cased,
                            "tokenizer_config.json": {"tokenizer_class": "BertTokenizer"},
                            "config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}}
    for name in ("BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast",
                 "ElectraTokenizer", "ElectraTokenizerFast", "TokenizersBackend"):
        config = {"tokenizer_config.json": {"tokenizer_class": name}}
        yield name, {"tokenizer.json": cased} | config
        if name != "TokenizersBackend":
            yield name + ", vocab.txt", {"vocab.txt": vocab_txt()} | config
    for name, files in list(settings()) + list(pair_settings()):
        for tokenizer_class in ("BertTokenizer", "PreTrainedTokenizerFast"):
            of_class = dict(files)
            of_class["tokenizer_config.json"] = (
                {"tokenizer_class": tokenizer_class} | files.get("tokenizer_config.json", {}))
            yield name + ", " + tokenizer_class, of_class


def settings():
    """For a folder with tokenizer.json of each of two classes."""
    config, mapped = "tokenizer_config.json", "special_tokens_map.json"
    whole, bare = tokenizer_json(), tokenizer_json(added=[])

    def decoder(*tokens):
        listed = {str(i): token(t) for i, t in enumerate(SPECIAL)}
        return {"added_tokens_decoder": listed | {str(i): t for i, t in tokens}}

    yield "do_lower_case", {"tokenizer.json": whole, config: {"do_lower_case": False}}
    yield "strip_accents", {"tokenizer.json": whole, config: {"strip_accents": False}}
    yield "chinese", {"tokenizer.json": whole, config: {"tokenize_chinese_chars": False}}
    yield "no added tokens", {"tokenizer.json": bare}
    yield "no added tokens, named", {"tokenizer.json": bare, config: {"mask_token": "[MASK]"}}
    yield "mask null", {"tokenizer.json": bare, config: {"mask_token": None}}
    yield "mask object", {"tokenizer.json": bare, config: {
        "mask_token": {"__type": "AddedToken"} | token("[MASK]", lstrip=True)}}
    yield "mask object in map", {"tokenizer.json": bare, mapped: {
        "mask_token": token("[MASK]", lstrip=True)}}
    yield "map over config", {"tokenizer.json": bare, config: {"mask_token": "cat"},
                              mapped: {"mask_token": "[MASK]"}}
    yield "map unread", {"tokenizer.json": whole, config: decoder(),
                         mapped: {"additional_special_tokens": ["[NEW]"]}}
    yield "bos", {"tokenizer.json": whole, config: {"bos_token": "[NEW]", "eos_token": "cat"}}
    yield "additional", {"tokenizer.json": whole, config: {"additional_special_tokens": ["[NEW]"]}}
    yield "additional in map", {"tokenizer.json": whole,
                                mapped: {"additional_special_tokens": ["[NEW]", "cat"]}}
    yield "additional objects in map", {"tokenizer.json": whole, mapped: {
        "additional_special_tokens": [token("[NEW]", rstrip=True)]}}
    yield "extra list", {"tokenizer.json": whole, config: {"extra_special_tokens": ["[NEW]", "cat"]}}
    yield "extra names", {"tokenizer.json": whole, config: {
        "extra_special_tokens": {"new_token": "[NEW]", "cat_token": "cat"}}}
    yield "decoder", {"tokenizer.json": whole, config: decoder(
        (NEW_ID, token("[NEW]", normalized=True, special=False)))}
    yield "decoder, no flags", {"tokenizer.json": whole, config: decoder(
        (NEW_ID, {"content": "[NEW]"}))}
    yield "added_tokens.json", {"tokenizer.json": whole, "added_tokens.json": {"[NEW]": NEW_ID}}
    yield "added_tokens.json, special", {
        "tokenizer.json": whole, "added_tokens.json": {"[NEW]": NEW_ID},
        config: {"additional_special_tokens": ["[NEW]"]}}
    yield "added_tokens.json unread", {"tokenizer.json": whole, config: decoder(),
                                       "added_tokens.json": {"[NEW]": NEW_ID}}
    yield "other flags", {"tokenizer.json": tokenizer_json(added=[
        token("[MASK]", 4, lstrip=True, normalized=True)]), config: decoder()}
    yield "decoder lacks one", {"tokenizer.json": tokenizer_json(added=[
        token(t, i) for i, t in enumerate(VOCAB[:6])]), config: decoder()}
    yield "normalized, other normalizer", {
        "tokenizer.json": tokenizer_json(added=[token(t, i) for i, t in enumerate(SPECIAL)] +
                                         [token("[NEW]", NEW_ID, normalized=True)]),
        config: {"do_lower_case": False}}
    yield "empty list over map", {"tokenizer.json": whole, config: {"extra_special_tokens": []},
                                  mapped: {"additional_special_tokens": ["[NEW]"]}}
    yield "name of its own", {"tokenizer.json": whole, config: {"new_token": "[NEW]"}}
    yield "name that is known", {"tokenizer.json": whole, config: {"new_token": "[MASK]"}}
    yield "other cls", {"tokenizer.json": whole, config: {"cls_token": "a"}}
    yield "other prefix", {"tokenizer.json": tokenizer_json(
        model={"continuing_subword_prefix": "@@"})}
    yield "other longest", {"tokenizer.json": tokenizer_json(model={"max_input_chars_per_word": 3})}
    yield "ignored", {"tokenizer.json": whole, config: {
        "do_basic_tokenize": False, "never_split": ["B"], "padding_side": "left",
        "clean_up_tokenization_spaces": False, "wordpieces_prefix": "@@"}}
    # The same for BERT's classes, without tokenizer.json as well.
    for name, files in (
            ("vocab.txt, map", {mapped: {"cls_token": "a", "sep_token": "b"}}),
            ("vocab.txt, additional", {config: {"additional_special_tokens": ["[NEW]"]}}),
            ("vocab.txt, added_tokens.json", {"added_tokens.json": {"[NEW]": NEW_ID}}),
            ("vocab.txt, decoder", {config: decoder((NEW_ID, token("[NEW]", lstrip=True)))}),
            ("vocab.txt, cased", {config: {"do_lower_case": False, "strip_accents": True}}),
            ("vocab.txt, ignored", {config: {"do_basic_tokenize": False, "never_split": ["B"]}})):
        yield name, {"vocab.txt": vocab_txt()} | files


def pair_settings():
    """What pairs of texts become. Single texts are the same in all of them, mostly."""
    config = "tokenizer_config.json"
    yield "pair as RoBERTa's", {"tokenizer.json": tokenizer_json(
        pair=pieces("[CLS]", "A", "[SEP]", "[SEP]", "B", "[SEP]"))}
    yield "pair without types", {"tokenizer.json": tokenizer_json(
        pair=pieces("[CLS]", "A", "[SEP]", "B", "[SEP]"))}
    yield "pair of other types", {"tokenizer.json": tokenizer_json(
        pair=pieces("[SEP]:2", "B:1", "[CLS]", "A:3", "[SEP]:1"))}
    yield "pair without the last", {"tokenizer.json": tokenizer_json(
        pair=pieces("[CLS]", "A", "[SEP]", "B:1"))}
    for kind in ("BertProcessing", "RobertaProcessing"):
        rest = {} if kind[0] == "B" else {"trim_offsets": True, "add_prefix_space": False}
        step = {"type": kind, "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]} | rest
        yield kind, {"tokenizer.json": tokenizer_json(post_processor=step)}
        yield kind + " in a sequence", {"tokenizer.json": tokenizer_json(post_processor={
            "type": "Sequence", "processors": [step, {
                "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                "use_regex": True}]})}
    yield "no post_processor", {"tokenizer.json": tokenizer_json(post_processor=None)}
    without = ["input_ids", "attention_mask"]
    yield "no types", {"tokenizer.json": tokenizer_json(), config: {"model_input_names": without}}
    yield "no types, pair as RoBERTa's", {
        "tokenizer.json": tokenizer_json(pair=pieces("[CLS]", "A", "[SEP]", "[SEP]", "B:1", "[SEP]:1")),
        config: {"model_input_names": without}}
    yield "no types, pair without types", {
        "tokenizer.json": tokenizer_json(pair=pieces("[CLS]", "A", "[SEP]", "B", "[SEP]")),
        config: {"model_input_names": without}}
    yield "types", {"tokenizer.json": tokenizer_json(),
                    config: {"model_input_names": without + ["token_type_ids"]}}
    for key in ("add_bos_token", "add_eos_token"):
        for value in (False, True):
            yield "%s %s" % (key, value), {"tokenizer.json": tokenizer_json(), config: {
                key: value, "bos_token": "[CLS]", "eos_token": "[SEP]"}}
    for side in ("left", "right"):
        yield "padding_side " + side, {"tokenizer.json": tokenizer_json(),
                                       config: {"padding_side": side}}
    yield "padding", {"tokenizer.json": tokenizer_json(padding={
        "strategy": {"Fixed": 12}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "[PAD]"})}
    yield "padding with another token", {"tokenizer.json": tokenizer_json(padding={
        "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 8, "pad_id": 10,
        "pad_type_id": 0, "pad_token": "cat"})}
    for direction in ("Right", "Left"):
        cut = tokenizer_json(truncation={"direction": direction, "max_length": 4,
                                         "strategy": "OnlyFirst", "stride": 1})
        yield "truncation " + direction, {"tokenizer.json": cut}
        for side in ("right", "left"):
            yield "truncation %s, side %s" % (direction, side), {
                "tokenizer.json": cut, config: {"truncation_side": side}}
    yield "side left, vocab.txt", {"vocab.txt": vocab_txt(), config: {"truncation_side": "left"}}
    yield "side of no name", {"tokenizer.json": tokenizer_json(),
                              config: {"truncation_side": "middle"}}


def lowered():
    """Folders whose texts sentence-transformers lowers, before what the tokenizer does."""
    sentence = {"sentence_bert_config.json": {"do_lower_case": True, "max_seq_length": 64}}
    for name in ("BertTokenizer", "PreTrainedTokenizerFast"):
        for strip in (None, False, True):
            config = {"tokenizer_class": name, "do_lower_case": False, "strip_accents": strip}
            yield "lowered, %s, %s" % (name, strip), sentence | {
                "tokenizer.json": tokenizer_json(
                    normalizer={"lowercase": False, "strip_accents": strip},
                    added=[token(t, i) for i, t in enumerate(SPECIAL)] +
                    [token("[NEW]", NEW_ID, normalized=True)]),
                "tokenizer_config.json": config}


def write(folder, files):
    config = {"model_type": "bert", "vocab_size": 64, "hidden_size": 8, "num_hidden_layers": 1,
              "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 64}
    files = files | {"config.json": config | files.get("config.json", {})}
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_bytes(text.encode())
    return files


def ids_of(files):
    with tempfile.TemporaryDirectory() as scratch:
        write(pathlib.Path(scratch), files)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(scratch)
            cut = dict(truncation=True, max_length=6)
            return ([tokenizer(text)["input_ids"] for text in TEXTS], pairs_of(tokenizer),
                    [tokenizer(text, **cut)["input_ids"] for text in TEXTS],
                    [ids for ids, _ in pairs_of(tokenizer, **cut)])
        except Exception:  # whatever it is, the folder is not read
            return None


def pairs_of(tokenizer, **cut):
    # In a list, since a second text "" that stands alone counts as none.
    made = tokenizer([p[0] for p in PAIRS], [p[1] for p in PAIRS], **cut)
    ids = made["input_ids"]
    return list(zip(ids, made.get("token_type_ids", [[0] * len(i) for i in ids])))


def lowered_ids(files):
    from sentence_transformers import SentenceTransformer
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        write(folder, files)
        model = transformers.BertModel(transformers.BertConfig.from_pretrained(scratch))
        model.save_pretrained(scratch)
        write(folder, files)
        modules = [{"idx": 0, "name": "0", "path": "",
                    "type": "sentence_transformers.models.Transformer"}]
        (folder / "modules.json").write_text(json.dumps(modules))
        tokenizer = SentenceTransformer(scratch, device="cpu").tokenizer
        return [tokenizer(text)["input_ids"] for text in TEXTS]


def main(older):
    transformers.logging.set_verbosity_error()
    if older == "--ids":
        print(json.dumps([ids_of(files) for _, files in files_of_all()]))
        return
    output = subprocess.run([older, __file__, "--ids"], capture_output=True, check=True, text=True)
    folders = []
    for (name, files), old in zip(files_of_all(), json.loads(output.stdout)):
        new = ids_of(files)
        if old is None and new is None:
            continue
        result = {}
        made = [json.loads(json.dumps(answer)) for answer in (new, old) if answer]
        for i, key, differ in ((0, "ids", "differ"), (1, "pairs", "pairs_differ")):
            answers = [answer[i] for answer in made]
            result |= {key: answers[0]} if answers[0] == answers[-1] else {differ: True}
            if "pairs_differ" in result and [p[0] for p in answers[0]] == [p[0] for p in answers[-1]]:
                result = result | {"types_differ": True, "pairs": max(answers)}
                del result["pairs_differ"]
        if made[0][2:] != made[-1][2:]:
            assert "differ" in result or "pairs_differ" in result or "types_differ" in result, name
        elif "side" in name or "truncation" in name:
            result |= {"cut": made[0][2], "cut_pairs": made[0][3]}
        if len(made) == 1 and name != "TokenizersBackend":  # which only version 5 has
            del result["pairs"]
        folders.append({"name": name, "files": files} | result)
    for name, files in lowered():
        folders.append({"name": name, "files": files, "ids": lowered_ids(files)})
    golden = {"texts": TEXTS, "pairs": PAIRS, "folders": folders}
    (HERE / "folders.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(len(folders), "folders; differ:", [f["name"] for f in folders if "differ" in f])
    print("pairs differ:", [f["name"] for f in folders if "pairs_differ" in f])
    print("types differ:", [f["name"] for f in folders if "types_differ" in f])


if __name__ == "__main__":
    main(sys.argv[1])

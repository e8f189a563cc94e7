"""Makes the golden files of the tokenizers of classes: python make.py OLDER_PYTHON [--keep]

With --keep, only folders.json is made again. Trains small tokenizers on committed text, writes their files, lets transformers 5.24.0 (this
Python) and 4.57.6 (OLDER_PYTHON) save folders of them, and writes beside this script:
  BASE/           vocab.json, merges.txt, vocab.txt, sentencepiece.bpe.model: vocabularies as trained
  BASE/saved_4, BASE/saved_5    tokenizer.json and other files as versions 4 and 5 save them
  folders.json    folders of such files (name in the folder: file of this place, or its content),
                  and of the ids that AutoTokenizer gives for the texts of tokenizer_json: a hash
                  for each 20 texts, and the ids of each 300th. Of texts that the two versions
                  disagree on, "differ" has the number; the ids are version 5's. Where they have
                  neither U+0085 nor "<mask>", Headlane refuses what version 4 saved: "refused"
                  is a part of the sentence.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers

HERE = pathlib.Path(__file__).parent
CONFIG = {"vocab_size": 4096, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
          "intermediate_size": 8}
TYPES = {"roberta": "roberta", "xlm_roberta": "xlm-roberta", "camembert": "camembert",
         "mpnet": "mpnet", "bert": "bert", "gpt2": "gpt2"}
CLASSES = {"roberta": "RobertaTokenizer", "xlm_roberta": "XLMRobertaTokenizer",
           "camembert": "CamembertTokenizer", "mpnet": "MPNetTokenizer", "bert": "BertTokenizer",
           "gpt2": "GPT2Tokenizer"}


def of_steps():
    folder = HERE.parent / "tokenizer_json"
    sys.path.append(str(folder))  # what its make.py imports
    spec = importlib.util.spec_from_file_location("steps", folder / "make.py")
    steps = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(steps)
    return steps


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def write_bpe(steps, folder, specials, last):
    from tokenizers import Tokenizer, models, pre_tokenizers
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t = steps.byte_level_bpe(t, size=700, specials=specials)
    model = json.loads(t.to_str())["model"]
    vocab = model["vocab"] | {last: len(model["vocab"])}
    write_json(folder / "vocab.json", vocab)
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")


def write_wordpiece(steps, folder, specials):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(steps.training_text(), trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=specials, limit_alphabet=200, show_progress=False))
    vocab = t.get_vocab()
    (folder / "vocab.txt").write_text("".join(w + "\n" for w in sorted(vocab, key=vocab.get)))


def write_bases(steps):
    for base in TYPES:
        (HERE / base).mkdir(exist_ok=True)
    write_bpe(steps, HERE / "roberta", ["<s>", "<pad>", "</s>", "<unk>"], "<mask>")
    write_bpe(steps, HERE / "gpt2", [], "<|endoftext|>")
    write_wordpiece(steps, HERE / "bert", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    write_wordpiece(steps, HERE / "mpnet",
                    ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"])
    with tempfile.TemporaryDirectory() as scratch:  # with SentencePiece's own rules, nmt_nfkc
        import sentencepiece
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([t for t in steps.training_text() if t]),
            model_prefix=scratch + "/m", model_type="unigram", vocab_size=1000,
            character_coverage=0.995, num_threads=1, minloglevel=2)
        shutil.copy(scratch + "/m.model", HERE / "xlm_roberta/sentencepiece.bpe.model")
    (HERE / "camembert/sentencepiece.bpe.model").write_bytes(
        steps.sentencepiece_model("unigram", 990, user_defined_symbols=["<user>"]))


VOCABULARIES = ["vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model"]


def vocabulary(base):
    return {name: "%s/%s" % (base, name) for name in VOCABULARIES if (HERE / base / name).exists()}


def config(base, **changes):
    return {"config.json": CONFIG | {"model_type": TYPES[base]} | changes}


def write_folder(folder, files):
    for name, content in files.items():
        if isinstance(content, str):
            shutil.copy(HERE / content, folder / name)
        else:
            write_json(folder / name, content)


def save():
    """The folders that this version of transformers makes of the vocabularies."""
    version = transformers.__version__[0]
    for base in TYPES:
        with tempfile.TemporaryDirectory() as scratch:
            write_folder(pathlib.Path(scratch), vocabulary(base) | config(base))
            tokenizer = transformers.AutoTokenizer.from_pretrained(scratch)
            tokenizer.model_max_length = 512
            out = HERE / base / ("saved_" + version)
            shutil.rmtree(out, ignore_errors=True)
            tokenizer.save_pretrained(out)
            for name in VOCABULARIES:
                (out / name).unlink(missing_ok=True)
            if base == "xlm_roberta" and version == "5":  # the large character map again
                shutil.rmtree(out)
                continue
            for path in out.iterdir():
                value = json.loads(path.read_text())
                if isinstance(value, dict):
                    value.pop("name_or_path", None)
                write_json(path, value)


def saved(base, version):
    place = "%s/saved_%d" % (base, version)
    return {p.name: "%s/%s" % (place, p.name) for p in sorted((HERE / place).iterdir())}


def changed(file, **changes):
    return json.loads((HERE / file).read_text()) | changes


def folders():
    for base in TYPES:
        if base != "bert":
            yield base + ", vocabulary alone", vocabulary(base) | config(base)
        for version in (4, 5):
            if (HERE / base / ("saved_%d" % version)).exists():
                yield "%s, saved by %d" % (base, version), saved(base, version) | config(base)
    yield "bert body, class and vocabulary", vocabulary("roberta") | config("bert") | {
        "tokenizer_config.json": {"tokenizer_class": "RobertaTokenizerFast"}}
    yield "electra, vocabulary alone", vocabulary("bert") | config("bert", model_type="electra")
    yield "distilbert, saved by 4", saved("bert", 4) | config("bert", model_type="distilbert")
    yield "e5, saved by 4", saved("xlm_roberta", 4) | config("bert")
    yield "cased mpnet", vocabulary("mpnet") | config("mpnet") | {
        "tokenizer_config.json": {"do_lower_case": False}}
    yield "roberta, tokenizer.json of 4 alone", config("roberta") | {
        "tokenizer.json": "roberta/saved_4/tokenizer.json"}
    yield "roberta, saved by 4, blank before", saved("roberta", 4) | config("roberta") | {
        "tokenizer_config.json": changed("roberta/saved_4/tokenizer_config.json",
                                         add_prefix_space=True)}


def ids_of(files, texts):
    with tempfile.TemporaryDirectory() as scratch:
        write_folder(pathlib.Path(scratch), files)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(scratch)
            return tokenizer(texts)["input_ids"]
        except Exception as error:  # whatever it is, the folder is not read
            print(repr(error)[:200], file=sys.stderr)
            return None


def main(older):
    transformers.logging.set_verbosity_error()
    if older == "--save":
        save()
        return
    if older == "--ids":
        given = json.load(sys.stdin)
        json.dump([ids_of(files, given["texts"]) for files in given["folders"]], sys.stdout)
        return
    steps = of_steps()
    if "--keep" not in sys.argv:
        write_bases(steps)
        save()
        subprocess.run([older, __file__, "--save"], check=True)
    texts = steps.texts()
    named = list(folders())
    given = json.dumps({"texts": texts, "folders": [files for _, files in named]})
    old_ids = json.loads(subprocess.run([older, __file__, "--ids"], input=given.encode(),
                                        stdout=subprocess.PIPE, check=True).stdout)
    out = []
    for (name, files), old in zip(named, old_ids):
        new = ids_of(files, texts)
        if old is None and new is None:
            print(name, "neither")
            continue
        ids = new or old
        differ = [i for i in range(len(texts)) if old and new and old[i] != new[i]]
        known = all("\x85" in texts[i] or "<mask>" in texts[i] for i in differ)
        print(name, "4" * bool(old) + "5" * bool(new), len(differ), known)
        for i in differ[:3]:
            print("   ", repr(texts[i][:60]), old[i][:8], new[i][:8])
        if not known and "saved by 4" in name:
            out.append({"name": name, "files": files, "differ": len(differ),
                        "refused": "transformers 4 obeys the file and transformers 5 the class"})
            continue
        out.append({"name": name, "files": files, "differ": len(differ),
                    "ids": {str(i): ids[i] for i in range(0, len(texts), 300)},
                    "hashes": "".join("%08x" % steps.hash_of(sum(ids[i:i + 20], []))
                                      for i in range(0, len(texts), 20))})
    write_json(HERE / "folders.json", out)


if __name__ == "__main__":
    main(sys.argv[1])

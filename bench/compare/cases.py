"""What tools/bench measures: files of cases, one problem a line.

    # all-MiniLM-L6-v2                      a remark
    model minilm                            what the lines below run: minilm or gemma
                                            (tools/fetch-model), a Hugging Face folder, a GGUF file,
                                            or
                                            random-bert N_LAYERS D_MODEL N_HEADS D_FF
                                            random-mpnet, with the same sizes
                                            random-reranker N_LAYERS D_MODEL N_HEADS D_FF VOCAB: an
                                            XLM-RoBERTa with a head of one label
                                            random-marian N_LAYERS D_MODEL N_HEADS D_FF VOCAB:
                                            as many layers of the encoder as of the decoder
                                            random-llama N_LAYERS D_MODEL N_HEADS N_KV_HEADS D_FF
                                            VOCAB TYPE: a GGUF file of a type of llama.cpp's, such as
                                            q4_k_m, or bf16, which is for --precision bf16
    32x128                                  token ids in, hidden states out: 32 sequences of 128
    corpus FILE                             texts in, vectors out, one text a line, 500 of them;
                                            sentences/s
    latency FILE                            likewise, one text alone, 40 of them
    rerank N QUERY DOCUMENT                 texts in, scores out: N documents of so many words for a
                                            query; a word is a token of random-reranker
    cold-start                              a process that embeds one sentence
    memory FILE                             a process that embeds a file
    generate BATCH BEAMS                    sources of 20 to 40 token ids in, the 40 of each answer
                                            out: no answer ends before. Greedy with 1 beam. Of a
                                            model with a decoder, random-marian or a folder of
                                            Marian's
    encode BATCH                            the encoder of such a model alone, on the same sources
    decode SEQUENCES CONTEXT                sequences of so many token ids each (0: of one) go on by
                                            16 tokens, the likeliest; tokens/s without the context's
                                            own time. Of gemma (tools/fetch-model), random-llama or a
                                            GGUF file
    prompt TOKENS                           a sequence of so many ids up to its first new token;
                                            tokens/s, of such a model
    shared TOKENS SHARED                    the same of a sequence that has its first SHARED tokens
                                            in common with one that is in the cache; tokens/s of
                                            those that it has not
    first-token TOKENS                      the same, from opening the model's file on, which the
                                            system has in memory; ms
    encoder-layer BATCH SEQ D_MODEL N_HEADS D_FF
    mha BATCH SEQ D_MODEL N_HEADS
    attention BATCH SEQ N_HEADS HEAD_DIM [causal]
    gemm ROWS D_IN D_OUT                    one product with weights and bias
    engines NAME...                         those that run this file where --engines names none

FILE is found from the file of cases, from the root of the repository, or is an absolute path.
"""

import dataclasses
import pathlib
import re

import decoding
import translation

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(__file__).resolve().parent / "cases"
NUMBERS = {  # of kinds that take numbers, in the order of their line
    "padded": ("batch", "seq"),
    "rerank": ("batch", "query", "document"),
    "generate": ("batch", "beams"),
    "encode": ("batch",),
    "decode": ("sequences", "context"),
    "prompt": ("tokens",),
    "shared": ("tokens", "shared"),
    "first-token": ("tokens",),
    "encoder-layer": ("batch", "seq", "d_model", "n_heads", "d_ff"),
    "mha": ("batch", "seq", "d_model", "n_heads"),
    "attention": ("batch", "seq", "n_heads", "head_dim"),
    "gemm": ("rows", "d_in", "d_out"),
}
WITH_TEXTS = ("corpus", "latency", "memory")
PROCESSES = ("cold-start", "memory")  # measured from outside, on a process of its own a round
OF_MODELS = ("padded", "rerank", *WITH_TEXTS, "cold-start", *translation.KINDS,
             *decoding.KINDS)
FETCHED = ("minilm", "gemma")  # by tools/fetch-model
RANDOM = {  # models made of random weights: what their lines hold
    "random-bert": ("N_LAYERS", "D_MODEL", "N_HEADS", "D_FF"),
    "random-mpnet": ("N_LAYERS", "D_MODEL", "N_HEADS", "D_FF"),
    "random-reranker": ("N_LAYERS", "D_MODEL", "N_HEADS", "D_FF", "VOCAB"),
    "random-marian": ("N_LAYERS", "D_MODEL", "N_HEADS", "D_FF", "VOCAB"),
    "random-llama": ("N_LAYERS", "D_MODEL", "N_HEADS", "N_KV_HEADS", "D_FF", "VOCAB", "TYPE"),
}
TYPES = ("bf16", "q8_0", "q4_0", "q4_k_m")  # of random-llama
UNITS = {"corpus": "sentences/s", "memory": "MB",
         **dict.fromkeys(("decode", "prompt", "shared"), "tokens/s")}  # ms otherwise


class CaseError(ValueError):
    """A line that is not a case; says where."""


@dataclasses.dataclass(frozen=True)
class Case:
    group: str  # the file's name
    kind: str
    sizes: dict = dataclasses.field(default_factory=dict)
    texts: str = ""  # a file
    model: str = ""  # as in the file; "" where the line says all
    causal: bool = False

    @property
    def name(self):
        if self.kind == "padded":
            return f"{self.sizes['batch']}x{self.sizes['seq']}"
        texts = [pathlib.Path(self.texts).stem] * bool(self.texts)
        return " ".join([self.kind, *map(str, self.sizes.values()), *["causal"] * self.causal,
                         *texts])

    @property
    def unit(self):
        return UNITS.get(self.kind, "ms")

    @property
    def more_is_better(self):
        return self.unit.endswith("/s")


def is_size(word, least=1):
    return word.isdigit() and int(word) >= least


def parse_line(words, group, model, folder):
    kind, rest = words[0], words[1:]
    shape = re.fullmatch(r"(\d+)x(\d+)", kind)
    if shape:
        kind, rest = "padded", [*shape.groups(), *rest]
    if kind not in NUMBERS and kind not in OF_MODELS:
        raise CaseError(f"{kind} is no kind of case")
    causal = kind == "attention" and rest[-1:] == ["causal"]
    if causal:
        rest = rest[:-1]
    if kind in OF_MODELS and not model:
        raise CaseError(f"{kind} needs a line \"model\" above")
    names = NUMBERS.get(kind, ("FILE",) if kind in WITH_TEXTS else ())
    if len(rest) != len(names):
        raise CaseError(f"{kind} takes {' '.join(names) or 'nothing more'}")
    if kind in WITH_TEXTS:
        return Case(group, kind, texts=find(rest[0], folder), model=model)
    if not all(is_size(word, name != "context") for name, word in zip(names, rest)):
        raise CaseError(f"{' '.join(rest)}: sizes are whole numbers from 1")
    sizes = dict(zip(names, map(int, rest)))
    if kind == "shared" and sizes["shared"] >= sizes["tokens"]:
        raise CaseError("shared tokens are fewer than all")
    if kind in ("encoder-layer", "mha") and sizes["d_model"] % sizes["n_heads"]:
        raise CaseError(f"d_model {sizes['d_model']} is no multiple of {sizes['n_heads']} heads")
    return Case(group, kind, sizes, model=model if kind in OF_MODELS else "", causal=causal)


def parse_model(words, folder):
    sizes = RANDOM.get(words[0]) if words else None
    if sizes:
        fit = [word in TYPES if size == "TYPE" else is_size(word)
               for size, word in zip(sizes, words[1:])]
        if len(words) != 1 + len(sizes) or not all(fit):
            raise CaseError(f"{words[0]} takes {' '.join(sizes)}" +
                            (f"; a type is {', '.join(TYPES)}" if "TYPE" in sizes else ""))
    elif len(words) != 1:
        raise CaseError(f"model takes {' or '.join(FETCHED)}, a folder, a GGUF file, or "
                        f"{' or '.join(RANDOM)} and its sizes")
    elif words[0] not in FETCHED:
        return find(words[0], folder)
    return " ".join(words)


def find(path, folder):
    """A file named in a file of cases of this folder."""
    for base in (folder, ROOT):
        if (base / path).exists():
            return str((base / path).resolve())
    raise CaseError(f"{path} is neither in {folder} nor in {ROOT}")


def parse(text, group, folder=ROOT):
    """The cases of a file's text. CaseError names the line."""
    found, model = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        try:
            if words[:1] == ["model"]:
                model = parse_model(words[1:], folder)
            elif words and words[0] != "engines":
                found.append(parse_line(words, group, model, folder))
        except CaseError as error:
            raise CaseError(f"{group}:{number}: {error}") from None
    if not found:
        raise CaseError(f"{group}: no cases")
    return found


def file_of(name):
    """bench/cases/NAME.txt, or a file elsewhere."""
    path = FOLDER / f"{name}.txt"
    if not path.is_file():
        path = pathlib.Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.txt")))
        raise CaseError(f"{name} is neither a file nor one of {known}")
    return path


def engines(name):
    """The engines that a file names for itself; none of most files."""
    lines = file_of(name).read_text(encoding="utf-8").splitlines()
    words = [line.split("#", 1)[0].split() for line in lines]
    return [engine for row in words if row[:1] == ["engines"] for engine in row[1:]]


def read(name):
    """The cases of a file."""
    path = file_of(name)
    return parse(path.read_text(encoding="utf-8"), path.stem, path.resolve().parent)


def read_texts(path):
    """The lines of a file of texts that are not empty."""
    lines = pathlib.Path(path).read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line]


def encoder_flops(n_tokens, pairs, n_layers, d_model, d_ff):
    """Multiplications and additions of the products of an encoder: projections and feed-forward for
    each token, scores and values for each pair of tokens that see each other."""
    return n_layers * (2 * n_tokens * (4 * d_model ** 2 + 2 * d_model * d_ff) +
                       4 * pairs * d_model)


def flops(case, config=None, lengths=()):
    """Of one run of a case, or of one text on average, whose lengths in tokens these are; where
    sources are translated, of all of them. config: of the case's model."""
    size = case.sizes
    if case.kind in decoding.KINDS:
        return decoding.flops(case, config)
    if case.kind in translation.KINDS:
        return translation.flops(case, config, lengths) if lengths else None
    # A pair of texts is <s> query </s> </s> document </s>.
    seq = size["query"] + size["document"] + 4 if case.kind == "rerank" else size.get("seq", 1)
    n_tokens = size.get("batch", 1) * seq
    pairs = n_tokens * seq
    if case.kind in ("padded", "rerank") or case.kind in WITH_TEXTS and lengths:
        if lengths:
            n_tokens = sum(lengths) / len(lengths)
            pairs = sum(n * n for n in lengths) / len(lengths)
        return encoder_flops(n_tokens, pairs, config["num_hidden_layers"], config["hidden_size"],
                             config["intermediate_size"])
    if case.kind in ("encoder-layer", "mha"):
        return encoder_flops(n_tokens, pairs, 1, size["d_model"], size.get("d_ff", 0))
    if case.kind == "attention":
        if case.causal:
            pairs = size["batch"] * size["seq"] * (size["seq"] + 1) // 2
        return 4 * size["n_heads"] * pairs * size["head_dim"]
    if case.kind == "gemm":
        return 2 * size["rows"] * size["d_in"] * size["d_out"]
    return None

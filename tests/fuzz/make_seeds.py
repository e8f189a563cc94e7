#!/usr/bin/env python3
"""Makes the inputs that a fuzzer starts from, beside those of tests/fuzz/corpus.

    python3 tests/fuzz/make_seeds.py TARGET FOLDER

Models (model_file, structure) are a few KB each: every architecture, position scheme, norm, precision and tokenizer
that a file can ask for is in one of them. They are written by the description in engine/file/container.h, from nothing;
their weights are small random numbers. Files of folders (config, tokenizer) are the golden ones, behind the number of
their place in the fuzzer's list.
"""

import json
import pathlib
import re
import struct
import sys

import numpy as np

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
ALIGNMENT = 64
random = np.random.default_rng(8)


def align_up(n):
    return -(-n // ALIGNMENT) * ALIGNMENT


def stored(values, dtype):
    """The bytes of an array as f32, or as bf16 or s8 of its own; anything else is bytes already."""
    if dtype == "f32":
        return values.astype("<f4").tobytes()
    if dtype == "bf16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype("i1").tobytes()


class Model:
    def __init__(self, config, precision="f32"):
        self.config, self.tokenizer, self.precision = config, None, precision
        self.tensors = []  # name, dtype, shape, bytes
        self.panels = []  # weight, layout, bytes

    def vector(self, name, n):
        self.tensors.append((name, "f32", [n], stored(random.normal(0, 0.3, n), "f32")))

    def matrix(self, name, rows, cols, scale=None):
        """In the model's precision, its scale in a tensor of that name with int8; f32 without one."""
        dtype = {"f32": "f32", "bf16": "bf16", "int8": "s8"}[self.precision if scale else "f32"]
        values = random.integers(-127, 128, [rows, cols]) if dtype == "s8" else random.normal(0, 0.3, [rows, cols])
        self.tensors.append((name, dtype, [rows, cols], stored(values, dtype)))
        if dtype == "s8":
            self.tensors.append((scale, "f32", [rows], stored(random.uniform(0.001, 0.01, rows), "f32")))

    def product(self, name, n, k, bias=True):
        self.matrix(f"{name}.weight", n, k, f"{name}.scale")
        if bias:
            self.vector(f"{name}.bias", n)

    def pack(self):
        """Panels of all products in f32, for kernels of 16 columns and of 48: numbers like any."""
        for name, _, shape, _ in list(self.tensors):
            if not name.startswith("encoder.layers.") or not name.endswith(".weight") or len(shape) != 2:
                continue
            for columns in (16, 48):
                rows = -(-shape[0] // columns) * columns
                panels = random.normal(0, 0.3, [rows, shape[1] + 1])
                self.panels.append((name.removesuffix(".weight"), f"f32/columns/{columns}", stored(panels, "f32")))
        return self

    def norm(self, name, bias=True):
        self.vector(f"{name}.weight", self.config["d_model"])
        if bias:
            self.vector(f"{name}.bias", self.config["d_model"])

    def words(self, name, n):
        self.matrix(name, n, self.config["d_model"], f"{name}.scale")

    def text(self, name, data):
        self.tensors.append((name, "u8", [len(data)], data))

    def write(self, path):
        def header_of(begin):
            table, offset = [], begin
            for name, dtype, shape, data in self.tensors:
                table.append({"name": name, "dtype": dtype, "shape": shape, "offset": offset, "bytes": len(data)})
                offset = align_up(offset + len(data))
            panels = []
            for weight, layout, data in self.panels:
                panels.append({"weight": weight, "layout": layout, "offset": offset, "bytes": len(data)})
                offset = align_up(offset + len(data))
            header = {"config": self.config, "tokenizer": self.tokenizer, "tensors": table, "panels": panels}
            return json.dumps(header, separators=(",", ":")).encode()

        begin = align_up(24 + len(header_of(1 << 20)))
        header = header_of(begin).ljust(begin - 24)
        data = b"HEADLANE" + struct.pack("<IIQ", 2, 0, len(header)) + header
        for content in [*(row[3] for row in self.tensors), *(row[2] for row in self.panels)]:
            data = data.ljust(align_up(len(data)), b"\0") + content
        path.write_bytes(data)


def flags(token, **others):
    return {"id": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, **others}


def attention(**fields):
    return {"n_heads": 2, "n_kv_heads": 2, "head_dim": 2, "v_dim": 2, "score": "scaled_dot", "scale": 0.7,
            "softcap": 0.0, "causal": "none", "window_left": None, "window_right": None, **fields}


def stack(tokens, **fields):
    """One layer that normalises after its residual sums, of which fields tell more or something else."""
    of_tokens = {"vocab_size": 12, "n_types": 0, "embedding_scale": 1.0} if tokens else {}
    return {"n_layers": 1, **of_tokens, "embedding_norm": False, "max_positions": 16, "positions": "none",
            "position_offset": 0, "attention": attention(), "d_ff": 5, "activation": "relu", "gated": False,
            "norm_kind": "layer", "norm": "post", "norm_eps": 1e-5, "final_norm": False, "residual": True,
            "biases": False, **fields}


def bert(precision="f32", pooling="mean", higher_precision=(), **fields):
    """Two heads of 3; a WordPiece vocabulary of 20."""
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the a b ##a ##b ##ing hello world , . ! don ' t caf".split()
    encoder = stack(True, vocab_size=len(words), n_types=2, embedding_norm=True, max_positions=9, positions="learned",
                    attention=attention(head_dim=3, v_dim=3), activation="gelu", norm_eps=1e-12, biases=True)
    encoder |= fields
    head = {"kind": "pool", "pooling": pooling, "normalize": pooling != "max"} if pooling else {"kind": "hidden"}
    config = {"architecture": "bert", "inputs": "tokens", "d_model": 6, "max_seq_len": 8, "encoder": encoder,
              "head": head, "higher_precision": list(higher_precision)}
    model = Model(config, precision)
    model.words("encoder.embeddings.word", encoder["vocab_size"])
    model.matrix("encoder.positions.weight", encoder["max_positions"], 6)
    if encoder["n_types"] > 0:
        model.matrix("encoder.embeddings.type", encoder["n_types"], 6)
    model.norm("encoder.embeddings.norm")
    for i in range(encoder["n_layers"]):
        layer = f"encoder.layers.{i}"
        add_attention(model, f"{layer}.attention", encoder["attention"], True, False)
        model.norm(f"{layer}.attention.norm")
        add_ffn(model, f"{layer}.ffn", encoder["d_ff"], True)
        model.norm(f"{layer}.ffn.norm")
    model.tokenizer = {"type": "wordpiece", "n_pieces": len(words), "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True, "unk_token": "[UNK]", "prefix": "##",
                       "max_chars_per_word": 100, "ids_before": [2], "ids_after": [3],
                       "added_tokens": [flags(0), flags(3), flags(4, lstrip=True), flags(7, normalized=True)]}
    model.text("tokenizer.vocab", "".join(word + "\n" for word in words).encode())
    return model


ROTARY = {"dims": 2, "interleaved": False, "base": 10000.0, "max_positions": 32, "scaling": "none", "factor": 1.0,
          "original_max_positions": 0, "beta_fast": 32.0, "beta_slow": 1.0, "attention_factor": 1.0,
          "low_freq_factor": 1.0, "high_freq_factor": 4.0, "truncate": True}


def add_attention(model, name, spec, bias, separate, kdim=None, vdim=None):
    """Q, K and V as one product, or as three."""
    d_model = model.config["d_model"]
    q, kv, v = (spec["n_heads"] * spec["head_dim"], spec["n_kv_heads"] * spec["head_dim"],
                spec["n_kv_heads"] * spec["v_dim"])
    if separate:
        model.product(f"{name}.q", q, d_model, bias)
        model.product(f"{name}.k", kv, kdim or d_model, bias)
        model.product(f"{name}.v", v, vdim or d_model, bias)
    else:
        model.product(f"{name}.qkv", q + kv + v, d_model, bias)
    model.product(f"{name}.out", d_model, spec["n_heads"] * spec["v_dim"], bias)


def add_ffn(model, name, d_ff, bias, gated=False):
    model.product(f"{name}.up", 2 * d_ff if gated else d_ff, model.config["d_model"], bias)
    model.product(f"{name}.down", model.config["d_model"], d_ff, bias)


def layers(precision="f32", bias=True, decoder=None, encoder=True, **fields):
    """Layers on activations; `decoder`: those of a decoder behind them, or alone without an encoder."""
    own = {key: fields.pop(key) for key in ("kdim", "vdim") if key in fields}
    config = {"architecture": "layers", "inputs": "activations", "d_model": 4, "kdim": 4, "vdim": 4,
              "batch_first": True, "head": {"kind": "hidden"}, **own}
    if encoder:
        config["encoder"] = stack(False, max_positions=32, biases=bias, **fields)
    if decoder:
        config["decoder"] = stack(False, max_positions=32, biases=bias, **{**fields, **decoder})
    model = Model(config, precision)
    for name in ("encoder", "decoder"):
        if name in config:
            add_stack_of_layers(model, name, config[name], bias)
    return model


def add_stack_of_layers(model, name, of, bias):
    def norm(tensor):
        if of["norm"] != "none":
            model.norm(tensor, bias)

    if of["positions"] == "learned":
        model.matrix(f"{name}.positions.weight", of["max_positions"], 4)
    for i in range(of["n_layers"]):
        layer = f"{name}.layers.{i}"
        add_attention(model, f"{layer}.attention", of["attention"], bias, True, model.config["kdim"],
                      model.config["vdim"])
        norm(f"{layer}.attention.norm")
        if "cross" in of:
            add_attention(model, f"{layer}.cross", of["cross"], bias, True)
            norm(f"{layer}.cross.norm")
        if of["d_ff"] > 0:
            add_ffn(model, f"{layer}.ffn", of["d_ff"], bias)
            norm(f"{layer}.ffn.norm")
    if of["final_norm"]:
        model.norm(f"{name}.norm", bias)


def encoder_decoder(precision="f32", vocab_size=12, bias=True, relative=False, own_words=False, generation=None,
                    **fields):
    def spec(causal, bidirectional):
        bias_of = {"n_buckets": 4, "max_distance": 6, "bidirectional": bidirectional, "max_len": 16}
        return attention(causal=causal, **({"relative_bias": bias_of} if relative else {}))

    with_bias = bias and fields.get("norm_kind") != "rms"
    both = {"vocab_size": vocab_size, "embedding_scale": 2.0, "positions": "sinusoidal_inclusive", "position_offset": 2,
            "norm": "pre", "final_norm": True, "biases": bias, **fields}
    encoder = stack(True, attention=spec("none", True), **both)
    decoder = stack(True, attention=spec("lower_right", False), cross=attention(), **{**both, "d_ff": 6})
    config = {"architecture": "encoder_decoder", "inputs": "tokens", "d_model": 4, "max_seq_len": 16,
              "encoder": encoder, "decoder": decoder, "head": {"kind": "logits"},
              "generation": {"early_stopping": "first", "end_ids": [2], "forced_first_id": -1, "forced_last_id": -1,
                             "length_penalty": 1.0, "max_new_tokens": 8, "min_new_tokens": 0, "n_beams": 3,
                             "pad_id": 1, "renormalize": False, "repetition_penalty": 1.0, "start_id": 2,
                             "suppressed_ids": [1], **(generation or {})}}
    model = Model(config, precision)
    model.words("encoder.embeddings.word", vocab_size)
    if own_words:
        model.words("decoder.embeddings.word", vocab_size)
        model.product("lm_head", vocab_size, 4, True)
    for name, of in (("encoder", encoder), ("decoder", decoder)):
        if of["embedding_norm"]:
            model.norm(f"{name}.embeddings.norm", with_bias)
        if of["positions"] == "learned":
            model.matrix(f"{name}.positions.weight", of["max_positions"], 4)
        if relative:
            model.matrix(f"{name}.relative_bias", 4, 2)
        for i in range(of["n_layers"]):
            layer = f"{name}.layers.{i}"
            add_attention(model, f"{layer}.attention", of["attention"], bias, False)
            model.norm(f"{layer}.attention.norm", with_bias)
            if name == "decoder":
                model.product(f"{layer}.cross.q", 4, 4, bias)
                model.product(f"{layer}.cross.kv", 8, 4, bias)
                model.product(f"{layer}.cross.out", 4, 4, bias)
                model.norm(f"{layer}.cross.norm", with_bias)
            add_ffn(model, f"{layer}.ffn", of["d_ff"], bias, of["gated"])
            model.norm(f"{layer}.ffn.norm", with_bias)
        if of["final_norm"]:
            model.norm(f"{name}.norm", with_bias)
    return model


def with_sentencepiece(model, folder, source, target=None, **spec):
    """The tokenizer of tests/golden/sentencepiece, its vocabulary cut to the model's."""
    tokens = json.loads((GOLDEN / "sentencepiece" / folder / "vocab.json").read_text())
    vocab = [token for token, _ in sorted(tokens.items(), key=lambda item: item[1])][:model.config["encoder"]["vocab_size"]]
    model.tokenizer = {"type": "sentencepiece", "unk_token": "<unk>", "ids_before": [], "ids_after": [0],
                       "added_tokens": [flags(0), flags(1)], "special_ids": [0, 1], "language_use": "none",
                       "languages": [], "source_language": None, "language_after": False, "text_languages": False,
                       **spec}
    model.text("tokenizer.vocab", "".join(token + "\n" for token in vocab).encode())
    model.text("tokenizer.source", (GOLDEN / "sentencepiece" / folder / source).read_bytes())
    if target:
        model.text("tokenizer.target", (GOLDEN / "sentencepiece" / folder / target).read_bytes())
    return model


GROUP_BYTES = {"s8g32": 34, "s6g16": 28, "u5g32": 24, "u4g32": 20}


def with_parts(model, product, parts):
    """The weight of a product in parts of (precision, dtype, rows), in one group of columns."""
    at = next(i for i, tensor in enumerate(model.tensors) if tensor[0] == f"{product}.weight")
    cols = model.tensors.pop(at)[2][1]
    for i, (precision, dtype, rows) in enumerate(parts):
        name = f"{product}.part.{i}"
        data = random.integers(0, 48, rows * GROUP_BYTES[dtype]).astype("u1").tobytes()
        model.tensors.insert(at + i, (f"{name}.weight", dtype, [rows, cols], data))
        model.config.setdefault("precisions", []).append({"name": name, "precision": precision})
    return model


def models():
    yield "bert", bert()
    yield "bert_cls_two_layers", bert(pooling="cls", n_layers=2, activation="gelu_tanh", n_types=0)
    yield "bert_packed", bert(pooling="cls").pack()
    yield "bert_bf16", bert("bf16", pooling="max")
    yield "bert_int8", bert("int8", pooling=None, higher_precision=["encoder.layers.0.ffn.down"])
    yield "bert_parts", with_parts(bert(d_ff=72), "encoder.layers.0.ffn.up",
                                   [("int6", "s6g16", 32), ("int4", "u4g32", 32), ("int5", "u5g32", 8)])
    window, all_keys = {"left": 1, "right": 1}, {"left": None, "right": None}
    yield "bert_windows", bert(n_layers=3, windows=[window, all_keys])
    yield "layers", layers()
    yield "layers_cross", layers(attention=attention(causal="upper_left", window_left=3), norm="none", d_ff=0,
                                 kdim=3, vdim=5, residual=False)
    yield "layers_rotary", layers(attention=attention(rotary=ROTARY, n_kv_heads=1), norm="pre", final_norm=True,
                                  positions="sinusoidal", bias=True)
    yarn = {**ROTARY, "scaling": "yarn", "factor": 4.0, "original_max_positions": 8, "interleaved": True}
    yield "layers_yarn", layers("bf16", attention=attention(rotary=yarn, softcap=5.0), n_layers=2, positions="learned")
    decoder = {"attention": attention(causal="upper_left"), "cross": attention(), "d_ff": 6}
    yield "layers_transformer", layers(decoder=decoder, norm="pre", final_norm=True, activation="gelu")
    yield "layers_decoder", layers("int8", decoder=decoder, encoder=False)
    yield "m2m_100", encoder_decoder(generation={"forced_first_id": 5})
    yield "t5", encoder_decoder("int8", bias=False, relative=True, positions="none", norm_kind="rms", gated=True,
                                activation="gelu_tanh", embedding_scale=1.0, position_offset=0)
    yield "mbart", encoder_decoder("bf16", positions="learned", embedding_norm=True, position_offset=0, own_words=True,
                                   generation={"repetition_penalty": 1.3, "early_stopping": "heuristic"})
    marian = encoder_decoder(vocab_size=120, positions="sinusoidal_halves", norm="post", final_norm=False,
                             position_offset=0, activation="silu", generation={"end_ids": [0], "renormalize": True})
    yield "marian_text", with_sentencepiece(marian, "marian", "source.spm", "target.spm", text_languages=True)
    m2m = encoder_decoder(vocab_size=60)
    languages = [{"name": "en", "id": 58}, {"name": "zh", "id": 59}]
    yield "m2m_100_text", with_sentencepiece(m2m, "m2m100", "sentencepiece.bpe.model", language_use="source",
                                             languages=languages, source_language="en", special_ids=[0, 1, 58, 59])


def safetensors():
    """A header of each dtype, and the golden file of a layer."""
    header = {"__metadata__": {"format": "pt"}}
    data = b""
    for dtype, size in (("F32", 4), ("F16", 2), ("BF16", 2), ("F64", 8), ("I64", 8)):
        header[dtype.lower()] = {"dtype": dtype, "shape": [3, 2], "data_offsets": [len(data), len(data) + 6 * size]}
        data += bytes(range(6 * size))
    text = json.dumps(header).encode()
    yield "dtypes", struct.pack("<Q", len(text)) + text + data
    yield "layer", (GOLDEN / "layers" / "attention_zero" / "model.safetensors").read_bytes()


def gguf():
    """The golden files that are not larger than what a fuzzer may write."""
    for path in sorted((GOLDEN / "gguf").glob("*.gguf")):
        if path.stat().st_size <= 65536:
            yield path.stem, path.read_bytes()


def chats():
    """Messages as JSON in the first line, and a template, which is the rest."""
    families = json.loads((GOLDEN / "chat/templates.json").read_text())["templates"]
    for name, family in families.items():
        yield f"chat_{name}", f"{family['cases'][0]['messages']}\n{family['template']}".encode()


def constraints():
    """Schemas and expressions of the constraints' test."""
    test = (GOLDEN.parent / "engine/constraint/constraint_test.cc").read_text()
    found = re.findall(r'R"\((.*?)\)"', test, re.DOTALL)
    for i, schema in enumerate(found):
        yield f"schema_{i:02}", b"s" + schema.encode()
    for i, regex in enumerate(["(ab|a)c?", "[^a-f]{3,40}", "-?(0|[1-9]\\d*)", "\\u4eca|\\w+\\s\\S", "((a?b?){2}c){3}"]):
        yield f"regex_{i:02}", b"r" + regex.encode()


def regexes():
    """Each expression of the golden steps, with a text."""
    steps = (GOLDEN / "tokenizer_json" / "steps.json").read_text()
    found = sorted({json.loads(r) for r in re.findall(r'"Regex":("(?:[^"\\]|\\.)*")', steps)})
    for i, regex in enumerate(found):
        text = "a man, Don't\t\x01 STOP 1234 \u4f60\u597d Caf\u00e9 e\u0301 \u0635 \r\n  aab!"
        yield f"regex_{i:02}", f"{regex}\n{text}".encode()


def folder_files(target):
    """The golden file of each place, and what the last one stands for: the engine's config, a text."""
    source = (pathlib.Path(__file__).parent / f"{target}_fuzz.cc").read_text()
    files = re.findall(r'\{"([^"]+)", "([^"]+)"\}', source[source.index("kFiles[] ="):source.index("};")])
    for i, (folder, name) in enumerate(files):
        yield f"{i:02}_{name.replace(chr(47), chr(95))}", bytes([i]) + (GOLDEN / folder / name).read_bytes()
    last = bytes([len(files)])
    if target == "config":
        for name, model in models():
            yield f"engine_{name}", last + json.dumps(model.config).encode()
    else:
        text = (GOLDEN / "tokenizer" / "lines.txt").read_bytes().split(b"\n")
        for i in range(0, len(text), 100):
            yield f"text_{i:04}", last + b"\n".join(text[i:i + 3])


def batches():
    """Of each kind of call some: small numbers are valid most often."""
    for i in range(48):
        few = random.choice([0, 0, 0, 1, 2, 3, 7], 60 + 10 * i)
        any_byte = random.integers(256, size=len(few))
        numbers = np.where(random.random(len(few)) < 0.2, any_byte, few)
        yield f"batch_{i:02}", bytes([i]) + numbers.astype("u1").tobytes()


def texts():
    """Of each kind of call some: numbers, then words to cut texts from."""
    words = "the cat sat on mat [SEP] we, they ran fast? </s> about {} house".split()
    for i in range(40):
        numbers = random.choice([0, 1, 2, 3, 5, 7], 12).astype("u1").tobytes()
        yield f"texts_{i:02}", bytes([i % 5, i // 5]) + numbers + " ".join(random.choice(words, 60)).encode()


def shapes():
    """Each kernel twice."""
    for i in range(26):
        yield f"kernel_{i:02}", bytes([i % 13]) + random.integers(256, size=40).astype("u1").tobytes()


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if target in ("model_file", "structure"):
        for name, model in models():
            model.write(folder / name)
    elif target == "safetensors":
        for name, data in safetensors():
            (folder / name).write_bytes(data)
    elif target == "gguf":
        for name, data in gguf():
            (folder / name).write_bytes(data)
    elif target == "chat":
        for name, data in chats():
            (folder / name).write_bytes(data)
    elif target == "constraint":
        for name, data in constraints():
            (folder / name).write_bytes(data)
    elif target == "regex":
        for name, data in regexes():
            (folder / name).write_bytes(data)
    elif target in ("config", "tokenizer"):
        for name, data in folder_files(target):
            (folder / name).write_bytes(data)
    elif target in ("ragged_batch", "rows", "texts"):
        for name, data in {"ragged_batch": batches, "rows": shapes, "texts": texts}[target]():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()

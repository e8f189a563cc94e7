"""Operands of cases: random, and the same in every process."""

import zlib

import numpy as np

import translation


def generator(case):
    return np.random.default_rng(zlib.crc32(case.name.encode()))


def normal(random, *shape):
    return random.standard_normal(shape, dtype=np.float32)


def uniform(random, *shape, d_in):
    """As PyTorch's layers begin."""
    return ((random.random(shape, dtype=np.float32) * 2 - 1) / np.float32(d_in) ** 0.5)


def ids(case, vocab_size):
    """[batch, seq], int64"""
    shape = case.sizes["batch"], case.sizes["seq"]
    return generator(case).integers(1, vocab_size, shape, dtype=np.int64)


def query_and_documents(case, vocab_size):
    """Texts of words that random-reranker has, from all over its vocabulary."""
    random, size = generator(case), case.sizes
    n_words = vocab_size - 5  # the others are <s>, <pad>, </s>, <unk> and <mask>

    def text(n):
        return " ".join(f"word{i}" for i in random.integers(0, n_words, n))
    return text(size["query"]), [text(size["document"]) for _ in range(size["batch"])]


def sources(case, vocab_size):
    """A list of ids, int32: those of a batch are the same in every kind of case. Without the first
    two and the last of the vocabulary, which are ends, pads and unknowns."""
    random = np.random.default_rng(case.sizes["batch"])
    shortest, longest = translation.SOURCE_LENGTHS
    lengths = random.integers(shortest, longest + 1, case.sizes["batch"])
    return [random.integers(2, vocab_size - 1, n, dtype=np.int32) for n in lengths]


def prompts(case):
    """A list of ids, int32, of what sequences have before a call; of a prompt, of the call. Some that
    every vocabulary has, and that are no ends or pads."""
    size = case.sizes
    shape = size.get("sequences", 1), size.get("tokens") or max(size["context"], 1)
    return list(generator(case).integers(300, 1000, shape, dtype=np.int32))


def layer(case):
    """Tensors by the names of PyTorch's state dict, and x [batch, seq, d_model]."""
    random, size = generator(case), case.sizes
    d, prefix = size["d_model"], "" if case.kind == "mha" else "self_attn."
    tensors = {
        prefix + "in_proj_weight": uniform(random, 3 * d, d, d_in=d),
        prefix + "in_proj_bias": uniform(random, 3 * d, d_in=d),
        prefix + "out_proj.weight": uniform(random, d, d, d_in=d),
        prefix + "out_proj.bias": uniform(random, d, d_in=d)}
    if case.kind == "encoder-layer":
        d_ff = size["d_ff"]
        tensors |= {
            "linear1.weight": uniform(random, d_ff, d, d_in=d),
            "linear1.bias": uniform(random, d_ff, d_in=d),
            "linear2.weight": uniform(random, d, d_ff, d_in=d_ff),
            "linear2.bias": uniform(random, d, d_in=d_ff)}
        for norm in ("norm1", "norm2"):
            tensors[norm + ".weight"] = 1 + uniform(random, d, d_in=d)
            tensors[norm + ".bias"] = uniform(random, d, d_in=d)
    return tensors, normal(random, size["batch"], size["seq"], d)


def attention(case):
    """q, k, v [batch, heads, seq, head_dim]"""
    random, size = generator(case), case.sizes
    shape = size["batch"], size["n_heads"], size["seq"], size["head_dim"]
    return tuple(normal(random, *shape) for _ in range(3))


def gemm(case):
    """weight [d_out, d_in], bias [d_out], x [rows, d_in]"""
    random, size = generator(case), case.sizes
    d_in, d_out = size["d_in"], size["d_out"]
    return (uniform(random, d_out, d_in, d_in=d_in), uniform(random, d_out, d_in=d_in),
            normal(random, size["rows"], d_in))

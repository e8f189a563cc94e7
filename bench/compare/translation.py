"""The kinds of case "generate" and "encode": what a translation costs, and the least time in which
a machine can do it. Biases, norms and activations are left out, and so is reading the keys and
values of earlier steps: what is here no engine can do without."""

import dataclasses

import figures

KINDS = ("generate", "encode")
SOURCE_LENGTHS = 20, 40  # the least and the most, in tokens
N_STEPS = 40  # new tokens of an answer
WEIGHT_BYTES = {"f32": 4, "bf16": 2, "int8": 1}


@dataclasses.dataclass(frozen=True)
class Part:
    """What is done between two choices of tokens, or before the first."""
    flops: int
    n_weights: int  # each of which is read

    def seconds(self, ops, read, precision):
        """At so many operations, and bytes of weights read, a second."""
        return max(self.flops / ops, self.n_weights * WEIGHT_BYTES[precision] / read)


def encoder(config, lengths):
    """Projections of Q, K, V and O and the feed-forward for each token; scores and values for each
    pair of tokens of a source. lengths: of the sources, in tokens."""
    d_model, n_layers = config["d_model"], config["encoder_layers"]
    n_weights = n_layers * (4 * d_model ** 2 + 2 * d_model * config["encoder_ffn_dim"])
    pairs = sum(n * n for n in lengths)
    return Part(2 * sum(lengths) * n_weights + 4 * n_layers * pairs * d_model, n_weights)


def cross_attention(config, lengths):
    """Keys and values of the sources, for all layers of the decoder."""
    n_weights = 2 * config["decoder_layers"] * config["d_model"] ** 2
    return Part(2 * sum(lengths) * n_weights, n_weights)


def step(config, lengths, beams, i):
    """Step `i`, from 0, in which the beams of a source are still the same. A layer of the decoder
    has Q, K, V and O of its own tokens, Q and O for the source, and the feed-forward; after the
    last there are the logits."""
    d_model, n_layers = config["d_model"], config["decoder_layers"]
    n_beams = beams if i > 0 else 1
    n_weights = n_layers * (6 * d_model ** 2 + 2 * d_model * config["decoder_ffn_dim"])
    n_weights += d_model * (config.get("decoder_vocab_size") or config["vocab_size"])
    keys = sum(i + 1 + length for length in lengths)
    return Part(n_beams * (2 * len(lengths) * n_weights + 4 * n_layers * keys * d_model), n_weights)


def parts(case, config, lengths):
    """(what is done once, each step)"""
    if case.kind == "encode":
        return [encoder(config, lengths)], []
    return ([encoder(config, lengths), cross_attention(config, lengths)],
            [step(config, lengths, case.sizes["beams"], i) for i in range(N_STEPS)])


def flops(case, config, lengths):
    once, steps = parts(case, config, lengths)
    return sum(part.flops for part in once + steps)


def level_of(n_bytes, limits):
    """The nearest level that holds so many bytes, as limits name it."""
    for level in ("l1", "l2", "l3"):
        if n_bytes <= limits[level + "_bytes"]:
            return level
    return "memory"


def least(case, config, lengths, limits, precision, threads):
    """The least time of a call, in seconds, and what bounds a step; None without a limit of such
    products. A step finds the weights where those of a step fit, and what is done once finds its
    own where those of all fit."""
    ops = figures.product_limit(limits, precision)
    if ops is None:
        return None
    once, steps = parts(case, config, lengths)
    width = WEIGHT_BYTES[precision]
    of_step = width * steps[0].n_weights if steps else 0
    of_all = of_step + width * sum(part.n_weights for part in once)

    def seconds(some, n_bytes):
        read = limits["read_" + level_of(n_bytes, limits)]
        return sum(part.seconds(ops * threads, read * threads, precision) for part in some)
    found = {"seconds": seconds(once, of_all) + seconds(steps, of_step)}
    if steps:
        reading = of_step / limits["read_" + level_of(of_step, limits)]
        found |= {"step_bytes": of_step, "step_from": level_of(of_step, limits),
                  "step_by": "weights" if reading > steps[-1].flops / ops else "products"}
    return found

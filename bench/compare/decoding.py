"""The kinds of case "decode", "prompt", "shared" and "first-token", of a language model in a GGUF
file: what they cost at least. Keys and values, norms and the choice of tokens are left out."""

import dataclasses
import functools

import figures

KINDS = ("decode", "prompt", "shared", "first-token")
N_NEW = 16  # tokens that each sequence of "decode" gets
NOT_READ = "token_embd.weight"  # of which a token reads a row, unless it is the head too


@functools.cache
def facts(path):
    """Of a GGUF file: how many weights of products it has, in how many bytes: those of the layers, and
    those of the head. What has blocks of codes is multiplied in bytes."""
    import gguf
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    words = tensors[NOT_READ]
    head = tensors.get("output.weight", words)
    layers = [tensor for name, tensor in tensors.items()
              if name.startswith("blk.") and len(tensor.shape) > 1]
    return {"head_weights": int(head.n_elements), "head_bytes": int(head.n_bytes),
            "layer_weights": sum(int(tensor.n_elements) for tensor in layers),
            "layer_bytes": sum(int(tensor.n_bytes) for tensor in layers),
            "products": "bf16" if head.tensor_type.name == "BF16" else "int8"}


def n_tokens(case):
    """That a call computes, and that the unit counts."""
    if case.kind == "decode":
        return case.sizes["sequences"] * N_NEW
    return case.sizes["tokens"] - case.sizes.get("shared", 0)


@dataclasses.dataclass(frozen=True)
class Step:
    """Rows that go through the layers, and those of them that have logits."""
    rows: int
    with_logits: int

    def flops(self, model):
        return 2 * (self.rows * model["layer_weights"] + self.with_logits * model["head_weights"])


def step_of(case):
    """One of the steps of a call, and how many it has."""
    if case.kind != "decode":
        return Step(n_tokens(case), 1), 1
    return Step(case.sizes["sequences"], case.sizes["sequences"]), N_NEW


def flops(case, model):
    """Of a token."""
    step, n_steps = step_of(case)
    return n_steps * step.flops(model) / n_tokens(case)


def least(case, model, limits, threads):
    """The least time of a token, in seconds, and what bounds it: weights are read from memory once a
    step, and products are of bytes. None where the machine has no limit of those."""
    if case.kind == "first-token":
        return None  # it is bound by what opening costs
    step, n_steps = step_of(case)
    n_bytes = model["layer_bytes"] + model["head_bytes"]
    reading = n_bytes / (limits["read_memory"] * threads)
    ops = figures.product_limit(limits, model["products"])
    if ops is None:
        return None
    products = step.flops(model) / (ops * threads)
    return {"seconds": n_steps * max(reading, products) / n_tokens(case), "step_bytes": n_bytes,
            "step_from": "memory", "step_by": "weights" if reading > products else "products"}

"""How likely a language model finds a text, counted as the command and llama.cpp's tool count."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from headlane._cancel import Cancel
from headlane._checked import natural
from headlane._continuations import run
from headlane._model import Model
from headlane.sequences import Sequence, Sizes

Ids = NDArray[np.int32]
_STEP_TOKENS = 2048  # as batches of other commands


@dataclass(frozen=True)
class Perplexity:
    """The perplexity of a text, and its standard error."""

    value: float
    error: float
    n_tokens: int  # that were counted
    n_windows: int
    # For each window: the place in the text of the first token that counts, and the log-probabilities from there on.
    windows: list[tuple[int, NDArray[np.float32]]] = field(repr=False)

    def __float__(self) -> float:
        return self.value


def _windows(n_tokens: int, context: int, stride: int) -> list[tuple[int, int, int]]:
    """Where each window begins, counts from, and ends."""
    if stride == 0:
        begins = range(0, n_tokens - context + 1, context)
        return [(begin, begin + context // 2 + 1, begin + context) for begin in begins]
    length = context + stride // 2
    return [(begin, begin + length - stride, begin + length) for begin in range(0, n_tokens - length, stride)]


def measure(
    model: Model, ids: Ids, begin: int | None, context: int, stride: int, n_threads: int | None, cancel: Cancel | None
) -> Perplexity:
    """begin: the token that texts begin with, which the first one of a window becomes where there is no stride."""
    length = natural("context", context, 4) + natural("stride", stride) // 2
    if stride > context:
        raise ValueError(f"stride is {stride}, which is more than the context of {context}")
    if length > model.facts.max_positions:
        raise ValueError(
            f"context is too long: a window has {length} tokens, and the model has room for {model.facts.max_positions}"
        )
    windows = _windows(len(ids), context, stride)
    if not windows:
        raise ValueError(
            f"the text has {len(ids)} tokens, fewer than a window of {length}{' and one more' if stride else ''}; "
            "take a longer text or a smaller context"
        )
    parts = [ids[first:end].copy() for first, _, end in windows]
    if begin is not None and stride == 0:
        for part in parts:
            part[0] = begin
    found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(windows)

    def take(place: int, sequence: Sequence) -> None:
        first, counted, _ = windows[place]
        found[place] = sequence.logprobs[counted - first :]

    at_once = max(_STEP_TOKENS // length, 1)
    sizes = Sizes(at_once, at_once * length, length, _STEP_TOKENS, all_logits=False, hidden=False)
    run(model, parts, sizes, n_threads, {"max_new_tokens": 0, "prompt_logprobs": True}, take, cancel)
    return _result(found, [counted for _, counted, _ in windows])


def _result(found: list[NDArray[np.float32]], places: list[int]) -> Perplexity:
    n, total, squares = 0, 0.0, 0.0
    for row in found:
        for logprob in row.tolist():
            n, total, squares = n + 1, total - logprob, squares + logprob * logprob
    mean = total / n
    variance = squares / n - mean * mean
    value = math.exp(mean)
    error = math.sqrt(variance / (n - 1)) * value if variance > 0 and n > 1 else 0.0
    return Perplexity(value, error, n, len(found), list(zip(places, found, strict=True)))

"""Prompts through a model, some at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headlane._cancel import Cancel
from headlane._library import interruptible
from headlane._model import Model
from headlane.sequences import Sequence, Sequences, Sizes

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Continuation:
    """What a language model adds to a prompt."""

    text: str  # "" of a model without a tokenizer
    ids: list[int]  # the new ones, their end included
    finish_reason: str  # "stop": the model's end, or a stop; "length": no more was asked for, or there is no room
    # Where log-probabilities were asked for: of each new token, and of the best ones at its place, [new] and
    # [new, n]; an id of -1: there are no more.
    logprobs: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    top_ids: NDArray[np.int32] | None = field(default=None, repr=False, compare=False)
    top_logprobs: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return self.text


def sizes_for(model: Model, lengths: list[int], n_new: int, at_once: int, options: dict[str, Any]) -> Sizes:
    """Room for the longest of some prompts with n_new tokens each, so that none ends for want of it."""
    most = int(model.facts.max_positions)
    whole = sorted((min(length + n_new, most) for length in lengths), reverse=True)
    at_once = min(at_once, len(lengths))
    return Sizes(
        max_sequences=at_once,
        max_tokens=sum(whole[:at_once]),
        max_len=whole[0],
        max_candidates=_candidates(model, options),
        hidden=bool(options.get("hidden")),
    )


def _candidates(model: Model, options: dict[str, Any]) -> int | None:
    """Room for the best tokens that are asked for; None: the usual room is enough."""
    n_top = int(options.get("logprobs") or 0)
    return n_top if n_top > 64 and n_top <= model.facts.decoder_vocab_size else None


def run(
    model: Model,
    prompts: list[Ids],
    sizes: Sizes,
    n_threads: int | None,
    options: dict[str, Any],
    take: Callable[[int, Sequence], None],
    cancel: Cancel | None = None,
) -> None:
    """Calls take with the place of each prompt and its sequence, once that has ended; it is removed then."""
    ends = cancel or Cancel()

    def work() -> None:
        with Sequences(model, sizes, n_threads) as sequences:
            added: dict[int, Sequence] = {}
            n_added = 0
            while n_added < len(prompts) or added:
                while n_added < len(prompts) and len(added) < 2 * (sizes.max_sequences or 1):
                    added[n_added] = sequences.add(prompts[n_added], key=n_added, **options)
                    n_added += 1
                sequences._step(ends)
                for place in [place for place, sequence in added.items() if sequence.finish_reason is not None]:
                    sequence = added.pop(place)
                    if (error := sequence.error) is not None:
                        raise error
                    take(place, sequence)
                    sequence.remove()

    interruptible(work, ends.cancel)


def continuation_of(sequence: Sequence, has_text: bool, logprobs: int | None) -> Continuation:
    of_tokens = sequence._logprobs(True) if logprobs is not None else (None, None, None)
    return Continuation(sequence.text if has_text else "", sequence.ids, sequence.finish_reason or "", *of_tokens)

"""How a language model's sequence goes on, as keywords and as the struct of the C API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ctypes import c_char_p, c_void_p, cast
from typing import Any, NamedTuple, TypedDict

import numpy as np

from headlane import _abi
from headlane._checked import natural, real
from headlane._model import Model, encoded
from headlane.constraint import Constraint, Schema, constraint_of
from headlane.tokenizer import _as_ids

_NO_NEW_TOKENS = -1  # HEADLANE_NO_NEW_TOKENS


class Choices(TypedDict, total=False):
    """How tokens are chosen, and when they end. What is not given, or None, is as the model's makers mean it.

    max_new_tokens: how many tokens may come. min_new_tokens: how many come before an end is taken.
    temperature: 0 is the likeliest token each time; else tokens are drawn by logits over it.
    top_k, top_p, min_p: draw from the top_k likeliest tokens; from the fewest that have a probability of top_p
        together; from those that have min_p of the likeliest one's.
    seed: of the random numbers. repetition_penalty: above 1, tokens that have come become less likely.
    stop: a text, or some, that the answer ends before. end_ids: tokens that end it.
    logit_bias: what is added to the logits of tokens, by their ids; -inf: the token never comes.
    speculate: the most tokens that are guessed in a step, by the model's draft, or from what came after the last tokens
        before. The answer is the same, sooner where guesses are right. None: 4 if there is a draft, else none.
    schema: a JSON schema, as a dict or as text: the answer is JSON that it accepts. regex: the answer is what this regular
        expression fits as a whole. constraint: one of the two, made by LanguageModel.constraint for many answers.
        An answer that ends for want of tokens ("length") is only the beginning of one. Nothing is guessed then.
    """

    max_new_tokens: int | None
    min_new_tokens: int
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    seed: int
    repetition_penalty: float | None
    stop: str | Iterable[str] | None
    end_ids: Iterable[int] | None
    logit_bias: Mapping[int, float] | None
    speculate: int | None
    schema: Schema | None
    regex: str | None
    constraint: Constraint | None


class Kept(TypedDict, total=False):
    """What is kept of a sequence.

    logprobs: log-probabilities of its tokens, and of so many of the best ones at each place, from 0 on: the model's
        own, before temperature, penalty and biases. prompt_logprobs: those of its prompt's tokens too.
    hidden: the last hidden state of its last token.
    keep: once it has ended it stays in the cache, to be shared, forked and rewound, until it is removed.
    """

    logprobs: int | None
    prompt_logprobs: bool
    hidden: bool
    keep: bool


class OfSequence(TypedDict, total=False):
    """What a sequence is among others.

    key: chooses other random numbers of the same seed. A prompt of LanguageModel.generate, and of `headlane generate`,
        has its place in the call, from 0 on.
    room: how many tokens it counts as having room for, if that is more than its prompt and max_new_tokens. Models that
        choose their rotary positions by that (longrope, dynamic NTK) share a beginning where the choice is the same.
    """

    key: int
    room: int


class Request(NamedTuple):
    """headlane_sequence_options, and what must live until it has been read."""

    struct: Any
    keep: object


def request_of(
    model: Model,
    *,
    max_new_tokens: int | None = None,
    min_new_tokens: int = 0,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int = 0,
    repetition_penalty: float | None = None,
    stop: str | Iterable[str] | None = None,
    end_ids: Iterable[int] | None = None,
    logit_bias: Mapping[int, float] | None = None,
    logprobs: int | None = None,
    prompt_logprobs: bool = False,
    hidden: bool = False,
    keep: bool = False,
    key: int = 0,
    room: int = 0,
    speculate: int | None = None,
    schema: Schema | None = None,
    regex: str | None = None,
    constraint: Constraint | None = None,
) -> Request:
    struct = _abi.headlane_sequence_options()
    obeyed = constraint_of(model, constraint, schema, regex)
    struct.constraint = None if obeyed is None else obeyed._address
    if max_new_tokens is not None:  # 0: the prompt alone
        struct.max_new_tokens = natural("max_new_tokens", max_new_tokens) or _NO_NEW_TOKENS
    struct.min_new_tokens = natural("min_new_tokens", min_new_tokens)
    _set_sampling(struct, model.facts, temperature, top_k, top_p, min_p)
    struct.seed, struct.key = natural("seed", seed) % 2**64, natural("key", key) % 2**64
    struct.room = natural("room", room)
    struct.speculate = natural("speculate", speculate or 0)
    if repetition_penalty is not None:
        struct.repetition_penalty = _positive("repetition_penalty", repetition_penalty)
    struct.logprobs, struct.n_top = int(logprobs is not None), natural("logprobs", logprobs or 0)
    struct.prompt_logprobs, struct.hidden, struct.keep = int(prompt_logprobs), int(hidden), int(keep)
    kept = (_set_stops(struct, stop), _set_ends(struct, end_ids), _set_biases(struct, logit_bias), obeyed)
    return Request(struct, kept)


def _positive(name: str, number: Any) -> float:
    if not real(name, number) > 0:
        raise ValueError(f"{name} is {number!r}, and must be above 0")
    return float(number)


def _set_sampling(
    struct: Any, facts: Any, temperature: float | None, top_k: int | None, top_p: float | None, min_p: float | None
) -> None:
    """As the command does: an option takes the place of the model's number of its name alone."""
    if temperature is not None and not real("temperature", temperature) >= 0:
        raise ValueError(f"temperature is {temperature!r}, and must be 0 or more")
    of_model = facts.temperature > 0
    asked = any(option is not None for option in (top_k, top_p, min_p))
    if not (temperature > 0 if temperature is not None else asked or of_model):
        return
    struct.sample = 1
    struct.temperature = (facts.temperature if of_model else 1) if temperature is None else temperature
    struct.top_k = facts.top_k if top_k is None else natural("top_k", top_k)
    struct.top_p = facts.top_p if top_p is None else _positive("top_p", top_p)
    struct.min_p = facts.min_p if min_p is None else real("min_p", min_p)


def _set_stops(struct: Any, stop: str | Iterable[str] | None) -> object:
    texts = [stop] if isinstance(stop, str) else list(stop or ())
    data = [encoded(f"stop[{i}]", text) or b"" for i, text in enumerate(texts)]
    if b"" in data:
        raise ValueError(f"stop[{data.index(b'')}] is an empty text, which everything ends with")
    array = (c_char_p * len(data))(*data)
    struct.stops, struct.n_stops = (cast(array, c_void_p).value if data else None), len(data)
    return array


def _set_ends(struct: Any, end_ids: Iterable[int] | None) -> object:
    if end_ids is None:
        return None
    ids = np.ascontiguousarray(_as_ids(end_ids))
    storage = np.zeros(max(len(ids), 1), np.int32)  # none at all is not null, which would be the model's
    storage[: len(ids)] = ids
    struct.end_ids, struct.n_end_ids = storage.ctypes.data, len(ids)
    return storage


def _set_biases(struct: Any, biases: Mapping[int, float] | None) -> object:
    if not biases:
        return None
    ids, values = _as_ids(biases.keys()), np.array(list(biases.values()), np.float32)
    struct.bias_ids, struct.biases, struct.n_bias = ids.ctypes.data, values.ctypes.data, len(ids)
    return ids, values

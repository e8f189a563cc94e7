"""A search by beams for what comes after prompts: the best beam of each."""

from __future__ import annotations

from ctypes import byref, c_int32, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headlane import _abi
from headlane._cancel import Cancel
from headlane._checked import natural
from headlane._continuations import Continuation
from headlane._library import Handle, check, interruptible, lib
from headlane._model import Model, address_of, text_at, threads_asked_for
from headlane.tokenizer import Tokenizer

Ids = NDArray[np.int32]
# More tokens than a character has bytes: spaces and characters of an answer go on from the prompt's last ones.
_CONTEXT = 8
_TAKEN = {"length_penalty", "max_new_tokens", "min_new_tokens", "repetition_penalty", "stop", "seed"}
_NO_LENGTH_PENALTY = 1e-30  # HEADLANE_NO_LENGTH_PENALTY; 0 is the model's own in C


class _Generator:
    """What Cancel ends."""

    def __init__(self, address: int) -> None:
        self.address = address

    def cancel(self) -> None:
        lib.headlane_generator_set_cancelled(self.address, 1)

    def uncancel(self) -> None:
        lib.headlane_generator_set_cancelled(self.address, 0)


def run(
    model: Model,
    tokenizer: Tokenizer | None,
    prompts: list[Ids],
    beams: int,
    at_once: int,
    n_threads: int | None,
    options: dict[str, Any],
    cancel: Cancel | None,
) -> list[Continuation]:
    given = {name for name, option in options.items() if option is not None}
    if others := sorted(given - _TAKEN):
        raise ValueError(f"a search by beams takes none of {', '.join(others)}: leave it out, or leave out beams")
    search = _abi.headlane_generate_options()
    search.n_beams = beams
    search.max_new_tokens = natural("max_new_tokens", options.get("max_new_tokens") or 0)
    search.min_new_tokens = natural("min_new_tokens", options.get("min_new_tokens") or 0)
    search.repetition_penalty = options.get("repetition_penalty") or 0.0
    if options.get("length_penalty") is not None:
        search.length_penalty = options["length_penalty"] or _NO_LENGTH_PENALTY
    stop = options.get("stop") or []
    stops = [stop] if isinstance(stop, str) else list(stop)
    ends = cancel or Cancel()
    found: list[Continuation] = []

    def work() -> None:
        for begin in range(0, len(prompts), at_once):
            some = prompts[begin : begin + at_once]
            found.extend(_of_batch(model, tokenizer, some, search, threads_asked_for(n_threads), stops, ends))

    interruptible(work, ends.cancel)
    return found


def _of_batch(
    model: Model,
    tokenizer: Tokenizer | None,
    prompts: list[Ids],
    search: Any,
    n_threads: int,
    stops: list[str],
    ends: Cancel,
) -> list[Continuation]:
    sizes = _abi.headlane_generator_options()
    lengths = [len(ids) for ids in prompts]
    sizes.max_sources, sizes.max_source_tokens, sizes.max_source_len = len(prompts), sum(lengths), max(lengths)
    sizes.max_beams, sizes.max_new_tokens, sizes.all_logits = search.n_beams, search.max_new_tokens, 1
    sizes.n_threads = n_threads
    sizes.cache = address_of(model.cache)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.concatenate(prompts)
    batch = _abi.headlane_batch()
    batch.n_seqs, batch.offsets, batch.ids = len(prompts), offsets.ctypes.data, ids.ctypes.data
    out = c_void_p()
    with model.hold() as address:
        check(lib.headlane_generator_create(address, byref(sizes), byref(out)))
        generator = Handle(out.value or 0, lib.headlane_generator_destroy, keep=model)
        inside = _Generator(generator.address)
        ends._enter(inside)
        try:
            check(lib.headlane_generator_generate(generator.address, byref(batch), byref(search)))
            return [_answer(generator, i, tokenizer, row, stops) for i, row in enumerate(prompts)]
        finally:
            ends._leave(inside)
            generator.close()


def _answer(generator: Handle, i: int, tokenizer: Tokenizer | None, prompt: Ids, stops: list[str]) -> Continuation:
    answer = _abi.headlane_answer()
    check(lib.headlane_generator_get_answer(generator.address, i, 0, byref(answer)))
    ids = list((c_int32 * answer.n_ids).from_address(answer.ids)) if answer.n_ids else []
    reason = text_at(answer.finish_reason)
    if tokenizer is None:
        return Continuation("", ids, reason)
    context = prompt[-_CONTEXT:].tolist()
    before, whole = tokenizer.decode(context), tokenizer.decode(context + ids)
    # Where the prompt ends within a character, its text changes as that is completed.
    text = whole[len(before) :] if whole.startswith(before) else tokenizer.decode(ids)
    places = [place for place in (text.find(stop) for stop in stops) if place >= 0]
    return Continuation(text[: min(places)], ids, "stop") if places else Continuation(text, ids, reason)

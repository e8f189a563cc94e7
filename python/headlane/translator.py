"""Encoder-decoder models: sources to answers, translations mostly."""

from __future__ import annotations

import asyncio
import ctypes
import os
from ctypes import byref, c_int32
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headlane import _abi, _texts
from headlane._base import OpenModel
from headlane._checked import natural, real
from headlane._generators import Generators, Running
from headlane._library import Handle, check, interruptible, lib, logger
from headlane.tokenizer import Tokenizer

_STOPPING = {
    None: _abi.HEADLANE_EARLY_STOPPING_DEFAULT,
    False: _abi.HEADLANE_EARLY_STOPPING_HEURISTIC,
    True: _abi.HEADLANE_EARLY_STOPPING_FIRST,
    "heuristic": _abi.HEADLANE_EARLY_STOPPING_HEURISTIC,
    "first": _abi.HEADLANE_EARLY_STOPPING_FIRST,
    "never": _abi.HEADLANE_EARLY_STOPPING_NEVER,
}
# As the command: tokens of a batch, and batches that are sorted by length together.
_BATCH_TOKENS = 2048
_BATCHES = 16
# log-probabilities over a length to this power are their plain sum; 0 is the model's own in C.
_NO_LENGTH_PENALTY = 1e-30


@dataclass(frozen=True)
class Answer:
    """One answer to a source."""

    text: str
    score: float  # the sum of log-probabilities over length to the length_penalty
    ids: list[int]  # its end included


class Translator(OpenModel):
    """A model with an encoder and a decoder: a .headlane file, a folder of Hugging Face's, or a repository of its hub.
    Any number of threads may call at once; an answer depends neither on the other texts of the call nor on threads.

    The options are those of Embedder: device, cache_folder, revision, local_files_only, token, precision, isa."""

    _kind = "a model with an encoder, a decoder and a tokenizer"

    def __init__(
        self, model_name_or_path: str | os.PathLike[str], *, n_threads: int | None = None, **options: Any
    ) -> None:
        super().__init__(model_name_or_path, n_threads=n_threads, **options)
        self._tokenizer = Tokenizer._of(self._model)
        self._generators = Generators(self._model, n_threads)

    @staticmethod
    def _fits(facts: Any) -> bool:
        return bool(facts.has_decoder and facts.has_tokenizer and facts.n_layers)

    @property
    def languages(self) -> list[str]:
        """What source_language and target_language may be; [] where a model has one pair."""
        return self._tokenizer.languages

    def close(self) -> None:
        self._generators.close()

    def translate(self, inputs: Any, **options: Any) -> Any:
        """The best answer to a str, a str; to a list of str, a list. The options are those of answers."""
        found = self.answers([inputs] if isinstance(inputs, str) else inputs, **options)
        texts = [row[0].text if row else "" for row in found]
        return texts[0] if isinstance(inputs, str) else texts

    async def atranslate(self, inputs: Any, **options: Any) -> Any:
        """translate for asyncio: the loop goes on meanwhile."""
        return await asyncio.to_thread(self.translate, inputs, **options)

    def answers(
        self,
        inputs: Any,
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        num_beams: int | None = None,
        n_best: int = 1,
        length_penalty: float | None = None,
        early_stopping: bool | Literal["heuristic", "first", "never"] | None = None,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        repetition_penalty: float | None = None,
        min_new_tokens: int = 0,
        max_new_tokens: int | None = None,
        batch_size: int = 32,
    ) -> list[list[Answer]]:
        """The n_best answers to each text, best first; none to a text without tokens. None of an option is what the
        model's files say. A text of more tokens than the model takes is cut, and the logger "headlane" says so."""
        texts = _texts.as_strings(inputs)
        if early_stopping not in _STOPPING:
            raise ValueError(f"early_stopping is {early_stopping!r}, and must be one of {list(_STOPPING)}")
        for name, number, least in (
            ("n_best", n_best, 1),
            ("batch_size", batch_size, 1),
            ("num_beams", 1 if num_beams is None else num_beams, 1),
            ("max_new_tokens", 1 if max_new_tokens is None else max_new_tokens, 1),
            ("min_new_tokens", min_new_tokens, 0),
            ("top_k", top_k, 0),
            ("seed", seed, 0),
        ):
            natural(name, number, least)
        search = _abi.headlane_generate_options()
        search.n_beams = 0 if num_beams is None else num_beams
        search.n_best = n_best
        if length_penalty is not None:
            search.length_penalty = real("length_penalty", length_penalty) or _NO_LENGTH_PENALTY
        search.early_stopping = _STOPPING[early_stopping]
        search.sample = int(do_sample)
        search.temperature, search.top_p = real("temperature", temperature), real("top_p", top_p)
        search.top_k, search.seed = top_k, seed
        search.repetition_penalty = real("repetition_penalty", repetition_penalty or 0.0)
        search.min_new_tokens = min_new_tokens
        search.max_new_tokens = max_new_tokens or 0
        with self._model.hold():
            return self._answers(texts, search, batch_size, (source_language, target_language))

    def _answers(
        self, texts: list[str], search: Any, batch_size: int, languages: tuple[str | None, str | None]
    ) -> list[list[Answer]]:
        first = self._first_id(*languages)
        if first is not None:
            search.first_id = ctypes.addressof(first)
        results: list[list[Answer]] = [[] for _ in texts]
        running = Running()

        def call() -> None:
            for begin in range(0, len(texts), _BATCHES * batch_size):
                window = texts[begin : begin + _BATCHES * batch_size]
                ids = [self._source_ids(text, languages) for text in window]
                order = sorted((i for i in range(len(ids)) if len(ids[i])), key=lambda i: -len(ids[i]))
                while order and not running.cancelled:
                    batch = _take_batch(order, ids, batch_size)
                    answers = self._run([ids[i] for i in batch], [begin + i for i in batch], search, running)
                    for i, found in zip(batch, answers, strict=True):
                        results[begin + i] = found

        interruptible(call, running.cancel)
        return results

    def _source_ids(self, text: str, languages: tuple[str | None, str | None]) -> NDArray[np.int32]:
        limit = int(self._model.facts.max_seq_len)
        ids = self._tokenizer._ids(text, None, limit + 1, *languages)
        if len(ids) > limit:
            logger.warning("a text of more than %d tokens was cut", limit)
            ids = self._tokenizer._ids(text, None, limit, *languages)
        nothing = self._tokenizer._ids("", None, limit, *languages)
        return ids[:0] if np.array_equal(ids, nothing) else ids

    def _first_id(self, source: str | None, target: str | None) -> c_int32 | None:
        """The token that answers begin with: of the target's language, where the model wants it so."""
        facts = self._model.facts
        names = self.languages
        for option, name in (("source_language", source), ("target_language", target)):
            if name is not None and name not in names:
                raise ValueError(f"{option} is {name!r}, which is not one of the model's {len(names)} languages")
        if not names:
            return None
        language = _abi.headlane_language_facts()
        i = 0 if target is None else names.index(target)
        check(lib.headlane_model_get_language(self._model.handle.address, i, byref(language)))
        if not language.begins_target:
            if source is not None:
                raise ValueError("the model has tokens for the language of targets alone: leave out source_language")
            return None
        if target is not None:
            return c_int32(language.id)
        if facts.forced_first_id < 0:
            raise ValueError(f"target_language is needed: the model has {len(names)} languages")
        return None

    def _run(
        self, sources: list[NDArray[np.int32]], places: list[int], search: Any, running: Running
    ) -> list[list[Answer]]:
        offsets = np.zeros(len(sources) + 1, np.int64)
        np.cumsum([len(ids) for ids in sources], out=offsets[1:])
        ids = np.concatenate(sources).astype(np.int32, copy=False)
        keys = np.array(places, np.uint64)
        batch = _abi.headlane_batch()
        batch.n_seqs = len(sources)
        batch.offsets = offsets.ctypes.data
        batch.ids = ids.ctypes.data
        search.keys = keys.ctypes.data
        key, generator = self._generators.borrow(len(sources), int(offsets[-1]), search)
        running.enter(generator)
        try:
            check(lib.headlane_generator_generate(generator.address, byref(batch), byref(search)))
            answers = [self._answers_of(generator, i) for i in range(len(sources))]
        except BaseException:
            running.leave()
            self._generators.give_back(None, generator)  # one that failed is not kept
            raise
        self._generators.give_back(key if running.leave() else None, generator)
        return answers

    def _answers_of(self, generator: Handle, source: int) -> list[Answer]:
        found: list[Answer] = []
        answer = _abi.headlane_answer()
        while True:
            check(lib.headlane_generator_get_answer(generator.address, source, len(found), byref(answer)))
            address = (c_int32 * answer.n_ids).from_address(answer.ids) if answer.n_ids else ()
            ids = [int(number) for number in address]
            found.append(Answer(self._tokenizer.decode(ids), float(answer.score), ids))
            if len(found) >= answer.n_answers:
                return found


def _take_batch(order: list[int], ids: list[NDArray[np.int32]], batch_size: int) -> list[int]:
    """The next texts of an order, which are taken out of it."""
    n_tokens = n = 0
    while n < len(order) and n < batch_size and (n == 0 or n_tokens + len(ids[order[n]]) <= _BATCH_TOKENS):
        n_tokens += len(ids[order[n]])
        n += 1
    batch = order[:n]
    del order[:n]
    return batch

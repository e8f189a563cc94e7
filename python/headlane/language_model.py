"""Language models: what comes after a prompt, and how likely a text is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

from headlane import _beams, _texts
from headlane._base import OpenModel
from headlane._cancel import Cancel, in_thread
from headlane._checked import natural
from headlane._choices import Choices
from headlane._continuations import Continuation, continuation_of, run, sizes_for
from headlane._perplexity import Perplexity, measure
from headlane._streams import Stream
from headlane.constraint import Constraint, Schema, constraint_of
from headlane.sequences import Sequence, Sequences, Sizes, sequences_bytes
from headlane.tokenizer import Tokenizer, _as_ids

if TYPE_CHECKING:
    from typing_extensions import Unpack

Ids = NDArray[np.int32]
Prompt = str | Iterable[int]
CacheFormat = Literal["f32", "bf16", "int8"]
_WHOLE = 2**31 - 1  # tokens of a prompt, which is never cut


class LanguageModel(OpenModel):
    """A model that goes on from a text: a .headlane file, a GGUF file, a folder of Hugging Face's, or a repository of
    its hub. Any number of threads may call at once; a continuation depends neither on the other prompts of the call nor
    on threads.

    The options are those of Embedder: device, cache_folder, revision, local_files_only, token, precision, isa.
    cache: in what keys and values are kept: f32, bf16, or int8 with a scale for each token and head; as
    headlane_sequences_options has it where it is None.
    draft: a smaller model of the same tokens, or what names it, which guesses tokens of answers; these stay the same.
    A prompt is a text, or token ids; a model without a tokenizer takes ids alone. Chat templates are not applied."""

    _kind = "a language model"

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        *,
        cache: CacheFormat | None = None,
        draft: str | os.PathLike[str] | LanguageModel | None = None,
        n_threads: int | None = None,
        **options: Any,
    ) -> None:
        if cache is not None and cache not in get_args(CacheFormat):
            raise ValueError(f"cache is {cache!r}, and must be one of {', '.join(get_args(CacheFormat))}")
        super().__init__(model_name_or_path, n_threads=n_threads, **options)
        self._model.cache = None if cache is None else cache.encode()
        if draft is not None:
            self._model.draft = (draft if isinstance(draft, LanguageModel) else LanguageModel(draft))._model
        self._n_threads = n_threads
        self._tokenizer = Tokenizer._of(self._model) if self._model.facts.has_tokenizer else None

    @staticmethod
    def _fits(facts: Any) -> bool:
        return bool(facts.has_decoder and not facts.n_layers)

    def close(self) -> None:
        self._model.close()

    @property
    def max_positions(self) -> int:
        """A prompt and its answer have at most so many tokens together."""
        return int(self._model.facts.max_positions)

    @overload
    def generate(
        self,
        prompts: str,
        *,
        beams: int | None = None,
        length_penalty: float | None = None,
        logprobs: int | None = None,
        batch_size: int = 8,
        cancel: Cancel | None = None,
        **options: Unpack[Choices],
    ) -> Continuation: ...

    @overload
    def generate(
        self,
        prompts: Iterable[Any],
        *,
        beams: int | None = None,
        length_penalty: float | None = None,
        logprobs: int | None = None,
        batch_size: int = 8,
        cancel: Cancel | None = None,
        **options: Unpack[Choices],
    ) -> Any: ...

    def generate(
        self,
        prompts: Any,
        *,
        beams: int | None = None,
        length_penalty: float | None = None,
        logprobs: int | None = None,
        batch_size: int = 8,
        cancel: Cancel | None = None,
        **options: Unpack[Choices],
    ) -> Any:
        """What comes after a prompt, a Continuation; after a list of prompts, a list of them, in order.

        max_new_tokens, min_new_tokens, temperature, top_k, top_p, min_p, seed, repetition_penalty, stop, end_ids and
        logit_bias say how tokens are chosen and when they end; what is not given is as the model's makers mean it
        (generation_config.json), and temperature=0 is the likeliest token each time.
        schema, regex and constraint say what the answer must be like: see constraint.
        beams: searches by so many beams; length_penalty: scores are over length to this power.
        logprobs: the log-probabilities of the tokens too, and of so many of the likeliest at each place, from 0 on.
        batch_size: prompts that go through the model together; answers do not depend on it.
        cancel: its cancel(), called from another thread, ends the call.
        """
        single, rows = self._prompts(prompts)
        choices: dict[str, Any] = {**options}
        natural("batch_size", batch_size, 1)
        if not rows:
            return []
        obeyed = constraint_of(
            self._model, choices.pop("constraint", None), choices.pop("schema", None), choices.pop("regex", None)
        )
        if beams is not None and natural("beams", beams, 1) > 1:
            if obeyed is not None:
                raise ValueError("a search by beams obeys no constraint: leave out beams, or constraint, schema and regex")
            choices.update(length_penalty=length_penalty, logprobs=logprobs)
            found = _beams.run(
                self._model, self._tokenizer, rows, beams, batch_size, self._n_threads, choices, cancel
            )
            return found[0] if single else found
        if length_penalty is not None:
            raise ValueError("length_penalty is for a search by beams: say how many by beams")
        if beams == 1:
            choices["temperature"] = 0.0
        choices["constraint"] = obeyed
        results: list[Any] = [None] * len(rows)
        has_text = self._tokenizer is not None

        def take(place: int, sequence: Sequence) -> None:
            results[place] = continuation_of(sequence, has_text, logprobs)

        choices["logprobs"] = logprobs
        n_new = self._n_new(choices)
        sizes = sizes_for(self._model, [len(ids) for ids in rows], n_new, batch_size, choices)
        run(self._model, rows, sizes, self._n_threads, choices, take, cancel)
        return results[0] if single else results

    def constraint(self, *, schema: Schema | None = None, regex: str | None = None) -> Constraint:
        """What answers must be like, for any number of them: JSON that a schema accepts, a dict or text; or what a
        regular expression fits as a whole. docs/conversations.md says what both may have."""
        return Constraint(self._model, schema, regex)

    async def agenerate(self, prompts: Any, **options: Any) -> Any:
        """generate for asyncio: the loop goes on meanwhile. If the task is cancelled, so is the call."""
        return await in_thread(self.generate, prompts, **options)

    def stream(self, prompt: Prompt, *, logprobs: int | None = None, **options: Unpack[Choices]) -> Stream:
        """The text after a prompt, piece by piece while it comes, whole characters each: an iterator for `for` and for
        `async for`. Its continuation is the whole, once it has ended. The options are those of generate."""
        single, rows = self._prompts(prompt)
        if not single:
            raise TypeError("stream takes one prompt; generate and sequences take several")
        choices: dict[str, Any] = {**options, "logprobs": logprobs}
        return Stream(self._model, rows[0], self._n_new(choices), self._n_threads, choices)

    def logprobs(self, prompt: Prompt) -> NDArray[np.float32]:
        """[tokens]: the log-probability of each token of a text behind those before it; the first one has none (NaN).
        tokenizer.encode tells the tokens."""
        found: list[NDArray[np.float32]] = []
        single, rows = self._prompts(prompt)
        if not single:
            raise TypeError("logprobs takes one text")
        self._only_prompts(rows, {"prompt_logprobs": True}, lambda _, sequence: found.append(sequence.logprobs))
        return found[0]

    def last_hidden(self, prompts: Any) -> NDArray[np.float32]:
        """The last hidden state of the last token of a prompt, [d_model]; of a list of prompts, [n, d_model]."""
        single, rows = self._prompts(prompts)
        states = np.empty((len(rows), int(self._model.facts.d_model)), np.float32)

        def take(place: int, sequence: Sequence) -> None:
            states[place] = sequence.hidden

        self._only_prompts(rows, {"hidden": True}, take)
        return states[0] if single else states

    def perplexity(
        self, text: str, *, context: int = 512, stride: int = 0, cancel: Cancel | None = None
    ) -> Perplexity:
        """The perplexity of a text and its standard error, as `headlane perplexity` counts: by windows of context
        tokens, the second half of each of which counts; with a stride, a window begins so many tokens behind the one
        before, and its last ones count, as many."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, and is {type(text).__name__}")
        tokenizer = self.tokenizer
        ids, around = tokenizer._ids(text, None, _WHOLE), tokenizer._ids("", None, _WHOLE)
        begins = len(around) > 0 and len(ids) > 0 and ids[0] == around[0]
        return measure(
            self._model, ids, int(around[0]) if begins else None, context, stride, self._n_threads, cancel
        )

    def sequences(
        self,
        *,
        max_sequences: int | None = None,
        max_tokens: int | None = None,
        max_len: int | None = None,
        max_step_tokens: int | None = None,
        max_candidates: int | None = None,
        n_threads: int | None = None,
    ) -> Sequences:
        """Sequences that join and leave while one thread takes steps.

        max_sequences: in the cache at once, the rest waits (32). max_tokens: that the cache has room for, of all
        together; shared ones count once (8192). max_len: of one sequence. max_step_tokens: that a step computes of all
        together (512). max_candidates: how many best tokens may be asked for. n_threads: the model's.
        """
        sizes = Sizes(max_sequences, max_tokens, max_len, max_step_tokens, max_candidates)
        return Sequences(self._model, sizes, self._n_threads if n_threads is None else n_threads)

    def sequences_bytes(
        self,
        *,
        max_sequences: int | None = None,
        max_tokens: int | None = None,
        max_len: int | None = None,
        max_step_tokens: int | None = None,
        max_candidates: int | None = None,
        n_threads: int | None = None,
    ) -> int:
        """The exact memory that sequences of these sizes take, their cache included, before they are made."""
        sizes = Sizes(max_sequences, max_tokens, max_len, max_step_tokens, max_candidates)
        return sequences_bytes(self._model, sizes, self._n_threads if n_threads is None else n_threads)

    def _n_new(self, choices: dict[str, Any]) -> int:
        asked = choices.get("max_new_tokens")
        return int(self._model.facts.max_new_tokens) if asked is None else natural("max_new_tokens", asked)

    def _only_prompts(self, rows: list[Ids], keep: dict[str, Any], take: Any) -> None:
        if rows:
            options = {"max_new_tokens": 0, **keep}
            sizes = sizes_for(self._model, [len(ids) for ids in rows], 0, 8, options)
            run(self._model, rows, sizes, self._n_threads, options, take)

    def _prompts(self, prompts: Any) -> tuple[bool, list[Ids]]:
        """Whether it is one prompt alone, and the ids of each."""
        if isinstance(prompts, str):
            return True, [self._ids(prompts, "prompt")]
        if isinstance(prompts, np.ndarray) and prompts.dtype.kind in "iu":
            return (True, [self._ids(prompts, "prompt")]) if prompts.ndim == 1 else (False, self._all(list(prompts)))
        if isinstance(prompts, (bytes, bytearray, memoryview, dict, set, frozenset)) or not isinstance(
            prompts, Iterable
        ):
            raise TypeError(f"a prompt must be a str or token ids, and is {type(prompts).__name__}")
        rows = list(prompts)
        if rows and all(isinstance(row, (int, np.integer)) and not isinstance(row, bool) for row in rows):
            return True, [self._ids(rows, "prompt")]
        return False, self._all(rows)

    def _all(self, rows: list[Any]) -> list[Ids]:
        return [self._ids(row, f"prompts[{i}]") for i, row in enumerate(rows)]

    def _ids(self, prompt: Any, name: str) -> Ids:
        if isinstance(prompt, str):
            _texts.from_strings([prompt])  # which refuses what no text in UTF-8 has
            ids = self.tokenizer._ids(prompt, None, _WHOLE)
        elif isinstance(prompt, (list, tuple, np.ndarray, range)):
            ids = np.ascontiguousarray(_as_ids(prompt), np.int32)
        else:
            shown = f" ({prompt!r})" if isinstance(prompt, float) or prompt is None else ""
            raise TypeError(f"{name} must be a str or token ids, and is {type(prompt).__name__}{shown}")
        if len(ids) == 0:
            raise ValueError(f"{name} is empty")
        if len(ids) >= self.max_positions:
            raise ValueError(
                f"{name} has {len(ids)} tokens, and the model has room for {self.max_positions}, its answer's included"
            )
        return ids

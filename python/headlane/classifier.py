"""Texts and pairs of texts to scores: CrossEncoder by sentence-transformers' signatures, and Classifier."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ctypes import byref, c_void_p, cast
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headlane import _abi, _out, _texts
from headlane._base import Encoding, check_device, shows_progress, struct_address
from headlane._cancel import Cancel, in_thread
from headlane._library import check, lib
from headlane._model import address_of, encoded, text_at
from headlane._progress import Bar
from headlane._sessions import Lease

Floats = NDArray[np.float32]

_OUTCOMES = {
    None: _abi.HEADLANE_OUTCOME_OF_MODEL,
    "raw": _abi.HEADLANE_OUTCOME_RAW,
    "identity": _abi.HEADLANE_OUTCOME_RAW,
    "sigmoid": _abi.HEADLANE_OUTCOME_SIGMOID,
    "softmax": _abi.HEADLANE_OUTCOME_SOFTMAX,
}


def _outcome(given: object) -> int:
    """Of None, a name, or a module of torch such as Sigmoid()."""
    name = given if given is None or isinstance(given, str) else type(given).__name__.lower()
    if name not in _OUTCOMES:
        raise ValueError(f"activation_fn is {given!r}, and must be None, 'raw', 'sigmoid' or 'softmax'")
    return _OUTCOMES[name]


class _Scorer(Encoding):
    """An open classifier. max_length: texts are cut to so many tokens; None: the model's. The other options are those
    of Embedder: device, cache_folder, revision, local_files_only, token, precision, n_threads, isa, max_tokens."""

    _kind = "a classifier of texts"

    def __init__(
        self, model_name_or_path: str | os.PathLike[str], *, max_length: int | None = None, **options: Any
    ) -> None:
        super().__init__(model_name_or_path, **options)
        self.max_length = int(self._model.facts.max_seq_len) if max_length is None else max_length

    @staticmethod
    def _fits(facts: Any) -> bool:
        return bool(facts.has_tokenizer and facts.n_labels)

    @property
    def num_labels(self) -> int:
        """How many scores a text has."""
        return int(self._model.facts.n_labels)

    @property
    def labels(self) -> list[str]:
        """What the scores are of, in their order."""
        names = []
        with self._model.hold() as address:
            for i in range(self.num_labels):
                facts = _abi.headlane_label_facts()
                check(lib.headlane_model_get_label(address, i, byref(facts)))
                names.append(text_at(facts.name))
        return names

    def _scores(
        self, first: list[str], second: list[str] | None, outcome: int, bar: bool | None, cancel: Cancel | None
    ) -> Floats:
        """[n, labels]."""
        scores = np.empty((len(first), self.num_labels), np.float32)
        if not first:
            return scores
        texts = _texts.from_strings(first)
        options = _abi.headlane_classify_options()
        options.outcome = outcome
        tokenize = _abi.headlane_tokenize_options()
        tokenize.max_len = self.max_length
        options.tokenize = struct_address(tokenize)
        if second is not None:
            others = _texts.from_strings(second)
            options.second = struct_address(others.struct)

        def call(lease: Lease, shown: Bar) -> None:
            callback = shown.callback(0)
            options.on_progress = cast(callback, c_void_p).value if callback else None
            check(
                lib.headlane_session_classify(
                    lease.address, byref(texts.struct), byref(options), scores.ctypes.data, 0
                )
            )

        self._call(call, cancel, len(first) if shows_progress(bar) else None)
        return scores


class CrossEncoder(_Scorer):
    """A model that scores pairs of texts, by the signatures of sentence-transformers' CrossEncoder."""

    def predict(
        self,
        inputs: Any,
        prompt_name: None = None,
        prompt: None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: object = None,
        apply_softmax: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: object = None,
        *,
        cancel: Cancel | None = None,
    ) -> Any:
        """Scores of pairs: of a list of pairs [n], or [n, labels] of a model of more labels; of one pair one row.

        activation_fn: None is what the model's files say; "raw" (or torch's Identity()), "sigmoid", "softmax".
        apply_softmax: over the labels of each pair, after that, if there are more than one.
        """
        check_device(device)
        if prompt_name is not None or prompt is not None:
            raise ValueError("prompt and prompt_name are refused: put what the model expects into the texts")
        if batch_size <= 0:
            raise ValueError(f"batch_size must be a positive integer, and is {batch_size}")
        outcome = _outcome(activation_fn)
        single, first, second = _pairs(inputs)
        if not first:
            return _out.converted(np.array([]), convert_to_numpy, convert_to_tensor, False)
        scores = self._scores(first, second, outcome, show_progress_bar, cancel)
        if apply_softmax and self.num_labels > 1:
            shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = shifted / shifted.sum(axis=1, keepdims=True)
        made: NDArray[Any] = scores[:, 0].copy() if self.num_labels == 1 else scores
        return _out.converted(made, convert_to_numpy, convert_to_tensor, single)

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: None = None,
        prompt: None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: object = None,
        *,
        cancel: Cancel | None = None,
    ) -> list[dict[str, Any]]:
        """The documents that fit the query best, at most top_k, best first: {"corpus_id", "score"[, "text"]}."""
        if not isinstance(query, str):
            raise TypeError(f"query must be a str, and is {type(query).__name__}")
        if self.num_labels != 1:
            raise ValueError(f"rank needs a model of one label, and this one has {self.num_labels}; predict takes it")
        if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, (int, np.integer)) or top_k < 1):
            raise ValueError(f"top_k must be a positive integer or None, and is {top_k!r}")
        texts = _texts.as_strings(documents, "documents")
        scores = self.predict(
            [(query, text) for text in texts],
            prompt_name,
            prompt,
            batch_size,
            show_progress_bar,
            activation_fn,
            cancel=cancel,
        )
        # Texts of the same score keep their order; a NaN stands at the end.
        order = np.argsort(-scores, kind="stable")[:top_k]
        rows: list[dict[str, Any]] = [{"corpus_id": int(i), "score": scores[i]} for i in order]
        if return_documents:
            for row in rows:
                row["text"] = texts[row["corpus_id"]]
        return rows

    async def apredict(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """predict for asyncio: the loop goes on meanwhile. If the task is cancelled, so is the call."""
        return await in_thread(self.predict, inputs, *args, **options)

    async def arank(self, query: str, documents: Sequence[str], *args: Any, **options: Any) -> list[dict[str, Any]]:
        """rank for asyncio."""
        rows: list[dict[str, Any]] = await in_thread(self.rank, query, documents, *args, **options)
        return rows


class Classifier(_Scorer):
    """A model that gives texts labels."""

    def predict(
        self,
        inputs: Any,
        text_pair: Any = None,
        *,
        activation_fn: object = None,
        show_progress_bar: bool | None = None,
        cancel: Cancel | None = None,
    ) -> Floats:
        """Scores of a str [labels], of a list of str [n, labels]; text_pair: the second texts of pairs, likewise.

        activation_fn: None is what the model's files say, mostly probabilities; "raw", "sigmoid", "softmax".
        """
        single = isinstance(inputs, str)
        first = [inputs] if single else _texts.as_strings(inputs)
        second = None
        if text_pair is not None:
            second = [text_pair] if isinstance(text_pair, str) else _texts.as_strings(text_pair, "text_pair")
            if len(second) != len(first):
                raise ValueError(f"inputs has {len(first)} texts, and text_pair {len(second)}")
        scores = self._scores(first, second, _outcome(activation_fn), show_progress_bar, cancel)
        return scores[0] if single else scores

    def classify(self, inputs: Any, *, top_k: int | None = 1, **options: Any) -> Any:
        """The top_k labels of a text (None: all), best first: [{"label", "score"}], a list of these of a list."""
        single = isinstance(inputs, str)
        scores = self.predict([inputs] if single else inputs, **options)
        labels = self.labels
        rows = [
            [{"label": labels[i], "score": float(row[i])} for i in np.argsort(-row, kind="stable")[:top_k]]
            for row in scores
        ]
        return rows[0] if single else rows

    def zero_shot(
        self,
        inputs: Any,
        candidate_labels: Sequence[str],
        *,
        hypothesis_template: str | None = None,
        multi_label: bool = False,
        show_progress_bar: bool | None = None,
        cancel: Cancel | None = None,
    ) -> Floats:
        """Scores of labels of your own: of a str [labels], of a list [n, labels], as transformers' pipeline has them.
        The model must be one that was trained on entailment. hypothesis_template: a sentence with {} for the label."""
        single = isinstance(inputs, str)
        strings = [inputs] if single else _texts.as_strings(inputs)
        names = _texts.as_strings([candidate_labels] if isinstance(candidate_labels, str) else candidate_labels,
                                  "candidate_labels")
        if not names:
            raise ValueError("candidate_labels must name at least one label")
        texts, labels = _texts.from_strings(strings), _texts.from_strings(names)
        template = encoded("hypothesis_template", hypothesis_template)
        tokenize = _abi.headlane_tokenize_options()
        tokenize.max_len = self.max_length
        options = _abi.headlane_zero_shot_options()
        options.tokenize, options.hypothesis = struct_address(tokenize), address_of(template)
        options.multi_label = int(multi_label)
        scores = np.empty((len(strings), len(names)), np.float32)

        def call(lease: Lease, shown: Bar) -> None:
            callback = shown.callback(0)
            options.on_progress = cast(callback, c_void_p).value if callback else None
            check(
                lib.headlane_session_zero_shot(
                    lease.address, byref(texts.struct), byref(labels.struct), byref(options), scores.ctypes.data, 0
                )
            )

        if strings:
            n = len(strings) * len(names)
            self._call(call, cancel, n if shows_progress(show_progress_bar) else None)
        return scores[0] if single else scores

    async def apredict(self, inputs: Any, *args: Any, **options: Any) -> Floats:
        """predict for asyncio: the loop goes on meanwhile. If the task is cancelled, so is the call."""
        scores: Floats = await in_thread(self.predict, inputs, *args, **options)
        return scores


def _pairs(inputs: Any) -> tuple[bool, list[str], list[str]]:
    """Whether it is one pair, and the first and the second texts."""
    if isinstance(inputs, np.ndarray):
        inputs = inputs.tolist()
    if isinstance(inputs, (str, bytes, dict)) or not isinstance(inputs, Sequence):
        raise TypeError(f"inputs must be a pair of str, or a list of pairs, and is {type(inputs).__name__}")
    single = len(inputs) == 2 and all(isinstance(text, str) for text in inputs)
    pairs = [inputs] if single else inputs
    for i, pair in enumerate(pairs):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise TypeError(f"inputs[{i}] must be a pair of str, and is {pair!r:.60}")
    first = _texts.as_strings([pair[0] for pair in pairs], "the first texts of inputs")
    second = _texts.as_strings([pair[1] for pair in pairs], "the second texts of inputs")
    return single, first, second

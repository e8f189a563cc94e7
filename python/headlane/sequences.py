"""Many sequences of a language model at once, token by token: what servers are made of."""

from __future__ import annotations

import ctypes
import itertools
import os
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from ctypes import byref, c_int64, c_size_t, c_void_p
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headlane import _abi
from headlane._cancel import Cancel, in_thread
from headlane._checked import natural, utf8
from headlane._choices import Choices, Kept, OfSequence, Request, request_of
from headlane._holdable import Holdable
from headlane._library import Error, Handle, check, error_of, interruptible, lib
from headlane._model import Model, address_of, text_at, threads_asked_for
from headlane.tokenizer import _as_ids

if TYPE_CHECKING:
    from typing_extensions import Unpack

State = Literal["waiting", "prompt", "running", "ended"]
_GUESSES_OF_A_DRAFT = 4  # as many as `headlane generate --draft` takes
_STATES: tuple[State, ...] = ("waiting", "prompt", "running", "ended")


class Token(NamedTuple):
    """What on_token is told: of a token, or that its sequence ended without another one."""

    sequence: int  # its number
    id: int | None
    n_new: int  # tokens that have come after the prompt, with this one
    text: str  # that can be shown since the last token: whole characters, and nothing that may become a stop
    logprob: float | None
    top: list[tuple[int, float]]  # the best ids at this place, and their log-probabilities
    finish_reason: str | None  # None: the sequence goes on


OnToken = Callable[[Token], object]


class Sizes(NamedTuple):
    """How large sequences may be together; None: as headlane_sequences_options says."""

    max_sequences: int | None = None
    max_tokens: int | None = None
    max_len: int | None = None
    max_step_tokens: int | None = None
    max_candidates: int | None = None
    all_logits: bool = True
    hidden: bool = True

    def struct(self, n_threads: int) -> Any:
        options = _abi.headlane_sequences_options()
        for name in ("max_sequences", "max_tokens", "max_len", "max_step_tokens", "max_candidates"):
            number = getattr(self, name)
            setattr(options, name, 0 if number is None else natural(name, number, 1))
        options.all_logits, options.hidden = int(self.all_logits), int(self.hidden)
        options.n_threads = n_threads
        return options


class _Listeners:
    """Who is told of tokens, by the number that the engine hands back; and what the last of them raised."""

    def __init__(self) -> None:
        self.by_key: dict[int, OnToken] = {}
        self._keys = itertools.count(1)
        self.error: BaseException | None = None

    def add(self, on_token: OnToken) -> int:
        key = next(self._keys)
        self.by_key[key] = on_token
        return key

    def tell(self, key: int | None, address: int | None) -> int:
        token = _abi.headlane_sequence_token.from_address(address or 0)
        on_token = self.by_key.get(key or 0)
        if on_token is None:  # removed meanwhile
            return _abi.HEADLANE_STOP_SOURCE
        try:
            return _abi.HEADLANE_STOP_SOURCE if on_token(_told(token)) is False else _abi.HEADLANE_GO_ON
        except BaseException as error:  # which must not go through the engine
            self.error = self.error or error
            return _abi.HEADLANE_STOP_SOURCE


def _told(token: Any) -> Token:
    ids = (ctypes.c_int32 * token.n_top).from_address(token.top_ids) if token.n_top else ()
    logprobs = (ctypes.c_float * token.n_top).from_address(token.top_logprobs) if token.n_top else ()
    return Token(
        sequence=token.sequence,
        id=None if token.id < 0 else token.id,
        n_new=token.n_new,
        text=ctypes.string_at(token.text, token.text_bytes).decode("utf-8", "replace") if token.text_bytes else "",
        logprob=None if np.isnan(token.logprob) else token.logprob,
        top=[(i, logprob) for i, logprob in zip(ids, logprobs, strict=True) if i >= 0],
        finish_reason=text_at(token.finish_reason) or None,
    )


class _Step:
    """What Cancel ends."""

    def __init__(self, address: int) -> None:
        self.address = address

    def cancel(self) -> None:
        lib.headlane_sequences_set_cancelled(self.address, 1)

    def uncancel(self) -> None:
        lib.headlane_sequences_set_cancelled(self.address, 0)


def _holding_draft(model: Model) -> AbstractContextManager[int | None]:
    """The address of the draft, which stays open meanwhile; None: there is none."""
    return nullcontext() if model.draft is None else model.draft.hold()


def sequences_bytes(model: Model, sizes: Sizes, n_threads: int | None) -> int:
    """The exact size of the block in which sequences of these sizes are computed, their cache included."""
    options, n_bytes = sizes.struct(threads_asked_for(n_threads)), c_size_t()
    options.cache = address_of(model.cache)
    with model.hold() as address, _holding_draft(model) as draft:
        options.draft = draft
        check(lib.headlane_sequences_bytes(address, byref(options), byref(n_bytes)))
    return n_bytes.value


class Sequences(Holdable):
    """Sequences of a language model, which LanguageModel.sequences makes. They join and leave at any time, from any
    thread; one thread takes steps. The tokens of one depend neither on the others nor on threads. Sequences that begin
    alike share what the cache has of their beginning."""

    def __init__(self, model: Model, sizes: Sizes, n_threads: int | None) -> None:
        super().__init__("the sequences have been closed")
        self._model = model
        self._pid = os.getpid()
        self._listeners = _Listeners()
        self._callback = _abi.headlane_on_sequence_token(self._listeners.tell)
        self._callback_address = ctypes.cast(self._callback, c_void_p).value
        options, out = sizes.struct(threads_asked_for(n_threads)), c_void_p()
        options.cache = address_of(model.cache)
        # A step takes the last token of a sequence, and the guesses behind it.
        most = sizes.max_step_tokens
        self._n_guesses = _GUESSES_OF_A_DRAFT if most is None else min(_GUESSES_OF_A_DRAFT, most - 1)
        holding = ExitStack()

        def destroy(address: int) -> None:
            if address:
                lib.headlane_sequences_destroy(address)
            holding.close()

        address = holding.enter_context(model.hold())
        try:
            options.draft = holding.enter_context(_holding_draft(model))
            check(lib.headlane_sequences_create(address, byref(options), byref(out)))
        except BaseException:
            destroy(0)
            raise
        self.handle = Handle(out.value or 0, destroy, keep=(model, model.draft, self._callback))
        _all.add(self)

    def __enter__(self) -> Sequences:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _after_fork(self) -> None:
        """A child has neither the threads nor, for sure, whole rows: it makes sequences of its own."""
        self._unlock()
        self._closed, self._refusal = True, "the sequences are the parent process's; a forked child makes its own"
        self.handle.address = 0

    def add(
        self,
        prompt: str | Iterable[int],
        *,
        on_token: OnToken | None = None,
        **options: Unpack[_Options],
    ) -> Sequence:
        """A sequence that goes on from a prompt, a text or token ids. It joins in the next step, or once there is room.

        on_token: called for each token, by the thread that takes the step. False ends the sequence; what it raises
            ends it too, and comes out of the step. It may use the sequences, except for step and close.
        The other options are those of LanguageModel.generate; prompt_logprobs, hidden and keep say what is kept; key
            chooses other random numbers of the same seed; room is for models that choose positions by length.
        """
        if options.get("speculate") is None and self._model.draft is not None:
            options["speculate"] = self._n_guesses
        request = request_of(self._model, **options)
        number = c_int64()
        with self.hold() as address, _Listening(self, on_token, request) as key:
            if isinstance(prompt, str):
                data = utf8("prompt", prompt)
                check(lib.headlane_sequences_add_text(address, data, len(data), byref(request.struct), byref(number)))
            else:
                ids = np.ascontiguousarray(_as_ids(prompt))
                check(
                    lib.headlane_sequences_add(
                        address, ids.ctypes.data, len(ids), byref(request.struct), byref(number)
                    )
                )
        return Sequence(self, number.value, int(request.struct.n_top), key)

    def load(self, state: bytes) -> Sequence:
        """A sequence of what Sequence.save gave, of the same model, precision and format of the cache. It has ended and
        is kept: others that begin with its tokens share them, and its fork goes on with the same bits as if it had
        never been saved."""
        number = c_int64()
        with self.hold() as address:
            check(lib.headlane_sequences_load(address, state, len(state), byref(number)))
        return Sequence(self, number.value, 0, 0)

    def step(self, cancel: Cancel | None = None) -> int:
        """Lets those that wait join, computes some tokens of each that runs, and calls on_token. How many have not
        ended. If it was cancelled, by Ctrl-C too, sequences are as before."""
        ends = cancel or Cancel()
        return interruptible(lambda: self._step(ends), ends.cancel)

    async def astep(self) -> int:
        """step for asyncio. If the task is cancelled, so is the step."""
        n: int = await in_thread(self.step)
        return n

    def run(self, cancel: Cancel | None = None) -> None:
        """Steps until all have ended."""
        ends = cancel or Cancel()

        def steps() -> None:
            while self._step(ends) > 0:
                pass

        interruptible(steps, ends.cancel)

    def _step(self, ends: Cancel) -> int:
        n = c_int64()
        with self.hold() as address:
            inside = _Step(address)
            ends._enter(inside)
            try:
                check(lib.headlane_sequences_step(address, byref(n)))
            finally:
                ends._leave(inside)
        error, self._listeners.error = self._listeners.error, None
        if error is not None:
            raise error
        return n.value


class _Options(Choices, Kept, OfSequence, total=False):
    pass


class _Listening:
    """Around a call that adds a sequence: who listens is known before the first token can come, and is forgotten if
    the call fails."""

    def __init__(self, of: Sequences, on_token: OnToken | None, request: Request) -> None:
        self._of, self._key = of, 0
        if on_token is not None:
            self._key = of._listeners.add(on_token)
            request.struct.on_token, request.struct.user = of._callback_address, self._key

    def __enter__(self) -> int:
        return self._key

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._of._listeners.by_key.pop(self._key, None)


class Sequence:
    """One of some Sequences."""

    __slots__ = ("_key", "_n_top", "_of", "number")

    def __init__(self, of: Sequences, number: int, n_top: int, key: int) -> None:
        self._of, self.number, self._n_top, self._key = of, number, n_top, key

    def __repr__(self) -> str:
        return f"headlane.Sequence({self.number}, {self.state})"

    def _facts(self) -> Any:
        facts = _abi.headlane_sequence_facts()
        with self._of.hold() as address:
            check(lib.headlane_sequences_get(address, self.number, byref(facts)))
        return facts

    def save(self) -> bytes:
        """What the cache has of it, for Sequences.load in another run of the program."""
        n_bytes = c_size_t()
        with self._of.hold() as address:
            check(lib.headlane_sequences_save(address, self.number, None, 0, byref(n_bytes)))
            while True:  # it may grow while this is called
                state = ctypes.create_string_buffer(n_bytes.value)
                status = lib.headlane_sequences_save(address, self.number, state, len(state), byref(n_bytes))
                if status != _abi.HEADLANE_TOO_LARGE:
                    break
            check(status)
        return state.raw[: n_bytes.value]

    @property
    def state(self) -> State:
        """waiting: for room in the cache, or for what it shares; prompt: which is being computed; running: tokens
        come; ended."""
        return _STATES[int(self._facts().state)]

    @property
    def finish_reason(self) -> str | None:
        """None: it has not ended. "stop": by an end of the model's, or a stop; "length": there are as many tokens as
        were asked for, or no room for more; "cache_full": max_tokens has none; "callback"; "nan"; "constraint": an
        error of the constraint, which `error` has."""
        return text_at(self._facts().finish_reason) or None

    @property
    def error(self) -> Error | None:
        """Why it ended by an error, such as a cache that is full; None: it did not."""
        facts = self._facts()
        return None if facts.status == _abi.HEADLANE_OK else error_of(facts.status, text_at(facts.message))

    @property
    def n_prompt(self) -> int:
        """Tokens of its prompt."""
        return int(self._facts().n_prompt)

    @property
    def n_shared(self) -> int:
        """Of its tokens, those that the cache had already when it joined."""
        return int(self._facts().n_shared)

    @property
    def n_computed(self) -> int:
        """Of its tokens, those that went through the layers."""
        return int(self._facts().n_computed)

    @property
    def least_tokens(self) -> int:
        """The fewest tokens that it can be rewound to now; 0: it cannot."""
        return int(self._facts().least_tokens)

    @property
    def ids(self) -> list[int]:
        """The tokens that came after the prompt, so far."""
        made: list[int] = self._grown(lib.headlane_sequences_get_ids, np.int32).tolist()
        return made

    @property
    def text(self) -> str:
        """The text that came after the prompt, as much of it as can be shown."""
        return self._grown(lib.headlane_sequences_get_text, np.uint8).tobytes().decode("utf-8", "replace")

    def _grown(self, get: Any, dtype: Any) -> NDArray[Any]:
        """What may become longer while it is asked for."""
        n = c_int64()
        found = np.empty(256, dtype)
        with self._of.hold() as address:
            while True:
                status = get(address, self.number, found.ctypes.data, len(found), byref(n))
                if status != _abi.HEADLANE_TOO_LARGE or n.value <= len(found):
                    break
                found = np.empty(2 * n.value, dtype)
            check(status)
        return found[: n.value]

    @property
    def logprobs(self) -> NDArray[np.float32]:
        """[places]: log-probabilities of its tokens; with prompt_logprobs from its first one on, which has none (NaN),
        else from the first one after the prompt on."""
        return self._logprobs(False)[0]

    @property
    def top_logprobs(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """[places, n] each: the best ids at each place, best first (-1: there are no more), and their
        log-probabilities."""
        return self._logprobs(True)[1:]

    def _logprobs(self, top: bool) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
        n, n_top = int(self._facts().n_logprobs), self._n_top if top else 0
        logprobs, ids = np.empty(n, np.float32), np.empty((n, n_top), np.int32)
        of_top = np.empty((n, n_top), np.float32)
        places = ids.ctypes.data if n_top else None, of_top.ctypes.data if n_top else None
        with self._of.hold() as address:
            check(lib.headlane_sequences_get_logprobs(address, self.number, 0, n, logprobs.ctypes.data, *places))
        return logprobs, ids, of_top

    @property
    def hidden(self) -> NDArray[np.float32]:
        """[d_model]: the last hidden state of the last of its tokens that went through the layers."""
        state = np.empty(int(self._of._model.facts.d_model), np.float32)
        with self._of.hold() as address:
            check(lib.headlane_sequences_get_hidden(address, self.number, state.ctypes.data))
        return state

    def fork(
        self,
        n_tokens: int | None = None,
        ids: Iterable[int] = (),
        *,
        on_token: OnToken | None = None,
        **options: Unpack[_Options],
    ) -> Sequence:
        """A sequence of the first n_tokens tokens of this one (None: of all), and ids behind them. They share what the
        cache has of it. The options are those of Sequences.add."""
        of, number = self._of, c_int64()
        request = request_of(of._model, **options)
        behind = np.ascontiguousarray(_as_ids(ids))
        if n_tokens is None:
            facts = self._facts()
            n_tokens = int(facts.n_prompt + facts.n_new)
        given = behind.ctypes.data if len(behind) else None, len(behind), byref(request.struct), byref(number)
        with of.hold() as address, _Listening(of, on_token, request) as key:
            check(lib.headlane_sequences_fork(address, self.number, natural("n_tokens", n_tokens, 1), *given))
        return Sequence(of, number.value, int(request.struct.n_top), key)

    def rewind(self, n_tokens: int) -> None:
        """Makes it shorter, of its prompt and what came after it; it goes on from there, also if it had ended."""
        with self._of.hold() as address:
            check(lib.headlane_sequences_rewind(address, self.number, natural("n_tokens", n_tokens, 1)))

    def remove(self) -> None:
        """Ends it, if it has not ended, and forgets it."""
        with self._of.hold() as address:
            check(lib.headlane_sequences_remove(address, self.number))
        self._of._listeners.by_key.pop(self._key, None)


_all: weakref.WeakSet[Sequences] = weakref.WeakSet()


def _after_fork() -> None:
    for sequences in list(_all):
        sequences._after_fork()


os.register_at_fork(after_in_child=_after_fork)

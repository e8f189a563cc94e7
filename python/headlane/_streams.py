"""A text that is told while it grows."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headlane._cancel import Cancel
from headlane._continuations import Continuation, continuation_of, sizes_for
from headlane._library import interruptible
from headlane._model import Model
from headlane.sequences import Sequence, Sequences, Token


class Stream:
    """An iterator over the pieces of a text as they come, whole characters each: for `for`, and for `async for`, where
    the loop goes on meanwhile. continuation is the whole, once it has ended. Dropping it ends the text."""

    def __init__(
        self, model: Model, prompt: NDArray[np.int32], n_new: int, n_threads: int | None, options: Any
    ) -> None:
        self._has_text = bool(model.facts.has_tokenizer)
        self._logprobs = options.get("logprobs")
        self._pieces: deque[str] = deque()
        self._continuation: Continuation | None = None
        self._stepping = threading.Lock()
        pieces = self._pieces  # and not self, which the callback would keep

        def on_token(token: Token) -> None:
            if token.text:
                pieces.append(token.text)

        self._sequences = Sequences(model, sizes_for(model, [len(prompt)], n_new, 1, options), n_threads)
        self._sequence: Sequence = self._sequences.add(prompt, on_token=on_token, **options)

    @property
    def continuation(self) -> Continuation:
        """The whole text, its tokens, and why it ended."""
        if self._continuation is None:
            raise ValueError("the text has not ended yet: take all of its pieces first")
        return self._continuation

    def close(self) -> None:
        """Ends the text, and frees what it took."""
        self._sequences.close()

    def _next(self, ends: Cancel) -> str | None:
        with self._stepping:
            while not self._pieces and self._continuation is None:
                self._sequences._step(ends)
                if self._sequence.finish_reason is not None:
                    if (error := self._sequence.error) is not None:
                        raise error
                    self._continuation = continuation_of(self._sequence, self._has_text, self._logprobs)
                    self._sequences.close()
            return self._pieces.popleft() if self._pieces else None

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        if not self._pieces and self._continuation is None:
            ends = Cancel()
            piece = interruptible(lambda: self._next(ends), ends.cancel)
        else:
            piece = self._next(Cancel())
        if piece is None:
            raise StopIteration
        return piece

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> str:
        ends = Cancel()
        try:
            piece = await asyncio.to_thread(self._next, ends)
        except asyncio.CancelledError:
            ends.cancel()
            raise
        if piece is None:
            raise StopAsyncIteration
        return piece

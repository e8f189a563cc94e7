"""A bar for long calls, by tqdm if it is there."""

from __future__ import annotations

import importlib
from types import TracebackType
from typing import Any

from headlane import _abi
from headlane._library import logger


class Bar:
    """Shows how many of some texts are done; nothing if n is None or tqdm is not there."""

    def __init__(self, n: int | None) -> None:
        self._bar: Any = None
        self._callback: Any = None
        if n is None:
            return
        try:
            tqdm = importlib.import_module("tqdm.auto").tqdm
        except ImportError:
            logger.info("a progress bar was asked for, and tqdm is not installed")
            return
        self._bar = tqdm(total=n, desc="Texts")

    def callback(self, done: int) -> Any:
        """What headlane_embed_options.on_progress takes, for a call whose texts come after `done` others."""
        bar = self._bar
        if bar is None:
            return None

        def on_progress(_user: int | None, progress: int) -> int:
            bar.update(done + _abi.headlane_embed_progress.from_address(progress).n_texts - bar.n)
            return 0

        self._callback = _abi.headlane_on_progress(on_progress)
        return self._callback

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

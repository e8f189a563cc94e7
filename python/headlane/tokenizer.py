"""Texts to token ids, and back."""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Iterable
from ctypes import byref, c_int32, c_int64, c_size_t, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headlane import _abi, _files
from headlane._checked import utf8
from headlane._library import Unsupported, check, lib
from headlane._model import Model, address_of, encoded


class Tokenizer:
    """The tokenizer of a model: a .headlane file, a folder of Hugging Face's, or the name of a repository. Any number
    of threads may use it at once."""

    def __init__(
        self, model_name_or_path: str | os.PathLike[str], *, cache_folder: str | os.PathLike[str] | None = None
    ) -> None:
        path, _ = _files.find(model_name_or_path, cache=cache_folder)
        self._set(Model(path))

    @classmethod
    def _of(cls, model: Model) -> Tokenizer:
        tokenizer = cls.__new__(cls)
        tokenizer._set(model)
        return tokenizer

    def _set(self, model: Model) -> None:
        if not model.facts.has_tokenizer:
            raise Unsupported(f"{model.path} has no tokenizer")
        self._model = model

    @property
    def vocab_size(self) -> int:
        """Ids are below it."""
        return int(self._model.facts.vocab_size)

    def __len__(self) -> int:
        return self.vocab_size

    def encode(
        self,
        text: str,
        *,
        max_length: int | None = None,
        prompt: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        as_target: bool = False,
    ) -> list[int]:
        """The ids of a text, special tokens included, cut to max_length (None: the model's) of them.

        prompt: put before the text. source_language, target_language, as_target: of models that translate.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, and is {type(text).__name__}")
        ids = self._ids(
            text, encoded("prompt", prompt), max_length or 0, source_language, target_language, as_target
        )
        made: list[int] = ids.tolist()
        return made

    def _ids(
        self,
        text: str,
        prompt: bytes | None,
        max_length: int,
        source_language: str | None = None,
        target_language: str | None = None,
        as_target: bool = False,
    ) -> NDArray[np.int32]:
        languages = encoded("source_language", source_language), encoded("target_language", target_language)
        options = _abi.headlane_tokenize_options()
        options.max_len = max_length
        options.prompt = address_of(prompt)
        options.source_language, options.target_language = address_of(languages[0]), address_of(languages[1])
        options.as_target = int(as_target)
        data = utf8("text", text)
        ids = np.empty(min(max(max_length, 16), 4096), np.int32)
        n_ids = c_int64()
        with self._model.hold() as address:
            while True:
                status = lib.headlane_model_tokenize(
                    address, data, len(data), byref(options), ids.ctypes.data, len(ids), byref(n_ids)
                )
                if status != _abi.HEADLANE_TOO_LARGE or n_ids.value <= len(ids):
                    break
                ids = np.empty(n_ids.value, np.int32)
            check(status)
        return ids[: n_ids.value]

    def apply_chat_template(
        self,
        messages: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None = None,
        documents: list[dict[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        tokenize: bool = True,
        **variables: Any,
    ) -> Any:
        """The token ids of a conversation, by the model's template; tokenize=False: its text. What messages, tools,
        documents and variables spell is never a special token; elsewhere the ids are those of transformers.

        messages: [{"role": "user", "content": "Hello"}, ...]
        variables: further names that the template knows, such as enable_thinking=False
        """
        texts = [_json_or_none(given) for given in (messages, tools, documents, variables or None)]
        options = _abi.headlane_chat_options()
        options.messages, options.tools = address_of(texts[0]), address_of(texts[1])
        options.documents, options.variables = address_of(texts[2]), address_of(texts[3])
        options.no_answer = int(not add_generation_prompt)
        options.now = int(time.time())  # read once, since one call asks how long the other one's result is
        write = lib.headlane_model_tokenize_chat if tokenize else lib.headlane_model_write_chat
        n = c_int64()
        with self._model.hold() as address:
            check(write(address, byref(options), None, 0, byref(n)))
            made = np.empty(n.value, np.int32 if tokenize else np.uint8)
            if n.value > 0:
                check(write(address, byref(options), made.ctypes.data, n.value, byref(n)))
        return made.tolist() if tokenize else made.tobytes().decode("utf-8", "replace")

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, special tokens left out. Of models that translate, ids of targets."""
        numbers = np.ascontiguousarray(_as_ids(ids))
        n_bytes = c_int64()
        given = numbers.ctypes.data, len(numbers)
        with self._model.hold() as address:
            check(lib.headlane_model_detokenize(address, *given, None, 0, byref(n_bytes)))
            if n_bytes.value == 0:
                return ""
            text = ctypes.create_string_buffer(n_bytes.value)
            check(lib.headlane_model_detokenize(address, *given, text, n_bytes.value, byref(n_bytes)))
        return text.raw[: n_bytes.value].decode("utf-8", "replace")

    def id_to_token(self, token_id: int, *, of_target: bool = False) -> str:
        """How a token is spelled; of_target: in the vocabulary of targets, where that is another one."""
        text, n_bytes = c_void_p(), c_size_t()
        get = lib.headlane_model_get_target_token if of_target else lib.headlane_model_get_token
        with self._model.hold() as address:
            check(get(address, _as_id(token_id), byref(text), byref(n_bytes)))
            found = ctypes.string_at(text.value or 0, n_bytes.value) if n_bytes.value else b""
        return found.decode("utf-8", "replace")

    def token_to_id(self, token: str) -> int:
        """The id of the token that is spelled so; a ValueError if there is none."""
        data = utf8("token", token)
        found = c_int32()
        with self._model.hold() as address:
            check(lib.headlane_model_find_token(address, data, len(data), byref(found)))
        return found.value

    def tokens(self, text: str, **options: Any) -> list[str]:
        """The tokens of a text as they are spelled; the options are those of encode."""
        return [self.id_to_token(i) for i in self.encode(text, **options)]

    @property
    def languages(self) -> list[str]:
        """The languages that the tokenizer has tokens for, of models that translate."""
        names = []
        with self._model.hold() as address:
            for i in range(self._model.facts.n_languages):
                facts = _abi.headlane_language_facts()
                check(lib.headlane_model_get_language(address, i, byref(facts)))
                names.append(ctypes.string_at(facts.name, facts.name_bytes).decode())
        return names


def _as_id(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
        raise TypeError(f"a token id must be an int, and is {type(number).__name__}")
    if not -(2**31) <= number < 2**31:
        raise ValueError(f"the id {number} is not in the vocabulary")
    return int(number)


def _as_ids(ids: Iterable[int]) -> NDArray[np.int32]:
    if isinstance(ids, np.ndarray):
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise TypeError(f"ids must be integers in a row, and are {ids.dtype} of shape {ids.shape}")
        ids = ids.tolist()
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise TypeError(f"ids must be a list of int, and is {type(ids).__name__}")
    return np.array([_as_id(number) for number in ids], np.int32)


def _json_or_none(value: Any) -> bytes | None:
    return None if value is None else json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")

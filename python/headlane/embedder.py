"""Texts to vectors, by the signatures of sentence-transformers' SentenceTransformer, on numpy."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headlane import _embed, _encode, _out, _texts, _vectors
from headlane._base import MAX_TOKENS, Encoding, Precision, check_device, shows_progress
from headlane._cancel import Cancel, in_thread
from headlane._library import logger
from headlane._model import encoded, text_at

Floats = NDArray[np.float32]


class Embedder(Encoding):
    """A model that turns texts into vectors.

    model_name_or_path: a .headlane file, a folder of Hugging Face's, or the name of a repository of its hub. Folders
        and repositories are converted once, into cache_folder ($HEADLANE_CACHE, or ~/.cache/headlane).
    precision: what products are computed in: "f32", "bf16", "int8", "int8g", "int6", "int5", "int4", or "auto" for
        the fastest of the first three that this machine has instructions for. None: what the file has; of a folder, f32.
    n_threads: None: $OMP_NUM_THREADS, or one for each CPU that the process may run on.
    The other parameters are those of SentenceTransformer. Whatever Embedder has not got is a TypeError.

    Any number of threads may call at once. Vectors have the same bits whatever is beside a text and however many
    threads there are.
    """

    _kind = "a model that turns texts into vectors"
    _namespace = "sentence-transformers"

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        *,
        device: object = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        similarity_fn_name: Literal["cosine", "dot", "euclidean", "manhattan"] | None = None,
        truncate_dim: int | None = None,
        precision: Precision | None = None,
        pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = None,
        n_threads: int | None = None,
        isa: str | None = None,
        map: bool = False,
        verify: bool = False,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        super().__init__(
            model_name_or_path,
            device=device,
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
            token=token,
            precision=precision,
            pooling=pooling,
            n_threads=n_threads,
            isa=isa,
            map=map,
            verify=verify,
            max_tokens=max_tokens,
        )
        facts = self._model.facts
        self._dim = int(facts.d_vector)
        self._normalizes = bool(facts.normalize)
        of_model, self.default_prompt_name = self._model.prompts()
        self.prompts: dict[str, str] = {"query": "", "document": "", **of_model, **(prompts or {})}
        if default_prompt_name is not None:
            if default_prompt_name not in self.prompts:
                raise ValueError(
                    f"default_prompt_name is {default_prompt_name!r}, and the prompts are {sorted(self.prompts)}"
                )
            self.default_prompt_name = default_prompt_name
        self.max_seq_length = int(facts.max_seq_len)
        meant = int(facts.d_embedding)
        self.truncate_dim = _vectors.checked_dim(truncate_dim) or (meant if meant < self._dim else None)
        self.similarity_fn_name = similarity_fn_name or text_at(facts.similarity)
        if self.similarity_fn_name not in _vectors.SIMILARITIES:
            raise ValueError(
                f"similarity_fn_name is {self.similarity_fn_name!r}, and must be one of {_vectors.SIMILARITIES}"
            )

    @staticmethod
    def _fits(facts: Any) -> bool:
        return bool(facts.has_tokenizer and not facts.has_decoder and facts.d_vector)

    def get_embedding_dimension(self) -> int:
        """How many numbers a vector has."""
        return self._dim if self.truncate_dim is None else min(self._dim, self.truncate_dim)

    get_sentence_embedding_dimension = get_embedding_dimension

    def get_max_seq_length(self) -> int:
        """Texts are cut to this many tokens."""
        return self.max_seq_length

    def __repr__(self) -> str:
        return f"headlane.Embedder({self._model.path!r}, dim={self._dim}, precision={self.precision!r})"

    # Texts to vectors.

    def encode(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] = "sentence_embedding",
        precision: Literal["float32", "int8", "uint8", "binary", "ubinary"] = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: object = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: None = None,
        chunk_size: None = None,
        *,
        out: NDArray[Any] | None = None,
        cancel: Cancel | None = None,
    ) -> Any:
        """Vectors of texts: of a str [dim], of a list of str [n, dim], in float32; of [] an array of shape (0,).

        inputs: a str; a list, a tuple, an array of numpy or anything else that gives str; or an Arrow array of
            strings (pyarrow, polars, ...), which is read where it lies. A null of Arrow's is refused.
        prompt, prompt_name: what is put before each text, or its name in prompts; neither: the default prompt.
        batch_size is accepted, and changes nothing: the engine makes batches of tokens by itself.
        show_progress_bar: None: if the logger "headlane" or the root shows INFO. It takes tqdm.
        output_value: "token_embeddings" gives the last hidden state of each text, [tokens, dim].
        precision: what the numbers of the vectors are, computed in float32: bytes, or a bit for each number.
        convert_to_tensor: torch tensors, if torch is installed; they share the memory of the array.
        out: where to write, [n, dim] (of a str also [dim]) of float32, whose rows may lie apart; it is returned.
        cancel: its cancel(), called from another thread, ends the call, which raises headlane.Cancelled.
        """
        if (  # the usual call of one text, which takes so little that the rest would be felt
            prompt_name is None
            and prompt is None
            and show_progress_bar is None
            and device is None
            and truncate_dim is None
            and pool is None
            and chunk_size is None
            and out is None
            and cancel is None
            and output_value == "sentence_embedding"
            and precision == "float32"
            and convert_to_numpy
            and not convert_to_tensor
            and not normalize_embeddings
            and batch_size > 0
            and self.truncate_dim is None
        ):
            vector = self._one(inputs)
            if vector is not None:
                return vector
        check_device(device)
        if pool is not None or chunk_size is not None:
            raise ValueError("pool and chunk_size are for several processes; one process uses all CPUs here")
        if batch_size <= 0:
            raise ValueError(f"batch_size must be a positive integer, and is {batch_size}")
        if precision not in _vectors.PRECISIONS:
            raise ValueError(f"precision is {precision!r}, and must be one of {_vectors.PRECISIONS}")
        text = encoded("prompt", self._prompt(prompt, prompt_name))
        shorter = self.truncate_dim if truncate_dim is None else _vectors.checked_dim(truncate_dim)
        plain = (
            (shorter is None or shorter >= self._dim)
            and precision == "float32"
            and not (normalize_embeddings and not self._normalizes)
        )
        if output_value == "token_embeddings":
            if out is not None:
                raise ValueError("out is for sentence embeddings; token embeddings have as many rows as tokens")
            return self._token_embeddings(inputs, text)
        if output_value != "sentence_embedding":
            raise ValueError(
                f"output_value is {output_value!r}, and must be 'sentence_embedding' or 'token_embeddings'"
            )
        single = isinstance(inputs, str)
        parts = _texts.parts_of(inputs)
        n_texts = sum(part.n_texts for part in parts)
        given = _out.as_rows(out, n_texts, single) if out is not None else None
        if given is not None and plain:
            rows = _out.checked(given, self._dim)
        else:
            rows = np.empty((n_texts, self._dim), np.float32)
        if n_texts:
            bar = shows_progress(show_progress_bar)
            _embed.embed(self, parts, rows, text, self.max_seq_length, bar, cancel)
        elif out is None:
            return _out.converted(np.array([]), convert_to_numpy, convert_to_tensor, False)
        made: NDArray[Any] = rows
        if not plain and n_texts:
            made = _vectors.finished(rows, shorter, normalize_embeddings, precision)
        if out is not None:
            if given is not None and not plain and n_texts:
                _out.write(given, made)
            return out
        return _out.converted(made, convert_to_numpy, convert_to_tensor, single)

    def encode_query(
        self, inputs: Any, prompt_name: str | None = None, prompt: str | None = None, **options: Any
    ) -> Any:
        """encode, with the prompt "query" unless another is asked for."""
        if prompt_name is None and prompt is None and "query" in self.prompts:
            prompt_name = "query"
        return self.encode(inputs, prompt_name, prompt, **options)

    def encode_document(
        self, inputs: Any, prompt_name: str | None = None, prompt: str | None = None, **options: Any
    ) -> Any:
        """encode, with the first of the prompts "document", "passage" and "corpus" unless another is asked for."""
        if prompt_name is None and prompt is None:
            prompt_name = self._document_prompt()
        return self.encode(inputs, prompt_name, prompt, **options)

    async def aencode(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """encode for asyncio: the loop goes on meanwhile. If the task is cancelled, so is the call."""
        return await in_thread(self.encode, inputs, *args, **options)

    async def aencode_query(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """encode_query for asyncio."""
        return await in_thread(self.encode_query, inputs, *args, **options)

    async def aencode_document(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """encode_document for asyncio."""
        return await in_thread(self.encode_document, inputs, *args, **options)

    def attention_maps(
        self, text: str, *, layers: slice | int = slice(None), heads: slice | int = slice(None), prompt: str = ""
    ) -> tuple[list[str], Floats]:
        """The tokens of a text, and how much each attends to each: [layers, heads, tokens, tokens], rows of which sum
        to 1. layers, heads: which ones, a number or a slice without steps; the array has all four dimensions."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, and is {type(text).__name__}")
        ids = self.tokenizer._ids(text, encoded("prompt", prompt), self.max_seq_length)
        weights = _encode.attention_maps(self, ids, layers, heads)
        return [self.tokenizer.id_to_token(int(number)) for number in ids], weights

    def similarity(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> Floats:
        """[n1, n2]: how alike each of the first vectors is to each of the second, by similarity_fn_name."""
        return _vectors.similarity(self.similarity_fn_name, embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> Floats:
        """[n]: how alike each of the first vectors is to the second vector at its place."""
        return _vectors.similarity_pairwise(self.similarity_fn_name, embeddings1, embeddings2)

    def _document_prompt(self) -> str | None:
        return next((name for name in ("document", "passage", "corpus") if name in self.prompts), None)

    def _prompt(self, prompt: str | None, name: str | None) -> str:
        if prompt is not None:
            if name is not None:
                logger.warning("both prompt and prompt_name are given; prompt_name is not used")
            return prompt
        if name is None:
            return self.prompts.get(self.default_prompt_name or "", "")
        if name not in self.prompts:
            raise ValueError(f"there is no prompt {name!r}; the model's prompts are {sorted(self.prompts)}")
        return self.prompts[name]

    def _one(self, text: Any) -> Floats | None:
        """The vector of a short text, by the shortest way, with the default prompt; None: that way is not for it."""
        name = self.default_prompt_name
        prompt = self.prompts.get(name, "") if name else ""
        sessions = self._sessions
        try:
            return sessions.one_text.embed(text, prompt, self.max_seq_length)
        except UnicodeEncodeError:
            _texts.from_strings([text])  # which says what is wrong
            raise
        finally:
            if sessions._n_waiting or sessions._closed:
                sessions.tell()

    def _token_embeddings(self, inputs: Any, prompt: bytes | None) -> Any:
        single = isinstance(inputs, str)
        strings = [inputs] if single else _texts.as_strings(inputs)
        tokenizer = self.tokenizer
        ids = [tokenizer._ids(text, prompt, self.max_seq_length) for text in strings]
        results = _encode.hidden_states(self, ids)
        return results[0] if single else results

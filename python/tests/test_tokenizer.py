"""Tokenizer beside the ids that transformers makes (tests/golden/tokenizer)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import headlane


@pytest.fixture(scope="module")
def tokenizer(bert: Path) -> headlane.Tokenizer:
    return headlane.Tokenizer(bert)


def test_golden(tokenizer: headlane.Tokenizer, bert: Path) -> None:
    texts = (bert / "texts.txt").read_text(encoding="utf-8").split("\n")
    rows = (bert / "text_ids.txt").read_text().split("\n")
    for text, row in zip(texts, rows, strict=True):
        if row:
            assert tokenizer.encode(text) == [int(number) for number in row.split()]


def test_there_and_back(tokenizer: headlane.Tokenizer) -> None:
    ids = tokenizer.encode("the cat sat")
    assert tokenizer.decode(ids) == "the cat sat"
    assert tokenizer.tokens("the cat sat") == ["[CLS]", "the", "cat", "sat", "[SEP]"]
    assert [tokenizer.token_to_id(token) for token in tokenizer.tokens("the cat sat")] == ids
    assert tokenizer.encode("the cat sat", max_length=3) == [ids[0], ids[1], ids[-1]]
    assert tokenizer.encode("dog", prompt="the ") == tokenizer.encode("the dog")
    assert tokenizer.decode([]) == "" and tokenizer.languages == []
    long = "dog " * 20_000
    assert len(tokenizer.encode(long, max_length=20_002)) == 20_002


def test_what_is_no_id_or_text(tokenizer: headlane.Tokenizer) -> None:
    for wrong in ([1.5], [None], ["a"], np.array([1.0]), [True]):
        with pytest.raises(TypeError, match="must be an int|must be integers|ids must"):
            tokenizer.decode(wrong)  # type: ignore[arg-type]
    for none in (None, 3, "", "ab"):
        with pytest.raises(TypeError, match="ids must be a list of int"):
            tokenizer.decode(none)  # type: ignore[arg-type]
    for call in (tokenizer.encode, tokenizer.token_to_id):
        with pytest.raises(ValueError, match="has half of a surrogate pair"):
            call("a\ud800")
    for number in (-1, tokenizer.vocab_size, 2**40):
        with pytest.raises(ValueError, match="id"):
            tokenizer.id_to_token(number)
    with pytest.raises(ValueError, match="no token|nowhere"):
        tokenizer.token_to_id("nowhere")
    for text in (None, 3, b"a", float("nan")):
        with pytest.raises(TypeError, match="must be a str"):
            tokenizer.encode(text)  # type: ignore[arg-type]

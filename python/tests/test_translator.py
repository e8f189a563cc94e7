"""Translator beside transformers' answers (tests/golden/translate, tests/golden/encoder_decoder)."""

from __future__ import annotations

import asyncio
import functools
import math
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import ROOT

import headlane

GOLDEN = ROOT / "tests/golden/translate"


@pytest.fixture(scope="module")
def translator() -> headlane.Translator:
    return headlane.Translator(ROOT / "examples/translate/zh-en.headlane")


def lines(name: str) -> list[str]:
    return (GOLDEN / name).read_text(encoding="utf-8").splitlines()


def test_greedy(translator: headlane.Translator) -> None:
    sources, expected = lines("sources.txt"), lines("greedy.txt")
    assert translator.translate(sources, num_beams=1) == expected
    assert translator.translate(sources[3], num_beams=1) == expected[3]


def test_beams(translator: headlane.Translator) -> None:
    expected = [[int(number) for number in line.split()] for line in lines("beam4_ids.txt")]
    found = translator.answers(lines("sources.txt"), num_beams=4, n_best=2)
    assert sum(row[0].ids == ids for row, ids in zip(found, expected, strict=True)) >= len(expected) - 2
    assert all(len(row) == 2 and row[0].score >= row[1].score for row in found)
    assert all(math.isfinite(row[0].score) for row in found)


def test_odd_texts(translator: headlane.Translator) -> None:
    assert translator.translate([]) == []
    assert translator.translate("") == ""
    assert translator.translate(["", "今天天气很好", " "])[1] == "It's a beautiful day today"
    for wrong in (None, 3, ["a", None], b"a"):
        with pytest.raises(TypeError, match="must be a str"):
            translator.translate(wrong)
    for option in ("n_best", "num_beams", "max_new_tokens", "batch_size"):
        with pytest.raises(ValueError, match=option):
            translator.translate("今天", **{option: 0})
    for option in ("temperature", "top_p", "length_penalty", "repetition_penalty"):
        with pytest.raises(TypeError, match=f"{option} must be a number"):
            translator.translate("今天", **{option: "a"})
    with pytest.raises(ValueError, match="seed is -1"):
        translator.translate("今天", do_sample=True, seed=-1)
    with pytest.raises(ValueError, match="text has half of a surrogate pair"):
        translator.translate("\ud800")
    with pytest.raises(ValueError, match="target_language"):
        translator.translate("今天", target_language="fr")
    with pytest.raises(TypeError, match="beams"):
        translator.translate("今天", beams=3)
    with pytest.raises(headlane.Unsupported, match="a decoder"):
        headlane.Translator(ROOT / "tests/golden/bert/head_dim_17_max_normalize")


def test_samples_depend_on_seed_and_place(translator: headlane.Translator) -> None:
    sources = lines("sources.txt")[:40]
    first = translator.translate(sources, do_sample=True, temperature=2.0, seed=1)
    assert first == translator.translate(sources, do_sample=True, temperature=2.0, seed=1, batch_size=3)
    assert first != translator.translate(sources, do_sample=True, temperature=2.0, seed=2)


def test_asyncio(translator: headlane.Translator) -> None:
    assert asyncio.run(translator.atranslate("今天天气很好")) == translator.translate("今天天气很好")


def test_tokenizer(translator: headlane.Translator) -> None:
    for text, ids in zip(lines("sources.txt")[:50], lines("source_ids.txt"), strict=False):
        assert translator.tokenizer.encode(text) == [int(number) for number in ids.split()]
    ids = [int(number) for number in lines("greedy_ids.txt")[0].split()]
    assert translator.tokenizer.decode(ids) == translator.tokenizer.decode(np.array(ids)) == lines("greedy.txt")[0]


def test_close() -> None:
    with headlane.Translator(ROOT / "examples/translate/zh-en.headlane", n_threads=1) as model:
        assert model.translate("今天天气很好") == "It's a beautiful day today"
        assert model.device == "cpu" and model.path.name == "zh-en.headlane" and model.precision in repr(model)
    assert model._model.handle.address == 0
    for call in (model.translate, model.tokenizer.encode):
        with pytest.raises(ValueError, match="closed"):
            call("今天")
    assert model.precision in repr(model)
    model.close()


def test_close_while_another_thread_translates() -> None:
    model = headlane.Translator(ROOT / "examples/translate/zh-en.headlane", n_threads=1)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(model.translate, lines("sources.txt"), batch_size=4) for _ in range(2)]
        time.sleep(0.1)
        model.close()
        for call in running:
            with pytest.raises(ValueError, match="closed"):
                call.result()
    assert model._model.handle.address == 0


def test_ctrl_c() -> None:
    """It ends a call, and the model can be used again."""
    program = """
import os, signal, sys, threading, time
import headlane
model = headlane.Translator(sys.argv[1], n_threads=1)
sources = open(sys.argv[2], encoding="utf-8").read().splitlines()
expected = model.translate(sources[:3])
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
begin = time.monotonic()
try:
    model.translate(sources * 1000, num_beams=8)
    print("not interrupted")
except KeyboardInterrupt:
    print(model.translate(sources[:3]) == expected)
"""
    command = [sys.executable, "-c", program, ROOT / "examples/translate/zh-en.headlane", GOLDEN / "sources.txt"]
    # A shell's background jobs, such as those of CI, begin without SIGINT.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=heed)
    assert done.stdout == "True\n", done.stdout + done.stderr


def test_a_language_model_is_refused() -> None:
    with pytest.raises(headlane.Unsupported, match="an encoder, a decoder"):
        headlane.Translator(ROOT / "tests/golden/language_models/llama_texts")

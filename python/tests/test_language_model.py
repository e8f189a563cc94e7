"""Language models beside transformers' own answers, and beside the command's."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import headlane

MODELS = ROOT / "tests/golden/language_models"
BUSY = ["the cat sat on the mat and", "a", "dogs run", "we ran on and on in the rain"]


@pytest.fixture(scope="module")
def llama() -> headlane.LanguageModel:
    return headlane.LanguageModel(MODELS / "llama_texts", n_threads=2)


def command(model: headlane.LanguageModel, *arguments: str) -> list[Any]:
    """What the command prints, as JSON."""
    words = [sys.executable, "-m", "headlane", arguments[0], "-m", str(model.path), "--json", *arguments[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(name: str) -> list[list[int]]:
    return [[int(number) for number in line.split()] for line in (MODELS / name).read_text().splitlines()]


@pytest.mark.parametrize("name", ["llama_texts", "qwen2_texts"])
def test_texts_are_those_of_transformers(name: str) -> None:
    model = headlane.LanguageModel(MODELS / name)
    expected = json.loads((MODELS / name / "texts.json").read_text())
    found = model.generate([row["prompt"] for row in expected], max_new_tokens=12, batch_size=4)
    for row, continuation in zip(expected, found, strict=True):
        assert (continuation.text, continuation.ids) == (row["text"], row["ids"])
        assert continuation.finish_reason == ("stop" if len(row["ids"]) < 12 else "length")
        assert model.generate(row["prompt"], max_new_tokens=12) == continuation
        stream = model.stream(row["prompt"], max_new_tokens=12)
        assert "".join(stream) == row["text"] == str(stream.continuation)
        assert stream.continuation == continuation


@pytest.mark.parametrize("name", ["gpt2", "mistral_window_2", "gemma3", "baichuan_13b"])
def test_ids_are_those_of_transformers(name: str) -> None:
    model = headlane.LanguageModel(MODELS / name)
    prompts = rows(f"{name}/prompts.txt")
    manifest = json.loads((MODELS / name / "manifest.json").read_text())
    by_beams = {"beams": manifest["n_beams"], "length_penalty": manifest["length_penalty"], "batch_size": 5}
    greedy = model.generate(prompts, max_new_tokens=12, temperature=0)
    assert [row.ids for row in greedy] == rows(f"{name}/greedy.txt")
    beams = model.generate(prompts, max_new_tokens=12, **by_beams)
    assert [row.ids for row in beams] == rows(f"{name}/beam.txt")
    assert model.generate(prompts[0], max_new_tokens=12, beams=1) == greedy[0]
    assert model.generate(np.array(prompts[0]), max_new_tokens=12) == greedy[0]
    with pytest.raises(headlane.Unsupported, match="no tokenizer"):
        model.generate("a text")


def test_the_commands_choices(llama: headlane.LanguageModel) -> None:
    """Draws, penalties, stops and log-probabilities are those of the command."""
    drawn = {"temperature": 1.3, "top_k": 40, "top_p": 0.9, "min_p": 0.01, "seed": 7, "repetition_penalty": 1.2}
    words = [part for name, number in drawn.items() for part in ("--" + name.replace("_", "-"), str(number))]
    new = ["--max-new-tokens", "20"]
    told = command(llama, "generate", *new, "--logprobs", "3", *words, "the cat")[0]
    found = llama.generate("the cat", max_new_tokens=20, logprobs=3, **drawn)  # type: ignore[arg-type]
    assert (found.text, found.ids, found.finish_reason) == (told["text"], told["ids"], told["finish_reason"])
    assert found.logprobs is not None and found.top_ids is not None and found.top_logprobs is not None
    for i, place in enumerate(told["logprobs"]):
        assert found.logprobs[i] == np.float32(place["logprob"])
        assert found.top_ids[i].tolist() == [row["id"] for row in place["top"]]
        assert found.top_logprobs[i].tolist() == [np.float32(row["logprob"]) for row in place["top"]]
    beams = command(llama, "generate", *new, "--beams", "3", *BUSY)
    assert [(row.text, row.ids) for row in llama.generate(BUSY, max_new_tokens=20, beams=3)] == [
        (row["text"], row["ids"]) for row in beams
    ]
    whole = llama.generate("the cat", max_new_tokens=20)
    stop = whole.text[4:6]
    for options in ({}, {"beams": 2}):
        (told,) = command(llama, "generate", *new, "--stop", stop, *(["--beams", "2"] if options else []), "the cat")
        found = llama.generate("the cat", max_new_tokens=20, stop=["no such text", stop], **options)  # type: ignore[arg-type]
        assert (found.text, found.finish_reason) == (told["text"], told["finish_reason"])
    pieces = list(llama.stream("the cat", max_new_tokens=20, stop=stop))
    assert "".join(pieces) == whole.text[: whole.text.index(stop)]


def test_draws(llama: headlane.LanguageModel) -> None:
    """Equal prompts of a call get other random numbers each, whatever the batch, and those of the command; a seed gives
    the same again."""
    first = llama.generate(["the cat"] * 5, max_new_tokens=8, temperature=2.0, seed=3)
    assert len({tuple(row.ids) for row in first}) == 5
    assert first == llama.generate(["the cat"] * 5, max_new_tokens=8, temperature=2.0, seed=3, batch_size=2)
    assert first[0] == llama.generate("the cat", max_new_tokens=8, temperature=2.0, seed=3)
    assert first != llama.generate(["the cat"] * 5, max_new_tokens=8, temperature=2.0, seed=4)
    words = ["--max-new-tokens", "8", "--temperature", "2", "--seed", "3", *["the cat"] * 5]
    assert [row.ids for row in first] == [row["ids"] for row in command(llama, "generate", *words)]
    with llama.sequences(max_sequences=5, max_tokens=200) as sequences:
        options: Any = {"max_new_tokens": 8, "temperature": 2.0, "seed": 3}
        added = [sequences.add("the cat", key=key, room=40, **options) for key in (4, 0, 2)]
        sequences.run()
        assert [sequence.ids for sequence in added] == [first[key].ids for key in (4, 0, 2)]
        for wrong in ({"key": -1}, {"room": 0.5}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                sequences.add("the cat", **wrong)  # type: ignore[arg-type]


def test_biases_and_ends(llama: headlane.LanguageModel) -> None:
    whole = llama.generate("the cat", max_new_tokens=6).ids
    never = llama.generate("the cat", max_new_tokens=6, logit_bias={whole[0]: float("-inf")}).ids
    assert whole[0] not in never
    ended = llama.generate("the cat", max_new_tokens=6, end_ids=[whole[1]])
    assert (ended.ids, ended.finish_reason) == (whole[:2], "stop")
    assert len(llama.generate("the cat", max_new_tokens=6, end_ids=[whole[1]], min_new_tokens=4).ids) >= 4
    assert llama.generate("the cat", max_new_tokens=0).ids == []
    assert llama.generate([]) == []


def test_perplexity() -> None:
    golden = json.loads((MODELS / "perplexity.json").read_text())
    lines = (ROOT / "tests/golden/corpus/sentences.txt").read_text(encoding="utf-8").split("\n")[:200]
    for name, cases in golden.items():
        model = headlane.LanguageModel(MODELS / name)
        for case in (cases[1], cases[3]):
            found = model.perplexity("\n".join(lines) + "\n", context=case["context"], stride=case["stride"])
            assert found.n_tokens == case["tokens"]
            assert abs(found.value - case["perplexity"]) < 1e-4 * case["perplexity"]
            assert abs(found.error - case["error"]) < 1e-3 * case["perplexity"]
            np.testing.assert_allclose(found.windows[0][1], case["logprobs"], atol=1e-4)
    with pytest.raises(ValueError, match="the text has"):
        model.perplexity("a few words")


def test_perplexity_is_the_commands(llama: headlane.LanguageModel, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(BUSY * 30))
    told = command(llama, "perplexity", "-i", str(text), "--context", "32")[-1]
    found = llama.perplexity(text.read_text(), context=32)
    assert (float(found), found.error, found.n_windows) == (told["perplexity"], told["error"], told["windows"])


def test_last_hidden_and_logprobs(llama: headlane.LanguageModel) -> None:
    states = llama.last_hidden(BUSY)
    assert states.shape == (4, 24) and np.array_equal(states[2], llama.last_hidden(BUSY[2]))
    ids = llama.tokenizer.encode(BUSY[0])
    of_text = llama.logprobs(BUSY[0])
    assert len(of_text) == len(ids) and np.isnan(of_text[0]) and np.array_equal(of_text[1:], llama.logprobs(ids)[1:])
    new = llama.generate(ids[:3], max_new_tokens=2, logprobs=0)
    assert new.logprobs is not None
    assert np.array_equal(llama.logprobs([*ids[:3], *new.ids])[3:], new.logprobs)


def test_sequences(llama: headlane.LanguageModel) -> None:
    """A prefix that is computed once; callbacks; fork and rewind give what whole prompts give."""
    instructions = "answer in one word"
    told: list[headlane.Token] = []
    with llama.sequences(max_sequences=4, max_tokens=400, n_threads=1) as running:
        kept = running.add(instructions, max_new_tokens=0, keep=True)
        assert kept.state != "ended" and running.step() == 0 and kept.state == "ended"
        asked = [running.add(f"{instructions} {text}", max_new_tokens=6, on_token=told.append) for text in BUSY[:3]]
        running.run()
        for text, sequence in zip(BUSY, asked, strict=False):
            expected = llama.generate(f"{instructions} {text}", max_new_tokens=6)
            assert (sequence.text, sequence.ids, sequence.finish_reason) == (expected.text, expected.ids, "length")
            assert sequence.n_shared >= kept.n_prompt - 1 and sequence.error is None
            own = [token for token in told if token.sequence == sequence.number]
            assert [token.id for token in own] == expected.ids
            assert "".join(token.text for token in own) == expected.text and own[-1].finish_reason == "length"
        prompt = llama.tokenizer.encode(instructions)
        forked = kept.fork(3, [7, 8], max_new_tokens=5, keep=True, logprobs=2, hidden=True)
        running.run()
        expected = llama.generate([*prompt[:3], 7, 8], max_new_tokens=5, logprobs=2)
        assert forked.ids == expected.ids and forked.n_shared == 3
        assert np.array_equal(forked.logprobs, expected.logprobs)  # type: ignore[arg-type]
        assert np.array_equal(forked.top_logprobs[0], expected.top_ids)  # type: ignore[arg-type]
        assert np.array_equal(forked.hidden, llama.last_hidden([*prompt[:3], 7, 8, *forked.ids[:-1]]))
        forked.rewind(6)
        assert forked.ids == expected.ids[:1]
        running.run()
        assert forked.ids == expected.ids
        forked.remove()
        with pytest.raises(headlane.InvalidArgument, match="no sequence"):
            _ = forked.ids
    with pytest.raises(ValueError, match="closed"):
        running.step()


def test_what_callbacks_do(llama: headlane.LanguageModel) -> None:
    with llama.sequences(max_sequences=4, max_tokens=400) as running:
        stopped = running.add("a", max_new_tokens=20, on_token=lambda token: token.n_new < 3)
        broken = running.add("the", max_new_tokens=20, on_token=lambda token: 1 // (token.n_new - 2))
        plain = running.add("dogs", max_new_tokens=5)
        with pytest.raises(ZeroDivisionError):
            running.run()
        running.run()
        assert (len(stopped.ids), stopped.finish_reason) == (3, "callback")
        assert (len(broken.ids), broken.finish_reason) == (2, "callback")
        assert plain.ids == llama.generate("dogs", max_new_tokens=5).ids
    with llama.sequences(max_sequences=2, max_tokens=12, max_len=12) as running:
        full = [running.add([1, 5, 6], max_new_tokens=9) for _ in range(2)]
        running.run()
        assert {row.finish_reason for row in full} == {"length", "cache_full"}
        (error,) = [row.error for row in full if row.error]
        assert isinstance(error, headlane.TooLarge)
        with pytest.raises(headlane.TooLarge):
            running.add(list(range(4, 30)))


def test_memory_is_known_before(llama: headlane.LanguageModel) -> None:
    small, large = (llama.sequences_bytes(max_sequences=2, max_tokens=n, max_len=100) for n in (1000, 2000))
    assert large - small >= 1000 * llama._model.facts.cache_token_bytes


@pytest.mark.parametrize("cache", ["f32", "bf16", "int8"])
def test_a_cache_of_fewer_bits(llama: headlane.LanguageModel, cache: Any) -> None:
    model = headlane.LanguageModel(llama.path, cache=cache)
    facts = model._model.facts
    small, large = (model.sequences_bytes(max_sequences=2, max_tokens=n, max_len=100) for n in (1000, 2000))
    token = getattr(facts, f"cache_token_bytes_{cache}")
    assert token <= (large - small) / 1000 < token + 64
    assert (token < facts.cache_token_bytes) == (cache != "f32")
    (told,) = command(model, "generate", "--cache", cache, "--max-new-tokens", "9", "--beams", "1", BUSY[0])
    assert model.generate(BUSY[0], max_new_tokens=9, temperature=0).ids == told["ids"]
    assert model.generate(BUSY[0], max_new_tokens=9, beams=2).ids
    different = (model.logprobs(BUSY[0]) != llama.logprobs(BUSY[0]))[1:]
    assert different.any() == (cache != "f32")


def test_caches_that_there_are_not(llama: headlane.LanguageModel) -> None:
    with pytest.raises(ValueError, match="cache is 'int4', and must be one of f32, bf16, int8"):
        headlane.LanguageModel(llama.path, cache="int4")  # type: ignore[arg-type]


@pytest.mark.parametrize("draft", [None, "llama_texts"])
def test_guessing_changes_nothing(llama: headlane.LanguageModel, draft: str | None) -> None:
    model = headlane.LanguageModel(llama.path, draft=None if draft is None else MODELS / draft)
    for options in ({"temperature": 0}, {"temperature": 0.5, "top_k": 4, "seed": 3}):
        expected = llama.generate(BUSY, max_new_tokens=24, **options)
        assert model.generate(BUSY, max_new_tokens=24, speculate=4, **options) == expected
        assert model.generate(BUSY, max_new_tokens=24, **options) == expected
    stream = model.stream(BUSY[0], max_new_tokens=9, speculate=3)
    assert "".join(stream) == str(stream.continuation) == str(llama.generate(BUSY[0], max_new_tokens=9))
    if draft is not None:  # whose guesses, which nobody asked for, never exceed a step
        for n in (1, 4):
            with model.sequences(max_sequences=1, max_step_tokens=n) as few:
                answer = few.add(BUSY[0], max_new_tokens=9)
                few.run()
                assert answer.ids == llama.generate(BUSY[0], max_new_tokens=9).ids
    with pytest.raises(ValueError, match="takes none of speculate"):
        model.generate(BUSY[0], max_new_tokens=4, beams=2, speculate=2)
    with pytest.raises(ValueError, match="speculate"):
        model.generate(BUSY[0], max_new_tokens=4, speculate=-1)


def test_a_packed_and_mapped_file(llama: headlane.LanguageModel, tmp_path: Path) -> None:
    packed = tmp_path / "packed.headlane"
    headlane.pack(llama.path, packed)
    model = headlane.LanguageModel(packed, map=True, verify=True)
    facts = model._model.facts
    assert facts.mapped_bytes == facts.packed_bytes > 0
    assert model.generate(BUSY, max_new_tokens=8) == llama.generate(BUSY, max_new_tokens=8)
    headlane.pack(llama.path, packed, isas=["ref"], precision="bf16")
    assert headlane.LanguageModel(packed).generate(BUSY[0], max_new_tokens=8) == llama.generate(
        BUSY[0], max_new_tokens=8
    )
    data = bytearray(packed.read_bytes())
    data[-20] ^= 1
    packed.write_bytes(data)
    with pytest.raises(headlane.BadFile, match="checksum does not match"):
        headlane.LanguageModel(packed, verify=True)
    with pytest.raises(headlane.InvalidArgument, match="quantum"):
        headlane.pack(llama.path, packed, isas=["quantum"])


def test_many_threads(llama: headlane.LanguageModel) -> None:
    expected = [row.ids for row in llama.generate(BUSY, max_new_tokens=16)]

    def work(i: int) -> bool:
        whole = list(llama.stream(BUSY[i % 4], max_new_tokens=16))
        return bool(whole) and llama.generate(BUSY[i % 4], max_new_tokens=16).ids == expected[i % 4]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(32)))
        with llama.sequences(max_sequences=4, max_tokens=600) as running:
            added = list(pool.map(lambda i: running.add(BUSY[i % 4], max_new_tokens=16), range(12)))
            running.run()
            assert [sequence.ids for sequence in added] == [expected[i % 4] for i in range(12)]


def test_asyncio(llama: headlane.LanguageModel) -> None:
    async def work() -> None:
        expected = llama.generate(BUSY[0], max_new_tokens=16)
        several = await asyncio.gather(*(llama.agenerate(BUSY[0], max_new_tokens=16) for _ in range(3)))
        assert several == [expected] * 3
        stream = llama.stream(BUSY[0], max_new_tokens=16)
        assert "".join([piece async for piece in stream]) == expected.text and stream.continuation == expected
        task = asyncio.create_task(llama.agenerate(BUSY * 200, max_new_tokens=500))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())


def test_cancel(llama: headlane.LanguageModel) -> None:
    for options in ({}, {"beams": 4}):
        cancel = headlane.Cancel()
        threading.Timer(0.1, cancel.cancel).start()
        begin = time.monotonic()
        with pytest.raises(headlane.Cancelled):
            llama.generate(BUSY * 200, max_new_tokens=500, cancel=cancel, **options)  # type: ignore[call-overload]
        assert time.monotonic() - begin < 30


def test_ctrl_c(llama: headlane.LanguageModel) -> None:
    """It ends a call and a stream, and the model can be used again; a forked child may use it, too."""
    program = """
import os, signal, sys, threading, warnings
import headlane
warnings.simplefilter("ignore")
model = headlane.LanguageModel(sys.argv[1], n_threads=2)
expected = model.generate("dogs run", max_new_tokens=8)
def endless():
    while True:
        list(model.stream("dogs run", max_new_tokens=500))
for call in (lambda: model.generate(["dogs run"] * 10000, max_new_tokens=500), endless):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        call()
        print("not interrupted")
    except KeyboardInterrupt:
        print(model.generate("dogs run", max_new_tokens=8) == expected)
running = model.sequences(max_sequences=2, max_tokens=100)
running.add("dogs run", max_new_tokens=50)
running.step()
pid = os.fork()
if pid == 0:
    try:
        running.step()
    except ValueError as error:
        ok = "a forked child" in str(error) and model.generate("dogs run", max_new_tokens=8) == expected
        del running
        os._exit(0 if ok else 1)
print(os.waitpid(pid, 0)[1], running.step())
"""
    # A shell's background jobs, such as those of CI, begin without SIGINT.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    words = [sys.executable, "-c", program, llama.path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, preexec_fn=heed)
    assert done.stdout == "True\nTrue\n0 1\n", done.stdout + done.stderr


def test_close() -> None:
    model = headlane.LanguageModel(MODELS / "mistral_window_2")
    running = model.sequences(max_sequences=2, max_tokens=100)
    sequence = running.add([4, 5, 6], max_new_tokens=4)
    model.close()
    with pytest.raises(ValueError, match="closed"):
        model.generate([4, 5, 6])
    running.run()  # sequences hold the model until they are closed themselves
    assert len(sequence.ids) == 4 and model._model.handle.address != 0
    del running, sequence
    assert model._model.handle.address == 0


def test_wrong_prompts_and_options(llama: headlane.LanguageModel) -> None:
    for prompt, error, sentence in (
        (None, TypeError, "NoneType"),
        (b"bytes", TypeError, "bytes"),
        (["a", float("nan")], TypeError, r"prompts\[1\] must be a str or token ids, and is float"),
        (["a", None], TypeError, r"prompts\[1\]"),
        ([[1, "a"]], TypeError, "token id"),
        (["a", []], ValueError, r"prompts\[1\] is empty"),
        ("half \ud800", ValueError, "surrogate"),
        ([1] * 640, ValueError, "has 640 tokens, and the model has room for 640"),
        ([1 << 20], headlane.InvalidArgument, "1048576"),
    ):
        with pytest.raises(error, match=sentence):
            llama.generate(prompt)  # type: ignore[call-overload]
    for options, error, sentence in (
        ({"temperature": -1}, ValueError, "temperature"),
        ({"temperature": float("nan")}, ValueError, "temperature"),
        ({"top_p": 2.0}, headlane.InvalidArgument, "top_p"),
        ({"top_k": -1}, ValueError, "top_k"),
        ({"seed": -1}, ValueError, "seed"),
        ({"stop": "x" * 2000}, headlane.TooLarge, "stop"),
        ({"stop": ""}, ValueError, "empty"),
        ({"repetition_penalty": 0}, ValueError, "repetition_penalty"),
        ({"max_new_tokens": 1.5}, ValueError, "max_new_tokens"),
        ({"logprobs": 5000}, headlane.TooLarge, "n_top"),
        ({"logit_bias": {1 << 20: 1.0}}, headlane.InvalidArgument, "1048576"),
        ({"beams": 2, "temperature": 1.0}, ValueError, "beams takes none of temperature"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"no_such_option": 1}, TypeError, "no_such_option"),
    ):
        with pytest.raises(error, match=sentence):
            llama.generate("a", **options)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="one prompt"):
        llama.stream(["a", "b"])  # type: ignore[arg-type]


def test_gguf(tmp_path: Path) -> None:
    """A GGUF file is converted once, and again when it changes; it answers as the folder that it was made of."""
    path = tmp_path / "a model.gguf"
    shutil.copy(ROOT / "tests/golden/gguf/qwen2_texts.gguf", path)
    expected = headlane.LanguageModel(MODELS / "qwen2_texts").generate(BUSY, max_new_tokens=8)
    model = headlane.LanguageModel(path, cache_folder=tmp_path / "cache")
    assert model.generate(BUSY, max_new_tokens=8) == expected
    converted = model.path.stat().st_mtime_ns
    assert headlane.LanguageModel(path, cache_folder=tmp_path / "cache").path.stat().st_mtime_ns == converted
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(headlane.BadFile, match="a model.gguf"):
        headlane.LanguageModel(path, cache_folder=tmp_path / "cache")
    with pytest.raises(headlane.FileUnreadable, match="none.gguf"):
        headlane.LanguageModel(tmp_path / "none.gguf")


def test_folders_of_gguf_files(tmp_path: Path) -> None:
    source = ROOT / "tests/golden/gguf/qwen2_texts.gguf"
    shutil.copy(source, tmp_path / "tiny-Q4_K_M.gguf")
    options: dict[str, Any] = {"cache_folder": tmp_path / "cache"}
    model = headlane.LanguageModel(tmp_path, **options)
    assert model.path == headlane.LanguageModel(tmp_path / "tiny-Q4_K_M.gguf", **options).path
    shutil.copy(source, tmp_path / "tiny-Q8_0.gguf")
    with pytest.raises(ValueError, match="2 GGUF models: tiny-Q4_K_M.gguf, tiny-Q8_0.gguf; name one"):
        headlane.LanguageModel(tmp_path, **options)
    # The hub's cache has links to files whose names are sums.
    (tmp_path / "links").mkdir()
    (tmp_path / "links/tiny.gguf").symlink_to(shutil.copy(source, tmp_path / "0123456789abcdef"))
    assert headlane.LanguageModel(tmp_path / "links", **options).path.name.startswith("tiny.gguf@")


def test_loads_and_streams_leak_nothing(llama: headlane.LanguageModel) -> None:
    def state() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

    def use() -> None:
        model = headlane.LanguageModel(llama.path, n_threads=2)
        assert next(model.stream("dogs run", max_new_tokens=9))  # and no more of it
        model.sequences(max_sequences=2, max_tokens=90).add("dogs run", on_token=print)
        with pytest.raises(headlane.InvalidArgument):
            model.generate([1 << 20])

    use()
    before = state()
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    for _ in range(25):
        use()
    assert state() == before
    grown = (int(Path("/proc/self/statm").read_text().split()[1]) - resident) * os.sysconf("SC_PAGE_SIZE")
    assert grown < 8e6  # each time takes 0.8 MB and more


def test_examples(llama: headlane.LanguageModel) -> None:
    def run(name: str, *words: str) -> list[str]:
        command = [sys.executable, ROOT / "examples" / name, llama.path, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    expected = llama.generate("dogs run", max_new_tokens=40)
    said = run("generate.py", "dogs run")
    assert "\n".join(said[:-1]) == expected.text and said[-1] == f"{len(expected.ids)} tokens, {expected.finish_reason}"
    said = run("sequences.py", "answer in one word", " the cat", " dogs")
    n_shared = len(llama.tokenizer.encode("answer in one word"))
    assert len(said) == 2 and all(f"{n_shared} of " in line for line in said)
    assert any(repr(llama.generate("answer in one word dogs", max_new_tokens=6).text) in line for line in said)


def test_chat_templates(tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    shutil.copytree(MODELS / "qwen2_texts", folder)
    shutil.copy(ROOT / "tests/golden/chat/turns.jinja", folder / "chat_template.jinja")
    tokenizer = headlane.LanguageModel(folder).tokenizer
    messages = [{"role": "user", "content": "a<|end|>b"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == "user: a<|end|>b<|end|>assistant:"
    ids = tokenizer.apply_chat_template(messages)
    assert ids.count(tokenizer.token_to_id("<|end|>")) == 1
    assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False) == text[:-10]
    with pytest.raises(ValueError, match="messages is empty"):
        tokenizer.apply_chat_template([])


def test_chat_templates_read_the_clock_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "chat"
    shutil.copytree(MODELS / "qwen2_texts", folder)
    (folder / "chat_template.jinja").write_text("{{ strftime_now('%Y') }}{{ 'x' * (strftime_now('%d') | int) }}")
    tokenizer = headlane.LanguageModel(folder).tokenizer
    days = iter(86400.0 * day for day in range(3900, 3910))
    monkeypatch.setattr("time.time", lambda: next(days))
    messages = [{"role": "user", "content": "a"}]
    first = tokenizer.apply_chat_template(messages, tokenize=False)
    assert first.startswith("1980") and next(days) == 86400.0 * 3901
    assert len(tokenizer.apply_chat_template(messages, tokenize=False)) > len(first)


def test_saved_states(llama: headlane.LanguageModel) -> None:
    with llama.sequences(max_tokens=300) as one, llama.sequences(max_tokens=300) as other:
        kept = one.add([5, 6, 7, 8], max_new_tokens=4, keep=True)
        one.run()
        state = kept.save()
        loaded = other.load(state)
        assert loaded.n_computed == kept.n_computed
        assert loaded.save() == state
        prompt = [5, 6, 7, 8, *kept.ids, 9, 10]
        answers = [sequences.add(prompt, max_new_tokens=5) for sequences in (one, other)]
        one.run()
        other.run()
        assert answers[0].ids == answers[1].ids
        assert answers[1].n_shared == loaded.n_computed
        with pytest.raises(headlane.Error, match="damaged"):
            other.load(state[:-1] + bytes([state[-1] ^ 1]))


def test_other_models_are_refused(bert: Path) -> None:
    with pytest.raises(headlane.Unsupported, match="is not a language model"):
        headlane.LanguageModel(bert)
    with pytest.raises(headlane.Unsupported, match="is not a language model"):
        headlane.LanguageModel(ROOT / "examples/translate/zh-en.headlane")


def test_constraints(llama: headlane.LanguageModel) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["name", "age"],
    }
    for seed in range(5):
        answer = llama.generate("the cat", schema=schema, temperature=4.0, seed=seed, max_new_tokens=200)
        assert answer.finish_reason == "stop"
        value = json.loads(answer.text)
        assert list(value) == ["name", "age"] and len(value["name"]) <= 5 and 0 <= value["age"] <= 9
    of_text = llama.generate("the cat", schema=json.dumps(schema), temperature=4.0, seed=4, max_new_tokens=200)
    assert of_text == answer
    one = llama.constraint(regex="(yes|no)")
    texts = [answer.text for answer in llama.generate(["a", "dogs"] * 4, constraint=one, temperature=4.0)]
    assert set(texts) <= {"yes", "no"}
    assert "".join(llama.stream("a", regex="(yes|no)", temperature=0.0)) in ("yes", "no")
    with pytest.raises(ValueError, match="one of constraint, schema and regex"):
        llama.generate("a", schema=True, regex="a")
    with pytest.raises(ValueError, match="one of schema and regex"):
        llama.constraint()
    with pytest.raises(ValueError, match="a search by beams obeys no constraint"):
        llama.generate("a", beams=2, regex="a")
    with pytest.raises(headlane.Unsupported, match='the keyword "not"'):
        llama.constraint(schema={"not": {}})

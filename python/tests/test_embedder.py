"""Embedder beside what sentence-transformers made of the same folders (tests/golden/sentence_transformers)."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import headlane
from headlane import _one

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/sentence_transformers/vectors.json").read_text())
TEXTS: list[str] = GOLDEN["texts"]


def bound(case: dict[str, Any], folder: Path) -> float:
    """Four times what PyTorch's own float32 is off from the float64: of other modules the case says it, of vectors of
    length 1 and of others the model's manifest."""
    if "off" in case:
        return 4 * float(case["off"])
    lengths = np.linalg.norm(case["vectors"], axis=1)
    kind = "pooled" if np.abs(lengths - 1).max() < 1e-6 else "hidden"
    return 4 * float(json.loads((folder / "manifest.json").read_text())[f"{kind}_float32_from_float64"])


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_vectors_are_those_of_sentence_transformers(case: dict[str, Any], bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert, folder)
    if "folder" in case:
        shutil.copytree(ROOT / "tests/golden/sentence_transformers" / case["folder"], folder, dirs_exist_ok=True)
    for name, content in case["files"].items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True) if content is None else path.write_text(json.dumps(content))
    model = headlane.Embedder(folder)
    assert model.similarity_fn_name == case["similarity"]
    given = {key: case[key] for key in ("prompt", "prompt_name", "truncate_dim") if key in case}
    expected = np.array(case["vectors"])
    encode = {"query": model.encode_query, "document": model.encode_document}.get(case.get("task", ""), model.encode)
    vectors = encode(TEXTS, **given)
    assert vectors.shape == expected.shape
    assert "truncate_dim" in given or expected.shape[1] == model.get_embedding_dimension()
    assert np.abs(vectors - expected).max() <= bound(case, bert)
    np.testing.assert_array_equal(encode(TEXTS[0], **given), vectors[0])
    out = np.zeros((4, vectors.shape[1] + 3), np.float32)
    encode(TEXTS, out=out[:, :-3], **given)
    np.testing.assert_array_equal(out[:, :-3], vectors)


def test_shapes(embedder: headlane.Embedder) -> None:
    one = embedder.encode(TEXTS[0])
    many = embedder.encode(TEXTS)
    assert one.shape == (51,) and one.dtype == np.float32
    assert many.shape == (4, 51) and many.dtype == np.float32 and many.flags.c_contiguous
    assert embedder.encode([TEXTS[0]]).shape == (1, 51)
    none = embedder.encode([])
    assert none.shape == (0,) and none.dtype == np.float64
    assert embedder.get_embedding_dimension() == 51
    np.testing.assert_array_equal(one, many[0])


def test_whatever_gives_str(embedder: headlane.Embedder) -> None:
    expected = embedder.encode(TEXTS)
    for inputs in (tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object), iter(TEXTS), (text for text in TEXTS)):
        np.testing.assert_array_equal(embedder.encode(inputs), expected)


def test_any_batch_has_the_same_bits(embedder: headlane.Embedder, sentences: list[str]) -> None:
    together = embedder.encode(sentences[:300])
    for i in (0, 17, 299):
        np.testing.assert_array_equal(embedder.encode(sentences[i]), together[i])
    np.testing.assert_array_equal(embedder.encode(sentences[:300], batch_size=1), together)


@pytest.mark.parametrize(
    "inputs", [None, 3, 1.5, [1], ["a", float("nan")], ["a", None], [["a"]], {"a": 1}, {"a"}, b"a", [b"a"], [np.nan]]
)
def test_what_is_no_text_is_refused(embedder: headlane.Embedder, inputs: Any) -> None:
    with pytest.raises(TypeError, match="must be a str"):
        embedder.encode(inputs)


def test_wrong_arguments(embedder: headlane.Embedder, bert: Path) -> None:
    with pytest.raises(TypeError, match="normalise"):
        embedder.encode("a", normalise=True)
    with pytest.raises(TypeError, match="modules"):
        headlane.Embedder(bert, modules=[])  # type: ignore[call-arg]
    for options in (
        {"batch_size": 0},
        {"precision": "float16"},
        {"output_value": "words"},
        {"truncate_dim": 0},
        {"device": "cuda"},
        {"pool": {}},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            embedder.encode("a", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no prompt 'nobody'"):
        embedder.encode("a", prompt_name="nobody")
    with pytest.raises(TypeError, match="prompt must be a str"):
        embedder.encode("a", prompt=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="surrogate"):
        embedder.encode(["a", "\ud800"])
    with pytest.raises(ValueError, match="zero character"):
        embedder.encode("a", prompt="a\0b")
    with pytest.raises(ValueError, match="prompt has half of a surrogate pair"):
        embedder.encode("a", prompt="\ud800")
    for array in (np.array("dogs"), np.array([["dogs"]])):
        with pytest.raises(TypeError, match="list of str, or an array of one dimension"):
            embedder.encode(array)
    for wrong in ("a", None, 2.5):
        model = headlane.Embedder(bert)
        model.max_seq_length = wrong  # type: ignore[assignment]
        for inputs in ("dogs run", ["dogs run"]):
            with pytest.raises(ValueError, match="max_seq_length is"):
                model.encode(inputs)
    with pytest.raises(ValueError, match="max_tokens is 'a'"):
        headlane.Embedder(bert, max_tokens="a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name of the model is empty"):
        headlane.Embedder("")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        headlane.Embedder("./nowhere")
    with pytest.raises(headlane.FileUnreadable, match="nowhere"):
        headlane.Embedder("/nowhere/a.headlane")
    with pytest.raises(headlane.InvalidArgument, match="precision"):
        headlane.Embedder(bert, precision="f8")  # type: ignore[arg-type]
    with pytest.raises(headlane.Unsupported, match="vectors"):
        headlane.Embedder(ROOT / "examples/translate/zh-en.headlane")


def test_errors_are_pythons_too(tmp_path: Path) -> None:
    bad = tmp_path / "bad.headlane"
    bad.write_bytes(b"no model" * 100)
    for kind in (headlane.BadFile, headlane.Error, ValueError):
        with pytest.raises(kind, match="bad.headlane"):
            headlane.Embedder(bad)
    with pytest.raises(OSError, match="gone"):
        headlane.Embedder(tmp_path / "gone.headlane")


@pytest.mark.parametrize("kind", ["c", "ctypes"])
def test_one_text(kind: str, bert: Path, monkeypatch: pytest.MonkeyPatch, sentences: list[str]) -> None:
    """The shortest way, of C and where that cannot be loaded, gives what a list gives, and leaves nothing behind."""
    assert _one.Kind is not _one.ByCtypes
    if kind == "ctypes":
        monkeypatch.setattr(_one, "Kind", _one.ByCtypes)
    prompts = {"query": "the dog: ", "other": "we ran "}
    model = headlane.Embedder(bert, prompts=prompts, n_threads=1)
    texts = [*sentences[:40], "", "a\0b", "\U0001f600 天气", "x" * 512, "x" * 513, "天" * 512]
    expected = model.encode(texts)
    for name in ("other", None, "query", None):
        model.default_prompt_name = name
        of_name = model.encode(texts)
        assert all(np.array_equal(model.encode(text), row) for text, row in zip(texts, of_name, strict=True))
    model.max_seq_length = 3
    np.testing.assert_array_equal(model.encode(sentences[0]), model.encode([sentences[0]])[0])
    assert not np.array_equal(model.encode(sentences[0]), expected[0])
    model.max_seq_length = 16
    np.testing.assert_array_equal(model.encode(sentences[0]), expected[0])
    vector, text = model.encode(sentences[1]), "".join(["dogs ", "run"])
    assert sys.getrefcount(vector) == 2 and sys.getrefcount(text) == 2
    np.testing.assert_array_equal(model.encode(np.str_(sentences[1])), vector)
    for _ in range(3):
        with pytest.raises(ValueError, match="surrogate"):
            model.encode("\ud800")
        model.max_seq_length = 1
        with pytest.raises(headlane.InvalidArgument):
            model.encode(text)
        model.max_seq_length = 16
    before = sys.getallocatedblocks()
    for _ in range(500):
        model.encode(text)
    assert sys.getallocatedblocks() < before + 100 and sys.getrefcount(text) == 2
    assert model._sessions._n_wide == 1 and model._sessions._n_narrow == 0 and len(model._sessions._wide) == 1
    model.close()
    with pytest.raises(ValueError, match="closed"):
        model.encode(text)


def test_prompts(bert: Path) -> None:
    prompts = {"query": "the dog: ", "passage": "we ran "}
    model = headlane.Embedder(bert, prompts=prompts, default_prompt_name="passage")
    plain = headlane.Embedder(bert)
    assert plain.prompts == {"query": "", "document": ""}
    np.testing.assert_array_equal(model.encode("dogs run"), plain.encode("we ran dogs run"))
    np.testing.assert_array_equal(model.encode_query("dogs run"), plain.encode("the dog: dogs run"))
    np.testing.assert_array_equal(model.encode_document("dogs run"), plain.encode("dogs run"))
    np.testing.assert_array_equal(model.encode("dogs run", prompt=""), plain.encode("dogs run"))
    with pytest.raises(ValueError, match="default_prompt_name"):
        headlane.Embedder(bert, default_prompt_name="nobody")


def test_token_embeddings(embedder: headlane.Embedder) -> None:
    states = embedder.encode(TEXTS, output_value="token_embeddings")
    ids = [embedder.tokenizer.encode(text) for text in TEXTS]
    assert [state.shape for state in states] == [(len(row), 51) for row in ids]
    pooled = np.stack([state.max(axis=0) for state in states])
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    assert np.abs(pooled - embedder.encode(TEXTS)).max() <= 1e-6
    assert embedder.encode(TEXTS[0], output_value="token_embeddings").shape == states[0].shape


def test_attention_maps(embedder: headlane.Embedder) -> None:
    tokens, maps = embedder.attention_maps("the cat sat")
    facts = embedder._model.facts
    assert tokens == ["[CLS]", "the", "cat", "sat", "[SEP]"]
    assert maps.shape == (facts.n_layers, facts.n_heads, 5, 5)
    assert np.abs(maps.sum(axis=-1) - 1).max() < 1e-5 and (maps > 0).all()
    np.testing.assert_array_equal(embedder.attention_maps("the cat sat", layers=-1, heads=slice(1, 3))[1], maps[-1:, 1:3])
    for wrong in (99, slice(0, 0), slice(None, None, 2), True, "0"):
        with pytest.raises(ValueError, match="layers"):
            embedder.attention_maps("a", layers=wrong)  # type: ignore[arg-type]


def test_out(embedder: headlane.Embedder, tmp_path: Path) -> None:
    expected = embedder.encode(TEXTS)
    out = np.full((4, 51), np.nan, np.float32)
    assert embedder.encode(TEXTS, out=out) is out
    np.testing.assert_array_equal(out, expected)
    wide = np.full((8, 60), np.nan, np.float32)
    embedder.encode(TEXTS, out=wide[::2, 4:55])
    np.testing.assert_array_equal(wide[::2, 4:55], expected)
    wide[::2, 4:55] = np.nan
    assert np.isnan(wide).all()
    file = np.memmap(tmp_path / "rows.f32", np.float32, "w+", shape=(6, 51))
    embedder.encode(TEXTS, out=file[1:5])
    np.testing.assert_array_equal(file[1:5], expected)
    assert not file[[0, 5]].any()
    row = np.empty(51, np.float32)
    assert embedder.encode(TEXTS[0], out=row) is row
    np.testing.assert_array_equal(row, expected[0])
    short = np.empty((4, 7), np.float32)
    embedder.encode(TEXTS, truncate_dim=7, out=short)
    np.testing.assert_array_equal(short, expected[:, :7])
    locked = np.empty((4, 51), np.float32)
    locked.flags.writeable = False
    for bad in (
        np.empty((4, 51)),
        np.empty((3, 51), np.float32),
        np.empty((4, 50), np.float32),
        np.empty((51, 4), np.float32).T,
        np.empty((4, 102), np.float32)[:, ::2],
        np.empty((4, 51), np.float32)[::-1],
        np.broadcast_to(np.empty(51, np.float32), (4, 51)),
        np.empty((4, 51), ">f4"),
        locked,
    ):
        with pytest.raises(ValueError, match="out"):
            embedder.encode(TEXTS, out=bad)
    with pytest.raises(TypeError, match="out"):
        embedder.encode(TEXTS, out=[0.0])  # type: ignore[arg-type]


def test_shorter_and_smaller(embedder: headlane.Embedder, bert: Path, sentences: list[str]) -> None:
    vectors = embedder.encode(sentences[:200])
    np.testing.assert_array_equal(embedder.encode(sentences[:200], truncate_dim=16), vectors[:, :16])
    np.testing.assert_array_equal(embedder.encode(sentences[:200], truncate_dim=99), vectors)
    short = embedder.encode(sentences[:200], truncate_dim=16, normalize_embeddings=True)
    assert np.abs(np.linalg.norm(short.astype(float), axis=1) - 1).max() < 1e-6
    assert headlane.Embedder(bert, truncate_dim=16).encode("a").shape == (16,)
    bits = embedder.encode(sentences[:200], precision="ubinary")
    np.testing.assert_array_equal(bits, np.packbits(vectors > 0, axis=1))
    signed = embedder.encode(sentences[:200], precision="binary")
    np.testing.assert_array_equal(signed.astype(int) + 128, bits)
    low, high = vectors.min(axis=0), vectors.max(axis=0)
    levels = embedder.encode(sentences[:200], precision="uint8")
    assert levels.dtype == np.uint8 and (levels.min(axis=0) == 0).all()
    assert np.abs(low + levels * ((high - low) / 255) - vectors).max() <= ((high - low) / 255).max() * 1.001
    np.testing.assert_array_equal(embedder.encode(sentences[:200], precision="int8").astype(int) + 128, levels)
    with pytest.raises(ValueError, match="one vector"):
        embedder.encode("a", precision="int8")


def test_similarity(embedder: headlane.Embedder, bert: Path) -> None:
    a = np.random.default_rng(1).normal(size=(3, 51)).astype(np.float32)
    b = np.random.default_rng(2).normal(size=(4, 51)).astype(np.float32)
    x, y = a.astype(float)[:, None], b.astype(float)[None]
    expected = {
        "cosine": (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1),
        "dot": (x * y).sum(-1),
        "euclidean": -np.linalg.norm(x - y, axis=-1),
        "manhattan": -np.abs(x - y).sum(-1),
    }
    for name, values in expected.items():
        model = headlane.Embedder(bert, similarity_fn_name=name)  # type: ignore[arg-type]
        assert np.abs(model.similarity(a, b) - values).max() < 1e-4
        assert np.abs(model.similarity_pairwise(a, b[:3]) - np.diagonal(values[:, :3])).max() < 1e-4
    assert embedder.similarity(a[0], list(b)).shape == (1, 4)
    with pytest.raises(ValueError, match="51 numbers"):
        embedder.similarity(a, b[:, :50])
    with pytest.raises(ValueError, match="similarity_fn_name"):
        headlane.Embedder(bert, similarity_fn_name="nearness")  # type: ignore[arg-type]


def test_arrow(embedder: headlane.Embedder) -> None:
    pa = pytest.importorskip("pyarrow")
    expected = embedder.encode(TEXTS)
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(TEXTS, kind)
        np.testing.assert_array_equal(embedder.encode(array), expected)
        np.testing.assert_array_equal(embedder.encode(array[1:3]), expected[1:3])
        assert embedder.encode(array[:0]).shape == (0,)
        chunked = pa.chunked_array([array[:1], array[1:1], array[1:]])
        np.testing.assert_array_equal(embedder.encode(chunked), expected)
        with pytest.raises(ValueError, match="1 nulls, the first at 2"):
            embedder.encode(pa.array(["a", "b", None], kind))
        with pytest.raises(ValueError, match="the first at 1"):
            embedder.encode(pa.chunked_array([pa.array(["a"], kind), pa.array([None], kind)]))
        np.testing.assert_array_equal(embedder.encode(pa.array([None, *TEXTS], kind)[1:]), expected)
    for wrong in (pa.array([1]), pa.array(["a"]).dictionary_encode(), pa.array([b"a"])):
        with pytest.raises(TypeError, match="Arrow"):
            embedder.encode(wrong)


def test_asyncio(embedder: headlane.Embedder) -> None:
    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(embedder.aencode(TEXTS), embedder.aencode_query(TEXTS[0]))

    many, one = asyncio.run(both())
    np.testing.assert_array_equal(many, embedder.encode(TEXTS))
    np.testing.assert_array_equal(one, many[0])


def test_cancel(embedder: headlane.Embedder, sentences: list[str]) -> None:
    cancel = headlane.Cancel()
    cancel.cancel()
    with pytest.raises(headlane.Cancelled):
        embedder.encode(sentences, cancel=cancel)
    assert embedder.encode(TEXTS).shape == (4, 51)


def test_progress(embedder: headlane.Embedder, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    embedder.encode(TEXTS, show_progress_bar=True)
    assert "4/4" in capfd.readouterr().err
    embedder.encode(TEXTS)
    assert capfd.readouterr().err == ""


def test_logging(bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "headlane"):
        headlane.Embedder(bert, cache_folder=tmp_path)
    assert any(record.name == "headlane" for record in caplog.records)


def test_conversion_is_kept_until_the_folder_changes(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert, folder)
    first = headlane.Embedder(folder, cache_folder=tmp_path / "cache")
    written = first.path.stat().st_mtime_ns
    assert headlane.Embedder(folder, cache_folder=tmp_path / "cache").path.stat().st_mtime_ns == written
    config = json.loads((folder / "sentence_bert_config.json").read_text())
    (folder / "sentence_bert_config.json").write_text(json.dumps({**config, "max_seq_length": 5}))
    assert headlane.Embedder(folder, cache_folder=tmp_path / "cache").max_seq_length == 5
    assert len(list((tmp_path / "cache").glob("*.headlane"))) == 1
    headlane.Embedder(folder, cache_folder=tmp_path / "cache", precision="bf16")
    assert len(list((tmp_path / "cache").glob("*.headlane"))) == 2


def test_close(bert: Path) -> None:
    with headlane.Embedder(bert) as model:
        model.encode("a")
    with pytest.raises(ValueError, match="closed"):
        model.encode("a")
    model.close()


def test_max_seq_length(bert: Path) -> None:
    model = headlane.Embedder(bert)
    model.max_seq_length = 4
    ids = model.tokenizer.encode("dogs run in the rain", max_length=4)
    assert len(ids) == 4
    assert model.encode("dogs run in the rain", output_value="token_embeddings").shape == (4, 51)


def test_threads(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = headlane.Embedder(bert, n_threads=1).encode(TEXTS)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    model = headlane.Embedder(bert)
    np.testing.assert_array_equal(model.encode(TEXTS), expected)
    assert model._sessions._most_narrow == 3
    for wrong in (-1, 2000):
        with pytest.raises(ValueError, match="n_threads"):
            headlane.Embedder(bert, n_threads=wrong)


def test_the_command_is_inside(bert: Path, tmp_path: Path) -> None:
    model = headlane.Embedder(bert)
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS[::2]) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "headlane", "embed", "-m", model.path, "-i", texts, "-o", tmp_path / "v.npy"]
    subprocess.run(command, check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), model.encode(TEXTS[::2]))


@pytest.mark.skipif("HEADLANE_MINILM" not in os.environ, reason="HEADLANE_MINILM names no all-MiniLM-L6-v2")
def test_minilm(sentences: list[str], tmp_path: Path) -> None:
    model = headlane.Embedder(os.environ["HEADLANE_MINILM"])
    vectors = model.encode(sentences)
    golden = np.load(ROOT / "tests/golden/minilm/embeddings.npy")
    assert np.abs(vectors - golden).max() < 1e-6
    texts = ROOT / "tests/golden/corpus/sentences.txt"
    command = [sys.executable, "-m", "headlane", "embed", "-m", model.path, "-i", texts, "-o", tmp_path / "v.npy"]
    subprocess.run(command, check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), vectors)


def test_one_text_takes_the_short_way_with_the_same_bits(embedder: headlane.Embedder, sentences: list[str]) -> None:
    texts = sentences[:50]
    many = embedder.encode(texts)
    for text, row in zip(texts, many, strict=True):
        vector = embedder.encode(text)
        assert vector.flags.writeable and vector.flags.aligned and vector.dtype == np.float32
        np.testing.assert_array_equal(vector, row)
    first, kept = embedder.encode(texts[0]), many[0].copy()
    embedder.encode(texts[1])  # each vector has memory of its own
    np.testing.assert_array_equal(first, kept)


def test_one_text_follows_prompt_and_length_as_they_change(bert: Path) -> None:
    model = headlane.Embedder(bert, prompts={"query": "the dog: "})
    text = "we ran on and on in the rain"
    for name, length in ((None, 16), ("query", 16), ("query", 5), (None, 5), (None, 16)):
        model.default_prompt_name, model.max_seq_length = name, length
        np.testing.assert_array_equal(model.encode(text), model.encode([text])[0])
    assert not np.array_equal(model.encode_query(text), model.encode(text))


def test_a_session_that_is_lost_is_made_again(embedder: headlane.Embedder) -> None:
    """As if Ctrl-C came between the pool and the call."""
    expected = embedder.encode("dogs run")
    for _ in range(3):
        embedder._sessions.take()  # and nobody has it
        np.testing.assert_array_equal(embedder.encode("dogs run"), expected)
    assert embedder._sessions._n_wide == 1


def test_a_pickled_model_is_opened_again(bert: Path) -> None:
    model = headlane.Embedder(bert, n_threads=1, prompts={"query": "dogs "})
    model.max_seq_length = 5
    again = pickle.loads(pickle.dumps(model))
    assert again.max_seq_length == 5 and again.prompts["query"] == "dogs "
    np.testing.assert_array_equal(again.encode_query(["run in the rain"]), model.encode_query(["run in the rain"]))
    assert copy.deepcopy(model).encode("a").shape == (51,)
    assert model.to("cpu").eval() is model
    with pytest.raises(ValueError, match="runs on the CPU"):
        model.to("cuda")

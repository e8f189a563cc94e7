"""CrossEncoder and Classifier beside transformers and sentence-transformers (tests/golden/classify)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import headlane

FOLDERS = sorted(path for path in (ROOT / "tests/golden/classify").iterdir() if (path / "config.json").exists())
TIMES = 4  # transformers' own float32 is that far off, and sums may be in another order
# Scores of the programs are float32 of their own, of logits that are off by as much as the manifest says; sigmoid and
# softmax make no difference larger.


def lines(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text(encoding="utf-8").removesuffix("\n").split("\n")


def bound(folder: Path) -> float:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return TIMES * float(manifest["logits_float32_from_float64"]) + 1e-6


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_golden(folder: Path) -> None:
    first, second = lines(folder, "first.txt"), lines(folder, "second.txt")
    golden = json.loads((folder / "scores.json").read_text())
    model = headlane.Classifier(folder)
    within = bound(folder)
    assert np.abs(model.predict(first, activation_fn="raw") - np.load(folder / "logits.npy")).max() <= within
    pairs = model.predict(first, second, activation_fn="raw")
    assert np.abs(pairs - np.load(folder / "pair_logits.npy")).max() <= within
    if golden.get("scores") is not None:
        expected = np.array(golden["scores"]).reshape(len(first), -1)
        assert np.abs(model.predict(first) - expected).max() <= within
    if golden.get("pair_scores") is not None:
        expected = np.array(golden["pair_scores"]).reshape(len(first), -1)
        assert np.abs(model.predict(first, second) - expected).max() <= within
    if golden.get("zero_shot") is not None:
        for case in golden["zero_shot"] if isinstance(golden["zero_shot"], list) else [golden["zero_shot"]]:
            texts = [first[i] for i in case.get("texts", range(len(case["scores"])))]
            got = model.zero_shot(
                texts,
                case["labels"],
                hypothesis_template=case.get("template"),
                multi_label=bool(case.get("multi_label", False)),
            )
            assert np.abs(got - np.array(case["scores"])).max() <= within


CROSS = [folder for folder in FOLDERS if "cross_encoder" in folder.name]


@pytest.mark.parametrize("folder", CROSS, ids=lambda folder: folder.name)
def test_cross_encoder(folder: Path) -> None:
    first, second = lines(folder, "first.txt"), lines(folder, "second.txt")
    golden = json.loads((folder / "scores.json").read_text())
    model = headlane.CrossEncoder(folder)
    scores = model.predict(list(zip(first, second, strict=True)))
    expected = np.array(golden["pair_scores"]).reshape(len(first), -1)
    assert np.abs(scores.reshape(len(first), -1) - expected).max() <= bound(folder)
    if model.num_labels > 1:
        with pytest.raises(ValueError, match="one label"):
            model.rank(first[0], second)
        return
    assert scores.shape == (len(first),)
    np.testing.assert_array_equal(model.predict((first[0], second[0])), scores[0])
    np.testing.assert_array_equal(model.predict(np.array([first[:3], second[:3]]).T), scores[:3])
    ranked = model.rank(first[0], second, return_documents=True)
    if golden.get("order") is not None:
        assert [row["corpus_id"] for row in ranked] == golden["order"]
    assert [row["text"] for row in ranked] == [second[row["corpus_id"]] for row in ranked]
    assert model.rank(first[0], second, top_k=2) == [
        {name: row[name] for name in ("corpus_id", "score")} for row in ranked[:2]
    ]
    raw = model.predict(list(zip(first, second, strict=True)), activation_fn="raw")
    assert np.abs(raw - np.load(folder / "pair_logits.npy")[:, 0]).max() <= bound(folder)
    assert asyncio.run(model.arank(first[0], second)) == model.rank(first[0], second)


def test_labels() -> None:
    folder = ROOT / "tests/golden/classify/electra_four_labels"
    model = headlane.Classifier(folder)
    labels = list(json.loads((folder / "config.json").read_text())["id2label"].values())
    assert model.labels == labels and model.num_labels == 4
    best = model.classify("we", top_k=None)
    assert [row["score"] for row in best] == sorted((row["score"] for row in best), reverse=True)
    assert model.classify(["we", "the dog"])[0] == best[:1]
    assert {row["label"] for row in best} == set(labels)



def test_wrong_arguments() -> None:
    model = headlane.CrossEncoder(ROOT / "tests/golden/classify/bert_cross_encoder")
    assert model.predict([]).shape == (0,) and model.rank("we", []) == []
    for wrong in (None, 3, "ab", b"ab", ["ab"], [("a",)], [("a", "b", "c")], [("a", 1)], [("a", None)], [["a", "b"], "c"]):
        with pytest.raises(TypeError, match="must be a"):
            model.predict(wrong)
    for options in ({"batch_size": 0}, {"activation_fn": "relu"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            model.predict([("a", "b")], **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="top_k"):
        model.rank("a", ["b"], top_k=0)
    with pytest.raises(TypeError, match="documents must be a list of str"):
        model.rank("a", "bcd")
    with pytest.raises(TypeError, match="query"):
        model.rank(None, ["b"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="nonsense"):
        model.predict([("a", "b")], nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(headlane.Unsupported, match="classifier"):
        headlane.Classifier(ROOT / "tests/golden/bert/head_dim_17_max_normalize")
    with pytest.raises(headlane.Unsupported, match="vectors"):
        headlane.Embedder(ROOT / "tests/golden/classify/bert_cross_encoder")
    with pytest.raises(headlane.Unsupported):
        headlane.Classifier(ROOT / "tests/golden/classify/electra_four_labels").zero_shot("we", ["a", "b"])

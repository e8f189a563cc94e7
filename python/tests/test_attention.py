"""attention and MultiheadAttention beside PyTorch's answers in float64 (tests/golden/attention, tests/golden/layers)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import headlane

CASES: dict[str, Any] = {
    name: case
    for name, case in json.loads((ROOT / "tests/golden/attention/manifest.json").read_text()).items()
    if not {"rotary", "relative_bias", "left_padded", "prefix_lengths", "score"} & set(case)
}
# As the tests of the engine: PyTorch's own float32 is that far off, and sums may be in another order.
TIMES = 4


def tensors(case: dict[str, Any], name: str) -> dict[str, np.ndarray[Any, Any]]:
    numbers = np.load(ROOT / f"tests/golden/attention/{name}.npy")
    found = {}
    for tensor, shape in case["tensors"]:
        n = int(np.prod(shape))
        found[tensor], numbers = numbers[:n].reshape(shape), numbers[n:]
    assert not len(numbers)
    return found


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    case = CASES[name]
    t = tensors(case, name)
    mask = t["mask"].astype(bool) if "mask" in t else t.get("bias")
    given = {key: np.array(case[key]) for key in ("q_lengths", "kv_lengths") if key in case}
    result, weights = headlane.attention(
        t["q"],
        t["k"],
        t.get("v", t["k"]),
        mask,
        case.get("causal", False),
        case.get("scale"),
        window=(case.get("window_left"), case.get("window_right")),
        softcap=case.get("softcap", 0.0),
        alibi_slopes=t.get("alibi_slopes"),
        sinks=t.get("sinks"),
        need_weights=True,
        **given,
    )
    assert np.abs(result - t["o"]).max() <= TIMES * case["float32_from_float64"]
    v = np.repeat(t.get("v", t["k"]), case["n_heads"] // case["n_kv_heads"], axis=1)
    assert np.abs(weights @ v - result).max() < 1e-5 * np.abs(t["o"]).max()
    plain = headlane.attention(
        t["q"][0], t["k"][0], t.get("v", t["k"])[0], softcap=case.get("softcap", 0.0), scale=case.get("scale")
    )
    assert plain.shape == t["o"].shape[1:]


def test_strides_cost_nothing_and_change_nothing() -> None:
    packed = np.random.default_rng(0).normal(size=(2, 9, 3, 4, 8)).astype(np.float32)  # [seqs, len, qkv, heads, dim]
    q, k, v = (packed[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    expected = headlane.attention(*(np.ascontiguousarray(x) for x in (q, k, v)))
    np.testing.assert_array_equal(headlane.attention(q, k, v), expected)
    out = np.full((2, 4, 9, 8), np.nan, np.float32)
    assert headlane.attention(q, k, v, out=out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(headlane.attention(q[:, :, ::-1], k, v)[:, :, ::-1], expected)
    np.testing.assert_array_equal(headlane.attention(q[0], k[0], v[0], n_threads=1), expected[0])
    np.testing.assert_array_equal(headlane.attention(Only(q), Only(k), Only(v)), expected)


class Only:
    """What has DLPack and nothing else."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_wrong_arguments() -> None:
    q = np.zeros((1, 2, 3, 4), np.float32)
    for bad in (q.astype(float), q.astype(np.float16), "q", None):
        with pytest.raises(TypeError, match="query"):
            headlane.attention(bad, q, q)
    with pytest.raises(ValueError, match="dimensions"):
        headlane.attention(q[0, 0], q, q)
    with pytest.raises(ValueError, match="do not fit"):
        headlane.attention(q, q[..., :3], q)
    for options in ({"attn_mask": np.zeros((2, 2), bool)}, {"is_causal": "both"}, {"scale": -1.0}, {"out": q[0]}):
        with pytest.raises(ValueError, match=next(iter(options))):
            headlane.attention(q, q, q, **options)  # type: ignore[arg-type]
    for lengths in (np.array([4]), np.array([-1]), np.array([1, 2]), np.array([1.0])):
        with pytest.raises(ValueError, match="kv_lengths"):
            headlane.attention(q, q, q, kv_lengths=lengths)
    with pytest.raises(headlane.InvalidArgument, match="n_kv_heads"):
        headlane.attention(np.zeros((1, 3, 3, 4), np.float32), q, q)


def safetensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    data = path.read_bytes()
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    found = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            begin, end = tensor["data_offsets"]
            found[name] = np.frombuffer(data[8 + n + begin : 8 + n + end], np.float32).reshape(tensor["shape"])
    return found


@pytest.mark.parametrize("name", ["attention", "attention_cross_kdim_vdim", "attention_seq_first_no_bias"])
def test_layers(name: str) -> None:
    folder = ROOT / "tests/golden/layers" / name
    config = json.loads((folder / "config.json").read_text())
    layer = headlane.MultiheadAttention(
        config["embed_dim"],
        config["num_heads"],
        safetensors(folder / "model.safetensors"),
        batch_first=config.get("batch_first", False),
        kdim=config.get("kdim"),
        vdim=config.get("vdim"),
    )
    batch_first = config.get("batch_first", False)

    def laid_out(rows: Any, n_seqs: int) -> Any:
        array = rows.reshape(n_seqs, -1, rows.shape[1])
        return array if batch_first else array.transpose(1, 0, 2)

    for call in json.loads((folder / "manifest.json").read_text())["calls"]:
        arrays = {path.stem.split("_", 1)[1]: np.load(path) for path in folder.glob(f"{call['name']}_*.npy")}
        n_seqs, q_len = call["batch"], call["q_len"]
        x = laid_out(arrays["x"], n_seqs)
        key = laid_out(arrays["key"], n_seqs) if "key" in arrays else x
        value = laid_out(arrays["value"], n_seqs) if "value" in arrays else key
        kv_len = key.shape[1] if batch_first else key.shape[0]
        mask = arrays["mask"] == 0 if "mask" in arrays else arrays.get("bias")
        lengths = call["kv_lengths"] or call["lengths"]
        padding = None if lengths is None else np.arange(kv_len)[None] >= np.array(lengths)[:, None]
        out, weights = layer(
            x, key, value, padding, attn_mask=mask, average_attn_weights=False, is_causal=call["causal"]
        )
        out = out if batch_first else out.transpose(1, 0, 2)
        expected = arrays["out"].reshape(n_seqs, q_len, -1)
        real = np.ones((n_seqs, q_len), bool)
        if call["lengths"] is not None:
            real = np.arange(q_len)[None] < np.array(call["lengths"])[:, None]
        assert np.abs(out - expected)[real].max() <= TIMES * call["float32_from_float64"]
        if "maps" in arrays:
            maps = arrays["maps"].reshape(n_seqs, config["num_heads"], q_len, kv_len)
            assert np.abs(weights - maps).max() <= TIMES * call["maps_float32_from_float64"]


def test_layer_is_checked() -> None:
    state = {
        "in_proj_weight": np.zeros((12, 4), np.float32),
        "in_proj_bias": np.zeros(12, np.float32),
        "out_proj.weight": np.zeros((4, 4), np.float32),
        "out_proj.bias": np.zeros(4, np.float32),
    }
    layer = headlane.MultiheadAttention(4, 2, state, batch_first=True)
    x = np.ones((2, 3, 4), np.float32)
    out, weights = layer(x, x, x)
    assert not out.any() and np.abs(weights - 1 / 3).max() < 1e-6
    assert layer(x[0], x[0], x[0], need_weights=False)[0].shape == (3, 4)
    for wrong in ({"bias_k": x}, {"in_proj_bias": x}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            headlane.MultiheadAttention(4, 2, {**state, **wrong})
    with pytest.raises(ValueError, match="multiple"):
        headlane.MultiheadAttention(4, 3, state)
    with pytest.raises(ValueError, match="do not fit"):
        layer(x, x[:1], x)

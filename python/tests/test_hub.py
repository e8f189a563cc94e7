"""Repositories of a hub: a small one of the test's own, on loopback, which counts what is asked of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import headlane

pytest.importorskip("huggingface_hub")

FIRST, SECOND = "1" * 40, "2" * 40


class Hub:
    """One repository, org/tiny, of a folder; its main is a commit that a test may change."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.commit, self.asked = folder, FIRST, list[str]()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, code: int, body: bytes, headers: dict[str, str], n_bytes: int | None = None) -> None:
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(body) if n_bytes is None else n_bytes)}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                hub.asked.append(self.path)
                path = self.path.split("?")[0]
                if path.startswith("/api/models/org/tiny"):
                    facts = hub.facts()
                    body = json.dumps(facts["tree"] if "/tree/" in path else facts).encode()
                    self.answer(200, body if self.command == "GET" else b"", {"Content-Type": "application/json"})
                    return
                parts = path.split("/resolve/")
                file = hub.folder / parts[1].split("/", 1)[1] if len(parts) == 2 and parts[0] == "/org/tiny" else None
                if file is None or not file.is_file():
                    self.answer(404, b"", {"X-Error-Code": "RepoNotFound" if file is None else "EntryNotFound"})
                    return
                body = file.read_bytes()
                headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": hub.commit}
                self.answer(200, body if self.command == "GET" else b"", headers, len(body))

            do_HEAD = do_GET

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def facts(self) -> dict[str, Any]:
        files = {str(path.relative_to(self.folder)): path for path in sorted(self.folder.rglob("*")) if path.is_file()}
        return {
            "_id": "1",
            "id": "org/tiny",
            "sha": self.commit,
            "siblings": [{"rfilename": name} for name in files],
            "tree": [
                {"type": "file", "path": name, "size": path.stat().st_size, "oid": "0" * 40}
                for name, path in files.items()
            ],
        }


@pytest.fixture
def hub(bert: Path) -> Iterator[Hub]:
    made = Hub(bert)
    yield made
    made.server.shutdown()


PROGRAM = """
import json, sys, headlane
options = json.loads(sys.argv[1])
try:
    kind = getattr(headlane, options.pop("kind", "Embedder"))
    model = kind(options.pop("name", "org/tiny"), **options)
    if kind is headlane.Embedder:
        print(model.path.name, [float(x) for x in model.encode("dogs run")])
    else:
        print(model.path.name, model.generate("dogs run", max_new_tokens=8).ids)
except Exception as error:
    print(type(error).__name__, error)
"""


def run(hub: Hub, home: Path, environment: dict[str, str] | None = None, **options: Any) -> str:
    """What a process of its own says, since huggingface_hub reads its settings when it is imported."""
    port = hub.server.server_address[1]
    settings = {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(home / "hf"),
        "HEADLANE_CACHE": str(home / "headlane"),
        "NO_PROXY": "127.0.0.1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    command = [sys.executable, "-c", PROGRAM, json.dumps(options)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        command, env={**kept, **settings, **(environment or {})}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_fetched_and_converted_once(hub: Hub, tmp_path: Path, bert: Path) -> None:
    first = run(hub, tmp_path)
    assert first.startswith(f"org--tiny@{FIRST}-f32-") and "[" in first
    fetched = {path.split("/")[-1] for path in hub.asked if "/resolve/" in path}
    assert {"config.json", "model.safetensors", "tokenizer.json", "modules.json"} <= fetched
    assert not any(name.endswith(".npy") for name in fetched)
    hub.asked.clear()
    for options in ({}, {"local_files_only": True}):
        assert run(hub, tmp_path, **options) == first
    assert run(hub, tmp_path, {"HF_HUB_OFFLINE": "1"}) == first
    hub.commit = SECOND  # what is on the machine is enough
    assert run(hub, tmp_path) == first
    assert hub.asked == []
    assert f"@{FIRST}-bf16-" in run(hub, tmp_path, precision="bf16")
    assert hub.asked == []
    assert f"@{SECOND}-f32-" in run(hub, tmp_path, revision=SECOND)
    assert len(list((tmp_path / "headlane").glob("*.headlane"))) == 3


def test_what_is_not_there(hub: Hub, tmp_path: Path) -> None:
    for answer in (
        run(hub, tmp_path, local_files_only=True),
        run(hub, tmp_path, {"HF_HUB_OFFLINE": "1"}),
    ):
        assert answer.startswith("FileNotFoundError org/tiny is not on this machine")
    assert hub.asked == []
    assert "RepositoryNotFoundError" in run(hub, tmp_path, name="org/nobody")
    assert not list((tmp_path / "headlane").glob("*.headlane")) if (tmp_path / "headlane").exists() else True


def test_repositories_of_gguf_files(hub: Hub, tmp_path: Path) -> None:
    """One that has no other weights: its only model, or the one that is named behind a colon."""
    source = ROOT / "tests/golden/gguf/qwen2_texts.gguf"
    hub.folder = tmp_path / "repository"
    hub.folder.mkdir()
    (hub.folder / "config.json").write_text("{}")
    shutil.copy(source, hub.folder / "tiny-F32.gguf")
    shutil.copy(source, hub.folder / "mmproj-F32.gguf")
    ids = headlane.LanguageModel(source).generate("dogs run", max_new_tokens=8).ids
    options: dict[str, Any] = {"kind": "LanguageModel"}
    first = run(hub, tmp_path, **options)
    assert first.startswith(f"org--tiny@{FIRST}-tiny-F32-f32-") and first.endswith(f" {ids}")
    assert not any("mmproj" in path for path in hub.asked)
    hub.asked.clear()
    for name in ("org/tiny", "org/tiny:f32", "org/tiny:tiny-F32.gguf"):
        assert run(hub, tmp_path, {"HF_HUB_OFFLINE": "1"}, name=name, **options) == first
        assert run(hub, tmp_path, name=name, **options) == first
    assert hub.asked == []
    assert "in part only" in run(hub, tmp_path, local_files_only=True, name="org/tiny:Q8_0", **options)
    # Several models, one of them in parts and in a folder: which one is meant must be said.
    hub.commit = SECOND
    (hub.folder / "parts").mkdir()
    for name in ("tiny-Q4_K_M.gguf", "tiny-IQ4_K.gguf", "parts/tiny-BF16-00001-of-00001.gguf", "parts/tiny-Q8_0-00001-of-00002.gguf"):
        shutil.copy(source, hub.folder / name)
    options["revision"] = SECOND
    answer = run(hub, tmp_path, **options)
    assert answer.startswith("ValueError org/tiny has 4 GGUF models: ") and "name one of them" in answer
    answer = run(hub, tmp_path, name="org/tiny:Q8_0", **options)
    assert answer.startswith('FileNotFoundError org/tiny has neither "Q8_0" nor') and "tiny-Q4_K_M.gguf" in answer
    hub.asked.clear()
    for quantization, stem in (("Q4_K_M", "tiny-Q4_K_M"), ("bf16", "tiny-BF16-00001-of-00001")):
        found = run(hub, tmp_path, name=f"org/tiny:{quantization}", **options)
        assert found == f"org--tiny@{SECOND}-{stem}-f32-{headlane.__version__}.headlane {ids}"
    assert {path.split("/")[-1] for path in hub.asked if path.endswith(".gguf")} == {
        "tiny-Q4_K_M.gguf",
        "tiny-BF16-00001-of-00001.gguf",
    }

"""What a program does to a library that was not meant so: exceptions come, no crash and no leak."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import headlane

TEXTS = ["The cat sat on the mat.", "", "dogs run", "we ran on and on in the rain"]


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def n_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_sixteen_threads_at_once(bert: Path, sentences: list[str]) -> None:
    model = headlane.Embedder(bert, n_threads=2)
    expected = model.encode(sentences[:400])

    def work(i: int) -> bool:
        part = slice(25 * i, 25 * i + 25)
        many = all(np.array_equal(model.encode(sentences[part]), expected[part]) for _ in range(10))
        return many and all(np.array_equal(model.encode(sentences[j]), expected[j]) for j in range(part.start, part.stop))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))
    assert len(model._sessions._narrow) <= 2 and len(model._sessions._wide) == 1


def test_a_hundred_loads_and_unloads(bert: Path) -> None:
    path = headlane.Embedder(bert).path
    for _ in range(10):
        headlane.Embedder(path).encode(TEXTS)
    gc.collect()
    memory, threads, files = resident_mb(), n_threads(), len(os.listdir("/proc/self/fd"))
    for i in range(100):
        model = headlane.Embedder(path, n_threads=2)
        model.encode(TEXTS)
        if i % 2:
            model.close()
    del model
    gc.collect()
    # Threads of other libraries, which earlier tests began, may end meanwhile.
    assert n_threads() <= threads and len(os.listdir("/proc/self/fd")) <= files
    assert resident_mb() < memory + 8  # one model and its session take more than 0.1 MB


def test_errors_leak_nothing(bert: Path) -> None:
    model = headlane.Embedder(bert, n_threads=1)
    model.encode(TEXTS)
    for _ in range(50):
        with pytest.raises(headlane.InvalidArgument):
            model.max_seq_length = 1
            model.encode("dogs run in the rain")
        model.max_seq_length = 16
    assert model.encode(TEXTS).shape == (4, 51)
    assert model._sessions._n_wide == 1 and model._sessions._n_narrow == 0


def test_a_file_that_vanishes(bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.headlane"
    headlane.convert(bert, path)
    model = headlane.Embedder(path)
    expected = headlane.Embedder(bert).encode(TEXTS)
    path.unlink()
    np.testing.assert_array_equal(model.encode(TEXTS), expected)
    with pytest.raises(headlane.FileUnreadable, match="model.headlane"):
        headlane.Embedder(path)
    headlane.convert(bert, path)
    cut = headlane.Embedder(path)
    os.truncate(path, 1000)
    with pytest.raises((headlane.FileUnreadable, headlane.BadFile), match="model.headlane"):
        cut.encode(TEXTS)
    with pytest.raises(headlane.Error, match="model.headlane"):
        headlane.Embedder(path)


def heed_ctrl_c() -> None:
    """Before a program begins: a shell's background jobs, such as those of CI, begin without SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(program: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    options = {"preexec_fn": heed_ctrl_c, **options}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload,no-any-return]


def test_fork(bert: Path) -> None:
    """After the import, after calls, and while another thread is inside a call."""
    program = """
import os, sys, threading, warnings
import numpy as np
import headlane
warnings.simplefilter("ignore")
path, texts = sys.argv[1], ["The cat sat on the mat.", "dogs run"] * 400
def child(work):
    pid = os.fork()
    if pid == 0:
        ok = False
        try:
            ok = work()
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(pid, 0)[1] == 0
child(lambda: headlane.Embedder(path).encode("dogs run").shape == (51,))
model = headlane.Embedder(path, n_threads=2)
child(lambda: model.encode("dogs run").shape == (51,))
expected = model.encode(texts)
child(lambda: np.array_equal(model.encode(texts), expected))
ended = threading.Event()
def keep_busy():
    while not ended.is_set():
        model.encode(texts)
thread = threading.Thread(target=keep_busy)
thread.start()
for _ in range(5):
    child(lambda: np.array_equal(model.encode(texts), expected))
ended.set()
thread.join()
assert np.array_equal(model.encode(texts), expected)
print("all right")
"""
    done = run(program, headlane.Embedder(bert).path)
    assert done.stdout == "all right\n", done.stderr


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import headlane
model = headlane.Embedder(sys.argv[1], n_threads=1)
texts = ["we ran on and on in the rain, the river was fast, the dog was not fast " * 4] * 200_000
expected = model.encode(texts[:3])
out = np.full((len(texts), 51), np.nan, np.float32)
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
begin = time.monotonic()
try:
    model.encode(texts, out=out)
    print("not interrupted")
except KeyboardInterrupt:
    whole = ~np.isnan(out).any(axis=1)
    print("rows whole or untouched", bool((whole | np.isnan(out).all(axis=1)).all()), bool(whole.all()))
print(np.array_equal(model.encode(texts[:3]), expected))
"""


def test_ctrl_c(bert: Path) -> None:
    done = run(INTERRUPTED, headlane.Embedder(bert).path)
    assert done.stdout == "rows whole or untouched True False\nTrue\n", done.stdout + done.stderr


def test_ctrl_c_ends_the_process(bert: Path) -> None:
    program = INTERRUPTED.replace("except KeyboardInterrupt", "except ZeroDivisionError")
    done = run(program, headlane.Embedder(bert).path)
    assert done.returncode == -signal.SIGINT and "KeyboardInterrupt" in done.stderr


def test_the_interpreter_ends_while_a_daemon_calls(bert: Path) -> None:
    program = """
import sys, threading, time
import headlane
model = headlane.Embedder(sys.argv[1])
def work():
    while True:
        model.encode(["dogs run"] * 1000)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.5)
"""
    done = run(program, headlane.Embedder(bert).path)
    assert done.returncode == 0 and done.stderr == ""


def test_close_while_others_call(bert: Path) -> None:
    model = headlane.Embedder(bert, n_threads=2)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                model.encode(TEXTS * 20)
        except ValueError as error:
            if "closed" not in str(error):
                failures.append(error)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    model.close()
    for thread in threads:
        thread.join()
    assert not failures
    assert model._model.handle.address == 0


def test_without_what_is_optional(bert: Path) -> None:
    """No tqdm, torch, pyarrow or huggingface_hub: the package says so where one is needed."""
    program = """
import sys
for name in ("tqdm", "tqdm.auto", "torch", "pyarrow", "huggingface_hub"):
    sys.modules[name] = None
import headlane
model = headlane.Embedder(sys.argv[1])
assert model.encode(["a"], show_progress_bar=True).shape == (1, 51)
for call in (lambda: model.encode("a", convert_to_tensor=True), lambda: headlane.Embedder("some/model")):
    try:
        call()
    except ImportError as error:
        print(error)
"""
    done = run(program, headlane.Embedder(bert).path)
    assert "torch" in done.stdout and "huggingface_hub" in done.stdout, done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_not_be_written(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o500)
    with pytest.raises(OSError, match="cache"):
        headlane.Embedder(bert, cache_folder=folder)


def test_conversions_at_once(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "model")
    program = "import sys, headlane; print(headlane.Embedder(sys.argv[1], cache_folder=sys.argv[2]).encode('a')[0])"
    command = [sys.executable, "-c", program, tmp_path / "model", tmp_path / "cache"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    assert len({process.communicate()[0] for process in running}) == 1
    assert len(list((tmp_path / "cache").glob("*.headlane"))) == 1

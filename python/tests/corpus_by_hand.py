"""A corpus of any size through the command and through files, Ray or Spark, by hand: the same bits, and who took what.

    python corpus_by_hand.py FOLDER MODEL N_TEXTS ENGINE...     engines: files, ray, spark

Texts are made of the committed sentences. The run of files is by two processes, one of which is killed in the middle
and started again; Ray has two nodes and four actors of one CPU each, Spark two executors of one CPU each, of whose
workers one is killed. Prints one line of JSON for each engine: seconds, the most memory of a worker, the CPUs that one used, and
whether all vectors are the command's, each id once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from conftest import ROOT

import headlane
import headlane.files

ROWS_PER_INPUT = 20000
OPTIONS: dict[str, Any] = {"id": "id", "text": "text", "rows_per_file": 8192}


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    except OSError:
        pass
    return found


class Watch(threading.Thread):
    """Of workers, by words of their command lines: the most memory, and the most CPUs over some seconds."""

    def __init__(self, words: bytes) -> None:
        super().__init__(daemon=True)
        self._words, self._ended = words, threading.Event()
        self.mb = self.cpus = 0.0
        self.kill_one = False

    def run(self) -> None:
        before: dict[int, tuple[float, float]] = {}
        while not self._ended.wait(1):
            for pid in descendants(os.getpid()):
                try:
                    if self._words not in Path(f"/proc/{pid}/cmdline").read_bytes():
                        continue
                    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
                    status = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                self.mb = max(self.mb, int(status.split("VmHWM:")[1].split()[0]) / 1000)
                then, earlier = before.setdefault(pid, (time.monotonic(), used))
                if time.monotonic() - then >= 4:
                    self.cpus = max(self.cpus, (used - earlier) / (time.monotonic() - then))
                    before[pid] = time.monotonic(), used
                if self.kill_one and used > 5:
                    self.kill_one = False
                    os.kill(pid, signal.SIGKILL)

    def end(self) -> dict[str, float]:
        self._ended.set()
        self.join()
        return {"worker_mb": round(self.mb), "worker_cpus": round(self.cpus, 2)}


def make(folder: Path, n: int) -> list[str]:
    sentences = (ROOT / "tests/golden/corpus/sentences.txt").read_text(encoding="utf-8").splitlines()
    texts = [f"{sentences[i % len(sentences)]} {i}" for i in range(n)]
    (folder / "in").mkdir(parents=True, exist_ok=True)
    (folder / "lines.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    for first in range(0, n, ROWS_PER_INPUT):
        some = texts[first : first + ROWS_PER_INPUT]
        rows = pa.table({"id": range(first, first + len(some)), "text": some})
        pq.write_table(rows, folder / "in" / f"{first:09d}.parquet")
    return texts


def of_files(folder: Path, model: Path) -> dict[str, Any]:
    words = [sys.executable, "-m", "headlane", "embed-files", str(folder / "in"), "-o", str(folder / "files")]
    words += ["-m", str(model), "--id", "id", "--text", "text", "--rows-per-file", "8192", "--threads", "1"]
    watch = Watch(b"embed-files")
    watch.start()
    first, second = (subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(2))
    n = len(list((folder / "in").iterdir()))
    while len(list((folder / "files").glob("*.parquet"))) < n and first.poll() is None:
        time.sleep(0.05)
    first.kill()
    first.wait()
    again = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    assert second.wait() == 0
    return {"last_process_embedded": json.loads(again.stdout)["embedded"], **watch.end()}


def of_ray(folder: Path, model: Path) -> dict[str, Any]:
    import ray
    from ray.cluster_utils import Cluster

    import headlane.ray

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 200 << 20})
    cluster.add_node(num_cpus=2, object_store_memory=200 << 20)
    ray.init(address=cluster.address, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    watch = Watch(b"_FileWorker")
    watch.kill_one = True
    watch.start()
    summary = headlane.ray.embed_files(folder / "in", folder / "ray", model=model, concurrency=4, **OPTIONS)
    assert summary.ok and not watch.kill_one
    found = watch.end()
    ray.shutdown()
    cluster.shutdown()
    return found


def of_spark(folder: Path, model: Path) -> dict[str, Any]:
    import pyspark
    from pyspark.sql import SparkSession

    import headlane.spark

    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", "false").getOrCreate()
    watch = Watch(b"pyspark.daemon")
    watch.kill_one = True
    watch.start()
    summary = headlane.spark.embed_files(session, folder / "in", folder / "spark", model=model, **OPTIONS)
    assert summary.ok and not watch.kill_one
    found = watch.end()
    session.stop()
    return found


ENGINES: dict[str, Callable[[Path, Path], dict[str, Any]]] = {"files": of_files, "ray": of_ray, "spark": of_spark}


def main() -> None:
    folder, model, n = Path(sys.argv[1]).absolute(), headlane.Embedder(sys.argv[2]).path, int(sys.argv[3])
    make(folder, n)
    if not (folder / "plain.npy").exists():
        words = [sys.executable, "-m", "headlane", "embed", "-m", str(model), "-i", str(folder / "lines.txt")]
        subprocess.run([*words, "-o", str(folder / "plain.npy")], check=True)
    plain = np.load(folder / "plain.npy", mmap_mode="r")
    for name in sys.argv[4:]:
        began = time.monotonic()
        told = ENGINES[name](folder, model)
        seconds = time.monotonic() - began
        seen = np.zeros(n, np.int64)
        same = True
        for path in sorted((folder / name).glob("*.parquet")):
            table = pq.read_table(path)
            ids = table.column("id").to_numpy()
            seen[ids] += 1
            vectors = table.column("vector").combine_chunks().flatten().to_numpy().reshape(len(ids), -1)
            same = same and vectors.tobytes() == plain[ids].tobytes()
        each_once = bool((seen == 1).all())
        print(json.dumps({"engine": name, "seconds": round(seconds, 1), **told, "same": same, "once": each_once}))


if __name__ == "__main__":
    main()

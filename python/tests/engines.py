"""Engines of datasets, each in an environment of its own, beside Embedder: python/test --frameworks ray spark dask
daft.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from test_files import outputs

import headlane
import headlane.files

N = 3000
MODELS = {
    "rank": ROOT / "tests/golden/classify/bert_cross_encoder",
    "classify": ROOT / "tests/golden/classify/distilbert_multi_label",
    "translate": ROOT / "examples/translate/zh-en.headlane",
}


@pytest.fixture(scope="module")
def texts(sentences: list[str]) -> list[str | None]:
    return [None if i % 97 == 5 else f"{sentences[i % len(sentences)]} {i}" for i in range(N)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, texts: list[str | None]) -> Path:
    """Twelve files of 3,000 texts."""
    folder = tmp_path_factory.mktemp("in")
    for i in range(12):
        column = [None if text is None else f"{i} {text}" for text in texts]
        pq.write_table(pa.table({"id": range(i * N, (i + 1) * N), "text": column}), folder / f"{i:02d}.parquet")
    return folder


OPTIONS: dict[str, Any] = {"id": "id", "text": "text", "rows_per_file": 1500}


@pytest.fixture(scope="module")
def whole(corpus: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What files.embed makes of it when nothing disturbs it."""
    out = tmp_path_factory.mktemp("whole")
    assert headlane.files.embed(corpus, out, model=bert, **OPTIONS).ok
    return outputs(out)


def vectors_of(rows: list[dict[str, Any]], texts: list[str | None], embedder: headlane.Embedder, key: str) -> None:
    """That rows have the bits of Embedder.encode, each once."""
    by_id = {row["id"]: row for row in rows}
    assert len(rows) == len(texts) and sorted(by_id) == list(range(len(texts)))
    assert all((by_id[i][key] is None) == (text is None) for i, text in enumerate(texts))
    there = [i for i, text in enumerate(texts) if text is not None]
    found = np.array([by_id[i][key] for i in there], np.float32)
    np.testing.assert_array_equal(found, embedder.encode([texts[i] for i in there]))


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from descendants(child)


def until(found: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> Any:
    for _ in range(60000):
        if there := found():
            return there
        assert process is None or process.poll() is None, "it ended too early"
        time.sleep(0.002)
    raise AssertionError("two minutes are over")


def begun(out: Path) -> bool:
    """Whether some outputs are there, and others are being written."""
    return len(list(out.glob("*.parquet"))) >= 3 and any(out.glob("_headlane/*.aside"))


# What a driver does that is killed.
DRIVER = """
import json, sys
import ray, headlane.ray
ray.init(address=sys.argv[1], logging_level="error")
ray.data.DataContext.get_current().enable_progress_bars = False
headlane.ray.embed_files(sys.argv[2], sys.argv[3], model=sys.argv[4], concurrency=2, **json.loads(sys.argv[5]))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["RAY_DEDUP_LOGS"] = "0"
    options = {"num_cpus": 2, "object_store_memory": 100 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    options.pop("include_dashboard")
    cluster.add_node(**options)
    ray.init(address=cluster.address, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_ray_embeds(cluster: Any, bert: Path, texts: Any, embedder: Any) -> None:
    import ray

    import headlane.ray

    # Blocks that are there, so that nothing reads while actors run.
    blocks = [pa.table({"id": range(i, i + 500), "text": texts[i : i + 500]}) for i in range(0, N, 500)]
    dataset = ray.data.from_arrow(blocks)
    made = headlane.ray.embed(dataset, "text", model=bert, num_cpus=1, concurrency=2)
    vectors_of(made.take_all(), texts, embedder, "vector")
    for options, kind, sentence in (
        ({"num_cpus": 0.5}, ValueError, "num_cpus is 0.5"),
        ({"n_threads": 2}, TypeError, "there is no n_threads here"),
        ({"into": "id"}, ValueError, "there is a column 'id' already"),
        ({"dtype": "float64"}, ValueError, "dtype"),
        ({"model": embedder}, TypeError, "name or a path"),
    ):
        with pytest.raises(kind, match=sentence):
            headlane.ray.embed(dataset, "text", **{"model": bert, **options})
    with pytest.raises(ValueError, match="there is no column 'body'"):
        headlane.ray.embed(dataset, "body", model=bert)


def test_ray_maps(cluster: Any, texts: Any) -> None:
    import ray

    import headlane.ray

    queries = [None if i == 7 else text and text[:20] for i, text in enumerate(reversed(texts[:50]))]
    dataset = ray.data.from_arrow(pa.table({"id": range(50), "query": queries, "text": texts[:50]}))
    ranked = headlane.ray.map(dataset, "rank", "text", query="query", model=MODELS["rank"])
    classified = headlane.ray.map(ranked, "classify", "text", model=MODELS["classify"])
    rows = sorted(classified.take_all(), key=lambda row: row["id"])
    encoder, classifier = headlane.CrossEncoder(MODELS["rank"]), headlane.Classifier(MODELS["classify"])
    for row, query, text in zip(rows, queries, texts, strict=False):
        whole = query is not None and text is not None
        assert row["score"] == (float(encoder.predict((query, text))) if whole else None)
        best = {"label": None, "score": None} if text is None else classifier.classify(text)[0]
        assert (row["label"], row["label_score"]) == (best["label"], best["score"])
    sources = ["今天天气很好", None, "明天天气会下雨。"]
    dataset = ray.data.from_arrow(pa.table({"id": range(3), "text": sources}))
    made = headlane.ray.map(dataset, "translate", "text", model=MODELS["translate"], call={"num_beams": 2})
    translator = headlane.Translator(MODELS["translate"])
    expected = [source and translator.translate(source, num_beams=2) for source in sources]
    assert [row["translation"] for row in sorted(made.take_all(), key=lambda row: row["id"])] == expected


def test_ray_ships_the_model_once(cluster: Any, texts: Any, embedder: Any, tmp_path: Path) -> None:
    """Where a machine has not what the driver named, the file comes to it once."""
    import ray

    import headlane.ray

    path = tmp_path / "shipped-by-ray.headlane"
    path.write_bytes(embedder.path.read_bytes())
    blocks = [pa.table({"id": range(i, i + 1000), "text": texts[i : i + 1000]}) for i in range(0, N, 1000)]
    dataset = ray.data.from_arrow(blocks)
    made = headlane.ray.embed(dataset, "text", model=path)
    path.unlink()
    vectors_of(made.take_all(), texts, embedder, "vector")
    assert len(list(Path(os.environ["HEADLANE_CACHE"]).glob("shipped-by-ray-*.headlane"))) == 1


def test_ray_worker_and_node_are_killed(
    cluster: Any, corpus: Path, bert: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """By SIGKILL in the middle of a file: the engine begins it again, and the bytes are those of an undisturbed run."""
    from concurrent.futures import ThreadPoolExecutor

    import headlane.ray

    def run(out: Path) -> headlane.files.Summary:
        return headlane.ray.embed_files(corpus, out, model=bert, concurrency=2, **OPTIONS)

    def raylet(node: Any) -> int:
        pid: int = node.all_processes["raylet"][0].process.pid
        return pid

    def workers(node: Any) -> list[int]:
        found = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in descendants(raylet(node))}
        return [pid for pid, words in found.items() if b"_FileWorker" in words]

    nodes = [cluster.head_node, *cluster.worker_nodes]
    with ThreadPoolExecutor(1) as pool:
        summary = pool.submit(run, tmp_path / "worker")
        until(lambda: begun(tmp_path / "worker"))
        killed = [pid for node in nodes for pid in workers(node)]
        assert killed
        os.kill(killed[0], signal.SIGKILL)
        assert summary.result().ok and outputs(tmp_path / "worker") == whole

        summary = pool.submit(run, tmp_path / "node")
        until(lambda: begun(tmp_path / "node"))
        os.kill(raylet(nodes[1]), signal.SIGKILL)
        assert summary.result().ok and outputs(tmp_path / "node") == whole


def test_ray_driver_is_killed(cluster: Any, corpus: Path, bert: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-c", DRIVER, cluster.address, str(corpus), str(out), str(bert), json.dumps(OPTIONS)]
    driver = subprocess.Popen(words)
    until(lambda: begun(out), driver)
    driver.kill()
    driver.wait()
    assert outputs(out) != whole
    subprocess.run(words, check=True)
    assert outputs(out) == whole


SPARK_DRIVER = """
import json, sys
from pyspark.sql import SparkSession
import headlane.spark
spark = SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", "false").getOrCreate()
headlane.spark.embed_files(spark, sys.argv[1], sys.argv[2], model=sys.argv[3], **json.loads(sys.argv[4]))
spark.stop()
"""


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Two executors of one CPU each, which are processes of their own."""
    pyspark = pytest.importorskip("pyspark")
    from pyspark.sql import SparkSession

    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", "false")
    session = builder.config("spark.log.level", "ERROR").getOrCreate()
    yield session
    session.stop()


def test_spark_embeds(spark: Any, bert: Path, texts: Any, embedder: Any) -> None:
    import headlane.spark

    frame = spark.createDataFrame(list(enumerate(texts)), "id long, text string").repartition(5)
    made = headlane.spark.embed(frame, "text", model=bert)
    vectors_of([row.asDict() for row in made.collect()], texts, embedder, "vector")
    there = [i for i, text in enumerate(texts) if text is not None]
    made = headlane.spark.embed(frame, "text", model=bert, dtype="int8", into="small").filter("text is not null")
    rows = [row.asDict() for row in made.orderBy("id").collect()]
    rebuilt = np.array([row["small"] for row in rows]) * np.array([row["small_scale"] for row in rows])[:, None]
    assert [row["id"] for row in rows] == there
    expected = embedder.encode([texts[i] for i in there])
    assert np.abs(rebuilt - expected).max() <= np.abs(expected).max() / 127 * 0.501
    made = headlane.spark.embed(frame, "text", model=bert, dtype="binary").filter("text is not null")
    bits = embedder.encode([texts[i] for i in there], precision="ubinary")
    assert [bytes(row["vector"]) for row in made.orderBy("id").collect()] == [row.tobytes() for row in bits]


def test_spark_in_sql(spark: Any, bert: Path, texts: Any, embedder: Any) -> None:
    import headlane.spark

    spark.createDataFrame(list(enumerate(texts)), "id long, text string").createOrReplaceTempView("texts")
    spark.udf.register("embed", headlane.spark.udf(spark, model=bert))
    rows = spark.sql("select id, embed(text) as vector from texts").collect()
    vectors_of([row.asDict() for row in rows], texts, embedder, "vector")


def test_spark_maps(spark: Any, texts: Any) -> None:
    import headlane.spark

    frame = spark.createDataFrame(list(enumerate(texts[:50])), "id long, text string")
    classified = headlane.spark.map(frame, "classify", "text", model=MODELS["classify"])
    ranked = headlane.spark.map(classified, "rank", "text", query="label", model=MODELS["rank"])
    classifier, encoder = headlane.Classifier(MODELS["classify"]), headlane.CrossEncoder(MODELS["rank"])
    for row, text in zip(ranked.orderBy("id").collect(), texts, strict=False):
        best = {"label": None, "score": None} if text is None else classifier.classify(text)[0]
        assert (row["label"], row["label_score"]) == (best["label"], best["score"])
        assert row["score"] == (None if text is None else float(encoder.predict((row["label"], text))))
    frame = spark.createDataFrame([("今天天气很好",), (None,)], "text string")
    made = headlane.spark.map(frame, "translate", "text", model=MODELS["translate"]).collect()
    translated = {row["text"]: row["translation"] for row in made}
    assert translated == {"今天天气很好": "It's a beautiful day today", None: None}


def test_spark_refuses(spark: Any, bert: Path, embedder: Any) -> None:
    import headlane.spark

    frame = spark.createDataFrame([(1, "a")], "id long, text string")
    for options, kind, sentence in (
        ({"dtype": "float16"}, ValueError, "which Spark has not"),
        ({"n_threads": 2}, TypeError, "there is no n_threads here"),
        ({"into": "id"}, ValueError, "there is a column 'id' already"),
        ({"model": embedder}, TypeError, "name or a path"),
    ):
        with pytest.raises(kind, match=sentence):
            headlane.spark.embed(frame, "text", **{"model": bert, **options})
    with pytest.raises(ValueError, match="scale in another"):
        headlane.spark.udf(spark, model=bert, dtype="int8")


def test_spark_ships_the_model_once(spark: Any, bert: Path, texts: Any, embedder: Any, tmp_path: Path) -> None:
    """Where a machine has not what the driver named, the file comes to it once."""
    import headlane.spark

    path = tmp_path / "shipped.headlane"
    path.write_bytes(embedder.path.read_bytes())
    frame = spark.createDataFrame(list(enumerate(texts)), "id long, text string").repartition(4)
    made = headlane.spark.embed(frame, "text", model=path)
    os.utime(path, ns=(0, 0))  # so that it counts as another file; Spark itself reads it on the driver's machine
    vectors_of([row.asDict() for row in made.collect()], texts, embedder, "vector")
    assert len(list(Path(os.environ["HEADLANE_CACHE"]).glob("shipped-*.headlane"))) == 1
    again = tmp_path / "changed.headlane"
    again.write_bytes(embedder.path.read_bytes())
    made = headlane.spark.embed(frame, "text", model=again)
    again.write_bytes(b"another model")
    with pytest.raises(Exception, match="changed on the driver's machine after it was named"):
        made.collect()


def test_spark_worker_and_executor_are_killed(
    spark: Any, corpus: Path, bert: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import headlane.spark

    def running(pid: int, words: bytes) -> list[int]:
        return [child for child in descendants(pid) if words in Path(f"/proc/{child}/cmdline").read_bytes()]

    out = tmp_path / "out"
    with ThreadPoolExecutor(1) as pool:
        summary = pool.submit(lambda: headlane.spark.embed_files(spark, corpus, out, model=bert, **OPTIONS))
        until(lambda: begun(out))
        workers = running(os.getpid(), b"pyspark.daemon")
        os.kill(workers[-1], signal.SIGKILL)
        os.kill(running(os.getpid(), b"CoarseGrainedExecutorBackend")[0], signal.SIGKILL)
        assert summary.result().ok and outputs(out) == whole


def test_spark_driver_is_killed(spark: Any, corpus: Path, bert: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-c", SPARK_DRIVER, str(corpus), str(out), str(bert), json.dumps(OPTIONS)]
    driver = subprocess.Popen(words, start_new_session=True)
    until(lambda: begun(out), driver)
    for pid in [driver.pid, *descendants(driver.pid)]:
        os.kill(pid, signal.SIGKILL)
    driver.wait()
    assert outputs(out) != whole
    subprocess.run(words, check=True)
    assert outputs(out) == whole


def program(heading: str, model: str) -> str:
    """What docs/scale.md shows under a heading, for another model."""
    page = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    shown = page.split(f"## {heading}\n")[1].split("```python\n")[1].split("```")[0]
    assert '"all-MiniLM-L6-v2"' in shown
    return shown.replace("all-MiniLM-L6-v2", model)


def test_dask(bert: Path, texts: Any, embedder: Any) -> None:
    dask = pytest.importorskip("dask.dataframe")
    import pandas as pd
    from dask.distributed import Client, LocalCluster

    rows = pd.DataFrame({"id": range(N), "text": texts})
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        names: dict[str, Any] = {"frame": dask.from_pandas(rows, npartitions=5)}
        exec(program("Dask", str(bert)), names)
        made = names["vectors"].compute()
    there = [i for i, text in enumerate(texts) if text is not None]
    assert made["id"].tolist() == there
    np.testing.assert_array_equal(np.stack(made["vector"]), embedder.encode([texts[i] for i in there]))


def test_daft(bert: Path, texts: Any, embedder: Any) -> None:
    daft = pytest.importorskip("daft")
    names: dict[str, Any] = {"frame": daft.from_pydict({"id": list(range(N)), "text": texts})}
    exec(program("Daft", str(bert)).replace("384", "51"), names)
    made = names["vectors"].sort("id").to_pydict()
    there = [i for i, text in enumerate(texts) if text is not None]
    assert made["id"] == there
    np.testing.assert_array_equal(np.array(made["vector"], np.float32), embedder.encode([texts[i] for i in there]))

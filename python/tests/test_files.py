"""headlane.files: a corpus of files to files of vectors, beside Embedder.encode of the same texts."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headlane
import headlane.files

N = 1000  # rows of an input


@pytest.fixture(scope="module")
def texts(sentences: list[str]) -> list[str | None]:
    return [None if i % 97 == 5 else f"{sentences[i % len(sentences)]} {i}" for i in range(4 * N)]


def write_parquet(path: Path, ids: list[Any], texts: list[Any], kind: Any = None) -> None:
    table = pa.table({"other": [0] * len(ids), "text": pa.array(texts, pa.string()), "id": ids})
    if kind is not None:
        table = table.set_column(1, "text", table.column("text").cast(kind))
    pq.write_table(table, path, row_group_size=300)


def write_arrow(path: Path, ids: list[Any], texts: list[Any], stream: bool = False) -> None:
    table = pa.table({"id": ids, "text": pa.array(texts, pa.large_string())})
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=77)


def write_lines(path: Path, ids: list[Any], texts: list[Any]) -> None:
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8") as file:
        for row in zip(ids, texts, strict=True):
            file.write(json.dumps(dict(zip(("id", "text"), row, strict=True))) + "\n")


def write_csv(path: Path, ids: list[Any], texts: list[Any]) -> None:
    lines = ["" if text is None else '"' + text.replace('"', '""') + '"' for text in texts]
    path.write_text("text,id\n" + "".join(f"{line},{i}\n" for line, i in zip(lines, ids, strict=True)))


@pytest.fixture
def corpus(tmp_path: Path, texts: list[str | None]) -> Path:
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    for i, (name, write) in enumerate(
        {"a.parquet": write_parquet, "b.arrow": write_arrow, "more/c.jsonl": write_lines, "d.csv": write_csv}.items()
    ):
        write(folder / name, list(range(i * N, (i + 1) * N)), texts[i * N : (i + 1) * N])
    (folder / "_SUCCESS").write_text("")
    (folder / "notes.md").write_text("not an input")
    return folder


def embed(corpus: Any, out: Path, model: Any, **options: Any) -> headlane.files.Summary:
    given = {"id": "id", "text": "text", "rows_per_file": 300, **options}
    return headlane.files.embed(corpus, out, model=model, **given)


def command(corpus: Path, out: Path, model: Path, *words: str) -> list[str]:
    start = [sys.executable, "-m", "headlane", "embed-files", str(corpus), "-o", str(out), "-m", str(model)]
    return [*start, "--id", "id", "--text", "text", "--rows-per-file", "300", *words]


def outputs(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def rows_of(out: Path, name: str = "") -> Any:
    paths = sorted(path for path in out.rglob(f"{name}*") if path.suffix in (".parquet", ".arrow"))
    read: Callable[[Any], Any] = lambda path: pa.ipc.open_file(path).read_all()
    return pa.concat_tables([(pq.read_table if path.suffix == ".parquet" else read)(path) for path in paths])


def check_rows(found: Any, ids: list[Any], texts: list[Any], embedder: headlane.Embedder) -> None:
    assert found.column("id").to_pylist() == ids
    column = found.column("vector").combine_chunks()
    there = np.array([text is not None for text in texts])
    np.testing.assert_array_equal(column.is_valid().to_numpy(zero_copy_only=False), there)
    vectors = np.stack(column.filter(pa.array(there)).to_numpy(zero_copy_only=False))
    np.testing.assert_array_equal(vectors, embedder.encode([text for text in texts if text is not None]))


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_each_kind(corpus: Path, tmp_path: Path, texts: Any, embedder: Any, form: Any) -> None:
    told: list[headlane.files.Progress] = []
    summary = embed(corpus, tmp_path / "out", embedder, format=form, on_progress=told.append)
    shown = summary.as_dict()
    assert summary.ok and (shown["rows"], shown["embedded"], shown["outputs"], shown["files"]) == (4 * N, 4 * N, 16, 4)
    assert shown["nulls"] == texts.count(None)
    assert [one.input for one in summary.files] == ["a.parquet", "b.arrow", "d.csv", "more/c.jsonl"]
    for i, name in enumerate(("a.parquet", "b.arrow", "c.jsonl", "d.csv")):
        ids = [str(n) if name == "d.csv" else n for n in range(i * N, (i + 1) * N)]
        check_rows(rows_of(tmp_path / "out", name), ids, texts[i * N : (i + 1) * N], embedder)
    assert told[-1].n_files_done == 4 and told[-1].n_rows == 4 * N and told[-1].seconds_left == 0
    assert "4/4 files, 4000 rows" in str(told[-1])
    # All is there: nothing is made again, and not even read.
    (corpus / "a.parquet").chmod(0)
    before = outputs(tmp_path / "out")
    again = embed(corpus, tmp_path / "out", embedder, format=form).as_dict()
    assert (again["embedded"], again["rows"], again["outputs"]) == (0, 4 * N, 16)
    assert outputs(tmp_path / "out") == before


def test_outputs_begin_anywhere(corpus: Path, tmp_path: Path, embedder: Any) -> None:
    """An output that is missing alone has the bytes that it had, wherever its rows begin in the input."""
    out = tmp_path / "out"
    embed(corpus, out, embedder)
    whole = outputs(out)
    for number in ("000001", "000003"):
        for path in list(out.rglob(f"*.{number}.*")):
            path.unlink()
        assert len(outputs(out)) == len(whole) - 4
        assert embed(corpus, out, embedder).ok and outputs(out) == whole


def test_more_kinds(tmp_path: Path, texts: Any, embedder: Any) -> None:
    ids, some = [f"k{i}" for i in range(200)], texts[:200]
    folder = tmp_path / "in"
    folder.mkdir()
    write_lines(folder / "a.json.gz", ids, some)
    write_arrow(folder / "b.arrows", ids, some, stream=True)
    write_parquet(folder / "c.parquet", ids, some, pa.dictionary(pa.int32(), pa.string()))
    write_parquet(folder / "d.parquet", ids, some, pa.large_string())
    dictionary = pa.table({"id": ids, "text": pa.array(some).dictionary_encode()})
    with pa.ipc.new_file(folder / "e.feather", dictionary.schema) as writer:
        writer.write_table(dictionary, max_chunksize=30)
    views = pa.table({"id": pa.array(ids, pa.string_view()), "text": pa.array(some, pa.string_view())})
    with pa.ipc.new_file(folder / "f.ipc", views.schema) as writer:
        writer.write_table(views)
    (folder / "g.tsv").write_text("id\ttext\n" + "".join(f"{i}\t{text or ''}\n" for i, text in zip(ids, some)))
    (folder / "h.jsonl").write_text("\n")
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.int8()), "text": pa.nulls(2)}), folder / "i.pq")
    summary = embed(folder, tmp_path / "out", embedder)
    assert summary.ok, summary.failed
    for name in "abcdefg":
        check_rows(rows_of(tmp_path / "out", f"{name}."), ids, some, embedder)
    assert rows_of(tmp_path / "out", "h.").num_rows == 0
    assert rows_of(tmp_path / "out", "i.").to_pydict() == {"id": [1, 2], "vector": [None, None]}


def test_csv_has_texts_of_lines_and_empty_ones(tmp_path: Path, embedder: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n007,"two\nlines, ""quoted"""\n8,""\n9,\n')
    assert embed(path, tmp_path / "out", embedder).ok
    check_rows(rows_of(tmp_path / "out"), ["007", "8", "9"], ['two\nlines, "quoted"', "", None], embedder)


def test_a_quote_of_tsv_is_a_character(tmp_path: Path, embedder: Any) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('id\ttext\n1\t"begins here\n2\ttwo\n3\tends" here\n4\t"said" he\n5\t"four"\n6\t\n')
    assert embed(path, tmp_path / "out", embedder).ok
    expected = ['"begins here', "two", 'ends" here', '"said" he', '"four"', None]
    check_rows(rows_of(tmp_path / "out"), list("123456"), expected, embedder)


@pytest.mark.parametrize("row", ['1\t"a ""b"" c"', '1\t""', '"1 ""a"""\tb'])
def test_tsv_of_a_writer_of_csv(row: str, tmp_path: Path, embedder: Any) -> None:
    (tmp_path / "a.tsv").write_text(f"id\ttext\n{row}\n")
    (failed,) = embed(tmp_path / "a.tsv", tmp_path / "out", embedder).failed
    assert failed.error is not None and "is quoted as in CSV" in failed.error


def test_dtypes(tmp_path: Path, texts: Any, embedder: Any) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, list(range(N)), texts[:N])
    rows = embedder.encode([text or "" for text in texts[:N]])
    there = np.array([text is not None for text in texts[:N]])

    def made(dtype: Any) -> Any:
        assert embed(path, tmp_path / dtype, embedder, dtype=dtype).ok
        table = rows_of(tmp_path / dtype)
        for column in table.columns[1:]:
            np.testing.assert_array_equal(column.is_valid().to_numpy(), there)
        return table.filter(pa.array(there))

    half = made("float16").column("vector").to_numpy()
    np.testing.assert_array_equal(np.stack(half), rows[there].astype(np.float16))
    bits = made("binary").column("vector").to_pylist()
    np.testing.assert_array_equal(
        np.array([list(row) for row in bits], np.uint8),
        embedder.encode([text for text in texts[:N] if text is not None], precision="ubinary"),
    )
    table = made("int8")
    steps, scales = np.stack(table.column("vector").to_numpy()), table.column("vector_scale").to_numpy()
    assert steps.dtype == np.int8 and (np.abs(steps.astype(int)).max(axis=1) == 127).all()
    # Half a step, and three roundings of float32: of the scale, of the quotient, of the product here.
    far = np.abs(steps * scales[:, None].astype(np.float64) - rows[there])
    assert (far <= scales[:, None] * (0.5 + 127 * 3 * 2.0**-24)).all()


def test_options_of_the_model(tmp_path: Path, texts: Any, bert: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, list(range(100)), texts[:100])
    model = headlane.Embedder(bert, prompts={"document": "we ran "}, truncate_dim=20)
    assert embed(path, tmp_path / "out", model, task="document", normalize_embeddings=True).ok
    there = [text for text in texts[:100] if text is not None]
    vectors = np.stack(rows_of(tmp_path / "out").column("vector").drop_null().to_numpy())
    np.testing.assert_array_equal(vectors, model.encode_document(there, normalize_embeddings=True))
    with pytest.raises(ValueError, match="prompt 'we ran ' there and '' here"):
        embed(path, tmp_path / "out", model, normalize_embeddings=True)


def test_killed_and_started_again(corpus: Path, tmp_path: Path, bert: Path) -> None:
    """By SIGKILL, again and again: in the end all is as if nothing had happened."""
    embed(corpus, tmp_path / "whole", bert)
    out = tmp_path / "out"
    n_killed = 0
    for n in range(2, 17, 3):  # once so many outputs are there, or the next one is being written
        process = subprocess.Popen(command(corpus, out, bert, "--quiet"), stdout=subprocess.DEVNULL)
        while process.poll() is None and len(list(out.rglob("*.parquet"))) < n:
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        n_killed += process.wait() == -signal.SIGKILL
    assert n_killed
    # What was being written is there aside; whoever reads the folder does not see it, and the next run writes it anew.
    (out / "_headlane" / f"{min(path.name for path in out.glob('a.*'))}.aside").write_bytes(b"half")
    for path in out.glob("a.*.000000.*"):
        path.unlink()
    assert subprocess.run(command(corpus, out, bert), stdout=subprocess.DEVNULL).returncode == 0
    assert outputs(out) == outputs(tmp_path / "whole")


def test_two_processes_share_a_folder(corpus: Path, tmp_path: Path, bert: Path) -> None:
    embed(corpus, tmp_path / "whole", bert)
    words = command(corpus, tmp_path / "out", bert, "--quiet", "--threads", "1")
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    summaries = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(summary["embedded"] for summary in summaries) == 4 * N
    assert all(summary["outputs"] == 16 and summary["rows"] == 4 * N for summary in summaries)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_another_process_dies(corpus: Path, tmp_path: Path, bert: Path) -> None:
    """An output that another has begun is waited for, and made here when the other dies."""
    embed(corpus, tmp_path / "whole", bert)
    out = tmp_path / "out"
    embed(corpus, out, bert)
    first = min(out.glob("a.*"))
    first.unlink()
    for path in (out / "_headlane" / "done").iterdir():
        path.unlink()
    aside = out / "_headlane" / f"{first.name}.aside"
    hold = """import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print(1, flush=True)
time.sleep(600)"""
    holder = subprocess.Popen([sys.executable, "-c", hold, str(aside)], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"1\n"
    process = subprocess.Popen(command(corpus, out, bert, "--quiet"), stdout=subprocess.PIPE)
    while len(list((out / "_headlane" / "done").iterdir())) < 3:  # the other inputs do not wait
        assert process.poll() is None
        time.sleep(0.01)
    holder.kill()
    holder.wait()
    assert json.loads(process.communicate()[0])["embedded"] == 300
    assert outputs(out) == outputs(tmp_path / "whole")


def _cut(path: Path, texts: Any) -> None:
    write_parquet(path, list(range(N)), texts[:N])
    path.write_bytes(path.read_bytes()[:-100])


def _page(path: Path, texts: Any) -> None:
    """A page in the middle is damaged, which only reading it shows."""
    write_parquet(path, list(range(N)), texts[:N])
    data = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(2).column(1).data_page_offset
    data[place : place + 200] = b"\xff" * 200
    path.write_bytes(data)


def _arrow(path: Path, texts: Any) -> None:
    """Offsets of texts that lead beyond their buffer."""
    table = pa.table({"id": [1, 2, 3], "text": ["one", "two", "three"]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    data = path.read_bytes()
    offsets = np.array([0, 3, 6, 11], np.int32).tobytes()
    assert data.count(offsets) == 1
    path.write_bytes(data.replace(offsets, np.array([0, 3, 2**30, 2**30 + 5], np.int32).tobytes()))


def _latin(path: Path, texts: Any) -> None:
    buffers = [None, pa.py_buffer(np.array([0, 4], np.int32)), pa.py_buffer(b"caf\xe9")]
    column = pa.Array.from_buffers(pa.string(), 1, buffers)
    pq.write_table(pa.table({"id": [1], "text": column}), path)


def _table(**columns: Any) -> Any:
    return lambda path, texts: pq.write_table(pa.table(columns), path)


def _text(content: str) -> Any:
    return lambda path, texts: path.write_text(content)


def _ids(*ids: Any) -> Any:
    return lambda path, texts: write_parquet(path, [*range(N - len(ids)), *ids], texts[:N])


BAD: dict[str, tuple[str, Any, str]] = {
    "cut": ("x.parquet", _cut, "Parquet magic bytes"),
    "page": ("x.parquet", _page, "x.parquet: "),
    "arrow": ("x.arrow", _arrow, "x.arrow: .*ffset"),
    "latin": ("x.parquet", _latin, "UTF8"),
    "column": ("x.parquet", _table(id=[1], body=["a"]), "no column 'text'; .*'body'"),
    "type": ("x.parquet", _table(id=[1], text=[2]), "'text' is of type int64"),
    "id type": ("x.parquet", _table(id=[1.5], text=["a"]), "'id' is of type double"),
    "repeats": ("x.parquet", _ids(7), "1 ids of the column 'id' .*such as 7"),
    "no id": ("x.parquet", _ids(None), "row 999 has no id"),
    "json": ("x.jsonl", _text('{"id": 1, "text": "a"}\n{"id": 2,\n'), "line 2 is not JSON"),
    "array": ("x.json", _text('[{"id": 1, "text": "a"}]'), "line 1 is no JSON object"),
    "surrogate": ("x.jsonl", _text('{"id": 1, "text": "a\\ud800"}'), "line 1 has half of a surrogate"),
    "number": ("x.jsonl", _text('{"id": 1, "text": 3}'), "line 1 has 3 as 'text'"),
    "mixed": ("x.jsonl", _text('{"id": 1, "text": ""}\n{"id": "1"}'), "line 2 has the id '1'"),
    "long id": ("x.jsonl", _text('{"id": 9223372036854775808, "text": ""}'), "integer of 64 bits"),
    "field": ("x.jsonl", _text('{"id": 1}\n{"id": 2}'), "no line has the field 'text'"),
    "deep": ("x.jsonl", _text("[" * 100000), "line 1 is not JSON"),
    "csv": ("x.csv", _text("id,text\n1,a\n2,b,c\n"), "Expected 2 columns, got 3"),
    "csv column": ("x.csv", _text("id,body\n1,a\n"), "no column 'text'"),
    "empty": ("x.csv", _text(""), "x.csv: Empty CSV file"),
    "gzip": ("x.jsonl.gz", lambda p, t: p.write_bytes(b"no gzip"), "x.jsonl.gz: "),
    "gone": ("x.parquet", lambda p, t: None, "No such file"),
    "kind": ("x.txt", _text("a"), "none of the files that are read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, tmp_path: Path, texts: Any, embedder: Any) -> None:
    """It fails with a sentence that names it, and the others go on."""
    file, make, sentence = BAD[name]
    good = [tmp_path / "a.parquet", tmp_path / "z.jsonl"]
    write_parquet(good[0], list(range(100)), texts[:100])
    write_lines(good[1], list(range(100)), texts[:100])
    make(tmp_path / file, texts)
    summary = embed([good[0], tmp_path / file, good[1]], tmp_path / "out", embedder)
    assert [one.input for one in summary.failed] == [file] and not summary.ok
    error = summary.failed[0].error
    assert error is not None and file in error and re.search(sentence, error), error
    assert all(one.embedded == 100 for one in summary.files if one.error is None)
    assert not list((tmp_path / "out").rglob("*.aside"))


def test_the_command_says_what_failed(corpus: Path, tmp_path: Path, bert: Path) -> None:
    (corpus / "e.parquet").write_bytes(b"no Parquet at all")
    done = subprocess.run(command(corpus, tmp_path / "out", bert, "--dtype", "int8"), capture_output=True, text=True)
    summary = json.loads(done.stdout)
    assert done.returncode == 1 and summary["failed"] == 1 and not summary["ok"] and summary["embedded"] == 4 * N
    assert "headlane: e.parquet: " in done.stderr and "rows/s" in done.stderr
    for words, status, sentence in (
        (["--dtype", "float8"], 2, "float8"),
        (["--rows-per-file", "0"], 1, "rows_per_file is 0"),
        (["--into", "id"], 1, "different columns"),
        (["--format", "arrow"], 1, "vectors of another kind"),
        (["--isa", "sse"], 1, "sse"),
    ):
        done = subprocess.run(command(corpus, tmp_path / "out", bert, *words), capture_output=True, text=True)
        assert done.returncode == status and sentence in done.stderr and done.stdout == "", done.stderr


def test_a_changed_input(tmp_path: Path, texts: Any, embedder: Any) -> None:
    path, other, out = tmp_path / "a.parquet", tmp_path / "a.parquet.x.parquet", tmp_path / "out"
    for one in (path, other):
        write_parquet(one, list(range(N)), texts[:N])
    assert embed([path, other], out, embedder).ok
    write_parquet(path, list(range(100)), texts[N : N + 100])
    summary = embed([path, other], out, embedder)
    assert [one.input for one in summary.failed] == ["a.parquet"]
    assert "is not what it was" in str(summary.failed[0].error)
    assert embed([path, other], out, embedder, replace_changed=True).ok
    check_rows(rows_of(out, "a.parquet.0"), list(range(100)), texts[N : N + 100], embedder)
    check_rows(rows_of(out, "a.parquet.x"), list(range(N)), texts[:N], embedder)


def test_full_disk(corpus: Path, tmp_path: Path, bert: Path) -> None:
    """What cannot be written is not there, also aside, and the sentence says why. A limit of a file's size stands in
    for a disk's; once there is room, the run goes on."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64000, 64000))

    embed(corpus, tmp_path / "whole", bert, rows_per_file=600)
    words = [*command(corpus, tmp_path / "out", bert, "--quiet"), "--rows-per-file", "600"]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limit)
    summary = json.loads(done.stdout)
    assert done.returncode == 1 and summary["failed"] == 4
    assert all(re.search("File too large: .*out.*parquet'", one["error"]) for one in summary["inputs"]), summary["inputs"]
    assert not list((tmp_path / "out").rglob("*.aside")) and not list((tmp_path / "out").rglob("*.parquet"))
    assert subprocess.run(words, stdout=subprocess.DEVNULL).returncode == 0
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_wrong_arguments(tmp_path: Path, bert: Path, embedder: Any) -> None:
    for inputs, sentence in (
        ("s3://bucket/a.parquet", "is a URI"),
        (str(tmp_path / "*.parquet"), "no input fits"),
        (["a/x.csv", "b/x.csv"], "outputs of the same names"),
    ):
        with pytest.raises((ValueError, OSError), match=sentence):
            embed(inputs, tmp_path / "out", embedder)
    for inputs in ("out/a.csv", "out/more/a.csv"):
        with pytest.raises(ValueError, match="an input in the folder of outputs"):
            embed(tmp_path / inputs, tmp_path / "out", embedder)
    with pytest.raises(TypeError, match="come too late"):
        embed("a.csv", tmp_path / "out", embedder, n_threads=1)
    with pytest.raises(ValueError, match="dtype"):
        embed("a.csv", tmp_path / "out", embedder, dtype="float64")
    with pytest.raises(ValueError, match="task"):
        embed("a.csv", tmp_path / "out", embedder, task="passage")
    assert not os.path.exists(tmp_path / "out")

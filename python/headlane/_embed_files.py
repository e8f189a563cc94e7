"""`headlane embed-files`: files.embed for the shell. Progress goes to standard error, the summary to standard output.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from headlane._library import Error

STATUS_OK, STATUS_FAILED, STATUS_USAGE = 0, 1, 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line as the other commands do."""

    def error(self, message: str) -> Any:
        print(f"headlane: {message} (headlane embed-files --help shows what there is)", file=sys.stderr)
        raise SystemExit(STATUS_USAGE)


def _parser() -> _Parser:
    parser = _Parser(
        prog="headlane embed-files",
        description="Turn a column of texts of many files into files of vectors. Killed at any point and started "
        "again, it goes on; several may share a folder. Exit status 0: all is done; 1: some input failed, and the "
        "summary says why; 2: the command line is wrong.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="Parquet, Arrow, JSON lines or CSV: files, patterns, folders")
    add("-o", "--output", required=True, metavar="FOLDER", help="where the files of vectors are written")
    add("-m", "--model", required=True, help="a .headlane or GGUF file, a folder, or a name of the hub")
    add("--id", required=True, metavar="COLUMN", help="the column of ids")
    add("--text", required=True, metavar="COLUMN", help="the column of texts")
    add("--into", default="vector", metavar="COLUMN", help="the column of vectors; vector where it is not given")
    add("--dtype", default="float32", choices=("float32", "float16", "int8", "binary"), help="their numbers")
    add("--format", default="parquet", choices=("parquet", "arrow"), help="what is written")
    add("--rows-per-file", type=int, default=65536, metavar="N", help="rows of an output; 65536")
    add("--precision", metavar="NAME", help="what products are computed in; what the file has")
    add("--isa", metavar="NAME", help="the highest instruction set that is used, for machines that differ")
    add("--threads", type=int, metavar="N", help="threads; one for each CPU that the process may run on")
    add("--pooling", metavar="NAME", help="of folders and repositories: how vectors of texts are made")
    add("--truncate-dim", type=int, metavar="N", help="the first columns of vectors alone")
    add("--normalize", action="store_true", help="vectors of length 1, whatever the model does")
    prompts = parser.add_mutually_exclusive_group()
    prompts.add_argument("--prompt", metavar="TEXT", help="what is put before each text")
    prompts.add_argument("--prompt-name", metavar="NAME", help="its name in the model")
    prompts.add_argument("--query", dest="task", action="store_const", const="query", help="the prompt of queries")
    prompts.add_argument("--document", dest="task", action="store_const", const="document", help="of documents")
    add("--replace-changed", action="store_true", help="remove what was made of inputs that have changed since")
    add("--quiet", action="store_true", help="show no progress")
    return parser


class _Shown:
    """Progress in lines, one at most each few seconds; on a terminal one line that changes."""

    def __init__(self) -> None:
        self._next = 0.0
        self._terminal = sys.stderr.isatty()

    def __call__(self, progress: object) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.5 if self._terminal else 10)
        sys.stderr.write(f"\r\033[K{progress}" if self._terminal else f"{progress}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._terminal and self._next:
            print(file=sys.stderr)


def main(words: list[str]) -> int:
    """Runs the command; its exit status."""
    given = _parser().parse_args(words)
    try:
        from headlane import files
    except ImportError as error:
        if "pyarrow" not in str(error):
            raise
        print("headlane: embed-files takes pyarrow: pip install 'headlane[files]'", file=sys.stderr)
        return STATUS_FAILED
    shown = _Shown()
    try:
        summary = files.embed(
            given.inputs,
            given.output,
            id=given.id,
            text=given.text,
            model=given.model,
            into=given.into,
            dtype=given.dtype,
            format=given.format,
            prompt=given.prompt,
            prompt_name=given.prompt_name,
            task=given.task,
            normalize_embeddings=given.normalize,
            rows_per_file=given.rows_per_file,
            replace_changed=given.replace_changed,
            on_progress=None if given.quiet else shown,
            precision=given.precision,
            isa=given.isa,
            n_threads=given.threads,
            pooling=given.pooling,
            truncate_dim=given.truncate_dim,
        )
    except (OSError, ValueError, TypeError, Error) as error:
        shown.end()
        print(f"headlane: {error}", file=sys.stderr)
        return STATUS_FAILED
    except KeyboardInterrupt:
        shown.end()
        print("headlane: interrupted; started again, it goes on", file=sys.stderr)
        return 130
    shown.end()
    for one in summary.failed:
        print(f"headlane: {one.error}", file=sys.stderr)
    print(summary.to_json())
    return STATUS_OK if summary.ok else STATUS_FAILED

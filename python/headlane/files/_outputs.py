"""Outputs: written aside under a lock, then renamed, so that one is whole or not there."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

# Errors of writing alone, of which the system does not say what was written.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def claimed(target: Path, aside: Path, wait: bool) -> Iterator[BinaryIO | None]:
    """A file to write, which becomes the target at the end of the block; None if the target is there, or if another
    process writes it. wait: until that other has ended, in whatever way.

    The lock is on the file aside, goes with the process, and lets the next one write there from the beginning."""
    file = _locked(target, aside, wait)
    if file is None:
        yield None
        return
    try:
        with file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(aside, target)
            except BaseException:
                aside.unlink(missing_ok=True)  # while the lock is held; which makes room if the disk is full
                raise
    except OSError as error:  # of the block, or of what closing has still to write
        if error.errno in _NO_ROOM and error.filename is None:
            error.filename = str(target)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too, is there after a power cut
    finally:
        os.close(folder)


def write_once(path: Path, data: bytes) -> None:
    """Writes a small file, unless it is there."""
    with claimed(path, path.with_name(f"{path.name}.aside"), wait=True) as file:
        if file is not None:
            file.write(data)


def _locked(target: Path, aside: Path, wait: bool) -> BinaryIO | None:
    while not target.exists():
        file = os.fdopen(os.open(aside, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # Meanwhile another may have made it the target, or removed it: it is not to be written then.
            if aside.exists() and os.path.samestat(os.fstat(file.fileno()), aside.stat()):
                file.truncate(0)
                return file
            file.close()
        except BlockingIOError:
            file.close()
            return None
        except FileNotFoundError:  # between exists() and stat()
            file.close()
        except BaseException:
            file.close()
            raise
    return None


class Writer:
    """Tables as the row groups of a Parquet file, or as the batches of an Arrow file."""

    def __init__(self, file: BinaryIO, schema: Any, form: str, id: str) -> None:
        if form == "parquet":
            # Vectors look like noise: neither a dictionary nor compression makes them smaller.
            compression = {field.name: "zstd" if field.name == id else "none" for field in schema}
            self._writer: Any = pq.ParquetWriter(
                file, schema, compression=compression, use_dictionary=False, write_statistics=[id]
            )
        else:
            self._writer = pa.ipc.new_file(file, schema)

    def write(self, table: Any) -> None:
        self._writer.write_table(table)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._writer.close()
        except Exception:
            if kind is None:  # else what came first says more, and the file is thrown away
                raise

"""Damages copies of a GGUF file, one after another, and lets `headlane convert` read each.

    python damage.py FILE HEADLANE [COUNT [SEED]]

Each copy has one place that is otherwise: a bit, a byte, eight bytes that are the largest number or a
random one, mostly in the fields and the list of tensors, or it ends early. Each has to be converted or
refused with status 1 and a sentence that names the file, in 2 GB of memory and a minute. It is for a
person to run, on a real file: the tests do the same to small ones. Prints how many were refused for what,
and ends with status 1 if one did neither.
"""

import collections
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

import gguf
import numpy as np


def places_of(path):
    """Where the fields end that are no token, where the header ends, and where the file does."""
    reader = gguf.GGUFReader(path)
    tokens = reader.fields["tokenizer.ggml.tokens"].offset
    return tokens, min(int(tensor.field.offset) for tensor in reader.tensors), reader.data_offset


def damage(random, places, size):
    """(offset, bytes), or (where the file ends, None)."""
    tokens, tensors, data = places
    begin, end = [(0, tokens), (0, tokens), (tensors, data), (tensors, data), (tokens, tensors),
                  (0, size)][random.integers(6)]
    at = int(random.integers(begin, end))
    kind = random.integers(5)
    if kind == 0:
        return at, None
    if kind == 1:
        return at, b"\xff" * 8
    return at, random.integers(0, 256, (1, 1, 8)[kind - 2], dtype=np.uint8).tobytes()


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


def convert(headlane, file, out):
    done = subprocess.run([headlane, "convert", file, "-o", out], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, preexec_fn=limit_memory)
    sentence = done.stderr.decode("utf-8", "backslashreplace").strip()
    if done.returncode == 0:
        return "converted"
    if done.returncode != 1 or str(file) not in sentence:
        sys.exit(f"status {done.returncode}: {sentence}")
    last = sentence.splitlines()[-1].replace(str(file), "FILE")
    return re.sub(r"\d+", "N", re.sub(r'"[^"]*"', '"..."', last))[:90]


def main():
    path, headlane = pathlib.Path(sys.argv[1]), sys.argv[2]
    count, seed = (int(text) for text in (sys.argv[3:] + ["300", "1"][len(sys.argv) - 3:]))
    random, size, places = np.random.default_rng(seed), path.stat().st_size, places_of(path)
    outcomes = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        file, out = pathlib.Path(folder, "a.gguf"), pathlib.Path(folder, "out")
        shutil.copy(path, file)
        for _ in range(count):
            at, new = damage(random, places, size)
            with file.open("r+b") as copy:
                copy.seek(at)
                old = copy.read() if new is None else copy.read(len(new))
                copy.seek(at)
                copy.truncate() if new is None else copy.write(new[:len(old)])
            outcomes[convert(headlane, file, out)] += 1
            with file.open("r+b") as copy:
                copy.seek(at)
                copy.write(old)
    for outcome, n in outcomes.most_common():
        print(f"{n:4} {outcome}")


if __name__ == "__main__":
    main()

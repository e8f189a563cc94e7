#!/usr/bin/env python3
"""The Python package beside the command and beside C, on one model.

    bench/python_calls.py BUILD MODEL [--rounds 9] [--pairs 400] [--threads N]

The 2,000 sentences of tests/golden/corpus by `headlane embed --stats`, which tells the time of the
run alone, and by Embedder.encode, by turns: how fast each is, and whether the bits are equal. One
sentence by Embedder.encode and by headlane_session_embed, timed within C on the same session, one
after the other: the median of the differences, for short and long sentences.
"""

import argparse
import ctypes
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import headlane
import numpy as np
from headlane import _abi
from headlane._library import lib

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests/golden/corpus/sentences.txt"
SHORT = "A cat is sleeping on the sofa."


def corpus_by_turns(build, model, rounds, threads):
    sentences = CORPUS.read_text(encoding="utf-8").splitlines()
    rates, ratios = {"command": [], "python": []}, []
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "vectors.npy"
        command = [build / "bin/headlane", "embed", "--stats", "-m", model.path, "-i", CORPUS,
                   "-o", out, "--threads", str(threads)]
        for i in range(rounds):
            for kind in ("command", "python")[:: 1 if i % 2 else -1]:
                if kind == "command":
                    run = subprocess.run(command, capture_output=True, text=True, check=True)
                    told = re.search(r"([\d.]+) sentences/s", run.stdout + run.stderr)
                    rates[kind].append(float(told[1]))
                else:
                    begin = time.perf_counter()
                    vectors = model.encode(sentences)
                    rates[kind].append(len(sentences) / (time.perf_counter() - begin))
            ratios.append(rates["python"][-1] / rates["command"][-1])
        equal = np.array_equal(np.load(out), vectors)
    print(f"{len(sentences)} sentences, {rounds} rounds by turns: the command "
          f"{statistics.median(rates['command']):.0f} sentences/s, Embedder.encode "
          f"{statistics.median(rates['python']):.0f}; {100 * statistics.median(ratios):.1f} % "
          f"({100 * min(ratios):.1f} to {100 * max(ratios):.1f}); "
          f"bits {'equal' if equal else 'DIFFER'}", flush=True)


def one_by_pairs(build, model, text, pairs):
    """Median seconds of C, and of the differences of Python and C, call by call."""
    bench = ctypes.CDLL(str(build / "lib/libheadlane_bench.so"))
    timed = bench.headlane_bench_time_embed
    timed.restype = ctypes.c_double
    timed.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_int64]
    embed = ctypes.cast(lib.headlane_session_embed, ctypes.c_void_p)
    session = model._sessions.borrow().session
    data, vector = text.encode(), np.empty(model.get_embedding_dimension(), np.float32)
    texts, offsets = _abi.headlane_texts(), (ctypes.c_int64 * 2)(0, len(data))
    texts.n_texts, texts.data_bytes, texts.offsets_64 = 1, len(data), ctypes.addressof(offsets)
    texts.data = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
    tokenize, options = _abi.headlane_tokenize_options(), _abi.headlane_embed_options()
    tokenize.max_len, options.tokenize = model.max_seq_length, ctypes.addressof(tokenize)
    options.truncate_dim = len(vector)
    arguments = (embed, session.address, ctypes.addressof(texts), ctypes.addressof(options),
                 vector.ctypes.data, len(vector))
    model._sessions.take_back(session)
    of_c, differences = [], []
    for i in range(pairs + 20):
        kinds = ("c", "python") if i % 2 else ("python", "c")
        seconds = {}
        for kind in kinds:
            if kind == "c":
                seconds[kind] = timed(*arguments)
            else:
                begin = time.perf_counter()
                found = model.encode(text)
                seconds[kind] = time.perf_counter() - begin
        if i >= 20:  # the first ones fill caches
            of_c.append(seconds["c"])
            differences.append(seconds["python"] - seconds["c"])
    assert np.array_equal(found, vector)
    return statistics.median(of_c), differences


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("model", help="a folder of Hugging Face's or a .headlane file")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    model = headlane.Embedder(arguments.model, n_threads=arguments.threads)
    for name, text in (("10 tokens", SHORT), ("60 tokens", SHORT * 7)):
        for _ in range(3):
            of_c, differences = one_by_pairs(arguments.build, model, text, arguments.pairs)
            low, middle, high = statistics.quantiles(differences, n=4)
            print(f"one sentence of {name}, {arguments.pairs} pairs: C {1e6 * of_c:.0f} us, "
                  f"Embedder.encode {1e6 * middle:+.1f} us ({1e6 * low:+.1f} to {1e6 * high:+.1f})",
                  flush=True)
    if arguments.rounds:
        corpus_by_turns(arguments.build, model, arguments.rounds, arguments.threads)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The Python package beside the command and beside C, on one model.

    bench/python_calls.py BUILD MODEL [--rounds 9] [--calls 400] [--threads N]

The 2,000 sentences of tests/golden/corpus by `headlane embed --stats`, which tells the time of the
run alone, and by Embedder.encode, by turns: how fast each is, and whether the bits are equal. One
sentence by Embedder.encode: how long each call took within C, by a clock there, and beyond it, for
short and long sentences. So the two are always of the same call, whatever else the machine does.
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


def clock_inside(build):
    """Lets all calls of headlane_session_embed go by a function that keeps the time of the last one, which the function
    that is returned tells. To be called before a model is opened."""
    bench = ctypes.CDLL(str(build / "lib/libheadlane_bench.so"))
    real, timed = lib.headlane_session_embed, bench.headlane_bench_embed
    bench.headlane_bench_set_embed(ctypes.cast(real, ctypes.c_void_p))
    timed.restype, timed.argtypes = real.restype, real.argtypes
    lib.headlane_session_embed = timed
    bench.headlane_bench_embed_seconds.restype = ctypes.c_double
    return bench.headlane_bench_embed_seconds


def one_by_one(seconds_of_c, model, text, calls):
    """Median seconds within C, and what each call of Embedder.encode took beyond them."""
    of_c, beyond = [], []
    for i in range(calls + 20):
        begin = time.perf_counter()
        model.encode(text)
        seconds = time.perf_counter() - begin
        if i >= 20:  # the first ones fill caches
            of_c.append(seconds_of_c())
            beyond.append(seconds - of_c[-1])
    return statistics.median(of_c), beyond


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("model", help="a folder of Hugging Face's or a .headlane file")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    seconds_of_c = clock_inside(arguments.build)
    model = headlane.Embedder(arguments.model, n_threads=arguments.threads)
    for name, text in (("10 tokens", SHORT), ("60 tokens", SHORT * 7)):
        for _ in range(3):
            of_c, beyond = one_by_one(seconds_of_c, model, text, arguments.calls)
            low, middle, high = statistics.quantiles(beyond, n=4)
            print(f"one sentence of {name}, {arguments.calls} calls: C {1e6 * of_c:.0f} us, "
                  f"Embedder.encode {1e6 * middle:+.1f} us ({1e6 * low:+.1f} to {1e6 * high:+.1f})",
                  flush=True)
    if arguments.rounds:
        corpus_by_turns(arguments.build, model, arguments.rounds, arguments.threads)


if __name__ == "__main__":
    main()

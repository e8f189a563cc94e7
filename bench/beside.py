#!/usr/bin/env python3
"""Headlane and another library in one process: does either slow the other?

    bench/beside.py BUILD MODEL.headlane [--others torch numpy] [--threads 2] [--rounds 40]
                    [--passive]

Three processes take turns: one with Headlane alone, one with the other library alone, one that
calls both alternately. Each round gives the median time of a call in each; what is printed are
medians over the rounds, with their quartiles, of times alone and of the ratios both / alone. A
model of BERT's architecture; the other library multiplies matrices of 768 x 768, as many as take
about as long. The results of Headlane must have the same bits in both processes.
"""

import argparse
import ctypes
import json
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "compare"))

TOKENS, CALLS = 128, 15


def headlane_call(build, model_path, n_threads):
    """A function that encodes, and one that gives what it made."""
    import headlane_library as hl
    library = hl.Library(pathlib.Path(build) / "lib/libheadlane.so")
    model = library.handle("model_open", model_path.encode(), None)
    options = hl.make(hl.SessionOptions, max_tokens=TOKENS, n_threads=n_threads)
    session = library.handle("session_create", model, ctypes.byref(options))
    facts = hl.make(hl.ModelFacts)
    library.model_get_facts(model, ctypes.byref(facts))
    ids = (ctypes.c_int32 * TOKENS)(*range(1000 % facts.vocab_size, 1000 % facts.vocab_size
                                           + TOKENS))
    offsets = (ctypes.c_int64 * 2)(0, TOKENS)
    hidden = (ctypes.c_float * (TOKENS * facts.d_model))()
    batch = hl.make(hl.Batch, n_seqs=1, offsets=ctypes.addressof(offsets),
                    ids=ctypes.addressof(ids))
    outputs = hl.make(hl.Outputs, hidden=ctypes.addressof(hidden))

    def call():
        library.session_encode(session, ctypes.byref(batch), ctypes.byref(outputs))
    call.keep = (ids, offsets, hidden)
    return call, lambda: bytes(hidden)


def torch_call(n_threads):
    import torch
    torch.set_num_threads(n_threads)
    a, b = torch.rand(768, 768), torch.rand(768, 768)
    return lambda: [torch.matmul(a, b) for _ in range(3)]


def numpy_call(_):
    import numpy  # its OpenBLAS takes the number of threads from the environment
    a, b = (numpy.random.rand(768, 768).astype(numpy.float32) for _ in range(2))
    return lambda: [a @ b for _ in range(3)]


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def work(setup):
    """A process: a line asks for a round, a line answers with the medians."""
    calls, bits = {}, None
    if setup["other"]:  # first, as a host that has it all along
        calls["other"] = {"torch": torch_call, "numpy": numpy_call}[setup["other"]](
            setup["threads"])
    if setup["headlane"]:
        calls["headlane"], bits = headlane_call(setup["build"], setup["model"], setup["threads"])
    for _ in sys.stdin:
        times = {name: [] for name in calls}
        for _ in range(CALLS):
            for name, call in calls.items():
                times[name].append(timed(call))
        answer = {name: statistics.median(of) for name, of in times.items()}
        answer["bits"] = hash(bits()) if bits else None
        print(json.dumps(answer), flush=True)


class Worker:
    def __init__(self, setup):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work", json.dumps(setup)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
            env={"OMP_NUM_THREADS": str(setup["threads"]), "PYTHONHASHSEED": "0",
                 "OPENBLAS_NUM_THREADS": str(setup["threads"]), **setup["environment"]})

    def round(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def spread(values):
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


def compare(other, options):
    # Without --passive, the others' threads spin for milliseconds after each call, on the CPUs that
    # Headlane's next call needs; with it, they sleep as Headlane's do.
    passive = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}
    setup = {"build": options.build, "model": options.model, "threads": options.threads,
             "environment": passive if options.passive else {}}
    workers = [Worker({**setup, "headlane": True, "other": None}),
               Worker({**setup, "headlane": False, "other": other}),
               Worker({**setup, "headlane": True, "other": other})]
    for worker in workers:
        worker.round()  # what is made at the first call
    rounds = [[worker.round() for worker in workers] for _ in range(options.rounds)]
    if any(alone["bits"] != both["bits"] for alone, _, both in rounds):
        sys.exit(f"Headlane's bits differ beside {other}")
    alone_ms = spread([alone["headlane"] * 1e3 for alone, _, _ in rounds])
    other_ms = spread([alone["other"] * 1e3 for _, alone, _ in rounds])
    ours = spread([both["headlane"] / alone["headlane"] for alone, _, both in rounds])
    theirs = spread([both["other"] / alone["other"] for _, alone, both in rounds])
    print(f"{options.threads} threads, Headlane: alone {alone_ms} ms, beside {other} x {ours}")
    print(f"{options.threads} threads, {other}: alone {other_ms} ms, beside Headlane x {theirs}")
    for worker in workers:
        worker.process.stdin.close()
        worker.process.wait()


def main():
    if sys.argv[1:2] == ["--work"]:
        return work(json.loads(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("model")
    parser.add_argument("--others", nargs="+", default=["torch", "numpy"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--passive", action="store_true", help="the others' threads do not spin")
    options = parser.parse_args()
    for other in options.others:
        compare(other, options)


if __name__ == "__main__":
    main()

"""One engine in a process of its own, for turns.py.

    python worker.py ENGINE SETUP             messages in, answers out, JSON, a line each
    python worker.py ENGINE SETUP --export    makes the engine's files
    python worker.py ENGINE SETUP --embed (--text TEXT | --file FILE)
                                              vectors, a line each: the whole life of a process
"""

import json
import os
import statistics
import sys
import time
import traceback

import numpy as np

import decoding
import inputs
import peers
import translation
from cases import Case, read_texts

MOST_TEXTS = {"latency": 40, "corpus": 500}  # of a turn, spread over the file
FEWEST_CALLS = 3
LONG = 2.0  # seconds of a call that a turn has once: rounds repeat it


class Worker:
    def __init__(self, engine, setup):
        self.peer = peers.make(engine, setup)
        self.loaded = False
        self.call = self.texts = self.embedder = self.tokens = None

    def load(self):
        if not self.loaded:
            self.peer.load()
            self.loaded = True

    def settings(self):
        return {"settings": self.peer.settings()}

    def embed_command(self, **source):
        if not self.peer.cold_start:
            raise peers.NotOffered("compiles at its first call")
        return {"command": self.peer.embed_command(**source)}

    def prepare(self, case, output):
        """Readies a case and writes its result to the file `output`, .npy."""
        case = Case(**case)
        self.call = self.texts = self.tokens = None
        self.peer.notes = {}
        answer = {}
        if case.kind in ("corpus", "latency"):
            answer = self.prepare_texts(case, output)
        elif case.kind in translation.KINDS:
            answer = self.prepare_translation(case, output)
        elif case.kind in decoding.KINDS:
            self.prepare_decoding(case, output)
        else:
            self.call = self.make_call(case)
            np.save(output, self.peer.as_floats(self.call()))
        self.reset_peak()
        return {**answer, "notes": self.peer.notes}

    def make_call(self, case):
        if case.kind == "padded":
            self.load()
            return self.peer.fixed(inputs.ids(case, self.peer.config()["vocab_size"]))
        if case.kind == "rerank":
            self.load()
            vocab_size = self.peer.config()["vocab_size"]
            return self.peer.rerank(*inputs.query_and_documents(case, vocab_size))
        if case.kind == "attention":
            if self.peer.precision == "int8":
                raise peers.NotOffered("int8 is of products with weights, which attention has not")
            return self.peer.attention(*inputs.attention(case), case.causal)
        if case.kind == "gemm":
            return self.peer.gemm(*inputs.gemm(case))
        return self.peer.layer(case, *inputs.layer(case))

    def prepare_translation(self, case, output):
        self.load()
        sources = inputs.sources(case, self.peer.config()["vocab_size"])
        lengths = [len(source) for source in sources]
        if case.kind == "generate":
            self.call = self.peer.generate(sources, case.sizes["beams"])
            found = self.peer.as_floats(self.call())
        else:
            self.call = self.peer.encode_sources(sources)
            found = rows_of(self.peer.as_floats(self.call()), lengths)
        np.save(output, found)
        return {"lengths": lengths}

    def prepare_decoding(self, case, output):
        self.load()
        ids = inputs.prompts(case)
        if case.kind == "first-token":
            self.call = self.peer.first_token(ids[0])
        else:
            self.tokens = decoding.n_tokens(case)
            self.call = {"decode": lambda: self.peer.decode(ids),
                         "prompt": lambda: self.peer.prompt(ids[0]),
                         "shared": lambda: self.peer.shared(ids[0], case.sizes["shared"]),
                         }[case.kind]()
        np.save(output, self.call())

    def prepare_texts(self, case, output):
        self.load()
        if self.embedder is None:
            self.embedder = self.peer.embedder()
        texts, most = read_texts(case.texts), MOST_TEXTS[case.kind]
        texts = texts[::-(-len(texts) // most)]
        if case.kind == "corpus":
            self.embedder.tune(texts)
        np.save(output, self.embedder.embed(texts))
        self.texts = case.kind, texts
        return {"lengths": self.embedder.lengths(texts)}

    def turn(self, seconds):
        """One figure: milliseconds of a call, or sentences or tokens a second."""
        if self.texts and self.texts[0] == "corpus":
            start = time.perf_counter()
            self.embedder.embed(self.texts[1])
            value = len(self.texts[1]) / (time.perf_counter() - start)
        elif self.texts:
            times = [timed(lambda t=text: self.embedder.embed([t])) for text in self.texts[1]]
            value = 1e3 * statistics.median(times)
        else:
            seconds = usual_seconds(self.call, seconds)
            value = self.tokens / seconds if self.tokens else 1e3 * seconds
        return {"value": value, "peak_mb": peak_mb()}

    @staticmethod
    def reset_peak():
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


def rows_of(hidden, lengths):
    """[tokens, d_model] of hidden states that may be padded, [batch, longest, d_model]."""
    if hidden.ndim == 2:
        return hidden
    return np.concatenate([rows[:n] for rows, n in zip(hidden, lengths)])


def usual_seconds(call, at_least):
    """Of the calls that so many seconds hold, after one in which caches and threads wake up. To a
    LONG call that is nothing: it is measured itself."""
    first = timed(call)
    if first > LONG:
        return first
    times, end = [], time.perf_counter() + at_least
    while len(times) < FEWEST_CALLS or time.perf_counter() < end:
        times.append(timed(call))
    return statistics.median(times)


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_mb():
    with open("/proc/self/status", encoding="ascii") as file:
        kilobytes = next(line.split()[1] for line in file if line.startswith("VmHWM"))
    return int(kilobytes) / 1024


def serve(engine, setup, answers):
    worker = None
    for line in sys.stdin:
        message = json.loads(line)
        try:
            worker = worker or Worker(engine, setup)
            answer = getattr(worker, message.pop("do"))(**message)
        except peers.NotOffered as error:
            answer = {"error": str(error)}
        except Exception as error:  # of whatever an engine raises, the report is the place
            traceback.print_exc()
            words = str(error).strip().split("\n")[0][:200]
            answer = {"error": f"{type(error).__name__}: {words}"}
        print(json.dumps(answer), file=answers, flush=True)


def embed(engine, setup, kind, source):
    worker = Worker(engine, setup)
    worker.load()
    texts = [source] if kind == "--text" else read_texts(source)
    for vector in worker.peer.embedder().embed(texts):
        print(json.dumps([round(float(x), 8) for x in vector]))


def main():
    engine, setup, *rest = sys.argv[1:]
    setup = peers.Setup(**json.loads(setup))
    if rest == ["--export"]:
        try:
            peers.make(engine, setup).export()
        except peers.NotOffered as error:
            sys.exit(str(error))
    elif rest:
        embed(engine, setup, *rest[1:])
    else:
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what engines print is no answer
        serve(engine, setup, answers)


if __name__ == "__main__":
    main()

"""Workers and their turns. A peer has a process of its own, which is stopped by a signal while it
is not its turn, so that neither its threads' spinning nor its allocator meets another's."""

import json
import os
import select
import signal
import subprocess
import sys
import time

from cases import ROOT

WORKER = ROOT / "bench/compare/worker.py"


class WorkerError(RuntimeError):
    """Why a worker has no answer."""


class Worker:
    """python worker.py ENGINE SETUP: takes and gives JSON, a line each."""

    def __init__(self, engine, setup, environment, log_path):
        self.engine, self.log_path, self.pending = engine, log_path, b""
        with open(log_path, "wb") as log:
            # A group of its own: the signals reach the processes that it starts, too. The kernel may
            # share time among sessions first (sched_autogroup), so in a session of its own it would
            # not have the priority that this program was given.
            self.process = subprocess.Popen(
                [sys.executable, str(WORKER), engine, json.dumps(setup)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, env=environment, process_group=0)

    def ask(self, timeout, **message):
        """The answer to a message; the worker runs from here to the answer."""
        try:
            self.signal(signal.SIGCONT)
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
            answer = json.loads(self.read_line(time.monotonic() + timeout))
        except (OSError, ValueError) as error:
            raise WorkerError(f"ended: {self.last_words() or error}") from None
        finally:
            self.signal(signal.SIGSTOP)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def read_line(self, deadline):
        output = self.process.stdout.fileno()
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                self.stop()
                raise WorkerError("no answer in time")
            read = os.read(output, 1 << 16)
            if not read:
                self.process.wait()
                raise WorkerError(f"ended with status {self.process.returncode}: "
                                  f"{self.last_words()}")
            self.pending += read
        line, self.pending = self.pending.split(b"\n", 1)
        return line

    def last_words(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            lines = log.read().strip().split("\n")
        return lines[-1][:200]

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def stop(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# Runs a command as the child of a small process: the kernel counts what the parent had in memory
# at the time of the fork as the child's, too.
LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
n_bytes = len(process.stdout.read())
status, usage = os.wait4(process.pid, 0)[1:]
print(json.dumps({"seconds": time.perf_counter() - start, "peak_mb": usage.ru_maxrss / 1024,
                  "status": os.waitstatus_to_exitcode(status), "n_bytes": n_bytes}))
"""


def run_process(command, environment):
    """Seconds and peak resident MB of a command, whose output must not be empty."""
    run = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, command)],
                         capture_output=True, env=environment)
    said = run.stderr.decode(errors="replace").strip().split("\n")[-1][:200]
    if run.returncode != 0:
        raise WorkerError(said)
    told = json.loads(run.stdout)
    if told["status"] != 0 or told["n_bytes"] == 0:
        raise WorkerError(f"status {told['status']}, {told['n_bytes']} bytes: {said}")
    return told["seconds"], told["peak_mb"]


def take_turns(names, turn, rounds, on_failure):
    """{engine: a figure a round} of turn(name), the engines one after another in every round, each
    round beginning with another one. An engine that fails is reported and drops out."""
    values = {name: [] for name in names}
    for i in range(rounds):
        for name in rotated(list(values), i):
            try:
                values[name].append(turn(name))
            except WorkerError as error:
                on_failure(name, str(error))
                del values[name]
    return values


def rotated(names, n):
    n %= max(1, len(names))
    return names[n:] + names[:n]

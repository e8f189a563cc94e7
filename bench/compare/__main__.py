"""Headlane beside other engines on this machine, by turns in one run.

Each case runs in every engine, each engine in a process of its own that stands still while it is
not its turn, on the same operands and threads. A figure is the median over the rounds; a ratio is
taken round by round. "of limit" is the share of the machine's multiply-add limit, measured in the
same run, at --precision bf16 or int8 of that of products of these; "peak MB" is the most resident
memory of the engine's process in the case; "off by" is the largest difference of the output from
PyTorch's in float32. Of texts' vectors there are 1 - cosine to PyTorch's in float32, mean and most,
and the share of texts whose nearest neighbour stays it; of translations, the share of tokens that
are PyTorch's in float32. Their limit is the least time of what comes before the steps and of each
step: that of its products, or of reading its weights from where they lie, whichever is more. So is
that of a language model's tokens; its products are of bytes, its weights come from memory.

Groups of cases are files of bench/compare/cases, or of your own: the first lines of
bench/compare/cases.py say what they hold. No group: all of them.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import cases
import decoding
import figures
import models
import peers
import report
import translation
from turns import Worker, WorkerError, run_process, take_turns

PATIENCE = 1800  # seconds that an engine may take for an answer: compilers take minutes
REST = 0.01  # seconds before a turn: what spins of the one before has fallen asleep
ISA_CAPS = {  # of the peers, where they offer one
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2",
             "MKL_ENABLE_INSTRUCTIONS": "AVX2", "CT2_FORCE_CPU_ISA": "AVX2",
             "HEADLANE_MAX_ISA": "avx2"},
}
UNCAPPED = {"onnxruntime": "has no cap: uses all that the machine has",
            "openvino": "ignores ONEDNN_MAX_CPU_ISA in its products: uses all that the machine has",
            "llama-cpp": "built for this machine: uses all that it has"}
ASKS_CPUID = ("onnxruntime", "openvino")  # and so can be shown a smaller CPU
HIDES = "HEADLANE_BENCH_HIDES_AVX512"  # bench/hide_avx512.cc sets it where it can


def hiding_library(arguments):
    """What shows engines a CPU without AVX-512, if it is asked for and can be done here."""
    library = arguments.build / "lib/libheadlane_hide_avx512.so"
    if arguments.isa != "avx2" or not library.exists():
        return None
    program = f"import os; print(os.environ.get('{HIDES}'))"
    told = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE,
                          env={**os.environ, "LD_PRELOAD": str(library)})
    return library if told.stdout.strip() == b"1" else None


def uncapped(arguments):
    """{engine: why} of those that use more than --isa says."""
    if not arguments.isa:
        return {}
    hidden = ASKS_CPUID if hiding_library(arguments) else ()
    return {name: why for name, why in UNCAPPED.items() if name not in hidden}


def environment(arguments):
    n = str(arguments.threads)
    library = hiding_library(arguments)
    preload = {"LD_PRELOAD": str(library)} if library else {}
    return {**os.environ, "OMP_NUM_THREADS": n, "MKL_NUM_THREADS": n, "RAYON_NUM_THREADS": n,
            "TOKENIZERS_PARALLELISM": "true" if arguments.threads > 1 else "false",
            "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore",
            **ISA_CAPS.get(arguments.isa, {}), **preload}


class Comparison:
    """Runs cases; keeps the workers of one model at a time."""

    def __init__(self, arguments, store, logs):
        self.arguments, self.store, self.logs = arguments, store, logs
        self.environment = environment(arguments)
        self.model, self.workers, self.absent = None, {}, {}
        self.reference = None  # a worker, where no engine's output is the reference
        self.settings = {}

    def start(self, model):
        """Workers of a model; "" is for cases without one."""
        self.stop()
        self.model = model
        folder = self.store.folder(model) if model else ""
        for engine in self.arguments.engines:
            try:
                self.start_one(engine, model, folder)
            except WorkerError as error:
                self.absent[engine] = str(error)
        if self.arguments.precision != "f32":
            self.start_reference(model, folder)

    def start_reference(self, model, folder):
        """Outputs in float32, which at another precision are no engine's."""
        try:
            self.reference = self.make_worker(peers.REFERENCE, model, folder, "f32", "reference")
        except WorkerError as error:
            print(f"bench: no accuracy: {peers.REFERENCE}: {error}", file=sys.stderr)

    def make_worker(self, engine, model, folder, precision, name):
        try:
            versions(engine)
        except importlib.metadata.PackageNotFoundError as error:
            raise WorkerError(f"not installed: {error}") from None
        setup = dataclasses.asdict(peers.Setup(
            self.arguments.threads, self.arguments.isa, folder,
            self.store.exports(engine, model, precision), str(self.arguments.build), precision))
        if model:
            self.store.export(engine, setup, self.environment)
        return Worker(engine, setup, self.environment, self.logs / f"{name}.log")

    def start_one(self, engine, model, folder):
        worker = self.make_worker(engine, model, folder, self.arguments.precision, engine)
        self.workers[engine] = worker
        if model or engine not in self.settings:
            try:
                self.settings[engine] = worker.ask(PATIENCE, do="settings")["settings"]
            except WorkerError:
                if model:
                    raise

    def stop(self):
        for worker in [*self.workers.values(), *filter(None, [self.reference])]:
            worker.stop()
        self.workers, self.absent, self.reference = {}, {}, None

    def run(self, case):
        if self.model != case.model:
            self.start(case.model)
        measure = self.run_processes if case.kind in cases.PROCESSES else self.run_calls
        return measure(case)

    def run_calls(self, case):
        failures, extras, lengths = dict(self.absent), {}, []
        with tempfile.TemporaryDirectory() as outputs:
            for engine, worker in self.workers.items():
                output = f"{outputs}/{engine}.npy"
                try:
                    told = worker.ask(PATIENCE, do="prepare", case=dataclasses.asdict(case),
                                      output=output)
                except WorkerError as error:
                    failures[engine] = str(error)
                    continue
                extras[engine] = {"notes": told["notes"]}
                lengths = told.get("lengths", lengths)
            reference = self.prepare_reference(case, outputs)
            told = figures.accuracies(outputs, reference, case.kind in cases.WITH_TEXTS,
                                      case.kind == "generate")
            for engine in extras:
                extras[engine] |= told.get(engine, {})

        def turn(engine):
            time.sleep(REST)
            told = self.workers[engine].ask(PATIENCE, do="turn", seconds=self.arguments.seconds)
            extras[engine]["peak_mb"] = told["peak_mb"]
            return told["value"]
        values = take_turns(list(extras), turn, self.arguments.rounds, failures.__setitem__)
        return values, failures, extras, lengths

    def prepare_reference(self, case, outputs):
        """The name of the reference among the outputs."""
        if self.reference is None:
            return peers.REFERENCE if self.arguments.precision == "f32" else "reference"
        try:
            self.reference.ask(PATIENCE, do="prepare", case=dataclasses.asdict(case),
                               output=f"{outputs}/reference.npy")
        except WorkerError as error:
            print(f"bench: {case.name}: no accuracy: {error}", file=sys.stderr)
        return "reference"

    def run_processes(self, case):
        failures, commands = dict(self.absent), {}
        source = {"kind": "--text", "source": "a sentence"}
        if case.kind == "memory":
            source = {"kind": "--file", "source": case.texts}
        for engine, worker in self.workers.items():
            try:
                commands[engine] = worker.ask(PATIENCE, do="embed_command", **source)["command"]
            except WorkerError as error:
                failures[engine] = str(error)

        def turn(engine):
            seconds, peak_mb = run_process(commands[engine], self.environment)
            return peak_mb if case.kind == "memory" else 1e3 * seconds
        rounds = 1 if case.kind == "memory" else self.arguments.rounds
        return take_turns(list(commands), turn, rounds, failures.__setitem__), failures, {}, []


def versions(engine):
    return {name: importlib.metadata.version(name) for name in peers.ENGINES[engine]}


def machine(arguments, roofline_model):
    """What the machine is and can do, and the passes of a model on it, as headlane bench tells."""
    command = [arguments.build / "bin/headlane", "bench", "--json", "--threads",
               str(arguments.threads), *(["--isa", arguments.isa] if arguments.isa else []),
               *(["--seconds", "0"] if arguments.seconds == 0 else [])]
    if roofline_model:
        command += ["-m", roofline_model, "--precision", arguments.precision]
    told = json.loads(subprocess.run([str(word) for word in command], check=True,
                                     stdout=subprocess.PIPE).stdout)
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.machine(), "system": platform.platform(),
            **told}


def bound_of(case, config, lengths, limits, arguments):
    """Of a translation that an engine did: others are measured by their products alone."""
    if case.kind in decoding.KINDS:
        return decoding.least(case, config, limits, arguments.threads)
    if case.kind not in translation.KINDS or not lengths:
        return None
    return translation.least(case, config, lengths, limits, arguments.precision, arguments.threads)


def measure(arguments, wanted):
    results = []
    with tempfile.TemporaryDirectory() as logs:
        store = models.Store(arguments.build, arguments.threads)
        comparison = Comparison(arguments, store, pathlib.Path(logs))
        try:
            for case in filter(lambda case: case.model, wanted):
                store.check(case, arguments.precision)
            model = next((case.model for case in wanted
                          if case.model and case.kind not in (*translation.KINDS, *decoding.KINDS)), None)
            known = machine(arguments, store.headlane_file(model, comparison.environment)
                            if model else None)
            limit = figures.product_limit(known["limits"], arguments.precision)
            limit = limit and limit * arguments.threads
            for case in wanted:
                values, failures, extras, lengths = comparison.run(case)
                config = store.config(case.model) if case.model else None
                results.append(figures.summarise(
                    case, values, failures, extras, limit, cases.flops(case, config, lengths),
                    uncapped(arguments),
                    bound_of(case, config, lengths, known["limits"], arguments)))
                report.print_case(results[-1])
        finally:
            comparison.stop()
    engines = {name: {"settings": text, "versions": versions(name)}
               for name, text in comparison.settings.items()}
    for name, why in uncapped(arguments).items():
        if name in engines:
            engines[name]["settings"] += "; " + why
    return {"date": datetime.date.today().isoformat(), "threads": arguments.threads,
            "isa": arguments.isa, "precision": arguments.precision, "rounds": arguments.rounds,
            "machine": known, "engines": engines, "results": results}


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tools/bench", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--engines", nargs="+", choices=list(peers.ENGINES), metavar="ENGINE",
                        help=", ".join(peers.ENGINES))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--isa", default="", choices=["", *ISA_CAPS],
                        help="cap Headlane's instruction set, and the peers': by their own settings, "
                             "and on Intel CPUs by hiding AVX-512 from them")
    parser.add_argument("--precision", default="f32", choices=peers.PRECISIONS,
                        help="of weights and products, in every engine that has it; f32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5,
                        help="of a turn, at least 3 calls, or one that takes more than 2")
    parser.add_argument("--json", type=pathlib.Path, help="write the results there")
    parser.add_argument("--picture", type=pathlib.Path, help="draw them there (.png, .svg)")
    parser.add_argument("--results", type=pathlib.Path, nargs="+", metavar="JSON",
                        help="measure nothing: take what --json wrote, several files as one")
    parser.add_argument("--machines", type=pathlib.Path, nargs="+", metavar="JSON",
                        help="measure nothing: show what several machines said, a file each, "
                             "MACHINE-PRECISION.json, side by side")
    parser.add_argument("--update", type=pathlib.Path, metavar="FILE.md",
                        help="write the table into it, between the lines that say so")
    parser.add_argument("--build", type=pathlib.Path, default=cases.ROOT / "build",
                        help="Headlane's build folder")
    arguments = parser.parse_args()
    if min(arguments.threads, arguments.rounds) < 1:
        parser.error("threads and rounds are at least 1")
    return arguments


def engines_of(groups):
    """What the groups ask for, which must be the same of all of them."""
    asked = {tuple(cases.engines(group) or peers.STANDARD) for group in groups}
    if len(asked) > 1:
        raise cases.CaseError(f"{' '.join(groups)} are of different engines: give one, or --engines")
    chosen = list(*asked)
    for name in chosen:
        if name not in peers.ENGINES:
            raise cases.CaseError(f"there is no engine {name}")
    return chosen


def show_machines(arguments):
    """The table of several machines, printed and written where --update says."""
    machines = {path.stem.rpartition("-")[0]: json.loads(path.read_text(encoding="utf-8"))
                for path in arguments.machines}
    text = report.beside_machines(machines)
    print(text)
    if arguments.update:
        precision = report.precision_of(next(iter(machines.values())))
        report.update(arguments.update, text, precision, of_machines=True)


def main():
    arguments = parse_arguments()
    if arguments.machines:
        try:
            return show_machines(arguments)
        except report.ResultsError as error:
            sys.exit(f"tools/bench: {error}")
    groups = arguments.groups or sorted(file.stem for file in cases.FOLDER.glob("*.txt")
                                        if not cases.engines(file.stem))
    try:
        if not arguments.engines:
            arguments.engines = engines_of(groups)
        if arguments.results:
            everything = report.merge([json.loads(path.read_text(encoding="utf-8"))
                                       for path in arguments.results])
        else:
            everything = measure(arguments, [c for group in groups for c in cases.read(group)])
    except (cases.CaseError, models.ModelError, report.ResultsError) as error:
        sys.exit(f"tools/bench: {error}")
    print(report.table(everything))
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    if arguments.update:
        report.update(arguments.update, report.markdown(everything),
                      report.precision_of(everything))
    if arguments.picture:
        import plots  # needs matplotlib, which measuring does not
        plots.draw(everything, arguments.picture)


if __name__ == "__main__":
    main()

"""The comparison tool's own parts, and a whole run of it with Headlane alone, which needs NumPy.

    tests/bench_compare_test.py BUILD_FOLDER
"""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench/compare"))
import cases  # noqa: E402
import figures  # noqa: E402
import report  # noqa: E402
import turns  # noqa: E402


class Cases(unittest.TestCase):
    def test_every_file_can_be_read(self):
        for file in cases.FOLDER.glob("*.txt"):
            self.assertTrue(cases.read(file.stem), file)

    def test_a_line_is_a_case(self):
        model, mha = cases.parse("model minilm\n8x128  # a remark\n\nmha 2 3 64 4\n", "mine")
        self.assertEqual((model.name, model.model, model.sizes),
                         ("8x128", "minilm", {"batch": 8, "seq": 128}))
        self.assertEqual((mha.name, mha.model), ("mha 2 3 64 4", ""))

    def test_what_is_wrong_is_named_with_its_line(self):
        for text, words in (("8x128", "needs a line"), ("mha 2 3 64", "takes"),
                            ("mha 2 3 64 5", "multiple"), ("gemm 1 2 x", "whole numbers"),
                            ("model minilm\ncorpus nowhere.txt", "nowhere.txt"), ("walk 3", "kind"),
                            ("model random-bert 1 2", "N_LAYERS"), ("# nothing", "no cases")):
            with self.assertRaisesRegex(cases.CaseError, words):
                cases.parse(text, "mine")
        with self.assertRaisesRegex(cases.CaseError, "mine:2"):
            cases.parse("gemm 1 2 3\nwalk", "mine")

    def test_flops(self):
        layer, causal = cases.parse("encoder-layer 2 3 8 2 16\nattention 1 3 2 8 causal", "mine")
        # 6 tokens: four projections of 8 x 8, two of 8 x 16; 18 pairs, scores and values of 8
        self.assertEqual(cases.flops(layer), 6 * 2 * (4 * 64 + 2 * 128) + 18 * 4 * 8)
        self.assertEqual(cases.flops(causal), 2 * 6 * 4 * 8)


class Figures(unittest.TestCase):
    def summary(self, case, values, failures=None):
        return figures.summarise(cases.parse(case, "mine")[0], values, failures or {}, {}, 100, 50)

    def test_less_time_is_better(self):
        result = self.summary("gemm 1 2 3", {"headlane": [2.0, 1.0, 4.0], "a": [4.0, 4.0, 4.0],
                                             "b": [3.0, 9.0, 9.0]}, {"c": "not installed"})
        self.assertEqual(result["best_peer"], "a")
        own = result["engines"]["headlane"]
        self.assertEqual((own["median"], own["least"], own["most"]), (2.0, 1.0, 4.0))
        self.assertEqual(own["ratio_to_best_peer"], {"median": 2.0, "least": 1.0, "most": 4.0})
        self.assertEqual(own["of_limit"], 50 / 0.002 / 100)
        self.assertEqual(result["engines"]["c"], {"missing": "not installed"})

    def test_more_sentences_are_better(self):
        result = self.summary(f"model minilm\ncorpus {__file__}",
                              {"headlane": [6.0], "a": [2.0], "b": [3.0]})
        self.assertEqual(result["best_peer"], "b")
        self.assertEqual(result["engines"]["headlane"]["ratio_to_best_peer"]["median"], 2.0)

    def test_who_has_more_instructions_is_no_best_peer(self):
        case = cases.parse("gemm 1 2 3", "mine")[0]
        result = figures.summarise(case, {"headlane": [2.0], "a": [4.0], "b": [1.0]}, {}, {},
                                   uncapped={"b": "why"})
        self.assertEqual(result["best_peer"], "a")
        self.assertTrue(result["engines"]["b"]["uncapped"])

    def test_without_peers_there_is_no_ratio(self):
        result = self.summary("gemm 1 2 3", {"headlane": [1.0]}, {"a": "broken"})
        self.assertIsNone(result["best_peer"])
        self.assertEqual(report.missing(result), {"broken": ["a"]})


class Report(unittest.TestCase):
    def everything(self):
        case = cases.parse("gemm 1 2 3", "mine")[0]
        limits = {"flops": 1e9, "read_l2": 1e9, "read_l3": 1e9, "read_memory": 1e9}
        return {"machine": {"cpu": "a CPU", "limits": limits}, "threads": 2, "isa": "", "rounds": 1,
                "date": "today", "engines": {"a": {"settings": "fast", "versions": {"a": "1"}}},
                "results": [figures.summarise(case, {"headlane": [2.0], "a": [4.0]}, {}, {})]}

    def test_the_table_replaces_what_lies_between_the_marks(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "page.md"
            path.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
            report.update(path, report.markdown(self.everything()))
            text = path.read_text()
            self.assertTrue(text.startswith("before\n") and text.endswith("after\n"))
            self.assertIn("| mine: gemm 1 2 3 | ms | 2 |  | 4 a | 2.00 (2.00 to 2.00) |  |", text)
            self.assertNotIn("old", text)
            path.write_text("no marks")
            with self.assertRaises(ValueError):
                report.update(path, "text")


class Turns(unittest.TestCase):
    def test_everyone_has_a_turn_in_every_round_and_who_fails_drops_out(self):
        taken, failures = [], {}

        def turn(name):
            taken.append(name)
            if name == "b" and len(taken) > 3:
                raise turns.WorkerError("gone")
            return len(taken)
        values = turns.take_turns(["a", "b", "c"], turn, 3, failures.__setitem__)
        self.assertEqual(taken[:3], ["a", "b", "c"])
        self.assertEqual({name: len(v) for name, v in values.items()}, {"a": 3, "c": 3})
        self.assertEqual(failures, {"b": "gone"})

    def test_a_worker_that_cannot_start_says_why(self):
        with tempfile.NamedTemporaryFile() as log:
            worker = turns.Worker("no-engine", {}, {"PATH": "/usr/bin:/bin"}, log.name)
            with self.assertRaises(turns.WorkerError):
                worker.ask(30, do="settings")
            worker.stop()

    def test_a_process_without_output_has_failed(self):
        with self.assertRaisesRegex(turns.WorkerError, "0 bytes"):
            turns.run_process(["true"], {})
        seconds, peak_mb = turns.run_process(["echo", "a"], {"PATH": "/usr/bin:/bin"})
        self.assertGreater(seconds, 0)
        self.assertGreater(peak_mb, 0)

    def test_memory_of_this_process_does_not_count_as_a_childs(self):
        mine = bytearray(b"x" * (300 << 20))
        self.assertLess(turns.run_process(["echo", "a"], {"PATH": "/usr/bin:/bin"})[1], 100)
        self.assertEqual(len(mine), 300 << 20)


@unittest.skipUnless(importlib.util.find_spec("numpy"), "this Python has no NumPy")
class WholeRun(unittest.TestCase):
    CASES = f"""
        model {ROOT}/tests/golden/bert/head_dim_16_mean_normalize
        2x8
        corpus texts.txt
        latency texts.txt
        cold-start
        encoder-layer 2 5 16 2 32
        mha 2 5 16 2
        attention 2 5 2 8 causal
        gemm 3 16 32
    """

    def test_headlane_runs_every_kind_of_case(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "cases.txt").write_text(self.CASES)
            (folder / "texts.txt").write_text("a b\nc\na b c\n")
            run = subprocess.run(
                [sys.executable, ROOT / "bench/compare", folder / "cases.txt", "--engines",
                 "headlane", "onnxruntime", "--build", BUILD, "--rounds", "2", "--seconds", "0",
                 "--threads", "1", "--json", folder / "out.json"], capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
            results = json.loads((folder / "out.json").read_text())["results"]
        self.assertEqual(len(results), len(self.CASES.split("\n")) - 3)
        for result in results:
            own = result["engines"]["headlane"]
            self.assertNotIn("missing", own, result["case"])
            self.assertEqual(len(own["rounds"]), 2)
            self.assertTrue(all(value > 0 for value in own["rounds"]), own)
            self.assertIn("onnxruntime", result["engines"])  # measured or missing, never left out


if __name__ == "__main__":
    BUILD = sys.argv.pop(1)
    unittest.main()

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
import decoding  # noqa: E402
import figures  # noqa: E402
import inputs  # noqa: E402
import models  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import translation  # noqa: E402
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

    def test_models_that_translate_have_cases_of_their_own(self):
        generate, encode = cases.parse("model random-marian 2 8 2 16 50\ngenerate 3 4\nencode 3",
                                       "mine")
        self.assertEqual((generate.name, generate.model, generate.sizes),
                         ("generate 3 4", "random-marian 2 8 2 16 50", {"batch": 3, "beams": 4}))
        self.assertEqual((encode.name, encode.unit), ("encode 3", "ms"))
        self.assertEqual(cases.RANDOM.keys(), models.MAKERS.keys())

    def test_language_models_have_cases_of_their_own(self):
        decode, prompt = cases.parse("model gemma\ndecode 8 0\nprompt 512", "mine")
        self.assertEqual((decode.name, decode.model, decode.unit, decode.more_is_better),
                         ("decode 8 0", "gemma", "tokens/s", True))
        self.assertEqual((prompt.name, prompt.sizes), ("prompt 512", {"tokens": 512}))
        self.assertEqual([len(ids) for ids in inputs.prompts(decode)], [1] * 8)
        self.assertEqual([len(ids) for ids in inputs.prompts(prompt)], [512])

    def test_words_that_are_ranked_are_in_the_vocabulary(self):
        case, = cases.parse("model random-reranker 1 2 1 2 25\nrerank 3 4 5", "mine")
        query, documents = inputs.query_and_documents(case, 25)
        words = [text.split() for text in (query, *documents)]
        self.assertEqual(list(map(len, words)), [4, 5, 5, 5])
        known = {f"word{i}" for i in range(20)}
        self.assertTrue(all(known.issuperset(row) for row in words), words)

    def test_what_is_wrong_is_named_with_its_line(self):
        for text, words in (("8x128", "needs a line"), ("mha 2 3 64", "takes"),
                            ("mha 2 3 64 5", "multiple"), ("gemm 1 2 x", "whole numbers"),
                            ("model minilm\ncorpus nowhere.txt", "nowhere.txt"), ("walk 3", "kind"),
                            ("model random-bert 1 2", "N_LAYERS"), ("# nothing", "no cases"),
                            ("model random-marian 1 2 3 4", "VOCAB"),
                            ("model random-reranker 1 2 3 4", "VOCAB"), ("generate 1 1", "needs"),
                            ("model minilm\ngenerate 1", "beams"),
                            ("model minilm\ngenerate 1 0", "from 1"),
                            ("model gemma\ndecode 0 1", "from 1"), ("model", "random-marian")):
            with self.assertRaisesRegex(cases.CaseError, words):
                cases.parse(text, "mine")
        with self.assertRaisesRegex(cases.CaseError, "mine:2"):
            cases.parse("gemm 1 2 3\nwalk", "mine")

    def test_flops(self):
        layer, causal = cases.parse("encoder-layer 2 3 8 2 16\nattention 1 3 2 8 causal", "mine")
        # 6 tokens: four projections of 8 x 8, two of 8 x 16; 18 pairs, scores and values of 8
        self.assertEqual(cases.flops(layer), 6 * 2 * (4 * 64 + 2 * 128) + 18 * 4 * 8)
        self.assertEqual(cases.flops(causal), 2 * 6 * 4 * 8)


class Translation(unittest.TestCase):
    """A model of 2 + 3 layers, 4 columns, and sources of 5 and 6 tokens."""

    CONFIG = {"d_model": 4, "encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 8,
              "decoder_ffn_dim": 16, "vocab_size": 100}
    LENGTHS = [5, 6]
    # Four and six projections of 4 x 4, and two products of the feed-forward.
    ENCODER_WEIGHTS = 2 * (4 * 16 + 2 * 4 * 8)
    STEP_WEIGHTS = 3 * (6 * 16 + 2 * 4 * 16) + 4 * 100
    CROSS_WEIGHTS = 3 * 2 * 16
    LIMITS = {"flops": 1e6, "products": [{"precision": "int8", "ops": 4e6}], "read_l1": 1e9,
              "read_l2": 1e8, "read_l3": 1e7, "read_memory": 1e6, "l1_bytes": 100,
              "l2_bytes": 200, "l3_bytes": 5000}

    def case(self, line):
        return cases.parse(f"model random-marian 2 4 2 8 100\n{line}", "mine")[0]

    def step_flops(self, i, rows):
        return rows * 2 * self.STEP_WEIGHTS + rows // 2 * 3 * 4 * 4 * (2 * (i + 1) + 11)

    def test_the_encoder_sees_the_pairs_of_each_source(self):
        flops = 2 * 11 * self.ENCODER_WEIGHTS + 2 * 4 * 4 * (25 + 36)
        self.assertEqual(cases.flops(self.case("encode 2"), self.CONFIG, self.LENGTHS), flops)
        self.assertIsNone(cases.flops(self.case("encode 2"), self.CONFIG))  # no engine did it

    def test_beams_count_from_the_second_step_on(self):
        part = translation.step(self.CONFIG, self.LENGTHS, 4, 0)
        self.assertEqual((part.n_weights, part.flops), (self.STEP_WEIGHTS, self.step_flops(0, 2)))
        self.assertEqual(translation.step(self.CONFIG, self.LENGTHS, 4, 7).flops,
                         self.step_flops(7, 8))
        two = self.CONFIG | {"decoder_vocab_size": 90}
        self.assertEqual(translation.step(two, self.LENGTHS, 1, 0).n_weights,
                         self.STEP_WEIGHTS - 4 * 10)
        once = 2 * 11 * (self.ENCODER_WEIGHTS + self.CROSS_WEIGHTS) + 2 * 4 * 4 * (25 + 36)
        steps = self.step_flops(0, 2) + sum(self.step_flops(i, 8) for i in range(1, 40))
        self.assertEqual(cases.flops(self.case("generate 2 4"), self.CONFIG, self.LENGTHS),
                         once + steps)

    def least(self, line, precision="f32", threads=1, **limits):
        return translation.least(self.case(line), self.CONFIG, self.LENGTHS, self.LIMITS | limits,
                                 precision, threads)

    def test_products_bound_where_weights_come_fast(self):
        flops = cases.flops(self.case("generate 2 4"), self.CONFIG, self.LENGTHS)
        found = self.least("generate 2 4", threads=2)
        self.assertAlmostEqual(found.pop("seconds"), flops / 2e6)
        self.assertEqual(found, {"step_bytes": 4 * self.STEP_WEIGHTS, "step_from": "l3",
                                 "step_by": "products"})

    def test_weights_bound_where_they_come_slowly(self):
        # A step's fit into L3; with those of the encoder and the sources' keys they do not.
        found = self.least("generate 2 1", flops=1e15, threads=2)
        step = 4 * self.STEP_WEIGHTS
        once = 4 * (self.ENCODER_WEIGHTS + self.CROSS_WEIGHTS)
        self.assertGreater(once + step, self.LIMITS["l3_bytes"])
        self.assertAlmostEqual(found.pop("seconds"), (40 * step / 1e7 + once / 1e6) / 2)
        self.assertEqual(found, {"step_bytes": step, "step_from": "l3", "step_by": "weights"})

    def test_a_precision_has_its_own_products_and_width(self):
        flops = cases.flops(self.case("encode 2"), self.CONFIG, self.LENGTHS)
        self.assertAlmostEqual(self.least("encode 2", "int8")["seconds"], flops / 4e6)
        self.assertEqual(self.least("generate 2 1", "int8")["step_bytes"], self.STEP_WEIGHTS)
        self.assertIsNone(self.least("encode 2", "bf16"))

    def test_a_level_holds_what_fits_into_it(self):
        self.assertEqual([translation.level_of(n, self.LIMITS) for n in (100, 101, 5000, 5001)],
                         ["l1", "l2", "l3", "memory"])

    def test_the_least_time_is_the_limit(self):
        case, bound = self.case("generate 2 1"), {"seconds": 0.5}
        result = figures.summarise(case, {"headlane": [1000.0]}, {}, {}, 100, 50, (), bound)
        self.assertEqual(result["engines"]["headlane"]["of_limit"], 0.5)
        self.assertEqual(result["bound"], bound)
        self.assertEqual(report.describe_bound(bound), "  at the limit: 500 ms")
        bound |= {"step_bytes": 2e6, "step_from": "l3", "step_by": "weights"}
        self.assertIn("reads 2 MB of weights from L3 and is bound by its weights",
                      report.describe_bound(bound))


class Decoding(unittest.TestCase):
    MODEL = {"layer_weights": 100, "layer_bytes": 60, "head_weights": 50, "head_bytes": 40,
             "products": "int8"}
    LIMITS = {"read_memory": 1000.0, "products": [{"precision": "int8", "ops": 4000.0}]}

    def least(self, line, threads=1, **limits):
        case, = cases.parse(f"model gemma\n{line}", "mine")
        return decoding.least(case, self.MODEL, self.LIMITS | limits, threads)

    def test_a_token_has_its_products(self):
        flops = [cases.flops(case, self.MODEL) for case in
                 cases.parse("model gemma\ndecode 3 9\nprompt 10", "mine")]
        self.assertEqual(flops, [2 * 150, 2 * (10 * 100 + 50) / 10])

    def test_few_sequences_are_bound_by_weights_and_many_by_products(self):
        found = self.least("decode 1 0", threads=2)
        self.assertAlmostEqual(found.pop("seconds"), 100 / 2000)
        self.assertEqual(found, {"step_bytes": 100, "step_from": "memory", "step_by": "weights"})
        self.assertAlmostEqual(self.least("decode 4 0")["seconds"], 2 * 150 / 4000)
        self.assertEqual(self.least("prompt 10")["step_by"], "products")
        self.assertIsNone(self.least("prompt 10", products=[{"precision": "bf16", "ops": 1.0}]))


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


    def test_each_precision_has_its_own_limit(self):
        limits = {"flops": 1, "products": [{"precision": "bf16", "ops": 2},
                                           {"precision": "bf16", "ops": 3}]}
        self.assertEqual([figures.product_limit(limits, name) for name in peers.PRECISIONS],
                         [1, 3, None])


@unittest.skipUnless(importlib.util.find_spec("numpy"), "this Python has no NumPy")
class Accuracy(unittest.TestCase):
    def test_vectors_are_compared_by_direction_and_nearest_neighbour(self):
        import numpy as np
        right = np.array([[1, 0], [1, 0], [0, 1], [-1, 2]], dtype=np.float32)
        same = figures.vector_accuracy(5 * right, right)  # the first two are a draw of each other
        self.assertEqual(same, {"cosine_off_by": {"mean": 0, "most": 0}, "nearest_kept": 1})
        turned = right.copy()
        turned[3] = [2, 1]  # at a right angle; nearest to the first two, and no more to the third
        off = figures.vector_accuracy(turned, right)
        self.assertAlmostEqual(off["cosine_off_by"]["most"], 1)
        self.assertAlmostEqual(off["cosine_off_by"]["mean"], 1 / 4)
        self.assertEqual(off["nearest_kept"], 3 / 4)

    def test_outputs_are_compared_with_the_references(self):
        import numpy as np
        with tempfile.TemporaryDirectory() as folder:
            for name, output in (("a", [[1, 2]]), ("b", [[1, 4]]), ("c", [1])):
                np.save(f"{folder}/{name}.npy", np.array(output, dtype=np.float32))
            self.assertEqual(figures.accuracies(folder, "none"), {})
            self.assertEqual(figures.accuracies(folder, "a"), {
                "a": {"off_by": 0}, "b": {"off_by": 2}, "c": {"off_by": float("inf")}})
            self.assertIn("cosine_off_by", figures.accuracies(folder, "a", of_texts=True)["b"])
            self.assertEqual(figures.accuracies(folder, "a", of_tokens=True), {
                "a": {"tokens_equal": 1}, "b": {"tokens_equal": 0.5}, "c": {"tokens_equal": 0}})
            self.assertEqual(report.accuracy({"tokens_equal": 0.5}), "50.0 % equal")

    def test_sources_are_those_of_their_batch(self):
        import inputs
        import numpy as np
        greedy, beams, encode = (inputs.sources(case, 50) for case in cases.parse(
            "model random-marian 1 2 1 2 50\ngenerate 9 1\ngenerate 9 4\nencode 9", "mine"))
        for one, two, three in zip(greedy, beams, encode, strict=True):
            self.assertTrue(20 <= len(one) <= 40 and one.min() > 1 and one.max() < 49, one)
            np.testing.assert_array_equal(one, two)
            np.testing.assert_array_equal(one, three)
        ids, mask = peers.padded(greedy, 49)
        self.assertEqual(ids.shape, mask.shape)
        np.testing.assert_array_equal(ids[mask == 1], np.concatenate(greedy))
        self.assertTrue((ids[mask == 0] == 49).all())
        self.assertEqual(mask.sum(axis=1).tolist(), list(map(len, greedy)))


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

    def test_a_precision_has_marks_and_a_table_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "page.md"
            path.write_text(f"{report.BEGIN}\nf32\n{report.END}\n"
                            f"<!-- made by tools/bench --precision int8 -->\nold\n{report.END}\n")
            report.update(path, "new", "int8")
            self.assertEqual(path.read_text(), f"{report.BEGIN}\nf32\n{report.END}\n<!-- made by "
                             f"tools/bench --precision int8 -->\nnew\n{report.END}\n")
        with self.assertRaises(report.ResultsError):
            report.merge([self.everything(), self.everything() | {"precision": "int8"}])

    def test_machines_are_side_by_side(self):
        first = self.everything()
        first["machine"] = first["machine"] | {"isa": "avx512"}
        second = self.everything() | {"results": []}
        second["machine"] = second["machine"] | {"isa": "avx2"}
        text = report.beside_machines({"one": first, "two": second})
        self.assertIn("| case | unit | one, avx512 | of limit | better than the best peer by | two, "
                      "avx2 | of limit | better than the best peer by |", text)
        self.assertIn("| mine: gemm 1 2 3 | ms | 2 |  | 2.00 (2.00 to 2.00) a | none | none | none |",
                      text)
        with self.assertRaises(report.ResultsError):
            report.beside_machines({"one": first, "two": second | {"precision": "int8"}})
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "page.md"
            path.write_text(f"<!-- made by tools/bench --machines -->\nold\n{report.END}\n")
            report.update(path, "new", of_machines=True)
            self.assertEqual(path.read_text(), "<!-- made by tools/bench --machines -->\nnew\n"
                             f"{report.END}\n")

    def test_the_limit_is_named_with_its_instruction(self):
        int8 = self.everything() | {"precision": "int8"}
        limits = int8["machine"]["limits"]
        limits["products"] = []
        self.assertIn("no instruction for int8", report.describe(int8))
        limits["products"] = [{"precision": "int8", "instruction": "add them", "ops": 3e9}]
        self.assertIn("2 threads at int8; of a core 1 GFLOP/s in multiply-adds, 3 GOP/s in int8 "
                      "products by add them, 1 GB/s from L2", report.describe(int8))

    def test_vectors_have_columns_where_there_are_any(self):
        everything = self.everything()
        self.assertEqual(len(report.lines(everything)[0]), 7)
        everything["results"][0]["engines"]["a"] |= {
            "cosine_off_by": {"mean": 1e-3, "most": 2e-3}, "nearest_kept": 0.5}
        head, line = report.lines(everything)
        self.assertEqual(len(head), 9)
        self.assertEqual(line[-2:], ["", "1.0e-03 (at most 2.0e-03), 50.0 %"])


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

    def run_cases(self, text, *arguments):
        """What --json writes."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "cases.txt").write_text(text)
            (folder / "texts.txt").write_text("a b\nc\na b c\n")
            run = subprocess.run(
                [sys.executable, ROOT / "bench/compare", folder / "cases.txt", "--build", BUILD,
                 "--rounds", "2", "--seconds", "0", "--threads", "1", "--json",
                 folder / "out.json", *arguments], capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
            return json.loads((folder / "out.json").read_text())

    def test_headlane_runs_every_kind_of_case(self):
        results = self.run_cases(self.CASES, "--engines", "headlane", "onnxruntime")["results"]
        self.assertEqual(len(results), len(self.CASES.split("\n")) - 3)
        for result in results:
            own = result["engines"]["headlane"]
            self.assertNotIn("missing", own, result["case"])
            self.assertEqual(len(own["rounds"]), 2)
            self.assertTrue(all(value > 0 for value in own["rounds"]), own)
            self.assertIn("onnxruntime", result["engines"])  # measured or missing, never left out

    def test_headlane_alone_at_another_precision(self):
        model, *_ = self.CASES.strip().split("\n")
        told = self.run_cases(f"{model}\n2x8\ncorpus texts.txt\nattention 1 4 2 8", "--engines",
                              "headlane", "--precision", "int8")
        self.assertEqual(told["precision"], "int8")
        self.assertEqual([result["case"] for result in told["results"]],
                         ["2x8", "corpus texts", "attention 1 4 2 8"])
        for result in told["results"]:
            self.assertEqual(list(result["engines"]), ["headlane"])
        self.assertIn("weights", told["results"][-1]["engines"]["headlane"]["missing"])
        self.assertEqual(told["machine"]["precision"], "int8")

    def test_headlane_ranks(self):
        result, = self.run_cases(
            f"model {ROOT}/tests/golden/classify/xlm_roberta_cross_encoder\nrerank 3 2 4",
            "--engines", "headlane")["results"]
        own = result["engines"]["headlane"]
        self.assertTrue(all(value > 0 for value in own["rounds"]), own)
        self.assertGreater(result["flops"], 0)

    def test_headlane_translates(self):
        folder = f"{ROOT}/tests/golden/encoder_decoder/marian_shared"
        for precision in peers.PRECISIONS:
            told = self.run_cases(f"model {folder}\ngenerate 2 1\ngenerate 2 3\nencode 2",
                                  "--engines", "headlane", "openvino", "--precision", precision)
            self.assertEqual(len(told["results"]), 3)
            for result in told["results"]:
                own = result["engines"]["headlane"]
                self.assertNotIn("missing", own, result["case"])
                self.assertTrue(all(value > 0 for value in own["rounds"]), own)
                self.assertGreater(result["flops"], 0)
                self.assertIn("missing", result["engines"]["openvino"])

    def test_a_case_that_the_model_is_not_of_is_named(self):
        for model, line in (("bert/head_dim_16_mean_normalize", "encode 2"),
                            ("encoder_decoder/marian_shared", "2x8")):
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
                file.write(f"model {ROOT}/tests/golden/{model}\n{line}\n")
                file.flush()
                run = subprocess.run([sys.executable, ROOT / "bench/compare", file.name, "--build",
                                      BUILD], capture_output=True, text=True)
            self.assertEqual(run.returncode, 1)
            self.assertIn(f"{line}: the model has", run.stderr)

    def test_products_and_attention_have_every_precision(self):
        for precision in ("bf16", "int8"):
            told = self.run_cases("gemm 3 16 32\nattention 1 4 2 8", "--engines", "headlane",
                                  "--precision", precision)
            gemm, attention = (result["engines"]["headlane"] for result in told["results"])
            self.assertNotIn("missing", gemm)
            if precision == "bf16":  # which not every machine has
                self.assertRegex(attention.get("missing", "bf16"), "bf16")


if __name__ == "__main__":
    BUILD = sys.argv.pop(1)
    unittest.main()

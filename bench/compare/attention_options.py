#!/usr/bin/env python3
"""What the options of attention cost, by turns in one run.

    bench/compare/attention_options.py [--bin build/bin] [--lib build/lib] [--threads N]
                                       [--rounds R] [--filter TEXT] [--json FILE]

Run by a Python that has PyTorch, such as build/bench-venv/bin/python. Each round runs both on the
same operands for a few milliseconds each, with a pause before each, so that other users of the
machine and its clock meet both alike. A time is the median over the rounds, a ratio the median of
the rounds' ratios. "limit" is the share of the machine's multiply-add limit, measured before; of
causal cases only what is seen counts as work. "error" is the largest difference from PyTorch.

 - ragged: sequences of 1 to 512 tokens, beside PyTorch on them padded, with their mask
 - masks: what lengths, causal and a bias cost Headlane, beside its own time without
 - options: what position schemes and other scores cost, likewise
 - memory: what a session for 32,768 tokens takes
"""

import argparse
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import headlane_library as hl  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def flops_limit(bin_dir, threads):
    """Of all threads, in GFLOP/s."""
    run = subprocess.run([bin_dir / "headlane", "bench", "--json"], check=True,
                         stdout=subprocess.PIPE)
    return threads * json.loads(run.stdout)["limits"]["flops"] / 1e9


def heads_of(tensor):
    """[batch, heads, seq, dim] in any order of memory."""
    return hl.Heads(tensor.data_ptr(), tensor.stride(0), tensor.stride(2), tensor.stride(1))


class Compare:
    def __init__(self, arguments):
        self.library = hl.Library(arguments.lib / "libheadlane.so")
        self.threads, self.rounds = arguments.threads, arguments.rounds
        self.limit = flops_limit(arguments.bin, arguments.threads)
        self.results = []

    def times(self, calls):
        """Seconds of each call, round by round."""
        repeats = []
        for call in calls:
            call()
            start = time.perf_counter()
            call()
            repeats.append(max(1, int(0.02 / (time.perf_counter() - start))))
        seconds = [[] for _ in calls]
        for _ in range(self.rounds):
            for call, n, mine in zip(calls, repeats, seconds):
                time.sleep(0.01)  # the other's threads spin for milliseconds after a call
                call()
                start = time.perf_counter()
                for _ in range(n):
                    call()
                mine.append((time.perf_counter() - start) / n)
        return seconds

    def report(self, name, ours, other, other_name, flops, error):
        seconds, beside = self.times([ours, other])
        median = statistics.median(seconds)
        self.results.append({
            "case": name, "headlane_ms": 1e3 * median, "beside": other_name,
            "beside_ms": 1e3 * statistics.median(beside),
            "ratio": statistics.median(b / s for s, b in zip(seconds, beside)),
            "least_ratio": min(b / s for s, b in zip(seconds, beside)),
            "most_ratio": max(b / s for s, b in zip(seconds, beside)),
            "gflops": flops / median / 1e9, "limit": flops / median / 1e9 / self.limit,
            "error": error})
        r = self.results[-1]
        print(f"{name:38}{r['headlane_ms']:9.3f}{r['beside_ms']:9.3f} {other_name:9}"
              f"{r['ratio']:6.2f} ({r['least_ratio']:.2f} to {r['most_ratio']:.2f})"
              f"{r['gflops']:8.0f} GF/s {100 * r['limit']:4.0f} %   {error:.1e}", flush=True)

    def attention_call(self, q, k, v, o, causal=False, ragged=None, options=None, **fields):
        n_seqs, n_heads, seq, dim = q.shape
        options = hl.make(hl.AttentionOptions, n_heads=n_heads, head_dim=dim, causal=int(causal),
                          n_threads=self.threads, **(options or {}))
        handle = self.library.handle("attention_create", ctypes.byref(options))
        batch = hl.make(hl.AttentionBatch, n_seqs=n_seqs, q_len=seq, kv_len=k.shape[2],
                        q=heads_of(q), k=heads_of(k), v=heads_of(v), o=heads_of(o), **fields)
        if ragged is not None:
            batch.n_seqs, batch.q_offsets = len(ragged) - 1, ragged.data_ptr()
        return lambda: self.library.attention_run(handle, ctypes.byref(batch))

    def ragged(self, n_heads=12, dim=64, n_seqs=32):
        lengths = torch.linspace(1, 512, n_seqs).long()
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        padded = [torch.randn(n_seqs, n_heads, 512, dim) for _ in range(3)]
        mask = (torch.arange(512) < lengths[:, None])[:, None, None, :]
        real = [torch.cat([t[i, :, :n].transpose(0, 1) for i, n in enumerate(lengths)])
                for t in padded]  # [tokens, heads, dim]
        o = torch.empty_like(real[0])
        views = [t.transpose(0, 1)[None] for t in (*real, o)]
        ours = self.attention_call(*views, ragged=offsets)

        def other():
            return torch.nn.functional.scaled_dot_product_attention(*padded, attn_mask=mask)
        ours()
        right = other()
        error = max((o[offsets[i]:offsets[i + 1]] - right[i, :, :n].transpose(0, 1)).abs().max()
                    for i, n in enumerate(lengths.tolist()))
        self.report(f"ragged {n_seqs} of 1 to 512, {n_heads} heads of {dim}", ours, other, "torch",
                    4 * n_heads * int((lengths ** 2).sum()) * dim, error.item())

    def masks(self, n_seqs=8, seq=960, n_heads=12, dim=64):
        q, k, v = (torch.randn(n_seqs, n_heads, seq, dim) for _ in range(3))
        o = torch.empty_like(q)
        plain = self.attention_call(q, k, v, o)
        full = torch.full((n_seqs,), seq, dtype=torch.int64)
        bias = torch.randn(seq, seq)
        flops = 4 * n_seqs * n_heads * seq * seq * dim
        lengths = self.attention_call(q, k, v, o, q_lengths=full.data_ptr(),
                                      kv_lengths=full.data_ptr())
        self.report("masks lengths, beside none", lengths, plain, "none", flops, 0)
        self.report("masks causal, beside none", self.attention_call(q, k, v, o, True), plain,
                    "none", flops // 2, 0)
        self.report("masks bias [seq, seq], beside none", self.attention_call(
            q, k, v, o, bias=bias.data_ptr(), bias_query_stride=seq), plain, "none", flops, 0)
        seen = torch.ones(seq, seq, dtype=torch.uint8)
        boolean = self.attention_call(q, k, v, o, mask=seen.data_ptr(), mask_query_stride=seq)
        self.report("masks boolean [seq, seq], beside none", boolean, plain, "none", flops, 0)
        half = seen.clone()
        half[:, seq // 2:] = 0
        sparse = self.attention_call(q, k, v, o, mask=half.data_ptr(), mask_query_stride=seq)
        self.report("masks half of all keys, beside none", sparse, plain, "none", flops // 2, 0)

    def options(self, seq, n_heads=8, dim=64):
        q, k, v = (torch.randn(1, n_heads, seq, dim) for _ in range(3))
        o = torch.empty_like(q)
        weights, slopes, table = (torch.randn(n_heads, dim), torch.rand(n_heads),
                                  torch.randn(32, n_heads))
        rotary = hl.make(hl.Rotary, max_positions=seq)
        relative = hl.make(hl.RelativeBias, table=table.data_ptr(), n_buckets=32, max_distance=128,
                           bidirectional=1, max_len=seq)
        plain = self.attention_call(q, k, v, o)
        for name, options in (
                ("rotary", {"rotary": ctypes.addressof(rotary)}),
                ("ALiBi", {"alibi_slopes": slopes.data_ptr()}),
                ("T5's bias", {"relative_bias": ctypes.addressof(relative)}),
                ("soft cap", {"softcap": 30.0}),
                ("additive scores", {"score": 3, "additive": weights.data_ptr()})):
            self.report(f"options {name}, {seq} tokens",
                        self.attention_call(q, k, v, o, options=options), plain, "plain",
                        4 * n_heads * seq * seq * dim, 0)

    def memory(self, tokens=32768, n_heads=8, dim=64):
        options = hl.make(hl.AttentionOptions, n_heads=n_heads, head_dim=dim,
                          n_threads=self.threads)
        size = ctypes.c_size_t()
        self.library.attention_bytes(ctypes.byref(options), ctypes.byref(size))
        q, k, v = (torch.randn(1, n_heads, tokens, dim) for _ in range(3))
        o = torch.empty_like(q)
        run = self.attention_call(q, k, v, o)
        before = peak_mb()
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        print(f"memory {tokens} tokens, {n_heads} heads of {dim}: "
              f"workspace {size.value / 2**20:.1f} MB, peak grew by {peak_mb() - before:.1f} MB, "
              f"{seconds:.2f} s, {4 * n_heads * tokens ** 2 * dim / seconds / 1e9:.0f} GF/s")
        self.results.append({"case": "memory", "workspace_bytes": size.value,
                             "peak_grew_mb": peak_mb() - before})


def peak_mb():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/bin")
    parser.add_argument("--lib", type=pathlib.Path, default=ROOT / "build/lib")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--filter", default="", help="only cases whose kind contains this")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    compare = Compare(arguments)
    print(f"PyTorch {torch.__version__}, {arguments.threads} threads, {arguments.rounds} rounds, "
          f"limit {compare.limit:.0f} GFLOP/s")
    print(f"{'':38}{'Headlane':>9}{'beside':>9} ms{'':7}ratio{'':18}Headlane  of limit  error")
    cases = [(kind, (method, case)) for kind, method, cases in (
        ("ragged", compare.ragged, [()]), ("masks", compare.masks, [()]),
        ("options", compare.options, [(128,), (512,)]),
        ("memory", compare.memory, [()])) for case in cases]
    with torch.inference_mode():
        for kind, (method, case) in cases:
            if arguments.filter in kind:
                method(*case)
    if arguments.json:
        arguments.json.write_text(json.dumps(
            {"torch": torch.__version__, "threads": arguments.threads,
             "limit_gflops": compare.limit, "results": compare.results}, indent=2) + "\n")


if __name__ == "__main__":
    main()

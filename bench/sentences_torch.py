"""Sentences a second of sentence-transformers in float32: what Headlane's speed is compared with.

    python bench/sentences_torch.py HF_DIR tests/golden/corpus/sentences.txt --threads 2 --rounds 5

encode() sorts the sentences by length and pads each batch to its longest, so this is PyTorch at its
best on a CPU. A round times the whole corpus once for each batch size, the sizes by turns so that a
drifting clock frequency meets all of them alike; the best size counts, by its median. The latency
is that of encode() of one sentence alone. Tokenizing is part of both.

Prints one JSON object. Run it on an idle machine: threads beyond the free CPUs make it slower.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import statistics
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("hf_dir", help="model folder as sentence-transformers reads it")
    parser.add_argument("sentences", type=pathlib.Path, help="UTF-8, one sentence a line")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--limit", type=int, default=0, help="take only the first N sentences")
    parser.add_argument("--latency-sentences", type=int, default=200)
    arguments = parser.parse_args()
    if min(arguments.threads, arguments.rounds, *arguments.batch_sizes) < 1:
        parser.error("threads, rounds and batch sizes are at least 1")

    # Both pools of threads size themselves on import.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(arguments.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if arguments.threads > 1 else "false"
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    import torch
    from sentence_transformers import SentenceTransformer
    torch.set_num_threads(arguments.threads)

    sentences = arguments.sentences.read_text(encoding="utf-8").split("\n")
    sentences = [line for line in sentences if line][:arguments.limit or None]
    model = SentenceTransformer(arguments.hf_dir, device="cpu").float()

    def encode(texts, batch_size):
        start = time.perf_counter()
        model.encode(texts, batch_size=batch_size, show_progress_bar=False)
        return time.perf_counter() - start

    encode(sentences[:256], arguments.batch_sizes[0])  # allocators and thread pools warm up
    seconds = {size: [] for size in arguments.batch_sizes}
    for _ in range(arguments.rounds):
        for size in arguments.batch_sizes:
            seconds[size].append(encode(sentences, size))
    alone = sorted(1e3 * encode([text], 1) for text in sentences[:arguments.latency_sentences])

    rates = {size: len(sentences) / statistics.median(times) for size, times in seconds.items()}
    best = max(rates, key=rates.get)
    n_tokens = sum(len(ids) for ids in model.tokenizer(
        sentences, truncation=True, max_length=model.max_seq_length)["input_ids"])
    print(json.dumps({
        "what": "sentence-transformers encode(), float32",
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "n_sentences": len(sentences),
        "n_tokens": n_tokens,
        "sentences_per_s": round(rates[best], 1),
        "tokens_per_s": round(rates[best] * n_tokens / len(sentences)),
        "best_batch_size": best,
        "by_batch_size": {size: {"median": round(rates[size], 1),
                                 "least": round(len(sentences) / max(times), 1),
                                 "most": round(len(sentences) / min(times), 1)}
                          for size, times in seconds.items()},
        "one_sentence_p50_ms": round(statistics.median(alone), 3),
        "one_sentence_p90_ms": round(alone[int(0.9 * (len(alone) - 1))], 3),
        "versions": {name: importlib.metadata.version(name)
                     for name in ("torch", "transformers", "sentence-transformers")},
    }, indent=2))


if __name__ == "__main__":
    main()

"""Makes perplexity.json beside this script: python make_perplexity.py

The perplexity, by transformers 5.24.0 in float64, of the models llama_texts (whose texts begin with
a token of their own) and qwen2_texts (whose do not) on the first 200 lines of corpus/sentences.txt,
counted as llama.cpp's tool counts: windows of `context` tokens, of which the second halves count,
or, with a stride, windows that overlap. "logprobs" are those of the first window.
"""

import json
import math
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers

HERE = pathlib.Path(__file__).parent
CASES = [(64, 0), (51, 0), (64, 16), (40, 25)]


def text():
    lines = (HERE.parent / "corpus/sentences.txt").read_text().split("\n")[:200]
    return "\n".join(lines) + "\n"


def windows(n, context, stride):
    if stride == 0:
        return [(b, b + context // 2 + 1, b + context) for b in range(0, n - context + 1, context)]
    length = context + stride // 2
    return [(b, b + length - stride, b + length) for b in range(0, n - length, stride)]


def measure(model, ids, begin, context, stride):
    logprobs, first = [], None
    for start, counted, end in windows(len(ids), context, stride):
        window = list(ids[start:end])
        if begin is not None and stride == 0:
            window[0] = begin
        with torch.no_grad():
            logits = model(torch.tensor([window])).logits[0].double().log_softmax(-1)
        part = [float(logits[i - 1 - start, ids[i]]) for i in range(counted, end)]
        first = first or part
        logprobs += part
    n = len(logprobs)
    mean = -sum(logprobs) / n
    variance = sum(x * x for x in logprobs) / n - mean * mean
    return {"context": context, "stride": stride, "tokens": n, "perplexity": math.exp(mean),
            "error": math.sqrt(variance / (n - 1)) * math.exp(mean),
            "logprobs": [float("%.6g" % x) for x in first]}


def main():
    out = {}
    for name in ("llama_texts", "qwen2_texts"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(HERE / name)
        model = transformers.AutoModelForCausalLM.from_pretrained(HERE / name).double().eval()
        ids = tokenizer(text())["input_ids"]
        around = tokenizer("")["input_ids"]
        begin = around[0] if around else None
        out[name] = [measure(model, ids, begin, *case) for case in CASES]
    (HERE / "perplexity.json").write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()

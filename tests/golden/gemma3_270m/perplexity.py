"""Compares the perplexity of Gemma 3 270M by Headlane in f32 with that by transformers in float32.

    python perplexity.py GGUF FOLDER HEADLANE

GGUF is the file that folder.py made FOLDER of, and HEADLANE the command, which takes the file itself:
its weights are the folder's, and it brings a tokenizer along. The text is the first N_WORDS words of
corpus/sentences.txt, line by line, in windows of CONTEXT tokens, of which the second halves count.
It is for a person to run: it takes minutes and the real model, which the tests do without. Ends with
status 1 where the two are further apart than MOST, or where their tokens differ.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import sentencepiece
import torch
import transformers

N_WORDS, CONTEXT, MOST = 20000, 512, 1e-3


def text():
    lines, n_words = [], 0
    corpus = pathlib.Path(__file__).parent.parent / "corpus/sentences.txt"
    for line in corpus.read_text().split("\n"):
        words = line.split()[:N_WORDS - n_words]
        n_words += len(words)
        if words:
            lines.append(" ".join(words))
        if n_words == N_WORDS:
            return "\n".join(lines) + "\n"
    raise ValueError("the corpus is too short")


def by_headlane(command, gguf, words, temporary):
    model, file = temporary / "gemma.headlane", temporary / "text.txt"
    file.write_text(words)
    subprocess.run([command, "convert", gguf, "-o", model, "--precision", "f32"], check=True)
    done = subprocess.run([command, "perplexity", "-m", model, "-i", file, "--context", str(CONTEXT),
                           "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_transformers(folder, words):
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "pieces.model"))
    model = transformers.Gemma3ForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    begin = model.config.bos_token_id
    ids = [begin] + tokenizer.encode(words)
    counted, logprobs = [], []
    for start in range(0, len(ids) - CONTEXT + 1, CONTEXT):
        window = [begin] + ids[start + 1:start + CONTEXT]
        last = window[CONTEXT // 2 + 1:]
        with torch.inference_mode():
            logits = model(torch.tensor([window]), logits_to_keep=len(last) + 1).logits[0, :-1]
        scores = logits.log_softmax(-1).gather(-1, torch.tensor(last)[:, None])[:, 0]
        counted.append(last)
        logprobs.append(scores.double().tolist())
        print(f"transformers: {start + CONTEXT} of {len(ids)} tokens", file=sys.stderr, flush=True)
    return counted, logprobs


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("headlane", type=pathlib.Path)
    arguments = parser.parse_args()
    words = text()
    with tempfile.TemporaryDirectory() as temporary:
        *windows, ours = by_headlane(arguments.headlane, arguments.gguf, words,
                                     pathlib.Path(temporary))
    counted, logprobs = by_transformers(arguments.folder, words)
    if [[token["id"] for token in window["tokens"]] for window in windows] != counted:
        sys.exit("the tokens differ")
    pairs = [(a["logprob"], b) for window, theirs in zip(windows, logprobs)
             for a, b in zip(window["tokens"], theirs)]
    theirs = math.exp(-sum(b for _, b in pairs) / len(pairs))
    apart = abs(ours["perplexity"] / theirs - 1)
    print(f"{len(pairs)} tokens of {len(windows)} windows: Headlane {ours['perplexity']:.6f}, "
          f"transformers {theirs:.6f}, {100 * apart:.5f} % apart; no token's logarithm is further "
          f"off than {max(abs(a - b) for a, b in pairs):.2e}")
    if apart > MOST:
        sys.exit(f"they are more than {100 * MOST} % apart")


if __name__ == "__main__":
    main()

"""Writes expected.json: what transformers makes of Gemma 3 270M, of the folder that folder.py made.

    python make.py FOLDER

In float32 with eager attention: the greedy continuations of ten prompts, and the mean negative
log-likelihood of two sequences of the corpus, each longer than a window. Ids can be compared one for
one only where no choice is a matter of rounding: the least distance of the two best logits is
written, and must not be less than LEAST_GAP.
"""

import argparse
import json
import pathlib

import sentencepiece
import torch
import transformers

MAX_NEW, LEAST_GAP, N_SEQUENCES, LENGTH = 16, 2e-3, 2, 640
PROMPTS = ["The capital of France is", "Once upon a time, there was a", "1, 2, 3, 4, 5,",
           "def add(a, b):\n    return", "Water boils at a temperature of", "Die Hauptstadt von Deutschland ist",
           "今天天气", "The opposite of hot is", "To be, or not to be,",
           "Monday, Tuesday, Wednesday,"]


def greedy(model, ids):
    out = model.generate(torch.tensor([ids]), max_new_tokens=MAX_NEW, do_sample=False,
                         return_dict_in_generate=True, output_logits=True)
    best = torch.cat(out.logits).topk(2).values
    return out.sequences[0, len(ids):].tolist(), (best[:, 0] - best[:, 1]).min().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    here = pathlib.Path(__file__).parent
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "pieces.model"))
    model = transformers.Gemma3ForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    bos = model.config.bos_token_id
    prompts = []
    for text in PROMPTS:
        ids = [bos] + tokenizer.encode(text)
        new, gap = greedy(model, ids)
        assert gap >= LEAST_GAP, (text, gap)
        prompts.append({"text": text, "ids": ids, "new": new, "continuation": tokenizer.decode(new),
                        "gap": gap})
        print(text, "|", tokenizer.decode(new), gap, flush=True)
    corpus = tokenizer.encode((here.parent / "corpus/sentences.txt").read_text()[:20000])
    sequences, likelihoods = [], []
    for i in range(N_SEQUENCES):
        ids = [bos] + corpus[i * (LENGTH - 1):(i + 1) * (LENGTH - 1)]
        with torch.inference_mode():
            scores = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        likelihoods.append(-scores.gather(-1, torch.tensor(ids[1:])[:, None]).mean().item())
        sequences.append(ids)
        print(likelihoods, flush=True)
    (here / "expected.json").write_text(json.dumps({
        "transformers": transformers.__version__, "prompts": prompts,
        "sequences": [" ".join(map(str, ids)) for ids in sequences],
        "negative_log_likelihood": likelihoods}, indent=1) + "\n")


if __name__ == "__main__":
    main()

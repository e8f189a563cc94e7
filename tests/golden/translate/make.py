"""Writes what transformers translates of the sentences that examples/translate holds out.

    python make.py HF_DIR

HF_DIR is what examples/translate/train.py wrote. One line for each held-out pair, in all files:
    sources.txt      Chinese
    references.txt   English, as the corpus has it
    source_ids.txt   token ids of the Chinese, </s> included
    greedy.txt       English, of generate(num_beams=1)
    greedy_ids.txt   its token ids, from the one after the decoder's start to </s>
    beam4_ids.txt    the same of generate(num_beams=4)
    manifest.json    how many are right, and how close the closest choice was
Each sentence alone, so that no padding adds its own rounding; float32, eager attention, one thread;
the rest as generation_config.json says (max_length, renormalize_logits, no <pad>). The script refuses
a model whose float64 does not choose the same tokens: then a right program might not either.
"""

import argparse
import json
import pathlib
import sys

import torch
from transformers import MarianMTModel, MarianTokenizer

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2] / "examples" / "translate"))
import make_corpus  # noqa: E402


def generated(model, ids, num_beams):
    """(token ids after the start, logits before any processing of the step of each)."""
    out = model.generate(input_ids=torch.tensor([ids]), num_beams=num_beams, do_sample=False,
                         return_dict_in_generate=True, output_logits=True)
    return out.sequences[0, 1:].tolist(), out.logits


def margin_of(logits, pad):
    """The least lead of a greedy choice over the next best; <pad> is nobody's choice."""
    steps = torch.cat(logits)
    steps[:, pad] = -torch.inf
    best = steps.topk(2, dim=-1).values
    return (best[:, 0] - best[:, 1]).min().item()


def write(name, lines):
    (HERE / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hf_dir", type=pathlib.Path)
    folder = parser.parse_args().hf_dir
    torch.set_num_threads(1)
    tokenizer = MarianTokenizer.from_pretrained(folder)
    model = MarianMTModel.from_pretrained(folder, attn_implementation="eager").float().eval()
    exact = MarianMTModel.from_pretrained(folder, attn_implementation="eager").double().eval()

    _, pairs = make_corpus.make_corpus()
    sources = [tokenizer(zh).input_ids for zh, _ in pairs]
    greedy, beam, margins = [], [], []
    for ids in sources:
        tokens, logits = generated(model, ids, 1)
        greedy.append(tokens)
        margins.append(margin_of(logits, model.config.pad_token_id))
        beam.append(generated(model, ids, 4)[0])
        if [generated(exact, ids, n)[0] for n in (1, 4)] != [greedy[-1], beam[-1]]:
            raise SystemExit(f"float64 chooses other tokens than float32 for {ids}")
    texts, beam_texts = (tokenizer.batch_decode(rows, skip_special_tokens=True)
                         for rows in (greedy, beam))

    references = [en for _, en in pairs]
    write("sources.txt", [zh for zh, _ in pairs])
    write("references.txt", references)
    write("greedy.txt", texts)
    for name, rows in [("source", sources), ("greedy", greedy), ("beam4", beam)]:
        write(f"{name}_ids.txt", [" ".join(map(str, row)) for row in rows])
    manifest = {
        "n_pairs": len(pairs),
        "greedy_right": sum(map(str.__eq__, texts, references)),
        "beam4_right": sum(map(str.__eq__, beam_texts, references)),
        "least_greedy_margin": round(min(margins), 4),
    }
    write("manifest.json", [json.dumps(manifest, indent=2)])
    print(manifest)


if __name__ == "__main__":
    main()

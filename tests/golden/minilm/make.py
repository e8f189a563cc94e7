"""Writes embeddings.npy, manifest.json and ../corpus/ids.txt: what PyTorch says of the corpus.

    python make.py HF_DIR        HF_DIR: all-MiniLM-L6-v2

Each sentence is run alone, so that no padding mask adds its own rounding: BertModel in float32 with
eager attention, truncation to 256 tokens, mean over all tokens, division by the L2 norm.
manifest.json keeps how far that is from the same in float64 and from sentence-transformers' own
batched encode(): the spread of right answers, from which the tests take their bounds.
"""

import argparse
import importlib.metadata
import json
import pathlib

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, BertModel

MAX_SEQ_LEN = 256


def embed(model, sequences):
    """-> [n, d_model] in the model's dtype"""
    rows = []
    with torch.inference_mode():
        for ids in sequences:
            hidden = model(torch.tensor([ids])).last_hidden_state[0]  # [n_tokens, d_model]
            pooled = hidden.mean(dim=0)
            rows.append((pooled / pooled.norm()).numpy())
    return np.stack(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("hf_dir")
    arguments = parser.parse_args()
    here = pathlib.Path(__file__).parent
    corpus = here.parent / "corpus"
    sentences = (corpus / "sentences.txt").read_text(encoding="utf-8").splitlines()

    tokenizer = AutoTokenizer.from_pretrained(arguments.hf_dir)
    sequences = tokenizer(sentences, truncation=True, max_length=MAX_SEQ_LEN)["input_ids"]
    (corpus / "ids.txt").write_text("".join(" ".join(map(str, ids)) + "\n" for ids in sequences))

    torch.set_num_threads(1)  # the number of threads changes float32 sums in the last bits
    model = BertModel.from_pretrained(arguments.hf_dir, attn_implementation="eager").float().eval()
    single = embed(model, sequences)
    exact = embed(model.double(), sequences)
    sdpa = BertModel.from_pretrained(arguments.hf_dir, attn_implementation="sdpa").float().eval()
    single_sdpa = embed(sdpa, sequences)
    reference = SentenceTransformer(arguments.hf_dir, device="cpu")
    batched = reference.encode(sentences, batch_size=32, show_progress_bar=False)

    def distances(a, b):
        a, b = a.astype(np.float64), b.astype(np.float64)
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        return {"max_abs": float(np.abs(a - b).max()),
                "max_l2": float(np.linalg.norm(a - b, axis=1).max()),
                "min_cosine": float(cosine.min())}

    np.save(here / "embeddings.npy", single.astype(np.float32))
    manifest = {
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "n_sentences": len(sentences),
        "n_tokens": sum(map(len, sequences)),
        "max_seq_len": MAX_SEQ_LEN,
        "attn_implementation": "eager",
        "versions": {name: importlib.metadata.version(name)
                     for name in ("torch", "transformers", "sentence-transformers", "tokenizers")},
        "float32_from_float64": distances(single, exact),
        "float32_sdpa_from_float64": distances(single_sdpa, exact),
        "sentence_transformers_from_float32": distances(batched, single),
        "sentence_transformers_from_float64": distances(batched, exact),
        "max_abs_value": float(np.abs(single).max()),
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (here / "manifest.json").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()

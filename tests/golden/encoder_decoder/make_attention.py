"""Writes what the decoders of some models attend to, beside what make.py wrote.

    python make_attention.py

For the first source and its line of greedy.txt, given the decoder's start and all but the last id:
    encoder_attention.npy   [layers * heads * source, source]
    decoder_attention.npy   [layers * heads * target, target]: 0 where the masked end is
    cross_attention.npy     [layers * heads * target, source]
    decoder_hidden.npy      [target, d_model]: the decoder's last hidden states
    attention.json          how far transformers' own float32 is from them, at most
of float64, as make.py's are, rounded once.
"""

import json
import pathlib

import numpy as np
import torch

import make

MODELS = ("marian_shared", "m2m_100", "t5_v1_1")


def attend(model, source, target):
    """What the files hold, by their names."""
    hidden = model.get_encoder()(input_ids=source, output_attentions=True)
    decoder = model.get_decoder()(input_ids=target, output_attentions=True,
                                  encoder_hidden_states=hidden.last_hidden_state)

    def stacked(layers):
        return torch.cat(layers).flatten(0, 2).numpy()

    return {"encoder_attention": stacked(hidden.attentions),
            "decoder_attention": stacked(decoder.attentions),
            "cross_attention": stacked(decoder.cross_attentions),
            "decoder_hidden": decoder.last_hidden_state[0].numpy()}


@torch.no_grad()
def write(name):
    folder = make.Folder(pathlib.Path(__file__).parent, name)

    def first_line(file):
        with open(folder.path / file, encoding="ascii") as lines:
            return [int(word) for word in next(lines).split()]

    start = folder.spec["generation"]["decoder_start_token_id"]
    source = torch.tensor([first_line("sources.txt")])
    target = torch.tensor([[start] + first_line("greedy.txt")[:-1]])
    single = attend(folder.load(), source, target)
    exact = attend(make.exact(folder.load()), source, target)
    errors = {}
    for key, values in exact.items():
        folder.save(key + ".npy", values)
        errors[key] = float(np.abs(single[key] - values).max())
    (folder.path / "attention.json").write_text(json.dumps(errors, indent=2) + "\n")
    print(name, errors)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for model_name in MODELS:
        write(model_name)

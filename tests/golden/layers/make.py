"""Writes small random PyTorch attention, encoder and decoder modules, and what PyTorch says of them.

    python make.py [--out DIR] [NAME ...]

Each folder is what headlane convert takes, model.safetensors and config.json, and calls:
    NAME_x.npy                      [batch * q_len, d_model]
    NAME_key.npy, NAME_value.npy    [batch * kv_len, kdim], [.., vdim], of cross-attention; of
                                    decoders the key is memory, or nn.Transformer's src
    NAME_mask.npy                   [q_len, kv_len], 1: may be seen, 0: not; of decoders tgt_mask,
                                    [q_len, q_len]
    NAME_bias.npy                   likewise, added to the scores
    NAME_out.npy                    [batch * q_len, d_model]; rows of padding are 0
    NAME_maps.npy                   [batch * n_heads * q_len, kv_len], attention probabilities; of
                                    decoder layers, of x and x
    manifest.json                   sizes and lengths of each call, and how far PyTorch's own float32
                                    is from the float64, at most
Outputs are computed in float64 from the float32 weights and rounded once. All parameters are
random, biases and norms too. No query is left without keys: PyTorch answers NaN there, Headlane 0.
"""

import argparse
import json
import pathlib
import shutil

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

torch.backends.mha.set_fastpath_enabled(False)  # the plain formulas


def randomise(module, rng):
    for name, parameter in sorted(module.named_parameters()):
        values = rng.standard_normal(tuple(parameter.shape))
        if "norm" in name and name.endswith("weight"):
            values = rng.uniform(0.5, 1.5, tuple(parameter.shape))
        elif name.endswith("bias"):
            values *= 0.2
        else:
            values *= 1.5 / np.sqrt(parameter.shape[-1])
        parameter.data = torch.from_numpy(values).float()
    return module.eval()


class Folder:
    """One module and its calls."""

    def __init__(self, out, name, module, config):
        self.path = out / name
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        self.rng = np.random.default_rng(sum(name.encode()))
        self.module, self.config, self.calls = randomise(module, self.rng), config, []
        save_file({key: value.contiguous() for key, value in module.state_dict().items()},
                  self.path / "model.safetensors")
        (self.path / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    def numbers(self, *shape):
        return torch.from_numpy(self.rng.standard_normal(shape)).float()

    def save(self, call, name, tensor):
        rows = tensor.reshape(-1, tensor.shape[-1])
        np.save(self.path / f"{call}_{name}.npy", rows.numpy().astype(np.float32))

    def call(self, name, run, x, key=None, value=None, lengths=None, mask=None, bias=None,
             causal=False, kv_lengths=None):
        """run(module, dtype): the output [batch, q_len, d_model], or that and maps."""
        exact, exact_maps = run(self.module.double(), torch.float64)
        single, single_maps = run(self.module.float(), torch.float32)
        real = torch.ones(x.shape[:2], dtype=torch.bool)
        if lengths is not None:
            real = torch.arange(x.shape[1]) < torch.tensor(lengths)[:, None]
        exact = torch.where(real[..., None], exact, 0)
        error = ((single - exact).abs() * real[..., None]).max()
        assert torch.isfinite(exact).all() and error < 1e-5, (name, error)
        for what, tensor in (("x", x), ("key", key), ("value", value), ("mask", mask),
                             ("bias", bias), ("out", exact), ("maps", exact_maps)):
            if tensor is not None:
                self.save(name, what, tensor)
        self.calls.append({
            "name": name, "batch": x.shape[0], "q_len": x.shape[1],
            "kv_len": (x if key is None else key).shape[1], "lengths": lengths,
            "kv_lengths": kv_lengths, "causal": causal, "float32_from_float64": float(error),
            "maps_float32_from_float64":
                None if exact_maps is None else float((single_maps - exact_maps).abs().max())})

    def finish(self):
        (self.path / "manifest.json").write_text(json.dumps({"calls": self.calls}, indent=2) + "\n")
        size = sum(path.stat().st_size for path in self.path.iterdir())
        print(f"{self.path.name:28} {size:7} bytes  {len(self.calls)} calls")


def swap(module_takes_batch_first, tensor):
    return tensor if module_takes_batch_first or tensor is None else tensor.transpose(0, 1)


def attention(out, name, d_model, n_heads, batch_first=True, **arguments):
    module = nn.MultiheadAttention(d_model, n_heads, batch_first=batch_first, **arguments)
    config = {"embed_dim": d_model, "num_heads": n_heads, "batch_first": batch_first, **arguments}
    config.pop("bias", None)
    folder = Folder(out, name, module, config)

    def add(call, batch, q_len, kv_len=None, lengths=None, mask=None, bias=None, causal=False):
        x = folder.numbers(batch, q_len, d_model)
        key = value = None
        if kv_len:
            key = folder.numbers(batch, kv_len, arguments.get("kdim", d_model))
            value = folder.numbers(batch, kv_len, arguments.get("vdim", d_model))
        attn_mask = bias
        if mask is not None:
            attn_mask = mask == 0
        if causal:
            attn_mask = torch.ones(q_len, q_len).triu(1).bool()

        def run(module, dtype):
            inputs = [swap(batch_first, t.to(dtype))
                      for t in (x, x if key is None else key, x if value is None else value)]
            padding = None
            if lengths is not None:
                padding = torch.arange(kv_len or q_len) >= torch.tensor(lengths)[:, None]
            given = attn_mask
            if given is not None and given.dtype != torch.bool:
                given = given.to(dtype)
            with torch.no_grad():
                y, maps = module(*inputs, key_padding_mask=padding, attn_mask=given,
                                 need_weights=True, average_attn_weights=False)
            if lengths is not None or "add_zero_attn" in arguments:
                maps = None
            return swap(batch_first, y), maps
        folder.call(call, run, x, key, value, None if kv_len else lengths, mask, bias, causal,
                    lengths if kv_len else None)
    return folder, add


def encoder(out, name, d_model, n_heads, d_ff, n_layers=0, final_norm=False, batch_first=True,
            **arguments):
    layer = nn.TransformerEncoderLayer(d_model, n_heads, d_ff, dropout=0.0, batch_first=batch_first,
                                       **arguments)
    norm = nn.LayerNorm(d_model, eps=arguments.get("layer_norm_eps", 1e-5)) if final_norm else None
    module = layer if n_layers == 0 else nn.TransformerEncoder(layer, n_layers, norm,
                                                               enable_nested_tensor=False)
    config = {"d_model": d_model, "nhead": n_heads, "batch_first": batch_first, **arguments}
    config.pop("bias", None)
    folder = Folder(out, name, module, config)

    def add(call, batch, n, lengths=None, mask=None, bias=None, causal=False, spread=1.0):
        x = folder.numbers(batch, n, d_model) * spread

        def run(module, dtype):
            given = None if bias is None else bias.to(dtype)
            if mask is not None:
                given = mask == 0
            if causal:
                given = torch.ones(n, n).triu(1).bool()
            padding = None
            if lengths is not None:
                padding = torch.arange(n) >= torch.tensor(lengths)[:, None]
            name = "src_mask" if n_layers == 0 else "mask"
            with torch.no_grad():
                y = module(swap(batch_first, x.to(dtype)), src_key_padding_mask=padding,
                           **{name: given})
            return swap(batch_first, y), None
        folder.call(call, run, x, None, None, lengths, mask, bias, causal)
    return folder, add


def padding_of(lengths, n):
    return None if lengths is None else torch.arange(n) >= torch.tensor(lengths)[:, None]


def self_maps(module, x, mask):
    """Probabilities of a single layer's attention to itself; None of other modules."""
    if not isinstance(module, nn.TransformerDecoderLayer):
        return None
    x = module.norm1(x) if module.norm_first else x
    return module.self_attn(x, x, x, attn_mask=mask, average_attn_weights=False)[1]


def decoder(out, name, module, config, transformer=False):
    """`module` takes tgt and memory, or, of nn.Transformer, src and tgt. With "causal" in its
    config, every call has a causal tgt_mask."""
    folder = Folder(out, name, module, config)
    first = config.get("batch_first", False)

    def add(call, batch, n, n_keys, lengths=None, kv_lengths=None, mask=None, bias=None,
            causal=False):
        x = folder.numbers(batch, n, config["d_model"])
        key = folder.numbers(batch, n_keys, config["d_model"])

        def run(module, dtype):
            given = None if bias is None else bias.to(dtype)
            if mask is not None:
                given = mask == 0
            if causal or config.get("causal"):
                given = torch.ones(n, n).triu(1).bool()
            masks = {"tgt_mask": given, "tgt_key_padding_mask": padding_of(lengths, n),
                     "memory_key_padding_mask": padding_of(kv_lengths, n_keys)}
            inputs = [swap(first, x.to(dtype)), swap(first, key.to(dtype))]
            if transformer:
                masks["src_key_padding_mask"] = masks["memory_key_padding_mask"]
                inputs.reverse()
            with torch.no_grad():
                maps = self_maps(module, inputs[0], given) if lengths is None else None
                return swap(first, module(*inputs, **masks)), maps
        folder.call(call, run, x, key, None, lengths, mask, bias, causal, kv_lengths)
        folder.calls[-1]["score_len"] = n
    return folder, add


def decoder_layer(d_model, n_heads, d_ff, **arguments):
    return nn.TransformerDecoderLayer(d_model, n_heads, d_ff, dropout=0.0, **arguments)


def make_decoders(out, want):
    if want("decoder_layer_post_norm"):
        module = decoder_layer(24, 3, 50, batch_first=True)
        folder, add = decoder(out, "decoder_layer_post_norm", module,
                              {"d_model": 24, "nhead": 3, "batch_first": True})
        add("plain", 2, 5, 8)
        add("lengths", 3, 9, 6, lengths=[9, 4, 1], kv_lengths=[2, 6, 5])
        add("mask", 2, 7, 4, mask=random_mask(folder, 7, 7))
        add("bias", 2, 7, 3, bias=folder.numbers(7, 7))
        add("causal", 2, 11, 5, causal=True)
        folder.finish()
    if want("decoder_layer_pre_norm_no_bias_seq_first"):
        module = decoder_layer(21, 3, 40, norm_first=True, bias=False, activation="gelu",
                               layer_norm_eps=1e-3)
        folder, add = decoder(out, "decoder_layer_pre_norm_no_bias_seq_first", module,
                              {"d_model": 21, "nhead": 3, "norm_first": True, "bias": False,
                               "activation": "gelu", "layer_norm_eps": 1e-3})
        add("plain", 3, 5, 1)
        add("causal", 1, 12, 30, causal=True)
        folder.finish()
    if want("decoder_post_norm"):
        module = nn.TransformerDecoder(decoder_layer(24, 4, 32, batch_first=True), 2)
        folder, add = decoder(out, "decoder_post_norm", module,
                              {"d_model": 24, "nhead": 4, "batch_first": True, "num_layers": 2})
        add("plain", 2, 6, 9)
        add("lengths", 3, 10, 7, lengths=[2, 10, 7], kv_lengths=[7, 1, 3])
        folder.finish()
    if want("decoder_pre_norm_final_causal"):
        module = nn.TransformerDecoder(
            decoder_layer(20, 4, 33, norm_first=True, activation="gelu", batch_first=True), 3,
            nn.LayerNorm(20))
        folder, add = decoder(out, "decoder_pre_norm_final_causal", module,
                              {"d_model": 20, "nhead": 4, "norm_first": True, "activation": "gelu",
                               "batch_first": True, "causal": True})
        add("plain", 2, 6, 5)
        add("lengths", 2, 8, 11, lengths=[8, 5], kv_lengths=[4, 11])
        folder.finish()
    if want("transformer_post_norm"):
        arguments = {"d_model": 16, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 3,
                     "dim_feedforward": 24, "batch_first": True}
        folder, add = decoder(out, "transformer_post_norm",
                              nn.Transformer(**arguments, dropout=0.0), arguments, True)
        add("plain", 2, 6, 9)
        add("lengths_causal", 3, 7, 8, kv_lengths=[8, 2, 5], causal=True)
        add("mask_and_lengths", 2, 5, 6, lengths=[5, 3], kv_lengths=[1, 6],
            mask=random_mask(folder, 5, 5))
        folder.finish()
    if want("transformer_pre_norm_seq_first_causal"):
        arguments = {"d_model": 20, "nhead": 2, "num_encoder_layers": 1, "num_decoder_layers": 1,
                     "dim_feedforward": 40, "norm_first": True, "activation": "gelu",
                     "bias": False}
        folder, add = decoder(out, "transformer_pre_norm_seq_first_causal",
                              nn.Transformer(**arguments, dropout=0.0),
                              {**arguments, "causal": True}, True)
        add("plain", 2, 9, 4)
        folder.finish()


def random_mask(folder, q_len, kv_len):
    mask = torch.from_numpy(folder.rng.random((q_len, kv_len)) < 0.7).float()
    mask[:, 0] = 1  # a key for every query
    return mask


def make(out, wanted):
    def want(name):
        return not wanted or name in wanted
    if want("attention"):
        folder, add = attention(out, "attention", 24, 3)
        add("plain", 2, 5)
        add("lengths", 3, 9, lengths=[9, 4, 1])
        add("mask", 2, 7, mask=random_mask(folder, 7, 7))
        add("bias", 2, 7, bias=folder.numbers(7, 7))
        add("causal", 2, 11, causal=True)
        folder.finish()
    if want("attention_seq_first_no_bias"):
        folder, add = attention(out, "attention_seq_first_no_bias", 35, 5, batch_first=False,
                                bias=False)
        add("plain", 3, 6)
        add("lengths", 2, 8, lengths=[3, 8])
        folder.finish()
    if want("attention_cross_kdim_vdim"):
        folder, add = attention(out, "attention_cross_kdim_vdim", 40, 5, kdim=12, vdim=17)
        add("plain", 2, 4, 9)
        add("lengths", 2, 3, 6, lengths=[6, 2])
        add("mask", 1, 5, 8, mask=random_mask(folder, 5, 8))
        folder.finish()
    if want("attention_zero"):
        folder, add = attention(out, "attention_zero", 16, 2, add_zero_attn=True)
        add("plain", 2, 5)
        folder.finish()
    if want("layer_post_norm_relu"):
        folder, add = encoder(out, "layer_post_norm_relu", 24, 3, 50)
        add("plain", 2, 6)
        add("lengths", 3, 9, lengths=[9, 4, 1])
        add("mask", 2, 7, mask=random_mask(folder, 7, 7))
        add("bias", 2, 7, bias=folder.numbers(7, 7))
        folder.finish()
    if want("layer_pre_norm_gelu"):
        folder, add = encoder(out, "layer_pre_norm_gelu", 64, 4, 33, norm_first=True,
                              activation="gelu", layer_norm_eps=1e-3)
        add("plain", 2, 6)
        add("causal", 1, 12, causal=True)
        folder.finish()
    if want("layer_no_bias_seq_first"):
        folder, add = encoder(out, "layer_no_bias_seq_first", 21, 3, 40, bias=False,
                              batch_first=False)
        add("plain", 3, 5)
        folder.finish()
    if want("layer_large_activations"):  # scores of 1e6, 1e10 and 1e30
        folder, add = encoder(out, "layer_large_activations", 8, 2, 16)
        for call, spread in (("thousands", 1e3), ("hundred_thousands", 3e5), ("largest", 1e15)):
            add(call, 2, 5, spread=spread)
        folder.finish()
    if want("encoder_post_norm"):
        folder, add = encoder(out, "encoder_post_norm", 32, 4, 48, n_layers=2, activation="gelu")
        add("plain", 2, 6)
        add("lengths", 3, 10, lengths=[2, 10, 7])
        folder.finish()
    if want("encoder_pre_norm_final"):
        folder, add = encoder(out, "encoder_pre_norm_final", 40, 5, 64, n_layers=3, final_norm=True,
                              norm_first=True)
        add("plain", 2, 6)
        add("mask_and_lengths", 2, 8, lengths=[8, 5], mask=random_mask(folder, 8, 8))
        folder.finish()
    make_decoders(out, want)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("names", nargs="*", help="folders to make; all if none is named")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    make(arguments.out, arguments.names)


if __name__ == "__main__":
    main()

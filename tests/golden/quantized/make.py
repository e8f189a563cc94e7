"""Writes small Llamas whose weights are quantised, as other programs write them.

    python make.py AUTO_GPTQ AUTO_AWQ [NAME ...]

AUTO_GPTQ and AUTO_AWQ are the folders of the packages auto_gptq 0.7.1 and awq (autoawq 0.2.9), of
which single files are read; compressed-tensors 0.20.1 and transformers are installed.

    NAME/config.json, NAME/model.safetensors    the folder
    NAME/expected.safetensors    two of its weights in f32: q_proj and down_proj

What a weight is comes from codes, zeros and scales that are chosen here, in float64: (code - zero)
times scale. The other program's own code has to make the same of what was packed.
"""

import argparse
import importlib.util
import json
import pathlib

import numpy as np
import safetensors.torch
import torch
import transformers

HIDDEN, HEAD, HEADS, KV, INNER, WORDS = 64, 16, 2, 2, 32, 16
LAYER = "model.layers.0."
MODULES = {"self_attn.q_proj": (HEADS * HEAD, HIDDEN), "self_attn.k_proj": (KV * HEAD, HIDDEN),
           "self_attn.v_proj": (KV * HEAD, HIDDEN), "self_attn.o_proj": (HIDDEN, HEADS * HEAD),
           "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN),
           "mlp.down_proj": (HIDDEN, INNER)}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Coded:
    """Codes [n, k], and a scale and a zero for each group of each row."""

    def __init__(self, random, shape, bits, group, symmetric, dtype, groups=None):
        n, k = shape
        self.n_groups = 1 if group == -1 else k // group
        self.codes = random.integers(0, 2**bits, shape)
        self.zeros = np.full((n, self.n_groups), 2**(bits - 1))
        if not symmetric:  # 0 is no zero that GPTQ's first format can have
            self.zeros = random.integers(1, 2**bits, (n, self.n_groups))
        scales = random.uniform(0.001, 0.02, (n, self.n_groups))
        self.scales = torch.tensor(scales).to(dtype)
        self.groups = np.arange(k) // (k if group == -1 else group) if groups is None else groups

    def weight(self):
        scales = self.scales.double().numpy()
        return (self.codes - self.zeros[:, self.groups]) * scales[:, self.groups]


def as_words(codes, bits, axis):
    """Neighbours along an axis in words of 32 bits, the first in the lowest bits."""
    codes = np.moveaxis(codes, axis, -1).astype(np.uint32)
    codes = codes.reshape(*codes.shape[:-1], -1, 32 // bits)
    words = np.bitwise_or.reduce(codes << (bits * np.arange(32 // bits, dtype=np.uint32)), axis=-1)
    return torch.tensor(np.ascontiguousarray(np.moveaxis(words, -1, axis)).view(np.int32))


def same(ours, theirs):
    """The same numbers, those of the other program being of its own type."""
    theirs = theirs.detach()
    assert torch.equal(torch.tensor(ours).to(theirs.dtype), theirs), "another program differs"


def gptq(random, shape, tools, bits=4, group=32, symmetric=False):
    coded = Coded(random, shape, bits, group, symmetric, torch.float16)
    n, k = shape
    module = tools.gptq.QuantLinear(bits, group, k, n, False, weight_dtype=torch.float32)
    linear = torch.nn.Linear(k, n, bias=False)
    linear.weight.data = torch.tensor(coded.weight()).float()
    scales = coded.scales.float()
    module.pack(linear, scales, torch.tensor(coded.zeros).float(), None)
    same(coded.weight().T, module.forward(torch.eye(k)))
    return coded.weight(), {"qweight": module.qweight, "qzeros": module.qzeros,
                            "scales": coded.scales.T.contiguous(),
                            "g_idx": torch.tensor(coded.groups, dtype=torch.int32)}


def gptq_order(random, shape, tools):
    """The second format, whose zeros are as they are, and columns in any order."""
    n, k = shape
    groups = random.permutation(np.arange(k) // 16)
    coded = Coded(random, shape, 4, 16, True, torch.float16, groups)
    return coded.weight(), {"qweight": as_words(coded.codes.T, 4, 0),
                            "qzeros": as_words(coded.zeros.T, 4, 1),
                            "scales": coded.scales.T.contiguous(),
                            "g_idx": torch.tensor(groups, dtype=torch.int32)}


def awq(random, shape, tools):
    group = 32
    coded = Coded(random, shape, 4, group, False, torch.float16)
    order = np.arange(shape[0]).reshape(-1, 8)[:, [0, 2, 4, 6, 1, 3, 5, 7]].reshape(-1)
    parts = {"qweight": as_words(coded.codes.T[:, order], 4, 1),
             "qzeros": as_words(coded.zeros.T[:, order], 4, 1),
             "scales": coded.scales.T.contiguous()}
    theirs = tools.awq.dequantize_gemm(parts["qweight"], parts["qzeros"], parts["scales"].float(), 4,
                                       group)
    same(coded.weight().T, theirs)
    return coded.weight(), parts


def compressed(random, shape, tools, weights, kind, dtype=torch.bfloat16):
    """By compressed-tensors itself, which packs what it quantises with these scales and zeros."""
    from compressed_tensors.quantization import QuantizationScheme
    from compressed_tensors.compressors.base import BaseCompressor
    import compressed_tensors.compressors  # noqa: F401: registers them
    bits, group = weights["num_bits"], weights.get("group_size") or -1
    coded = Coded(random, shape, bits, group, weights["symmetric"], dtype)
    scheme = QuantizationScheme(targets=["Linear"], weights=weights)
    middle = 2**(bits - 1)
    state = {"weight": torch.tensor(coded.weight()).float(), "weight_scale": coded.scales.float()}
    if not weights["symmetric"]:
        state["weight_zero_point"] = torch.tensor(coded.zeros - middle, dtype=torch.int8)
    compressor = BaseCompressor.get_value_from_registry(kind)
    parts = compressor.compress(dict(state), scheme)
    same(coded.weight(), compressor.decompress(dict(parts), scheme)["weight"])
    parts["weight_scale"] = coded.scales
    return coded.weight(), {key: value.contiguous() for key, value in parts.items()}


def fp8_codes(random, shape):
    """All that is a number, at random."""
    codes = random.integers(0, 256, shape, dtype=np.uint8)
    codes[(codes & 127) == 127] = 0
    return torch.tensor(codes).view(torch.float8_e4m3fn)


def fp8(random, shape, tools):
    block = 16
    codes = fp8_codes(random, shape)
    scales = torch.tensor(random.uniform(1e-4, 1e-3, (shape[0] // block, shape[1] // block)))
    scales = scales.float()
    grid = scales.repeat_interleave(block, 0).repeat_interleave(block, 1)
    weight = codes.double() * grid.double()
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize
    same(weight.numpy(), Fp8Dequantize(None)._dequantize_one(codes, scales))
    return weight.numpy(), {"weight": codes, "weight_scale_inv": scales}


def fp8_rows(random, shape, tools):
    codes = fp8_codes(random, shape)
    scales = torch.tensor(random.uniform(1e-4, 1e-3, (shape[0], 1))).float()
    return (codes.double() * scales.double()).numpy(), {"weight": codes, "weight_scale": scales}


def scheme(kind, weights, activations=None):
    return {"quant_method": "compressed-tensors", "format": kind,
            "quantization_status": "compressed", "ignore": ["lm_head"], "kv_cache_scheme": None,
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights,
                                          "input_activations": activations,
                                          "output_activations": None}}}


def integers(bits, group, symmetric):
    return {"num_bits": bits, "type": "int", "symmetric": symmetric, "group_size": group,
            "strategy": "group" if group else "channel"}


def gptq_config(**fields):
    return {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": False,
            "damp_percent": 0.1, "true_sequential": True} | fields


FLOATS = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}
DYNAMIC = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "token", "dynamic": True}
PACKED, PACKED_ZEROS = integers(4, 32, True), integers(4, 32, False)
BYTES, BYTES_PACKED = integers(8, None, True), integers(8, 32, False)
FOLDERS = {
    "gptq": (gptq, gptq_config()),
    "gptq_8_bits": (lambda *args: gptq(*args, bits=8, group=-1, symmetric=True),
                    gptq_config(bits=8, group_size=-1, sym=True, checkpoint_format="gptq")),
    "gptq_order": (gptq_order, gptq_config(group_size=16, sym=True, desc_act=True,
                                           checkpoint_format="gptq_v2")),
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True,
                  "version": "gemm", "modules_to_not_convert": ["lm_head"]}),
    "packed": (lambda *args: compressed(*args, PACKED, "pack-quantized"),
               scheme("pack-quantized", PACKED)),
    "packed_zeros": (lambda *args: compressed(*args, PACKED_ZEROS, "pack-quantized", torch.float16),
                     scheme("pack-quantized", PACKED_ZEROS)),
    "packed_8_bits": (lambda *args: compressed(*args, BYTES_PACKED, "pack-quantized"),
                      scheme("pack-quantized", BYTES_PACKED)),
    "bytes": (lambda *args: compressed(*args, BYTES, "int-quantized"),
              scheme("int-quantized", BYTES)),
    "fp8": (fp8, {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                  "weight_block_size": [16, 16]}),
    "fp8_rows": (fp8_rows, scheme("float-quantized", FLOATS, DYNAMIC)),
    "fbgemm": (fp8_rows, {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0,
                          "modules_to_not_convert": ["lm_head"]}),
}


def write(name, here, tools):
    make, quantization = FOLDERS[name]
    random = np.random.default_rng(list(FOLDERS).index(name))
    config = transformers.LlamaConfig(
        vocab_size=WORDS, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=1,
        num_attention_heads=HEADS, num_key_value_heads=KV, head_dim=HEAD,
        max_position_embeddings=64, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)
    config.architectures = ["LlamaForCausalLM"]
    folder = here / name
    folder.mkdir(exist_ok=True)
    tensors = {}
    for norm in ("input_layernorm", "post_attention_layernorm"):
        tensors[LAYER + norm + ".weight"] = torch.ones(HIDDEN)
    tensors["model.norm.weight"] = torch.ones(HIDDEN)
    for words in ("model.embed_tokens", "lm_head"):
        tensors[words + ".weight"] = torch.tensor(random.normal(size=(WORDS, HIDDEN))).bfloat16()
    expected = {}
    for module, shape in MODULES.items():
        weight, parts = make(random, shape, tools)
        for part, tensor in parts.items():
            tensors[f"{LAYER}{module}.{part}"] = tensor.contiguous()
        if quantization["quant_method"] == "gptq" and module == "mlp.up_proj":
            tensors[f"{LAYER}{module}.bias"] = torch.zeros(shape[0], dtype=torch.float16)
        if module in ("self_attn.q_proj", "mlp.down_proj"):
            expected[module.split(".")[1]] = torch.tensor(weight).float()
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    safetensors.torch.save_file(expected, folder / "expected.safetensors")
    fields = json.loads(config.to_json_string()) | {"quantization_config": quantization}
    (folder / "config.json").write_text(json.dumps(fields, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("auto_gptq", type=pathlib.Path)
    parser.add_argument("auto_awq", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=list(FOLDERS))
    args = parser.parse_args()
    tools = argparse.Namespace(
        gptq=load(args.auto_gptq / "nn_modules/qlinear/qlinear_cuda_old.py"),
        awq=load(args.auto_awq / "utils/packing_utils.py"))
    for name in args.names:
        write(name, pathlib.Path(__file__).parent, tools)


if __name__ == "__main__":
    main()

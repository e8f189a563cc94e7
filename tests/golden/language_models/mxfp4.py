"""Experts of gpt-oss in MXFP4, as OpenAI's folders have them: codes of 4 bits (E2M1), two in a byte, of
which 32 along a row share a power of two. transformers' own code widens them, as a check.
"""

import json

import safetensors.torch
import torch
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

VALUES = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
VALUES = torch.cat([VALUES, -VALUES])
BIAS = 127  # of a scale's exponent


def code(weight):
    """Blocks and scales of a weight [n, k, rows], and what they stand for, likewise."""
    groups = weight.transpose(1, 2).unflatten(-1, (-1, 32))
    exponents = groups.abs().amax(-1, keepdim=True).log2().floor() - 2
    codes = (groups * 2.0**-exponents)[..., None].sub(VALUES).abs().argmin(-1).to(torch.uint8)
    blocks = codes[..., ::2] | codes[..., 1::2] << 4
    scales = (exponents.squeeze(-1) + BIAS).to(torch.uint8)
    rounded = (VALUES[codes.long()] * 2.0**exponents).flatten(2).transpose(1, 2).contiguous()
    theirs = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    assert torch.equal(rounded, theirs), "transformers widens them otherwise"
    return blocks.contiguous(), scales, rounded


def round_experts(model):
    """Gives the experts weights that MXFP4 has, and returns the tensors that are to stand for them."""
    tensors = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
                blocks, scales, rounded = code(p)
                p.copy_(rounded)
                tensors |= {name + "_blocks": blocks, name + "_scales": scales}
    return tensors


def replace_experts(folder, coded):
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    for name in coded:
        tensors.pop(name.rsplit("_", 1)[0], None)
    safetensors.torch.save_file(tensors | coded, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "mxfp4", "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")

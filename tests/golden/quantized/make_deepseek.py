"""Writes a small DeepSeek V3 in FP8, as its makers do: each block of 16 x 16 weights has a scale.

    python make_deepseek.py

    deepseek_fp8/config.json, deepseek_fp8/model.safetensors    the folder
    deepseek_fp8/plain/                                         the same folder with weights in f32

Of the products, all but the routers are quantised. Blocks at the ends of rows and columns are smaller.
A weight is its code times the scale of its block, rounded once.
"""

import json
import pathlib

import safetensors.torch
import torch
import transformers

BLOCK = 16
CONFIG = {"vocab_size": 16, "hidden_size": 40, "intermediate_size": 24, "moe_intermediate_size": 16,
          "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
          "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
          "first_k_dense_replace": 1, "kv_lora_rank": 20, "q_lora_rank": 24, "qk_rope_head_dim": 6,
          "qk_nope_head_dim": 10, "v_head_dim": 8, "max_position_embeddings": 64, "bos_token_id": 1,
          "eos_token_id": 2}


def is_quantized(name, tensor):
    others = ("embed_tokens", "lm_head", "mlp.gate.")
    return tensor.dim() == 2 and not any(other in name for other in others)


def quantized(weight):
    """The codes, the scales of blocks, and what they are."""
    rows, columns = weight.shape
    scales = torch.rand(-(-rows // BLOCK), -(-columns // BLOCK)) * 0.01 + 0.001
    grid = scales.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)[:rows, :columns]
    codes = (weight / grid).clamp(-448, 448).to(torch.float8_e4m3fn)
    return codes, scales, (codes.double() * grid.double()).float()


def write(folder, config, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def main():
    torch.manual_seed(0)
    model = transformers.DeepseekV3ForCausalLM(transformers.DeepseekV3Config(**CONFIG))
    folder = pathlib.Path(__file__).parent / "deepseek_fp8"
    model.save_pretrained(folder / "plain")
    (folder / "plain/generation_config.json").unlink()
    config = json.loads((folder / "plain/config.json").read_text())
    tensors = safetensors.torch.load_file(folder / "plain/model.safetensors")
    codes, plain = {}, {}
    for name, tensor in tensors.items():
        if not is_quantized(name, tensor):
            tensor = torch.randn_like(tensor)
            codes[name] = plain[name] = tensor
            continue
        codes[name], codes[name + "_scale_inv"], plain[name] = quantized(torch.randn_like(tensor))
    write(folder / "plain", config, plain)
    write(folder, config | {"quantization_config": {
        "quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
        "weight_block_size": [BLOCK, BLOCK]}}, codes)


if __name__ == "__main__":
    main()

"""Baichuan 1 and 2, 7B and 13B, in plain PyTorch, from what their makers published of them (Yang et
al. 2023, "Baichuan 2: Open Large-scale Language Models", and the models' own descriptions).

They are built as Llama is: norms by the root of the mean square before attention and feed-forward, a
gated feed-forward with SiLU. One product, W_pack, has the rows of q, then of k, then of v. 7B has
rotary positions of base 10000, and 13B has ALiBi (Press et al. 2021), whose config has no field
"max_position_embeddings". In Baichuan 2 each row of the head has length 1 (NormHead).

Nothing is kept from step to step: each computes all tokens again.
"""

import math

import torch
import transformers
from transformers.modeling_outputs import CausalLMOutput


class BaichuanConfig(transformers.PretrainedConfig):
    model_type = "baichuan"

    def __init__(self, normed_head=False, **fields):
        super().__init__(use_cache=False, **fields)
        self.has_alibi = not hasattr(self, "max_position_embeddings")
        if normed_head:
            self.z_loss_weight = 0


class Norm(torch.nn.Module):
    def __init__(self, d, eps):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(d))
        self.eps = eps

    def forward(self, x):
        return self.weight * x / (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()


def slopes(n):
    def powers(count):
        return [2 ** (-8 * (i + 1) / count) for i in range(count)]
    power = 2 ** int(math.log2(n))
    return powers(power) + powers(2 * power)[0::2][:n - power]


def turn(x):  # [.., tokens, columns]
    half = x.shape[-1] // 2
    wavelengths = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * wavelengths
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Attention(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        d = config.hidden_size
        self.n_heads, self.has_alibi = config.num_attention_heads, config.has_alibi
        self.W_pack = torch.nn.Linear(d, 3 * d, bias=False)
        self.o_proj = torch.nn.Linear(d, d, bias=False)

    def forward(self, x):
        n, d = x.shape[1:]
        q, k, v = (part.view(-1, n, self.n_heads, d // self.n_heads).transpose(1, 2)
                   for part in self.W_pack(x).chunk(3, -1))
        if not self.has_alibi:
            q, k = turn(q), turn(k)
        scores = q @ k.transpose(-1, -2) / math.sqrt(d // self.n_heads)
        distances = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        if self.has_alibi:
            scores = scores + torch.tensor(slopes(self.n_heads), dtype=x.dtype)[:, None, None] * distances
        scores = scores.masked_fill(distances > 0, -math.inf)
        return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, n, d))


class FeedForward(torch.nn.Module):
    def __init__(self, d, d_ff):
        super().__init__()
        self.gate_proj = torch.nn.Linear(d, d_ff, bias=False)
        self.up_proj = torch.nn.Linear(d, d_ff, bias=False)
        self.down_proj = torch.nn.Linear(d_ff, d, bias=False)

    def forward(self, x):
        return self.down_proj(torch.nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.input_layernorm = Norm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = Norm(config.hidden_size, config.rms_norm_eps)
        self.mlp = FeedForward(config.hidden_size, config.intermediate_size)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = torch.nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = torch.nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = Norm(config.hidden_size, config.rms_norm_eps)


class BaichuanForCausalLM(transformers.PreTrainedModel, transformers.GenerationMixin):
    config_class = BaichuanConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = Body(config)
        self.lm_head = torch.nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module):
        pass

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}

    def forward(self, input_ids, **_):
        x = self.model.embed_tokens(input_ids)
        for layer in self.model.layers:
            x = layer(x)
        head = self.lm_head.weight
        if hasattr(self.config, "z_loss_weight"):
            head = head / head.norm(dim=-1, keepdim=True)
        return CausalLMOutput(logits=self.model.norm(x) @ head.T)

"""The small language models that make.py makes, by the names of their folders. Their order is that of
their seeds, so new ones come last.

A recipe has transformers' class and the fields of its config, and what else is odd: `head`, what the
class is called behind its family; `plain`, that COMMON is left out; `saved`, the type of the file's
weights; `old` and `own`, fields that config.json has beside those, and `drop`, fields that it lacks;
`by_room`, that positions depend on the room of a sequence; `tokenizer`, whose texts are prompts;
`mxfp4`, that experts are in MXFP4; `attention`, the form in which transformers computes it, if not eager; and how many `prompts` there
are, if not 200.
"""

import torch

COMMON = {"hidden_size": 24, "intermediate_size": 37, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 640,
          "rms_norm_eps": 1e-5}
GEMMA = {"head_dim": 10, "num_key_value_heads": 2}
SEEING = {"mm_tokens_per_image": 4, "vision_config": {
    "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
    "image_size": 28, "patch_size": 14, "vision_use_head": False}}
LATENTS = {"num_key_value_heads": 4, "qk_nope_head_dim": 10, "qk_rope_head_dim": 6, "v_head_dim": 8,
           "kv_lora_rank": 20, "moe_intermediate_size": 11}
IDS = {"vocab_size": 97, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
MODELS = {
    "llama_3_1": dict(type="Llama", why="three bands of rotary wavelengths; biases everywhere; a "
        "width of heads of its own; two ends",
        config=dict(head_dim=10, attention_bias=True, mlp_bias=True, eos_token_id=[2, 5],
            rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0,
                low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=64))),
    "llama_2": dict(type="Llama", why="as many heads of keys as of queries; tied words; odd sizes; "
        "the older spelling of rotary positions; saved in bf16",
        config=dict(num_attention_heads=3, num_key_value_heads=3, hidden_size=30,
            tie_word_embeddings=True), saved=torch.bfloat16, old=dict(rope_theta=10000.0)),
    "llama_linear": dict(type="Llama", why="stretched positions; one head of keys; three layers; "
        "GELU",
        config=dict(num_key_value_heads=1, num_hidden_layers=3, hidden_act="gelu_pytorch_tanh",
            rope_parameters=dict(rope_type="linear", rope_theta=20000.0, factor=3.0))),
    "llama_yarn": dict(type="Llama", why="YaRN",
        config=dict(rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
            original_max_position_embeddings=32))),
    "llama_dynamic": dict(type="Llama", prompts=16, by_room=True, why="a base that grows with the "
        "room of a sequence, in the older spelling", config=dict(max_position_embeddings=160,
            rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0)),
        old=dict(rope_theta=10000.0, rope_scaling=dict(type="dynamic", factor=4.0))),
    "mistral": dict(type="Mistral", why="a window on all layers; heads wider than hidden / heads",
        config=dict(head_dim=12, sliding_window=17)),
    "mistral_no_window": dict(type="Mistral", why="no window; ReLU; saved in f16",
        config=dict(sliding_window=None, hidden_act="relu"), saved=torch.float16),
    "mistral_window_2": dict(type="Mistral", why="each token sees itself and the one before it",
        config=dict(sliding_window=2)),
    "qwen2": dict(type="Qwen2", why="biases of q, k and v; tied words; no window is used",
        config=dict(tie_word_embeddings=True, sliding_window=9, use_sliding_window=False)),
    "qwen2_window": dict(type="Qwen2", why="the last two of three layers have a window",
        config=dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=9,
            max_window_layers=1)),
    "qwen2_layer_types": dict(type="Qwen2", why="windows by the names of layers",
        config=dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=5,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "gpt2": dict(type="GPT2", head="LMHeadModel", why="learned positions; GELU by tanh",
        config=dict(n_embd=24, n_layer=2, n_head=3, n_positions=640)),
    "gpt2_own_head": dict(type="GPT2", head="LMHeadModel", why="a head of its own; a feed-forward "
        "of a width of its own; ReLU; saved in f16", saved=torch.float16,
        config=dict(n_embd=20, n_layer=3, n_head=5, n_positions=640, n_inner=33,
            activation_function="relu", tie_word_embeddings=False)),
    "gpt2_bf16": dict(type="GPT2", head="LMHeadModel", why="one head; saved in bf16",
        saved=torch.bfloat16, config=dict(n_embd=16, n_layer=2, n_head=1, n_positions=640)),
    "llama_texts": dict(type="Llama", why="texts, by a tokenizer with spaces in words and bytes in "
        "place of rare characters", tokenizer="llama2", saved=torch.bfloat16,
        config=dict(vocab_size=1500, tie_word_embeddings=True)),
    "qwen2_texts": dict(type="Qwen2", why="texts, by a tokenizer of bytes", tokenizer="qwen2",
        saved=torch.bfloat16, config=dict(vocab_size=1000, tie_word_embeddings=True)),
    "qwen3": dict(type="Qwen3", prompts=16, why="norms of queries and keys; biases; wider heads",
        config=dict(head_dim=10, attention_bias=True, hidden_act="gelu")),
    "qwen3_window": dict(type="Qwen3", prompts=16, why="windows from layer 1 on; YaRN; tied words; "
        "saved in bf16", saved=torch.bfloat16,
        config=dict(head_dim=12, num_hidden_layers=3, num_key_value_heads=1, tie_word_embeddings=True,
            use_sliding_window=True, sliding_window=7, max_window_layers=1,
            rope_parameters=dict(rope_type="yarn", rope_theta=1000000.0, factor=4.0,
                original_max_position_embeddings=160))),
    "qwen3_layer_types": dict(type="Qwen3", prompts=16, why="windows by the names of layers; the "
        "older spelling of rotary positions; as many heads of keys as of queries",
        config=dict(head_dim=6, num_key_value_heads=4, num_hidden_layers=3, use_sliding_window=True,
            sliding_window=5,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
        old=dict(rope_theta=5000.0, rope_scaling=dict(type="linear", factor=2.0))),
    "gemma": dict(type="Gemma", prompts=16, why="words are multiplied; norms' weights less 1; wide "
        "heads; biases", config=GEMMA | dict(attention_bias=True)),
    "gemma_one_kv": dict(type="Gemma", prompts=16, why="one head of keys; a head of its own; odd "
        "sizes; the older name of GELU by tanh; saved in bf16", saved=torch.bfloat16,
        config=dict(hidden_size=30, num_attention_heads=3, num_key_value_heads=1, head_dim=14,
            tie_word_embeddings=False), old=dict(rope_theta=10000.0, hidden_act="gelu")),
    "gemma_linear": dict(type="Gemma", prompts=16, why="stretched positions; three layers; SiLU",
        config=GEMMA | dict(num_hidden_layers=3, hidden_act="silu",
            rope_parameters=dict(rope_type="linear", rope_theta=20000.0, factor=3.0))),
    "gemma2": dict(type="Gemma2", prompts=16, why="caps of scores and of logits; the first and the "
        "third layer have a window; another scale of scores", config=GEMMA | dict(
            num_hidden_layers=3, sliding_window=9, query_pre_attn_scalar=7,
            attn_logit_softcapping=1.5, final_logit_softcapping=2.0)),
    "gemma2_no_caps": dict(type="Gemma2", prompts=16, why="no caps; biases; windows by the names of "
        "layers; a head of its own; odd sizes; saved in bf16", saved=torch.bfloat16,
        config=dict(hidden_size=30, num_attention_heads=3, num_key_value_heads=1, head_dim=14,
            sliding_window=2, attention_bias=True, tie_word_embeddings=False,
            attn_logit_softcapping=None, final_logit_softcapping=None,
            layer_types=["full_attention", "sliding_attention"])),
    "gemma2_old": dict(type="Gemma2", prompts=16, why="the older spelling, without names of layers; "
        "stretched positions; SiLU", config=GEMMA | dict(num_hidden_layers=4, sliding_window=5,
            hidden_activation="silu", final_logit_softcapping=3.0,
            rope_parameters=dict(rope_type="linear", rope_theta=7000.0, factor=2.0)),
        old=dict(rope_theta=7000.0, rope_scaling=dict(rope_type="linear", factor=2.0)),
        drop=["layer_types"]),
    "gemma3": dict(type="Gemma3", config_class="Gemma3Text", prompts=16, why="every third layer is "
        "without a window and has stretched positions of another base; norms of queries and keys; "
        "another scale of scores", config=GEMMA | dict(num_hidden_layers=4, sliding_window=9,
            sliding_window_pattern=3, query_pre_attn_scalar=7,
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0),
                sliding_attention=dict(rope_type="default", rope_theta=10000.0)))),
    "gemma3_old": dict(type="Gemma3", config_class="Gemma3Text", prompts=16, why="the older spelling "
        "of both kinds of positions; every sixth layer is without a window; a head of its own; odd "
        "sizes; saved in bf16", saved=torch.bfloat16,
        config=dict(hidden_size=30, num_attention_heads=3, num_key_value_heads=1, head_dim=14,
            num_hidden_layers=7, sliding_window=5, tie_word_embeddings=False,
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", rope_theta=500000.0, factor=2.0),
                sliding_attention=dict(rope_type="default", rope_theta=7000.0))),
        old=dict(rope_theta=500000.0, rope_local_base_freq=7000.0,
            rope_scaling=dict(rope_type="linear", factor=2.0)), drop=["layer_types"]),
    "gemma3_layer_types": dict(type="Gemma3", config_class="Gemma3Text", prompts=16, why="windows by "
        "the names of layers; biases; ReLU; three bands of wavelengths for one kind of layers",
        config=GEMMA | dict(num_hidden_layers=3, sliding_window=2, attention_bias=True,
            hidden_activation="relu",
            layer_types=["full_attention", "sliding_attention", "full_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0,
                    low_freq_factor=1.0, high_freq_factor=4.0,
                    original_max_position_embeddings=64),
                sliding_attention=dict(rope_type="default", rope_theta=300.0)))),
    "gemma3_images": dict(type="Gemma3", plain=True, head="ForConditionalGeneration", prompts=16,
        why="a part for images, which is left out", config=dict(SEEING, text_config=COMMON | IDS |
            GEMMA | dict(num_hidden_layers=3, sliding_window=9, query_pre_attn_scalar=7,
                layer_types=["sliding_attention", "full_attention", "sliding_attention"]))),
    "gemma3_images_head": dict(type="Gemma3", plain=True, head="ForConditionalGeneration",
        prompts=16, why="a head of its own, which the field beside the text part says; saved in bf16",
        saved=torch.bfloat16, config=dict(SEEING, tie_word_embeddings=False, text_config=COMMON |
            IDS | GEMMA | dict(hidden_size=30, num_attention_heads=3, num_key_value_heads=1,
                head_dim=14, num_hidden_layers=2, sliding_window=5))),
    "gemma3_images_old": dict(type="Gemma3", plain=True, head="ForConditionalGeneration",
        prompts=16, why="the older spelling; stretched positions", config=dict(SEEING,
            text_config=COMMON | IDS | GEMMA | dict(num_hidden_layers=7, sliding_window=6,
                rope_parameters=dict(
                    full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0),
                    sliding_attention=dict(rope_type="default", rope_theta=10000.0)))),
        old=dict(rope_scaling=dict(rope_type="linear", factor=8.0)), drop=["layer_types"]),
    "phi3": dict(type="Phi3", prompts=16, why="q, k and v in one tensor, gate and up in one; half of "
        "each head turns; a window; two ends", config=dict(sliding_window=9, eos_token_id=[2, 5],
            rope_parameters=dict(rope_type="default", rope_theta=20000.0, partial_rotary_factor=0.67))),
    "phi3_odd": dict(type="Phi3", prompts=16, why="odd sizes; as many heads of keys as of queries; "
        "tied words; ReLU; saved in bf16", saved=torch.bfloat16,
        config=dict(hidden_size=30, num_attention_heads=3, num_key_value_heads=None,
            tie_word_embeddings=True, hidden_act="relu")),
    "phi3_old": dict(type="Phi3", prompts=16, why="the older spelling of rotary positions and of the "
        "part that turns; one head of keys; three layers", config=dict(num_hidden_layers=3,
            num_key_value_heads=1, rope_parameters=dict(rope_type="default", rope_theta=5000.0,
                partial_rotary_factor=0.34)), old=dict(rope_theta=5000.0, partial_rotary_factor=0.34)),
    "phi3_longrope": dict(type="Phi3", prompts=16, by_room=True, why="two lists of factors for "
        "wavelengths, by the room of a sequence; three quarters of each head turn",
        config=dict(hidden_size=32, original_max_position_embeddings=40,
            rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75,
                short_factor=[1.0, 1.1, 1.5], long_factor=[1.2, 3.0, 17.5]))),
    "phi3_su": dict(type="Phi3", prompts=16, by_room=True, why="the same by its first name; a "
        "scale of the table; tied words", config=dict(original_max_position_embeddings=300,
            tie_word_embeddings=True, rope_parameters=dict(rope_type="longrope", rope_theta=9000.0,
                attention_factor=1.3, short_factor=[1.0, 1.05, 2.0], long_factor=[2.0, 5.0, 30.0])),
        old=dict(rope_theta=9000.0, rope_scaling=dict(type="su", attention_factor=1.3,
            original_max_position_embeddings=300,
            short_factor=[1.0, 1.05, 2.0], long_factor=[2.0, 5.0, 30.0]))),
    "smollm3": dict(type="SmolLM3", prompts=16, why="the second of three layers does not turn; biases",
        config=dict(num_hidden_layers=3, no_rope_layer_interval=2, attention_bias=True, mlp_bias=True,
            rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                original_max_position_embeddings=160))),
    "smollm3_window": dict(type="SmolLM3", prompts=16, why="a list of layers that turn; windows on "
        "the others; a head of its own; odd sizes; saved in bf16", saved=torch.bfloat16,
        config=dict(hidden_size=30, num_attention_heads=3, num_key_value_heads=1, num_hidden_layers=4,
            no_rope_layers=[0, 1, 1, 0], use_sliding_window=True, sliding_window=7,
            tie_word_embeddings=False)),
    "smollm3_layer_types": dict(type="SmolLM3", prompts=16, why="windows by the names of layers; the "
        "older spelling, without a base; no layer turns but the first", config=dict(
            num_hidden_layers=3, no_rope_layers=[1, 0, 0], use_sliding_window=True, sliding_window=5,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"]), old={}),
    "olmo2": dict(type="Olmo2", prompts=16, why="norms behind each part of a layer, and over all "
        "heads of queries and of keys; biases", config=dict(attention_bias=True, hidden_act="gelu")),
    "olmo2_odd": dict(type="Olmo2", prompts=16, why="odd sizes; one head of keys; tied words; three "
        "layers; saved in bf16", saved=torch.bfloat16, config=dict(hidden_size=30,
            num_attention_heads=3, num_key_value_heads=1, num_hidden_layers=3,
            tie_word_embeddings=True)),
    "olmo2_llama3": dict(type="Olmo2", prompts=16, why="three bands of rotary wavelengths; as many "
        "heads of keys as of queries", config=dict(num_key_value_heads=4,
            rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0,
                low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64))),
    "glm": dict(type="Glm", prompts=16, why="half of each head turns, in pairs that lie side by side; "
        "biases of q, k and v; wider heads; two ends",
        config=dict(head_dim=12, eos_token_id=[2, 5])),
    "glm_odd": dict(type="Glm", prompts=16, why="odd sizes; another part of each head turns; no "
        "biases; tied words; saved in bf16", saved=torch.bfloat16,
        config=dict(hidden_size=30, num_attention_heads=3, num_key_value_heads=1, head_dim=14,
            attention_bias=False, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=300.0, partial_rotary_factor=0.75))),
    "glm_old": dict(type="Glm", prompts=16, why="the older spelling; stretched positions; three "
        "layers; GELU", config=dict(head_dim=8, num_hidden_layers=3, hidden_act="gelu",
            rope_parameters=dict(rope_type="linear", rope_theta=5000.0, factor=2.0,
                partial_rotary_factor=0.5)),
        old=dict(rope_theta=5000.0, partial_rotary_factor=0.5,
            rope_scaling=dict(type="linear", factor=2.0))),
    "glm4": dict(type="Glm4", prompts=16, why="norms before and behind; half of each head turns, in "
        "pairs that lie side by side; biases of q, k and v", config=dict(head_dim=12)),
    "glm4_odd": dict(type="Glm4", prompts=16, why="odd sizes; no biases; tied words; saved in bf16",
        saved=torch.bfloat16, config=dict(hidden_size=30, num_attention_heads=3,
            num_key_value_heads=3, head_dim=14, attention_bias=False, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=300.0, partial_rotary_factor=0.75))),
    "glm4_old": dict(type="Glm4", prompts=16, why="the older spelling; heads that turn as a whole; "
        "three layers; ReLU", config=dict(head_dim=8, num_hidden_layers=3, hidden_act="relu",
            rope_parameters=dict(rope_type="default", rope_theta=5000.0, partial_rotary_factor=1.0)),
        old=dict(rope_theta=5000.0, partial_rotary_factor=1.0)),
    "falcon": dict(type="Falcon", plain=True, prompts=16, why="one head of keys; attention and "
        "feed-forward take the same input, of one norm", config=dict(hidden_size=24,
            num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=640)),
    "falcon_new": dict(type="Falcon", plain=True, prompts=16, why="two heads of keys; two norms side "
        "by side; biases; a width of the feed-forward; a head of its own; saved in bf16",
        saved=torch.bfloat16, config=dict(hidden_size=36, num_hidden_layers=3,
            num_attention_heads=6, num_kv_heads=2, new_decoder_architecture=True, bias=True,
            ffn_hidden_size=37, activation="relu", tie_word_embeddings=False,
            max_position_embeddings=640)),
    "falcon_one_norm": dict(type="Falcon", plain=True, prompts=16, why="grouped heads and one norm; "
        "stretched positions in the older spelling", config=dict(hidden_size=24,
            num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2,
            new_decoder_architecture=True, num_ln_in_parallel_attn=1, max_position_embeddings=640,
            rope_parameters=dict(rope_type="linear", rope_theta=5000.0, factor=2.0)),
        old=dict(rope_theta=5000.0, rope_scaling=dict(type="linear", factor=2.0))),
    "falcon_sequential": dict(type="Falcon", plain=True, prompts=16, why="as many heads of keys as of "
        "queries; attention before feed-forward; biases", config=dict(hidden_size=30,
            num_hidden_layers=2, num_attention_heads=3, multi_query=False, parallel_attn=False,
            bias=True, max_position_embeddings=640)),
    "bloom": dict(type="Bloom", plain=True, prompts=16, why="ALiBi; a norm of the words; GELU by tanh",
        config=dict(hidden_size=24, n_layer=2, n_head=4, seq_length=640)),
    "bloom_odd": dict(type="Bloom", plain=True, prompts=16, why="a number of heads that is no power of "
        "two; odd sizes; three layers; a head of its own; saved in bf16", saved=torch.bfloat16,
        config=dict(hidden_size=30, n_layer=3, n_head=6, seq_length=640, tie_word_embeddings=False)),
    "bloom_old": dict(type="Bloom", plain=True, prompts=16, why="the older names of fields; saved in "
        "f16", saved=torch.float16, config=dict(hidden_size=20, n_layer=2, n_head=5, seq_length=640),
        old=dict(n_embed=20, num_attention_heads=5, num_hidden_layers=2),
        drop=["hidden_size", "n_head", "n_layer"]),
    "baichuan_7b": dict(type="Baichuan", plain=True, prompts=16, why="rotary positions; q, k and v in "
        "one tensor", drop=["has_alibi"], own=dict(architectures=["BaiChuanForCausalLM"],
            auto_map=dict(AutoConfig="configuration_baichuan.BaiChuanConfig",
                AutoModelForCausalLM="modeling_baichuan.BaiChuanForCausalLM")),
        config=dict(hidden_size=24, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=640, hidden_act="silu", rms_norm_eps=1e-6,
            tie_word_embeddings=False)),
    "baichuan_13b": dict(type="Baichuan", plain=True, prompts=16, why="ALiBi of 40 heads",
        drop=["has_alibi"], config=dict(hidden_size=80, intermediate_size=37, num_hidden_layers=2,
            num_attention_heads=40, model_max_length=640, hidden_act="silu", rms_norm_eps=1e-6,
            tie_word_embeddings=False)),
    "baichuan2_7b": dict(type="Baichuan", plain=True, prompts=16, why="a head whose rows have length "
        "1; odd sizes; saved in bf16", saved=torch.bfloat16, drop=["has_alibi"],
        config=dict(normed_head=True, hidden_size=30, intermediate_size=41, num_hidden_layers=3,
            num_attention_heads=3, max_position_embeddings=640, model_max_length=640,
            hidden_act="silu", rms_norm_eps=1e-6, tie_word_embeddings=False)),
    "baichuan2_13b": dict(type="Baichuan", plain=True, prompts=16, why="ALiBi, and a head whose rows "
        "have length 1; odd sizes", drop=["has_alibi"],
        own=dict(auto_map=dict(AutoConfig="configuration_baichuan.BaichuanConfig",
            AutoModelForCausalLM="modeling_baichuan.BaichuanForCausalLM")),
        config=dict(normed_head=True, hidden_size=30, intermediate_size=41, num_hidden_layers=2,
            num_attention_heads=6, model_max_length=640, hidden_act="silu", rms_norm_eps=1e-6,
            tie_word_embeddings=False)),
    "falcon_alibi": dict(type="Falcon", plain=True, attention="sdpa", why="ALiBi that is rounded to "
        "bf16; one head of keys; attention and feed-forward take the same input",
        config=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True,
            max_position_embeddings=640)),
    "falcon_alibi_rw": dict(type="Falcon", plain=True, attention="sdpa", why="that ALiBi with as many "
        "heads of keys, which are no power of two; attention before feed-forward; biases; a head of "
        "its own; saved in bf16", saved=torch.bfloat16, config=dict(hidden_size=36,
            num_hidden_layers=3, num_attention_heads=6, multi_query=False, parallel_attn=False,
            bias=True, tie_word_embeddings=False, alibi=True, max_position_embeddings=640)),
    "falcon_alibi_new": dict(type="Falcon", plain=True, attention="sdpa", why="that ALiBi with grouped "
        "heads, which are no power of two; two norms side by side", config=dict(hidden_size=72,
            num_hidden_layers=2, num_attention_heads=12, num_kv_heads=3,
            new_decoder_architecture=True, alibi=True, max_position_embeddings=640)),
    "mixtral": dict(type="Mixtral", prompts=16, why="two of four experts",
        config=dict(num_local_experts=4)),
    "mixtral_window": dict(type="Mixtral", prompts=16, why="one of five experts; windows in all layers; "
        "wide heads; the older spelling of rotary positions; saved in bf16", saved=torch.bfloat16,
        config=dict(num_local_experts=5, num_experts_per_tok=1, sliding_window=7, head_dim=10,
            num_hidden_layers=3), old=dict(rope_theta=5000.0)),
    "mixtral_all": dict(type="Mixtral", prompts=16, why="all of three experts; odd sizes; tied words; "
        "GELU", config=dict(num_local_experts=3, num_experts_per_tok=3, hidden_size=30,
            num_attention_heads=3, num_key_value_heads=1, intermediate_size=41, hidden_act="gelu",
            tie_word_embeddings=True)),
    "qwen2_moe": dict(type="Qwen2Moe", prompts=16, why="a gated shared expert; weights that are not "
        "normalized", config=dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=18,
            shared_expert_intermediate_size=22)),
    "qwen2_moe_sparse": dict(type="Qwen2Moe", prompts=16, why="experts in every second layer except for "
        "one; weights that are normalized; windows in every second layer up to the third; no biases; "
        "saved in bf16", saved=torch.bfloat16, drop=["layer_types"],
        config=dict(num_experts=5, num_experts_per_tok=3, moe_intermediate_size=17,
            shared_expert_intermediate_size=9, num_hidden_layers=6, decoder_sparse_step=2,
            mlp_only_layers=[3], norm_topk_prob=True, qkv_bias=False, use_sliding_window=True,
            sliding_window=6, max_window_layers=3, tie_word_embeddings=True)),
    "qwen2_moe_all": dict(type="Qwen2Moe", prompts=16, why="all of four experts; windows by the names "
        "of layers", config=dict(num_experts=4, num_experts_per_tok=4, moe_intermediate_size=18,
            shared_expert_intermediate_size=22, use_sliding_window=True, sliding_window=5,
            layer_types=["full_attention", "sliding_attention"])),
    "qwen3_moe": dict(type="Qwen3Moe", prompts=16, why="eight of 64 experts, normalized; wide heads",
        config=dict(num_experts=64, num_experts_per_tok=8, moe_intermediate_size=10, head_dim=10,
            norm_topk_prob=True)),
    "qwen3_moe_dense": dict(type="Qwen3Moe", prompts=16, why="a layer without experts; windows in all "
        "layers; YaRN; biases; weights that are not normalized; saved in bf16", saved=torch.bfloat16,
        config=dict(num_experts=7, num_experts_per_tok=3, moe_intermediate_size=16, head_dim=12,
            num_hidden_layers=3, mlp_only_layers=[1], attention_bias=True, use_sliding_window=True,
            sliding_window=7, rope_parameters=dict(rope_type="yarn", rope_theta=1000000.0, factor=4.0,
                original_max_position_embeddings=160))),
    "qwen3_moe_all": dict(type="Qwen3Moe", prompts=16, why="all of five experts; tied words; the older "
        "name of their number", own=dict(num_experts=5), drop=["num_local_experts"],
        config=dict(num_experts=5, num_experts_per_tok=5, moe_intermediate_size=19, head_dim=6,
            norm_topk_prob=True, tie_word_embeddings=True)),
    "olmoe": dict(type="Olmoe", prompts=16, why="three of eight experts; norms of all heads of a row",
        config=dict(num_experts=8, num_experts_per_tok=3)),
    "olmoe_odd": dict(type="Olmoe", prompts=16, why="one of two experts; odd sizes; biases; weights "
        "that are normalized; as many heads of keys; saved in bf16", saved=torch.bfloat16,
        config=dict(num_experts=2, num_experts_per_tok=1, hidden_size=30, num_attention_heads=3,
            num_key_value_heads=None, intermediate_size=41, attention_bias=True,
            norm_topk_prob=True)),
    "olmoe_all": dict(type="Olmoe", prompts=16, why="all of four experts; stretched positions",
        config=dict(num_experts=4, num_experts_per_tok=4, rope_parameters=dict(rope_type="linear",
            rope_theta=10000.0, factor=2.0))),
    "glm4_moe": dict(type="Glm4Moe", prompts=16, why="sigmoids; a bias of the choice; a shared expert; "
        "a first layer without experts; half of each head turns; biases",
        config=dict(n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=11, head_dim=8,
            attention_bias=True)),
    "glm4_moe_groups": dict(type="Glm4Moe", prompts=16, why="two of four groups; weights that are "
        "scaled; norms of queries and keys; saved in bf16", saved=torch.bfloat16,
        config=dict(n_routed_experts=16, num_experts_per_tok=4, n_group=4, topk_group=2,
            moe_intermediate_size=11, head_dim=12, use_qk_norm=True, num_hidden_layers=3,
            first_k_dense_replace=2, routed_scaling_factor=1.5)),
    "glm4_moe_all": dict(type="Glm4Moe", prompts=16, why="all of four experts, not normalized; two "
        "shared ones; no layer without experts; tied words; odd sizes",
        config=dict(n_routed_experts=4, num_experts_per_tok=4, moe_intermediate_size=13,
            n_shared_experts=2, hidden_size=30, num_attention_heads=3, num_key_value_heads=1,
            head_dim=12, first_k_dense_replace=0, norm_topk_prob=False, routed_scaling_factor=0.7,
            tie_word_embeddings=True)),
    "gpt_oss": dict(type="GptOss", prompts=16, why="sinks; YaRN as the class has it; a window in every "
        "second layer; biases everywhere; four of six clamped experts", config=dict(head_dim=8,
            num_local_experts=6, sliding_window=7, swiglu_limit=0.6, num_hidden_layers=3)),
    "gpt_oss_odd": dict(type="GptOss", prompts=16, why="windows by the names of layers; no biases of "
        "attention; odd sizes; tied words; one of three experts; plain positions; saved in bf16",
        saved=torch.bfloat16, config=dict(num_local_experts=3, num_experts_per_tok=1, hidden_size=30,
            num_attention_heads=3, num_key_value_heads=1, head_dim=14, intermediate_size=41,
            attention_bias=False, tie_word_embeddings=True, sliding_window=5,
            layer_types=["full_attention", "sliding_attention"],
            rope_parameters=dict(rope_type="default", rope_theta=9000.0))),
    "gpt_oss_mxfp4": dict(type="GptOss", prompts=16, mxfp4=True, why="all of three experts, in MXFP4; "
        "YaRN that begins and ends at whole pairs; another slope", config=dict(hidden_size=32,
            intermediate_size=64, head_dim=12, num_local_experts=3, num_experts_per_tok=3,
            sliding_window=6, swiglu_alpha=1.3, rope_parameters=dict(rope_type="yarn",
                rope_theta=150000.0, factor=4.0, original_max_position_embeddings=160))),
    "deepseek_v3": dict(type="DeepseekV3", prompts=16, why="latents of keys and of queries; two of "
        "four groups; YaRN whose two scales differ; biases; a first layer without experts",
        config=LATENTS | dict(q_lora_rank=18, attention_bias=True, n_routed_experts=16, n_group=4,
            topk_group=2, num_experts_per_tok=4, first_k_dense_replace=1, num_hidden_layers=3,
            rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, mscale=0.7,
                mscale_all_dim=1.3, original_max_position_embeddings=160))),
    "deepseek_v3_all": dict(type="DeepseekV3", prompts=16, why="all of four experts, not normalized; "
        "two shared ones; queries without latents; halves of heads turn; the older spelling of YaRN; "
        "odd sizes; tied words", config=LATENTS | dict(q_lora_rank=None, rope_interleave=False,
            n_routed_experts=4, num_experts_per_tok=4, n_group=1, topk_group=1, n_shared_experts=2,
            first_k_dense_replace=0, norm_topk_prob=False, routed_scaling_factor=0.7, hidden_size=30,
            num_attention_heads=3, num_key_value_heads=3, qk_nope_head_dim=7, v_head_dim=11,
            kv_lora_rank=23, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="yarn", rope_theta=5000.0, factor=8.0, mscale=1.0,
                mscale_all_dim=1.0, original_max_position_embeddings=80)),
        old=dict(rope_theta=5000.0, rope_scaling=dict(type="yarn", factor=8.0, mscale=1.0,
            mscale_all_dim=1.0, original_max_position_embeddings=80, beta_fast=32, beta_slow=1))),
    "deepseek_v2": dict(type="DeepseekV2", prompts=16, why="softmax; three of eight experts, scaled; "
        "values wider than latents; a first layer without experts; saved in bf16",
        saved=torch.bfloat16, config=LATENTS | dict(q_lora_rank=None, n_routed_experts=8,
            num_experts_per_tok=3, first_k_dense_replace=1, routed_scaling_factor=1.7,
            v_head_dim=26, num_hidden_layers=3)),
    "deepseek_v2_groups": dict(type="DeepseekV2", prompts=16, why="two of four groups by their best "
        "experts; latents of queries; biases; stretched positions",
        config=LATENTS | dict(q_lora_rank=14, attention_bias=True, topk_method="group_limited_greedy",
            n_routed_experts=12, n_group=4, topk_group=2, num_experts_per_tok=3, n_shared_experts=1,
            rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0,
                mscale_all_dim=0.8))),
    "deepseek_v2_all": dict(type="DeepseekV2", prompts=16, why="all of three experts; one head; tied "
        "words; GELU; YaRN with one scale", config=LATENTS | dict(q_lora_rank=9, n_routed_experts=3,
            num_experts_per_tok=3, num_attention_heads=1, num_key_value_heads=1, hidden_act="gelu",
            tie_word_embeddings=True, rope_parameters=dict(rope_type="yarn", rope_theta=10000.0,
                factor=4.0, original_max_position_embeddings=160))),
    "deepseek_v3_wide": dict(type="DeepseekV3", prompts=16, why="latents wider than a row; three of "
        "eight experts; two layers without experts; saved in bf16", saved=torch.bfloat16,
        config=LATENTS | dict(q_lora_rank=30, kv_lora_rank=37, n_routed_experts=8, n_group=1,
            topk_group=1, num_experts_per_tok=3, first_k_dense_replace=2, num_hidden_layers=3,
            v_head_dim=5)),
}

"""headlane.h as far as the comparisons need it, by ctypes."""

import ctypes
from ctypes import (POINTER, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_size_t,
                    c_uint64, c_void_p)


def structure(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


def several(kind, *names):
    return [(name, kind) for name in names]


AttentionOptions = structure(
    "AttentionOptions", ("struct_size", c_size_t),
    *several(c_int64, "n_heads", "n_kv_heads", "head_dim", "v_dim"), ("score", c_int),
    *several(c_float, "scale", "softcap"), ("causal", c_int),
    *several(c_int64, "window_left", "window_right"),
    *several(c_void_p, "rotary", "relative_bias", "alibi_slopes", "sinks", "additive"),
    ("n_threads", c_int32), *several(c_void_p, "isa", "memory"), ("memory_bytes", c_size_t),
    ("precision", c_char_p))
Rotary = structure(
    "Rotary", ("struct_size", c_size_t), ("dims", c_int64), ("interleaved", c_int32),
    ("base", c_double), ("max_positions", c_int64), ("scaling", c_int), ("factor", c_double),
    ("original_max_positions", c_int64), *several(
        c_double, "beta_fast", "beta_slow", "attention_factor", "low_freq_factor",
        "high_freq_factor"), ("untruncated", c_int32))
RelativeBias = structure(
    "RelativeBias", ("struct_size", c_size_t), ("table", c_void_p),
    *several(c_int64, "n_buckets", "max_distance"), ("bidirectional", c_int32),
    ("max_len", c_int64))
Heads = structure("Heads", ("data", c_void_p),
                  *several(c_int64, "seq_stride", "token_stride", "head_stride"))
SEQS = [("n_seqs", c_int64), *several(c_void_p, "q_offsets", "kv_offsets"),
        *several(c_int64, "q_len", "kv_len"), *several(c_void_p, "q_lengths", "kv_lengths"),
        ("left_padded", c_int32)]
SCORES = [("bias", c_void_p),
          *several(c_int64, "bias_seq_stride", "bias_head_stride", "bias_query_stride"),
          ("mask", c_void_p),
          *several(c_int64, "mask_seq_stride", "mask_head_stride", "mask_query_stride"),
          *several(c_void_p, "prefix_lengths", "maps")]
AttentionBatch = structure("AttentionBatch", ("struct_size", c_size_t), *SEQS,
                           *several(Heads, "q", "k", "v", "o"), *SCORES,
                           *several(c_void_p, "q_bf16", "k_bf16", "v_bf16", "o_bf16"))
Linear = structure("Linear", *several(c_void_p, "weight", "bias"))
LayerOptions = structure(
    "LayerOptions", ("struct_size", c_size_t), *several(c_int64, "d_model", "kdim", "vdim"),
    ("attention", POINTER(AttentionOptions)), *several(Linear, "q", "k", "v", "qkv", "out"),
    ("bilinear", c_void_p), ("residual", c_int32), ("norm", c_int),
    *several(c_void_p, "norm_weight", "norm_bias"), ("norm_eps", c_float), ("max_len", c_int64))
SessionOptions = structure(
    "SessionOptions", ("struct_size", c_size_t),
    *several(c_int64, "max_tokens", "max_seqs", "max_len"),
    ("n_threads", c_int32), ("memory", c_void_p), ("memory_bytes", c_size_t),
    ("cross_attention", c_int32), ("max_kv_tokens", c_int64))
Rows = structure("Rows", ("data", c_void_p), *several(c_int64, "seq_stride", "token_stride"))
ForwardBatch = structure("ForwardBatch", ("struct_size", c_size_t), *SEQS,
                         *several(Rows, "x", "key", "value", "out"), *SCORES)

ModelOptions = structure("ModelOptions", ("struct_size", c_size_t),
                         *several(c_char_p, "isa", "gemm", "precision"), ("n_threads", c_int32),
                         *several(c_void_p, "pool", "log", "log_user"), ("sizes_only", c_int64),
                         *several(c_int32, "map", "verify"))
ModelFacts = structure(
    "ModelFacts", ("struct_size", c_size_t),
    *several(c_char_p, "architecture", "activation", "pooling", "isa", "gemm"),
    *several(c_int64, "n_layers", "d_model", "n_heads", "head_dim", "d_ff", "vocab_size",
             "max_positions", "max_seq_len"))
Batch = structure("Batch", ("struct_size", c_size_t), ("n_seqs", c_int64),
                  *several(c_void_p, "offsets", "ids", "types"))
Texts = structure("Texts", ("struct_size", c_size_t), ("n_texts", c_int64), ("data", c_void_p),
                  ("data_bytes", c_int64), *several(c_void_p, "offsets_32", "offsets_64"))
Outputs = structure("Outputs", ("struct_size", c_size_t),
                    *several(c_void_p, "hidden", "pooled", "attention"))

GeneratorOptions = structure(
    "GeneratorOptions", ("struct_size", c_size_t),
    *several(c_int64, "max_sources", "max_source_tokens", "max_source_len", "max_beams",
             "max_new_tokens", "max_prefix", "max_candidates"),
    *several(c_int32, "all_logits", "n_threads"), ("memory", c_void_p),
    ("memory_bytes", c_size_t), ("precision", c_char_p))
GenerateOptions = structure(
    "GenerateOptions", ("struct_size", c_size_t), *several(c_int64, "n_beams", "n_best"),
    ("length_penalty", c_double), ("early_stopping", c_int), ("sample", c_int32),
    ("temperature", c_float), ("top_k", c_int64), ("top_p", c_float), ("seed", c_uint64),
    ("repetition_penalty", c_double), *several(c_int64, "min_new_tokens", "max_new_tokens"),
    *several(c_void_p, "first_id", "end_ids"), ("n_end_ids", c_int64),
    ("suppressed_ids", c_void_p), ("n_suppressed_ids", c_int64),
    *several(c_void_p, "prefix_offsets", "prefix_ids", "keys", "on_token", "user"))
SequencesOptions = structure(
    "SequencesOptions", ("struct_size", c_size_t),
    *several(c_int64, "max_sequences", "max_tokens", "max_len", "max_step_tokens",
             "max_candidates"),
    *several(c_int32, "all_logits", "hidden", "n_threads"), ("memory", c_void_p),
    ("memory_bytes", c_size_t), ("precision", c_char_p), ("pool", c_void_p))
SequenceOptions = structure(
    "SequenceOptions", ("struct_size", c_size_t),
    *several(c_int64, "max_new_tokens", "min_new_tokens"), ("sample", c_int32),
    ("temperature", c_float), ("top_k", c_int64), *several(c_float, "top_p", "min_p"),
    ("seed", c_uint64), ("repetition_penalty", c_double), ("end_ids", c_void_p),
    ("n_end_ids", c_int64), ("stops", c_void_p), ("n_stops", c_int64),
    *several(c_void_p, "bias_ids", "biases"), ("n_bias", c_int64),
    *several(c_int32, "logprobs", "prompt_logprobs"), ("n_top", c_int64),
    *several(c_int32, "hidden", "keep"), *several(c_void_p, "on_token", "user"),
    ("room", c_int64), ("key", c_uint64), ("speculate", c_int64))
Answer = structure("Answer", ("struct_size", c_size_t), ("n_answers", c_int64),
                   ("ids", POINTER(c_int32)), ("n_ids", c_int64), ("score", c_float))


def make(kind, **fields):
    made = kind(**fields)
    made.struct_size = ctypes.sizeof(kind)
    return made


class Library:
    """Calls by their names without "headlane_"; a status that is not OK raises."""

    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))
        self.library.headlane_error.restype = ctypes.c_char_p

    def __getattr__(self, name):
        function = getattr(self.library, "headlane_" + name)

        def call(*arguments):
            if function(*arguments) != 0:
                raise RuntimeError(self.library.headlane_error().decode())
        return call

    def handle(self, name, *arguments):
        made = c_void_p()
        self.__getattr__(name)(*arguments, ctypes.byref(made))
        return made

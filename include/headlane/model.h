/** @file
 * Models: opening them, and what they are.
 */
#ifndef HEADLANE_MODEL_H_
#define HEADLANE_MODEL_H_

#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct headlane_model headlane_model;

typedef struct headlane_model_options {
  size_t struct_size;
  /** The fastest instruction set to use: "ref", "avx2", "avx2_vnni", "avx512", "avx512_vnni",
   * "avx512_bf16", "amx"; null: the fastest that this machine has and the environment variable
   * HEADLANE_MAX_ISA allows. Naming one that the machine lacks uses the fastest below it. */
  const char* isa;
  /** Who multiplies matrices: "headlane" (or null), or "onednn" where the library was built with
   * it, for comparison. With oneDNN a run may allocate, and results may depend on how many rows
   * came along. */
  const char* gemm;
  /** What products are computed in, for sessions that do not ask otherwise: "f32"; "bf16", summed
   * in f32; "int8", activations quantised row by row, sums exact; "auto": int8 where the machine
   * has instructions for it, else bf16, else f32; null: what the file's weights are stored in.
   * Weights are converted as they are packed; norms, residuals, softmax and pooling are f32 always.
   */
  const char* precision;
} headlane_model_options;

#define HEADLANE_MODEL_OPTIONS_INIT \
  { sizeof(headlane_model_options), 0, 0, 0 }

/** Maps `path` (a .headlane file), checks all of it, and packs the weights for this machine's
 * kernels. `options` may be null. The caller owns *out and ends it by headlane_model_close. Errors:
 * INVALID_ARGUMENT, IO, BAD_FILE, UNSUPPORTED, OUT_OF_MEMORY. */
HEADLANE_API headlane_status headlane_model_open(const char* path,
                                                 const headlane_model_options* options,
                                                 headlane_model** out);

/** Null is allowed. Every session of the model must have been destroyed before. */
HEADLANE_API void headlane_model_close(headlane_model* model);

typedef struct headlane_model_facts {
  size_t struct_size;
  const char* architecture; /**< "bert": takes token ids; "layers": takes activations;
                             * "encoder_decoder": takes token ids, and generates. Strings live as
                             * long as the model */
  const char* activation;   /**< "gelu", "gelu_tanh", "relu", "silu" */
  const char* pooling;      /**< "none", "mean", "cls", "max" */
  const char* isa;          /**< the instruction set chosen: "ref", "avx2", ... */
  const char* gemm;         /**< who multiplies matrices: "headlane", "onednn" */
  int64_t n_layers;
  int64_t d_model;
  int64_t n_heads;
  int64_t head_dim;
  int64_t d_ff;
  int64_t vocab_size;
  int64_t max_positions; /**< no sequence may have more tokens */
  int64_t max_seq_len;   /**< text is truncated to this many tokens unless asked otherwise */
  int64_t n_types;       /**< segment types */
  float norm_eps;
  int32_t normalize;     /**< 1: pooled vectors have length 1 */
  int32_t has_tokenizer; /**< 1: headlane_tokenize works */
  int64_t n_parameters;
  int64_t file_bytes;
  int64_t packed_bytes; /**< memory that the packed weights take */
  int64_t n_tensors;
  int64_t kdim; /**< of "layers": columns that keys and values are projected from; 0 otherwise */
  int64_t vdim;
  int64_t n_kv_heads;
  const char* norm;      /**< "none", "post", "pre": where norms stand about residuals */
  int32_t residual;      /**< 1: x is added to what attention, and the feed-forward, make of it */
  int32_t final_norm;    /**< 1: one more norm at the end */
  int32_t batch_first;   /**< of "layers": 1: arrays of it are [batch, seq, d_model] by custom, 0:
                          * [seq, batch, d_model]; strides say what a call's are */
  const char* precision; /**< what products are computed in: "f32", "bf16", "int8" */
  const char* file_precision; /**< what the file's weights are stored in */
  const char* auto_precision; /**< what precision "auto" is on this machine */
  /** 1: headlane_generate works; those below are its, the first three also of decoder layers on
   * activations */
  int32_t has_decoder;
  int64_t n_decoder_layers;
  int64_t n_decoder_heads;
  int64_t decoder_d_ff;
  int64_t decoder_vocab_size;
  int64_t max_target_len; /**< no target may have more tokens */
  int64_t max_new_tokens; /**< defaults of headlane_generate_options */
  int64_t n_beams;
  int32_t start_id; /**< what the decoder is given first */
  int32_t
      forced_first_id; /**< what answers begin with unless first_id says otherwise; -1: nothing */
  int64_t n_languages; /**< that the tokenizer has tokens for; 0: it has none, or there is none */
} headlane_model_facts;

/** Fills *out as far as out->struct_size reaches. */
HEADLANE_API headlane_status headlane_model_get_facts(const headlane_model* model,
                                                      headlane_model_facts* out);

typedef struct headlane_tensor_facts {
  size_t struct_size;
  const char* name;  /**< strings and shape live as long as the model */
  const char* dtype; /**< "f32", "bf16", "s8", "u8" */
  int64_t rank;
  const int64_t* shape; /**< [rank] */
  int64_t bytes;
} headlane_tensor_facts;

/** The i-th tensor of the file, 0 <= i < n_tensors. */
HEADLANE_API headlane_status headlane_model_get_tensor(const headlane_model* model, int64_t i,
                                                       headlane_tensor_facts* out);

/** The kernels chosen: lines "slot: implementation". Lives as long as the model; null if `model` is
 * null. */
HEADLANE_API const char* headlane_model_kernels(const headlane_model* model);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_MODEL_H_ */

/** @file
 * Layers on activations.
 *
 * A multi-head attention layer made from weights at hand, or a file of PyTorch's attention,
 * encoder or decoder modules (see headlane_convert), is a model whose sessions run on activations.
 *
 * A decoder's layers (n_decoder_layers of the facts is not 0) attend to x and then to other rows,
 * the kv, which PyTorch calls the memory. Their sessions always have cross_attention, and each call
 * gives x (tgt) and key. The key is the kv or, if the file has an encoder too (nn.Transformer,
 * n_layers not 0), src, which goes through the encoder first. Keys and values are both made from
 * it: value is null, or the key. Masks, biases, prefixes and maps of probabilities are those of the
 * decoder's attention to x, q_len x q_len (tgt_mask); keys of kv and src are hidden by their
 * lengths alone. */
#ifndef HEADLANE_LAYER_H_
#define HEADLANE_LAYER_H_

#include <headlane/attention.h>
#include <headlane/batch.h>
#include <headlane/init.h>
#include <headlane/model.h>
#include <headlane/session.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** y = x * weight^T + bias */
typedef struct headlane_linear {
  const float* weight; /**< [n_out, n_in] */
  const float* bias;   /**< [n_out], or null */
} headlane_linear;

/** Where norms stand about residuals. */
typedef enum headlane_norm {
  HEADLANE_NORM_NONE = 0, /**< no norm */
  HEADLANE_NORM_POST = 1, /**< norm(x + attention(x)), without residual norm(attention(x)) */
  HEADLANE_NORM_PRE = 2 /**< x + attention(norm(x)), without residual attention(norm(x)); what keys
                         * and values come from is normalised only where it is x */
} headlane_norm;

/** A multi-head attention layer. Pointers in here are read by create, and may go afterwards. */
typedef struct headlane_layer_options {
  size_t struct_size; /**< sizeof this struct */
  int64_t d_model;    /**< columns of the input x and of the output */
  int64_t kdim;       /**< columns that keys are projected from; 0: d_model */
  int64_t vdim;       /**< columns that values are projected from; 0: d_model */
  /** Heads, scores and masks by position. Its n_threads, isa, memory, memory_bytes, pool and
   * precision must be 0: those belong to the session and the model. */
  const headlane_attention_options* attention;
  headlane_linear q; /**< [n_heads * head_dim, d_model] */
  headlane_linear k; /**< [n_kv_heads * head_dim, kdim] */
  headlane_linear v; /**< [n_kv_heads * v_dim, vdim] */
  headlane_linear
      qkv; /**< in place of the three: their rows one below the other, all from d_model */
  headlane_linear out;      /**< [d_model, n_heads * v_dim] */
  const float* bilinear;    /**< [n_heads, head_dim, head_dim], W of q^T W k; null: not BILINEAR */
  int32_t residual;         /**< 1: x is added */
  headlane_norm norm;       /**< 0: NONE */
  const float* norm_weight; /**< [d_model] */
  const float* norm_bias;   /**< [d_model], or null */
  float norm_eps;           /**< 0: 1e-5 */
  int64_t max_len;          /**< no sequence may be longer; 0: as long as its position tables go */
} headlane_layer_options;

/** A model of one layer, from weights at hand. Its sessions run by headlane_session_forward; it has
 * neither tokenizer nor file.
 * @param options is read, with everything that it points to; all of these may be freed afterwards
 * @param model_options null: defaults
 * @param[out] out the caller's, who ends it by headlane_model_destroy
 * @return INVALID_ARGUMENT, UNSUPPORTED, OUT_OF_MEMORY */
HEADLANE_API headlane_status
headlane_model_create_layer(const headlane_layer_options* options,
                            const headlane_model_options* model_options, headlane_model** out);

/** Row [seq, token] of a tensor begins at data + seq * seq_stride + token * token_stride. Strides
 * of 0 stand for rows one behind the other: token_stride = columns, seq_stride = rows *
 * token_stride.
 */
typedef struct headlane_rows {
  const float* data;    /**< of the row [0, 0] */
  int64_t seq_stride;   /**< not used where sequences are ragged */
  int64_t token_stride; /**< from one token to the next */
} headlane_rows;

/** As headlane_rows, for rows that are written. */
typedef struct headlane_output_rows {
  float* data;          /**< of the row [0, 0] */
  int64_t seq_stride;   /**< not used where sequences are ragged */
  int64_t token_stride; /**< from one token to the next */
} headlane_output_rows;

/** The buffers of one call: the caller's, as long as it runs. */
typedef struct headlane_forward_batch {
  size_t struct_size; /**< sizeof this struct */
  int64_t n_seqs;     /**< sequences */
  /** Rows of x and out, ragged or padded, as in headlane_attention_batch. The fields of key and
   * value are only for a session with cross_attention; leave them null and 0 in others. */
  const int64_t* q_offsets;  /**< [n_seqs + 1], from 0, never falling; null: padded */
  const int64_t* kv_offsets; /**< [n_seqs + 1]; null with q_offsets: the same */
  int64_t q_len;             /**< rows of each sequence of x and out */
  int64_t kv_len;            /**< rows of each sequence of key and value */
  const int64_t* q_lengths;  /**< [n_seqs], how many of the rows are real; null: all */
  const int64_t* kv_lengths; /**< [n_seqs], likewise */
  int32_t left_padded;       /**< 1: the real rows are the last ones, not the first */

  headlane_rows x;          /**< [n_seqs, q_len, d_model] */
  headlane_rows key;        /**< [n_seqs, kv_len, kdim]; null: x, except that a decoder needs it */
  headlane_rows value;      /**< [n_seqs, kv_len, vdim]; null: key */
  headlane_output_rows out; /**< [n_seqs, q_len, d_model]; may be x itself */

  /** As in headlane_attention_batch; the same for all layers. For a decoder, see the top of this
   * file. */
  const float* bias;
  int64_t bias_seq_stride;             /**< from one sequence to the next */
  int64_t bias_head_stride;            /**< from one head to the next */
  int64_t bias_query_stride;           /**< from one query to the next */
  const uint8_t* mask;                 /**< 1: may be seen, 0: not; null: all may */
  int64_t mask_seq_stride;             /**< as bias_seq_stride */
  int64_t mask_head_stride;            /**< as bias_head_stride */
  int64_t mask_query_stride;           /**< as bias_query_stride */
  const int64_t* prefix_lengths;       /**< [n_seqs]; null: none */
  const headlane_attention_maps* maps; /**< null: not wanted */
} headlane_forward_batch;

/** Runs a model that takes activations. It makes the same promises as headlane_session_encode and
 * headlane_attention_run.
 * @param session of a model of architecture "layers"
 * @param batch the rows
 * @return INVALID_ARGUMENT naming the field; TOO_LARGE; UNSUPPORTED: the model takes token ids */
HEADLANE_API headlane_status headlane_session_forward(headlane_session* session,
                                                      const headlane_forward_batch* batch);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_LAYER_H_ */

/** @file
 * Attention on your own buffers.
 *
 * O = softmax(cap(score(Q, K)) + bias + positions) V, for programs that have their own model. */
#ifndef HEADLANE_ATTENTION_H_
#define HEADLANE_ATTENTION_H_

#include <headlane/batch.h>
#include <headlane/host.h>
#include <headlane/init.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An attention, checked and planned, with its memory and threads. One thread at a time may run it.
 */
typedef struct headlane_attention headlane_attention;

/** How the score of a query and a key is computed. */
typedef enum headlane_score {
  HEADLANE_SCORE_SCALED_DOT = 0, /**< scale * q . k (Vaswani et al. 2017) */
  HEADLANE_SCORE_DOT = 1,        /**< q . k */
  HEADLANE_SCORE_BILINEAR = 2, /**< q^T W k (Luong et al. 2015, "general"): layers only, where W is
                                * folded into the projection of Q and costs nothing */
  /** v . tanh(q + k) (Bahdanau et al. 2014), where q and k are projected already. Each score takes
   * head_dim hyperbolic tangents, which is far slower than a dot product. */
  HEADLANE_SCORE_ADDITIVE = 3
} headlane_score;

/** Which keys a query sees by position, where lengths differ. PyTorch's names are is_causal and
 * causal_upper_left, and causal_lower_right; ONNX Attention's is_causal is the former. */
typedef enum headlane_causal {
  HEADLANE_CAUSAL_NONE = 0,       /**< all keys */
  HEADLANE_CAUSAL_UPPER_LEFT = 1, /**< query i sees keys 0 .. i */
  HEADLANE_CAUSAL_LOWER_RIGHT =
      2 /**< the last query sees all keys: i sees 0 .. i + kv_len - q_len */
} headlane_causal;

/** How rotary positions reach beyond the length that a model was trained for. */
typedef enum headlane_rotary_scaling {
  HEADLANE_ROTARY_PLAIN = 0,  /**< not at all */
  HEADLANE_ROTARY_LINEAR = 1, /**< positions divided by factor */
  HEADLANE_ROTARY_NTK = 2,    /**< base times factor^(dims / (dims - 2)) */
  HEADLANE_ROTARY_YARN = 3,   /**< Peng et al. 2023, "YaRN" */
  HEADLANE_ROTARY_LLAMA3 = 4  /**< Llama 3.1's */
} headlane_rotary_scaling;

/** Rotary positions (Su et al. 2021, "RoFormer"): pairs of columns of Q and K turn by position
 * times base^(-2 c / dims). Positions count a sequence's real rows from 0; with CAUSAL_LOWER_RIGHT
 * the last query stands at the last key. A field that is 0 has its default. */
typedef struct headlane_rotary {
  size_t struct_size;  /**< sizeof this struct */
  int64_t dims;        /**< columns of each head that turn, the first ones; even; 0: head_dim */
  int32_t interleaved; /**< 0: pairs are columns (c, c + dims / 2), as in Llama, Qwen and GPT-NeoX;
                        * 1: (2 c, 2 c + 1), as in RoFormer and GPT-J */
  double base;         /**< 0: 10000 */
  int64_t max_positions;           /**< no sequence may be longer; needed */
  headlane_rotary_scaling scaling; /**< 0: PLAIN */
  double factor;                   /**< of all scalings; 0: 1 */
  int64_t original_max_positions;  /**< YaRN, Llama 3: the length that the model was trained for */
  double beta_fast;                /**< YaRN; 0: 32 */
  double beta_slow;                /**< YaRN; 0: 1 */
  double attention_factor; /**< YaRN: multiplies cosines and sines, > 0; 0: 0.1 ln(factor) + 1 */
  double low_freq_factor;  /**< Llama 3; 0: 1 */
  double high_freq_factor; /**< Llama 3; 0: 4 */
  /** YaRN: 1: what blends begins and ends between pairs ("truncate": false). */
  int32_t untruncated;
} headlane_rotary;

/** A learned bias for each head and bucket of distances (Raffel et al. 2020, "T5"). */
typedef struct headlane_relative_bias {
  size_t struct_size;    /**< sizeof this struct */
  const float* table;    /**< [n_buckets, n_heads] */
  int64_t n_buckets;     /**< 2 or more */
  int64_t max_distance;  /**< all distances from here on share one bucket */
  int32_t bidirectional; /**< 1: half of the buckets are for keys after the query (encoders); 0:
                          * those count as distance 0 (decoders) */
  int64_t max_len;       /**< no sequence may be longer */
} headlane_relative_bias;

/** What an attention computes. headlane_attention_create reads what the pointers point to, which
 * may be freed afterwards. */
typedef struct headlane_attention_options {
  size_t struct_size; /**< sizeof this struct */
  int64_t n_heads;    /**< of Q and O */
  int64_t n_kv_heads; /**< of K and V, a divisor of n_heads (grouped and multi-query); 0: n_heads */
  int64_t head_dim;   /**< of Q and K, 1 to 256 */
  int64_t v_dim;      /**< of V and O, 1 to 256; 0: head_dim */
  headlane_score score;   /**< 0: SCALED_DOT */
  float scale;            /**< of SCALED_DOT, > 0; 0: 1 / sqrt(head_dim) */
  float softcap;          /**< scores become softcap * tanh(score / softcap); 0: they do not */
  headlane_causal causal; /**< 0: NONE */
  /** Keys before and after its own position that a query sees; 0: all; -1: none. Its position is
   * its number, or with CAUSAL_LOWER_RIGHT its number + kv_len - q_len. With a causal mask no key
   * is after it except those of a prefix (prefix_lengths of the batch), which windows limit as they
   * limit all keys. */
  int64_t window_left;                         /**< before */
  int64_t window_right;                        /**< after, likewise */
  const headlane_rotary* rotary;               /**< null: none */
  const headlane_relative_bias* relative_bias; /**< null: none */
  const float* alibi_slopes; /**< [n_heads], finite: scores lose slope * distance (Press et al.
                              * 2021, "ALiBi"); see headlane_alibi_slopes; null: none */
  const float* sinks;    /**< [n_heads]: a score with a share and no value, finite, or -inf for no
                          * share; null: none */
  const float* additive; /**< [n_heads, head_dim], the v of ADDITIVE; null otherwise */
  int32_t n_threads;     /**< 0: one for each CPU that this process may run on */
  const char* isa;       /**< as in headlane_model_options */
  void* memory;          /**< as in headlane_session_options */
  size_t memory_bytes;   /**< of memory */
  /** What Q, K, V and O are, and what products are computed in: "f32" (or null), floats; or "bf16",
   * uint16_t, each the upper half of a float. With "bf16" the probabilities that the values are
   * weighted with are rounded to it too; scores, the softmax and sums are f32, and so are bias,
   * weights and maps. ADDITIVE scores and machines without products of bf16 do not have it:
   * UNSUPPORTED. */
  const char* precision;
  const headlane_thread_pool* pool; /**< as in headlane_session_options */
} headlane_attention_options;

/** The slopes of Press et al. for any number of heads: 2^(-8 i / n) for powers of two, and between
 * those every other one of the next power.
 * @param n_heads 1 or more
 * @param[out] slopes [n_heads]
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_alibi_slopes(int64_t n_heads, float* slopes);

/** The exact size of the block in which calls with these options work. It does not depend on
 * lengths, except on those of rotary and relative_bias, whose tables are in it.
 * @param options complete, with weights; only its memory field is not read
 * @param[out] out bytes
 * @return what headlane_attention_create returns for the same options */
HEADLANE_API headlane_status headlane_attention_bytes(const headlane_attention_options* options,
                                                      size_t* out);

/** Takes memory and threads; running allocates nothing. One thread at a time may run it.
 * @param options is read, with everything that it points to except memory; all of these may be
 * freed afterwards
 * @param[out] out the caller's, who ends it by headlane_attention_destroy
 * @return INVALID_ARGUMENT naming the field; UNSUPPORTED: this machine or this score has no
 * products of bf16; OUT_OF_MEMORY */
HEADLANE_API headlane_status headlane_attention_create(const headlane_attention_options* options,
                                                       headlane_attention** out);

/** Ends an attention, and its threads. The caller's block, if it has one, may go afterwards.
 * @param attention null: nothing happens */
HEADLANE_API void headlane_attention_destroy(headlane_attention* attention);

/** Does for an attention what headlane_session_set_cancelled does for a session.
 * @param attention that may be inside a call of another thread
 * @param cancelled 1 or 0
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_attention_set_cancelled(headlane_attention* attention,
                                                              int32_t cancelled);

/** Element [seq, token, head, c] lies at data[seq * seq_stride + token * token_stride + head *
 * head_stride + c]: packed Q K V, [seqs, heads, tokens, dim] and [seqs, tokens, heads, dim] all
 * need no copy. */
typedef struct headlane_heads {
  const float* data;    /**< of the element [0, 0, 0, 0] */
  int64_t seq_stride;   /**< not used where sequences are ragged */
  int64_t token_stride; /**< from one token to the next */
  int64_t head_stride;  /**< from one head to the next */
} headlane_heads;

/** As headlane_heads, for rows that are written. */
typedef struct headlane_output_heads {
  float* data;          /**< of the element [0, 0, 0, 0] */
  int64_t seq_stride;   /**< not used where sequences are ragged */
  int64_t token_stride; /**< from one token to the next */
  int64_t head_stride;  /**< from one head to the next */
} headlane_output_heads;

/** The buffers of one call: the caller's, as long as it runs. */
typedef struct headlane_attention_batch {
  size_t struct_size; /**< sizeof this struct */
  int64_t n_seqs;     /**< sequences */
  /** Ragged: sequence b is the tokens offsets[b] .. offsets[b + 1] of Q and O, and of K and V. */
  const int64_t* q_offsets;  /**< [n_seqs + 1], from 0, never falling; null: padded */
  const int64_t* kv_offsets; /**< [n_seqs + 1]; null with q_offsets: the same */
  /** Padded: every sequence has q_len and kv_len rows. */
  int64_t q_len;            /**< rows of each sequence of Q and O */
  int64_t kv_len;           /**< rows of each sequence of K and V */
  const int64_t* q_lengths; /**< [n_seqs], how many of the rows are real; null: all. Other rows of O
                             * become 0 */
  /** [n_seqs], how many of the rows are real; null: all. Other rows of K and V are never read. */
  const int64_t* kv_lengths;
  int32_t left_padded; /**< 1: the real rows are the last ones, not the first */

  headlane_heads q;        /**< [n_seqs, q_len, n_heads, head_dim] */
  headlane_heads k;        /**< [n_seqs, kv_len, n_kv_heads, head_dim] */
  headlane_heads v;        /**< [n_seqs, kv_len, n_kv_heads, v_dim] */
  headlane_output_heads o; /**< [n_seqs, q_len, n_heads, v_dim] */

  /** Added to the scores: element [seq, head, i, j] at bias[seq * bias_seq_stride + head *
   * bias_head_stride + i * bias_query_stride + j]; a stride of 0 repeats. -inf and the most
   * negative float mask. Null: none. i and j count rows of the padded tensors, or of the sequence
   * where sequences are ragged. */
  const float* bias;
  int64_t bias_seq_stride;   /**< from one sequence to the next */
  int64_t bias_head_stride;  /**< from one head to the next */
  int64_t bias_query_stride; /**< from one query to the next */
  /** 1: may be seen, 0: not; laid out likewise. Null: all may. */
  const uint8_t* mask;
  int64_t mask_seq_stride;   /**< as bias_seq_stride */
  int64_t mask_head_stride;  /**< as bias_head_stride */
  int64_t mask_query_stride; /**< as bias_query_stride */

  /** [n_seqs]: how many first keys of a sequence all of its queries see in spite of a causal mask;
   * null: none. A prefix opens what the causal mask hides and nothing else: a window limits the
   * prefix as it limits all keys, and without a causal mask a prefix changes nothing. */
  const int64_t* prefix_lengths;
  const headlane_attention_maps* maps; /**< its layers are not looked at; null: not wanted */

  /** With precision "bf16", in place of the data of q, k, v and o, which must be null then:
   * their strides hold, and count elements. Null otherwise. */
  const uint16_t* q_bf16;
  const uint16_t* k_bf16; /**< as q_bf16 */
  const uint16_t* v_bf16; /**< as q_bf16 */
  uint16_t* o_bf16;       /**< written */
} headlane_attention_batch;

/** Computes the attention of a batch. Masks combine: a key is seen if all of them allow it. A query
 * that sees no key gets zeros. Keys that a query does not see, and their values, never matter to
 * it, NaN included. A NaN that a query sees shows in its own result. So does a value that is NaN or
 * infinite where the weight is so small that it is 0, since 0 * NaN is NaN. A bias of -inf hides a
 * key as the mask does: a NaN behind it does not show, while PyTorch multiplies it by 0 and shows
 * it. Scores may be as large as a float can be; a larger score is an infinity.
 * @param attention that no other thread is running
 * @param batch the sequences; O must not overlap Q, K or V
 * @return INVALID_ARGUMENT naming the field: nulls, sizes, offsets, strides by which rows of O
 * overlap; TOO_LARGE */
HEADLANE_API headlane_status headlane_attention_run(headlane_attention* attention,
                                                    const headlane_attention_batch* batch);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_ATTENTION_H_ */

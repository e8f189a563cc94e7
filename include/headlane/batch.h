/** @file
 * Batches for models that take token ids, and where to write results.
 */
#ifndef HEADLANE_BATCH_H_
#define HEADLANE_BATCH_H_

#include <headlane/init.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A ragged batch: all sequences end to end, no padding. */
typedef struct headlane_batch {
  size_t struct_size;     /**< sizeof this struct */
  int64_t n_seqs;         /**< sequences */
  const int64_t* offsets; /**< [n_seqs + 1], offsets[0] = 0, never falling: sequence i is the tokens
                           * offsets[i] .. offsets[i + 1]; a sequence may be empty */
  const int32_t* ids;     /**< [offsets[n_seqs]], each in [0, vocab_size) */
  const int32_t* type_ids; /**< [offsets[n_seqs]], each in [0, n_types); null: all 0 */
  /** So many tokens at the beginning of each sequence are not pooled: those of a prompt, for models
   * that leave them out (headlane_model_facts). sentence-transformers counts the tokens of the
   * prompt alone, without a special token at their end. 0: all are pooled. */
  int64_t n_left_out;
} headlane_batch;

/** Where to write attention probabilities, which weight the values. Each row sums to 1 (to less
 * with sinks, to 0 if the query sees no key). The scores of the layers and heads that are asked for
 * are computed a second time; others cost nothing. */
typedef struct headlane_attention_maps {
  size_t struct_size; /**< sizeof this struct */
  /** Element [layer, seq, head, i, j], query i, key j, at data + (layer - first_layer) *
   * layer_stride + seq * seq_stride + (head - first_head) * head_stride + i * query_stride + j. i
   * and j count the rows of the padded tensors, or of the sequence where sequences are ragged. Only
   * elements of real queries and keys are written. */
  float* data;
  int64_t layer_stride; /**< from one layer to the next */
  int64_t seq_stride;   /**< from one sequence to the next */
  int64_t head_stride;  /**< from one head to the next */
  int64_t query_stride; /**< from one query to the next */
  int64_t first_layer;  /**< 0: the first one */
  int64_t n_layers;     /**< 0: all from first_layer on */
  int64_t first_head;   /**< 0: the first one */
  int64_t n_heads;      /**< 0: all from first_head on */
} headlane_attention_maps;

/** Where results are written. */
typedef struct headlane_outputs {
  size_t struct_size; /**< sizeof this struct */
  float* hidden;      /**< [n_tokens, d_model], last hidden states; null: not wanted */
  /** [n_seqs, d_vector], a vector for each sequence, as headlane_model_facts says: pooled, and what
   * the model's steps behind pooling make of that; null: not wanted. What is pooled of an empty
   * sequence is zero. */
  float* pooled;
  const headlane_attention_maps* attention; /**< null: not wanted */
  /** Columns of pooled, which must be the model's d_vector; 0: d_model, which must be that too. */
  int64_t d_pooled;
  /** Of a classifier, which has no `pooled`: [n_seqs, n_labels], the raw scores
   * (HEADLANE_OUTCOME_RAW) of each sequence; null: not wanted. */
  float* scores;
  /** How pooled is made, in place of the model's own pooling: a name that headlane_model_facts has
   * for one; null: that. */
  const char* pooling;
} headlane_outputs;

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_BATCH_H_ */

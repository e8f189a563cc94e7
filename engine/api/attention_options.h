// Reads the options and batches of attentions, for calls on buffers and on layers, and the maps
// that any model's probabilities are wanted in.
#pragma once

#include "engine/run/attention_call.h"
#include "engine/run/session.h"
#include "engine/spec/attention_spec.h"
#include "headlane/attention.h"

namespace headlane::c_api {

// Read the options of an attention, and check them.
AttentionSpec read_spec(const headlane_attention_options& options);
AttentionWeights read_weights(const headlane_attention_options& options, const AttentionSpec& spec);

// Bias, mask and prefixes of a batch, whose sequences lie as the rows say.
template <typename Batch>
ScoreInputs read_scores(const Batch& batch, const SeqRows& q_rows, const SeqRows& kv_rows) {
  ScoreInputs scores;
  scores.q_rows = q_rows;
  scores.kv_rows = kv_rows;
  scores.bias = {batch.bias, batch.bias_seq_stride, batch.bias_head_stride,
                 batch.bias_query_stride};
  scores.mask = {batch.mask, batch.mask_seq_stride, batch.mask_head_stride,
                 batch.mask_query_stride};
  scores.prefix_lengths = batch.prefix_lengths;
  return scores;
}
template <typename Batch>
SeqRows read_q_rows(const Batch& batch) {
  return {batch.q_offsets, batch.q_len, batch.q_lengths, batch.left_padded != 0};
}
template <typename Batch>
SeqRows read_kv_rows(const Batch& batch) {
  return {batch.kv_offsets ? batch.kv_offsets : batch.q_offsets, batch.kv_len, batch.kv_lengths,
          batch.left_padded != 0};
}

// Null gives maps of no layer and no head.
LayerMaps read_maps(const headlane_attention_maps* maps, int64_t n_layers, int64_t n_heads);

}  // namespace headlane::c_api

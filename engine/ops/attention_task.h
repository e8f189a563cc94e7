// One attention over a batch, cut into tasks: what the op of a model's graph and the call on a
// caller's own buffers (engine/run/attention_call) share.
#pragma once

#include <array>
#include <cstdint>

#include "engine/spec/attention_spec.h"
#include "kernels/kernels.h"

namespace headlane {

// Rows of one sequence: the first, and how many.
struct Span {
  int64_t begin = 0, len = 0;
};

// Where the rows of a batch's sequences lie. Ragged: sequence i is the rows offsets[i] ..
// offsets[i + 1] of one tensor without a sequence dimension. Padded (offsets null): every sequence
// has `len` rows, of which lengths[i] (or all) are real, the first ones or, if left_padded, the
// last.
struct SeqRows {
  const int64_t* offsets = nullptr;  // [n_seqs + 1]
  int64_t len = 0;
  const int64_t* lengths = nullptr;  // [n_seqs]
  bool left_padded = false;

  bool ragged() const { return offsets != nullptr; }
  Span of(int64_t seq) const {
    if (offsets) return {offsets[seq], offsets[seq + 1] - offsets[seq]};
    const int64_t real = lengths ? lengths[seq] : len;
    return {left_padded ? len - real : 0, real};
  }
  // The index of a tensor's sequence dimension, if it has one.
  int64_t tensor_seq(int64_t seq) const { return offsets ? 0 : seq; }
  // Where the sequence's first real row stands in a bias or mask, which has a sequence dimension
  // always.
  int64_t score_begin(int64_t seq) const { return offsets ? 0 : of(seq).begin; }
};

// The rows that a mask or map needs for these sequences, as score_begin places them.
int64_t score_rows(const SeqRows& rows, int64_t n_seqs);

// Element [seq, token, head, c] of a tensor lies at data + seq * seq_stride + token * token_stride
// + head * head_stride + c.
template <typename T>
struct Heads {
  T* data = nullptr;
  int64_t seq_stride = 0, token_stride = 0, head_stride = 0;
  // Null where there is no data: a batch without keys needs none.
  T* at(int64_t seq, int64_t token, int64_t head) const {
    if (data == nullptr) return nullptr;
    return data + seq * seq_stride + token * token_stride + head * head_stride;
  }
};

// Element [seq, head, i, j] of a bias, mask or map of probabilities; a stride of 0 repeats.
template <typename T>
struct Scores {
  T* data = nullptr;
  int64_t seq_stride = 0, head_stride = 0, query_stride = 0;
  T* at(int64_t seq, int64_t head, int64_t i, int64_t j) const {
    if (data == nullptr) return nullptr;
    return data + seq * seq_stride + head * head_stride + i * query_stride + j;
  }
};

// A call brings these to the scores. i and j count rows from each sequence's own first one as
// q_rows and kv_rows (of the caller's tensors) have it.
struct ScoreInputs {
  SeqRows q_rows, kv_rows;
  Scores<const float> bias;
  Scores<const uint8_t> mask;
  const int64_t* prefix_lengths = nullptr;  // [n_seqs]
};

// T: float, or kernels::Bf16.
template <typename T>
struct AttentionBatch {
  int64_t n_seqs = 0;
  SeqRows q_rows, kv_rows;  // of the four tensors
  // Where only one token of a sequence is a query: the row of K that each row of Q is. Null: row i
  // of a sequence is its query i.
  const int32_t* q_tokens = nullptr;
  Heads<const T> q, k, v;
  Heads<T> o;
  ScoreInputs scores;
};

// Where the probabilities of some heads go: those of head h to element [seq, h - first_head], laid
// out as a mask is. Only what belongs to real queries and keys is written.
struct AttentionMaps {
  Scores<float> p;
  int64_t first_head = 0, n_heads = 0;  // n_heads 0: none are wanted
  bool has(int64_t head) const { return head >= first_head && head - first_head < n_heads; }
};

// Maps of the probabilities of some layers; those of layer i begin (i - first_layer) * layer_stride
// elements into maps.
struct LayerMaps {
  AttentionMaps maps;
  int64_t layer_stride = 0, first_layer = 0, n_layers = 0;
};

// The flops of the two products, for so many pairs of a query and a key of its sequence.
inline double attention_flops(const AttentionSpec& spec, int64_t n_pairs) {
  return 2.0 * static_cast<double>(spec.n_heads * (spec.head_dim + spec.v_dim)) *
         static_cast<double>(n_pairs);
}

// How a batch is cut: a task is `heads` heads of a sequence (a divisor of n_heads), or, where there
// are too few of those for the threads, one of `parts` parts of a head's queries.
struct AttentionSplit {
  int64_t heads = 1;
  int64_t parts = 1;
  int64_t n_tasks = 0;
};
template <typename T>
AttentionSplit split_attention(const AttentionSpec& spec, const kernels::Table& kernels,
                               int64_t n_seqs, int64_t longest, int64_t n_threads);

// The scratch of a task.
template <typename T>
int64_t attention_scratch_floats(const AttentionSpec& spec, const kernels::Table& kernels);

// Runs one task and writes its part of `maps`.
template <typename T>
void run_attention(const AttentionSpec& spec, const AttentionTables& tables,
                   const kernels::Table& kernels, const AttentionBatch<T>& batch,
                   const AttentionSplit& split, int64_t task, const AttentionMaps& maps,
                   float* scratch);

// Steps of an output's dimension, and how often it is taken.
struct Dimension {
  int64_t stride = 0, size = 0;
  bool operator<(const Dimension& other) const { return stride < other.stride; }
};
// Refuses strides by which two elements of an output of rows of `row` elements would share a place.
void check_strides(const char* name, int64_t row, std::array<Dimension, 4> dimensions);

// The same for maps of sequences of up to q_len queries and kv_len keys.
void check_maps(const LayerMaps& maps, int64_t n_seqs, int64_t q_len, int64_t kv_len);

// Sequences, lengths and prefixes of a batch are possible, and none is longer than the spec allows;
// otherwise Error(kInvalidArgument) that names the field.
void check_seqs(const AttentionSpec& spec, int64_t n_seqs, const SeqRows& q_rows,
                const SeqRows& kv_rows, const int64_t* prefix_lengths);

}  // namespace headlane

// Attention on a caller's own buffers: which heads, which keys, and the threads and memory to run
// it.
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/run/buffer.h"
#include "engine/run/team.h"
#include "kernels/kernels.h"

namespace headlane {

// Where query 0 stands among the keys when lengths differ.
enum class Causal {
  kNone,
  kUpperLeft,   // query i sees keys up to i
  kLowerRight,  // the last query sees all keys
};

struct AttentionSpec {
  int64_t n_heads = 0, n_kv_heads = 0;
  int64_t head_dim = 0, v_dim = 0;
  float scale = 1;
  float softcap = 0;
  Causal causal = Causal::kNone;
  int64_t window_left = kernels::AttentionF32Args::kUnlimited;
  int64_t window_right = kernels::AttentionF32Args::kUnlimited;
};

// Element [seq, token, head, c] of a tensor lies at data + seq * seq_stride + token * token_stride
// + head * head_stride + c.
template <typename T>
struct Heads {
  T* data = nullptr;
  int64_t seq_stride = 0, token_stride = 0, head_stride = 0;
  T* at(int64_t seq, int64_t token, int64_t head) const {
    return data + seq * seq_stride + token * token_stride + head * head_stride;
  }
};

// Element [seq, head, i, j] of a bias or mask; a stride of 0 repeats.
template <typename T>
struct Scores {
  const T* data = nullptr;
  int64_t seq_stride = 0, head_stride = 0, query_stride = 0;
  const T* at(int64_t seq, int64_t head, int64_t i, int64_t j) const {
    if (data == nullptr) return nullptr;
    return data + seq * seq_stride + head * head_stride + i * query_stride + j;
  }
};

// One sequence's rows: `begin` tokens into each tensor (or, for bias and mask, into the padded
// rows).
struct Span {
  int64_t begin = 0, len = 0;
};

struct AttentionBatch {
  int64_t n_seqs = 0;
  // Ragged: offsets [n_seqs + 1] into the tokens. Padded (offsets null): sequences of q_len and
  // kv_len rows, of which lengths [n_seqs] (or all) are real, the first ones or, if left_padded,
  // the last.
  const int64_t *q_offsets = nullptr, *kv_offsets = nullptr;
  int64_t q_len = 0, kv_len = 0;
  const int64_t *q_lengths = nullptr, *kv_lengths = nullptr;
  bool left_padded = false;
  Heads<const float> q, k, v;
  Heads<float> o;
  Scores<float> bias;
  Scores<uint8_t> mask;
  const int64_t* prefix_lengths = nullptr;  // [n_seqs]
  const float* alibi_slopes = nullptr;      // [n_heads]
  const float* sinks = nullptr;             // [n_heads]

  Span q_span(int64_t seq) const { return span(seq, q_offsets, q_len, q_lengths); }
  Span kv_span(int64_t seq) const { return span(seq, kv_offsets, kv_len, kv_lengths); }

 private:
  Span span(int64_t seq, const int64_t* offsets, int64_t len, const int64_t* lengths) const {
    if (offsets) return {offsets[seq], offsets[seq + 1] - offsets[seq]};
    const int64_t real = lengths ? lengths[seq] : len;
    return {left_padded ? len - real : 0, real};
  }
};

class AttentionCall {
 public:
  // Throws Error that names the field at fault.
  static void check(const AttentionSpec& spec);
  static size_t bytes(const AttentionSpec& spec, const kernels::Table& kernels, int64_t n_threads);

  // `memory`: bytes() of it, 64-byte aligned, or null: the call takes its own.
  AttentionCall(const AttentionSpec& spec, const kernels::Table& kernels, int64_t n_threads,
                void* memory);

  // Throws Error before anything is written. Allocates nothing.
  void run(const AttentionBatch& batch);

 private:
  void check(const AttentionBatch& batch) const;
  void run_task(const AttentionBatch& batch, int64_t seq, int64_t head, int64_t first, int64_t last,
                float* scratch) const;

  AttentionSpec spec_;
  const kernels::Table& kernels_;
  Team team_;
  int64_t scratch_floats_;
  Buffer own_memory_;
  float* scratch_ = nullptr;  // [n_threads, scratch_floats_]
  std::atomic<int64_t> next_{0};
};

}  // namespace headlane

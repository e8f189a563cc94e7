// Attention on a caller's own buffers: which heads, which keys, and the threads and memory to run
// it.
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/base/buffer.h"
#include "engine/base/team.h"
#include "engine/ops/attention_task.h"
#include "kernels/kernels.h"

namespace headlane {

// T: float, or kernels::Bf16, which the kernels must have and the spec must go with.
template <typename T>
class AttentionCall {
 public:
  static size_t bytes(const AttentionSpec& spec, const kernels::Table& kernels, int64_t n_threads);

  // Spec and weights have been checked. `memory`: bytes() of it, 64-byte aligned, or null: the call
  // takes its own.
  AttentionCall(const AttentionSpec& spec, const AttentionWeights& weights,
                const kernels::Table& kernels, int64_t n_threads, void* memory,
                const CallerPool& pool);

  // Throws Error before anything is written, except Error(kCancelled), which may leave a part of
  // the output written. Allocates nothing.
  void run(const AttentionBatch<T>& batch, const AttentionMaps& maps);

  void set_cancelled(bool cancelled) { team_.set_cancelled(cancelled); }

 private:
  void check(const AttentionBatch<T>& batch) const;
  void clear_padding(const AttentionBatch<T>& batch) const;

  AttentionSpec spec_;
  const kernels::Table& kernels_;
  Team team_;
  int64_t scratch_floats_;
  Buffer own_memory_;
  AttentionTables tables_;
  float* scratch_ = nullptr;  // [n_threads, scratch_floats_]
  std::atomic<int64_t> next_{0};
};

}  // namespace headlane

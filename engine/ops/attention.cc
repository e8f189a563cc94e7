#include <algorithm>

#include "engine/ops/ops.h"

namespace headlane {

// A task is one head of one sequence; where there are sequences enough to feed the threads, all its
// heads, so that the sequence's rows are read by one core.
int64_t Attention::heads_per_task(const Run& run) const {
  return run.n_seqs >= 8 * run.n_threads ? n_heads_ : 1;
}

int64_t Attention::n_tasks(const Run& run) const {
  return run.n_seqs * (n_heads_ / heads_per_task(run));
}

int64_t Attention::scratch_floats(const kernels::Table& kernels, const Limits&) const {
  return kernels.attention_scratch_floats(head_dim_, head_dim_);
}

void Attention::run_task(const Run& run, int64_t task, std::span<const View> inputs, View output,
                         float* scratch) const {
  const int64_t heads = heads_per_task(run);
  const int64_t groups = n_heads_ / heads;
  const int64_t seq = task / groups;
  const int64_t begin = run.offsets[seq];
  const int64_t len = run.offsets[seq + 1] - begin;
  if (len == 0) return;
  const View qkv = inputs[0];
  const int64_t d_model = n_heads_ * head_dim_;
  for (int64_t head = task % groups * heads; head < (task % groups + 1) * heads; ++head) {
    const float* q = qkv.data + begin * qkv.ld + head * head_dim_;
    run.kernels->attention_f32({.q_len = len,
                                .kv_len = len,
                                .head_dim = head_dim_,
                                .v_dim = head_dim_,
                                .scale = scale_,
                                .q = q,
                                .ldq = qkv.ld,
                                .k = q + d_model,
                                .ldk = qkv.ld,
                                .v = q + 2 * d_model,
                                .ldv = qkv.ld,
                                .o = output.data + begin * output.ld + head * head_dim_,
                                .ldo = output.ld,
                                .scratch = scratch});
  }
}

}  // namespace headlane

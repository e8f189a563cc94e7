#include "engine/run/attention_call.h"

#include <algorithm>
#include <tuple>
#include <type_traits>

#include "engine/base/error.h"

namespace headlane {

template <typename T>
size_t AttentionCall<T>::bytes(const AttentionSpec& spec, const kernels::Table& kernels,
                               int64_t n_threads) {
  return static_cast<size_t>(attention_table_floats(spec) +
                             n_threads * attention_scratch_floats<T>(spec, kernels)) *
         sizeof(float);
}

template <typename T>
AttentionCall<T>::AttentionCall(const AttentionSpec& spec, const AttentionWeights& weights,
                                const kernels::Table& kernels, int64_t n_threads, void* memory,
                                const CallerPool& pool)
    : spec_(spec),
      kernels_(kernels),
      team_(static_cast<int>(n_threads), pool),
      scratch_floats_(attention_scratch_floats<T>(spec, kernels)) {
  if (memory == nullptr) {
    own_memory_ = Buffer(bytes(spec, kernels, n_threads));
    memory = own_memory_.data();
  }
  tables_ = fill_attention_tables(spec, weights, static_cast<float*>(memory));
  scratch_ = static_cast<float*>(memory) + attention_table_floats(spec);
}

template <typename T>
void AttentionCall<T>::check(const AttentionBatch<T>& batch) const {
  check_seqs(spec_, batch.n_seqs, batch.q_rows, batch.kv_rows, batch.scores.prefix_lengths);
  const bool ragged = batch.q_rows.ragged();
  const auto rows_of = [&](const SeqRows& rows) {
    return ragged ? rows.offsets[batch.n_seqs] : batch.n_seqs > 0 ? rows.len : 0;
  };
  const int64_t tokens = rows_of(batch.q_rows), keys = rows_of(batch.kv_rows);
  const std::tuple<const char*, const void*, int64_t> needed[] = {{"q", batch.q.data, tokens},
                                                                  {"k", batch.k.data, keys},
                                                                  {"v", batch.v.data, keys},
                                                                  {"o", batch.o.data, tokens}};
  for (const auto& [name, data, rows] : needed) {
    if (data != nullptr || rows == 0) continue;
    fail(Status::kInvalidArgument, std::is_same_v<T, float> ? "%s.data is null" : "%s_bf16 is null",
         name);
  }
  check_strides("o", spec_.v_dim,
                {{{batch.o.token_stride, tokens},
                  {batch.o.head_stride, spec_.n_heads},
                  {batch.o.seq_stride, ragged ? 1 : batch.n_seqs},
                  {0, 1}}});
}

template <typename T>
void AttentionCall<T>::run(const AttentionBatch<T>& batch, const AttentionMaps& maps) {
  check(batch);
  int64_t longest = 0, n_pairs = 0;
  for (int64_t seq = 0; seq < batch.n_seqs; ++seq) {
    const int64_t q_len = batch.q_rows.of(seq).len, kv_len = batch.kv_rows.of(seq).len;
    longest = std::max(longest, q_len);
    n_pairs += q_len * kv_len;
  }
  check_maps({maps, 0, 0, 1}, batch.n_seqs, score_rows(batch.q_rows, batch.n_seqs),
             score_rows(batch.kv_rows, batch.n_seqs));
  // Short sequences run at a fraction of long ones' speed, so each head has a share of its own.
  const double seconds = attention_flops(spec_, n_pairs) / 100e9 +
                         static_cast<double>(batch.n_seqs * spec_.n_heads) * 0.2e-6;
  const AttentionSplit split =
      split_attention<T>(spec_, kernels_, batch.n_seqs, longest, team_.n_threads());
  next_.store(0, std::memory_order_relaxed);
  const auto run_tasks = [&](int /*phase*/, int thread, int /*count*/) {
    float* scratch = scratch_ + thread * scratch_floats_;
    for (int64_t i = 0; (i = next_.fetch_add(1, std::memory_order_relaxed)) < split.n_tasks;) {
      if (team_.may_stop()) return;
      run_attention(spec_, tables_, kernels_, batch, split, i, maps, scratch);
    }
  };
  team_.run(1, team_.width(seconds), run_tasks);
  clear_padding(batch);
}

// Rows of padding become zeros.
template <typename T>
void AttentionCall<T>::clear_padding(const AttentionBatch<T>& batch) const {
  if (batch.q_rows.ragged() || batch.q_rows.lengths == nullptr) return;
  for (int64_t seq = 0; seq < batch.n_seqs; ++seq) {
    const Span real = batch.q_rows.of(seq);
    for (int64_t t = 0; t < batch.q_rows.len; ++t) {
      if (t >= real.begin && t < real.begin + real.len) continue;
      for (int64_t head = 0; head < spec_.n_heads; ++head) {
        std::fill_n(batch.o.at(seq, t, head), spec_.v_dim, T{});  // zero, as floats and as bf16
      }
    }
  }
}

template class AttentionCall<float>;
template class AttentionCall<kernels::Bf16>;

}  // namespace headlane

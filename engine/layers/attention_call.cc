#include "engine/layers/attention_call.h"

#include <algorithm>
#include <utility>

#include "engine/error.h"

namespace headlane {
namespace {

using ll = long long;
constexpr int64_t kMostHeads = 1 << 16, kMostHeadDim = 256, kMostLength = int64_t{1} << 31;

void check_range(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  fail(Status::kInvalidArgument, "%s is %lld; it must be from %lld to %lld", name, ll{value},
       ll{least}, ll{most});
}

void check_offsets(const char* name, const int64_t* offsets, int64_t n_seqs) {
  if (offsets[0] != 0) fail(Status::kInvalidArgument, "%s[0] is %lld, not 0", name, ll{offsets[0]});
  for (int64_t i = 0; i < n_seqs; ++i) {
    if (offsets[i + 1] >= offsets[i] && offsets[i + 1] <= kMostLength) continue;
    fail(Status::kInvalidArgument, "%s[%lld] is %lld; offsets must not fall, nor pass %lld", name,
         ll{i + 1}, ll{offsets[i + 1]}, ll{kMostLength});
  }
}

void check_lengths(const char* name, const int64_t* lengths, int64_t n_seqs, int64_t most) {
  for (int64_t i = 0; lengths && i < n_seqs; ++i) {
    if (lengths[i] >= 0 && lengths[i] <= most) continue;
    fail(Status::kInvalidArgument, "%s[%lld] is %lld; it must be from 0 to %lld", name, ll{i},
         ll{lengths[i]}, ll{most});
  }
}

// Refuses strides by which two elements of the output would share a place: taken from the smallest,
// each stride must step over all that those before it reach.
void check_output(const AttentionBatch& batch, const AttentionSpec& spec) {
  const bool ragged = batch.q_offsets != nullptr;
  const int64_t tokens = ragged ? batch.q_offsets[batch.n_seqs] : batch.q_len;
  std::pair<int64_t, int64_t> dims[] = {{batch.o.token_stride, tokens},
                                        {batch.o.head_stride, spec.n_heads},
                                        {batch.o.seq_stride, ragged ? 1 : batch.n_seqs}};
  for (const auto& [stride, size] : dims) {
    if (size == 0) return;
  }
  std::sort(std::begin(dims), std::end(dims));
  int64_t reach = spec.v_dim;
  for (const auto& [stride, size] : dims) {
    if (size <= 1) continue;
    if (stride < reach) {
      fail(Status::kInvalidArgument,
           "the strides of o overlap: one is %lld, and rows of smaller strides reach over %lld",
           ll{stride}, ll{reach});
    }
    int64_t last = 0;
    if (__builtin_mul_overflow(stride, size - 1, &last) ||
        __builtin_add_overflow(last, reach, &reach)) {
      fail(Status::kInvalidArgument, "a stride of o is %lld: no memory is as large", ll{stride});
    }
  }
}

}  // namespace

void AttentionCall::check(const AttentionSpec& spec) {
  check_range("n_heads", spec.n_heads, 1, kMostHeads);
  check_range("n_kv_heads", spec.n_kv_heads, 1, kMostHeads);
  if (spec.n_heads % spec.n_kv_heads != 0) {
    fail(Status::kInvalidArgument, "n_kv_heads is %lld, which does not divide n_heads, %lld",
         ll{spec.n_kv_heads}, ll{spec.n_heads});
  }
  check_range("head_dim", spec.head_dim, 1, kMostHeadDim);
  check_range("v_dim", spec.v_dim, 1, kMostHeadDim);
  if (!(spec.scale > 0 && spec.scale < 1e30f)) {
    fail(Status::kInvalidArgument, "scale is %g; it must be positive and finite",
         static_cast<double>(spec.scale));
  }
  if (!(spec.softcap >= 0 && spec.softcap < 1e30f)) {
    fail(Status::kInvalidArgument, "softcap is %g; it must be 0 or positive and finite",
         static_cast<double>(spec.softcap));
  }
}

size_t AttentionCall::bytes(const AttentionSpec& spec, const kernels::Table& kernels,
                            int64_t n_threads) {
  const int64_t floats = kernels.attention_scratch_floats(spec.head_dim, spec.v_dim);
  const int64_t aligned =
      (floats + kernels::kRowAlign - 1) / kernels::kRowAlign * kernels::kRowAlign;
  return static_cast<size_t>(n_threads * aligned) * sizeof(float);
}

AttentionCall::AttentionCall(const AttentionSpec& spec, const kernels::Table& kernels,
                             int64_t n_threads, void* memory)
    : spec_(spec),
      kernels_(kernels),
      team_(static_cast<int>(n_threads)),
      scratch_floats_(static_cast<int64_t>(bytes(spec, kernels, 1) / sizeof(float))) {
  if (memory == nullptr) {
    own_memory_ = Buffer(bytes(spec, kernels, n_threads));
    memory = own_memory_.data();
  }
  scratch_ = static_cast<float*>(memory);
}

void AttentionCall::check(const AttentionBatch& batch) const {
  check_range("n_seqs", batch.n_seqs, 0, kMostLength);
  if ((batch.q_offsets == nullptr) != (batch.kv_offsets == nullptr)) {
    fail(Status::kInvalidArgument, "one of q_offsets and kv_offsets is null, the other is not");
  }
  if (batch.q_offsets) {
    check_offsets("q_offsets", batch.q_offsets, batch.n_seqs);
    check_offsets("kv_offsets", batch.kv_offsets, batch.n_seqs);
  } else {
    check_range("q_len", batch.q_len, 0, kMostLength);
    check_range("kv_len", batch.kv_len, 0, kMostLength);
    check_lengths("q_lengths", batch.q_lengths, batch.n_seqs, batch.q_len);
    check_lengths("kv_lengths", batch.kv_lengths, batch.n_seqs, batch.kv_len);
  }
  check_lengths("prefix_lengths", batch.prefix_lengths, batch.n_seqs, kMostLength);
  const std::pair<const char*, const void*> needed[] = {
      {"q", batch.q.data}, {"k", batch.k.data}, {"v", batch.v.data}, {"o", batch.o.data}};
  for (const auto& [name, data] : needed) {
    if (data == nullptr) fail(Status::kInvalidArgument, "%s.data is null", name);
  }
  check_output(batch, spec_);
}

void AttentionCall::run_task(const AttentionBatch& batch, int64_t seq, int64_t head, int64_t first,
                             int64_t last, float* scratch) const {
  const Span q = batch.q_span(seq), kv = batch.kv_span(seq);
  const int64_t kv_head = head / (spec_.n_heads / spec_.n_kv_heads);
  const bool ragged = batch.q_offsets != nullptr;
  // The place of a bias or mask element is that of its query and key within the sequence's own
  // rows.
  const int64_t score_i = (ragged ? 0 : q.begin) + first, score_j = ragged ? 0 : kv.begin;
  const int64_t tensor_seq = ragged ? 0 : seq;  // ragged tensors have no sequence dimension
  const int64_t shift = spec_.causal == Causal::kLowerRight ? kv.len - q.len : 0;
  kernels_.attention_f32({
      .q_len = last - first,
      .kv_len = kv.len,
      .head_dim = spec_.head_dim,
      .v_dim = spec_.v_dim,
      .scale = spec_.scale,
      .softcap = spec_.softcap,
      .q_offset = shift + first,
      .window_left = spec_.window_left,
      .window_right = spec_.causal == Causal::kNone ? spec_.window_right : 0,
      .prefix_len = batch.prefix_lengths ? batch.prefix_lengths[seq] : 0,
      .q = batch.q.at(tensor_seq, q.begin + first, head),
      .ldq = batch.q.token_stride,
      .k = batch.k.at(tensor_seq, kv.begin, kv_head),
      .ldk = batch.k.token_stride,
      .v = batch.v.at(tensor_seq, kv.begin, kv_head),
      .ldv = batch.v.token_stride,
      .bias = batch.bias.at(seq, head, score_i, score_j),
      .ld_bias = batch.bias.query_stride,
      .alibi_slope = batch.alibi_slopes ? batch.alibi_slopes[head] : 0.0f,
      .mask = batch.mask.at(seq, head, score_i, score_j),
      .ld_mask = batch.mask.query_stride,
      .sink = batch.sinks ? batch.sinks + head : nullptr,
      .o = batch.o.at(tensor_seq, q.begin + first, head),
      .ldo = batch.o.token_stride,
      .scratch = scratch,
  });
}

// A task is a head of a sequence, or where there are too few of those a part of its queries.
void AttentionCall::run(const AttentionBatch& batch) {
  check(batch);
  int64_t longest = 0;
  for (int64_t seq = 0; seq < batch.n_seqs; ++seq)
    longest = std::max(longest, batch.q_span(seq).len);
  const int64_t heads = batch.n_seqs * spec_.n_heads;
  const int64_t group = kernels_.attention_group_rows;
  const int64_t groups = (longest + group - 1) / group;
  const int64_t wanted = 4 * team_.n_threads();
  const int64_t parts =
      heads >= wanted || heads == 0
          ? 1
          : std::clamp<int64_t>((wanted + heads - 1) / heads, 1, std::max<int64_t>(groups, 1));
  next_.store(0, std::memory_order_relaxed);
  team_.run([&](int thread, int) {
    float* scratch = scratch_ + thread * scratch_floats_;
    for (int64_t i = 0; (i = next_.fetch_add(1, std::memory_order_relaxed)) < heads * parts;) {
      const int64_t seq = i / (spec_.n_heads * parts), head = i / parts % spec_.n_heads;
      const int64_t len = batch.q_span(seq).len, n_groups = (len + group - 1) / group;
      const int64_t first = std::min(len, n_groups * (i % parts) / parts * group);
      const int64_t last = std::min(len, n_groups * (i % parts + 1) / parts * group);
      if (first < last) run_task(batch, seq, head, first, last, scratch);
    }
  });
  if (batch.q_offsets || batch.q_lengths == nullptr) return;
  for (int64_t seq = 0; seq < batch.n_seqs; ++seq) {  // rows of padding: zeros
    const Span real = batch.q_span(seq);
    for (int64_t t = 0; t < batch.q_len; ++t) {
      if (t >= real.begin && t < real.begin + real.len) continue;
      for (int64_t h = 0; h < spec_.n_heads; ++h)
        std::fill_n(batch.o.at(seq, t, h), spec_.v_dim, 0.0f);
    }
  }
}

}  // namespace headlane

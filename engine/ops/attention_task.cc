#include "engine/ops/attention_task.h"

#include <algorithm>

#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;
constexpr int64_t kMostLength = int64_t{1} << 31;

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

// The slots of a table for one element.
template <typename T>
struct Slots;

template <>
struct Slots<float> {
  static constexpr auto kAttention = &kernels::Table::attention_f32;
  static constexpr auto kProbabilities = &kernels::Table::attention_probabilities_f32;
  static constexpr auto kScratchFloats = &kernels::Table::attention_scratch_floats;
  static constexpr auto kGroupRows = &kernels::Table::attention_group_rows;
};

template <>
struct Slots<kernels::Bf16> {
  static constexpr auto kAttention = &kernels::Table::attention_bf16;
  static constexpr auto kProbabilities = &kernels::Table::attention_probabilities_bf16;
  static constexpr auto kScratchFloats = &kernels::Table::attention_bf16_scratch_floats;
  static constexpr auto kGroupRows = &kernels::Table::attention_bf16_group_rows;
};

// The kernel's arguments for queries first .. last of one head of one sequence.
template <typename T>
kernels::AttentionArgs<T> arguments(const AttentionSpec& spec, const AttentionTables& tables,
                                    const AttentionBatch<T>& batch, int64_t seq, int64_t head,
                                    int64_t first, int64_t last, float* scratch) {
  const Span q = batch.q_rows.of(seq), kv = batch.kv_rows.of(seq);
  const int64_t kv_head = head / (spec.n_heads / spec.n_kv_heads);
  const int64_t q_seq = batch.q_rows.tensor_seq(seq), kv_seq = batch.kv_rows.tensor_seq(seq);
  const ScoreInputs& scores = batch.scores;
  const int64_t i = scores.q_rows.score_begin(seq) + first;
  const int64_t j = scores.kv_rows.score_begin(seq);
  int64_t shift = spec.causal == Causal::kLowerRight ? kv.len - q.len : 0;
  if (batch.q_tokens) shift = batch.q_tokens[q.begin] - kv.begin;
  const float* relative = tables.relative_bias;
  return {
      .q_len = last - first,
      .kv_len = kv.len,
      .head_dim = spec.head_dim,
      .v_dim = spec.v_dim,
      .scale = spec.scale,
      .softcap = spec.softcap,
      .q_offset = shift + first,
      .window_left = spec.window_left,
      .window_right = spec.window_right,
      .causal = spec.causal != Causal::kNone,
      .prefix_len = scores.prefix_lengths ? scores.prefix_lengths[seq] : 0,
      .q = batch.q.at(q_seq, q.begin + first, head),
      .ldq = batch.q.token_stride,
      .k = batch.k.at(kv_seq, kv.begin, kv_head),
      .ldk = batch.k.token_stride,
      .v = batch.v.at(kv_seq, kv.begin, kv_head),
      .ldv = batch.v.token_stride,
      .bias = scores.bias.at(seq, head, i, j),
      .ld_bias = scores.bias.query_stride,
      .alibi_slope = tables.alibi_slopes ? tables.alibi_slopes[head] : 0.0f,
      .relative_bias =
          relative ? relative + head * spec.relative.stride() + spec.relative.zero() : nullptr,
      .rotary = tables.rotary,
      .rotary_dims = tables.rotary ? spec.rotary.dims : 0,
      .rotary_interleaved = spec.rotary.interleaved,
      // Only differences matter; none of the two may be negative.
      .q_position = std::max<int64_t>(shift, 0) + first,
      .k_position = std::max<int64_t>(-shift, 0),
      .additive = tables.additive ? tables.additive + head * spec.head_dim : nullptr,
      .mask = scores.mask.at(seq, head, i, j),
      .ld_mask = scores.mask.query_stride,
      .sink = tables.sinks ? tables.sinks + head : nullptr,
      .o = batch.o.at(q_seq, q.begin + first, head),
      .ldo = batch.o.token_stride,
      .scratch = scratch,
  };
}

// Has the next head's rows fetched, where they are few enough to stay near until they are read.
template <typename T>
void fetch_next(const AttentionSpec& spec, const AttentionBatch<T>& batch, int64_t head,
                kernels::AttentionArgs<T>* args) {
  constexpr int64_t kMostRows = 256;
  if (args->q_len > kMostRows || args->kv_len > kMostRows || args->kv_len == 0) return;
  const int64_t sharing = spec.n_heads / spec.n_kv_heads;
  args->next_q = args->q + batch.q.head_stride;
  if ((head + 1) % sharing != 0) return;  // the next head has the same keys and values
  args->next_k = args->k + batch.k.head_stride;
  args->next_v = args->v + batch.v.head_stride;
}

}  // namespace

// A task takes as many heads of a sequence as leave each thread eight tasks: a head's rows lie
// beside the next one's, which are then fetched meanwhile.
template <typename T>
AttentionSplit split_attention(const AttentionSpec& spec, const kernels::Table& kernels,
                               int64_t n_seqs, int64_t longest, int64_t n_threads) {
  AttentionSplit split;
  const int64_t heads = n_seqs * spec.n_heads;
  split.heads = std::clamp<int64_t>(heads / (8 * n_threads), 1, spec.n_heads);
  while (spec.n_heads % split.heads != 0) --split.heads;
  if (const int64_t wanted = 4 * n_threads; heads > 0 && heads < wanted) {
    const int64_t group = kernels.*Slots<T>::kGroupRows;
    const int64_t groups = std::max<int64_t>((longest + group - 1) / group, 1);
    split.parts = std::min((wanted + heads - 1) / heads, groups);
  }
  split.n_tasks = heads / split.heads * split.parts;
  return split;
}

template <typename T>
int64_t attention_scratch_floats(const AttentionSpec& spec, const kernels::Table& kernels) {
  return kernels::round_up_to((kernels.*Slots<T>::kScratchFloats)(spec.head_dim, spec.v_dim),
                              kernels::kRowAlign);
}

template <typename T>
void run_attention(const AttentionSpec& spec, const AttentionTables& tables,
                   const kernels::Table& kernels, const AttentionBatch<T>& batch,
                   const AttentionSplit& split, int64_t task, const AttentionMaps& maps,
                   float* scratch) {
  const int64_t tasks_of_seq = spec.n_heads / split.heads * split.parts;
  const int64_t seq = task / tasks_of_seq, part = task % split.parts;
  const int64_t first_head = task % tasks_of_seq / split.parts * split.heads;
  const int64_t len = batch.q_rows.of(seq).len, group = kernels.*Slots<T>::kGroupRows;
  const int64_t groups = (len + group - 1) / group;
  const int64_t first = std::min(len, groups * part / split.parts * group);
  const int64_t last = std::min(len, groups * (part + 1) / split.parts * group);
  if (first == last) return;
  for (int64_t head = first_head; head < first_head + split.heads; ++head) {
    auto args = arguments(spec, tables, batch, seq, head, first, last, scratch);
    if (head + 1 < first_head + split.heads) fetch_next(spec, batch, head, &args);
    (kernels.*Slots<T>::kAttention)(args);
    if (!maps.has(head)) continue;
    const int64_t i = batch.scores.q_rows.score_begin(seq) + first;
    const int64_t j = batch.scores.kv_rows.score_begin(seq);
    (kernels.*Slots<T>::kProbabilities)(args, maps.p.at(seq, head - maps.first_head, i, j),
                                        maps.p.query_stride);
  }
}

template AttentionSplit split_attention<float>(const AttentionSpec&, const kernels::Table&, int64_t,
                                               int64_t, int64_t);
template AttentionSplit split_attention<kernels::Bf16>(const AttentionSpec&, const kernels::Table&,
                                                       int64_t, int64_t, int64_t);
template int64_t attention_scratch_floats<float>(const AttentionSpec&, const kernels::Table&);
template int64_t attention_scratch_floats<kernels::Bf16>(const AttentionSpec&,
                                                         const kernels::Table&);
template void run_attention(const AttentionSpec&, const AttentionTables&, const kernels::Table&,
                            const AttentionBatch<float>&, const AttentionSplit&, int64_t,
                            const AttentionMaps&, float*);
template void run_attention(const AttentionSpec&, const AttentionTables&, const kernels::Table&,
                            const AttentionBatch<kernels::Bf16>&, const AttentionSplit&, int64_t,
                            const AttentionMaps&, float*);

int64_t score_rows(const SeqRows& rows, int64_t n_seqs) {
  int64_t most = 0;
  for (int64_t seq = 0; seq < n_seqs; ++seq) {
    const int64_t len = rows.of(seq).len;
    if (len > 0) most = std::max(most, rows.score_begin(seq) + len);
  }
  return most;
}

// Taken from the smallest, each stride must step over all that those before it reach.
void check_strides(const char* name, int64_t row, std::array<Dimension, 4> dimensions) {
  for (const Dimension& dimension : dimensions) {
    if (dimension.size == 0) return;
  }
  std::sort(dimensions.begin(), dimensions.end());
  int64_t reach = row;
  for (const auto& [stride, size] : dimensions) {
    if (size <= 1) continue;
    if (stride < reach) {
      fail(Status::kInvalidArgument,
           "the strides of %s overlap: one is %lld, and rows of smaller strides reach over %lld",
           name, ll{stride}, ll{reach});
    }
    int64_t last = 0;
    if (__builtin_mul_overflow(stride, size - 1, &last) ||
        __builtin_add_overflow(last, reach, &reach)) {
      fail(Status::kInvalidArgument, "a stride of %s is %lld: no memory is as large", name,
           ll{stride});
    }
  }
}

void check_maps(const LayerMaps& maps, int64_t n_seqs, int64_t q_len, int64_t kv_len) {
  const AttentionMaps& of = maps.maps;
  if (of.n_heads == 0) return;
  check_strides("maps", kv_len,
                {{{of.p.query_stride, q_len},
                  {of.p.head_stride, of.n_heads},
                  {of.p.seq_stride, n_seqs},
                  {maps.layer_stride, maps.n_layers}}});
}

void check_seqs(const AttentionSpec& spec, int64_t n_seqs, const SeqRows& q_rows,
                const SeqRows& kv_rows, const int64_t* prefix_lengths) {
  check_range("n_seqs", n_seqs, 0, kMostLength);
  if (q_rows.ragged() != kv_rows.ragged()) {
    fail(Status::kInvalidArgument, "one of q_offsets and kv_offsets is null, the other is not");
  }
  if (q_rows.ragged()) {
    check_offsets("q_offsets", q_rows.offsets, n_seqs);
    check_offsets("kv_offsets", kv_rows.offsets, n_seqs);
  } else {
    check_range("q_len", q_rows.len, 0, kMostLength);
    check_range("kv_len", kv_rows.len, 0, kMostLength);
    check_lengths("q_lengths", q_rows.lengths, n_seqs, q_rows.len);
    check_lengths("kv_lengths", kv_rows.lengths, n_seqs, kv_rows.len);
  }
  check_lengths("prefix_lengths", prefix_lengths, n_seqs, kMostLength);
  const int64_t most = spec.max_len();
  for (int64_t seq = 0; seq < n_seqs; ++seq) {
    const int64_t len = std::max(q_rows.of(seq).len, kv_rows.of(seq).len);
    if (len <= most) continue;
    fail(Status::kTooLarge, "sequence %lld has %lld rows; its position tables were made for %lld",
         ll{seq}, ll{len}, ll{most});
  }
}

}  // namespace headlane

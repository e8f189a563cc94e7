// P = softmax(cap(scores) + biases) for one head of one sequence: what attention-inl.h weights the
// values with, written out. Scores go to the caller's rows block by block, then each row is
// normalised whole: its maximum, its exponentials and their sum, the division.
#pragma once

#include "kernels/attention_scores-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline float row_maximum(const float* p, int64_t n) {
  F32 largest = broadcast(-kInfinity);
  for_each_vector(n, [&](int64_t j, int64_t width) {
    largest = max(largest, keep_n(load_up_to(p + j, width), width, -kInfinity));
  });
  return reduce_max(largest);
}

// p[n] holds S, -inf where the query does not see a key, and becomes probabilities. Returns whether
// it has: not where nothing is seen, nor where a score is NaN or an infinity that is no mask's.
template <typename T>
inline bool normalise_row(const QueryGroup<T>& group, const float* sink, float* p, int64_t n) {
  const float largest = row_maximum(p, n);
  const F32 offset = broadcast(largest == -kInfinity ? 0.0f : largest);
  const F32 factor = broadcast(group.factor);
  F32 sums = broadcast(0.0f);
  for_each_vector(n, [&](int64_t j, int64_t width) {
    const F32 s = keep_n(load_up_to(p + j, width), width, -kInfinity);
    const F32 e = exp2((s - offset) * factor);
    sums = sums + e;
    store_up_to(p + j, e, width);
  });
  float sum = reduce_add(sums), rescale = 1.0f;
  if (sink) {
    const SinkShare share = sink_share(*sink, double{largest} * group.scale, 0.0);
    rescale = share.rescale;
    sum = sum * rescale + share.own;
  }
  if (!(sum > 0)) return false;
  for_each_vector(n, [&](int64_t j, int64_t width) {
    const F32 e = load_up_to(p + j, width) * broadcast(rescale);
    store_up_to(p + j, e / broadcast(sum), width);
  });
  return true;
}

inline void fill(float* p, int64_t begin, int64_t end, float value) {
  if (begin >= end) return;
  for_each_vector(end - begin, [&](int64_t j, int64_t width) {
    store_up_to(p + begin + j, broadcast(value), width);
  });
}

template <typename T>
inline void probabilities_of_group(const AttentionArgs<T>& args, const AttentionScratch<T>& at,
                                   int64_t first, int64_t rows, float* p, int64_t ldp) {
  const QueryGroup<T> group = make_group(args, at, first, rows);
  for (int64_t i = first; group.may_skip && i < first + rows; ++i) {
    const KeyRange seen = keys_seen(args, i);
    fill(p + i * ldp, seen.begin, seen.end, -kInfinity);
  }
  for_each_block(
      args, group, [&](int64_t begin, int64_t n) { pack_keys(args, at, begin, n); },
      [&](int64_t r0, int64_t strip, int64_t begin, int64_t n) {
        score_strip(args, at, group, r0, strip, begin, n, [&](int64_t r, const float* s, F32) {
          float* row = p + (first + r) * ldp + begin;
          for_each_vector(
              n, [&](int64_t j, int64_t width) { store_up_to(row + j, load(s + j), width); });
        });
      });
  for (int64_t i = first; i < first + rows; ++i) {
    const KeyRange seen = keys_seen(args, i);
    float* row = p + i * ldp;
    const bool sees_nothing = seen.begin >= seen.end;
    fill(row, 0, sees_nothing ? args.kv_len : seen.begin, 0.0f);
    if (sees_nothing) continue;
    fill(row, seen.end, args.kv_len, 0.0f);
    if (normalise_row(group, args.sink, row + seen.begin, seen.end - seen.begin)) continue;
    for (int64_t j = seen.begin; j < seen.end; ++j) {
      row[j] = sees_key(args, i, j) ? __builtin_nanf("") : 0.0f;
    }
  }
}

template <typename T>
inline void attention_probabilities(const AttentionArgs<T>& args, float* p, int64_t ldp) {
  check_attention(args);
  typename AttentionTile<T>::Unit unit;
  const AttentionScratch<T> at =
      attention_layout<T>(args.scratch, args.head_dim, args.v_dim, &unit);
  constexpr int64_t kGroupRows = AttentionTile<T>::kGroupRows;
  for (int64_t i = 0; i < args.q_len; i += kGroupRows) {
    probabilities_of_group(args, at, i, smaller(kGroupRows, args.q_len - i), p, ldp);
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA

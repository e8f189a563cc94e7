// P = softmax(cap(scores) + biases) for one head of one sequence: what attention-inl.h weights the
// values with, written out. Scores go to the caller's rows block by block, then each row is
// normalised whole: its maximum, its exponentials and their sum, the division.

namespace headlane::kernels::HEADLANE_ISA {

inline float row_maximum(const float* p, int64_t n) {
  F32 largest = broadcast(-kInfinity);
  for_each_vector(n, [&](int64_t j, int64_t width) {
    largest = max(largest, keep_n(load_up_to(p + j, width), width, -kInfinity));
  });
  return reduce_max(largest);
}

// p[n] holds factor^-1 times exponents of 2, -inf where the query does not see a key, and becomes
// probabilities. What is not seen stays -inf until the division, so that it ends as 0 even where
// the sum is NaN.
inline void normalise_row(float* p, int64_t n, float factor, const float* sink) {
  const F32 unseen = broadcast(-kInfinity), zero = broadcast(0.0f);
  const float sink_exponent = sink ? *sink * kLog2E : -kInfinity;
  const float largest = row_maximum(p, n) * factor;
  const float m = sink_exponent > largest ? sink_exponent : largest;
  F32 sums = zero;
  for_each_vector(n, [&](int64_t j, int64_t width) {
    const F32 x = keep_n(load_up_to(p + j, width), width, -kInfinity);
    const F32 e = exp2(fma(x, broadcast(factor), broadcast(-m)));
    sums = sums + xsimd::select(x == unseen, zero, e);
    store_up_to(p + j, xsimd::select(x == unseen, unseen, e), width);
  });
  const float own = sink ? exp2(broadcast(sink_exponent) - broadcast(m)).get(0) : 0.0f;
  const F32 sum = broadcast(reduce_add(sums) + own);
  for_each_vector(n, [&](int64_t j, int64_t width) {
    const F32 e = load_up_to(p + j, width);
    store_up_to(p + j, xsimd::select(e == unseen, zero, e / sum), width);
  });
}

inline void fill(float* p, int64_t begin, int64_t end, float value) {
  if (begin >= end) return;
  for_each_vector(end - begin, [&](int64_t j, int64_t width) {
    store_up_to(p + begin + j, broadcast(value), width);
  });
}

template <typename T>
inline void probabilities_of_group(const AttentionArgs<T>& args, const AttentionScratch& at,
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
    normalise_row(row + seen.begin, seen.end - seen.begin, group.factor, args.sink);
  }
}

template <typename T>
inline void attention_probabilities(const AttentionArgs<T>& args, float* p, int64_t ldp) {
  check_attention(args);
  DotUnit unit;
  const AttentionScratch at = attention_layout<T>(args.scratch, args.head_dim, args.v_dim, &unit);
  constexpr int64_t kGroupRows = AttentionTile<T>::kGroupRows;
  for (int64_t i = 0; i < args.q_len; i += kGroupRows) {
    probabilities_of_group(args, at, i, smaller(kGroupRows, args.q_len - i), p, ldp);
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA

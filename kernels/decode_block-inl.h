// One block of keys and a strip of queries, of attention over the rows of a cache: scores, their
// softmax within the block, and the weighted values. decode_attention-inl.h says how blocks become
// a result.
//
// Every sum has an order that knows the query, the block and the columns alone:
//   - a score is the sum of kWidth partial sums, each a chain of fused steps over every kWidth-th
//     column, joined by sum_quad and join_quads;
//   - the sum of weights goes from vector to vector of the block, and then over the lanes;
//   - a value's sum is a chain of fused steps over the keys that the query sees, in their order.
// Scales of keys multiply sums of products, scales of values the weights after their sum.
#pragma once

#include "kernels/decode_rows-inl.h"
#include "kernels/math-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// sums[r][u] += q's row r * k[u], over n columns of one step
template <typename T, int R>
inline void add_products(const float* q, int64_t ldq, const T* const* k, int64_t c, int64_t n,
                         F32 (&sums)[R][4]) {
  using Row = DecodeRow<T>;
  F32 x[4][Row::kParts];
  HEADLANE_UNROLL
  for (int u = 0; u < 4; ++u) Row::read(k[u] + c, n, x[u]);
  HEADLANE_UNROLL
  for (int r = 0; r < R; ++r) {
    HEADLANE_UNROLL
    for (int part = 0; part < Row::kParts; ++part) {
      const F32 q_r = load(q + r * ldq + part * kWidth);
      HEADLANE_UNROLL
      for (int u = 0; u < 4; ++u) sums[r][u] = fma(q_r, x[u][part], sums[r][u]);
    }
  }
}

// The products of R rows of q and n <= kWidth rows of K, from column `first` of them: a vector for
// each row of q. Sums of kWidth lanes become lanes, by two shuffles a key in place of a horizontal
// sum.
template <typename T, int R>
inline void score_tile(const float* q, int64_t ldq, const T* const* k, int64_t n, int64_t first,
                       int64_t dim, float* scores) {
  constexpr int64_t kStep = DecodeRow<T>::kStep;
  F32 quads[R][kWidth / 4];
  HEADLANE_UNROLL
  for (int quad = 0; quad < kWidth / 4; ++quad) {
    F32 sums[R][4];
    HEADLANE_UNROLL
    for (int r = 0; r < R; ++r) {
      HEADLANE_UNROLL
      for (int u = 0; u < 4; ++u) sums[r][u] = broadcast(0.0f);
    }
    const T* const* four = k + 4 * quad;
    int64_t c = 4 * quad < n ? 0 : dim;
    for (; c + kStep <= dim; c += kStep) add_products(q + c, ldq, four, first + c, kStep, sums);
    if (c < dim) add_products(q + c, ldq, four, first + c, dim - c, sums);
    HEADLANE_UNROLL
    for (int r = 0; r < R; ++r) {
      quads[r][quad] = sum_quad(sums[r][0], sums[r][1], sums[r][2], sums[r][3]);
    }
  }
  HEADLANE_UNROLL
  for (int r = 0; r < R; ++r) store(scores + r * kDecodeBlock, join_quads(quads[r]));
}

template <typename T, int R>
inline void score_rows(int64_t rows, const float* q, int64_t ldq, const T* const* k, int64_t n,
                       int64_t first, int64_t dim, float* scores) {
  if constexpr (R > 1) {
    if (rows < R) return score_rows<T, R - 1>(rows, q, ldq, k, n, first, dim, scores);
  }
  score_tile<T, R>(q, ldq, k, n, first, dim, scores);
}

// The rows that are read a while after K of the keys before j: K of those from j on, or the first
// of V.
template <typename Keys>
class RowsAhead {
 public:
  RowsAhead(const Keys& keys, int64_t j, KeyRange seen) : dim_(keys.k_dim()) {
    if constexpr (!DecodeRow<E>::kFetches) return;
    const bool has_keys = j < seen.end;
    if (!has_keys) dim_ = keys.v_dim();
    for (int64_t u = 0; u < kWidth; ++u) {
      rows_[u] = has_keys ? keys.k(smaller(j + u, seen.end - 1))
                          : keys.v(smaller(seen.begin + u, seen.end - 1));
    }
  }
  [[gnu::always_inline]] void fetch(int64_t group) const {
    for (int64_t u = 0; u < kWidth; ++u) fetch_row(rows_[u] + group * dim_, dim_);
  }

 private:
  using E = typename Keys::Element;
  const E* rows_[kWidth];
  int64_t dim_;
};

// The scales of some keys, or of their values, for each group of a strip. They are put together
// before groups need them: a vector that is read right after its numbers were stored one by one
// waits for them.
class KeyScales {
 public:
  void put(int64_t i, const float* of_groups, int64_t n_groups) {
    for (int64_t g = 0; g < n_groups; ++g) scales_[g][i] = of_groups[g];
  }
  // Multiplies group g's rows of scores or weights s by those of n keys.
  template <typename T>
  void multiply(const DecodeStrip<T>& strip, int64_t g, int64_t n, float* s) const {
    for_each_vector(n, [&](int64_t i, int64_t width) {
      const F32 scale = load_up_to(scales_[g] + i, width);
      for (int64_t r = g * strip.rows; r < (g + 1) * strip.rows; ++r) {
        float* at = s + r * kDecodeBlock + i;
        store_up_to(at, load_up_to(at, width) * scale, width);
      }
    });
  }

 private:
  float scales_[kStripRows][kValueKeys];
};

// The products of all rows with the keys `seen`, each vector of which begins at a multiple of
// kWidth. Beyond the ends, the nearest key stands for those that are not there.
template <typename Keys, typename T>
inline void score_block(const DecodeStrip<T>& strip, const Keys& keys, int64_t block,
                        KeyRange seen) {
  using E = typename Keys::Element;
  const int64_t dim = keys.k_dim();
  for (int64_t j = seen.begin / kWidth * kWidth; j < seen.end; j += kWidth) {
    const E* k[kWidth];
    KeyScales scales;
    for (int64_t u = 0; u < kWidth; ++u) {
      const int64_t key = j + u < seen.begin ? seen.begin : smaller(j + u, seen.end - 1);
      k[u] = keys.k(key);
      if constexpr (Keys::kHasScales) scales.put(u, keys.k_scales(key), strip.n_groups);
    }
    const RowsAhead<Keys> ahead(keys, j + kWidth, seen);
    for (int64_t g = 0; g < strip.n_groups; ++g) {
      if constexpr (DecodeRow<E>::kFetches) ahead.fetch(g);
      for (int64_t r = g * strip.rows; r < (g + 1) * strip.rows; r += kDecodeTile) {
        score_rows<E, kDecodeTile>((g + 1) * strip.rows - r, strip.q + r * strip.ldq, strip.ldq, k,
                                   seen.end - j, g * dim, dim,
                                   strip.scores + r * kDecodeBlock + j - block);
      }
      if constexpr (Keys::kHasScales) scales.multiply(strip, g, kWidth, strip.scores + j - block);
    }
  }
}

// Makes scores of one row's products with the keys `seen`: scaled, capped, with biases by distance
// or by key, -inf in the lanes of their vectors that are not seen. Returns the largest, lane by
// lane.
template <typename T, bool kMore>
inline F32 adjust_products(const DecodeAttentionArgs<T>& args,
                           const typename DecodeStrip<T>::Row& row, int64_t block, KeyRange seen,
                           float* s) {
  const F32 scale = broadcast(args.scale), unseen = broadcast(-kInfinity);
  const bool capped = args.softcap > 0;
  const F32 to_cap = broadcast(capped ? args.scale / args.softcap : 0.0f);
  const F32 slope = broadcast(args.alibi_slopes ? args.alibi_slopes[row.head] : 0.0f);
  const int64_t position = args.q_offset + row.query;
  F32 largest = unseen;
  for (int64_t j = seen.begin / kWidth * kWidth; j < seen.end; j += kWidth) {
    const F32 product = load(s + j - block);
    F32 x = product * scale;
    if constexpr (kMore) {
      if (capped) x = broadcast(args.softcap) * tanh(product * to_cap);
      if (args.relative_bias) {
        const float* bias = args.relative_bias + row.head * args.ld_relative_bias;
        x = x + load_up_to(bias + (j - position), smaller(kWidth, seen.end - j));
      }
      if (args.key_bias) {
        const float* bias = args.key_bias + row.head * args.ld_key_bias;
        x = x + load_up_to(bias + j, smaller(kWidth, seen.end - j));
      }
      if (args.alibi_slopes) {
        const F32 lane_0 = broadcast(static_cast<float>(j - position));
        x = fnma(abs(load(kLaneNumbers) + lane_0), slope, x);
      }
    }
    if (j < seen.begin || j + kWidth > seen.end) {
      const F32 lane = load(kLaneNumbers);
      const auto before = lane < broadcast(static_cast<float>(seen.begin - j));
      const auto after = lane >= broadcast(static_cast<float>(seen.end - j));
      x = xsimd::select(before || after, unseen, x);
    }
    store(s + j - block, x);
    largest = max(x, largest);
  }
  return largest;
}

// Scores of one row become weights, 2^((score - maximum) log2(e)) with the block's own maximum, and
// *sum theirs. The difference of two scores is taken before it becomes an exponent of 2: log2(e)
// times a large score would be rounded, by more than an exponent may be wrong.
template <typename T>
inline float weigh_scores(const DecodeAttentionArgs<T>& args,
                          const typename DecodeStrip<T>::Row& row, int64_t block, KeyRange seen,
                          float* s, float* sum) {
  const bool more = args.softcap > 0 || args.relative_bias || args.key_bias || args.alibi_slopes;
  const float largest = reduce_max(more ? adjust_products<T, true>(args, row, block, seen, s)
                                        : adjust_products<T, false>(args, row, block, seen, s));
  if (args.p) {  // scores until the row's maximum and sum are known
    float* p = args.p + row.head * args.p_head_stride + row.query * args.ldp;
    for (int64_t j = seen.begin; j < seen.end; ++j) p[j] = s[j - block];
  }
  // Nothing above -inf: -inf - -inf would be NaN, and every weight is to be 0.
  const F32 offset = broadcast(largest == -kInfinity ? 0.0f : largest), log2e = broadcast(kLog2E);
  F32 sums = broadcast(0.0f);
  for (int64_t j = seen.begin / kWidth * kWidth; j < seen.end; j += kWidth) {
    const F32 weight = exp2((load(s + j - block) - offset) * log2e);
    store(s + j - block, weight);
    sums = sums + weight;
  }
  *sum = reduce_add(sums);
  return largest;
}

// sums += weights [n] times rows v [n], for R rows and V steps of columns from c on, or for `width`
// < kStep columns.
template <typename T, int R, int V, bool kWhole>
inline void value_tile(const float* weights, const T* const* v, int64_t n, int64_t c, int64_t width,
                       float* sums, int64_t ldo) {
  using Row = DecodeRow<T>;
  F32 acc[R][V][Row::kParts];
  const auto for_each = [&](auto body) {
    HEADLANE_UNROLL
    for (int r = 0; r < R; ++r) {
      HEADLANE_UNROLL
      for (int b = 0; b < V; ++b) {
        HEADLANE_UNROLL
        for (int part = 0; part < Row::kParts; ++part) {
          body(acc[r][b][part], sums + r * ldo + b * Row::kStep + part * kWidth);
        }
      }
    }
  };
  for_each([](F32& sum, float* at) { sum = load(at); });
  for (int64_t j = 0; j < n; ++j) {
    HEADLANE_UNROLL
    for (int b = 0; b < V; ++b) {
      F32 x[Row::kParts];
      Row::read(v[j] + c + b * Row::kStep, kWhole ? Row::kStep : width, x);
      HEADLANE_UNROLL
      for (int r = 0; r < R; ++r) {
        const F32 weight = broadcast(weights[r * kDecodeBlock + j]);
        HEADLANE_UNROLL
        for (int part = 0; part < Row::kParts; ++part) {
          acc[r][b][part] = fma(weight, x[part], acc[r][b][part]);
        }
      }
    }
  }
  for_each([](F32& sum, float* at) { store(at, sum); });
}

template <typename T, int R, int V>
inline void value_steps(int64_t steps, const float* weights, const T* const* v, int64_t n,
                        int64_t c, float* sums, int64_t ldo) {
  if constexpr (V > 1) {
    if (steps < V) return value_steps<T, R, V - 1>(steps, weights, v, n, c, sums, ldo);
  }
  value_tile<T, R, V, true>(weights, v, n, c, 0, sums, ldo);
}

// All columns, from `first` of each row v on, of R rows. A single row has sums of 8 vectors at a
// time, so that additions overlap: two a cycle, of four cycles each.
template <typename T, int R>
inline void value_rows(const float* weights, const T* const* v, int64_t n, int64_t first,
                       int64_t dim, float* sums, int64_t ldo) {
  using Row = DecodeRow<T>;
  constexpr int kSteps = (R == 1 ? 8 : 4) / Row::kParts;
  int64_t c = 0;
  while (dim - c >= Row::kStep) {
    const int64_t steps = smaller(kSteps, (dim - c) / Row::kStep);
    value_steps<T, R, kSteps>(steps, weights, v, n, first + c, sums + c, ldo);
    c += steps * Row::kStep;
  }
  if (c < dim) value_tile<T, R, 1, false>(weights, v, n, first + c, dim - c, sums + c, ldo);
}

// The values v of `keys`, of which each of R rows takes those that it sees: what is in the others,
// NaN too, never matters. Those that all R rows see are taken together.
template <typename T, int R, typename E>
inline void weigh_rows(const DecodeStrip<T>& strip, int64_t r, const E* const* v, int64_t first,
                       int64_t dim, int64_t block, KeyRange keys, float* sums) {
  KeyRange common = keys, own[R];
  for (int x = 0; x < R; ++x) {
    const KeyRange seen = strip.row[r + x].seen;
    own[x] = {seen.begin > keys.begin ? seen.begin : keys.begin, smaller(seen.end, keys.end)};
    if (own[x].begin > common.begin) common.begin = own[x].begin;
    if (own[x].end < common.end) common.end = own[x].end;
  }
  if (common.begin >= common.end) common = {keys.end, keys.end};
  const auto weigh = [&]<int N>(int64_t x, int64_t begin, int64_t end) {
    if (begin >= end) return;
    value_rows<E, N>(strip.scores + (r + x) * kDecodeBlock + (begin - block),
                     v + (begin - keys.begin), end - begin, first, dim, sums + (r + x) * strip.ldo,
                     strip.ldo);
  };
  for (int x = 0; R > 1 && x < R; ++x) {
    weigh.template operator()<1>(x, own[x].begin, smaller(own[x].end, common.begin));
  }
  weigh.template operator()<R>(0, common.begin, common.end);
  for (int x = 0; R > 1 && x < R; ++x) {
    weigh.template operator()<1>(x, common.end, own[x].end);
  }
}

template <typename T, int R, typename E>
inline void weigh_some(const DecodeStrip<T>& strip, int64_t r, int64_t rows, const E* const* v,
                       int64_t first, int64_t dim, int64_t block, KeyRange keys, float* sums) {
  if constexpr (R > 1) {
    if (rows < R) return weigh_some<T, R - 1>(strip, r, rows, v, first, dim, block, keys, sums);
  }
  weigh_rows<T, R>(strip, r, v, first, dim, block, keys, sums);
}

// The weighted values of the keys `seen`, to sums [n_rows, ldo]; some keys at a time and of all
// rows, so that values are read once.
template <typename Keys, typename T>
inline void weigh_block(const DecodeStrip<T>& strip, const Keys& keys, int64_t block, KeyRange seen,
                        float* sums) {
  using E = typename Keys::Element;
  const int64_t dim = keys.v_dim();
  for (int64_t c = 0; c < strip.n_rows() * strip.ldo; c += kWidth) {
    store(sums + c, broadcast(0.0f));
  }
  for (int64_t j = seen.begin; j < seen.end; j += kValueKeys) {
    const int64_t n = smaller(kValueKeys, seen.end - j);
    const E *v[kValueKeys], *next[kValueKeys];
    KeyScales scales;
    for (int64_t u = 0; u < n; ++u) {
      v[u] = keys.v(j + u);
      if constexpr (Keys::kHasScales) scales.put(u, keys.v_scales(j + u), strip.n_groups);
    }
    const int64_t n_next = DecodeRow<E>::kFetches ? smaller(n, seen.end - j - n) : 0;
    for (int64_t u = 0; u < n_next; ++u) next[u] = keys.v(j + n + u);
    for (int64_t g = 0; g < strip.n_groups; ++g) {
      if constexpr (Keys::kHasScales) scales.multiply(strip, g, n, strip.scores + j - block);
      for (int64_t u = 0; u < n_next; ++u) fetch_row(next[u] + g * dim, dim);
      for (int64_t x = 0; x < strip.rows; x += kDecodeTile) {
        weigh_some<T, kDecodeTile>(strip, g * strip.rows + x, strip.rows - x, v, g * dim, dim,
                                   block, {j, j + n}, sums);
      }
    }
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA

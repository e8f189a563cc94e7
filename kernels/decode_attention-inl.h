// o = softmax(cap(scale * q K^T) + bias) V, one query a head, over keys that lie as rows of a
// cache.
//
// Bound by reading K and V, each of which is used once, mostly from memory: so nothing is packed,
// rows are read from one end to the other, all heads of some keys before the next keys, and what is
// done with them is little else but reading. Head after head, each over all keys, took 1.2 to 2
// times as long from memory.
//   - Scores: four keys at a time share the loads of q; the sums of kWidth keys then become one
//     vector of scores, by two shuffles a key in place of a horizontal sum a key. They are scaled,
//     capped and biased there, and stay in scratch; so the maximum is exact.
//   - Weights: 2^((score - maximum) log2(e)), in scratch, and their sum.
//   - Values: sums over kValueKeys keys stay in registers for as many columns as there are
//     registers for; where the columns are few, several sums take turns, so that additions overlap.
#pragma once

#include "kernels/decode_rows-inl.h"
#include "kernels/math-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

template <typename T>
inline void widen_query(const T* q, int64_t head_dim, float* to) {
  using Row = DecodeRow<T>;
  for (int64_t i = 0; i < head_dim; i += Row::kStep) {
    F32 x[Row::kParts];
    Row::read(q + i, smaller(Row::kStep, head_dim - i), x);
    for (int part = 0; part < Row::kParts; ++part) store(to + i + part * kWidth, x[part]);
  }
}

// sums[u] += q * k[u], of n columns
template <typename T>
inline void add_products(const float* q, const T* const (&k)[4], int64_t i, int64_t n,
                         F32 (&sums)[4]) {
  using Row = DecodeRow<T>;
  HEADLANE_UNROLL
  for (int u = 0; u < 4; ++u) {
    F32 x[Row::kParts];
    Row::read(k[u] + i, n, x);
    HEADLANE_UNROLL
    for (int part = 0; part < Row::kParts; ++part) {
      sums[u] = fma(load(q + part * kWidth), x[part], sums[u]);
    }
  }
}

// q times four rows of K, from column `first` of them, as a quad.
template <typename T>
inline F32 dot_four(const float* q, const T* const (&k)[4], int64_t first, int64_t head_dim) {
  constexpr int64_t kStep = DecodeRow<T>::kStep;
  F32 sums[4] = {broadcast(0.0f), broadcast(0.0f), broadcast(0.0f), broadcast(0.0f)};
  int64_t i = 0;
  for (; i + kStep <= head_dim; i += kStep) add_products(q + i, k, first + i, kStep, sums);
  if (i < head_dim) add_products(q + i, k, first + i, head_dim - i, sums);
  return sum_quad(sums[0], sums[1], sums[2], sums[3]);
}

// Scores of keys j .. j + n from their products, n <= kWidth; -inf where bias hides a key.
template <typename T>
inline F32 scores_of(const DecodeAttentionArgs<T>& args, int64_t h, int64_t j, int64_t n,
                     F32 product) {
  const F32 x = args.softcap > 0
                    ? broadcast(args.softcap) * tanh(product * broadcast(args.scale / args.softcap))
                    : product * broadcast(args.scale);
  if (!args.bias) return x;
  const F32 bias = load_up_to(args.bias + h * args.ld_bias + j, n);
  return xsimd::select(bias <= broadcast(-__FLT_MAX__), broadcast(-kInfinity), x + bias);
}

// The scores of keys j .. j + n, n <= kWidth; largest[h] becomes the larger of it and head h's,
// lane by lane.
template <typename T>
inline void score_keys(const DecodeHeads<T>& heads, int64_t j, int64_t n, F32* largest) {
  const DecodeAttentionArgs<T>& args = heads.args;
  alignas(64) float quads[kDecodeHeads][kWidth / 4][kWidth];
  const int64_t n_quads = (n + 3) / 4;
  for (int64_t quad = 0; quad < n_quads; ++quad) {
    const T* k[4];
    for (int u = 0; u < 4; ++u) {  // the last key stands for those that are not there
      k[u] = args.k + heads.row(j + smaller(4 * quad + u, n - 1)) * args.ldk;
    }
    const RowAhead<T> ahead[4] = {{heads, j + 4 * quad},
                                  {heads, j + 4 * quad + 1},
                                  {heads, j + 4 * quad + 2},
                                  {heads, j + 4 * quad + 3}};
    for (int64_t h = 0; h < heads.n; ++h) {
      if constexpr (DecodeRow<T>::kFetches) {
        for (int u = 0; u < 4; ++u) ahead[u].fetch(heads.groups[h]);
      }
      const float* q = heads.at.q + h * heads.at.step;
      store(quads[h][quad], dot_four(q, k, heads.groups[h] * args.head_dim, args.head_dim));
    }
  }
  for (int64_t h = 0; h < heads.n; ++h) {
    F32 of_head[kWidth / 4];
    for (int64_t quad = 0; quad < kWidth / 4; ++quad) {
      of_head[quad] = quad < n_quads ? load(quads[h][quad]) : broadcast(0.0f);
    }
    const F32 x = scores_of(args, heads.first + h, j, n, join_quads(of_head));
    store(heads.at.weights + h * heads.at.step + j, x);
    largest[h] = max(keep_n(x, n, -kInfinity), largest[h]);
  }
}

template <typename T>
inline bool head_sees_any(const DecodeAttentionArgs<T>& args, int64_t h) {
  if (!args.bias) return args.kv_len > 0;
  for (int64_t j = 0; j < args.kv_len; ++j) {
    if (!(args.bias[h * args.ld_bias + j] <= -__FLT_MAX__)) return true;
  }
  return false;
}

// Scores of head h become weights. Returns the inverse of their sum, or 0 where no key is seen. The
// difference of two scores is taken before it becomes an exponent of 2: log2(e) times a large score
// would be rounded, by more than an exponent may be wrong.
template <typename T>
inline float weights_of(const DecodeAttentionArgs<T>& args, int64_t h, float largest,
                        float* weights) {
  const float* sink = args.sinks ? args.sinks + h : nullptr;
  if (sink && *sink > largest) largest = *sink;
  // Nothing seen: -inf - -inf would be NaN, and every weight is to be 0.
  const F32 offset = broadcast(largest == -kInfinity ? 0.0f : largest), log2e = broadcast(kLog2E);
  float sum = sum_over_row(args.kv_len, [&](int64_t j, int64_t n) {
    const F32 weight = keep_n(exp2((load(weights + j) - offset) * log2e), n, 0.0f);
    store(weights + j, weight);
    return weight;
  });
  if (sink) sum += exp2((broadcast(*sink) - offset) * log2e).get(0);
  return sum == 0.0f && !head_sees_any(args, h) ? 0.0f : 1.0f / sum;
}

constexpr int kValueVectors = 8;  // sums that overlap: two additions a cycle, of four cycles each

// sums += weights [n] times rows v [n], for kBlocks steps of columns from c on, or for `width` <
// kStep columns.
template <typename T, int kBlocks, bool kWhole>
inline void add_values(const float* weights, const T* const* v, int64_t n, int64_t c, int64_t width,
                       float* sums) {
  using Row = DecodeRow<T>;
  constexpr int kSets = kValueVectors / (kBlocks * Row::kParts);  // sums that take turns
  F32 acc[kSets][kBlocks][Row::kParts];
  HEADLANE_UNROLL
  for (int set = 0; set < kSets; ++set) {
    HEADLANE_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      HEADLANE_UNROLL
      for (int part = 0; part < Row::kParts; ++part) {
        acc[set][b][part] =
            set == 0 ? load(sums + b * Row::kStep + part * kWidth) : broadcast(0.0f);
      }
    }
  }
  const auto add = [&](int64_t j, F32(&to)[kBlocks][Row::kParts]) {
    const F32 weight = broadcast(weights[j]);
    HEADLANE_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      F32 x[Row::kParts];
      Row::read(v[j] + c + b * Row::kStep, kWhole ? Row::kStep : width, x);
      HEADLANE_UNROLL
      for (int part = 0; part < Row::kParts; ++part) {
        to[b][part] = fma(weight, x[part], to[b][part]);
      }
    }
  };
  int64_t j = 0;
  for (; j + kSets <= n; j += kSets) {
    HEADLANE_UNROLL
    for (int set = 0; set < kSets; ++set) add(j + set, acc[set]);
  }
  for (; j < n; ++j) add(j, acc[0]);
  HEADLANE_UNROLL
  for (int b = 0; b < kBlocks; ++b) {
    HEADLANE_UNROLL
    for (int part = 0; part < Row::kParts; ++part) {
      F32 sum = acc[0][b][part];
      HEADLANE_UNROLL
      for (int set = 1; set < kSets; ++set) sum = sum + acc[set][b][part];
      store(sums + b * Row::kStep + part * kWidth, sum);
    }
  }
}

template <typename T, int kBlocks>
inline void add_blocks(const float* weights, const T* const* v, int64_t n, int64_t c,
                       int64_t blocks, float* sums) {
  if constexpr (kBlocks > 1) {
    if (blocks < kBlocks) return add_blocks<T, kBlocks - 1>(weights, v, n, c, blocks, sums);
  }
  add_values<T, kBlocks, true>(weights, v, n, c, 0, sums);
}

// The values of keys j .. j + n, n <= kValueKeys: of each head kValueVectors vectors at a time,
// whole steps that are left, the rest.
template <typename T>
inline void weigh_keys(const DecodeHeads<T>& heads, int64_t j, int64_t n) {
  using Row = DecodeRow<T>;
  constexpr int kMost = kValueVectors / Row::kParts;
  const DecodeAttentionArgs<T>& args = heads.args;
  const T* v[kValueKeys];
  for (int64_t u = 0; u < n; ++u) v[u] = args.v + heads.row(j + u) * args.ldv;
  const T* next[kValueKeys];  // rows of the keys that follow
  const int64_t n_next = DecodeRow<T>::kFetches ? smaller(n, args.kv_len - j - n) : 0;
  for (int64_t u = 0; u < n_next; ++u) next[u] = args.v + heads.row(j + n + u) * args.ldv;
  for (int64_t h = 0; h < heads.n; ++h) {
    const float* weights = heads.at.weights + h * heads.at.step + j;
    float* sums = heads.at.sums + h * heads.at.step;
    const int64_t first = heads.groups[h] * args.v_dim;
    for (int64_t u = 0; u < n_next; ++u) fetch_row(next[u] + first, args.v_dim);
    int64_t c = 0;
    while (args.v_dim - c >= Row::kStep) {
      const int64_t blocks = smaller(kMost, (args.v_dim - c) / Row::kStep);
      add_blocks<T, kMost>(weights, v, n, first + c, blocks, sums + c);
      c += blocks * Row::kStep;
    }
    const int64_t rest = args.v_dim - c;
    if (rest > 0) add_values<T, 1, false>(weights, v, n, first + c, rest, sums + c);
  }
}

// Sums times `inverse` to o [v_dim], weights likewise to p [kv_len] where it is not null.
template <typename T>
inline void finish_head(const DecodeAttentionArgs<T>& args, const float* weights, const float* sums,
                        float inverse, T* o, float* p) {
  using Row = DecodeRow<T>;
  for (int64_t c = 0; c < args.v_dim; c += Row::kStep) {
    F32 x[Row::kParts];
    for (int part = 0; part < Row::kParts; ++part) {
      x[part] = load(sums + c + part * kWidth) * broadcast(inverse);
    }
    Row::write(o + c, x, smaller(Row::kStep, args.v_dim - c));
  }
  if (!p) return;
  for_each_vector(args.kv_len, [&](int64_t j, int64_t n) {
    store_up_to(p + j, load(weights + j) * broadcast(inverse), n);
  });
}

template <typename T>
inline void decode_heads(const DecodeHeads<T>& heads) {
  const DecodeAttentionArgs<T>& args = heads.args;
  const DecodeScratch& at = heads.at;
  F32 largest[kDecodeHeads];
  float inverse[kDecodeHeads];
  for (int64_t h = 0; h < heads.n; ++h) {
    widen_query(args.q + (heads.first + h) * args.head_dim, args.head_dim, at.q + h * at.step);
    largest[h] = broadcast(-kInfinity);
    for (int64_t c = 0; c < round_up(args.v_dim, DecodeRow<T>::kStep); c += kWidth) {
      store(at.sums + h * at.step + c, broadcast(0.0f));
    }
  }
  for (int64_t j = 0; j < args.kv_len; j += kWidth) {
    score_keys(heads, j, smaller(kWidth, args.kv_len - j), largest);
  }
  for (int64_t h = 0; h < heads.n; ++h) {
    inverse[h] =
        weights_of(args, heads.first + h, reduce_max(largest[h]), at.weights + h * at.step);
  }
  for (int64_t j = 0; j < args.kv_len; j += kValueKeys) {
    weigh_keys(heads, j, smaller(kValueKeys, args.kv_len - j));
  }
  for (int64_t h = 0; h < heads.n; ++h) {
    const int64_t of_call = heads.first + h;
    finish_head(args, at.weights + h * at.step, at.sums + h * at.step, inverse[h],
                args.o + of_call * args.v_dim, args.p ? args.p + of_call * args.ldp : nullptr);
  }
}

template <typename T>
inline void decode_attention(const DecodeAttentionArgs<T>& args) {
  assert(args.n_heads >= 0 && args.kv_sharing >= 1 && args.kv_len >= 0 && args.scale > 0);
  assert(args.head_dim >= 1 && args.v_dim >= 1);
  const DecodeScratch at = decode_layout(args.scratch, args.kv_len, args.head_dim, args.v_dim);
  for (int64_t h = 0; h < args.n_heads; h += kDecodeHeads) {
    decode_heads(DecodeHeads<T>(args, at, h));
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA

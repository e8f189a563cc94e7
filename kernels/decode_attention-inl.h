// o = softmax(cap(scale * q K^T) + bias) V, one query a head, over keys that lie as rows of a
// cache.
//
// Bound by reading K and V, each of which is used once: so nothing is packed, and three passes do
// little else but read.
//   - Scores: four keys at a time share the loads of q; the sums of kWidth keys then become one
//     vector of scores, by two shuffles a key in place of a horizontal sum a key. They are scaled,
//     capped and biased there, and stay in scratch; so the maximum is exact.
//   - Weights: 2^(score - maximum), in scratch, and their sum.
//   - Values: sums over keys stay in registers for as many columns as there are registers for;
//     where the columns are few, several sums take turns, so that additions overlap.
//
// bf16 are widened in pairs: the first and the second of each become a vector, and q's columns and
// the sums lie in that order.
//
//   scratch:  scores, then weights  [kv_len]
//             q                     [head_dim]  vectors of floats, zeros at the end

namespace headlane::kernels::HEADLANE_ISA {

// kStep elements of a row are kParts vectors.
template <typename T>
struct DecodeRow;

template <>
struct DecodeRow<float> {
  static constexpr int kParts = 1, kStep = kWidth;
  static void read(const float* p, int64_t n, F32 (&x)[kParts]) { x[0] = load_up_to(p, n); }
  static void write(float* p, const F32 (&x)[kParts], int64_t n) { store_up_to(p, x[0], n); }
};

template <>
struct DecodeRow<Bf16> {
  static constexpr int kParts = 2, kStep = 2 * kWidth;
  static void read(const Bf16* p, int64_t n, F32 (&x)[kParts]) {
    const Groups pairs = n == kStep ? load_pairs(p) : load_pairs_n(p, n);
    x[0] = first_bf16(pairs);
    x[1] = second_bf16(pairs);
  }
  static void write(Bf16* p, const F32 (&x)[kParts], int64_t n) {
    F32 low, high;
    interleave(x[0], x[1], &low, &high);
    n >= kWidth ? store_bf16(p, low) : store_bf16_n(p, low, n);
    if (n == kStep) return store_bf16(p + kWidth, high);
    if (n > kWidth) store_bf16_n(p + kWidth, high, n - kWidth);
  }
};

inline int64_t decode_scratch_floats(int64_t kv_len, int64_t head_dim, int64_t) {
  return round_up(kv_len, kRowAlign) + round_up(head_dim, DecodeRow<Bf16>::kStep);
}

// One head of a call.
template <typename T>
struct DecodeHead {
  const T *k, *v;     // of row 0
  const float* bias;  // [kv_len], or null
  float* weights;     // [kv_len]
  float* q;           // [head_dim]
};

template <typename T>
inline int64_t cache_row(const DecodeAttentionArgs<T>& args, int64_t j) {
  return args.rows ? args.rows[j] : j;
}

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
      sums[u] = fma(load(q + i + part * kWidth), x[part], sums[u]);
    }
  }
}

// q K^T of keys j .. j + n, n <= kWidth; any number beyond.
template <typename T>
inline F32 dot_keys(const DecodeAttentionArgs<T>& args, const DecodeHead<T>& head, int64_t j,
                    int64_t n) {
  constexpr int64_t kStep = DecodeRow<T>::kStep;
  F32 quads[kWidth / 4];
  for (int quad = 0; quad < kWidth / 4; ++quad) {
    quads[quad] = broadcast(0.0f);
    if (4 * quad >= n) continue;
    const T* k[4];
    for (int u = 0; u < 4; ++u) {  // the last key stands for those that are not there
      k[u] = head.k + cache_row(args, j + smaller(4 * quad + u, n - 1)) * args.ldk;
    }
    F32 sums[4] = {broadcast(0.0f), broadcast(0.0f), broadcast(0.0f), broadcast(0.0f)};
    int64_t i = 0;
    for (; i + kStep <= args.head_dim; i += kStep) add_products(head.q, k, i, kStep, sums);
    if (i < args.head_dim) add_products(head.q, k, i, args.head_dim - i, sums);
    quads[quad] = sum_quad(sums[0], sums[1], sums[2], sums[3]);
  }
  return join_quads(quads);
}

// Writes the scores, as exponents of 2, and returns the largest; -inf where bias hides a key.
template <typename T>
inline float decode_scores(const DecodeAttentionArgs<T>& args, const DecodeHead<T>& head) {
  const F32 unseen = broadcast(-kInfinity), log2e = broadcast(kLog2E);
  const F32 factor = broadcast(args.scale * kLog2E), cap = broadcast(args.softcap * kLog2E);
  const F32 to_cap = broadcast(args.softcap > 0 ? args.scale / args.softcap : 0.0f);
  F32 largest = unseen;
  for_each_vector(args.kv_len, [&](int64_t j, int64_t n) {
    const F32 score = dot_keys(args, head, j, n);
    F32 x = args.softcap > 0 ? cap * tanh(score * to_cap) : score * factor;
    if (head.bias) {
      const F32 bias = load_up_to(head.bias + j, n);
      x = xsimd::select(bias <= broadcast(-__FLT_MAX__), unseen, fma(bias, log2e, x));
    }
    store(head.weights + j, x);
    largest = max(keep_n(x, n, -kInfinity), largest);
  });
  return reduce_max(largest);
}

// Exponents become weights. Returns the inverse of their sum, or 0 where no key is seen.
template <typename T>
inline float decode_weights(const DecodeAttentionArgs<T>& args, const DecodeHead<T>& head,
                            float largest, const float* sink) {
  const float sink_score = sink ? *sink * kLog2E : -kInfinity;
  if (sink_score > largest) largest = sink_score;
  // Nothing seen: -inf - -inf would be NaN, and every weight is to be 0.
  const F32 offset = broadcast(largest == -kInfinity ? 0.0f : largest);
  float sum = sum_over_row(args.kv_len, [&](int64_t j, int64_t n) {
    const F32 weight = keep_n(exp2(load(head.weights + j) - offset), n, 0.0f);
    store(head.weights + j, weight);
    return weight;
  });
  if (sink) sum += exp2(broadcast(sink_score) - offset).get(0);
  return sum == 0.0f ? 0.0f : 1.0f / sum;
}

constexpr int kValueVectors = 8;  // sums that overlap: two additions a cycle, of four cycles each

// o = inverse * weights V for kBlocks steps of columns, of which v and o are at the first; or for
// n < kStep columns.
template <typename T, int kBlocks, bool kWhole>
inline void weigh_values(const DecodeAttentionArgs<T>& args, const float* weights, const T* v,
                         int64_t n, float inverse, T* o) {
  using Row = DecodeRow<T>;
  constexpr int kSets = kValueVectors / (kBlocks * Row::kParts);  // sums that take turns
  F32 sums[kSets][kBlocks][Row::kParts];
  for (auto& set : sums) {
    for (auto& block : set) {
      for (F32& sum : block) sum = broadcast(0.0f);
    }
  }
  const auto add = [&](int64_t j, F32(&to)[kBlocks][Row::kParts]) {
    const T* row = v + cache_row(args, j) * args.ldv;
    const F32 weight = broadcast(weights[j]);
    HEADLANE_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      F32 x[Row::kParts];
      Row::read(row + b * Row::kStep, kWhole ? Row::kStep : n, x);
      HEADLANE_UNROLL
      for (int part = 0; part < Row::kParts; ++part) {
        to[b][part] = fma(weight, x[part], to[b][part]);
      }
    }
  };
  int64_t j = 0;
  for (; j + kSets <= args.kv_len; j += kSets) {
    HEADLANE_UNROLL
    for (int set = 0; set < kSets; ++set) add(j + set, sums[set]);
  }
  for (; j < args.kv_len; ++j) add(j, sums[0]);
  for (int b = 0; b < kBlocks; ++b) {
    for (int part = 0; part < Row::kParts; ++part) {
      for (int set = 1; set < kSets; ++set) {
        sums[0][b][part] = sums[0][b][part] + sums[set][b][part];
      }
      sums[0][b][part] = sums[0][b][part] * broadcast(inverse);
    }
    Row::write(o + b * Row::kStep, sums[0][b], kWhole ? Row::kStep : n);
  }
}

template <typename T, int kBlocks>
inline void weigh_blocks(const DecodeAttentionArgs<T>& args, const float* weights, const T* v,
                         int64_t blocks, float inverse, T* o) {
  if constexpr (kBlocks > 1) {
    if (blocks < kBlocks) return weigh_blocks<T, kBlocks - 1>(args, weights, v, blocks, inverse, o);
  }
  weigh_values<T, kBlocks, true>(args, weights, v, 0, inverse, o);
}

// All columns of a head: kValueVectors vectors at a time, whole steps that are left, the rest.
template <typename T>
inline void decode_values(const DecodeAttentionArgs<T>& args, const DecodeHead<T>& head,
                          float inverse, T* o) {
  using Row = DecodeRow<T>;
  constexpr int kMost = kValueVectors / Row::kParts;
  int64_t c = 0;
  while (args.v_dim - c >= Row::kStep) {
    const int64_t blocks = smaller(kMost, (args.v_dim - c) / Row::kStep);
    weigh_blocks<T, kMost>(args, head.weights, head.v + c, blocks, inverse, o + c);
    c += blocks * Row::kStep;
  }
  const int64_t n = args.v_dim - c;
  if (n > 0) weigh_values<T, 1, false>(args, head.weights, head.v + c, n, inverse, o + c);
}

template <typename T>
inline void decode_attention(const DecodeAttentionArgs<T>& args) {
  assert(args.n_heads >= 0 && args.kv_sharing >= 1 && args.kv_len >= 0 && args.scale > 0);
  assert(args.head_dim >= 1 && args.v_dim >= 1);
  for (int64_t h = 0; h < args.n_heads; ++h) {
    const int64_t group = h / args.kv_sharing;
    const DecodeHead<T> head = {args.k + group * args.head_dim, args.v + group * args.v_dim,
                                args.bias ? args.bias + h * args.ld_bias : nullptr, args.scratch,
                                args.scratch + round_up(args.kv_len, kRowAlign)};
    widen_query(args.q + h * args.head_dim, args.head_dim, head.q);
    const float largest = decode_scores(args, head);
    const float inverse =
        decode_weights(args, head, largest, args.sinks ? args.sinks + h : nullptr);
    decode_values(args, head, inverse, args.o + h * args.v_dim);
    if (!args.p) continue;
    for_each_vector(args.kv_len, [&](int64_t j, int64_t n) {
      store_up_to(args.p + h * args.ldp + j, load(head.weights + j) * broadcast(inverse), n);
    });
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA

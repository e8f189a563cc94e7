// Operands of attention over the rows of a cache, of each of the forms that queries and rows have,
// and its result in float64.
#pragma once

#include <numeric>
#include <vector>

#include "tests/support/attention_reference.h"
#include "tests/support/narrow.h"

namespace headlane::test {

struct DecodeSizes {
  int64_t n_heads, kv_sharing, kv_len, head_dim, v_dim;
  int64_t q_len = 1;  // the last of the keys' positions
};

inline void set(float x, float* y) { *y = x; }
inline void set(float x, Bf16* y) { *y = nearest_bf16(x); }
inline void set(float x, int8_t* y) {  // a code, to be multiplied by a scale of about 1 / 32
  *y = static_cast<int8_t>(std::clamp(std::nearbyint(32 * x), -127.0f, 127.0f));
}
inline float get(float x) { return x; }
inline float get(Bf16 x) { return kernels::widen(x); }
inline float get(int8_t x) { return x; }

// What queries and results are made of where nothing else is said.
template <typename T>
struct QueryOf {
  using Type = T;
};
template <>
struct QueryOf<int8_t> {
  using Type = float;
};

// Calls body.operator()<T, Q>() for each T that rows, and each Q that queries may have.
template <typename Body>
void for_each_form(Body body) {
  body.template operator()<float, float>();
  body.template operator()<Bf16, Bf16>();
  body.template operator()<Bf16, float>();
  body.template operator()<float, Bf16>();
  body.template operator()<int8_t, float>();
  body.template operator()<int8_t, Bf16>();
}

// The operands of a call, each ending at a guard page. The cache has rows that no key names and
// gaps between rows; both hold NaN, and so do the scales of such rows. Scales have so few bits that
// their products with codes are floats.
template <typename T, typename Q = typename QueryOf<T>::Type>
struct Decode {
  using Row = T;
  using Query = Q;
  static constexpr bool kHasScales = sizeof(T) == sizeof(int8_t);

  explicit Decode(DecodeSizes s, float spread = 1.0f)
      : sizes(s),
        groups((s.n_heads + s.kv_sharing - 1) / s.kv_sharing),
        n_rows(s.kv_len + 3),
        ldk(groups * s.head_dim + 5),
        ldv(groups * s.v_dim + 3),
        ldq(s.n_heads * s.head_dim + 2),
        ldo(s.n_heads * s.v_dim + 1),
        q(s.q_len * ldq - 2),
        k(n_rows * ldk - 5),
        v(n_rows * ldv - 3),
        o(s.q_len * ldo - 1),
        ld_scales(groups + 1),
        k_scales(kHasScales ? n_rows * ld_scales - 1 : 0),
        v_scales(k_scales.size()),
        rows(s.kv_len) {
    std::mt19937 random(static_cast<uint32_t>(s.kv_len * 101 + s.head_dim * 7 + s.n_heads));
    std::normal_distribution<float> normal(0.0f, spread);
    std::vector<int32_t> order(static_cast<size_t>(n_rows));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end() - 1, random);
    std::swap(order[0], order.back());  // the last row is a key's
    for (int64_t i = 0; i < q.size(); ++i) set(normal(random), &q[i]);
    for (int64_t j = 0; j < s.kv_len; ++j) {
      rows[j] = order[j];
      for (int64_t i = 0; i < groups * s.head_dim; ++i) {
        set(normal(random), &k[rows[j] * ldk + i]);
      }
      for (int64_t i = 0; i < groups * s.v_dim; ++i) {
        set(normal(random) / spread, &v[rows[j] * ldv + i]);
      }
      for (int64_t g = 0; kHasScales && g < groups; ++g) {
        k_scales[rows[j] * ld_scales + g] = static_cast<float>(16 + random() % 16) / 512;
        v_scales[rows[j] * ld_scales + g] = static_cast<float>(16 + random() % 16) / 512;
      }
    }
    args = {.n_heads = s.n_heads,
            .kv_sharing = s.kv_sharing,
            .layer_sharing = 16,  // so that tiles are used where there are some
            .head_dim = s.head_dim,
            .v_dim = s.v_dim,
            .scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim)),
            .q_len = s.q_len,
            .element = sizeof(Q) == sizeof(Bf16) ? Element::kBf16 : Element::kF32,
            .q = q.data(),
            .ldq = ldq,
            .kv_len = s.kv_len,
            .q_offset = s.kv_len - s.q_len,
            .rows = rows.data(),
            .k = k.data(),
            .ldk = ldk,
            .v = v.data(),
            .ldv = ldv,
            .k_scales = kHasScales ? k_scales.data() : nullptr,
            .v_scales = kHasScales ? v_scales.data() : nullptr,
            .ld_scales = ld_scales,
            .o = o.data(),
            .ldo = ldo};
  }

  void run(const kernels::Table& kernels) {
    GuardedFloats scratch(kernels.decode_scratch_floats(sizes.head_dim, sizes.v_dim));
    args.scratch = scratch.data();
    if constexpr (kHasScales) {
      kernels.decode_attention_s8(args);
    } else if constexpr (sizeof(T) == sizeof(float)) {
      kernels.decode_attention_f32(args);
    } else {
      kernels.decode_attention_bf16(args);
    }
  }

  const Q* query(int64_t i) const { return static_cast<const Q*>(args.q) + i * args.ldq; }
  Q* result(int64_t i) const { return static_cast<Q*>(args.o) + i * args.ldo; }
  // The scale of a group's key or value at j.
  float scale(const float* scales, int64_t j, int64_t group) const {
    return scales ? scales[(args.rows ? args.rows[j] : j) * args.ld_scales + group] : 1.0f;
  }
  // Column i of the key at j, of the first group, becomes NaN; of codes, all columns do.
  void spoil_key(int64_t j, int64_t i = 0) {
    if constexpr (kHasScales) {
      k_scales[rows[j] * ld_scales] = std::nanf("");
    } else {
      set(std::nanf(""), &k[rows[j] * ldk + i]);
    }
  }
  void spoil_value(int64_t j, int64_t i = 0) {
    if constexpr (kHasScales) {
      v_scales[rows[j] * ld_scales] = std::nanf("");
    } else {
      set(std::nanf(""), &v[rows[j] * ldv + i]);
    }
  }

  // Head h of query i as attention of floats over keys and values that lie together.
  Expected expected(int64_t h, int64_t i_query = 0, bool exact_scores = false) {
    const int64_t group = h / sizes.kv_sharing;
    std::vector<float> wide_q, wide_k, wide_v;
    for (int64_t i = 0; i < sizes.head_dim; ++i) {
      wide_q.push_back(get(query(i_query)[h * sizes.head_dim + i]));
    }
    for (int64_t j = 0; j < sizes.kv_len; ++j) {
      const int64_t row = args.rows ? args.rows[j] : j;
      for (int64_t i = 0; i < sizes.head_dim; ++i) {
        wide_k.push_back(get(args.k[row * args.ldk + group * sizes.head_dim + i]) *
                         scale(args.k_scales, j, group));
      }
      for (int64_t i = 0; i < sizes.v_dim; ++i) {
        wide_v.push_back(get(args.v[row * args.ldv + group * sizes.v_dim + i]) *
                         scale(args.v_scales, j, group));
      }
    }
    AttentionF32Args a;
    a.q_len = 1;
    a.kv_len = sizes.kv_len;
    a.head_dim = a.ldq = a.ldk = sizes.head_dim;
    a.v_dim = a.ldv = sizes.v_dim;
    a.scale = args.scale;
    a.softcap = args.softcap;
    a.q = wide_q.data();
    a.k = wide_k.data();
    a.v = wide_v.data();
    a.q_offset = args.q_offset + i_query;
    a.causal = args.causal;
    if (args.causal) a.window_left = args.window_left;
    if (args.relative_bias) a.relative_bias = args.relative_bias + h * args.ld_relative_bias;
    if (args.key_bias) a.bias = args.key_bias + h * args.ld_key_bias;
    if (args.alibi_slopes) a.alibi_slope = args.alibi_slopes[h];
    a.sink = args.sinks ? args.sinks + h : nullptr;
    // A weight is multiplied by its value's scale. A score has a key's scale, too; it is one of the
    // roundings that are allowed for its sum anyway.
    return reference(a, 0,
                     {.p = kHasScales ? kEps : 0,
                      .o = sizeof(Q) == sizeof(Bf16) ? kBf16Eps : 0,
                      .exact_scores = exact_scores});
  }

  DecodeSizes sizes;
  int64_t groups, n_rows, ldk, ldv, ldq, ldo;
  Guarded<Q> q;
  Guarded<T> k, v;
  Guarded<Q> o;
  int64_t ld_scales;
  GuardedFloats k_scales, v_scales;
  Guarded<int32_t> rows;
  kernels::DecodeAttentionArgs<T> args;
};

}  // namespace headlane::test

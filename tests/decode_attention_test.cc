#include <numeric>
#include <vector>

#include "tests/support/attention_reference.h"
#include "tests/support/narrow.h"

namespace headlane::kernels {
namespace {

using test::AttentionF32Args;
using test::Expected;
using test::fill_random;
using test::Guarded;
using test::GuardedFloats;
using test::kBf16Eps;
using test::kEps;
using test::kLeastNormal;
using test::nearest_bf16;

struct Sizes {
  int64_t n_heads, kv_sharing, kv_len, head_dim, v_dim;
};

void set(float x, float* y) { *y = x; }
void set(float x, Bf16* y) { *y = nearest_bf16(x); }
float get(float x) { return x; }
float get(Bf16 x) { return widen(x); }

// The operands of a call, each ending at a guard page. The cache has rows that no key names and
// gaps between rows; both hold NaN.
template <typename T>
struct Decode {
  explicit Decode(Sizes s, float spread = 1.0f)
      : sizes(s),
        groups((s.n_heads + s.kv_sharing - 1) / s.kv_sharing),
        n_rows(s.kv_len + 3),
        ldk(groups * s.head_dim + 5),
        ldv(groups * s.v_dim + 3),
        q(s.n_heads * s.head_dim),
        k(n_rows * ldk - 5),
        v(n_rows * ldv - 3),
        o(s.n_heads * s.v_dim),
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
    }
    args = {.n_heads = s.n_heads,
            .kv_sharing = s.kv_sharing,
            .head_dim = s.head_dim,
            .v_dim = s.v_dim,
            .scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim)),
            .q = q.data(),
            .kv_len = s.kv_len,
            .rows = rows.data(),
            .k = k.data(),
            .ldk = ldk,
            .v = v.data(),
            .ldv = ldv,
            .o = o.data()};
  }

  void run(const Table& kernels) {
    GuardedFloats scratch(kernels.decode_scratch_floats(sizes.kv_len, sizes.head_dim, sizes.v_dim));
    args.scratch = scratch.data();
    if constexpr (sizeof(T) == sizeof(float)) {
      kernels.decode_attention_f32(args);
    } else {
      kernels.decode_attention_bf16(args);
    }
  }

  // Head h as attention of floats over keys and values that lie together.
  Expected expected(int64_t h) {
    const int64_t group = h / sizes.kv_sharing;
    std::vector<float> wide_q, wide_k, wide_v;
    for (int64_t i = 0; i < sizes.head_dim; ++i) {
      wide_q.push_back(get(args.q[h * sizes.head_dim + i]));
    }
    for (int64_t j = 0; j < sizes.kv_len; ++j) {
      const int64_t row = args.rows ? args.rows[j] : j;
      for (int64_t i = 0; i < sizes.head_dim; ++i) {
        wide_k.push_back(get(args.k[row * args.ldk + group * sizes.head_dim + i]));
      }
      for (int64_t i = 0; i < sizes.v_dim; ++i) {
        wide_v.push_back(get(args.v[row * args.ldv + group * sizes.v_dim + i]));
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
    a.bias = args.bias ? args.bias + h * args.ld_bias : nullptr;
    a.sink = args.sinks ? args.sinks + h : nullptr;
    return test::reference(a, 0, {.o = sizeof(T) == sizeof(Bf16) ? kBf16Eps : 0});
  }

  Sizes sizes;
  int64_t groups, n_rows, ldk, ldv;
  Guarded<T> q, k, v, o;
  Guarded<int32_t> rows;
  DecodeAttentionArgs<T> args;
};

class DecodeAttention : public test::KernelTest {
 protected:
  template <typename T>
  void check(Decode<T>& decode) {
    const Sizes& s = decode.sizes;
    SCOPED_TRACE("heads " + std::to_string(s.n_heads) + " / " + std::to_string(s.kv_sharing) +
                 " kv " + std::to_string(s.kv_len) + " d " + std::to_string(s.head_dim) + " v " +
                 std::to_string(s.v_dim) + (sizeof(T) == 2 ? " bf16" : ""));
    const int64_t ldp = s.kv_len + 1;
    GuardedFloats p(s.n_heads * ldp - 1);
    decode.args.p = p.data();
    decode.args.ldp = ldp;
    decode.run(kernels());
    for (int64_t h = 0; h < s.n_heads; ++h) {
      const Expected e = decode.expected(h);
      for (int64_t j = 0; j < s.kv_len; ++j) {
        ASSERT_NEAR(p[h * ldp + j], e.p[j], e.p_bound[j] + kLeastNormal) << h << ", " << j;
      }
      if (h + 1 < s.n_heads) {
        EXPECT_TRUE(std::isnan(p[h * ldp + s.kv_len])) << "between rows";
      }
      for (int64_t i = 0; i < s.v_dim; ++i) {
        const float o = get(decode.o[h * s.v_dim + i]);
        ASSERT_NEAR(o, e.o[i], e.bound[i] + kLeastNormal) << h << ", " << i;
      }
    }
  }
  void check(const Sizes& sizes, float spread = 1.0f) {
    Decode<float> decode(sizes, spread);
    check(decode);
    Decode<Bf16> narrow(sizes, spread);
    check(narrow);
  }
};

// Around the four keys that share loads, vectors of scores (8, 16) and sums that take turns.
TEST_P(DecodeAttention, MatchesFloat64ForAnyNumberOfKeys) {
  for (int64_t kv_len = 1; kv_len <= 40; ++kv_len) check({2, 1, kv_len, 64, 64});
  for (const int64_t kv_len : {63, 64, 65, 511, 2048}) check({2, 1, kv_len, 16, 16});
}

// Around vectors (8, 16), pairs of vectors (16, 32) and the columns of sums (64, 128).
TEST_P(DecodeAttention, MatchesFloat64ForAnyHeadDim) {
  for (const int64_t d : {1,  2,  3,  7,  8,  9,  15,  16,  17,  24,  31,  32,  33,  40,  47, 48,
                          49, 63, 64, 65, 80, 96, 112, 120, 127, 128, 129, 160, 192, 255, 256}) {
    check({2, 1, 11, d, d});
  }
  check({2, 1, 21, 24, 50});
  check({2, 1, 21, 50, 24});
}

// Eight heads are computed together.
TEST_P(DecodeAttention, MatchesFloat64ForAnyNumberOfHeads) {
  for (const int64_t n_heads : {1, 3, 7, 8, 9, 16, 17}) check({n_heads, 1, 18, 16, 16});
}

TEST_P(DecodeAttention, MatchesFloat64WhereHeadsShareKeys) {
  check({8, 2, 20, 32, 32});
  check({6, 3, 5, 17, 9});
  check({8, 8, 33, 64, 64});
  check({12, 3, 19, 16, 16});
}

// Scores of hundreds: all but one weight underflow, and nothing overflows.
TEST_P(DecodeAttention, MatchesFloat64WhenSharp) { check({3, 1, 50, 32, 32}, 12.0f); }

// By hand: scores 0 and ln 3 give weights 1/4 and 3/4; with a sink of ln 4, 1/8 and 3/8.
TEST_P(DecodeAttention, WorkedExample) {
  Decode<float> decode({1, 1, 2, 1, 1});
  decode.q[0] = 1;
  decode.k[decode.rows[0] * decode.ldk] = 0;
  decode.k[decode.rows[1] * decode.ldk] = std::log(3.0f);
  decode.v[decode.rows[0] * decode.ldv] = 4;
  decode.v[decode.rows[1] * decode.ldv] = 8;
  decode.run(kernels());
  EXPECT_NEAR(decode.o[0], 7.0f, 8 * 16 * kEps);
  const float sink = std::log(4.0f);
  decode.args.sinks = &sink;
  decode.run(kernels());
  EXPECT_NEAR(decode.o[0], 3.5f, 8 * 16 * kEps);
}

TEST_P(DecodeAttention, AddsABias) {
  const Sizes sizes = {3, 1, 37, 24, 24};
  std::mt19937 random(8);
  const int64_t ld = sizes.kv_len + 2;
  GuardedFloats bias(sizes.n_heads * ld - 2);
  fill_random(&bias, &random, 3.0f);
  for (int64_t i = 0; i < bias.size(); i += 3) bias[i] = i % 2 ? -INFINITY : -3.4028235e38f;
  Decode<float> decode(sizes);
  decode.args.bias = bias.data();
  decode.args.ld_bias = ld;
  check(decode);
  Decode<Bf16> narrow(sizes);
  narrow.args.bias = bias.data();
  narrow.args.ld_bias = ld;
  check(narrow);
  narrow.args.ld_bias = 0;  // one row for all heads
  check(narrow);
}

TEST_P(DecodeAttention, CapsScoresAndHasSinks) {
  const Sizes sizes = {3, 1, 21, 32, 32};
  GuardedFloats sinks(3);
  sinks[0] = -3.0f, sinks[1] = 1.0f, sinks[2] = 60.0f;
  for (const bool capped : {false, true}) {
    Decode<float> decode(sizes, 3.0f);
    decode.args.softcap = capped ? 2.5f : 0.0f;
    decode.args.sinks = sinks.data();
    check(decode);
    decode.args.sinks = nullptr;
    check(decode);
  }
}

template <typename T>
void check_no_keys(const Table& kernels) {
  GuardedFloats sinks(2), hidden(5);
  sinks[0] = -INFINITY, sinks[1] = 2.0f;
  for (int64_t j = 0; j < 5; ++j) hidden[j] = -INFINITY;
  for (const int64_t kv_len : {0, 5}) {
    for (const bool has_sinks : {false, true}) {
      Decode<T> decode({2, 1, kv_len, 24, 20});
      decode.args.bias = hidden.data();  // of whatever keys there are
      decode.args.sinks = has_sinks ? sinks.data() : nullptr;
      decode.run(kernels);
      for (int64_t i = 0; i < decode.o.size(); ++i) EXPECT_EQ(get(decode.o[i]), 0.0f);
    }
  }
}

TEST_P(DecodeAttention, NoKeysGiveZeros) {
  check_no_keys<float>(kernels());
  check_no_keys<Bf16>(kernels());
}

// A head's bits are those of a call for it alone, over keys that lie one after another.
template <typename T>
void check_alone(const Table& kernels) {
  for (const Sizes& sizes :
       {Sizes{6, 2, 29, 64, 64}, Sizes{4, 1, 7, 20, 33}, Sizes{11, 1, 40, 16, 16}}) {
    Decode<T> all(sizes);
    all.run(kernels);
    for (int64_t h = 0; h < sizes.n_heads; ++h) {
      Decode<T> one({1, 1, sizes.kv_len, sizes.head_dim, sizes.v_dim});
      const int64_t group = h / sizes.kv_sharing;
      for (int64_t i = 0; i < sizes.head_dim; ++i) one.q[i] = all.q[h * sizes.head_dim + i];
      for (int64_t j = 0; j < sizes.kv_len; ++j) {
        const T* k = &all.k[all.rows[j] * all.ldk + group * sizes.head_dim];
        const T* v = &all.v[all.rows[j] * all.ldv + group * sizes.v_dim];
        std::copy(k, k + sizes.head_dim, &one.k[j * one.ldk]);
        std::copy(v, v + sizes.v_dim, &one.v[j * one.ldv]);
      }
      one.args.rows = nullptr;
      one.run(kernels);
      EXPECT_EQ(0, std::memcmp(one.o.data(), &all.o[h * sizes.v_dim], sizes.v_dim * sizeof(T)))
          << h;
    }
  }
}

TEST_P(DecodeAttention, AHeadDependsOnItsOwnOperandsAlone) {
  check_alone<float>(kernels());
  check_alone<Bf16>(kernels());
}

// A NaN in the query or a key is in all of its head's results; in a value, in its column.
template <typename T>
void check_nan(const Table& kernels) {
  const Sizes sizes = {2, 1, 19, 40, 40};
  const auto nans = [&](Decode<T>& decode, int64_t h) {
    int64_t n = 0;
    for (int64_t i = 0; i < 40; ++i) n += std::isnan(get(decode.o[h * 40 + i]));
    return n;
  };
  for (const int64_t at : {0, 15, 17, 39}) {
    Decode<T> of_q(sizes), of_k(sizes), of_v(sizes);
    set(std::nanf(""), &of_q.q[at]);
    set(std::nanf(""), &of_k.k[of_k.rows[18] * of_k.ldk + at]);
    set(std::nanf(""), &of_v.v[of_v.rows[18] * of_v.ldv + at]);
    for (Decode<T>* decode : {&of_q, &of_k, &of_v}) {
      decode->run(kernels);
      EXPECT_EQ(nans(*decode, 0), decode == &of_v ? 1 : 40) << at;
      EXPECT_EQ(nans(*decode, 1), 0) << at;
    }
    EXPECT_TRUE(std::isnan(get(of_v.o[at])));
  }
}

TEST_P(DecodeAttention, NanShows) {
  check_nan<float>(kernels());
  check_nan<Bf16>(kernels());
}

HEADLANE_FOR_EACH_ISA(DecodeAttention);

}  // namespace
}  // namespace headlane::kernels

#include "tests/support/decode_operands.h"
#include "tests/support/sanitizers.h"

namespace headlane::kernels {
namespace {

using test::Decode;
using test::DecodeSizes;
using test::Expected;
using test::fill_random;
using test::for_each_form;
using test::get;
using test::GuardedFloats;
using test::kEps;
using test::kLeastNormal;
using test::set;

class DecodeAttention : public test::KernelTest {
 protected:
  template <typename T, typename Q>
  void check(Decode<T, Q>& decode) {
    const DecodeSizes& s = decode.sizes;
    SCOPED_TRACE("heads " + std::to_string(s.n_heads) + " / " + std::to_string(s.kv_sharing) +
                 " q " + std::to_string(s.q_len) + " kv " + std::to_string(s.kv_len) + " d " +
                 std::to_string(s.head_dim) + " v " + std::to_string(s.v_dim) + " rows of " +
                 std::to_string(sizeof(T)) + " bytes, queries of " + std::to_string(sizeof(Q)));
    const int64_t ldp = s.kv_len + 1, head_stride = s.q_len * ldp + 2;
    GuardedFloats p(s.n_heads * head_stride - 3);
    decode.args.p = p.data();
    decode.args.p_head_stride = head_stride;
    decode.args.ldp = ldp;
    decode.run(kernels());
    for (int64_t h = 0; h < s.n_heads; ++h) {
      for (int64_t i = 0; i < s.q_len; ++i)
        check_query(decode, h, i, &p[h * head_stride + i * ldp]);
      if (h + 1 < s.n_heads) {
        EXPECT_TRUE(std::isnan(p[h * head_stride + s.kv_len])) << "between rows";
      }
    }
  }
  template <typename T, typename Q>
  void check_query(Decode<T, Q>& decode, int64_t h, int64_t i, const float* p) {
    const DecodeSizes& s = decode.sizes;
    const Expected e = decode.expected(h, i);
    for (int64_t j = 0; j < s.kv_len; ++j) {
      ASSERT_NEAR(p[j], e.p[j], e.p_bound[j] + kLeastNormal) << h << ", " << i << ", " << j;
    }
    for (int64_t c = 0; c < s.v_dim; ++c) {
      const float o = get(decode.o[i * decode.ldo + h * s.v_dim + c]);
      ASSERT_NEAR(o, e.o[c], e.bound[c] + kLeastNormal) << h << ", " << i << ", " << c;
    }
  }
  void check(const DecodeSizes& sizes, float spread = 1.0f) {
    for_each_form([&]<typename T, typename Q>() {
      Decode<T, Q> decode(sizes, spread);
      check(decode);
    });
  }
  void check_causal(const DecodeSizes& sizes, int64_t window = AttentionF32Args::kUnlimited) {
    for_each_form([&]<typename T, typename Q>() {
      Decode<T, Q> decode(sizes);
      decode.args.causal = true;
      decode.args.window_left = window;
      check(decode);
    });
  }
};

// Around the four keys that share loads, vectors of scores (8, 16) and sums that take turns.
TEST_P(DecodeAttention, MatchesFloat64ForAnyNumberOfKeys) {
  for (int64_t kv_len = 1; kv_len <= 40; ++kv_len) check({2, 1, kv_len, 64, 64});
  for (const int64_t kv_len : {63, 64, 65}) check({2, 1, kv_len, 16, 16});
}

// Around blocks of 256.
TEST_P(DecodeAttention, MatchesFloat64ForAnyNumberOfBlocks) {
  for (const int64_t kv_len : {255, 256, 257, 511, 512, 513, 2048}) check({2, 1, kv_len, 16, 16});
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

// Queries as one call takes them where they lie, and packed: 16 rows and more, 96 and more.
TEST_P(DecodeAttention, MatchesFloat64ForManyQueries) {
  for (const int64_t q_len : {2, 3, 7, 16, 17, 40, 97}) {
    if (kUnderAddressSanitizer && q_len % 16 > 2) continue;  // float64 takes a minute for all
    check_causal({2, 1, q_len + 180, 24, 20, q_len});
    check_causal({6, 3, q_len + 3, 20, 24, q_len});
  }
  check({4, 2, 30, 16, 16, 20});  // not causal: each query sees all keys
}

TEST_P(DecodeAttention, MatchesFloat64InAWindow) {
  for (const int64_t window : {0, 1, 5, 255, 300}) {
    if (kUnderAddressSanitizer && window != 5 && window != 300) continue;
    for (const int64_t q_len : {1, 3, 33}) {
      check_causal({2, 1, 600, 16, 16, q_len}, window);
      check_causal({2, 2, 290, 16, 16, q_len}, window);
    }
  }
}

TEST_P(DecodeAttention, AddsBiasesByDistance) {
  for (const int64_t q_len : {1, 4, 21}) {
    const DecodeSizes sizes = {4, 2, 61, 24, 24, q_len};
    std::mt19937 random(8);
    GuardedFloats bias(sizes.n_heads * sizes.kv_len), slopes(sizes.n_heads);
    fill_random(&bias, &random, 3.0f);
    for (int64_t h = 0; h < sizes.n_heads; ++h) slopes[h] = 0.25f * static_cast<float>(h);
    for (const bool relative : {false, true}) {
      for_each_form([&]<typename T, typename Q>() {
        Decode<T, Q> decode(sizes);
        decode.args.causal = true;
        decode.args.alibi_slopes = slopes.data();
        if (relative) {  // of distances 1 - kv_len .. 0
          decode.args.relative_bias = bias.data() + sizes.kv_len - 1;
          decode.args.ld_relative_bias = sizes.kv_len;
        }
        check(decode);
        decode.args.alibi_slopes = nullptr;
        check(decode);
      });
    }
  }
}

TEST_P(DecodeAttention, AddsBiasesByKey) {
  for (const int64_t q_len : {1, 4, 21}) {
    const DecodeSizes sizes = {4, 2, 61, 24, 24, q_len};
    std::mt19937 random(9);
    GuardedFloats bias(sizes.n_heads * sizes.kv_len);
    fill_random(&bias, &random, 3.0f);
    for (const int64_t window : {int64_t{9}, AttentionF32Args::kUnlimited}) {
      for_each_form([&]<typename T, typename Q>() {
        Decode<T, Q> decode(sizes);
        decode.args.causal = true;
        decode.args.window_left = window;
        decode.args.key_bias = bias.data();
        decode.args.ld_key_bias = sizes.kv_len;
        check(decode);
      });
    }
  }
}

TEST_P(DecodeAttention, CapsScoresAndHasSinks) {
  const DecodeSizes sizes = {3, 1, 21, 32, 32};
  GuardedFloats sinks(3);
  sinks[0] = -3.0f, sinks[1] = 1.0f, sinks[2] = 60.0f;
  for (const bool capped : {false, true}) {
    for_each_form([&]<typename T, typename Q>() {
      Decode<T, Q> decode(sizes, 3.0f);
      decode.args.softcap = capped ? 2.5f : 0.0f;
      decode.args.sinks = sinks.data();
      check(decode);
      decode.args.sinks = nullptr;
      check(decode);
    });
  }
}

template <typename T, typename Q>
void check_no_keys(const Table& kernels) {
  GuardedFloats sinks(2);
  sinks[0] = -INFINITY, sinks[1] = 2.0f;
  for (const bool has_sinks : {false, true}) {
    Decode<T, Q> decode({2, 1, 0, 24, 20});
    decode.args.sinks = has_sinks ? sinks.data() : nullptr;
    decode.run(kernels);
    for (int64_t i = 0; i < decode.o.size(); ++i) EXPECT_EQ(get(decode.o[i]), 0.0f);
  }
}

TEST_P(DecodeAttention, NoKeysGiveZeros) {
  for_each_form([&]<typename T, typename Q>() { check_no_keys<T, Q>(kernels()); });
}

// A head's bits are those of a call for it alone, over keys that lie one after another.
template <typename T, typename Q>
void check_alone(const Table& kernels) {
  for (const DecodeSizes& sizes : {DecodeSizes{6, 2, 29, 64, 64}, DecodeSizes{4, 1, 7, 20, 33},
                                   DecodeSizes{11, 1, 40, 16, 16}}) {
    Decode<T, Q> all(sizes);
    all.run(kernels);
    for (int64_t h = 0; h < sizes.n_heads; ++h) {
      Decode<T, Q> one({1, 1, sizes.kv_len, sizes.head_dim, sizes.v_dim});
      const int64_t group = h / sizes.kv_sharing;
      for (int64_t i = 0; i < sizes.head_dim; ++i) one.q[i] = all.q[h * sizes.head_dim + i];
      for (int64_t j = 0; j < sizes.kv_len; ++j) {
        const T* k = &all.k[all.rows[j] * all.ldk + group * sizes.head_dim];
        const T* v = &all.v[all.rows[j] * all.ldv + group * sizes.v_dim];
        std::copy(k, k + sizes.head_dim, &one.k[j * one.ldk]);
        std::copy(v, v + sizes.v_dim, &one.v[j * one.ldv]);
        if (!all.kHasScales) continue;
        one.k_scales[j * one.ld_scales] = all.scale(all.args.k_scales, j, group);
        one.v_scales[j * one.ld_scales] = all.scale(all.args.v_scales, j, group);
      }
      one.args.rows = nullptr;
      one.run(kernels);
      EXPECT_EQ(0, std::memcmp(one.o.data(), &all.o[h * sizes.v_dim], sizes.v_dim * sizeof(Q)))
          << h;
    }
  }
}

TEST_P(DecodeAttention, AHeadDependsOnItsOwnOperandsAlone) {
  for_each_form([&]<typename T, typename Q>() { check_alone<T, Q>(kernels()); });
}

// A query's bits are the same wherever the calls begin and end that a prompt is cut into.
template <typename T, typename Q>
void check_chunks(const Table& kernels, const DecodeSizes& sizes, int64_t window) {
  SCOPED_TRACE("q " + std::to_string(sizes.q_len) + " window " + std::to_string(window));
  Decode<T, Q> whole(sizes, 3.0f);
  const auto slopes = std::vector<float>(static_cast<size_t>(sizes.n_heads), 0.125f);
  whole.args.causal = true;
  whole.args.window_left = window;
  whole.args.alibi_slopes = slopes.data();
  std::mt19937 random(10);
  GuardedFloats bias(sizes.kv_len);
  fill_random(&bias, &random, 3.0f);
  whole.args.key_bias = bias.data();  // ld_key_bias is 0: of all heads
  whole.run(kernels);
  const int64_t width = sizes.n_heads * sizes.v_dim;
  std::vector<Q> expected(whole.o.data(), whole.o.data() + whole.o.size());
  const auto all = whole.args;
  // Plain loops have no blocks for which it matters where a chunk begins.
  const bool few = kUnderAddressSanitizer || kernels.isa == std::string_view("ref");
  for (const int64_t chunk : {5, 31, 1, 2, 13, 100}) {
    if (few && chunk != 5 && chunk != 31) continue;
    for (int64_t i = 0; i < sizes.q_len; i += chunk) {
      const int64_t n = std::min(chunk, sizes.q_len - i);
      whole.args.q_len = n;
      whole.args.q = &whole.q[i * all.ldq];
      whole.args.o = &whole.o[i * all.ldo];
      whole.args.q_offset = all.q_offset + i;
      whole.args.kv_len = whole.args.q_offset + n;
      whole.run(kernels);
    }
    for (int64_t i = 0; i < sizes.q_len; ++i) {
      ASSERT_EQ(0,
                std::memcmp(&whole.o[i * whole.ldo], &expected[i * whole.ldo], width * sizeof(Q)))
          << "query " << i << " in chunks of " << chunk;
    }
  }
}

TEST_P(DecodeAttention, AQueryHasTheSameBitsInAnyChunk) {
  for (const int64_t window : {int64_t{4}, int64_t{300}, AttentionF32Args::kUnlimited}) {
    for_each_form([&]<typename T, typename Q>() {
      check_chunks<T, Q>(kernels(), {4, 2, 120, 40, 24, 120}, window);
      check_chunks<T, Q>(kernels(), {3, 1, 630, 64, 64, 150}, window);
      check_chunks<T, Q>(kernels(), {4, 4, 540, 50, 72, 45}, window);
      check_chunks<T, Q>(kernels(), {2, 1, 270, 64, 64, 270}, window);
    });
  }
}

// A NaN in a key or a value shows in the queries that see it, and in no other.
template <typename T, typename Q>
void check_unseen_nan(const Table& kernels) {
  constexpr int64_t kQueries = 40, kKeys = 50, kNan = 30, kWindow = 7;
  for (const bool of_value : {false, true}) {
    Decode<T, Q> decode({2, 1, kKeys, 16, 16, kQueries});
    decode.args.causal = true;
    decode.args.window_left = kWindow;
    of_value ? decode.spoil_value(kNan) : decode.spoil_key(kNan);
    decode.run(kernels);
    for (int64_t i = 0; i < kQueries; ++i) {
      const int64_t position = kKeys - kQueries + i;
      const bool sees = position >= kNan && position - kNan <= kWindow;
      EXPECT_EQ(std::isnan(get(decode.o[i * decode.ldo])), sees) << i;
    }
  }
}

TEST_P(DecodeAttention, WhatIsNotSeenDoesNotMatter) {
  for_each_form([&]<typename T, typename Q>() { check_unseen_nan<T, Q>(kernels()); });
}

// Nor does an infinity: each query has the bits that it has alone.
template <typename T, typename Q>
void check_unseen_infinity(const Table& kernels) {
  constexpr int64_t kQueries = 20, kKeys = 300, kInfinite = 285, kNan = 293;
  const DecodeSizes sizes = {4, 2, kKeys, 40, 72, kQueries};
  Decode<T, Q> whole(sizes);
  whole.args.causal = true;
  whole.args.window_left = 5;
  whole.spoil_value(kNan, 70);
  if (!whole.kHasScales) set(INFINITY, &whole.v[whole.rows[kInfinite] * whole.ldv + 3]);
  whole.run(kernels);
  const std::vector<Q> together(whole.o.data(), whole.o.data() + whole.o.size());
  const auto all = whole.args;
  for (int64_t i = 0; i < kQueries; ++i) {
    const int64_t position = kKeys - kQueries + i, width = sizes.n_heads * sizes.v_dim;
    whole.args.q_len = 1;
    whole.args.q = &whole.q[i * all.ldq];
    whole.args.o = &whole.o[i * all.ldo];
    whole.args.q_offset = position;
    whole.args.kv_len = position + 1;
    whole.run(kernels);
    ASSERT_EQ(0, std::memcmp(&whole.o[i * all.ldo], &together[i * all.ldo], width * sizeof(Q)))
        << i;
    const bool sees = position >= kInfinite && position - kInfinite <= 5;
    if (!whole.kHasScales) {
      EXPECT_EQ(get(whole.o[i * all.ldo + 3]) == INFINITY, sees) << i;
    }
  }
}

TEST_P(DecodeAttention, InfinitiesShowWhereTheyAreSeen) {
  for_each_form([&]<typename T, typename Q>() { check_unseen_infinity<T, Q>(kernels()); });
}

// A NaN in the query or a key is in all of its head's results; in a value, in its column, and in
// all columns where it is a scale.
template <typename T, typename Q>
void check_nan(const Table& kernels) {
  const DecodeSizes sizes = {2, 1, 19, 40, 40};
  const auto nans = [&](Decode<T, Q>& decode, int64_t h) {
    int64_t n = 0;
    for (int64_t i = 0; i < 40; ++i) n += std::isnan(get(decode.o[h * 40 + i]));
    return n;
  };
  for (const int64_t at : {0, 15, 17, 39}) {
    Decode<T, Q> of_q(sizes), of_k(sizes), of_v(sizes);
    set(std::nanf(""), &of_q.q[at]);
    of_k.spoil_key(18, at);
    of_v.spoil_value(18, at);
    for (auto* decode : {&of_q, &of_k, &of_v}) {
      decode->run(kernels);
      EXPECT_EQ(nans(*decode, 0), decode == &of_v && !of_v.kHasScales ? 1 : 40) << at;
      EXPECT_EQ(nans(*decode, 1), 0) << at;
    }
    EXPECT_TRUE(std::isnan(get(of_v.o[at])));
  }
}

TEST_P(DecodeAttention, NanShows) {
  for_each_form([&]<typename T, typename Q>() { check_nan<T, Q>(kernels()); });
}

HEADLANE_FOR_EACH_ISA(DecodeAttention);
// Tiles of AMX have kernels of their own for rows and queries of bf16.
INSTANTIATE_TEST_SUITE_P(Tiles, DecodeAttention, testing::Values("amx"),
                         [](auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace headlane::kernels

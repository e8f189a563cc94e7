// Scores of any size that a float has: float64 says what is right, on every row of the table, for O
// and for maps of P.
#include <utility>

#include "tests/support/attention_narrow.h"
#include "tests/support/decode_operands.h"
#include "tests/support/large_scores.h"

namespace headlane::kernels {
namespace {

using test::Added;
using test::Decode;
using test::Expected;
using test::GuardedFloats;
using test::kAdded;
using test::kLeastNormal;
using test::kSigns;
using test::kUnits;
using test::LargeScores;
using test::NarrowCopy;
using test::Problem;
using test::Roundings;
using test::Sign;

void expect_row(const Expected& e, const float* o, const float* p) {
  for (size_t d = 0; d < e.o.size(); ++d) {
    ASSERT_NEAR(o[d], e.o[d], e.bound[d] + kLeastNormal) << "O, " << d;
  }
  for (size_t j = 0; j < e.p.size(); ++j) {
    ASSERT_NEAR(p[j], e.p[j], e.p_bound[j] + kLeastNormal) << "P, " << j;
  }
}

// The problem's O and P, in floats, by kernels of floats or of bf16.
struct Results {
  Results(const Table& kernels, Problem* p, bool bf16)
      : o(p->args.q_len * p->args.v_dim), probabilities(p->args.q_len * p->args.kv_len) {
    if (!bf16) {
      p->run(kernels);
      std::copy_n(p->o.data(), o.size(), o.data());
      p->run_probabilities(kernels, probabilities.data(), p->args.kv_len);
      return;
    }
    NarrowCopy narrow(p);
    narrow.run(kernels);
    for (int64_t i = 0; i < o.size(); ++i) o[i] = widen(narrow.o[i]);
    narrow.run_probabilities(kernels, probabilities.data(), p->args.kv_len);
  }
  GuardedFloats o, probabilities;
};

void expect_exact(const Table& kernels, Problem* p, bool bf16) {
  Results got(kernels, p, bf16);
  Roundings roundings = bf16 ? test::kBf16Roundings : Roundings{};
  roundings.turned = 0;  // by quarter turns
  roundings.exact_scores = true;
  for (int64_t i = 0; i < p->args.q_len; ++i) {
    SCOPED_TRACE("query " + std::to_string(i));
    expect_row(test::reference(p->args, i, roundings), &got.o[i * p->args.v_dim],
               &got.probabilities[i * p->args.kv_len]);
  }
}

class AttentionLargeScores : public test::KernelTest {
 protected:
  void check(Problem* p) {
    for (const bool bf16 : {false, true}) {
      if (bf16 && (kernels().attention_bf16 == nullptr || p->args.additive)) continue;
      SCOPED_TRACE(bf16 ? "bf16" : "f32");
      expect_exact(kernels(), p, bf16);
    }
  }
};

TEST_P(AttentionLargeScores, MatchFloat64) {
  for (const float unit : kUnits) {
    for (const Sign sign : kSigns) {
      LargeScores large(unit, sign);
      for (const Added added : kAdded) {
        SCOPED_TRACE("unit " + std::to_string(unit) + " sign " +
                     std::to_string(static_cast<int>(sign)) + " added " +
                     std::to_string(static_cast<int>(added)));
        large.set(added);
        check(&large.p);
      }
    }
  }
}

// tanh(q + k) is 1 or -1, since q + k is 100 or -100, so a score is a sum of whole units.
TEST_P(AttentionLargeScores, OfAdditiveScoresMatchFloat64) {
  constexpr int64_t kDim = 12;
  for (const float unit : kUnits) {
    SCOPED_TRACE(unit);
    Problem p(9, 300, kDim, 5);
    GuardedFloats weights(kDim);
    test::set_additive(&p, &weights);
    std::fill_n(p.q.data(), p.q.size(), 0.0f);
    for (int64_t i = 0; i < p.k.size(); ++i) p.k[i] = p.k[i] > 0 ? 100.0f : -100.0f;
    for (int64_t i = 0; i < 9; ++i) {
      for (int64_t c = 0; c < kDim; ++c) {
        weights[c] = test::large_query(unit, i) * static_cast<float>(1 << (2 * c / 3));
      }
      check(&p);
    }
  }
}

// Products next to the largest float, of either sign, so that their differences are no floats. With
// a small scale the scores are small all the same.
TEST_P(AttentionLargeScores, WhoseDifferencesOverflowMatchFloat64) {
  LargeScores large(1.0f, Sign::kBoth);
  Problem& p = large.p;
  for (int64_t i = 0; i < p.q.size(); ++i) p.q[i] = i % LargeScores::kHeadDim ? 0.0f : 0x1p63f;
  for (int64_t j = 0; j < LargeScores::kKeys; ++j) {
    p.k[j * LargeScores::kHeadDim] = (j % 3 ? 1.5f : -1.5f) * 0x1p63f;
  }
  for (const float scale : {0.25f, 0x1p-20f, 0x1p-99f, 0x1p-101f, 0x1p-118f, 0x1p-126f}) {
    SCOPED_TRACE(scale);
    p.args.scale = scale;
    for (const Added added : {Added::kNothing, Added::kMask, Added::kPositions}) {
      large.set(added);
      check(&p);
    }
  }
}

// Scores about 2^23 / log2(e), where sums of two blocks of keys meet whose exponents are made in
// two ways: the largest of the first block is below, that of the second above.
TEST_P(AttentionLargeScores, ThatGrowFromBlockToBlockMatchFloat64) {
  constexpr int64_t kKeys = 700, kDim = 4;
  for (const float first_step : {0.0f, 6.0f, 20.0f}) {
    Problem p(3, kKeys, kDim, 5);
    const float sink = 0x58b700 + 540;
    p.args.scale = 1;
    std::fill_n(p.q.data(), p.q.size(), 1.0f);
    for (int64_t j = 0; j < kKeys; ++j) {  // exact in bf16 each; 2^23 / log2(e) is 0x58b700 + 524
      const float parts[] = {0x580000, 0xb700, 500, first_step + static_cast<float>(j * 7 % 16)};
      std::copy_n(parts, kDim, &p.k[j * kDim]);
      if (j >= 240) p.k[j * kDim + 3] += static_cast<float>(j / 240 * 4);
    }
    check(&p);
    p.args.sink = &sink;
    check(&p);
  }
}

// Query 1's scores are all an infinity of that sign, but for one of 0 if `one_is_finite`; its
// neighbours' are finite.
void check_overflow(const Table& kernels, bool bf16, bool one_is_finite, float sign) {
  constexpr int64_t kKeys = 300, kDim = 16, kVDim = 5, kFinite = 260, kFirstSeen = 6;
  Problem p(3, kKeys, kDim, kVDim);
  std::fill_n(p.q.data(), p.q.size(), 0.0f);
  std::fill_n(p.k.data(), p.k.size(), 0.0f);
  for (int64_t i = 0; i < 3; ++i) p.q[i * kDim] = i == 1 ? 0x1p100f : 1.0f;
  for (int64_t j = 0; j < kKeys; ++j) p.k[j * kDim] = sign * 0x1p100f;
  if (one_is_finite) p.k[kFinite * kDim] = 0;
  p.args.q_offset = 295;
  p.args.window_left = p.args.q_offset + 1 - kFirstSeen;
  Results got(kernels, &p, bf16);
  const bool is_nan = !one_is_finite || sign > 0;
  for (int64_t d = 0; d < kVDim; ++d) {
    EXPECT_FALSE(std::isnan(got.o[d]) || std::isnan(got.o[2 * kVDim + d])) << "neighbours, " << d;
    const float o = got.o[kVDim + d];
    ASSERT_EQ(std::isnan(o), is_nan) << d;
    ASSERT_TRUE(is_nan || o == p.v[kFinite * kVDim + d]) << d;
  }
  for (int64_t j = 0; j < kKeys; ++j) {
    const float each = got.probabilities[kKeys + j];
    const bool seen = j >= kFirstSeen;
    ASSERT_EQ(std::isnan(each), seen && is_nan) << j;
    const float expected = seen && j == kFinite ? 1.0f : 0.0f;
    ASSERT_TRUE((seen && is_nan) || each == expected) << j;
  }
}

// A score that no float holds: -infinity weighs nothing, and a query that sees nothing else gets
// NaN, as of infinity. Keys that it does not see are 0 in its map even so.
TEST_P(AttentionLargeScores, ThatOverflowDoAsInfinitiesDo) {
  for (const bool bf16 : {false, true}) {
    if (bf16 && kernels().attention_bf16 == nullptr) continue;
    for (const bool one_is_finite : {false, true}) {
      for (const float sign : {1.0f, -1.0f}) {
        SCOPED_TRACE(testing::Message() << bf16 << " " << one_is_finite << " " << sign);
        check_overflow(kernels(), bf16, one_is_finite, sign);
      }
    }
  }
}

template <typename T>
void check_decode(const Table& kernels, float unit, Sign sign, int kind) {
  constexpr int64_t kHeads = 9, kKeys = 37, kHeadDim = 16;
  Decode<T> decode({kHeads, 1, kKeys, kHeadDim, 20});
  std::mt19937 random(7);
  for (int64_t i = 0; i < decode.q.size(); ++i) {
    test::set(i % kHeadDim < 2 ? test::large_query(4 * unit, i / kHeadDim) : 0.0f, &decode.q[i]);
  }
  for (int64_t j = 0; j < kKeys; ++j) {
    for (int64_t i = 0; i < kHeads * kHeadDim; ++i) {
      test::set(test::large_key(sign, j, i % kHeadDim, &random),
                &decode.k[decode.rows[j] * decode.ldk + i]);
    }
  }
  GuardedFloats bias(kHeads * kKeys), sinks(kHeads), p(kHeads * kKeys);
  for (int64_t i = 0; i < bias.size(); ++i) bias[i] = unit * static_cast<float>(i % 7);
  for (int64_t h = 0; h < kHeads; ++h) sinks[h] = 0x1p19f * unit * (h == 0 ? -1.0f : 1.0f);
  if (kind == 1) decode.args.relative_bias = bias.data() + decode.args.q_offset;  // of distance 0
  decode.args.ld_relative_bias = kKeys;
  if (kind == 2) decode.args.sinks = sinks.data();
  if (kind == 3) decode.args.softcap = 8;
  decode.args.p = p.data();
  decode.args.p_head_stride = decode.args.ldp = kKeys;
  decode.run(kernels);
  for (int64_t h = 0; h < kHeads; ++h) {
    SCOPED_TRACE("head " + std::to_string(h));
    float o[20];
    for (int64_t c = 0; c < 20; ++c) o[c] = test::get(decode.o[h * 20 + c]);
    expect_row(decode.expected(h, 0, true), o, &p[h * kKeys]);
  }
}

TEST_P(AttentionLargeScores, OfDecodingMatchFloat64) {
  for (const float unit : kUnits) {
    for (const Sign sign : kSigns) {
      for (int kind = 0; kind < 4; ++kind) {
        SCOPED_TRACE("unit " + std::to_string(unit) + " sign " +
                     std::to_string(static_cast<int>(sign)) + " kind " + std::to_string(kind));
        check_decode<float>(kernels(), unit, sign, kind);
        check_decode<Bf16>(kernels(), unit, sign, kind);
      }
    }
  }
}

template <typename T>
void check_decode_overflow(const Table& kernels, bool one_is_finite) {
  Decode<T> decode({1, 1, 21, 16, 20});
  for (int64_t i = 0; i < 16; ++i) test::set(i ? 0.0f : 0x1p100f, &decode.q[i]);
  for (int64_t j = 0; j < 21; ++j) {
    test::set(j == 17 && one_is_finite ? 0.0f : -0x1p100f, &decode.k[decode.rows[j] * decode.ldk]);
  }
  decode.run(kernels);
  for (int64_t c = 0; c < 20; ++c) {
    const float o = test::get(decode.o[c]);
    if (one_is_finite) {
      ASSERT_EQ(o, test::get(decode.v[decode.rows[17] * decode.ldv + c]));
    } else {
      ASSERT_TRUE(std::isnan(o));
    }
  }
}

TEST_P(AttentionLargeScores, OfDecodingThatOverflowDoAsInfinitiesDo) {
  for (const bool one_is_finite : {false, true}) {
    check_decode_overflow<float>(kernels(), one_is_finite);
    check_decode_overflow<Bf16>(kernels(), one_is_finite);
  }
}

// The rows of floats, and those that have bf16.
INSTANTIATE_TEST_SUITE_P(Isa, AttentionLargeScores,
                         testing::Values("ref", "avx2", "avx512", "avx512_bf16", "amx"),
                         [](auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace headlane::kernels

#include <algorithm>
#include <vector>

#include "tests/support/attention_operands.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::Guarded;
using test::GuardedFloats;
using test::kEps;
using test::Problem;

class Attention : public test::AttentionTest {};

// Around the strips of queries (6, 8), the panels of keys (16, 48) and whole vectors (8, 16).
TEST_P(Attention, MatchesFloat64AroundBlockSizes) {
  for (const int64_t n : {1, 2, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 95, 96, 97}) {
    check(n, n, 32);
  }
}

TEST_P(Attention, MatchesFloat64ForAnyHeadDim) {
  for (const int64_t d : {1, 2, 3, 7, 8, 9, 15, 16, 17, 26, 33, 47, 48, 49, 64, 80, 96, 128, 256}) {
    check(11, 37, d);
  }
  for (const int64_t v_dim : {1, 15, 17, 64}) {
    Problem p(9, 20, 24, v_dim);
    check(p);
  }
}

// Blocks of 240 keys, groups of 192 and 256 queries.
TEST_P(Attention, MatchesFloat64AroundKeyBlocksAndGroups) {
  for (const int64_t kv_len : {239, 240, 241, 479, 480, 481, 1025}) check(9, kv_len, 32);
  for (const int64_t q_len : {191, 192, 193, 255, 256, 257}) check(q_len, 250, 8);
}

// Scores of hundreds: all but one probability underflow, and nothing overflows; with a maximum that
// grows from block to block, what was summed before is scaled away.
TEST_P(Attention, MatchesFloat64WhenSharp) {
  Problem p(17, 700, 32, 32, 12.0f);
  check(p);
  Problem growing(3, 900, 4, 4);
  for (int64_t j = 0; j < 900; ++j) {
    for (int64_t d = 0; d < 4; ++d) growing.k[j * 4 + d] *= static_cast<float>(j) / 20;
  }
  check(growing);
}

TEST_P(Attention, QueryAndKeyLengthsDiffer) {
  check(1, 50, 32);
  check(50, 1, 32);
}

// By hand: scores 0 and ln 3 give probabilities 1/4 and 3/4.
TEST_P(Attention, WorkedExample) {
  Problem p(1, 2, 1, 1);
  p.q[0] = 1;
  p.k[0] = 0;
  p.k[1] = std::log(3.0f);
  p.v[0] = 4;
  p.v[1] = 8;
  p.run(kernels());
  EXPECT_NEAR(p.o[0], 7.0f, 8 * 8 * kEps);
}

// Causal masks in both alignments, sliding windows, prefixes: lengths around the blocks.
TEST_P(Attention, SeesKeysByPosition) {
  for (const auto& [q_len, kv_len] :
       {std::pair{1, 1}, {7, 8}, {50, 51}, {70, 260}, {5, 300}, {40, 20}}) {
    for (const int64_t q_offset : {0, kv_len - q_len}) {
      Problem p(q_len, kv_len, 16, 16);
      p.args.q_offset = q_offset;
      for (const test::Positions& positions : test::all_positions()) {
        positions.set(&p.args);
        check(p);
      }
    }
  }
}

TEST_P(Attention, AddsABias) {
  const int64_t q_len = 21, kv_len = 300;
  std::mt19937 random(8);
  GuardedFloats full(q_len * kv_len), row(kv_len), diagonal(q_len + kv_len - 1);
  for (GuardedFloats* bias : {&full, &row, &diagonal}) fill_random(bias, &random, 3.0f);
  for (int64_t i = 0; i < full.size(); i += 3) full[i] = i % 2 ? -INFINITY : -3.4028235e38f;
  Problem p(q_len, kv_len, 32, 32);
  p.args.bias = full.data();
  p.args.ld_bias = kv_len;
  check(p);
  p.args.bias = row.data();
  p.args.ld_bias = 0;
  check(p);
  p.args.bias = diagonal.data() + q_len - 1;  // [i, j] is diagonal[q_len - 1 + j - i]
  p.args.ld_bias = -1;
  check(p);
}

TEST_P(Attention, CombinesMaskBiasWindowCapAndSink) {
  const int64_t q_len = 30, kv_len = 260;
  std::mt19937 random(9);
  GuardedFloats bias(q_len * kv_len);
  fill_random(&bias, &random);
  Guarded<uint8_t> mask(q_len * kv_len);
  for (int64_t i = 0; i < mask.size(); ++i) mask[i] = random() % 3 != 0;
  const float sink = 0.7f;
  Problem p(q_len, kv_len, 26, 26, 2.0f);
  p.args.mask = mask.data();
  p.args.ld_mask = kv_len;
  check(p);
  p.args.softcap = 2.5f;
  check(p);
  p.args.sink = &sink;
  check(p);
  p.args.bias = bias.data();
  p.args.ld_bias = kv_len;
  check(p);
  p.args.window_right = 0;
  p.args.q_offset = kv_len - q_len;
  check(p);
  p.args.alibi_slope = 0.25f;
  check(p);
}

TEST_P(Attention, SubtractsDistanceForAlibi) {
  for (const int64_t kv_len : {5, 40, 300}) {
    Problem p(37, kv_len, 16, 16);
    p.args.alibi_slope = 0.0625f;
    check(p);
    p.args.q_offset = kv_len - 37;
    p.args.window_right = 0;
    check(p);
  }
}

TEST_P(Attention, AQueryThatSeesNothingGetsZeros) {
  Problem p(12, 250, 16, 16);
  Guarded<uint8_t> mask(12 * 250);
  for (int64_t i = 0; i < mask.size(); ++i) mask[i] = i / 250 != 3 && i / 250 != 7;
  p.args.mask = mask.data();
  p.args.ld_mask = 250;
  p.run(kernels());
  for (int64_t i = 0; i < 12 * 16; ++i) {
    const bool sees_nothing = i / 16 == 3 || i / 16 == 7;
    ASSERT_EQ(p.o[i] == 0.0f, sees_nothing) << i;
  }
  p.args.mask = nullptr;
  p.args.window_right = 0;
  p.args.q_offset = -1000;
  p.run(kernels());
  for (int64_t i = 0; i < 12 * 16; ++i) ASSERT_EQ(p.o[i], 0.0f);
}

// NaN and infinity in what no query may see do not matter; in what some see, those alone get NaN.
TEST_P(Attention, NanOfUnseenKeysNeverShows) {
  const int64_t n = 40, d = 16, bad = 25;
  for (const float poison : {std::nanf(""), INFINITY}) {
    Problem clean(n, n, d, d), dirty(n, n, d, d);
    for (int64_t c = 0; c < d; ++c) dirty.k[bad * d + c] = dirty.v[bad * d + c] = poison;
    for (Problem* p : {&clean, &dirty}) {
      p->args.window_right = 0;
      p->run(kernels());
    }
    for (int64_t i = 0; i < n; ++i) {
      if (i < bad) {
        ASSERT_EQ(0, std::memcmp(&clean.o[i * d], &dirty.o[i * d], d * sizeof(float))) << i;
      } else {
        ASSERT_TRUE(std::isnan(dirty.o[i * d])) << i;
      }
    }
    Guarded<uint8_t> mask(n);
    GuardedFloats bias(n);
    for (int64_t j = 0; j < n; ++j) {
      mask[j] = j != bad;
      bias[j] = j == bad ? -INFINITY : 0.0f;
    }
    for (const bool by_mask : {true, false}) {
      for (Problem* p : {&clean, &dirty}) {
        p->args.window_right = AttentionF32Args::kUnlimited;
        p->args.mask = by_mask ? mask.data() : nullptr;
        p->args.bias = by_mask ? nullptr : bias.data();
        p->run(kernels());
      }
      ASSERT_EQ(0, std::memcmp(clean.o.data(), dirty.o.data(), n * d * sizeof(float)));
    }
  }
}

// A query's bits are the same alone and among others, in rows with a stride.
TEST_P(Attention, QueriesDoNotInfluenceEachOther) {
  const int64_t len = 300, d = 26, ld = 3 * d + 5;
  std::mt19937 random(4);
  GuardedFloats qkv(len * ld), all(len * d), one(d);
  GuardedFloats scratch(kernels().attention_scratch_floats(d, d));
  fill_random(&qkv, &random);
  for (const int64_t window_right : {AttentionF32Args::kUnlimited, int64_t{0}}) {
    AttentionF32Args args{.q_len = len,
                          .kv_len = len,
                          .head_dim = d,
                          .v_dim = d,
                          .scale = 0.3f,
                          .window_right = window_right,
                          .q = qkv.data(),
                          .ldq = ld,
                          .k = qkv.data() + d,
                          .ldk = ld,
                          .v = qkv.data() + 2 * d,
                          .ldv = ld,
                          .o = all.data(),
                          .ldo = d,
                          .scratch = scratch.data()};
    kernels().attention_f32(args);
    for (int64_t i = 0; i < len; ++i) {
      args.q_len = 1;
      args.q = qkv.data() + i * ld;
      args.q_offset = i;
      args.o = one.data();
      kernels().attention_f32(args);
      ASSERT_EQ(0, std::memcmp(&all[i * d], one.data(), d * sizeof(float))) << i;
    }
  }
}

TEST_P(Attention, NanInAQueryStaysInItsRow) {
  Problem p(20, 20, 32, 32);
  p.q[9 * 32 + 1] = std::nanf("");
  p.run(kernels());
  for (int64_t i = 0; i < 20 * 32; ++i) ASSERT_EQ(std::isnan(p.o[i]), i / 32 == 9) << i;
}

HEADLANE_FOR_EACH_ISA(Attention);

}  // namespace
}  // namespace headlane::kernels

#include <algorithm>
#include <vector>

#include "tests/support/kernel_test.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::Guarded;
using test::GuardedFloats;
using test::kEps;

// One head's operands, ending at guard pages, and its result checked against float64.
struct Problem {
  Problem(int64_t q_len, int64_t kv_len, int64_t head_dim, int64_t v_dim, float spread = 1.0f)
      : q(q_len * head_dim), k(kv_len * head_dim), v(kv_len * v_dim), o(q_len * v_dim) {
    std::mt19937 random(static_cast<uint32_t>(q_len * 10007 + kv_len * 101 + head_dim));
    fill_random(&q, &random, spread);
    fill_random(&k, &random, spread);
    fill_random(&v, &random);
    args.q_len = q_len;
    args.kv_len = kv_len;
    args.head_dim = head_dim;
    args.v_dim = v_dim;
    args.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    args.q = q.data();
    args.k = k.data();
    args.v = v.data();
    args.o = o.data();
    args.ldq = args.ldk = head_dim;
    args.ldv = args.ldo = v_dim;
  }

  void run(const Table& kernels) {
    GuardedFloats scratch(kernels.attention_scratch_floats(args.head_dim, args.v_dim));
    args.scratch = scratch.data();
    kernels.attention_f32(args);
  }

  GuardedFloats q, k, v, o;
  AttentionF32Args args;
};

bool sees(const AttentionF32Args& a, int64_t i, int64_t j) {
  const int64_t position = i + a.q_offset;
  const bool in_window =
      j >= position - a.window_left && (j <= position + a.window_right || j < a.prefix_len);
  const bool masked = a.mask && a.mask[i * a.ld_mask + j] == 0;
  const bool biased_away = a.bias && a.bias[i * a.ld_bias + j] <= -3.4028234e38f;
  return in_window && !masked && !biased_away;
}

struct Expected {
  std::vector<double> o, bound;
};

// One query's result and its bound in float64. The error of a score is that of its sum of products
// (head_dim + 1 roundings of |q||k|), of scaling, capping (8 roundings) and the bias; the
// exponential turns it into a relative error of p, to which it adds its own few roundings and those
// of its argument; P V is again a sum of products, and the sums are rescaled at most once a block
// of keys.
Expected reference(const AttentionF32Args& a, int64_t i) {
  Expected e{std::vector<double>(a.v_dim), std::vector<double>(a.v_dim)};
  std::vector<double> score(a.kv_len, -INFINITY);
  double largest = a.sink ? *a.sink : -INFINITY, error = 0;
  for (int64_t j = 0; j < a.kv_len; ++j) {
    if (!sees(a, i, j)) continue;
    double sum = 0, magnitudes = 0;
    for (int64_t d = 0; d < a.head_dim; ++d) {
      const double product = double{a.q[i * a.ldq + d]} * a.k[j * a.ldk + d];
      sum += product;
      magnitudes += std::fabs(product);
    }
    score[j] = sum * a.scale;
    double own_error = test::product_bound(a.head_dim + 3, magnitudes) * a.scale;
    if (a.softcap > 0) {
      score[j] = a.softcap * std::tanh(score[j] / a.softcap);
      own_error += 8 * kEps * std::fabs(score[j]);
    }
    const double bias = a.bias ? a.bias[i * a.ld_bias + j] : 0.0f;
    const double distance = static_cast<double>(std::abs(i + a.q_offset - j));
    score[j] += bias - a.alibi_slope * distance;
    own_error += 4 * kEps * (std::fabs(score[j]) + std::fabs(bias) + a.alibi_slope * distance);
    error = std::max(error, own_error);
    largest = std::max(largest, score[j]);
  }
  double total = a.sink ? std::exp(*a.sink - largest) : 0;
  for (const double s : score) total += s == -INFINITY ? 0 : std::exp(s - largest);
  const double n = static_cast<double>(a.kv_len);
  for (int64_t j = 0; j < a.kv_len; ++j) {
    if (score[j] == -INFINITY) continue;
    const double p = std::exp(score[j] - largest) / total;
    const double relative = 2 * (2 * error + (8 + 2 * std::fabs(score[j] - largest)) * kEps);
    for (int64_t d = 0; d < a.v_dim; ++d) {
      const double product = p * a.v[j * a.ldv + d];
      e.o[d] += product;
      e.bound[d] += std::fabs(product) * (relative + (2 * n + n / 64 + 8) * kEps);
    }
  }
  return e;
}

class Attention : public test::KernelTest {
 protected:
  void check(Problem& p) {
    const AttentionF32Args& a = p.args;
    SCOPED_TRACE("q " + std::to_string(a.q_len) + " kv " + std::to_string(a.kv_len) + " d " +
                 std::to_string(a.head_dim) + " v " + std::to_string(a.v_dim));
    p.run(kernels());
    for (int64_t i = 0; i < a.q_len; ++i) {
      const Expected e = reference(a, i);
      for (int64_t d = 0; d < a.v_dim; ++d) {
        ASSERT_NEAR(a.o[i * a.ldo + d], e.o[d], e.bound[d] + 1e-37) << i << ", " << d;
      }
    }
  }
  void check(int64_t q_len, int64_t kv_len, int64_t head_dim) {
    Problem p(q_len, kv_len, head_dim, head_dim);
    check(p);
  }
};

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
       {std::pair{1, 1}, {7, 7}, {50, 50}, {260, 260}, {5, 300}, {300, 20}}) {
    for (const int64_t q_offset : {0, kv_len - q_len}) {
      Problem p(q_len, kv_len, 16, 16);
      p.args.q_offset = q_offset;
      p.args.window_right = 0;
      check(p);
      p.args.prefix_len = 10;
      check(p);
      p.args.prefix_len = 0;
      p.args.window_left = 5;
      check(p);
      p.args.window_right = 3;
      check(p);
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

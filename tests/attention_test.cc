#include <vector>

#include "tests/support/kernel_test.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::GuardedFloats;
using test::kEps;

struct Case {
  int64_t q_len, kv_len, head_dim;
  float spread;  // standard deviation of Q and K: how sharp the softmax is
};

class Attention : public test::KernelTest {
 protected:
  // One query's result and its bound in float64. The error of a score s is that of its sum of
  // products (d + 1 roundings of |q||k|) and of scaling; the exponential turns it into a relative
  // error of p, to which it adds its own few roundings; P V is again a sum of products.
  static void reference(const Case& c, const float* q, int64_t ldq, GuardedFloats& k,
                        GuardedFloats& v, float scale, std::vector<double>* o,
                        std::vector<double>* bound) {
    std::vector<double> score(c.kv_len);
    double largest = -INFINITY, score_error = 0;
    for (int64_t j = 0; j < c.kv_len; ++j) {
      double sum = 0, magnitudes = 0;
      for (int64_t d = 0; d < c.head_dim; ++d) {
        const double product = double{q[d]} * k[j * c.head_dim + d];
        sum += product;
        magnitudes += std::fabs(product);
      }
      score[j] = sum * scale;
      largest = std::max(largest, score[j]);
      score_error = std::max(score_error, test::product_bound(c.head_dim + 3, magnitudes) * scale);
    }
    (void)ldq;
    double total = 0;
    for (double& s : score) total += s = std::exp(s - largest);
    o->assign(c.head_dim, 0);
    bound->assign(c.head_dim, 0);
    for (int64_t j = 0; j < c.kv_len; ++j) {
      const double p = score[j] / total;
      // Of p: its own score's error and the maximum's, 8 roundings of the exponential, and as much
      // for the sum that divides it.
      const double relative =
          2 * (2 * score_error + (8 + std::fabs(std::log(score[j] + 1e-38))) * kEps);
      for (int64_t d = 0; d < c.head_dim; ++d) {
        const double product = p * v[j * c.head_dim + d];
        (*o)[d] += product;
        (*bound)[d] +=
            std::fabs(product) * (relative + static_cast<double>(2 * c.kv_len + 4) * kEps);
      }
    }
  }

  void check(const Case& c) {
    SCOPED_TRACE("q " + std::to_string(c.q_len) + " kv " + std::to_string(c.kv_len) + " d " +
                 std::to_string(c.head_dim));
    std::mt19937 random(static_cast<uint32_t>(c.q_len * 10007 + c.kv_len * 101 + c.head_dim));
    GuardedFloats q(c.q_len * c.head_dim), k(c.kv_len * c.head_dim), v(c.kv_len * c.head_dim);
    GuardedFloats o(c.q_len * c.head_dim);
    GuardedFloats scratch(kernels().attention_scratch_floats(c.kv_len, c.head_dim));
    fill_random(&q, &random, c.spread);
    fill_random(&k, &random, c.spread);
    fill_random(&v, &random);
    const float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    kernels().attention_f32({.q_len = c.q_len,
                             .kv_len = c.kv_len,
                             .head_dim = c.head_dim,
                             .scale = scale,
                             .q = q.data(),
                             .ldq = c.head_dim,
                             .k = k.data(),
                             .ldk = c.head_dim,
                             .v = v.data(),
                             .ldv = c.head_dim,
                             .o = o.data(),
                             .ldo = c.head_dim,
                             .scratch = scratch.data()});
    std::vector<double> expected, bound;
    for (int64_t i = 0; i < c.q_len; ++i) {
      reference(c, &q[i * c.head_dim], c.head_dim, k, v, scale, &expected, &bound);
      for (int64_t d = 0; d < c.head_dim; ++d) {
        ASSERT_NEAR(o[i * c.head_dim + d], expected[d], bound[d] + 1e-37) << i << ", " << d;
      }
    }
  }
};

// Around the strips of queries (4, 6, 8), the panels of keys (16, 48) and whole vectors (8, 16).
TEST_P(Attention, MatchesFloat64AroundBlockSizes) {
  for (const int64_t len : {1, 2, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 95, 96, 97}) {
    check({len, len, 32, 1.0f});
  }
}

TEST_P(Attention, MatchesFloat64ForAnyHeadDim) {
  for (const int64_t d : {1, 2, 3, 7, 8, 9, 15, 16, 17, 26, 33, 47, 48, 49, 64, 80, 96, 128, 256}) {
    check({11, 37, d, 1.0f});
  }
}

TEST_P(Attention, MatchesFloat64ForLongKeys) {
  check({9, 512, 32, 1.0f});
  check({3, 1025, 64, 1.0f});
  check({1, 2000, 8, 1.0f});
}

// Scores of hundreds: all but one probability underflow, and nothing overflows.
TEST_P(Attention, MatchesFloat64WhenSharp) { check({17, 70, 32, 12.0f}); }

TEST_P(Attention, QueryAndKeyLengthsDiffer) {
  check({1, 50, 32, 1.0f});
  check({50, 1, 32, 1.0f});
}

// By hand: scores 0 and ln 3 give probabilities 1/4 and 3/4.
TEST_P(Attention, WorkedExample) {
  GuardedFloats q(1), k(2), v(2), o(1), scratch(kernels().attention_scratch_floats(2, 1));
  q[0] = 1;
  k[0] = 0;
  k[1] = std::log(3.0f);
  v[0] = 4;
  v[1] = 8;
  kernels().attention_f32({.q_len = 1,
                           .kv_len = 2,
                           .head_dim = 1,
                           .scale = 1,
                           .q = q.data(),
                           .ldq = 1,
                           .k = k.data(),
                           .ldk = 1,
                           .v = v.data(),
                           .ldv = 1,
                           .o = o.data(),
                           .ldo = 1,
                           .scratch = scratch.data()});
  EXPECT_NEAR(o[0], 7.0f, 8 * 8 * kEps);
}

// A query's bits are the same alone and among others, in rows with a stride.
TEST_P(Attention, QueriesDoNotInfluenceEachOther) {
  const int64_t len = 45, d = 26, ld = 3 * d + 5;
  std::mt19937 random(4);
  GuardedFloats qkv(len * ld), all(len * d), one(d);
  GuardedFloats scratch(kernels().attention_scratch_floats(len, d));
  fill_random(&qkv, &random);
  AttentionF32Args args{.q_len = len,
                        .kv_len = len,
                        .head_dim = d,
                        .scale = 0.3f,
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
    args.o = one.data();
    kernels().attention_f32(args);
    ASSERT_EQ(0, std::memcmp(&all[i * d], one.data(), d * sizeof(float))) << i;
  }
}

TEST_P(Attention, NanInAQueryStaysInItsRow) {
  const int64_t len = 20, d = 32;
  std::mt19937 random(5);
  GuardedFloats q(len * d), k(len * d), v(len * d), o(len * d);
  GuardedFloats scratch(kernels().attention_scratch_floats(len, d));
  fill_random(&q, &random);
  fill_random(&k, &random);
  fill_random(&v, &random);
  q[9 * d + 1] = std::nanf("");
  kernels().attention_f32({.q_len = len,
                           .kv_len = len,
                           .head_dim = d,
                           .scale = 1,
                           .q = q.data(),
                           .ldq = d,
                           .k = k.data(),
                           .ldk = d,
                           .v = v.data(),
                           .ldv = d,
                           .o = o.data(),
                           .ldo = d,
                           .scratch = scratch.data()});
  for (int64_t i = 0; i < len * d; ++i) ASSERT_EQ(std::isnan(o[i]), i / d == 9) << i;
}

HEADLANE_FOR_EACH_ISA(Attention);

}  // namespace
}  // namespace headlane::kernels

// The tests of attention share these: one head's operands, its result in float64 with a bound from
// arithmetic, and the comparison.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/kernel_test.h"

namespace headlane::test {

using kernels::AttentionF32Args;

// One head's operands, ending at guard pages.
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

  void run(const kernels::Table& kernels) {
    GuardedFloats scratch(kernels.attention_scratch_floats(args.head_dim, args.v_dim));
    args.scratch = scratch.data();
    kernels.attention_f32(args);
  }

  // p [q_len, kv_len], in rows of stride ldp
  void run_probabilities(const kernels::Table& kernels, float* p, int64_t ldp) {
    GuardedFloats scratch(kernels.attention_scratch_floats(args.head_dim, args.v_dim));
    AttentionF32Args without_values = args;
    without_values.scratch = scratch.data();
    without_values.v = nullptr;
    without_values.o = nullptr;
    kernels.attention_probabilities_f32(without_values, p, ldp);
  }

  std::string name() const {
    return "q " + std::to_string(args.q_len) + " kv " + std::to_string(args.kv_len) + " d " +
           std::to_string(args.head_dim) + " v " + std::to_string(args.v_dim) + " rotary " +
           std::to_string(args.rotary_dims);
  }

  GuardedFloats q, k, v, o;
  AttentionF32Args args;
};

inline bool sees(const AttentionF32Args& a, int64_t i, int64_t j) {
  const int64_t position = i + a.q_offset;
  const bool in_window = j >= position - a.window_left && j <= position + a.window_right;
  const bool hidden_by_causal = a.causal && j > position && j >= a.prefix_len;
  const bool masked = a.mask && a.mask[i * a.ld_mask + j] == 0;
  const bool biased_away = a.bias && a.bias[i * a.ld_bias + j] <= -3.4028234e38f;
  return in_window && !hidden_by_causal && !masked && !biased_away;
}

// A value and what its terms sum to without their signs, which its rounding errors scale with.
struct Sum {
  double value = 0, magnitudes = 0;
};

// A row of Q or K at its position, into `into` [head_dim]: there are as many of them as scores, so
// they share their memory.
inline void turn(const AttentionF32Args& a, int64_t position, const float* x,
                 std::vector<Sum>* into) {
  Sum* y = into->data();
  for (int64_t c = 0; c < a.head_dim; ++c) y[c] = {x[c], std::fabs(x[c])};
  const int64_t half = a.rotary ? a.rotary_dims / 2 : 0;
  const int64_t step = a.rotary_interleaved ? 2 : 1, partner = a.rotary_interleaved ? 1 : half;
  for (int64_t c = 0; c < half; ++c) {
    const double cosine = a.rotary[position * a.rotary_dims + c];
    const double sine = a.rotary[position * a.rotary_dims + half + c];
    const double first = x[c * step], second = x[c * step + partner];
    y[c * step] = {first * cosine - second * sine,
                   std::fabs(first * cosine) + std::fabs(second * sine)};
    y[c * step + partner] = {second * cosine + first * sine,
                             std::fabs(second * cosine) + std::fabs(first * sine)};
  }
}

// The roundings of a computation in narrower numbers beside those of float32: relative errors of
// turned elements of Q and K, of each exponential, of P where it meets V, and of O. Scores are
// exact where the operands see to it that no product, sum or bias of them is rounded.
struct Roundings {
  double turned = 0, exponential = 0, p = 0, o = 0;
  bool exact_scores = false;
};

// The score before scaling, and what it may be wrong by: a sum of head_dim products. A turned
// element has 2 roundings of its terms, so a product of two has 4 more. tanh has 8 (math-inl.h: 6
// at most), and its argument one, which tanh never enlarges.
inline Sum score_of(const AttentionF32Args& a, const Sum* q, const Sum* k,
                    const Roundings& roundings) {
  Sum sum;
  for (int64_t d = 0; d < a.head_dim; ++d) {
    if (a.additive) {
      const double term = a.additive[d] * std::tanh(q[d].value + k[d].value);
      sum.value += term;
      sum.magnitudes += std::fabs(term);
    } else {
      sum.value += q[d].value * k[d].value;
      sum.magnitudes += q[d].magnitudes * k[d].magnitudes;
    }
  }
  const int64_t more = (a.additive ? 9 : 0) + (a.rotary ? 4 : 0);
  const double own = a.rotary ? roundings.turned * (2 + roundings.turned) * sum.magnitudes : 0;
  return {sum.value, product_bound(a.head_dim + 3 + more, sum.magnitudes) + own};
}

struct Expected {
  std::vector<double> o, bound;
  std::vector<double> p, p_bound;
};

// One query's result and its bound in float64. The error of a score is that of its sum of products
// (head_dim + 1 roundings of |q||k|), of scaling, capping (8 roundings) and the biases; the
// exponential turns it into a relative error of p, to which it adds its own few roundings and those
// of its argument; the sum of a row's n exponentials has n more. P V is again a sum of products,
// and the sums are rescaled at most once a block of keys.
inline Expected reference(const AttentionF32Args& a, int64_t i, const Roundings& roundings = {}) {
  Expected e{std::vector<double>(a.v_dim), std::vector<double>(a.v_dim),
             std::vector<double>(a.kv_len), std::vector<double>(a.kv_len)};
  std::vector<double> score(a.kv_len, -INFINITY);
  std::vector<Sum> q(a.head_dim), k(a.head_dim);
  turn(a, i + a.q_position, a.q + i * a.ldq, &q);
  double largest = a.sink ? *a.sink : -INFINITY, error = 0;
  for (int64_t j = 0; j < a.kv_len; ++j) {
    if (!sees(a, i, j)) continue;
    turn(a, j + a.k_position, a.k + j * a.ldk, &k);
    const Sum sum = score_of(a, q.data(), k.data(), roundings);
    score[j] = sum.value * a.scale;
    double own_error = roundings.exact_scores ? 0 : sum.magnitudes * a.scale;
    if (a.softcap > 0) {
      score[j] = a.softcap * std::tanh(score[j] / a.softcap);
      own_error += 8 * kEps * std::fabs(score[j]);
    }
    const int64_t distance = j - (i + a.q_offset);
    const double bias = a.bias ? a.bias[i * a.ld_bias + j] : 0.0f;
    const double relative = a.relative_bias ? a.relative_bias[distance] : 0.0f;
    const double alibi = a.alibi_slope * static_cast<double>(std::abs(distance));
    score[j] += bias + relative - alibi;
    if (!roundings.exact_scores) {
      own_error += (a.relative_bias ? 5 : 4) * kEps *
                   (std::fabs(score[j]) + std::fabs(bias) + std::fabs(relative) + std::fabs(alibi));
    }
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
    e.p[j] = p;
    e.p_bound[j] = p * (relative + (n + 8) * kEps);
    for (int64_t d = 0; d < a.v_dim; ++d) {
      const double product = p * a.v[j * a.ldv + d];
      e.o[d] += product;
      e.bound[d] += std::fabs(product) * (relative + (2 * n + n / 64 + 8) * kEps +
                                          2 * roundings.exponential + roundings.p);
    }
  }
  for (int64_t d = 0; d < a.v_dim; ++d) {
    e.bound[d] += roundings.o * (std::fabs(e.o[d]) + e.bound[d]);
  }
  return e;
}

constexpr double kLeastNormal = 1e-37;  // what is below may be 0

class AttentionTest : public KernelTest {
 protected:
  void check(Problem& p) {
    SCOPED_TRACE(p.name());
    const AttentionF32Args& a = p.args;
    p.run(kernels());
    for (int64_t i = 0; i < a.q_len; ++i) {
      const Expected e = reference(a, i);
      for (int64_t d = 0; d < a.v_dim; ++d) {
        ASSERT_NEAR(a.o[i * a.ldo + d], e.o[d], e.bound[d] + kLeastNormal) << i << ", " << d;
      }
    }
  }
  void check(int64_t q_len, int64_t kv_len, int64_t head_dim) {
    Problem p(q_len, kv_len, head_dim, head_dim);
    check(p);
  }
};

}  // namespace headlane::test

// Norms, gates, sums, activations, tables of words, pooling and the best of a row of logits.
#include <algorithm>
#include <numeric>
#include <vector>

#include "tests/fuzz/rows.h"
#include "tests/support/activated.h"
#include "tests/support/bounded.h"

namespace headlane::fuzz {
namespace {

using kernels::Activation;
using test::Bounded;
using test::Guarded;
using test::GuardedFloats;
using test::kEps;

bool all_finite(const std::vector<Bounded>& row) {
  return std::all_of(row.begin(), row.end(),
                     [](const Bounded& x) { return std::isfinite(x.value); });
}

// A row with a number that is none is none in all of its columns.
void check_row(const Place& place, const float* actual, const std::vector<Bounded>& expected,
               bool finite) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (finite) {
      check_near(place, actual[i], expected[i].value, expected[i].error * 1.001 + 1e-37);
    } else if (std::isfinite(actual[i]) && actual[i] != 0) {
      finding(place.kernel, "a row with NaN or infinity has a number");
    }
  }
}

std::vector<Bounded> rms_norm(const std::vector<Bounded>& x, const float* gamma, double eps) {
  const auto d = static_cast<int64_t>(x.size());
  const Bounded squares = test::dot(d, x.data(), 1, x.data(), 1, 0);
  const Bounded root =
      test::sqrt(squares / Bounded(static_cast<double>(d)) + Bounded(static_cast<double>(eps)));
  std::vector<Bounded> y;
  for (int64_t i = 0; i < d; ++i) {
    // The library multiplies by the inverse: one rounding more.
    const Bounded quotient = x[i] / root * Bounded(gamma[i]);
    y.emplace_back(quotient.value, quotient.error + 2 * kEps * std::fabs(quotient.value));
  }
  return y;
}

void compare_norms(Problems* problems) {
  const int64_t rows = problems->size(4), d = problems->size(400);
  const bool rms = problems->flag(), has_residual = problems->flag();
  GuardedFloats x(rows * d), residual(rows * d), gamma(d), beta(d);
  problems->fill(&x, true);
  for (GuardedFloats* buffer : {&residual, &gamma, &beta}) problems->fill(buffer, false);
  const float eps = 1e-5f;
  for (const kernels::Table* table : rows_to_compare()) {
    GuardedFloats y(rows * d);
    (rms ? table->rms_norm_f32
         : table->layer_norm_f32)({.rows = rows,
                                   .d = d,
                                   .x = x.data(),
                                   .ldx = d,
                                   .residual = has_residual ? residual.data() : nullptr,
                                   .ld_residual = d,
                                   .gamma = gamma.data(),
                                   .beta = rms ? nullptr : beta.data(),
                                   .eps = eps,
                                   .y = y.data(),
                                   .ldy = d});
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<Bounded> row;
      for (int64_t i = 0; i < d; ++i) {
        const Bounded value = double{x[r * d + i]};
        row.push_back(has_residual ? value + Bounded(double{residual[r * d + i]}) : value);
      }
      const bool finite = all_finite(row);
      const auto expected = rms ? rms_norm(row, gamma.data(), eps)
                                : test::layer_norm(row, gamma.data(), beta.data(), eps);
      check_row({*table, rms ? "rms_norm_f32" : "layer_norm_f32"}, &y[r * d], expected, finite);
    }
  }
}

void compare_gate(Problems* problems) {
  const int64_t rows = problems->size(4), d = problems->size(200);
  const Activation activation = problems->activation();
  GuardedFloats x(rows * 2 * d);
  problems->fill(&x, true);
  for (const kernels::Table* table : rows_to_compare()) {
    GuardedFloats y(rows * d);
    table->gate_f32({.rows = rows,
                     .d = d,
                     .activation = activation,
                     .x = x.data(),
                     .ldx = 2 * d,
                     .y = y.data(),
                     .ldy = d});
    for (int64_t i = 0; i < rows * d; ++i) {
      const double gated = x[i / d * 2 * d + i % d], factor = x[i / d * 2 * d + d + i % d];
      if (!std::isfinite(gated) || !std::isfinite(factor)) {
        if (std::isnan(gated + factor) && !std::isnan(y[i]) && std::isnan(gated * factor)) {
          finding("gate_f32", "a NaN does not show");
        }
        continue;
      }
      check_near({*table, "gate_f32"}, y[i], test::activated(activation, gated) * factor,
                 5.001 * kEps * std::fabs(gated * factor) + 1e-37);
    }
  }
}

// One rounding: the same bits from all.
void compare_add(Problems* problems) {
  const int64_t rows = problems->size(4), d = problems->size(300);
  GuardedFloats a(rows * d), b(rows * d);
  problems->fill(&a, true);
  problems->fill(&b, true);
  const bool in_place = problems->flag();
  for (const kernels::Table* table : rows_to_compare()) {
    GuardedFloats y(rows * d);
    if (in_place) std::copy_n(a.data(), rows * d, y.data());
    table->add_f32({.rows = rows,
                    .d = d,
                    .a = in_place ? y.data() : a.data(),
                    .lda = d,
                    .b = b.data(),
                    .ldb = d,
                    .y = y.data(),
                    .ldy = d});
    for (int64_t i = 0; i < rows * d; ++i) check_bits({*table, "add_f32"}, y[i], a[i] + b[i]);
  }
}

void compare_activations(Problems* problems) {
  const int64_t n = problems->size(400);
  const Activation activation = problems->activation();
  GuardedFloats x(n);
  problems->fill(&x, true);
  for (const kernels::Table* table : rows_to_compare()) {
    GuardedFloats y(n);
    table->activate_f32(activation, n, x.data(), y.data());
    for (int64_t i = 0; i < n; ++i) {
      const Place place{*table, "activate_f32"};
      if (std::isfinite(x[i])) {
        check_near(place, y[i], test::activated(activation, x[i]),
                   4 * kEps * std::fabs(x[i]) + 1e-37);
      } else if (std::isnan(x[i]) || x[i] > 0) {
        check_near(place, y[i], x[i], 0);
      } else if (std::isfinite(y[i]) != (activation == Activation::kRelu)) {
        finding("activate_f32", "of -inf");
      }
    }
  }
}

// Sums of at most three, in one order: the same bits from all.
void compare_embed(Problems* problems) {
  constexpr int64_t kTable = 7;
  const int64_t rows = problems->size(9), d = problems->size(300);
  GuardedFloats word(kTable * d), position(kTable * d), type(kTable * d), scales(kTable);
  for (GuardedFloats* buffer : {&word, &position, &type, &scales}) problems->fill(buffer, true);
  Guarded<kernels::Bf16> word_bf16(kTable * d);
  Guarded<int8_t> word_s8(kTable * d);
  for (int64_t i = 0; i < word.size(); ++i) {
    word_bf16[i] = test::nearest_bf16(word[i]);
    word_s8[i] = static_cast<int8_t>(problems->random().next());
  }
  Guarded<int32_t> ids(rows), positions(rows), types(rows);
  for (auto* list : {&ids, &positions, &types}) {
    for (int64_t i = 0; i < rows; ++i) {
      (*list)[i] = static_cast<int32_t>(problems->random().below(kTable));
    }
  }
  kernels::EmbedF32Args args;
  args.rows = rows;
  args.d = d;
  args.ids = ids.data();
  const int64_t stored = problems->from(0, 2);
  args.word_format = static_cast<kernels::Format>(stored);
  const void* const words[] = {word.data(), word_bf16.data(), word_s8.data()};
  args.word = words[stored];
  args.word_scale = scales.data();
  args.scale = problems->flag() ? 22.62741661f : 1.0f;
  args.positions = positions.data();
  if (problems->flag()) args.position = position.data();
  if (problems->flag()) args.types = types.data();
  if (problems->flag()) args.type = type.data();
  GuardedFloats results[] = {GuardedFloats(rows * d), GuardedFloats(rows * d)};
  for (size_t t = 0; t < 2; ++t) {
    args.y = results[t].data();
    args.ldy = d;
    rows_to_compare()[t]->embed_f32(args);
  }
  for (int64_t i = 0; i < rows * d; ++i) {
    check_bits({*rows_to_compare()[1], "embed_f32"}, results[1][i], results[0][i]);
  }
}

void compare_pool(Problems* problems) {
  const int64_t rows = problems->size(30), d = problems->size(300);
  const auto pooling = static_cast<kernels::Pooling>(problems->from(0, 4));
  const int64_t place = problems->size(1000);
  const bool normalize = problems->flag();
  GuardedFloats x(rows * d);
  problems->fill(&x, true);
  std::vector<Bounded> pooled;
  // Each row has one, and their sum is divided by this.
  std::vector<double> weights(static_cast<size_t>(rows), 1.0);
  if (pooling == kernels::Pooling::kWeightedMean) {
    std::iota(weights.begin(), weights.end(), static_cast<double>(place + 1));
  }
  double divisor = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (pooling == kernels::Pooling::kMeanSqrtLen) divisor = std::sqrt(divisor);
  bool finite = true;
  for (int64_t c = 0; c < d; ++c) {
    Bounded value = double{x[c]};
    if (pooling != kernels::Pooling::kCls && pooling != kernels::Pooling::kMax) {
      value = test::dot(rows, &x[c], d, weights.data(), 1, 0) / Bounded(divisor);
      // By the inverse, and by the divisor's own rounding and its root's.
      value.error += 3 * kEps * std::fabs(value.value);
    }
    for (int64_t r = 0; r < rows; ++r) {
      const double other = x[r * d + c];
      if (pooling == kernels::Pooling::kCls && r > 0) break;
      finite = finite && std::isfinite(other);
      if (pooling == kernels::Pooling::kMax && other > value.value) value = other;
    }
    pooled.push_back(value);
  }
  if (normalize) {
    const Bounded length = test::sqrt(test::dot(d, pooled.data(), 1, pooled.data(), 1, 0));
    for (Bounded& value : pooled) {
      value = value / length;
      value.error += 2 * kEps * std::fabs(value.value);
    }
  }
  for (const kernels::Table* table : rows_to_compare()) {
    GuardedFloats y(d);
    table->pool_f32({.pooling = pooling,
                     .normalize = normalize,
                     .rows = rows,
                     .d = d,
                     .place = place,
                     .x = x.data(),
                     .ldx = d,
                     .y = y.data()});
    if (!finite) continue;
    check_row({*table, "pool_f32"}, y.data(), pooled, finite);
  }
}

void compare_top_k(Problems* problems) {
  const int64_t rows = problems->size(3), n = problems->size(400), k = problems->size(20);
  const int64_t part = problems->size(n);
  const bool ties = problems->flag();
  GuardedFloats x(rows * n);
  problems->fill(&x, true);
  for (int64_t i = 0; ties && i < x.size(); ++i) x[i] = std::round(x[i]);
  for (const kernels::Table* table : rows_to_compare()) {
    Guarded<kernels::TopK> top(rows);
    Guarded<kernels::Candidate> best(rows * k);
    for (int64_t first = 0; first < n; first += part) {
      table->top_k_f32({.rows = rows,
                        .n = std::min(part, n - first),
                        .first_id = first,
                        .x = x.data() + first,
                        .ldx = n,
                        .k = k,
                        .top = top.data(),
                        .ld_top = 1,
                        .best = best.data(),
                        .ld_best = k,
                        .begin = first == 0});
    }
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = &x[r * n];
      std::vector<int32_t> order;
      for (int32_t i = 0; i < n; ++i) {
        if (!std::isnan(row[i]) && row[i] != -INFINITY) order.push_back(i);
      }
      std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return row[a] > row[b]; });
      for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
        const kernels::Candidate& candidate = best[r * k + static_cast<int64_t>(i)];
        if (candidate.id != (i < order.size() ? order[i] : -1)) {
          finding("top_k_f32", "another candidate");
        }
      }
      const bool odd =
          std::any_of(row, row + n, [](float v) { return std::isnan(v) || v == INFINITY; });
      if (odd != std::isnan(top[r].sum)) finding("top_k_f32", "a NaN in the sum, or none");
      if (odd || order.empty()) continue;
      // As in top_k_test.cc.
      const double calls = static_cast<double>((n + part - 1) / part);
      double sum = 0, error = 0;
      for (const int32_t i : order) {
        const double below = double{row[order[0]]} - row[i], e = std::exp(-below);
        sum += e;
        error += e * (8 + 3 * below + 10 * calls + static_cast<double>(n)) * kEps;
      }
      check_near({*table, "top_k_f32"}, top[r].sum, sum,
                 error * 1.001 + static_cast<double>(n) * 1.2e-38);
    }
  }
}

constexpr Row kRows[] = {
    {"layer_norm_f32 rms_norm_f32", compare_norms},
    {"gate_f32", compare_gate},
    {"add_f32", compare_add},
    {"activate_f32", compare_activations},
    {"embed_f32", compare_embed},
    {"pool_f32", compare_pool},
    {"top_k_f32", compare_top_k},
};

}  // namespace

std::span<const Row> other_rows() { return kRows; }

}  // namespace headlane::fuzz

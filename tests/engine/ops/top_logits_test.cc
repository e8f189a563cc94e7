// The vocabulary in ranges: what TopLogits leaves of each, put together, against all logits.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/ops/ops.h"
#include "tests/support/narrow.h"

namespace headlane {
namespace {

using kernels::Candidate;
using kernels::TopK;
using test::NarrowRows;

// On, one below and one above the columns of a panel, of a tile and of a range, and of all tables
// some.
constexpr int64_t kVocabularies[] = {1, 47, 48, 49, 191, 193, 767, 768, 769, 1537, 5000};
constexpr int64_t kDepth = 21;

// A product of random numbers, and all of its logits by one multiplication.
class Product {
 public:
  Product(const kernels::Table& kernels, Precision precision, int64_t n, int64_t rows)
      : n(n), rows(rows), input_(kind_of(precision).a, rows, kDepth) {
    std::mt19937 random(static_cast<uint32_t>(n * 131 + rows));
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>* values, int64_t size) {
      values->resize(static_cast<size_t>(size));
      for (float& value : *values) value = normal(random);
    };
    fill(&weight_, n * kDepth);
    fill(&bias_, n);
    std::vector<float> x;
    fill(&x, rows * kDepth);
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = &x[static_cast<size_t>(r * kDepth)];
      if (precision == Precision::kF32) {
        std::copy_n(row, kDepth, input_.row(r));
      } else {
        kernels.convert({.rows = 1,
                         .cols = kDepth,
                         .from = Element::kF32,
                         .to = input_.element(),
                         .x = row,
                         .ldx = kDepth,
                         .y = input_.row(r),
                         .ldy = input_.ld()});
      }
    }
    PackedWeight weight;
    weight.name = "logits";
    weight.n = n;
    weight.k = kDepth;
    weight.rows = {kernels::Format::kF32, weight_.data(), nullptr};
    weight.bias = bias_.data();
    weight.precision = precision;
    packed = weights_.add(std::move(weight));
    Team team(1);
    weights_.pack(kernels, nullptr, &team);
    const int64_t ld = kernels::padded_stride(n);
    Buffer c(static_cast<size_t>(rows * ld) * sizeof(float));
    const View to = {static_cast<float*>(c.data()), ld};
    multiply(kernels, view_of(*packed), {0, kernels.product(precision).n_panels(n)}, rows, view(),
             Element::kF32, to);
    for (int64_t r = 0; r < rows; ++r) {
      logits.insert(logits.end(), to.data + r * ld, to.data + r * ld + n);
    }
  }
  View view() { return {input_.row(0), input_.ld()}; }

  int64_t n, rows;
  const PackedWeight* packed = nullptr;
  std::vector<float> logits;  // [rows, n]

 private:
  std::vector<float> weight_, bias_;
  NarrowRows input_;
  PackedWeights weights_;
};

// The results that the tasks of one run leave; all of it is full of NaN before.
struct Ranked {
  Ranked(const kernels::Table& kernels, Product* product, int64_t k, bool wants_all,
         const std::span<const int32_t>* masked)
      : k(k),
        n_ranges(TopLogits::n_ranges(kernels, product->packed->precision, product->n)),
        top(product->rows * n_ranges),
        best(product->rows * n_ranges * k),
        all(wants_all ? product->rows * product->n : 0),
        named_logits(product->rows) {
    const TopLogits op(product->packed);
    DecodeStep step;
    std::vector<int64_t> rows(product->rows);
    std::iota(rows.begin(), rows.end(), 0);
    // For some rows neither all logits nor a named one is wanted.
    std::vector<float*> all_of(product->rows);
    for (int64_t r = 0; r < product->rows; ++r) {
      all_of[r] = wants_all && r % 4 != 3 ? &all[r * product->n] : nullptr;
      named.push_back(r % 3 == 2 ? -1 : static_cast<int32_t>((r * 97 + k * 31) % product->n));
    }
    LogitsTarget& to = step.logits;
    to.k = k;
    to.top = top.data();
    to.best = best.data();
    to.all = wants_all ? all_of.data() : nullptr;
    to.named = named.data();
    to.named_logits = named_logits.data();
    to.masked = masked;
    to.n_rows = product->rows;
    to.rows = rows.data();
    Run run;
    run.kernels = &kernels;
    run.n_tokens = product->rows;
    run.step = &step;
    Limits limits;
    limits.max_seqs = product->rows;
    const auto floats = static_cast<size_t>(op.scratch_floats(kernels, limits));
    const View input = product->view();
    EXPECT_EQ(op.n_tasks(run), k > 0 || wants_all ? n_ranges : 0);
    for (int64_t task = op.n_tasks(run); task-- > 0;) {  // they are independent
      Buffer scratch(floats * sizeof(float));
      std::fill_n(static_cast<float*>(scratch.data()), floats, NAN);
      op.run_task(run, task, {&input, 1}, {}, static_cast<float*>(scratch.data()));
    }
  }

  // The best of all ranges' of a row.
  std::vector<Candidate> best_of(int64_t row) {
    std::vector<Candidate> result;
    for (int64_t i = 0; i < n_ranges * k; ++i) {
      const Candidate& candidate = best[row * n_ranges * k + i];
      if (candidate.id >= 0) result.push_back(candidate);
    }
    std::stable_sort(result.begin(), result.end(), [](const Candidate& a, const Candidate& b) {
      return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    });
    if (static_cast<int64_t>(result.size()) > k) result.resize(static_cast<size_t>(k));
    return result;
  }
  // The sum of all exponentials of a row, below its largest.
  double sum_of(int64_t row, float* largest) {
    *largest = -HUGE_VALF;
    for (int64_t i = 0; i < n_ranges; ++i) {
      *largest = std::max(*largest, top[row * n_ranges + i].largest);
    }
    double sum = 0;
    for (int64_t i = 0; i < n_ranges; ++i) {
      const TopK& of_range = top[row * n_ranges + i];
      if (of_range.largest == -HUGE_VALF) continue;
      sum += of_range.sum * std::exp(double{of_range.largest} - *largest);
    }
    return sum;
  }

  int64_t k, n_ranges;
  test::Guarded<TopK> top;
  test::Guarded<Candidate> best;
  test::Guarded<float> all;
  std::vector<int32_t> named;
  test::Guarded<float> named_logits;
};

class TopLogitsOp : public test::KernelTest {
 protected:
  void check(Product* product, Ranked* ranked, const std::vector<int32_t>& masked) const;
};

// Candidates and logits are those of one product, bit for bit; the sum is off as in
// tests/kernels/top_k_test.cc, ten roundings for each time that a tile's columns are looked at.
void TopLogitsOp::check(Product* product, Ranked* ranked,
                        const std::vector<int32_t>& masked) const {
  const int64_t n = product->n;
  for (int64_t row = 0; row < product->rows; ++row) {
    std::vector<float> logits(product->logits.begin() + row * n,
                              product->logits.begin() + (row + 1) * n);
    if (ranked->all.size() > 0 && row % 4 == 3) {
      ASSERT_TRUE(std::isnan(ranked->all[row * n])) << row;
    } else if (ranked->all.size() > 0) {
      ASSERT_EQ(0, std::memcmp(&ranked->all[row * n], logits.data(), logits.size() * 4)) << row;
    }
    const int32_t named = ranked->named[static_cast<size_t>(row)];
    if (named < 0 || (ranked->k == 0 && ranked->all.size() == 0)) {
      ASSERT_TRUE(std::isnan(ranked->named_logits[row])) << row;
    } else {
      ASSERT_EQ(ranked->named_logits[row], logits[static_cast<size_t>(named)]) << row;
    }
    if (ranked->k == 0) continue;
    for (const int32_t id : masked) logits[static_cast<size_t>(id)] = -HUGE_VALF;
    std::vector<Candidate> expected;
    for (int32_t id = 0; id < n; ++id) {
      const float logit = logits[static_cast<size_t>(id)];
      if (logit > -HUGE_VALF) expected.push_back({logit, id});
    }
    std::stable_sort(expected.begin(), expected.end(),
                     [](const Candidate& a, const Candidate& b) { return a.logit > b.logit; });
    float largest = 0;
    const double sum = ranked->sum_of(row, &largest);
    double expected_sum = 0, error = 0;
    const int64_t n_tiles = n / 48 + 1;
    for (const Candidate& candidate : expected) {
      const double below = double{expected[0].logit} - candidate.logit, e = std::exp(-below);
      expected_sum += e;
      error += e * (8 + 3 * below + 10.0 * static_cast<double>(n_tiles) + static_cast<double>(n)) *
               test::kEps;
    }
    ASSERT_NEAR(sum, expected_sum, error) << row;
    ASSERT_EQ(largest, expected.empty() ? -HUGE_VALF : expected[0].logit) << row;
    if (static_cast<int64_t>(expected.size()) > ranked->k) {
      expected.resize(static_cast<size_t>(ranked->k));
    }
    const std::vector<Candidate> best = ranked->best_of(row);
    ASSERT_EQ(best.size(), expected.size()) << row;
    for (size_t i = 0; i < best.size(); ++i) {
      ASSERT_EQ(best[i].id, expected[i].id) << row << ", " << i;
      ASSERT_EQ(best[i].logit, expected[i].logit) << row << ", " << i;
    }
  }
}

TEST_P(TopLogitsOp, RangesTogetherAreTheVocabulary) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kInt8}) {
    for (const int64_t n : kVocabularies) {
      for (const int64_t rows : {1, 5}) {
        SCOPED_TRACE(testing::Message() << name_of(precision) << ", " << n << " x " << rows);
        Product product(kernels(), precision, n, rows);
        for (const int64_t k : {0, 1, 4, 70}) {
          for (const bool wants_all : {false, true}) {
            Ranked ranked(kernels(), &product, k, wants_all, nullptr);
            check(&product, &ranked, {});
          }
        }
      }
    }
  }
}

// Beyond 128 rows each tile is looked at for some rows after the others.
TEST_P(TopLogitsOp, ManyRows) {
  for (const int64_t rows : {127, 128, 129, 300}) {
    Product product(kernels(), Precision::kF32, 769, rows);
    Ranked ranked(kernels(), &product, 3, true, nullptr);
    check(&product, &ranked, {});
  }
}

// Masked ids are no candidates and no part of the sum, though they are in the logits: at the ends
// of ranges, all of a range, and all there are.
TEST_P(TopLogitsOp, MaskedIds) {
  constexpr int64_t kRows = 3;
  for (const int64_t n : {1, 48, 769, 1537}) {
    Product product(kernels(), Precision::kF32, n, kRows);
    std::vector<std::vector<int32_t>> masks = {{0, static_cast<int32_t>(n - 1)}, {}, {}};
    for (int32_t id = 0; id < n; ++id) {
      if (id < 768) masks[1].push_back(id);
      masks[2].push_back(id);
    }
    for (const std::vector<int32_t>& mask : masks) {
      const std::vector<std::span<const int32_t>> of_rows(kRows, mask);
      for (const int64_t k : {1, 5}) {
        SCOPED_TRACE(testing::Message() << n << ", " << mask.size() << " masked, " << k);
        Ranked ranked(kernels(), &product, k, true, of_rows.data());
        check(&product, &ranked, mask);
      }
    }
  }
}

HEADLANE_FOR_EACH_NARROW_ISA(TopLogitsOp);

}  // namespace
}  // namespace headlane

#include <algorithm>
#include <numeric>
#include <vector>

#include "tests/support/kernel_test.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::Guarded;
using test::GuardedFloats;
using test::kEps;

// The summaries of some rows, between guard pages, with gaps between the rows.
struct Kept {
  Kept(int64_t n_rows, int64_t n_best)
      : rows(n_rows), k(n_best), top(3 * rows - 2), best(rows * (k + 1) - 1) {}
  void set(TopKF32Args* args) {
    args->rows = rows;
    args->k = k;
    args->top = top.data();
    args->ld_top = 3;
    args->best = best.data();
    args->ld_best = k + 1;
  }
  bool same_row(int64_t r, Kept* other, int64_t other_r) {
    return std::memcmp(&top[3 * r], &other->top[3 * other_r], sizeof(TopK)) == 0 &&
           std::memcmp(&best[r * (k + 1)], &other->best[other_r * (k + 1)],
                       static_cast<size_t>(k) * sizeof(Candidate)) == 0;
  }
  int64_t rows, k;
  Guarded<TopK> top;
  Guarded<Candidate> best;
};

constexpr int64_t kFirstId = 1000;

class TopKKernel : public test::KernelTest {
 protected:
  // Gives the kernel x [rows, n] in parts of `part` columns, each copied to the end of a page.
  void run(GuardedFloats& x, int64_t n, int64_t part, Kept* kept) {
    for (int64_t first = 0; first == 0 || first < n; first += part) {
      const int64_t width = std::min(part, n - first), ldx = width + 2;
      GuardedFloats columns(std::max<int64_t>(0, kept->rows * ldx - 2));
      for (int64_t r = 0; r < kept->rows; ++r) {
        for (int64_t i = 0; i < width; ++i) columns[r * ldx + i] = x[r * n + first + i];
      }
      TopKF32Args args{.n = width,
                       .first_id = kFirstId + first,
                       .x = columns.data(),
                       .ldx = ldx,
                       .begin = first == 0};
      kept->set(&args);
      kernels().top_k_f32(args);
    }
  }

  // The candidates are exact. Of the sum, each exponential has (8 + 3 |x - largest|) roundings: its
  // own, and those of its argument and of the factors that stand for parts of it where the largest
  // grew, of which each call has one with 8 roundings more; the sum has those of n additions.
  void check(const float* x, int64_t n, int64_t part, Kept* kept, int64_t r) {
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return x[a] > x[b]; });
    const Candidate* best = &kept->best[r * (kept->k + 1)];
    for (int64_t i = 0; i < kept->k; ++i) {
      const bool there = i < n;
      ASSERT_EQ(best[i].id, there ? kFirstId + order[i] : -1) << r << ", " << i;
      ASSERT_EQ(best[i].logit, there ? x[order[i]] : -INFINITY) << r << ", " << i;
    }
    const TopK& top = kept->top[3 * r];
    ASSERT_EQ(top.largest, x[order[0]]);
    const int64_t n_calls = (n + part - 1) / part;
    const double calls = static_cast<double>(n_calls);
    double sum = 0, error = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double below = double{top.largest} - x[i], e = std::exp(-below);
      sum += e;
      error += e * (8 + 3 * below + 10 * calls + static_cast<double>(n)) * kEps;
    }
    ASSERT_NEAR(top.sum, sum, error * 1.001 + static_cast<double>(n) * 1.2e-38) << r;
  }

  void check(int64_t n, int64_t k, int64_t part, float spread, bool ties) {
    SCOPED_TRACE("n " + std::to_string(n) + " k " + std::to_string(k) + " in parts of " +
                 std::to_string(part));
    const int64_t rows = 3;
    std::mt19937 random(static_cast<uint32_t>(n * 131 + k));
    GuardedFloats x(rows * n);
    fill_random(&x, &random, spread);
    for (int64_t i = 0; ties && i < x.size(); ++i) x[i] = std::round(x[i]);
    Kept kept(rows, k);
    run(x, n, part, &kept);
    for (int64_t r = 0; r < rows; ++r) check(&x[r * n], n, part, &kept, r);
  }
};

// Around vectors (8, 16), and what is compared at once (64, 128).
TEST_P(TopKKernel, MatchesASort) {
  for (const int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 1000}) {
    for (const int64_t k : {1, 2, 5, 8, 40}) {
      check(n, k, n, 1.0f, false);
      check(n, k, n, 2.0f, true);
      check(n, k, 70, 30.0f, false);
      check(n, k, 128, 2.0f, true);
    }
  }
}

// Sorted either way: every column is better than all before, or none is; and the largest is in
// every call's columns, or in the first's alone.
TEST_P(TopKKernel, MatchesASortOfSortedColumns) {
  const int64_t n = 500;
  for (const float step : {0.25f, -0.25f}) {
    for (const int64_t k : {1, 8}) {
      GuardedFloats x(n);
      for (int64_t i = 0; i < n; ++i) x[i] = step * static_cast<float>(i);
      Kept kept(1, k);
      run(x, n, 96, &kept);
      check(x.data(), n, 96, &kept, 0);
    }
  }
}

// By hand: exponentials of ln 1, ln 2 and ln 5, over the largest of them.
TEST_P(TopKKernel, WorkedExample) {
  GuardedFloats x(3);
  x[0] = std::log(2.0f), x[1] = 0.0f, x[2] = std::log(5.0f);
  Kept kept(1, 2);
  run(x, 3, 3, &kept);
  EXPECT_NEAR(kept.top[0].sum, 1.6, 1.6 * 16 * kEps);
  EXPECT_EQ(kept.best[0].id, kFirstId + 2);
  EXPECT_EQ(kept.best[1].id, kFirstId);
}

TEST_P(TopKKernel, ARowDependsOnItselfAlone) {
  const int64_t rows = 5, n = 300;
  std::mt19937 random(3);
  GuardedFloats x(rows * n);
  fill_random(&x, &random, 4.0f);
  Kept together(rows, 4);
  run(x, n, 100, &together);
  for (int64_t r = 0; r < rows; ++r) {
    GuardedFloats row(n);
    for (int64_t i = 0; i < n; ++i) row[i] = x[r * n + i];
    Kept alone(1, 4);
    run(row, n, 100, &alone);
    EXPECT_TRUE(together.same_row(r, &alone, 0)) << r;
  }
}

// A column of -inf is as if it were not there, whatever comes before and after it.
TEST_P(TopKKernel, MinusInfinityIsNeverACandidate) {
  const int64_t n = 40;
  GuardedFloats x(n);
  for (int64_t i = 0; i < n; ++i) x[i] = i == 20 || i == 35 ? 1.5f : -INFINITY;
  for (const int64_t part : {40, 10}) {
    Kept kept(1, 3);
    run(x, n, part, &kept);
    EXPECT_EQ(kept.best[0].id, kFirstId + 20);
    EXPECT_EQ(kept.best[1].id, kFirstId + 35);
    EXPECT_EQ(kept.best[2].id, -1);
    EXPECT_EQ(kept.best[2].logit, -INFINITY);
    EXPECT_EQ(kept.top[0].largest, 1.5f);
    EXPECT_NEAR(kept.top[0].sum, 2.0f, 2 * 8 * kEps);
  }
  x[20] = x[35] = -INFINITY;
  Kept kept(1, 3);
  run(x, n, 10, &kept);
  EXPECT_EQ(kept.best[0].id, -1);
  EXPECT_EQ(kept.top[0].largest, -INFINITY);
  EXPECT_EQ(kept.top[0].sum, 0.0f);
}

// NaN is no candidate either, hides no other, and shows in its own row's sum.
TEST_P(TopKKernel, NanAndInfinityShowInTheSum) {
  const int64_t n = 150;
  for (const int64_t at : {0, 7, 8, 100, 149}) {
    for (const float wrong : {std::nanf(""), INFINITY}) {
      GuardedFloats x(2 * n);
      for (int64_t i = 0; i < 2 * n; ++i) x[i] = static_cast<float>(i % 7);
      x[at] = wrong;
      Kept kept(2, 2);
      run(x, n, 64, &kept);
      EXPECT_TRUE(std::isnan(kept.top[0].sum));
      EXPECT_FALSE(std::isnan(kept.top[3].sum));
      const bool nan = std::isnan(wrong);
      EXPECT_EQ(kept.best[0].logit, nan ? 6.0f : INFINITY);
      EXPECT_EQ(kept.best[0].id, nan ? kFirstId + 6 : kFirstId + at);
      EXPECT_EQ(kept.best[1].logit, 6.0f);
    }
  }
}

TEST_P(TopKKernel, NoRowsAndNoColumns) {
  GuardedFloats none(0);
  TopKF32Args args{.n = 5, .x = none.data(), .ldx = 5, .k = 2, .begin = true};
  kernels().top_k_f32(args);
  Kept kept(1, 2);
  args.n = 0;
  kept.set(&args);
  kernels().top_k_f32(args);
  EXPECT_EQ(kept.best[0].id, -1);
  EXPECT_EQ(kept.best[1].id, -1);
  EXPECT_EQ(kept.top[0].sum, 0.0f);
}

HEADLANE_FOR_EACH_ISA(TopKKernel);

}  // namespace
}  // namespace headlane::kernels

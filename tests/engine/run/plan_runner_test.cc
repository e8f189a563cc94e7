// A graph of one product: its rows are read and written where the caller has them, or by a copy,
// and both have the bits of the product alone.
#include "engine/run/plan_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "engine/graph/graph.h"
#include "kernels/kernels.h"

namespace headlane {
namespace {

constexpr float kUntouched = -7;

std::vector<float> random_floats(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> x(n);
  for (float& value : x) value = uniform(random);
  return x;
}

// d x d, of as many rows as the runs have.
class OneProduct {
 public:
  OneProduct(int64_t d, int64_t most_rows, int n_threads)
      : weight_(random_floats(static_cast<size_t>(d * d), 1)),
        bias_(random_floats(static_cast<size_t>(d), 2)),
        team_(n_threads) {
    PackedWeight source;
    source.name = "product";
    source.n = source.k = d;
    source.rows.data = weight_.data();
    source.bias = bias_.data();
    const PackedWeight* packed = weights_.add(std::move(source));
    weights_.pack(kernels_, nullptr, &team_);
    const ValueId x =
        graph_.add(std::make_unique<Load>(d, Input::kX, Rows::kTokens), {}, Rows::kTokens, d);
    graph_.hidden = graph_.add(std::make_unique<Linear>(std::vector{packed}, Element::kF32), {x},
                               Rows::kTokens, d);
    limits_.max_tokens = limits_.max_len = most_rows;
    limits_.max_seqs = 1;
    limits_.n_threads = n_threads;
    memory_ = Buffer(PlanRunner::bytes(graph_, kernels_, limits_));
    runner_ = std::make_unique<PlanRunner>(graph_, kernels_, limits_, &team_);
    runner_->use(memory_.data());
  }

  // Row i of the run is row order[i] of x and y, `stride` floats apart.
  std::vector<float> run(const std::vector<float>& x, int64_t stride,
                         const std::vector<int32_t>& order) {
    std::vector<float> y(x.size(), kUntouched);
    const std::vector<int32_t> seqs(order.size());
    Run run;
    run.kernels = &kernels_;
    run.n_tokens = run.longest = static_cast<int64_t>(order.size());
    run.n_seqs = 1;
    run.sources[static_cast<int>(Input::kX)] = {x.data(), 0, stride};
    run.tokens = {seqs.data(), order.data()};
    runner_->run(run, {y.data(), 0, stride}, nullptr);
    return y;
  }

 private:
  const kernels::Table& kernels_ = *kernels::select("");
  std::vector<float> weight_, bias_;
  PackedWeights weights_;
  Graph graph_;
  Limits limits_;
  Buffer memory_;
  Team team_;
  std::unique_ptr<PlanRunner> runner_;
};

std::vector<int32_t> in_order(int64_t n) {
  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

class RowsOfTheCaller : public testing::TestWithParam<std::tuple<int, int, int>> {};

// Columns of whole vectors are read and written in place, others copied.
TEST_P(RowsOfTheCaller, HaveTheBitsOfEachRowAlone) {
  const auto [d, n_rows, n_threads] = GetParam();
  OneProduct product(d, n_rows, n_threads), alone(d, 1, 1);
  for (const int64_t stride : {d, d + 1, d + 16}) {
    const std::vector<float> x = random_floats(static_cast<size_t>(n_rows * stride), 3);
    std::vector<float> expected(x.size(), kUntouched);
    for (int64_t i = 0; i < n_rows; ++i) {
      const auto row = x.begin() + i * stride;
      const std::vector<float> y = alone.run({row, row + d}, d, {0});
      std::copy_n(y.begin(), d, expected.begin() + i * stride);
    }
    std::vector<int32_t> order = in_order(n_rows);
    EXPECT_EQ(product.run(x, stride, order), expected) << "stride " << stride;
    std::ranges::reverse(order);
    EXPECT_EQ(product.run(x, stride, order), expected) << "stride " << stride << ", reversed";
    std::swap(order.front(), order.back());
    EXPECT_EQ(product.run(x, stride, order), expected) << "stride " << stride << ", mixed";
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, RowsOfTheCaller,
                         testing::Combine(testing::Values(48, 40, 7), testing::Values(1, 5, 300),
                                          testing::Values(1, 2, 3)));

TEST(PlanRunner, ARunWithoutRowsWritesNothing) {
  OneProduct product(48, 4, 2);
  const std::vector<float> x(48);
  EXPECT_EQ(product.run(x, 48, {}), std::vector<float>(48, kUntouched));
}

}  // namespace
}  // namespace headlane

// The router: which experts a row has, and how they weigh, beside plain loops in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

#include "engine/ops/experts.h"

namespace headlane {
namespace {

struct Expected {
  std::vector<int32_t> ids;
  std::vector<double> weights;
  double gap = HUGE_VAL;  // to another choice, in what is ranked
};

// The places of the k greatest values, the greatest first, and how far the next one is away.
std::vector<int32_t> best_of(const std::vector<double>& values, int64_t k, double* gap) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return values[a] > values[b]; });
  const auto n = static_cast<size_t>(k);
  for (size_t i = 0; i < n && i + 1 < order.size(); ++i) {
    *gap = std::min(*gap, values[order[i]] - values[order[i + 1]]);
  }
  order.resize(n);
  return order;
}

std::vector<double> scores_of(const ExpertsConfig& config, const std::vector<float>& logits) {
  std::vector<double> scores;
  double sum = 0;
  for (int64_t i = 0; i < config.n; ++i) {
    const double x = std::exp(double{logits[static_cast<size_t>(i)]});
    scores.push_back(config.score == ExpertScore::kSigmoid ? x / (1 + x) : x);
    sum += x;
  }
  for (double& score : scores) score /= config.score == ExpertScore::kSigmoid ? 1 : sum;
  return scores;
}

Expected choose(const ExpertsConfig& config, const std::vector<float>& logits,
                const std::vector<float>& bias) {
  const std::vector<double> scores = scores_of(config, logits);
  std::vector<double> ranks = scores;
  for (size_t i = 0; i < bias.size(); ++i) ranks[i] += double{bias[i]};
  Expected expected;
  const auto size = static_cast<size_t>(config.n / config.groups.n);
  std::vector<double> groups;
  for (size_t g = 0; g < ranks.size(); g += size) {
    std::vector<double> own(ranks.begin() + static_cast<ptrdiff_t>(g),
                            ranks.begin() + static_cast<ptrdiff_t>(g + size));
    std::ranges::sort(own, std::greater<>());
    groups.push_back(config.groups.score == GroupScore::kBest ? own[0] : own[0] + own[1]);
  }
  const std::vector<int32_t> chosen = best_of(groups, config.groups.chosen, &expected.gap);
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (std::ranges::count(chosen, static_cast<int32_t>(i / size)) == 0) ranks[i] = -HUGE_VAL;
  }
  expected.ids = best_of(ranks, config.chosen, &expected.gap);
  double sum = 0;
  for (const int32_t id : expected.ids) sum += scores[id];
  for (const int32_t id : expected.ids) {
    expected.weights.push_back(scores[id] / (config.normalized ? sum : 1) * double{config.scale});
  }
  return expected;
}

class ChooseExpertsTest : public testing::Test {
 protected:
  static std::vector<float> run(const ExpertsConfig& config, const std::vector<float>& logits,
                                const std::vector<float>& bias) {
    const ChooseExperts op(config, bias.empty() ? nullptr : bias.data());
    std::vector<float> row(static_cast<size_t>(ChooseExperts::cols(config)));
    View input = {const_cast<float*>(logits.data()), std::ssize(logits)};
    op.run_rows({}, 0, 1, {}, {&input, 1}, {row.data(), std::ssize(row)});
    return row;
  }

  static std::vector<float> random(int64_t n, float size, std::mt19937* engine) {
    std::normal_distribution<float> normal(0, size);
    std::vector<float> values(static_cast<size_t>(n));
    for (float& x : values) x = normal(*engine);
    return values;
  }
};

ExpertsConfig config_of(int64_t n, int64_t chosen, ExpertScore score, ExpertGroups groups = {}) {
  ExpertsConfig config;
  config.n = n;
  config.chosen = chosen;
  config.score = score;
  config.groups = groups;
  return config;
}

// A score is a float, so that an order within some roundings of it is a matter of them.
TEST_F(ChooseExpertsTest, MatchesFloat64) {
  std::mt19937 engine(1);
  const ExpertScore kinds[] = {ExpertScore::kSoftmax, ExpertScore::kSigmoid};
  const std::pair<int64_t, ExpertGroups> sizes[] = {
      {1, {}}, {5, {}}, {64, {}}, {256, {8, 4, GroupScore::kBestTwo}}, {160, {8, 3}}, {6, {3, 3}}};
  int n_compared = 0;
  for (const ExpertScore score : kinds) {
    for (const auto& [n, groups] : sizes) {
      for (const int64_t chosen : {int64_t{1}, std::min<int64_t>(n, 8)}) {
        ExpertsConfig config = config_of(n, chosen, score, groups);
        for (int round = 0; round < 8; ++round) {
          config.normalized = round % 2 == 0;
          config.scale = round % 3 == 0 ? 1.0f : 2.5f;
          config.shared.gated = round % 4 == 0;
          const std::vector<float> logits = random(n + 1, 2, &engine);
          const std::vector<float> bias =
              round % 2 == 0 ? std::vector<float>() : random(n, 0.2f, &engine);
          const Expected expected = choose(config, logits, bias);
          if (expected.gap < 1e-6) continue;
          ++n_compared;
          std::vector<float> row = run(config, logits, bias);
          for (size_t i = 0; i < expected.ids.size(); ++i) {
            EXPECT_EQ(choice_ids(row.data())[i], expected.ids[i]);
            const double weight = expected.weights[i];
            EXPECT_NEAR(row[expected.ids.size() + i], weight, weight * 2e-7);
          }
          const double gate = 1 / (1 + std::exp(-double{logits[static_cast<size_t>(n)]}));
          EXPECT_NEAR(row[static_cast<size_t>(2 * chosen)], config.shared.gated ? gate : 1, 1e-7);
        }
      }
    }
  }
  EXPECT_GT(n_compared, 150);
}

// Of equal experts, the first ones are chosen.
TEST_F(ChooseExpertsTest, EqualOnesByTheirNumber) {
  const ExpertsConfig config = config_of(6, 3, ExpertScore::kSoftmax);
  std::vector<float> row = run(config, {1, 2, 1, 2, 1, 1}, {});
  const std::vector<int32_t> ids(choice_ids(row.data()), choice_ids(row.data()) + 3);
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 3, 0}));
}

// Whatever the numbers are, a row has as many different experts as it is to have, all of which
// exist, and what is no number shows in their weights.
TEST_F(ChooseExpertsTest, NumbersThatAreNone) {
  const float nan = std::nanf(""), inf = HUGE_VALF;
  const ExpertsConfig configs[] = {
      config_of(6, 4, ExpertScore::kSoftmax), config_of(6, 4, ExpertScore::kSigmoid),
      config_of(6, 4, ExpertScore::kSigmoid, {3, 2, GroupScore::kBestTwo}),
      config_of(6, 4, ExpertScore::kSoftmax, {3, 2, GroupScore::kBest})};
  const std::vector<float> rows[] = {std::vector<float>(6, nan), {1, nan, 2, 3, nan, 0},
                                     std::vector<float>(6, inf), std::vector<float>(6, -inf),
                                     {inf, 0, 0, 0, 0, 0},       {-inf, 0, nan, inf, 0, 0}};
  const std::vector<float> biases[] = {{},
                                       std::vector<float>(6, -inf),
                                       std::vector<float>(6, -3e38f),
                                       std::vector<float>(6, nan),
                                       {0, -inf, inf, nan, 0, 0}};
  for (const ExpertsConfig& config : configs) {
    for (const std::vector<float>& logits : rows) {
      for (const std::vector<float>& bias : biases) {
        std::vector<float> row = run(config, logits, bias);
        std::set<int32_t> ids;
        for (int64_t i = 0; i < 4; ++i) {
          const int32_t id = choice_ids(row.data())[i];
          ASSERT_TRUE(id >= 0 && id < 6);
          ids.insert(id);
          const bool is_number = !std::isnan(logits[static_cast<size_t>(id)]);
          if (!is_number) {
            EXPECT_TRUE(std::isnan(row[static_cast<size_t>(4 + i)]));
          }
        }
        EXPECT_EQ(ids.size(), 4u);
      }
    }
  }
}

TEST(GatherExpertRows, ListsEachExpertsRows) {
  const int64_t n_rows = 3, n_chosen = 2, n_experts = 5;
  const std::vector<std::vector<int32_t>> choices = {{4, 1}, {1, 0}, {4, 0}};
  std::vector<float> rows(static_cast<size_t>(n_rows * 16));
  for (size_t r = 0; r < choices.size(); ++r) {
    std::ranges::copy(choices[r], choice_ids(rows.data() + r * 16));
  }
  const int64_t ld = ExpertRows::cols(n_experts, n_chosen);
  std::vector<float> output(static_cast<size_t>(n_rows * ld));
  const View input = {rows.data(), 16}, view = {output.data(), ld};
  headlane::Run run;
  run.n_tokens = n_rows;
  GatherExpertRows(n_experts, n_chosen, Rows::kTokens).run_task(run, 0, {&input, 1}, view, nullptr);
  const ExpertRows found(view, n_experts);
  ASSERT_EQ(found.n_used(), 3);
  EXPECT_EQ(std::vector<int32_t>(found.used(), found.used() + 3), (std::vector<int32_t>{0, 1, 4}));
  const auto list = [&](int64_t expert) {
    const std::span<const int32_t> of = found.of(expert);
    return std::vector<int32_t>(of.begin(), of.end());
  };
  EXPECT_EQ(list(0), (std::vector<int32_t>{3, 5}));
  EXPECT_EQ(list(1), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(list(2), std::vector<int32_t>());
  EXPECT_EQ(list(4), (std::vector<int32_t>{0, 4}));
}

}  // namespace
}  // namespace headlane

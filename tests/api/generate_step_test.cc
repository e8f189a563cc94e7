// Single steps of a decoder through the C API: targets that branch and end, and what a step says of
// each row.
#include <algorithm>
#include <cmath>
#include <random>

#include "tests/api/generator_step.h"

namespace headlane::test {
namespace {

class GenerateStep : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!runs(golden_file("marian_shared"), GetParam())) {
      GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << GetParam();
    }
  }
};

// A target: of which source, and all its tokens.
struct Target {
  int32_t source = 0;
  std::vector<int32_t> ids;
};

// The last step of a target that grows alone.
StepRows grow_alone(headlane_generator* generator, const headlane_model_facts& facts,
                    const Sequences& sources, const Target& target, int64_t k) {
  encode_sources(generator, {sources[static_cast<size_t>(target.source)]});
  StepRows rows(facts, 1, k);
  for (size_t i = 0; i < target.ids.size(); ++i) {
    rows.ids[0] = target.ids[i];
    rows.parents[0] = i == 0 ? -1 : 0;
    const headlane_step step = rows.step();
    check(headlane_generator_step(generator, &step));
  }
  return rows;
}

// Parents are repeated and dropped, targets begin at any step, sources have any number of them:
// each row has the bits that its tokens have alone.
TEST_P(GenerateStep, TargetsBranchAndEnd) {
  constexpr int64_t kBest = 7;
  std::mt19937 random(11);
  for (const auto& [name, precision] : {std::pair{"marian_shared", "f32"},
                                        {"marian_shared", "bf16"},
                                        {"m2m_100", "int8"},
                                        {"t5_v1_0", "f32"},
                                        {"t5_v1_1", "bf16"},
                                        {"mbart", "f32"}}) {
    SCOPED_TRACE(std::string(name) + " " + precision);
    const ModelHandle model = open_model(golden_file(name), GetParam(), precision);
    const headlane_model_facts facts = facts_of(model.get());
    const Sequences sources = random_sources(4, facts.vocab_size, 20, 3);
    const GeneratorHandle many = step_generator(model.get(), 4, 5, 2);
    const GeneratorHandle alone = step_generator(model.get(), 1, 1, 1);
    encode_sources(many.get(), sources);
    std::vector<Target> targets;
    for (int at = 0; at < 8; ++at) {
      StepRows rows(facts, 1 + random() % 20, kBest);
      std::vector<Target> next;
      for (size_t r = 0; r < rows.n; ++r) {
        const bool begins = targets.empty() || random() % 8 == 0;
        const size_t parent = begins ? 0 : random() % targets.size();
        Target target = begins ? Target{static_cast<int32_t>(random() % 4), {}} : targets[parent];
        target.ids.push_back(static_cast<int32_t>(random() % rows.vocab_size));
        rows.ids[r] = target.ids.back();
        rows.sources[r] = target.source;
        rows.parents[r] = begins ? -1 : static_cast<int32_t>(parent);
        next.push_back(target);
      }
      const headlane_step step = rows.step();
      check(headlane_generator_step(many.get(), &step));
      targets = next;
      for (size_t r = 0; r < rows.n; ++r) {
        const StepRows expected = grow_alone(alone.get(), facts, sources, targets[r], kBest);
        ASSERT_TRUE(rows.row_equals(r, expected, 0)) << "step " << at << ", row " << r;
      }
    }
  }
}

// Each row has its best in order, among equals the lower id first; and the logarithm of the sum of
// all exponentials, whose error is that of top_k_f32 (tests/kernels/top_k_test.cc), of a logarithm
// and a sum.
TEST_P(GenerateStep, BestTokensAndSumsAreThoseOfTheLogits) {
  for (const char* name : {"marian_shared", "marian_separate", "t5_v1_1"}) {
    const ModelHandle model = open_model(golden_file(name), GetParam());
    const headlane_model_facts facts = facts_of(model.get());
    const Sequences sources = random_sources(12, facts.vocab_size, 20, 4);
    const GeneratorHandle generator = step_generator(model.get(), 12, 1, 2);
    encode_sources(generator.get(), sources);
    for (const int64_t k : {int64_t{1}, int64_t{5}, int64_t{61}}) {
      StepRows rows(facts, 12, k);
      for (int32_t i = 0; i < 12; ++i) {
        rows.ids[static_cast<size_t>(i)] = 3 + i;
        rows.sources[static_cast<size_t>(i)] = i;
      }
      const headlane_step step = rows.step();
      check(headlane_generator_step(generator.get(), &step));
      for (size_t r = 0; r < rows.n; ++r) {
        const float* logits = &rows.logits[r * rows.vocab_size];
        std::vector<int32_t> order(rows.vocab_size);
        for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
        std::stable_sort(order.begin(), order.end(),
                         [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
        double sum = 0, error = 0;
        for (const int32_t id : order) {
          const double below = double{logits[order[0]]} - logits[id], e = std::exp(-below);
          sum += e;
          error += e * (18 + 3 * below + static_cast<double>(rows.vocab_size)) * kEps;
        }
        for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
          const size_t at = r * static_cast<size_t>(k) + i;
          ASSERT_EQ(rows.best_ids[at], order[i]) << name << ", " << r << ", " << i;
          ASSERT_EQ(rows.best_logits[at], logits[order[i]]);
        }
        const double expected = logits[order[0]] + std::log(sum);
        ASSERT_NEAR(rows.log_sum_exp[r], expected,
                    error / sum + 2 * kEps * (std::log(sum) + std::fabs(expected)));
      }
    }
  }
}

HEADLANE_FOR_EACH_ISA(GenerateStep);

class GenerateSteps : public testing::Test {
 protected:
  const ModelHandle model_ = open_model(golden_file("marian_shared"));
  const headlane_model_facts facts_ = facts_of(model_.get());
};

// A caller's own greedy search: finished targets leave.
TEST_F(GenerateSteps, AreWhatGenerateTakes) {
  constexpr int32_t kEnd = 0, kSuppressed = 82;
  const int64_t max_new = facts_.max_new_tokens;
  const Sequences sources = random_sources(20, facts_.vocab_size, 20, 5);
  const GeneratorHandle generator = step_generator(model_.get(), 20, 1, 2, max_new);
  const Answers expected = generate(generator.get(), sources, beams(1));
  encode_sources(generator.get(), sources);
  Sequences ids(20);
  std::vector<double> sums(20);
  std::vector<int32_t> running(20), parents(20, -1);
  for (int32_t i = 0; i < 20; ++i) running[static_cast<size_t>(i)] = i;
  while (!running.empty()) {
    StepRows rows(facts_, running.size(), 2);
    rows.sources = running;
    rows.parents = parents;
    for (size_t r = 0; r < rows.n; ++r) {
      const auto& so_far = ids[static_cast<size_t>(running[r])];
      rows.ids[r] = so_far.empty() ? facts_.start_id : so_far.back();
    }
    headlane_step step = rows.step();
    step.logits = nullptr;
    check(headlane_generator_step(generator.get(), &step));
    std::vector<int32_t> still;
    parents.clear();
    for (size_t r = 0; r < rows.n; ++r) {
      const auto source = static_cast<size_t>(running[r]);
      const size_t best = 2 * r + (rows.best_ids[2 * r] == kSuppressed ? 1 : 0);
      const bool is_last = static_cast<int64_t>(ids[source].size()) + 1 == max_new;
      ids[source].push_back(is_last ? kEnd : rows.best_ids[best]);  // the model forces its last
      if (!is_last) sums[source] += rows.best_logits[best] - rows.log_sum_exp[r];
      if (ids[source].back() == kEnd) continue;
      still.push_back(running[r]);
      parents.push_back(static_cast<int32_t>(r));
    }
    running = still;
  }
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(ids[i], expected[i][0].ids) << i;
    // Each log-probability is near 0 or -10, and rounded twice; so is each of at most 15 sums.
    EXPECT_NEAR(sums[i] / static_cast<double>(ids[i].size()), expected[i][0].score,
                32 * kEps * (1 + std::fabs(sums[i])));
  }
}

TEST_F(GenerateSteps, RowByRowIsTheDefault) {
  const Sequences sources = random_sources(3, facts_.vocab_size, 9, 6);
  const GeneratorHandle generator = step_generator(model_.get(), 3, 1, 1);
  std::vector<StepRows> said;
  for (const bool named : {true, false}) {
    encode_sources(generator.get(), sources);
    for (const int32_t parent : {-1, 0}) {
      StepRows rows(facts_, 3, 4);
      rows.ids = {82, 7, 9};
      rows.sources = {0, 1, 2};
      if (parent == 0) rows.parents = {0, 1, 2};
      headlane_step step = rows.step();
      if (!named) step.parents = nullptr;
      check(headlane_generator_step(generator.get(), &step));
      said.push_back(rows);
    }
  }
  for (size_t r = 0; r < 3; ++r) {
    EXPECT_TRUE(said[0].row_equals(r, said[2], r));
    EXPECT_TRUE(said[1].row_equals(r, said[3], r));
    EXPECT_FALSE(said[0].row_equals(r, said[1], r));
  }
}

}  // namespace
}  // namespace headlane::test

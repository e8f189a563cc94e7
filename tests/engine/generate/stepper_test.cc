// Steps of a decoder that has no sources: prompts in any chunks, then token by token.
#include "engine/generate/stepper.h"

#include <algorithm>

#include "engine/base/error.h"
#include "tests/support/kernel_test.h"
#include "tests/support/toy_language_model.h"

namespace headlane {
namespace {

using test::ToyLanguageModel;
using test::ToyReference;
using test::ToyStepGraph;
using Ids = std::vector<int32_t>;
using Logits = std::vector<std::vector<float>>;  // of each row

Ids random_prompt(uint32_t seed, size_t n) {
  std::mt19937 random(seed);
  Ids ids;
  for (size_t i = 0; i < n; ++i) {
    ids.push_back(static_cast<int32_t>(random() % ToyLanguageModel::kVocab));
  }
  return ids;
}

struct Sizes {
  int64_t run_tokens = 512, n_threads = 1;
};

// A stepper of the toy, and its steps as vectors.
class Steps {
 public:
  Steps(const ToyStepGraph& graph, const kernels::Table& kernels, Precision precision,
        const Sizes& sizes)
      : model_(graph.step_model(kernels)),
        limits_(limits(precision, sizes)),
        team_(static_cast<int>(sizes.n_threads)),
        memory_(Stepper::bytes(model_, limits_)),
        stepper_(model_, limits_, memory_.data(), &team_) {}

  // Each row's tokens, after those of its parent's.
  Logits step(const std::vector<Ids>& rows, const std::vector<int32_t>& parents = {}) {
    Ids ids;
    std::vector<int64_t> offsets = {0};
    for (const Ids& row : rows) {
      ids.insert(ids.end(), row.begin(), row.end());
      offsets.push_back(static_cast<int64_t>(ids.size()));
    }
    StepBatch batch;
    batch.n_rows = static_cast<int64_t>(rows.size());
    batch.offsets = offsets.data();
    batch.ids = ids.data();
    if (!parents.empty()) batch.parents = parents.data();
    batch.k = 1;
    batch.all_logits = true;
    stepper_.step(batch);
    Logits logits;
    for (int64_t row = 0; row < batch.n_rows; ++row) {
      const float* all = stepper_.next(row).all;
      logits.emplace_back(all, all + ToyLanguageModel::kVocab);
      const auto best = std::max_element(logits.back().begin(), logits.back().end());
      EXPECT_EQ(stepper_.next(row).best[0].id, best - logits.back().begin());
    }
    return logits;
  }
  void begin() { stepper_.begin({}); }

 private:
  static StepLimits limits(Precision precision, const Sizes& sizes) {
    StepLimits limits;
    limits.run.max_tokens = sizes.run_tokens;
    limits.run.max_seqs = 4;
    limits.run.max_len = limits.max_len = ToyLanguageModel::kMaxLen;
    limits.run.n_threads = sizes.n_threads;
    limits.run.precision = precision;
    limits.max_new = 4 * ToyLanguageModel::kMaxLen;
    limits.all_logits = true;
    return limits;
  }

  StepModel model_;
  StepLimits limits_;
  Team team_;
  Buffer memory_;
  Stepper stepper_;
};

class StepperOf : public test::KernelTest {
 protected:
  // Calls body(graph, precision) for each toy.
  template <typename Body>
  void for_each_toy(Body body) const {
    for (const bool rotary : {true, false}) {
      for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
        SCOPED_TRACE(std::string(rotary ? "rotary " : "windows ") + name_of(precision));
        const ToyLanguageModel model(rotary);
        body(ToyStepGraph(model, kernels(), precision), precision);
      }
    }
  }
};

// As far from float64 as float32 in plain loops is, and no more than some times that.
TEST_P(StepperOf, MatchesFloat64) {
  for (const bool rotary : {true, false}) {
    const ToyLanguageModel model(rotary);
    const ToyStepGraph graph(model, kernels(), Precision::kF32);
    Steps steps(graph, kernels(), Precision::kF32, {});
    Ids ids = random_prompt(1, 60);
    const auto expected = ToyReference<double>(model).logits(ids);
    const auto single = ToyReference<float>(model).logits(ids);
    double error = 0;
    for (size_t t = 0; t < ids.size(); ++t) {
      for (size_t c = 0; c < expected[t].size(); ++c) {
        error = std::max(error, std::fabs(expected[t][c] - double{single[t][c]}));
      }
    }
    for (size_t t = 29; t < ids.size(); ++t) {
      const Ids next = t == 29 ? Ids(ids.begin(), ids.begin() + 30) : Ids{ids[t]};
      const Logits logits = steps.step({next});
      for (size_t c = 0; c < expected[t].size(); ++c) {
        ASSERT_NEAR(logits[0][c], expected[t][c], 4 * error) << t << ", " << c;
      }
    }
  }
}

// Rows have the same bits alone and together, in any chunks, on any number of threads.
TEST_P(StepperOf, ATargetHasTheSameBitsInAnyChunks) {
  for_each_toy([&](const ToyStepGraph& graph, Precision precision) {
    const std::vector<Ids> prompts = {random_prompt(2, 1), random_prompt(3, 13),
                                      random_prompt(4, 61)};
    Logits expected, last;
    for (const Ids& prompt : prompts) {  // token by token
      Steps steps(graph, kernels(), precision, {1, 1});
      for (const int32_t id : prompt) last = steps.step({{id}});
      expected.push_back(last[0]);
    }
    for (const Sizes& sizes : {Sizes{512, 1}, Sizes{512, 3}, Sizes{7, 2}, Sizes{33, 1}}) {
      SCOPED_TRACE("runs of " + std::to_string(sizes.run_tokens));
      Steps steps(graph, kernels(), precision, sizes);
      EXPECT_EQ(steps.step(prompts), expected);
      steps.begin();
      const Ids& longest = prompts[2];
      steps.step({{longest[0]}, Ids(longest.begin(), longest.begin() + 20)});
      EXPECT_EQ(steps.step({Ids(longest.begin() + 20, longest.end())}, {1})[0], expected[2]);
    }
  });
}

// Two rows go on from one, and one of them alone from there.
TEST_P(StepperOf, TargetsBranch) {
  for_each_toy([&](const ToyStepGraph& graph, Precision precision) {
    const Ids prompt = random_prompt(5, 11), one = random_prompt(6, 5), other = random_prompt(7, 3);
    const auto joined = [](Ids a, const Ids& b) {
      a.insert(a.end(), b.begin(), b.end());
      return a;
    };
    Steps steps(graph, kernels(), precision, {});
    Steps alone(graph, kernels(), precision, {});
    const Logits expected = alone.step(
        {joined(prompt, one), joined(prompt, other), joined(joined(prompt, one), other)});
    steps.step({prompt});
    const Logits both = steps.step({one, other}, {0, 0});
    EXPECT_EQ(both[0], expected[0]);
    EXPECT_EQ(both[1], expected[1]);
    EXPECT_EQ(steps.step({other}, {0})[0], expected[2]);
  });
}

TEST_P(StepperOf, RefusesWhatDoesNotFit) {
  const ToyLanguageModel model(true);
  const ToyStepGraph graph(model, kernels(), Precision::kF32);
  Steps steps(graph, kernels(), Precision::kF32, {});
  EXPECT_THROW(steps.step({random_prompt(1, ToyLanguageModel::kMaxLen + 1)}), Error);
  EXPECT_THROW(steps.step({{}}), Error);
  EXPECT_THROW(steps.step({{ToyLanguageModel::kVocab}}), Error);
  EXPECT_THROW(steps.step({{1}}, {0}), Error);
  steps.step({random_prompt(1, ToyLanguageModel::kMaxLen)});
  EXPECT_THROW(steps.step({{1}}), Error);
}

HEADLANE_FOR_EACH_ISA(StepperOf);

}  // namespace
}  // namespace headlane

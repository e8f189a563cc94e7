// Samples: what a seed and a key decide.
#include <set>

#include "tests/api/generator.h"

namespace headlane::test {
namespace {

class GenerateSamples : public GenerateTest {};

headlane_generate_options sampling(uint64_t seed, int64_t n_best = 1) {
  headlane_generate_options options = HEADLANE_INIT(headlane_generate_options);
  options.sample = 1;
  options.temperature = 2;
  options.seed = seed;
  options.n_best = n_best;
  return options;
}

TEST_F(GenerateSamples, ASeedSaysTheSamples) {
  const Answers one = ask(sampling(1, 6));
  EXPECT_EQ(ask(sampling(1, 6)), one);
  const Answers two = ask(sampling(2, 6));
  std::set<std::vector<int32_t>> different;
  for (size_t i = 0; i < sources_.size(); ++i) {
    EXPECT_NE(one[i], two[i]);
    ASSERT_EQ(one[i].size(), 6u);
    for (const GeneratedAnswer& answer : one[i]) different.insert(answer.ids);
  }
  // At twice the temperature few are alike.
  EXPECT_GT(different.size(), 100u);
  // The first samples do not depend on how many there are.
  const Answers first = ask(sampling(1, 1));
  for (size_t i = 0; i < sources_.size(); ++i) EXPECT_EQ(first[i][0], one[i][0]);
}

TEST_F(GenerateSamples, KeysTellSourcesApart) {
  sources_ = {sources_[0], sources_[0], sources_[0]};
  Answers answers = ask(sampling(1));
  EXPECT_NE(answers[0], answers[1]);
  const uint64_t keys[] = {4, 9, 4};
  headlane_generate_options options = sampling(1);
  options.keys = keys;
  answers = ask(options);
  EXPECT_EQ(answers[0], answers[2]);
  EXPECT_NE(answers[0], answers[1]);
  const uint64_t places[] = {0, 1, 2};  // what they are where they are not given
  options.keys = places;
  EXPECT_EQ(ask(options), ask(sampling(1)));
}

TEST_F(GenerateSamples, OneCandidateIsGreedy) {
  const Answers greedy = ask(beams(1));
  headlane_generate_options top_1 = sampling(3);
  top_1.top_k = 1;
  EXPECT_EQ(ask(top_1), greedy);
  headlane_generate_options least_p = sampling(3);
  least_p.top_p = 1e-6f;
  EXPECT_EQ(ask(least_p), greedy);
}

}  // namespace
}  // namespace headlane::test

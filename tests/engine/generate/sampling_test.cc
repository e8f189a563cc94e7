#include "engine/generate/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "tests/support/toy_decoder.h"

namespace headlane {
namespace {

using test::ToyAnswers;
using test::ToyCase;
using test::ToySearch;

// Chi-square exceeds this once in a million times (Wilson and Hilferty 1931).
double chi_square_bound(int64_t degrees) {
  const double d = static_cast<double>(degrees), z = 4.7534;
  return d * std::pow(1 - 2 / (9 * d) + z * std::sqrt(2 / (9 * d)), 3);
}

// The answers of Salmon et al.'s own program, its file kat_vectors.
TEST(Sampling, PhiloxIsThePublished) {
  uint32_t zeros[4] = {0, 0, 0, 0};
  philox(zeros, 0);
  const uint32_t of_zeros[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  uint32_t ones[4] = {~0u, ~0u, ~0u, ~0u};
  philox(ones, ~uint64_t{0});
  const uint32_t of_ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
  uint32_t pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
  philox(pi, 0x299f31d0a4093822);
  const uint32_t of_pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(zeros[i], of_zeros[i]);
    EXPECT_EQ(ones[i], of_ones[i]);
    EXPECT_EQ(pi[i], of_pi[i]);
  }
}

// Along each of the things that a number is for, one after another and in pairs.
TEST(Sampling, NumbersAreUniform) {
  constexpr int kN = 100'000, kBins = 16;
  const std::vector<std::function<double(uint32_t)>> sequences = {
      [](uint32_t i) { return random_uniform(i, 0, 0, 0); },
      [](uint32_t i) { return random_uniform(0, i, 0, 0); },
      [](uint32_t i) { return random_uniform(0, uint64_t{i} << 32, 0, 0); },
      [](uint32_t i) { return random_uniform(0, 0, i, 0); },
      [](uint32_t i) { return random_uniform(0, 0, 0, i); },
  };
  for (size_t which = 0; which < sequences.size(); ++which) {
    std::vector<int> counts(kBins * kBins);
    int bin = 0;
    for (uint32_t i = 0; i < kN; ++i) {
      const double uniform = sequences[which](i);
      ASSERT_GE(uniform, 0);
      ASSERT_LT(uniform, 1);
      bin = bin % kBins * kBins + static_cast<int>(uniform * kBins);
      ++counts[bin];
    }
    const double expected = double{kN} / (kBins * kBins);
    double chi_square = 0;
    for (const int count : counts) chi_square += std::pow(count - expected, 2) / expected;
    EXPECT_LT(chi_square, chi_square_bound(kBins * kBins - 1)) << which;
  }
}

// Thousands of samples of one token: exactly those that transformers' warpers keep, each as often
// as its probability says.
TEST(Sampling, DistributionsAreTransformers) {
  constexpr int64_t kN = 5000;
  const nlohmann::json golden = test::toy_json("distributions.json");
  ASSERT_EQ(golden["cases"].size(), 60u);
  for (const nlohmann::json& json : golden["cases"]) {
    SCOPED_TRACE(json.dump());
    ToyCase toy = test::toy_case(json);
    toy.options.n_best = kN;
    for (const bool give_all_logits : {false, true}) {
      SearchLimits limits = test::toy_limits(toy);
      limits.all_logits |= give_all_logits;
      ToySearch search(toy, limits, give_all_logits);
      std::map<int32_t, int> counts;
      const ToyAnswers answers = search.finish();
      for (const auto& answer : answers[0]) ++counts[answer.tokens.back()];
      EXPECT_EQ(search.n_rows_scored(), 1);
      ASSERT_EQ(counts.size(), json["kept"].size());
      double chi_square = 0;
      for (const nlohmann::json& kept : json["kept"]) {
        const double expected = kN * kept[1].get<double>();
        chi_square += std::pow(counts[kept[0]] - expected, 2) / expected;
      }
      if (counts.size() > 1) {
        EXPECT_LT(chi_square, chi_square_bound(std::ssize(counts) - 1));
      }
    }
  }
}

// After temperature, top_k and top_p: the tokens that have min_p of the likeliest one's weight.
TEST(Sampling, MinPKeepsWhatIsLikelyEnough) {
  constexpr int64_t kVocab = 50;
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0, 3);
  std::vector<uint8_t> flags(kVocab);
  for (const int64_t top_k : {0, 20}) {
    for (const float top_p : {1.0f, 0.9f}) {
      SearchOptions options = {
          .sample = true, .temperature = 1.5f, .top_k = top_k, .top_p = top_p, .max_new_tokens = 1};
      const TokenRules rules(options, kVocab, flags);
      std::vector<float> logits(kVocab);
      for (float& logit : logits) logit = normal(random);
      RowScores scores;
      scores.top = {*std::ranges::max_element(logits), 1};
      scores.all = logits.data();
      std::vector<Candidate> scratch(kVocab), cut(kVocab);
      const Distribution all = make_distribution(rules, options, scores, 0, scratch.data());
      for (const float min_p : {0.01f, 0.2f, 1.0f}) {
        options.min_p = min_p;
        const Distribution likely = make_distribution(rules, options, scores, 0, cut.data());
        std::map<int32_t, float> expected, kept;
        double total = 0;
        for (const Candidate& token : all.tokens) {
          if (token.logit < min_p) continue;
          expected[token.id] = token.logit;
          total += token.logit;
        }
        for (const Candidate& token : likely.tokens) kept[token.id] = token.logit;
        EXPECT_EQ(kept, expected);
        EXPECT_EQ(likely.total, total);
        if (min_p == 1.0f) {
          EXPECT_EQ(kept.size(), 1u);
        }
      }
    }
  }
}

ToyCase sampled_case() {
  ToyCase toy = {.vocab_size = 40,
                 .end_bonus = 1,
                 .end_ids = {2},
                 .suppressed_ids = {0},
                 .options = {.n_best = 4, .sample = true, .seed = 17, .max_new_tokens = 12},
                 .sources = {}};
  for (uint64_t key = 0; key < 6; ++key) toy.sources.push_back({.seed = 5, .key = key});
  toy.sources[3].prefix = {5, 6};
  return toy;
}

TEST(Sampling, SamplesDependOnTheirSourceAndNumberAlone) {
  ToyCase toy = sampled_case();
  for (const int64_t top_k : {0, 10}) {
    toy.options.top_k = top_k;
    const ToyAnswers together = test::toy_answers(toy);
    EXPECT_EQ(test::toy_answers(toy), together);
    for (size_t source = 0; source < toy.sources.size(); ++source) {
      ToyCase alone = toy;
      alone.sources = {toy.sources[source]};
      EXPECT_EQ(test::toy_answers(alone)[0], together[source]);
      alone.options.n_best = 2;
      const ToyAnswers two = test::toy_answers(alone);
      EXPECT_TRUE(std::equal(two[0].begin(), two[0].end(), together[source].begin()));
    }
  }
}

TEST(Sampling, SamplesDifferBySeedSourceAndNumber) {
  ToyCase toy = sampled_case();
  toy.sources[3].prefix = {};  // so that it is the same source six times, but for the key
  std::set<std::vector<int32_t>> different;
  for (const uint64_t seed : {1, 2}) {
    toy.options.seed = seed;
    toy.options.temperature = 2;
    const ToyAnswers answers = test::toy_answers(toy);
    for (const auto& of_source : answers) {
      ASSERT_EQ(of_source.size(), 4u);
      for (const auto& answer : of_source) different.insert(answer.tokens);
    }
  }
  EXPECT_GT(different.size(), 40u);  // of 48
}

// Sampling from one token is greedy search.
TEST(Sampling, TopKOfOneIsGreedy) {
  ToyCase toy = sampled_case();
  toy.options.top_k = 1;
  const ToyAnswers sampled = test::toy_answers(toy);
  toy.options.sample = false;
  toy.options.n_best = 1;
  const ToyAnswers greedy = test::toy_answers(toy);
  for (size_t source = 0; source < greedy.size(); ++source) {
    ASSERT_EQ(sampled[source].size(), 4u);
    for (const auto& answer : sampled[source]) EXPECT_EQ(answer, greedy[source][0]);
  }
}

}  // namespace
}  // namespace headlane

#include "engine/generate/search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/toy_decoder.h"

namespace headlane {
namespace {

using test::ToyAnswer;
using test::ToyAnswers;
using test::ToyCase;
using test::ToySearch;

constexpr double kEps = std::numeric_limits<float>::epsilon() / 2;  // unit roundoff, 2^-24

// Two programs that add the same log-probabilities in float32 may differ by this. Logits are within
// 8 and ln of a sum within 5, so that a log-probability, a penalty of 1.3 included, is within 26;
// it has the error of the sum's logarithm (32 roundings of 5 for a sum of 60 terms), a subtraction
// and a product. Each sum has one rounding more, of no more than 26 n.
double score_bound(const ToyCase& toy, int64_t n_tokens) {
  const double n = static_cast<double>(n_tokens);
  const double of_log_probability = (32 * 5 + 3 * 26) * kEps;
  const double of_sum = n * of_log_probability + n * 26 * n * kEps;
  const double divisor = std::pow(n, toy.options.length_penalty);
  return 2 * (of_sum / divisor + 26 * n / divisor * kEps);
}

void expect_answers(const ToyCase& toy, const ToyAnswers& answers, const nlohmann::json& sources) {
  for (size_t source = 0; source < answers.size(); ++source) {
    const nlohmann::json& expected = sources[source]["answers"];
    ASSERT_EQ(answers[source].size(), expected.size());
    for (size_t rank = 0; rank < expected.size(); ++rank) {
      const ToyAnswer& answer = answers[source][rank];
      EXPECT_EQ(answer.tokens, expected[rank][0].get<std::vector<int32_t>>())
          << "source " << source << ", rank " << rank;
      const int64_t n_tokens = std::ssize(answer.tokens) - std::ssize(toy.sources[source].prefix);
      EXPECT_NEAR(answer.score, expected[rank][1].get<double>(), score_bound(toy, n_tokens));
    }
  }
}

TEST(Search, AnswersAreTransformers) {
  const nlohmann::json golden = test::toy_json("answers.json");
  ASSERT_EQ(golden["cases"].size(), 400u);
  for (size_t i = 0; i < golden["cases"].size(); ++i) {
    SCOPED_TRACE(testing::Message() << "case " << i << ": " << golden["cases"][i].dump());
    const ToyCase toy = test::toy_case(golden["cases"][i]);
    ToySearch search(toy, test::toy_limits(toy));
    const ToyAnswers answers = search.finish();
    expect_answers(toy, answers, golden["cases"][i]["sources"]);
    EXPECT_TRUE(search.is_memory_whole());
    const ToyAnswers from_all = test::toy_answers(toy, true);
    expect_answers(toy, from_all, golden["cases"][i]["sources"]);
    // Sums over what is allowed are taken by another program then.
    if (!toy.options.renormalize) {
      EXPECT_EQ(from_all, answers);
    }
    if (HasFailure()) return;
  }
}

TEST(Search, AnswersOfLargeLengthPenaltiesAreTransformers) {
  const nlohmann::json golden = test::toy_json("length_penalties.json");
  ASSERT_EQ(golden["cases"].size(), 60u);
  for (const nlohmann::json& json : golden["cases"]) {
    SCOPED_TRACE(json.dump());
    const ToyCase toy = test::toy_case(json);
    expect_answers(toy, test::toy_answers(toy), json["sources"]);
  }
}

// The sum of the log-probabilities of an answer to the first source.
double sum_of(const ToyCase& toy, const std::vector<int32_t>& tokens) {
  std::vector<int32_t> history = {toy.options.start_id};
  double sum = 0;
  for (const int32_t token : tokens) {
    const std::vector<float> logits = test::toy_logits(toy, toy.sources[0].seed, history);
    const kernels::TopK top = test::toy_top(logits);
    sum += double{logits[static_cast<size_t>(token)]} - top.largest - std::log(double{top.sum});
    history.push_back(token);
  }
  return sum;
}

// Where all scores of a float are 0 or -infinity the order is still theirs: that of the lengths,
// the longest first or last, and of the sums of one length.
TEST(Search, ScoresBeyondFloatsKeepTheirOrder) {
  constexpr double kRounding = 1e-4;  // of sums in float32; score_bound() allows less
  for (const double penalty : {100.0, 1e300, 1.7e308, -100.0, -1e300, -1.7e308}) {
    int n_of_one_length = 0, n_of_two = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      ToyCase toy = {.vocab_size = 12,
                     .end_bonus = 4,
                     .end_ids = {2},
                     .suppressed_ids = {},
                     .options = {.n_beams = 5, .n_best = 5, .max_new_tokens = 8},
                     .sources = {{.seed = seed}}};
      // So that answers of several lengths are kept.
      toy.options.early_stopping = penalty > 0 ? EarlyStopping::kFirst : EarlyStopping::kNever;
      toy.options.length_penalty = penalty;
      const std::vector<ToyAnswer> answers = test::toy_answers(toy)[0];
      ASSERT_EQ(answers.size(), 5u);
      for (size_t rank = 1; rank < answers.size(); ++rank) {
        const std::vector<int32_t>&better = answers[rank - 1].tokens, &worse = answers[rank].tokens;
        if (better.size() == worse.size()) {
          ++n_of_one_length;
          EXPECT_GE(sum_of(toy, better) + kRounding, sum_of(toy, worse));
        } else {
          ++n_of_two;
          EXPECT_EQ(better.size() > worse.size(), penalty > 0) << penalty << ", seed " << seed;
        }
      }
    }
    EXPECT_GT(n_of_one_length, 0) << penalty;
    EXPECT_GT(n_of_two, 0) << penalty;
  }
}

TEST(Search, NeighboursDoNotMatter) {
  const nlohmann::json golden = test::toy_json("answers.json");
  for (const nlohmann::json& json : golden["cases"]) {
    SCOPED_TRACE(json.dump());
    const ToyCase toy = test::toy_case(json);
    const ToyAnswers together = test::toy_answers(toy);
    ToyCase alone = toy;
    for (size_t source = 0; source < together.size(); ++source) {
      alone.sources = {toy.sources[source]};
      ASSERT_EQ(test::toy_answers(alone), ToyAnswers{together[source]});
    }
  }
}

// Three beams over twelve tokens.
ToyCase plain_case() {
  ToyCase toy = {
      .vocab_size = 12,
      .end_bonus = 2,
      .end_ids = {2},
      .suppressed_ids = {5},
      .options = {.n_beams = 3, .n_best = 3, .max_new_tokens = 8},
      .sources = {{.seed = 1}, {.seed = 2, .prefix = {4, 7}}, {.seed = 3, .prefix = {9}}}};
  return toy;
}

TEST(Search, RowsOfAStep) {
  ToyCase toy = plain_case();
  toy.options.forced_first_id = 6;
  toy.options.forced_last_id = 2;
  toy.options.min_new_tokens = 8;
  ToySearch running(toy, test::toy_limits(toy));
  const Search& search = running.search();
  // For each step and source: its rows, and whether they are scored. A first token is forced where
  // there is no prefix. With 8 new tokens, the forced one is the last.
  const std::vector<std::vector<int>> n_rows = {{1, 1, 1}, {1, 3, 3}, {3, 3, 3}, {3, 3, 3},
                                                {3, 3, 3}, {3, 3, 3}, {3, 3, 3}, {3, 3, 3}};
  const std::vector<std::vector<int>> scored = {{0, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1},
                                                {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}};
  for (size_t step = 0; step < n_rows.size(); ++step) {
    ASSERT_FALSE(search.done());
    EXPECT_EQ(search.n_new(), static_cast<int64_t>(step));
    std::vector<int> rows_seen(3), scored_seen(3);
    int32_t source_before = 0;
    for (const StepRow& row : search.rows()) {
      EXPECT_LE(source_before, row.source);
      source_before = row.source;
      ++rows_seen[row.source];
      scored_seen[row.source] = row.scored ? 1 : 0;
      EXPECT_EQ(row.parent < 0, step == 0);
    }
    EXPECT_EQ(rows_seen, n_rows[step]) << step;
    EXPECT_EQ(scored_seen, scored[step]) << step;
    running.step();
  }
  EXPECT_TRUE(search.done());
  for (const auto& answers : running.answers()) EXPECT_EQ(answers.size(), 3u);
}

TEST(Search, WhatOfTheLogitsIsWanted) {
  const auto needed = [](const std::function<void(SearchOptions&)>& change) {
    ToyCase toy = plain_case();
    toy.end_ids = {2, 3};
    toy.vocab_size = 1000;
    change(toy.options);
    SearchLimits limits = test::toy_limits(toy);
    limits.all_logits = true;
    ToySearch search(toy, limits);
    EXPECT_EQ(search.search().wants_all_logits(), search.search().candidates_needed() == 0);
    return search.search().candidates_needed();
  };
  const auto greedy = [](SearchOptions& options) { options.n_beams = options.n_best = 1; };
  EXPECT_EQ(needed([](SearchOptions&) {}), 3 + 2 + 1);
  EXPECT_EQ(needed(greedy), 1 + 1);
  EXPECT_EQ(needed([&](SearchOptions& o) { greedy(o), o.min_new_tokens = 1; }), 1 + 3);
  EXPECT_EQ(needed([](SearchOptions& o) { o.repetition_penalty = 1.5; }), 0);
  EXPECT_EQ(needed([](SearchOptions& o) { o.n_beams = 253; }), 256);
  EXPECT_EQ(needed([](SearchOptions& o) { o.n_beams = 254; }), 0);
  const auto sample = [&](SearchOptions& options) { greedy(options), options.sample = true; };
  EXPECT_EQ(needed(sample), 0);
  EXPECT_EQ(needed([&](SearchOptions& o) { sample(o), o.top_k = 10; }), 10 + 1);
  EXPECT_EQ(needed([&](SearchOptions& o) { sample(o), o.top_k = 300; }), 0);
}

TEST(Search, OfEqualLogitsTheLowestIdsAreTaken) {
  ToyCase toy = plain_case();
  toy.options.max_new_tokens = 1;
  toy.end_ids = {};
  for (const bool give_all_logits : {false, true}) {
    ToySearch search(toy, test::toy_limits(toy), give_all_logits);
    search.change_logits = [](const StepRow&, std::vector<float>& logits) {
      std::ranges::fill(logits, 0.5f);
    };
    const ToyAnswers answers = search.finish();
    ASSERT_EQ(answers[1].size(), 3u);
    for (int32_t rank = 0; rank < 3; ++rank) {
      EXPECT_EQ(answers[1][rank].tokens, (std::vector<int32_t>{4, 7, rank}));
    }
  }
}

// A NaN, an infinity, or nothing left shows in its own source.
TEST(Search, LogitsWithoutASoftmaxBreakTheirSourceOff) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto spoil_one = [](float value) {
    return [=](std::vector<float>& logits) { logits[3] = value; };
  };
  const std::vector<std::function<void(std::vector<float>&)>> spoils = {
      spoil_one(std::numeric_limits<float>::quiet_NaN()), spoil_one(kInf),
      [](std::vector<float>& logits) { std::ranges::fill(logits, -kInf); },
      // All that is left is suppressed.
      [](std::vector<float>& logits) {
        std::ranges::fill(logits, -kInf);
        logits[5] = 0;
      }};
  for (const int64_t n_beams : {1, 3}) {
    for (const bool sample : {false, true}) {
      ToyCase toy = plain_case();
      toy.options.n_beams = sample ? 1 : n_beams;
      toy.options.n_best = n_beams;
      toy.options.sample = sample;
      toy.options.min_new_tokens = 4;
      const ToyAnswers expected = test::toy_answers(toy);
      for (const auto& spoil : spoils) {
        ToySearch search(toy, test::toy_limits(toy));
        search.change_logits = [&](const StepRow& row, std::vector<float>& logits) {
          if (row.source == 1 && search.search().n_new() == 2) spoil(logits);
        };
        const ToyAnswers answers = search.finish();
        EXPECT_EQ(answers[0], expected[0]);
        EXPECT_EQ(answers[2], expected[2]);
        ASSERT_GE(answers[1].size(), 1u);
        for (const ToyAnswer& answer : answers[1]) {
          EXPECT_TRUE(std::isnan(answer.score));
          EXPECT_EQ(answer.tokens.size(), 4u);
        }
      }
    }
  }
}

TEST(Search, ASourceMayBeStopped) {
  for (const int64_t n_beams : {1, 3}) {
    ToyCase toy = plain_case();
    toy.options.n_beams = toy.options.n_best = n_beams;
    toy.options.min_new_tokens = toy.options.max_new_tokens;
    const ToyAnswers expected = test::toy_answers(toy);
    ToyCase shorter = toy;
    shorter.options.min_new_tokens = shorter.options.max_new_tokens = 4;
    const ToyAnswers expected_stopped = test::toy_answers(shorter);
    ToySearch search(toy, test::toy_limits(toy));
    for (int step = 0; step < 4; ++step) search.step();  // as many new tokens
    search.search().stop(1);
    const ToyAnswers answers = search.finish();
    EXPECT_EQ(answers[0], expected[0]);
    EXPECT_EQ(answers[1], expected_stopped[1]);
    EXPECT_EQ(answers[2], expected[2]);
  }
}

TEST(Search, BadOptionsAreRefused) {
  const auto refuses = [](const char* words, const std::function<void(ToyCase&)>& change,
                          Status status = Status::kInvalidArgument) {
    ToyCase toy = plain_case();
    const SearchLimits limits = test::toy_limits(toy);
    change(toy);
    EXPECT_ERROR(ToySearch(toy, limits), status, words);
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  refuses("n_beams is 0", [](ToyCase& t) { t.options.n_beams = 0; });
  refuses("n_beams is 13", [](ToyCase& t) { t.options.n_beams = 13; });
  refuses("only 10 are neither suppressed nor an end", [](ToyCase& t) { t.options.n_beams = 11; });
  refuses("n_best is 0", [](ToyCase& t) { t.options.n_best = 0; });
  refuses("n_best is 4", [](ToyCase& t) { t.options.n_best = 4; });
  refuses("n_beams is 3; with sampling", [](ToyCase& t) { t.options.sample = true; });
  refuses("length_penalty is nan", [](ToyCase& t) { t.options.length_penalty = kNan; });
  refuses("length_penalty is -inf", [](ToyCase& t) { t.options.length_penalty = -HUGE_VAL; });
  refuses("temperature is 0", [](ToyCase& t) { t.options.temperature = 0; });
  refuses("temperature is nan", [](ToyCase& t) { t.options.temperature = kNan; });
  refuses("temperature is inf", [](ToyCase& t) { t.options.temperature = HUGE_VALF; });
  refuses("top_k is -1", [](ToyCase& t) { t.options.top_k = -1; });
  refuses("top_p is 0", [](ToyCase& t) { t.options.top_p = 0; });
  refuses("top_p is 1.5", [](ToyCase& t) { t.options.top_p = 1.5; });
  refuses("top_p is nan", [](ToyCase& t) { t.options.top_p = kNan; });
  refuses("min_p is -0.5", [](ToyCase& t) { t.options.min_p = -0.5F; });
  refuses("min_p is 1.5", [](ToyCase& t) { t.options.min_p = 1.5F; });
  refuses("min_p is nan", [](ToyCase& t) { t.options.min_p = kNan; });
  refuses("repetition_penalty is -1", [](ToyCase& t) { t.options.repetition_penalty = -1; });
  refuses("repetition_penalty is 0", [](ToyCase& t) { t.options.repetition_penalty = 1e-60; });
  refuses("max_new_tokens is 0", [](ToyCase& t) { t.options.max_new_tokens = 0; });
  refuses("min_new_tokens is 9", [](ToyCase& t) { t.options.min_new_tokens = 9; });
  refuses("min_new_tokens is -1", [](ToyCase& t) { t.options.min_new_tokens = -1; });
  refuses("start_id is -2", [](ToyCase& t) { t.options.start_id = -2; });
  refuses("source 0 has neither a start nor a prefix", [](ToyCase& t) { t.options.start_id = -1; });
  refuses("start_id is 12", [](ToyCase& t) { t.options.start_id = 12; });
  refuses("forced_first_id is 12", [](ToyCase& t) { t.options.forced_first_id = 12; });
  refuses("forced_last_id is -2", [](ToyCase& t) { t.options.forced_last_id = -2; });
  refuses("end_ids is 12", [](ToyCase& t) { t.end_ids = {2, 12}; });
  refuses("suppressed_ids is -1", [](ToyCase& t) { t.suppressed_ids = {-1}; });
  refuses("prefix of source 2 has token 12", [](ToyCase& t) { t.sources[2].prefix = {12}; });

  const Status too_large = Status::kTooLarge;
  refuses(
      "n_beams: 4", [](ToyCase& t) { t.options.n_beams = 4; }, too_large);
  refuses(
      "sources: 4", [](ToyCase& t) { t.sources.emplace_back(); }, too_large);
  refuses(
      "prefix: 3",
      [](ToyCase& t) {
        t.sources[0].prefix = {1, 1, 1};
      },
      too_large);
  refuses(
      "max_new_tokens: 11", [](ToyCase& t) { t.options.max_new_tokens = 9; }, too_large);
  refuses(
      "all logits", [](ToyCase& t) { t.options.repetition_penalty = 1.1; }, too_large);
}

TEST(Search, IsUsableAfterARefusalAndAfterAnAbandonedSearch) {
  const ToyCase toy = plain_case();
  const ToyAnswers expected = test::toy_answers(toy);
  ToySearch search(toy, test::toy_limits(toy));
  search.step();
  search.step();
  SearchOptions bad;
  EXPECT_ERROR(search.search().begin(bad, {}), Status::kInvalidArgument, "max_new_tokens");
  EXPECT_TRUE(search.search().done());
  search.begin();
  EXPECT_EQ(search.finish(), expected);
}

}  // namespace
}  // namespace headlane

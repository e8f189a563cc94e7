// A callback is told of an answer while it grows, and may stop it.
#include <algorithm>
#include <stdexcept>

#include "tests/api/generator.h"

namespace headlane::test {
namespace {

class GenerateCallback : public GenerateTest {};

// The tokens that a callback was told, and its answers.
struct ToldOfTokens {
  static headlane_next tell(void* user, int64_t source, int32_t id, int64_t n_tokens) {
    auto* told = static_cast<ToldOfTokens*>(user);
    std::vector<int32_t>& ids = told->ids[source];
    ids.push_back(id);
    EXPECT_EQ(n_tokens, static_cast<int64_t>(ids.size()));
    if (n_tokens != told->at) return HEADLANE_GO_ON;
    return told->source < 0 || told->source == source ? told->says : HEADLANE_GO_ON;
  }
  void listen(headlane_generate_options* options) {
    options->on_token = tell;
    options->user = this;
  }

  int64_t source = -1, at = 0;  // where it stops, of all sources: -1
  headlane_next says = HEADLANE_GO_ON;
  std::map<int64_t, std::vector<int32_t>> ids;
};

TEST_F(GenerateCallback, GreedyTellsEachTokenInOrder) {
  headlane_generate_options options = beams(1);
  const Answers expected = ask(options);
  ToldOfTokens told;
  told.listen(&options);
  EXPECT_EQ(ask(options), expected);
  ASSERT_EQ(told.ids.size(), sources_.size());
  for (size_t i = 0; i < sources_.size(); ++i) {
    EXPECT_EQ(told.ids[static_cast<int64_t>(i)], expected[i][0].ids) << i;
  }
}

TEST_F(GenerateCallback, APrefixIsNotTold) {
  const std::vector<int32_t> prefix_ids = {7, 8, 9, 10};
  std::vector<int64_t> prefix_offsets(sources_.size() + 1, 4);
  prefix_offsets[0] = 0;
  prefix_offsets[1] = 1;
  headlane_generate_options options = beams(1);
  options.prefix_offsets = prefix_offsets.data();
  options.prefix_ids = prefix_ids.data();
  ToldOfTokens told;
  told.listen(&options);
  const Answers answers = ask(options);
  for (size_t i = 0; i < sources_.size(); ++i) {
    const std::vector<int32_t>& ids = answers[i][0].ids;
    const int64_t n = prefix_offsets[i + 1] - prefix_offsets[i];
    EXPECT_EQ(std::vector<int32_t>(ids.begin() + n, ids.end()), told.ids[static_cast<int64_t>(i)]);
  }
}

TEST_F(GenerateCallback, BeamsTellTheBestOfTheTime) {
  headlane_generate_options options = beams(4, 4);
  const Answers expected = ask(options);
  ToldOfTokens told;
  told.listen(&options);
  EXPECT_EQ(ask(options), expected);
  for (size_t i = 0; i < sources_.size(); ++i) {
    const size_t n = told.ids[static_cast<int64_t>(i)].size();
    EXPECT_GE(n, 1u);
    EXPECT_LE(n, static_cast<size_t>(facts_.max_new_tokens));
  }
}

TEST_F(GenerateCallback, StoppingASourceEndsItAlone) {
  for (const int64_t n_beams : {1, 4}) {
    headlane_generate_options options = beams(n_beams);
    const Answers expected = ask(options);
    for (const int64_t at : {1, 3}) {
      for (const int64_t source : {int64_t{0}, int64_t{7}, int64_t{19}}) {
        SCOPED_TRACE(testing::Message() << n_beams << " beams, " << at << ", " << source);
        ToldOfTokens told;
        told.source = source;
        told.at = at;
        told.says = HEADLANE_STOP_SOURCE;
        told.listen(&options);
        const Answers answers = ask(options);
        for (size_t i = 0; i < sources_.size(); ++i) {
          if (static_cast<int64_t>(i) != source) {
            EXPECT_EQ(answers[i], expected[i]) << i;
            continue;
          }
          const std::vector<int32_t>& ids = answers[i][0].ids;
          EXPECT_LE(ids.size(), static_cast<size_t>(at));
          EXPECT_EQ(told.ids[source].size(), static_cast<size_t>(at));
          if (n_beams == 1) {
            EXPECT_EQ(ids, told.ids[source]);
            EXPECT_TRUE(std::equal(ids.begin(), ids.end(), expected[i][0].ids.begin()));
          }
          EXPECT_LT(answers[i][0].score, 0);
        }
      }
    }
    options.on_token = nullptr;
    EXPECT_EQ(ask(options), expected) << "as good as new";
  }
}

TEST_F(GenerateCallback, StoppingAllLeavesEachWhatItHas) {
  for (const int64_t n_beams : {1, 4}) {
    headlane_generate_options options = beams(n_beams);
    const Answers expected = ask(options);
    const auto longest = std::max_element(
        expected.begin(), expected.end(),
        [](const auto& a, const auto& b) { return a[0].ids.size() < b[0].ids.size(); });
    for (const int64_t source : {int64_t{-1}, longest - expected.begin()}) {
      ToldOfTokens told;
      told.source = source;
      told.at = 3;
      told.says = HEADLANE_STOP_ALL;
      told.listen(&options);
      const Answers answers = ask(options);
      for (size_t i = 0; i < sources_.size(); ++i) {
        const std::vector<int32_t>& ids = answers[i][0].ids;
        ASSERT_GE(ids.size(), 1u);
        EXPECT_LE(ids.size(), 3u);
        if (n_beams > 1) continue;
        EXPECT_TRUE(std::equal(ids.begin(), ids.end(), expected[i][0].ids.begin())) << i;
      }
    }
    // A value that is none of the enum's stops too, rather than never.
    ToldOfTokens told;
    told.at = 1;
    told.says = static_cast<headlane_next>(3);
    told.listen(&options);
    for (const auto& answers : ask(options)) EXPECT_EQ(answers[0].ids.size(), 1u);
    options.on_token = nullptr;
    EXPECT_EQ(ask(options), expected) << "as good as new";
  }
}

// The library is C: what a callback throws does not pass it, and leaves no half answers.
TEST_F(GenerateCallback, ACallbackThatThrows) {
  headlane_generate_options options = beams(1);
  const Answers expected = ask(options);
  options.on_token = [](void*, int64_t, int32_t, int64_t n_tokens) -> headlane_next {
    if (n_tokens == 2) throw std::runtime_error("enough");
    return HEADLANE_GO_ON;
  };
  const FlatSequences flat(sources_);
  const headlane_batch batch = flat.batch();
  expect_status(headlane_generator_generate(generator_.get(), &batch, &options), HEADLANE_INTERNAL,
                "enough");
  headlane_answer answer = HEADLANE_INIT(headlane_answer);
  expect_status(headlane_generator_get_answer(generator_.get(), 0, 0, &answer),
                HEADLANE_INVALID_ARGUMENT, "the last call answered 0");
  options.on_token = nullptr;
  EXPECT_EQ(ask(options), expected);
}

}  // namespace
}  // namespace headlane::test

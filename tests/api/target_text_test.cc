// Texts of targets, and languages, by the C API: on the example, and where there are none.
#include <gtest/gtest.h>

#include <cstring>

#include "headlane/headlane.h"
#include "tests/api/encoder.h"
#include "tests/support/lines.h"

namespace headlane::test {
namespace {

const std::string kExample = HEADLANE_GOLDEN_DIR "/../../examples/translate/zh-en.headlane";
const std::string kPairs = HEADLANE_GOLDEN_DIR "/translate";

class TargetText : public testing::Test {
 protected:
  static void expect_failure(headlane_status status, headlane_status expected,
                             const std::string& words) {
    EXPECT_EQ(status, expected);
    EXPECT_NE(std::string(headlane_error()).find(words), std::string::npos) << headlane_error();
  }

  const ModelHandle model_ = open_model(kExample);
};

// The model spells its answers as it was taught: the ids of its answers are those of their texts.
TEST_F(TargetText, IdsAreThoseOfTheAnswers) {
  const std::vector<std::string> texts = read_lines(kPairs + "/greedy.txt");
  const std::vector<std::string> lines = read_lines(kPairs + "/greedy_ids.txt");
  ASSERT_EQ(texts.size(), 512u);
  headlane_tokenize_options options = HEADLANE_INIT(headlane_tokenize_options);
  options.as_target = 1;
  for (size_t i = 0; i < texts.size(); ++i) {
    int32_t ids[64];
    int64_t n = 0;
    ASSERT_EQ(headlane_model_tokenize(model_.get(), texts[i].data(), texts[i].size(), &options, ids,
                                      64, &n),
              HEADLANE_OK);
    std::string line;
    for (int64_t k = 0; k < n; ++k) line += std::to_string(ids[k]) + " ";
    EXPECT_EQ(line + "0", lines[i]) << texts[i];  // and the end
  }
}

TEST_F(TargetText, IsCutAndMayBeEmpty) {
  headlane_tokenize_options options = HEADLANE_INIT(headlane_tokenize_options);
  options.as_target = 1;
  options.max_len = 3;
  int32_t ids[3];
  int64_t n = 0;
  ASSERT_EQ(headlane_model_tokenize(model_.get(), "It's cold", 9, &options, ids, 3, &n),
            HEADLANE_OK);
  EXPECT_EQ(n, 3);
  ASSERT_EQ(headlane_model_tokenize(model_.get(), "", 0, &options, ids, 3, &n), HEADLANE_OK);
  EXPECT_EQ(n, 0);
  options.max_len = -1;
  expect_failure(headlane_model_tokenize(model_.get(), "a", 1, &options, ids, 3, &n),
                 HEADLANE_INVALID_ARGUMENT, "max_len is -1");
}

TEST_F(TargetText, TokensHaveTheirSpelling) {
  const char* text = nullptr;
  size_t bytes = 0;
  ASSERT_EQ(headlane_model_get_target_token(model_.get(), 0, &text, &bytes), HEADLANE_OK);
  EXPECT_EQ(std::string(text, bytes), "</s>");
  expect_failure(headlane_model_get_target_token(model_.get(), 996, &text, &bytes),
                 HEADLANE_INVALID_ARGUMENT, "id is 996");
  expect_failure(headlane_model_get_target_token(model_.get(), 0, nullptr, &bytes),
                 HEADLANE_INVALID_ARGUMENT, "text is null");
}

TEST_F(TargetText, WhereThereAreNoLanguages) {
  EXPECT_EQ(facts_of(model_.get()).n_languages, 0);
  EXPECT_EQ(facts_of(model_.get()).forced_first_id, -1);
  headlane_language_facts facts{};
  facts.struct_size = sizeof facts;
  expect_failure(headlane_model_get_language(model_.get(), 0, &facts), HEADLANE_INVALID_ARGUMENT,
                 "language index i is 0; the model has 0 languages");
  expect_failure(headlane_model_get_language(nullptr, 0, &facts), HEADLANE_INVALID_ARGUMENT,
                 "model is null");
}

}  // namespace
}  // namespace headlane::test

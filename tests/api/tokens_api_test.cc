// The C API's calls on tokens: ids of a text and back, and their spelling.
#include <string>

#include "tests/api/encoder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

class CApiTokens : public testing::Test {
 protected:
  void SetUp() override {
    path_ = temp_.file("model.headlane");
    check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path_.c_str(),
                           nullptr));
  }

  // The call failed with this status, and the sentence names `named`.
  static void expect_failure(headlane_status got, headlane_status expected,
                             const std::string& named) {
    EXPECT_EQ(got, expected) << headlane_error();
    EXPECT_NE(std::string(headlane_error()).find(named), std::string::npos) << headlane_error();
  }

  TempDir temp_;
  std::string path_;
};

TEST_F(CApiTokens, TokenizeCountsTruncatesAndRefuses) {
  Encoder encoder(path_, "", 1);
  const std::string text(5000, 'x');
  int64_t n = 0;
  EXPECT_EQ(
      headlane_model_tokenize(encoder.model(), text.data(), text.size(), nullptr, nullptr, 0, &n),
      HEADLANE_OK);
  EXPECT_GE(n, 2);
  int32_t ids[2];
  const std::string words = "a b c d e f g";
  const auto tokenize = [&](int64_t max_len) {
    headlane_tokenize_options options = HEADLANE_INIT(headlane_tokenize_options);
    options.max_len = max_len;
    return headlane_model_tokenize(encoder.model(), words.data(), words.size(), &options, ids, 2,
                                   &n);
  };
  EXPECT_EQ(tokenize(2), HEADLANE_OK);
  EXPECT_EQ(n, 2);
  expect_failure(tokenize(3), HEADLANE_TOO_LARGE, "capacity");
  EXPECT_EQ(n, 3);
  expect_failure(tokenize(1), HEADLANE_INVALID_ARGUMENT, "max_len");
  const char* token = nullptr;
  size_t bytes = 0;
  EXPECT_EQ(headlane_model_get_token(encoder.model(), ids[0], &token, &bytes), HEADLANE_OK);
  EXPECT_EQ(std::string(token, bytes), "[CLS]");
  expect_failure(headlane_model_get_token(encoder.model(), -1, &token, &bytes),
                 HEADLANE_INVALID_ARGUMENT, "id");
}

TEST_F(CApiTokens, TokenizeKnowsLanguagesWhereTheModelDoes) {
  Encoder encoder(path_, "", 1);
  headlane_tokenize_options options = HEADLANE_INIT(headlane_tokenize_options);
  int64_t n = 0;
  options.max_len = 3;
  EXPECT_EQ(headlane_model_tokenize(encoder.model(), "a b c", 5, &options, nullptr, 0, &n),
            HEADLANE_OK);
  EXPECT_EQ(n, 3);
  options.source_language = "";
  EXPECT_EQ(headlane_model_tokenize(encoder.model(), "a b c", 5, &options, nullptr, 0, &n),
            HEADLANE_OK);
  options.target_language = "zh";
  expect_failure(headlane_model_tokenize(encoder.model(), "a b c", 5, &options, nullptr, 0, &n),
                 HEADLANE_UNSUPPORTED, "languages");
  options.struct_size = 1;
  expect_failure(headlane_model_tokenize(encoder.model(), "a b c", 5, &options, nullptr, 0, &n),
                 HEADLANE_INVALID_ARGUMENT, "struct_size");
}

TEST_F(CApiTokens, DetokenizeGivesTheTextOfIds) {
  Encoder encoder(path_, "", 1);
  int32_t ids[8];
  int64_t n_ids = 0, n_bytes = 0;
  ASSERT_EQ(headlane_model_tokenize(encoder.model(), "a b c", 5, nullptr, ids, 8, &n_ids),
            HEADLANE_OK);
  ASSERT_EQ(headlane_model_detokenize(encoder.model(), ids, n_ids, nullptr, 0, &n_bytes),
            HEADLANE_OK);
  ASSERT_EQ(n_bytes, 5);
  char text[8] = "xxxxxxx";
  ASSERT_EQ(headlane_model_detokenize(encoder.model(), ids, n_ids, text, 8, &n_bytes), HEADLANE_OK);
  EXPECT_EQ(std::string(text, 7), "a b cxx");
  n_bytes = 0;
  expect_failure(headlane_model_detokenize(encoder.model(), ids, n_ids, text, 4, &n_bytes),
                 HEADLANE_TOO_LARGE, "5 bytes");
  EXPECT_EQ(n_bytes, 5);
  EXPECT_EQ(headlane_model_detokenize(encoder.model(), nullptr, 0, text, 8, &n_bytes), HEADLANE_OK);
  EXPECT_EQ(n_bytes, 0);
  ids[1] = 1 << 30;
  expect_failure(headlane_model_detokenize(encoder.model(), ids, n_ids, text, 8, &n_bytes),
                 HEADLANE_INVALID_ARGUMENT, "id is 1073741824");
  expect_failure(headlane_model_detokenize(encoder.model(), nullptr, 1, text, 8, &n_bytes),
                 HEADLANE_INVALID_ARGUMENT, "ids");
  expect_failure(headlane_model_detokenize(encoder.model(), ids, -1, text, 8, &n_bytes),
                 HEADLANE_INVALID_ARGUMENT, "n_ids");
  expect_failure(headlane_model_detokenize(encoder.model(), ids, 1, text, -1, &n_bytes),
                 HEADLANE_INVALID_ARGUMENT, "capacity");
  expect_failure(headlane_model_detokenize(encoder.model(), ids, 1, text, 8, nullptr),
                 HEADLANE_INVALID_ARGUMENT, "n_bytes");
}

TEST_F(CApiTokens, TokenIdsAreFoundByTheirSpelling) {
  Encoder encoder(path_, "", 1);
  int32_t id = -1;
  EXPECT_EQ(headlane_model_find_token(encoder.model(), "[CLS]", 5, &id), HEADLANE_OK);
  const char* token = nullptr;
  size_t bytes = 0;
  EXPECT_EQ(headlane_model_get_token(encoder.model(), id, &token, &bytes), HEADLANE_OK);
  EXPECT_EQ(std::string(token, bytes), "[CLS]");
  expect_failure(headlane_model_find_token(encoder.model(), "[CLS]", 4, &id),
                 HEADLANE_INVALID_ARGUMENT, "the model has no token \"[CLS\"");
  expect_failure(headlane_model_find_token(encoder.model(), "", 0, &id), HEADLANE_INVALID_ARGUMENT,
                 "no token");
  expect_failure(headlane_model_find_token(encoder.model(), nullptr, 4, &id),
                 HEADLANE_INVALID_ARGUMENT, "text");
}

}  // namespace
}  // namespace headlane::test

// headlane_session_embed of pairs of texts, against tokenising and encoding one by one.
#include "tests/api/encoder.h"
#include "tests/support/lines.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

const std::string kPairsFolder = HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize";

// Strings in Arrow's layout.
struct Column {
  explicit Column(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      data += text;
      offsets.push_back(std::ssize(data));
      offsets_32.push_back(static_cast<int32_t>(data.size()));
    }
  }
  headlane_texts get(bool of_64_bits = true) const {
    TextArray texts;
    texts.n_texts = std::ssize(offsets) - 1;
    texts.data = data.data();
    texts.data_bytes = std::ssize(data);
    if (of_64_bits) {
      texts.offsets_64 = offsets.data();
    } else {
      texts.offsets_32 = offsets_32.data();
    }
    return texts;
  }
  std::string data;
  std::vector<int64_t> offsets = {0};
  std::vector<int32_t> offsets_32 = {0};
};

class EmbedPairs : public testing::Test {
 protected:
  EmbedPairs() {
    convert(kPairsFolder, path_);
    first_ = read_lines(kPairsFolder + "/texts.txt");
    first_.emplace_back();
    first_.push_back(std::string(900, 'a') + " b");
    second_ = first_;
    std::rotate(second_.begin(), second_.begin() + 5, second_.end());
  }

  std::vector<float> one_by_one(const Model& model, const TokenizeOptions& options) const {
    Session session(model);
    std::vector<float> vectors;
    for (size_t i = 0; i < first_.size(); ++i) {
      const TokenPair pair = model.tokenize_pair(first_[i], second_[i], options);
      std::vector<float> one(static_cast<size_t>(model.facts().d_model));
      session.encode(Batch().add(pair.ids, pair.type_ids), {}, one);
      vectors.insert(vectors.end(), one.begin(), one.end());
    }
    return vectors;
  }

  static void expect_failure(headlane_status status, headlane_status expected,
                             const std::string& sentence) {
    EXPECT_EQ(status, expected);
    EXPECT_EQ(headlane_error(), sentence);
  }

  const TempDir temp_;
  const std::string path_ = temp_.file("model.headlane");
  std::vector<std::string> first_, second_;
};

TEST_F(EmbedPairs, BitsAreThoseOfEachPairAlone) {
  const Model model(path_);
  const Column first(first_), second(second_);
  for (const char* prompt : {"", "a b "}) {
    TokenizeOptions tokenize;
    tokenize.prompt = prompt;
    tokenize.max_len = 24;
    const std::vector<float> expected = one_by_one(model, tokenize);
    for (const int n_threads : {1, 2}) {
      for (const bool of_64_bits : {false, true}) {
        SessionOptions session_options;
        session_options.n_threads = n_threads;
        session_options.max_tokens = 60;
        Session session(model, session_options);
        const headlane_texts column = second.get(of_64_bits);
        EmbedOptions options;
        options.tokenize = &tokenize;
        options.second = &column;
        std::vector<float> got(expected.size());
        session.embed(first.get(!of_64_bits), got, 0, options);
        EXPECT_TRUE(got == expected) << n_threads << " threads";
      }
    }
  }
}

// The types count: a pair is not its texts one behind the other.
TEST_F(EmbedPairs, TypesReachTheModel) {
  const Model model(path_);
  Session session(model);
  const TokenPair pair = model.tokenize_pair("a b", "c");
  EXPECT_EQ(std::count(pair.type_ids.begin(), pair.type_ids.end(), 1), 2);
  const auto d = static_cast<size_t>(model.facts().d_model);
  std::vector<float> typed(d), untyped(d), embedded(d);
  session.encode(Batch().add(pair.ids, pair.type_ids), {}, typed);
  session.encode(Batch().add(pair.ids), {}, untyped);
  const Column first({"a b"}), second({"c"});
  const headlane_texts column = second.get();
  EmbedOptions options;
  options.second = &column;
  session.embed(first.get(), embedded, 0, options);
  EXPECT_TRUE(embedded == typed);
  EXPECT_FALSE(embedded == untyped);
}

TEST_F(EmbedPairs, WhatDoesNotFitIsNamed) {
  const Model model(path_);
  Session session(model);
  const Column first({"a", "b"}), one({"a"});
  const headlane_texts texts = first.get();
  headlane_texts second = one.get();
  TokenizeOptions tokenize;
  EmbedOptions options;
  options.tokenize = &tokenize;
  options.second = &second;
  std::vector<float> out(2 * static_cast<size_t>(model.facts().d_model));
  const auto embed = [&] {
    return headlane_session_embed(session.get(), &texts, &options, out.data(), 0);
  };
  expect_failure(embed(), HEADLANE_INVALID_ARGUMENT,
                 "second.n_texts is 1; it must be as texts.n_texts, 2");
  second.n_texts = -1;
  expect_failure(embed(), HEADLANE_INVALID_ARGUMENT, "second.n_texts is -1; it must be 0 or more");
  second = texts;
  tokenize.max_len = 2;
  expect_failure(embed(), HEADLANE_INVALID_ARGUMENT,
                 "max_len is 2; it must be at least 3, for special tokens");
  tokenize.max_len = 0;
  tokenize.as_target = 1;
  expect_failure(embed(), HEADLANE_INVALID_ARGUMENT,
                 "as_target is set, but targets are no pairs of texts");
}

TEST_F(EmbedPairs, OtherTokenizersTakeNone) {
  const Model model(HEADLANE_GOLDEN_DIR "/../../examples/translate/zh-en.headlane");
  int64_t n = 0;
  expect_failure(
      headlane_model_tokenize_pair(model.get(), "a", 1, "b", 1, nullptr, nullptr, nullptr, 0, &n),
      HEADLANE_UNSUPPORTED, "the model's tokenizer does not take pairs of texts");
}

}  // namespace
}  // namespace headlane::test

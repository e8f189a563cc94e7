// Text as it comes: what is shown never changes, and is the whole decoding in the end, for bytes of
// characters in tokens of their own, bytes that are no characters, and stops that begin and do not
// end.
#include "engine/generate/answer_text.h"

#include <gtest/gtest.h>

#include <random>

namespace headlane {
namespace {

// A token for each byte, spelled as byte fallback spells them, or as bytes are; then some words.
class ToyTokenizer : public Tokenizer {
 public:
  explicit ToyTokenizer(bool fallback) : fallback_(fallback) {
    for (int i = 0; i < 256; ++i) {
      char spelling[8];
      std::snprintf(spelling, sizeof spelling, "<0x%02X>", i);
      tokens_.emplace_back(fallback ? std::string(spelling) : "byte " + std::to_string(i));
    }
    for (const char* word : {"a", " word", "\xe4\xbd\xa0", "END", "\xf0\x9f\x98\x80!"}) {
      tokens_.emplace_back(word);
    }
  }
  bool is_special(int32_t) const override { return false; }
  int64_t vocab_size() const override { return std::ssize(tokens_); }
  std::string_view token(int32_t id) const override { return tokens_[static_cast<size_t>(id)]; }
  int32_t find(std::string_view) const override { return -1; }
  // A run of bytes is its characters, or U+FFFD for each byte if it has some that are none; with
  // bytes as they are, those that are none are U+FFFD one by one.
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text, run;
    const auto end_run = [&] {
      text += characters_of(run);
      run.clear();
    };
    for (const int32_t id : ids) {
      if (id < 256) {
        run += static_cast<char>(id);
        continue;
      }
      if (fallback_) end_run();
      (fallback_ ? text : run) += tokens_[static_cast<size_t>(id)];
    }
    end_run();
    return text;
  }

 protected:
  void append_text(std::string_view, size_t, std::vector<int32_t>*) const override {}

 private:
  static size_t length_of(std::string_view text) {  // of the character in front; 0: none
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const size_t n = byte(0) < 0x80   ? 1
                     : byte(0) < 0xC2 ? 0
                     : byte(0) < 0xE0 ? 2
                     : byte(0) < 0xF0 ? 3
                     : byte(0) < 0xF5 ? 4
                                      : 0;
    if (n > text.size()) return 0;
    for (size_t i = 1; i < n; ++i) {
      if ((byte(i) & 0xC0) != 0x80) return 0;
    }
    return n;
  }
  std::string characters_of(std::string_view run) const {
    std::string text;
    bool whole = true;
    for (size_t i = 0; i < run.size();) {
      const size_t n = length_of(run.substr(i));
      whole = whole && n > 0;
      text += n > 0 ? std::string(run.substr(i, n)) : "\xef\xbf\xbd";
      i += std::max<size_t>(n, 1);
    }
    if (whole || !fallback_) return text;
    text.clear();
    for (size_t i = 0; i < run.size(); ++i) text += "\xef\xbf\xbd";
    return text;
  }

  bool fallback_;
  std::vector<std::string> tokens_;
};

std::vector<int32_t> random_ids(std::mt19937* random, const Tokenizer& tokenizer, size_t n) {
  // Parts of characters, in order and out of it, and words.
  const std::vector<int32_t> pool = {0xE4, 0xBD, 0xA0, 0xF0, 0x9F, 0x98, 0x80, 'x', ' ', 0xFF};
  std::vector<int32_t> ids;
  while (ids.size() < n) {
    const uint32_t what = (*random)() % 4;
    if (what == 0) {
      ids.insert(ids.end(), {0xE4, 0xBD, 0xA0});
    } else if (what == 1) {
      ids.push_back(pool[(*random)() % pool.size()]);
    } else {
      ids.push_back(static_cast<int32_t>(256 + (*random)() % (tokenizer.vocab_size() - 256)));
    }
  }
  ids.resize(n);
  return ids;
}

class AnswerTextOf : public testing::TestWithParam<bool> {
 protected:
  const ToyTokenizer tokenizer_{GetParam()};
  std::mt19937 random_{3};
};

TEST_P(AnswerTextOf, IsTheWholeDecoding) {
  for (size_t round = 0; round < 300; ++round) {
    const std::vector<int32_t> ids = random_ids(&random_, tokenizer_, round % 30);
    const std::vector<int32_t> prompt = {256, 257, 258};
    AnswerText text(tokenizer_, {}, prompt);
    std::string before;
    for (const int32_t id : ids) {
      EXPECT_TRUE(text.add(id));
      const std::string shown(text.shown());
      ASSERT_TRUE(shown.starts_with(before));
      before = shown;
    }
    EXPECT_TRUE(text.finish());
    const std::string whole = tokenizer_.decode(ids);
    ASSERT_EQ(text.shown(), whole) << round;
    ASSERT_TRUE(whole.starts_with(before));
  }
}

TEST_P(AnswerTextOf, EndsBeforeTheFirstStop) {
  for (size_t round = 0; round < 300; ++round) {
    const std::vector<int32_t> ids = random_ids(&random_, tokenizer_, 30);
    const std::vector<int32_t> prompt = {256};
    const std::string whole = tokenizer_.decode(ids);
    const std::vector<std::string> stops = {"EN word", " wordEND", "a\xe4\xbd\xa0"};
    size_t end = whole.size();
    for (const std::string& stop : stops) end = std::min(end, whole.find(stop));
    AnswerText text(tokenizer_, stops, prompt);
    bool goes_on = true;
    for (size_t i = 0; goes_on && i < ids.size(); ++i) {
      goes_on = text.add(ids[i]);
      ASSERT_TRUE(whole.substr(0, end).starts_with(text.shown())) << text.shown();
    }
    const bool finished = text.finish();
    EXPECT_EQ(text.shown(), whole.substr(0, end));
    EXPECT_EQ(finished, end == whole.size());
  }
}

// A prompt may end within a character, which the answer finishes.
TEST_P(AnswerTextOf, FinishesTheLastCharacterOfThePrompt) {
  const std::vector<int32_t> prompt = {256, 0xE4, 0xBD};
  AnswerText text(tokenizer_, {}, prompt);
  text.add(0xA0);
  text.add(257);
  EXPECT_EQ(text.shown(), "\xe4\xbd\xa0 word");
}

INSTANTIATE_TEST_SUITE_P(Bytes, AnswerTextOf, testing::Bool(),
                         [](const auto& info) { return info.param ? "Fallback" : "Plain"; });

}  // namespace
}  // namespace headlane

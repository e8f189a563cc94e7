// headlane_session_embed refuses what it cannot do, by a sentence, before it writes anything.
#include <algorithm>
#include <functional>

#include "tests/api/embed.h"

namespace headlane::test {
namespace {

class EmbedErrors : public Embed {};

// Data that nobody may read: what is refused is refused before.
TEST_F(EmbedErrors, WhatIsWrongIsRefusedBeforeAnythingIsRead) {
  const SessionHandle of = session(2);
  Floats out(8 * d(), kUntouched);
  const auto refuse = [&](const std::vector<int64_t>& offsets, int64_t data_bytes,
                          const std::string& sentence) {
    const std::vector<int32_t> offsets_32(offsets.begin(), offsets.end());
    headlane_texts texts = HEADLANE_INIT(headlane_texts);
    texts.n_texts = std::ssize(offsets) - 1;
    texts.data = reinterpret_cast<const char*>(uintptr_t{64});
    texts.data_bytes = data_bytes;
    for (const bool of_64_bits : {false, true}) {
      texts.offsets_32 = of_64_bits ? nullptr : offsets_32.data();
      texts.offsets_64 = of_64_bits ? offsets.data() : nullptr;
      EXPECT_EQ(headlane_session_embed(of.get(), &texts, nullptr, out.data(), 0),
                HEADLANE_INVALID_ARGUMENT);
      const std::string name = of_64_bits ? "texts.offsets_64" : "texts.offsets_32";
      EXPECT_EQ(headlane_error(), name + sentence);
    }
  };
  refuse({-1, 2}, 5, "[0] is -1; it must be 0 or more");
  refuse({0, 3, 2, 5}, 5, "[2] is 2, less than the one before it, 3");
  refuse({0, 3, -2, 5}, 5, "[2] is -2, less than the one before it, 3");
  refuse({0, 3, 6}, 5, "[2] is 6, but texts.data_bytes is only 5");
  refuse({0, 2147483647}, 5, "[1] is 2147483647, but texts.data_bytes is only 5");
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouched), std::ssize(out));
}

TEST_F(EmbedErrors, ArgumentsThatDoNotFit) {
  const SessionHandle of = session(2);
  Floats out(texts_.size() * d(), kUntouched);
  const auto refuse =
      [&](const std::string& sentence,
          const std::function<void(headlane_texts*, headlane_tokenize_options*, float**, int64_t*)>&
              change) {
        headlane_texts texts = arrow_.get();
        headlane_tokenize_options tokenize = HEADLANE_INIT(headlane_tokenize_options);
        headlane_embed_options options = HEADLANE_INIT(headlane_embed_options);
        options.tokenize = &tokenize;
        float* vectors = out.data();
        int64_t stride = 0;
        change(&texts, &tokenize, &vectors, &stride);
        EXPECT_EQ(headlane_session_embed(of.get(), &texts, &options, vectors, stride),
                  HEADLANE_INVALID_ARGUMENT);
        EXPECT_EQ(headlane_error(), sentence);
      };
  const std::string n_bytes =
      std::to_string(arrow_.get().offsets_64[texts_.size()] - arrow_.get().offsets_64[0]);
  refuse("texts.n_texts is -1; it must be 0 or more",
         [](auto* texts, auto*, auto*, auto*) { texts->n_texts = -1; });
  refuse("texts.data_bytes is -1; it must be 0 or more",
         [](auto* texts, auto*, auto*, auto*) { texts->data_bytes = -1; });
  refuse("texts.data is null, but the texts have " + n_bytes + " bytes",
         [](auto* texts, auto*, auto*, auto*) { texts->data = nullptr; });
  refuse(
      "texts.offsets_32 and texts.offsets_64 are both null; set one of the two, and leave the "
      "other null",
      [](auto* texts, auto*, auto*, auto*) { texts->offsets_64 = nullptr; });
  refuse(
      "texts.offsets_32 and texts.offsets_64 are both set; set one of the two, and leave the other "
      "null",
      [&](auto* texts, auto*, auto*, auto*) { texts->offsets_32 = arrow_.get(false).offsets_32; });
  refuse("vectors is null", [](auto*, auto*, float** vectors, auto*) { *vectors = nullptr; });
  refuse("stride is 47; it must be 0, or at least 48, the elements of a vector",
         [](auto*, auto*, auto*, int64_t* stride) { *stride = 47; });
  refuse("max_len is 1; it must be at least 2, for special tokens",
         [](auto*, auto* tokenize, auto*, auto*) { tokenize->max_len = 1; });
  EXPECT_EQ(headlane_session_embed(nullptr, nullptr, nullptr, nullptr, 0),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(), "session is null");
  EXPECT_EQ(headlane_session_embed(of.get(), nullptr, nullptr, out.data(), 0),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(), "texts is null");
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouched), std::ssize(out));
}

TEST_F(EmbedErrors, ATextThatIsLongerThanTheSessionsIsNamed) {
  const std::vector<std::string> some = {"a", "a b", "a b c", "a b c d"};
  const ArrowTexts arrow(some);
  const headlane_texts texts = arrow.get();
  Floats out(some.size() * d(), kUntouched);
  const SessionHandle by_length = session(1, 0, 4), by_tokens = session(1, 4, 4);
  for (headlane_session* of : {by_length.get(), by_tokens.get()}) {
    EXPECT_EQ(headlane_session_embed(of, &texts, nullptr, out.data(), 0), HEADLANE_TOO_LARGE);
    EXPECT_STREQ(headlane_error(),
                 "text 2 has 5 tokens, a sequence of the session at most 4; create the session "
                 "with a larger max_len and max_tokens, or cut texts by max_len of the tokenize "
                 "options");
  }
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouched), std::ssize(out));
}

TEST_F(EmbedErrors, ModelsThatCannotSaySo) {
  Floats out(texts_.size() * 64, kUntouched);
  const headlane_texts texts = arrow_.get();
  const auto refuse = [&](const std::string& folder, const std::string& sentence) {
    const std::string path = temp_.file("other.headlane");
    check(headlane_convert((HEADLANE_GOLDEN_DIR "/" + folder).c_str(), path.c_str(), nullptr));
    model_ = open_model(path);
    EXPECT_EQ(headlane_session_embed(session(1).get(), &texts, nullptr, out.data(), 64),
              HEADLANE_UNSUPPORTED);
    EXPECT_NE(std::string(headlane_error()).find(sentence), std::string::npos) << headlane_error();
  };
  refuse("bert/head_dim_5_one_type_gelu_new", "the file has no tokenizer");
  refuse("layers/attention", "the model takes activations, not token ids");
  EXPECT_EQ(std::count(out.begin(), out.end(), kUntouched), std::ssize(out));
}

}  // namespace
}  // namespace headlane::test

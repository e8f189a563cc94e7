// Text of sequences as it comes: that of transformers, never half a character, ended by stops; and
// callbacks, which may call the sequences themselves.
#include <nlohmann/json.hpp>

#include "tests/api/sequences.h"

namespace headlane::test {
namespace {

using nlohmann::json;

// A callback was told this of a sequence.
struct Heard {
  Growing* growing = nullptr;
  std::string text, finish;
  Ids ids;
  int n_ends = 0;
  int64_t stop_at = -1;

  static headlane_next hear(void* user, const headlane_sequence_token* token) {
    auto* self = static_cast<Heard*>(user);
    self->text.append(token->text, token->text_bytes);
    if (token->id >= 0) self->ids.push_back(token->id);
    EXPECT_EQ(token->n_new, std::ssize(self->ids));
    if (token->finish_reason) self->finish = token->finish_reason, ++self->n_ends;
    EXPECT_EQ(self->growing->text(token->sequence), self->text);
    return token->n_new == self->stop_at ? HEADLANE_STOP_SOURCE : HEADLANE_GO_ON;
  }
};

bool is_utf8(const std::string& text) {
  try {
    const json value = text;
    return !value.dump().empty();
  } catch (const json::exception&) {
    return false;
  }
}

class SequencesText : public testing::TestWithParam<const char*> {
 protected:
  int64_t add(const std::string& text, Heard* heard, headlane_sequence_options options) {
    heard->growing = &growing_;
    options.on_token = Heard::hear;
    options.user = heard;
    int64_t number = 0;
    check(headlane_sequences_add_text(growing_.get(), text.data(), text.size(), &options, &number));
    return number;
  }

  const ModelHandle model_ = open_model(language_model_file(GetParam()));
  const json texts_ = json::parse(
      read_file(std::string(HEADLANE_GOLDEN_DIR "/language_models/") + GetParam() + "/texts.json"));
  Growing growing_{model_.get(), sequences_options(4, 600)};
};

TEST_P(SequencesText, IsThatOfTransformers) {
  std::vector<Heard> heard(texts_.size());
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < texts_.size(); ++i) {
    numbers.push_back(add(texts_[i]["prompt"], &heard[i], sequence_options(12)));
  }
  while (growing_.step() > 0) {
    for (const Heard& one : heard) EXPECT_TRUE(is_utf8(one.text)) << one.text;
  }
  for (size_t i = 0; i < texts_.size(); ++i) {
    EXPECT_EQ(heard[i].ids, texts_[i]["ids"].get<Ids>());
    EXPECT_EQ(heard[i].text, texts_[i]["text"]);
    EXPECT_EQ(growing_.text(numbers[i]), texts_[i]["text"]);
    EXPECT_EQ(heard[i].finish, heard[i].ids.size() < 12 ? "stop" : "length");
    EXPECT_EQ(heard[i].n_ends, 1);
  }
}

TEST_P(SequencesText, EndsBeforeAStop) {
  const std::string whole = texts_[0]["text"];
  for (size_t begin = 0; begin < whole.size(); ++begin) {
    for (const size_t n : {1u, 4u, 9u}) {
      const std::string stop = whole.substr(begin, n);
      const char* stops[] = {"no such text", stop.c_str()};
      headlane_sequence_options options = sequence_options(12);
      options.stops = stops;
      options.n_stops = 2;
      Heard heard;
      const int64_t number = add(texts_[0]["prompt"], &heard, options);
      growing_.finish();
      EXPECT_EQ(heard.text, whole.substr(0, whole.find(stop)));
      EXPECT_EQ(heard.finish, "stop");
      check(headlane_sequences_remove(growing_.get(), number));
    }
  }
}

TEST_P(SequencesText, ACallbackEndsOne) {
  Heard first, second;
  first.stop_at = 3;
  const int64_t number = add(texts_[0]["prompt"], &first, sequence_options(12));
  add(texts_[1]["prompt"], &second, sequence_options(12));
  growing_.finish();
  EXPECT_EQ(first.ids.size(), 3u);
  EXPECT_STREQ(growing_.facts(number).finish_reason, "callback");
  EXPECT_EQ(second.text, texts_[1]["text"]);
}

// Its own sequence too.
TEST_P(SequencesText, ACallbackMayRemoveAndAdd) {
  struct Chain {
    Growing* growing;
    std::vector<int64_t> numbers;
    static headlane_next next(void* user, const headlane_sequence_token* token) {
      auto* self = static_cast<Chain*>(user);
      int64_t n_unfinished = 0;
      expect_status(headlane_sequences_step(self->growing->get(), &n_unfinished),
                    HEADLANE_INVALID_ARGUMENT, "a step is being taken");
      check(headlane_sequences_remove(self->growing->get(), token->sequence));
      if (self->numbers.size() == 5) return HEADLANE_GO_ON;
      headlane_sequence_options options = sequence_options(3);
      options.on_token = next;
      options.user = user;
      self->numbers.push_back(self->growing->add({token->id}, options));
      return HEADLANE_GO_ON;
    }
  } chain{&growing_, {}};
  headlane_sequence_options options = sequence_options(3);
  options.on_token = Chain::next;
  options.user = &chain;
  growing_.add({7}, options);
  growing_.finish();
  EXPECT_EQ(chain.numbers, (std::vector<int64_t>{2, 3, 4, 5, 6}));
}

INSTANTIATE_TEST_SUITE_P(Models, SequencesText, testing::Values("llama_texts", "qwen2_texts"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace headlane::test

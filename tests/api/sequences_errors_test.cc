// Sequences refuse bad requests by a status and a sentence, and the others go on.
#include "tests/api/sequences.h"

namespace headlane::test {
namespace {

class SequencesErrors : public testing::Test {
 protected:
  SequencesErrors() {
    options_.logprobs = 1;
    running_ = growing_.add({5, 6, 7}, options_);
    growing_.step();
  }
  ~SequencesErrors() override {
    growing_.finish();
    EXPECT_EQ(growing_.grown(running_, options_), grown_alone(model_.get(), {5, 6, 7}, options_));
  }

  void refuse(const Ids& ids, const headlane_sequence_options& options, headlane_status status,
              const std::string& named) {
    int64_t number = -5;
    expect_status(
        headlane_sequences_add(growing_.get(), ids.data(), std::ssize(ids), &options, &number),
        status, named);
    EXPECT_EQ(number, -5);
    growing_.step();
  }
  // `change` makes the options wrong.
  template <typename Change>
  void refuse_option(headlane_status status, const std::string& named, Change change) {
    headlane_sequence_options options = sequence_options();
    change(&options);
    refuse({1, 2}, options, status, named);
  }
  void refuse_sizes(const headlane_sequences_options& sizes, const std::string& named) {
    headlane_sequences* none = nullptr;
    expect_status(headlane_sequences_create(model_.get(), &sizes, &none), HEADLANE_INVALID_ARGUMENT,
                  named);
    size_t bytes = 0;
    expect_status(headlane_sequences_bytes(model_.get(), &sizes, &bytes), HEADLANE_INVALID_ARGUMENT,
                  named);
  }

  const ModelHandle model_ = open_model(language_model_file("llama_texts"));
  headlane_sequence_options options_ = sequence_options(30);
  Growing growing_{model_.get(), sequences_options(4, 400)};
  int64_t running_ = 0;
};

TEST_F(SequencesErrors, Prompts) {
  const headlane_sequence_options options = sequence_options();
  const auto vocab_size = static_cast<int32_t>(facts_of(model_.get()).decoder_vocab_size);
  refuse({1, vocab_size}, options, HEADLANE_INVALID_ARGUMENT,
         "ids[1] is " + std::to_string(vocab_size));
  refuse({-1}, options, HEADLANE_INVALID_ARGUMENT, "ids[0] is -1");
  refuse({}, options, HEADLANE_INVALID_ARGUMENT, "the prompt is empty");
}

TEST_F(SequencesErrors, LongPrompts) {
  const headlane_sequence_options options = sequence_options();
  refuse(Ids(401, 1), options, HEADLANE_TOO_LARGE, "the prompt has 401 tokens");
  refuse(Ids(640, 1), options, HEADLANE_TOO_LARGE, "a sequence has at most 401");
}

TEST_F(SequencesErrors, Stops) {
  const std::string megabyte(1 << 20, 'x');
  const char* long_stop = megabyte.c_str();
  const char* empty = "";
  const char* null = nullptr;
  const std::vector<const char*> many(257, "x");
  const auto stops = [&](const char* const* texts, int64_t n) {
    return [texts, n](headlane_sequence_options* options) {
      options->stops = texts;
      options->n_stops = n;
    };
  };
  refuse_option(HEADLANE_TOO_LARGE, "stops[0] has 1048576 bytes", stops(&long_stop, 1));
  refuse_option(HEADLANE_INVALID_ARGUMENT, "stops[0] is empty", stops(&empty, 1));
  refuse_option(HEADLANE_INVALID_ARGUMENT, "a text of stops is null", stops(&null, 1));
  refuse_option(HEADLANE_TOO_LARGE, "n_stops is 257", stops(many.data(), 257));
  refuse_option(HEADLANE_INVALID_ARGUMENT, "n_stops is 1, but stops is null", stops(nullptr, 1));
  refuse_option(HEADLANE_INVALID_ARGUMENT, "n_stops is -1", stops(&empty, -1));
}

TEST_F(SequencesErrors, WaysToChoose) {
  using Options = headlane_sequence_options;
  const headlane_status wrong = HEADLANE_INVALID_ARGUMENT;
  refuse_option(wrong, "temperature is -1", [](Options* o) { o->temperature = -1; });
  refuse_option(wrong, "top_p is 1.5", [](Options* o) { o->top_p = 1.5f; });
  refuse_option(wrong, "min_p is 2", [](Options* o) { o->min_p = 2; });
  refuse_option(wrong, "top_k is -1", [](Options* o) { o->top_k = -1; });
  refuse_option(wrong, "max_new_tokens is -2", [](Options* o) { o->max_new_tokens = -2; });
  refuse_option(wrong, "min_new_tokens is 9", [](Options* o) { o->min_new_tokens = 9; });
  refuse_option(wrong, "repetition_penalty is -1", [](Options* o) { o->repetition_penalty = -1; });
  refuse_option(wrong, "n_top is 1, but neither", [](Options* o) { o->n_top = 1; });
  refuse_option(HEADLANE_TOO_LARGE, "n_top is 5000", [](Options* o) {
    o->logprobs = 1;
    o->n_top = 5000;
  });
  const int32_t id = 5, beyond = 1 << 20;
  const float bias = 1, nan = NAN;
  refuse_option(wrong, "bias_ids[0] is 1048576", [&](Options* o) {
    o->bias_ids = &beyond;
    o->biases = &bias;
    o->n_bias = 1;
  });
  refuse_option(wrong, "biases[0] is nan", [&](Options* o) {
    o->bias_ids = &id;
    o->biases = &nan;
    o->n_bias = 1;
  });
}

TEST_F(SequencesErrors, WhatThereIsNoRoomFor) {
  headlane_sequences_options sizes = sequences_options();
  sizes.all_logits = sizes.hidden = 0;
  const Growing small(model_.get(), sizes);
  const Ids ids = {1};
  int64_t number = 0;
  headlane_sequence_options options = sequence_options();
  options.sample = 1;
  expect_status(headlane_sequences_add(small.get(), ids.data(), 1, &options, &number),
                HEADLANE_TOO_LARGE, "all_logits");
  options.sample = 0;
  options.hidden = 1;
  expect_status(headlane_sequences_add(small.get(), ids.data(), 1, &options, &number),
                HEADLANE_TOO_LARGE, "hidden");
}

TEST_F(SequencesErrors, Sizes) {
  headlane_sequences_options sizes = sequences_options(8);
  sizes.max_step_tokens = 7;
  refuse_sizes(sizes, "max_step_tokens is 7; it must be max_sequences, 8, or more");
  sizes = sequences_options();
  sizes.max_tokens = -1;
  refuse_sizes(sizes, "sequences option max_tokens is -1");
  sizes = sequences_options();
  sizes.max_len = 1 << 20;
  refuse_sizes(sizes, "sequences option max_len is 1048576");
  sizes = sequences_options();
  sizes.cache = "int4";
  refuse_sizes(sizes, R"(option cache is "int4"; it must be "f32", "bf16" or "int8")");
}

TEST_F(SequencesErrors, NumbersOfSequences) {
  const std::string none = "there is no sequence 77";
  headlane_sequence_facts facts = HEADLANE_INIT(headlane_sequence_facts);
  int64_t n = 0;
  float number = 0;
  headlane_sequences* const get = growing_.get();
  expect_status(headlane_sequences_get(get, 77, &facts), HEADLANE_INVALID_ARGUMENT, none);
  expect_status(headlane_sequences_remove(get, 77), HEADLANE_INVALID_ARGUMENT, none);
  expect_status(headlane_sequences_rewind(get, 77, 1), HEADLANE_INVALID_ARGUMENT, none);
  expect_status(headlane_sequences_get_ids(get, 77, nullptr, 0, &n), HEADLANE_INVALID_ARGUMENT,
                none);
  expect_status(headlane_sequences_fork(get, 77, 1, nullptr, 0, nullptr, &n),
                HEADLANE_INVALID_ARGUMENT, none);
  expect_status(headlane_sequences_fork(get, running_, 70, nullptr, 0, nullptr, &n),
                HEADLANE_INVALID_ARGUMENT, "n_tokens is 70");
  expect_status(headlane_sequences_fork(get, running_, 0, nullptr, 0, nullptr, &n),
                HEADLANE_INVALID_ARGUMENT, "the prompt is empty");
  expect_status(headlane_sequences_rewind(get, running_, 0), HEADLANE_INVALID_ARGUMENT,
                "n_tokens is 0");
  expect_status(headlane_sequences_get_hidden(get, running_, &number), HEADLANE_INVALID_ARGUMENT,
                "it was added without hidden");
  expect_status(headlane_sequences_get_logprobs(get, running_, 0, 2, &number, nullptr, nullptr),
                HEADLANE_INVALID_ARGUMENT, "has log-probabilities of 1 places");
  const int64_t ended = growing_.add({1}, sequence_options(1));
  growing_.step();
  expect_status(headlane_sequences_rewind(get, ended, 1), HEADLANE_INVALID_ARGUMENT,
                "has ended, and its keys and values are gone; keep makes them stay");
}

TEST(SequencesOfOtherModels, AreRefused) {
  const ModelHandle model = open_model(golden_file("marian_shared"));
  headlane_sequences* none = nullptr;
  expect_status(headlane_sequences_create(model.get(), nullptr, &none), HEADLANE_UNSUPPORTED,
                "the model has an encoder; headlane_generator_create");
  const ModelHandle without = open_model(language_model_file("llama_2"));
  const Growing growing(without.get(), sequences_options());
  int64_t number = 0;
  expect_status(headlane_sequences_add_text(growing.get(), "a", 1, nullptr, &number),
                HEADLANE_UNSUPPORTED, "has no tokenizer");
  const char* stop = "a";
  headlane_sequence_options options = sequence_options();
  options.stops = &stop;
  options.n_stops = 1;
  const int32_t id = 1;
  expect_status(headlane_sequences_add(growing.get(), &id, 1, &options, &number),
                HEADLANE_UNSUPPORTED, "stops are texts, but the file has no tokenizer");
  expect_status(headlane_sequences_get_text(growing.get(), 1, nullptr, 0, &number),
                HEADLANE_UNSUPPORTED, "has no tokenizer");
}

}  // namespace
}  // namespace headlane::test

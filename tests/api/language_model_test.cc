// Language models through the C API: what is refused, by which status and sentence, and that a
// generator is as good as new after it; the caller's memory and callback; equal bits.
#include "tests/api/generator.h"

namespace headlane::test {
namespace {

class LanguageModel : public testing::Test {
 protected:
  static constexpr int64_t kVocabSize = 97, kMaxSources = 4, kMaxLen = 30, kMaxTokens = 60,
                           kMaxNew = 9;

  static std::string converted(const TempDir& dir) {
    std::string file = dir.file("m.headlane");
    check(headlane_convert(HEADLANE_GOLDEN_DIR "/language_models/qwen2_window", file.c_str(),
                           nullptr));
    return file;
  }

  static headlane_generator_options sizes() {
    headlane_generator_options options = generator_options(kMaxSources, 3);
    options.max_source_len = kMaxLen;
    options.max_source_tokens = kMaxTokens;
    options.max_new_tokens = kMaxNew;
    options.all_logits = 1;
    return options;
  }

  void refuse(const Sequences& prompts, headlane_status status, const std::string& named) {
    const FlatSequences flat(prompts);
    const headlane_batch batch = flat.batch();
    expect_status(headlane_generator_generate(generator_.get(), &batch, nullptr), status, named);
    EXPECT_EQ(generate(generator_.get(), good_, beams(1)), expected_);
  }

  void refuse_options(headlane_generator_options options, const std::string& named) {
    headlane_generator* none = nullptr;
    expect_status(headlane_generator_create(model_.get(), &options, &none),
                  HEADLANE_INVALID_ARGUMENT, named);
    EXPECT_EQ(none, nullptr);
  }

  const TempDir dir_;
  const ModelHandle model_ = open_model(converted(dir_));
  const Sequences good_ = {{5, 6, 7, 11}, {1}, {60, 40, 20, 3, 3, 3, 3, 3, 3, 3, 9, 8}};
  const GeneratorHandle generator_ = create_generator(model_.get(), sizes());
  const Answers expected_ = generate(generator_.get(), good_, beams(1));
};

TEST_F(LanguageModel, PromptsThatAreRefused) {
  refuse({{1, 2}, {3, kVocabSize}}, HEADLANE_INVALID_ARGUMENT, "ids[3] is 97");
  refuse({{-1}}, HEADLANE_INVALID_ARGUMENT, "ids[0] is -1");
  refuse({{1}, {}, {2}}, HEADLANE_INVALID_ARGUMENT, "source 1 is empty");
  refuse({std::vector<int32_t>(kMaxLen + 1, 1)}, HEADLANE_TOO_LARGE,
         "sequence 0 of the batch has 31 tokens");
  refuse(Sequences(3, std::vector<int32_t>(25, 1)), HEADLANE_TOO_LARGE, "batch.offsets[3] is 75");
  refuse(Sequences(5, {1}), HEADLANE_TOO_LARGE, "batch.n_seqs is 5");
}

TEST_F(LanguageModel, OptionsThatAreRefused) {
  headlane_generator_options options = sizes();
  options.max_prefix = 1;
  refuse_options(options, "generator option max_prefix is 1; a language model's answers go on");
  options = sizes();
  options.max_source_len = 640;
  refuse_options(options, "generator option max_source_len is 640");
  options = sizes();
  options.max_new_tokens = 640;
  refuse_options(options, "generator option max_new_tokens is 640");

  headlane_generate_options search = beams(1);
  const int64_t offsets[] = {0, 1, 1, 1};
  const int32_t id = 4;
  search.prefix_offsets = offsets;
  search.prefix_ids = &id;
  const FlatSequences flat(good_);
  const headlane_batch batch = flat.batch();
  expect_status(headlane_generator_generate(generator_.get(), &batch, &search),
                HEADLANE_INVALID_ARGUMENT, "prefix_offsets is set; a language model's");
  search = beams(1);
  search.max_new_tokens = kMaxNew + 1;
  expect_status(headlane_generator_generate(generator_.get(), &batch, &search), HEADLANE_TOO_LARGE,
                "max_new_tokens is 10");
  std::vector<float> hidden(1000);
  headlane_outputs outputs = HEADLANE_INIT(headlane_outputs);
  outputs.hidden = hidden.data();
  expect_status(headlane_generator_encode(generator_.get(), &batch, &outputs), HEADLANE_UNSUPPORTED,
                "the model has no encoder");
  EXPECT_EQ(generate(generator_.get(), good_, beams(1)), expected_);
}

TEST_F(LanguageModel, HasNoSession) {
  headlane_session* session = nullptr;
  expect_status(headlane_session_create(model_.get(), nullptr, &session), HEADLANE_UNSUPPORTED,
                "a language model has no encoder for a session to run; create a generator");
  EXPECT_EQ(session, nullptr);
  size_t bytes = 0;
  expect_status(headlane_session_bytes(model_.get(), nullptr, &bytes), HEADLANE_UNSUPPORTED,
                "create a generator");
}

TEST_F(LanguageModel, WorksInTheCallersBlockToItsLastByte) {
  headlane_generator_options options = sizes();
  size_t bytes = 0;
  check(headlane_generator_bytes(model_.get(), &options, &bytes));
  std::vector<std::byte> room(bytes + 128, std::byte{0x5A});
  auto* block =
      reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(room.data()) + 63) / 64 * 64);
  options.memory = block;
  options.memory_bytes = bytes;
  const GeneratorHandle generator = create_generator(model_.get(), options);
  EXPECT_EQ(generate(generator.get(), good_, beams(1)), expected_);
  for (std::byte* at = block + bytes; at < room.data() + room.size(); ++at) {
    ASSERT_EQ(*at, std::byte{0x5A});
  }
}

// A prompt alone, in any batch, by any number of threads.
TEST_F(LanguageModel, AnswersDoNotDependOnTheBatch) {
  for (const int n_threads : {1, 3}) {
    headlane_generator_options options = sizes();
    options.n_threads = n_threads;
    const GeneratorHandle generator = create_generator(model_.get(), options);
    for (const auto& search : {beams(1), beams(3, 3)}) {
      const Answers together = generate(generator.get(), good_, search);
      for (size_t i = 0; i < good_.size(); ++i) {
        EXPECT_EQ(generate(generator.get(), {good_[i]}, search)[0], together[i]) << i;
      }
    }
  }
}

// The callback hears each new token, and may end one prompt's answer without the others'.
TEST_F(LanguageModel, StopsOnePromptAlone) {
  struct Heard {
    std::vector<std::vector<int32_t>> ids;
  } heard{std::vector<std::vector<int32_t>>(good_.size())};
  headlane_generate_options search = beams(1);
  search.user = &heard;
  search.on_token = [](void* user, int64_t source, int32_t id, int64_t n_tokens) {
    auto& ids = static_cast<Heard*>(user)->ids[static_cast<size_t>(source)];
    ids.push_back(id);
    EXPECT_EQ(std::ssize(ids), n_tokens);
    return source == 1 && n_tokens == 2 ? HEADLANE_STOP_SOURCE : HEADLANE_GO_ON;
  };
  const Answers answers = generate(generator_.get(), good_, search);
  EXPECT_EQ(answers[0], expected_[0]);
  EXPECT_EQ(answers[2], expected_[2]);
  const std::vector<int32_t>& whole = expected_[1][0].ids;
  ASSERT_GT(whole.size(), 2u);
  EXPECT_EQ(answers[1][0].ids, std::vector<int32_t>(whole.begin(), whole.begin() + 2));
  headlane_answer answer = HEADLANE_INIT(headlane_answer);
  check(headlane_generator_get_answer(generator_.get(), 1, 0, &answer));
  EXPECT_STREQ(answer.finish_reason, "callback");
  for (size_t i = 0; i < good_.size(); ++i) EXPECT_EQ(heard.ids[i], answers[i][0].ids);
}

TEST_F(LanguageModel, SaysWhyAnAnswerEnded) {
  headlane_generate_options search = beams(1);
  const int32_t end = expected_[0][0].ids[1];
  search.end_ids = &end;
  search.n_end_ids = 1;
  const Answers answers = generate(generator_.get(), good_, search);
  for (size_t i = 0; i < good_.size(); ++i) {
    headlane_answer answer = HEADLANE_INIT(headlane_answer);
    check(headlane_generator_get_answer(generator_.get(), static_cast<int64_t>(i), 0, &answer));
    const bool ended = answers[i][0].ids.back() == end;
    EXPECT_STREQ(answer.finish_reason, ended ? "stop" : "length");
    EXPECT_TRUE(ended || answer.n_ids == kMaxNew);
  }
  EXPECT_EQ(answers[0][0].ids.back(), end);
}

TEST_F(LanguageModel, FactsAreOfTheDecoder) {
  const headlane_model_facts facts = facts_of(model_.get());
  EXPECT_STREQ(facts.architecture, "qwen2");
  EXPECT_EQ(facts.has_decoder, 1);
  EXPECT_EQ(facts.n_layers, 0);
  EXPECT_EQ(facts.n_decoder_layers, 3);
  EXPECT_EQ(facts.vocab_size, kVocabSize);
  EXPECT_EQ(facts.decoder_vocab_size, kVocabSize);
  EXPECT_EQ(facts.max_positions, 640);
  EXPECT_EQ(facts.start_id, -1);
  EXPECT_EQ(facts.n_kv_heads, 2);
}

}  // namespace
}  // namespace headlane::test

// Saved states of sequences: the same bits as if nothing had been saved, and sentences for what is
// none, damaged, or of something else.
#include "tests/api/sequences.h"

namespace headlane::test {
namespace {

SequencesOptions sizes_of(const char* cache, int64_t max_step_tokens = 0) {
  SequencesOptions sizes;
  sizes.max_sequences = 4;
  sizes.max_tokens = 600;
  sizes.max_step_tokens = max_step_tokens;
  sizes.n_threads = 1;
  sizes.cache = cache;
  return sizes;
}

SequenceOptions kept(int64_t max_new_tokens) {
  SequenceOptions options;
  options.max_new_tokens = max_new_tokens;
  options.keep = 1;
  options.logprobs = 1;
  options.n_top = 3;
  return options;
}

void finish(headlane::Sequences* sequences) {
  while (sequences->step() > 0) {
  }
}

Ids random_ids(std::mt19937* random, int64_t n, int64_t vocab_size) {
  Ids ids;
  for (int64_t i = 0; i < n; ++i) {
    ids.push_back(static_cast<int32_t>((*random)() % static_cast<uint64_t>(vocab_size)));
  }
  return ids;
}

// What comes behind the first n tokens of a sequence and some more ids.
std::pair<Ids, std::vector<float>> continued(headlane::Sequences* sequences, int64_t from,
                                             int64_t n, const Ids& more) {
  const int64_t fork = sequences->fork(from, n, more, kept(9));
  finish(sequences);
  return {sequences->ids(fork), sequences->logprobs(fork)};
}

struct StateCase {
  const char *model, *cache;
};
class SavedStates : public testing::TestWithParam<StateCase> {};

TEST_P(SavedStates, GoOnWithTheSameBits) {
  const Model model(language_model_file(GetParam().model));
  std::mt19937 random(3);
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(round);
    headlane::Sequences one(model, sizes_of(GetParam().cache));
    const int64_t vocab_size = model.facts().decoder_vocab_size;
    const int64_t n_prompt = 1 + static_cast<int64_t>(random() % 40);
    const int64_t first = one.add(random_ids(&random, n_prompt, vocab_size), kept(1 + round * 3));
    finish(&one);
    const std::string state = one.save(first);
    // A cache that keeps less before its windows, and has another sequence in it.
    headlane::Sequences other(model, sizes_of(GetParam().cache, round % 2 == 0 ? 0 : 8));
    other.add(random_ids(&random, 5, vocab_size), kept(4));
    finish(&other);
    const int64_t loaded = other.load(state);
    const SequenceFacts was = one.facts(first), is = other.facts(loaded);
    EXPECT_EQ(is.n_computed, was.n_computed);
    EXPECT_EQ(is.state, HEADLANE_SEQUENCE_ENDED);
    if (round % 2 == 0) {
      EXPECT_EQ(other.save(loaded), state);
    }
    const int64_t n = was.n_prompt + was.n_new;
    const Ids more = random_ids(&random, 3, vocab_size);
    EXPECT_EQ(continued(&one, first, n, more), continued(&other, loaded, n, more));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SavedStates,
                         testing::Values(StateCase{"llama_3_1", "f32"}, StateCase{"gemma3", "f32"},
                                         StateCase{"gemma3", "bf16"}, StateCase{"qwen3", "int8"},
                                         StateCase{"phi3_longrope", "f32"}));

class StateErrors : public testing::Test {
 protected:
  void SetUp() override {
    const int64_t sequence = sequences_.add(Ids{1, 2, 3, 4, 5}, kept(4));
    finish(&sequences_);
    state_ = sequences_.save(sequence);
  }
  static headlane_status load(headlane::Sequences* sequences, const std::string& state) {
    int64_t sequence = 0;
    return headlane_sequences_load(sequences->get(), state.data(), state.size(), &sequence);
  }

  const Model model_ = Model(language_model_file("llama_3_1"));
  headlane::Sequences sequences_ = headlane::Sequences(model_, sizes_of("f32"));
  std::string state_;
};

TEST_F(StateErrors, DamagedStatesAreRefused) {
  EXPECT_EQ(load(&sequences_, state_), HEADLANE_OK);
  for (size_t i = 0; i < state_.size(); i += i < 200 ? 1 : state_.size() / 37) {
    std::string damaged = state_;
    damaged[i] ^= 0x10;
    EXPECT_EQ(load(&sequences_, damaged), HEADLANE_BAD_FILE) << i;
  }
  for (const size_t n : {size_t{0}, size_t{7}, size_t{100}, state_.size() - 1}) {
    EXPECT_EQ(load(&sequences_, state_.substr(0, n)), HEADLANE_BAD_FILE) << n;
  }
  EXPECT_EQ(load(&sequences_, state_ + "x"), HEADLANE_BAD_FILE);
}

TEST_F(StateErrors, OtherModelsAndFormatsAreRefused) {
  const Model other(language_model_file("qwen3"));
  headlane::Sequences of_other(other, sizes_of("f32"));
  EXPECT_EQ(load(&of_other, state_), HEADLANE_UNSUPPORTED);
  EXPECT_STREQ(headlane_error(), "the saved state is of another model");
  headlane::Sequences in_bf16(model_, sizes_of("bf16"));
  EXPECT_EQ(load(&in_bf16, state_), HEADLANE_UNSUPPORTED);
  EXPECT_STREQ(headlane_error(), "the saved state is of another format of the cache");
  SequencesOptions sizes = sizes_of("f32");
  sizes.precision = "bf16";
  headlane::Sequences of_bf16(model_, sizes);
  EXPECT_EQ(load(&of_bf16, state_), HEADLANE_UNSUPPORTED);
  EXPECT_STREQ(headlane_error(), "the saved state is of another precision of products");
}

// The header alone is that of other weights too.
TEST_F(StateErrors, ModelsWithoutAChecksumHaveNoStates) {
  const TempDir dir;
  std::string file = read_file(language_model_file("llama_3_1"));
  file.replace(file.find("\"checksum\""), 10, "\"checkout\"");
  write_file(dir.file("model"), file);
  const Model model(dir.file("model"));
  headlane::Sequences sequences(model, sizes_of("f32"));
  const int64_t sequence = sequences.add(Ids{1, 2, 3}, kept(4));
  finish(&sequences);
  size_t n = 0;
  EXPECT_EQ(headlane_sequences_save(sequences.get(), sequence, nullptr, 0, &n),
            HEADLANE_UNSUPPORTED);
  EXPECT_NE(std::string(headlane_error()).find("has no checksum"), std::string::npos);
  EXPECT_EQ(load(&sequences, state_), HEADLANE_UNSUPPORTED);
}

TEST_F(StateErrors, ThereMustBeRoomAndSomethingToSave) {
  SequencesOptions sizes = sizes_of("f32");
  sizes.max_tokens = 6;
  sizes.max_len = 20;
  headlane::Sequences small(model_, sizes);
  EXPECT_EQ(load(&small, state_), HEADLANE_TOO_LARGE);
  const int64_t gone = sequences_.add(Ids{1, 2}, SequenceOptions());
  finish(&sequences_);
  size_t n = 0;
  EXPECT_EQ(headlane_sequences_save(sequences_.get(), gone, nullptr, 0, &n),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_EQ(headlane_sequences_save(sequences_.get(), 99, nullptr, 0, &n),
            HEADLANE_INVALID_ARGUMENT);
  char few[10];
  EXPECT_EQ(headlane_sequences_save(sequences_.get(), 1, few, sizeof few, &n), HEADLANE_TOO_LARGE);
  EXPECT_EQ(n, state_.size());
}

TEST_F(StateErrors, FilesHoldTheSame) {
  const TempDir dir;
  sequences_.save_file(1, dir.file("state"));
  EXPECT_EQ(read_file(dir.file("state")), state_);
  EXPECT_EQ(sequences_.save(sequences_.load_file(dir.file("state"))), state_);
  int64_t sequence = 0;
  EXPECT_EQ(headlane_sequences_load_file(sequences_.get(), dir.file("none").c_str(), &sequence),
            HEADLANE_IO);
}

}  // namespace
}  // namespace headlane::test

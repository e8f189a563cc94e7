// Sequences of a language model through the C API: tokens beside those of the generator, chunks,
// shared beginnings, forks, rewinds, log-probabilities, callbacks, and what a full cache does.
#include "tests/api/sequences.h"

#include <random>

namespace headlane::test {
namespace {

class SequencesTest : public testing::Test {
 protected:
  Ids prompt(size_t n) { return random_prompt(&random_, n, kSequencesVocabSize); }
  // Options of a sequence that does not end by itself.
  static headlane_sequence_options endless(int64_t max_new_tokens) {
    static const int32_t none = 0;
    headlane_sequence_options options = sequence_options(max_new_tokens);
    options.end_ids = &none;
    return options;
  }

  std::mt19937 random_{11};
  const ModelHandle model_ = open_model(language_model_file("qwen2_window"));
};

TEST_F(SequencesTest, TokensAreTheGenerators) {
  headlane_generator_options sizes = generator_options(1, 1);
  sizes.max_source_len = 50;
  sizes.max_new_tokens = 20;
  sizes.all_logits = 1;
  const GeneratorHandle generator = create_generator(model_.get(), sizes);
  Growing growing(model_.get(), sequences_options());
  for (int i = 0; i < 20; ++i) {
    const Ids ids = prompt(1 + static_cast<size_t>(i) * 2);
    headlane_sequence_options options = sequence_options(20);
    headlane_generate_options search = beams(1);
    search.max_new_tokens = 20;
    const uint64_t key = i / 3 % 2 * 1000003;
    if (i % 3 == 1) {
      options.sample = search.sample = 1;
      options.temperature = search.temperature = 1.5f;
      options.top_k = search.top_k = i % 2 ? 5 : 0;
      options.top_p = search.top_p = 0.9f;
      options.seed = search.seed = static_cast<uint64_t>(i);
      options.key = key;
      search.keys = &key;
    }
    if (i % 3 == 2) options.repetition_penalty = search.repetition_penalty = 1.3;
    const int64_t number = growing.add(ids, options);
    growing.finish();
    EXPECT_EQ(growing.ids(number), generate(generator.get(), {ids}, search)[0][0].ids) << i;
  }
}

// A token of each in each step, however long another's prompt is.
TEST_F(SequencesTest, ALongPromptHoldsUpNobody) {
  headlane_sequences_options sizes = sequences_options();
  sizes.max_step_tokens = 16;
  Growing growing(model_.get(), sizes);
  const int64_t first = growing.add(prompt(3), endless(30));
  growing.step();
  EXPECT_EQ(growing.facts(first).n_new, 1);
  const int64_t second = growing.add(prompt(200), endless(2));
  const int64_t third = growing.add(prompt(7), endless(2));
  for (int64_t i = 0; i < 10; ++i) {
    growing.step();
    EXPECT_EQ(growing.facts(first).n_new, 2 + i);
    EXPECT_EQ(growing.facts(second).state, HEADLANE_SEQUENCE_PROMPT);
    EXPECT_GT(growing.facts(second).n_computed, 7 * i);
  }
  EXPECT_EQ(growing.facts(third).state, HEADLANE_SEQUENCE_ENDED);
  growing.finish();
  EXPECT_EQ(growing.facts(second).n_new, 2);
}

// The prompt of a system is computed once, also where all come at the same time.
TEST_F(SequencesTest, ABeginningIsComputedOnce) {
  const Ids system = prompt(200);
  Growing growing(model_.get(), sequences_options(4, 300));
  std::vector<int64_t> numbers;
  std::vector<Ids> prompts;
  headlane_sequence_options options = endless(5);
  options.logprobs = options.hidden = 1;
  options.n_top = 3;
  for (int i = 0; i < 6; ++i) {
    prompts.push_back(system);
    const Ids own = prompt(static_cast<size_t>(1 + i));
    prompts.back().insert(prompts.back().end(), own.begin(), own.end());
    numbers.push_back(growing.add(prompts.back(), options));
  }
  growing.finish();
  int64_t n_computed = 0;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const headlane_sequence_facts facts = growing.facts(numbers[i]);
    EXPECT_STREQ(facts.finish_reason, "length");
    n_computed += facts.n_computed - facts.n_shared;
    EXPECT_EQ(growing.grown(numbers[i], options), grown_alone(model_.get(), prompts[i], options));
  }
  EXPECT_LE(n_computed, 200 + 6 * 11);
}

TEST_F(SequencesTest, KeptOnesAreSharedForkedAndRewound) {
  const Ids system = prompt(60);
  Growing growing(model_.get(), sequences_options(4, 200));
  headlane_sequence_options keep = endless(HEADLANE_NO_NEW_TOKENS);
  keep.keep = 1;
  const int64_t kept = growing.add(system, keep);
  growing.finish();
  EXPECT_EQ(growing.facts(kept).n_new, 0);
  EXPECT_EQ(growing.facts(kept).n_computed, 60);
  EXPECT_STREQ(growing.facts(kept).finish_reason, "length");

  headlane_sequence_options options = endless(6);
  options.logprobs = 1;
  const Ids more = prompt(4);
  const int64_t fork = growing.fork(kept, 50, more, options);
  check(headlane_sequences_remove(growing.get(), kept));
  growing.finish();
  EXPECT_EQ(growing.facts(fork).n_shared, 50);
  Ids whole(system.begin(), system.begin() + 50);
  whole.insert(whole.end(), more.begin(), more.end());
  EXPECT_EQ(growing.grown(fork, options), grown_alone(model_.get(), whole, options));

  options.keep = 1;
  const int64_t again = growing.add(whole, options);
  growing.finish();
  const Grown before = growing.grown(again, options);
  check(headlane_sequences_rewind(growing.get(), again, 56));
  EXPECT_EQ(growing.facts(again).n_new, 2);
  growing.finish();
  EXPECT_EQ(growing.grown(again, options), before);
  check(headlane_sequences_rewind(growing.get(), again, 10));
  growing.finish();
  const Ids beginning(whole.begin(), whole.begin() + 10);
  EXPECT_EQ(growing.grown(again, options), grown_alone(model_.get(), beginning, options));
}

// The log-probabilities of a prompt's tokens are those that its tokens have when they come by
// themselves, whatever chunks they are computed in.
TEST_F(SequencesTest, LogprobsOfPrompts) {
  headlane_sequence_options options = endless(40);
  options.prompt_logprobs = 1;
  options.n_top = 4;
  const Ids ids = prompt(150);
  const Grown whole = grown_alone(model_.get(), ids, options);
  ASSERT_EQ(whole.logprobs.size(), 190u);
  EXPECT_TRUE(std::isnan(whole.logprobs[0]));
  Ids all = ids;
  all.insert(all.end(), whole.ids.begin(), whole.ids.end());
  headlane_sequence_options only = endless(HEADLANE_NO_NEW_TOKENS);
  only.prompt_logprobs = 1;
  only.n_top = 4;
  for (const int64_t step_tokens : {1, 7, 100, 512}) {
    headlane_sequences_options sizes = sequences_options(1);
    sizes.max_step_tokens = step_tokens;
    Growing growing(model_.get(), sizes);
    const int64_t number = growing.add(all, only);
    growing.finish();
    const Grown known = growing.grown(number, only);
    EXPECT_EQ(std::memcmp(known.logprobs.data(), whole.logprobs.data(), 190 * sizeof(float)), 0);
    EXPECT_EQ(known.top_ids, whole.top_ids);
  }
  for (size_t i = 150; i < 190; ++i) {  // greedy: the best one comes
    EXPECT_EQ(whole.top_ids[4 * i], all[i]);
    EXPECT_EQ(whole.top_logprobs[4 * i], whole.logprobs[i]);
  }
}

TEST_F(SequencesTest, LogprobsAreOfAllLogits) {
  const Ids ids = prompt(9);
  headlane_sequence_options options = endless(1);
  options.logprobs = options.hidden = 1;
  options.n_top = 64;
  const Grown grown = grown_alone(model_.get(), ids, options);
  double sum = 0;
  for (const float logprob : grown.top_logprobs) sum += std::exp(double{logprob});
  EXPECT_LT(sum, 1 + 1e-5);
  EXPECT_GT(sum, 0.5);
  EXPECT_TRUE(std::is_sorted(grown.top_logprobs.rbegin(), grown.top_logprobs.rend()));
}

TEST_F(SequencesTest, BiasesChangeWhatComes) {
  const Ids ids = prompt(9);
  headlane_sequence_options options = endless(4);
  options.logprobs = 1;
  const Grown plain = grown_alone(model_.get(), ids, options);
  const int32_t banned = plain.ids[0];
  const float never = -HUGE_VALF;
  options.bias_ids = &banned;
  options.biases = &never;
  options.n_bias = 1;
  const Grown without = grown_alone(model_.get(), ids, options);
  EXPECT_EQ(std::count(without.ids.begin(), without.ids.end(), banned), 0);
  const int32_t wanted = 42;
  const float always = 1e6f;
  options.bias_ids = &wanted;
  options.biases = &always;
  const Grown with = grown_alone(model_.get(), ids, options);
  EXPECT_EQ(with.ids, Ids(4, wanted));
  // They are the model's own, so what is unlikely stays so.
  EXPECT_LT(with.logprobs[0], plain.logprobs[0]);
}

TEST_F(SequencesTest, AFullCacheEndsOneSequenceAlone) {
  Growing growing(model_.get(), sequences_options(4, 40));
  const int64_t first = growing.add(prompt(20), endless(12));
  const int64_t second = growing.add(prompt(14), endless(30));
  growing.finish();
  EXPECT_STREQ(growing.facts(first).finish_reason, "length");
  const headlane_sequence_facts facts = growing.facts(second);
  EXPECT_STREQ(facts.finish_reason, "cache_full");
  EXPECT_EQ(facts.status, HEADLANE_TOO_LARGE);
  EXPECT_NE(std::string(facts.message).find("max_tokens is 40"), std::string::npos);
  EXPECT_EQ(facts.n_new, 4);
  const int64_t third = growing.add(prompt(40), endless(1));
  growing.finish();
  EXPECT_STREQ(growing.facts(third).finish_reason, "length");
}

// One that finds no room waits, and is told so where nothing will make room.
TEST_F(SequencesTest, WaitsForRoom) {
  Growing growing(model_.get(), sequences_options(2, 60));
  headlane_sequence_options kept = endless(2);
  kept.keep = 1;
  const int64_t first = growing.add(prompt(30), kept);
  const int64_t second = growing.add(prompt(20), endless(6));
  const int64_t third = growing.add(prompt(20), endless(2));
  growing.step();
  EXPECT_EQ(growing.facts(third).state, HEADLANE_SEQUENCE_WAITING);
  growing.finish();
  EXPECT_STREQ(growing.facts(second).finish_reason, "length");
  EXPECT_STREQ(growing.facts(third).finish_reason, "length");
  const int64_t fourth = growing.add(prompt(30), endless(2));
  growing.finish();
  EXPECT_STREQ(growing.facts(fourth).finish_reason, "cache_full");
  EXPECT_NE(std::string(growing.facts(fourth).message).find("29 tokens (max_tokens) are free"),
            std::string::npos)
      << growing.facts(fourth).message;
  check(headlane_sequences_remove(growing.get(), first));
  const int64_t fifth = growing.add(prompt(30), endless(2));
  growing.finish();
  EXPECT_STREQ(growing.facts(fifth).finish_reason, "length");
}

// Layers with a window keep that, and a step's tokens beyond: less memory, the same bits. A rewind
// goes as far as is left.
struct WindowCase {
  const char* model;
  int64_t n_full_layers;
};
std::ostream& operator<<(std::ostream& out, const WindowCase& of) { return out << of.model; }

class SequencesWithWindows : public testing::TestWithParam<WindowCase> {
 protected:
  static headlane_sequences_options sizes(int64_t max_tokens = 600) {
    headlane_sequences_options sizes = sequences_options(2, max_tokens);
    sizes.max_len = 300;
    sizes.max_step_tokens = 8;
    return sizes;
  }
  static headlane_sequence_options kept(int64_t max_new_tokens) {
    static const int32_t none = 0;
    headlane_sequence_options options = sequence_options(max_new_tokens);
    options.logprobs = options.keep = 1;
    options.end_ids = &none;
    return options;
  }

  std::mt19937 random_{3};
  const ModelHandle model_ = open_model(language_model_file(GetParam().model));
  const bool has_window_ = std::string(GetParam().model) != "llama_2";
  const Ids ids_ = random_prompt(&random_, 150, kSequencesVocabSize);
  const headlane_sequence_options options_ = kept(60);
  const Grown whole_ = grown_alone(model_.get(), ids_, options_);
};

// Each more token takes its rows of the layers that see all tokens, and 8 bytes of lists.
TEST_P(SequencesWithWindows, Memory) {
  size_t bytes = 0, more_bytes = 0;
  headlane_sequences_options few = sizes(), more = sizes(1600);
  check(headlane_sequences_bytes(model_.get(), &few, &bytes));
  check(headlane_sequences_bytes(model_.get(), &more, &more_bytes));
  const headlane_model_facts facts = facts_of(model_.get());
  const int64_t row_floats = (2 * facts.n_kv_heads * facts.head_dim + 15) / 16 * 16;
  const int64_t expected = 1000 * (GetParam().n_full_layers * row_floats * 4 + 8);
  EXPECT_NEAR(static_cast<double>(more_bytes - bytes), static_cast<double>(expected), 256);
}

TEST_P(SequencesWithWindows, RewindAsFarAsIsLeft) {
  Growing growing(model_.get(), sizes());
  const int64_t number = growing.add(ids_, options_);
  growing.finish();
  EXPECT_EQ(growing.grown(number, options_), whole_);
  const int64_t least = growing.facts(number).least_tokens;
  EXPECT_EQ(least, has_window_ ? 209 - 8 + 1 : 1);
  if (has_window_) {
    expect_status(headlane_sequences_rewind(growing.get(), number, least - 1),
                  HEADLANE_INVALID_ARGUMENT, "can go back to " + std::to_string(least));
  }
  check(headlane_sequences_rewind(growing.get(), number, has_window_ ? least : 170));
  growing.finish();
  EXPECT_EQ(growing.grown(number, options_), whole_);
}

// One that has gone too far is not shared; a prompt alone is.
TEST_P(SequencesWithWindows, ShareWhatIsLeft) {
  Growing growing(model_.get(), sizes());
  const int64_t first = growing.add(ids_, options_);
  growing.finish();
  const int64_t second = growing.add(ids_, options_);
  growing.finish();
  EXPECT_EQ(growing.facts(second).n_shared, has_window_ ? 0 : 149);
  EXPECT_EQ(growing.grown(second, options_), whole_);
  check(headlane_sequences_remove(growing.get(), first));
  check(headlane_sequences_remove(growing.get(), second));
  growing.add(ids_, kept(HEADLANE_NO_NEW_TOKENS));
  growing.finish();
  const int64_t third = growing.add(ids_, options_);
  growing.finish();
  EXPECT_EQ(growing.facts(third).n_shared, 149);
  EXPECT_EQ(growing.grown(third, options_), whole_);
}

INSTANTIATE_TEST_SUITE_P(Models, SequencesWithWindows,
                         testing::Values(WindowCase{"mistral", 0}, WindowCase{"qwen2_window", 1},
                                         WindowCase{"mistral_window_2", 0},
                                         WindowCase{"llama_2", 2}),
                         testing::PrintToStringParamName());

TEST_F(SequencesTest, WorksInTheCallersBlockToItsLastByte) {
  headlane_sequences_options options = sequences_options();
  size_t bytes = 0;
  check(headlane_sequences_bytes(model_.get(), &options, &bytes));
  std::vector<std::byte> room(bytes + 128, std::byte{0x5A});
  auto* block =
      reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(room.data()) + 63) / 64 * 64);
  options.memory = block;
  options.memory_bytes = bytes;
  Growing growing(model_.get(), options);
  headlane_sequence_options all = endless(8);
  all.prompt_logprobs = all.hidden = 1;
  all.n_top = 65;
  all.repetition_penalty = 1.1;
  const Ids ids = prompt(90);
  const int64_t number = growing.add(ids, all);
  growing.finish();
  EXPECT_EQ(growing.grown(number, all), grown_alone(model_.get(), ids, all));
  for (std::byte* at = block + bytes; at < room.data() + room.size(); ++at) {
    ASSERT_EQ(*at, std::byte{0x5A});
  }
}

// Rotary positions that are chosen by the room of a sequence: 40 tokens, or more (phi3_longrope).
TEST(SequencesOfRooms, ShareWithThoseThatTurnAlike) {
  const ModelHandle model = open_model(language_model_file("phi3_longrope"));
  Ids beginning;
  for (int32_t i = 0; i < 30; ++i) beginning.push_back(3 + i * 7 % 90);
  Ids prompt = beginning;
  prompt.insert(prompt.end(), {5, 6, 7});
  const auto alone = [&](int64_t max_new_tokens) {
    Growing growing(model.get(), sequences_options());
    headlane_sequence_options options = sequence_options(max_new_tokens);
    options.logprobs = 1;
    const int64_t number = growing.add(prompt, options);
    growing.finish();
    return growing.grown(number, options);
  };
  const Grown short_alone = alone(7), long_alone = alone(8);
  EXPECT_NE(short_alone.logprobs[0], long_alone.logprobs[0]);

  for (const int64_t kept_room : {0, 40, 41, 100}) {
    Growing growing(model.get(), sequences_options());
    headlane_sequence_options keep = sequence_options(HEADLANE_NO_NEW_TOKENS);
    keep.keep = 1;
    keep.room = kept_room;
    growing.add(beginning, keep);
    growing.finish();
    headlane_sequence_options options = sequence_options(7);
    options.logprobs = 1;
    const int64_t shorter = growing.add(prompt, options);
    growing.finish();
    options.max_new_tokens = 8;
    const int64_t longer = growing.add(prompt, options);
    growing.finish();
    EXPECT_EQ(growing.facts(shorter).n_shared, kept_room > 40 ? 0 : 30) << kept_room;
    EXPECT_EQ(growing.facts(longer).n_shared, kept_room > 40 ? 30 : 0) << kept_room;
    EXPECT_EQ(growing.grown(shorter, options), short_alone) << kept_room;
    EXPECT_EQ(growing.grown(longer, options), long_alone) << kept_room;
  }
}

}  // namespace
}  // namespace headlane::test

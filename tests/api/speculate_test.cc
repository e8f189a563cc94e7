// Tokens that are guessed, by a sequence's own tokens or by another model: whatever is guessed, the
// sequence is the one without guesses.
#include <algorithm>
#include <random>

#include "tests/api/sequences.h"

namespace headlane::test {
namespace {

struct SpeculateCase {
  const char *model, *precision;
  const char* draft = nullptr;  // a golden model, in f32
};
std::ostream& operator<<(std::ostream& out, const SpeculateCase& of) {
  return out << of.model << "_" << of.precision << (of.draft ? "_by_" : "")
             << (of.draft ? of.draft : "");
}

class Speculate : public testing::TestWithParam<SpeculateCase> {
 protected:
  Speculate() {
    const std::string draft = GetParam().draft ? GetParam().draft : "";
    if (!draft.empty()) draft_ = open_model(language_model_file(draft));
  }

  headlane_sequences_options sizes(int64_t max_sequences, int64_t max_tokens = 3000) const {
    headlane_sequences_options sizes = sequences_options(max_sequences, max_tokens);
    sizes.draft = draft_.get();
    return sizes;
  }

  const ModelHandle model_ =
      open_model(language_model_file(GetParam().model, GetParam().precision));
  ModelHandle draft_;
};

headlane_sequence_options guessing(headlane_sequence_options options, int64_t n) {
  options.speculate = n;
  return options;
}

// Greedy and drawn, with log-probabilities, of many sequences at once and of any number of guesses.
TEST_P(Speculate, GivesWhatComesWithoutGuesses) {
  std::mt19937 random(3);
  std::vector<Ids> prompts;
  for (int i = 0; i < 6; ++i) {
    Ids prompt = random_prompt(&random, 12, kSequencesVocabSize);
    prompt.insert(prompt.end(), prompt.begin(), prompt.begin() + 5);  // begins to be copied
    prompts.push_back(prompt);
  }
  headlane_sequence_options greedy = sequence_options(40), drawn = greedy;
  greedy.logprobs = 1;
  greedy.n_top = 2;
  drawn.sample = 1;
  drawn.top_k = 5;
  drawn.temperature = 0.5f;
  drawn.seed = 7;
  for (const headlane_sequence_options& options : {greedy, drawn}) {
    for (const int64_t n : {1, 3, 8}) {
      for (const int64_t step_tokens : {9, 512}) {
        headlane_sequences_options all = sizes(6);
        all.max_step_tokens = step_tokens;
        all.n_threads = 2;
        Growing growing(model_.get(), all);
        std::vector<int64_t> numbers;
        for (const Ids& prompt : prompts) {
          numbers.push_back(growing.add(prompt, guessing(options, n)));
        }
        growing.finish();
        int64_t n_guessed = 0;
        for (size_t i = 0; i < prompts.size(); ++i) {
          EXPECT_EQ(growing.grown(numbers[i], options),
                    grown_alone(model_.get(), prompts[i], options))
              << n << " guesses of prompt " << i;
          const headlane_sequence_facts facts = growing.facts(numbers[i]);
          EXPECT_LE(facts.n_guessed_right, facts.n_guessed);
          EXPECT_EQ(facts.n_computed, facts.n_prompt + facts.n_new - 1);
          n_guessed += facts.n_guessed;
        }
        EXPECT_GT(n_guessed + (step_tokens == 9 ? 1 : 0), 0);  // few tokens leave no room
      }
    }
  }
}

// What was guessed wrong leaves no rows taken, and the cache goes on as it was.
TEST_P(Speculate, TakesNoMoreOfTheCacheThanItsTokens) {
  std::mt19937 random(4);
  const Ids prompt = random_prompt(&random, 20, kSequencesVocabSize);
  const headlane_sequence_options options = guessing(sequence_options(20), 6);
  // The last token's keys and values are never needed; so all rows are taken once it has ended.
  headlane_sequences_options tight = sizes(1, 39);
  tight.max_len = 40;
  Growing growing(model_.get(), tight);
  for (int i = 0; i < 3; ++i) {
    const int64_t number = growing.add(prompt, options);
    growing.finish();
    EXPECT_EQ(growing.facts(number).status, HEADLANE_OK);
    EXPECT_EQ(growing.ids(number), grown_alone(model_.get(), prompt, sequence_options(20)).ids);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, Speculate,
    testing::Values(SpeculateCase{"llama_3_1", "f32"}, SpeculateCase{"llama_3_1", "bf16"},
                    SpeculateCase{"llama_3_1", "int8g"}, SpeculateCase{"llama_3_1", "int4"},
                    SpeculateCase{"qwen2_window", "f32"}, SpeculateCase{"gpt2", "int8"},
                    SpeculateCase{"llama_dynamic", "f32"},
                    SpeculateCase{"llama_3_1", "f32", "llama_3_1"},
                    SpeculateCase{"llama_3_1", "int8", "llama_3_1"},
                    SpeculateCase{"llama_3_1", "f32", "gpt2"},
                    SpeculateCase{"mistral", "bf16", "qwen2_window"},
                    SpeculateCase{"qwen2_window", "f32", "qwen2_window"}),
    testing::PrintToStringParamName());

class SpeculateOnce : public testing::Test {
 protected:
  const ModelHandle model_ = open_model(language_model_file("llama_3_1"));
};

// A draft that is the model itself is always right: of n guesses, each step but the first brings
// n + 1 tokens.
TEST_F(SpeculateOnce, TheModelItselfGuessesRight) {
  const ModelHandle draft = open_model(language_model_file("llama_3_1"));
  headlane_sequences_options sizes = sequences_options(1, 100);
  sizes.draft = draft.get();
  Growing growing(model_.get(), sizes);
  const int64_t number = growing.add({5, 6, 7}, guessing(sequence_options(31), 4));
  int64_t n_steps = 0;
  while (growing.step() > 0) ++n_steps;
  const headlane_sequence_facts facts = growing.facts(number);
  ASSERT_EQ(facts.n_new, 31);
  EXPECT_EQ(facts.n_guessed_right, facts.n_guessed);
  EXPECT_EQ(facts.n_guessed, 24);  // of 31 tokens one comes with the prompt, and 6 behind 4 guesses
  EXPECT_EQ(n_steps + 1, 7);
}

// A sequence that copies gets several tokens in a step by its own tokens.
TEST_F(SpeculateOnce, CopiesTakeFewerSteps) {
  const Ids prompt = {5, 6, 7};
  Ids copied = prompt;
  const Ids answer = grown_alone(model_.get(), prompt, sequence_options(60)).ids;
  copied.insert(copied.end(), answer.begin(), answer.end());
  copied.insert(copied.end(), prompt.begin(), prompt.end());
  const headlane_sequence_options options = sequence_options(40);
  Growing growing(model_.get(), sequences_options(1, 400));
  const int64_t number = growing.add(copied, guessing(options, 6));
  int64_t n_steps = 1;
  while (growing.step() > 0) ++n_steps;
  EXPECT_EQ(growing.ids(number), grown_alone(model_.get(), copied, options).ids);
  const headlane_sequence_facts facts = growing.facts(number);
  EXPECT_EQ(n_steps, facts.n_new - facts.n_guessed_right);
}

// A callback ends its sequence at a token in the middle of what a step brought.
struct StopAt {
  int64_t n_new;
  headlane_next how;
  Ids told;
};
headlane_next stop_at(void* user, const headlane_sequence_token* token) {
  auto* at = static_cast<StopAt*>(user);
  if (token->id >= 0) at->told.push_back(token->id);
  return token->n_new == at->n_new ? at->how : HEADLANE_GO_ON;
}

TEST_F(SpeculateOnce, ACallbackEndsItWhereItSaysSo) {
  const ModelHandle draft = open_model(language_model_file("llama_3_1"));
  headlane_sequences_options sizes = sequences_options(1, 100);
  sizes.draft = draft.get();
  for (const headlane_next how : {HEADLANE_STOP_SOURCE, HEADLANE_STOP_ALL}) {
    for (int64_t n = 1; n <= 12; ++n) {
      StopAt with = {n, how, {}}, without = {n, how, {}};
      headlane_sequence_options options = sequence_options(12);
      options.on_token = stop_at;
      options.keep = options.logprobs = 1;
      options.user = &without;
      const Grown expected = grown_alone(model_.get(), {5, 6, 7}, options);
      options.user = &with;
      Growing growing(model_.get(), sizes);
      const int64_t number = growing.add({5, 6, 7}, guessing(options, 5));
      growing.finish();
      EXPECT_EQ(with.told, without.told) << n;
      EXPECT_EQ(growing.grown(number, options), expected) << n;
    }
  }
}

// One ends all in the middle of what a step brought: of the others' tokens that guesses brought, no
// more stay than were told of before. What a step brings without guesses stays.
TEST_F(SpeculateOnce, ACallbackEndsAllWhereItSaysSo) {
  const ModelHandle draft = open_model(language_model_file("llama_3_1"));
  headlane_sequences_options sizes = sequences_options(3, 200);
  sizes.draft = draft.get();
  const Ids prompts[] = {{5, 6, 7}, {9, 8, 7, 6}, {1, 2, 3}};
  const auto grow = [&](int64_t n_guesses, Ids told[3]) {
    StopAt at[3] = {{2, HEADLANE_STOP_ALL, {}}, {99, HEADLANE_GO_ON, {}}, {99, HEADLANE_GO_ON, {}}};
    Growing growing(model_.get(), sizes);
    std::vector<int64_t> numbers;
    std::vector<Grown> grown;
    for (int i = 0; i < 3; ++i) {
      headlane_sequence_options options = guessing(sequence_options(12), n_guesses);
      options.logprobs = 1;
      options.user = &at[i];
      if (i < 2) options.on_token = stop_at;  // nobody listens to the third
      numbers.push_back(growing.add(prompts[i], options));
    }
    growing.finish();
    for (int i = 0; i < 3; ++i) {
      grown.push_back(growing.grown(numbers[static_cast<size_t>(i)], sequence_options(12)));
      told[i] = at[i].told;
      EXPECT_EQ(grown.back().finish, "callback") << i;
    }
    return grown;
  };
  Ids told[3], expected_told[3];
  const std::vector<Grown> expected = grow(0, expected_told);
  for (const int64_t n : {1, 4}) {
    EXPECT_EQ(grow(n, told), expected) << n;
    for (int i = 0; i < 2; ++i) EXPECT_EQ(told[i], expected_told[i]) << n << " " << i;
  }
}

TEST_F(SpeculateOnce, IsRefusedBySentences) {
  Growing growing(model_.get(), sequences_options(1, 100));
  int64_t number = 0;
  const Ids prompt = {1, 2};
  const auto add = [&](int64_t n) {
    const headlane_sequence_options options = guessing(sequence_options(4), n);
    return headlane_sequences_add(growing.get(), prompt.data(), 2, &options, &number);
  };
  expect_status(add(-1), HEADLANE_INVALID_ARGUMENT, "speculate is -1");
  expect_status(add(512), HEADLANE_TOO_LARGE, "speculate is 512");
  const ModelHandle other = open_model(language_model_file("llama_texts"));
  const ModelHandle encoder = open_model(converted_golden("bert/head_dim_8_cls", "f32"));
  for (const auto& [draft, said] :
       {std::pair(other.get(), "must have the same"), std::pair(encoder.get(), "")}) {
    headlane_sequences_options sizes = sequences_options(1, 100);
    sizes.draft = draft;
    headlane_sequences* sequences = nullptr;
    const headlane_status status = headlane_sequences_create(model_.get(), &sizes, &sequences);
    EXPECT_NE(status, HEADLANE_OK);
    EXPECT_NE(std::string(headlane_error()).find(said), std::string::npos) << headlane_error();
  }
}

}  // namespace
}  // namespace headlane::test

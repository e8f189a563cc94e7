// Masks of tokens by callback: what comes is among the mask's, and else as if the others had been
// forbidden in ways that were there before.
#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/api/sequences.h"

namespace headlane::test {
namespace {

constexpr int64_t kVocabSize = kSequencesVocabSize;

// A callback's state: what it answers, and what it was asked.
struct Masker {
  std::function<headlane_next(const headlane_token_mask& mask)> fill;
  std::vector<Ids> asked = {};
};

headlane_next mask_tokens(void* user, const headlane_token_mask* mask) {
  auto* masker = static_cast<Masker*>(user);
  masker->asked.emplace_back(mask->ids, mask->ids + mask->n_ids);
  return masker->fill(*mask);
}

void allow(const headlane_token_mask& mask, int32_t id) {
  mask.mask[id / 32] |= uint32_t{1} << (id % 32);
}

headlane_next allow_all(const headlane_token_mask& mask) {
  for (int32_t id = 0; id < mask.vocab_size; ++id) allow(mask, id);
  return HEADLANE_GO_ON;
}

// Tokens that depend on the one before.
bool may_follow(int32_t last, int32_t id) { return (last * 7 + id * 5) % 11 < 4; }

headlane_next allow_some(const headlane_token_mask& mask) {
  for (int32_t id = 0; id < mask.vocab_size; ++id) {
    if (may_follow(mask.ids[mask.n_ids - 1], id)) allow(mask, id);
  }
  return HEADLANE_GO_ON;
}

class Masks : public testing::Test {
 protected:
  static headlane_sequence_options greedy() {
    headlane_sequence_options options = sequence_options(12);
    options.logprobs = 1;
    options.n_top = 3;
    options.end_ids = ends();
    options.n_end_ids = 0;
    return options;
  }
  static headlane_sequence_options sampling() {
    headlane_sequence_options options = greedy();
    options.sample = 1;
    options.temperature = 3;
    options.seed = 17;
    return options;
  }
  static const int32_t* ends() {
    static const int32_t none[] = {0};
    return none;
  }
  headlane_sequence_options with_mask(headlane_sequence_options options) {
    options.mask_tokens = mask_tokens;
    options.mask_user = &masker_;
    return options;
  }
  Grown grown(const headlane_sequence_options& options) const {
    return grown_alone(model_.get(), prompt_, options);
  }

  const ModelHandle model_ = open_model(language_model_file("qwen2_window"));
  const Ids prompt_ = {5, 6, 7, 11};
  Masker masker_ = {allow_all};
};

TEST_F(Masks, OfAllTokensChangeNothing) {
  for (const headlane_sequence_options& options : {greedy(), sampling()}) {
    const Grown free = grown(options);
    EXPECT_EQ(free.ids.size(), 12u);
    EXPECT_EQ(grown(with_mask(options)), free);
  }
}

// The tokens of each step are those that a bias of -infinity leaves: its bits, too, since
// log-probabilities are the model's own in both.
TEST_F(Masks, AreObeyedAsBiasesAre) {
  masker_.fill = allow_some;
  for (const headlane_sequence_options& options : {greedy(), sampling()}) {
    const Grown masked = grown(with_mask(options));
    ASSERT_EQ(masked.ids.size(), 12u);
    Ids so_far = prompt_;
    for (size_t i = 0; i < masked.ids.size(); ++i) {
      Ids others;
      for (int32_t id = 0; id < kVocabSize; ++id) {
        if (!may_follow(so_far.back(), id)) others.push_back(id);
      }
      const std::vector<float> biases(others.size(), -HUGE_VALF);
      headlane_sequence_options biased = options;
      biased.bias_ids = others.data();
      biased.biases = biases.data();
      biased.n_bias = std::ssize(others);
      const Ids first = {masked.ids.begin(), masked.ids.begin() + static_cast<ptrdiff_t>(i)};
      if (options.sample == 0) {
        biased.max_new_tokens = 1;
        Ids longer = prompt_;
        longer.insert(longer.end(), first.begin(), first.end());
        const Grown next = grown_alone(model_.get(), longer, biased);
        EXPECT_EQ(next.ids, Ids{masked.ids[i]});
        EXPECT_EQ(next.logprobs[0], masked.logprobs[i]);
      }
      EXPECT_TRUE(may_follow(so_far.back(), masked.ids[i])) << i;
      so_far.push_back(masked.ids[i]);
    }
  }
}

TEST_F(Masks, AreAskedForWithTheTokensSoFar) {
  masker_.fill = allow_some;
  const Grown masked = grown(with_mask(greedy()));
  ASSERT_EQ(masker_.asked.size(), masked.ids.size());
  Ids so_far = prompt_;
  for (size_t i = 0; i < masked.ids.size(); ++i) {
    EXPECT_EQ(masker_.asked[i], so_far);
    so_far.push_back(masked.ids[i]);
  }
}

TEST_F(Masks, OfNoTokenEnd) {
  masker_.fill = [](const headlane_token_mask& mask) {
    return mask.n_new < 5 ? allow_some(mask) : HEADLANE_GO_ON;
  };
  const Grown ended = grown(with_mask(greedy()));
  EXPECT_EQ(ended.ids.size(), 5u);
  EXPECT_EQ(ended.finish, "stop");
}

TEST_F(Masks, MayStop) {
  masker_.fill = [](const headlane_token_mask& mask) {
    return mask.n_new < 5 ? allow_some(mask) : HEADLANE_STOP_SOURCE;
  };
  const Grown stopped = grown(with_mask(greedy()));
  EXPECT_EQ(stopped.ids.size(), 5u);
  EXPECT_EQ(stopped.finish, "callback");

  for (const auto next : {HEADLANE_STOP_ALL, static_cast<headlane_next>(3)}) {
    masker_.fill = [next](const headlane_token_mask& mask) {
      return mask.n_new < 2 ? allow_some(mask) : next;
    };
    Growing growing(model_.get(), sequences_options());
    const int64_t masked = growing.add(prompt_, with_mask(greedy()));
    const int64_t other = growing.add({1, 2}, greedy());
    growing.finish();
    EXPECT_EQ(growing.ids(masked).size(), 2u);
    EXPECT_STREQ(growing.facts(masked).finish_reason, "callback");
    EXPECT_STREQ(growing.facts(other).finish_reason, "callback");
  }
}

// A callback may change its own sequence: what the step computes then belongs to nobody.
TEST_F(Masks, MayBeOfSequencesThatChangeMeanwhile) {
  Growing growing(model_.get(), sequences_options());
  bool rewound = false;
  masker_.fill = [&](const headlane_token_mask& mask) {
    if (mask.n_new == 4 && !rewound) {
      rewound = true;
      check(headlane_sequences_rewind(growing.get(), mask.number, mask.n_ids - 2));
    }
    return allow_some(mask);
  };
  const headlane_sequence_options options = with_mask(greedy());
  const int64_t number = growing.add(prompt_, options);
  growing.finish();
  EXPECT_TRUE(rewound);
  masker_.fill = allow_some;
  EXPECT_EQ(growing.ids(number), grown(options).ids);

  masker_.fill = [&](const headlane_token_mask& mask) {
    if (mask.n_new == 4) check(headlane_sequences_remove(growing.get(), mask.number));
    return allow_some(mask);
  };
  growing.add(prompt_, options);
  growing.finish();
}

TEST_F(Masks, GuessNothing) {
  masker_.fill = allow_some;
  headlane_sequence_options options = with_mask(greedy());
  const Grown masked = grown(options);
  options.speculate = 4;
  Growing growing(model_.get(), sequences_options());
  const int64_t number = growing.add(prompt_, options);
  growing.finish();
  EXPECT_EQ(growing.ids(number), masked.ids);
  EXPECT_EQ(growing.facts(number).n_guessed, 0);
}

TEST_F(Masks, NeedRoomForAllLogits) {
  headlane_sequences_options sizes = sequences_options();
  sizes.all_logits = 0;
  Growing growing(model_.get(), sizes);
  const headlane_sequence_options options = with_mask(greedy());
  int64_t number = 0;
  expect_status(
      headlane_sequences_add(growing.get(), prompt_.data(), std::ssize(prompt_), &options, &number),
      HEADLANE_TOO_LARGE, "masks");
}

class GeneratorMasks : public Masks {
 protected:
  static headlane_generator_options sizes(int32_t all_logits) {
    headlane_generator_options options = generator_options(4, 3);
    options.max_source_len = 30;
    options.max_new_tokens = 9;
    options.all_logits = all_logits;
    return options;
  }
  headlane_generate_options options_of(bool sample) {
    headlane_generate_options options = beams(1);
    options.end_ids = ends();
    options.n_end_ids = 0;
    options.sample = sample ? 1 : 0;
    options.n_best = sample ? 3 : 1;
    options.seed = 3;
    return options;
  }
  headlane_generate_options with(headlane_generate_options options) {
    options.mask_tokens = mask_tokens;
    options.mask_user = &masker_;
    return options;
  }
  Answers answers(const headlane_generate_options& options) {
    return generate(generator_.get(), sources_, options);
  }

  const Sequences sources_ = {{5, 6, 7, 11}, {1}, {60, 40, 20, 3, 3, 9, 8}};
  const GeneratorHandle generator_ = create_generator(model_.get(), sizes(1));
};

TEST_F(GeneratorMasks, ChangeWhatComesAsSuppressedTokensDo) {
  Ids others;
  for (int32_t id = 0; id < kVocabSize; id += 3) others.push_back(id);
  for (const bool sample : {false, true}) {
    headlane_generate_options suppressing = options_of(sample);
    EXPECT_EQ(answers(with(suppressing)), answers(suppressing));
    suppressing.suppressed_ids = others.data();
    suppressing.n_suppressed_ids = std::ssize(others);
    masker_.fill = [](const headlane_token_mask& mask) {
      for (int32_t id = 0; id < mask.vocab_size; ++id) {
        if (id % 3 != 0) allow(mask, id);
      }
      return HEADLANE_GO_ON;
    };
    EXPECT_EQ(answers(with(options_of(sample))), answers(suppressing));
    masker_.fill = allow_all;
  }
}

// A token's score is the same in any batch, so those of sequences are an oracle for chains.
TEST_F(GeneratorMasks, FollowTheTokensOfEachAnswer) {
  masker_.fill = allow_some;
  const Answers greedy_answers = answers(with(options_of(false)));
  const Answers samples = answers(with(options_of(true)));
  for (size_t i = 0; i < sources_.size(); ++i) {
    ASSERT_EQ(samples[i].size(), 3u);
    headlane_sequence_options options = with_mask(greedy());
    options.max_new_tokens = 9;
    EXPECT_EQ(greedy_answers[i][0].ids, grown_alone(model_.get(), sources_[i], options).ids);
    for (const GeneratedAnswer& answer : samples[i]) {
      int32_t last = sources_[i].back();
      ASSERT_EQ(answer.ids.size(), 9u);
      for (const int32_t id : answer.ids) {
        EXPECT_TRUE(may_follow(last, id));
        last = id;
      }
    }
  }
}

TEST_F(GeneratorMasks, EndAnswers) {
  masker_.fill = [](const headlane_token_mask& mask) {
    if (mask.number == 0 && mask.n_new == 2) return HEADLANE_STOP_SOURCE;
    if (mask.number == 1 && mask.n_new == 3) return HEADLANE_GO_ON;
    return mask.n_new == 5 ? HEADLANE_STOP_ALL : allow_some(mask);
  };
  const Answers ended = answers(with(options_of(false)));
  EXPECT_EQ(ended[0][0].ids.size(), 2u);
  EXPECT_EQ(ended[1][0].ids.size(), 3u);
  EXPECT_EQ(ended[2][0].ids.size(), 5u);
  const char* reasons[] = {"callback", "stop", "callback"};
  for (int64_t i = 0; i < 3; ++i) {
    headlane_answer answer = HEADLANE_INIT(headlane_answer);
    check(headlane_generator_get_answer(generator_.get(), i, 0, &answer));
    EXPECT_STREQ(answer.finish_reason, reasons[i]);
  }
}

TEST_F(GeneratorMasks, AreRefusedWithBeamsAndWithoutAllLogits) {
  const FlatSequences flat(sources_);
  const headlane_batch batch = flat.batch();
  const headlane_generate_options of_beams = with(beams(3)), of_one = with(beams(1));
  expect_status(headlane_generator_generate(generator_.get(), &batch, &of_beams),
                HEADLANE_UNSUPPORTED, "n_beams is 3");
  const GeneratorHandle small = create_generator(model_.get(), sizes(0));
  expect_status(headlane_generator_generate(small.get(), &batch, &of_one), HEADLANE_TOO_LARGE,
                "need all logits (masks and constraints do)");
}

}  // namespace
}  // namespace headlane::test

// Generation through the C API: the same answers in any company, and what the options of a call
// say.
#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "tests/api/generator.h"
#include "tests/api/precision.h"
#include "tests/support/isas.h"

namespace headlane::test {
namespace {

constexpr const char* kModel = "marian_shared";

// How an answer to a source depends on what is asked for.
struct Asked {
  const char* name;
  headlane_generate_options options;
};

std::vector<Asked> ways_to_ask() {
  headlane_generate_options sampled = HEADLANE_INIT(headlane_generate_options);
  sampled.sample = 1;
  sampled.top_k = 9;
  sampled.top_p = 0.9f;
  sampled.seed = 5;
  sampled.n_best = 2;
  return {{"greedy", beams(1)}, {"beams", beams(4, 4)}, {"samples", sampled}};
}

class GenerateOnIsa : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!runs(golden_file(kModel), GetParam())) {
      GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << GetParam();
    }
  }
};

// Ids, and the bits of scores: alone, in any order, with any others, for any number of threads.
TEST_P(GenerateOnIsa, AnswersDoNotDependOnTheBatch) {
  std::mt19937 random(3);
  for (const char* name : {kModel, "m2m_100", "t5_v1_1"}) {
    for (const char* precision : {"f32", "bf16", "int8"}) {
      if (!has_kernels_of_its_own(GetParam(), precision)) continue;
      SCOPED_TRACE(std::string(name) + " " + precision);
      const ModelHandle model = open_model(golden_file(name), GetParam(), precision);
      const headlane_model_facts facts = facts_of(model.get());
      const Sequences sources = random_sources(30, facts.vocab_size, 30, 1);
      const GeneratorHandle one = create_generator(model.get(), generator_options(1, 4, 1));
      for (const Asked& asked : ways_to_ask()) {
        SCOPED_TRACE(asked.name);
        headlane_generate_options options = asked.options;
        Answers alone;
        std::vector<uint64_t> keys(sources.size());
        for (size_t i = 0; i < sources.size(); ++i) {
          keys[i] = 1000 + i;
          options.keys = &keys[i];
          alone.push_back(generate(one.get(), {sources[i]}, options)[0]);
        }
        std::vector<size_t> order(sources.size());
        for (size_t i = 0; i < order.size(); ++i) order[i] = i;
        for (const int n_threads : {1, 2, 3}) {
          const GeneratorHandle many =
              create_generator(model.get(), generator_options(30, 4, n_threads));
          std::shuffle(order.begin(), order.end(), random);
          for (size_t first = 0, n = 0; first < order.size(); first += n) {
            n = std::min<size_t>(1 + random() % order.size(), order.size() - first);
            Sequences some;
            std::vector<uint64_t> some_keys;
            for (size_t i = first; i < first + n; ++i) {
              some.push_back(sources[order[i]]);
              some_keys.push_back(keys[order[i]]);
            }
            options.keys = some_keys.data();
            const Answers answers = generate(many.get(), some, options);
            for (size_t i = 0; i < n; ++i) {
              ASSERT_EQ(answers[i], alone[order[first + i]]) << n_threads << ", " << n;
            }
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, GenerateOnIsa, testing::ValuesIn(kIsas),
                         [](auto& info) { return std::string(info.param); });

class Generate : public GenerateTest {};

TEST_F(Generate, PrefixesBeginAnswersAndGoOnAsTheirOwnWould) {
  for (const int64_t n_beams : {1, 4}) {
    const Answers own = ask(beams(n_beams));
    // Greedy answers that begin with their own first tokens change in nothing except the score.
    std::vector<int32_t> prefix_ids;
    std::vector<int64_t> prefix_offsets = {0};
    for (size_t i = 0; i < sources_.size(); ++i) {
      const std::vector<int32_t>& ids = own[i][0].ids;
      const size_t n = std::min(i % 7, ids.size() - 1);
      prefix_ids.insert(prefix_ids.end(), ids.begin(), ids.begin() + static_cast<int64_t>(n));
      prefix_offsets.push_back(static_cast<int64_t>(prefix_ids.size()));
    }
    headlane_generate_options options = beams(n_beams);
    options.prefix_offsets = prefix_offsets.data();
    options.prefix_ids = prefix_ids.data();
    const Answers answers = ask(options);
    for (size_t i = 0; i < sources_.size(); ++i) {
      const std::vector<int32_t>& ids = answers[i][0].ids;
      ASSERT_TRUE(std::equal(prefix_ids.begin() + prefix_offsets[i],
                             prefix_ids.begin() + prefix_offsets[i + 1], ids.begin()));
      if (n_beams == 1 && is_answer_ended(own[i][0]) &&
          own[i][0].ids.size() < static_cast<size_t>(facts_.max_new_tokens)) {
        EXPECT_EQ(ids, own[i][0].ids) << i;
      }
    }
  }
}

TEST_F(Generate, FirstIdsLengthsAndSuppressedIds) {
  for (const int64_t n_beams : {1, 4}) {
    SCOPED_TRACE(n_beams);
    const int32_t first = 33;
    headlane_generate_options options = beams(n_beams);
    options.first_id = &first;
    for (const auto& answers : ask(options)) EXPECT_EQ(answers[0].ids[0], first);

    options = beams(n_beams);
    options.max_new_tokens = 3;
    for (const auto& answers : ask(options)) EXPECT_LE(answers[0].ids.size(), 3u);

    options = beams(n_beams);
    options.min_new_tokens = 9;
    for (const auto& answers : ask(options)) {
      EXPECT_GE(answers[0].ids.size(), 10u);
      for (size_t i = 0; i < 9; ++i) EXPECT_NE(answers[0].ids[i], kEnd);
    }

    // Answers that came do not come again.
    std::set<int32_t> seen;
    for (const auto& answers : ask(beams(n_beams))) {
      seen.insert(answers[0].ids.begin(), answers[0].ids.end());
    }
    seen.erase(kEnd);
    seen.insert(82);  // what the model itself suppresses
    const std::vector<int32_t> suppressed(seen.begin(), seen.end());
    options = beams(n_beams);
    options.suppressed_ids = suppressed.data();
    options.n_suppressed_ids = static_cast<int64_t>(suppressed.size());
    for (const auto& answers : ask(options)) {
      for (const int32_t id : answers[0].ids) EXPECT_EQ(seen.count(id), 0u);
    }
  }
}

// In place of a model's own first token, another one may be taken, or none.
TEST_F(Generate, FirstIdsOfTheModelsOwn) {
  const int32_t target = 86;
  const ModelHandle model = open_model(golden_file("m2m_100"));
  const GeneratorHandle generator = create_generator(model.get(), generator_options(20, 4));
  const auto n_first = [&](const int32_t* first_id) {
    headlane_generate_options options = beams(2);
    options.first_id = first_id;
    const Answers answers = generate(generator.get(), sources_, options);
    return std::count_if(answers.begin(), answers.end(),
                         [&](const auto& of) { return of[0].ids[0] == target; });
  };
  const int32_t other = 87, none = -1;
  EXPECT_EQ(n_first(nullptr), 20);
  EXPECT_EQ(n_first(&other), 0);
  EXPECT_LT(n_first(&none), 20);
}

TEST_F(Generate, EndsOfTheCallersOwn) {
  const Answers own = ask(beams(1));
  const int32_t ends[] = {own[0][0].ids[0]};
  headlane_generate_options options = beams(1);
  options.end_ids = ends;
  options.n_end_ids = 1;
  EXPECT_EQ(ask(options)[0][0].ids, std::vector<int32_t>{ends[0]});
  options.n_end_ids = 0;  // none: all are as long as can be
  for (const auto& answers : ask(options)) {
    EXPECT_EQ(answers[0].ids.size(), static_cast<size_t>(facts_.max_new_tokens));
  }
}

TEST_F(Generate, RepetitionIsPenalized) {
  headlane_generate_options options = beams(1);
  options.repetition_penalty = 1e6;
  for (const auto& answers : ask(options)) {
    std::set<int32_t> once(answers[0].ids.begin(), answers[0].ids.end());
    EXPECT_GE(once.size() + 1, answers[0].ids.size());  // an end that is forced may be one again
  }
}

TEST_F(Generate, ScoresAreOfTheLengthPenaltyAskedFor) {
  headlane_generate_options options = beams(1);
  options.length_penalty = HEADLANE_NO_LENGTH_PENALTY;
  const Answers sums = ask(options);
  options.length_penalty = 1;
  const Answers means = ask(options);
  for (size_t i = 0; i < sources_.size(); ++i) {
    ASSERT_EQ(sums[i][0].ids, means[i][0].ids);
    const auto n = static_cast<float>(sums[i][0].ids.size());
    EXPECT_FLOAT_EQ(sums[i][0].score, means[i][0].score * n);
  }
}

TEST_F(Generate, NoSourcesGiveNoAnswers) {
  EXPECT_TRUE(generate(generator_.get(), {}, beams(4)).empty());
  headlane_answer answer = HEADLANE_INIT(headlane_answer);
  expect_status(headlane_generator_get_answer(generator_.get(), 0, 0, &answer),
                HEADLANE_INVALID_ARGUMENT, "source is 0");
}

// The encoder's sessions are those of every model, and its states those of the generator.
TEST_F(Generate, EncodersEncode) {
  for (const char* precision : {"f32", "bf16", "int8"}) {
    const SessionHandle session = session_of(model_.get(), precision, 2);
    const std::vector<float> hidden = encode(session.get(), facts_, sources_).hidden;
    headlane_generator_options options = generator_options(20, 1);
    options.precision = precision;
    const GeneratorHandle generator = create_generator(model_.get(), options);
    const FlatSequences flat(sources_);
    const headlane_batch batch = flat.batch();
    std::vector<float> of_generator(hidden.size());
    const headlane_outputs outputs{.struct_size = sizeof outputs, .hidden = of_generator.data()};
    check(headlane_generator_encode(generator.get(), &batch, &outputs));
    EXPECT_EQ(hidden, of_generator) << precision;
  }
}

TEST_F(Generate, FactsOfADecoder) {
  EXPECT_STREQ(facts_.architecture, "encoder_decoder");
  EXPECT_EQ(facts_.has_decoder, 1);
  EXPECT_EQ(facts_.n_layers, 1);
  EXPECT_EQ(facts_.n_heads, 4);
  EXPECT_EQ(facts_.d_ff, 40);
  EXPECT_EQ(facts_.n_decoder_layers, 3);
  EXPECT_EQ(facts_.n_decoder_heads, 2);
  EXPECT_EQ(facts_.decoder_d_ff, 56);
  EXPECT_EQ(facts_.vocab_size, 83);
  EXPECT_EQ(facts_.decoder_vocab_size, 83);
  EXPECT_EQ(facts_.max_target_len, 48);
  EXPECT_EQ(facts_.max_new_tokens, 15);
  EXPECT_EQ(facts_.n_beams, 4);
  EXPECT_EQ(facts_.start_id, 82);
  EXPECT_STREQ(facts_.pooling, "none");
}

// A layer of attention and a feed-forward rounds ten times to bf16 (tests/api/precision_test.cc); a
// decoder's, with a second attention, at most twice as often; the words and the product that is the
// logits once each, and once what it takes. Each is off by 2^-8 of a row's length at most. int8 is
// held to what narrow encoders are held to, for the reasons given there.
TEST_F(Generate, NarrowLogitsAreNearThoseOfFloats) {
  for (const char* name : {kModel, "bart", "m2m_100", "t5_v1_0", "t5_v1_1"}) {
    std::vector<float> of_f32;
    for (const char* precision : {"f32", "bf16", "int8"}) {
      const ModelHandle model = open_model(golden_file(name), "", precision);
      const headlane_model_facts facts = facts_of(model.get());
      const auto vocab_size = static_cast<size_t>(facts.decoder_vocab_size);
      headlane_generator_options options = generator_options(20, 1, 2);
      options.all_logits = 1;
      const GeneratorHandle generator = create_generator(model.get(), options);
      const Sequences sources = random_sources(20, facts.vocab_size, 20, 2);
      const FlatSequences flat(sources);
      const headlane_batch batch = flat.batch();
      check(headlane_generator_encode(generator.get(), &batch, nullptr));
      std::vector<float> logits(20 * vocab_size), all;
      std::vector<int32_t> ids(20), of(20);
      for (int32_t i = 0; i < 20; ++i) of[static_cast<size_t>(i)] = i;
      for (int32_t position = 0; position < 5; ++position) {
        std::fill(ids.begin(), ids.end(), position == 0 ? facts.start_id : 3 + position * 11);
        headlane_step step = HEADLANE_INIT(headlane_step);
        step.n_rows = 20;
        step.ids = ids.data();
        step.sources = of.data();
        step.logits = logits.data();
        check(headlane_generator_step(generator.get(), &step));
        all.insert(all.end(), logits.begin(), logits.end());
      }
      if (of_f32.empty()) of_f32 = all;
      const double roundings =
          10.0 * static_cast<double>(facts.n_layers + 2 * facts.n_decoder_layers) + 3;
      const double distance = farthest_row(all, of_f32, vocab_size);
      if (std::string(precision) != "int8") {
        EXPECT_LE(distance, roundings / 256) << name;
      }
      EXPECT_GT(smallest_cosine(all, of_f32, vocab_size), 0.95) << name << " " << precision;
    }
  }
}

}  // namespace
}  // namespace headlane::test

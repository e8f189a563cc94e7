// The limits that a generator may be made with, and structs of other ages.
#include <cmath>

#include "tests/api/generator.h"

namespace headlane::test {
namespace {

class GeneratorOptions : public GenerateTest {
 protected:
  // No generator is made with that value of a field, which the sentence names.
  void refuse_creation(int64_t headlane_generator_options::*field, int64_t value,
                       const std::string& named) {
    headlane_generator_options options = HEADLANE_INIT(headlane_generator_options);
    options.*field = value;
    headlane_generator* generator = nullptr;
    size_t bytes = 0;
    expect_status(headlane_generator_create(model_.get(), &options, &generator),
                  HEADLANE_INVALID_ARGUMENT, named);
    expect_status(headlane_generator_bytes(model_.get(), &options, &bytes),
                  HEADLANE_INVALID_ARGUMENT, named);
    EXPECT_EQ(generator, nullptr);
    EXPECT_EQ(bytes, 0u);
  }
};

TEST_F(GeneratorOptions, OptionsOfGenerators) {
  using Options = headlane_generator_options;
  for (const int64_t wrong : {int64_t{-1}, INT64_MIN, INT64_MAX}) {
    refuse_creation(&Options::max_sources, wrong, "max_sources");
    refuse_creation(&Options::max_source_tokens, wrong, "max_source_tokens");
    refuse_creation(&Options::max_source_len, wrong, "max_source_len");
    refuse_creation(&Options::max_beams, wrong, "max_beams");
    refuse_creation(&Options::max_new_tokens, wrong, "max_new_tokens");
    refuse_creation(&Options::max_prefix, wrong, "max_prefix");
    refuse_creation(&Options::max_candidates, wrong, "max_candidates");
  }
  refuse_creation(&Options::max_source_len, 49, "max_source_len");
  refuse_creation(&Options::max_new_tokens, 49, "max_new_tokens");
  refuse_creation(&Options::max_prefix, 48, "max_prefix");
  refuse_creation(&Options::max_beams, kMarianVocabSize + 1, "max_beams");
  refuse_creation(&Options::max_candidates, kMarianVocabSize + 1, "max_candidates");

  headlane_generator* generator = nullptr;
  Options options = HEADLANE_INIT(headlane_generator_options);
  options.n_threads = -1;
  expect_status(headlane_generator_create(model_.get(), &options, &generator),
                HEADLANE_INVALID_ARGUMENT, "n_threads");
  options = HEADLANE_INIT(headlane_generator_options);
  options.precision = "fp8";
  expect_status(headlane_generator_create(model_.get(), &options, &generator),
                HEADLANE_INVALID_ARGUMENT, "precision is \"fp8\"");
  options.precision = nullptr;
  options.cache = "fp8";
  expect_status(headlane_generator_create(model_.get(), &options, &generator),
                HEADLANE_INVALID_ARGUMENT, "cache is \"fp8\"");
  options.struct_size = 0;
  expect_status(headlane_generator_create(model_.get(), &options, &generator),
                HEADLANE_INVALID_ARGUMENT, "struct_size");
  EXPECT_EQ(generator, nullptr);
}

// Rows of the caches have numbers of 32 bits: 2^24 targets of 200 tokens have more.
TEST_F(GeneratorOptions, MoreTargetsThanCanBeNumbered) {
  const ModelHandle model = open_model(golden_file("t5_v1_0"));
  headlane_generator_options options = generator_options(int64_t{1} << 20, 16);
  options.max_new_tokens = 200;
  size_t bytes = 0;
  expect_status(headlane_generator_bytes(model.get(), &options, &bytes), HEADLANE_TOO_LARGE,
                "16777216 targets of 200 tokens");
  options.max_new_tokens = 100;
  EXPECT_EQ(headlane_generator_bytes(model.get(), &options, &bytes), HEADLANE_OK);
  EXPECT_GT(bytes, size_t{1} << 37);
}

TEST_F(GeneratorOptions, StructsOfOtherAges) {
  struct {
    headlane_generator_options known;
    int64_t later;
  } newer{};
  newer.known.struct_size = sizeof newer;
  size_t bytes = 0, of_older = 0;
  EXPECT_EQ(headlane_generator_bytes(model_.get(), &newer.known, &bytes), HEADLANE_OK);
  newer.later = 1;
  expect_status(headlane_generator_bytes(model_.get(), &newer.known, &bytes), HEADLANE_UNSUPPORTED,
                "headlane_generator_options");
  headlane_generator_options older = HEADLANE_INIT(headlane_generator_options);
  older.struct_size = offsetof(headlane_generator_options, max_beams);
  older.max_beams = older.max_new_tokens = -1;  // beyond the older caller's struct
  older.precision = "nonsense";
  EXPECT_EQ(headlane_generator_bytes(model_.get(), &older, &of_older), HEADLANE_OK);
  EXPECT_EQ(of_older, bytes);

  const FlatSequences flat(sources_);
  const headlane_batch batch = flat.batch();
  headlane_generate_options short_options = beams(4, 2);
  short_options.struct_size = offsetof(headlane_generate_options, length_penalty);
  short_options.length_penalty = NAN;
  short_options.top_k = -1;
  check(headlane_generator_generate(generator_.get(), &batch, &short_options));
  const Answers answers = answers_of(generator_.get(), sources_.size());
  EXPECT_EQ(answers, ask(beams(4, 2)));

  headlane_answer answer;
  std::memset(&answer, 0x55, sizeof answer);
  answer.struct_size = offsetof(headlane_answer, ids);
  check(headlane_generator_get_answer(generator_.get(), 0, 0, &answer));
  EXPECT_EQ(answer.n_answers, 2);
  EXPECT_EQ(answer.n_ids, 0x5555555555555555);  // not written
}

TEST(GeneratorsOfOtherModels, AreRefused) {
  const TempDir temp;
  const std::string path = temp.file("bert.headlane");
  check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_8_cls", path.c_str(), nullptr));
  const ModelHandle model = open_model(path);
  EXPECT_EQ(facts_of(model.get()).has_decoder, 0);
  headlane_generator* generator = nullptr;
  size_t bytes = 0;
  headlane_generator_options options = generator_options(2, 4);
  for (const int64_t prefix : {0, 3}) {
    options.max_prefix = options.max_new_tokens = prefix;
    for (const headlane_generator_options* given :
         {static_cast<const headlane_generator_options*>(nullptr),
          static_cast<const headlane_generator_options*>(&options)}) {
      expect_status(headlane_generator_create(model.get(), given, &generator), HEADLANE_UNSUPPORTED,
                    "the model has no decoder");
      expect_status(headlane_generator_bytes(model.get(), given, &bytes), HEADLANE_UNSUPPORTED,
                    "the model has no decoder");
    }
  }
}

TEST(GeneratorsOfOtherProducts, AreRefused) {
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.gemm = "onednn";
  headlane_model* made = nullptr;
  const headlane_status status = headlane_model_open(golden_file("bart").c_str(), &options, &made);
  if (status == HEADLANE_UNSUPPORTED) GTEST_SKIP() << headlane_error();
  check(status);
  const ModelHandle model(made);
  headlane_generator* generator = nullptr;
  expect_status(headlane_generator_create(model.get(), nullptr, &generator), HEADLANE_UNSUPPORTED,
                "encodes, but does not generate");
}

}  // namespace
}  // namespace headlane::test

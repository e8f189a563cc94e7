// A generator refuses these by a status and a sentence, and is as good as new after it.
#include <cmath>
#include <limits>

#include "tests/api/generator.h"

namespace headlane::test {
namespace {

class GenerateErrors : public testing::Test {
 protected:
  static constexpr int64_t kMaxSources = 8, kMaxTokens = 60, kMaxSourceLen = 20, kMaxBeams = 4,
                           kMaxNew = 12, kMaxPrefix = 3;

  GenerateErrors() {
    headlane_generator_options options = generator_options(kMaxSources, kMaxBeams);
    options.max_source_tokens = kMaxTokens;
    options.max_source_len = kMaxSourceLen;
    options.max_new_tokens = kMaxNew;
    options.max_prefix = kMaxPrefix;
    generator_ = create_generator(model_.get(), options);
    expected_ = generate(generator_.get(), good_, beams(4, 2));
  }

  void expect_as_good_as_new() {
    EXPECT_EQ(generate(generator_.get(), good_, beams(4, 2)), expected_);
  }
  void refuse(const headlane_batch& batch, headlane_status status, const std::string& named) {
    SCOPED_TRACE(named);
    expect_status(headlane_generator_generate(generator_.get(), &batch, nullptr), status, named);
    expect_status(headlane_generator_encode(generator_.get(), &batch, nullptr), status, named);
    expect_as_good_as_new();
  }
  void refuse(const Sequences& sources, headlane_status status, const std::string& named) {
    const FlatSequences flat(sources);
    refuse(flat.batch(), status, named);
  }
  void refuse(const headlane_generate_options& options, headlane_status status,
              const std::string& named) {
    SCOPED_TRACE(named);
    const FlatSequences flat(good_);
    const headlane_batch batch = flat.batch();
    expect_status(headlane_generator_generate(generator_.get(), &batch, &options), status, named);
    expect_as_good_as_new();
  }

  const ModelHandle model_ = open_model(golden_file("marian_shared"));
  const Sequences good_ = {{5, 6, 7, 0}, {1}, {60, 40, 20, 0}};
  GeneratorHandle generator_;
  Answers expected_;
};

TEST_F(GenerateErrors, Sources) {
  refuse(Sequences{{1, 2}, {3, kMarianVocabSize}}, HEADLANE_INVALID_ARGUMENT, "ids[3] is 83");
  refuse(Sequences{{-1}}, HEADLANE_INVALID_ARGUMENT, "ids[0] is -1");
  refuse(Sequences{{1, 2}, {}, {3}}, HEADLANE_INVALID_ARGUMENT, "source 1 is empty");
  refuse(Sequences{std::vector<int32_t>(kMaxSourceLen + 1, 1)}, HEADLANE_TOO_LARGE,
         "sequence 0 of the batch has 21 tokens");
  refuse(Sequences(kMaxSources + 1, {1}), HEADLANE_TOO_LARGE, "n_seqs is 9");
  refuse(Sequences(4, std::vector<int32_t>(16, 1)), HEADLANE_TOO_LARGE, "offsets[4] is 64");

  const int64_t falls[] = {0, 3, 2}, starts[] = {1, 2, 4}, low[] = {0, INT64_MIN, 4},
                huge[] = {0, INT64_MAX, 4};
  const int32_t ids[] = {1, 2, 3, 4}, types[] = {0, 0, 1, 0};
  const int64_t two[] = {0, 2, 4};
  const size_t size = sizeof(headlane_batch);
  refuse(headlane_batch{size, 2, falls, ids, nullptr}, HEADLANE_INVALID_ARGUMENT, "offsets[2]");
  refuse(headlane_batch{size, 2, starts, ids, nullptr}, HEADLANE_INVALID_ARGUMENT, "offsets[0]");
  refuse(headlane_batch{size, 2, low, ids, nullptr}, HEADLANE_INVALID_ARGUMENT, "offsets[1]");
  refuse(headlane_batch{size, 2, huge, ids, nullptr}, HEADLANE_TOO_LARGE, "offsets[1]");
  refuse(headlane_batch{size, -1, two, ids, nullptr}, HEADLANE_INVALID_ARGUMENT, "n_seqs is -1");
  refuse(headlane_batch{size, 2, nullptr, ids, nullptr}, HEADLANE_INVALID_ARGUMENT, "offsets");
  refuse(headlane_batch{size, 2, two, nullptr, nullptr}, HEADLANE_INVALID_ARGUMENT, "ids is null");
  refuse(headlane_batch{size, 2, two, ids, types}, HEADLANE_INVALID_ARGUMENT, "type_ids[2] is 1");
  refuse(headlane_batch{3, 2, two, ids, nullptr}, HEADLANE_INVALID_ARGUMENT, "struct_size");
}

TEST_F(GenerateErrors, AsManyAsThereIsRoomForAreTaken) {
  Sequences sources = {std::vector<int32_t>(kMaxSourceLen, 1)};
  while (sources.size() < kMaxSources) sources.emplace_back(5, 2);
  EXPECT_EQ(generate(generator_.get(), sources, beams(kMaxBeams)).size(), sources.size());
  sources.assign(3, std::vector<int32_t>(kMaxSourceLen, 1));  // all tokens
  EXPECT_EQ(generate(generator_.get(), sources, beams(kMaxBeams)).size(), sources.size());
}

TEST_F(GenerateErrors, Beams) {
  refuse(beams(-1), HEADLANE_INVALID_ARGUMENT, "n_beams is -1");
  refuse(beams(kMarianVocabSize + 1), HEADLANE_INVALID_ARGUMENT, "n_beams is 84");
  refuse(beams(kMarianVocabSize), HEADLANE_INVALID_ARGUMENT, "n_beams is 83");  // one is suppressed
  refuse(beams(kMaxBeams + 1), HEADLANE_TOO_LARGE, "n_beams: 5");
  refuse(beams(2, 3), HEADLANE_INVALID_ARGUMENT, "n_best is 3");
  refuse(beams(2, -1), HEADLANE_INVALID_ARGUMENT, "n_best is -1");
  headlane_generate_options options = beams(4);
  options.sample = 1;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "with sampling it must be 1");
  options = beams(0, kMaxBeams + 1);
  options.sample = 1;
  options.top_k = 5;
  refuse(options, HEADLANE_TOO_LARGE, "n_best: 5");
  options = beams(2);
  options.early_stopping = static_cast<headlane_early_stopping>(4);
  refuse(options, HEADLANE_INVALID_ARGUMENT, "early_stopping is 4");
  options = beams(2);
  for (const double penalty : {double{NAN}, HUGE_VAL, -HUGE_VAL}) {
    options.length_penalty = penalty;
    refuse(options, HEADLANE_INVALID_ARGUMENT, "length_penalty is ");
  }
  options = {};
  refuse(options, HEADLANE_INVALID_ARGUMENT, "struct_size");
}

TEST_F(GenerateErrors, Sampling) {
  headlane_generate_options options = HEADLANE_INIT(headlane_generate_options);
  options.sample = 1;
  refuse(options, HEADLANE_TOO_LARGE, "all logits");  // without top_k
  options.top_k = -1;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "top_k is -1");
  options.top_k = 5;
  for (const float temperature : {-1.0f, NAN, HUGE_VALF}) {
    options.temperature = temperature;
    refuse(options, HEADLANE_INVALID_ARGUMENT, "temperature is ");
  }
  options.temperature = 0;
  for (const float top_p : {-0.5f, 1.5f, NAN}) {
    options.top_p = top_p;
    refuse(options, HEADLANE_INVALID_ARGUMENT, "top_p is ");
  }
  options = beams(1);
  options.repetition_penalty = 1.5;
  refuse(options, HEADLANE_TOO_LARGE, "all logits");
  for (const double penalty : {-1.0, double{NAN}, HUGE_VAL}) {
    options.repetition_penalty = penalty;
    refuse(options, HEADLANE_INVALID_ARGUMENT, "repetition_penalty is ");
  }
}

TEST_F(GenerateErrors, LengthsAndIds) {
  headlane_generate_options options = beams(2);
  options.max_new_tokens = kMaxNew + 1;
  refuse(options, HEADLANE_TOO_LARGE, "max_new_tokens is 13");
  options.max_new_tokens = -1;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "max_new_tokens is -1");
  options.max_new_tokens = INT64_MAX;
  refuse(options, HEADLANE_TOO_LARGE, "max_new_tokens is ");
  options.max_new_tokens = 5;
  options.min_new_tokens = 6;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "min_new_tokens is 6");
  options.min_new_tokens = -2;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "min_new_tokens is -2");

  const int32_t wrong[] = {3, kMarianVocabSize}, negative[] = {-2};
  for (const int32_t* ids : {wrong + 1, negative}) {
    options = beams(2);
    options.first_id = ids;
    refuse(options, HEADLANE_INVALID_ARGUMENT, "first_id is ");
    options = beams(2);
    options.end_ids = ids;
    options.n_end_ids = 1;
    refuse(options, HEADLANE_INVALID_ARGUMENT, "end_ids is ");
    options = beams(2);
    options.suppressed_ids = ids;
    options.n_suppressed_ids = 1;
    refuse(options, HEADLANE_INVALID_ARGUMENT, "suppressed_ids is ");
  }
  options = beams(2);
  options.end_ids = wrong;
  options.n_end_ids = -1;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "n_end_ids is -1");
  options = beams(2);
  options.suppressed_ids = wrong;
  options.n_suppressed_ids = -3;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "n_suppressed_ids is -3");
  options = beams(2);
  options.n_end_ids = 1;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "n_end_ids is 1, but end_ids is null");
  options = beams(2);
  options.n_suppressed_ids = 2;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "n_suppressed_ids is 2, but suppressed_ids is null");
  // Nothing is left to say.
  std::vector<int32_t> all(kMarianVocabSize);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  options = beams(1);
  options.suppressed_ids = all.data();
  options.n_suppressed_ids = kMarianVocabSize;
  refuse(options, HEADLANE_INVALID_ARGUMENT, "neither suppressed nor an end");
}

TEST_F(GenerateErrors, Prefixes) {
  const int32_t ids[] = {3, 4, 5, 6, 7, 8}, wrong[] = {3, kMarianVocabSize, 3};
  const int64_t starts[] = {1, 2, 3, 3}, falls[] = {0, 2, 1, 1}, long_one[] = {0, 0, 4, 4},
                good[] = {0, 1, 2, 3}, huge[] = {0, INT64_MAX, INT64_MAX, INT64_MAX},
                low[] = {0, INT64_MIN, 0, 0};
  headlane_generate_options options = beams(2);
  const auto refuse_prefixes = [&](const int64_t* offsets, const int32_t* of,
                                   headlane_status status, const std::string& named) {
    options.prefix_offsets = offsets;
    options.prefix_ids = of;
    refuse(options, status, named);
  };
  refuse_prefixes(starts, ids, HEADLANE_INVALID_ARGUMENT, "prefix_offsets[0] is 1");
  refuse_prefixes(falls, ids, HEADLANE_INVALID_ARGUMENT, "prefix_offsets[2] is 1 after 2");
  refuse_prefixes(low, ids, HEADLANE_INVALID_ARGUMENT, "prefix_offsets[1]");
  refuse_prefixes(long_one, ids, HEADLANE_TOO_LARGE, "at most 3");
  refuse_prefixes(huge, ids, HEADLANE_TOO_LARGE, "at most 3");
  refuse_prefixes(good, wrong, HEADLANE_INVALID_ARGUMENT, "source 1 has token 83");
  refuse_prefixes(good, nullptr, HEADLANE_INVALID_ARGUMENT, "prefix_ids");
}

TEST_F(GenerateErrors, Nulls) {
  const FlatSequences flat(good_);
  const headlane_batch batch = flat.batch();
  headlane_generator* generator = nullptr;
  size_t bytes = 0;
  headlane_answer answer = HEADLANE_INIT(headlane_answer);
  const headlane_step step = HEADLANE_INIT(headlane_step);
  const headlane_status bad = HEADLANE_INVALID_ARGUMENT;
  expect_status(headlane_generator_create(nullptr, nullptr, &generator), bad, "model");
  expect_status(headlane_generator_create(model_.get(), nullptr, nullptr), bad, "out");
  expect_status(headlane_generator_bytes(nullptr, nullptr, &bytes), bad, "model");
  expect_status(headlane_generator_bytes(model_.get(), nullptr, nullptr), bad, "out");
  expect_status(headlane_generator_generate(nullptr, &batch, nullptr), bad, "generator");
  expect_status(headlane_generator_generate(generator_.get(), nullptr, nullptr), bad, "sources");
  expect_status(headlane_generator_encode(nullptr, &batch, nullptr), bad, "generator");
  expect_status(headlane_generator_encode(generator_.get(), nullptr, nullptr), bad, "sources");
  expect_status(headlane_generator_step(nullptr, &step), bad, "generator");
  expect_status(headlane_generator_step(generator_.get(), nullptr), bad, "step");
  expect_status(headlane_generator_get_answer(nullptr, 0, 0, &answer), bad, "generator");
  expect_as_good_as_new();
  expect_status(headlane_generator_get_answer(generator_.get(), 0, 0, nullptr), bad,
                "headlane_answer");
  headlane_generator_destroy(nullptr);
}

TEST_F(GenerateErrors, AnswersThatAreNotThere) {
  headlane_answer answer = HEADLANE_INIT(headlane_answer);
  const headlane_status bad = HEADLANE_INVALID_ARGUMENT;
  const auto get = [&](int64_t source, int64_t rank) {
    return headlane_generator_get_answer(generator_.get(), source, rank, &answer);
  };
  expect_status(get(3, 0), bad, "source is 3, but the last call answered 3 sources");
  expect_status(get(-1, 0), bad, "source is -1");
  expect_status(get(0, 2), bad, "rank is 2, but source 0 has 2 answers");
  expect_status(get(0, -1), bad, "rank is -1");
  EXPECT_EQ(get(2, 1), HEADLANE_OK);
  // A call that fails has no answers, nor have steps.
  EXPECT_NE(headlane_generator_generate(generator_.get(), nullptr, nullptr), HEADLANE_OK);
  const FlatSequences flat(good_);
  const headlane_batch batch = flat.batch();
  check(headlane_generator_encode(generator_.get(), &batch, nullptr));
  expect_status(get(0, 0), bad, "the last call answered 0");
}

TEST_F(GenerateErrors, PooledVectorsOfAModelWithoutPooling) {
  const FlatSequences flat(good_);
  const headlane_batch batch = flat.batch();
  float pooled[1];
  const headlane_outputs outputs{.struct_size = sizeof outputs, .pooled = pooled};
  expect_status(headlane_generator_encode(generator_.get(), &batch, &outputs), HEADLANE_UNSUPPORTED,
                "pooling");
  expect_as_good_as_new();
}

TEST_F(GenerateErrors, Steps) {
  const FlatSequences flat(good_);
  const headlane_batch batch = flat.batch();
  check(headlane_generator_encode(generator_.get(), &batch, nullptr));
  const std::vector<int32_t> ids = {82, 82, 82}, sources = {0, 1, 2}, parents = {-1, -1, -1};
  std::vector<int32_t> best_ids(3 * 100);
  std::vector<float> logits(3 * kMarianVocabSize);
  headlane_step good = HEADLANE_INIT(headlane_step);
  good.n_rows = 3;
  good.ids = ids.data();
  good.sources = sources.data();
  good.parents = parents.data();
  good.k = 5;
  good.best_ids = best_ids.data();
  const auto refuse_step = [&](const headlane_step& step, headlane_status status,
                               const std::string& named) {
    SCOPED_TRACE(named);
    expect_status(headlane_generator_step(generator_.get(), &step), status, named);
  };
  const headlane_status bad = HEADLANE_INVALID_ARGUMENT;
  headlane_step step = good;
  const auto with_ids = [&](const int32_t* headlane_step::*field,
                            const std::vector<int32_t>& values, const std::string& named) {
    step = good;
    step.*field = values.data();
    refuse_step(step, bad, named);
  };
  with_ids(&headlane_step::ids, {82, kMarianVocabSize, 0}, "step.ids[1] is 83");
  with_ids(&headlane_step::ids, {82, 1, -1}, "step.ids[2] is -1");
  with_ids(&headlane_step::sources, {0, 1, 3}, "step.sources[2] is 3");
  with_ids(&headlane_step::sources, {-1, 1, 2}, "step.sources[0] is -1");
  with_ids(&headlane_step::parents, {0, -1, -1}, "step.parents[0] is 0");
  with_ids(&headlane_step::parents, {-1, -2, -1}, "step.parents[1] is -2");
  step = good;
  step.ids = nullptr;
  refuse_step(step, bad, "step.ids is null");
  step = good;
  step.sources = nullptr;
  refuse_step(step, bad, "step.sources is null");
  for (const int64_t n_rows : {0, -1}) {
    step = good;
    step.n_rows = n_rows;
    refuse_step(step, bad, "step.n_rows is ");
  }
  step = good;
  step.n_rows = kMaxSources * kMaxBeams + 1;
  refuse_step(step, HEADLANE_TOO_LARGE, "step.n_rows is 33");
  step = good;
  step.k = -1;
  refuse_step(step, bad, "step.k is -1");
  step.k = kMarianVocabSize;
  refuse_step(step, HEADLANE_TOO_LARGE, "step.k is 83");
  step = good;
  step.best_ids = nullptr;
  refuse_step(step, bad, "step.k is ");
  step = good;
  step.logits = logits.data();
  refuse_step(step, HEADLANE_TOO_LARGE, "all logits");
  // Results of none would be left unwritten.
  step = good;
  step.k = 0;
  refuse_step(step, bad, "step.k is 0");
  step.best_ids = nullptr;
  step.log_sum_exp = logits.data();
  refuse_step(step, bad, "step.k is 0");
  step = good;
  step.struct_size = 1;
  refuse_step(step, bad, "struct_size");

  // Rows of a map that share a place.
  headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
  maps.data = logits.data();
  maps.query_stride = maps.head_stride = maps.layer_stride = maps.seq_stride = 1;
  step = good;
  step.cross_attention = &maps;
  refuse_step(step, bad, "stride");
  step.cross_attention = nullptr;
  step.self_attention = &maps;
  refuse_step(step, bad, "stride");

  // Nothing has happened: there has been no step.
  step = good;
  ASSERT_EQ(headlane_generator_step(generator_.get(), &step), HEADLANE_OK) << headlane_error();
  with_ids(&headlane_step::parents, {0, 2, 1}, "row 1 of source 1 goes on from row 2, of source 2");
  check(headlane_generator_encode(generator_.get(), &batch, nullptr));
  step = good;
  step.parents = nullptr;
  for (int64_t position = 0; position < kMaxNew + kMaxPrefix; ++position) {
    ASSERT_EQ(headlane_generator_step(generator_.get(), &step), HEADLANE_OK) << headlane_error();
  }
  refuse_step(step, HEADLANE_TOO_LARGE, "a target of 15 tokens");
  for (int64_t i = 0; i < 3; ++i) {  // the rows of targets that have ended are free again
    ASSERT_EQ(headlane_generator_step(generator_.get(), &good), HEADLANE_OK) << headlane_error();
  }
  expect_as_good_as_new();
}

TEST_F(GenerateErrors, StepsBeforeAnySourceIsEncoded) {
  const GeneratorHandle generator = create_generator(model_.get(), generator_options(2, 1));
  const int32_t zero = 0;
  headlane_step step = HEADLANE_INIT(headlane_step);
  step.n_rows = 1;
  step.ids = step.sources = &zero;
  expect_status(headlane_generator_step(generator.get(), &step), HEADLANE_INVALID_ARGUMENT,
                "0 sources have been encoded");
}

}  // namespace
}  // namespace headlane::test

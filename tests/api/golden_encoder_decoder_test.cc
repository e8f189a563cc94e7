// The small encoder-decoders of tests/golden/encoder_decoder, from their Hugging Face folders to
// hidden states, logits and answers, against transformers in float64.
#include "tests/api/generator.h"

namespace headlane::test {
namespace {

class GoldenEncoderDecoders : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  void SetUp() override {
    path_ = golden_file(std::get<0>(GetParam()));
    const std::string isa = std::get<1>(GetParam());
    if (!runs(path_, isa)) GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << isa;
    model_ = open_model(path_, isa);
    facts_ = facts_of(model_.get());
  }

  double bound(const char* what) const {
    return kOfPyTorchsError * golden_.manifest["float32_from_float64"][what].get<double>();
  }
  // Room for what the searches ask for, which may be more than the model's own.
  headlane_generator_options limits(size_t max_sources, int n_threads) const {
    headlane_generator_options options =
        generator_options(static_cast<int64_t>(max_sources), 5, n_threads);
    options.max_new_tokens = std::max(golden_.max_new_tokens, facts_.max_new_tokens);
    return options;
  }
  // All sources, `at_once` of them in a batch.
  void check_search(const std::string& name, const headlane_generate_options& options,
                    headlane_generator* generator, size_t at_once) const;

  const GoldenEncoderDecoder golden_{std::get<0>(GetParam())};
  std::string path_;
  ModelHandle model_;
  headlane_model_facts facts_{};
};

void GoldenEncoderDecoders::check_search(const std::string& name,
                                         const headlane_generate_options& options,
                                         headlane_generator* generator, size_t at_once) const {
  SCOPED_TRACE(name);
  const Sequences expected = golden_.generated(name);
  const size_t n_best = expected.size() / golden_.sources.size();
  const bool scored = std::filesystem::exists(golden_.folder + "/" + name + "_scores.npy");
  const std::vector<float> scores = scored ? golden_.scores(name).data : std::vector<float>();
  for (size_t first = 0; first < golden_.sources.size(); first += at_once) {
    const size_t last = std::min(first + at_once, golden_.sources.size());
    const Sequences sources(golden_.sources.begin() + static_cast<int64_t>(first),
                            golden_.sources.begin() + static_cast<int64_t>(last));
    const Answers answers = generate(generator, sources, options);
    for (size_t i = 0; i < answers.size(); ++i) {
      ASSERT_EQ(answers[i].size(), n_best) << "source " << first + i;
      for (size_t rank = 0; rank < n_best; ++rank) {
        const size_t line = (first + i) * n_best + rank;
        ASSERT_EQ(answers[i][rank].ids, expected[line]) << "source " << first + i << ", " << rank;
        if (scored) {
          ASSERT_NEAR(answers[i][rank].score, scores[line], bound("scores")) << first + i;
        }
      }
    }
  }
}

TEST_P(GoldenEncoderDecoders, AnswersAreThoseOfTransformers) {
  for (const auto& [n_threads, at_once] : {std::pair<int, size_t>{1, 200}, {2, 7}}) {
    headlane_generator_options with_logits = limits(at_once, n_threads);
    with_logits.all_logits = 1;
    const GeneratorHandle generator = create_generator(model_.get(), with_logits);
    for (const GoldenSearch& search : golden_.searches) {
      headlane_generate_options options = beams(search.n_beams, search.n_best);
      options.length_penalty = search.length_penalty;
      options.early_stopping = search.early_stopping == "never" ? HEADLANE_EARLY_STOPPING_NEVER
                               : search.early_stopping == "first"
                                   ? HEADLANE_EARLY_STOPPING_FIRST
                                   : HEADLANE_EARLY_STOPPING_HEURISTIC;
      options.max_new_tokens = golden_.max_new_tokens;
      check_search(search.name, options, generator.get(), at_once);
    }
    check_search("default", HEADLANE_INIT(headlane_generate_options), generator.get(), at_once);
  }
}

// Where the best of a row are all that is looked at.
TEST_P(GoldenEncoderDecoders, AnswersNeedNotAllLogits) {
  const GeneratorHandle generator = create_generator(model_.get(), limits(50, 1));
  if (std::string(std::get<0>(GetParam())) == "mbart") {  // repetition costs
    const FlatSequences flat(golden_.sources);
    headlane_batch batch = flat.batch();
    batch.n_seqs = 1;
    expect_status(headlane_generator_generate(generator.get(), &batch, nullptr), HEADLANE_TOO_LARGE,
                  "all logits");
    return;
  }
  headlane_generate_options options = beams(4, 4);
  options.length_penalty = 1;
  options.early_stopping = HEADLANE_EARLY_STOPPING_HEURISTIC;
  options.max_new_tokens = golden_.max_new_tokens;
  check_search("beam", options, generator.get(), 50);
  check_search("default", HEADLANE_INIT(headlane_generate_options), generator.get(), 50);
}

TEST_P(GoldenEncoderDecoders, HiddenStatesAndLogits) {
  const auto n = static_cast<size_t>(golden_.n_detailed);
  const auto d = static_cast<size_t>(facts_.d_model);
  const auto vocab_size = static_cast<size_t>(facts_.decoder_vocab_size);
  headlane_generator_options with_logits = limits(n, 2);
  with_logits.all_logits = 1;
  const GeneratorHandle generator = create_generator(model_.get(), with_logits);
  const Sequences sources(golden_.sources.begin(),
                          golden_.sources.begin() + static_cast<int64_t>(n));
  const FlatSequences flat(sources);
  const headlane_batch batch = flat.batch();
  std::vector<float> hidden(flat.ids.size() * d);
  const headlane_outputs outputs{.struct_size = sizeof outputs, .hidden = hidden.data()};
  check(headlane_generator_encode(generator.get(), &batch, &outputs));
  ASSERT_EQ(hidden.size(), golden_.hidden.data.size());
  for (size_t i = 0; i < hidden.size(); ++i) {
    ASSERT_NEAR(hidden[i], golden_.hidden.data[i], bound("hidden")) << i;
  }
  // One target after the other, since they are of different lengths.
  const Sequences targets = golden_.generated("greedy");
  size_t row = 0;
  for (size_t source = 0; source < n; ++source) {
    check(headlane_generator_encode(generator.get(), &batch, nullptr));
    for (size_t i = 0; i < targets[source].size(); ++i, ++row) {
      const int32_t id = i == 0 ? facts_.start_id : targets[source][i - 1];
      const int32_t of = static_cast<int32_t>(source);
      std::vector<float> logits(vocab_size);
      headlane_step step = HEADLANE_INIT(headlane_step);
      step.n_rows = 1;
      step.ids = &id;
      step.sources = &of;
      step.logits = logits.data();
      check(headlane_generator_step(generator.get(), &step));
      const float* expected = &golden_.logits.data[row * vocab_size];
      for (size_t v = 0; v < vocab_size; ++v) {
        ASSERT_NEAR(logits[v], expected[v], bound("logits")) << source << ", " << i << ", " << v;
      }
    }
  }
  EXPECT_EQ(row * vocab_size, golden_.logits.data.size());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenEncoderDecoders,
                         testing::Combine(testing::ValuesIn(kEncoderDecoders),
                                          testing::Values("ref", "avx2", "avx512")),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + "_" +
                                  std::get<1>(info.param);
                         });

}  // namespace
}  // namespace headlane::test

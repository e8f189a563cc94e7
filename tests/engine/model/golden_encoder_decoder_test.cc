// Small Marian, BART, mBART, M2M-100, T5 and mT5 against transformers: hidden states and logits
// within the rounding of float32, and greedy and beam search id for id.
#include "tests/support/golden_encoder_decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "engine/generate/generator.h"
#include "engine/import/convert.h"
#include "engine/model/model.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using Ids = std::vector<int32_t>;
using test::GoldenEncoderDecoder;
using test::Npy;

// Another order of summation than that of transformers' own float32 may be off by a small multiple
// of what that is off by (tests/golden/README.md).
constexpr double kOrders = 4;

struct Batch {
  explicit Batch(const std::vector<Ids>& sequences) {
    for (const Ids& ids : sequences) {
      all.insert(all.end(), ids.begin(), ids.end());
      offsets.push_back(static_cast<int64_t>(all.size()));
    }
  }
  TokenBatch view() const {
    TokenBatch batch;
    batch.n_seqs = static_cast<int64_t>(offsets.size()) - 1;
    batch.offsets = offsets.data();
    batch.ids = all.data();
    return batch;
  }
  Ids all;
  std::vector<int64_t> offsets = {0};
};

class GoldenGeneration : public testing::TestWithParam<const char*> {
 protected:
  GoldenGeneration() : golden_(GetParam()) {
    convert_model(golden_.folder, dir_.file("m.headlane"), {});
    model_ = Model::open(dir_.file("m.headlane"), {});
  }

  GeneratorLimits limits() const {
    const GenerationDefaults& generation = model_->config().generation;
    GeneratorOptions options;
    options.max_sources = static_cast<int64_t>(golden_.sources.size());
    options.max_source_len = 20;
    options.max_source_tokens = options.max_source_len * options.max_sources;
    options.max_beams = 5;
    options.max_new_tokens = std::max(golden_.max_new_tokens, generation.max_new_tokens);
    options.all_logits = true;
    options.n_threads = 1;
    return generator_limits(*model_, options);
  }

  double bound(const char* what) const {
    return kOrders * golden_.manifest["float32_from_float64"][what].get<double>();
  }

  void expect_answers(const std::string& name, const SearchOptions& search) {
    Generator generator(*model_, limits(), nullptr, {});
    const Batch batch(golden_.sources);
    Request request;
    request.sources = batch.view();
    request.search = search;
    generator.generate(request);
    const std::vector<Ids> lines = golden_.generated(name);
    const Npy scores = search.n_beams > 1 ? golden_.scores(name) : Npy{};
    int64_t n_different = 0;
    for (size_t i = 0; i < lines.size(); ++i) {
      const auto source = static_cast<int64_t>(i) / search.n_best;
      const int64_t rank = static_cast<int64_t>(i) % search.n_best;
      ASSERT_LT(rank, generator.n_answers(source)) << name << " of source " << source;
      const Answer answer = generator.answer(source, rank);
      const bool same =
          std::equal(answer.ids.begin(), answer.ids.end(), lines[i].begin(), lines[i].end());
      if (!same) ++n_different;
      EXPECT_TRUE(same || n_different > 3)
          << name << " of source " << source << ", rank " << rank << ": "
          << testing::PrintToString(Ids(answer.ids.begin(), answer.ids.end()))
          << "; transformers: " << testing::PrintToString(lines[i]);
      if (search.n_beams == 1 || !same) continue;
      EXPECT_NEAR(answer.score, scores.data[i], bound("scores")) << name << " of source " << source;
    }
    EXPECT_EQ(n_different, 0) << name << ", of " << lines.size();
  }

  const GoldenEncoderDecoder golden_;
  const TempDir dir_;
  std::unique_ptr<Model> model_;
};

// The numbers that are to be compared with are all there, and of the model.
TEST_P(GoldenGeneration, AnswersAreWhole) {
  const ModelConfig& config = model_->config();
  const size_t n = golden_.sources.size();
  ASSERT_EQ(n, 200u);
  const auto in = [](const std::vector<Ids>& lines, int64_t vocab_size, size_t most) {
    return std::all_of(lines.begin(), lines.end(), [&](const Ids& line) {
      return !line.empty() && line.size() <= most &&
             std::all_of(line.begin(), line.end(),
                         [&](int32_t id) { return id >= 0 && id < vocab_size; });
    });
  };
  EXPECT_TRUE(in(golden_.sources, config.encoder.vocab_size, 20));
  int64_t rows = 0, steps = 0;
  const std::vector<Ids> greedy = golden_.generated("greedy");
  for (int64_t i = 0; i < golden_.n_detailed; ++i) {
    rows += static_cast<int64_t>(golden_.sources[static_cast<size_t>(i)].size());
    steps += static_cast<int64_t>(greedy[static_cast<size_t>(i)].size());
  }
  EXPECT_EQ(golden_.hidden.shape, (std::vector<int64_t>{rows, config.d_model}));
  EXPECT_EQ(golden_.logits.shape, (std::vector<int64_t>{steps, config.decoder.vocab_size}));
  ASSERT_EQ(golden_.searches.size(), 3u);
  for (const test::GoldenSearch& search : golden_.searches) {
    const std::vector<Ids> lines = golden_.generated(search.name);
    EXPECT_EQ(lines.size(), n * static_cast<size_t>(search.n_best)) << search.name;
    EXPECT_TRUE(in(lines, config.decoder.vocab_size, static_cast<size_t>(golden_.max_new_tokens)));
    if (search.n_beams == 1) continue;
    EXPECT_EQ(golden_.scores(search.name).shape,
              (std::vector<int64_t>{static_cast<int64_t>(n), search.n_best}));
  }
  const std::vector<Ids> lines = golden_.generated("default");
  EXPECT_EQ(lines.size(), n);
  EXPECT_TRUE(
      in(lines, config.decoder.vocab_size, static_cast<size_t>(config.generation.max_new_tokens)));
  // Outputs depend on the source, and some end by themselves.
  EXPECT_GE(std::set<Ids>(greedy.begin(), greedy.end()).size(), 60u);
  const auto n_early = std::count_if(greedy.begin(), greedy.end(), [&](const Ids& line) {
    return static_cast<int64_t>(line.size()) < golden_.max_new_tokens;
  });
  EXPECT_GE(n_early, 20);
}

TEST_P(GoldenGeneration, HiddenStates) {
  Generator generator(*model_, limits(), nullptr, {});
  const Batch batch(
      std::vector<Ids>(golden_.sources.begin(), golden_.sources.begin() + golden_.n_detailed));
  std::vector<float> hidden(golden_.hidden.data.size());
  ASSERT_EQ(hidden.size(), batch.all.size() * static_cast<size_t>(model_->config().d_model));
  generator.encode(batch.view(), hidden.data(), nullptr);
  for (size_t i = 0; i < hidden.size(); ++i) {
    ASSERT_NEAR(hidden[i], golden_.hidden.data[i], bound("hidden")) << i;
  }
}

TEST_P(GoldenGeneration, Logits) {
  Generator generator(*model_, limits(), nullptr, {});
  Decoder& decoder = generator.decoder();
  const std::vector<Ids> targets = golden_.generated("greedy");
  const int64_t vocab_size = model_->config().decoder.vocab_size;
  const float* expected = golden_.logits.data.data();
  for (int64_t i = 0; i < golden_.n_detailed; ++i) {
    const Batch batch({golden_.sources[static_cast<size_t>(i)]});
    generator.encode(batch.view(), nullptr, nullptr);
    int32_t id = model_->config().generation.start_id;
    const int32_t source = 0;
    for (const int32_t next : targets[static_cast<size_t>(i)]) {
      StepBatch step;
      step.n_rows = 1;
      step.ids = &id;
      step.sources = &source;
      step.k = 1;
      step.all_logits = true;
      decoder.step(step);
      const float* logits = decoder.next(0).all;
      ASSERT_NE(logits, nullptr);
      for (int64_t c = 0; c < vocab_size; ++c) {
        ASSERT_NEAR(logits[c], *expected++, bound("logits")) << "source " << i << ", id " << c;
      }
      id = next;
    }
  }
}

TEST_P(GoldenGeneration, Searches) {
  for (const test::GoldenSearch& golden : golden_.searches) {
    SearchOptions search = default_search(model_->config(), limits());
    search.n_beams = golden.n_beams;
    search.n_best = golden.n_best;
    search.length_penalty = golden.length_penalty;
    search.early_stopping = golden.early_stopping == "never"   ? EarlyStopping::kNever
                            : golden.early_stopping == "first" ? EarlyStopping::kFirst
                                                               : EarlyStopping::kHeuristic;
    search.max_new_tokens = golden_.max_new_tokens;
    expect_answers(golden.name, search);
  }
}

TEST_P(GoldenGeneration, Defaults) {
  expect_answers("default", default_search(model_->config(), limits()));
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenGeneration, testing::ValuesIn(test::kEncoderDecoders),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace headlane

// Gemma 3 270M, a real model, against transformers in float32: what tests/golden/gemma3_270m has.
// HEADLANE_GEMMA names the folder that folder.py made there. Without it the tests are skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/generate/generator.h"
#include "engine/import/convert.h"
#include "engine/model/model.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using Ids = std::vector<int32_t>;

class Gemma : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("HEADLANE_GEMMA");
    if (folder == nullptr) GTEST_SKIP() << "HEADLANE_GEMMA names no folder";
    convert_model(folder, dir_.file("gemma.headlane"), {});
    model_ = Model::open(dir_.file("gemma.headlane"), {});
  }

  Generator generator(int64_t n, int64_t max_len, int64_t max_new) const {
    GeneratorOptions options;
    options.max_sources = n;
    options.max_source_len = max_len;
    options.max_source_tokens = n * max_len;
    options.max_new_tokens = max_new;
    options.all_logits = true;
    return Generator(*model_, generator_limits(*model_, options), nullptr, {});
  }

  const nlohmann::json expected_ =
      nlohmann::json::parse(std::ifstream(HEADLANE_GOLDEN_DIR "/gemma3_270m/expected.json"));
  const TempDir dir_;
  std::unique_ptr<Model> model_;
};

TEST_F(Gemma, ContinuesAsTransformersDoes) {
  Ids ids;
  std::vector<int64_t> offsets = {0};
  for (const auto& prompt : expected_["prompts"]) {
    for (const int32_t id : prompt["ids"]) ids.push_back(id);
    offsets.push_back(std::ssize(ids));
  }
  const int64_t n = std::ssize(offsets) - 1;
  const auto max_new = static_cast<int64_t>(expected_["prompts"][0]["new"].size());
  Generator all = generator(n, 64, max_new);
  Request request;
  request.sources.n_seqs = n;
  request.sources.offsets = offsets.data();
  request.sources.ids = ids.data();
  request.search = default_search(model_->config(), all.limits());
  all.generate(request);
  for (int64_t i = 0; i < n; ++i) {
    const Answer answer = all.answer(i, 0);
    const auto& prompt = expected_["prompts"][static_cast<size_t>(i)];
    EXPECT_EQ(Ids(answer.ids.begin(), answer.ids.end()), prompt["new"].get<Ids>())
        << prompt["text"];
  }
}

// The sequences go token by token, side by side; each is longer than a window.
TEST_F(Gemma, LikelihoodsAreTransformers) {
  std::vector<Ids> sequences;
  for (const std::string line : expected_["sequences"]) {
    std::istringstream words(line);
    sequences.emplace_back(std::istream_iterator<int32_t>(words), std::istream_iterator<int32_t>());
  }
  const int64_t n = std::ssize(sequences), length = std::ssize(sequences[0]);
  Generator all = generator(n, length, 1);
  Ids ids;
  std::vector<int64_t> offsets = {0};
  for (const Ids& sequence : sequences) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    offsets.push_back(std::ssize(ids));
  }
  TokenBatch batch;
  batch.n_seqs = n;
  batch.offsets = offsets.data();
  batch.ids = ids.data();
  all.decoder().encode(batch, nullptr, nullptr);
  std::vector<double> sums(sequences.size());
  const int64_t vocab_size = model_->config().decoder.vocab_size;
  for (int64_t at = 0; at + 1 < length; ++at) {
    Ids next;
    for (const Ids& sequence : sequences) next.push_back(sequence[static_cast<size_t>(at)]);
    StepBatch step;
    step.n_rows = n;
    step.ids = next.data();
    step.k = 1;
    step.all_logits = true;
    all.decoder().step(step);
    for (int64_t row = 0; row < n; ++row) {
      const float* logits = all.decoder().next(row).all;
      const double largest = *std::max_element(logits, logits + vocab_size);
      double sum = 0;
      for (int64_t i = 0; i < vocab_size; ++i) {
        sum += std::exp(static_cast<double>(logits[i]) - largest);
      }
      const int32_t wanted = sequences[static_cast<size_t>(row)][static_cast<size_t>(at + 1)];
      sums[static_cast<size_t>(row)] += largest + std::log(sum) - logits[wanted];
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    const double mean = sums[i] / static_cast<double>(length - 1);
    const double theirs = expected_["negative_log_likelihood"][i];
    RecordProperty("perplexity_" + std::to_string(i), std::to_string(std::exp(mean)));
    EXPECT_NEAR(std::exp(mean), std::exp(theirs), 1e-3 * std::exp(theirs)) << "sequence " << i;
  }
}

}  // namespace
}  // namespace headlane

// All small language models of tests/golden through sequences, eight at a time: transformers' ids,
// and log-probabilities within the rounding of float32, of tokens that come and of tokens that are
// given.
#include <nlohmann/json.hpp>

#include "tests/api/sequences.h"
#include "tests/support/lines.h"
#include "tests/support/npy.h"

namespace headlane::test {
namespace {

// As in tests/engine/model/golden_language_model_test.cc: another order of summation may be off by
// this many times what transformers' own float32 is off by.
constexpr double kOrders = 4;

const std::string kModels = HEADLANE_GOLDEN_DIR "/language_models/";

std::vector<std::string> models_with_ids() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (std::filesystem::exists(entry.path() / "greedy.txt")) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

double log_softmax(const float* logits, int64_t n, int32_t id) {
  const double largest = *std::max_element(logits, logits + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(logits[i] - largest);
  return logits[id] - largest - std::log(sum);
}

class SequencesGolden : public testing::TestWithParam<std::string> {
 protected:
  const std::string folder_ = kModels + GetParam();
  const nlohmann::json manifest_ = nlohmann::json::parse(read_file(folder_ + "/manifest.json"));
  const std::vector<Ids> prompts_ = read_ids(folder_ + "/prompts.txt");
  const std::vector<Ids> greedy_ = read_ids(folder_ + "/greedy.txt");
  const ModelHandle model_ = open_model(language_model_file(GetParam()));
};

TEST_P(SequencesGolden, IdsAreThoseOfTransformers) {
  headlane_sequences_options sizes = sequences_options(8, 5000);
  sizes.max_step_tokens = 200;
  sizes.n_threads = 2;
  Growing growing(model_.get(), sizes);
  const headlane_sequence_options options = sequence_options(manifest_["max_new_tokens"]);
  std::vector<int64_t> numbers;
  for (const Ids& prompt : prompts_) numbers.push_back(growing.add(prompt, options));
  growing.finish();
  for (size_t i = 0; i < prompts_.size(); ++i) {
    EXPECT_EQ(growing.ids(numbers[i]), greedy_[i]) << i;
  }
}

TEST_P(SequencesGolden, LogprobsAreThoseOfTransformers) {
  const Npy logits = read_npy(folder_ + "/logits.npy");
  const int64_t vocab_size = logits.shape[1];
  // The logit of the token and the logarithm of the sum may both be off, the latter by no more than
  // a logit and the roundings of a sum of that many terms.
  const double bound = 2 * kOrders * manifest_["float32_from_float64"]["logits"].get<double>() +
                       static_cast<double>(vocab_size) * std::numeric_limits<float>::epsilon();
  Growing growing(model_.get(), sequences_options(8, 5000));
  headlane_sequence_options come = sequence_options(manifest_["max_new_tokens"]);
  come.logprobs = 1;
  headlane_sequence_options given = sequence_options(HEADLANE_NO_NEW_TOKENS);
  given.prompt_logprobs = 1;
  const float* row = logits.data.data();
  for (size_t i = 0; i < manifest_["n_detailed"].get<size_t>(); ++i) {
    Ids whole = prompts_[i];
    whole.insert(whole.end(), greedy_[i].begin(), greedy_[i].end());
    const int64_t coming = growing.add(prompts_[i], come), known = growing.add(whole, given);
    growing.finish();
    const std::vector<float> first = growing.grown(coming, come).logprobs;
    const std::vector<float> second = growing.grown(known, given).logprobs;
    ASSERT_EQ(first.size(), greedy_[i].size());
    for (size_t j = 0; j < first.size(); ++j, row += vocab_size) {
      EXPECT_NEAR(first[j], log_softmax(row, vocab_size, greedy_[i][j]), bound) << i << ", " << j;
      EXPECT_EQ(first[j], second[prompts_[i].size() + j]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SequencesGolden, testing::ValuesIn(models_with_ids()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace headlane::test

// Files that llama.cpp's quantiser made, in each of its types that is read: their logits beside
// those of llama.cpp, and beside float64 (golden/gguf/make_quantised.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/generate/generator.h"
#include "engine/import/convert.h"
#include "engine/model/model.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using Rows = std::vector<std::vector<float>>;

const std::string kQuantised = HEADLANE_GOLDEN_DIR "/gguf/quantised/";

// By how much of its length a row is off, at most.
double relative_error(const Rows& rows, const Rows& exact) {
  EXPECT_EQ(rows.size(), exact.size());
  double most = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_EQ(rows[i].size(), exact[i].size());
    double error = 0, length = 0;
    for (size_t j = 0; j < exact[i].size(); ++j) {
      const double x = rows[i][j], y = exact[i][j];
      error += (x - y) * (x - y), length += y * y;
    }
    most = std::max(most, std::sqrt(error / length));
  }
  return most;
}

// The logits after each token.
Rows logits_after_each(const Model& model, const std::vector<int32_t>& ids) {
  GeneratorOptions options;
  options.max_sources = 1;
  options.max_source_len = std::ssize(ids);
  options.max_new_tokens = 1;
  options.all_logits = true;
  options.n_threads = 1;
  Generator generator(model, generator_limits(model, options), nullptr, {});
  Decoder& decoder = generator.decoder();
  const int64_t offsets[] = {0, std::ssize(ids)}, step_offsets[] = {0, 1};
  TokenBatch prompt;
  prompt.n_seqs = 1;
  prompt.offsets = offsets;
  prompt.ids = ids.data();
  decoder.encode(prompt, nullptr, nullptr);
  Rows rows;
  for (const int32_t& id : ids) {
    const int64_t room = std::ssize(ids) + 1;
    StepBatch step;
    step.n_rows = 1;
    step.offsets = step_offsets;
    step.ids = &id;
    step.rooms = &room;
    step.k = 1;
    step.all_logits = true;
    decoder.step(step);
    const float* all = decoder.next(0).all;
    rows.emplace_back(all, all + model.config().decoder.vocab_size);
  }
  return rows;
}

class QuantisedGguf : public testing::TestWithParam<const char*> {
 protected:
  QuantisedGguf() {
    for (const auto& [name, of_file] : golden_["files"].items()) {
      const Rows exact = of_file["float64"];
      if (name == GetParam()) {
        exact_ = exact;
        theirs_ = of_file["llama.cpp"].get<Rows>();
      }
      llama_cpp_is_off_ = std::max(llama_cpp_is_off_, relative_error(of_file["llama.cpp"], exact));
    }
  }

  // Of a file made with `convert` options, as another precision runs it, or "" as it is.
  Rows logits_in(const char* precision, const ConvertOptions& convert = {}) const {
    const std::string file = dir_.file("m.headlane");
    convert_model(kQuantised + GetParam() + ".gguf", file, convert);
    ModelOptions options;
    options.precision = precision;
    return logits_after_each(*Model::open(file, options), golden_["ids"]);
  }

  const nlohmann::json golden_ = nlohmann::json::parse(std::ifstream(kQuantised + "logits.json"));
  const TempDir dir_;
  Rows exact_, theirs_;
  double llama_cpp_is_off_ = 0;  // at most, of all files: activations have 8 bits in all of them
};

// Each number of a sum of K products is off by K + 1 roundings at most, and eight sums of at most
// 256 follow each other from the embedding to the logits. The golden file has six digits.
constexpr double kRoundings = 8 * 257 * 0x1p-24 + 1e-6;

TEST_P(QuantisedGguf, InF32WeightsAreThoseOfTheFile) {
  ConvertOptions options;
  options.precision = Precision::kF32;
  EXPECT_LE(relative_error(logits_in("", options), exact_), kRoundings);
}

// Where a scale and a minimum are products, groups have them rounded to f16 (docs/precision.md).
TEST_P(QuantisedGguf, InGroupsWeightsAreThoseOfTheFile) {
  const std::string type = GetParam();
  const bool is_rounded = type.ends_with("_K") || type == "IQ4_XS";
  EXPECT_LE(relative_error(logits_in("f32"), exact_), kRoundings + (is_rounded ? 16 * 0x1p-11 : 0));
}

// As they are stored. Both round activations to 8 bits, in an order of their own, so that both are
// off by as much, and differ by twice as much at most.
TEST_P(QuantisedGguf, LogitsAreNearThoseOfLlamaCpp) {
  EXPECT_GT(llama_cpp_is_off_, 0.001);
  EXPECT_LT(llama_cpp_is_off_, 0.05);
  EXPECT_LE(relative_error(logits_in(""), theirs_), 2 * llama_cpp_is_off_);
}

INSTANTIATE_TEST_SUITE_P(Types, QuantisedGguf,
                         testing::Values("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K",
                                         "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace headlane

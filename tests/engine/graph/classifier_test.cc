// A classifier's head against float64, in every precision: it is f32 in all of them, so that its
// scores are those of the last hidden states, whatever these are computed in.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "engine/graph/graph_builder.h"
#include "engine/import/convert.h"
#include "engine/model/model.h"
#include "engine/run/session.h"
#include "engine/spec/isa.h"
#include "tests/support/activated.h"
#include "tests/support/bounded.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using test::Bounded;

// Activations are nowhere steeper than 1.13, and right to 4 roundings of |x| (activation_test.cc).
Bounded activated(Activation activation, Bounded x) {
  const double y = test::activated(kernel_of(activation), x.value);
  return {y, 1.13 * x.error + 4 * test::kEps * std::fabs(x.value)};
}

class ClassifierGraph : public testing::TestWithParam<const char*> {
 protected:
  // The scores of the first row of a sequence.
  std::vector<Bounded> scores_of(const Model& model, const float* row) const {
    const ModelConfig& config = model.config();
    const int64_t d = config.d_model;
    std::vector<Bounded> x(row, row + d);
    const auto product = [&](const std::string& name, int64_t n_out) {
      const float* w = model.container().f32(name + ".weight", {n_out, d});
      const float* bias = model.container().f32(name + ".bias", {n_out});
      std::vector<Bounded> y;
      for (int64_t i = 0; i < n_out; ++i) {
        y.push_back(test::dot(d, x.data(), 1, w + i * d, 1, Bounded(bias[i])));
      }
      return y;
    };
    for (size_t i = 0; i < config.head.steps.size(); ++i) {
      const HeadStep& step = config.head.steps[i];
      x = product("head.steps." + std::to_string(i), step.columns);
      if (step.activation == Activation::kNone) continue;
      for (Bounded& value : x) value = activated(step.activation, value);
    }
    return x;
  }

  void check(const std::string& folder, const std::string& precision, const std::string& stored) {
    SCOPED_TRACE(folder + " " + precision + " " + stored);
    const TempDir dir;
    const std::string path = dir.file("m.headlane");
    ConvertOptions to;
    to.precision = choose_precision(stored, *kernels::supported().back(), Precision::kF32);
    convert_model(HEADLANE_GOLDEN_DIR "/classify/" + folder, path, to);
    ModelOptions options;
    options.isa = GetParam();
    options.precision = precision;
    const std::unique_ptr<Model> model = Model::open(path, options);
    SessionOptions session_options;
    session_options.n_threads = 2;
    Session session(*model, session_limits(*model, session_options), nullptr, {});
    const int64_t d = model->config().d_model, n = model->config().head.classifier.n_labels();
    std::vector<int32_t> ids;
    std::vector<int64_t> offsets = {0};
    for (int64_t seq = 0; seq < kSeqs; ++seq) {
      for (int64_t i = 0; i < 1 + seq % 7; ++i) {
        ids.push_back(static_cast<int32_t>((seq * 7 + i * 5) % 30));
      }
      offsets.push_back(std::ssize(ids));
    }
    std::vector<float> hidden(ids.size() * static_cast<size_t>(d));
    std::vector<float> scores(static_cast<size_t>(kSeqs * n));
    session.encode({kSeqs, offsets.data(), ids.data(), nullptr}, hidden.data(), scores.data(),
                   nullptr);
    for (int64_t seq = 0; seq < kSeqs; ++seq) {
      const std::vector<Bounded> expected = scores_of(*model, &hidden[offsets[seq] * d]);
      for (int64_t i = 0; i < n; ++i) {
        ASSERT_NEAR(scores[seq * n + i], expected[i].value, expected[i].error) << seq << " " << i;
      }
    }
  }

  static constexpr int64_t kSeqs = 150;  // more than a block of rows
};

TEST_P(ClassifierGraph, ScoresAreOfTheHiddenStates) {
  if (std::string(kernels_for(GetParam()).isa) != GetParam()) {
    GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << GetParam();
  }
  for (const char* folder : {"bert_nli", "bert_seventeen_labels", "bert_regression"}) {
    for (const char* precision : {"f32", "bf16", "int8"}) {
      check(folder, precision, "f32");
      check(folder, precision, precision);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, ClassifierGraph, testing::Values("ref", "avx2", "avx512"));

}  // namespace
}  // namespace headlane

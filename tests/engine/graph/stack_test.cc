// Features of a stack that no model of today has, against models made of other files' layers.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "engine/import/convert.h"
#include "engine/model/model.h"
#include "engine/run/session.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

constexpr int64_t kLayers = 3, kLen = 12;

// A stack of layers on activations, and models made of its tensors.
class StackTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = dir_.file("m.headlane");
    convert_model(HEADLANE_GOLDEN_DIR "/layers/encoder_pre_norm_final", path, {});
    container_ = std::make_unique<Container>(Container::open(path));
    config_ = ModelConfig::from_json(container_->config(), path);
    config_.encoder.final_norm = false;
    ASSERT_EQ(config_.encoder.n_layers, kLayers);
    x_.resize(static_cast<size_t>(kLen * config_.d_model));
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = std::sin(static_cast<float>(i));
  }

  // A model of that config whose layer 0 is layer `first` of the file.
  std::unique_ptr<Model> model(const ModelConfig& config, int64_t first = 0) const {
    const std::string from = "encoder.layers." + std::to_string(first) + ".";
    std::vector<TensorSource> tensors;
    for (const TensorInfo& tensor : container_->tensors()) {
      if (first > 0 && !tensor.name.starts_with(from)) continue;
      std::string name = tensor.name;
      if (first > 0) name.replace(0, from.size(), "encoder.layers.0.");
      tensors.push_back({name, tensor.dtype, tensor.shape, container_->data(tensor)});
    }
    ModelOptions options;
    options.n_threads = 1;
    return Model::make(Container::make("stack", config.to_json(), tensors), config, options);
  }
  std::vector<float> run(const Model& model, std::vector<float> x) const {
    SessionOptions options;
    options.n_threads = 1;
    options.max_tokens = kLen;
    Session session(model, session_limits(model, options), nullptr, {});
    std::vector<float> out(x.size());
    ActivationBatch batch;
    batch.n_seqs = 1;
    batch.q_rows.len = batch.kv_rows.len = kLen;
    const int64_t d = config_.d_model;
    batch.x = batch.key = batch.value = {x.data(), kLen * d, d};
    batch.out = {out.data(), kLen * d, d};
    session.forward(batch, nullptr);
    return out;
  }

  TempDir dir_;
  std::unique_ptr<Container> container_;
  ModelConfig config_;
  std::vector<float> x_;
};

TEST_F(StackTest, OneWindowForAllLayersIsTheSpecs) {
  ModelConfig by_spec = config_, by_layer = config_;
  by_spec.encoder.attention.window_left = by_spec.encoder.attention.window_right = 2;
  by_layer.encoder.windows = {{.left = 2, .right = 2}};
  const std::vector<float> expected = run(*model(by_spec), x_);
  EXPECT_EQ(run(*model(by_layer), x_), expected);
  EXPECT_NE(run(*model(config_), x_), expected);
  // The windows of layers count, whatever the spec's are.
  by_layer.encoder.attention.window_left = 5;
  EXPECT_EQ(run(*model(by_layer), x_), expected);
}

// All layers at once are one after the other, each with its own window; the third begins the
// pattern anew.
TEST_F(StackTest, EachLayerHasItsOwnWindow) {
  const LayerWindow narrow = {.left = 1, .right = 0};
  for (const std::vector<LayerWindow>& windows :
       {std::vector<LayerWindow>{narrow, {}}, std::vector<LayerWindow>{{}, narrow}}) {
    ModelConfig both = config_;
    both.encoder.windows = windows;
    std::vector<float> expected = x_;
    for (size_t i = 0; i < kLayers; ++i) {
      ModelConfig one = config_;
      one.encoder.n_layers = 1;
      one.encoder.attention.window_left = windows[i % 2].left;
      one.encoder.attention.window_right = windows[i % 2].right;
      expected = run(*model(one, static_cast<int64_t>(i)), expected);
    }
    EXPECT_EQ(run(*model(both), x_), expected);
  }
}

// A stack either has all of its biases, or those that the file has.
TEST_F(StackTest, BiasesAreRequiredWhereTheConfigSaysSo) {
  ModelConfig config = config_;
  const auto without = [&](const std::string& left_out) {
    std::vector<TensorSource> tensors;
    for (const TensorInfo& tensor : container_->tensors()) {
      if (tensor.name == left_out) continue;
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape, container_->data(tensor)});
    }
    return Model::make(Container::make("stack", config.to_json(), tensors), config, {});
  };
  for (const char* bias :
       {"encoder.layers.1.ffn.up.bias", "encoder.layers.0.attention.norm.bias"}) {
    config.encoder.biases = true;
    EXPECT_ERROR(without(bias), Status::kBadFile, std::string("\"") + bias + "\" is missing");
    config.encoder.biases = false;
    EXPECT_NO_THROW(without(bias));
  }
}

// Without a feed-forward a layer is attention alone.
TEST_F(StackTest, AStackMayHaveNoFeedForward) {
  ModelConfig config = config_;
  config.encoder.d_ff = 0;
  const auto attention_alone = model(config);
  int n_products = 0;
  for (const auto& op : attention_alone->graph(Precision::kF32, Part::kMain).ops) {
    n_products += std::string(op->name()) == "linear" ? 1 : 0;
  }
  EXPECT_EQ(n_products, kLayers * 4) << "Q, K, V and the output";
  const std::vector<float> out = run(*attention_alone, x_);
  EXPECT_NE(out, run(*model(config_), x_));
  for (const float value : out) EXPECT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace headlane

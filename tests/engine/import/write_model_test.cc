// The end of a conversion: tensors of more than one block, and what goes wrong while they are read.
#include "engine/import/write/write_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <tuple>

#include "engine/import/convert.h"
#include "engine/import/source/safetensors.h"
#include "kernels/kernels.h"
#include "tests/support/expect_error.h"
#include "tests/support/narrow.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

// An attention of 1100 columns: rows of Q, K and V are two blocks each.
class WriteModel : public testing::Test {
 protected:
  static constexpr int64_t kD = 1100;

  WriteModel() {
    std::vector<float> weight(static_cast<size_t>(3 * kD * kD));
    for (size_t i = 0; i < weight.size(); ++i) {
      weight[i] = std::sin(static_cast<float>(i)) / static_cast<float>(1 + i / 100'000);
    }
    weight_ = weight;
    const std::vector<float> out(weight.begin(), weight.begin() + kD * kD);
    write_file(path_, safetensors_bytes({f32_tensor("in_proj_weight", {3 * kD, kD}, weight),
                                         f32_tensor("out_proj.weight", {kD, kD}, out)}));
    write_file(dir_.file("config.json"), R"({"d_model": 1100, "nhead": 10})");
  }

  Container convert(Precision precision) {
    ConvertOptions options;
    options.precision = precision;
    convert_model(dir_.path(), out_, options);
    return Container::open(out_);
  }

  // The file's row i of Q, K and V, of 3300 in all.
  template <typename Element>
  static const Element* row(const Container& model, int64_t i, const char* suffix, int64_t cols) {
    const std::string name = std::string("encoder.layers.0.attention.") + "qkv"[i / kD] + suffix;
    const auto* data = reinterpret_cast<const Element*>(model.data(*model.find(name)).data());
    return data + i % kD * cols;
  }
  const float* source(int64_t i) const { return weight_.data() + i * kD; }

  TempDir dir_;
  const std::string path_ = dir_.file("model.safetensors"), out_ = dir_.file("out");
  std::vector<float> weight_;
};

TEST_F(WriteModel, BlocksDoNotShowInF32) {
  const Container model = convert(Precision::kF32);
  for (int64_t i = 0; i < 3 * kD; ++i) {
    const auto* stored = row<float>(model, i, ".weight", kD);
    ASSERT_TRUE(std::equal(stored, stored + kD, source(i))) << i;
  }
}

TEST_F(WriteModel, BlocksDoNotShowInBf16) {
  const Container model = convert(Precision::kBf16);
  for (int64_t i = 0; i < 3 * kD; ++i) {
    const auto* stored = row<kernels::Bf16>(model, i, ".weight", kD);
    for (int64_t j = 0; j < kD; ++j) {
      ASSERT_EQ(stored[j], test::nearest_bf16(source(i)[j])) << i << ", " << j;
    }
  }
}

TEST_F(WriteModel, BlocksDoNotShowInInt8) {
  const Container model = convert(Precision::kInt8);
  std::vector<int8_t> expected(static_cast<size_t>(kD));
  for (int64_t i = 0; i < 3 * kD; ++i) {
    float scale = 0;
    kernels::supported().front()->quantize_weights(source(i), kD, expected.data(), &scale);
    const auto* stored = row<int8_t>(model, i, ".weight", kD);
    ASSERT_TRUE(std::equal(stored, stored + kD, expected.begin())) << i;
    ASSERT_EQ(*row<float>(model, i, ".scale", 1), scale) << i;
  }
}

// The folder has its two files before and after.
TEST_F(WriteModel, TheCheckpointIsCutOrWrittenToMeanwhile) {
  const auto written = [&](const std::function<void()>& change) {
    const SafetensorsModel checkpoint(dir_.path());
    Recipes recipes(checkpoint);
    recipes.add("in_proj_weight", "w", {3 * kD, kD});
    const std::vector<TensorRecipe> made = recipes.take();
    const StoredTensors stored(checkpoint, made, ModelConfig(), Precision::kF32);
    ContainerWriter writer(out_, Json::object(), nullptr, stored.outline());
    change();
    stored.write(&writer);
  };
  namespace fs = std::filesystem;
  const auto before = fs::last_write_time(path_);
  EXPECT_ERROR(written([&] { fs::last_write_time(path_, before + std::chrono::seconds(1)); }),
               Status::kBadFile, "model.safetensors was written to after it was opened");
  EXPECT_ERROR(written([&] { fs::resize_file(path_, 10'000'000); }), Status::kBadFile,
               "model.safetensors was cut after it was opened");
  EXPECT_EQ(dir_.n_entries(), 2u);
}

// A file that is cut shows that nothing was read of it.
TEST_F(WriteModel, WhatTheEngineWouldRefuseIsFoundBeforeAnyWeightIsRead) {
  const ModelConfig config = ModelConfig::from_json(convert(Precision::kF32).config(), out_);
  std::filesystem::remove(out_);
  const SafetensorsModel checkpoint(dir_.path());
  std::filesystem::resize_file(path_, 1000);
  const std::string k = "encoder.layers.0.attention.k.weight";
  for (const auto& [source, rows, words] :
       {std::tuple{"out_proj.weight", kD,
                   "tensor \"encoder.layers.0.attention.v.weight\" is missing"},
        {"in_proj_weight", 3 * kD, "attention.k.weight\" is f32 [3300, 1100], not f32"}}) {
    Recipes recipes(checkpoint);
    recipes.add(source, k, {rows, kD});
    const std::vector<TensorRecipe> made = recipes.take();
    const StoredTensors stored(checkpoint, made, config, Precision::kF32);
    EXPECT_ERROR(write_model(out_, config, stored, nullptr, {}), Status::kBadFile, words);
  }
  EXPECT_EQ(dir_.n_entries(), 2u);
}

}  // namespace
}  // namespace headlane

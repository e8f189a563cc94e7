// Experts of gpt-oss, whose folders have the rows of gates and of ups by turns.
#include "engine/import/source/interleaved_experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/file/container.h"
#include "engine/file/json_fields.h"
#include "engine/file/weight_groups.h"
#include "engine/import/convert.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using kernels::Format;
using nlohmann::json;

const std::string kModels = HEADLANE_GOLDEN_DIR "/language_models/";
const std::string kExperts = "model.layers.1.mlp.experts.";

class Experts : public testing::Test {
 protected:
  Container convert(const std::string& folder, std::optional<Precision> precision) {
    ConvertOptions options;
    options.precision = precision;
    convert_model(folder, out_, options);
    return Container::open(out_);
  }
  // The folder of that name with fields of config.json changed; null takes one away.
  void refuse(const std::string& name, const json& fields, const std::string& words) {
    json config = json::parse(read_file(kModels + name + "/config.json"));
    config.merge_patch(fields);
    write_file(dir_.file("config.json"), config.dump());
    write_file(dir_.file("model.safetensors"), read_file(kModels + name + "/model.safetensors"));
    EXPECT_ERROR(convert(dir_.path(), {}), Status::kUnsupported, words);
  }

  TempDir dir_;
  const std::string out_ = dir_.file("out");
};

std::vector<float> read(const Checkpoint& checkpoint, const std::string& name, int64_t first,
                        int64_t n) {
  std::vector<float> numbers(static_cast<size_t>(n));
  checkpoint.read(name, first, numbers);
  return numbers;
}

// A plain folder has the transpose of each expert's matrix, in which columns take turns.
TEST_F(Experts, ColumnsOfTheFolderAreRows) {
  const SafetensorsModel folder(kModels + "gpt_oss");
  const InterleavedExperts experts(folder, false);
  const std::vector<int64_t> all = folder.shape_of(kExperts + "gate_up_proj");
  const int64_t n = all[0], d = all[1], rows = all[2];
  const std::vector<float> own = read(folder, kExperts + "gate_up_proj", 0, n * d * rows);
  const std::vector<float> biases = read(folder, kExperts + "gate_up_proj_bias", 0, n * rows);
  for (const int64_t odd : {0, 1}) {
    const std::string name = kExperts + (odd == 0 ? "gate_proj" : "up_proj");
    ASSERT_EQ(experts.shape_of(name + ".weight"), (std::vector{n, rows / 2, d}));
    ASSERT_EQ(experts.shape_of(name + ".bias"), (std::vector{n, rows / 2}));
    const std::vector<float> weight = read(experts, name + ".weight", 0, n * rows / 2 * d);
    const std::vector<float> bias = read(experts, name + ".bias", 0, n * rows / 2);
    for (int64_t i = 0; i < std::ssize(weight); ++i) {
      const int64_t expert = i / (rows / 2 * d), row = i / d % (rows / 2), column = i % d;
      const auto at = static_cast<size_t>((expert * d + column) * rows + 2 * row + odd);
      ASSERT_EQ(weight[static_cast<size_t>(i)], own[at]) << name << " " << i;
    }
    for (int64_t i = 0; i < std::ssize(bias); ++i) {
      ASSERT_EQ(bias[static_cast<size_t>(i)], biases[static_cast<size_t>(2 * i + odd)]);
    }
  }
}

TEST_F(Experts, PiecesHaveTheBitsOfTheWhole) {
  for (const bool coded : {false, true}) {
    const SafetensorsModel folder(kModels + (coded ? "gpt_oss_mxfp4" : "gpt_oss"));
    const InterleavedExperts experts(folder, coded);
    for (const std::string& name : experts.names()) {
      int64_t size = 1;
      for (const int64_t n : experts.shape_of(name)) size *= n;
      const std::vector<float> whole = read(experts, name, 0, size);
      for (int64_t first = 0, n = 1; first < size; first += n, n = n * 3 + 1) {
        n = std::min(n, size - first);
        const std::vector<float> piece = read(experts, name, first, n);
        EXPECT_TRUE(std::ranges::equal(
            piece, std::span(whole).subspan(static_cast<size_t>(first), static_cast<size_t>(n))))
            << name << " " << first;
      }
    }
  }
}

TEST_F(Experts, CodesAreKeptAsTheyAre) {
  const Container kept = convert(kModels + "gpt_oss_mxfp4", {});
  std::vector<std::vector<float>> numbers;
  std::vector<std::string> names;
  for (const TensorInfo& tensor : kept.tensors()) {
    const bool is_product = tensor.shape.size() == 2 && tensor.name.ends_with(".weight");
    if (tensor.name.find(".experts.") == std::string::npos || !is_product) continue;
    ASSERT_EQ(tensor.dtype, Format::kU5Groups) << tensor.name;
    names.push_back(tensor.name);
    std::vector<float>& own = numbers.emplace_back(tensor.shape[0] * tensor.shape[1]);
    const int64_t k = tensor.shape[1], size = row_bytes(tensor.dtype, k);
    for (int64_t i = 0; i < tensor.shape[0]; ++i) {
      groups_to_floats(tensor.dtype, kept.data(tensor).data() + i * size, k, own.data() + i * k);
    }
  }
  EXPECT_EQ(names.size(), 4u);  // two products of two layers
  const Container f32 = convert(kModels + "gpt_oss_mxfp4", Precision::kF32);
  for (size_t i = 0; i < names.size(); ++i) {
    const TensorInfo& tensor = *f32.find(names[i]);
    const float* expected = f32.f32(names[i], {tensor.shape[0], tensor.shape[1]});
    EXPECT_TRUE(std::equal(numbers[i].begin(), numbers[i].end(), expected)) << names[i];
  }
}

TEST_F(Experts, WhatConfigAndTensorsDoNotSayAlikeIsRefused) {
  refuse("gpt_oss_mxfp4", {{"quantization_config", nullptr}},
         "is in MXFP4, which config.json does not say");
  refuse("gpt_oss", {{"quantization_config", {{"quant_method", "mxfp4"}}}},
         "is not in MXFP4, though config.json says that experts are");
  refuse("gpt_oss_mxfp4",
         {{"quantization_config", {{"modules_to_not_convert", {"model.layers.*.mlp"}}}}},
         "field \"modules_to_not_convert\" has \"model.layers.*.mlp\", which may be experts");
  refuse("gpt_oss_mxfp4", {{"quantization_config", {{"backend", "other"}}}}, "field \"backend\"");
  refuse("gpt_oss",
         {{"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}}}},
         "\"quant_method\" is \"gptq\", which is not supported for the model_type \"gpt_oss\"");
  refuse("llama_2", {{"quantization_config", {{"quant_method", "mxfp4"}}}},
         "\"quant_method\" is \"mxfp4\", which is not supported for the model_type \"llama\"");
}

}  // namespace
}  // namespace headlane

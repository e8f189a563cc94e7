// Folders whose weights other programs quantised: each weight is what the published layout makes of
// codes, zeros and scales, which tests/golden/quantized/make.py wrote down in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/file/container.h"
#include "engine/file/json_fields.h"
#include "engine/file/weight_groups.h"
#include "engine/import/convert.h"
#include "engine/import/quantized/quantized_checkpoint.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using kernels::Format;
using kernels::kGroupSize;
using nlohmann::json;

const std::string kFolders = HEADLANE_GOLDEN_DIR "/quantized/";
constexpr int64_t kHidden = 64, kQuery = 32, kInner = 32;

class Quantized : public testing::Test {
 protected:
  Container convert(const std::string& folder, std::optional<Precision> precision) {
    ConvertOptions options;
    options.precision = precision;
    convert_model(folder, out_, options);
    return Container::open(out_);
  }
  // The folder of that name with a config.json that is changed.
  std::string changed(const std::string& name, const json& quantization) {
    json config = json::parse(read_file(kFolders + name + "/config.json"));
    config["quantization_config"].merge_patch(quantization);
    write_file(dir_.file("config.json"), config.dump());
    write_file(dir_.file("model.safetensors"), read_file(kFolders + name + "/model.safetensors"));
    return dir_.path();
  }
  void refuse(const std::string& name, const json& quantization, const std::string& words,
              Status status = Status::kUnsupported) {
    EXPECT_ERROR(convert(changed(name, quantization), {}), status, words);
  }

  TempDir dir_;
  const std::string out_ = dir_.file("out");
};

std::vector<float> expected_of(const std::string& name, const std::string& module, int64_t rows,
                               int64_t columns) {
  const SafetensorsModel file =
      SafetensorsModel::of_file(kFolders + name + "/expected.safetensors");
  return read_tensor(file, module, {rows, columns});
}

// The first rows of a tensor of a converted file. In groups, `slack` is how far each weight may be
// off: of codes with a minimum that was rounded to f16, half of the minimum's last bit.
std::vector<float> rows_of(const Container& file, const std::string& name, int64_t rows,
                           std::vector<float>* slack = nullptr) {
  const TensorInfo& tensor = *file.find(name);
  const int64_t k = tensor.shape[1], size = row_bytes(tensor.dtype, k);
  const std::byte* data = file.data(tensor).data();
  std::vector<float> weights(static_cast<size_t>(rows * k));
  if (slack != nullptr) slack->assign(weights.size(), 0);
  for (int64_t i = 0; i < rows * k; ++i) {
    const std::byte* row = data + i / k * size;
    if (tensor.dtype == Format::kF32) {
      weights[static_cast<size_t>(i)] = reinterpret_cast<const float*>(row)[i % k];
    } else if (i % k == 0) {
      groups_to_floats(tensor.dtype, row, k, weights.data() + i);
    }
    if (slack == nullptr || tensor.dtype != Format::kU4Groups) continue;
    const auto& group = reinterpret_cast<const kernels::U4Group*>(row)[i % k / kGroupSize];
    (*slack)[static_cast<size_t>(i)] = 0x1p-11F * std::fabs(kernels::widen_f16(group.min));
  }
  return weights;
}

constexpr const char* kQkv = "decoder.layers.0.attention.qkv.weight";
constexpr const char* kDown = "decoder.layers.0.ffn.down.weight";
constexpr const char* kAll[] = {"gptq",   "gptq_8_bits",  "gptq_order",    "awq",
                                "packed", "packed_zeros", "packed_8_bits", "bytes",
                                "fp8",    "fp8_rows",     "fbgemm"};

TEST_F(Quantized, EveryWeightInF32) {
  for (const char* name : kAll) {
    const Container file = convert(kFolders + name, Precision::kF32);
    EXPECT_EQ(rows_of(file, kQkv, kQuery), expected_of(name, "q_proj", kQuery, kHidden)) << name;
    EXPECT_EQ(rows_of(file, kDown, kHidden), expected_of(name, "down_proj", kHidden, kInner))
        << name;
  }
}

// Where nobody names a precision, codes and scales are kept: values are the same, but for a minimum
// that is rounded. Zeros in the middle need no rounding, and 8 bits have no minimum.
TEST_F(Quantized, CodesAreKept) {
  const struct {
    const char* name;
    Format format;
    bool exact;
  } kKept[] = {{"gptq", Format::kU4Groups, false},         {"awq", Format::kU4Groups, false},
               {"packed_zeros", Format::kU4Groups, false}, {"packed", Format::kU4Groups, true},
               {"gptq_8_bits", Format::kS8Groups, true},   {"bytes", Format::kS8Groups, true}};
  for (const auto& kept : kKept) {
    const Container file = convert(kFolders + kept.name, {});
    for (const char* name : {kQkv, kDown}) {
      ASSERT_EQ(file.find(name)->dtype, kept.format) << kept.name;
      const bool is_down = name == kDown;
      std::vector<float> slack;
      const std::vector<float> own = rows_of(file, name, is_down ? kHidden : kQuery, &slack);
      const std::vector<float> expected = is_down
                                              ? expected_of(kept.name, "down_proj", kHidden, kInner)
                                              : expected_of(kept.name, "q_proj", kQuery, kHidden);
      for (size_t i = 0; i < own.size(); ++i) {
        ASSERT_NEAR(own[i], expected[i], kept.exact ? 0 : slack[i]) << kept.name << " " << i;
      }
    }
    EXPECT_EQ(file.find("lm_head.weight")->dtype,
              kept.format == Format::kU4Groups ? Format::kS8Groups : Format::kBf16);
  }
}

// Groups of columns that are not beside each other, of 16 columns, of FP8, and codes less zeros
// that fit no byte: 8 bits, quantised again, are off by half a step of a group's largest at most.
TEST_F(Quantized, OthersAreQuantisedAgain) {
  for (const char* name : {"gptq_order", "packed_8_bits", "fp8", "fp8_rows", "fbgemm"}) {
    const Container file = convert(kFolders + name, {});
    ASSERT_EQ(file.find(kQkv)->dtype, Format::kS8Groups) << name;
    const std::vector<float> own = rows_of(file, kQkv, kQuery);
    const std::vector<float> expected = expected_of(name, "q_proj", kQuery, kHidden);
    for (size_t first = 0; first < own.size(); first += kGroupSize) {
      float most = 0;
      for (size_t i = first; i < first + kGroupSize; ++i) {
        most = std::max(most, std::fabs(expected[i]));
      }
      // The scale is rounded up to an f16, and the weight once.
      const float bound = most / 127 * (0.5F + 0x1p-10F) + most * 0x1p-23F;
      for (size_t i = first; i < first + kGroupSize; ++i) {
        ASSERT_NEAR(own[i], expected[i], bound) << name << " " << i;
      }
    }
  }
}

// Rows are read in blocks that begin anywhere.
TEST_F(Quantized, PartsOfATensor) {
  for (const char* name : {"gptq", "awq", "packed_zeros", "fp8"}) {
    const std::string path = kFolders + name + "/config.json";
    const SafetensorsModel tensors(kFolders + name);
    const QuantizedCheckpoint checkpoint(
        tensors, *read_quantization(parse_json(read_file(path), path), path, {}));
    const std::string weight = "model.layers.0.self_attn.q_proj.weight";
    const std::vector<float> all = expected_of(name, "q_proj", kQuery, kHidden);
    for (const int64_t first : {0, 1, 63, 64, 200, 1001}) {
      for (const int64_t n : {0, 1, 64, 100, 1047}) {
        std::vector<float> part(static_cast<size_t>(n));
        checkpoint.read(weight, first, part);
        EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + first)) << name;
      }
    }
  }
}

TEST_F(Quantized, FieldsThatAreNotObeyed) {
  refuse("gptq", {{"bits", 3}}, "\"bits\" is 3; codes of 4 and of 8 bits");
  refuse("awq", {{"bits", 8}}, "\"bits\" is 8; codes of 4 bits");
  refuse("packed", {{"config_groups", {{"group_0", {{"weights", {{"num_bits", 2}}}}}}}},
         "group_0: weights: field \"num_bits\" is 2");
  refuse("gptq", {{"quant_method", "bitsandbytes"}}, "\"bitsandbytes\", not one of: gptq, awq");
  refuse("gptq", {{"quant_method", nullptr}}, "\"quant_method\" is \"\", not one of");
  refuse("gptq", {{"checkpoint_format", "marlin"}}, "is \"marlin\", not one of: gptq, gptq_v2");
  refuse("gptq", {{"checkpoint_format", "gptq"}, {"format", "gptq_v2"}}, "\"format\"");
  refuse("gptq", {{"group_size", 0}}, "\"group_size\" is 0");
  refuse("gptq", {{"dynamic", {{"-:layer", json::object()}}}}, "\"dynamic\" is not empty");
  refuse("gptq", {{"own_trick", 1}}, "\"own_trick\" is none that Headlane knows");
  refuse("awq", {{"version", "gemv"}}, "\"version\" is \"gemv\", not one of: gemm");
  refuse("awq", {{"zero_point", false}}, "\"zero_point\" is false");
  refuse("awq", {{"backend", "llm-awq"}}, "\"llm-awq\"");
  refuse("fp8", {{"activation_scheme", "static"}}, "\"activation_scheme\" is \"static\"");
  refuse("fp8", {{"weight_block_size", nullptr}}, "\"weight_block_size\" is not a list of two");
  refuse("packed", {{"format", "nvfp4-pack-quantized"}}, "not one of: pack-quantized");
  refuse("packed", {{"quantization_status", "frozen"}}, "\"quantization_status\" is \"frozen\"");
  refuse("packed", {{"config_groups", {{"group_1", {{"targets", {"Linear"}}}}}}},
         "\"config_groups\" is not one group");
  refuse("packed", {{"kv_cache_scheme", {{"num_bits", 8}}}}, "\"kv_cache_scheme\" is not empty");
  refuse("packed", {{"transform_config", {{"config_groups", 1}}}}, "\"transform_config\"");
  refuse("packed", {{"sparsity_config", {{"format", "sparse-24-bitmask"}}}},
         "sparsity_config: field \"format\"");
  refuse("fp8_rows",
         {{"config_groups", {{"group_0", {{"input_activations", {{"dynamic", false}}}}}}}},
         "input_activations: field \"dynamic\" is not true");
}

// What the config says, and what the tensors are.
TEST_F(Quantized, TensorsThatAreOtherwise) {
  refuse("gptq", {{"sym", true}}, "which is not in the middle");
  refuse("gptq_8_bits", {{"checkpoint_format", "gptq_v2"}}, "has a zero of 127, which is not");
  refuse("gptq_order", {{"checkpoint_format", "gptq"}}, "has a zero of 9, which is not");
  refuse("gptq_order", {{"desc_act", false}}, "puts columns into another order");
  refuse("gptq", {{"group_size", 64}}, "asks for [1, 4]");
  refuse("gptq", {{"group_size", 16}}, "qzeros\" is [");
  refuse("awq",
         {{"quant_method", "gptq"},
          {"zero_point", nullptr},
          {"version", nullptr},
          {"modules_to_not_convert", nullptr}},
         "qzeros\" has no whole words");
  refuse("awq", {{"modules_to_not_convert", {"q_proj"}}}, "config.json says that it is not");
  refuse("packed", {{"ignore", {"model.layers.0.mlp"}}}, "config.json says that it is not");
  refuse("packed_zeros", {{"config_groups", {{"group_0", {{"weights", {{"symmetric", true}}}}}}}},
         "weight_zero_point\" is none that Headlane computes with");
  refuse("packed", {{"config_groups", {{"group_0", {{"weights", {{"symmetric", false}}}}}}}},
         "weight_zero_point\" is missing", Status::kBadFile);
  refuse("fp8", {{"weight_block_size", {32, 16}}}, "weight_scale_inv\" is [");
  refuse(
      "fbgemm",
      {{"quant_method", "fp8"}, {"weight_block_size", {16, 16}}, {"activation_scale_ub", nullptr}},
      "weight_scale_inv\" is missing", Status::kBadFile);
}

// Zeros less 1 of which all bits are set were 0 or 16, which programs read in different ways.
TEST_F(Quantized, AZeroThatMeansTwoThings) {
  const std::string folder = changed("gptq", json::object());
  std::string bytes = read_file(dir_.file("model.safetensors"));
  const json header = json::parse(bytes.substr(8, bytes.find("}}") + 2 - 8));
  const size_t data = 8 + *reinterpret_cast<const uint64_t*>(bytes.data());
  const json& offsets = header["model.layers.0.mlp.down_proj.qzeros"]["data_offsets"];
  bytes[data + offsets[0].get<size_t>()] = '\xff';
  write_file(dir_.file("model.safetensors"), bytes);
  EXPECT_ERROR(convert(folder, {}), Status::kUnsupported, "programs make different numbers");
}

// Of latents, parts of a weight are transposed, and others have their rows in another order.
TEST_F(Quantized, DeepSeekIsThatOfItsNumbers) {
  const std::string folder = kFolders + "deepseek_fp8";
  convert(folder + "/plain", Precision::kF32);
  const std::string plain = read_file(out_);
  convert(folder, Precision::kF32);
  EXPECT_TRUE(read_file(out_) == plain);
}

// GPT-2 has weights as [K, N], and what its quantised ones mean is another matter.
TEST_F(Quantized, TransposedWeightsAreRefused) {
  const SafetensorsModel tensors(kFolders + "gptq");
  const std::string path = kFolders + "gptq/config.json";
  const QuantizedCheckpoint checkpoint(
      tensors, *read_quantization(parse_json(read_file(path), path), path, {}));
  Recipes recipes(checkpoint);
  recipes.add_transposed("model.layers.0.self_attn.q_proj.weight", "own", kHidden, kQuery);
  EXPECT_ERROR(checkpoint.refuse_transposed(recipes.take()), Status::kUnsupported, "is quantised");
}

}  // namespace
}  // namespace headlane

#include "engine/import/write/stored_tensors.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "kernels/kernels.h"

namespace headlane {
namespace {

constexpr std::string_view kWeight = ".weight", kWords = "embeddings.word",
                           kDecoderWords = "decoder.embeddings.word", kHead = "lm_head";
constexpr std::string_view kStacks[] = {"layers.", "encoder.layers.", "decoder.layers."};

// "layers.0.ffn.up" of "layers.0.ffn.up.weight", if that is the weight of a product; else "".
std::string product_of(const TensorSource& tensor) {
  const bool is_weight =
      tensor.dtype == Format::kF32 && tensor.shape.size() == 2 && tensor.name.ends_with(kWeight);
  if (!is_weight) return "";
  const std::string name = tensor.name.substr(0, tensor.name.size() - kWeight.size());
  const bool in_stack =
      std::any_of(std::begin(kStacks), std::end(kStacks),
                  [&](std::string_view stack) { return name.starts_with(stack); });
  return in_stack || name == kHead ? name : "";
}

bool is_words(const TensorSource& tensor) {
  return tensor.name == kWords || tensor.name == kDecoderWords;
}

// Which kernels convert is all one: their results are the same.
const kernels::Table& fastest() { return *kernels::supported().back(); }

}  // namespace

std::vector<std::string> higher_precision_of(const ModelConfig& config,
                                             const ConvertOptions& options) {
  if (options.higher_precision) return *options.higher_precision;
  std::vector<std::string> names;
  if (config.architecture != Architecture::kBert) return names;
  names.emplace_back("layers.0.ffn.down");
  for (int64_t i = (config.n_layers + 2) / 3; i < config.n_layers; ++i) {
    names.push_back("layers." + std::to_string(i) + ".attention.qkv");
  }
  return names;
}

StoredTensors::StoredTensors(std::span<const TensorSource> tensors, const ModelConfig& config,
                             Precision precision) {
  const auto& higher = config.higher_precision;
  size_t n_found = 0;
  for (const TensorSource& tensor : tensors) {
    const std::string product = product_of(tensor);
    const bool is_higher =
        !product.empty() && std::find(higher.begin(), higher.end(), product) != higher.end();
    if (is_higher) ++n_found;
    if (precision == Precision::kF32 || (product.empty() && !is_words(tensor))) {
      sources_.push_back(tensor);
    } else if (precision == Precision::kBf16 || is_higher) {
      add_bf16(tensor);
    } else {
      add_s8(tensor, (product.empty() ? tensor.name : product) + ".scale");
    }
  }
  if (n_found == higher.size()) return;
  for (const std::string& name : higher) {
    const bool found = std::any_of(tensors.begin(), tensors.end(), [&](const TensorSource& tensor) {
      return product_of(tensor) == name;
    });
    if (found) continue;
    fail(Status::kInvalidArgument, "no product of the model is called \"%s\"",
         printable(name).c_str());
  }
}

std::span<std::byte> StoredTensors::keep(size_t bytes) { return kept_.emplace_back(bytes); }

void StoredTensors::add_bf16(const TensorSource& tensor) {
  const int64_t n = tensor.shape[0], k = tensor.shape[1];
  const std::span<std::byte> data = keep(static_cast<size_t>(n * k) * sizeof(kernels::Bf16));
  std::vector<kernels::Bf16> row(static_cast<size_t>(kernels::round_up_to(k, 32)));
  for (int64_t i = 0; i < n; ++i) {
    fastest().convert({.rows = 1,
                       .cols = k,
                       .from = kernels::Element::kF32,
                       .to = kernels::Element::kBf16,
                       .x = reinterpret_cast<const float*>(tensor.data.data()) + i * k,
                       .y = row.data()});
    const std::span<const std::byte> bytes = std::as_bytes(std::span(row)).first(2 * k);
    std::copy(bytes.begin(), bytes.end(), data.begin() + 2 * i * k);
  }
  sources_.push_back({tensor.name, Format::kBf16, tensor.shape, data});
}

void StoredTensors::add_s8(const TensorSource& tensor, const std::string& scales) {
  const int64_t n = tensor.shape[0], k = tensor.shape[1];
  const std::span<std::byte> data = keep(static_cast<size_t>(n * k));
  const std::span<std::byte> scale = keep(static_cast<size_t>(n) * sizeof(float));
  for (int64_t i = 0; i < n; ++i) {
    fastest().quantize_weights(reinterpret_cast<const float*>(tensor.data.data()) + i * k, k,
                               reinterpret_cast<int8_t*>(data.data()) + i * k,
                               reinterpret_cast<float*>(scale.data()) + i);
  }
  sources_.push_back({tensor.name, Format::kS8, tensor.shape, data});
  sources_.push_back({scales, Format::kF32, {n}, scale});
}

}  // namespace headlane

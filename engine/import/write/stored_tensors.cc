#include "engine/import/write/stored_tensors.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "kernels/kernels.h"

namespace headlane {
namespace {

constexpr std::string_view kWeight = ".weight", kWords = "encoder.embeddings.word",
                           kDecoderWords = "decoder.embeddings.word", kHead = "lm_head";
constexpr std::string_view kStacks[] = {"encoder.layers.", "decoder.layers."};

// "encoder.layers.0.ffn.up" of "encoder.layers.0.ffn.up.weight", if that is the weight of a
// product; else "".
std::string product_of(const TensorRecipe& tensor) {
  if (tensor.shape.size() != 2 || !tensor.name.ends_with(kWeight)) return "";
  const std::string name = tensor.name.substr(0, tensor.name.size() - kWeight.size());
  const bool in_stack =
      std::any_of(std::begin(kStacks), std::end(kStacks),
                  [&](std::string_view stack) { return name.starts_with(stack); });
  return in_stack || name == kHead ? name : "";
}

bool is_words(const TensorRecipe& tensor) {
  return tensor.name == kWords || tensor.name == kDecoderWords;
}

// Which kernels convert is all one: their results are the same.
const kernels::Table& fastest() { return *kernels::supported().back(); }

// Rows of k floats as bf16, one behind the other.
void convert_to_bf16(std::span<const float> rows, int64_t k, std::vector<kernels::Bf16>* to) {
  std::vector<kernels::Bf16> row(static_cast<size_t>(kernels::round_up_to(k, 32)));
  to->clear();
  for (; !rows.empty(); rows = rows.subspan(static_cast<size_t>(k))) {
    fastest().convert({.rows = 1,
                       .cols = k,
                       .from = kernels::Element::kF32,
                       .to = kernels::Element::kBf16,
                       .x = rows.data(),
                       .y = row.data()});
    to->insert(to->end(), row.begin(), row.begin() + k);
  }
}

// The same as s8; adds the scale of each row to `scales`.
void quantize(std::span<const float> rows, int64_t k, std::vector<int8_t>* to,
              std::vector<float>* scales) {
  to->resize(rows.size());
  for (size_t i = 0; i < rows.size(); i += static_cast<size_t>(k)) {
    fastest().quantize_weights(&rows[i], k, to->data() + i, &scales->emplace_back());
  }
}

}  // namespace

std::vector<std::string> higher_precision_of(const ModelConfig& config,
                                             const ConvertOptions& options) {
  if (options.higher_precision) return *options.higher_precision;
  std::vector<std::string> names;
  if (!config.takes_tokens() || config.has_decoder()) return names;
  names.emplace_back("encoder.layers.0.ffn.down");
  for (int64_t i = (config.encoder.n_layers + 2) / 3; i < config.encoder.n_layers; ++i) {
    names.push_back("encoder.layers." + std::to_string(i) + ".attention.qkv");
  }
  return names;
}

StoredTensors::StoredTensors(const Checkpoint& checkpoint, std::span<const TensorRecipe> recipes,
                             const ModelConfig& config, Precision precision)
    : checkpoint_(checkpoint) {
  std::vector<std::string> not_found = config.higher_precision;
  for (const TensorRecipe& recipe : recipes) {
    const std::string product = product_of(recipe);
    const bool is_higher = !product.empty() && std::erase(not_found, product) > 0;
    if (precision == Precision::kF32 || (product.empty() && !is_words(recipe))) {
      stored_.push_back({&recipe, Format::kF32, ""});
    } else if (precision == Precision::kBf16 || is_higher) {
      stored_.push_back({&recipe, Format::kBf16, ""});
    } else {
      stored_.push_back(
          {&recipe, Format::kS8, (product.empty() ? recipe.name : product) + ".scale"});
    }
  }
  if (not_found.empty()) return;
  fail(Status::kInvalidArgument, "no product of the model is called \"%s\"",
       printable(not_found.front()).c_str());
}

std::vector<TensorSource> StoredTensors::outline() const {
  std::vector<TensorSource> tensors;
  for (const Stored& stored : stored_) {
    tensors.push_back({stored.recipe->name, stored.dtype, stored.recipe->shape, {}});
    if (stored.dtype != Format::kS8) continue;
    tensors.push_back({stored.scales, Format::kF32, {stored.recipe->shape[0]}, {}});
  }
  return tensors;
}

void StoredTensors::write(ContainerWriter* writer) const {
  std::vector<kernels::Bf16> pairs;
  std::vector<int8_t> bytes;
  std::vector<float> scales;
  for (const Stored& stored : stored_) {
    RecipeReader reader(checkpoint_, *stored.recipe);
    const int64_t k = reader.row_size();
    scales.clear();
    for (std::span<const float> rows; !(rows = reader.next()).empty();) {
      if (stored.dtype == Format::kF32) {
        writer->write(std::as_bytes(rows));
      } else if (stored.dtype == Format::kBf16) {
        convert_to_bf16(rows, k, &pairs);
        writer->write(std::as_bytes(std::span(pairs)));
      } else {
        quantize(rows, k, &bytes, &scales);
        writer->write(std::as_bytes(std::span(bytes)));
      }
    }
    writer->write(std::as_bytes(std::span(scales)));
  }
}

}  // namespace headlane

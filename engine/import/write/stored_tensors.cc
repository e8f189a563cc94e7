#include "engine/import/write/stored_tensors.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/weight_rows.h"
#include "kernels/kernels.h"

namespace headlane {
namespace {

constexpr std::string_view kWeight = ".weight", kWords = "encoder.embeddings.word",
                           kDecoderWords = "decoder.embeddings.word", kHead = "lm_head";
constexpr std::string_view kStacks[] = {"encoder.layers.", "decoder.layers.",
                                        "encoder.embeddings.projection"};
// Products that are in f32 whatever the precision: a choice among experts is not rounded.
constexpr std::string_view kRouter = ".router";

}  // namespace

bool is_words(const TensorRecipe& tensor) {
  return tensor.name == kWords || tensor.name == kDecoderWords;
}

std::string product_of(const TensorRecipe& tensor, std::span<const TensorRecipe> all) {
  if (tensor.name == kDecoderWords) {
    const bool has_head = std::any_of(all.begin(), all.end(), [](const TensorRecipe& other) {
      return other.name == std::string(kHead) + std::string(kWeight);
    });
    return has_head ? "" : std::string(kHead);
  }
  if (tensor.shape.size() != 2 || !tensor.name.ends_with(kWeight)) return "";
  const std::string name = tensor.name.substr(0, tensor.name.size() - kWeight.size());
  if (name.ends_with(kRouter)) return "";
  const bool in_stack =
      std::any_of(std::begin(kStacks), std::end(kStacks),
                  [&](std::string_view stack) { return name.starts_with(stack); });
  return in_stack || name == kHead ? name : "";
}

std::vector<std::string> higher_precision_of(const ModelConfig& config,
                                             const ConvertOptions& options) {
  if (options.higher_precision) return *options.higher_precision;
  std::vector<std::string> names;
  if (options.precision == Precision::kInt8Groups) return names;  // bf16 has hardly more
  if (!config.takes_tokens() || config.has_decoder()) return names;
  if (!config.encoder.experts.in_layer(0)) names.emplace_back("encoder.layers.0.ffn.down");
  for (int64_t i = (config.encoder.n_layers + 2) / 3; i < config.encoder.n_layers; ++i) {
    names.push_back("encoder.layers." + std::to_string(i) + ".attention.qkv");
  }
  return names;
}

std::vector<ProductPrecision> mixed_precisions_of(const ModelConfig& config,
                                                  std::span<const TensorRecipe> recipes,
                                                  const ConvertOptions& options) {
  const bool is_asked = options.precision == Precision::kInt4 && !options.higher_precision;
  if (!is_asked || !config.is_language_model()) return {};
  std::vector<ProductPrecision> mix = {{std::string(kHead), Precision::kInt5}};
  const int64_t n_layers = config.decoder.n_layers, eighth = n_layers / 8;
  for (int64_t i = 0; i < n_layers; ++i) {
    const std::string layer = "decoder.layers." + std::to_string(i) + ".";
    mix.push_back({layer + "attention.qkv", Precision::kInt5});
    if (i < eighth || i >= n_layers - eighth || (i - eighth) % 3 == 2) {
      mix.push_back({layer + "ffn.down", Precision::kInt6});
    }
  }
  const auto is_there = [&](const ProductPrecision& own) {
    return std::ranges::any_of(recipes, [&](const TensorRecipe& recipe) {
      return product_of(recipe, recipes) == own.name;
    });
  };
  std::erase_if(mix, [&](const ProductPrecision& own) { return !is_there(own); });
  return mix;
}

StoredTensors::StoredTensors(const Checkpoint& checkpoint, std::span<const TensorRecipe> recipes,
                             const ModelConfig& config, Precision precision, bool keeps_words)
    : checkpoint_(checkpoint) {
  std::vector<std::string> not_found = config.higher_precision;
  for (const TensorRecipe& recipe : recipes) {
    const std::string product = product_of(recipe, recipes);
    std::erase(not_found, product);
    Format format = Format::kF32;
    if (!product.empty()) format = kind_of(config.precision_of(product, precision)).w;
    if (product.empty() && is_words(recipe)) format = kind_of(precision).w;
    if (keeps_words && is_words(recipe) && product.empty()) {
      format = checkpoint.group_format_of(recipe.slices.front().tensor).format;
    }
    const std::string scaled = product.empty() || is_words(recipe) ? recipe.name : product;
    stored_.push_back({&recipe, format, format == Format::kS8 ? scaled + ".scale" : ""});
  }
  if (not_found.empty()) return;
  fail(Status::kInvalidArgument, "no product of the model is called \"%s\"",
       printable(not_found.front()).c_str());
}

std::vector<TensorSource> StoredTensors::outline() const {
  std::vector<TensorSource> tensors;
  for (const Stored& stored : stored_) {
    tensors.push_back({stored.recipe->name, stored.dtype, stored.recipe->shape, {}});
    if (stored.scales.empty()) continue;
    tensors.push_back({stored.scales, Format::kF32, {stored.recipe->shape[0]}, {}});
  }
  return tensors;
}

void StoredTensors::write(ContainerWriter* writer) const {
  const kernels::Table& kernels = *kernels::supported().back();
  RowBuffer buffer;
  std::vector<float> scales;
  for (const Stored& stored : stored_) {
    RecipeReader reader(checkpoint_, *stored.recipe);
    const int64_t k = reader.row_size();
    while (reader.is_in_groups(stored.dtype) && reader.has_next()) {
      writer->write(reader.next_groups(stored.dtype));
    }
    scales.clear();
    for (std::span<const float> floats; !(floats = reader.next()).empty();) {
      const int64_t n = std::ssize(floats) / k, bytes = n * row_bytes(stored.dtype, k);
      const WeightRows rows =
          buffer.convert(kernels, {Format::kF32, floats.data()}, n, k, stored.dtype);
      writer->write({static_cast<const std::byte*>(rows.data), static_cast<size_t>(bytes)});
      if (rows.scale != nullptr) scales.insert(scales.end(), rows.scale, rows.scale + n);
    }
    writer->write(std::as_bytes(std::span(scales)));
  }
}

}  // namespace headlane

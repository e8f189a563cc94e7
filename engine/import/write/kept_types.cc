#include "engine/import/write/kept_types.h"

#include <algorithm>
#include <utility>

#include "engine/import/write/stored_tensors.h"

namespace headlane {
namespace {

// A type that keeps the elements of all slices: for slices of both kinds of groups, 8 bits.
Precision precision_of(const Checkpoint& checkpoint, const TensorRecipe& recipe) {
  if (recipe.slices.empty()) return Precision::kF32;
  Precision all = Precision::kInt4;
  for (const TensorSlice& slice : recipe.slices) {
    const kernels::Format format = checkpoint.group_format_of(slice.tensor).format;
    if (format == kernels::Format::kF32) return Precision::kF32;
    if (format == kernels::Format::kS8Groups) all = Precision::kInt8Groups;
  }
  return all;
}

}  // namespace

std::optional<KeptTypes> kept_types(const Checkpoint& checkpoint,
                                    std::span<const TensorRecipe> recipes) {
  std::vector<std::pair<std::string, Precision>> products;
  KeptTypes kept;
  for (const TensorRecipe& recipe : recipes) {
    const std::string product = product_of(recipe, recipes);
    if (product.empty()) continue;
    const Precision own = precision_of(checkpoint, recipe);
    kept.precision = std::max(kept.precision, own);
    products.emplace_back(product, own);
  }
  if (kept.precision == Precision::kF32) return std::nullopt;
  for (const auto& [product, own] : products) {
    if (own != kept.precision) kept.higher_precision.push_back(product);
  }
  return kept;
}

}  // namespace headlane

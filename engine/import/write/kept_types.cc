#include "engine/import/write/kept_types.h"

#include <algorithm>
#include <utility>

#include "engine/import/write/stored_tensors.h"

namespace headlane {
namespace {

using kernels::Format;

Format format_of(const Checkpoint& checkpoint, const TensorSlice& slice) {
  return checkpoint.group_format_of(slice.tensor).format;
}

// The precision whose weights have that format of groups.
Precision precision_of(Format format) {
  for (const kernels::ProductKind& kind : kernels::kProductKinds) {
    if (kind.w == format && has_groups(format)) return kind.precision;
  }
  return Precision::kF32;
}

// The precision that keeps all slices as they are; 8 bits where none does and all are in groups;
// f32 where not all are.
Precision precision_of(const Checkpoint& checkpoint, const TensorRecipe& recipe) {
  const auto in_groups = [&](const TensorSlice& slice) {
    return has_groups(format_of(checkpoint, slice));
  };
  if (recipe.slices.empty() || !std::ranges::all_of(recipe.slices, in_groups)) {
    return Precision::kF32;
  }
  const Format format = format_of(checkpoint, recipe.slices.front());
  const bool as_it_is = RecipeReader(checkpoint, recipe).is_in_groups(format);
  return as_it_is ? precision_of(format) : Precision::kInt8Groups;
}

// Slices of one format behind each other, as a recipe of their own.
struct Run {
  Format format;
  TensorRecipe recipe;
};
std::vector<Run> runs_of(const Checkpoint& checkpoint, const TensorRecipe& recipe,
                         const std::string& product) {
  std::vector<Run> runs;
  for (const TensorSlice& slice : recipe.slices) {
    const Format format = format_of(checkpoint, slice);
    if (runs.empty() || format != runs.back().format) {
      TensorRecipe part = recipe;
      part.name = part_of_product(product, runs.size()) + ".weight";
      part.shape[0] = 0;
      part.slices.clear();
      runs.push_back({format, std::move(part)});
    }
    TensorRecipe& part = runs.back().recipe;
    part.slices.push_back(slice);
    part.shape[0] += slice.n / recipe.shape[1];
  }
  return runs;
}

// The runs of a product's recipe, or the recipe itself where there is one run, or one that is not
// in groups as it is, or one whose rows are no columns that a part can have.
std::vector<TensorRecipe> parts_of(const Checkpoint& checkpoint, const TensorRecipe& recipe,
                                   const std::string& product) {
  if (recipe.slices.size() < 2) return {recipe};
  const std::vector<Run> runs = runs_of(checkpoint, recipe, product);
  std::vector<TensorRecipe> parts;
  for (const Run& run : runs) {
    const bool is_last = &run == &runs.back();
    const bool fits = is_last || run.recipe.shape[0] % kPartColumns == 0;
    const RecipeReader reader(checkpoint, run.recipe);
    if (!fits || !has_groups(run.format) || !reader.is_in_groups(run.format)) return {recipe};
    parts.push_back(run.recipe);
  }
  return parts.size() < 2 ? std::vector{recipe} : parts;
}

// Rows of one expert come after those of another, so that no part of them is a product.
bool is_of_experts(const std::string& product) {
  return product.find(".experts.") != std::string::npos;
}

// The format of a table of words that no product uses.
Precision words_precision(const Checkpoint& checkpoint, const TensorRecipe& recipe) {
  return is_words(recipe) ? precision_of(format_of(checkpoint, recipe.slices.front()))
                          : Precision::kF32;
}

}  // namespace

std::optional<KeptTypes> kept_types(const Checkpoint& checkpoint,
                                    std::span<const TensorRecipe> recipes,
                                    std::span<const std::string> as_one) {
  KeptTypes kept;
  bool any = false;
  std::vector<ProductPrecision> products;
  for (const TensorRecipe& recipe : recipes) {
    const std::string product = product_of(recipe, recipes);
    const bool stays = product.empty() || is_of_experts(product) ||
                       std::ranges::find(as_one, product) != as_one.end();
    const auto parts = stays ? std::vector{recipe} : parts_of(checkpoint, recipe, product);
    for (const TensorRecipe& part : parts) {
      Precision own = words_precision(checkpoint, part);
      if (!product.empty()) {
        own = precision_of(checkpoint, part);
        any = any || own != Precision::kF32;
        products.push_back({parts.size() < 2 ? product : product_of(part, parts), own});
      }
      kept.precision = std::max(kept.precision, own);
      kept.recipes.push_back(part);
    }
  }
  if (!any) return std::nullopt;
  for (ProductPrecision& product : products) {
    if (product.precision == Precision::kF32) product.precision = kind_of(kept.precision).higher;
    if (product.precision != kept.precision) kept.precisions.push_back(product);
  }
  return kept;
}

void set_precisions(const KeptTypes& kept, bool named, ModelConfig* config) {
  const Precision higher = kind_of(kept.precision).higher;
  if (named || std::ranges::any_of(kept.precisions, [&](const ProductPrecision& product) {
        return product.precision != higher;
      })) {
    config->precisions = kept.precisions;
    return;
  }
  config->higher_precision.clear();
  for (const ProductPrecision& product : kept.precisions) {
    config->higher_precision.push_back(product.name);
  }
}

}  // namespace headlane

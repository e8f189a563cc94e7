// The precisions that keep the types of a checkpoint's tensors, where nobody named one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/file/precision.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// The lowest precision of any product's weight, or table of words, that keeps its elements in
// groups as they are, and the products that need more. Those whose weights are not in groups have
// the precision that is higher than the lowest. None if the weight of no product is in groups.
struct KeptTypes {
  Precision precision = Precision::kF32;
  std::vector<ProductPrecision> precisions;
  // The recipes, except that a product whose weights are stacked from tensors of several formats
  // has one for each run of rows of one format (part_of_product), if the runs can be multiplied one
  // beside the other; otherwise its weights are quantised again, in 8 bits. Products `as_one` stay
  // one.
  std::vector<TensorRecipe> recipes;
};
std::optional<KeptTypes> kept_types(const Checkpoint& checkpoint,
                                    std::span<const TensorRecipe> recipes,
                                    std::span<const std::string> as_one);

// The config has these products as `precisions` or, where the user has named none and that says as
// much, as `higher_precision`, which older versions know.
void set_precisions(const KeptTypes& kept, bool named, ModelConfig* config);

}  // namespace headlane

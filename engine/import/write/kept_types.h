// The precision that is nearest to the types of a checkpoint's tensors, where nobody named one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/file/precision.h"
#include "engine/import/source/tensor_recipe.h"

namespace headlane {

// int4 if the weight of any product has its elements in groups of 4 bits; int8g if it has in
// groups of 8; products of others are in `higher_precision`. None if no weight has.
struct KeptTypes {
  Precision precision = Precision::kF32;
  std::vector<std::string> higher_precision;
};
std::optional<KeptTypes> kept_types(const Checkpoint& checkpoint,
                                    std::span<const TensorRecipe> recipes);

}  // namespace headlane

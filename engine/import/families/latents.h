// Attention over latents in a Hugging Face folder: its fields, and the tensors of a layer.
#pragma once

#include <string>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/stack_config.h"

namespace headlane {

// Heads of two parts, latents, rotary positions and the scale of scores. The decoder has its number
// of heads and max_positions. `interleaved`: how columns are paired that turn.
void read_latents(const Json& config, const std::string& path, bool interleaved,
                  StackConfig* decoder);

// The recipes of one layer's attention, which is called `name`: DeepSeek's tensors, with the
// columns of each head that turn in front of the others. `layer` is the prefix of its tensors,
// `biases` whether the products of the layer's rows, and the last one, have them.
void add_latent_tensors(const StackConfig& stack, int64_t d_model, const std::string& layer,
                        const std::string& name, bool biases, Recipes* recipes);

}  // namespace headlane

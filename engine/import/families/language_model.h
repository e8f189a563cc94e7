// The families of language models share these.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"

namespace headlane {

// Throws Error(kUnsupported) if config.json, at `path`, names a class that does not end in `ending`
// ("ForCausalLM"): a classifier or an embedder of the same layers is saved with the same fields.
void refuse_other_heads(const Json& config, const std::string& path, const std::string& ending);

// transformers lets each token of a model see all others where this is false.
constexpr const char* kIsCausal = "is_causal";

// Throws Error(kUnsupported) that names a field which changes what any of these models computes.
void refuse_changed_weights(const Json& config, const std::string& path);
// Throws likewise if tokens see those after them.
void refuse_both_ways(const Json& config, const std::string& path);
// Throws likewise if only a part of each head would turn by its position, in a family where all of
// it does.
void refuse_partial_rotary(const Json& config, const std::string& path);
// Throws likewise if `key` is true; a missing field is false.
void refuse_flag(const Json& config, const char* key, const std::string& path);

// Throws Error(kUnsupported) that names the first tensor of the checkpoint that no recipe takes and
// that is not `known` to change nothing: it would change what the model computes.
void refuse_left_over(const Checkpoint& checkpoint, const std::vector<TensorRecipe>& recipes,
                      const std::function<bool(const std::string& name)>& known);

// A number that must be there and be 1 or more. Throws Error.
int64_t json_positive(const Json& config, const char* key, const std::string& path);

}  // namespace headlane

// Sentences for people who give the converter something else than a model's folder, or a folder
// with something else than weights: they say what it is, and what is wanted.
#pragma once

#include <string>

namespace headlane {

// Throws Error if `path` is a file of another program's, or a folder that cannot be a Hugging Face
// model's since it has neither config.json nor modules.json.
void refuse_other_than_model_folder(const std::string& path);

// Throws Error(kUnsupported) if `dir` has an adapter, which transformers would add to the weights
// that stand beside it, or to those of another model.
void refuse_adapter(const std::string& dir);

// Throws Error: `dir` has neither model.safetensors nor its index; the sentence says what is there.
[[noreturn]] void fail_without_weights(const std::string& dir);

}  // namespace headlane

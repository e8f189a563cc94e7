// BART and its kin as Hugging Face keeps them: model_type "bart", "mbart", "marian" (OPUS-MT) and
// "m2m_100" (M2M-100, NLLB). They differ in where norms stand and in how positions are told.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json bart_defaults(const std::string&);

// Everything of the config but max_seq_len and the generation's defaults, which other files say.
// Throws Error naming the field of the file `path`; kUnsupported if it asks for what Headlane
// lacks.
ModelConfig bart_config(const Json& config, const std::string& path);

// `source` is config.json, and `path` its path. The weights under the names of
// engine/import/families/encoder_decoder.h, and lm_head.bias [decoder.vocab_size] unless it is
// zero, and for learned positions {encoder,decoder} .positions.weight [max_positions, d_model].
std::vector<TensorRecipe> bart_tensors(const Checkpoint& checkpoint, const Json& source,
                                       const std::string& path, const ModelConfig& config);

}  // namespace headlane

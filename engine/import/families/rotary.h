// The rotary positions of a Hugging Face config.json, in the spelling of transformers 5
// ("rope_parameters") and in the older one ("rope_theta", "rope_scaling").
#pragma once

#include <cstdint>
#include <string>

#include "engine/file/json.h"
#include "engine/spec/positions.h"

namespace headlane {

// For heads of head_dim columns and sequences of up to max_positions tokens. Throws
// Error(kUnsupported) that names the field for a kind of scaling that is not in the engine.
RotarySpec read_rotary(const Json& config, const std::string& path, int64_t head_dim,
                       int64_t max_positions);

// Reads it in a family where only the kind of scaling "default" is supported.
RotarySpec read_plain_rotary(const Json& config, const std::string& path, int64_t head_dim,
                             int64_t max_positions);

// Reads it from the object, at `where`, that some layers have for themselves, and from nothing
// else.
RotarySpec read_rotary_of_layers(const Json& fields, const std::string& where, int64_t head_dim,
                                 int64_t max_positions);

}  // namespace headlane

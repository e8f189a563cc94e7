// The rotary positions of a Hugging Face config.json, in the spelling of transformers 5
// ("rope_parameters") and in the older one ("rope_theta", "rope_scaling").
#pragma once

#include <cstdint>
#include <string>

#include "engine/file/json.h"
#include "engine/spec/stack_config.h"

namespace headlane {

// Gives the decoder, whose heads and max_positions are there, the rotary positions of all its
// layers. With "dynamic" scaling, max_positions becomes as much longer as the factor says. Throws
// Error(kUnsupported) that names the field for a kind of scaling that is not in the engine.
void read_rotary(const Json& config, const std::string& path, StackConfig* decoder);

// Likewise of Phi-3, which has no other kinds of scaling than "default" and "longrope", by that
// name or by an older one.
void read_phi3_rotary(const Json& config, const std::string& path, StackConfig* decoder);

// The scale of YaRN's table by "mscale_all_dim", by which DeepSeek's scores are multiplied twice; 1
// where positions are not stretched, or there is no such field.
double read_score_magnitude(const Json& config, const std::string& path);

// Reads it in a family where only the kind of scaling "default" is supported.
RotarySpec read_plain_rotary(const Json& config, const std::string& path, int64_t head_dim,
                             int64_t max_positions);

// Reads it from the object, at `where`, that some layers have for themselves, and from nothing
// else. Nothing is chosen by the length of a sequence there.
RotarySpec read_rotary_of_layers(const Json& fields, const std::string& where, int64_t head_dim,
                                 int64_t max_positions);

}  // namespace headlane

// An attention spec as the "attention" object of a .headlane header.
#pragma once

#include <string>

#include "engine/file/json.h"
#include "engine/spec/attention_spec.h"

namespace headlane {

Json to_json_of(const AttentionSpec& spec);
// Every field is required and of the right type; ranges are the spec's own check()'s business.
AttentionSpec attention_from_json(const Json& json, const std::string& where);

}  // namespace headlane

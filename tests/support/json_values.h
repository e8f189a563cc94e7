// JSON of the tests, which use the JSON library itself, to the engine's values and back.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/file/json.h"
#include "engine/file/json_fields.h"

namespace headlane {

inline Json engine_json(const nlohmann::json& value) { return parse_json(value.dump(), "test"); }

inline nlohmann::json library_json(const Json& value) {
  return nlohmann::json::parse(value.dump());
}

}  // namespace headlane

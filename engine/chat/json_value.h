// JSON as values of a template: objects keep the order of their members, which templates print.
#pragma once

#include <string>
#include <string_view>

#include "engine/chat/value.h"

namespace headlane::chat {

// All of its texts are given, not the template's. Throws Error(kInvalidArgument) whose sentence
// begins with `where`.
Datum parse_value(std::string_view json, const std::string& where);

}  // namespace headlane::chat

// JSON schemas as expressions: every text of the expression is JSON that the schema accepts. Not
// all that it accepts is a text of it (docs/conversations.md says what is left out).
#pragma once

#include <string>
#include <string_view>

#include "engine/constraint/expression.h"

namespace headlane {

// Throws Error: kInvalidArgument of what is no JSON or no schema, kUnsupported of a keyword that
// Headlane does not have, by its name and place, kTooLarge.
ExpressionId parse_schema(std::string_view json, Expressions* expressions);

}  // namespace headlane

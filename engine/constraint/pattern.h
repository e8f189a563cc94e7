// Regular expressions, as Python and JavaScript write them, of what a regular language can have.
#pragma once

#include <string>
#include <string_view>

#include "engine/constraint/characters.h"
#include "engine/constraint/expression.h"

namespace headlane {

struct PatternUse {
  // How a character of a set is spelled: utf8_of or json_of.
  ExpressionId (*spell)(const CharacterSet& set, Expressions* expressions) = utf8_of;
  // The text has a part that the pattern fits, as in a schema; else the whole of it must fit.
  bool searches = false;
  CharacterSet line_ends = {{'\n', '\n'}};  // what a dot leaves out
};

// Throws Error, whose sentence begins with `where`: kInvalidArgument of what is no regular
// expression, kUnsupported of what an automaton cannot do (references, looking around), kTooLarge.
ExpressionId parse_pattern(std::string_view pattern, const PatternUse& use,
                           const std::string& where, Expressions* expressions);

}  // namespace headlane

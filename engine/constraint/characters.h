// Sets of characters, and the bytes that spell them.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/constraint/expression.h"

namespace headlane {

struct CharacterRange {
  char32_t first = 0, last = 0;
};

// Ranges in no order, which may overlap; made tidy by `tidied`.
using CharacterSet = std::vector<CharacterRange>;

// In order, apart from each other, without surrogates, which no text has.
CharacterSet tidied(const CharacterSet& set);
// All characters that are not in the set.
CharacterSet without(const CharacterSet& set);

// A character of the set, as UTF-8.
ExpressionId utf8_of(const CharacterSet& set, Expressions* expressions);

// A character of the set as it stands in a JSON string: by itself, or escaped where it must be.
ExpressionId json_of(const CharacterSet& set, Expressions* expressions);

}  // namespace headlane

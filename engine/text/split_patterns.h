// What a tokenizer.json's Split and Replace steps look for: a string, or one of the regular
// expressions in use, each by a matcher of its own. These read a text once or twice, whatever it
// is, where a backtracking engine takes memory or time that grows with the length of a run.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "engine/file/json.h"

namespace headlane {

class SplitPattern {
 public:
  virtual ~SplitPattern() = default;
  // The next match at or behind text[pos], text[*begin, *end), which is not empty; false if there
  // is none. `text` is well-formed UTF-8, and pos the start of a character of it.
  virtual bool find(std::string_view text, size_t pos, size_t* begin, size_t* end) const = 0;
};

// {"String": " "} or {"Regex": "\\s+"}. Throws Error(kBadFile), or Error(kUnsupported) for a
// regular expression that has no matcher.
std::unique_ptr<SplitPattern> read_pattern(const Json& pattern, const std::string& where);

// The expression that GPT-2 splits its texts by, and ByteLevel by default.
std::unique_ptr<SplitPattern> gpt2_pattern();

}  // namespace headlane

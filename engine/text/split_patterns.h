// A tokenizer.json's Split and Replace steps look for a string, or for a regular expression.
// Expressions that most tokenizers have are found by a matcher of their own, which reads a text
// once or twice, whatever it is; a backtracking engine takes memory or time that grows with the
// length of a run. Other expressions go to such an engine, with limits on its work (regex.h).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/json.h"

namespace headlane {

struct TextMatch {
  size_t begin, end;
};

class SplitPattern {
 public:
  virtual ~SplitPattern() = default;
  // Appends all matches in `text`, which is well-formed UTF-8, from left to right; one may be
  // empty. Throws Error(kUnsupported) where finding them takes too much time or memory.
  virtual void find_all(std::string_view text, std::vector<TextMatch>* matches) const = 0;
};

// {"String": " "} or {"Regex": "\\s+"}. Throws Error(kBadFile), or Error(kUnsupported) for a
// regular expression that Headlane does not have.
std::unique_ptr<SplitPattern> read_pattern(const Json& pattern, const std::string& where);

// The expression that GPT-2 splits its texts by, and ByteLevel by default.
std::unique_ptr<SplitPattern> gpt2_pattern();

}  // namespace headlane

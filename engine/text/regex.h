// Regular expressions that have no matcher of their own, by PCRE2, with limits on its work: each
// step that it takes is counted, so that no expression and no text can hold a program up.
#pragma once

#include <memory>
#include <string>

#include "engine/text/split_patterns.h"

namespace headlane {

// `regex` in the syntax of the `tokenizers` library. Throws Error, whose sentence begins with
// `where`: kBadFile for what is no expression, kUnsupported for one that Headlane does not have.
//
// Its find_all throws Error(kUnsupported) where a text takes more steps than 8,192 and 512 for each
// of its bytes, or more memory than 64 MB.
std::unique_ptr<SplitPattern> make_regex(const std::string& regex, const std::string& where);

}  // namespace headlane

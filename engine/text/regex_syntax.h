// Regular expressions as the `tokenizers` library reads them (Oniguruma's syntax), in PCRE2's.
//
// The two have much in common, and part in details: what \w, \s, \b, ^, $, (?m) and {1,2}+ mean,
// the folding of case, the age of their tables. So an expression is read here, construct by
// construct, and written anew from what means the same in both; all else is refused by its name.
#pragma once

#include <string>
#include <string_view>

namespace headlane {

// Throws Error(kUnsupported), whose sentence begins with `where`, for what is not in both, and
// Error(kBadFile) for what is no expression.
std::string pcre_of(std::string_view regex, const std::string& where);

}  // namespace headlane

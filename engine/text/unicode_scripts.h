// Scripts of characters as the step UnicodeScripts of the `tokenizers` library sees them.
#pragma once

#include <cstdint>

namespace headlane {

// A number for each script; 0: the character goes with any, as a blank does.
int script_of(char32_t c);

}  // namespace headlane

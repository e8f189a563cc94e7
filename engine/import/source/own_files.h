// A slip of the hand would put the result of a conversion in the place of what it is made of.
#pragma once

#include <string>

namespace headlane {

// Throws Error if `out_path` is there, and is the file `own`, or lies in the folder `own` or in one
// of its folders, unless it is empty or a .headlane file, of an earlier conversion.
void refuse_to_replace(const std::string& own, const std::string& out_path);

}  // namespace headlane

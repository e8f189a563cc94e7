// The choice of kernels by name.
#pragma once

#include <string>

#include "kernels/kernels.h"

namespace headlane {

// The fastest table at or below `isa` ("": no cap). Throws Error(kInvalidArgument) if it is no
// known name.
const kernels::Table& kernels_for(const std::string& isa);

}  // namespace headlane

// The names of what products are computed in.
#pragma once

#include <string>

#include "kernels/kernels.h"

namespace headlane {

using kernels::kPrecisions;
using kernels::Precision;

// "" is `fallback`; "auto" the fastest that the kernels' machine multiplies by itself. Throws
// Error(kInvalidArgument).
Precision choose_precision(const std::string& name, const kernels::Table& kernels,
                           Precision fallback);

// All of them, in quotation marks and with commas between them, for messages.
std::string precision_names();

}  // namespace headlane

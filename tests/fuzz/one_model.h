// One .headlane file, whatever its bytes: opened, asked for all that it has, and, if it is a model,
// run on a batch of a few tokens. Shared by model_file and structure, which differ in how inputs
// are made.
#pragma once

#include "tests/fuzz/fuzz.h"

namespace headlane::fuzz {

void use_model_file(Bytes bytes);

}  // namespace headlane::fuzz

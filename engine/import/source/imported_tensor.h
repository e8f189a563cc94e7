// What an importer makes of a tensor of another format.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/import/source/safetensors.h"

namespace headlane {

// A tensor under Headlane's own name.
struct ImportedTensor {
  std::string name;
  std::vector<int64_t> shape;
  F32Data data;
};

}  // namespace headlane

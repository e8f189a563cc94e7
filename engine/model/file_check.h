// All of a .headlane file read and looked at, which opening it does not do.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/file/container.h"

namespace headlane {

struct FileCheck {
  bool has_checksum = false, checksum_matches = false;
  int64_t n_tensors = 0, n_bad_tensors = 0, n_nan = 0, n_infinite = 0;
};

// `on_bad` gets each tensor that has NaN or infinite elements, with how many of each. Throws Error:
// as Container::open and check_model do, and as InputFile. A checksum that does not match is the
// result, not an error, and then the rest need not be a model.
FileCheck check_file(
    const std::string& path,
    const std::function<void(const TensorInfo& tensor, int64_t n_nan, int64_t n_infinite)>& on_bad);

}  // namespace headlane

// Options that are counts, 0 standing for a default.
#pragma once

#include <cstdint>

#include "engine/base/error.h"

namespace headlane {

// `value`, or `fallback` where it is 0; otherwise Error(kInvalidArgument) unless it is from 1 to
// `largest`. `kind` and `name` say which option it is: "session", "max_tokens".
inline int64_t checked_option(const char* kind, const char* name, int64_t value, int64_t fallback,
                              int64_t largest) {
  if (value == 0) return fallback;
  if (value >= 1 && value <= largest) return value;
  fail(Status::kInvalidArgument, "%s option %s is %lld; it must be from 1 to %lld, or 0", kind,
       name, static_cast<long long>(value), static_cast<long long>(largest));
}

}  // namespace headlane

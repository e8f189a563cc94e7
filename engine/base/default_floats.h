// The floating-point modes that results depend on.
#pragma once

#include <cfenv>

namespace headlane {

// While it lives, this thread computes as a new process does: rounding to nearest, denormals kept,
// no exception traps. Then the host's modes and flags are as they were, whatever they are.
class DefaultFloats {
 public:
  DefaultFloats() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloats() { std::fesetenv(&before_); }
  DefaultFloats(const DefaultFloats&) = delete;
  DefaultFloats& operator=(const DefaultFloats&) = delete;

 private:
  std::fenv_t before_;
};

}  // namespace headlane

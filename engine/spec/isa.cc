#include "engine/spec/isa.h"

#include <cstdlib>

#include "engine/base/error.h"

namespace headlane {

const kernels::Table& kernels_for(const std::string& isa) {
  const kernels::Table* chosen = kernels::select(isa);
  if (chosen == nullptr) {
    const char* cap = std::getenv("HEADLANE_MAX_ISA");
    const std::string names = kernels::isa_names();
    fail(Status::kInvalidArgument,
         "the instruction set to use is none of %s: option isa is \"%s\", HEADLANE_MAX_ISA is "
         "\"%s\"",
         names.c_str(), isa.c_str(), cap ? cap : "");
  }
  return *chosen;
}

}  // namespace headlane

#include "engine/isa.h"

#include "engine/error.h"

namespace headlane {

const kernels::Table& kernels_for(const std::string& isa) {
  const kernels::Table* chosen = kernels::select(isa);
  if (chosen == nullptr) {
    fail(Status::kInvalidArgument,
         "the instruction set to use (option isa \"%s\", or HEADLANE_MAX_ISA) is none of "
         "ref, avx2, avx512",
         isa.c_str());
  }
  return *chosen;
}

}  // namespace headlane

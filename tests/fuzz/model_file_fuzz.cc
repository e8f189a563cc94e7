// The binary file, as libFuzzer mutates bytes: its framing, above all.
#include "tests/fuzz/one_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headlane::fuzz::use_model_file({data, size});
  return 0;
}

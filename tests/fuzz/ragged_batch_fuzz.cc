// Calls of the C API with batches of every kind, valid and not: attention on buffers, encoding,
// layers on activations, generation and its steps. A refused call says why, has written nothing,
// and leaves its session as good as before.
#include "tests/fuzz/ragged.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane::fuzz;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  Input input(data, size);
  switch (input.byte() % 8) {
    case 0:
      run_encode(&input);
      return 0;
    case 1:
    case 2:
      run_forward(&input);
      return 0;
    case 3:
      run_generate(&input);
      return 0;
    case 4:
      run_step(&input);
      return 0;
    default:
      run_attention(&input);
      return 0;
  }
}

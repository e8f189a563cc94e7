// Every slot of the kernels' table: the slowest row and the fastest on the same problems.
#include "tests/fuzz/rows.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane::fuzz;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  constexpr void (*kCompare[])(Problems*) = {
      compare_gemm_f32,    compare_gemm_bf16,        compare_gemm_int8, compare_attention,
      compare_attention,   compare_decode_attention, compare_norms,     compare_gate,
      compare_activations, compare_convert,          compare_embed,     compare_pool,
      compare_top_k};
  Input input(data, size);
  const size_t which = input.byte() % std::size(kCompare);
  Problems problems(&input);
  kCompare[which](&problems);
  return 0;
}

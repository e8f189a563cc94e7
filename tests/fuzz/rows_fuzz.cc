// Every slot of the kernels' table: the slowest row and the fastest on the same problems.
#include "tests/fuzz/rows.h"

namespace headlane::fuzz {
namespace {

struct Row {
  const char* slots;
  void (*compare)(Problems* problems);
};
// New rows come last: an input's first byte says its row.
constexpr Row kRows[] = {
    {"gemm_f32", compare_gemm_f32},
    {"gemm_bf16", compare_gemm_bf16},
    {"gemm_int8", compare_gemm_int8},
    {"attention_f32 attention_probabilities_f32", compare_attention},
    {"attention_bf16 attention_probabilities_bf16", compare_attention},
    {"decode_attention_f32 decode_attention_bf16", compare_decode_attention},
    {"layer_norm_f32 rms_norm_f32", compare_norms},
    {"gate_f32", compare_gate},
    {"activate_f32", compare_activations},
    {"convert", compare_convert},
    {"embed_f32", compare_embed},
    {"pool_f32", compare_pool},
    {"top_k_f32", compare_top_k},
    {"add_f32", compare_add},
    {"quantize_weights", compare_quantize},
    {"products", compare_products},
};

}  // namespace
}  // namespace headlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane::fuzz;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  Input input(data, size);
  const size_t which = input.byte() % std::size(kRows);
  Problems problems(&input);
  kRows[which].compare(&problems);
  return 0;
}

#include <algorithm>

#include "engine/ops/ops.h"

namespace headlane {
namespace {

kernels::Format format_of(Element element) {
  return element == Element::kBf16 ? kernels::Format::kBf16 : kernels::Format::kF32;
}

}  // namespace

void KeepKeys::run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                        std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float* qkv = inputs[0].data + row * inputs[0].ld;
    const float* turn = turn_of(run, row_begin + row, row, inputs);
    float* q = output.data + row * output.ld;
    keep(run, row_begin + row, qkv, turn, q);
  }
}

// The row of the table that a token turns by; null where it does not.
const float* KeepKeys::turn_of(const Run& run, int64_t token, int64_t row,
                               std::span<const View> inputs) const {
  if (inputs.size() > 1) return inputs[1].data + row * inputs[1].ld;
  if (rotary_ == nullptr) return nullptr;
  return static_cast<const float*>(rotary_->data()) + run.positions[token] * spec_.rotary.dims;
}

// Q is written in the output's elements, K and V in the cache's format. Where that is what the
// input has, and nothing turns, they are copied.
void KeepKeys::keep(const Run& run, int64_t token, const float* qkv, const float* turn,
                    float* q) const {
  const int64_t q_width = spec_.q_width(), k_width = spec_.k_width(), v_width = spec_.v_width();
  const KeyRows& rows = run.step->self[layer_];
  float* kept = rows.data + run.step->rows_of(layer_).own[token] * rows.ld;
  kernels::RotateArgs args = {
      .rotary = turn,
      .interleaved = spec_.rotary.interleaved,
      .element = input_,
      .format = rows.format,
  };
  // `from` counts elements of the input, `at` of what y points to.
  const auto write = [&](int64_t n_heads, int64_t head_dim, bool turns, int64_t from, void* y,
                         int64_t at) {
    const int64_t size = kernels::row_bytes(args.format, 1);
    const int64_t size_of_input = input_ == Element::kBf16 ? sizeof(kernels::Bf16) : sizeof(float);
    const char* x = reinterpret_cast<const char*>(qkv) + from * size_of_input;
    char* to = static_cast<char*>(y) + at * size;
    if (turn == nullptr && args.format == format_of(input_)) {
      std::copy_n(x, n_heads * head_dim * size, to);
      return;
    }
    args.n_heads = n_heads;
    args.head_dim = head_dim;
    args.rotary_dims = turns ? spec_.rotary.dims : 0;
    args.x = x;
    args.y = to;
    run.kernels->rotate(args);
  };
  args.scales = kept + KeyRows::scales_offset(k_width + v_width);
  write(spec_.n_kv_heads, spec_.head_dim, true, q_width, kept, 0);
  args.scales += spec_.n_kv_heads;
  write(spec_.n_kv_heads, spec_.v_dim, false, q_width + k_width, kept, k_width);
  args.format = format_of(element_);
  write(spec_.n_heads, spec_.head_dim, true, 0, q, 0);
}

}  // namespace headlane

#include <algorithm>
#include <type_traits>

#include "engine/ops/ops.h"

namespace headlane {

void KeepKeys::run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                        std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float* qkv = inputs[0].data + row * inputs[0].ld;
    const float* turn = turn_of(run, row_begin + row, row, inputs);
    float* q = output.data + row * output.ld;
    if (element_ == Element::kBf16) {
      keep<kernels::Bf16>(run, row_begin + row, qkv, turn, q);
    } else {
      keep<float>(run, row_begin + row, qkv, turn, q);
    }
  }
}

// The row of the table that a token turns by; null where it does not.
const float* KeepKeys::turn_of(const Run& run, int64_t token, int64_t row,
                               std::span<const View> inputs) const {
  if (inputs.size() > 1) return inputs[1].data + row * inputs[1].ld;
  if (rotary_ == nullptr) return nullptr;
  return static_cast<const float*>(rotary_->data()) + run.positions[token] * spec_.rotary.dims;
}

template <typename T>
void KeepKeys::keep(const Run& run, int64_t token, const float* qkv, const float* turn,
                    float* q) const {
  const int64_t q_width = spec_.q_width(), k_width = spec_.k_width(), v_width = spec_.v_width();
  const KeyRows& rows = run.step->self[layer_];
  T* kept = reinterpret_cast<T*>(rows.data + run.step->rows_of(layer_).own[token] * rows.ld);
  if (input_ == element_ && turn == nullptr) {
    const T* from = reinterpret_cast<const T*>(qkv);
    std::copy_n(from, q_width, reinterpret_cast<T*>(q));
    std::copy_n(from + q_width, k_width + v_width, kept);
    return;
  }
  kernels::RotateArgs args = {
      .head_dim = spec_.head_dim,
      .rotary = turn,
      .rotary_dims = spec_.rotary.dims,
      .interleaved = spec_.rotary.interleaved,
      .element = element_,
  };
  const auto rotate = [&](int64_t n_heads, const float* x, void* y) {
    args.n_heads = n_heads;
    args.x = x;
    args.y = y;
    run.kernels->rotate(args);
  };
  rotate(spec_.n_heads, qkv, q);
  rotate(spec_.n_kv_heads, qkv + q_width, kept);
  args.head_dim = spec_.v_dim;  // values do not turn
  args.rotary_dims = 0;
  rotate(spec_.n_kv_heads, qkv + q_width + k_width, kept + k_width);
}

}  // namespace headlane

#include "engine/ops/latents.h"

namespace headlane {

void KeepLatents::run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                           std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  const int64_t turning = spec_.rotary.dims;
  const KeyRows& cache = run.step->self[layer_];
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t token = row_begin + row;
    char* kept =
        reinterpret_cast<char*>(cache.data + run.step->rows_of(layer_).own[token] * cache.ld);
    kernels::RotateArgs args = {
        .n_heads = 1,
        .head_dim = turning,
        .rotary = static_cast<const float*>(rotary_->data()) + run.positions[token] * turning,
        .rotary_dims = turning,
        .interleaved = spec_.rotary.interleaved,
        .x = inputs[1].data + row * inputs[1].ld,
        .format = cache.format,
        .y = kept,
    };
    run.kernels->rotate(args);
    args.head_dim = width_;
    args.rotary_dims = 0;
    args.x = inputs[2].data + row * inputs[2].ld;
    args.y = kept + kernels::row_bytes(cache.format, turning);
    run.kernels->rotate(args);
    args.n_heads = spec_.n_heads;
    args.head_dim = spec_.head_dim;
    args.rotary_dims = turning;
    args.x = inputs[0].data + row * inputs[0].ld;
    args.format = kernels::Format::kF32;
    args.y = output.data + row * output.ld;
    run.kernels->rotate(args);
  }
}

}  // namespace headlane

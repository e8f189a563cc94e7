#include <algorithm>

#include "engine/ops/ops.h"

namespace headlane {

void Pool::run_task(const Run& run, int64_t seq, std::span<const View> inputs, View output,
                    float*) const {
  const int64_t begin = run.offsets[seq];
  const int64_t len = run.offsets[seq + 1] - begin;
  float* y = output.data + seq * output.ld;
  if (len == 0) {
    std::fill_n(y, d_, 0.0f);
    return;
  }
  run.kernels->pool_f32({.pooling = pooling_,
                         .normalize = normalize_,
                         .rows = len,
                         .d = d_,
                         .x = inputs[0].data + begin * inputs[0].ld,
                         .ldx = inputs[0].ld,
                         .y = y});
}

void Vectors::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                       std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    // The first row of one.
    run.kernels->pool_f32({.pooling = kernels::Pooling::kCls,
                           .normalize = normalize_,
                           .rows = 1,
                           .d = d_,
                           .x = inputs[0].data + i * inputs[0].ld,
                           .ldx = inputs[0].ld,
                           .y = output.data + i * output.ld});
  }
}

}  // namespace headlane

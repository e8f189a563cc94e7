#include <algorithm>

#include "engine/ops/ops.h"

namespace headlane {

// Threads that share rows divide the panels, so that each reads its own part of the weights; where
// there are more threads than panels, groups of them divide the rows too.
void Linear::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                      std::span<const View> inputs, View output) const {
  const kernels::GemmF32& gemm = run.kernels->gemm_f32;
  const int64_t n_panels = gemm.n_panels(weight_.n);
  const int64_t panel_parts = std::min(slice.count, n_panels);
  const int64_t row_parts = slice.count / panel_parts;
  const int64_t row_part = slice.index / panel_parts;
  if (row_part >= row_parts) return;
  const Range panels = part_of(n_panels, {slice.index % panel_parts, panel_parts});
  const Range rows = part_of(n_rows, {row_part, row_parts});
  gemm.run({.m = rows.end - rows.begin,
            .k = weight_.k,
            .n = weight_.n,
            .panel_begin = panels.begin,
            .panel_end = panels.end,
            .a = inputs[0].data + rows.begin * inputs[0].ld,
            .lda = inputs[0].ld,
            .packed = weight_.packed,
            .state = weight_.state.get(),
            .activation = weight_.activation,
            .c = output.data + rows.begin * output.ld,
            .ldc = output.ld});
}

}  // namespace headlane

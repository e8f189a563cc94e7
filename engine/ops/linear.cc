#include <algorithm>

#include "engine/ops/ops.h"

namespace headlane {

int64_t Linear::packed_floats(const kernels::Table& kernels) const {
  return kernels.gemm_f32.packed_floats(n_, k_);
}

void Linear::prepare(const kernels::Table& kernels) {
  const kernels::GemmF32& gemm = kernels.gemm_f32;
  if (gemm.create) state_ = {gemm.create(n_, k_, activation_), gemm.destroy};
}

void Linear::pack(const kernels::Table& kernels, float* packed, Slice slice) {
  const Range panels = part_of(kernels.gemm_f32.n_panels(n_), slice);
  kernels.gemm_f32.pack(weight_, bias_, n_, k_, panels.begin, panels.end, packed);
  if (slice.index == 0) packed_ = packed;
}

// Threads that share rows divide the panels, so that each reads its own part of the weights; where
// there are more threads than panels, groups of them divide the rows too.
void Linear::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                      std::span<const View> inputs, View output) const {
  const kernels::GemmF32& gemm = run.kernels->gemm_f32;
  const int64_t n_panels = gemm.n_panels(n_);
  const int64_t panel_parts = std::min(slice.count, n_panels);
  const int64_t row_parts = slice.count / panel_parts;
  const int64_t row_part = slice.index / panel_parts;
  if (row_part >= row_parts) return;
  const Range panels = part_of(n_panels, {slice.index % panel_parts, panel_parts});
  const Range rows = part_of(n_rows, {row_part, row_parts});
  gemm.run({.m = rows.end - rows.begin,
            .k = k_,
            .n = n_,
            .panel_begin = panels.begin,
            .panel_end = panels.end,
            .a = inputs[0].data + rows.begin * inputs[0].ld,
            .lda = inputs[0].ld,
            .packed = packed_,
            .state = state_.get(),
            .activation = activation_,
            .c = output.data + rows.begin * output.ld,
            .ldc = output.ld});
}

}  // namespace headlane

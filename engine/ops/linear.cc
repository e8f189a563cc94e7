#include <algorithm>

#include "engine/ops/ops.h"

namespace headlane {
namespace {

// What one thread computes of a product: rows and panels of nr columns.
struct Share {
  Range rows, panels;
  int64_t n_rows() const { return rows.end - rows.begin; }
};

// Threads that share rows divide the panels, so that each reads its own part of the weights; where
// there are more threads than panels, groups of them divide the rows too.
Share share_of(int64_t n_rows, int64_t n_panels, Slice slice) {
  const int64_t panel_parts = std::min(slice.count, n_panels);
  const int64_t row_parts = slice.count / panel_parts;
  const int64_t row_part = slice.index / panel_parts;
  if (row_part >= row_parts) return {};
  return {part_of(n_rows, {row_part, row_parts}),
          part_of(n_panels, {slice.index % panel_parts, panel_parts})};
}

}  // namespace

void Linear::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                      std::span<const View> inputs, View output) const {
  const PackedWeight& w = weight_;
  const View& a = inputs[0];
  if (w.precision == Precision::kF32) {
    const kernels::GemmF32& gemm = run.kernels->gemm_f32;
    const Share share = share_of(n_rows, gemm.n_panels(w.n), slice);
    return gemm.run({.m = share.n_rows(),
                     .k = w.k,
                     .n = w.n,
                     .panel_begin = share.panels.begin,
                     .panel_end = share.panels.end,
                     .a = a.data + share.rows.begin * a.ld,
                     .lda = a.ld,
                     .packed = static_cast<const float*>(w.packed),
                     .state = w.state.get(),
                     .activation = w.activation,
                     .c = output.data + share.rows.begin * output.ld,
                     .ldc = output.ld});
  }
  const bool bf16 = w.precision == Precision::kBf16;
  const kernels::NarrowGemm& gemm = bf16 ? run.kernels->gemm_bf16 : run.kernels->gemm_u8;
  const Share share = share_of(n_rows, gemm.n_panels(w.n), slice);
  gemm.run({.m = share.n_rows(),
            .k = w.k,
            .n = w.n,
            .panel_begin = share.panels.begin,
            .panel_end = share.panels.end,
            .a = a.data + share.rows.begin * a.ld,
            .lda = a.ld,
            .packed = w.packed,
            .activation = w.activation,
            .c_element = element_,
            .c = output.data + share.rows.begin * output.ld,
            .ldc = output.ld});
}

}  // namespace headlane

#include <algorithm>

#include "engine/ops/ops.h"

namespace headlane {
namespace {

// One thread computes this part of a product: rows and panels of nr columns.
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
  for (const PackedWeight* part : parts_) {
    const PackedView w = view_of(*part);
    const Share share = share_of(n_rows, run.kernels->product(w.precision).n_panels(w.n), slice);
    const auto from = [&](const View& view) -> View {
      return {view.data + share.rows.begin * view.ld, view.ld};
    };
    multiply(*run.kernels, w, share.panels, share.n_rows(), from(inputs[0]), element_,
             from(output));
    output.data += element_ == Element::kF32 ? w.n : w.n / 2;  // floats
  }
}

}  // namespace headlane

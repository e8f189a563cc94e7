#include "engine/ops/ops.h"

namespace headlane {

void Add::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                   std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  run.kernels->add_f32({.rows = rows.end - rows.begin,
                        .d = d_,
                        .a = inputs[0].data + rows.begin * inputs[0].ld,
                        .lda = inputs[0].ld,
                        .b = inputs[1].data + rows.begin * inputs[1].ld,
                        .ldb = inputs[1].ld,
                        .y = output.data + rows.begin * output.ld,
                        .ldy = output.ld});
}

void AddPositions::run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                            std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  const int32_t* positions = rows_ == Rows::kKv ? run.kv_positions : run.positions;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    run.kernels->add_f32({.rows = 1,
                          .d = d_,
                          .a = inputs[0].data + r * inputs[0].ld,
                          .b = table_.data() + positions[row_begin + r] * d_,
                          .y = output.data + r * output.ld});
  }
}

}  // namespace headlane

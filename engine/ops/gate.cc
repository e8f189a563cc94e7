#include "engine/ops/ops.h"

namespace headlane {

void Gate::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                    std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  run.kernels->gate_f32({.rows = rows.end - rows.begin,
                         .d = d_,
                         .activation = activation_,
                         .x = inputs[0].data + rows.begin * inputs[0].ld,
                         .ldx = inputs[0].ld,
                         .y = output.data + rows.begin * output.ld,
                         .ldy = output.ld});
}

}  // namespace headlane

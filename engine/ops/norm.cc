#include <algorithm>

#include "engine/ops/ops.h"

namespace headlane {

void Norm::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                    std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  const auto row_of = [&](View view) { return view.data + rows.begin * view.ld; };
  const bool has_residual = inputs.size() > 1;
  const auto kernel = rms_ ? run.kernels->rms_norm_f32 : run.kernels->layer_norm_f32;
  kernel({.rows = rows.end - rows.begin,
          .d = d_,
          .x = row_of(inputs[0]),
          .ldx = inputs[0].ld,
          .residual = has_residual ? row_of(inputs[1]) : nullptr,
          .ld_residual = has_residual ? inputs[1].ld : 0,
          .gamma = gamma_,
          .beta = beta_,
          .eps = eps_,
          .y = row_of(output),
          .ldy = output.ld});
}

void NormHeads::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                         std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float* x = inputs[0].data + row * inputs[0].ld;
    float* y = output.data + row * output.ld;
    const auto norm = [&](const Part& part, int64_t first, int64_t width) {
      const int64_t d = width / part.n;
      run.kernels->rms_norm_f32({.rows = part.n,
                                 .d = d,
                                 .x = x + first,
                                 .ldx = d,
                                 .residual = nullptr,
                                 .ld_residual = 0,
                                 .gamma = part.gamma,
                                 .beta = nullptr,
                                 .eps = eps_,
                                 .y = y + first,
                                 .ldy = d});
    };
    norm(q_, 0, q_width_);
    norm(k_, q_width_, k_width_);
    const int64_t v = q_width_ + k_width_;
    std::copy_n(x + v, v_width_, y + v);
  }
}

}  // namespace headlane

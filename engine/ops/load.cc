#include <cstring>

#include "engine/ops/ops.h"

namespace headlane {

// Only whole vectors of floats: kernels may read a row up to its next multiple of kRowAlign.
View Load::lies(const Run& run, int64_t row_begin, int64_t n_rows) const {
  const RowSource& source = run.sources[static_cast<int>(input_)];
  const RowMap& map = rows_ == Rows::kKv ? run.kv : run.tokens;
  if (n_rows == 0 || d_ % kernels::kRowAlign != 0 ||
      source.token_stride % kernels::kRowAlign != 0) {
    return {};
  }
  const auto at = [&](int64_t row) {
    return map.seq[row] * source.seq_stride + map.token[row] * source.token_stride;
  };
  const int64_t first = at(row_begin);
  for (int64_t r = 1; r < n_rows; ++r) {
    if (at(row_begin + r) != first + r * source.token_stride) return {};
  }
  // Ops only read their inputs.
  return {const_cast<float*>(source.data) + first, source.token_stride};
}

void Load::run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                    std::span<const View>, View output) const {
  const RowSource& source = run.sources[static_cast<int>(input_)];
  const RowMap& map = rows_ == Rows::kKv ? run.kv : run.tokens;
  const Range part = part_of(n_rows, slice);
  for (int64_t r = part.begin; r < part.end; ++r) {
    const float* row = source.data + map.seq[row_begin + r] * source.seq_stride +
                       map.token[row_begin + r] * source.token_stride;
    std::memcpy(output.data + r * output.ld, row, static_cast<size_t>(d_) * sizeof(float));
  }
}

}  // namespace headlane

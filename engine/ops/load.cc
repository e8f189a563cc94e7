#include <cstring>

#include "engine/ops/ops.h"

namespace headlane {

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

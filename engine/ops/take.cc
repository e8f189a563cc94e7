#include <algorithm>

#include "engine/ops/ops.h"

namespace headlane {

// The input lies in the arena, since it has other rows than the output, so that its view, which
// begins at the row of the output's number, leads back to its first row.
void Take::run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                    std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  const float* first = inputs[0].data - row_begin * inputs[0].ld;
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    const int64_t row = row_begin + i;
    const int64_t token = run.read.tokens ? run.read.tokens[row] : row;
    std::copy_n(first + token * inputs[0].ld, d_, output.data + i * output.ld);
  }
}

}  // namespace headlane

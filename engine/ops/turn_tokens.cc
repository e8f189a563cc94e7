#include <array>

#include "engine/file/limits.h"
#include "engine/ops/ops.h"

namespace headlane {

void TurnTokens::run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                          std::span<const View>, View output) const {
  std::array<double, file_limits::kHeadDim / 2> memory;
  const std::span<double> frequencies(memory.data(), static_cast<size_t>(spec_.dims / 2));
  const Range rows = part_of(n_rows, slice);
  int64_t choice = -1;  // of none
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t token = row_begin + row, room = run.rooms[token];
    if (spec_.choice(room) != choice) fill_rotary_frequencies(spec_, room, frequencies);
    choice = spec_.choice(room);
    fill_rotary_row(spec_, frequencies, run.positions[token], output.data + row * output.ld);
  }
}

}  // namespace headlane

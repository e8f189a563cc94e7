#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/ops/ops.h"

namespace headlane {
namespace {

// Columns of a range: enough of them for each thread to have several ranges of a usual vocabulary,
// and few enough results of ranges to choose from.
constexpr int64_t kRangeColumns = 768;
// Columns and rows that are computed before they are looked at: 128 x 192 floats, 98 KB, beside
// which 192 columns of weights stay in L2 for further rows.
constexpr int64_t kTileColumns = 192, kTileRows = 128;

int64_t panels_in(const kernels::Product& product, int64_t columns) {
  return std::max<int64_t>(columns / product.nr, 1);
}

// How many of the rows from `row` on lie next to each other, up to a tile of them.
int64_t rows_together(const LogitsTarget& to, int64_t row) {
  const int64_t most = std::min(kTileRows, to.n_rows - row);
  int64_t n = 1;
  while (n < most && to.rows[row + n] == to.rows[row] + n) ++n;
  return n;
}

// The part of the packed weight that has the columns first .. first + n.
void mask(std::span<const std::span<const int32_t>> ids_of_rows, int64_t first, int64_t n, View c) {
  for (size_t r = 0; r < ids_of_rows.size(); ++r) {
    for (const int32_t id : ids_of_rows[r]) {
      if (id >= first && id < first + n) {
        c.data[static_cast<int64_t>(r) * c.ld + id - first] = -HUGE_VALF;
      }
    }
  }
}

// The columns first .. first + n of the rows row .. row + rows.
void keep_logits(const LogitsTarget& to, int64_t row, int64_t rows, int64_t first, int64_t n,
                 View c) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* logits = c.data + r * c.ld;
    float* all = to.all ? to.all[row + r] : nullptr;
    if (all) std::memcpy(all + first, logits, static_cast<size_t>(n) * sizeof(float));
    const int64_t named = to.named ? to.named[row + r] : -1;
    if (named >= first && named < first + n) to.named_logits[row + r] = logits[named - first];
  }
}

}  // namespace

int64_t TopLogits::n_ranges(const kernels::Table& kernels, Precision precision, int64_t n) {
  const kernels::Product& product = kernels.product(precision);
  const int64_t panels = panels_in(product, kRangeColumns);
  return (product.n_panels(n) + panels - 1) / panels;
}

int64_t TopLogits::scratch_floats(const kernels::Table& kernels, const Limits& limits) const {
  const kernels::Product& product = kernels.product(weight_.precision);
  const int64_t columns = panels_in(product, kTileColumns) * product.nr;
  return std::min(kTileRows, limits.max_seqs) * kernels::padded_stride(columns);
}

void TopLogits::cap(const kernels::Table& kernels, int64_t rows, int64_t n, View c) const {
  for (int64_t r = 0; r < rows; ++r) {
    float* row = c.data + r * c.ld;
    for (int64_t i = 0; i < n; ++i) row[i] /= cap_;
    kernels.activate_f32(kernels::Activation::kTanh, n, row, row);
    for (int64_t i = 0; i < n; ++i) row[i] *= cap_;
  }
}

void TopLogits::run_task(const Run& run, int64_t task, std::span<const View> inputs, View,
                         float* scratch) const {
  const kernels::Table& kernels = *run.kernels;
  const LogitsTarget& to = run.step->logits;
  const kernels::Product& product = kernels.product(weight_.precision);
  const int64_t nr = product.nr;
  const int64_t tile_panels = panels_in(product, kTileColumns);
  const int64_t range_panels = panels_in(product, kRangeColumns);
  const int64_t ranges = n_tasks(run);
  const int64_t first = task * range_panels;
  const int64_t last = std::min(first + range_panels, product.n_panels(weight_.n));
  for (int64_t panel = first; panel < last; panel += tile_panels) {
    const int64_t n_tile = std::min(tile_panels, last - panel);
    const PackedView tile = panels_of(kernels, weight_, panel, n_tile);
    const View c = {scratch, kernels::padded_stride(tile_panels * nr)};
    for (int64_t row = 0, rows = 0; row < to.n_rows; row += rows) {
      rows = rows_together(to, row);
      const View a = {inputs[0].data + to.rows[row] * inputs[0].ld, inputs[0].ld};
      multiply(kernels, tile, {0, n_tile}, rows, a, Element::kF32, c);
      if (cap_ != 0) cap(kernels, rows, tile.n, c);
      keep_logits(to, row, rows, panel * nr, tile.n, c);
      if (to.masked) mask({to.masked + row, static_cast<size_t>(rows)}, panel * nr, tile.n, c);
      if (to.k > 0) {
        kernels.top_k_f32({.rows = rows,
                           .n = tile.n,
                           .first_id = panel * nr,
                           .x = c.data,
                           .ldx = c.ld,
                           .k = to.k,
                           .top = to.top + row * ranges + task,
                           .ld_top = ranges,
                           .best = to.best + (row * ranges + task) * to.k,
                           .ld_best = ranges * to.k,
                           .begin = panel == first});
      }
    }
  }
}

}  // namespace headlane

#include <algorithm>
#include <limits>

#include "engine/ops/ops.h"

namespace headlane {
namespace {

// One row, which may stay where it is: its own first row, divided by its length if `normalize`.
void normalize_row(const kernels::Table& kernels, bool normalize, int64_t d, const float* x,
                   float* y) {
  kernels.pool_f32({.pooling = kernels::Pooling::kCls,
                    .normalize = normalize,
                    .rows = 1,
                    .d = d,
                    .x = x,
                    .ldx = d,
                    .y = y});
}

// The place of the last token that is another one; 0 where there is none, as in transformers.
int64_t last_other(const int32_t* ids, int64_t len, int32_t passed_over) {
  int64_t place = len - 1;
  while (place > 0 && ids[place] == passed_over) --place;
  return place;
}

}  // namespace

int64_t place_of_row(const PoolPart& part, const int32_t* ids, int64_t len, int64_t n_left_out) {
  const int64_t left_out = std::min(n_left_out, len);
  if (part.passed_over >= 0 && ids != nullptr && left_out < len) {
    return last_other(ids, len, part.passed_over);
  }
  if (left_out < len) return part.of_last ? len - 1 : left_out;
  // It is as in sentence-transformers for a text whose every token is left out: its first row is
  // that of the text.
  return len == 0 || part.of_last ? -1 : 0;
}

void Pool::run_task(const Run& run, int64_t seq, std::span<const View> inputs, View output,
                    float*) const {
  if (rows_ == Rows::kRead && run.read.tokens != nullptr) {
    const int64_t row = run.read.offsets[seq];
    float* y = output.data + seq * output.ld;
    if (row == run.read.offsets[seq + 1]) {
      std::fill_n(y, d_, 0.0f);
    } else {
      normalize_row(*run.kernels, normalize_, d_, inputs[0].data + row * inputs[0].ld, y);
    }
    return;
  }
  const int64_t begin = run.offsets[seq];
  const int64_t len = run.offsets[seq + 1] - begin;
  const int64_t left_out = std::min(run.n_left_out, len), rows = len - left_out;
  const float* first = inputs[0].data + begin * inputs[0].ld;
  const int32_t* ids = run.ids == nullptr ? nullptr : run.ids + begin;
  float* y = output.data + seq * output.ld;
  const std::span<const PoolPart> parts = run.pooling ? std::span(run.pooling, 1) : parts_;
  for (size_t i = 0; i < parts.size(); ++i) {
    const PoolPart& part = parts[i];
    float* own = y + static_cast<int64_t>(i) * d_;
    const bool of_first = part.pooling == kernels::Pooling::kCls && !part.of_last;
    if (rows == 0 && (len == 0 || !of_first)) {
      // A vector that is made of no rows at all is zero.
      const bool is_max = len > 0 && part.pooling == kernels::Pooling::kMax;
      std::fill_n(own, d_, is_max ? -std::numeric_limits<float>::infinity() : 0.0f);
      continue;
    }
    const int64_t place =
        part.of_last || rows == 0 ? place_of_row(part, ids, len, left_out) : left_out;
    run.kernels->pool_f32({.pooling = part.pooling,
                           .normalize = normalize_ && parts.size() == 1,
                           .rows = part.of_last || rows == 0 ? 1 : rows,
                           .d = d_,
                           .place = place,
                           .x = first + place * inputs[0].ld,
                           .ldx = inputs[0].ld,
                           .y = own});
  }
  const bool is_row = place_of_row(parts[0], ids, len, left_out) >= 0 &&
                      (parts[0].of_last || parts[0].pooling == kernels::Pooling::kCls);
  const bool done = parts.size() == 1 && (rows > 0 || is_row);
  if (!normalize_ || done || len == 0) return;
  normalize_row(*run.kernels, true, std::ssize(parts) * d_, y, y);
}

void Vectors::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                       std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    normalize_row(*run.kernels, normalize_, d_, inputs[0].data + i * inputs[0].ld,
                  output.data + i * output.ld);
  }
}

}  // namespace headlane

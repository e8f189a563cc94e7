#include "engine/file/row_table.h"
#include "engine/ops/ops.h"

namespace headlane {

void Embed::prepare(const Run& run) const {
  if (word_.table != nullptr) word_.table->need(run.ids, run.n_tokens);
}

void Embed::run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                     std::span<const View>, View output) const {
  const Range part = part_of(n_rows, slice);
  const int64_t first = row_begin + part.begin;
  run.kernels->embed_f32({.rows = part.end - part.begin,
                          .d = d_model_,
                          .ids = run.ids + first,
                          .positions = run.positions + first,
                          .types = run.types ? run.types + first : nullptr,
                          .word = word_.data,
                          .word_format = word_.format,
                          .word_scale = word_.scale,
                          .scale = scale_,
                          .position = position_.data(),
                          .type = type_,
                          .y = output.data + part.begin * output.ld,
                          .ldy = output.ld});
}

}  // namespace headlane

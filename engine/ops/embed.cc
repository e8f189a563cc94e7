#include <algorithm>

#include "engine/file/row_table.h"
#include "engine/ops/ops.h"

namespace headlane {
namespace {

// The rows of the table of positions that tokens of whole sequences take, one token after the
// other: 0 for padding, and for others 1 more than there were of them in the sequence before.
class CountedPositions {
 public:
  CountedPositions(const Run& run, int64_t first, int64_t padding_id)
      : run_(run), next_(first), padding_id_(padding_id) {
    const int32_t* end = run.ids + first;
    const int64_t before = run.positions[first];
    count_ = static_cast<int32_t>(before - std::count(end - before, end, padding_id));
  }

  int32_t next() {
    if (run_.positions[next_] == 0) count_ = 0;
    return run_.ids[next_++] == padding_id_ ? 0 : ++count_;
  }

 private:
  const Run& run_;
  int64_t next_;
  int64_t padding_id_;
  int32_t count_ = 0;
};

}  // namespace

void Embed::prepare(const Run& run) const {
  if (word_.table != nullptr) word_.table->need(run.ids, run.n_tokens);
}

void Embed::run_part(const Run& run, Range part, const int32_t* positions, View output) const {
  run.kernels->embed_f32({.rows = part.end - part.begin,
                          .d = d_model_,
                          .ids = run.ids + part.begin,
                          .positions = positions,
                          .types = run.types ? run.types + part.begin : nullptr,
                          .word = word_.data,
                          .word_format = word_.format,
                          .word_scale = word_.scale,
                          .scale = scale_,
                          .position = position_.data(),
                          .type = type_,
                          .y = output.data,
                          .ldy = output.ld});
}

void Embed::run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                     std::span<const View>, View output) const {
  const Range part = part_of(n_rows, slice);
  const int64_t first = row_begin + part.begin, end = row_begin + part.end;
  output.data += part.begin * output.ld;
  if (padding_id_ == kNone || first == end) {
    return run_part(run, {first, end}, run.positions + first, output);
  }
  CountedPositions counted(run, first, padding_id_);
  int32_t positions[64];
  for (int64_t begin = first; begin < end; begin += std::ssize(positions)) {
    const int64_t n = std::min(end - begin, std::ssize(positions));
    for (int64_t i = 0; i < n; ++i) positions[i] = counted.next();
    run_part(run, {begin, begin + n}, positions, output);
    output.data += n * output.ld;
  }
}

}  // namespace headlane

#include "engine/run/embed.h"

#include <algorithm>

namespace headlane {

void embed(Session* session, const TextArray& texts, const TextArray* second,
           const EmbedOptions& options, const EmbedTarget& vectors, const TextListener& listener) {
  session->check_takes_ids(Wanted::kNothing);
  const int64_t all = session->vector_columns(options.pooling);
  const int64_t n = options.n_columns > 0 ? std::min(options.n_columns, all) : all;
  const auto copy = [&](int64_t seq, const float* row) {
    std::copy_n(row, n, vectors.data + seq * vectors.stride);
  };
  const bool leaves_out = session->model().config().head.use.leaves_out_prompt;
  run_texts(session, {&texts, second}, options.text, copy, listener, {options.pooling, leaves_out});
}

}  // namespace headlane

#include "engine/run/embed.h"

#include <algorithm>

namespace headlane {

void embed(Session* session, const TextArray& texts, const TextArray* second,
           const TextOptions& options, const EmbedTarget& vectors, const TextListener& listener) {
  session->check_takes_ids(Wanted::kVectors);
  const int64_t d = session->model().config().vector_columns();
  const auto copy = [&](int64_t seq, const float* row) {
    std::copy_n(row, d, vectors.data + seq * vectors.stride);
  };
  run_texts(session, {&texts, second}, options, copy, listener);
}

}  // namespace headlane

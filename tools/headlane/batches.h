// Any number of sequences through a session, in bounded memory: a window of sequences is sorted by
// length, cut into batches, run, and given back in the order in which it came.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tools/headlane/library.h"

namespace tool {

// What to take of each sequence.
enum class Want { kPooled, kHidden };

class BatchRunner {
 public:
  // `emit` receives results in input order: for kPooled one row, for kHidden a row for each token.
  using Emit = std::function<void(const float* rows, int64_t n_rows)>;

  BatchRunner(headlane_model* model, const RunOptions& options, int64_t max_len, Want want,
              Emit emit);

  void add(const std::vector<int32_t>& ids);
  void flush();  // runs what is left; call once at the end

 private:
  void run_batch(const size_t* order, size_t n);

  Session session_;
  int64_t d_model_, batch_tokens_, window_tokens_;
  Want want_;
  Emit emit_;
  std::vector<int32_t> ids_;       // of the window, end to end
  std::vector<int64_t> begin_{0};  // [sequences + 1], where each begins in ids_
  std::vector<float> results_;     // of the window, in input order
  std::vector<int32_t> batch_ids_;
  std::vector<int64_t> batch_offsets_;
  std::vector<float> batch_results_;
};

}  // namespace tool

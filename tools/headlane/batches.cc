#include "tools/headlane/batches.h"

#include <algorithm>
#include <numeric>

namespace tool {
namespace {

constexpr int64_t kBatchesPerWindow = 16;
constexpr size_t kMostSequencesPerWindow = 16384;  // bounds the window where sequences are short

}  // namespace

BatchRunner::BatchRunner(headlane_model* model, const RunOptions& options, int64_t max_len,
                         Want want, Emit emit)
    : session_(create_session(model, options, max_len)),
      d_model_(facts_of(model).d_model),
      batch_tokens_(std::max(options.batch_tokens, max_len)),
      window_tokens_(kBatchesPerWindow * batch_tokens_),
      want_(want),
      emit_(std::move(emit)) {
  // Hidden states are d_model floats a token: a window holds one batch of them.
  if (want_ == Want::kHidden) window_tokens_ = batch_tokens_;
}

void BatchRunner::add(const std::vector<int32_t>& ids) {
  const int64_t tokens = static_cast<int64_t>(ids_.size() + ids.size());
  if (tokens > window_tokens_ || begin_.size() > kMostSequencesPerWindow) flush();
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  begin_.push_back(static_cast<int64_t>(ids_.size()));
}

void BatchRunner::flush() {
  const size_t n = begin_.size() - 1;
  const auto length = [&](size_t i) { return begin_[i + 1] - begin_[i]; };
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return length(a) > length(b); });
  const size_t rows = want_ == Want::kPooled ? n : ids_.size();
  results_.resize(rows * static_cast<size_t>(d_model_));
  for (size_t first = 0; first < n;) {
    // The session takes as many sequences as tokens: what counts where sequences are empty.
    const size_t end = std::min(n, first + static_cast<size_t>(batch_tokens_));
    size_t last = first;
    for (int64_t tokens = 0; last < end && tokens + length(order[last]) <= batch_tokens_; ++last) {
      tokens += length(order[last]);
    }
    run_batch(order.data() + first, last - first);
    first = last;
  }
  if (rows > 0) emit_(results_.data(), static_cast<int64_t>(rows));
  ids_.clear();
  begin_.assign(1, 0);
}

void BatchRunner::run_batch(const size_t* order, size_t n) {
  batch_ids_.clear();
  batch_offsets_.assign(1, 0);
  for (size_t i = 0; i < n; ++i) {
    batch_ids_.insert(batch_ids_.end(), ids_.begin() + begin_[order[i]],
                      ids_.begin() + begin_[order[i] + 1]);
    batch_offsets_.push_back(static_cast<int64_t>(batch_ids_.size()));
  }
  const bool pooled = want_ == Want::kPooled;
  batch_results_.resize((pooled ? n : batch_ids_.size()) * static_cast<size_t>(d_model_));
  headlane_batch batch{sizeof batch, static_cast<int64_t>(n), batch_offsets_.data(),
                       batch_ids_.data(), nullptr};
  headlane_outputs outputs{sizeof outputs, pooled ? nullptr : batch_results_.data(),
                           pooled ? batch_results_.data() : nullptr, nullptr};
  check(headlane_encode(session_.get(), &batch, &outputs));
  for (size_t i = 0; i < n; ++i) {
    const int64_t from = pooled ? static_cast<int64_t>(i) : batch_offsets_[i];
    const int64_t to = pooled ? static_cast<int64_t>(order[i]) : begin_[order[i]];
    const int64_t n_rows = pooled ? 1 : batch_offsets_[i + 1] - batch_offsets_[i];
    std::copy_n(batch_results_.begin() + from * d_model_, n_rows * d_model_,
                results_.begin() + to * d_model_);
  }
}

}  // namespace tool

/** @file
 * C++: ragged batches of token ids.
 */
#ifndef HEADLANE_BATCH_HPP_
#define HEADLANE_BATCH_HPP_

#include <headlane/error.hpp>
#include <span>
#include <string>
#include <vector>

namespace headlane {
inline namespace v0 {

/** A ragged batch of token ids: all sequences end to end. It owns them. */
class Batch {
 public:
  /** Adds a sequence.
   * @param ids [n]; n may be 0
   * @param type_ids [n], or none: all 0
   * @return itself */
  Batch& add(std::span<const int32_t> ids, std::span<const int32_t> type_ids = {}) {
    if (!type_ids.empty() && type_ids.size() != ids.size()) {
      throw Error(HEADLANE_INVALID_ARGUMENT, "a sequence has " + std::to_string(ids.size()) +
                                                 " ids and " + std::to_string(type_ids.size()) +
                                                 " type ids");
    }
    if (!type_ids.empty() || !type_ids_.empty()) {
      type_ids_.resize(ids_.size());
      type_ids_.insert(type_ids_.end(), type_ids.begin(), type_ids.end());
      type_ids_.resize(ids_.size() + ids.size());
    }
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    offsets_.push_back(static_cast<int64_t>(ids_.size()));
    return *this;
  }

  /** Takes all sequences out; their memory stays. */
  void clear() {
    ids_.clear();
    type_ids_.clear();
    offsets_.resize(1);
  }

  /** How many sequences there are.
   * @return 0 or more */
  size_t n_seqs() const { return offsets_.size() - 1; }

  /** How many tokens all sequences have together.
   * @return 0 or more */
  size_t n_tokens() const { return ids_.size(); }

  /** The batch as the C API takes it.
   * @return valid until this one changes */
  headlane_batch get() const {
    return {.struct_size = sizeof(headlane_batch),
            .n_seqs = static_cast<int64_t>(n_seqs()),
            .offsets = offsets_.data(),
            .ids = ids_.data(),
            .type_ids = type_ids_.empty() ? nullptr : type_ids_.data(),
            .n_left_out = 0};
  }

 private:
  std::vector<int64_t> offsets_ = {0};  // [n_seqs + 1]
  std::vector<int32_t> ids_;
  std::vector<int32_t> type_ids_;  // as many as ids_, or none
};

}  // namespace v0
}  // namespace headlane

#endif  // HEADLANE_BATCH_HPP_

/** @file
 * C++: attention on your own buffers.
 */
#ifndef HEADLANE_ATTENTION_HPP_
#define HEADLANE_ATTENTION_HPP_

#include <headlane/error.hpp>
#include <memory>
#include <vector>

namespace headlane {
inline namespace v0 {

/** headlane_attention: one attention on the caller's buffers. One thread at a time may run it. */
class Attention {
 public:
  /** Takes memory and threads.
   * @param options and everything that it points to except memory may be freed afterwards
   * @throw Error for each error of headlane_attention_create */
  explicit Attention(const headlane_attention_options& options) {
    headlane_attention* made = nullptr;
    check(headlane_attention_create(&options, &made));
    attention_.reset(made);
  }

  /** The exact size of the block in which calls with these options work.
   * @param options its memory is not looked at
   * @return bytes
   * @throw Error for each error of headlane_attention_bytes */
  static size_t bytes(const headlane_attention_options& options) {
    size_t n_bytes = 0;
    check(headlane_attention_bytes(&options, &n_bytes));
    return n_bytes;
  }

  /** Computes the attention of a batch.
   * @param batch the sequences
   * @throw Error for each error of headlane_attention_run */
  void run(const headlane_attention_batch& batch) { check(headlane_attention_run(get(), &batch)); }

  /** Ends the call that is under way, and later calls until it is set to false again. Any thread
   * may call it at any time, also while another thread is inside a call.
   * @param cancelled true: calls throw an Error of HEADLANE_CANCELLED
   * @throw Error if this was moved from */
  void set_cancelled(bool cancelled) {
    check(headlane_attention_set_cancelled(get(), cancelled ? 1 : 0));
  }

  /** The attention as the C API takes it.
   * @return as long as this lives; null if it was moved from */
  headlane_attention* get() const noexcept { return attention_.get(); }

 private:
  struct Destroy {
    void operator()(headlane_attention* attention) const { headlane_attention_destroy(attention); }
  };

  std::unique_ptr<headlane_attention, Destroy> attention_;
};

/** The slopes of Press et al., for AttentionOptions.
 * @param n_heads 1 or more
 * @return [n_heads]
 * @throw Error for each error of headlane_alibi_slopes */
inline std::vector<float> alibi_slopes(int64_t n_heads) {
  std::vector<float> slopes(n_heads > 0 ? static_cast<size_t>(n_heads) : 0);
  check(headlane_alibi_slopes(n_heads, slopes.data()));
  return slopes;
}

}  // namespace v0
}  // namespace headlane

#endif  // HEADLANE_ATTENTION_HPP_

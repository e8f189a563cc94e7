/** @file
 * C++: texts end to end, as calls on many texts take them.
 */
#ifndef HEADLANE_TEXTS_HPP_
#define HEADLANE_TEXTS_HPP_

#include <headlane/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace headlane {
inline namespace v0 {

/** A copy of some texts, end to end. */
class JoinedTexts {
 public:
  /** Copies them.
   * @param texts any range of what a std::string_view can be made of */
  template <typename Range>
  explicit JoinedTexts(const Range& texts) {
    for (const std::string_view text : texts) {
      data_ += text;
      offsets_.push_back(static_cast<int64_t>(data_.size()));
    }
  }

  /** How many there are.
   * @return 0 or more */
  size_t size() const { return offsets_.size() - 1; }

  /** The texts as the C API takes them.
   * @return valid as long as this */
  TextArray get() const {
    TextArray array;
    array.n_texts = static_cast<int64_t>(size());
    array.data = data_.data();
    array.data_bytes = static_cast<int64_t>(data_.size());
    array.offsets_64 = offsets_.data();
    return array;
  }

 private:
  std::string data_;
  std::vector<int64_t> offsets_ = {0};
};

}  // namespace v0
}  // namespace headlane

#endif  // HEADLANE_TEXTS_HPP_

#include "engine/generate/answer_text.h"

#include <algorithm>

namespace headlane {
namespace {

// More tokens than a character has bytes.
constexpr size_t kContext = 8;

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD, of bytes that are no character

bool is_byte_token(std::string_view token) {  // "<0xE4>"
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

}  // namespace

AnswerText::AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stops,
                       std::span<const int32_t> prompt)
    : tokenizer_(&tokenizer), stops_(std::move(stops)) {
  for (const std::string& stop : stops_) longest_stop_ = std::max(longest_stop_, stop.size());
  restart(prompt);
}

void AnswerText::restart(std::span<const int32_t> prompt) {
  text_.clear();
  n_shown_ = 0;
  has_stopped_ = false;
  begin_window(prompt);
}

// The last of `ids` are what comes next stands behind. They do not begin within a run of bytes,
// which would be other characters without its beginning.
void AnswerText::begin_window(std::span<const int32_t> ids) {
  size_t n = std::min(kContext, ids.size());
  while (n < ids.size() && is_open(ids[ids.size() - n])) ++n;
  window_ = std::vector<int32_t>(ids.end() - static_cast<ptrdiff_t>(n), ids.end());
  n_settled_ = n;
  before_ = tokenizer_->decode(window_);
}

// The text of the window has this many bytes that were there before; npos: its text before has
// changed, so it is not known.
size_t AnswerText::n_before(std::string_view whole) const {
  std::string_view before = before_;
  if (whole.starts_with(before)) return before.size();
  // A character that the prompt left unfinished belongs to what finishes it.
  while (before.ends_with(kReplacement)) before.remove_suffix(kReplacement.size());
  return whole.starts_with(before) ? before.size() : std::string_view::npos;
}

// Whether the text of a token depends on those that come behind it: a byte is a character of its
// own, or part of one, or of a run of bytes that are none.
bool AnswerText::is_open(int32_t id) const {
  if (is_byte_token(tokenizer_->target_token(id))) return true;
  return tokenizer_->decode({&id, 1}).ends_with(kReplacement);
}

bool AnswerText::add(int32_t id) {
  if (has_stopped_) return false;
  window_.push_back(id);
  if (is_open(id)) return true;
  const std::string whole = tokenizer_->decode(window_);
  const size_t begin = n_before(whole);
  if (begin == std::string::npos) return true;
  const bool goes_on = append(std::string_view(whole).substr(begin));
  begin_window(std::vector<int32_t>(window_));
  return goes_on;
}

bool AnswerText::finish() {
  if (has_stopped_) return false;
  if (window_.size() > n_settled_) {
    const std::string whole = tokenizer_->decode(window_);
    size_t begin = n_before(whole);
    if (begin == std::string::npos) {
      begin = static_cast<size_t>(std::ranges::mismatch(whole, before_).in1 - whole.begin());
    }
    append(std::string_view(whole).substr(begin));
    n_settled_ = window_.size();
  }
  if (!has_stopped_) n_shown_ = text_.size();
  return !has_stopped_;
}

bool AnswerText::append(std::string_view more) {
  const size_t from = text_.size() - std::min(text_.size(), longest_stop_);
  text_ += more;
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) end = std::min(end, text_.find(stop, from));
  has_stopped_ = end != std::string::npos;
  if (has_stopped_) text_.resize(end);
  const std::string_view text = text_;
  size_t held = 0;  // bytes at the end that may become a stop
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, text.size()); n > held && !has_stopped_; --n) {
      if (text.ends_with(std::string_view(stop).substr(0, n))) held = n;
    }
  }
  n_shown_ = text.size() - held;
  return !has_stopped_;
}

}  // namespace headlane

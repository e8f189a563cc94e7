#include "tools/headlane/text/continuation.h"

#include <algorithm>

namespace tool {
namespace {

// More tokens than a character has bytes.
constexpr int64_t kContext = 8;

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD, of bytes that are no character

}  // namespace

Continuation::Continuation(const Model& model, const std::vector<int32_t>& prompt,
                           const std::vector<std::string>& stops)
    : model_(model),
      stops_(stops),
      context_(prompt.end() - std::min(kContext, std::ssize(prompt)), prompt.end()),
      before_(model.detokenize(context_)) {}

std::string Continuation::decode(const std::vector<int32_t>& ids) const {
  std::vector<int32_t> all = context_;
  all.insert(all.end(), ids.begin(), ids.end());
  const std::string text = model_.detokenize(all);
  // Where the prompt ends within a character, its text changes as that is completed.
  return text.starts_with(before_) ? text.substr(before_.size()) : model_.detokenize(ids);
}

// Whether a token may be one byte of a character: then the text of it, and of such tokens before
// it, may still change as more of them come.
bool Continuation::may_join(int32_t id) const {
  const std::string text = model_.detokenize(std::span(&id, 1));
  return text.size() <= 1 || text == kReplacement;
}

bool Continuation::add(int32_t id) {
  ids_.push_back(id);
  text_ = decode(ids_);
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) end = std::min(end, text_.find(stop));
  if (end == std::string::npos) return true;
  text_.resize(end);
  has_stopped_ = true;
  return false;
}

std::string Continuation::settled() const {
  std::vector<int32_t> ids = ids_;
  while (!ids.empty() && may_join(ids.back())) ids.pop_back();
  const std::string whole = ids.size() == ids_.size() ? text_ : decode(ids);
  std::string_view text = whole;
  while (text.ends_with(kReplacement)) text.remove_suffix(kReplacement.size());
  size_t held = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, text.size()); n > held; --n) {
      if (text.ends_with(std::string_view(stop).substr(0, n))) held = n;
    }
  }
  text.remove_suffix(held);
  return std::string(text);
}

}  // namespace tool

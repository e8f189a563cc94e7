#include "engine/text/added_tokens.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "engine/text/unicode.h"

namespace headlane {
namespace {

// Where the character before text[pos] starts; pos > 0.
size_t previous_char(std::string_view text, size_t pos) {
  do --pos;
  while (pos > 0 && (static_cast<uint8_t>(text[pos]) & 0xC0) == 0x80);
  return pos;
}

size_t skip_spaces(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    size_t next = pos;
    if (!is_space(next_char(text, &next))) break;
    pos = next;
  }
  return pos;
}

size_t skip_spaces_back(std::string_view text, size_t pos, size_t first) {
  while (pos > first) {
    const size_t previous = previous_char(text, pos);
    size_t next = previous;
    if (!is_space(next_char(text, &next))) break;
    pos = previous;
  }
  return std::max(pos, first);
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  for (const AddedToken& token : tokens_) {
    by_content_.emplace(token.content, &token);
    lengths_.push_back(token.content.size());
    const uint8_t first = static_cast<uint8_t>(token.content[0]);
    starts_token_[first] = true;
    only_first_byte_ = &token == tokens_.data() || only_first_byte_ == first ? first : -1;
  }
  std::sort(lengths_.begin(), lengths_.end(), std::greater<>());
  lengths_.erase(std::unique(lengths_.begin(), lengths_.end()), lengths_.end());
}

// The leftmost longest token at or behind *pos, which becomes its start; null if there is none.
const AddedToken* AddedTokens::find(std::string_view text, const MayStand& may_stand,
                                    size_t* pos) const {
  for (; !tokens_.empty() && *pos < text.size(); ++*pos) {
    if (only_first_byte_ >= 0) {
      const void* start = std::memchr(text.data() + *pos, only_first_byte_, text.size() - *pos);
      if (start == nullptr) break;
      *pos = static_cast<size_t>(static_cast<const char*>(start) - text.data());
    } else if (!starts_token_[static_cast<uint8_t>(text[*pos])]) {
      continue;
    }
    for (size_t length : lengths_) {
      if (length > text.size() - *pos) continue;
      const auto found = by_content_.find(text.substr(*pos, length));
      if (found == by_content_.end()) continue;
      if (!may_stand || may_stand(*found->second, *pos)) return found->second;
    }
  }
  return nullptr;
}

bool AddedTokens::Splitter::next(TextPart* part) {
  if (waiting_.id < 0) {
    const size_t gap_start = done_;
    const bool found = next_token(&waiting_);
    const size_t gap_end =
        found ? static_cast<size_t>(waiting_.text.data() - text_.data()) : text_.size();
    if (!found) done_ = text_.size();
    if (gap_start < gap_end) {
      *part = {-1, text_.substr(gap_start, gap_end - gap_start)};
      return true;
    }
    if (!found) return false;
  }
  *part = std::exchange(waiting_, {-1, {}});
  return true;
}

bool AddedTokens::Splitter::next_token(TextPart* token) {
  while (const AddedToken* found = tokens_.find(text_, may_stand_, &search_)) {
    size_t start = search_;
    size_t stop = search_ + found->content.size();
    search_ = stop;
    if (found->single_word && !is_single_word(start, stop)) continue;
    if (found->lstrip) start = std::max(skip_spaces_back(text_, start, done_), done_);
    if (found->rstrip) {
      // A token of white space may be found again in what an earlier one took: do not scan it
      // twice.
      if (stop >= space_end_) space_end_ = skip_spaces(text_, stop);
      stop = space_end_;
    }
    done_ = stop;
    if (start >= stop) continue;  // white space that the token before has taken already
    *token = {found->id, text_.substr(start, stop - start)};
    return true;
  }
  return false;
}

bool AddedTokens::Splitter::is_single_word(size_t start, size_t stop) const {
  if (start > 0) {
    size_t before = previous_char(text_, start);
    if (is_word(next_char(text_, &before))) return false;
  }
  return stop == text_.size() || !is_word(next_char(text_, &stop));
}

}  // namespace headlane

// Tokens that are found in the text before it is split into words, such as "[MASK]": of those that
// start leftmost the longest, as in the `tokenizers` library's AddedVocabulary. A byte table skips
// to where one may start; there, one hash look-up for each length that occurs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/file/limits.h"

namespace headlane {

// A longer one is refused, so that a text cannot make the look-up long.
inline constexpr auto kMaxAddedTokenBytes = static_cast<size_t>(file_limits::kAddedTokenBytes);

struct AddedToken {
  int32_t id = 0;
  std::string content;       // well-formed UTF-8, not empty
  bool single_word = false;  // not where a word character stands before or behind
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
};

// A stretch of text: one added token, or what lies between two.
struct TextPart {
  int32_t id;  // of the token, -1 if none
  std::string_view text;
};

class AddedTokens {
 public:
  // Contents differ from one another.
  explicit AddedTokens(std::vector<AddedToken> tokens);
  AddedTokens(const AddedTokens&) = delete;
  AddedTokens& operator=(const AddedTokens&) = delete;

  bool empty() const { return tokens_.empty(); }

  // Whether the text may have the token at a place; one that it may not have is passed over.
  using MayStand = std::function<bool(const AddedToken& token, size_t pos)>;

  // Walks the parts of a text from left to right.
  class Splitter {
   public:
    Splitter(const AddedTokens& tokens, std::string_view text, MayStand may_stand = nullptr)
        : tokens_(tokens), text_(text), may_stand_(std::move(may_stand)) {}
    bool next(TextPart* part);  // false at the end

   private:
    bool next_token(TextPart* token);
    bool is_single_word(size_t start, size_t stop) const;

    const AddedTokens& tokens_;
    std::string_view text_;
    MayStand may_stand_;           // null: all may
    size_t search_ = 0;            // where to look for the next token
    size_t done_ = 0;              // end of the last part
    size_t space_end_ = 0;         // of the white space last taken by rstrip
    TextPart waiting_ = {-1, {}};  // the token behind the part just given
  };

 private:
  const AddedToken* find(std::string_view text, const MayStand& may_stand, size_t* pos) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string_view, const AddedToken*> by_content_;
  std::vector<size_t> lengths_;  // those that occur, longest first
  std::array<bool, 256> starts_token_ = {};
  int only_first_byte_ = -1;  // that of all tokens, if they share it
};

}  // namespace headlane

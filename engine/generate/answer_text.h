// The text of an answer while its tokens come: what is shown of it never changes any more, so it
// has no half character, and nothing that may become a stop.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace headlane {

class AnswerText {
 public:
  AnswerText() = default;
  // The text that is added to `prompt`. It ends before the first of `stops` in it. The tokenizer
  // lives as long.
  AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stops,
             std::span<const int32_t> prompt);

  // Takes one more token. False: the text has a stop, so no token is wanted any more.
  bool add(int32_t id);
  // No token comes any more: all is shown. False: the text has a stop.
  bool finish();
  // The same stops, another prompt, and no token.
  void restart(std::span<const int32_t> prompt);

  std::string_view shown() const { return std::string_view(text_).substr(0, n_shown_); }

 private:
  bool is_open(int32_t id) const;
  size_t n_before(std::string_view whole) const;
  bool append(std::string_view more);
  void begin_window(std::span<const int32_t> ids);

  const Tokenizer* tokenizer_ = nullptr;
  std::vector<std::string> stops_;
  size_t longest_stop_ = 0;
  // Tokens whose text is settled, for the next ones to stand behind (spaces and characters go on
  // from them), and those whose text may still change.
  std::vector<int32_t> window_;
  size_t n_settled_ = 0;  // of the window
  std::string before_;    // the text of these
  std::string text_;      // of all settled tokens
  size_t n_shown_ = 0;    // bytes of it that are no beginning of a stop
  bool has_stopped_ = false;
};

}  // namespace headlane

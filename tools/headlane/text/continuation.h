// The text that a language model adds to a prompt, while its tokens come.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/headlane/options/run_options.h"

namespace tool {

class Continuation {
 public:
  // The model and the stops must live as long. The text ends before the first of `stops` in it.
  Continuation(const Model& model, const std::vector<int32_t>& prompt,
               const std::vector<std::string>& stops);

  // Takes one more token. False: the text has a stop, so no token is wanted any more.
  bool add(int32_t id);

  const std::vector<int32_t>& ids() const { return ids_; }
  bool has_stopped() const { return has_stopped_; }
  const std::string& text() const { return text_; }
  // The part of text() that can be shown: without a character that is not whole yet, and without
  // what may become a stop.
  std::string settled() const;

 private:
  std::string decode(const std::vector<int32_t>& ids) const;
  bool may_join(int32_t id) const;

  const Model& model_;
  const std::vector<std::string>& stops_;
  std::vector<int32_t> context_;  // the prompt's last tokens: spaces and characters go on from them
  std::string before_;            // their text
  std::vector<int32_t> ids_;
  std::string text_;
  bool has_stopped_ = false;
};

}  // namespace tool

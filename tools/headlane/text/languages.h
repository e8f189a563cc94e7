// The languages that a model has tokens for, and the texts of which it is told them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/headlane/options/run_options.h"

namespace tool {

std::vector<std::string> language_names(const Model& model);

// The languages that the user named, found in the model.
struct LanguageChoice {
  std::string source, target;       // "": not said
  std::optional<int32_t> first_id;  // what targets begin with, where they bear their language
};

// Throws std::runtime_error where the model has no such language, no use for it, or needs one.
LanguageChoice choose_languages(const Model& model, const std::string& source,
                                const std::string& target);

// A source's ids, at most max_len, special tokens included; none where the text has no tokens of
// its own. *was_cut: it had more.
std::vector<int32_t> tokenize_source(const Model& model, const std::string& text,
                                     const LanguageChoice& languages, int64_t max_len,
                                     bool* was_cut);

}  // namespace tool

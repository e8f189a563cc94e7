#include "tools/headlane/text/languages.h"

#include <algorithm>

namespace tool {
namespace {

constexpr size_t kMostNames = 20;  // more are not listed in a sentence

std::string list_of(const std::vector<std::string>& names) {
  if (names.size() > kMostNames) {
    return std::to_string(names.size()) + " languages, which headlane info --json lists";
  }
  std::string list =
      names.size() == 1 ? "1 language: " : std::to_string(names.size()) + " languages: ";
  for (size_t i = 0; i < names.size(); ++i) list += (i > 0 ? ", " : "") + names[i];
  return list;
}

int64_t find(const std::vector<std::string>& names, const std::string& option,
             const std::string& name) {
  const auto at = std::find(names.begin(), names.end(), name);
  if (at != names.end()) return at - names.begin();
  if (names.empty()) {
    throw std::runtime_error(option + " is " + name +
                             ", but the model has no tokens for languages");
  }
  throw std::runtime_error(option + " is " + name + ", which is not one of the model's " +
                           list_of(names));
}

}  // namespace

std::vector<std::string> language_names(const Model& model) {
  std::vector<std::string> names;
  const int64_t n = model.facts().n_languages;
  for (int64_t i = 0; i < n; ++i) {
    const headlane::LanguageFacts facts = model.language(i);
    names.emplace_back(facts.name, facts.name_bytes);
  }
  return names;
}

LanguageChoice choose_languages(const Model& model, const std::string& source,
                                const std::string& target) {
  const std::vector<std::string> names = language_names(model);
  if (!source.empty()) find(names, "--source-lang", source);
  const int64_t i_target = target.empty() ? -1 : find(names, "--target-lang", target);
  LanguageChoice choice{source, target, std::nullopt};
  if (names.empty()) return choice;
  if (model.language(0).begins_target == 0) {
    if (source.empty()) return choice;
    throw std::runtime_error("--source-lang is " + source +
                             ", but the model has tokens for the language of targets alone");
  }
  if (i_target >= 0) choice.first_id = model.language(i_target).id;
  if (i_target < 0 && model.facts().forced_first_id < 0) {
    throw std::runtime_error("--target-lang is needed: the model has " + list_of(names));
  }
  return choice;
}

std::vector<int32_t> tokenize_source(const Model& model, const std::string& text,
                                     const LanguageChoice& languages, int64_t max_len,
                                     bool* was_cut) {
  headlane::TokenizeOptions options;
  options.max_len = max_len + 1;  // to see whether there are more
  options.source_language = languages.source.c_str();
  options.target_language = languages.target.c_str();
  std::vector<int32_t> ids = model.tokenize(text, options);
  *was_cut = std::ssize(ids) > max_len;
  if (*was_cut) {
    options.max_len = max_len;
    ids = model.tokenize(text, options);
  }
  return ids == model.tokenize("", options) ? std::vector<int32_t>() : ids;
}

}  // namespace tool

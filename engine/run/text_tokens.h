// Texts to the token ids that a model takes, as the options of a call say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/chat/conversation.h"
#include "engine/model/model.h"
#include "engine/text/tokenizer.h"

namespace headlane {

struct TextOptions {
  int64_t max_len = 0;  // special tokens counted; 0: the model's max_seq_len
  TextLanguages languages;
  bool as_target = false;   // in the pieces of targets, without special tokens
  std::string_view prompt;  // put before each text
  Truncation truncation = Truncation::kLongestFirst;  // of pairs
};

// The tokenizer of a model. Throws Error(kUnsupported) if the file has none.
const Tokenizer& tokenizer_of(const Model& model);

class TextTokens {
 public:
  // Throws Error where the model has no tokenizer, or where the options do not fit it. `pairs`: the
  // texts are pairs, for append_pair.
  TextTokens(const Model& model, const TextOptions& options, bool pairs = false);

  // Appends the ids of the text behind the prompt. Safe to call from several threads.
  void append(std::string_view text, std::vector<int32_t>* ids) const;

  // Appends the ids of a pair, whose first text stands behind the prompt, and their types. In a
  // model of one type, all are of type 0.
  void append_pair(std::string_view first, std::string_view second, std::vector<int32_t>* ids,
                   std::vector<int32_t>* types) const;

  // It counts how many of a text's first tokens are the prompt's, as sentence-transformers counts
  // them for models whose pooling leaves them out: those of the prompt alone, special tokens before
  // it included, except for one at its end.
  int64_t n_of_prompt() const;

 private:
  std::string_view prompted(std::string_view text, std::string* room) const;

  // Where texts are conversations: what each role says.
  using Turns = std::vector<std::pair<std::string_view, std::string_view>>;
  void check_messages(bool pairs) const;
  void append_messages(const Turns& turns, std::vector<int32_t>* ids) const;
  void write_messages(Turns turns, std::vector<int32_t>* ids) const;
  // The tokens that stand behind all that the turns say: the template's.
  std::vector<int32_t> ending_of(const Turns& turns) const;

  const ModelConfig& config_;
  const Tokenizer& tokenizer_;
  int64_t n_types_;
  TextOptions options_;
};

}  // namespace headlane

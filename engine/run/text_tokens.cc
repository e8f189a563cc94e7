#include "engine/run/text_tokens.h"

#include <algorithm>
#include <iterator>

#include "engine/base/error.h"

namespace headlane {

const Tokenizer& tokenizer_of(const Model& model) {
  if (model.tokenizer() == nullptr) {
    fail(Status::kUnsupported, "%s: the file has no tokenizer", model.container().path().c_str());
  }
  return *model.tokenizer();
}

TextTokens::TextTokens(const Model& model, const TextOptions& options, bool pairs)
    : config_(model.config()),
      tokenizer_(tokenizer_of(model)),
      n_types_(model.config().first_stack().n_types),
      options_(options) {
  if (options_.max_len == 0) options_.max_len = model.config().max_seq_len;
  if (pairs && options_.as_target) {
    fail(Status::kInvalidArgument, "as_target is set, but targets are no pairs of texts");
  }
  if (config_.reads_messages()) {
    check_messages(pairs);
    return;
  }
  int64_t n_special = options_.as_target ? 1 : tokenizer_.n_special_with(options_.languages);
  if (pairs) {
    n_special = tokenizer_.n_special_of_pair(options_.languages);
    if (n_types_ > 1) tokenizer_.check_pair_types();
  }
  if (options_.max_len < n_special) {
    fail(Status::kInvalidArgument, "max_len is %lld; it must be at least %lld, for special tokens",
         static_cast<long long>(options_.max_len), static_cast<long long>(n_special));
  }
}

// transformers cuts the conversation and none of its texts.
void TextTokens::check_messages(bool pairs) const {
  if (options_.max_len < 1) {
    fail(Status::kInvalidArgument, "max_len is %lld; it must be at least 1",
         static_cast<long long>(options_.max_len));
  }
  if (options_.as_target || !options_.languages.source.empty() ||
      !options_.languages.target.empty()) {
    fail(Status::kInvalidArgument,
         "as_target or a language is set, but the model reads texts as conversations");
  }
  if (!pairs || options_.truncation == Truncation::kLongestFirst) return;
  fail(Status::kUnsupported,
       "truncation says which text of a pair is cut, but the model reads pairs as conversations, "
       "which are cut as a whole");
}

void TextTokens::write_messages(Turns turns, std::vector<int32_t>* ids) const {
  if (!options_.prompt.empty()) turns.insert(turns.begin(), {"system", options_.prompt});
  Conversation conversation = conversation_of(config_.messages);
  conversation.turns = std::move(turns);
  encode_conversation(config_.chat, tokenizer_, conversation, ids);
}

// As sentence-transformers finds them: where two texts that have nothing in common end alike.
std::vector<int32_t> TextTokens::ending_of(const Turns& turns) const {
  const auto filled = [&](std::string_view filler) {
    Turns others = turns;
    for (auto& [role, content] : others) content = filler;
    std::vector<int32_t> ids;
    write_messages(std::move(others), &ids);
    return ids;
  };
  const std::vector<int32_t> a = filled("0"), b = filled("1 2 3 4");
  const size_t most = std::min(a.size(), b.size());
  size_t n = 0;
  while (n < most && a[a.size() - 1 - n] == b[b.size() - 1 - n]) ++n;
  if (n == most) return {};
  return {a.end() - static_cast<ptrdiff_t>(n), a.end()};
}

void TextTokens::append_messages(const Turns& turns, std::vector<int32_t>* ids) const {
  std::vector<int32_t> own;
  write_messages(turns, &own);
  if (std::ssize(own) > options_.max_len) {
    const auto n_over = std::ssize(own) - options_.max_len;
    own.erase(tokenizer_.cuts_beginnings() ? own.begin() : own.end() - n_over,
              tokenizer_.cuts_beginnings() ? own.begin() + n_over : own.end());
    // The answer begins behind the template's last tokens, so these stay.
    const std::vector<int32_t> ending = ending_of(turns);
    const auto n = std::min(std::ssize(ending), std::ssize(own));
    std::copy(ending.end() - n, ending.end(), own.end() - n);
  }
  ids->insert(ids->end(), own.begin(), own.end());
}

void TextTokens::append(std::string_view text, std::vector<int32_t>* ids) const {
  if (config_.reads_messages()) return append_messages({{"user", text}}, ids);
  std::string room;
  text = prompted(text, &room);
  if (options_.as_target) {
    tokenizer_.encode_target(text, options_.max_len, ids);
  } else {
    tokenizer_.encode_with(text, options_.max_len, options_.languages, ids);
  }
}

void TextTokens::append_pair(std::string_view first, std::string_view second,
                             std::vector<int32_t>* ids, std::vector<int32_t>* types) const {
  if (config_.reads_messages()) {
    append_messages({{"query", first}, {"document", second}}, ids);
    types->resize(ids->size(), 0);
    return;
  }
  std::string room;
  const size_t begin = types->size();
  tokenizer_.encode_pair(prompted(first, &room), second,
                         {options_.max_len, options_.truncation, options_.languages}, ids, types);
  if (n_types_ <= 1) std::fill(types->begin() + static_cast<ptrdiff_t>(begin), types->end(), 0);
}

int64_t TextTokens::n_of_prompt() const {
  // sentence-transformers leaves no message out.
  if (options_.prompt.empty() || config_.reads_messages()) return 0;
  std::vector<int32_t> ids;
  append("", &ids);
  const bool ends = !ids.empty() && tokenizer_.is_special(ids.back());
  return std::ssize(ids) - (ends ? 1 : 0);
}

// The text behind the prompt, in `room` where there is one.
std::string_view TextTokens::prompted(std::string_view text, std::string* room) const {
  if (options_.prompt.empty()) return text;
  room->reserve(options_.prompt.size() + text.size());
  return room->append(options_.prompt).append(text);
}

}  // namespace headlane

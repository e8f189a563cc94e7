#include "engine/run/text_tokens.h"

#include <algorithm>

#include "engine/base/error.h"

namespace headlane {

const Tokenizer& tokenizer_of(const Model& model) {
  if (model.tokenizer() == nullptr) {
    fail(Status::kUnsupported, "%s: the file has no tokenizer", model.container().path().c_str());
  }
  return *model.tokenizer();
}

TextTokens::TextTokens(const Model& model, const TextOptions& options, bool pairs)
    : tokenizer_(tokenizer_of(model)),
      n_types_(model.config().first_stack().n_types),
      options_(options) {
  if (options_.max_len == 0) options_.max_len = model.config().max_seq_len;
  if (pairs && options_.as_target) {
    fail(Status::kInvalidArgument, "as_target is set, but targets are no pairs of texts");
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

void TextTokens::append(std::string_view text, std::vector<int32_t>* ids) const {
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
  std::string room;
  const size_t begin = types->size();
  tokenizer_.encode_pair(prompted(first, &room), second,
                         {options_.max_len, options_.truncation, options_.languages}, ids, types);
  if (n_types_ <= 1) std::fill(types->begin() + static_cast<ptrdiff_t>(begin), types->end(), 0);
}

int64_t TextTokens::n_of_prompt() const {
  if (options_.prompt.empty()) return 0;
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

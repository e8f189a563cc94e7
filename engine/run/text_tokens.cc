#include "engine/run/text_tokens.h"

#include "engine/base/error.h"

namespace headlane {

const Tokenizer& tokenizer_of(const Model& model) {
  if (model.tokenizer() == nullptr) {
    fail(Status::kUnsupported, "%s: the file has no tokenizer", model.container().path().c_str());
  }
  return *model.tokenizer();
}

TextTokens::TextTokens(const Model& model, const TextOptions& options)
    : tokenizer_(tokenizer_of(model)), options_(options) {
  if (options_.max_len == 0) options_.max_len = model.config().max_seq_len;
  const int64_t n_special = options_.as_target ? 1 : tokenizer_.n_special_with(options_.languages);
  if (options_.max_len < n_special) {
    fail(Status::kInvalidArgument, "max_len is %lld; the special tokens alone are %lld",
         static_cast<long long>(options_.max_len), static_cast<long long>(n_special));
  }
}

void TextTokens::append(std::string_view text, std::vector<int32_t>* ids) const {
  std::string prompted;
  if (!options_.prompt.empty()) {
    prompted.reserve(options_.prompt.size() + text.size());
    prompted.append(options_.prompt).append(text);
    text = prompted;
  }
  if (options_.as_target) {
    tokenizer_.encode_target(text, options_.max_len, ids);
  } else {
    tokenizer_.encode_with(text, options_.max_len, options_.languages, ids);
  }
}

}  // namespace headlane

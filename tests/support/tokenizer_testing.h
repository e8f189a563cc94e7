// The tokenizer's tests share these: small tokenizers, and the golden files.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/json.h"
#include "engine/text/tokenizer.h"
#include "tests/support/temp_dir.h"

namespace headlane {

constexpr int64_t kNoLimit = int64_t{1} << 30;

inline std::string golden_path(const char* name) {
  return std::string(HEADLANE_GOLDEN_DIR "/tokenizer/") + name;
}

inline std::vector<std::string> read_lines(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream bytes(read_file(path));
  for (std::string line; std::getline(bytes, line);) lines.push_back(line);
  return lines;
}

inline std::vector<int32_t> parse_ids(const std::string& line) {
  std::istringstream words(line);
  return {std::istream_iterator<int32_t>(words), std::istream_iterator<int32_t>()};
}

inline std::unique_ptr<Tokenizer> make_test_tokenizer(const Json& spec, std::string_view vocab) {
  TokenizerTensors tensors;
  tensors.vocab = std::as_bytes(std::span(vocab));
  return make_tokenizer(spec, tensors, "test");
}

// BERT's settings, with [CLS] and [SEP] at 1 and 2 and n_pieces tokens.
inline Json bert_spec(int64_t n_pieces) {
  return {{"type", "wordpiece"},
          {"n_pieces", n_pieces},
          {"clean_text", true},
          {"handle_chinese_chars", true},
          {"strip_accents", nullptr},
          {"lowercase", true},
          {"unk_token", "[UNK]"},
          {"prefix", "##"},
          {"max_chars_per_word", 100},
          {"ids_before", Json::array({1})},
          {"ids_after", Json::array({2})},
          {"added_tokens", Json::array()}};
}

inline Json added_token(int32_t id) {
  return {{"id", id},
          {"normalized", false},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false}};
}

inline std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text,
                                   int64_t max_len = kNoLimit) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, max_len, &ids);
  return ids;
}

// The spellings of what `text` becomes, special tokens left out, with a space between two.
inline std::string pieces(const Tokenizer& tokenizer, std::string_view text,
                          int64_t max_len = kNoLimit) {
  const std::vector<int32_t> ids = encode(tokenizer, text, max_len);
  std::string out;
  for (size_t i = 1; i + 1 < ids.size(); ++i) {
    if (i > 1) out += ' ';
    out += tokenizer.token(ids[i]);
  }
  return out;
}

}  // namespace headlane

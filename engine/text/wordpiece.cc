#include "engine/text/wordpiece.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>
#include <unordered_set>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

// Normalized bytes that are split at a time: a part of the L1 cache.
constexpr size_t kWordPieceBlock = 4096;

enum ByteClass : uint8_t { kWordByte, kSpaceByte, kPunctuationByte, kNotAsciiByte };

constexpr std::array<ByteClass, 256> make_byte_classes() {
  std::array<ByteClass, 256> classes = {};
  for (int c = 0; c < 256; ++c) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    classes[c] = c >= 0x80                              ? kNotAsciiByte
                 : c == ' ' || (c >= '\t' && c <= '\r') ? kSpaceByte
                 : c > ' ' && c < 0x7F && !word         ? kPunctuationByte
                                                        : kWordByte;
  }
  return classes;
}
constexpr std::array<ByteClass, 256> kByteClasses = make_byte_classes();

// No blank stands before these in decoded text.
constexpr std::string_view kJoined[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};

bool is_joined(std::string_view token) {
  return std::any_of(std::begin(kJoined), std::end(kJoined),
                     [&](std::string_view joined) { return token.starts_with(joined); });
}

}  // namespace

struct WordPieceTokenizer::Encoding {
  std::vector<int32_t>* ids;
  size_t max_ids;          // no more are needed; the last word may go beyond
  std::string normalized;  // the block at hand
  WordPieces::Hashes hashes;

  bool full() const { return ids->size() >= max_ids; }
};

WordPieceTokenizer::WordPieceTokenizer(WordPieceSpec spec, std::span<const std::byte> vocab,
                                       const std::string& where)
    : spec_(std::move(spec)),
      vocabulary_(vocab, spec_.n_pieces, where),
      normalizer_(spec_.normalizer),
      // The ids first, with which added_tokens finds the spellings.
      raw_tokens_((check_ids(where), added_tokens(false, where))),
      normalized_tokens_(added_tokens(true, where)),
      pieces_(vocabulary_, spec_.unk_token, spec_.prefix, spec_.max_chars_per_word, where) {
  mark_special();
}

void WordPieceTokenizer::mark_special() {
  is_special_.resize(static_cast<size_t>(vocabulary_.size()));
  const auto mark = [&](int32_t id) { is_special_[static_cast<size_t>(id)] = true; };
  for (int32_t id : spec_.ids_before) mark(id);
  for (int32_t id : spec_.ids_after) mark(id);
  for (const WordPieceSpec::Added& added : spec_.added_tokens) mark(added.token.id);
}

void WordPieceTokenizer::check_ids(const std::string& where) const {
  const auto check = [&](int32_t id, const char* field) {
    if (id < 0 || id >= vocabulary_.size()) {
      fail(Status::kBadFile, "%s field \"%s\" has the id %d, but the vocabulary %lld tokens",
           where.c_str(), field, id, static_cast<long long>(vocabulary_.size()));
    }
  };
  for (int32_t id : spec_.ids_before) check(id, "ids_before");
  for (int32_t id : spec_.ids_after) check(id, "ids_after");
  std::unordered_set<int32_t> seen;
  for (const WordPieceSpec::Added& added : spec_.added_tokens) {
    check(added.token.id, "added_tokens");
    if (!seen.insert(added.token.id).second) {
      fail(Status::kBadFile, "%s field \"added_tokens\" has the id %d twice", where.c_str(),
           added.token.id);
    }
  }
}

// The added tokens that are matched in normalized text, or those in raw text, with the content to
// look for.
std::vector<AddedToken> WordPieceTokenizer::added_tokens(bool normalized,
                                                         const std::string& where) const {
  std::vector<AddedToken> tokens;
  std::unordered_set<std::string> seen;
  for (const WordPieceSpec::Added& added : spec_.added_tokens) {
    if (added.normalized != normalized) continue;
    const std::string_view content = vocabulary_.token(added.token.id);
    const bool well_formed = valid_utf8_prefix(content) == content.size();
    AddedToken token = added.token;
    if (well_formed && normalized) {
      normalizer_.normalize(content, 0, std::numeric_limits<size_t>::max(), &token.content);
    } else {
      token.content = content;
    }
    if (!well_formed || token.content.empty() || token.content.size() > kMaxAddedTokenBytes ||
        !seen.insert(token.content).second) {
      fail(Status::kBadFile,
           "%s field \"added_tokens\": token %d is empty, too long, not UTF-8 or there twice",
           where.c_str(), token.id);
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void WordPieceTokenizer::append_text(std::string_view text, size_t most_ids,
                                     std::vector<int32_t>* ids) const {
  Encoding encoding{ids, ids->size() + most_ids, {}, {}};
  if (valid_utf8_prefix(text) == text.size()) {
    encode_text(text, &encoding);
  } else {
    encode_text(replace_invalid_utf8(text), &encoding);
  }
  ids->resize(std::min(ids->size(), encoding.max_ids));
}

void WordPieceTokenizer::encode_text(std::string_view text, Encoding* encoding) const {
  AddedTokens::Splitter splitter(raw_tokens_, text);
  TextPart part;
  while (!encoding->full() && splitter.next(&part)) {
    if (part.id >= 0) {
      encoding->ids->push_back(part.id);
      continue;
    }
    // A token matched in normalized text may have spaces in it: no blocks then.
    const size_t block =
        normalized_tokens_.empty() ? kWordPieceBlock : std::numeric_limits<size_t>::max();
    for (size_t pos = 0; pos < part.text.size() && !encoding->full();) {
      encoding->normalized.clear();
      pos = normalizer_.normalize(part.text, pos, block, &encoding->normalized);
      encode_normalized(encoding->normalized, encoding);
    }
  }
}

void WordPieceTokenizer::encode_normalized(std::string_view text, Encoding* encoding) const {
  AddedTokens::Splitter splitter(normalized_tokens_, text);
  TextPart part;
  while (!encoding->full() && splitter.next(&part)) {
    if (part.id >= 0) {
      encoding->ids->push_back(part.id);
    } else {
      encode_words(part.text, encoding);
    }
  }
}

void WordPieceTokenizer::encode_words(std::string_view text, Encoding* encoding) const {
  size_t word_start = 0;
  for (size_t pos = 0; pos < text.size() && !encoding->full();) {
    size_t next = pos + 1;
    ByteClass char_class = kByteClasses[static_cast<uint8_t>(text[pos])];
    if (char_class == kNotAsciiByte) {
      next = pos;
      const char32_t c = next_char(text, &next);
      char_class = is_space(c) ? kSpaceByte : is_punctuation(c) ? kPunctuationByte : kWordByte;
    }
    if (char_class != kWordByte) {
      pieces_.encode_word(text.substr(word_start, pos - word_start), &encoding->hashes,
                          encoding->ids);
      if (char_class == kPunctuationByte)
        pieces_.encode_word(text.substr(pos, next - pos), &encoding->hashes, encoding->ids);
      word_start = next;
    }
    pos = next;
  }
  if (!encoding->full())
    pieces_.encode_word(text.substr(word_start), &encoding->hashes, encoding->ids);
}

std::string WordPieceTokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (int32_t id : ids) {
    assert(id >= 0 && id < vocabulary_.size());
    if (is_special_[static_cast<size_t>(id)]) continue;
    std::string_view token = vocabulary_.token(id);
    if (!text.empty() && !spec_.prefix.empty() && token.starts_with(spec_.prefix)) {
      token.remove_prefix(spec_.prefix.size());
    } else if (!text.empty() && !is_joined(token)) {
      text.push_back(' ');
    }
    text.append(token);
  }
  return text;
}

}  // namespace headlane

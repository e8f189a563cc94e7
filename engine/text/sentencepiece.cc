#include "engine/text/sentencepiece.h"

#include <algorithm>
#include <cassert>
#include <unordered_set>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

// Text is given to SentencePiece in blocks, cut at blanks: it takes some 70 bytes of memory for
// each byte, reads all of a block however few ids are wanted, and gathers unknown characters in
// time that grows with the square of their number (16 KB in some 10 ms). No trained piece goes on
// behind a blank, so the pieces are those of the whole. What has no blank for so long is cut where
// it is.
constexpr size_t kSentencePieceBlock = size_t{16} << 10;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Vocabulary make_vocabulary(std::span<const std::byte> bytes, const std::string& where) {
  const std::byte end = bytes.empty() ? std::byte{'\n'} : bytes.back();
  return {bytes, std::count(bytes.begin(), bytes.end(), end), where};
}

// Takes the next block from the front of `text`, which is not empty.
std::string_view take_block(std::string_view* text, bool blank_is_implied) {
  size_t cut = text->size();
  if (text->size() > kSentencePieceBlock) {
    cut = text->rfind(' ', kSentencePieceBlock);
    if (cut == std::string_view::npos || cut == 0) cut = kSentencePieceBlock;
    while ((static_cast<uint8_t>((*text)[cut]) & 0xC0) == 0x80) --cut;
  }
  const std::string_view block = text->substr(0, cut);
  text->remove_prefix(cut);
  // SentencePiece sets a blank before each block.
  if (blank_is_implied && text->starts_with(' ')) text->remove_prefix(1);
  return block;
}

// SentencePiece's sign for a blank, U+2581, turned back.
std::string with_blanks(std::string_view text) {
  constexpr std::string_view kBlank = "\xE2\x96\x81";
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const size_t blank = std::min(text.find(kBlank, pos), text.size());
    out.append(text.substr(pos, blank - pos));
    if (blank < text.size()) out.push_back(' ');
    pos = blank + kBlank.size();
  }
  return out;
}

std::string stripped(std::string_view text) {
  size_t begin = text.size(), end = 0;
  for (size_t pos = 0; pos < text.size();) {
    const size_t start = pos;
    if (is_space(next_char(text, &pos))) continue;
    begin = std::min(begin, start);
    end = pos;
  }
  return begin < end ? std::string(text.substr(begin, end - begin)) : std::string();
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(SentencePieceSpec spec,
                                               const TokenizerTensors& tensors,
                                               const std::string& where)
    : spec_(std::move(spec)),
      vocabulary_(make_vocabulary(tensors.vocab, where)),
      target_vocabulary_(
          tensors.target_vocab.empty()
              ? std::nullopt
              : std::optional(make_vocabulary(tensors.target_vocab, where + ".target"))),
      source_(text_of(tensors.source), where + ".source"),
      // The ids first, with which added_tokens finds the spellings.
      added_tokens_((check_ids(where), added_tokens(where))),
      unk_id_(vocabulary_.find(spec_.unk_token)) {
  if (!tensors.target.empty()) {
    target_.emplace(text_of(tensors.target), where + ".target");
  }
  if (unk_id_ < 0) {
    fail(Status::kBadFile, "%s field \"unk_token\" is \"%s\", not in the vocabulary", where.c_str(),
         printable(spec_.unk_token).c_str());
  }
  is_special_.resize(static_cast<size_t>(target_vocab_size()));
  for (int32_t id : spec_.special_ids) is_special_[static_cast<size_t>(id)] = true;
  index_languages(where);
}

void SentencePieceTokenizer::check_ids(const std::string& where) const {
  const auto check = [&](int32_t id, const char* field, const Vocabulary& vocabulary) {
    if (id < 0 || id >= vocabulary.size()) {
      fail(Status::kBadFile, "%s field \"%s\" has the id %d, but the vocabulary %lld tokens",
           where.c_str(), field, id, static_cast<long long>(vocabulary.size()));
    }
  };
  for (int32_t id : spec_.ids_before) check(id, "ids_before", vocabulary_);
  for (int32_t id : spec_.ids_after) check(id, "ids_after", vocabulary_);
  for (int32_t id : spec_.special_ids) check(id, "special_ids", target_vocabulary());
  std::unordered_set<int32_t> seen;
  for (const AddedToken& added : spec_.added_tokens) {
    check(added.id, "added_tokens", vocabulary_);
    if (!seen.insert(added.id).second) {
      fail(Status::kBadFile, "%s field \"added_tokens\" has the id %d twice", where.c_str(),
           added.id);
    }
  }
  for (const SentencePieceSpec::Language& language : spec_.languages) {
    check(language.id, "languages", vocabulary_);
    check(language.id, "languages", target_vocabulary());
  }
}

// The added tokens of the spec, with the contents to look for.
std::vector<AddedToken> SentencePieceTokenizer::added_tokens(const std::string& where) const {
  std::vector<AddedToken> tokens = spec_.added_tokens;
  std::unordered_set<std::string_view> seen;
  for (AddedToken& token : tokens) {
    const std::string_view content = vocabulary_.token(token.id);
    if (valid_utf8_prefix(content) != content.size() || content.empty() ||
        content.size() > kMaxAddedTokenBytes || !seen.insert(content).second) {
      fail(Status::kBadFile,
           "%s field \"added_tokens\": token %d is empty, too long, not UTF-8 or there twice",
           where.c_str(), token.id);
    }
    token.content = content;
  }
  return tokens;
}

void SentencePieceTokenizer::index_languages(const std::string& where) {
  for (const SentencePieceSpec::Language& language : spec_.languages) {
    if (language.name.empty() || !language_ids_.emplace(language.name, language.id).second) {
      fail(Status::kBadFile, "%s field \"languages\" has the name \"%s\", empty or twice",
           where.c_str(), printable(language.name).c_str());
    }
  }
  if (spec_.language_use == LanguageUse::kNone && !spec_.languages.empty()) {
    fail(Status::kBadFile, "%s field \"languages\" is not empty, but there is no use for them",
         where.c_str());
  }
  if (spec_.source_language.has_value() != (spec_.language_use == LanguageUse::kSource)) {
    fail(Status::kBadFile,
         "%s field \"source_language\" must be there if \"language_use\" is \"source\", else null",
         where.c_str());
  }
  if (!spec_.source_language) return;
  source_language_id_ = language_id(*spec_.source_language);
  if (source_language_id_ < 0) {
    fail(Status::kBadFile, "%s field \"source_language\" is \"%s\", none of its languages",
         where.c_str(), printable(*spec_.source_language).c_str());
  }
}

std::vector<std::string_view> SentencePieceTokenizer::languages() const {
  std::vector<std::string_view> names;
  for (const SentencePieceSpec::Language& language : spec_.languages) {
    names.emplace_back(language.name);
  }
  return names;
}

int32_t SentencePieceTokenizer::language_id(std::string_view name) const {
  const auto it = language_ids_.find(name);
  return it == language_ids_.end() ? -1 : it->second;
}

void SentencePieceTokenizer::append_text(std::string_view text, size_t most_ids,
                                         std::vector<int32_t>* ids) const {
  const size_t max_ids = ids->size() + most_ids;
  if (valid_utf8_prefix(text) == text.size()) {
    encode_text(text, max_ids, ids);
  } else {
    encode_text(replace_invalid_utf8(text), max_ids, ids);
  }
  ids->resize(std::min(ids->size(), max_ids));
}

// Ids are added until there are max_ids, or a block of text more.
void SentencePieceTokenizer::encode_text(std::string_view text, size_t max_ids,
                                         std::vector<int32_t>* ids) const {
  AddedTokens::Splitter splitter(added_tokens_, text);
  TextPart part;
  while (ids->size() < max_ids && splitter.next(&part)) {
    if (part.id >= 0) {
      ids->push_back(part.id);
    } else {
      encode_pieces(encode_text_language(part.text, ids), max_ids, source_, vocabulary_, ids);
    }
  }
}

// Returns what is left of the text behind ">>zh<<".
std::string_view SentencePieceTokenizer::encode_text_language(std::string_view text,
                                                              std::vector<int32_t>* ids) const {
  if (!spec_.text_languages || !text.starts_with(">>")) return text;
  const size_t end = text.find("<<");
  if (end == std::string_view::npos) return text;
  ids->push_back(id_of(text.substr(0, end + 2), vocabulary_));
  return text.substr(end + 2);
}

void SentencePieceTokenizer::encode_target(std::string_view text, int64_t max_len,
                                           std::vector<int32_t>* ids) const {
  const size_t max_ids = ids->size() + static_cast<size_t>(max_len);
  const std::string valid =
      valid_utf8_prefix(text) == text.size() ? "" : replace_invalid_utf8(text);
  encode_pieces(valid.empty() ? text : valid, max_ids, target_ ? *target_ : source_,
                target_vocabulary(), ids);
  ids->resize(std::min(ids->size(), max_ids));
}

void SentencePieceTokenizer::encode_pieces(std::string_view text, size_t max_ids,
                                           const SentencePieceProcessor& processor,
                                           const Vocabulary& vocabulary,
                                           std::vector<int32_t>* ids) const {
  std::vector<std::string> pieces;
  while (!text.empty() && ids->size() < max_ids) {
    pieces.clear();
    processor.encode(take_block(&text, processor.adds_blank()), &pieces);
    for (const std::string& piece : pieces) ids->push_back(id_of(piece, vocabulary));
  }
}

int32_t SentencePieceTokenizer::id_of(std::string_view piece, const Vocabulary& vocabulary) const {
  const int32_t id = vocabulary.find(piece);
  if (id >= 0) return id;
  if (&vocabulary == &vocabulary_) return unk_id_;
  const int32_t unknown = vocabulary.find(spec_.unk_token);
  if (unknown >= 0) return unknown;
  fail(Status::kUnsupported, "the vocabulary of targets has no \"%s\", which the text needs",
       printable(spec_.unk_token).c_str());
}

std::string SentencePieceTokenizer::decode(std::span<const int32_t> ids) const {
  std::vector<std::string_view> pieces;
  for (int32_t id : ids) {
    assert(id >= 0 && id < target_vocab_size());
    if (!is_special_[static_cast<size_t>(id)]) pieces.push_back(target_token(id));
  }
  std::string text = (target_ ? *target_ : source_).decode(pieces);
  // Pieces that the target's model lacks have kept their blanks.
  text = with_blanks(text);
  return stripped(valid_utf8_prefix(text) == text.size() ? text : replace_invalid_utf8(text));
}

}  // namespace headlane

#include "engine/text/pipeline.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/spec_fields.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using json = Json;

size_t bytes_of(const std::vector<std::string>& tokens) {
  return std::accumulate(
      tokens.begin(), tokens.end(), size_t{0},
      [](size_t bytes, const std::string& token) { return bytes + token.size(); });
}

bool has_white_space_alone(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    if (!is_space(next_char(text, &pos))) return false;
  }
  return true;
}

}  // namespace

struct PipelineTokenizer::Encoding {
  std::vector<int32_t>* ids;
  size_t max_ids;  // no more are needed; the last piece may go beyond
  std::unique_ptr<TokenModel::Scratch> scratch;
  const GuardedText* guard = nullptr;  // null: nothing was given by others
  // Guarded tokens that were found in normalized text of the part at hand, of each id.
  std::unordered_map<int32_t, int64_t> n_normalized = {};

  bool full() const { return ids->size() >= max_ids; }
};

PipelineTokenizer::PipelineTokenizer(const json& spec, const TokenizerTensors& tensors,
                                     const std::string& where)
    : vocabulary_(tensors.vocab, read_int(spec, "n_pieces", where, 1, kMaxTokenId), where),
      normalizers_(read_normalizers(json_field(spec, "normalizer", where), tensors.charsmap,
                                    where + " field \"normalizer\"")),
      pre_tokenizers_(read_pre_tokenizers(json_field(spec, "pre_tokenizer", where),
                                          where + " field \"pre_tokenizer\"")),
      model_(read_token_model(json_field(spec, "model", where), tensors, vocabulary_,
                              where + " field \"model\"")),
      raw_tokens_(read_added(spec, false, where)),
      normalized_tokens_(read_added(spec, true, where)),
      ids_before_(read_ids(spec, "ids_before", where, file_limits::kTemplateIds)),
      ids_after_(read_ids(spec, "ids_after", where, file_limits::kTemplateIds)) {
  const json& decoder = json_field(spec, "decoder", where);
  if (!decoder.is_null()) decoders_ = read_decoders(decoder, where + " field \"decoder\"");
  read_specials(spec, where);
}

void PipelineTokenizer::check_id(int32_t id, const char* field, const std::string& where) const {
  if (id < vocabulary_.size()) return;
  fail(Status::kBadFile, "%s field \"%s\" has the id %d, but the vocabulary %lld tokens",
       where.c_str(), field, id, static_cast<long long>(vocabulary_.size()));
}

// The added tokens that are matched in normalized text, or those in raw text, with the content to
// look for.
std::vector<AddedToken> PipelineTokenizer::read_added(const json& spec, bool normalized,
                                                      const std::string& where) const {
  const std::string added_where = where + " field \"added_tokens\":";
  std::vector<AddedToken> tokens;
  std::unordered_set<std::string> seen;
  for (const json& element : read_array(spec, "added_tokens", where, kMaxTokenId)) {
    bool is_normalized = false;
    AddedToken token = read_added_token(element, added_where, &is_normalized);
    check_id(token.id, "added_tokens", where);
    if (is_normalized != normalized) continue;
    NormalText content = {std::string(vocabulary_.token(token.id)), 0};
    const bool well_formed = valid_utf8_prefix(content.text) == content.text.size();
    if (well_formed && normalized) normalize(normalizers_, &content);
    token.content = content.text;
    if (!well_formed || token.content.empty() || token.content.size() > kMaxAddedTokenBytes ||
        !seen.insert(token.content).second) {
      fail(Status::kBadFile, "%s token %d is empty, too long, not UTF-8 or there twice",
           added_where.c_str(), token.id);
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void PipelineTokenizer::read_specials(const json& spec, const std::string& where) {
  is_special_.resize(static_cast<size_t>(vocabulary_.size()));
  is_added_.resize(static_cast<size_t>(vocabulary_.size()));
  for (const int32_t id : ids_before_) check_id(id, "ids_before", where);
  for (const int32_t id : ids_after_) check_id(id, "ids_after", where);
  for (const int32_t id : read_ids(spec, "special_ids", where, kMaxTokenId)) {
    check_id(id, "special_ids", where);
    is_special_[static_cast<size_t>(id)] = true;
  }
  std::unordered_set<int32_t> seen;
  for (const json& element : spec["added_tokens"]) {
    added_ids_.push_back(read_id(element, where));
    if (seen.insert(added_ids_.back()).second) {
      is_added_[static_cast<size_t>(added_ids_.back())] = true;
      continue;
    }
    fail(Status::kBadFile, "%s field \"added_tokens\" has the id %d twice", where.c_str(),
         added_ids_.back());
  }
}

int32_t PipelineTokenizer::find(std::string_view token) const {
  const int32_t id = vocabulary_.find(token);
  if (id >= 0) return id;
  const auto added = std::find_if(added_ids_.begin(), added_ids_.end(),
                                  [&](int32_t other) { return vocabulary_.token(other) == token; });
  return added == added_ids_.end() ? -1 : *added;
}

void PipelineTokenizer::append_text(std::string_view text, size_t most_ids,
                                    std::vector<int32_t>* ids) const {
  Encoding encoding{ids, ids->size() + most_ids, model_->make_scratch()};
  if (valid_utf8_prefix(text) == text.size()) {
    encode_text(text, &encoding);
  } else {
    encode_text(replace_invalid_utf8(text), &encoding);
  }
  ids->resize(std::min(ids->size(), encoding.max_ids));
}

void PipelineTokenizer::encode_text(std::string_view text, Encoding* encoding) const {
  AddedTokens::Splitter splitter(raw_tokens_, text, guard_of(*encoding));
  TextPart part;
  while (!encoding->full() && splitter.next(&part)) {
    if (part.id >= 0) {
      encoding->ids->push_back(part.id);
    } else {
      encode_part(part.text, part.text.data() == text.data(), encoding);
    }
  }
}

void PipelineTokenizer::encode_part(std::string_view text, bool is_first,
                                    Encoding* encoding) const {
  NormalText normal = {std::string(text), 0};
  if (is_first) next_char(text, &normal.first_bytes);
  normalize(normalizers_, &normal);
  encoding->n_normalized.clear();
  AddedTokens::Splitter splitter(normalized_tokens_, normal.text);
  TextPart part;
  while (!encoding->full() && splitter.next(&part)) {
    if (part.id >= 0) {
      check_normalized(part.id, text, encoding);
      encoding->ids->push_back(part.id);
      continue;
    }
    const auto begin = static_cast<size_t>(part.text.data() - normal.text.data());
    encode_normalized(part.text, normal.first_bytes - std::min(begin, normal.first_bytes),
                      encoding);
  }
}

void PipelineTokenizer::encode_normalized(std::string_view text, size_t first_bytes,
                                          Encoding* encoding) const {
  PieceText split = {std::string(text), {{0, text.size()}}, first_bytes};
  for (const std::unique_ptr<PreTokenizer>& step : pre_tokenizers_) {
    step->split(&split);
    check_growth(text.size(), split.text.size());
  }
  for (const TextPiece piece : split.pieces) {
    if (encoding->full()) return;
    encode_piece(split.view(piece), encoding);
  }
}

// What was given is not a token that is guarded, also where the vocabulary has that among its
// pieces: then the piece is cut behind the first character of each place that spells it.
void PipelineTokenizer::encode_piece(std::string_view piece, Encoding* encoding) const {
  const size_t n_before = encoding->ids->size();
  model_->encode(piece, encoding->scratch.get(), encoding->ids);
  if (encoding->guard == nullptr) return;
  std::set<int32_t> guarded;
  for (size_t i = n_before; i < encoding->ids->size(); ++i) {
    const int32_t id = (*encoding->ids)[i];
    if (is_guarded(id, *encoding->guard)) guarded.insert(id);
  }
  std::set<size_t> cuts;
  for (const int32_t id : guarded) {
    // Where the piece does not spell it, it stands for what the vocabulary lacks.
    const std::string_view token = vocabulary_.token(id);
    for (size_t at = piece.find(token); at != std::string_view::npos; at = piece.find(token, at)) {
      next_char(piece, &at);
      if (at < piece.size()) cuts.insert(at);
    }
  }
  if (cuts.empty()) return;
  cuts.insert(piece.size());
  encoding->ids->resize(n_before);
  size_t begin = 0;
  for (const size_t cut : cuts) {
    encode_piece(piece.substr(begin, cut - begin), encoding);
    begin = cut;
  }
}

bool PipelineTokenizer::is_guarded(int32_t id, const GuardedText& guard) const {
  if (is_special_[static_cast<size_t>(id)]) return true;
  if (!is_added_[static_cast<size_t>(id)]) return false;
  const std::string_view token = vocabulary_.token(id);
  if (has_white_space_alone(token)) return false;  // it is plain text to whoever writes it
  return std::any_of(guard.literals.begin(), guard.literals.end(), [&](const std::string& literal) {
    return literal.find(token) != std::string::npos;
  });
}

AddedTokens::MayStand PipelineTokenizer::guard_of(const Encoding& encoding) const {
  if (encoding.guard == nullptr || encoding.guard->marks.empty()) return nullptr;
  return [this, &guard = *encoding.guard](const AddedToken& token, size_t pos) {
    return !guard.is_given(pos, pos + token.content.size()) || !is_guarded(token.id, guard);
  };
}

// In normalized text it is not known any more what was given. So a part that has something given
// may have no more of such a token than what was not given spells.
void PipelineTokenizer::check_normalized(int32_t id, std::string_view part,
                                         Encoding* encoding) const {
  if (encoding->guard == nullptr || !is_guarded(id, *encoding->guard)) return;
  const std::string_view token = vocabulary_.token(id);
  const auto offset = static_cast<size_t>(part.data() - encoding->guard->text.data());
  int64_t n_own = 0;
  for (size_t at = part.find(token); at != std::string_view::npos;
       at = part.find(token, at + token.size())) {
    if (!encoding->guard->is_given(offset + at, offset + at + token.size())) ++n_own;
  }
  if (++encoding->n_normalized[id] <= n_own) return;
  fail(Status::kUnsupported,
       "the messages spell the token \"%s\", which this tokenizer cannot tell from the template's "
       "own",
       printable(token).c_str());
}

void PipelineTokenizer::encode_guarded(const GuardedText& text, std::vector<int32_t>* ids) const {
  Encoding encoding{ids, SIZE_MAX, model_->make_scratch(), &text};
  encode_text(text.text, &encoding);
}

std::string PipelineTokenizer::decode(std::span<const int32_t> ids) const {
  std::vector<std::string> tokens;
  for (const int32_t id : ids) {
    assert(id >= 0 && id < vocabulary_.size());
    if (!is_special_[static_cast<size_t>(id)]) tokens.emplace_back(vocabulary_.token(id));
  }
  if (!decoders_) {
    std::string text;
    for (const std::string& token : tokens) text.append(text.empty() ? "" : " ").append(token);
    return text;
  }
  const size_t text_bytes = bytes_of(tokens);
  for (const std::unique_ptr<TokenDecoder>& step : *decoders_) {
    step->decode(&tokens);
    check_growth(text_bytes, bytes_of(tokens));
  }
  return std::accumulate(tokens.begin(), tokens.end(), std::string());
}

bool PipelineTokenizer::token_bytes(int32_t id, std::string* bytes) const {
  bytes->clear();
  if (!decoders_) return false;
  if (is_special(id)) return true;
  TokenDecoder::Part part = {std::string(vocabulary_.token(id)), false};
  for (const std::unique_ptr<TokenDecoder>& step : *decoders_) {
    std::optional<TokenDecoder::Part> next = step->decode_part(part);
    if (!next) return false;
    part = std::move(*next);
  }
  *bytes = std::move(part.bytes);
  return true;
}

}  // namespace headlane

#include "engine/text/pipeline.h"

#include <algorithm>
#include <cassert>
#include <numeric>
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

}  // namespace

struct PipelineTokenizer::Encoding {
  std::vector<int32_t>* ids;
  size_t max_ids;  // no more are needed; the last piece may go beyond
  std::unique_ptr<TokenModel::Scratch> scratch;

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
  for (const int32_t id : ids_before_) check_id(id, "ids_before", where);
  for (const int32_t id : ids_after_) check_id(id, "ids_after", where);
  for (const int32_t id : read_ids(spec, "special_ids", where, kMaxTokenId)) {
    check_id(id, "special_ids", where);
    is_special_[static_cast<size_t>(id)] = true;
  }
  std::unordered_set<int32_t> seen;
  for (const json& element : spec["added_tokens"]) {
    added_ids_.push_back(read_id(element, where));
    if (seen.insert(added_ids_.back()).second) continue;
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
  AddedTokens::Splitter splitter(raw_tokens_, text);
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
  AddedTokens::Splitter splitter(normalized_tokens_, normal.text);
  TextPart part;
  while (!encoding->full() && splitter.next(&part)) {
    if (part.id >= 0) {
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
    model_->encode(split.view(piece), encoding->scratch.get(), encoding->ids);
  }
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

}  // namespace headlane

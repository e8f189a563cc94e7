#include "engine/text/tokenizer.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <limits>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/pipeline.h"
#include "engine/text/sentencepiece.h"
#include "engine/text/spec_fields.h"
#include "engine/text/wordpiece.h"

namespace headlane {
namespace {

using json = Json;

WordPieceSpec read_wordpiece(const json& spec, const std::string& where) {
  WordPieceSpec out;
  out.n_pieces = read_int(spec, "n_pieces", where, 1, kMaxTokenId);
  out.normalizer.clean_text = json_bool(spec, "clean_text", where);
  out.normalizer.handle_chinese_chars = json_bool(spec, "handle_chinese_chars", where);
  out.normalizer.lowercase = json_bool(spec, "lowercase", where);
  json_field(spec, "strip_accents", where);  // null is a value, but must be there
  out.normalizer.strip_accents = json_bool(spec, "strip_accents", where, out.normalizer.lowercase);
  out.unk_token = json_string(spec, "unk_token", where);
  out.prefix = json_string(spec, "prefix", where);
  out.max_chars_per_word =
      read_int(spec, "max_chars_per_word", where, 1, file_limits::kCharsPerWord);
  out.ids_before = read_ids(spec, "ids_before", where, file_limits::kTemplateIds);
  out.ids_after = read_ids(spec, "ids_after", where, file_limits::kTemplateIds);
  const std::string added_where = where + " field \"added_tokens\":";
  for (const json& added : read_array(spec, "added_tokens", where, kMaxTokenId)) {
    WordPieceSpec::Added read;
    read.token = read_added_token(added, added_where, &read.normalized);
    out.added_tokens.push_back(std::move(read));
  }
  return out;
}

LanguageUse read_language_use(const json& spec, const std::string& where) {
  const std::string use = json_string(spec, "language_use", where);
  if (use == "none") return LanguageUse::kNone;
  if (use == "source") return LanguageUse::kSource;
  if (use == "target_in_text") return LanguageUse::kTargetInText;
  fail(Status::kBadFile,
       "%s field \"language_use\" is \"%s\", not \"none\", \"source\" or \"target_in_text\"",
       where.c_str(), printable(use).c_str());
}

SentencePieceSpec read_sentencepiece(const json& spec, const std::string& where) {
  SentencePieceSpec out;
  out.unk_token = json_string(spec, "unk_token", where);
  out.ids_before = read_ids(spec, "ids_before", where, file_limits::kTemplateIds);
  out.ids_after = read_ids(spec, "ids_after", where, file_limits::kTemplateIds);
  const std::string added_where = where + " field \"added_tokens\":";
  for (const json& added : read_array(spec, "added_tokens", where, kMaxTokenId)) {
    bool normalized = false;
    out.added_tokens.push_back(read_added_token(added, added_where, &normalized));
    if (normalized) {
      fail(Status::kBadFile, "%s \"normalized\" is true, which SentencePiece has no tokens for",
           added_where.c_str());
    }
  }
  out.special_ids = read_ids(spec, "special_ids", where, kMaxTokenId);
  out.language_use = read_language_use(spec, where);
  const std::string languages_where = where + " field \"languages\":";
  for (const json& language : read_array(spec, "languages", where, file_limits::kLanguages)) {
    out.languages.push_back(
        {json_string(language, "name", languages_where), read_id(language, languages_where)});
  }
  json_field(spec, "source_language", where);  // null is a value, but must be there
  if (json_has(spec, "source_language", where)) {
    out.source_language = json_string(spec, "source_language", where);
  }
  out.language_after = json_bool(spec, "language_after", where);
  out.text_languages = json_bool(spec, "text_languages", where);
  return out;
}

constexpr size_t kAllIds = std::numeric_limits<int32_t>::max();

TextFrame read_frame(const json& spec, int64_t vocab_size, const std::string& where) {
  TextFrame out;
  out.before = read_ids(spec, "ids_before", where, file_limits::kTemplateIds);
  out.after = read_ids(spec, "ids_after", where, file_limits::kTemplateIds);
  if (json_has(spec, "pair", where)) {
    out.pair = read_pair_template(spec, vocab_size, where);
  } else if (json_string(spec, "type", where) == "wordpiece") {
    out.pair = bert_pair(out.before, out.after);
  }
  const std::string side = json_string(spec, "truncation_side", where, "right");
  if (side != "left" && side != "right") {
    fail(Status::kBadFile, "%s field \"truncation_side\" is \"%s\", not \"left\" or \"right\"",
         where.c_str(), printable(side).c_str());
  }
  out.cuts_left = side == "left";
  return out;
}

using MadeTokenizer = std::unique_ptr<Tokenizer>;

MadeTokenizer make_wordpiece(const json& spec, const TokenizerTensors& tensors,
                             const std::string& where) {
  return std::make_unique<WordPieceTokenizer>(read_wordpiece(spec, where), tensors.vocab, where);
}

MadeTokenizer make_sentencepiece(const json& spec, const TokenizerTensors& tensors,
                                 const std::string& where) {
  return std::make_unique<SentencePieceTokenizer>(read_sentencepiece(spec, where), tensors, where);
}

MadeTokenizer make_pipeline(const json& spec, const TokenizerTensors& tensors,
                            const std::string& where) {
  return std::make_unique<PipelineTokenizer>(spec, tensors, where);
}

struct TokenizerKind {
  std::string_view type;
  MadeTokenizer (*make)(const json& spec, const TokenizerTensors& tensors,
                        const std::string& where);
};
constexpr TokenizerKind kTokenizerKinds[] = {{"wordpiece", make_wordpiece},
                                             {"sentencepiece", make_sentencepiece},
                                             {"pipeline", make_pipeline}};

}  // namespace

TokenizerTensors TokenizerBytes::views() const {
  TokenizerTensors views;
  for (size_t i = 0; i < std::size(kMembers); ++i) {
    views.*TokenizerTensors::kMembers[i].bytes = std::as_bytes(std::span(this->*kMembers[i].bytes));
  }
  return views;
}

// Appends the ids of the text alone, of which at most `most_ids` are left.
void Tokenizer::append_cut(std::string_view text, size_t most_ids,
                           std::vector<int32_t>* ids) const {
  if (!frame_.cuts_left) return append_text(text, most_ids, ids);
  std::vector<int32_t> whole;
  append_text(text, kAllIds, &whole);
  const size_t n = std::min(whole.size(), most_ids);
  ids->insert(ids->end(), whole.end() - static_cast<ptrdiff_t>(n), whole.end());
}

void Tokenizer::encode_with(std::string_view text, int64_t max_len, const TextLanguages& languages,
                            std::vector<int32_t>* ids) const {
  const int32_t language = id_of_text(languages);
  const int64_t n_special = n_special_with(languages);
  assert(max_len >= n_special);
  const bool in_source = language_use() == LanguageUse::kSource;
  if (in_source && !language_is_after()) ids->push_back(language);
  ids->insert(ids->end(), frame_.before.begin(), frame_.before.end());
  if (!in_source && language >= 0) ids->push_back(language);
  append_cut(text, static_cast<size_t>(std::max<int64_t>(max_len - n_special, 0)), ids);
  ids->insert(ids->end(), frame_.after.begin(), frame_.after.end());
  if (in_source && language_is_after()) ids->push_back(language);
}

void Tokenizer::encode_target(std::string_view /*text*/, int64_t /*max_len*/,
                              std::vector<int32_t>* /*ids*/) const {
  fail(Status::kUnsupported, "the model's tokenizer has no targets");
}

void Tokenizer::encode_guarded(const GuardedText& /*text*/, std::vector<int32_t>* /*ids*/) const {
  fail(Status::kUnsupported, "the model's tokenizer is of a kind that takes no conversations");
}

int64_t Tokenizer::n_special_with(const TextLanguages& languages) const {
  return std::ssize(frame_.before) + std::ssize(frame_.after) +
         (id_of_text(languages) >= 0 ? 1 : 0);
}

void Tokenizer::encode_pair(std::string_view first, std::string_view second,
                            const PairOptions& options, std::vector<int32_t>* ids,
                            std::vector<int32_t>* types) const {
  const int32_t language = id_of_text(options.languages);
  const int64_t n_special = n_special_of_pair(options.languages);
  assert(options.max_len >= n_special);
  // All ids of both: which text is cut, and where, depends on how long both are.
  std::vector<int32_t> ids_of[2];
  append_text(first, kAllIds, &ids_of[0]);
  append_text(second, kAllIds, &ids_of[1]);
  cut_pair({static_cast<size_t>(std::max<int64_t>(options.max_len - n_special, 0)),
            options.truncation, frame_.cuts_left, frame_.pair.first_keeps_odd},
           &ids_of[0], &ids_of[1]);
  if (language >= 0 && !language_is_after()) ids->push_back(language);
  types->resize(ids->size(), 0);
  for (const PairTemplate::Item& item : frame_.pair.items) {
    if (item.kind == PairTemplate::Kind::kToken) {
      ids->push_back(item.id);
    } else {
      const auto& text = ids_of[item.kind == PairTemplate::Kind::kFirst ? 0 : 1];
      ids->insert(ids->end(), text.begin(), text.end());
    }
    types->resize(ids->size(), item.type);
  }
  if (language >= 0 && language_is_after()) ids->push_back(language);
  types->resize(ids->size(), 0);
}

void Tokenizer::check_pair_types() const {
  if (frame_.pair.why_no_types.empty()) return;
  fail(Status::kUnsupported, "the model's tokenizer does not say the types of a pair's tokens: %s",
       frame_.pair.why_no_types.c_str());
}

int64_t Tokenizer::n_special_of_pair(const TextLanguages& languages) const {
  const PairTemplate& pair = frame_.pair;
  if (pair.items.empty()) {
    fail(Status::kUnsupported, "the model's tokenizer does not take pairs of texts%s%s",
         pair.why_not.empty() ? "" : ": ", pair.why_not.c_str());
  }
  return pair.n_special() + (id_of_text(languages) >= 0 ? 1 : 0);
}

// The token that the text gets for them; -1: none.
int32_t Tokenizer::id_of_text(const TextLanguages& languages) const {
  const auto id_of = [&](std::string_view name) {
    const int32_t id = name.empty() ? -1 : language_id(name);
    if (id < 0 && !name.empty()) {
      fail(Status::kInvalidArgument, "the language \"%s\" is none of the model's",
           printable(name).c_str());
    }
    return id;
  };
  const LanguageUse use = language_use();
  const bool useless = use == LanguageUse::kNone
                           ? !languages.source.empty() || !languages.target.empty()
                           : use == LanguageUse::kTargetInText && !languages.source.empty();
  if (useless) {
    fail(Status::kUnsupported, "the model has no tokens for %s languages",
         use == LanguageUse::kNone ? "any" : "source");
  }
  const int32_t source = id_of(languages.source), target = id_of(languages.target);
  if (use != LanguageUse::kSource) return target;
  return source >= 0 ? source : default_language_id();
}

std::unique_ptr<Tokenizer> make_tokenizer(const json& spec, const TokenizerTensors& tensors,
                                          const std::string& where) {
  const std::string tokenizer = where + ": tokenizer";
  const std::string type = json_string(spec, "type", tokenizer);
  std::string known;
  for (const TokenizerKind& kind : kTokenizerKinds) {
    if (type == kind.type) {
      MadeTokenizer made = kind.make(spec, tensors, tokenizer);
      made->frame_ = read_frame(spec, made->vocab_size(), tokenizer);
      return made;
    }
    known += (known.empty() ? "\"" : ", \"") + std::string(kind.type) + "\"";
  }
  fail(Status::kBadFile, "%s field \"type\" is \"%s\", not one of: %s", tokenizer.c_str(),
       printable(type).c_str(), known.c_str());
}

}  // namespace headlane

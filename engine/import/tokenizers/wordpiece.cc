// WordPiece tokenizers of Hugging Face folders. What the engine would do otherwise than the
// `tokenizers` library is refused here, and what transformers 4 and 5 do not agree on: ids are the
// same, or there is an error.
//
// A folder's class says which files count. BERT's classes take the vocabulary and the added tokens
// of the files, and all settings from tokenizer_config.json, whatever tokenizer.json says;
// PreTrainedTokenizerFast takes tokenizer.json as it is. Both then add the special tokens that the
// other files name.
#include <algorithm>
#include <cinttypes>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/file/limits.h"
#include "engine/import/source/json_file.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "engine/import/tokenizers/tokens.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using json = Json;

// The "type" of an object such as "normalizer"; "null" for null.
std::string type_of(const json& file, const char* key, const std::string& where) {
  if (!json_has(file, key, where)) return "null";
  return json_string(file[key], "type", where + " " + key);
}

void read_normalizer(const json& file, const std::string& path, json* spec) {
  const std::string type = type_of(file, "normalizer", path);
  const bool bert = type == "BertNormalizer";
  if (!bert && type != "null") unsupported(path, "normalizer", type);
  const json& normalizer = json_field(file, "normalizer", path);
  const std::string where = path + " normalizer";
  for (const char* key : {"clean_text", "handle_chinese_chars", "lowercase"}) {
    (*spec)[key] = bert && json_bool(normalizer, key, where);
  }
  (*spec)["strip_accents"] = nullptr;
  if (bert && json_has(normalizer, "strip_accents", where)) {
    (*spec)["strip_accents"] = json_bool(normalizer, "strip_accents", where);
  }
}

// The "single" template of a TemplateProcessing: special tokens around one sequence, all of type 0.
void read_template(const json& processor, const std::string& where, json* spec) {
  const json& single = json_field(processor, "single", where);
  const json& special = json_field(processor, "special_tokens", where);
  json before = json::array(), after = json::array();
  json* ids = &before;
  for (const json& item : single.is_array() ? single : json::array()) {
    const bool sequence = json_has(item, "Sequence", where);
    const char* const kind = sequence ? "Sequence" : "SpecialToken";
    const json& element = json_field(item, kind, where);
    const std::string id = json_string(element, "id", where);
    const bool second = sequence && (id != "A" || ids == &after);
    if (second || json_int(element, "type_id", where) != 0) {
      unsupported(where, "single", item.dump());
    }
    if (sequence) {
      ids = &after;
      continue;
    }
    const json& token = json_field(special, id.c_str(), where);
    for (const json& value : json_field(token, "ids", where)) ids->push_back(value);
  }
  if (ids == &before) unsupported(where, "single", "a template without the sequence A");
  (*spec)["ids_before"] = before;
  (*spec)["ids_after"] = after;
}

void read_post_processor(const json& file, const std::string& path, json* spec) {
  const std::string where = path + " post_processor";
  const std::string type = type_of(file, "post_processor", path);
  if (type == "TemplateProcessing") {
    read_template(file["post_processor"], where, spec);
    return;
  }
  if (type != "BertProcessing") unsupported(path, "post_processor", type);
  for (const auto& [from, to] : {std::pair{"cls", "ids_before"}, {"sep", "ids_after"}}) {
    const json& pair = json_field(file["post_processor"], from, where);
    if (!pair.is_array() || pair.size() != 2) {
      fail(Status::kBadFile, "%s field \"%s\" is not a token and its id", where.c_str(), from);
    }
    (*spec)[to] = json::array({pair[1]});
  }
}

// The settings that tokenizer.json gives.
json read_settings(const TokenizerFiles& files, const json& file, const std::string& path) {
  const json& model = json_field(file, "model", path);
  const std::string where = path + " model";
  json spec = {{"unk_token", json_string(model, "unk_token", where)},
               {"prefix", json_string(model, "continuing_subword_prefix", where)},
               {"max_chars_per_word", json_int(model, "max_input_chars_per_word", where)}};
  const std::string pre_tokenizer = type_of(file, "pre_tokenizer", path);
  if (pre_tokenizer != "BertPreTokenizer") unsupported(path, "pre_tokenizer", pre_tokenizer);
  read_normalizer(file, path, &spec);
  read_post_processor(file, path, &spec);
  const bool side_said = json_has(files.config(), "truncation_side", files.config_path());
  if (!side_said && json_has(file, "truncation", path) &&
      json_string(file["truncation"], "direction", path, "Right") != "Right") {
    unsupported(path, "truncation", "truncation from the left");
  }
  return spec;
}

// The elements of tokenizer.json's "added_tokens", by their ids.
std::vector<NamedToken> read_added(const json& file, const std::string& path) {
  std::vector<NamedToken> added;
  for (const json& element : json_field(file, "added_tokens", path)) {
    NamedToken token;
    token.id = json_int(element, "id", path);
    token.content = json_string(element, "content", path);
    for (const char* key : {"single_word", "lstrip", "rstrip", "normalized"}) {
      token.flags[key] =
          json_bool(element, key, path + " added token \"" + printable(token.content) + "\"");
    }
    added.push_back(std::move(token));
  }
  std::stable_sort(added.begin(), added.end(),
                   [](const NamedToken& a, const NamedToken& b) { return a.id < b.id; });
  return added;
}

class Reader {
 public:
  Reader(const TokenizerFiles& files, bool bert)
      : files_(files),
        bert_(bert),
        path_(files.path(files.has_file("tokenizer.json") ? "tokenizer.json" : "vocab.txt")),
        tokens_(path_) {}

  ImportedTokenizer read() {
    json file;
    std::vector<NamedToken> in_file;
    if (files_.has_file("tokenizer.json")) {
      file = read_json_file(path_);
      refuse_other_models(files_, file);
      const json& vocab = json_field(json_field(file, "model", path_), "vocab", path_ + " model");
      tokens_.append_all(vocab, path_ + " model field \"vocab\"", true);
      in_file = read_added(file, path_);
    } else {
      read_vocab_txt();
    }
    const int64_t n_pieces = tokens_.size();
    for (const NamedToken& token : in_file) add(token);
    add_listed();
    add_specials();
    json spec = file.is_null() ? json() : read_settings(files_, file, path_);
    if (bert_) {
      json own = bert_settings();
      if (!file.is_null()) {
        check_settings(spec, own, !json_has(file, "normalizer", path_));
        check_normalized(spec, own);
        check_added(in_file);
      }
      spec = std::move(own);
    }
    spec["type"] = "wordpiece";
    spec["n_pieces"] = n_pieces;
    spec["added_tokens"] = tokens_.added();
    ImportedTokenizer imported;
    imported.spec = std::move(spec);
    imported.vocab = tokens_.text();
    return checked(std::move(imported), path_);
  }

 private:
  // As both versions of transformers read it; where they differ, it is refused.
  void read_vocab_txt() {
    const std::string text = read_whole_file(path_, file_limits::kJsonFileBytes);
    std::string_view rest = text;
    while (!rest.empty()) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      const size_t length = length_before_spaces(line);
      if (line.find('\r') != std::string_view::npos || (length > 0 && length < line.size())) {
        fail(Status::kBadFile,
             "%s: line %" PRId64
             " has a carriage return within it or white space at its end, which versions of "
             "transformers read in different ways; remove it",
             path_.c_str(), tokens_.size() + 1);
      }
      tokens_.append(std::string(line.substr(0, length)));
    }
  }

  static size_t length_before_spaces(std::string_view line) {
    if (valid_utf8_prefix(line) != line.size()) return line.size();  // append refuses it
    size_t length = 0;
    for (size_t pos = 0; pos < line.size();) {
      if (!is_space(next_char(line, &pos))) length = pos;
    }
    return length;
  }

  // A token that is in the vocabulary keeps its id there; another one gets the id that follows.
  void add(const NamedToken& token) {
    if (tokens_.has(token.content)) {
      const int64_t id = tokens_.id(token.content);
      tokens_.add(token.content, token.id < 0 ? id : token.id, token.flags);
      return;
    }
    if (tokens_.n_different() != tokens_.size()) {
      fail(
          Status::kUnsupported,
          "%s: the vocabulary lacks ids or has a token twice, so that the added token \"%s\" would "
          "get the id of another token in transformers",
          path_.c_str(), printable(token.content).c_str());
    }
    if (token.id >= 0 && token.id != tokens_.size()) {
      fail(Status::kBadFile,
           "%s: the added token \"%s\" has the id %" PRId64 ", but the next id is %" PRId64,
           path_.c_str(), printable(token.content).c_str(), token.id, tokens_.size());
    }
    tokens_.add(token.content, tokens_.size(), token.flags);
  }

  bool is_added(const NamedToken& token) const {
    return tokens_.has(token.content) && tokens_.is_added(tokens_.id(token.content));
  }

  void add_once(const NamedToken& token) {
    if (!is_added(token)) add(token);
  }

  // One that tokenizer.json or a list of added tokens has keeps the flags that it has there.
  void add_special(const NamedToken& token) {
    const bool is_new = !is_added(token);
    add_once(token);
    if (is_new) {
      specials_.insert(token.content);
    } else if (specials_.contains(token.content)) {
      refuse_other_flags(token);
    }
  }

  // Those of added_tokens_decoder or added_tokens.json.
  void add_listed() {
    for (const NamedToken& token : files_.added()) {
      if (is_added(token) && files_.lists_added()) refuse_other_flags(token);
      add_once(token);
    }
  }

  void refuse_other_flags(const NamedToken& token) const {
    const json& entry = tokens_.added_entry(tokens_.id(token.content));
    for (const auto& [key, flag] : token.flags.items()) {
      if (entry[key] == flag) continue;
      fail(Status::kUnsupported,
           "%s: two of the folder's files or fields name the token \"%s\", with another \"%s\": "
           "versions of transformers differ in which they take; make them equal",
           files_.dir().c_str(), printable(token.content).c_str(), key.c_str());
    }
  }

  void add_specials() {
    for (const char* key : TokenizerFiles::kNames) {
      const std::optional<NamedToken> token = files_.special(key, default_of(key));
      // One that the table of words has no row for cannot be meant: transformers fails at it.
      const bool has_row =
          files_.model_vocab_size() < 0 || tokens_.size() < files_.model_vocab_size();
      if (token && (has_row || tokens_.has(token->content))) add_special(*token);
    }
    add_more_specials();
    for (const NamedToken& token : files_.other_names()) {
      if (is_added(token)) continue;
      fail(
          Status::kUnsupported,
          "%s names the special token \"%s\" in a field that only transformers 5 obeys; list it in "
          "\"additional_special_tokens\" or remove it",
          files_.config_path().c_str(), printable(token.content).c_str());
    }
  }

  void add_more_specials() {
    const json& config = files_.config();
    const bool named = config.contains("extra_special_tokens") &&
                       config["extra_special_tokens"].is_object();  // has no order here
    int64_t n_new = 0;
    for (const NamedToken& token : files_.more_specials()) {
      n_new += !tokens_.has(token.content);
      if (named && n_new > 1) {
        unsupported(files_.config_path(), "extra_special_tokens",
                    "more than one token by name that is not in the vocabulary");
      }
      add_special(token);
    }
  }

  const char* default_of(const std::string& key) const {
    constexpr std::pair<std::string_view, const char*> kDefaults[] = {{"unk_token", "[UNK]"},
                                                                      {"sep_token", "[SEP]"},
                                                                      {"pad_token", "[PAD]"},
                                                                      {"cls_token", "[CLS]"},
                                                                      {"mask_token", "[MASK]"}};
    for (const auto& [name, token] : kDefaults) {
      if (bert_ && key == name) return token;
    }
    return nullptr;
  }

  std::string bert_token(const char* key) const {
    const std::optional<NamedToken> token = files_.special(key, default_of(key));
    if (token) return token->content;
    fail(Status::kUnsupported, "%s: \"%s\" is null, but BERT's tokenizer needs it",
         files_.dir().c_str(), key);
  }

  // What BERT's classes have, which look at tokenizer_config.json.
  json bert_settings() const {
    const json& config = files_.config();
    const std::string& path = files_.config_path();
    json spec = {{"clean_text", true},
                 {"prefix", "##"},
                 {"max_chars_per_word", 100},
                 {"strip_accents", nullptr}};
    spec["lowercase"] = json_bool(config, "do_lower_case", path, true);
    spec["handle_chinese_chars"] = json_bool(config, "tokenize_chinese_chars", path, true);
    if (json_has(config, "strip_accents", path)) {
      spec["strip_accents"] = json_bool(config, "strip_accents", path);
    }
    spec["unk_token"] = bert_token("unk_token");
    spec["ids_before"] = json::array({tokens_.id(bert_token("cls_token"))});
    spec["ids_after"] = json::array({tokens_.id(bert_token("sep_token"))});
    return spec;
  }

  // Settings in which transformers 4 follows tokenizer.json, and 5 does not.
  void check_settings(const json& in_file, const json& own, bool no_normalizer) const {
    for (const char* key :
         {"clean_text", "unk_token", "prefix", "max_chars_per_word", "ids_before", "ids_after"}) {
      const bool is_unsaid = no_normalizer && key == std::string_view("clean_text");
      if (is_unsaid || in_file[key] == own[key]) continue;
      fail(Status::kUnsupported,
           "%s: its \"%s\" is %s, but for the class that the folder's tokenizer has it is %s: "
           "transformers 4 obeys the first and transformers 5 the second. If tokenizer.json is "
           "right, set \"tokenizer_class\" to \"PreTrainedTokenizerFast\" in tokenizer_config.json",
           path_.c_str(), key, printable(in_file[key].dump()).c_str(),
           printable(own[key].dump()).c_str());
    }
  }

  // transformers 4 puts BERT's normalizer in the place of tokenizer.json's, and leaves the tokens
  // that it looks for in normalized text as the first one had made them.
  void check_normalized(const json& in_file, const json& own) const {
    const bool same = in_file["lowercase"] == own["lowercase"] &&
                      in_file["strip_accents"] == own["strip_accents"] &&
                      in_file["handle_chinese_chars"] == own["handle_chinese_chars"];
    for (const json& entry : tokens_.added()) {
      if (same || !entry["normalized"].get<bool>()) continue;
      fail(Status::kUnsupported,
           "%s: its normalizer is not the one that tokenizer_config.json describes, and the added "
           "token \"%s\" is \"normalized\": versions of transformers find it in different texts; "
           "give both files the same do_lower_case (lowercase), strip_accents and "
           "tokenize_chinese_chars (handle_chinese_chars)",
           path_.c_str(), printable(tokens_.token(entry["id"].get<int64_t>())).c_str());
    }
  }

  // Beside added_tokens_decoder, transformers 4 takes tokenizer.json's added tokens too, 5 does
  // not.
  void check_added(const std::vector<NamedToken>& in_file) const {
    if (!files_.lists_added()) return;
    std::vector<NamedToken> named = files_.added();
    for (const char* key : TokenizerFiles::kNames) {
      const std::optional<NamedToken> token = files_.special(key, default_of(key));
      if (token) named.push_back(*token);
    }
    for (NamedToken& token : files_.more_specials()) named.push_back(std::move(token));
    for (const NamedToken& token : in_file) {
      if (std::any_of(named.begin(), named.end(),
                      [&](const NamedToken& other) { return other.content == token.content; })) {
        continue;
      }
      fail(Status::kUnsupported,
           "%s: the added token \"%s\" is not in \"added_tokens_decoder\" of %s: transformers 4 "
           "takes it and transformers 5 does not; list it in both files or in neither",
           path_.c_str(), printable(token.content).c_str(), files_.config_path().c_str());
    }
  }

  const TokenizerFiles& files_;
  bool bert_;
  std::string path_;
  Tokens tokens_;
  std::set<std::string> specials_;  // the added tokens that only fields of special tokens name
};

}  // namespace

std::string tokenizer_json_model(const json& file, const std::string& path) {
  const json& model = json_field(file, "model", path);
  const std::string where = path + " model";
  if (json_has(model, "type", where)) return json_string(model, "type", where);
  // Before tokenizers 0.9 the fields alone told.
  if (json_has(model, "merges", where)) return "BPE";
  if (json_has(model, "continuing_subword_prefix", where)) return "WordPiece";
  return json_has(model, "unk_id", where) ? "Unigram" : "without a type";
}

ImportedTokenizer import_wordpiece(const TokenizerFiles& files, bool bert) {
  return Reader(files, bert).read();
}

}  // namespace headlane

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
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/file/limits.h"
#include "engine/import/source/json_file.h"
#include "engine/import/tokenizers/folder_tokens.h"
#include "engine/import/tokenizers/json_parts.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "engine/import/tokenizers/tokens.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using json = Json;

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

// The settings that tokenizer.json gives.
json read_settings(const json& file, const std::string& path) {
  const json& model = json_field(file, "model", path);
  const std::string where = path + " model";
  json spec = {{"unk_token", json_string(model, "unk_token", where)},
               {"prefix", json_string(model, "continuing_subword_prefix", where)},
               {"max_chars_per_word", json_int(model, "max_input_chars_per_word", where)}};
  const std::string pre_tokenizer = type_of(file, "pre_tokenizer", path);
  if (pre_tokenizer != "BertPreTokenizer") unsupported(path, "pre_tokenizer", pre_tokenizer);
  read_normalizer(file, path, &spec);
  read_post_processor(file, path, &spec);
  return spec;
}

class WordPieceReader {
 public:
  WordPieceReader(const TokenizerFiles& files, const TokenizerClass* tokenizer_class)
      : files_(files),
        class_(tokenizer_class),
        path_(files.path(files.has_file("tokenizer.json") ? "tokenizer.json" : "vocab.txt")),
        folder_(files, path_, class_ != nullptr ? class_->tokens : ClassTokens()),
        tokens_(folder_.tokens()) {}

  ImportedTokenizer read() {
    json file;
    std::vector<NamedToken> in_file;
    if (files_.has_file("tokenizer.json")) {
      file = read_json_file(path_);
      refuse_other_models(files_, file);
      const json& vocab = json_field(json_field(file, "model", path_), "vocab", path_ + " model");
      tokens_.append_all(vocab, path_ + " model field \"vocab\"", true);
      in_file = read_added_tokens(file, path_);
      folder_.read_padding(file);
    } else {
      read_vocab_txt();
    }
    const int64_t n_pieces = tokens_.size();
    folder_.add_all(in_file);
    json spec = file.is_null() ? json() : read_settings(file, path_);
    if (class_ != nullptr) {
      json own = bert_settings();
      if (!file.is_null()) {
        take_common_pair(spec, &own);
        check_settings(spec, own, !json_has(file, "normalizer", path_));
        check_normalized(spec, own);
        folder_.check_listed(in_file);
      }
      spec = std::move(own);
    }
    settle_types(files_, &spec);
    // Files from which this field is left out open in versions that do not know it.
    if (is_bert_pair(spec)) spec.erase("pair");
    read_truncation_side(files_, file, path_, &spec);
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

  // BERT's classes, which look at tokenizer_config.json, have these.
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
    spec["unk_token"] = folder_.special("unk_token");
    spec["ids_before"] = json::array({tokens_.id(folder_.special("cls_token"))});
    spec["ids_after"] = json::array({tokens_.id(folder_.special("sep_token"))});
    const json &before = spec["ids_before"][0], &after = spec["ids_after"][0];
    spec["pair"] = class_->roberta_pairs ? roberta_pair(before, after) : bert_pair(before, after);
    return spec;
  }

  // Leaves of the class's template what tokenizer.json's is too.
  void take_common_pair(json in_file, json* own) const {
    settle_types(files_, &in_file);
    settle_types(files_, own);
    if (in_file["pair"] == (*own)["pair"]) return;
    const bool same_ids = untyped(in_file["pair"]) == untyped((*own)["pair"]);
    (*own)[same_ids ? "no_types" : "pair"] = kTwoPairs;
  }

  static bool is_bert_pair(const json& spec) {
    return !spec.contains("no_types") && spec["ids_before"].size() == 1 &&
           spec["ids_after"].size() == 1 &&
           spec["pair"] == bert_pair(spec["ids_before"][0], spec["ids_after"][0]);
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

  const TokenizerFiles& files_;
  const TokenizerClass* class_;
  std::string path_;
  FolderTokens folder_;
  Tokens& tokens_;
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

bool has_bert_steps(const json& file, const std::string& path) {
  const std::string normalizer = type_of(file, "normalizer", path);
  return (normalizer == "BertNormalizer" || normalizer == "null") &&
         type_of(file, "pre_tokenizer", path) == "BertPreTokenizer";
}

ImportedTokenizer import_wordpiece(const TokenizerFiles& files,
                                   const TokenizerClass* tokenizer_class) {
  return WordPieceReader(files, tokenizer_class).read();
}

}  // namespace headlane

#include "engine/import/tokenizers/tokenizer_files.h"

#include <algorithm>
#include <cctype>
#include <cinttypes>
#include <iterator>
#include <map>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/source/json_file.h"
#include "engine/import/tokenizers/tokens.h"

namespace headlane {
namespace {

using json = Json;

constexpr const char* kFiles[] = {
    "tokenizer_config.json",   "tokenizer.json", "vocab.txt",       "vocab.json", "merges.txt",
    "sentencepiece.bpe.model", "spiece.model",   "tokenizer.model", "source.spm"};

// The classes of families, of those that Headlane reads.
constexpr std::pair<std::string_view, const char*> kFamilies[] = {
    {"bert", "BertTokenizer"},
    {"distilbert", "BertTokenizer"},
    {"electra", "BertTokenizer"},
    {"mpnet", "MPNetTokenizer"},
    {"roberta", "RobertaTokenizer"},
    {"xlm-roberta", "XLMRobertaTokenizer"},
    {"gpt2", "GPT2Tokenizer"},
    {"camembert", "CamembertTokenizer"},
    {"llama", "LlamaTokenizer"},
    {"mistral", "LlamaTokenizer"},
    {"phi3", "LlamaTokenizer"},
    {"qwen2", "Qwen2Tokenizer"},
    {"qwen3", "Qwen2Tokenizer"},
    {"qwen2_moe", "Qwen2Tokenizer"},
    {"qwen3_moe", "Qwen2Tokenizer"},
    {"mixtral", "LlamaTokenizer"},
    {"gemma", "GemmaTokenizer"},
    {"gemma2", "GemmaTokenizer"},
    {"gemma3_text", "GemmaTokenizer"},
    {"gemma3", "GemmaTokenizer"},
    {"bloom", "BloomTokenizer"},
    {"bart", "BartTokenizer"},
    {"nomic_bert", "BertTokenizer"},
    {"gte", "XLMRobertaTokenizer"},
    {"jina_embeddings_v3", "XLMRobertaTokenizer"}};

json read_object(const std::string& path) {
  json file = read_json_file_if_present(path).value_or(json::object());
  if (!file.is_object()) fail(Status::kBadFile, "%s is not a JSON object", path.c_str());
  return file;
}

int64_t id_of(const std::string& digits, const std::string& path) {
  const bool number =
      !digits.empty() && digits.size() < 10 &&
      std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c); });
  if (!number) {
    fail(Status::kBadFile, "%s field \"added_tokens_decoder\" has the id \"%s\"", path.c_str(),
         printable(digits).c_str());
  }
  return std::stoll(digits);
}

bool same_contents(const std::vector<NamedToken>& a, const std::vector<NamedToken>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(),
      [](const NamedToken& x, const NamedToken& y) { return x.content == y.content; });
}

}  // namespace

NamedToken read_named_token(const json& value, const std::string& where, bool special) {
  NamedToken token;
  token.flags = {
      {"single_word", false}, {"lstrip", false}, {"rstrip", false}, {"normalized", false}};
  if (value.is_string()) {
    token.content = value.text();
    token.special = special;
    token.plain = true;
    return token;
  }
  if (!value.is_object()) {
    fail(Status::kBadFile, "%s is %s, neither a token nor an object that describes one",
         where.c_str(), printable(value.dump()).c_str());
  }
  token.content = json_string(value, "content", where);
  for (const char* key : {"single_word", "lstrip", "rstrip"}) {
    token.flags[key] = json_bool(value, key, where, false);
  }
  token.special = json_bool(value, "special", where, special);
  token.flags["normalized"] = json_bool(value, "normalized", where, !token.special);
  return token;
}

TokenizerFiles::TokenizerFiles(const std::string& dir)
    : dir_(dir),
      config_path_(dir + "/tokenizer_config.json"),
      map_path_(dir + "/special_tokens_map.json"),
      config_(read_object(config_path_)),
      map_(read_object(map_path_)) {
  const json model_config = read_object(path("config.json"));
  model_type_ = json_string(model_config, "model_type", path("config.json"), "");
  model_vocab_size_ = json_int(model_config, "vocab_size", path("config.json"), -1);
  lists_added_ = json_has(config_, "added_tokens_decoder", config_path_);
  read_class(model_config);
  refuse_fields();
}

bool TokenizerFiles::has_file(const char* file) const { return file_exists(path(file)); }

bool TokenizerFiles::has_any_file() const {
  return std::any_of(std::begin(kFiles), std::end(kFiles),
                     [&](const char* file) { return has_file(file); });
}

// tokenizer_config.json's class counts before config.json's.
void TokenizerFiles::read_class(const json& model_config) {
  class_where_ = config_path_;
  class_ = json_string(config_, "tokenizer_class", config_path_, "");
  if (class_.empty()) {
    class_where_ = path("config.json");
    class_ = json_string(model_config, "tokenizer_class", class_where_, "");
  }
  // This name is a class of its own.
  if (class_ != "PreTrainedTokenizerFast" && class_.ends_with("Fast")) {
    class_.resize(class_.size() - 4);
  }
  if (!class_.empty()) return;
  for (const auto& [family, name] : kFamilies) {
    if (model_type_ == family) class_ = name;
  }
  is_of_family_ = true;
}

void TokenizerFiles::refuse_class(const std::string& rest) const {
  if (is_of_family_) {
    fail(Status::kUnsupported, "%s field \"model_type\" is \"%s\", whose tokenizer is \"%s\"%s",
         class_where_.c_str(), printable(model_type_).c_str(), class_.c_str(), rest.c_str());
  }
  fail(Status::kUnsupported, "%s field \"tokenizer_class\" is \"%s\"%s", class_where_.c_str(),
       printable(class_).c_str(), rest.c_str());
}

TokenizerFiles::Types TokenizerFiles::types() const {
  constexpr const char* kInputs = "model_input_names";
  if (json_has(config_, kInputs, config_path_)) {
    const std::vector<std::string> inputs = json_strings(config_, kInputs, config_path_);
    const bool named = std::find(inputs.begin(), inputs.end(), "token_type_ids") != inputs.end();
    return named ? Types::kGiven : Types::kNotGiven;
  }
  if (class_ == "PreTrainedTokenizerFast") return Types::kVersionsDiffer;
  const bool typed = class_.empty() || class_ == "BertTokenizer" || class_ == "ElectraTokenizer";
  return typed ? Types::kGiven : Types::kNotGiven;
}

void TokenizerFiles::refuse_fields() const {
  if (json_bool(config_, "split_special_tokens", config_path_, false)) {
    unsupported(config_path_, "split_special_tokens", "true");
  }
  if (json_has(config_, "fast_tokenizer_files", config_path_)) {
    for (const std::string& file : json_strings(config_, "fast_tokenizer_files", config_path_)) {
      if (file != "tokenizer.json") unsupported(config_path_, "fast_tokenizer_files", file);
    }
  }
  if (json_has(config_, "init_inputs", config_path_) && !config_["init_inputs"].empty()) {
    unsupported(config_path_, "init_inputs", config_["init_inputs"].dump());
  }
  if (!json_has(config_, "auto_map", config_path_)) return;
  const json& map = config_["auto_map"];
  if (map.is_object() && !json_has(map, "AutoTokenizer", config_path_)) return;
  fail(Status::kUnsupported,
       "%s field \"auto_map\" names a tokenizer of the folder's own Python code, which Headlane "
       "cannot run",
       config_path_.c_str());
}

std::optional<NamedToken> TokenizerFiles::special(const char* key, const char* otherwise) const {
  const bool in_map = !lists_added_ && map_.contains(key);
  if (!in_map && !config_.contains(key)) {
    if (otherwise == nullptr) return {};
    return read_named_token(otherwise, key, true);
  }
  json value = (in_map ? map_ : config_)[key];
  if (in_map && value.is_object()) value.erase("special");  // all of that file are special
  const std::string where = (in_map ? map_path_ : config_path_) + " field \"" + key + "\"";
  if (value.is_null()) return {};
  return read_named_token(value, where, in_map);
}

bool TokenizerFiles::says_special(const char* key) const {
  return config_.contains(key) || (!lists_added_ && map_.contains(key));
}

// A list of tokens, or an object of tokens by names of their own.
std::vector<NamedToken> TokenizerFiles::list(const json& file, const char* key,
                                             const std::string& path) const {
  std::vector<NamedToken> tokens;
  if (!json_has(file, key, path)) return tokens;
  const std::string where = path + " field \"" + key + "\"";
  if (!file[key].is_array() && !file[key].is_object()) {
    fail(Status::kBadFile, "%s is neither a list of tokens nor an object", where.c_str());
  }
  for (const json& token : file[key]) tokens.push_back(read_named_token(token, where, true));
  return tokens;
}

std::vector<NamedToken> TokenizerFiles::more_specials() const {
  constexpr const char* kExtra = "extra_special_tokens";
  constexpr const char* kAdditional = "additional_special_tokens";
  std::vector<NamedToken> tokens = list(config_, kExtra, config_path_);
  if (tokens.empty()) tokens = list(config_, kAdditional, config_path_);
  if (lists_added_) return tokens;
  for (const char* key : {kExtra, kAdditional}) {
    // transformers 5 reads the old name only where the new one is not there.
    if (key == kAdditional && json_has(config_, kExtra, config_path_)) continue;
    std::vector<NamedToken> more = list(map_, key, map_path_);
    if (tokens.empty()) {
      tokens = std::move(more);
    } else if (!more.empty() && !same_contents(tokens, more)) {
      fail(Status::kUnsupported,
           "%s field \"%s\" lists other special tokens than %s: versions of transformers differ in "
           "which they take; make the lists equal",
           map_path_.c_str(), key, config_path_.c_str());
    }
  }
  return tokens;
}

std::vector<NamedToken> TokenizerFiles::other_names() const {
  std::vector<NamedToken> tokens;
  for (const auto& [key, value] : config_.items()) {
    const bool known = std::find(std::begin(kNames), std::end(kNames), key) != std::end(kNames);
    if (known || !key.ends_with("_token") || !(value.is_string() || value.is_object())) continue;
    tokens.push_back(read_named_token(value, config_path_ + " field \"" + key + "\"", true));
  }
  return tokens;
}

// Whether a file, not a default, names it as a special token.
bool TokenizerFiles::is_named_special(const std::string& content) const {
  for (const char* key : kNames) {
    const std::optional<NamedToken> token = special(key, nullptr);
    if (token && token->content == content) return true;
  }
  const std::vector<NamedToken> more = more_specials();
  return std::any_of(more.begin(), more.end(),
                     [&](const NamedToken& token) { return token.content == content; });
}

std::vector<NamedToken> TokenizerFiles::added() const {
  const char* const key = "added_tokens_decoder";
  const std::string where =
      lists_added_ ? config_path_ + " field \"" + key + "\"" : path("added_tokens.json");
  std::map<int64_t, NamedToken> by_id;
  const auto put = [&](int64_t id, NamedToken token) {
    token.id = id;
    if (by_id.emplace(id, std::move(token)).second) return;
    fail(Status::kBadFile, "%s has the id %" PRId64 " twice", where.c_str(), id);
  };
  if (lists_added_) {
    for (const auto& [id, token] : json_field(config_, key, config_path_).items()) {
      put(id_of(id, config_path_), read_named_token(token, where, false));
    }
  } else {
    const json file = read_object(where);
    for (const auto& [content, id] : file.items()) {
      NamedToken token = read_named_token(content, where, is_named_special(content));
      token.flags["normalized"] = !token.special;
      put(json_int(file, content.c_str(), where), std::move(token));
    }
  }
  std::vector<NamedToken> tokens;
  tokens.reserve(by_id.size());
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return tokens;
}

}  // namespace headlane

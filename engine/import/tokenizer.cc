// A model folder's tokenizer in the form that engine/text/tokenizer.h documents. What the engine
// would do otherwise than the `tokenizers` library is refused here: ids are the same, or there is
// an error.
#include "engine/text/tokenizer.h"

#include <algorithm>
#include <cinttypes>
#include <map>
#include <span>
#include <unordered_map>
#include <utility>

#include "engine/error.h"
#include "engine/import/huggingface.h"
#include "engine/import/json_file.h"
#include "engine/model/mapped_file.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using nlohmann::json;

[[noreturn]] void unsupported(const std::string& where, const char* key, const std::string& found) {
  fail(Status::kUnsupported, "%s field \"%s\": Headlane does not support %s", where.c_str(), key,
       printable(found).c_str());
}

// The "type" of an object such as "normalizer"; "null" for null.
std::string type_of(const json& file, const char* key, const std::string& where) {
  if (!json_has(file, key, where)) return "null";
  return json_string(file[key], "type", where + " " + key);
}

// The tokens by id, and the spec's "added_tokens".
class Tokens {
 public:
  explicit Tokens(std::string where) : where_(std::move(where)) {}

  int64_t size() const { return static_cast<int64_t>(spellings_.size()); }
  bool has(const std::string& token) const { return ids_.contains(token); }

  int64_t id(const std::string& token) const {
    const auto it = ids_.find(token);
    if (it == ids_.end()) {
      fail(Status::kBadFile, "%s: the token \"%s\" is not in the vocabulary", where_.c_str(),
           printable(token).c_str());
    }
    return it->second;
  }

  // Of equal tokens the last one counts, as for who reads a vocab.txt into a map.
  void append(std::string token) {
    if (token.find('\n') != std::string::npos || valid_utf8_prefix(token) != token.size()) {
      fail(Status::kBadFile, "%s: token %" PRId64 " has a newline or is not UTF-8", where_.c_str(),
           size());
    }
    ids_[token] = size();
    spellings_.push_back(std::move(token));
  }

  // `flags` has the fields of an element of tokenizer.json's "added_tokens".
  void add(const std::string& token, int64_t id, const json& flags) {
    const std::string added_where = where_ + " added token \"" + printable(token) + "\"";
    if (!has(token) && id == size()) append(token);
    if (this->id(token) != id) {
      fail(Status::kBadFile, "%s has the id %" PRId64 ", in the vocabulary %" PRId64,
           added_where.c_str(), id, this->id(token));
    }
    json entry = json::object({{"id", id}});
    for (const char* key : {"single_word", "lstrip", "rstrip", "normalized"}) {
      entry[key] = json_bool(flags, key, added_where);
    }
    added_[id] = std::move(entry);  // one that is there twice has the flags of the last
  }

  json added() const {
    json added = json::array();
    for (const auto& [id, entry] : added_) added.push_back(entry);
    return added;
  }

  std::string text() const {
    std::string text;
    for (const std::string& spelling : spellings_) text.append(spelling).push_back('\n');
    return text;
  }

 private:
  std::string where_;
  std::vector<std::string> spellings_;
  std::unordered_map<std::string, int64_t> ids_;
  std::map<int64_t, json> added_;
};

// model.vocab, whose ids must be 0 to n - 1, each once.
void append_vocab(const json& vocab, const std::string& where, Tokens* tokens) {
  if (!vocab.is_object()) {
    fail(Status::kBadFile, "%s field \"vocab\" is not an object", where.c_str());
  }
  std::vector<const std::string*> by_id(vocab.size(), nullptr);
  for (auto it = vocab.begin(); it != vocab.end(); ++it) {
    const bool in_range = it->is_number_unsigned() && it->get<uint64_t>() < by_id.size();
    if (!in_range || by_id[it->get<size_t>()] != nullptr) {
      fail(Status::kBadFile,
           "%s field \"vocab\": \"%s\" is %s, but ids must be 0 to %zu, each once", where.c_str(),
           printable(it.key()).c_str(), printable(it->dump()).c_str(), by_id.size() - 1);
    }
    by_id[it->get<size_t>()] = &it.key();
  }
  for (const std::string* token : by_id) tokens->append(*token);
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

ImportedTokenizer finish(json spec, const Tokens& tokens, const std::string& path) {
  spec["type"] = "wordpiece";
  spec["added_tokens"] = tokens.added();
  ImportedTokenizer imported{std::move(spec), tokens.text()};
  // What is left to check, the reader checks: better now than when the file is opened.
  make_tokenizer(imported.spec, std::as_bytes(std::span(imported.vocab)), path);
  return imported;
}

ImportedTokenizer from_tokenizer_json(const json& file, const std::string& path) {
  json spec;
  const std::string where = path + " model";
  const std::string model_type = type_of(file, "model", path);
  if (model_type != "WordPiece") unsupported(path, "model", model_type);
  const json& model = json_field(file, "model", path);
  spec["unk_token"] = json_string(model, "unk_token", where);
  spec["prefix"] = json_string(model, "continuing_subword_prefix", where);
  spec["max_chars_per_word"] = json_int(model, "max_input_chars_per_word", where);

  const std::string pre_tokenizer = type_of(file, "pre_tokenizer", path);
  if (pre_tokenizer != "BertPreTokenizer") unsupported(path, "pre_tokenizer", pre_tokenizer);
  read_normalizer(file, path, &spec);
  read_post_processor(file, path, &spec);
  if (json_has(file, "truncation", path) &&
      json_string(file["truncation"], "direction", path, "Right") != "Right") {
    unsupported(path, "truncation", "truncation from the left");
  }

  Tokens tokens(path);
  append_vocab(json_field(model, "vocab", where), where, &tokens);
  spec["n_pieces"] = tokens.size();
  std::vector<const json*> added;
  for (const json& token : json_field(file, "added_tokens", path)) {
    json_int(token, "id", path);
    added.push_back(&token);
  }
  std::stable_sort(added.begin(), added.end(), [](const json* a, const json* b) {
    return a->at("id").get<int64_t>() < b->at("id").get<int64_t>();
  });
  for (const json* token : added) {
    tokens.add(json_string(*token, "content", path), token->at("id").get<int64_t>(), *token);
  }
  return finish(std::move(spec), tokens, path);
}

// A special token of tokenizer_config.json: its content, or an object with content and flags.
std::string add_special(const json& config, const char* key, const char* otherwise,
                        const std::string& where, Tokens* tokens) {
  json flags = {
      {"single_word", false}, {"lstrip", false}, {"rstrip", false}, {"normalized", false}};
  std::string content = otherwise;
  if (json_has(config, key, where) && config[key].is_object()) {
    content = json_string(config[key], "content", where);
    for (auto& [name, flag] : flags.items())
      flag = json_bool(config[key], name.c_str(), where, false);
  } else {
    content = json_string(config, key, where, otherwise);
  }
  if (tokens->has(content)) tokens->add(content, tokens->id(content), flags);
  return content;
}

// vocab.txt with the settings of tokenizer_config.json, and BERT's own where that is silent.
ImportedTokenizer from_vocab_txt(const std::string& path, const std::string& config_path) {
  const json config = read_json_file_if_present(config_path).value_or(json::object());
  const MappedFile file(path);
  Tokens tokens(path);
  std::string_view rest = file.text(0, file.bytes().size());
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    tokens.append(std::string(line));
  }
  json spec = {{"clean_text", true},
               {"prefix", "##"},
               {"max_chars_per_word", 100},
               {"n_pieces", tokens.size()},
               {"strip_accents", nullptr}};
  spec["lowercase"] = json_bool(config, "do_lower_case", config_path, true);
  spec["handle_chinese_chars"] = json_bool(config, "tokenize_chinese_chars", config_path, true);
  if (json_has(config, "strip_accents", config_path)) {
    spec["strip_accents"] = json_bool(config, "strip_accents", config_path);
  }
  spec["unk_token"] = add_special(config, "unk_token", "[UNK]", config_path, &tokens);
  const std::string cls = add_special(config, "cls_token", "[CLS]", config_path, &tokens);
  const std::string sep = add_special(config, "sep_token", "[SEP]", config_path, &tokens);
  add_special(config, "pad_token", "[PAD]", config_path, &tokens);
  add_special(config, "mask_token", "[MASK]", config_path, &tokens);
  if (json_has(config, "added_tokens_decoder", config_path)) {
    for (const auto& [id, token] : config["added_tokens_decoder"].items()) {
      const std::string content = json_string(token, "content", config_path);
      if (!tokens.has(content)) unsupported(config_path, "added_tokens_decoder", content);
      tokens.add(content, tokens.id(content), token);
    }
  }
  spec["ids_before"] = json::array({tokens.id(cls)});
  spec["ids_after"] = json::array({tokens.id(sep)});
  return finish(std::move(spec), tokens, path);
}

}  // namespace

ImportedTokenizer import_tokenizer(const std::string& hf_dir) {
  const std::string path = hf_dir + "/tokenizer.json";
  if (file_exists(path)) return from_tokenizer_json(read_json_file(path), path);
  const std::string vocab_path = hf_dir + "/vocab.txt";
  if (!file_exists(vocab_path)) return {};
  return from_vocab_txt(vocab_path, hf_dir + "/tokenizer_config.json");
}

}  // namespace headlane

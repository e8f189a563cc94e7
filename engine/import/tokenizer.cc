// A model folder's tokenizer in the form that engine/text/tokenizer.h documents. What the engine
// would do otherwise than the `tokenizers` library is refused here: ids are the same, or there is
// an error.
#include "engine/import/tokenizer.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "engine/error.h"
#include "engine/import/json_file.h"
#include "engine/import/tokens.h"
#include "engine/model/input_file.h"
#include "engine/model/limits.h"

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

ImportedTokenizer finish(json spec, const Tokens& tokens, const std::string& path) {
  spec["type"] = "wordpiece";
  spec["added_tokens"] = tokens.added();
  ImportedTokenizer imported;
  imported.spec = std::move(spec);
  imported.vocab = tokens.text();
  return checked(std::move(imported), path);
}

ImportedTokenizer from_tokenizer_json(const json& file, const std::string& path) {
  json spec;
  const std::string where = path + " model";
  const std::string model_type = type_of(file, "model", path);
  if (model_type == "Unigram" || model_type == "BPE") {
    // What transformers 5 saves of T5's and NLLB's.
    fail(Status::kUnsupported,
         "%s is a tokenizer of type %s; Headlane reads those from the SentencePiece model that the "
         "original folder has (spiece.model, sentencepiece.bpe.model), which is not here",
         path.c_str(), model_type.c_str());
  }
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
  tokens.append_all(json_field(model, "vocab", where), where + " field \"vocab\"", false);
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
  const std::string text = read_whole_file(path, file_limits::kJsonFileBytes);
  Tokens tokens(path);
  std::string_view rest = text;
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

TokenizerTensors ImportedTokenizer::tensors() const {
  const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  return {bytes(vocab), bytes(target_vocab), bytes(source), bytes(target)};
}

ImportedTokenizer checked(ImportedTokenizer tokenizer, const std::string& where) {
  make_tokenizer(tokenizer.spec, tokenizer.tensors(), where);
  return tokenizer;
}

ImportedTokenizer import_tokenizer(const std::string& hf_dir) {
  std::optional<ImportedTokenizer> sentencepiece = import_sentencepiece(hf_dir);
  if (sentencepiece) return std::move(*sentencepiece);
  const std::string path = hf_dir + "/tokenizer.json";
  if (file_exists(path)) return from_tokenizer_json(read_json_file(path), path);
  const std::string vocab_path = hf_dir + "/vocab.txt";
  if (!file_exists(vocab_path)) return {};
  return from_vocab_txt(vocab_path, hf_dir + "/tokenizer_config.json");
}

}  // namespace headlane

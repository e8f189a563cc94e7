#include "engine/import/source/sentence_transformers.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

constexpr const char* kTokenizerConfig = "/tokenizer_config.json";

// The settings of a Transformer module. sentence-transformers reads the first of these files that
// is there and is not an empty object.
constexpr const char* kSentenceConfigs[] = {
    "/sentence_bert_config.json",       "/sentence_roberta_config.json",
    "/sentence_distilbert_config.json", "/sentence_camembert_config.json",
    "/sentence_albert_config.json",     "/sentence_xlm-roberta_config.json",
    "/sentence_xlnet_config.json"};

struct SentenceConfig {
  std::string path;
  json fields;
};

std::optional<SentenceConfig> read_sentence_config(const std::string& transformer_dir) {
  for (const char* name : kSentenceConfigs) {
    const std::string path = transformer_dir + name;
    std::optional<json> fields = read_json_file_if_present(path);
    if (fields && !fields->empty()) return SentenceConfig{path, std::move(*fields)};
  }
  return std::nullopt;
}

struct PoolingName {
  const char* mode;  // "pooling_mode": MODE in newer files
  const char* flag;  // FLAG: true in older ones
  Pooling pooling;
};
constexpr PoolingName kPoolingNames[] = {
    {"mean", "pooling_mode_mean_tokens", Pooling::kMean},
    {"cls", "pooling_mode_cls_token", Pooling::kCls},
    {"max", "pooling_mode_max_tokens", Pooling::kMax},
};

Pooling read_pooling_mode(const json& config, const std::string& path) {
  constexpr const char* kKey = "pooling_mode";
  // Several modes are one vector behind the other; a list of one is that mode.
  const json& field = json_field(config, kKey, path);
  const bool listed = field.is_array() && field.size() == 1 && field[0].is_string();
  if (field.is_array() && !listed) {
    fail(Status::kUnsupported, "%s field \"%s\" is %s; only one of mean, cls, max is supported",
         path.c_str(), kKey, printable(field.dump()).c_str());
  }
  const std::string mode = listed ? field[0].text() : json_string(config, kKey, path);
  const auto pooling = pooling_of(mode);
  if (pooling) return *pooling;
  fail(Status::kUnsupported, "%s field \"%s\" is \"%s\", not one of: mean, cls, max", path.c_str(),
       kKey, printable(mode).c_str());
}

// At most one of the fields "pooling_mode_..." may be true, one that is known here. If none is true
// it is the mean.
Pooling read_pooling_flags(const json& config, const std::string& path) {
  std::string chosen;
  for (const auto& [key, value] : config.items()) {
    const bool is_flag = key.starts_with("pooling_mode_");
    if (!is_flag || !json_bool(config, key.c_str(), path, false)) continue;
    if (!chosen.empty()) {
      fail(Status::kUnsupported, "%s fields \"%s\" and \"%s\" are both true", path.c_str(),
           chosen.c_str(), printable(key).c_str());
    }
    chosen = key;
  }
  if (chosen.empty()) return Pooling::kMean;
  for (const PoolingName& name : kPoolingNames) {
    if (chosen == name.flag) return name.pooling;
  }
  fail(Status::kUnsupported, "%s field \"%s\" is true; only mean, cls and max are supported",
       path.c_str(), printable(chosen).c_str());
}

Pooling read_pooling(const std::string& path) {
  const json config = read_json_file(path);
  if (!json_bool(config, "include_prompt", path, true)) {
    fail(Status::kUnsupported, "%s field \"include_prompt\" is false; only true is supported",
         path.c_str());
  }
  return json_has(config, "pooling_mode", path) ? read_pooling_mode(config, path)
                                                : read_pooling_flags(config, path);
}

// It divides the text's vector by its length; newer releases can be told to take something else.
void check_normalize(const std::string& path) {
  const std::optional<json> config = read_json_file_if_present(path);
  if (!config) return;
  for (const char* key : {"module_input_name", "module_output_name"}) {
    const std::string name = json_string(*config, key, path, "sentence_embedding");
    if (name == "sentence_embedding") continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" is \"%s\"; only \"sentence_embedding\" is supported", path.c_str(), key,
         printable(name).c_str());
  }
}

// The folder of a module: the model's own (an empty path), or one inside it.
std::string module_dir(const json& module, const std::string& dir, const std::string& where) {
  std::string path = json_string(module, "path", where);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (path.find('/') != std::string::npos || path.find("..") != std::string::npos ||
      path.find('\0') != std::string::npos) {
    fail(Status::kBadFile, "%s field \"path\" is \"%s\", not the plain name of a folder",
         where.c_str(), printable(path).c_str());
  }
  return path.empty() ? dir : dir + "/" + path;
}

// The last word of a class's name, if the class is one of sentence-transformers' own; its releases
// have moved classes between their files.
std::string module_kind(const json& module, const std::string& where) {
  const std::string type = json_string(module, "type", where);
  if (type.starts_with("sentence_transformers.")) return type.substr(type.rfind('.') + 1);
  fail(Status::kUnsupported,
       "%s field \"type\" is \"%s\", a class that is not of sentence-transformers itself. It is "
       "code of the model's own, which Headlane does not run",
       where.c_str(), printable(type).c_str());
}

void read_module(const json& module, bool is_first, const std::string& where,
                 const std::string& dir, SentenceModules* modules) {
  const std::string kind = module_kind(module, where);
  const bool has_pooling = modules->pooling != Pooling::kNone;
  if (is_first && kind == "Transformer") {
    modules->transformer_dir = module_dir(module, dir, where);
  } else if (!is_first && kind == "Pooling" && !has_pooling) {
    modules->pooling = read_pooling(module_dir(module, dir, where) + "/config.json");
  } else if (kind == "Normalize" && has_pooling) {
    const std::string own = module_dir(module, dir, where);
    if (own != dir) check_normalize(own + "/config.json");
    modules->normalize = true;
  } else if (kind == "Dropout" && has_pooling) {
    return;  // it does nothing outside of training
  } else {
    fail(Status::kUnsupported,
         "%s field \"type\" is \"%s\"; supported are a Transformer, then Pooling, then Normalize "
         "or Dropout",
         where.c_str(), printable(json_string(module, "type", where)).c_str());
  }
}

// Prompts that are null are empty. What has only empty prompts has none.
Prompts read_prompts(const json& config, const std::string& path) {
  Prompts prompts;
  const json none = json::object();
  const json& texts = json_has(config, "prompts", path) ? config["prompts"] : none;
  const std::string where = path + " field \"prompts\":";
  if (!texts.is_object()) fail(Status::kBadFile, "%s it is not a JSON object", where.c_str());
  bool any = false;
  for (const auto& [name, text] : texts.items()) {
    prompts.texts[name] = text.is_null() ? "" : json_string(texts, name.c_str(), where);
    any = any || !prompts.texts[name].empty();
  }
  prompts.default_name = json_string(config, "default_prompt_name", path, "");
  if (!prompts.default_name.empty() && prompts.find(prompts.default_name) == nullptr) {
    fail(Status::kBadFile, "%s field \"default_prompt_name\" is \"%s\", not one of: %s",
         path.c_str(), printable(prompts.default_name).c_str(), prompts.names().c_str());
  }
  return any ? prompts : Prompts();
}

// What stands for the whole model.
void read_model_config(const std::string& path, SentenceModules* modules) {
  constexpr const char* kOwnType = "SentenceTransformer";
  const std::optional<json> config = read_json_file_if_present(path);
  if (!config) return;
  const std::string type = json_string(*config, "model_type", path, kOwnType);
  if (type != kOwnType) {
    fail(Status::kUnsupported, "%s field \"model_type\" is \"%s\"; only \"%s\" is supported",
         path.c_str(), printable(type).c_str(), kOwnType);
  }
  if (json_has(*config, "truncate_dim", path)) {
    fail(Status::kUnsupported,
         "%s field \"truncate_dim\" is %s: vectors would be cut, which Headlane does not do; with "
         "null there, the model is converted with whole vectors",
         path.c_str(), printable((*config)["truncate_dim"].dump()).c_str());
  }
  modules->prompts = read_prompts(*config, path);
}

// Settings of the Transformer module that change ids or hidden states.
void check_sentence_config(const std::string& transformer_dir) {
  const std::optional<SentenceConfig> config = read_sentence_config(transformer_dir);
  if (!config) return;
  const std::string& path = config->path;
  const std::pair<const char*, const char*> words[] = {{"transformer_task", "feature-extraction"},
                                                       {"module_output_name", "token_embeddings"}};
  for (const auto& [key, only] : words) {
    const std::string value = json_string(config->fields, key, path, only);
    if (value == only) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is \"%s\"; only \"%s\" is supported", path.c_str(),
         key, printable(value).c_str(), only);
  }
  // Those of `model_args` say how PyTorch is to load and run the model.
  for (const char* key : {"tokenizer_args", "processor_kwargs", "config_args", "config_kwargs",
                          "processing_kwargs", "tokenizer_name_or_path"}) {
    if (!json_has(config->fields, key, path) || config->fields[key].empty()) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is %s, which Headlane does not obey", path.c_str(),
         key, printable(config->fields[key].dump()).c_str());
  }
  const char* const kModalities = "modality_config";
  if (!json_has(config->fields, kModalities, path)) return;
  const std::string where = path + " field \"" + kModalities + "\":";
  const json& text = json_field(config->fields[kModalities], "text", where);
  const std::string output = json_string(text, "method_output_name", where, "last_hidden_state");
  if (json_string(text, "method", where, "forward") == "forward" && output == "last_hidden_state") {
    return;
  }
  fail(Status::kUnsupported,
       "%s text is %s; only the last hidden states of \"forward\" are supported", where.c_str(),
       printable(text.dump()).c_str());
}

}  // namespace

std::optional<Pooling> pooling_of(const std::string& mode) {
  for (const PoolingName& name : kPoolingNames) {
    if (mode == name.mode) return name.pooling;
  }
  return std::nullopt;
}

SentenceModules read_sentence_modules(const std::string& dir) {
  SentenceModules modules;
  modules.transformer_dir = dir;
  const std::string path = dir + "/modules.json";
  const std::optional<json> list = read_json_file_if_present(path);
  if (!list) return modules;
  if (!list->is_array() || list->empty()) {
    fail(Status::kBadFile, "%s is not a JSON array of modules", path.c_str());
  }
  modules.listed = true;
  for (size_t i = 0; i < list->size(); ++i) {
    read_module((*list)[i], i == 0, path + ": module " + std::to_string(i), dir, &modules);
  }
  read_model_config(dir + "/config_sentence_transformers.json", &modules);
  check_sentence_config(modules.transformer_dir);
  return modules;
}

bool lowers_texts(const std::string& transformer_dir) {
  const std::optional<SentenceConfig> config = read_sentence_config(transformer_dir);
  return config && json_bool(config->fields, "do_lower_case", config->path, false);
}

int64_t read_max_seq_len(const std::string& transformer_dir, int64_t max_positions, bool listed) {
  const std::optional<SentenceConfig> sentence =
      listed ? read_sentence_config(transformer_dir) : std::nullopt;
  if (sentence && json_has(sentence->fields, "max_seq_length", sentence->path)) {
    const int64_t length = json_int(sentence->fields, "max_seq_length", sentence->path);
    if (length < 2) {
      fail(Status::kBadFile, "%s field \"max_seq_length\" is %lld, less than 2",
           sentence->path.c_str(), static_cast<long long>(length));
    }
    return std::min(length, max_positions);
  }
  const std::string tokenizer_path = transformer_dir + kTokenizerConfig;
  const auto tokenizer_config = read_json_file_if_present(tokenizer_path);
  if (tokenizer_config && json_has(*tokenizer_config, "model_max_length", tokenizer_path)) {
    // "No limit" is written as an integer of 1e30, which reads as a floating number.
    const double length = json_number(*tokenizer_config, "model_max_length", tokenizer_path);
    if (length >= 2 && length < static_cast<double>(max_positions)) {
      return static_cast<int64_t>(length);
    }
  }
  return max_positions;
}

}  // namespace headlane

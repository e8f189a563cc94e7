#include "engine/import/source/sentence_transformers.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/limits.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

constexpr const char* kTokenizerConfig = "/tokenizer_config.json";
constexpr const char* kCausalLogits = "causal_logits";
constexpr const char* kProcessing = "processing_kwargs";

// apply_chat_template of transformers gives these no template, or means something of its own.
constexpr std::string_view kOfTemplates[] = {"conversation",
                                             "tools",
                                             "documents",
                                             "chat_template",
                                             "tokenize",
                                             "padding",
                                             "truncation",
                                             "max_length",
                                             "return_tensors",
                                             "return_dict",
                                             "messages",
                                             "continue_final_message",
                                             "tokenizer_kwargs",
                                             "processor_kwargs",
                                             "return_assistant_tokens_mask"};

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

// A transformer, then Pooling, then any of those that take the vector of a text.
void check_order(const std::string& kind, bool is_first, bool has_pooling, const json& module,
                 const std::string& where) {
  if (is_first ? kind == "Transformer" : kind == "Pooling" && !has_pooling) return;
  for (const char* step : {"Dense", "LayerNorm", "Normalize", "Dropout"}) {
    if (has_pooling && kind == step) return;
  }
  fail(Status::kUnsupported,
       "%s field \"type\" is \"%s\"; supported are a Transformer, then Pooling, then any of Dense, "
       "LayerNorm, Normalize and Dropout, or a Transformer and a LogitScore",
       where.c_str(), printable(json_string(module, "type", where)).c_str());
}

constexpr const char* kLogitScore = "LogitScore";

LogitScore read_logit_score(const std::string& dir) {
  LogitScore score;
  score.path = dir + "/config.json";
  const json config = read_json_file(score.path);
  score.yes = json_int(config, "true_token_id", score.path);
  constexpr const char *kNo = "false_token_id", *kInput = "module_input_name";
  if (json_has(config, kNo, score.path)) score.no = json_int(config, kNo, score.path);
  const bool has_no = json_has(config, kNo, score.path);
  if (score.yes < 0 || (has_no && score.no < 0)) {
    fail(Status::kBadFile, "%s has an id of a token that is less than 0", score.path.c_str());
  }
  const std::string input = json_string(config, kInput, score.path, kCausalLogits);
  if (input == kCausalLogits) return score;
  fail(Status::kUnsupported, "%s field \"%s\" is \"%s\"; only \"%s\" is supported",
       score.path.c_str(), kInput, printable(input).c_str(), kCausalLogits);
}

// The modules by their names: as in sentence-transformers, a later one takes the place of an
// earlier one that is called as it is.
std::vector<size_t> named_modules(const json& list, const std::string& path,
                                  SentenceModules* modules) {
  std::vector<size_t> places;
  std::vector<std::string> names;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = path + ": module " + std::to_string(i);
    const std::string name = json_string(list[i], "name", where, std::to_string(i));
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      names.push_back(name);
      places.push_back(i);
      continue;
    }
    size_t& place = places[static_cast<size_t>(found - names.begin())];
    modules->notes.push_back(where + " is called \"" + printable(name) + "\" as module " +
                             std::to_string(place) +
                             " is, and takes its place, as in sentence-transformers");
    place = i;
  }
  return places;
}

// All kinds are looked at before a module's own files are read.
void read_modules(const json& list, const std::string& path, const std::string& dir,
                  SentenceModules* modules) {
  const auto where = [&](size_t i) { return path + ": module " + std::to_string(i); };
  std::vector<std::string> kinds;
  for (size_t i = 0; i < list.size(); ++i) kinds.push_back(module_kind(list[i], where(i)));
  const std::vector<size_t> places = named_modules(list, path, modules);
  bool has_pooling = false;
  const bool has_score = places.size() == 2 && kinds[places[1]] == kLogitScore;
  if (has_score) {
    check_order(kinds[places[0]], true, false, list[places[0]], where(places[0]));
    modules->transformer_dir = module_dir(list[places[0]], dir, where(places[0]));
    modules->logit_score = read_logit_score(module_dir(list[places[1]], dir, where(places[1])));
    return;
  }
  for (const size_t i : places) {
    check_order(kinds[i], i == places.front(), has_pooling, list[i], where(i));
    has_pooling = has_pooling || kinds[i] == "Pooling";
  }
  modules->transformer_dir = module_dir(list[places.front()], dir, where(places.front()));
  for (size_t at = 1; at < places.size(); ++at) {
    const size_t i = places[at];
    add_sentence_module(kinds[i], module_dir(list[i], dir, where(i)), &modules->head);
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

// It is the cosine where sentence-transformers does not know the name, as there.
void read_similarity(const json& config, const std::string& path, SentenceModules* modules) {
  constexpr const char* kKey = "similarity_fn_name";
  const std::string name = json_string(config, kKey, path, "cosine");
  for (const Similarity one :
       {Similarity::kCosine, Similarity::kDot, Similarity::kEuclidean, Similarity::kManhattan}) {
    if (name != name_of(one)) continue;
    modules->similarity = one;
    return;
  }
  modules->notes.push_back(path + " field \"" + kKey + "\" is \"" + printable(name) +
                           "\", which sentence-transformers does not know either: it is the "
                           "cosine, as there");
}

// Reads what stands for the whole model.
void read_model_config(const std::string& path, SentenceModules* modules) {
  constexpr const char *kOwnType = "SentenceTransformer", *kCrossEncoder = "CrossEncoder";
  const std::optional<json> config = read_json_file_if_present(path);
  if (!config) return;
  const std::string type = json_string(*config, "model_type", path, kOwnType);
  if (type == kCrossEncoder) {
    modules->cross_encoder = {json_string(*config, "activation_fn", path, ""), path};
    if (modules->head.pooling != Pooling::kNone || !modules->head.steps.empty()) {
      fail(Status::kUnsupported,
           "%s field \"model_type\" is \"%s\", of which a Transformer alone is supported, but "
           "modules.json has more modules",
           path.c_str(), kCrossEncoder);
    }
  } else if (type != kOwnType) {
    fail(Status::kUnsupported, "%s field \"model_type\" is \"%s\", not one of: %s, %s",
         path.c_str(), printable(type).c_str(), kOwnType, kCrossEncoder);
  }
  if (json_has(*config, "truncate_dim", path)) {
    modules->truncate_dim = json_int(*config, "truncate_dim", path);
    if (modules->truncate_dim < 1 || modules->truncate_dim > file_limits::kDModel) {
      fail(Status::kUnsupported, "%s field \"truncate_dim\" is %lld, not in 1 .. %lld",
           path.c_str(), static_cast<long long>(modules->truncate_dim),
           static_cast<long long>(file_limits::kDModel));
    }
  }
  read_similarity(*config, path, modules);
  modules->prompts = read_prompts(*config, path);
}

// What the Transformer module is for, and the names of what it makes.
struct TransformerUse {
  const char *task, *makes, *output;
};
constexpr TransformerUse kVectors = {"feature-extraction", "token_embeddings", "last_hidden_state"};
constexpr TransformerUse kScores = {"sequence-classification", "scores", "logits"};
constexpr TransformerUse kLogits = {"text-generation", kCausalLogits, "logits"};

// `entry` is "text" or "message".
const json& check_modality(const json& modalities, const char* entry, const TransformerUse& use,
                           const std::string& where) {
  const json& found = json_field(modalities, entry, where);
  const std::string output = json_string(found, "method_output_name", where, use.output);
  if (json_string(found, "method", where, "forward") == "forward" && output == use.output) {
    return found;
  }
  fail(Status::kUnsupported, "%s %s is %s; only \"%s\" of \"forward\" is supported", where.c_str(),
       entry, printable(found.dump()).c_str(), use.output);
}

// "processing_kwargs": how sentence-transformers calls the template.
void read_template_call(const json& call, const std::string& where, TextMessages* messages) {
  json variables = json::object();
  for (const auto& [key, value] : call.items()) {
    if (key == "add_generation_prompt") {
      messages->begins_answer = json_bool(call, key.c_str(), where);
    } else if (key == "restore_suffix") {
      if (json_bool(call, key.c_str(), where)) continue;
      fail(Status::kUnsupported, "%s field \"%s\" is false; only true is supported", where.c_str(),
           key.c_str());
    } else if (std::find(std::begin(kOfTemplates), std::end(kOfTemplates), key) !=
               std::end(kOfTemplates)) {
      fail(Status::kUnsupported, "%s field \"%s\" is %s, which Headlane does not obey",
           where.c_str(), printable(key).c_str(), printable(value.dump()).c_str());
    } else {
      variables[key] = value;
    }
  }
  if (!variables.empty()) messages->variables = variables.dump();
}

// Texts go through the chat template where there is a modality "message".
TextMessages read_messages(const json& modalities, const json& config, const TransformerUse& use,
                           const std::string& path, const std::string& where) {
  TextMessages messages;
  constexpr const char *kMessage = "message", *kFormat = "format", *kCall = "chat_template";
  if (!json_has(modalities, kMessage, where)) return messages;
  const json& entry = check_modality(modalities, kMessage, use, where);
  const std::string format = json_string(entry, kFormat, where);
  if (format != "flat" && format != "structured") {
    fail(Status::kUnsupported, "%s field \"%s\" is \"%s\", not one of: flat, structured",
         where.c_str(), kFormat, printable(format).c_str());
  }
  messages.form = format == "flat" ? MessageForm::kText : MessageForm::kListed;
  if (!json_has(config, kProcessing, path)) return messages;
  const std::string in = path + " field \"" + kProcessing + "\":";
  if (json_has(config[kProcessing], kCall, in)) {
    read_template_call(json_field(config[kProcessing], kCall, in),
                       in + " field \"" + kCall + "\":", &messages);
  }
  return messages;
}

// Of "processing_kwargs", what is said of the template alone.
void check_processing(const json& config, const std::string& path) {
  if (!json_has(config, kProcessing, path)) return;
  for (const auto& [key, value] : config[kProcessing].items()) {
    if (key == "chat_template" || value.empty()) continue;
    fail(Status::kUnsupported, "%s field \"%s\" has \"%s\", which Headlane does not obey",
         path.c_str(), kProcessing, printable(key).c_str());
  }
}

// Settings of the Transformer module that change ids or hidden states.
void read_sentence_settings(const TransformerUse& use, SentenceModules* modules) {
  const std::optional<SentenceConfig> config = read_sentence_config(modules->transformer_dir);
  const std::string path = config ? config->path : modules->transformer_dir;
  const json fields = config ? config->fields : json::object();
  const std::pair<const char*, const char*> words[] = {{"transformer_task", use.task},
                                                       {"module_output_name", use.makes}};
  for (const auto& [key, only] : words) {
    const std::string value = json_string(fields, key, path, only);
    if (value == only) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is \"%s\"; only \"%s\" is supported", path.c_str(),
         key, printable(value).c_str(), only);
  }
  // The fields of `model_args` say how PyTorch is to load and run the model. The last three change
  // what encode_query and encode_document read of a text.
  for (const char* key :
       {"tokenizer_args", "processor_kwargs", "config_args", "config_kwargs",
        "tokenizer_name_or_path", "query_length", "document_length", "query_expansion"}) {
    if (!json_has(fields, key, path) || fields[key].empty()) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is %s, which Headlane does not obey", path.c_str(),
         key, printable(fields[key].dump()).c_str());
  }
  check_processing(fields, path);
  constexpr const char* kModalities = "modality_config";
  if (!json_has(fields, kModalities, path)) return;
  const std::string where = path + " field \"" + kModalities + "\":";
  check_modality(fields[kModalities], "text", use, where);
  modules->messages = read_messages(fields[kModalities], fields, use, path, where);
}

// What the modules are for, so that they fit together.
TransformerUse use_of_transformer(const SentenceModules& modules) {
  if (!modules.logit_score) return modules.cross_encoder ? kScores : kVectors;
  if (modules.cross_encoder) return kLogits;
  fail(Status::kUnsupported,
       "%s: modules.json has a LogitScore, but config_sentence_transformers.json does not say that "
       "\"model_type\" is \"CrossEncoder\"",
       modules.transformer_dir.c_str());
}

}  // namespace

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
  read_modules(*list, path, dir, &modules);
  read_model_config(dir + "/config_sentence_transformers.json", &modules);
  read_sentence_settings(use_of_transformer(modules), &modules);
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

#include "engine/import/tokenizers/chat_files.h"

#include <filesystem>
#include <map>
#include <optional>

#include "engine/base/error.h"
#include "engine/chat/conversation.h"
#include "engine/file/input_file.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/import/source/json_file.h"
#include "engine/import/tokenizers/classes.h"
#include "engine/import/tokenizers/decoder_classes.h"
#include "engine/import/tokenizers/tokenizer_files.h"

namespace headlane {
namespace {

using Templates = std::map<std::string, std::string>;

constexpr const char* kDefault = "default";

std::string read_template_file(const std::string& path) {
  const InputFile file(path);
  if (file.bytes() > file_limits::kChatTemplateBytes) {
    fail(Status::kBadFile, "%s has %lld bytes, more than a chat template may have", path.c_str(),
         static_cast<long long>(file.bytes()));
  }
  return file.read_text(0, file.bytes());
}

Templates read_jinja_files(const std::string& dir) {
  Templates templates;
  const std::string own = dir + "/chat_template.jinja", more = dir + "/additional_chat_templates";
  if (file_exists(own)) templates[kDefault] = read_template_file(own);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(more, error)) {
    const std::filesystem::path& path = entry.path();
    if (path.extension() == ".jinja") {
      templates[path.stem().string()] = read_template_file(path.string());
    }
  }
  return templates;
}

// A text, or a list of objects with "name" and "template".
Templates read_field(const Json& file, const char* key, const std::string& path) {
  if (!json_has(file, key, path)) return {};
  const Json& value = file[key];
  if (value.is_string()) return {{kDefault, value.text()}};
  if (!value.is_array()) {
    fail(Status::kBadFile, "%s field \"%s\" is neither a text nor a list", path.c_str(), key);
  }
  Templates templates;
  for (const Json& element : value) {
    templates[json_string(element, "name", path)] = json_string(element, "template", path);
  }
  return templates;
}

// Named special tokens as transformers 5 hands them to templates.
std::map<std::string, std::string> read_tokens(const TokenizerFiles& files) {
  const TokenizerClass* own = find_tokenizer_class(class_of_family(files));
  if (own == nullptr) own = find_tokenizer_class(files.tokenizer_class());
  std::map<std::string, std::string> tokens;
  for (const char* key : TokenizerFiles::kNames) {
    const char* otherwise = nullptr;
    for (const auto& [name, token] : own ? own->tokens.named : decltype(own->tokens.named)()) {
      if (name == key) otherwise = token;
    }
    const std::optional<NamedToken> token = files.special(key, otherwise);
    if (token) tokens[key] = token->content;
  }
  return tokens;
}

void log_templates(const ChatConfig& config, const std::string& path, const Log& log) {
  try {
    check_templates(config);
  } catch (const Error& error) {
    log.warn("%s: %s; the model runs without conversations by it", path.c_str(), error.what());
  }
}

}  // namespace

ChatConfig read_chat_files(const std::string& dir, const Log& log) {
  ChatConfig config;
  const TokenizerFiles files(dir);
  config.templates = read_jinja_files(dir);
  if (config.templates.empty()) {
    config.templates = read_field(files.config(), "chat_template", files.config_path());
  }
  if (config.templates.empty()) {
    const std::string path = dir + "/chat_template.json";
    const std::optional<Json> file = read_json_file_if_present(path);
    if (file) config.templates = read_field(*file, "chat_template", path);
  }
  if (!config.templates.empty()) config.tokens = read_tokens(files);
  log_templates(config, dir, log);
  return config;
}

ChatConfig read_gguf_chat(const Json& fields, const std::string& path, const Log& log) {
  constexpr const char *kTemplate = "tokenizer.chat_template", *kTokens = "tokenizer.ggml.tokens";
  ChatConfig config;
  config.templates = read_field(fields, kTemplate, path);
  if (json_has(fields, "tokenizer.chat_templates", path)) {
    for (const std::string& name : json_strings(fields, "tokenizer.chat_templates", path)) {
      const std::string key = std::string(kTemplate) + "." + name;
      config.templates[name] = json_string(fields, key.c_str(), path);
    }
  }
  if (config.templates.empty() || !json_has(fields, kTokens, path)) return config;
  constexpr std::pair<const char*, const char*> kRoles[] = {{"bos", "bos_token"},
                                                            {"eos", "eos_token"},
                                                            {"unknown", "unk_token"},
                                                            {"seperator", "sep_token"},
                                                            {"padding", "pad_token"}};
  for (const auto& [role, name] : kRoles) {
    const std::string key = std::string("tokenizer.ggml.") + role + "_token_id";
    const int64_t id = json_int(fields, key.c_str(), path, -1);
    const Json& tokens = fields[kTokens];
    if (id < 0 || id >= std::ssize(tokens)) continue;
    config.tokens[name] = tokens[id].text();
  }
  log_templates(config, path, log);
  return config;
}

}  // namespace headlane

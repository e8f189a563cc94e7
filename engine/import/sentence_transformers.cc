#include "engine/import/sentence_transformers.h"

#include <algorithm>

#include "engine/error.h"
#include "engine/import/json_file.h"
#include "engine/model/json.h"

namespace headlane {
namespace {

using json = Json;

constexpr const char* kSentenceConfig = "/sentence_bert_config.json";
constexpr const char* kTokenizerConfig = "/tokenizer_config.json";

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
  const std::string mode = json_string(config, "pooling_mode", path);
  for (const PoolingName& name : kPoolingNames) {
    if (mode == name.mode) return name.pooling;
  }
  fail(Status::kUnsupported, "%s field \"pooling_mode\" is \"%s\", not one of: mean, cls, max",
       path.c_str(), printable(mode).c_str());
}

// Exactly one of the fields "pooling_mode_..." must be true, and be one of the known.
Pooling read_pooling_flags(const json& config, const std::string& path) {
  std::string chosen;
  for (const auto& [key, value] : config.items()) {
    if (!key.starts_with("pooling_mode_") || !json_bool(config, key.c_str(), path)) continue;
    if (!chosen.empty()) {
      fail(Status::kUnsupported, "%s fields \"%s\" and \"%s\" are both true", path.c_str(),
           chosen.c_str(), printable(key).c_str());
    }
    chosen = key;
  }
  for (const PoolingName& name : kPoolingNames) {
    if (chosen == name.flag) return name.pooling;
  }
  if (chosen.empty()) {
    fail(Status::kUnsupported, "%s: none of the fields \"pooling_mode_...\" is true", path.c_str());
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

// The folder of a module: the model's own (an empty path), or a plain name in it.
std::string module_dir(const json& module, const std::string& dir, const std::string& where) {
  const std::string path = json_string(module, "path", where);
  if (path.find('/') != std::string::npos || path.find("..") != std::string::npos ||
      path.find('\0') != std::string::npos) {
    fail(Status::kBadFile, "%s field \"path\" is \"%s\", not the plain name of a folder",
         where.c_str(), printable(path).c_str());
  }
  return path.empty() ? dir : dir + "/" + path;
}

}  // namespace

SentenceModules read_sentence_modules(const std::string& dir) {
  SentenceModules modules{dir};
  const std::string path = dir + "/modules.json";
  const std::optional<json> list = read_json_file_if_present(path);
  if (!list) return modules;
  if (!list->is_array() || list->empty()) {
    fail(Status::kBadFile, "%s is not a JSON array of modules", path.c_str());
  }
  for (size_t i = 0; i < list->size(); ++i) {
    const json& module = (*list)[i];
    const std::string where = path + ": module " + std::to_string(i);
    const std::string type = json_string(module, "type", where);
    const std::string kind = type.substr(type.rfind('.') + 1);  // "a.b.Pooling": releases moved it
    const bool has_pooling = modules.pooling != Pooling::kNone;
    if (i == 0 && kind == "Transformer") {
      modules.transformer_dir = module_dir(module, dir, where);
    } else if (i > 0 && kind == "Pooling" && !has_pooling) {
      modules.pooling = read_pooling(module_dir(module, dir, where) + "/config.json");
    } else if (kind == "Normalize" && has_pooling) {
      modules.normalize = true;
    } else {
      fail(Status::kUnsupported,
           "%s field \"type\" is \"%s\"; supported are a Transformer, then Pooling, then Normalize",
           where.c_str(), printable(type).c_str());
    }
  }
  return modules;
}

void refuse_extra_lowercasing(const std::string& transformer_dir) {
  const std::string path = transformer_dir + kSentenceConfig;
  const auto config = read_json_file_if_present(path);
  if (!config || !json_bool(*config, "do_lower_case", path, false)) return;
  const std::string tokenizer_path = transformer_dir + kTokenizerConfig;
  const auto tokenizer_config = read_json_file_if_present(tokenizer_path);
  if (!tokenizer_config) return;
  if (json_bool(*tokenizer_config, "do_lower_case", tokenizer_path, true)) return;
  fail(Status::kUnsupported, "%s field \"do_lower_case\" is true, but not that of %s", path.c_str(),
       tokenizer_path.c_str());
}

int64_t read_max_seq_len(const std::string& transformer_dir, int64_t max_positions) {
  const std::string sentence_path = transformer_dir + kSentenceConfig;
  const auto sentence_config = read_json_file_if_present(sentence_path);
  if (sentence_config && json_has(*sentence_config, "max_seq_length", sentence_path)) {
    const int64_t length = json_int(*sentence_config, "max_seq_length", sentence_path);
    if (length < 2) {
      fail(Status::kBadFile, "%s field \"max_seq_length\" is %lld, less than 2",
           sentence_path.c_str(), static_cast<long long>(length));
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

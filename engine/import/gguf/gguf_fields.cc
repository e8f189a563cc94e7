#include "engine/import/gguf/gguf_fields.h"

#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"

namespace headlane {

using ll = long long;

ArchitectureFields::ArchitectureFields(const GgufCheckpoint& checkpoint)
    : fields_(checkpoint.fields()),
      path_(checkpoint.path()),
      name_(json_string(fields_, "general.architecture", path_)) {}

bool ArchitectureFields::has(const char* key) {
  return json_has(fields_, full(key).c_str(), path_);
}

int64_t ArchitectureFields::integer(const char* key) {
  return json_int(fields_, full(key).c_str(), path_);
}

int64_t ArchitectureFields::integer(const char* key, int64_t otherwise) {
  return json_int(fields_, full(key).c_str(), path_, otherwise);
}

double ArchitectureFields::number(const char* key) {
  return json_number(fields_, full(key).c_str(), path_);
}

bool ArchitectureFields::flag(const char* key, bool otherwise) {
  return json_bool(fields_, full(key).c_str(), path_, otherwise);
}

std::string ArchitectureFields::text(const char* key, const char* otherwise) {
  return json_string(fields_, full(key).c_str(), path_, otherwise);
}

void ArchitectureFields::refuse(const char* key, const std::string& why) {
  fail(Status::kUnsupported, "%s field \"%s\" %s", path_.c_str(), full(key).c_str(), why.c_str());
}

void ArchitectureFields::refuse_others() const {
  for (const auto& [key, value] : fields_.items()) {
    if (!key.starts_with(name_ + ".") || asked_.contains(key)) continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" is not one that Headlane reads of this architecture", path_.c_str(),
         printable(key).c_str());
  }
}

int64_t ArchitectureFields::checked(const char* key, int64_t value, int64_t most) {
  if (value >= 1 && value <= most) return value;
  fail(Status::kBadFile, "%s field \"%s\" is %lld; it must be from 1 to %lld", path_.c_str(),
       full(key).c_str(), ll{value}, ll{most});
}

std::string ArchitectureFields::full(const char* key) {
  std::string name = name_ + "." + key;
  asked_.insert(name);
  return name;
}

GgufNames::GgufNames(int64_t n_layers, std::string layers)
    : n_layers_(n_layers), layers_(std::move(layers)) {}

void GgufNames::add_top(std::span<const GgufRenamed> names) {
  for (const GgufRenamed& name : names) add(name.gguf, name.huggingface);
}

void GgufNames::add_layers(std::span<const GgufRenamed> names) {
  for (const GgufRenamed& name : names) {
    const std::string ending = std::string(".") + name.gguf;
    std::erase_if(names_, [&](const auto& one) {
      const std::string& source = one.second.source;
      return source.substr(0, source.rfind('.')).ends_with(ending);
    });
    for (int64_t i = 0; i < n_layers_; ++i) {
      const std::string layer = std::to_string(i) + ".";
      add("blk." + layer + name.gguf, layers_ + layer + name.huggingface);
    }
  }
}

void GgufNames::set_heads(const std::string& gguf, int64_t heads) {
  for (auto& [name, tensor] : names_) {
    if (tensor.source.find("." + gguf + ".") != std::string::npos) tensor.form.heads = heads;
  }
}

void GgufNames::add_one_to_norms() {
  for (auto& [name, tensor] : names_) {
    tensor.form.plus_one = tensor.source.ends_with("norm.weight");
  }
}

std::map<std::string, GgufTensor> GgufNames::take() { return std::move(names_); }

void GgufNames::add(const std::string& gguf, const std::string& huggingface) {
  if (gguf.ends_with(".bias")) {
    names_[huggingface] = {gguf, {}};
    return;
  }
  for (const char* ending : {".weight", ".bias"}) {
    names_[huggingface + ending] = {gguf + ending, {}};
  }
}

void check_plain_heads(const GgufSource& source, bool grouped) {
  const Json& config = *source.config;
  const auto n_heads = config["num_attention_heads"].get<int64_t>();
  if (config["head_dim"].get<int64_t>() * n_heads != config["hidden_size"].get<int64_t>()) {
    source.fields->refuse("attention.key_length",
                          "is not the width of the model divided by its heads");
  }
  if (config["partial_rotary_factor"].get<double>() != 1) {
    source.fields->refuse("rope.dimension_count", "is not the length of a head");
  }
  if (!grouped && config["num_key_value_heads"].get<int64_t>() != n_heads) {
    source.fields->refuse("attention.head_count_kv", "is not the number of heads");
  }
}

}  // namespace headlane

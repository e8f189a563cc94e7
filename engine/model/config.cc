#include "engine/model/config.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/error.h"
#include "engine/model/json_fields.h"

namespace headlane {
namespace {

using nlohmann::json;

// Far above any published model, and small enough that the product of any two sizes, times a few,
// is far from the end of int64.
constexpr int64_t kMaxVocabSize = int64_t{1} << 24;
constexpr int64_t kMaxTypes = int64_t{1} << 16;
constexpr int64_t kMaxPositions = int64_t{1} << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxDModel = 65536;
constexpr int64_t kMaxDFf = int64_t{1} << 20;

struct IntField {
  const char* name;
  int64_t ModelConfig::*member;
  int64_t min, max;
};

constexpr IntField kIntFields[] = {
    {"vocab_size", &ModelConfig::vocab_size, 1, kMaxVocabSize},
    {"n_types", &ModelConfig::n_types, 0, kMaxTypes},
    {"max_positions", &ModelConfig::max_positions, 2, kMaxPositions},
    {"n_layers", &ModelConfig::n_layers, 1, kMaxLayers},
    {"d_model", &ModelConfig::d_model, 1, kMaxDModel},
    {"n_heads", &ModelConfig::n_heads, 1, kMaxDModel},
    {"head_dim", &ModelConfig::head_dim, 1, kMaxDModel},
    {"d_ff", &ModelConfig::d_ff, 1, kMaxDFf},
    // Two special tokens; the position table's rows are the other bound.
    {"max_seq_len", &ModelConfig::max_seq_len, 2, kMaxPositions},
};

template <typename Enum>
struct Name {
  Enum value;
  const char* name;
};

constexpr Name<Architecture> kArchitectures[] = {{Architecture::kBert, "bert"}};
constexpr Name<Activation> kActivations[] = {
    {Activation::kGelu, "gelu"}, {Activation::kGeluTanh, "gelu_tanh"}, {Activation::kRelu, "relu"}};
constexpr Name<Pooling> kPoolings[] = {{Pooling::kNone, "none"},
                                       {Pooling::kMean, "mean"},
                                       {Pooling::kCls, "cls"},
                                       {Pooling::kMax, "max"}};

// Null if the value is none of the enum's.
template <typename Enum, size_t n>
const char* find_name(const Name<Enum> (&names)[n], Enum value) {
  for (const auto& entry : names) {
    if (entry.value == value) return entry.name;
  }
  return nullptr;
}

template <typename Enum, size_t n>
Enum parse_name(const Name<Enum> (&names)[n], const json& config, const char* key,
                const std::string& where) {
  const std::string text = json_string(config, key, where);
  std::string allowed;
  for (const auto& entry : names) {
    if (text == entry.name) return entry.value;
    if (!allowed.empty()) allowed += ", ";
    allowed += entry.name;
  }
  fail(Status::kBadFile, "%s field \"%s\" is \"%s\", not one of: %s", where.c_str(), key,
       printable(text).c_str(), allowed.c_str());
}

// The double whose shortest decimal is that of the float: 1e-12, where a plain conversion would be
// written as 9.999999960041972e-13. It converts back to the same float.
double shortest_decimal(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double result = value;
  std::from_chars(text, end, result);
  return result;
}

void check_names(const ModelConfig& config, const std::string& where) {
  const std::pair<const char*, const char*> names[] = {
      {"architecture", find_name(kArchitectures, config.architecture)},
      {"activation", find_name(kActivations, config.activation)},
      {"pooling", find_name(kPoolings, config.pooling)}};
  for (const auto& [field, name] : names) {
    if (name != nullptr) continue;
    fail(Status::kBadFile, "%s field \"%s\" has no such value", where.c_str(), field);
  }
}

}  // namespace

const char* name_of(Architecture architecture) {
  const char* name = find_name(kArchitectures, architecture);
  return name != nullptr ? name : "unknown";
}

const char* name_of(Activation activation) {
  const char* name = find_name(kActivations, activation);
  return name != nullptr ? name : "unknown";
}

const char* name_of(Pooling pooling) {
  const char* name = find_name(kPoolings, pooling);
  return name != nullptr ? name : "unknown";
}

void ModelConfig::validate(const std::string& file) const {
  const std::string where = file + ": config";
  check_names(*this, where);
  for (const IntField& field : kIntFields) {
    const int64_t value = this->*field.member;
    if (value >= field.min && value <= field.max) continue;
    fail(Status::kBadFile, "%s field \"%s\" is %lld, outside [%lld, %lld]", where.c_str(),
         field.name, static_cast<long long>(value), static_cast<long long>(field.min),
         static_cast<long long>(field.max));
  }
  if (n_heads * head_dim != d_model) {
    fail(Status::kBadFile,
         "%s field \"d_model\" is %lld, which is not \"n_heads\" (%lld) x \"head_dim\" (%lld)",
         where.c_str(), static_cast<long long>(d_model), static_cast<long long>(n_heads),
         static_cast<long long>(head_dim));
  }
  if (!(norm_eps > 0 && norm_eps < 1)) {  // written so that NaN fails
    fail(Status::kBadFile, "%s field \"norm_eps\" is %g, outside (0, 1)", where.c_str(),
         static_cast<double>(norm_eps));
  }
  if (max_seq_len > max_positions) {
    fail(Status::kBadFile, "%s field \"max_seq_len\" is %lld, more than \"max_positions\" (%lld)",
         where.c_str(), static_cast<long long>(max_seq_len), static_cast<long long>(max_positions));
  }
}

json ModelConfig::to_json() const {
  json config = json::object();
  for (const IntField& field : kIntFields) config[field.name] = this->*field.member;
  config["architecture"] = name_of(architecture);
  config["activation"] = name_of(activation);
  config["norm_eps"] = shortest_decimal(norm_eps);
  config["pooling"] = name_of(pooling);
  config["normalize"] = normalize;
  return config;
}

ModelConfig ModelConfig::from_json(const json& config, const std::string& file) {
  const std::string where = file + ": config";
  ModelConfig result;
  // First, since it decides what the other fields may be.
  result.architecture = parse_name(kArchitectures, config, "architecture", where);
  for (const IntField& field : kIntFields) {
    result.*field.member = json_int(config, field.name, where);
  }
  result.activation = parse_name(kActivations, config, "activation", where);
  result.norm_eps = static_cast<float>(json_number(config, "norm_eps", where));
  result.pooling = parse_name(kPoolings, config, "pooling", where);
  result.normalize = json_bool(config, "normalize", where);
  result.validate(file);
  return result;
}

}  // namespace headlane

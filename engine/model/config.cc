#include "engine/model/config.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "engine/error.h"
#include "engine/model/attention_json.h"
#include "engine/model/enum_names.h"
#include "engine/model/json_fields.h"

namespace headlane {
namespace {

using nlohmann::json;
using ll = long long;

// Far above any published model, and small enough that the product of any two sizes, times a few,
// is far from the end of int64.
constexpr int64_t kMaxVocabSize = int64_t{1} << 24;
constexpr int64_t kMaxTypes = int64_t{1} << 16;
constexpr int64_t kMaxPositions = int64_t{1} << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxDModel = 65536;
constexpr int64_t kMaxDFf = int64_t{1} << 20;

enum Of : unsigned { kOfBert = 1, kOfLayers = 2, kOfBoth = 3 };

struct IntField {
  const char* name;
  int64_t& (*at)(ModelConfig&);
  int64_t min, max;
  Of of;  // the architectures that have it

  bool belongs_to(Architecture architecture) const {
    return (of & (architecture == Architecture::kBert ? kOfBert : kOfLayers)) != 0;
  }
  int64_t value(const ModelConfig& config) const { return at(const_cast<ModelConfig&>(config)); }
};

// NOLINTNEXTLINE(bugprone-macro-parentheses): a member's name
#define HEADLANE_FIELD(member) [](ModelConfig& config) -> int64_t& { return config.member; }
constexpr IntField kIntFields[] = {
    {"vocab_size", HEADLANE_FIELD(vocab_size), 1, kMaxVocabSize, kOfBert},
    {"n_types", HEADLANE_FIELD(n_types), 0, kMaxTypes, kOfBert},
    {"max_positions", HEADLANE_FIELD(max_positions), 2, kMaxPositions, kOfBert},
    {"max_positions", HEADLANE_FIELD(max_positions), 1, kMaxPositions, kOfLayers},
    {"n_layers", HEADLANE_FIELD(n_layers), 1, kMaxLayers, kOfBoth},
    {"d_model", HEADLANE_FIELD(d_model), 1, kMaxDModel, kOfBoth},
    {"kdim", HEADLANE_FIELD(kdim), 1, kMaxDModel, kOfLayers},
    {"vdim", HEADLANE_FIELD(vdim), 1, kMaxDModel, kOfLayers},
    {"n_heads", HEADLANE_FIELD(attention.n_heads), 1, kMaxDModel, kOfBert},
    {"head_dim", HEADLANE_FIELD(attention.head_dim), 1, kMaxDModel, kOfBert},
    {"d_ff", HEADLANE_FIELD(d_ff), 1, kMaxDFf, kOfBert},
    {"d_ff", HEADLANE_FIELD(d_ff), 0, kMaxDFf, kOfLayers},
    // Two special tokens; the position table's rows are the other bound.
    {"max_seq_len", HEADLANE_FIELD(max_seq_len), 2, kMaxPositions, kOfBert},
};
#undef HEADLANE_FIELD

constexpr EnumName<Architecture> kArchitectures[] = {{Architecture::kBert, "bert"},
                                                     {Architecture::kLayers, "layers"}};
constexpr EnumName<Activation> kActivations[] = {
    {Activation::kGelu, "gelu"}, {Activation::kGeluTanh, "gelu_tanh"}, {Activation::kRelu, "relu"}};
constexpr EnumName<Pooling> kPoolings[] = {{Pooling::kNone, "none"},
                                           {Pooling::kMean, "mean"},
                                           {Pooling::kCls, "cls"},
                                           {Pooling::kMax, "max"}};

constexpr EnumName<NormPlacement> kNormPlacements[] = {
    {NormPlacement::kNone, "none"}, {NormPlacement::kPost, "post"}, {NormPlacement::kPre, "pre"}};
constexpr EnumName<Positions> kPositions[] = {{Positions::kNone, "none"},
                                              {Positions::kLearned, "learned"},
                                              {Positions::kSinusoidal, "sinusoidal"}};

void check_names(const ModelConfig& config, const std::string& where) {
  const std::pair<const char*, const char*> names[] = {
      {"architecture", find_name(kArchitectures, config.architecture)},
      {"activation", find_name(kActivations, config.activation)},
      {"pooling", find_name(kPoolings, config.pooling)},
      {"norm", find_name(kNormPlacements, config.norm)},
      {"positions", find_name(kPositions, config.positions)}};
  for (const auto& [field, name] : names) {
    if (name != nullptr) continue;
    fail(Status::kBadFile, "%s field \"%s\" has no such value", where.c_str(), field);
  }
}

void check_bert(const ModelConfig& config, const std::string& where) {
  const int64_t n_heads = config.attention.n_heads, head_dim = config.attention.head_dim;
  if (n_heads * head_dim != config.d_model) {
    fail(Status::kBadFile,
         "%s field \"d_model\" is %lld, which is not \"n_heads\" (%lld) x \"head_dim\" (%lld)",
         where.c_str(), ll{config.d_model}, ll{n_heads}, ll{head_dim});
  }
  if (config.max_seq_len > config.max_positions) {
    fail(Status::kBadFile, "%s field \"max_seq_len\" is %lld, more than \"max_positions\" (%lld)",
         where.c_str(), ll{config.max_seq_len}, ll{config.max_positions});
  }
}

void check_layers(const ModelConfig& config, const std::string& where) {
  try {
    config.attention.check();
  } catch (const Error& error) {
    fail(Status::kBadFile, "%s field \"attention\": %s", where.c_str(), error.what());
  }
  constexpr int64_t kMostTableFloats = int64_t{1} << 30;
  if (config.positions == Positions::kSinusoidal &&
      config.max_positions > kMostTableFloats / config.d_model) {
    fail(Status::kBadFile,
         "%s field \"max_positions\" is %lld: with \"d_model\" %lld the table of sinusoids would "
         "have "
         "more than %lld numbers",
         where.c_str(), ll{config.max_positions}, ll{config.d_model}, ll{kMostTableFloats});
  }
  if (config.max_positions > config.attention.max_len()) {
    fail(Status::kBadFile,
         "%s field \"max_positions\" is %lld, but attention's position tables end at %lld",
         where.c_str(), ll{config.max_positions}, ll{config.attention.max_len()});
  }
  if (!config.can_attend_to_itself() && !config.can_attend_to_memory()) {
    fail(
        Status::kBadFile,
        "%s fields \"kdim\" (%lld) and \"vdim\" (%lld) must be \"d_model\" (%lld), since there are "
        "%lld layers",
        where.c_str(), ll{config.kdim}, ll{config.vdim}, ll{config.d_model}, ll{config.n_layers});
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

const char* name_of(NormPlacement placement) {
  const char* name = find_name(kNormPlacements, placement);
  return name != nullptr ? name : "unknown";
}

void ModelConfig::validate(const std::string& file) const {
  const std::string where = file + ": config";
  check_names(*this, where);
  for (const IntField& field : kIntFields) {
    const int64_t value = field.value(*this);
    if (!field.belongs_to(architecture) || (value >= field.min && value <= field.max)) continue;
    fail(Status::kBadFile, "%s field \"%s\" is %lld, outside [%lld, %lld]", where.c_str(),
         field.name, ll{value}, ll{field.min}, ll{field.max});
  }
  if (!(norm_eps > 0 && norm_eps < 1)) {  // written so that NaN fails
    fail(Status::kBadFile, "%s field \"norm_eps\" is %g, outside (0, 1)", where.c_str(),
         static_cast<double>(norm_eps));
  }
  constexpr size_t kMostNames = 1 << 16;
  if (higher_precision.size() > kMostNames) {
    fail(Status::kBadFile, "%s field \"higher_precision\" has %zu names, more than %zu",
         where.c_str(), higher_precision.size(), kMostNames);
  }
  architecture == Architecture::kBert ? check_bert(*this, where) : check_layers(*this, where);
}

json ModelConfig::to_json() const {
  json config = json::object();
  for (const IntField& field : kIntFields) {
    if (field.belongs_to(architecture)) config[field.name] = field.value(*this);
  }
  config["architecture"] = name_of(architecture);
  config["activation"] = name_of(activation);
  config["norm_eps"] = shortest_decimal(norm_eps);
  if (architecture == Architecture::kBert) {
    config["pooling"] = name_of(pooling);
    config["normalize"] = normalize;
  } else {
    config["norm"] = name_of(norm);
    config["residual"] = residual;
    config["final_norm"] = final_norm;
    config["positions"] = find_name(kPositions, positions);
    config["batch_first"] = batch_first;
    config["attention"] = to_json_of(attention);
  }
  if (!higher_precision.empty()) config["higher_precision"] = higher_precision;
  return config;
}

ModelConfig ModelConfig::from_json(const json& config, const std::string& file) {
  const std::string where = file + ": config";
  ModelConfig result;
  // First, since it decides what the other fields may be.
  result.architecture = parse_name(kArchitectures, config, "architecture", where);
  for (const IntField& field : kIntFields) {
    if (!field.belongs_to(result.architecture)) continue;
    field.at(result) = json_int(config, field.name, where);
  }
  result.activation = parse_name(kActivations, config, "activation", where);
  result.norm_eps = static_cast<float>(json_number(config, "norm_eps", where));
  if (result.architecture == Architecture::kBert) {
    result.pooling = parse_name(kPoolings, config, "pooling", where);
    result.normalize = json_bool(config, "normalize", where);
    result.attention.set_heads(result.attention.n_heads, result.attention.head_dim);
  } else {
    result.norm = parse_name(kNormPlacements, config, "norm", where);
    result.residual = json_bool(config, "residual", where);
    result.final_norm = json_bool(config, "final_norm", where);
    result.positions = parse_name(kPositions, config, "positions", where);
    result.batch_first = json_bool(config, "batch_first", where);
    result.attention = attention_from_json(json_field(config, "attention", where),
                                           where + " field \"attention\":");
  }
  if (config.contains("higher_precision")) {
    result.higher_precision = json_strings(config, "higher_precision", where);
  }
  result.validate(file);
  return result;
}

}  // namespace headlane

#include "engine/spec/config.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/enum_names.h"
#include "engine/file/json.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/spec/attention_json.h"

namespace headlane {
namespace {

using json = Json;
using ll = long long;

enum Of : unsigned {
  kOfBert = 1,
  kOfLayers = 2,
  kOfEncoderDecoder = 4,
  kOfTokens = 5,
  kOfDecoders = 6,
  kOfAll = 7
};

unsigned bit_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::kBert:
      return kOfBert;
    case Architecture::kLayers:
      return kOfLayers;
    case Architecture::kEncoderDecoder:
      return kOfEncoderDecoder;
  }
  return 0;
}

struct IntField {
  const char* name;
  int64_t& (*at)(ModelConfig&);
  int64_t min, max;
  Of of;  // the architectures that have it

  bool belongs_to(Architecture architecture) const { return (of & bit_of(architecture)) != 0; }
  int64_t value(const ModelConfig& config) const { return at(const_cast<ModelConfig&>(config)); }
};

// NOLINTNEXTLINE(bugprone-macro-parentheses): a member's name
#define HEADLANE_FIELD(member) [](ModelConfig& config) -> int64_t& { return config.member; }
constexpr IntField kIntFields[] = {
    {"vocab_size", HEADLANE_FIELD(vocab_size), 1, file_limits::kVocabSize, kOfTokens},
    {"n_types", HEADLANE_FIELD(n_types), 0, file_limits::kTypes, kOfBert},
    {"max_positions", HEADLANE_FIELD(max_positions), 2, file_limits::kPositions, kOfTokens},
    {"max_positions", HEADLANE_FIELD(max_positions), 1, file_limits::kPositions, kOfLayers},
    {"n_layers", HEADLANE_FIELD(n_layers), 1, file_limits::kLayers, kOfTokens},
    {"n_layers", HEADLANE_FIELD(n_layers), 0, file_limits::kLayers, kOfLayers},
    {"d_model", HEADLANE_FIELD(d_model), 1, file_limits::kDModel, kOfAll},
    {"kdim", HEADLANE_FIELD(kdim), 1, file_limits::kDModel, kOfLayers},
    {"vdim", HEADLANE_FIELD(vdim), 1, file_limits::kDModel, kOfLayers},
    {"n_heads", HEADLANE_FIELD(attention.n_heads), 1, file_limits::kDModel, kOfBert},
    {"head_dim", HEADLANE_FIELD(attention.head_dim), 1, file_limits::kDModel, kOfBert},
    {"d_ff", HEADLANE_FIELD(d_ff), 1, file_limits::kDFf, kOfTokens},
    {"d_ff", HEADLANE_FIELD(d_ff), 0, file_limits::kDFf, kOfLayers},
    // Two special tokens; the position table's rows are the other bound.
    {"max_seq_len", HEADLANE_FIELD(max_seq_len), 2, file_limits::kPositions, kOfTokens},
    {"position_offset", HEADLANE_FIELD(position_offset), 0, file_limits::kPositions,
     kOfEncoderDecoder},
};
constexpr IntField kDecoderFields[] = {
    {"vocab_size", HEADLANE_FIELD(decoder.vocab_size), 1, file_limits::kVocabSize,
     kOfEncoderDecoder},
    {"max_positions", HEADLANE_FIELD(decoder.max_positions), 1, file_limits::kPositions,
     kOfEncoderDecoder},
    {"n_layers", HEADLANE_FIELD(decoder.n_layers), 1, file_limits::kLayers, kOfDecoders},
    {"d_ff", HEADLANE_FIELD(decoder.d_ff), 1, file_limits::kDFf, kOfDecoders},
};
#undef HEADLANE_FIELD

constexpr EnumName<Architecture> kArchitectures[] = {
    {Architecture::kBert, "bert"},
    {Architecture::kLayers, "layers"},
    {Architecture::kEncoderDecoder, "encoder_decoder"}};
constexpr EnumName<Activation> kActivations[] = {{Activation::kGelu, "gelu"},
                                                 {Activation::kGeluTanh, "gelu_tanh"},
                                                 {Activation::kRelu, "relu"},
                                                 {Activation::kSilu, "silu"}};
constexpr EnumName<Pooling> kPoolings[] = {{Pooling::kNone, "none"},
                                           {Pooling::kMean, "mean"},
                                           {Pooling::kCls, "cls"},
                                           {Pooling::kMax, "max"}};

constexpr EnumName<NormPlacement> kNormPlacements[] = {
    {NormPlacement::kNone, "none"}, {NormPlacement::kPost, "post"}, {NormPlacement::kPre, "pre"}};
constexpr EnumName<NormKind> kNormKinds[] = {{NormKind::kLayer, "layer"}, {NormKind::kRms, "rms"}};
constexpr EnumName<Positions> kPositions[] = {
    {Positions::kNone, "none"},
    {Positions::kLearned, "learned"},
    {Positions::kSinusoidal, "sinusoidal"},
    {Positions::kSinusoidalHalves, "sinusoidal_halves"},
    {Positions::kSinusoidalInclusive, "sinusoidal_inclusive"}};

void check_int(const IntField& field, const ModelConfig& config, const std::string& where) {
  const int64_t value = field.value(config);
  if (value >= field.min && value <= field.max) return;
  fail(Status::kBadFile, "%s field \"%s\" is %lld, outside [%lld, %lld]", where.c_str(), field.name,
       ll{value}, ll{field.min}, ll{field.max});
}

void check_names(const ModelConfig& config, const std::string& where) {
  const std::pair<const char*, const char*> names[] = {
      {"architecture", find_name(kArchitectures, config.architecture)},
      {"activation", find_name(kActivations, config.activation)},
      {"pooling", find_name(kPoolings, config.pooling)},
      {"norm", find_name(kNormPlacements, config.norm)},
      {"norm_kind", find_name(kNormKinds, config.norm_kind)},
      {"positions", find_name(kPositions, config.positions)}};
  for (const auto& [field, name] : names) {
    if (name != nullptr) continue;
    fail(Status::kBadFile, "%s field \"%s\" has no such value", where.c_str(), field);
  }
}

void check_max_seq_len(const ModelConfig& config, const std::string& where) {
  if (config.max_seq_len <= config.max_positions) return;
  fail(Status::kBadFile, "%s field \"max_seq_len\" is %lld, more than \"max_positions\" (%lld)",
       where.c_str(), ll{config.max_seq_len}, ll{config.max_positions});
}

void check_attention(const AttentionSpec& spec, const char* field, const std::string& where) {
  try {
    spec.check();
  } catch (const Error& error) {
    fail(Status::kBadFile, "%s field \"%s\": %s", where.c_str(), field, error.what());
  }
}

// The sinusoids are computed: their table must not be larger than what a file could reasonably be.
void check_position_table(const ModelConfig& config, int64_t max_positions,
                          const std::string& where) {
  constexpr int64_t kMostTableFloats = int64_t{1} << 30;
  const bool computed =
      config.positions != Positions::kNone && config.positions != Positions::kLearned;
  if (!computed || max_positions + config.position_offset <= kMostTableFloats / config.d_model) {
    return;
  }
  fail(Status::kBadFile,
       "%s field \"max_positions\" is %lld: with \"d_model\" %lld the table of sinusoids would "
       "have more than %lld numbers",
       where.c_str(), ll{max_positions}, ll{config.d_model}, ll{kMostTableFloats});
}

void check_positions_of(const AttentionSpec& spec, int64_t max_positions,
                        const std::string& where) {
  if (max_positions <= spec.max_len()) return;
  fail(Status::kBadFile,
       "%s field \"max_positions\" is %lld, but attention's position tables end at %lld",
       where.c_str(), ll{max_positions}, ll{spec.max_len()});
}

void check_bert(const ModelConfig& config, const std::string& where) {
  const int64_t n_heads = config.attention.n_heads, head_dim = config.attention.head_dim;
  if (n_heads * head_dim != config.d_model) {
    fail(Status::kBadFile,
         "%s field \"d_model\" is %lld, which is not \"n_heads\" (%lld) x \"head_dim\" (%lld)",
         where.c_str(), ll{config.d_model}, ll{n_heads}, ll{head_dim});
  }
  check_max_seq_len(config, where);
  check_prompts(config.prompts, where + " field \"prompts\":");
}

void check_decoder_fields(const ModelConfig& config, const std::string& in_decoder) {
  for (const IntField& field : kDecoderFields) {
    if (field.belongs_to(config.architecture)) check_int(field, config, in_decoder);
  }
}

// Their three attentions are of rows of one size, by whatever kernels those of other layers are.
void check_decoder_layers(const ModelConfig& config, const std::string& where) {
  const std::string in_decoder = where + " field \"decoder\":";
  check_decoder_fields(config, in_decoder);
  check_attention(config.decoder.attention, "attention", in_decoder);
  check_attention(config.decoder.cross, "cross", in_decoder);
  check_positions_of(config.decoder.attention, config.max_positions, in_decoder);
  check_positions_of(config.decoder.cross, config.max_positions, in_decoder);
  if (config.n_layers > 0 && config.d_ff == 0) {
    fail(Status::kBadFile, "%s field \"d_ff\" is 0, but the layers before a decoder have one",
         where.c_str());
  }
  if (config.kdim == config.d_model && config.vdim == config.d_model) return;
  fail(Status::kBadFile,
       "%s fields \"kdim\" (%lld) and \"vdim\" (%lld) must be \"d_model\" (%lld), since there is "
       "a decoder",
       where.c_str(), ll{config.kdim}, ll{config.vdim}, ll{config.d_model});
}

void check_layers(const ModelConfig& config, const std::string& where) {
  check_attention(config.attention, "attention", where);
  check_position_table(config, config.max_positions, where);
  check_positions_of(config.attention, config.max_positions, where);
  if (config.decoder.n_layers != 0) return check_decoder_layers(config, where);
  if (config.n_layers == 0) {
    fail(Status::kBadFile, "%s field \"n_layers\" is 0, and there is no \"decoder\"",
         where.c_str());
  }
  if (!config.can_attend_to_itself() && !config.can_attend_to_memory()) {
    fail(
        Status::kBadFile,
        "%s fields \"kdim\" (%lld) and \"vdim\" (%lld) must be \"d_model\" (%lld), since there are "
        "%lld layers",
        where.c_str(), ll{config.kdim}, ll{config.vdim}, ll{config.d_model}, ll{config.n_layers});
  }
}

// What a decoder's steps have no kernel for.
void check_decoder_attention(const AttentionSpec& spec, const char* field,
                             const std::string& where) {
  check_attention(spec, field, where);
  const bool plain = spec.score == Score::kScaledDot || spec.score == Score::kDot;
  if (plain && spec.rotary.dims == 0 && spec.window_left == kernels::AttentionF32Args::kUnlimited) {
    return;
  }
  fail(Status::kBadFile,
       "%s field \"%s\" has a score, rotary positions or a window that decoders "
       "do not have",
       where.c_str(), field);
}

void check_encoder_decoder(const ModelConfig& config, const std::string& where) {
  check_decoder_fields(config, where + " field \"decoder\":");
  check_max_seq_len(config, where);
  check_attention(config.attention, "attention", where);
  const std::string decoder = where + " field \"decoder\":";
  check_decoder_attention(config.decoder.attention, "attention", decoder);
  check_decoder_attention(config.decoder.cross, "cross", decoder);
  if (config.norm == NormPlacement::kNone) {
    fail(Status::kBadFile, "%s field \"norm\" is \"none\"; it must be \"post\" or \"pre\"",
         where.c_str());
  }
  if (!(std::abs(config.embedding_scale) <= 65536.0f)) {
    fail(Status::kBadFile, "%s field \"embedding_scale\" is %g", where.c_str(),
         static_cast<double>(config.embedding_scale));
  }
  check_position_table(config, std::max(config.max_positions, config.decoder.max_positions), where);
  check_positions_of(config.attention, config.max_positions, where);
  check_positions_of(config.decoder.attention, config.decoder.max_positions, decoder);
  check_generation(config.generation, config.decoder.vocab_size, config.decoder.max_positions,
                   where + " field \"generation\":");
}

json decoder_to_json(const ModelConfig& config) {
  json decoder = json::object();
  for (const IntField& field : kDecoderFields) {
    if (field.belongs_to(config.architecture)) decoder[field.name] = field.value(config);
  }
  decoder["attention"] = to_json_of(config.decoder.attention);
  decoder["cross"] = to_json_of(config.decoder.cross);
  return decoder;
}

void read_decoder(const json& config, const std::string& where, ModelConfig* result) {
  const json& decoder = json_field(config, "decoder", where);
  const std::string in_decoder = where + " field \"decoder\":";
  for (const IntField& field : kDecoderFields) {
    if (!field.belongs_to(result->architecture)) continue;
    field.at(*result) = json_int(decoder, field.name, in_decoder);
  }
  result->decoder.attention = attention_from_json(json_field(decoder, "attention", in_decoder),
                                                  in_decoder + " field \"attention\":");
  result->decoder.cross = attention_from_json(json_field(decoder, "cross", in_decoder),
                                              in_decoder + " field \"cross\":");
}

void write_encoder_decoder(const ModelConfig& config, json* to) {
  (*to)["norm_kind"] = find_name(kNormKinds, config.norm_kind);
  (*to)["embedding_norm"] = config.embedding_norm;
  (*to)["embedding_scale"] = shortest_decimal(config.embedding_scale);
  (*to)["gated"] = config.gated;
  (*to)["decoder"] = decoder_to_json(config);
  (*to)["generation"] = to_json_of(config.generation);
}

void read_encoder_decoder(const json& config, const std::string& where, ModelConfig* result) {
  result->norm_kind = parse_name(kNormKinds, config, "norm_kind", where);
  result->embedding_norm = json_bool(config, "embedding_norm", where);
  result->embedding_scale = static_cast<float>(json_number(config, "embedding_scale", where));
  result->gated = json_bool(config, "gated", where);
  read_decoder(config, where, result);
  result->generation = generation_from_json(json_field(config, "generation", where),
                                            where + " field \"generation\":");
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
    if (field.belongs_to(architecture)) check_int(field, *this, where);
  }
  if (!(norm_eps > 0 && norm_eps < 1)) {  // written so that NaN fails
    fail(Status::kBadFile, "%s field \"norm_eps\" is %g, outside (0, 1)", where.c_str(),
         static_cast<double>(norm_eps));
  }
  if (std::ssize(higher_precision) > file_limits::kProductNames) {
    fail(Status::kBadFile, "%s field \"higher_precision\" has %zu names, more than %lld",
         where.c_str(), higher_precision.size(), ll{file_limits::kProductNames});
  }
  switch (architecture) {
    case Architecture::kBert:
      return check_bert(*this, where);
    case Architecture::kLayers:
      return check_layers(*this, where);
    case Architecture::kEncoderDecoder:
      return check_encoder_decoder(*this, where);
  }
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
    if (!prompts.texts.empty()) config["prompts"] = to_json_of(prompts);
  } else {
    config["norm"] = name_of(norm);
    config["final_norm"] = final_norm;
    config["positions"] = find_name(kPositions, positions);
    config["attention"] = to_json_of(attention);
  }
  if (architecture == Architecture::kLayers) {
    config["residual"] = residual;
    config["batch_first"] = batch_first;
    if (decoder.n_layers != 0) config["decoder"] = decoder_to_json(*this);
  }
  if (architecture == Architecture::kEncoderDecoder) write_encoder_decoder(*this, &config);
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
    if (config.contains("prompts")) {
      result.prompts = prompts_from_json(config["prompts"], where + " field \"prompts\":");
    }
    result.attention.set_heads(result.attention.n_heads, result.attention.head_dim);
  } else {
    result.norm = parse_name(kNormPlacements, config, "norm", where);
    result.final_norm = json_bool(config, "final_norm", where);
    result.positions = parse_name(kPositions, config, "positions", where);
    result.attention = attention_from_json(json_field(config, "attention", where),
                                           where + " field \"attention\":");
  }
  if (result.architecture == Architecture::kLayers) {
    result.residual = json_bool(config, "residual", where);
    result.batch_first = json_bool(config, "batch_first", where);
    if (config.contains("decoder")) {
      read_decoder(config, where, &result);
      check_decoder_fields(result, where + " field \"decoder\":");  // 0 layers are not "none" here
    }
  }
  if (result.architecture == Architecture::kEncoderDecoder) {
    read_encoder_decoder(config, where, &result);
  }
  if (config.contains("higher_precision")) {
    result.higher_precision = json_strings(config, "higher_precision", where);
  }
  result.validate(file);
  return result;
}

}  // namespace headlane

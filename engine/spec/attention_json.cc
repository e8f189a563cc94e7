#include "engine/spec/attention_json.h"

#include <algorithm>

#include "engine/file/enum_names.h"
#include "engine/file/json.h"

namespace headlane {
namespace {

using json = Json;

constexpr EnumName<Score> kScores[] = {{Score::kScaledDot, "scaled_dot"},
                                       {Score::kDot, "dot"},
                                       {Score::kBilinear, "bilinear"},
                                       {Score::kAdditive, "additive"}};
constexpr EnumName<Causal> kCausals[] = {{Causal::kNone, "none"},
                                         {Causal::kUpperLeft, "upper_left"},
                                         {Causal::kLowerRight, "lower_right"}};
constexpr EnumName<RotaryScaling> kScalings[] = {{RotaryScaling::kNone, "none"},
                                                 {RotaryScaling::kLinear, "linear"},
                                                 {RotaryScaling::kNtk, "ntk"},
                                                 {RotaryScaling::kYarn, "yarn"},
                                                 {RotaryScaling::kLlama3, "llama3"}};

constexpr int64_t kUnlimited = kernels::AttentionF32Args::kUnlimited;

json window_json(int64_t window) { return window == kUnlimited ? json(nullptr) : json(window); }

int64_t read_window(const json& object, const char* key, const std::string& where) {
  const int64_t window = json_int(object, key, where, kUnlimited);
  if (window >= 0) return std::min(window, kUnlimited);
  fail(Status::kBadFile, "%s field \"%s\" is %lld; it must be 0 or more, or null", where.c_str(),
       key, static_cast<long long>(window));
}

json rotary_json(const RotarySpec& rotary) {
  if (rotary.dims == 0) return nullptr;
  return {{"dims", rotary.dims},
          {"interleaved", rotary.interleaved},
          {"base", rotary.base},
          {"max_positions", rotary.max_positions},
          {"scaling", find_name(kScalings, rotary.scaling)},
          {"factor", rotary.factor},
          {"original_max_positions", rotary.original_max_positions},
          {"beta_fast", rotary.beta_fast},
          {"beta_slow", rotary.beta_slow},
          {"attention_factor", rotary.attention_factor},
          {"low_freq_factor", rotary.low_freq_factor},
          {"high_freq_factor", rotary.high_freq_factor},
          {"truncate", rotary.truncate}};
}

RotarySpec read_rotary(const json& object, const std::string& where) {
  RotarySpec rotary;
  rotary.dims = json_int(object, "dims", where);
  rotary.interleaved = json_bool(object, "interleaved", where);
  rotary.base = json_number(object, "base", where);
  rotary.max_positions = json_int(object, "max_positions", where);
  rotary.scaling = parse_name(kScalings, object, "scaling", where);
  rotary.factor = json_number(object, "factor", where);
  rotary.original_max_positions = json_int(object, "original_max_positions", where);
  rotary.beta_fast = json_number(object, "beta_fast", where);
  rotary.beta_slow = json_number(object, "beta_slow", where);
  rotary.attention_factor = json_number(object, "attention_factor", where);
  rotary.low_freq_factor = json_number(object, "low_freq_factor", where);
  rotary.high_freq_factor = json_number(object, "high_freq_factor", where);
  rotary.truncate = json_bool(object, "truncate", where);
  return rotary;
}

json relative_json(const RelativeBiasSpec& relative) {
  if (relative.n_buckets == 0) return nullptr;
  return {{"n_buckets", relative.n_buckets},
          {"max_distance", relative.max_distance},
          {"bidirectional", relative.bidirectional},
          {"max_len", relative.max_len}};
}

RelativeBiasSpec read_relative(const json& object, const std::string& where) {
  RelativeBiasSpec relative;
  relative.n_buckets = json_int(object, "n_buckets", where);
  relative.max_distance = json_int(object, "max_distance", where);
  relative.bidirectional = json_bool(object, "bidirectional", where);
  relative.max_len = json_int(object, "max_len", where);
  return relative;
}

}  // namespace

json to_json_of(const AttentionSpec& spec) {
  return {{"n_heads", spec.n_heads},
          {"n_kv_heads", spec.n_kv_heads},
          {"head_dim", spec.head_dim},
          {"v_dim", spec.v_dim},
          {"score", find_name(kScores, spec.score)},
          {"scale", shortest_decimal(spec.scale)},
          {"softcap", shortest_decimal(spec.softcap)},
          {"causal", find_name(kCausals, spec.causal)},
          {"window_left", window_json(spec.window_left)},
          {"window_right", window_json(spec.window_right)},
          {"rotary", rotary_json(spec.rotary)},
          {"relative_bias", relative_json(spec.relative)}};
}

AttentionSpec attention_from_json(const json& object, const std::string& where) {
  AttentionSpec spec;
  spec.n_heads = json_int(object, "n_heads", where);
  spec.n_kv_heads = json_int(object, "n_kv_heads", where);
  spec.head_dim = json_int(object, "head_dim", where);
  spec.v_dim = json_int(object, "v_dim", where);
  spec.score = parse_name(kScores, object, "score", where);
  spec.scale = static_cast<float>(json_number(object, "scale", where));
  spec.softcap = static_cast<float>(json_number(object, "softcap", where));
  spec.causal = parse_name(kCausals, object, "causal", where);
  spec.window_left = read_window(object, "window_left", where);
  spec.window_right = read_window(object, "window_right", where);
  if (json_has(object, "rotary", where)) {
    spec.rotary = read_rotary(object["rotary"], where + " field \"rotary\":");
  }
  if (json_has(object, "relative_bias", where)) {
    spec.relative = read_relative(object["relative_bias"], where + " field \"relative_bias\":");
  }
  return spec;
}

}  // namespace headlane

// A small config of an encoder, and what the tests of configs expect of any config's fields.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "engine/spec/config.h"
#include "tests/support/expect_error.h"
#include "tests/support/json_values.h"

namespace headlane {

inline ModelConfig small_config() {
  ModelConfig config;
  config.architecture = "small";
  config.d_model = 32;
  config.max_seq_len = 48;
  StackConfig& encoder = config.encoder;
  encoder.n_layers = 3;
  encoder.vocab_size = 100;
  encoder.n_types = 2;
  encoder.embedding_norm = true;
  encoder.max_positions = 64;
  encoder.positions = Positions::kLearned;
  encoder.attention.set_heads(4, 8);
  encoder.d_ff = 128;
  encoder.activation = Activation::kGeluTanh;
  encoder.norm_eps = 1e-12f;
  encoder.biases = true;
  config.head = {HeadKind::kPool, Pooling::kCls, true};
  config.head.steps = {{HeadStepKind::kDense, 7, Activation::kTanh},
                       {HeadStepKind::kNormalize},
                       {.kind = HeadStepKind::kLayerNorm, .eps = 1e-6f}};
  config.head.beside = {{Pooling::kLastToken}, {Pooling::kWeightedMean}};
  config.head.use = {Similarity::kDot, 5, true};
  return config;
}

// `path`: the fields that lead to an object, "" for the config itself. Each of its fields must be
// there, with its type, unless it is one of `optional`.
inline void expect_required_and_typed(const nlohmann::json& good, const std::string& path,
                                      const std::string& where,
                                      const std::set<std::string>& optional = {}) {
  using nlohmann::json;
  const json::json_pointer at(path);
  for (const auto& [key, value] : good.at(at).items()) {
    json config = good;
    config.at(at).erase(key);
    if (!optional.contains(key)) {
      EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
                   "m: config" + where + " field \"" + key + "\" is missing");
    }
    if (key.ends_with("_id")) continue;  // what ids may be is a matter of range
    for (const json& wrong : {json(nullptr), json::array(), json::object(), json("3x"), json(1.5),
                              json(true), json(uint64_t{1} << 63), json(1e30), json(-1)}) {
      if (wrong.type() == value.type()) continue;
      if (value.is_number_float() && wrong.is_number()) continue;  // a range, not a type
      if (value.is_number() && wrong.is_number_integer()) continue;
      if (wrong.is_null() && optional.contains(key)) continue;
      config = good;
      config.at(at)[key] = wrong;
      EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
                   "m: config" + where + " field \"" + key + "\"");
    }
    config = good;
    config.at(at)["of a later version"] = value;
    EXPECT_ERROR(
        ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
        "m: config" + where + " field \"of a later version\" is not known to this version");
  }
}

// An integer that a config holds, and its bounds, which it may be.
struct IntegerRange {
  const char* name;
  int64_t& (*member)(ModelConfig&);
  int64_t min, max;
};
// Its member, as a path from the config.
#define CONFIG_MEMBER(path) [](ModelConfig& config) -> int64_t& { return config.path; }

inline void expect_range(ModelConfig (*make)(), const IntegerRange& range) {
  for (const int64_t value : {range.min - 1, range.max + 1, INT64_MIN, INT64_MAX}) {
    ModelConfig config = make();
    range.member(config) = value;
    EXPECT_ERROR(
        config.validate("m"), Status::kBadFile,
        std::string("field \"") + range.name + "\" is " + std::to_string(value) + ", outside [");
  }
}

}  // namespace headlane

#include "engine/model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"

namespace headlane {
namespace {

using nlohmann::json;

ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 100;
  config.n_types = 2;
  config.max_positions = 64;
  config.n_layers = 3;
  config.d_model = 32;
  config.attention.n_heads = 4;
  config.attention.head_dim = 8;
  config.d_ff = 128;
  config.activation = Activation::kGeluTanh;
  config.norm_eps = 1e-12f;
  config.pooling = Pooling::kCls;
  config.normalize = true;
  config.max_seq_len = 48;
  return config;
}

TEST(Config, Names) {
  EXPECT_STREQ(name_of(Architecture::kBert), "bert");
  EXPECT_STREQ(name_of(Activation::kGelu), "gelu");
  EXPECT_STREQ(name_of(Activation::kGeluTanh), "gelu_tanh");
  EXPECT_STREQ(name_of(Activation::kRelu), "relu");
  EXPECT_STREQ(name_of(Pooling::kNone), "none");
  EXPECT_STREQ(name_of(Pooling::kMean), "mean");
  EXPECT_STREQ(name_of(Pooling::kCls), "cls");
  EXPECT_STREQ(name_of(Pooling::kMax), "max");
}

TEST(Config, RoundTripThroughText) {
  const ModelConfig config = small_config();
  const std::string text = config.to_json().dump();
  EXPECT_NE(text.find("\"norm_eps\":1e-12"), std::string::npos) << text;
  const ModelConfig read = ModelConfig::from_json(json::parse(text), "m");
  EXPECT_EQ(read.to_json(), config.to_json());
  EXPECT_EQ(read.norm_eps, 1e-12f);
  EXPECT_EQ(read.vocab_size, 100);
  EXPECT_EQ(read.n_types, 2);
  EXPECT_EQ(read.max_positions, 64);
  EXPECT_EQ(read.n_layers, 3);
  EXPECT_EQ(read.d_model, 32);
  EXPECT_EQ(read.attention.n_heads, 4);
  EXPECT_EQ(read.attention.head_dim, 8);
  EXPECT_EQ(read.d_ff, 128);
  EXPECT_EQ(read.max_seq_len, 48);
  EXPECT_EQ(read.activation, Activation::kGeluTanh);
  EXPECT_EQ(read.pooling, Pooling::kCls);
  EXPECT_TRUE(read.normalize);
}

TEST(Config, EveryFloatEpsilonSurvives) {
  for (const float eps : {1e-5f, 1e-6f, 0.1f, 1.17549435e-38f, 1.4e-45f, 0.99999994f}) {
    ModelConfig config = small_config();
    config.norm_eps = eps;
    const json read = json::parse(config.to_json().dump());
    EXPECT_EQ(ModelConfig::from_json(read, "m").norm_eps, eps);
  }
}

TEST(Config, EveryFieldIsRequiredAndTyped) {
  const json good = small_config().to_json();
  ASSERT_EQ(good.size(), 14u);
  for (const auto& [key, value] : good.items()) {
    json config = good;
    config.erase(key);
    EXPECT_ERROR(ModelConfig::from_json(config, "m.headlane"), Status::kBadFile,
                 "m.headlane: config field \"" + key + "\" is missing");
    for (const json& wrong : {json(nullptr), json::array(), json::object(), json("3x"), json(1.5),
                              json(true), json(uint64_t{1} << 63), json(1e30), json(-1)}) {
      if (wrong.type() == value.type()) continue;
      if (value.is_number_float() && wrong.is_number()) continue;  // a range, not a type
      config = good;
      config[key] = wrong;
      EXPECT_ERROR(ModelConfig::from_json(config, "m.headlane"), Status::kBadFile,
                   "m.headlane: config field \"" + key + "\" is ");
    }
  }
  EXPECT_ERROR(ModelConfig::from_json(json::array(), "m"), Status::kBadFile, "m: config is not");
}

TEST(Config, UnknownNamesListTheKnown) {
  json config = small_config().to_json();
  config["activation"] = "swish";
  EXPECT_ERROR(ModelConfig::from_json(config, "m"), Status::kBadFile,
               "m: config field \"activation\" is \"swish\", not one of: gelu, gelu_tanh, relu");
  config = small_config().to_json();
  config["pooling"] = "Mean";
  EXPECT_ERROR(ModelConfig::from_json(config, "m"), Status::kBadFile, "none, mean, cls, max");
  config = small_config().to_json();
  config["architecture"] = "t5";
  EXPECT_ERROR(ModelConfig::from_json(config, "m"), Status::kBadFile, "not one of: bert");
}

struct Range {
  const char* name;
  int64_t& (*member)(ModelConfig&);
  int64_t min, max;
};

class ConfigRange : public testing::TestWithParam<Range> {};

TEST_P(ConfigRange, OneBelowAndOneAbove) {
  const Range& range = GetParam();
  for (const int64_t value : {range.min - 1, range.max + 1, INT64_MIN, INT64_MAX}) {
    ModelConfig config = small_config();
    range.member(config) = value;
    EXPECT_ERROR(config.validate("m"), Status::kBadFile,
                 std::string("m: config field \"") + range.name + "\" is " + std::to_string(value) +
                     ", outside [");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fields, ConfigRange,
    testing::Values(
        Range{"vocab_size", [](ModelConfig& c) -> int64_t& { return c.vocab_size; }, 1, 1 << 24},
        Range{"n_types", [](ModelConfig& c) -> int64_t& { return c.n_types; }, 0, 1 << 16},
        Range{"max_positions", [](ModelConfig& c) -> int64_t& { return c.max_positions; }, 2,
              1 << 20},
        Range{"n_layers", [](ModelConfig& c) -> int64_t& { return c.n_layers; }, 1, 1024},
        Range{"d_model", [](ModelConfig& c) -> int64_t& { return c.d_model; }, 1, 65536},
        Range{"n_heads", [](ModelConfig& c) -> int64_t& { return c.attention.n_heads; }, 1, 65536},
        Range{"head_dim", [](ModelConfig& c) -> int64_t& { return c.attention.head_dim; }, 1,
              65536},
        Range{"d_ff", [](ModelConfig& c) -> int64_t& { return c.d_ff; }, 1, 1 << 20},
        Range{"max_seq_len", [](ModelConfig& c) -> int64_t& { return c.max_seq_len; }, 2, 1 << 20}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(Config, FieldsAgree) {
  ModelConfig config = small_config();
  config.attention.n_heads = 5;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile,
               "config field \"d_model\" is 32, which is not \"n_heads\" (5) x \"head_dim\" (8)");
  config = small_config();
  config.max_seq_len = config.max_positions;
  EXPECT_NO_THROW(config.validate("m"));
  config.max_seq_len = config.max_positions + 1;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "field \"max_seq_len\" is 65, more than");
}

TEST(Config, EpsilonIsBetweenZeroAndOne) {
  for (const float eps : {0.0f, -1e-5f, 1.0f, std::numeric_limits<float>::infinity(), NAN}) {
    ModelConfig config = small_config();
    config.norm_eps = eps;
    EXPECT_ERROR(config.validate("m"), Status::kBadFile, "config field \"norm_eps\" is ");
  }
  json config = small_config().to_json();
  config["norm_eps"] = 1e-60;  // 0 as a float
  EXPECT_ERROR(ModelConfig::from_json(config, "m"), Status::kBadFile, "\"norm_eps\" is 0, outside");
}

TEST(Config, EnumsOutOfRange) {
  ModelConfig config = small_config();
  config.activation = static_cast<Activation>(99);
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "config field \"activation\"");
  EXPECT_STREQ(name_of(config.activation), "unknown");
}

}  // namespace
}  // namespace headlane

#include "engine/spec/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/expect_error.h"
#include "tests/support/json_values.h"

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
  const ModelConfig read = ModelConfig::from_json(engine_json(json::parse(text)), "m");
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
    EXPECT_EQ(ModelConfig::from_json(engine_json(read), "m").norm_eps, eps);
  }
}

TEST(Config, EveryFieldIsRequiredAndTyped) {
  const json good = library_json(small_config().to_json());
  ASSERT_EQ(good.size(), 14u);
  for (const auto& [key, value] : good.items()) {
    json config = good;
    config.erase(key);
    EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m.headlane"), Status::kBadFile,
                 "m.headlane: config field \"" + key + "\" is missing");
    for (const json& wrong : {json(nullptr), json::array(), json::object(), json("3x"), json(1.5),
                              json(true), json(uint64_t{1} << 63), json(1e30), json(-1)}) {
      if (wrong.type() == value.type()) continue;
      if (value.is_number_float() && wrong.is_number()) continue;  // a range, not a type
      config = good;
      config[key] = wrong;
      EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m.headlane"), Status::kBadFile,
                   "m.headlane: config field \"" + key + "\" is ");
    }
  }
  EXPECT_ERROR(ModelConfig::from_json(engine_json(json::array()), "m"), Status::kBadFile,
               "m: config is not");
}

TEST(Config, UnknownNamesListTheKnown) {
  json config = library_json(small_config().to_json());
  config["activation"] = "swish";
  EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
               "m: config field \"activation\" is \"swish\", not one of: gelu, gelu_tanh, relu");
  config = library_json(small_config().to_json());
  config["pooling"] = "Mean";
  EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
               "none, mean, cls, max");
  config = library_json(small_config().to_json());
  config["architecture"] = "t5";
  EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
               "not one of: bert");
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
  json config = library_json(small_config().to_json());
  config["norm_eps"] = 1e-60;  // 0 as a float
  EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
               "\"norm_eps\" is 0, outside");
}

TEST(Config, Prompts) {
  ModelConfig config = small_config();
  EXPECT_FALSE(config.to_json().contains("prompts")) << "files without prompts stay as they were";
  config.prompts.texts = {{"query", "query: "}, {"passage", ""}};
  config.prompts.default_name = "query";
  const json good = library_json(config.to_json());
  const ModelConfig read = ModelConfig::from_json(engine_json(good), "m");
  EXPECT_EQ(read.prompts.texts, config.prompts.texts);
  EXPECT_EQ(read.prompts.default_text(), "query: ");
  const auto refused = [&](const char* pointer, const json& value, const std::string& words) {
    json changed = good;
    changed["prompts"][json::json_pointer(pointer)] = value;
    EXPECT_ERROR(ModelConfig::from_json(engine_json(changed), "m"), Status::kBadFile,
                 "m: config field \"prompts\":" + words);
  };
  refused("/default", "title",
          " has no prompt \"title\", which is to be the default; it has: docum");
  refused("/default", 3, " field \"default\" is 3, not a string");
  refused("/texts", json::array(), " field \"texts\" is not a JSON object");
  refused("/texts/query", 3, " field \"texts\": field \"query\" is 3, not a string");
  refused("/texts/query", std::string("a\0b", 3), " has a prompt with a NUL byte");
  refused("/texts/query", std::string(65537, 'x'), " has a prompt of 65537 bytes, more than 65536");
  refused("/texts", {{"", "x"}}, " has a prompt without a name");
  for (int i = 0; i < 4096; ++i) config.prompts.texts["p" + std::to_string(i)] = "x";
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "has 4098 prompts, more than 4096");
}

TEST(Config, EnumsOutOfRange) {
  ModelConfig config = small_config();
  config.activation = static_cast<Activation>(99);
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "config field \"activation\"");
  EXPECT_STREQ(name_of(config.activation), "unknown");
}

// Every field has another value than it has by default.
ModelConfig small_encoder_decoder() {
  ModelConfig config = small_config();
  config.architecture = Architecture::kEncoderDecoder;
  config.attention.set_heads(4, 7);
  config.attention.score = Score::kDot;
  config.attention.scale = 1;
  config.attention.relative = {8, 16, true, 64};
  config.activation = Activation::kSilu;
  config.norm = NormPlacement::kPre;
  config.final_norm = true;
  config.positions = Positions::kSinusoidalInclusive;
  config.norm_kind = NormKind::kRms;
  config.embedding_norm = true;
  config.embedding_scale = 5.6568542f;
  config.position_offset = 2;
  config.gated = true;
  DecoderConfig& decoder = config.decoder;
  decoder.vocab_size = 90;
  decoder.max_positions = 50;
  decoder.n_layers = 5;
  decoder.d_ff = 33;
  decoder.attention = config.attention;
  decoder.attention.causal = Causal::kLowerRight;
  decoder.attention.relative = {6, 12, false, 50};
  decoder.cross.set_heads(3, 9);
  config.generation = {.start_id = 89,
                       .pad_id = 88,
                       .end_ids = {0, 87},
                       .forced_first_id = 86,
                       .forced_last_id = 87,
                       .suppressed_ids = {88, 3},
                       .max_new_tokens = 50,
                       .min_new_tokens = 2,
                       .n_beams = 86,
                       .length_penalty = -0.6,
                       .early_stopping = EarlyStopping::kNever,
                       .repetition_penalty = 1.3,
                       .renormalize = true};
  return config;
}

TEST(EncoderDecoderConfig, RoundTripThroughText) {
  const ModelConfig config = small_encoder_decoder();
  EXPECT_STREQ(name_of(config.architecture), "encoder_decoder");
  EXPECT_STREQ(name_of(config.activation), "silu");
  const ModelConfig read =
      ModelConfig::from_json(engine_json(json::parse(config.to_json().dump())), "m");
  EXPECT_EQ(read.to_json(), config.to_json());
  EXPECT_EQ(read.architecture, Architecture::kEncoderDecoder);
  EXPECT_EQ(read.vocab_size, 100);
  EXPECT_EQ(read.d_ff, 128);
  EXPECT_EQ(read.attention.n_heads, 4);
  EXPECT_EQ(read.attention.relative.n_buckets, 8);
  EXPECT_TRUE(read.attention.relative.bidirectional);
  EXPECT_EQ(read.norm, NormPlacement::kPre);
  EXPECT_TRUE(read.final_norm);
  EXPECT_EQ(read.positions, Positions::kSinusoidalInclusive);
  EXPECT_EQ(read.norm_kind, NormKind::kRms);
  EXPECT_TRUE(read.embedding_norm);
  EXPECT_EQ(read.embedding_scale, 5.6568542f);
  EXPECT_EQ(read.position_offset, 2);
  EXPECT_TRUE(read.gated);
  EXPECT_EQ(read.decoder.vocab_size, 90);
  EXPECT_EQ(read.decoder.max_positions, 50);
  EXPECT_EQ(read.decoder.n_layers, 5);
  EXPECT_EQ(read.decoder.d_ff, 33);
  EXPECT_EQ(read.decoder.attention.causal, Causal::kLowerRight);
  EXPECT_EQ(read.decoder.attention.relative.max_len, 50);
  EXPECT_EQ(read.decoder.cross.n_heads, 3);
  EXPECT_EQ(read.decoder.cross.relative.n_buckets, 0);
  const GenerationDefaults& generation = read.generation;
  EXPECT_EQ(generation.start_id, 89);
  EXPECT_EQ(generation.pad_id, 88);
  EXPECT_EQ(generation.end_ids, (std::vector<int32_t>{0, 87}));
  EXPECT_EQ(generation.forced_first_id, 86);
  EXPECT_EQ(generation.forced_last_id, 87);
  EXPECT_EQ(generation.suppressed_ids, (std::vector<int32_t>{88, 3}));
  EXPECT_EQ(generation.max_new_tokens, 50);
  EXPECT_EQ(generation.min_new_tokens, 2);
  EXPECT_EQ(generation.n_beams, 86);
  EXPECT_EQ(generation.length_penalty, -0.6);
  EXPECT_EQ(generation.early_stopping, EarlyStopping::kNever);
  EXPECT_EQ(generation.repetition_penalty, 1.3);
  EXPECT_TRUE(generation.renormalize);
}

// `path`: the fields that lead to an object, "" for the config itself.
void expect_required_and_typed(const std::string& path, const std::string& where) {
  const json good = library_json(small_encoder_decoder().to_json());
  const json::json_pointer at(path);
  for (const auto& [key, value] : good.at(at).items()) {
    json config = good;
    config.at(at).erase(key);
    EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
                 "m: config" + where + " field \"" + key + "\" is missing");
    // Ids that are none are a matter of range.
    if (key.ends_with("_id")) continue;
    for (const json& wrong : {json(nullptr), json::array(), json::object(), json("3x"), json(1.5),
                              json(true), json(uint64_t{1} << 63), json(1e30), json(-1)}) {
      if (wrong.type() == value.type()) continue;
      if (value.is_number_float() && wrong.is_number()) continue;
      if (value.is_number() && wrong.is_number_integer()) continue;
      config = good;
      config.at(at)[key] = wrong;
      EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
                   "m: config" + where + " field \"" + key + "\"");
    }
  }
}

TEST(EncoderDecoderConfig, EveryFieldIsRequiredAndTyped) {
  expect_required_and_typed("", "");
  expect_required_and_typed("/decoder", " field \"decoder\":");
  expect_required_and_typed("/generation", " field \"generation\":");
}

TEST(EncoderDecoderConfig, IntegersOneBelowAndOneAbove) {
  const Range fields[] = {
      {"position_offset", [](ModelConfig& c) -> int64_t& { return c.position_offset; }, 0, 1 << 20},
      {"vocab_size", [](ModelConfig& c) -> int64_t& { return c.decoder.vocab_size; }, 1, 1 << 24},
      {"max_positions", [](ModelConfig& c) -> int64_t& { return c.decoder.max_positions; }, 1,
       1 << 20},
      {"n_layers", [](ModelConfig& c) -> int64_t& { return c.decoder.n_layers; }, 1, 1024},
      {"d_ff", [](ModelConfig& c) -> int64_t& { return c.decoder.d_ff; }, 1, 1 << 20},
      {"max_new_tokens", [](ModelConfig& c) -> int64_t& { return c.generation.max_new_tokens; }, 1,
       50},
      {"min_new_tokens", [](ModelConfig& c) -> int64_t& { return c.generation.min_new_tokens; }, 0,
       50},
      {"n_beams", [](ModelConfig& c) -> int64_t& { return c.generation.n_beams; }, 1, 90}};
  for (const Range& field : fields) {
    for (const int64_t value : {field.min - 1, field.max + 1, INT64_MIN, INT64_MAX}) {
      ModelConfig config = small_encoder_decoder();
      field.member(config) = value;
      EXPECT_ERROR(
          config.validate("m"), Status::kBadFile,
          std::string("field \"") + field.name + "\" is " + std::to_string(value) + ", outside [");
    }
  }
}

TEST(EncoderDecoderConfig, IdsAreOfTheDecodersVocabulary) {
  const json good = library_json(small_encoder_decoder().to_json());
  const std::string where = "m: config field \"generation\": field \"";
  for (const char* key : {"start_id", "pad_id", "forced_first_id", "forced_last_id"}) {
    const bool optional = std::string(key) != "start_id";
    for (const json& id : {json(90), json(-1), json(-2), json(INT64_MIN), json(uint64_t{1} << 63),
                           json(1.0), json("3")}) {
      json config = good;
      config["generation"][key] = id;
      if (optional && id == -1) {
        EXPECT_NO_THROW(ModelConfig::from_json(engine_json(config), "m"));
        continue;
      }
      EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
                   where + key + "\" has");
    }
  }
  for (const char* key : {"end_ids", "suppressed_ids"}) {
    for (const json& id : {json(90), json(-1), json(1.0), json("3"), json(nullptr)}) {
      json config = good;
      config["generation"][key] = {3, id};
      EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
                   where + key + "\" has");
    }
    json config = good;
    config["generation"][key] = std::vector<int>(4097, 3);
    EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
                 "more than 4096 ids");
    config["generation"][key] = json::array();
    EXPECT_NO_THROW(ModelConfig::from_json(engine_json(config), "m"));
  }
}

TEST(EncoderDecoderConfig, NumbersAreFinite) {
  for (const double value : {std::numeric_limits<double>::infinity(), double{NAN}}) {
    ModelConfig config = small_encoder_decoder();
    config.generation.length_penalty = value;
    EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"length_penalty\"");
    config = small_encoder_decoder();
    config.generation.repetition_penalty = value;
    EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"repetition_penalty\"");
    config = small_encoder_decoder();
    config.embedding_scale = static_cast<float>(value);
    EXPECT_ERROR(config.validate("m"), Status::kBadFile, "field \"embedding_scale\" is ");
  }
  ModelConfig config = small_encoder_decoder();
  config.generation.repetition_penalty = 0;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile,
               "\"repetition_penalty\" is 0; it must be positive");
}

TEST(EncoderDecoderConfig, WhatDecodersDoNotHave) {
  const auto refuse = [](void (*spoil)(ModelConfig*), const std::string& words) {
    ModelConfig config = small_encoder_decoder();
    spoil(&config);
    EXPECT_ERROR(config.validate("m"), Status::kBadFile, "m: config field " + words);
  };
  refuse([](ModelConfig* c) { c->norm = NormPlacement::kNone; }, "\"norm\" is \"none\"");
  refuse([](ModelConfig* c) { c->max_seq_len = 65; }, "\"max_seq_len\" is 65, more than");
  refuse([](ModelConfig* c) { c->attention.n_kv_heads = 3; }, "\"attention\": n_kv_heads is 3");
  refuse([](ModelConfig* c) { c->attention.relative.max_len = 63; },
         "\"max_positions\" is 64, but attention's position tables end at 63");
  refuse([](ModelConfig* c) { c->decoder.attention.relative.max_len = 49; },
         "\"decoder\": field \"max_positions\" is 50, but attention's");
  refuse([](ModelConfig* c) { c->decoder.attention.window_left = 3; },
         "\"decoder\": field \"attention\" has a score");
  refuse([](ModelConfig* c) { c->decoder.cross.rotary = {.dims = 8, .max_positions = 64}; },
         "\"decoder\": field \"cross\" has a score");
  refuse(
      [](ModelConfig* c) {
        c->decoder.cross.score = Score::kAdditive;
        c->decoder.cross.scale = 1;
      },
      "\"decoder\": field \"cross\" has a score");
  refuse(
      [](ModelConfig* c) {
        c->d_model = 65536;
        c->position_offset = 1 << 20;
      },
      "\"max_positions\" is 64: with \"d_model\" 65536 the table of sinusoids");
}

}  // namespace
}  // namespace headlane

#include "engine/spec/config.h"

#include <cmath>
#include <limits>

#include "tests/engine/spec/config_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

TEST(Config, Names) {
  EXPECT_STREQ(name_of(Activation::kGelu), "gelu");
  EXPECT_STREQ(name_of(Activation::kGeluTanh), "gelu_tanh");
  EXPECT_STREQ(name_of(Activation::kRelu), "relu");
  EXPECT_STREQ(name_of(NormPlacement::kPre), "pre");
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
  EXPECT_EQ(read.architecture, "small");
  EXPECT_TRUE(read.takes_tokens() && read.has_encoder());
  EXPECT_FALSE(read.has_decoder() || read.generates());
  EXPECT_EQ(read.d_model, 32);
  EXPECT_EQ(read.max_seq_len, 48);
  EXPECT_EQ(read.encoder.n_layers, 3);
  EXPECT_EQ(read.encoder.vocab_size, 100);
  EXPECT_EQ(read.encoder.n_types, 2);
  EXPECT_EQ(read.encoder.embedding_scale, 1);
  EXPECT_TRUE(read.encoder.embedding_norm);
  EXPECT_EQ(read.encoder.max_positions, 64);
  EXPECT_EQ(read.encoder.positions, Positions::kLearned);
  EXPECT_EQ(read.encoder.attention.n_heads, 4);
  EXPECT_EQ(read.encoder.attention.head_dim, 8);
  EXPECT_EQ(read.encoder.attention.scale, config.encoder.attention.scale);
  EXPECT_FALSE(read.encoder.has_cross());
  EXPECT_EQ(read.encoder.d_ff, 128);
  EXPECT_EQ(read.encoder.activation, Activation::kGeluTanh);
  EXPECT_EQ(read.encoder.norm_eps, 1e-12f);
  EXPECT_TRUE(read.encoder.residual && read.encoder.biases);
  EXPECT_EQ(read.head.kind, HeadKind::kPool);
  EXPECT_EQ(read.head.pooling, Pooling::kCls);
  EXPECT_TRUE(read.head.normalize);
  ASSERT_EQ(read.head.steps.size(), 3u);
  EXPECT_EQ(read.head.steps[0].kind, HeadStepKind::kDense);
  EXPECT_EQ(read.head.steps[0].columns, 7);
  EXPECT_EQ(read.head.steps[0].activation, Activation::kTanh);
  EXPECT_EQ(read.head.steps[1].kind, HeadStepKind::kNormalize);
  EXPECT_EQ(read.head.steps[2].eps, 1e-6f);
  EXPECT_EQ(read.vector_columns(), 7);
  EXPECT_EQ(read.meant_columns(), 5);
  ASSERT_EQ(read.head.beside.size(), 2u);
  EXPECT_EQ(read.head.beside[1].pooling, Pooling::kWeightedMean);
  EXPECT_EQ(read.head.use.similarity, Similarity::kDot);
  EXPECT_TRUE(read.head.use.leaves_out_prompt);
}

TEST(Config, EveryFloatEpsilonSurvives) {
  for (const float eps : {1e-5f, 1e-6f, 0.1f, 1.17549435e-38f, 1.4e-45f, 0.99999994f}) {
    ModelConfig config = small_config();
    config.encoder.norm_eps = eps;
    const json read = json::parse(config.to_json().dump());
    EXPECT_EQ(ModelConfig::from_json(engine_json(read), "m").encoder.norm_eps, eps);
  }
}

TEST(Config, EveryFieldIsRequiredAndTyped) {
  const json good = library_json(small_config().to_json());
  ASSERT_EQ(good.size(), 6u);
  ASSERT_EQ(good["encoder"].size(), 18u);
  expect_required_and_typed(good, "/encoder", " field \"encoder\":");
  expect_required_and_typed(good, "/head", " field \"head\":", {"steps", "beside", "use"});
  expect_required_and_typed(good, "/head/use", " field \"head\": field \"use\":");
  expect_required_and_typed(good, "", "", {"encoder", "architecture"});
  for (const json& wrong : {json::array(), json("x"), json(3)}) {
    EXPECT_ERROR(ModelConfig::from_json(engine_json(wrong), "m"), Status::kBadFile,
                 "m: config is not a JSON object");
  }
}

TEST(Config, UnknownNamesListTheKnown) {
  const auto refused = [](const char* pointer, const char* name, const std::string& words) {
    json config = library_json(small_config().to_json());
    config[json::json_pointer(pointer)] = name;
    EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile, words);
  };
  refused("/encoder/activation", "swish",
          "m: config field \"encoder\": field \"activation\" is \"swish\", not one of: gelu, "
          "gelu_tanh, relu");
  refused("/head/pooling", "Mean",
          "none, mean, cls, max, mean_sqrt_len_tokens, weightedmean, lasttoken");
  refused("/head/use/similarity", "cos", "cosine, dot, euclidean, manhattan");
  refused("/head/beside/0/pooling", "none", "field \"beside\" has a pooling \"none\"");
  refused("/head/steps/1/kind", "Dense", "dense, layer_norm, normalize");
  refused("/head/kind", "classifier", "not one of: hidden, pool, classify, logits");
  refused("/inputs", "pixels", "not one of: tokens, activations");
}

// It is for people alone.
TEST(Config, TheNameOfAnArchitectureDecidesNothing) {
  for (const char* name : {"bert", "layers", "", "of tomorrow"}) {
    json config = library_json(small_config().to_json());
    config["architecture"] = name;
    EXPECT_EQ(ModelConfig::from_json(engine_json(config), "m").architecture, name);
  }
  ModelConfig config = small_config();
  config.architecture = std::string("a\0b", 3);
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"architecture\" has a NUL byte");
}

class ConfigRange : public testing::TestWithParam<IntegerRange> {};

TEST_P(ConfigRange, OneBelowAndOneAbove) { expect_range(small_config, GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Fields, ConfigRange,
    testing::Values(IntegerRange{"vocab_size", CONFIG_MEMBER(encoder.vocab_size), 1, 1 << 24},
                    IntegerRange{"n_types", CONFIG_MEMBER(encoder.n_types), 0, 1 << 16},
                    IntegerRange{"max_positions", CONFIG_MEMBER(encoder.max_positions), 1, 1 << 20},
                    IntegerRange{"position_offset", CONFIG_MEMBER(encoder.position_offset), 0,
                                 1 << 20},
                    IntegerRange{"d_model", CONFIG_MEMBER(d_model), 1, 65536},
                    IntegerRange{"d_ff", CONFIG_MEMBER(encoder.d_ff), 0, 1 << 20},
                    IntegerRange{"max_seq_len", CONFIG_MEMBER(max_seq_len), 2, 1 << 20}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(Config, Layers) {
  for (const int64_t value : {int64_t{-1}, int64_t{1025}, INT64_MIN, INT64_MAX}) {
    ModelConfig config = small_config();
    config.encoder.n_layers = value;
    EXPECT_ERROR(config.validate("m"), Status::kBadFile,
                 "m: config field \"encoder\": field \"n_layers\" is " + std::to_string(value));
  }
  // A stack without layers is one that is not there; a file must not say that it is.
  json config = library_json(small_config().to_json());
  config["encoder"]["n_layers"] = 0;
  EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
               "\"n_layers\" is 0, outside [1, 1024]");
  config.erase("encoder");
  EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile,
               "m: config has no layers: neither field \"encoder\" nor \"decoder\"");
}

TEST(Config, FieldsAgree) {
  ModelConfig config = small_config();
  config.max_seq_len = config.encoder.max_positions;
  EXPECT_NO_THROW(config.validate("m"));
  config.max_seq_len = config.encoder.max_positions + 1;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "field \"max_seq_len\" is 65, more than");
  config = small_config();
  config.head.kind = HeadKind::kHidden;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile,
               "\"pooling\" is \"cls\", but \"kind\" is \"hidden\"");
  config.head = {HeadKind::kPool, Pooling::kNone, false};
  EXPECT_ERROR(config.validate("m"), Status::kBadFile,
               "\"pooling\" is \"none\", but \"kind\" is \"pool\"");
  config.head.kind = HeadKind::kLogits;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"logits\" is for a decoder");
  config = small_config();
  config.encoder.cross = config.encoder.attention;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"cross\" has no meaning for an encoder");
}

// Files of models that have neither stay as they were.
TEST(Config, PositionsThatSkipPadding) {
  ModelConfig config = small_config();
  EXPECT_FALSE(config.to_json()["encoder"].contains("padding_id"));
  EXPECT_EQ(config.encoder.position_rows(), 64);
  config.encoder.positions = Positions::kLearnedButPadding;
  config.encoder.padding_id = 99;
  EXPECT_EQ(config.encoder.position_rows(), 65);
  EXPECT_FALSE(config.encoder.has_sinusoids());
  json good = library_json(config.to_json());
  EXPECT_EQ(good["encoder"]["positions"], "learned_but_padding");
  EXPECT_EQ(ModelConfig::from_json(engine_json(good), "m").encoder.padding_id, 99);
  good["encoder"].erase("padding_id");
  EXPECT_ERROR(ModelConfig::from_json(engine_json(good), "m"), Status::kBadFile,
               "m: config field \"encoder\": field \"padding_id\" is missing");
  config.encoder.padding_id = 100;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile,
               "field \"padding_id\" is 100, no id of the vocabulary");
  config.encoder.padding_id = -1;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "field \"padding_id\" is -1, outside [0");
}

TEST(Config, ProjectionOfTheTables) {
  ModelConfig config = small_config();
  EXPECT_FALSE(config.to_json()["encoder"].contains("embedding_projection"));
  EXPECT_EQ(config.encoder.embedding_width(32), 32);
  config.encoder.projection.width = 7;
  const json good = library_json(config.to_json());
  EXPECT_EQ(ModelConfig::from_json(engine_json(good), "m").encoder.embedding_width(32), 7);
  for (const json& width : {json(0), json(-1), json(65537), json("7"), json(nullptr)}) {
    json changed = good;
    changed["encoder"]["embedding_projection"]["width"] = width;
    EXPECT_ERROR(ModelConfig::from_json(engine_json(changed), "m"), Status::kBadFile,
                 "m: config field \"encoder\": field \"embedding_projection\": field \"width\" is");
  }
}

TEST(Config, WindowsOfLayers) {
  ModelConfig config = small_config();
  EXPECT_FALSE(config.encoder.attention_of(0).window_left < 64) << "none unless the file says so";
  EXPECT_FALSE(config.to_json()["encoder"].contains("windows"));
  config.encoder.attention.window_left = 9;
  config.encoder.windows = {{.left = 3, .right = 0}, {}};
  const json good = library_json(config.to_json());
  EXPECT_EQ(good["encoder"]["windows"],
            json::parse(R"([{"left": 3, "right": 0}, {"left": null, "right": null}])"));
  const StackConfig read = ModelConfig::from_json(engine_json(good), "m").encoder;
  for (const int64_t layer : {0, 2, 4}) {
    EXPECT_EQ(read.attention_of(layer).window_left, 3);
    EXPECT_EQ(read.attention_of(layer).window_right, 0);
    EXPECT_GT(read.attention_of(layer + 1).window_left, 1 << 20);
  }
  const auto refused = [&](const char* pointer, const json& value, const std::string& words) {
    json changed = good;
    changed["encoder"]["windows"][json::json_pointer(pointer)] = value;
    EXPECT_ERROR(ModelConfig::from_json(engine_json(changed), "m"), Status::kBadFile,
                 "m: config field \"encoder\": field \"windows\":" + words);
  };
  refused("/0/left", -1, " element 0: field \"left\" is -1; it must be 0 or more, or null");
  refused("/1/right", "x", " element 1: field \"right\" is a string");
  refused("/1/middle", 1, " element 1: field \"middle\" is not known to this version");
  refused("/1", 3, " element 1: it is not a JSON object");
  config.encoder.windows.resize(1025);
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"windows\" has 1025 elements");
}

TEST(Config, EpsilonIsBetweenZeroAndOne) {
  for (const float eps : {0.0f, -1e-5f, 1.0f, std::numeric_limits<float>::infinity(), NAN}) {
    ModelConfig config = small_config();
    config.encoder.norm_eps = eps;
    EXPECT_ERROR(config.validate("m"), Status::kBadFile, "field \"norm_eps\" is ");
  }
  json config = library_json(small_config().to_json());
  config["encoder"]["norm_eps"] = 1e-60;  // 0 as a float
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
  config.encoder.activation = static_cast<Activation>(99);
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "field \"activation\" has no such value");
  EXPECT_STREQ(name_of(config.encoder.activation), "unknown");
}

}  // namespace
}  // namespace headlane

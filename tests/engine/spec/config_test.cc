#include "engine/spec/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "tests/support/expect_error.h"
#include "tests/support/json_values.h"

namespace headlane {
namespace {

using nlohmann::json;

ModelConfig small_config() {
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

// `path`: the fields that lead to an object, "" for the config itself. Each of its fields must be
// there, with its type, unless it is one of `optional`.
void expect_required_and_typed(const json& good, const std::string& path, const std::string& where,
                               const std::set<std::string>& optional = {}) {
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

struct Range {
  const char* name;
  int64_t& (*member)(ModelConfig&);
  int64_t min, max;
};

class ConfigRange : public testing::TestWithParam<Range> {};

void expect_range(ModelConfig (*make)(), const Range& range) {
  for (const int64_t value : {range.min - 1, range.max + 1, INT64_MIN, INT64_MAX}) {
    ModelConfig config = make();
    range.member(config) = value;
    EXPECT_ERROR(
        config.validate("m"), Status::kBadFile,
        std::string("field \"") + range.name + "\" is " + std::to_string(value) + ", outside [");
  }
}

TEST_P(ConfigRange, OneBelowAndOneAbove) { expect_range(small_config, GetParam()); }

#define MEMBER(member) [](ModelConfig& c) -> int64_t& { return c.member; }
INSTANTIATE_TEST_SUITE_P(
    Fields, ConfigRange,
    testing::Values(Range{"vocab_size", MEMBER(encoder.vocab_size), 1, 1 << 24},
                    Range{"n_types", MEMBER(encoder.n_types), 0, 1 << 16},
                    Range{"max_positions", MEMBER(encoder.max_positions), 1, 1 << 20},
                    Range{"position_offset", MEMBER(encoder.position_offset), 0, 1 << 20},
                    Range{"d_model", MEMBER(d_model), 1, 65536},
                    Range{"d_ff", MEMBER(encoder.d_ff), 0, 1 << 20},
                    Range{"max_seq_len", MEMBER(max_seq_len), 2, 1 << 20}),
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

// Every field has another value than it has by default.
ModelConfig small_encoder_decoder() {
  ModelConfig config = small_config();
  config.architecture = "encoder_decoder";
  config.head = {HeadKind::kLogits, Pooling::kNone, false};
  StackConfig& encoder = config.encoder;
  encoder.n_types = 0;
  encoder.embedding_scale = 5.6568542f;
  encoder.positions = Positions::kSinusoidalInclusive;
  encoder.position_offset = 2;
  encoder.attention.set_heads(4, 7);
  encoder.attention.score = Score::kDot;
  encoder.attention.scale = 1;
  encoder.attention.relative = {8, 16, true, 64};
  encoder.activation = Activation::kSilu;
  encoder.gated = true;
  encoder.norm_kind = NormKind::kRms;
  encoder.norm = NormPlacement::kPre;
  encoder.final_norm = true;
  encoder.residual = false;
  encoder.biases = false;
  StackConfig& decoder = config.decoder;
  decoder = encoder;
  decoder.n_layers = 5;
  decoder.vocab_size = 90;
  decoder.max_positions = 50;
  decoder.d_ff = 33;
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
  const ModelConfig read =
      ModelConfig::from_json(engine_json(json::parse(config.to_json().dump())), "m");
  EXPECT_EQ(read.to_json(), config.to_json());
  EXPECT_TRUE(read.generates());
  const StackConfig& encoder = read.encoder;
  EXPECT_EQ(encoder.vocab_size, 100);
  EXPECT_EQ(encoder.embedding_scale, 5.6568542f);
  EXPECT_EQ(encoder.positions, Positions::kSinusoidalInclusive);
  EXPECT_EQ(encoder.position_offset, 2);
  EXPECT_EQ(encoder.attention.relative.n_buckets, 8);
  EXPECT_TRUE(encoder.attention.relative.bidirectional);
  EXPECT_STREQ(name_of(encoder.activation), "silu");
  EXPECT_TRUE(encoder.gated);
  EXPECT_EQ(encoder.norm_kind, NormKind::kRms);
  EXPECT_EQ(encoder.norm, NormPlacement::kPre);
  EXPECT_TRUE(encoder.final_norm);
  EXPECT_FALSE(encoder.residual || encoder.biases || encoder.has_cross());
  const StackConfig& decoder = read.decoder;
  EXPECT_EQ(decoder.vocab_size, 90);
  EXPECT_EQ(decoder.max_positions, 50);
  EXPECT_EQ(decoder.n_layers, 5);
  EXPECT_EQ(decoder.d_ff, 33);
  EXPECT_EQ(decoder.attention.causal, Causal::kLowerRight);
  EXPECT_EQ(decoder.attention.relative.max_len, 50);
  EXPECT_EQ(decoder.cross.n_heads, 3);
  EXPECT_EQ(decoder.cross.relative.n_buckets, 0);
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

TEST(EncoderDecoderConfig, EveryFieldIsRequiredAndTyped) {
  const json good = library_json(small_encoder_decoder().to_json());
  expect_required_and_typed(good, "", "", {"encoder", "decoder", "architecture"});
  expect_required_and_typed(good, "/decoder", " field \"decoder\":", {"cross"});
  expect_required_and_typed(good, "/generation", " field \"generation\":");
}

TEST(EncoderDecoderConfig, IntegersOneBelowAndOneAbove) {
  const Range fields[] = {{"position_offset", MEMBER(decoder.position_offset), 0, 1 << 20},
                          {"vocab_size", MEMBER(decoder.vocab_size), 1, 1 << 24},
                          {"max_positions", MEMBER(decoder.max_positions), 1, 1 << 20},
                          {"d_ff", MEMBER(decoder.d_ff), 0, 1 << 20},
                          {"max_new_tokens", MEMBER(generation.max_new_tokens), 1, 50},
                          {"min_new_tokens", MEMBER(generation.min_new_tokens), 0, 50},
                          {"n_beams", MEMBER(generation.n_beams), 1, 90}};
  for (const Range& field : fields) expect_range(small_encoder_decoder, field);
}
#undef MEMBER

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
    config.encoder.embedding_scale = static_cast<float>(value);
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
  refuse([](ModelConfig* c) { c->max_seq_len = 65; }, "\"max_seq_len\" is 65, more than");
  refuse([](ModelConfig* c) { c->encoder.attention.n_kv_heads = 3; },
         "\"encoder\": field \"attention\": n_kv_heads is 3");
  refuse(
      [](ModelConfig* c) { c->encoder.attention.relative.max_len = 63; },
      "\"encoder\": field \"max_positions\" is 64, but the position tables of \"attention\" end");
  refuse([](ModelConfig* c) { c->decoder.attention.relative.max_len = 49; },
         "\"decoder\": field \"max_positions\" is 50, but the position tables");
  refuse(
      [](ModelConfig* c) {
        c->decoder.attention.score = Score::kAdditive;
        c->decoder.attention.scale = 1;
      },
      "\"decoder\": field \"attention\" has a score");
  const auto accept = [](const std::function<void(ModelConfig*)>& change) {
    ModelConfig config = small_encoder_decoder();
    change(&config);
    EXPECT_NO_THROW(config.validate("m"));
  };
  accept([](ModelConfig* c) { c->decoder.attention.window_left = 3; });
  accept([](ModelConfig* c) { c->decoder.windows = {{}, {.left = 3}}; });
  accept([](ModelConfig* c) { c->decoder.attention.rotary = {.dims = 6, .max_positions = 64}; });
  refuse([](ModelConfig* c) { c->decoder.cross.rotary = {.dims = 8, .max_positions = 64}; },
         "\"decoder\": field \"cross\": a target has no position in its source");
  refuse(
      [](ModelConfig* c) {
        c->decoder.cross.relative = {8, 16, true, 64};
      },
      "\"decoder\": field \"cross\": a target has no position in its source");
  refuse([](ModelConfig* c) { c->decoder.cross = {}; }, "\"decoder\": field \"cross\" is missing");
  refuse([](ModelConfig* c) { c->encoder = {}; },
         "\"decoder\": field \"cross\" has no meaning for a decoder of tokens without an encoder");
  refuse(
      [](ModelConfig* c) {
        c->encoder = {};
        c->decoder.cross = {};
      },
      "\"generation\": field \"start_id\" has the id 89; a language model begins with the caller");
  refuse([](ModelConfig* c) { c->decoder.positions = Positions::kLearnedButPadding; },
         "\"decoder\": field \"positions\" is \"learned_but_padding\", which only an encoder");
  refuse(
      [](ModelConfig* c) {
        c->head = {HeadKind::kPool, Pooling::kMean, false};
      },
      "\"head\": \"logits\" is for a decoder");
  refuse(
      [](ModelConfig* c) {
        c->decoder.cross.score = Score::kAdditive;
        c->decoder.cross.scale = 1;
      },
      "\"decoder\": field \"cross\" has a score");
  refuse(
      [](ModelConfig* c) {
        c->d_model = 65536;
        c->encoder.position_offset = 1 << 20;
      },
      "\"encoder\": field \"max_positions\" is 64: with \"d_model\" 65536 the table of sinusoids");
}

}  // namespace
}  // namespace headlane

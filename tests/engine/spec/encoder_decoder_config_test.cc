// The config of an encoder-decoder: every field through text and back, and what a hostile file may
// say.
#include <cmath>
#include <functional>
#include <limits>

#include "tests/engine/spec/config_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

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
  const IntegerRange fields[] = {
      {"position_offset", CONFIG_MEMBER(decoder.position_offset), 0, 1 << 20},
      {"vocab_size", CONFIG_MEMBER(decoder.vocab_size), 1, 1 << 24},
      {"max_positions", CONFIG_MEMBER(decoder.max_positions), 1, 1 << 20},
      {"d_ff", CONFIG_MEMBER(decoder.d_ff), 0, 1 << 20},
      {"max_new_tokens", CONFIG_MEMBER(generation.max_new_tokens), 1, 50},
      {"min_new_tokens", CONFIG_MEMBER(generation.min_new_tokens), 0, 50},
      {"n_beams", CONFIG_MEMBER(generation.n_beams), 1, 90}};
  for (const IntegerRange& field : fields) expect_range(small_encoder_decoder, field);
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

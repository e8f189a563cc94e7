// The config of layers on activations: every field through text and back, and what a hostile file
// may say.
#include <gtest/gtest.h>

#include "engine/spec/config.h"
#include "tests/support/expect_error.h"
#include "tests/support/json_values.h"

namespace headlane {
namespace {

using nlohmann::json;

ModelConfig layers_config() {
  ModelConfig config;
  config.architecture = "layers";
  config.inputs = InputKind::kActivations;
  config.d_model = 24;
  config.kdim = 10;
  config.vdim = 12;
  config.batch_first = false;
  StackConfig& stack = config.encoder;
  stack.n_layers = 1;
  stack.max_positions = 64;
  stack.positions = Positions::kSinusoidal;
  stack.norm = NormPlacement::kPre;
  stack.first_layer.attention_norm = false;
  stack.final_norm = true;
  AttentionSpec& spec = stack.attention;
  spec.set_heads(6, 8);
  spec.n_kv_heads = 2;
  spec.v_dim = 5;
  spec.scale = 0.3f;
  spec.softcap = 30;
  spec.causal = Causal::kLowerRight;
  spec.window_left = 7;
  spec.rotary = {6, true, 500.0, 100, RotaryScaling::kYarn, 4.0, 32, 16, 2, 1.5, 0.5, 3, false};
  spec.relative = {8, 20, true, 80};
  return config;
}

TEST(LayersConfig, RoundTripThroughText) {
  const ModelConfig config = layers_config();
  const ModelConfig read =
      ModelConfig::from_json(engine_json(json::parse(config.to_json().dump())), "m");
  EXPECT_EQ(read.to_json(), config.to_json());
  const AttentionSpec& spec = read.encoder.attention;
  EXPECT_EQ(read.kdim, 10);
  EXPECT_EQ(read.vdim, 12);
  EXPECT_EQ(read.encoder.norm, NormPlacement::kPre);
  EXPECT_TRUE(read.encoder.residual && read.encoder.final_norm && !read.batch_first);
  EXPECT_FALSE(read.encoder.first_layer.attention_norm);
  EXPECT_EQ(read.encoder.positions, Positions::kSinusoidal);
  EXPECT_EQ(spec.n_heads, 6);
  EXPECT_EQ(spec.n_kv_heads, 2);
  EXPECT_EQ(spec.head_dim, 8);
  EXPECT_EQ(spec.v_dim, 5);
  EXPECT_EQ(spec.scale, 0.3f);
  EXPECT_EQ(spec.softcap, 30.0f);
  EXPECT_EQ(spec.causal, Causal::kLowerRight);
  EXPECT_EQ(spec.window_left, 7);
  EXPECT_EQ(spec.window_right, kernels::AttentionF32Args::kUnlimited);
  EXPECT_EQ(spec.rotary.dims, 6);
  EXPECT_TRUE(spec.rotary.interleaved);
  EXPECT_EQ(spec.rotary.base, 500.0);
  EXPECT_EQ(spec.rotary.scaling, RotaryScaling::kYarn);
  EXPECT_EQ(spec.rotary.original_max_positions, 32);
  EXPECT_EQ(spec.rotary.attention_factor, 1.5);
  EXPECT_FALSE(spec.rotary.truncate);
  EXPECT_EQ(spec.relative.n_buckets, 8);
  EXPECT_EQ(spec.relative.max_len, 80);
}

// The fields of a token model are not there, nor asked for.
TEST(LayersConfig, HasNoFieldsOfTokens) {
  const json written = library_json(layers_config().to_json());
  EXPECT_FALSE(written.contains("max_seq_len") || written.contains("prompts"));
  for (const char* field : {"vocab_size", "n_types", "embedding_scale"}) {
    EXPECT_FALSE(written["encoder"].contains(field)) << field;
  }
}

TEST(LayersConfig, HostileFieldsAreNamed) {
  const auto refused = [](const std::string& pointer, const json& value, const std::string& words) {
    json config = library_json(layers_config().to_json());
    config[json::json_pointer(pointer)] = value;
    EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile, words);
  };
  refused("/d_model", 0, "\"d_model\" is 0");
  refused("/kdim", -1, "\"kdim\" is -1");
  refused("/encoder/d_ff", INT64_MAX, "\"d_ff\" is 9223372036854775807");
  refused("/encoder/n_layers", 2, "or more than one layer");
  refused("/encoder/max_positions", 81, "position tables of \"attention\" end at 80");
  refused("/encoder/norm", "sideways", "not one of: none, post, pre");
  refused("/encoder/positions", "", "not one of: none, learned, sinusoidal");
  refused("/encoder/norm", "post", "field \"first_layer\" has no norm before attention");
  refused("/encoder/first_layer", 1, "\"first_layer\"");
  refused("/encoder/residual", 1, "\"residual\"");
  refused("/encoder/attention", 3, "\"attention\"");
  refused("/encoder/attention/n_heads", 0, "n_heads is 0");
  refused("/encoder/attention/n_kv_heads", 4, "n_kv_heads is 4");
  refused("/encoder/attention/head_dim", 257, "head_dim is 257");
  refused("/encoder/attention/scale", 0, "scale is 0");
  refused("/encoder/attention/scale", -1, "scale is -1");
  refused("/encoder/attention/softcap", -1, "softcap is -1");
  refused("/encoder/attention/score", "dot", "dot product scores have none");
  refused("/encoder/attention/score", "cosine", "not one of");
  refused("/encoder/attention/causal", "lower", "not one of");
  refused("/encoder/attention/window_left", -2, "\"window_left\" is -2");
  refused("/encoder/attention/rotary/dims", 7, "rotary.dims is 7");
  refused("/encoder/attention/rotary/dims", 10, "rotary.dims is 10");
  refused("/encoder/attention/rotary/base", 0, "rotary.base is 0");
  refused("/encoder/attention/rotary/factor", -4, "rotary.factor is -4");
  refused("/encoder/attention/rotary/max_positions", int64_t{1} << 40, "rotary.max_positions");
  refused("/encoder/attention/rotary/scaling", "dynamic", "not one of");
  refused("/encoder/attention/relative_bias/max_distance", 2, "relative_bias.max_distance is 2");
  refused("/encoder/attention/relative_bias/max_len", 0, "relative_bias.max_len is 0");
}

// A decoder's layers over memory, after an encoder's.
ModelConfig decoder_config() {
  ModelConfig config = layers_config();
  config.kdim = config.vdim = config.d_model;
  config.encoder.d_ff = 30;
  config.encoder.n_layers = 2;
  config.encoder.attention = {};
  config.encoder.attention.set_heads(3, 8);
  config.decoder = config.encoder;
  config.decoder.n_layers = 4;
  config.decoder.d_ff = 31;
  config.decoder.attention.set_heads(2, 12);
  config.decoder.attention.causal = Causal::kUpperLeft;
  config.decoder.cross.set_heads(6, 4);
  return config;
}

TEST(LayersConfig, DecoderThroughText) {
  for (const int64_t encoder_layers : {0, 2}) {
    ModelConfig config = decoder_config();
    config.encoder.n_layers = encoder_layers;
    const ModelConfig read =
        ModelConfig::from_json(engine_json(json::parse(config.to_json().dump())), "m");
    EXPECT_EQ(read.to_json(), config.to_json());
    EXPECT_TRUE(read.has_decoder() && read.can_attend_to_kv());
    EXPECT_FALSE(read.can_attend_to_itself());
    EXPECT_EQ(read.encoder.n_layers, encoder_layers);
    EXPECT_EQ(read.decoder.n_layers, 4);
    EXPECT_EQ(read.decoder.d_ff, 31);
    EXPECT_EQ(read.decoder.attention.n_heads, 2);
    EXPECT_EQ(read.decoder.attention.causal, Causal::kUpperLeft);
    EXPECT_EQ(read.decoder.cross.n_heads, 6);
  }
  EXPECT_FALSE(layers_config().to_json().contains("decoder"));
}

TEST(LayersConfig, HostileDecodersAreNamed) {
  const auto refused = [](const std::string& pointer, const json& value, const std::string& words) {
    json config = library_json(decoder_config().to_json());
    config[json::json_pointer(pointer)] = value;
    EXPECT_ERROR(ModelConfig::from_json(engine_json(config), "m"), Status::kBadFile, words);
  };
  refused("/decoder", 3, "\"decoder\"");
  refused("/decoder", json::object(), "\"decoder\": field \"n_layers\"");
  refused("/decoder/n_layers", 0, "\"decoder\": field \"n_layers\" is 0");
  refused("/decoder/n_layers", 1025, "\"decoder\": field \"n_layers\" is 1025");
  refused("/decoder/d_ff", -1, "\"decoder\": field \"d_ff\" is -1");
  refused("/decoder/attention/n_heads", 0, "\"decoder\": field \"attention\": n_heads is 0");
  refused("/decoder/cross/head_dim", 257, "\"decoder\": field \"cross\": head_dim is 257");
  refused("/decoder/cross", nullptr, "\"cross\"");
  refused("/encoder/n_layers", -1, "\"n_layers\" is -1");
  refused("/kdim", 23, "since there is a decoder");
  refused("/head/kind", "logits", "config field \"generation\" is missing");
  ModelConfig config = decoder_config();
  config.decoder.attention.relative = {8, 20, true, 63};
  EXPECT_ERROR(config.validate("m"), Status::kBadFile,
               "position tables of \"attention\" end at 63");
  for (AttentionSpec StackConfig::*attention : {&StackConfig::attention, &StackConfig::cross}) {
    config = decoder_config();
    (config.decoder.*attention).key_alibi.max_len = 640;
    EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"decoder\": field \"key_alibi\"");
  }
  config = decoder_config();
  config.decoder.n_layers = -1;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"n_layers\" is -1");
  config.decoder.n_layers = 0;
  config.encoder.n_layers = 0;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile,
               "has no layers: neither field \"encoder\" nor \"decoder\"");
}

// Numbers within their own limits that together would take memory that no one can have meant.
TEST(LayersConfig, TablesHaveALimit) {
  ModelConfig config = layers_config();
  config.encoder.attention.set_heads(1 << 16, 2);
  config.encoder.attention.rotary.dims = 0;
  config.encoder.attention.relative.max_len = 1 << 20;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "tables of positions");
  config = layers_config();
  config.encoder.attention.rotary.dims = 0;
  config.encoder.attention.relative.n_buckets = 0;
  config.encoder.max_positions = 1 << 20;
  config.d_model = config.kdim = config.vdim = 65536;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "table of sinusoids");
}

// Queries and keys are products of their own there.
TEST(LayersConfig, NormsOfQueriesAndKeysAreOfTokens) {
  ModelConfig config = layers_config();
  config.encoder.qk_norms.of = QkNorm::kHeads;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile,
               "\"qk_norms\" is there, which only a model of token ids has");
}

}  // namespace
}  // namespace headlane

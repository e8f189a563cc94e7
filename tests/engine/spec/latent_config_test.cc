// The config of attention over latents: its fields through text and back, what a step attends to,
// and what a hostile file may say of it.
#include <gtest/gtest.h>

#include <functional>

#include "tests/engine/spec/config_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

ModelConfig model_of_latents() {
  ModelConfig config;
  config.architecture = "any";
  config.d_model = 24;
  config.max_seq_len = 64;
  config.head.kind = HeadKind::kLogits;
  StackConfig& stack = config.decoder;
  stack.n_layers = 2;
  stack.vocab_size = 97;
  stack.max_positions = 64;
  stack.d_ff = 40;
  stack.attention.set_heads(4, 16);
  stack.attention.v_dim = 10;
  stack.attention.causal = Causal::kLowerRight;
  stack.attention.rotary.dims = 6;
  stack.attention.rotary.max_positions = 64;
  stack.latent = {20, 18, 1e-6f};
  config.generation.max_new_tokens = 20;
  config.generation.start_id = -1;
  return config;
}

TEST(LatentConfig, RoundTripThroughText) {
  const ModelConfig config = model_of_latents();
  config.validate("m");
  const ModelConfig read =
      ModelConfig::from_json(engine_json(json::parse(config.to_json().dump())), "m");
  EXPECT_EQ(read.to_json(), config.to_json());
  EXPECT_EQ(read.decoder.latent.width, 20);
  EXPECT_EQ(read.decoder.latent.q_width, 18);
  EXPECT_EQ(read.decoder.latent.norm_eps, 1e-6f);
}

// One key for all heads: what turns, and the latent, which is its value.
TEST(LatentConfig, StepsAttendToTheCache) {
  const ModelConfig config = model_of_latents();
  const AttentionSpec cached = config.decoder.cached_attention_of(1);
  EXPECT_EQ(cached.n_heads, 4);
  EXPECT_EQ(cached.n_kv_heads, 1);
  EXPECT_EQ(cached.head_dim, 26);
  EXPECT_EQ(cached.v_dim, 20);
  EXPECT_EQ(cached.scale, config.decoder.attention.scale);
  StackConfig plain = config.decoder;
  plain.latent = {};
  EXPECT_EQ(plain.cached_attention_of(1).k_width(), plain.attention.k_width());
}

// A file of the release before has no such field.
TEST(LatentConfig, IsLeftOutWhereThereIsNone) {
  ModelConfig config = model_of_latents();
  config.decoder.latent = {};
  const json text = json::parse(config.to_json().dump());
  EXPECT_FALSE(text["decoder"].contains("latent"));
  EXPECT_EQ(ModelConfig::from_json(engine_json(text), "m").decoder.latent.width, 0);
}

TEST(LatentConfig, FieldsAreRequiredAndTyped) {
  const json good = json::parse(model_of_latents().to_json().dump());
  expect_required_and_typed(good, "/decoder/latent", " field \"decoder\": field \"latent\":", {});
}

TEST(LatentConfig, WhatDoesNotGoTogether) {
  const std::function<void(ModelConfig*)> faults[] = {
      [](ModelConfig* m) { m->decoder.attention.rotary = {}; },
      [](ModelConfig* m) { m->decoder.attention.rotary.dims = 16; },
      [](ModelConfig* m) { m->decoder.attention.n_kv_heads = 2; },
      [](ModelConfig* m) { m->decoder.attention.key_alibi.max_len = 64; },
      [](ModelConfig* m) { m->decoder.qk_norms.of = QkNorm::kHeads; },
      [](ModelConfig* m) { m->decoder.rotaries = {m->decoder.attention.rotary}; },
      [](ModelConfig* m) {
        m->decoder.attention.rotary.scaling = RotaryScaling::kDynamicNtk;
        m->decoder.attention.rotary.original_max_positions = 64;
      }};
  for (const auto& fault : faults) {
    ModelConfig config = model_of_latents();
    fault(&config);
    EXPECT_ERROR(config.validate("m"), Status::kBadFile,
                 "m: config field \"decoder\": field \"latent\" is there");
  }
  ModelConfig wide = model_of_latents();
  wide.decoder.latent.width = 65536;
  wide.decoder.attention.n_heads = wide.decoder.attention.n_kv_heads = 256;
  EXPECT_ERROR(wide.validate("m"), Status::kBadFile, "256 heads have more than 16777216 columns");
  ModelConfig encoder = small_config();
  encoder.encoder.latent.width = 8;
  encoder.encoder.attention.rotary.dims = 2;
  encoder.encoder.attention.rotary.max_positions = encoder.encoder.max_positions;
  EXPECT_ERROR(encoder.validate("m"), Status::kBadFile,
               "m: config field \"encoder\": field \"latent\" is there, which only a decoder");
}

}  // namespace
}  // namespace headlane

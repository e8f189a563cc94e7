// The config of a language model: what its layers may differ in through text and back, and what a
// hostile file may say of it.
#include <gtest/gtest.h>

#include <utility>

#include "engine/spec/config.h"
#include "tests/support/expect_error.h"
#include "tests/support/json_values.h"

namespace headlane {
namespace {

using nlohmann::json;

ModelConfig language_model() {
  ModelConfig config;
  config.architecture = "any";
  config.d_model = 24;
  config.max_seq_len = 64;
  config.head.kind = HeadKind::kLogits;
  StackConfig& stack = config.decoder;
  stack.n_layers = 3;
  stack.vocab_size = 97;
  stack.max_positions = 64;
  stack.d_ff = 40;
  stack.gated = true;
  stack.norm_kind = NormKind::kRms;
  stack.norm = NormPlacement::kBoth;
  stack.attention.set_heads(4, 6);
  stack.attention.causal = Causal::kLowerRight;
  RotarySpec rotary;
  rotary.dims = 6;
  rotary.max_positions = 64;
  stack.attention.rotary = rotary;
  rotary.base = 1e6;
  stack.rotaries = {rotary, {}};
  stack.attention.key_alibi.max_len = 65;
  stack.qk_norms.of = QkNorm::kHeads;
  config.head.cap.limit = 30;
  config.generation.max_new_tokens = 20;
  config.generation.start_id = -1;
  return config;
}

TEST(LanguageModelConfig, RoundTripThroughText) {
  const ModelConfig config = language_model();
  config.validate("m");
  const ModelConfig read =
      ModelConfig::from_json(engine_json(json::parse(config.to_json().dump())), "m");
  EXPECT_EQ(read.to_json(), config.to_json());
  EXPECT_EQ(read.decoder.norm, NormPlacement::kBoth);
  EXPECT_EQ(read.decoder.qk_norms.of, QkNorm::kHeads);
  EXPECT_EQ(read.head.cap.limit, 30);
  EXPECT_EQ(read.decoder.rotaries, config.decoder.rotaries);
  EXPECT_EQ(read.decoder.attention_of(2).rotary.base, 1e6);
  EXPECT_EQ(read.decoder.attention_of(1).rotary.dims, 0);
  EXPECT_EQ(read.decoder.attention_of(1).key_alibi.max_len, 65);
}

// A file of the release before has none of these fields.
TEST(LanguageModelConfig, FieldsOfSomeModelsAreLeftOut) {
  ModelConfig config = language_model();
  config.decoder.rotaries.clear();
  config.decoder.qk_norms = {};
  config.decoder.attention.key_alibi = {};
  config.head.cap = {};
  const json text = json::parse(config.to_json().dump());
  EXPECT_FALSE(text["decoder"].contains("rotaries"));
  EXPECT_FALSE(text["decoder"].contains("qk_norms"));
  EXPECT_FALSE(text["decoder"]["attention"].contains("key_alibi"));
  EXPECT_FALSE(text["head"].contains("cap"));
  const ModelConfig read = ModelConfig::from_json(engine_json(text), "m");
  EXPECT_EQ(read.decoder.qk_norms.of, QkNorm::kNone);
  EXPECT_EQ(read.decoder.attention_of(1).rotary.dims, 6);
}

TEST(LanguageModelConfig, HostileFieldsAreNamed) {
  ModelConfig config = language_model();
  config.decoder.rotaries[0].max_positions = 63;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"rotaries\" end at 63");
  config = language_model();
  config.head.cap.limit = -1;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"limit\"");
  config = language_model();
  std::swap(config.encoder, config.decoder);
  config.head = {};
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"encoder\": field \"key_alibi\"");
  config = language_model();
  for (const int64_t length : {int64_t{-1}, int64_t{1} << 40}) {
    config.decoder.attention.key_alibi.max_len = length;
    EXPECT_ERROR(config.validate("m"), Status::kBadFile, "key_alibi.max_len is");
  }
  config.decoder.attention.key_alibi.max_len = 63;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"attention\" end at 63");
  config = language_model();
  config.decoder.norm = NormPlacement::kParallel;
  config.validate("m");
  config.decoder.d_ff = 0;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"norm\" is \"parallel\"");
  json text = json::parse(language_model().to_json().dump());
  text["decoder"]["qk_norms"]["of"] = "none";
  EXPECT_ERROR(ModelConfig::from_json(engine_json(text), "m"), Status::kBadFile, "\"of\"");
}

}  // namespace
}  // namespace headlane

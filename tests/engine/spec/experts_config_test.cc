// The config of a mixture of experts: its fields through text and back, and what a hostile file may
// say of it.
#include "engine/spec/experts_config.h"

#include <gtest/gtest.h>

#include "tests/engine/spec/config_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

ModelConfig model_of_experts() {
  ModelConfig config = small_config();
  config.encoder.gated = true;
  config.encoder.activation = Activation::kSilu;
  ExpertsConfig& experts = config.encoder.experts;
  experts.n = 12;
  experts.chosen = 3;
  experts.d_ff = 20;
  experts.score = ExpertScore::kSigmoid;
  experts.choice_bias = true;
  experts.groups = {4, 2, GroupScore::kBestTwo};
  experts.normalized = true;
  experts.scale = 2.5f;
  experts.clamp = {7, 1.5f};
  experts.shared = {40, true};
  experts.layers = {{false}, {true}, {true}};
  return config;
}

TEST(ExpertsConfig, RoundTripThroughText) {
  const ModelConfig config = model_of_experts();
  config.validate("m");
  const ModelConfig read =
      ModelConfig::from_json(engine_json(json::parse(config.to_json().dump())), "m");
  EXPECT_EQ(read.to_json(), config.to_json());
  const ExpertsConfig& experts = read.encoder.experts;
  EXPECT_EQ(experts.score, ExpertScore::kSigmoid);
  EXPECT_EQ(experts.groups.score, GroupScore::kBestTwo);
  EXPECT_EQ(experts.groups.chosen, 2);
  EXPECT_EQ(experts.scale, 2.5f);
  EXPECT_EQ(experts.clamp.limit, 7);
  EXPECT_EQ(experts.clamp.slope, 1.5f);
  EXPECT_EQ(experts.router_rows(), 13);
  EXPECT_FALSE(experts.in_layer(0));
  EXPECT_TRUE(experts.in_layer(1));
  EXPECT_FALSE(experts.in_layer(3));
}

// A file of the release before has no such field.
TEST(ExpertsConfig, IsLeftOutWhereThereAreNone) {
  ModelConfig config = model_of_experts();
  config.encoder.experts = {};
  const json text = json::parse(config.to_json().dump());
  EXPECT_FALSE(text["encoder"].contains("experts"));
  EXPECT_FALSE(ModelConfig::from_json(engine_json(text), "m").encoder.experts.in_layer(0));
}

TEST(ExpertsConfig, FieldsAreRequiredAndTyped) {
  const json good = json::parse(model_of_experts().to_json().dump());
  expect_required_and_typed(good, "/encoder/experts", " field \"encoder\": field \"experts\":",
                            {"groups", "clamp", "shared", "layers"});
}

TEST(ExpertsConfig, HostileFieldsAreNamed) {
  const auto refused = [](auto change, const char* sentence) {
    ModelConfig config = model_of_experts();
    change(&config.encoder.experts);
    EXPECT_ERROR(config.validate("m"), Status::kBadFile, sentence);
  };
  refused([](ExpertsConfig* e) { e->n = -1; }, "\"n\" is -1");
  refused([](ExpertsConfig* e) { e->n = 1 << 20; }, "\"n\" is 1048576");
  refused([](ExpertsConfig* e) { e->chosen = 13; }, "\"chosen\" is 13");
  refused([](ExpertsConfig* e) { e->chosen = 0; }, "\"chosen\" is 0");
  refused([](ExpertsConfig* e) { e->d_ff = 0; }, "\"d_ff\" is 0");
  refused([](ExpertsConfig* e) { e->scale = std::nanf(""); }, "\"scale\"");
  refused([](ExpertsConfig* e) { e->clamp.limit = -1; }, "\"limit\"");
  refused([](ExpertsConfig* e) { e->clamp.slope = 0; }, "\"slope\"");
  refused([](ExpertsConfig* e) { e->shared.d_ff = -1; }, "\"d_ff\" is -1");
  refused([](ExpertsConfig* e) { e->groups.n = 5; }, "\"groups\" has 5 of them");
  refused([](ExpertsConfig* e) { e->groups.chosen = 5; }, "\"chosen\" is 5");
  refused([](ExpertsConfig* e) { e->chosen = 7; }, "the chosen groups have 6 experts together");
  refused([](ExpertsConfig* e) { e->groups.n = 12, e->groups.chosen = 3; }, "their two best");
  ModelConfig config = model_of_experts();
  config.encoder.gated = false;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"experts\" stands for feed-forwards");
  config.encoder.gated = true;
  config.encoder.activation = Activation::kGelu;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"experts\" has a clamp");
  config.encoder.d_ff = 0;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"experts\" stands for feed-forwards");
}

}  // namespace
}  // namespace headlane

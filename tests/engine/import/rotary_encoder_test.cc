// Fields of config.json that would change what encoders with rotary positions compute.
#include "engine/import/families/rotary_encoder.h"

#include <gtest/gtest.h>

#include "engine/import/families/llama.h"
#include "engine/import/families/modernbert.h"
#include "engine/import/source/json_file.h"
#include "tests/support/expect_error.h"

namespace headlane {
namespace {

struct Case {
  const char* golden;
  ModelConfig (*read)(const Json& config, const std::string& path);
};
constexpr Case kCases[] = {{"nomic_bert_masked_lm", nomic_bert_config},
                           {"gte_masked_lm", gte_config},
                           {"jina3_masked_lm", jina3_config},
                           {"eurobert_heads", eurobert_config},
                           {"modernbert_windows", modernbert_config}};

Json golden_config(const Case& one) {
  return read_json_file(std::string(HEADLANE_GOLDEN_DIR "/encoders/") + one.golden +
                        "/config.json");
}

TEST(RotaryEncoder, TokensThatSeeNoneBehindThemAreRefused) {
  for (const Case& one : kCases) {
    Json config = golden_config(one);
    EXPECT_NO_THROW(one.read(config, "c")) << one.golden;
    config["is_causal"] = true;
    EXPECT_ERROR(one.read(config, "c"), Status::kUnsupported, "field \"is_causal\" is true");
  }
}

TEST(RotaryEncoder, PartsOfHeadsAreRefused) {
  for (const Case& one : kCases) {
    Json config = golden_config(one);
    const bool of_layers = config["rope_parameters"].contains("full_attention");
    Json fields = config["rope_parameters"];
    Json& of_one = of_layers ? fields["full_attention"] : fields;
    of_one["partial_rotary_factor"] = 0.5;
    config["rope_parameters"] = fields;
    EXPECT_ERROR(one.read(config, "c"), Status::kUnsupported,
                 "field \"partial_rotary_factor\" is not 1");
  }
}

TEST(RotaryEncoder, WavelengthsOfTwoNamesAreOne) {
  Json config = golden_config(kCases[0]);
  const double theta = config["rope_parameters"]["rope_theta"].get<double>();
  config["rotary_emb_base"] = theta;
  EXPECT_NO_THROW(nomic_bert_config(config, "c"));
  config["rotary_emb_base"] = theta + 1;
  EXPECT_ERROR(nomic_bert_config(config, "c"), Status::kUnsupported,
               "\"rope_parameters\" and \"rotary_emb_base\" are not the same number");
}

// transformers lets the half of a window win over the whole.
TEST(RotaryEncoder, HalfOfAWindow) {
  Json config = golden_config(kCases[4]);
  config["sliding_window"] = 3;
  const ModelConfig model = modernbert_config(config, "c");
  EXPECT_EQ(model.encoder.windows.at(1).left, 3);
  EXPECT_EQ(model.encoder.windows.at(1).right, 3);
}

}  // namespace
}  // namespace headlane

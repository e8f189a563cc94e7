// What config.json does not say is what the class of transformers says.
#include "engine/import/families/class_defaults.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "engine/file/json.h"
#include "engine/file/json_fields.h"
#include "engine/import/families/bart.h"
#include "engine/import/families/bert.h"
#include "engine/import/families/t5.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

const char* const kTypes[] = {"bert", "bart", "mbart", "marian", "m2m_100", "t5", "mt5"};

Json golden() {
  return parse_json(read_file(HEADLANE_GOLDEN_DIR "/class_defaults/defaults.json"),
                    "defaults.json");
}

ModelConfig config_of(const std::string& type) {
  const Json fields = with_class_defaults({{"model_type", type}});
  if (type == "bert") return bert_config(fields, "c");
  return type.ends_with("t5") ? t5_config(fields, "c") : bart_config(fields, "c");
}

TEST(ClassDefaults, AreTransformers) {
  const Json classes = golden();
  for (const char* type : kTypes) {
    const Json fields = with_class_defaults({{"model_type", type}});
    EXPECT_GE(fields.size(), 10u) << type;
    for (const auto& [key, value] : fields.items()) {
      ASSERT_TRUE(classes.at(type).contains(key)) << type << " " << key;
      EXPECT_EQ(value, classes.at(type).at(key)) << type << " " << key;
    }
  }
}

// What the importers take for granted of fields that the table does not have.
TEST(ClassDefaults, ImportersTakeTheSameForGranted) {
  const Json classes = golden();
  for (const char* type : kTypes) {
    const Json& theirs = classes.at(type);
    EXPECT_EQ(theirs.at("tie_word_embeddings"), true) << type;
    EXPECT_EQ(json_bool(theirs, "is_decoder", type, false), false) << type;
    EXPECT_EQ(json_bool(theirs, "add_cross_attention", type, false), false) << type;
    EXPECT_EQ(theirs.at("is_encoder_decoder"), std::string(type) != "bert") << type;
  }
  EXPECT_EQ(classes["marian"]["share_encoder_decoder_embeddings"], true);
  EXPECT_EQ(classes["marian"]["decoder_vocab_size"], classes["marian"]["vocab_size"]);
}

TEST(ClassDefaults, AreEnoughForAConfig) {
  const Json classes = golden();
  for (const char* type : kTypes) {
    SCOPED_TRACE(type);
    const ModelConfig config = config_of(type);
    const Json& theirs = classes.at(type);
    EXPECT_EQ(config.encoder.vocab_size, theirs.at("vocab_size"));
    const bool bert = std::string(type) == "bert";
    EXPECT_EQ(config.d_model, theirs.at(bert ? "hidden_size" : "d_model"));
    if (bert) continue;
    const bool t5 = theirs.contains("num_layers");
    EXPECT_EQ(config.decoder.n_layers, theirs.at(t5 ? "num_decoder_layers" : "decoder_layers"));
    EXPECT_EQ(config.encoder.gated, json_bool(theirs, "is_gated_act", type, false));
    const bool scales = json_bool(theirs, "scale_embedding", type, false);
    EXPECT_EQ(config.encoder.embedding_scale, scales ? std::sqrt(1024.0f) : 1.0f);
  }
}

TEST(ClassDefaults, WhatAFileSaysStays) {
  const Json fields = with_class_defaults(
      {{"model_type", "bert"}, {"vocab_size", 7}, {"layer_norm_eps", nullptr}, {"other", "thing"}});
  EXPECT_EQ(fields["vocab_size"], 7);
  EXPECT_TRUE(fields["layer_norm_eps"].is_null());
  EXPECT_EQ(fields["other"], "thing");
  for (const Json& other : {Json({{"model_type", "gpt2"}}), Json({{"model_type", 3}}),
                            Json(Json::object()), Json(Json::array()), Json()}) {
    EXPECT_EQ(with_class_defaults(other), other);
  }
}

}  // namespace
}  // namespace headlane

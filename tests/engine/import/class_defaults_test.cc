// Where config.json does not say a field, the class of transformers does.
#include "engine/import/families/class_defaults.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "engine/file/json.h"
#include "engine/file/json_fields.h"
#include "engine/import/families/bart.h"
#include "engine/import/families/bert.h"
#include "engine/import/families/distilbert.h"
#include "engine/import/families/electra.h"
#include "engine/import/families/llama.h"
#include "engine/import/families/mpnet.h"
#include "engine/import/families/roberta.h"
#include "engine/import/families/rotary_encoder.h"
#include "engine/import/families/t5.h"
#include "engine/import/huggingface.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using ConfigOf = ModelConfig (*)(const Json& config, const std::string& path);

struct Type {
  const char* name;
  ConfigOf config;
  const char* d_model;   // the field
  const char* n_layers;  // of the encoder
  const char* n_decoder_layers = nullptr;
};

constexpr Type kTypes[] = {
    {"bert", bert_config, "hidden_size", "num_hidden_layers"},
    {"distilbert", distilbert_config, "dim", "n_layers"},
    {"roberta", roberta_config, "hidden_size", "num_hidden_layers"},
    {"xlm-roberta", roberta_config, "hidden_size", "num_hidden_layers"},
    {"camembert", roberta_config, "hidden_size", "num_hidden_layers"},
    {"electra", electra_config, "hidden_size", "num_hidden_layers"},
    {"mpnet", mpnet_config, "hidden_size", "num_hidden_layers"},
    {"bart", bart_config, "d_model", "encoder_layers", "decoder_layers"},
    {"mbart", bart_config, "d_model", "encoder_layers", "decoder_layers"},
    {"marian", bart_config, "d_model", "encoder_layers", "decoder_layers"},
    {"m2m_100", bart_config, "d_model", "encoder_layers", "decoder_layers"},
    {"t5", t5_config, "d_model", "num_layers", "num_decoder_layers"},
    {"mt5", t5_config, "d_model", "num_layers", "num_decoder_layers"},
    {"eurobert", eurobert_config, "hidden_size", "num_hidden_layers"},
};

Json golden_defaults() {
  return parse_json(read_file(HEADLANE_GOLDEN_DIR "/class_defaults/defaults.json"),
                    "defaults.json");
}

// Of NomicBERT the importer knows what the class has where a file says it by neither of two names.
constexpr Type kRotaryEncoders[] = {
    {"nomic_bert", nomic_bert_config, "hidden_size", "num_hidden_layers"},
    {"gte", gte_config, "hidden_size", "num_hidden_layers"},
    {"jina_embeddings_v3", jina3_config, "hidden_size", "num_hidden_layers"}};

// Baichuan is not in transformers.
constexpr const char* kLanguageModels[] = {
    "gpt2",   "llama",       "mistral", "qwen2",       "qwen3",      "gemma",
    "gemma2", "gemma3_text", "phi3",    "smollm3",     "olmo2",      "glm",
    "glm4",   "falcon",      "bloom",   "mixtral",     "qwen2_moe",  "qwen3_moe",
    "olmoe",  "glm4_moe",    "gpt_oss", "deepseek_v2", "deepseek_v3"};

// A config.json that says nothing more than its type.
Json filled(const char* type) {
  const Json config = {{"model_type", type}};
  return with_class_defaults(config, find_family(config, "c").defaults);
}

void expect_those_of_transformers(const char* type, size_t least) {
  SCOPED_TRACE(type);
  const Json theirs = golden_defaults().at(type);
  const Json fields = filled(type);
  EXPECT_GE(fields.size(), least);
  for (const auto& [key, value] : fields.items()) {
    ASSERT_TRUE(theirs.contains(key)) << key;
    EXPECT_EQ(value, theirs.at(key)) << key;
  }
}

TEST(ClassDefaults, AreTransformers) {
  for (const Type& type : kTypes) expect_those_of_transformers(type.name, 8);  // with model_type
  expect_those_of_transformers("modernbert", 8);
}

TEST(ClassDefaults, OfLanguageModelsAreTransformers) {
  for (const char* type : kLanguageModels) expect_those_of_transformers(type, 5);
}

// The importers take fields for granted that the table does not have.
TEST(ClassDefaults, ImportersTakeTheSameForGranted) {
  const Json classes = golden_defaults();
  for (const Type& type : kTypes) {
    SCOPED_TRACE(type.name);
    const Json& theirs = classes.at(type.name);
    // Of EuroBERT no logits are made.
    EXPECT_EQ(theirs.at("tie_word_embeddings"), std::string(type.name) != "eurobert");
    EXPECT_EQ(json_bool(theirs, "is_decoder", "", false), false);
    EXPECT_EQ(json_bool(theirs, "add_cross_attention", "", false), false);
    EXPECT_EQ(theirs.at("is_encoder_decoder"), type.n_decoder_layers != nullptr);
  }
  EXPECT_EQ(classes["marian"]["share_encoder_decoder_embeddings"], true);
  EXPECT_EQ(classes["marian"]["decoder_vocab_size"], classes["marian"]["vocab_size"]);
}

TEST(ClassDefaults, AreEnoughForAConfig) {
  const Json classes = golden_defaults();
  for (const Type& type : kTypes) {
    SCOPED_TRACE(type.name);
    const ModelConfig config = type.config(filled(type.name), "c");
    const Json& theirs = classes.at(type.name);
    EXPECT_EQ(config.encoder.vocab_size, theirs.at("vocab_size"));
    EXPECT_EQ(config.d_model, theirs.at(type.d_model));
    EXPECT_EQ(config.encoder.n_layers, theirs.at(type.n_layers));
    if (type.n_decoder_layers == nullptr) continue;
    EXPECT_EQ(config.decoder.n_layers, theirs.at(type.n_decoder_layers));
    EXPECT_EQ(config.encoder.gated, json_bool(theirs, "is_gated_act", "", false));
    const bool scales = json_bool(theirs, "scale_embedding", "", false);
    EXPECT_EQ(config.encoder.embedding_scale, scales ? std::sqrt(1024.0f) : 1.0f);
  }
}

// Positions of 512 rows begin after the row of the padding, and tables of ELECTRA are narrow.
TEST(ClassDefaults, AreTheFamilies) {
  const auto encoder = [](const Type& type) { return type.config(filled(type.name), "c").encoder; };
  for (const Type& type : kTypes) {
    SCOPED_TRACE(type.name);
    if (type.n_decoder_layers != nullptr) break;
    const std::string name = type.name;
    const bool pads = name.ends_with("roberta") || name == "camembert" || name == "mpnet";
    EXPECT_EQ(encoder(type).max_positions, pads ? 510 : 512);
    EXPECT_EQ(encoder(type).skips_padding(), pads);
    EXPECT_EQ(encoder(type).projection.width, name == "electra" ? 128 : 0);
    EXPECT_EQ(encoder(type).n_types, name == "distilbert" || name == "mpnet" ? 0 : 2);
    EXPECT_EQ(encoder(type).attention.relative.n_buckets, name == "mpnet" ? 32 : 0);
    EXPECT_EQ(encoder(type).norm_eps, 1e-12f);
  }
}

TEST(ClassDefaults, OfRotaryEncodersAreTransformers) {
  const Json classes = golden_defaults();
  for (const Type& type : kRotaryEncoders) {
    expect_those_of_transformers(type.name, 4);
    const Json& theirs = classes.at(type.name);
    const ModelConfig config = type.config(filled(type.name), "c");
    const StackConfig& encoder = config.encoder;
    EXPECT_EQ(encoder.vocab_size, theirs.at("vocab_size"));
    EXPECT_EQ(config.d_model, theirs.at(type.d_model));
    EXPECT_EQ(encoder.n_layers, theirs.at(type.n_layers));
    EXPECT_EQ(encoder.attention.n_heads, theirs.at("num_attention_heads"));
    EXPECT_EQ(encoder.d_ff, theirs.at("intermediate_size"));
    EXPECT_EQ(encoder.n_types, theirs.at("type_vocab_size"));
    EXPECT_EQ(encoder.max_positions, theirs.at("max_position_embeddings"));
    EXPECT_EQ(encoder.norm_eps, static_cast<float>(theirs.at("layer_norm_eps").get<double>()));
    EXPECT_EQ(encoder.attention.rotary.base, theirs.at("rope_theta"));
  }
}

TEST(ClassDefaults, WhatAFileSaysStays) {
  const Json fields = with_class_defaults(
      {{"model_type", "bert"}, {"vocab_size", 7}, {"layer_norm_eps", nullptr}, {"other", "thing"}},
      bert_defaults);
  EXPECT_EQ(fields["vocab_size"], 7);
  EXPECT_TRUE(fields["layer_norm_eps"].is_null());
  EXPECT_EQ(fields["other"], "thing");
  for (const Json& other :
       {Json({{"model_type", 3}}), Json(Json::object()), Json(Json::array()), Json()}) {
    EXPECT_EQ(with_class_defaults(other, bert_defaults), other);
  }
}

// A model of two parts has the fields of each in an object of its own.
TEST(ClassDefaults, OfPartsAreNotTheWholes) {
  EXPECT_EQ(filled("gemma3"), Json({{"model_type", "gemma3"}}));
}

}  // namespace
}  // namespace headlane

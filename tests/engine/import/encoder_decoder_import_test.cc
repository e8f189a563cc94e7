// The configs of Hugging Face's encoder-decoders: what is made of the golden models', and what is
// refused, by name.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/encoder_decoder_folder.h"

namespace headlane {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

TEST_F(EncoderDecoderImport, Marian) {
  copy("marian_shared");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.architecture, "encoder_decoder");
  EXPECT_EQ(config.encoder.vocab_size, 83);
  EXPECT_EQ(config.encoder.max_positions, 48);
  EXPECT_EQ(config.max_seq_len, 48);
  EXPECT_EQ(config.encoder.n_layers, 1);
  EXPECT_EQ(config.d_model, 32);
  EXPECT_EQ(config.encoder.d_ff, 40);
  EXPECT_EQ(config.encoder.attention.n_heads, 4);
  EXPECT_EQ(config.encoder.attention.head_dim, 8);
  EXPECT_EQ(config.encoder.attention.score, Score::kScaledDot);
  EXPECT_EQ(config.encoder.attention.scale, 1 / std::sqrt(8.0f));
  EXPECT_EQ(config.encoder.attention.causal, Causal::kNone);
  EXPECT_EQ(config.encoder.activation, Activation::kSilu);
  EXPECT_EQ(config.encoder.norm_eps, 1e-5f);
  EXPECT_EQ(config.encoder.norm, NormPlacement::kPost);
  EXPECT_EQ(config.encoder.norm_kind, NormKind::kLayer);
  EXPECT_FALSE(config.encoder.final_norm);
  EXPECT_FALSE(config.encoder.embedding_norm);
  EXPECT_FALSE(config.encoder.gated);
  EXPECT_EQ(config.encoder.embedding_scale, std::sqrt(32.0f));
  EXPECT_EQ(config.encoder.positions, Positions::kSinusoidalHalves);
  EXPECT_EQ(config.encoder.position_offset, 0);
  const StackConfig& decoder = config.decoder;
  EXPECT_EQ(decoder.vocab_size, 83);
  EXPECT_EQ(decoder.max_positions, 48);
  EXPECT_EQ(decoder.n_layers, 3);
  EXPECT_EQ(decoder.d_ff, 56);
  for (const AttentionSpec* spec : {&decoder.attention, &decoder.cross}) {
    EXPECT_EQ(spec->n_heads, 2);
    EXPECT_EQ(spec->n_kv_heads, 2);
    EXPECT_EQ(spec->head_dim, 16);
    EXPECT_EQ(spec->v_dim, 16);
    EXPECT_EQ(spec->scale, 0.25f);
  }
  EXPECT_EQ(decoder.attention.causal, Causal::kLowerRight);
  EXPECT_EQ(decoder.cross.causal, Causal::kNone);
  const GenerationDefaults& generation = config.generation;
  EXPECT_EQ(generation.start_id, 82);
  EXPECT_EQ(generation.pad_id, 82);
  EXPECT_EQ(generation.end_ids, Ids{0});
  EXPECT_EQ(generation.forced_first_id, -1);
  EXPECT_EQ(generation.forced_last_id, 0);
  EXPECT_EQ(generation.suppressed_ids, Ids{82});
  EXPECT_EQ(generation.max_new_tokens, 15);
  EXPECT_EQ(generation.min_new_tokens, 0);
  EXPECT_EQ(generation.n_beams, 4);
  EXPECT_EQ(generation.length_penalty, 1);
  EXPECT_EQ(generation.early_stopping, EarlyStopping::kHeuristic);
  EXPECT_EQ(generation.repetition_penalty, 1);
  EXPECT_TRUE(generation.renormalize);
}

TEST_F(EncoderDecoderImport, MarianOfTwoVocabularies) {
  copy("marian_separate");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.encoder.vocab_size, 61);
  EXPECT_EQ(config.decoder.vocab_size, 79);
  EXPECT_EQ(config.encoder.embedding_scale, 1);
  EXPECT_EQ(config.generation.end_ids, (Ids{0, 7}));
  // 0 is a bad word too, but an end.
  EXPECT_EQ(config.generation.suppressed_ids, (Ids{11, 12, 13, 14, 60}));
  EXPECT_EQ(config.generation.max_new_tokens, 14);
  EXPECT_EQ(config.generation.length_penalty, 0.8);
  EXPECT_FALSE(config.generation.renormalize);
}

TEST_F(EncoderDecoderImport, Bart) {
  copy("bart");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.encoder.norm, NormPlacement::kPost);
  EXPECT_TRUE(config.encoder.embedding_norm);
  EXPECT_FALSE(config.encoder.final_norm);
  EXPECT_EQ(config.encoder.positions, Positions::kLearned);
  EXPECT_EQ(config.encoder.position_offset, 0);
  EXPECT_EQ(config.encoder.max_positions, 40);
  EXPECT_EQ(config.encoder.embedding_scale, 1);
  EXPECT_EQ(config.encoder.activation, Activation::kGelu);
  EXPECT_EQ(config.generation.start_id, 2);
  EXPECT_EQ(config.generation.forced_first_id, 0);
  EXPECT_EQ(config.generation.early_stopping, EarlyStopping::kFirst);
  EXPECT_EQ(config.generation.max_new_tokens, 14) << "less the decoder's start";
  EXPECT_EQ(config.generation.min_new_tokens, 4);
}

TEST_F(EncoderDecoderImport, MBart) {
  copy("mbart");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.encoder.norm, NormPlacement::kPre);
  EXPECT_TRUE(config.encoder.embedding_norm);
  EXPECT_TRUE(config.encoder.final_norm);
  EXPECT_EQ(config.encoder.positions, Positions::kLearned);
  EXPECT_EQ(config.encoder.embedding_scale, std::sqrt(20.0f));
  EXPECT_EQ(config.encoder.activation, Activation::kGeluTanh);
  EXPECT_EQ(config.generation.forced_first_id, 64);
  EXPECT_EQ(config.generation.repetition_penalty, 1.3);
}

TEST_F(EncoderDecoderImport, M2M100) {
  copy("m2m_100");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.d_model, 27);
  EXPECT_EQ(config.encoder.norm, NormPlacement::kPre);
  EXPECT_FALSE(config.encoder.embedding_norm);
  EXPECT_TRUE(config.encoder.final_norm);
  EXPECT_EQ(config.encoder.positions, Positions::kSinusoidalInclusive);
  EXPECT_EQ(config.encoder.position_offset, 2);
  EXPECT_EQ(config.encoder.max_positions, 44);
  EXPECT_EQ(config.generation.suppressed_ids, (Ids{1, 5}));
}

TEST_F(EncoderDecoderImport, T5) {
  copy("t5_v1_0");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.encoder.norm, NormPlacement::kPre);
  EXPECT_EQ(config.encoder.norm_kind, NormKind::kRms);
  EXPECT_EQ(config.encoder.norm_eps, 1e-6f);
  EXPECT_TRUE(config.encoder.final_norm);
  EXPECT_FALSE(config.encoder.gated);
  EXPECT_EQ(config.encoder.activation, Activation::kRelu);
  EXPECT_EQ(config.encoder.positions, Positions::kNone);
  EXPECT_EQ(config.encoder.embedding_scale, 1);
  EXPECT_EQ(config.encoder.max_positions, 4096);
  EXPECT_EQ(config.encoder.n_layers, 3);
  EXPECT_EQ(config.decoder.n_layers, 2);
  for (const AttentionSpec* spec :
       {&config.encoder.attention, &config.decoder.attention, &config.decoder.cross}) {
    EXPECT_EQ(spec->score, Score::kDot);
    EXPECT_EQ(spec->n_heads, 4);
    EXPECT_EQ(spec->head_dim, 5);
    const bool is_cross = spec == &config.decoder.cross;
    EXPECT_EQ(spec->relative.n_buckets, is_cross ? 0 : 8);
    if (is_cross) continue;
    EXPECT_EQ(spec->relative.max_distance, 12);
    EXPECT_EQ(spec->relative.max_len, 4096);
    EXPECT_EQ(spec->relative.bidirectional, spec == &config.encoder.attention);
  }
  EXPECT_EQ(config.decoder.attention.causal, Causal::kLowerRight);
  EXPECT_EQ(config.generation.min_new_tokens, 3);
  EXPECT_EQ(config.generation.n_beams, 4);
}

TEST_F(EncoderDecoderImport, FeedForwardsOfT5) {
  const auto of = [&](const char* model, const json& change) {
    copy(model);
    patch("config.json", change);
    const ModelConfig config = convert_config();
    return std::pair(config.encoder.gated, config.encoder.activation);
  };
  using Pair = std::pair<bool, Activation>;
  // With the fields that transformers makes of feed_forward_proj, and without.
  const json without = {{"dense_act_fn", nullptr}, {"is_gated_act", nullptr}};
  json without_any = without;
  without_any["feed_forward_proj"] = nullptr;
  EXPECT_EQ(of("t5_v1_1", json::object()), Pair(true, Activation::kGeluTanh));
  EXPECT_EQ(of("t5_v1_1", without), Pair(true, Activation::kGeluTanh));
  EXPECT_EQ(of("mt5", json::object()), Pair(true, Activation::kSilu));
  EXPECT_EQ(of("mt5", without), Pair(true, Activation::kSilu));
  EXPECT_EQ(of("mt5", without_any), Pair(true, Activation::kGeluTanh));
  EXPECT_EQ(of("t5_v1_0", without_any), Pair(false, Activation::kRelu));
  EXPECT_EQ(of("t5_v1_0", {{"dense_act_fn", "gelu"}}), Pair(false, Activation::kGelu));
}

// Where a config does not say a field, it is as the classes of transformers assume.
TEST_F(EncoderDecoderImport, DefaultsOfConfigs) {
  copy("t5_v1_1");
  patch("config.json",
        {{"relative_attention_max_distance", nullptr}, {"layer_norm_epsilon", nullptr}});
  ModelConfig config = convert_config();
  EXPECT_EQ(config.encoder.attention.relative.n_buckets, 32);
  EXPECT_EQ(config.encoder.attention.relative.max_distance, 128);
  EXPECT_EQ(config.encoder.norm_eps, 1e-6f);
  copy("marian_shared");
  patch("config.json",
        {{"decoder_vocab_size", nullptr}, {"share_encoder_decoder_embeddings", nullptr}});
  EXPECT_EQ(convert_config().decoder.vocab_size, 83);
  patch("config.json", {{"scale_embedding", nullptr}});
  EXPECT_EQ(convert_config().encoder.embedding_scale, 1);
  // As files of the first programs had them.
  patch("config.json", {{"normalize_before", false},
                        {"normalize_embedding", false},
                        {"add_final_layer_norm", false},
                        {"add_bias_logits", false},
                        {"static_position_embeddings", true}});
  EXPECT_NO_THROW(convert());
}

// Only some of T5's models have their decoder's output scaled.
TEST_F(EncoderDecoderImport, ScaleOfTheOutput) {
  const auto weight = [&](const char* model, const json& change) {
    copy(model);
    patch("config.json", change);
    const Container container = convert();
    const TensorInfo* tensor = container.find("decoder.norm.weight");
    return *reinterpret_cast<const float*>(container.data(*tensor).data());
  };
  const json silent = {{"scale_decoder_outputs", nullptr}, {"tie_word_embeddings", nullptr}};
  const auto with = [&](const char* key, bool value) {
    json change = silent;
    change[key] = value;
    return change;
  };
  const float scaled = weight("t5_v1_0", silent);
  const float plain = weight("t5_v1_0", with("scale_decoder_outputs", false));
  EXPECT_NEAR(scaled * std::sqrt(24.0f), plain, std::abs(plain) * 0x1p-22f);
  EXPECT_EQ(weight("t5_v1_0", with("tie_word_embeddings", false)), plain);
  EXPECT_EQ(weight("t5_v1_0", with("tie_word_embeddings", true)), scaled);
  const float of_mt5 = weight("mt5", silent);
  EXPECT_EQ(weight("mt5", with("tie_word_embeddings", true)), of_mt5) << "never";
}

TEST_F(EncoderDecoderImport, FieldsHaveTypes) {
  const std::pair<const char*, std::vector<const char*>> models[] = {
      {"bart",
       {"vocab_size", "d_model", "max_position_embeddings", "encoder_layers", "encoder_ffn_dim",
        "encoder_attention_heads", "decoder_layers", "decoder_ffn_dim", "decoder_attention_heads",
        "activation_function"}},
      {"t5_v1_0", {"vocab_size", "d_model", "d_ff", "d_kv", "num_layers", "num_heads"}}};
  for (const auto& [model, keys] : models) {
    for (const char* key : keys) {
      refuse_config(model, {{key, json::array()}}, Status::kBadFile, quoted(key) + " is an array");
    }
  }
}

TEST_F(EncoderDecoderImport, HeadsMustDivide) {
  for (const int n_heads : {0, -3, 5}) {
    for (const char* key : {"encoder_attention_heads", "decoder_attention_heads"}) {
      refuse_config("bart", {{key, n_heads}}, Status::kBadFile,
                    quoted(key) + " is " + std::to_string(n_heads) +
                        ", which does not divide \"d_model\" (24)");
    }
  }
  refuse_config("t5_v1_0", {{"num_heads", 0}}, Status::kBadFile, "\"num_heads\" is less than 1");
  refuse_config("t5_v1_0", {{"d_kv", -1}}, Status::kBadFile, "\"d_kv\" is less than 1");
}

TEST_F(EncoderDecoderImport, RefusesActivations) {
  refuse_config("bart", {{"activation_function", "tanh"}}, Status::kUnsupported,
                "\"activation_function\" is \"tanh\", not one of: gelu, gelu_python, gelu_new, "
                "gelu_pytorch_tanh, gelu_python_tanh, gelu_accurate, gelu_fast, relu, silu, swish");
  refuse_config("t5_v1_0", {{"dense_act_fn", "tanh"}}, Status::kUnsupported,
                "\"dense_act_fn\" is \"tanh\"");
  refuse_config("t5_v1_0", {{"dense_act_fn", nullptr}, {"feed_forward_proj", "gated-tanh"}},
                Status::kUnsupported, "\"feed_forward_proj\" is \"tanh\"");
}

TEST_F(EncoderDecoderImport, RefusesHalvesOfAModel) {
  for (const char* model : {"bart", "t5_v1_0"}) {
    refuse_config(model, {{"is_encoder_decoder", false}}, Status::kUnsupported,
                  "\"is_encoder_decoder\" is false; only true is supported");
    refuse_config(model, {{"is_decoder", true}}, Status::kUnsupported,
                  "\"is_decoder\" is true; only false is supported");
    refuse_config(model, {{"is_causal", true}}, Status::kUnsupported, "\"is_causal\" is there");
  }
}

TEST_F(EncoderDecoderImport, RefusesQuantizedAndPruned) {
  refuse_config("t5_v1_0", {{"quantization_config", {{"bits", 8}}}}, Status::kUnsupported,
                "\"quantization_config\": field \"quant_method\"");
  refuse_config("bart", {{"pruned_heads", {{"1", {0}}}}}, Status::kUnsupported,
                "\"pruned_heads\" is not empty");
}

TEST_F(EncoderDecoderImport, RefusesVariantsThatTransformersDoesNotCompute) {
  const auto words = [](const char* key, bool value, const char* type) {
    const char* const is = value ? "true" : "false";
    const char* const otherwise = value ? "false" : "true";
    return quoted(key) + " is " + is + ", but models of \"model_type\" \"" + type +
           "\" are computed as if it were " + otherwise;
  };
  refuse_config("bart", {{"normalize_before", true}}, Status::kUnsupported,
                words("normalize_before", true, "bart"));
  refuse_config("marian_shared", {{"normalize_embedding", true}}, Status::kUnsupported,
                words("normalize_embedding", true, "marian"));
  refuse_config("marian_shared", {{"static_position_embeddings", false}}, Status::kUnsupported,
                words("static_position_embeddings", false, "marian"));
  refuse_config("mbart", {{"normalize_before", false}}, Status::kUnsupported,
                words("normalize_before", false, "mbart"));
  refuse_config("mbart", {{"add_final_layer_norm", false}}, Status::kUnsupported,
                words("add_final_layer_norm", false, "mbart"));
}

TEST_F(EncoderDecoderImport, SharedVocabularyMustBeOne) {
  refuse_config("marian_shared", {{"decoder_vocab_size", 84}}, Status::kBadFile,
                "\"decoder_vocab_size\" is 84, not \"vocab_size\" (83)");
}

TEST_F(EncoderDecoderImport, PaddingOfM2M100) {
  copy("m2m_100");
  patch("config.json", {{"pad_token_id", 3}});
  EXPECT_EQ(convert_config().encoder.position_offset, 4);
  for (const int64_t id : {int64_t{-1}, int64_t{89}, INT64_MAX}) {
    refuse_config("m2m_100", {{"pad_token_id", id}}, Status::kBadFile,
                  "\"pad_token_id\" is " + std::to_string(id) + ", no id of the vocabulary");
  }
}

TEST_F(EncoderDecoderImport, RefusesPoolingOverIt) {
  copy("t5_v1_0");
  std::filesystem::create_directory(hf_ + "/1_Pooling");
  write_file(hf_ + "/1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true})");
  write_file(hf_ + "/modules.json",
             R"([{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
                 {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
  EXPECT_ERROR(convert(), Status::kUnsupported, "a model with a decoder has no pooling");
}

TEST_F(EncoderDecoderImport, LengthOfTheTokenizer) {
  copy("m2m_100");
  for (const auto& [length, most] :
       {std::pair<json, int64_t>{7, 7}, {44, 44}, {45, 44}, {1e30, 44}}) {
    write_file(hf_ + "/tokenizer_config.json", json{{"model_max_length", length}}.dump());
    EXPECT_EQ(convert_config().max_seq_len, most) << length;
  }
}

}  // namespace
}  // namespace headlane

#include "engine/import/source/sentence_transformers.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using nlohmann::json;

json module(const std::string& type, const std::string& path) {
  return {{"idx", 0},
          {"name", path + type},
          {"path", path},
          {"type", "sentence_transformers.models." + type}};
}

bool ends_normalized(const SentenceModules& modules) {
  const std::vector<HeadStep>& steps = modules.head.steps;
  return !steps.empty() && steps.back().kind == HeadStepKind::kNormalize;
}

class Modules : public testing::Test {
 protected:
  void write_json(const std::string& name, const json& value) {
    std::filesystem::create_directories(std::filesystem::path(dir_.file(name)).parent_path());
    write_file(dir_.file(name), value.dump());
  }
  SentenceModules read(const json& modules) {
    write_json("modules.json", modules);
    return read_sentence_modules(dir_.path());
  }
  SentenceModules read_with_pooling(const json& pooling_config) {
    write_json("1_Pooling/config.json", pooling_config);
    return read({transformer_, pooling_});
  }

  const TempDir dir_;
  const json transformer_ = module("Transformer", "");
  const json pooling_ = module("Pooling", "1_Pooling");
  const json normalize_ = module("Normalize", "2_Normalize");
  const json mean_ = {{"word_embedding_dimension", 4},
                      {"pooling_mode_cls_token", false},
                      {"pooling_mode_mean_tokens", true},
                      {"pooling_mode_max_tokens", false},
                      {"pooling_mode_mean_sqrt_len_tokens", false},
                      {"include_prompt", true}};
  const json dense_ = {{"in_features", 4}, {"out_features", 3}, {"bias", true}};
};

TEST_F(Modules, NoneIsNoPooling) {
  const SentenceModules modules = read_sentence_modules(dir_.path());
  EXPECT_EQ(modules.transformer_dir, dir_.path());
  EXPECT_EQ(modules.head.pooling, Pooling::kNone);
  EXPECT_FALSE(ends_normalized(modules));
  EXPECT_EQ(read(json::array({transformer_})).head.pooling, Pooling::kNone);
}

TEST_F(Modules, PoolingAndNormalize) {
  write_json("1_Pooling/config.json", mean_);
  EXPECT_FALSE(ends_normalized(read({transformer_, pooling_})));
  const SentenceModules modules = read({transformer_, pooling_, normalize_});
  EXPECT_EQ(modules.head.pooling, Pooling::kMean);
  EXPECT_TRUE(ends_normalized(modules));
  const SentenceModules moved =
      read({module("Transformer", "0_Transformer"), pooling_});  // as old releases save it
  EXPECT_EQ(moved.transformer_dir, dir_.file("0_Transformer"));
}

TEST_F(Modules, PoolingFlags) {
  const std::pair<const char*, Pooling> flags[] = {
      {"pooling_mode_mean_tokens", Pooling::kMean},
      {"pooling_mode_cls_token", Pooling::kCls},
      {"pooling_mode_max_tokens", Pooling::kMax},
      {"pooling_mode_mean_sqrt_len_tokens", Pooling::kMeanSqrtLen},
      {"pooling_mode_weightedmean_tokens", Pooling::kWeightedMean},
      {"pooling_mode_lasttoken", Pooling::kLastToken}};
  for (const auto& [flag, pooling] : flags) {
    json config = mean_;
    config["pooling_mode_mean_tokens"] = false;
    config[flag] = true;
    EXPECT_EQ(read_with_pooling(config).head.pooling, pooling);
  }
}

TEST_F(Modules, PoolingModes) {
  EXPECT_EQ(read_with_pooling({{"pooling_mode", "mean"}}).head.pooling, Pooling::kMean);
  EXPECT_EQ(read_with_pooling({{"pooling_mode", "cls"}}).head.pooling, Pooling::kCls);
  EXPECT_EQ(read_with_pooling({{"pooling_mode", "max"}}).head.pooling, Pooling::kMax);
  EXPECT_EQ(read_with_pooling({{"pooling_mode", json::array({"cls"})}}).head.pooling,
            Pooling::kCls);
  EXPECT_EQ(read_with_pooling({{"pooling_mode", nullptr}}).head.pooling, Pooling::kMean);
  EXPECT_EQ(read_with_pooling({{"pooling_mode_mean_tokens", false}}).head.pooling, Pooling::kMean);
  EXPECT_EQ(read_with_pooling({{"word_embedding_dimension", 4}}).head.pooling, Pooling::kMean);
  EXPECT_EQ(read_with_pooling({{"pooling_mode", "lasttoken"}}).head.pooling, Pooling::kLastToken);
  EXPECT_ERROR(read_with_pooling({{"pooling_mode", json::array()}}), Status::kBadFile,
               "\"pooling_mode\" has 0 modes, not 1 to 64");
  EXPECT_ERROR(read_with_pooling({{"pooling_mode", "first"}}), Status::kUnsupported,
               "1_Pooling/config.json field \"pooling_mode\" has \"first\", which is not one of: "
               "cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken");
  EXPECT_ERROR(read_with_pooling({{"pooling_mode", 3}}), Status::kUnsupported, "has 3, which");
  EXPECT_ERROR(read_with_pooling({{"pooling_mode", {"cls", 3}}}), Status::kUnsupported, "has 3, ");
}

TEST_F(Modules, SeveralPoolings) {
  const auto of = [&](const json& config) {
    const SentenceHead head = read_with_pooling(config).head;
    std::vector<Pooling> poolings = {head.pooling};
    for (const PoolingBeside& beside : head.beside) poolings.push_back(beside.pooling);
    return poolings;
  };
  EXPECT_EQ(of({{"pooling_mode", {"mean", "cls", "mean"}}}),
            (std::vector<Pooling>{Pooling::kMean, Pooling::kCls, Pooling::kMean}));
  json flags = mean_;  // whose order does not count
  flags["pooling_mode_lasttoken"] = true;
  flags["pooling_mode_cls_token"] = true;
  EXPECT_EQ(of(flags), (std::vector<Pooling>{Pooling::kCls, Pooling::kMean, Pooling::kLastToken}));
}

TEST_F(Modules, PromptsThatAreNotPooled) {
  EXPECT_FALSE(read_with_pooling(mean_).head.leaves_out_prompt);
  EXPECT_FALSE(read_with_pooling({{"pooling_mode", "mean"}}).head.leaves_out_prompt);
  EXPECT_TRUE(read_with_pooling({{"pooling_mode", "mean"}, {"include_prompt", false}})
                  .head.leaves_out_prompt);
}

TEST_F(Modules, OtherPoolingIsRefused) {
  const auto refused = [&](const json& change, Status status, const std::string& words) {
    json config = mean_;
    config.update(change);
    EXPECT_ERROR(read_with_pooling(config), status, "1_Pooling/config.json" + words);
  };
  refused({{"pooling_mode_mean_tokens", 1}}, Status::kBadFile, " field \"pooling_mode_mean_tok");
  refused({{"include_prompt", 1}}, Status::kBadFile, " field \"include_prompt\"");
  refused({{"pooling_mode_new", true}}, Status::kUnsupported,
          " field \"pooling_mode_new\" is true, which is no pooling that is known");
  EXPECT_ERROR(read_with_pooling(json::array()), Status::kBadFile, "is not a JSON object");
  std::filesystem::remove_all(dir_.file("1_Pooling"));
  EXPECT_ERROR(read({transformer_, pooling_}), Status::kIo, "1_Pooling/config.json: cannot open");
}

TEST_F(Modules, OtherStepsAreRefused) {
  write_json("1_Pooling/config.json", mean_);
  const auto refused = [&](const json& modules, const std::string& words) {
    EXPECT_ERROR(read(modules), Status::kUnsupported, "modules.json: module " + words);
  };
  refused({transformer_, pooling_, module("CNN", "2_CNN")}, "2 field \"type\" is \"sentence_");
  refused({transformer_, normalize_, pooling_}, "1 field \"type\"");
  refused({transformer_, pooling_, module("Pooling", "2_Pooling")}, "2 field \"type\"");
  refused({transformer_, module("Transformer", "1")}, "1 field \"type\"");
  refused(json::array({pooling_}), "0 field \"type\"");
  refused(json::array({module("CLIPModel", "")}), "0 field \"type\"");
  refused({transformer_, module("Dropout", ""), pooling_}, "1 field \"type\"");
  refused({transformer_, module("Dense", "1_Dense"), pooling_}, "1 field \"type\"");
  // Before any file of a module is read.
  for (const char* kind : {"LSTM", "WordWeights", "WeightedLayerPooling", "BoW", "Router"}) {
    refused({transformer_, module("Pooling", "nowhere"), module(kind, "2")}, "2 field \"type\"");
  }
  for (const char* own :
       {"custom_st.Transformer", "Transformer", "sentence_transformersX.Pooling"}) {
    json first = transformer_;
    first["type"] = own;
    refused(json::array({first}),
            std::string("0 field \"type\" is \"") + own + "\", a class that is");
  }
}

TEST_F(Modules, StepsInTheirOrder) {
  write_json("1_Pooling/config.json", mean_);
  write_json("2_Dense/config.json", dense_);
  write_json("3_LayerNorm/config.json", {{"dimension", 3}});
  const SentenceHead head =
      read({transformer_, pooling_, module("Dense", "2_Dense"), module("Dropout", "none"),
            module("Normalize", ""), module("LayerNorm", "3_LayerNorm")})
          .head;
  ASSERT_EQ(head.steps.size(), 3u);
  EXPECT_EQ(head.steps[0].kind, HeadStepKind::kDense);
  EXPECT_EQ(head.steps[0].columns, 3);
  EXPECT_EQ(head.steps[0].activation, Activation::kTanh);
  EXPECT_EQ(head.steps[1].kind, HeadStepKind::kNormalize);
  EXPECT_EQ(head.steps[2].kind, HeadStepKind::kLayerNorm);
  EXPECT_EQ(head.steps[2].eps, 1e-5f);
  ASSERT_EQ(head.weights.size(), 2u);
  EXPECT_EQ(head.weights[0].dir, dir_.file("2_Dense"));
  EXPECT_TRUE(head.weights[0].has_bias);
  EXPECT_EQ(head.weights[1].step, 2u);
  check_sentence_columns(head, 4);
  EXPECT_ERROR(check_sentence_columns(head, 5), Status::kBadFile,
               "2_Dense/config.json field \"in_features\" is 4, but the vectors that the module is "
               "given have 5 columns");
  write_json("3_LayerNorm/config.json", {{"dimension", 4}});
  EXPECT_ERROR(check_sentence_columns(read({transformer_, pooling_, module("Dense", "2_Dense"),
                                            module("LayerNorm", "3_LayerNorm")})
                                          .head,
                                      4),
               Status::kBadFile,
               "3_LayerNorm/config.json field \"dimension\" is 4, but the vectors");
}

TEST_F(Modules, OfOneName) {
  write_json("1_Pooling/config.json", mean_);
  json dense = module("Dense", "nowhere"), last = normalize_;
  dense["name"] = last["name"] = "2";
  const SentenceModules modules = read({transformer_, pooling_, dense, last});
  ASSERT_EQ(modules.head.steps.size(), 1u);
  EXPECT_TRUE(ends_normalized(modules));
  ASSERT_EQ(modules.notes.size(), 1u);
  EXPECT_NE(
      modules.notes[0].find("modules.json: module 3 is called \"2\" as module 2 is, and takes "
                            "its place, as in sentence-transformers"),
      std::string::npos)
      << modules.notes[0];
}

TEST_F(Modules, ActivationsOfDense) {
  write_json("1_Pooling/config.json", mean_);
  const auto activation = [&](const json& name) {
    json config = dense_;
    config["activation_function"] = name;
    write_json("2_Dense/config.json", config);
    return read({transformer_, pooling_, module("Dense", "2_Dense")}).head.steps[0].activation;
  };
  EXPECT_EQ(activation("torch.nn.modules.activation.Tanh"), Activation::kTanh);
  EXPECT_EQ(activation("torch.nn.modules.activation.ReLU"), Activation::kRelu);
  EXPECT_EQ(activation("torch.nn.modules.GELU"), Activation::kGelu);
  EXPECT_EQ(activation("torch.nn.SiLU"), Activation::kSilu);
  EXPECT_EQ(activation("torch.nn.modules.linear.Identity"), Activation::kNone);
  for (const char* other :
       {"torch.nn.modules.activation.Softplus", "torch.nn.functional.tanh", "torch.tanh", "Tanh",
        "torch.nn.activation.Tanh", "torch.nn.modules.linear.Tanh", "my_code.Tanh", ""}) {
    EXPECT_ERROR(activation(other), Status::kUnsupported,
                 std::string("2_Dense/config.json field \"activation_function\" is \"") + other +
                     "\"; only the classes Tanh, ReLU");
  }
  EXPECT_ERROR(activation(3), Status::kBadFile, "is 3, not a string");
}

TEST_F(Modules, OtherDenseIsRefused) {
  write_json("1_Pooling/config.json", mean_);
  const auto refused = [&](const json& change, Status status, const std::string& words) {
    json config = dense_;
    config.update(change);
    write_json("2_Dense/config.json", config);
    EXPECT_ERROR(read({transformer_, pooling_, module("Dense", "2_Dense")}), status,
                 "2_Dense/config.json field " + words);
  };
  refused({{"use_residual", true}}, Status::kUnsupported, "\"use_residual\" is true");
  refused({{"module_input_name", "token_embeddings"}}, Status::kUnsupported,
          "\"module_input_name\" is \"token_embeddings\"");
  refused({{"module_output_name", "x"}}, Status::kUnsupported, "\"module_output_name\" is \"x\"");
  refused({{"out_features", 0}}, Status::kBadFile, "\"out_features\" is 0, not in 1 .. 65536");
  refused({{"in_features", 65537}}, Status::kBadFile, "\"in_features\" is 65537, not in 1");
  refused({{"bias", "yes"}}, Status::kBadFile, "\"bias\" is a string, not true");
}

TEST_F(Modules, DropoutAndFoldersWithASlash) {
  write_json("1_Pooling/config.json", mean_);
  const SentenceModules modules =
      read({module("Transformer", "0_Transformer/"), module("Pooling", "1_Pooling//"),
            module("Dropout", "2_Dropout/"), normalize_});
  EXPECT_EQ(modules.transformer_dir, dir_.file("0_Transformer"));
  EXPECT_EQ(modules.head.pooling, Pooling::kMean);
  EXPECT_TRUE(ends_normalized(modules));
}

TEST_F(Modules, NormalizeOfSomethingElse) {
  write_json("1_Pooling/config.json", mean_);
  write_json("2_Normalize/config.json", {{"module_input_name", "sentence_embedding"}});
  EXPECT_TRUE(ends_normalized(read({transformer_, pooling_, normalize_})));
  write_json("2_Normalize/config.json", {{"module_input_name", "token_embeddings"}});
  EXPECT_ERROR(read({transformer_, pooling_, normalize_}), Status::kUnsupported,
               "2_Normalize/config.json field \"module_input_name\" is \"token_embeddings\"");
}

TEST_F(Modules, Prompts) {
  const auto prompts = [&](const json& config) {
    write_json("config_sentence_transformers.json", config);
    return read(json::array({transformer_})).prompts;
  };
  EXPECT_TRUE(prompts(json::object()).texts.empty());
  EXPECT_TRUE(prompts({{"prompts", {{"query", ""}, {"document", nullptr}}}}).texts.empty());
  const Prompts some = prompts(
      {{"prompts", {{"query", "q: "}, {"passage", nullptr}}}, {"default_prompt_name", "query"}});
  EXPECT_EQ(some.texts, (std::map<std::string, std::string>{{"passage", ""}, {"query", "q: "}}));
  EXPECT_EQ(some.default_text(), "q: ");
  ASSERT_NE(some.find("document"), nullptr) << "always there, as in sentence-transformers";
  EXPECT_EQ(*some.find("document"), "");
  EXPECT_EQ(some.find("title"), nullptr);
  EXPECT_EQ(prompts({{"prompts", {{"query", "q: "}}}}).default_text(), "");
  std::filesystem::remove(dir_.file("modules.json"));
  EXPECT_TRUE(read_sentence_modules(dir_.path()).prompts.texts.empty()) << "not read without it";
}

TEST_F(Modules, WhatTheModelsConfigAsksForIsRefused) {
  const auto refused = [&](const json& config, Status status, const std::string& words) {
    write_json("config_sentence_transformers.json", config);
    EXPECT_ERROR(read(json::array({transformer_})), status,
                 "config_sentence_transformers.json field " + words);
  };
  refused({{"prompts", {{"query", 3}}}}, Status::kBadFile, "\"prompts\": field \"query\" is 3");
  refused({{"prompts", "query: "}}, Status::kBadFile, "\"prompts\": it is not a JSON object");
  refused({{"prompts", {{"query", "q: "}}}, {"default_prompt_name", "title"}}, Status::kBadFile,
          "\"default_prompt_name\" is \"title\", not one of: document, query");
  refused({{"truncate_dim", 0}}, Status::kUnsupported, "\"truncate_dim\" is 0, not in 1 .. 65536");
  refused({{"truncate_dim", -3}}, Status::kUnsupported, "\"truncate_dim\" is -3, not in 1");
  refused({{"truncate_dim", "3"}}, Status::kBadFile, "\"truncate_dim\" is");
  refused({{"similarity_fn_name", 3}}, Status::kBadFile, "\"similarity_fn_name\" is 3");
  refused({{"model_type", "SparseEncoder"}}, Status::kUnsupported,
          "\"model_type\" is \"SparseEncoder\", not one of: SentenceTransformer, CrossEncoder");
}

TEST_F(Modules, UsesOfVectors) {
  const auto of = [&](const json& config) {
    write_json("config_sentence_transformers.json", config);
    return read(json::array({transformer_}));
  };
  EXPECT_EQ(of({{"truncate_dim", 2}}).truncate_dim, 2);
  EXPECT_EQ(of({{"truncate_dim", nullptr}}).truncate_dim, 0);
  EXPECT_EQ(of({{"similarity_fn_name", "dot"}}).similarity, Similarity::kDot);
  EXPECT_EQ(of({{"similarity_fn_name", nullptr}}).similarity, Similarity::kCosine);
  EXPECT_TRUE(of({{"similarity_fn_name", "euclidean"}}).notes.empty());
  const SentenceModules other = of({{"similarity_fn_name", "maxsim"}});
  EXPECT_EQ(other.similarity, Similarity::kCosine);
  ASSERT_EQ(other.notes.size(), 1u);
  EXPECT_NE(other.notes[0].find("\"similarity_fn_name\" is \"maxsim\", which sentence-"),
            std::string::npos);
}

TEST_F(Modules, SettingsOfTheTransformer) {
  const auto check = [&](const json& config) {
    write_json("sentence_roberta_config.json", config);
    return read(json::array({transformer_}));
  };
  EXPECT_NO_THROW(
      check({{"transformer_task", "feature-extraction"},
             {"modality_config",
              {{"text", {{"method", "forward"}, {"method_output_name", "last_hidden_state"}}}}},
             {"module_output_name", "token_embeddings"},
             {"processing_kwargs", json::object()},
             {"query_length", nullptr},
             {"model_args", {{"attn_implementation", "sdpa"}}}}));
  const std::pair<const char*, json> settings[] = {
      {"transformer_task", "fill-mask"},
      {"module_output_name", "sentence_embedding"},
      {"modality_config", {{"text", {{"method", "get_text_features"}}}}},
      {"modality_config", {{"text", {{"method_output_name", "pooler_output"}}}}},
      {"tokenizer_args", {{"do_lower_case", true}}},
      {"config_args", {{"num_hidden_layers", 1}}},
      {"processing_kwargs", {{"text", {{"padding", "max_length"}}}}},
      {"tokenizer_name_or_path", "bert-base-cased"},
      {"query_length", 32},
      {"document_length", 180},
      {"query_expansion", {{"strategy", "fixed"}, {"length", 32}}}};
  for (const auto& [key, value] : settings) {
    EXPECT_ERROR(check({{key, value}}), Status::kUnsupported,
                 std::string("sentence_roberta_config.json field \"") + key + "\"");
  }
}

TEST_F(Modules, BrokenList) {
  EXPECT_ERROR(read(json::object()), Status::kBadFile, "modules.json is not a JSON array");
  EXPECT_ERROR(read(json::array()), Status::kBadFile, "modules.json is not a JSON array");
  EXPECT_ERROR(read(json::array({3})), Status::kBadFile,
               "modules.json: module 0 is not a JSON object");
  EXPECT_ERROR(read(json::array({{{"type", "sentence_transformers.Transformer"}}})),
               Status::kBadFile, "field \"path\" is missing");
  for (const char* path : {"../other", "/etc", "a/b", ".."}) {
    EXPECT_ERROR(read({transformer_, module("Pooling", path)}), Status::kBadFile,
                 "module 1 field \"path\" is \"");
  }
}

TEST_F(Modules, MaxSeqLen) {
  const auto max_seq_len = [&] { return read_max_seq_len(dir_.path(), 512, true); };
  EXPECT_EQ(max_seq_len(), 512);
  const std::pair<json, int64_t> lengths[] = {
      {128, 128}, {512, 512},     {1000, 512},
      {1, 512},   {nullptr, 512}, {json::parse("1" + std::string(30, '0')), 512}};
  for (const auto& [length, expected] : lengths) {
    write_json("tokenizer_config.json", {{"model_max_length", length}});
    EXPECT_EQ(max_seq_len(), expected) << length;
  }
  write_json("tokenizer_config.json", {{"model_max_length", 100}});
  write_json("sentence_bert_config.json", {{"max_seq_length", 256}});
  EXPECT_EQ(max_seq_len(), 256);
  EXPECT_EQ(read_max_seq_len(dir_.path(), 512, false), 100) << "not read without a modules.json";
  write_json("sentence_bert_config.json", {{"max_seq_length", 4096}});
  EXPECT_EQ(max_seq_len(), 512);
  write_json("sentence_bert_config.json", {{"max_seq_length", nullptr}});
  EXPECT_EQ(max_seq_len(), 100);
  write_json("sentence_bert_config.json", {{"max_seq_length", 1}});
  EXPECT_ERROR(max_seq_len(), Status::kBadFile, "sentence_bert_config.json field \"max_seq_len");
  write_json("sentence_bert_config.json", {{"max_seq_length", "256"}});
  EXPECT_ERROR(max_seq_len(), Status::kBadFile, "is a string, not an integer");
}

TEST_F(Modules, LowersTextsBeforeTheTokenizer) {
  EXPECT_FALSE(lowers_texts(dir_.path()));
  write_json("sentence_bert_config.json", {{"do_lower_case", true}});
  EXPECT_TRUE(lowers_texts(dir_.path()));
  write_json("sentence_bert_config.json", {{"do_lower_case", false}});
  EXPECT_FALSE(lowers_texts(dir_.path()));
}

}  // namespace
}  // namespace headlane

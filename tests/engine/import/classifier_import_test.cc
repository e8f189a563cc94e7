// The labels and scores of config.json, and the heads that are refused.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/import/convert.h"
#include "engine/model/model_check.h"
#include "tests/support/expect_error.h"
#include "tests/support/lines.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using nlohmann::json;
using Edit = std::function<void(json* file)>;

class ClassifierImport : public testing::Test {
 protected:
  ModelConfig convert(const std::string& golden, const Edit& edit,
                      const std::string& file = "config.json", const ConvertOptions& options = {}) {
    const std::string folder = dir_.file("hf" + std::to_string(n_++)),
                      out = dir_.file("m.headlane");
    std::filesystem::copy(HEADLANE_GOLDEN_DIR "/" + golden, folder,
                          std::filesystem::copy_options::recursive);
    const std::string path = folder + "/" + file;
    json fields = std::filesystem::exists(path) ? json::parse(read_file(path)) : json::object();
    edit(&fields);
    write_file(path, fields.dump());
    convert_model(folder, out, options);
    return read_config(Container::open(out));
  }
  ClassifierConfig classifier(const std::string& golden, const Edit& edit) {
    return convert("classify/" + golden, edit).head.classifier;
  }
  void refuse(const Edit& edit, Status status, const std::string& words,
              const std::string& golden = "classify/bert_nli",
              const std::string& file = "config.json") {
    EXPECT_ERROR(convert(golden, edit, file), status, words);
  }
  static Edit set(const char* field, json value) {
    return [field, value](json* config) { (*config)[field] = value; };
  }

  TempDir dir_;
  int n_ = 0;
};

TEST_F(ClassifierImport, Labels) {
  const auto none = [](json*) {};
  const ClassifierConfig nli = classifier("bert_nli", none);
  EXPECT_EQ(nli.labels, (std::vector<std::string>{"contradiction", "neutral", "entailment"}));
  EXPECT_EQ(nli.entailment, 2);
  EXPECT_EQ(nli.outcome, Outcome::kSoftmax);
  const ClassifierConfig many = classifier("bert_seventeen_labels", none);
  EXPECT_EQ(many.n_labels(), 17);
  EXPECT_EQ(many.labels[10], "LABEL_10");
  EXPECT_EQ(many.entailment, -1);
  EXPECT_EQ(classifier("bert_two_by_default", none).labels,
            (std::vector<std::string>{"LABEL_0", "LABEL_1"}));
  EXPECT_EQ(classifier("bert_multi_label", none).outcome, Outcome::kSigmoid);
  EXPECT_EQ(classifier("bert_regression", none).outcome, Outcome::kRaw);
}

// The product and the activation that stand before the last product, by family.
TEST_F(ClassifierImport, Steps) {
  const std::pair<const char*, Activation> families[] = {
      {"bert_nli", Activation::kTanh},
      {"distilbert_nli", Activation::kRelu},
      {"roberta_nli", Activation::kTanh},
      {"xlm_roberta_nli", Activation::kTanh},
      {"camembert_two_labels", Activation::kTanh},
      {"electra_four_labels", Activation::kGelu},
      {"mpnet_nli", Activation::kTanh},
      {"nomic_bert_two_labels", Activation::kTanh},
      {"gte_cross_encoder", Activation::kTanh},
      {"jina3_three_labels", Activation::kTanh}};
  for (const auto& [name, activation] : families) {
    const ModelConfig config = convert(std::string("classify/") + name, [](json*) {});
    const HeadConfig& head = config.head;
    EXPECT_EQ(head.pooling, Pooling::kCls) << name;
    ASSERT_EQ(head.steps.size(), 2u) << name;
    EXPECT_EQ(head.steps[0].activation, activation) << name;
    EXPECT_EQ(head.steps[0].columns, config.d_model) << name;
    EXPECT_EQ(head.steps[1].activation, Activation::kNone) << name;
    EXPECT_EQ(head.steps[1].columns, head.classifier.n_labels()) << name;
  }
}

// ModernBERT's has a norm too, and its config says the rest.
TEST_F(ClassifierImport, StepsThatTheConfigSays) {
  const auto head = [&](const std::string& name) {
    return convert("classify/" + name, [](json*) {}).head;
  };
  const HeadConfig mean = head("modernbert_mean"), cls = head("modernbert_nli");
  EXPECT_EQ(mean.pooling, Pooling::kMean);
  EXPECT_EQ(cls.pooling, Pooling::kCls);
  for (const HeadConfig& own : {mean, cls}) {
    ASSERT_EQ(own.steps.size(), 3U);
    EXPECT_EQ(own.steps[1].kind, HeadStepKind::kLayerNorm);
    EXPECT_EQ(own.steps[1].eps, 1e-5F);
  }
  EXPECT_EQ(mean.steps[0].activation, Activation::kRelu);
  EXPECT_EQ(cls.steps[0].activation, Activation::kGelu);
}

// transformers' zero-shot pipeline reads label2id.
TEST_F(ClassifierImport, EntailmentIsFoundByLabel2id) {
  EXPECT_EQ(classifier("bert_nli", [](json* c) { c->erase("label2id"); }).entailment, 2);
  EXPECT_EQ(classifier("bert_nli", set("label2id", {{"ENTAILs", 1}, {"b", 0}})).entailment, 1);
  EXPECT_EQ(classifier("bert_nli", set("label2id", {{"entai", 1}})).entailment, -1);
  refuse(set("label2id", {{"entail", 3}}), Status::kBadFile,
         "field \"label2id\": \"entail\" is 3; there are 3 labels");
  refuse(set("label2id", {{"entail", -1}}), Status::kBadFile, "field \"label2id\"");
  refuse(set("label2id", {{"entail", "2"}}), Status::kBadFile, "field \"entail\"");
}

// As transformers: the number of labels counts before names of another number.
TEST_F(ClassifierImport, NumberOfLabelsBesideNames) {
  const ClassifierConfig two_names = classifier("bert_nli", [](json* c) {
    (*c)["id2label"] = {{"0", "entailment"}, {"1", "b"}};
    (*c)["label2id"] = {{"entailment", 0}, {"b", 1}};
    (*c)["num_labels"] = 3;
  });
  EXPECT_EQ(two_names.labels, (std::vector<std::string>{"LABEL_0", "LABEL_1", "LABEL_2"}));
  EXPECT_EQ(two_names.entailment, -1);
  EXPECT_EQ(classifier("bert_nli", set("num_labels", 3)).labels[2], "entailment");
  refuse(set("num_labels", 2), Status::kBadFile, "classifier.weight");
}

// A folder with the field "sentence_transformers" was saved by a CrossEncoder, whatever that says.
TEST_F(ClassifierImport, OutcomeOfACrossEncodersFolderWithoutActivation) {
  const json version = {{"version", "4.1.0"}}, no_activation = {{"activation_fn", nullptr}};
  const char* const old = "sbert_ce_default_activation_function";
  const json identity = "torch.nn.modules.linear.Identity";
  EXPECT_EQ(classifier("bert_nli", set("sentence_transformers", version)).outcome, Outcome::kRaw);
  EXPECT_EQ(classifier("bert_nli", set("sentence_transformers", no_activation)).outcome,
            Outcome::kRaw);
  EXPECT_EQ(classifier("bert_regression", set("sentence_transformers", version)).outcome,
            Outcome::kSigmoid);
  const auto both = [&](const json& value) {
    return classifier("bert_cross_encoder_4", [&](json* c) {
      (*c)["sentence_transformers"] = value;
      (*c)[old] = identity;
    });
  };
  EXPECT_EQ(both(version).outcome, Outcome::kRaw);
  EXPECT_EQ(both(no_activation).outcome, Outcome::kSigmoid);
}

TEST_F(ClassifierImport, HostileLabelsAreRefused) {
  refuse(set("id2label", json::array()), Status::kBadFile, "\"id2label\": it is not a JSON object");
  refuse(set("id2label", json::object()), Status::kBadFile, "\"id2label\" is of 0 labels");
  refuse(set("id2label", {{"0", "a"}, {"2", "b"}}), Status::kBadFile,
         "the key \"2\" is no number from 0 to 1");
  refuse(set("id2label", {{"0", "a"}, {"00", "b"}}), Status::kBadFile, "is no number from 0 to 1");
  refuse(set("id2label", {{"0", "a"}, {"x", "b"}}), Status::kBadFile, "the key \"x\"");
  refuse(set("id2label", {{"0", "a"}, {"1", 5}}), Status::kBadFile, "field \"1\"");
  refuse(set("id2label", {{"0", "b"}, {"1", "c"}, {"2", std::string("a\0b", 3)}}), Status::kBadFile,
         "a NUL byte");
  const auto number = [](json value) {
    return [value](json* config) {
      config->erase("id2label");
      (*config)["num_labels"] = value;
    };
  };
  refuse(number(0), Status::kBadFile, "field \"num_labels\" is of 0 labels");
  refuse(number(1LL << 40), Status::kBadFile, "field \"num_labels\" is of 1099511627776 labels");
  refuse(number("3"), Status::kBadFile, "field \"num_labels\"");
  // As many labels as the product has columns.
  refuse(number(4), Status::kBadFile, "classifier.weight");
}

TEST_F(ClassifierImport, Outcomes) {
  const auto outcome = [&](const Edit& edit, const char* golden = "bert_nli") {
    return classifier(golden, edit).outcome;
  };
  const auto old = [](const char* name) {
    return set("sbert_ce_default_activation_function", name);
  };
  const auto of_4 = [](const char* name) {
    return set("sentence_transformers", {{"activation_fn", name}, {"version", "4.1.0"}});
  };
  const char *sigmoid = "torch.nn.modules.activation.Sigmoid",
             *identity = "torch.nn.modules.linear.Identity";
  EXPECT_EQ(outcome(set("problem_type", nullptr)), Outcome::kSoftmax);
  EXPECT_EQ(outcome(set("problem_type", nullptr), "bert_regression"), Outcome::kSigmoid);
  EXPECT_EQ(outcome(old(sigmoid)), Outcome::kSigmoid);
  EXPECT_EQ(outcome(old(identity)), Outcome::kRaw);
  EXPECT_EQ(outcome(of_4(sigmoid)), Outcome::kSigmoid);
  EXPECT_EQ(outcome(of_4(identity)), Outcome::kRaw);
  refuse(set("problem_type", "ranking"), Status::kUnsupported,
         "field \"problem_type\" is \"ranking\", not one of: regression");
  refuse(old("torch.nn.modules.activation.Tanh"), Status::kUnsupported,
         "field \"sbert_ce_default_activation_function\" is "
         "\"torch.nn.modules.activation.Tanh\"; supported are");
  refuse(of_4("my.own.Function"), Status::kUnsupported,
         "field \"sentence_transformers\": field \"activation_fn\" is \"my.own.Function\"");
}

TEST_F(ClassifierImport, CrossEncodersWithModules) {
  const std::string folder = "classify/bert_cross_encoder";
  const std::string settings = "config_sentence_transformers.json";
  const auto none = [](json*) {};
  EXPECT_EQ(convert(folder, none).head.classifier.outcome, Outcome::kSigmoid);
  EXPECT_EQ(convert("classify/bert_cross_encoder_prompt", none).prompts.default_text(), "the dog ");
  EXPECT_EQ(convert(folder, set("activation_fn", "torch.nn.modules.linear.Identity"), settings)
                .head.classifier.outcome,
            Outcome::kRaw);
  EXPECT_EQ(convert(folder, set("activation_fn", nullptr), settings).head.classifier.outcome,
            Outcome::kSigmoid);
  refuse(set("activation_fn", "torch.nn.modules.activation.Softmax"), Status::kUnsupported,
         "field \"activation_fn\" is \"torch.nn.modules.activation.Softmax\"", folder, settings);
  refuse(set("model_type", "SparseEncoder"), Status::kUnsupported,
         "field \"model_type\" is \"SparseEncoder\", not one of: SentenceTransformer, CrossEncoder",
         folder, settings);
  refuse(set("module_output_name", "token_embeddings"), Status::kUnsupported,
         "only \"scores\" is supported", folder, "sentence_bert_config.json");
  refuse(set("transformer_task", "text-generation"), Status::kUnsupported,
         "only \"sequence-classification\" is supported", folder, "sentence_bert_config.json");
  refuse(set("architectures", {"BertModel"}), Status::kUnsupported,
         "names no model ForSequenceClassification", folder);
  const auto with = [](const char* kind) {
    return [kind](json* modules) {
      modules->push_back({{"idx", 1},
                          {"name", "1"},
                          {"path", "1_Dense"},
                          {"type", std::string("sentence_transformers.base.modules.") + kind}});
    };
  };
  refuse(with("dense.Dense"), Status::kUnsupported, "dense.Dense\"", folder, "modules.json");
  refuse(with("logit_score.LogitScore"), Status::kIo, "1_Dense/config.json", folder,
         "modules.json");
}

TEST_F(ClassifierImport, OtherHeadsAreRefused) {
  const std::string bert = "bert/head_dim_33_odd";
  for (const char* head : {"ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice",
                           "ForNextSentencePrediction"}) {
    const std::string of = std::string("Bert") + head;
    refuse(set("architectures", {of}), Status::kUnsupported,
           std::string("field \"architectures\" is of a model ") + head +
               ", whose head is not "
               "supported; for vectors",
           bert);
    ConvertOptions options;
    options.pooling = Pooling::kMean;
    EXPECT_EQ(convert(bert, set("architectures", {of}), "config.json", options).head.kind,
              HeadKind::kPool);
  }
  refuse(set("architectures", {"BartForSequenceClassification"}), Status::kUnsupported,
         "is of a model ForSequenceClassification, which is supported for: bert",
         "encoder_decoder/bart");
  // The weights of the head must be there.
  refuse(set("architectures", {"BertForSequenceClassification"}), Status::kBadFile,
         "bert.pooler.dense.weight", bert);
}

TEST_F(ClassifierImport, PaddingThatIsNoToken) {
  const auto passed_over = [this](int64_t pad) {
    return classifier("qwen2_nli", set("pad_token_id", pad)).row.passed_over;
  };
  EXPECT_EQ(passed_over(3), 3);
  EXPECT_EQ(passed_over(-1), -1);
  EXPECT_EQ(passed_over((int64_t{1} << 32) + 3), -1);
}

TEST_F(ClassifierImport, ChatTemplatesThatNothingSpeaksOfAreTold) {
  std::string told;
  const auto hear = [](void (*)(), void* user, LogLevel level, const char* message) {
    if (level == LogLevel::kWarning) *static_cast<std::string*>(user) += message;
  };
  ConvertOptions options;
  options.log = Log(hear, nullptr, &told);
  const auto add = [](json* file) { (*file)["chat_template"] = "{{ messages[0].content }}"; };
  convert(
      "classify/qwen2_nli", [](json*) {}, "config.json", options);
  EXPECT_EQ(told.find("chat template"), std::string::npos) << told;
  convert("classify/qwen2_nli", add, "tokenizer_config.json", options);
  EXPECT_NE(told.find("has a chat template, and no modules.json"), std::string::npos) << told;
}

TEST_F(ClassifierImport, AdaptersBesideWeightsAreRefused) {
  refuse(set("peft_type", "LORA"), Status::kUnsupported,
         "has an adapter (adapter_config.json), which changes the weights; merge it",
         "classify/bert_nli", "adapter_config.json");
}

// A folder of a classifier gives vectors, if the user asks for them.
TEST_F(ClassifierImport, PoolingMakesVectorsOfIt) {
  ConvertOptions options;
  options.pooling = Pooling::kMean;
  const ModelConfig config = convert(
      "classify/bert_nli", [](json*) {}, "config.json", options);
  EXPECT_EQ(config.head.kind, HeadKind::kPool);
  EXPECT_EQ(config.head.classifier.n_labels(), 0);
}

}  // namespace
}  // namespace headlane

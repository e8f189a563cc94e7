#include "engine/spec/classifier.h"

#include <gtest/gtest.h>

#include "engine/file/limits.h"
#include "engine/spec/config.h"
#include "tests/support/expect_error.h"

namespace headlane {
namespace {

ModelConfig classifier_config() {
  ModelConfig config;
  config.architecture = "small";
  config.d_model = 32;
  config.max_seq_len = 48;
  StackConfig& encoder = config.encoder;
  encoder.n_layers = 1;
  encoder.vocab_size = 100;
  encoder.max_positions = 64;
  encoder.positions = Positions::kLearned;
  encoder.attention.set_heads(4, 8);
  encoder.d_ff = 128;
  config.head.kind = HeadKind::kClassify;
  config.head.pooling = Pooling::kCls;
  ClassifierConfig& classifier = config.head.classifier;
  classifier.labels = {"contradiction", "a \"quoted\" label", "", "entailment"};
  classifier.outcome = Outcome::kSigmoid;
  classifier.entailment = 3;
  config.head.steps = {{HeadStepKind::kDense, 32, Activation::kTanh}, {HeadStepKind::kDense, 4}};
  return config;
}

TEST(ClassifierConfig, RoundTrip) {
  const ModelConfig config = classifier_config();
  const ModelConfig read = ModelConfig::from_json(config.to_json(), "m");
  EXPECT_EQ(read.to_json(), config.to_json());
  const ClassifierConfig& classifier = read.head.classifier;
  EXPECT_EQ(classifier.labels, config.head.classifier.labels);
  ASSERT_EQ(read.head.steps.size(), 2u);
  EXPECT_EQ(read.head.steps[0].activation, Activation::kTanh);
  EXPECT_EQ(read.head.steps[1].columns, 4);
  EXPECT_EQ(read.vector_columns(), 0) << "scores are no vector";
  EXPECT_EQ(classifier.outcome, Outcome::kSigmoid);
  EXPECT_EQ(classifier.entailment, 3);
  EXPECT_EQ(classifier.n_labels(), 4);
  EXPECT_EQ(classifier.contradiction(), 0);
}

TEST(ClassifierConfig, ContradictionIsTheLastWhereEntailmentIsTheFirst) {
  ClassifierConfig classifier;
  classifier.labels = {"entailment", "b", "c"};
  classifier.entailment = 0;
  EXPECT_EQ(classifier.contradiction(), 2);
}

// The head's last step makes a number for each label.
TEST(ClassifierConfig, StepsAndLabelsFit) {
  const ModelConfig good = classifier_config();
  const std::string words = "field \"steps\" does not end with a \"dense\" of 4 columns";
  ModelConfig config = good;
  config.head.steps.pop_back();
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, words);
  config.head.steps.clear();
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, words);
  config = good;
  config.head.steps.back().columns = 5;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, words);
  config = good;
  config.head.steps.push_back({HeadStepKind::kNormalize});
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, words);
}

class BadClassifier : public testing::Test {
 protected:
  // A file in which one field is another.
  void refuse(const char* field, Json value, const std::string& words) {
    Json json = classifier_config().to_json();
    json["head"]["classifier"][field] = std::move(value);
    EXPECT_ERROR(ModelConfig::from_json(json, "m"), Status::kBadFile, words);
  }
};

TEST_F(BadClassifier, Labels) {
  refuse("labels", Json::array(), "field \"labels\" has no label");
  refuse("labels", nullptr, "field \"labels\"");
  refuse("labels", Json(std::vector<int64_t>{1, 2, 3, 4}), "field \"labels\"");
  refuse("labels", Json(std::vector<std::string>{"a", std::string("b\0c", 3), "c", "d"}),
         "a label with a NUL byte");
  const std::string longest(static_cast<size_t>(file_limits::kLabelBytes), 'x');
  refuse("labels", Json(std::vector<std::string>{"a", longest + "x", "c", "d"}),
         "a label of 4097 bytes, more than 4096");
  refuse("labels", Json(std::vector<std::string>(file_limits::kLabels + 1, "x")),
         "field \"labels\" has 65537 elements, more than 65536");
  Json json = classifier_config().to_json();
  json["head"]["classifier"]["labels"] = Json(std::vector<std::string>{longest, "b", "c", "d"});
  EXPECT_EQ(ModelConfig::from_json(json, "m").head.classifier.labels[0], longest);
}

TEST_F(BadClassifier, OtherFields) {
  refuse("entailment", 4, "field \"entailment\" is 4; there are 4 labels");
  refuse("entailment", -2, "field \"entailment\"");
  refuse("entailment", "0", "field \"entailment\"");
  refuse("outcome", "logistic", "field \"outcome\" is \"logistic\"");
  refuse("dense", true, "\"dense\"");
  refuse("bias", 1, "\"bias\"");
}

TEST_F(BadClassifier, Heads) {
  ModelConfig config = classifier_config();
  config.head.pooling = Pooling::kNone;
  EXPECT_ERROR(config.validate("m"), Status::kBadFile, "\"pooling\" is \"none\"");
  Json json = classifier_config().to_json();
  json["head"]["normalize"] = true;
  EXPECT_ERROR(ModelConfig::from_json(json, "m"), Status::kBadFile, "\"normalize\"");
  json = classifier_config().to_json();
  json["head"].erase("classifier");
  EXPECT_ERROR(ModelConfig::from_json(json, "m"), Status::kBadFile, "\"classifier\"");
}

}  // namespace
}  // namespace headlane

// The small random classifiers of tests/golden/classify, from their Hugging Face folders to scores,
// against transformers in float64, its pipelines, and sentence-transformers' CrossEncoder.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/api/encoder.h"
#include "tests/support/lines.h"
#include "tests/support/npy.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;

const std::string kFolders = HEADLANE_GOLDEN_DIR "/classify/";

std::vector<std::string> golden_models() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kFolders)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The error of a score that a float holds, which pipelines compute in float32: it is rounded twice,
// and so is the x of e^x.
constexpr double kScoreError = 1e-6;

class GoldenClassify : public testing::TestWithParam<std::tuple<std::string, const char*>> {
 protected:
  void SetUp() override {
    folder_ = kFolders + std::get<0>(GetParam());
    path_ = temp_.file("model.headlane");
    isa_ = std::get<1>(GetParam());
    convert(folder_, path_);
    if (!runs(path_, isa_)) GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << isa_;
    first_ = read_lines(folder_ + "/first.txt");
    second_ = read_lines(folder_ + "/second.txt");
    said_ = nlohmann::json::parse(std::ifstream(folder_ + "/scores.json"));
    bound_ = kOfPyTorchsError * nlohmann::json::parse(std::ifstream(folder_ + "/manifest.json"))
                                    .at("logits_float32_from_float64")
                                    .get<double>();
  }

  Model open(const char* precision = nullptr) const {
    ModelOptions options;
    options.isa = isa_.c_str();
    options.precision = precision;
    return Model(path_, options);
  }

  static void expect_near(const std::vector<float>& got, const std::vector<float>& expected,
                          double bound) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], bound) << i;
  }

  static std::vector<float> flat(const nlohmann::json& rows) {
    std::vector<float> values;
    for (const auto& row : rows) {
      for (const auto& value : row) values.push_back(value.get<float>());
    }
    return values;
  }

  // Classifies the texts, with their second texts if `pairs`, to which the options point.
  std::vector<float> classify(Session* session, bool pairs, headlane_outcome outcome) const {
    ClassifyOptions options;
    options.outcome = outcome;
    const JoinedTexts second(second_);
    const TextArray array = second.get();
    if (pairs) options.second = &array;
    return session->classify(first_, options);
  }

  TempDir temp_;
  std::string folder_, path_, isa_;
  std::vector<std::string> first_, second_;
  nlohmann::json said_;
  double bound_ = 0;
};

TEST_P(GoldenClassify, LogitsAreThoseOfTransformers) {
  const Model model = open();
  for (const int n_threads : {1, 2}) {
    SessionOptions options;
    options.n_threads = n_threads;
    Session session(model, options);
    for (const bool pairs : {false, true}) {
      const Npy expected = read_npy(folder_ + (pairs ? "/pair_logits.npy" : "/logits.npy"));
      ASSERT_EQ(expected.shape[1], model.facts().n_labels);
      expect_near(classify(&session, pairs, HEADLANE_OUTCOME_RAW), expected.data, bound_);
    }
  }
}

TEST_P(GoldenClassify, ScoresAreThoseOfPrograms) {
  const Model model = open();
  Session session(model);
  for (const char* name : {"scores", "pair_scores"}) {
    if (!said_.contains(name)) continue;
    const bool pairs = std::string(name) == "pair_scores";
    expect_near(classify(&session, pairs, HEADLANE_OUTCOME_OF_MODEL), flat(said_.at(name)),
                bound_ + kScoreError);
  }
  if (!said_.contains("order")) return;
  std::vector<int64_t> order;
  for (const Session::Ranked& ranked : session.rank(first_[0], second_)) {
    order.push_back(ranked.document);
  }
  EXPECT_EQ(order, said_.at("order").get<std::vector<int64_t>>());
}

TEST_P(GoldenClassify, LabelsOfTheCallersAreScoredAsByThePipeline) {
  const Model model = open();
  Session session(model);
  if (!said_.contains("zero_shot")) {
    EXPECT_EQ(model.facts().has_entailment, 0);
    EXPECT_THROW(session.zero_shot(first_, {"a"}), Error);
    return;
  }
  EXPECT_EQ(model.facts().has_entailment, 1);
  for (const auto& answer : said_.at("zero_shot")) {
    std::vector<std::string> texts;
    for (const size_t i : answer.at("texts")) texts.push_back(first_[i]);
    const auto labels = answer.at("labels").get<std::vector<std::string>>();
    const auto hypothesis = answer.at("template").get<std::string>();
    ZeroShotOptions options;
    options.hypothesis = hypothesis.c_str();
    options.multi_label = answer.at("multi_label").get<bool>() ? 1 : 0;
    expect_near(session.zero_shot(texts, labels, options), flat(answer.at("scores")),
                bound_ + kScoreError);
  }
}

// The same bits alone, in any batch, for any number of threads, in every precision.
TEST_P(GoldenClassify, BitsDoNotDependOnTheBatch) {
  for (const char* precision : {"f32", "bf16", "int8"}) {
    const Model model = open(precision);
    const auto n_labels = static_cast<size_t>(model.facts().n_labels);
    for (const bool pairs : {false, true}) {
      std::vector<float> alone;
      Session one(model);
      for (size_t i = 0; i < first_.size(); ++i) {
        ClassifyOptions options;
        const JoinedTexts second(std::vector<std::string>{second_[i]});
        const TextArray array = second.get();
        if (pairs) options.second = &array;
        const std::vector<float> row = one.classify(std::vector<std::string>{first_[i]}, options);
        alone.insert(alone.end(), row.begin(), row.end());
      }
      ASSERT_EQ(alone.size(), first_.size() * n_labels);
      for (const int64_t max_tokens : {int64_t{70}, int64_t{4096}}) {
        for (const int n_threads : {1, 2, 3}) {
          SessionOptions options;
          options.n_threads = n_threads;
          options.max_tokens = max_tokens;
          Session session(model, options);
          const std::vector<float> got = classify(&session, pairs, HEADLANE_OUTCOME_OF_MODEL);
          ASSERT_EQ(0, std::memcmp(got.data(), alone.data(), alone.size() * sizeof(float)))
              << precision << " " << n_threads;
        }
      }
    }
  }
}

// Ids in place of texts give the same raw scores.
TEST_P(GoldenClassify, IdsGiveTheScoresOfTheirTexts) {
  const Model model = open();
  Session session(model);
  Batch batch;
  TokenizeOptions tokenize;
  tokenize.prompt = model.facts().default_prompt;
  for (size_t i = 0; i < first_.size(); ++i) {
    const TokenPair pair = model.tokenize_pair(first_[i], second_[i], tokenize);
    batch.add(pair.ids, pair.type_ids);
  }
  std::vector<float> scores(first_.size() * static_cast<size_t>(model.facts().n_labels));
  Outputs outputs;
  outputs.scores = scores.data();
  session.encode(batch.get(), outputs);
  EXPECT_TRUE(scores == classify(&session, true, HEADLANE_OUTCOME_RAW));
}

INSTANTIATE_TEST_SUITE_P(All, GoldenClassify,
                         testing::Combine(testing::ValuesIn(golden_models()),
                                          testing::Values("ref", "avx2", "avx512")),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::get<1>(info.param);
                         });

}  // namespace
}  // namespace headlane::test

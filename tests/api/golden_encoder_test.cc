// The small random encoders of tests/golden/bert and tests/golden/encoders, from their Hugging Face
// folders to hidden states and pooled vectors, against transformers in float64.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/api/precision.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;

class GoldenEncoder : public testing::TestWithParam<std::tuple<std::string, const char*>> {
 protected:
  void SetUp() override {
    folder_ = golden_encoder(std::get<0>(GetParam()));
    path_ = temp_.file("model.headlane");
    check(headlane_convert(folder_.c_str(), path_.c_str(), nullptr));
    isa_ = std::get<1>(GetParam());
    if (!runs(path_, isa_)) GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << isa_;
    ids_ = read_ids(folder_ + "/ids.txt");
    if (fs::exists(folder_ + "/types.txt")) types_ = read_ids(folder_ + "/types.txt");
    manifest_ = nlohmann::json::parse(std::ifstream(folder_ + "/manifest.json"));
  }

  void expect_near(const std::vector<float>& got, const std::string& npy, const char* error) {
    const Npy expected = read_npy(folder_ + npy);
    ASSERT_EQ(got.size(), expected.data.size());
    const double bound = kOfPyTorchsError * manifest_.at(error).get<double>();
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected.data[i], bound) << i;
  }

  TempDir temp_;
  std::string folder_, path_, isa_;
  Sequences ids_, types_;
  nlohmann::json manifest_;
};

TEST_P(GoldenEncoder, MatchesTransformers) {
  for (const int n_threads : {1, 2}) {
    Encoder encoder(path_, isa_, n_threads);
    const Encoded out = encoder.encode(ids_, types_);
    expect_near(out.hidden, "/hidden.npy", "hidden_float32_from_float64");
    if (fs::exists(folder_ + "/pooled.npy"))
      expect_near(out.pooled, "/pooled.npy", "pooled_float32_from_float64");
  }
}

// The models with a tokenizer.
class GoldenTexts : public GoldenEncoder {
 public:
  static std::vector<std::string> models() {
    std::vector<std::string> names = golden_encoders();
    std::erase_if(names, [](const std::string& name) {
      return !fs::exists(golden_encoder(name) + "/texts.txt");
    });
    return names;
  }
};

TEST_P(GoldenTexts, GiveTheIdsAndVectorsOfSentenceTransformers) {
  Encoder encoder(path_, isa_, 1);
  Sequences ids;
  for (const std::string& text : read_lines(folder_ + "/texts.txt")) {
    std::vector<int32_t>& seq = ids.emplace_back(encoder.facts().max_seq_len);
    int64_t n = 0;
    check(headlane_model_tokenize(encoder.model(), text.data(), text.size(), nullptr, seq.data(),
                                  static_cast<int64_t>(seq.size()), &n));
    seq.resize(static_cast<size_t>(n));
  }
  EXPECT_EQ(ids, read_ids(folder_ + "/text_ids.txt"));
  expect_near(encoder.encode(ids).pooled, "/text_pooled.npy", "pooled_float32_from_float64");
}

TEST_P(GoldenEncoder, MatchesTransformersWithProductsByOneDnn) {
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.gemm = "onednn";
  headlane_model* model = nullptr;
  const headlane_status status = headlane_model_open(path_.c_str(), &options, &model);
  if (status == HEADLANE_UNSUPPORTED) GTEST_SKIP() << headlane_error();
  headlane_model_destroy(model);
  for (const int n_threads : {1, 2}) {
    Encoder encoder(path_, isa_, n_threads, 4096, "onednn");
    EXPECT_STREQ(encoder.facts().gemm, "onednn");
    expect_near(encoder.encode(ids_, types_).hidden, "/hidden.npy", "hidden_float32_from_float64");
  }
}

// The same bits alone, in any order, in any batch, for any number of threads.
TEST_P(GoldenEncoder, BitsDoNotDependOnTheBatch) {
  Encoder one(path_, isa_, 1), two(path_, isa_, 2), three(path_, isa_, 3);
  const size_t d = static_cast<size_t>(one.facts().d_model);
  std::vector<Encoded> alone;
  for (size_t i = 0; i < ids_.size(); ++i) {
    alone.push_back(one.encode({ids_[i]}, types_.empty() ? Sequences{} : Sequences{types_[i]}));
  }
  std::vector<size_t> order(ids_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937 random(7);
  for (Encoder* encoder : {&one, &two, &three}) {
    std::shuffle(order.begin(), order.end(), random);
    Sequences ids, types;
    for (const size_t i : order) {
      ids.push_back(ids_[i]);
      if (!types_.empty()) types.push_back(types_[i]);
    }
    const Encoded all = encoder->encode(ids, types);
    size_t row = 0;
    for (size_t at = 0; at < order.size(); ++at) {
      const Encoded& expected = alone[order[at]];
      ASSERT_EQ(
          0, std::memcmp(&all.hidden[row * d], expected.hidden.data(), expected.hidden.size() * 4));
      if (one.pools()) {
        ASSERT_EQ(0, std::memcmp(&all.pooled[at * d], expected.pooled.data(), d * 4));
      }
      row += ids_[order[at]].size();
    }
  }
}

std::string name_of_case(const testing::TestParamInfo<std::tuple<std::string, const char*>>& info) {
  const std::string& name = std::get<0>(info.param);
  return name.substr(name.find('/') + 1) + "_" + std::get<1>(info.param);
}

const auto kGoldenIsas = testing::Values("ref", "avx2", "avx512");
INSTANTIATE_TEST_SUITE_P(All, GoldenEncoder,
                         testing::Combine(testing::ValuesIn(golden_encoders()), kGoldenIsas),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(All, GoldenTexts,
                         testing::Combine(testing::ValuesIn(GoldenTexts::models()), kGoldenIsas),
                         name_of_case);

}  // namespace
}  // namespace headlane::test

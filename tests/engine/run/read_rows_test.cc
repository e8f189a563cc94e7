// The last layer of a model whose head reads one row of each sequence: what is computed of these
// rows alone has the bits that it has where all rows are wanted.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "engine/import/convert.h"
#include "engine/run/session.h"
#include "kernels/kernels.h"
#include "tests/support/isas.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

struct Case {
  const char* name;
  const char* folder;
  Pooling pooling = Pooling::kNone;  // kNone: the folder's own head
  int64_t longest = 30;
};
constexpr Case kCases[] = {
    {"bert", "classify/bert_nli"},
    {"distilbert", "classify/distilbert_nli"},
    {"roberta", "classify/roberta_nli"},
    {"camembert", "classify/camembert_two_labels"},
    {"electra", "classify/electra_four_labels"},
    {"mpnet", "classify/mpnet_nli"},
    {"steps", "bert/head_dim_8_cls"},
    // More keys than one block of attention has.
    {"long_first", "bert/head_dim_1_two_layers_512", Pooling::kCls, 512},
    {"long_last", "bert/head_dim_1_two_layers_512", Pooling::kLastToken, 512},
    {"distances_last", "encoders/mpnet_all_buckets", Pooling::kLastToken, 300}};

class ReadRows : public testing::TestWithParam<std::tuple<Case, const char*>> {
 protected:
  ReadRows() : case_(std::get<0>(GetParam())) {}

  void SetUp() override {
    const std::string isa = std::get<1>(GetParam());
    if (std::ranges::none_of(kernels::supported(),
                             [&](const kernels::Table* table) { return table->isa == isa; })) {
      GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << isa;
    }
    ConvertOptions convert;
    if (case_.pooling != Pooling::kNone) convert.pooling = case_.pooling;
    convert_model(std::string(HEADLANE_GOLDEN_DIR "/") + case_.folder, dir_.file("m.headlane"),
                  convert);
  }

  std::unique_ptr<Model> open(const char* precision) const {
    ModelOptions options;
    options.isa = std::get<1>(GetParam());
    options.precision = precision;
    return Model::open(dir_.file("m.headlane"), options);
  }

  // Sequences of many lengths, one of them empty.
  void fill(const ModelConfig& config) {
    std::mt19937 random(7);
    const StackConfig& stack = config.first_stack();
    const int64_t longest = std::min(case_.longest, config.max_seq_len);
    for (const int64_t wanted :
         {int64_t{3}, longest, int64_t{0}, int64_t{1}, longest / 2, int64_t{7}, longest - 1}) {
      for (int64_t i = 0; i < wanted; ++i) {
        ids_.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(stack.vocab_size)));
      }
      offsets_.push_back(std::ssize(ids_));
    }
  }
  TokenBatch batch(int64_t n_left_out) const {
    return {std::ssize(offsets_) - 1, offsets_.data(), ids_.data(), nullptr, n_left_out};
  }

  const Case case_;
  TempDir dir_;
  std::vector<int32_t> ids_;
  std::vector<int64_t> offsets_ = {0};
};

TEST_P(ReadRows, HaveTheBitsOfAllRows) {
  for (const char* precision : {"f32", "bf16", "int8"}) {
    const auto model = open(precision);
    if (ids_.empty()) fill(model->config());
    ASSERT_TRUE(model->graph(model->precision(), Part::kMain).read.has_value());
    for (const int64_t n_threads : {1, 3}) {
      Session session(*model, session_limits(*model, {.n_threads = n_threads}), nullptr, {});
      const auto n = static_cast<size_t>(batch(0).n_seqs * session.n_pooled_columns());
      for (const int64_t n_left_out : {0, 3, 600}) {
        std::vector<float> all(n, NAN), alone(n, NAN);
        std::vector<float> hidden(ids_.size() * static_cast<size_t>(model->config().d_model));
        session.encode(batch(n_left_out), hidden.data(), all.data(), nullptr);
        session.encode(batch(n_left_out), nullptr, alone.data(), nullptr);
        EXPECT_EQ(std::memcmp(all.data(), alone.data(), n * sizeof(float)), 0)
            << precision << ", " << n_threads << " threads, " << n_left_out << " left out";
      }
    }
  }
}

// No row of another sequence is read where one has none.
TEST_P(ReadRows, EmptySequencesAlone) {
  const auto model = open("f32");
  Session session(*model, session_limits(*model, {.n_threads = 1}), nullptr, {});
  const auto n = static_cast<size_t>(2 * session.n_pooled_columns());
  offsets_ = {0, 0, 0};
  std::vector<float> all(n, NAN), alone(n, NAN);
  float none = 0;
  session.encode(batch(0), &none, all.data(), nullptr);
  session.encode(batch(0), nullptr, alone.data(), nullptr);
  EXPECT_EQ(std::memcmp(all.data(), alone.data(), n * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, ReadRows, testing::Combine(testing::ValuesIn(kCases), testing::ValuesIn(test::kIsas)),
    [](const auto& info) {
      return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param);
    });

}  // namespace
}  // namespace headlane

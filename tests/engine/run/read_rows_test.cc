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
#include "tests/support/sanitizers.h"
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
    {"modernbert", "classify/modernbert_nli"},
    {"steps", "bert/head_dim_8_cls"},
    // More keys than one block of attention has.
    {"long_first", "bert/head_dim_1_two_layers_512", Pooling::kCls, 512},
    {"long_last", "bert/head_dim_1_two_layers_512", Pooling::kLastToken, 512},
    {"distances_last", "encoders/mpnet_all_buckets", Pooling::kLastToken, 300},
    {"window_last", "encoders/modernbert_windows", Pooling::kLastToken, 130}};

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
      if (kUnderAddressSanitizer && n_threads == 1) continue;
      Session session(*model, session_limits(*model, {.n_threads = n_threads}), nullptr, {});
      const auto n = static_cast<size_t>(batch(0).n_seqs * session.n_pooled_columns());
      for (const int64_t n_left_out : {0, 3, 600}) {
        if (kUnderAddressSanitizer && n_left_out == 600) continue;
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

// Weights in parts, whose products begin at any column of a part only where kernels can: it is 32
// times some number. Queries of 24 columns are not computed without the rest then.
TEST(ReadRowsOfParts, HaveTheBitsOfOneProduct) {
  const TempDir dir;
  const std::string path = dir.file("m.headlane");
  convert_model(HEADLANE_GOLDEN_DIR "/bert/head_dim_8_cls", path, {});
  const Container container = Container::open(path);
  const ModelConfig config = ModelConfig::from_json(container.config(), path);
  ASSERT_EQ(config.encoder.attention_of(0).q_width(), 24);
  constexpr size_t kFirst = 64 * 24 * sizeof(float);
  std::vector<TensorSource> whole, parts;
  for (const TensorInfo& tensor : container.tensors()) {
    const auto data = container.data(tensor);
    whole.push_back({tensor.name, tensor.dtype, tensor.shape, data});
    if (!tensor.name.ends_with(".qkv.weight")) {
      parts.push_back(whole.back());
      continue;
    }
    ASSERT_EQ(tensor.shape, (std::vector<int64_t>{72, 24}));
    const std::string product = tensor.name.substr(0, tensor.name.rfind('.'));
    parts.push_back({product + ".part.0.weight", tensor.dtype, {64, 24}, data.first(kFirst)});
    parts.push_back({product + ".part.1.weight", tensor.dtype, {8, 24}, data.subspan(kFirst)});
  }
  const std::vector<int32_t> ids = {3, 1, 4, 1, 5, 9, 2, 6, 5};
  const std::vector<int64_t> offsets = {0, 4, 9};
  for (const kernels::Table* table : kernels::supported()) {
    ModelOptions options;
    options.isa = table->isa;
    std::vector<float> pooled[2];
    for (const bool in_parts : {false, true}) {
      const auto model = Model::make(
          Container::make("parts", config.to_json(), in_parts ? parts : whole), config, options);
      EXPECT_EQ(model->graph(model->precision(), Part::kMain).read.has_value(), !in_parts);
      Session session(*model, session_limits(*model, {.n_threads = 1}), nullptr, {});
      pooled[in_parts].assign(static_cast<size_t>(2 * session.n_pooled_columns()), NAN);
      session.encode({2, offsets.data(), ids.data(), nullptr}, nullptr, pooled[in_parts].data(),
                     nullptr);
    }
    EXPECT_EQ(pooled[0], pooled[1]) << table->isa;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ReadRows, testing::Combine(testing::ValuesIn(kCases), testing::ValuesIn(test::kIsas)),
    [](const auto& info) {
      return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param);
    });

}  // namespace
}  // namespace headlane

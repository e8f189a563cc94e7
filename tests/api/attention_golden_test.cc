// Attention on one's own buffers against PyTorch (tests/golden/attention), and by hand.
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/api/attention.h"
#include "tests/support/npy.h"

namespace headlane::test {
namespace {

using nlohmann::json;

const std::string kAttentionFolder = HEADLANE_GOLDEN_DIR "/attention/";

// What arithmetic allows at worst, which tests/kernels/attention_test.cc computes, is some ten
// times kOfPyTorchsError: it would hide a coarse exponential.

const json& cases() {
  static const json manifest = json::parse(std::ifstream(kAttentionFolder + "manifest.json"));
  return manifest;
}

struct Tensor {
  explicit Tensor(int64_t n) : data(n) {}
  std::vector<int64_t> shape;
  GuardedFloats data;
  // An extent of 1 repeats.
  int64_t stride(size_t dim) const {
    if (shape[dim] == 1) return 0;
    int64_t stride = 1;
    for (size_t i = dim + 1; i < shape.size(); ++i) stride *= shape[i];
    return stride;
  }
  headlane_heads heads() { return {data.data(), stride(0), stride(2), stride(1)}; }
};

std::map<std::string, std::unique_ptr<Tensor>> read_tensors(const std::string& name) {
  const Npy npy = read_npy(kAttentionFolder + name + ".npy");
  std::map<std::string, std::unique_ptr<Tensor>> tensors;
  const float* from = npy.data.data();
  for (const json& entry : cases().at(name).at("tensors")) {
    int64_t n = 1;
    for (const int64_t extent : entry[1]) n *= extent;
    if (n > npy.data.data() + npy.data.size() - from) throw std::runtime_error(name + " is short");
    auto tensor = std::make_unique<Tensor>(n);
    tensor->shape = entry[1].get<std::vector<int64_t>>();
    std::copy_n(from, n, tensor->data.data());
    from += n;
    tensors[entry[0]] = std::move(tensor);
  }
  if (from != npy.data.data() + npy.data.size()) throw std::runtime_error(name + " is long");
  return tensors;
}

headlane_rotary rotary_of(const json& c) {
  headlane_rotary rotary = HEADLANE_INIT(headlane_rotary);
  if (!c.contains("rotary")) return rotary;
  const json& r = c["rotary"];
  rotary.dims = r.value("dims", 0);
  rotary.interleaved = r.value("interleaved", false);
  rotary.base = r.value("base", 0.0);
  rotary.max_positions = std::max(c.at("q_len").get<int64_t>(), c.at("kv_len").get<int64_t>());
  rotary.factor = r.value("factor", 0.0);
  rotary.original_max_positions = r.value("original_max_positions", 0);
  const std::map<std::string, headlane_rotary_scaling> scalings = {
      {"none", HEADLANE_ROTARY_PLAIN},
      {"linear", HEADLANE_ROTARY_LINEAR},
      {"ntk", HEADLANE_ROTARY_NTK},
      {"yarn", HEADLANE_ROTARY_YARN},
      {"llama3", HEADLANE_ROTARY_LLAMA3}};
  rotary.scaling = scalings.at(r.value("scaling", "none"));
  return rotary;
}

class AttentionGolden : public AttentionTest {
 protected:
  void check(const std::string& name, int n_threads) {
    SCOPED_TRACE(name + ", " + std::to_string(n_threads) + " threads");
    const json& c = cases().at(name);
    auto tensors = read_tensors(name);
    headlane_attention_options of = options(c.at("n_heads"), c.at("head_dim"));
    of.n_kv_heads = c.at("n_kv_heads");
    of.v_dim = c.at("v_dim");
    of.scale = c.value("scale", 0.0f);
    of.softcap = c.value("softcap", 0.0f);
    of.window_left = c.value("window_left", 0);
    of.window_right = c.value("window_right", 0);
    of.n_threads = n_threads;
    const std::string score = c.value("score", "scaled_dot");
    if (score == "dot") of.score = HEADLANE_SCORE_DOT;
    if (score == "additive") of.score = HEADLANE_SCORE_ADDITIVE;
    if (tensors.contains("additive")) of.additive = tensors.at("additive")->data.data();
    const headlane_rotary rotary = rotary_of(c);
    if (c.contains("rotary")) of.rotary = &rotary;
    headlane_relative_bias relative = HEADLANE_INIT(headlane_relative_bias);
    if (c.contains("relative_bias")) {
      relative.table = tensors.at("relative_table")->data.data();
      relative.n_buckets = c["relative_bias"]["n_buckets"];
      relative.max_distance = c["relative_bias"]["max_distance"];
      relative.bidirectional = c["relative_bias"]["bidirectional"].get<bool>();
      relative.max_len = std::max(c.at("q_len").get<int64_t>(), c.at("kv_len").get<int64_t>());
      of.relative_bias = &relative;
    }
    const std::string causal = c.value("causal", "");
    if (causal == "upper_left") of.causal = HEADLANE_CAUSAL_UPPER_LEFT;
    if (causal == "lower_right") of.causal = HEADLANE_CAUSAL_LOWER_RIGHT;

    headlane_attention_batch batch{};
    batch.struct_size = sizeof batch;
    batch.n_seqs = c.at("batch");
    batch.q_len = c.at("q_len");
    batch.kv_len = c.at("kv_len");
    batch.left_padded = c.value("left_padded", 0);
    std::map<std::string, std::vector<int64_t>> lengths;
    const auto lengths_of = [&](const char* field) {
      if (c.contains(field)) lengths[field] = c.at(field).get<std::vector<int64_t>>();
      return c.contains(field) ? lengths[field].data() : nullptr;
    };
    batch.q_lengths = lengths_of("q_lengths");
    batch.kv_lengths = lengths_of("kv_lengths");
    batch.prefix_lengths = lengths_of("prefix_lengths");
    batch.q = tensors.at("q")->heads();
    batch.k = tensors.at("k")->heads();
    batch.v = tensors.at(tensors.contains("v") ? "v" : "k")->heads();
    const Tensor& expected = *tensors.at("o");
    GuardedFloats o(expected.data.size());
    const headlane_heads of_o = tensors.at("o")->heads();
    batch.o = {o.data(), of_o.seq_stride, of_o.token_stride, of_o.head_stride};
    if (tensors.contains("bias")) {
      Tensor& bias = *tensors.at("bias");
      batch.bias = bias.data.data();
      batch.bias_seq_stride = bias.stride(0);
      batch.bias_head_stride = bias.stride(1);
      batch.bias_query_stride = bias.stride(2);
    }
    Guarded<uint8_t> mask(tensors.contains("mask") ? tensors.at("mask")->data.size() : 0);
    if (tensors.contains("mask")) {
      Tensor& numbers = *tensors.at("mask");
      for (int64_t i = 0; i < mask.size(); ++i) mask[i] = numbers.data[i] != 0;
      batch.mask = mask.data();
      batch.mask_seq_stride = numbers.stride(0);
      batch.mask_head_stride = numbers.stride(1);
      batch.mask_query_stride = numbers.stride(2);
    }
    if (tensors.contains("alibi_slopes")) {
      of.alibi_slopes = tensors.at("alibi_slopes")->data.data();
    }
    if (tensors.contains("sinks")) of.sinks = tensors.at("sinks")->data.data();

    headlane::check(headlane_attention_run(create_attention(of).get(), &batch));
    const double bound = kOfPyTorchsError * c.at("float32_from_float64").get<double>();
    GuardedFloats& right = tensors.at("o")->data;
    double worst = 0;
    for (int64_t i = 0; i < o.size(); ++i) {
      ASSERT_NEAR(o[i], right[i], bound) << i;
      worst = std::max(worst, std::fabs(double{o[i]} - right[i]));
    }
    RecordProperty(name, std::to_string(worst / bound));
  }
};

TEST_P(AttentionGolden, MatchesPyTorch) {
  ASSERT_EQ(cases().size(), 45u);
  for (const auto& [name, unused] : cases().items()) {
    for (const int n_threads : {1, 2, 3}) check(name, n_threads);
  }
}

// Scores 0, ln 2 and ln 5 give probabilities 1/8, 2/8 and 5/8.
TEST_P(AttentionGolden, OneHeadByHand) {
  headlane_attention_options of = options(1, 2);
  of.scale = 1;
  Sequence seq{1, 3, {}, {}, {}, {}, {}};
  seq.q = {1, 0};
  seq.k = {0, 5, std::log(2.0f), -3, std::log(5.0f), 0};
  seq.v = {8, 0, 16, 8, 0, 16};
  const std::vector<float> o = attend(of, {seq})[0];
  EXPECT_NEAR(o[0], 1 + 4 + 0, 1e-6);
  EXPECT_NEAR(o[1], 0 + 2 + 10, 2e-6);
}

// Rows of 2 numbers are split into heads of 1 and come back side by side. Head 0: K = 0, ln 3 and
// V = 4, 8; Q = 1 gives 1/4, 3/4, Q = 2 gives 1/10, 9/10. Head 1: K = ln 2, ln 6 and V = -4, 12;
// Q = 1 gives 1/4, 3/4, Q = -1 gives 3/4, 1/4.
TEST_P(AttentionGolden, TwoHeadsByHand) {
  headlane_attention_options of = options(2, 1);
  of.scale = 1;
  Sequence seq{2, 2, {}, {}, {}, {}, {}};
  seq.q = {1, 1, 2, -1};
  seq.k = {0, std::log(2.0f), std::log(3.0f), std::log(6.0f)};
  seq.v = {4, -4, 8, 12};
  const std::vector<float> expected = {7, 8, 7.6f, 0};
  for (const Layout layout : kLayouts) {
    const std::vector<float> o = attend(of, {seq}, layout)[0];
    ASSERT_EQ(o.size(), 4u);
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(o[i], expected[i], 2e-6) << i;
  }
}

HEADLANE_FOR_EACH_ISA(AttentionGolden);

}  // namespace
}  // namespace headlane::test

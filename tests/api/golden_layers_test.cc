// State dicts of PyTorch's attention, encoder and decoder modules (tests/golden/layers), converted,
// opened and run, against PyTorch in float64.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/api/attention.h"
#include "tests/api/precision.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::vector<std::string> golden_layers() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(HEADLANE_GOLDEN_DIR "/layers")) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// One call of a module, as its manifest and arrays say.
struct Call {
  Call(const std::string& folder, const json& entry) : manifest(entry) {
    const auto read = [&](const char* what) {
      const std::string path =
          folder + "/" + entry.at("name").get<std::string>() + "_" + what + ".npy";
      return fs::exists(path) ? read_npy(path).data : std::vector<float>();
    };
    x = read("x"), key = read("key"), value = read("value"), mask = read("mask");
    bias = read("bias"), out = read("out"), maps = read("maps");
    for (const float seen : mask) seen_keys.push_back(seen != 0);
    batch = entry.at("batch"), q_len = entry.at("q_len"), kv_len = entry.at("kv_len");
    score_len = entry.value("score_len", kv_len);
    if (entry.at("causal")) {  // the C API's models have it fixed; as a mask it is the call's
      for (int64_t e = 0; e < q_len * score_len; ++e) {
        seen_keys.push_back(e % score_len <= e / score_len);
      }
    }
    if (!entry.at("lengths").is_null()) lengths = entry.at("lengths").get<std::vector<int64_t>>();
    if (!entry.at("kv_lengths").is_null()) {
      kv_lengths = entry.at("kv_lengths").get<std::vector<int64_t>>();
    }
  }

  headlane_forward_batch describe(std::vector<float>* result) const {
    headlane_forward_batch b = HEADLANE_INIT(headlane_forward_batch);
    b.n_seqs = batch;
    b.q_len = q_len;
    b.x.data = x.data();
    b.out.data = result->data();
    if (!lengths.empty()) b.q_lengths = lengths.data();
    if (!key.empty()) {
      b.key.data = key.data();
      b.value.data = value.data();  // null of a decoder's
      b.kv_len = kv_len;
      if (!kv_lengths.empty()) b.kv_lengths = kv_lengths.data();
    }
    if (!seen_keys.empty()) b.mask = seen_keys.data();
    b.mask_query_stride = score_len;
    if (!bias.empty()) b.bias = bias.data();
    b.bias_query_stride = score_len;
    return b;
  }

  json manifest;
  std::vector<float> x, key, value, mask, bias, out, maps;
  std::vector<uint8_t> seen_keys;
  std::vector<int64_t> lengths, kv_lengths;
  int64_t batch = 0, q_len = 0, kv_len = 0;
  int64_t score_len = 0;  // columns of mask, bias and maps: a decoder's are of x and x
};

class GoldenLayers : public testing::TestWithParam<std::tuple<std::string, const char*>> {
 protected:
  void SetUp() override {
    folder_ = std::string(HEADLANE_GOLDEN_DIR "/layers/") + std::get<0>(GetParam());
    path_ = temp_.file("module.headlane");
    isa_ = std::get<1>(GetParam());
    headlane::check(headlane_convert(folder_.c_str(), path_.c_str(), nullptr));
    if (!runs(path_, isa_)) GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << isa_;
  }

  // The call's output, and its maps where it has some.
  static std::vector<float> run(headlane_model* model, const Call& call, int n_threads,
                                std::vector<float>* maps_data) {
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.n_threads = n_threads;
    options.cross_attention = !call.key.empty();
    headlane_session* created = nullptr;
    headlane::check(headlane_session_create(model, &options, &created));
    const SessionHandle session(created);
    std::vector<float> result(call.out.size(), NAN);
    maps_data->assign(call.maps.size(), NAN);
    headlane_forward_batch batch = call.describe(&result);
    headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
    if (!call.maps.empty()) {
      maps.data = maps_data->data();
      maps.query_stride = call.score_len;
      maps.head_stride = call.q_len * call.score_len;
      maps.seq_stride = static_cast<int64_t>(call.maps.size()) / call.batch;
      batch.maps = &maps;
    }
    headlane::check(headlane_session_forward(session.get(), &batch));
    return result;
  }

  static void check(headlane_model* model, const Call& call, int n_threads) {
    SCOPED_TRACE(call.manifest.at("name").get<std::string>());
    std::vector<float> maps_data;
    const std::vector<float> result = run(model, call, n_threads, &maps_data);
    // PyTorch's own float32 error, four times: another order of the same sums.
    const double bound = 4 * call.manifest.at("float32_from_float64").get<double>();
    for (size_t i = 0; i < result.size(); ++i) ASSERT_NEAR(result[i], call.out[i], bound) << i;
    if (call.maps.empty()) return;
    const double maps_bound = 4 * call.manifest.at("maps_float32_from_float64").get<double>();
    for (size_t i = 0; i < maps_data.size(); ++i) {
      ASSERT_NEAR(maps_data[i], call.maps[i], maps_bound) << "probability " << i;
    }
  }

  TempDir temp_;
  std::string folder_, path_, isa_;
};

TEST_P(GoldenLayers, MatchPyTorch) {
  const ModelHandle model = open_model(path_, isa_);
  const json manifest = json::parse(std::ifstream(folder_ + "/manifest.json"));
  for (const json& entry : manifest.at("calls")) {
    for (const int n_threads : {1, 2}) check(model.get(), Call(folder_, entry), n_threads);
  }
}

// Modules have few columns, so a row's own errors do not average out: a call's output is looked at
// whole. In bf16, ten roundings to 2^-8 a layer (precision_test.cc), a cosine of 0.999 being a
// distance of 4.5 %; int8's are some three times as large.
TEST_P(GoldenLayers, FilesInBf16AndInt8AreNear) {
  const json manifest = json::parse(std::ifstream(folder_ + "/manifest.json"));
  for (const auto& [precision, least] : {std::pair{"bf16", 0.999}, {"int8", 0.99}}) {
    convert_to(folder_, path_, precision);
    const ModelHandle model = open_model(path_, isa_);
    EXPECT_STREQ(facts_of(model.get()).precision, precision);
    for (const json& entry : manifest.at("calls")) {
      const Call call(folder_, entry);
      std::vector<float> maps;
      const std::vector<float> result = run(model.get(), call, 2, &maps);
      EXPECT_GT(smallest_cosine(result, call.out, result.size()), least)
          << precision << " " << entry.at("name");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenLayers,
                         testing::Combine(testing::ValuesIn(golden_layers()),
                                          testing::Values("ref", "avx2", "avx512")),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::get<1>(info.param);
                         });

}  // namespace
}  // namespace headlane::test

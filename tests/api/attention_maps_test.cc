// The attention probabilities of a model's layers and heads, against transformers.
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/api/attention.h"
#include "tests/support/lines.h"
#include "tests/support/npy.h"

namespace headlane::test {
namespace {

constexpr int64_t kLayers = 2, kHeads = 5;

class AttentionMaps : public AttentionTest {
 protected:
  void SetUp() override {
    AttentionTest::SetUp();
    if (IsSkipped()) return;
    const std::string folder = HEADLANE_GOLDEN_DIR "/bert/head_dim_7_odd_width";
    const std::string path = dir_.file("model.headlane");
    check(headlane_convert(folder.c_str(), path.c_str(), nullptr));
    encoder_ = std::make_unique<Encoder>(path, GetParam(), 2);
    for (const auto& seq : read_ids(folder + "/ids.txt")) {
      ids_.insert(ids_.end(), seq.begin(), seq.end());
      offsets_.push_back(static_cast<int64_t>(ids_.size()));
    }
    for (const auto& seq : read_ids(folder + "/types.txt")) {
      types_.insert(types_.end(), seq.begin(), seq.end());
    }
    expected_ = read_npy(folder + "/attention.npy").data;
    const auto manifest = nlohmann::json::parse(std::ifstream(folder + "/manifest.json"));
    bound_ = 4 * manifest.at("attention_float32_from_float64").get<double>();
  }

  int64_t n_seqs() const { return static_cast<int64_t>(offsets_.size()) - 1; }
  int64_t length(int64_t seq) const {
    const auto at = static_cast<size_t>(seq);
    return offsets_[at + 1] - offsets_[at];
  }

  // The maps of `n_layers` and `n_heads` from `first` ones on, [layer, seq, head, longest,
  // longest], NaN where nothing was written; the hidden states into *hidden.
  std::vector<float> run(int64_t first_layer, int64_t n_layers, int64_t first_head, int64_t n_heads,
                         std::vector<float>* hidden) {
    const int64_t n = longest();
    GuardedFloats data(n_layers * n_seqs() * n_heads * n * n);
    headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
    maps.data = data.data();
    maps.query_stride = n;
    maps.head_stride = n * n;
    maps.seq_stride = n_heads * n * n;
    maps.layer_stride = n_seqs() * n_heads * n * n;
    maps.first_layer = first_layer;
    maps.n_layers = n_layers;
    maps.first_head = first_head;
    maps.n_heads = n_heads;
    hidden->resize(ids_.size() * static_cast<size_t>(encoder_->facts().d_model));
    const headlane_batch batch{.struct_size = sizeof batch,
                               .n_seqs = n_seqs(),
                               .offsets = offsets_.data(),
                               .ids = ids_.data(),
                               .type_ids = types_.data()};
    const headlane_outputs outputs{.struct_size = sizeof outputs,
                                   .hidden = hidden->data(),
                                   .attention = n_heads > 0 ? &maps : nullptr};
    check(headlane_session_encode(encoder_->session(), &batch, &outputs));
    return {data.data(), data.data() + data.size()};
  }
  int64_t longest() const {
    int64_t n = 0;
    for (int64_t seq = 0; seq < n_seqs(); ++seq) n = std::max(n, length(seq));
    return n;
  }

  TempDir dir_;
  std::unique_ptr<Encoder> encoder_;
  std::vector<int32_t> ids_, types_;
  std::vector<int64_t> offsets_ = {0};
  std::vector<float> expected_;  // of the last sequence, [layers, heads, n, n]
  double bound_ = 0;
};

TEST_P(AttentionMaps, MatchTransformers) {
  std::vector<float> hidden, without;
  const std::vector<float> maps = run(0, kLayers, 0, kHeads, &hidden);
  run(0, 0, 0, 0, &without);
  EXPECT_TRUE(same_bits(hidden, without)) << "asking for maps changes the result";
  const int64_t n = longest();
  size_t at = 0;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    for (int64_t seq = 0; seq < n_seqs(); ++seq) {
      for (int64_t head = 0; head < kHeads; ++head) {
        for (int64_t i = 0; i < n; ++i) {
          double sum = 0;
          for (int64_t j = 0; j < n; ++j, ++at) {
            const bool real = i < length(seq) && j < length(seq);
            ASSERT_EQ(std::isnan(maps[at]), !real) << "only what is real is written";
            if (!real) continue;
            sum += maps[at];
            if (seq != n_seqs() - 1) continue;
            const int64_t right = ((layer * kHeads + head) * length(seq) + i) * length(seq) + j;
            ASSERT_NEAR(maps[at], expected_[static_cast<size_t>(right)], bound_)
                << layer << " " << head << " " << i << " " << j;
          }
          if (i < length(seq)) {
            ASSERT_NEAR(sum, 1, static_cast<double>(n + 8) * kEps);
          }
        }
      }
    }
  }
}

TEST_P(AttentionMaps, SomeLayersAndHeads) {
  std::vector<float> hidden;
  const std::vector<float> all = run(0, kLayers, 0, kHeads, &hidden);
  const std::vector<float> some = run(1, 1, 2, 2, &hidden);
  const size_t map = static_cast<size_t>(longest() * longest());
  for (size_t seq = 0; seq < static_cast<size_t>(n_seqs()); ++seq) {
    const size_t from = ((1 * static_cast<size_t>(n_seqs()) + seq) * kHeads + 2) * map;
    EXPECT_EQ(0, std::memcmp(&some[seq * 2 * map], &all[from], 2 * map * sizeof(float)));
  }
}

HEADLANE_FOR_EACH_ISA(AttentionMaps);

}  // namespace
}  // namespace headlane::test

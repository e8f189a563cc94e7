// Structs of other versions: of attention and layers on the caller's buffers.
#include "tests/api/layer.h"
#include "tests/api/struct_versions.h"

namespace headlane::test {
namespace {

constexpr int64_t kHeads = 2, kHeadDim = 8, kVDim = 4, kSeqs = 2, kLen = 5;

// Two padded sequences, with everything that an attention can be told.
class StructVersionsOfAttention : public testing::Test {
 protected:
  StructVersionsOfAttention() {
    for (size_t i = 0; i < q_.size(); ++i) {
      q_[i] = std::sin(static_cast<float>(i));
      k_[i] = std::cos(static_cast<float>(i));
      v_[i] = static_cast<float>(i % 17) - 8;
      bias_[i] = static_cast<float>(i % 5) / 4;
      mask_[i] = i % 11 != 0;
    }
    rotary_.dims = 4;
    rotary_.interleaved = 1;
    rotary_.base = 100;
    rotary_.max_positions = 16;
    rotary_.scaling = HEADLANE_ROTARY_YARN;
    rotary_.factor = 2;
    rotary_.original_max_positions = 8;
    rotary_.beta_fast = 16;
    rotary_.beta_slow = 2;
    rotary_.attention_factor = 1.5;
    rotary_.low_freq_factor = 1;
    rotary_.high_freq_factor = 4;
    rotary_.untruncated = 1;
    relative_.table = bias_.data();
    relative_.n_buckets = 8;
    relative_.max_distance = 6;
    relative_.bidirectional = 1;
    relative_.max_len = 16;
    options_.n_kv_heads = 1;
    options_.v_dim = kVDim;
    options_.scale = 0.3f;
    options_.softcap = 5;
    options_.window_left = 3;
    options_.window_right = 2;
    options_.rotary = &rotary_;
    options_.relative_bias = &relative_;
    options_.alibi_slopes = slopes_;
    options_.sinks = sinks_;
    options_.isa = "ref";
    options_.memory = block_;
    options_.memory_bytes = sizeof block_;
    options_.pool = &pool_;
    batch_.n_seqs = kSeqs;
    batch_.q_len = batch_.kv_len = kLen;
    batch_.q_lengths = batch_.kv_lengths = lengths_;
    batch_.left_padded = 1;
    batch_.q = heads(q_, kHeads * kHeadDim, kHeadDim);
    batch_.k = heads(k_, kHeadDim, kHeadDim);
    batch_.v = heads(v_, kVDim, kVDim);
    batch_.o = {o_.data(), kLen * kHeads * kVDim, kHeads * kVDim, kVDim};
    batch_.bias = bias_.data();
    batch_.bias_seq_stride = 3;
    batch_.bias_head_stride = 7;
    batch_.bias_query_stride = 5;
    batch_.mask = mask_.data();
    batch_.mask_seq_stride = 4;
    batch_.mask_head_stride = 6;
    batch_.mask_query_stride = 5;
    maps_.data = probabilities_.data();
    maps_.seq_stride = 128;
    maps_.head_stride = 32;
    maps_.query_stride = kLen;
    batch_.maps = &maps_;
  }
  static headlane_heads heads(const std::vector<float>& values, int64_t token, int64_t head) {
    return {values.data(), kLen * token, token, head};
  }

  Outcome run(const headlane_attention_options* options, const headlane_attention_batch* batch) {
    std::fill(o_.begin(), o_.end(), 0.0f);
    std::fill(probabilities_.begin(), probabilities_.end(), 0.0f);
    size_t bytes = 0;
    Outcome sizes(headlane_attention_bytes(options, &bytes));
    headlane_attention* attention = nullptr;
    Outcome created(headlane_attention_create(options, &attention));
    if (!created.ok()) return created << sizes;
    const AttentionHandle owned(attention);
    Outcome outcome(headlane_attention_run(attention, batch));
    return outcome << sizes << std::to_string(bytes) << o_ << probabilities_;
  }

  static constexpr size_t kFloats = kSeqs * kLen * kHeads * kHeadDim;
  alignas(64) char block_[1 << 20];
  std::vector<float> q_ = std::vector<float>(kFloats), k_ = q_, v_ = q_, o_ = q_, bias_ = q_,
                     probabilities_ = std::vector<float>(256);
  std::vector<uint8_t> mask_ = std::vector<uint8_t>(kFloats);
  const float slopes_[kHeads] = {0.5f, 0.25f}, sinks_[kHeads] = {0.1f, 0.2f};
  const int64_t lengths_[kSeqs] = {5, 3};
  int n_calls_ = 0;
  const headlane_thread_pool pool_ = counting_pool(&n_calls_);
  headlane_rotary rotary_ = HEADLANE_INIT(headlane_rotary);
  headlane_relative_bias relative_ = HEADLANE_INIT(headlane_relative_bias);
  headlane_attention_options options_ = attention_options(kHeads, kHeadDim);
  headlane_attention_maps maps_ = HEADLANE_INIT(headlane_attention_maps);
  headlane_attention_batch batch_ = HEADLANE_INIT(headlane_attention_batch);
};

TEST_F(StructVersionsOfAttention, headlane_attention_options) {
  expect_all_versions_read("headlane_attention_options", options_,
                           [&](const auto* options) { return run(options, &batch_); });
}

TEST_F(StructVersionsOfAttention, headlane_attention_batch) {
  expect_all_versions_read("headlane_attention_batch", batch_,
                           [&](const auto* batch) { return run(&options_, batch); });
}

TEST_F(StructVersionsOfAttention, headlane_rotary) {
  expect_all_versions_read("headlane_rotary", rotary_, [&](const auto* rotary) {
    headlane_attention_options options = options_;
    options.rotary = rotary;
    return run(&options, &batch_);
  });
}

TEST_F(StructVersionsOfAttention, headlane_relative_bias) {
  expect_all_versions_read("headlane_relative_bias", relative_, [&](const auto* relative) {
    headlane_attention_options options = options_;
    options.relative_bias = relative;
    return run(&options, &batch_);
  });
}

// A layer whose keys and values come from rows of their own, of other widths.
class StructVersionsOfLayers : public testing::Test {
 protected:
  static constexpr int64_t kD = 12;
  StructVersionsOfLayers() : layer_(kD, kHeads, kHeadDim) {
    layer_.options.kdim = 10;
    layer_.options.vdim = 6;
    layer_.options.residual = 1;
    layer_.options.norm = HEADLANE_NORM_PRE;
    layer_.options.norm_eps = 1e-3f;
    layer_.options.max_len = 32;
    layer_.fill();
    x_ = layer_.numbers(kSeqs * kLen * kD, 1);
    out_ = x_;
    batch_.n_seqs = kSeqs;
    batch_.q_len = batch_.kv_len = kLen;
    batch_.q_lengths = batch_.kv_lengths = lengths_;
    batch_.left_padded = 1;
    batch_.x = {x_.data(), kLen * kD, kD};
    batch_.key = {x_.data(), kLen * 10, 10};
    batch_.value = {x_.data(), kLen * 6, 6};
    batch_.out = {out_.data(), kLen * kD, kD};
    batch_.bias = x_.data();
    batch_.bias_seq_stride = 3;
    batch_.bias_head_stride = 4;
    batch_.bias_query_stride = 5;
    batch_.mask = mask_;
    batch_.mask_seq_stride = 2;
    batch_.mask_head_stride = 1;
    batch_.mask_query_stride = 5;
    maps_.data = probabilities_.data();
    maps_.layer_stride = 256;
    maps_.seq_stride = 128;
    maps_.head_stride = 32;
    maps_.query_stride = kLen;
    batch_.maps = &maps_;
  }
  Outcome forward(headlane_model* model, const headlane_forward_batch* batch) {
    std::fill(out_.begin(), out_.end(), 0.0f);
    std::fill(probabilities_.begin(), probabilities_.end(), 0.0f);
    const SessionHandle session = create_session(model, true);
    Outcome outcome(headlane_session_forward(session.get(), batch));
    return outcome << out_ << probabilities_;
  }

  Layer layer_;
  Floats x_, out_, probabilities_ = Floats(256);
  const uint8_t mask_[64] = {1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1,
                             1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const int64_t lengths_[kSeqs] = {5, 3};
  headlane_attention_maps maps_ = HEADLANE_INIT(headlane_attention_maps);
  headlane_forward_batch batch_ = HEADLANE_INIT(headlane_forward_batch);
};

TEST_F(StructVersionsOfLayers, headlane_layer_options) {
  expect_all_versions_read("headlane_layer_options", layer_.options, [&](const auto* options) {
    headlane_model* made = nullptr;
    Outcome outcome(headlane_model_create_layer(options, nullptr, &made));
    const ModelHandle model(made);
    if (!outcome.ok()) return outcome;
    return outcome << forward(made, &batch_);
  });
}

TEST_F(StructVersionsOfLayers, headlane_forward_batch) {
  const ModelHandle model = create_layer(layer_, nullptr);
  expect_all_versions_read("headlane_forward_batch", batch_,
                           [&](const auto* batch) { return forward(model.get(), batch); });
}

}  // namespace
}  // namespace headlane::test

#include "tests/api/layer.h"

namespace headlane::test {
namespace {

class LayerApi : public AttentionTest {
 protected:
  // One sequence through the layer, ragged, against float64; and the probabilities of all heads.
  void check(const Layer& layer, const LayerCall& call, headlane_forward_batch batch = {}) {
    const bool cross = call.key != nullptr || layer.options.kdim || layer.options.vdim;
    const int64_t kv_len = cross ? call.kv_len : call.q_len;
    const int64_t d = layer.options.d_model, n_heads = layer.attention.n_heads;
    const int64_t q_offsets[] = {0, call.q_len}, kv_offsets[] = {0, kv_len};
    GuardedFloats out(call.q_len * d), p(n_heads * call.q_len * kv_len);
    headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
    maps.data = p.data();
    maps.head_stride = call.q_len * kv_len;
    maps.query_stride = kv_len;
    batch.struct_size = sizeof batch;
    batch.n_seqs = 1;
    batch.q_offsets = q_offsets;
    if (cross) batch.kv_offsets = kv_offsets;
    batch.x.data = call.x;
    batch.key.data = call.key;
    batch.value.data = call.value;
    batch.out.data = out.data();
    batch.maps = &maps;
    const ModelHandle model = create_layer(layer, GetParam());
    headlane::check(headlane_session_forward(create_session(model.get(), cross, 2).get(), &batch));
    const LayerResult expected = LayerReference(layer, call).compute();
    for (int64_t i = 0; i < call.q_len; ++i) {
      for (int64_t c = 0; c < d; ++c) {
        const Bounded& right = expected.out[i][c];
        ASSERT_NEAR(out[i * d + c], right.value, right.error) << "row " << i << " column " << c;
      }
      for (int64_t e = 0; e < n_heads * kv_len; ++e) {
        const int64_t head = e / kv_len, j = e % kv_len;
        const Bounded& right = expected.p[head][i][j];
        ASSERT_NEAR(p[(head * call.q_len + i) * kv_len + j], right.value, right.error + 1e-37)
            << "probability of head " << head << " query " << i << " key " << j;
      }
    }
  }

  // A self-attention call on n random rows.
  void check_self(Layer& layer, int64_t n, LayerCall call = {}) {
    const Floats x = layer.numbers(n * layer.options.d_model, 1);
    call.x = x.data();
    call.q_len = n;
    check(layer, call);
  }
};

TEST_P(LayerApi, SelfAttentionOfManyShapes) {
  for (const auto& [d_model, n_heads, head_dim] : {std::array{1, 1, 1},
                                                   {6, 2, 3},
                                                   {16, 1, 16},
                                                   {48, 3, 16},
                                                   {50, 5, 10},
                                                   {64, 2, 32},
                                                   {20, 3, 7},
                                                   {33, 2, 80}}) {
    SCOPED_TRACE(std::to_string(d_model) + ", " + std::to_string(n_heads) + " heads of " +
                 std::to_string(head_dim));
    for (const int n : {1, 3, 17}) {
      Layer layer(d_model, n_heads, head_dim);
      check_self(layer.fill(n != 3), n);
    }
  }
}

TEST_P(LayerApi, NormsAndResiduals) {
  for (const headlane_norm norm : {HEADLANE_NORM_NONE, HEADLANE_NORM_POST, HEADLANE_NORM_PRE}) {
    for (const int residual : {0, 1}) {
      SCOPED_TRACE("norm " + std::to_string(norm) + " residual " + std::to_string(residual));
      Layer layer(24, 3, 8);
      layer.options.norm = norm;
      layer.options.residual = residual;
      check_self(layer.fill(residual == 1), 9);
    }
  }
}

TEST_P(LayerApi, GroupedHeadsAndAnotherValueSize) {
  Layer layer(24, 6, 4);
  layer.attention.n_kv_heads = 2;
  layer.attention.v_dim = 5;
  check_self(layer.fill(), 11);
}

TEST_P(LayerApi, CrossAttention) {
  for (const headlane_norm norm : {HEADLANE_NORM_NONE, HEADLANE_NORM_PRE}) {
    Layer layer(24, 3, 8);
    layer.options.kdim = 10;
    layer.options.vdim = 13;
    layer.options.norm = norm;
    layer.options.residual = 1;
    layer.fill();
    const Floats x = layer.numbers(5 * 24, 1), key = layer.numbers(19 * 10, 1),
                 value = layer.numbers(19 * 13, 1);
    LayerCall call;
    call.x = x.data();
    call.q_len = 5;
    call.key = key.data();
    call.value = value.data();
    call.kv_len = 19;
    check(layer, call);
  }
}

TEST_P(LayerApi, ScoreFunctions) {
  for (const headlane_score score :
       {HEADLANE_SCORE_DOT, HEADLANE_SCORE_BILINEAR, HEADLANE_SCORE_ADDITIVE}) {
    SCOPED_TRACE("score " + std::to_string(score));
    Layer layer(18, 3, 6);
    layer.attention.score = score;
    check_self(layer.fill(), 13);
  }
}

TEST_P(LayerApi, SoftcapAndSinks) {
  const float sinks[] = {0.5f, -1.0f, 3.0f};
  Layer layer(18, 3, 6);
  layer.attention.softcap = 1.5f;
  layer.attention.sinks = sinks;
  check_self(layer.fill(), 13);
}

TEST_P(LayerApi, CausalWindowAndMask) {
  Layer layer(18, 3, 6);
  layer.attention.causal = HEADLANE_CAUSAL_UPPER_LEFT;
  layer.attention.window_left = 6;
  layer.fill();
  const int64_t n = 14;
  const Floats x = layer.numbers(n * 18, 1);
  std::vector<uint8_t> mask(static_cast<size_t>(n * n));
  for (size_t e = 0; e < mask.size(); ++e) mask[e] = e % 5 != 0;
  headlane_forward_batch batch{};
  batch.mask = mask.data();
  batch.mask_query_stride = n;
  LayerCall call;
  call.x = x.data();
  call.q_len = n;
  call.sees = [&](int64_t i, int64_t j) { return j <= i && j >= i - 6 && mask[i * n + j] != 0; };
  check(layer, call, batch);
}

TEST_P(LayerApi, BiasOfEachHead) {
  Layer layer(18, 3, 6);
  layer.fill();
  const int64_t n = 12;
  const Floats x = layer.numbers(n * 18, 1), bias = layer.numbers(3 * n * n, 1);
  headlane_forward_batch batch{};
  batch.bias = bias.data();
  batch.bias_head_stride = n * n;
  batch.bias_query_stride = n;
  LayerCall call;
  call.x = x.data();
  call.q_len = n;
  call.bias = [&](int64_t head, int64_t i, int64_t j) { return bias[(head * n + i) * n + j]; };
  check(layer, call, batch);
}

TEST_P(LayerApi, RotaryPositions) {
  for (const bool interleaved : {false, true}) {
    for (const int64_t dims : {0, 4}) {
      headlane_rotary rotary = HEADLANE_INIT(headlane_rotary);
      rotary.interleaved = interleaved;
      rotary.dims = dims;
      rotary.max_positions = 20;
      Layer layer(20, 4, 10);
      layer.attention.n_kv_heads = 2;
      layer.attention.rotary = &rotary;
      const double d = static_cast<double>(dims ? dims : 10);
      LayerCall call;
      call.turn = [d](int64_t position, int64_t pair) {
        const double angle =
            static_cast<double>(position) * std::pow(10000.0, -2.0 * static_cast<double>(pair) / d);
        return std::pair(std::cos(angle), std::sin(angle));
      };
      check_self(layer.fill(), 20, call);
    }
  }
}

TEST_P(LayerApi, AlibiAndRelativeBias) {
  Layer layer(20, 5, 4);
  float slopes[5];
  headlane::check(headlane_alibi_slopes(5, slopes));
  layer.attention.alibi_slopes = slopes;
  const Floats table = layer.numbers(4 * 5, 1);
  headlane_relative_bias relative = HEADLANE_INIT(headlane_relative_bias);
  relative.table = table.data();
  relative.n_buckets = 4;
  relative.max_distance = 8;
  relative.max_len = 3;
  layer.attention.relative_bias = &relative;
  LayerCall call;
  // Up to distance 2, causal buckets of 4 are the distances themselves; keys after count as 0.
  call.bias = [&](int64_t head, int64_t i, int64_t j) {
    const int64_t distance = std::abs(i - j);
    return table[static_cast<size_t>((j > i ? 0 : distance) * 5 + head)] -
           slopes[head] * static_cast<float>(distance);
  };
  check_self(layer.fill(), 3, call);
}

// One matrix of Q, K and V is the three of them.
TEST_P(LayerApi, PackedProjectionIsTheThree) {
  const int64_t n = 7, d = 24;
  Layer three(d, 3, 8);
  three.fill();
  Layer packed(d, 3, 8);
  packed.options.out = three.options.out;
  Floats weight, bias;
  for (const headlane_linear* part : {&three.options.q, &three.options.k, &three.options.v}) {
    weight.insert(weight.end(), part->weight, part->weight + d * d);
    bias.insert(bias.end(), part->bias, part->bias + d);
  }
  packed.options.qkv = {weight.data(), bias.data()};
  const Floats x = three.numbers(n * d, 1);
  Floats results[2];
  for (const Layer* layer : {&three, &packed}) {
    Floats& out = results[layer == &packed];
    out.resize(x.size());
    headlane_forward_batch batch{};
    batch.struct_size = sizeof batch;
    batch.n_seqs = 1;
    batch.q_len = n;
    batch.x.data = x.data();
    batch.out.data = out.data();
    const ModelHandle model = create_layer(*layer, GetParam());
    headlane::check(headlane_session_forward(create_session(model.get(), false).get(), &batch));
  }
  EXPECT_TRUE(same_bits(results[0], results[1]));
}

HEADLANE_FOR_EACH_ISA(LayerApi);

}  // namespace
}  // namespace headlane::test

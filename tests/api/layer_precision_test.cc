// Layers on activations in bf16 and int8, against the same layer in f32 (layer_api_test.cc holds
// that against float64).
#include <vector>

#include "tests/api/layer.h"
#include "tests/api/precision.h"

namespace headlane::test {
namespace {

constexpr int64_t kRows = 21, kKeys = 40;

class LayerPrecision : public AttentionTest {
 protected:
  // Random rows, the same for every precision, through the layer.
  static Floats run(const Layer& layer, headlane_model* model, const char* precision,
                    int n_threads = 2) {
    const bool cross = layer.options.kdim != 0;
    std::mt19937 random(5);
    const auto numbers = [&](int64_t n) {
      Floats values(static_cast<size_t>(n));
      for (float& value : values) value = std::normal_distribution<float>()(random);
      return values;
    };
    const Floats x = numbers(kRows * layer.options.d_model), key = numbers(kKeys * layer.kdim()),
                 value = numbers(kKeys * layer.vdim());
    Floats out(x.size());
    headlane_forward_batch batch{};
    batch.struct_size = sizeof batch;
    batch.n_seqs = 1;
    batch.q_len = kRows;
    batch.x.data = x.data();
    batch.out.data = out.data();
    if (cross) {
      batch.kv_len = kKeys;
      batch.key.data = key.data();
      batch.value.data = value.data();
    }
    const SessionHandle session = create_session(model, cross, n_threads, 512, precision);
    headlane::check(headlane_session_forward(session.get(), &batch));
    return out;
  }

  // With a residual and a norm, so that lengths of rows mean something: beside x stands what seven
  // roundings to bf16 made (x, W, q and k, v, P, O, W), which is about as long.
  void check(Layer& layer) {
    layer.options.residual = 1;
    layer.options.norm = HEADLANE_NORM_POST;
    layer.fill();
    const ModelHandle model = create_layer(layer, GetParam());
    const size_t d = static_cast<size_t>(layer.options.d_model);
    const Floats wide = run(layer, model.get(), "f32");
    EXPECT_LE(farthest_row(run(layer, model.get(), "bf16"), wide, d), 7.0 / 256);
    EXPECT_GT(smallest_cosine(run(layer, model.get(), "int8"), wide, d), 0.99);
    for (const char* precision : {"bf16", "int8"}) {
      const ModelHandle own = create_layer(layer, GetParam(), precision);
      EXPECT_TRUE(
          same_bits(run(layer, own.get(), nullptr, 1), run(layer, model.get(), precision, 3)))
          << precision << ": of the model's own precision on 1 thread, of a session's on 3";
    }
  }
};

TEST_P(LayerPrecision, ManyShapes) {
  for (const auto& [d_model, n_heads, head_dim] :
       {std::array{24, 3, 8}, {48, 3, 16}, {50, 5, 10}, {64, 2, 32}, {33, 2, 80}, {51, 3, 17}}) {
    SCOPED_TRACE(std::to_string(d_model) + ", " + std::to_string(n_heads) + " heads of " +
                 std::to_string(head_dim));
    Layer layer(d_model, n_heads, head_dim);
    check(layer);
  }
}

TEST_P(LayerPrecision, GroupedHeadsAndAnotherValueSize) {
  Layer layer(48, 6, 8);
  layer.attention.n_kv_heads = 2;
  layer.attention.v_dim = 5;
  check(layer);
}

TEST_P(LayerPrecision, CrossAttention) {
  Layer layer(48, 3, 16);
  layer.options.kdim = 30;
  layer.options.vdim = 41;
  check(layer);
}

// Additive scores are computed in f32 at every precision.
TEST_P(LayerPrecision, EveryScore) {
  for (const headlane_score score :
       {HEADLANE_SCORE_DOT, HEADLANE_SCORE_BILINEAR, HEADLANE_SCORE_ADDITIVE}) {
    SCOPED_TRACE("score " + std::to_string(score));
    Layer layer(36, 3, 12);
    layer.attention.score = score;
    check(layer);
  }
}

TEST_P(LayerPrecision, RotaryWindowSoftcapAndSinks) {
  const float sinks[] = {0.5f, -1.0f, 3.0f};
  headlane_rotary rotary = HEADLANE_INIT(headlane_rotary);
  rotary.max_positions = 64;
  rotary.dims = 12;
  Layer layer(48, 3, 16);
  layer.attention.rotary = &rotary;
  layer.attention.causal = HEADLANE_CAUSAL_UPPER_LEFT;
  layer.attention.window_left = 10;
  layer.attention.softcap = 3.0f;
  layer.attention.sinks = sinks;
  check(layer);
}

// "The weights may go afterwards": a session that packs them anew later reads the model's own.
TEST_P(LayerPrecision, PacksAnewWhenTheCallersWeightsAreGone) {
  Layer kept(48, 3, 16);
  kept.fill();
  for (const char* precision : {"bf16", "int8"}) {
    auto given = std::make_unique<Layer>(48, 3, 16);  // the same numbers
    const ModelHandle model = create_layer(given->fill(), GetParam());
    for (const auto& values : given->store) std::fill(values->begin(), values->end(), NAN);
    given.reset();
    const ModelHandle expected = create_layer(kept, GetParam(), precision);
    EXPECT_TRUE(same_bits(run(kept, model.get(), precision), run(kept, expected.get(), nullptr)));
  }
}

TEST_P(LayerPrecision, NanStaysInItsSequence) {
  Layer layer(48, 3, 16);
  const ModelHandle model = create_layer(layer.fill(), GetParam());
  Floats x = layer.numbers(30 * 48, 1);
  x[12 * 48 + 5] = NAN;  // of the second sequence
  const int64_t offsets[] = {0, 10, 20, 30};
  for (const char* precision : {"bf16", "int8"}) {
    Floats out(x.size());
    headlane_forward_batch batch{};
    batch.struct_size = sizeof batch;
    batch.n_seqs = 3;
    batch.q_offsets = offsets;
    batch.x.data = x.data();
    batch.out.data = out.data();
    const SessionHandle session = create_session(model.get(), false, 2, 512, precision);
    headlane::check(headlane_session_forward(session.get(), &batch));
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(std::isnan(out[i]), i / 480 == 1) << precision << " " << i;
    }
  }
}

HEADLANE_FOR_EACH_NARROW_ISA(LayerPrecision);

}  // namespace
}  // namespace headlane::test

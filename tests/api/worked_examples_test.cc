// The cases of docs/attention.md that its programs do not print: a row that sees nothing, and the
// usual shapes.
#include "tests/api/layer.h"

namespace headlane::test {
namespace {

constexpr float kLn3 = 1.0986122886681098f;

class WorkedExamples : public AttentionTest {};

TEST_P(WorkedExamples, AFullyMaskedRowGivesZeros) {
  const float q[] = {2, 0, 0, 0, 0, 2, 0, 0}, k[] = {kLn3, 0, 0, 0, 0, kLn3, 0, 0};
  const float v[] = {4, 8, 0, 4}, expected[] = {3, 7, 0, 0};
  const uint8_t mask[] = {1, 1, 0, 0};
  float o[4] = {9, 9, 9, 9};
  headlane_attention_options of = options(1, 4);
  of.v_dim = 2;
  headlane_attention_batch batch = HEADLANE_INIT(headlane_attention_batch);
  batch.n_seqs = 1;
  batch.q_len = batch.kv_len = 2;
  batch.q = {q, 0, 4, 0};
  batch.k = {k, 0, 4, 0};
  batch.v = {v, 0, 2, 0};
  batch.o = {o, 0, 2, 0};
  batch.mask = mask;
  batch.mask_query_stride = 2;
  check(headlane_attention_run(create_attention(of).get(), &batch));
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(o[i], expected[i], 2e-6) << i;
}

// 32 sequences of 10 tokens; one of them against float64.
TEST_P(WorkedExamples, UsualShapes) {
  for (const auto& [d_model, n_heads] :
       {std::pair<int64_t, int64_t>{512, 8}, {640, 10}, {768, 12}}) {
    SCOPED_TRACE(d_model);
    const int64_t n_seqs = 32, n = 10, seq = 17;
    Layer layer(d_model, n_heads, 64);
    const ModelHandle model = create_layer(layer.fill(), GetParam());
    const Floats x = layer.numbers(n_seqs * n * d_model, 1);
    Floats out(x.size());
    headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
    batch.n_seqs = n_seqs;
    batch.q_len = n;
    batch.x.data = x.data();
    batch.out.data = out.data();
    check(headlane_session_forward(create_session(model.get(), false, 2).get(), &batch));
    LayerCall call;
    call.x = x.data() + seq * n * d_model;
    call.q_len = n;
    const LayerResult expected = LayerReference(layer, call).compute();
    for (int64_t e = 0; e < n * d_model; ++e) {
      const Bounded& right =
          expected.out[static_cast<size_t>(e / d_model)][static_cast<size_t>(e % d_model)];
      ASSERT_NEAR(out[static_cast<size_t>(seq * n * d_model + e)], right.value, right.error) << e;
    }
  }
}

HEADLANE_FOR_EACH_ISA(WorkedExamples);

}  // namespace
}  // namespace headlane::test

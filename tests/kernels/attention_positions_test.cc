#include <algorithm>
#include <vector>

#include "tests/support/attention_operands.h"

namespace headlane::kernels {
namespace {

using test::Combination;
using test::Guarded;
using test::GuardedFloats;
using test::Kind;
using test::Kinds;
using test::kKinds;
using test::Problem;
using test::RelativeBias;
using test::RotaryTable;
using test::set_additive;
using test::set_rotary;

class AttentionPositions : public test::AttentionTest {};

constexpr int64_t kHeadDims[] = {1,  2,  3,  4,  7,  8,  9,  15, 16,  17,  18, 26,
                                 31, 32, 33, 47, 48, 64, 65, 80, 128, 255, 256};

TEST_P(AttentionPositions, RotaryMatchesFloat64ForAnyHeadDim) {
  for (const int64_t d : kHeadDims) {
    for (const int64_t dims : {d / 2 * 2, d / 4 * 2, std::min<int64_t>(d / 2 * 2, 2)}) {
      if (dims == 0) continue;
      RotaryTable table(37, dims);
      for (const bool interleaved : {false, true}) {
        SCOPED_TRACE(interleaved);
        Problem p(11, 37, d, 5);
        set_rotary(&p, &table, dims, interleaved);
        check(p);
      }
    }
  }
}

TEST_P(AttentionPositions, RotaryMatchesFloat64AroundKeyBlocksAndGroups) {
  for (const auto& [q_len, kv_len] :
       {std::pair{1, 1}, {9, 1}, {1, 500}, {9, 239}, {9, 240}, {9, 241}, {13, 500}, {257, 30}}) {
    for (const bool interleaved : {false, true}) {
      RotaryTable table(std::max(q_len + 7, kv_len + 3), 12);
      Problem p(q_len, kv_len, 18, 18);
      set_rotary(&p, &table, 12, interleaved);
      p.args.q_position = 7;
      p.args.k_position = 3;
      check(p);
      p.args.q_offset = 4;
      p.args.window_right = 0;
      p.args.window_left = 100;
      check(p);
    }
  }
}

// By hand: position 1 turns by a quarter, so that (1, 0) becomes (0, 1), and a key as the query
// then is gets a score of 1, its neighbours 0. Unscaled; ln 3 makes the probability 3 / (3 + 1).
TEST_P(AttentionPositions, RotaryWorkedExample) {
  GuardedFloats table(2 * 4);
  const float rows[8] = {1, 1, 0, 0, 0, 1, 1, 0};  // cosines, sines: none; pair 0 by a quarter
  std::copy(rows, rows + 8, table.data());
  for (const bool interleaved : {false, true}) {
    Problem p(1, 2, 4, 1);
    p.args.rotary = table.data();
    p.args.rotary_dims = 4;
    p.args.rotary_interleaved = interleaved;
    p.args.scale = 1;
    std::fill(p.q.data(), p.q.data() + 4, 0.0f);
    std::fill(p.k.data(), p.k.data() + 8, 0.0f);
    p.args.q_position = 1;
    p.q[0] = 1;                                       // becomes the pair's second
    p.k[0 + (interleaved ? 1 : 2)] = std::log(3.0f);  // at position 0
    p.k[4 + 3] = 5;                                   // of the other pair: nothing
    p.v[0] = 4;
    p.v[1] = 8;
    p.run(kernels());
    EXPECT_NEAR(p.o[0], 5.0f, 8 * 8 * test::kEps);
  }
}

// A turn by nothing is exact: the same bits as without.
TEST_P(AttentionPositions, RotaryByNothingChangesNoBit) {
  const int64_t len = 300, d = 26, dims = 20;
  GuardedFloats table(len * dims);
  for (int64_t i = 0; i < table.size(); ++i) table[i] = i % dims < dims / 2 ? 1.0f : 0.0f;
  Problem plain(len, len, d, d), with(len, len, d, d);
  plain.run(kernels());
  for (const bool interleaved : {false, true}) {
    with.args.rotary = table.data();
    with.args.rotary_dims = dims;
    with.args.rotary_interleaved = interleaved;
    with.run(kernels());
    ASSERT_EQ(0, std::memcmp(plain.o.data(), with.o.data(), len * d * sizeof(float)));
  }
}

TEST_P(AttentionPositions, RelativeBiasMatchesFloat64) {
  for (const auto& [q_len, kv_len] : {std::pair{1, 1},
                                      {1, 500},
                                      {500, 1},
                                      {37, 239},
                                      {37, 240},
                                      {37, 241},
                                      {9, 500},
                                      {260, 45}}) {
    for (const int64_t q_offset : {0, kv_len - q_len, 3}) {
      Problem p(q_len, kv_len, 16, 16);
      p.args.q_offset = q_offset;
      RelativeBias bias(p.args);
      p.args.relative_bias = bias.centre(p.args);
      check(p);
      p.args.causal = true;
      check(p);
      p.args.window_left = 20;
      p.args.prefix_len = 5;
      check(p);
    }
  }
}

TEST_P(AttentionPositions, AdditiveMatchesFloat64ForAnyHeadDim) {
  for (const int64_t d : kHeadDims) {
    GuardedFloats weights(d);
    for (const float spread : {0.1f, 2.0f}) {
      Problem p(11, 37, d, 5, spread);
      set_additive(&p, &weights);
      check(p);
    }
  }
}

TEST_P(AttentionPositions, AdditiveMatchesFloat64AroundKeyBlocksAndGroups) {
  GuardedFloats weights(10);
  for (const auto& [q_len, kv_len] :
       {std::pair{1, 1}, {9, 1}, {1, 500}, {9, 239}, {9, 240}, {9, 241}, {13, 500}, {257, 30}}) {
    Problem p(q_len, kv_len, 10, 10);
    set_additive(&p, &weights);
    check(p);
    p.args.q_offset = 4;
    p.args.window_right = 0;
    p.args.window_left = 100;
    check(p);
  }
}

TEST_P(AttentionPositions, CombinesWithAllElse) {
  Combination all;
  check(all.p);
  for (const bool interleaved : {false, true}) {
    set_rotary(&all.p, &all.table, Combination::kDims, interleaved);
    check(all.p);
  }
  all.p.args.rotary = nullptr;
  set_additive(&all.p, &all.additive);
  check(all.p);
}

TEST_P(AttentionPositions, NanOfUnseenKeysNeverShows) {
  constexpr int64_t kLen = Kinds::kLen, kD = Kinds::kHeadDim, kBad = 250;
  Kinds kinds;
  Guarded<uint8_t> mask(kLen);
  for (int64_t j = 0; j < kLen; ++j) mask[j] = j != kBad;
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    for (const float poison : {std::nanf(""), INFINITY}) {
      Problem clean(kLen, kLen, kD, kD), dirty(kLen, kLen, kD, kD);
      for (int64_t c = 0; c < kD; ++c) dirty.k[kBad * kD + c] = dirty.v[kBad * kD + c] = poison;
      for (Problem* p : {&clean, &dirty}) {
        kinds.set(kind, p);
        p->args.mask = mask.data();
        p->run(kernels());
      }
      ASSERT_EQ(0, std::memcmp(clean.o.data(), dirty.o.data(), kLen * kD * sizeof(float)));
      for (Problem* p : {&clean, &dirty}) {
        p->args.mask = nullptr;
        p->args.window_right = 0;
        p->run(kernels());
      }
      ASSERT_EQ(0, std::memcmp(clean.o.data(), dirty.o.data(), kBad * kD * sizeof(float)));
      ASSERT_FALSE(std::isfinite(dirty.o[kBad * kD]));
    }
  }
}

// A query's bits are the same alone and among others; and nobody writes into Q and K.
TEST_P(AttentionPositions, QueriesDoNotInfluenceEachOther) {
  constexpr int64_t kLen = Kinds::kLen, kD = Kinds::kHeadDim;
  Kinds kinds;
  GuardedFloats one(kD);
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    Problem p(kLen, kLen, kD, kD);
    kinds.set(kind, &p);
    p.args.window_right = 0;
    const std::vector<float> q(p.q.data(), p.q.data() + kLen * kD);
    const std::vector<float> k(p.k.data(), p.k.data() + kLen * kD);
    p.run(kernels());
    p.args.q_len = 1;
    p.args.o = one.data();
    for (int64_t i = 0; i < kLen; ++i) {
      p.args.q = p.q.data() + i * kD;
      p.args.q_offset = p.args.q_position = i;
      p.run(kernels());
      ASSERT_EQ(0, std::memcmp(&p.o[i * kD], one.data(), kD * sizeof(float))) << i;
    }
    ASSERT_EQ(0, std::memcmp(q.data(), p.q.data(), kLen * kD * sizeof(float)));
    ASSERT_EQ(0, std::memcmp(k.data(), p.k.data(), kLen * kD * sizeof(float)));
  }
}

TEST_P(AttentionPositions, NanInAQueryStaysInItsRow) {
  constexpr int64_t kD = Kinds::kHeadDim;
  Kinds kinds;
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    Problem p(20, 20, kD, kD);
    kinds.set(kind, &p);
    p.q[9 * kD + 1] = std::nanf("");
    p.run(kernels());
    for (int64_t i = 0; i < 20 * kD; ++i) ASSERT_EQ(std::isnan(p.o[i]), i / kD == 9) << i;
  }
}

HEADLANE_FOR_EACH_ISA(AttentionPositions);

}  // namespace
}  // namespace headlane::kernels

#include <utility>
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
using test::set_additive;
using test::set_rotary;

class AttentionProbabilities : public test::AttentionTest {
 protected:
  // In rows with a gap, whose last ends at a guard page: written exactly, equal to float64's, a
  // row's sum as it should be, and O = P V.
  void check_probabilities(Problem& p) {
    SCOPED_TRACE(p.name());
    const AttentionF32Args& a = p.args;
    const int64_t ldp = a.kv_len + 3;
    const float gap = 12345.0f;
    GuardedFloats out((a.q_len - 1) * ldp + a.kv_len);
    for (int64_t i = 0; i < out.size(); ++i) out[i] = gap;
    p.run(kernels());
    p.run_probabilities(kernels(), out.data(), ldp);
    for (int64_t i = 0; i < out.size(); ++i) {
      if (i % ldp < a.kv_len) continue;
      ASSERT_EQ(out[i], gap) << i;
    }
    for (int64_t i = 0; i < a.q_len; ++i) check_row(a, i, &out[i * ldp]);
  }

  static void check_row(const AttentionF32Args& a, int64_t i, const float* row) {
    const test::Expected e = test::reference(a, i);
    std::vector<double> o(a.v_dim), bound(a.v_dim);
    double sum = 0, expected_sum = 0, sum_bound = test::kLeastNormal;
    for (int64_t j = 0; j < a.kv_len; ++j) {
      ASSERT_NEAR(row[j], e.p[j], e.p_bound[j] + test::kLeastNormal) << i << ", " << j;
      ASSERT_TRUE(test::sees(a, i, j) || row[j] == 0.0f) << i << ", " << j;
      sum += row[j];
      expected_sum += e.p[j];
      // Scores' errors cancel in the sum; the exponentials' sum, and the division, do not.
      sum_bound += e.p[j] * static_cast<double>(a.kv_len + 8) * test::kEps;
      if (a.sink) sum_bound += e.p_bound[j];  // but not where the sink takes a share
      for (int64_t d = 0; d < a.v_dim; ++d) {
        o[d] += double{row[j]} * a.v[j * a.ldv + d];
        bound[d] += (e.p_bound[j] + test::kLeastNormal) * std::fabs(a.v[j * a.ldv + d]);
      }
    }
    ASSERT_NEAR(sum, expected_sum, sum_bound) << i;
    if (!a.sink && expected_sum > 0) {
      ASSERT_NEAR(sum, 1.0, sum_bound) << i;
    }
    for (int64_t d = 0; d < a.v_dim; ++d) {
      ASSERT_NEAR(a.o[i * a.ldo + d], o[d], e.bound[d] + bound[d]) << i << ", " << d;
    }
  }
};

TEST_P(AttentionProbabilities, MatchFloat64) {
  for (const auto& [q_len, kv_len] :
       {std::pair{1, 1}, {1, 500}, {50, 1}, {9, 239}, {9, 240}, {9, 241}, {13, 500}, {257, 30}}) {
    for (const int64_t d : {1, 17, 64}) {
      Problem p(q_len, kv_len, d, 5);
      check_probabilities(p);
    }
  }
  Problem sharp(17, 700, 32, 32, 12.0f);
  check_probabilities(sharp);
}

// Lengths around a block of keys: aligned at their ends, some queries see its last key and others
// the next block's first.
TEST_P(AttentionProbabilities, OfKeysSeenByPosition) {
  for (const auto& [q_len, kv_len] : {std::pair{7, 8}, {70, 260}, {5, 300}, {40, 20}}) {
    for (const int64_t q_offset : {0, kv_len - q_len, -1000, 1000}) {
      Problem p(q_len, kv_len, 16, 16);
      p.args.q_offset = q_offset;
      for (const test::Positions& positions : test::all_positions()) {
        positions.set(&p.args);
        check_probabilities(p);
      }
    }
  }
}

TEST_P(AttentionProbabilities, OfEveryKindOfScore) {
  Combination all;
  check_probabilities(all.p);
  all.p.args.sink = nullptr;
  for (const bool interleaved : {false, true}) {
    set_rotary(&all.p, &all.table, Combination::kDims, interleaved);
    check_probabilities(all.p);
  }
  all.p.args.rotary = nullptr;
  set_additive(&all.p, &all.additive);
  check_probabilities(all.p);
  for (const float sink : {-300.0f, -0.5f, 300.0f}) {  // takes nothing, a share, everything
    all.p.args.sink = &sink;
    check_probabilities(all.p);
  }
}

// A row that sees nothing gets zeros, with a sink and without.
TEST_P(AttentionProbabilities, AQueryThatSeesNothingGetsZeros) {
  constexpr int64_t kQueries = 12, kKeys = 250;
  Problem p(kQueries, kKeys, 16, 16);
  Guarded<uint8_t> mask(kQueries * kKeys);
  for (int64_t i = 0; i < mask.size(); ++i) mask[i] = i / kKeys != 3 && i / kKeys != 7;
  p.args.mask = mask.data();
  p.args.ld_mask = kKeys;
  const float sink = 0.5f, *const sinks[] = {nullptr, &sink};
  for (const float* each : sinks) {
    p.args.sink = each;
    check_probabilities(p);
    GuardedFloats out(kQueries * kKeys);
    p.run_probabilities(kernels(), out.data(), kKeys);
    for (int64_t i = 0; i < out.size(); ++i) {
      const bool sees_nothing = i / kKeys == 3 || i / kKeys == 7;
      ASSERT_EQ(out[i] == 0.0f, sees_nothing) << i;
    }
  }
}

TEST_P(AttentionProbabilities, NanStaysWhereItIsSeen) {
  constexpr int64_t kLen = 300, kD = 16, kBad = 250;
  Problem clean(kLen, kLen, kD, kD), dirty(kLen, kLen, kD, kD);
  dirty.k[kBad * kD] = std::nanf("");
  GuardedFloats clean_p(kLen * kLen), dirty_p(kLen * kLen);
  for (const auto& [p, out] : {std::pair{&clean, &clean_p}, {&dirty, &dirty_p}}) {
    p->args.window_right = 0;
    p->args.window_left = 20;
    p->run_probabilities(kernels(), out->data(), kLen);
  }
  for (int64_t i = 0; i < kLen; ++i) {
    const bool sees_nan = i >= kBad && i <= kBad + 20;
    for (int64_t j = 0; j < kLen; ++j) {
      const float x = dirty_p[i * kLen + j], y = clean_p[i * kLen + j];
      if (sees_nan && j >= i - 20 && j <= i) {
        ASSERT_TRUE(std::isnan(x)) << i << ", " << j;
      } else {
        ASSERT_EQ(0, std::memcmp(&x, &y, sizeof x)) << i << ", " << j;
      }
    }
  }
}

TEST_P(AttentionProbabilities, QueriesDoNotInfluenceEachOther) {
  constexpr int64_t kLen = Kinds::kLen, kD = Kinds::kHeadDim;
  Kinds kinds;
  GuardedFloats all(kLen * kLen), one(kLen);
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    Problem p(kLen, kLen, kD, kD);
    kinds.set(kind, &p);
    p.args.window_right = 0;
    p.run_probabilities(kernels(), all.data(), kLen);
    p.args.q_len = 1;
    for (int64_t i = 0; i < kLen; ++i) {
      p.args.q = p.q.data() + i * kD;
      p.args.q_offset = p.args.q_position = i;
      p.run_probabilities(kernels(), one.data(), kLen);
      ASSERT_EQ(0, std::memcmp(&all[i * kLen], one.data(), kLen * sizeof(float))) << i;
    }
  }
}

HEADLANE_FOR_EACH_ISA(AttentionProbabilities);

}  // namespace
}  // namespace headlane::kernels

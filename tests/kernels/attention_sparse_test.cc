// Blocks of keys that mask or bias hide from whole strips of queries are skipped; that must not
// show in the numbers.
#include "tests/support/attention_operands.h"

namespace headlane::kernels {
namespace {

using test::Guarded;
using test::GuardedFloats;
using test::Problem;

constexpr int64_t kQueries = 100, kKeys = 1000, kDim = 20;

// Every query sees a stretch of 250 keys that moves on every 10 queries; queries 40 .. 50 see
// nothing.
bool in_stretch(int64_t i, int64_t j) {
  const int64_t first = i / 10 * 83;
  return i / 10 != 4 && j >= first && j < first + 250;
}

class AttentionSparse : public test::AttentionTest {
 protected:
  AttentionSparse() : mask_(kQueries * kKeys), bias_(kQueries * kKeys) {
    for (int64_t e = 0; e < mask_.size(); ++e) {
      mask_[e] = in_stretch(e / kKeys, e % kKeys);
      bias_[e] = mask_[e] ? 0.0f : -INFINITY;
    }
  }
  void use(Problem* p, bool mask, bool bias) {
    p->args.mask = mask ? mask_.data() : nullptr;
    p->args.bias = bias ? bias_.data() : nullptr;
    p->args.ld_mask = p->args.ld_bias = kKeys;
  }

  Guarded<uint8_t> mask_;
  GuardedFloats bias_;
};

TEST_P(AttentionSparse, MatchesFloat64) {
  Problem p(kQueries, kKeys, kDim, kDim);
  for (const auto& [mask, bias] : {std::pair(true, false), {false, true}, {true, true}}) {
    use(&p, mask, bias);
    check(p);
  }
  p.args.softcap = 3.0f;
  check(p);
}

TEST_P(AttentionSparse, MaskAndBiasGiveTheSameBits) {
  Problem by_mask(kQueries, kKeys, kDim, kDim), by_bias(kQueries, kKeys, kDim, kDim);
  use(&by_mask, true, false);
  use(&by_bias, false, true);
  by_mask.run(kernels());
  by_bias.run(kernels());
  EXPECT_EQ(0, std::memcmp(by_mask.o.data(), by_bias.o.data(), by_mask.o.size() * sizeof(float)));
}

// A query's bits do not depend on which other queries make its strip's blocks worth computing.
TEST_P(AttentionSparse, AloneAsAmongOthers) {
  Problem all(kQueries, kKeys, kDim, kDim), one(kQueries, kKeys, kDim, kDim);
  use(&all, true, false);
  use(&one, true, false);
  all.run(kernels());
  for (int64_t i = 0; i < kQueries; ++i) {
    one.args.q_len = 1;
    one.args.q = one.q.data() + i * kDim;
    one.args.mask = mask_.data() + i * kKeys;
    one.run(kernels());
    ASSERT_EQ(0, std::memcmp(all.o.data() + i * kDim, one.o.data(), kDim * sizeof(float))) << i;
  }
}

// The content of keys that nobody sees is never met.
TEST_P(AttentionSparse, NanInUnseenKeys) {
  Problem clean(kQueries, kKeys, kDim, kDim), dirty(kQueries, kKeys, kDim, kDim);
  use(&clean, true, false);
  use(&dirty, true, false);
  for (int64_t j = 0; j < kKeys; ++j) {
    bool seen = false;
    for (int64_t i = 0; i < kQueries; ++i) seen = seen || in_stretch(i, j);
    for (int64_t c = 0; c < kDim && !seen; ++c) {
      dirty.k[j * kDim + c] = dirty.v[j * kDim + c] = std::nanf("");
    }
  }
  clean.run(kernels());
  dirty.run(kernels());
  EXPECT_EQ(0, std::memcmp(clean.o.data(), dirty.o.data(), clean.o.size() * sizeof(float)));
}

TEST_P(AttentionSparse, Probabilities) {
  Problem p(kQueries, kKeys, kDim, kDim);
  use(&p, true, false);
  GuardedFloats maps(kQueries * kKeys);
  p.run_probabilities(kernels(), maps.data(), kKeys);
  for (int64_t i = 0; i < kQueries; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < kKeys; ++j) {
      sum += maps[i * kKeys + j];
      ASSERT_EQ(maps[i * kKeys + j] > 0, in_stretch(i, j)) << i << ", " << j;
    }
    ASSERT_NEAR(sum, i / 10 == 4 ? 0 : 1, (kKeys + 8) * test::kEps) << i;
  }
}

HEADLANE_FOR_EACH_ISA(AttentionSparse);

}  // namespace
}  // namespace headlane::kernels

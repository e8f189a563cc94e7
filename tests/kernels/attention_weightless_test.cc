// A value that is NaN or infinite shows in the results of all queries that see its key, even where
// the weight is 0, since 0 * NaN is NaN; and in no other bit.
#include <functional>

#include "tests/support/attention_narrow.h"
#include "tests/support/decode_operands.h"
#include "tests/support/large_scores.h"

namespace headlane::kernels {
namespace {

using test::Decode;
using test::Guarded;
using test::GuardedFloats;
using test::NarrowCopy;
using test::Problem;

constexpr int64_t kWeightlessQueries = 30, kWeightlessKeys = 500, kHeadDim = 16, kVDim = 17;

class AttentionWeightless : public test::KernelTest {
 protected:
  AttentionWeightless()
      : mask_(kWeightlessQueries * kWeightlessKeys), bias_(kWeightlessQueries * kWeightlessKeys) {
    for (int64_t e = 0; e < mask_.size(); ++e) {
      mask_[e] = e / kWeightlessKeys % 2;  // queries of odd numbers see
      bias_[e] = mask_[e] ? 0.5f : -INFINITY;
    }
  }

  // Ways to see all keys, or some.
  std::vector<std::function<void(AttentionF32Args*)>> ways() {
    using Args = AttentionF32Args;
    return {[](Args*) {},
            [](Args* a) { a->causal = true, a->q_offset = 235; },
            [](Args* a) { a->causal = true, a->prefix_len = 245; },
            [](Args* a) { a->window_left = 10, a->q_offset = 240; },
            [](Args* a) { a->window_right = 7, a->q_offset = 230; },
            [&](Args* a) { a->mask = mask_.data(), a->ld_mask = kWeightlessKeys; },
            [&](Args* a) { a->bias = bias_.data(), a->ld_bias = kWeightlessKeys; },
            [](Args* a) { a->alibi_slope = 0.25f; },
            [](Args* a) { a->sink = &kSink; }};
  }

  template <typename Run, typename Get>
  void check(float poison, int64_t far, const std::function<void(AttentionF32Args*)>& way, Run run,
             Get get) {
    Problem clean(kWeightlessQueries, kWeightlessKeys, kHeadDim, kVDim),
        dirty(kWeightlessQueries, kWeightlessKeys, kHeadDim, kVDim);
    set_weightless(&clean, far, 1);
    set_weightless(&dirty, far, poison);
    way(&clean.args);
    way(&dirty.args);
    const auto before = run(&clean), after = run(&dirty);
    for (int64_t i = 0; i < kWeightlessQueries; ++i) {
      for (int64_t c = 0; c < kVDim; ++c) {
        const auto x = before->o[i * kVDim + c], y = after->o[i * kVDim + c];
        if (c == kVDim - 1 && test::sees(dirty.args, i, far)) {
          ASSERT_TRUE(std::isnan(get(y))) << i;
        } else {
          ASSERT_EQ(0, std::memcmp(&x, &y, sizeof x)) << i << ", " << c;
        }
      }
    }
  }

  static constexpr float kSink = 0.7f;
  Guarded<uint8_t> mask_;
  GuardedFloats bias_;
};

TEST_P(AttentionWeightless, ShowsWhereItIsSeenAndNowhereElse) {
  struct Wide {
    GuardedFloats& o;
  };
  const auto run = [&](Problem* p) {
    p->run(kernels());
    return std::make_unique<Wide>(Wide{p->o});
  };
  const auto run_narrow = [&](Problem* p) {
    auto narrow = std::make_unique<NarrowCopy>(p);
    narrow->run(kernels());
    return narrow;
  };
  const auto all = ways();
  for (const float poison : {std::nanf(""), INFINITY, -INFINITY}) {
    for (const int64_t far : {0, 239, 240, 241, 499}) {
      for (size_t way = 0; way < all.size(); ++way) {
        SCOPED_TRACE(testing::Message() << poison << " at " << far << ", way " << way);
        check(poison, far, all[way], run, [](float x) { return x; });
        if (kernels().attention_bf16 == nullptr) continue;
        check(poison, far, all[way], run_narrow, [](Bf16 x) { return widen(x); });
      }
    }
  }
}

template <typename T>
void check_weightless_decode(const Table& kernels, float poison) {
  for (const int64_t far : {0, 3, 36}) {
    Decode<T> decode({2, 1, 37, 16, 20});
    for (int64_t h = 0; h < 2; ++h) test::set(40.0f, &decode.q[h * 16]);
    for (int64_t h = 0; h < 2; ++h) {
      test::set(-4096.0f, &decode.k[decode.rows[far] * decode.ldk + h * 16]);
    }
    test::set(poison, &decode.v[decode.rows[far] * decode.ldv + 7]);  // of head 0
    decode.run(kernels);
    for (int64_t i = 0; i < decode.o.size(); ++i) {
      ASSERT_EQ(std::isnan(test::get(decode.o[i])), i == 7) << i;
    }
  }
}

TEST_P(AttentionWeightless, ShowsWhenDecoding) {
  for (const float poison : {std::nanf(""), INFINITY, -INFINITY}) {
    check_weightless_decode<float>(kernels(), poison);
    check_weightless_decode<Bf16>(kernels(), poison);
  }
}

// The rows of floats, and those that have bf16.
INSTANTIATE_TEST_SUITE_P(Isa, AttentionWeightless,
                         testing::Values("ref", "avx2", "avx512", "avx512_bf16", "amx"),
                         [](auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace headlane::kernels

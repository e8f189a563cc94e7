// Attention on one's own buffers: what is the same to the bit, what never matters, exact memory.
#include <cfloat>

#include "tests/api/attention.h"

namespace headlane::test {
namespace {

class AttentionApi : public AttentionTest {
 protected:
  static void expect_same(const std::vector<std::vector<float>>& a,
                          const std::vector<std::vector<float>>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(same_bits(a[i], b[i])) << "sequence " << i;
  }
  static bool all_zero(const std::vector<float>& o) {
    return std::all_of(o.begin(), o.end(), [](float x) { return x == 0; });
  }
};

TEST_P(AttentionApi, EveryLayoutGivesTheSameBits) {
  for (const headlane_causal causal :
       {HEADLANE_CAUSAL_NONE, HEADLANE_CAUSAL_UPPER_LEFT, HEADLANE_CAUSAL_LOWER_RIGHT}) {
    headlane_attention_options of = options(3, 26);
    of.causal = causal;
    std::vector<Sequence> seqs;
    for (const int64_t n : {1, 7, 0, 16, 33, 250}) {
      seqs.push_back(random_sequence(of, n, n, static_cast<uint32_t>(n)));
    }
    const auto expected = attend(of, seqs);
    for (const Layout layout : kLayouts) {
      SCOPED_TRACE(static_cast<int>(layout));
      expect_same(attend(of, seqs, layout), expected);
    }
  }
}

// With lengths that differ, shared heads of K and V, V of another width, masks and biases.
TEST_P(AttentionApi, EveryLayoutGivesTheSameBitsWhereQAndKDiffer) {
  headlane_attention_options of = options(6, 16);
  of.n_kv_heads = 2;
  of.v_dim = 9;
  of.causal = HEADLANE_CAUSAL_LOWER_RIGHT;
  of.window_left = 70;
  std::mt19937 random(3);
  std::vector<Sequence> seqs;
  for (const auto& [q_len, kv_len] : {std::pair{1, 100}, {20, 5}, {3, 0}, {12, 12}, {30, 260}}) {
    Sequence& seq = seqs.emplace_back(random_sequence(of, q_len, kv_len, random()));
    for (int64_t i = 0; i < q_len * kv_len; ++i) {
      seq.bias.push_back(static_cast<float>(random() % 100) / 50);
      seq.mask.push_back(random() % 4 != 0);
    }
  }
  const auto expected = attend(of, seqs);
  for (const Layout layout : {Layout::kTokensFirst, Layout::kHeadsFirst, Layout::kLeftPadded}) {
    SCOPED_TRACE(static_cast<int>(layout));
    expect_same(attend(of, seqs, layout), expected);
  }
}

// Alone a sequence is cut into parts for the threads; among others it is not.
TEST_P(AttentionApi, BitsDoNotDependOnBatchOrThreads) {
  headlane_attention_options of = options(2, 24);
  of.causal = HEADLANE_CAUSAL_UPPER_LEFT;
  std::vector<Sequence> seqs;
  for (const int64_t n : {700, 1, 64, 300, 5, 257, 31}) {
    seqs.push_back(random_sequence(of, n, n, static_cast<uint32_t>(n)));
  }
  std::vector<std::vector<float>> alone;
  alone.reserve(seqs.size());
  for (const Sequence& seq : seqs) alone.push_back(attend(of, {seq})[0]);
  std::vector<size_t> order = {0, 1, 2, 3, 4, 5, 6};
  std::mt19937 random(5);
  for (const int32_t n_threads : {1, 2, 3}) {
    of.n_threads = n_threads;
    std::shuffle(order.begin(), order.end(), random);
    std::vector<Sequence> batch;
    for (const size_t i : order) {
      batch.push_back(seqs[i]);
      EXPECT_TRUE(same_bits(attend(of, {seqs[i]})[0], alone[i])) << n_threads << " threads";
    }
    const auto together = attend(of, batch);
    for (size_t at = 0; at < order.size(); ++at) {
      EXPECT_TRUE(same_bits(together[at], alone[order[at]])) << n_threads << " threads";
    }
  }
}

// A mask, a bias, a window, a causal mask and a length, each hiding other keys, are the same as one
// mask that hides what any of them hides.
TEST_P(AttentionApi, MasksCombine) {
  const int64_t q_len = 40, kv_len = 300, window = 150;
  headlane_attention_options of = options(2, 16);
  Sequence all = random_sequence(of, q_len, kv_len, 1), one = all;
  std::mt19937 random(2);
  for (int64_t i = 0; i < q_len; ++i) {
    for (int64_t j = 0; j < kv_len; ++j) {
      const bool masked = random() % 3 == 0, biased = random() % 3 == 0;
      const int64_t position = i + kv_len - q_len;
      all.mask.push_back(!masked);
      all.bias.push_back(biased ? -kInfinity : 0.0f);
      one.mask.push_back(!masked && !biased && j <= position && j >= position - window);
    }
  }
  const auto expected = attend(of, {one});
  of.causal = HEADLANE_CAUSAL_LOWER_RIGHT;
  of.window_left = window;
  const Sequence longer = random_sequence(of, q_len + 9, kv_len + 9, 7);  // makes padding
  for (const Layout layout : {Layout::kRagged, Layout::kHeadsFirst, Layout::kLeftPadded}) {
    EXPECT_TRUE(same_bits(attend(of, {all, longer}, layout)[0], expected[0]));
  }
}

TEST_P(AttentionApi, WindowsOfAnySizeAreTaken) {
  headlane_attention_options of = options(1, 8);
  const Sequence seq = random_sequence(of, 20, 20, 1);
  const auto all = attend(of, {seq});
  of.window_left = of.window_right = INT64_MAX;
  expect_same(attend(of, {seq}), all);
  // A query that sees its own key alone gets its value.
  of.window_left = of.window_right = -1;
  const std::vector<float> own = attend(of, {seq})[0];
  for (size_t i = 0; i < own.size(); ++i) ASSERT_NEAR(own[i], seq.v[i], 4 * kEps * 4) << i;
}

TEST_P(AttentionApi, AQueryThatSeesNoKeyGetsZeros) {
  headlane_attention_options of = options(2, 16);
  const int64_t n = 30, row = 2 * 16;
  for (const bool by_mask : {true, false}) {
    Sequence seq = random_sequence(of, n, n, 1);
    for (int64_t i = 0; i < n * n; ++i) {
      const bool hidden = i / n == 4 || i / n == 29;
      if (by_mask) seq.mask.push_back(!hidden);
      if (!by_mask) seq.bias.push_back(hidden ? -FLT_MAX : 1.0f);
    }
    const std::vector<float> o = attend(of, {seq})[0];
    for (size_t i = 0; i < o.size(); ++i) {
      const int64_t query = static_cast<int64_t>(i) / row;
      ASSERT_EQ(o[i] == 0, query == 4 || query == 29) << i;
    }
  }
  EXPECT_TRUE(all_zero(attend(of, {random_sequence(of, 5, 0, 1)})[0]));
  // The last of 10 queries stands at the last of 4 keys, so the first 6 stand before them all.
  of.causal = HEADLANE_CAUSAL_LOWER_RIGHT;
  const std::vector<float> o = attend(of, {random_sequence(of, 10, 4, 1)})[0];
  for (size_t i = 0; i < o.size(); ++i) ASSERT_EQ(o[i] == 0, i < 6 * row) << i;
}

TEST_P(AttentionApi, MinusInfinityAndTheMostNegativeFloatMaskAlike) {
  headlane_attention_options of = options(2, 16);
  const int64_t q_len = 12, kv_len = 260;
  Sequence seq = random_sequence(of, q_len, kv_len, 1);
  Sequence infinite = seq, finite = seq, masked = seq;
  std::mt19937 random(4);
  for (int64_t i = 0; i < q_len * kv_len; ++i) {
    const bool hidden = random() % 2 == 0;
    infinite.bias.push_back(hidden ? -kInfinity : 0.25f);
    finite.bias.push_back(hidden ? -FLT_MAX : 0.25f);
    masked.bias.push_back(0.25f);
    masked.mask.push_back(!hidden);
  }
  const auto expected = attend(of, {infinite});
  expect_same(attend(of, {finite}), expected);
  expect_same(attend(of, {masked}), expected);
}

TEST_P(AttentionApi, NanInWhatNoQuerySeesNeverMatters) {
  headlane_attention_options of = options(2, 16);
  const int64_t n = 50, row = 2 * 16, bad = 20;
  for (const float poison : {kNan, kInfinity}) {
    for (const bool by_mask : {true, false}) {
      Sequence clean = random_sequence(of, n, n, 1);
      for (int64_t i = 0; i < n * n; ++i) {
        if (by_mask) clean.mask.push_back(i % n != bad);
        if (!by_mask) clean.bias.push_back(i % n == bad ? -kInfinity : 0.0f);
      }
      Sequence dirty = clean;
      std::fill_n(dirty.k.begin() + bad * row, row, poison);
      std::fill_n(dirty.v.begin() + bad * row, row, poison);
      for (const Layout layout : kLayouts) {
        expect_same(attend(of, {dirty}, layout), attend(of, {clean}, layout));
      }
    }
  }
}

TEST_P(AttentionApi, NanInASequenceShowsInItAlone) {
  headlane_attention_options of = options(2, 16);
  of.n_threads = 2;
  std::vector<Sequence> clean;
  for (const uint32_t seed : {1, 2, 3}) clean.push_back(random_sequence(of, 20, 20, seed));
  const auto expected = attend(of, clean);
  for (std::vector<float> Sequence::*tensor : {&Sequence::q, &Sequence::k, &Sequence::v}) {
    std::vector<Sequence> dirty = clean;
    (dirty[1].*tensor)[5] = kNan;  // token 0, head 0
    for (const Layout layout : kLayouts) {
      const auto got = attend(of, dirty, layout);
      EXPECT_TRUE(same_bits(got[0], expected[0]));
      EXPECT_TRUE(same_bits(got[2], expected[2]));
      for (size_t i = 0; i < got[1].size(); ++i) {
        const bool first_head = i / 16 % 2 == 0;
        const bool reached = tensor == &Sequence::q   ? i < 16
                             : tensor == &Sequence::k ? first_head
                                                      : first_head && i % 16 == 5;
        ASSERT_EQ(std::isnan(got[1][i]), reached) << i;
      }
    }
  }
}

// Rows of padding that are not even there: one page before and one after what is real.
TEST_P(AttentionApi, PaddingIsNeverRead) {
  constexpr int64_t kRows = 16, kHeads = 2, kDim = 32, kRow = kHeads * kDim;  // one page
  headlane_attention_options of = options(kHeads, kDim);
  const Sequence seq = random_sequence(of, kRows, kRows, 1);
  const auto expected = attend(of, {seq})[0];
  GuardedFloats q(kRows * kRow), k(kRows * kRow), v(kRows * kRow), o((kRows + 4) * kRow);
  std::copy(seq.q.begin(), seq.q.end(), q.data());
  std::copy(seq.k.begin(), seq.k.end(), k.data());
  std::copy(seq.v.begin(), seq.v.end(), v.data());
  const int64_t real = kRows;
  for (const int32_t left : {0, 1}) {
    const int64_t before = left ? 4 * kRow : 0;
    headlane_attention_batch batch{};
    batch.struct_size = sizeof batch;
    batch.n_seqs = 1;
    batch.q_len = batch.kv_len = kRows + 4;
    batch.q_lengths = batch.kv_lengths = &real;
    batch.left_padded = left;
    batch.q = {q.data() - before, 0, kRow, kDim};
    batch.k = {k.data() - before, 0, kRow, kDim};
    batch.v = {v.data() - before, 0, kRow, kDim};
    batch.o = {o.data(), 0, kRow, kDim};
    check(headlane_attention_run(create_attention(of).get(), &batch));
    const float* first = o.data() + before;
    EXPECT_EQ(0, std::memcmp(first, expected.data(), expected.size() * sizeof(float)));
    for (int64_t i = 0; i < 4 * kRow; ++i) {
      ASSERT_EQ(left ? o[i] : o[kRows * kRow + i], 0.0f) << "padding of O, " << i;
    }
  }
}

// Keys may be padded where queries are not.
TEST_P(AttentionApi, LengthsOfQAndKAreEachTheirOwn) {
  headlane_attention_options of = options(1, 8);
  const Sequence seq = random_sequence(of, 6, 10, 1);
  Sequence shorter = seq;
  shorter.kv_len = 7;
  const auto expected = attend(of, {shorter})[0];
  GuardedFloats o(6 * 8);
  const int64_t kv_length = 7;
  headlane_attention_batch batch{};
  batch.struct_size = sizeof batch;
  batch.n_seqs = 1;
  batch.q_len = 6;
  batch.kv_len = 10;
  batch.kv_lengths = &kv_length;
  batch.q = {seq.q.data(), 0, 8, 8};
  batch.k = {seq.k.data(), 0, 8, 8};
  batch.v = {seq.v.data(), 0, 8, 8};
  batch.o = {o.data(), 0, 8, 8};
  check(headlane_attention_run(create_attention(of).get(), &batch));
  EXPECT_EQ(0, std::memcmp(o.data(), expected.data(), expected.size() * sizeof(float)));
}

TEST_P(AttentionApi, AlibiIsTheBiasItStandsFor) {
  headlane_attention_options of = options(1, 8);
  const int64_t n = 33;
  Sequence seq = random_sequence(of, n, n, 1);
  const float slope = 0.125f;  // times a whole number: exact, so the two differ by a rounding
  GuardedFloats o(n * 8);
  headlane_attention_batch batch{};
  batch.struct_size = sizeof batch;
  batch.n_seqs = 1;
  batch.q_len = batch.kv_len = n;
  batch.q = {seq.q.data(), 0, 8, 8};
  batch.k = {seq.k.data(), 0, 8, 8};
  batch.v = {seq.v.data(), 0, 8, 8};
  batch.o = {o.data(), 0, 8, 8};
  headlane_attention_options sloping = of;
  sloping.alibi_slopes = &slope;
  check(headlane_attention_run(create_attention(sloping).get(), &batch));
  for (int64_t i = 0; i < n * n; ++i) {
    seq.bias.push_back(-slope * static_cast<float>(std::abs(i / n - i % n)));
  }
  const auto expected = attend(of, {seq})[0];
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(o[static_cast<int64_t>(i)], expected[i], 1e-6) << i;
  }
}

TEST_P(AttentionApi, EmptyBatchesAreFine) {
  EXPECT_TRUE(attend(options(2, 8), {}).empty());
  for (const Layout layout : kLayouts) {
    const Sequence empty = random_sequence(options(2, 8), 0, 0, 1);
    EXPECT_TRUE(attend(options(2, 8), {empty, empty}, layout)[1].empty());
  }
}

// The caller's block of exactly the size asked for is enough, one byte less is refused, nothing
// around it is written; and the size is for sequences of any length.
// K and V of a batch without keys are no memory at all; every query gets zeros.
TEST_P(AttentionApi, NoKeysNeedNoData) {
  const auto options = this->options(4, 8);
  const auto attention = create_attention(options);
  const std::vector<float> q(3 * 32, 1.0f);
  std::vector<float> o(3 * 32, 7.0f);
  headlane_attention_batch batch = HEADLANE_INIT(headlane_attention_batch);
  batch.n_seqs = 1;
  batch.q_len = 3;
  batch.q = {q.data(), 96, 32, 8};
  batch.k = batch.v = {nullptr, 96, 32, 8};
  batch.o = {o.data(), 96, 32, 8};
  check(headlane_attention_run(attention.get(), &batch));
  for (const float value : o) EXPECT_EQ(value, 0.0f);
}

TEST_P(AttentionApi, CallersMemoryIsExact) {
  for (const int32_t n_threads : {1, 2, 3}) {
    headlane_attention_options of = options(2, 24);
    of.n_threads = n_threads;
    size_t bytes = 0;
    check(headlane_attention_bytes(&of, &bytes));
    ASSERT_GT(bytes, 0u);
    const Sequence seq = random_sequence(of, 600, 600, 1);
    const auto expected = attend(of, {seq});
    std::vector<unsigned char> block(bytes + 3 * 64, 0xa5);
    unsigned char* aligned =
        block.data() + 64 + (64 - reinterpret_cast<uintptr_t>(block.data()) % 64);
    headlane_attention* untouched = reinterpret_cast<headlane_attention*>(1);
    of.memory = aligned;
    of.memory_bytes = bytes - 1;
    expect_failure(headlane_attention_create(&of, &untouched), HEADLANE_INVALID_ARGUMENT,
                   "memory_bytes");
    of.memory_bytes = bytes;
    of.memory = aligned + 4;
    expect_failure(headlane_attention_create(&of, &untouched), HEADLANE_INVALID_ARGUMENT,
                   "aligned");
    EXPECT_EQ(untouched, reinterpret_cast<headlane_attention*>(1));
    of.memory = aligned;
    expect_same(attend(of, {seq}), expected);
    for (unsigned char* p = block.data(); p < aligned; ++p) ASSERT_EQ(*p, 0xa5);
    for (unsigned char* p = aligned + bytes; p < block.data() + block.size(); ++p)
      ASSERT_EQ(*p, 0xa5);
  }
}

HEADLANE_FOR_EACH_ISA(AttentionApi);

}  // namespace
}  // namespace headlane::test

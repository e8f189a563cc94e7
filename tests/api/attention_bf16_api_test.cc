// Attention on one's own rows of bf16: how near float64 it is, that no layout, batch or number of
// threads changes a bit, and what is refused.
#include <memory>

#include "tests/api/attention.h"

namespace headlane::test {
namespace {

using kernels::Bf16;

Bf16 to_bf16(float x) {  // to the nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<Bf16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Rows whose numbers are of bf16 already, so that both sides have the same.
Sequence bf16_sequence(const headlane_attention_options& options, int64_t q_len, int64_t kv_len,
                       uint32_t seed) {
  Sequence seq = random_sequence(options, q_len, kv_len, seed);
  for (std::vector<float>* rows : {&seq.q, &seq.k, &seq.v}) {
    for (float& x : *rows) x = kernels::widen(to_bf16(x));
  }
  return seq;
}

// A sequence's rows among those of a batch.
struct Place {
  int64_t n_heads, dim;
  bool heads_first;
  int64_t longest;  // rows of a padded sequence; of ragged ones, all there are
  template <typename Heads>
  Heads strides() const {
    // Three elements between heads and five between rows: an odd stride is one, too.
    const int64_t head = dim + 3, row = n_heads * head + 5;
    if (heads_first) return {nullptr, n_heads * longest * head, head, longest * head};
    return {nullptr, longest * row, row, head};
  }
  int64_t size(int64_t n_seqs) const { return n_seqs * longest * (n_heads * (dim + 3) + 5); }
};

enum class Rows16 { kRagged, kTokensFirst, kHeadsFirst, kLeftPadded };
constexpr Rows16 kAll[] = {Rows16::kRagged, Rows16::kTokensFirst, Rows16::kHeadsFirst,
                           Rows16::kLeftPadded};

// The same as attend() of attention.h, for bf16. All that is not of a sequence is NaN (0xffff)
// before.
class Batch16 {
 public:
  Batch16(const headlane_attention_options& options, const std::vector<Sequence>& seqs,
          Rows16 layout)
      : options_(options), seqs_(seqs), layout_(layout) {
    for (const Sequence& seq : seqs) {
      q_rows_.add(seq.q_len);
      kv_rows_.add(seq.kv_len);
    }
    const int64_t n_heads = options.n_heads;
    const int64_t n_kv_heads = options.n_kv_heads ? options.n_kv_heads : n_heads;
    v_dim_ = options.v_dim ? options.v_dim : options.head_dim;
    fill(q_rows_, n_heads, options.head_dim, &Sequence::q, &q_, &batch_.q);
    fill(kv_rows_, n_kv_heads, options.head_dim, &Sequence::k, &k_, &batch_.k);
    fill(kv_rows_, n_kv_heads, v_dim_, &Sequence::v, &v_, &batch_.v);
    fill(q_rows_, n_heads, v_dim_, nullptr, &o_, &batch_.o);
    batch_.struct_size = sizeof batch_;
    batch_.n_seqs = n_seqs();
    batch_.q_bf16 = q_->data();
    batch_.k_bf16 = k_->data();
    batch_.v_bf16 = v_->data();
    batch_.o_bf16 = o_->data();
    if (ragged()) {
      batch_.q_offsets = q_rows_.offsets.data();
      batch_.kv_offsets = kv_rows_.offsets.data();
      return;
    }
    batch_.q_len = q_rows_.longest;
    batch_.kv_len = kv_rows_.longest;
    batch_.q_lengths = q_rows_.lengths.data();
    batch_.kv_lengths = kv_rows_.lengths.data();
    batch_.left_padded = layout == Rows16::kLeftPadded;
  }

  headlane_attention_batch* operator->() { return &batch_; }

  // Each sequence's O, [q_len, n_heads, v_dim]; padding must be 0, and what lies between rows as it
  // was.
  std::vector<std::vector<Bf16>> run() {
    check(headlane_attention_run(create_attention(options_).get(), &batch_));
    std::vector<std::vector<Bf16>> results;
    for (size_t b = 0; b < seqs_.size(); ++b) {
      std::vector<Bf16>& result = results.emplace_back();
      const int64_t first = first_row(q_rows_, b), len = q_rows_.lengths[b];
      const int64_t n_rows = ragged() ? len : q_rows_.longest, begin = ragged() ? first : 0;
      for (int64_t i = begin * options_.n_heads; i < (begin + n_rows) * options_.n_heads; ++i) {
        const int64_t token = i / options_.n_heads;
        Bf16* row = at(o_.get(), batch_.o, b, token, i % options_.n_heads);
        const bool real = token >= first && token < first + len;
        if (real) result.insert(result.end(), row, row + v_dim_);
        for (int64_t c = 0; !real && c < v_dim_; ++c) EXPECT_EQ(row[c], 0) << "padding of O";
        std::fill_n(row, v_dim_, Bf16{0xffff});
      }
    }
    for (int64_t i = 0; i < o_->size(); ++i) EXPECT_EQ((*o_)[i], 0xffff) << "beside O, " << i;
    return results;
  }

 private:
  int64_t n_seqs() const { return static_cast<int64_t>(seqs_.size()); }
  bool ragged() const { return layout_ == Rows16::kRagged; }
  int64_t first_row(const Rows& rows, size_t b) const {
    if (ragged()) return rows.offsets[b];
    return layout_ == Rows16::kLeftPadded ? rows.longest - rows.lengths[b] : 0;
  }
  template <typename Heads>
  Bf16* at(Guarded<Bf16>* tensor, const Heads& heads, size_t b, int64_t token, int64_t head) const {
    const int64_t seq = ragged() ? 0 : static_cast<int64_t>(b) * heads.seq_stride;
    return tensor->data() + seq + token * heads.token_stride + head * heads.head_stride;
  }
  template <typename Heads>
  void fill(const Rows& rows, int64_t n_heads, int64_t dim, std::vector<float> Sequence::*from,
            std::unique_ptr<Guarded<Bf16>>* to, Heads* heads) const {
    const bool heads_first = layout_ == Rows16::kHeadsFirst || layout_ == Rows16::kLeftPadded;
    const Place place{n_heads, dim, heads_first, ragged() ? rows.offsets.back() : rows.longest};
    *heads = place.strides<Heads>();
    *to = std::make_unique<Guarded<Bf16>>(place.size(ragged() ? 1 : n_seqs()));
    for (size_t b = 0; from && b < seqs_.size(); ++b) {
      const float* x = (seqs_[b].*from).data();
      for (int64_t i = 0; i < rows.lengths[b] * n_heads; ++i) {
        Bf16* row = at(to->get(), *heads, b, first_row(rows, b) + i / n_heads, i % n_heads);
        for (int64_t c = 0; c < dim; ++c) row[c] = to_bf16(*x++);
      }
    }
  }

  headlane_attention_options options_;
  std::vector<Sequence> seqs_;
  Rows16 layout_;
  int64_t v_dim_ = 0;
  Rows q_rows_, kv_rows_;
  std::unique_ptr<Guarded<Bf16>> q_, k_, v_, o_;
  headlane_attention_batch batch_{};
};

std::vector<std::vector<Bf16>> attend16(const headlane_attention_options& options,
                                        const std::vector<Sequence>& seqs,
                                        Rows16 layout = Rows16::kRagged) {
  return Batch16(options, seqs, layout).run();
}

// One element of O in float64, and what it may be off by.
struct Expected {
  double value = 0, bound = 0;
};

// The keys that a query sees and its share of each; plain softmax of scale * q . k.
std::vector<double> shares(const headlane_attention_options& options, const Sequence& seq,
                           int64_t i, int64_t head) {
  const int64_t dim = options.head_dim;
  const int64_t n_kv_heads = options.n_kv_heads ? options.n_kv_heads : options.n_heads;
  const int64_t kv_head = head / (options.n_heads / n_kv_heads);
  const int64_t last = options.causal == HEADLANE_CAUSAL_NONE         ? seq.kv_len - 1
                       : options.causal == HEADLANE_CAUSAL_UPPER_LEFT ? i
                                                                      : i + seq.kv_len - seq.q_len;
  std::vector<double> p;
  double most = -1e300, sum = 0;
  for (int64_t j = 0; j <= std::min(last, seq.kv_len - 1); ++j) {
    double score = 0;
    for (int64_t c = 0; c < dim; ++c) {
      score += double{seq.q[static_cast<size_t>((i * options.n_heads + head) * dim + c)]} *
               double{seq.k[static_cast<size_t>((j * n_kv_heads + kv_head) * dim + c)]};
    }
    p.push_back(score / std::sqrt(static_cast<double>(dim)));
    most = std::max(most, p.back());
  }
  for (double& x : p) sum += x = std::exp(x - most);
  for (double& x : p) x /= sum;
  return p;
}

// Each share is rounded to bf16, off by 2^-9 of itself, and so is their sum: 2^-8 of sum p |v|. O
// is rounded once more, by 2^-9 of itself. Exponentials (7.5e-5, and their sum's) and sums in
// float32 have 2^-12.
Expected expected_at(const headlane_attention_options& options, const Sequence& seq, int64_t i,
                     int64_t head, int64_t c) {
  const int64_t v_dim = options.v_dim ? options.v_dim : options.head_dim;
  const int64_t n_kv_heads = options.n_kv_heads ? options.n_kv_heads : options.n_heads;
  const int64_t kv_head = head / (options.n_heads / n_kv_heads);
  const std::vector<double> p = shares(options, seq, i, head);
  Expected expected;
  double magnitudes = 0;
  for (size_t j = 0; j < p.size(); ++j) {
    const int64_t row = static_cast<int64_t>(j) * n_kv_heads + kv_head;
    const double v = seq.v[static_cast<size_t>(row * v_dim + c)];
    expected.value += p[j] * v;
    magnitudes += p[j] * std::abs(v);
  }
  expected.bound = (0x1p-8 + 0x1p-12) * magnitudes + 0x1p-9 * std::abs(expected.value);
  return expected;
}

void expect_near(const headlane_attention_options& options, const Sequence& seq,
                 const std::vector<Bf16>& got) {
  const int64_t v_dim = options.v_dim ? options.v_dim : options.head_dim;
  ASSERT_EQ(static_cast<int64_t>(got.size()), seq.q_len * options.n_heads * v_dim);
  for (size_t e = 0; e < got.size(); ++e) {
    const int64_t row = static_cast<int64_t>(e) / v_dim;
    const Expected expected = expected_at(options, seq, row / options.n_heads,
                                          row % options.n_heads, static_cast<int64_t>(e) % v_dim);
    ASSERT_NEAR(kernels::widen(got[e]), expected.value, expected.bound) << "element " << e;
  }
}

class AttentionBf16Api : public AttentionTest {
 protected:
  headlane_attention_options options(int64_t n_heads, int64_t head_dim) const {
    headlane_attention_options of = AttentionTest::options(n_heads, head_dim);
    of.precision = "bf16";
    return of;
  }
};

TEST_P(AttentionBf16Api, IsNearFloat64InEveryLayout) {
  for (const headlane_causal causal :
       {HEADLANE_CAUSAL_NONE, HEADLANE_CAUSAL_UPPER_LEFT, HEADLANE_CAUSAL_LOWER_RIGHT}) {
    for (const int64_t head_dim : {64, 26, 7}) {
      headlane_attention_options of = options(2, head_dim);
      of.causal = causal;
      std::vector<Sequence> seqs;
      for (const int64_t n : {1, 7, 0, 33, 130}) {
        seqs.push_back(bf16_sequence(of, n, n, static_cast<uint32_t>(n)));
      }
      const auto first = attend16(of, seqs);
      for (size_t b = 0; b < seqs.size(); ++b) expect_near(of, seqs[b], first[b]);
      for (const Rows16 layout : kAll) {
        EXPECT_EQ(attend16(of, seqs, layout), first) << static_cast<int>(layout);
      }
    }
  }
}

// Heads that share K and V, V of another width, lengths that differ.
TEST_P(AttentionBf16Api, IsNearFloat64WhereQAndKDiffer) {
  headlane_attention_options of = options(6, 16);
  of.n_kv_heads = 2;
  of.v_dim = 9;
  std::vector<Sequence> seqs;
  for (const auto& [q_len, kv_len] : {std::pair{1, 100}, {20, 5}, {12, 12}, {30, 260}}) {
    seqs.push_back(bf16_sequence(of, q_len, kv_len, static_cast<uint32_t>(kv_len)));
  }
  const auto first = attend16(of, seqs);
  for (size_t b = 0; b < seqs.size(); ++b) expect_near(of, seqs[b], first[b]);
  for (const Rows16 layout : kAll) EXPECT_EQ(attend16(of, seqs, layout), first);
}

TEST_P(AttentionBf16Api, BitsDoNotDependOnBatchOrThreads) {
  headlane_attention_options of = options(2, 24);
  of.causal = HEADLANE_CAUSAL_UPPER_LEFT;
  std::vector<Sequence> seqs;
  for (const int64_t n : {700, 1, 64, 300, 5}) {
    seqs.push_back(bf16_sequence(of, n, n, static_cast<uint32_t>(n)));
  }
  const auto together = attend16(of, seqs);
  for (const int32_t n_threads : {1, 2, 3}) {
    of.n_threads = n_threads;
    EXPECT_EQ(attend16(of, seqs), together) << n_threads << " threads";
    for (size_t b = 0; b < seqs.size(); ++b) {
      EXPECT_EQ(attend16(of, {seqs[b]})[0], together[b]) << n_threads << " threads";
    }
  }
}

TEST_P(AttentionBf16Api, AQueryThatSeesNoKeyGetsZeros) {
  const headlane_attention_options of = options(2, 16);
  const auto o = attend16(of, {bf16_sequence(of, 5, 0, 1)})[0];
  EXPECT_EQ(o, std::vector<Bf16>(5 * 2 * 16, Bf16{0}));
}

// Maps are floats, and what the values were weighted with: rows sum to 1 but for their rounding.
TEST_P(AttentionBf16Api, MapsAreFloats) {
  const headlane_attention_options of = options(2, 32);
  const Sequence seq = bf16_sequence(of, 20, 40, 1);
  Batch16 batch(of, {seq}, Rows16::kRagged);
  GuardedFloats p(2 * 20 * 40);
  headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
  maps.data = p.data();
  maps.head_stride = 20 * 40;
  maps.query_stride = 40;
  batch->maps = &maps;
  batch.run();
  for (int64_t row = 0; row < 2 * 20; ++row) {
    const std::vector<double> right = shares(of, seq, row % 20, row / 20);
    for (int64_t j = 0; j < 40; ++j) {
      const double expected = right[static_cast<size_t>(j)];
      ASSERT_NEAR(p[row * 40 + j], expected, (0x1p-8 + 0x1p-12) * expected) << row << ", " << j;
    }
  }
}

TEST_P(AttentionBf16Api, CallersMemoryIsExact) {
  headlane_attention_options of = options(2, 24);
  of.n_threads = 2;
  size_t bytes = 0;
  check(headlane_attention_bytes(&of, &bytes));
  const Sequence seq = bf16_sequence(of, 300, 300, 1);
  const auto expected = attend16(of, {seq});
  std::vector<unsigned char> block(bytes + 3 * 64, 0xa5);
  unsigned char* aligned =
      block.data() + 64 + (64 - reinterpret_cast<uintptr_t>(block.data()) % 64);
  of.memory = aligned;
  of.memory_bytes = bytes - 1;
  headlane_attention* untouched = nullptr;
  expect_failure(headlane_attention_create(&of, &untouched), HEADLANE_INVALID_ARGUMENT,
                 "memory_bytes");
  of.memory_bytes = bytes;
  EXPECT_EQ(attend16(of, {seq}), expected);
  for (unsigned char* p = block.data(); p < aligned; ++p) ASSERT_EQ(*p, 0xa5);
  for (unsigned char* p = aligned + bytes; p < block.data() + block.size(); ++p) {
    ASSERT_EQ(*p, 0xa5);
  }
}

TEST_P(AttentionBf16Api, RowsOfTheOtherElementAreRefused) {
  const headlane_attention_options of = options(2, 16);
  const std::vector<Sequence> seqs = {bf16_sequence(of, 3, 3, 1)};
  const AttentionHandle attention = create_attention(of);
  const float some = 0;
  const auto refuse = [&](const char* named,
                          void (*spoil)(headlane_attention_batch*, const float*)) {
    Batch16 batch(of, seqs, Rows16::kRagged);
    spoil(batch.operator->(), &some);
    expect_failure(headlane_attention_run(attention.get(), batch.operator->()),
                   HEADLANE_INVALID_ARGUMENT, named);
  };
  refuse("q.data", [](headlane_attention_batch* b, const float* x) { b->q.data = x; });
  refuse("o.data", [](headlane_attention_batch* b, const float*) {
    static float written = 0;
    b->o.data = &written;
  });
  refuse("k_bf16", [](headlane_attention_batch* b, const float*) { b->k_bf16 = nullptr; });
  refuse("o_bf16", [](headlane_attention_batch* b, const float*) { b->o_bf16 = nullptr; });
  refuse("strides of o", [](headlane_attention_batch* b, const float*) { b->o.head_stride = 15; });
  headlane_attention_options floats = of;
  floats.precision = "f32";
  Batch16 batch(of, seqs, Rows16::kRagged);
  expect_failure(headlane_attention_run(create_attention(floats).get(), batch.operator->()),
                 HEADLANE_INVALID_ARGUMENT, "q_bf16");
}

TEST_P(AttentionBf16Api, AdditiveScoresAreUnsupported) {
  headlane_attention_options of = options(1, 8);
  const float weights[8] = {};
  of.score = HEADLANE_SCORE_ADDITIVE;
  of.additive = weights;
  headlane_attention* untouched = nullptr;
  expect_failure(headlane_attention_create(&of, &untouched), HEADLANE_UNSUPPORTED, "additive");
  EXPECT_EQ(untouched, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Isa, AttentionBf16Api, testing::Values("avx512_bf16", "amx"),
                         [](auto& info) { return std::string(info.param); });

class AttentionBf16Refused : public AttentionTest {};

TEST_P(AttentionBf16Refused, KernelsWithoutProductsOfBf16) {
  headlane_attention_options of = options(1, 8);
  of.precision = "bf16";
  headlane_attention* untouched = nullptr;
  expect_failure(headlane_attention_create(&of, &untouched), HEADLANE_UNSUPPORTED, GetParam());
  EXPECT_EQ(untouched, nullptr);
  size_t bytes = 7;
  expect_failure(headlane_attention_bytes(&of, &bytes), HEADLANE_UNSUPPORTED, "bf16");
  EXPECT_EQ(bytes, 7u);
  of.precision = "int8";
  expect_failure(headlane_attention_bytes(&of, &bytes), HEADLANE_INVALID_ARGUMENT, "precision");
}

HEADLANE_FOR_EACH_ISA(AttentionBf16Refused);

// A layer's precision is its model's and its session's.
TEST(AttentionBf16, IsNoOptionOfALayer) {
  headlane_attention_options attention = attention_options(1, 1);
  attention.n_threads = 0;
  attention.precision = "bf16";
  const float one = 1;
  headlane_layer_options layer = HEADLANE_INIT(headlane_layer_options);
  layer.d_model = 1;
  layer.attention = &attention;
  layer.q.weight = layer.k.weight = layer.v.weight = layer.out.weight = &one;
  headlane_model* model = nullptr;
  EXPECT_EQ(headlane_model_create_layer(&layer, nullptr, &model), HEADLANE_INVALID_ARGUMENT);
  EXPECT_NE(std::string(headlane_error()).find("precision"), std::string::npos) << headlane_error();
}

}  // namespace
}  // namespace headlane::test

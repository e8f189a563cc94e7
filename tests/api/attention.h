// Attention on one's own buffers, as the tests of the C API use it: a problem is written once,
// sequence by sequence, and laid out in memory in every way that the API knows.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>

#include "tests/api/encoder.h"
#include "tests/support/kernel_test.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

inline headlane_attention_options attention_options(int64_t n_heads, int64_t head_dim) {
  headlane_attention_options options{};
  options.struct_size = sizeof options;
  options.n_heads = n_heads;
  options.head_dim = head_dim;
  options.n_threads = 1;
  return options;
}

inline AttentionHandle create_attention(const headlane_attention_options& options) {
  headlane_attention* attention = nullptr;
  check(headlane_attention_create(&options, &attention));
  return AttentionHandle(attention);
}

// A test of this fixture runs once for each instruction set; what this machine lacks is skipped by
// name.
class AttentionTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    // Only a model says on what it runs.
    static const TempDir dir;
    static const std::string path = [] {
      std::string model = dir.file("model.headlane");
      check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_8_cls", model.c_str(), nullptr));
      return model;
    }();
    if (!runs(path, GetParam())) {
      GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << GetParam();
    }
  }

  headlane_attention_options options(int64_t n_heads, int64_t head_dim) const {
    headlane_attention_options of = attention_options(n_heads, head_dim);
    of.isa = GetParam();
    return of;
  }

  // The call failed with this status, and the sentence names `named`.
  static void expect_failure(headlane_status got, headlane_status expected,
                             const std::string& named) {
    EXPECT_EQ(got, expected) << headlane_error();
    EXPECT_NE(std::string(headlane_error()).find(named), std::string::npos)
        << named << ": " << headlane_error();
  }
};

struct Sequence {
  int64_t q_len = 0, kv_len = 0;
  std::vector<float> q, k, v;  // [q_len, n_heads, head_dim], [kv_len, n_kv_heads, ...]
  std::vector<float> bias;     // [q_len, kv_len], or empty: zeros
  std::vector<uint8_t> mask;   // [q_len, kv_len], or empty: ones
};

inline Sequence random_sequence(const headlane_attention_options& options, int64_t q_len,
                                int64_t kv_len, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const auto fill = [&](std::vector<float>* values, int64_t n) {
    values->resize(static_cast<size_t>(n));
    for (float& value : *values) value = normal(random);
  };
  const int64_t n_kv_heads = options.n_kv_heads ? options.n_kv_heads : options.n_heads;
  Sequence seq{q_len, kv_len, {}, {}, {}, {}, {}};
  fill(&seq.q, q_len * options.n_heads * options.head_dim);
  fill(&seq.k, kv_len * n_kv_heads * options.head_dim);
  fill(&seq.v, kv_len * n_kv_heads * (options.v_dim ? options.v_dim : options.head_dim));
  return seq;
}

enum class Layout {
  kRagged,        // [tokens, heads, dim]
  kRaggedPacked,  // [tokens, 3, heads, dim]: one buffer for Q, K and V
  kTokensFirst,   // [seqs, tokens, heads, dim]
  kPacked,        // [seqs, tokens, 3, heads, dim]
  kHeadsFirst,    // [seqs, heads, tokens, dim]
  kLeftPadded,    // [seqs, heads, tokens, dim], real rows last
};
constexpr Layout kLayouts[] = {Layout::kRagged,       Layout::kTokensFirst, Layout::kHeadsFirst,
                               Layout::kLeftPadded,  // those that any problem fits into come first
                               Layout::kRaggedPacked, Layout::kPacked};

// Where the rows of a tensor's sequences are.
struct Rows {
  std::vector<int64_t> lengths, offsets{0};
  int64_t longest = 0;
  void add(int64_t length) {
    lengths.push_back(length);
    offsets.push_back(offsets.back() + length);
    longest = std::max(longest, length);
  }
};

// Runs the sequences as one batch. Each gets its O, [q_len, n_heads, v_dim]. All that is not of a
// sequence is NaN (bytes 0xff, in masks too) before, up to guard pages; padding of O must be 0
// after.
inline std::vector<std::vector<float>> attend(const headlane_attention_options& options,
                                              const std::vector<Sequence>& seqs,
                                              Layout layout = Layout::kRagged) {
  const bool packed = layout == Layout::kRaggedPacked || layout == Layout::kPacked;
  const bool ragged = layout == Layout::kRaggedPacked || layout == Layout::kRagged;
  const bool heads_first = layout == Layout::kHeadsFirst || layout == Layout::kLeftPadded;
  const int64_t n_seqs = static_cast<int64_t>(seqs.size());
  const int64_t n_heads = options.n_heads, head_dim = options.head_dim;
  const int64_t n_kv_heads = options.n_kv_heads ? options.n_kv_heads : n_heads;
  const int64_t v_dim = options.v_dim ? options.v_dim : head_dim;
  Rows q_rows, kv_rows;
  for (const Sequence& seq : seqs) {
    q_rows.add(seq.q_len);
    kv_rows.add(seq.kv_len);
  }
  const auto strides = [&](const Rows& rows, int64_t heads, int64_t dim, int64_t tensors) {
    if (heads_first)
      return headlane_heads{nullptr, heads * rows.longest * dim, dim, rows.longest * dim};
    const int64_t row = tensors * heads * dim;
    return headlane_heads{nullptr, rows.longest * row, row, dim};
  };
  const auto size = [&](const Rows& rows, int64_t row) {
    return (ragged ? rows.offsets.back() : n_seqs * rows.longest) * row;
  };
  const auto first_row = [&](const Rows& rows, size_t b) {
    if (ragged) return rows.offsets[b];
    return layout == Layout::kLeftPadded ? rows.longest - rows.lengths[b] : 0;
  };
  const auto row_at = [&](const auto& heads, size_t b, int64_t row, int64_t head) {
    const int64_t seq = ragged ? 0 : static_cast<int64_t>(b) * heads.seq_stride;
    return const_cast<float*>(heads.data) + seq + row * heads.token_stride +
           head * heads.head_stride;
  };

  GuardedFloats q(packed ? size(q_rows, 3 * n_heads * head_dim) : size(q_rows, n_heads * head_dim));
  GuardedFloats k(packed ? 0 : size(kv_rows, n_kv_heads * head_dim));
  GuardedFloats v(packed ? 0 : size(kv_rows, n_kv_heads * v_dim));
  GuardedFloats o(size(q_rows, n_heads * v_dim));
  headlane_attention_batch batch{};
  batch.struct_size = sizeof batch;
  batch.n_seqs = n_seqs;
  batch.q = strides(q_rows, n_heads, head_dim, packed ? 3 : 1);
  batch.k = strides(kv_rows, n_kv_heads, head_dim, packed ? 3 : 1);
  batch.v = strides(kv_rows, n_kv_heads, v_dim, packed ? 3 : 1);
  const headlane_heads of_o = strides(q_rows, n_heads, v_dim, 1);
  batch.o = {nullptr, of_o.seq_stride, of_o.token_stride, of_o.head_stride};
  batch.q.data = q.data();
  batch.k.data = packed ? q.data() + n_heads * head_dim : k.data();
  batch.v.data = packed ? q.data() + 2 * n_heads * head_dim : v.data();
  batch.o.data = o.data();
  if (ragged) {
    batch.q_offsets = q_rows.offsets.data();
    batch.kv_offsets = kv_rows.offsets.data();
  } else {
    batch.q_len = q_rows.longest;
    batch.kv_len = kv_rows.longest;
    batch.q_lengths = q_rows.lengths.data();
    batch.kv_lengths = kv_rows.lengths.data();
    batch.left_padded = layout == Layout::kLeftPadded;
  }

  const int64_t scores = q_rows.longest * kv_rows.longest;
  const bool has_bias =
      std::any_of(seqs.begin(), seqs.end(), [](auto& s) { return !s.bias.empty(); });
  const bool has_mask =
      std::any_of(seqs.begin(), seqs.end(), [](auto& s) { return !s.mask.empty(); });
  GuardedFloats bias(has_bias ? n_seqs * scores : 0);
  Guarded<uint8_t> mask(has_mask ? n_seqs * scores : 0);
  batch.bias = has_bias ? bias.data() : nullptr;
  batch.mask = has_mask ? mask.data() : nullptr;
  batch.bias_seq_stride = batch.mask_seq_stride = scores;
  batch.bias_query_stride = batch.mask_query_stride = kv_rows.longest;

  for (size_t b = 0; b < seqs.size(); ++b) {
    const Sequence& seq = seqs[b];
    const auto copy = [&](const std::vector<float>& from, const headlane_heads& to,
                          const Rows& rows, int64_t heads, int64_t dim) {
      for (int64_t i = 0; i < rows.lengths[b] * heads; ++i) {
        std::copy_n(from.data() + i * dim, dim,
                    row_at(to, b, first_row(rows, b) + i / heads, i % heads));
      }
    };
    copy(seq.q, batch.q, q_rows, n_heads, head_dim);
    copy(seq.k, batch.k, kv_rows, n_kv_heads, head_dim);
    copy(seq.v, batch.v, kv_rows, n_kv_heads, v_dim);
    const int64_t first_i = ragged ? 0 : first_row(q_rows, b);
    const int64_t first_j = ragged ? 0 : first_row(kv_rows, b);
    for (int64_t e = 0; e < seq.q_len * seq.kv_len; ++e) {
      const int64_t to = static_cast<int64_t>(b) * scores +
                         (first_i + e / seq.kv_len) * kv_rows.longest + first_j + e % seq.kv_len;
      const size_t from = static_cast<size_t>(e);
      if (has_bias) bias[to] = seq.bias.empty() ? 0.0f : seq.bias[from];
      if (has_mask) mask[to] = seq.mask.empty() ? 1 : seq.mask[from];
    }
  }
  check(headlane_attention_run(create_attention(options).get(), &batch));

  std::vector<std::vector<float>> results;
  int64_t n_real = 0;
  for (size_t b = 0; b < seqs.size(); ++b) {
    std::vector<float>& result = results.emplace_back();
    for (int64_t i = 0; i < seqs[b].q_len * n_heads; ++i) {
      float* row = row_at(batch.o, b, first_row(q_rows, b) + i / n_heads, i % n_heads);
      result.insert(result.end(), row, row + v_dim);
      std::fill_n(row, v_dim, 0.0f);
      ++n_real;
    }
  }
  EXPECT_EQ(n_real, q_rows.offsets.back() * n_heads);
  for (int64_t i = 0; i < o.size(); ++i) EXPECT_EQ(o[i], 0.0f) << "padding of O, element " << i;
  return results;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

}  // namespace headlane::test

// Attention in bf16 against float64 of the same bf16, on the rows of the table that have it.
#include <functional>
#include <utility>
#include <vector>

#include "tests/support/attention_narrow.h"
#include "tests/support/attention_operands.h"
#include "tests/support/narrow.h"

namespace headlane::kernels {
namespace {

using test::Combination;
using test::fill_random;
using test::Guarded;
using test::GuardedFloats;
using test::kBf16Eps;
using test::kEps;
using test::Kind;
using test::Kinds;
using test::kKinds;
using test::NarrowCopy;
using test::nearest_bf16;
using test::Problem;
using test::RelativeBias;
using test::RotaryTable;
using test::set_rotary;

class AttentionBf16 : public test::KernelTest {
 protected:
  void check(Problem& p) {
    SCOPED_TRACE(p.name());
    const AttentionF32Args& a = p.args;
    NarrowCopy narrow(&p);
    narrow.run(kernels());
    for (int64_t i = 0; i < a.q_len; ++i) {
      const test::Expected e = test::reference(a, i, test::kBf16Roundings);
      for (int64_t d = 0; d < a.v_dim; ++d) {
        ASSERT_NEAR(widen(narrow.o[i * a.ldo + d]), e.o[d], e.bound[d] + test::kLeastNormal)
            << i << ", " << d;
      }
    }
  }
  void check(int64_t q_len, int64_t kv_len, int64_t head_dim, int64_t v_dim) {
    Problem p(q_len, kv_len, head_dim, v_dim);
    check(p);
  }

  // P itself is not rounded to bf16. Written exactly, in rows with a gap; O, which meets it
  // rounded, was checked above.
  void check_probabilities(Problem& p) {
    SCOPED_TRACE(p.name());
    const AttentionF32Args& a = p.args;
    const int64_t ldp = a.kv_len + 3;
    const float gap = 12345.0f;
    GuardedFloats out((a.q_len - 1) * ldp + a.kv_len);
    std::fill_n(out.data(), out.size(), gap);
    NarrowCopy narrow(&p);
    narrow.run_probabilities(kernels(), out.data(), ldp);
    for (int64_t i = 0; i < a.q_len; ++i) {
      const test::Expected e = test::reference(a, i, test::kBf16Roundings);
      double sum = 0, expected_sum = 0;
      for (int64_t j = 0; j < a.kv_len; ++j) {
        const float each = out[i * ldp + j];
        ASSERT_NEAR(each, e.p[j], e.p_bound[j] + test::kLeastNormal) << i << ", " << j;
        ASSERT_TRUE(test::sees(a, i, j) || each == 0.0f) << i << ", " << j;
        sum += each;
        expected_sum += e.p[j];
      }
      if (!a.sink) {
        ASSERT_NEAR(sum, expected_sum > 0 ? 1 : 0, static_cast<double>(a.kv_len + 8) * kEps) << i;
      }
      for (int64_t j = a.kv_len; i + 1 < a.q_len && j < ldp; ++j) ASSERT_EQ(out[i * ldp + j], gap);
    }
  }

  static bool same_bits(NarrowCopy& a, NarrowCopy& b, int64_t n) {
    return std::memcmp(a.o.data(), b.o.data(), static_cast<size_t>(n) * sizeof(Bf16)) == 0;
  }
};

TEST_P(AttentionBf16, MatchesFloat64ForAnyHeadDim) {
  for (const int64_t d : {1, 2, 5, 17, 26, 31, 32, 33, 64, 80, 96, 128, 256}) check(11, 37, d, d);
  for (const int64_t v_dim : {1, 5, 15, 16, 17, 48, 49, 96, 256}) check(9, 34, 24, v_dim);
}

// Around strips, panels and blocks of 240 keys: pairs of keys, whole and cut.
TEST_P(AttentionBf16, MatchesFloat64ForAnyLength) {
  for (const int64_t n : {1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 34, 47, 48, 49, 128})
    check(n, n, 32, 17);
  for (const int64_t kv_len : {239, 240, 241, 255, 256, 257, 479, 480, 481, 513, 1025}) {
    check(9, kv_len, 26, 5);
  }
  for (const int64_t q_len : {255, 257, 511, 512, 513}) check(q_len, 34, 8, 3);
}

TEST_P(AttentionBf16, SeesKeysByPosition) {
  for (const auto& [q_len, kv_len] :
       {std::pair{1, 1}, {7, 8}, {50, 51}, {70, 260}, {5, 300}, {40, 20}}) {
    for (const int64_t q_offset : {0, kv_len - q_len}) {
      Problem p(q_len, kv_len, 16, 5);
      p.args.q_offset = q_offset;
      for (const test::Positions& positions : test::all_positions()) {
        positions.set(&p.args);
        check(p);
      }
    }
  }
}

TEST_P(AttentionBf16, AddsABias) {
  const int64_t q_len = 21, kv_len = 300;
  std::mt19937 random(8);
  GuardedFloats full(q_len * kv_len), row(kv_len), diagonal(q_len + kv_len - 1);
  for (GuardedFloats* bias : {&full, &row, &diagonal}) fill_random(bias, &random, 3.0f);
  for (int64_t i = 0; i < full.size(); i += 3) full[i] = i % 2 ? -INFINITY : -3.4028235e38f;
  Problem p(q_len, kv_len, 32, 32);
  p.args.bias = full.data();
  p.args.ld_bias = kv_len;
  check(p);
  p.args.bias = row.data();
  p.args.ld_bias = 0;
  check(p);
  p.args.bias = diagonal.data() + q_len - 1;  // [i, j] is diagonal[q_len - 1 + j - i]
  p.args.ld_bias = -1;
  check(p);
}

TEST_P(AttentionBf16, SubtractsDistanceForAlibi) {
  for (const int64_t kv_len : {5, 40, 300}) {
    Problem p(37, kv_len, 16, 16);
    p.args.alibi_slope = 0.0625f;
    check(p);
    p.args.q_offset = kv_len - 37;
    p.args.window_right = 0;
    check(p);
  }
}

TEST_P(AttentionBf16, RotaryMatchesFloat64) {
  for (const int64_t d : {2, 5, 17, 26, 32, 33, 64, 96, 256}) {
    for (const int64_t dims : {d / 2 * 2, d / 4 * 2}) {
      if (dims == 0) continue;
      RotaryTable table(52, dims);
      for (const bool interleaved : {false, true}) {
        SCOPED_TRACE(interleaved);
        Problem p(11, 49, d, 5);
        set_rotary(&p, &table, dims, interleaved);
        check(p);
        p.args.q_position = 7;
        p.args.k_position = 3;
        check(p);
      }
    }
  }
}

TEST_P(AttentionBf16, RelativeBiasMatchesFloat64) {
  for (const auto& [q_len, kv_len] : {std::pair{1, 500}, {37, 240}, {37, 241}, {260, 45}}) {
    for (const int64_t q_offset : {0, kv_len - q_len}) {
      Problem p(q_len, kv_len, 16, 16);
      p.args.q_offset = q_offset;
      RelativeBias bias(p.args);
      p.args.relative_bias = bias.centre(p.args);
      check(p);
      p.args.window_right = 0;
      check(p);
    }
  }
}

TEST_P(AttentionBf16, CombinesEverything) {
  Combination all;
  check(all.p);
  for (const bool interleaved : {false, true}) {
    set_rotary(&all.p, &all.table, Combination::kDims, interleaved);
    check(all.p);
  }
  for (const float sink : {-300.0f, 300.0f}) {  // takes nothing, everything
    all.p.args.sink = &sink;
    check(all.p);
  }
}

// Scores of tens of thousands: all but one probability underflow, and nothing overflows; with a
// maximum that grows from block to block, what was summed before is scaled away.
TEST_P(AttentionBf16, MatchesFloat64WhenSharp) {
  Problem huge(17, 500, 32, 32, 100.0f);
  check(huge);
  Problem sharp(17, 700, 32, 32, 12.0f);
  check(sharp);
  Problem growing(3, 900, 4, 4);
  for (int64_t j = 0; j < 900; ++j) {
    for (int64_t d = 0; d < 4; ++d) growing.k[j * 4 + d] *= static_cast<float>(j) / 20;
  }
  check(growing);
}

TEST_P(AttentionBf16, MatchesFloat64WhenFlatOrDominated) {
  Problem flat(10, 500, 32, 32);
  std::fill_n(flat.q.data(), flat.q.size(), 0.0f);
  check(flat);
  for (const int64_t one : {0, 239, 240, 499}) {
    Problem dominated(10, 500, 32, 32);
    for (int64_t d = 0; d < 32; ++d) {
      dominated.k[one * 32 + d] = 50;
      for (int64_t i = 0; i < 10; ++i) dominated.q[i * 32 + d] = 3;
    }
    check(dominated);
  }
}

TEST_P(AttentionBf16, AQueryThatSeesNothingGetsZeros) {
  Problem p(12, 250, 16, 16);
  Guarded<uint8_t> mask(12 * 250);
  for (int64_t i = 0; i < mask.size(); ++i) mask[i] = i / 250 != 3 && i / 250 != 7;
  p.args.mask = mask.data();
  p.args.ld_mask = 250;
  NarrowCopy narrow(&p);
  narrow.run(kernels());
  for (int64_t i = 0; i < 12 * 16; ++i) {
    const bool sees_nothing = i / 16 == 3 || i / 16 == 7;
    ASSERT_EQ(narrow.o[i] == 0, sees_nothing) << i;
  }
  p.args.mask = nullptr;
  p.args.window_right = 0;
  p.args.q_offset = -1000;
  narrow.run(kernels());
  for (int64_t i = 0; i < 12 * 16; ++i) ASSERT_EQ(narrow.o[i], 0);
}

// NaN and infinity in what no query may see change no bit: by mask, by bias, by position.
TEST_P(AttentionBf16, NanOfUnseenKeysNeverShows) {
  constexpr int64_t kN = 300, kD = 17, kBad = 250;
  Guarded<uint8_t> mask(kN);
  GuardedFloats bias(kN);
  for (int64_t j = 0; j < kN; ++j) {
    mask[j] = j != kBad;
    bias[j] = j == kBad ? -INFINITY : 0.0f;
  }
  for (const float poison : {std::nanf(""), INFINITY}) {
    Problem clean(kN, kN, kD, kD), dirty(kN, kN, kD, kD);
    for (int64_t c = 0; c < kD; ++c) dirty.k[kBad * kD + c] = dirty.v[kBad * kD + c] = poison;
    NarrowCopy narrow_clean(&clean), narrow_dirty(&dirty);
    const auto run = [&](const std::function<void(AttentionF32Args*)>& set) {
      for (const auto& [p, narrow] : {std::pair{&clean, &narrow_clean}, {&dirty, &narrow_dirty}}) {
        p->args.mask = nullptr;
        p->args.bias = nullptr;
        p->args.window_right = AttentionF32Args::kUnlimited;
        set(&p->args);
        narrow->run(kernels());
      }
    };
    run([&](AttentionF32Args* args) { args->mask = mask.data(); });
    EXPECT_TRUE(same_bits(narrow_clean, narrow_dirty, kN * kD)) << "mask";
    run([&](AttentionF32Args* args) { args->bias = bias.data(); });
    EXPECT_TRUE(same_bits(narrow_clean, narrow_dirty, kN * kD)) << "bias";
    run([](AttentionF32Args* args) { args->window_right = 0; });
    EXPECT_TRUE(same_bits(narrow_clean, narrow_dirty, kBad * kD)) << "position";
    for (int64_t i = kBad * kD; i < kN * kD; ++i) {
      ASSERT_TRUE(std::isnan(widen(narrow_dirty.o[i]))) << i;
    }
  }
}

TEST_P(AttentionBf16, NanInAQueryStaysInItsRow) {
  for (const int64_t d : {17, 32}) {
    Problem p(20, 20, d, d);
    p.q[9 * d + 1] = std::nanf("");
    NarrowCopy narrow(&p);
    narrow.run(kernels());
    for (int64_t i = 0; i < 20 * d; ++i) {
      ASSERT_EQ(std::isnan(widen(narrow.o[i])), i / d == 9) << i;
    }
  }
}

// A query's bits are the same alone and among others, whatever its strip and group are.
TEST_P(AttentionBf16, QueriesDoNotInfluenceEachOther) {
  constexpr int64_t kLen = Kinds::kLen, kD = Kinds::kHeadDim;
  Kinds kinds;
  for (const Kind& kind : kKinds) {
    if (kind.additive) continue;
    SCOPED_TRACE(kind.name);
    Problem p(kLen, kLen, kD, kD);
    kinds.set(kind, &p);
    p.args.window_right = 0;
    NarrowCopy narrow(&p);
    narrow.run(kernels());
    const std::vector<Bf16> all(narrow.o.data(), narrow.o.data() + kLen * kD);
    p.args.q_len = 1;
    for (int64_t i = 0; i < kLen; i += 3) {  // each place in a strip is among these
      p.args.q = p.q.data() + i * kD;
      p.args.q_offset = p.args.q_position = i;
      narrow.run(kernels());
      ASSERT_EQ(0,
                std::memcmp(&all[static_cast<size_t>(i * kD)], narrow.o.data(), kD * sizeof(Bf16)))
          << i;
    }
  }
}

// The same beyond a group, with a mask by which strips skip blocks.
TEST_P(AttentionBf16, QueriesOfLaterGroupsAreAsAlone) {
  const int64_t len = kernels().attention_bf16_group_rows + 70, keys = 500, d = 8;
  Problem p(len, keys, d, d);
  Guarded<uint8_t> mask(len * keys);
  for (int64_t i = 0; i < mask.size(); ++i) mask[i] = (i / keys / 10 * 83 + i % keys) % 500 < 200;
  p.args.mask = mask.data();
  p.args.ld_mask = keys;
  NarrowCopy narrow(&p);
  narrow.run(kernels());
  const std::vector<Bf16> all(narrow.o.data(), narrow.o.data() + len * d);
  p.args.q_len = 1;
  for (int64_t i = 0; i < len; i += 7) {
    p.args.q = p.q.data() + i * d;
    p.args.mask = mask.data() + i * keys;
    narrow.run(kernels());
    ASSERT_EQ(0, std::memcmp(&all[static_cast<size_t>(i * d)], narrow.o.data(), d * sizeof(Bf16)))
        << i;
  }
}

// Q, K and V side by side in rows, of which a head is some columns: what lies behind those is
// another head's, and neither read into this one's nor written.
TEST_P(AttentionBf16, HeadsLieInWiderRows) {
  const int64_t len = 50, heads = 3;
  for (const int64_t d : {5, 16, 26, 32}) {
    const int64_t ld = 3 * heads * d, ldo = heads * d;
    Guarded<Bf16> qkv(len * ld), o(len * ldo);
    GuardedFloats scratch(kernels().attention_bf16_scratch_floats(d, d));
    for (int64_t head = 0; head < heads; ++head) {
      Problem p(len, len, d, d, 1.0f + static_cast<float>(head));
      NarrowCopy alone(&p);
      alone.run(kernels());
      // The other heads' columns are NaN: they were not written.
      std::fill_n(qkv.data(), qkv.size(), Bf16{0xffff});
      std::fill_n(o.data(), o.size(), Bf16{0xffff});
      for (int64_t i = 0; i < len * d; ++i) {
        Bf16* row = qkv.data() + i / d * ld + head * d + i % d;
        row[0] = alone.q[i];
        row[heads * d] = alone.k[i];
        row[2 * heads * d] = alone.v[i];
      }
      AttentionBf16Args args;
      args.q_len = args.kv_len = len;
      args.head_dim = args.v_dim = d;
      args.scale = p.args.scale;
      args.q = qkv.data() + head * d;
      args.k = args.q + heads * d;
      args.v = args.k + heads * d;
      args.ldq = args.ldk = args.ldv = ld;
      args.o = o.data() + head * d;
      args.ldo = ldo;
      args.scratch = scratch.data();
      kernels().attention_bf16(args);
      for (int64_t i = 0; i < len * ldo; ++i) {
        const int64_t c = i % ldo - head * d;
        const Bf16 expected = c >= 0 && c < d ? alone.o[i / ldo * d + c] : Bf16{0xffff};
        ASSERT_EQ(o[i], expected) << i << " head " << head << " of " << d;
      }
    }
  }
}

TEST_P(AttentionBf16, ProbabilitiesMatchFloat64) {
  for (const auto& [q_len, kv_len] :
       {std::pair{1, 1}, {1, 500}, {50, 1}, {9, 240}, {9, 241}, {257, 30}}) {
    for (const int64_t d : {1, 17, 64}) {
      Problem p(q_len, kv_len, d, 5);
      check_probabilities(p);
      p.args.window_right = 0;
      p.args.window_left = 20;
      check_probabilities(p);
    }
  }
  Combination all;
  check_probabilities(all.p);
  set_rotary(&all.p, &all.table, Combination::kDims, true);
  all.p.args.sink = nullptr;
  check_probabilities(all.p);
}

// Other rows have none: their sessions attend in f32.
INSTANTIATE_TEST_SUITE_P(Row, AttentionBf16, testing::Values("avx512_bf16", "amx"),
                         [](auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace headlane::kernels

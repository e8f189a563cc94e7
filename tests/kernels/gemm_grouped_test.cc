// Products of weights and activations in groups: the groups' sums are exact, and all else is in one
// order, so every row of the table has the same bits, those of a plain model.
#include <algorithm>
#include <memory>
#include <type_traits>
#include <vector>

#include "tests/support/narrow.h"

namespace headlane::kernels {
namespace {

using test::Guarded;
using test::GuardedFloats;
using test::NarrowRows;
using test::nearest_bf16;

// Code i, as a number that its scale multiplies, and that scale.
int code_of(const S8Group& group, int64_t i) { return group.codes[i]; }
int code_of(const S6Group& group, int64_t i) { return group.code(i) - 32; }
int code_of(const U5Group& group, int64_t i) { return group.code(i); }
int code_of(const U4Group& group, int64_t i) { return group.code(i); }
template <typename Group>
float scale_of(const Group& group, int64_t) {
  return widen_f16(group.scale);
}
float scale_of(const S6Group& group, int64_t i) { return widen_f16(group.scales[i / 16]); }

// Columns that share a scale, and whether they share a minimum.
template <typename Group>
constexpr int64_t kScaled = std::is_same_v<Group, S6Group> ? 16 : 32;
template <typename Group>
constexpr bool kHasMin = std::is_same_v<Group, U5Group> || std::is_same_v<Group, U4Group>;
template <typename Group>
constexpr Precision kPrecisionOf = std::is_same_v<Group, S8Group>   ? Precision::kInt8Groups
                                   : std::is_same_v<Group, S6Group> ? Precision::kInt6
                                   : std::is_same_v<Group, U5Group> ? Precision::kInt5
                                                                    : Precision::kInt4;

uint16_t any_f16(std::mt19937* random) {  // of 2^-10 to 2^2, or its negative
  return static_cast<uint16_t>(0x1400 + (*random)() % 0x3000 + ((*random)() % 2 << 15));
}
template <typename Group>
void randomize(Group* group, std::mt19937* random) {
  if constexpr (std::is_same_v<Group, S6Group>) {
    for (uint16_t& scale : group->scales) scale = any_f16(random);
  } else {
    group->scale = any_f16(random);
  }
  if constexpr (kHasMin<Group>) group->min = any_f16(random);
  for (auto& codes : group->codes) codes = static_cast<uint8_t>((*random)());
}

// Codes become those of files of 5 bits, from -16 to 15, which many rows have a loop of their own
// for.
void keep_five_bits(S8Group* group) {
  for (int8_t& code : group->codes) code = static_cast<int8_t>(code >> 3);
}
template <typename Group>
void keep_five_bits(Group*) {}

// A and W random, ending at guard pages; what a test changes, it changes before run().
template <typename Group>
struct GroupedProduct {
  static constexpr Precision kPrecision = kPrecisionOf<Group>;

  GroupedProduct(int64_t rows, int64_t columns, int64_t depth)
      : m(rows), n(columns), k(depth), a(Element::kS8Groups, m, k), w(n * groups_in(k)), bias(n) {
    std::mt19937 random(static_cast<uint32_t>(m * 1000003 + n * 1009 + k));
    std::normal_distribution<float> normal;
    GuardedFloats x(m * k);
    for (int64_t i = 0; i < m * k; ++i) x[i] = normal(random);
    for (int64_t j = 0; j < n; ++j) bias[j] = normal(random);
    for (int64_t i = 0; i < w.size(); ++i) randomize(&w[i], &random);
    supported().front()->convert({.rows = m,
                                  .cols = k,
                                  .to = Element::kS8Groups,
                                  .x = x.data(),
                                  .ldx = k,
                                  .y = a.row(0),
                                  .ldy = a.ld()});
  }

  void run(const Table& table, NarrowRows* c, int64_t first, int64_t rows, int64_t panel_begin,
           int64_t panel_end) {
    const Product& product = table.product(kPrecision);
    if (packed == nullptr) pack(product);
    product.run({.m = rows,
                 .k = k,
                 .n = n,
                 .panel_begin = panel_begin,
                 .panel_end = panel_end,
                 .a = a.row(first),
                 .lda = a.ld(),
                 .packed = packed->data(),
                 .activation = activation,
                 .c_element = c->element(),
                 .c = c->row(first),
                 .ldc = c->ld()});
  }
  void run(const Table& table, NarrowRows* c) {
    run(table, c, 0, m, 0, table.product(kPrecision).n_panels(n));
  }

  float expected(int64_t i, int64_t j) {
    float sum = bias[j];
    for (int64_t g = 0; g < groups_in(k); ++g) {
      const Group& group = w[j * groups_in(k) + g];
      for (int64_t first = 0; first < kGroupSize; first += kScaled<Group>) {
        int64_t products = 0;
        for (int64_t kk = first; kk < first + kScaled<Group>; ++kk) {
          products += code_of(group, kk) * a.s8(i)[g * kGroupSize + kk];
        }
        const float scale = scale_of(group, first) * a.group_scales(i)[g];
        sum = std::fma(static_cast<float>(products), scale, sum);
      }
      if constexpr (kHasMin<Group>) {
        sum = std::fma(-widen_f16(group.min), a.group_sums(i)[g], sum);
      }
    }
    return sum;
  }

  int64_t m, n, k;
  NarrowRows a;
  Guarded<Group> w;
  GuardedFloats bias;
  Activation activation = Activation::kNone;

 private:
  void pack(const Product& product) {
    const int64_t bytes = product.panel_bytes(product.nr, k);
    ASSERT_EQ(bytes % 64, 0);
    packed = std::make_unique<Guarded<char>>(product.packed_bytes(n, k));
    for (int64_t p = 0; p < product.n_panels(n); ++p) {
      const int64_t first = p * product.nr;
      product.pack_panel({.rows = std::min(product.nr, n - first),
                          .k = k,
                          .w = w.data() + first * groups_in(k),
                          .bias = bias.data() + first,
                          .panel = packed->data() + p * bytes});
    }
  }

  std::unique_ptr<Guarded<char>> packed;
};

class GemmGrouped : public test::KernelTest {
 protected:
  template <typename Group>
  void check(GroupedProduct<Group>& p) {
    SCOPED_TRACE("m " + std::to_string(p.m) + " n " + std::to_string(p.n) + " k " +
                 std::to_string(p.k));
    NarrowRows c(Element::kF32, p.m, p.n), narrow(Element::kBf16, p.m, p.n);
    p.run(kernels(), &c);
    p.run(kernels(), &narrow);
    for (int64_t i = 0; i < p.m; ++i) {
      for (int64_t j = 0; j < p.n; ++j) {
        const float right = p.expected(i, j);
        ASSERT_EQ(0, std::memcmp(&c.row(i)[j], &right, sizeof right))
            << i << ", " << j << ": " << c.row(i)[j] << " instead of " << right;
        ASSERT_EQ(narrow.bf16(i)[j], nearest_bf16(right)) << i << ", " << j;
      }
      for (int64_t j = p.n; j % 32 != 0; ++j) ASSERT_EQ(narrow.bf16(i)[j], 0) << i << ", " << j;
    }
  }

  template <typename Group>
  void check_sizes() {
    const int64_t nr = kernels().product(GroupedProduct<Group>::kPrecision).nr;
    for (const int64_t n : {int64_t{1}, int64_t{15}, nr - 1, nr, nr + 1, 2 * nr + 5}) {
      for (const int64_t k : {1, 4, 31, 32, 33, 64, 100, 640}) {
        GroupedProduct<Group> p(k == 100 ? 17 : 5, n, k);
        check(p);
      }
    }
  }

  // Several blocks of rows and of K, of which some panels have other codes than 5 bits, or one of
  // their groups has.
  template <typename Group>
  void check_many_rows() {
    const int64_t nr = kernels().product(GroupedProduct<Group>::kPrecision).nr;
    for (const auto& [m, k] : {std::pair{9, 32}, {10, 640}, {97, 700}, {193, 33}, {23, 2100}}) {
      GroupedProduct<Group> p(m, 3 * nr + 5, k);
      for (int64_t i = 0; i < p.w.size(); ++i) {
        const bool is_wide = i == (2 * nr + 1) * groups_in(k) || i < nr * groups_in(k);
        if (!is_wide) keep_five_bits(&p.w[i]);
      }
      check(p);
    }
  }

  // All of A is the same, and so are all bytes of codes.
  template <typename Group>
  void check_all_codes(int64_t m, int a, uint8_t codes) {
    GroupedProduct<Group> p(m, 20, 64);
    for (int64_t r = 0; r < p.m; ++r) std::fill_n(p.a.s8(r), p.k, static_cast<int8_t>(a));
    for (int64_t i = 0; i < p.w.size(); ++i) {
      std::fill_n(p.w[i].codes, sizeof p.w[i].codes, codes);
    }
    check(p);
  }

  // The first rows of a product of 19, for every number of them, and panels one by one.
  template <typename Group>
  void check_parts(Activation activation, bool five_bits = false) {
    const int64_t nr = kernels().product(GroupedProduct<Group>::kPrecision).nr;
    GroupedProduct<Group> p(19, 2 * nr + 3, 130);
    p.activation = activation;
    for (int64_t i = 0; five_bits && i < p.w.size(); ++i) keep_five_bits(&p.w[i]);
    NarrowRows all(Element::kF32, p.m, p.n);
    p.run(kernels(), &all);
    for (int64_t m = 1; m <= p.m; ++m) {
      NarrowRows some(Element::kF32, p.m, p.n);
      for (int64_t panel = 2; panel >= 0; --panel) p.run(kernels(), &some, 0, m, panel, panel + 1);
      for (int64_t r = 0; r < m; ++r) {
        ASSERT_EQ(0, std::memcmp(all.row(r), some.row(r), static_cast<size_t>(p.n) * 4)) << m << r;
      }
      if (m == p.m) continue;
      uint32_t bits = 0;
      std::memcpy(&bits, some.row(m), sizeof bits);
      ASSERT_EQ(bits, 0xffffffffu) << "row " << m << " of " << m << " was written";
    }
  }
};

TEST_P(GemmGrouped, HasTheBitsOfTheModelAroundTileSizes) {
  check_sizes<S8Group>();
  check_sizes<S6Group>();
  check_sizes<U5Group>();
  check_sizes<U4Group>();
}

TEST_P(GemmGrouped, HasTheBitsOfTheModelForManyRows) {
  check_many_rows<S8Group>();
  check_many_rows<S6Group>();
  check_many_rows<U5Group>();
  check_many_rows<U4Group>();
}

// A strip of such rows would be larger than what many rows are put next to each other in.
TEST_P(GemmGrouped, ManyLongRowsHaveTheBitsOfTheModel) {
  GroupedProduct<S8Group> p(9, 3, 17900);
  for (int64_t i = 0; i < p.w.size(); ++i) keep_five_bits(&p.w[i]);
  check(p);
}

// Not even one row of these has room there.
TEST_P(GemmGrouped, RowsLongerThanAllRoomHaveTheBitsOfTheModel) {
  GroupedProduct<S8Group> bytes(2, 3, 71500);
  check(bytes);
  GroupedProduct<S6Group> with_two_scales(2, 3, 71500);
  check(with_two_scales);
  GroupedProduct<U4Group> halves(2, 3, 71500);
  check(halves);
}

// Sums of two and of a whole group that are as large as they get; -128 is in no weight of ours, and
// files may hold it.
TEST_P(GemmGrouped, ExtremesDoNotSaturate) {
  for (const int a : {127, -127}) {
    for (const int code : {127, -127, -128, 0, -16, 15, 16, -17}) {
      GroupedProduct<S8Group> p(code == 0 ? 7 : 11, 20, 64);
      for (int64_t r = 0; r < p.m; ++r) std::fill_n(p.a.s8(r), p.k, static_cast<int8_t>(a));
      for (int64_t i = 0; i < p.w.size(); ++i) {
        std::fill_n(p.w[i].codes, kGroupSize, static_cast<int8_t>(code));
      }
      check(p);
    }
    for (const int m : {7, 11}) {
      check_all_codes<S6Group>(m, a, 0xff);
      check_all_codes<S6Group>(m, a, 0);
      check_all_codes<U5Group>(m, a, 0xff);
      check_all_codes<U4Group>(m, a, 0xff);
    }
  }
}

TEST_P(GemmGrouped, ARowHasTheSameBitsInAnyNumberAndPanel) {
  for (const Activation activation : {Activation::kNone, Activation::kSilu}) {
    check_parts<S8Group>(activation);
    check_parts<S8Group>(activation, true);
    check_parts<S6Group>(activation);
    check_parts<U5Group>(activation);
    check_parts<U4Group>(activation);
  }
}

HEADLANE_FOR_EACH_NARROW_ISA(GemmGrouped);

}  // namespace
}  // namespace headlane::kernels

// What kernels of AMX leave behind in its registers: nothing. Tiles in use would make each switch
// of threads save 8 KB more, and keep the core from its deepest sleep.
#include <cpuid.h>

#include "tests/support/amx_tiles.h"
#include "tests/support/any_product.h"
#include "tests/support/kernel_test.h"

namespace headlane::test {
namespace {

// Whether tiles, or their configuration, are other than they began: XGETBV with 1.
bool tiles_are_in_use() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
  constexpr uint32_t kConfig = 1u << 17, kData = 1u << 18;
  return (low & (kConfig | kData)) != 0;
}

bool can_tell() {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(0xd, 1, &a, &b, &c, &d) != 0 && ((a >> 2) & 1u) != 0;
}

const kernels::Table* amx_table() {
  for (const kernels::Table* table : kernels::supported()) {
    if (table->isa == std::string("amx")) return table;
  }
  return nullptr;
}

class AmxRelease : public testing::Test {
 protected:
  void SetUp() override {
    if (amx_table() == nullptr) GTEST_SKIP() << "This machine has no AMX, or hides it.";
    if (!can_tell()) GTEST_SKIP() << "This machine does not tell which registers are in use.";
    configure(all_tiles(16, 64));
    alignas(64) static const int32_t kOnes[16] = {1};
    load(0, kOnes, 0);
    ASSERT_TRUE(tiles_are_in_use());
    _tile_release();
    ASSERT_FALSE(tiles_are_in_use());
  }
};

TEST_F(AmxRelease, ProductsOfAnyKindAndNumberOfRows) {
  for (const kernels::ProductKind& kind : kernels::kProductKinds) {
    SCOPED_TRACE(kind.name);
    for (const int64_t m : {1, 12, 40}) {
      AnyProduct product(kind, m, 50, 70, [] { return 0.5f; });
      NarrowRows c(Element::kF32, m, 50);
      const int64_t panels = amx_table()->product(kind.precision).n_panels(50);
      product.run(*amx_table(), &c, 0, m, 0, panels);
      EXPECT_FALSE(tiles_are_in_use()) << m;
    }
  }
}

TEST_F(AmxRelease, Attention) {
  constexpr int64_t kLen = 40, kDim = 32;
  std::vector<kernels::Bf16> rows(kLen * kDim, 0x3f80), o(kLen * kDim);
  const int64_t floats = amx_table()->attention_bf16_scratch_floats(kDim, kDim);
  GuardedFloats scratch(floats);
  kernels::AttentionBf16Args args = {};
  args.q_len = args.kv_len = kLen;
  args.head_dim = args.v_dim = kDim;
  args.q = args.k = args.v = rows.data();
  args.ldq = args.ldk = args.ldv = args.ldo = kDim;
  args.o = o.data();
  args.scale = 1.0f;
  args.scratch = scratch.data();
  amx_table()->attention_bf16(args);
  EXPECT_EQ(o[0], 0x3f80);
  EXPECT_FALSE(tiles_are_in_use());
}

}  // namespace
}  // namespace headlane::test

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/slots.h"
#include "tests/support/isas.h"

namespace headlane::kernels {
namespace {

const std::vector<std::string> kOrder(std::begin(test::kIsas), std::end(test::kIsas));

TEST(Dispatch, SupportedRowsAreInOrderAndComplete) {
  ASSERT_FALSE(supported().empty());
  EXPECT_STREQ(supported().front()->isa, "ref");
  size_t at = 0;
  for (const Table* table : supported()) {
    while (at < kOrder.size() && kOrder[at] != table->isa) ++at;
    ASSERT_LT(at, kOrder.size()) << table->isa << " is out of order";
    for (const Slot& slot : kSlots) {
      if (!slot.in_every_table) continue;
      EXPECT_NE(slot.address(*table), 0U) << table->isa << ", " << slot.name;
    }
    for (const Product& product : table->products) {
      EXPECT_NE(product.run, nullptr);
      EXPECT_NE(product.pack_panel, nullptr);
      EXPECT_NE(product.panel_bytes, nullptr);
      EXPECT_GT(product.nr, 0);
    }
    // All of attention in bf16, or none of it.
    const bool attends = table->attention_bf16 != nullptr;
    EXPECT_EQ(table->attention_probabilities_bf16 != nullptr, attends);
    EXPECT_EQ(table->attention_bf16_scratch_floats != nullptr, attends);
  }
}

// Why the tests of floats run on few of them, and those of whole models leave out some precisions.
TEST(Dispatch, SetsHaveTheKernelsThatTheirRowsSay) {
  const Table* below = nullptr;
  for (const Table* table : supported()) {
    const std::string isa = table->isa;
    const auto expect_own = [&](const char* name, bool is_own, const char* precision) {
      EXPECT_EQ(is_own, test::has_kernels_of_its_own(isa, precision)) << isa << ", " << name;
    };
    if (below != nullptr) {
      for (const ProductKind& kind : kProductKinds) {
        const auto run = table->product(kind.precision).run;
        expect_own("product", run != below->product(kind.precision).run, kind.name);
      }
      for (const Slot& slot : kSlots) {
        if (!slot.in_every_table) continue;
        const bool is_own = slot.address(*table) != slot.address(*below);
        // A set that multiplies bf16 may have its own attention over a cache in bf16.
        const std::string_view name = slot.name;
        const bool of_bf16 = name == "decode_attention_bf16" || name == "decode_scratch_floats";
        const bool only_bf16 = is_own && of_bf16 && !test::has_kernels_of_its_own(isa, "f32");
        expect_own(slot.name, is_own, only_bf16 ? "bf16" : "f32");
      }
    }
    below = table;
  }
}

TEST(Dispatch, CapIsTheFastestAtOrBelow) {
  for (const Table* table : supported()) EXPECT_EQ(select(table->isa), table);
  EXPECT_EQ(select(""), supported().back());
  EXPECT_EQ(select(kOrder.back()), supported().back());
}

TEST(Dispatch, UnknownNameIsRefused) {
  EXPECT_EQ(select("sse9"), nullptr);
  EXPECT_EQ(select("AVX2"), nullptr);
}

// tests/CMakeLists.txt runs this under each HEADLANE_MAX_ISA.
TEST(Dispatch, EnvironmentCapTakesEffect) {
  const char* cap = std::getenv("HEADLANE_MAX_ISA");
  if (cap == nullptr) GTEST_SKIP() << "HEADLANE_MAX_ISA is not set in this run";
  const auto position = [](const std::string& isa) {
    return std::find(kOrder.begin(), kOrder.end(), isa) - kOrder.begin();
  };
  EXPECT_LE(position(supported().back()->isa), position(cap));
  EXPECT_LE(position(select("")->isa), position(cap));
}

// tests/emulated names what the CPU that it emulates must get.
TEST(Dispatch, ChoosesTheExpectedInstructionSet) {
  const char* expected = std::getenv("HEADLANE_EXPECT_ISA");
  if (expected == nullptr) GTEST_SKIP() << "HEADLANE_EXPECT_ISA is not set in this run";
  ASSERT_NE(select(""), nullptr);
  EXPECT_STREQ(select("")->isa, expected);
}

}  // namespace
}  // namespace headlane::kernels

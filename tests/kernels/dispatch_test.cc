#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "tests/support/isas.h"

namespace headlane::kernels {
namespace {

const std::vector<std::string> kOrder(std::begin(test::kIsas), std::end(test::kIsas));

// What a slot of a table holds, as a number.
template <auto kMember>
uintptr_t address(const Table& table) {
  return reinterpret_cast<uintptr_t>(table.*kMember);
}

// The slots that every table fills, those of narrow products with the functions of the table below.
struct Slot {
  const char* name;
  uintptr_t (*address)(const Table& table);
};
const Slot kFloatSlots[] = {
    {"layer_norm_f32", address<&Table::layer_norm_f32>},
    {"rms_norm_f32", address<&Table::rms_norm_f32>},
    {"gate_f32", address<&Table::gate_f32>},
    {"add_f32", address<&Table::add_f32>},
    {"embed_f32", address<&Table::embed_f32>},
    {"attention_f32", address<&Table::attention_f32>},
    {"attention_probabilities_f32", address<&Table::attention_probabilities_f32>},
    {"attention_scratch_floats", address<&Table::attention_scratch_floats>},
    {"decode_attention_f32", address<&Table::decode_attention_f32>},
    {"decode_attention_bf16", address<&Table::decode_attention_bf16>},
    {"decode_scratch_floats", address<&Table::decode_scratch_floats>},
    {"top_k_f32", address<&Table::top_k_f32>},
    {"pool_f32", address<&Table::pool_f32>},
    {"activate_f32", address<&Table::activate_f32>},
};

TEST(Dispatch, SupportedRowsAreInOrderAndComplete) {
  ASSERT_FALSE(supported().empty());
  EXPECT_STREQ(supported().front()->isa, "ref");
  size_t at = 0;
  for (const Table* table : supported()) {
    while (at < kOrder.size() && kOrder[at] != table->isa) ++at;
    ASSERT_LT(at, kOrder.size()) << table->isa << " is out of order";
    EXPECT_NE(table->gemm_f32.run, nullptr);
    EXPECT_NE(table->gemm_f32.pack, nullptr);
    for (const Slot& slot : kFloatSlots) {
      EXPECT_NE(slot.address(*table), 0U) << table->isa << ", " << slot.name;
    }
    for (const NarrowGemm& gemm : {table->gemm_bf16, table->gemm_u8}) {
      EXPECT_NE(gemm.run, nullptr);
      EXPECT_NE(gemm.pack_panel, nullptr);
      EXPECT_NE(gemm.panel_bytes, nullptr);
      EXPECT_GT(gemm.nr, 0);
    }
    EXPECT_NE(table->convert, nullptr);
    EXPECT_NE(table->quantize_weights, nullptr);
    // All of attention in bf16, or none of it.
    const bool attends = table->attention_bf16 != nullptr;
    EXPECT_EQ(table->attention_probabilities_bf16 != nullptr, attends);
    EXPECT_EQ(table->attention_bf16_scratch_floats != nullptr, attends);
  }
}

// Why the tests of floats run on ref, avx2 and avx512 alone.
TEST(Dispatch, RowsOfNarrowProductsHaveTheFloatKernelsBelow) {
  const Table* below = nullptr;
  for (const Table* table : supported()) {
    const std::string isa = table->isa;
    if (std::ranges::count(test::kFloatIsas, isa) > 0) {
      below = table;
      continue;
    }
    EXPECT_EQ(table->gemm_f32.run, below->gemm_f32.run) << isa;
    for (const Slot& slot : kFloatSlots) {
      EXPECT_EQ(slot.address(*table), slot.address(*below)) << isa << ", " << slot.name;
    }
  }
}

// Why tests of whole models leave out some precisions on some of them.
TEST(Dispatch, RowsShareTheProductsThatAreNotTheirOwn) {
  const Table* below = nullptr;
  for (const Table* table : supported()) {
    const std::string isa = table->isa;
    if (below != nullptr && std::ranges::count(test::kFloatIsas, isa) == 0) {
      EXPECT_EQ(table->gemm_bf16.run == below->gemm_bf16.run,
                !test::has_kernels_of_its_own(isa, "bf16"))
          << isa;
      EXPECT_EQ(table->gemm_u8.run == below->gemm_u8.run,
                !test::has_kernels_of_its_own(isa, "int8"))
          << isa;
      EXPECT_FALSE(test::has_kernels_of_its_own(isa, "f32"));
    } else {
      for (const char* precision : {"f32", "bf16", "int8"}) {
        EXPECT_TRUE(test::has_kernels_of_its_own(isa, precision)) << isa;
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

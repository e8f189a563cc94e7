#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace headlane::kernels {
namespace {

const std::vector<std::string> kOrder = {"ref",         "avx2",        "avx2_vnni", "avx512",
                                         "avx512_vnni", "avx512_bf16", "amx"};

TEST(Dispatch, SupportedRowsAreInOrderAndComplete) {
  ASSERT_FALSE(supported().empty());
  EXPECT_STREQ(supported().front()->isa, "ref");
  size_t at = 0;
  for (const Table* table : supported()) {
    while (at < kOrder.size() && kOrder[at] != table->isa) ++at;
    ASSERT_LT(at, kOrder.size()) << table->isa << " is out of order";
    EXPECT_NE(table->gemm_f32.run, nullptr);
    EXPECT_NE(table->gemm_f32.pack, nullptr);
    EXPECT_NE(table->layer_norm_f32, nullptr);
    EXPECT_NE(table->rms_norm_f32, nullptr);
    EXPECT_NE(table->gate_f32, nullptr);
    EXPECT_NE(table->embed_f32, nullptr);
    EXPECT_NE(table->attention_f32, nullptr);
    EXPECT_NE(table->attention_probabilities_f32, nullptr);
    EXPECT_NE(table->decode_attention_f32, nullptr);
    EXPECT_NE(table->decode_attention_bf16, nullptr);
    EXPECT_NE(table->decode_scratch_floats, nullptr);
    EXPECT_NE(table->top_k_f32, nullptr);
    EXPECT_NE(table->pool_f32, nullptr);
    EXPECT_NE(table->activate_f32, nullptr);
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
    if (isa == "ref" || isa == "avx2" || isa == "avx512") {
      below = table;
      continue;
    }
    EXPECT_EQ(table->gemm_f32.run, below->gemm_f32.run) << isa;
    EXPECT_EQ(table->layer_norm_f32, below->layer_norm_f32) << isa;
    EXPECT_EQ(table->rms_norm_f32, below->rms_norm_f32) << isa;
    EXPECT_EQ(table->gate_f32, below->gate_f32) << isa;
    EXPECT_EQ(table->add_f32, below->add_f32) << isa;
    EXPECT_EQ(table->embed_f32, below->embed_f32) << isa;
    EXPECT_EQ(table->attention_f32, below->attention_f32) << isa;
    EXPECT_EQ(table->attention_probabilities_f32, below->attention_probabilities_f32) << isa;
    EXPECT_EQ(table->decode_attention_f32, below->decode_attention_f32) << isa;
    EXPECT_EQ(table->decode_attention_bf16, below->decode_attention_bf16) << isa;
    EXPECT_EQ(table->top_k_f32, below->top_k_f32) << isa;
    EXPECT_EQ(table->pool_f32, below->pool_f32) << isa;
    EXPECT_EQ(table->activate_f32, below->activate_f32) << isa;
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

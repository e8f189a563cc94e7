// Panels as files keep them: those of a layout are the same bytes whoever packs them, today's and
// those of versions before.
#include "engine/ops/packed_weight.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "engine/file/checksum.h"

namespace headlane {
namespace {

// Rows that no format loses more of than another: 35 of 70 columns, so that panels, groups and
// lanes have ends of their own.
constexpr int64_t kRows = 35, kColumns = 70;

std::vector<float> made_weight() {
  std::vector<float> weight(kRows * kColumns);
  uint32_t state = 1;
  for (float& w : weight) {
    state = state * 1664525u + 1013904223u;
    w = static_cast<float>(static_cast<int32_t>(state >> 24) - 128) / 128;
  }
  return weight;
}

std::string checksum_of(const std::vector<char>& bytes) {
  Checksum checksum;
  checksum.add(std::as_bytes(std::span(bytes)));
  std::string text;
  for (const std::byte byte : checksum.value()) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[std::to_integer<int>(byte) >> 4];
    text += kDigits[std::to_integer<int>(byte) & 15];
  }
  return text.substr(0, 16);
}

// The beginning of the checksum of that weight's panels, by layout and bytes. A file keeps panels
// by the name of their layout: who changes one gives it another name, and adds it here.
const std::map<std::string, std::string> kPanels = {
    {"bf16/lanes/16 6912", "cde9cf5f702ce084"},
    {"bf16/lanes/32 12544", "37771c306cffd69a"},
    {"bf16/lanes/48 6912", "a9f4edde177d5ffe"},
    {"bf16/rows/16 6912", "df67b987039a4b78"},
    {"f32/columns/16 13632", "bfe80902ccce380f"},
    {"f32/columns/48 13632", "1721c7454751afda"},
    {"int4/groups/16 3072", "711750604a9ef80a"},
    {"int4/groups/48 3072", "c9c1d94c37be0b9d"},
    {"int4/rows/16 3072", "12032aa009bd1277"},
    {"int5/groups/16 3648", "26f306e157c7f4e8"},
    {"int5/groups/48 3648", "6dafde9f63602e30"},
    {"int5/rows/16 3648", "514f5315d88e0220"},
    {"int6/groups/16 4224", "6099fad7f704b13a"},
    {"int6/groups/48 4224", "3e904a4d2ce7e65d"},
    {"int6/rows/16 4224", "1d5bfc0a11dd05af"},
    {"int8/lanes/16 4032", "e0d7e5bd350b499a"},
    {"int8/lanes/32 8960", "3e2e29db35f98a88"},
    {"int8/lanes/48 4032", "1039ff9834fe5549"},
    {"int8/pairs/16 4032", "f93439ff6d88c99c"},
    {"int8/rows/16 3840", "a5ca606336b562bc"},
    {"int8g/groups/16 5184", "b5ea954cb8c5c408"},
    {"int8g/groups/48 5120", "bcd7571a6ecb87bf"},
    {"int8g/groups128/16 5184", "44eaf955d5ceaeb3"},
    {"int8g/groups128/48 5120", "8e9bf95d98b14930"},
    {"int8g/rows/16 5184", "df88a1df8c31e4fe"},
};

TEST(PackedWeight, PanelsOfALayoutAreWhatTheyWere) {
  const std::vector<float> weight = made_weight(), bias(kRows, 0.5f);
  for (const kernels::Table* kernels : kernels::supported()) {
    for (const kernels::ProductKind& kind : kernels::kProductKinds) {
      PackedWeight w;
      w.name = "w";
      w.n = kRows;
      w.k = kColumns;
      w.rows.data = weight.data();
      w.bias = bias.data();
      w.precision = kind.precision;
      Buffer memory(static_cast<size_t>(packed_bytes(*kernels, w)));
      RowBuffer buffer;
      char* panels = static_cast<char*>(memory.data());
      pack_panels(*kernels, w, {0, kernels->product(kind.precision).n_panels(w.n)}, panels,
                  &buffer);
      const std::vector<char> bytes(panels, panels + memory.bytes());
      const std::string layout = layout_of(*kernels, w) + " " + std::to_string(bytes.size());
      const auto known = kPanels.find(layout);
      EXPECT_NE(known, kPanels.end())
          << "{\"" << layout << "\", \"" << checksum_of(bytes) << "\"}, of " << kernels->isa;
      if (known == kPanels.end()) continue;
      EXPECT_EQ(checksum_of(bytes), known->second) << layout << " of " << kernels->isa;
    }
  }
}

}  // namespace
}  // namespace headlane

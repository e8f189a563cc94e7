// GGUF files: every type of tensor, and files that are damaged or mean harm.
#include "engine/import/source/gguf_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "engine/file/weight_rows.h"
#include "engine/import/source/safetensors.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

const std::string kGgufFolder = std::string(HEADLANE_GOLDEN_DIR) + "/gguf/";

// How far off weight i may be whose scale and minimum were rounded to f16: by 2^-11 of
// them, or by half of the least f16, the scale's error times the largest code; and in floats, where
// each is rounded on its way, by less than a tenth of that.
double rounding_of(const WeightRows& rows, int64_t i) {
  const int64_t group = i / kernels::kGroupSize;
  const auto of = [](uint16_t f16, int most) {
    return most * (std::fabs(double{kernels::widen_f16(f16)}) * 0x1p-11 + 0x1p-25) * 1.1;
  };
  if (rows.format == kernels::Format::kS8Groups) {
    return of(static_cast<const kernels::S8Group*>(rows.data)[group].scale, 127);
  }
  if (rows.format == kernels::Format::kS6Groups) {
    const auto& own = static_cast<const kernels::S6Group*>(rows.data)[group];
    return of(own.scales[i % kernels::kGroupSize / 16], 32);
  }
  if (rows.format == kernels::Format::kU5Groups) {
    const auto& own = static_cast<const kernels::U5Group*>(rows.data)[group];
    return of(own.scale, 31) + of(own.min, 1);
  }
  const auto& own = static_cast<const kernels::U4Group*>(rows.data)[group];
  return of(own.scale, 15) + of(own.min, 1);
}

// By the package gguf (tests/golden/gguf/make.py).
TEST(GgufFile, EachTypeHasTheBitsOfTheReference) {
  const GgufFile file(kGgufFolder + "types.gguf");
  const SafetensorsModel expected = SafetensorsModel::of_file(kGgufFolder + "types.safetensors");
  EXPECT_EQ(file.entries().size(), 14U);
  for (const auto& [name, entry] : file.entries()) {
    ASSERT_EQ(entry.shape, expected.shape_of(name)) << name;
    const auto n = static_cast<size_t>(entry.shape[0] * entry.shape[1]);
    std::vector<float> values(n), wanted(n);
    file.read(name, 0, values);
    expected.read(name, 0, wanted);
    EXPECT_EQ(std::memcmp(values.data(), wanted.data(), n * sizeof(float)), 0) << name;
  }
}

TEST(GgufFile, APartHasTheBitsOfTheWhole) {
  const GgufFile file(kGgufFolder + "types.gguf");
  for (const auto& [name, entry] : file.entries()) {
    std::vector<float> whole(static_cast<size_t>(entry.shape[0] * entry.shape[1]));
    file.read(name, 0, whole);
    for (const size_t first : {0, 1, 31, 255, 256, 700}) {
      for (const size_t n : {0, 1, 33, 257, 800}) {
        std::vector<float> part(n);
        file.read(name, static_cast<int64_t>(first), part);
        EXPECT_EQ(std::memcmp(part.data(), whole.data() + first, n * sizeof(float)), 0)
            << name << " " << first << " " << n;
      }
    }
  }
}

// How far off weight i may be. Types whose scales are products of an f16 and 6 bits have
// them rounded; codes of MXFP4 whose scale is below the least f16, 2^-24, become multiples of that.
double allowed_error(const std::string& type, const WeightRows& rows, int64_t i) {
  for (const char* rounded : {"Q4_K", "Q5_K", "Q6_K", "IQ4_XS"}) {
    if (type == rounded) return rounding_of(rows, i);
  }
  if (type != "MXFP4") return 0;
  const auto* groups = static_cast<const kernels::U5Group*>(rows.data);
  return groups[i / kernels::kGroupSize].scale <= 1 ? 0x1p-25 : 0;
}

TEST(GgufFile, GroupsHaveTheBitsOfTheReferenceOrOneRoundingOfAScale) {
  const GgufFile file(kGgufFolder + "types.gguf");
  int types = 0;
  for (const auto& [name, entry] : file.entries()) {
    if (entry.type->to_groups == nullptr) continue;
    ++types;
    const int64_t rows = entry.shape[0], cols = entry.shape[1], n = rows * cols;
    std::vector<float> values(static_cast<size_t>(n));
    file.read(name, 0, values);
    std::vector<std::byte> groups(static_cast<size_t>(rows * row_bytes(entry.type->format, cols)));
    file.read_groups(name, 0, groups);
    const WeightRows stored = {entry.type->format, groups.data()};
    RowBuffer buffer;
    const WeightRows meant =
        buffer.convert(*kernels::supported().front(), stored, rows, cols, kernels::Format::kF32);
    const auto* found = static_cast<const float*>(meant.data);
    const std::string type = entry.type->name;
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_NEAR(found[i], values[static_cast<size_t>(i)], allowed_error(type, stored, i))
          << name << " " << i;
    }
  }
  EXPECT_EQ(types, 11);
}

class BadGguf : public testing::Test {
 protected:
  GgufFile open(const GgufBytes& bytes) {
    write_file(path_, bytes.bytes());
    return GgufFile(path_);
  }
  void expect_bad(const GgufBytes& bytes, const std::string& words,
                  Status status = Status::kBadFile) {
    EXPECT_ERROR(open(bytes), status, words);
  }
  // A file of one F32 tensor whose table entry is `tensor`, with 64 bytes of data.
  static GgufBytes with_tensor(const GgufBytes& tensor) {
    return GgufBytes().begin(1, 0).raw(tensor.bytes()).align().raw(std::string(64, 'x'));
  }

  TempDir dir_;
  const std::string path_ = dir_.file("a.gguf");
};

TEST_F(BadGguf, WhatIsBeforeTheFields) {
  expect_bad(GgufBytes().raw("GGU"), "ends within its header");
  expect_bad(GgufBytes().raw("GGML").number<uint64_t>(0), "does not begin with GGUF");
  expect_bad(GgufBytes().begin(0, 0, 1), "of version 1; ", Status::kUnsupported);
  expect_bad(GgufBytes().raw("GGUF").raw({"\0\0\0\3", 4}).number<uint64_t>(0), "little endian",
             Status::kUnsupported);
  expect_bad(GgufBytes().begin(~uint64_t{0}, 0), "tensors; ");
  expect_bad(GgufBytes().begin(0, uint64_t{1} << 40), "fields; ");
  expect_bad(GgufBytes().begin(0, 1), "fields; ");
}

TEST_F(BadGguf, Fields) {
  const std::string filling(64, ' ');
  const auto with = [&](const GgufBytes& field) {
    return GgufBytes().begin(0, 1).raw(field.bytes()).raw(filling);
  };
  expect_bad(GgufBytes().begin(0, 2).u32_field("a", 1).u32_field("a", 2),
             "has the field \"a\" twice");
  expect_bad(with(GgufBytes().number(~uint64_t{0})), "where");
  expect_bad(with(GgufBytes().text("a").number<uint32_t>(13)), "is of type 13",
             Status::kUnsupported);
  expect_bad(with(GgufBytes().text("a").number<uint32_t>(9).number<uint32_t>(9)),
             "field \"a\" is of type 9", Status::kUnsupported);
  expect_bad(
      with(GgufBytes().text("a").number<uint32_t>(9).number<uint32_t>(0).number(uint64_t{1} << 60)),
      "values; ");
  expect_bad(with(GgufBytes().text_field("a", "\xC3")), "is not UTF-8");
  expect_bad(GgufBytes().begin(0, 1).u32_field("general.alignment", 24), "not a power of two");
  expect_bad(GgufBytes().begin(0, 1).u32_field("general.alignment", 0), "not a power of two");
  expect_bad(GgufBytes().begin(0, 1).text_field("general.alignment", "32"), "not an integer");
}

TEST_F(BadGguf, Tensors) {
  EXPECT_EQ(open(with_tensor(GgufBytes().tensor("a", {16}, 0, 0))).entries().size(), 1U);
  expect_bad(with_tensor(GgufBytes().tensor("a", {17}, 0, 0)), "it was cut");
  expect_bad(with_tensor(GgufBytes().tensor("a", {16}, 0, 4)), "it was cut");
  expect_bad(with_tensor(GgufBytes().tensor("a", {16}, 0, ~uint64_t{0})), "beyond the end");
  expect_bad(with_tensor(GgufBytes().tensor("a", {16}, 99, 0)), "of type 99", Status::kUnsupported);
  expect_bad(with_tensor(GgufBytes().tensor("a", {16}, 8, 0)), "do not fill");
  expect_bad(with_tensor(GgufBytes().tensor("a", {uint64_t{1} << 63}, 0, 0)), "a dimension of");
  expect_bad(with_tensor(GgufBytes().tensor("a", {uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0)),
             "do not fill");
  expect_bad(with_tensor(GgufBytes().tensor("a", std::vector<uint64_t>(9, 1), 0, 0)),
             "has 9 dimensions");
  const GgufBytes twice = GgufBytes().tensor("a", {4}, 0, 0).tensor("a", {4}, 0, 32);
  expect_bad(GgufBytes().begin(2, 0).raw(twice.bytes()).align().raw(std::string(64, 'x')),
             "is there twice");
  const GgufBytes shared = GgufBytes().tensor("a", {4}, 0, 0).tensor("b", {4}, 0, 8);
  expect_bad(GgufBytes().begin(2, 0).raw(shared.bytes()).align().raw(std::string(64, 'x')),
             "\"b\"");
}

TEST_F(BadGguf, ATypeThatIsNotRead) {
  const GgufFile file =
      open(GgufBytes().begin(1, 0).tensor("a", {256}, 10, 0).align().raw(std::string(84, 'x')));
  EXPECT_ERROR(file.check_type("a"), Status::kUnsupported, "tensor \"a\" is of type Q2_K");
}

// Wherever a file was cut, that is said.
TEST_F(BadGguf, EachLengthOfACutFile) {
  const std::string whole = read_file(kGgufFolder + "qwen2.gguf");
  for (size_t n = 0; n < whole.size(); n += n < 4096 ? 1 : 997) {
    write_file(path_, whole.substr(0, n));
    EXPECT_THROW(GgufFile{path_}, Error) << n;
  }
}

}  // namespace
}  // namespace headlane

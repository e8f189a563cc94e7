// Tensors made from a checkpoint's, in blocks: what comes out does not depend on where blocks end.
#include "engine/import/source/tensor_recipe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "tests/support/expect_error.h"

namespace headlane {
namespace {

// A checkpoint that was never a file.
class MemoryCheckpoint : public Checkpoint {
 public:
  struct Tensor {
    std::vector<int64_t> shape;
    std::vector<float> values;
    bool is_float = true;
  };
  explicit MemoryCheckpoint(std::map<std::string, Tensor> tensors) : tensors_(std::move(tensors)) {}

  std::vector<std::string> names() const override { return {}; }
  bool contains(const std::string& name) const override { return tensors_.contains(name); }
  const std::vector<int64_t>& shape_of(const std::string& name) const override {
    return tensors_.at(name).shape;
  }
  void read(const std::string& name, int64_t first, std::span<float> to) const override {
    const std::vector<float>& values = tensors_.at(name).values;
    if (first < 0 || first + std::ssize(to) > std::ssize(values)) throw std::range_error(name);
    std::copy_n(values.begin() + first, to.size(), to.begin());
    largest_ = std::max(largest_, to.size());
  }
  size_t largest() const { return largest_; }  // elements of a read

 protected:
  std::string where(const std::string& name) const override { return "memory: " + name; }
  void check_type(const std::string& name) const override {
    if (!tensors_.at(name).is_float) fail(Status::kUnsupported, "memory: %s", name.c_str());
  }

 private:
  std::map<std::string, Tensor> tensors_;
  mutable size_t largest_ = 0;
};

MemoryCheckpoint::Tensor counted(std::vector<int64_t> shape, float first = 0) {
  const int64_t n =
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<int64_t>());
  std::vector<float> values(static_cast<size_t>(n));
  std::iota(values.begin(), values.end(), first);
  return {std::move(shape), std::move(values)};
}

// All blocks, one behind the other.
std::vector<float> read_all(const Checkpoint& checkpoint, const TensorRecipe& recipe) {
  std::vector<float> all;
  RecipeReader reader(checkpoint, recipe);
  for (std::span<const float> rows; !(rows = reader.next()).empty();) {
    EXPECT_EQ(std::ssize(rows) % reader.row_size(), 0);
    all.insert(all.end(), rows.begin(), rows.end());
  }
  EXPECT_TRUE(reader.next().empty());
  return all;
}

TEST(Recipes, StackSplitAndTranspose) {
  const MemoryCheckpoint checkpoint({{"a", counted({2, 3})},
                                     {"b", counted({2, 3}, 10)},
                                     {"v", counted({4}, 20)},
                                     {"l", {{3, 2}, {0, 1, 3, 4, 0, 0}}},
                                     {"s", counted({}, 30)},
                                     {"none", counted({0, 5})},
                                     {"empty rows", counted({5, 0})}});
  Recipes recipes(checkpoint);
  recipes.add("a", "as it is", {2, 3});
  recipes.add_stacked({"b", "a"}, "stacked", {2, 3});
  recipes.add_rows("b", {2, 3}, 1, 1, "second row");
  recipes.add_rows("v", {4}, 1, 2, "two of a vector");
  recipes.add_transposed("a", "transposed", 3, 2);
  recipes.add_values("computed", {1, 2}, {0.5f, -0.0f});
  recipes.add("s", "scalar", {});
  recipes.add_plus("v", "plus 1", {4}, 1);
  recipes.add("l", "unit rows", {3, 2}, true);
  recipes.add_row_parts("b", {2, 3}, {{1, 1}, {0, 2}}, "parts of rows");
  recipes.add_transposed_parts("l", {3, 2}, {{1, 1}, {0, 1}}, "transposed rows");
  recipes.add_transposed_parts("a", {2, 3}, {{0, 2}, {0, 2}}, "transposed twice");
  recipes.add("none", "none", {0, 5});
  recipes.add("empty rows", "empty rows", {5, 0});
  const std::pair<std::vector<int64_t>, std::vector<float>> expected[] = {
      {{2, 3}, {0, 1, 2, 3, 4, 5}},
      {{4, 3}, {10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5}},
      {{1, 3}, {13, 14, 15}},
      {{2}, {21, 22}},
      {{3, 2}, {0, 3, 1, 4, 2, 5}},
      {{1, 2}, {0.5f, -0.0f}},
      {{}, {30}},
      {{4}, {21, 22, 23, 24}},
      {{3, 2}, {0.0f, 1.0f, 0.6f, 0.8f, 0.0f, 0.0f}},
      {{3, 3}, {13, 14, 15, 10, 11, 12, 13, 14, 15}},
      {{4, 1}, {3, 4, 0, 1}},
      {{6, 2}, {0, 3, 1, 4, 2, 5, 0, 3, 1, 4, 2, 5}},
      {{0, 5}, {}},
      {{5, 0}, {}}};
  const std::vector<TensorRecipe> made = recipes.take();
  ASSERT_EQ(made.size(), std::size(expected));
  for (size_t i = 0; i < made.size(); ++i) {
    EXPECT_EQ(made[i].shape, expected[i].first) << made[i].name;
    EXPECT_EQ(read_all(checkpoint, made[i]), expected[i].second) << made[i].name;
  }
}

// Heads whose rows of Q, K and V are interleaved, as fused projections have them: 2 heads of 2
// rows.
TEST(Recipes, SlicesInAnyOrder) {
  const MemoryCheckpoint checkpoint({{"qkv", counted({12, 1})}});
  TensorRecipe q = {"q", {4, 1}, {{"qkv", 0, 2}, {"qkv", 6, 2}}, false, {}};
  EXPECT_EQ(read_all(checkpoint, q), (std::vector<float>{0, 1, 6, 7}));
}

TEST(Recipes, WhatTheCheckpointLacks) {
  MemoryCheckpoint::Tensor integers = counted({2, 3});
  integers.is_float = false;
  const MemoryCheckpoint checkpoint({{"a", counted({2, 3})}, {"i", integers}});
  Recipes recipes(checkpoint);
  EXPECT_ERROR(recipes.add("b", "x", {2, 3}), Status::kBadFile, "memory: b is missing");
  EXPECT_ERROR(recipes.add_stacked({"a", "b"}, "x", {2, 3}), Status::kBadFile, "b is missing");
  EXPECT_ERROR(recipes.add("a", "x", {3, 2}), Status::kBadFile,
               "memory: a field \"shape\" is [2, 3]; the config asks for [3, 2]");
  EXPECT_ERROR(recipes.add_rows("a", {3, 3}, 0, 1, "x"), Status::kBadFile, "asks for [3, 3]");
  EXPECT_ERROR(recipes.add_transposed("a", "x", 2, 3), Status::kBadFile, "asks for [3, 2]");
  EXPECT_ERROR(recipes.add("i", "x", {2, 3}), Status::kUnsupported, "memory: i");
  EXPECT_TRUE(recipes.take().empty());
}

// Tensors of more than one block each; no read is larger than a block.
TEST(RecipeReader, BlocksDoNotShow) {
  constexpr int64_t kRows = 1500, kCols = 1100;
  const MemoryCheckpoint checkpoint(
      {{"a", counted({kRows, kCols})}, {"b", counted({kRows, kCols}, 0.5f)}});
  Recipes recipes(checkpoint);
  recipes.add_stacked({"a", "b"}, "stacked", {kRows, kCols});
  recipes.add_transposed("a", "transposed", kCols, kRows);
  recipes.add_transposed_parts("a", {kRows, kCols}, {{750, 750}, {0, 750}}, "transposed parts");
  const std::vector<TensorRecipe> made = recipes.take();
  const std::vector<float> a = read_tensor(checkpoint, "a", {kRows, kCols}),
                           b = read_tensor(checkpoint, "b", {kRows, kCols});
  std::vector<float> stacked = a, transposed(a.size()), parts(a.size());
  stacked.insert(stacked.end(), b.begin(), b.end());
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < kCols; ++j) {
      transposed[j * kRows + i] = a[i * kCols + j];
      parts[((i < 750 ? kCols : 0) + j) * 750 + i % 750] = a[i * kCols + j];
    }
  }
  EXPECT_TRUE(read_all(checkpoint, made[0]) == stacked);
  EXPECT_TRUE(read_all(checkpoint, made[1]) == transposed);
  EXPECT_TRUE(read_all(checkpoint, made[2]) == parts);
}

TEST(RecipeReader, ReadsNoMoreThanABlock) {
  const MemoryCheckpoint checkpoint(
      {{"long", counted({5 << 20})}, {"wide rows", counted({2, 3 << 20})}});
  Recipes recipes(checkpoint);
  recipes.add("long", "long", {5 << 20});
  recipes.add("wide rows", "wide rows", {2, 3 << 20});
  const std::vector<TensorRecipe> made = recipes.take();
  read_all(checkpoint, made[0]);
  EXPECT_EQ(checkpoint.largest(), size_t{1} << 20);
  read_all(checkpoint, made[1]);
  EXPECT_EQ(checkpoint.largest(), size_t{3} << 20) << "a row is whole";
}

TEST(Checkpoint, SameTensors) {
  constexpr int64_t kN = 600'000;  // more than is compared at once
  std::map<std::string, MemoryCheckpoint::Tensor> tensors;
  for (const char* name : {"a", "same", "last", "first", "zero", "nan"}) {
    tensors[name] = counted({2, kN});
  }
  tensors["other shape"] = counted({2 * kN, 1});
  tensors["last"].values.back() += 1;
  tensors["first"].values.front() = 7;
  tensors["zero"].values[0] = -0.0f;  // equal as a number, and of other bits
  tensors["nan"].values[5] = NAN;
  tensors["same nan"] = tensors["nan"];
  const MemoryCheckpoint checkpoint(std::move(tensors));
  EXPECT_TRUE(same_tensors(checkpoint, "a", "a"));
  EXPECT_TRUE(same_tensors(checkpoint, "a", "same"));
  EXPECT_TRUE(same_tensors(checkpoint, "nan", "same nan"));
  for (const char* name : {"last", "first", "zero", "nan", "other shape"}) {
    EXPECT_FALSE(same_tensors(checkpoint, "a", name)) << name;
  }
}

}  // namespace
}  // namespace headlane

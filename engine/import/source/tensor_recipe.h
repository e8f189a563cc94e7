// How tensors of a .headlane file are made from those of a checkpoint. Making a recipe reads no
// data: whoever writes the file reads them, some rows at a time, so that no large tensor is ever in
// memory as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/import/source/checkpoint.h"

namespace headlane {

// Elements [first, first + n) of a checkpoint's tensor, in row-major order.
struct TensorSlice {
  std::string tensor;
  int64_t first = 0;
  int64_t n = 0;
};

struct TensorRecipe {
  std::string name;  // Headlane's own
  std::vector<int64_t> shape;
  // Their elements, one slice behind the other, are the tensor's in row-major order: so rows can be
  // stacked, split and put into another order.
  std::vector<TensorSlice> slices;
  // There is one slice, which is the tensor's transpose: [shape[1], shape[0]].
  bool transposed = false;
  // In place of slices: the elements of a small tensor, which were computed.
  std::vector<float> values;
  // Is added to each element of the slices, such as 1 where a model's files have its norms' weights
  // less 1.
  float plus = 0;
  bool unit_rows = false;  // each row is divided by its Euclidean length, unless that is 0
  // Each slice is a matrix of shape[1] rows, and the tensor has their transposes beneath each
  // other.
  bool transposed_parts = false;
};

// Makes recipes one by one. All functions throw Error if the checkpoint lacks what they take, or
// has it in another shape (Checkpoint::require).
class Recipes {
 public:
  explicit Recipes(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}  // must outlive it

  // The tensor `source` [shape] as it is, or with `unit_rows`.
  void add(const std::string& source, const std::string& name, std::vector<int64_t> shape,
           bool unit_rows = false);
  // The rows of all sources, [shape] each, beneath each other.
  void add_stacked(const std::vector<std::string>& sources, const std::string& name,
                   std::vector<int64_t> shape);
  // The same of sources that have so many rows each, and otherwise that shape.
  void add_stacked_rows(const std::vector<std::pair<std::string, int64_t>>& sources,
                        const std::string& name, std::vector<int64_t> shape_of_row);
  // The same with `plus` added to each element.
  void add_plus(const std::string& source, const std::string& name, std::vector<int64_t> shape,
                float plus);
  // n rows of the tensor `source` [source_shape], from row `first` on.
  void add_rows(const std::string& source, std::vector<int64_t> source_shape, int64_t first,
                int64_t n, const std::string& name);
  // Parts of the rows of `source` [source_shape] beneath each other, each from a row on, so many.
  struct RowPart {
    int64_t first = 0, n = 0;
  };
  void add_row_parts(const std::string& source, std::vector<int64_t> source_shape,
                     const std::vector<RowPart>& parts, const std::string& name);
  // The transposes of such parts, all of so many rows, beneath each other.
  void add_transposed_parts(const std::string& source, std::vector<int64_t> source_shape,
                            const std::vector<RowPart>& parts, const std::string& name);
  // Slices of tensors, all of which were required from the checkpoint before.
  void add_slices(std::vector<TensorSlice> slices, const std::string& name,
                  std::vector<int64_t> shape);
  // The transpose of the tensor `source`, which is [cols, rows].
  void add_transposed(const std::string& source, const std::string& name, int64_t rows,
                      int64_t cols);
  // Computed numbers.
  void add_values(const std::string& name, std::vector<int64_t> shape, std::vector<float> values);

  std::vector<TensorRecipe> take() { return std::move(recipes_); }

 private:
  const Checkpoint& checkpoint_;
  std::vector<TensorRecipe> recipes_;
};

// Reads the tensor of a recipe from its first row to its last, in blocks of whole rows of at most
// 4 MB, or of one row if that is larger. A row is what one index of the first dimension has; of a
// vector, one element.
class RecipeReader {
 public:
  RecipeReader(const Checkpoint& checkpoint, const TensorRecipe& recipe);  // must outlive it

  int64_t n_rows() const { return n_rows_; }
  int64_t row_size() const { return row_size_; }  // elements
  bool has_next() const { return next_row_ < n_rows_; }

  // The next rows, valid until the next call; none at the end. Throws Error as Checkpoint::read.
  std::span<const float> next();

  // Whether the rows are whole rows of tensors whose checkpoint has them in such groups, so that
  // next_groups() can take the place of next().
  bool is_in_groups(kernels::Format format) const;
  std::span<const std::byte> next_groups(kernels::Format format);

 private:
  // Elements from `first` on, in the order of the slices.
  void read(int64_t first, std::span<float> to) const;
  void read_groups(int64_t first_row, int64_t size, std::span<std::byte> to) const;
  // Rows from `first` on of the transposes of all slices.
  void read_transposes(int64_t first, std::span<float> to) const;
  // Columns of a slice, from `first` on, as rows; it has n_columns in all.
  void read_columns(const TensorSlice& slice, int64_t n_columns, int64_t first,
                    std::span<float> to) const;

  const Checkpoint& checkpoint_;
  const TensorRecipe& recipe_;
  int64_t n_rows_ = 1, row_size_ = 1;
  int64_t next_row_ = 0;
  std::vector<float> block_;
  std::vector<std::byte> groups_;
};

}  // namespace headlane

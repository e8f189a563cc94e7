#include "engine/import/source/tensor_recipe.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

namespace headlane {
namespace {

constexpr int64_t kBlockFloats = 1 << 20;

int64_t product(std::span<const int64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

void to_unit_length(std::span<float> row) {
  double squares = 0;
  for (const float x : row) squares += double{x} * double{x};
  if (squares == 0) return;
  const double length = std::sqrt(squares);
  for (float& x : row) x = static_cast<float>(double{x} / length);
}

}  // namespace

void Recipes::add(const std::string& source, const std::string& name, std::vector<int64_t> shape,
                  bool unit_rows) {
  checkpoint_.require(source, shape);
  const int64_t n = product(shape);
  recipes_.push_back({name, std::move(shape), {{source, 0, n}}, false, {}});
  recipes_.back().unit_rows = unit_rows;
}

void Recipes::add_stacked(const std::vector<std::string>& sources, const std::string& name,
                          std::vector<int64_t> shape) {
  std::vector<TensorSlice> slices;
  for (const std::string& source : sources) {
    checkpoint_.require(source, shape);
    slices.push_back({source, 0, product(shape)});
  }
  shape[0] *= std::ssize(sources);
  recipes_.push_back({name, std::move(shape), std::move(slices), false, {}});
}

void Recipes::add_stacked_rows(const std::vector<std::pair<std::string, int64_t>>& sources,
                               const std::string& name, std::vector<int64_t> shape_of_row) {
  std::vector<int64_t> shape = std::move(shape_of_row);
  shape.insert(shape.begin(), 0);
  std::vector<TensorSlice> slices;
  int64_t n_rows = 0;
  for (const auto& [source, rows] : sources) {
    shape[0] = rows;
    checkpoint_.require(source, shape);
    slices.push_back({source, 0, product(shape)});
    n_rows += rows;
  }
  shape[0] = n_rows;
  recipes_.push_back({name, std::move(shape), std::move(slices), false, {}});
}

void Recipes::add_plus(const std::string& source, const std::string& name,
                       std::vector<int64_t> shape, float plus) {
  add(source, name, std::move(shape));
  recipes_.back().plus = plus;
}

void Recipes::add_rows(const std::string& source, std::vector<int64_t> source_shape, int64_t first,
                       int64_t n, const std::string& name) {
  checkpoint_.require(source, source_shape);
  const int64_t row_size = product(std::span(source_shape).subspan(1));
  source_shape[0] = n;
  const TensorSlice rows = {source, first * row_size, n * row_size};
  recipes_.push_back({name, std::move(source_shape), {rows}, false, {}});
}

void Recipes::add_row_parts(const std::string& source, std::vector<int64_t> source_shape,
                            const std::vector<RowPart>& parts, const std::string& name) {
  checkpoint_.require(source, source_shape);
  const int64_t row_size = product(std::span(source_shape).subspan(1));
  source_shape[0] = 0;
  std::vector<TensorSlice> slices;
  for (const RowPart& part : parts) {
    slices.push_back({source, part.first * row_size, part.n * row_size});
    source_shape[0] += part.n;
  }
  recipes_.push_back({name, std::move(source_shape), std::move(slices), false, {}});
}

void Recipes::add_transposed_parts(const std::string& source, std::vector<int64_t> source_shape,
                                   const std::vector<RowPart>& parts, const std::string& name) {
  const int64_t rows = parts.front().n, columns = source_shape.back();
  add_row_parts(source, std::move(source_shape), parts, name);
  TensorRecipe& recipe = recipes_.back();
  recipe.shape = {std::ssize(parts) * columns, rows};
  recipe.transposed_parts = true;
}

void Recipes::add_slices(std::vector<TensorSlice> slices, const std::string& name,
                         std::vector<int64_t> shape) {
  recipes_.push_back({name, std::move(shape), std::move(slices), false, {}});
}

void Recipes::add_transposed(const std::string& source, const std::string& name, int64_t rows,
                             int64_t cols) {
  checkpoint_.require(source, {cols, rows});
  recipes_.push_back({name, {rows, cols}, {{source, 0, rows * cols}}, true, {}});
}

void Recipes::add_values(const std::string& name, std::vector<int64_t> shape,
                         std::vector<float> values) {
  recipes_.push_back({name, std::move(shape), {}, false, std::move(values)});
}

RecipeReader::RecipeReader(const Checkpoint& checkpoint, const TensorRecipe& recipe)
    : checkpoint_(checkpoint), recipe_(recipe) {
  if (recipe.shape.empty()) return;
  n_rows_ = recipe.shape[0];
  row_size_ = product(std::span(recipe.shape).subspan(1));
  if (row_size_ == 0) n_rows_ = 0;
}

std::span<const float> RecipeReader::next() {
  const int64_t rows_at_once = std::max(kBlockFloats / std::max(row_size_, int64_t{1}), int64_t{1});
  const int64_t rows = std::min(rows_at_once, n_rows_ - next_row_);
  const int64_t first = next_row_ * row_size_, size = rows * row_size_;
  next_row_ += rows;
  if (!recipe_.values.empty()) {
    return std::span(recipe_.values).subspan(static_cast<size_t>(first), static_cast<size_t>(size));
  }
  block_.resize(static_cast<size_t>(size));
  if (recipe_.transposed || recipe_.transposed_parts) {
    read_transposes(first / row_size_, block_);
  } else {
    read(first, block_);
  }
  if (recipe_.plus != 0) {
    for (float& x : block_) x += recipe_.plus;
  }
  for (int64_t row = 0; recipe_.unit_rows && row < rows; ++row) {
    to_unit_length(std::span(block_).subspan(static_cast<size_t>(row * row_size_),
                                             static_cast<size_t>(row_size_)));
  }
  return block_;
}

bool RecipeReader::is_in_groups(kernels::Format format) const {
  const bool as_it_is = recipe_.shape.size() == 2 && recipe_.values.empty() &&
                        !recipe_.transposed && !recipe_.transposed_parts && recipe_.plus == 0 &&
                        !recipe_.unit_rows;
  if (!as_it_is || row_size_ % kernels::kGroupSize != 0 || n_rows_ == 0) return false;
  return std::all_of(recipe_.slices.begin(), recipe_.slices.end(), [&](const TensorSlice& slice) {
    const Checkpoint::GroupFormat own = checkpoint_.group_format_of(slice.tensor);
    const std::vector<int64_t>& shape = checkpoint_.shape_of(slice.tensor);
    return own.in_groups && own.format == format && shape.size() >= 2 &&
           shape.back() == row_size_ && slice.first % row_size_ == 0 && slice.n % row_size_ == 0;
  });
}

std::span<const std::byte> RecipeReader::next_groups(kernels::Format format) {
  const int64_t size = row_bytes(format, row_size_);
  const int64_t rows_at_once = std::max(kBlockFloats / row_size_, int64_t{1});
  const int64_t rows = std::min(rows_at_once, n_rows_ - next_row_);
  groups_.resize(static_cast<size_t>(rows * size));
  read_groups(next_row_, size, groups_);
  next_row_ += rows;
  return groups_;
}

void RecipeReader::read_groups(int64_t first_row, int64_t size, std::span<std::byte> to) const {
  for (const TensorSlice& slice : recipe_.slices) {
    const int64_t rows_of_slice = slice.n / row_size_;
    if (first_row >= rows_of_slice) {
      first_row -= rows_of_slice;
      continue;
    }
    const int64_t n = std::min((rows_of_slice - first_row) * size, std::ssize(to));
    checkpoint_.read_groups(slice.tensor, slice.first / row_size_ + first_row,
                            to.first(static_cast<size_t>(n)));
    to = to.subspan(static_cast<size_t>(n));
    first_row = 0;
    if (to.empty()) return;
  }
}

void RecipeReader::read(int64_t first, std::span<float> to) const {
  for (const TensorSlice& slice : recipe_.slices) {
    if (first >= slice.n) {
      first -= slice.n;
      continue;
    }
    const int64_t n = std::min(slice.n - first, std::ssize(to));
    checkpoint_.read(slice.tensor, slice.first + first, to.first(static_cast<size_t>(n)));
    to = to.subspan(static_cast<size_t>(n));
    first = 0;
    if (to.empty()) return;
  }
}

void RecipeReader::read_transposes(int64_t first, std::span<float> to) const {
  for (const TensorSlice& slice : recipe_.slices) {
    const int64_t n_columns = slice.n / row_size_;
    if (first >= n_columns) {
      first -= n_columns;
      continue;
    }
    const int64_t size = std::min((n_columns - first) * row_size_, std::ssize(to));
    read_columns(slice, n_columns, first, to.first(static_cast<size_t>(size)));
    to = to.subspan(static_cast<size_t>(size));
    first = 0;
    if (to.empty()) return;
  }
}

void RecipeReader::read_columns(const TensorSlice& slice, int64_t n_columns, int64_t first,
                                std::span<float> to) const {
  constexpr int64_t kAtOnce = 16;  // floats of a cache line, so that each line is written once
  const int64_t n_read = std::ssize(to) / row_size_;
  std::vector<float> parts(static_cast<size_t>(kAtOnce * n_read));
  for (int64_t row = 0; row < row_size_; row += kAtOnce) {
    const int64_t n = std::min(kAtOnce, row_size_ - row);
    for (int64_t i = 0; i < n; ++i) {
      checkpoint_.read(
          slice.tensor, slice.first + (row + i) * n_columns + first,
          std::span(parts).subspan(static_cast<size_t>(i * n_read), static_cast<size_t>(n_read)));
    }
    for (int64_t column = 0; column < n_read; ++column) {
      for (int64_t i = 0; i < n; ++i) {
        to[static_cast<size_t>(column * row_size_ + row + i)] =
            parts[static_cast<size_t>(i * n_read + column)];
      }
    }
  }
}

}  // namespace headlane

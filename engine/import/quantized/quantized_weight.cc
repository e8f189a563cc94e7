#include "engine/import/quantized/quantized_weight.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/tensor_shape.h"
#include "engine/file/weight_groups.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using kernels::Format;
using kernels::kGroupSize;
using kernels::S8Group;
using kernels::U4Group;
using ll = long long;

constexpr std::initializer_list<const char*> kFloats = {"F32", "F16", "BF16"};

// AWQ puts code i of eight neighbours at place kAwqPlace[i] of a word.
constexpr int64_t kAwqPlace[] = {0, 4, 1, 5, 2, 6, 3, 7};

int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// FP8 with 4 bits of exponent and 3 of mantissa, without infinities.
float widen_e4m3(uint8_t bits) {
  if ((bits & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                   : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (bits & 0x80) != 0 ? -size : size;
}

}  // namespace

QuantizedWeight::QuantizedWeight(const SafetensorsModel& tensors, const Quantization& how,
                                 std::string module)
    : tensors_(tensors), how_(how), module_(std::move(module)), per_word_(32 / how.bits) {
  if (is_transposed()) {
    check_transposed();
  } else if (how_.layout == QuantizedLayout::kPacked) {
    check_packed();
  } else {
    check_bytes();
  }
}

void QuantizedWeight::check_part(const char* ending, std::initializer_list<const char*> types) {
  const std::string own = name(ending);
  if (!tensors_.contains(own)) tensors_.require(own, {});  // which says that it is missing
  const std::string& type = tensors_.entry_of(own).type_name;
  if (std::find(types.begin(), types.end(), type) == types.end()) {
    tensors_.refuse(own, "has the type " + type + ", which Headlane does not read there");
  }
  parts_.push_back(own);
}

void QuantizedWeight::check_part(const char* ending, std::initializer_list<const char*> types,
                                 const std::vector<int64_t>& shape) {
  check_part(ending, types);
  const std::vector<int64_t>& own = tensors_.shape_of(name(ending));
  if (own == shape) return;
  tensors_.refuse(name(ending), "is " + shape_text(own) + "; the layout of " + how_.method +
                                    " asks for " + shape_text(shape));
}

void QuantizedWeight::check_transposed() {
  const bool is_gptq = how_.layout == QuantizedLayout::kGptq;
  check_part(".qweight", {"I32"});
  const std::vector<int64_t>& words = tensors_.shape_of(name(".qweight"));
  if (words.size() != 2 || words[0] == 0 || words[1] == 0) {
    tensors_.refuse(name(".qweight"), "is not a matrix");
  }
  shape_ = is_gptq ? std::vector{words[1], words[0] * per_word_}
                   : std::vector{words[1] * per_word_, words[0]};
  const int64_t n = shape_[0], k = shape_[1];
  if (n % per_word_ != 0) tensors_.refuse(name(".qzeros"), "has no whole words of rows");
  n_groups_ = how_.group == 0 ? 1 : quotient_up(k, how_.group);
  check_part(".qzeros", {"I32"}, {n_groups_, n / per_word_});
  check_part(".scales", kFloats, {n_groups_, n});
  if (is_gptq) read_order(".g_idx");
}

void QuantizedWeight::check_packed() {
  check_part(".weight_packed", {"I32"});
  check_part(".weight_shape", {"I32", "I64"}, {2});
  shape_ = tensors_.read_integers(name(".weight_shape"));
  const int64_t n = shape_[0], k = shape_[1];
  const std::vector<int64_t>& words = tensors_.shape_of(name(".weight_packed"));
  const bool fits = words.size() == 2 && words[0] > 0 && words[0] == n &&
                    k > (words[1] - 1) * per_word_ && k <= words[1] * per_word_;
  if (!fits) {
    tensors_.refuse(
        name(".weight_packed"),
        "is " + shape_text(words) + ", which is not the shape of a weight " + shape_text(shape_));
  }
  check_scales();
  read_order(".weight_g_idx");
  if (how_.symmetric) return;
  const std::string zeros = name(".weight_zero_point");
  if (tensors_.contains(zeros) && tensors_.entry_of(zeros).type_name == "I8") {
    return check_grid(".weight_zero_point", {"I8"});
  }
  check_part(".weight_zero_point", {"I32"}, {quotient_up(n, per_word_), n_groups_});
}

void QuantizedWeight::check_bytes() {
  check_part(".weight", {how_.is_float ? "F8_E4M3" : "I8"});
  shape_ = tensors_.shape_of(name(".weight"));
  if (shape_.size() != 2 || shape_[0] == 0 || shape_[1] == 0) {
    tensors_.refuse(name(".weight"), "is not a matrix");
  }
  check_scales();
  if (!how_.symmetric) check_grid(".weight_zero_point", {"I8"});
}

void QuantizedWeight::check_scales() {
  n_groups_ = how_.group == 0 ? 1 : quotient_up(shape_[1], how_.group);
  n_scale_rows_ = how_.group_rows == 0 ? 1 : quotient_up(shape_[0], how_.group_rows);
  check_grid(how_.scale, kFloats);
}

// One for each group of each row, or of some rows. One alone may have any shape.
void QuantizedWeight::check_grid(const char* ending, std::initializer_list<const char*> types) {
  check_part(ending, types);
  const std::vector<int64_t>& own = tensors_.shape_of(name(ending));
  const bool is_one = std::all_of(own.begin(), own.end(), [](int64_t size) { return size == 1; });
  if (n_scale_rows_ * n_groups_ == 1 && is_one) return;
  parts_.pop_back();
  check_part(ending, types, {n_scale_rows_, n_groups_});
}

void QuantizedWeight::read_order(const char* ending) {
  const std::string own = name(ending);
  if (!tensors_.contains(own)) {
    if (how_.in_any_order) tensors_.require(own, {});
    return;
  }
  check_part(ending, {"I32"}, {shape_[1]});
  const std::vector<int64_t> groups = tensors_.read_integers(own);
  std::vector<int64_t> columns(static_cast<size_t>(n_groups_));
  bool in_order = true;
  for (size_t k = 0; k < groups.size(); ++k) {
    if (groups[k] < 0 || groups[k] >= n_groups_) {
      tensors_.refuse(
          own, "has the group " + std::to_string(groups[k]) + " of " + std::to_string(n_groups_));
    }
    ++columns[static_cast<size_t>(groups[k])];
    in_order = in_order && groups[k] == group_of(static_cast<int64_t>(k));
  }
  if (in_order) return;
  if (!how_.in_any_order) {
    tensors_.refuse(own, "puts columns into another order, which the config says they are not in");
  }
  for (size_t g = 0; g + 1 < columns.size(); ++g) {
    if (columns[g] == how_.group) continue;
    tensors_.refuse(own, "has " + std::to_string(columns[g]) + " columns in group " +
                             std::to_string(g) + ", not " + std::to_string(how_.group));
  }
  order_.assign(groups.begin(), groups.end());
}

int64_t QuantizedWeight::group_of(int64_t column) const {
  if (!order_.empty()) return order_[static_cast<size_t>(column)];
  return how_.group == 0 ? 0 : column / how_.group;
}

Format QuantizedWeight::format() const {
  return how_.bits == 4 && in_groups() ? Format::kU4Groups : Format::kS8Groups;
}

bool QuantizedWeight::in_groups() const {
  return !how_.is_float && order_.empty() && how_.group % kGroupSize == 0 &&
         shape_[1] % kGroupSize == 0;
}

void QuantizedWeight::read_words(const char* ending, int64_t first, std::span<uint32_t> to) const {
  tensors_.read_bytes(name(ending), first * 4, std::as_writable_bytes(to));
}

int64_t QuantizedWeight::code_in(uint32_t word, int64_t i) const {
  return word >> (how_.bits * i) & ((1U << how_.bits) - 1);
}

CodedRows QuantizedWeight::read(int64_t first, int64_t n) const {
  CodedRows rows;
  rows.codes.resize(static_cast<size_t>(n * shape_[1]));
  rows.scales.resize(static_cast<size_t>(n * n_groups_));
  rows.zeros.resize(rows.scales.size());
  if (is_transposed()) {
    read_transposed(first, n, &rows);
    read_transposed_zeros(first, n, &rows);
  } else {
    read_codes(first, n, &rows);
    read_scales(first, n, &rows);
    read_zeros(first, n, &rows);
  }
  return rows;
}

void QuantizedWeight::read_transposed(int64_t first, int64_t n, CodedRows* to) const {
  const bool is_gptq = how_.layout == QuantizedLayout::kGptq;
  const int64_t k = shape_[1];
  const int64_t in_line = is_gptq ? shape_[0] : shape_[0] / per_word_;  // words
  const int64_t begin = is_gptq ? first : first / per_word_;
  const int64_t end = is_gptq ? first + n : quotient_up(first + n, per_word_);
  std::vector<uint32_t> words(static_cast<size_t>(end - begin));
  for (int64_t line = 0; line < (is_gptq ? k / per_word_ : k); ++line) {
    read_words(".qweight", line * in_line + begin, words);
    for (int64_t i = 0; i < n; ++i) {
      float* codes = to->codes.data() + i * k;
      const int64_t row = first + i;
      if (!is_gptq) {
        const uint32_t word = words[static_cast<size_t>(row / per_word_ - begin)];
        codes[line] = static_cast<float>(code_in(word, kAwqPlace[row % per_word_]));
        continue;
      }
      for (int64_t j = 0; j < per_word_; ++j) {
        const uint32_t word = words[static_cast<size_t>(i)];
        codes[line * per_word_ + j] = static_cast<float>(code_in(word, j));
      }
    }
  }
}

void QuantizedWeight::read_transposed_zeros(int64_t first, int64_t n, CodedRows* to) const {
  const bool is_gptq = how_.layout == QuantizedLayout::kGptq;
  const int64_t begin = first / per_word_, end = quotient_up(first + n, per_word_);
  std::vector<uint32_t> words(static_cast<size_t>(end - begin));
  std::vector<float> scales(static_cast<size_t>(n));
  for (int64_t g = 0; g < n_groups_; ++g) {
    read_words(".qzeros", g * (shape_[0] / per_word_) + begin, words);
    tensors_.read(name(".scales"), g * shape_[0] + first, scales);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = first + i, place = row % per_word_;
      const uint32_t word = words[static_cast<size_t>(row / per_word_ - begin)];
      const auto at = static_cast<size_t>(i * n_groups_ + g);
      to->zeros[at] = checked_zero(code_in(word, is_gptq ? place : kAwqPlace[place]));
      to->scales[at] = scales[static_cast<size_t>(i)];
    }
  }
}

// Zeros less 1 that were 0 are not told from those that were the largest code and 1: programs read
// them in different ways.
float QuantizedWeight::checked_zero(int64_t stored) const {
  const int64_t zero = stored + (how_.zeros_less_one ? 1 : 0);
  if (zero == 2 * middle()) {
    tensors_.refuse(name(".qzeros"),
                    "has a zero of which programs make different numbers, as all its bits are set");
  }
  if (how_.symmetric && zero != middle()) {
    tensors_.refuse(name(".qzeros"), "has a zero of " + std::to_string(zero) +
                                         ", which is not in the middle, though the config's field "
                                         "\"sym\" says so");
  }
  return static_cast<float>(zero);
}

void QuantizedWeight::read_codes(int64_t first, int64_t n, CodedRows* to) const {
  const int64_t k = shape_[1];
  if (how_.layout == QuantizedLayout::kPacked) {
    const int64_t in_row = quotient_up(k, per_word_);
    std::vector<uint32_t> words(static_cast<size_t>(n * in_row));
    read_words(".weight_packed", first * in_row, words);
    for (int64_t i = 0; i < n * k; ++i) {
      const int64_t column = i % k;
      const uint32_t word = words[static_cast<size_t>(i / k * in_row + column / per_word_)];
      to->codes[static_cast<size_t>(i)] = static_cast<float>(code_in(word, column % per_word_));
    }
    return;
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(n * k));
  tensors_.read_bytes(name(".weight"), first * k, std::as_writable_bytes(std::span(bytes)));
  std::transform(bytes.begin(), bytes.end(), to->codes.begin(), [&](uint8_t byte) {
    return how_.is_float ? widen_e4m3(byte) : static_cast<float>(static_cast<int8_t>(byte));
  });
}

void QuantizedWeight::read_scales(int64_t first, int64_t n, CodedRows* to) const {
  for (int64_t i = 0; i < n; ++i) {
    const std::span<float> row =
        std::span(to->scales)
            .subspan(static_cast<size_t>(i * n_groups_), static_cast<size_t>(n_groups_));
    tensors_.read(name(how_.scale), scale_row(first + i) * n_groups_, row);
  }
}

void QuantizedWeight::read_zeros(int64_t first, int64_t n, CodedRows* to) const {
  const bool is_packed = how_.layout == QuantizedLayout::kPacked;
  // Whole numbers with a sign are packed as those without one, by adding the middle.
  const int64_t offset = is_packed ? middle() : 0;
  std::fill(to->zeros.begin(), to->zeros.end(), static_cast<float>(offset));
  if (how_.symmetric) return;
  const char* const kZeros = ".weight_zero_point";
  const bool are_words = tensors_.entry_of(name(kZeros)).type_name == "I32";
  std::vector<uint32_t> words(static_cast<size_t>(are_words ? n_groups_ : 0));
  std::vector<int8_t> bytes(static_cast<size_t>(are_words ? 0 : n_groups_));
  for (int64_t i = 0; i < n; ++i) {
    float* zeros = to->zeros.data() + i * n_groups_;
    const int64_t row = first + i;
    if (are_words) {
      read_words(kZeros, row / per_word_ * n_groups_, words);
      std::transform(words.begin(), words.end(), zeros, [&](uint32_t word) {
        return static_cast<float>(code_in(word, row % per_word_));
      });
      continue;
    }
    tensors_.read_bytes(name(kZeros), scale_row(row) * n_groups_,
                        std::as_writable_bytes(std::span(bytes)));
    std::transform(bytes.begin(), bytes.end(), zeros,
                   [&](int8_t zero) { return static_cast<float>(zero + offset); });
  }
}

}  // namespace headlane

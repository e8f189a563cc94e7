// The weight of one module as the tensors of a folder have it that another program quantised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "engine/import/quantized/quantization.h"
#include "engine/import/source/safetensors.h"
#include "kernels/format.h"

namespace headlane {

// Some rows: element k of row i stands for (codes[i, k] - zeros[i, g]) * scales[i, g], g being the
// group of column k. Codes and zeros are whole numbers, except that codes of FP8 are what they
// stand for.
struct CodedRows {
  std::vector<float> codes;          // [n, K]
  std::vector<float> scales, zeros;  // [n, G]
};

class QuantizedWeight {
 public:
  // Of the module that the checkpoint's tensors call so. Both must outlive it. Throws Error that
  // names a tensor: kBadFile if it is missing, or has another shape or type than the layout gives
  // it; kUnsupported.
  QuantizedWeight(const SafetensorsModel& tensors, const Quantization& how, std::string module);

  const std::vector<int64_t>& shape() const { return shape_; }  // [N, K]
  // The names of the tensors that are its parts.
  const std::vector<std::string>& parts() const { return parts_; }
  int64_t group_of(int64_t column) const;

  // The format of weights in groups that has its elements best, and whether it has them without
  // quantising them again: each with its scale, and its scale times its zero, rounded to f16.
  kernels::Format format() const;
  bool in_groups() const;

  // n rows from `first` on. Throws Error: as InputFile::read, and for a zero that no program
  // writes.
  CodedRows read(int64_t first, int64_t n) const;
  // Such rows in format().
  void read_groups(int64_t first, int64_t n, std::span<std::byte> to) const;

 private:
  std::string name(const char* ending) const { return module_ + ending; }
  void check_part(const char* ending, std::initializer_list<const char*> types);
  void check_part(const char* ending, std::initializer_list<const char*> types,
                  const std::vector<int64_t>& shape);
  void check_transposed();  // of kGptq and kAwq
  void check_packed();
  void check_bytes();
  void check_scales();
  void check_grid(const char* ending, std::initializer_list<const char*> types);
  void read_order(const char* ending);

  void read_transposed(int64_t first, int64_t n, CodedRows* to) const;
  void read_transposed_zeros(int64_t first, int64_t n, CodedRows* to) const;
  void read_codes(int64_t first, int64_t n, CodedRows* to) const;
  void read_scales(int64_t first, int64_t n, CodedRows* to) const;
  void read_zeros(int64_t first, int64_t n, CodedRows* to) const;
  float checked_zero(int64_t stored) const;
  void read_words(const char* ending, int64_t first, std::span<uint32_t> to) const;
  int64_t code_in(uint32_t word, int64_t i) const;
  int64_t middle() const { return int64_t{1} << (how_.bits - 1); }
  int64_t scale_row(int64_t row) const { return how_.group_rows == 0 ? 0 : row / how_.group_rows; }
  bool is_transposed() const {
    return how_.layout == QuantizedLayout::kGptq || how_.layout == QuantizedLayout::kAwq;
  }

  const SafetensorsModel& tensors_;
  const Quantization& how_;
  std::string module_;
  std::vector<std::string> parts_;
  std::vector<int64_t> shape_;
  int64_t per_word_ = 0;  // codes
  int64_t n_groups_ = 1, n_scale_rows_ = 1;
  std::vector<int32_t> order_;  // the group of each column; empty where they are in order
};

}  // namespace headlane

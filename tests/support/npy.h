// Reads a NumPy .npy file of floats: what tests/golden keeps its numbers in.
//
//   "\x93NUMPY" major minor | header length, u16 (version 1) or u32 (2, 3) | header | data
//
// all little-endian; the header is a Python dict in ASCII: {'descr': '<f4', 'fortran_order': False,
// 'shape': (2, 3), }. Only '<f4' and '<f8' in C order of rank 1 or 2: anything else throws.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace headlane::test {

struct Npy {
  std::vector<int64_t> shape;
  std::vector<float> data;  // '<f8' is rounded
};

namespace npy_internal {

static_assert(std::endian::native == std::endian::little, "the values are copied as they are");

// Returns the text behind "'key':" in the header, without leading blanks.
inline std::string value_of(const std::string& header, const std::string& key) {
  const size_t at = header.find("'" + key + "':");
  if (at == std::string::npos) throw std::runtime_error("header has no " + key);
  const size_t begin = header.find_first_not_of(' ', at + key.size() + 3);
  return begin == std::string::npos ? "" : header.substr(begin);
}

// "(2, 3)", "(2,)" -> the numbers. Bounded, so that their product cannot overflow.
inline std::vector<int64_t> parse_shape(const std::string& text) {
  std::vector<int64_t> shape;
  const size_t end = text.find(')');
  if (text.empty() || text[0] != '(' || end == std::string::npos) {
    throw std::runtime_error("header has no shape");
  }
  for (size_t i = 1; i < end;) {
    if (text[i] == ',' || text[i] == ' ') {
      ++i;
      continue;
    }
    int64_t extent = 0;
    for (; text[i] >= '0' && text[i] <= '9'; ++i) {
      extent = extent * 10 + (text[i] - '0');
      if (extent > INT32_MAX) throw std::runtime_error("shape is too large");
    }
    if (text[i] != ',' && text[i] != ')') throw std::runtime_error("shape is not of numbers");
    shape.push_back(extent);
  }
  return shape;
}

inline Npy parse(const std::string& file) {
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(file[i])); };
  if (file.size() < 12 || file.compare(0, 6, "\x93NUMPY") != 0) {
    throw std::runtime_error("not a .npy file");
  }
  const bool wide = byte(6) >= 2;
  size_t header_bytes = byte(8) | byte(9) << 8;
  if (wide) header_bytes |= byte(10) << 16 | byte(11) << 24;
  const size_t header_at = wide ? 12 : 10;
  if (header_bytes > file.size() - header_at) throw std::runtime_error("header is cut short");
  const std::string header = file.substr(header_at, header_bytes);

  const std::string descr = value_of(header, "descr");
  const bool f64 = descr.starts_with("'<f8'");
  if (!f64 && !descr.starts_with("'<f4'")) throw std::runtime_error("dtype is not <f4 or <f8");
  if (!value_of(header, "fortran_order").starts_with("False")) {
    throw std::runtime_error("order is not C");
  }
  Npy out;
  out.shape = parse_shape(value_of(header, "shape"));
  if (out.shape.empty() || out.shape.size() > 2) throw std::runtime_error("rank is not 1 or 2");

  size_t n = 1;
  for (const int64_t extent : out.shape) n *= static_cast<size_t>(extent);
  const size_t data_bytes = file.size() - header_at - header_bytes;
  const size_t element_bytes = f64 ? sizeof(double) : sizeof(float);
  if (data_bytes % element_bytes != 0 || data_bytes / element_bytes != n) {
    throw std::runtime_error("data does not fill the shape");
  }
  const char* data = file.data() + header_at + header_bytes;
  out.data.resize(n);
  for (size_t i = 0; i < n; ++i) {
    if (f64) {
      double value;
      std::memcpy(&value, data + i * sizeof value, sizeof value);
      out.data[i] = static_cast<float>(value);
    } else {
      std::memcpy(&out.data[i], data + i * sizeof(float), sizeof(float));
    }
  }
  return out;
}

}  // namespace npy_internal

// Throws std::runtime_error, which names the file.
inline Npy read_npy(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be opened");
  try {
    return npy_internal::parse(std::string(std::istreambuf_iterator<char>(in), {}));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
}

}  // namespace headlane::test

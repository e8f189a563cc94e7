#include "tools/headlane/npy.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace tool {
namespace {

// The header has a fixed size, so that it can be written again once the number of rows is known.
constexpr size_t kHeaderBytes = 128;
constexpr size_t kMostDimensions = 4;

// NumPy's format, version 1.0: magic, version, length of the rest of the header, a Python literal
// padded with spaces and ended by a newline.
std::string header_of(const std::vector<int64_t>& shape) {
  std::string header("\x93NUMPY\x01\x00", 8);
  const size_t literal_bytes = kHeaderBytes - 10;
  header += static_cast<char>(literal_bytes & 0xff);
  header += static_cast<char>(literal_bytes >> 8);
  header += "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (const int64_t size : shape) header += std::to_string(size) + ", ";
  if (shape.size() > 1) header.resize(header.size() - 2);
  header += "), }";
  header.resize(kHeaderBytes - 1, ' ');
  header += '\n';
  return header;
}

// What follows 'key': in the header's literal; empty if the key is not there.
std::string_view value_of(std::string_view header, const std::string& key) {
  const size_t at = header.find("'" + key + "':");
  if (at == std::string_view::npos) return {};
  std::string_view value = header.substr(at + key.size() + 3);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  return value;
}

// "(3, 4)", "(3,)", "()"; false if it is none of these or too large for any memory.
bool parse_shape(std::string_view text, std::vector<int64_t>* shape) {
  if (text.empty() || text.front() != '(') return false;
  constexpr int64_t kMostElements = int64_t{1} << 40;
  int64_t elements = 1;
  for (text.remove_prefix(1); !text.empty();) {
    if (text.front() == ')') return true;
    if (text.front() == ' ' || text.front() == ',') {
      text.remove_prefix(1);
      continue;
    }
    int64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || size < 0 || shape->size() == kMostDimensions) return false;
    if (size > kMostElements || elements > kMostElements / std::max<int64_t>(size, 1)) return false;
    elements *= size;
    shape->push_back(size);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
  return false;
}

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw std::runtime_error(path + ": " + what);
}

// The header's literal; the file then stands at the first element.
std::string read_header(std::ifstream* file, const std::string& path) {
  char start[10];
  file->read(start, sizeof start);
  const auto byte = [&](int i) { return static_cast<unsigned char>(start[i]); };
  if (!*file || std::string_view(start, 6) != "\x93NUMPY") fail(path, "is not a .npy file");
  if (byte(6) < 1 || byte(6) > 3) fail(path, "is a .npy file of an unknown version");
  size_t length = byte(8) + 256u * byte(9);
  if (byte(6) > 1) {  // two more bytes of length
    char more[2];
    file->read(more, sizeof more);
    length += (static_cast<unsigned char>(more[0]) + 256u * static_cast<unsigned char>(more[1]))
              << 16;
  }
  constexpr size_t kMostHeaderBytes = 1 << 16;
  if (length > kMostHeaderBytes) fail(path, "has a header of " + std::to_string(length) + " bytes");
  std::string header(length, ' ');
  file->read(header.data(), static_cast<std::streamsize>(length));
  if (!*file) fail(path, "ends inside its header");
  return header;
}

}  // namespace

int64_t NpyArray::size() const {
  int64_t n = 1;
  for (const int64_t length : shape) n *= length;
  return n;
}

NpyArray read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, "cannot be read");
  const std::string header = read_header(&file, path);
  NpyArray array;
  const std::string_view type = value_of(header, "descr");
  array.is_bool = type.starts_with("'|b1'");
  if (!array.is_bool && !type.starts_with("'<f4'")) {
    fail(path, "is neither float32 ('<f4') nor boolean ('|b1')");
  }
  if (!value_of(header, "fortran_order").starts_with("False")) fail(path, "is not in C order");
  if (!parse_shape(value_of(header, "shape"), &array.shape)) {
    fail(path, "has a shape that cannot be");
  }
  // By the file's own length, before any memory is taken.
  const auto begin = file.tellg();
  file.seekg(0, std::ios::end);
  const auto bytes = static_cast<int64_t>(file.tellg() - begin);
  const int64_t needed = array.size() * (array.is_bool ? 1 : 4);
  if (bytes != needed) {
    fail(path, "has " + std::to_string(bytes) + " bytes of elements; its shape needs " +
                   std::to_string(needed));
  }
  file.seekg(begin);
  const auto n = static_cast<size_t>(array.size());
  array.is_bool ? array.truth.resize(n) : array.values.resize(n);
  char* to = array.is_bool ? reinterpret_cast<char*>(array.truth.data())
                           : reinterpret_cast<char*>(array.values.data());
  file.read(to, needed);
  if (!file) fail(path, "read error");
  for (uint8_t& truth : array.truth) truth = truth != 0;
  return array;
}

void write_npy(const std::string& path, const std::vector<int64_t>& shape, const float* values) {
  size_t n = 1;
  for (const int64_t size : shape) n *= static_cast<size_t>(size);
  OutputFile file(path);
  const std::string header = header_of(shape);
  file.write(header.data(), header.size());
  file.write(values, n * sizeof(float));
  file.finish();
}

NpyWriter::NpyWriter(const std::string& path, int64_t cols) : file_(path), cols_(cols) {
  write_header();
}

void NpyWriter::write_header() {
  const std::string header = header_of({n_rows_, cols_});
  file_.write(header.data(), header.size());
}

void NpyWriter::append(const float* rows, int64_t n_rows) {
  file_.write(rows, static_cast<size_t>(n_rows * cols_) * sizeof(float));
  n_rows_ += n_rows;
}

void NpyWriter::finish() {
  file_.rewind();
  write_header();
  file_.finish();
}

}  // namespace tool

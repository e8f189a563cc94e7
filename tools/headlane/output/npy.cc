#include "tools/headlane/output/npy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "tools/headlane/text/lines.h"

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

// Returns the text behind 'key': in the header's literal; empty if the key is not there.
std::string_view value_of(std::string_view header, const std::string& key) {
  const size_t at = header.find("'" + key + "':");
  if (at == std::string_view::npos) return {};
  std::string_view value = header.substr(at + key.size() + 3);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  return value;
}

// "(3, 4)", "(3,)", "()"; false if it is something else, or too large for any memory.
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

// A file, or standard input, from its beginning to its end.
class Input {
 public:
  explicit Input(const std::string& path) : name_(shown_name(path)) {
    if (path == "-") return;
    opened_.reset(std::fopen(path.c_str(), "rbe"));
    if (!opened_) fail(path, "cannot be read: " + std::system_category().message(errno));
    file_ = opened_.get();
  }

  const std::string& name() const { return name_; }

  // How many of `bytes` there were.
  size_t read(void* to, size_t bytes) {
    const size_t n = std::fread(to, 1, bytes, file_);
    if (std::ferror(file_) != 0) fail(name_, "read error");
    return n;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string name_;
  std::unique_ptr<std::FILE, Close> opened_;
  std::FILE* file_ = stdin;
};

// The header's literal; the input then stands at the first element.
std::string read_header(Input* input) {
  const std::string& path = input->name();
  char start[10];
  const size_t n = input->read(start, sizeof start);
  const auto byte = [&](int i) { return static_cast<unsigned char>(start[i]); };
  if (n != sizeof start || std::string_view(start, 6) != "\x93NUMPY") {
    fail(path, "is not a .npy file");
  }
  if (byte(6) < 1 || byte(6) > 3) fail(path, "is a .npy file of an unknown version");
  size_t length = byte(8) + 256u * byte(9);
  if (byte(6) > 1) {  // two more bytes of length
    unsigned char more[2];
    if (input->read(more, sizeof more) != sizeof more) fail(path, "ends inside its header");
    length += (more[0] + 256u * more[1]) << 16;
  }
  constexpr size_t kMostHeaderBytes = 1 << 16;
  if (length > kMostHeaderBytes) fail(path, "has a header of " + std::to_string(length) + " bytes");
  std::string header(length, ' ');
  if (input->read(header.data(), length) != length) fail(path, "ends inside its header");
  return header;
}

// As many elements as the shape says, and no byte more. Memory grows with what has been read, so
// that a wrong shape takes none.
template <typename T>
void read_elements(Input* input, int64_t n, std::vector<T>* elements) {
  constexpr size_t kStep = size_t{1} << 18;
  const auto all = static_cast<size_t>(n);
  const auto wrong = [&](const std::string& there) {
    fail(input->name(),
         "has " + there + " bytes of elements; its shape needs " + std::to_string(all * sizeof(T)));
  };
  while (elements->size() < all) {
    const size_t before = elements->size(), step = std::min(kStep, all - before);
    elements->resize(before + step);
    const size_t bytes = input->read(elements->data() + before, step * sizeof(T));
    if (bytes != step * sizeof(T)) wrong(std::to_string(before * sizeof(T) + bytes));
  }
  char more;
  if (input->read(&more, 1) == 1) wrong("more");
}

}  // namespace

int64_t NpyArray::size() const {
  int64_t n = 1;
  for (const int64_t length : shape) n *= length;
  return n;
}

NpyArray read_npy(const std::string& path) {
  Input input(path);
  const std::string header = read_header(&input);
  NpyArray array;
  const std::string_view type = value_of(header, "descr");
  array.is_bool = type.starts_with("'|b1'");
  if (!array.is_bool && !type.starts_with("'<f4'")) {
    fail(input.name(), "is neither float32 ('<f4') nor boolean ('|b1')");
  }
  if (!value_of(header, "fortran_order").starts_with("False")) {
    fail(input.name(), "is not in C order");
  }
  if (!parse_shape(value_of(header, "shape"), &array.shape)) {
    fail(input.name(), "has a shape that cannot be");
  }
  if (array.is_bool) {
    read_elements(&input, array.size(), &array.truth);
  } else {
    read_elements(&input, array.size(), &array.values);
  }
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

namespace {

[[noreturn]] void fail_to_wait() {
  throw std::runtime_error("rows for a pipe wait in the folder of temporary files (TMPDIR): " +
                           std::system_category().message(errno));
}

}  // namespace

NpyWriter::NpyWriter(const std::string& path, int64_t cols) : file_(path), cols_(cols) {
  if (!file_.is_stream()) {
    write_header();
    return;
  }
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  std::string name = (folder / "headlane-XXXXXX").string();
  const int fd = mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) fail_to_wait();
  unlink(name.c_str());
  waiting_.reset(fdopen(fd, "w+b"));
  if (!waiting_) fail_to_wait();
}

void NpyWriter::write_header() {
  const std::string header = header_of({n_rows_, cols_});
  file_.write(header.data(), header.size());
}

void NpyWriter::append(const float* rows, int64_t n_rows) {
  const auto n = static_cast<size_t>(n_rows * cols_);
  if (waiting_) {
    if (n > 0 && std::fwrite(rows, sizeof(float), n, waiting_.get()) != n) fail_to_wait();
  } else {
    file_.write(rows, n * sizeof(float));
  }
  n_rows_ += n_rows;
}

void NpyWriter::write_waiting() {
  if (std::fseek(waiting_.get(), 0, SEEK_SET) != 0) fail_to_wait();
  std::vector<char> bytes(size_t{1} << 16);
  while (const size_t n = std::fread(bytes.data(), 1, bytes.size(), waiting_.get())) {
    file_.write(bytes.data(), n);
  }
  if (std::ferror(waiting_.get()) != 0) fail_to_wait();
}

void NpyWriter::finish() {
  if (!waiting_) file_.rewind();
  write_header();
  if (waiting_) write_waiting();
  file_.finish();
}

}  // namespace tool

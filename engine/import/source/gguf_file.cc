#include "engine/import/source/gguf_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/file/tensor_shape.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using ll = long long;
using ull = unsigned long long;

static_assert(std::endian::native == std::endian::little);

constexpr const char* kAlignment = "general.alignment";
constexpr int64_t kNoAlignment = 32, kMostAlignment = 1 << 20;

// The types of fields' values, by their numbers in files.
enum FieldType : uint32_t { kString = 8, kArray = 9 };

// Reads what is in front of the data, from the first byte on.
class HeaderReader {
 public:
  explicit HeaderReader(const InputFile& file)
      : file_(file), left_(std::min(file.bytes(), file_limits::kGgufHeaderBytes)) {}

  int64_t position() const { return position_; }

  void read(std::span<std::byte> to) {
    const int64_t n = std::ssize(to);
    check_left(static_cast<uint64_t>(n));
    int64_t done = 0;
    while (done < n) {
      if (begin_ == end_) fill();
      const int64_t some = std::min(n - done, end_ - begin_);
      std::memcpy(to.data() + done, buffer_.data() + begin_, static_cast<size_t>(some));
      begin_ += some;
      done += some;
    }
    position_ += n;
    left_ -= n;
  }

  template <typename T>
  T number() {
    T value;
    read(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }

  std::string string() {
    const auto size = number<uint64_t>();
    check_left(size);
    std::string text(static_cast<size_t>(size), '\0');
    read(std::as_writable_bytes(std::span(text)));
    if (valid_utf8_prefix(text) != text.size()) {
      fail(Status::kBadFile, "%s: \"%s\" is not UTF-8", file_.path().c_str(),
           printable(text).c_str());
    }
    return text;
  }

  // `n` of something that has at least `bytes` each must still fit.
  int64_t count(int64_t bytes, int64_t most, const char* what) {
    const auto n = number<uint64_t>();
    if (n > static_cast<uint64_t>(most) || n > static_cast<uint64_t>(left_ / bytes)) {
      fail(Status::kBadFile, "%s: has %llu %s; %lld bytes are left for them and %lld is the limit",
           file_.path().c_str(), ull{n}, what, ll{left_}, ll{most});
    }
    return static_cast<int64_t>(n);
  }

 private:
  void check_left(uint64_t n) const {
    if (n <= static_cast<uint64_t>(left_)) return;
    fail(Status::kBadFile,
         "%s: ends within its header, which says that %llu bytes follow where %lld are left",
         file_.path().c_str(), ull{n}, ll{left_});
  }

  void fill() {
    const int64_t from = position_of_end_;
    end_ = std::min<int64_t>(std::ssize(buffer_), file_.bytes() - from);
    begin_ = 0;
    file_.read(from, std::span(buffer_).first(static_cast<size_t>(end_)));
    position_of_end_ += end_;
  }

  const InputFile& file_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(1 << 16);
  int64_t begin_ = 0, end_ = 0;      // of the buffer's bytes that were not taken yet
  int64_t position_of_end_ = 0;      // of end_, in the file
  int64_t position_ = 0, left_ = 0;  // bytes that were taken, and those that may be
};

template <typename T>
Json read_number(HeaderReader* reader) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<double>(reader->number<T>());
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<int64_t>(reader->number<T>());
  } else {
    const auto value = static_cast<uint64_t>(reader->number<T>());
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return value;
    return static_cast<int64_t>(value);
  }
}

Json read_bool(HeaderReader* reader) { return reader->number<uint8_t>() != 0; }
Json read_string(HeaderReader* reader) { return reader->string(); }

struct Scalar {
  int64_t bytes;  // the least that a value has
  Json (*read)(HeaderReader* reader);
};
// By the number of a type; arrays have no reader.
constexpr std::array<Scalar, 13> kScalars = {{{1, read_number<uint8_t>},
                                              {1, read_number<int8_t>},
                                              {2, read_number<uint16_t>},
                                              {2, read_number<int16_t>},
                                              {4, read_number<uint32_t>},
                                              {4, read_number<int32_t>},
                                              {4, read_number<float>},
                                              {1, read_bool},
                                              {8, read_string},
                                              {12, nullptr},
                                              {8, read_number<uint64_t>},
                                              {8, read_number<int64_t>},
                                              {8, read_number<double>}}};

class Header {
 public:
  Header(const InputFile& file, Json* fields, std::map<std::string, GgufEntry>* entries)
      : file_(file),
        path_(file.path().c_str()),
        reader_(file),
        fields_(fields),
        entries_(entries) {}

  void read() {
    std::array<std::byte, 4> magic;
    reader_.read(magic);
    if (std::memcmp(magic.data(), "GGUF", magic.size()) != 0) {
      fail(Status::kBadFile, "%s is not a GGUF file: it does not begin with GGUF", path_);
    }
    const auto version = reader_.number<uint32_t>();
    if (version != 2 && version != 3) {
      fail(Status::kUnsupported,
           "%s is GGUF of version %u; Headlane reads versions 2 and 3, little endian", path_,
           unsigned{version});
    }
    const int64_t n_tensors = reader_.count(24, file_limits::kTensors, "tensors");
    const int64_t n_fields = reader_.count(13, file_limits::kGgufFields, "fields");
    *fields_ = Json::object();
    for (int64_t i = 0; i < n_fields; ++i) read_field();
    for (int64_t i = 0; i < n_tensors; ++i) read_entry();
    place_entries();
  }

 private:
  void read_field() {
    std::string key = reader_.string();
    const std::string name = printable(key);
    const auto type = reader_.number<uint32_t>();
    Json value = type == kArray ? read_array(name) : scalar(type, name).read(&reader_);
    if (fields_->emplace(std::move(key), std::move(value)).second) return;
    fail(Status::kBadFile, "%s: has the field \"%s\" twice", path_, name.c_str());
  }

  const Scalar& scalar(uint32_t type, const std::string& name) const {
    if (type < kScalars.size() && kScalars[type].read != nullptr) return kScalars[type];
    fail(Status::kUnsupported, "%s field \"%s\" is of type %u, which Headlane does not read here",
         path_, name.c_str(), unsigned{type});
  }

  Json read_array(const std::string& name) {
    const Scalar& element = scalar(reader_.number<uint32_t>(), name);
    const int64_t n = reader_.count(element.bytes, file_limits::kJsonValues - n_values_, "values");
    n_values_ += n;
    Json::Array values;
    values.reserve(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) values.push_back(element.read(&reader_));
    return values;
  }

  // The offset is not yet the file's: that is known when all of the header is.
  void read_entry() {
    const std::string name = reader_.string();
    const std::string where = std::string(path_) + ": tensor \"" + printable(name) + "\"";
    GgufEntry entry;
    const auto rank = reader_.number<uint32_t>();
    if (rank > file_limits::kRank) {
      fail(Status::kBadFile, "%s has %u dimensions; %lld is the limit", where.c_str(),
           unsigned{rank}, ll{file_limits::kRank});
    }
    for (uint32_t i = 0; i < rank; ++i) {
      const auto size = reader_.number<uint64_t>();
      if (size > static_cast<uint64_t>(file_limits::kFileBytes)) {
        fail(Status::kBadFile, "%s has a dimension of %llu", where.c_str(), ull{size});
      }
      entry.shape.insert(entry.shape.begin(), static_cast<int64_t>(size));
    }
    const auto type = reader_.number<uint32_t>();
    entry.type = find_gguf_type(type);
    if (entry.type == nullptr) {
      fail(Status::kUnsupported, "%s is of type %u, which Headlane does not know", where.c_str(),
           unsigned{type});
    }
    const auto offset = reader_.number<uint64_t>();
    if (offset > static_cast<uint64_t>(file_.bytes())) {
      fail(Status::kBadFile, "%s begins at byte %llu of the data, beyond the end of the file",
           where.c_str(), ull{offset});
    }
    entry.offset = static_cast<int64_t>(offset);
    set_bytes(where, &entry);
    if (entries_->emplace(name, entry).second) return;
    fail(Status::kBadFile, "%s is there twice", where.c_str());
  }

  // Blocks divide rows.
  void set_bytes(const std::string& where, GgufEntry* entry) const {
    const int64_t columns = entry->shape.empty() ? 1 : entry->shape.back();
    const GgufType& type = *entry->type;
    const std::optional<int64_t> elements = shape_bytes(entry->shape, 1);
    if (columns % type.block != 0 || !elements || *elements > file_limits::kFileBytes) {
      fail(Status::kBadFile, "%s has the shape %s, which blocks of %lld elements (%s) do not fill",
           where.c_str(), shape_text(entry->shape).c_str(), ll{type.block}, type.name);
    }
    entry->bytes = *elements / type.block * type.block_bytes;
  }

  void place_entries() const {
    const std::string where = path_;
    const int64_t alignment = json_int(*fields_, kAlignment, where, kNoAlignment);
    if (alignment < 1 || alignment > kMostAlignment || (alignment & (alignment - 1)) != 0) {
      fail(Status::kBadFile, "%s field \"%s\" is %lld, not a power of two up to %lld", path_,
           kAlignment, ll{alignment}, ll{kMostAlignment});
    }
    const int64_t data = (reader_.position() + alignment - 1) / alignment * alignment;
    std::vector<TensorRange> ranges;
    for (auto& [name, entry] : *entries_) {
      entry.offset += data;
      if (entry.bytes > file_.bytes() || entry.offset > file_.bytes() - entry.bytes) {
        fail(Status::kBadFile,
             "%s: tensor \"%s\" ends at byte %lld, and the file at byte %lld: it was cut", path_,
             printable(name).c_str(), ll{entry.offset} + ll{entry.bytes}, ll{file_.bytes()});
      }
      ranges.push_back({name, entry.offset, entry.offset + entry.bytes});
    }
    check_disjoint(std::move(ranges), where);
  }

  const InputFile& file_;
  const char* path_;
  HeaderReader reader_;
  Json* fields_;
  std::map<std::string, GgufEntry>* entries_;
  int64_t n_values_ = 0;  // of all arrays
};

}  // namespace

GgufFile::GgufFile(const std::string& path) try : file_(path) {
  refuse_lfs_pointer(file_);
  Header(file_, &fields_, &entries_).read();
} catch (const std::bad_alloc&) {
  fail(Status::kOutOfMemory, "%s: no memory for its header", path.c_str());
}

std::string GgufFile::where(const std::string& name) const {
  return path() + ": tensor \"" + printable(name) + "\"";
}

void GgufFile::check_type(const std::string& name) const {
  const GgufType& type = *entries_.at(name).type;
  if (type.widen != nullptr) return;
  fail(Status::kUnsupported,
       "%s is of type %s, which Headlane does not read; it reads F32, F16, BF16, F64, Q8_0, Q4_0, "
       "Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS and MXFP4",
       where(name).c_str(), type.name);
}

void GgufFile::read(const std::string& name, int64_t first, std::span<float> to) const {
  const GgufEntry& entry = entries_.at(name);
  const GgufType& type = *entry.type;
  check_type(name);
  constexpr int64_t kBlocksAtOnce = 1024;
  std::vector<std::byte> blocks(static_cast<size_t>(kBlocksAtOnce * type.block_bytes));
  std::array<float, kGgufMostBlock> elements;
  const int64_t end = first + std::ssize(to);
  for (int64_t block = first / type.block; block * type.block < end; block += kBlocksAtOnce) {
    const int64_t last = std::min(block + kBlocksAtOnce, (end + type.block - 1) / type.block);
    const int64_t bytes = (last - block) * type.block_bytes;
    file_.read(entry.offset + block * type.block_bytes,
               std::span(blocks).first(static_cast<size_t>(bytes)));
    for (int64_t i = block; i < last; ++i) {
      type.widen(blocks.data() + (i - block) * type.block_bytes, elements.data());
      const int64_t from = std::max(first, i * type.block),
                    upto = std::min(end, (i + 1) * type.block);
      std::copy(elements.begin() + (from - i * type.block),
                elements.begin() + (upto - i * type.block), to.begin() + (from - first));
    }
  }
}

void GgufFile::read_groups(const std::string& name, int64_t first, std::span<std::byte> to) const {
  const GgufEntry& entry = entries_.at(name);
  const GgufType& type = *entry.type;
  const int64_t columns = entry.shape.back(), size = row_bytes(type.format, columns);
  const int64_t group_bytes = row_bytes(type.format, type.block);
  std::vector<std::byte> row(static_cast<size_t>(columns / type.block * type.block_bytes));
  for (int64_t i = 0; i * size < std::ssize(to); ++i) {
    file_.read(entry.offset + (first + i) * std::ssize(row), row);
    for (int64_t block = 0; block < columns / type.block; ++block) {
      type.to_groups(row.data() + block * type.block_bytes,
                     to.data() + i * size + block * group_bytes);
    }
  }
}

}  // namespace headlane

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "engine/error.h"
#include "engine/model/container.h"
#include "engine/model/container_format.h"
#include "engine/model/json_fields.h"
#include "engine/model/mapped_file.h"
#include "engine/model/tensor_shape.h"

namespace headlane {
namespace {

using nlohmann::json;
namespace format = container_format;

// The file that `path` stands for, symbolic links followed, so that a rename replaces the file and
// not the link. What is there and is no regular file is refused: a rename would replace a device
// too. The tool has the same in npy.cc, since it sees the C API only.
std::string file_to_replace(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    fail(Status::kIo, "%s: not a regular file, so it is not replaced", path.c_str());
  }
  if (error && status.type() != fs::file_type::not_found) {  // a circle of links, for one
    fail_io(path, "create", error.value());
  }
  fs::path file = path;
  while (fs::is_symlink(file, error)) file = file.parent_path() / fs::read_symlink(file, error);
  return file.string();
}

// A new file beside the target that becomes the target by commit(), or is removed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& path) : path_(path), target_(file_to_replace(path)) {
    // Unlike mkstemp's, this name costs no 0600 that would have to be widened by the umask, which
    // cannot be read without changing it. O_EXCL makes it as safe.
    static std::atomic<unsigned> counter{0};
    for (int attempt = 0; fd_ < 0; ++attempt) {
      temporary_ = target_ + ".tmp" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
      fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
      if (fd_ < 0 && (errno != EEXIST || attempt == 1000)) fail_io(path_, "create", errno);
    }
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!committed_) ::unlink(temporary_.c_str());
  }

  void write(std::span<const std::byte> bytes) {
    constexpr size_t kMaxWrite = size_t{1} << 30;  // Linux writes at most 2 GiB - 4 KiB at once
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kMaxWrite));
      if (n < 0 && errno != EINTR) fail_io(path_, "write", errno);
      if (n > 0) bytes = bytes.subspan(static_cast<size_t>(n));
    }
  }

  // The data is on the disk before the name is: after a crash the target is old or new, never
  // short.
  void commit() {
    if (::fsync(fd_) != 0) fail_io(path_, "write", errno);
    const int fd = fd_;
    fd_ = -1;
    if (::close(fd) != 0) fail_io(path_, "write", errno);
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_io(path_, "replace", errno);
    committed_ = true;
  }

 private:
  std::string path_;  // as the caller wrote it, for messages
  std::string target_, temporary_;
  int fd_ = -1;
  bool committed_ = false;
};

// What the reader would refuse is not written.
void check_sources(const std::string& path, const json& config, const json& tokenizer,
                   std::span<const TensorSource> tensors) {
  if (!config.is_object() || !(tokenizer.is_object() || tokenizer.is_null())) {
    fail(Status::kInvalidArgument, "%s: config is not an object, or tokenizer not one or null",
         path.c_str());
  }
  std::set<std::string_view> names;
  for (const TensorSource& tensor : tensors) {
    const std::string name = printable(tensor.name);
    if (!format::is_name(tensor.name) || !names.insert(tensor.name).second) {
      fail(Status::kInvalidArgument,
           "%s: tensor name \"%s\" is not 1 to %zu printable bytes, or is used twice", path.c_str(),
           name.c_str(), format::kMaxNameBytes);
    }
    if (tensor.shape.size() > kMaxRank) {
      fail(Status::kInvalidArgument, "%s: tensor \"%s\" has %zu dimensions, more than %zu",
           path.c_str(), name.c_str(), tensor.shape.size(), kMaxRank);
    }
    const auto bytes = static_cast<int64_t>(tensor.data.size());
    if (shape_bytes(tensor.shape, size_of(tensor.dtype)) != bytes) {
      fail(Status::kInvalidArgument, "%s: tensor \"%s\" has %lld bytes, which is not %s %s",
           path.c_str(), name.c_str(), static_cast<long long>(bytes), name_of(tensor.dtype),
           shape_text(tensor.shape).c_str());
    }
  }
}

// The header's JSON if the tensors begin at data_begin.
std::string make_header(const std::string& path, const json& config, const json& tokenizer,
                        std::span<const TensorSource> tensors, int64_t data_begin) {
  json table = json::array();
  int64_t offset = data_begin;
  for (const TensorSource& tensor : tensors) {
    const auto bytes = static_cast<int64_t>(tensor.data.size());
    table.push_back({{"name", tensor.name},
                     {"dtype", name_of(tensor.dtype)},
                     {"shape", tensor.shape},
                     {"offset", offset},
                     {"bytes", bytes}});
    offset = format::align_up(offset + bytes);
  }
  const json header = {{"config", config}, {"tokenizer", tokenizer}, {"tensors", table}};
  try {
    return header.dump();  // keys in sorted order: the same input gives the same bytes
  } catch (const json::exception& error) {
    fail(Status::kInvalidArgument, "%s: the header has text that is not UTF-8: %s", path.c_str(),
         error.what());
  }
}

// Everything before the first tensor, its padding included.
std::string make_head(const std::string& path, const json& config, const json& tokenizer,
                      std::span<const TensorSource> tensors) {
  // The header holds the offsets and the offsets depend on the header's length. Larger offsets
  // never make it shorter, so this ends, in practice after two or three rounds.
  int64_t data_begin = 0;
  std::string header;
  for (int64_t needed = format::kAlignment; needed != data_begin;) {
    data_begin = needed;
    header = make_header(path, config, tokenizer, tensors, data_begin);
    const auto end = static_cast<int64_t>(sizeof(format::Prefix) + header.size());
    needed = format::align_up(end);
  }
  if (static_cast<int64_t>(header.size()) > format::kMaxHeaderBytes) {
    fail(Status::kTooLarge, "%s: header has %zu bytes; the format allows %lld", path.c_str(),
         header.size(), static_cast<long long>(format::kMaxHeaderBytes));
  }
  format::Prefix prefix = {};
  std::memcpy(prefix.magic, format::kMagic, sizeof prefix.magic);
  prefix.version = format::kVersion;
  prefix.header_bytes = header.size();
  std::string head(reinterpret_cast<const char*>(&prefix), sizeof prefix);
  head += header;
  head.resize(static_cast<size_t>(data_begin), '\0');
  return head;
}

}  // namespace

void write_container(const std::string& path, const json& config, const json& tokenizer,
                     std::span<const TensorSource> tensors) {
  check_sources(path, config, tokenizer, tensors);
  const std::string head = make_head(path, config, tokenizer, tensors);
  TemporaryFile file(path);
  file.write(std::as_bytes(std::span(head)));
  constexpr std::byte kZeros[format::kAlignment] = {};
  int64_t padding = 0;  // before the next tensor; none after the last
  for (const TensorSource& tensor : tensors) {
    file.write(std::span(kZeros).first(static_cast<size_t>(padding)));
    file.write(tensor.data);
    const auto bytes = static_cast<int64_t>(tensor.data.size());
    padding = format::align_up(bytes) - bytes;
  }
  file.commit();
}

}  // namespace headlane

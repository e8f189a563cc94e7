// All fuzzers share this. A finding ends the process: by a sanitizer, or by finding().
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "headlane/headlane.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace headlane::fuzz {

using Bytes = std::span<const uint8_t>;

// Says what is wrong and ends the process, which makes libFuzzer keep the input.
[[noreturn]] inline void finding(const char* what, const char* more = "") {
  std::fprintf(stderr, "FINDING: %s: %s\n", what, more);
  std::abort();
}

// A call's status must be one of those it may have on that input, and have a sentence unless it is
// OK. INTERNAL is a bug always.
inline bool is_ok(headlane_status status, std::initializer_list<headlane_status> may_be,
                  const char* call) {
  const std::string_view sentence = headlane_error();
  if (status == HEADLANE_OK) {
    if (!sentence.empty()) finding(call, "succeeded with a message");
    return true;
  }
  if (sentence.size() < 8) finding(call, "failed without a sentence");
  for (const headlane_status allowed : may_be) {
    if (status == allowed) return false;
  }
  finding(call, headlane_error());
}

// A file in memory, with a path.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (fd_ < 0) std::abort();
    path_ = "/proc/self/fd/" + std::to_string(fd_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(fd_); }

  const std::string& path() const { return path_; }

  void write(std::string_view bytes) {
    if (ftruncate(fd_, 0) != 0) std::abort();
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n =
          pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
      if (n <= 0) std::abort();
      done += static_cast<size_t>(n);
    }
  }
  void write(Bytes bytes) {
    write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

 private:
  int fd_;
  std::string path_;
};

// Reads numbers off the front of an input; zeros when it has ended, so that any input will do.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(data, size) {}

  template <typename Number>
  Number number() {
    Number value{};
    const size_t n = rest_.size() < sizeof value ? rest_.size() : sizeof value;
    if (n > 0) std::memcpy(&value, rest_.data(), n);
    rest_ = rest_.subspan(n);
    return value;
  }
  uint8_t byte() { return number<uint8_t>(); }
  bool flag() { return (byte() & 1) != 0; }
  bool one_in(int n) { return byte() % n == n - 1; }
  // In [low, high], of at most 2^16 values.
  int64_t between(int64_t low, int64_t high) { return low + number<uint16_t>() % (high - low + 1); }
  template <typename T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[byte() % values.size()];
  }
  std::string text(size_t most) {
    const size_t n = rest_.size() < most ? rest_.size() : most;
    std::string result(reinterpret_cast<const char*>(rest_.data()), n);
    rest_ = rest_.subspan(n);
    return result;
  }
  Bytes rest() const { return rest_; }

 private:
  Bytes rest_;
};

// A repeatable source of numbers for what an input has no bytes for (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t x = state_ += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
  }
  uint64_t below(uint64_t n) { return next() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

}  // namespace headlane::fuzz

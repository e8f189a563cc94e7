// Structs of the C API as programs of other versions have them: what a program compiled for an
// older header gives and gets, and one for a newer header. The dumps of releases (tests/abi) say
// where fields begin, which is where an older version may have ended.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "headlane/headlane.h"
#include "tests/support/lines.h"

namespace headlane::test {

// For each struct that begins with struct_size, the sizes that it may have had, in bytes: from
// struct_size alone to that of the last release.
inline std::map<std::string, std::set<size_t>> versions_of_structs() {
  std::map<std::string, std::set<size_t>> versions;
  const auto attribute = [](const std::string& line, const std::string& name) {
    const size_t at = line.find(name + "='");
    if (at == std::string::npos) return std::string("0");  // a handle's struct has no size
    const size_t begin = at + name.size() + 2;
    return line.substr(begin, line.find('\'', begin) - begin);
  };
  for (const auto& file : std::filesystem::directory_iterator(HEADLANE_GOLDEN_DIR "/../abi")) {
    if (file.path().extension() != ".abi") continue;
    std::string name;
    std::set<size_t> sizes;
    bool grows = false;
    for (const std::string& line : read_lines(file.path().string())) {
      if (line.find("<class-decl ") != std::string::npos) {
        name = attribute(line, "name");
        sizes = {std::stoul(attribute(line, "size-in-bits")) / 8};
        grows = false;
      } else if (line.find("<data-member ") != std::string::npos) {
        sizes.insert(std::stoul(attribute(line, "layout-offset-in-bits")) / 8);
      } else if (line.find("<var-decl name='struct_size'") != std::string::npos) {
        grows = true;
      } else if (line.find("</class-decl>") != std::string::npos && grows) {
        sizes.erase(0);
        versions[name].insert(sizes.begin(), sizes.end());
      }
    }
  }
  return versions;
}

// The outcome of a call, to be compared: its status and sentence, and the bytes that it wrote.
class Outcome {
 public:
  explicit Outcome(headlane_status status)
      : said_(std::string(headlane_status_name(status)) + ": " + headlane_error()),
        ok_(status == HEADLANE_OK) {}
  Outcome& operator<<(const std::string& bytes) {
    wrote_ += bytes;
    return *this;
  }
  template <typename T>
  Outcome& operator<<(const std::vector<T>& values) {
    wrote_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    return *this;
  }
  Outcome& operator<<(const Outcome& other) { return *this << other.said_ << other.wrote_; }
  bool ok() const { return ok_; }
  const std::string& said() const { return said_; }
  const std::string& wrote() const { return wrote_; }

 private:
  std::string said_, wrote_;
  bool ok_;
};

inline void expect_same(const Outcome& got, const Outcome& expected, const std::string& which) {
  EXPECT_EQ(got.said(), expected.said()) << which;
  EXPECT_TRUE(got.wrote() == expected.wrote()) << which << ": other results";
}

// A caller's struct of any size, with what lies behind it in the caller's memory.
template <typename Struct>
class OtherVersion {
 public:
  OtherVersion(size_t size, int filling) {
    std::memset(bytes_, filling, sizeof bytes_);
    std::memcpy(bytes_, &size, sizeof size);
  }
  // As much of `ours` as there is in that version; fields that are new to us are 0.
  OtherVersion(size_t size, const Struct& ours) : OtherVersion(size, 0xff) {
    if (size > sizeof ours) std::memset(bytes_ + sizeof ours, 0, size - sizeof ours);
    std::memcpy(bytes_, &ours, std::min(size, sizeof ours));
    std::memcpy(bytes_, &size, sizeof size);
  }
  Struct* get() { return reinterpret_cast<Struct*>(bytes_); }
  char* bytes() { return bytes_; }

  static constexpr size_t kNewer = sizeof(Struct) + 24;  // three fields more

 private:
  alignas(Struct) char bytes_[kNewer + 64];
};

// Calls with a struct that the library reads, in all versions. `full` has as many fields set as can
// be; `call` takes a pointer to a struct and returns what it did.
template <typename Struct, typename Call>
void expect_all_versions_read(const char* name, const Struct& full, Call call) {
  using Other = OtherVersion<Struct>;
  const auto versions = versions_of_structs();
  ASSERT_TRUE(versions.contains(name));
  const Outcome expected = call(&full);
  ASSERT_TRUE(expected.ok()) << expected.said();
  for (const size_t size : versions.at(name)) {
    Other older(size, full);
    Struct rest_is_zero{};
    std::memcpy(static_cast<void*>(&rest_is_zero), &full, std::min(size, sizeof full));
    rest_is_zero.struct_size = sizeof rest_is_zero;
    expect_same(call(older.get()), call(&rest_is_zero),
                std::string(name) + " of " + std::to_string(size));
  }
  Other newer(Other::kNewer, full);
  expect_same(call(newer.get()), expected, name + std::string(" of a newer version"));
  for (const size_t set : {sizeof(Struct), Other::kNewer - 1}) {
    Other unknown(Other::kNewer, full);
    unknown.bytes()[set] = 1;
    EXPECT_EQ(call(unknown.get()).said(), std::string("unsupported: ") + name +
                                              " sets a field that this version of Headlane does "
                                              "not know");
  }
}

// Calls that fill a struct, in all versions of it; nothing beyond its end is written.
template <typename Struct, typename Call>
void expect_all_versions_written(const char* name, Call call) {
  using Other = OtherVersion<Struct>;
  constexpr char kGuard = 0x5a;
  const auto versions = versions_of_structs();
  ASSERT_TRUE(versions.contains(name));
  Other full(sizeof(Struct), kGuard);
  ASSERT_EQ(call(full.get()), HEADLANE_OK) << headlane_error();
  std::set<size_t> sizes = versions.at(name);
  sizes.insert(Other::kNewer);
  for (const size_t size : sizes) {
    Other other(size, kGuard);
    ASSERT_EQ(call(other.get()), HEADLANE_OK) << headlane_error();
    std::string expected(full.bytes(), sizeof(Struct));
    expected.resize(size, '\0');  // of a newer version: what we do not know becomes 0
    std::memcpy(expected.data(), &size, sizeof size);
    EXPECT_EQ(std::string(other.bytes(), size), expected) << name << " of " << size;
    const std::string behind(other.bytes() + size, 64);
    EXPECT_EQ(behind, std::string(64, kGuard)) << name << " of " << size << ": written beyond it";
  }
}

// A host's threads, of which there is the one that calls; `user` counts the calls.
inline headlane_thread_pool counting_pool(int* n_calls) {
  headlane_thread_pool pool = HEADLANE_INIT(headlane_thread_pool);
  pool.user = n_calls;
  pool.n_threads = 1;
  pool.parallel_for = [](void* user, int32_t n, void (*task)(void*, int32_t), void* context) {
    if (user) ++*static_cast<int*>(user);
    for (int32_t i = 0; i < n; ++i) task(context, i);
  };
  return pool;
}

}  // namespace headlane::test

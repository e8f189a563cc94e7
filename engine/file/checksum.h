// The checksum of .headlane files: XXH3 with 128 bits, which finds what disks and networks spoil.
// It keeps nobody from changing a file on purpose, who can compute it too.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace headlane {

class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void add(std::span<const std::byte> bytes);
  std::array<std::byte, 16> value() const;  // of all bytes so far; big endian

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headlane

// The numbers of the .headlane format that its writer and its reader share. See container.h.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/file/limits.h"

namespace headlane::container_format {

// Numbers are copied between memory and file as they are.
static_assert(std::endian::native == std::endian::little);

inline constexpr char kMagic[8] = {'H', 'E', 'A', 'D', 'L', 'A', 'N', 'E'};
inline constexpr uint32_t kVersion = 2;
inline constexpr int64_t kAlignment = 64;
inline constexpr const char* kChecksumType = "xxh3_128";
inline constexpr int64_t kChecksumBytes = 16;

// The first bytes of the file; the header's JSON follows.
struct Prefix {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t header_bytes;
};
static_assert(sizeof(Prefix) == 24);

// `bytes` is at most file_limits::kFileBytes.
constexpr int64_t align_up(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// 1 to kNameBytes bytes without control characters.
constexpr bool is_name(std::string_view name) {
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
  }
  return !name.empty() && name.size() <= file_limits::kNameBytes;
}

}  // namespace headlane::container_format

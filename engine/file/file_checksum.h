// The checksum that a .headlane file carries, computed from all of its bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/file/input_file.h"

namespace headlane {

// Calls body(bytes) with one part after the other of [begin, end). Throws Error as InputFile::read.
template <typename Body>
void read_parts(const InputFile& file, int64_t begin, int64_t end, Body body) {
  constexpr int64_t kChunk = int64_t{1} << 20;  // in L2, and large enough for the disk
  std::vector<std::byte> memory(static_cast<size_t>(std::min(kChunk, end - begin)));
  for (int64_t at = begin; at < end; at += kChunk) {
    const auto part = std::span(memory).first(static_cast<size_t>(std::min(kChunk, end - at)));
    file.read(at, part);
    body(std::span<const std::byte>(part));
  }
}

// Tells whether the checksum at `offset` is that of all bytes before it.
bool checksum_matches(const InputFile& file, int64_t offset);

// Throws Error(kBadFile) if it does not match, or if there is none: `offset` is -1.
void verify_checksum(const InputFile& file, int64_t offset);

}  // namespace headlane

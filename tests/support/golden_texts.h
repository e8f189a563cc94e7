// The texts of the tokenizers' golden files, and the hashes that these hold of their ids.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/text/unicode.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {

// The lines of four files, then each 5 of them with newlines between them.
inline std::vector<std::string> golden_texts() {
  std::vector<std::string> texts;
  for (const char* name : {"corpus/sentences.txt", "corpus/written.txt", "tokenizer/lines.txt",
                           "tokenizer_json/lines.txt"}) {
    for (std::string& line : read_lines(std::string(HEADLANE_GOLDEN_DIR "/") + name)) {
      texts.push_back(replace_invalid_utf8(line));
    }
  }
  const size_t n = texts.size();
  for (size_t i = 0; i < n; i += 5) {
    std::string joined = texts[i];
    for (size_t j = i + 1; j < std::min(n, i + 5); ++j) joined += '\n' + texts[j];
    texts.push_back(std::move(joined));
  }
  return texts;
}

// FNV-1a of the ids as little-endian u32.
inline uint32_t hash_of_ids(const std::vector<int32_t>& ids) {
  uint32_t hash = 0x811C9DC5;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      hash = (hash ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x01000193;
    }
  }
  return hash;
}

inline uint32_t nth_hash(const std::string& digits, size_t i) {
  return static_cast<uint32_t>(std::stoul(digits.substr(8 * i, 8), nullptr, 16));
}

}  // namespace headlane

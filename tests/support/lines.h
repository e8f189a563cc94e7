// Reads the text files of tests/golden: texts, one a line, and token ids, one sequence a line.
#pragma once

#include <charconv>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace headlane::test {

// The lines without their "\n"; empty lines count. Bytes are left alone: text may be any UTF-8.
inline std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be opened");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Decimal numbers with one blank between them; an empty line is an empty sequence.
inline std::vector<std::vector<int32_t>> read_ids(const std::string& path) {
  std::vector<std::vector<int32_t>> sequences;
  for (const std::string& line : read_lines(path)) {
    std::vector<int32_t>& ids = sequences.emplace_back();
    const char* const end = line.data() + line.size();
    for (const char* at = line.data(); at != end;) {
      int32_t id = 0;
      const auto [next, error] = std::from_chars(at, end, id);
      const bool ends_well = next == end || (*next == ' ' && next + 1 != end);
      if (error != std::errc() || !ends_well) {
        throw std::runtime_error(path + ": line " + std::to_string(sequences.size()) +
                                 " is not of numbers");
      }
      ids.push_back(id);
      at = next == end ? end : next + 1;
    }
  }
  return sequences;
}

}  // namespace headlane::test

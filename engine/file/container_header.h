// The header of a .headlane file, checked against the length of the file that it is of: what the
// reader goes by, and what the writer has to pass before a file becomes one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/container.h"
#include "engine/file/json.h"

namespace headlane {

struct ContainerHeader {
  Json config, tokenizer;
  std::vector<TensorInfo> tensors;
  std::vector<PanelsInfo> panels;
  int64_t checksum_offset = -1;  // -1: there is none
};

// The length of the header's JSON, from the file's first bytes, of which there are sizeof(Prefix)
// unless the file is shorter. Throws Error(kBadFile) that begins with `path`.
int64_t read_prefix(std::span<const std::byte> first, int64_t file_bytes, const std::string& path);

// `text`: the header's JSON, whose length read_prefix found. Throws Error(kBadFile or
// kOutOfMemory).
ContainerHeader read_header(std::string_view text, int64_t file_bytes, const std::string& path);

}  // namespace headlane

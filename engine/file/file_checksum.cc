#include "engine/file/file_checksum.h"

#include <array>

#include "engine/base/error.h"
#include "engine/file/checksum.h"
#include "engine/file/container_format.h"

namespace headlane {

bool checksum_matches(const InputFile& file, int64_t offset) {
  Checksum checksum;
  read_parts(file, 0, offset, [&](std::span<const std::byte> part) { checksum.add(part); });
  std::array<std::byte, container_format::kChecksumBytes> stored;
  file.read(offset, stored);
  return checksum.value() == stored;
}

void verify_checksum(const InputFile& file, int64_t offset) {
  const char* path = file.path().c_str();
  if (offset < 0) {
    fail(Status::kBadFile,
         "%s has no checksum to verify, since it was made before files had one; convert the model "
         "again",
         path);
  }
  if (checksum_matches(file, offset)) return;
  fail(Status::kBadFile, "%s: the checksum does not match: the file was damaged", path);
}

}  // namespace headlane

#include "engine/model/file_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/file/checksum.h"
#include "engine/file/container_format.h"
#include "engine/model/model_check.h"

namespace headlane {
namespace {

constexpr int64_t kChunk = int64_t{1} << 20;  // in L2, and large enough for the disk

// Calls body(bytes) with one part after the other of [begin, end).
template <typename Body>
void read_parts(const InputFile& file, int64_t begin, int64_t end, Body body) {
  std::vector<std::byte> memory(static_cast<size_t>(std::min(kChunk, end - begin)));
  for (int64_t at = begin; at < end; at += kChunk) {
    const auto part = std::span(memory).first(static_cast<size_t>(std::min(kChunk, end - at)));
    file.read(at, part);
    body(std::span<const std::byte>(part));
  }
}

bool checksum_matches(const InputFile& file, int64_t offset) {
  Checksum checksum;
  read_parts(file, 0, offset, [&](std::span<const std::byte> part) { checksum.add(part); });
  std::array<std::byte, container_format::kChecksumBytes> stored;
  file.read(offset, stored);
  return checksum.value() == stored;
}

// Elements whose exponent has all bits set, by what their other bits say.
template <typename Bits>
void count(std::span<const std::byte> part, Bits exponent, Bits mantissa, int64_t* n_nan,
           int64_t* n_infinite) {
  for (size_t i = 0; i + sizeof(Bits) <= part.size(); i += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, part.data() + i, sizeof bits);
    if ((bits & exponent) != exponent) continue;
    ++*((bits & mantissa) != 0 ? n_nan : n_infinite);
  }
}

}  // namespace

FileCheck check_file(const std::string& path,
                     const std::function<void(const TensorInfo&, int64_t, int64_t)>& on_bad) {
  const Container container = Container::open(path);
  const InputFile& file = *container.file();
  FileCheck result;
  result.n_tensors = std::ssize(container.tensors());
  result.has_checksum = container.checksum_offset() >= 0;
  result.checksum_matches =
      result.has_checksum && checksum_matches(file, container.checksum_offset());
  for (const TensorInfo& tensor : container.tensors()) {
    int64_t n_nan = 0, n_infinite = 0;
    if (tensor.dtype != Format::kF32 && tensor.dtype != Format::kBf16) continue;
    read_parts(file, tensor.offset, tensor.end(), [&](std::span<const std::byte> part) {
      if (tensor.dtype == Format::kF32) {
        count<uint32_t>(part, 0x7F800000, 0x007FFFFF, &n_nan, &n_infinite);
      } else {
        count<uint16_t>(part, 0x7F80, 0x007F, &n_nan, &n_infinite);
      }
    });
    if (n_nan + n_infinite == 0) continue;
    ++result.n_bad_tensors;
    result.n_nan += n_nan;
    result.n_infinite += n_infinite;
    on_bad(tensor, n_nan, n_infinite);
  }
  if (result.checksum_matches || !result.has_checksum) check_model(container);
  return result;
}

}  // namespace headlane

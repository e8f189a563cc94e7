#include "engine/model/file_check.h"

#include <cmath>
#include <cstring>

#include "engine/file/file_checksum.h"
#include "engine/model/model_check.h"

namespace headlane {
namespace {

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

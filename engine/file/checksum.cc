#include "engine/file/checksum.h"

#define XXH_INLINE_ALL  // nothing of the library's is linked
#include <xxhash.h>

#include <cstring>

namespace headlane {

struct Checksum::State {
  XXH3_state_t xxh;
};

Checksum::Checksum() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh); }
Checksum::~Checksum() = default;

void Checksum::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size());
}

std::array<std::byte, 16> Checksum::value() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->xxh));
  std::array<std::byte, 16> value;
  static_assert(sizeof canonical.digest == sizeof value);
  std::memcpy(value.data(), canonical.digest, sizeof value);
  return value;
}

}  // namespace headlane

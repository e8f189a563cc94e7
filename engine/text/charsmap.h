// SentencePiece's compiled character map as the `tokenizers` library uses it: a rule replaces a
// whole grapheme of fewer than six bytes if its first characters have one, else each character that
// has one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/normalizers.h"

namespace headlane {

class Charsmap : public Normalizer {
 public:
  // Throws Error(kBadFile), as check_charsmap.
  Charsmap(std::span<const std::byte> bytes, const std::string& where);

  void normalize(const NormalText& in, NormalText* out) const override;

 private:
  // Returns the text that the shortest rule puts in place of the beginning of `part`; nothing if no
  // rule fits.
  std::optional<std::string_view> replacement(std::string_view part) const;

  std::vector<uint32_t> units_;
  std::string texts_;
  std::array<bool, 128> is_kept_;  // ASCII characters without a rule
};

}  // namespace headlane

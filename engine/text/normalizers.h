// A text goes through these steps before it is split into pieces: the normalizers of the
// `tokenizers` library, step by step. Time is linear in the text, except for the sorting of a run
// of combining marks.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/json.h"

namespace headlane {

// A text that steps have changed. Metaspace asks whether a piece begins with the caller's first
// character, so steps keep account of what became of it.
struct NormalText {
  std::string text;        // well-formed UTF-8
  size_t first_bytes = 0;  // leading bytes of `text` that stem from the caller's first character
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Sets `out` to the normal form of `in`, another object.
  virtual void normalize(const NormalText& in, NormalText* out) const = 0;
};

using Normalizers = std::vector<std::unique_ptr<Normalizer>>;

// The steps of a tokenizer.json's "normalizer": an object, or null, which has none. `charsmap` is
// what its Precompiled step maps characters by, which the object itself does not have. Throws
// Error(kBadFile), or Error(kUnsupported) for a step that is not one of these.
Normalizers read_normalizers(const Json& spec, std::span<const std::byte> charsmap,
                             const std::string& where);

// Puts `text` through all steps.
void normalize(const Normalizers& steps, NormalText* text);

}  // namespace headlane

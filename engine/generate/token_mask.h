// Masks of tokens: somebody outside of a search says which tokens may come next.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace headlane {

// One bit for each token, 1 where it may come: bit id % 32 of word id / 32.
using TokenMask = std::span<const uint32_t>;

inline int64_t mask_words(int64_t vocab_size) { return (vocab_size + 31) / 32; }

inline bool is_allowed(TokenMask mask, int32_t id) {
  return (mask[static_cast<size_t>(id) / 32] >> (static_cast<uint32_t>(id) % 32) & 1) != 0;
}

// A callback says one of these.
enum class Next {
  kGoOn,
  kStopSource,  // its answers are what it has so far
  kStopAll,
};

struct MaskRequest {
  int64_t number = 0;            // of the sequence, or of the source
  std::span<const int32_t> ids;  // of the prompt and what came after it
  int64_t n_new = 0;             // of these, those that came after the prompt
  std::span<uint32_t> mask;      // without a bit; the bits of tokens that may come are to be set
};

// May throw Error. Where it sets no bit, the answer ends.
using FillMask = std::function<Next(const MaskRequest&)>;

// Clears the mask and has it filled. The bits behind the last token are 0 afterwards.
Next ask_for_mask(const FillMask& fill, int64_t vocab_size, MaskRequest request);

bool is_empty(TokenMask mask);

}  // namespace headlane

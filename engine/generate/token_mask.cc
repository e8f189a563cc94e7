#include "engine/generate/token_mask.h"

#include <algorithm>

namespace headlane {

Next ask_for_mask(const FillMask& fill, int64_t vocab_size, MaskRequest request) {
  std::ranges::fill(request.mask, 0U);
  const Next next = fill(request);
  const auto n_last = static_cast<uint32_t>(vocab_size % 32);
  if (n_last != 0) request.mask.back() &= (uint32_t{1} << n_last) - 1;
  return next;
}

bool is_empty(TokenMask mask) {
  return std::ranges::all_of(mask, [](uint32_t word) { return word == 0; });
}

}  // namespace headlane

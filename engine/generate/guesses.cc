#include "engine/generate/guesses.h"

#include <algorithm>

namespace headlane {
namespace {

// One token in common is mostly chance, and beyond eight more tell nothing new.
constexpr int64_t kLeastAlike = 2, kMostAlike = 8;

// How many tokens before a[end] and before b[end] are the same.
int64_t n_alike_before(std::span<const int32_t> ids, int64_t a, int64_t b) {
  int64_t n = 0;
  while (n < std::min(a, kMostAlike) &&
         ids[static_cast<size_t>(a - 1 - n)] == ids[static_cast<size_t>(b - 1 - n)]) {
    ++n;
  }
  return n;
}

}  // namespace

void guess_from_own(std::span<const int32_t> ids, int64_t most, std::vector<int32_t>* guesses) {
  guesses->clear();
  const int64_t length = std::ssize(ids);
  int64_t best = 0, from = 0;
  for (int64_t end = length - 1; end >= kLeastAlike && best < kMostAlike; --end) {
    const int64_t n = n_alike_before(ids, end, length);
    if (n <= best) continue;
    best = n;
    from = end;
  }
  if (best < kLeastAlike) return;
  const auto begin = ids.begin() + from;
  guesses->assign(begin, begin + std::min(most, length - from));
}

}  // namespace headlane

// Where values of known lifetimes lie in one block of memory: a pure function, no kernels, no
// threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace headlane {

// A value that lives from step `first` to step `last`, both included: two values may share memory
// only if one's last comes before the other's first.
struct Lifetime {
  int first = 0;
  int last = 0;
  int64_t size = 0;  // in whatever unit the offsets are to have; 0 takes no room
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // one for each lifetime, in the order given
  int64_t size = 0;              // of the whole block
};

// Places the largest first, each into the smallest gap that fits between those it overlaps in time,
// or at the end. Offsets are multiples of `alignment`.
MemoryPlan plan_memory(std::span<const Lifetime> lifetimes, int64_t alignment);

}  // namespace headlane

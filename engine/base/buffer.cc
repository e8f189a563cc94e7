#include "engine/base/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace headlane {

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  constexpr size_t kCacheLine = 64, kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kCacheLine;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes ? bytes : 1) != 0) throw std::bad_alloc();
  // Advice only: fewer page faults and TLB misses. Only whole huge pages, so that no memory is
  // taken that was not asked for.
  if (bytes >= kHugePage) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  data_.reset(memory);
}

void Buffer::Free::operator()(void* p) const { std::free(p); }

}  // namespace headlane

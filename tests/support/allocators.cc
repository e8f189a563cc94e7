#include "tests/support/allocators.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unwind.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<int64_t> n_asked{0}, n_live{0}, n_failed{0}, n_spared{0};
std::atomic<int64_t> until_failure{0};  // 1: the next fails; 0 and below: none
std::atomic<bool> fails_later{false};
const char* spared = nullptr;

template <typename Function>
Function next_of(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// Whether the library that is spared asks, by whatever calls.
bool is_spared() {
  if (spared == nullptr) return false;
  bool found = false;
  const auto look = [](_Unwind_Context* frame, void* result) {
    Dl_info info;
    const bool is = dladdr(reinterpret_cast<void*>(_Unwind_GetIP(frame)), &info) != 0 &&
                    info.dli_fname != nullptr && std::strstr(info.dli_fname, spared) != nullptr;
    *static_cast<bool*>(result) |= is;
    return is ? _URC_END_OF_STACK : _URC_NO_REASON;
  };
  _Unwind_Backtrace(look, &found);
  return found;
}

// Counts an allocation; whether it is to fail.
bool fails() {
  ++n_asked;
  if (until_failure <= 0) return false;
  const int64_t left = until_failure.fetch_sub(1);
  if (left != 1) return false;
  if (is_spared()) {
    ++n_spared;
    until_failure = 1;
    return false;
  }
  if (fails_later) until_failure = 1;
  ++n_failed;
  return true;
}

void* counted(void* block) {
  if (block) ++n_live;
  return block;
}

}  // namespace

namespace headlane::test {

int64_t n_allocations() { return n_asked; }
int64_t n_live_allocations() { return n_live; }
int64_t n_failed_allocations() { return n_failed; }
int64_t n_spared_allocations() { return n_spared; }
void spare_library(const char* name) { spared = name; }

void fail_allocation(int64_t n, bool and_later) {
  n_failed = n_spared = 0;
  fails_later = and_later;
  until_failure = n;
}

}  // namespace headlane::test

// operator new and delete are the C++ library's, which come here. They must be seen by libraries.
#pragma GCC visibility push(default)
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

static void* no_memory() {
  errno = ENOMEM;
  return nullptr;
}

void* malloc(size_t bytes) { return fails() ? no_memory() : counted(__libc_malloc(bytes)); }
void* calloc(size_t n, size_t bytes) {
  return fails() ? no_memory() : counted(__libc_calloc(n, bytes));
}
void* realloc(void* p, size_t bytes) {
  if (fails()) return no_memory();
  void* moved = __libc_realloc(p, bytes);
  if (p == nullptr && moved != nullptr) ++n_live;
  if (p != nullptr && bytes == 0 && moved == nullptr) --n_live;
  return moved;
}
void* memalign(size_t alignment, size_t bytes) {
  return fails() ? no_memory() : counted(__libc_memalign(alignment, bytes));
}
void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void** out, size_t alignment, size_t bytes) {
  void* block = memalign(alignment, bytes);
  if (block == nullptr) return ENOMEM;
  *out = block;
  return 0;
}
void free(void* p) {
  const int error = errno;
  if (p) --n_live;
  __libc_free(p);
  errno = error;
}

void* mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  static const auto kNext = next_of<decltype(&mmap)>("mmap");
  if (fails()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  void* mapped = kNext(address, bytes, protection, flags, fd, offset);
  if (mapped != MAP_FAILED) ++n_live;
  return mapped;
}
int munmap(void* address, size_t bytes) {
  static const auto kNext = next_of<decltype(&munmap)>("munmap");
  --n_live;
  return kNext(address, bytes);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) {
  static const auto kNext = next_of<decltype(&pthread_create)>("pthread_create");
  if (fails()) return EAGAIN;
  return kNext(thread, attributes, start, argument);
}
}
#pragma GCC visibility pop

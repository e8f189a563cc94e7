// Calls return these: each thread's message of its last call, and statuses in words.
#include <pthread.h>

#include <cstdlib>
#include <cstring>

#include "engine/api/c_api.h"

namespace {

using headlane::Status;
static_assert(static_cast<int>(Status::kInvalidArgument) == HEADLANE_INVALID_ARGUMENT);
static_assert(static_cast<int>(Status::kIo) == HEADLANE_IO);
static_assert(static_cast<int>(Status::kBadFile) == HEADLANE_BAD_FILE);
static_assert(static_cast<int>(Status::kUnsupported) == HEADLANE_UNSUPPORTED);
static_assert(static_cast<int>(Status::kOutOfMemory) == HEADLANE_OUT_OF_MEMORY);
static_assert(static_cast<int>(Status::kTooLarge) == HEADLANE_TOO_LARGE);
static_assert(static_cast<int>(Status::kInternal) == HEADLANE_INTERNAL);
static_assert(static_cast<int>(Status::kCancelled) == HEADLANE_CANCELLED);

// In the thread's own block. The message itself would be too large for that; and in a library that
// was loaded by dlopen, what is not in that block is made at its first use, and the process ends if
// there is no memory for it.
[[gnu::tls_model("initial-exec")]] constinit thread_local const char* shown = "";

// Frees a thread's room when it ends, by a function of the C library's: the thread may outlive this
// one.
class Rooms {
 public:
  Rooms() : exists_(pthread_key_create(&key_, std::free) == 0) {}
  Rooms(const Rooms&) = delete;
  Rooms& operator=(const Rooms&) = delete;
  // When the library is unloaded, or the process ends. Other threads' rooms, if a call of theirs
  // ever failed, are lost if they live on.
  ~Rooms() {
    if (!exists_) return;
    exists_ = false;
    shown = "";
    std::free(pthread_getspecific(key_));
    pthread_key_delete(key_);
  }

  // This thread's, [kMaxMessageBytes]; null: there is no memory.
  char* take() const {
    if (!exists_) return nullptr;
    void* room = pthread_getspecific(key_);
    if (room != nullptr) return static_cast<char*>(room);
    room = std::malloc(headlane::kMaxMessageBytes);
    if (room != nullptr && pthread_setspecific(key_, room) != 0) {
      std::free(room);
      return nullptr;
    }
    return static_cast<char*>(room);
  }

 private:
  pthread_key_t key_ = 0;
  bool exists_;
};

Rooms rooms;

}  // namespace

void headlane::c_api::clear_message() noexcept { shown = ""; }

void headlane::c_api::set_message(const char* message) noexcept {
  char* to = rooms.take();
  if (to == nullptr) {
    shown = "out of memory, even for the message";
    return;
  }
  const size_t n = strnlen(message, kMaxMessageBytes - 1);
  std::memmove(to, message, n);
  to[n] = '\0';
  shown = to;
}

const char* headlane_error(void) { return shown; }

const char* headlane_version(void) { return HEADLANE_VERSION; }

const char* headlane_status_name(headlane_status status) {
  switch (status) {
    case HEADLANE_OK:
      return "ok";
    case HEADLANE_INVALID_ARGUMENT:
      return "invalid argument";
    case HEADLANE_IO:
      return "input/output error";
    case HEADLANE_BAD_FILE:
      return "bad file";
    case HEADLANE_UNSUPPORTED:
      return "unsupported";
    case HEADLANE_OUT_OF_MEMORY:
      return "out of memory";
    case HEADLANE_TOO_LARGE:
      return "too large";
    case HEADLANE_INTERNAL:
      return "internal error";
    case HEADLANE_CANCELLED:
      return "cancelled";
  }
  return "unknown status";
}

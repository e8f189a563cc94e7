#include "engine/api/options.h"

#include "engine/api/c_api.h"

namespace headlane::c_api {

static_assert(static_cast<int>(LogLevel::kInfo) == HEADLANE_LOG_INFO);
static_assert(static_cast<int>(LogLevel::kWarning) == HEADLANE_LOG_WARNING);

const char* Threads::name() const {
  return pool.parallel_for ? "tasks on the caller's pool" : "threads";
}

Threads read_threads(int32_t n_threads, const headlane_thread_pool* pool) {
  constexpr int kMostThreads = 1024;
  const auto check = [](const char* name, int least, int n) {
    if (n >= least && n <= kMostThreads) return;
    fail(Status::kInvalidArgument, "%s is %d; it must be from %d to %d", name, n, least,
         kMostThreads);
  };
  check("n_threads", 0, n_threads);
  if (pool == nullptr) return {n_threads, {}};
  const auto read = read_struct(pool, "headlane_thread_pool");
  if (read.parallel_for == nullptr) fail(Status::kInvalidArgument, "pool.parallel_for is null");
  check("pool.n_threads", 1, read.n_threads);
  return {n_threads ? n_threads : read.n_threads, {read.parallel_for, read.user}};
}

Log read_log(headlane_log log, void* user) {
  const auto tell = [](void (*host)(), void* to, LogLevel level, const char* message) {
    reinterpret_cast<headlane_log>(host)(to, static_cast<headlane_log_level>(level), message);
  };
  return log ? Log(tell, reinterpret_cast<void (*)()>(log), user) : Log();
}

void WorkOptions::check_memory(size_t needed) const {
  if (memory == nullptr) return;
  if (memory_bytes < needed) {
    fail(Status::kInvalidArgument, "option memory_bytes is %zu; these options need %zu or more",
         memory_bytes, needed);
  }
  if (reinterpret_cast<uintptr_t>(memory) % 64 != 0) {
    fail(Status::kInvalidArgument, "option memory is %p; it must be aligned to 64 bytes", memory);
  }
}

}  // namespace headlane::c_api

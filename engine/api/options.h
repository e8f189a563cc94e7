// Fields that options of several handles have: threads, memory, precision, and a log.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/log.h"
#include "engine/base/team.h"
#include "headlane/host.h"

namespace headlane::c_api {

// The threads that options ask for, checked: how many (0 if they do not say it), and whose.
struct Threads {
  int64_t count = 0;
  CallerPool pool;

  // "threads" or "tasks on the caller's pool": what a log calls them.
  const char* name() const;
};
Threads read_threads(int32_t n_threads, const headlane_thread_pool* pool);

// Null tells nobody.
Log read_log(headlane_log log, void* user);

// The options that sessions, generators and attentions share: threads, precision, memory.
struct WorkOptions {
  Threads threads;
  std::string precision;  // "": not said
  void* memory = nullptr;
  size_t memory_bytes = 0;

  // Throws Error unless the caller's block, if there is one, is large enough and aligned.
  void check_memory(size_t needed) const;
};
template <typename Options>
WorkOptions read_work_options(const Options& options) {
  return {read_threads(options.n_threads, options.pool), options.precision ? options.precision : "",
          options.memory, options.memory_bytes};
}

}  // namespace headlane::c_api

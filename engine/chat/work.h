// What a template may ask for. Everything that takes time or memory says so here first.
#pragma once

#include <cstdint>

#include "engine/base/error.h"
#include "engine/file/limits.h"

namespace headlane::chat {

class Work {
 public:
  // Throws Error(kTooLarge).
  void step(int64_t n = 1) {
    steps_ += n;
    if (steps_ <= file_limits::kChatSteps) return;
    fail(Status::kTooLarge, "the template takes more than %lld steps",
         static_cast<long long>(file_limits::kChatSteps));
  }
  void take(int64_t bytes) {
    bytes_ += bytes;
    if (bytes_ <= file_limits::kChatBytes) return;
    fail(Status::kTooLarge, "the template makes more than %lld bytes of text",
         static_cast<long long>(file_limits::kChatBytes));
  }
  // A search for `wanted` bytes in others may compare all of them at each place.
  void search(size_t bytes, size_t wanted) {
    step(static_cast<int64_t>(bytes / 64) * static_cast<int64_t>(wanted / 64));
  }

  // Calls of functions in each other, and statements and expressions in these.
  class Depth {
   public:
    explicit Depth(Work* work) : work_(work) {
      if (++work->depth_ <= file_limits::kChatRunDepth) return;
      --work->depth_;
      fail(Status::kTooLarge, "the template calls itself more than %lld levels deep",
           static_cast<long long>(file_limits::kChatRunDepth));
    }
    ~Depth() { --work_->depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    Work* work_;
  };

 private:
  int64_t steps_ = 0, bytes_ = 0, depth_ = 0;
};

}  // namespace headlane::chat

#include "tools/headlane/output/progress.h"

#include <algorithm>
#include <cstdio>
#include <string>

namespace tool {

Progress::Progress(bool enabled, int64_t total_bytes)
    : enabled_(enabled), total_bytes_(total_bytes), start_(Clock::now()), last_(start_) {}

Progress::~Progress() {
  if (shown_) std::fprintf(stderr, "\r\033[K");
}

void Progress::update(int64_t sentences, int64_t bytes) {
  if (!enabled_) return;
  const Clock::time_point now = Clock::now();
  if (now - last_ < std::chrono::milliseconds(200)) return;  // short inputs never show it
  last_ = now;
  shown_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = static_cast<double>(sentences) / seconds;
  if (total_bytes_ > 0) {
    constexpr int kWidth = 30;
    const double share =
        std::min(1.0, static_cast<double>(bytes) / static_cast<double>(total_bytes_));
    const std::string bar(static_cast<size_t>(share * kWidth), '#');
    std::fprintf(stderr, "\r[%-*s] %3.0f %%  %lld sentences, %.0f/s\033[K", kWidth, bar.c_str(),
                 share * 100, static_cast<long long>(sentences), rate);
  } else {
    std::fprintf(stderr, "\r%lld sentences, %.0f/s\033[K", static_cast<long long>(sentences), rate);
  }
}

}  // namespace tool

// A line on standard error, if that is a terminal, that says how far a long input is.
#pragma once

#include <chrono>
#include <cstdint>

namespace tool {

class Progress {
 public:
  Progress(bool enabled, int64_t total_bytes);  // of the input; 0: unknown
  ~Progress();                                  // clears the line
  void update(int64_t sentences, int64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;
  bool enabled_;
  bool shown_ = false;
  int64_t total_bytes_;
  Clock::time_point start_, last_;
};

}  // namespace tool

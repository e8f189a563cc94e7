// In every GoogleTest program: a test that does not end is ended, and named.
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace headlane::test {
namespace {

// The longest test takes a minute and a half, under sanitizers on a busy machine.
constexpr int kSeconds = 600;

// What a handler of signals may read: "Suite.Test" and what is said of it.
char said[512];
size_t said_bytes = 0;

void say_and_end(int) {
  if (write(STDERR_FILENO, said, said_bytes) < 0) _exit(1);
  raise(SIGABRT);  // ends the program as soon as this handler has ended
}

// The timer's signal is that of `timeout --signal=ABRT` in tests/run_cases, and of abort().
class TimeLimit : public testing::EmptyTestEventListener {
 public:
  TimeLimit() {
    struct sigaction action = {};
    action.sa_handler = say_and_end;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGABRT, &action, nullptr);
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGABRT;
    has_timer_ = timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
  }

  void OnTestStart(const testing::TestInfo& test) override {
    const std::string words = std::string(test.test_suite_name()) + "." + test.name() +
                              " was running when the program was aborted. A test is ended after " +
                              std::to_string(kSeconds / 60) + " minutes.\n";
    said_bytes = std::min(words.size(), sizeof said);
    std::copy_n(words.begin(), said_bytes, said);
    set_timer(kSeconds);
  }
  void OnTestEnd(const testing::TestInfo&) override {
    said_bytes = 0;
    set_timer(0);
  }

 private:
  void set_timer(int seconds) {
    const itimerspec once = {{0, 0}, {seconds, 0}};
    if (has_timer_) timer_settime(timer_, 0, &once, nullptr);
  }

  timer_t timer_ = {};
  bool has_timer_ = false;
};

const bool is_there = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new TimeLimit);  // which owns it
  return true;
}();

}  // namespace
}  // namespace headlane::test

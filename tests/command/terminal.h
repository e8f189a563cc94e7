// Runs the command headlane on a terminal, as a user sees it.
#pragma once

#include <poll.h>
#include <pty.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <thread>

#include "tests/command/process.h"

namespace headlane::test {

class Terminal {
 public:
  // keeps_on: the command outlives its terminal, as nohup makes it.
  explicit Terminal(const std::vector<std::string>& arguments, bool keeps_on = false) {
    std::vector<char*> argv{const_cast<char*>(HEADLANE_TOOL)};
    for (const std::string& word : arguments) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    child_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (child_ < 0) throw std::runtime_error("no terminal");
    if (child_ == 0) {
      if (keeps_on) signal(SIGHUP, SIG_IGN);
      execv(HEADLANE_TOOL, argv.data());
      _exit(127);
    }
  }
  ~Terminal() {
    hang_up();
    if (child_ == 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // All that was shown so far.
  const std::string& shown() const { return shown_; }
  bool type(const std::string& keys) const {
    return write(terminal_, keys.data(), keys.size()) > 0;
  }
  // Reads what comes until nothing does for so long. False: the command has ended.
  bool read_for(int milliseconds) {
    for (pollfd ready{terminal_, POLLIN, 0}; poll(&ready, 1, milliseconds) > 0;) {
      char buffer[4096];
      const ssize_t n = read(terminal_, buffer, sizeof buffer);  // EIO at its end
      if (n <= 0) return false;
      shown_.append(buffer, static_cast<size_t>(n));
    }
    return true;
  }
  // Whether a text comes behind the first `from` bytes, within a minute.
  bool shows(const std::string& text, size_t from = 0) {
    for (int n = 0; n < 6000; ++n) {
      const bool is_there = read_for(10);
      if (shown_.find(text, from) != std::string::npos) return true;
      if (!is_there) return false;
    }
    return false;
  }
  // Whether the command ends within a minute.
  bool ends() {
    for (int n = 0; n < 600; ++n) {
      if (!read_for(100)) return true;
    }
    return false;
  }
  // The window is closed.
  void hang_up() {
    if (terminal_ >= 0) close(terminal_);
    terminal_ = -1;
  }
  // How the command has ended, as wait says it; -1: it is still there after a minute.
  int wait_status() {
    for (int n = 0; n < 6000; ++n) {
      int status = 0;
      if (waitpid(child_, &status, WNOHANG) == child_) {
        child_ = 0;
        return status;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return -1;
  }

 private:
  int terminal_ = -1;
  pid_t child_ = 0;  // 0: it has ended, and was waited for
  std::string shown_;
};

struct OnTerminal {
  std::string shown;
  int n_lines = 0;  // that were typed
};

// A user types a text each 100 ms, until it is enough: by what is shown by then and how much was
// typed, or because that is a minute's. Then the user types ^D each 100 ms, since the kernel drops
// the one that comes while the program changes the terminal's mode, as editors of lines do.
inline OnTerminal run_on_terminal(const std::vector<std::string>& arguments,
                                  const std::function<bool(const OnTerminal&)>& is_enough) {
  Terminal terminal(arguments);
  OnTerminal result;
  while (!is_enough(result) && result.n_lines < 600) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (!terminal.type("we\n")) throw std::runtime_error("cannot type");
    ++result.n_lines;
    terminal.read_for(0);
    result.shown = terminal.shown();
  }
  for (int n = 0; n < 600; ++n) {
    terminal.type("\x04");
    if (!terminal.read_for(100)) break;
  }
  result.shown = terminal.shown();
  return result;
}

}  // namespace headlane::test

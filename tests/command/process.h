// Runs the command headlane (or another), as a shell would, and keeps what it said.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temp_dir.h"

namespace headlane::test {

struct Finished {
  int status = -1;   // of exit; -1: ended by a signal
  std::string out;   // standard output
  std::string err;   // standard error
  long peak_kb = 0;  // most memory that was resident at once
};

struct Settings {
  std::string input;              // on standard input
  std::vector<std::string> more;  // of the environment, NAME=VALUE, in front of this process's own
};

// Through files, not pipes: a child that says much before it reads cannot block.
inline Finished run_program(const char* program, const std::vector<std::string>& arguments,
                            const Settings& settings = {}) {
  const TempDir dir;
  const std::string in = dir.file("in"), out = dir.file("out"), err = dir.file("err");
  write_file(in, settings.input);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, in.c_str(), O_RDONLY, 0);
  constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), kWrite, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), kWrite, 0600);

  std::vector<char*> argv{const_cast<char*>(program)}, environment;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  for (const std::string& entry : settings.more) {
    environment.push_back(const_cast<char*>(entry.c_str()));
  }
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);

  pid_t child = 0;
  const int error =
      posix_spawnp(&child, program, &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error(std::string("cannot run ") + program);
  int wait_status = 0;
  rusage usage{};
  if (wait4(child, &wait_status, 0, &usage) != child) throw std::runtime_error("wait4 failed");
  return {WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1, read_file(out), read_file(err),
          usage.ru_maxrss};
}

inline Finished run_headlane(const std::vector<std::string>& arguments,
                             const Settings& settings = {}) {
  return run_program(HEADLANE_TOOL, arguments, settings);
}

// With what a shell's redirections make of its standard streams: "> /dev/full", "2>&-".
inline Finished run_redirected(const std::string& redirections,
                               const std::vector<std::string>& arguments,
                               const Settings& settings = {}) {
  std::vector<std::string> shell = {"-c", "\"$0\" \"$@\" " + redirections, HEADLANE_TOOL};
  shell.insert(shell.end(), arguments.begin(), arguments.end());
  return run_program("sh", shell, settings);
}

struct OnTerminal {
  std::string shown;
  int n_lines = 0;  // that were typed
};

// On a terminal, where a user types a text each 100 ms, until it is enough: by what is shown by
// then and how much was typed, or because that is a minute's. Then the user types ^D each 100 ms,
// since the kernel drops the one that comes while the program changes the terminal's mode, as
// editors of lines do. A program that is there after a minute of this is killed.
inline OnTerminal run_on_terminal(const std::vector<std::string>& arguments,
                                  const std::function<bool(const OnTerminal&)>& is_enough) {
  std::vector<char*> argv{const_cast<char*>(HEADLANE_TOOL)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child < 0) throw std::runtime_error("no terminal");
  if (child == 0) {
    execv(HEADLANE_TOOL, argv.data());
    _exit(127);
  }
  const auto type = [&](const std::string& keys) {
    return write(terminal, keys.data(), keys.size()) > 0;
  };
  OnTerminal result;
  const auto read_some = [&] {
    char buffer[4096];
    const ssize_t n = read(terminal, buffer, sizeof buffer);  // EIO at its end
    if (n > 0) result.shown.append(buffer, static_cast<size_t>(n));
    return n > 0;
  };
  while (!is_enough(result) && result.n_lines < 600) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (!type("we\n")) throw std::runtime_error("cannot type");
    ++result.n_lines;
    for (pollfd ready{terminal, POLLIN, 0}; poll(&ready, 1, 0) > 0 && read_some();) {
    }
  }
  bool is_there = true;
  for (int n = 0; is_there; ++n) {
    if (n == 600) kill(child, SIGKILL);
    type("\x04");
    for (pollfd ready{terminal, POLLIN, 0}; is_there && poll(&ready, 1, 100) > 0;) {
      is_there = read_some();
    }
  }
  close(terminal);
  waitpid(child, nullptr, 0);
  return result;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace headlane::test

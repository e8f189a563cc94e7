// Runs the command headlane (or another), as a shell would, and keeps what it said.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/child.h"
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

  posix_spawnattr_t attributes;  // a group of its own, with which it can be ended
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, program, &actions, &attributes, argv.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error(std::string("cannot run ") + program);
  rusage usage{};
  const int wait_status = wait_for_child(child, &usage);
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

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace headlane::test

// A child process that a test waits for.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

namespace headlane::test {

// The status that waitpid gives, and what the child used. A child that is there after 5 minutes is
// killed, with its group if it leads one, and that is an exception.
inline int wait_for_child(pid_t child, rusage* usage = nullptr) {
  constexpr int kMinutes = 5;
  // A kernel, or an emulator, without such descriptors leaves it to the limit of the whole test.
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  pollfd ended{fd, POLLIN, 0};
  int n = -1;
  while (fd >= 0 && (n = poll(&ended, 1, kMinutes * 60 * 1000)) < 0 && errno == EINTR) {
  }
  if (fd >= 0) close(fd);
  if (n == 0) {
    kill(-child, SIGKILL);
    kill(child, SIGKILL);
  }
  int status = -1;
  while (wait4(child, &status, 0, usage) != child) {
    if (errno != EINTR) throw std::runtime_error("wait4 failed");
  }
  if (n == 0) throw std::runtime_error("a child process was there after 5 minutes, and was killed");
  return status;
}

}  // namespace headlane::test

#include "tools/headlane/output/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>

namespace tool {
namespace {

[[noreturn]] void fail() { throw std::runtime_error("standard output: cannot be written"); }

}  // namespace

void hold_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest number that is free is this one. Reading fails there where only writing is
    // allowed, and the other way round.
    const int opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (opened >= 0 && opened != fd) close(opened);
  }
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    fail();
  }
}

void close_standard_output() {
  const bool failed = std::ferror(stdout) != 0;
  if (std::fclose(stdout) != 0 || failed) fail();
}

}  // namespace tool

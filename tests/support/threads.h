// The threads of this process, as the system lists them.
#pragma once

#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace headlane::test {

// By number. A thread that was joined is listed for a moment longer, until the system has taken it
// away; it does not count, since all it does is end.
inline std::set<std::string> threads_of_process() {
  constexpr unsigned long kExiting = 0x4;  // PF_EXITING, set before whoever joins is told
  std::set<std::string> threads;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    // Number, name in parentheses, state, five more fields, flags.
    const std::string stat = read_file((entry.path() / "stat").string());
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos) continue;  // it went in the meantime
    std::istringstream fields(stat.substr(name_end + 1));
    std::string skipped;
    for (int i = 0; i < 6; ++i) fields >> skipped;
    unsigned long flags = 0;
    fields >> flags;
    if ((flags & kExiting) == 0) threads.insert(entry.path().filename().string());
  }
  return threads;
}

}  // namespace headlane::test

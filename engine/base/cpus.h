// How many threads this process should have.
#pragma once

#include <string>

namespace headlane {

// CPUs that this process may run on at once: those of its affinity, or as many as the CPU quota of
// its control group or one above it allows (rounded up), if that is less; at least 1.
int available_cpus();

// The quota alone, of version 1 or 2 of control groups, in CPUs; 0: none, or it cannot be read.
// `groups` names a file as /proc/self/cgroup, `root` a folder as /sys/fs/cgroup.
double cpu_quota(const std::string& groups, const std::string& root);

}  // namespace headlane

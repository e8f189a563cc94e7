#include "engine/base/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

namespace headlane {
namespace {

// Quota and period as the files of a group name them; 0 where there is none.
double quota_of(double quota, double period) {
  return quota > 0 && period > 0 ? quota / period : 0;
}

// Version 2: "max 100000" or "150000 100000".
double read_cpu_max(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  double quota = 0, period = 0;
  file >> quota >> period;  // "max" is no number
  return file ? quota_of(quota, period) : 0;
}

// Version 1: -1 stands for none.
double read_cfs(const std::string& folder) {
  double quota = 0, period = 0;
  std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
  std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  return quota_of(quota, period);
}

// The least of a group's and of all groups above it; 0: none has one.
template <typename Read>
double least(const std::string& root, std::string group, Read read) {
  double result = 0;
  for (bool at_root = false; !at_root;) {
    at_root = group.empty();
    const double quota = read(root + group);
    if (quota > 0 && (result == 0 || quota < result)) result = quota;
    if (!at_root) group.resize(group.rfind('/'));
  }
  return result;
}

// Whether `name` is one of the names of a list divided by commas.
bool is_listed(const std::string& list, const std::string& name) {
  std::istringstream names(list);
  for (std::string each; std::getline(names, each, ',');) {
    if (each == name) return true;
  }
  return false;
}

int affinity_cpus() {
  // A mask too short for the system's CPUs is refused; this one is for 2^16.
  constexpr size_t kSets = 64;
  std::vector<cpu_set_t> sets(kSets);
  const size_t bytes = kSets * sizeof(cpu_set_t);
  if (sched_getaffinity(0, bytes, sets.data()) != 0) return 1;
  return std::max(1, CPU_COUNT_S(bytes, sets.data()));
}

}  // namespace

double cpu_quota(const std::string& groups, const std::string& root) {
  std::ifstream file(groups);
  double result = 0;
  for (std::string line; std::getline(file, line);) {  // number:controllers:/path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string group = line.substr(second + 1);
    if (group.empty() || group[0] != '/') continue;
    if (group == "/") group.clear();
    double quota = 0;
    if (controllers.empty()) {
      quota = least(root, group, read_cpu_max);
    } else if (is_listed(controllers, "cpu")) {
      quota = least(root + "/cpu", group, read_cfs);
    }
    if (quota > 0 && (result == 0 || quota < result)) result = quota;
  }
  return result;
}

int available_cpus() {
  const int cpus = affinity_cpus();
  const double quota = cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
  return quota > 0 ? std::clamp(static_cast<int>(std::ceil(std::min(quota, 1e6))), 1, cpus) : cpus;
}

}  // namespace headlane

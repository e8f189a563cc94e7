#include "engine/base/cpus.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

class CpuQuota : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(dir_.file(path)).parent_path());
    std::ofstream(dir_.file(path)) << text;
  }
  double quota() const { return cpu_quota(dir_.file("groups"), dir_.file("fs")); }
  TempDir dir_;
};

TEST_F(CpuQuota, OfVersion2IsTheLeastOfTheGroupsAbove) {
  write("groups", "0::/a/b\n");
  EXPECT_EQ(quota(), 0);
  write("fs/cpu.max", "max 100000\n");
  write("fs/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 0);
  write("fs/a/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 1.5);
  write("fs/a/b/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota(), 1.5);
  write("fs/a/b/cpu.max", "20000 100000\n");
  EXPECT_EQ(quota(), 0.2);
}

TEST_F(CpuQuota, OfVersion1) {
  write("groups", "4:memory:/x\n2:cpu,cpuacct:/x\n1:cpuset:/\n");
  write("fs/cpu/cpu.cfs_quota_us", "-1\n");
  write("fs/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 0);
  write("fs/cpu/x/cpu.cfs_quota_us", "250000\n");
  write("fs/cpu/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 2.5);
}

TEST_F(CpuQuota, WhatCannotBeReadIsNone) {
  EXPECT_EQ(quota(), 0);
  for (const char* groups : {"", "0", "0::", "0::x", "::/\n::/", "0:cpu", "1:cpux:/\n"}) {
    write("groups", groups);
    write("fs/cpu/cpu.cfs_quota_us", "5");
    write("fs/cpu.max", "nothing");
    EXPECT_EQ(quota(), 0) << groups;
  }
}

TEST(Cpus, AtLeastOne) { EXPECT_GE(available_cpus(), 1); }

}  // namespace
}  // namespace headlane

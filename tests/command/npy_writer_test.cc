// The writer of .npy files in this process, whose id the temporary's name has.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/npy.h"
#include "tests/support/temp_dir.h"
#include "tools/headlane/output/npy.h"

namespace headlane::test {
namespace {

// As an attacker would put it in a shared folder, and as an earlier run that was killed leaves it.
TEST(NpyWriter, TouchesNothingThatHasTheTemporarysName) {
  const TempDir dir;
  const std::string path = dir.file("out.npy"), victim = dir.file("victim");
  const std::string stem = path + ".tmp" + std::to_string(getpid());
  write_file(victim, "precious");
  for (const char* end : {"", "-0"}) std::filesystem::create_symlink(victim, stem + end);
  tool::NpyWriter writer(path, 2);
  const float row[] = {1, 2};
  writer.append(row, 1);
  writer.finish();
  EXPECT_EQ(read_file(victim), "precious");
  EXPECT_TRUE(std::filesystem::is_symlink(stem + "-0"));
  EXPECT_FALSE(std::filesystem::is_symlink(path));
  EXPECT_EQ(read_npy(path).data, (std::vector<float>{1, 2}));
}

}  // namespace
}  // namespace headlane::test

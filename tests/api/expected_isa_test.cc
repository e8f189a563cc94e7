// tests/emulated names the instruction set that the CPU it emulates must get.
#include <cstdlib>

#include "tests/api/encoder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

TEST(ExpectedIsa, ModelRunsOnIt) {
  const char* expected = std::getenv("HEADLANE_EXPECT_ISA");
  if (expected == nullptr) GTEST_SKIP() << "HEADLANE_EXPECT_ISA is not set in this run";
  const TempDir dir;
  const std::string path = dir.file("model.headlane");
  tool::check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_8_cls", path.c_str()));
  Encoder encoder(path, "", 1);
  EXPECT_STREQ(encoder.facts().isa, expected);
  EXPECT_FALSE(encoder.encode({{1, 2, 3}}).pooled.empty());
}

}  // namespace
}  // namespace headlane::test

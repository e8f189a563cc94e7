// The instruction set that is chosen; tests/emulated names the one that the CPU it emulates must
// get.
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
  check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_8_cls", path.c_str(), nullptr));
  Encoder encoder(path, "", 1);
  EXPECT_STREQ(encoder.facts().isa, expected);
  EXPECT_FALSE(encoder.encode({{1, 2, 3}}).pooled.empty());
}

// Without a model the library says the same as a model does.
TEST(Isa, IsThatOfAModelOpenedNow) {
  const TempDir dir;
  const std::string path = dir.file("model.headlane");
  check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_8_cls", path.c_str(), nullptr));
  for (const char* isa : {static_cast<const char*>(nullptr), "ref", "avx2", "avx512", "amx"}) {
    const ModelHandle model = open_model(path, isa ? isa : "");
    const char* name = nullptr;
    ASSERT_EQ(headlane_isa(isa, &name), HEADLANE_OK) << headlane_error();
    EXPECT_STREQ(name, facts_of(model.get()).isa);
  }
  const char* name = nullptr;
  EXPECT_EQ(headlane_isa("sse2", &name), HEADLANE_INVALID_ARGUMENT);
  EXPECT_NE(std::string(headlane_error()).find("option isa is \"sse2\""), std::string::npos);
  EXPECT_EQ(name, nullptr);
  EXPECT_EQ(headlane_isa(nullptr, nullptr), HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(), "out is null");
}

TEST(Isa, NamesAreThoseThatOptionsMayHave) {
  const std::string names = headlane_isa_names();
  EXPECT_TRUE(names.starts_with("ref, avx2, ")) << names;
  size_t end = 0;
  for (size_t begin = 0; begin < names.size(); begin = end + 2) {
    end = std::min(names.find(", ", begin), names.size());
    const char* chosen = nullptr;
    EXPECT_EQ(headlane_isa(names.substr(begin, end - begin).c_str(), &chosen), HEADLANE_OK);
  }
}

}  // namespace
}  // namespace headlane::test

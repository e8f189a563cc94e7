// The command on small golden models, converted once for all tests of a process.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "tests/command/process.h"

namespace headlane::test {

inline std::string golden_folder(const std::string& name) {
  return HEADLANE_GOLDEN_DIR "/bert/" + name;
}

class CommandTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { models_ = std::make_unique<TempDir>(); }
  static void TearDownTestSuite() { models_.reset(); }

  // The .headlane file of a golden model.
  static std::string model(const std::string& name = "head_dim_16_mean_normalize") {
    std::string path = models_->file(std::filesystem::path(name).filename().string() + ".headlane");
    if (!std::filesystem::exists(path)) {
      const Finished done = run_headlane({"convert", golden_folder(name), "-o", path});
      EXPECT_EQ(done.status, 0) << done.err;
    }
    return path;
  }

  // It could not be done: status 1, nothing on standard output, one sentence that has `words`.
  static void expect_failure(const Finished& done, const std::string& words) {
    EXPECT_EQ(done.status, 1);
    EXPECT_EQ(done.out, "");
    EXPECT_TRUE(done.err.starts_with("headlane: ")) << done.err;
    EXPECT_TRUE(contains(done.err, words)) << done.err << "does not contain " << words;
    EXPECT_EQ(done.err.find('\n'), done.err.size() - 1) << done.err << "is not one line";
  }

  TempDir dir_;

 private:
  static inline std::unique_ptr<TempDir> models_;
};

}  // namespace headlane::test

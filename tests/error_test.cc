#include "engine/error.h"

#include <gtest/gtest.h>

namespace headlane {
namespace {

TEST(Error, CarriesStatusAndSentence) {
  try {
    fail(Status::kBadFile, "%s: field \"%s\" is %d", "a.headlane", "n_layers", -1);
    FAIL() << "fail returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kBadFile);
    EXPECT_STREQ(error.what(), "a.headlane: field \"n_layers\" is -1");
  }
}

}  // namespace
}  // namespace headlane

#include "engine/base/error.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

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

TEST(Error, LongPathHidesNoField) {
  const std::string path(600, 'p');
  EXPECT_ERROR(fail(Status::kBadFile, "%s: field \"%s\" is %d", path.c_str(), "n_layers", -1),
               Status::kBadFile, path + ": field \"n_layers\" is -1");
}

}  // namespace
}  // namespace headlane

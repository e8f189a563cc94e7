// A file that changes while it is open is an error of who reads, never a signal.
#include "engine/file/input_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <numeric>
#include <optional>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

class InputFileTest : public testing::Test {
 protected:
  InputFileTest() : bytes_(100'000, '\0') {
    std::iota(bytes_.begin(), bytes_.end(), '\0');
    write_file(path_, bytes_);
    file_.emplace(path_);
  }
  // Beyond the tick by which the system counts when a file was written to.
  void set_written(const std::string& path, time_t seconds) {
    const timespec times[] = {{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }

  TempDir dir_;
  const std::string path_ = dir_.file("f");
  std::string bytes_;
  std::optional<InputFile> file_;
};

TEST_F(InputFileTest, ReadsAnyPart) {
  EXPECT_EQ(file_->bytes(), 100'000);
  EXPECT_EQ(file_->read_text(0, 100'000), bytes_);
  EXPECT_EQ(file_->read_text(99'999, 1), bytes_.substr(99'999));
  EXPECT_EQ(file_->read_text(100'000, 0), "");
  const InputFile moved = std::move(*file_);
  EXPECT_EQ(moved.read_text(7, 20), bytes_.substr(7, 20));
}

TEST_F(InputFileTest, Cut) {
  std::filesystem::resize_file(path_, 5000);
  EXPECT_ERROR(file_->read_text(4000, 2000), Status::kBadFile,
               "f was cut after it was opened: it had 100000 bytes, and ends at 5000");
  EXPECT_ERROR(file_->read_text(50'000, 1), Status::kBadFile, "ends at 50000");
  EXPECT_ERROR(file_->read_text(0, 10), Status::kBadFile, "f was cut after it was opened");
}

TEST_F(InputFileTest, WrittenToInPlace) {
  set_written(path_, 1'000'000'000);
  file_.emplace(path_);
  std::fstream(path_, std::ios::in | std::ios::out | std::ios::binary) << "other bytes";
  EXPECT_ERROR(file_->read_text(0, 10), Status::kBadFile, "f was written to after it was opened");
  file_.emplace(path_);
  EXPECT_EQ(file_->read_text(0, 11), "other bytes");
  std::ofstream(path_, std::ios::app) << "and more";
  EXPECT_ERROR(file_->read_text(0, 10), Status::kBadFile, "f was written to after it was opened");
}

// An open file is still there when it has no name any more.
TEST_F(InputFileTest, ReplacedOrRemoved) {
  write_file(dir_.file("other"), "x");
  std::filesystem::rename(dir_.file("other"), path_);
  EXPECT_EQ(file_->read_text(0, 100'000), bytes_);
  std::filesystem::remove(path_);
  EXPECT_EQ(file_->read_text(0, 100'000), bytes_);
}

TEST_F(InputFileTest, WholeFilesHaveALimit) {
  EXPECT_EQ(read_whole_file(path_, 100'000), bytes_);
  EXPECT_ERROR(read_whole_file(path_, 99'999), Status::kBadFile,
               "f has 100000 bytes; such a file may have 99999");
}

}  // namespace
}  // namespace headlane

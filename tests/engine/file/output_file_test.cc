// A file is old, or new and whole, and nothing else is left, however the writing ends.
#include "engine/file/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using Until = OutputFile::Until;

std::span<const std::byte> written_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

class OutputFileTest : public testing::TestWithParam<Until> {
 protected:
  TempDir dir_;
  const std::string path_ = dir_.file("f");
};
INSTANTIATE_TEST_SUITE_P(Until, OutputFileTest, testing::Values(Until::kNameless, Until::kNamed),
                         [](const auto& info) {
                           return info.param == Until::kNamed ? "Named" : "Nameless";
                         });

TEST_P(OutputFileTest, NewAndReplaced) {
  for (const std::string text : {"first", "second", ""}) {
    OutputFile file(path_, GetParam());
    file.write(written_bytes(text));
    EXPECT_EQ(dir_.n_entries(),
              (text == "first" ? 0u : 1u) + (GetParam() == Until::kNamed ? 1 : 0));
    file.commit();
    EXPECT_EQ(read_file(path_), text);
    EXPECT_EQ(dir_.n_entries(), 1u);
  }
}

TEST_P(OutputFileTest, NotCommittedIsNotThere) {
  { OutputFile(path_, GetParam()).write(written_bytes("x")); }
  EXPECT_EQ(dir_.n_entries(), 0u);
  write_file(path_, "old");
  { OutputFile(path_, GetParam()).write(written_bytes("x")); }
  EXPECT_EQ(read_file(path_), "old");
  EXPECT_EQ(dir_.n_entries(), 1u);
}

TEST_P(OutputFileTest, ModeIsTheUmasks) {
  const mode_t old_mask = umask(027);
  OutputFile(path_, GetParam()).commit();
  umask(old_mask);
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

// A file in the way of the name that it would take in between is passed over.
TEST_P(OutputFileTest, NamesInTheWay) {
  write_file(path_, "old");
  for (int i = 0; i < 50; ++i) {
    write_file(path_ + ".tmp" + std::to_string(getpid()) + "-" + std::to_string(i), "");
  }
  OutputFile file(path_, GetParam());
  file.write(written_bytes("new"));
  file.commit();
  EXPECT_EQ(read_file(path_), "new");
  EXPECT_EQ(dir_.n_entries(), 51u);
}

// Not even of a process that is killed.
TEST(OutputFile, KilledWhileWriting) {
  const TempDir dir;
  const int probe = open(dir.path().c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
  if (probe < 0) GTEST_SKIP() << "the file system has no files without a name";
  close(probe);
  write_file(dir.file("f"), "old");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    OutputFile file(dir.file("f"));
    file.write(written_bytes("half"));
    raise(SIGKILL);
  }
  int result = 0;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  EXPECT_TRUE(WIFSIGNALED(result));
  EXPECT_EQ(read_file(dir.file("f")), "old");
  EXPECT_EQ(dir.n_entries(), 1u);
}

TEST_P(OutputFileTest, RelativeName) {
  const std::string before = std::filesystem::current_path().string();
  std::filesystem::current_path(dir_.path());
  OutputFile file("f", GetParam());
  file.write(written_bytes("x"));
  file.commit();
  std::filesystem::current_path(before);
  EXPECT_EQ(read_file(path_), "x");
}

}  // namespace
}  // namespace headlane

// A model's file that is cut, replaced, overwritten or removed while the model is open: what was
// read goes on working to the bit, what was not is an error, and nothing is ever a signal.
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "tests/api/encoder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;

class FileChanges : public testing::Test {
 protected:
  void SetUp() override {
    check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path_.c_str(),
                           nullptr));
    // The clock's tick by which the system counts when a file was written to is then long past.
    const timespec times[] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
    encoder_.emplace(path_, "", 2);
    before_ = encoder_->encode(ids_);
  }

  void expect_same() {
    const Encoded after = encoder_->encode(ids_);
    ASSERT_EQ(after.hidden.size(), before_.hidden.size());
    EXPECT_EQ(std::memcmp(after.hidden.data(), before_.hidden.data(), after.hidden.size() * 4), 0);
  }

  // Makes a session in another precision, whose weights are not packed yet.
  headlane_status make_bf16() {
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.precision = "bf16";
    headlane_session* session = nullptr;
    const headlane_status status = headlane_session_create(encoder_->model(), &options, &session);
    headlane_session_destroy(session);
    return status;
  }

  void expect_refused(const std::string& words) {
    EXPECT_EQ(make_bf16(), HEADLANE_BAD_FILE);
    EXPECT_NE(std::string(headlane_error()).find(words), std::string::npos) << headlane_error();
  }

  TempDir dir_;
  const std::string path_ = dir_.file("m.headlane");
  const Sequences ids_ = {{1, 2, 3}, {4, 1}};
  std::optional<Encoder> encoder_;
  Encoded before_;
};

TEST_F(FileChanges, Cut) {
  for (const uintmax_t bytes : {fs::file_size(path_) - 1, fs::file_size(path_) / 2, uintmax_t{0}}) {
    fs::resize_file(path_, bytes);
    expect_same();
    expect_refused("m.headlane was cut after it was opened");
  }
}

TEST_F(FileChanges, OverwrittenInPlace) {
  std::fstream(path_, std::ios::in | std::ios::out | std::ios::binary)
      << std::string(fs::file_size(path_), 'x');
  expect_same();
  expect_refused("m.headlane was written to after it was opened");
}

TEST_F(FileChanges, ReplacedByAnotherOfThatName) {
  check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_17_max_normalize", path_.c_str(),
                         nullptr));
  expect_same();
  EXPECT_EQ(make_bf16(), HEADLANE_OK) << headlane_error();
}

TEST_F(FileChanges, Removed) {
  fs::remove(path_);
  expect_same();
  EXPECT_EQ(make_bf16(), HEADLANE_OK) << headlane_error();
}

// Two threads that make sessions of different precisions, and two that encode meanwhile.
TEST_F(FileChanges, ReadByManyThreads) {
  const ModelHandle model = open_model(path_);
  const headlane_model_facts facts = facts_of(model.get());
  std::vector<std::thread> threads;
  std::atomic<int> n_same = 0;
  for (const char* precision : {"bf16", "int8", "f32", "f32"}) {
    threads.emplace_back([&, precision] {
      headlane_session_options options = HEADLANE_INIT(headlane_session_options);
      options.precision = precision;
      options.n_threads = 1;
      headlane_session* session = nullptr;
      if (headlane_session_create(model.get(), &options, &session) != HEADLANE_OK) return;
      const SessionHandle owner(session);
      const Encoded got = encode(session, facts, ids_);
      const bool same = got.hidden == before_.hidden;
      if (same || precision[0] != 'f') ++n_same;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_same, 4);
}

// Rows of the table of words that no call needed yet are still in the file.
TEST(FileChangesOfWords, RowsNotReadYet) {
  const TempDir dir;
  const std::string path = dir.file("m.headlane");
  fs::copy_file(HEADLANE_EXAMPLES_DIR "/translate/zh-en.headlane", path);
  Encoder encoder(path, "", 1);
  const Sequences first = {{1, 2, 3}}, last = {{900, 990}};
  const Encoded before = encoder.encode(first);
  fs::resize_file(path, 4096);
  EXPECT_EQ(encoder.encode(first).hidden, before.hidden);
  EXPECT_THROW(encoder.encode(last), std::runtime_error);
  EXPECT_NE(std::string(headlane_error()).find("was cut after it was opened"), std::string::npos);
  EXPECT_EQ(encoder.encode(first).hidden, before.hidden);
}

}  // namespace
}  // namespace headlane::test

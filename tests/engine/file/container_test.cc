// The container: what is written is read back, and no file, however broken, does more harm than
// Error.
#include "engine/file/container.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <numeric>

#include "engine/file/container_write.h"
#include "engine/file/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

std::span<const std::byte> bytes_of(const auto& values) { return std::as_bytes(std::span(values)); }

// Two tensors with data, and empty ones in the middle and at the end.
struct Sample {
  std::vector<float> floats = std::vector<float>(6);
  std::string vocab = "[PAD]\n[UNK]\n";
  std::vector<TensorSource> tensors;
  Json config = {{"d", 3}};
  Json tokenizer = {{"type", "wordpiece"}};

  Sample() {
    std::iota(floats.begin(), floats.end(), 1.0f);
    tensors = {{"vocab", Format::kU8, {12}, bytes_of(vocab)},
               {"none", Format::kF32, {0, 5}, {}},
               {"w", Format::kF32, {2, 3}, bytes_of(floats)},
               {"tail", Format::kU8, {0}, {}}};
  }
  void write(const std::string& path) const { write_container(path, config, tokenizer, tensors); }
};

TEST(Container, RoundTrip) {
  const TempDir dir;
  const std::string path = dir.file("m.headlane");
  const Sample sample;
  sample.write(path);
  const Container opened = Container::open(path);
  EXPECT_EQ(opened.path(), path);
  EXPECT_EQ(opened.config(), sample.config);
  EXPECT_EQ(opened.tokenizer(), sample.tokenizer);
  EXPECT_EQ(opened.file_bytes(), static_cast<int64_t>(read_file(path).size()));
  ASSERT_EQ(opened.tensors().size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const TensorSource& source = sample.tensors[i];
    const TensorInfo* tensor = opened.find(source.name);
    ASSERT_EQ(tensor, &opened.tensors()[i]);
    EXPECT_EQ(tensor->dtype, source.dtype);
    EXPECT_EQ(tensor->shape, source.shape);
    EXPECT_EQ(tensor->offset % 64, 0);
    const auto data = opened.data(*tensor);
    EXPECT_TRUE(std::equal(data.begin(), data.end(), source.data.begin(), source.data.end()));
  }
  EXPECT_EQ(opened.find("x"), nullptr);
  EXPECT_EQ(opened.find(""), nullptr);
}

TEST(Container, F32ChecksTypeAndShape) {
  const TempDir dir;
  Sample().write(dir.file("m"));
  Container opened = Container::open(dir.file("m"));
  const Container moved = std::move(opened);
  EXPECT_EQ(moved.f32("w", {2, 3})[5], 6.0f);
  EXPECT_NO_THROW(moved.f32("none", {0, 5}));
  EXPECT_ERROR(moved.f32("w", {3, 2}), Status::kBadFile,
               "m: tensor \"w\" is f32 [2, 3], not f32 [3, 2]");
  EXPECT_ERROR(moved.f32("w", {2, 3, 1}), Status::kBadFile, "not f32 [2, 3, 1]");
  EXPECT_ERROR(moved.f32("w", {6}), Status::kBadFile, "not f32 [6]");
  EXPECT_ERROR(moved.f32("vocab", {12}), Status::kBadFile, "is u8 [12], not f32 [12]");
  EXPECT_ERROR(moved.f32("v", {12}), Status::kBadFile, "tensor \"v\" is missing");
}

TEST(Container, LinkStaysAndItsFileIsReplaced) {
  namespace fs = std::filesystem;
  const TempDir dir;
  fs::create_directory(dir.file("sub"));
  write_file(dir.file("sub/m"), "old");
  fs::create_symlink("sub/m", dir.file("link"));
  fs::create_symlink("sub/new", dir.file("dangling"));
  fs::create_symlink("link", dir.file("second"));
  for (const char* name : {"link", "dangling", "second"}) {
    Sample().write(dir.file(name));
    EXPECT_TRUE(fs::is_symlink(dir.file(name))) << name;
    EXPECT_NO_THROW(Container::open(dir.file(name))) << name;
  }
  EXPECT_TRUE(fs::is_regular_file(dir.file("sub/m")));
  EXPECT_TRUE(fs::is_regular_file(dir.file("sub/new")));
  EXPECT_EQ(dir.n_entries(), 4u) << "a temporary was left behind";
}

// A pipe for all that is no file: unlike a device, every user can make one.
TEST(Container, WhatIsNoFileIsNotReplaced) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo(dir.file("pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("pipe", dir.file("link"));
  std::filesystem::create_symlink("circle", dir.file("circle"));
  for (const char* name : {"pipe", "link"}) {
    EXPECT_ERROR(Sample().write(dir.file(name)), Status::kIo,
                 name + std::string(": not a regular"));
  }
  EXPECT_ERROR(Sample().write(dir.path()), Status::kIo, dir.path() + ": not a regular");
  EXPECT_ERROR(Sample().write(dir.file("circle")), Status::kIo, "circle: cannot create: ");
  EXPECT_TRUE(std::filesystem::is_fifo(dir.file("pipe")));
  EXPECT_EQ(dir.n_entries(), 3u) << "a temporary was left behind";
}

TEST(Container, NoTensorsAndNoTokenizer) {
  const TempDir dir;
  write_container(dir.file("m"), Json::object(), nullptr, {});
  const Container opened = Container::open(dir.file("m"));
  EXPECT_TRUE(opened.tokenizer().is_null());
  EXPECT_TRUE(opened.tensors().empty());
}

TEST(Container, ScalarTensor) {
  const TempDir dir;
  const float value[] = {2.5f};
  const TensorSource scalar{"s", Format::kF32, {}, bytes_of(value)};
  write_container(dir.file("m"), Json::object(), nullptr, {{scalar}});
  EXPECT_EQ(Container::open(dir.file("m")).f32("s", {})[0], 2.5f);
}

// --- writing ---

TEST(ContainerWrite, SameInputSameBytesAndMode) {
  const TempDir dir;
  const mode_t old_mask = umask(027);
  Sample().write(dir.file("a"));
  Sample().write(dir.file("b"));
  umask(old_mask);
  EXPECT_EQ(read_file(dir.file("a")), read_file(dir.file("b")));
  struct stat info;
  ASSERT_EQ(stat(dir.file("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  EXPECT_EQ(dir.n_entries(), 2u);
}

TEST(ContainerWrite, ReplacesTheOldFile) {
  const TempDir dir;
  write_file(dir.file("m"), "old");
  Sample().write(dir.file("m"));
  EXPECT_NO_THROW(Container::open(dir.file("m")));
  EXPECT_EQ(dir.n_entries(), 1u);
}

TEST(ContainerWrite, HeaderLengthsAroundThePadding) {
  const TempDir dir;
  const float value[] = {1.0f};
  for (int n = 0; n < 130; ++n) {  // the offsets' digits change the header's length on the way
    const TensorSource source{std::string(1 + n, 'w'), Format::kF32, {1}, bytes_of(value)};
    write_container(dir.file("m"), Json::object(), nullptr, {{source}});
    EXPECT_EQ(Container::open(dir.file("m")).f32(source.name, {1})[0], 1.0f);
  }
}

TEST(ContainerWrite, RefusesWhatTheReaderWould) {
  const TempDir dir;
  const auto refused = [&](const std::function<void(Sample*)>& spoil, const char* words) {
    Sample sample;
    spoil(&sample);
    EXPECT_ERROR(sample.write(dir.file("m")), Status::kInvalidArgument, words);
  };
  const auto name = [&](const std::string& name, const char* words) {
    refused([&](Sample* s) { s->tensors[0].name = name; }, words);
  };
  name("", "tensor name \"\"");
  name("a\n", "tensor name \"a\\x0a\"");
  name(std::string(256, 'a'), "1 to 255");
  name("w", "used twice");
  name("\xff", "not UTF-8");
  refused([](Sample* s) { s->tensors[0].shape = {13}; }, "has 12 bytes, which is not u8 [13]");
  refused([](Sample* s) { s->tensors[2].shape = {-2, -3}; }, "not f32 [-2, -3]");
  refused([](Sample* s) { s->tensors[1].shape = {INT64_MAX, INT64_MAX, 0}; }, "has 0 bytes");
  refused([](Sample* s) { s->tensors[3].shape.assign(9, 0); }, "9 dimensions, more than 8");
  refused([](Sample* s) { s->config = 3; }, "config is not an object");
  refused([](Sample* s) { s->tokenizer = "x"; }, "tokenizer not one or null");
  EXPECT_EQ(dir.n_entries(), 0u);
}

// The same bytes, in whatever pieces the data come.
TEST(ContainerWrite, PieceByPiece) {
  const TempDir dir;
  const Sample sample;
  sample.write(dir.file("whole"));
  for (const size_t most : {1, 5, 1000}) {
    ContainerWriter writer(dir.file("pieces"), sample.config, sample.tokenizer, sample.tensors);
    for (const TensorSource& tensor : sample.tensors) {
      std::span<const std::byte> left = tensor.data;
      while (!left.empty()) {
        const size_t n = std::min(most, left.size());
        writer.write(left.first(n));
        left = left.subspan(n);
      }
    }
    writer.commit();
    EXPECT_EQ(read_file(dir.file("pieces")), read_file(dir.file("whole"))) << most;
  }
}

TEST(ContainerWrite, NothingIsThereWithoutCommit) {
  const TempDir dir;
  const Sample sample;
  {
    ContainerWriter writer(dir.file("m"), sample.config, sample.tokenizer, sample.tensors);
    writer.write(sample.tensors[0].data);
  }
  EXPECT_EQ(dir.n_entries(), 0u);
}

TEST(ContainerWrite, ShapesThatNoFileHas) {
  const TempDir dir;
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{INT64_MAX, INT64_MAX}, {INT64_MAX / 4}, {int64_t{1} << 42}}) {
    const std::vector<TensorSource> tensors(3, {"w", Format::kF32, shape, {}});
    EXPECT_ERROR(
        ContainerWriter(dir.file("m"), Json::object(), nullptr, std::span(tensors).first(1)),
        Status::kTooLarge, "m");
  }
  EXPECT_EQ(dir.n_entries(), 0u);
}

TEST(ContainerView, WithoutData) {
  const TensorSource tensors[] = {{"w", Format::kF32, {1 << 10, 1 << 20}, {}},
                                  {"v", Format::kF32, {3}, {}},
                                  {"none", Format::kF32, {0}, {}}};
  const Container view = Container::view("name", Json::object(), nullptr, tensors);
  const float* v = view.f32("v", {3});
  EXPECT_EQ(std::vector<float>(v, v + 3), std::vector<float>(3));
  EXPECT_EQ(view.f32("v", {3}), v) << "the same each time";
  EXPECT_ERROR(view.f32("v", {4}), Status::kBadFile, "name: tensor \"v\" is f32 [3], not f32 [4]");
  EXPECT_EQ(view.weight("w", "", 1 << 10, 1 << 20).data, nullptr);
}

TEST(ContainerWrite, RefusedByTheSystem) {
  const TempDir dir;
  EXPECT_ERROR(Sample().write(dir.file("none/m")), Status::kIo, "none/m: cannot create: No such");
  write_file(dir.file("file"), "");
  EXPECT_ERROR(Sample().write(dir.file("file/m")), Status::kIo, "Not a directory");
  mkdir(dir.file("dir").c_str(), 0755);
  EXPECT_ERROR(Sample().write(dir.file("dir")), Status::kIo, "dir: not a regular file");
  EXPECT_EQ(dir.n_entries(), 2u);
}

// A disk that is full, played by a limit on file sizes in a child process.
TEST(ContainerWrite, FailedWriteKeepsTheOldFileAndNoTemporary) {
  const TempDir dir;
  const std::string path = dir.file("m");
  write_file(path, "old");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{300, 300};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      Sample().write(path);
      _exit(1);
    } catch (const Error& error) {
      const bool is_told = std::strstr(error.what(), "m: cannot write: File too large") != nullptr;
      _exit(error.status() == Status::kIo && is_told ? 0 : 2);
    }
  }
  int result = -1;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  EXPECT_EQ(result, 0);
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(dir.n_entries(), 1u);
}

}  // namespace
}  // namespace headlane

// A full disk, a limit on file sizes or a signal leaves of the files that commands write the old
// file, or the whole new one, and no other.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <functional>
#include <thread>

#include "tests/command/model_fixture.h"
#include "tests/support/child.h"

namespace headlane::test {
namespace {

using Faults = CommandTest;

// Whether files need no name until they are whole; elsewhere a killed process leaves a temporary.
bool has_nameless_files(const std::string& dir) {
  const int fd = open(dir.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

// Runs body() in a child process; its result is the exit status.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  const int result = wait_for_child(child);
  return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

std::vector<std::vector<std::string>> writing_commands(const std::string& model,
                                                       const std::string& out) {
  return {{"convert", golden_folder("head_dim_16_mean_normalize"), "-o", out},
          {"embed", "-m", model, "-o", out, "a b c", "d", "e", "f"},
          {"attention", "-m", model, "--html", out, "a b c d e f g"}};
}

// The limit counts as a full disk does, where the signal that comes with it is ignored.
TEST_F(Faults, LimitOnFileSizes) {
  const std::string out = dir_.file("out"), path = model();
  for (const auto& command : writing_commands(path, out)) {
    write_file(out, "old");
    const std::string said = dir_.file("said");
    const int status = in_child([&] {
      signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{700, 700};
      setrlimit(RLIMIT_FSIZE, &limit);
      const Finished finished = run_headlane(command);
      write_file(said, finished.err.substr(0, 600));
      return finished.status;
    });
    EXPECT_EQ(status, 1) << command[0];
    EXPECT_TRUE(contains(read_file(said), "out: ")) << read_file(said);
    EXPECT_TRUE(contains(read_file(said), "File too large")) << read_file(said);
    EXPECT_EQ(read_file(out), "old") << command[0];
    std::filesystem::remove(said);
    EXPECT_EQ(dir_.n_entries(), 1u) << command[0];
  }
}

// On a file system of 64 KB, which needs a namespace of mounts of its own.
TEST_F(Faults, FullDisk) {
  const std::string path = model(), disk = dir_.file("disk");
  std::filesystem::create_directory(disk);
  constexpr int kNoNamespace = 77;
  const int status = in_child([&] {
    if (unshare(CLONE_NEWNS) != 0) return kNoNamespace;
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kNoNamespace;
    if (mount("none", disk.c_str(), "tmpfs", 0, "size=64k") != 0) return kNoNamespace;
    write_file(disk + "/out", "old");
    const std::string folder = golden_folder("head_dim_16_mean_normalize");
    const Finished done = run_headlane({"convert", folder, "-o", disk + "/out"});
    if (done.status != 1 || !contains(done.err, "No space left on device")) return 1;
    if (read_file(disk + "/out") != "old") return 2;
    const std::filesystem::directory_iterator entries(disk);
    return std::distance(begin(entries), end(entries)) == 1 ? 0 : 3;
  });
  if (status == kNoNamespace) GTEST_SKIP() << "no file system can be mounted here";
  EXPECT_EQ(status, 0);
}

// Starts the command as from a shell of its own: with no signal blocked or ignored.
pid_t start_headlane(std::vector<std::string> arguments) {
  std::vector<char*> argv{const_cast<char*>(HEADLANE_TOOL)};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  pid_t child = -1;
  const int error = posix_spawn(&child, HEADLANE_TOOL, nullptr, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  return error == 0 ? child : -1;
}

// Signals at moments spread over the time that a conversion takes here. None of them may come in
// time where the machine does much else: then more are sent.
TEST_F(Faults, SignalWhileConverting) {
  if (!has_nameless_files(dir_.path())) {
    GTEST_SKIP() << "the file system has no files without a name";
  }
  constexpr int kMoments = 30;
  const std::string whole = read_file(model()), out = dir_.file("out");
  const std::string folder = golden_folder("head_dim_16_mean_normalize");
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run_headlane({"convert", folder, "-o", out}).status, 0);
  const auto taken = std::chrono::steady_clock::now() - begin;
  std::filesystem::remove(out);
  int n_killed = 0;
  for (int i = 0; i < kMoments || (n_killed == 0 && i < 20 * kMoments); ++i) {
    const int signal_number = i % 3 == 0 ? SIGINT : i % 3 == 1 ? SIGTERM : SIGKILL;
    const pid_t child = start_headlane({"convert", folder, "-o", out});
    ASSERT_GT(child, 0);
    const auto moment = taken * (i % kMoments) / kMoments;
    std::this_thread::sleep_for(moment);
    kill(child, signal_number);
    const int result = wait_for_child(child);
    if (WIFSIGNALED(result)) ++n_killed;
    if (std::filesystem::exists(out)) {
      EXPECT_TRUE(read_file(out) == whole);
      std::filesystem::remove(out);
    }
    EXPECT_EQ(dir_.n_entries(), 0u)
        << "after " << std::chrono::nanoseconds(moment).count() << " nanoseconds";
  }
  EXPECT_GT(n_killed, 0);
}

}  // namespace
}  // namespace headlane::test

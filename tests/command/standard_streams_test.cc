// Standard streams that are full, closed or broken: a sentence and status 1, never silence.
#include "tests/command/model_fixture.h"
#include "tests/command/translate_fixture.h"

namespace headlane::test {
namespace {

using StandardStreams = CommandTest;
using Words = std::vector<std::string>;

// Every command that prints, and every form in which it does.
std::vector<Words> printing_commands(const std::string& model) {
  return {{"--help"},
          {"--version"},
          {"embed", "--help"},
          {"info", model},
          {"info", "--json", model},
          {"info", "--check", model},
          {"info", "--check", "--json", model},
          {"embed", "-m", model, "a"},
          {"similarity", "-m", model, "a", "b"},
          {"attention", "-m", model, "a"},
          {"attention", "-m", model, "a", "--layer", "0", "--head", "0"},
          {"attention", "-m", model, "a", "--json"},
          {"translate", "-m", kExample, kFineDay},
          {"translate", "-m", kExample, "--json", kFineDay},
          {"translate", "-m", kExample, "--stream", kFineDay},
          {"bench", "--seconds", "0"},
          {"bench", "-m", model, "1x8", "--seconds", "0"},
          {"bench", "-m", model, "1x8", "--seconds", "0", "--json"}};
}

TEST_F(StandardStreams, OutputThatCannotBeWrittenIsAFailure) {
  for (const Words& command : printing_commands(model())) {
    for (const char* where : {"> /dev/full", ">&-"}) {
      const Finished done = run_redirected(where, command);
      EXPECT_EQ(done.status, 1) << testing::PrintToString(command) << where;
      EXPECT_EQ(done.err, "headlane: standard output: cannot be written\n")
          << testing::PrintToString(command) << where;
    }
  }
}

// By a parent that ignores SIGPIPE, as Python does for its children's parents.
TEST_F(StandardStreams, ReaderThatWentAwayIsAFailure) {
  for (const Words& command : printing_commands(model())) {
    const std::string status = dir_.file("status"), said = dir_.file("said");
    const Words words = command;
    const std::string script =
        "trap '' PIPE; { sleep 0.1; \"$0\" \"$@\" 2> " + said + "; echo $? > " + status + "; } | :";
    Words shell = {"-c", script, HEADLANE_TOOL};
    shell.insert(shell.end(), words.begin(), words.end());
    run_program("sh", shell);
    EXPECT_EQ(read_file(status), "1\n") << testing::PrintToString(command);
    EXPECT_EQ(read_file(said), "headlane: standard output: cannot be written\n");
  }
}

TEST_F(StandardStreams, CommandThatPrintsNothingNeedsNoOutput) {
  const std::string path = dir_.file("out.npy");
  const Finished done =
      run_redirected("<&- >&- 2>&-", {"embed", "-m", model(), "-o", path, "--stats", "a"});
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(read_npy(path).shape, (std::vector<int64_t>{1, 48}));
  // What was said to the closed stream is not in the file that was opened after it.
  EXPECT_EQ(read_file(path).size(), 128 + 48 * sizeof(float));
}

}  // namespace
}  // namespace headlane::test

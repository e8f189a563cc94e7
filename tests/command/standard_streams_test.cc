// Standard streams that are full, closed or broken: a sentence and status 1, never silence.
#include <algorithm>

#include "tests/command/model_fixture.h"
#include "tests/command/translate_fixture.h"
#include "tests/support/sanitizers.h"

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
          {"embed", "-m", model, "a", "-o", "-"},
          {"attention", "-m", model, "a", "--html", "-"},
          {"attention", "-m", model, "a", "--png", "-"},
          {"bench", "-m", model, "1x8", "--seconds", "0"},
          {"bench", "-m", model, "1x8", "--seconds", "0", "--json"}};
}

TEST_F(StandardStreams, OutputThatCannotBeWrittenIsAFailure) {
  for (const Words& command : printing_commands(model())) {
    for (const char* where : {"> /dev/full", ">&-"}) {
      const Finished done = run_redirected(where, command);
      EXPECT_EQ(done.status, 1) << testing::PrintToString(command) << where;
      EXPECT_TRUE(done.err.starts_with("headlane: standard output: ")) << done.err;
      EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1)
          << testing::PrintToString(command) << where << done.err;
    }
  }
}

// Where SIGPIPE is ignored; elsewhere it ends the command.
TEST_F(StandardStreams, ReaderThatWentAwayIsAFailure) {
  for (const Words& command : printing_commands(model())) {
    const std::string status = dir_.file("status"), said = dir_.file("said");
    const std::string script =
        "trap '' PIPE; { sleep 0.1; \"$0\" \"$@\" 2> " + said + "; echo $? > " + status + "; } | :";
    Words shell = {"-c", script, HEADLANE_TOOL};
    shell.insert(shell.end(), command.begin(), command.end());
    run_program("sh", shell);
    EXPECT_EQ(read_file(status), "1\n") << testing::PrintToString(command);
    EXPECT_TRUE(read_file(said).starts_with("headlane: standard output: ")) << read_file(said);
  }
}

TEST_F(StandardStreams, CommandThatPrintsNothingNeedsNoOutput) {
  const std::string path = dir_.file("out.npy");
  const Finished done =
      run_redirected("<&- >&- 2>&-", {"embed", "-m", model(), "-o", path, "--stats", "a"});
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(read_npy(path).shape, (std::vector<int64_t>{1, 48}));
  // The words to the closed stream are not in the file that was opened after it.
  EXPECT_EQ(read_file(path).size(), 128 + 48 * sizeof(float));
}

// A read error is not the end of the input.
TEST_F(StandardStreams, InputThatCannotBeReadIsAFailure) {
  const std::string npy = dir_.file("out.npy"), language = dir_.file("language.headlane");
  ASSERT_EQ(
      run_headlane({"convert", HEADLANE_GOLDEN_DIR "/language_models/llama_texts", "-o", language})
          .status,
      0);
  const Words commands[] = {
      {"generate", "-m", language},  {"perplexity", "-m", language, "--context", "4"},
      {"tokenize", "-m", model()},   {"rank", "-m", model(), "a query"},
      {"embed", "-m", model()},      {"embed", "-m", model(), "-i", "-", "-o", npy},
      {"similarity", "-m", model()}, {"encode", "-m", model(), "--ids", "-", "-o", npy},
      {"translate", "-m", kExample}, {"translate", "-m", kExample, "--ids", "-i", "-"}};
  for (const Words& command : commands) {
    for (const std::string& where : {"< " + dir_.path(), std::string("<&-")}) {
      const Finished done = run_redirected(where, command);
      EXPECT_EQ(done.status, 1) << testing::PrintToString(command) << where;
      EXPECT_EQ(done.out, "") << testing::PrintToString(command) << where;
      EXPECT_EQ(done.err, "headlane: standard input: read error\n")
          << testing::PrintToString(command) << where;
    }
  }
  EXPECT_EQ(dir_.n_entries(), 1u) << "an output was written all the same";
}

TEST_F(StandardStreams, DashIsStandardInput) {
  const std::string ids = dir_.file("ids"), from_file = dir_.file("a.npy"),
                    from_input = dir_.file("b.npy");
  write_file(ids, "5 6\n\n7\n8 9");
  ASSERT_EQ(run_headlane({"encode", "-m", model(), "--ids", ids, "-o", from_file}).status, 0);
  for (const char* how : {"-", "/dev/stdin"}) {
    for (const std::string& where : {"< " + ids, "< /dev/null; cat " + ids + " | \"$0\" \"$@\""}) {
      const Finished done =
          run_redirected(where, {"encode", "-m", model(), "--ids", how, "-o", from_input});
      EXPECT_EQ(done.status, 0) << how << where << done.err;
      EXPECT_EQ(read_file(from_input), read_file(from_file)) << how << where;
    }
  }
  const Finished bad = run_headlane({"encode", "-m", model(), "--ids", "-", "-o", from_input},
                                    {.input = "1\ncat\n", .more = {}});
  expect_failure(bad, "standard input:2: \"cat\" is not a token id");
}

// Whatever a pipe is called, it gets the bytes that the file has.
TEST_F(StandardStreams, VectorsGoIntoPipes) {
  const std::string lines = dir_.file("lines"), file = dir_.file("out.npy"), got = dir_.file("got");
  std::string texts;
  constexpr int kLines = kUnderAddressSanitizer ? 700 : 3000;  // of 192 bytes each: many buffers
  for (int i = 0; i < kLines; ++i) texts += "the cat sat on a mat\n";
  write_file(lines, texts);
  const auto embed = [&](const std::string& to) {
    return Words{"embed", "-m", model(), "-i", lines, "-o", to};
  };
  ASSERT_EQ(run_headlane(embed(file)).status, 0);
  const std::string expected = read_file(file);
  for (const char* name : {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}) {
    for (const std::string& where : {"| cat > " + got, "> " + got}) {
      const Finished done = run_redirected(where, embed(name));
      EXPECT_EQ(done.status, 0) << name << done.err;
      EXPECT_EQ(done.err, "") << name << where;
      EXPECT_TRUE(read_file(got) == expected) << name << where;
    }
    // Behind what is there.
    write_file(got, "before");
    run_redirected(">> " + got, embed(name));
    EXPECT_TRUE(read_file(got) == "before" + expected) << name;
  }
  run_redirected("3> " + got, embed("/dev/fd/3"));
  EXPECT_TRUE(read_file(got) == expected);
  EXPECT_EQ(dir_.n_entries(), 3u) << "a temporary was left behind";
}

TEST_F(StandardStreams, EmptyInputGivesAPipeAnEmptyArray) {
  const Finished done = run_headlane({"embed", "-m", model(), "-o", "-"});
  ASSERT_EQ(done.status, 0) << done.err;
  write_file(dir_.file("empty.npy"), done.out);
  EXPECT_EQ(read_npy(dir_.file("empty.npy")).shape, (std::vector<int64_t>{0, 48}));
}

TEST_F(StandardStreams, DevicesAreWrittenToAndStay) {
  const auto embed_to = [](const std::string& path) {
    return run_headlane({"embed", "-m", model(), "-o", path, "we"});
  };
  const Finished nowhere = embed_to("/dev/null");
  EXPECT_EQ(nowhere.status, 0) << nowhere.err;
  expect_failure(embed_to("/dev/full"), "/dev/full: No space left on device");
  expect_failure(run_headlane({"attention", "-m", model(), "--html", "/dev/full", "a"}),
                 "/dev/full: No space left on device");
  expect_failure(run_headlane({"convert", golden_folder("head_dim_8_cls"), "-o", "/dev/null"}),
                 "/dev/null: not a regular file");
  for (const char* device : {"/dev/null", "/dev/full"}) {
    EXPECT_TRUE(std::filesystem::is_character_file(device)) << device;
  }
}

TEST_F(StandardStreams, PagesAndJsonGoToStandardOutput) {
  for (const char* option : {"--html", "--json", "--png"}) {
    const std::string file = dir_.file("file");
    ASSERT_EQ(run_headlane({"attention", "-m", model(), "the cat", option, file}).status, 0);
    const Finished done = run_headlane({"attention", "-m", model(), "the cat", option, "-"});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_TRUE(done.out == read_file(file)) << option;
  }
}

}  // namespace
}  // namespace headlane::test

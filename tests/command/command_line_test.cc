// The meaning of the command line: texts and names are taken as they are, and mistakes end with
// status 2 and a sentence.
#include <nlohmann/json.hpp>

#include "tests/command/model_fixture.h"
#include "tests/command/translate_fixture.h"

namespace headlane::test {
namespace {

using CommandLine = CommandTest;
using CommandLineOfTranslate = TranslateTest;
using Words = std::vector<std::string>;

// Parsers of command lines, and shells' users, give these a meaning.
const Words kTexts = {"[CLS] the cat [SEP]",
                      "[a, b]",
                      "[]",
                      "[[a]]",
                      "[",
                      "]",
                      "++",
                      "%%",
                      "{}",
                      "",
                      " ",
                      "-",
                      "-5 degrees",
                      "-.5",
                      "- an item",
                      "-- a dash",
                      "\"the cat\"",
                      "'the cat'",
                      "`the`",
                      "the, cat",
                      "B\"(the)\"",
                      "\\x41",
                      "info",
                      "embed",
                      "a=b",
                      "=",
                      "/h",
                      "@file",
                      "#",
                      ";",
                      "$HOME",
                      "*"};
// These come after "--" only.
const Words kLikeOptions = {"--help", "-h", "-m", "--threads=2", "-text", "--", "--text"};

std::string as_lines(const Words& texts) {
  std::string lines;
  for (const std::string& text : texts) lines += text + "\n";
  return lines;
}

Settings with_input(std::string text) { return {.input = std::move(text), .more = {}}; }

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST_F(CommandLine, TextsAreTakenAsTheyAre) {
  const Finished of_input = run_headlane({"embed", "-m", model()}, with_input(as_lines(kTexts)));
  ASSERT_EQ(of_input.status, 0) << of_input.err;
  const Finished done = run_headlane(joined({"embed", "-m", model()}, kTexts));
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_TRUE(done.out == of_input.out);
  EXPECT_EQ(std::count(done.out.begin(), done.out.end(), '\n'), std::ssize(kTexts));

  const Words all = joined(kTexts, kLikeOptions);
  const Finished all_of_input = run_headlane({"embed", "-m", model()}, with_input(as_lines(all)));
  const Finished after_dashes = run_headlane(joined({"embed", "-m", model(), "--"}, all));
  EXPECT_EQ(after_dashes.status, 0) << after_dashes.err;
  EXPECT_TRUE(after_dashes.out == all_of_input.out);

  const Finished one_by_one = run_headlane(joined({"similarity", "-m", model()}, kTexts));
  EXPECT_EQ(one_by_one.out,
            run_headlane({"similarity", "-m", model()}, with_input(as_lines(kTexts))).out);
}

TEST_F(CommandLine, AttentionTakesItsTextAsItIs) {
  for (const std::string& text : kTexts) {
    const Finished done = run_headlane({"attention", "-m", model(), text, "--json"});
    ASSERT_EQ(done.status, 0) << text << done.err;
    EXPECT_EQ(nlohmann::json::parse(done.out)["text"], text);
    EXPECT_EQ(run_headlane({"attention", "-m", model(), "--json", text}).out, done.out) << text;
  }
}

TEST_F(CommandLineOfTranslate, TextsAreTakenAsTheyAre) {
  const Words command = {"translate", "-m", kExample, "--json", "--max-length", "3"};
  const Words all = joined(kTexts, kLikeOptions);
  const Finished done = run_headlane(joined(joined(command, {"--"}), all));
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, run_headlane(command, with_input(as_lines(all))).out);
}

TEST_F(CommandLine, NamesOfFilesAreTakenAsTheyAre) {
  for (const char* name : {"[a, b]", "++", "{}", "%%", "-5", "a b", "a=b"}) {
    const std::string in_folder = dir_.file("x/") + name;
    std::filesystem::create_directory(dir_.file("x"));
    write_file(in_folder, "the cat\n");
    const Finished read = run_headlane({"embed", "-m", model(), "-i", in_folder});
    EXPECT_EQ(read.out, run_headlane({"embed", "-m", model(), "the cat"}).out) << read.err;
    std::filesystem::remove(in_folder);
    // A name by itself, in the folder where the command runs.
    const std::string script = "cd \"$0\" && exec \"$@\"";
    const auto in_x = [&](Words words) {
      return run_program("sh", joined({"-c", script, dir_.file("x"), HEADLANE_TOOL}, words));
    };
    for (const Words& spelling :
         {Words{"-o", name}, Words{std::string("-o") + name}, Words{"--output", name},
          Words{std::string("--output=") + name}}) {
      const Finished done = in_x(joined({"embed", "-m", model(), "the cat"}, spelling));
      EXPECT_EQ(done.status, 0) << spelling[0] << done.err;
      EXPECT_TRUE(std::filesystem::remove(in_folder)) << spelling[0];
    }
    const Finished page = in_x({"attention", "-m", model(), "the cat", "--json", name});
    EXPECT_EQ(page.status, 0) << page.err;
    std::filesystem::remove_all(dir_.file("x"));
  }
}

TEST_F(CommandLine, MistakesAreSaid) {
  const struct {
    Words words;
    const char* said;
  } mistakes[] = {
      {{}, "a command is missing"},
      {{"paint"}, "there is no command \"paint\""},
      {{""}, "a command is missing"},
      {{"embed", "-m", "x", "-m", "y", "a"}, "-m is given twice"},
      {{"embed", "-m", "x", "--model", "y", "a"}, "--model is given twice"},
      {{"embed", "-m", "x", "--threads", "1", "--threads=1"}, "--threads is given twice"},
      {{"embed", "-m", "x", "--sideways", "a"}, "there is no option --sideways"},
      {{"embed", "-m", "x", "--sideways=1", "a"}, "there is no option --sideways"},
      {{"embed", "-m", "x", "-text"}, "a text that begins with \"-\" comes after \"--\""},
      {{"embed", "-m", "x", "-hello"}, "there is no option -hello"},
      {{"embed", "-m", "x", "--stats=1"}, "--stats takes no value"},
      {{"embed", "-m", "x", "--thread", "1"}, "there is no option --thread"},
      {{"embed", "-m"}, "-m needs a value"},
      {{"embed", "-m", ""}, "-m is empty"},
      {{"embed", "-m", "x", "-o", ""}, "-o is empty"},
      {{"embed", "-m", "x", "--output="}, "--output is empty"},
      {{"embed", "-m", "x", "--input", "--stats"}, "written --input=--stats"},
      {{"translate", "-m", "x", "--length-penalty", "inf"}, "must be a number that is finite"},
      {{"embed", "-m", "x", "--threads", "1025"}, "must be an integer from 0 to 1024"},
      {{"embed", "-m", "x", "--threads", "1.5"}, "--threads is \"1.5\""},
      {{"embed", "-m", "x", "--threads", "0x1"}, "--threads is \"0x1\""},
      {{"embed", "-m", "x", "--threads", ""}, "--threads is \"\""},
      {{"embed", "-m", "x", "--threads", "99999999999999999999"}, "--threads is \"9999999"},
      {{"embed", "-m", "x", "--isa", "sse9"}, "--isa is \"sse9\"; it must be one of ref, avx2"},
      {{"embed", "-m", "x", "-i", "file", "a"}, "TEXT excludes --input"},
      {{"encode", "-m", "x", "-o", "y"}, "--ids or --x is missing"},
      {{"encode", "-m", "x", "-o", "y", "--ids", "a", "--x", "b"}, "--ids excludes --x"},
      {{"encode", "-m", "x", "-o", "y", "--ids", "a", "--causal"}, "--causal requires --x"},
      {{"convert", "a", "b", "-o", "c"}, "\"b\" is not expected"},
      {{"convert", "a", "-o", "c", "--keep", "d", "--keep-none"}, "--keep excludes --keep-none"},
      {{"convert", "a"}, "--output is required"},
      {{"convert", "-o", "c", "--keep"}, "--keep needs a value"},
      {{"convert", "a", "-o", "--", "c"}, "-o needs a value"},
      {{"convert", "-o", "c", "--keep", "a"}, "DIR is required"},
      {{"translate", "-m", "x", "--top-k", "5"}, "--top-k requires --sample"},
      {{"translate", "-m", "x", "--sample", "--seed", "-1"}, "--seed is \"-1\""},
      {{"translate", "-m", "x", "--sample", "--top-p", "0"}, "must be a number above 0 to 1"},
      {{"translate", "-m", "x", "--sample", "--top-p", "nan"}, "--top-p is \"nan\""},
      {{"translate", "-m", "x", "--sample", "--temperature", "inf"}, "--temperature is \"inf\""},
      {{"translate", "-m", "x", "--sample", "--temperature", "1e300"}, "is \"1e300\""},
      {{"translate", "-m", "x", "--sample", "--temperature", "1e-60"}, "must be a number above 0"},
      {{"translate", "-m", "x", "--sample", "--top-p", "1e-60"}, "must be a number above 0 to 1"},
      {{"translate", "-m", "x", "--stream", "--beams", "2"}, "--beams excludes --stream"},
      {{"bench", "--seconds", "nan"}, "--seconds is \"nan\""},
      {{"attention", "-m", "x", "--target", "", "a"}, "--target is empty"},
      {{"attention", "-m", "x", "--json"}, "TEXT is required"},
      {{"attention", "-m", "x", "a", "--json", "--html", "-"}, "only one output"},
      {{"attention", "-m", "x", "a", "--png", "-", "--html=-"}, "only one output"},
      {{"encode", "-m", "x", "-o", "y", "--x", "-", "--key", "-"}, "only one input"},
      {{"bench", "--trace", "-"}, "name a file"},
      {{"convert", "a", "-o", "-"}, "name a file"},
  };
  for (const auto& [words, said] : mistakes) {
    const Finished done = run_headlane(words);
    EXPECT_EQ(done.status, 2) << testing::PrintToString(words) << done.err;
    EXPECT_EQ(done.out, "") << testing::PrintToString(words);
    EXPECT_TRUE(contains(done.err, said)) << done.err << "does not contain " << said;
    EXPECT_EQ(done.err.find('\n'), done.err.size() - 1) << done.err << "is not one line";
  }
}

// Each command's page names each of its options once, in lines that fit a terminal.
TEST_F(CommandLine, PagesFitATerminal) {
  for (const char* command : {"convert", "info", "translate", "embed", "encode", "tokenize",
                              "similarity", "attention", "bench"}) {
    EXPECT_TRUE(contains(run_headlane({"--help"}).out, std::string("  ") + command + " "));
    const Finished done = run_headlane({command, "--help"});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.out, run_headlane({command, "-m", "x", "-h", "--sideways"}).out) << command;
    EXPECT_TRUE(contains(done.out, std::string("headlane ") + command + " [OPTIONS]")) << done.out;
    std::istringstream lines(done.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  }
}

}  // namespace
}  // namespace headlane::test

// headlane chat: turns in a pipe and on a terminal.
#include <dlfcn.h>

#include <filesystem>

#include "tests/command/model_fixture.h"
#include "tests/command/terminal.h"
#include "tests/support/chat_folder.h"

namespace headlane::test {
namespace {

class ChatCommand : public CommandTest {
 protected:
  ChatCommand() {
    const Finished done = run_headlane({"convert", make_chat_folder(dir_), "-o", model_});
    EXPECT_EQ(done.status, 0) << done.err;
  }
  Finished chat(const std::string& input, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"chat", "-m", model_, "--max-new-tokens", "5"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_headlane(arguments, {.input = input, .more = {}});
  }

  const std::string model_ = dir_.file("model.headlane");
};

TEST_F(ChatCommand, MessagesAreTextAndIds) {
  const std::string messages = dir_.file("messages.json");
  write_file(messages, R"([{"role": "system", "content": "Be kind."},
                           {"role": "user", "content": "Hi"}])");
  EXPECT_EQ(chat("", {"--messages", messages, "--text"}).out,
            "system: Be kind.<|end|>user: Hi<|end|>assistant:");
  EXPECT_EQ(chat("", {"--messages", messages, "--text", "--no-answer"}).out,
            "system: Be kind.<|end|>user: Hi<|end|>");
  const Finished ids = chat("", {"--messages", messages, "--ids"});
  const Finished tokenized =
      run_headlane({"tokenize", "-m", model_, "system: Be kind.<|end|>user: Hi<|end|>assistant:"});
  EXPECT_EQ(ids.out, tokenized.out);
}

TEST_F(ChatCommand, TurnsInAPipe) {
  const std::string saved = dir_.file("saved.json");
  const Finished both = chat("Hello\n\nWhy?\n/save " + saved + "\n");
  EXPECT_EQ(both.status, 0) << both.err;
  EXPECT_EQ(both.err, "");
  const Finished first = chat("Hello\n");
  EXPECT_TRUE(both.out.starts_with(first.out)) << both.out;
  EXPECT_GT(first.out.size(), 1u);
  EXPECT_GT(both.out.size(), first.out.size());
  // The conversation goes on from the file as it does from what is in the cache.
  const Finished three = chat("Hello\nWhy?\nSo?\n"), loaded = chat("/load " + saved + "\nSo?\n");
  EXPECT_EQ(three.out, both.out + loaded.out);
  const Finished reset = chat("Hello\n/reset\nHello\n");
  EXPECT_EQ(reset.out, first.out + first.out);
  const Finished told = chat("Hello\n/system Be kind.\nHello\n");
  EXPECT_EQ(told.out, first.out + chat("Hello\n", {"--system", "Be kind."}).out);
  EXPECT_EQ(chat("/quit\nHello\n").out, "");
}

TEST_F(ChatCommand, MistakesInAPipeEndIt) {
  const Finished missing = chat("/load " + dir_.file("nothing.json") + "\nHello\n");
  EXPECT_EQ(missing.status, 1);
  EXPECT_TRUE(contains(missing.err, "nothing.json")) << missing.err;
  const Finished full = chat(std::string(3000, 'x') + "\n", {"--context", "100"});
  EXPECT_EQ(full.status, 1);
  EXPECT_TRUE(contains(full.err, "/reset begins anew")) << full.err;
  const Finished plain =
      run_headlane({"convert", HEADLANE_GOLDEN_DIR "/language_models/qwen2_texts", "-o",
                    dir_.file("plain.headlane")});
  EXPECT_EQ(plain.status, 0) << plain.err;
  const Finished none = run_headlane({"chat", "-m", dir_.file("plain.headlane")});
  EXPECT_EQ(none.status, 1);
  EXPECT_TRUE(contains(none.err, "no chat template")) << none.err;
}

TEST_F(ChatCommand, ATerminalShowsTheFigures) {
  const OnTerminal shown = run_on_terminal(
      {"chat", "-m", model_, "--max-new-tokens", "5"},
      [](const OnTerminal& now) { return contains(now.shown, "tokens of context]"); });
  EXPECT_TRUE(contains(shown.shown, "> ")) << shown.shown;
  EXPECT_TRUE(contains(shown.shown, "of 640 tokens of context]")) << shown.shown;
}

// What is typed while an answer comes is not shown amid it, and waits: a line, and the ^D behind
// it.
TEST_F(ChatCommand, KeysWaitForTheEndOfAnAnswer) {
  // Slow enough to type something meanwhile.
  const std::vector<std::string> slow = {"--max-new-tokens", "250", "--isa", "ref"};
  std::string answers;
  for (const char c : chat("Hello\nWhy?\n", slow).out) {
    answers += c == '\n' ? "\r\n" : std::string(1, c);
  }
  std::vector<std::string> arguments = {"chat", "-m", model_};
  arguments.insert(arguments.end(), slow.begin(), slow.end());
  Terminal terminal(arguments);
  ASSERT_TRUE(terminal.shows("> "));
  terminal.type("Hello\n");
  ASSERT_TRUE(terminal.shows(answers.substr(0, 1), terminal.shown().size() + strlen("Hello\r\n")));
  terminal.type("Why?\n\x04");
  EXPECT_TRUE(terminal.ends()) << terminal.shown();
  EXPECT_EQ(terminal.wait_status(), 0);
  if (dlopen("libedit.so.2", RTLD_LAZY) == nullptr) return;  // then the terminal shows all keys
  const std::string first = answers.substr(0, answers.find("\r\n"));
  EXPECT_TRUE(contains(terminal.shown(), first + "\r\n")) << terminal.shown();
}

// A window that is closed ends the command, as a hang-up ends others, or by status 1 if nobody may
// hang it up: while a line is awaited and while an answer comes.
TEST_F(ChatCommand, AClosedTerminalEndsIt) {
  for (const bool keeps_on : {false, true}) {
    for (const bool answers : {false, true}) {
      Terminal terminal({"chat", "-m", model_, "--max-new-tokens", "600"}, keeps_on);
      ASSERT_TRUE(terminal.shows("> "));
      const size_t shown = terminal.shown().size();
      if (answers) {
        terminal.type("Hello\n");
        ASSERT_TRUE(terminal.shows("\n", shown));
      }
      terminal.hang_up();
      const int status = terminal.wait_status();
      if (keeps_on) {
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status << answers;
      } else {
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP) << status << answers;
      }
    }
  }
}

TEST_F(ChatCommand, OutputThatCannotBeWrittenEndsIt) {
  const std::vector<std::string> arguments = {"chat", "-m", model_, "--max-new-tokens", "5"};
  for (const char* where : {"> /dev/full", ">&-"}) {
    const Finished done = run_redirected(where, arguments, {.input = "Hello\nWhy?\n", .more = {}});
    EXPECT_EQ(done.status, 1) << where;
    EXPECT_EQ(done.err, "headlane: standard output: cannot be written\n") << where;
  }
  // A reader that went away, where SIGPIPE is ignored; elsewhere it ends the command.
  const Finished piped = run_program(
      "sh", {"-c", "trap '' PIPE; { sleep 0.1; echo Hello | \"$0\" \"$@\"; echo $? >&2; } | :",
             HEADLANE_TOOL, "chat", "-m", model_, "--max-new-tokens", "5"});
  EXPECT_EQ(piped.err, "headlane: standard output: cannot be written\n1\n");
}

}  // namespace
}  // namespace headlane::test

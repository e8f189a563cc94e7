// headlane chat: turns in a pipe and on a terminal.
#include <filesystem>

#include "tests/command/model_fixture.h"
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

}  // namespace
}  // namespace headlane::test

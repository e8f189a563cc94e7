// Chat templates: the first line of an input is the messages as JSON, the rest a template.
#include "engine/base/error.h"
#include "engine/chat/conversation.h"
#include "engine/text/unicode.h"
#include "tests/fuzz/fuzz.h"

namespace headlane::fuzz {
namespace {

// What the template writes, or what it is refused for.
chat::MarkedText write(std::string_view messages, const std::string& source) {
  ChatConfig config;
  config.templates["default"] = source;
  config.tokens["bos_token"] = "<s>";
  Conversation conversation;
  conversation.messages = messages;
  conversation.now = 1'700'000'000;
  try {
    return write_conversation(config, conversation).text;
  } catch (const Error& error) {
    const bool may_be = error.status() == Status::kInvalidArgument ||
                        error.status() == Status::kUnsupported ||
                        error.status() == Status::kTooLarge;
    if (!may_be || *error.what() == '\0') finding("chat", error.what());
    return chat::MarkedText(error.what());
  }
}

void check(std::string_view messages, const std::string& source) {
  const chat::MarkedText text = write(messages, source), again = write(messages, source);
  if (text.bytes() != again.bytes() || text.marks() != again.marks()) {
    finding("chat", "another text the second time");
  }
  if (!text.marks().empty() && text.marks().size() != text.size()) {
    finding("chat", "marks of some bytes alone");
  }
}

}  // namespace
}  // namespace headlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\n'), input.size());
  fuzz::check(input.substr(0, end), std::string(input.substr(std::min(end + 1, input.size()))));
  return 0;
}

// Chat templates of many families against Jinja, as transformers runs it, and their ids against
// apply_chat_template.
#include "engine/chat/conversation.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using nlohmann::json;

const std::string kChat = HEADLANE_GOLDEN_DIR "/chat/";

const json& templates() {
  static const json all = json::parse(read_file(kChat + "templates.json"));
  return all;
}

ChatConfig config_of(const std::string& name) {
  ChatConfig config;
  config.templates["default"] = templates()["templates"][name]["template"];
  for (const auto& [role, token] : templates()["tokens"].items()) config.tokens[role] = token;
  return config;
}

// What the golden case has as JSON in texts, which must outlive the conversation.
Conversation conversation_of(const json& one) {
  Conversation conversation;
  conversation.messages = one["messages"].get_ref<const std::string&>();
  conversation.tools = one["tools"].get_ref<const std::string&>();
  conversation.variables = one["variables"].get_ref<const std::string&>();
  conversation.add_generation_prompt = one["add"];
  conversation.now = templates()["now"];
  return conversation;
}

class ChatTemplates : public testing::Test {
 protected:
  // The time that templates ask for is written in the process's time zone.
  void SetUp() override {
    const char* zone = std::getenv("TZ");
    if (zone != nullptr) zone_ = zone;
    had_zone_ = zone != nullptr;
    setenv("TZ", "UTC", 1);
    tzset();
  }
  void TearDown() override {
    had_zone_ ? setenv("TZ", zone_.c_str(), 1) : unsetenv("TZ");
    tzset();
  }

 private:
  std::string zone_;
  bool had_zone_ = false;
};

TEST_F(ChatTemplates, WriteWhatJinjaWrites) {
  int n_texts = 0, n_errors = 0;
  for (const auto& [name, family] : templates()["templates"].items()) {
    for (const json& one : family["cases"]) {
      SCOPED_TRACE(name + " " + one["messages"].get<std::string>());
      if (one.contains("text")) {
        ++n_texts;
        EXPECT_EQ(write_conversation(config_of(name), conversation_of(one)).text.bytes(),
                  one["text"].get<std::string>());
      } else {
        ++n_errors;
        EXPECT_THROW(write_conversation(config_of(name), conversation_of(one)), Error);
      }
    }
  }
  EXPECT_EQ(templates()["templates"].size(), 16u);
  EXPECT_GT(n_texts, 50);
  EXPECT_GT(n_errors, 0);
}

std::string without_blanks(std::string text) {
  std::erase(text, ' ');
  return text;
}

class ChatIds : public testing::TestWithParam<const char*> {};

TEST_P(ChatIds, AreThoseOfTransformers) {
  const std::string folder = kChat + GetParam();
  const ImportedTokenizer imported = import_tokenizer(folder);
  const auto tokenizer = make_tokenizer(imported.spec, imported.views(), folder);
  int n_plain = 0, n_hostile = 0;
  for (const json& one : json::parse(read_file(folder + "/ids.json"))) {
    const std::string name = one["template"];
    SCOPED_TRACE(name + " " + one["messages"].get<std::string>());
    std::vector<int32_t> ids;
    encode_conversation(config_of(name), *tokenizer, conversation_of(one), &ids);
    if (one["hostile"]) {
      ++n_hostile;
      // transformers encodes what is around such a token as texts of their own, whose tokens are
      // others, and may begin with a blank more.
      std::vector<int32_t> theirs = one["ids"];
      EXPECT_EQ(without_blanks(tokenizer->decode(ids)), without_blanks(tokenizer->decode(theirs)));
      std::erase_if(ids, [&](int32_t id) { return !tokenizer->is_special(id); });
      std::erase_if(theirs, [&](int32_t id) { return !tokenizer->is_special(id); });
      EXPECT_EQ(ids, theirs);
    } else {
      ++n_plain;
      EXPECT_EQ(ids, one["ids"].get<std::vector<int32_t>>());
    }
  }
  EXPECT_GT(n_hostile, 10);
  EXPECT_GT(n_plain, 10);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ChatIds, testing::Values("bytes", "pieces"));

// A run of a template that asks for something is refused with a status and these words.
void expect_refused(const std::string& source, Status status, const std::string& words) {
  ChatConfig config;
  config.templates["default"] = source;
  Conversation conversation;
  conversation.turns = {{"user", "Hello"}};
  try {
    const std::string text = write_conversation(config, conversation).text.bytes();
    FAIL() << source << " gave " << text.substr(0, 100);
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << source << ": " << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos)
        << source << ": " << error.what();
  }
}

TEST(ChatLimits, TemplatesEnd) {
  expect_refused("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
                 Status::kTooLarge, "steps");
  expect_refused(
      "{% set n = namespace(t='x') %}{% for i in range(99) %}{% set n.t = n.t ~ n.t %}{% endfor %}",
      Status::kTooLarge, "bytes of text");
  expect_refused("{{ 'x' * 9000000000 }}", Status::kTooLarge, "bytes of text");
  expect_refused(
      "{% set n = namespace(l=[]) %}{% for i in range(999) %}{% set n.l = [n.l] %}{% endfor %}",
      Status::kTooLarge, "deep");
  expect_refused(
      "{% set n = namespace(l=[1]) %}{% for i in range(90) %}{% set n.l = [n.l, n.l] %}{% endfor "
      "%}",
      Status::kTooLarge, "in it");
  expect_refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", Status::kTooLarge, "deep");
  const std::string brackets = std::string(1000, '(') + "1" + std::string(1000, ')');
  std::string minus(1000, '-'), nots, ifs, sum = "1";
  for (int i = 0; i < 1000; ++i) {
    nots += "not ";
    ifs += "{% if 1 %}";
    sum += " + 1";
  }
  for (const std::string& deep : {brackets, minus + "1", nots + "1", sum}) {
    expect_refused("{{ " + deep + " }}", Status::kTooLarge, "nest");
  }
  expect_refused(ifs, Status::kTooLarge, "nest");
  expect_refused("{{ 'a'.replace('', 'x' * 100000).replace('', 'x' * 100000) }}", Status::kTooLarge,
                 "bytes of text");
}

TEST(ChatLimits, WhatIsNotThereIsNamed) {
  expect_refused("{% include 'x' %}", Status::kUnsupported, "line 1");
  expect_refused("\n{{ 'x' | urlize }}", Status::kUnsupported, "line 2 of the chat template");
  expect_refused("{{ 'x' | urlize }}", Status::kUnsupported, "the filter \"urlize\"");
  expect_refused("{{ 'x' is filter }}", Status::kUnsupported, "the test \"filter\"");
  expect_refused("{{ 'x'.center(9) }}", Status::kUnsupported, "\"center\"");
  expect_refused("{{ messages.append(1) }}", Status::kUnsupported, "\"append\"");
  expect_refused("{{ messages.__class__ }}", Status::kUnsupported, "\"__class__\"");
  expect_refused("{{ ('<b>' | safe) ~ 'x' }}", Status::kUnsupported, "\"safe\"");
  expect_refused("{{ range(3) }}", Status::kUnsupported, "printed");
  expect_refused("{{ cycler(1) }}", Status::kUnsupported, "cycler");
}

TEST(ChatLimits, MistakesHaveALine) {
  expect_refused("a\nb{{ x.y }}", Status::kInvalidArgument, "line 2");
  expect_refused("{{ 'x", Status::kInvalidArgument, "line 1");
  expect_refused("{% if 1 %}", Status::kInvalidArgument, "endif");
  expect_refused("{% endif %}", Status::kInvalidArgument, "no statement");
  expect_refused("{{ 1 + 'a' }}", Status::kInvalidArgument, "int");
  expect_refused("{{ 1 // 0 }}", Status::kInvalidArgument, "zero");
  expect_refused("{{ 9223372036854775807 + 1 }}", Status::kInvalidArgument, "too large");
  expect_refused("{{ (-9223372036854775807 - 1) // -1 }}", Status::kInvalidArgument, "too large");
  expect_refused("{{ raise_exception('Say please') }}", Status::kInvalidArgument,
                 "the chat template refuses the messages: Say please");
}

TEST(ChatLimits, ConversationsOfAnotherFormAreRefused) {
  ChatConfig config;
  Conversation conversation;
  const auto status_of = [&] {
    try {
      write_conversation(config, conversation);
      return Status::kOk;
    } catch (const Error& error) {
      return error.status();
    }
  };
  EXPECT_EQ(status_of(), Status::kUnsupported);  // there is no template
  config.templates["default"] = "{{ messages | length }}";
  for (const char* messages :
       {"", "[]", "{}", "[1]", "[{]", "\"a\"", "[{\"n\": 99999999999999999999}]"}) {
    conversation.messages = messages;
    EXPECT_EQ(status_of(), Status::kInvalidArgument) << messages;
  }
  conversation.messages = "[{}]";
  EXPECT_EQ(status_of(), Status::kOk);
  conversation.variables = "{\"messages\": 1}";
  EXPECT_EQ(status_of(), Status::kInvalidArgument);
  conversation.variables = "";
  conversation.template_name = "other";
  EXPECT_EQ(status_of(), Status::kInvalidArgument);
}

TEST(ChatText, KnowsWhatWasGiven) {
  ChatConfig config;
  config.templates["default"] =
      "<{{ messages[0].role }}>{{ messages[0].content | trim | upper }}</{{ messages | length }}>";
  Conversation conversation;
  conversation.turns = {{"user", " hi \xff"}};
  const chat::MarkedText text = write_conversation(config, conversation).text;
  EXPECT_EQ(text.bytes(), "<user>HI \xef\xbf\xbd</1>");
  EXPECT_EQ(text.marks(), std::string(6, '\0') + std::string(6, '\1') + std::string(4, '\0'));
}

}  // namespace
}  // namespace headlane

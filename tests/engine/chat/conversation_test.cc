// Chat templates of many families against Jinja, as transformers runs it, and their ids against
// apply_chat_template.
#include "engine/chat/conversation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <map>
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
    const auto has_text = [](const json& one) { return one.contains("text"); };
    EXPECT_TRUE(std::ranges::any_of(family["cases"], has_text)) << name;
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

// A template writes what Jinja does.
void expect_written(const std::string& source, const std::string& text) {
  SCOPED_TRACE(source);
  ChatConfig config;
  config.templates["default"] = source;
  Conversation conversation;
  conversation.turns = {{"user", "Hello"}};
  EXPECT_EQ(write_conversation(config, conversation).text.bytes(), text);
}

// The condition of a loop is asked about an item when the item is wanted, not before.
TEST(ChatLoops, AskTheirConditionBeforeEachTurn) {
  const auto expect_loop = [](const std::string& body, const std::string& text) {
    expect_written("{% set ns = namespace(s=false) %}{% for i in [1, 2, 3] if not ns.s %}{{ i }}" +
                       body + "{% set ns.s = true %}{% endfor %}",
                   text);
  };
  expect_loop("", "1");
  expect_loop("{{ loop.index }}{{ loop.first }}", "11True");
  expect_loop("{{ loop.last }}", "1False2True");
  expect_loop("{{ loop.nextitem }}", "122");
  expect_loop("{{ loop.length }}", "132333");
  expect_loop("{{ loop.revindex }}{{ loop.previtem }}", "13221312");
  expect_written("{% for i in [1, 2] if i > 2 %}{{ i }}{% else %}none{% endfor %}", "none");
  const std::string held =
      "{% set m = namespace(l=none, s=0) %}{% for i in [1, 2, 3] if i != 2 %}"
      "{% set m.l = loop %}";
  expect_written(held + "{% endfor %}{{ m.l.length }}{{ m.l.index }}", "22");
  expect_refused(held + "{% break %}{% endfor %}{{ m.l.length }}", Status::kUnsupported, "break");
  expect_refused(
      "{% set m = namespace(l={}) %}{% for i in [1, 2, 3] if i == 1 or m.l.last %}"
      "{% set m.l = loop %}{% endfor %}",
      Status::kInvalidArgument, "asks for the loop's items");
}

TEST(ChatLoops, AreLeftFromTheBlocksInThem) {
  const std::string begin = "{% for a in [1, 2] %}{{ a }}", end = "-{% endfor %}|";
  for (const std::string leave : {"break", "continue"}) {
    const std::string text = leave == "break" ? "1|" : "12|", tag = "{% " + leave + " %}";
    expect_written(begin + "{% for b in [] %}{% else %}" + tag + "{% endfor %}" + end, text);
    expect_written(begin + "{% set x %}y" + tag + "{% endset %}" + end, text);
    expect_written(begin + "{% filter upper %}y" + tag + "{% endfilter %}" + end, text);
    expect_written(begin + "{% with b = 1 %}" + tag + "{% endwith %}" + end, text);
  }
  expect_refused("{% for b in [] %}{% else %}{% break %}{% endfor %}", Status::kInvalidArgument,
                 "no loop");
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
  // Methods hold the values that they are of.
  expect_refused(
      "{% set n = namespace(x=0) %}{% for i in range(9) %}{% for j in range(99999) %}"
      "{% set n.x = [n.x].index %}{% endfor %}{% endfor %}",
      Status::kTooLarge, "deep");
  expect_refused("{{ range(99999) | list | tojson(separators=['x' * 1000000, ':']) }}",
                 Status::kTooLarge, "bytes of text");
  std::string maps;
  for (int i = 0; i < 9999; ++i) maps += "'map', ";
  expect_refused("{{ 'a' | map(" + maps + "'upper') | list }}", Status::kTooLarge, "deep");
}

// Work whose amount is a product of two sizes.
TEST(ChatLimits, LongSearchesEnd) {
  for (const std::string call :
       {"a.strip(b)", "a.find(b)", "a.rfind(b)", "a.index(b)", "a.count(b)", "a.replace(b, '')",
        "a.split(b)", "a.rsplit(b)", "a.partition(b)", "b in a", "b not in a"}) {
    expect_refused(
        "{% set a = 'a' * 1000000 %}{% set b = 'b' ~ 'a' * 500000 ~ 'b' %}{{ " + call + " }}",
        Status::kTooLarge, "steps");
  }
  const std::string begin =
      "{% set l = range(9999) | list %}{% set m = l[:-1] + [0] %}{% set a = [l] * 999 "
      "%}{% for i in range(999) %}";
  for (const std::string call : {"a.count(l)", "(a + [m]).index(m)", "loop.changed(a)",
                                 "'x'.startswith([['x' * 999999] * 99])"}) {
    expect_refused(begin + "{% set x = " + call + " %}{% endfor %}", Status::kTooLarge, "steps");
  }
  // Those of a usual length are no work.
  expect_written(
      "{{ ('a' * 1000000).count('</think>') }}{{ ('a' * 1000000).strip('\n ') | length }}",
      "01000000");
}

TEST(ChatLimits, ReplacedMembersWeighNothing) {
  expect_written(
      "{% set n = namespace(t='') %}{% set long = 'x' * 100000 %}{% for i in range(2000) %}"
      "{% set n.t = long %}{% endfor %}{{ n.t | length }}",
      "100000");
}

TEST(ChatText, IsSearchedFromWhereItBegins) {
  expect_written("{{ 'x'.find('', 5) }} {{ 'abc'.find('', 3) }} {{ 'abc'.rfind('', 3, 1) }}",
                 "-1 3 -1");
  expect_written("{{ 'abc'.find('c', -9, 9) }} {{ 'abc'.find('', 4, 9) }}", "2 -1");
  expect_written("{{ 'abc'.count('', 4) }} {{ 'abc'.count('', 3) }} {{ 'abc'.count('b', 1, -1) }}",
                 "0 1 1");
  expect_written("{{ 'abc'.startswith('', 4) }} {{ 'abc'.startswith('b', -2) }}", "False True");
  expect_written("{{ 'abc'.endswith('', 2, 1) }} {{ 'abc'.endswith('', 3) }}", "False True");
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
  // Such a macro would see what is set around it.
  const std::string macro = "{% macro f() %}{{ a }}{% endmacro %}{{ f() }}";
  for (const auto& [begin, end] :
       std::map<std::string, std::string>{{"{% with a = 1 %}", "{% endwith %}"},
                                          {"{% filter upper %}", "{% endfilter %}"},
                                          {"{% set x %}", "{% endset %}"},
                                          {"{% for a in [1] %}", "{% endfor %}"},
                                          {"{% for b in [] %}{% else %}", "{% endfor %}"},
                                          {"{% macro g() %}", "{% endmacro %}"},
                                          {"{% generation %}", "{% endgeneration %}"}}) {
    expect_refused(begin + macro + end, Status::kUnsupported, "a macro inside");
  }
  expect_written("{% set a = 1 %}{% if a %}" + macro + "{% endif %}", "1");
}

TEST(ChatLimits, MistakesHaveALine) {
  expect_refused("a\nb{{ x.y }}", Status::kInvalidArgument, "line 2");
  expect_refused("{{ 'x", Status::kInvalidArgument, "line 1");
  expect_refused("{% if 1 %}", Status::kInvalidArgument, "endif");
  expect_refused("{% endif %}", Status::kInvalidArgument, "no statement");
  expect_refused("{{ 1 + 'a' }}", Status::kInvalidArgument, "int");
  expect_refused("{{ 1 // 0 }}", Status::kInvalidArgument, "zero");
  expect_refused("{{ 'x' | indent(none) }}", Status::kInvalidArgument, "indent");
  expect_refused("{{ 'x' | indent(1.5) }}", Status::kInvalidArgument, "indent");
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

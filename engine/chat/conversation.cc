#include "engine/chat/conversation.h"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <utility>

#include "engine/base/error.h"
#include "engine/chat/interpreter.h"
#include "engine/chat/json_value.h"
#include "engine/chat/syntax.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using chat::Datum;
using chat::MarkedText;
using chat::ValueMap;
using Variables = std::vector<std::pair<std::string, Datum>>;

// The array of objects that `json` must be; none if it is "".
Datum read_objects(std::string_view json, const char* what) {
  if (json.empty()) return {};
  Datum value = chat::parse_value(replace_invalid_utf8(json), what);
  const bool fits =
      value.is_list() && std::all_of(value.list().items.begin(), value.list().items.end(),
                                     [](const Datum& item) { return item.is_map(); });
  if (fits) return value;
  fail(Status::kInvalidArgument, "%s is not a JSON array of objects", what);
}

// A role is the program's word, of which templates make tokens ("<|" + role + "|>").
Datum read_role(const Datum& role) {
  if (!role.is_text()) return role;
  const std::string& name = role.text().bytes();
  const bool is_word = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  return is_word ? Datum(MarkedText(name)) : role;
}

// Templates get a message as transformers hands it to them: without members that are null, and what
// a model thought under both names that templates look for.
Datum read_message(const ValueMap& message) {
  ValueMap read;
  const Datum* thought = nullptr;
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const Datum* found = message.find(name);
    if (thought == nullptr && found != nullptr && !found->is_none()) thought = found;
  }
  if (thought != nullptr) read.set("thinking", *thought);
  for (const auto& [key, value] : message.members()) {
    if (value.is_none()) continue;
    const bool is_role = key.is_text() && key.text().bytes() == "role";
    read.set(key, is_role ? read_role(value) : value);
  }
  if (thought != nullptr) read.set("reasoning_content", *thought);
  return chat::make_map(std::move(read));
}

Datum content_of(std::string_view content, bool listed) {
  const MarkedText text = MarkedText::given(replace_invalid_utf8(content));
  if (!listed) return text;
  ValueMap part;
  part.set("type", MarkedText("text"));
  part.set("text", text);
  return chat::make_list({chat::make_map(std::move(part))});
}

ValueMap turn_of(std::string_view role, std::string_view content, bool listed) {
  ValueMap message;
  message.set("role", MarkedText::given(replace_invalid_utf8(role)));
  message.set("content", content_of(content, listed));
  return message;
}

Datum read_messages(const Conversation& conversation) {
  std::vector<Datum> read;
  for (const auto& [role, content] : conversation.turns) {
    read.push_back(read_message(turn_of(role, content, conversation.lists_content)));
  }
  if (read.empty()) {
    const Datum messages = read_objects(conversation.messages, "messages");
    const size_t n = messages.is_list() ? messages.list().items.size() : 0;
    for (size_t i = 0; i < n; ++i) read.push_back(read_message(messages.list().items[i].map()));
  }
  if (read.empty()) {
    fail(Status::kInvalidArgument, "messages is empty; a conversation has one or more");
  }
  return chat::make_list(std::move(read));
}

// The later ones of a name count.
Variables variables_of(const ChatConfig& config, const Conversation& conversation) {
  Variables all;
  for (const auto& [name, token] : config.tokens) all.emplace_back(name, MarkedText(token));
  if (!conversation.variables.empty()) {
    const Datum given =
        chat::parse_value(replace_invalid_utf8(conversation.variables), "variables");
    if (!given.is_map()) fail(Status::kInvalidArgument, "variables is not a JSON object");
    for (const auto& [name, value] : given.map().members()) {
      all.emplace_back(name.text().bytes(), value);
    }
  }
  constexpr const char* kOwn[] = {"messages", "tools", "documents", "add_generation_prompt"};
  for (const auto& [name, value] : all) {
    if (std::find(std::begin(kOwn), std::end(kOwn), name) == std::end(kOwn)) continue;
    fail(Status::kInvalidArgument, "variables has \"%s\", which has a place of its own",
         name.c_str());
  }
  all.emplace_back("messages", read_messages(conversation));
  all.emplace_back("tools", read_objects(conversation.tools, "tools"));
  all.emplace_back("documents", read_objects(conversation.documents, "documents"));
  all.emplace_back("add_generation_prompt", conversation.add_generation_prompt);
  return all;
}

void check_template_text(const std::string& text) {
  if (std::ssize(text) <= file_limits::kChatTemplateBytes) return;
  fail(Status::kTooLarge, "the chat template has %zu bytes, more than %lld", text.size(),
       static_cast<long long>(file_limits::kChatTemplateBytes));
}

chat::Syntax parse(const std::string& text) {
  check_template_text(text);
  try {
    return chat::parse_template(replace_invalid_utf8(text));
  } catch (const Error& error) {
    throw Error(error.status(), std::string("the chat template: ") + error.what());
  }
}

}  // namespace

WrittenConversation write_conversation(const ChatConfig& config, const Conversation& conversation) {
  const std::string& text =
      conversation.template_text.empty()
          ? config.find(conversation.template_name, !conversation.tools.empty())
          : conversation.template_text;
  chat::Syntax syntax = parse(text);
  WrittenConversation written;
  written.text = chat::run_template(syntax, variables_of(config, conversation), conversation.now);
  written.literals = std::move(syntax.literals);
  return written;
}

void encode_conversation(const ChatConfig& config, const Tokenizer& tokenizer,
                         const Conversation& conversation, std::vector<int32_t>* ids) {
  const WrittenConversation written = write_conversation(config, conversation);
  tokenizer.encode_guarded({written.text.bytes(), written.text.marks(), written.literals}, ids);
}

Conversation conversation_of(const TextMessages& messages) {
  Conversation conversation;
  conversation.lists_content = messages.form == MessageForm::kListed;
  conversation.add_generation_prompt = messages.begins_answer;
  conversation.variables = messages.variables;
  conversation.now = static_cast<int64_t>(std::time(nullptr));
  return conversation;
}

// Pairs that differ in one text alone are told apart.
void check_pair_roles(const ChatConfig& config, const TextMessages& messages,
                      const std::string& where) {
  const auto written = [&](std::string_view query, std::string_view document) {
    Conversation conversation = conversation_of(messages);
    conversation.turns = {{"query", query}, {"document", document}};
    return write_conversation(config, conversation).text.bytes();
  };
  const std::string both = written("alpha", "bravo");
  if (written("charlie", "bravo") != both && written("alpha", "foxtrot") != both) return;
  fail(Status::kUnsupported,
       "%s: the chat template writes pairs without their texts: it knows no roles \"query\" and "
       "\"document\"",
       where.c_str());
}

void check_templates(const ChatConfig& config) {
  for (const auto& [name, text] : config.templates) {
    try {
      chat::parse_template(replace_invalid_utf8(text));
    } catch (const Error& error) {
      throw Error(error.status(), "chat template \"" + printable(name) + "\": " + error.what());
    }
  }
}

}  // namespace headlane

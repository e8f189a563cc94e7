// How a model's makers write conversations: Jinja templates, and the tokens that these know by
// their roles.
#pragma once

#include <map>
#include <string>

namespace headlane {

struct ChatConfig {
  // By name: "default", "tool_use". Well-formed UTF-8; whether Headlane can run them is seen when
  // one is run.
  std::map<std::string, std::string> templates;
  std::map<std::string, std::string> tokens;  // "bos_token": "<s>"

  // The template of that name or, for "", the one that transformers takes: "tool_use" where there
  // are tools and such a template, else "default". Throws Error: kUnsupported where the model has
  // no template at all, kInvalidArgument where it has none of the name.
  const std::string& find(const std::string& name, bool has_tools) const;
};

// How the content of a message stands in it.
enum class MessageForm {
  kNone,    // texts are no messages
  kText,    // as it is
  kListed,  // [{"type": "text", "text": "..."}]
};

// Of a model that reads whole texts: a text is a conversation of one message, whose role is "user",
// a pair one of two, "query" and "document", and a prompt is a message before them, of the role
// "system". The model's template writes it.
struct TextMessages {
  MessageForm form = MessageForm::kNone;
  bool begins_answer = false;  // add_generation_prompt of the template
  std::string variables;       // a JSON object of further names that the template knows; "": none
};

// Throws Error(kBadFile) that names what is out of range. `where` names the object in the message.
void check_chat(const ChatConfig& chat, const std::string& where);

class FieldVisitor;
void visit_fields(ChatConfig* chat, FieldVisitor* fields);
void visit_fields(TextMessages* messages, FieldVisitor* fields);

}  // namespace headlane

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

// Throws Error(kBadFile) that names what is out of range. `where` names the object in the message.
void check_chat(const ChatConfig& chat, const std::string& where);

class FieldVisitor;
void visit_fields(ChatConfig* chat, FieldVisitor* fields);

}  // namespace headlane

// Texts that stand before the texts which a model embeds: "query: ". Models were trained with them,
// and their vectors are others without.
#pragma once

#include <map>
#include <string>

namespace headlane {

struct Prompts {
  std::map<std::string, std::string> texts;  // by name
  // The name of the prompt that is put before every text unless the user asks for another one;
  // "": there is no such prompt.
  std::string default_name;

  // The prompt of that name. As in sentence-transformers every model has the names "query" and
  // "document"; their prompts are empty unless the file says otherwise. Null: there is no such
  // name.
  const std::string* find(const std::string& name) const;
  // The prompt of that name. Throws Error(kInvalidArgument) if there is none.
  const std::string& require(const std::string& name) const;
  // "" if there is no default.
  const std::string& default_text() const;
  // "document, query": for messages.
  std::string names() const;
};

// Throws Error(kBadFile) that names the first field out of range. `where` names the object in the
// message.
void check_prompts(const Prompts& prompts, const std::string& where);

class FieldVisitor;
void visit_fields(Prompts* prompts, FieldVisitor* fields);

}  // namespace headlane

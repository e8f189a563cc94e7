#include "engine/spec/prompts.h"

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/spec/fields.h"

namespace headlane {
namespace {

using ll = long long;

const std::string kEmpty;

// Programs in C read both as null-terminated strings.
void check_text(const std::string& text, const char* what, int64_t most_bytes,
                const std::string& where) {
  if (std::ssize(text) > most_bytes) {
    fail(Status::kBadFile, "%s has %s of %zu bytes, more than %lld", where.c_str(), what,
         text.size(), ll{most_bytes});
  }
  if (text.find('\0') != std::string::npos) {
    fail(Status::kBadFile, "%s has %s with a NUL byte", where.c_str(), what);
  }
}

}  // namespace

const std::string* Prompts::find(const std::string& name) const {
  const auto found = texts.find(name);
  if (found != texts.end()) return &found->second;
  return name == "query" || name == "document" ? &kEmpty : nullptr;
}

const std::string& Prompts::require(const std::string& name) const {
  if (const std::string* found = find(name)) return *found;
  fail(Status::kInvalidArgument, "the model has no prompt \"%s\"; it has: %s",
       printable(name).c_str(), names().c_str());
}

const std::string& Prompts::default_text() const {
  const std::string* text = default_name.empty() ? nullptr : find(default_name);
  return text ? *text : kEmpty;
}

std::string Prompts::names() const {
  std::map<std::string, std::string> all = texts;
  all.insert({{"query", ""}, {"document", ""}});
  std::string list;
  for (const auto& [name, text] : all) list += (list.empty() ? "" : ", ") + printable(name);
  return list;
}

void check_prompts(const Prompts& prompts, const std::string& where) {
  if (std::ssize(prompts.texts) > file_limits::kPrompts) {
    fail(Status::kBadFile, "%s has %zu prompts, more than %lld", where.c_str(),
         prompts.texts.size(), ll{file_limits::kPrompts});
  }
  for (const auto& [name, text] : prompts.texts) {
    if (name.empty()) fail(Status::kBadFile, "%s has a prompt without a name", where.c_str());
    check_text(name, "a name", file_limits::kPromptBytes, where);
    check_text(text, "a prompt", file_limits::kPromptBytes, where);
  }
  if (prompts.default_name.empty() || prompts.find(prompts.default_name)) return;
  fail(Status::kBadFile, "%s has no prompt \"%s\", which is to be the default; it has: %s",
       where.c_str(), printable(prompts.default_name).c_str(), prompts.names().c_str());
}

void visit_fields(Prompts* prompts, FieldVisitor* fields) {
  fields->texts("texts", &prompts->texts);
  fields->text("default", &prompts->default_name);
}

}  // namespace headlane

#include "engine/spec/chat.h"

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/spec/enum_names.h"
#include "engine/spec/fields.h"

namespace headlane {
namespace {

using ll = long long;

constexpr EnumName<MessageForm> kForms[] = {
    {MessageForm::kNone, "none"}, {MessageForm::kText, "text"}, {MessageForm::kListed, "listed"}};

void check_texts(const std::map<std::string, std::string>& texts, const char* what, int64_t most,
                 int64_t most_bytes, const std::string& where) {
  if (std::ssize(texts) > most) {
    fail(Status::kBadFile, "%s has %zu %s, more than %lld", where.c_str(), texts.size(), what,
         ll{most});
  }
  for (const auto& [name, text] : texts) {
    if (name.empty() || std::ssize(name) > file_limits::kNameBytes ||
        std::ssize(text) > most_bytes || (name + text).find('\0') != std::string::npos) {
      fail(Status::kBadFile,
           "%s has among its %s one whose name is empty or longer than %lld bytes, whose text is "
           "longer than %lld, or that has a NUL byte",
           where.c_str(), what, ll{file_limits::kNameBytes}, ll{most_bytes});
    }
  }
}

}  // namespace

const std::string& ChatConfig::find(const std::string& name, bool has_tools) const {
  if (templates.empty()) {
    fail(Status::kUnsupported,
         "the model's file has no chat template, so it holds no conversation");
  }
  const bool for_tools = name.empty() && has_tools && templates.contains("tool_use");
  const std::string wanted = for_tools ? "tool_use" : name.empty() ? "default" : name;
  const auto found = templates.find(wanted);
  if (found != templates.end()) return found->second;
  std::string known;
  for (const auto& [other, text] : templates) {
    known += (known.empty() ? "" : ", ") + printable(other);
  }
  fail(Status::kInvalidArgument, "the model has no chat template \"%s\"; it has: %s",
       printable(wanted).c_str(), known.c_str());
}

void check_chat(const ChatConfig& chat, const std::string& where) {
  check_texts(chat.templates, "templates", file_limits::kChatTemplates,
              file_limits::kChatTemplateBytes, where);
  check_texts(chat.tokens, "tokens", file_limits::kChatTokens, file_limits::kAddedTokenBytes,
              where);
}

void visit_fields(ChatConfig* chat, FieldVisitor* fields) {
  fields->texts("templates", &chat->templates);
  fields->texts("tokens", &chat->tokens);
}

void visit_fields(TextMessages* messages, FieldVisitor* fields) {
  fields->choice("form", &messages->form, kForms);
  fields->flag("begins_answer", &messages->begins_answer);
  fields->text("variables", &messages->variables);
}

}  // namespace headlane

// Conversations as texts and token ids, by the templates of a model.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/chat/marked_text.h"
#include "engine/spec/chat.h"
#include "engine/text/tokenizer.h"

namespace headlane {

// A conversation is what a template is run on. All texts are JSON, of any content.
struct Conversation {
  // An array of objects, such as {"role": "user", "content": "Hello"}.
  std::string_view messages;
  // In the place of messages: the role of each, and what it says.
  std::vector<std::pair<std::string_view, std::string_view>> turns;
  bool lists_content = false;  // what a turn says stands as [{"type": "text", "text": "..."}]
  std::string_view tools, documents;  // arrays of objects; "": none
  std::string_view variables;         // an object of further names that templates know; "": none
  std::string template_name;          // "": as ChatConfig::find says
  std::string template_text;          // a template in the place of the model's; "": the model's
  bool add_generation_prompt = true;  // the beginning of an answer stands behind the messages
  int64_t now = 0;                    // of strftime_now, in seconds since 1970
};

struct WrittenConversation {
  chat::MarkedText text;
  std::vector<std::string> literals;  // what the template writes by itself
};

// Returns the text that transformers' apply_chat_template makes of it, to the byte. Throws Error:
// kInvalidArgument for JSON of another form, or with what the template raises; kUnsupported,
// kTooLarge, as of parse_template and run_template.
WrittenConversation write_conversation(const ChatConfig& config, const Conversation& conversation);

// Appends its ids. Where the messages, tools and documents spell no special token, these are the
// ids of apply_chat_template. What they spell is never a special token.
void encode_conversation(const ChatConfig& config, const Tokenizer& tokenizer,
                         const Conversation& conversation, std::vector<int32_t>* ids);

// A conversation of turns as a model that reads whole texts has it.
Conversation conversation_of(const TextMessages& messages);

// Throws Error(kUnsupported), which begins with `where`, if the template writes pairs without their
// texts: it may know no roles "query" and "document".
void check_pair_roles(const ChatConfig& config, const TextMessages& messages,
                      const std::string& where);

// Throws Error as parse_template does, naming the template, if the model has one that Headlane
// cannot run.
void check_templates(const ChatConfig& config);

}  // namespace headlane

// The C API's conversations.
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/c_api.h"
#include "engine/chat/conversation.h"

using headlane::Conversation;
using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

using ll = long long;

std::string_view text_or_none(const char* text) { return text ? text : ""; }

void read_turns(const headlane_chat_options& options, Conversation* conversation) {
  if (options.n_messages < 0) {
    fail(Status::kInvalidArgument, "n_messages is %lld; it must be 0 or more",
         ll{options.n_messages});
  }
  if (options.messages != nullptr && options.n_messages > 0) {
    fail(Status::kInvalidArgument, "messages is given, and n_messages is %lld: one of them must do",
         ll{options.n_messages});
  }
  if (options.n_messages > 0) {
    require(options.roles, "roles");
    require(options.contents, "contents");
  }
  for (int64_t i = 0; i < options.n_messages; ++i) {
    require(options.roles[i], "a text of roles");
    require(options.contents[i], "a text of contents");
    conversation->turns.emplace_back(options.roles[i], options.contents[i]);
  }
}

Conversation conversation_of(const headlane_chat_options* options) {
  const auto read = read_struct(options, "headlane_chat_options");
  Conversation conversation;
  read_turns(read, &conversation);
  conversation.messages = text_or_none(read.messages);
  conversation.tools = text_or_none(read.tools);
  conversation.documents = text_or_none(read.documents);
  conversation.variables = text_or_none(read.variables);
  conversation.template_name = text_or_none(read.template_name);
  conversation.template_text = text_or_none(read.chat_template);
  conversation.add_generation_prompt = read.no_answer == 0;
  conversation.now = read.now != 0 ? read.now : static_cast<int64_t>(std::time(nullptr));
  return conversation;
}

}  // namespace

headlane_status headlane_model_write_chat(const headlane_model* model,
                                          const headlane_chat_options* options, char* text,
                                          int64_t capacity, int64_t* n_bytes) {
  return guarded([&] {
    require(model, "model");
    require(n_bytes, "n_bytes");
    check_room(text, "text", capacity);
    const std::string written =
        write_conversation(model->model->config().chat, conversation_of(options)).text.bytes();
    write_results<char>(written, "bytes", text, capacity, n_bytes);
  });
}

headlane_status headlane_model_tokenize_chat(const headlane_model* model,
                                             const headlane_chat_options* options, int32_t* ids,
                                             int64_t capacity, int64_t* n_ids) {
  return guarded([&] {
    require(model, "model");
    require(n_ids, "n_ids");
    check_room(ids, "ids", capacity);
    std::vector<int32_t> tokens;
    encode_conversation(model->model->config().chat, tokenizer_of(*model->model),
                        conversation_of(options), &tokens);
    write_results<int32_t>(tokens, "tokens", ids, capacity, n_ids);
  });
}

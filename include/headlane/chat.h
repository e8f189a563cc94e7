/** @file
 * Conversations: messages to the text and the token ids that a language model was trained on.
 *
 * A model's makers write conversations by a template, in the language Jinja, which its file keeps.
 * The library runs it within limits (docs/conversations.md).
 */
#ifndef HEADLANE_CHAT_H_
#define HEADLANE_CHAT_H_

#include <headlane/init.h>
#include <headlane/model.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A conversation. A field that is zero has its default; texts are null-terminated UTF-8. */
typedef struct headlane_chat_options {
  size_t struct_size; /**< sizeof this struct */
  /** The messages as JSON: an array of objects, such as {"role": "user", "content": "Hello"}. Null:
   * they are roles and contents. */
  const char* messages;
  const char* const* roles;    /**< [n_messages], "system", "user", "assistant"; null: messages */
  const char* const* contents; /**< [n_messages], what they say */
  int64_t n_messages;          /**< how many roles and contents there are */
  const char* tools;           /**< JSON, an array of objects that describe functions; null: none */
  const char* documents;       /**< likewise, of objects with what the answer is to rest on */
  /** A JSON object of further names that the model's template knows, such as {"enable_thinking":
   * false}; null: none. */
  const char* variables;
  /** Which one of the model's templates is run. Null: "tool_use" where there are tools and such a
   * template, else "default". */
  const char* template_name;
  const char* chat_template; /**< another template, as text; null: the model's */
  /** 1: the messages alone. 0: behind them, the beginning of an answer, which the model goes on
   * from. */
  int32_t no_answer;
  /** The time that the template may ask for, in seconds since 1970, written in the time zone of the
   * process; 0: the system's clock. */
  int64_t now;
} headlane_chat_options;

/** The text of a conversation, as transformers' apply_chat_template writes it.
 * @param model a language model with a chat template, or any other with chat_template
 * @param options the conversation
 * @param[out] text [capacity], UTF-8, not null-terminated; null if capacity is 0
 * @param capacity how many bytes there is room for; 0 asks for the number alone
 * @param[out] n_bytes how many there are
 * @return INVALID_ARGUMENT: JSON of another form, or the template refuses the messages, whose own
 * sentence headlane_error() has then; UNSUPPORTED: the model has no template, or the template asks
 * for what Headlane does not have; TOO_LARGE: it takes too many steps or too much memory, or 0 <
 * capacity < n_bytes, which is written all the same */
HEADLANE_API headlane_status headlane_model_write_chat(const headlane_model* model,
                                                       const headlane_chat_options* options,
                                                       char* text, int64_t capacity,
                                                       int64_t* n_bytes);

/** The token ids of a conversation: those of apply_chat_template, wherever the messages, tools,
 * documents and variables spell no special token. What they spell is plain text, never a special
 * token, so that no user ends a turn or speaks as the system. A role of letters, digits, "_" and
 * "-" counts as the program's own word.
 * @param model with a tokenizer, as of headlane_model_write_chat
 * @param options the conversation
 * @param[out] ids [capacity]; null if capacity is 0
 * @param capacity how many ids there is room for; 0 asks for the number alone
 * @param[out] n_ids how many there are
 * @return as headlane_model_write_chat; UNSUPPORTED also where the file has no tokenizer, or one
 * that cannot tell the two apart */
HEADLANE_API headlane_status headlane_model_tokenize_chat(const headlane_model* model,
                                                          const headlane_chat_options* options,
                                                          int32_t* ids, int64_t capacity,
                                                          int64_t* n_ids);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_CHAT_H_ */

// The chat templates of a model folder, or of a GGUF file.
#pragma once

#include <string>

#include "engine/base/log.h"
#include "engine/file/json.h"
#include "engine/spec/chat.h"

namespace headlane {

// As transformers reads a folder: chat_template.jinja and the files of additional_chat_templates/
// count before tokenizer_config.json's "chat_template", a text or a list of templates with names;
// where there is none of these, chat_template.json's. Logs which templates Headlane cannot run.
// Throws Error(kBadFile) or Error(kIo) naming the file.
ChatConfig read_chat_files(const std::string& dir, const Log& log);

// From the fields "tokenizer.chat_template*" of a GGUF file at `path`.
ChatConfig read_gguf_chat(const Json& fields, const std::string& path, const Log& log);

}  // namespace headlane

// A small random language model with a chat template, as a folder.
#pragma once

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace headlane {

// Of one of the golden language models that have a tokenizer.
inline std::string make_chat_folder(const TempDir& dir, const std::string& model = "qwen2_texts") {
  const std::string folder = dir.file(model);
  std::filesystem::copy(HEADLANE_GOLDEN_DIR "/language_models/" + model, folder);
  std::filesystem::copy(HEADLANE_GOLDEN_DIR "/chat/turns.jinja", folder + "/chat_template.jinja");
  return folder;
}

}  // namespace headlane

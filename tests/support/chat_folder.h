// A small random language model with a chat template, as a folder.
#pragma once

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace headlane {

inline std::string make_chat_folder(const TempDir& dir) {
  const std::string folder = dir.file("chat");
  std::filesystem::copy(HEADLANE_GOLDEN_DIR "/language_models/qwen2_texts", folder);
  std::filesystem::copy(HEADLANE_GOLDEN_DIR "/chat/turns.jinja", folder + "/chat_template.jinja");
  return folder;
}

}  // namespace headlane

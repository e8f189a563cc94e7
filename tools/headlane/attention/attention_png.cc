#include <dlfcn.h>

#include <filesystem>
#include <stdexcept>

#include "tools/headlane/attention/attention.h"

namespace tool {

// The picture's libraries are loaded when a picture is wanted: linked into the command, they would
// add a fifth to the time of `headlane embed` with one text, and have to be on every machine.
std::string attention_png(const AttentionMaps& maps) {
  // By its path: AddressSanitizer's dlopen does not know the command's own search path.
  const auto bin = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string path = bin / HEADLANE_LIB_FROM_BIN "/headlane/libheadlane_picture.so";
  void* module = dlopen(path.c_str(), RTLD_NOW);
  if (module == nullptr)
    throw std::runtime_error(std::string("pictures cannot be drawn here: ") + dlerror());
  void* symbol = dlsym(module, "draw_attention_png");
  if (symbol == nullptr)
    throw std::runtime_error(std::string("pictures cannot be drawn here: ") + dlerror());
  std::string png;
  reinterpret_cast<DrawAttentionPng*>(symbol)(maps, &png);
  return png;
}

}  // namespace tool

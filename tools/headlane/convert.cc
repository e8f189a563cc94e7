#include "tools/headlane/commands.h"

namespace tool {

void convert(const std::string& hf_dir, const std::string& out_path) {
  check(headlane_convert(hf_dir.c_str(), out_path.c_str()));
}

}  // namespace tool

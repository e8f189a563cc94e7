// The commands of `headlane`, one file each. Each throws std::runtime_error with a sentence for the
// user.
#pragma once

#include <string>
#include <vector>

#include "tools/headlane/library.h"

namespace tool {

void convert(const std::string& hf_dir, const std::string& out_path);

void info(const std::string& model_path, const std::string& isa, bool as_json);

struct EmbedOptions {
  RunOptions run;
  std::vector<std::string> texts;  // of the command line; none: `input`
  std::string input;               // a file of lines; "": standard input
  std::string output;              // a .npy file; "": JSON lines on standard output
};
void embed(const EmbedOptions& options);

struct EncodeOptions {
  RunOptions run;
  std::string ids;     // a file of ids, one sequence a line
  std::string output;  // a .npy file
};
void encode(const EncodeOptions& options);

}  // namespace tool

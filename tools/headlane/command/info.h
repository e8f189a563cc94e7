#pragma once

#include "tools/headlane/options/run_options.h"

namespace tool {

struct InfoOptions {
  RunOptions run;
  bool as_json = false;
  int64_t context = 0;  // tokens of a sequence whose memory is told; 0: the most there can be
  bool check = false;   // read all of the file, and say whether it is whole
};
void check_file(const InfoOptions& options);  // throws if something is wrong with the file

}  // namespace tool
